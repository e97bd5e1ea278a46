//! A report for people: aligned lines that fit the terminal.

mod files;
mod limits;
mod namespaces;
mod network;
mod processes;

use std::fmt::Write;

use super::finding::{Finding, Severity};
use super::namespaces::ORDER;
use super::report::Report;
use super::unknown::Unknown;
use crate::container::details::ended;
use crate::container::short;
use crate::output::Out;
use crate::output::style::Painter;
use crate::proc::clock::ago;
use crate::text;
pub(super) use namespaces::map_in_words;

/// The width of the labels at the left.
const LABEL: usize = 11;

pub(super) struct Page<'a> {
    pub out: &'a mut Out,
    pub painter: Painter,
    pub columns: usize,
}

impl Page<'_> {
    pub(super) fn report(&mut self, report: &Report, all: bool) {
        self.heading(report);
        self.findings(report, all, false);
        if let Some((last, others)) = report.lacks.split_last() {
            let others = if others.is_empty() { String::new() } else { format!("{} or ", others.join(", ")) };
            self.sentence("", &format!("it does not run: it has no {others}{last} now"));
        }
        if let Some(namespaces) = &report.namespaces {
            self.namespaces(namespaces);
        }
        if let Some(limits) = &report.limits {
            self.limits(limits);
        }
        if let Some(privileges) = &report.privileges {
            self.privileges(privileges, all);
        }
        if let Some(files) = &report.files {
            self.files(files, all);
        }
        if let Some(network) = &report.network {
            self.network(network, all);
        }
        if let Some(processes) = &report.processes {
            self.processes(processes, all);
        }
        self.unknown(&report.unknown, all);
    }

    /// The findings alone, with their reasons.
    pub(super) fn reasons(&mut self, report: &Report, all: bool) {
        self.heading(report);
        self.findings(report, all, true);
    }

    fn findings(&mut self, report: &Report, all: bool, with_reasons: bool) {
        let findings: &[Finding] = &report.findings;
        let is_shown = |finding: &&Finding| all || finding.severity != Severity::Note;
        for finding in findings.iter().filter(is_shown) {
            let mark = match finding.severity {
                Severity::High => "!!",
                Severity::Medium => "! ",
                Severity::Note => "  ",
            };
            let head = format!("  {mark} {:<18} ", finding.id);
            let width = head.len();
            let head = match finding.severity {
                Severity::Note => head,
                _ => self.painter.alarm(&head).into_owned(),
            };
            let text = text::escape(finding.text.as_bytes()).into_owned();
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            self.flow_after(&head, width, &words, (1, width));
            for one in finding.more.iter().filter(|_| all) {
                self.sentence("     also:", &text::escape(one.as_bytes()));
            }
            if with_reasons {
                self.sentence("     why:", finding.why);
                self.sentence("     do:", finding.remedy);
            }
        }
        let notes = findings.iter().filter(|finding| finding.severity == Severity::Note).count() as u64;
        if notes > 0 && !all {
            let line = format!("  ({}: -a)\n", many(notes, "note"));
            self.out.push(self.painter.faint(&line).as_bytes());
        } else if findings.is_empty() && with_reasons {
            self.out.push(b"  nothing found\n");
        }
        // With -a the note about what is unknown names them.
        if !report.undecided.is_empty() && !all {
            let words = format!("not decided, as values are unknown: {}", report.undecided.join(" "));
            self.sentence("  ?", &words);
        }
    }

    fn heading(&mut self, report: &Report) {
        let Some(identity) = &report.identity else {
            let label = text::escape(report.label.as_bytes());
            self.out.push(format!("{}\n", self.painter.heading(&label)).as_bytes());
            return;
        };
        let without = if identity.is_in_unknown() { "container unknown" } else { "host process" };
        let label = identity.container.clone().unwrap_or_else(|| without.to_owned());
        let id = identity.id.as_deref().unwrap_or_default();
        let mut parts = Vec::new();
        if !identity.container.as_deref().unwrap_or_default().contains(short(id)) {
            parts.push(short(id).to_owned());
        }
        parts.extend(identity.image.clone());
        let since = if identity.finished.is_some() { " ago" } else { "" };
        let age = identity.age.map(|age| format!(" {}{since}", ago(age))).unwrap_or_default();
        parts.push(ended(identity.status, identity.exit_code, identity.oom_killed) + &age);
        parts.extend((identity.stopped_by_user == Some(true)).then(|| "stopped by a user".to_owned()));
        let inside = identity.cpid.filter(|cpid| Some(*cpid) != identity.pid);
        let inside = inside.map(|cpid| format!(" ({cpid} inside)")).unwrap_or_default();
        parts.extend(identity.pid.map(|pid| format!("pid {pid}{inside}")));
        let label = text::escape(label.as_bytes()).into_owned();
        let colour = identity.id.clone().unwrap_or_default();
        let first = self.painter.container(&label, &colour).into_owned();
        let rest: Vec<String> = parts.iter().map(|part| text::escape(part.as_bytes()).into_owned()).collect();
        self.flow(&first, text::width(&label), &rest, 2);
        if let Some(error) = &identity.error {
            self.sentence("error", &text::escape(error.as_bytes()));
        }
        if let Some(command) = &identity.command {
            let room = self.columns.saturating_sub(LABEL);
            let command = text::escape(command.as_bytes());
            let cut = text::cut_with_mark(&command, room).into_owned();
            self.line("command", &[cut]);
        }
        if let Some(target) = identity.target_pid.filter(|pid| Some(*pid) != identity.pid) {
            let command = identity.target_command.as_deref().unwrap_or_default();
            let words = format!("{target} {}", text::escape(command.as_bytes()));
            let cut = text::cut_with_mark(&words, self.columns.saturating_sub(LABEL)).into_owned();
            self.line("process", &[cut]);
            self.sentence("", "its namespaces, privileges and files are shown");
        }
        let owner = identity.owner.as_deref().filter(|owner| *owner != "root");
        if let Some(owner) = owner.filter(|_| identity.container.is_some()) {
            self.line("owner", &[text::escape(owner.as_bytes()).into_owned()]);
        }
    }

    /// A path that is shown in a part of a line, after a word.
    fn path(&self, path: &str) -> String {
        fitted(&short_path(path), self.columns.saturating_sub(LABEL + "upper ".len()))
    }

    /// Those with the same reason in one line.
    fn unknown(&mut self, unknown: &[Unknown], all: bool) {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for one in unknown.iter().filter(|one| all || one.path != "privileges.securebits") {
            match reasons.iter_mut().find(|(why, _)| *why == one.why) {
                Some((_, paths)) => paths.push(&one.path),
                None => reasons.push((&one.why, vec![&one.path])),
            }
        }
        let kinds = ORDER.map(|kind| format!("namespaces.{}", kind.proc_name()));
        for (why, mut paths) in reasons {
            let mut short: Vec<String> = Vec::new();
            if kinds.iter().all(|kind| paths.contains(&kind.as_str())) {
                paths.retain(|path| kinds.iter().all(|kind| kind != path));
                paths.insert(0, "namespaces");
            }
            for of in ["", ".inode"] {
                let named = |kind: &&str| paths.contains(&format!("namespaces.{kind}{of}").as_str());
                let few: Vec<&str> = ORDER.iter().map(|kind| kind.proc_name()).filter(named).collect();
                if few.len() > 1 {
                    short.push(format!("namespaces.{{{}}}{of}", few.join(",")));
                    paths.retain(|path| few.iter().all(|kind| *path != format!("namespaces.{kind}{of}")));
                }
            }
            short.extend(paths.into_iter().map(str::to_owned));
            let line = format!("{}: {}", short.join(" "), text::escape(why.as_bytes()));
            self.sentence("unknown", &line);
        }
    }

    /// Parts that are never cut in two, with wide gaps.
    pub(super) fn line(&mut self, label: &str, parts: &[String]) {
        self.labelled(label, parts, 3);
    }

    pub(super) fn sentence(&mut self, label: &str, text: &str) {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        self.words(label, &words);
    }

    /// Words of a sentence.
    pub(super) fn words(&mut self, label: &str, parts: &[String]) {
        self.labelled(label, parts, 1);
    }

    fn labelled(&mut self, label: &str, parts: &[String], gap: usize) {
        let mut padded = format!("{label:LABEL$}");
        if padded.len() > LABEL {
            padded.push(' ');
        }
        let width = padded.len();
        let first = if label.starts_with(' ') {
            self.painter.faint(&padded).into_owned()
        } else {
            self.painter.heading(&padded).into_owned()
        };
        self.flow_after(&first, width, parts, (gap, LABEL));
    }

    fn flow(&mut self, first: &str, width: usize, parts: &[String], gap: usize) {
        let first = format!("{first}{}", " ".repeat(gap));
        self.flow_after(&first, width + gap, parts, (gap, LABEL));
    }

    fn flow_after(&mut self, first: &str, width: usize, parts: &[String], (gap, indent): (usize, usize)) {
        let mut text = first.to_owned();
        let (mut column, mut is_first) = (width, true);
        for part in parts {
            let part_width = text::width(&uncoloured(part));
            if !is_first && column + gap + part_width > self.columns {
                _ = write!(text, "\n{}", " ".repeat(indent));
                (column, is_first) = (indent, true);
            }
            let space = if is_first { 0 } else { gap };
            _ = write!(text, "{}{part}", " ".repeat(space));
            (column, is_first) = (column + space + part_width, false);
        }
        text.push('\n');
        self.out.push(text.as_bytes());
    }
}

/// Without the escape sequences of colours.
fn uncoloured(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\x1b');
    plain.push_str(parts.next().unwrap_or_default());
    parts.for_each(|part| plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest)));
    plain
}

/// A path of a group, with long ids cut.
pub(super) fn short_path(path: &str) -> String {
    const LONG: usize = 32;
    const KEPT: usize = 12;
    let cut = |part: &str| {
        let digits = |at: &usize| part.as_bytes()[*at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        // Whatever follows the id is cut too: `.scope`.
        let id = (0..part.len()).find(|at| digits(at) >= LONG).filter(|_| part.is_ascii());
        id.map_or_else(|| part.to_owned(), |at| format!("{}…", &part[..at + KEPT]))
    };
    let parts: Vec<String> = path.split('/').map(cut).collect();
    text::escape(parts.join("/").as_bytes()).into_owned()
}

/// A path without directories in its middle, if it is wider than that. The report in JSON has it whole.
fn fitted(path: &str, room: usize) -> String {
    /// With the empty one before the first slash.
    const FIRST: usize = 3;
    let parts: Vec<&str> = path.split('/').collect();
    if text::width(path) <= room || parts.len() <= FIRST + 1 {
        return path.to_owned();
    }
    let first = format!("{}/…", parts[..FIRST].join("/"));
    // A path can have thousands of parts: each is measured once.
    let mut left = room.saturating_sub(text::width(&first));
    let mut fits = |part: &&str| {
        let width = text::width(part) + 1;
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    let count = parts[FIRST + 1..].iter().rev().take_while(|part| fits(part)).count();
    match count {
        0 => path.to_owned(),
        _ => format!("{first}/{}", parts[parts.len() - count..].join("/")),
    }
}

/// A few paths, and how many more there are.
fn few(paths: &[String]) -> String {
    const MOST: usize = 4;
    let mut text = paths.iter().take(MOST).map(|path| short_path(path)).collect::<Vec<_>>().join(", ");
    if paths.len() > MOST {
        _ = write!(text, " and {} more", paths.len() - MOST);
    }
    text
}

pub(super) fn many(count: u64, what: &str) -> String {
    match (count, what.ends_with('s')) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{count} {what}es"),
        (_, false) => format!("{count} {what}s"),
    }
}

fn decimal(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that is not negative")]
fn time(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1}s") } else { ago(seconds as u64) }
}

#[cfg(test)]
mod tests {
    use super::namespaces::map_in_words;
    use super::*;
    use crate::applets::ctr_inspect::namespaces::Extent;

    #[test]
    fn long_ids_in_paths_are_cut() {
        let id = "0123456789ab".to_owned() + &"cd".repeat(26);
        assert_eq!(short_path(&format!("/docker/{id}")), "/docker/0123456789ab…");
        assert_eq!(short_path(&format!("/a/docker-{id}.scope/b")), "/a/docker-0123456789ab…/b");
        assert_eq!(short_path("/user.slice/user-1000.slice"), "/user.slice/user-1000.slice");
    }

    #[test]
    fn a_few_paths_stand_for_all() {
        let paths: Vec<String> = (0..5).map(|at| format!("/{at}/{}", "ab".repeat(32))).collect();
        let cut: Vec<String> = paths.iter().map(|path| short_path(path)).collect();
        assert_eq!(few(&paths), format!("{} and 1 more", cut[..4].join(", ")));
        assert_eq!(few(&paths[..1]), cut[0]);
        assert!(cut[0].len() < paths[0].len());
    }

    #[test]
    fn long_paths_lose_their_middle() {
        let path = "/var/lib/containerd/snapshotter.v1.overlayfs/snapshots/12/fs";
        assert_eq!(fitted(path, path.len()), path);
        assert_eq!(fitted(path, 30), "/var/lib/…/snapshots/12/fs");
        assert_eq!(fitted(path, 20), "/var/lib/…/12/fs");
        for (short, room) in [("/var/lib/x", 4), ("x", 0), ("/", 0), ("", 0)] {
            assert_eq!(fitted(short, room), short);
        }
    }

    #[test]
    fn what_a_finding_counts_is_shown_with_all() {
        let (id, text) = ("runtime-socket", "x is reachable as y, and 1 more".to_owned());
        let more = vec!["v is reachable as w".to_owned()];
        let (severity, evidence) = (Severity::High, Vec::new());
        let finding = Finding { id, severity, text, evidence, more, why: "because", remedy: "nothing" };
        let report = Report { findings: vec![finding], ..Report::default() };
        for all in [true, false] {
            let mut out = Out::kept();
            Page { out: &mut out, painter: Painter { colour: false }, columns: 80 }.report(&report, all);
            let text = String::from_utf8(out.into_bytes()).expect("text");
            assert_eq!(text.contains("also: v is reachable as w\n"), all, "{text}");
        }
    }

    #[test]
    fn lines_are_filled_up_to_the_width() {
        let mut out = Out::kept();
        let mut page = Page { out: &mut out, painter: Painter { colour: false }, columns: 30 };
        let parts = ["a".repeat(10), "b".repeat(6), "c".repeat(30), "d".to_owned()];
        page.line("memory", &parts);
        let text = String::from_utf8(out.into_bytes()).expect("text");
        let blank = " ".repeat(11);
        let expected = format!("memory     {}   {}\n{blank}{}\n{blank}d\n", parts[0], parts[1], parts[2]);
        assert_eq!(text, expected);
    }

    #[test]
    fn maps_and_numbers_in_words() {
        let map = [
            Extent { inside: 0, outside: 1000, count: 1 },
            Extent { inside: 1, outside: 100_000, count: 65_536 },
        ];
        assert_eq!(map_in_words(&map), "0 inside is 1000, 1-65536 inside is 100000-165535");
        assert_eq!(map_in_words(&[]), "no id is mapped");
        assert_eq!((decimal(0.5), decimal(2.0), decimal(1.255)), ("0.5".into(), "2".into(), "1.25".into()));
        assert_eq!(
            (many(1, "process"), many(2, "process"), many(2, "fork")),
            ("1 process".into(), "2 processes".into(), "2 forks".into())
        );
    }
}
