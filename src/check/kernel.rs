//! Features of the kernel: each is tried.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::utsname::uname;
use nix::unistd::{ForkResult, Pid};

use super::{Row, State};
use crate::isolation::cgroup::kills;
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::net::{self, Netlink, Protocol};
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys::{self, Ended};
use crate::text;

const AREA: &str = "kernel";
/// The oldest kernel that ctrbox is made for.
const OLDEST: (u32, u32) = (4, 18);

/// A feature that some kernels lack.
struct Feature {
    what: &'static str,
    since: &'static str,
    /// None: it is there. An error that says that it is not, or why it cannot be used.
    probe: fn() -> Option<Errno>,
    without: &'static str,
}

const FEATURES: &[Feature] = &[
    Feature {
        what: "pidfd_open(2)",
        since: "Linux 5.3",
        probe: || pidfd().err(),
        without: "nsenter and cgexec check the start time of a process instead of holding it",
    },
    Feature {
        what: "PIDFD_GET_INFO",
        since: "Linux 6.13",
        probe: || pidfd().and_then(|fd| sys::pidfd_info(&fd)).err(),
        without: "lists read /proc/PID/status instead: about twice the system calls for each process",
    },
    Feature {
        what: "namespaces of a pidfd",
        since: "Linux 6.11",
        probe: || pidfd().and_then(|fd| sys::pidfd_pid_namespace(&fd)).err(),
        without: "namespaces are read from the links in /proc/PID/ns",
    },
    Feature {
        what: "setns(2) with a pidfd",
        since: "Linux 5.8",
        probe: || (!ns::setns_takes_pidfd()).then_some(Errno::EINVAL),
        without: "nsenter enters one namespace after the other",
    },
    Feature {
        what: "namespaces by id",
        since: "Linux 6.19",
        probe: || own_mount_id().and_then(sys::open_namespace).err(),
        without: "nsenter takes no id of a namespace (--net=:ID)",
    },
    Feature {
        what: "openat2(2)",
        since: "Linux 5.6",
        probe: || {
            let how =
                OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
            openat2(AT_FDCWD, "/", how).err()
        },
        without: "files in a container's root are not read: no names of users, no DNS of the container",
    },
    Feature {
        what: "open_tree(2)",
        since: "Linux 5.2",
        // Without the right it is refused: then it is there.
        probe: || {
            sys::mounts::clone_tree(DIRECTORY, c"/", false).err().filter(|errno| *errno != Errno::EPERM)
        },
        without: "nsenter has no --host-root, and no --dns into a mount namespace",
    },
    Feature {
        what: "clone3(2) into a control group",
        since: "Linux 5.7",
        probe: || match sys::fork_into(DIRECTORY) {
            Ok(ForkResult::Child) => sys::exit_now(0),
            Ok(ForkResult::Parent { child }) => {
                _ = sys::wait(child, 0);
                None
            }
            Err(errno) => Some(errno).filter(|errno| matches!(*errno, Errno::ENOSYS | Errno::E2BIG)),
        },
        without: "cgexec moves the program into the group before it begins",
    },
    Feature {
        what: "pressure (PSI)",
        since: "Linux 4.20, CONFIG_PSI",
        probe: || ProcRoot::default().line("pressure/cpu").err().map(errno),
        without: "ctr-top and ctr-inspect show no pressure",
    },
    Feature {
        what: "sock_diag(7)",
        since: "CONFIG_INET_DIAG",
        probe: || Netlink::open(Protocol::SocketDiagnosis).and_then(|link| net::listeners(&link)).err(),
        without: "ctr-whose and ctr-inspect do not know who listens on a port",
    },
    Feature {
        what: "the log of the kernel",
        since: "kernel.dmesg_restrict, CAP_SYSLOG",
        probe: || kills::open_log().err(),
        without: "ctr-inspect does not know which process was killed for lack of memory",
    },
];

/// A directory that is no control group: the working directory.
const DIRECTORY: BorrowedFd<'static> = AT_FDCWD;

fn pidfd() -> nix::Result<OwnedFd> {
    sys::pidfd_open(Pid::this())
}

fn own_mount_id() -> nix::Result<u64> {
    let file = File::open(ProcRoot::default().own(&Kind::Mnt.link())).map_err(errno)?;
    sys::mount_namespace_id(file)
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

pub(super) fn release() -> String {
    uname().map(|uts| text::shown(uts.release()).into_owned()).unwrap_or_default()
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![version()];
    rows.extend(FEATURES.iter().map(Feature::row));
    rows.extend(Kind::ALL.into_iter().map(namespace));
    rows
}

fn version() -> Row {
    let row = Row::works(AREA, "version", release());
    match ns::kernel() >= OLDEST {
        true => row,
        false => {
            row.lacks(State::Fails, "ctrbox is made for Linux 4.18 and later, and tried on no older one")
        }
    }
}

impl Feature {
    fn row(&self) -> Row {
        match (self.probe)() {
            None => Row::works(AREA, self.what, ""),
            Some(errno) if is_limit(errno) => not_tried(self.what, errno),
            Some(errno) => {
                let detail = format!("{} ({})", crate::errno::strerror(errno as i32), self.since);
                Row::works(AREA, self.what, detail).lacks(State::Missing, self.without)
            }
        }
    }
}

/// An error of a limit says nothing about the feature.
fn is_limit(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN)
}

fn not_tried(what: impl Into<String>, errno: Errno) -> Row {
    let detail = format!("not tried: {}", crate::errno::strerror(errno as i32));
    Row::works(AREA, what, detail)
        .lacks(State::Missing, "the limits of this process are too low: see ulimit -n and -u")
}

/// A process of its own makes the namespace and ends. If that is refused, the hint of unshare(1) says why.
fn namespace(kind: Kind) -> Row {
    let what = format!("new {}", kind.proc_name());
    let proc = ProcRoot::default();
    if !ns::known(&proc, kind) {
        return Row::works(AREA, what, "the kernel has no such namespaces")
            .lacks(State::Missing, "unshare, nsenter and lsns know none of this kind");
    }
    match made(kind) {
        Ok(()) => Row::works(AREA, what, ""),
        Err(errno) if is_limit(errno) => not_tried(what, errno),
        Err(errno) => {
            let operation = Operation::Unshare(vec![kind]);
            let why = crate::hint::hint_for(&operation, errno, &proc);
            let why = why.unwrap_or_else(|| crate::errno::strerror(errno as i32)).replace('\n', " ");
            Row::works(AREA, what, why).lacks(State::Missing, "unshare makes no such namespace")
        }
    }
}

fn made(kind: Kind) -> Result<(), Errno> {
    match sys::fork_silent()? {
        ForkResult::Child => {
            let status = ns::unshare(&[kind], false)
                .err()
                .map_or(0, |error| error.downcast_ref::<Errno>().map_or(255, |errno| *errno as i32));
            sys::exit_now(status)
        }
        ForkResult::Parent { child } => match sys::wait(child, libc::__WALL)? {
            Ended::Exited(0) => Ok(()),
            Ended::Exited(status) => Err(Errno::from_raw(status.into())),
            _ => Err(Errno::EIO),
        },
    }
}
