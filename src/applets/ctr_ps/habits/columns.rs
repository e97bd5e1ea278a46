//! Columns of other programs that ctr-ps does not have, and options after `-o`.

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
    COLUMNS.iter().find(|(names, _)| names.iter().any(|name| is_it(name))).map(|(_, instead)| *instead)
}
