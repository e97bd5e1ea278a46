//! The table of capabilities: number, name and what each one allows (capabilities(7)).

/// A row; its index in [`TABLE`] is the number.
pub(crate) struct Capability {
    pub name: &'static str,
    /// What it allows, in lines of at most 60 characters.
    pub help: &'static [&'static str],
}

const fn row(name: &'static str, help: &'static [&'static str]) -> Capability {
    Capability { name, help }
}

/// All named capabilities of Linux 6.18, by number.
pub(crate) static TABLE: [Capability; 41] = [
    row("cap_chown", &["Change the user and group of any file."]),
    row(
        "cap_dac_override",
        &[
            "Read and write any file and search any directory, and",
            "execute any file with an execute bit, regardless of modes",
            "and access control lists.",
        ],
    ),
    row(
        "cap_dac_read_search",
        &[
            "Read any file and search any directory, regardless of",
            "modes, and open files by handle: with the latter a",
            "container reaches every file of a filesystem of which it",
            "has one file.",
        ],
    ),
    row(
        "cap_fowner",
        &[
            "Act as the owner of any file: change its mode,",
            "times, flags and access control list, and remove it from",
            "a directory with the sticky bit.",
        ],
    ),
    row(
        "cap_fsetid",
        &[
            "Keep the set-user-ID and set-group-ID bits of a modified",
            "file, and set the latter for a group that the process is",
            "not in.",
        ],
    ),
    row("cap_kill", &["Send signals to processes of any user."]),
    row(
        "cap_setgid",
        &[
            "Become any group, set any supplementary groups,",
            "send any group ID over a socket, and write the group map of a",
            "user namespace.",
        ],
    ),
    row(
        "cap_setuid",
        &["Become any user, send any user ID over a socket, and write", "the user map of a user namespace."],
    ),
    row(
        "cap_setpcap",
        &[
            "Drop capabilities from the bounding set, add any of that",
            "set to the inheritable set, and change the securebits.",
            "It never adds to the permitted set.",
        ],
    ),
    row(
        "cap_linux_immutable",
        &["Set and clear the immutable and append-only attributes of", "files (chattr +i, +a)."],
    ),
    row("cap_net_bind_service", &["Bind to ports below 1024 (or below", "ip_unprivileged_port_start)."]),
    row("cap_net_broadcast", &["Nothing: the kernel does not check it."]),
    row(
        "cap_net_admin",
        &[
            "Configure the network of its network namespace:",
            "interfaces, addresses, routes, firewall, traffic control,",
            "promiscuous mode, transparent proxies.",
        ],
    ),
    row(
        "cap_net_raw",
        &[
            "Send and receive raw packets (ping, tcpdump, forged",
            "addresses), and bind to any address for a proxy.",
        ],
    ),
    row("cap_ipc_lock", &["Lock memory beyond RLIMIT_MEMLOCK, and use huge pages."]),
    row(
        "cap_ipc_owner",
        &["Use any System V message queue, semaphore and shared", "memory, regardless of its mode."],
    ),
    row("cap_sys_module", &["Load and remove kernel modules, which allows everything."]),
    row(
        "cap_sys_rawio",
        &[
            "Access hardware without a driver: I/O ports, /dev/mem,",
            "/proc/kcore, any SCSI command, registers of the CPU.",
        ],
    ),
    row("cap_sys_chroot", &["Change the root directory, and enter mount and time", "namespaces."]),
    row(
        "cap_sys_ptrace",
        &[
            "Trace, read and write the memory of any process, take its",
            "descriptors, and read its protected files in /proc.",
        ],
    ),
    row("cap_sys_pacct", &["Turn process accounting on and off."]),
    row(
        "cap_sys_admin",
        &[
            "Most privileges of root that no other capability covers:",
            "mount and unmount, make and enter namespaces, set host and",
            "domain name, quotas, swap, the encryption of disks, trusted",
            "extended attributes, load any BPF program, trace any device.",
            "With it a container is not a boundary.",
        ],
    ),
    row("cap_sys_boot", &["Reboot, and load another kernel to boot (kexec)."]),
    row(
        "cap_sys_nice",
        &[
            "Set for any process: priority, real-time scheduling,",
            "CPU affinity, I/O class, NUMA placement of its memory.",
        ],
    ),
    row(
        "cap_sys_resource",
        &[
            "Raise hard limits, and exceed limits: of processes,",
            "disk quotas, space reserved for root, consoles, queues.",
            "It also allows lowering oom_score_adj.",
        ],
    ),
    row("cap_sys_time", &["Set the clocks."]),
    row("cap_sys_tty_config", &["Configure terminals, and hang one up (vhangup)."]),
    row(
        "cap_mknod",
        &["Create device files. The device control group decides", "which of them may be opened."],
    ),
    row("cap_lease", &["Take leases on any file (fcntl(2), F_SETLEASE)."]),
    row("cap_audit_write", &["Write to the audit log of the kernel (login, sudo, su)."]),
    row("cap_audit_control", &["Turn auditing on and off, and set its rules."]),
    row("cap_setfcap", &["Set file capabilities, and map the parent's user 0 into a", "new user namespace."]),
    row("cap_mac_override", &["Bypass the access control of Smack."]),
    row(
        "cap_mac_admin",
        &["Configure mandatory access control: Smack, and labels", "unknown to the policy of SELinux."],
    ),
    row("cap_syslog", &["Read and clear the kernel log, and see kernel addresses in", "/proc."]),
    row("cap_wake_alarm", &["Set timers that wake up the system."]),
    row("cap_block_suspend", &["Keep the system from going to sleep."]),
    row("cap_audit_read", &["Read the audit log of the kernel as it is written."]),
    row(
        "cap_perfmon",
        &[
            "Measure performance and observe the whole system (perf):",
            "events of all processes, and BPF programs that read the",
            "memory of the kernel.",
        ],
    ),
    row(
        "cap_bpf",
        &["Load BPF programs and create maps. Some programs also", "need cap_perfmon or cap_net_admin."],
    ),
    row(
        "cap_checkpoint_restore",
        &[
            "Checkpoint and restore processes (CRIU): choose PIDs, and",
            "see the files that memory is mapped from.",
        ],
    ),
];

/// The number for a name: in any case, or a number below 64 as strtoul(3) reads it (`0x1f`, `017`). Nothing may
/// follow; libcap accepts `cap_kill,cap_chown` as cap_kill.
#[must_use]
pub(crate) fn number(word: &str) -> Option<u8> {
    let named = TABLE.iter().position(|row| row.name.eq_ignore_ascii_case(word));
    let number = named.or_else(|| {
        let digit = word.starts_with(|first: char| first.is_ascii_digit());
        usize::try_from(digit.then(|| integer(word))??).ok()
    })?;
    u8::try_from(number).ok().filter(|number| *number < 64)
}

/// The whole word as strtoul(3) reads it with base 0. None if it is not a number, or too large.
#[must_use]
pub fn integer(word: &str) -> Option<u64> {
    let word = word.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let word = word.strip_prefix('+').unwrap_or(word);
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let (digits, radix) = match (hex, word.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (word, 10),
    };
    let plain = digits.starts_with(|first: char| first.is_digit(radix)); // no second sign
    plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// `cap_chown`; a capability without a name is shown as its number.
pub(super) fn push_name(text: &mut String, number: u8) {
    match TABLE.get(usize::from(number)) {
        Some(row) => text.push_str(row.name),
        None => text.push_str(&number.to_string()),
    }
}

#[must_use]
pub(crate) fn name(number: u8) -> String {
    let mut text = String::new();
    push_name(&mut text, number);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_convert_both_ways() {
        for n in 0..64 {
            assert_eq!(number(&name(n)), Some(n));
            assert_eq!(number(&name(n).to_uppercase()), Some(n));
        }
        for (word, n) in
            [("0x1f", Some(31)), ("010", Some(8)), ("64", None), ("-1", None), ("+1", None), (" 1", None)]
        {
            assert_eq!(number(word), n, "{word}");
        }
        for word in ["", "chown", "cap_chown ", "cap_chown,cap_kill", "1x", "08", "0x", "all"] {
            assert_eq!(number(word), None, "{word}");
        }
    }

    #[test]
    fn integers_of_strtoul() {
        for (word, n) in [(" 0", 0), ("+7", 7), ("0x2F", 47), ("010", 8), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(integer(word), Some(n), "{word}");
        }
        for word in ["", "-1", "x", "1x", "0x", "0x+1", "0+1", "+-1", "18446744073709551616"] {
            assert_eq!(integer(word), None, "{word}");
        }
    }

    #[test]
    fn every_capability_is_explained_in_short_lines() {
        for row in &TABLE {
            assert!(!row.help.is_empty(), "{}", row.name);
            assert!(row.help.iter().all(|line| line.len() <= 62), "{}", row.name);
            assert!(row.help.last().is_some_and(|line| line.ends_with('.')), "{}", row.name);
        }
    }
}
