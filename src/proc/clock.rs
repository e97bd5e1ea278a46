//! Start times, ages and CPU times, in the formats of ps(1).

use super::{ProcRoot, TICKS, number};
use crate::sys;

/// The time of the boot and the time since, to which a process's times are relative.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    /// Seconds since the boot. None if /proc/uptime cannot be read.
    pub uptime: Option<u64>,
    /// The time of the boot, in seconds since 1970.
    pub boot: Option<i64>,
}

impl Clock {
    #[must_use]
    pub(crate) fn read(proc: &ProcRoot) -> Clock {
        let uptime = read(proc, "uptime").split(|&b| b == b'.').next().and_then(number);
        Clock { uptime, boot: boot(proc) }
    }

    /// The time in seconds since 1970, for a start time in ticks since the boot.
    #[must_use]
    pub(crate) fn epoch(self, start: u64) -> Option<i64> {
        self.boot?.checked_add(i64::try_from(start / TICKS).ok()?)
    }

    /// Seconds since the start time.
    #[must_use]
    pub(crate) fn age(self, start: u64) -> Option<u64> {
        Some(self.uptime?.saturating_sub(start / TICKS))
    }

    /// The time of day if the process started today, the day if it started this year, otherwise the year.
    #[must_use]
    pub(crate) fn stime(self, start: u64) -> Option<String> {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let then = sys::local_time(self.epoch(start)?)?;
        let now = sys::local_time(self.boot?.checked_add(i64::try_from(self.uptime?).ok()?)?)?;
        let month = MONTHS.get(usize::from(then.month) - 1)?;
        Some(match () {
            () if now.year != then.year => then.year.to_string(),
            () if (now.month, now.day) != (then.month, then.day) => format!("{month}{:02}", then.day),
            () => format!("{:02}:{:02}", then.hour, then.minute),
        })
    }

    /// Date and time of the start, in local time.
    #[must_use]
    pub(crate) fn start(self, start: u64) -> Option<String> {
        local(self.epoch(start)?)
    }
}

/// The time of the boot, in seconds since 1970.
#[must_use]
pub(crate) fn boot(proc: &ProcRoot) -> Option<i64> {
    read(proc, "stat").split(|&b| b == b'\n').find_map(|line| number(line.strip_prefix(b"btime ")?))
}

fn read(proc: &ProcRoot, name: &str) -> Vec<u8> {
    proc.read_host_whole(name).unwrap_or_default()
}

/// `2026-11-22 14:38:03`
#[must_use]
pub(crate) fn local(epoch: i64) -> Option<String> {
    let t = sys::local_time(epoch)?;
    Some(format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute, t.second))
}

/// `[DD-]HH:MM:SS`
#[must_use]
pub(crate) fn cpu_time(ticks: u64) -> String {
    duration(ticks / TICKS)
}

fn duration(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let days = if days > 0 { format!("{days:02}-") } else { String::new() };
    format!("{days}{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60)
}

/// `[[DD-]HH:]MM:SS`
#[must_use]
pub(crate) fn elapsed(seconds: u64) -> String {
    let whole = duration(seconds);
    whole.strip_prefix("00:").map_or(whole.clone(), str::to_owned)
}

/// At most two units: `45s`, `12m`, `3h12m`, `5d4h`.
#[must_use]
pub(crate) fn ago(seconds: u64) -> String {
    let pair = |(big, unit): (u64, &str), (small, part): (u64, &str)| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{part}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if minutes == 0 => format!("{seconds}s"),
        () if hours == 0 => format!("{minutes}m"),
        () if days == 0 => pair((hours, "h"), (minutes % 60, "m")),
        () => pair((days, "d"), (hours % 24, "h")),
    }
}

/// CPU time since the start, in tenths of a percent of one CPU.
#[must_use]
pub(crate) fn share(ticks: u64, age: u64) -> u64 {
    ticks.saturating_mul(1_000).checked_div(TICKS.saturating_mul(age)).unwrap_or(0)
}

/// The name of a terminal with this device number. None for 0.
#[must_use]
pub(crate) fn tty(device: i32) -> Option<String> {
    #[expect(clippy::cast_sign_loss, reason = "a device number is 32 bits")]
    let device = device as u32;
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    Some(match (major, minor) {
        (0, 0) => return None,
        (136..=143, _) => format!("pts/{}", minor + (major - 136) * 256),
        (4, 0..64) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        (188, _) => format!("ttyUSB{minor}"),
        (204, 64..) => format!("ttyAMA{}", minor - 64),
        (229, _) => format!("hvc{minor}"),
        _ => format!("{major}:{minor}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(cpu_time(0), "00:00:00");
        assert_eq!(cpu_time(100 * (3 * 86_400 + 3_723) + 99), "03-01:02:03");
        assert_eq!(elapsed(59), "00:59");
        assert_eq!(elapsed(3_723), "01:02:03");
        assert_eq!(elapsed(100 * 86_400), "100-00:00:00");
        assert_eq!(elapsed(u64::MAX), "213503982334601-07:00:15");
        let shown = [0, 59, 60, 3_599, 3_600, 11_520, 86_400, 446_400].map(ago);
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h", "3h12m", "1d", "5d4h"]);
        assert_eq!(share(150, 10), 150);
        assert_eq!((share(0, 0), share(u64::MAX, 1)), (0, u64::MAX / 100));
    }

    #[test]
    fn times_that_overflow_are_none() {
        let clock = Clock { uptime: Some(u64::MAX), boot: Some(i64::MAX) };
        assert_eq!((clock.epoch(u64::MAX), clock.stime(0), clock.start(u64::MAX)), (None, None, None));
        assert_eq!(clock.epoch(99), Some(i64::MAX));
    }

    #[test]
    fn terminal_names() {
        let shown = |device| tty(device).unwrap_or_default();
        assert_eq!(
            [0, 0x8800, 0x8805, 0x0020_108a, 0x0401, 0x0440].map(shown),
            ["", "pts/0", "pts/5", "16:650", "tty1", "ttyS0"]
        );
        assert_eq!(shown((136 << 8) | 0x10_0001), "pts/257");
    }
}
