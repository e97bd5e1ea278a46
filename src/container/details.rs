//! What state files say of a container beyond its names: how it ended, its layers, its ports.

use std::net::IpAddr;

use super::Container;

/// Runtimes mount these files of the host into most containers.
pub(crate) const USUAL_MOUNTS: [&str; 5] =
    ["/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/sbin/docker-init", "/run/.containerenv"];

/// A port of a container that the host publishes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub protocol: String,
    /// None for all addresses.
    pub host_address: Option<String>,
    /// None if the runtime chooses one at the start.
    pub host_port: Option<u16>,
    pub port: Option<u16>,
}

impl Port {
    /// `127.0.0.1:8081->80/tcp`
    #[must_use]
    pub(crate) fn shown(&self) -> String {
        let number = |port: Option<u16>| port.map_or_else(|| "?".to_owned(), |port| port.to_string());
        let address = match self.host_address.as_deref() {
            None | Some("0.0.0.0") => "*".to_owned(),
            Some(address) if address.contains(':') => format!("[{address}]"),
            Some(address) => address.to_owned(),
        };
        format!("{address}:{}->{}/{}", number(self.host_port), number(self.port), self.protocol)
    }
}

/// The exit status after SIGKILL: what the kernel sends, but also `docker stop` after its timeout.
pub(crate) const KILLED: i64 = 137;

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Was it ever started? CRI-O and containerd's CRI count a start that failed, Docker and Podman do not.
    pub was_started: bool,
    /// Does its runtime wait before it starts it again?
    pub restarts: bool,
    pub exit_code: Option<i64>,
    /// Was a process of it killed for lack of memory?
    pub oom_killed: Option<bool>,
    /// Did somebody ask its runtime to stop or to kill it?
    pub stopped_by_user: Option<bool>,
    pub started: Option<String>,
    pub finished: Option<String>,
    /// Why it could not be started.
    pub error: Option<String>,
}

impl Ending {
    #[must_use]
    pub(crate) fn status(&self) -> &'static str {
        match (self.restarts, self.was_started) {
            (true, _) => "restarting",
            (false, true) => "exited",
            (false, false) => "created",
        }
    }
}

/// `exited (3)`, or `OOM (137)`: its first process was killed, and its runtime notes that a process of it was killed for lack
/// of memory. That need not be why it ended.
#[must_use]
pub(crate) fn ended(status: &str, exit_code: Option<i64>, oom_killed: Option<bool>) -> String {
    let is_oom = status == "exited" && oom_killed == Some(true) && exit_code == Some(KILLED);
    let word = if is_oom { "OOM" } else { status };
    exit_code.map_or_else(|| word.to_owned(), |code| format!("{word} ({code})"))
}

/// The directories of the root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    pub driver: Option<String>,
    pub upper: Option<String>,
    pub work: Option<String>,
    /// The uppermost first.
    pub lower: Vec<String>,
}

/// What a container has of the network and of the host's files, or had when it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    pub addresses: Vec<IpAddr>,
    /// As `02:42:ac:11:00:02`.
    pub macs: Vec<String>,
    /// Path on the host, and in the container.
    pub mounts: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Details {
    pub container: Container,
    /// None if its state files do not say how it ended.
    pub ending: Option<Ending>,
    pub layers: Layers,
    /// Of a running container what is published, of another one what would be.
    pub ports: Vec<Port>,
    pub uses: Uses,
}
