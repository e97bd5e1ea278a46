//! The values of the cells in the table of processes.

use std::borrow::Cow;

use super::caps_text;
use super::columns::Id;
use super::containers::Seen;
use super::gather::Found;
use super::list::{List, ListColumn};
use super::of_container::container_value;
use super::process::{Details, Process, Rare};
use crate::container::{Container, IdentifiedBy, pod_uid, short};
use crate::isolation::cgroup;
use crate::output::lazy_table::{Source, Value};
use crate::output::tree::Forest;
use crate::proc::clock::{self, Clock};
use crate::proc::ns::Kind;
use crate::proc::{Stat, Users, group_name};
use crate::text;

pub(super) struct Cells<'a> {
    pub found: &'a Found,
    pub forest: &'a Forest,
    pub columns: &'a [Id],
    pub users: &'a Users,
    pub facts: &'a Facts,
    /// The columns whose values are those of the container.
    pub of_containers: Option<&'a List<'a>>,
    /// Print a heading before the first process of each container.
    pub by_container: bool,
}

/// What the values of several rows need.
#[derive(Default, Clone)]
pub(super) struct Facts {
    pub clock: Clock,
    /// The memory of the host, in bytes.
    pub memory: Option<u64>,
    /// The text of the host's group file.
    pub groups: Vec<u8>,
    /// JSON: no `?`, no units, and the container's name without the runtime.
    pub json: bool,
    /// For filters and the order: as in JSON, but a container has its whole label.
    pub labels: bool,
}

impl<'a> Cells<'a> {
    pub(super) fn new(
        (found, forest): (&'a Found, &'a Forest),
        columns: &'a [Id],
        users: &'a Users,
        facts: &'a Facts,
    ) -> Cells<'a> {
        Cells { found, forest, columns, users, facts, of_containers: None, by_container: false }
    }
}

impl Source for Cells<'_> {
    fn rows(&self) -> usize {
        self.forest.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Value<'_> {
        self.value(self.columns[column], self.process(row))
    }

    fn lines(&self, row: usize) -> (&str, usize) {
        self.forest.lines(&self.forest.rows[row])
    }

    fn section(&self, row: usize) -> Option<Cow<'_, str>> {
        let container = |row: usize| self.process(row).container();
        let first = row.checked_sub(1).is_none_or(|above| container(above) != container(row));
        (self.by_container && first).then(|| match self.seen(container(row)) {
            Some(seen) => text::escape(title(seen).as_bytes()).into_owned().into(),
            None => "host".into(),
        })
    }

    fn colour(&self, row: usize, column: usize) -> Option<&str> {
        let names_container = matches!(self.columns[column], Id::Container | Id::Name);
        let process = self.process(row);
        self.seen(process.container()).filter(|_| names_container).map(|seen| seen.container.id.as_str())
    }
}

/// The heading above a container's processes.
fn title(seen: &Seen) -> String {
    let container = &seen.container;
    let named = container.name.as_deref().is_some_and(|name| name != container.id);
    let parts = [
        Some(seen.label.clone()),
        named.then(|| short(&container.id).to_owned()),
        container.image.clone(),
        container.hostname.as_ref().map(|name| format!("({name})")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

impl Cells<'_> {
    fn process(&self, row: usize) -> &Process {
        &self.found.list[self.forest.rows[row].node()]
    }

    fn seen(&self, container: Option<usize>) -> Option<&Seen> {
        self.found.containers.all.get(container?)
    }

    pub(super) fn value<'a>(&'a self, id: Id, process: &'a Process) -> Value<'a> {
        let container = || self.seen(process.container()).map(|seen| &*seen.container);
        let details = process.details.as_deref();
        match id {
            Id::User => match process.uid {
                Some(uid) => self.user(uid),
                None => self.unknown(),
            },
            Id::Uid => Value::number(process.uid),
            Id::Pid => Value::Number(process.pid.into()),
            Id::Tid => Value::Number(process.thread.unwrap_or(process.pid).into()),
            Id::Cpid => match process.cpid {
                Some(cpid) => Value::Number(cpid.into()),
                None => self.unknown(),
            },
            Id::Ppid => Value::number(process.ppid),
            Id::Container if self.facts.json && !self.facts.labels => {
                Value::maybe(container().and_then(|c| c.name.as_deref()))
            }
            Id::Container => Value::maybe(self.seen(process.container()).map(|seen| seen.label.as_str())),
            Id::Owner => match container().and_then(Container::known_owner) {
                Some(owner) => self.user(owner),
                None => Value::None,
            },
            Id::IdentifiedBy => Value::maybe(process.how.map(IdentifiedBy::name)),
            Id::Origin => Value::maybe(process.via.map(super::process::Origin::name)),
            Id::Command => Value::Bytes(Cow::Borrowed(self.found.commands.line(process))),
            Id::Runtime
            | Id::Engine
            | Id::Name
            | Id::Id
            | Id::Image
            | Id::Pod
            | Id::PodNamespace
            | Id::Hostname
            | Id::Labels
            | Id::Created
            | Id::Chain => container().map_or(Value::None, |container| container_value(id, container)),
            Id::Ports | Id::OomKills | Id::Psi(_) => {
                let column = ListColumn::of(id).zip(self.of_containers).zip(process.container());
                column.map_or(Value::None, |((column, list), container)| list.value(container, column))
            }
            _ => details.map_or(Value::None, |details| self.fact(id, process, details)),
        }
    }

    fn fact<'a>(&'a self, id: Id, process: &'a Process, details: &'a Details) -> Value<'a> {
        let state = details.state.as_ref();
        let bytes = |bytes: &'a Option<Vec<u8>>| {
            bytes.as_ref().map_or(Value::None, |bytes| Value::Bytes(Cow::Borrowed(bytes)))
        };
        // A copy of /proc may lack statm.
        let pages = || details.rare.as_ref()?.resident.or(Some(details.stat.as_ref()?.rss));
        let resident = || Some(pages()?.saturating_mul(procfs::page_size()));
        match id {
            Id::Ruid => Value::number(state.and_then(|state| state.uids.first()).copied()),
            Id::Ruser => {
                let uid = state.and_then(|state| state.uids.first());
                uid.map_or(Value::None, |uid| self.user(*uid))
            }
            Id::Group => match state.and_then(|state| state.gids.get(1)) {
                Some(&gid) => match group_name(&self.facts.groups, gid) {
                    Some(name) => Value::Bytes(Cow::Borrowed(name)),
                    None => Value::owned(gid.to_string()),
                },
                None => Value::None,
            },
            Id::Gid => Value::number(state.and_then(|state| state.gids.get(1)).copied()),
            Id::Cuid => Value::number(details.cuid),
            Id::Cuser => match (&details.cuser, process.container()) {
                (Some(name), _) => Value::Bytes(Cow::Borrowed(name)),
                (None, None) => process.uid.map_or(Value::None, |uid| self.user(uid)),
                (None, Some(_)) => details.cuid.map_or(Value::None, |uid| Value::owned(uid.to_string())),
            },
            Id::Cgroup => bytes(&details.cgroup),
            Id::Rss => Value::number(resident().map(|bytes| bytes / 1024)),
            Id::Mem => {
                let memory = self.facts.memory.filter(|memory| *memory > 0);
                let share = resident().zip(memory).map(|(bytes, all)| bytes.saturating_mul(1000) / all);
                share.map_or(Value::None, Value::Tenths)
            }
            Id::Cgroups | Id::PodUid | Id::Wchan | Id::Exe | Id::Pgid | Id::Sid | Id::Pri | Id::Psr => {
                details.rare.as_deref().map_or(Value::None, |rare| rare_value(id, process, rare))
            }
            Id::Ns(kind) => {
                let at = Kind::ALL.iter().position(|other| *other == kind);
                Value::number(at.and_then(|at| details.namespaces[at]))
            }
            Id::Caps => {
                state.map_or(Value::None, |state| Value::owned(caps_text::names(state.sets.effective)))
            }
            Id::Capdiff => {
                let container = self.seen(process.container()).map(|seen| &*seen.container);
                let diff = container.zip(state);
                let diff = diff.and_then(|(container, state)| {
                    caps_text::against_default(container, state.sets.bounding)
                });
                diff.map_or(Value::None, Value::owned)
            }
            Id::Seccomp => Value::maybe(state.and_then(|state| caps_text::seccomp(state.seccomp?))),
            Id::Nnp => state.and_then(|state| state.no_new_privs).map_or(Value::None, Value::Flag),
            Id::Lsm => bytes(&details.lsm),
            Id::OomScore => Value::number(details.oom_score),
            Id::Cmd => Value::Bytes(Cow::Borrowed(&details.name)),
            _ => details.stat.as_ref().map_or(Value::None, |stat| self.stat(id, stat)),
        }
    }

    fn stat<'a>(&'a self, id: Id, stat: &'a Stat) -> Value<'a> {
        let owned = |text: Option<String>| text.map_or(Value::None, Value::owned);
        let age = self.facts.clock.age(stat.start);
        let share = age.map(|age| clock::share(stat.ticks, age));
        match id {
            Id::State => Value::owned(char::from(stat.state).to_string()),
            Id::C => Value::number(share.map(|tenths| (tenths / 10).min(99))),
            Id::Cpu => share.map_or(Value::None, Value::Tenths),
            Id::Stime => owned(self.facts.clock.stime(stat.start)),
            Id::Start => owned(self.facts.clock.start(stat.start)),
            Id::Elapsed if self.facts.json => Value::number(age),
            Id::Elapsed => owned(age.map(clock::elapsed)),
            Id::Etimes => Value::number(age),
            Id::Tty => match clock::tty(stat.tty) {
                Some(name) => Value::owned(name),
                None if self.facts.json => Value::None,
                None => Value::text("?"),
            },
            Id::Time if self.facts.json => Value::Tenths(stat.ticks / 10),
            Id::Time => Value::owned(clock::cpu_time(stat.ticks)),
            Id::Vsz => Value::number(Some(stat.vsize / 1024)),
            Id::Nice => Value::Number(stat.nice),
            Id::Threads => Value::number(Some(stat.threads)),
            _ => Value::None,
        }
    }

    fn user(&self, uid: u32) -> Value<'_> {
        match self.users.get(uid) {
            Some(user) => Value::Bytes(Cow::Borrowed(&user.name)),
            None => Value::owned(uid.to_string()),
        }
    }

    fn unknown(&self) -> Value<'_> {
        if self.facts.json { Value::None } else { Value::text("?") }
    }
}

fn rare_value<'r>(id: Id, process: &Process, rare: &'r Rare) -> Value<'r> {
    let bytes = |bytes: &'r Option<Vec<u8>>| bytes.as_deref().map_or(Value::None, |b| Value::Bytes(b.into()));
    let cgroup = rare.cgroups.as_deref();
    match id {
        Id::Cgroups => cgroup.map_or(Value::None, cgroups),
        Id::PodUid => {
            let text = cgroup.filter(|_| process.container().is_some());
            let paths = text.into_iter().flat_map(|text| cgroup::parse(text).map(|line| line.path));
            let uid = paths.filter_map(|path| std::str::from_utf8(path).ok()).find_map(pod_uid);
            uid.map_or(Value::None, Value::owned)
        }
        Id::Wchan => bytes(&rare.wchan),
        Id::Exe => bytes(&rare.exe),
        Id::Pri => Value::number(rare.scheduling.map(|(priority, _)| priority)),
        Id::Psr => Value::number(rare.scheduling.map(|(_, cpu)| cpu)),
        Id::Pgid => Value::number(rare.session.map(|(group, _)| group)),
        _ => Value::number(rare.session.map(|(_, session)| session)),
    }
}

/// All lines of a cgroup file, as `CONTROLLERS:PATH`.
fn cgroups(text: &[u8]) -> Value<'static> {
    let lines = cgroup::parse(text).map(|line| [line.controllers, b":", line.path].concat());
    match lines.collect::<Vec<_>>() {
        lines if lines.is_empty() => Value::None,
        lines => Value::Bytes(lines.join(&b' ').into()),
    }
}
