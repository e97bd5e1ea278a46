//! Protects this process next to hostile containers: removes access to it and to its descriptors.

use std::collections::BTreeSet;
use std::ffi::c_uint;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl;

use crate::proc::ProcRoot;
use crate::sys;

/// Descriptors by number, other than 0, 1 and 2.
pub(crate) type Numbers = BTreeSet<c_uint>;

/// Until execve(2), no process without root outside can trace this process, or open its descriptors, directories and
/// program through /proc (CVE-2016-9962). execve(2) resets this, after it has closed the close-on-exec descriptors. A
/// change of credentials may also reset it, so it must be called again after one.
pub(crate) fn hide() -> Result<()> {
    prctl::set_dumpable(false).context("prctl failed")
}

/// Selects the inherited descriptors that the program gets: 0, 1, 2 and these.
pub(crate) fn pass_only(proc: &ProcRoot, passed: &Numbers) -> Result<()> {
    for (first, last) in ranges_between(passed) {
        match sys::set_close_on_exec_range(first, last) {
            Ok(()) => {}
            Err(Errno::ENOSYS | Errno::EINVAL) => return one_by_one(proc, passed),
            Err(errno) => return Err(errno).context("cannot close descriptors"),
        }
    }
    Ok(())
}

/// Closes all descriptors except 0, 1, 2 and these.
///
/// # Safety
/// No value that owns or borrows one of the others is used or dropped any more in this process.
#[allow(unsafe_code)] // passes on the promise of sys::close_range
pub(crate) unsafe fn keep_only(kept: &Numbers) {
    for (first, last) in ranges_between(kept) {
        // SAFETY: the caller promises it for all descriptors that are not kept, and the range contains only such.
        unsafe { sys::close_range(first, last) };
    }
}

/// The ranges of descriptors above 2 without these numbers.
fn ranges_between(numbers: &Numbers) -> Vec<(c_uint, c_uint)> {
    let mut first = 3;
    let mut ranges = Vec::new();
    for &fd in numbers.iter().chain([&c_uint::MAX]) {
        if fd > first {
            ranges.push((first, fd - 1));
        }
        first = first.max(fd.saturating_add(1));
    }
    ranges
}

/// For kernels before Linux 5.11.
fn one_by_one(proc: &ProcRoot, passed: &Numbers) -> Result<()> {
    let path = proc.own("fd");
    let listing = sys::directory::list(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let numbers = listing.iter().filter_map(|entry| entry.name.to_str()?.parse::<c_uint>().ok());
    for fd in numbers.filter(|fd| *fd > 2 && !passed.contains(fd)) {
        match sys::set_close_on_exec(fd) {
            Ok(()) | Err(Errno::EBADF) => {} // the descriptor of the listing is already closed
            Err(errno) => return Err(errno).context("cannot close descriptors"),
        }
    }
    Ok(())
}

/// Was the descriptor inherited? Those that ctrbox opens have close-on-exec.
#[must_use]
pub(crate) fn inherited(fd: c_uint) -> bool {
    sys::descriptor_flags(fd).is_ok_and(|flags| flags & libc::FD_CLOEXEC == 0)
}

/// Is the working directory below the root? A container can lead this process outside through a link to
/// /proc/self/fd/N, or with an init whose working directory is outside (CVE-2024-21626).
pub(crate) fn inside() -> Result<()> {
    let mut buffer = [0; libc::PATH_MAX as usize];
    match sys::working_directory(&mut buffer) {
        Ok(path) if path.starts_with(b"/") => Ok(()),
        Err(Errno::ERANGE) => bail!("the path of the working directory is too long to check"),
        // `(unreachable)/path`; or the directory was removed, and its place is unknown.
        Ok(_) | Err(Errno::ENOENT) => bail!("the working directory is outside the root, or was removed"),
        Err(errno) => Err(errno).context("cannot find out the working directory"),
    }
}

/// Identifies a process on kernels without pidfds: its directory in proc is removed with it, even if its PID is
/// reused.
pub(crate) fn still_there(directory: &OwnedFd) -> bool {
    sys::file_id(directory, c"stat").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_working_directory_of_a_test_is_inside_its_root() {
        assert!(inside().is_ok());
    }

    #[test]
    fn descriptors_with_close_on_exec_are_not_inherited() {
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert!(!inherited(c_uint::try_from(file.as_raw_fd()).expect("a number")));
        assert!(!inherited(1_000_000));
    }
}
