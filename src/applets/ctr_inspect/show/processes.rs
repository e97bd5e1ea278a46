//! Privileges and processes for people.

use super::{Page, many};
use crate::applets::ctr_inspect::privileges::Privileges;
use crate::applets::ctr_inspect::processes::Processes;
use crate::text;

/// The processes that are shown without -a.
const MOST_PROCESSES: usize = 20;

impl Page<'_> {
    pub(super) fn privileges(&mut self, privileges: &Privileges, all: bool) {
        let Some(bounding) = &privileges.bounding else { return };
        let mut parts = Vec::new();
        parts.push(match (privileges.root_on_host, privileges.uid, privileges.uid_host) {
            (Some(true), ..) => "root on the host".to_owned(),
            (_, Some(0), Some(0)) => "root".to_owned(),
            (_, Some(0), Some(host)) => format!("root inside, uid {host} on the host"),
            (_, Some(uid), Some(host)) if uid != host => format!("uid {uid} inside, {host} on the host"),
            (_, _, Some(host)) => format!("uid {host}"),
            _ => "uid unknown".to_owned(),
        });
        let is_limited = privileges.privileged.is_some() && !privileges.on_host && bounding.bits != 0;
        let place = if is_limited { " in its user namespace" } else { "" };
        parts.push(format!("{}{place}", privileges.words));
        parts.push(match (privileges.seccomp, privileges.seccomp_filters) {
            (Some("filter"), Some(count @ 2..)) => format!("seccomp: {count} filters"),
            (Some("filter"), _) => "seccomp on".to_owned(),
            (Some(other), _) => format!("seccomp {other}"),
            (None, _) => "seccomp unknown".to_owned(),
        });
        parts.push(match &privileges.lsm {
            Some(lsm) => format!("{} {}", lsm.kind, text::escape(lsm.label.as_bytes())),
            None if privileges.is_label_known => "no LSM".to_owned(),
            None => "LSM unknown".to_owned(),
        });
        let can_grow = privileges.no_new_privs == Some(false) && bounding.bits != 0;
        parts.push(if can_grow { "privileges can grow" } else { "no new privileges" }.to_owned());
        self.sentence("rights", &parts.join("; "));
        if let Some(uncovered) = privileges.uncovered.as_ref().filter(|list| !list.is_empty()) {
            self.words("  exposed", uncovered);
        }
        if all {
            for (label, list) in [("  masked", &privileges.masked), ("  readonly", &privileges.readonly)] {
                let paths = list.iter().flatten();
                let list: Vec<String> =
                    paths.map(|path| text::escape(path.as_bytes()).into_owned()).collect();
                if !list.is_empty() {
                    self.words(label, &list);
                }
            }
        }
    }

    pub(super) fn processes(&mut self, processes: &Processes, all: bool) {
        if let Some(init) = &processes.init {
            let mut parts = Vec::new();
            let stop = init.stop_signal.as_deref();
            for name in stop
                .into_iter()
                .chain(["TERM", "HUP", "INT", "QUIT"].into_iter().filter(|name| stop != Some(name)))
            {
                let verdict = init.signals.get(name).copied().flatten();
                parts.extend(verdict.map(|verdict| format!("SIG{name} {verdict}")));
            }
            if !parts.is_empty() {
                self.line("signals", &parts);
            }
        }
        let zombies = processes.zombies;
        if zombies > 0 {
            self.line("processes", &[many(processes.count, "process"), many(zombies, "zombie")]);
        } else {
            self.line("processes", &[processes.count.to_string()]);
        }
        let most = if all { usize::MAX } else { MOST_PROCESSES };
        for process in processes.list.iter().take(most) {
            let cpid = process.cpid.filter(|cpid| *cpid != process.pid).map(|cpid| cpid.to_string());
            let state = process.state.as_deref().unwrap_or("?");
            let via = process.via.filter(|via| matches!(*via, "exec" | "ns"));
            let via = via.map(|via| format!("({via}) ")).unwrap_or_default();
            let command = process.command.clone().unwrap_or_default();
            let fds = process.fds.zip(process.fds_limit).filter(|(fds, limit)| *fds * 10 >= *limit * 8);
            let fds = fds.map(|(fds, limit)| format!("[{fds} of {limit} open files] ")).unwrap_or_default();
            let line = format!(
                "{:>9} {:>5} {state}  {}{via}{fds}{}",
                process.pid,
                cpid.unwrap_or_default(),
                "  ".repeat(process.depth.min(10)),
                text::escape(command.as_bytes())
            );
            self.out.push(text::cut_with_mark(&line, self.columns).as_bytes());
            self.out.push(b"\n");
        }
        if processes.list.len() > most {
            let line = format!("{:>9} more (-a shows them)\n", processes.list.len() - most);
            self.out.push(line.as_bytes());
        }
    }
}
