//! Tables that store no cells: each cell is computed when its column is measured, and again when its line is printed.
//! So ten thousand rows need no memory, and a cell has a type.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::narrow::Narrow;
use super::smartcols::{self, Align, Column};
use super::style::Painter;
use super::{Out, filter, json};
use crate::text;

/// The content of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// Unknown or missing: `-`, and null in JSON.
    None,
    Number(i64),
    /// With one digit after the decimal point.
    Tenths(u64),
    Flag(bool),
    /// Not escaped yet: may contain control characters.
    Bytes(Cow<'a, [u8]>),
    /// Names and values: an object in JSON, `name=text,…` elsewhere.
    Pairs(Cow<'a, [(String, String)]>),
    List(Vec<String>),
    /// The same with commas between.
    Words(Vec<String>),
}

impl<'a> Value<'a> {
    #[must_use]
    pub(crate) fn text(text: &'a str) -> Value<'a> {
        Value::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    #[must_use]
    pub(crate) fn maybe(text: Option<&'a str>) -> Value<'a> {
        text.map_or(Value::None, Value::text)
    }

    #[must_use]
    pub(crate) fn owned(text: String) -> Value<'a> {
        Value::Bytes(Cow::Owned(text.into_bytes()))
    }

    #[must_use]
    pub(crate) fn number<T: TryInto<i64>>(number: Option<T>) -> Value<'a> {
        number.and_then(|number| number.try_into().ok()).map_or(Value::None, Value::Number)
    }

    /// The order for sorting: by number or by text. A missing value comes last, also if the order is reversed.
    #[must_use]
    pub(crate) fn order(&self, other: &Value<'_>, descending: bool) -> Ordering {
        let number = |value: &Value<'_>| match value {
            Value::Number(number) => Some(i128::from(*number) * 10),
            Value::Tenths(tenths) => Some((*tenths).into()),
            Value::Flag(flag) => Some((*flag).into()),
            _ => None,
        };
        let order = match (self, other) {
            (Value::None, Value::None) => return Ordering::Equal,
            (Value::None, _) => return Ordering::Greater,
            (_, Value::None) => return Ordering::Less,
            (Value::Bytes(one), Value::Bytes(other)) => one.cmp(other),
            _ => match (number(self), number(other)) {
                (Some(one), Some(other)) => one.cmp(&other),
                _ => self.shown().cmp(&other.shown()),
            },
        };
        if descending { order.reverse() } else { order }
    }

    /// The value for a filter expression.
    #[must_use]
    pub(crate) fn for_filter(self) -> filter::Value<'a> {
        match self {
            Value::None => filter::Value::None,
            Value::Number(number) => match u64::try_from(number) {
                Ok(number) => filter::Value::Number(number),
                #[expect(clippy::cast_precision_loss, reason = "a nice value")]
                Err(_) => filter::Value::Float(number as f64),
            },
            #[expect(clippy::cast_precision_loss, reason = "percent")]
            Value::Tenths(tenths) => filter::Value::Float(tenths as f64 / 10.0),
            Value::Bytes(bytes) => filter::Value::Text(text::utf8(&bytes).into_owned().into()),
            other => filter::Value::Text(other.shown().into_owned().into()),
        }
    }

    /// The text for people, safe on a terminal.
    fn shown(&self) -> Cow<'_, str> {
        let list = |texts: Vec<String>, between| text::escape(texts.join(between).as_bytes()).into_owned();
        match self {
            Value::None => "-".into(),
            Value::Number(number) => number.to_string().into(),
            Value::Tenths(tenths) => format!("{}.{}", tenths / 10, tenths % 10).into(),
            Value::Flag(flag) => if *flag { "yes" } else { "no" }.into(),
            Value::Bytes(bytes) => text::escape(bytes),
            Value::Pairs(pairs) if pairs.is_empty() => "-".into(),
            Value::Words(words) if words.is_empty() => "-".into(),
            Value::Words(words) => list(words.clone(), ",").into(),
            Value::Pairs(pairs) => {
                list(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect(), ",").into()
            }
            Value::List(texts) => list(texts.clone(), "/").into(),
        }
    }

    /// The same, and its width in columns.
    fn measured(&self) -> (Cow<'_, str>, usize) {
        if let Value::Bytes(bytes) = self {
            return text::measured(bytes);
        }
        let shown = self.shown();
        let width = text::width(&shown);
        (shown, width)
    }

    fn width(&self) -> usize {
        match self {
            Value::Number(number) => {
                number.unsigned_abs().max(1).ilog10() as usize + 1 + usize::from(*number < 0)
            }
            Value::Bytes(bytes) if text::is_plain(bytes) => bytes.len(),
            other => other.measured().1,
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::None => to.serialize_none(),
            Value::Number(number) => to.serialize_i64(*number),
            #[expect(clippy::cast_precision_loss, reason = "percent")]
            Value::Tenths(tenths) => to.serialize_f64(*tenths as f64 / 10.0),
            Value::Flag(flag) => to.serialize_bool(*flag),
            Value::Bytes(bytes) => to.serialize_str(&text::utf8(bytes)),
            Value::Pairs(pairs) => to.collect_map(pairs.iter().map(|(name, value)| (name, value))),
            Value::List(texts) | Value::Words(texts) => to.collect_seq(texts),
        }
    }
}

/// The rows, by index, and their content.
pub(crate) trait Source {
    fn rows(&self) -> usize;

    fn cell(&self, row: usize, column: usize) -> Value<'_>;

    /// The tree lines before the text of [`LazyTable::tree`], and their width in columns.
    fn lines(&self, _row: usize) -> (&str, usize) {
        ("", 0)
    }

    /// A heading before the row.
    fn section(&self, _row: usize) -> Option<Cow<'_, str>> {
        None
    }

    /// The name that determines the colour of a cell.
    fn colour(&self, _row: usize, _column: usize) -> Option<&str> {
        None
    }
}

pub(crate) struct LazyTable<'a> {
    pub columns: &'a [&'static Column],
    /// The column that contains the tree.
    pub tree: Option<usize>,
    pub headings: bool,
    /// The width of the terminal in columns: lines are cut there.
    pub width: Option<usize>,
    pub painter: Painter,
    /// What gives way if the terminal is too narrow.
    pub narrow: Option<Narrow>,
}

impl LazyTable<'_> {
    /// For people: columns as wide as their content, separated by one blank, without trailing blanks.
    pub(crate) fn print(&self, out: &mut Out, source: &impl Source) {
        self.print_fitting(out, source);
    }

    /// The same. Returns the names of the columns for which there was no room.
    pub(crate) fn print_fitting(&self, out: &mut Out, source: &impl Source) -> Vec<&'static str> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.measure(source, column)).collect();
        let shown = match (&self.narrow, self.width) {
            (Some(narrow), Some(room)) => narrow.fit(&widths, room),
            _ => widths.into_iter().enumerate().collect(),
        };
        if self.headings {
            self.head(out, &shown);
        }
        for row in 0..source.rows() {
            if let Some(title) = source.section(row) {
                if row > 0 {
                    out.push(b"\n");
                }
                let title = text::cut_with_mark(&title, self.width.unwrap_or(usize::MAX)).into_owned();
                out.push(self.painter.heading(&title).as_bytes());
                out.push(b"\n");
            }
            self.row(out, source, row, &shown);
        }
        let is_shown = |at: &usize| shown.iter().any(|(other, _)| other == at);
        (0..self.columns.len()).filter(|at| !is_shown(at)).map(|at| self.columns[at].name).collect()
    }

    /// Exactly one blank between cells: blanks in cells are escaped.
    pub(crate) fn print_raw(&self, out: &mut Out, source: &impl Source) {
        if self.headings {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
            out.push(names.join(" ").as_bytes());
            out.push(b"\n");
        }
        for row in 0..source.rows() {
            for column in 0..self.columns.len() {
                out.push(if column == 0 { b"" } else { b" " });
                match source.cell(row, column) {
                    Value::Bytes(bytes) if bytes.is_empty() => out.push(b"-"),
                    Value::Bytes(bytes) => smartcols::raw_cell(out, &smartcols::cell(&bytes)),
                    other => smartcols::raw_cell(out, &other.shown()),
                }
            }
            out.push(b"\n");
        }
    }

    /// An object with one list, one row per line. The keys are the names of the columns in lower case, and those of the
    /// members that are the same in each row.
    pub(crate) fn print_json(
        &self,
        out: &mut Out,
        source: &impl Source,
        key: &str,
        same: &[(&str, Option<String>)],
    ) -> serde_json::Result<()> {
        let (names, end, mut text) = (self.keys(), end_of_records(same)?, Vec::new());
        _ = write!(out, "{{\"{key}\":[");
        for row in 0..source.rows() {
            out.push(if row == 0 { b"\n" } else { b",\n" });
            record(out, &mut text, &Record { names: &names, source, row }, &end)?;
        }
        out.push(b"\n]}\n");
        Ok(())
    }

    /// The same objects, one a line and nothing else.
    pub(crate) fn print_json_lines(
        &self,
        out: &mut Out,
        source: &impl Source,
        same: &[(&str, Option<String>)],
    ) -> serde_json::Result<()> {
        let (names, end, mut text) = (self.keys(), end_of_records(same)?, Vec::new());
        for row in 0..source.rows() {
            record(out, &mut text, &Record { names: &names, source, row }, &end)?;
            out.push(b"\n");
        }
        Ok(())
    }

    fn keys(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.to_ascii_lowercase()).collect()
    }

    /// A wider cell does not widen the column: a user could make every line as long as an argument of theirs.
    const WIDEST: usize = 1000;

    /// The width of the widest cell. The last column needs no width if it is aligned left.
    fn measure(&self, source: &impl Source, column: usize) -> usize {
        let heading = if self.headings { self.columns[column].name.len() } else { 0 };
        let narrow = self.narrow.is_some() && self.width.is_some();
        if self.last(column) && self.columns[column].align == Align::Left && !narrow {
            return heading;
        }
        let lines = |row| if self.tree == Some(column) { source.lines(row).1 } else { 0 };
        let widths = (0..source.rows()).map(|row| source.cell(row, column).width() + lines(row));
        widths.fold(heading, usize::max).min(Self::WIDEST)
    }

    fn head(&self, out: &mut Out, shown: &[(usize, usize)]) {
        let mut line = String::new();
        for &(at, width) in shown {
            let column = self.columns[at];
            let name = column.name;
            line.push_str(if at == 0 { "" } else { " " });
            let blanks = || " ".repeat(width.saturating_sub(text::width(name)));
            match column.align {
                Align::Right => line.extend([&blanks(), name]),
                Align::Left if self.last(at) => line.push_str(name),
                Align::Left => line.extend([name, &blanks()]),
            }
        }
        // The heading of the last column can be empty.
        let line = text::cut(line.trim_end(), self.width.unwrap_or(usize::MAX)).to_owned();
        out.push(self.painter.heading(&line).as_bytes());
        out.push(b"\n");
    }

    fn row(&self, out: &mut Out, source: &impl Source, row: usize, shown: &[(usize, usize)]) {
        let mut left = self.width.unwrap_or(usize::MAX);
        for &(at, width) in shown {
            if at > 0 && left > 0 {
                left -= 1;
                out.byte(b' ');
            }
            let cell = source.cell(row, at);
            let (lines, used) = if self.tree == Some(at) { source.lines(row) } else { ("", 0) };
            let (lines, used) = fitting(lines, used, left);
            let mut digits = [0; 20];
            let (shown, wide) = match cell {
                Value::Number(number) => {
                    let digits = decimal(number, &mut digits);
                    (digits.into(), digits.len())
                }
                ref cell => cell.measured(),
            };
            let room =
                if self.shrinks(at) { (left - used).min(width.saturating_sub(used)) } else { left - used };
            let (shown, wide) = cut(shown, wide, room);
            let shown = &*shown;
            let used = used + wide;
            let blanks = width.saturating_sub(used).min(left - used);
            let right = self.columns[at].align == Align::Right;
            if right {
                out.blanks(blanks);
            }
            if !lines.is_empty() {
                out.push(self.painter.faint(lines).as_bytes());
            }
            let painted = match source.colour(row, at).filter(|_| self.painter.colour) {
                Some(name) => self.painter.container(shown, name),
                None if matches!(cell, Value::None) => self.painter.faint(shown),
                None => shown.into(),
            };
            out.push(painted.as_bytes());
            if !right && !self.last(at) {
                out.blanks(blanks);
            }
            left -= used + blanks;
            if left == 0 {
                break;
            }
        }
        out.byte(b'\n');
    }

    /// Has this column become narrower?
    fn shrinks(&self, at: usize) -> bool {
        self.width.is_some() && self.narrow.as_ref().is_some_and(|narrow| narrow.shrinks == at)
    }

    fn last(&self, column: usize) -> bool {
        column + 1 == self.columns.len()
    }
}

/// The part of a text of this width that fits into the remaining columns.
fn fitting(text: &str, width: usize, left: usize) -> (&str, usize) {
    if width <= left {
        return (text, width);
    }
    let text = text::cut(text, left);
    (text, text::width(text).min(left)) // joined characters may have another width than their sum
}

/// A cell that fits. One that is cut ends in `+`, also a number: what is left of it reads as another one.
fn cut(cell: Cow<'_, str>, wide: usize, room: usize) -> (Cow<'_, str>, usize) {
    if wide <= room {
        return (cell, wide);
    }
    let cut = text::cut_with_mark(&cell, room).into_owned();
    let wide = text::width(&cut).min(room);
    (cut.into(), wide)
}

/// Formats a number without allocating, because there are tens of thousands.
fn decimal(number: i64, buffer: &mut [u8; 20]) -> &str {
    let mut at = text::digits(number.unsigned_abs(), buffer);
    if number < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    std::str::from_utf8(&buffer[at..]).unwrap_or_default()
}

/// The members that are the same in each object, written once: `,"host":"a"}`.
fn end_of_records(same: &[(&str, Option<String>)]) -> serde_json::Result<Vec<u8>> {
    let mut end = Vec::new();
    for (name, value) in same {
        end.push(b',');
        json::write(&mut end, name)?;
        end.push(b':');
        json::write(&mut end, value)?;
    }
    end.push(b'}');
    Ok(end)
}

/// Writes an object, and `end` in place of its last brace. No object is without members: there is always a column.
fn record(
    out: &mut Out,
    text: &mut Vec<u8>,
    record: &Record<'_, impl Source>,
    end: &[u8],
) -> serde_json::Result<()> {
    text.clear();
    json::write(text, record)?;
    out.push(text.strip_suffix(b"}").unwrap_or(text));
    out.push(end);
    Ok(())
}

struct Record<'a, S> {
    names: &'a [String],
    source: &'a S,
    row: usize,
}

impl<S: Source> Serialize for Record<'_, S> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        let mut map = to.serialize_map(Some(self.names.len()))?;
        for (column, name) in self.names.iter().enumerate() {
            map.serialize_entry(name, &self.source.cell(self.row, column))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
