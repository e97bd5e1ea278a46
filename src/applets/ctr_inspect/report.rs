//! The report of one target.

use serde::Serialize;

use super::files::Files;
use super::finding::Finding;
use super::identity::Identity;
use super::limits::Limits;
use super::namespaces::Namespaces;
use super::network::Network;
use super::privileges::Privileges;
use super::processes::Processes;
use super::unknown::Unknown;

/// The parts of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Identity,
    Namespaces,
    Limits,
    Privileges,
    Files,
    Network,
    Processes,
}

impl Section {
    pub(super) const ALL: [Section; 7] = [
        Section::Identity,
        Section::Namespaces,
        Section::Limits,
        Section::Privileges,
        Section::Files,
        Section::Network,
        Section::Processes,
    ];

    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Section::Identity => "identity",
            Section::Namespaces => "namespaces",
            Section::Limits => "limits",
            Section::Privileges => "privileges",
            Section::Files => "files",
            Section::Network => "network",
            Section::Processes => "processes",
        }
    }
}

/// A section that is not asked for is null.
#[derive(Serialize, Debug, Default)]
pub(super) struct Report {
    /// Who it is about, for the text without the section of the identity.
    #[serde(skip)]
    pub label: String,
    pub identity: Option<Identity>,
    pub namespaces: Option<Namespaces>,
    pub limits: Option<Limits>,
    pub privileges: Option<Privileges>,
    pub files: Option<Files>,
    pub network: Option<Network>,
    pub processes: Option<Processes>,
    /// The worst first.
    pub findings: Vec<Finding>,
    pub unknown: Vec<Unknown>,
}

impl Report {
    /// Keeps who it is about, and the findings.
    pub(super) fn only_findings(self) -> Report {
        let Report { label, identity, findings, unknown, .. } = self;
        Report { label, identity, findings, unknown, ..Report::default() }
    }
}
