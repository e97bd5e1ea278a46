//! Reads files of every process: one descriptor for /proc, one buffer, two system calls per file.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Error, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{Pid, read};

use super::dents::numbers;
use super::ns::{Kind, parse_link};
use super::{ProcRoot, hidden, survivors};
use crate::sys;
use crate::text;

pub(crate) struct Scan {
    dir: OwnedFd,
    /// Set for the files of another host.
    copy: Option<ProcRoot>,
    buffer: Vec<u8>,
}

/// The directory `/proc/PID/ns`.
pub(crate) struct Namespaces(OwnedFd);

impl Namespaces {
    pub(crate) fn inode(&self, kind: Kind) -> Option<u64> {
        sys::read_link_at(&self.0, kind.c_name(), &mut [0; 64]).ok().and_then(parse_link)
    }

    /// The link itself. What is read of it later is the namespace that the process has then.
    pub(crate) fn open_link(&self, name: &CStr) -> nix::Result<OwnedFd> {
        openat(&self.0, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
    }

    pub(crate) fn open(&self, name: &CStr) -> nix::Result<OwnedFd> {
        openat(&self.0, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    }
}

/// The namespace to which a link of [`Namespaces::open_link`] leads.
pub(crate) fn inode_of_link(link: &OwnedFd) -> Option<u64> {
    sys::read_link_at(link, c"", &mut [0; 64]).ok().and_then(parse_link)
}

impl Drop for Scan {
    fn drop(&mut self) {
        sys::close_unneeded();
    }
}

impl Scan {
    /// Files are cut to this length. An argument list can have megabytes.
    pub(crate) const LONGEST: usize = 128 * 1024;
    /// A status is never cut: the fields after its 65,536 supplementary groups say which pid namespace a process is in.
    const LONGEST_STATUS: usize = 1 << 20;

    pub(crate) fn new(proc: &ProcRoot) -> nix::Result<Scan> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = open(proc.path(), flags, Mode::empty())?;
        Ok(Scan { dir, copy: proc.copy().map(|_| proc.clone()), buffer: vec![0; 16 * 1024] })
    }

    pub(crate) fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// The PIDs of all processes, sorted. An error if there are none: then proc is not mounted.
    pub(crate) fn pids(proc: &ProcRoot) -> Result<Vec<Pid>> {
        let shown = proc.path().display();
        let all =
            Scan::listed(proc).with_context(|| format!("cannot read {shown}: is proc mounted there?"))?;
        if all.is_empty() {
            bail!("there are no processes in {shown}: is proc mounted there?");
        }
        Ok(all.into_iter().map(|(pid, _)| pid).collect())
    }

    /// Why a process is not found: it does not exist, or none is shown.
    pub(crate) fn no_process(proc: &ProcRoot) -> Error {
        Scan::pids(proc).err().unwrap_or_else(|| Errno::ESRCH.into())
    }

    /// The same with the inodes of their directories. The directory of another process with the same PID has another one.
    pub(crate) fn listed(proc: &ProcRoot) -> std::io::Result<Vec<(Pid, u64)>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = open(proc.path(), flags, Mode::empty())?;
        let mut all = numbers_in(&dir)?;
        hidden::leave_out(&mut all, |(pid, _)| *pid);
        Ok(all)
    }

    /// The text of the link `/proc/PID/LINK`, cut to the buffer.
    pub(crate) fn link<'a>(&self, pid: Pid, link: &str, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
        if let Some(copy) = &self.copy {
            let text = copy
                .link(&copy.path_of(pid, link))
                .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?
                .into_os_string();
            let length = text.len().min(buffer.len());
            buffer[..length].copy_from_slice(&text.as_bytes()[..length]);
            return Ok(&buffer[..length]);
        }
        let length = self.of_living(pid, || {
            let mut path = [0; PATH];
            let path = c_path(&mut path, pid, link)?;
            sys::read_link_at(&self.dir, path, buffer).map(<[u8]>::len)
        })?;
        Ok(&buffer[..length])
    }

    /// Reads what no thread of a process has that has ended: a second time if another one stands for it from now on.
    fn of_living<T>(&self, pid: Pid, mut read: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
        match read() {
            Err(errno)
                if survivors::is_without_thread(errno)
                    && self.copy.is_none()
                    && survivors::find(&self.dir, pid) =>
            {
                read()
            }
            result => result,
        }
    }

    /// The links of its namespaces. Fails for the files of another host.
    pub(crate) fn namespaces(&self, pid: Pid) -> nix::Result<Namespaces> {
        if self.copy.is_some() {
            return Err(Errno::ENOTSUP);
        }
        self.open_with(pid, "ns", OFlag::O_DIRECTORY).map(Namespaces)
    }

    /// The root directory of a process.
    pub(crate) fn root(&self, pid: Pid) -> nix::Result<sys::Known> {
        self.of_living(pid, || sys::known(&self.dir, c_path(&mut [0; PATH], pid, "root")?))
    }

    /// Opens `/proc/PID/FILE`.
    pub(crate) fn open(&self, pid: Pid, file: &str) -> nix::Result<OwnedFd> {
        self.open_with(pid, file, OFlag::empty())
    }

    /// A directory of a process, for files below it. It keeps nothing of the process, which can end. A copy of a host has
    /// none that stays open.
    pub(crate) fn directory(&self, pid: Pid, name: &str) -> Option<OwnedFd> {
        let of_process = || self.open_with(pid, name, OFlag::O_PATH | OFlag::O_DIRECTORY).ok();
        self.copy.is_none().then(of_process)?
    }

    fn open_with(&self, pid: Pid, file: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        if let Some(copy) = &self.copy {
            return copy.open(&copy.path_of(pid, file));
        }
        let mut path = [0; PATH];
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | flags;
        openat(&self.dir, c_path(&mut path, pid, file)?, flags, Mode::empty())
    }

    pub(crate) fn status_text(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        self.read_to(Self::LONGEST_STATUS, pid, "status")
    }

    pub(crate) fn stat_text(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        self.read(pid, "stat")
    }

    /// The lines of its control groups, cgroup(7).
    pub(crate) fn cgroup(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        let length = self.read(pid, "cgroup")?.len();
        let may_lack = self.copy.is_none() && survivors::may_lack_groups(&self.buffer[..length]);
        match may_lack.then(|| survivors::living_thread(&self.dir, pid)).flatten() {
            Some(thread) => self.read(pid, &format!("task/{thread}/cgroup")),
            None => Ok(&self.buffer[..length]),
        }
    }

    /// The label that the security module gave it.
    pub(crate) fn label(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        self.read(pid, "attr/current")
    }

    pub(crate) fn statm(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        self.read(pid, "statm")
    }

    pub(crate) fn oom_score(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        self.read(pid, "oom_score")
    }

    pub(crate) fn uid_map(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        self.read(pid, "uid_map")
    }

    /// Its arguments, each ended by a NUL. This can block: only `access` calls it, in a process of its own.
    pub(crate) fn command_line(&mut self, pid: Pid) -> nix::Result<&[u8]> {
        self.read(pid, "cmdline")
    }

    /// The stat of one thread.
    pub(crate) fn thread_stat_text(&mut self, pid: Pid, thread: Pid) -> nix::Result<&[u8]> {
        self.read(pid, &format!("task/{thread}/stat"))
    }

    /// The status of one thread.
    pub(crate) fn thread_status_text(&mut self, pid: Pid, thread: Pid) -> nix::Result<&[u8]> {
        self.read_to(Self::LONGEST_STATUS, pid, &format!("task/{thread}/status"))
    }

    /// The kernel function in which a thread waits; `0` for none.
    pub(crate) fn waits_in(&mut self, pid: Pid, thread: Pid) -> nix::Result<&[u8]> {
        self.read(pid, &format!("task/{thread}/wchan"))
    }

    /// How many threads a process has, without a list of them: their directory has a link for each one. Fails for the files of
    /// another host.
    pub(crate) fn thread_count(&self, pid: Pid) -> nix::Result<usize> {
        if self.copy.is_some() {
            return Err(Errno::ENOTSUP);
        }
        let stat = fstatat(&self.dir, c_path(&mut [0; PATH], pid, "task")?, AtFlags::empty())?;
        Ok(usize::try_from(stat.st_nlink).unwrap_or(usize::MAX).saturating_sub(2))
    }

    /// The threads of a process, sorted, itself included.
    pub(crate) fn threads(&self, pid: Pid) -> nix::Result<Vec<Pid>> {
        let dir = self.open(pid, "task")?;
        let all = numbers_in(&dir).map_err(|_| Errno::ESRCH)?;
        Ok(all.into_iter().map(|(pid, _)| pid).collect())
    }

    /// The content of `/proc/PID/FILE`, cut to [`Self::LONGEST`].
    fn read(&mut self, pid: Pid, file: &str) -> nix::Result<&[u8]> {
        self.read_to(Self::LONGEST, pid, file)
    }

    fn read_to(&mut self, longest: usize, pid: Pid, file: &str) -> nix::Result<&[u8]> {
        let fd = self.open_with(pid, file, OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK)?;
        let mut filled = 0;
        loop {
            let room = self.buffer.len().min(longest);
            match read(&fd, &mut self.buffer[filled..room]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            }
            // proc writes these files whole at the first read: a read that leaves room in the buffer has reached the end.
            if filled < room || filled >= longest {
                break;
            }
            self.buffer.resize(filled * 2, 0);
        }
        sys::close_later(fd);
        Ok(&self.buffer[..filled])
    }
}

/// The longest path with its NUL.
const PATH: usize = 64;

/// `PID/FILE`, written without allocation, as it is needed several times for each process.
fn c_path<'a>(buffer: &'a mut [u8; PATH], pid: Pid, file: &str) -> nix::Result<&'a CStr> {
    if hidden::is_hidden(pid) {
        return Err(Errno::ESRCH);
    }
    if let Some(thread) = survivors::thread(pid, file) {
        let path = format!("{pid}/task/{thread}/{file}\0");
        buffer.get_mut(..path.len()).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(path.as_bytes());
        return CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::ENAMETOOLONG);
    }
    let at = text::digits(pid.as_raw().unsigned_abs().into(), &mut buffer[..10]);
    buffer[10] = b'/';
    let end = 11 + file.len();
    buffer.get_mut(11..end).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(file.as_bytes());
    *buffer.get_mut(end).ok_or(Errno::ENAMETOOLONG)? = 0;
    CStr::from_bytes_until_nul(&buffer[at..]).map_err(|_| Errno::ENAMETOOLONG)
}

/// The names in a directory that are numbers of processes or threads, sorted, with their inodes.
fn numbers_in(dir: &OwnedFd) -> std::io::Result<Vec<(Pid, u64)>> {
    let (mut pids, mut buffer) = (Vec::new(), vec![0; 32 * 1024]);
    loop {
        match sys::get_dents(dir, &mut buffer)? {
            [] => break,
            raw => pids.extend(numbers(raw)),
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_processes() {
        for (number, path) in [(1, c"1/ns/pid"), (i32::MAX, c"2147483647/ns/pid"), (10, c"10/ns/pid")] {
            assert_eq!(c_path(&mut [0; PATH], Pid::from_raw(number), "ns/pid"), Ok(path));
        }
        let long = "x".repeat(PATH - 11);
        assert_eq!(c_path(&mut [0; PATH], Pid::from_raw(1), &long), Err(Errno::ENAMETOOLONG));
        assert!(c_path(&mut [0; PATH], Pid::from_raw(1), &long[1..]).is_ok());
    }

    #[test]
    fn this_process_is_found_and_read() {
        let proc = ProcRoot::default();
        assert!(Scan::pids(&proc).expect("a listing").contains(&Pid::this()));
        let mut scan = Scan::new(&proc).expect("/proc opens");
        let cmdline = scan.read(Pid::this(), "cmdline").expect("own cmdline").to_vec();
        let own: Vec<_> = std::env::args().collect();
        assert!(cmdline.starts_with(own[0].as_bytes()));
        assert_eq!(scan.read(Pid::from_raw(i32::MAX), "stat"), Err(Errno::ENOENT));
    }

    #[test]
    fn a_file_is_cut_at_the_longest_length_only() {
        let dir = std::env::temp_dir().join(format!("ctrbox-scan-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("7")).expect("a directory");
        for (size, expected) in [(20_000, 20_000), (1 << 20, Scan::LONGEST)] {
            std::fs::write(dir.join("7/cmdline"), vec![b'x'; size]).expect("a file");
            let mut scan = Scan::new(&ProcRoot::new(&dir)).expect("opens");
            assert_eq!(scan.read(Pid::from_raw(7), "cmdline").expect("reads").len(), expected);
        }
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
