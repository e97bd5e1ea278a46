//! What stands between a process and a mount.

use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, MountOptFields};

use super::{Case, Finding, list};
use crate::isolation::kind::Kind;
use crate::isolation::ns;
use crate::isolation::operation::Operation;

use Finding::{No, Perhaps, Sure};

/// A new proc shows the pid namespace that we are in, and is for who has capabilities over that.
pub(super) fn foreign_pid_ns(case: &Case<'_>) -> Option<Finding> {
    let pid_ns = case.facts.own_ns(Kind::Pid)?;
    Some(match ns::owner_of(&pid_ns) {
        // The owner is ours, or below: or we could not be shown it.
        Ok(_) => No,
        Err(nix::errno::Errno::EPERM) => Sure(
            "a new /proc shows the pid namespace that we are in, and that belongs to a user namespace above; \
             make one of our own: --pid --fork"
                .to_owned(),
        ),
        Err(_) => return None,
    })
}

/// Directories of proc made to be mounted on: nothing is hidden by that.
const EMPTY: [&str; 2] = ["sys/fs/binfmt_misc", "fs/nfsd"];

/// In a user namespace proc can be mounted where another is seen whole: nothing hidden is to come to light.
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
        hidden.extend(over.into_iter().filter(|path| *path != proc.mount_point)); // a newer one is there then
    }
    let shown: Vec<String> = hidden.iter().map(|path| path.display().to_string()).collect();
    let why = match (procs.is_empty(), shown.is_empty()) {
        (true, _) => "no proc is mounted here that is seen whole".to_owned(),
        (false, true) => "/proc is mounted read-only here".to_owned(),
        (false, false) => format!("parts of /proc are covered here ({})", list(&shown)),
    };
    let words = format!(
        "{why}, and then the kernel lets a user namespace mount no other; start the container without that \
         (docker: --security-opt systempaths=unconfined, podman: --security-opt unmask=ALL, Kubernetes: \
         procMount: Unmasked)"
    );
    // Covers of our own would not count, but who makes them?
    let alone = case.facts.filtered() == Some(false) && case.facts.label().is_none();
    Some(if alone { Sure(words) } else { Perhaps(words) })
}

/// The mounts on this one that hide something of it.
fn covering(proc: &MountInfo, mounts: &[MountInfo]) -> Vec<PathBuf> {
    let over = mounts.iter().filter(|mount| mount.pid == proc.mnt_id);
    let empty = |mount: &MountInfo| {
        let below = mount.mount_point.strip_prefix(&proc.mount_point);
        below.is_ok_and(|below| EMPTY.iter().any(|name| below == Path::new(name)))
    };
    over.filter(|mount| !empty(mount)).map(|mount| mount.mount_point.clone()).collect()
}

/// Since Linux 6.7 each user namespace has a binfmt_misc.
pub(super) fn binfmt(case: &Case<'_>) -> Option<Finding> {
    Some(match (ns::kernel() < (6, 7), case.facts.in_first_user_ns()?) {
        (true, false) => Sure("user namespaces have binfmt_misc since Linux 6.7 only".to_owned()),
        _ => No,
    })
}

pub(super) fn no_binfmt(case: &Case<'_>) -> Option<Finding> {
    let systems = case.facts.text(&case.facts.proc.path().join("filesystems"))?;
    Some(match systems.lines().any(|line| line.split_whitespace().last() == Some("binfmt_misc")) {
        true => No,
        false => Sure("this kernel has no binfmt_misc loaded; as root: modprobe binfmt_misc".to_owned()),
    })
}

/// The place of a mount in others is a property of mounts, which a directory is not.
pub(super) fn root_is_no_mount(case: &Case<'_>) -> Option<Finding> {
    let root = case.facts.mounts()?.iter().any(|mount| mount.mount_point == Path::new("/"));
    Some(match root {
        true => No,
        false => Sure(
            "the root directory is no mount point, as in a chroot; say --propagation unchanged, or bind mount \
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

/// What is kept of pid is the namespace of children: there is none before the first.
pub(super) fn no_child(case: &Case<'_>) -> Option<Finding> {
    let Operation::Keep { kind, source, .. } = case.operation else { return None };
    Some(match *kind == Kind::Pid && std::fs::read_link(source).is_err() {
        true => Sure("a pid namespace is there once it has a process: add --fork".to_owned()),
        false => No,
    })
}

/// A mount namespace is not kept where the mount would be passed on into it.
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
