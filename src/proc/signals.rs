//! What a process does with signals, from `/proc/PID/status` of its threads (proc_pid_status(5)).

/// A set of signals: bit N is signal N + 1.
pub(crate) type SignalSet = u64;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignalSets {
    pub ignored: SignalSet,
    pub caught: SignalSet,
    /// The signals that the thread blocks.
    pub blocked: SignalSet,
}

impl SignalSets {
    /// None if the text is cut.
    #[must_use]
    pub(crate) fn parse(status: &[u8]) -> Option<SignalSets> {
        let set = |name: &[u8]| {
            let line = status.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name))?;
            SignalSet::from_str_radix(std::str::from_utf8(line.trim_ascii()).ok()?, 16).ok()
        };
        Some(SignalSets { ignored: set(b"SigIgn:")?, caught: set(b"SigCgt:")?, blocked: set(b"SigBlk:")? })
    }
}

/// Is the signal in the set?
#[must_use]
pub(crate) const fn has(set: SignalSet, signal: i32) -> bool {
    signal >= 1 && signal <= 64 && set >> (signal - 1) & 1 == 1
}

/// The address of the set that a thread waits for in rt_sigtimedwait(2), from the text of `/proc/PID/syscall`. The
/// kernel takes the signals of that set out of the blocked ones while the thread waits.
#[must_use]
pub(crate) fn awaited_set(syscall: &[u8]) -> Option<u64> {
    let mut words = syscall.split(|&b| b == b' ');
    let number: i64 = super::number(words.next()?)?;
    if number != libc::SYS_rt_sigtimedwait {
        return None;
    }
    let address = std::str::from_utf8(words.next()?).ok()?.strip_prefix("0x")?;
    u64::from_str_radix(address, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_waits() {
        let text = b"Name:\tSigIgn: 1\nSigBlk:\t0000000000010000\nSigIgn:\t0000000000004000\nSigCgt:\t0000000000000002\n";
        let sets = SignalSets::parse(text).expect("sets");
        assert!(
            has(sets.ignored, 15) && has(sets.caught, 2) && has(sets.blocked, 17) && !has(sets.caught, 15)
        );
        assert!(!has(u64::MAX, 0) && !has(u64::MAX, 65));
        assert_eq!(SignalSets::parse(b"SigIgn:\t0\n"), None);
        let wait = format!("{} 0x7ffd0010 0x0 0x1 0x8 0x0 0x0 0x7ffd 0x40\n", libc::SYS_rt_sigtimedwait);
        assert_eq!(awaited_set(wait.as_bytes()), Some(0x7ffd_0010));
        assert_eq!(awaited_set(b"running\n"), None);
        assert_eq!(awaited_set(b"0 0x1\n"), None);
    }
}
