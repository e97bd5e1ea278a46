//! The report of one target.

use std::io::Write;

use anyhow::Result;
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
use crate::output::{Out, json};
use crate::proc::ProcRoot;
use crate::text::nearest;

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

/// Words for what a section has, for an error.
const WORDS: [(Section, &[&str]); 7] = [
    (Section::Identity, &["id", "ids", "image", "labels", "status"]),
    (Section::Namespaces, &["ns", "maps", "userns"]),
    (
        Section::Limits,
        &["cgroup", "cgroups", "memory", "mem", "cpu", "pids", "io", "oom", "swap", "psi", "pressure"],
    ),
    (
        Section::Privileges,
        &["caps", "capabilities", "rights", "security", "seccomp", "lsm", "apparmor", "selinux"],
    ),
    (Section::Files, &["fs", "disk", "mount", "mounts", "overlay", "layers", "volumes", "devices"]),
    (Section::Network, &["ip", "port", "ports", "dns", "sockets", "interfaces", "routes"]),
    (Section::Processes, &["ps", "proc", "top", "signals", "zombies", "init"]),
];

impl Section {
    /// The section that a word probably means: the beginning of its name, or what it has.
    #[must_use]
    pub(super) fn meant(word: &str) -> Option<Section> {
        let word = word.to_lowercase();
        let is_in = |(_, words): &&(Section, &[&str])| words.contains(&word.as_str());
        let begins = |section: &Section| section.name().starts_with(&word);
        let by_word = || WORDS.iter().find(is_in).map(|(section, _)| *section);
        let named = |name: &str| Section::ALL.into_iter().find(|section| section.name() == name);
        let by_typo = || named(nearest(&word, Section::ALL.map(Section::name))?);
        Section::ALL.into_iter().find(begins).filter(|_| word.len() > 1).or_else(by_word).or_else(by_typo)
    }
}

/// A section that is not asked for is null.
#[derive(Serialize, Debug, Default)]
pub(super) struct Report {
    /// Who it is about, for the text without the section of the identity.
    #[serde(skip)]
    pub label: String,
    /// Is it about a process of the host?
    #[serde(skip)]
    pub is_of_host: bool,
    /// The sections that are asked for and that a container without processes does not have.
    #[serde(skip)]
    pub lacks: Vec<&'static str>,
    pub identity: Option<Identity>,
    pub namespaces: Option<Namespaces>,
    pub limits: Option<Limits>,
    pub privileges: Option<Privileges>,
    pub files: Option<Files>,
    pub network: Option<Network>,
    pub processes: Option<Processes>,
    /// Findings that are of high severity if there are any, for which something is not known.
    #[serde(skip)]
    pub undecided: Vec<&'static str>,
    /// The worst first.
    pub findings: Vec<Finding>,
    pub unknown: Vec<Unknown>,
}

/// Is a path of the report this one, or below it?
pub(super) fn is_part(whole: &str, part: &str) -> bool {
    part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Report {
    /// Keeps who it is about, and the findings.
    pub(super) fn only_findings(self) -> Report {
        let Report { label, identity, undecided, findings, unknown, .. } = self;
        Report { label, identity, undecided, findings, unknown, ..Report::default() }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    host: Option<String>,
    boot_id: Option<String>,
    containers: &'a [Report],
}

/// The reports in JSON.
pub(super) fn document(out: &mut Out, proc: &ProcRoot, reports: &[Report]) -> Result<()> {
    let document = Document { host: proc.host_name(), boot_id: proc.boot_id(), containers: reports };
    json::write(out, &document)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_sections() {
        let meant = |word| Section::meant(word).map(Section::name);
        for (word, name) in [
            ("net", "network"),
            ("NET", "network"),
            ("priv", "privileges"),
            ("ns", "namespaces"),
            ("caps", "privileges"),
            ("mounts", "files"),
            ("memory", "limits"),
            ("processs", "processes"),
            ("id", "identity"),
        ] {
            assert_eq!(meant(word), Some(name), "{word}");
        }
        assert_eq!([meant("n"), meant(""), meant("xyzzy"), meant("all")], [None; 4]);
        for (section, words) in WORDS {
            assert!(words.iter().all(|word| Section::meant(word) == Some(section)), "{words:?}");
        }
    }
}
