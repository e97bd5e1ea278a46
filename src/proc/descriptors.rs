//! Open descriptors of processes.

use std::ops::ControlFlow;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
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
    let path = proc.path_of(Pid::from_raw(pid), "fd");
    let directory = open(&path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let (mut seen, mut buffer) = (0, [0; 64]);
    sys::directory::each(&directory, |entry| {
        if seen >= most {
            return ControlFlow::Break(());
        }
        seen += 1;
        let name = std::ffi::CString::new(std::os::unix::ffi::OsStringExt::into_vec(entry.name));
        let link = name.ok().and_then(|name| sys::read_link_at(&directory, &name, &mut buffer).ok());
        let inode = link.and_then(|link| number(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?));
        inode.into_iter().for_each(&mut take);
        ControlFlow::Continue(())
    })?;
    Ok(seen)
}
