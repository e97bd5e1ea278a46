//! The default sets of runtimes, and how far a set differs from one.

use super::text::short_name;
use super::{all, bits};
use crate::proc::Mask;

pub(crate) struct Baseline {
    /// The name for `--diff=`.
    pub name: &'static str,
    /// The name in output.
    pub label: &'static str,
    kind: Kind,
    /// The source of the set.
    pub source: &'static str,
}

enum Kind {
    These(Mask),
    AllBut(Mask),
}

/// The more common ones first: of two equally near ones, the first is used.
pub(crate) static BASELINES: [Baseline; 9] = [
    Baseline { name: "all", label: "all", kind: Kind::AllBut(0), source: "the kernel; --privileged" },
    Baseline {
        name: "docker",
        label: "docker default",
        kind: Kind::These(0xa804_25fb),
        source: "moby daemon/pkg/oci/caps; the same in containerd, so in Kubernetes on it",
    },
    Baseline {
        name: "podman",
        label: "podman default",
        kind: Kind::These(0x8004_05fb),
        source: "containers-common, containers.conf",
    },
    Baseline {
        name: "podman-4.4",
        label: "podman 4.4 default",
        kind: Kind::These(0x8000_05fb),
        source: "containers-common before it put SYS_CHROOT back",
    },
    Baseline { name: "crio", label: "cri-o default", kind: Kind::These(0x5fb), source: "CRI-O since 1.18" },
    Baseline {
        name: "runc",
        label: "runc spec's",
        kind: Kind::These(0x2000_0420),
        source: "the config.json that `runc spec` writes",
    },
    Baseline {
        name: "nspawn",
        label: "systemd-nspawn default",
        kind: Kind::These(0xfdec_afff),
        source: "systemd-nspawn(1), --capability",
    },
    Baseline {
        name: "lxc",
        label: "lxc default",
        // mac_admin mac_override sys_time sys_module sys_rawio
        kind: Kind::AllBut(1 << 33 | 1 << 32 | 1 << 25 | 1 << 16 | 1 << 17),
        source: "LXC, common.conf",
    },
    Baseline {
        name: "lxc-busybox",
        label: "lxc busybox default",
        kind: Kind::AllBut(1 << 33 | 1 << 32 | 1 << 25 | 1 << 16),
        source: "LXC, templates/lxc-busybox",
    },
];

impl Baseline {
    #[must_use]
    pub(crate) fn find(name: &str) -> Option<&'static Baseline> {
        BASELINES.iter().find(|baseline| baseline.name == name)
    }

    #[must_use]
    pub(crate) fn mask(&self, last: u8) -> Mask {
        match self.kind {
            Kind::These(mask) => mask & all(last),
            Kind::AllBut(mask) => all(last) & !mask,
        }
    }
}

/// The most capabilities that may differ from a baseline for a set to be described by it.
const NEAR: u32 = 6;

/// The nearest baseline, if that describes the set more briefly than the names.
#[must_use]
pub(crate) fn nearest(mask: Mask, last: u8) -> Option<&'static Baseline> {
    let distance = |baseline: &Baseline| (baseline.mask(last) ^ mask).count_ones();
    let nearest = BASELINES.iter().min_by_key(|baseline| distance(baseline))?;
    let far = distance(nearest);
    (far <= NEAR && far < mask.count_ones()).then_some(nearest)
}

/// `docker default +NET_ADMIN -MKNOD`.
#[must_use]
pub(crate) fn difference(label: &str, base: Mask, mask: Mask) -> String {
    let mut text = label.to_owned();
    for (sign, numbers) in [('+', mask & !base), ('-', base & !mask)] {
        for number in bits(numbers) {
            text.push(' ');
            text.push(sign);
            text.push_str(&short_name(number));
        }
    }
    text
}

/// A short description of a set: `none`, a baseline and the differences from it, or the names.
#[must_use]
pub(crate) fn describe(mask: Mask, last: u8) -> String {
    match nearest(mask, last) {
        _ if mask == 0 => "none".to_owned(),
        Some(all_) if all_.mask(last) == mask && all_.name == "all" => format!("all {}", mask.count_ones()),
        Some(baseline) => difference(baseline.label, baseline.mask(last), mask),
        None => bits(mask).map(short_name).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse_list;
    use super::*;

    fn set(names: &str) -> Mask {
        parse_list(&names.replace(' ', ",")).expect("names")
    }

    fn mask(name: &str) -> Mask {
        Baseline::find(name).expect("a baseline").mask(40)
    }

    #[test]
    fn the_defaults_by_name() {
        let docker = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE \
            SYS_CHROOT KILL AUDIT_WRITE";
        assert_eq!(mask("docker"), set(docker));
        let podman = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID";
        assert_eq!(mask("podman"), set(&format!("{podman} SYS_CHROOT")));
        assert_eq!(mask("podman-4.4"), set(podman));
        let crio = "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETPCAP NET_BIND_SERVICE KILL";
        assert_eq!(mask("crio"), set(crio));
        assert_eq!(mask("runc"), set("KILL NET_BIND_SERVICE AUDIT_WRITE"));
        let nspawn = "AUDIT_CONTROL AUDIT_WRITE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_OWNER KILL LEASE \
            LINUX_IMMUTABLE MKNOD NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN \
            SYS_BOOT SYS_CHROOT SYS_NICE SYS_PTRACE SYS_RESOURCE SYS_TTY_CONFIG";
        assert_eq!(mask("nspawn"), set(nspawn));
        assert_eq!(mask("lxc").count_ones(), 41 - 5);
        assert_eq!(mask("all"), all(40));
    }

    #[test]
    fn short_descriptions_of_sets() {
        let docker = mask("docker");
        for (mask, words) in [
            (0, "none"),
            (all(40), "all 41"),
            (all(40) & !(1 << 24), "all -SYS_RESOURCE"),
            (docker, "docker default"),
            (docker & !(1 << 27) | 1 << 12, "docker default +NET_ADMIN -MKNOD"),
            (docker & !(1 << 27 | 1 << 13 | 1 << 29), "podman default"),
            (1, "CHOWN"),
            (1 << 41, "41"),
            (1 << 13 | 1 << 10, "NET_BIND_SERVICE NET_RAW"),
        ] {
            assert_eq!(describe(mask, 40), words);
        }
    }

    #[test]
    fn a_difference_loses_nothing() {
        for seed in 1..2_000_u64 {
            let mask = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) & all(40);
            let text = difference("docker default", 0xa804_25fb, mask);
            let mut back: Mask = 0xa804_25fb;
            for word in text.split(' ').skip(2) {
                let bit = set(&word[1..]);
                back = if word.starts_with('+') { back | bit } else { back & !bit };
            }
            assert_eq!(back, mask, "{text}");
        }
    }
}
