//! What a process may do, in words.

use crate::container::{Container, Runtime};

/// What containers get unless asked for otherwise: Docker, containerd and what stands on it; Podman; CRI-O.
const DOCKER: u64 = 0xa804_25fb;
const PODMAN: u64 = 0x8004_05fb;
const CRI_O: u64 = 0x0000_05eb;

/// The capabilities of a set, without their `cap_`.
#[must_use]
pub fn names(set: u64) -> String {
    let full = all();
    match set & full {
        0 => "none".to_owned(),
        set if set == full => "all".to_owned(),
        set => listed(set, ""),
    }
}

/// What a container's bounding set has besides the runtime's default, and what it lacks of that; none where
/// no default is known.
#[must_use]
pub fn difference(container: &Container, set: u64) -> Option<String> {
    let default = default_of(container)?;
    if set & all() == all() {
        return Some("all".to_owned());
    }
    let parts = [listed(set & !default, "+"), listed(default & !set, "-")];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Some(if parts.is_empty() { "default".to_owned() } else { parts.join(",") })
}

fn default_of(container: &Container) -> Option<u64> {
    match (container.runtime, container.engine) {
        (_, "cri-o") => Some(CRI_O),
        (Runtime::Podman | Runtime::Buildah, _) => Some(PODMAN),
        (
            Runtime::Docker
            | Runtime::Containerd
            | Runtime::K8s
            | Runtime::Nerdctl
            | Runtime::Ecs
            | Runtime::Actions
            | Runtime::Buildkit,
            _,
        ) => Some(DOCKER),
        _ => None,
    }
}

/// Those that are known: of later ones only the number is.
fn all() -> u64 {
    caps::all().iter().fold(0, |set, capability| set | capability.bitmask())
}

fn listed(set: u64, sign: &str) -> String {
    let name = |bit: u8| {
        let known = caps::all().into_iter().find(|capability| capability.index() == bit);
        known.map_or(bit.to_string(), |capability| {
            capability.to_string().trim_start_matches("CAP_").to_ascii_lowercase()
        })
    };
    let bits = (0..64_u8).filter(|bit| set & (1 << bit) != 0);
    bits.map(|bit| format!("{sign}{}", name(bit))).collect::<Vec<_>>().join(",")
}

/// The mode as status has it.
#[must_use]
pub fn seccomp(mode: u8) -> Option<&'static str> {
    ["off", "strict", "filter"].get(usize::from(mode)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_in_words() {
        assert_eq!(names(0), "none");
        assert_eq!(names(u64::MAX), "all");
        assert_eq!(names(0x21), "chown,kill");
    }

    #[test]
    fn what_a_container_has_besides_the_default() {
        let docker = Container::new(Runtime::Docker, "x");
        let difference = |set| difference(&docker, set).expect("a default");
        assert_eq!(difference(DOCKER), "default");
        assert_eq!(difference(DOCKER | 1 << 21), "+sys_admin");
        assert_eq!(difference((DOCKER | 1 << 12) & !1), "+net_admin,-chown");
        assert_eq!(difference(all()), "all");
        assert_eq!(super::difference(&Container::new(Runtime::Lxc, "x"), 0), None);
    }
}
