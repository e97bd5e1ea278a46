//! Kills for lack of memory in the kernel's log.

use std::os::fd::OwnedFd;
use std::path::Path;

use memchr::memmem;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::read;

use crate::proc::number;

/// One process that was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kill {
    /// Microseconds of CLOCK_MONOTONIC.
    pub usec: u64,
    pub pid: i32,
    /// The process chose it.
    pub comm: Vec<u8>,
    /// The group whose limit was reached. None: the memory of the host was used up.
    pub limit: Option<Vec<u8>>,
    /// The group of the process.
    pub victim: Vec<u8>,
    /// Its resident memory in bytes.
    pub rss: Option<u64>,
}

/// What one line of a log says of a kill, of any kernel since 3.0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OomLine {
    pub pid: Option<i32>,
    pub comm: Option<Vec<u8>>,
    pub victim: Option<Vec<u8>>,
    /// The group whose limit was reached.
    pub limit: Option<Vec<u8>>,
    /// Was the memory of the host used up?
    pub is_hosts: bool,
}

impl OomLine {
    /// Anything can be before the text of the kernel: a time, a host name.
    #[must_use]
    pub(crate) fn parse(line: &[u8]) -> Option<OomLine> {
        const LIMIT: &[u8] = b" killed as a result of limit of ";
        let line = line.trim_ascii_end();
        let after = |mark: &[u8]| find(line, mark).map(|at| &line[at + mark.len()..]);
        if let Some(kill) = after(b"oom-kill:").and_then(|rest| constraint(0, rest)) {
            return Some(OomLine {
                pid: Some(kill.pid),
                comm: Some(kill.comm),
                victim: Some(kill.victim),
                is_hosts: kill.limit.is_none(),
                limit: kill.limit,
            });
        }
        // Until Linux 4.20.
        if let Some((victim, limit)) = after(b"Task in ").and_then(|rest| split_last(rest, LIMIT)) {
            let (victim, limit) = (Some(victim.to_vec()), Some(limit.to_vec()));
            return Some(OomLine { victim, limit, ..OomLine::default() });
        }
        let group = after(b"Tasks in ");
        let end = b" are going to be killed due to memory.oom.group set";
        if let Some((victim, _)) = group.and_then(|rest| split_last(rest, end)) {
            return Some(OomLine { victim: Some(victim.to_vec()), ..OomLine::default() });
        }
        let (is_hosts, rest) = match (after(b"Killed process "), after(b"Kill process ")) {
            (Some(rest), _) | (None, Some(rest)) => {
                let of_group = find(line, b"Memory cgroup out of memory").is_some();
                (!of_group && find(line, b"Out of memory").is_some(), rest)
            }
            _ => return None,
        };
        let pid = number(rest.split(|b| !b.is_ascii_digit()).next()?)?;
        let comm = find(rest, b" (").and_then(|at| {
            let inside = &rest[at + 2..];
            let end =
                [&b") total-vm:"[..], b") score ", b"), "].into_iter().find_map(|end| find(inside, end));
            Some(inside[..end.or_else(|| inside.iter().rposition(|&b| b == b')'))?].to_vec())
        });
        Some(OomLine { pid: Some(pid), comm, is_hosts, ..OomLine::default() })
    }
}

/// Fails if this process may not read the log.
pub(crate) fn open_log() -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open(Path::new("/dev/kmsg"), flags, Mode::empty())
}

/// All that the log still has. An error if this process may not read the log.
pub(crate) fn read_log() -> nix::Result<Vec<Kill>> {
    let log = open_log()?;
    let (mut kills, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        match read(&log, &mut buffer) {
            Ok(0) | Err(Errno::EAGAIN) => return Ok(kills),
            Ok(length) => add(&mut kills, &buffer[..length]),
            // Overwritten before it was read: the next record follows.
            Err(Errno::EPIPE | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// `PRIORITY,SEQUENCE,USEC,FLAGS;TEXT`, one record. Control characters in the text are escaped, so nobody can fake a
/// second record.
fn add(kills: &mut Vec<Kill>, record: &[u8]) {
    let Some(semicolon) = record.iter().position(|&b| b == b';') else { return };
    let (head, text) = (&record[..semicolon], &record[semicolon + 1..]);
    let text = text.split(|&b| b == b'\n').next().unwrap_or_default();
    // What a program writes to the log has another facility than what the kernel says.
    let facility = head.split(|&b| b == b',').next().and_then(number::<u32>).map(|priority| priority >> 3);
    if facility != Some(0) {
        return;
    }
    let Some(usec) = head.split(|&b| b == b',').nth(2).and_then(number) else { return };
    if let Some(rest) = text.strip_prefix(b"oom-kill:") {
        kills.extend(constraint(usec, rest));
    } else if let Some((pid, rss)) = killed(text) {
        let kill = kills.iter_mut().rev().find(|kill| kill.pid == pid && kill.rss.is_none());
        kill.into_iter().for_each(|kill| kill.rss = Some(rss));
    }
}

/// `constraint=C,nodemask=N,cpuset=NAME,mems_allowed=N[,oom_memcg=PATH],task_memcg=PATH,task=COMM,pid=N,uid=N`, since
/// Linux 5.0. The numbers at the end are those of the kernel; COMM and the paths can contain anything.
fn constraint(usec: u64, text: &[u8]) -> Option<Kill> {
    const LONGEST_COMM: usize = 15;
    let (text, _uid) = split_last(text, b",uid=")?;
    let (text, pid) = split_last(text, b",pid=")?;
    let begin = text.len().saturating_sub(LONGEST_COMM + b",task=".len());
    let at = begin + find(&text[begin..], b",task=")?;
    let (text, comm) = (&text[..at], &text[at + b",task=".len()..]);
    let (limit, victim) = groups(text)?;
    let limit = limit.map(<[u8]>::to_vec);
    Some(Kill { usec, pid: number(pid)?, comm: comm.to_vec(), limit, victim: victim.to_vec(), rss: None })
}

/// The group whose limit it was, unless the memory of the host ran out, and the group of the process. A user can give a group a
/// name with the words in it. Then the first group must be the second one or above it; None if that leaves two readings.
fn groups(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    /// A path of 4,096 bytes has room for 341.
    const MOST: usize = 16;
    let (of_limit, of_task) = (&b",oom_memcg="[..], &b",task_memcg="[..]);
    let all = |part: &[u8]| -> Vec<usize> { memmem::find_iter(text, part).take(MOST + 1).collect() };
    let (limits, tasks) = (all(of_limit), all(of_task));
    if limits.is_empty() {
        let [at] = tasks[..] else { return None };
        return Some((None, &text[at + of_task.len()..]));
    }
    if limits.len().max(tasks.len()) > MOST {
        return None;
    }
    let is_plain = limits.len() == 1 && tasks.len() == 1;
    let fits = |from: usize, at: usize| {
        let limit = text.get(from + of_limit.len()..at)?;
        let victim = &text[at + of_task.len()..];
        if is_plain {
            return Some((Some(limit), victim));
        }
        let rest = victim.strip_prefix(if limit == b"/" { &b""[..] } else { limit })?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some((Some(limit), victim))
    };
    let mut found = limits.iter().flat_map(|&from| tasks.iter().filter_map(move |&at| fits(from, at)));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// `…Killed process PID (COMM) total-vm:NkB, anon-rss:NkB, file-rss:NkB, shmem-rss:NkB…`
fn killed(text: &[u8]) -> Option<(i32, u64)> {
    let at = find(text, b"Killed process ")?;
    let rest = &text[at + b"Killed process ".len()..];
    let pid = number(rest.split(|&b| b == b' ').next()?)?;
    let (_, sizes) = split_last(rest, b") total-vm:")?;
    let part = |name: &[u8]| {
        let at = find(sizes, name)? + name.len();
        let digits = sizes[at..].split(|b| !b.is_ascii_digit()).next()?;
        number::<u64>(digits)
    };
    let parts = [part(b"anon-rss:")?, part(b"file-rss:")?, part(b"shmem-rss:").unwrap_or(0)];
    Some((pid, parts.into_iter().fold(0, u64::saturating_add).saturating_mul(1024)))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn split_last<'t>(text: &'t [u8], part: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let at = text.windows(part.len()).rposition(|window| window == part)?;
    Some((&text[..at], &text[at + part.len()..]))
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    _ = OomLine::parse(data);
    let mut kills = Vec::new();
    data.split(|&b| b == 0).for_each(|record| add(&mut kills, record));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(records: &[&str]) -> Vec<Kill> {
        let mut kills = Vec::new();
        records.iter().for_each(|record| add(&mut kills, record.as_bytes()));
        kills
    }

    #[test]
    fn names_of_groups_with_the_words_of_the_kernel() {
        let read = |text: &str| {
            let found = groups(text.as_bytes())?;
            let shown = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
            Some((found.0.map(shown), shown(found.1)))
        };
        let one = |limit: Option<&str>, victim: &str| Some((limit.map(str::to_owned), victim.to_owned()));
        assert_eq!(read("cpuset=/,oom_memcg=/a,task_memcg=/a/b"), one(Some("/a"), "/a/b"));
        assert_eq!(read("cpuset=/,oom_memcg=/,task_memcg=/a"), one(Some("/"), "/a"));
        assert_eq!(read("cpuset=/,global_oom,task_memcg=/a"), one(None, "/a"));
        let hostile = "/u/x,task_memcg=/docker/v/y";
        let text = format!("cpuset=/,oom_memcg={hostile},task_memcg={hostile}/z");
        assert_eq!(read(&text), one(Some(hostile), &format!("{hostile}/z")));
        // The name of a cpuset, which can be anything too.
        let cpuset = "cpuset=a,oom_memcg=/docker,task_memcg=/docker/v";
        assert_eq!(read(&format!("{cpuset},mems_allowed=0,oom_memcg=/u,task_memcg=/u/x")), None);
        assert_eq!(read("global_oom,task_memcg=/u,task_memcg=/docker/v"), None);
        assert_eq!(read(&",oom_memcg=/a,task_memcg=/a".repeat(400)), None);
        assert_eq!(read("oom_memcg=/a"), None);
    }

    /// A program that may write to the log cannot write with the facility of the kernel.
    #[test]
    fn what_a_program_wrote_to_the_log_is_no_kill() {
        let text = ",10,5,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
            task_memcg=/a,task=x,pid=7,uid=0";
        for (priority, count) in [("6", 1), ("14", 0), ("12", 0), ("", 0)] {
            let mut found = Vec::new();
            add(&mut found, format!("{priority}{text}").as_bytes());
            assert_eq!(found.len(), count, "{priority}");
        }
    }

    #[test]
    fn a_kill_has_two_records() {
        let kills = parsed(&[
            "6,10,5000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=c,mems_allowed=0,\
             oom_memcg=/a,task_memcg=/a/b,task=tail,pid=77,uid=0\n SUBSYSTEM=x\n",
            "3,11,5000001,-;Memory cgroup out of memory: Killed process 77 (tail) total-vm:9kB, anon-rss:4kB, \
             file-rss:2kB, shmem-rss:0kB, UID:0 pgtables:92kB oom_score_adj:0\n",
        ]);
        let expected = Kill {
            usec: 5_000_000,
            pid: 77,
            comm: b"tail".to_vec(),
            limit: Some(b"/a".to_vec()),
            victim: b"/a/b".to_vec(),
            rss: Some(6144),
        };
        assert_eq!(kills, [expected]);
    }

    #[test]
    fn lines_of_all_kernels() {
        let parse = |line: &str| OomLine::parse(line.as_bytes()).expect("a line");
        let old = parse("[ 9.1] Task in /docker/a killed as a result of limit of /docker\n");
        assert_eq!(
            (old.victim.as_deref(), old.limit.as_deref()),
            (Some(&b"/docker/a"[..]), Some(&b"/docker"[..]))
        );
        let kill = parse("Memory cgroup out of memory: Kill process 77 (ta) il) score 9 or sacrifice child");
        assert_eq!((kill.pid, kill.comm.as_deref(), kill.is_hosts), (Some(77), Some(&b"ta) il"[..]), false));
        let killed = parse("Nov 1 h kernel: Out of memory: Killed process 8 (x) total-vm:9kB, anon-rss:4kB");
        assert_eq!((killed.pid, killed.is_hosts), (Some(8), true));
        let group = parse("Tasks in /a/b are going to be killed due to memory.oom.group set");
        assert_eq!(group.victim.as_deref(), Some(&b"/a/b"[..]));
        let new = parse(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=c,mems_allowed=0,\
            oom_memcg=/a,task_memcg=/a/b,task=tail,pid=77,uid=0",
        );
        assert_eq!((new.pid, new.limit.as_deref(), new.is_hosts), (Some(77), Some(&b"/a"[..]), false));
        assert_eq!(OomLine::parse(b"nothing"), None);
    }

    #[test]
    fn names_chosen_by_others_do_not_change_the_numbers() {
        let kills =
            parsed(&["6,1,2,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,\
            global_oom,task_memcg=/x,pid=1,uid=1/y,task=a,pid=9,uid=8,pid=77,uid=5\n"]);
        assert_eq!((kills[0].pid, &kills[0].comm[..]), (77, &b"a,pid=9,uid=8"[..]));
        assert_eq!((&kills[0].limit, &kills[0].victim[..]), (&None, &b"/x,pid=1,uid=1/y"[..]));
        for record in
            ["", ";", "a,b,c;oom-kill:", "1,2,3,-;oom-kill:,pid=1,uid=2", "1,2,3,-;Killed process 7"]
        {
            assert!(parsed(&[record]).is_empty(), "{record}");
        }
    }
}
