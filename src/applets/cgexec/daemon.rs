//! The processes of libcgroup: the daemon that moves processes by rules, and the idle process that keeps a scope
//! alive.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::access::Reading;
use crate::isolation::cgroup::{Group, tidy};
use crate::proc::ProcRoot;

const SOCKET: &str = "/var/run/cgred.socket";
const ANSWER: &[u8] = b"SUCCESS_STORE_PID";
/// Written by `cgcreate -S`: the group to which all paths are relative.
const DEFAULT_GROUP: &str = "/var/run/libcgroup/systemd";
const IDLE: &[u8] = b"libcgroup_systemd_idle_thread";
/// A daemon that hangs must not block cgexec.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks cgrulesengd to leave this process where it is, and with `sticky` its children too. Most hosts do not run the
/// daemon.
pub(super) fn leave_alone(sticky: bool) -> Result<()> {
    let Ok(mut socket) = UnixStream::connect(SOCKET) else { return Ok(()) };
    let failed = || format!("cannot register with cgrulesengd at {SOCKET}");
    socket.set_read_timeout(Some(PATIENCE)).with_context(failed)?;
    let message = [Pid::this().as_raw().to_ne_bytes(), i32::from(sticky).to_ne_bytes()].concat();
    socket.write_all(&message).with_context(failed)?;
    let mut answer = [0; ANSWER.len()];
    socket.read_exact(&mut answer).with_context(failed)?;
    if answer != *ANSWER {
        bail!("{}: the daemon refused", failed());
    }
    Ok(())
}

/// `SLICE/SCOPE`, if libcgroup has a default group.
#[must_use]
pub(super) fn default_group() -> Option<PathBuf> {
    let text = std::fs::read_to_string(DEFAULT_GROUP).ok()?;
    tidy(text.trim_end().as_ref()).ok().filter(|path| path.components().count() == 2)
}

/// Ends the idle process that kept the scope alive until a program runs in it.
pub(super) fn replace_idle(proc: &ProcRoot, groups: &[Group]) -> Result<()> {
    let mut idle = Vec::new();
    for group in groups {
        let text = std::fs::read_to_string(group.directory().join("cgroup.procs")).unwrap_or_default();
        let pids: Vec<Pid> = text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect();
        let lines = Reading::start(proc, pids.clone()).finish();
        for pid in pids {
            let arguments = lines.get(pid).unwrap_or_default();
            let program = arguments.split(|&b| b == 0).next().unwrap_or_default();
            if program.ends_with(IDLE) && !idle.contains(&pid) {
                idle.push(pid);
            }
        }
    }
    match idle[..] {
        [pid] => kill(pid, Signal::SIGTERM).with_context(|| format!("cannot end the idle process {pid}")),
        [] => {
            bail!("no libcgroup_systemd_idle_thread runs in the groups: -r needs a scope made by cgcreate -c")
        }
        _ => bail!("several libcgroup_systemd_idle_thread run in the groups"),
    }
}
