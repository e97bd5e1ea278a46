//! The table on the whole screen of a terminal, with keys.

use std::time::Instant;

use anyhow::Context;

use super::columns::{Key, Picked};
use super::options::Request;
use super::rates::Row;
use super::show::{self, Frame, Style};
use super::watcher::Watcher;
use crate::exit::Exit;
use crate::output::Out;
use crate::output::keys::Keys;
use crate::output::screen::{LEAVE, Screen};
use crate::output::style::{self, Painter};
use crate::sys;
use crate::text;

/// What the user has chosen.
struct View {
    key: Key,
    reverse: bool,
    /// Only rows with this text in their names.
    filter: String,
    /// Are keys part of the filter now?
    types: bool,
}

pub(super) fn run(mut watcher: Watcher<'_>, request: &Request, columns: &[Picked]) -> Result<(), Exit> {
    // An error of the first sample is one of the call.
    let mut shown = Ok(watcher.frame()?);
    let mut view = View { key: request.sort, reverse: false, filter: String::new(), types: false };
    sys::on_end_write(LEAVE)?;
    let mut keys = Keys::new();
    let mut screen = Screen::default();
    let size = || (style::stdout_lines(), style::stdout_columns());
    // The first rates come soon.
    let mut next = Instant::now() + request.delay().min(std::time::Duration::from_millis(500));
    let mut left = request.iterations;
    loop {
        if Instant::now() >= next {
            if left == Some(0) {
                break;
            }
            shown = watcher.frame();
            next = Instant::now() + request.delay();
            left = left.map(|left| left - 1);
        }
        let now = (size(), sys::stops());
        keys.take();
        let mut lines = match &shown {
            Ok(frame) => view.lines(frame, request, columns, now.0.1),
            Err(exit) => vec![text::escape(exit.message().as_bytes()).into_owned().into_bytes()],
        };
        lines.truncate(now.0.0.unwrap_or(24));
        let mut out = Out::stdout();
        out.push(&screen.update(lines, now));
        out.finish()?;
        let changed = || (size(), sys::stops()) != now;
        let rest = next.saturating_duration_since(Instant::now());
        let pressed = keys.wait(rest, changed, |keys| Some(keys.to_vec())).context("cannot wait")?;
        if pressed.is_some_and(|keys| view.press(&keys)) {
            break;
        }
    }
    let mut out = Out::stdout();
    out.push(LEAVE);
    out.finish()?;
    Ok(())
}

impl View {
    /// True ends the run.
    fn press(&mut self, keys: &[u8]) -> bool {
        for &key in keys {
            match key {
                b'\n' | b'\r' if self.types => self.types = false,
                0x1b if self.types => (self.types, self.filter) = (false, String::new()),
                0x08 | 0x7f if self.types => drop(self.filter.pop()),
                0x20..=0x7e if self.types => self.filter.push(char::from(key)),
                _ if self.types => {}
                b'q' | b'Q' => return true,
                b'/' => (self.types, self.filter) = (true, String::new()),
                b'r' => self.reverse = !self.reverse,
                letter => self.key = Key::of_letter(letter).unwrap_or(self.key),
            }
        }
        false
    }

    fn lines(
        &self,
        frame: &Frame,
        request: &Request,
        columns: &[Picked],
        width: Option<usize>,
    ) -> Vec<Vec<u8>> {
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &Row| row.container.to_lowercase().contains(&wanted);
        let rows = frame.list(self.key, self.reverse, is_wanted);
        let mut head = frame.head(self.key);
        if self.types || !self.filter.is_empty() {
            head += &format!("  /{}{}", self.filter, if self.types { "_" } else { "" });
        }
        let width = width.unwrap_or(80);
        let mut out = Out::kept();
        out.push(text::cut(&head, width).as_bytes());
        out.push(b"\n");
        let painter = Painter { colour: request.colour.on_stdout() };
        show::table(
            &mut out,
            &rows,
            columns,
            &Style { headings: !request.no_headings, raw: false, width: Some(width), painter },
        );
        let bytes = out.into_bytes();
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        text.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_filter_and_end() {
        let mut view = View { key: Key::Cpu, reverse: false, filter: String::new(), types: false };
        assert!(!view.press(b"mr"));
        assert!(view.key == Key::Memory && view.reverse);
        assert!(!view.press(b"/web q\x7f\n"));
        assert!(view.filter == "web " && !view.types && view.key == Key::Memory);
        assert!(!view.press(b"/x\x1bz"));
        assert!(view.filter.is_empty() && view.key == Key::Memory);
        assert!(view.press(b"q"));
    }
}
