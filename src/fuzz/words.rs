//! What users write: words of a command line, state files and settings.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::utf8;
use crate::applets::{cgexec, ctr_ps, ctr_top, ctr_whose, lsns};
use crate::container::{self, target::Target};
use crate::isolation::capabilities::{
    all,
    text::{Flags, Iab, list, parse_list},
};
use crate::isolation::cgroup::limits;
use crate::isolation::idmap::{arguments, join};
use crate::isolation::seccomp::{Filter as Seccomp, Profile};
use crate::output::filter::{Filter, Value};
use crate::output::json as output;
use crate::proc::idmap::{Range, Single};
use crate::text as escaped;

/// The highest capability of a kernel.
const LAST: u8 = 40;

pub(super) fn podman_database(data: &[u8]) {
    container::fuzz::podman_database(data);
}

pub(super) fn cri_database(data: &[u8]) {
    container::fuzz::cri_database(data);
}

pub(super) fn attachment(data: &[u8]) {
    container::fuzz::attachment(data);
}

pub(super) fn settings(data: &[u8]) {
    container::fuzz::settings(&utf8(data));
}

pub(super) fn cgrules(data: &[u8]) {
    cgexec::fuzz(data);
}

pub(super) fn filter(data: &[u8]) {
    let columns = [("PID", true), ("CMD", false), ("NPROCS", true)];
    let Ok(filter) = Filter::parse(&utf8(data), &columns) else { return };
    for value in [Value::None, Value::Number(7), Value::Float(-0.5), Value::Text("a b".into())] {
        _ = filter.evaluate(&|name| match (name, &value) {
            ("CMD", Value::Text(_)) | ("PID" | "NPROCS", Value::Number(_) | Value::Float(_)) => value.clone(),
            _ => Value::None,
        });
    }
}

pub(super) fn ranges(data: &[u8]) {
    let text = utf8(data);
    let ranges: Vec<Range> = text.split_whitespace().filter_map(Range::parse).take(8).collect();
    for single in [None, Some(Single { inner: 0, outer: 1000 }), Some(Single { inner: u32::MAX, outer: 0 })] {
        let joined = join(single, &ranges);
        assert_eq!(arguments(&joined).len(), 3 * joined.len());
    }
}

pub(super) fn capabilities(data: &[u8]) {
    let text = utf8(data);
    if let Ok(mask) = parse_list(&text) {
        assert_eq!(parse_list(&list(mask)), Ok(mask), "{text:?}");
    }
    if let Some(flags) = Flags::parse(&text, LAST) {
        let shown = flags.text(LAST);
        assert_eq!(Flags::parse(&shown, LAST).map(|flags| flags.text(LAST)), Some(shown), "{text:?}");
    }
    if let Some(iab) = Iab::parse(&text) {
        let shown = iab.text(LAST);
        let known = Iab {
            inheritable: iab.inheritable & all(LAST),
            ambient: iab.ambient & all(LAST),
            blocked: iab.blocked & all(LAST),
        };
        assert_eq!(Iab::parse(&shown), Some(known), "{text:?}, {shown:?}");
    }
}

pub(super) fn limits(data: &[u8]) {
    let word = OsStr::from_bytes(data);
    _ = limits::size(word);
    let all = [
        limits::memory,
        limits::memory_high,
        limits::swap_max,
        limits::cpus,
        limits::cpu_weight,
        limits::cpuset,
        limits::pids,
        limits::io_max,
        limits::hugetlb,
    ];
    for setting in all.iter().filter_map(|parse| parse(word).ok()) {
        assert!(!setting.file.contains('/'), "{} is not a file of the group", setting.file);
        assert!(!setting.value.contains('\n'), "two lines for {}", setting.file);
    }
    if let Ok(setting) = limits::raw(word) {
        assert!(!setting.file.contains('/'), "{} is not a file of the group", setting.file);
    }
}

pub(super) fn targets(data: &[u8]) {
    if let Ok(Target::Pid { pid, .. }) = Target::parse(OsStr::from_bytes(data)) {
        assert!(pid.as_raw() > 0);
    }
    container::fuzz::logged(&utf8(data));
}

pub(super) fn columns(data: &[u8]) {
    let text = utf8(data);
    lsns::fuzz(&text);
    ctr_ps::fuzz(&text);
    ctr_top::fuzz(&text);
}

pub(super) fn things(data: &[u8]) {
    ctr_whose::fuzz::thing(data);
}

pub(super) fn lines(data: &[u8]) {
    ctr_whose::fuzz::lines(data);
}

pub(super) fn rules_of_nat(data: &[u8]) {
    ctr_whose::fuzz::rules(&utf8(data));
}

pub(super) fn seccomp(data: &[u8]) {
    if let Some(filter) = Seccomp::from_bytes(data) {
        assert_eq!(
            Seccomp::from_bytes(&filter.to_bytes()).map(|again| again.to_bytes()),
            Some(filter.to_bytes())
        );
    }
    if let Ok(profile) = serde_json::from_slice::<Profile>(data) {
        _ = Seccomp::build(&profile);
    }
}

/// What is printed moves no cursor and changes no direction.
pub(super) fn text(data: &[u8]) {
    let (shown, width) = escaped::measured(data);
    assert!(!shown.chars().any(escaped::unprintable), "{shown:?}");
    assert_eq!(width, escaped::width(&shown));
    assert_eq!(escaped::escape(shown.as_bytes()), shown, "printable text stays");
    for columns in [0, 1, 7, 80] {
        assert!(escaped::width(escaped::cut(&shown, columns)) <= columns, "{shown:?} in {columns}");
    }
    _ = escaped::escape_lines(&utf8(data));
    _ = escaped::nearest(&utf8(data), ["docker", "podman", "web"]);
}

pub(super) fn globs(data: &[u8]) {
    let text = utf8(data);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, ""));
    let matches = escaped::matches_glob(pattern, name);
    assert!(!matches || escaped::matches_glob(&format!("*{pattern}*"), name), "{pattern:?} {name:?}");
    assert!(pattern.contains(['*', '?']) || matches == (pattern == name), "{pattern:?} {name:?}");
}

/// Any text is a valid string of JSON, and the same when it is read.
pub(super) fn json(data: &[u8]) {
    let text = escaped::utf8(data);
    let mut out = Vec::new();
    output::write(&mut out, &text).unwrap_or_else(|error| panic!("{error}"));
    assert!(!out.iter().any(u8::is_ascii_control), "{out:?}");
    let read: String = serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {out:?}"));
    assert_eq!(read, text);
}
