//! System calls that neither std nor nix offers, and the only unsafe code of the library.
//!
//! Each function is one call with its result made a `Result`; whatever needs a decision is elsewhere.
#![allow(unsafe_code)]

pub mod confine;
pub mod directory;
pub mod keyed;
pub mod memory;
pub mod mounts;
mod pidfd;
mod process;
mod regex;

pub use pidfd::{
    PidfdInfo, pid_in_namespace, pidfd_alive, pidfd_getfd, pidfd_info, pidfd_open, pidfd_signal,
};
pub use process::{SharedNumber, fork_sibling, wipe_environment};
pub use regex::{Regex, utf8_letters};

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::unistd::{ForkResult, Pid};

/// argv as Rust strings.
///
/// # Safety
/// `argv` must point to `argc` C strings.
#[must_use]
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    if argc > 0 {
        // SAFETY: as below.
        crate::applet::announce(OsStr::from_bytes(unsafe { CStr::from_ptr(*argv) }.to_bytes()));
    }
    (0..usize::try_from(argc).unwrap_or(0))
        // SAFETY: the caller vouches for argc strings behind argv.
        .map(|i| unsafe { CStr::from_ptr(*argv.add(i)) })
        .map(|arg| OsStr::from_bytes(arg.to_bytes()).to_os_string())
        .collect()
}

/// Our environment entry by entry, those that are no `NAME=VALUE` too, which std leaves out.
#[must_use]
pub fn environment() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: the C library keeps a list of C strings there that a null pointer ends, or no list; nothing
    // of ours changes it, and there is no other thread.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            entries.push(CStr::from_ptr(*next).to_owned());
            next = next.add(1);
        }
    }
    entries
}

/// fork(2). Sound here as the process that calls it has one thread.
pub fn fork() -> nix::Result<ForkResult> {
    // SAFETY: single-threaded, so no lock can be held by a thread that the child lacks.
    unsafe { nix::unistd::fork() }
}

/// clone(2) without a signal for the parent at the end: no wait(2) sees this child but [`wait`] with `__WALL`.
pub fn fork_silent() -> nix::Result<ForkResult> {
    // SAFETY: without flags and a stack it is fork: single-threaded, so no lock can be held by a thread that the
    // child lacks. Zeros alone, so their order, which differs between architectures, does not matter.
    match Errno::result(unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) })? {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(child as i32) }),
    }
}

/// clone3(2) with CLONE_INTO_CGROUP, since Linux 5.7, else a fork: the child is in that v2 group from its first moment.
pub fn fork_into(group: impl AsFd) -> nix::Result<ForkResult> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    // SAFETY: arguments of zeros are valid; with no stack of its own the child goes on with a copy of ours, as
    // after fork: single-threaded, so no lock can be held by a thread that the child lacks.
    let child = unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.exit_signal = libc::SIGCHLD as u64;
        arguments.cgroup = group.as_fd().as_raw_fd() as u64;
        libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>())
    };
    match Errno::result(child)? {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(child as i32) }),
    }
}

/// sigtimedwait(2): the next of the signals, and whether the kernel sent it, as for a key of the terminal. None
/// when the time is up.
pub fn next_signal(set: &SigSet, limit: Option<Duration>) -> nix::Result<Option<(c_int, bool)>> {
    let limit = limit.map(TimeSpec::from);
    let limit = limit.as_ref().map_or(std::ptr::null(), |limit| std::ptr::from_ref(limit.as_ref()));
    // SAFETY: the siginfo is filled in when a signal comes; a null limit means none.
    let (signal, code) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let signal = libc::sigtimedwait(set.as_ref(), &raw mut info, limit);
        (signal, info.si_code)
    };
    match Errno::result(signal) {
        Ok(signal) => Ok(Some((signal, code == libc::SI_KERNEL))),
        Err(Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Is this process scheduled in real time? (sched(7))
#[must_use]
pub fn is_realtime() -> bool {
    // SAFETY: a plain integer in.
    let policy = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
    matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR)
}

/// A lock on a whole file (flock(2)), given back when it is dropped.
pub struct FileLock(std::fs::File);

impl FileLock {
    /// `exclusive`: nobody else may have one; `patient`: it is waited for. EWOULDBLOCK: others have it.
    pub fn take(file: std::fs::File, exclusive: bool, patient: bool) -> nix::Result<FileLock> {
        let kind = if exclusive { libc::LOCK_EX } else { libc::LOCK_SH };
        let wait = if patient { 0 } else { libc::LOCK_NB };
        loop {
            // SAFETY: plain integers in.
            match Errno::result(unsafe { libc::flock(file.as_raw_fd(), kind | wait) }) {
                Ok(_) => return Ok(FileLock(file)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// At once, though a child may have a copy of the descriptor. Where that fails the last copy's end does it.
impl Drop for FileLock {
    fn drop(&mut self) {
        // SAFETY: plain integers in.
        _ = unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}

/// close(2), and whether it is closed: a filter may refuse the call.
pub fn close(fd: OwnedFd) -> nix::Result<()> {
    let fd = fd.into_raw_fd();
    // SAFETY: nobody else owns it; of a number that is no descriptor any more fcntl gives an error.
    unsafe {
        match Errno::result(libc::close(fd)) {
            Err(errno) if libc::fcntl(fd, libc::F_GETFD) >= 0 => Err(errno),
            _ => Ok(()),
        }
    }
}

/// nanosleep(2). std's sleep aborts when that fails.
pub fn sleep(time: Duration) -> nix::Result<()> {
    let mut left = *TimeSpec::from(time.min(Duration::from_secs(1 << 32))).as_ref();
    loop {
        // SAFETY: the kernel reads the time, and writes what is left of it when a signal comes.
        match Errno::result(unsafe { libc::nanosleep(&raw const left, &raw mut left) }) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Closes all descriptors and puts /dev/null in the place of the first three.
pub fn close_all() {
    // SAFETY: for a process that owns none of them any more in a value that is still used.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0_u32, u32::MAX, 0) != 0 {
            (0..1024).for_each(|fd| _ = libc::close(fd)); // before Linux 5.9
        }
        while (0..2).contains(&libc::open(c"/dev/null".as_ptr(), libc::O_RDWR)) {}
    }
}

/// Closes all descriptors but these, and puts /dev/null in the place of the first three that were closed.
///
/// For a forked child that ends by [`exit_now`]: no value of it that owns a closed descriptor may be used or dropped.
pub fn close_others(keep: &mut [RawFd]) {
    keep.sort_unstable();
    let mut from = 0;
    let close = |from: RawFd, to: RawFd| {
        // SAFETY: plain integers in; the caller uses none of these descriptors any more.
        unsafe {
            if libc::syscall(libc::SYS_close_range, from as u32, to as u32, 0) != 0 {
                (from..=to.min(4096)).for_each(|fd| _ = libc::close(fd)); // before Linux 5.9
            }
        }
    };
    for &fd in &*keep {
        if fd > from {
            close(from, fd - 1);
        }
        from = fd + 1;
    }
    close(from, RawFd::MAX);
    // SAFETY: a new descriptor that nothing owns.
    while (0..2).contains(&unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) }) {}
}

/// _exit(2): the process ends here, and nothing is dropped or written any more.
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(status) }
}

/// An ioctl(2) that takes no argument and returns a descriptor: NS_GET_USERNS, SIOCGSKNS and such.
pub fn ioctl_fd(fd: impl AsFd, request: u64) -> nix::Result<OwnedFd> {
    // SAFETY: these requests ignore the third argument and give a new descriptor.
    owned(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_fd().as_raw_fd(), request, 0) })
}

/// The size of the terminal behind `fd`: columns. `None` when it is not a terminal.
pub fn terminal_width(fd: impl AsFd) -> Option<usize> {
    window_size(fd).map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// TIOCGWINSZ(2const). `None` when it is not a terminal.
pub fn window_size(fd: impl AsFd) -> Option<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request fills the winsize it is given.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0).then_some(size)
}

/// TIOCSWINSZ(2const): who is in the foreground there is told.
pub fn set_window_size(fd: impl AsFd, size: &libc::winsize) -> nix::Result<()> {
    // SAFETY: the request reads a winsize.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const *size) };
    Errno::result(result).map(drop)
}

/// The other side of a pseudoterminal, by no path (TIOCGPTPEER(2const), since Linux 4.13).
pub fn open_peer(master: impl AsFd) -> nix::Result<OwnedFd> {
    let (fd, unlocked) = (master.as_fd().as_raw_fd(), 0 as c_int);
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the first reads an int; the second takes flags, and gives a new descriptor.
    unsafe {
        Errno::result(libc::syscall(libc::SYS_ioctl, fd, libc::TIOCSPTLCK, &raw const unlocked))?;
        owned(libc::syscall(libc::SYS_ioctl, fd, libc::TIOCGPTPEER, flags))
    }
}

/// Makes it the terminal that controls our session (TIOCSCTTY(2const)).
pub fn control(terminal: impl AsFd) -> nix::Result<()> {
    // SAFETY: plain integers in.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(result).map(drop)
}

/// stdin, stdout or stderr by number. If it is closed, calls fail with EBADF.
#[must_use]
pub fn standard(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: nobody holds the standard descriptors as values that close them.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// A copy of the descriptor with a number of `least` or above, closed on exec.
pub fn duplicate_above(fd: impl AsFd, least: RawFd) -> nix::Result<OwnedFd> {
    // SAFETY: plain integers in, a new descriptor out.
    let copy = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    owned(copy.into())
}

/// Is the signal ignored by us? (One that is blocked as well would be kept for us all the same.)
#[must_use]
pub fn is_ignored(signal: c_int) -> bool {
    // SAFETY: with no new action given the old one is filled in.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let result = libc::sigaction(signal, std::ptr::null(), &raw mut action);
        result == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// What [`on_end_write`] was given.
static LAST_WORDS: OnceLock<&[u8]> = OnceLock::new();

/// From here on these bytes go to stdout before a signal ends or stops this process, which it still does.
/// Signals that were ignored stay so.
pub fn on_end_write(words: &'static [u8]) -> nix::Result<()> {
    _ = LAST_WORDS.set(words);
    let all = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];
    for signal in all.into_iter().filter(|signal| !is_ignored(*signal as c_int)) {
        let once = if signal == Signal::SIGTSTP { SaFlags::empty() } else { SaFlags::SA_RESETHAND };
        let action = SigAction::new(SigHandler::Handler(last_words), once, SigSet::empty());
        // SAFETY: the handler does only what signal-safety(7) allows.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// What ends the process is raised again: the handler was for once.
extern "C" fn last_words(signal: c_int) {
    let words = LAST_WORDS.get().copied().unwrap_or_default();
    let interrupted = Errno::last(); // after a stop the interrupted code goes on, and reads its own errno
    // SAFETY: both calls are async-signal-safe.
    unsafe {
        libc::write(libc::STDOUT_FILENO, words.as_ptr().cast(), words.len());
        libc::raise(if signal == libc::SIGTSTP { libc::SIGSTOP } else { signal });
    }
    interrupted.set();
}

/// A time of the day where we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    pub year: i64,
    /// From 1.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// localtime_r(3): of seconds since 1970.
#[must_use]
pub fn local_time(epoch: i64) -> Option<LocalTime> {
    // SAFETY: a tm of zeros is one; localtime_r fills it in, or returns null.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        (!libc::localtime_r(&raw const epoch, &raw mut tm).is_null()).then_some(tm)
    }?;
    let part = |part: c_int| u8::try_from(part).ok();
    Some(LocalTime {
        year: i64::from(tm.tm_year) + 1900,
        month: part(tm.tm_mon + 1)?,
        day: part(tm.tm_mday)?,
        hour: part(tm.tm_hour)?,
        minute: part(tm.tm_min)?,
        second: part(tm.tm_sec)?,
    })
}

/// setns(2) with the flag bits as they are: nix's `CloneFlags` has no CLONE_NEWTIME.
pub fn setns(fd: impl AsFd, flags: c_int) -> nix::Result<()> {
    // SAFETY: plain integers in.
    Errno::result(unsafe { libc::setns(fd.as_fd().as_raw_fd(), flags) }).map(drop)
}

/// setgroups(2) for this process.
pub fn drop_groups() -> nix::Result<()> {
    // SAFETY: a null list of length 0 is what setgroups documents for "none".
    Errno::result(unsafe { libc::setgroups(0, std::ptr::null()) }).map(drop)
}

/// open_by_handle_at(2) of a namespace by its id alone, below the root of nsfs; since Linux 6.19.
pub fn open_namespace(id: u64) -> nix::Result<OwnedFd> {
    const FD_NSFS_ROOT: c_int = -10003;
    const FILEID_NSFS: c_int = 0xf1;
    /// struct file_handle with a struct nsfs_file_handle in it; type and inode 0: whatever they are.
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: c_int,
        ns_id: u64,
        ns_type: u32,
        ns_inum: u32,
    }
    let mut handle = Handle { bytes: 16, kind: FILEID_NSFS, ns_id: id, ns_type: 0, ns_inum: 0 };
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the handle is as long as it says.
    owned(unsafe { libc::syscall(libc::SYS_open_by_handle_at, FD_NSFS_ROOT, &raw mut handle, flags) })
}

/// readlinkat(2) into a buffer of the caller's: what the link says, cut to the buffer.
pub fn read_link_at<'a>(dir: impl AsFd, name: &CStr, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the kernel writes no more than the buffer's length into it.
    let length = unsafe { libc::readlinkat(dir, name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    Errno::result(length).map(|length| &buffer[..usize::try_from(length).unwrap_or(0)])
}

/// What is known of a file without asking the server of its file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub device: (u32, u32),
    pub inode: u64,
    pub uid: u32,
    pub mode: u16,
}

/// statx(2) with AT_STATX_DONT_SYNC: what the kernel has at hand, so that FUSE, and overlayfs on it, is not waited
/// for. An empty name means the file of the descriptor.
pub fn known(dir: impl AsFd, name: &CStr) -> nix::Result<Known> {
    let dir = dir.as_fd().as_raw_fd();
    let empty = if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let mask = libc::STATX_INO | libc::STATX_UID | libc::STATX_MODE;
    // SAFETY: a statx of zeros is one; the kernel fills it in.
    unsafe {
        let mut found: libc::statx = std::mem::zeroed();
        let flags = libc::AT_STATX_DONT_SYNC | empty;
        Errno::result(libc::statx(dir, name.as_ptr(), flags, mask, &raw mut found))?;
        let device = (found.stx_dev_major, found.stx_dev_minor);
        Ok(Known { device, inode: found.stx_ino, uid: found.stx_uid, mode: found.stx_mode })
    }
}

/// Device and inode of what a name leads to, in the same way.
pub fn file_id(dir: impl AsFd, name: &CStr) -> nix::Result<((u32, u32), u64)> {
    known(dir, name).map(|known| (known.device, known.inode))
}

/// Is this directory the root of a mount? Linux tells since 5.8.
#[must_use]
pub fn is_mount_root(path: &CStr) -> Option<bool> {
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    // SAFETY: a statx of zeros is one; the kernel fills it in.
    unsafe {
        let mut found: libc::statx = std::mem::zeroed();
        Errno::result(libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, 0, &raw mut found)).ok()?;
        let told = found.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT != 0;
        told.then_some(found.stx_attributes & STATX_ATTR_MOUNT_ROOT != 0)
    }
}

/// Has the file an extended attribute of this name (getxattr(2))?
#[must_use]
pub fn has_attribute(path: &CStr, name: &CStr) -> bool {
    // SAFETY: with a size of 0 nothing is written.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}

/// An ioctl(2) that takes no argument and returns a number.
pub fn ioctl_number(fd: impl AsFd, request: u64) -> nix::Result<c_int> {
    // SAFETY: these requests ignore the third argument.
    let number = unsafe { libc::syscall(libc::SYS_ioctl, fd.as_fd().as_raw_fd(), request, 0) };
    Errno::result(number).map(|number| c_int::try_from(number).unwrap_or(0))
}

/// getdents64(2): raw entries, as many as fit; none at the end.
pub fn get_dents(dir: impl AsFd, buffer: &mut [u8]) -> nix::Result<&[u8]> {
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: the kernel writes no more than the buffer's length into it.
    let length = unsafe { libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), buffer.len()) };
    Errno::result(length).map(|length| &buffer[..usize::try_from(length).unwrap_or(0)])
}

/// How a child is, or ended. nix's own has no room for real-time signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exited(u8),
    Killed(c_int),
    Stopped,
    /// Asked not to wait: it runs.
    Not,
}

/// waitpid(2), begun anew when a signal interrupts it.
pub fn wait(child: Pid, options: c_int) -> nix::Result<Ended> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid fills in the status it is given.
        match Errno::result(unsafe { libc::waitpid(child.as_raw(), &raw mut status, options) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(0) => return Ok(Ended::Not),
            Ok(_) if libc::WIFSTOPPED(status) => return Ok(Ended::Stopped),
            Ok(_) if libc::WIFSIGNALED(status) => return Ok(Ended::Killed(libc::WTERMSIG(status))),
            Ok(_) if libc::WIFEXITED(status) => {
                return Ok(Ended::Exited(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(1)));
            }
            Ok(_) => {}
        }
    }
}

/// Ends this process by a signal, whatever was done with it: set to default and let through.
pub fn die_of(signal: c_int) {
    // SAFETY: SIG_DFL is no handler, and the set is made empty before it is used.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
    }
}

/// An ioctl(2) that fills in a number of 64 bits.
pub fn ioctl_u64(fd: impl AsFd, request: u64) -> nix::Result<u64> {
    let mut number = 0_u64;
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: these requests write eight bytes to where the third argument points.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, fd, request, &raw mut number) })?;
    Ok(number)
}

/// The same of 32 bits.
pub fn ioctl_u32(fd: impl AsFd, request: u64) -> nix::Result<u32> {
    let mut number = 0_u32;
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: these requests write four bytes to where the third argument points.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, fd, request, &raw mut number) })?;
    Ok(number)
}

/// PR_SET_PDEATHSIG(2const), by number as the real-time signals have no name in nix.
pub fn set_parent_death_signal(signal: c_int) -> nix::Result<()> {
    // SAFETY: plain integers in.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) }).map(drop)
}

/// kill(2) with any number: nix's takes those that have a name.
pub fn kill(pid: Pid, signal: c_int) -> nix::Result<()> {
    // SAFETY: plain integers in.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal) }).map(drop)
}

/// The header of capget(2) and capset(2), of the version that has 64 capabilities.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

const CAP_VERSION_3: u32 = 0x2008_0522;

/// capget(2): effective, permitted, inheritable of the first 32, then of the others.
pub fn capget(pid: Pid) -> nix::Result<[u32; 6]> {
    let mut header = CapHeader { version: CAP_VERSION_3, pid: pid.as_raw() };
    let mut sets = [0; 6];
    // SAFETY: of this version the kernel fills in twice three numbers of 32 bits.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) })?;
    Ok(sets)
}

/// capset(2) of this thread, in the same order.
pub fn capset(sets: [u32; 6]) -> nix::Result<()> {
    let mut header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    // SAFETY: of this version the kernel reads twice three numbers of 32 bits.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) }).map(drop)
}

/// prctl(2) of an operation that takes numbers.
pub fn prctl(operation: c_int, first: u64, second: u64) -> nix::Result<c_int> {
    // SAFETY: the callers' operations take plain integers, and want the arguments they have no use for to be 0.
    Errno::result(unsafe { libc::prctl(operation, first, second, 0_u64, 0_u64) })
}

/// getxattr(2) into a buffer of the caller's.
pub fn get_xattr<'a>(path: &CStr, name: &CStr, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    // SAFETY: the kernel writes no more than the buffer's length into it.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    Errno::result(length).map(|length| &buffer[..usize::try_from(length).unwrap_or(0)])
}

/// unshare(2) with the flag bits as they are: nix's `CloneFlags` has no CLONE_NEWTIME.
pub fn unshare(flags: c_int) -> nix::Result<()> {
    // SAFETY: plain integers in.
    Errno::result(unsafe { libc::unshare(flags) }).map(drop)
}

/// unshare(2) with a flag more that it does not have, so that the kernel refuses it before all else: EINVAL,
/// unless a seccomp filter was asked first.
pub fn unshare_nothing(flags: c_int) -> nix::Result<()> {
    unshare(flags | libc::CLONE_PTRACE)
}

/// Sets a signal back to what the kernel does with it.
pub fn default_action(signal: Signal) -> nix::Result<()> {
    // SAFETY: SIG_DFL is no handler, so no code of ours runs at a bad moment.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.map(drop)
}

/// A descriptor that another process sent.
#[must_use]
pub fn received(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made it for the message that it came with; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = Errno::result(result)?;
    // SAFETY: the call above just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_leaves_errno_alone() {
        Errno::EDOM.set();
        last_words(12_345); // no such signal: to raise it fails
        assert_eq!(Errno::last(), Errno::EDOM);
    }

    #[test]
    fn a_closed_descriptor_is_closed() {
        let (reader, writer) = nix::unistd::pipe().expect("pipe");
        assert_eq!(close(writer), Ok(()));
        assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0));
    }

    #[test]
    fn a_pipe_is_no_terminal() {
        let (reader, _writer) = nix::unistd::pipe().expect("pipe");
        assert_eq!(terminal_width(&reader), None);
    }
}
