//! The columns, and the keys that rows are sorted by.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;

use anyhow::{Result, bail};

use super::rates::Row;
use crate::order;
use crate::output::lazy_table::Value;
use crate::output::narrow::Narrow;
use crate::output::size::{fixed, size};
use crate::output::smartcols::{Align, Column, Json};
use crate::text;

/// What a cell has, before it is shown.
pub(super) enum Cell {
    None,
    Text(String),
    Count(Option<u64>),
    Bytes(Option<u64>),
    /// Bytes a second.
    Rate(Option<f64>),
    Percent(Option<f64>),
    Fraction(Option<f64>),
    /// The averages of pressure.
    Three([Option<f64>; 3]),
}

type Get = fn(&Row) -> Cell;

const fn words(name: &'static str, help: &'static str) -> Column {
    Column { name, help, align: Align::Left, json: Json::String, hint: 0, truncate: false, wrap: false }
}

const fn number(name: &'static str, help: &'static str) -> Column {
    Column { align: Align::Right, json: Json::Number, ..words(name, help) }
}

const fn fraction(name: &'static str, help: &'static str) -> Column {
    Column { json: Json::Float, ..number(name, help) }
}

pub(super) static COLUMNS: [(Column, Get); 37] = [
    (words("CONTAINER", "RUNTIME:NAME, after those of the containers around it"), |row| {
        Cell::Text(row.container.clone())
    }),
    (words("RUNTIME", "runtime that created the container"), |row| maybe(row.runtime.as_ref())),
    (words("NAME", "name without the runtime"), |row| maybe(row.name.as_ref())),
    (words("ID", "id that the runtime gave the container"), |row| maybe(row.id.as_ref())),
    (words("POD", "pod"), |row| maybe(row.pod.as_ref())),
    (words("POD_NAMESPACE", "Kubernetes namespace of the pod"), |row| maybe(row.pod_namespace.as_ref())),
    (words("IMAGE", "image"), |row| maybe(row.image.as_ref())),
    (number("PID", "first process, as PID on the host"), |row| {
        Cell::Count(row.pid.and_then(|pid| u64::try_from(pid).ok()))
    }),
    (words("STATUS", "running or paused"), |row| Cell::Text(row.status.to_owned())),
    (words("OWN", "yes if the control groups count for the container alone"), |row| match row.own_cgroup {
        None => Cell::None,
        Some(own) => Cell::Text(if own { "yes" } else { "no" }.to_owned()),
    }),
    (number("PROCS", "number of processes, those in nested containers included"), |row| {
        Cell::Count(Some(row.procs))
    }),
    (fraction("CPU", "CPU use in percent of one CPU"), |row| Cell::Percent(row.cpu.percent)),
    (fraction("OF-LIM", "CPU use in percent of the quota, or of the allowed CPUs"), |row| {
        Cell::Percent(row.cpu.of_limit)
    }),
    (fraction("CPUS", "CPUs that the quota or the allowed CPUs permit"), |row| Cell::Fraction(row.cpu.limit)),
    (words("CPUS_BY", "control group with the least quota"), |row| maybe(row.cpu.limit_by.as_ref())),
    (fraction("CPU_TIME", "CPU time since the container started, in seconds"), |row| {
        Cell::Fraction(row.cpu.seconds)
    }),
    (fraction("THROT", "periods of the quota in which it was used up, in percent"), |row| {
        Cell::Percent(row.throttled.percent)
    }),
    (number("MEMORY", "memory in use, without inactive page cache"), |row| {
        Cell::Bytes(row.memory.working_set)
    }),
    (number("USAGE", "memory in use, with all cache"), |row| Cell::Bytes(row.memory.usage)),
    (number("LIMIT", "lowest memory limit that applies to the container"), |row| {
        Cell::Bytes(row.memory.limit)
    }),
    (words("LIMIT_BY", "control group with that limit"), |row| maybe(row.memory.limit_by.as_ref())),
    (fraction("MEM%", "MEMORY in percent of LIMIT, or of the host's memory"), |row| {
        Cell::Percent(row.memory.percent)
    }),
    (number("ANON", "memory that belongs to no file"), |row| Cell::Bytes(row.memory.anon)),
    (number("FILE", "page cache, tmpfs included"), |row| Cell::Bytes(row.memory.file)),
    (number("SHMEM", "tmpfs and shared memory"), |row| Cell::Bytes(row.memory.shmem)),
    (number("OOM_KILLS", "processes that were killed for lack of memory"), |row| {
        Cell::Count(row.memory.oom_kills)
    }),
    (number("PIDS", "processes and threads"), |row| Cell::Count(row.pids.current)),
    (number("PIDS_LIMIT", "lowest limit of processes and threads"), |row| Cell::Count(row.pids.limit)),
    (fraction("READ/s", "bytes read from disks in a second"), |row| Cell::Rate(row.io.read_rate)),
    (fraction("WRITE/s", "bytes written to disks in a second"), |row| Cell::Rate(row.io.write_rate)),
    (words("IO_BY", "who counts READ/s and WRITE/s: cgroup, or processes"), |row| {
        row.io.source.map_or(Cell::None, |source| Cell::Text(source.to_owned()))
    }),
    (fraction("RX/s", "bytes received in a second, in a network of its own"), |row| {
        Cell::Rate(row.net.as_ref().and_then(|net| net.rx_rate))
    }),
    (fraction("TX/s", "bytes sent in a second, in a network of its own"), |row| {
        Cell::Rate(row.net.as_ref().and_then(|net| net.tx_rate))
    }),
    (fraction("PSI_CPU", "percent of the last 10 s: a process waited for a CPU"), |row| {
        Cell::Percent(row.pressure.as_ref().and_then(|pressure| pressure.cpu))
    }),
    (fraction("PSI_MEMORY", "percent of the last 10 s: a process waited for memory"), |row| {
        Cell::Percent(row.pressure.as_ref().and_then(|pressure| pressure.memory))
    }),
    (fraction("PSI_IO", "percent of the last 10 s: a process waited for a disk"), |row| {
        Cell::Percent(row.pressure.as_ref().and_then(|pressure| pressure.io))
    }),
    (Column { align: Align::Right, ..words("PSI", "these three as one column: CPU/memory/IO") }, |row| {
        match &row.pressure {
            Some(pressure) => Cell::Three([pressure.cpu, pressure.memory, pressure.io]),
            None => Cell::None,
        }
    }),
];

pub(super) const DEFAULT: [&str; 11] =
    ["CONTAINER", "CPU", "OF-LIM", "THROT", "MEMORY", "LIMIT", "MEM%", "PIDS", "READ/s", "WRITE/s", "PSI"];

/// On a narrow terminal whole columns are left out, first those that matter less: a number that is cut reads as another one.
pub(super) fn narrow(columns: &[Picked]) -> Narrow {
    const LESS: [&str; 8] = ["PSI", "OF-LIM", "THROT", "LIMIT", "WRITE/s", "READ/s", "PIDS", "MEM%"];
    let place = |name: &str| columns.iter().position(|(column, _)| column.name == name);
    let shrinks = place("CONTAINER").unwrap_or(columns.len());
    let others = (0..columns.len()).rev().filter(|at| *at != shrinks);
    Narrow { leave_out: LESS.into_iter().filter_map(place).chain(others).collect(), shrinks }
}

fn maybe(text: Option<&String>) -> Cell {
    text.map_or(Cell::None, |text| Cell::Text(text.clone()))
}

pub(super) type Picked = &'static (Column, Get);

/// Does a table with these columns, in this order, show what interfaces received and sent?
pub(super) fn have_networks(columns: &[Picked], order: Order) -> bool {
    order.key == Key::Net || columns.iter().any(|(column, _)| matches!(column.name, "RX/s" | "TX/s"))
}

/// The columns of a table in this order, without `-o` the default ones.
pub(super) fn shown<'p>(picked: &'p [Picked], lists: &[String], order: Order) -> Cow<'p, [Picked]> {
    if lists.is_empty() { by_default(order).into() } else { picked.into() }
}

/// The default columns for an order: those of the network in place of those of disks, if rows are sorted by it.
fn by_default(order: Order) -> Vec<Picked> {
    let shown = |name| match (order.key, name) {
        (Key::Net, "READ/s") => "RX/s",
        (Key::Net, "WRITE/s") => "TX/s",
        (Key::Oom, "PSI") => "OOM_KILLS",
        _ => name,
    };
    DEFAULT.into_iter().map(shown).filter_map(named).collect()
}

/// Does such a table show how long processes waited?
pub(super) fn have_pressure(columns: &[Picked]) -> bool {
    columns.iter().any(|(column, _)| column.name.starts_with("PSI"))
}

fn named(name: &str) -> Option<Picked> {
    COLUMNS.iter().find(|(column, _)| column.name.eq_ignore_ascii_case(name))
}

/// Parses the LISTs of `-o`: the first replaces the default columns, and more ones add to it, as `+LIST` does.
pub(super) fn parse(lists: &[String]) -> Result<Vec<Picked>> {
    let mut picked = by_default(Order::default());
    let mut is_default = true;
    for list in lists {
        let list = match list.strip_prefix('+') {
            Some(list) => list,
            None => {
                if std::mem::replace(&mut is_default, false) {
                    picked.clear();
                }
                list
            }
        };
        for name in list.split(',') {
            picked.extend(find(name.trim())?);
        }
    }
    Ok(picked)
}

/// The columns with a name, or those of a key that rows are sorted by.
fn find(name: &str) -> Result<Vec<Picked>> {
    if let Some(found) = named(name) {
        return Ok(vec![found]);
    }
    let key = Key::ALL.iter().find(|(_, word)| word.eq_ignore_ascii_case(name));
    if let Some((key, _)) = key {
        return Ok(key.columns().iter().filter_map(|name| named(name)).collect());
    }
    if name.is_empty() {
        bail!("a name is missing in the list of columns: type -o NAME,NAME (-H lists the columns)");
    }
    let hint = text::or_did_you_mean(&name.to_uppercase(), COLUMNS.iter().map(|(column, _)| column.name));
    let hint = hint.to_lowercase();
    bail!("unknown column '{}'{hint} (-H lists the columns)", text::escape(name.as_bytes()))
}

impl Cell {
    /// For people sizes have units, and percentages no decimals from 10 on.
    pub(super) fn value(self, exact: bool) -> Value<'static> {
        let people = |number: Option<f64>, shown: fn(f64) -> String| match number {
            None => Value::None,
            Some(number) if exact => Value::owned(number.to_string()),
            Some(number) => Value::owned(shown(number)),
        };
        match self {
            Cell::None => Value::None,
            Cell::Text(text) => Value::owned(text),
            Cell::Count(count) => Value::number(count),
            Cell::Bytes(Some(bytes)) if !exact => Value::owned(size(bytes)),
            Cell::Bytes(bytes) => Value::number(bytes),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate is not negative"
            )]
            Cell::Rate(rate) => {
                people(rate, |rate| if rate < 1.0 { "0".to_owned() } else { size(rate as u64) })
            }
            Cell::Percent(percent) => people(percent, |percent| {
                let mut text = String::with_capacity(8);
                fixed(&mut text, percent, 1);
                text.push('%');
                text
            }),
            Cell::Fraction(number) => people(number, |number| {
                let mut text = String::with_capacity(8);
                fixed(&mut text, number, 2);
                text
            }),
            Cell::Three(all) => {
                let mut text = String::with_capacity(12);
                for (at, value) in all.into_iter().enumerate() {
                    if at > 0 {
                        text.push('/');
                    }
                    match value {
                        Some(value) => fixed(&mut text, value, 0),
                        None => text.push('-'),
                    }
                }
                Value::owned(text)
            }
        }
    }
}

/// What rows are sorted by: the most first, except names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Key {
    #[default]
    Cpu,
    Memory,
    Io,
    Net,
    Pids,
    Throttled,
    Percent,
    Oom,
    Name,
}

impl Key {
    /// With the words of `-s`.
    pub(super) const ALL: [(Key, &'static str); 9] = [
        (Key::Cpu, "cpu"),
        (Key::Memory, "mem"),
        (Key::Io, "io"),
        (Key::Net, "net"),
        (Key::Pids, "pids"),
        (Key::Throttled, "throttled"),
        (Key::Percent, "mem%"),
        (Key::Oom, "oom"),
        (Key::Name, "name"),
    ];

    /// Also by a longer or a shorter word: `memory`, `throt`.
    fn named(word: &str) -> Option<Key> {
        const LONGER: [(Key, &str); 2] = [(Key::Memory, "memory"), (Key::Net, "network")];
        let word = word.to_ascii_lowercase();
        let is_like = |name: &str| name == word || (word.len() > 2 && name.starts_with(&word));
        Key::ALL.iter().chain(&LONGER).find(|(_, name)| is_like(name)).map(|(key, _)| *key)
    }

    pub(super) fn name(self) -> &'static str {
        Key::ALL.iter().find(|(key, _)| *key == self).map_or("", |(_, name)| name)
    }

    /// The columns with what is compared.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Key::Cpu => &["CPU"],
            Key::Memory => &["MEMORY"],
            Key::Io => &["READ/s", "WRITE/s"],
            Key::Net => &["RX/s", "TX/s"],
            Key::Pids => &["PIDS"],
            Key::Throttled => &["THROT"],
            Key::Percent => &["MEM%"],
            Key::Oom => &["OOM_KILLS"],
            Key::Name => &["CONTAINER"],
        }
    }

    fn value(self, row: &Row) -> Option<f64> {
        let sum = |first: Option<f64>, second: Option<f64>| match (first, second) {
            (None, None) => None,
            (first, second) => Some(first.unwrap_or(0.0) + second.unwrap_or(0.0)),
        };
        match self {
            Key::Cpu => row.cpu.percent,
            Key::Memory => row.memory.working_set.map(|bytes| bytes as f64),
            Key::Io => sum(row.io.read_rate, row.io.write_rate),
            Key::Net => row.net.as_ref().and_then(|net| sum(net.rx_rate, net.tx_rate)),
            Key::Pids => row.pids.current.map(|count| count as f64),
            Key::Throttled => row.throttled.percent,
            Key::Percent => row.memory.percent,
            Key::Oom => row.memory.oom_kills.map(|count| count as f64),
            Key::Name => None,
        }
    }
}

/// A key, and whether the order is reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Order {
    pub key: Key,
    pub reverse: bool,
}

impl Order {
    /// `cpu`, `-cpu`
    pub(super) fn named(word: &str) -> Option<Order> {
        let name = word.strip_prefix('-');
        Some(Order { key: Key::named(name.unwrap_or(word))?, reverse: name.is_some() })
    }

    pub(super) fn name(self) -> String {
        format!("{}{}", if self.reverse { "-" } else { "" }, self.key.name())
    }

    /// Rows without a value come last, also in the other order. Equal ones are sorted by name.
    pub(super) fn sort<T: Borrow<Row>>(self, rows: &mut [T]) {
        let order = |order: Ordering| if self.reverse { order.reverse() } else { order };
        order::sort_by(rows, |one, other| {
            let (one, other) = (one.borrow(), other.borrow());
            let by_name = || (&one.container, &one.key).cmp(&(&other.container, &other.key));
            match (self.key.value(one), self.key.value(other)) {
                (Some(one), Some(other)) => order(other.total_cmp(&one)).then_with(by_name),
                (None, None) if self.key == Key::Name => order(by_name()),
                (None, None) => by_name(),
                (one, _) => {
                    if one.is_some() {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_top::rates::{Net, Pressure};
    use crate::output::{Out, smartcols};

    /// `-H` says which columns have fractions in `-r`.
    #[test]
    fn columns_with_fractions_say_so() {
        let net = Some(Net { rx_rate: Some(0.5), tx_rate: Some(0.5), ..Net::default() });
        let pressure = Some(Pressure { cpu: Some(0.5), memory: Some(0.5), io: Some(0.5) });
        let mut row = Row { pid: Some(1), net, pressure, ..Row::default() };
        (row.cpu.percent, row.cpu.of_limit, row.cpu.limit, row.cpu.seconds) =
            (Some(0.5), Some(0.5), Some(0.5), Some(0.5));
        (row.throttled.percent, row.memory.percent) = (Some(0.5), Some(0.5));
        (row.io.read_rate, row.io.write_rate) = (Some(0.5), Some(0.5));
        for (column, get) in &COLUMNS {
            let has_fraction = matches!(get(&row).value(true), Value::Bytes(bytes) if *bytes == *b"0.5");
            assert_eq!(column.json == Json::Float, has_fraction, "{}", column.name);
        }
    }

    #[test]
    fn lists_replace_or_add() {
        let names = |lists: &[&str]| {
            let lists: Vec<String> = lists.iter().map(|&list| list.to_owned()).collect();
            parse(&lists).expect("columns").iter().map(|(column, _)| column.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), DEFAULT);
        let by_default = |word| by_default(Order::named(word).expect("an order"));
        let of = |word| by_default(word).iter().map(|(column, _)| column.name).collect::<Vec<_>>();
        assert_eq!(of("cpu"), DEFAULT);
        assert_eq!(of("-net").join(" "), DEFAULT.join(" ").replace("READ", "RX").replace("WRITE", "TX"));
        assert_eq!(names(&["pid,Mem%"]), ["PID", "MEM%"]);
        assert_eq!(names(&["pid", "rx/s", "+cpu"]), ["PID", "RX/s", "CPU"]);
        assert_eq!(names(&["+id"])[11], "ID");
        assert_eq!(names(&["mem,Net,name,throttled"]), ["MEMORY", "RX/s", "TX/s", "NAME", "THROT"]);
        let error = |list: &str| parse(&[list.to_owned()]).expect_err("no column").to_string();
        assert_eq!(error("memry"), "unknown column 'memry'; did you mean memory? (-H lists the columns)");
        for list in ["", "+", "pid,,cpu", "pid,"] {
            assert!(error(list).starts_with("a name is missing in the list of columns: type"), "{list}");
        }
    }

    #[test]
    fn each_key_is_that_of_columns() {
        for (key, word) in Key::ALL {
            assert!(key.columns().iter().all(|name| named(name).is_some()), "{word}");
        }
    }

    #[test]
    fn the_list_of_columns_fits_a_terminal() {
        let all: Vec<&Column> = COLUMNS.iter().map(|(column, _)| column).collect();
        let mut out = Out::kept();
        smartcols::print_columns(&mut out, &all, smartcols::Form::Human);
        let text = String::from_utf8(out.into_bytes()).expect("text");
        assert_eq!(text.lines().count(), COLUMNS.len());
        text.lines().for_each(|line| assert!(line.len() <= 80, "{line}"));
    }

    #[test]
    fn whole_columns_are_left_out_and_no_number_is_cut() {
        let shown = |lists: &[&str], widths: &[usize], room| {
            let lists: Vec<String> = lists.iter().map(|&list| list.to_owned()).collect();
            let columns = parse(&lists).expect("columns");
            let fit = narrow(&columns).fit(widths, room);
            assert!(fit.iter().map(|(_, width)| width + 1).sum::<usize>() <= room + 1, "{fit:?}");
            fit.iter().map(|(at, _)| columns[*at].0.name).collect::<Vec<_>>().join(" ")
        };
        let widths = [50, 6, 6, 5, 6, 5, 5, 4, 6, 7, 8];
        assert_eq!(shown(&[], &widths, 200), DEFAULT.join(" "));
        assert_eq!(shown(&[], &widths, 80), "CONTAINER CPU THROT MEMORY LIMIT MEM% PIDS READ/s WRITE/s");
        assert_eq!(shown(&[], &widths, 40), "CONTAINER CPU MEMORY");
        assert_eq!(shown(&["cpu,memory,pids"], &[6, 6, 4], 15), "CPU MEMORY");
    }

    #[test]
    fn words_for_an_order() {
        let named = |word| Order::named(word).map(Order::name);
        for (word, name) in
            [("cpu", "cpu"), ("-mem", "-mem"), ("MEMORY", "mem"), ("throt", "throttled"), ("-pid", "-pids")]
        {
            assert_eq!(named(word).as_deref(), Some(name), "{word}");
        }
        for word in ["x", "-", "", "c", "cpu,mem", "memoryx"] {
            assert_eq!(named(word), None, "{word}");
        }
    }

    #[test]
    fn the_most_comes_first_and_what_is_unknown_last() {
        let row = |name: &str, percent: Option<f64>| {
            let mut row = Row { container: name.to_owned(), ..Row::default() };
            row.cpu.percent = percent;
            row
        };
        let mut rows = [row("d", None), row("c", Some(1.0)), row("b", Some(1.0)), row("a", Some(5.0))];
        let names = |rows: &[Row]| rows.iter().map(|row| row.container.clone()).collect::<String>();
        Order::default().sort(&mut rows);
        assert_eq!(names(&rows), "abcd");
        Order { reverse: true, ..Order::default() }.sort(&mut rows);
        assert_eq!(names(&rows), "bcad");
        Order::named("-name").expect("an order").sort(&mut rows);
        assert_eq!(names(&rows), "dcba");
    }
}
