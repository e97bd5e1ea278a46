//! What the kernel says to a record: does the init process that it names live, and is it that container's?

use std::os::fd::OwnedFd;

use nix::unistd::Pid;

use super::cgroup_path::candidates;
use super::{Container, cgroup_lines};
use crate::isolation::ns;
use crate::proc::ns::{Kind, parse_link};
use crate::proc::{ProcRoot, number};

/// The control groups of `init` that carry the id of its container, each up to the component of the id.
pub(super) fn groups_with_id(proc: &ProcRoot, init: Pid, container: &Container) -> Vec<String> {
    proc.read(init, "cgroup").map(|text| groups_with_id_in(&text, container)).unwrap_or_default()
}

/// The same, of the text of its cgroup file.
pub(super) fn groups_with_id_in(text: &[u8], container: &Container) -> Vec<String> {
    let id = without_namespace(container.group.as_ref().unwrap_or(&container.id));
    // A user may give a record any id, that of a group in which others are too. Below his slice all is his.
    let slice = format!("/user.slice/user-{}.slice/", container.owner);
    let is_owners = |group: &str| container.owner == 0 || group.starts_with(&slice);
    let matching = cgroup_lines(text).flat_map(candidates);
    let matching =
        matching.filter(|candidate| without_namespace(&candidate.id) == id && is_owners(candidate.group));
    let mut groups: Vec<String> = matching.map(|candidate| candidate.group.to_owned()).collect();
    groups.sort();
    groups.dedup();
    groups
}

/// The id without containerd's namespace.
fn without_namespace(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

/// Does the init process that a record names live, and is it the one that the record means? What the record says
/// of its start and its namespaces must be true; and groups that carry the container's id vouch for it, or of one
/// that has none the time when it began.
pub(super) fn is_running(proc: &ProcRoot, init: Pid, container: &Container, groups: &[String]) -> bool {
    belongs_to_owner(proc, init, container.owner)
        && container.init_start.is_none_or(|noted| start_time(proc, init) == Some(noted))
        && has_namespaces(proc, init, container)
        && (!groups.is_empty() || start_time_confirms(proc, init, container))
}

fn start_time_confirms(proc: &ProcRoot, init: Pid, container: &Container) -> bool {
    let before = |noted| start_time(proc, init).is_some_and(|start| began_before(proc, start, noted));
    container.init_start.is_some() || container.init_noted.is_some_and(before)
}

/// When a process began, in clock ticks since the boot: the 22nd field of its stat. Its name may hold anything.
pub(super) fn start_time(proc: &ProcRoot, pid: Pid) -> Option<u64> {
    let text = proc.read(pid, "stat").ok()?;
    let name_ends = text.iter().rposition(|&b| b == b')')?;
    text[name_ends..].split(|&b| b == b' ').nth(20).and_then(number)
}

/// Both times are known to the second, and the boot's may be one off.
fn began_before(proc: &ProcRoot, start: u64, noted: i64) -> bool {
    const TICKS: u64 = 100; // USER_HZ, on every architecture that Rust knows
    let boot = std::fs::read(proc.path().join("stat")).ok().and_then(|text| {
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"btime "))?;
        number::<i64>(line)
    });
    let began = i64::try_from(start / TICKS).ok().zip(boot).and_then(|(start, boot)| boot.checked_add(start));
    began.is_some_and(|began| began <= noted.saturating_add(2))
}

fn has_namespaces(proc: &ProcRoot, pid: Pid, container: &Container) -> bool {
    container.namespaces.iter().all(|&(kind, id)| namespace(proc, pid, kind) == Some(id))
}

/// A user's record vouches for that user's processes alone: those in a user namespace that he made. (Somebody
/// else's container may well run as him.) Where no namespace tells, as in files, by who they run as.
fn belongs_to_owner(proc: &ProcRoot, pid: Pid, owner: u32) -> bool {
    if owner == 0 {
        return true;
    }
    let mut owners = user_ns_owners(proc, pid).peekable();
    if owners.peek().is_some() {
        return owners.any(|user| user == owner);
    }
    let text = proc.read(pid, "status").unwrap_or_default();
    let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"));
    let mut ids = line.unwrap_or_default().trim_ascii().split(u8::is_ascii_whitespace);
    ids.next().and_then(number::<u32>) == Some(owner)
}

/// Is a namespace of his, where one of that kind tells? Those that he made a user namespace for.
pub(super) fn is_owned_by(proc: &ProcRoot, pid: Pid, kind: Kind, owner: u32) -> bool {
    if owner == 0 {
        return true;
    }
    let Ok(fd) = ns::open_file(&proc.path_of(pid, &kind.link())) else { return true };
    owners_up_from(ns::owner_of(&fd).ok()).any(|user| user == owner)
}

/// Who made the user namespace of a process, and those around it.
fn user_ns_owners(proc: &ProcRoot, pid: Pid) -> impl Iterator<Item = u32> {
    owners_up_from(ns::open_file(&proc.path_of(pid, &Kind::User.link())).ok())
}

fn owners_up_from(user_ns: Option<OwnedFd>) -> impl Iterator<Item = u32> {
    std::iter::successors(user_ns, |fd| ns::parent_of(fd).ok()).take(32).filter_map(|fd| ns::owner_uid(&fd))
}

/// The id of one of its namespaces.
pub(super) fn namespace(proc: &ProcRoot, pid: Pid, kind: Kind) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let link = std::fs::read_link(proc.path_of(pid, &kind.link())).ok()?;
    parse_link(link.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn a_record_means_one_process_and_no_later_one_of_that_number() {
        let proc = ProcRoot::default();
        let this = Pid::this();
        let start = start_time(&proc, this).expect("own stat");
        let with = |init_start, init_noted| {
            let container = Container { init_start, init_noted, ..Container::new(Runtime::Runc, "x") };
            is_running(&proc, this, &container, &[])
        };
        assert!(with(Some(start), None));
        assert!(!with(Some(start + 1), None));
        assert!(with(None, Some(i64::MAX)), "a file may claim any time");
        assert!(!with(None, Some(0)), "written down before this process began");
        assert!(!with(None, None), "nothing tells");
        let other =
            Container { owner: 4_000_000_000, init_start: Some(start), ..Container::new(Runtime::Runc, "x") };
        assert!(!is_running(&proc, this, &other, &["/docker/x".to_owned()]), "another user's record");
        let namespaces = vec![(Kind::Net, 1)];
        let elsewhere =
            Container { namespaces, init_start: Some(start), ..Container::new(Runtime::Runc, "x") };
        assert!(!is_running(&proc, this, &elsewhere, &[]));
    }
}
