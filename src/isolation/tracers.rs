//! Who in a container could trace a program of this host that is put next to it, and so reach what it holds.
//!
//! `/proc/PID/root`, `cwd`, `fd` and `exe` of a process are open to whoever may trace it (proc(5)): a process
//! with CAP_SYS_PTRACE in its user namespace, or one of the same user that has all its capabilities
//! (ptrace(2), "Ptrace access mode checking").

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::capabilities::{Mask, own};
use super::kind::{Kind, parse_link};
use super::ns;
use crate::proc::{Credentials, ProcRoot, Scan};

/// CAP_SYS_PTRACE of capabilities(7).
const SYS_PTRACE: Mask = 1 << 19;
/// The kernel nests pid and user namespaces 32 deep.
const DEEPEST: usize = 33;

/// A process that sees the pid namespace and could trace a program that this process starts there with its
/// capabilities and in `user_ns`. None also where the pid namespace is this process's own: all its
/// processes see each other anyway.
///
/// A process that may gain the capability counts: by its bounding set. Processes that enter later from outside
/// are not known.
pub(crate) fn find(proc: &ProcRoot, pid_ns: &OwnedFd, user_ns: &OwnedFd) -> Result<Option<Pid>> {
    let own_pid_ns = own_id(proc, Kind::Pid)?;
    let seen_from: Vec<u64> = up(pid_ns)?.into_iter().take_while(|&id| id != own_pid_ns).collect();
    if seen_from.is_empty() {
        return Ok(None);
    }
    let above = up(user_ns)?;
    let permitted = own::flags().context("cannot read capabilities")?.permitted;
    let mut scan = Scan::new(proc).context("cannot read /proc")?;
    for pid in Scan::pids(proc).context("cannot read /proc")? {
        let inside = link(&scan, pid, Kind::Pid).is_some_and(|id| seen_from.contains(&id));
        if !inside {
            continue;
        }
        // A process that ends meanwhile has nothing to read. Of one whose user namespace is not told, the worst.
        let in_charge = link(&scan, pid, Kind::User).is_none_or(|id| above.contains(&id));
        let Ok(status) = scan.read(pid, "status") else { continue };
        let can = Credentials::parse(status);
        let gains = can.bounding.unwrap_or(Mask::MAX) | can.permitted.unwrap_or(Mask::MAX);
        if in_charge && (gains & SYS_PTRACE != 0 || permitted & !gains == 0) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

fn link(scan: &Scan, pid: Pid, kind: Kind) -> Option<u64> {
    let mut buffer = [0; 64];
    parse_link(scan.link(pid, &kind.link(), &mut buffer).ok()?)
}

fn own_id(proc: &ProcRoot, kind: Kind) -> Result<u64> {
    let file = ns::open_file(&proc.own(&kind.link()))?;
    inode(&file)
}

/// The number that `/proc/PID/ns/KIND` shows.
pub(crate) fn inode(fd: &OwnedFd) -> Result<u64> {
    Ok(fstat(fd).context("stat of a namespace failed")?.st_ino)
}

/// The namespace and those above it, as far as this process may see them.
fn up(of: &OwnedFd) -> Result<Vec<u64>> {
    let mut ids = vec![inode(of)?];
    let mut next = ns::parent_of(of);
    while let Ok(parent) = next {
        ids.push(inode(&parent)?);
        if ids.len() > DEEPEST {
            break;
        }
        next = ns::parent_of(&parent);
    }
    Ok(ids)
}
