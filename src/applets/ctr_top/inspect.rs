//! ctr-inspect of a row of the screen, run by the same program.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Context;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::unistd::{Pid, pipe2};

use super::options::Request;
use crate::container::child::{OnBlock, Parcel, in_child};
use crate::exit;
use crate::isolation::ns;
use crate::proc::ProcRoot;
use crate::text;

/// More than any report has.
const LONGEST: u64 = 4 << 20;

/// What it prints. `processes`: those that stand for the row, with their start.
pub(super) fn report(
    request: &Request,
    proc: &ProcRoot,
    (name, processes): (&str, &[(i32, Option<u64>)]),
    width: usize,
) -> String {
    let mut text = Vec::new();
    if let Err(problem) = read(request, proc, (name, processes), width, &mut text) {
        text.extend_from_slice(format!("{}\n", text::escape(format!("{problem:#}").as_bytes())).as_bytes());
    }
    text::utf8(&text).into_owned()
}

/// A process may end at any time, and another one get its PID: so its start is compared, and ctr-inspect gets the inode of
/// its pidfd, which no other process has since Linux 6.9. Before, this is the number of all pidfds.
fn read(
    request: &Request,
    proc: &ProcRoot,
    (name, processes): (&str, &[(i32, Option<u64>)]),
    width: usize,
    text: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let held: Vec<Option<OwnedFd>> =
        processes.iter().map(|(pid, _)| ns::pidfd(proc, Pid::from_raw(*pid))).collect();
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
    // It writes into a pipe what it would write on the terminal.
    let colour = if request.colour.on_stdout() { "always" } else { "never" };
    command.args([format!("--color={colour}"), format!("--width={width}")]).arg("--").args(words);
    if exit::hints_wanted() {
        command.env("CTRBOX_HINTS", "always");
    }
    printed(&mut command, text).context("ctr-inspect")?;
    if are_there(proc, processes)? != there {
        anyhow::bail!(
            "{name} has ended meanwhile: the above can be incomplete, or be that of another process with its PID"
        );
    }
    Ok(())
}

/// Messages are where they come, between the lines of the report.
fn printed(command: &mut Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // The command has the ends that are written to: the text would not end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let read = File::from(reader).take(LONGEST).read_to_end(text);
    child.wait()?;
    read.map(drop)
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
                None => proc.has(&process.path("status")),
            }
        };
        let bytes = processes.iter().map(|process| u8::from(is_there(process))).collect();
        Ok(Parcel { bytes, descriptors: Vec::new() })
    };
    Ok(in_child(proc, OnBlock::LeaveOut, look)?.bytes.iter().map(|byte| *byte == 1).collect())
}
