//! ctr-inspect of a row of the screen, run by the same program.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::options::Request;
use crate::container::child::{OnBlock, Parcel, in_child};
use crate::isolation::ns;
use crate::output::keys::Keys;
use crate::output::screen::{LEAVE, write};
use crate::proc::ProcRoot;
use crate::sys;
use crate::text;

/// Shows it on the terminal as it was, until a key is pressed. `processes`: those that stand for the row, with their start.
pub(super) fn run(
    keys: &mut Keys,
    request: &Request,
    proc: &ProcRoot,
    (name, processes): (&str, &[(i32, Option<u64>)]),
) -> anyhow::Result<()> {
    write(LEAVE)?;
    sys::has_screen(false);
    keys.give_back();
    if let Err(problem) = show(request, proc, (name, processes)) {
        write(format!("{problem:#}\n").as_bytes())?;
    }
    wait(keys)
}

/// Until a key is pressed. After a stop the prompt is there again.
fn wait(keys: &mut Keys) -> anyhow::Result<()> {
    let failed = "cannot wait";
    let mut stops = None;
    loop {
        keys.take().context(failed)?;
        let now = sys::stops();
        if stops.replace(now) != Some(now) {
            write(b"\n-- press a key to return to ctr-top --\n")?;
        }
        let changed = || sys::stops() != now;
        let pressed = keys.wait(Duration::from_secs(1), changed, |_| Some(())).context(failed)?;
        if pressed.is_some() || !keys.are_there() {
            return Ok(());
        }
    }
}

/// A process may end at any time, and another one get its PID: so its start is compared, and ctr-inspect gets the inode of
/// its pidfd, which no other process has since Linux 6.9. Before, this is the number of all pidfds.
fn show(
    request: &Request,
    proc: &ProcRoot,
    (name, processes): (&str, &[(i32, Option<u64>)]),
) -> anyhow::Result<()> {
    let name = text::escape(name.as_bytes());
    // In another proc, PIDs can be those of another pid namespace.
    let pidfd = |pid: i32| if request.root.is_none() { ns::pidfd(Pid::from_raw(pid)) } else { None };
    let held: Vec<Option<OwnedFd>> = processes.iter().map(|(pid, _)| pidfd(*pid)).collect();
    let there = are_there(proc, processes)?;
    let words: Vec<OsString> = processes
        .iter()
        .zip(&held)
        .zip(&there)
        .filter(|(_, is_there)| **is_there)
        .map(|(((pid, _), pidfd), _)| word(*pid, pidfd.as_ref()))
        .collect();
    if words.is_empty() {
        anyhow::bail!("{name} has ended");
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg0("ctr-inspect");
    if let Some(root) = &request.root {
        command.arg("--root").arg(root);
    }
    command.arg(format!("--color={}", request.colour.name()));
    command.arg("--").args(words).status().context("ctr-inspect")?;
    if are_there(proc, processes)? != there {
        anyhow::bail!(
            "{name} has ended meanwhile: the above can be incomplete, or be that of another process with its PID"
        );
    }
    Ok(())
}

fn word(pid: i32, pidfd: Option<&OwnedFd>) -> OsString {
    match pidfd.and_then(|pidfd| fstat(pidfd).ok()) {
        Some(stat) => format!("{pid}:{}", stat.st_ino).into(),
        None => pid.to_string().into(),
    }
}

/// Which processes are those that started then?
fn are_there(proc: &ProcRoot, processes: &[(i32, Option<u64>)]) -> anyhow::Result<Vec<bool>> {
    let look = || {
        let is_there = |(pid, start): &(i32, Option<u64>)| {
            let process = proc.process(Pid::from_raw(*pid));
            match start {
                Some(_) => process.start_time() == *start,
                None => process.path("status").exists(),
            }
        };
        let bytes = processes.iter().map(|process| u8::from(is_there(process))).collect();
        Ok(Parcel { bytes, descriptors: Vec::new() })
    };
    Ok(in_child(proc, OnBlock::LeaveOut, look)?.bytes.iter().map(|byte| *byte == 1).collect())
}
