//! Takes one sample after the other.

use std::path::Path;

use anyhow::Result;

use super::known::Known;
use super::look::look;
use super::options::Request;
use super::rates::{Rows, rows};
use super::sample::{Sample, Sampler};
use super::scan::Wanted;
use super::show::Frame;
use crate::access::watch as reading;
use crate::container::Files;
use crate::exit::{self, Exit};
use crate::isolation::cgroup::Hierarchies;
use crate::proc::ProcRoot;
use crate::sys;

/// So many descriptors are left for all else, or a quarter if there are few.
const SPARE: usize = 256;

pub(super) struct Watcher<'a> {
    pub proc: ProcRoot,
    name: &'static str,
    request: &'a Request,
    known: Known,
    pub sampler: Sampler,
    /// Are the interfaces read? No file costs more.
    pub networks: bool,
    before: Option<Sample>,
    /// What was said about processes that block their readers.
    said: Option<String>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(name: &'static str, request: &'a Request) -> Result<Watcher<'a>> {
        let root = request.root.as_deref();
        let proc = Files::new(root.unwrap_or(Path::new("/")))?.proc(root)?;
        let mounted = Hierarchies::read(&proc).unwrap_or_default();
        let all = sys::raise_descriptor_limit();
        let most = all - SPARE.min(all / 4);
        // If there are few, groups have a half, as to open one of their files takes twice as long.
        let (known, sampler) = (Known::new(most / 2), Sampler::new(mounted, most));
        Ok(Watcher { proc, name, request, known, sampler, networks: true, before: None, said: None })
    }

    /// The next sample, with rates if there was one before. Files of containers that are gone are no error.
    pub(super) fn frame(&mut self) -> Result<Frame, Exit> {
        let sample = self.sample()?;
        let time = |sample: &Sample| sample.ticks.map(|(_, all)| all);
        // Nothing passes in a copy of a host, unless somebody writes another one in its place.
        let is_later = |before: &&Sample| !self.proc.is_copy() || time(&sample) > time(before);
        let rows: Rows = rows(&sample, self.before.as_ref().filter(is_later));
        let frame = Frame::new(&sample, rows, self.request.per_pod);
        self.before = Some(sample);
        Ok(frame)
    }

    pub(super) fn sample(&mut self) -> Result<Sample, Exit> {
        let is_first = self.before.is_none();
        reading::look_again(&self.proc);
        // Mounts and users may have changed.
        let files = Files::new(self.request.root.as_deref().unwrap_or(Path::new("/")))?;
        let wanted = Wanted {
            targets: &self.request.targets,
            pods: self.request.per_pod,
            services: self.request.all,
            counts_disk: self.sampler.counts_disk(),
            networks: self.networks,
            each_device: self.sampler.shows.each_device,
        };
        let looked = look(&mut self.known, &self.proc, &files, &wanted)?;
        // A target can end, and start again.
        if let Some(problem) = looked.problem.as_ref().filter(|_| is_first) {
            let error = anyhow::Error::from(exit::NotSeen(problem.clone()));
            return Err(error.into());
        }
        if is_first {
            looked.notes.iter().for_each(|note| exit::warn(self.name, note));
        }
        Ok(self.sampler.sample(&self.proc, &self.known, looked))
    }

    /// What the rights of the caller withhold. A copy of a host has what could be copied.
    pub(super) fn withheld(&self) -> Option<String> {
        if self.proc.is_copy() { None } else { exit::rights() }
    }

    /// Says once which processes are left out.
    pub(super) fn say(&mut self) {
        let note = reading::note_of_blocked();
        if note != self.said {
            note.iter().for_each(|note| exit::warn(self.name, note));
            self.said = note;
        }
    }
}
