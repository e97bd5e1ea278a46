//! `--print=TARGET`: the capabilities of another process, and what limits or extends them.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, anyhow};
use nix::errno::Errno;
use nix::unistd::Pid;

use super::sets::first_lines;
use super::{Shell, fail};
use crate::container::child::{OnBlock, in_child};
use crate::container::target::{Lookup, Purpose, Target};
use crate::errno;
use crate::exit::Exit;
use crate::isolation::capabilities::baseline::describe;
use crate::isolation::capabilities::process::{Capable, Program, UserNs};
use crate::isolation::ns;
use crate::proc::{Credentials, Sets};
use crate::proc::{ProcRoot, Scan, vanished};
use crate::text;

pub(super) fn print(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let proc = ProcRoot::default();
    let shown = || format!("--print={}", text::shown(word));
    let target = Target::parse(word).with_context(shown)?;
    let held = Lookup::new("capsh", Purpose::Read).held(&proc, &target)?;
    // Its files in /proc may be unreadable without an end.
    let described = in_child(&proc, OnBlock::Fail, || {
        let process =
            Capable::whole(proc.process(held.pid)).map_err(|error| error_of(&proc, held.pid, error));
        let described = process.map(|process| describe_process(&process, shell.last).into_bytes());
        Ok(described.map_err(|error| errno::chain(&error)))
    })?;
    let described = described.map_err(anyhow::Error::msg)?;
    if let Some(pidfd) = &held.pidfd {
        ns::still(pidfd).map_err(|_| fail(format!("capsh: process {} has ended", held.pid)))?;
    }
    shell.out.push(&described);
    Ok(())
}

fn error_of(proc: &ProcRoot, pid: Pid, error: std::io::Error) -> anyhow::Error {
    match error.raw_os_error().map(Errno::from_raw).filter(|errno| !vanished(*errno)) {
        Some(errno) => anyhow!(errno),
        None if error.raw_os_error().is_some() => Scan::no_process(proc),
        None => anyhow!(error),
    }
    .context(format!("process {pid}"))
}

fn describe_process(process: &Capable, last: u8) -> String {
    let state = &process.state;
    let sets = &state.sets;
    let mut text = format!("Process: {} ({})\n", process.pid, text::escape(&state.name));
    text += &first_lines(sets.flags(), sets.bounding, sets.ambient, sets.iab(), last);
    let limited = state.no_new_privs.map_or("?".to_owned(), |on| u8::from(on).to_string());
    _ = writeln!(text, "Securebits: unknown, only the process itself can read them (no-new-privs={limited})");
    text += &identity(state);
    _ = writeln!(text, "In short: {}", in_short(sets, process.user_ns.as_ref(), last));
    _ = writeln!(text, "User namespace: {}", user_ns(process.user_ns.as_ref()));
    _ = writeln!(text, "Program: {}", program(process.program.as_ref(), last));
    if let Some(mode) = state.seccomp {
        let word = ["disabled", "strict", "filter"].get(usize::from(mode)).copied().unwrap_or("unknown");
        _ = writeln!(text, "Seccomp: {word}");
    }
    text += &threads(process, last);
    text
}

/// Shows numbers only: in the container the names may be different.
fn identity(state: &Credentials) -> String {
    let id = |ids: &[u32], at: usize| ids.get(at).map_or("?".to_owned(), ToString::to_string);
    let groups: Vec<String> = state.groups.iter().map(ToString::to_string).collect();
    format!(
        "uid={} euid={}\ngid={}\ngroups={}\n",
        id(&state.uids, 0),
        id(&state.uids, 1),
        id(&state.gids, 0),
        groups.join(",")
    )
}

fn in_short(sets: &Sets, user_ns: Option<&UserNs>, last: u8) -> String {
    let mut text = describe(sets.permitted, last);
    if sets.bounding != sets.permitted {
        _ = write!(text, ", at most {}", describe(sets.bounding, last));
    }
    if let Some(limits) = user_ns.and_then(UserNs::limits) {
        _ = write!(text, ", but {limits}");
    }
    text
}

fn user_ns(user_ns: Option<&UserNs>) -> String {
    match user_ns {
        None => "unknown".to_owned(),
        Some(UserNs { inode, is_own: true, .. }) => format!("{inode}, the caller's"),
        Some(UserNs { inode, owner: Some(uid), .. }) => format!("{inode}, owned by uid {uid}"),
        Some(UserNs { inode, .. }) => inode.to_string(),
    }
}

fn program(program: Option<&Program>, last: u8) -> String {
    let Some(program) = program else { return "none or unknown".to_owned() };
    let path = text::escape(program.path.as_os_str().as_bytes());
    match &program.gives {
        Ok(None) => format!("{path}, no file capabilities"),
        Ok(Some(file)) => {
            let scope = file.rootid.map(|uid| format!(" where uid {uid} is root")).unwrap_or_default();
            format!("{path}, file capabilities {}{scope}", file.flags.text(last))
        }
        Err(_) => format!("{path}, file capabilities unknown: {}", program.unknown().unwrap_or_default()),
    }
}

fn threads(process: &Capable, last: u8) -> String {
    let mut text = String::new();
    let differing: usize = process.others.iter().map(|(threads, _)| threads.len()).sum();
    if process.state.threads > 1 && differing == 0 {
        _ = writeln!(text, "Threads: {}, all the same", process.state.threads);
    }
    for (threads, state) in &process.others {
        let ids: Vec<String> = threads.iter().map(ToString::to_string).collect();
        let (flags, iab) = (state.sets.flags().text(last), state.sets.iab().text(last));
        let limited = state.no_new_privs.map_or("?".to_owned(), |on| u8::from(on).to_string());
        _ = writeln!(text, "Thread {} differs: \"{flags}\" [{iab}] (no-new-privs={limited})", ids.join(","));
    }
    text
}
