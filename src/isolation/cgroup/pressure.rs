//! How long processes of a group waited for CPUs, memory and disks.

use serde::Serialize;

use crate::proc::{decimal, number};
use crate::text::lines;

/// As the file has it: averages in percent, the total in microseconds.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub(crate) struct Stall {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

/// What [`Stall`] has of the last 10 seconds, and the total: the parts that are read again and again.
#[must_use]
pub(crate) fn waited(text: &[u8], name: &str) -> Option<(f64, u64)> {
    let line = lines(text).find_map(|line| line.strip_prefix(name.as_bytes()))?;
    let average = line.strip_prefix(b" avg10=")?;
    let average = &average[..average.iter().position(|&b| b == b' ')?];
    let total = &line[line.iter().rposition(|&b| b == b'=')? + 1..];
    // Most groups wait for nothing.
    let average = if average == b"0.00" { 0.0 } else { number(average)? };
    Some((average, decimal(total)?))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`
#[must_use]
pub(crate) fn stall(text: &[u8], name: &str) -> Option<Stall> {
    let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()))?;
    let value = |key: &[u8]| {
        let mut words = line.split(|&b| b == b' ');
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix(b"="))
    };
    Some(Stall {
        avg10: number(value(b"avg10")?)?,
        avg60: number(value(b"avg60")?)?,
        avg300: number(value(b"avg300")?)?,
        total: number(value(b"total")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_pressure() {
        let text =
            b"some avg10=1.50 avg60=0.00 avg300=0.25 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9";
        let some = Stall { avg10: 1.5, avg60: 0.0, avg300: 0.25, total: 7 };
        assert_eq!(stall(text, "some"), Some(some));
        assert_eq!(stall(b"some avg10=x", "some"), None);
        assert_eq!(waited(text, "some"), Some((1.5, 7)));
        assert_eq!(waited(text, "full"), Some((0.0, 9)));
        for broken in [&b""[..], b"some", b"some avg10=1", b"some avg10=x total=1", b"some avg10=0.00 total="]
        {
            assert_eq!(waited(broken, "some"), None);
        }
    }
}
