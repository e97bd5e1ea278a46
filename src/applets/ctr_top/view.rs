//! What the user of the screen has chosen: order, filter, selected row.

use std::ffi::OsString;

use super::columns::{Key, Order};
use super::rates::Row;
use super::show::{Frame, Tree};

#[derive(Default)]
pub(super) struct View {
    pub order: Order,
    /// Pods and nested containers as a tree.
    tree: bool,
    /// Only rows with this text in their names.
    filter: String,
    /// Are keys part of the filter now?
    types: bool,
    /// The key of the selected row, and its place in the list.
    selected: Option<(String, usize)>,
    /// The first row on the screen, and how many there are.
    first: usize,
    page: usize,
    /// Keys after one that asked for something.
    rest: Vec<u8>,
}

/// What keys ask for.
#[derive(Debug, PartialEq)]
pub(super) enum Press {
    Nothing,
    End,
    Inspect,
}

/// The rows on the screen.
#[derive(Default)]
pub(super) struct Window {
    pub rows: Vec<Row>,
    pub lines: Vec<(String, usize)>,
    pub selected: Option<usize>,
}

/// The keys that send more than one byte.
const MOVES: [(&[u8], Move); 12] = [
    (b"\x1b[A", Move::By(-1)),
    (b"\x1bOA", Move::By(-1)),
    (b"\x1b[B", Move::By(1)),
    (b"\x1bOB", Move::By(1)),
    (b"\x1b[5~", Move::Page(-1)),
    (b"\x1b[6~", Move::Page(1)),
    (b"\x1b[H", Move::First),
    (b"\x1bOH", Move::First),
    (b"\x1b[1~", Move::First),
    (b"\x1b[F", Move::Last),
    (b"\x1bOF", Move::Last),
    (b"\x1b[4~", Move::Last),
];

#[derive(Clone, Copy)]
enum Move {
    By(isize),
    Page(isize),
    First,
    Last,
}

impl View {
    pub(super) fn new(order: Order) -> View {
        View { order, ..View::default() }
    }

    /// More keys can be left for the next call.
    pub(super) fn press(&mut self, new: &[u8]) -> Press {
        let all = [&std::mem::take(&mut self.rest), new].concat();
        let mut keys = &all[..];
        while let Some((&key, rest)) = keys.split_first() {
            if let Some((sequence, go)) = MOVES.iter().find(|(sequence, _)| keys.starts_with(sequence)) {
                self.go(*go);
                keys = &keys[sequence.len()..];
                continue;
            }
            keys = rest;
            match key {
                b'\n' | b'\r' if self.types => self.types = false,
                0x1b if keys.first() == Some(&b'[') => keys = after_sequence(&keys[1..]),
                0x1b => (self.types, self.filter) = (false, String::new()),
                0x08 | 0x7f if self.types => drop(self.filter.pop()),
                0x20..=0x7e if self.types => self.filter.push(char::from(key)),
                _ if self.types => {}
                b'\n' | b'\r' => {
                    self.rest = keys.to_vec();
                    return Press::Inspect;
                }
                b'q' | b'Q' => return Press::End,
                b'/' => (self.types, self.filter) = (true, String::new()),
                b'r' => self.order.reverse = !self.order.reverse,
                b'f' => self.tree = !self.tree,
                b'j' => self.go(Move::By(1)),
                b'k' => self.go(Move::By(-1)),
                letter => self.order.key = Key::of_letter(letter).unwrap_or(self.order.key),
            }
        }
        Press::Nothing
    }

    fn go(&mut self, go: Move) {
        let at = self.selected.as_ref().map_or(0, |(_, at)| *at);
        let page = isize::try_from(self.page).unwrap_or(isize::MAX);
        let at = match go {
            Move::By(step) => at.saturating_add_signed(step),
            Move::Page(step) => at.saturating_add_signed(step.saturating_mul(page)),
            Move::First => 0,
            Move::Last => usize::MAX,
        };
        // The row at that place is the selected one.
        self.selected = Some((String::new(), at));
    }

    /// After the line of the host.
    pub(super) fn prompt(&self) -> String {
        let filter = match self.types || !self.filter.is_empty() {
            true => format!("  /{}{}", self.filter, if self.types { "_" } else { "" }),
            false => String::new(),
        };
        format!("{}{filter}", if self.tree { "  tree" } else { "" })
    }

    fn all(&self, frame: &Frame) -> Tree {
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &Row| row.container.to_lowercase().contains(&wanted);
        match self.tree {
            true => frame.tree(self.order, is_wanted),
            false => {
                let rows = frame.list(self.order, is_wanted).into_iter().cloned().collect();
                Tree { rows, lines: Vec::new() }
            }
        }
    }

    /// The rows that fit into so many lines, with the selected one among them. That stays the selected one when its
    /// place changes.
    pub(super) fn window(&mut self, frame: &Frame, height: usize) -> Window {
        self.page = height.max(1);
        let Tree { mut rows, mut lines } = self.all(frame);
        let Some(last) = rows.len().checked_sub(1) else {
            self.first = 0;
            return Window::default();
        };
        if let Some((key, at)) = &mut self.selected {
            let place = rows.iter().position(|row| row.key == *key);
            *at = place.unwrap_or(*at).min(last);
            key.clone_from(&rows[*at].key);
        }
        let at = self.selected.as_ref().map(|(_, at)| *at);
        // Without a selected row the top of the list is shown.
        self.first = match at {
            None => 0,
            Some(at) => self.first.clamp(at.saturating_sub(self.page - 1), at),
        };
        self.first = self.first.min((last + 1).saturating_sub(self.page));
        let end = (self.first + height).min(rows.len());
        rows.truncate(end);
        lines.truncate(end);
        Window {
            rows: rows.split_off(self.first.min(rows.len())),
            lines: lines.split_off(self.first.min(lines.len())),
            selected: at.map(|at| at - self.first),
        }
    }

    /// What ctr-inspect shows for the selected row, or for the first one: a process of the container is the only name
    /// that nobody else can have. None for the host.
    pub(super) fn target(&self, frame: &Frame) -> Option<OsString> {
        let all = self.all(frame);
        let selected = self.selected.as_ref().map(|(key, _)| key);
        let row = match selected {
            Some(key) => all.rows.iter().find(|row| row.key == *key)?,
            None => all.rows.first()?,
        };
        match row.pid {
            Some(pid) => Some(pid.to_string().into()),
            None => row.pod.as_ref().and(row.name.as_ref()).map(OsString::from),
        }
    }
}

/// What follows an unknown sequence `ESC [ … LETTER`.
fn after_sequence(keys: &[u8]) -> &[u8] {
    let end = keys.iter().position(|key| (0x40..=0x7e).contains(key));
    end.map_or(&[], |end| &keys[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_filter_and_end() {
        let mut view = View::default();
        assert_eq!(view.press(b"mr"), Press::Nothing);
        assert_eq!(view.order.name(), "-mem");
        assert_eq!(view.press(b"/web q\x7f\n"), Press::Nothing);
        assert!(view.filter == "web " && !view.types && view.order.key == Key::Memory);
        assert_eq!(view.press(b"/x\x1bz"), Press::Nothing);
        assert!(view.filter.is_empty() && view.order.key == Key::Memory);
        assert_eq!(view.press(b"\x1b[15~\x1b[1;5Cf"), Press::Nothing);
        assert!(view.tree && view.order.key == Key::Memory, "unknown keys do nothing");
        assert_eq!(view.press(b"\rcq"), Press::Inspect);
        assert_eq!(view.press(b""), Press::End);
        assert!(view.order.key == Key::Cpu);
    }

    #[test]
    fn the_selected_row_moves_by_keys() {
        let mut view = View { page: 10, ..View::default() };
        let at = |view: &View| view.selected.as_ref().map(|(_, at)| *at);
        for (keys, place) in [
            (&b"\x1b[B\x1bOBj"[..], 3),
            (b"k\x1b[A", 1),
            (b"\x1b[6~", 11),
            (b"\x1b[5~\x1b[5~", 0),
            (b"\x1b[F", usize::MAX),
            (b"\x1b[1~", 0),
        ] {
            assert_eq!(view.press(keys), Press::Nothing);
            assert_eq!(at(&view), Some(place), "{keys:?}");
        }
    }
}
