//! One process, as /proc shows it.

use std::ffi::CString;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use nix::fcntl::AT_FDCWD;
use nix::unistd::Pid;

use super::idmap::Which;
use super::ns::{Kind, parse_link};
use super::{Credentials, ProcRoot, Stat, Status, survivors};
use crate::sys;

/// A PID below a [`ProcRoot`]. The process need not exist: each read can fail.
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    pub root: &'a ProcRoot,
    pub pid: Pid,
}

impl ProcRoot {
    #[must_use]
    pub fn process(&self, pid: Pid) -> Process<'_> {
        Process { root: self, pid }
    }
}

impl ProcRoot {
    /// The namespaces of the host, in the order of [`Kind::ALL`]: those of PID 1, or of this process where they cannot be
    /// read.
    #[must_use]
    pub fn host_namespaces(&self) -> [Option<u64>; Kind::ALL.len()] {
        let first = self.process(Pid::from_raw(1));
        Kind::ALL.map(|kind| {
            let own = || parse_link(self.link(&self.own(&kind.link())).ok()?.as_os_str().as_bytes());
            first.ns(kind).or_else(own)
        })
    }
}

impl Process<'_> {
    /// `/proc/PID/FILE`
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.root.path_of(self.pid, file)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>> {
        self.root.read(self.pid, file)
    }

    pub fn status(&self) -> Result<Status> {
        Ok(Status::parse(&self.status_text()?))
    }

    pub(crate) fn status_text(&self) -> Result<Vec<u8>> {
        self.root.read_whole(self.pid, "status")
    }

    pub(crate) fn stat_text(&self) -> Result<Vec<u8>> {
        self.root.read_whole(self.pid, "stat")
    }

    /// The label that the security module gave it.
    pub(crate) fn label(&self) -> Result<Vec<u8>> {
        self.read("attr/current")
    }

    /// The PID of the process, if this is the ID of a thread other than its first.
    #[must_use]
    pub(crate) fn process_of_thread(&self) -> Option<Pid> {
        let text = self.status_text().ok()?;
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
        super::number(line.trim_ascii()).map(Pid::from_raw).filter(|process| *process != self.pid)
    }

    pub fn credentials(&self) -> Result<Credentials> {
        self.credentials_in("status")
    }

    /// The credentials of one of its threads.
    pub fn thread_credentials(&self, thread: Pid) -> Result<Credentials> {
        self.credentials_in(&format!("task/{thread}/status"))
    }

    fn credentials_in(&self, file: &str) -> Result<Credentials> {
        let incomplete = || Error::new(ErrorKind::UnexpectedEof, "its status lacks the capabilities");
        Credentials::parse(&self.read(file)?).ok_or_else(incomplete)
    }

    /// With the state and the memory of another thread, if the first one has ended and others run.
    pub fn stat(&self) -> Option<Stat> {
        let stat = Stat::parse(&self.stat_text().ok()?)?;
        if stat.state != b'Z' || stat.threads < 2 {
            return Some(stat);
        }
        let thread = self.root.living_thread(self.pid);
        let other = thread.and_then(|thread| Stat::parse(&self.read(&format!("task/{thread}/stat")).ok()?));
        Some(match other {
            Some(Stat { state, vsize, rss, .. }) => Stat { state, vsize, rss, ..stat },
            None => stat,
        })
    }

    /// Has it ended, with all its threads?
    pub(crate) fn is_zombie(&self) -> bool {
        self.stat().is_some_and(|stat| stat.state == b'Z')
    }

    /// The start time, in ticks of 1/100 s since boot.
    #[must_use]
    pub fn start_time(&self) -> Option<u64> {
        Stat::start_of(&self.stat_text().ok()?)
    }

    /// The lines of its control groups, cgroup(7).
    pub fn cgroup(&self) -> Result<Vec<u8>> {
        let text = self.root.read_whole(self.pid, "cgroup")?;
        match survivors::may_lack_groups(&text).then(|| self.root.living_thread(self.pid)).flatten() {
            Some(thread) => self.read(&format!("task/{thread}/cgroup")),
            None => Ok(text),
        }
    }

    pub fn mountinfo(&self) -> Result<Vec<u8>> {
        self.root.of_living(self.pid, || self.read("mountinfo"))
    }

    /// Its arguments, each ended by a NUL.
    pub fn command_line(&self) -> Result<Vec<u8>> {
        self.read("cmdline")
    }

    pub fn id_map(&self, which: Which) -> Result<Vec<u8>> {
        self.read(which.file())
    }

    /// Device and inode of its root directory, if they are known without a request to a file server, which can block.
    #[must_use]
    pub(crate) fn root_id(&self) -> Option<((u32, u32), u64)> {
        let path = || CString::new(self.path("root").into_os_string().into_vec()).map_err(Error::other);
        let read = || Ok(sys::file_id(AT_FDCWD, &path()?)?);
        self.root.of_living(self.pid, read).ok()
    }

    /// What is known of the file that it runs without a request to a file server, which can block.
    #[must_use]
    pub(crate) fn program_file(&self) -> Option<sys::Known> {
        let path = CString::new(self.path("exe").into_os_string().into_vec()).ok()?;
        sys::known(AT_FDCWD, &path).ok()
    }

    /// The inode of one of its namespaces, from the text of the link.
    #[must_use]
    pub fn ns(&self, kind: Kind) -> Option<u64> {
        let link = self.root.of_living(self.pid, || self.root.link(&self.ns_path(kind))).ok()?;
        parse_link(link.as_os_str().as_bytes())
    }

    #[must_use]
    pub fn ns_path(&self, kind: Kind) -> PathBuf {
        self.path(&kind.link())
    }

    /// The children of its first thread, if the kernel lists them (CONFIG_PROC_CHILDREN).
    #[must_use]
    pub fn children(&self) -> Vec<Pid> {
        self.children_of(&self.pid.to_string())
    }

    /// The children of all its threads. Zombies are among them.
    #[must_use]
    pub(crate) fn all_children(&self) -> Vec<Pid> {
        let threads = self.root.list(&self.path("task")).unwrap_or_default();
        threads.iter().filter_map(|one| one.name.to_str()).flat_map(|one| self.children_of(one)).collect()
    }

    fn children_of(&self, thread: &str) -> Vec<Pid> {
        let text = self.read(&format!("task/{thread}/children")).unwrap_or_default();
        let words = text.split(|&b| b == b' ');
        words.filter_map(super::number).map(Pid::from_raw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_this_process_are_read() {
        let root = ProcRoot::default();
        let this = root.process(Pid::this());
        assert_eq!(this.status().expect("a status").ppid, Some(Pid::parent().as_raw()));
        assert!(this.credentials().expect("credentials").threads > 0);
        assert!(this.start_time().is_some() && this.ns(Kind::Pid).is_some());
        assert!(!this.cgroup().expect("groups").is_empty() && !this.mountinfo().expect("mounts").is_empty());
        assert!(root.process(Pid::from_raw(i32::MAX)).start_time().is_none());
    }
}
