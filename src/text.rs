//! Makes text from other processes safe to print: a process can give itself any name.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// For messages and tables. Characters that move the cursor, change the writing direction or are invisible become
/// `\xNN` or `\u{NNNN}`; bytes that are not UTF-8 become `\xNN`.
#[must_use]
pub(crate) fn escape(bytes: &[u8]) -> Cow<'_, str> {
    measured(bytes).0
}

/// The same as [`escape`], and its width in columns.
#[must_use]
pub fn measured(bytes: &[u8]) -> (Cow<'_, str>, usize) {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(bytes) => (Cow::Borrowed(text), bytes.len()),
        _ => {
            let text = escape_if(bytes, unprintable);
            let width = width(&text);
            (text, width)
        }
    }
}

/// Is every byte printable ASCII, so that it is printed unchanged in one column? This is the common case, and cheap
/// to check.
#[must_use]
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The lines of a text. This is for files that are read many times: a closure would be called for each byte.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// For a text of several lines: as [`escape`], but keeps newlines and tabs.
#[must_use]
pub(crate) fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_if(text.as_bytes(), |character| !matches!(character, '\n' | '\t') && unprintable(character))
}

/// For JSON: its strings can hold everything except bytes that are not UTF-8.
#[must_use]
pub(crate) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    escape_if(bytes, |_| false)
}

#[must_use]
pub(crate) fn shown(name: &OsStr) -> Cow<'_, str> {
    escape(name.as_bytes())
}

/// Width in columns of a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The longest prefix that fits into `columns`.
#[must_use]
pub fn cut(text: &str, columns: usize) -> &str {
    if text.len() <= columns {
        return text; // no character has more columns than bytes
    }
    let mut left = columns;
    for (at, character) in text.char_indices() {
        // VARIATION SELECTOR-16 makes the character before it one column wider.
        let width = character.width().unwrap_or(0) + usize::from(character == '\u{fe0f}');
        match left.checked_sub(width) {
            Some(rest) => left = rest,
            None => return &text[..at],
        }
    }
    text
}

/// As [`cut`], and a text that is cut ends in `+`.
#[must_use]
pub(crate) fn cut_with_mark(text: &str, columns: usize) -> Cow<'_, str> {
    match cut(text, columns).len() < text.len() {
        true if columns == 0 => "".into(),
        true => format!("{}+", cut(text, columns.saturating_sub(1))).into(),
        false => text.into(),
    }
}

fn escape_if(bytes: &[u8], hide: fn(char) -> bool) -> Cow<'_, str> {
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(hide)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                _ if !hide(character) => safe.push(character),
                _ if character.is_ascii() => _ = write!(safe, "\\x{:02x}", u32::from(character)),
                _ => _ = write!(safe, "\\u{{{:04x}}}", u32::from(character)),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(safe, "\\x{byte:02x}");
        }
    }
    Cow::Owned(safe)
}

/// Control characters, line separators, direction marks (CVE-2021-42574) and characters without width.
pub fn unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes a number in decimal at the end of `buffer`, without allocation. Returns where the digits begin.
pub(crate) fn digits(number: u64, buffer: &mut [u8]) -> usize {
    let (mut at, mut rest) = (buffer.len(), number);
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return at;
        }
    }
}

/// The name that a mistyped word probably means. None if no name is near. A name that the word begins with is as near as
/// one with two wrong letters: `network` means `net`.
#[must_use]
pub(crate) fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let far = |name: &'n str| {
        // Only the beginning of a long word is compared.
        let far = strsim::osa_distance(cut(word, 64), cut(name, 64));
        let is_near = far <= 1 + name.len() / 3 && far * 2 <= name.len().max(word.len());
        let is_beginning = name.len() >= 3 && word.starts_with(name);
        match (is_near, is_beginning) {
            (true, false) => Some((far, name)),
            (_, true) => Some((far.min(2), name)),
            (false, false) => None,
        }
    };
    names.into_iter().filter_map(far).min().map(|(_, name)| name)
}

/// The hint at the nearest name.
#[must_use]
pub(crate) fn did_you_mean<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    nearest(word, names).map(question)
}

/// The same in the middle of a message: `; did you mean web?`, or nothing.
#[must_use]
pub(crate) fn or_did_you_mean<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    did_you_mean(word, names).map(|question| format!("; {question}")).unwrap_or_default()
}

/// `name` is one of this program.
pub(crate) fn question(name: &str) -> String {
    format!("did you mean {name}?")
}

/// Does the text match a pattern in which `*` stands for any text, and `?` for any character?
#[must_use]
pub(crate) fn matches_glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where the last `*` is, and how much of the text it has taken: only the last one can need to take more.
    let mut star: Option<(usize, usize)> = None;
    while of < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(&letter) if letter == '?' || letter == text[of] => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((back, taken)) = star else { return false };
                star = Some((back, taken + 1));
                (at, of) = (back + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|&letter| letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_has_a_mark_that_fits() {
        for (text, columns, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab+"),
            ("\u{e4}\u{e4}\u{e4}", 3, "\u{e4}\u{e4}\u{e4}"),
            ("\u{4f60}\u{597d}x", 4, "\u{4f60}+"),
            ("", 0, ""),
            ("abc", 0, ""),
        ] {
            assert_eq!(cut_with_mark(text, columns), shown);
        }
    }

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(escape(b"plain \xc3\xa4 text"), "plain ä text");
        assert_eq!(escape(b"a\x1b[2Jb\nc\x7f"), r"a\x1b[2Jb\x0ac\x7f");
        assert_eq!(escape("x\u{202e}y\u{200b}z\u{85}".as_bytes()), r"x\u{202e}y\u{200b}z\u{0085}");
        assert_eq!(escape(b"\xff\xfeok\xe2\x82"), r"\xff\xfeok\xe2\x82");
        assert_eq!(escape(b""), "");
        assert_eq!(escape_lines("a\n\tb\r\u{85}\u{2028}"), "a\n\tb\\x0d\\u{0085}\\u{2028}");
    }

    #[test]
    fn json_keeps_valid_utf8() {
        assert_eq!(utf8(b"a\nb"), "a\nb");
        assert_eq!(utf8(b"a\xffb"), r"a\xffb");
    }

    #[test]
    fn wide_characters_are_not_split() {
        assert_eq!(width("日本"), 4);
        assert_eq!(cut("日本", 3), "日");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("abc", 9), "abc");
        assert_eq!(cut("é", 0), "");
    }

    #[test]
    fn globs() {
        for (pattern, text) in
            [("web-*", "web-1"), ("*", ""), ("a*b*c", "a-b-b-c"), ("w?b", "web"), ("web", "web")]
        {
            assert!(matches_glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("web-*", "web"), ("", "x"), ("a*b", "abc"), ("w?b", "wb"), ("web", "webs")] {
            assert!(!matches_glob(pattern, text), "{pattern} {text}");
        }
        assert!(!matches_glob(&"*a".repeat(100), &"a".repeat(99)), "and it ends soon");
    }

    #[test]
    fn near_names() {
        assert_eq!(nearest("kitten", ["sitting"]), Some("sitting"), "three steps");
        assert_eq!(nearest("kitten", ["sittings"]), None, "four steps, of which three are allowed");
        assert_eq!(nearest("wbe", ["db", "web"]), Some("web"));
        assert_eq!(nearest("psr", ["lsm", "rss"]), None, "one letter of three in common");
        assert_eq!(nearest("x", ["C"]), None, "nothing in common");
        assert_eq!(nearest("", ["C", "pid"]), None);
        assert_eq!(nearest("network", ["net", "no-fork", "uts"]), Some("net"), "its beginning");
        assert_eq!(nearest("netnss", ["net", "netns"]), Some("netns"), "one step");
        assert_eq!(nearest("processes", ["pr"]), None, "too short to be a beginning");
    }
}
