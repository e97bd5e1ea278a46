//! The data that the checks read: this process in /proc, sysctl settings, mounts.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use caps::Capability;
use nix::unistd::{Pid, geteuid};

use crate::isolation::capabilities::own;
use crate::isolation::ns;
use crate::proc::idmap::Range;
use crate::proc::mountinfo::{self, MountInfo};
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, open_of_proc};

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
        self.text(&self.proc.of_host(format!("sys/{name}")))?.trim().parse().ok()
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
        match self.field("Uid") {
            Some(ids) => ids.split_whitespace().nth(1)?.parse().ok(),
            None => self.is_running().then(|| geteuid().as_raw()),
        }
    }

    pub(super) fn egid(&self) -> Option<u32> {
        self.field("Gid")?.split_whitespace().nth(1)?.parse().ok()
    }

    /// Does this process lack the capability in its own user namespace?
    pub(super) fn lacks(&self, capability: Capability) -> Option<bool> {
        let effective = match self.field("CapEff") {
            Some(digits) => mask(digits)?,
            None if self.is_running() => own::flags().ok()?.effective, // there may be no /proc
            None => return None,
        };
        Some(effective & capability.bitmask() == 0)
    }

    /// Can no program that this process executes get the capability?
    fn is_out_of_bounds(&self, capability: Capability) -> bool {
        let bounding = match self.field("CapBnd") {
            Some(digits) => mask(digits),
            None if self.is_running() => own::last().and_then(own::bounding).ok(),
            None => None,
        };
        bounding.is_some_and(|bounding| bounding & capability.bitmask() == 0)
    }

    /// The remedy for a missing capability. sudo(8) is none where it cannot give the capability.
    pub(super) fn by_root(&self, capability: Capability) -> &'static str {
        let root = self.euid() == Some(0);
        if self.is_out_of_bounds(capability) && !root {
            return "it is not in the bounding set, so not even sudo(8) gives it; start the container with it \
                    (--cap-add), or act from outside";
        }
        match self.field("NoNewPrivs") {
            _ if root => "root lacks it here, as in a container; start the container with more (--cap-add)",
            Some("1") => {
                "no_new_privs is set on this process, so not even sudo(8) gives it (systemd: NoNewPrivileges=, \
                 docker: --security-opt no-new-privileges)"
            }
            _ => "run as root, for example with sudo(8)",
        }
    }

    /// `user 1000`. A user without an id in the caller's user namespace has no number here.
    pub(super) fn user(&self, uid: u32) -> String {
        match self.is_mapped(uid) {
            true => format!("user {uid}"),
            false => "a user without an id here".to_owned(),
        }
    }

    /// `user 1000; run as that user, or with CAP_SYS_ADMIN: run as root, for example with sudo(8)`
    pub(super) fn other_user(&self, uid: u32) -> String {
        let act = if self.is_mapped(uid) { "run as that user" } else { "act from outside" };
        format!(
            "{}; {act}, or with CAP_SYS_ADMIN: {}",
            self.user(uid),
            self.by_root(Capability::CAP_SYS_ADMIN)
        )
    }

    fn is_mapped(&self, uid: u32) -> bool {
        self.own_ids("uid_map").is_none_or(|ids| ids.iter().any(|range| range.contains(uid)))
    }

    /// Is it the /proc of the running system, and not that of a test?
    fn is_running(&self) -> bool {
        self.proc.is_own()
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

    /// The ids that exist in the user namespace of this process: the inner sides of its map.
    pub(super) fn own_ids(&self, file: &str) -> Option<Vec<Range>> {
        self.text(&self.proc.own(file)).map(|text| Range::identity_of(text.as_bytes()))
    }

    /// Is this process in the initial user namespace?
    pub(super) fn in_first_user_ns(&self) -> Option<bool> {
        let meta = std::fs::metadata(self.proc.own(&Kind::User.link())).ok()?;
        Some(Kind::User.first_inode() == Some(meta.ino()))
    }

    /// A namespace of this process.
    pub(super) fn own_ns(&self, kind: Kind) -> Option<OwnedFd> {
        ns::open_file(&self.proc.own(&kind.link())).ok()
    }
}

/// Reads a file of procfs only: a container can mount anything over it.
fn text(proc: &ProcRoot, path: &Path) -> Option<String> {
    let file =
        if proc.is_own() { open_of_proc(path) } else { proc.open(path).map(File::from).map_err(Into::into) };
    let mut text = Vec::new();
    file.ok()?.take(ProcRoot::LARGEST).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn field<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A set of capabilities as status shows it.
pub(super) fn mask(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}
