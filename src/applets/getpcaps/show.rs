//! Shows a process as a line, a table or a JSON object.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use super::{Base, Mask, Request, Style};
use crate::exit::{self, Exit};
use crate::isolation::capabilities::baseline::{BASELINES, describe, difference, nearest};
use crate::isolation::capabilities::process::{Capable, Program, UserNs};
use crate::isolation::capabilities::{all, bits, name, text as captext};
use crate::output::json as output_json;
use crate::proc::{Credentials, Sets};
use crate::text;

/// The output of libcap's getpcaps, with the target as given.
pub(super) fn line(request: &mut Request, word: &OsStr, flags: &str) {
    let word = text::shown(word);
    let line = match request.style {
        Style::Short => format!("{word}: {flags}\n"),
        Style::Verbose => format!("Capabilities for '{word}': {flags}\n"),
        Style::Legacy => {
            _ = request.out.drain(); // a failed write is reported at the end
            // libcap prints this form on standard error.
            return exit::say(&format!("Capabilities for `{word}': {flags}"));
        }
    };
    request.out.push(line.as_bytes());
}

/// The output of `--iab`. The short style omits sets that have the default value.
pub(super) fn iab(request: &mut Request, word: &OsStr, sets: &Sets) {
    let iab = sets.iab();
    let last = request.last;
    let verbose = !matches!(request.style, Style::Short);
    let flags = sets.flags().text(last);
    let mut line = format!("{}:", text::shown(word));
    if verbose || flags != "=" {
        line += &format!(" \"{flags}\"");
    }
    if verbose || iab.ambient | iab.blocked & all(last) != 0 {
        line += &format!(" [{}]", iab.text(last));
    }
    line.push('\n');
    request.out.push(line.as_bytes());
}

/// The output of `--diff`: `web: docker default +NET_ADMIN -MKNOD`.
pub(super) fn diff(request: &mut Request, word: &OsStr, process: &Capable, base: &Base) {
    let sets = &process.state.sets;
    let last = request.last;
    let compare = |mask: Mask, select: Select| match base {
        Base::Nearest => describe(mask, last),
        Base::Named(baseline) => difference(baseline.label, baseline.mask(last), mask),
        Base::Other(label, other) => difference(label, select(other), mask),
    };
    let permitted = compare(sets.permitted, |sets| sets.permitted);
    let mut line = match (sets.permitted == sets.bounding, sets.permitted) {
        (true, _) => permitted,
        (false, 0) => format!("none, at most {}", compare(sets.bounding, |sets| sets.bounding)),
        (false, _) => format!("{permitted}, at most {}", compare(sets.bounding, |sets| sets.bounding)),
    };
    if let Some(limits) = process.user_ns.as_ref().and_then(UserNs::limits) {
        line += &format!(", {limits}");
    }
    let line = format!("{}: {line}\n", text::shown(word));
    request.out.push(line.as_bytes());
}

/// The output of `--diff=list`: name, mask and source of each baseline.
pub(super) fn baselines(request: &mut Request) {
    let width = BASELINES.iter().map(|baseline| baseline.name.len()).max().unwrap_or(0);
    for baseline in &BASELINES {
        let mask = baseline.mask(request.last);
        let line = format!("{:width$} {mask:016x} {}\n", baseline.name, baseline.source);
        request.out.push(line.as_bytes());
    }
}

/// Selects one of the five sets.
type Select = fn(&Sets) -> Mask;

const SETS: [(&str, Select); 5] = [
    ("EFF", |sets| sets.effective),
    ("PRM", |sets| sets.permitted),
    ("INH", |sets| sets.inheritable),
    ("BND", |sets| sets.bounding),
    ("AMB", |sets| sets.ambient),
];

/// The output of `--table`: a line for each capability in any of the sets, then the threads that differ.
pub(super) fn table(request: &mut Request, word: &OsStr, process: &Capable) {
    let comm = text::escape(&process.state.name);
    let heading = format!("{} ({comm})", text::shown(word));
    one_table(request, &heading, &process.state);
    for (threads, state) in &process.others {
        let ids: Vec<String> = threads.iter().map(ToString::to_string).collect();
        let comm = text::escape(&state.name);
        one_table(request, &format!("{} thread {} ({comm})", text::shown(word), ids.join(",")), state);
    }
}

fn one_table(request: &mut Request, heading: &str, state: &Credentials) {
    let sets = &state.sets;
    let any = SETS.iter().fold(0, |any, (_, select)| any | select(sets));
    let names: Vec<String> = bits(any).map(name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0).max(text::width(heading));
    let out = &mut request.out;
    let columns = SETS.map(|(name, _)| name).join(" ");
    out.push(heading.as_bytes());
    out.blanks(width - text::width(heading) + 1);
    out.push(format!("{columns}\n").as_bytes());
    for (number, name) in bits(any).zip(&names) {
        let cells = SETS.map(|(_, select)| if select(sets) >> number & 1 == 1 { "  x" } else { "  -" });
        out.push(format!("{name:width$} {}\n", cells.join(" ")).as_bytes());
    }
    if any == 0 {
        out.push(b"none\n");
    }
}

#[derive(Serialize)]
struct Record<'a> {
    target: std::borrow::Cow<'a, str>,
    pid: i32,
    name: std::borrow::Cow<'a, str>,
    uid: Option<u32>,
    euid: Option<u32>,
    #[serde(flatten)]
    rights: Rights,
    /// Always null: only a process itself can read its securebits.
    securebits: Option<u32>,
    user_namespace: Option<Namespace>,
    program: Option<std::borrow::Cow<'a, str>>,
    program_capabilities: Option<String>,
    program_rootid: Option<u32>,
    /// Why the capabilities of the program's file are unknown.
    program_error: Option<String>,
    threads: Vec<Threads>,
}

/// The attributes that each thread has.
#[derive(Serialize)]
struct Rights {
    text: String,
    iab: String,
    effective: Names,
    permitted: Names,
    inheritable: Names,
    bounding: Names,
    ambient: Names,
    /// The permitted set in words, relative to the nearest baseline.
    permitted_words: String,
    bounding_words: String,
    baseline: Option<&'static str>,
    no_new_privs: Option<bool>,
    seccomp: Option<&'static str>,
}

#[derive(Serialize)]
struct Names {
    mask: String,
    names: Vec<String>,
}

#[derive(Serialize)]
struct Namespace {
    id: u64,
    #[serde(rename = "ours")]
    is_own: bool,
    owner: Option<u32>,
}

#[derive(Serialize)]
struct Threads {
    ids: Vec<i32>,
    #[serde(flatten)]
    rights: Rights,
}

impl Rights {
    fn new(state: &Credentials, last: u8) -> Rights {
        let sets = &state.sets;
        let names =
            |mask: Mask| Names { mask: format!("{mask:016x}"), names: bits(mask).map(name).collect() };
        Rights {
            text: sets.flags().text(last),
            iab: sets.iab().text(last),
            effective: names(sets.effective),
            permitted: names(sets.permitted),
            inheritable: names(sets.inheritable),
            bounding: names(sets.bounding),
            ambient: names(sets.ambient),
            permitted_words: describe(sets.permitted, last),
            bounding_words: describe(sets.bounding, last),
            baseline: nearest(sets.permitted, last).map(|baseline| baseline.name),
            no_new_privs: state.no_new_privs,
            seccomp: state.seccomp.map(|mode| match mode {
                0 => "disabled",
                1 => "strict",
                2 => "filter",
                _ => "unknown",
            }),
        }
    }
}

pub(super) fn json(request: &mut Request) -> Result<(), Exit> {
    let processes = std::mem::take(&mut request.processes);
    request.out.push(b"{\"processes\":[");
    for (i, (word, process)) in processes.iter().enumerate() {
        request.out.push(if i == 0 { b"\n" } else { b",\n" });
        output_json::write(&mut request.out, &record(word, process, request.last))?;
    }
    writeln!(request.out, "\n]}}")?;
    Ok(())
}

fn record<'a>(word: &'a OsStr, process: &'a Capable, last: u8) -> Record<'a> {
    let state = &process.state;
    let program = process.program.as_ref();
    let gives = program.and_then(|program| program.gives.as_ref().ok()?.as_ref());
    Record {
        target: text::utf8(word.as_bytes()),
        pid: process.pid.as_raw(),
        name: text::utf8(&state.name),
        uid: state.uids.first().copied(),
        euid: state.uids.get(1).copied(),
        rights: Rights::new(state, last),
        securebits: None,
        user_namespace: process.user_ns.as_ref().map(|ns| Namespace {
            id: ns.inode,
            is_own: ns.is_own,
            owner: ns.owner,
        }),
        program: program.map(|program| text::utf8(program.path.as_os_str().as_bytes())),
        program_capabilities: gives.map(|gives| gives.flags.text(last)),
        program_rootid: gives.and_then(|gives| gives.rootid),
        program_error: program.and_then(Program::unknown),
        threads: process
            .others
            .iter()
            .map(|(ids, state)| Threads {
                ids: ids.iter().map(|id| id.as_raw()).collect(),
                rights: Rights::new(state, last),
            })
            .collect(),
    }
}

/// The sets in quotes and the IAB text in brackets. Sets with the default value are omitted.
pub(super) fn quoted(sets: &Sets, last: u8) -> String {
    let flags = sets.flags().text(last);
    let iab = sets.iab();
    let mut text = String::new();
    if flags != "=" {
        text += &format!(" \"{flags}\"");
    }
    let known = all(last);
    if iab.ambient | iab.blocked & known != 0 {
        text += &format!(" [{}]", short(&iab, last));
    }
    text
}

/// The IAB text. If most of the bounding set is dropped, the rest of it is shown instead: a list of 38 dropped
/// capabilities is hard to read.
fn short(iab: &captext::Iab, last: u8) -> String {
    let known = all(last);
    let blocked = iab.blocked & known;
    if 2 * blocked.count_ones() <= known.count_ones() {
        return iab.text(last);
    }
    let rest = captext::Iab { blocked: 0, ..*iab }.text(last);
    let left = describe(known & !blocked, last);
    if rest.is_empty() { format!("at most {left}") } else { format!("{rest}; at most {left}") }
}
