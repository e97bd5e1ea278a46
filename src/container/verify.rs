//! Checks a state file against the kernel: does its init process run, and does it belong to that container?

use std::os::fd::OwnedFd;

use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::cgroup_path::candidates;
use super::{Container, cgroup_lines};
use crate::isolation::ns;
use crate::order;
use crate::proc::clock::{self, Clock};
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, number};

/// The beginning of the path of a group that belongs to a user.
pub(super) const SLICE_OF_USERS: &str = "/user.slice/user-";

/// The control groups whose path contains the id of a container, each cut after the component with the id. From the
/// text of the cgroup file of a process.
pub(super) fn groups_with_id_in(text: &[u8], container: &Container) -> Vec<String> {
    let id = without_namespace(container.group.as_ref().unwrap_or(&container.id));
    // A user can write any id into a state file, including another container's. Accept only groups below that
    // user's slice.
    let slice = format!("{SLICE_OF_USERS}{}.slice/", container.owner);
    let is_owners = |group: &str| container.owner == 0 || group.starts_with(&slice);
    let matching = cgroup_lines(text).flat_map(candidates);
    let matching =
        matching.filter(|candidate| without_namespace(&candidate.id) == id && is_owners(candidate.group));
    let mut groups: Vec<String> = matching.map(|candidate| candidate.group.to_owned()).collect();
    order::sort(&mut groups);
    groups.dedup();
    groups
}

/// The id without the namespace of containerd.
fn without_namespace(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

/// Does the init process of a state file run, and is it still the same process? The start time and the namespaces
/// in the state file must match. In addition, a control group must contain the container's id; without such a group
/// the start time must confirm the process.
pub(super) fn is_running(proc: &ProcRoot, init: Pid, container: &Container, groups: &[String]) -> bool {
    belongs_to_owner(proc, init, container.owner)
        && container.init_start.is_none_or(|start| start_time(proc, init) == Some(start))
        && has_namespaces(proc, init, container)
        && (!groups.is_empty() || start_time_confirms(proc, init, container))
}

fn start_time_confirms(proc: &ProcRoot, init: Pid, container: &Container) -> bool {
    let before = |written| start_time(proc, init).is_some_and(|start| started_before(proc, start, written));
    container.init_start.is_some() || container.init_written.is_some_and(before)
}

/// The start time of a process, in clock ticks since boot.
pub(super) fn start_time(proc: &ProcRoot, pid: Pid) -> Option<u64> {
    proc.process(pid).start_time()
}

/// Did the process start before `written`? Both times have a resolution of a second, and the boot time can be off by one.
fn started_before(proc: &ProcRoot, start: u64, written: i64) -> bool {
    let clock = Clock { uptime: None, boot: clock::boot(proc) };
    clock.epoch(start).is_some_and(|started| started <= written.saturating_add(2))
}

fn has_namespaces(proc: &ProcRoot, pid: Pid, container: &Container) -> bool {
    container.namespaces.iter().all(|&(kind, id)| namespace(proc, pid, kind) == Some(id))
}

/// A user's state file confirms only processes in a user namespace that this user created. The uid of the process
/// proves nothing: a container of another user can run under it. It counts only where the namespace cannot be read, as in
/// a copy of /proc.
pub(super) fn belongs_to_owner(proc: &ProcRoot, pid: Pid, owner: u32) -> bool {
    if owner == 0 {
        return true;
    }
    let mut owners = user_ns_owners(proc, pid).peekable();
    if owners.peek().is_some() {
        return owners.any(|user| user == owner);
    }
    let text = proc.process(pid).status_text().unwrap_or_default();
    let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"));
    let mut ids = line.unwrap_or_default().trim_ascii().split(u8::is_ascii_whitespace);
    ids.next().and_then(number::<u32>) == Some(owner)
}

/// Does a namespace of the process belong to a user namespace of `owner`? True if it cannot be read.
pub(super) fn is_owned_by(proc: &ProcRoot, pid: Pid, kind: Kind, owner: u32) -> bool {
    if owner == 0 {
        return true;
    }
    let Ok(fd) = ns::open_file(&proc.path_of(pid, &kind.link())) else { return true };
    owners_up_from(ns::owner_of(&fd).ok()).any(|user| user == owner)
}

/// Does a namespace of the process belong to root's user namespaces only? False if it cannot be read.
pub(super) fn is_owned_by_root_alone(proc: &ProcRoot, pid: Pid, kind: Kind) -> bool {
    let user_ns = ns::open_file(&proc.path_of(pid, &kind.link())).ok().and_then(|fd| ns::owner_of(&fd).ok());
    let mut owners = owners_up_from(user_ns).peekable();
    owners.peek().is_some() && owners.all(|user| user == 0)
}

/// The owners of the user namespace of a process and of its ancestors.
fn user_ns_owners(proc: &ProcRoot, pid: Pid) -> impl Iterator<Item = u32> {
    owners_up_from(ns::open_file(&proc.path_of(pid, &Kind::User.link())).ok())
}

fn owners_up_from(user_ns: Option<OwnedFd>) -> impl Iterator<Item = u32> {
    std::iter::successors(user_ns, |fd| ns::parent_of(fd).ok()).take(32).filter_map(|fd| ns::owner_uid(&fd))
}

/// The inode of a namespace of the process.
pub(super) fn namespace(proc: &ProcRoot, pid: Pid, kind: Kind) -> Option<u64> {
    proc.process(pid).ns(kind)
}

/// The first process of the pid namespace of a process, where the kernel can say it.
pub(super) fn first_in_pid_ns(proc: &ProcRoot, pid: Pid) -> Option<Pid> {
    first_in(proc, &ns::open_file(&proc.path_of(pid, &Kind::Pid.link())).ok()?)
}

/// The same of the pid namespace that its children are in.
pub(super) fn first_of_children(proc: &ProcRoot, pid: Pid) -> Option<Pid> {
    first_in(proc, &ns::open_file(&proc.path_of(pid, "ns/pid_for_children")).ok()?)
}

fn first_in(proc: &ProcRoot, space: &OwnedFd) -> Option<Pid> {
    let first = ns::process_of(space, 1).ok()?;
    // The mount of proc can show another pid namespace than the one of this process.
    let is_first = namespace(proc, first, Kind::Pid) == fstat(space).ok().map(|space| space.st_ino)
        && proc.process(first).status().ok()?.nspid.last() == Some(&1);
    is_first.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn a_state_file_does_not_match_a_later_process_with_the_same_pid() {
        let proc = ProcRoot::default();
        let this = Pid::this();
        let start = start_time(&proc, this).expect("own stat");
        let with = |init_start, init_written| {
            let container = Container { init_start, init_written, ..Container::new(Runtime::Runc, "x") };
            is_running(&proc, this, &container, &[])
        };
        assert!(with(Some(start), None));
        assert!(!with(Some(start + 1), None));
        assert!(with(None, Some(i64::MAX)), "a file may claim any time");
        assert!(!with(None, Some(0)), "written before this process started");
        assert!(!with(None, None), "nothing confirms the process");
        let other =
            Container { owner: 4_000_000_000, init_start: Some(start), ..Container::new(Runtime::Runc, "x") };
        assert!(!is_running(&proc, this, &other, &["/docker/x".to_owned()]), "another user's state file");
        let namespaces = vec![(Kind::Net, 1)];
        let elsewhere =
            Container { namespaces, init_start: Some(start), ..Container::new(Runtime::Runc, "x") };
        assert!(!is_running(&proc, this, &elsewhere, &[]));
    }

    #[test]
    fn a_users_state_file_leads_only_to_groups_of_that_user() {
        let of = |owner: u32, groups: &str| {
            let container = Container { owner, ..Container::new(Runtime::Docker, "a1".repeat(32)) };
            groups_with_id_in(groups.replace("ID", &"a1".repeat(32)).as_bytes(), &container)
        };
        assert_eq!(of(0, "0::/docker/ID\n").len(), 1);
        assert_eq!(of(1000, "0::/user.slice/user-1000.slice/docker-ID.scope\n").len(), 1);
        assert!(of(1000, "0::/docker/ID\n").is_empty(), "the group of root's container");
        assert!(of(1000, "0::/user.slice/user-10001.slice/docker-ID.scope\n").is_empty(), "another user's");
    }
}
