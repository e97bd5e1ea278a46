//! JSON that is safe on a terminal: characters that move the cursor or change the writing direction are escaped as
//! `\u`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::text::{is_plain, unprintable};

/// Writes a value in one line.
pub fn write(out: &mut impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Safe))
}

struct Safe;

impl Formatter for Safe {
    /// serde_json has already escaped the ASCII control characters; this escapes the others.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if is_plain(fragment.as_bytes()) || !fragment.contains(unprintable) {
            return out.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for letter in fragment.chars() {
            if unprintable(letter) {
                letter.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
            } else {
                write!(out, "{letter}")?;
            }
        }
        Ok(())
    }

    /// The text of a value that was written before, by serde_json alone. Only strings have such characters.
    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        const DELETE: u8 = 0x7f;
        if fragment.is_ascii() && memchr::memchr(DELETE, fragment.as_bytes()).is_none() {
            return out.write_all(fragment.as_bytes());
        }
        self.write_string_fragment(out, fragment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_strings_read_back_unchanged() {
        let text = "a\x1b[2J\u{85}b\u{202e}c\u{e0001}d\x7f\u{e4}\"\\";
        let mut json = Vec::new();
        write(&mut json, &text).expect("JSON");
        let json = String::from_utf8(json).expect("text");
        assert!(!json.contains(unprintable), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("parses"), text);
    }
}
