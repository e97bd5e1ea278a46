//! Host names, ids and names of containers.

use std::collections::BTreeMap;
use std::rc::Rc;

use nix::unistd::Pid;

use super::answer::{Answer, By, Entry, Host, Owner, Role};
use super::files::with_layer_called;
use super::finder::{Finder, recorded, shortened, status};
use super::thing::{Kind, Reading, decimal, is_id};
use crate::container::{Container, IdentifiedBy, matching};
use crate::isolation::visit::{Place, visit};
use crate::proc::ns::{Kind as Namespace, parse_link};

/// State files first. What a container calls itself is a claim.
pub(super) fn hostname(finder: &Finder<'_>, name: &str) -> Entry {
    let mut entry = Entry::new(Kind::Hostname);
    // A container without a state file has the name that it gave itself.
    let is_stated = |container: &Container| container.identified_by == IdentifiedBy::State;
    let has = |container: &Container| container.hostname.as_deref() == Some(name) && is_stated(container);
    // The containers of a pod have the name of the one that keeps its namespaces.
    let all = || finder.world.containers.iter().map(|known| &known.container);
    let pods: Vec<_> = all().filter(|one| one.is_pause() && has(one)).collect();
    let is_of_pod = |one: &Container| {
        pods.iter().any(|pause| {
            let same = |pod: &Container| (pod.owner, pod.runtime, pod.pod.clone(), pod.pod_namespace.clone());
            same(pause) == same(one) && one.outer.is_none() && is_stated(one)
        })
    };
    for (number, known) in finder.world.containers.iter().enumerate() {
        let is_its = has(&known.container) || is_of_pod(&known.container);
        if is_its && !known.container.is_pause() {
            let answer = Answer::new(Owner::Running(number), Role::Itself, By::State, "host name");
            entry.answers.push(answer.of_process(Some(known.chief())));
        }
    }
    let stopped = finder.stopped().iter().filter(|one| has(&one.container));
    entry.answers.extend(
        stopped.map(|one| Answer::stated(recorded(&one.container, status(one)), Role::Itself, "host name")),
    );
    let known: Vec<usize> = entry
        .answers
        .iter()
        .filter_map(|one| match one.owner {
            Owner::Running(number) => Some(number),
            Owner::Recorded(_) => None,
        })
        .collect();
    let is_absent = finder.is_absent(&Reading::Hostname(name.to_owned()));
    let calling = if is_absent { Vec::new() } else { calling_themselves(finder, name) };
    for number in calling.into_iter().filter(|number| !known.contains(number)) {
        let detail = "calls itself so: a container can choose any host name";
        let answer = Answer::new(Owner::Running(number), Role::Itself, By::Claim, detail);
        entry.answers.push(answer.of_process(Some(finder.world.containers[number].chief())));
    }
    if finder.world.proc.host_name().as_deref() == Some(name) {
        entry.host = Some(Host::new("host name"));
    }
    entry
}

/// Does any state file have this host name?
pub(super) fn is_stated(finder: &Finder<'_>, name: &str) -> bool {
    finder.records().mentioning(name).iter().any(|one| one.hostname.as_deref() == Some(name))
}

/// The containers in whose UTS namespace the host name is this one.
fn calling_themselves(finder: &Finder<'_>, name: &str) -> Vec<usize> {
    let world = finder.world;
    let (mut buffer, link) = ([0; 64], Namespace::Uts.link());
    let mut inode =
        |pid: i32| world.links.link(Pid::from_raw(pid), &link, &mut buffer).ok().and_then(parse_link);
    let host = inode(2).or_else(|| inode(1));
    let mut owners: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (number, known) in
        world.containers.iter().enumerate().filter(|(_, known)| !known.container.is_pause())
    {
        let own = inode(known.chief()).filter(|own| Some(*own) != host);
        own.into_iter().for_each(|own| owners.entry(own).or_default().push(number));
    }
    let places: Vec<Place> = owners
        .iter()
        .map(|(inode, numbers)| {
            let chief = Pid::from_raw(world.containers[numbers[0]].chief());
            Place::of_process(world.proc, chief, Namespace::Uts, *inode)
        })
        .collect();
    let found = finder.known("UTS namespaces", places_called(&places, name)).unwrap_or_default();
    let all = found.into_iter().filter_map(|at| owners.get(&places[at].inode));
    all.flatten().copied().collect()
}

/// The UTS namespaces with that host name.
pub(super) fn places_called(places: &[Place], name: &str) -> nix::Result<Vec<usize>> {
    let is_it = |_| {
        let own = nix::unistd::gethostname().unwrap_or_default();
        if own == name { b"y".to_vec() } else { Vec::new() }
    };
    Ok(visit(places, Namespace::Uts, is_it)?.into_iter().map(|(at, _)| at).collect())
}

/// Can it be the beginning of an id?
pub(super) fn is_fragment(text: &str) -> bool {
    const SHORTEST: usize = 4;
    text.len() >= SHORTEST && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The beginning of an id, or a name, of a container that runs or not.
pub(super) fn id(finder: &Finder<'_>, word: &str) -> Entry {
    let mut entry = Entry::new(Kind::Id);
    let text = word.strip_suffix('?').unwrap_or(word);
    let is_hex = is_fragment(text);
    let begins = |container: &Container| {
        let group = container.group.as_deref().unwrap_or_default();
        is_hex && (container.bare_id().starts_with(text) || group.starts_with(text))
    };
    for (number, known) in finder.world.containers.iter().enumerate() {
        if begins(&known.container) {
            push(finder, &mut entry, Owner::Running(number), &known.container);
        }
    }
    if is_hex {
        let records =
            finder.records().all_with(&|id| id.starts_with(text) && !finder.numbers().contains_key(id));
        for one in records.iter().filter(|one| finder.may_be_stopped(one)) {
            push(finder, &mut entry, recorded(&one.container, status(one)), &one.container);
        }
    }
    if entry.answers.is_empty() && decimal(word).is_some() {
        by_name(finder, text, &mut entry);
    } else if entry.answers.is_empty() {
        let all: Vec<Rc<Container>> =
            finder.world.containers.iter().map(|known| known.container.clone()).collect();
        for container in matching::matching(&all, word) {
            let at =
                finder.world.containers.iter().position(|known| Rc::ptr_eq(&known.container, &container));
            at.into_iter().for_each(|number| push(finder, &mut entry, Owner::Running(number), &container));
        }
        let stopped: Vec<Rc<Container>> =
            finder.stopped().iter().map(|one| Rc::new(one.container.clone())).collect();
        for container in matching::matching(&stopped, word) {
            let at = stopped.iter().position(|one| Rc::ptr_eq(one, &container));
            let one = at.map(|at| &finder.stopped()[at]);
            let owner = recorded(&container, one.and_then(status));
            push(finder, &mut entry, owner, &container);
        }
    }
    if entry.answers.is_empty() && is_id(text) {
        entry.answers = with_layer_called(finder, text);
    }
    if entry.answers.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        for owner in finder.in_pod(text) {
            let by = match owner {
                Owner::Running(number) if finder.is_unverified(number) => By::Claim,
                _ => By::State,
            };
            entry.answers.push(Answer::new(owner, Role::Member, by, "in this pod"));
        }
    }
    entry
}

/// Of a number: the forms of other words make it a PID.
fn by_name(finder: &Finder<'_>, name: &str, entry: &mut Entry) {
    let is_named = |container: &Container| container.name.as_deref() == Some(name);
    for (number, known) in finder.world.containers.iter().enumerate() {
        if is_named(&known.container) {
            push(finder, entry, Owner::Running(number), &known.container);
        }
    }
    for one in finder.stopped().iter().filter(|one| is_named(&one.container)) {
        push(finder, entry, recorded(&one.container, status(one)), &one.container);
    }
}

fn push(finder: &Finder<'_>, entry: &mut Entry, owner: Owner, container: &Container) {
    let image = container.image.as_ref().map(|image| format!(" {image}")).unwrap_or_default();
    let detail = format!("{}{image}", shortened(&container.id));
    let (by, pid) = match &owner {
        Owner::Running(number) => (
            match container.identified_by {
                // No state file has it.
                IdentifiedBy::Anonymous => By::Kernel,
                _ if matching::is_unverified(container) => By::Claim,
                _ => By::State,
            },
            Some(finder.world.containers[*number].chief()),
        ),
        Owner::Recorded(_) => (By::State, None),
    };
    entry.answers.push(Answer::new(owner, Role::Itself, by, detail).of_process(pid));
}
