//! Makes the reports of all targets.

use std::cell::OnceCell;

use nix::unistd::Pid;

use super::files::{self, HostMounts};
use super::findings;
use super::identity;
use super::limits;
use super::namespaces::{self, HostNamespaces, entered};
use super::network::{self, HostNetwork, Sources};
use super::privileges;
use super::processes;
use super::report::{Report, Section};
use super::sockets::RuntimeSockets;
use super::unknown::Unknowns;
use crate::container::commands::Commands;
use crate::container::world::{Subject, World};
use crate::proc::ns::Kind;

/// The documents of all targets.
pub(super) struct Builder<'a> {
    world: &'a World<'a>,
    sections: &'a [Section],
    host: HostNamespaces,
    host_mounts: OnceCell<HostMounts>,
    sockets: OnceCell<RuntimeSockets<'a>>,
    network: HostNetwork,
    commands: Commands,
}

impl<'a> Builder<'a> {
    pub(super) fn new(world: &'a World<'a>, sections: &'a [Section], subjects: &[Subject]) -> Builder<'a> {
        let mut pids: Vec<i32> = Vec::new();
        for subject in subjects {
            pids.extend([subject.pid, world.chief(*subject)]);
            let Some(number) = subject.container else { continue };
            match sections.contains(&Section::Processes) || sections.contains(&Section::Network) {
                true => pids.extend(world.members(number).map(|process| process.pid)),
                false => pids.extend(entered(world, number)),
            }
        }
        let (host, host_mounts) = (HostNamespaces::read(world.proc), OnceCell::new());
        Builder {
            world,
            sections,
            host,
            host_mounts,
            sockets: OnceCell::new(),
            network: HostNetwork::default(),
            commands: Commands::read(world, pids),
        }
    }

    /// The processes whose arguments could not be read.
    pub(super) fn locked(&self) -> Vec<i32> {
        self.commands.locked()
    }

    /// None if the process ended meanwhile.
    pub(super) fn report(&self, subject: Subject) -> Option<Report> {
        let (world, unknown) = (self.world, Unknowns::new(self.world.proc, subject.pid));
        let wants = |section| self.sections.contains(&section);
        let groups = limits::Reader::new(world, subject, &unknown);
        let paused = wants(Section::Identity) && groups.frozen() == Some(true);
        let found = wants(Section::Namespaces)
            .then(|| namespaces::read(world, subject, &self.host, &self.commands, &unknown));
        let report = Report {
            label: String::new(),
            lacks: Vec::new(),
            is_of_host: subject.container.is_none(),
            identity: wants(Section::Identity)
                .then(|| identity::read(world, subject, &self.commands, paused))
                .inspect(|identity| {
                    if identity.is_in_unknown() {
                        unknown.add(
                            "identity.container",
                            "its namespaces, by which it is known, cannot be read",
                        );
                    }
                }),
            limits: wants(Section::Limits).then(|| groups.read()),
            privileges: wants(Section::Privileges).then(|| {
                let on_host = self.host.has(world.proc, Pid::from_raw(subject.pid), Kind::User);
                privileges::read(world, subject, on_host, &unknown)
            }),
            files: wants(Section::Files).then(|| {
                let host = self.host_mounts.get_or_init(|| HostMounts::read(world));
                files::read(world, subject, host, &unknown)
            }),
            network: wants(Section::Network).then(|| self.network(subject, &unknown)),
            processes: wants(Section::Processes)
                .then(|| processes::read(world, subject, &self.commands, &unknown)),
            namespaces: found,
            findings: Vec::new(),
            unknown: Vec::new(),
            undecided: Vec::new(),
        };
        drop(groups);
        if world.has_ended(subject.pid) {
            return None;
        }
        let mut report = Report { unknown: unknown.into_list(), ..report };
        let sockets =
            report.files.is_some().then(|| self.sockets.get_or_init(|| RuntimeSockets::read(world)));
        report.undecided = findings::undecided(&report);
        report.findings = findings::judge(world, subject, &report, sockets);
        Some(report)
    }

    fn network(&self, subject: Subject, unknown: &Unknowns) -> network::Network {
        let sources = Sources { world: self.world, host: &self.network, commands: &self.commands, unknown };
        let namespace = namespaces::namespace(self.world, subject, &self.host, Kind::Net, unknown);
        network::read(&sources, subject, namespace.as_ref())
    }
}
