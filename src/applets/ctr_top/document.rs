//! JSON: one document for each frame. To write a row costs as much as to read its container. Most containers rest, so that
//! their rows are those of the document before, and so are the texts of these.

use std::borrow::{Borrow, Cow};
use std::cell::OnceCell;
use std::io::Write;
use std::rc::Rc;

use anyhow::Result;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::columns::Order;
use super::rates::Row;
use super::show::{Frame, clock_now};
use crate::container::rfc3339;
use crate::output::{Out, json};
use crate::proc::ProcRoot;
use crate::sys::keyed::HashMap;

#[derive(Serialize)]
struct Document<'a> {
    time: String,
    interval: Option<f64>,
    boot_id: Option<String>,
    cpus: Option<u64>,
    /// Of all CPUs of the host.
    cpu_percent: Option<f64>,
    memory: HostMemory,
    host: Option<&'a Row>,
    services: Vec<&'a Row>,
    pods: Option<Vec<&'a Row>>,
    containers: Vec<Written<'a>>,
    unknown: Vec<Unknown<'a>>,
}

/// As in the JSON of ctr-inspect.
#[derive(Serialize)]
struct Unknown<'a> {
    /// The path in the JSON.
    path: Cow<'static, str>,
    why: &'a str,
}

const LACKS: &str = "a sum over processes, some of which cannot be read";

/// The values of a row that lack something.
fn lacking(of: &str, row: &Row) -> Vec<Unknown<'static>> {
    let lacks = row.lacks;
    let all = [(lacks.cpu, "cpu"), (lacks.memory, "memory"), (lacks.pids, "pids"), (lacks.disk, "io")];
    let lacking = all.into_iter().filter(|(lacks, _)| *lacks);
    lacking.map(|(_, key)| Unknown { path: format!("{of}.{key}").into(), why: LACKS }).collect()
}

#[derive(Serialize)]
struct HostMemory {
    available: Option<u64>,
    total: Option<u64>,
}

/// The containers of the document before, each with its text.
#[derive(Default)]
pub(super) struct Before {
    rows: Vec<Row>,
    texts: Vec<Rc<RawValue>>,
    /// What the rights of the caller withhold in each document.
    withheld: Option<String>,
}

/// A row and its text.
struct Written<'a> {
    row: &'a Row,
    text: &'a RawValue,
}

impl Borrow<Row> for Written<'_> {
    fn borrow(&self) -> &Row {
        self.row
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl Before {
    pub(super) fn new(withheld: Option<String>) -> Before {
        Before { withheld, ..Before::default() }
    }

    /// The text of each row.
    fn texts(&self, rows: &[Row]) -> Result<Vec<Rc<RawValue>>> {
        let places = OnceCell::new();
        let text = |(at, row): (usize, &Row)| {
            let is_same = |at: &usize| self.rows.get(*at).is_some_and(|old| old == row);
            let sought = || {
                let all = || self.rows.iter().enumerate().map(|(at, old)| (old.key.as_str(), at)).collect();
                let places: &HashMap<&str, usize> = places.get_or_init(all);
                places.get(row.key.as_str()).copied().filter(is_same)
            };
            // Mostly at the same place.
            match Some(at).filter(is_same).or_else(sought) {
                Some(at) => Ok(self.texts[at].clone()),
                None => Ok(to_raw_value(row)?.into()),
            }
        };
        rows.iter().enumerate().map(text).collect()
    }
}

/// Prints one document in one line. Its containers are those `before` the next one.
pub(super) fn print(
    out: &mut Out,
    proc: &ProcRoot,
    frame: Frame,
    order: Order,
    before: &mut Before,
) -> Result<()> {
    let (available, total) = frame.memory;
    let texts = before.texts(&frame.rows.containers)?;
    let written = frame.rows.containers.iter().zip(&texts).map(|(row, text)| Written { row, text });
    let containers = sorted(written, order);
    let pods = frame.per_pod.then(|| sorted(frame.pods().iter(), order));
    let mut unknown: Vec<Unknown<'_>> =
        before.withheld.iter().map(|why| Unknown { path: "containers".into(), why }).collect();
    unknown.extend(frame.rows.host.iter().flat_map(|row| lacking("host", row)));
    let lacking_at = |list| move |(at, row): (usize, &Row)| lacking(&format!("{list}[{at}]"), row);
    unknown.extend(pods.iter().flatten().copied().enumerate().flat_map(lacking_at("pods")));
    let rows = containers.iter().map(|written| written.row);
    unknown.extend(rows.enumerate().flat_map(lacking_at("containers")));
    let document = Document {
        time: rfc3339(clock_now()),
        interval: frame.rows.interval,
        boot_id: proc.boot_id(),
        cpus: frame.cpus,
        cpu_percent: frame.rows.used,
        memory: HostMemory { available, total },
        host: frame.rows.host.as_ref(),
        services: sorted(frame.rows.services.iter(), order),
        pods,
        containers,
        unknown,
    };
    json::write(out, &document)?;
    writeln!(out)?;
    (before.rows, before.texts) = (frame.rows.containers, texts);
    Ok(())
}

fn sorted<T: Borrow<Row>>(rows: impl Iterator<Item = T>, order: Order) -> Vec<T> {
    let mut rows: Vec<T> = rows.collect();
    order.sort(&mut rows);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_top::rates::{Cpu, Rows};
    use crate::applets::ctr_top::sample::Lacks;

    fn row(name: &str, percent: f64) -> Row {
        let cpu = Cpu { percent: Some(percent), ..Cpu::default() };
        Row { container: name.to_owned(), key: name.to_owned(), cpu, ..Row::default() }
    }

    #[test]
    fn only_rows_that_changed_are_written_anew() {
        let before = [row("a", 1.0), row("b", 2.0), row("c", 3.0)];
        let texts = Before::default().texts(&before).expect("texts");
        let old = Before { rows: before.into(), texts, withheld: None };
        // One ended, one works, one is new.
        let now = [row("b", 2.0), row("c", 4.0), row("d", 3.0)];
        let texts = old.texts(&now).expect("texts");
        let is_kept: Vec<bool> =
            texts.iter().map(|text| old.texts.iter().any(|old| Rc::ptr_eq(old, text))).collect();
        assert_eq!(is_kept, [true, false, false]);
        for (text, row) in texts.iter().zip(&now) {
            assert_eq!(text.get(), serde_json::to_string(row).expect("JSON"));
        }
    }

    #[test]
    fn a_sum_that_lacks_something_is_named() {
        let lacks = Lacks { disk: true, ..Lacks::default() };
        let host = Some(Row { lacks: Lacks { pids: true, ..lacks }, ..Row::default() });
        let containers = vec![row("a", 1.0), Row { lacks, ..row("b", 0.5) }];
        let frame = Frame::new(&Default::default(), Rows { containers, host, ..Rows::default() }, false);
        let (mut out, mut before) = (Out::kept(), Before::default());
        print(&mut out, &ProcRoot::default(), frame, Order::default(), &mut before).expect("printed");
        let value: serde_json::Value = serde_json::from_slice(&out.into_bytes()).expect("JSON");
        let paths = value["unknown"].as_array().expect("a list").iter().map(|one| &one["path"]);
        assert_eq!(paths.collect::<Vec<_>>(), ["host.pids", "host.io", "containers[1].io"]);
    }

    /// The text of a row goes through the writer of the document.
    #[test]
    fn kept_texts_are_safe_on_a_terminal() {
        let name = "a\x1b[2J\u{85}\u{202e}\x7f\"";
        let row = row(name, 1.0);
        let texts = Before::default().texts(std::slice::from_ref(&row)).expect("texts");
        let mut json = Vec::new();
        json::write(&mut json, &Written { row: &row, text: &texts[0] }).expect("JSON");
        let json = String::from_utf8(json).expect("text");
        assert!(!json.contains(crate::text::unprintable), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).expect("parses");
        assert_eq!(value["container"], name);
    }

    #[test]
    fn containers_are_sorted_with_their_texts() {
        let rows = Rows { containers: vec![row("a", 1.0), row("b", 2.0)], ..Rows::default() };
        let frame = Frame::new(&Default::default(), rows, false);
        let (mut out, mut before) = (Out::kept(), Before::default());
        print(&mut out, &ProcRoot::default(), frame, Order::default(), &mut before).expect("printed");
        let value: serde_json::Value = serde_json::from_slice(&out.into_bytes()).expect("JSON");
        assert_eq!(
            (&value["containers"][0]["container"], &value["containers"][1]["container"]),
            (&"b".into(), &"a".into())
        );
        assert_eq!(before.rows.len(), 2);
    }
}
