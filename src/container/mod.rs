//! Whose process is this? The container a process runs in, told by the kernel and by files on disk.
//!
//! A control group's name is a candidate only: whoever owns a delegated group can make one of any name. It
//! counts when a runtime's state on disk knows the id **and** the init process that the state names is alive
//! in the very same group. No daemon is asked, so none can hang us.

mod by_namespace;
mod cgroup_path;
mod files;
mod group;
mod nested;
pub(crate) mod profile;
mod resolver;
mod runtimes;
pub(crate) mod target;
mod verify;

pub use files::Files;
pub use group::group_of;
pub(crate) use nested::inside;
pub use resolver::Resolver;
pub(crate) use resolver::is_of_group;

use std::fmt;
use std::rc::Rc;

use nix::unistd::Pid;

use crate::isolation::cgroup;
use crate::proc::ns::Kind;

/// What made the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    Actions,
    /// Nobody known: a pid namespace or a root directory of its own, and no record anywhere.
    Anon,
    Apptainer,
    Buildah,
    Buildkit,
    Bwrap,
    Containerd,
    Crun,
    Docker,
    Ecs,
    Firejail,
    Flatpak,
    Garden,
    Incus,
    K8s,
    Libvirt,
    Lxc,
    Lxd,
    Mesos,
    Nerdctl,
    /// A network namespace with a name, as ip-netns(8) makes them.
    Netns,
    Nomad,
    Nspawn,
    Podman,
    Runc,
    Snap,
    Youki,
}

/// The names, as they stand before the colon, in the order of the enum.
const NAMES: [(Runtime, &str); 27] = [
    (Runtime::Actions, "actions"),
    (Runtime::Anon, "anon"),
    (Runtime::Apptainer, "apptainer"),
    (Runtime::Buildah, "buildah"),
    (Runtime::Buildkit, "buildkit"),
    (Runtime::Bwrap, "bwrap"),
    (Runtime::Containerd, "containerd"),
    (Runtime::Crun, "crun"),
    (Runtime::Docker, "docker"),
    (Runtime::Ecs, "ecs"),
    (Runtime::Firejail, "firejail"),
    (Runtime::Flatpak, "flatpak"),
    (Runtime::Garden, "garden"),
    (Runtime::Incus, "incus"),
    (Runtime::K8s, "k8s"),
    (Runtime::Libvirt, "libvirt"),
    (Runtime::Lxc, "lxc"),
    (Runtime::Lxd, "lxd"),
    (Runtime::Mesos, "mesos"),
    (Runtime::Nerdctl, "nerdctl"),
    (Runtime::Netns, "netns"),
    (Runtime::Nomad, "nomad"),
    (Runtime::Nspawn, "nspawn"),
    (Runtime::Podman, "podman"),
    (Runtime::Runc, "runc"),
    (Runtime::Snap, "snap"),
    (Runtime::Youki, "youki"),
];

impl Runtime {
    #[must_use]
    pub const fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Runtime> {
        NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// All of them, for a message.
    #[must_use]
    pub fn names() -> String {
        NAMES.map(|row| row.1).join(", ")
    }
}

/// IdentifiedBy we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentifiedBy {
    /// The runtime's state on disk, and its init process is in this control group.
    State,
    /// A control group of this name, and nothing that vouches for it: shown with a `?`.
    Cgroup,
    /// Namespaces shared with the init process of a container that is known by its state.
    Namespace,
    /// Namespaces or a root of its own, and no runtime that claims them.
    Anonymous,
}

impl IdentifiedBy {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            IdentifiedBy::State => "state",
            IdentifiedBy::Cgroup => "cgroup",
            IdentifiedBy::Namespace => "namespace",
            IdentifiedBy::Anonymous => "anonymous",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<IdentifiedBy> {
        [IdentifiedBy::State, IdentifiedBy::Cgroup, IdentifiedBy::Namespace, IdentifiedBy::Anonymous]
            .into_iter()
            .find(|way| way.name() == name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub runtime: Runtime,
    /// What does the work behind it, as `containerd` behind k8s; the runtime itself where nothing does.
    pub engine: &'static str,
    /// The runtime's own id; containerd's with its namespace, as `default/one`.
    pub id: String,
    /// What stands in the name of its control group, where that is not the id.
    pub group: Option<String>,
    /// `web`; `NAMESPACE/ID` of containerd; `NAMESPACE/POD/CONTAINER` of Kubernetes. None when no state tells it.
    pub name: Option<String>,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub image: Option<String>,
    /// What the user wrote on it, in the order of the names.
    pub labels: Vec<(String, String)>,
    pub hostname: Option<String>,
    /// When it was made, as `2026-11-22T14:38:03Z`.
    pub created: Option<String>,
    /// Whose it is: root's, or the user's who runs it without being root.
    pub owner: u32,
    /// The first process in it, as the state has it.
    pub init: Option<Pid>,
    /// When that process began, in clock ticks since the boot, where the state has that too.
    pub init_start: Option<u64>,
    /// When its PID was written down, in seconds since 1970: a process that began later is another.
    pub init_noted: Option<i64>,
    /// The OCI `config.json` that it was started with, where the record leads to one.
    pub config: Option<String>,
    /// Namespaces that the state says are its own; all that is known of it, for some runtimes.
    pub namespaces: Vec<(Kind, u64)>,
    pub identified_by: IdentifiedBy,
    /// The container that this one runs in.
    pub outer: Option<Rc<Container>>,
}

impl Container {
    /// One that state on disk tells of; the rest is for the caller to fill in.
    #[must_use]
    pub fn new(runtime: Runtime, id: impl Into<String>) -> Container {
        Container {
            runtime,
            engine: runtime.name(),
            id: id.into(),
            group: None,
            name: None,
            pod: None,
            pod_namespace: None,
            image: None,
            labels: Vec::new(),
            hostname: None,
            created: None,
            owner: 0,
            init: None,
            init_start: None,
            init_noted: None,
            config: None,
            namespaces: Vec::new(),
            identified_by: IdentifiedBy::State,
            outer: None,
        }
    }

    /// The memory that it takes, about.
    fn size(&self) -> usize {
        let texts = [&self.group, &self.name, &self.pod, &self.pod_namespace, &self.image, &self.hostname];
        let texts = texts.into_iter().chain([&self.created, &self.config]).flatten().map(String::len);
        let labels = self.labels.iter().map(|(name, value)| name.len() + value.len() + files::NODE);
        size_of::<Container>() + self.id.len() + texts.chain(labels).sum::<usize>()
    }

    /// Can it be alive though its record names no process? LXC and snapd write none down.
    fn runs_without_init_noted(&self) -> bool {
        matches!(self.runtime, Runtime::Incus | Runtime::Lxc | Runtime::Lxd | Runtime::Snap)
    }

    /// `NAMESPACE/POD` of Kubernetes.
    #[must_use]
    pub fn pod_name(&self) -> Option<String> {
        Some(format!("{}/{}", self.pod_namespace.as_ref()?, self.pod.as_ref()?))
    }

    /// The process that holds a pod's namespaces and does nothing else.
    #[must_use]
    pub fn is_pause(&self) -> bool {
        let named = |end: &str| self.name.as_ref().is_some_and(|name| name.ends_with(end));
        self.pod.is_some() && (named("/POD") || named("-infra"))
    }

    /// `PROJECT/SERVICE` of compose, by its labels.
    #[must_use]
    pub fn compose_service(&self) -> Option<String> {
        let label =
            |name: &str| self.labels.iter().find(|label| label.0 == name).map(|label| label.1.as_str());
        let of = |maker: &str| {
            let project = label(&format!("{maker}.project"))?;
            Some(format!("{project}/{}", label(&format!("{maker}.service"))?))
        };
        of("com.docker.compose").or_else(|| of("io.podman.compose"))
    }

    /// What is shown for it: with those around it, the outermost first, as `docker:kind/k8s:default/web/app`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.outer {
            Some(outer) => format!("{}/{self}", outer.label()),
            None => self.to_string(),
        }
    }

    /// What no other container has, though names and ids are chosen by many; a claim that nobody vouches for is
    /// another than the container of that id.
    #[must_use]
    pub fn key(&self) -> String {
        let links = self.chain().map(|link| {
            let claim = if link.identified_by == IdentifiedBy::Cgroup { "?" } else { "" };
            format!("{}:{}:{}{claim}", link.runtime.name(), link.owner, link.id)
        });
        links.collect::<Vec<_>>().join("\0")
    }

    /// This container and those around it, from the inside out.
    pub fn chain(&self) -> impl Iterator<Item = &Container> {
        std::iter::successors(Some(self), |container| container.outer.as_deref())
    }
}

/// The pid namespace of a process, as far as whoever asks knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidNs {
    /// That of proc.
    Procs,
    /// Another.
    Own,
    Id(u64),
}

/// The container of one process, and how we know that this process is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub container: Rc<Container>,
    pub identified_by: IdentifiedBy,
}

/// The paths in the text of a `/proc/PID/cgroup` that are text.
fn cgroup_lines(text: &[u8]) -> impl Iterator<Item = &str> {
    cgroup::parse(text).filter_map(|line| std::str::from_utf8(line.path).ok())
}

/// A time as runtimes write it down (RFC 3339), to the second.
fn seconds(time: &str) -> Option<String> {
    let whole = time.get(..19).filter(|whole| whole.is_ascii())?;
    let zone = time.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    Some(format!("{whole}{zone}"))
}

/// The same of seconds since 1970.
#[must_use]
pub(crate) fn rfc3339(epoch: i64) -> String {
    let (days, second) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    // Years that begin in March have the leap day last; 146,097 days make 400 of them.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}Z", year + era * 400)
}

/// `docker:web`: what tells a container from all others. `docker:0123456789ab?` when there is only an id.
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.runtime.name())?;
        match &self.name {
            // No runtime allows one there, and with it a name could pass for a chain.
            Some(name) if self.runtime != Runtime::Anon => f.write_str(&name.replace(':', "\\x3a"))?,
            Some(name) => f.write_str(name)?,
            None => f.write_str(self.id.get(..12).unwrap_or(&self.id))?,
        }
        f.write_str(if self.identified_by == IdentifiedBy::Cgroup { "?" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_runtimes_is_in_the_order_of_the_enum() {
        for (at, (runtime, name)) in NAMES.iter().enumerate() {
            assert_eq!((*runtime as usize, runtime.name()), (at, *name));
            assert_eq!(Runtime::from_name(name), Some(*runtime));
        }
        assert!(NAMES.is_sorted_by_key(|row| row.1));
    }

    #[test]
    fn times_to_the_second() {
        assert_eq!(seconds("2026-11-22T14:38:03.878288471Z").as_deref(), Some("2026-11-22T14:38:03Z"));
        assert_eq!(seconds("2026-11-22T14:38:03+02:00").as_deref(), Some("2026-11-22T14:38:03+02:00"));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds("\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}"), None);
        for (epoch, time) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_358_283, "2026-11-22T14:38:03Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(epoch), time);
        }
    }
}
