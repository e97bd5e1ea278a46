//! Reads the files of a process that only some columns need.

use crate::sys::keyed::HashMap;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::columns::needs;
use super::process::{Commands, Details, Process};
use crate::access::{Account, Lines};
use crate::container::{IdentifiedBy, inside};
use crate::isolation::cgroup;
use crate::proc::Credentials;
use crate::proc::idmap::inner_of;
use crate::proc::ns::{Kind, parse_link};
use crate::proc::{ProcRoot, Scan, Stat, Status, Users, number, vanished};

pub(super) struct Reader<'a> {
    proc: &'a ProcRoot,
    scan: Scan,
    needs: u32,
    no_args: bool,
    /// The users of each container, by the container's number.
    passwd: HashMap<usize, Users>,
    /// The memory that further lists of users may take.
    passwd_left: usize,
    commands: Commands,
}

/// The limits of memory for the users of all containers, and of one. A container controls the size of its passwd.
const MOST_PASSWD: usize = 8 << 20;
const MOST_PASSWD_OF_ONE: usize = 1 << 20;

/// The first lines of a passwd file that fit into `most` bytes of memory, and the memory they take.
fn first_lines(text: &[u8], most: usize) -> (&[u8], usize) {
    const LINE: usize = 128; // the cost of a line besides its text
    let (mut end, mut memory) = (0, 0);
    for line in text.split_inclusive(|&b| b == b'\n') {
        if memory + line.len() + LINE > most {
            break;
        }
        memory += line.len() + LINE;
        end += line.len();
    }
    (&text[..end], memory)
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        (proc, scan): (&'a ProcRoot, Scan),
        (needs, no_args): (u32, bool),
        lines: Lines,
    ) -> Self {
        Reader {
            proc,
            scan,
            needs,
            no_args,
            passwd: HashMap::default(),
            passwd_left: MOST_PASSWD,
            commands: Commands::new(lines),
        }
    }

    /// Fails if the process has ended.
    pub(super) fn read(&mut self, process: &mut Process) -> nix::Result<()> {
        if self.needs & !(needs::COMMAND | needs::VIA) != 0 {
            process.details = Some(Box::new(self.details(process)?));
        }
        if self.needs & needs::COMMAND != 0 {
            self.command(process)?;
        }
        Ok(())
    }

    fn details(&mut self, process: &Process) -> nix::Result<Details> {
        let pid = Pid::from_raw(process.pid);
        let thread = process.thread.map(Pid::from_raw);
        let mut details = Details::default();
        let (stat, session) = (self.wants(needs::STAT), self.wants(needs::SESSION));
        let scheduling = self.wants(needs::SCHEDULING);
        if stat || session || scheduling {
            let text = match thread {
                None => self.scan.stat_text(pid),
                Some(thread) => self.scan.thread_stat_text(pid, thread),
            };
            let text = if_alive(text)?;
            details.stat = text.filter(|_| stat).and_then(Stat::parse);
            if session {
                details.rare().session = text.and_then(Stat::group_and_session);
            }
            if scheduling {
                details.rare().scheduling = text.and_then(Stat::priority_and_cpu);
            }
        }
        if self.wants(needs::RESIDENT) {
            let text = if_alive(self.scan.statm(pid))?;
            details.rare().resident = text.and_then(|text| number(text.split(|&b| b == b' ').nth(1)?));
        }
        if self.wants(needs::STATE | needs::NAME) {
            let text = status(self.status_text(pid, thread))?;
            details.state = Credentials::parse(text);
            details.name = Status::parse(text).name;
        }
        let (one, every) = (self.wants(needs::CGROUP), self.wants(needs::CGROUPS));
        if one || every {
            let text = if_alive(self.scan.cgroup(pid))?;
            details.cgroup = text.filter(|_| one).and_then(deepest);
            if every {
                details.rare().cgroups = text.map(<[u8]>::to_vec);
            }
        }
        if self.wants(needs::NS) {
            details.namespaces = Kind::ALL.map(|kind| self.namespace(pid, kind));
        }
        if self.wants(needs::LSM) {
            // EINVAL if no security module has labels
            let label = self.scan.label(pid).ok().map(label);
            details.lsm = label.filter(|label| !label.is_empty());
        }
        if self.wants(needs::OOM) {
            let text = if_alive(self.scan.oom_score(pid))?;
            details.oom_score = text.and_then(|text| number(text.trim_ascii()));
        }
        if self.wants(needs::UID_MAP) {
            details.cuid = process.uid.and_then(|uid| inner_of(self.scan.uid_map(pid).ok()?, uid));
        }
        if self.wants(needs::PASSWD) {
            details.cuser = details.cuid.and_then(|uid| self.user_inside(process, uid));
        }
        if self.wants(needs::WCHAN) {
            let text = if_alive(self.scan.waits_in(pid, thread.unwrap_or(pid)))?;
            details.rare().wchan = text.map(<[u8]>::to_vec).filter(|name| !matches!(&name[..], b"" | b"0"));
        }
        if self.wants(needs::EXE) {
            details.rare().exe = self.scan.link(pid, "exe", &mut [0; 4096]).ok().map(<[u8]>::to_vec);
        }
        Ok(details)
    }

    fn status_text(&mut self, pid: Pid, thread: Option<Pid>) -> nix::Result<&[u8]> {
        match thread {
            None => self.scan.status_text(pid),
            Some(thread) => self.scan.thread_status_text(pid, thread),
        }
    }

    fn wants(&self, need: u32) -> bool {
        self.needs & need != 0
    }

    fn namespace(&self, pid: Pid, kind: Kind) -> Option<u64> {
        parse_link(self.scan.link(pid, &kind.link(), &mut [0; 64]).ok()?)
    }

    /// The user's name in the passwd file of the container, which is read below the process's root directory.
    fn user_inside(&mut self, process: &Process, uid: u32) -> Option<Vec<u8>> {
        let container = process.container().filter(|_| process.how != Some(IdentifiedBy::Cgroup))?;
        let users = self.passwd.entry(container).or_insert_with(|| {
            let account = Account::of_owner(process.uid.unwrap_or(0), process.pid);
            let files = inside(self.proc, Pid::from_raw(process.pid), account);
            let text = files.and_then(|files| files.read("/etc/passwd")).unwrap_or_default();
            let (text, memory) = first_lines(&text, MOST_PASSWD_OF_ONE.min(self.passwd_left));
            self.passwd_left -= memory;
            Users::parse(text)
        });
        users.get(uid).map(|user| user.name.clone())
    }

    fn command(&mut self, process: &mut Process) -> nix::Result<()> {
        let pid = Pid::from_raw(process.pid);
        if let Some(thread) = process.thread {
            let name = Status::parse(status(self.status_text(pid, Some(Pid::from_raw(thread))))?).name;
            process.command = self.commands.add_name(&[b"{", &name[..], b"}"].concat())?;
            return Ok(());
        }
        let arguments = !process.kernel_thread && !self.no_args;
        if arguments {
            let read = self.commands.arguments(pid);
            process.command = if_alive(read)?.unwrap_or_default();
        }
        if process.command.is_empty() {
            let status = Status::parse(status(self.scan.status_text(pid))?);
            let name = if self.no_args && !process.kernel_thread { status.name } else { bracketed(&status) };
            process.command = self.commands.add_name(&name)?;
        }
        Ok(())
    }

    /// The command lines that were read.
    pub(super) fn into_commands(mut self) -> Commands {
        self.commands.complete();
        self.commands
    }
}

/// An unreadable file is None, but ESRCH, which shows that the process has ended, is an error. ENOENT is not: an
/// old kernel may lack the file.
fn if_alive<T>(read: nix::Result<T>) -> nix::Result<Option<T>> {
    match read {
        Err(Errno::ESRCH) => Err(Errno::ESRCH),
        Err(_) => Ok(None),
        Ok(text) => Ok(Some(text)),
    }
}

/// The content of status, which every process has: ENOENT, too, shows that the process has ended.
fn status(read: nix::Result<&[u8]>) -> nix::Result<&[u8]> {
    match read {
        Err(errno) if vanished(errno) => Err(errno),
        read => Ok(read.unwrap_or_default()),
    }
}

/// The name in brackets, for a process without arguments: a kernel thread, a zombie, or a process that erased them.
fn bracketed(status: &Status) -> Vec<u8> {
    let defunct: &[u8] = if status.state == b'Z' { b" <defunct>" } else { b"" };
    [b"[", &status.name[..], b"]", defunct].concat()
}

/// The deepest path among the hierarchies: it is the most specific.
fn deepest(text: &[u8]) -> Option<Vec<u8>> {
    let mut best: &[u8] = b"";
    for line in cgroup::parse(text).filter(|line| !line.path.is_empty()) {
        let depth = |path: &[u8]| path.iter().filter(|&&b| b == b'/').count() + usize::from(path.len() > 1);
        if best.is_empty() || depth(line.path) > depth(best) {
            best = line.path;
        }
    }
    Some(best.to_vec()).filter(|best| !best.is_empty())
}

/// The security label without its end, which is a NUL from SELinux and a newline from AppArmor.
fn label(text: &[u8]) -> Vec<u8> {
    let end = text.iter().rposition(|b| !matches!(b, 0 | b'\n')).map_or(0, |last| last + 1);
    text[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_arguments_is_shown_by_name() {
        let status = |state| Status { name: b"sl)eep".to_vec(), state, ..Status::default() };
        assert_eq!(bracketed(&status(b'S')), b"[sl)eep]");
        assert_eq!(bracketed(&status(b'Z')), b"[sl)eep] <defunct>");
    }

    #[test]
    fn user_ids_are_mapped() {
        let map = b"         0     100000      65536\n     65536       1000          1\n";
        assert_eq!(inner_of(map, 100_033), Some(33));
        assert_eq!(inner_of(map, 1000), Some(65_536));
        assert_eq!(inner_of(map, 0), None);
        assert_eq!(inner_of(b"0 0 4294967295\n", 4_294_967_294), Some(4_294_967_294));
        assert_eq!(inner_of(b"4294967295 0 9\nx\n\n0 1\n", 5), None);
    }

    #[test]
    fn deepest_groups_and_security_labels() {
        let deep = |text: &[u8]| deepest(text).map(|path| String::from_utf8_lossy(&path).into_owned());
        assert_eq!(deep(b"9:pids:/a\n1:name=systemd:/a/b\n0::/\n").as_deref(), Some("/a/b"));
        assert_eq!(deep(b"9:pids:/\n0::/x\n").as_deref(), Some("/x"));
        assert_eq!(deep(b"0::/\n").as_deref(), Some("/"));
        assert_eq!(deep(b""), None);
        assert_eq!(label(b"docker-default (enforce)\n"), b"docker-default (enforce)");
        assert_eq!(label(b"system_u:system_r:kernel_t:s0\0"), b"system_u:system_r:kernel_t:s0");
        assert_eq!(label(b"\0"), b"");
    }
}
