//! What the control groups of a process say about its container, before anything is looked up.

use super::cgroup_path::{candidates, is_id};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// No container.
    #[default]
    Nothing,
    /// A container that a state file names.
    Known,
    /// A container that no state file names.
    Unknown,
    /// A group below that of a container: perhaps that of a container in it.
    Below,
}

impl Claim {
    /// From the path of one group.
    #[must_use]
    pub(crate) fn of_path(path: &[u8], is_known: impl Fn(&str) -> bool) -> Claim {
        let Ok(path) = std::str::from_utf8(path) else { return Claim::Nothing };
        let mut found = Claim::Nothing;
        for one in candidates(path) {
            // A plain word can be the name of any group: that a state file has it too says nothing of this one.
            let claim = match (is_known(&one.id), one.distinctive || is_id(&one.id)) {
                (true, true) => Claim::Known,
                (false, false) => continue,
                _ => Claim::Unknown,
            };
            let is_last = one.group.len() == path.trim_end_matches('/').len();
            found = found.max(if is_last { claim } else { Claim::Below });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolation::cgroup;

    #[test]
    fn groups_of_containers() {
        let (known, other) = ("aeb29a15".repeat(8), "55ff83ed".repeat(8));
        let of = |text: &str| {
            let paths = cgroup::parse(text.as_bytes()).map(|line| line.path);
            paths.map(|path| Claim::of_path(path, |id| id == known || id == "box")).max().unwrap_or_default()
        };
        assert_eq!(of("0::/user.slice/user-1.slice\n"), Claim::Nothing);
        assert_eq!(of(&format!("4:pids:/\n0::/docker/{known}\n")), Claim::Known);
        assert_eq!(of(&format!("0::/system.slice/docker-{known}.scope\n")), Claim::Known);
        assert_eq!(of("0::/box\n"), Claim::Unknown);
        assert_eq!(of(&format!("4:pids:/docker/{known}\n0::/docker/{other}\n")), Claim::Unknown);
        assert_eq!(of("0::/lxc.payload.web\n"), Claim::Unknown);
        assert_eq!(of(&format!("0::/docker/{known}/docker/{other}\n")), Claim::Below);
        assert_eq!(of(&format!("0::/docker/{known}/init.scope\n")), Claim::Below);
    }
}
