//! Finds the container that a process runs in, from the kernel and from the runtimes' state files.
//!
//! The name of a control group is only a candidate: the owner of a delegated group can create groups of any name.
//! A candidate is verified when a state file contains its id **and** the init process in that state file runs in
//! the same group. ctrbox asks no daemon, so no daemon can block it.

mod by_namespace;
mod cgroup_path;
pub(crate) mod child;
mod claim;
pub(crate) mod cni;
pub(crate) mod commands;
pub(crate) mod details;
mod files;
mod group;
mod logged;
pub(crate) mod matching;
mod monitor;
pub(crate) mod near;
mod nested;
pub(crate) mod profile;
pub(crate) mod proxies;
pub(crate) mod records;
mod resolver;
mod runtimes;
pub(crate) mod search;
pub(crate) mod spaces;
mod spec;
pub(crate) mod stop;
pub(crate) mod stopped;
mod tagger;
pub(crate) mod target;
pub(crate) mod unknown;
mod verify;
mod word;
pub(crate) mod world;

pub(crate) use by_namespace::{is_in_container_of_host, is_router_name};
pub(crate) use cgroup_path::{group_claims, pod_uid, podman_pod};
pub(crate) use claim::Claim;
pub use files::Files;
pub use group::group_of;
pub(crate) use group::{Own, is_outermost};
pub(crate) use logged::is_logged;
pub(crate) use monitor::is_gvisor;
pub(crate) use nested::inside;
pub use resolver::Resolver;
use resolver::is_of_group;
pub(crate) use runtimes::is_in_usual_state;
pub(crate) use stop::runtime_config;
pub(crate) use tagger::{Few, Tagger, each_process};

pub use spec::Runtime;

use std::fmt;
use std::rc::Rc;

use nix::unistd::Pid;

use crate::isolation::cgroup;
use crate::proc::ns::Kind;

/// How ctrbox identifies a container, or the container of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentifiedBy {
    /// By a state file of the runtime, whose init process is in this control group.
    State,
    /// By the name of a control group only. No state file confirms it: shown with a `?`.
    Cgroup,
    /// By namespaces that it shares with the init process of a container that has a state file.
    Namespace,
    /// By its own namespaces or root directory, which no runtime claims.
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
    /// The program that runs it for the runtime, as `containerd` does for k8s; else the runtime itself.
    pub engine: &'static str,
    /// The id that the runtime uses. For containerd with the namespace, as `default/one`.
    pub id: String,
    /// The id in the name of its control group, if that differs from `id`.
    pub group: Option<String>,
    /// `web`; `NAMESPACE/ID` of containerd; `NAMESPACE/POD/CONTAINER` of Kubernetes. None if no state file has it.
    pub name: Option<String>,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    /// The UID of its pod of Kubernetes.
    pub pod_uid: Option<String>,
    pub image: Option<String>,
    /// The labels that the user set, sorted by name.
    pub labels: Vec<(String, String)>,
    pub hostname: Option<String>,
    /// The time of creation, as `2026-11-22T14:38:03Z`.
    pub created: Option<String>,
    /// The user who runs it: 0 for root, else the uid of a rootless user.
    pub owner: u32,
    /// Its init process, from the state file.
    pub init: Option<Pid>,
    /// Another process that the runtime started for it in namespaces of its own, from the state file.
    pub helper: Option<Pid>,
    /// The start time of that process, in clock ticks since boot, if the state file has it.
    pub init_start: Option<u64>,
    /// The time at which the PID was written, in seconds since 1970. A process that started later is another one.
    pub init_written: Option<i64>,
    /// The path of the OCI `config.json` that it was started with, if the state file leads to one.
    pub config: Option<String>,
    /// It runs in a virtual machine, so none of its own processes is on this host.
    pub has_guest: bool,
    /// Its namespaces, from the state file. Some runtimes write nothing else.
    pub namespaces: Vec<(Kind, u64)>,
    pub identified_by: IdentifiedBy,
    /// The container in which this one runs.
    pub outer: Option<Rc<Container>>,
}

impl Container {
    /// A container identified by a state file. The caller fills in the other fields.
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
            pod_uid: None,
            image: None,
            labels: Vec::new(),
            hostname: None,
            created: None,
            owner: 0,
            init: None,
            helper: None,
            init_start: None,
            init_written: None,
            config: None,
            has_guest: false,
            namespaces: Vec::new(),
            identified_by: IdentifiedBy::State,
            outer: None,
        }
    }

    /// The approximate size in memory, in bytes.
    fn size(&self) -> usize {
        let texts = [&self.group, &self.name, &self.pod, &self.pod_namespace, &self.image, &self.hostname];
        let texts =
            texts.into_iter().chain([&self.created, &self.config, &self.pod_uid]).flatten().map(String::len);
        let labels = self.labels.iter().map(|(name, value)| name.len() + value.len() + files::NODE);
        size_of::<Container>() + self.id.len() + texts.chain(labels).sum::<usize>()
    }

    /// `NAMESPACE/POD` of Kubernetes, if it is part of a pod.
    #[must_use]
    pub fn pod_name(&self) -> Option<String> {
        Some(format!("{}/{}", self.pod_namespace.as_ref()?, self.pod.as_ref()?))
    }

    /// Is it part of that pod: `NAMESPACE/POD` of Kubernetes, `POD` of Podman?
    #[must_use]
    pub fn is_in_pod(&self, name: &str) -> bool {
        match &self.pod_namespace {
            Some(_) => self.pod_name().as_deref() == Some(name),
            None => self.pod.as_deref() == Some(name),
        }
    }

    /// Its owner. Of an unverified container this is that of the verified one around it: anyone can own a control group with
    /// any name.
    #[must_use]
    pub fn known_owner(&self) -> Option<u32> {
        self.chain().find(|one| one.identified_by != IdentifiedBy::Cgroup).map(|one| one.owner)
    }

    /// Is it the pause container, which only keeps the namespaces of a pod?
    #[must_use]
    pub fn is_pause(&self) -> bool {
        let named = |end: &str| self.name.as_ref().is_some_and(|name| name.ends_with(end));
        self.pod.is_some() && (named("/POD") || named("-infra"))
    }

    /// `PROJECT/SERVICE` of compose, from the labels.
    #[must_use]
    pub fn compose_service(&self) -> Option<String> {
        let label =
            |name: &str| self.labels.iter().find(|label| label.0 == name).map(|label| label.1.as_str());
        let service_of = |maker: &str| {
            let project = label(&format!("{maker}.project"))?;
            Some(format!("{project}/{}", label(&format!("{maker}.service"))?))
        };
        service_of("com.docker.compose").or_else(|| service_of("io.podman.compose"))
    }

    /// The labels of a service of compose.
    #[cfg(test)]
    pub(super) fn labels_of_compose(project: &str, service: &str) -> Vec<(String, String)> {
        let label = |name: &str, value: &str| (format!("com.docker.compose.{name}"), value.to_owned());
        vec![label("project", project), label("service", service)]
    }

    /// The displayed name, with the containers around it, outermost first: `docker:kind/k8s:default/web/app`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.outer {
            Some(outer) => format!("{}/{self}", outer.label()),
            None => self.to_string(),
        }
    }

    /// A unique key. Names and ids are not unique: several runtimes and users choose them. An unverified container
    /// has another key than a verified one with the same id.
    #[must_use]
    pub fn key(&self) -> String {
        let links = self.chain().map(|link| {
            let claim = if link.identified_by == IdentifiedBy::Cgroup { "?" } else { "" };
            format!("{}:{}:{}{claim}", link.runtime.name(), link.owner, link.id)
        });
        links.collect::<Vec<_>>().join("\0")
    }

    /// This container and the containers around it, innermost first.
    pub fn chain(&self) -> impl Iterator<Item = &Container> {
        std::iter::successors(Some(self), |container| container.outer.as_deref())
    }

    /// Is this the deepest container that is shown? A path has room for hundreds of names that look like containers. A user
    /// can create thousands of such groups. The kernel nests 32 pid namespaces.
    pub(crate) fn is_deepest(&self) -> bool {
        const DEEPEST: usize = 8;
        self.chain().count() >= DEEPEST
    }
}

/// The pid namespace of a process, as far as the caller knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidNs {
    /// The pid namespace of the proc mount.
    Procs,
    /// Another one; the caller does not know which.
    Own,
    Id(u64),
}

/// The container of one process, and how ctrbox identified the process as part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub container: Rc<Container>,
    pub identified_by: IdentifiedBy,
}

impl Tag {
    /// The process is identified in the way that its container is.
    fn new(container: Rc<Container>) -> Tag {
        Tag { identified_by: container.identified_by, container }
    }
}

/// The paths in the text of a `/proc/PID/cgroup` that are valid UTF-8.
fn cgroup_lines(text: &[u8]) -> impl Iterator<Item = &str> {
    cgroup::parse(text).filter_map(|line| std::str::from_utf8(line.path).ok())
}

/// The first 12 digits of an id of 64 hexadecimal digits; other ids unchanged.
#[must_use]
pub(crate) fn short(id: &str) -> &str {
    if cgroup_path::is_id(id) { &id[..12] } else { id }
}

/// A time as runtimes write it (RFC 3339), cut to seconds. None if there is no such time, as in month 13.
fn seconds(time: &str) -> Option<String> {
    let whole = cut(time)?;
    epoch(&whole).map(|_| whole)
}

fn cut(time: &str) -> Option<String> {
    let whole = time.get(..19).filter(|whole| whole.is_ascii())?;
    let zone = time.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    Some(format!("{whole}{zone}"))
}

/// Does a state file have a time? Those that did not come yet are missing, or in the year 1.
fn has_come(time: &str) -> bool {
    !time.is_empty() && !time.starts_with("0001-")
}

/// The time in seconds since 1970 of an RFC 3339 text.
pub(crate) fn epoch(time: &str) -> Option<i64> {
    let whole = cut(time)?;
    let number = |range: std::ops::Range<usize>, allowed: std::ops::RangeInclusive<i64>| {
        let digits = whole.get(range).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<i64>().ok().filter(|number| allowed.contains(number))
    };
    let (year, month) = (number(0..4, 0..=9_999)?, number(5..7, 1..=12)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = number(8..10, 1..=longest)?;
    // 60: a leap second
    let clock = number(11..13, 0..=23)? * 3_600 + number(14..16, 0..=59)? * 60 + number(17..19, 0..=60)?;
    let zone = match whole.get(19..)? {
        "Z" | "z" => 0,
        zone => {
            let ahead = number(20..22, 0..=23)? * 3_600 + number(23..25, 0..=59)? * 60;
            match (zone.len(), zone.get(..1)?, zone.get(3..4)?) {
                (6, "+", ":") => ahead,
                (6, "-", ":") => -ahead,
                _ => return None,
            }
        }
    };
    // As below: a year that begins in March.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469;
    Some(days * 86_400 + clock - zone)
}

/// The RFC 3339 form of a time in seconds since 1970.
#[must_use]
pub(crate) fn rfc3339(epoch: i64) -> String {
    let (days, second) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    // In a year that begins in March the leap day is the last day. 400 years have 146,097 days.
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

/// `docker:web`, or `docker:0123456789ab?` for an unverified container, of which only the id is known.
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.runtime.name())?;
        match &self.name {
            // With a slash and a colon, a name could look like a chain of containers. No runtime allows both.
            Some(name) if self.runtime != Runtime::Anon && name.contains('/') => {
                f.write_str(&name.replace(':', "\\x3a"))?;
            }
            Some(name) => f.write_str(name)?,
            None => f.write_str(short(&self.id))?,
        }
        f.write_str(if self.identified_by == IdentifiedBy::Cgroup { "?" } else { "" })
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use super::{cni, logged, monitor, proxies, runtimes};

    pub(crate) fn titles(data: &[u8]) {
        proxies::fuzz(data);
        monitor::fuzz(data);
        runtimes::fuzz::title(&String::from_utf8_lossy(data));
    }

    pub(crate) fn podman_database(data: &[u8]) {
        runtimes::fuzz::podman_database(data);
    }

    pub(crate) fn cri_database(data: &[u8]) {
        runtimes::fuzz::cri_database(data);
    }

    pub(crate) fn attachment(data: &[u8]) {
        cni::fuzz(data);
    }

    pub(crate) fn settings(text: &str) {
        runtimes::fuzz::settings(text);
    }

    pub(crate) fn logged(word: &str) {
        _ = logged::namespace(word);
        if let Some(logged) = logged::Logged::parse(word) {
            _ = logged.id();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_hexadecimal_ids_are_shortened() {
        assert_eq!(short(&"a1".repeat(32)), "a1a1a1a1a1a1");
        assert_eq!(short("default/redis"), "default/redis");
        let of_lxc = Container {
            identified_by: IdentifiedBy::Cgroup,
            ..Container::new(Runtime::Lxc, "a-long-machine")
        };
        assert_eq!(of_lxc.to_string(), "lxc:a-long-machine?");
    }

    #[test]
    fn a_name_cannot_look_like_a_chain() {
        let named = |name: &str| {
            Container { name: Some(name.to_owned()), ..Container::new(Runtime::Crun, "x") }.to_string()
        };
        assert_eq!(named("a:b"), "crun:a:b");
        assert_eq!(named("a/docker:b"), "crun:a/docker\\x3ab");
    }

    #[test]
    fn times_are_cut_to_seconds() {
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
            assert_eq!(super::epoch(time), Some(epoch));
        }
        assert_eq!(super::epoch("2000-02-29T01:30:00.25+01:30"), Some(951_782_400));
        assert_eq!(super::epoch("2000-02-28T22:30:00-01:30"), Some(951_782_400));
        assert_eq!(super::epoch("2000-02-28"), None);
        for time in [
            "2024-13-45T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-+1T00:00:00Z",
            "2024-01-01T00:00:00+2562047788015215:30",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+01:60",
            "2024-01-01T00:00:00+-1:30",
            "2024-01-01T00:00:00 01:30",
            "2024-01-01T00:00:00\u{e4}1:30",
            "2024-01-01T00:00:00+1\u{e4}:3",
        ] {
            assert_eq!((super::epoch(time), seconds(time)), (None, None), "{time}");
        }
        assert!(super::epoch("2024-02-29T23:59:60Z").is_some());
    }
}
