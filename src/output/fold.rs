//! Lines of text on a terminal that is narrower than they are.

use super::style::stdout_columns;
use crate::text;

const RESET: &str = "\x1b[0m";

/// Where a line ends, where the next one begins, and the colour there.
#[derive(Clone, Copy)]
struct Break<'a> {
    end: usize,
    next: usize,
    colour: &'a str,
}

/// A text for the terminal on stdout, if that is one.
#[must_use]
pub(crate) fn folded(text: String) -> String {
    match stdout_columns() {
        Some(width) => text.lines().flat_map(|line| fold(line, width)).map(|line| line + "\n").collect(),
        None => text,
    }
}

/// A line as lines of at most this width, each with the colour of its part. They end between words; only a word that is wider
/// than a line is cut. Those after the first begin where its text does.
#[must_use]
pub(crate) fn fold(line: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let indent = indent(line).min(width / 2);
    let (mut folded, mut start, mut rest, mut room) = (Vec::new(), String::new(), line, width);
    let mut colour = "";
    while let Some(found) = first_break(rest, room, colour) {
        colour = found.colour;
        let reset = if colour.is_empty() { "" } else { RESET };
        folded.push(format!("{start}{}{reset}", &rest[..found.end]));
        start = format!("{}{colour}", " ".repeat(indent));
        (rest, room) = (&rest[found.next..], width - indent);
    }
    folded.push(start + rest);
    folded
}

/// Where the text begins: after a gap, as in a list of options, else after the blanks at the beginning.
fn indent(line: &str) -> usize {
    let plain: String = pieces(line).filter(|piece| !is_colour(piece)).collect();
    let blanks = plain.len() - plain.trim_start().len();
    let gap = plain.trim().find("  ").map(|gap| blanks + gap);
    let begin = |gap: usize| gap + plain[gap..].len() - plain[gap..].trim_start().len();
    gap.map_or(blanks, |gap| text::width(&plain[..begin(gap)]))
}

/// None if the line fits.
fn first_break<'a>(line: &'a str, room: usize, mut colour: &'a str) -> Option<Break<'a>> {
    let (mut at, mut column, mut gap, mut is_begun) = (0, 0, None, false);
    for piece in pieces(line) {
        let width = text::width(piece);
        if is_colour(piece) {
            colour = if matches!(piece, RESET | "\x1b[m") { "" } else { piece };
        } else if piece.starts_with(' ') {
            gap = is_begun.then_some(Break { end: at, next: at + piece.len(), colour }).or(gap);
            column += width;
        } else if column + width > room {
            return Some(gap.unwrap_or_else(|| {
                let cut = text::cut(piece, room.saturating_sub(column)).len();
                // A wide character has no place in a terminal of one column.
                let least = if column == 0 { piece.chars().next().map_or(1, char::len_utf8) } else { 0 };
                let end = at + cut.max(least);
                Break { end, next: end, colour }
            }))
            .filter(|found| found.next < line.len());
        } else {
            (is_begun, column) = (true, column + width);
        }
        at += piece.len();
    }
    None
}

/// Words, the blanks between them, and the sequences that change the colour.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let other = |letter: char| letter == '\x1b' || (letter == ' ') != (first == ' ');
        let end = match first {
            '\x1b' => rest.find('m').map(|end| end + 1),
            _ => rest.find(other),
        };
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(piece)
    })
}

fn is_colour(piece: &str) -> bool {
    piece.starts_with('\x1b')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words() {
        assert_eq!(fold("sort by memory in percent", 12), ["sort by", "memory in", "percent"]);
        assert_eq!(fold("c          sort by CPU use", 24), ["c          sort by CPU", "           use"]);
        assert_eq!(fold("  -h, --help  show it", 14), ["  -h, --help", "       show it"]);
        assert_eq!(fold("       ctrbox --list | --help", 24), ["       ctrbox --list |", "       --help"]);
        assert_eq!(fold("one /a/long/path two", 8), ["one", "/a/long/", "path two"]);
        assert_eq!(fold("blanks at the end     ", 17), ["blanks at the end     "]);
        let red = "\x1b[31m";
        let line = format!("ab {red}cd ef\x1b[0m gh");
        assert_eq!(fold(&line, 5), [format!("ab {red}cd\x1b[0m"), format!("{red}ef\x1b[0m gh")]);
    }

    #[test]
    fn long_words_are_cut_with_their_colours() {
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
        assert_eq!(fold(&" ".repeat(9), 4).len(), 1);
        assert_eq!(fold("    abc", 2).len(), 4);
    }
}
