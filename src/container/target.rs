//! TARGET on the command line: a PID, a container by name or id, or a process by its PID in a container.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::{Pid, getuid};
use serde::{Deserialize, Serialize};

use super::child::{OnBlock, Portable, in_child};
use super::matching::{self, is_marked, is_unverified, one, precise};
use super::near::did_you_mean;
use super::profile::ProfileFiles;
use super::search;
use super::verify::namespace;
pub use super::word::Target;
use super::{Container, Files, PidNs, Resolver, Runtime};
use crate::access::watch::note_of_blocked;
use crate::errno;
use crate::exit;
use crate::isolation::ns;
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Scan};
use crate::text;

/// A process with its pidfd, so that ctrbox notices if another process takes the PID.
pub(crate) struct Held {
    pub pid: Pid,
    pub pidfd: Option<OwnedFd>,
}

/// The purpose for which a target is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To run a program in it or in its control groups. An unverified container needs its `?`.
    Enter,
    /// To read its state. A warning says that it is unverified.
    Read,
}

/// Resolves TARGET to a process, for all applets.
pub(crate) struct Lookup<'a> {
    /// The name of the applet, for messages.
    name: &'a str,
    purpose: Purpose,
    /// Messages already printed: each is printed once.
    printed: RefCell<Vec<String>>,
    /// Messages are only kept.
    keeps: bool,
    /// Whether the files with the container's profile are wanted, and those that were found.
    wants_profile: bool,
    profile: RefCell<Option<ProfileFiles>>,
    found: RefCell<Option<Rc<Container>>>,
}

/// Why a child found no process: the error, and whether its cause may be that the caller does not see the container.
#[derive(Serialize, Deserialize)]
struct NotHeld {
    error: String,
    is_not_seen: bool,
}

impl From<anyhow::Error> for NotHeld {
    fn from(error: anyhow::Error) -> NotHeld {
        NotHeld { error: errno::chain(&error), is_not_seen: error.is::<exit::NotSeen>() }
    }
}

impl From<NotHeld> for anyhow::Error {
    fn from(not: NotHeld) -> anyhow::Error {
        match not.is_not_seen {
            true => exit::NotSeen(not.error).into(),
            false => anyhow::Error::msg(not.error),
        }
    }
}

/// What a child finds.
struct ByName {
    held: std::result::Result<Held, NotHeld>,
    notes: Vec<String>,
    profile: Option<ProfileFiles>,
}

impl Portable for ByName {
    fn pack(self) -> (Vec<u8>, Vec<OwnedFd>) {
        let (found, descriptors) = match self.held {
            Ok(held) => (Ok(held.pid.as_raw()), held.pidfd.into_iter().collect()),
            Err(error) => (Err(error), Vec::new()),
        };
        (serde_json::to_vec(&(found, self.notes, self.profile)).unwrap_or_default(), descriptors)
    }

    fn unpack(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<ByName> {
        let (found, notes, profile): (std::result::Result<i32, NotHeld>, _, _) =
            serde_json::from_slice(bytes).ok()?;
        let pidfd = descriptors.into_iter().next();
        Some(ByName { held: found.map(|pid| Held { pid: Pid::from_raw(pid), pidfd }), notes, profile })
    }
}

/// The one running container that matches `word`.
pub(crate) fn container(resolver: &mut Resolver<'_>, word: &str) -> Result<Rc<Container>> {
    let found = search::find(resolver, word);
    one(&found, word).map_err(|error| match found.is_empty() {
        true => none_of_name(resolver, word, &error),
        false => error,
    })
}

/// No container has the name. It may run, with its name in a file that the caller may not read.
fn none_of_name(resolver: &Resolver<'_>, word: &str, error: &anyhow::Error) -> anyhow::Error {
    let near = did_you_mean(resolver.last_scan().iter().map(|container| &**container), word);
    let near = near.map(|near| format!("; {near}")).unwrap_or_default();
    match resolver.problems().first() {
        Some(problem) => {
            let problem = text::escape(problem.as_bytes());
            let missing = "some state files cannot be read, so names may be missing";
            exit::NotSeen(format!("{error}{near}; {missing}: {problem}")).into()
        }
        None => anyhow!("{error}{near}"),
    }
}

impl<'a> Lookup<'a> {
    #[must_use]
    pub(crate) fn new(name: &'a str, purpose: Purpose) -> Lookup<'a> {
        Lookup {
            name,
            purpose,
            printed: RefCell::default(),
            keeps: false,
            wants_profile: false,
            profile: RefCell::default(),
            found: RefCell::default(),
        }
    }

    /// Also finds the files with the profile of a container, while its state files are read.
    #[must_use]
    pub(crate) fn with_profile(self, wants_profile: bool) -> Lookup<'a> {
        Lookup { wants_profile, ..self }
    }

    /// The files with the profile of the container that was found.
    pub(crate) fn profile(&self) -> Option<ProfileFiles> {
        self.profile.borrow().clone()
    }

    /// The process of a target: for a container its init process. With a pidfd if the kernel supports it.
    pub(crate) fn held(&self, proc: &ProcRoot, target: &Target) -> Result<Held> {
        match target {
            Target::Pid { pid, inode } => {
                if inode.is_none() {
                    hint_at_container(proc, None, *pid);
                }
                by_pid(proc, *pid, *inode)
            }
            Target::Container(word) => {
                let found = in_child(proc, OnBlock::LeaveOut, || self.find(proc, word));
                note_of_blocked().into_iter().for_each(|note| self.say(note));
                let found = found?;
                found.notes.into_iter().for_each(|note| self.say(note));
                self.profile.replace(found.profile);
                found.held.map_err(anyhow::Error::from)
            }
        }
    }

    /// Finds the process of a container by its name. Errors and messages are in the result: a child finds it.
    fn find(&self, proc: &ProcRoot, word: &str) -> Result<ByName> {
        let lookup = Lookup { keeps: true, ..Lookup::new(self.name, self.purpose) };
        let mut profile = None;
        let held = Files::new(Path::new("/")).and_then(|files| {
            let held = lookup.process(&mut Resolver::for_few(proc, &files), word)?;
            let found = lookup.found.take().filter(|found| self.wants_profile && !is_unverified(found));
            profile = found.map(|found| ProfileFiles::find(&files, &found));
            Ok(held)
        });
        Ok(ByName { held: held.map_err(NotHeld::from), notes: lookup.printed.into_inner(), profile })
    }

    /// The process that `word` names: the init process of a container, or with `@CPID` another process in it.
    pub(crate) fn process(&self, resolver: &mut Resolver<'_>, word: &str) -> Result<Held> {
        let (name, cpid) = match inside(word) {
            Some((name, cpid)) => (name, Some(cpid)),
            None => (word, None),
        };
        let container = match (container(resolver, name), cpid) {
            (Ok(container), _) => container,
            (Err(error), None) => return Err(error),
            (Err(error), Some(cpid)) => {
                refuse_pid(name)?;
                return self.among(resolver, name, cpid).ok_or(error);
            }
        };
        let unverified = unverified(&container, name);
        if let (Some(problem), Purpose::Enter) = (&unverified, self.purpose) {
            bail!("{problem}; {}", how_to_enter(&container, &resolver.scan(), cpid));
        }
        let init = hold(resolver, &container)?;
        let held = match cpid {
            None => init,
            Some(cpid) => in_container(resolver, &container, &init, cpid)?,
        };
        unverified.into_iter().for_each(|note| self.say(note));
        if let Some(note) = of_another_user(&container, name, || resolver.passwd()) {
            self.say(note);
        }
        self.found.replace(Some(container));
        Ok(held)
    }

    /// The process in a pod, or among the replicas of a service, if one process alone has that PID inside.
    fn among(&self, resolver: &mut Resolver<'_>, word: &str, cpid: i32) -> Option<Held> {
        let found = search::find(resolver, word);
        let group = matching::group(&found, word)?;
        let mut held: Vec<Held> = Vec::new();
        for container in group.iter().filter(|container| !is_unverified(container)) {
            let found =
                hold(resolver, container).and_then(|init| in_container(resolver, container, &init, cpid));
            // Containers that share a pid namespace lead to the same process.
            held.extend(found.ok().filter(|found| held.iter().all(|known| known.pid != found.pid)));
        }
        let only = held.pop().filter(|_| held.is_empty())?;
        group
            .iter()
            .filter_map(|container| of_another_user(container, word, || resolver.passwd()))
            .take(1)
            .for_each(|note| self.say(note));
        Some(only)
    }

    fn say(&self, note: String) {
        if !self.printed.borrow().contains(&note) {
            if !self.keeps {
                exit::warn(self.name, &note);
            }
            self.printed.borrow_mut().push(note);
        }
    }
}

/// Explains that a container is unverified; None if it is verified, or if the word ends in `?`.
#[must_use]
pub(crate) fn unverified(container: &Container, word: &str) -> Option<String> {
    let shown = || text::escape(container.label().as_bytes()).into_owned();
    (is_unverified(container) && !is_marked(word)).then(|| {
        format!(
            "{} is unverified: no state file that can be read confirms it, and any user can give a control group \
             that name",
            shown()
        )
    })
}

/// Says how to enter an unverified container.
fn how_to_enter(container: &Container, all: &[Rc<Container>], cpid: Option<i32>) -> String {
    let label = precise(container, all) + &cpid.map(|cpid| format!("@{cpid}")).unwrap_or_default();
    // The init process of a nested container may be unknown.
    let is_known = container.outer.is_none() || container.init.is_some();
    match is_known && text::is_plain(label.as_bytes()) && !label.contains('\'') {
        true => format!("to enter it, type '{label}' with the quotes (the shell expands ?)"),
        false => "to enter it, name one of its processes by PID".to_owned(),
    }
}

/// Names the owner of a container, unless that is root or the caller. No form of TARGET shows the owner.
#[must_use]
pub(crate) fn of_another_user(
    container: &Container,
    word: &str,
    passwd: impl FnOnce() -> Vec<u8>,
) -> Option<String> {
    let uid = container.owner;
    if uid == 0 || uid == getuid().as_raw() || is_unverified(container) {
        return None;
    }
    let name = crate::proc::users(&passwd())
        .find(|user| user.uid == uid)
        .map(|user| text::escape(user.name).into_owned());
    let whose = name.map_or_else(|| format!("uid {uid}"), |name| format!("user {name} (uid {uid})"));
    let (word, label) = (text::escape(word.as_bytes()), container.label());
    Some(format!("'{word}' is the container {} of {whose}", text::escape(label.as_bytes())))
}

/// `TARGET@CPID`
fn inside(word: &str) -> Option<(&str, i32)> {
    let (word, cpid) = word.rsplit_once('@')?;
    let cpid = cpid.parse().ok().filter(|&cpid: &i32| cpid > 0)?;
    (!word.is_empty()).then_some((word, cpid))
}

/// Refuses a PID before `@CPID`, which is allowed after a container only.
pub(crate) fn refuse_pid(word: &str) -> Result<()> {
    match Target::parse(OsStr::new(word)) {
        Ok(Target::Pid { .. }) => {
            bail!("'{word}' is a PID, and only a container can be followed by @ and a PID")
        }
        _ => Ok(()),
    }
}

/// The word without `@CPID`.
#[must_use]
pub(crate) fn without_cpid(word: &str) -> &str {
    inside(word).map_or(word, |(word, _)| word)
}

/// Opens a pidfd of the container's init process. Checks the identity after that: before, another process could have
/// taken the PID.
fn hold(resolver: &mut Resolver<'_>, container: &Container) -> Result<Held> {
    let pid = container.init.ok_or_else(|| match container.runtime {
        Runtime::Netns => {
            let name = text::escape(container.id.as_bytes()).into_owned();
            anyhow!("a network namespace by name is entered with --net=/run/netns/{name}")
        }
        _ => anyhow!(
            "the first process of {} is not known: name one of its processes by PID",
            text::escape(container.label().as_bytes())
        ),
    })?;
    if let claimants @ [_, _, ..] = &resolver.claimants(container)[..] {
        let pids: Vec<String> = claimants.iter().map(ToString::to_string).collect();
        bail!(
            "{} is ambiguous: several control groups have its name; their first processes are {}",
            text::escape(container.label().as_bytes()),
            pids.join(" ")
        );
    }
    if let Some(pidfd) = resolver.checked_pidfd(pid) {
        return Ok(Held { pid, pidfd: Some(pidfd) });
    }
    let pidfd = ns::pidfd(resolver.proc(), pid);
    if !resolver.is_init(container, pid) {
        return Err(ended(container));
    }
    Ok(Held { pid, pidfd })
}

/// A number means a process. Names the container that has this number as its name. `files`: of a caller who has read some.
pub(crate) fn hint_at_container(proc: &ProcRoot, files: Option<&Files>, pid: Pid) {
    exit::hint(|| {
        let find = || {
            let files = files.map_or_else(|| Files::new(Path::new("/")), |files| Ok(files.clone()))?;
            let is_missing = proc.metadata(&proc.path_of(pid, "")).is_err();
            let found = search::find_named(&mut Resolver::for_few(proc, &files), pid.as_raw(), is_missing);
            let other = found.filter(|found| found.init != Some(pid));
            Ok(other.map(|found| {
                format!("{pid} means the process with this PID; to name the container: {found}")
            }))
        };
        in_child(proc, OnBlock::LeaveOut, find).ok()?
    });
}

fn ended(container: &Container) -> anyhow::Error {
    anyhow!("container {} has ended", text::escape(container.label().as_bytes()))
}

/// The process that has `cpid` in the pid namespace of a container's init.
fn in_container(resolver: &mut Resolver<'_>, container: &Container, init: &Held, cpid: i32) -> Result<Held> {
    let proc = resolver.proc().clone();
    let init_pid_ns = namespace(&proc, init.pid, Kind::Pid);
    // The namespace was read by PID, so check that the PID still means the init process.
    if init.pidfd.as_ref().is_some_and(|pidfd| ns::still(pidfd).is_err()) {
        return Err(ended(container));
    }
    let mut is_wanted = |pid: Pid| {
        let status = proc.process(pid).status().unwrap_or_default();
        let has_cpid = status.nspid.last() == Some(&cpid);
        // A container that shares the pid namespace of proc shares it with all processes of the host.
        let has_own_pid_ns = status.nspid.len() > 1;
        has_cpid
            && init_pid_ns.is_some()
            && namespace(&proc, pid, Kind::Pid) == init_pid_ns
            && (has_own_pid_ns || pid == init.pid || is_member(resolver, container, pid))
    };
    // The kernel may know it. It is another process if proc is mounted for another pid namespace.
    let pid_ns = ns::open_file(&proc.path_of(init.pid, &Kind::Pid.link())).ok();
    let known = pid_ns.and_then(|pid_ns| ns::process_of(&pid_ns, cpid).ok());
    let pid = match known.filter(|&pid| is_wanted(pid)) {
        Some(pid) => Some(pid),
        None => Scan::pids(&proc)?.into_iter().find(|&pid| is_wanted(pid)),
    };
    let held = pid.map(|pid| Held { pid, pidfd: ns::pidfd(&proc, pid) }).filter(|held| is_wanted(held.pid));
    held.ok_or_else(|| no_process(container, cpid))
}

/// The processes in the pid namespace of the container that `word` names, each with its PID inside. For completion:
/// none is held.
pub(crate) fn all_inside(resolver: &mut Resolver<'_>, word: &str) -> Vec<(i32, Pid)> {
    let Some(init) = container(resolver, word).ok().and_then(|container| container.init) else {
        return Vec::new();
    };
    let proc = resolver.proc();
    let Some(pid_ns) = namespace(proc, init, Kind::Pid) else { return Vec::new() };
    let inside = |pid: Pid| {
        let status = proc.process(pid).status().ok()?;
        let is_inside =
            pid == init || (status.nspid.len() > 1 && namespace(proc, pid, Kind::Pid) == Some(pid_ns));
        status.nspid.last().filter(|_| is_inside).map(|&cpid| (cpid, pid))
    };
    Scan::pids(proc).unwrap_or_default().into_iter().filter_map(inside).collect()
}

fn is_member(resolver: &mut Resolver<'_>, container: &Container, pid: Pid) -> bool {
    let cgroup = resolver.proc().process(pid).cgroup().unwrap_or_default();
    let tag = resolver.resolve_in(pid, &cgroup, PidNs::Procs);
    tag.is_some_and(|tag| tag.container.key() == container.key())
}

#[must_use]
pub(crate) fn no_process(container: &Container, cpid: i32) -> anyhow::Error {
    anyhow!("container {} has no process {cpid}", text::escape(container.label().as_bytes()))
}

/// A process by PID. If an inode is given, its pidfd must have that inode.
fn by_pid(proc: &ProcRoot, pid: Pid, inode: Option<u64>) -> Result<Held> {
    let pidfd = ns::pidfd(proc, pid);
    let has_inode =
        |inode: u64| pidfd.as_ref().is_some_and(|fd| fstat(fd).is_ok_and(|stat| stat.st_ino == inode));
    if inode.is_some_and(|inode| !has_inode(inode)) {
        return Err(anyhow::Error::from(Errno::ESRCH)
            .context(format!("failed to obtain a valid file descriptor for PID {pid}")));
    }
    Ok(Held { pid, pidfd })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::IdentifiedBy;

    #[test]
    fn messages_about_an_unverified_container() {
        let unverified =
            |id: &str, identified_by| Container { identified_by, ..Container::new(Runtime::Docker, id) };
        let id = |end: &str| format!("0123456789ab{end:0>52}");
        let claim = unverified(&id("cdef"), IdentifiedBy::Cgroup);
        for (word, said) in [("0123456789ab", true), ("docker:0123456789ab", true), ("0123456789ab?", false)]
        {
            assert_eq!(super::unverified(&claim, word).is_some(), said, "{word}");
        }
        for identified_by in [IdentifiedBy::State, IdentifiedBy::Namespace, IdentifiedBy::Anonymous] {
            assert_eq!(super::unverified(&unverified("0123456789abcdef", identified_by), "0123"), None);
        }
        assert_eq!(
            how_to_enter(&claim, &[], Some(7)),
            "to enter it, type 'docker:0123456789ab?@7' with the quotes (the shell expands ?)"
        );
        // Two ids with the same beginning have the same label.
        let alike = [Rc::new(claim.clone()), Rc::new(unverified(&id("ffff"), IdentifiedBy::Cgroup))];
        assert_eq!(
            how_to_enter(&claim, &alike, None),
            format!("to enter it, type 'docker:{}?' with the quotes (the shell expands ?)", id("cdef"))
        );
        let by_pid = "to enter it, name one of its processes by PID";
        let outer = Rc::new(Container::new(Runtime::Docker, "web"));
        assert_eq!(how_to_enter(&Container { outer: Some(outer), ..claim }, &[], None), by_pid);
        for id in ["it's", "a\x1bb", "\u{202e}"] {
            assert_eq!(how_to_enter(&unverified(id, IdentifiedBy::Cgroup), &[], None), by_pid, "{id:?}");
        }
    }

    #[test]
    fn the_owner_is_named_unless_it_is_root_or_the_caller() {
        let warning_for = |owner| {
            let container = Container { owner, ..Container::new(Runtime::Podman, "0123") };
            of_another_user(&container, "web", || b"root:x:0:0\nbo\x1bb:x:4000001:1::/:\n".to_vec())
        };
        assert_eq!(warning_for(0), None);
        assert_eq!(warning_for(getuid().as_raw()), None);
        let expected = |whose: &str| Some(format!("'web' is the container podman:0123 of {whose}"));
        assert_eq!(warning_for(4_000_001), expected("user bo\\x1bb (uid 4000001)"));
        assert_eq!(warning_for(4_000_002), expected("uid 4000002"));
    }

    #[test]
    fn container_and_pid_are_split_at_the_last_at_sign() {
        assert_eq!(inside("web@17"), Some(("web", 17)));
        assert_eq!(inside("k8s:a/b/c@1"), Some(("k8s:a/b/c", 1)));
        for word in ["web", "web@", "@17", "web@x", "web@-1", "web@0"] {
            assert_eq!(inside(word), None, "{word}");
        }
    }
}
