//! Cells of hostile names, in libsmartcols' notation: what is no fair letter appears byte by byte as `\xNN`.

use std::borrow::Cow;
use std::fmt::Write;

use crate::output::Out;
use crate::text::unprintable;

/// Bytes that are no UTF-8 travel as letters of this private plane, so that a cell is text and they
/// still come out as `\xNN`.
const BYTES: u32 = 0x10_ff00;

/// The text of a cell.
#[must_use]
pub(crate) fn cell(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().chars().any(|letter| byte(letter).is_some()) {
            for letter in chunk.valid().chars() {
                match byte(letter) {
                    None => text.push(letter),
                    Some(_) => text.extend(letter.encode_utf8(&mut [0; 4]).bytes().filter_map(letter_of)),
                }
            }
        } else {
            text.push_str(chunk.valid());
        }
        text.extend(chunk.invalid().iter().copied().filter_map(letter_of));
    }
    text
}

fn letter_of(byte: u8) -> Option<char> {
    char::from_u32(BYTES + u32::from(byte))
}

/// The byte that travels as this letter.
pub(super) fn byte(letter: char) -> Option<u8> {
    u32::from(letter).checked_sub(BYTES).and_then(|byte| u8::try_from(byte).ok())
}

/// As people see it. A backslash before an x is escaped too: nobody can forge a `\xNN`.
pub(super) fn human(text: &str, unicode: bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
        return Cow::Borrowed(text); // nearly always
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let fair = match letter {
            '\\' => letters.peek() != Some(&'x'),
            ' '..='~' => true,
            _ => unicode && !unprintable(letter) && byte(letter).is_none(),
        };
        if fair {
            shown.push(letter);
        } else {
            bytes_of(letter, |byte| _ = write!(shown, "\\x{byte:02x}"));
        }
    }
    Cow::Owned(shown)
}

/// For programs that split at blanks: graphic ASCII stays, without the backslash.
pub(crate) fn raw(out: &mut Out, text: &str) {
    let safe = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if text.bytes().all(safe) {
        return out.push(text.as_bytes());
    }
    for letter in text.chars() {
        bytes_of(letter, |byte| {
            if safe(byte) {
                out.push(&[byte]);
            } else {
                out.push(format!("\\x{byte:02x}").as_bytes());
            }
        });
    }
}

fn bytes_of(letter: char, each: impl FnMut(u8)) {
    match byte(letter) {
        Some(byte) => [byte].into_iter().for_each(each),
        None => letter.encode_utf8(&mut [0; 4]).bytes().for_each(each),
    }
}
