//! Files for people.

use super::{Page, few, many};
use crate::applets::ctr_inspect::files::{Files, Mounted, is_below};
use crate::output::size::size;
use crate::text;

impl Page<'_> {
    pub(super) fn files(&mut self, files: &Files, all: bool) {
        let mut parts = Vec::new();
        parts.extend(files.root.fstype.as_ref().map(|fstype| {
            let mode = files.root.read_only.map_or("", |is| if is { " read-only" } else { " rw" });
            format!("/ {}{mode}", text::escape(fstype.as_bytes()))
        }));
        let overlay = files.root.overlay.as_ref();
        let upper = overlay.and_then(|overlay| overlay.upper.as_deref());
        let path = upper.or(files.root.path.as_deref());
        let what = if upper.is_some() { "upper " } else { "" };
        parts.extend(path.map(|path| format!("{what}{}", self.path(path))));
        if overlay.is_some_and(|overlay| overlay.claimed) {
            parts.push("layers as a user says".to_owned());
        }
        let deleted: Vec<_> =
            files.deleted.iter().flatten().filter(|file| all || file.bytes >= 1 << 20).collect();
        if parts.is_empty() && !deleted.is_empty() {
            parts.push("/ unknown".to_owned());
        }
        if !parts.is_empty() {
            self.line("files", &parts);
        }
        if let Some(overlay) = overlay.filter(|_| all) {
            overlay.lower.iter().for_each(|layer| {
                let layer = self.path(layer);
                self.line("  layer", &[layer]);
            });
        }
        self.mounts(files, all);
        for file in deleted {
            let path = text::escape(file.path.as_bytes());
            let line =
                format!("{} still taken by {path} (pid {}, fd {})", size(file.bytes), file.pid, file.fd);
            self.sentence("  deleted", &line);
        }
    }

    /// Those that show a part of the host. What came along below one is counted.
    pub(super) fn mounts(&mut self, files: &Files, all: bool) {
        let (from_host, same) = files.parts_of_host();
        if same > 0 {
            self.line("  mounts", &[format!("{same} as on the host")]);
        }
        let is_below = |mount: &Mounted, other: &Mounted| is_below(&mount.target, &other.target);
        for mount in &from_host {
            if !all && (mount.is_usual() || from_host.iter().any(|other| is_below(mount, other))) {
                continue;
            }
            let mode = if mount.read_only { "ro" } else { "rw" };
            let below = from_host.iter().filter(|other| is_below(other, mount)).count() as u64;
            let more =
                if below > 0 && !all { format!(", {} below", many(below, "mount")) } else { String::new() };
            let paths = (self.path(&mount.source), self.path(&mount.target));
            self.sentence("  mount", &format!("{} -> {} {mode}{more}", paths.0, paths.1));
            if !mount.writable_below.is_empty() {
                let below = few(&mount.writable_below);
                let words = self.painter.alarm("can be written below it:").into_owned();
                self.sentence("", &format!("{words} {below}"));
            }
        }
    }
}
