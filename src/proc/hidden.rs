//! Processes that are left out as if they had ended: the kernel does not answer reads of their files, or they belong
//! to the run itself.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::unistd::Pid;

/// Sorted.
static HIDDEN: Mutex<Vec<i32>> = Mutex::new(Vec::new());
/// Is one hidden? Asked for every file that is read.
static ANY: AtomicBool = AtomicBool::new(false);
/// Left out of lists of processes only. 0 for none.
static UNLISTED: AtomicI32 = AtomicI32::new(0);

fn with<T>(change: impl FnOnce(&mut Vec<i32>) -> T) -> T {
    let mut hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    let result = change(&mut hidden);
    ANY.store(!hidden.is_empty(), Ordering::Relaxed);
    result
}

/// From now on, this process and its children find no files of these processes. False if all were hidden before.
pub(crate) fn hide(pids: &[Pid]) -> bool {
    with(|hidden| {
        let before = hidden.len();
        hidden.extend(pids.iter().map(|pid| pid.as_raw()));
        hidden.sort_unstable();
        hidden.dedup();
        hidden.len() > before
    })
}

/// Nothing is hidden any more.
pub(crate) fn show_all() {
    with(Vec::clear);
}

#[must_use]
pub(crate) fn is_hidden(pid: Pid) -> bool {
    ANY.load(Ordering::Relaxed) && with(|hidden| hidden.binary_search(&pid.as_raw()).is_ok())
}

/// Leaves one process out of lists of processes. Its files can be read.
pub(crate) fn do_not_list(pid: Pid) {
    UNLISTED.store(pid.as_raw(), Ordering::Relaxed);
}

/// Removes from a list what is left out.
pub(super) fn leave_out<T>(all: &mut Vec<T>, pid: impl Fn(&T) -> Pid) {
    let unlisted = UNLISTED.load(Ordering::Relaxed);
    if unlisted != 0 || ANY.load(Ordering::Relaxed) {
        all.retain(|one| pid(one).as_raw() != unlisted && !is_hidden(pid(one)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::{ProcRoot, Scan};

    #[test]
    fn files_of_a_hidden_process_are_not_found() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
        let (proc, pid) = (ProcRoot::default(), Pid::from_raw(i32::try_from(child.id()).expect("a PID")));
        let found = || {
            let mut scan = Scan::new(&proc).expect("opens");
            [
                Scan::pids(&proc).expect("a list").contains(&pid),
                scan.stat_text(pid).is_ok(),
                scan.link(pid, "exe", &mut [0; 100]).is_ok(),
                proc.process(pid).status().is_ok(),
                proc.process(pid).path("exe").exists(),
            ]
        };
        assert_eq!(found(), [true; 5]);
        assert!(hide(&[pid]) && !hide(&[pid]));
        let hidden = found();
        show_all();
        let shown = found();
        do_not_list(pid);
        let unlisted = found();
        do_not_list(Pid::from_raw(0));
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert_eq!((hidden, shown, unlisted), ([false; 5], [true; 5], [false, true, true, true, true]));
    }
}
