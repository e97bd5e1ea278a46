//! The data that the checks read: this process in /proc, sysctl settings, mounts.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use caps::Capability;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::Pid;

use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::proc::idmap::Range;
use crate::proc::mountinfo::{self, MountInfo};
use crate::proc::ns::Kind;

/// The inode of the initial user namespace, on every kernel.
const FIRST_USER_NS: u64 = 4_026_531_837;

pub(super) struct Facts<'a> {
    pub proc: &'a ProcRoot,
    status: Option<String>,
    mounts: OnceCell<Option<Vec<MountInfo>>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(proc: &'a ProcRoot) -> Facts<'a> {
        Facts { proc, status: text(proc, &proc.own("status")), mounts: OnceCell::new() }
    }

    /// Could /proc be read?
    pub(super) fn is_readable(&self) -> bool {
        self.status.is_some()
    }

    /// A file below /proc.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        text(self.proc, path)
    }

    /// The number that `/proc/sys/NAME` holds.
    pub(super) fn sysctl(&self, name: &str) -> Option<u64> {
        self.text(&self.proc.path().join("sys").join(name))?.trim().parse().ok()
    }

    /// A field of `/proc/self/status`.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        field(self.status.as_deref()?, name)
    }

    /// A field of `/proc/PID/status`.
    pub(super) fn field_of(&self, pid: Pid, name: &str) -> Option<String> {
        field(&self.text(&self.proc.path_of(pid, "status"))?, name).map(str::to_owned)
    }

    pub(super) fn euid(&self) -> Option<u32> {
        self.field("Uid")?.split_whitespace().nth(1)?.parse().ok()
    }

    /// Does this process lack the capability in its own user namespace?
    pub(super) fn lacks(&self, capability: Capability) -> Option<bool> {
        Some(mask(self.field("CapEff")?)? & capability.bitmask() == 0)
    }

    /// Does a seccomp filter apply to this process?
    pub(super) fn filtered(&self) -> Option<bool> {
        Some(self.field("Seccomp")? == "2")
    }

    /// The profile or context that a security module applies to this process, unless it is `unconfined`.
    pub(super) fn label(&self) -> Option<String> {
        let own = |file| self.text(&self.proc.own(file));
        let label = own("attr/apparmor/current").or_else(|| own("attr/current"))?;
        let label = label.trim_end_matches(['\0', '\n']);
        (!label.is_empty() && label != "unconfined").then(|| label.to_owned())
    }

    pub(super) fn mounts(&self) -> Option<&[MountInfo]> {
        let read = || self.text(&self.proc.own("mountinfo")).map(|text| mountinfo::parse(&text));
        self.mounts.get_or_init(read).as_deref()
    }

    /// The ids that exist in the own user namespace: the inner sides of its map.
    pub(super) fn own_ids(&self, file: &str) -> Option<Vec<Range>> {
        self.text(&self.proc.own(file)).map(|text| Range::identity_of(text.as_bytes()))
    }

    /// Is this process in the initial user namespace?
    pub(super) fn in_first_user_ns(&self) -> Option<bool> {
        let meta = std::fs::metadata(self.proc.own(&Kind::User.link())).ok()?;
        Some(meta.ino() == FIRST_USER_NS)
    }

    /// A namespace of this process.
    pub(super) fn own_ns(&self, kind: Kind) -> Option<OwnedFd> {
        ns::open_file(&self.proc.own(&kind.link())).ok()
    }
}

/// Reads a file of procfs only: a container can mount anything over it, and a FIFO would block.
fn text(proc: &ProcRoot, path: &Path) -> Option<String> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let mut file: File = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let running = proc.path() == ProcRoot::default().path();
    if running && fstatfs(&file).ok()?.filesystem_type() != PROC_SUPER_MAGIC {
        return None;
    }
    let mut text = Vec::new();
    file.by_ref().take(ProcRoot::LARGEST).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn field<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A set of capabilities as status shows it.
pub(super) fn mask(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}
