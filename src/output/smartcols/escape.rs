//! Escapes cells in the notation of libsmartcols: unsafe characters appear byte by byte as `\xNN`.

use std::borrow::Cow;
use std::fmt::Write;

use crate::output::Out;
use crate::text::unprintable;

/// Bytes that are not UTF-8 are stored as characters of this private plane, so that a cell is a string and they are
/// still printed as `\xNN`.
const BYTES: u32 = 0x10_ff00;

/// The text of a cell.
#[must_use]
pub(crate) fn cell(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().chars().any(|character| byte(character).is_some()) {
            for character in chunk.valid().chars() {
                match byte(character) {
                    None => text.push(character),
                    Some(_) => {
                        text.extend(character.encode_utf8(&mut [0; 4]).bytes().filter_map(character_of))
                    }
                }
            }
        } else {
            text.push_str(chunk.valid());
        }
        text.extend(chunk.invalid().iter().copied().filter_map(character_of));
    }
    text
}

fn character_of(byte: u8) -> Option<char> {
    char::from_u32(BYTES + u32::from(byte))
}

/// The byte that is stored as this character.
pub(super) fn byte(character: char) -> Option<u8> {
    u32::from(character).checked_sub(BYTES).and_then(|byte| u8::try_from(byte).ok())
}

/// For people. A backslash before an x is escaped too, so that a name cannot fake a `\xNN`.
pub(super) fn human(text: &str, unicode: bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
        return Cow::Borrowed(text); // the common case
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_safe = match character {
            '\\' => characters.peek() != Some(&'x'),
            ' '..='~' => true,
            _ => unicode && !unprintable(character) && byte(character).is_none(),
        };
        if is_safe {
            shown.push(character);
        } else {
            bytes_of(character, |byte| _ = write!(shown, "\\x{byte:02x}"));
        }
    }
    Cow::Owned(shown)
}

/// For programs that split at blanks: graphic ASCII except the backslash is unchanged.
pub(crate) fn raw(out: &mut Out, text: &str) {
    let safe = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if text.bytes().all(safe) {
        return out.push(text.as_bytes());
    }
    for character in text.chars() {
        bytes_of(character, |byte| {
            if safe(byte) {
                out.push(&[byte]);
            } else {
                out.push(format!("\\x{byte:02x}").as_bytes());
            }
        });
    }
}

fn bytes_of(character: char, each: impl FnMut(u8)) {
    match byte(character) {
        Some(byte) => [byte].into_iter().for_each(each),
        None => character.encode_utf8(&mut [0; 4]).bytes().for_each(each),
    }
}
