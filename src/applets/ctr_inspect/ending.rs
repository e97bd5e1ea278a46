//! What a lack of memory has to do with the end of a container. State files say that a process of it was killed, never which:
//! Docker, conmon (of Podman and CRI-O) and containerd's CRI note an event of the whole control group. They can also miss
//! one. The kernel's log has the PIDs, but not which of them was the first process.

use serde_json::json;

use super::finding::{Finding, Severity};
use super::findings::finding;
use super::identity::Identity;
use super::limits::{HOUR, Kill, LOG};
use super::show::short_path;
use super::unknown::Unknowns;
use crate::container::details::{Details, Ending, KILLED};
use crate::container::epoch;
use crate::proc::clock::ago;

/// In seconds. Both times are in whole seconds.
const AT_ONCE: u64 = 2;

#[derive(Debug)]
pub(super) struct Lack {
    /// The one at the end, else the last one that the kernel's log has of the last run.
    kill: Option<Kill>,
    /// How many seconds later the container ended.
    before: Option<u64>,
    /// Was the kill at the end, and did the container end by SIGKILL?
    is_at_end: bool,
    /// How many seconds the container ran.
    ran: Option<u64>,
    exit_code: Option<i64>,
    /// What notes it; None if only the log has it.
    noted_by: Option<&'static str>,
    is_log_known: bool,
}

impl Lack {
    /// None if nothing says that a process was killed.
    pub(super) fn read(details: &Details, identity: &Identity, unknown: &Unknowns) -> Option<Lack> {
        let is_noted = |ending: &&Ending| ending.oom_killed == Some(true);
        let ending = details.ending.as_ref();
        let ending = ending.filter(|one| is_noted(one) || one.exit_code == Some(KILLED))?;
        let kills = Kill::all_of(&details.container, unknown);
        Lack::judge(details.container.engine, ending, identity, kills)
    }

    /// Of the times, only those count that `identity` has: others cannot be right.
    fn judge(
        engine: &'static str,
        ending: &Ending,
        identity: &Identity,
        kills: Option<Vec<Kill>>,
    ) -> Option<Lack> {
        /// The clock of the log drifts.
        const SLACK: i64 = 5;
        let mut is_log_known = kills.is_some();
        let mut kills = kills.unwrap_or_default();
        let time = |text: &Option<String>| text.as_deref().and_then(epoch);
        let (started, finished) = (time(&identity.started), time(&identity.finished));
        let is_late =
            |kill: &Kill| finished.zip(kill.at).is_some_and(|(end, at)| at.saturating_sub(SLACK) > end);
        let is_early = |kill: &Kill| {
            started.is_some_and(|start| kill.at.is_none_or(|at| at < start.saturating_sub(SLACK)))
        };
        // A late one is not of the last run, unless the clock drifted more.
        is_log_known &= !kills.iter().any(is_late);
        kills.retain(|kill| !is_early(kill) && !is_late(kill));
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
        let before = finished.zip(at).and_then(|(end, at)| u64::try_from(end.checked_sub(at)?).ok());
        let ran = finished.zip(started).and_then(|(end, start)| u64::try_from(end.checked_sub(start)?).ok());
        let exit_code = ending.exit_code;
        Some(Lack { kill, before, is_at_end: last.is_some(), ran, exit_code, noted_by, is_log_known })
    }

    pub(super) fn finding(&self, identity: &Identity) -> Finding {
        let severity = if self.is_recent(identity) { Severity::High } else { Severity::Medium };
        let mut evidence: Vec<_> =
            self.noted_by.iter().map(|_| ("identity.oom_killed", json!(true))).collect();
        evidence.extend(self.kill.iter().map(|kill| ("limits.memory.kills", json!(kill))));
        finding("oom-kill", severity, self.text(), evidence)
    }

    /// Without the log a kill is not older than the container.
    fn is_recent(&self, identity: &Identity) -> bool {
        let since_start = || identity.age.zip(self.ran).map(|(age, ran)| age.saturating_add(ran));
        self.kill.as_ref().map_or_else(since_start, |kill| Some(kill.ago)).is_some_and(|ago| ago < HOUR)
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
            Some(seconds) if seconds <= AT_ONCE => format!(", shortly before the container ended{code}"),
            // The clock of the log drifts.
            Some(seconds) => format!(", about {} before the container ended{code}", ago(seconds)),
            None => String::new(),
        };
        format!("{} (pid {}) was killed for lack of memory{by}{when}", kill.comm, kill.pid)
    }
}

/// Is it the log, which cannot be read, that would tell whether there was a kill in the last hour?
pub(super) fn is_undecided(lack: Option<&Lack>, identity: &Identity, unknown: &Unknowns) -> bool {
    unknown.has(LOG)
        && identity.age.is_none_or(|age| age < HOUR)
        && !lack.is_some_and(|lack| lack.is_recent(identity))
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

    /// Of a container that ran for 1,000 seconds.
    const RAN: u64 = 1000;

    fn kill(pid: i32, at: i64) -> Kill {
        let limit_by = Some("/docker/x".to_owned());
        Kill { pid, comm: "tail".to_owned(), limit_by, at: Some(START + at), ..Kill::default() }
    }

    /// When it ended `age` seconds ago.
    fn judged(code: i64, is_noted: bool, kills: Option<Vec<Kill>>, age: u64) -> Option<(Severity, String)> {
        let ago =
            |kill: &Kill| kill.at.and_then(|at| (age + RAN).checked_add_signed(START - at)).unwrap_or(0);
        let kills = kills.map(|all| all.into_iter().map(|kill| Kill { ago: ago(&kill), ..kill }).collect());
        let ending = Ending {
            was_started: true,
            exit_code: Some(code),
            oom_killed: Some(is_noted),
            // What `identity` does not have.
            started: Some("0000-01-01T00:00:00Z".to_owned()),
            finished: Some("2099-01-01T00:00:00Z".to_owned()),
            ..Ending::default()
        };
        let (started, finished) =
            (Some("2001-09-09T01:46:40Z".to_owned()), Some("2001-09-09T02:03:20Z".to_owned()));
        let identity = Identity { age: Some(age), started, finished, ..Identity::default() };
        let lack = Lack::judge("docker", &ending, &identity, kills)?;
        let finding = lack.finding(&identity);
        assert_eq!(finding.evidence.iter().any(|one| one.path == "identity.oom_killed"), is_noted);
        Some((finding.severity, finding.text))
    }

    /// The runtime can miss it: the limit of a group above is another group's event.
    #[test]
    fn a_kill_at_the_end_is_told_as_such() {
        for (at, is_noted) in [(998, true), (1000, false), (1002, true)] {
            let kills = vec![kill(6, 10), kill(7, at), kill(8, 2000)];
            let text = "tail (pid 7) was killed for lack of memory by the limit of /docker/x, as the container ended (137)";
            for (age, severity) in [(9, Severity::High), (4000, Severity::Medium)] {
                let found = judged(137, is_noted, Some(kills.clone()), age);
                assert_eq!(found, Some((severity, text.to_owned())), "{at}");
            }
        }
    }

    /// `docker stop` ends one whose child was killed long before by SIGKILL too, and a shell ends by itself.
    #[test]
    fn a_kill_before_the_end_is_told_with_its_time() {
        for (code, at, when, severity) in [
            (137, 280, "about 12m", Severity::Medium),
            (137, 997, "about 3s", Severity::High),
            (5, 1000, "shortly", Severity::High),
        ] {
            let found = judged(code, true, Some(vec![kill(6, -100), kill(7, at)]), 3000);
            let text = format!(
                "tail (pid 7) was killed for lack of memory by the limit of /docker/x, {when} before the container \
                 ended ({code})"
            );
            assert_eq!(found, Some((severity, text)));
        }
    }

    /// What can make a group with that name later is another container.
    #[test]
    fn a_kill_after_the_end_is_not_of_the_container() {
        let late = || Some(vec![kill(7, 1006)]);
        assert_eq!(judged(137, false, late(), 9), None);
        let noted = "Docker notes that a process was killed for lack of memory".to_owned();
        assert_eq!(judged(137, true, late(), 3000), Some((Severity::Medium, noted)));
    }

    /// Of a container that was started again the log has older kills.
    #[test]
    fn what_the_runtime_notes_counts_without_the_log() {
        let noted = "Docker notes that a process was killed for lack of memory";
        let lacks = format!("{noted}, and the kernel's log has no record of it");
        for (kills, text) in
            [(None, noted), (Some(Vec::new()), lacks.as_str()), (Some(vec![kill(7, -100)]), lacks.as_str())]
        {
            for (age, severity) in [(9, Severity::High), (3000, Severity::Medium)] {
                let found = judged(137, true, kills.clone(), age);
                assert_eq!(found, Some((severity, text.to_owned())), "{age}");
            }
            assert_eq!(judged(137, false, kills, 9), None);
        }
    }
}
