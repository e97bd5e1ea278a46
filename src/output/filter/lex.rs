//! The tokens of a filter expression.

use crate::errno;
use nix::errno::Errno;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'e> {
    End,
    Number(u64),
    /// A number that is too large with its suffix: its text.
    TooLarge(&'e str),
    Float(f64),
    Text(&'e str),
    True,
    False,
    Column(&'e str),
    Not,
    Binary(Binary),
    Open,
    Close,
    /// A `'` without a closing one. (A single `"` is skipped, as in util-linux.)
    Quote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    And,
    Or,
    Compare(Relation),
    /// `=~`, or `!~` if false.
    Match(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Keywords: all lower or all upper case, never mixed. Any other word is a column.
pub(super) const WORDS: [(&str, &str, Token<'static>); 11] = [
    ("and", "AND", Token::Binary(Binary::And)),
    ("or", "OR", Token::Binary(Binary::Or)),
    ("not", "NOT", Token::Not),
    ("eq", "EQ", Token::Binary(Binary::Compare(Relation::Equal))),
    ("ne", "NE", Token::Binary(Binary::Compare(Relation::NotEqual))),
    ("lt", "LT", Token::Binary(Binary::Compare(Relation::Less))),
    ("le", "LE", Token::Binary(Binary::Compare(Relation::LessEqual))),
    ("gt", "GT", Token::Binary(Binary::Compare(Relation::Greater))),
    ("ge", "GE", Token::Binary(Binary::Compare(Relation::GreaterEqual))),
    ("true", "TRUE", Token::True),
    ("false", "FALSE", Token::False),
];

/// Longer ones first.
pub(super) const SIGNS: [(&str, Token<'static>); 13] = [
    ("&&", Token::Binary(Binary::And)),
    ("||", Token::Binary(Binary::Or)),
    ("==", Token::Binary(Binary::Compare(Relation::Equal))),
    ("!=", Token::Binary(Binary::Compare(Relation::NotEqual))),
    ("<=", Token::Binary(Binary::Compare(Relation::LessEqual))),
    (">=", Token::Binary(Binary::Compare(Relation::GreaterEqual))),
    ("=~", Token::Binary(Binary::Match(true))),
    ("!~", Token::Binary(Binary::Match(false))),
    ("<", Token::Binary(Binary::Compare(Relation::Less))),
    (">", Token::Binary(Binary::Compare(Relation::Greater))),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
];

impl Token<'_> {
    /// The name of a token in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Token::End => "end of file",
            Token::Number(_) => "NUMBER",
            Token::TooLarge(_) => "INVALID_NUMBER",
            Token::Float(_) => "FLOAT",
            Token::Text(_) => "STRING",
            Token::True => "TRUE",
            Token::False => "FALSE",
            Token::Column(_) => "HOLDER",
            Token::Not => "NEG",
            Token::Binary(Binary::And) => "AND",
            Token::Binary(Binary::Or) => "OR",
            Token::Binary(Binary::Compare(Relation::Equal)) => "EQ",
            Token::Binary(Binary::Compare(Relation::NotEqual)) => "NE",
            Token::Binary(Binary::Compare(Relation::Less)) => "LT",
            Token::Binary(Binary::Compare(Relation::LessEqual)) => "LE",
            Token::Binary(Binary::Compare(Relation::Greater)) => "GT",
            Token::Binary(Binary::Compare(Relation::GreaterEqual)) => "GE",
            Token::Binary(Binary::Match(true)) => "REG",
            Token::Binary(Binary::Match(false)) => "NREG",
            Token::Open => "'('",
            Token::Close => "')'",
            Token::Quote => "invalid token",
        }
    }
}

/// The message of util-linux for a number that is too large.
pub(super) fn too_large(text: &str) -> String {
    format!("\"{text}\" token error: {}", errno::strerror(Errno::ERANGE as i32))
}

pub(super) struct Lexer<'e> {
    rest: &'e str,
}

impl<'e> Lexer<'e> {
    pub(super) fn new(expression: &'e str) -> Self {
        Lexer { rest: expression }
    }

    /// Characters that begin no token are skipped like blanks: `PID = 1` is `PID 1`, `-1` is `1`. So does util-linux,
    /// which also prints them to stdout; ctrbox does not.
    pub(super) fn next(&mut self) -> Token<'e> {
        while let Some(letter) = self.rest.chars().next() {
            let token = match letter {
                '"' | '\'' => self.text(letter),
                '0'..='9' => Some(self.number()),
                'a'..='z' | 'A'..='Z' => Some(self.word()),
                _ => self.sign(),
            };
            if let Some(token) = token {
                return token;
            }
            self.take(letter.len_utf8());
        }
        Token::End
    }

    fn take(&mut self, length: usize) -> &'e str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// The number of consecutive bytes from `from` on that match.
    fn run(&self, from: usize, matches: fn(u8) -> bool) -> usize {
        self.rest.bytes().skip(from).take_while(|byte| matches(*byte)).count()
    }

    fn sign(&mut self) -> Option<Token<'e>> {
        let (sign, token) = SIGNS.iter().find(|(sign, _)| self.rest.starts_with(sign))?;
        self.take(sign.len());
        Some(*token)
    }

    fn word(&mut self) -> Token<'e> {
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.%:/-".contains(&byte);
        let word = self.take(self.run(0, in_name));
        let known = WORDS.iter().find(|(small, capital, _)| word == *small || word == *capital);
        known.map_or(Token::Column(word), |(_, _, token)| *token)
    }

    /// The text between two quotes on one line; there is no escape character.
    fn text(&mut self, quote: char) -> Option<Token<'e>> {
        let inside = &self.rest[1..];
        match inside.find([quote, '\n']) {
            Some(end) if inside[end..].starts_with(quote) => {
                self.take(end + 2);
                Some(Token::Text(&inside[..end]))
            }
            _ if quote == '\'' => {
                self.take(1);
                Some(Token::Quote)
            }
            _ => None,
        }
    }

    /// `1`, `1.5`, `1K`, `1KiB`.
    fn number(&mut self) -> Token<'e> {
        let digits = self.run(0, |byte| byte.is_ascii_digit());
        let decimals = match self.rest.as_bytes().get(digits) {
            Some(b'.') => self.run(digits + 1, |byte| byte.is_ascii_digit()),
            _ => 0,
        };
        if decimals > 0 {
            let text = self.take(digits + 1 + decimals);
            return Token::Float(text.parse().unwrap_or(f64::INFINITY));
        }
        // A number that is too large without a suffix becomes the maximum, as in util-linux.
        let number: u64 = self.rest[..digits].parse().unwrap_or(u64::MAX);
        let after = &self.rest[digits..];
        let power = after.chars().next().and_then(|letter| "KMGTPEZY".find(letter));
        let Some(power) = power else {
            self.take(digits);
            return Token::Number(number);
        };
        let suffix = if after[1..].starts_with("iB") { 3 } else { 1 };
        let text = self.take(digits + suffix);
        multiplied(number, power + 1).map_or(Token::TooLarge(text), Token::Number)
    }
}

fn multiplied(number: u64, power: usize) -> Option<u64> {
    (0..power).try_fold(number, |product, _| product.checked_mul(1024))
}
