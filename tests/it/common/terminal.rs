//! A terminal that a test uses: input, output and settings.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::Winsize;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::{read, write};

use super::{HANG, until};

/// Master and slave of a new terminal. Both are close-on-exec from the start, which openpty(3) does not offer: children
/// of other tests would hold them.
pub fn pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let mut options = File::options();
    let options = options.read(true).write(true).custom_flags(libc::O_NOCTTY);
    let master = OwnedFd::from(options.open("/dev/ptmx")?);
    let unlocked = 0;
    // SAFETY: the request reads an int.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes an int and returns a new descriptor, which nobody else owns.
    match unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) } {
        slave if slave >= 0 => Ok((master, unsafe { OwnedFd::from_raw_fd(slave) })),
        _ => Err(std::io::Error::last_os_error()),
    }
}

pub struct Terminal {
    master: Option<OwnedFd>,
    slave: OwnedFd,
    seen: String,
}

impl Terminal {
    pub fn new() -> Terminal {
        let (master, slave) = pair().expect("a terminal");
        let terminal = Terminal { master: Some(master), slave, seen: String::new() };
        terminal.resize(31, 101);
        terminal
    }

    fn master(&self) -> &OwnedFd {
        self.master.as_ref().expect("not hung up")
    }

    /// Starts it as the leader of a session on this terminal, as a terminal's window does.
    pub fn start(&self, command: &mut Command) -> Child {
        let stdout = Stdio::from(self.slave.try_clone().expect("a copy"));
        self.start_with_stdout(command, stdout)
    }

    /// The same with another stdout.
    pub fn start_with_stdout(&self, command: &mut Command, stdout: Stdio) -> Child {
        let slave = || Stdio::from(self.slave.try_clone().expect("a copy"));
        command.stdin(slave()).stdout(stdout).stderr(slave());
        let (number, masters) = (self.slave.as_raw_fd(), self.master().as_raw_fd());
        let act = move || {
            // SAFETY: plain integers in.
            unsafe {
                libc::close(masters); // its end is to be the test's alone
                if libc::setsid() < 0 || libc::ioctl(number, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                libc::close(number);
            }
            Ok(())
        };
        // SAFETY: async-signal-safe, and no memory is allocated.
        unsafe { command.pre_exec(act) };
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    pub fn types(&self, keys: &str) {
        let mut left = keys.as_bytes();
        while !left.is_empty() {
            left = &left[write(self.master(), left).expect("it takes keys")..];
        }
    }

    /// Reads until the text appears; returns the output up to there.
    pub fn until(&mut self, words: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(words) {
                let rest = self.seen.split_off(at + words.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            assert!(start.elapsed() < HANG, "{words:?} does not come: {:?}", self.seen);
            self.more();
        }
    }

    fn more(&mut self) {
        let mut ready = [PollFd::new(self.master().as_fd(), PollFlags::POLLIN)];
        let a_second = PollTimeout::from(1000_u16);
        if poll(&mut ready, a_second).expect("poll") > 0 {
            let mut buffer = [0; 4096];
            let length = read(self.master(), &mut buffer).unwrap_or(0);
            self.seen += &String::from_utf8_lossy(&buffer[..length]);
        }
    }

    /// Reads all output until the child has ended; its status.
    pub fn end_of(&mut self, child: &mut Child) -> (std::process::ExitStatus, String) {
        let start = Instant::now();
        loop {
            let ended = child.try_wait().expect("its status");
            // What it wrote before it ended is there.
            let mut ready = [PollFd::new(self.master().as_fd(), PollFlags::POLLIN)];
            let more = poll(&mut ready, PollTimeout::from(10_u8)).expect("poll") > 0;
            if more {
                self.more();
            }
            if let (Some(status), false) = (ended, more) {
                return (status, std::mem::take(&mut self.seen));
            }
            assert!(start.elapsed() < HANG, "it does not end: {:?}", self.seen);
        }
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the request reads a winsize.
        let result = unsafe { libc::ioctl(self.master().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(result, 0);
    }

    pub fn settings(&self) -> Termios {
        tcgetattr(&self.slave).expect("its settings")
    }

    pub fn is_raw(&self) -> bool {
        !self.settings().local_flags.contains(LocalFlags::ICANON)
    }

    /// Waits until it is raw, or until it is not.
    pub fn becomes_raw(&self, raw: bool) {
        until(&format!("the terminal becomes raw={raw}"), || self.is_raw() == raw);
    }

    /// `/dev/pts/7`
    pub fn name(&self) -> String {
        nix::unistd::ttyname(&self.slave).expect("a name").to_string_lossy().into_owned()
    }

    /// The window is closed.
    pub fn hang_up(&mut self) {
        self.master = None;
    }
}
