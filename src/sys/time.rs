//! Local time and sleep.

use std::ffi::c_int;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;

/// A date and time in the local time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: i64,
    /// From 1 to 12.
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
}

/// localtime_r(3): converts seconds since 1970.
#[must_use]
pub(crate) fn local_time(epoch: i64) -> Option<LocalTime> {
    // SAFETY: a tm has integers, and a pointer for which null is a value.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: it reads a time_t and writes a whole tm, or returns null.
    if unsafe { libc::localtime_r(&raw const epoch, &raw mut tm) }.is_null() {
        return None;
    }
    let part = |part: c_int| u8::try_from(part).ok();
    Some(LocalTime {
        year: i64::from(tm.tm_year) + 1900,
        month: part(tm.tm_mon + 1)?,
        day: part(tm.tm_mday)?,
        hour: part(tm.tm_hour)?,
        minute: part(tm.tm_min)?,
        second: part(tm.tm_sec)?,
    })
}

/// nanosleep(2). std's sleep aborts when the call fails.
pub(crate) fn sleep(time: Duration) -> nix::Result<()> {
    let mut left = *TimeSpec::from(time.min(Duration::from_secs(1 << 32))).as_ref();
    loop {
        let wanted = left;
        // SAFETY: the kernel reads a timespec, and writes the remaining time to another when a signal arrives.
        match Errno::result(unsafe { libc::nanosleep(&raw const wanted, &raw mut left) }) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}
