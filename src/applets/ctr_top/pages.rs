//! A text in place of the table, as much of it as fits on the screen.

use super::keys::Move;
use crate::output::fold::fold;
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

/// What the other keys do while a text is shown: as much of it as there is room for.
const BACK: [&str; 2] = ["  (arrows: more, q: back)", "  (q: back)"];

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
        let all: Vec<String> = self.lines.iter().flat_map(|line| fold(line, width)).collect();
        (self.page, self.all) = (height.saturating_sub(1).max(1), all.len());
        self.first = self.first.min(self.all.saturating_sub(self.page));
        let end = (self.first + self.page).min(self.all);
        let place = match self.all > self.page {
            true => format!("  lines {}-{end} of {}", self.first + 1, self.all),
            false => String::new(),
        };
        let fits = |back: &&&str| text::width(&self.title) + back.len() + place.len() <= width;
        let back = BACK.iter().find(fits).unwrap_or(&"");
        let room = width.saturating_sub(back.len() + place.len());
        let title = text::cut_with_mark(&self.title, room);
        let head = text::cut(&format!("{title}{back}{place}"), width).to_owned();
        let shown = all.into_iter().skip(self.first).take(self.page);
        std::iter::once(head).chain(shown).map(String::into_bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(shown(&mut pages, 5), ["keys  (q: back)  lines 1-4 of 30", "1", "2", "3", "4"]);
        pages.go(Move::Page(1));
        pages.go(Move::By(1));
        assert_eq!(shown(&mut pages, 5)[1..], ["6", "7", "8", "9"]);
        pages.go(Move::Last);
        pages.go(Move::By(1));
        assert_eq!(shown(&mut pages, 5), ["keys  (q: back)  lines 27-30 of 30", "27", "28", "29", "30"]);
        pages.go(Move::Page(-1));
        assert_eq!(shown(&mut pages, 5)[1], "23");
        pages.go(Move::First);
        assert_eq!(shown(&mut pages, 5)[1], "1");
        // A larger screen has no empty end.
        pages.go(Move::Last);
        assert_eq!(shown(&mut pages, 11)[1..].len(), 10);
        assert_eq!(shown(&mut pages, 2).len(), 2);
        pages.go(Move::First);
        let head =
            |pages: &mut Pages, width| String::from_utf8(pages.show(5, width).remove(0)).expect("text");
        assert_eq!(head(&mut pages, 80), "keys  (arrows: more, q: back)  lines 1-4 of 30");
        assert_eq!(head(&mut pages, 24), "keys  lines 1-4 of 30");
        assert_eq!(head(&mut pages, 20), "ke+  lines 1-4 of 30");
    }
}
