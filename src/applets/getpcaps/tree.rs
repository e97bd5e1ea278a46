//! The processes as a tree, each with what it may do: captree(8)'s.

use crate::sys::keyed::HashMap;

use anyhow::Error;
use nix::errno::Errno;
use nix::unistd::Pid;

use super::Request;
use super::show::quoted;
use crate::exit::Exit;
use crate::isolation::capabilities::State;
use crate::isolation::capabilities::process::Process;
use crate::output::style;
use crate::output::tree::{Forest, Glyphs};
use crate::proc::{Scan, vanished};
use crate::text;

/// Below the targets that were found, or all of them if none was asked for.
pub(super) fn show(request: &mut Request, some: bool) -> Result<(), Exit> {
    let mut states: HashMap<Pid, State> = HashMap::default();
    let mut pids = Vec::new();
    for pid in Scan::pids(&request.proc)? {
        match State::read(&request.proc, pid, None) {
            Ok(state) => {
                states.insert(pid, state);
                pids.push(pid);
            }
            Err(error) if !may_be_left_out(&error) => {
                return Err(Error::from(error).context(format!("process {pid}")).into());
            }
            Err(_) => {}
        }
    }
    if some {
        let mut below: HashMap<Pid, bool> = HashMap::default();
        below.extend(request.processes.iter().map(|(_, process)| (process.pid, true)));
        pids.retain(|&pid| is_below(pid, &mut below, &states));
    }
    let ids: Vec<i32> = pids.iter().map(|pid| pid.as_raw()).collect();
    let parents: Vec<i32> = pids.iter().map(|pid| states[pid].ppid).collect();
    let mut forest = Forest::default();
    forest.grow(&ids, &parents, Glyphs::new(style::unicode()));
    for row in &forest.rows {
        let pid = pids[row.node];
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

/// Those that differ, in lines of their own.
fn threads(request: &mut Request, pid: Pid, prefix: &str) {
    let Ok(process) = Process::read(&request.proc, pid) else { return };
    for (ids, state) in &process.others {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let blank: String = prefix.chars().map(|_| ' ').collect();
        let name = text::escape(&state.name);
        let line =
            format!("{blank}  :{name}(thread {}){}\n", ids.join(","), quoted(&state.sets, request.last));
        request.out.push(line.as_bytes());
    }
}

/// One that is gone by now, one that others may not look at, and one whose status is cut off.
fn may_be_left_out(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_none_or(|errno| vanished(errno) || matches!(errno, Errno::EACCES | Errno::EPERM))
}

/// Is it one of the roots or below one? What is known of those above is kept in `below`, so that each is asked
/// once. A cycle (numbers are read one after the other, and reused) ends it.
fn is_below(pid: Pid, below: &mut HashMap<Pid, bool>, states: &HashMap<Pid, State>) -> bool {
    let (mut way, mut next) = (Vec::new(), pid);
    let answer = loop {
        if let Some(&answer) = below.get(&next) {
            break answer;
        }
        let Some(state) = states.get(&next) else { break false };
        below.insert(next, false); // met again on this way it is a cycle
        way.push(next);
        next = Pid::from_raw(state.ppid);
    };
    below.extend(way.into_iter().map(|pid| (pid, answer)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_a_hundred_thousand_and_a_cycle() {
        let mut states: HashMap<Pid, State> = HashMap::default();
        let mut child = |pid, ppid| states.insert(Pid::from_raw(pid), State { ppid, ..State::default() });
        (1..=100_000).for_each(|pid| _ = child(pid, pid - 1));
        child(200_001, 200_002);
        child(200_002, 200_001);
        let mut below: HashMap<Pid, bool> = HashMap::default();
        below.insert(Pid::from_raw(50_000), true);
        let mut is = |pid| is_below(Pid::from_raw(pid), &mut below, &states);
        assert_eq!((1..=100_000).filter(|&pid| is(pid)).count(), 50_001);
        assert!(!is(200_001) && !is(200_002) && !is(7_000_000));
    }
}
