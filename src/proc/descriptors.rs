//! Open descriptors of processes.

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;

use nix::unistd::Pid;

use super::{ProcRoot, number};
use crate::sys;

/// The inodes of the sockets that a process holds. How many descriptors were looked at?
pub(crate) fn sockets_of(
    proc: &ProcRoot,
    pid: i32,
    most: usize,
    mut take: impl FnMut(u64),
) -> nix::Result<usize> {
    let inode = |link: &[u8]| number(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?);
    links_of(proc, pid, most, |_, link| inode(link).into_iter().for_each(&mut take))
}

/// The links of the descriptors of a process: the number of each, and to what it leads.
pub(crate) fn links_of(
    proc: &ProcRoot,
    pid: i32,
    most: usize,
    mut take: impl FnMut(&CStr, &[u8]),
) -> nix::Result<usize> {
    /// A longer path has no link.
    const LONGEST: usize = 4_096;
    let directory = proc.open(&proc.path_of(Pid::from_raw(pid), "fd"))?;
    let (mut seen, mut buffer) = (0, [0; LONGEST]);
    sys::directory::each(&directory, |entry| {
        if seen >= most {
            return ControlFlow::Break(());
        }
        seen += 1;
        let Ok(name) = CString::new(entry.name.into_vec()) else { return ControlFlow::Continue(()) };
        if let Ok(link) = sys::read_link_at(&directory, &name, &mut buffer) {
            take(&name, link);
        }
        ControlFlow::Continue(())
    })?;
    Ok(seen)
}
