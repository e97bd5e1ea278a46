//! Files of a process that can block as its arguments do, and that only a report about it needs.
//!
//! A read of `/proc/PID/mem` waits for the lock of the memory and for its pages. `syscall` and `io` wait for the end of
//! execve(2): the kernel holds exec_update_lock meanwhile, and the end does not come if execve(2) closes a file of a FUSE
//! server that does not answer.

use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::arguments::account_of;
use crate::proc::signals::{SignalSet, awaited_set};
use crate::proc::{ProcRoot, Process, number};

/// The signals that the threads wait for now with rt_sigtimedwait(2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    pub signals: SignalSet,
    /// Not all threads could be examined.
    pub is_refused: bool,
}

/// ETIMEDOUT: the memory is locked, or a page of it does not arrive, or an execve(2) does not end.
#[allow(unsafe_code)] // access::once
pub(crate) fn awaited(proc: &ProcRoot, pid: Pid, threads: &[&str]) -> nix::Result<Awaited> {
    let read = || {
        let process = proc.process(pid);
        let mut all = Awaited::default();
        for thread in threads {
            // Without rights the kernel shows 0 here, and refuses the other file.
            let place = process.waits_in(thread).unwrap_or_default();
            if !(place.starts_with(b"do_sigtimedwait") || place == b"0" || place.is_empty()) {
                continue;
            }
            match process.system_call(thread) {
                Ok(text) => all.signals |= awaited_set(&text).and_then(|at| word(&process, at)).unwrap_or(0),
                // It may wait for any signal.
                Err(_) => all.is_refused = true,
            }
        }
        [&all.signals.to_ne_bytes()[..], &[all.is_refused.into()]].concat()
    };
    // SAFETY: the closure holds a path, numbers and text.
    let answer = unsafe { super::once(account_of(proc, pid), read) }?;
    let (signals, refused) = answer.split_first_chunk().ok_or(Errno::EIO)?;
    Ok(Awaited { signals: u64::from_ne_bytes(*signals), is_refused: refused != [0] })
}

/// Eight bytes at an address.
fn word(process: &Process<'_>, address: u64) -> Option<u64> {
    let mut word = [0; 8];
    let file = std::fs::File::open(process.path("mem")).ok()?;
    file.read_exact_at(&mut word, address).ok()?;
    Some(u64::from_ne_bytes(word))
}

/// The bytes that processes of one container read from disks and wrote there. EACCES: the caller may not know. ENOENT: no
/// process has the file. ETIMEDOUT: an execve(2) does not end.
#[allow(unsafe_code)] // access::once
pub(crate) fn disk_bytes(proc: &ProcRoot, pids: &[i32]) -> nix::Result<(u64, u64)> {
    let Some(first) = pids.first() else { return Ok((0, 0)) };
    let read = || {
        let (mut read, mut written, mut count) = (0_u64, 0_u64, 0_u64);
        for pid in pids {
            let text = match proc.process(Pid::from_raw(*pid)).io() {
                Ok(text) => text,
                Err(error) if error.raw_os_error() == Some(libc::EACCES) => return Vec::new(),
                Err(_) => continue,
            };
            let named = |name: &[u8]| {
                let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name));
                line.and_then(|value| number::<u64>(value.trim_ascii())).unwrap_or(0)
            };
            read = read.saturating_add(named(b"read_bytes:"));
            written = written.saturating_add(named(b"write_bytes:"));
            count += 1;
        }
        [read, written, count].map(u64::to_ne_bytes).concat()
    };
    // SAFETY: the closure holds a path and numbers.
    let answer = unsafe { super::once(account_of(proc, Pid::from_raw(*first)), read) }?;
    if answer.is_empty() {
        return Err(Errno::EACCES);
    }
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    let numbers: Vec<u64> = answer.chunks_exact(8).map(number).collect();
    match numbers[..] {
        [_, _, 0] => Err(Errno::ENOENT),
        [read, written, _] => Ok((read, written)),
        _ => Err(Errno::EIO),
    }
}

/// The targets of links whose paths the owner of the process chooses. The target is empty if the file is not a link.
/// ETIMEDOUT: a file system does not answer.
#[allow(unsafe_code)] // access::once
pub(crate) fn links(
    proc: &ProcRoot,
    pid: Pid,
    paths: &[std::path::PathBuf],
) -> nix::Result<Vec<std::path::PathBuf>> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let read = || {
        let mut answer = Vec::new();
        for path in paths {
            let target = std::fs::read_link(path).unwrap_or_default();
            answer.extend_from_slice(target.as_os_str().as_bytes());
            answer.push(0);
        }
        answer
    };
    // SAFETY: the closure holds paths.
    let answer = unsafe { super::once(account_of(proc, pid), read) }?;
    let targets = answer.split(|&b| b == 0).take(paths.len());
    Ok(targets.map(|target| std::ffi::OsString::from_vec(target.to_vec()).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_read() {
        let number = std::hint::black_box(Box::new(0x0123_4567_89ab_cdef_u64));
        let address = std::ptr::from_ref(&*number) as u64;
        let proc = ProcRoot::default();
        let process = proc.process(Pid::this());
        assert_eq!(word(&process, address), Some(*number));
        assert!(word(&process, 8).is_none());
    }

    #[test]
    fn links_and_what_is_none() {
        let paths = ["/proc/self/exe", "/", "/proc/self/root"].map(std::path::PathBuf::from);
        let found = links(&ProcRoot::default(), Pid::this(), &paths).expect("an answer");
        assert_eq!(found.len(), 3);
        assert!(found[0].is_absolute() && found[1].as_os_str().is_empty());
        assert_eq!(found[2], std::path::Path::new("/"));
    }
}
