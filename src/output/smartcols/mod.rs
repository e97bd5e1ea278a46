//! Tables in the formats of libsmartcols: for people, raw, and JSON; flat or as a tree.
//!
//! The rules were found by testing libsmartcols 2.42 with many tables; the tests contain its results. The time is
//! linear in the number of rows: cells are measured once and written once, directly to [`Out`].

mod escape;
mod human;
mod json;
#[cfg(test)]
mod tests;
mod walk;

use std::borrow::Cow;

use super::Out;
use super::style::{self, Painter};
pub(crate) use escape::{cell, raw as raw_cell};
use walk::Walk;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Align {
    Left,
    Right,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Json {
    String,
    Number,
    /// A number with a fraction.
    Float,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub name: &'static str,
    pub help: &'static str,
    pub align: Align,
    pub json: Json,
    /// The preferred width if there is room, even if its cells are narrower; 0 for none.
    pub hint: usize,
    /// May be cut if the terminal is too narrow.
    pub truncate: bool,
    /// Cells have several lines, separated by '\n'.
    pub wrap: bool,
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Row {
    /// One for each column; [`cell`] makes them from bytes. A missing cell is the empty text.
    pub cells: Vec<Option<String>>,
    /// The index of the parent in the rows.
    pub parent: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Human,
    Raw,
    /// With the key of the list of rows.
    Json(&'static str),
}

#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub form: Form,
    pub headings: bool,
    /// The column that contains the tree; without it, parents are ignored.
    pub tree: Option<usize>,
    /// May text and tree lines contain non-ASCII characters?
    pub unicode: bool,
    /// The columns of the terminal; without it nothing is cut.
    pub width: Option<usize>,
    /// Are columns with [`Column::truncate`] cut?
    pub truncate: bool,
    pub painter: Painter,
    /// Styles the text of a cell by the name of its column, without changing its width.
    pub paint: for<'a> fn(Painter, &str, &'a str) -> Cow<'a, str>,
}

pub(crate) fn print(out: &mut Out, columns: &[&Column], rows: &[Row], layout: &Layout) {
    let walk = Walk::new(rows, layout.tree.is_some());
    match layout.form {
        Form::Json(key) => json::print(out, columns, rows, &walk, key),
        _ if rows.is_empty() => {} // without headings
        Form::Human => human::print(out, columns, rows, &walk, layout),
        Form::Raw => raw(out, columns, rows, &walk, layout),
    }
}

/// Lists all columns (`--list-columns`).
pub(crate) fn print_columns(out: &mut Out, columns: &[&Column], form: Form) {
    const HOLDER: Column = plain("HOLDER", Align::Right);
    const TYPE: Column = plain("TYPE", Align::Left);
    const DESCRIPTION: Column = plain("DESCRIPTION", Align::Left);
    let rows: Vec<Row> = columns
        .iter()
        .map(|column| {
            let kind = match column.json {
                Json::Number => "<integer>",
                Json::Float => "<float>",
                Json::String => "<string>",
            };
            Row {
                cells: [column.name, kind, column.help].map(|text| Some(text.to_owned())).into(),
                parent: None,
            }
        })
        .collect();
    let layout = Layout {
        form,
        headings: false,
        tree: None,
        unicode: style::unicode(),
        width: None,
        truncate: false,
        painter: Painter { colour: false },
        paint: |_, _, text| text.into(),
    };
    print(out, &[&HOLDER, &TYPE, &DESCRIPTION], &rows, &layout);
}

const fn plain(name: &'static str, align: Align) -> Column {
    Column { name, help: "", align, json: Json::String, hint: 0, truncate: false, wrap: false }
}

/// Exactly one blank between cells, also around empty ones. Separators in cells are escaped, and so are the tree
/// lines.
fn raw(out: &mut Out, columns: &[&Column], rows: &[Row], walk: &Walk, layout: &Layout) {
    if layout.headings {
        let names = columns.iter().map(|column| column.name);
        for (i, name) in names.enumerate() {
            out.push(if i == 0 { b"" } else { b" " });
            raw_cell(out, name);
        }
        out.push(b"\n");
    }
    let mut branches = walk.branches(layout.unicode);
    for node in &walk.nodes {
        branches.enter(node);
        for i in 0..columns.len() {
            out.push(if i == 0 { b"" } else { b" " });
            if layout.tree == Some(i) {
                raw_cell(out, branches.head());
            }
            raw_cell(out, rows[node.row].text(i));
        }
        out.push(b"\n");
    }
}

impl Row {
    fn text(&self, column: usize) -> &str {
        self.cells.get(column).and_then(Option::as_deref).unwrap_or("")
    }
}
