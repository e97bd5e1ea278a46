//! `--tree`: the tree of processes, each with its capabilities, as captree(8) shows it.

use crate::sys::keyed::HashMap;

use anyhow::Error;
use nix::errno::Errno;
use nix::unistd::Pid;

use super::Request;
use super::show::quoted;
use crate::exit::Exit;
use crate::isolation::capabilities::process::Capable;
use crate::output::style;
use crate::output::tree::{Forest, Glyphs};
use crate::proc::Credentials;
use crate::proc::{Scan, vanished};
use crate::text;

/// Shows the targets and their descendants, or all processes if no target is given.
pub(super) fn show(request: &mut Request, by_target: bool) -> Result<(), Exit> {
    let mut states: HashMap<Pid, Credentials> = HashMap::default();
    let mut pids = Vec::new();
    for pid in Scan::pids(&request.proc)? {
        match request.proc.process(pid).credentials() {
            Ok(state) => {
                states.insert(pid, state.without_groups());
                pids.push(pid);
            }
            Err(error) if !may_be_left_out(&error) => {
                return Err(Error::from(error).context(format!("process {pid}")).into());
            }
            Err(_) => {}
        }
    }
    if by_target {
        let mut below: HashMap<Pid, bool> = HashMap::default();
        below.extend(request.processes.iter().map(|(_, process)| (process.pid, true)));
        pids.retain(|&pid| is_below(pid, &mut below, &states));
    }
    let ids: Vec<i32> = pids.iter().map(|pid| pid.as_raw()).collect();
    let parents: Vec<i32> = pids.iter().map(|pid| states[pid].ppid).collect();
    let mut forest = Forest::default();
    forest.grow(&ids, &parents, Glyphs::new(style::unicode()));
    for row in &forest.rows {
        let pid = pids[row.node()];
        let state = &states[&pid];
        let name = text::escape(&state.name);
        let line = format!("{}{name}({pid}){}\n", forest.lines(row).0, quoted(&state.sets, request.last));
        request.out.push(line.as_bytes());
        if state.threads > 1 {
            threads(request, pid, forest.lines(row).0);
        }
    }
    Ok(())
}

/// A line for each group of threads that differ from the process.
fn threads(request: &mut Request, pid: Pid, prefix: &str) {
    let Ok(process) = Capable::read(request.proc.process(pid)) else { return };
    for (ids, state) in &process.others {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let blank: String = prefix.chars().map(|_| ' ').collect();
        let name = text::escape(&state.name);
        let line =
            format!("{blank}  :{name}(thread {}){}\n", ids.join(","), quoted(&state.sets, request.last));
        request.out.push(line.as_bytes());
    }
}

/// The process has ended, or the caller may not read it, or its status is truncated.
fn may_be_left_out(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_none_or(|errno| vanished(errno) || matches!(errno, Errno::EACCES | Errno::EPERM))
}

/// Is the process a target or a descendant of one? `below` caches the answers, so that each process is checked
/// once. A cycle ends the search: PIDs are read one after the other and may be reused meanwhile.
fn is_below(pid: Pid, below: &mut HashMap<Pid, bool>, states: &HashMap<Pid, Credentials>) -> bool {
    let (mut path, mut next) = (Vec::new(), pid);
    let answer = loop {
        if let Some(&answer) = below.get(&next) {
            break answer;
        }
        let Some(state) = states.get(&next) else { break false };
        below.insert(next, false); // if it is met again on this path, there is a cycle
        path.push(next);
        next = Pid::from_raw(state.ppid);
    };
    below.extend(path.into_iter().map(|pid| (pid, answer)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chain_and_a_cycle() {
        let mut states: HashMap<Pid, Credentials> = HashMap::default();
        let mut child =
            |pid, ppid| states.insert(Pid::from_raw(pid), Credentials { ppid, ..Credentials::default() });
        (1..=100_000).for_each(|pid| _ = child(pid, pid - 1));
        child(200_001, 200_002);
        child(200_002, 200_001);
        let mut below: HashMap<Pid, bool> = HashMap::default();
        below.insert(Pid::from_raw(50_000), true);
        let mut check = |pid| is_below(Pid::from_raw(pid), &mut below, &states);
        assert_eq!((1..=100_000).filter(|&pid| check(pid)).count(), 50_001);
        assert!(!check(200_001) && !check(200_002) && !check(7_000_000));
    }
}
