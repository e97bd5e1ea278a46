//! Forks. The child of a process with several threads has only the thread that forked: a lock held by another thread
//! stays locked in the child forever. So each of these functions fails with EDEADLK unless
//! [`super::promise_no_locks`] was called, and holds the lock of the allocator until there are two processes.

use std::ffi::{c_int, c_long, c_uint, c_void};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

use super::SharedNumber;
use super::memory;
use super::program::no_locks;

/// fork(2).
pub(crate) fn fork() -> nix::Result<ForkResult> {
    no_locks()?;
    let _held = memory::hold();
    // SAFETY: no other thread holds a lock (see no_locks), so the child may do what its parent may.
    unsafe { nix::unistd::fork() }
}

/// clone(2) without a signal for the parent at the end: only [`super::wait`] with `__WALL` sees this child. Its status is
/// there also if the caller of ctrbox has ignored SIGCHLD, with which the kernel keeps no status of others.
pub(crate) fn fork_silent() -> nix::Result<ForkResult> {
    no_locks()?;
    let _held = memory::hold();
    // SAFETY: without flags and without a stack, clone is fork: the child has a copy of this memory, and no other
    // thread holds a lock (see no_locks). All arguments are zero, so their order, which differs between
    // architectures, does not matter.
    forked(unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0, 0) })
}

/// clone3(2) with CLONE_INTO_CGROUP, since Linux 5.7: the child starts in that v2 group. An error before.
pub(crate) fn fork_into(group: impl AsFd) -> nix::Result<ForkResult> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    no_locks()?;
    let _held = memory::hold();
    // SAFETY: clone_args has only integers, for which zero is a value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = group.as_fd().as_raw_fd() as u64;
    let size = size_of::<libc::clone_args>();
    // SAFETY: the kernel reads `size` bytes, the size of the struct. Without a stack the child goes on with a copy of
    // this one, as after fork, and no other thread holds a lock (see no_locks).
    forked(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size) })
}

/// clone(2) with CLONE_PARENT: the child becomes a child of this process's parent, which waits for it. The kernel
/// writes its PID to `pid` before it runs. If [`SharedNumber::keep_from_children`] was called, `pid` is not mapped in
/// the child, and the child must not use it.
pub(crate) fn fork_sibling(pid: &SharedNumber) -> nix::Result<ForkResult> {
    no_locks()?;
    let _held = memory::hold();
    let flags = libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    let flags = c_uint::from_ne_bytes(flags.to_ne_bytes());
    let none: *mut c_void = std::ptr::null_mut();
    // SAFETY: the kernel writes the PID, an int, to `pid`, which is mapped in this process and is atomic. Without a
    // stack the child goes on with a copy of this one, as after fork, and no other thread holds a lock (see
    // no_locks). The fourth and the fifth argument change places between architectures; both are null.
    forked(unsafe { libc::syscall(libc::SYS_clone, flags, none, pid.as_ptr(), none, none) })
}

fn forked(result: c_long) -> nix::Result<ForkResult> {
    match Errno::result(result)? {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(c_int::try_from(child).unwrap_or(0)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Ended, exit_now, wait};

    #[test]
    fn a_number_is_shared_with_children() {
        let number = SharedNumber::new().expect("memory");
        assert_eq!(number.get(), 0);
        match fork().expect("a child") {
            ForkResult::Child => {
                number.set(7);
                exit_now(0);
            }
            ForkResult::Parent { child } => assert_eq!(wait(child, 0), Ok(Ended::Exited(0))),
        }
        assert_eq!(number.get(), 7);
    }

    #[test]
    fn a_sibling_is_waited_for_by_the_parent_and_lacks_the_memory() {
        let number = SharedNumber::new().expect("memory");
        let ForkResult::Parent { child: between } = fork().expect("a child") else {
            let kept = number.keep_from_children();
            exit_now(match kept.and_then(|()| fork_sibling(&number)) {
                Ok(ForkResult::Child) if number.is_mapped() => 4,
                Ok(ForkResult::Child) => 3,
                Ok(ForkResult::Parent { .. }) => 0,
                Err(_) => 1,
            })
        };
        assert_eq!(wait(between, 0), Ok(Ended::Exited(0)));
        let sibling = Pid::from_raw(number.get());
        assert_eq!(wait(sibling, 0), Ok(Ended::Exited(3)));
    }
}
