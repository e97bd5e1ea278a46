//! The processes of a container, and what its first one does with signals.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::Serialize;

use super::descriptors::Descriptors;
use super::limits::Rlimit;
use super::unknown::Unknowns;
use crate::access::memory;
use crate::container::IdentifiedBy;
use crate::container::commands::Commands;
use crate::container::stop::stop_signal;
use crate::container::world::{Seen, Subject, World};
use crate::order;
use crate::proc::signals::{SignalSet, SignalSets, has};

#[derive(Serialize, Debug, Default)]
pub(super) struct Processes {
    pub count: u64,
    pub zombies: u64,
    /// In the order of the tree.
    pub list: Vec<Process>,
    pub init: Option<Init>,
}

#[derive(Serialize, Debug)]
pub(super) struct Process {
    pub pid: i32,
    pub cpid: Option<i32>,
    pub ppid: Option<i32>,
    pub state: Option<String>,
    pub via: Option<&'static str>,
    pub command: Option<String>,
    /// Open descriptors, and the soft limit.
    pub fds: Option<u64>,
    pub fds_limit: Option<u64>,
    pub age_seconds: Option<u64>,
    #[serde(skip)]
    pub depth: usize,
}

#[derive(Serialize, Debug)]
pub(super) struct Init {
    pub pid: i32,
    pub cpid: Option<i32>,
    /// Does the kernel protect it as the first process of a pid namespace?
    pub is_init: bool,
    /// Null where it cannot be known.
    pub signals: BTreeMap<String, Option<&'static str>>,
    /// The signal with which the runtime stops the container.
    pub stop_signal: Option<String>,
    /// Will that signal end it? Null if that is up to the program.
    pub stops: Option<bool>,
}

/// The signals that are shown, by their places.
const SHOWN: [(&str, i32); 6] = [
    ("TERM", libc::SIGTERM),
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
];
/// SIGRTMIN of glibc and musl, as programs name it.
const RTMIN: i32 = 34;

pub(super) fn read(
    world: &World<'_>,
    subject: Subject,
    commands: &Commands,
    unknown: &Unknowns,
) -> Processes {
    let mut members: Vec<&Seen> = match subject.container {
        Some(number) => world.members(number).collect(),
        None => world.process(subject.pid).into_iter().collect(),
    };
    order::sort_by_key(&mut members, |process| process.pid);
    let mut list = Vec::with_capacity(members.len());
    let mut descriptors = Descriptors::default();
    let came = came(world, &members);
    for (process, depth) in in_tree(&members) {
        let via = came.get(&process.pid).copied();
        list.push(Process { via, depth, ..one(world, process, &mut descriptors, commands, unknown) });
    }
    let zombies = list.iter().filter(|process| process.state.as_deref() == Some("Z")).count() as u64;
    let chief = world.chief(subject);
    Processes { count: list.len() as u64, zombies, init: init(world, subject, chief, unknown), list }
}

fn one(
    world: &World<'_>,
    seen: &Seen,
    descriptors: &mut Descriptors,
    commands: &Commands,
    unknown: &Unknowns,
) -> Process {
    let process = world.proc.process(Pid::from_raw(seen.pid));
    let stat = process.stat();
    let is_zombie = stat.as_ref().is_some_and(|stat| stat.state == b'Z');
    Process {
        pid: seen.pid,
        cpid: seen.cpid,
        ppid: seen.ppid,
        via: None,
        command: commands.get(world, seen.pid),
        fds: if is_zombie { None } else { open_files(world, seen.pid, descriptors, unknown) },
        fds_limit: if is_zombie { None } else { open_files_limit(world, seen.pid) },
        age_seconds: stat.as_ref().and_then(|stat| world.clock.age(stat.start)),
        state: stat.map(|stat| char::from(stat.state).to_string()),
        depth: 0,
    }
}

fn open_files(world: &World<'_>, pid: i32, descriptors: &mut Descriptors, unknown: &Unknowns) -> Option<u64> {
    match descriptors.list(world.proc, &world.proc.path_of(Pid::from_raw(pid), "fd")) {
        Ok(Some(entries)) => Some(entries.len() as u64),
        Ok(None) => {
            unknown.add("processes.list.fds", "too many open files: the rest is not counted");
            None
        }
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            unknown.refused("processes.list.fds", "list open files");
            None
        }
        Err(_) => {
            unknown.is_live("processes.list.fds");
            None
        }
    }
}

fn open_files_limit(world: &World<'_>, pid: i32) -> Option<u64> {
    let text = world.proc.process(Pid::from_raw(pid)).limits().ok()?;
    Rlimit::of_open_files(&text).soft
}

/// How each process came into its container: see ctr-ps(1). A chain of parents is followed once, not for each process.
fn came(world: &World<'_>, members: &[&Seen]) -> BTreeMap<i32, &'static str> {
    let mut known: BTreeMap<i32, &'static str> = BTreeMap::new();
    let find = |pid: i32| members.binary_search_by_key(&pid, |one| one.pid).ok().map(|at| members[at]);
    for member in members {
        let Some(init) = member.container.and_then(|number| world.containers[number].init) else { continue };
        let (mut chain, mut at, mut is_fork) = (Vec::new(), *member, false);
        while chain.len() <= members.len() {
            if at.pid == init {
                known.insert(init, "init");
                is_fork = true;
                break;
            }
            if let Some(via) = known.get(&at.pid) {
                is_fork = *via == "fork";
                break;
            }
            chain.push(at);
            let parent = at.ppid.and_then(find).filter(|parent| parent.container == member.container);
            let Some(parent) = parent else { break };
            at = parent;
        }
        for one in chain {
            let via = match (is_fork, one.how) {
                (true, _) => "fork",
                (false, Some(IdentifiedBy::State | IdentifiedBy::Cgroup)) => "exec",
                (false, _) => "ns",
            };
            known.entry(one.pid).or_insert(via);
        }
    }
    known
}

/// Each process below its parent, with its depth. Those sorted by PID stay so among siblings.
fn in_tree<'s>(members: &[&'s Seen]) -> Vec<(&'s Seen, usize)> {
    let mut children: BTreeMap<i32, Vec<&'s Seen>> = BTreeMap::new();
    let mut roots = Vec::new();
    let is_member = |pid: i32| members.binary_search_by_key(&pid, |one| one.pid).is_ok();
    for process in members {
        match process.ppid.filter(|ppid| *ppid != process.pid && is_member(*ppid)) {
            Some(ppid) => children.entry(ppid).or_default().push(process),
            None => roots.push(*process),
        }
    }
    let mut stack: Vec<(&Seen, usize)> = roots.into_iter().rev().map(|process| (process, 0)).collect();
    let mut order = Vec::with_capacity(members.len());
    while let Some((process, depth)) = stack.pop() {
        order.push((process, depth));
        let below = children.remove(&process.pid).unwrap_or_default();
        stack.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
    }
    // Parents and children were not read at one moment: what is left has a circle.
    order.extend(children.into_values().flatten().map(|process| (process, 0)));
    order
}

fn init(world: &World<'_>, subject: Subject, pid: i32, unknown: &Unknowns) -> Option<Init> {
    let seen = world.process(pid)?;
    // In a container with the host's pid namespace the first process is an ordinary process.
    let is_init = seen.cpid == Some(1);
    let process = world.proc.process(Pid::from_raw(pid));
    let status = unknown.known("processes.init", process.status_text())?;
    let Some(sets) = SignalSets::parse(&status) else {
        unknown.add("processes.init", "its status lacks the sets of signals");
        return None;
    };
    let waiting = Waiting::read(world, pid, &sets, unknown);
    let verdict = |signal: i32| match () {
        // Nobody handles them, and from outside of its pid namespace they reach an init too.
        () if matches!(signal, libc::SIGKILL | libc::SIGSTOP) => Some("default"),
        () if has(sets.ignored, signal) => Some("ignored"),
        () if has(sets.caught | waiting.blocked | waiting.awaited, signal) => Some("handled"),
        () if waiting.is_unsure => None,
        () if is_init => Some("dropped"),
        () => Some("default"),
    };
    let container = subject.container.map(|number| &world.containers[number].container);
    let stop = container.and_then(|container| stop_signal(world.files, container));
    let stop_number = stop.as_deref().and_then(signal_number);
    let stop_signal = stop_number.map(signal_name);
    let mut signals: BTreeMap<String, Option<&'static str>> =
        SHOWN.into_iter().map(|(name, number)| (name.to_owned(), verdict(number))).collect();
    let mut stops = None;
    if let Some((number, name)) = stop_number.zip(stop_signal.clone()) {
        let found = verdict(number);
        signals.insert(name, found);
        stops = match found {
            Some("ignored" | "dropped") => Some(false),
            Some("default") => Some(true),
            _ => None,
        };
    }
    Some(Init { pid, cpid: seen.cpid, is_init, signals, stop_signal, stops })
}

/// Signals that no handler is set for, and that are taken nevertheless.
#[derive(Default)]
struct Waiting {
    /// Blocked in all threads: signalfd(2) or sigwait(3) takes them.
    blocked: SignalSet,
    /// What a thread waits for now, with rt_sigtimedwait(2).
    awaited: SignalSet,
    /// Is it not known whether a thread waits?
    is_unsure: bool,
}

impl Waiting {
    const MOST_THREADS: usize = 256;

    fn read(world: &World<'_>, pid: i32, sets: &SignalSets, unknown: &Unknowns) -> Waiting {
        let process = world.proc.process(Pid::from_raw(pid));
        let mut waiting = Waiting { blocked: sets.blocked, ..Waiting::default() };
        let threads = world.proc.list(&process.path("task")).unwrap_or_default();
        let threads: Vec<&str> =
            threads.iter().take(Self::MOST_THREADS).filter_map(|thread| thread.name.to_str()).collect();
        for thread in &threads {
            let status = process.thread_status(thread).unwrap_or_default();
            waiting.blocked &= SignalSets::parse(&status).map_or(0, |sets| sets.blocked);
        }
        if !unknown.is_live("processes.init.signals") {
            waiting.is_unsure = true;
            return waiting;
        }
        let awaited = memory::awaited(world.proc, Pid::from_raw(pid), &threads);
        waiting.awaited = awaited.map_or(0, |awaited| awaited.signals);
        let path = "processes.init.signals";
        match awaited {
            Ok(awaited) if !awaited.is_refused => return waiting,
            Ok(_) => unknown.refused(path, "read which signals it waits for"),
            Err(_) => unknown.add(path, "its memory is locked, or it does not end its execve(2)"),
        }
        waiting.is_unsure = true;
        waiting
    }
}

/// `SIGTERM`, `TERM`, `15`, `RTMIN+3`.
fn signal_number(word: &str) -> Option<i32> {
    if let Ok(number) = word.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = word.strip_prefix("SIG").unwrap_or(word);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse().ok()? };
        return Some(RTMIN + offset).filter(|number| *number <= 64);
    }
    format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32)
}

/// Without `SIG`.
fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
        Err(_) if number >= RTMIN => format!("RTMIN+{}", number - RTMIN),
        Err(_) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (word, number, name) in
            [("SIGQUIT", 3, "QUIT"), ("15", 15, "TERM"), ("PWR", 30, "PWR"), ("SIGRTMIN+3", 37, "RTMIN+3")]
        {
            assert_eq!(signal_number(word), Some(number), "{word}");
            assert_eq!(signal_name(number), name);
        }
        for word in ["", "0", "99", "SIGX", "RTMIN+99", "RTMIN-1"] {
            assert_eq!(signal_number(word), None, "{word}");
        }
    }

    #[test]
    fn children_come_below_their_parents() {
        let seen =
            |pid, ppid| Seen { pid, ppid: Some(ppid), cpid: None, uid: None, container: Some(0), how: None };
        let all = [seen(3, 9), seen(5, 1), seen(6, 5), seen(9, 5), seen(20, 21), seen(21, 20)];
        let members: Vec<&Seen> = all.iter().collect();
        let order: Vec<(i32, usize)> =
            in_tree(&members).iter().map(|(one, depth)| (one.pid, *depth)).collect();
        assert_eq!(order, [(5, 0), (6, 1), (9, 1), (3, 2), (21, 0), (20, 0)]);
    }
}
