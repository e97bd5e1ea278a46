//! The whole screen of a terminal, of which only the lines that change are drawn.

use super::Out;
use crate::sys;
use crate::text;

/// Switch to the alternate screen, hide the cursor, and cut long lines.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
/// The end can come within a line, which leaves its colour.
pub(crate) const LEAVE: &[u8] = b"\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What is on the screen.
#[derive(Default)]
pub(crate) struct Screen {
    lines: Vec<Vec<u8>>,
    /// Its size, and how often the process was continued: if one has changed, all is drawn again.
    state: Option<State>,
}

pub(crate) type State = ((Option<usize>, Option<usize>), usize);

impl Screen {
    /// The bytes that change it to these lines.
    #[must_use]
    pub(crate) fn update(&mut self, lines: Vec<Vec<u8>>, state: State) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.state.replace(state) != Some(state) {
            sys::has_screen(true);
            bytes.extend_from_slice(ENTER);
            bytes.extend_from_slice(b"\x1b[H\x1b[2J");
            self.lines.clear();
        }
        for (row, line) in lines.iter().enumerate() {
            if self.lines.get(row) != Some(line) && !(line.is_empty() && row >= self.lines.len()) {
                bytes.extend_from_slice(format!("\x1b[{};1H", row + 1).as_bytes());
                bytes.extend_from_slice(line);
                // Erases the rest of the former line. After a line that fills the screen, the cursor is on its last letter.
                if state.0.1.is_none_or(|columns| width(line) < columns) {
                    bytes.extend_from_slice(b"\x1b[K");
                }
            }
        }
        if lines.len() < self.lines.len() {
            bytes.extend_from_slice(format!("\x1b[{};1H\x1b[J", lines.len() + 1).as_bytes());
        }
        self.lines = lines;
        bytes
    }
}

/// The columns that a line takes, without its colours.
fn width(line: &[u8]) -> usize {
    let line = text::utf8(line);
    let mut parts = line.split("\x1b[");
    let first = parts.next().map_or(0, text::width);
    first + parts.map(|part| part.split_once('m').map_or(0, |(_, rest)| text::width(rest))).sum::<usize>()
}

/// Writes to stdout at once.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = Out::stdout();
    out.push(bytes);
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_changed_are_drawn() {
        let lines = |text: &str| text.split(' ').map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut screen = Screen::default();
        let state = ((Some(24), Some(80)), 0);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let first = text(screen.update(lines("a b c"), state));
        assert!(first.starts_with("\x1b[?1049h") && first.contains("\x1b[2;1Hb\x1b[K"), "{first:?}");
        assert_eq!(text(screen.update(lines("a x c"), state)), "\x1b[2;1Hx\x1b[K");
        assert_eq!(text(screen.update(lines("a x"), state)), "\x1b[3;1H\x1b[J");
        let full = format!("\x1b[7m{}\x1b[0m", "y".repeat(80));
        assert_eq!(text(screen.update(lines(&format!("a {full}")), state)), format!("\x1b[2;1H{full}"));
        assert_eq!(text(screen.update(lines("a x"), state)), "\x1b[2;1Hx\x1b[K");
        assert_eq!(text(screen.update(lines("a x"), state)), "");
        let resized = text(screen.update(lines("a x"), ((Some(10), Some(80)), 0)));
        assert!(resized.contains("\x1b[2J") && resized.contains("\x1b[1;1Ha"), "{resized:?}");
    }
}
