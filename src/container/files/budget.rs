//! Limits how much of one user's files, or of the files in one container, is read. The owner controls their number and
//! size, and must not control the run time or the memory of root's ctrbox.
//!
//! The limits are counts, never times, so the same files give the same answer on every host.

use std::cell::Cell;

/// A quantity with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Opened files and directories; the check of a state file counts as several.
    Look,
    /// State directories.
    StateDir,
    /// Entries of directories and of lists of containers.
    Name,
    /// Bytes read.
    Byte,
    /// Bytes of memory that stay in use.
    Kept,
    /// Warnings.
    Warning,
}

/// In the order of the enum. A user with a thousand running containers stays below all of them.
const LIMITS: [(Cost, usize); 6] = [
    (Cost::Look, 16_000),
    (Cost::StateDir, 64),
    (Cost::Name, 10_000),
    (Cost::Byte, 48 << 20),
    (Cost::Kept, 6 << 20),
    (Cost::Warning, 100),
];

/// Opens for the check of an init process: its control groups, its user namespace, its start time, and the boot time.
pub(super) const CHECK: usize = 4;

#[cfg(test)]
impl Cost {
    pub(crate) const fn limit(self) -> usize {
        LIMITS[self as usize].1
    }
}

pub(crate) struct Budget {
    /// The owner of the files, for the warning.
    pub owner: String,
    left: [Cell<usize>; LIMITS.len()],
    over: Cell<bool>,
}

/// The result of [`Budget::spend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    Yes,
    /// No, for the first time: the caller prints a warning.
    First,
    No,
}

impl Budget {
    pub(crate) fn new(owner: String) -> Budget {
        Budget { owner, left: LIMITS.map(|(_, limit)| Cell::new(limit)), over: Cell::new(false) }
    }

    /// Counts a cost. If one count reaches its limit, all later costs are refused: the other state files are not read.
    pub(crate) fn spend(&self, cost: Cost, count: usize) -> Spent {
        if self.over.get() {
            return Spent::No;
        }
        if self.take(cost, count) {
            return Spent::Yes;
        }
        self.over.set(true);
        Spent::First
    }

    pub(crate) fn left(&self, cost: Cost) -> usize {
        self.left[cost as usize].get()
    }

    /// Counts a cost that, beyond its limit, refuses no other cost.
    pub(crate) fn take(&self, cost: Cost, count: usize) -> bool {
        let left = &self.left[cost as usize];
        match left.get().checked_sub(count) {
            Some(rest) => left.set(rest),
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_in_the_order_of_the_enum() {
        assert!(LIMITS.iter().enumerate().all(|(at, (cost, _))| *cost as usize == at));
    }

    #[test]
    fn one_limit_that_is_reached_refuses_all_costs() {
        let budget = Budget::new("x".to_owned());
        assert_eq!(budget.spend(Cost::Byte, 16 << 20), Spent::Yes);
        assert_eq!(budget.spend(Cost::Byte, 32 << 20), Spent::Yes);
        assert_eq!(budget.spend(Cost::Name, 10_000), Spent::Yes);
        assert_eq!(budget.spend(Cost::Byte, usize::MAX), Spent::First);
        assert_eq!(budget.spend(Cost::Byte, 1), Spent::No);
        assert_eq!(budget.spend(Cost::Look, 1), Spent::No);
    }

    #[test]
    fn too_many_warnings_refuse_no_other_cost() {
        let budget = Budget::new("x".to_owned());
        assert_eq!((0..200).filter(|_| budget.take(Cost::Warning, 1)).count(), 100);
        assert_eq!(budget.spend(Cost::Look, 1), Spent::Yes);
    }
}
