//! Containers without processes, from the state files of their runtimes.

use std::ffi::OsStr;
use std::rc::Rc;

use super::ending::{self, Lack};
use super::files::{Files, Overlay, Root};
use super::network::{Network, Published};
use super::report::{Report, Section};
use super::unknown::Unknowns;
use super::{findings, identity};
use crate::container::details::Details;
use crate::container::matching;
use crate::container::records::Records;
use crate::container::stopped::Stores;
use crate::container::world::World;
use crate::text;

fn is_meant(details: &Details, word: &str) -> bool {
    !matching::matching(&[Rc::new(details.container.clone())], word).is_empty()
}

/// The container that a word means, if no process of it runs.
pub(super) fn find(world: &World<'_>, word: &str) -> Option<anyhow::Result<Details>> {
    let is_running = |details: &Details| {
        let key = details.container.key();
        world.containers.iter().any(|known| known.container.key() == key)
    };
    let mut all = Stores::new(world.files).of_engines();
    if !all.iter().any(|details| is_meant(details, word)) {
        // Lists of pods' containers and machines of LXC cost more.
        all = Records::new(world.files).into_all().map(Details::from).collect();
    }
    all.retain(|details| !is_running(details));
    let containers: Vec<_> = all.iter().map(|details| Rc::new(details.container.clone())).collect();
    let found = matching::matching(&containers, word);
    if found.is_empty() {
        return None;
    }
    let one = matching::one(&found, word).map(|one| one.key());
    Some(one.and_then(|key| {
        let at = all.iter().position(|details| details.container.key() == key);
        at.map(|at| all.swap_remove(at)).ok_or_else(|| anyhow::anyhow!("the container is gone"))
    }))
}

/// The error for a word of `--diff`, if it means a container without processes: most that is compared, only those have.
pub(super) fn not_compared(world: &World<'_>, word: &OsStr) -> Option<anyhow::Error> {
    let details = match find(world, word.to_str()?)? {
        Ok(details) => details,
        Err(error) => return Some(error),
    };
    let label = details.container.label();
    let shown = text::escape(label.as_bytes());
    let hint = "--diff compares running ones ('ctr-ps -l -a' lists all)";
    Some(anyhow::anyhow!("container '{shown}' does not run: {hint}"))
}

pub(super) fn report(world: &World<'_>, sections: &[Section], details: &Details) -> Report {
    let wants = |section| sections.contains(&section);
    let unknown = Unknowns::of_stopped(world.proc);
    let identity = identity::of_stopped(world, details, &unknown);
    let lack = Lack::read(details, &identity, &unknown);
    let is_undecided = ending::is_undecided(lack.as_ref(), &identity, &unknown);
    let undecided = if is_undecided { vec!["oom-kill"] } else { Vec::new() };
    let unknown = unknown.into_list();
    let findings = lack.iter().map(|lack| lack.finding(&identity));
    let findings = findings.chain(findings::of_unknown(&unknown, &undecided)).collect();
    Report {
        lacks: LACKING.into_iter().filter(|section| wants(*section)).map(Section::name).collect(),
        identity: wants(Section::Identity).then_some(identity),
        files: wants(Section::Files).then(|| files(details)),
        network: wants(Section::Network).then(|| Network {
            published: Some(details.ports.iter().cloned().map(Published::of_port).collect()),
            ..Network::default()
        }),
        undecided,
        findings,
        unknown,
        ..Report::default()
    }
}

/// What only processes have.
const LACKING: [Section; 4] = [Section::Namespaces, Section::Limits, Section::Privileges, Section::Processes];

fn files(details: &Details) -> Files {
    let layers = &details.layers;
    let overlay = layers.upper.is_some().then(|| Overlay {
        upper: layers.upper.clone(),
        work: layers.work.clone(),
        lower: layers.lower.clone(),
        claimed: details.container.owner != 0,
    });
    Files { root: Root { fstype: layers.driver.clone(), overlay, ..Root::default() }, ..Files::default() }
}
