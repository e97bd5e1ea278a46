//! Evaluates the steps of an expression for one row, on a stack of values.

use std::borrow::Cow;
use std::cmp::Ordering;

use nix::errno::Errno;

use super::Value;
use super::lex::Relation;
use crate::sys::Regex;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Float,
    Bool,
}

#[derive(Debug)]
pub(super) enum Literal {
    Text(String),
    Number(u64),
    Float(f64),
    Bool(bool),
}

#[derive(Debug)]
pub(super) enum Step {
    Literal(Literal),
    /// The index of its name.
    Column(usize),
    /// Converts the top value to a boolean.
    Truth,
    Not,
    /// For `and` and `or`: jumps to `to` if the left side determines the result.
    Skip {
        when: bool,
        to: usize,
    },
    Compare(Relation, Kind),
    Match(Regex, bool),
    /// A regular expression against a value that is not a text: an error, but only when it is reached.
    Invalid,
}

/// A value during evaluation; `None`: the row has none.
enum Datum<'d> {
    Text(Option<Cow<'d, str>>),
    Number(Option<u64>),
    Float(Option<f64>),
    Bool(Option<bool>),
}

/// `isspace` of C: texts are stripped of these at both ends before they are used.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

impl Literal {
    pub(super) fn text(text: &str) -> Literal {
        Literal::Text(text.trim_matches(BLANKS).to_owned())
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Literal::Text(_) => Kind::Text,
            Literal::Number(_) => Kind::Number,
            Literal::Float(_) => Kind::Float,
            Literal::Bool(_) => Kind::Bool,
        }
    }

    fn datum(&self) -> Datum<'_> {
        match self {
            Literal::Text(text) => Datum::Text(Some(Cow::Borrowed(text))),
            Literal::Number(number) => Datum::Number(Some(*number)),
            Literal::Float(float) => Datum::Float(Some(*float)),
            Literal::Bool(truth) => Datum::Bool(Some(*truth)),
        }
    }
}

/// `column` returns a value by index. Err: a text is not a number as required, or the number is too large.
pub(super) fn run<'d>(steps: &'d [Step], column: &dyn Fn(usize) -> (Value<'d>, Kind)) -> Result<bool, Errno> {
    let mut stack: Vec<Datum<'d>> = Vec::new();
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        at += 1;
        let datum = match step {
            Step::Literal(literal) => literal.datum(),
            Step::Column(place) => Datum::new(column(*place)),
            step => {
                // Never empty: the parser writes a step after its operands.
                let Some(top) = stack.pop() else { return Err(Errno::EINVAL) };
                match step {
                    Step::Compare(relation, kind) => {
                        let Some(left) = stack.pop() else { return Err(Errno::EINVAL) };
                        let float = matches!((&left, &top), (Datum::Float(_), _) | (_, Datum::Float(_)));
                        // A column of numbers can have a fraction in some rows.
                        let kind = if float && *kind == Kind::Number { &Kind::Float } else { kind };
                        truth(compare(left.cast(*kind)?, top.cast(*kind)?, *relation))
                    }
                    Step::Match(regex, wanted) => truth(regex.matches(&top.into_text()) == *wanted),
                    Step::Not => truth(!top.truth()),
                    Step::Skip { when, to } => {
                        let left = top.truth();
                        if left != *when {
                            continue; // the result is that of the right side
                        }
                        at = *to;
                        truth(left)
                    }
                    Step::Invalid => return Err(Errno::EINVAL),
                    Step::Truth | Step::Literal(_) | Step::Column(_) => truth(top.truth()),
                }
            }
        };
        stack.push(datum);
    }
    Ok(stack.pop().is_none_or(|datum| datum.truth()))
}

fn truth<'d>(truth: bool) -> Datum<'d> {
    Datum::Bool(Some(truth))
}

impl<'d> Datum<'d> {
    fn new((value, kind): (Value<'d>, Kind)) -> Self {
        match value {
            Value::None if kind == Kind::Number => Datum::Number(None),
            Value::None => Datum::Text(None),
            Value::Number(number) => Datum::Number(Some(number)),
            Value::Float(float) => Datum::Float(Some(float)),
            Value::Text(Cow::Borrowed(text)) => Datum::Text(Some(Cow::Borrowed(text.trim_matches(BLANKS)))),
            Value::Text(Cow::Owned(text)) => {
                Datum::Text(Some(Cow::Owned(text.trim_matches(BLANKS).to_owned())))
            }
        }
    }

    /// Is there a value? As texts, "0" and "false" count as empty.
    fn truth(&self) -> bool {
        match self {
            Datum::Text(text) => text.as_ref().is_some_and(|text| !text.is_empty()),
            Datum::Number(number) => number.is_some_and(|number| number != 0),
            Datum::Float(float) => float.is_some_and(|float| float != 0.0),
            Datum::Bool(truth) => *truth == Some(true),
        }
    }

    /// A missing text stays missing; a missing number becomes 0 when it is converted, as in util-linux.
    fn cast(self, kind: Kind) -> Result<Datum<'d>, Errno> {
        Ok(match (kind, self) {
            (Kind::Text, datum @ Datum::Text(_)) => datum,
            (Kind::Text, datum) => Datum::Text(Some(datum.into_text())),
            (Kind::Number, datum @ Datum::Number(_)) => datum,
            (Kind::Number, Datum::Text(text)) => Datum::Number(text.map(|text| number(&text)).transpose()?),
            (Kind::Number, datum) => Datum::Number(Some(datum.to_float() as u64)),
            (Kind::Float, Datum::Text(text)) => Datum::Float(text.map(|text| float(&text)).transpose()?),
            (Kind::Float, datum) => Datum::Float(Some(datum.to_float())),
            (Kind::Bool, Datum::Text(text)) => Datum::Bool(text.map(|text| means_true(&text))),
            (Kind::Bool, datum) => Datum::Bool(Some(datum.truth())),
        })
    }

    fn to_float(&self) -> f64 {
        match self {
            Datum::Text(_) => 0.0, // cast() handles texts itself
            Datum::Number(number) => number.unwrap_or(0) as f64,
            Datum::Float(float) => float.unwrap_or(0.0),
            Datum::Bool(truth) => f64::from(u8::from(*truth == Some(true))),
        }
    }

    fn into_text(self) -> Cow<'d, str> {
        match self {
            Datum::Text(text) => text.unwrap_or_default(),
            Datum::Number(number) => Cow::Owned(number.unwrap_or(0).to_string()),
            Datum::Float(float) => Cow::Owned(general(float.unwrap_or(0.0))),
            Datum::Bool(truth) => Cow::Borrowed(if truth == Some(true) { "true" } else { "false" }),
        }
    }
}

/// Both have the same kind. A missing text is less than any text, and equal to a missing one. For other kinds no
/// comparison with a missing value is true, not even `!=`.
fn compare(left: Datum<'_>, right: Datum<'_>, relation: Relation) -> bool {
    let order = match (left, right) {
        (Datum::Text(left), Datum::Text(right)) => Some(left.cmp(&right)),
        (Datum::Number(Some(left)), Datum::Number(Some(right))) => Some(left.cmp(&right)),
        (Datum::Bool(Some(left)), Datum::Bool(Some(right))) => Some(left.cmp(&right)),
        // "nan" may be the text of a row: it is unequal to everything.
        (Datum::Float(Some(left)), Datum::Float(Some(right))) => match left.partial_cmp(&right) {
            None => return relation == Relation::NotEqual,
            order => order,
        },
        _ => None,
    };
    order.is_some_and(|order| match relation {
        Relation::Equal => order == Ordering::Equal,
        Relation::NotEqual => order != Ordering::Equal,
        Relation::Less => order == Ordering::Less,
        Relation::LessEqual => order != Ordering::Greater,
        Relation::Greater => order == Ordering::Greater,
        Relation::GreaterEqual => order != Ordering::Less,
    })
}

/// Like strtoumax(3) on the whole text, but without negative numbers.
fn number(text: &str) -> Result<u64, Errno> {
    let negative = text.strip_prefix('-');
    let digits = negative.or(text.strip_prefix('+')).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Errno::EINVAL);
    }
    match digits.parse() {
        Ok(number) if negative.is_none() || number == 0 => Ok(number),
        _ => Err(Errno::ERANGE),
    }
}

/// Like strtold(3) on the whole text, without hexadecimal floats.
fn float(text: &str) -> Result<f64, Errno> {
    let float: f64 = text.parse().map_err(|_| Errno::EINVAL)?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let rounded_away = float == 0.0 && mantissa.contains(|digit| matches!(digit, '1'..='9'));
    let too_large = float.is_infinite() && mantissa.contains(|digit: char| digit.is_ascii_digit());
    if rounded_away || too_large { Err(Errno::ERANGE) } else { Ok(float) }
}

/// `1`, `true` in any case, and any text that begins with y.
fn means_true(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("true") || text.starts_with(['y', 'Y'])
}

/// Like `%g` of printf(3): six digits, no trailing zeros.
fn general(float: f64) -> String {
    let shortened = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let scientific = format!("{float:.5e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..=5) => {
            shortened(&format!("{float:.*}", 5_usize.saturating_add_signed(-exponent as isize)))
        }
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", shortened(mantissa), exponent.abs())
        }
        Err(_) => scientific,
    }
}
