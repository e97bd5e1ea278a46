//! The processes as a tree, each with what it may do: captree(8)'s.

use std::collections::{HashMap, HashSet};

use nix::unistd::Pid;

use super::Request;
use super::show::quoted;
use crate::exit::Exit;
use crate::isolation::capabilities::State;
use crate::isolation::capabilities::process::Process;
use crate::output::style;
use crate::output::text;
use crate::output::tree::{Forest, Glyphs};
use crate::proc::Scan;

/// Below the targets that were found, or all of them if none was asked for.
pub fn show(request: &mut Request, some: bool) -> Result<(), Exit> {
    let mut states: HashMap<Pid, State> = HashMap::new();
    let mut pids = Vec::new();
    for pid in Scan::pids(&request.proc)? {
        // One that is gone by now is not shown, nor one that others may not look at.
        if let Ok(state) = State::read(&request.proc, pid, None) {
            states.insert(pid, state);
            pids.push(pid);
        }
    }
    if some {
        let roots: HashSet<Pid> = request.processes.iter().map(|(_, process)| process.pid).collect();
        pids.retain(|&pid| below(pid, &roots, &states));
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

/// Is it one of the roots or below one? A cycle (numbers are read one after the other, and reused) ends it.
fn below(pid: Pid, roots: &HashSet<Pid>, states: &HashMap<Pid, State>) -> bool {
    let mut next = pid;
    for _ in 0..states.len() {
        if roots.contains(&next) {
            return true;
        }
        match states.get(&next) {
            Some(state) => next = Pid::from_raw(state.ppid),
            None => return false,
        }
    }
    false
}
