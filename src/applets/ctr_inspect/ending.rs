//! What a lack of memory has to do with the end of a container. State files say that a process of it was killed, never which:
//! Docker, conmon (of Podman and CRI-O) and containerd's CRI note an event of the whole control group. They can also miss
//! one. The kernel's log has the PIDs, but not which of them was the first process.

use serde_json::json;

use super::finding::{Finding, Severity};
use super::findings::finding;
use super::identity::Identity;
use super::limits::{HOUR, Kill};
use super::show::short_path;
use super::unknown::Unknowns;
use crate::container::details::{Details, Ending};
use crate::container::epoch;
use crate::proc::clock::ago;

#[derive(Debug)]
pub(super) struct Lack {
    /// The one at the end, else the last one that the kernel's log has of the last run.
    kill: Option<Kill>,
    /// How many seconds later the container ended.
    before: Option<u64>,
    /// Was the kill at the end, and did the container end by SIGKILL?
    is_at_end: bool,
    exit_code: Option<i64>,
    /// What notes it; None if only the log has it.
    noted_by: Option<&'static str>,
    is_log_known: bool,
}

/// SIGKILL: what the kernel sends, but also `docker stop` after its timeout.
const KILLED: i64 = 137;

impl Lack {
    /// None if nothing says that a process was killed.
    pub(super) fn read(details: &Details, unknown: &Unknowns) -> Option<Lack> {
        let is_noted = |ending: &&Ending| ending.oom_killed == Some(true);
        let ending = details.ending.as_ref();
        let ending = ending.filter(|one| is_noted(one) || one.exit_code == Some(KILLED))?;
        let kills = Kill::all_of(&details.container, unknown);
        Lack::judge(details.container.engine, ending, kills)
    }

    fn judge(engine: &'static str, ending: &Ending, kills: Option<Vec<Kill>>) -> Option<Lack> {
        /// Both times are in whole seconds.
        const AT_ONCE: u64 = 2;
        /// The clock of the log drifts.
        const SLACK: i64 = 5;
        let is_log_known = kills.is_some();
        let mut kills = kills.unwrap_or_default();
        let time = |text: &Option<String>| text.as_deref().and_then(epoch);
        let (started, finished) = (time(&ending.started), time(&ending.finished));
        let of_last_run =
            |kill: &Kill| started.is_none_or(|start| kill.at.is_some_and(|at| at >= start - SLACK));
        kills.retain(of_last_run);
        let is_at_end =
            |kill: &Kill| finished.zip(kill.at).is_some_and(|(end, at)| end.abs_diff(at) <= AT_ONCE);
        let last = kills.iter().rposition(is_at_end).filter(|_| ending.exit_code == Some(KILLED));
        let kill = match last {
            Some(at) => Some(kills.swap_remove(at)),
            None => kills.pop(),
        };
        let noted_by = (ending.oom_killed == Some(true)).then(|| proper(engine));
        if kill.is_none() && noted_by.is_none() {
            return None;
        }
        let at = kill.as_ref().and_then(|kill| kill.at);
        let before = finished.zip(at).and_then(|(end, at)| u64::try_from(end - at).ok());
        let exit_code = ending.exit_code;
        Some(Lack { kill, before, is_at_end: last.is_some(), exit_code, noted_by, is_log_known })
    }

    pub(super) fn finding(&self, identity: &Identity) -> Finding {
        let is_high = self.is_at_end && identity.age.is_some_and(|age| age < HOUR);
        let severity = if is_high { Severity::High } else { Severity::Medium };
        let mut evidence: Vec<_> =
            self.noted_by.iter().map(|_| ("identity.oom_killed", json!(true))).collect();
        evidence.extend(self.kill.iter().map(|kill| ("limits.memory.kills", json!(kill))));
        finding("oom-kill", severity, self.text(), evidence)
    }

    fn text(&self) -> String {
        let Some(kill) = &self.kill else {
            let noted_by = self.noted_by.unwrap_or_default();
            let log = if self.is_log_known { ", and the kernel's log has no record of it" } else { "" };
            return format!("{noted_by} notes that a process was killed for lack of memory{log}");
        };
        let by = match &kill.limit_by {
            Some(path) => format!(" by the limit of {}", short_path(path)),
            None => ", as the host had no memory left".to_owned(),
        };
        let code = self.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
        let when = match self.before {
            _ if self.is_at_end => format!(", as the container ended{code}"),
            Some(seconds) => format!(", {} before the container ended{code}", ago(seconds)),
            None => String::new(),
        };
        format!("{} (pid {}) was killed for lack of memory{by}{when}", kill.comm, kill.pid)
    }
}

/// Could the log, which cannot be read, have a kill that ended the container in the last hour?
pub(super) fn may_be_high(identity: &Identity, unknown: &Unknowns) -> bool {
    let may_be_recent = identity.age.is_none_or(|age| age < HOUR);
    identity.exit_code == Some(KILLED) && may_be_recent && unknown.has("limits.memory.kills")
}

/// The name of an engine in a sentence.
fn proper(engine: &'static str) -> &'static str {
    match engine {
        "docker" => "Docker",
        "podman" => "Podman",
        "cri-o" => "CRI-O",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000_000;

    fn kill(pid: i32, at: i64) -> Kill {
        let limit_by = Some("/docker/x".to_owned());
        Kill { pid, comm: "tail".to_owned(), limit_by, at: Some(START + at), ..Kill::default() }
    }

    /// Of a container that ran for 1,000 seconds.
    fn judged(code: i64, is_noted: bool, kills: Option<Vec<Kill>>) -> Option<(Severity, String)> {
        let ending = Ending {
            was_started: true,
            exit_code: Some(code),
            oom_killed: Some(is_noted),
            started: Some("2001-09-09T01:46:40Z".to_owned()),
            finished: Some("2001-09-09T02:03:20Z".to_owned()),
            ..Ending::default()
        };
        let lack = Lack::judge("docker", &ending, kills)?;
        let finding = lack.finding(&Identity { age: Some(9), ..Identity::default() });
        assert_eq!(finding.evidence.iter().any(|one| one.path == "identity.oom_killed"), is_noted);
        Some((finding.severity, finding.text))
    }

    /// The runtime can miss it: the limit of a group above is another group's event.
    #[test]
    fn a_kill_at_the_end_is_high() {
        for (at, is_noted) in [(998, true), (1000, false), (1002, true)] {
            let found = judged(137, is_noted, Some(vec![kill(6, 10), kill(7, at), kill(8, 2000)]));
            let text = "tail (pid 7) was killed for lack of memory by the limit of /docker/x, as the container ended (137)";
            assert_eq!(found, Some((Severity::High, text.to_owned())), "{at}");
        }
    }

    /// `docker stop` ends one whose child was killed long before by SIGKILL too, and a shell ends by itself.
    #[test]
    fn a_kill_before_the_end_is_medium() {
        for (code, at, when) in [(137, 280, "12m"), (137, 997, "3s"), (5, 1000, "0s")] {
            let found = judged(code, true, Some(vec![kill(6, -100), kill(7, at)]));
            let text = format!(
                "tail (pid 7) was killed for lack of memory by the limit of /docker/x, {when} before the container \
                 ended ({code})"
            );
            assert_eq!(found, Some((Severity::Medium, text)));
        }
    }

    /// Of a container that was started again the log has older kills.
    #[test]
    fn what_the_runtime_notes_counts_without_the_log() {
        let noted = "Docker notes that a process was killed for lack of memory";
        let lacks = format!("{noted}, and the kernel's log has no record of it");
        for (kills, text) in
            [(None, noted), (Some(Vec::new()), lacks.as_str()), (Some(vec![kill(7, -100)]), lacks.as_str())]
        {
            assert_eq!(judged(137, true, kills.clone()), Some((Severity::Medium, text.to_owned())));
            assert_eq!(judged(137, false, kills), None);
        }
    }
}
