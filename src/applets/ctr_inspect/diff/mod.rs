//! What differs between two reports. PIDs, ids, counters and times are not compared.

mod mounts;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::findings;
use super::namespaces::Extent;
use super::network::{Listening, Published};
use super::report::{Report, is_part};
use super::show::map_in_words;
use crate::order;
use crate::output::size::size;
use crate::output::style::Painter;
use crate::output::{Out, json as output_json};
use crate::text;

/// What is compared: a path in the report, and all below it.
const COMPARED: &[&str] = &[
    "identity.runtime",
    "identity.engine",
    "identity.image",
    "identity.labels",
    "identity.owner",
    "identity.how",
    "identity.status",
    "identity.command",
    "namespaces.hostname",
    "namespaces.uid_map",
    "namespaces.gid_map",
    "namespaces.time_offsets",
    "limits.cgroup.mode",
    "limits.cgroup.own",
    "limits.cgroup.frozen",
    "limits.memory.limit",
    "limits.memory.limit_own",
    "limits.memory.high",
    "limits.memory.swap_limit",
    "limits.cpu.quota",
    "limits.cpu.quota_own",
    "limits.cpu.weight",
    "limits.cpu.cpuset",
    "limits.cpu.effective_cpus",
    "limits.pids.limit",
    "limits.pids.limit_own",
    "limits.io.limits",
    "limits.rlimits",
    "privileges.effective.names",
    "privileges.permitted.names",
    "privileges.inheritable.names",
    "privileges.bounding.names",
    "privileges.ambient.names",
    "privileges.baseline",
    "privileges.seccomp",
    "privileges.seccomp_filters",
    "privileges.no_new_privs",
    "privileges.lsm",
    "privileges.uid",
    "privileges.uid_host",
    "privileges.root_on_host",
    "privileges.privileged",
    "privileges.masked",
    "privileges.readonly",
    "privileges.uncovered",
    "files.root.fstype",
    "files.root.read_only",
    "network.own",
    "network.dns.servers",
    "network.dns.search",
    "processes.init.is_init",
    "processes.init.signals",
    "processes.init.stop_signal",
    "processes.init.stops",
];

/// Values that are sizes, for people.
const SIZES: &[&str] =
    &["limits.memory.limit", "limits.memory.limit_own", "limits.memory.high", "limits.memory.swap_limit"];

#[derive(Serialize, Debug)]
pub(super) struct Diff {
    pub a: String,
    pub b: String,
    pub differences: Vec<Difference>,
}

#[derive(Serialize, Debug, PartialEq)]
pub(super) struct Difference {
    pub path: String,
    pub a: Value,
    pub b: Value,
    pub a_is: Is,
    pub b_is: Is,
}

/// What one side has. In JSON all but a value are null.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Is {
    Value,
    /// There is none: no limit, no label.
    None,
    /// The other side has it: a mount, a finding.
    Absent,
    /// The caller's rights or the kernel withhold it.
    Unknown,
}

/// `b_is_host`: the namespaces of the host are its own, also where the kernel does not show them.
pub(super) fn compare(
    (a, name_a): (&Report, &str),
    (b, name_b): (&Report, &str),
    b_is_host: bool,
) -> Result<Diff> {
    let (left, mut right) = (flat(a)?, flat(b)?);
    if b_is_host {
        for (path, value) in &mut right {
            if path.starts_with("namespaces.") && path.ends_with(".host") {
                *value = json!(true);
            }
        }
    }
    let mut paths: Vec<&String> = left.keys().chain(right.keys()).collect();
    order::sort(&mut paths);
    paths.dedup();
    // Where one has nothing and the other has parts, the parts are the difference.
    let is_null = |path: &String| [&left, &right].iter().any(|side| side.get(path) == Some(&Value::Null));
    let has_parts = |path: &String| paths.iter().any(|part| *part != path && is_part(path, part));
    let paths: Vec<&String> =
        paths.iter().copied().filter(|path| !(is_null(path) && has_parts(path))).collect();
    let value = |side: &BTreeMap<String, Value>, path: &str| side.get(path).cloned().unwrap_or(Value::Null);
    let difference = |path: &String| Difference {
        path: path.clone(),
        a: value(&left, path),
        b: value(&right, path),
        a_is: is(a, left.get(path), path),
        b_is: is(b, right.get(path), path),
    };
    // A runtime that is given no host name takes the id.
    let is_id = |report: &Report| {
        let names = report.namespaces.as_ref().and_then(|all| all.hostname.as_ref());
        let id = report.identity.as_ref().and_then(|identity| identity.id.as_ref());
        names.zip(id).is_some_and(|(name, id)| id.starts_with(name.as_str()))
    };
    let are_ids = |one: &Difference| one.path == "namespaces.hostname" && is_id(a) && is_id(b);
    let differences = paths.into_iter().map(difference).filter(|one| one.a != one.b && !are_ids(one));
    let differences = differences.collect();
    Ok(Diff { a: name_a.to_owned(), b: name_b.to_owned(), differences })
}

fn is(report: &Report, value: Option<&Value>, path: &str) -> Is {
    let is_judged = |id: &str| findings::is_judged(report, id);
    match value {
        Some(Value::Null) | None if report.unknown.iter().any(|one| is_part(&one.path, path)) => Is::Unknown,
        // The host's namespaces that its processes do not show.
        Some(Value::Null) if path.starts_with("namespaces.") => Is::Unknown,
        Some(Value::Null) => Is::None,
        Some(_) => Is::Value,
        None if path.strip_prefix("findings.").is_some_and(|id| !is_judged(id)) => Is::Unknown,
        None => Is::Absent,
    }
}

/// The compared values by their paths. Mounts are named by their place, findings by their id.
fn flat(report: &Report) -> Result<BTreeMap<String, Value>> {
    let whole = serde_json::to_value(report)?;
    let mut found = BTreeMap::new();
    for path in COMPARED {
        let at = path.split('.').try_fold(&whole, |value, key| value.get(key));
        at.into_iter().for_each(|value| leaves(path, value, &mut found));
    }
    for (kind, one) in report.namespaces.iter().flat_map(|all| &all.kinds) {
        found.insert(format!("namespaces.{kind}.host"), json!(one.host));
    }
    let mounts = report.files.iter().flat_map(|files| files.parts_of_host().0);
    for mount in mounts.filter(|mount| !mount.is_usual()) {
        let value = json!({"source": mount.source, "fstype": mount.fstype, "read_only": mount.read_only});
        found.insert(format!("files.mounts.{}", mount.target), value);
    }
    if let Some(network) = &report.network {
        for one in network.interfaces.iter().flatten().filter(|one| !one.is_loopback) {
            let addresses = one.addresses.iter().filter(|address| !address.starts_with("fe80:"));
            let addresses: Vec<&String> = addresses.collect();
            if !addresses.is_empty() {
                found.insert(format!("network.interfaces.{}.addresses", one.name), json!(addresses));
            }
        }
        let sockets = network.listening.as_ref().map(|all| sockets(all));
        found.insert("network.listening".to_owned(), json!(sockets));
        let ports = network.published.as_ref().map(|all| Published::compared(all));
        found.insert("network.published".to_owned(), json!(ports));
    }
    if let Some(files) = &report.files {
        let paths = files.deleted.iter().flatten().map(|file| &file.path);
        let paths: Option<BTreeSet<&String>> = files.deleted.as_ref().map(|_| paths.collect());
        found.insert("files.deleted".to_owned(), json!(paths));
    }
    // That values are unknown is said of each.
    for finding in report.findings.iter().filter(|finding| finding.id != "unknown") {
        found.insert(format!("findings.{}", finding.id), json!(finding.severity));
    }
    Ok(found)
}

/// `tcp *:80`, of processes in the container. Others listen for it on ports that are chosen at random.
fn sockets(all: &[Listening]) -> BTreeSet<String> {
    let inside = all.iter().filter(|one| one.inside != Some(false));
    inside.map(|one| format!("{} {}:{}", one.protocol, one.shown_address(), one.port)).collect()
}

/// Lists are compared as wholes.
fn leaves(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => each_member(path, members, found),
        value => _ = found.insert(path.to_owned(), value.clone()),
    }
}

fn each_member(path: &str, members: &Map<String, Value>, found: &mut BTreeMap<String, Value>) {
    members.iter().for_each(|(key, value)| leaves(&format!("{path}.{key}"), value, found));
}

impl Diff {
    pub(super) fn json(&self, out: &mut Out) -> Result<()> {
        output_json::write(out, self)?;
        writeln!(out)?;
        Ok(())
    }

    /// Side by side where both fit, else below each other.
    pub(super) fn text(&self, out: &mut Out, painter: Painter, columns: usize) {
        let escaped = |text: &str| text::escape(text.as_bytes()).into_owned();
        let above = mounts::above(&self.differences);
        let mut below = vec![0_usize; above.len()];
        above.iter().flatten().for_each(|top| below[*top] += 1);
        let rows: Vec<[String; 3]> = self
            .differences
            .iter()
            .enumerate()
            .filter(|(at, _)| above[*at].is_none())
            .map(|(at, one)| {
                let (mut a, mut b) = shown(&one.path, (&one.a, one.a_is), (&one.b, one.b_is));
                if below[at] > 0 {
                    let side = if one.a_is == Is::Absent { &mut b } else { &mut a };
                    *side += &format!(" and {} below", below[at]);
                }
                [escaped(&one.path), escaped(&a), escaped(&b)]
            })
            .collect();
        let heads = [String::new(), escaped(&self.a), escaped(&self.b)];
        let room = columns.saturating_sub(4) / 3;
        let is_short = |row: &&[String; 3]| row.iter().all(|cell| text::width(cell) <= room + 4);
        let width = |at: usize| {
            let cells = rows
                .iter()
                .filter(is_short)
                .map(|row| text::width(&row[at]))
                .chain([text::width(&heads[at])]);
            cells.max().unwrap_or(0)
        };
        let widths = [width(0), width(1)];
        let pad =
            |cell: &str, to: usize| format!("{cell}{}", " ".repeat(to.saturating_sub(text::width(cell))));
        // Above the values that are side by side.
        if rows.iter().any(|row| is_short(&row)) {
            let head = format!("{}  {}  {}\n", pad("", widths[0]), pad(&heads[1], widths[1]), heads[2]);
            out.push(painter.heading(&head).as_bytes());
        }
        for row in &rows {
            let line = match is_short(&row) {
                true => format!("{}  {}  {}\n", pad(&row[0], widths[0]), pad(&row[1], widths[1]), row[2]),
                false => {
                    let [a, b] = [1, 2].map(|at| folded(&format!("  {}: {}", heads[at], row[at]), columns));
                    format!("{}\n{a}\n{b}\n", row[0])
                }
            };
            out.push(line.as_bytes());
        }
        if rows.is_empty() {
            out.push(b"no difference\n");
        }
    }
}

/// Long lists continue below, at blanks.
fn folded(line: &str, columns: usize) -> String {
    const INDENT: &str = "    ";
    let (mut all, mut used) = (String::new(), 0);
    for (at, word) in line.split(' ').enumerate() {
        let width = text::width(word);
        match at {
            0 => {}
            _ if used + 1 + width > columns && used > INDENT.len() => {
                all = all.trim_end().to_owned() + "\n" + INDENT;
                used = INDENT.len();
            }
            _ => {
                all.push(' ');
                used += 1;
            }
        }
        all.push_str(word);
        used += width;
    }
    all
}

/// Lists whose length nothing bounds, and what the text shows of them.
const LONG: [&str; 3] = ["network.listening", "network.published", "files.deleted"];
const MOST: usize = 8;

/// For people: of two lists what only one has; sizes with units; `-` for what is not there.
fn shown(path: &str, (a, a_is): (&Value, Is), (b, b_is): (&Value, Is)) -> (String, String) {
    if let (Value::Array(left), Value::Array(right)) = (a, b) {
        let only = |these: &[Value], others: &[Value]| {
            let others: BTreeSet<String> = others.iter().map(Value::to_string).collect();
            let is_missing = |one: &&Value| !others.contains(&one.to_string());
            let mut missing: Vec<String> =
                these.iter().filter(is_missing).map(|one| plain(path, one)).collect();
            if LONG.contains(&path) && missing.len() > MOST {
                let more = format!("and {} more", missing.len() - MOST);
                missing.truncate(MOST);
                missing.push(more);
            }
            match (these.is_empty(), missing.is_empty()) {
                (true, _) => "none".to_owned(),
                (false, true) => "-".to_owned(),
                (false, false) => missing.join(between(path, these)),
            }
        };
        return (only(left, right), only(right, left));
    }
    let side = |value: &Value, is: Is| match is {
        Is::Value => plain(path, value),
        Is::None => "none".to_owned(),
        Is::Absent => "-".to_owned(),
        Is::Unknown => "unknown".to_owned(),
    };
    (side(a, a_is), side(b, b_is))
}

fn plain(path: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if SIZES.contains(&path) => {
            number.as_u64().map_or_else(|| number.to_string(), size)
        }
        Value::Object(members) if members.contains_key("source") => {
            let text = |key: &str| members.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let mode = if members.get("read_only") == Some(&Value::Bool(true)) { "ro" } else { "rw" };
            format!("{} {mode}", text("source"))
        }
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => {
            all.iter().map(|one| plain(path, one)).collect::<Vec<_>>().join(between(path, all))
        }
        Value::Object(members) => {
            let number = |key: &str| u32::try_from(members.get(key)?.as_u64()?).ok();
            let extent = || {
                let (inside, outside, count) = (number("inside")?, number("outside")?, number("count")?);
                Some(map_in_words(&[Extent { inside, outside, count }]))
            };
            let all = || members.values().map(|one| plain(path, one)).collect::<Vec<_>>().join(" ");
            extent().unwrap_or_else(all)
        }
        Value::Number(number) => number.to_string(),
    }
}

/// What is between the entries of a list: those of some have blanks.
fn between(path: &str, list: &[Value]) -> &'static str {
    if LONG.contains(&path) || list.iter().any(Value::is_object) { ", " } else { " " }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_inspect::unknown::Unknown;

    #[test]
    fn lists_show_what_only_one_has() {
        let shown = |path: &str, a: Value, b: Value, b_is| shown(path, (&a, Is::Value), (&b, b_is));
        let (a, b) = shown("privileges.bounding.names", json!(["x", "y"]), json!(["y", "z"]), Is::Value);
        assert_eq!((a.as_str(), b.as_str()), ("x", "z"));
        for (is, expected) in [(Is::None, "none"), (Is::Absent, "-"), (Is::Unknown, "unknown")] {
            let (a, b) = shown("limits.memory.limit", json!(67_108_864), Value::Null, is);
            assert_eq!((a.as_str(), b.as_str()), ("64M", expected));
        }
    }

    #[test]
    fn what_is_unknown_is_neither_none_nor_absent() {
        let unknown = |path: &str| Unknown { path: path.to_owned(), why: "no rights".to_owned() };
        let report =
            Report { unknown: vec![unknown("limits.memory"), unknown("files")], ..Report::default() };
        for (value, path, expected) in [
            (Some(Value::Null), "limits.memory.limit", Is::Unknown),
            (Some(Value::Null), "limits.memory_", Is::None),
            (Some(Value::Null), "limits.cpu.quota", Is::None),
            (Some(json!(0)), "limits.memory.limit", Is::Value),
            (None, "files.mounts./x", Is::Unknown),
            (None, "findings.privileged", Is::Absent),
        ] {
            assert_eq!(is(&report, value.as_ref(), path), expected, "{path}");
        }
    }

    #[test]
    fn short_differences_are_side_by_side() {
        let difference = |path: &str, a: &str, b: &str| {
            let (a_is, b_is) = (Is::Value, Is::Value);
            Difference { path: path.to_owned(), a: json!(a), b: json!(b), a_is, b_is }
        };
        let long = "l".repeat(60);
        let differences = vec![difference("p.q", "1", "22"), difference("r", &long, "x")];
        let diff = Diff { a: "docker:web".to_owned(), b: "host".to_owned(), differences };
        let mut out = Out::kept();
        diff.text(&mut out, Painter { colour: false }, 80);
        let text = String::from_utf8(out.into_bytes()).expect("text");
        let expected =
            format!("     docker:web  host\np.q  1           22\nr\n  docker:web: {long}\n  host: x\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn lists_of_objects_are_in_words() {
        let (plain, rooted) = (
            json!([{"inside": 0, "outside": 0, "count": u32::MAX}]),
            json!([{"inside": 0, "outside": 1000, "count": 1}, {"inside": 1, "outside": 100_000, "count": 9}]),
        );
        let (a, b) = shown("namespaces.uid_map", (&plain, Is::Value), (&rooted, Is::Value));
        assert_eq!(a, "0-4294967294 inside is 0-4294967294");
        assert_eq!(b, "0 inside is 1000, 1-9 inside is 100000-100008");
        let limits = json!([{"device": "8:0", "kind": "rbps", "limit": 1024}]);
        let (a, b) = shown("limits.io.limits", (&limits, Is::Value), (&json!([]), Is::Value));
        assert_eq!((a.as_str(), b.as_str()), ("8:0 rbps 1024", "none"));
    }

    #[test]
    fn mounts_below_one_are_counted() {
        let mount = |target: &str, a_is, b_is| {
            let (a, b) = (json!("x"), json!("x"));
            Difference { path: format!("files.mounts.{target}"), a, b, a_is, b_is }
        };
        let differences = vec![
            mount("/host", Is::Value, Is::Absent),
            mount("/host/dev", Is::Value, Is::Absent),
            mount("/host/dev/pts", Is::Value, Is::Absent),
            mount("/host/run", Is::Value, Is::Value),
            mount("/host2", Is::Value, Is::Absent),
        ];
        let diff = Diff { a: "a".to_owned(), b: "b".to_owned(), differences };
        let mut out = Out::kept();
        diff.text(&mut out, Painter { colour: false }, 80);
        let text = String::from_utf8(out.into_bytes()).expect("text");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            words,
            "a b files.mounts./host x and 2 below - files.mounts./host/run x x files.mounts./host2 x -"
        );
    }

    #[test]
    fn a_heading_has_values_below_it() {
        let text = |differences| {
            let mut out = Out::kept();
            let diff = Diff { a: "a".to_owned(), b: "b".to_owned(), differences };
            diff.text(&mut out, Painter { colour: false }, 80);
            String::from_utf8(out.into_bytes()).expect("text")
        };
        assert_eq!(text(Vec::new()), "no difference\n");
        let (a, b) = (json!("l".repeat(60)), json!("x"));
        let (path, a_is, b_is) = ("r".to_owned(), Is::Value, Is::Value);
        let long = Difference { path, a, b, a_is, b_is };
        assert!(text(vec![long]).starts_with("r\n  a: lll"));
    }

    #[test]
    fn long_lists_are_folded() {
        assert_eq!(folded("  a: bb cc dd ee", 11), "  a: bb cc\n    dd ee");
        assert_eq!(folded("  a: bb", 80), "  a: bb");
        let long = format!("  a: {}", "x".repeat(30));
        assert_eq!(folded(&long, 11), long, "one word");
    }
}
