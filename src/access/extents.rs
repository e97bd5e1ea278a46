//! How large files are that processes hold open. They can be on any file system, also one that does not answer.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::account_of;
use crate::proc::ProcRoot;
use crate::sys::{self, Extent};

/// In the order of the links, which are those of descriptors; None for what cannot be read. ETIMEDOUT: a file system does
/// not answer.
#[allow(unsafe_code)] // access::once
pub(crate) fn extents(proc: &ProcRoot, pid: Pid, links: &[PathBuf]) -> nix::Result<Vec<Option<Extent>>> {
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let read = || {
        let of = |link: &PathBuf| sys::extent(&CString::new(link.as_os_str().as_bytes()).ok()?).ok();
        serde_json::to_vec(&links.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
    };
    // SAFETY: the closure holds paths.
    let answer = unsafe { super::once(account_of(proc, pid), read) }?;
    serde_json::from_slice(&answer).map_err(|_| Errno::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_what_is_not_there() {
        let links = ["/proc/self/exe", "/no/such/file", "/"].map(PathBuf::from);
        let found = extents(&ProcRoot::default(), Pid::this(), &links).expect("an answer");
        let exe = std::fs::metadata("/proc/self/exe").expect("a file");
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].map(|one| (one.size, one.is_regular)), Some((exe.len(), true)));
        assert!(found[1].is_none() && found[2].is_some_and(|one| !one.is_regular && one.links > 0));
    }
}
