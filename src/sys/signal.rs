//! Signals by number, because nix cannot hold real-time signals, and a handler that writes to stdout.

use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

/// sigtimedwait(2): the next signal, and whether the kernel sent it, as for a key of the terminal. None
/// when the time has expired.
pub(crate) fn next_signal(set: &SigSet, limit: Option<Duration>) -> nix::Result<Option<(c_int, bool)>> {
    let limit = limit.map(TimeSpec::from);
    let limit = limit.as_ref().map_or(std::ptr::null(), |limit| std::ptr::from_ref(limit.as_ref()));
    // SAFETY: siginfo_t is plain data, for which zeros are a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: set and limit live during the call; null means no limit; the kernel writes a whole siginfo_t.
    match Errno::result(unsafe { libc::sigtimedwait(set.as_ref(), &raw mut info, limit) }) {
        Ok(signal) => Ok(Some((signal, info.si_code == libc::SI_KERNEL))),
        Err(Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Blocks these signals, and returns those that were not blocked before. To unblock them restores the mask. To set the old
/// mask does not: musl hides a signal of its own in it, number 34, which is the program's to block.
pub(crate) fn block(signals: &SigSet) -> nix::Result<SigSet> {
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    Ok(signals.iter().filter(|&signal| !before.contains(signal)).collect())
}

/// Does this process ignore the signal?
#[must_use]
pub(crate) fn is_ignored(signal: c_int) -> bool {
    // SAFETY: sigaction has a handler address, a set and flags, for which zeros are values (SIG_DFL is zero).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no new action is given; the old one is written to a whole struct.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Does the signal end this process, or is it the one with which a terminal stops it? Only of those that can be handled.
fn ends(signal: Signal) -> bool {
    use Signal::{SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
    !matches!(signal, SIGCHLD | SIGCONT | SIGKILL | SIGSTOP | SIGTTIN | SIGTTOU | SIGURG | SIGWINCH)
}

/// The bytes that [`on_end_write`] got.
static FINAL_BYTES: OnceLock<&[u8]> = OnceLock::new();

/// The settings of the terminal that stdin is, for [`on_end_restore`].
static FINAL_SETTINGS: OnceLock<libc::termios> = OnceLock::new();
/// Are these bytes written?
static HAS_SCREEN: AtomicBool = AtomicBool::new(false);
/// How often this process was continued.
static STOPS: AtomicUsize = AtomicUsize::new(0);

/// The handler of [`on_end_write`] also restores these settings of stdin.
pub(crate) fn on_end_restore(settings: &libc::termios) {
    _ = FINAL_SETTINGS.set(*settings);
}

/// How often this process was continued after a stop, since [`on_end_write`].
#[must_use]
pub(crate) fn stops() -> usize {
    STOPS.load(Ordering::Relaxed)
}

/// From now on these bytes are written to stdout before a signal terminates or stops this process: a panic too, which
/// aborts. Ignored signals stay ignored. See [`has_screen`].
pub(crate) fn on_end_write(bytes: &'static [u8]) -> nix::Result<()> {
    _ = FINAL_BYTES.set(bytes);
    for signal in Signal::iterator().filter(|signal| ends(*signal) && !is_ignored(*signal as c_int)) {
        let once = if signal == Signal::SIGTSTP { SaFlags::empty() } else { SaFlags::SA_RESETHAND };
        let action = SigAction::new(SigHandler::Handler(write_and_raise), once, SigSet::empty());
        // SAFETY: the handler makes only calls that signal-safety(7) allows, and reads a OnceLock that is set by now.
        unsafe { sigaction(signal, &action) }?;
    }
    // nix has no real-time signals. Some of them belong to the C library.
    for signal in (libc::SIGRTMIN()..=libc::SIGRTMAX()).filter(|signal| !is_ignored(*signal)) {
        // SAFETY: sigaction has a handler address, a set and flags, for which zeros are values.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = write_and_raise as extern "C" fn(c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESETHAND;
        // SAFETY: as above: the handler makes only calls that signal-safety(7) allows; the struct is whole.
        Errno::result(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    }
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler changes an atomic number only.
    unsafe { sigaction(Signal::SIGCONT, &action) }.map(drop)
}

/// Is there something on the screen that the bytes of [`on_end_write`] remove?
pub(crate) fn has_screen(is_there: bool) {
    HAS_SCREEN.store(is_there, Ordering::Relaxed);
}

extern "C" fn count(_: c_int) {
    STOPS.fetch_add(1, Ordering::Relaxed);
}

/// Writes the bytes and raises the signal again. SA_RESETHAND has restored the default action by then.
extern "C" fn write_and_raise(signal: c_int) {
    let bytes = FINAL_BYTES.get().copied().filter(|_| HAS_SCREEN.load(Ordering::Relaxed)).unwrap_or_default();
    let interrupted = Errno::last(); // after a stop the interrupted code continues, and reads its own errno
    // SAFETY: write is async-signal-safe, and reads no more than the bytes.
    unsafe { libc::write(libc::STDOUT_FILENO, bytes.as_ptr().cast(), bytes.len()) };
    if let Some(settings) = FINAL_SETTINGS.get() {
        // SAFETY: tcgetpgrp is async-signal-safe, and takes a number.
        let foreground = unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) };
        // SAFETY: getpgrp is async-signal-safe.
        let is_foreground = foreground < 0 || foreground == unsafe { libc::getpgrp() };
        // In the background, SIGTTOU would stop this process.
        if is_foreground {
            // SAFETY: tcsetattr is async-signal-safe, and reads a whole termios.
            unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, settings) };
        }
    }
    // SAFETY: raise is async-signal-safe and uses no memory of this process.
    unsafe { libc::raise(if signal == libc::SIGTSTP { libc::SIGSTOP } else { signal }) };
    interrupted.set();
}

/// Ends this process by a signal, even if it is ignored, handled or blocked.
pub(crate) fn die_of(signal: c_int) {
    // SAFETY: SIG_DFL is not a handler, so no code of this process runs when the signal arrives.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: a sigset_t has only integers, for which zeros are a value.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is a whole sigset_t.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: as above; an invalid signal number gives an error and leaves the set unchanged.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    // SAFETY: the set is read; null means that the old one is not returned.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    _ = kill(Pid::this(), signal);
}

/// Restores the default action of a signal.
pub(crate) fn default_action(signal: Signal) -> nix::Result<()> {
    // SAFETY: SIG_DFL is not a handler, so no code of this process runs when the signal arrives.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.map(drop)
}

/// PR_SET_PDEATHSIG(2const), by number.
pub(crate) fn set_parent_death_signal(signal: c_int) -> nix::Result<()> {
    // SAFETY: this operation takes a number; an invalid one gives an error.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) }).map(drop)
}

/// kill(2), by number.
pub(crate) fn kill(pid: Pid, signal: c_int) -> nix::Result<()> {
    // SAFETY: the call takes two numbers and uses no memory of this process.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_leaves_errno_alone() {
        Errno::EDOM.set();
        write_and_raise(12_345); // not a signal: raise fails
        assert_eq!(Errno::last(), Errno::EDOM);
    }
}
