//! The table on the whole screen of a terminal, with keys.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::columns::{self, Order, Picked, have_networks, have_pressure};
use super::inspect;
use super::options::Request;
use super::pages::Pages;
use super::show::{self, Frame, Style};
use super::view::{Press, View};
use super::watcher::Watcher;
use crate::exit::{self, Exit};
use crate::output::Out;
use crate::output::fold::fold;
use crate::output::keys::Keys;
use crate::output::screen::{LEAVE, Screen, write};
use crate::output::style::{self, Painter};
use crate::sys;
use crate::text;

/// Reverse video for one line.
const SELECTED: &str = "\x1b[7m";
const NOT_SELECTED: &str = "\x1b[27m";
const RESET: &str = "\x1b[0m";
/// After this time an Escape is no part of a sequence.
const ESCAPE: Duration = Duration::from_millis(100);
/// The lines above the rows: that of the host, and the headings.
const ABOVE: usize = 2;

/// The last frame and its order, if the frames were counted: that one stays.
pub(super) fn run(
    mut watcher: Watcher<'_>,
    request: &Request,
    picked: &[Picked],
) -> Result<Option<(Frame, Order)>, Exit> {
    watcher.networks = have_networks(picked, request.sort);
    watcher.sampler.shows.pressure = have_pressure(picked);
    // An error of the first sample is one of the call.
    let mut shown = Ok(watcher.frame()?);
    let mut view = View::new(request.sort, exit::shown_hint_at_rights());
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
                write(LEAVE)?;
                return shown.map(|frame| Some((frame, view.order)));
            }
            // Another key can need them; then they have rates from the next frame but one on.
            watcher.networks |= have_networks(picked, view.order);
            shown = watcher.frame();
            next = Instant::now() + request.delay();
            left = left.map(|left| left - 1);
        }
        keys.take().context("cannot wait")?;
        let now = (size(), sys::stops());
        let mut lines = match &shown {
            Ok(frame) => lines(&mut view, frame, request, picked, now.0),
            Err(exit) => vec![text::escape(exit.message().as_bytes()).into_owned().into_bytes()],
        };
        lines.truncate(now.0.0.unwrap_or(24));
        write(&screen.update(lines, now))?;
        let changed = || (size(), sys::stops()) != now;
        let mut rest = next.saturating_duration_since(Instant::now());
        if view.waits() {
            rest = rest.min(ESCAPE);
        }
        let pressed = keys.wait(rest, changed, |keys| Some(keys.to_vec())).context("cannot wait")?;
        let mut press = view.press(&pressed.unwrap_or_default());
        while press == Press::Inspect {
            let chosen = shown.as_ref().ok().and_then(|frame| Some((frame, view.chosen(frame)?)));
            if let Some((frame, row)) = chosen {
                let width = size().1.unwrap_or(80);
                let what = (row.container.as_str(), &frame.processes(row)[..]);
                let report = inspect::report(request, &watcher.proc, what, width);
                let title = format!("ctr-inspect {}", text::escape(row.container.as_bytes()));
                view.pages = Some(Pages::new(title, report.lines().map(str::to_owned)));
            }
            press = view.press(b"");
        }
        if press == Press::End {
            break;
        }
    }
    write(LEAVE)?;
    Ok(None)
}

/// The lines of the screen, which has this size.
fn lines(
    view: &mut View,
    frame: &Frame,
    request: &Request,
    picked: &[Picked],
    (height, width): (Option<usize>, Option<usize>),
) -> Vec<Vec<u8>> {
    let width = width.unwrap_or(80);
    let above = if request.no_headings { ABOVE - 1 } else { ABOVE };
    let height = height.unwrap_or(24);
    if let Some(pages) = &mut view.pages {
        return pages.show(height, width);
    }
    let head = frame.status(view.order, (view.tree, view.filter()), width);
    let mut note: Vec<String> = view.note.iter().flat_map(|note| fold(note, width)).collect();
    note.truncate(height / 2);
    let below = note.len();
    let window = view.window(frame, height.saturating_sub(above + below));
    let mut out = Out::kept();
    out.push(head.as_bytes());
    out.push(b"\n");
    let painter = Painter { colour: request.colour.on_stdout() };
    show::table(
        &mut out,
        (&window.rows, &window.lines),
        &columns::shown(picked, &request.columns, view.order),
        &Style { headings: !request.no_headings, raw: false, width: Some(width), painter },
    );
    let bytes = out.into_bytes();
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let mut lines: Vec<Vec<u8>> = text.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    if let Some(line) = window.selected.and_then(|at| lines.get_mut(above + at)) {
        // The end of a style ends this one too.
        let whole = text::utf8(line).replace(RESET, &format!("{RESET}{SELECTED}"));
        *line = format!("{SELECTED}{whole}{NOT_SELECTED}").into_bytes();
    }
    if below > 0 {
        lines.resize(height.saturating_sub(below), Vec::new());
        lines.extend(note.into_iter().map(String::into_bytes));
    }
    lines
}
