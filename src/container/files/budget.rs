//! How much of one user's files, or of the files in one container, is read. Their owner chooses how many there
//! are and how large, and must not choose how long root's ctrbox runs or how much memory it takes.
//!
//! The limits are counts, never times: the same files give the same answer on every host.

use std::cell::Cell;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Files and directories opened, and what a check of a record costs in them.
    Look,
    /// Directories with records of containers.
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

/// Opens that the check of one record's init process may cost: of its control groups, user namespace and start, and
/// of the time of the boot.
pub(super) const CHECK: usize = 4;

#[cfg(test)]
impl Cost {
    pub(crate) const fn limit(self) -> usize {
        LIMITS[self as usize].1
    }
}

pub(crate) struct Budget {
    /// Whose files these are, for the warning.
    pub whose: String,
    left: [Cell<usize>; LIMITS.len()],
    over: Cell<bool>,
}

/// May it be spent?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    Yes,
    /// No, and this is the first time: somebody should be warned.
    First,
    No,
}

impl Budget {
    pub(crate) fn new(whose: String) -> Budget {
        Budget { whose, left: LIMITS.map(|(_, limit)| Cell::new(limit)), over: Cell::new(false) }
    }

    /// When one of the counts is used up, all are: the rest of the records is not read.
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

    /// The same for what may be left out alone.
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
    fn one_count_that_is_used_up_ends_all() {
        let budget = Budget::new("x".to_owned());
        assert_eq!(budget.spend(Cost::Byte, 16 << 20), Spent::Yes);
        assert_eq!(budget.spend(Cost::Byte, 32 << 20), Spent::Yes);
        assert_eq!(budget.spend(Cost::Name, 10_000), Spent::Yes);
        assert_eq!(budget.spend(Cost::Byte, usize::MAX), Spent::First);
        assert_eq!(budget.spend(Cost::Byte, 1), Spent::No);
        assert_eq!(budget.spend(Cost::Look, 1), Spent::No);
    }

    #[test]
    fn a_warning_too_many_ends_nothing() {
        let budget = Budget::new("x".to_owned());
        assert_eq!((0..200).filter(|_| budget.take(Cost::Warning, 1)).count(), 100);
        assert_eq!(budget.spend(Cost::Look, 1), Spent::Yes);
    }
}
