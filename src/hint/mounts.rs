//! Why a mount is refused.

use std::path::{Path, PathBuf};

use crate::proc::mountinfo::{MountInfo, MountOptFields};

use super::{Case, Finding, list};
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::proc::ns::Kind;
use crate::sys;

use Finding::{Answer, No, Perhaps, Sure};

/// A new proc shows the pid namespace of the process that mounts it, which needs CAP_SYS_ADMIN over that namespace.
pub(super) fn foreign_pid_ns(case: &Case<'_>) -> Option<Finding> {
    let pid_ns = case.facts.own_ns(Kind::Pid)?;
    Some(match ns::owner_of(&pid_ns) {
        // The owner is the user namespace of this process or one below; the ioctl fails for any other.
        Ok(_) => No,
        Err(nix::errno::Errno::EPERM) => Sure(
            "a new /proc shows the pid namespace of this process, which belongs to a user namespace above; \
             make a new pid namespace: --pid --fork"
                .to_owned(),
        ),
        Err(_) => return None,
    })
}

/// Directories of proc that exist as mount points: a mount there hides nothing.
const EMPTY: [&str; 2] = ["sys/fs/binfmt_misc", "fs/nfsd"];

/// A user namespace may mount proc only if another proc is fully visible: hidden parts must not become visible.
pub(super) fn masked(case: &Case<'_>) -> Option<Finding> {
    if case.facts.in_first_user_ns() == Some(true) {
        return Some(No);
    }
    let mounts = case.facts.mounts()?;
    let procs: Vec<&MountInfo> =
        mounts.iter().filter(|mount| mount.fs_type == "proc" && mount.root == "/").collect();
    let mut hidden: Vec<PathBuf> = Vec::new();
    for proc in &procs {
        let over = covering(proc, mounts);
        if over.is_empty() && !proc.mount_options.contains_key("ro") {
            return Some(No);
        }
        hidden.extend(over.into_iter().filter(|path| *path != proc.mount_point)); // a newer proc is mounted there
    }
    let shown: Vec<String> = hidden.iter().map(|path| path.display().to_string()).collect();
    let why = match (procs.is_empty(), shown.is_empty()) {
        (true, _) => "no proc is mounted here that is fully visible".to_owned(),
        (false, true) => "/proc is mounted read-only here".to_owned(),
        (false, false) => format!("parts of /proc are covered here ({})", list(&shown)),
    };
    let words = format!(
        "{why}, and then the kernel lets no user namespace mount another; start the container without that \
         (docker: --security-opt systempaths=unconfined, podman: --security-opt unmask=ALL, Kubernetes: \
         procMount: Unmasked)"
    );
    // Mounts made by this process itself would not count, but no one makes them.
    let alone = case.facts.filtered() == Some(false) && case.facts.label().is_none();
    Some(if alone { Sure(words) } else { Perhaps(words) })
}

/// The mounts that hide a part of this one.
fn covering(proc: &MountInfo, mounts: &[MountInfo]) -> Vec<PathBuf> {
    let over = mounts.iter().filter(|mount| mount.pid == proc.mnt_id);
    let empty = |mount: &MountInfo| {
        let below = mount.mount_point.strip_prefix(&proc.mount_point);
        below.is_ok_and(|below| EMPTY.iter().any(|name| below == Path::new(name)))
    };
    over.filter(|mount| !empty(mount)).map(|mount| mount.mount_point.clone()).collect()
}

/// Each user namespace has its own binfmt_misc since Linux 6.7.
pub(super) fn binfmt(case: &Case<'_>) -> Option<Finding> {
    Some(match (ns::kernel() < (6, 7), case.facts.in_first_user_ns()?) {
        (true, false) => Sure("user namespaces have their own binfmt_misc only since Linux 6.7".to_owned()),
        _ => No,
    })
}

pub(super) fn no_binfmt(case: &Case<'_>) -> Option<Finding> {
    let systems = case.facts.text(&case.facts.proc.of_host("filesystems"))?;
    Some(match systems.lines().any(|line| line.split_whitespace().last() == Some("binfmt_misc")) {
        true => No,
        false => Sure("the module binfmt_misc is not loaded; as root: modprobe binfmt_misc".to_owned()),
    })
}

/// Propagation is a property of mounts, and a directory that is not a mount has none.
pub(super) fn root_is_no_mount(case: &Case<'_>) -> Option<Finding> {
    let listed = || Some(case.facts.mounts()?.iter().any(|mount| mount.mount_point == Path::new("/")));
    // statx(2) shows it without /proc, since Linux 5.8.
    let root = sys::is_mount_root(c"/").or_else(listed)?;
    Some(match root {
        true => No,
        false => Answer(
            "the root directory is not a mount point, as in a chroot; use --propagation unchanged, or bind mount \
             the directory on itself before chroot(8)"
                .to_owned(),
        ),
    })
}

fn file<'c>(case: &'c Case<'_>) -> Option<(Kind, &'c Path)> {
    match case.operation {
        Operation::Keep { kind, file, .. } => Some((*kind, file)),
        _ => None,
    }
}

pub(super) fn no_file(case: &Case<'_>) -> Option<Finding> {
    let (_, file) = file(case)?;
    Some(match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Sure(format!("there is no file {0} to keep the namespace in; make it: touch {0}", file.display()))
        }
        _ => No,
    })
}

/// The pid namespace that is kept is the one of the children: it does not exist before the first child.
pub(super) fn no_child(case: &Case<'_>) -> Option<Finding> {
    let Operation::Keep { kind, source, .. } = case.operation else { return None };
    Some(match *kind == Kind::Pid && std::fs::read_link(source).is_err() {
        true => Sure("a pid namespace exists only once it has a process: add --fork".to_owned()),
        false => No,
    })
}

/// A mount namespace cannot be kept at a place from where the mount would propagate into it.
pub(super) fn shared(case: &Case<'_>) -> Option<Finding> {
    let (kind, file) = file(case)?;
    if kind != Kind::Mnt {
        return Some(No);
    }
    let file = std::fs::canonicalize(file).ok()?;
    let below = |mount: &&MountInfo| file.starts_with(&mount.mount_point);
    let mounts = case.facts.mounts()?;
    let mount = mounts.iter().filter(below).max_by_key(|mount| mount.mount_point.as_os_str().len())?;
    let shared = mount.opt_fields.iter().any(|field| matches!(field, MountOptFields::Shared(_)));
    let directory = file.parent()?.display();
    Some(match shared {
        true => Sure(format!(
            "a mount namespace cannot be kept on a shared mount, as that of {0} is; keep it in a directory of \
             its own: mount --bind {0} {0} && mount --make-private {0}",
            directory
        )),
        false => No,
    })
}
