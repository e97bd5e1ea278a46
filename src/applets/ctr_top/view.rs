//! What the user of the screen has chosen: order, filter, selected row.

use super::columns::Order;
use super::keys::{self, Action, KEYS, Move, Pressed};
use super::pages::Pages;
use super::rates::Row;
use super::show::{Frame, Lead, Tree};

#[derive(Default)]
pub(super) struct View {
    pub order: Order,
    /// Pods and nested containers as a tree.
    pub tree: bool,
    /// Only rows with this text in their names.
    filter: String,
    /// Are keys part of the filter now?
    types: bool,
    /// What is in the last line of the screen until a key is pressed.
    pub note: Option<String>,
    /// What is on the screen in place of the table.
    pub pages: Option<Pages>,
    /// The key of the selected row, and its place in the list.
    selected: Option<(String, usize)>,
    /// The first row on the screen, and how many there are.
    first: usize,
    page: usize,
    /// Keys after one that asked for something, or the beginning of a sequence.
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
pub(super) struct Window<'a> {
    pub rows: Vec<&'a Row>,
    pub lines: Vec<Lead>,
    pub selected: Option<usize>,
}

impl View {
    pub(super) fn new(order: Order, note: Option<String>) -> View {
        View { order, note, ..View::default() }
    }

    /// Is a sequence incomplete? Without more bytes soon it is the Escape key.
    pub(super) fn waits(&self) -> bool {
        !self.rest.is_empty()
    }

    /// More keys can be left for the next call.
    pub(super) fn press(&mut self, new: &[u8]) -> Press {
        if !new.is_empty() {
            self.note = None;
        }
        let all = [&std::mem::take(&mut self.rest), new].concat();
        let mut left = &all[..];
        while let Some((mut pressed, rest)) = keys::first(left) {
            if pressed == Pressed::Incomplete {
                if !new.is_empty() {
                    self.rest = left.to_vec();
                    return Press::Nothing;
                }
                pressed = if left.len() == 1 { Pressed::Escape } else { Pressed::Unknown };
            }
            let byte = left[0];
            left = rest;
            if let Some(pages) = &mut self.pages {
                match pressed {
                    Pressed::Key(Action::Go(go)) => pages.go(go),
                    _ => self.pages = None,
                }
                continue;
            }
            match pressed {
                Pressed::Escape => (self.types, self.filter) = (false, String::new()),
                Pressed::Key(Action::Inspect) if self.types => self.types = false,
                _ if self.types => self.types(byte),
                Pressed::Key(Action::End) => return Press::End,
                Pressed::Key(Action::Inspect) => {
                    self.rest = left.to_vec();
                    return Press::Inspect;
                }
                Pressed::Key(action) => self.act(action),
                Pressed::Other(_) | Pressed::Unknown | Pressed::Incomplete => {}
            }
        }
        Press::Nothing
    }

    /// A key while the filter is typed.
    fn types(&mut self, byte: u8) {
        match byte {
            0x08 | 0x7f => drop(self.filter.pop()),
            0x20..=0x7e => self.filter.push(char::from(byte)),
            _ => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Sort(key) => self.order.key = key,
            Action::Reverse => self.order.reverse = !self.order.reverse,
            Action::Filter => (self.types, self.filter) = (true, String::new()),
            Action::Tree => self.tree = !self.tree,
            Action::Go(go) => self.go(go),
            Action::Help => self.pages = Some(Pages::new("Keys".to_owned(), View::keys())),
            Action::Inspect | Action::End => {}
        }
    }

    fn go(&mut self, go: Move) {
        let selected = self.selected.as_ref().map(|(_, at)| *at);
        let at = selected.unwrap_or(0);
        let page = isize::try_from(self.page).unwrap_or(isize::MAX);
        let at = match go {
            // The first one comes first.
            Move::By(_) if selected.is_none() => 0,
            Move::By(step) => at.saturating_add_signed(step),
            Move::Page(step) => at.saturating_add_signed(step.saturating_mul(page)),
            Move::First => 0,
            Move::Last => usize::MAX,
        };
        // The row at that place is the selected one.
        self.selected = Some((String::new(), at));
    }

    /// `/web`, with a mark while it is typed.
    pub(super) fn filter(&self) -> Option<String> {
        let is_shown = self.types || !self.filter.is_empty();
        is_shown.then(|| format!("/{}{}", self.filter, if self.types { "_" } else { "" }))
    }

    /// The list of keys.
    fn keys() -> impl Iterator<Item = String> {
        KEYS.iter().map(|binding| format!("{:<9}  {}", binding.name, binding.help))
    }

    fn all<'a>(&self, frame: &'a Frame) -> Tree<'a> {
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &Row| row.container.to_lowercase().contains(&wanted);
        match self.tree {
            true => frame.tree(self.order, is_wanted),
            false => Tree { rows: frame.list(self.order, is_wanted), lines: Vec::new() },
        }
    }

    /// The rows that fit into so many lines, with the selected one among them. That stays the selected one when its
    /// place changes.
    pub(super) fn window<'a>(&mut self, frame: &'a Frame, height: usize) -> Window<'a> {
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

    /// The selected row, or the first one.
    pub(super) fn chosen<'a>(&self, frame: &'a Frame) -> Option<&'a Row> {
        let all = self.all(frame).rows;
        match &self.selected {
            // It moved, and is not on the screen yet.
            Some((key, at)) if key.is_empty() => all.get(*at).or(all.last()).copied(),
            Some((key, _)) => all.into_iter().find(|row| row.key == *key),
            None => all.first().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_top::columns::Key;

    #[test]
    fn keys_sort_filter_and_end() {
        let mut view = View::default();
        assert_eq!(view.press(b"mr"), Press::Nothing);
        assert_eq!(view.order.name(), "-mem");
        assert_eq!(view.press(b"/web q\x7f\n"), Press::Nothing);
        assert!(view.filter == "web " && !view.types && view.order.key == Key::Memory);
        assert_eq!(view.press(b"/x\x1bz"), Press::Nothing);
        assert!(view.filter.is_empty() && view.order.key == Key::Memory);
        assert_eq!(view.press(b"?"), Press::Nothing);
        assert_eq!(view.press(b" \x1b[Bk\x1b[F"), Press::Nothing);
        assert!(view.pages.is_some(), "these show more of it");
        assert_eq!(view.press(b"q"), Press::Nothing);
        assert!(view.pages.is_none(), "any other key comes back");
        assert_eq!(view.press(b"\x1b[15~\x1b[1;5Cf"), Press::Nothing);
        assert!(view.tree && view.order.key == Key::Memory, "unknown keys do nothing");
        assert_eq!(view.press(b"\rcq"), Press::Inspect);
        assert_eq!(view.press(b""), Press::End);
        assert!(view.order.key == Key::Cpu);
    }

    /// A slow line can deliver the bytes of a key one by one.
    #[test]
    fn a_sequence_arrives_in_parts() {
        let mut view = View::default();
        for part in [&b"/x\n\x1b"[..], b"[", b"B"] {
            assert_eq!(view.press(part), Press::Nothing);
        }
        assert!(view.filter == "x" && view.selected.is_some() && !view.waits());
        assert_eq!(view.press(b"\x1b"), Press::Nothing);
        assert!(view.filter == "x" && view.waits());
        assert_eq!(view.press(b""), Press::Nothing);
        assert!(view.filter.is_empty() && !view.waits(), "it is the Escape key");
    }

    #[test]
    fn the_selected_row_moves_by_keys() {
        let mut view = View { page: 10, ..View::default() };
        let at = |view: &View| view.selected.as_ref().map(|(_, at)| *at);
        for (keys, place) in [
            (&b"\x1b[B"[..], 0),
            (b"\x1bOBjj", 3),
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
