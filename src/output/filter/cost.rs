//! What a regular expression costs. The C library writes out all repetitions: `((a?){99}){99}` has 48 million ways from one
//! letter to the next, needs minutes to compile, and as many steps for each letter of each row.

use std::iter::Peekable;
use std::str::Chars;

/// The most letters and ways between them, of one expression and of all in a filter.
pub(super) const MOST: u64 = 20_000;
pub(super) const MOST_OF_ALL: u64 = 100_000;

/// A part of an expression with its repetitions written out.
#[derive(Clone, Copy)]
struct Part {
    /// The letters that can be the first and the last.
    first: u64,
    last: u64,
    /// Does it match the empty text?
    empty: bool,
    /// Letters, and ways from one to the next.
    size: u64,
}

const EMPTY: Part = Part { first: 0, last: 0, empty: true, size: 0 };
const LETTER: Part = Part { first: 1, last: 1, empty: false, size: 1 };

impl Part {
    fn then(self, next: Part) -> Part {
        let if_empty = |empty: bool, more: u64| if empty { more } else { 0 };
        let ways = self.last.saturating_mul(next.first);
        Part {
            first: self.first.saturating_add(if_empty(self.empty, next.first)),
            last: next.last.saturating_add(if_empty(next.empty, self.last)),
            empty: self.empty && next.empty,
            size: self.size.saturating_add(next.size).saturating_add(ways),
        }
    }

    fn or(self, other: Part) -> Part {
        Part {
            first: self.first.saturating_add(other.first),
            last: self.last.saturating_add(other.last),
            empty: self.empty || other.empty,
            // The C library copies what can come first for each alternative.
            size: self.size.saturating_add(other.size).saturating_add(self.first).saturating_add(other.first),
        }
    }

    fn optional(self) -> Part {
        Part { empty: true, ..self }
    }

    /// At least once.
    fn repeated(self) -> Part {
        Part { size: self.size.saturating_add(self.last.saturating_mul(self.first)), ..self }
    }

    /// `{LEAST,MOST}`.
    fn counted(self, least: u64, most: Option<u64>) -> Part {
        let mut rest = match most {
            Some(_) => EMPTY,
            None => self.repeated().optional(),
        };
        for _ in least..most.unwrap_or(least) {
            rest = self.then(rest).optional();
            if rest.size > MOST {
                return rest;
            }
        }
        for _ in 0..least {
            rest = self.then(rest);
            if rest.size > MOST {
                break;
            }
        }
        rest
    }
}

/// Letters and ways between them. For broken syntax the result does not matter: the C library refuses the expression.
pub(super) fn cost(pattern: &str) -> u64 {
    let mut letters = pattern.chars().peekable();
    // The alternatives before the current one, and the current one, of each open parenthesis.
    let mut open = vec![(None, EMPTY)];
    let mut last = EMPTY; // what a repetition applies to
    let close = |(before, current): (Option<Part>, Part), last: Part| {
        let current = current.then(last);
        before.map_or(current, |before: Part| before.or(current))
    };
    while let Some(letter) = letters.next() {
        match letter {
            '*' => last = last.repeated().optional(),
            '+' => last = last.counted(1, None), // glibc writes `a+` as `aa*`
            '?' => last = last.optional(),
            '{' => match interval(&mut letters) {
                Some((least, most)) => last = last.counted(least, most),
                None => last = last.then(LETTER),
            },
            _ => {
                let deep = open.len() > 1;
                let Some(top) = open.last_mut() else { break };
                top.1 = top.1.then(last);
                last = EMPTY;
                match letter {
                    '(' => open.push((None, EMPTY)),
                    ')' if deep => last = open.pop().map_or(EMPTY, |top| close(top, EMPTY)),
                    '|' => *top = (Some(close(*top, EMPTY)), EMPTY),
                    '[' => {
                        skip_set(&mut letters);
                        last = LETTER;
                    }
                    '\\' => {
                        _ = letters.next();
                        last = LETTER;
                    }
                    _ => last = LETTER,
                }
            }
        }
    }
    open.into_iter().rev().fold(last, |inner, top| close(top, inner)).size
}

/// The numbers of `{LEAST}`, `{LEAST,}` or `{LEAST,MOST}`, and what follows. The C library allows no more than 32,767.
fn interval(letters: &mut Peekable<Chars<'_>>) -> Option<(u64, Option<u64>)> {
    const HIGHEST: u64 = 32_767;
    let number = |letters: &mut Peekable<Chars<'_>>| {
        let mut number: Option<u64> = None;
        while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
            number = Some((number.unwrap_or(0) * 10 + u64::from(digit)).min(HIGHEST));
            letters.next();
        }
        number
    };
    let least = number(letters);
    let most = match letters.next_if_eq(&',') {
        Some(_) => number(letters),
        None => least,
    };
    letters.next_if_eq(&'}')?;
    Some((least.unwrap_or(0), most))
}

/// The rest of `[…]`. A `]` in the first place is one of the set.
fn skip_set(letters: &mut Peekable<Chars<'_>>) {
    letters.next_if_eq(&'^');
    letters.next_if_eq(&']');
    while let Some(letter) = letters.next() {
        match letter {
            ']' => return,
            // A class such as `[:alpha:]`.
            '[' => {
                if let Some(kind) = letters.next_if(|kind| matches!(kind, ':' | '.' | '=')) {
                    while let Some(letter) = letters.next() {
                        if letter == kind && letters.next_if_eq(&']').is_some() {
                            break;
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_expressions_cost_little() {
        for (pattern, expected) in [
            ("", 0),
            ("abc", 5),
            ("a|b", 4),
            ("(a|b)c", 7),
            ("^/usr/s?bin/", 22),
            ("a*", 2),
            ("[]a[:alpha:]]{3}", 5),
            (r"\({3}", 5),
            ("[0-9a-f]{64}", 127),
            ("(x{1,100}){1,3}", 797),
        ] {
            assert_eq!(cost(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn repetitions_of_repetitions_cost_too_much() {
        for pattern in [
            "((((a?){9}){9}){9}){9}",
            "((a?){99}){99}",
            "(((a{1,50}){1,50}){1,50}){1,50}",
            "(a{255}){255}",
            "(a*){32767}",
            "(a|(b?c?){99}){999,}",
            &"(a?){99}".repeat(9),
            &"a|".repeat(1000),
            "a++++++++++++++++++++++++++++++++",
        ] {
            assert!(cost(pattern) > MOST, "{pattern}: {}", cost(pattern));
        }
        // Neither depth nor broken syntax matters.
        let deep = format!("{}a{}", "(".repeat(100_000), "){32767}".repeat(100_000));
        assert!(cost(&deep) > MOST);
        for broken in ["(", ")", "a{", "{1,2", "[a", "[[:x", "*", "\\", "a{1", "()|)|("] {
            assert!(cost(broken) < 100, "{broken}");
        }
    }
}
