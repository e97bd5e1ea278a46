//! Sizes for people.

/// A size such as `1.5G`. Numbers below ten have one decimal.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths = tenths.div_ceil(1024);
        unit += 1;
    }
    match (unit, tenths) {
        (1.., 0..100) => format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{}{}", tenths / 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let shown = [0, 1023, 1024, 1536, 10 << 20, 1023 << 20, u64::MAX].map(size);
        assert_eq!(shown, ["0B", "1023B", "1.0K", "1.5K", "10M", "1023M", "16E"]);
    }
}
