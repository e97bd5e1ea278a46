//! capget(2), capset(2), and the operations of prctl(2) that concern capabilities. Each operation has its own function,
//! because prctl(2) with an arbitrary operation could write to any address.

use std::ffi::{c_int, c_ulong};

use nix::errno::Errno;
use nix::unistd::Pid;

/// The header of capget(2) and capset(2).
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

/// The version with 64 capabilities.
const CAP_VERSION_3: u32 = 0x2008_0522;

/// capget(2): effective, permitted and inheritable set of capabilities 0 to 31, then of 32 to 63.
pub(crate) fn capget(pid: Pid) -> nix::Result<[u32; 6]> {
    let mut header = CapHeader { version: CAP_VERSION_3, pid: pid.as_raw() };
    let mut sets = [0; 6];
    // SAFETY: for this version the kernel writes six 32-bit numbers, and may write to the header.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) })?;
    Ok(sets)
}

/// capset(2) of this thread, in the order of [`capget`].
pub(crate) fn capset(sets: [u32; 6]) -> nix::Result<()> {
    let mut header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    // SAFETY: for this version the kernel reads six 32-bit numbers, and may write to the header.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) }).map(drop)
}

/// prctl(2), with zeros for the unused arguments.
///
/// # Safety
/// `operation` takes numbers: it neither reads nor writes at an address.
unsafe fn prctl(operation: c_int, first: c_ulong, second: c_ulong) -> nix::Result<c_int> {
    let none: c_ulong = 0;
    // SAFETY: the caller promises that no argument is an address.
    Errno::result(unsafe { libc::prctl(operation, first, second, none, none) })
}

/// PR_CAPBSET_READ(2const): is the capability in the bounding set? EINVAL: the kernel does not know it.
pub(crate) fn bounding_set_read(capability: u8) -> nix::Result<bool> {
    // SAFETY: the operation takes a number.
    unsafe { prctl(libc::PR_CAPBSET_READ, capability.into(), 0) }.map(|answer| answer != 0)
}

/// PR_CAPBSET_DROP(2const).
pub(crate) fn bounding_set_drop(capability: u8) -> nix::Result<()> {
    // SAFETY: the operation takes a number.
    unsafe { prctl(libc::PR_CAPBSET_DROP, capability.into(), 0) }.map(drop)
}

/// One of the operations of PR_CAP_AMBIENT(2const).
fn ambient(what: c_int, capability: u8) -> nix::Result<c_int> {
    // SAFETY: the operation takes two numbers.
    unsafe { prctl(libc::PR_CAP_AMBIENT, what.unsigned_abs().into(), capability.into()) }
}

/// PR_CAP_AMBIENT_IS_SET. EINVAL before Linux 4.3, and when the kernel does not know the capability.
pub(crate) fn ambient_is_set(capability: u8) -> nix::Result<bool> {
    ambient(libc::PR_CAP_AMBIENT_IS_SET, capability).map(|answer| answer != 0)
}

/// PR_CAP_AMBIENT_RAISE.
pub(crate) fn ambient_raise(capability: u8) -> nix::Result<()> {
    ambient(libc::PR_CAP_AMBIENT_RAISE, capability).map(drop)
}

/// PR_CAP_AMBIENT_LOWER.
pub(crate) fn ambient_lower(capability: u8) -> nix::Result<()> {
    ambient(libc::PR_CAP_AMBIENT_LOWER, capability).map(drop)
}

/// PR_CAP_AMBIENT_CLEAR_ALL.
pub(crate) fn ambient_clear() -> nix::Result<()> {
    ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0).map(drop)
}

/// PR_GET_SECUREBITS(2const).
pub(crate) fn securebits() -> nix::Result<u32> {
    // SAFETY: the operation takes no argument.
    unsafe { prctl(libc::PR_GET_SECUREBITS, 0, 0) }.map(c_int::unsigned_abs)
}

/// PR_SET_SECUREBITS(2const).
pub(crate) fn set_securebits(bits: u32) -> nix::Result<()> {
    // SAFETY: the operation takes a number.
    unsafe { prctl(libc::PR_SET_SECUREBITS, bits.into(), 0) }.map(drop)
}

/// PR_SET_KEEPCAPS(2const). EINVAL for more than 1, a value that nix's function cannot pass.
pub(crate) fn set_keep_caps(value: u32) -> nix::Result<()> {
    // SAFETY: the operation takes a number.
    unsafe { prctl(libc::PR_SET_KEEPCAPS, value.into(), 0) }.map(drop)
}
