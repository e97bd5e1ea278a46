//! Capabilities of this process: capget(2), capset(2) and prctl(2).

use nix::errno::Errno;
use nix::unistd::{Pid, Uid, setuid};

use super::text::{Flags, Iab};
use super::{Mask, TABLE, all, bits};
use crate::sys;

pub(crate) const SETGID: Mask = 1 << 6;
pub(crate) const SETUID: Mask = 1 << 7;
pub(crate) const SETPCAP: Mask = 1 << 8;
pub(crate) const NET_ADMIN: Mask = 1 << 12;
pub(crate) const SYS_MODULE: Mask = 1 << 16;
pub(crate) const SYS_CHROOT: Mask = 1 << 18;
pub(crate) const SYS_PTRACE: Mask = 1 << 19;
pub(crate) const SYS_ADMIN: Mask = 1 << 21;

pub(crate) mod securebits {
    /// noroot, no_setuid_fixup and no_cap_ambient_raise are set; these and keep_caps are locked.
    pub(crate) const PURE: u32 = 0xef;
    pub(crate) const NO_AMBIENT_RAISE: u32 = 1 << 6;

    /// The bits that are shown, and their names. The next higher bit locks each.
    pub(crate) const NAMES: [(u32, &str); 4] =
        [(0, "noroot"), (2, "no-suid-fixup"), (4, "keep-caps"), (6, "no-ambient-raise")];
}

/// The last capability of the kernel. Takes two calls if it is the last one of the table. An error if the kernel does
/// not report it: an unknown set must not be shown as known.
pub fn last() -> nix::Result<u8> {
    let newest = TABLE.len() as u8 - 1;
    let mut last = newest;
    if bound(newest)?.is_none() {
        while bound(last)?.is_none() {
            last = last.checked_sub(1).ok_or(Errno::EINVAL)?; // every kernel has one
        }
        return Ok(last);
    }
    while last < 63 && bound(last + 1)?.is_some() {
        last += 1;
    }
    Ok(last)
}

/// Sets of a process or thread; 0 is this one.
pub(crate) fn flags_of(pid: Pid) -> nix::Result<Flags> {
    let halves = sys::capget(pid)?;
    let whole = |low: usize| Mask::from(halves[low]) | Mask::from(halves[low + 3]) << 32;
    Ok(Flags { effective: whole(0), permitted: whole(1), inheritable: whole(2) })
}

pub(crate) fn flags() -> nix::Result<Flags> {
    flags_of(Pid::from_raw(0))
}

#[allow(clippy::cast_possible_truncation)] // splits into halves
pub fn set_flags(flags: Flags) -> nix::Result<()> {
    let low = [flags.effective, flags.permitted, flags.inheritable].map(|mask| mask as u32);
    let high = [flags.effective, flags.permitted, flags.inheritable].map(|mask| (mask >> 32) as u32);
    sys::capset([low[0], low[1], low[2], high[0], high[1], high[2]])
}

/// Is it in the bounding set? None if the kernel does not know it.
pub(crate) fn bound(number: u8) -> nix::Result<Option<bool>> {
    match sys::bounding_set_read(number) {
        Ok(answer) => Ok(Some(answer)),
        Err(Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn bounding(last: u8) -> nix::Result<Mask> {
    set_of(last, |number| Ok(bound(number)? == Some(true)))
}

fn set_of(last: u8, is_in: impl Fn(u8) -> nix::Result<bool>) -> nix::Result<Mask> {
    bits(all(last)).try_fold(0, |mask, number| Ok(mask | Mask::from(is_in(number)?) << number))
}

pub(crate) fn drop_bound(number: u8) -> nix::Result<()> {
    sys::bounding_set_drop(number)
}

/// Is it ambient? An error if the kernel lacks ambient capabilities, or this capability.
pub(crate) fn is_ambient(number: u8) -> nix::Result<bool> {
    sys::ambient_is_set(number)
}

/// Empty before Linux 4.3, which added ambient capabilities.
pub(crate) fn ambient(last: u8) -> nix::Result<Mask> {
    set_of(last, |number| match is_ambient(number) {
        Err(Errno::EINVAL) => Ok(false),
        answer => answer,
    })
}

pub(crate) fn raise_ambient(number: u8) -> nix::Result<()> {
    sys::ambient_raise(number)
}

pub(crate) fn lower_ambient(number: u8) -> nix::Result<()> {
    sys::ambient_lower(number)
}

pub(crate) fn clear_ambient() -> nix::Result<()> {
    sys::ambient_clear()
}

pub(crate) fn securebits() -> nix::Result<u32> {
    sys::securebits()
}

pub(crate) fn set_securebits(bits: u32) -> nix::Result<()> {
    sys::set_securebits(bits)
}

pub(crate) fn set_keep(value: u32) -> nix::Result<()> {
    sys::set_keep_caps(value)
}

pub(crate) fn no_new_privs() -> nix::Result<bool> {
    nix::sys::prctl::get_no_new_privs()
}

pub fn set_no_new_privs() -> nix::Result<()> {
    nix::sys::prctl::set_no_new_privs()
}

/// Runs an operation with `mask` effective, and restores the effective set. Makes no system call if the set is
/// already effective. The outer Err: it could not be made effective.
pub(crate) fn with<T>(mask: Mask, work: impl FnOnce() -> T) -> Result<T, Errno> {
    let before = flags()?;
    if before.effective & mask == mask {
        return Ok(work());
    }
    set_flags(Flags { effective: before.effective | mask, ..before })?;
    let result = work();
    set_flags(before)?;
    Ok(result)
}

/// Changes the user and keeps the permitted set; afterwards no capability is effective (cap_setuid(3)).
pub(crate) fn set_user(uid: Uid) -> nix::Result<()> {
    let before = flags()?;
    match set_keep(1) {
        Ok(()) | Err(Errno::EPERM) => {} // keep_caps is locked: not needed, or without effect
        Err(errno) => return Err(errno),
    }
    let done = set_flags(Flags { effective: before.effective | SETUID, ..before }).and_then(|()| setuid(uid));
    _ = set_keep(0);
    let lowered = flags().and_then(|now| set_flags(Flags { effective: 0, ..now }));
    done.and(lowered)
}

/// Changes the groups; afterwards no capability is effective (cap_setgroups(3)).
pub(crate) fn set_groups(gid: nix::unistd::Gid, groups: &[nix::unistd::Gid]) -> nix::Result<()> {
    let before = flags()?;
    set_flags(Flags { effective: before.effective | SETGID, ..before })?;
    let done = nix::unistd::setgid(gid).and_then(|()| nix::unistd::setgroups(groups));
    let lowered = set_flags(Flags { effective: 0, ..before });
    done.and(lowered)
}

/// Sets the inheritable, ambient and bounding sets. The bounding set can only lose capabilities
/// (cap_iab_set_proc(3)).
pub(crate) fn set_iab(iab: Iab, last: u8) -> nix::Result<()> {
    let before = flags()?;
    let known = all(last);
    let inheritable = iab.inheritable & known;
    let needed = if iab.blocked & known != 0 || inheritable & !before.inheritable != 0 { SETPCAP } else { 0 };
    set_flags(Flags { effective: before.effective | needed, inheritable, ..before })?;
    let done = inherit(iab, last);
    let restored = set_flags(Flags { inheritable, ..before });
    done.and(restored)
}

fn inherit(iab: Iab, last: u8) -> nix::Result<()> {
    if ambient(last)? != 0 {
        clear_ambient()?;
    }
    bits(iab.blocked & bounding(last)?).try_for_each(drop_bound)?;
    bits(iab.ambient & all(last)).try_for_each(raise_ambient)
}
