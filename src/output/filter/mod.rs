//! Filter expressions, as in scols-filter(5) of util-linux: `NPROCS > 1 and TYPE == "net"`.
//!
//! Where the manual is unclear, the behaviour is that of libsmartcols 2.42.4, found by tests:
//!
//! - `and` and `or` have the same precedence, from left to right. `not` binds closest, so `not A == B` is
//!   `(not A) == B`.
//! - Characters that begin no token are skipped, `=` and `-` among them: `PID > -1` is `PID > 1`.
//! - Texts, also the pattern of a regular expression, are stripped of blanks at both ends.
//! - Two sides are compared as numbers, texts, floats or booleans by the rules of `parse::common`. A text that should
//!   be a number but is not ends the program, unless `and` or `or` has skipped it.

mod cost;
mod eval;
mod lex;
mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::OnceCell;

use nix::errno::Errno;

use eval::{Kind, Step};
use parse::Parser;

/// The value of a column in a row. A column of numbers returns `Number` or `None`, any other one `Text` or `None`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    None,
    Number(u64),
    /// A number with a fraction or a sign, in a column of numbers.
    Float(f64),
    Text(Cow<'a, str>),
}

impl Value<'_> {
    fn borrowed(&self) -> Value<'_> {
        match self {
            Value::None => Value::None,
            Value::Number(number) => Value::Number(*number),
            Value::Float(float) => Value::Float(*float),
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        }
    }
}

#[derive(Debug)]
pub struct Filter {
    steps: Vec<Step>,
    columns: Vec<(String, Kind)>,
}

impl Filter {
    /// `columns`: the names, and whether a column has numbers; the case of names does not matter. Err: the messages
    /// of util-linux, one per line, without the name of the program.
    pub fn parse(expression: &str, columns: &[(&str, bool)]) -> Result<Filter, Vec<String>> {
        if expression.is_empty() {
            return Ok(Filter { steps: Vec::new(), columns: Vec::new() }); // matches every row
        }
        if super::style::unicode() {
            crate::sys::utf8_letters();
        }
        let find = |name: &str| columns.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let kind = |name: &str| match find(name) {
            Some((_, true)) => Kind::Number,
            _ => Kind::Text,
        };
        let parser = Parser::default()
            .parse(expression, &kind)
            .map_err(|why| vec![format!("failed to parse \"{expression}\": {why}")])?;
        // Checked last: util-linux reports a syntax error before an unknown name.
        let known = |name: &String| match find(name) {
            Some((known, _)) => Ok(((*known).to_owned(), kind(name))),
            None => Err(vec![format!("unknown column: {name}"), "failed to initialize filter".to_owned()]),
        };
        let columns = parser.names.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Filter { steps: parser.steps, columns })
    }

    /// The names of the columns that it reads, spelled as in the table.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Err: a value does not have the type for its comparison (util-linux then prints `failed to apply filter:
    /// Invalid argument`, and exits).
    pub fn evaluate<'a>(&self, value: &dyn Fn(&str) -> Value<'a>) -> Result<bool, Errno> {
        // A column is read once, however many terms it has.
        let read: Vec<OnceCell<Value<'a>>> = self.columns.iter().map(|_| OnceCell::new()).collect();
        let column = |place: usize| match self.columns.get(place).zip(read.get(place)) {
            Some(((name, kind), read)) => (read.get_or_init(|| value(name)).borrowed(), *kind),
            None => (Value::None, Kind::Text),
        };
        eval::run(&self.steps, &column)
    }
}
