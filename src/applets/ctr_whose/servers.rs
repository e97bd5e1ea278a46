//! Programs of the host that work for containers: they take connections for them, or watch them. Any process can have the
//! name of one.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{major, minor};
use nix::unistd::Pid;

use super::finder::Finder;
use crate::container::{Container, IdentifiedBy, Runtime};
use crate::proc::mountinfo::{Mount, mounts};
use crate::sys;

/// Programs that take connections for containers, or keep others from listening there, as dockerd does without a proxy.
const PROXIES: [&str; 4] = [DAEMON, "docker-proxy", "conmon", "slirp4netns"];
pub(super) const DAEMON: &str = "dockerd";
/// pasta(1) and what it executes: the program that fits the processor.
const PASTA: [&str; 4] = ["pasta", "pasta.avx2", "passt", "passt.avx2"];

impl Finder<'_> {
    /// slirp4netns and pasta leave the host's root directory: that makes no container of them. They run a file of root's that is
    /// one of those programs of the host: inside, a container can give any file such a name. A user can run other code in them
    /// (LD_PRELOAD), but not in a root directory with programs.
    pub(super) fn is_program_of_host(&self, pid: i32) -> bool {
        // Not in a container of bubblewrap or another runtime: there a user can run the program too.
        if !self.world.process(pid).is_some_and(|seen| seen.how == Some(IdentifiedBy::Anonymous)) {
            return false;
        }
        let comm = self.comm(pid);
        if !is_router_name(&comm) {
            return false;
        }
        let Some(exe) = self.world.proc.process(Pid::from_raw(pid)).program_file() else { return false };
        let is_it = |directory: &&str| {
            let file = self.root.metadata(&Path::new(directory).join(&comm));
            file.is_ok_and(|file| {
                let device = (exe.device.0.into(), exe.device.1.into());
                (major(file.dev()), minor(file.dev())) == device && (file.ino(), file.uid()) == (exe.inode, 0)
            })
        };
        ["/usr/bin", "/usr/local/bin"].iter().any(is_it) && self.has_bare_root(Pid::from_raw(pid))
    }

    /// Is the root directory what these programs make: a tmpfs with nothing but perhaps `/etc` and `/run`?
    fn has_bare_root(&self, pid: Pid) -> bool {
        let process = self.world.proc.process(pid);
        let is_bare = process.mountinfo().is_ok_and(|text| is_bare(&text));
        let size = || sys::extent(&CString::new(process.path("root").into_os_string().into_vec()).ok()?).ok();
        is_bare && size().is_some_and(|root| root.size <= MOST_ENTRIES * SIZE_OF_ENTRY)
    }
}

/// Of a directory on a tmpfs, with `.` and `..`.
const MOST_ENTRIES: u64 = 4;
/// What the kernel says that an entry takes there (BOGO_DIRENT_SIZE).
const SIZE_OF_ENTRY: u64 = 20;

fn is_bare(mountinfo: &[u8]) -> bool {
    let is_of_both = |mount: Mount<'_>| match mount.point {
        b"/" => mount.kind == b"tmpfs",
        point => [&b"/etc"[..], b"/run"].iter().any(|usual| {
            point.strip_prefix(*usual).is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
        }),
    };
    mounts(mountinfo).any(|mount| mount.point == b"/") && mounts(mountinfo).all(is_of_both)
}

fn is_pasta(comm: &str) -> bool {
    PASTA.contains(&comm)
}

/// Programs that connect the network namespace of a container with that of the host.
pub(super) fn is_router_name(comm: &str) -> bool {
    comm == "slirp4netns" || is_pasta(comm)
}

/// A program that takes connections or sends them on.
pub(super) fn is_worker_name(comm: &str) -> bool {
    comm != DAEMON && is_proxy_name(comm)
}

pub(super) fn is_proxy_name(comm: &str) -> bool {
    // rootlessport and rootlesskit execute themselves and helpers, under other names.
    let begins = ["rootlessport", "rootlesskit"].iter().any(|name| comm.starts_with(name));
    PROXIES.contains(&comm) || is_pasta(comm) || begins || comm == "exe"
}

/// Has the process containers for which it works, perhaps?
pub(super) fn may_serve(comm: &str) -> bool {
    is_monitor_name(comm) || is_worker_name(comm)
}

/// The kernel cuts longer names.
pub(super) fn is_monitor_name(comm: &str) -> bool {
    matches!(comm, "conmon" | "containerd-shim")
}

/// Is it the parent of the container's first process?
pub(super) fn is_parent(finder: &Finder<'_>, pid: i32, container: usize) -> bool {
    let init = finder.world.containers[container].init;
    init.and_then(|init| finder.world.process(init)?.ppid) == Some(pid)
}

/// Can such a process of that user publish ports of the container?
pub(super) fn serves(comm: &str, uid: u32, container: &Container) -> bool {
    let is_of_docker = || container.runtime != Runtime::Podman;
    container.owner == uid
        && (if matches!(comm, "docker-proxy" | DAEMON) { is_of_docker() } else { uid != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_directories_without_programs() {
        let root = b"205 116 0:51 / / ro,relatime - tmpfs tmpfs ro,size=0k\n";
        let etc = b"250 205 254:0 /etc /etc ro - ext4 /dev/vda rw\n263 205 0:4 net:[4] /run/netns/a rw - nsfs nsfs rw\n";
        let usr = b"250 205 254:0 /a/usr /usr ro - ext4 /dev/vda rw\n";
        let disk = b"205 116 254:0 /a / rw,relatime - ext4 /dev/vda rw\n";
        assert!(is_bare(root) && is_bare(&[&root[..], etc].concat()));
        assert!(!is_bare(&[&root[..], usr].concat()) && !is_bare(disk) && !is_bare(b""));
        assert!(!is_bare(&[&root[..], b"250 205 254:0 /etc /etcetera ro - ext4 /dev/vda rw\n"].concat()));
    }

    #[test]
    fn who_can_publish_ports_of_a_container() {
        let of = |runtime, owner| Container { owner, ..Container::new(runtime, "a") };
        let (root, user, podman) =
            (of(Runtime::Docker, 0), of(Runtime::Docker, 1000), of(Runtime::Podman, 0));
        for comm in ["dockerd", "docker-proxy"] {
            assert!(is_proxy_name(comm) && serves(comm, 0, &root) && serves(comm, 1000, &user), "{comm}");
            assert!(!serves(comm, 1000, &root) && !serves(comm, 0, &podman), "{comm}");
        }
        assert!(serves("rootlesskit", 1000, &user) && !serves("rootlesskit", 0, &root));
    }
}
