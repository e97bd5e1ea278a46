//! Programs that connect the network namespace of a container with that of the host. They leave the host's root directory, which
//! makes no container of them.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;

use nix::unistd::Pid;

use crate::container::Files;
use crate::proc::ProcRoot;
use crate::proc::mountinfo::{Mount, mounts};
use crate::sys;

/// slirp4netns(1), pasta(1) and what it executes: the program that fits the processor.
const ROUTERS: [&str; 5] = ["slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2"];

#[must_use]
pub(crate) fn is_router_name(comm: &str) -> bool {
    ROUTERS.contains(&comm)
}

/// Does the process run a file of root's that is one of those programs of the host? Inside, a container can give any file such
/// a name. A user can run other code in them (LD_PRELOAD), but not in a root directory with programs.
pub(super) fn is_router(proc: &ProcRoot, files: &Files, pid: Pid) -> bool {
    let process = proc.process(pid);
    let name = process.name().unwrap_or_default();
    let Some(name) = std::str::from_utf8(name.trim_ascii_end()).ok().filter(|name| is_router_name(name))
    else {
        return false;
    };
    let Some(exe) = process.program_file().filter(|exe| exe.uid == 0) else { return false };
    let is_it = |directory: &&str| files.is_same(&format!("{directory}/{name}"), exe.device, exe.inode);
    ["/usr/bin", "/usr/local/bin"].iter().any(is_it) && has_bare_root(proc, pid)
}

/// Is the root directory what these programs make: a tmpfs with nothing but perhaps `/etc` and `/run`?
fn has_bare_root(proc: &ProcRoot, pid: Pid) -> bool {
    let process = proc.process(pid);
    let is_bare = process.mountinfo().is_ok_and(|text| is_bare(&text));
    let size = || sys::extent(&CString::new(process.path("root").into_os_string().into_vec()).ok()?).ok();
    is_bare && size().is_some_and(|root| root.size <= MOST_ENTRIES * SIZE_OF_ENTRY)
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
}
