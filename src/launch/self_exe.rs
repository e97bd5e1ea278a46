//! The ctrbox program as a file that no process inside a container can write to.
//!
//! A program in the container may be a link to /proc/self/exe, or a script that names it as interpreter. Then
//! execve(2) starts ctrbox once more, inside, and for that moment the container's processes can open /proc/PID/exe.
//! They keep it, wait until ctrbox has ended, open it for writing and overwrite the host's binary (CVE-2019-5736). So
//! the file behind /proc/self/exe must be read-only for good before a container is entered.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access};

use crate::sys::mounts;

const OWN: &str = "/proc/self/exe";

/// Could a container write to the program file? Not through a read-only mount (EROFS). If this process may not write
/// to the file (EACCES), neither may the processes of a container that the same user owns.
#[must_use]
pub(crate) fn exposed() -> bool {
    access(OWN, AccessFlags::W_OK).is_ok() && !open_own().is_ok_and(|file| is_sealed(&file))
}

/// A protected file to execute instead of the program file. It is the file on a read-only mount of its own, which is
/// detached: no process can find it to make it writable again. A restart from it takes 150 microseconds. Where mounts
/// are not allowed, or before Linux 5.12, it is a copy in memory, which takes 600.
pub(crate) fn shielded() -> Result<OwnedFd> {
    let own =
        open(OWN, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).context("cannot open /proc/self/exe")?;
    match read_only_view(&own) {
        Ok(view) => Ok(view),
        Err(_) => sealed(),
    }
}

fn read_only_view(own: &OwnedFd) -> nix::Result<OwnedFd> {
    let view = mounts::clone_tree(own, c"", false)?;
    mounts::make_read_only(&view)?;
    Ok(view)
}

/// A copy in memory that no process can change, not even this one.
pub(crate) fn sealed() -> Result<OwnedFd> {
    // Since Linux 6.3 an executable memfd should have a flag (memfd_create(2)).
    let executable = MFdFlags::from_bits_retain(libc::MFD_EXEC);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let copy = memfd_create("ctrbox", flags | executable).or_else(|errno| match errno {
        Errno::EINVAL => memfd_create("ctrbox", flags),
        errno => Err(errno),
    });
    let copy = copy.context("memfd_create failed")?;
    let mut own = open_own()?;
    let mut file = File::from(copy);
    std::io::copy(&mut own, &mut file).context("cannot copy /proc/self/exe into memory")?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(all_seals())).context("cannot seal the copy of /proc/self/exe")?;
    read_only(&file)
}

/// Another descriptor of the file, opened read-only.
fn read_only(file: &File) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    open(path.as_str(), flags, Mode::empty()).context("cannot open the copy of /proc/self/exe")
}

fn open_own() -> Result<File> {
    File::open(OWN).context("cannot open /proc/self/exe")
}

fn all_seals() -> SealFlag {
    SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE
}

fn is_sealed(file: &File) -> bool {
    fcntl(file, FcntlArg::F_GET_SEALS)
        .is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(all_seals()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_sealed_copy_is_identical_and_cannot_be_changed() {
        let copy = File::from(sealed().expect("a copy"));
        assert!(is_sealed(&copy));
        let (own, length) = (open_own().expect("own program"), copy.metadata().expect("its size").len());
        assert_eq!(own.metadata().expect("its size").len(), length);
        let (mut a, mut b) = ([0; 4096], [0; 4096]);
        for at in [0, length / 2, length - 4096] {
            own.read_exact_at(&mut a, at).expect("bytes");
            copy.read_exact_at(&mut b, at).expect("bytes");
            assert_eq!(a, b);
        }
        assert!((&copy).write(b"x").is_err());
        assert!(copy.set_len(0).is_err());
        let reopened = File::options().write(true).open(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        assert!(
            !reopened.is_ok_and(|mut file| file.write(b"x").is_ok()),
            "sealed also after opening it again"
        );
        assert!(!is_sealed(&open_own().expect("own program")));
    }
}
