//! Whose process is this? The container a process runs in, told by the kernel and by files on disk.
//!
//! A control group's name is a candidate only: whoever owns a delegated group can make one of any name. It
//! counts when a runtime's state on disk knows the id **and** the init process that the state names is alive
//! in the very same group. No daemon is asked, so none can hang us.

mod cgroup_path;
mod containerd;
mod docker;
mod files;
mod podman;
mod resolver;
pub mod target;

pub use files::Files;
pub use resolver::Resolver;

use std::fmt;

use nix::unistd::Pid;

/// What made the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    Containerd,
    Docker,
    K8s,
    Podman,
}

impl Runtime {
    pub const ALL: [Runtime; 4] = [Runtime::Containerd, Runtime::Docker, Runtime::K8s, Runtime::Podman];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Runtime::Containerd => "containerd",
            Runtime::Docker => "docker",
            Runtime::K8s => "k8s",
            Runtime::Podman => "podman",
        }
    }
}

/// How we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The runtime's state on disk, and its init process is in this control group.
    State,
    /// A control group of this name, and nothing that vouches for it: shown with a `?`.
    Cgroup,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub runtime: Runtime,
    /// The runtime's own id; containerd's with its namespace, as `default/one`.
    pub id: String,
    /// `web`; `NAMESPACE/ID` of containerd; `NAMESPACE/POD/CONTAINER` of Kubernetes. None when no state tells it.
    pub name: Option<String>,
    pub pod: Option<String>,
    pub pod_namespace: Option<String>,
    pub image: Option<String>,
    /// When it was made, as `2026-11-22T14:38:03Z`.
    pub created: Option<String>,
    /// The first process in it, as the state has it.
    pub init: Option<Pid>,
    pub proof: Proof,
}

/// A time as runtimes write it down (RFC 3339), to the second.
fn seconds(time: &str) -> Option<String> {
    let whole = time.get(..19).filter(|whole| whole.is_ascii())?;
    let zone = time.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    Some(format!("{whole}{zone}"))
}

/// The same of seconds since 1970.
fn rfc3339(epoch: i64) -> String {
    let (days, second) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    // Years that begin in March have the leap day last; 146,097 days make 400 of them.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}Z", year + era * 400)
}

/// `docker:web`: what tells a container from all others. `docker:0123456789ab?` when there is only an id.
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.runtime.name())?;
        match &self.name {
            Some(name) => f.write_str(name)?,
            None => f.write_str(self.id.get(..12).unwrap_or(&self.id))?,
        }
        f.write_str(if self.proof == Proof::Cgroup { "?" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_the_second() {
        assert_eq!(seconds("2026-11-22T14:38:03.878288471Z").as_deref(), Some("2026-11-22T14:38:03Z"));
        assert_eq!(seconds("2026-11-22T14:38:03+02:00").as_deref(), Some("2026-11-22T14:38:03+02:00"));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds("\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}"), None);
        for (epoch, time) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_358_283, "2026-11-22T14:38:03Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(epoch), time);
        }
    }
}
