//! What is known of a thing, and its JSON.

use serde::Serialize;

use super::thing::Kind;

/// What a container has to do with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Peer,
    Interface,
    Address,
    Listener,
    Published,
    WritableLayer,
    ImageLayer,
    Merged,
    Mount,
    State,
    Log,
    Member,
    /// The control group is above those of the container.
    Parent,
    Holder,
    Itself,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Peer => "peer",
            Role::Interface => "interface",
            Role::Address => "address",
            Role::Listener => "listener",
            Role::Published => "published",
            Role::WritableLayer => "writable-layer",
            Role::ImageLayer => "image-layer",
            Role::Merged => "merged",
            Role::Mount => "mount",
            Role::State => "state",
            Role::Log => "log",
            Role::Member => "member",
            Role::Parent => "parent",
            Role::Holder => "holder",
            Role::Itself => "itself",
        }
    }
}

/// What an answer rests on, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    Kernel,
    /// A state file of a runtime.
    State,
    /// A process of the host that takes connections.
    Proxy,
    /// A rule that changes addresses.
    Nat,
    /// Nothing confirms it.
    Claim,
}

impl By {
    pub(super) fn name(self) -> &'static str {
        match self {
            By::Kernel => "kernel",
            By::State => "state",
            By::Proxy => "proxy",
            By::Nat => "nat",
            By::Claim => "claim",
        }
    }
}

/// Who it is.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    /// The number of a container that has processes.
    Running(usize),
    /// A container that only state files have, or only a name.
    Recorded(Box<Named>),
}

#[derive(Debug, Clone)]
pub(super) struct Named {
    pub label: String,
    pub runtime: &'static str,
    /// The user whose state files have it.
    pub owner: u32,
    pub name: Option<String>,
    pub id: String,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub status: Option<&'static str>,
    pub key: String,
}

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub owner: Owner,
    pub role: Role,
    pub by: By,
    pub pid: Option<i32>,
    /// What is printed after the name.
    pub detail: String,
}

impl Answer {
    pub(super) fn new(owner: Owner, role: Role, by: By, detail: impl Into<String>) -> Answer {
        Answer { owner, role, by, pid: None, detail: detail.into() }
    }

    /// By a state file. That of a user can say anything of the host's files and addresses.
    pub(super) fn stated(owner: Owner, role: Role, detail: impl Into<String>) -> Answer {
        let is_of_user = matches!(&owner, Owner::Recorded(named) if named.owner != 0);
        Answer::new(owner, role, if is_of_user { By::Claim } else { By::State }, detail)
    }

    pub(super) fn of_process(mut self, pid: Option<i32>) -> Answer {
        self.pid = pid;
        self
    }
}

/// What the host has to do with it.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub pid: Option<i32>,
    pub text: String,
}

impl Host {
    pub(super) fn new(text: impl Into<String>) -> Host {
        Host { pid: None, text: text.into() }
    }
}

/// One reading of a word.
#[derive(Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    pub answers: Vec<Answer>,
    pub host: Option<Host>,
    /// What cannot be said whose it is, and why.
    pub unknown: Option<String>,
}

impl Entry {
    pub(super) fn new(kind: Kind) -> Entry {
        Entry { kind, answers: Vec::new(), host: None, unknown: None }
    }

    /// Is that why something is not known?
    pub(super) fn says(&self, problem: &str) -> bool {
        self.unknown.as_ref().is_some_and(|unknown| unknown.contains(problem))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.host.is_none() && self.unknown.is_none()
    }
}

#[derive(Serialize)]
pub(super) struct JsonDocument {
    pub host: Option<String>,
    pub boot_id: Option<String>,
    pub things: Vec<JsonThing>,
}

#[derive(Serialize, Clone, PartialEq, Eq)]
pub(super) struct JsonThing {
    pub thing: String,
    pub kind: &'static str,
    pub answers: Vec<JsonAnswer>,
    pub host: Option<JsonHost>,
    pub unknown: Option<String>,
}

#[derive(Serialize, Clone, PartialEq, Eq)]
pub(super) struct JsonAnswer {
    pub container: String,
    pub runtime: &'static str,
    pub name: Option<String>,
    pub id: String,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub status: Option<&'static str>,
    pub pid: Option<i32>,
    pub cpid: Option<i32>,
    pub command: Option<String>,
    pub role: &'static str,
    pub by: &'static str,
    pub detail: String,
}

#[derive(Serialize, Clone, PartialEq, Eq)]
pub(super) struct JsonHost {
    pub pid: Option<i32>,
    pub command: Option<String>,
    pub text: String,
}
