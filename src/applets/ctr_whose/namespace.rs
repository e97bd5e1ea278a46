//! Namespaces by their inodes.

use std::collections::BTreeSet;

use nix::unistd::Pid;

use super::answer::{Answer, By, Entry, Host, Owner, Role};
use super::finder::Finder;
use super::thing::Kind;
use crate::proc::ns::{Kind as Namespace, parse_link};
use crate::proc::{MOST_THREADS, Scan};

/// A further thread that took a namespace of its own with unshare(2), or entered another one.
struct Thread {
    process: i32,
    thread: Pid,
    kind: Namespace,
}

pub(super) fn namespace(finder: &Finder<'_>, kind: Option<Namespace>, inode: u64) -> Entry {
    let mut entry = Entry::new(Kind::Namespace);
    let mut buffer = [0; 64];
    let mut has = |pid: i32, kind: Namespace| {
        let link = finder.world.links.link(Pid::from_raw(pid), &kind.link(), &mut buffer);
        link.ok().and_then(parse_link) == Some(inode)
    };
    // An inode is that of one namespace of one kind.
    let mut kinds: Vec<Namespace> = kind.map_or_else(|| Namespace::ALL.to_vec(), |kind| vec![kind]);
    if let Some(kind) = kinds.iter().copied().find(|kind| is_hosts(finder, *kind, inode)) {
        entry.host = Some(Host::new(format!("{} namespace of the host", kind.proc_name())));
        return entry;
    }
    let (mut seen, mut outside) = (BTreeSet::new(), None);
    for process in &finder.world.processes {
        let Some(kind) = kinds.iter().copied().find(|kind| has(process.pid, *kind)) else { continue };
        kinds = vec![kind];
        let Some(number) = process.container else {
            outside = outside.or(Some(process.pid));
            continue;
        };
        let known = &finder.world.containers[number];
        if seen.insert(number) {
            let detail = format!("{} namespace", kind.proc_name());
            let answer = Answer::new(Owner::Running(number), Role::Member, By::Kernel, detail);
            let chief = Some(known.chief()).filter(|chief| has(*chief, kind));
            entry.answers.push(answer.of_process(chief.or(Some(process.pid))));
        }
    }
    // A process that entered does not own it: that does a container whose first process is in it.
    let is_first = |one: &Answer| match one.owner {
        Owner::Running(number) => one.pid == Some(finder.world.containers[number].chief()),
        Owner::Recorded(_) => false,
    };
    if entry.answers.iter().any(is_first) {
        entry.answers.retain(is_first);
        if entry.answers.len() == 1 {
            entry.answers.iter_mut().for_each(|one| one.role = Role::Itself);
        }
    }
    if entry.answers.is_empty() {
        entry.host = outside.map(|pid| {
            let host = finder.process_of_host(pid);
            Host { text: format!("{} namespace of {}", kinds[0].proc_name(), host.text), ..host }
        });
        let bound = finder.spaces().all.iter().find(|space| space.place.inode == inode);
        if let (None, Some(file)) = (&entry.host, bound.and_then(|space| space.file.as_ref())) {
            entry.host = Some(Host::new(format!("network namespace {file}")));
        }
    }
    if entry.is_empty() {
        add_threads(finder, &kinds, inode, &mut entry);
    }
    entry
}

/// The processes of which a further thread is in the namespace.
fn add_threads(finder: &Finder<'_>, kinds: &[Namespace], inode: u64, entry: &mut Entry) {
    let pids = finder.world.processes.iter().map(|process| process.pid);
    let Some(threads) = threads_in(&finder.world.links, pids, kinds, inode) else {
        return finder.note(format!("all threads: there are more than {MOST_THREADS}"));
    };
    for Thread { process, thread, kind } in threads {
        let detail = format!("{} namespace of thread {thread}", kind.proc_name());
        match finder.by_process(process, Role::Member, detail.clone()) {
            Ok(answer) => entry.answers.push(answer),
            Err(host) => {
                let text = format!("{detail} of {}", host.text);
                entry.host = entry.host.take().or(Some(Host { text, ..host }));
            }
        }
    }
}

/// The processes of which only a further thread is in the namespace. None if there are too many threads.
pub(super) fn processes_beside(
    scan: &Scan,
    pids: &[Pid],
    kinds: &[Namespace],
    inode: u64,
) -> Option<Vec<i32>> {
    let threads = threads_in(scan, pids.iter().map(|pid| pid.as_raw()), kinds, inode)?;
    Some(threads.into_iter().map(|one| one.process).collect())
}

/// The first such thread of each process.
fn threads_in(
    scan: &Scan,
    pids: impl Iterator<Item = i32>,
    kinds: &[Namespace],
    inode: u64,
) -> Option<Vec<Thread>> {
    let (mut left, mut found, mut buffer) = (MOST_THREADS, Vec::new(), [0; 64]);
    for process in pids {
        let pid = Pid::from_raw(process);
        let count = scan.thread_count(pid).unwrap_or(0);
        if count < 2 {
            continue;
        }
        left = left.checked_sub(count)?;
        let threads = scan.threads(pid).unwrap_or_default();
        let mut has = |thread: Pid, kind: Namespace| {
            let link = scan.link(pid, &format!("task/{thread}/{}", kind.link()), &mut buffer);
            link.ok().and_then(parse_link) == Some(inode)
        };
        let of_thread = |thread| {
            let kind = kinds.iter().copied().find(|kind| has(thread, *kind))?;
            Some(Thread { process, thread, kind })
        };
        found.extend(threads.into_iter().filter(|thread| *thread != pid).find_map(of_thread));
    }
    Some(found)
}

/// Threads of the kernel are in the host's namespaces.
fn is_hosts(finder: &Finder<'_>, kind: Namespace, inode: u64) -> bool {
    let world = finder.world;
    let thread = Pid::from_raw(2);
    let is_thread = world.proc.process(thread).status().is_ok_and(|status| status.kernel_thread);
    let of = |pid: i32| world.proc.process(Pid::from_raw(pid)).ns(kind);
    let host = if is_thread { of(2) } else { of(1) };
    host == Some(inode)
}
