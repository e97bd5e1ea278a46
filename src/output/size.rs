//! Sizes and numbers for people.

use crate::text::digits;

/// A size such as `1.5G`. Numbers below ten have one decimal.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];
    // Numbers of 128 bits would take most of the time.
    let (mut unit, mut tenths) = match bytes.checked_mul(10) {
        Some(tenths) => (0, tenths),
        None => (1, bytes.div_ceil(1024) * 10),
    };
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths = tenths.div_ceil(1024);
        unit += 1;
    }
    let mut text = String::with_capacity(8);
    match (unit, tenths) {
        (1.., 0..100) => decimal(&mut text, tenths, 1),
        _ => decimal(&mut text, tenths / 10, 0),
    }
    text.push_str(UNITS[unit]);
    text
}

/// Appends a number that is not negative, with so many digits after the decimal point. A table of 1,000 rows has 10,000 such
/// numbers, and `format!` takes 1,000 instructions for each.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a larger number is the largest")]
pub(crate) fn fixed(text: &mut String, number: f64, decimals: usize) {
    decimal(text, (number * 10_f64.powi(decimals as i32)).round() as u64, decimals);
}

/// A number in units of which the last digit is one.
fn decimal(text: &mut String, units: u64, decimals: usize) {
    let mut buffer = [b'0'; 20];
    let last = buffer.len() - 1 - decimals;
    let at = digits(units, &mut buffer).min(last);
    let text_of = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    text.push_str(text_of(&buffer[at..=last]));
    if decimals > 0 {
        text.push('.');
        text.push_str(text_of(&buffer[last + 1..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let shown = [0, 1023, 1024, 1536, 10 << 20, 1023 << 20, u64::MAX].map(size);
        assert_eq!(shown, ["0B", "1023B", "1.0K", "1.5K", "10M", "1023M", "16E"]);
        assert_eq!([1 << 60, (1 << 60) + 1, 3 << 61].map(size), ["1.0E", "1.1E", "6.0E"]);
    }

    #[test]
    fn numbers_with_decimals() {
        for (number, decimals, expected) in [
            (0.0, 0, "0"),
            (0.0, 2, "0.00"),
            (0.04, 1, "0.0"),
            (0.06, 1, "0.1"),
            (9.96, 1, "10.0"),
            (99.95, 2, "99.95"),
            (1234.5678, 2, "1234.57"),
            (41.6, 0, "42"),
            (1e30, 1, "1844674407370955161.5"),
            (f64::NAN, 1, "0.0"),
        ] {
            let mut text = String::new();
            fixed(&mut text, number, decimals);
            assert_eq!(text, expected, "{number}");
        }
    }
}
