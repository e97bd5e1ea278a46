//! Executes the program: the search of exec(3), the default shell, and a parent that acts for its child.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getuid};

use crate::exit::Exit;
use crate::isolation::operation::{Operation, refused};
use crate::proc::{Users, open_plain};
use crate::sys::{self, Ended, Image};
use crate::text;

/// The search path without PATH, as in glibc.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The status if the program does not exist.
pub(crate) const NOT_FOUND: u8 = 127;

/// The environment for the program, in place of the current one; `NAME=VALUE` each.
pub(crate) type Environment = Vec<OsString>;

/// Executes the program, or the user's shell if none is given. Returns only on failure.
#[must_use]
pub(crate) fn exec(command: &[OsString], environment: Option<Environment>) -> Exit {
    let args = ExecArgs::new(command, environment);
    match command {
        [program, ..] => args.failed(program, args.search(program.as_bytes())),
        [] => {
            let shell = args.named_shell().unwrap_or_else(default_shell);
            args.first_shell(&[shell])
        }
    }
}

/// Like [`exec`], below another root directory, which may lack the shell in $SHELL. Then it executes `shell`, or else
/// /bin/sh.
#[must_use]
pub(crate) fn exec_inside(
    command: &[OsString],
    environment: Option<Environment>,
    shell: Option<&OsStr>,
) -> Exit {
    if !command.is_empty() {
        return exec(command, environment);
    }
    let args = ExecArgs::new(command, environment);
    let named = args.named_shell();
    let next = shell.map(OsStr::to_os_string).or_else(|| named.is_none().then(default_shell));
    let shells: Vec<OsString> = named.into_iter().chain(next).chain([OsString::from("/bin/sh")]).collect();
    args.first_shell(&shells)
}

/// Is there a file for the program? Without a program it is the shell.
pub(crate) fn exists(command: &[OsString]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_file = |file: &Vec<u8>| Path::new(OsStr::from_bytes(file)).is_file();
    command.first().is_none_or(|program| candidates(program.as_bytes(), path.as_bytes()).iter().any(is_file))
}

/// Executes the program in an open file, with `command` as argv. Returns only on failure.
#[must_use]
pub(crate) fn exec_file(file: &OwnedFd, command: &[OsString], environment: Option<Environment>) -> Exit {
    let environment = environment.as_deref().map(strings);
    let name = command.first().map(OsString::as_os_str).unwrap_or_default();
    let errno = sys::execute(&Image::File(file.as_fd()), &strings(command), environment.as_deref());
    exec_failed(name, Vec::new(), errno)
}

/// The environment of this process, to which entries can be added.
#[must_use]
pub(crate) fn own_environment() -> Environment {
    sys::environment().into_iter().map(|entry| OsString::from_vec(entry.into_bytes())).collect()
}

/// A program could not be started: status 127 if it does not exist, 126 if it exists but cannot run.
fn exec_failed(program: &OsStr, files: Vec<PathBuf>, errno: Errno) -> Exit {
    let status = if errno == Errno::ENOENT { NOT_FOUND } else { 126 };
    let message = format!("failed to execute {}", text::shown(program));
    Exit::failed(status, Error::from(errno).context(refused(message, Operation::Execute(files))))
}

/// C strings. Text from argv or the environment contains no NUL.
fn strings(list: &[OsString]) -> Vec<CString> {
    list.iter().filter_map(|text| CString::new(text.as_bytes()).ok()).collect()
}

/// The arguments and the environment of the program, for every candidate file.
struct ExecArgs {
    argv: Vec<CString>,
    /// None: that of this process.
    envp: Option<Vec<CString>>,
}

impl ExecArgs {
    fn new(command: &[OsString], environment: Option<Environment>) -> ExecArgs {
        ExecArgs { argv: strings(command), envp: environment.as_deref().map(strings) }
    }

    /// Executes the first shell that exists, as a login shell. The error is that of the first.
    fn first_shell(mut self, shells: &[OsString]) -> Exit {
        let mut first = None;
        for shell in shells {
            let base = shell.as_bytes().rsplit(|&b| b == b'/').next().unwrap_or_default();
            self.argv = strings(&[OsString::from_vec([b"-", base].concat())]);
            let errno = self.execute(shell.as_bytes());
            first.get_or_insert_with(|| self.failed(shell, errno));
            if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
                break;
            }
        }
        first.unwrap_or_else(|| self.failed(OsStr::new(""), Errno::ENOENT))
    }

    /// execvpe(3) as in glibc. Not the function of the C library, because musl's does not run scripts without `#!`.
    fn search(&self, name: &[u8]) -> Errno {
        let mut denied = false;
        let mut last = Errno::ENOENT;
        for file in candidates(name, self.path().as_bytes()) {
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
        let files = candidates(program.as_bytes(), self.path().as_bytes()).into_iter();
        exec_failed(program, files.map(|file| PathBuf::from(OsString::from_vec(file))).collect(), errno)
    }

    /// The shell runs a script without `#!`, as POSIX requires of execvp(3).
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

    /// execve(2). Returns the errno.
    fn execute(&self, file: &[u8]) -> Errno {
        let Ok(path) = CString::new(file) else { return Errno::ENOENT };
        sys::execute(&Image::Path(&path), &self.argv, self.envp.as_deref())
    }

    /// $SHELL
    fn named_shell(&self) -> Option<OsString> {
        self.variable("SHELL").filter(|shell| !shell.is_empty())
    }

    fn path(&self) -> OsString {
        self.variable("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH))
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        let Some(list) = &self.envp else { return std::env::var_os(name) };
        let value = |entry: &CString| {
            entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec)
        };
        list.iter().find_map(value).map(OsString::from_vec)
    }
}

/// The shell of the real user in the /etc/passwd that is visible now, else /bin/sh.
fn default_shell() -> OsString {
    let users = Users::read(open_plain("/etc/passwd"));
    let shell = users.get(getuid().as_raw()).map(|user| user.shell.clone());
    shell.filter(|shell| !shell.is_empty()).unwrap_or_else(|| OsString::from("/bin/sh"))
}

/// The files that the name of a program means to the caller.
pub(crate) fn files_of(program: &OsStr) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    let files = candidates(program.as_bytes(), path.as_bytes()).into_iter();
    files.map(|file| PathBuf::from(OsString::from_vec(file))).collect()
}

/// The candidate files for a program's name, in order.
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

/// The initial environment of a process, from `/proc/PID/environ`.
///
/// The last of several entries with one name is used; entries that are not `NAME=VALUE` are dropped. The order is
/// reversed, as in util-linux: it is visible in the output of env(1).
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

/// Waits for the child and returns its status; stops and continues together with it. If a signal killed the child,
/// this process dies by the same signal.
///
/// The terminal sends its stop signals to both processes at once. This process blocks them and stops only after the
/// child has. Otherwise it could be stopped by the terminal before it sees that the child stopped, and would stop a
/// second time when the shell continues both.
pub(crate) fn stand_in_for(child: Pid) -> Result<u8, Exit> {
    let stops: SigSet = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].into_iter().collect();
    let blocked = sys::block(&stops).context("sigprocmask block failed")?;
    let status = follow(child);
    blocked.thread_unblock().context("sigprocmask failed")?;
    status
}

fn follow(child: Pid) -> Result<u8, Exit> {
    loop {
        match sys::wait(child, libc::WUNTRACED).context("waitpid failed")? {
            Ended::Stopped => {
                // The shell sees this process, not the child: stop like the child, and continue the child afterwards.
                kill(Pid::this(), Signal::SIGSTOP)?;
                kill(child, Signal::SIGCONT)?;
            }
            ended => return as_child(ended),
        }
    }
}

/// Ends in the same way as the child, for the parent of this process.
pub(crate) fn as_child(ended: Ended) -> Result<u8, Exit> {
    match ended {
        Ended::Exited(status) => return Ok(status),
        Ended::Killed(signal) => sys::die_of(signal),
        Ended::Stopped | Ended::StillRunning => {}
    }
    Err(anyhow!("child exit failed").into()) // the child died of a signal that does not end this process
}

/// Connects a parent and its child: the signal when the parent dies, and the signals that are forwarded.
pub(crate) struct ChildSupervisor {
    /// The signal for the child when the parent dies, and a pidfd of the parent to check whether it has died already.
    kill_child: Option<(i32, OwnedFd)>,
    /// The signals that are forwarded to the child.
    forward: &'static [Signal],
}

impl ChildSupervisor {
    pub(crate) fn new(kill_child: Option<i32>, forward: &'static [Signal]) -> Result<ChildSupervisor> {
        let kill_child = kill_child
            .map(|signal| sys::pidfd_open(Pid::this()).map(|parent| (signal, parent)))
            .transpose()
            .context("pidfd_open failed")?;
        Ok(ChildSupervisor { kill_child, forward })
    }

    /// Must be called before the fork. Blocks SIGINT and SIGTERM, which are for the child and must not end the
    /// waiting parent, and all forwarded signals, so that none is lost before the child exists. Returns those that the
    /// child unblocks.
    pub(crate) fn block(&self) -> Result<SigSet> {
        let mut signals = self.awaited();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        sys::block(&signals).context("sigprocmask block failed")
    }

    /// Must be called in the child, and again after every change of credentials, which clears the setting
    /// (PR_SET_PDEATHSIG(2const)).
    pub(crate) fn watch(&self) -> Result<()> {
        let Some((signal, parent)) = &self.kill_child else { return Ok(()) };
        sys::set_parent_death_signal(*signal).context("prctl failed")?;
        // The pidfd is readable if the parent ended before the call.
        let mut ended = [PollFd::new(parent.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ended, PollTimeout::ZERO) {
            Ok(0) => Ok(()),
            Ok(_) => Err(anyhow!("the parent process has died")),
            Err(errno) => Err(errno).context("poll failed"),
        }
    }

    /// Waits for the child, and ends in the same way. Signals that arrive meanwhile stay blocked: they were for the
    /// child, and must not end this process after it.
    pub(crate) fn stand_in_for(&self, child: Pid) -> Result<u8, Exit> {
        match self.wait(child, None)? {
            Some(ended) => as_child(ended),
            None => Err(anyhow!("child exit failed").into()), // there was no deadline
        }
    }

    /// Waits for the child and forwards signals; None if it still runs at `deadline`. Signals are read one by one,
    /// not handled, so none interrupts the work.
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
                        Ended::StillRunning => {}
                        ended => return Ok(Some(ended)),
                    }
                }
                // A key of the terminal signals the whole foreground group: the child already has it.
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

/// Kills a child that must not run.
pub(crate) fn end(child: Pid) {
    _ = kill(child, Signal::SIGKILL);
    _ = sys::wait(child, 0);
}

/// If SIGCHLD is ignored, children leave no status. A caller may have set that.
pub(crate) fn reset_sigchld() -> Result<()> {
    sys::default_action(Signal::SIGCHLD).context("cannot reset SIGCHLD")
}

/// The number of a signal by its name: any case, with or without `SIG`, `RTMIN+N`, `RTMAX-N`. No numbers.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    // The C library reserves the first two real-time signals of the kernel, 32 and 33.
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
    fn environ_keeps_the_last_entry_of_a_name_and_reverses_the_order() {
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
        ExecArgs { argv: list(&["x"]), envp: Some(list(environment)) }
    }

    #[test]
    fn variables_are_found_by_their_whole_name() {
        let args = exec_args(&["PATHX=1", "PATH=/a=b"]);
        assert_eq!(args.variable("PATH"), Some(OsString::from("/a=b")));
        assert_eq!(args.variable("PAT"), None);
    }

    #[test]
    fn a_missing_program_is_127_and_one_that_cannot_run_is_126() {
        let status = |errno| match exec_failed(OsStr::new("x"), Vec::new(), errno) {
            Exit::Failed { status, .. } => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(Errno::ENOENT), Some(127));
        assert_eq!(status(Errno::EACCES), Some(126));
        assert_eq!(status(Errno::ENOTDIR), Some(126));
    }

    #[test]
    fn a_missing_program_is_enoent_and_a_directory_is_eacces() {
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
