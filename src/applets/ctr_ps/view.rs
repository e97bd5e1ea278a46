//! Which columns and lines are printed, and in which order.

use anyhow::{Result, anyhow};

use super::columns::{self, Id, Names, Picked};
use super::list::{self, ListColumn};
use super::request::{Form, Request};
use crate::exit::Exit;
use crate::output::filter::Filter;
use crate::output::smartcols::{Column, Json};
use crate::text;

/// The columns to print, and the order and filter of the lines.
pub(super) enum Columns {
    Processes(Picked<Id>, View<Id>),
    Containers(Picked<ListColumn>, View<ListColumn>),
}

/// Which lines are printed, and in which order.
pub(super) struct View<T> {
    /// Columns; true for descending order.
    pub keys: Vec<(T, bool)>,
    pub filter: Option<Filter>,
    /// The columns that both need.
    pub used: Vec<T>,
}

impl<T: Copy + PartialEq> View<T> {
    fn new(
        request: &Request,
        names: &Names<T>,
        columns: impl Fn() -> Vec<(&'static str, bool)>,
    ) -> Result<View<T>, Exit> {
        let mut keys: Vec<(T, bool)> = Vec::new();
        for list in &request.sort {
            // A column that is a key already orders nothing more.
            for key in columns::sort_keys(list, names)? {
                if !keys.iter().any(|(id, _)| *id == key.0) {
                    keys.push(key);
                }
            }
        }
        let parse = |expression: &String| {
            Filter::parse(expression, &columns()).map_err(|lines| {
                // The first line says what is wrong; lsns prints all, as util-linux does.
                let line = lines.first().map_or("", |line| line);
                let unknown = line.strip_prefix("unknown column: ").map(|name| names.find(name));
                let unknown = unknown.and_then(Result::err);
                unknown.unwrap_or_else(|| anyhow!(text::escape(line.as_bytes()).into_owned()))
            })
        };
        let filter = request.filter.as_ref().map(parse).transpose()?;
        let filtered = filter.iter().flat_map(Filter::columns).flat_map(|name| (names.named)(&name));
        let used = keys.iter().map(|(id, _)| *id).chain(filtered).collect();
        Ok(View { keys, filter, used })
    }
}

/// The names of columns, those of other programs too, and whether each has numbers.
fn for_filter<'c>(
    columns: impl Iterator<Item = &'c Column>,
    synonyms: &[(&'static str, &'static str)],
) -> Vec<(&'static str, bool)> {
    const FIGURES: [&str; 4] = ["CPU", "MEM", "TIME", "ELAPSED"]; // numbers in JSON
    let is_number = |column: &Column| column.json == Json::Number || FIGURES.contains(&column.name);
    let mut all: Vec<(&str, bool)> = columns.map(|column| (column.name, is_number(column))).collect();
    let number = |own: &str| all.iter().any(|(name, number)| *name == own && *number);
    let others: Vec<(&str, bool)> = synonyms.iter().map(|(other, own)| (*other, number(own))).collect();
    all.extend(others);
    all
}

impl Columns {
    pub(super) fn new(request: &Request) -> Result<Columns, Exit> {
        let json = request.form == Form::Json;
        if request.list {
            let default = if json { list::json() } else { list::DEFAULT.to_vec() };
            let picked = columns::parse(&request.columns, &default, &list::NAMES)?;
            let known = || for_filter(list::COLUMNS.iter().map(|row| &row.1), list::NAMES.synonyms);
            return Ok(Columns::Containers(picked, View::new(request, &list::NAMES, known)?));
        }
        let default = request.preset.unwrap_or(if json { columns::JSON } else { columns::DEFAULT });
        // The heading shows the container.
        let headed = request.by_container && request.form == Form::People;
        let mut default: Vec<Id> =
            default.iter().copied().filter(|id| !(headed && *id == Id::Container)).collect();
        if request.threads {
            let after = default.iter().position(|id| *id == Id::Pid).map_or(0, |at| at + 1);
            default.insert(after, Id::Tid);
        }
        let picked = columns::parse(&request.columns, &default, &columns::NAMES)?;
        let known = || for_filter(columns::COLUMNS.iter().map(|row| &row.1), columns::NAMES.synonyms);
        Ok(Columns::Processes(picked, View::new(request, &columns::NAMES, known)?))
    }

    pub(super) fn has(&self, id: Id) -> bool {
        match self {
            Columns::Processes(columns, _) => columns.ids.contains(&id),
            Columns::Containers(columns, _) => {
                columns.ids.iter().any(|column| matches!(column, ListColumn::Same(same) if *same == id))
            }
        }
    }

    /// Is the column printed, or do the order or the filter of the lines need it?
    pub(super) fn uses(&self, id: Id) -> bool {
        self.has(id)
            || match self {
                Columns::Processes(_, view) => view.used.contains(&id),
                Columns::Containers(_, view) => view.used.contains(&ListColumn::Same(id)),
            }
    }

    pub(super) fn needs(&self, form: Form) -> u32 {
        let Columns::Processes(columns, view) = self else { return 0 };
        let printed = columns.ids.iter().filter(|_| form != Form::Quiet);
        printed.chain(&view.used).fold(0, |needs, id| needs | id.needs())
    }
}
