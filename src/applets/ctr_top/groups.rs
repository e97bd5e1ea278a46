//! The control groups of containers, open from one sample to the next. What lies above several containers is read once for
//! each sample.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::{Rc, Weak};

use super::controller::{CONTROLLERS, Controller};
use super::line::{Line, bytes};
use crate::container::Own;
use crate::isolation::cgroup::Hierarchies;
use crate::isolation::cgroup::chain::{Lines, Place};
use crate::isolation::cgroup::pressure::waited;
use crate::sys::keyed::HashMap;
use crate::text;

/// A group, and those above it.
pub(super) struct Group {
    pub place: Place,
    pub shown: String,
    above: Option<Rc<Group>>,
    limits: RefCell<Limits>,
    waits: Cell<[Wait; 3]>,
}

/// What processes wait for.
pub(super) const PRESSURES: [&str; 3] = ["cpu.pressure", "memory.pressure", "io.pressure"];

/// How long processes of a group waited for one of these, in the last sample that has it.
#[derive(Clone, Copy, Default)]
struct Wait {
    sample: u64,
    /// The average of 10 seconds in percent, and the total in microseconds.
    value: Option<(f64, u64)>,
    /// The total of the group above.
    above: Option<u64>,
}

/// The periods of a quota, and those in which it was used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Periods {
    pub periods: u64,
    pub throttled: u64,
    pub seconds: Option<f64>,
}

/// What was read for a sample.
#[derive(Default)]
struct Limits {
    sample: u64,
    memory: Option<Option<u64>>,
    hidden: Option<Option<u64>>,
    quota: Option<Option<f64>>,
    pids: Option<Option<u64>>,
    periods: Option<Option<Periods>>,
}

/// What the groups of all containers share.
pub(super) struct Sources {
    open: HashMap<PathBuf, Weak<Group>>,
    /// Descriptors from this number on are not kept.
    most: usize,
    sample: u64,
    /// What the host has: a limit that is not below it is none.
    pub memory: u64,
}

/// The groups of one container by controller.
pub(super) struct Groups {
    /// With their controllers. Does each count for the container alone?
    lines: Vec<(Line, Rc<Group>, Option<bool>)>,
    /// The number of the line of each controller.
    of: [Option<usize>; CONTROLLERS.len()],
    /// Groups below that of v1's memory controller: it counts kills in the victim's group alone. None: too many.
    below: Option<Vec<Place>>,
}

impl Sources {
    pub(super) fn new(most: usize) -> Sources {
        Sources { open: HashMap::default(), most, sample: 0, memory: 0 }
    }

    /// Begins a sample.
    pub(super) fn next(&mut self, memory: u64) {
        self.sample += 1;
        self.memory = memory;
    }

    /// Forgets the groups that no container has any more.
    pub(super) fn forget(&mut self) {
        self.open.retain(|_, group| group.strong_count() > 0);
    }

    fn group(&mut self, place: &Place) -> Rc<Group> {
        let mut group: Option<Rc<Group>> = None;
        let chain: Vec<Place> = place.chain().collect();
        for place in chain.into_iter().rev() {
            let directory = place.directory();
            let known = self.open.get(&directory).and_then(Weak::upgrade);
            let new = known.unwrap_or_else(|| {
                let shown = text::utf8(place.path().as_os_str().as_encoded_bytes()).into_owned();
                let (above, place) = (group.clone(), place.keep(self.most));
                let new = Rc::new(Group::new(place, shown, above));
                self.open.insert(directory, Rc::downgrade(&new));
                new
            });
            group = Some(new);
        }
        // A chain begins with the place itself.
        group.unwrap_or_else(|| Rc::new(Group::new(place.clone(), String::new(), None)))
    }
}

impl Group {
    fn new(place: Place, shown: String, above: Option<Rc<Group>>) -> Group {
        Group { place, shown, above, limits: RefCell::default(), waits: Cell::default() }
    }

    /// How long some process waited, by the number of the pressure. The kernel counts it for all groups above too: if the
    /// total of one is as before, no process below it waited. That spares most of the reads. The kernel makes the averages
    /// every two seconds, for each group at another time. So a group above can show a wait two seconds later.
    pub(super) fn waited(&self, sources: &Sources, number: usize) -> Option<(f64, u64)> {
        let last = self.waits.get()[number];
        if last.sample == sources.sample {
            return last.value;
        }
        let above = self.above.as_ref().and_then(|above| above.waited(sources, number));
        let above = above.map(|(_, total)| total);
        // An average above 0 falls without a wait: it must be read.
        let rests = last.value.is_some_and(|(average, _)| average <= 0.0);
        let value = match rests && above.is_some() && above == last.above {
            true => last.value,
            false => self.place.with(PRESSURES[number], |text| waited(text, "some")).flatten(),
        };
        let mut waits = self.waits.get();
        waits[number] = Wait { sample: sources.sample, value, above };
        self.waits.set(waits);
        value
    }

    /// This group and those above it.
    pub(super) fn chain(&self) -> impl Iterator<Item = &Group> {
        std::iter::successors(Some(self), |group| group.above.as_deref())
    }

    /// Reads a value once for each sample.
    fn once<T: Copy>(
        &self,
        sources: &Sources,
        value: fn(&mut Limits) -> &mut Option<T>,
        read: impl FnOnce() -> T,
    ) -> T {
        let mut limits = self.limits.borrow_mut();
        if limits.sample != sources.sample {
            *limits = Limits { sample: sources.sample, ..Limits::default() };
        }
        *value(&mut limits).get_or_insert_with(read)
    }

    pub(super) fn memory_limit(&self, sources: &Sources) -> Option<u64> {
        self.once(sources, |limits| &mut limits.memory, || self.place.memory_limit(sources.memory))
    }

    /// What memory.stat said when it was read for something else.
    pub(super) fn has_hidden_limit(&self, sources: &Sources, limit: Option<u64>) {
        self.once(sources, |limits| &mut limits.hidden, || limit);
    }

    /// A mount of a part of the hierarchy of v1 hides the groups above it, whose limits hold too.
    pub(super) fn hidden_limit(&self, sources: &Sources) -> Option<u64> {
        let read = || {
            let place = Some(&self.place).filter(|place| !place.v2)?;
            place.with("memory.stat", |stat| Place::hidden_memory_limit(stat, sources.memory))?
        };
        self.once(sources, |limits| &mut limits.hidden, read)
    }

    pub(super) fn quota(&self, sources: &Sources) -> Option<f64> {
        self.once(sources, |limits| &mut limits.quota, || self.place.quota())
    }

    pub(super) fn pids_limit(&self, sources: &Sources) -> Option<u64> {
        self.once(sources, |limits| &mut limits.pids, || self.place.number("pids.max"))
    }

    pub(super) fn periods(&self, sources: &Sources) -> Option<Periods> {
        let read = || {
            let found = self.place.periods()?;
            Some(Periods { periods: found.periods, throttled: found.throttled, seconds: found.seconds })
        };
        self.once(sources, |limits| &mut limits.periods, read)
    }
}

impl Groups {
    /// `is_own`: are all processes of a group processes of the container?
    pub(super) fn new(
        sources: &mut Sources,
        mounted: &Hierarchies,
        lines: &[Line],
        is_own: impl Fn(&Place) -> Option<bool>,
    ) -> Groups {
        let is_used = |line: &&Line| CONTROLLERS.iter().any(|(_, name, _)| line.is_of(name));
        let mut one = |line: &Line| {
            let raw = (bytes(&line.controllers), bytes(&line.path));
            let first = line.controllers.split(',').next().unwrap_or_default();
            let place = Lines(vec![raw]).place(mounted, first)?;
            let Own { place, own } = match line.own {
                true => Own::named(place),
                false => Own::unnamed(place, &is_own),
            };
            Some((line.clone(), sources.group(&place), own))
        };
        let lines: Vec<_> = lines.iter().filter(is_used).filter_map(&mut one).collect();
        let line = |name: &str| lines.iter().position(|(line, ..)| line.is_of(name));
        let of = CONTROLLERS.map(|(_, name, _)| line(name).or_else(|| line("")));
        let mut groups = Groups { lines, of, below: None };
        groups.look_below(sources);
        groups
    }

    /// Groups come and go below that of a container.
    pub(super) fn look_below(&mut self, sources: &Sources) {
        let mut old = self.below.take().unwrap_or_default();
        let Some(place) = self.alone(Controller::Memory).filter(|place| !place.v2) else { return };
        let kept = |place: Place| {
            let at = old.iter().position(|known| known.directory() == place.directory());
            at.map_or_else(|| place.keep(sources.most), |at| old.swap_remove(at))
        };
        self.below = place.tree().map(|tree| tree.into_iter().skip(1).map(kept).collect());
    }

    fn line(&self, controller: Controller) -> Option<&(Line, Rc<Group>, Option<bool>)> {
        self.of[controller as usize].map(|at| &self.lines[at])
    }

    pub(super) fn get(&self, controller: Controller) -> Option<&Group> {
        self.line(controller).map(|(_, group, _)| &**group)
    }

    /// Its group, if that counts for the container alone.
    pub(super) fn own_group(&self, controller: Controller) -> Option<&Group> {
        self.line(controller).filter(|(.., own)| *own != Some(false)).map(|(_, group, _)| &**group)
    }

    pub(super) fn alone(&self, controller: Controller) -> Option<&Place> {
        self.own_group(controller).map(|group| &group.place)
    }

    /// Does the path of each say whose it is?
    pub(super) fn are_named(&self) -> bool {
        self.lines.iter().all(|(line, ..)| line.own)
    }

    /// Does every group count for the container alone?
    pub(super) fn own(&self) -> Option<bool> {
        let owns = [Controller::Memory, Controller::Cpuacct, Controller::Pids];
        let owns = owns.into_iter().filter_map(|controller| self.line(controller));
        let owns: Vec<Option<bool>> = owns.map(|(.., own)| *own).collect();
        match () {
            () if owns.contains(&Some(false)) => Some(false),
            () if owns.is_empty() || owns.contains(&None) => None,
            () => Some(true),
        }
    }

    pub(super) fn are_gone(&self) -> bool {
        self.lines.iter().all(|(_, group, _)| group.place.is_gone())
    }

    pub(super) fn oom_kills(&self) -> Option<u64> {
        let place = self.alone(Controller::Memory)?;
        if place.v2 {
            return place.field("memory.events", "oom_kill");
        }
        let all = std::iter::once(place).chain(self.below.as_ref()?);
        let kills = all.filter_map(|place| place.field("memory.oom_control", "oom_kill"));
        kills.reduce(|sum, kills| sum + kills)
    }
}
