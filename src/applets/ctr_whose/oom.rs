//! Lines of the kernel's log about processes that were killed for lack of memory: who, and whose limit.

use super::answer::{Answer, Entry, Host, Role};
use super::cgroup;
use super::finder::Finder;
use super::thing::Kind;
use crate::errno::strerror;
use crate::isolation::cgroup::kills::{OomLine, read_log};

pub(super) fn line(finder: &Finder<'_>, text: &[u8]) -> Entry {
    let mut entry = Entry::new(Kind::Cgroup);
    let Some(found) = OomLine::parse(text) else { return entry };
    let mut why = "the kernel's log has no line with its group any more".to_owned();
    let found = match found {
        // Another line of the log has the groups.
        OomLine { victim: None, pid: Some(_), .. } if finder.world.proc.is_copy() => {
            why = "a copy of the host's files has no log of the kernel".to_owned();
            found
        }
        OomLine { victim: None, pid: Some(pid), .. } => {
            let kills = read_log().map_err(|errno| {
                why = format!("the kernel's log cannot be read: {}", strerror(errno as i32));
            });
            match kills.unwrap_or_default().into_iter().rev().find(|kill| kill.pid == pid) {
                Some(kill) => OomLine {
                    pid: Some(pid),
                    comm: Some(kill.comm),
                    victim: Some(kill.victim),
                    is_hosts: kill.limit.is_none(),
                    limit: kill.limit,
                },
                None => found,
            }
        }
        found => found,
    };
    let who = match (&found.comm, found.pid) {
        (Some(comm), Some(pid)) => format!("{} (pid {pid})", cgroup::path_of(comm)),
        (None, Some(pid)) => format!("pid {pid}"),
        _ => "a process".to_owned(),
    };
    if let Some(victim) = &found.victim {
        add(finder, &cgroup::path_of(victim), &format!("{who} was killed"), Role::Member, &mut entry);
    } else {
        entry.unknown = Some(format!("{who} was killed; {why}"));
    }
    match &found.limit {
        Some(limit) => {
            let path = cgroup::path_of(limit);
            let shown = cgroup::shortened_path(limit);
            add(finder, &path, &format!("limit of {shown}"), Role::Itself, &mut entry);
        }
        None if found.is_hosts => {
            entry.host = Some(Host::new("memory of the host was used up, not that of a limit"));
        }
        None => {}
    }
    entry
}

/// What stands for the line in a table: the line itself is longer than one of a terminal.
pub(super) fn shortened(text: &[u8]) -> Option<String> {
    let found = OomLine::parse(text)?;
    let who = match (found.comm, found.pid, found.victim) {
        (Some(comm), Some(pid), _) => format!("{} {pid}", cgroup::path_of(&comm)),
        (None, Some(pid), _) => pid.to_string(),
        (_, None, Some(group)) => cgroup::shortened_path(&group),
        (_, None, None) => return None,
    };
    Some(format!("oom-kill: {who}"))
}

fn add(finder: &Finder<'_>, path: &str, detail: &str, role: Role, entry: &mut Entry) {
    let of_group = cgroup::cgroup(finder, path);
    if of_group.answers.is_empty() {
        match of_group.host {
            Some(host) => {
                entry.host.get_or_insert_with(|| Host::new(format!("{detail}: {}", host.text)));
            }
            // Once the group is gone it can have been that of a container.
            None => {
                let why = of_group.unknown.unwrap_or_else(|| cgroup::without_process(finder, path));
                entry.unknown.get_or_insert_with(|| format!("{detail}: {why}"));
            }
        }
    }
    // A group above several containers: its limit is of none of them.
    if role == Role::Itself && of_group.answers.len() > 1 {
        entry.host = Some(Host::new(format!("{detail}, which {} containers share", of_group.answers.len())));
        return;
    }
    for mut one in of_group.answers {
        one = Answer { role, pid: None, detail: detail.to_owned(), ..one };
        entry.answers.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_short() {
        let short = |line: &str| shortened(line.as_bytes());
        let line = "[9.1] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=c,mems_allowed=0,\
            oom_memcg=/a,task_memcg=/a/b,task=tail,pid=77,uid=0";
        assert_eq!(short(line).as_deref(), Some("oom-kill: tail 77"));
        let id = "6e85f1c8".repeat(8);
        let line = format!("Task in /docker/{id} killed as a result of limit of /docker");
        assert_eq!(short(&line).as_deref(), Some("oom-kill: /docker/6e85f1c86e85…"));
        assert_eq!(short("nothing"), None);
    }
}
