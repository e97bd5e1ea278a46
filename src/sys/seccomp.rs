//! seccomp(2).

use std::ffi::c_uint;

use nix::errno::Errno;

/// Installs a filter, which cannot be removed. `flags` are SECCOMP_FILTER_FLAG bits.
pub(crate) fn install_filter(program: &mut [libc::sock_filter], flags: c_uint) -> nix::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel copies as many instructions as the length says, from a slice of that length.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }).map(drop)
}
