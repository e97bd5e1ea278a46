//! The keys of the screen: what each does, for the screen itself, for its help and for the manual page.

use super::columns::Key;

/// A key, or several that do the same.
pub(super) struct Binding {
    /// `Up, k`
    pub name: &'static str,
    /// The bytes that terminals send.
    sent: &'static [&'static [u8]],
    does: Action,
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    Sort(Key),
    Reverse,
    Filter,
    Tree,
    Go(Move),
    Inspect,
    Help,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Move {
    By(isize),
    Page(isize),
    First,
    Last,
}

pub(super) static KEYS: [Binding; 21] = [
    bind("c", &[b"c"], Action::Sort(Key::Cpu), "sort by CPU use"),
    bind("m", &[b"m"], Action::Sort(Key::Memory), "sort by memory"),
    bind("i", &[b"i"], Action::Sort(Key::Io), "sort by what is read from disks and written there"),
    bind("n", &[b"n"], Action::Sort(Key::Net), "sort by what is received and sent"),
    bind("p", &[b"p"], Action::Sort(Key::Pids), "sort by the number of processes and threads"),
    bind("t", &[b"t"], Action::Sort(Key::Throttled), "sort by throttling"),
    bind("%", &[b"%"], Action::Sort(Key::Percent), "sort by memory in percent of its limit"),
    bind("o", &[b"o"], Action::Sort(Key::Oom), "sort by kills for lack of memory, and show them"),
    bind("a", &[b"a"], Action::Sort(Key::Name), "sort by name"),
    bind("r", &[b"r"], Action::Reverse, "reverse the order"),
    bind("/", &[b"/"], Action::Filter, "show names with a text: Enter ends it, Escape removes it"),
    bind("f", &[b"f"], Action::Tree, "show pods and nested containers as a tree, or a list again"),
    bind("Up, k", &[b"\x1b[A", b"\x1bOA", b"k"], Action::Go(Move::By(-1)), "select the row above"),
    bind("Down, j", &[b"\x1b[B", b"\x1bOB", b"j"], Action::Go(Move::By(1)), "select the row below"),
    bind("Page Up", &[b"\x1b[5~"], Action::Go(Move::Page(-1)), "select a row one screen above"),
    bind("Page Down", &[b"\x1b[6~", b" "], Action::Go(Move::Page(1)), "the same below; the space bar too"),
    bind("Home", &[b"\x1b[H", b"\x1bOH", b"\x1b[1~"], Action::Go(Move::First), "select the first row"),
    bind("End", &[b"\x1b[F", b"\x1bOF", b"\x1b[4~"], Action::Go(Move::Last), "select the last row"),
    bind("Enter", &[b"\r", b"\n"], Action::Inspect, "show ctr-inspect of the row"),
    bind("?, h", &[b"?", b"h"], Action::Help, "show these keys"),
    bind("q", &[b"q", b"Q"], Action::End, "end ctr-top"),
];

const fn bind(
    name: &'static str,
    sent: &'static [&'static [u8]],
    does: Action,
    help: &'static str,
) -> Binding {
    Binding { name, sent, does, help }
}

/// What the bytes begin with.
#[derive(Debug, PartialEq)]
pub(super) enum Pressed {
    Key(Action),
    /// One byte of a text, or a key without a meaning.
    Other(u8),
    Escape,
    /// A key that sends a sequence without a meaning here.
    Unknown,
    /// The beginning of a sequence, of which more bytes can come.
    Incomplete,
}

/// The first key of these bytes, and the rest.
pub(super) fn first(bytes: &[u8]) -> Option<(Pressed, &[u8])> {
    let (&byte, rest) = bytes.split_first()?;
    for binding in &KEYS {
        if let Some(sent) = binding.sent.iter().find(|sent| bytes.starts_with(sent)) {
            return Some((Pressed::Key(binding.does), &bytes[sent.len()..]));
        }
    }
    Some(match (byte, rest) {
        (0x1b, [] | [b'[' | b'O']) => (Pressed::Incomplete, &[]),
        (0x1b, [b'[', sequence @ ..]) => {
            match sequence.iter().position(|byte| (0x40..=0x7e).contains(byte)) {
                Some(end) => (Pressed::Unknown, &sequence[end + 1..]),
                None => (Pressed::Incomplete, &[]),
            }
        }
        (0x1b, [b'O', _, rest @ ..]) => (Pressed::Unknown, rest),
        (0x1b, rest) => (Pressed::Escape, rest),
        _ => (Pressed::Other(byte), rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_key_has_the_letter_that_names_it_and_no_two_keys_send_the_same() {
        for (key, ..) in Key::ALL {
            assert!(KEYS.iter().any(|binding| binding.does == Action::Sort(key)), "{key:?}");
        }
        let mut sent: Vec<&[u8]> = KEYS.iter().flat_map(|binding| binding.sent).copied().collect();
        let count = sent.len();
        sent.sort_unstable();
        sent.dedup();
        assert_eq!(sent.len(), count);
        // The help fits a terminal of 80 columns and 24 lines.
        assert!(
            KEYS.iter().all(|binding| binding.name.len() <= 9 && binding.help.len() <= 68) && KEYS.len() < 23
        );
    }

    #[test]
    fn sequences_are_told_apart() {
        let of = |bytes: &'static [u8]| first(bytes).expect("a key");
        assert_eq!(of(b"\x1b[Aq"), (Pressed::Key(Action::Go(Move::By(-1))), &b"q"[..]));
        assert_eq!(of(b"\x1b[15~q"), (Pressed::Unknown, &b"q"[..]));
        assert_eq!(of(b"\x1bOPq"), (Pressed::Unknown, &b"q"[..]));
        assert_eq!(of(b"\x1bq"), (Pressed::Escape, &b"q"[..]));
        assert_eq!(of(b"z"), (Pressed::Other(b'z'), &b""[..]));
        for begun in [&b"\x1b"[..], b"\x1b[", b"\x1bO", b"\x1b[1;"] {
            assert_eq!(first(begun), Some((Pressed::Incomplete, &b""[..])), "{begun:?}");
        }
        assert_eq!(first(b""), None);
    }
}
