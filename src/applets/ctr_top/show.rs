//! Prints one frame as a table or raw text.

use std::cell::OnceCell;

use super::columns::{Order, Picked, narrow};
use super::rates::{Row, Rows, key_of_pod, pods};
use super::sample::Sample;
use crate::output::Out;
use crate::output::lazy_table::{LazyTable, Source, Value};
use crate::output::size::size;
use crate::output::smartcols::Column;
use crate::output::style::{self, Painter};
use crate::output::tree::{self, Forest, Glyphs};
use crate::proc::clock;
use crate::sys::keyed::HashMap;
use crate::text;

/// Two samples, and what they say.
pub(super) struct Frame {
    pub cpus: Option<u64>,
    /// Bytes of the host: available, all.
    pub memory: (Option<u64>, Option<u64>),
    pub rows: Rows,
    /// Do pods stand for their containers?
    pub per_pod: bool,
    /// Made when they are wanted.
    pods: OnceCell<Vec<Row>>,
}

impl Frame {
    pub(super) fn new(sample: &Sample, rows: Rows, per_pod: bool) -> Frame {
        Frame { cpus: sample.cpus, memory: sample.memory, rows, per_pod, pods: OnceCell::new() }
    }

    pub(super) fn pods(&self) -> &[Row] {
        self.pods.get_or_init(|| pods(&self.rows.containers, self.memory.1))
    }

    /// All rows that no pod stands for.
    fn others(&self) -> impl Iterator<Item = &Row> {
        self.rows.host.iter().chain(&self.rows.services)
    }

    /// The rows of the table, sorted. Pods stand for their containers, if that is wanted.
    pub(super) fn list(&self, order: Order, is_wanted: impl Fn(&Row) -> bool) -> Vec<&Row> {
        let is_shown = |row: &&Row| !self.per_pod || row.pod_key.is_none();
        let pods = if self.per_pod { self.pods() } else { &[] };
        let all = self.rows.containers.iter().filter(is_shown).chain(pods).chain(self.others());
        let mut all: Vec<&Row> = all.filter(|row| is_wanted(row)).collect();
        order.sort(&mut all);
        all
    }

    /// All pods, with their containers and those nested in these below them; and the lines before each. Rows above one
    /// that is wanted are there too.
    pub(super) fn tree(&self, order: Order, is_wanted: impl Fn(&Row) -> bool) -> Tree<'_> {
        let mut all: Vec<&Row> =
            self.rows.containers.iter().chain(self.pods()).chain(self.others()).collect();
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
        let line = |shown: &tree::Row| {
            let row = all[rows[shown.node()]];
            let (lines, width) = forest.lines(shown);
            let around = above(row).map(|at| format!("{}/", all[at].container));
            let repeated =
                around.filter(|around| row.container.starts_with(around)).map_or(0, |text| text.len());
            (row, Lead { lines: lines.to_owned(), width, repeated })
        };
        let (rows, lines) = forest.rows.iter().map(line).unzip();
        Tree { rows, lines }
    }

    /// The processes that stand for a row, each with its start: of a pod those of its containers, of the host PID 1.
    pub(super) fn processes(&self, row: &Row) -> Vec<(i32, Option<u64>)> {
        let of_pod = |one: &&Row| one.pod_key.as_deref().is_some_and(|pod| key_of_pod(pod) == row.key);
        let members: Vec<&Row> = self.rows.containers.iter().filter(of_pod).collect();
        let has_others = members.iter().any(|one| !one.is_pause);
        let shown = members.iter().filter(|one| !(one.is_pause && has_others)).copied();
        let process = |row: &Row| Some((row.pid?, row.start));
        let of_host = self.rows.host.iter().filter(|host| host.key == row.key).map(|_| (1, None));
        shown.chain([row]).filter_map(process).chain(of_host).collect()
    }

    /// `2026-11-26 18:03:01  CPU 82/200%  memory 3.1G of 23G  9 containers  sorted by cpu`
    pub(super) fn head(&self, order: Order, width: Option<usize>) -> String {
        let [cpus, memory, count] = self.host();
        let parts =
            [(4, clock::local(clock_now())), (2, cpus), (1, memory), (0, count), (3, Some(sorted_by(order)))];
        fitting(parts, width.unwrap_or(usize::MAX))
    }

    /// CPUs, memory, and how many containers there are.
    fn host(&self) -> [Option<String>; 3] {
        // As in the column: 100 % is one CPU.
        let cpus = self.cpus.map(|cpus| {
            let used = self.rows.used.map(|used| used / 100.0 * (cpus * 100) as f64);
            let used = used.map_or("-".to_owned(), |used| match used < 10.0 {
                true => format!("{used:.1}"),
                false => format!("{used:.0}"),
            });
            format!("CPU {used}/{}%", cpus * 100)
        });
        let memory = self.memory.0.zip(self.memory.1).map(|(available, all)| {
            format!("memory {} of {}", size(all.saturating_sub(available)), size(all))
        });
        let count = self.rows.containers.len();
        let count = format!("{count} container{}", if count == 1 { "" } else { "s" });
        [cpus, memory, Some(count)]
    }

    /// The line above the table on the screen. Parts are left out until it fits: what the user chose stays longest.
    pub(super) fn status(
        &self,
        order: Order,
        (is_tree, filter): (bool, Option<String>),
        width: usize,
    ) -> String {
        let time = clock::local(clock_now()).and_then(|time| Some(time.split_once(' ')?.1.to_owned()));
        let [cpus, memory, count] = self.host();
        let tree = is_tree.then(|| "tree".to_owned());
        let keys = Some("? keys".to_owned());
        let parts = [
            (4, time),
            (3, cpus),
            (2, memory),
            (1, count),
            (6, Some(sorted_by(order))),
            (5, tree),
            (7, filter),
            (0, keys),
        ];
        fitting(parts, width)
    }
}

/// The parts of a line, each with its importance, without those for which there is no room.
fn fitting<const N: usize>(mut parts: [(u8, Option<String>); N], width: usize) -> String {
    loop {
        let line: Vec<&str> = parts.iter().filter_map(|(_, part)| part.as_deref()).collect();
        let text = line.join("  ");
        if text::width(&text) <= width || line.len() < 2 {
            return text::cut(&text, width).to_owned();
        }
        let shown = parts.iter_mut().filter(|(_, part)| part.is_some());
        shown.min_by_key(|(importance, _)| *importance).into_iter().for_each(|(_, part)| *part = None);
    }
}

fn sorted_by(order: Order) -> String {
    format!("sorted by {}", order.name())
}

/// In seconds since 1970.
pub(super) fn clock_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// Rows, and what is before each.
#[derive(Default)]
pub(super) struct Tree<'a> {
    pub rows: Vec<&'a Row>,
    pub lines: Vec<Lead>,
}

/// The lines of a tree before a row.
#[derive(Default)]
pub(super) struct Lead {
    lines: String,
    width: usize,
    /// The bytes of the name that the row above has already.
    repeated: usize,
}

/// How rows are printed.
pub(super) struct Style {
    pub headings: bool,
    pub raw: bool,
    pub width: Option<usize>,
    pub painter: Painter,
}

/// `lines` are those of a tree, or none. Returns the columns for which there was no room.
pub(super) fn table(
    out: &mut Out,
    (rows, lines): (&[&Row], &[Lead]),
    columns: &[Picked],
    style: &Style,
) -> Vec<&'static str> {
    let plain: Vec<&'static Column> = columns.iter().map(|(column, _)| column).collect();
    let table = LazyTable {
        columns: &plain,
        tree: columns.iter().position(|(column, _)| column.name == "CONTAINER"),
        headings: style.headings,
        width: style.width,
        painter: style.painter,
        narrow: Some(narrow(columns)),
    };
    let source = Cells { rows, lines, columns, exact: style.raw };
    match style.raw {
        true => {
            table.print_raw(out, &source);
            Vec::new()
        }
        false => table.print_fitting(out, &source),
    }
}

struct Cells<'a> {
    rows: &'a [&'a Row],
    lines: &'a [Lead],
    columns: &'a [Picked],
    exact: bool,
}

fn mark(row: &Row, column: &str) -> &'static str {
    let lacks = row.lacks;
    let is_sum = row.own_cgroup == Some(false);
    match column {
        "CPU" | "OF-LIM" | "CPU_TIME" if lacks.cpu => ">",
        "MEMORY" | "USAGE" | "MEM%" if lacks.memory => ">",
        "PIDS" if lacks.pids => ">",
        "READ/s" | "WRITE/s" if lacks.disk => ">",
        "CPU" | "MEMORY" | "USAGE" | "PIDS" if is_sum => "~",
        _ => "",
    }
}

fn marked<'v>(mark: &str, value: Value<'v>) -> Value<'v> {
    match value {
        Value::Bytes(bytes) if !mark.is_empty() => Value::Bytes([mark.as_bytes(), &*bytes].concat().into()),
        Value::Number(number) if !mark.is_empty() => Value::owned(format!("{mark}{number}")),
        value => value,
    }
}

impl Source for Cells<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    /// For people a paused container says so in place of its CPU use, and sums over processes have a mark: another one if they
    /// lack processes that cannot be read.
    fn cell(&self, row: usize, column: usize) -> Value<'_> {
        let repeated = self.lines.get(row).map_or(0, |lead| lead.repeated);
        let (row, (column, get)) = (self.rows[row], self.columns[column]);
        let value = get(row).value(self.exact);
        if self.exact {
            return value;
        }
        match (column.name, value) {
            ("CONTAINER", _) => Value::text(&row.container[repeated..]),
            ("CPU", _) if row.status == "paused" => Value::text("paused"),
            (name, value) => marked(mark(row, name), value),
        }
    }

    fn lines(&self, row: usize) -> (&str, usize) {
        self.lines.get(row).map_or(("", 0), |lead| (&lead.lines, lead.width))
    }

    fn colour(&self, row: usize, column: usize) -> Option<&str> {
        matches!(self.columns[column].0.name, "CONTAINER" | "NAME").then(|| self.rows[row].key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_top::columns;
    use crate::applets::ctr_top::rates::{Io, Memory, Pids};
    use crate::applets::ctr_top::sample::Lacks;

    #[test]
    fn sums_have_a_mark_and_those_that_lack_something_another_one() {
        let lacks = Lacks { disk: true, ..Lacks::default() };
        let io = Io { read_rate: Some(2048.0), ..Io::default() };
        let memory = Memory { working_set: Some(4096), ..Memory::default() };
        let pids = Pids { current: Some(7), ..Pids::default() };
        let row = Row { own_cgroup: Some(false), lacks, io, memory, pids, ..Row::default() };
        let hidden = Row { lacks: Lacks { memory: true, pids: true, ..lacks }, ..row.clone() };
        let columns = columns::parse(&["memory,pids,read/s,write/s,oom_kills".to_owned()]).expect("columns");
        let (mut out, painter) = (Out::kept(), Painter { colour: false });
        let style = Style { headings: false, raw: false, width: None, painter };
        table(&mut out, (&[&row, &hidden], &[]), &columns, &style);
        let text = String::from_utf8(out.into_bytes()).expect("text");
        assert_eq!(text, "~4.0K ~7 >2.0K - -\n>4.0K >7 >2.0K - -\n");
    }

    #[test]
    fn what_the_user_chose_is_on_every_screen() {
        let rows = Rows { used: Some(41.0), ..Rows::default() };
        let sample = Sample { cpus: Some(2), memory: (Some(20 << 30), Some(23 << 30)), ..Sample::default() };
        let frame = Frame::new(&sample, rows, false);
        let line = |tree, filter: Option<&str>, width| {
            let line = frame.status(Order::default(), (tree, filter.map(str::to_owned)), width);
            assert!(line.len() <= width, "{line}");
            line.split_once("  ").map_or(line.clone(), |(_, rest)| rest.to_owned())
        };
        let whole = "CPU 82/200%  memory 3.0G of 23G  0 containers  sorted by cpu";
        let head = |width| frame.head(Order::default(), width).get(19..).map(str::to_owned);
        assert_eq!(head(None), Some(format!("  {whole}")));
        assert_eq!(head(Some(70)).as_deref(), Some("  CPU 82/200%  memory 3.0G of 23G  sorted by cpu"));
        assert_eq!(line(false, None, 80), format!("{whole}  ? keys"));
        assert_eq!(line(true, None, 80), format!("{whole}  tree"));
        assert_eq!(
            line(true, Some("/web_"), 80),
            "CPU 82/200%  memory 3.0G of 23G  sorted by cpu  tree  /web_"
        );
        assert_eq!(line(false, None, 40), "CPU 82/200%  sorted by cpu");
        assert_eq!(line(true, Some("/web_"), 40), "sorted by cpu  tree  /web_");
        assert_eq!(line(true, Some("/web_"), 30), "tree  /web_", "without the time");
        assert_eq!(frame.status(Order::default(), (true, Some("/web_".to_owned())), 3), "/we");
    }
}
