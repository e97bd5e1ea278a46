//! Relays between two terminals: bytes in both directions, the window size, stop and end.
//!
//! One loop on poll(2). Signals are blocked and read from a signalfd(2), so that none interrupts the work and the
//! terminal is restored before a signal ends this process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, read, write};

use super::Session;
use super::raw::Raw;
use crate::exit::Exit;
use crate::launch::exec::as_child;
use crate::sys::{self, Ended, Stdio};

/// The buffer size for a slow reader; when it is full, the writer waits.
const ROOM: usize = 64 * 1024;
/// The most bytes that a write does not block for after poll(2): for a pipe (PIPE_BUF) and for a terminal.
const PIPE: usize = 4096;
const TERMINAL: usize = 256;
/// VEOF: ends the input of a terminal, at the beginning of a line.
const END_OF_INPUT: u8 = 4;

/// Signals of a fault in this process: they are not blocked, and end it at once.
const FAULTS: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
];

struct Relay {
    master: OwnedFd,
    /// Open while the child runs, so that the terminal stays when no other process has it open.
    slave: Option<OwnedFd>,
    /// The caller's terminal; without one, stdin and stdout are used.
    own: Option<Raw>,
    /// Input for the program. `input` is false after its end.
    typed: Vec<u8>,
    input: bool,
    /// Output of the program.
    shown: Vec<u8>,
    output: bool,
    /// The most bytes in one write to the caller.
    most: usize,
    at_line_start: bool,
    hung_up: bool,
}

enum End {
    Child(Ended),
    /// By a signal to this process, or because the caller's terminal has hung up.
    Relay(i32),
}

pub(super) fn run(session: Session, child: Pid) -> Result<u8, Exit> {
    let signals = watched();
    signals.thread_block().context("sigprocmask block failed")?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
    let signals = signals.context("signalfd failed")?;
    let Session { terminal, master, slave, .. } = session;
    let blocks = |fd: &OwnedFd| fcntl(fd, FcntlArg::F_GETFL).is_ok_and(|flags| flags & libc::O_NONBLOCK == 0);
    let most = match &terminal {
        Some(terminal) if blocks(terminal) => TERMINAL,
        Some(_) => ROOM,
        None => PIPE,
    };
    let mut relay = Relay {
        master,
        slave: Some(slave),
        own: terminal.map(Raw::new),
        typed: Vec::new(),
        input: true,
        shown: Vec::new(),
        output: true,
        most,
        at_line_start: true,
        hung_up: false,
    };
    relay.attach();
    let end = relay.until_the_end(&signals, child);
    drop(relay); // restores the caller's terminal and closes the program's
    match end? {
        End::Child(ended) => as_child(ended),
        End::Relay(signal) => {
            sys::die_of(signal);
            Ok(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
        }
    }
}

/// All signals except those of a fault, and those that the caller ignores.
fn watched() -> SigSet {
    let mut signals = SigSet::all();
    FAULTS.into_iter().for_each(|fault| signals.remove(fault));
    let ignored = Signal::iterator().filter(|&signal| sys::is_ignored(signal as i32));
    ignored.for_each(|signal| signals.remove(signal));
    // SIGPIPE: write(2) reports the error. SIGCHLD: the child.
    signals.add(Signal::SIGPIPE);
    signals.add(Signal::SIGCHLD);
    // Setting the terminal from the background must not stop this process.
    signals.add(Signal::SIGTTOU);
    signals
}

impl Relay {
    /// The caller's terminal is available, at first or again.
    fn attach(&mut self) {
        if let Some(own) = &mut self.own {
            own.take();
        }
        self.resize();
    }

    fn resize(&self) {
        if let Some(size) = self.own.as_ref().and_then(|own| sys::window_size(own.terminal())) {
            _ = sys::set_window_size(&self.master, &size);
        }
    }

    fn until_the_end(&mut self, signals: &SignalFd, child: Pid) -> Result<End> {
        // The child may have ended before the signals were blocked.
        if let Some(end) = self.check_child(child)? {
            return self.finish(signals, end);
        }
        loop {
            self.pass_on(signals)?;
            while let Some(info) = signals.read_signal().context("cannot read the signals")? {
                let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
                match Signal::try_from(signal) {
                    Ok(Signal::SIGCHLD) => {
                        if let Some(end) = self.check_child(child)? {
                            return self.finish(signals, end);
                        }
                    }
                    Ok(Signal::SIGWINCH) => self.resize(),
                    Ok(Signal::SIGCONT) => self.attach(),
                    Ok(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) => self.stop()?,
                    Ok(Signal::SIGURG | Signal::SIGPIPE) => {}
                    _ => return Ok(End::Relay(signal)),
                }
            }
            if self.hung_up {
                return Ok(End::Relay(libc::SIGHUP));
            }
        }
    }

    /// Has the child ended? If it has stopped, this process stops too, and continues it afterwards.
    fn check_child(&mut self, child: Pid) -> Result<Option<Ended>> {
        loop {
            match sys::wait(child, libc::WNOHANG | libc::WUNTRACED).context("waitpid failed")? {
                Ended::StillRunning => return Ok(None),
                Ended::Stopped => {
                    self.show_available();
                    self.stop()?;
                    kill(child, Signal::SIGCONT)?;
                }
                ended => return Ok(Some(ended)),
            }
        }
    }

    /// Returns when this process is continued.
    fn stop(&mut self) -> Result<()> {
        if let Some(own) = &mut self.own {
            own.give_back();
        }
        kill(Pid::this(), Signal::SIGSTOP)?;
        self.attach();
        Ok(())
    }

    /// Shows the output that the program has written. Does not wait for other processes that have the terminal open.
    fn finish(&mut self, signals: &SignalFd, ended: Ended) -> Result<End> {
        self.slave = None;
        self.input = false;
        self.typed.clear();
        loop {
            // Everything that was written before its end can be read now.
            while self.shown.len() < ROOM && self.fetch_shown() {}
            if !self.output {
                self.shown.clear();
            }
            if self.shown.is_empty() {
                return Ok(End::Child(ended));
            }
            self.pass_on(signals)?;
            while let Some(info) = signals.read_signal().context("cannot read the signals")? {
                let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
                let deadly = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
                if deadly.contains(&signal) {
                    return Ok(End::Relay(signal));
                }
            }
        }
    }

    /// Waits until something can be relayed, and relays once.
    fn pass_on(&mut self, signals: &SignalFd) -> Result<()> {
        let usable = self.own.as_ref().is_none_or(Raw::is_usable);
        let reads = self.input && usable && self.typed.len() < ROOM;
        let shows = self.output && !self.shown.is_empty();
        let mut of_master = PollFlags::empty();
        of_master.set(PollFlags::POLLIN, self.slave.is_some() && (self.shown.len() < ROOM || !self.output));
        of_master.set(PollFlags::POLLOUT, !self.typed.is_empty());
        // Files that are not needed are not polled: a hang-up would be reported again and again.
        let wanted = [
            (true, signals.as_fd(), PollFlags::POLLIN),
            (!of_master.is_empty(), self.master.as_fd(), of_master),
            (reads, self.end(&Stdio::Input), PollFlags::POLLIN),
            (shows, self.end(&Stdio::Output), PollFlags::POLLOUT),
        ];
        let mut polled: Vec<PollFd<'_>> = wanted
            .iter()
            .filter(|(is_polled, ..)| *is_polled)
            .map(|&(_, fd, flags)| PollFd::new(fd, flags))
            .collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll failed"),
        }
        let mut events = polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let answers = wanted.map(|(is_polled, ..)| match is_polled {
            true => events.next().unwrap_or(PollFlags::empty()),
            false => PollFlags::empty(),
        });
        let [_, of_master, of_input, of_output] = answers;
        if of_master.contains(PollFlags::POLLIN) {
            self.fetch_shown();
        }
        if of_master.contains(PollFlags::POLLOUT) {
            put(&self.master, &mut self.typed, ROOM);
        }
        if !of_input.is_empty() {
            self.fetch_typed(of_input.contains(PollFlags::POLLHUP));
        }
        if !of_output.is_empty() {
            self.show();
        }
        Ok(())
    }

    /// The caller's terminal, or the standard descriptor in its place.
    fn end(&self, standard: &'static Stdio) -> BorrowedFd<'_> {
        self.own.as_ref().map_or(standard.as_fd(), |own| own.terminal().as_fd())
    }

    /// Reads output of the program. False if there is none at the moment.
    fn fetch_shown(&mut self) -> bool {
        let mut buffer = [0; PIPE];
        match read(&self.master, &mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                if self.output {
                    self.shown.extend_from_slice(&buffer[..length]);
                }
                true
            }
        }
    }

    fn fetch_typed(&mut self, hang_up: bool) {
        let mut buffer = [0; PIPE];
        let length = match read(self.end(&Stdio::Input), &mut buffer) {
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Ok(length) => length,
            Err(_) => 0,
        };
        match &self.own {
            _ if length > 0 => {
                self.typed.extend_from_slice(&buffer[..length]);
                self.at_line_start = buffer[length - 1] == b'\n';
            }
            Some(_) if hang_up => self.hung_up = true,
            // Another process has left raw mode, or this process was moved to the background.
            Some(_) => {}
            None => {
                self.input = false;
                // The first of two ends an unfinished line.
                let times = if self.at_line_start { 1 } else { 2 };
                self.typed.extend(std::iter::repeat_n(END_OF_INPUT, times));
            }
        }
    }

    /// Shows as much as possible without waiting.
    fn show_available(&mut self) {
        while self.shown.len() < ROOM && self.fetch_shown() {}
        let mut left = usize::MAX;
        while self.output && self.shown.len() < left {
            left = self.shown.len();
            self.show();
        }
    }

    fn show(&mut self) {
        let fd = self.own.as_ref().map_or(Stdio::Output.as_fd(), |own| own.terminal().as_fd());
        // The reader has gone: the program must not wait for it.
        if !put(fd, &mut self.shown, self.most) {
            self.output = false;
        }
    }
}

/// Writes a part. False if writing is impossible.
fn put(fd: impl AsFd, bytes: &mut Vec<u8>, most: usize) -> bool {
    match write(fd, &bytes[..bytes.len().min(most)]) {
        Ok(written) => {
            bytes.drain(..written);
            true
        }
        Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
    }
}
