//! Targets as logs print them: a path of a control group, the line of the kernel about a kill for lack of memory, the UID
//! of a pod, a namespace.

use std::cell::OnceCell;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::cgroup_path::{candidates, is_id, is_uuid, pod_uid};
use super::{Container, Runtime, group_of};
use crate::isolation::cgroup::{Hierarchies, View, is_within, parse};
use crate::proc::ProcRoot;
use crate::proc::ns::{Kind, parse_link};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Logged {
    /// The id in the name of a control group.
    Group {
        id: String,
        runtime: Runtime,
    },
    /// A control group whose name no runtime made: it ends in the name or id of a container, perhaps.
    Path(String),
    Pod(String),
}

/// Can the word be more than a name or an id: a group, a pod, a namespace?
#[must_use]
pub(crate) fn is_logged(word: &str) -> bool {
    namespace(word).is_some() || Logged::parse(word).is_some()
}

impl Logged {
    /// None for a word that can only be a name or an id.
    pub(super) fn parse(word: &str) -> Option<Logged> {
        if is_uuid(word) {
            return Some(Logged::Pod(word.to_owned()));
        }
        let path = path(word)?;
        let found = candidates(path).filter(|one| one.distinctive || is_id(&one.id)).last();
        if let Some(found) = found {
            return Some(Logged::Group { id: found.id.into_owned(), runtime: found.runtime });
        }
        match pod_uid(path) {
            Some(uid) => Some(Logged::Pod(uid)),
            None => path.starts_with('/').then(|| Logged::Path(path.to_owned())),
        }
    }

    /// The id, if it is a whole one.
    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Logged::Group { id, .. } => Some(id).filter(|id| is_id(id)).map(String::as_str),
            _ => None,
        }
    }

    pub(super) fn fits(&self, container: &Container) -> bool {
        match self {
            Logged::Group { id, runtime } => {
                let has_id = container.id == *id || container.group.as_ref() == Some(id);
                has_id && (is_id(id) || container.runtime == *runtime)
            }
            Logged::Path(path) => {
                let ends = |name: &str| path.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'));
                ends(&container.id) || container.name.as_deref().is_some_and(ends)
            }
            Logged::Pod(uid) => container.pod_uid.as_ref() == Some(uid),
        }
    }
}

/// What stands before the group of the process that was killed.
const OF_TASK: &str = ",task_memcg=";

/// The path in a word: the word itself, or a part of a line of the kernel's log.
fn path(word: &str) -> Option<&str> {
    if let Some((_, rest)) = word.split_once(OF_TASK) {
        // A user may give a group such a name.
        return rest.split(",task=").next().filter(|_| !rest.contains(OF_TASK));
    }
    // `Task in /docker/ID killed as a result of limit of /docker`, before Linux 4.19
    if let Some((_, rest)) = word.split_once("Task in /") {
        let at = word.len() - rest.len() - 1;
        return word[at..].split(" killed").next();
    }
    let word = word.trim();
    let is_unit = word.ends_with(".scope") || word.ends_with(".slice");
    let has_colons = word.contains(":cri-containerd:") || word.contains(":crio:");
    (word.starts_with('/') || is_unit || has_colons).then(|| unmounted(word))
}

/// False if the word has a path of a control group and the container is in another one. A user may give a group the name or
/// the id of any container.
#[must_use]
pub(super) fn may_mean(word: &str, proc: &ProcRoot, container: &Container) -> bool {
    let Some(path) = path(word).filter(|path| path.starts_with('/')) else { return true };
    let Some(text) = container.init.and_then(|init| proc.process(init).cgroup().ok()) else { return true };
    is_of_group(path, &String::from_utf8_lossy(&text))
}

/// The containers whose first process is in a control group whose name says nothing, or below it.
#[must_use]
pub(super) fn in_group(proc: &ProcRoot, all: &[Rc<Container>], word: &str) -> Vec<Rc<Container>> {
    let Some(path) = path(word).filter(|path| path.starts_with('/')) else { return Vec::new() };
    let directory = Path::new(word.trim());
    let mounted = if directory.starts_with("/sys") { Hierarchies::read(proc).ok() } else { None };
    let group = mounted.and_then(|mounted| mounted.group_at(directory));
    let group = group.unwrap_or_else(|| PathBuf::from(path)).into_os_string().into_vec();
    let group = group.strip_suffix(b"/").unwrap_or(&group);
    if group.is_empty() {
        return Vec::new();
    }
    let view = OnceCell::new();
    let is_in = |container: &&Rc<Container>| {
        let Some(text) = container.init.and_then(|init| proc.process(init).cgroup().ok()) else {
            return false;
        };
        let text = View::absolute_once(&view, proc, &text);
        // One whose group has its name is found by that.
        let is_named =
            |path: &[u8]| std::str::from_utf8(path).is_ok_and(|path| group_of(path, container).is_some());
        parse(&text).any(|line| is_within(line.path, group) && !is_named(line.path))
    };
    all.iter().filter(is_in).cloned().collect()
}

/// `text` is that of proc_pid_cgroup(5). Each side may begin with more directories: the path is below a mount point, or
/// the reader is in a cgroup namespace.
fn is_of_group(path: &str, text: &str) -> bool {
    /// Each directory above is compared with each one of a process. No runtime nests as deep.
    const DEEPEST: usize = 64;
    if path.matches('/').count() > DEEPEST {
        return false;
    }
    let logged = Logged::parse(path);
    // The container's own group, or that of its pod.
    let group = above(path).find(|above| Logged::parse(above) == logged).unwrap_or(path);
    let is_same = |known: &str| known.ends_with(group) || group.ends_with(known);
    let mut known = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    known.any(|known| above(known.trim_start_matches("/..")).any(is_same))
}

/// The path and the directories above it, shortest first, without the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter(|end| *end > 1).map(|end| &path[..end])
}

/// The path in the hierarchy of a path below the mount point.
fn unmounted(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/sys/fs/cgroup/") else { return path };
    &path[path.len() - rest.len() - 1..]
}

/// The inode of `ns:INODE`, or of `net:[INODE]` as readlink(1) prints it.
#[must_use]
pub(super) fn namespace(word: &str) -> Option<u64> {
    let (kind, rest) = word.split_once(':')?;
    if kind == "ns" {
        return rest.parse().ok();
    }
    let is_kind = Kind::ALL.iter().any(|known| known.proc_name() == kind);
    (is_kind && rest.starts_with('[') && rest.ends_with(']')).then(|| parse_link(word.as_bytes()))?
}

/// Does the container have this namespace, and the host not?
#[must_use]
pub(super) fn has_namespace(proc: &ProcRoot, container: &Container, inode: u64) -> bool {
    let Some(init) = container.init else { return false };
    let has = |pid| Kind::ALL.iter().any(|kind| proc.process(pid).ns(*kind) == Some(inode));
    has(init) && !proc.host_namespaces().contains(&Some(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "aeb29a15315aa34748c89a0c8ba54026601e0a1e27f244fe53642ea94ad02868";
    const UID: &str = "0b3f5a52-1111-2222-3333-4444deadbeef";

    #[test]
    fn words_of_logs() {
        let group = |runtime| Some(Logged::Group { id: ID.to_owned(), runtime });
        let parse = |word: String| Logged::parse(&word);
        assert_eq!(parse(format!("/docker/{ID}")), group(Runtime::Docker));
        assert_eq!(parse(format!("docker-{ID}.scope")), group(Runtime::Docker));
        assert_eq!(parse(format!("/sys/fs/cgroup/system.slice/docker-{ID}.scope")), group(Runtime::Docker));
        assert_eq!(parse(format!("kubepods-pod1_2.slice:cri-containerd:{ID}")), group(Runtime::K8s));
        let line = format!(
            "[ 9.1] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker,\
             task_memcg=/docker/{ID},task=tail,pid=7,uid=0"
        );
        assert_eq!(parse(line), group(Runtime::Docker));
        assert_eq!(
            parse(format!("Task in /docker/{ID} killed as a result of limit of /docker")),
            group(Runtime::Docker)
        );
        let pod = Some(Logged::Pod(UID.to_owned()));
        let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
        assert_eq!(
            [parse(slice), parse(UID.to_owned()), parse(format!("/kubepods/pod{UID}"))],
            [
                pod.as_ref().map(|_| Logged::Pod(UID.to_owned())),
                pod.as_ref().map(|_| Logged::Pod(UID.to_owned())),
                pod
            ]
        );
        assert_eq!(parse("/default/redis".to_owned()), Some(Logged::Path("/default/redis".to_owned())));
        for word in ["web", "docker:web", "default/redis", ID, "4711", "a.service", "web@7", ""] {
            assert_eq!(parse(word.to_owned()), None, "{word}");
        }
    }

    #[test]
    fn paths_end_in_a_name() {
        let fits = |path: &str, id: &str| {
            Logged::Path(path.to_owned()).fits(&Container::new(Runtime::Containerd, id))
        };
        assert!(fits("/default/redis", "default/redis"));
        assert!(fits("/a/job", "job"));
        assert!(!fits("/a/myjob", "job"));
    }

    /// A user may make any control groups below an own one.
    #[test]
    fn a_group_with_the_name_of_a_container_is_not_that_container() {
        let scope = format!("/system.slice/docker-{ID}.scope");
        let (v2, v1) = (format!("0::{scope}/init.scope\n"), format!("5:memory:/docker/{ID}\n0::/x\n"));
        let pod = format!("0::/kubepods.slice/pod{UID}/{ID}\n");
        for (path, text) in [
            (scope.clone(), &v2),
            (format!("{scope}/a/b"), &v2),
            (format!("/outer/of/this/host{scope}"), &v2),
            (format!("/docker/{ID}"), &v1),
            (format!("/memory/docker/{ID}"), &v1),
            (format!("/kubepods.slice/pod{UID}"), &pod),
            (format!("/kubepods.slice/pod{UID}/{ID}"), &pod),
            ("/default/redis".to_owned(), &"0::/default/redis/a\n".to_owned()),
            (scope.clone(), &format!("0::/../docker-{ID}.scope\n")),
        ] {
            assert!(is_of_group(&path, text), "{path} {text}");
        }
        let user = "/user.slice/user-1000.slice/user@1000.service";
        for (path, text) in [
            (format!("{user}/docker-{ID}.scope"), &v2),
            (format!("{user}/docker/{ID}"), &v2),
            (format!("{user}/pod{UID}"), &pod),
            (format!("{user}/redis"), &"0::/default/redis\n".to_owned()),
        ] {
            assert!(!is_of_group(&path, text), "{path} {text}");
        }
        let line = |path: &str| format!("oom-kill:oom_memcg={path},task_memcg={path},task=x,pid=7,uid=0");
        assert!(Logged::parse(&line(&scope)).is_some());
        assert_eq!(Logged::parse(&line(&format!("{user}/x{OF_TASK}{scope}/y"))), None);
    }

    #[test]
    fn namespaces() {
        assert_eq!(namespace("ns:4026531840"), Some(4_026_531_840));
        assert_eq!(namespace("net:[4026531840]"), Some(4_026_531_840));
        for word in ["ns:", "ns:x", "net:4026531840", "docker:[4026531840]", "4026531840"] {
            assert_eq!(namespace(word), None, "{word}");
        }
    }
}
