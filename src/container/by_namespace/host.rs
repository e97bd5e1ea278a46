//! The namespaces and the root directory of the host.

use nix::sys::statfs::{FsType, statfs};
use nix::unistd::Pid;

use super::{FileId, file_id, ns_inode, root_of};
use crate::container::cgroup_lines;
use crate::container::cgroup_path::candidates;
use crate::container::verify::namespace;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;

/// The namespaces and the root directory of the host.
pub(super) struct Host {
    pub(super) pid_ns: Option<u64>,
    pub(super) mnt_ns: Option<u64>,
    pub(super) net_ns: Option<u64>,
    pub(super) uts_ns: Option<u64>,
    pub(super) user_ns: Option<u64>,
    pub(super) root: Option<FileId>,
}

impl Host {
    /// Reads the namespaces of kthreadd, which no user can move. Without it (in a container) those of PID 1, whose links
    /// may be unreadable even for root.
    pub(super) fn new(proc: &ProcRoot) -> Host {
        let kthreadd = Pid::from_raw(2);
        let is_kernel_thread = proc.process(kthreadd).status().is_ok_and(|status| status.kernel_thread);
        let host_pids = [is_kernel_thread.then_some(kthreadd), Some(Pid::from_raw(1))];
        let id = |kind| {
            let of_ctrbox = || ns_inode(proc, &proc.own(&Kind::link(kind)));
            host_pids.into_iter().flatten().find_map(|pid| namespace(proc, pid, kind)).or_else(of_ctrbox)
        };
        Host {
            pid_ns: id(Kind::Pid),
            mnt_ns: id(Kind::Mnt),
            net_ns: id(Kind::Net),
            uts_ns: id(Kind::Uts),
            user_ns: id(Kind::User),
            root: root(proc, host_pids[0]),
        }
    }
}

/// The root directory of PID 1, whose link may be unreadable even for root. kthreadd has the same one, or on newer kernels
/// (seen on Linux 7.3) an empty file system of its own.
fn root(proc: &ProcRoot, kthreadd: Option<Pid>) -> Option<FileId> {
    let of_kthreadd = || kthreadd.filter(|pid| !has_null_root(proc, *pid)).and_then(|pid| root_of(proc, pid));
    let of_ctrbox = || file_id(&proc.own("root")).filter(|_| !ctrbox_is_in_container(proc));
    root_of(proc, Pid::from_raw(1)).or_else(of_kthreadd).or_else(of_ctrbox)
}

/// Is the root directory of a process on the empty file system that is below all others?
fn has_null_root(proc: &ProcRoot, pid: Pid) -> bool {
    const NULL_FS_MAGIC: FsType = FsType(0x4e55_4c4c);
    statfs(&proc.path_of(pid, "root")).is_ok_and(|found| found.filesystem_type() == NULL_FS_MAGIC)
}

/// Does ctrbox run in a container that shows all processes of the host?
#[must_use]
pub(crate) fn is_in_container_of_host(proc: &ProcRoot) -> bool {
    let kthreadd = proc.process(Pid::from_raw(2));
    kthreadd.status().is_ok_and(|status| status.kernel_thread) && ctrbox_is_in_container(proc)
}

/// Does ctrbox run in a container that shows the host's processes? Then its root directory is not the host's.
fn ctrbox_is_in_container(proc: &ProcRoot) -> bool {
    let own_groups = proc.read_own("cgroup").unwrap_or_default();
    let first = proc.read(Pid::from_raw(1), "cgroup").unwrap_or_default();
    // In another cgroup namespace, paths of groups above its root begin with /..
    let is_below_host_root = cgroup_lines(&first).any(|path| path.starts_with("/.."));
    is_below_host_root
        || cgroup_lines(&own_groups).flat_map(candidates).any(|candidate| candidate.distinctive)
}
