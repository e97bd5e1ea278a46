//! The processes, and of each what is shown.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use super::Request;
use crate::container::{Container, Files, Resolver, target};
use crate::output::text;
use crate::proc::{ProcRoot, Scan, Status, Users, vanished};

/// A process to show.
pub struct Process {
    pub pid: Pid,
    pub ppid: Option<i32>,
    /// The PID in its own pid namespace.
    pub cpid: Option<i32>,
    pub user: Rc<str>,
    pub container: Option<Rc<Container>>,
    /// As it stands, control characters and all.
    pub command: Vec<u8>,
}

pub fn gather(proc: &ProcRoot, files: &Files, request: &Request) -> Result<Vec<Process>> {
    let unreadable = || format!("cannot read {}: is proc mounted there?", proc.path().display());
    let pids = Scan::pids(proc).with_context(unreadable)?;
    if pids.is_empty() {
        bail!("there are no processes in {}: is proc mounted there?", proc.path().display());
    }
    let mut scan = Scan::new(proc).with_context(unreadable)?;
    let mut resolver = Resolver::new(proc, files);
    let passwd = files.read("/etc/passwd").unwrap_or_default();
    let users = Users::parse(&passwd);
    let mut names = Names { users, shown: HashMap::new() };

    let mut list = Vec::with_capacity(pids.len());
    for pid in pids {
        let status = match scan.read(pid, "status") {
            Ok(text) => Status::parse(text),
            Err(errno) if vanished(errno) => continue,
            Err(_) => Status::default(),
        };
        if status.kernel_thread && !request.kernel_threads {
            continue;
        }
        let process = read(&mut scan, &mut resolver, &mut names, pid, status, request);
        list.push(process);
    }
    select(list, request)
}

fn read(
    scan: &mut Scan,
    resolver: &mut Resolver<'_>,
    names: &mut Names,
    pid: Pid,
    status: Status,
    request: &Request,
) -> Process {
    let container = match status.kernel_thread {
        true => None,
        false => {
            let cgroup = scan.read(pid, "cgroup").unwrap_or_default();
            resolver.of(pid, cgroup, status.nspid.len() > 1).map(|tag| tag.container)
        }
    };
    let command = match status.kernel_thread || request.quiet {
        true => Vec::new(),
        false => scan.read(pid, "cmdline").map(arguments).unwrap_or_default(),
    };
    Process {
        pid,
        ppid: status.ppid,
        cpid: status.nspid.last().copied(),
        user: names.of(status.euid),
        container,
        command: if command.is_empty() { bracketed(&status) } else { command },
    }
}

/// User names as shown, made once for each user.
struct Names {
    users: Users,
    shown: HashMap<Option<u32>, Rc<str>>,
}

impl Names {
    fn of(&mut self, uid: Option<u32>) -> Rc<str> {
        let users = &self.users;
        let show = || match (uid, uid.and_then(|uid| users.get(uid))) {
            (_, Some(user)) => text::escape(&user.name).into(),
            (Some(uid), None) => uid.to_string().into(),
            (None, None) => "?".into(),
        };
        self.shown.entry(uid).or_insert_with(show).clone()
    }
}

/// The argument list in one line: the NULs between arguments are blanks.
fn arguments(cmdline: &[u8]) -> Vec<u8> {
    let end = cmdline.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    cmdline[..end].iter().map(|&b| if b == 0 { b' ' } else { b }).collect()
}

/// Without arguments: a kernel thread, a zombie, or a process that wiped them.
fn bracketed(status: &Status) -> Vec<u8> {
    let defunct: &[u8] = if status.state == b'Z' { b" <defunct>" } else { b"" };
    [b"[", &status.name[..], b"]", defunct].concat()
}

/// Those in the containers that are asked for; everything when none is.
fn select(list: Vec<Process>, request: &Request) -> Result<Vec<Process>> {
    if request.containers.is_empty() {
        return Ok(list);
    }
    let mut all: Vec<Rc<Container>> = Vec::new();
    for container in list.iter().filter_map(|process| process.container.as_ref()) {
        if !all.iter().any(|known| known == container) {
            all.push(container.clone());
        }
    }
    let mut chosen = Vec::new();
    for word in &request.containers {
        chosen.push(target::one(&target::matching(&all, word), word)?);
    }
    let wanted =
        |process: &Process| process.container.as_ref().is_some_and(|container| chosen.contains(container));
    Ok(list.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_and_trailing_nuls_dropped() {
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
}
