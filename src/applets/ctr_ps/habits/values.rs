//! Values of options, as other programs take them and as the shell does.

use super::super::columns;
use crate::text;

/// Quotes a value for the shell if it must be.
pub(super) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+,./:%@=".contains(c);
    let value = text::escape(value.as_bytes());
    if !value.is_empty() && value.chars().all(plain) { value.into_owned() } else { format!("'{value}'") }
}

pub(super) fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// PIDs with commas or blanks between them.
pub(super) fn are_numbers(list: &str) -> bool {
    list.split([',', ' ']).all(is_number)
}

/// Keys of ps's `k`: names of columns, perhaps with a sign before each.
pub(super) fn is_key(word: &str) -> bool {
    let is_column = |word: &str| {
        let name = word.strip_prefix(['-', '+']).unwrap_or(word);
        name.len() > 1 && !columns::named(name).is_empty()
    };
    word.split(',').all(is_column)
}
