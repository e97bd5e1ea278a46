//! Translates an expression to steps for evaluation.
//!
//! An explicit stack of open parts replaces recursion, so that depth costs only memory. It grows and shrinks like the
//! stack of the generated parser in util-linux, so the limit on depth is the same.

use super::cost::{self, cost};
use super::eval::{Kind, Literal, Step};
use super::lex::{Binary, Lexer, Token, too_large};
use crate::sys::Regex;

/// The limit of util-linux: a stack of 10,000, less one place for the start state and one because it must not be
/// full.
const DEEPEST: usize = 9_998;

/// An operand whose steps are complete.
#[derive(Clone, Copy)]
struct Operand {
    kind: Kind,
    /// A column takes the type of the other side.
    column: bool,
}

#[derive(Clone, Copy)]
enum Open {
    Parenthesis,
    Not,
    Operand(Operand),
    /// The operator, and the index of the step that skips the right side.
    Binary(Binary, usize),
}

#[derive(Default)]
pub(super) struct Parser {
    pub steps: Vec<Step>,
    /// In order of their first use, spelled as there; case does not matter.
    pub names: Vec<String>,
    open: Vec<Open>,
    /// Of all regular expressions.
    cost: u64,
}

impl Parser {
    /// `kind` returns the type of a column. Err: the message of util-linux.
    pub(super) fn parse(mut self, expression: &str, kind: &dyn Fn(&str) -> Kind) -> Result<Parser, String> {
        let mut lexer = Lexer::new(expression);
        loop {
            self.operand(&mut lexer, kind)?;
            if self.operator(&mut lexer)? == Token::End {
                return Ok(self);
            }
        }
    }

    /// Parses any number of `not` and `(`, then a value.
    fn operand(&mut self, lexer: &mut Lexer<'_>, kind: &dyn Fn(&str) -> Kind) -> Result<(), String> {
        loop {
            let literal = match lexer.next() {
                Token::Open => {
                    self.shift(Open::Parenthesis)?;
                    continue;
                }
                Token::Not => {
                    self.shift(Open::Not)?;
                    continue;
                }
                Token::Column(name) => {
                    let place = self.place(name);
                    self.steps.push(Step::Column(place));
                    return self.value(Operand { kind: kind(name), column: true });
                }
                Token::Number(number) => Literal::Number(number),
                Token::Float(float) => Literal::Float(float),
                Token::Text(text) => Literal::text(text),
                Token::True => Literal::Bool(true),
                Token::False => Literal::Bool(false),
                Token::TooLarge(text) => {
                    self.shift(Open::Parenthesis)?; // only for the limit
                    return Err(too_large(text));
                }
                other => return Err(unexpected(other)),
            };
            let kind = literal.kind();
            self.steps.push(Step::Literal(literal));
            return self.value(Operand { kind, column: false });
        }
    }

    /// Parses any number of `)`, then an operator or the end.
    fn operator<'e>(&mut self, lexer: &mut Lexer<'e>) -> Result<Token<'e>, String> {
        loop {
            let token = lexer.next();
            match token {
                Token::Binary(binary) => {
                    self.reduce(precedence(binary))?;
                    let skip = self.steps.len();
                    if let Binary::And | Binary::Or = binary {
                        self.steps.push(Step::Skip { when: binary == Binary::Or, to: 0 });
                    }
                    self.shift(Open::Binary(binary, skip))?;
                    return Ok(token);
                }
                Token::Close => {
                    self.reduce(0)?;
                    self.close()?;
                }
                _ => {
                    self.reduce(0)?;
                    return match self.open.len() {
                        1 if token == Token::End => Ok(token),
                        1 => Err(format!("{}, expecting end of file", unexpected(token))),
                        _ => Err(unexpected(token)),
                    };
                }
            }
        }
    }

    fn shift(&mut self, open: Open) -> Result<(), String> {
        self.open.push(open);
        if self.open.len() > DEEPEST { Err("memory exhausted".to_owned()) } else { Ok(()) }
    }

    /// Completes an operand. `not` binds closer than any other operator: `not A == B` is `(not A) == B`.
    fn value(&mut self, operand: Operand) -> Result<(), String> {
        self.shift(Open::Operand(operand))?;
        self.negate();
        Ok(())
    }

    fn negate(&mut self) {
        while let [.., Open::Not, Open::Operand(_)] = self.open[..] {
            self.steps.push(Step::Not);
            self.open.truncate(self.open.len() - 2);
            self.open.push(Open::Operand(Operand { kind: Kind::Bool, column: false }));
        }
    }

    /// Replaces `(` A by A.
    fn close(&mut self) -> Result<(), String> {
        let [.., Open::Parenthesis, Open::Operand(operand)] = self.open[..] else {
            return Err(format!("{}, expecting end of file", unexpected(Token::Close)));
        };
        self.shift(Open::Parenthesis)?; // only for the limit: util-linux also has it on its stack
        self.open.truncate(self.open.len() - 3);
        self.open.push(Open::Operand(operand));
        self.negate();
        Ok(())
    }

    /// Completes the operators back to a parenthesis that bind at least as closely: all are left-associative.
    fn reduce(&mut self, least: u8) -> Result<(), String> {
        while let [.., Open::Operand(left), Open::Binary(binary, skip), Open::Operand(right)] = self.open[..]
        {
            if precedence(binary) < least {
                break;
            }
            self.open.truncate(self.open.len() - 3);
            self.complete(binary, skip, left, right)?;
            self.open.push(Open::Operand(Operand { kind: Kind::Bool, column: false }));
        }
        Ok(())
    }

    fn complete(&mut self, binary: Binary, skip: usize, left: Operand, right: Operand) -> Result<(), String> {
        let step = match binary {
            Binary::And | Binary::Or => {
                let end = self.steps.len() + 1;
                if let Some(Step::Skip { to, .. }) = self.steps.get_mut(skip) {
                    *to = end;
                }
                Step::Truth
            }
            Binary::Compare(relation) => Step::Compare(relation, common(left, right)),
            Binary::Match(wanted) => {
                let regex = self.regex(right)?;
                match left {
                    Operand { kind: Kind::Text, .. } | Operand { column: true, .. } => {
                        Step::Match(regex, wanted)
                    }
                    _ => Step::Invalid,
                }
            }
        };
        self.steps.push(step);
        Ok(())
    }

    /// The right side must be a string literal. For anything else util-linux, depending on the type, prints "(null)",
    /// crashes with SIGSEGV, or fails at the first row.
    fn regex(&mut self, right: Operand) -> Result<Regex, String> {
        match self.steps.pop() {
            Some(Step::Literal(Literal::Text(pattern))) if !right.column => {
                let cost = cost(&pattern);
                self.cost = self.cost.saturating_add(cost);
                if cost > cost::MOST || self.cost > cost::MOST_OF_ALL {
                    return Err("a regular expression has too many repetitions".to_owned());
                }
                Regex::new(&pattern)
            }
            _ => Err("the right side of =~ and !~ must be a string".to_owned()),
        }
    }

    fn place(&mut self, name: &str) -> usize {
        let known = self.names.iter().position(|known| known.eq_ignore_ascii_case(name));
        known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }
}

fn unexpected(token: Token<'_>) -> String {
    format!("syntax error, unexpected {}", token.name())
}

/// `and` and `or` have the same precedence, from left to right: `A or B and C` is `(A or B) and C`.
fn precedence(binary: Binary) -> u8 {
    match binary {
        Binary::And | Binary::Or => 1,
        Binary::Compare(_) | Binary::Match(_) => 2,
    }
}

/// The type of a comparison: float for a number and a float, else the type of the left side. A column takes the type
/// of a side that is not a column.
fn common(left: Operand, right: Operand) -> Kind {
    match (left.kind, right.kind) {
        (Kind::Number, Kind::Float) => Kind::Float,
        _ if left.column && !right.column => right.kind,
        _ => left.kind,
    }
}
