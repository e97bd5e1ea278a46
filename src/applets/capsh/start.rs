//! The programs and children that capsh starts.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, execve};

use super::{Shell, fail, failed, integer};
use crate::cli::Call;
use crate::exit::{Exit, Outcome};
use crate::launch::exec;
use crate::sys::{self, Ended};
use crate::text;

const SHELL: &str = "/bin/bash";
/// Used if bash is missing.
const PLAIN_SHELL: &str = "/bin/sh";

/// Executes the shell. Returns only on failure.
pub(super) fn shell(shell: &mut Shell, arguments: &[OsString]) -> Exit {
    if let Err(error) = shell.out.drain() {
        return error.into();
    }
    let path = shell.shell.clone().unwrap_or_else(|| SHELL.into());
    let mut argv = vec![path.clone()];
    argv.extend_from_slice(arguments);
    let mut errno = execute(&path, &argv, &environment(shell));
    if errno == Errno::ENOENT && shell.shell.is_none() {
        argv[0] = PLAIN_SHELL.into();
        errno = execute(OsStr::new(PLAIN_SHELL), &argv, &environment(shell));
    }
    failed(&format!("execve '{}' failed", text::shown(&path)), errno)
}

/// Executes capsh again: this very file, or after `--chroot` the file that the name of this process leads to in the new
/// root.
pub(super) fn again(shell: &mut Shell, call: &Call, arguments: &[OsString]) -> Exit {
    if let Err(error) = shell.out.drain() {
        return error.into();
    }
    let mut argv = vec![call.argv0.clone()];
    argv.extend_from_slice(arguments);
    if !shell.moved {
        if let Ok(path) = std::fs::read_link("/proc/self/exe") {
            execute(path.as_os_str(), &argv, &environment(shell));
        }
        execute(OsStr::new("/proc/self/exe"), &argv, &environment(shell)); // the file may have been removed
    }
    let entries = environment(shell).into_iter().map(|entry| OsString::from_vec(entry.into_bytes()));
    match exec::exec(&argv, Some(entries.collect())) {
        Exit::Failed { error, .. } => Exit::failed(1, error),
        other => other,
    }
}

/// Runs `work` in a child and returns the child's status.
pub(super) fn child(shell: &mut Shell, work: impl FnOnce(&mut Shell) -> Exit) -> Outcome {
    shell.out.drain()?;
    exec::reset_sigchld()?;
    let child = match sys::fork().map_err(|errno| failed("child failed to start", errno))? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            shell.child = None; // it is a child of the parent
            return Err(work(shell));
        }
    };
    match sys::wait(child, 0).map_err(|errno| failed(&format!("failed to wait for PID={child}"), errno))? {
        Ended::Exited(status) => Ok(status),
        Ended::Killed(signal) => Err(fail(format!("child PID={child} terminated by signo={signal}"))),
        Ended::Stopped | Ended::StillRunning => Err(fail(format!("failed to wait for PID={child}"))),
    }
}

fn execute(path: &OsStr, argv: &[OsString], environment: &[CString]) -> Errno {
    let strings = argv.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<Vec<_>, _>>();
    match (CString::new(path.as_bytes()), strings) {
        (Ok(path), Ok(argv)) => match execve(&path, &argv, environment) {
            Err(errno) => errno,
            Ok(never) => match never {},
        },
        _ => Errno::EINVAL,
    }
}

/// The environment of this process. `--user` changes HOME and USER if they are set.
fn environment(shell: &Shell) -> Vec<CString> {
    let mut environment = sys::environment();
    let Some((home, user)) = &shell.home_and_user else { return environment };
    for entry in &mut environment {
        for (name, value) in [("HOME=", home), ("USER=", user)] {
            if entry.as_bytes().starts_with(name.as_bytes()) {
                *entry = CString::new([name.as_bytes(), value.as_bytes()].concat()).unwrap_or_default();
            }
        }
    }
    environment
}

// --- the child of --forkfor -----------------------------------------------------------------------------------

pub(super) fn fork_for(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    if shell.child.is_some() {
        return Err(fail("already forked"));
    }
    let seconds = integer("--forkfor", word)?;
    if seconds == 0 {
        return Err(fail("require non-zero --forkfor value"));
    }
    shell.out.drain()?;
    exec::reset_sigchld()?;
    match sys::fork().map_err(|errno| failed("unable to fork()", errno))? {
        ForkResult::Parent { child } => {
            shell.child = Some(child);
            Ok(())
        }
        ForkResult::Child => {
            _ = sys::sleep(Duration::from_secs(u64::from(seconds)));
            Err(Exit::Text(String::new()))
        }
    }
}

pub(super) fn kill_it(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let signal = integer("--killit signo", word)?;
    let Some(child) = shell.child else { return Err(fail("no forked process to kill")) };
    let number = i32::try_from(signal).unwrap_or(i32::MAX);
    sys::kill(child, number).map_err(|errno| failed("Unable to kill child process", errno))?;
    let ended = sys::wait(child, 0).map_err(|errno| failed("failed to wait", errno))?;
    shell.child = None;
    let got = match ended {
        Ended::Killed(signal) => signal,
        _ => 0,
    };
    if got == number {
        Ok(())
    } else {
        Err(fail(format!("child terminated with odd signal ({number} != {got})")))
    }
}

/// Kills the child of `--forkfor` after a failure, if this process still may.
pub(super) fn end_child(shell: &mut Shell) {
    if let Some(child) = shell.child.take() {
        _ = kill(child, Signal::SIGKILL);
    }
}
