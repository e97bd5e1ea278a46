//! How long processes waited for CPUs, memory and disks.

use serde::Serialize;

use super::reader::{Own, Reader};
use crate::isolation::cgroup::pressure::{Stall, stall};

#[derive(Serialize, Debug)]
pub(in crate::applets::ctr_inspect) struct Pressures {
    pub cpu: Option<Pressure>,
    pub memory: Option<Pressure>,
    pub io: Option<Pressure>,
}

#[derive(Serialize, Debug)]
pub(in crate::applets::ctr_inspect) struct Pressure {
    pub some: Option<Stall>,
    pub full: Option<Stall>,
}

impl Reader<'_> {
    pub(super) fn pressure(&self) -> Option<Pressures> {
        if !self.has_unified_files("limits.pressure") {
            return None;
        }
        let Own { place, .. } = self.unified().filter(|own| own.own == Some(true))?;
        let read = |file: &str| {
            let text = place.read(file)?;
            Some(Pressure { some: stall(&text, "some"), full: stall(&text, "full") })
        };
        let found =
            Pressures { cpu: read("cpu.pressure"), memory: read("memory.pressure"), io: read("io.pressure") };
        (found.cpu.is_some() || found.memory.is_some() || found.io.is_some()).then_some(found)
    }
}
