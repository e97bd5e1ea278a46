//! A terminal of its own for a program, and the relay between that and ours.
//!
//! A program that is given our terminal can type into it (TIOCSTI), read what we type later, and leave it in
//! any state. Given a pseudoterminal it can do that to itself alone: it leads a session of its own there, and
//! no descriptor of ours reaches it.

mod raw;
mod relay;

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use nix::unistd::{Gid, Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchownat, isatty, setsid};

use crate::exit::Exit;
use crate::isolation::descriptors;
use crate::proc::ProcRoot;
use crate::sys::{self, Stdio};

/// Where the makers of pseudoterminals are.
const PTMX: [&str; 2] = ["/dev/ptmx", "/dev/pts/ptmx"];
/// TTYAUX_MAJOR and its minor: whichever file has these numbers is the maker, and no other device.
const PTMX_DEVICE: (u64, u64) = (5, 2);

/// What is held of the outside, before namespaces are entered.
pub(crate) struct Outside {
    /// Our terminal, if we have one.
    terminal: Option<OwnedFd>,
    /// Those of our standard descriptors that the program gets its terminal in place of: the terminals, or,
    /// when none is one, all.
    replaced: Vec<Stdio>,
    /// /proc: descriptors are opened anew through it, also where there is none.
    proc: OwnedFd,
    makers: Vec<OwnedFd>,
}

/// The new terminal: the program's side and ours.
pub(crate) struct Pair {
    master: OwnedFd,
    slave: OwnedFd,
}

/// A pair, and our own terminal.
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

    /// Makes the terminal where this process is now, so that programs find it by its name there; where that has
    /// none to give, outside. It begins with the settings of our own.
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
                Ok((master, slave)) => return Ok(self.like_ours(Pair { master, slave })),
                Err(errno) => last = errno,
            }
        }
        Err(last).context("cannot make a terminal")
    }

    fn like_ours(&self, pair: Pair) -> Pair {
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

    /// Gives this process the program's side in place of our terminal, and `user` owns it. Gives a standard
    /// descriptor of it, for [`lead_session`].
    pub(crate) fn replace_by(&self, pair: &Pair, user: Option<u32>) -> Result<Stdio> {
        if let Some(user) = user {
            // Refused in a user namespace that does not know us: then it is as it is without.
            let user = Some(Uid::from_raw(user));
            _ = fchownat(&pair.slave, "", user, None::<Gid>, AtFlags::AT_EMPTY_PATH);
        }
        for &fd in &self.replaced {
            replace(fd, &pair.slave).context("cannot give the new terminal to the program")?;
        }
        Ok(self.replaced[0])
    }

    /// For the process that waits.
    #[must_use]
    pub(crate) fn session(self, pair: Pair) -> Session {
        Session { terminal: self.terminal, master: pair.master, slave: pair.slave }
    }
}

impl Pair {
    pub(crate) fn send(&self, to: &OwnedFd) -> Result<()> {
        descriptors::send(to, [&self.master, &self.slave]).context("cannot hand over the new terminal")
    }

    /// None when the sender has ended without one.
    #[must_use]
    pub(crate) fn receive(from: &OwnedFd) -> Option<Pair> {
        descriptors::receive(from).map(|[master, slave]| Pair { master, slave })
    }
}

/// In the program's process: a session of its own on the terminal that it has as `standard`.
pub(crate) fn lead_session(standard: Stdio) -> Result<()> {
    setsid().context("setsid failed")?;
    sys::set_controlling_tty(standard).context("cannot control the new terminal")
}

impl Session {
    /// Passes on what is typed and what is shown until the child ends, and ends as it did.
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

/// Out of the way of the standard descriptors, which may have been closed when we were started.
fn above_standard(fd: OwnedFd) -> nix::Result<OwnedFd> {
    match fd.as_raw_fd() {
        0..=2 => sys::duplicate_above_stdio(&fd),
        _ => Ok(fd),
    }
}

/// Makers of pseudoterminals as they are seen here. Only looked at: a container may have put any device there,
/// and some do harm when opened.
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

/// Our terminal opened anew, so that we can have it non-blocking without our caller's being so. Where we may
/// not open it, as after su(1), a copy serves.
fn own_terminal(proc: &OwnedFd, fd: Stdio) -> Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = openat(proc, own_fd(fd.number()).as_str(), flags, Mode::empty());
    let terminal = opened.or_else(|_| sys::duplicate_above_stdio(fd)).and_then(above_standard);
    terminal.context("cannot open our terminal")
}
