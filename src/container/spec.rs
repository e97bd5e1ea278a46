//! The runtimes: one table with all that is known of each before a state file is read.
//!
//! A new runtime is a row here and, if it has state files, a file in `runtimes/`.

use std::sync::OnceLock;

use super::runtimes::Store;

/// What made the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    Actions,
    /// Not known: a pid namespace or a root directory of its own, and no state file anywhere.
    Anon,
    Apptainer,
    Buildah,
    Buildkit,
    Bwrap,
    Containerd,
    Crun,
    Docker,
    Ecs,
    Firejail,
    Flatpak,
    Garden,
    Gvisor,
    Incus,
    K8s,
    Libvirt,
    Lxc,
    Lxd,
    Mesos,
    Nerdctl,
    /// A network namespace with a name, as ip-netns(8) makes them.
    Netns,
    Nomad,
    Nspawn,
    Podman,
    Runc,
    Snap,
    Youki,
}

pub(crate) struct RuntimeSpec {
    pub(crate) runtime: Runtime,
    /// What stands before the colon.
    pub(crate) name: &'static str,
    /// The names of its control groups.
    pub(crate) forms: &'static [CgroupForm],
    /// The capability sets that it gives by default, names of `capabilities::baseline`. Packagers change them.
    pub(crate) capabilities: &'static [&'static str],
    /// Programs that stand above its containers, by the name of the file, where no state file names the container.
    pub(crate) programs: &'static [&'static str],
    /// Is everything below such a program one container?
    pub(crate) runs_once: bool,
    /// Do its state files name the first process?
    pub(crate) names_init: bool,
}

/// Where in a path the component stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Anything,
    /// Below a group of this name.
    Is(&'static str),
    /// Below one that begins so and is longer: `pod0123…`.
    Begins(&'static str),
    /// Two below a group of this name.
    Below(&'static str),
}

/// What an id looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum IdShape {
    /// 64 hexadecimal digits.
    Hex,
    /// What can be the name of a file; so never a path of its own.
    Word,
    /// The same in systemd's escapes, as `\x2d` for a `-`.
    Escaped,
    /// The hexadecimal digits of a task of Amazon ECS, `-`, and a number.
    TaskNumber,
    /// A UUID, and whatever follows.
    Uuid,
}

/// The name of a control group: `PREFIX ID SUFFIX`. `.scope` and `.service` are those of the systemd driver, the
/// others of the cgroupfs driver.
pub(crate) struct CgroupForm {
    pub(crate) after: After,
    pub(crate) prefix: &'static str,
    pub(crate) suffix: &'static str,
    pub(crate) shape: IdShape,
    /// Whose state files may confirm it, the likeliest first.
    pub(crate) stores: &'static [Store],
}

const fn form(
    (after, prefix, suffix): (After, &'static str, &'static str),
    shape: IdShape,
    stores: &'static [Store],
) -> CgroupForm {
    CgroupForm { after, prefix, suffix, shape, stores }
}

const fn spec(runtime: Runtime, name: &'static str) -> RuntimeSpec {
    RuntimeSpec {
        runtime,
        name,
        forms: &[],
        capabilities: &[],
        programs: &[],
        runs_once: false,
        names_init: true,
    }
}

/// Kata Containers: the group above those of processes that are on the host because of a virtual machine.
pub(super) const KATA_OVERHEAD: &str = "kata_overhead";

/// The table, in the order of the enum.
pub(crate) static RUNTIMES: [RuntimeSpec; 28] = {
    use After::{Anything, Begins, Below, Is};
    use IdShape::{Escaped, Hex, TaskNumber, Uuid, Word};
    use Store::{Containerd, CriO, Docker, Lxc, Machined, Oci, Podman, Runsc, Snap};
    const DOCKERS: &[&str] = &["docker"];
    const RUNCS: &[&str] = &["runc"];
    const LXCS: &[&str] = &["lxc", "lxc-busybox"];
    [
        RuntimeSpec {
            forms: &[form((Is("actions_job"), "", ""), Hex, &[Docker])],
            capabilities: DOCKERS,
            ..spec(Runtime::Actions, "actions")
        },
        spec(Runtime::Anon, "anon"),
        RuntimeSpec {
            programs: &["starter", "starter-suid"],
            runs_once: true,
            ..spec(Runtime::Apptainer, "apptainer")
        },
        RuntimeSpec {
            forms: &[form((Anything, "buildah-", ".scope"), Word, &[Podman])],
            capabilities: &["podman", "podman-4.4", "docker"],
            programs: &["buildah"],
            ..spec(Runtime::Buildah, "buildah")
        },
        RuntimeSpec {
            forms: &[form((Is("buildkit"), "", ""), Word, &[])],
            capabilities: DOCKERS,
            ..spec(Runtime::Buildkit, "buildkit")
        },
        RuntimeSpec { programs: &["bwrap"], ..spec(Runtime::Bwrap, "bwrap") },
        RuntimeSpec { capabilities: DOCKERS, ..spec(Runtime::Containerd, "containerd") },
        RuntimeSpec {
            forms: &[form((Anything, "crun-", ".scope"), Word, &[Oci])],
            capabilities: RUNCS,
            ..spec(Runtime::Crun, "crun")
        },
        RuntimeSpec {
            forms: &[
                form((Anything, "docker-", ".scope"), Hex, &[Docker]),
                form((Is("docker"), "", ""), Hex, &[Docker]),
            ],
            capabilities: DOCKERS,
            ..spec(Runtime::Docker, "docker")
        },
        RuntimeSpec {
            forms: &[
                form((Is("ecs"), "", ""), Hex, &[Docker]),
                form((Below("ecs"), "", ""), Hex, &[Docker]),
                // Fargate and managed instances, with containerd: TASK-NUMBER
                form((Is("ecs"), "", ""), TaskNumber, &[Containerd]),
                form((Below("ecs"), "", ""), TaskNumber, &[Containerd]),
            ],
            capabilities: DOCKERS,
            ..spec(Runtime::Ecs, "ecs")
        },
        RuntimeSpec { programs: &["firejail"], ..spec(Runtime::Firejail, "firejail") },
        RuntimeSpec {
            forms: &[form((Anything, "app-flatpak-", ".scope"), Word, &[])],
            ..spec(Runtime::Flatpak, "flatpak")
        },
        RuntimeSpec { forms: &[form((Is("garden"), "", ""), Word, &[])], ..spec(Runtime::Garden, "garden") },
        RuntimeSpec {
            forms: &[form((Anything, "runsc-", ".scope"), Word, &[Runsc])],
            capabilities: RUNCS,
            programs: &["runsc"],
            runs_once: true,
            ..spec(Runtime::Gvisor, "gvisor")
        },
        RuntimeSpec {
            capabilities: LXCS,
            programs: &["incusd"],
            names_init: false,
            ..spec(Runtime::Incus, "incus")
        },
        RuntimeSpec {
            forms: &[
                form((Anything, "cri-containerd-", ".scope"), Hex, &[Containerd, Docker]),
                form((Anything, "crio-", ".scope"), Hex, &[CriO]),
                form((Anything, "crio-", ""), Hex, &[CriO]),
                form((Begins("pod"), "", ""), Hex, &[Containerd, CriO, Docker]),
                form((Is(KATA_OVERHEAD), "", ""), Hex, &[Containerd, CriO]),
            ],
            capabilities: DOCKERS,
            ..spec(Runtime::K8s, "k8s")
        },
        spec(Runtime::Libvirt, "libvirt"),
        RuntimeSpec {
            forms: &[
                form((Anything, "lxc.payload.", ""), Word, &[Lxc]),
                form((Is("lxc.payload"), "", ""), Word, &[Lxc]),
                form((Is("lxc"), "", ""), Word, &[Lxc]), // before LXC 4
            ],
            capabilities: LXCS,
            programs: &["lxc-start", "lxc-execute"],
            names_init: false,
            ..spec(Runtime::Lxc, "lxc")
        },
        RuntimeSpec {
            capabilities: LXCS,
            programs: &["lxd"],
            names_init: false,
            ..spec(Runtime::Lxd, "lxd")
        },
        RuntimeSpec { forms: &[form((Is("mesos"), "", ""), Uuid, &[])], ..spec(Runtime::Mesos, "mesos") },
        RuntimeSpec {
            forms: &[form((Anything, "nerdctl-", ".scope"), Hex, &[Containerd])],
            capabilities: DOCKERS,
            ..spec(Runtime::Nerdctl, "nerdctl")
        },
        spec(Runtime::Netns, "netns"),
        RuntimeSpec {
            forms: &[
                form((Is("nomad"), "", ""), Uuid, &[]),
                form((Below("nomad.slice"), "", ".scope"), Uuid, &[]),
            ],
            ..spec(Runtime::Nomad, "nomad")
        },
        RuntimeSpec {
            forms: &[
                form((Anything, "machine-", ".scope"), Escaped, &[Machined]),
                form((Anything, "systemd-nspawn@", ".service"), Escaped, &[Machined]),
            ],
            capabilities: &["nspawn"],
            programs: &["systemd-nspawn"],
            ..spec(Runtime::Nspawn, "nspawn")
        },
        RuntimeSpec {
            forms: &[
                form((Anything, "libpod-", ".scope"), Hex, &[Podman]), // crun adds a group `container`
                form((Anything, "libpod-", ""), Hex, &[Podman]),
                form((Anything, "libpod-payload-", ""), Hex, &[Podman]), // --cgroups=split, quadlet
            ],
            capabilities: &["podman", "podman-4.4", "docker"],
            ..spec(Runtime::Podman, "podman")
        },
        RuntimeSpec {
            forms: &[form((Anything, "runc-", ".scope"), Word, &[Oci])],
            capabilities: RUNCS,
            ..spec(Runtime::Runc, "runc")
        },
        RuntimeSpec {
            forms: &[
                form((Anything, "snap.", ".scope"), Word, &[Snap]),
                form((Anything, "snap.", ".service"), Word, &[Snap]),
            ],
            names_init: false,
            ..spec(Runtime::Snap, "snap")
        },
        RuntimeSpec {
            forms: &[form((Anything, "youki-", ".scope"), Word, &[Oci])],
            capabilities: RUNCS,
            ..spec(Runtime::Youki, "youki")
        },
    ]
};

impl Runtime {
    #[must_use]
    pub(crate) fn spec(self) -> &'static RuntimeSpec {
        &RUNTIMES[self as usize]
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Runtime> {
        RUNTIMES.iter().find(|row| row.name == name).map(|row| row.runtime)
    }

    /// All of them, for a message.
    #[must_use]
    pub(crate) fn names() -> String {
        Runtime::all_names().collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
        RUNTIMES.iter().map(|row| row.name)
    }

    /// The runtime whose containers a program of this name stands above.
    pub(crate) fn of_program(name: &str) -> Option<Runtime> {
        RUNTIMES.iter().find(|row| row.programs.contains(&name)).map(|row| row.runtime)
    }
}

/// All forms, with their runtimes. Those that a group's own name shows come before those that its parent's shows.
pub(crate) fn forms() -> &'static [(&'static CgroupForm, Runtime)] {
    // Each component of each path of a group is compared with all of them.
    static FORMS: OnceLock<Vec<(&CgroupForm, Runtime)>> = OnceLock::new();
    FORMS.get_or_init(|| {
        let rows = RUNTIMES.iter().flat_map(|row| row.forms.iter().map(|form| (form, row.runtime)));
        let (by_name, others): (Vec<_>, Vec<_>) = rows.partition(|(form, _)| form.after == After::Anything);
        [by_name, others].concat()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_runtimes_is_in_the_order_of_the_enum() {
        for (at, row) in RUNTIMES.iter().enumerate() {
            assert_eq!((row.runtime as usize, row.runtime.name()), (at, row.name));
            assert_eq!(Runtime::from_name(row.name), Some(row.runtime));
        }
        assert!(RUNTIMES.is_sorted_by_key(|row| row.name));
    }

    #[test]
    fn every_default_set_has_its_row() {
        use crate::isolation::capabilities::baseline::Baseline;
        let all = RUNTIMES.iter().flat_map(|row| row.capabilities);
        all.for_each(|name| assert!(Baseline::find(name).is_some(), "{name}"));
    }
}
