//! Prints the processes or containers: as a table, tree, raw text, JSON or PIDs.

use std::io::Write;

use super::cells::Cells;
use super::columns::{self, Id};
use super::gather::Found;
use super::list::{self, List, ListColumn};
use super::process::Process;
use super::{Form, Request};
use crate::exit::Exit;
use crate::output::Out;
use crate::output::lazy_table::{LazyTable, Source};
use crate::output::smartcols::{self, Column, Layout};
use crate::output::style::{self, Painter};
use crate::output::tree::{Forest, Glyphs};
use crate::proc::clock::Clock;
use crate::proc::{ProcRoot, Users};
use crate::text;

/// Prints the processes.
pub(super) fn processes(
    out: &mut Out,
    found: &Found,
    request: &Request,
    columns: &[Id],
    (proc, users): (&ProcRoot, &Users),
) -> Result<(), Exit> {
    let forest = order(found, request);
    if request.form == Form::Quiet {
        forest.rows.iter().try_for_each(|row| writeln!(out, "{}", found.list[row.node].pid))?;
        return Ok(());
    }
    let timed = columns.iter().any(|id| id.needs() & columns::needs::STAT != 0);
    let cells = Cells {
        found,
        forest: &forest,
        columns,
        users,
        clock: if timed { Clock::read(proc) } else { Clock::default() },
        json: request.form == Form::Json,
        by_container: request.by_container,
    };
    let tree = columns.iter().position(|id| *id == Id::Command);
    let tree = tree.or(columns.iter().position(|id| *id == Id::Cmd)).filter(|_| request.forest);
    let columns: Vec<&Column> = columns.iter().map(|id| id.column()).collect();
    print(out, &cells, request, (&columns, tree), "processes")
}

/// Prints the containers.
pub(super) fn containers(
    out: &mut Out,
    found: &Found,
    request: &Request,
    columns: &[ListColumn],
    (proc, users): (&ProcRoot, &Users),
) -> Result<(), Exit> {
    let form = match request.form {
        Form::Json => list::Form::Json,
        Form::Raw => list::Form::Raw,
        Form::People | Form::Quiet => list::Form::People,
    };
    let list = List::new(proc, found, &request.selection, (columns, form), users);
    if request.form == Form::Quiet {
        for &number in &list.rows {
            let container = &found.containers.all[number].container;
            let word = format!("{}:{}", container.runtime.name(), container.id);
            writeln!(out, "{}", text::escape(word.as_bytes()))?;
        }
        return Ok(());
    }
    let columns: Vec<&Column> = columns.iter().map(|id| id.column()).collect();
    print(out, &list, request, (&columns, None), "containers")
}

/// Prints the available columns.
pub(super) fn list_columns(request: &Request) -> Result<(), Exit> {
    let of_processes = || columns::COLUMNS.iter().map(|row| &row.1).collect();
    let of_containers = || list::COLUMNS.iter().map(|row| &row.1).collect();
    let columns: Vec<&Column> = if request.list { of_containers() } else { of_processes() };
    let mut out = Out::stdout();
    let layout = Layout {
        form: match request.form {
            Form::Json => smartcols::Form::Json("columns"),
            Form::Raw => smartcols::Form::Raw,
            Form::People | Form::Quiet => smartcols::Form::Human,
        },
        headings: false,
        tree: None,
        unicode: style::unicode(),
        width: None,
        truncate: false,
        painter: Painter { colour: false },
        paint: |_, _, text| text.into(),
    };
    smartcols::print_columns(&mut out, &columns, "columns", &layout);
    Ok(out.finish()?)
}

fn print(
    out: &mut Out,
    source: &impl Source,
    request: &Request,
    (columns, tree): (&[&'static Column], Option<usize>),
    key: &str,
) -> Result<(), Exit> {
    let sheet = LazyTable {
        columns,
        tree,
        headings: !request.no_headings,
        width: style::stdout_columns().filter(|_| !request.wide),
        painter: Painter { colour: request.colour.on_stdout() },
    };
    match request.form {
        Form::Json => sheet.print_json(out, source, key)?,
        Form::Raw => sheet.print_raw(out, source),
        Form::People | Form::Quiet => sheet.print(out, source),
    }
    Ok(())
}

/// The order of the rows, and the lines of the tree before each.
fn order(found: &Found, request: &Request) -> Forest {
    let mut forest = Forest::default();
    let all: Vec<usize> = (0..found.list.len()).collect();
    if !request.by_container {
        arrange(&mut forest, &found.list, &all, request.forest);
        return forest;
    }
    // Containers are sorted by name; the host comes last.
    let label = |node: usize| {
        let container = found.list[node].container;
        (container.is_none(), container.map(|number| (&found.containers.all[number].label, number)))
    };
    let mut sorted = all;
    sorted.sort_by_key(|&node| label(node));
    let same = |a: &usize, b: &usize| found.list[*a].container == found.list[*b].container;
    sorted.chunk_by(same).for_each(|group| arrange(&mut forest, &found.list, group, request.forest));
    forest
}

/// Adds rows for some of the processes, in the order of their PIDs.
fn arrange(to: &mut Forest, list: &[Process], nodes: &[usize], forest: bool) {
    if !forest {
        return nodes.iter().for_each(|&node| to.flat(node));
    }
    let first = to.rows.len();
    let ids: Vec<i32> = nodes.iter().map(|&node| list[node].pid).collect();
    let parents: Vec<i32> = nodes.iter().map(|&node| list[node].ppid.unwrap_or(0)).collect();
    to.grow(&ids, &parents, Glyphs::new(style::unicode()));
    to.rows[first..].iter_mut().for_each(|row| row.node = nodes[row.node]);
}
