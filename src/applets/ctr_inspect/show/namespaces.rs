//! Namespaces for people.

use std::fmt::Write;

use super::{LABEL, Page, few};
use crate::applets::ctr_inspect::namespaces::{Extent, Namespace, Namespaces, ORDER};
use crate::text;

impl Page<'_> {
    pub(super) fn namespaces(&mut self, found: &Namespaces) {
        let of = |wanted: &dyn Fn(&Namespace) -> bool| {
            let kinds = ORDER.iter().map(|kind| kind.proc_name());
            kinds.filter(|name| found.kinds.get(name).is_some_and(wanted)).collect::<Vec<_>>().join(" ")
        };
        let (own, hosts) = (of(&|one| one.own == Some(true)), of(&|one| one.host == Some(true)));
        let is_known = found.kinds.values().all(|one| one.own.is_some());
        let mut parts = Vec::new();
        match own.is_empty() {
            true if is_known => parts.push("in nothing of its own".to_owned()),
            true => {}
            false => parts.push(own),
        }
        let apart = of(&|one| one.own.is_none() && one.host == Some(false));
        if !apart.is_empty() {
            parts.push(format!("apart from the host: {apart}"));
        }
        if !hosts.is_empty() {
            parts.push(format!("the host's: {hosts}"));
        }
        if !parts.is_empty() {
            self.line("isolated", &parts);
        }
        let mut shared: Vec<(String, Vec<&str>)> = Vec::new();
        for kind in ORDER.iter().map(|kind| kind.proc_name()) {
            let with = found.kinds.get(kind).and_then(|one| one.shared_with.as_deref());
            let Some(with) = with.filter(|with| !with.is_empty()).map(few) else { continue };
            match shared.iter_mut().find(|(known, _)| *known == with) {
                Some((_, kinds)) => kinds.push(kind),
                None => shared.push((with, vec![kind])),
            }
        }
        for (with, kinds) in shared {
            self.sentence("  shared", &format!("{} with {with}", kinds.join(" ")));
        }
        self.users(found);
        let is_own = found.kinds.get("uts").is_some_and(|uts| uts.host == Some(false));
        if let Some(hostname) = found.hostname.as_ref().filter(|_| is_own) {
            self.line("  hostname", &[text::escape(hostname.as_bytes()).into_owned()]);
        }
        if let Some(offsets) = found.time_offsets.filter(|one| (one.monotonic, one.boottime) != (0.0, 0.0)) {
            let parts = [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)];
            let parts = parts.map(|(clock, offset)| format!("{clock} {offset:+} s"));
            self.line("  clocks", &parts);
        }
        for foreign in found.foreign.iter().flatten() {
            let command = foreign.command.clone().unwrap_or_default();
            let line = format!("{} {}", foreign.pid, text::escape(command.as_bytes()));
            let line = text::cut_with_mark(&line, self.columns.saturating_sub(LABEL)).into_owned();
            self.line("  entered", &[line]);
        }
    }

    /// The id maps, unless they map every id to itself.
    pub(super) fn users(&mut self, found: &Namespaces) {
        let maps = [("uid", &found.uid_map), ("gid", &found.gid_map)];
        let is_plain = |map: &Vec<Extent>| {
            map.iter().all(|line| line.inside == line.outside && line.inside == 0 && line.count == u32::MAX)
        };
        let shown: Vec<(&str, String)> = maps
            .into_iter()
            .filter_map(|(what, map)| Some((what, map.as_ref().filter(|map| !is_plain(map))?)))
            .map(|(what, map)| (what, map_in_words(map)))
            .collect();
        match &shown[..] {
            [(_, uids), (_, gids)] if uids == gids => self.sentence("  ids", uids),
            all => all.iter().for_each(|(what, words)| self.sentence(&format!("  {what}s"), words)),
        }
        let user = found.kinds.get("user").filter(|user| user.host == Some(false));
        if let Some(owner) = user.and_then(|user| user.owner_uid).filter(|owner| *owner != 0) {
            self.line("  made by", &[format!("uid {owner} of the host")]);
        }
    }
}

pub(in crate::applets::ctr_inspect) fn map_in_words(map: &[Extent]) -> String {
    let range = |first: u32, count: u32| match count {
        0 | 1 => first.to_string(),
        _ => format!("{first}-{}", u64::from(first) + u64::from(count) - 1),
    };
    let line = |line: &Extent| {
        format!("{} inside is {}", range(line.inside, line.count), range(line.outside, line.count))
    };
    const MOST: usize = 3;
    let mut words = map.iter().take(MOST).map(line).collect::<Vec<_>>().join(", ");
    match map.len() {
        0 => words.push_str("no id is mapped"),
        count if count > MOST => _ = write!(words, " and {} more", count - MOST),
        _ => {}
    }
    words
}
