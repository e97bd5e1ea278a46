//! What the kernel reads from the memory of other processes: their arguments and their environment.
//!
//! Such a read waits for the lock of that memory (mmap_lock), and a process can hold its own lock without limit: a page
//! of it comes from FUSE, and a second thread changes the mappings. The wait ends only with the reader, and before Linux
//! 5.4 not even then. So a helper process reads, and this process continues without the answer after a time limit.
//!
//! The helper reads command lines while this process does other work. Nearly all of the time is spent in the kernel,
//! which serves both in parallel.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::Pid;

use super::{AccessProcess, Account, LONGEST, SLICE, Seen};
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Scan, Stat};
use crate::sys::{self, SharedBytes};

/// A range of [`Lines::text`]. Small, as each process has one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// ENOMEM above 4 GB: a host would need four million processes.
    pub(crate) fn new(range: Range<usize>) -> nix::Result<Span> {
        let small = |place: usize| u32::try_from(place).map_err(|_| Errno::ENOMEM);
        Ok(Span { start: small(range.start)?, end: small(range.end)? })
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The command lines of processes.
#[derive(Default)]
pub(crate) struct Lines {
    text: Vec<u8>,
    /// Sorted by PID: the range in the text. ETIMEDOUT: the memory of the process is locked.
    found: Vec<(i32, nix::Result<Span>)>,
}

impl Lines {
    /// How many bytes are kept whole. A host with 10,000 processes has about 1 MB of arguments.
    const WHOLE: usize = 64 << 20;
    /// The length of the lines beyond.
    const CUT: usize = 1 << 10;

    /// The command line of one process.
    pub(crate) fn one(proc: &ProcRoot, pid: Pid) -> nix::Result<Vec<u8>> {
        let lines = Reading::start(proc, vec![pid]).finish();
        lines.get(pid).map(<[u8]>::to_vec)
    }

    /// ENOENT for a process that was not read.
    pub(crate) fn get(&self, pid: Pid) -> nix::Result<&[u8]> {
        self.span(pid).map(|span| &self.text[span.range()])
    }

    /// Where in [`Self::text`] the line is.
    pub(crate) fn span(&self, pid: Pid) -> nix::Result<Span> {
        let at =
            self.found.binary_search_by_key(&pid.as_raw(), |(pid, _)| *pid).map_err(|_| Errno::ENOENT)?;
        self.found[at].1
    }

    /// The processes whose memory is locked.
    pub(crate) fn locked(&self) -> impl Iterator<Item = i32> {
        let locked = self.found.iter().filter(|(_, span)| span.is_err_and(|errno| errno == Errno::ETIMEDOUT));
        locked.map(|(pid, _)| *pid)
    }

    /// Only the text is needed from now on.
    pub(crate) fn forget_processes(&mut self) {
        self.found = Vec::new();
    }

    pub(crate) fn text_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Forks share their arguments, so a user can have thousands of long command lines at no cost: beyond
    /// [`Self::WHOLE`] bytes the others are cut.
    fn add(&mut self, pid: Pid, line: nix::Result<&[u8]>) {
        let span = line.and_then(|line| {
            let start = self.text.len();
            let length = if start < Self::WHOLE { line.len() } else { line.len().min(Self::CUT) };
            let span = Span::new(start..start + length)?;
            self.text.extend_from_slice(&line[..length]);
            Ok(span)
        });
        self.found.push((pid.as_raw(), span));
    }
}

/// The message about processes whose memory is locked.
#[must_use]
pub(crate) fn note_of_locked(pids: &[i32]) -> Option<String> {
    match pids {
        [] => None,
        [pid] => Some(format!("cannot read the arguments of process {pid}: its memory is locked")),
        [first, ..] => Some(format!(
            "cannot read the arguments of {} processes: the memory of process {first}, or of others of the same \
             user, is locked",
            pids.len()
        )),
    }
}

/// Command lines that a helper process reads.
pub(crate) struct Reading<'a> {
    proc: &'a ProcRoot,
    /// The processes that are not read yet.
    left: Vec<Pid>,
    lines: Lines,
    /// An error if no process can be started.
    helper: nix::Result<Helper>,
}

struct Helper {
    process: AccessProcess,
    answers: SharedBytes,
}

/// How the wait for a helper ended.
#[derive(PartialEq, Eq)]
enum End {
    /// It ended: it read everything, or filled its room.
    Ended,
    /// It was blocked for all of the time of an account.
    Blocked,
    /// It was ended, or it had no CPU.
    Failed,
}

/// The room for the answers of one helper. A host with 10,000 processes has about 1 MB of arguments.
const ROOM: usize = 16 << 20;
/// How much of that is in memory twice while it is copied.
const PART: usize = 256 << 10;
/// How often a helper may fail without a reason that is known.
const MOST_FAILURES: usize = 3;

impl<'a> Reading<'a> {
    #[must_use]
    pub(crate) fn start(proc: &'a ProcRoot, pids: Vec<Pid>) -> Reading<'a> {
        let lines = Lines { found: Vec::with_capacity(pids.len()), ..Lines::default() };
        let mut reading = Reading { proc, left: pids, lines, helper: Err(Errno::EAGAIN) };
        if super::is_an_account_used_up() {
            reading.drop_used_up();
        }
        reading.helper = reading.next_helper();
        reading
    }

    fn next_helper(&self) -> nix::Result<Helper> {
        Helper::start(self.proc, &self.left)
    }

    /// Waits until all is read, or cannot be read.
    #[must_use]
    pub(crate) fn finish(mut self) -> Lines {
        let mut failures = 0;
        while !self.left.is_empty() {
            match std::mem::replace(&mut self.helper, Err(Errno::EAGAIN)) {
                Ok(mut helper) => {
                    let end = helper.wait(self.proc, &self.left);
                    self.take(helper);
                    match end {
                        End::Ended => {}
                        End::Blocked => self.drop_used_up(),
                        End::Failed => {
                            failures += 1;
                            self.drop_left(if failures < MOST_FAILURES { 1 } else { usize::MAX });
                        }
                    }
                }
                // The kernel starts no other process: better to wait, perhaps for long, than to show nothing.
                Err(_) => self.read_here(),
            }
            if !self.left.is_empty() {
                self.helper = self.next_helper();
            }
        }
        self.lines.found.sort_unstable_by_key(|(pid, _)| *pid);
        self.lines
    }

    /// Takes the answers of a helper, and ends it.
    fn take(&mut self, helper: Helper) {
        let Helper { process, answers } = helper;
        drop(process);
        let lines = &mut self.lines;
        // Once: what grows to megabytes leaves the space of its earlier places.
        lines.text.reserve(answers.bytes().len());
        let (before, mut count, mut unloaded) = (lines.text.len(), 0, 0);
        for (line, pid) in each(answers.bytes()).zip(&self.left) {
            lines.add(*pid, line);
            count += 1;
            let copied = lines.text.len() - before;
            if copied - unloaded > PART {
                answers.unload(copied);
                unloaded = copied;
            }
        }
        self.left.drain(..count);
    }

    fn read_here(&mut self) {
        let mut scan = Scan::new(self.proc);
        for pid in std::mem::take(&mut self.left) {
            let line = scan.as_mut().map_err(|errno| *errno).and_then(|scan| scan.command_line(pid));
            self.lines.add(pid, line);
        }
    }

    /// The next processes are not read.
    fn drop_left(&mut self, count: usize) {
        for pid in self.left.drain(..count.min(self.left.len())) {
            self.lines.add(pid, Err(Errno::ETIMEDOUT));
        }
    }

    /// Those whose account is used up are not read.
    fn drop_used_up(&mut self) {
        let (proc, lines) = (self.proc, &mut self.lines);
        self.left.retain(|pid| {
            let keep = !account_of(proc, *pid).left().is_zero();
            if !keep {
                lines.add(*pid, Err(Errno::ETIMEDOUT));
            }
            keep
        });
    }
}

impl Helper {
    #[allow(unsafe_code)] // AccessProcess::start
    fn start(proc: &ProcRoot, pids: &[Pid]) -> nix::Result<Helper> {
        let answers = SharedBytes::new(ROOM)?;
        let read = || {
            let Ok(mut scan) = Scan::new(proc) else { return };
            for pid in pids {
                let (errno, line) = match scan.command_line(*pid) {
                    Ok(line) => (0, line),
                    Err(errno) => (errno as i32, &[][..]),
                };
                if !answers.append(&[&errno.to_ne_bytes(), &line.len().to_ne_bytes(), line]) {
                    break;
                }
            }
        };
        let root: Vec<_> = proc.copy().into_iter().map(AsFd::as_fd).collect();
        // SAFETY: the closure holds the files of a copy, whose root is kept, a path, numbers and memory.
        let process = unsafe { AccessProcess::start_once(&root, read) }?;
        Ok(Helper { process, answers })
    }

    /// Waits for the end. The time in which the helper is blocked is that of the process which it reads.
    fn wait(&mut self, proc: &ProcRoot, pids: &[Pid]) -> End {
        let mut progress = (0, Instant::now() + LONGEST);
        loop {
            let seen = self.process.look(SLICE);
            let answered = self.answers.bytes().len();
            if answered > progress.0 {
                progress = (answered, Instant::now() + LONGEST);
            }
            match seen {
                Ok(Seen::Answer) if answered > 0 => return End::Ended,
                Ok(Seen::Answer) | Err(_) => return End::Failed,
                Ok(Seen::Running) if Instant::now() < progress.1 => {}
                Ok(Seen::Running) => return End::Failed,
                Ok(Seen::Blocked) => {
                    let count = each(self.answers.bytes()).count();
                    // All is read, but this process could not close its copy of the helper's socket.
                    let Some(pid) = pids.get(count) else { return End::Ended };
                    let account = account_of(proc, *pid);
                    account.spend(SLICE);
                    if account.left().is_zero() {
                        return End::Blocked;
                    }
                }
            }
        }
    }
}

/// The answers: an error or 0, the length, the line.
fn each(mut bytes: &[u8]) -> impl Iterator<Item = nix::Result<&[u8]>> {
    std::iter::from_fn(move || {
        let (errno, rest) =
            bytes.split_first_chunk().map(|(four, rest)| (i32::from_ne_bytes(*four), rest))?;
        let (length, rest) =
            rest.split_first_chunk().map(|(eight, rest)| (usize::from_ne_bytes(*eight), rest))?;
        let (line, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(if errno == 0 { Ok(line) } else { Err(Errno::from_raw(errno)) })
    })
}

/// While a process executes a program, the kernel shows no environment, or the begin of one. How long that may take: 100 ms.
/// A kernel thread and a zombie never have one.
const EXEC_TRIES: usize = 50;
const EXEC_PAUSE: Duration = Duration::from_millis(2);

/// The environment of a process. ETIMEDOUT: its memory is locked.
#[allow(unsafe_code)] // AccessProcess::start
pub(crate) fn environment(proc: &ProcRoot, pid: Pid) -> std::io::Result<Vec<u8>> {
    let path = proc.path_of(pid, "environ");
    let length = || Stat::environment_length(&proc.process(pid).stat_text().ok()?);
    let read = || {
        for _ in 1..EXEC_TRIES {
            let text = read_environment(File::open(&path)?)?;
            if length() == Some(text.len() as u64) {
                return Ok(text);
            }
            std::thread::sleep(EXEC_PAUSE);
        }
        read_environment(File::open(&path)?)
    };
    let serve = |_: &[u8]| match read() {
        Ok(text) => [&0_i32.to_ne_bytes()[..], &text].concat(),
        Err(error) => (super::errno_of(error) as i32).to_ne_bytes().to_vec(),
    };
    // SAFETY: the closure holds a path.
    let Ok(mut helper) = (unsafe { AccessProcess::start(&[], serve) }) else { return read() };
    let answer = helper.ask(account_of(proc, pid), &[])?;
    match answer.split_first_chunk().map(|(four, text)| (i32::from_ne_bytes(*four), text)) {
        Some((0, text)) => Ok(text.to_vec()),
        Some((errno, _)) => Err(std::io::Error::from_raw_os_error(errno)),
        None => Err(Errno::EIO.into()),
    }
}

/// E2BIG above the limit of execve(2), three quarters of 8 MB: a process can declare all of its memory to be its
/// environment (PR_SET_MM(2const)).
pub(crate) fn read_environment(file: File) -> std::io::Result<Vec<u8>> {
    const MOST: u64 = 6 << 20;
    // Most are read with one call: between two calls the process can execute another program.
    let mut text = Vec::with_capacity(8 << 10);
    file.take(MOST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST { Err(Errno::E2BIG.into()) } else { Ok(text) }
}

/// The account for what a process makes others do: that of the user who made its user namespace, else of its pid namespace,
/// else of its user.
pub(crate) fn account_of(proc: &ProcRoot, pid: Pid) -> Account {
    let process = proc.process(pid);
    if let Some(user) = maker(proc, pid).filter(|uid| *uid != 0) {
        return Account::User(user);
    }
    let own = proc.link(&proc.own(&Kind::Pid.link())).ok();
    match proc.link(&process.ns_path(Kind::Pid)).ok() {
        link if link == own => {}
        _ => {
            if let Some(inode) = process.ns(Kind::Pid) {
                return Account::Container(inode);
            }
        }
    }
    let owner = process.status().ok().and_then(|status| status.euid);
    Account::of_owner(owner.unwrap_or(0), pid.as_raw())
}

/// The user who made the outermost user namespace around the process, below that of this process.
fn maker(proc: &ProcRoot, pid: Pid) -> Option<u32> {
    outermost_maker(proc, namespace(&proc.process(pid).ns_path(Kind::User))?)
}

fn namespace(path: &Path) -> Option<OwnedFd> {
    open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty()).ok()
}

/// The user who made this user namespace, or the outermost one around it that is below that of this process.
pub(super) fn outermost_maker(proc: &ProcRoot, mut inner: OwnedFd) -> Option<u32> {
    /// The kernel allows 32 levels, user_namespaces(7).
    const LEVELS: usize = 33;
    let inode = |fd: &OwnedFd| fstat(fd).map(|stat| stat.st_ino).ok();
    let own = inode(&namespace(&proc.own(&Kind::User.link()))?)?;
    for _ in 0..LEVELS {
        let parent = sys::namespace_parent(&inner).ok()?;
        if inode(&parent)? == own {
            return sys::namespace_owner_uid(&inner).ok();
        }
        inner = parent;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("ctrbox-arguments-{name}-{}", std::process::id()))
    }

    #[test]
    fn every_process_has_its_command_line_or_an_error() {
        let dir = directory("all");
        // More than the room of one helper.
        let pids: Vec<Pid> = (1..=600).map(|at| Pid::from_raw(at * 3)).collect();
        let line = |pid: Pid| format!("sleep\0{pid}\0").repeat(4000).into_bytes();
        for pid in pids.iter().filter(|pid| pid.as_raw() % 2 == 1) {
            std::fs::create_dir_all(dir.join(pid.to_string())).expect("a directory");
            std::fs::write(dir.join(format!("{pid}/cmdline")), line(*pid)).expect("a file");
        }
        let proc = ProcRoot::new(&dir);
        let lines = Reading::start(&proc, pids.clone()).finish();
        for pid in pids {
            let whole = line(pid);
            match pid.as_raw() % 2 {
                1 => assert_eq!(lines.get(pid), Ok(&whole[..]), "{pid}"),
                _ => assert_eq!(lines.get(pid), Err(Errno::ENOENT), "{pid}"),
            }
        }
        assert_eq!(lines.get(Pid::from_raw(1)), Err(Errno::ENOENT));
        assert_eq!(lines.locked().count(), 0);
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn thousands_of_long_command_lines_are_cut() {
        let (mut lines, line) = (Lines::default(), [b'x'; Scan::LONGEST]);
        for pid in 1..=5000 {
            lines.add(Pid::from_raw(pid), Ok(&line));
        }
        let whole = Lines::WHOLE / Scan::LONGEST;
        assert_eq!(lines.text.len(), Lines::WHOLE + (5000 - whole) * Lines::CUT);
        assert_eq!(lines.get(Pid::from_raw(1)), Ok(&line[..]));
        assert_eq!(lines.get(Pid::from_raw(5000)), Ok(&line[..Lines::CUT]));
        lines.add(Pid::from_raw(5001), Ok(b"short\0"));
        assert_eq!(lines.get(Pid::from_raw(5001)), Ok(&b"short\0"[..]));
    }

    #[test]
    fn the_files_of_this_process_are_read() {
        let (proc, pid) = (ProcRoot::default(), Pid::this());
        let own: Vec<_> = std::env::args().collect();
        assert!(Lines::one(&proc, pid).expect("a line").starts_with(own[0].as_bytes()));
        let own = std::fs::read("/proc/self/environ").expect("an environment");
        assert_eq!(environment(&proc, pid).expect("an environment"), own);
        let none = environment(&proc, Pid::from_raw(i32::MAX)).expect_err("no process");
        assert_eq!(none.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn this_process_belongs_to_its_user() {
        let uid = nix::unistd::geteuid().as_raw();
        let pid = Pid::this();
        assert_eq!(account_of(&ProcRoot::default(), pid), Account::of_owner(uid, pid.as_raw()));
    }
}
