//! Finds processes of a container that could trace a host program started next to them, and so reach what it holds.
//!
//! `/proc/PID/root`, `cwd`, `fd` and `exe` are open to any process that may trace that process (proc(5)): one with
//! CAP_SYS_PTRACE in its user namespace, or one of the same user with all its capabilities (ptrace(2), "Ptrace access
//! mode checking").

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::capabilities::own;
use super::ns;
use crate::proc::ns::{Kind, parse_link};
use crate::proc::{Credentials, Mask, ProcRoot, Scan};

/// CAP_SYS_PTRACE of capabilities(7).
const SYS_PTRACE: Mask = 1 << 19;
/// The kernel's limit for nested pid and user namespaces.
const DEEPEST: usize = 33;

/// A process that sees the pid namespace and could trace a program that this process starts there with its
/// capabilities and in `user_ns`. None if the pid namespace is this process's own: all its processes see each other
/// anyway.
///
/// A process that may gain the capability counts: its bounding set is checked. Processes that enter later from
/// outside are not known.
pub(crate) fn find(proc: &ProcRoot, pid_ns: &OwnedFd, user_ns: &OwnedFd) -> Result<Option<Pid>> {
    let own_pid_ns = own_id(proc, Kind::Pid)?;
    let seen_from: Vec<u64> = ancestors(pid_ns)?.into_iter().take_while(|&id| id != own_pid_ns).collect();
    if seen_from.is_empty() {
        return Ok(None);
    }
    let above = ancestors(user_ns)?;
    let permitted = own::flags().context("cannot read capabilities")?.permitted;
    let mut scan = Scan::new(proc).context("cannot read /proc")?;
    for pid in Scan::pids(proc)? {
        let inside = link(&scan, pid, Kind::Pid).is_some_and(|id| seen_from.contains(&id));
        if !inside {
            continue;
        }
        // A process that has ended cannot be read. If its user namespace is not visible, assume the worst.
        let in_charge = link(&scan, pid, Kind::User).is_none_or(|id| above.contains(&id));
        let Ok(status) = scan.status_text(pid) else { continue };
        let gains =
            Credentials::parse(status).map_or(Mask::MAX, |all| all.sets.bounding | all.sets.permitted);
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
fn ancestors(namespace: &OwnedFd) -> Result<Vec<u64>> {
    let mut ids = vec![inode(namespace)?];
    let mut next = ns::parent_of(namespace);
    while let Ok(parent) = next {
        ids.push(inode(&parent)?);
        if ids.len() > DEEPEST {
            break;
        }
        next = ns::parent_of(&parent);
    }
    Ok(ids)
}
