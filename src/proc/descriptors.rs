//! Open descriptors of processes.

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::{Scan, decimal, number};
use crate::{sys, text};

/// A longer path has no link.
const LONGEST: usize = 4_096;

/// The inodes of the sockets that a process holds. How many descriptors were looked at?
pub(crate) fn sockets_of(
    scan: &Scan,
    pid: i32,
    most: usize,
    mut take: impl FnMut(u64),
) -> nix::Result<usize> {
    let inode = |link: &[u8]| number(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?);
    links_of(scan, pid, most, |_, link| inode(link).into_iter().for_each(&mut take))
}

/// The links of the descriptors of a process: the number of each, and to what it leads.
pub(crate) fn links_of(
    scan: &Scan,
    pid: i32,
    most: usize,
    mut take: impl FnMut(&CStr, &[u8]),
) -> nix::Result<usize> {
    let directory = scan.open(Pid::from_raw(pid), "fd")?;
    let mut buffer = [0; LONGEST];
    let count = if scan.is_copy() { None } else { count(&directory) };
    let first = count.map_or(0, |count| first_links(&directory, count.min(most), &mut buffer, &mut take));
    let mut seen = first;
    if count.is_none_or(|count| first < count.min(most)) {
        sys::directory::each(&directory, |entry| {
            if seen >= most {
                return ControlFlow::Break(());
            }
            let name = entry.name.into_vec();
            if decimal(&name).is_some_and(|number| number < first as u64) {
                return ControlFlow::Continue(());
            }
            seen += 1;
            let Ok(name) = CString::new(name) else { return ControlFlow::Continue(()) };
            if let Ok(link) = sys::read_link_at(&directory, &name, &mut buffer) {
                take(&name, link);
            }
            ControlFlow::Continue(())
        })?;
    }
    sys::close_later(directory);
    Ok(seen)
}

/// How many descriptors there are; since Linux 6.2.
fn count(directory: &OwnedFd) -> Option<usize> {
    usize::try_from(fstat(directory).ok()?.st_size).ok().filter(|count| *count > 0)
}

/// The links of the first `count` numbers up to one that is not open. Mostly these are all: to list them takes as long as
/// to read two links. Returns how many there were.
fn first_links(
    directory: &OwnedFd,
    count: usize,
    buffer: &mut [u8],
    mut take: impl FnMut(&CStr, &[u8]),
) -> usize {
    for number in 0..count {
        let mut name = [0; 21];
        let at = text::digits(number as u64, &mut name[..20]);
        let Ok(name) = CStr::from_bytes_until_nul(&name[at..]) else { return number };
        match sys::read_link_at(directory, name, buffer) {
            Ok(link) => take(name, link),
            Err(_) => return number,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::proc::ProcRoot;

    /// Other tests open and close descriptors meanwhile.
    #[test]
    fn descriptors_after_a_gap_are_found_once() {
        let files: Vec<File> = (0..40).map(|_| File::open("/dev/null").expect("a file")).collect();
        let numbers: BTreeSet<String> = files.iter().map(|file| file.as_raw_fd().to_string()).collect();
        let high = nix::fcntl::fcntl(&files[0], nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(900)).expect("a copy");
        let scan = Scan::new(&ProcRoot::default()).expect("proc");
        let of = |most: usize| {
            let mut found = Vec::new();
            let this = Pid::this().as_raw();
            links_of(&scan, this, most, |name, _| found.push(name.to_string_lossy().into_owned()))
                .expect("links");
            found
        };
        let all = of(usize::MAX);
        let once: BTreeSet<String> = all.iter().cloned().collect();
        assert_eq!(once.len(), all.len(), "each once");
        assert!(once.is_superset(&numbers) && once.contains(&high.to_string()));
        assert!(of(2).len() <= 2);
        drop(files);
        _ = nix::unistd::close(high);
    }
}
