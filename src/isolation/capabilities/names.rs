//! THE table of capabilities: number, name and what each is good for (capabilities(7)).

/// A row; its number is its place in [`TABLE`].
pub(crate) struct Capability {
    pub name: &'static str,
    /// What a process may do with it, in lines of 60 letters.
    pub help: &'static [&'static str],
}

const fn row(name: &'static str, help: &'static [&'static str]) -> Capability {
    Capability { name, help }
}

/// All that have a name as of Linux 6.18, by number.
pub(crate) static TABLE: [Capability; 41] = [
    row("cap_chown", &["Give any file to any user and group."]),
    row(
        "cap_dac_override",
        &[
            "Read and write any file and search any directory, and",
            "execute a file that anybody may execute, whatever the",
            "modes and access control lists say.",
        ],
    ),
    row(
        "cap_dac_read_search",
        &[
            "Read any file and search any directory, whatever their",
            "modes say, and open files by handle: with the latter a",
            "container reaches every file of a filesystem that it has",
            "one file of.",
        ],
    ),
    row(
        "cap_fowner",
        &[
            "Do with any file what its owner may: change its mode,",
            "times, flags and access control list, and remove it from",
            "a directory with the sticky bit.",
        ],
    ),
    row(
        "cap_fsetid",
        &[
            "Keep the set-user-ID and set-group-ID bits of a file that",
            "is written to, and set the latter for a group that one is",
            "not in.",
        ],
    ),
    row("cap_kill", &["Send signals to processes of any user."]),
    row(
        "cap_setgid",
        &[
            "Become any group, drop and take any supplementary groups,",
            "claim any group on a socket, and write the group map of a",
            "user namespace.",
        ],
    ),
    row(
        "cap_setuid",
        &["Become any user, claim any user on a socket, and write the", "user map of a user namespace."],
    ),
    row(
        "cap_setpcap",
        &[
            "Drop capabilities from the own bounding set, take any of",
            "that set into the own inheritable set, and change the own",
            "securebits. It never gives what is not permitted already.",
        ],
    ),
    row(
        "cap_linux_immutable",
        &[
            "Change the attributes of files that forbid to change them",
            "or let them grow only (chattr +i, +a).",
        ],
    ),
    row(
        "cap_net_bind_service",
        &["Bind to the ports below 1024 (or what", "ip_unprivileged_port_start says)."],
    ),
    row("cap_net_broadcast", &["Nothing: the kernel does not ask for it."]),
    row(
        "cap_net_admin",
        &[
            "Configure the network of the own network namespace:",
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
        &["Use any System V message queue, semaphore and shared", "memory, whatever its mode says."],
    ),
    row("cap_sys_module", &["Load and remove modules of the kernel: everything."]),
    row(
        "cap_sys_rawio",
        &[
            "Talk to hardware past its driver: I/O ports, /dev/mem,",
            "/proc/kcore, any SCSI command, registers of the processor.",
        ],
    ),
    row("cap_sys_chroot", &["Change the root directory, and enter mount and time", "namespaces."]),
    row(
        "cap_sys_ptrace",
        &[
            "Trace, read and write the memory of any process, take its",
            "descriptors, and look at what else /proc has of it.",
        ],
    ),
    row("cap_sys_pacct", &["Turn process accounting on and off."]),
    row(
        "cap_sys_admin",
        &[
            "Most of what root may, and what no other capability has:",
            "mount and unmount, make and enter namespaces, set host and",
            "domain name, quotas, swap, the encryption of disks, trusted",
            "extended attributes, load any BPF program, trace any device.",
            "With it a container is no boundary.",
        ],
    ),
    row("cap_sys_boot", &["Reboot, and load another kernel to boot (kexec)."]),
    row(
        "cap_sys_nice",
        &[
            "Give any process any priority, real-time scheduling,",
            "processors, I/O class, and move its memory among nodes.",
        ],
    ),
    row(
        "cap_sys_resource",
        &[
            "Raise hard limits and go beyond limits: of processes,",
            "disk quotas, space kept for root, consoles, message queues.",
            "It also lowers oom_score_adj.",
        ],
    ),
    row("cap_sys_time", &["Set the clocks."]),
    row("cap_sys_tty_config", &["Configure terminals, and hang one up (vhangup)."]),
    row("cap_mknod", &["Make device files. What may be opened of them the device", "control group decides."]),
    row("cap_lease", &["Take leases on any file: to be told before others open it."]),
    row("cap_audit_write", &["Write to the audit log of the kernel (login, sudo, su)."]),
    row("cap_audit_control", &["Turn auditing on and off, and set its rules."]),
    row(
        "cap_setfcap",
        &["Give files capabilities, and map the parent's user 0 into a", "new user namespace."],
    ),
    row("cap_mac_override", &["Go beyond what the access control of Smack allows."]),
    row(
        "cap_mac_admin",
        &["Configure mandatory access control: Smack, and labels", "unknown to the policy of SELinux."],
    ),
    row(
        "cap_syslog",
        &["Read and clear the log of the kernel, and see addresses", "of the kernel in /proc."],
    ),
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
        &[
            "Load BPF programs and make maps. For some programs",
            "cap_perfmon or cap_net_admin is needed besides.",
        ],
    ),
    row(
        "cap_checkpoint_restore",
        &[
            "Freeze processes to files and bring them back (CRIU):",
            "choose PIDs, see what memory is mapped from.",
        ],
    ),
];

/// The number of a name: in any case, or a number below 64 as strtoul(3) reads it (`0x1f`, `017`). Nothing may
/// follow: theirs takes `cap_kill,cap_chown` for cap_kill.
#[must_use]
pub(crate) fn number(word: &str) -> Option<u8> {
    let named = TABLE.iter().position(|row| row.name.eq_ignore_ascii_case(word));
    let number = named.or_else(|| {
        let digit = word.starts_with(|first: char| first.is_ascii_digit());
        usize::try_from(digit.then(|| integer(word))??).ok()
    })?;
    u8::try_from(number).ok().filter(|number| *number < 64)
}

/// The whole word as strtoul(3) reads it with base 0. None: it does not, or the number has no room.
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

/// `cap_chown`; what has no name is its number.
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
    fn names_and_numbers_lead_to_each_other() {
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
