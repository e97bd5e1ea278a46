//! Answers as lines, and as JSON.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::Result;

use super::answer::{Answer, By, Entry, JsonAnswer, JsonDocument, JsonHost, JsonThing, Owner};
use super::finder::Finder;
use crate::container::commands::Commands;
use crate::output::style::Painter;
use crate::output::{Out, json};
use crate::text;

/// A word, and one reading of it.
pub(super) struct Found {
    pub thing: String,
    /// What stands for a long thing in a table.
    pub short: Option<String>,
    pub entry: Entry,
    /// What could not be looked at for it.
    pub problems: BTreeSet<String>,
}

impl Found {
    fn shown(&self) -> std::borrow::Cow<'_, str> {
        text::escape(self.short.as_ref().unwrap_or(&self.thing).as_bytes())
    }
}

/// Longer words do not widen the column.
const WIDEST: usize = 24;

/// The command lines of all processes that are shown.
pub(super) fn commands(finder: &Finder<'_>, all: &[Found]) -> Commands {
    let of = |one: &Found| {
        let hosts = one.entry.host.iter().filter_map(|host| host.pid);
        one.entry.answers.iter().filter_map(|answer| answer.pid).chain(hosts).collect::<Vec<_>>()
    };
    Commands::read(finder.world, all.iter().flat_map(of).collect())
}

/// `nginx 4291 (17)  nginx: worker`: the command line only if it says more than the name.
fn process(finder: &Finder<'_>, commands: &Commands, pid: i32) -> String {
    let name = finder.comm(pid);
    let command = commands.get(finder.world, pid).filter(|command| *command != name);
    let command = command.map(|command| format!("  {command}")).unwrap_or_default();
    format!("{}{command}", finder.with_pids(&name, pid))
}

fn detail(finder: &Finder<'_>, commands: &Commands, answer: &Answer) -> String {
    match answer.pid.filter(|_| answer.detail.is_empty()) {
        Some(pid) => process(finder, commands, pid),
        None => answer.detail.clone(),
    }
}

pub(super) fn lines(out: &mut Out, finder: &Finder<'_>, all: &[Found], painter: Painter) {
    let commands = commands(finder, all);
    let widths = all.iter().map(|one| text::width(&one.shown()));
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    for found in all {
        let thing = found.shown();
        let blanks = width.saturating_sub(text::width(&thing)) + 2;
        let mut line = |what: &str, rest: &str| {
            out.push(thing.as_bytes());
            out.blanks(blanks);
            out.push(what.as_bytes());
            if !rest.is_empty() {
                out.push(b"  ");
                out.push(text::escape(rest.as_bytes()).as_bytes());
            }
            out.byte(b'\n');
        };
        for answer in &found.entry.answers {
            let named = finder.named(&answer.owner);
            let label = text::escape(named.label.as_bytes()).into_owned();
            let label = painter.container(&label, &named.label).into_owned();
            let ended = match named.status {
                Some("running") | None => String::new(),
                Some(status) => format!(", {status}"),
            };
            let by = match answer.by {
                By::Kernel => String::new(),
                by => format!(" [{}]", by.name()),
            };
            line(&label, &format!("{}{ended}{by}", detail(finder, &commands, answer)));
        }
        if let Some(unknown) = &found.entry.unknown {
            line(&format!("unknown: {}", text::escape(unknown.as_bytes())), "");
        }
        if let Some(host) = &found.entry.host {
            let text = text::escape(host.text.as_bytes());
            let is_alone = found.entry.answers.is_empty() && found.entry.unknown.is_none();
            let prefix = if is_alone { "no container" } else { "host" };
            line(&format!("{prefix}: {text}"), "");
        }
    }
}

pub(super) fn json(out: &mut Out, finder: &Finder<'_>, all: &[Found]) -> Result<()> {
    let commands = commands(finder, all);
    let things = all.iter().map(|found| thing(finder, &commands, found)).collect();
    let proc = finder.world.proc;
    json::write(out, &JsonDocument { host: proc.host_name(), boot_id: proc.boot_id(), things })?;
    writeln!(out)?;
    Ok(())
}

pub(super) fn thing(finder: &Finder<'_>, commands: &Commands, found: &Found) -> JsonThing {
    let answers = found.entry.answers.iter().map(|answer| {
        let named = finder.named(&answer.owner);
        let pid = answer.pid;
        JsonAnswer {
            container: named.label,
            runtime: named.runtime,
            name: named.name,
            id: named.id,
            pod: named.pod,
            pod_namespace: named.pod_namespace,
            status: named.status,
            pid,
            cpid: pid.and_then(|pid| finder.world.process(pid)?.cpid),
            command: pid.and_then(|pid| commands.get(finder.world, pid)),
            role: answer.role.name(),
            by: answer.by.name(),
            detail: detail(finder, commands, answer),
        }
    });
    let host = found.entry.host.as_ref().map(|host| JsonHost {
        pid: host.pid,
        command: host.pid.and_then(|pid| commands.get(finder.world, pid)),
        text: host.text.clone(),
    });
    JsonThing {
        thing: found.thing.clone(),
        kind: found.entry.kind.name(),
        answers: answers.collect(),
        host,
        unknown: found.entry.unknown.clone(),
    }
}

/// Two sources can say the same.
pub(super) fn without_repeats(answers: &mut Vec<Answer>) {
    let mut seen: BTreeSet<(String, &'static str, Option<i32>, String)> = BTreeSet::new();
    answers.retain(|one| {
        let key = match &one.owner {
            Owner::Running(number) => number.to_string(),
            Owner::Recorded(named) => named.key.clone(),
        };
        let key = (key, one.role.name(), one.pid, one.detail.clone());
        seen.insert(key)
    });
}
