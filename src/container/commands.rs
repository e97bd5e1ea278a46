//! The command lines of processes, for reports.

use nix::unistd::Pid;

use super::world::World;
use crate::access::{Lines, Reading};
use crate::text;

/// Command lines of processes, read at once by another process.
pub(crate) struct Commands(Lines);

impl Commands {
    pub(crate) fn read(world: &World<'_>, mut pids: Vec<i32>) -> Commands {
        pids.sort_unstable();
        pids.dedup();
        Commands(Reading::start(world.proc, pids.into_iter().map(Pid::from_raw).collect()).finish())
    }

    /// The arguments with blanks between them, else the name in brackets.
    pub(crate) fn get(&self, world: &World<'_>, pid: i32) -> Option<String> {
        let line = self.0.get(Pid::from_raw(pid)).unwrap_or_default();
        let end = line.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        if end > 0 {
            let line: Vec<u8> = line[..end].iter().map(|&b| if b == 0 { b' ' } else { b }).collect();
            return Some(text::utf8(&line).into_owned());
        }
        let name = world.proc.process(Pid::from_raw(pid)).status().ok()?.name;
        Some(format!("[{}]", text::utf8(&name)))
    }

    /// The processes whose arguments cannot be read because their memory is locked.
    pub(crate) fn locked(&self) -> Vec<i32> {
        self.0.locked().collect()
    }
}
