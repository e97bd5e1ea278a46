//! What is read of a process only when a column needs it.

use crate::sys::keyed::HashMap;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::ahead::Ahead;
use super::columns::needs;
use super::gather::Process;
use crate::aside::Account;
use crate::container::{How, inside};
use crate::isolation::capabilities::State;
use crate::isolation::cgroup;
use crate::isolation::kind::{Kind, parse_link};
use crate::proc::{ProcRoot, Scan, Stat, Status, Users, number, vanished};

#[derive(Default)]
pub(super) struct Facts {
    pub stat: Option<Stat>,
    /// What it may do; none of a status that is cut off.
    pub state: Option<State>,
    pub cgroup: Option<Vec<u8>>,
    /// In the order of [`Kind::ALL`].
    pub namespaces: [Option<u64>; Kind::ALL.len()],
    pub lsm: Option<Vec<u8>>,
    pub oom_score: Option<i64>,
    /// The effective user in its own user namespace, and the name there.
    pub cuid: Option<u32>,
    pub cuser: Option<Vec<u8>>,
    pub name: Vec<u8>,
}

pub(super) struct Reader<'a> {
    proc: &'a ProcRoot,
    scan: Scan,
    needs: u16,
    no_args: bool,
    /// Of containers, by their numbers.
    passwd: HashMap<usize, Users>,
    commands: Commands,
    /// Command lines that are there already.
    ahead: Ahead,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        (proc, scan): (&'a ProcRoot, Scan),
        (needs, no_args): (u16, bool),
        (ahead, commands): (Ahead, Commands),
    ) -> Self {
        Reader { proc, scan, needs, no_args, passwd: HashMap::default(), commands, ahead }
    }

    /// Fails when the process has gone.
    pub(super) fn read(&mut self, process: &mut Process) -> nix::Result<()> {
        if self.needs & !(needs::COMMAND | needs::VIA) != 0 {
            process.facts = Some(Box::new(self.facts(process)?));
        }
        if self.needs & needs::COMMAND != 0 {
            self.command(process)?;
        }
        Ok(())
    }

    fn facts(&mut self, process: &Process) -> nix::Result<Facts> {
        let pid = Pid::from_raw(process.pid);
        let mut facts = Facts::default();
        if self.wants(needs::STAT) {
            facts.stat = here(self.scan.read(pid, "stat"))?.and_then(Stat::parse);
        }
        if self.wants(needs::STATE | needs::NAME) {
            let text = status(self.scan.read(pid, "status"))?;
            facts.state = State::parse(text);
            facts.name = Status::parse(text).name;
        }
        if self.wants(needs::CGROUP) {
            facts.cgroup = here(self.scan.read(pid, "cgroup"))?.and_then(deepest);
        }
        if self.wants(needs::NS) {
            facts.namespaces = Kind::ALL.map(|kind| self.namespace(pid, kind));
        }
        if self.wants(needs::LSM) {
            // EINVAL where no module has labels
            let label = self.scan.read(pid, "attr/current").ok().map(label);
            facts.lsm = label.filter(|label| !label.is_empty());
        }
        if self.wants(needs::OOM) {
            let text = here(self.scan.read(pid, "oom_score"))?;
            facts.oom_score = text.and_then(|text| number(text.trim_ascii()));
        }
        if self.wants(needs::UID_MAP) {
            facts.cuid = process.uid.and_then(|uid| mapped(self.scan.read(pid, "uid_map").ok()?, uid));
        }
        if self.wants(needs::PASSWD) {
            facts.cuser = facts.cuid.and_then(|uid| self.user_inside(process, uid));
        }
        Ok(facts)
    }

    fn wants(&self, need: u16) -> bool {
        self.needs & need != 0
    }

    fn namespace(&self, pid: Pid, kind: Kind) -> Option<u64> {
        parse_link(self.scan.link(pid, &kind.link(), &mut [0; 64]).ok()?)
    }

    /// By the passwd of the container, read below its root directory.
    fn user_inside(&mut self, process: &Process, uid: u32) -> Option<Vec<u8>> {
        let container = process.container.filter(|_| process.how != Some(How::Cgroup))?;
        let users = self.passwd.entry(container).or_insert_with(|| {
            let account = Account::of_owner(process.uid.unwrap_or(0), process.pid);
            let files = inside(self.proc, Pid::from_raw(process.pid), account);
            Users::parse(&files.and_then(|files| files.read("/etc/passwd")).unwrap_or_default())
        });
        users.get(uid).map(|user| user.name.clone())
    }

    fn command(&mut self, process: &mut Process) -> nix::Result<()> {
        let pid = Pid::from_raw(process.pid);
        let arguments = !process.kernel_thread && !self.no_args;
        if arguments {
            let read = self.ahead.of(process.pid);
            let read =
                read.unwrap_or_else(|| self.scan.read(pid, "cmdline").map(|line| self.commands.add(line)));
            process.command = here(read)?.unwrap_or_default();
        }
        if process.command.is_empty() {
            let status = Status::parse(status(self.scan.read(pid, "status"))?);
            let name = if self.no_args && !process.kernel_thread { status.name } else { bracketed(&status) };
            process.command = self.commands.add_name(&name);
        }
        Ok(())
    }

    /// The command lines of all that were read.
    pub(super) fn into_commands(self) -> Commands {
        self.commands
    }
}

/// Command lines, one behind the other: there are tens of thousands.
#[derive(Default)]
pub(super) struct Commands(Vec<u8>);

impl Commands {
    /// As it stands, control characters and all.
    pub(super) fn of(&self, process: &Process) -> &[u8] {
        self.at(&process.command)
    }

    pub(super) fn at(&self, range: &Range<usize>) -> &[u8] {
        self.0.get(range.clone()).unwrap_or_default()
    }

    /// The argument list in one line: the NULs between arguments are blanks.
    pub(super) fn add(&mut self, cmdline: &[u8]) -> Range<usize> {
        let end = cmdline.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        let range = self.add_name(&cmdline[..end]);
        self.0[range.clone()].iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
        range
    }

    fn add_name(&mut self, name: &[u8]) -> Range<usize> {
        let start = self.0.len();
        self.0.extend_from_slice(name);
        start..self.0.len()
    }
}

/// What cannot be read is not there; but a process that has gone is an error. (ENOENT may be an old kernel's.)
fn here<T>(read: nix::Result<T>) -> nix::Result<Option<T>> {
    match read {
        Err(Errno::ESRCH) => Err(Errno::ESRCH),
        Err(_) => Ok(None),
        Ok(text) => Ok(Some(text)),
    }
}

/// Every process has this file.
fn status(read: nix::Result<&[u8]>) -> nix::Result<&[u8]> {
    match read {
        Err(errno) if vanished(errno) => Err(errno),
        read => Ok(read.unwrap_or_default()),
    }
}

/// Without arguments: a kernel thread, a zombie, or a process that wiped them.
fn bracketed(status: &Status) -> Vec<u8> {
    let defunct: &[u8] = if status.state == b'Z' { b" <defunct>" } else { b"" };
    [b"[", &status.name[..], b"]", defunct].concat()
}

/// Of the hierarchies' paths the one that says most.
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

/// SELinux ends it with a NUL, AppArmor with a newline.
fn label(text: &[u8]) -> Vec<u8> {
    let end = text.iter().rposition(|b| !matches!(b, 0 | b'\n')).map_or(0, |last| last + 1);
    text[..end].to_vec()
}

/// Which user there is `uid` here, by a uid_map: lines of `THERE HERE COUNT`.
fn mapped(map: &[u8], uid: u32) -> Option<u32> {
    map.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).map(number);
        let (there, here, count): (u32, u32, u32) = (fields.next()??, fields.next()??, fields.next()??);
        let offset = uid.checked_sub(here).filter(|offset| *offset < count)?;
        there.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_and_trailing_nuls_dropped() {
        let arguments = |cmdline| {
            let mut commands = Commands(b"before".to_vec());
            let range = commands.add(cmdline);
            commands.0[range].to_vec()
        };
        assert_eq!(arguments(b"sleep\x001000\0"), b"sleep 1000");
        assert_eq!(arguments(b"nginx: master\0\0\0"), b"nginx: master");
        assert_eq!(arguments(b"a\0\0b\0"), b"a  b");
        assert_eq!(arguments(b"\0\0"), b"");
        assert_eq!(arguments(b""), b"");
    }

    #[test]
    fn what_has_no_arguments_is_shown_by_its_name() {
        let status = |state| Status { name: b"sl)eep".to_vec(), state, ..Status::default() };
        assert_eq!(bracketed(&status(b'S')), b"[sl)eep]");
        assert_eq!(bracketed(&status(b'Z')), b"[sl)eep] <defunct>");
    }

    #[test]
    fn users_through_a_map() {
        let map = b"         0     100000      65536\n     65536       1000          1\n";
        assert_eq!(mapped(map, 100_033), Some(33));
        assert_eq!(mapped(map, 1000), Some(65_536));
        assert_eq!(mapped(map, 0), None);
        assert_eq!(mapped(b"0 0 4294967295\n", 4_294_967_294), Some(4_294_967_294));
        assert_eq!(mapped(b"4294967295 0 9\nx\n\n0 1\n", 5), None);
    }

    #[test]
    fn the_deepest_group_and_labels_of_modules() {
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
