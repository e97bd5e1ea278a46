//! `ctrbox` is one program with several applets. A link to it with the name of an applet runs that applet; the
//! name can also be the first argument. The program is static and needs no other file, no daemon and no container
//! tooling: copy it to a Linux host to see the containers there and to work in them.
//!
//! A program called `ctrbox-nsenter` is `nsenter` too: with such a name it can stand beside the original tool. The
//! directory libexec/ctrbox/bin below the prefix has links of all applets, for those who put it first in `PATH`.
//! `--install` makes links in another directory; a file that is no link to this binary stays.
//!
//! `ctrbox check` tries what ctrbox needs on this host: features of the kernel, rights, limits, control groups and the state
//! files of runtimes. It says which applet or option lacks what; the exit status is 1 if an applet does not work. `-J` prints
//! JSON. It is the first command to run on a strange host.
//!
//! A container is a process with its own namespaces, control groups and root directory. ctrbox reads these from
//! the kernel, and the names from the state files of the container runtimes.
//!
//! # Completion
//!
//! The shells complete `ctrbox`, the applets whose names begin with `ctr-`, and links of names such as `ctrbox-nsenter`. Where
//! libexec/ctrbox/bin comes first in `PATH`, these lines complete the other applets too:
//!
//! ```text
//! # ~/.bashrc
//! . /usr/share/bash-completion/completions/ctrbox
//! complete -F _ctrbox nsenter unshare lsns cgexec capsh getpcaps
//! # ~/.zshrc, after compinit
//! compdef _ctrbox nsenter unshare lsns cgexec capsh getpcaps
//! # ~/.config/fish/config.fish
//! source /usr/share/fish/vendor_completions.d/ctrbox.fish
//! for name in nsenter unshare lsns cgexec capsh getpcaps
//!     complete -c $name -f -a '(__ctrbox_complete)'
//! end
//! ```
//!
//! # Stability
//!
//! Scripts may rely on the options, the exit statuses, and what `--json`, `--jsonl` and `-r` (`--raw`) print: names, types and
//! meanings of the members of JSON and of columns stay, and new ones may come. With `-o`, `-r` prints these columns in this
//! order. Tables, trees, reports, messages and hints are for people, and may change with each version. What an applet has in
//! common with the tool that it replaces stays as that tool has it.
//!
//! # Exit status
//!
//! That of the applet. 127 if there is no applet of that name, 0 for `--list`, `--help` and `--version`, 1
//! if what they print cannot be written.
//!
//! # Environment
//!
//! `CTRBOX_HINTS` is the only variable of ctrbox itself.
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `COLUMNS`: the width of `--help` if no standard stream is a terminal.
//! - `POSIXLY_CORRECT`: read by ctr-inspect, ctr-ps, ctr-top, ctr-whose, getpcaps and lsns: if set, options after the first operand are
//!   operands too.
//! - Others: the page of each applet lists the variables that it reads.
//!
//! # Files
//!
//! - `/proc`: processes, namespaces, control groups and mounts.
//! - `/etc/passwd`, `/etc/group`: the names and home directories of users, and the names of groups. The files are read
//!   without NSS.
//! - `/run/docker`, `/var/lib/docker`, `/etc/docker/daemon.json`: Docker: containers, names, and the data root if it
//!   is another. Of snap's Docker /var/snap/docker and /run/snap.docker; of rootless Docker /run/user/UID/docker,
//!   ~/.local/share/docker and ~/.config/docker/daemon.json.
//! - `/run/containerd`, `/run/k3s/containerd`, `/run/k0s/containerd`: containerd, nerdctl, Kubernetes; of MicroK8s
//!   /var/snap/microk8s/common/run/containerd.
//! - `/var/lib/containerd`, `/var/lib/rancher/k3s/agent/containerd`, `/var/lib/k0s/containerd`: the containers of Kubernetes
//!   that do not run; of MicroK8s /var/snap/microk8s/common/var/lib/containerd.
//! - `/var/lib/containers/storage`, `/run/containers/storage`: Podman, buildah, CRI-O; or the directories that
//!   /etc/containers/storage.conf or /usr/share/containers/storage.conf names. For users:
//!   ~/.local/share/containers/storage, or what ~/.config/containers/storage.conf names.
//! - `/run/crio`, `/var/lib/crio`, `/etc/crio`: if one of them exists, the state files in the storage above can be
//!   those of CRI-O.
//! - `/run/runc`, `/run/crun`, `/run/youki`, `/run/runsc`: the OCI runtimes without an engine. For users: the same
//!   names below /run/user/UID.
//! - `/var/lib/lxc`, `/etc/lxc/lxc.conf`: LXC. For users: ~/.local/share/lxc and ~/.config/lxc/lxc.conf.
//! - `/var/lib/incus`, `/run/incus`, `/var/lib/lxd`, `/run/lxd`, `/var/snap/lxd/common/lxd`: Incus and LXD.
//! - `/run/systemd/machines`: systemd-nspawn and libvirt.
//! - `/run/firejail`, `/run/snapd/ns`, `/run/user/UID/.flatpak`: firejail, snap, Flatpak.
//! - `/var/lib/cni`: the addresses and ports that CNI plugins gave away.
//! - `/run/netns`, `/run/docker/netns`: the named network namespaces of ip-netns(8), and those of Docker.
//!
//! # Examples
//!
//! What works on this host, and the help of an applet:
//!
//! ```text
//! ctrbox check
//! ctrbox help nsenter
//! ```
//!
//! Link every applet in a directory, and only some:
//!
//! ```text
//! ctrbox --install /usr/local/bin
//! ctrbox --install ~/.local/bin ctr-ps lsns
//! ```
//!
//! # See also
//!
//! capsh(1), cgexec(1), ctr-inspect(1), ctr-ps(1), ctr-top(1), ctr-whose(1), getpcaps(8), lsns(8), nsenter(1), unshare(1),
//! ctrbox-containers(7), namespaces(7), cgroups(7)

// Applets never import one another: what two need moves down, to `container`, `isolation` or `output`.
pub(crate) mod capsh;
pub(crate) mod cgexec;
pub(crate) mod ctr_inspect;
pub(crate) mod ctr_ps;
pub(crate) mod ctr_top;
pub(crate) mod ctr_whose;
pub(crate) mod getpcaps;
pub(crate) mod lsns;
pub(crate) mod nsenter;
pub(crate) mod unshare;
