//! Columns of other programs: those that are here by another name, those that ctr-ps does not have, and options after `-o`.

/// Names of ps(1), and the names that they have here. CMD is the name of the process, and COMMAND its command line: so
/// are ps's `comm` and `args`.
pub(in crate::applets::ctr_ps) const SYNONYMS: &[(&str, &str)] = &[
    ("ARGS", "COMMAND"),
    ("COMM", "CMD"),
    ("UCMD", "CMD"),
    ("UCOMM", "CMD"),
    ("STAT", "STATE"),
    ("S", "STATE"),
    ("ETIME", "ELAPSED"),
    ("%CPU", "CPU"),
    ("PCPU", "CPU"),
    ("%MEM", "MEM"),
    ("PMEM", "MEM"),
    ("TT", "TTY"),
    ("TNAME", "TTY"),
    ("UNAME", "USER"),
    ("EUSER", "USER"),
    ("EUID", "UID"),
    ("EGROUP", "GROUP"),
    ("PGRP", "PGID"),
    ("SESS", "SID"),
    ("SESSION", "SID"),
    ("NI", "NICE"),
    ("NLWP", "THREADS"),
    ("THCOUNT", "THREADS"),
    ("LWP", "TID"),
    ("SPID", "TID"),
    ("VSIZE", "VSZ"),
    ("RSSIZE", "RSS"),
    ("RSZ", "RSS"),
    ("CPUTIME", "TIME"),
    ("LSTART", "START"),
    ("START_TIME", "STIME"),
    ("LABEL", "LSM"),
    ("EGID", "GID"),
    ("CGNAME", "CGROUP"),
    ("FNAME", "CMD"),
];

/// The long format of ps.
pub(in crate::applets::ctr_ps) const LONG: &str =
    "-o uid,pid,ppid,c,pri,nice,rss,vsz,wchan,tty,time,container,cmd";

/// What to type instead, in upper case.
const COLUMNS: &[(&[&str], &str)] = &[
    (&["JSON", "YAML", "JSONPATH"], "--json"),
    (&["TABLE"], "ctr-ps without -o"),
    (&["WIDE"], "-w"),
    (&["DRS", "TRS", "SZ", "SIZE"], "-o vsz; -l -o rootfs for the files of containers"),
    (&["PSS", "USS"], "-o rss"),
    (&["SUID", "FUID", "SVUID", "FSUID"], "-o uid,ruid"),
    (&["SUSER", "FUSER", "SVUSER", "FSUSER"], "-o user,ruser"),
    (
        &["RGID", "SGID", "FGID", "SVGID", "FSGID", "RGROUP", "SGROUP", "FGROUP", "SUPGRP", "SUPGID"],
        "-o group,gid",
    ),
    (&["UNIT", "UUNIT", "SLICE", "LSESSION"], "-o cgroup"),
    (&["MACHINE", "LXC"], "-o container"),
    (&["OOM", "OOMADJ"], "-o oom_score"),
    (&["CP"], "-o c"),
    (&["BSDSTART"], "-o stime"),
    (&["BSDTIME", "CPUTIMES"], "-o time"),
    (&["NWCHAN"], "-o wchan"),
    (&["CLS", "CLASS", "POLICY", "RTPRIO"], "-o pri,nice"),
    (&["SIG", "PENDING", "BLOCKED", "CAUGHT", "IGNORED"], "-o pid, and grep Sig /proc/PID/status"),
    (&["MOUNTS", "NETWORKS", "LOCALVOLUMES"], "ctr-inspect TARGET"),
];

/// What to type instead of `-o NAME`.
pub(in crate::applets::ctr_ps) fn instead(name: &str) -> Option<&'static str> {
    let is_it = |known: &&str| name.eq_ignore_ascii_case(known);
    COLUMNS.iter().find(|(names, _)| names.iter().any(is_it)).map(|(_, instead)| *instead)
}
