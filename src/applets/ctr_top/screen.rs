//! The table on the whole screen of a terminal, with keys.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::columns::{Picked, have_networks, have_pressure};
use super::options::Request;
use super::show::{self, Frame, Style};
use super::view::{Press, View};
use super::watcher::Watcher;
use crate::exit::Exit;
use crate::output::Out;
use crate::output::keys::Keys;
use crate::output::screen::{LEAVE, Screen};
use crate::output::style::{self, Painter};
use crate::sys;
use crate::text;

/// Reverse video for one line.
const SELECTED: &[u8] = b"\x1b[7m";
const NOT_SELECTED: &[u8] = b"\x1b[27m";
/// The lines above the rows: that of the host, and the headings.
const ABOVE: usize = 2;

pub(super) fn run(mut watcher: Watcher<'_>, request: &Request, columns: &[Picked]) -> Result<(), Exit> {
    watcher.networks = have_networks(columns, request.sort);
    watcher.sampler.shows.pressure = have_pressure(columns);
    // An error of the first sample is one of the call.
    let mut shown = Ok(watcher.frame()?);
    let mut view = View::new(request.sort);
    sys::on_end_write(LEAVE)?;
    let mut keys = Keys::new();
    let mut screen = Screen::default();
    let size = || (style::stdout_lines(), style::stdout_columns());
    // The first rates come soon.
    let mut next = Instant::now() + request.delay().min(Duration::from_millis(500));
    let mut left = request.iterations;
    loop {
        if Instant::now() >= next {
            if left == Some(0) {
                break;
            }
            // Another key can need them; then they have rates from the next frame but one on.
            watcher.networks |= have_networks(columns, view.order);
            shown = watcher.frame();
            next = Instant::now() + request.delay();
            left = left.map(|left| left - 1);
        }
        let now = (size(), sys::stops());
        keys.take();
        let mut lines = match &shown {
            Ok(frame) => lines(&mut view, frame, request, columns, now.0),
            Err(exit) => vec![text::escape(exit.message().as_bytes()).into_owned().into_bytes()],
        };
        lines.truncate(now.0.0.unwrap_or(24));
        write(&screen.update(lines, now))?;
        let changed = || (size(), sys::stops()) != now;
        let rest = next.saturating_duration_since(Instant::now());
        let pressed = keys.wait(rest, changed, |keys| Some(keys.to_vec())).context("cannot wait")?;
        let mut press = view.press(&pressed.unwrap_or_default());
        while press == Press::Inspect {
            let target = shown.as_ref().ok().and_then(|frame| view.target(frame));
            if let Some(target) = target {
                inspect(&mut keys, request, &target)?;
                screen = Screen::default();
            }
            press = view.press(b"");
        }
        if press == Press::End {
            break;
        }
    }
    Ok(write(LEAVE)?)
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = Out::stdout();
    out.push(bytes);
    out.finish()
}

/// Shows ctr-inspect of a target on the terminal as it was, until a key is pressed.
fn inspect(keys: &mut Keys, request: &Request, target: &OsString) -> anyhow::Result<()> {
    write(LEAVE)?;
    keys.give_back();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("ctr-inspect");
    if let Some(root) = &request.root {
        command.arg("--root").arg(root);
    }
    command.arg(format!("--color={}", request.colour.name()));
    let ended = command.arg("--").arg(target).status();
    let problem = ended.err().map(|error| format!("ctr-inspect: {error}\n")).unwrap_or_default();
    write(format!("{problem}\n-- press a key to return to ctr-top --\n").as_bytes())?;
    keys.take();
    while keys.are_there() {
        if keys.wait(Duration::from_secs(1), || false, |_| Some(())).context("cannot wait")?.is_some() {
            break;
        }
    }
    Ok(())
}

/// The lines of the screen, which has this size.
fn lines(
    view: &mut View,
    frame: &Frame,
    request: &Request,
    columns: &[Picked],
    (height, width): (Option<usize>, Option<usize>),
) -> Vec<Vec<u8>> {
    let width = width.unwrap_or(80);
    let above = if request.no_headings { ABOVE - 1 } else { ABOVE };
    let window = view.window(frame, height.unwrap_or(24).saturating_sub(above));
    let mut head = frame.head(view.order);
    head += &view.prompt();
    let mut out = Out::kept();
    out.push(text::cut(&head, width).as_bytes());
    out.push(b"\n");
    let painter = Painter { colour: request.colour.on_stdout() };
    let rows: Vec<_> = window.rows.iter().collect();
    show::table(
        &mut out,
        (&rows, &window.lines),
        columns,
        &Style { headings: !request.no_headings, raw: false, width: Some(width), painter },
    );
    let bytes = out.into_bytes();
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let mut lines: Vec<Vec<u8>> = text.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    if let Some(line) = window.selected.and_then(|at| lines.get_mut(above + at)) {
        *line = [SELECTED, line, NOT_SELECTED].concat();
    }
    lines
}
