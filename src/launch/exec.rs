//! Starting the program: exec(3)'s search, the default shell, and standing in for a child.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::{Pid, execve, getuid};

use super::self_exe;
use crate::exit::Exit;
use crate::isolation::operation::{Operation, refused};
use crate::proc::{Users, open_plain};
use crate::sys::{self, Ended};
use crate::text;

/// Where the program is looked for without a PATH, as glibc has it.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What the program is given in place of our own environment; `NAME=VALUE` each.
pub(crate) type Environment = Vec<OsString>;

/// Replaces us by the program, or by the user's shell when none is named. Comes back only to say why not.
#[must_use]
pub(crate) fn exec(command: &[OsString], environment: Option<Environment>) -> Exit {
    let mut args = ExecArgs {
        argv: strings(command),
        envp: environment.map_or_else(sys::environment, |environment| strings(&environment)),
    };
    match command {
        [program, ..] => args.failed(program, args.search(program.as_bytes())),
        [] => {
            let shell = args.default_shell();
            let base = shell.as_bytes().rsplit(|&b| b == b'/').next().unwrap_or_default();
            args.argv = strings(&[OsString::from_vec([b"-", base].concat())]);
            args.failed(&shell, args.execute(shell.as_bytes()))
        }
    }
}

/// Replaces us by the program in a file that is open already, as `command`. Comes back only to say why not.
#[must_use]
pub(crate) fn exec_file(file: &OwnedFd, command: &[OsString], environment: Option<Environment>) -> Exit {
    let environment = environment.map_or_else(sys::environment, |environment| strings(&environment));
    let name = command.first().map(OsString::as_os_str).unwrap_or_default();
    exec_failed(name, Vec::new(), self_exe::execute(file, &strings(command), &environment))
}

/// Our own environment, to be added to.
#[must_use]
pub(crate) fn own_environment() -> Environment {
    sys::environment().into_iter().map(|entry| OsString::from_vec(entry.into_bytes())).collect()
}

/// A program that could not be started: 127 when it is not there, 126 when it is but cannot run.
fn exec_failed(program: &OsStr, files: Vec<PathBuf>, errno: Errno) -> Exit {
    let status = if errno == Errno::ENOENT { 127 } else { 126 };
    let message = format!("failed to execute {}", text::shown(program));
    Exit::failed(status, Error::from(errno).context(refused(message, Operation::Execute(files))))
}

/// As the kernel takes them; what came from argv or the environment has no NUL in it.
fn strings(list: &[OsString]) -> Vec<CString> {
    list.iter().filter_map(|text| CString::new(text.as_bytes()).ok()).collect()
}

/// What the program is started with, whichever file it turns out to be.
struct ExecArgs {
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl ExecArgs {
    /// execvpe(3) as glibc has it. Not the C library's own, as musl's knows no script without `#!`.
    fn search(&self, name: &[u8]) -> Errno {
        let mut denied = false;
        let mut last = Errno::ENOENT;
        for file in candidates(name, self.variable(b"PATH").unwrap_or(DEFAULT_PATH)) {
            last = self.try_file(&file);
            match last {
                Errno::EACCES => denied = true,
                Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR | Errno::ENODEV | Errno::ETIMEDOUT => {}
                _ => return last,
            }
        }
        if denied { Errno::EACCES } else { last }
    }

    fn failed(&self, program: &OsStr, errno: Errno) -> Exit {
        let path = self.variable(b"PATH").unwrap_or(DEFAULT_PATH).to_vec();
        let files = candidates(program.as_bytes(), &path).into_iter();
        exec_failed(program, files.map(|file| PathBuf::from(OsString::from_vec(file))).collect(), errno)
    }

    /// A script without `#!` is the shell's to read, as POSIX has it for execvp(3).
    fn try_file(&self, file: &[u8]) -> Errno {
        match (self.execute(file), CString::new(file)) {
            (Errno::ENOEXEC, Ok(script)) => {
                let arguments = self.argv.iter().skip(1).cloned();
                let argv = [c"/bin/sh".to_owned(), script].into_iter().chain(arguments).collect();
                ExecArgs { argv, envp: self.envp.clone() }.execute(b"/bin/sh")
            }
            (errno, _) => errno,
        }
    }

    /// execve(2); comes back only with the reason why not.
    fn execute(&self, file: &[u8]) -> Errno {
        let Ok(path) = CString::new(file) else { return Errno::ENOENT };
        match execve(&path, &self.argv, &self.envp) {
            Err(errno) => errno,
            Ok(never) => match never {},
        }
    }

    /// $SHELL, else the shell of the real user in /etc/passwd as it is seen now, else /bin/sh.
    fn default_shell(&self) -> OsString {
        let from_passwd = || {
            let users = Users::read(open_plain("/etc/passwd"));
            users.get(getuid().as_raw()).map(|user| user.shell.clone())
        };
        let named = self.variable(b"SHELL").filter(|shell| !shell.is_empty());
        let shell = named.map(|shell| OsStr::from_bytes(shell).to_os_string()).or_else(from_passwd);
        shell.filter(|shell| !shell.is_empty()).unwrap_or_else(|| OsString::from("/bin/sh"))
    }

    fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        self.envp.iter().find_map(|entry| entry.to_bytes().strip_prefix(name)?.strip_prefix(b"="))
    }
}

/// The files that a program's name may mean, in their order.
fn candidates(name: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    let below = |directory: &[u8]| match directory {
        b"" => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    };
    match name {
        b"" => Vec::new(),
        _ if name.contains(&b'/') => vec![name.to_vec()],
        _ => path.split(|&b| b == b':').map(below).collect(),
    }
}

/// The environment that a process was started with, from `/proc/PID/environ`.
///
/// Of several entries of one name the last counts; what is no `NAME=VALUE` is dropped. The order is turned
/// round, as util-linux does: it is visible in the output of env(1).
#[must_use]
pub fn parse_environ(text: &[u8]) -> Environment {
    let mut environment: Environment = Vec::new();
    let mut names: crate::sys::keyed::HashSet<&[u8]> = crate::sys::keyed::HashSet::default();
    for entry in text.split(|&b| b == 0).rev() {
        let name = match entry.iter().position(|&b| b == b'=') {
            None | Some(0) => continue,
            Some(at) => &entry[..at],
        };
        if names.insert(name) {
            environment.push(OsStr::from_bytes(entry).to_os_string());
        }
    }
    environment
}

/// Waits for the child, stopping and going on with it, and gives its status. Killed: so are we, by the same signal.
///
/// The terminal's signals to stop come to us and the child at once. We stop only once it has: stopped between
/// being told so and acting on it, we would stop again when the shell has us both go on.
pub(crate) fn stand_in_for(child: Pid) -> Result<u8, Exit> {
    let stops: SigSet = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].into_iter().collect();
    let mask = stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).context("sigprocmask block failed")?;
    let status = follow(child);
    mask.thread_set_mask().context("sigprocmask failed")?;
    status
}

fn follow(child: Pid) -> Result<u8, Exit> {
    loop {
        match sys::wait(child, libc::WUNTRACED).context("waitpid failed")? {
            Ended::Stopped => {
                // Job control sees us, not the child: stop as it did, and wake it when we are woken.
                kill(Pid::this(), Signal::SIGSTOP)?;
                kill(child, Signal::SIGCONT)?;
            }
            ended => return as_child(ended),
        }
    }
}

/// Ends as the child did, so that whoever waits for us learns it.
pub(crate) fn as_child(ended: Ended) -> Result<u8, Exit> {
    match ended {
        Ended::Exited(status) => return Ok(status),
        Ended::Killed(signal) => sys::die_of(signal),
        Ended::Stopped | Ended::Not => {}
    }
    Err(anyhow!("child exit failed").into()) // it died of a signal that does not end us
}

/// What ties a parent and its child together: whose death ends whom, and which signals are passed on.
pub(crate) struct Guardian {
    /// The signal that the child gets when the parent dies, and the parent itself to see if it already has.
    kill_child: Option<(i32, OwnedFd)>,
    /// The signals that are passed on to the child.
    forward: &'static [Signal],
}

impl Guardian {
    pub(crate) fn new(kill_child: Option<i32>, forward: &'static [Signal]) -> Result<Guardian> {
        let kill_child = kill_child
            .map(|signal| sys::pidfd_open(Pid::this()).map(|parent| (signal, parent)))
            .transpose()
            .context("pidfd_open failed")?;
        Ok(Guardian { kill_child, forward })
    }

    /// Before the fork: SIGINT and SIGTERM are for the child, they shall not end the parent that waits; and
    /// none that is to be passed on is lost before there is somebody to pass it to. Gives the mask as it was.
    pub(crate) fn block(&self) -> Result<SigSet> {
        let mut signals = self.awaited();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).context("sigprocmask block failed")
    }

    /// In the child, and again after every change of credentials, which makes the kernel forget
    /// (PR_SET_PDEATHSIG(2const)).
    pub(crate) fn watch(&self) -> Result<()> {
        let Some((signal, parent)) = &self.kill_child else { return Ok(()) };
        sys::set_parent_death_signal(*signal).context("prctl failed")?;
        // Readable once it has ended: it may have before we asked.
        let mut ended = [PollFd::new(parent.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ended, PollTimeout::ZERO) {
            Ok(0) => Ok(()),
            Ok(_) => Err(anyhow!("the parent process has died")),
            Err(errno) => Err(errno).context("poll failed"),
        }
    }

    /// Waits for the child, and ends as it did. What came in meanwhile stays blocked: it was the child's to
    /// heed, and is not to be our end after the child's.
    pub(crate) fn stand_in_for(&self, child: Pid) -> Result<u8, Exit> {
        match self.wait(child, None)? {
            Some(ended) => as_child(ended),
            None => Err(anyhow!("child exit failed").into()), // no time was set
        }
    }

    /// Waits for the child and passes signals on; none when it still runs at `deadline`. Signals are taken one
    /// by one and not handled: none can come at a bad moment.
    pub(crate) fn wait(&self, child: Pid, deadline: Option<Instant>) -> Result<Option<Ended>> {
        if self.forward.is_empty() && deadline.is_none() {
            return sys::wait(child, 0).context("waitpid failed").map(Some);
        }
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match sys::next_signal(&self.awaited(), left) {
                Ok(None) => return Ok(None),
                Ok(Some((libc::SIGCHLD, _))) => {
                    match sys::wait(child, libc::WNOHANG).context("waitpid failed")? {
                        Ended::Not => {}
                        ended => return Ok(Some(ended)),
                    }
                }
                // A key of the terminal is for all of the job: the child has it already.
                Ok(Some((_, true))) | Err(Errno::EINTR) => {}
                Ok(Some((signal, false))) => _ = kill(child, Signal::try_from(signal)?),
                Err(errno) => return Err(errno).context("sigtimedwait failed"),
            }
        }
    }

    fn awaited(&self) -> SigSet {
        let mut signals: SigSet = self.forward.iter().copied().collect();
        if !self.forward.is_empty() {
            signals.add(Signal::SIGCHLD);
        }
        signals
    }
}

/// Ends a child that must not run.
pub(crate) fn end(child: Pid) {
    _ = kill(child, Signal::SIGKILL);
    _ = sys::wait(child, 0);
}

/// With SIGCHLD ignored children leave no status behind, and a caller may have left us that.
pub(crate) fn reset_sigchld() -> Result<()> {
    sys::default_action(Signal::SIGCHLD).context("cannot reset SIGCHLD")
}

/// The number of a signal by its name: any case, `SIG` before it or not, `RTMIN+N`, `RTMAX-N`. No numbers.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    // As programs see them: the C library keeps the first two of the kernel's, 32 and 33.
    const RTMIN: i32 = 34;
    const RTMAX: i32 = 64;
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |digits: &str| digits.parse::<i32>().ok().filter(|n| (0..=RTMAX - RTMIN).contains(n));
    if let Some(digits) = short.strip_prefix("RTMIN+") {
        return offset(digits).map(|n| RTMIN + n);
    }
    if let Some(digits) = short.strip_prefix("RTMAX-") {
        return offset(digits).map(|n| RTMAX - n);
    }
    let short = match short {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    format!("SIG{short}").parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environ_last_of_a_name_counts_and_the_order_turns() {
        let environment = parse_environ(b"A=1\0B=2\0A=3\0rubbish\0=x\0C=\0\0");
        assert_eq!(environment, ["C=", "A=3", "B=2"]);
        assert!(parse_environ(b"").is_empty());
    }

    #[test]
    fn signals_by_name() {
        for (name, number) in
            [("KILL", 9), ("sigterm", 15), ("SIGUSR1", 10), ("RTMIN+0", 34), ("rtmax-1", 63), ("CLD", 17)]
        {
            assert_eq!(signal_number(name), Some(number), "{name}");
        }
        for name in ["9", "", "SIG", "RTMIN", "RTMIN+31", "RTMAX-x", "KILLX", "0"] {
            assert_eq!(signal_number(name), None, "{name}");
        }
    }

    fn exec_args(environment: &[&str]) -> ExecArgs {
        let list = |words: &[&str]| strings(&words.iter().map(OsString::from).collect::<Vec<_>>());
        ExecArgs { argv: list(&["x"]), envp: list(environment) }
    }

    #[test]
    fn variables_are_found_by_their_whole_name() {
        let args = exec_args(&["PATHX=1", "PATH=/a=b"]);
        assert_eq!(args.variable(b"PATH"), Some(&b"/a=b"[..]));
        assert_eq!(args.variable(b"PAT"), None);
    }

    #[test]
    fn a_program_not_there_is_127_and_one_that_cannot_run_126() {
        let status = |errno| match exec_failed(OsStr::new("x"), Vec::new(), errno) {
            Exit::Failed { status, .. } => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(Errno::ENOENT), Some(127));
        assert_eq!(status(Errno::EACCES), Some(126));
        assert_eq!(status(Errno::ENOTDIR), Some(126));
    }

    #[test]
    fn a_program_that_is_nowhere_is_enoent_and_a_directory_denied() {
        let args = exec_args(&["PATH=/nonexistent:/etc"]);
        for (name, errno) in [
            ("no-such-program", Errno::ENOENT),
            ("", Errno::ENOENT),
            ("/etc", Errno::EACCES),
            ("passwd", Errno::EACCES),
            ("/etc/passwd/x", Errno::ENOTDIR),
        ] {
            assert_eq!(args.search(name.as_bytes()), errno, "{name}");
        }
    }
}
