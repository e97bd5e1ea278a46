//! Asks the kernel the same in many namespaces, in one child process that enters one after the other.
//!
//! The child has the mounts and the PIDs of the host. It runs nothing but the caller's function, and ends with it.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{ForkResult, Pid, pipe2, read};

use super::capabilities::own::{self, NET_ADMIN, SYS_MODULE};
use super::capabilities::text::Flags;
use crate::proc::ns::Kind;
use crate::proc::{Namespaces, ProcRoot, Scan, Status, inode_of_link};
use crate::sys::{self, PidfdInfo};

/// A namespace, and where a file of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `/proc/PID/ns/net`, or a file to which the namespace is bound.
    pub path: PathBuf,
    /// Another process can have the PID by now: then the namespace is left out.
    pub inode: u64,
    /// The process whose file it is, if the path is below /proc.
    pid: Option<Pid>,
}

/// Answers are kept up to this size: the namespaces of users can contain anything.
const MOST: usize = 64 << 20;
/// The longest time for all answers. A kernel that is asked for devices waits for their lock.
const LONGEST: Duration = Duration::from_secs(20);
/// The number of the namespace and the length of its answer.
const HEAD: usize = 8;

impl Place {
    pub(crate) fn of_process(proc: &ProcRoot, pid: Pid, kind: Kind, inode: u64) -> Place {
        let is_own = proc.path() == Path::new("/proc");
        Place { path: proc.path_of(pid, &kind.link()), inode, pid: is_own.then_some(pid) }
    }

    pub(crate) fn of_file(path: PathBuf, inode: u64) -> Place {
        Place { path, inode, pid: None }
    }

    fn open(&self) -> nix::Result<OwnedFd> {
        let fd = openat(AT_FDCWD, &self.path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        if fstat(&fd)?.st_ino == self.inode { Ok(fd) } else { Err(Errno::ESRCH) }
    }

    /// Is it sure to be this namespace? A pidfd takes two thirds of the time of a path, but then only an answer is worth
    /// the question whose it is.
    fn enter(&self, kind: Kind, by_pidfd: bool) -> nix::Result<bool> {
        if let Some(pid) = self.pid.filter(|_| by_pidfd) {
            if let Ok(pidfd) = enter_those_of(pid, kind.flag()) {
                sys::close_later(pidfd);
                return Ok(false);
            }
        }
        sys::setns(self.open()?, kind.flag()).map(|()| true)
    }
}

/// Enters namespaces of a process; since Linux 5.8.
fn enter_those_of(pid: Pid, flags: c_int) -> nix::Result<OwnedFd> {
    let pidfd = sys::pidfd_open(pid)?;
    sys::setns(&pidfd, flags).map(|()| pidfd)
}

/// Has /proc the PIDs of this process's pid namespace?
fn proc_has_own_pids() -> bool {
    let status = ProcRoot::default().read_own("status");
    status.is_ok_and(|text| Status::parse(&text).nspid == [Pid::this().as_raw()])
}

fn own_inode(kind: Kind) -> Option<u64> {
    ProcRoot::default().process(Pid::this()).ns(kind)
}

/// The answers of `ask` in each of these namespaces, with the numbers of the namespaces. An empty answer is left out, and
/// so is a namespace that cannot be entered. Fails if no namespace could be entered.
pub(crate) fn visit(
    places: &[Place],
    kind: Kind,
    mut ask: impl FnMut(usize) -> Vec<u8>,
) -> nix::Result<Vec<(usize, Vec<u8>)>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    in_child(|to| visit_all(places, kind, &mut ask, to))
}

/// The answers of `ask` in the namespaces of all these processes, with the numbers of the processes; since Linux 5.8. `ask` gets
/// these namespaces. One whose namespaces this process may not see, as those of a first process with more capabilities, is left
/// out. Fails if another one that has not ended cannot be entered, or if /proc has not the PIDs of this process's namespace.
pub(crate) fn visit_processes(
    pids: &[Pid],
    kinds: &[Kind],
    mut ask: impl FnMut(&Entered) -> Vec<u8>,
) -> nix::Result<Vec<(usize, Vec<u8>)>> {
    let flags = kinds.iter().fold(0, |flags, kind| flags | kind.flag());
    let mut visit = |to: OwnedFd| -> nix::Result<()> {
        let mut entered = Entered::new(kinds)?;
        if !proc_has_own_pids() {
            return Err(Errno::ENOTSUP);
        }
        let (mut to, scan) = (buffered(to), Scan::new(&ProcRoot::default())?);
        let sees = |pid: Pid| kinds.iter().all(|kind| scan.link(pid, &kind.link(), &mut [0; 64]).is_ok());
        for (number, pid) in pids.iter().enumerate() {
            match enter_those_of(*pid, flags) {
                Ok(pidfd) => entered.set_process(Some(pidfd)),
                Err(_) if !sees(*pid) => continue,
                // A pidfd is that of the first thread, which can have ended before others.
                Err(_) => {
                    entered.set_process(None);
                    kinds.iter().try_for_each(|kind| {
                        let namespace = scan.open(*pid, &kind.link())?;
                        sys::setns(namespace, kind.flag())
                    })?;
                }
            }
            send(&mut to, number, &ask(&entered)).map_err(|_| Errno::EIO)?;
        }
        to.flush().map_err(|_| Errno::EIO)
    };
    in_child(|to| visit(to).map_or_else(|errno| errno as i32, |()| 0))
}

/// The namespaces that this process has entered. Its children, not itself, are in the pid namespace.
pub(crate) struct Entered {
    own: Namespaces,
    /// The links of these kinds. Of an open link there is no path to follow, which takes a fourth of the time.
    links: Vec<(Kind, OwnedFd)>,
    /// The process whose namespaces they are.
    process: Option<OwnedFd>,
}

impl Entered {
    fn new(kinds: &[Kind]) -> nix::Result<Entered> {
        let own = Scan::new(&ProcRoot::default())?.namespaces(Pid::this())?;
        let link = |kind: &Kind| Ok((*kind, own.open_link(Entered::name(*kind))?));
        let links = kinds.iter().map(link).collect::<nix::Result<_>>()?;
        Ok(Entered { own, links, process: None })
    }

    fn set_process(&mut self, pidfd: Option<OwnedFd>) {
        std::mem::replace(&mut self.process, pidfd).into_iter().for_each(sys::close_later);
    }

    /// The id of the control group of that process in the unified hierarchy; since Linux 6.13.
    pub(crate) fn group(&self) -> Option<u64> {
        let info = sys::pidfd_info(self.process.as_ref()?).ok()?;
        (info.mask & PidfdInfo::CGROUP != 0).then_some(info.cgroup)
    }

    pub(crate) fn inode(&self, kind: Kind) -> Option<u64> {
        let (_, link) = self.links.iter().find(|(other, _)| *other == kind)?;
        inode_of_link(link)
    }

    pub(crate) fn open(&self, kind: Kind) -> nix::Result<OwnedFd> {
        self.own.open(Entered::name(kind))
    }

    fn name(kind: Kind) -> &'static CStr {
        if kind == Kind::Pid { c"pid_for_children" } else { kind.c_name() }
    }
}

/// The kernel loads a module for the name of an interface that is not there (netdevice(7)), if the caller may, which makes
/// new interfaces in all namespaces. A question must change nothing.
fn give_up_modules() -> nix::Result<()> {
    const MODULES: u64 = NET_ADMIN | SYS_MODULE;
    let flags = own::flags()?;
    match flags.permitted & MODULES {
        0 => Ok(()),
        _ => own::set_flags(Flags {
            permitted: flags.permitted & !MODULES,
            effective: flags.effective & !MODULES,
            ..flags
        }),
    }
}

/// What a child sends that runs `work`, and ends with its result as exit status.
fn in_child(work: impl FnOnce(OwnedFd) -> i32) -> nix::Result<Vec<(usize, Vec<u8>)>> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    let child = match sys::fork_silent()? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop(from);
            let status = match give_up_modules() {
                Ok(()) => work(to),
                Err(errno) => errno as i32,
            };
            sys::exit_now(status);
        }
    };
    drop(to);
    let all = collect(&from);
    if all.is_err() {
        _ = sys::kill(child, libc::SIGKILL);
    }
    drop(from);
    let ended = sys::wait_for_step(child)?;
    match (all, ended) {
        (Ok(all), sys::Ended::Exited(0)) => Ok(answers(&all)),
        (Ok(_), sys::Ended::Exited(errno)) => Err(Errno::from_raw(errno.into())),
        (Ok(_), _) => Err(Errno::ECHILD),
        (Err(errno), _) => Err(errno),
    }
}

/// In the child. Returns its exit status.
fn visit_all(places: &[Place], kind: Kind, ask: &mut dyn FnMut(usize) -> Vec<u8>, to: OwnedFd) -> i32 {
    let mut to = buffered(to);
    let (mut failure, mut entered) = (Errno::UnknownErrno, false);
    let by_pidfd = proc_has_own_pids();
    for (number, place) in places.iter().enumerate() {
        let is_sure = match place.enter(kind, by_pidfd) {
            Ok(is_sure) => is_sure,
            Err(errno) => {
                failure = errno;
                continue;
            }
        };
        entered = true;
        let answer = ask(number);
        let is_it = || is_sure || own_inode(kind) == Some(place.inode);
        if !answer.is_empty() && is_it() && send(&mut to, number, &answer).is_err() {
            break;
        }
    }
    _ = to.flush();
    if entered || failure == Errno::ESRCH || failure == Errno::ENOENT { 0 } else { failure as i32 }
}

/// One write for many answers: each wakes the reader.
fn buffered(to: OwnedFd) -> BufWriter<File> {
    BufWriter::with_capacity(64 << 10, File::from(to))
}

fn send(to: &mut impl Write, number: usize, answer: &[u8]) -> std::io::Result<()> {
    let (Ok(number), Ok(length)) = (u32::try_from(number), u32::try_from(answer.len())) else {
        return Ok(());
    };
    to.write_all(&[number.to_ne_bytes(), length.to_ne_bytes()].concat())?;
    to.write_all(answer)
}

fn collect(from: &OwnedFd) -> nix::Result<Vec<u8>> {
    let begin = Instant::now();
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = LONGEST.saturating_sub(begin.elapsed());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) => return Err(Errno::ETIMEDOUT),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        match read(from, &mut buffer) {
            Ok(0) => return Ok(all),
            Ok(length) if all.len() + length <= MOST => all.extend_from_slice(&buffer[..length]),
            Ok(_) => return Err(Errno::EFBIG),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn answers(mut all: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((head, rest)) = all.split_first_chunk::<HEAD>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let (number, length) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]) as usize);
        let Some((answer, rest)) = rest.split_at_checked(length) else { break };
        found.push((number as usize, answer.to_vec()));
        all = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_namespace_that_is_meant_answers() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (proc, this) = (ProcRoot::default(), Pid::this());
        let own = proc.process(this).ns(Kind::Uts).expect("a link");
        let place = |inode| Place::of_process(&proc, this, Kind::Uts, inode);
        let found = visit(&[place(1), place(own)], Kind::Uts, |_| b"x".to_vec()).expect("answers");
        assert_eq!(found, [(1, b"x".to_vec())]);
        let ask = |entered: &Entered| entered.inode(Kind::Uts).unwrap_or(0).to_ne_bytes().to_vec();
        let pids = [this, Pid::from_raw(i32::MAX), Pid::from_raw(2)];
        let found = visit_processes(&pids, &[Kind::Uts, Kind::Pid], ask).expect("answers");
        assert_eq!(found[0], (0, own.to_ne_bytes().to_vec()));
        assert!(found.iter().all(|(number, _)| *number != 1), "a process that is not there");
    }

    /// A question for an interface that is not there loads no module.
    #[test]
    fn a_visitor_loads_no_module() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (proc, this) = (ProcRoot::default(), Pid::this());
        let own = proc.process(this).ns(Kind::Net).expect("a link");
        let ask = |_| own::flags().map_or(Vec::new(), |flags| flags.effective.to_ne_bytes().to_vec());
        let place = Place::of_process(&proc, this, Kind::Net, own);
        let (_, flags) = &visit(&[place], Kind::Net, ask).expect("an answer")[0];
        let flags = u64::from_ne_bytes(flags[..].try_into().expect("flags"));
        assert_eq!(flags & (1 << 12 | 1 << 16), 0, "CAP_NET_ADMIN, CAP_SYS_MODULE");
        assert_ne!(flags, 0);
    }

    #[test]
    fn answers_are_split() {
        let head = |number: u32, length: u32| [number.to_ne_bytes(), length.to_ne_bytes()].concat();
        let all = [head(3, 2), b"ab".to_vec(), head(9, 1), b"c".to_vec(), head(4, 7), b"cut".to_vec()];
        assert_eq!(answers(&all.concat()), [(3, b"ab".to_vec()), (9, b"c".to_vec())]);
        assert!(answers(b"").is_empty());
    }
}
