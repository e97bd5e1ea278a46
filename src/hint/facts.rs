//! What the checks look at: our own process as /proc shows it, sysctl settings, mounts.

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

/// The inode of the first user namespace, on every kernel.
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

    /// Is there anything to see?
    pub(super) fn seen(&self) -> bool {
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

    /// A field of our `/proc/self/status`.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        field(self.status.as_deref()?, name)
    }

    /// A field of another process's.
    pub(super) fn field_of(&self, pid: Pid, name: &str) -> Option<String> {
        field(&self.text(&self.proc.path_of(pid, "status"))?, name).map(str::to_owned)
    }

    pub(super) fn euid(&self) -> Option<u32> {
        self.field("Uid")?.split_whitespace().nth(1)?.parse().ok()
    }

    /// Are we without this capability, in our own user namespace?
    pub(super) fn lacks(&self, capability: Capability) -> Option<bool> {
        Some(mask(self.field("CapEff")?)? & capability.bitmask() == 0)
    }

    /// A seccomp filter judges our system calls.
    pub(super) fn filtered(&self) -> Option<bool> {
        Some(self.field("Seccomp")? == "2")
    }

    /// The profile or context that a security module has us in, if it is more than `unconfined`.
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

    /// The ids that our user namespace has: the inner sides of its map.
    pub(super) fn own_ids(&self, file: &str) -> Option<Vec<Range>> {
        self.text(&self.proc.own(file)).map(|text| Range::identity_of(text.as_bytes()))
    }

    /// Are we in the user namespace that the system began with?
    pub(super) fn in_first_user_ns(&self) -> Option<bool> {
        let meta = std::fs::metadata(self.proc.own(&Kind::User.link())).ok()?;
        Some(meta.ino() == FIRST_USER_NS)
    }

    /// A namespace of our own.
    pub(super) fn own_ns(&self, kind: Kind) -> Option<OwnedFd> {
        ns::open_file(&self.proc.own(&kind.link())).ok()
    }
}

/// A file of proc, and no other: a container may have mounted anything over it, and what is no file is not waited for.
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
