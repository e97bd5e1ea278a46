//! Prints one frame: a table, raw text or JSON.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::columns::{Order, Picked};
use super::rates::{Row, Rows, key_of_pod, pods};
use super::sample::Sample;
use crate::container::rfc3339;
use crate::output::lazy_table::{LazyTable, Source, Value};
use crate::output::size::size;
use crate::output::smartcols::Column;
use crate::output::style::{self, Painter};
use crate::output::tree::{self, Forest, Glyphs};
use crate::output::{Out, json};
use crate::proc::{ProcRoot, clock};
use crate::sys::keyed::HashMap;

/// Two samples, and what they say.
pub(super) struct Frame {
    cpus: Option<u64>,
    /// Bytes of the host: available, all.
    memory: (Option<u64>, Option<u64>),
    rows: Rows,
    /// None if they are not wanted.
    pods: Option<Vec<Row>>,
}

impl Frame {
    pub(super) fn new(sample: &Sample, rows: Rows, per_pod: bool) -> Frame {
        let pods = per_pod.then(|| pods(&rows.containers, sample.memory.1));
        Frame { cpus: sample.cpus, memory: sample.memory, rows, pods }
    }

    /// The rows of the table, sorted. Pods stand for their containers.
    pub(super) fn list(&self, order: Order, is_wanted: impl Fn(&Row) -> bool) -> Vec<&Row> {
        let in_pod = |row: &&Row| self.pods.is_none() || row.pod_key.is_none();
        let containers = self.rows.containers.iter().filter(in_pod);
        let all =
            containers.chain(self.pods.iter().flatten()).chain(&self.rows.host).chain(&self.rows.services);
        let mut all: Vec<&Row> = all.filter(|row| is_wanted(row)).collect();
        order.sort(&mut all);
        all
    }

    /// All pods, with their containers and those nested in these below them; and the lines before each. Rows above one
    /// that is wanted are there too.
    pub(super) fn tree(&self, order: Order, is_wanted: impl Fn(&Row) -> bool) -> Tree {
        let pods = pods(&self.rows.containers, self.memory.1);
        let all = self.rows.containers.iter().chain(&pods).chain(&self.rows.host).chain(&self.rows.services);
        let mut all: Vec<&Row> = all.collect();
        order.sort(&mut all);
        let by_key: HashMap<&str, usize> =
            all.iter().enumerate().map(|(at, row)| (row.key.as_str(), at)).collect();
        let above = |row: &Row| {
            let pod = row.pod_key.as_deref().map(key_of_pod);
            let pod = pod.and_then(|key| by_key.get(key.as_str()).copied());
            pod.or_else(|| by_key.get(row.outer_key.as_deref()?).copied())
        };
        let mut shown = vec![false; all.len()];
        for (at, row) in all.iter().enumerate().filter(|(_, row)| is_wanted(row)) {
            shown[at] = true;
            let mut next = above(row);
            while let Some(at) = next.filter(|at| !std::mem::replace(&mut shown[*at], true)) {
                next = above(all[at]);
            }
        }
        let rows: Vec<usize> = (0..all.len()).filter(|at| shown[*at]).collect();
        let id = |at: usize| i32::try_from(at + 1).unwrap_or(i32::MAX);
        let ids: Vec<i32> = rows.iter().map(|at| id(*at)).collect();
        let parents: Vec<i32> = rows.iter().map(|at| above(all[*at]).map_or(0, id)).collect();
        let mut forest = Forest::default();
        forest.grow(&ids, &parents, Glyphs::new(style::unicode()));
        let line = |row: &tree::Row| {
            let (lines, width) = forest.lines(row);
            (all[rows[row.node]].clone(), (lines.to_owned(), width))
        };
        let (rows, lines) = forest.rows.iter().map(line).unzip();
        Tree { rows, lines }
    }

    /// `18:03:01  2 CPUs 41.0%  memory 3.1G of 23G  9 containers  sorted by cpu`
    pub(super) fn head(&self, order: Order) -> String {
        let mut parts = vec![clock::local(clock_now()).unwrap_or_default()];
        let used = self.rows.used.map_or("-".to_owned(), |used| format!("{used:.1}%"));
        parts.extend(self.cpus.map(|cpus| format!("{cpus} CPUs {used}")));
        if let (Some(available), Some(all)) = self.memory {
            parts.push(format!("memory {} of {}", size(all.saturating_sub(available)), size(all)));
        }
        let count = self.rows.containers.len();
        parts.push(format!("{count} container{}", if count == 1 { "" } else { "s" }));
        parts.push(format!("sorted by {}", order.name()));
        parts.join("  ")
    }

    /// One document in one line.
    pub(super) fn json(&self, out: &mut Out, proc: &ProcRoot, order: Order) -> Result<()> {
        fn sorted(rows: &[Row], order: Order) -> Vec<&Row> {
            let mut rows: Vec<&Row> = rows.iter().collect();
            order.sort(&mut rows);
            rows
        }
        let (available, total) = self.memory;
        let document = Document {
            time: rfc3339(clock_now()),
            interval: self.rows.interval,
            boot_id: proc.boot_id(),
            cpus: self.cpus,
            cpu_percent: self.rows.used,
            memory: HostMemory { available, total },
            host: self.rows.host.as_ref(),
            services: sorted(&self.rows.services, order),
            pods: self.pods.as_deref().map(|pods| sorted(pods, order)),
            containers: sorted(&self.rows.containers, order),
        };
        json::write(out, &document)?;
        writeln!(out)?;
        Ok(())
    }
}

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
    containers: Vec<&'a Row>,
}

#[derive(Serialize)]
struct HostMemory {
    available: Option<u64>,
    total: Option<u64>,
}

/// In seconds since 1970.
fn clock_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// Rows, and the lines of the tree before each with their width.
#[derive(Default)]
pub(super) struct Tree {
    pub rows: Vec<Row>,
    pub lines: Vec<(String, usize)>,
}

/// How rows are printed.
pub(super) struct Style {
    pub headings: bool,
    pub raw: bool,
    pub width: Option<usize>,
    pub painter: Painter,
}

/// `lines` are those of a tree, or none.
pub(super) fn table(
    out: &mut Out,
    (rows, lines): (&[&Row], &[(String, usize)]),
    columns: &[Picked],
    style: &Style,
) {
    let plain: Vec<&'static Column> = columns.iter().map(|(column, _)| column).collect();
    let table = LazyTable {
        columns: &plain,
        tree: columns.iter().position(|(column, _)| column.name == "CONTAINER"),
        headings: style.headings,
        width: style.width,
        painter: style.painter,
        narrow: None,
    };
    let source = Cells { rows, lines, columns, exact: style.raw };
    match style.raw {
        true => table.print_raw(out, &source),
        false => table.print(out, &source),
    }
}

struct Cells<'a> {
    rows: &'a [&'a Row],
    lines: &'a [(String, usize)],
    columns: &'a [Picked],
    exact: bool,
}

impl Source for Cells<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    /// For people a paused container says so in place of its CPU use, and sums over processes have a mark.
    fn cell(&self, row: usize, column: usize) -> Value<'_> {
        let (row, (column, get)) = (self.rows[row], self.columns[column]);
        let value = get(row).value(self.exact);
        match (column.name, &value) {
            _ if self.exact => value,
            ("CPU", _) if row.status == "paused" => Value::text("paused"),
            ("CPU" | "MEMORY" | "USAGE" | "PIDS", Value::Bytes(bytes)) if row.own_cgroup == Some(false) => {
                Value::owned(format!("~{}", String::from_utf8_lossy(bytes)))
            }
            ("PIDS", Value::Number(number)) if row.own_cgroup == Some(false) => {
                Value::owned(format!("~{number}"))
            }
            _ => value,
        }
    }

    fn lines(&self, row: usize) -> (&str, usize) {
        self.lines.get(row).map_or(("", 0), |(lines, width)| (lines, *width))
    }

    fn colour(&self, row: usize, column: usize) -> Option<&str> {
        matches!(self.columns[column].0.name, "CONTAINER" | "NAME").then(|| self.rows[row].key.as_str())
    }
}
