//! `/proc/PID/stat`: the state of a process and its resource usage.
//!
//! Parsed by hand: it is read for every process, and the parser of the procfs crate takes 17,500 instructions in place
//! of 10,000.

use memchr::{memchr, memrchr};

use super::{decimal, number};

/// Values in the kernel's units: ticks of 1/100 s, pages, bytes.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Stat {
    /// comm, not escaped: it can contain any byte.
    pub name: Vec<u8>,
    pub state: u8,
    pub ppid: Option<i32>,
    /// Its terminal as a device number; 0 for none.
    pub tty: i32,
    /// CPU time, in user mode and in the kernel.
    pub ticks: u64,
    pub nice: i64,
    pub threads: u64,
    /// The start time, in ticks since boot.
    pub start: u64,
    pub vsize: u64,
    pub rss: u64,
}

/// Ticks per second: USER_HZ, on every architecture that Rust supports.
pub(crate) const TICKS: u64 = 100;

impl Stat {
    /// Parses `PID (COMM) STATE PPID …`. None for a truncated text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Stat> {
        let open = text.iter().position(|&b| b == b'(')?;
        let close = end_of_name(text)?;
        let fields: Vec<&[u8]> = fields(text, FIRST)?.collect();
        let field = |at: usize| fields.get(at - FIRST).copied();
        Some(Stat {
            name: text.get(open + 1..close)?.to_vec(),
            state: *field(3)?.first()?,
            ppid: number(field(4)?),
            tty: number(field(7)?)?,
            ticks: number::<u64>(field(14)?)?.saturating_add(number(field(15)?)?),
            nice: number(field(19)?)?,
            threads: number(field(20)?)?,
            start: number(field(22)?)?,
            vsize: number(field(23)?)?,
            rss: number(field(24)?)?,
        })
    }

    /// When the process started, in ticks since boot.
    #[must_use]
    pub(crate) fn start_of(text: &[u8]) -> Option<u64> {
        number(fields(text, 22)?.next()?)
    }

    /// The CPU time, threads, start time and pages alone: what is read of many processes again and again.
    #[must_use]
    pub(crate) fn usage(text: &[u8]) -> Option<[u64; 4]> {
        let mut fields = fields(text, 14)?;
        let mut after = |others: usize| decimal(fields.nth(others)?);
        let [user, system, threads, start, pages] = [after(0)?, after(0)?, after(4)?, after(1)?, after(1)?];
        Some([user.saturating_add(system), threads, start, pages])
    }

    /// Its priority as ps(1) counts it, where a higher one runs first, and the CPU that it ran on last. Apart, as few columns need
    /// them.
    #[must_use]
    pub fn priority_and_cpu(text: &[u8]) -> Option<(i64, i64)> {
        // The CPU is field 39.
        let mut fields = fields(text, 18)?;
        let priority: i64 = number(fields.next()?)?;
        Some((39 - priority, number(fields.nth(20)?)?))
    }

    /// The length of its environment. None while it executes a program, and if the kernel does not say it.
    #[must_use]
    pub(crate) fn environment_length(text: &[u8]) -> Option<u64> {
        // The end of the program's code. The kernel sets it after the environment, whose first address is field 50, and
        // the one after it field 51.
        let mut fields = fields(text, 27)?;
        let code: u64 = number(fields.next()?)?;
        let (first, end): (u64, u64) = (number(fields.nth(22)?)?, number(fields.next()?)?);
        end.checked_sub(first).filter(|_| code != 0 && first != 0)
    }

    /// Its process group and its session, by the PIDs of their leaders. Apart, as few columns need them.
    #[must_use]
    pub fn group_and_session(text: &[u8]) -> Option<(i32, i32)> {
        let mut fields = fields(text, 5)?;
        Some((number(fields.next()?)?, number(fields.next()?)?))
    }
}

/// The number of the field after the name, the state, in proc_pid_stat(5).
const FIRST: usize = 3;

/// The fields from this number on.
fn fields(text: &[u8], from: usize) -> Option<impl Iterator<Item = &[u8]>> {
    let mut rest = text.get(end_of_name(text)? + 2..)?;
    for _ in FIRST..from {
        rest = &rest[memchr(b' ', rest)? + 1..];
    }
    Some(rest.split(|&b| b == b' ' || b == b'\n'))
}

/// The name can contain `) ` too.
fn end_of_name(text: &[u8]) -> Option<usize> {
    memrchr(b')', text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_can_contain_parentheses() {
        let text = b"7 (a) S 1) R 3 7 7 34816 7 4194304 1 0 0 0 5 6 0 0 20 -5 2 0 99 4096 25 18446744073709551615 1\n";
        let stat = Stat::parse(text).expect("parses");
        assert_eq!(stat.name, b"a) S 1");
        assert_eq!((stat.state, stat.ppid, stat.tty), (b'R', Some(3), 34816));
        assert_eq!(Stat::group_and_session(b"7 (a) S 1) R 3 8 9 0"), Some((8, 9)));
        assert_eq!((stat.ticks, stat.nice, stat.threads), (11, -5, 2));
        let long =
            b"7 (a) S 1) R 3 7 7 0 7 0 1 0 0 0 5 6 0 0 20 0 1 0 9 4096 25 1 1 1 1 1 1 0 0 0 0 0 0 0 17 3 0 0";
        assert_eq!(Stat::priority_and_cpu(long), Some((19, 3)));
        assert_eq!(Stat::priority_and_cpu(text), None);
        assert_eq!((stat.start, stat.vsize, stat.rss), (99, 4096, 25));
        assert_eq!(Stat::usage(text), Some([11, 2, 99, 25]));
        assert_eq!(Stat::usage(b"7 (a) R 3"), None);
        let most =
            b"7 (a) R 3 7 7 0 7 0 1 0 0 0 18446744073709551615 18446744073709551615 0 0 20 0 2 0 99 0 0 0\n";
        assert_eq!(Stat::parse(most).expect("parses").ticks, u64::MAX);
        for end in 0..text.len() {
            let _ = Stat::parse(&text[..end]);
        }
    }

    #[test]
    fn the_length_of_the_environment() {
        let read = |file: &str| std::fs::read(format!("/proc/self/{file}")).expect("a file of proc");
        assert_eq!(Stat::environment_length(&read("stat")), Some(read("environ").len() as u64));
        let executing = format!("7 (sh) R {}", ["0"; 49].join(" "));
        assert_eq!(Stat::environment_length(executing.as_bytes()), None);
        assert_eq!(Stat::environment_length(b"7 (sh) R 1"), None);
    }
}
