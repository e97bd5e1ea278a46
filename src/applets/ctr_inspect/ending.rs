//! What a lack of memory has to do with the end of a container. State files say that a process of it was killed, never which:
//! Docker, conmon (of Podman and CRI-O) and containerd's CRI note an event of the whole control group.

use serde_json::json;

use super::finding::{Finding, Severity};
use super::findings::finding;
use super::identity::Identity;
use super::limits::{HOUR, Kill};
use super::show::short_path;
use crate::container::details::{Details, Ending};
use crate::container::epoch;
use crate::container::world::World;
use crate::proc::clock::ago;

#[derive(Debug)]
pub(super) struct Lack {
    /// The one that ended the container, else the last one that the kernel's log has of its last run.
    kill: Option<Kill>,
    /// How many seconds later the container ended.
    before: Option<u64>,
    /// Did the container end with it?
    is_cause: bool,
    /// What is known without the log.
    noted: String,
}

impl Lack {
    /// None if the state files have no kill. The log of another host is not there.
    pub(super) fn read(world: &World<'_>, details: &Details) -> Option<Lack> {
        let ending = details.ending.as_ref().filter(|ending| ending.oom_killed == Some(true))?;
        let kills = if world.proc.is_copy() { Vec::new() } else { Kill::all_of(&details.container) };
        Some(Lack::judge(details.container.engine, ending, kills))
    }

    fn judge(engine: &str, ending: &Ending, mut kills: Vec<Kill>) -> Lack {
        /// Both times are in whole seconds.
        const AT_ONCE: u64 = 2;
        /// The clock of the log drifts.
        const SLACK: i64 = 5;
        let time = |text: &Option<String>| text.as_deref().and_then(epoch);
        let (started, finished) = (time(&ending.started), time(&ending.finished));
        let of_last_run =
            |kill: &Kill| started.is_none_or(|start| kill.at.is_some_and(|at| at >= start - SLACK));
        kills.retain(of_last_run);
        let is_at_end =
            |kill: &Kill| finished.zip(kill.at).is_some_and(|(end, at)| end.abs_diff(at) <= AT_ONCE);
        // 137 is SIGKILL, which docker stop sends too: so the times must fit.
        let cause = kills.iter().rposition(is_at_end).filter(|_| ending.exit_code == Some(137));
        let kill = match cause {
            Some(at) => Some(kills.swap_remove(at)),
            None => kills.pop(),
        };
        let at = kill.as_ref().and_then(|kill| kill.at);
        let before = finished.zip(at).and_then(|(end, at)| u64::try_from(end - at).ok());
        let code = ending.exit_code.map(|code| format!("{} ({code}); ", ending.status())).unwrap_or_default();
        let noted = format!("{code}{} notes a kill for lack of memory", proper(engine));
        Lack { kill, before, is_cause: cause.is_some(), noted }
    }

    /// For the head of a report. The words, and whether they alarm.
    pub(super) fn shown(&self) -> (String, bool) {
        match &self.kill {
            _ if self.is_cause => ("killed for lack of memory".to_owned(), true),
            Some(kill) => (format!("{}: {} (pid {}){}", self.noted, kill.comm, kill.pid, self.when()), false),
            None => (self.noted.clone(), false),
        }
    }

    fn when(&self) -> String {
        self.before.map(|seconds| format!(", {} before the end", ago(seconds))).unwrap_or_default()
    }

    pub(super) fn finding(&self, identity: &Identity) -> Finding {
        let is_recent = identity.age.is_some_and(|age| age < HOUR);
        let severity = if self.is_cause && is_recent { Severity::High } else { Severity::Medium };
        let killed = match &self.kill {
            None => "a process was killed for lack of memory".to_owned(),
            Some(kill) => {
                let by = match &kill.limit_by {
                    Some(path) => format!(" by the limit of {}", short_path(path)),
                    None => ", as the host had no memory left".to_owned(),
                };
                format!("{} (pid {}) was killed for lack of memory{by}", kill.comm, kill.pid)
            }
        };
        let text = match self.is_cause {
            true => format!("{killed}, and the container ended"),
            false => format!("{killed}{}; whether it ended the container is not known", self.when()),
        };
        let mut evidence = vec![("identity.oom_killed", json!(true))];
        evidence.extend(self.kill.iter().map(|kill| ("limits.memory.kills", json!(kill))));
        finding("oom-kill", severity, text, evidence)
    }
}

/// The name of an engine in a sentence.
fn proper(engine: &str) -> &str {
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
    fn judged(code: i64, kills: Vec<Kill>) -> (Lack, Finding) {
        let ending = Ending {
            was_started: true,
            exit_code: Some(code),
            oom_killed: Some(true),
            started: Some("2001-09-09T01:46:40Z".to_owned()),
            finished: Some("2001-09-09T02:03:20Z".to_owned()),
            ..Ending::default()
        };
        let lack = Lack::judge("docker", &ending, kills);
        let finding = lack.finding(&Identity { age: Some(9), ..Identity::default() });
        (lack, finding)
    }

    #[test]
    fn a_kill_at_the_end_is_the_cause() {
        for at in [998, 1000, 1002] {
            let (lack, finding) = judged(137, vec![kill(6, 10), kill(7, at), kill(8, 2000)]);
            assert_eq!(lack.shown(), ("killed for lack of memory".to_owned(), true), "{at}");
            let text = "tail (pid 7) was killed for lack of memory by the limit of /docker/x, and the container ended";
            assert_eq!((finding.severity, finding.text.as_str()), (Severity::High, text), "{at}");
        }
    }

    /// `docker stop` ends one whose child was killed long before by SIGKILL too, and a shell ends by itself.
    #[test]
    fn a_kill_before_the_end_is_not_shown_as_the_cause() {
        for (code, at, when) in [(137, 280, "12m"), (137, 997, "3s"), (5, 1000, "0s")] {
            let (lack, finding) = judged(code, vec![kill(6, -100), kill(7, at)]);
            let noted = format!(
                "exited ({code}); Docker notes a kill for lack of memory: tail (pid 7), {when} before the end"
            );
            assert_eq!(lack.shown(), (noted, false));
            let text = format!(
                "tail (pid 7) was killed for lack of memory by the limit of /docker/x, {when} before the end; whether \
                 it ended the container is not known"
            );
            assert_eq!((finding.severity, finding.text), (Severity::Medium, text));
        }
    }

    /// Of a container that was started again the log has older kills.
    #[test]
    fn without_a_kill_in_the_log_the_cause_is_not_known() {
        for kills in [Vec::new(), vec![kill(7, -100)]] {
            let (lack, finding) = judged(137, kills);
            assert_eq!(
                lack.shown(),
                ("exited (137); Docker notes a kill for lack of memory".to_owned(), false)
            );
            let text = "a process was killed for lack of memory; whether it ended the container is not known";
            assert_eq!((finding.severity, finding.text.as_str()), (Severity::Medium, text));
        }
    }
}
