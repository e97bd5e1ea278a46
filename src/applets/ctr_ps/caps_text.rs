//! Capability sets and seccomp modes in words.

use crate::container::Container;
use crate::isolation::capabilities::baseline::{Baseline, difference};
use crate::isolation::capabilities::own::last;
use crate::isolation::capabilities::text::short_name;
use crate::isolation::capabilities::{all, bits};
use crate::proc::Mask;

/// The names of the capabilities in a set.
#[must_use]
pub(super) fn names(set: Mask) -> String {
    match set {
        0 => "none".to_owned(),
        _ if is_all(set) => "all".to_owned(),
        _ => bits(set).map(short_name).collect::<Vec<_>>().join(","),
    }
}

/// Has the set all capabilities of the kernel? No, if the kernel does not report its highest one.
fn is_all(set: Mask) -> bool {
    last().is_ok_and(|last| set == all(last))
}

/// The difference between a container's bounding set and the default of its runtime. None if no default is known. If
/// the runtime has several defaults, because packagers change it, the nearest one is the base.
#[must_use]
pub(super) fn against_default(container: &Container, set: Mask) -> Option<String> {
    if is_all(set) {
        return Some("all".to_owned());
    }
    let last = last().ok()?;
    let defaults = defaults(container).iter().filter_map(|name| Baseline::find(name));
    let base = defaults.map(|baseline| baseline.mask(last)).min_by_key(|mask| (mask ^ set).count_ones())?;
    match difference("", base, set).trim() {
        "" => Some("default".to_owned()),
        signed => Some(signed.replace(' ', ",")),
    }
}

fn defaults(container: &Container) -> &'static [&'static str] {
    match container.engine {
        "cri-o" => &["crio"],
        _ => container.runtime.spec().capabilities,
    }
}

/// The name of a seccomp mode of /proc/PID/status.
#[must_use]
pub(super) fn seccomp(mode: u8) -> Option<&'static str> {
    ["off", "strict", "filter"].get(usize::from(mode)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn names_of_sets() {
        assert_eq!(names(0), "none");
        assert_eq!(names(all(last().expect("the last"))), "all");
        assert_eq!(names(0x21), "CHOWN,KILL");
    }

    #[test]
    fn differences_from_the_default() {
        let diff = |runtime, set| against_default(&Container::new(runtime, "x"), set);
        let docker = 0xa804_25fb;
        assert_eq!(diff(Runtime::Docker, docker).as_deref(), Some("default"));
        assert_eq!(diff(Runtime::Podman, docker).as_deref(), Some("default"), "Debian's");
        assert_eq!(diff(Runtime::Docker, docker | 1 << 21).as_deref(), Some("+SYS_ADMIN"));
        assert_eq!(diff(Runtime::Docker, (docker | 1 << 12) & !1).as_deref(), Some("+NET_ADMIN,-CHOWN"));
        assert_eq!(diff(Runtime::Docker, all(last().expect("the last"))).as_deref(), Some("all"));
        assert_eq!(diff(Runtime::Anon, 1), None);
    }
}
