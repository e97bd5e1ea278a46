//! Prints the processes or containers: as a table, tree, raw text, JSON or PIDs.

use std::io::Write;

use anyhow::Context;

use super::cells::{Cells, Facts};
use super::columns::{self, Id, Picked};
use super::gather::Found;
use super::host::Host;
use super::list::{self, List, ListColumn};
use super::process::Process;
use super::request::{Form, Request};
use super::view::View;
use crate::container::records::Records;
use crate::exit::Exit;
use crate::order;
use crate::output::Out;
use crate::output::filter::{self, Filter};
use crate::output::lazy_table::{LazyTable, Source, Value};
use crate::output::smartcols::{self, Column};
use crate::output::style::{self, Painter};
use crate::output::tree::{Forest, Glyphs};
use crate::proc::clock::Clock;
use crate::text;

/// Prints the processes.
pub(super) fn processes(
    out: &mut Out,
    (found, host, records): (&Found, &Host, &Records<'_>),
    request: &Request,
    columns: &Picked<Id>,
    view: &View<Id>,
) -> Result<(), Exit> {
    let facts = facts((found, host), &columns.ids, view, request.form == Form::Json);
    let none = Forest::default();
    let exact = Facts { json: true, labels: true, ..facts.clone() };
    let mut exact = Cells::new((found, &none), &columns.ids, &host.users, &exact);
    let read_of: Vec<ListColumn> =
        columns.ids.iter().chain(&view.used).filter_map(|id| ListColumn::of(*id)).collect();
    let read = (!read_of.is_empty()).then(|| list::Facts::new(&host.proc, &found.containers, records));
    let whole = |form| read.as_ref().map(|read| List::whole((read, &host.users), (&read_of, form)));
    let (of_containers, exact_of) = (whole(list_form(request.form)), whole(list::Form::Json));
    exact.of_containers = exact_of.as_ref();
    let mut nodes: Vec<usize> = (0..found.list.len()).collect();
    if let Some(filter) = &view.filter {
        nodes = filtered(nodes, filter, &|node, id| exact.value(id, &found.list[node]), columns::named)?;
    }
    sort(&mut nodes, &view.keys, &|node, id| exact.value(id, &found.list[node]));
    let forest = order(found, request, &nodes);
    if request.form == Form::Quiet {
        forest.rows.iter().try_for_each(|row| writeln!(out, "{}", found.list[row.node()].pid))?;
        return Ok(());
    }
    let mut cells = Cells::new((found, &forest), &columns.ids, &host.users, &facts);
    cells.by_container = request.by_container;
    cells.of_containers = of_containers.as_ref();
    let ids = &columns.ids;
    let tree = ids.iter().position(|id| *id == Id::Command);
    let tree = tree.or(ids.iter().position(|id| *id == Id::Cmd)).filter(|_| request.forest);
    let plain: Vec<&'static Column> = ids.iter().map(|id| id.column()).collect();
    print(out, &cells, (request, host), (&headed(&plain, columns, request), tree), "processes")
}

/// Reads what the columns that are printed, sorted by or filtered by need.
fn facts((found, host): (&Found, &Host), columns: &[Id], view: &View<Id>, json: bool) -> Facts {
    let uses = |wanted: Id| columns.iter().chain(&view.used).any(|id| *id == wanted);
    Facts {
        clock: if found.needs & columns::needs::STAT != 0 {
            Clock::read(&host.proc)
        } else {
            Clock::default()
        },
        memory: if uses(Id::Mem) { host.proc.memory_total() } else { None },
        groups: match uses(Id::Group) {
            true => host.files.read("/etc/group").unwrap_or_default(),
            false => Vec::new(),
        },
        json,
        labels: false,
    }
}

fn list_form(form: Form) -> list::Form {
    match form {
        Form::Json => list::Form::Json,
        Form::Raw => list::Form::Raw,
        Form::People | Form::Quiet => list::Form::People,
    }
}

/// Prints the containers. Returns the processes whose arguments cannot be read.
pub(super) fn containers(
    out: &mut Out,
    (found, host, records): (&Found, &Host, &Records<'_>),
    request: &Request,
    columns: &Picked<ListColumn>,
    view: &View<ListColumn>,
) -> Result<Vec<i32>, Exit> {
    let form = list_form(request.form);
    let facts = list::Facts::new(&host.proc, &found.containers, records);
    let from = (&facts, &host.users);
    let mut list = List::new(from, found, &request.selection, (&columns.ids, form));
    list.whole_ids = request.whole;
    if view.filter.is_some() || !view.keys.is_empty() {
        let exact = List::new(from, found, &request.selection, (&view.used, list::Form::Json));
        let value = |row: usize, id: ListColumn| match view.used.iter().position(|other| *other == id) {
            Some(at) => exact.cell(row, at),
            None => Value::None,
        };
        let mut rows: Vec<usize> = (0..exact.rows.len()).collect();
        if let Some(filter) = &view.filter {
            rows = filtered(rows, filter, &value, list::named)?;
        }
        sort(&mut rows, &view.keys, &value);
        list.keep(&rows);
    }
    if request.form == Form::Quiet {
        for &number in &list.rows {
            let container = &found.containers.all[number].container;
            let word = format!("{}:{}", container.runtime.name(), container.id);
            writeln!(out, "{}", text::escape(word.as_bytes()))?;
        }
        return Ok(facts.locked());
    }
    let plain: Vec<&'static Column> = columns.ids.iter().map(|id| id.column()).collect();
    print(out, &list, (request, host), (&headed(&plain, columns, request), None), "containers")?;
    Ok(facts.locked())
}

/// The rows for which the filter expression is true.
fn filtered<'v, T: Copy>(
    rows: Vec<usize>,
    filter: &Filter,
    value: &dyn Fn(usize, T) -> Value<'v>,
    named: fn(&str) -> Vec<T>,
) -> Result<Vec<usize>, Exit> {
    let mut kept = Vec::new();
    for row in rows {
        let value = |name: &str| match named(name).first() {
            Some(id) => owned(value(row, *id).for_filter()),
            None => filter::Value::None,
        };
        if filter.evaluate(&value).context("failed to apply filter")? {
            kept.push(row);
        }
    }
    Ok(kept)
}

fn owned(value: filter::Value<'_>) -> filter::Value<'static> {
    match value {
        filter::Value::None => filter::Value::None,
        filter::Value::Number(number) => filter::Value::Number(number),
        filter::Value::Float(float) => filter::Value::Float(float),
        filter::Value::Text(text) => filter::Value::Text(text.into_owned().into()),
    }
}

/// Sorts rows by the keys; rows with equal keys keep their order.
fn sort<'v, T: Copy>(rows: &mut Vec<usize>, keys: &[(T, bool)], value: &dyn Fn(usize, T) -> Value<'v>) {
    if keys.is_empty() {
        return;
    }
    let mut keyed: Vec<(Vec<Value<'v>>, usize)> =
        rows.iter().map(|&row| (keys.iter().map(|(id, _)| value(row, *id)).collect(), row)).collect();
    order::sort_by(&mut keyed, |(one, _), (other, _)| {
        let each = one.iter().zip(other).zip(keys);
        let mut orders = each.map(|((one, other), (_, descending))| one.order(other, *descending));
        orders.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    *rows = keyed.into_iter().map(|(_, row)| row).collect();
}

/// The columns with the headings of `-o NAME=HEADING`. JSON has no headings: its keys stay. The columns live as long as
/// the program, which prints them once.
fn headed<T>(plain: &[&'static Column], picked: &Picked<T>, request: &Request) -> Vec<&'static Column> {
    let with = |(column, heading): (&&'static Column, &Option<String>)| match heading {
        Some(heading) if request.form != Form::Json => {
            let name: &'static str = Box::leak(heading.clone().into_boxed_str());
            &*Box::leak(Box::new(Column { name, ..**column }))
        }
        _ => *column,
    };
    plain.iter().zip(&picked.headings).map(with).collect()
}

/// Prints the available columns.
pub(super) fn list_columns(request: &Request) -> Result<(), Exit> {
    let columns = super::columns(request.list);
    let mut out = Out::stdout();
    let form = match request.form {
        Form::Json => smartcols::Form::Json("columns"),
        Form::Raw => smartcols::Form::Raw,
        Form::People | Form::Quiet => smartcols::Form::Human,
    };
    smartcols::print_columns(&mut out, &columns, form);
    Ok(out.finish()?)
}

fn print(
    out: &mut Out,
    source: &impl Source,
    (request, host): (&Request, &Host),
    (columns, tree): (&[&'static Column], Option<usize>),
    key: &str,
) -> Result<(), Exit> {
    let table = LazyTable {
        columns,
        tree,
        // As ps(1): no line of headings if all are empty.
        headings: !request.no_headings && columns.iter().any(|column| !column.name.is_empty()),
        width: style::stdout_columns().filter(|_| !request.wide),
        painter: Painter { colour: request.colour.on_stdout() },
        narrow: list::narrow(request),
    };
    let origin = || [("host", host.proc.host_name()), ("boot_id", host.proc.boot_id())];
    match request.form {
        Form::Json if request.lines => table.print_json_lines(out, source, &origin())?,
        Form::Json => table.print_json(out, source, key, &origin())?,
        Form::Raw => table.print_raw(out, source),
        Form::People | Form::Quiet => table.print(out, source),
    }
    Ok(())
}

/// The order of the rows, and the lines of the tree before each.
fn order(found: &Found, request: &Request, nodes: &[usize]) -> Forest {
    let mut forest = Forest::default();
    if !request.by_container {
        arrange(&mut forest, &found.list, nodes, request.forest);
        return forest;
    }
    // Containers are sorted by name; the host comes last.
    let label = |node: usize| {
        let container = found.list[node].container();
        (container.is_none(), container.map(|number| (&found.containers.all[number].label, number)))
    };
    let mut sorted = nodes.to_vec();
    order::sort_by_key(&mut sorted, |&node| label(node));
    let same = |a: &usize, b: &usize| found.list[*a].container == found.list[*b].container;
    sorted.chunk_by(same).for_each(|group| arrange(&mut forest, &found.list, group, request.forest));
    forest
}

/// Adds rows for some of the processes, in this order; in a tree, children of one parent are in this order.
fn arrange(to: &mut Forest, list: &[Process], nodes: &[usize], forest: bool) {
    if !forest {
        return to.all_flat(nodes);
    }
    let (first, glyphs) = (to.rows.len(), Glyphs::new(style::unicode()));
    let ids = |nodes: &[usize]| nodes.iter().map(|&node| list[node].id()).collect::<Vec<i32>>();
    let parents = |nodes: &[usize]| nodes.iter().map(|&node| list[node].parent()).collect::<Vec<i32>>();
    let own = ids(nodes);
    if own.is_sorted() {
        to.grow(&own, &parents(nodes), glyphs);
        to.rows[first..].iter_mut().for_each(|row| row.move_to(nodes[row.node()]));
        return;
    }
    let mut places: Vec<usize> = (0..nodes.len()).collect();
    order::sort_by_key(&mut places, |&place| own[place]);
    let sorted: Vec<usize> = places.iter().map(|&place| nodes[place]).collect();
    let mut ordered = vec![0; nodes.len()];
    places.iter().enumerate().for_each(|(at, &place)| ordered[place] = at);
    to.grow_in_order(&ids(&sorted), &parents(&sorted), ordered.iter().copied(), glyphs);
    to.rows[first..].iter_mut().for_each(|row| row.move_to(sorted[row.node()]));
}
