//! Between two terminals: bytes both ways, the size of the window, stopping and ending.
//!
//! One loop on poll(2). Signals are blocked and come as bytes of a signalfd(2), so that none comes at a bad
//! moment and the terminal is given back before any of them ends us.

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

/// What is kept for a reader that is slower than its writer; then the writer waits.
const ROOM: usize = 64 * 1024;
/// What a write may take that poll(2) called possible, and not block: of a pipe (PIPE_BUF) and of a terminal.
const PIPE: usize = 4096;
const TERMINAL: usize = 256;
/// VEOF: what ends the input that a terminal gives, at the beginning of a line.
const END_OF_INPUT: u8 = 4;

/// Signals that say something of us, not of a bug: those end us where they stand.
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
    /// Open as long as the child runs, so that the terminal outlives moments in which nobody has it open.
    slave: Option<OwnedFd>,
    /// Our own terminal; without, stdin and stdout serve.
    own: Option<Raw>,
    /// What was typed, to the program. None once there is no more.
    typed: Vec<u8>,
    input: bool,
    /// What the program shows, to us.
    shown: Vec<u8>,
    output: bool,
    /// How much may be written to us at once.
    most: usize,
    at_line_start: bool,
    hung_up: bool,
}

enum End {
    Child(Ended),
    /// By a signal to us, or because the terminal has gone.
    Us(i32),
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
    drop(relay); // gives the terminal back, and hangs up the program's
    match end? {
        End::Child(ended) => as_child(ended),
        End::Us(signal) => {
            sys::die_of(signal);
            Ok(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
        }
    }
}

/// All but those that tell of a bug of ours, and those that our caller had us ignore.
fn watched() -> SigSet {
    let mut signals = SigSet::all();
    FAULTS.into_iter().for_each(|fault| signals.remove(fault));
    let ignored = Signal::iterator().filter(|&signal| sys::is_ignored(signal as i32));
    ignored.for_each(|signal| signals.remove(signal));
    // A reader of our output that goes is seen by the write; SIGCHLD is what we wait for.
    signals.add(Signal::SIGPIPE);
    signals.add(Signal::SIGCHLD);
    // A copy of the terminal's settings from the background must not stop us.
    signals.add(Signal::SIGTTOU);
    signals
}

impl Relay {
    /// The terminal is ours, at first or again.
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
        // It may have ended before we listened.
        if let Some(end) = self.look_after(child)? {
            return self.finish(signals, end);
        }
        loop {
            self.pass_on(signals)?;
            while let Some(info) = signals.read_signal().context("cannot read the signals")? {
                let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
                match Signal::try_from(signal) {
                    Ok(Signal::SIGCHLD) => {
                        if let Some(end) = self.look_after(child)? {
                            return self.finish(signals, end);
                        }
                    }
                    Ok(Signal::SIGWINCH) => self.resize(),
                    Ok(Signal::SIGCONT) => self.attach(),
                    Ok(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) => self.stop()?,
                    Ok(Signal::SIGURG | Signal::SIGPIPE) => {}
                    _ => return Ok(End::Us(signal)),
                }
            }
            if self.hung_up {
                return Ok(End::Us(libc::SIGHUP));
            }
        }
    }

    /// Has the child ended? One that stopped stops us, and goes on when we do.
    fn look_after(&mut self, child: Pid) -> Result<Option<Ended>> {
        loop {
            match sys::wait(child, libc::WNOHANG | libc::WUNTRACED).context("waitpid failed")? {
                Ended::Not => return Ok(None),
                Ended::Stopped => {
                    self.show_what_there_is();
                    self.stop()?;
                    kill(child, Signal::SIGCONT)?;
                }
                ended => return Ok(Some(ended)),
            }
        }
    }

    /// Comes back when we are told to go on.
    fn stop(&mut self) -> Result<()> {
        if let Some(own) = &mut self.own {
            own.give_back();
        }
        kill(Pid::this(), Signal::SIGSTOP)?;
        self.attach();
        Ok(())
    }

    /// What the program has written is shown still. What others have it open for is not waited for.
    fn finish(&mut self, signals: &SignalFd, ended: Ended) -> Result<End> {
        self.slave = None;
        self.input = false;
        self.typed.clear();
        loop {
            // All that was written before its end is there to be read.
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
                    return Ok(End::Us(signal));
                }
            }
        }
    }

    /// Waits until something can be done, and does it once.
    fn pass_on(&mut self, signals: &SignalFd) -> Result<()> {
        let ours = self.own.as_ref().is_none_or(Raw::is_ours);
        let reads = self.input && ours && self.typed.len() < ROOM;
        let shows = self.output && !self.shown.is_empty();
        let mut of_master = PollFlags::empty();
        of_master.set(PollFlags::POLLIN, self.slave.is_some() && (self.shown.len() < ROOM || !self.output));
        of_master.set(PollFlags::POLLOUT, !self.typed.is_empty());
        // What is of no interest is not asked for at all: its hang-up would be told again and again.
        let asked = [
            (true, signals.as_fd(), PollFlags::POLLIN),
            (!of_master.is_empty(), self.master.as_fd(), of_master),
            (reads, self.end(&Stdio::Input), PollFlags::POLLIN),
            (shows, self.end(&Stdio::Output), PollFlags::POLLOUT),
        ];
        let mut polled: Vec<PollFd<'_>> = asked
            .iter()
            .filter(|(wanted, ..)| *wanted)
            .map(|&(_, fd, flags)| PollFd::new(fd, flags))
            .collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll failed"),
        }
        let mut told = polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let answers = asked.map(|(wanted, ..)| match wanted {
            true => told.next().unwrap_or(PollFlags::empty()),
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

    /// Our terminal, or the standard descriptor that stands for it.
    fn end(&self, standard: &'static Stdio) -> BorrowedFd<'_> {
        self.own.as_ref().map_or(standard.as_fd(), |own| own.terminal().as_fd())
    }

    /// Reads what the program has written; false: nothing at the moment.
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
            // Somebody has made it cooked again, or we were pushed to the background.
            Some(_) => {}
            None => {
                self.input = false;
                // The first of two hands over an unfinished line.
                let times = if self.at_line_start { 1 } else { 2 };
                self.typed.extend(std::iter::repeat_n(END_OF_INPUT, times));
            }
        }
    }

    /// As far as that goes at once.
    fn show_what_there_is(&mut self) {
        while self.shown.len() < ROOM && self.fetch_shown() {}
        let mut left = usize::MAX;
        while self.output && self.shown.len() < left {
            left = self.shown.len();
            self.show();
        }
    }

    fn show(&mut self) {
        let fd = self.own.as_ref().map_or(Stdio::Output.as_fd(), |own| own.terminal().as_fd());
        // Nobody is there to show it to any more: the program is not to wait for that.
        if !put(fd, &mut self.shown, self.most) {
            self.output = false;
        }
    }
}

/// Writes some of it; false: it cannot be written at all.
fn put(fd: impl AsFd, bytes: &mut Vec<u8>, most: usize) -> bool {
    match write(fd, &bytes[..bytes.len().min(most)]) {
        Ok(written) => {
            bytes.drain(..written);
            true
        }
        Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
    }
}
