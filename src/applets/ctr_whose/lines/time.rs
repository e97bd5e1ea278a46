//! The time of a line, and whether it is after the start of a process.

use crate::container::epoch;
use crate::sys;

/// In seconds, with the resolution of the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    /// Since the boot.
    Boot(f64),
    /// Since 1970.
    Epoch(i64),
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time as a line has it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stamp<'l> {
    Known(Time),
    /// In the zone of this host.
    Local {
        year: Option<i64>,
        month: &'l str,
        day: &'l str,
        clock: &'l str,
    },
}

/// At the beginning of a line of dmesg(1), journalctl(1), syslog or an engine, also as its first field, or in the record of an audit.
pub(super) fn time_of(line: &[u8], now: i64) -> Option<Time> {
    match split(line) {
        Some((Stamp::Known(time), _)) => Some(time),
        Some((Stamp::Local { year: Some(year), month, day, clock }, _)) => {
            local(year, month, day, clock).map(Time::Epoch)
        }
        Some((Stamp::Local { year: None, month, day, clock }, _)) => {
            without_year(month, day, clock, now).map(Time::Epoch)
        }
        None => logfmt(line).or_else(|| audit(line)).map(Time::Epoch),
    }
}

/// The time at the beginning of a line, and what follows it.
pub(super) fn split(line: &[u8]) -> Option<(Stamp<'_>, &[u8])> {
    /// No time is longer.
    const LONGEST: usize = 64;
    let line = match line.strip_prefix(b"<") {
        Some(rest) => rest.iter().position(|&b| b == b'>').and_then(|at| rest.get(at + 1..))?,
        None => line,
    };
    let head = line.get(..line.len().min(LONGEST)).unwrap_or_default();
    let head = match std::str::from_utf8(head) {
        Ok(head) => head,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    if let Some((inside, rest)) = head.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return Some((bracketed(inside.trim())?, &line[head.len() - rest.len()..]));
    }
    let mut rest = head;
    let first = word(&mut rest);
    let stamp = match iso(first) {
        Some(time) => Stamp::Known(Time::Epoch(time)),
        None if MONTHS.contains(&first) => {
            let (day, clock) = (word(&mut rest), word(&mut rest));
            Stamp::Local { year: None, month: first, day, clock }
        }
        None => return None,
    };
    Some((stamp, &line[head.len() - rest.len()..]))
}

/// Takes the next word.
fn word<'t>(rest: &mut &'t str) -> &'t str {
    let text = rest.trim_start_matches([' ', '\t']);
    let (word, after) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
    *rest = after;
    word
}

fn bracketed(inside: &str) -> Option<Stamp<'_>> {
    if let Ok(seconds) = inside.parse::<f64>() {
        // conntrack(8) writes the time of the day so.
        let is_epoch = seconds > 1e9;
        return Some(Stamp::Known(if is_epoch { Time::Epoch(seconds as i64) } else { Time::Boot(seconds) }));
    }
    // dmesg -T: `Thu Nov 26 02:30:17 2026`
    let mut words = inside.split_ascii_whitespace().skip(1);
    let (month, day, clock) = (words.next()?, words.next()?, words.next()?);
    Some(Stamp::Local { year: Some(words.next()?.parse().ok()?), month, day, clock })
}

/// `time="2026-11-22T14:38:03.878Z" level=info`: dockerd(8) and containerd(8), with the time as the first field.
fn logfmt(line: &[u8]) -> Option<i64> {
    let value = line.strip_prefix(b"time=")?;
    let (value, end) = value.strip_prefix(b"\"").map_or((value, b' '), |value| (value, b'"'));
    let length = value.iter().position(|&b| b == end)?;
    iso(std::str::from_utf8(&value[..length]).ok()?)
}

fn audit(line: &[u8]) -> Option<i64> {
    let at = memchr::memmem::find(line, b"audit(")?;
    let digits = line[at + 6..].split(|b| !b.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// RFC 3339, also with a comma before the fraction and without the colon in the zone.
fn iso(word: &str) -> Option<i64> {
    if word.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let word = word.replace(',', ".");
    let zone = word.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let is_short = zone.len() == 5 && zone.starts_with(['+', '-']);
    match is_short {
        true => {
            let (head, minutes) = word.split_at_checked(word.len() - 2)?;
            epoch(&format!("{head}:{minutes}"))
        }
        false => epoch(&word),
    }
}

/// The latest year in which the time is not in the future.
fn without_year(month: &str, day: &str, clock: &str, now: i64) -> Option<i64> {
    let year = sys::local_time(now)?.year;
    let of = |year: i64| local(year, month, day, clock);
    of(year).filter(|time| *time <= now + 86_400).or_else(|| of(year - 1))
}

fn local(year: i64, month: &str, day: &str, clock: &str) -> Option<i64> {
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let day: u8 = day.parse().ok()?;
    let as_utc = epoch(&format!("{year:04}-{month:02}-{day:02}T{}Z", clock.get(..8)?))?;
    // The zone's distance from UTC at about that time.
    let there = sys::local_time(as_utc)?;
    let shown = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        there.year, there.month, there.day, there.hour, there.minute, there.second
    );
    Some(as_utc - (epoch(&shown)? - as_utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_at_the_beginning_of_lines() {
        let now = 1_795_660_000;
        let of = |line: &str| time_of(line.as_bytes(), now);
        assert_eq!(of("[   12.500000] eth0"), Some(Time::Boot(12.5)));
        assert_eq!(of("<6>[12.5] eth0"), Some(Time::Boot(12.5)));
        assert_eq!(of("[1795358283.123] tcp"), Some(Time::Epoch(1_795_358_283)));
        for line in [
            "2026-11-22T14:38:03.878Z container start",
            "2026-11-22T14:38:03,878+00:00 kernel",
            "2026-11-22T14:38:03+0000 host x[1]:",
            "type=SYSCALL msg=audit(1795358283.123:456): pid=1",
            "time=\"2026-11-22T14:38:03.878912345Z\" level=info msg=x pid=1",
            "time=\"2026-11-22T15:38:03+01:00\" level=info",
            "time=2026-11-22T14:38:03.878Z level=INFO pid=1",
        ] {
            assert_eq!(of(line), Some(Time::Epoch(1_795_358_283)), "{line}");
        }
        let (long, short) = (of("[Sun Nov 22 14:38:03 2026] x"), of("Nov 22 14:38:03 host kernel: x"));
        assert!(matches!(long, Some(Time::Epoch(time)) if (time - 1_795_358_283).abs() <= 14 * 3600));
        assert_eq!(long, short);
        // Last year's.
        assert!(matches!(of("Dec 22 14:38:03 host x"), Some(Time::Epoch(time)) if time < 1_770_000_000));
        // Only the first field is the writer's own.
        for line in ["time=\"", "time=\"x\" ", "time=", "msg=x time=\"2026-11-22T14:38:03Z\" pid=1"] {
            assert_eq!(of(line), None, "{line}");
        }
        for line in ["", "[", "[x]", "eth0: up", "Nov", "2026", "<6", "Nov 99 99:99:99 h"] {
            _ = of(line);
        }
        assert_eq!(of("eth0: up"), None);
        // Letters of several bytes after it.
        let long = format!("Nov 22 14:38:03 {}", "\u{e4}".repeat(40));
        assert_eq!(of(&long), short);
    }

    #[test]
    fn what_follows_a_time() {
        let rest = |line: &'static str| split(line.as_bytes()).map(|(_, rest)| rest);
        for line in ["Nov 22 14:38:03 h x[1]: y", "<6>[ 12.5] h x[1]: y", "2026-11-22T14:38:03Z h x[1]: y"] {
            assert_eq!(rest(line), Some(&b" h x[1]: y"[..]), "{line}");
        }
        assert_eq!(rest("h x[1]: y"), None);
    }
}
