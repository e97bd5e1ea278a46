//! Control groups, also those that are gone.

use std::path::Path;

use nix::unistd::Pid;

use super::answer::{Answer, By, Entry, Host, Owner, Role};
use super::files::shown;
use super::finder::{Finder, recorded, service_of, shortened};
use super::thing::{Kind, is_id, is_phrase};
use crate::container::world::Seen;
use crate::container::{Container, IdentifiedBy, Runtime, group_claims, group_of, pod_uid};
use crate::isolation::cgroup::{self, Hierarchy};

pub(super) fn cgroup(finder: &Finder<'_>, path: &str) -> Entry {
    Entry { kind: Kind::Cgroup, ..of_group(finder, path) }
}

/// The group whose directory is this one, or below it.
pub(super) fn below_mount(finder: &Finder<'_>, path: &Path) -> Option<String> {
    finder.world.mounted.group_at(path)?.to_str().map(str::to_owned)
}

fn of_group(finder: &Finder<'_>, path: &str) -> Entry {
    let mut entry = Entry::new(Kind::Cgroup);
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    // The kernel adds this to the path of a group that is removed while a zombie is in it.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    by_members(finder, path, &mut entry);
    // No runtime makes a group with a blank in its path: a line is no name.
    let may_be_name = !is_phrase(path);
    let mut named_after = None;
    if entry.answers.is_empty() && may_be_name {
        named_after = by_name(finder, path, &mut entry);
    }
    entry.unknown = entry.unknown.filter(|_| entry.answers.is_empty());
    if entry.is_empty() && may_be_name && path.starts_with('/') {
        by_group_above(finder, path, &mut entry);
    }
    if entry.is_empty() {
        entry.unknown = named_after.map(|label| {
            format!("there is no such control group, and no state file of {label}, which it is named after")
        });
    }
    if entry.is_empty() && may_be_name {
        entry.host = service_of(path).map(|service| Host::new(format!("service {service}")));
    }
    if entry.is_empty() && is_there(finder, path) {
        entry.host = Some(Host::new("control group without processes"));
    }
    entry
}

/// The containers of the processes that are in the group or below it now.
fn by_members(finder: &Finder<'_>, path: &str, entry: &mut Entry) {
    let whole = path.starts_with('/');
    let is_in = |line: &[u8]| {
        match whole {
            true => cgroup::is_within(line, path.as_bytes()),
            // The last component, or the last few.
            false => format!("{}/", String::from_utf8_lossy(line)).contains(&format!("/{path}/")),
        }
    };
    if path == "/" {
        entry.host = Some(Host::new("root of the control groups"));
        return;
    }
    let mut outside = None;
    for process in &finder.world.processes {
        let known = process.container;
        let is_known = |number: usize| {
            let is_its = |one: &&Answer| matches!(one.owner, Owner::Running(other) if other == number);
            entry.answers.iter().any(|one| is_its(&one) && one.role == Role::Member)
        };
        if known.is_some_and(is_known) || (known.is_none() && outside.is_some()) {
            continue;
        }
        let text = finder.world.proc.process(Pid::from_raw(process.pid)).cgroup().unwrap_or_default();
        let text = finder.absolute(&text);
        let Some(line) = cgroup::parse(&text).find(|line| is_in(line.path)) else { continue };
        match known {
            Some(number) => add_member(finder, number, (path, line.path), entry),
            None => outside = Some(process.pid),
        }
    }
    if entry.answers.is_empty() {
        entry.unknown = outside.and_then(|pid| finder.in_unknown(pid));
    }
    if entry.is_empty() {
        entry.host = outside.map(|pid| {
            let host = finder.process_of_host(pid);
            match service_of(path) {
                Some(service) => Host { text: format!("service {service}: {}", host.text), ..host },
                None => host,
            }
        });
    }
}

/// Of a container with processes in groups below this one only, this group is not the container's, unless it has the name.
fn add_member(finder: &Finder<'_>, number: usize, (path, inside): (&str, &[u8]), entry: &mut Entry) {
    let known = &finder.world.containers[number];
    let is_last = match path.starts_with('/') {
        true => inside == path.as_bytes(),
        false => inside.ends_with(path.as_bytes()),
    };
    let is_own = is_last || group_of(path, &known.container).is_some();
    let (role, detail) = match is_own {
        true => (Role::Member, "in this control group".to_owned()),
        false => (Role::Parent, format!("above its control group {}", shortened_path(inside))),
    };
    let by = if finder.is_unverified(number) { By::Claim } else { By::Kernel };
    let answer = Answer::new(Owner::Running(number), role, by, detail).of_process(Some(known.chief()));
    let is_its = |one: &Answer| matches!(one.owner, Owner::Running(other) if other == number);
    match entry.answers.iter_mut().find(|one| is_its(one)) {
        Some(one) if role == Role::Member => *one = answer,
        Some(_) => {}
        None => entry.answers.push(answer),
    }
}

/// With long ids cut.
pub(super) fn shortened_path(path: &[u8]) -> String {
    let path = path_of(path);
    let shortened = |part: &str| {
        let id = part.split(['-', '.', ':']).find(|part| is_id(part));
        let cut = |id: &str| part.replace(id, &format!("{}…", shortened(id)));
        id.map_or_else(|| part.to_owned(), cut)
    };
    path.split('/').map(shortened).collect::<Vec<_>>().join("/")
}

/// A group without processes, perhaps one that is gone, below that of a container. If only the container and those who
/// started it are in the group above, nobody else uses it.
fn by_group_above(finder: &Finder<'_>, path: &str, entry: &mut Entry) {
    /// The most processes one above the other that are looked at.
    const DEEPEST: usize = 64;
    let (mut deepest, mut members) = (0, Vec::new());
    for process in &finder.world.processes {
        let text = finder.world.proc.process(Pid::from_raw(process.pid)).cgroup().unwrap_or_default();
        let text = finder.absolute(&text);
        let depths = cgroup::parse(&text).map(|line| cgroup::shared_depth(path.as_bytes(), line.path));
        let depth = depths.max().unwrap_or(0);
        if depth > deepest {
            (deepest, members) = (depth, Vec::new());
        }
        if depth == deepest {
            members.push(process);
        }
    }
    let mut owners: Vec<usize> = members.iter().filter_map(|process| process.container).collect();
    owners.dedup();
    if let ([number], true) = (&owners[..], deepest > 0) {
        let known = &finder.world.containers[*number];
        let parent = |pid: &i32| finder.world.process(*pid)?.ppid;
        let above: Vec<i32> = std::iter::successors(Some(known.chief()), parent).take(DEEPEST).collect();
        let is_its = |process: &&Seen| process.container.is_some() || above.contains(&process.pid);
        if !members.iter().all(is_its) {
            return;
        }
        let text = finder.world.proc.process(Pid::from_raw(known.chief())).cgroup().unwrap_or_default();
        let is_named = |line: &[u8]| {
            std::str::from_utf8(line).is_ok_and(|line| group_of(line, &known.container).is_some())
        };
        // Its own group has its name, and this one is not below it.
        if cgroup::parse(&text).any(|line| is_named(line.path)) {
            return;
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).take(deepest).collect();
        let detail = format!("below its control group /{}", parts.join("/"));
        let answer = Answer::new(Owner::Running(*number), Role::Member, By::Claim, detail);
        entry.answers.push(answer.of_process(Some(finder.world.containers[*number].chief())));
    }
}

/// What the name of a group without processes says, if a state file knows it. Else the container that it is named
/// after, if the group is not there.
fn by_name(finder: &Finder<'_>, path: &str, entry: &mut Entry) -> Option<String> {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let slice = owner_of_slice(&whole);
    let mut claim: Option<(String, &'static str)> = None;
    for (id, runtime, is_distinctive) in group_claims(&whole) {
        let bare = id.rsplit('/').next().unwrap_or_default().to_owned();
        for owner in finder.with_id(&bare) {
            let key = finder.named(&owner).key;
            if entry.answers.iter().any(|known| finder.named(&known.owner).key == key) {
                continue;
            }
            // A user can give a group the name of any container.
            let by = if finder.may_have_group(&owner, slice) { By::State } else { By::Claim };
            entry.answers.push(Answer::new(owner, Role::Member, by, "its control group"));
        }
        if is_distinctive || is_id(&bare) {
            claim = claim.or(Some((id, runtime)));
        }
    }
    // The last part of a path can be all that there is of it.
    let of_pod =
        if path.starts_with("pod") { pod_uid(&format!("/kubepods/{path}")) } else { pod_uid(&whole) };
    if let (true, Some(uid)) = (entry.answers.is_empty(), of_pod) {
        for owner in finder.in_pod(&uid) {
            let by = if finder.may_have_group(&owner, slice) { By::State } else { By::Claim };
            entry.answers.push(Answer::new(owner, Role::Member, by, "control group of its pod"));
        }
    }
    // The names of volumes and layers look like ids.
    let claim = claim.filter(|_| !finder.is_below_directory(Path::new(&whole)));
    let (id, runtime) = claim.filter(|_| entry.answers.is_empty() && entry.host.is_none())?;
    let container = Container::new(Runtime::from_name(runtime)?, id);
    if !is_there(finder, path) {
        return Some(container.label());
    }
    let container = Container { identified_by: IdentifiedBy::Cgroup, ..container };
    let detail = "only the name of the control group says so";
    entry.answers.push(Answer::new(recorded(&container, None), Role::Member, By::Claim, detail));
    None
}

/// Why it is not known whose a group without processes is.
pub(super) fn without_process(finder: &Finder<'_>, path: &str) -> String {
    let shown = shortened_path(path.as_bytes());
    match is_there(finder, path) {
        true => format!("no process is in the group {shown}"),
        false => format!("the group {shown} does not exist any more"),
    }
}

/// Is there a group with this path, which is whole?
fn is_there(finder: &Finder<'_>, path: &str) -> bool {
    let has = |one: &Hierarchy| {
        let below = Path::new(path).strip_prefix(&one.root).ok();
        let directory = |below| finder.root.on_host(&one.mount_point.join(below));
        below.is_some_and(|below| finder.root.has_directory(&directory(below)))
    };
    path.starts_with('/') && finder.world.mounted.0.iter().any(has)
}

/// The user below whose slice a group is.
fn owner_of_slice(path: &str) -> Option<u32> {
    path.strip_prefix("/user.slice/user-")?.split_once(".slice")?.0.parse().ok()
}

impl Finder<'_> {
    pub(super) fn is_unverified(&self, number: usize) -> bool {
        self.world.containers[number].container.identified_by == IdentifiedBy::Cgroup
    }

    /// Groups of a user are below the slice of that user; others are made by root.
    fn may_have_group(&self, owner: &Owner, slice: Option<u32>) -> bool {
        slice.unwrap_or(0) == self.named(owner).owner
    }
}

/// For messages: the path of a group as text.
pub(super) fn path_of(bytes: &[u8]) -> String {
    use std::os::unix::ffi::OsStrExt;
    shown(Path::new(std::ffi::OsStr::from_bytes(bytes)))
}
