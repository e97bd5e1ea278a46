//! `--list`: the table of containers.

mod columns;
mod facts;
mod text;

use std::cell::OnceCell;
use std::os::unix::ffi::OsStringExt;

use super::columns::Id;
use super::containers::Seen;
use super::gather::Found;
use super::of_container::container_value;
use super::select::Selection;
use super::status::Status;
use super::usage::Groups;
use crate::container::details::{Ending, Port};
use crate::container::{IdentifiedBy, pod_uid, rfc3339, short};
use crate::isolation::cgroup;
use crate::order;
use crate::output::lazy_table::{Source, Value};
use crate::output::size::size;
use crate::proc::mountinfo::{mounts_of, unescape};
use crate::proc::ns::Kind;
use crate::proc::{Stat, Users, clock};
pub(super) use columns::{COLUMNS, DEFAULT, ListColumn, NAMES, json, named, narrow};
pub(super) use facts::Facts;
use facts::first;

/// The format of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    People,
    /// Exact numbers and full names.
    Raw,
    Json,
}

pub(super) struct List<'a> {
    facts: &'a Facts<'a>,
    /// The numbers of the listed containers.
    pub rows: Vec<usize>,
    columns: &'a [ListColumn],
    users: &'a Users,
    form: Form,
    /// Print ids whole.
    pub whole_ids: bool,
    /// The values that were read for cells: the table requests each cell twice.
    cached: Vec<OnceCell<Value<'static>>>,
}

impl<'a> List<'a> {
    pub(super) fn new(
        (facts, users): (&'a Facts<'a>, &'a Users),
        found: &Found,
        selection: &Selection,
        (columns, form): (&'a [ListColumn], Form),
    ) -> Self {
        let containers = facts.containers;
        let has_process = |number| found.list.iter().any(|process| process.container() == Some(number));
        let shown = |&number: &usize| {
            found.chosen.has(containers, number) && (!selection.by_process() || has_process(number))
        };
        let mut rows: Vec<usize> = (0..containers.all.len()).filter(shown).collect();
        order::sort_by_key(&mut rows, |&number| {
            let seen = &containers.all[number];
            (&seen.label, seen.init, &seen.container.id)
        });
        let cached = (0..rows.len() * columns.len()).map(|_| OnceCell::new()).collect();
        List { facts, rows, columns, users, form, whole_ids: false, cached }
    }

    /// All containers: the row of each is its number.
    pub(super) fn whole(
        (facts, users): (&'a Facts<'a>, &'a Users),
        (columns, form): (&'a [ListColumn], Form),
    ) -> Self {
        let rows: Vec<usize> = (0..facts.containers.all.len()).collect();
        let cached = (0..rows.len() * columns.len()).map(|_| OnceCell::new()).collect();
        List { facts, rows, columns, users, form, whole_ids: false, cached }
    }

    /// The value of a column of this list, by the number of its row.
    pub(super) fn value(&self, row: usize, column: ListColumn) -> Value<'_> {
        let at = self.columns.iter().position(|other| *other == column);
        at.map_or(Value::None, |at| self.cell(row, at))
    }

    /// Keeps some rows, in this order. Before the first cell is read.
    pub(super) fn keep(&mut self, rows: &[usize]) {
        self.rows = rows.iter().map(|&row| self.rows[row]).collect();
    }

    fn seen(&self, row: usize) -> &Seen {
        &self.facts.containers.all[self.rows[row]]
    }

    fn groups(&self, row: usize) -> Option<&Groups> {
        self.facts.groups(self.rows[row])
    }

    fn has(&self, id: Id) -> bool {
        self.columns.iter().any(|column| matches!(column, ListColumn::Same(shown) if *shown == id))
    }

    fn same<'v>(&'v self, id: Id, seen: &'v Seen) -> Value<'v> {
        let container = &seen.container;
        match (id, self.form) {
            (Id::Container, Form::Json) => Value::maybe(container.name.as_deref()),
            (Id::Container, Form::People) if container.name.is_none() && container.hostname.is_some() => {
                let hostname = container.hostname.as_deref().unwrap_or_default();
                let hostname = if self.whole_ids { hostname.into() } else { text::host_name(hostname) };
                Value::owned(format!("{} ({hostname})", seen.label))
            }
            (Id::Container, _) => Value::text(&seen.label),
            (Id::Id, _) if self.whole_ids => container_value(id, container),
            (Id::Id, Form::People) if self.has(Id::Container) => Value::maybe(text::id(container)),
            (Id::Id, Form::People) => Value::text(short(&container.id)),
            (Id::Image, Form::People) if !self.whole_ids => {
                container.image.as_deref().map_or(Value::None, |image| Value::owned(text::image(image)))
            }
            (Id::Owner, _) => {
                let owner = container.known_owner();
                owner.map_or(Value::None, |owner| match self.users.get(owner) {
                    Some(user) => Value::Bytes(user.name.as_slice().into()),
                    None => Value::owned(owner.to_string()),
                })
            }
            (Id::IdentifiedBy, _) => Value::text(IdentifiedBy::name(container.identified_by)),
            (Id::Labels, Form::People) if container.labels.is_empty() => Value::None,
            _ => container_value(id, container),
        }
    }

    /// The value of a cell for which files must be read.
    fn read_value(&self, row: usize, column: ListColumn) -> Value<'static> {
        let (seen, groups, mounted) = (self.seen(row), || self.groups(row), || self.facts.mounted());
        let owned = |text: Option<String>| text.map_or(Value::None, Value::owned);
        match column {
            ListColumn::Memory => self.size(groups().and_then(|groups| groups.memory(mounted()))),
            ListColumn::Limit => self.size(groups().and_then(|groups| groups.limit(mounted()))),
            ListColumn::Time => match groups().and_then(|groups| groups.cpu_time(mounted())) {
                Some(time) if self.form == Form::People => Value::owned(clock::cpu_time(time / 10_000)),
                Some(time) => Value::Tenths(time / 100_000),
                None => Value::None,
            },
            ListColumn::Cpu => self.facts.cpu(self.rows[row]).map_or(Value::None, Value::Tenths),
            ListColumn::OomKills => Value::number(groups().and_then(|groups| groups.oom_kills(mounted()))),
            ListColumn::Psi(resource) => {
                let pressure = groups().and_then(|groups| groups.pressure(mounted(), resource));
                pressure.map_or(Value::None, Value::Tenths)
            }
            ListColumn::Started => match self.ending(seen) {
                Some(ending) => self.time(ending.started.as_deref()),
                None => owned(self.started(seen)),
            },
            ListColumn::Status => owned(self.status(row)),
            ListColumn::Exit => Value::number(self.ending(seen).and_then(|ending| ending.exit_code)),
            ListColumn::Ended => self.time(self.ending(seen).and_then(|ending| ending.finished.as_deref())),
            ListColumn::Command => self.command(seen),
            ListColumn::Ports => self.ports(seen),
            ListColumn::Ip => self.addresses(row),
            ListColumn::Veth => self.veths(row),
            ListColumn::PodUid => owned(self.pod_uid(seen)),
            ListColumn::Shares => self.shares(row),
            ListColumn::Rootfs => self.rootfs(row),
            ListColumn::Group => match groups().and_then(Groups::path) {
                Some(path) => Value::Bytes(path.to_vec().into()),
                None => Value::None,
            },
            ListColumn::Same(_) | ListColumn::Init | ListColumn::Procs => Value::None,
        }
    }

    fn size(&self, bytes: Option<u64>) -> Value<'static> {
        match bytes {
            Some(bytes) if self.form == Form::People => Value::owned(size(bytes)),
            bytes => Value::number(bytes),
        }
    }

    /// How a container ended that does not run.
    fn ending(&self, seen: &Seen) -> Option<&Ending> {
        self.facts.record_of_stopped(seen)?.ending.as_ref()
    }

    /// A time in a state file: for people how long ago it was.
    fn time(&self, time: Option<&str>) -> Value<'static> {
        match (time, self.form) {
            (Some(time), Form::People) => text::ago(time).map_or(Value::None, Value::owned),
            (Some(time), _) => Value::owned(time.to_owned()),
            (None, _) => Value::None,
        }
    }

    fn started(&self, seen: &Seen) -> Option<String> {
        let text = self.facts.proc.process(first(seen)?).stat_text().ok()?;
        let start = Stat::parse(&text)?.start;
        match self.form {
            Form::People => self.facts.clock.age(start).map(|age| format!("{} ago", clock::ago(age))),
            Form::Raw | Form::Json => self.facts.clock.epoch(start).map(rfc3339),
        }
    }

    /// For people with the exit status and since when: `exited (137) 5m ago`.
    fn status(&self, row: usize) -> Option<String> {
        let seen = self.seen(row);
        let record = self.facts.record_of_stopped(seen);
        let status = Status::of(seen, self.groups(row), self.facts.mounted(), record)?;
        if self.form != Form::People {
            return Some(status.name().to_owned());
        }
        if status.runs() {
            let since = self.started(seen);
            let since = since.as_deref().and_then(|ago| ago.strip_suffix(" ago"));
            return Some([Some(status.name()), since].into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
        Some(text::ended(status, record.and_then(|record| record.ending.as_ref())))
    }

    fn command(&self, seen: &Seen) -> Value<'static> {
        if let Some(record) = self.facts.record_of_stopped(seen) {
            let command = record.command.join(" ");
            return if command.is_empty() { Value::None } else { Value::owned(command) };
        }
        let Some(command) = self.facts.command(seen) else { return Value::None };
        let end = command.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        let command = command[..end].iter().map(|&b| if b == 0 { b' ' } else { b });
        Value::Bytes(command.collect::<Vec<u8>>().into())
    }

    fn ports(&self, seen: &Seen) -> Value<'static> {
        let Some(record) = self.facts.record(seen) else { return Value::None };
        let published: &[Port] = &record.ports;
        Value::Words(text::ports(published, &record.exposed))
    }

    fn addresses(&self, row: usize) -> Value<'static> {
        let (host, all) = self.facts.namespaces();
        let net = |of: &[Option<u64>]| {
            Kind::ALL.iter().zip(of).find(|(kind, _)| **kind == Kind::Net)?.1.as_ref().copied()
        };
        let own = net(&all[self.rows[row]]);
        if own.is_none() || own == net(host) {
            return Value::None;
        }
        let addresses = first(self.seen(row)).and_then(|pid| self.facts.proc.process(pid).addresses());
        match addresses {
            Some(all) if !all.is_empty() => Value::Words(all.iter().map(ToString::to_string).collect()),
            _ => Value::None,
        }
    }

    fn veths(&self, row: usize) -> Value<'static> {
        let names = first(self.seen(row)).map(|pid| self.facts.veths(pid)).unwrap_or_default();
        if names.is_empty() { Value::None } else { Value::Words(names) }
    }

    fn pod_uid(&self, seen: &Seen) -> Option<String> {
        if seen.container.pod_uid.is_some() || seen.stopped {
            return seen.container.pod_uid.clone();
        }
        let text = self.facts.proc.process(first(seen)?).cgroup().ok()?;
        let paths = cgroup::parse(&text).filter_map(|line| std::str::from_utf8(line.path).ok());
        paths.into_iter().find_map(pod_uid)
    }

    /// Each namespace that it has in common with the host or with another container. That it has the user, cgroup or time
    /// namespace of the host is usual.
    fn shares(&self, row: usize) -> Value<'static> {
        let (host, all) = self.facts.namespaces();
        let (own, seen) = (&all[self.rows[row]], self.seen(row));
        let mut found = Vec::new();
        for (at, kind) in Kind::ALL.iter().enumerate() {
            let Some(id) = own[at] else { continue };
            let with = if host[at] == Some(id) {
                if matches!(kind, Kind::User | Kind::Cgroup | Kind::Time) {
                    continue;
                }
                "host".to_owned()
            } else {
                let containers = &self.facts.containers.all;
                let is_other = |number: &usize| *number != self.rows[row] && all[*number][at] == Some(id);
                // The one around it, or the one that only keeps the namespaces of the pod, says most.
                let rank = |number: &usize| {
                    (Some(*number) != seen.outer, !containers[*number].container.is_pause(), *number)
                };
                let Some(other) = (0..all.len()).filter(is_other).min_by_key(rank) else { continue };
                containers[other].label.clone()
            };
            found.push((kind.proc_name().to_owned(), with));
        }
        order::sort(&mut found);
        Value::Pairs(found.into())
    }

    /// The upper directory of the overlay that is its root. A user who mounts an overlay gives it any options, so of a user's
    /// container only the state files count.
    fn rootfs(&self, row: usize) -> Value<'static> {
        let seen = self.seen(row);
        let by_record = seen.stopped || seen.container.owner != 0;
        if by_record {
            let record = self.facts.record(seen);
            return record.and_then(|record| record.layers.upper.clone()).map_or(Value::None, Value::owned);
        }
        let (host, all) = self.facts.namespaces();
        let is_host = Kind::ALL.iter().enumerate().any(|(at, kind)| {
            *kind == Kind::Mnt && (host[at].is_none() || host[at] == all[self.rows[row]][at])
        });
        let Some(pid) = first(seen).filter(|_| !is_host && seen.container.outer.is_none()) else {
            return Value::None;
        };
        let text = self.facts.proc.process(pid).mountinfo().unwrap_or_default();
        // A later mount covers an earlier one.
        let root = mounts_of(&text, "overlay").filter(|mount| mount.point == b"/").last();
        let upper = root.and_then(|root| {
            root.options.split(|&b| b == b',').find_map(|option| option.strip_prefix(b"upperdir="))
        });
        let upper = upper.map(unescape).filter(|upper| upper.is_absolute());
        upper.map_or(Value::None, |upper| Value::Bytes(upper.into_os_string().into_vec().into()))
    }
}

impl Source for List<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Value<'_> {
        let seen = self.seen(row);
        match self.columns[column] {
            ListColumn::Same(id) => self.same(id, seen),
            ListColumn::Init => Value::number(seen.first()),
            ListColumn::Procs => Value::number(Some(seen.processes)),
            other => self.cached[row * self.columns.len() + column]
                .get_or_init(|| self.read_value(row, other))
                .clone(),
        }
    }

    fn colour(&self, row: usize, column: usize) -> Option<&str> {
        let names_container = matches!(self.columns[column], ListColumn::Same(Id::Container | Id::Name));
        names_container.then(|| self.seen(row).container.id.as_str())
    }
}
