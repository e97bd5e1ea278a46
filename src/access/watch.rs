//! Reads of /proc that do not end.
//!
//! execve(2) holds the exec_update_lock of its process while it closes the files that are close-on-exec. If one of them
//! is on a FUSE server that does not answer, execve(2) does not end. Some kernels (seen: 6.18.44) take this lock for
//! every check of the right to trace, so nearly all files in the /proc directory of that process block their readers.
//! Only SIGKILL ends such a read. So a worker process reads, and this process watches it: when the worker stays in one
//! system call on a file of `/proc/PID`, it is killed, and a new one starts that leaves out that process. Nothing is
//! added to the work of the worker: /proc shows in which system call it is.
//!
//! The time is limited for each account. After that all processes of the account are left out.

use std::collections::hash_map::DefaultHasher;
use std::ffi::c_long;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};
use nix::sys::stat::fstat;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::unistd::{ForkResult, Pid};

use super::arguments::outermost_maker;
use super::{Account, children_stay, state};
use crate::proc::{ProcRoot, Scan, hidden, number};
use crate::sys::{self, Ended};

/// The time between two looks at a process. Most lists are complete before the first.
pub(crate) const SLICE: Duration = Duration::from_millis(250);
/// How long a read of a file in /proc may block: the first one, and one after another process was found to block.
const FIRST: Duration = Duration::from_secs(1);
const NEXT: Duration = SLICE;
/// In a copy no execve(2) blocks a file, and a disk can be slow.
const OF_COPY: Duration = Duration::from_secs(10);
/// A bound for processes that no account joins, and for many accounts.
const MOST_LEFT_OUT: usize = 100;
/// How many processes a message names.
const MOST_NAMED: usize = 16;

/// What was found in this run.
struct Found {
    /// Does any process block its readers?
    any: bool,
    in_copy: bool,
    pids: Vec<Pid>,
    /// The accounts all of whose processes are left out.
    accounts: Vec<Account>,
}

static FOUND: Mutex<Found> =
    Mutex::new(Found { any: false, in_copy: false, pids: Vec::new(), accounts: Vec::new() });

fn found() -> MutexGuard<'static, Found> {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The message about the processes that are left out.
#[must_use]
pub(crate) fn note_of_blocked() -> Option<String> {
    let found = found();
    let named: Vec<String> = found.pids.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    let more = found.pids.len().saturating_sub(MOST_NAMED);
    let mut words = match &named[..] {
        [] => return None,
        [one] => format!("process {one}"),
        _ => format!("processes {}", named.join(", ")),
    };
    if more > 0 {
        words += &format!(" and {more} more");
    }
    for account in &found.accounts {
        match account {
            Account::User(uid) => words += &format!(", and all others of uid {uid},"),
            Account::Container(_) => words += ", and all others of one container,",
        }
    }
    if found.in_copy {
        return Some(format!("{words}: files in the copy of /proc do not answer; left out"));
    }
    Some(match named.len() == 1 && found.accounts.is_empty() {
        true => {
            format!("{words} is left out: its execve(2) does not end, and its files in /proc cannot be read")
        }
        false => {
            format!("{words} are left out: an execve(2) does not end, and files in /proc cannot be read")
        }
    })
}

/// The message about a process that cannot be left out.
#[must_use]
pub(crate) fn cannot_read(pid: Pid) -> String {
    format!("cannot read files of process {pid} in /proc: its execve(2) does not end")
}

/// Looks again at the processes that were left out, except those of accounts whose time is used up.
pub(crate) fn look_again(proc: &ProcRoot) {
    let mut found = found();
    found.pids.clear();
    hidden::show_all();
    hide_accounts(proc, &found.accounts);
}

/// How a worker ended.
pub(crate) enum Watched {
    Ended(Ended),
    /// It was killed because it could not read files of this process, and cannot be replaced.
    Blocked(Pid),
    /// No process was started.
    NotStarted,
}

/// Runs `work` in a worker, and again in another one as long as a read of /proc does not end. Returns in the parent only.
pub(crate) fn in_worker(proc: &ProcRoot, mut work: impl FnMut() -> u8) -> Watched {
    if !children_stay() {
        return Watched::NotStarted;
    }
    loop {
        if sys::watch_output().is_err() {
            return Watched::NotStarted;
        }
        let child = match sys::fork_silent() {
            Ok(ForkResult::Parent { child }) => child,
            Ok(ForkResult::Child) => {
                begin_work(proc);
                sys::exit_now(work().into())
            }
            Err(_) => return Watched::NotStarted,
        };
        match wait(proc, child) {
            Ok(ended) => return Watched::Ended(ended),
            Err(pid) if sys::has_output_begun() || !leave_out(proc, pid) => return Watched::Blocked(pid),
            Err(_) => {}
        }
    }
}

/// In a worker: it ends with its parent, and lists show the parent in its place.
pub(crate) fn begin_work(proc: &ProcRoot) {
    _ = sys::set_parent_death_signal(libc::SIGKILL);
    // A copy of another host's /proc has this link too.
    if statfs(proc.path()).is_ok_and(|info| info.filesystem_type() == PROC_SUPER_MAGIC) {
        let own = proc.link(&proc.of_host("self")).ok();
        let own = own.and_then(|own| number(own.as_os_str().as_encoded_bytes()));
        own.into_iter().for_each(|own| hidden::do_not_list(Pid::from_raw(own)));
    }
}

/// Waits for the end of a worker. An error: it could not read files of this process, and was killed.
fn wait(proc: &ProcRoot, child: Pid) -> Result<Ended, Pid> {
    let ended = || Ok(sys::wait_for_step(child).unwrap_or(Ended::Exited(1)));
    // Kernels without pidfds do not have the lock.
    let Ok(pidfd) = sys::pidfd_open(child) else { return ended() };
    let mut watcher = Watcher::new(proc, child);
    loop {
        match is_readable(&pidfd, SLICE) {
            Ok(false) => {
                _ = sys::continue_step(child);
                if let Some(pid) = watcher.look(SLICE) {
                    kill(child, &pidfd);
                    return Err(pid);
                }
            }
            _ => return ended(),
        }
    }
}

/// Is the descriptor readable within this time?
pub(crate) fn is_readable(fd: impl AsFd, time: Duration) -> nix::Result<bool> {
    let limit = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], limit) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Kills a process, and waits for its end if that comes soon.
pub(super) fn kill(child: Pid, pidfd: &OwnedFd) {
    _ = sys::kill(child, libc::SIGKILL);
    _ = is_readable(pidfd, FIRST);
    _ = sys::wait(child, libc::__WALL | libc::WNOHANG);
}

/// Leaves out a process that blocks its readers. False if that was done before, so that it does not help, or too often.
pub(crate) fn leave_out(proc: &ProcRoot, pid: Pid) -> bool {
    let account = account_of_blocked(proc, pid);
    let mut found = found();
    let time = if found.any { NEXT } else { FIRST };
    found.any = true;
    found.in_copy = proc.is_copy();
    if found.pids.len() >= MOST_LEFT_OUT || !hidden::hide(&[pid]) {
        return false;
    }
    found.pids.push(pid);
    if let Some(account) = account {
        account.spend(time);
        if account.left().is_zero() && !found.accounts.contains(&account) {
            found.accounts.push(account);
        }
    }
    hide_accounts(proc, &found.accounts);
    true
}

fn hide_accounts(proc: &ProcRoot, accounts: &[Account]) {
    if accounts.is_empty() {
        return;
    }
    let mut pids = Scan::pids(proc).unwrap_or_default();
    pids.retain(|pid| account_of_blocked(proc, *pid).is_some_and(|account| accounts.contains(&account)));
    hidden::hide(&pids);
}

/// The account of a process, as [`super::account_of`] has it, from nothing that takes the lock. None for root's processes
/// outside of containers.
fn account_of_blocked(proc: &ProcRoot, pid: Pid) -> Option<Account> {
    let is_of_pidfd = proc.path() == Path::new("/proc");
    let pidfd = is_of_pidfd.then(|| sys::pidfd_open(pid).ok()).flatten();
    let user_ns = pidfd.as_ref().and_then(|pidfd| sys::pidfd_user_namespace(pidfd).ok());
    let maker = user_ns.and_then(|inner| outermost_maker(proc, inner));
    if let Some(user) = maker.filter(|uid| *uid != 0) {
        return Some(Account::User(user));
    }
    let process = proc.process(pid);
    let status = process.status().unwrap_or_default();
    // Processes in a container of root have any user they want, also one of the host.
    if status.nspid.len() > 1 {
        let pid_ns = pidfd.as_ref().and_then(|pidfd| sys::pidfd_pid_namespace(pidfd).ok());
        let inode = pid_ns.and_then(|pid_ns| fstat(&pid_ns).ok()).map(|stat| stat.st_ino);
        return Some(Account::Container(inode.unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            process.cgroup().unwrap_or_default().hash(&mut hasher);
            hasher.finish()
        })));
    }
    status.euid.filter(|uid| *uid != 0).map(Account::User)
}

/// Watches whether a process stays in one read of /proc.
pub(crate) struct Watcher<'a> {
    proc: &'a ProcRoot,
    process: Pid,
    wait: Option<Wait>,
}

/// A process that waits in the kernel.
struct Wait {
    /// The system call with its arguments, and how often the process gave up its CPU.
    at: (Vec<u8>, Option<u64>),
    time: Duration,
}

impl<'a> Watcher<'a> {
    #[must_use]
    pub(crate) fn new(proc: &'a ProcRoot, process: Pid) -> Watcher<'a> {
        Watcher { proc, process, wait: None }
    }

    /// Called once for each slice of time. The process whose files are being read, if the read takes too long.
    pub(crate) fn look(&mut self, slice: Duration) -> Option<Pid> {
        // The lock is waited for in state D. FUSE, as in the tests, makes its readers wait in state S.
        if !matches!(state(self.process), b'D' | b'S') {
            self.wait = None;
            return None;
        }
        let at = (self.read("syscall")?, self.switches());
        let time = match self.wait.take() {
            Some(wait) if wait.at == at => wait.time + slice,
            _ => Duration::ZERO,
        };
        let limit = match (found().any, self.proc.is_copy()) {
            (true, _) => NEXT,
            (false, true) => OF_COPY,
            (false, false) => FIRST,
        };
        let blocked = if time < limit { None } else { self.subject(&at.0) };
        self.wait = Some(Wait { at, time });
        blocked
    }

    fn path(&self, file: &str) -> PathBuf {
        ProcRoot::default().path_of(self.process, file)
    }

    fn read(&self, file: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(file)).ok()
    }

    /// The same number twice means that the process did not run between.
    fn switches(&self) -> Option<u64> {
        let status = self.read("status")?;
        let line =
            status.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"voluntary_ctxt_switches:"));
        number(line?.trim_ascii())
    }

    /// The process to whose directory in /proc the file of a system call belongs.
    fn subject(&self, call: &[u8]) -> Option<Pid> {
        let call = Call::parse(call)?;
        let path = match call.names()? {
            Names::Descriptor(fd) => self.opened(fd)?,
            Names::Path(at, address) => self.opened(at)?.join(self.text(address)?),
            Names::Pidfd(fd) => return self.of_pidfd(fd),
        };
        let own = [self.proc.path(), Path::new("/proc")];
        let inside = own.iter().find_map(|root| path.strip_prefix(root).ok())?;
        match inside.components().next()? {
            Component::Normal(name) => number(name.as_encoded_bytes()).map(Pid::from_raw),
            _ => None,
        }
    }

    /// The path of a descriptor; the working directory for AT_FDCWD.
    fn opened(&self, fd: i32) -> Option<PathBuf> {
        let link = if fd == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{fd}") };
        std::fs::read_link(self.path(&link)).ok()
    }

    fn of_pidfd(&self, fd: i32) -> Option<Pid> {
        let text = self.read(&format!("fdinfo/{fd}"))?;
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Pid:"))?;
        number(line.trim_ascii()).map(Pid::from_raw)
    }

    /// A path in its memory.
    fn text(&self, address: u64) -> Option<PathBuf> {
        let mut text = [0; 256];
        let read = File::open(self.path("mem")).ok()?.read_at(&mut text, address).ok()?;
        let end = text[..read].iter().position(|&b| b == 0)?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(text[..end].to_vec())))
    }
}

/// A system call and its first two arguments.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    number: c_long,
    first: u64,
    second: u64,
}

/// What a system call acts on.
enum Names {
    Descriptor(i32),
    /// Relative to a descriptor: the address of the path.
    Path(i32, u64),
    /// The process behind a pidfd.
    Pidfd(i32),
}

impl Call {
    /// Parses /proc/PID/syscall: the number, six arguments in hexadecimal, stack pointer, program counter.
    fn parse(text: &[u8]) -> Option<Call> {
        let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
        Some(Call { number, first: argument()?, second: argument()? })
    }

    fn names(&self) -> Option<Names> {
        #[cfg(target_arch = "x86_64")]
        const BY_PATH: &[c_long] =
            &[libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_access];
        #[cfg(not(target_arch = "x86_64"))]
        const BY_PATH: &[c_long] = &[];
        // The low half is the descriptor: an int in a register.
        let descriptor = (self.first & u64::from(u32::MAX)) as u32 as i32;
        match self.number {
            libc::SYS_read | libc::SYS_pread64 | libc::SYS_getdents64 | libc::SYS_fstat => {
                Some(Names::Descriptor(descriptor))
            }
            libc::SYS_openat
            | libc::SYS_openat2
            | libc::SYS_readlinkat
            | libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_faccessat
            | libc::SYS_faccessat2
            | libc::SYS_name_to_handle_at => Some(Names::Path(descriptor, self.second)),
            libc::SYS_pidfd_getfd => Some(Names::Pidfd(descriptor)),
            by_path if BY_PATH.contains(&by_path) => Some(Names::Path(libc::AT_FDCWD, self.first)),
            _ => None,
        }
    }
}

/// A process that watches this one while it reads files of one process in /proc. This process is killed when such a read
/// does not end: nothing else ends it.
pub(crate) struct Guard {
    child: Pid,
    socket: UnixStream,
}

impl Guard {
    /// First the other process reads a file of `pid`, which needs the lock. ETIMEDOUT: that does not end. `say` is called
    /// in the other process before it kills this one. None if no process can be started.
    pub(crate) fn start(proc: &ProcRoot, pid: Pid, say: impl FnOnce(Pid)) -> nix::Result<Option<Guard>> {
        let Some((own, other)) = UnixStream::pair().ok().filter(|_| children_stay()) else { return Ok(None) };
        let this = Pid::this();
        match sys::fork_silent() {
            Ok(ForkResult::Child) => {
                drop(own);
                _ = sys::set_parent_death_signal(libc::SIGKILL);
                _ = proc.process(pid).stat_text();
                _ = (&other).write_all(b"r");
                if let Some(blocked) = watch_until_end(proc, this, &other) {
                    say(blocked);
                    _ = sys::kill(this, libc::SIGKILL);
                }
                sys::exit_now(0)
            }
            Ok(ForkResult::Parent { child }) => {
                drop(other);
                let guard = Guard { child, socket: own };
                guard.first_answer(proc).map(|()| Some(guard))
            }
            Err(_) => Ok(None),
        }
    }

    fn first_answer(&self, proc: &ProcRoot) -> nix::Result<()> {
        let mut watcher = Watcher::new(proc, self.child);
        while !is_readable(&self.socket, SLICE)? {
            _ = sys::continue_step(self.child);
            if watcher.look(SLICE).is_some() {
                return Err(Errno::ETIMEDOUT);
            }
        }
        // An end without an answer: somebody killed it. Then nobody watches.
        _ = (&self.socket).read(&mut [0]);
        Ok(())
    }
}

/// None when the other end of the socket is closed.
fn watch_until_end(proc: &ProcRoot, process: Pid, socket: &UnixStream) -> Option<Pid> {
    let mut watcher = Watcher::new(proc, process);
    while let Ok(false) = is_readable(socket, SLICE) {
        if let Some(pid) = watcher.look(SLICE) {
            return Some(pid);
        }
    }
    None
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It ends by this too, if it cannot be killed.
        _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        _ = sys::kill(self.child, libc::SIGKILL);
        _ = sys::wait(self.child, libc::__WALL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes of many accounts, or of none, do not cost time without limit.
    #[test]
    fn a_limited_number_of_processes_is_left_out() {
        let proc = ProcRoot::default();
        // Above the highest PID of the kernel.
        let count = (5_000_000..).take_while(|pid| leave_out(&proc, Pid::from_raw(*pid))).count();
        assert_eq!(count, MOST_LEFT_OUT);
    }

    #[test]
    fn a_system_call_is_parsed() {
        let text = b"257 0xffffff9c 0x7ffd5 0x80000 0x0 0x0 0x0 0x7ffd0 0x4f\n";
        let call = Call::parse(text).expect("a call");
        assert_eq!(call, Call { number: 257, first: 0xffff_ff9c, second: 0x7_ffd5 });
        for text in [&b"running\n"[..], b"", b"-1 0x7ffd 0x4f\n", b"0 3 4\n"] {
            assert!(Call::parse(text).is_none_or(|call| call.names().is_none()), "{text:?}");
        }
    }
}
