//! The controllers whose files are read.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Cpu,
    Cpuacct,
    Pids,
    Blkio,
    Io,
    Freezer,
    Unified,
}

/// In the order above: the name, which is empty for the unified hierarchy, and whether it counts what a container uses.
pub(super) const CONTROLLERS: [(Controller, &str, bool); 8] = [
    (Controller::Memory, "memory", true),
    (Controller::Cpu, "cpu", true),
    (Controller::Cpuacct, "cpuacct", true),
    (Controller::Pids, "pids", true),
    (Controller::Blkio, "blkio", true),
    (Controller::Io, "io", true),
    (Controller::Freezer, "freezer", false),
    (Controller::Unified, "", true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_controllers() {
        for (at, (controller, ..)) in CONTROLLERS.into_iter().enumerate() {
            assert_eq!(controller as usize, at);
        }
    }
}
