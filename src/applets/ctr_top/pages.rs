//! A text in place of the table, as much of it as fits on the screen.

use super::keys::Move;
use crate::text;

/// What of a text is on the screen.
pub(super) struct Pages {
    title: String,
    /// Nothing in it moves the cursor; it can have colours.
    lines: Vec<String>,
    /// The first line on the screen, of those that fit the width.
    first: usize,
    /// How many lines of the text there are on the screen, and in all.
    page: usize,
    all: usize,
}

const RESET: &str = "\x1b[0m";

impl Pages {
    pub(super) fn new(title: String, lines: impl Iterator<Item = String>) -> Pages {
        Pages { title, lines: lines.collect(), first: 0, page: 1, all: 0 }
    }

    /// The last line can be on the screen at most at its end.
    pub(super) fn go(&mut self, go: Move) {
        let page = isize::try_from(self.page).unwrap_or(isize::MAX);
        let first = match go {
            Move::By(step) => self.first.saturating_add_signed(step),
            Move::Page(step) => self.first.saturating_add_signed(step.saturating_mul(page)),
            Move::First => 0,
            Move::Last => usize::MAX,
        };
        // Keys can come before the text is on the screen.
        self.first = if self.all == 0 { first } else { first.min(self.all.saturating_sub(self.page)) };
    }

    /// The lines of the screen, which has this size. The first one has the title, and where in the text this is.
    pub(super) fn show(&mut self, height: usize, width: usize) -> Vec<Vec<u8>> {
        let all: Vec<String> = self.lines.iter().flat_map(|line| fold(line, width.max(1))).collect();
        (self.page, self.all) = (height.saturating_sub(1).max(1), all.len());
        self.first = self.first.min(self.all.saturating_sub(self.page));
        let end = (self.first + self.page).min(self.all);
        let place = match self.all > self.page {
            true => format!("  lines {}-{end} of {}", self.first + 1, self.all),
            false => String::new(),
        };
        let title = text::cut(&self.title, width.saturating_sub(place.len())).to_owned();
        let head = text::cut(&format!("{title}{place}"), width).to_owned();
        let shown = all.into_iter().skip(self.first).take(self.page);
        std::iter::once(head).chain(shown).map(String::into_bytes).collect()
    }
}

/// A line as lines of at most this width, each with the colour of its part.
fn fold(line: &str, width: usize) -> Vec<String> {
    let (mut folded, mut current, mut room) = (Vec::new(), String::new(), width);
    let mut colour = "";
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(end) = rest.strip_prefix("\x1b[").and_then(|after| after.find('m')) {
            let (style, after) = rest.split_at(end + "\x1b[m".len());
            colour = if matches!(style, RESET | "\x1b[m") { "" } else { style };
            current.push_str(style);
            rest = after;
            continue;
        }
        let escape = rest.char_indices().skip(1).find(|(_, letter)| *letter == '\x1b');
        let plain = escape.map_or(rest, |(at, _)| &rest[..at]);
        let part = text::cut(plain, room);
        // A wide character has no place in a terminal of one column.
        let is_none = part.is_empty() && room == width;
        let part = if is_none { &plain[..plain.chars().next().map_or(1, char::len_utf8)] } else { part };
        current.push_str(part);
        room = room.saturating_sub(text::width(part));
        rest = &rest[part.len()..];
        if part.len() < plain.len() {
            if !colour.is_empty() {
                current.push_str(RESET);
            }
            folded.push(std::mem::replace(&mut current, colour.to_owned()));
            room = width;
        }
    }
    folded.push(current);
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_with_their_colours() {
        assert_eq!(fold("", 4), [""]);
        assert_eq!(fold("abcd", 4), ["abcd"]);
        assert_eq!(fold("abcdefghi", 4), ["abcd", "efgh", "i"]);
        let red = "\x1b[31m";
        assert_eq!(
            fold(&format!("ab{red}cdef\x1b[0mgh"), 4),
            [format!("ab{red}cd\x1b[0m"), format!("{red}ef\x1b[0mgh")]
        );
        assert_eq!(fold("\u{4e00}\u{4e01}x", 3), ["\u{4e00}", "\u{4e01}x"]);
        assert_eq!(fold("\u{4e00}\u{4e01}", 1), ["\u{4e00}", "\u{4e01}"]);
        assert_eq!(fold("\x1b[1m\u{4e00}\u{4e01}", 1).len(), 2);
    }

    #[test]
    fn every_line_can_be_reached() {
        let mut pages = Pages::new("keys".to_owned(), (1..=30).map(|number| number.to_string()));
        let shown = |pages: &mut Pages, height| {
            let lines = pages.show(height, 40);
            assert!(lines.len() <= height);
            let lines = lines.into_iter().map(|line| String::from_utf8(line).expect("text"));
            lines.collect::<Vec<_>>()
        };
        pages.go(Move::Last);
        assert_eq!(shown(&mut pages, 5)[4], "30");
        pages.go(Move::First);
        assert_eq!(shown(&mut pages, 40).len(), 31);
        assert_eq!(shown(&mut pages, 5), ["keys  lines 1-4 of 30", "1", "2", "3", "4"]);
        pages.go(Move::Page(1));
        pages.go(Move::By(1));
        assert_eq!(shown(&mut pages, 5)[1..], ["6", "7", "8", "9"]);
        pages.go(Move::Last);
        pages.go(Move::By(1));
        assert_eq!(shown(&mut pages, 5), ["keys  lines 27-30 of 30", "27", "28", "29", "30"]);
        pages.go(Move::Page(-1));
        assert_eq!(shown(&mut pages, 5)[1], "23");
        pages.go(Move::First);
        assert_eq!(shown(&mut pages, 5)[1], "1");
        // A larger screen has no empty end.
        pages.go(Move::Last);
        assert_eq!(shown(&mut pages, 11)[1..].len(), 10);
        assert_eq!(shown(&mut pages, 2).len(), 2);
    }
}
