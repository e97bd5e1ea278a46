//! The identity of a process: parent, user, PID in its own pid namespace, control group. Read from files on every
//! kernel, and from pidfds in two thirds of the time if the kernel supports that (PIDFD_GET_INFO, Linux 6.13). Both
//! give the same results.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::ns;
use crate::proc::id_hash::ById;
use crate::proc::ns::parse_link;
use crate::proc::{ProcRoot, Scan, Status, vanished};
use crate::sys::{self, PidfdInfo};

#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Identity {
    pub ppid: Option<i32>,
    /// The real user.
    pub ruid: Option<u32>,
    /// The effective user.
    pub euid: Option<u32>,
    /// The PID in its own pid namespace.
    pub cpid: Option<i32>,
    /// Does it differ from the PID that proc shows?
    pub own_pid_ns: bool,
    pub kernel_thread: bool,
    /// The ids of its group in the unified hierarchy and of its pid namespace; by pidfd only.
    pub group: Option<(u64, u64)>,
}

/// The source of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Way {
    /// Pidfds if the kernel supports it, else files.
    #[default]
    Best,
    Files,
}

struct Identify {
    scan: Scan,
    by_pidfd: Option<ByPidfd>,
}

/// Identifies many processes in turn, each once. A caller may ask for some processes first, without a second walk.
pub(crate) struct Walk {
    identify: Identify,
    /// Those that are not identified yet.
    left: VecDeque<Pid>,
    /// Those that are identified before their turn.
    ahead: VecDeque<(Pid, Identity)>,
    /// The processes with PID 1 in a pid namespace of their own.
    first: Vec<First>,
    /// The parents of the processes that are identified.
    parents: ByPid<i32>,
}

/// What belongs to each of many processes. They are mostly added in order, and then a list takes half the memory of a map.
struct ByPid<T>(Vec<(i32, T)>);

impl<T> ByPid<T> {
    fn with_room(count: usize) -> ByPid<T> {
        ByPid(Vec::with_capacity(count))
    }

    fn place(&self, pid: Pid) -> Result<usize, usize> {
        self.0.binary_search_by_key(&pid.as_raw(), |(pid, _)| *pid)
    }

    fn insert(&mut self, pid: Pid, value: T) {
        match self.place(pid) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (pid.as_raw(), value)),
        }
    }

    fn get(&self, pid: Pid) -> Option<&T> {
        self.place(pid).ok().map(|at| &self.0[at].1)
    }
}

/// A process with PID 1 in its pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct First {
    pub pid: Pid,
    /// Is that namespace directly below the one of the proc mount? None if only its status shows it.
    pub outermost: Option<bool>,
}

impl First {
    pub(crate) fn unknown(pid: Pid) -> First {
        First { pid, outermost: None }
    }
}

impl Walk {
    pub(crate) fn new(proc: &ProcRoot, way: Way, pids: Vec<Pid>) -> nix::Result<Walk> {
        let (ahead, first) = (VecDeque::new(), Vec::new());
        let parents = ByPid::with_room(pids.len());
        Ok(Walk { identify: Identify::new(proc, way)?, left: pids.into(), ahead, first, parents })
    }

    /// Opens a pidfd of each process, as far as `most` descriptors suffice, and keeps it: see [`Self::ended`].
    pub(crate) fn hold(&mut self, most: usize) {
        if let Some(by_pidfd) = &mut self.identify.by_pidfd {
            let most = most.min(self.left.len());
            by_pidfd.held = ByPid::with_room(most);
            for pid in self.left.iter().take(most) {
                if let Ok(pidfd) = sys::pidfd_open(*pid) {
                    by_pidfd.held.insert(*pid, pidfd);
                }
            }
        }
    }

    /// The PIDs of the held processes that have ended: they may be those of other processes now, and what was read of them
    /// that of either. A zombie keeps its PID. In order.
    pub(crate) fn ended(&self) -> Vec<i32> {
        /// How many are asked at once.
        const PART: usize = 1024;
        let Some(by_pidfd) = &self.identify.by_pidfd else { return Vec::new() };
        let mut ended = Vec::new();
        for part in by_pidfd.held.0.chunks(PART) {
            let mut asked: Vec<PollFd<'_>> =
                part.iter().map(|(_, fd)| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
            let count = poll(&mut asked, PollTimeout::ZERO);
            // If poll(2) fails, each is asked.
            let may_have = |asked: &PollFd<'_>| count.is_err() || asked.any().unwrap_or(true);
            let has_ended = |fd: &OwnedFd| sys::pidfd_alive(fd) == Err(Errno::ESRCH);
            let of_part = part.iter().zip(&asked).filter(|((_, fd), asked)| may_have(asked) && has_ended(fd));
            ended.extend(of_part.map(|((pid, _), _)| *pid));
        }
        ended
    }

    /// The next process that has not ended.
    pub(crate) fn next(&mut self) -> Option<(Pid, Identity)> {
        self.ahead.pop_front().or_else(|| self.identify_next())
    }

    fn identify_next(&mut self) -> Option<(Pid, Identity)> {
        while let Some(pid) = self.left.pop_front() {
            let Ok(identity) = self.identify.identify(pid) else { continue };
            if identity.own_pid_ns && identity.cpid == Some(1) {
                let outermost = identity.group.and_then(|(_, space)| self.is_outermost(space));
                self.first.push(First { pid, outermost });
            }
            if let Some(parent) = identity.ppid {
                self.parents.insert(pid, parent);
            }
            return Some((pid, identity));
        }
        None
    }

    /// The processes with PID 1 in a pid namespace of their own, also those whose turn has not come.
    pub(crate) fn first_processes(&mut self) -> &[First] {
        while let Some(identified) = self.identify_next() {
            self.ahead.push_back(identified);
        }
        &self.first
    }

    /// Is a pid namespace directly below the one of the proc mount? None if that is not known.
    pub(crate) fn is_outermost(&self, space: u64) -> Option<bool> {
        self.identify.by_pidfd.as_ref()?.outermost.get(&space).copied()
    }

    /// The parent of a process, as it was when the process was identified; 0 without one.
    pub(crate) fn parent_of(&self, pid: Pid) -> Option<i32> {
        self.parents.get(pid).copied()
    }

    /// The current group of a process that was identified.
    pub(crate) fn group_now(&self, pid: Pid) -> Option<u64> {
        self.identify.group_now(pid)
    }
}

impl Identify {
    fn new(proc: &ProcRoot, way: Way) -> nix::Result<Identify> {
        let by_pidfd = match way {
            Way::Best => ByPidfd::new(proc),
            Way::Files => None,
        };
        Ok(Identify { scan: Scan::new(proc)?, by_pidfd })
    }

    /// The current group of a process.
    fn group_now(&self, pid: Pid) -> Option<u64> {
        let by_pidfd = self.by_pidfd.as_ref()?;
        let last = by_pidfd.last.as_ref().filter(|(last, _)| *last == pid).map(|(_, pidfd)| pidfd);
        let info = match by_pidfd.held.get(pid).or(last) {
            Some(pidfd) => sys::pidfd_info(pidfd),
            None => sys::pidfd_open(pid).and_then(|pidfd| sys::pidfd_info(&pidfd)),
        };
        info.ok().filter(|info| info.mask & PidfdInfo::CGROUP != 0).map(|info| info.cgroup)
    }

    /// An error if the process has ended. If it cannot be read, the fields that are known.
    fn identify(&mut self, pid: Pid) -> nix::Result<Identity> {
        if let Some(by_pidfd) = &mut self.by_pidfd {
            if let Some(identity) = by_pidfd.identify(&self.scan, pid)? {
                return Ok(identity);
            }
        }
        match self.scan.status_text(pid) {
            Ok(text) => Ok(Identity::of_status(&Status::parse(text))),
            Err(errno) if vanished(errno) => Err(errno),
            Err(_) => Ok(Identity::default()),
        }
    }
}

impl Identity {
    #[must_use]
    pub(crate) fn of_status(status: &Status) -> Identity {
        Identity {
            ppid: status.ppid,
            ruid: status.ruid,
            euid: status.euid,
            cpid: status.nspid.last().copied(),
            own_pid_ns: status.nspid.len() > 1,
            kernel_thread: status.kernel_thread,
            group: None,
        }
    }
}

/// The state for reading by pidfd.
struct ByPidfd {
    /// The pid namespace of this process and of its proc.
    own: u64,
    /// Open pid namespaces; only some, because descriptors are limited.
    spaces: ById<u64, OwnedFd>,
    /// The pid namespaces seen so far: is each directly below `own`?
    outermost: ById<u64, bool>,
    /// Those that are held while all are read.
    held: ByPid<OwnedFd>,
    /// The process that was identified last, if it is not held.
    last: Option<(Pid, OwnedFd)>,
}

impl Drop for ByPidfd {
    fn drop(&mut self) {
        sys::close_many(self.held.0.drain(..).map(|(_, pidfd)| pidfd).collect());
    }
}

impl ByPidfd {
    /// The largest number of namespaces that are kept open. Processes of one container mostly have PIDs near each
    /// other.
    const OPEN: usize = 100;

    /// None if the kernel lacks a request, or if proc shows the PIDs of another pid namespace.
    fn new(proc: &ProcRoot) -> Option<ByPidfd> {
        let this = Pid::this();
        let status = Status::parse(&proc.read_own("status").ok()?);
        if status.nspid != [this.as_raw()] {
            return None;
        }
        let own = parse_link(proc.link(&proc.own("ns/pid")).ok()?.as_os_str().as_encoded_bytes())?;
        let info = sys::pidfd_info(&sys::pidfd_open(this).ok()?).ok()?;
        let space = ns::open_file(&proc.own("ns/pid")).ok()?;
        let same = sys::pid_in_namespace(space, this) == Ok(this.as_raw());
        let (spaces, outermost, held) = (ById::default(), ById::default(), ByPid::with_room(0));
        (complete(&info, this) && same).then(|| ByPidfd { own, spaces, outermost, held, last: None })
    }

    /// None if only the files have the data.
    fn identify(&mut self, scan: &Scan, pid: Pid) -> nix::Result<Option<Identity>> {
        if let Some((_, last)) = self.last.take() {
            sys::close_later(last);
        }
        let asked = match self.held.get(pid) {
            Some(held) => sys::pidfd_info(held),
            None => sys::pidfd_open(pid).and_then(|pidfd| sys::pidfd_info(&self.last.insert((pid, pidfd)).1)),
        };
        let info = match asked {
            Ok(info) => info,
            Err(Errno::ESRCH) => return Err(Errno::ESRCH),
            Err(_) => return Ok(None),
        };
        // Kernel threads are children of PID 2, but not every child of PID 2 is a kernel thread.
        let maybe_kernel_thread = info.ppid == 2 || pid.as_raw() == 2;
        if maybe_kernel_thread || !complete(&info, pid) {
            return Ok(None);
        }
        let mut buffer = [0; 64];
        let Ok(link) = scan.link(pid, "ns/pid", &mut buffer) else { return Ok(None) };
        let Some(space) = parse_link(link) else { return Ok(None) };
        let own_pid_ns = space != self.own;
        let cpid = match own_pid_ns {
            false => pid.as_raw(),
            true => match self.inside(scan, pid, space) {
                Some(cpid) => cpid,
                None => return Ok(None),
            },
        };
        Ok(Some(Identity {
            ppid: i32::try_from(info.ppid).ok(),
            ruid: Some(info.ruid),
            euid: Some(info.euid),
            cpid: Some(cpid),
            own_pid_ns,
            kernel_thread: false,
            group: (info.mask & PidfdInfo::CGROUP != 0).then_some((info.cgroup, space)),
        }))
    }

    fn inside(&mut self, scan: &Scan, pid: Pid, space: u64) -> Option<i32> {
        if !self.spaces.contains_key(&space) {
            if self.spaces.len() >= sys::share_of_open_files(Self::OPEN) {
                self.spaces.drain().for_each(|(_, space)| sys::close_later(space));
            }
            let last = self.last.as_ref().filter(|(last, _)| *last == pid).map(|(_, pidfd)| pidfd);
            // By its path it takes twice as long.
            let fd = match self.held.get(pid).or(last) {
                Some(pidfd) => sys::pidfd_pid_namespace(pidfd).ok()?,
                None => scan.open(pid, "ns/pid").ok()?,
            };
            // The process may have ended, and another one may have its PID: ask the descriptor.
            let inode = fstat(&fd).ok()?.st_ino;
            if let Entry::Vacant(entry) = self.outermost.entry(inode) {
                let parent = ns::parent_of(&fd).and_then(fstat);
                entry.insert(parent.is_ok_and(|parent| parent.st_ino == self.own));
            }
            self.spaces.insert(inode, sys::kept_apart(fd));
        }
        sys::pid_in_namespace(self.spaces.get(&space)?, pid).ok()
    }
}

fn complete(info: &PidfdInfo, pid: Pid) -> bool {
    let needed = PidfdInfo::PID | PidfdInfo::CREDENTIALS;
    info.mask & needed == needed && i32::try_from(info.tgid) == Ok(pid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_on_this_process() {
        let proc = ProcRoot::default();
        let by = |way| Identify::new(&proc, way).expect("opens").identify(Pid::this()).expect("is there");
        let files = by(Way::Files);
        assert_eq!(Identity { group: None, ..by(Way::Best) }, files);
        assert_eq!(files.ppid, Some(nix::unistd::getppid().as_raw()));
        assert!(!files.kernel_thread);
    }

    #[test]
    fn a_walk_gives_each_process_once_and_in_order() {
        let proc = ProcRoot::default();
        let pids = vec![Pid::this(), Pid::parent(), Pid::from_raw(i32::MAX), Pid::this()];
        let walk = || Walk::new(&proc, Way::Best, pids.clone()).expect("opens");
        let all = |walk: &mut Walk| std::iter::from_fn(|| walk.next()).collect::<Vec<_>>();
        let expected = all(&mut walk());
        assert_eq!(expected.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(), [pids[0], pids[1], pids[0]]);
        let mut ahead = walk();
        assert_eq!(ahead.next().as_ref(), Some(&expected[0]));
        ahead.first_processes();
        assert_eq!(all(&mut ahead), expected[1..]);
        let group = expected[0].1.group.map(|(group, _)| group);
        assert_eq!(ahead.group_now(Pid::this()), group);
    }

    #[test]
    fn a_missing_process_has_vanished() {
        for way in [Way::Best, Way::Files] {
            let mut identify = Identify::new(&ProcRoot::default(), way).expect("opens");
            assert!(identify.identify(Pid::from_raw(i32::MAX)).is_err_and(vanished));
        }
    }

    #[test]
    fn a_foreign_proc_is_read_by_files() {
        assert!(ByPidfd::new(&ProcRoot::new("/nonexistent")).is_none());
    }
}
