//! The memory of another process: `/proc/PID/mem`. A read waits for the lock of that memory, as for its arguments.

use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use super::arguments::account_of;
use crate::proc::ProcRoot;

/// Eight bytes at an address. ETIMEDOUT: the memory is locked, or a page of it does not arrive.
#[allow(unsafe_code)] // access::once
pub(crate) fn word(proc: &ProcRoot, pid: Pid, address: u64) -> nix::Result<u64> {
    let path = proc.path_of(pid, "mem");
    let read = || {
        let mut word = [0; 8];
        let file = std::fs::File::open(&path);
        match file.and_then(|file| file.read_exact_at(&mut word, address)) {
            Ok(()) => word.to_vec(),
            Err(_) => Vec::new(),
        }
    };
    // SAFETY: the closure holds a path and a number.
    let answer = unsafe { super::once(account_of(proc, pid), read) }?;
    let word = answer.try_into().map_err(|_| nix::errno::Errno::EIO)?;
    Ok(u64::from_ne_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_read() {
        let number = std::hint::black_box(Box::new(0x0123_4567_89ab_cdef_u64));
        let address = std::ptr::from_ref(&*number) as u64;
        assert_eq!(word(&ProcRoot::default(), Pid::this(), address), Ok(*number));
        assert!(word(&ProcRoot::default(), Pid::this(), 8).is_err());
    }
}
