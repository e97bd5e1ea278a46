//! Kills all processes in groups, and waits until none is left.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::group::write;
use crate::sys;

/// The processes of a group and of all groups below it.
#[must_use]
pub(super) fn processes(directory: &Path) -> Vec<Pid> {
    let mut found = Vec::new();
    for directory in tree(directory) {
        let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw));
    }
    found.retain(|pid| pid.as_raw() > 0); // 0: a process of a pid namespace that is not visible here
    found
}

/// The group and all groups below it, the deepest first.
#[must_use]
pub(super) fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut all = vec![directory.to_path_buf()];
    let mut next = 0;
    // Without recursion: programs in a group choose the depth.
    while let Some(above) = all.get(next).cloned() {
        let entries = sys::directory::list(&above).unwrap_or_default().into_iter();
        all.extend(entries.filter(|entry| entry.is_directory).map(|entry| above.join(entry.name)));
        next += 1;
    }
    all.reverse();
    all
}

/// Kills every process in the groups and waits until they are gone. False if some remain after `limit`.
pub(super) fn end_all(groups: &[PathBuf], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let running: Vec<&PathBuf> = groups.iter().filter(|group| !processes(group).is_empty()).collect();
        if running.is_empty() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        for group in &running {
            // Kills all at once, so that none can fork meanwhile; since Linux 5.14.
            if write(&group.join("cgroup.kill"), "1").is_err() {
                freeze(groups, true);
                signal_all(std::slice::from_ref(*group), Signal::SIGKILL);
            }
        }
        freeze(groups, false);
        wait(running[0], Duration::from_millis(50));
    }
}

/// Uses the freezer of v1 and of v2, whichever exists.
fn freeze(groups: &[PathBuf], frozen: bool) {
    for group in groups {
        _ = write(&group.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" });
        _ = write(&group.join("cgroup.freeze"), if frozen { "1" } else { "0" });
    }
}

/// Signals each process of the groups once. By pidfd if the kernel has them: the PID may be reused between reading
/// and signalling.
pub(super) fn signal_all(groups: &[PathBuf], signal: Signal) {
    let all = || {
        let mut pids: Vec<Pid> = groups.iter().flat_map(|group| processes(group)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    };
    let held: Vec<(Pid, nix::Result<OwnedFd>)> =
        all().into_iter().map(|pid| (pid, sys::pidfd_open(pid))).collect();
    let still = all();
    for (pid, fd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
        _ = match fd {
            Ok(fd) => sys::pidfd_signal(fd, signal as i32),
            Err(Errno::ENOSYS) => kill(*pid, signal),
            Err(_) => Ok(()),
        };
    }
}

/// Waits until a process of the group ends, or until the limit.
pub(super) fn wait(group: &Path, limit: Duration) {
    let Some(pid) = processes(group).first().copied() else { return };
    let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    match sys::pidfd_open(pid) {
        Ok(fd) => {
            let mut ended = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
            _ = poll(&mut ended, PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX));
        }
        Err(Errno::ESRCH) => {}
        Err(_) => _ = sys::sleep(limit.min(Duration::from_millis(200))),
    }
}
