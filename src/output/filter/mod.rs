//! Filter expressions, as scols-filter(5) of util-linux has them: `NPROCS > 1 and TYPE == "net"`.
//!
//! What the manual leaves open is as libsmartcols 2.42.4 does it, found by trying:
//!
//! - `and` and `or` bind alike, from the left; `not` binds closest of all, so `not A == B` is `(not A) == B`.
//! - Letters that begin no word are passed over, `=` and `-` among them: `PID > -1` is `PID > 1`.
//! - Texts, the pattern of a regular expression too, are stripped of blanks at both ends.
//! - Two sides are compared as numbers, texts, floats or booleans by the rules of `parse::common`; a text
//!   that should be a number and is none ends the program, unless `and` or `or` has passed it by.

mod eval;
mod lex;
mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use nix::errno::Errno;

use eval::{Kind, Step};
use parse::Parser;

/// What a row has in a column. A column of numbers gives `Number` or `None`, others `Text` or `None`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    None,
    Number(u64),
    Text(Cow<'a, str>),
}

#[derive(Debug)]
pub struct Filter {
    steps: Vec<Step>,
    columns: Vec<(String, Kind)>,
}

impl Filter {
    /// `columns`: name and whether the column is a number; their case does not matter.
    /// Err: the original's messages, a line each, without the program's name.
    pub fn parse(expression: &str, columns: &[(&str, bool)]) -> Result<Filter, Vec<String>> {
        if expression.is_empty() {
            return Ok(Filter { steps: Vec::new(), columns: Vec::new() }); // everything
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
        // Only now: a syntax error goes before an unknown name.
        let known = |name: &String| match find(name) {
            Some((known, _)) => Ok(((*known).to_owned(), kind(name))),
            None => Err(vec![format!("unknown column: {name}"), "failed to initialize filter".to_owned()]),
        };
        let columns = parser.names.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Filter { steps: parser.steps, columns })
    }

    /// Names of the columns it reads, as the table spells them.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Err: a value is not of the type it is compared as (the original: `failed to apply filter: Invalid
    /// argument`, and ends).
    pub fn evaluate<'a>(&self, value: &dyn Fn(&str) -> Value<'a>) -> Result<bool, Errno> {
        let column = |place: usize| match self.columns.get(place) {
            Some((name, kind)) => (value(name), *kind),
            None => (Value::None, Kind::Text),
        };
        eval::run(&self.steps, &column)
    }
}
