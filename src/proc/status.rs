//! Parses `/proc/PID/status` by hand. It is read for every process, and the parser of the procfs crate takes 270,000
//! instructions in place of 5,000, for fields that are not needed.

/// The fields that a list of processes needs. A truncated file gives the fields before the cut.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Status {
    /// comm as escaped by the kernel: `\n` for a newline, `\\` for a backslash.
    pub name: Vec<u8>,
    /// R, S, D, T, t, Z, X, I.
    pub state: u8,
    pub ppid: Option<i32>,
    /// The real uid.
    pub ruid: Option<u32>,
    /// The effective uid, which ps shows.
    pub euid: Option<u32>,
    /// PIDs in nested pid namespaces, from that of the proc mount (first) to that of the process (last).
    pub nspid: Vec<i32>,
    pub kernel_thread: bool,
}

impl Status {
    #[must_use]
    pub fn parse(text: &[u8]) -> Status {
        let mut status = Status::default();
        let mut kthread = None;
        let mut memory = false;
        for line in text.split(|&b| b == b'\n') {
            if !matches!(line.first(), Some(b'N' | b'S' | b'P' | b'U' | b'K' | b'V')) {
                continue;
            }
            let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
            let value = line[colon + 1..].trim_ascii();
            match &line[..colon] {
                b"Name" => status.name = value.to_vec(),
                b"State" => status.state = value.first().copied().unwrap_or(b'?'),
                b"PPid" => status.ppid = number(value),
                b"Uid" => {
                    let mut ids = fields(value).map(number);
                    (status.ruid, status.euid) = (ids.next().flatten(), ids.next().flatten());
                }
                b"NSpid" => status.nspid = fields(value).filter_map(number).collect(),
                b"Kthread" => kthread = Some(value == b"1"), // since Linux 6.8
                b"VmPeak" | b"VmSize" => {
                    memory = true;
                    break; // no needed field follows
                }
                _ => {}
            }
        }
        // Before Linux 6.8: a kernel thread is kthreadd (PID 2) or its child, and has no memory map. A zombie has none
        // either.
        status.kernel_thread = kthread.unwrap_or_else(|| {
            let pid = status.nspid.first().copied();
            let kthreadd = pid == Some(2) && status.name == b"kthreadd";
            !memory && status.state != b'Z' && (kthreadd || status.ppid == Some(2)) && status.nspid.len() <= 1
        });
        status
    }
}

/// The CPUs that the process may run on, as a list like `0-3,8`, from `/proc/PID/status`.
pub(crate) fn cpus_allowed(text: &[u8]) -> Option<&[u8]> {
    let mut lines = text.split(|&b| b == b'\n');
    lines.find_map(|line| line.strip_prefix(b"Cpus_allowed_list:")).map(<[u8]>::trim_ascii)
}

/// The number of CPUs in a list.
pub(crate) fn count_of_list(list: &[u8]) -> u64 {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    std::str::from_utf8(list).unwrap_or_default().split(',').filter_map(count).sum()
}

pub(super) fn fields(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| b.is_ascii_whitespace()).filter(|field| !field.is_empty())
}

/// Parses a decimal number from bytes; std parses only `str`.
pub(crate) fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A number without a sign, for what is read many times: in a fifth of the instructions.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, byte: &u8| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINED: &[u8] = b"Name:\tsleep\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t27276\nNgid:\t0\n\
        Pid:\t27276\nPPid:\t27247\nTracerPid:\t0\nUid:\t0\t1234\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 10\n\
        NStgid:\t27276\t1\nNSpid:\t27276\t7\t1\nNSpgid:\t27276\t1\nVmPeak:\t    2268 kB\n";

    #[test]
    fn numbers_without_a_sign() {
        let all = [
            "0",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999",
            "",
            "-1",
            "+1",
            "1 ",
        ];
        let found = all.map(|text| decimal(text.as_bytes()));
        let most = Some(u64::MAX);
        assert_eq!(found, [Some(0), most, None, None, None, None, None, None]);
    }

    #[test]
    fn lists_of_cpus_are_counted() {
        for (list, count) in [("0-1", 2), ("0", 1), ("0-3,8,10-11", 7), ("", 0), ("x", 0), ("3-1", 0)] {
            assert_eq!(count_of_list(list.as_bytes()), count, "{list}");
        }
        let status = b"Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1,4\n";
        assert_eq!(cpus_allowed(status).map(count_of_list), Some(3));
    }

    #[test]
    fn a_process_in_nested_pid_namespaces() {
        let status = Status::parse(CONTAINED);
        assert_eq!(
            status,
            Status {
                name: b"sleep".to_vec(),
                state: b'S',
                ppid: Some(27247),
                ruid: Some(0),
                euid: Some(1234),
                nspid: vec![27276, 7, 1],
                kernel_thread: false,
            }
        );
    }

    #[test]
    fn hostile_names_stay_on_their_line() {
        let status =
            Status::parse(b"Name:\tx) \\nUid:\\t0 S \xff\nState:\tZ (zombie)\nPPid:\t2\nNSpid:\t77\n");
        assert_eq!(status.name, b"x) \\nUid:\\t0 S \xff");
        assert_eq!(status.euid, None);
        assert!(!status.kernel_thread, "a zombie child of PID 2 is not a kernel thread");
    }

    #[test]
    fn kernel_threads_are_found_with_and_without_kthread() {
        assert!(Status::parse(b"Name:\tkworker/0:1\nState:\tI (idle)\nPPid:\t2\nNSpid:\t8\n").kernel_thread);
        assert!(Status::parse(b"Name:\tkthreadd\nState:\tS (s)\nPPid:\t0\nNSpid:\t2\n").kernel_thread);
        assert!(Status::parse(b"Name:\tx\nPPid:\t1\nNSpid:\t9\nKthread:\t1\n").kernel_thread);
        assert!(!Status::parse(b"Name:\tkthreadd\nPPid:\t2\nNSpid:\t9\nKthread:\t0\n").kernel_thread);
        assert!(!Status::parse(b"Name:\tx\nState:\tS\nPPid:\t2\nNSpid:\t9\nVmPeak:\t1 kB\n").kernel_thread);
    }

    #[test]
    fn truncated_and_invalid_files_do_not_panic() {
        for end in 0..CONTAINED.len() {
            let _ = Status::parse(&CONTAINED[..end]);
        }
        assert_eq!(Status::parse(b"PPid:\t99999999999\nUid:\t-1 x\nNSpid:\n:::\n").ppid, None);
        assert_eq!(Status::parse(b"\0\0\0"), Status::default());
    }
}
