//! The containers of all processes, one after the other.

use std::cell::RefCell;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::{Files, PidNs, Resolver, Tag, is_of_group};
use crate::isolation::cgroup;
use crate::isolation::identity::{Identity, Walk, Way};
use crate::proc::id_hash::ById;
use crate::proc::{ProcRoot, Scan, broken};

/// The processes to read if few of them matter, and who finds their containers.
pub(crate) struct Few<'a> {
    pub pids: Vec<Pid>,
    pub resolver: Resolver<'a>,
}

/// Calls `each` for all processes, or for few of them, with the container of each. Threads of the kernel are left out.
pub(crate) fn each_process<'a>(
    (proc, files): (&'a ProcRoot, &'a Files),
    few: Option<Few<'a>>,
    wants: impl Fn(&Identity) -> bool,
    mut each: impl FnMut(Pid, &Identity, Option<Tag>),
) -> Result<()> {
    let unreadable = || format!("cannot read {}: is proc mounted there?", proc.path().display());
    let (pids, resolver) = match few {
        Some(Few { pids, resolver }) => (pids, Some(resolver)),
        None => (Scan::pids(proc)?, None),
    };
    let walk = RefCell::new(Walk::new(proc, Way::Best, pids).with_context(unreadable)?);
    let resolver = resolver.unwrap_or_else(|| Resolver::for_walk(proc, files, &walk));
    let mut tagger = Tagger::new(&walk, Scan::new(proc).with_context(unreadable)?, resolver);
    loop {
        let next = walk.borrow_mut().next();
        let Some((pid, identity)) = next else { return Ok(()) };
        if !identity.kernel_thread && wants(&identity) {
            let cannot = || format!("cannot read {}", proc.shown(&proc.path_of(pid, "cgroup")).display());
            let tag = tagger.tag(pid, &identity).with_context(cannot)?;
            each(pid, &identity, tag);
        }
    }
}

/// Finds the container of each process.
pub(crate) struct Tagger<'a> {
    walk: &'a RefCell<Walk>,
    pub scan: Scan,
    pub resolver: Resolver<'a>,
    /// The verified containers, by the ids of the control group and the pid namespace.
    verified: ById<(u64, u64), Tag>,
    /// The content of /proc/PID/cgroup, by the id of the group. Used only on hosts with one hierarchy.
    texts: ById<u64, Vec<u8>>,
}

impl<'a> Tagger<'a> {
    #[must_use]
    pub(crate) fn new(walk: &'a RefCell<Walk>, scan: Scan, resolver: Resolver<'a>) -> Self {
        Tagger { walk, scan, resolver, verified: ById::default(), texts: ById::default() }
    }

    /// Most processes share a group with another process: the cgroup file is then not read again.
    pub(crate) fn tag(&mut self, pid: Pid, identity: &Identity) -> nix::Result<Option<Tag>> {
        if identity.kernel_thread {
            return Ok(None);
        }
        let space = match (identity.own_pid_ns, identity.group) {
            (false, _) => PidNs::Procs,
            (true, None) => PidNs::Own,
            (true, Some((_, id))) => PidNs::Id(id),
        };
        if let Some(group) = identity.group {
            if let Some(tag) = self.verified.get(&group) {
                return Ok(Some(tag.clone()));
            }
            if let Some(text) = self.texts.get(&group.0) {
                return Ok(self.resolver.resolve_in(pid, text, space));
            }
        }
        let text = match self.scan.cgroup(pid) {
            Err(errno) if broken(errno) => return Err(errno),
            read => read.unwrap_or_default(),
        };
        let tag = self.resolver.resolve_in(pid, text, space);
        if identity.group.is_some() {
            // Is the unified hierarchy the only one?
            let alone = text.starts_with(b"0::") && cgroup::parse(text).count() == 1;
            let sure = tag.as_ref().filter(|tag| is_of_group(tag));
            // Cache the container only if the unified hierarchy alone identifies it: then neither v1 nor namespaces
            // matter. A process of the host can be in the container's group in some hierarchies only.
            let mut same =
                || (alone || identity.own_pid_ns) && self.resolver.resolve_unified(text).as_ref() == sure;
            let sure = sure.filter(|_| same());
            if alone || sure.is_some() {
                let text = alone.then(|| text.to_vec());
                self.learn(pid, identity, text, sure.cloned());
            }
        }
        Ok(tag)
    }

    /// Caches what was found, for the next process in the group.
    fn learn(&mut self, pid: Pid, identity: &Identity, text: Option<Vec<u8>>, sure: Option<Tag>) {
        // The process may have moved to another group before its file was read.
        let Some(group) = identity.group.filter(|group| self.walk.borrow().group_now(pid) == Some(group.0))
        else {
            return;
        };
        if let Some(text) = text {
            self.texts.insert(group.0, text);
        }
        if let Some(tag) = sure {
            self.verified.insert(group, tag);
        }
    }
}
