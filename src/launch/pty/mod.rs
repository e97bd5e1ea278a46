//! A terminal of its own for a program, and the relay to the caller's terminal.
//!
//! A program with the caller's terminal can insert input (TIOCSTI), read what the user types later, and leave it in
//! any state. With a pseudoterminal it can do that only to its own terminal: it leads a session of its own there, and
//! has no descriptor of the caller's terminal.

mod raw;
mod relay;

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use nix::unistd::{Gid, Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchownat, isatty, read, setsid};

use crate::exit::Exit;
use crate::isolation::descriptors;
use crate::proc::ProcRoot;
use crate::sys::{self, Stdio};

/// The paths of the pseudoterminal multiplexer.
const PTMX: [&str; 2] = ["/dev/ptmx", "/dev/pts/ptmx"];
/// TTYAUX_MAJOR and its minor: the device numbers that identify the multiplexer.
const PTMX_DEVICE: (u64, u64) = (5, 2);

/// The number of bytes to read of messages.
const MOST_MESSAGES: usize = 64 << 10;

/// Resources from outside, opened before namespaces are entered.
pub(crate) struct Outside {
    /// The caller's terminal, if there is one.
    terminal: Option<OwnedFd>,
    /// The standard descriptors that are replaced by the new terminal: those that are a terminal, or all three if
    /// none is.
    replaced: Vec<Stdio>,
    /// /proc: reopens descriptors also where no proc is mounted.
    proc: OwnedFd,
    makers: Vec<OwnedFd>,
}

/// The two sides of the new terminal.
pub(crate) struct Pair {
    master: OwnedFd,
    slave: OwnedFd,
}

/// The new terminal and the caller's.
pub(crate) struct Session {
    terminal: Option<OwnedFd>,
    master: OwnedFd,
    slave: OwnedFd,
}

impl Outside {
    pub(crate) fn hold(proc: &ProcRoot) -> Result<Outside> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(proc.path(), flags, Mode::empty())
            .with_context(|| format!("cannot open {}", proc.path().display()))?;
        let proc = above_standard(directory)?;
        let terminals: Vec<Stdio> = Stdio::ALL.into_iter().filter(|fd| isatty(fd) == Ok(true)).collect();
        let terminal = terminals.first().map(|&fd| own_terminal(&proc, fd)).transpose()?;
        let replaced = if terminals.is_empty() { Stdio::ALL.to_vec() } else { terminals };
        Ok(Outside { terminal, replaced, proc, makers: makers() })
    }

    /// Creates the terminal inside, so that programs find it by its name there. If that fails, creates it outside. It
    /// starts with the settings of the caller's terminal.
    pub(crate) fn open(&self) -> Result<Pair> {
        let inside = makers();
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let pair = |maker: &OwnedFd| {
            let master = openat(&self.proc, own_fd(maker.as_raw_fd()).as_str(), flags, Mode::empty())?;
            let slave = sys::open_peer(&master)?;
            Ok((above_standard(master)?, above_standard(slave)?))
        };
        let mut last = nix::errno::Errno::ENOENT;
        for maker in inside.iter().chain(&self.makers) {
            match pair(maker) {
                Ok((master, slave)) => return Ok(self.with_settings(Pair { master, slave })),
                Err(errno) => last = errno,
            }
        }
        Err(last).context("cannot make a terminal")
    }

    fn with_settings(&self, pair: Pair) -> Pair {
        if let Some(terminal) = &self.terminal {
            if let Ok(settings) = tcgetattr(terminal) {
                _ = tcsetattr(&pair.slave, SetArg::TCSANOW, &settings);
            }
            if let Some(size) = sys::window_size(terminal) {
                _ = sys::set_window_size(&pair.master, &size);
            }
        }
        pair
    }

    /// Replaces the standard descriptors by the program's side, and makes `user` its owner. Returns one of these
    /// descriptors, for [`lead_session`].
    pub(crate) fn replace_by(&self, pair: &Pair, user: Option<u32>) -> Result<Stdio> {
        if let Some(user) = user {
            // Fails in a user namespace where the owner's id is not mapped: then the owner stays.
            let user = Some(Uid::from_raw(user));
            _ = fchownat(&pair.slave, "", user, None::<Gid>, AtFlags::AT_EMPTY_PATH);
        }
        for &fd in &self.replaced {
            replace(fd, &pair.slave).context("cannot give the new terminal to the program")?;
        }
        Ok(self.replaced[0])
    }

    /// For the waiting process.
    #[must_use]
    pub(crate) fn session(self, pair: Pair) -> Session {
        Session { terminal: self.terminal, master: pair.master, slave: pair.slave }
    }
}

impl Pair {
    pub(crate) fn send(&self, to: &OwnedFd) -> Result<()> {
        descriptors::send(to, [&self.master, &self.slave]).context("cannot hand over the new terminal")
    }

    /// None if the sender has ended without sending one.
    #[must_use]
    pub(crate) fn receive(from: &OwnedFd) -> Option<Pair> {
        descriptors::receive(from).map(|[master, slave]| Pair { master, slave })
    }

    /// The messages on it, if no program has started: the process that failed had it as standard error.
    #[must_use]
    pub(crate) fn messages(&self) -> String {
        let mut bytes = Vec::new();
        let mut part = [0; 4096]; // the kernel's buffer is not larger
        while let Ok(length @ 1..) = read(&self.master, &mut part) {
            bytes.extend_from_slice(&part[..length]);
            if bytes.len() > MOST_MESSAGES {
                break; // a process of the container writes to it
            }
        }
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim_end().to_owned()
    }
}

/// In the program's process: starts a session with the terminal of `standard`.
pub(crate) fn lead_session(standard: Stdio) -> Result<()> {
    setsid().context("setsid failed")?;
    sys::set_controlling_tty(standard).context("cannot make the new terminal the controlling terminal")
}

impl Session {
    /// Relays input and output until the child ends, and ends in the same way.
    pub(crate) fn stand_in_for(self, child: Pid) -> Result<u8, Exit> {
        relay::run(self, child)
    }
}

fn replace(standard: Stdio, by: &OwnedFd) -> nix::Result<()> {
    match standard {
        Stdio::Input => dup2_stdin(by),
        Stdio::Output => dup2_stdout(by),
        Stdio::Error => dup2_stderr(by),
    }
}

/// The path of a descriptor of this process below /proc.
fn own_fd(fd: i32) -> String {
    format!("self/fd/{fd}")
}

/// Moves it above the standard descriptors, which may be closed at the start.
fn above_standard(fd: OwnedFd) -> nix::Result<OwnedFd> {
    match fd.as_raw_fd() {
        0..=2 => sys::duplicate_above_stdio(&fd),
        _ => Ok(fd),
    }
}

/// Multiplexers that are visible here. They are opened with O_PATH only: a container may have put any device there,
/// and opening some devices does harm.
fn makers() -> Vec<OwnedFd> {
    let genuine = |fd: &OwnedFd| {
        fstat(fd).is_ok_and(|stat| {
            SFlag::from_bits_truncate(stat.st_mode).contains(SFlag::S_IFCHR)
                && (major(stat.st_rdev), minor(stat.st_rdev)) == PTMX_DEVICE
        })
    };
    let look = |path: &&str| open(*path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok();
    PTMX.iter().filter_map(look).filter(genuine).filter_map(|fd| above_standard(fd).ok()).collect()
}

/// Opens the caller's terminal again, so that it can be non-blocking without changing the caller's descriptor. If
/// opening is not allowed, as after su(1), a copy is used.
fn own_terminal(proc: &OwnedFd, fd: Stdio) -> Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = openat(proc, own_fd(fd.number()).as_str(), flags, Mode::empty());
    let terminal = opened.or_else(|_| sys::duplicate_above_stdio(fd)).and_then(above_standard);
    terminal.context("cannot open the caller's terminal")
}
