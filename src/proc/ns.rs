//! The eight kinds of namespaces (namespaces(7)).

use std::ffi::{CStr, c_int};

/// In the order in which they are entered. The user namespace is first, as it gives the capabilities that the others
/// require. A caller that already has them enters it last, see `isolation::ns::Set`. The mount namespace comes late, so
/// that paths in messages stay valid. The time namespace is last: it affects only children, and no other needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    User,
    Cgroup,
    Ipc,
    Uts,
    Net,
    Pid,
    Mnt,
    Time,
}

impl Kind {
    pub const ALL: [Kind; 8] =
        [Kind::User, Kind::Cgroup, Kind::Ipc, Kind::Uts, Kind::Net, Kind::Pid, Kind::Mnt, Kind::Time];

    /// The name below /proc/PID/ns.
    #[must_use]
    pub const fn proc_name(self) -> &'static str {
        self.row().0
    }

    pub(crate) const fn c_name(self) -> &'static CStr {
        match self {
            Kind::User => c"user",
            Kind::Cgroup => c"cgroup",
            Kind::Ipc => c"ipc",
            Kind::Uts => c"uts",
            Kind::Net => c"net",
            Kind::Pid => c"pid",
            Kind::Mnt => c"mnt",
            Kind::Time => c"time",
        }
    }

    /// The CLONE_NEW flag for setns(2) and unshare(2).
    #[must_use]
    pub const fn flag(self) -> c_int {
        self.row().1
    }

    /// `ns/NAME`, the path below /proc/PID.
    #[must_use]
    pub fn link(self) -> String {
        format!("ns/{}", self.proc_name())
    }

    /// The inode of the first namespace of the kind, where that is the same on every kernel (Linux include/linux/proc_ns.h).
    #[must_use]
    pub(crate) const fn first_inode(self) -> Option<u64> {
        match self {
            Kind::Time => Some(4_026_531_834),
            Kind::Cgroup => Some(4_026_531_835),
            Kind::Pid => Some(4_026_531_836),
            Kind::User => Some(4_026_531_837),
            Kind::Uts => Some(4_026_531_838),
            Kind::Ipc => Some(4_026_531_839),
            Kind::Net | Kind::Mnt => None,
        }
    }

    const fn row(self) -> (&'static str, c_int) {
        match self {
            Kind::User => ("user", libc::CLONE_NEWUSER),
            Kind::Cgroup => ("cgroup", libc::CLONE_NEWCGROUP),
            Kind::Ipc => ("ipc", libc::CLONE_NEWIPC),
            Kind::Uts => ("uts", libc::CLONE_NEWUTS),
            Kind::Net => ("net", libc::CLONE_NEWNET),
            Kind::Pid => ("pid", libc::CLONE_NEWPID),
            Kind::Mnt => ("mnt", libc::CLONE_NEWNS),
            Kind::Time => ("time", 0x80), // CLONE_NEWTIME, since Linux 5.6
        }
    }
}

/// The inode in the text of a namespace link, `net:[4026531840]`.
#[must_use]
pub fn parse_link(text: &[u8]) -> Option<u64> {
    // Parsed by hand: a scan reads hundreds of thousands of links.
    let start = text.iter().position(|&b| b == b'[')? + 1;
    let digits = text.get(start..)?.strip_suffix(b"]").filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u64, |number, &digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_the_running_kernel() {
        for kind in Kind::ALL {
            let link = format!("/proc/self/{}", kind.link());
            assert_eq!(kind.c_name().to_str(), Ok(kind.proc_name()));
            if let Ok(target) = std::fs::read_link(&link) {
                let target = target.to_string_lossy().into_owned();
                assert!(target.starts_with(&format!("{}:[", kind.proc_name())), "{link} -> {target}");
                assert!(parse_link(target.as_bytes()).is_some());
            }
        }
        assert_eq!(parse_link(b"net:[12]"), Some(12));
        assert_eq!(parse_link(b"net:[x]"), None);
        assert_eq!(parse_link(b"net:[]"), None);
        assert_eq!(parse_link(b"net:[-1]"), None);
        assert_eq!(parse_link(b"net:[18446744073709551615]"), Some(u64::MAX));
        assert_eq!(parse_link(b"net:[18446744073709551616]"), None);
        assert_eq!(parse_link(b"net:[12"), None);
        assert_eq!(parse_link(b""), None);
    }
}
