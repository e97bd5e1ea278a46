//! What the cells of the list need of the host and of all containers: each is read when the first cell needs it.

use std::cell::OnceCell;
use std::time::Duration;

use nix::unistd::Pid;

use crate::access::{Lines, Reading};
use crate::applets::ctr_ps::containers::{Containers, Seen};
use crate::applets::ctr_ps::usage::Groups;
use crate::container::records::{Record, Records};
use crate::isolation::cgroup::Hierarchies;
use crate::isolation::ns;
use crate::net::Veths;
use crate::proc::ProcRoot;
use crate::proc::clock::Clock;
use crate::proc::ns::Kind;
use crate::{sys, text};

/// How long CPU use is measured.
const SAMPLE: Duration = Duration::from_millis(200);

type Namespaces = [Option<u64>; Kind::ALL.len()];

pub(in crate::applets::ctr_ps) struct Facts<'a> {
    pub proc: &'a ProcRoot,
    pub containers: &'a Containers,
    pub clock: Clock,
    records: &'a Records<'a>,
    mounted: OnceCell<Hierarchies>,
    /// By the number of the container, as the following.
    groups: Vec<OnceCell<Option<Groups>>>,
    namespaces: OnceCell<(Namespaces, Vec<Namespaces>)>,
    commands: OnceCell<Lines>,
    cpu: OnceCell<Vec<Option<u64>>>,
    veths: OnceCell<Option<Veths>>,
}

impl<'a> Facts<'a> {
    pub(in crate::applets::ctr_ps) fn new(
        proc: &'a ProcRoot,
        containers: &'a Containers,
        records: &'a Records<'a>,
    ) -> Facts<'a> {
        Facts {
            proc,
            containers,
            clock: Clock::read(proc),
            records,
            mounted: OnceCell::new(),
            groups: containers.all.iter().map(|_| OnceCell::new()).collect(),
            namespaces: OnceCell::new(),
            commands: OnceCell::new(),
            cpu: OnceCell::new(),
            veths: OnceCell::new(),
        }
    }

    pub(super) fn groups(&self, number: usize) -> Option<&Groups> {
        let read = || {
            let seen = &self.containers.all[number];
            Groups::find(self.proc, first(seen)?, &seen.container)
        };
        self.groups[number].get_or_init(read).as_ref()
    }

    pub(super) fn mounted(&self) -> &Hierarchies {
        self.mounted.get_or_init(|| Hierarchies::read(self.proc).unwrap_or_default())
    }

    /// What else state files say of it.
    pub(super) fn record(&self, seen: &Seen) -> Option<&Record> {
        self.records.get(&seen.container)
    }

    /// The same; of one that runs the files are not read for this.
    pub(super) fn record_of_stopped(&self, seen: &Seen) -> Option<&Record> {
        self.records.get_if(seen.stopped, &seen.container)
    }

    /// CPU use in tenths of a percent of one CPU.
    pub(super) fn cpu(&self, number: usize) -> Option<u64> {
        let read = || -> Vec<Option<u64>> {
            let time = |number| self.groups(number).and_then(|groups| groups.cpu_time(self.mounted()));
            (0..self.containers.all.len()).map(time).collect()
        };
        let measure = || {
            let before = (std::time::Instant::now(), read());
            _ = sys::sleep(SAMPLE);
            let (after, passed) = (read(), before.0.elapsed().as_micros().max(1));
            let share = |(after, before): (Option<u64>, Option<u64>)| {
                u64::try_from(u128::from(after?.saturating_sub(before?)) * 1_000 / passed).ok()
            };
            after.into_iter().zip(before.1).map(share).collect()
        };
        *self.cpu.get_or_init(measure).get(number)?
    }

    /// The command line of its first process, with NULs between the arguments.
    pub(super) fn command(&self, seen: &Seen) -> Option<&[u8]> {
        let commands = self.commands.get_or_init(|| {
            let mut all: Vec<Pid> = self.containers.all.iter().filter_map(first).collect();
            all.sort_unstable();
            all.dedup();
            Reading::start(self.proc, all).finish()
        });
        commands.get(first(seen)?).ok()
    }

    /// The processes whose arguments cannot be read because their memory is locked.
    pub(in crate::applets::ctr_ps) fn locked(&self) -> Vec<i32> {
        self.commands.get().into_iter().flat_map(Lines::locked).collect()
    }

    /// The interfaces of the host that lead into the network namespace of a process.
    pub(super) fn veths(&self, pid: Pid) -> Vec<String> {
        let Ok(namespace) = ns::open_file(&self.proc.path_of(pid, &Kind::Net.link())) else {
            return Vec::new();
        };
        let veths = self.veths.get_or_init(Veths::read);
        let names = veths.iter().flat_map(|veths| veths.leading_to(&namespace));
        names.map(|name| text::utf8(name).into_owned()).collect()
    }

    /// The namespaces of the host, and those of each container, in the order of [`Kind::ALL`].
    pub(super) fn namespaces(&self) -> &(Namespaces, Vec<Namespaces>) {
        self.namespaces.get_or_init(|| {
            let of = |pid: Pid| Kind::ALL.map(|kind| self.proc.process(pid).ns(kind));
            let each = |seen: &Seen| first(seen).map_or([None; Kind::ALL.len()], of);
            (self.proc.host_namespaces(), self.containers.all.iter().map(each).collect())
        })
    }
}

pub(super) fn first(seen: &Seen) -> Option<Pid> {
    seen.first().map(Pid::from_raw)
}
