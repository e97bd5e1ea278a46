//! Command lines as users of ps(1), docker(1), podman(1), crictl(1), htop(1) and systemd-cgls(1) type them: some work, and
//! for the others the error says what to type instead.

pub(super) mod columns;
pub(super) mod docker;
mod options;
mod words;

use std::ffi::{OsStr, OsString};

use anyhow::anyhow;

use super::options::GRAMMAR;
use super::request::Request;
use crate::cli::{Call, Effect, Opt};
use crate::exit::Exit;
use crate::text;
pub(super) use options::LONG;
pub(super) use words::of_word;

/// Parses the command line. If it cannot be parsed, the names that other programs have for long options count too.
pub(super) fn parse(call: &Call) -> Result<(Request, Vec<OsString>), Exit> {
    let first = parse_once(call);
    let error = match first {
        Ok((request, operands)) => {
            let mistaken = if operands.is_empty() { None } else { options::instead(&typed(&call.args)) };
            return mistaken.map_or(Ok((request, operands)), |words| Err(anyhow!(words).into()));
        }
        Err(Exit::Text(text)) => return Err(Exit::Text(text)),
        Err(error) => error,
    };
    if let Some(args) = options::renamed(&call.args) {
        let again = Call { name: call.name, about: call.about, argv0: call.argv0.clone(), args };
        return parse(&again);
    }
    match words::before_a_key(&call.args).or_else(|| options::instead(&typed(&call.args))) {
        Some(words) => Err(anyhow!(words).into()),
        None => Err(error),
    }
}

fn parse_once(call: &Call) -> Result<(Request, Vec<OsString>), Exit> {
    let mut request = Request::default();
    let operands = GRAMMAR.parse(call, &mut request)?;
    Ok((request, operands))
}

/// An option as it was typed, known or not.
struct Typed {
    /// `-x` or `--long`.
    name: String,
    /// What stands behind it: attached, or the next argument if that may be a value.
    value: Option<String>,
    known: Option<&'static Opt<Request>>,
}

impl Typed {
    /// Does its value belong to it by the grammar?
    fn takes_value(&self) -> bool {
        self.known.is_some_and(|opt| {
            matches!(opt.effect, Effect::Required(_) | Effect::Optional(_) | Effect::Attached(_))
        })
    }
}

/// The options among the arguments, as far as that can be known if some are unknown.
fn typed(args: &[OsString]) -> Vec<Typed> {
    let mut found = Vec::new();
    let mut args = args.iter().map(|arg| text::utf8(arg.as_encoded_bytes()).into_owned()).peekable();
    while let Some(arg) = args.next().filter(|arg| arg != "--") {
        let known = |is_it: &dyn Fn(&Opt<Request>) -> bool| GRAMMAR.options.iter().find(|opt| is_it(opt));
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let known = known(&|opt| opt.long == name);
            found.push(Typed { name: format!("--{name}"), value: value.map(str::to_owned), known });
        } else if let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            if is_number(letters) {
                found.push(Typed { name: arg.clone(), value: None, known: None });
                continue;
            }
            for (at, letter) in letters.char_indices() {
                let rest = &letters[at + letter.len_utf8()..];
                let one = Typed {
                    name: format!("-{letter}"),
                    value: None,
                    known: known(&|opt| opt.short == Some(letter)),
                };
                let attached =
                    !rest.is_empty() && (one.takes_value() || rest.starts_with(|c: char| c.is_ascii_digit()));
                found.push(Typed { value: attached.then(|| rest.to_owned()), ..one });
                if attached {
                    break;
                }
            }
        } else {
            continue;
        }
        if let Some(last) = found.last_mut().filter(|last| last.value.is_none()) {
            let is_value =
                |next: &String| last.takes_value() || !next.starts_with('-') || options::is_key(next);
            let optional = last.known.is_some_and(|opt| matches!(opt.effect, Effect::Optional(_)));
            // The value of an unknown option is perhaps an operand, which may be looked at twice.
            last.value = match last.takes_value() && !optional {
                true => args.next(),
                false => args.peek().filter(|next| is_value(next)).cloned(),
            };
        }
    }
    found
}

/// Quotes a value for the shell if it must be.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+,./:%@=".contains(c);
    let value = text::escape(value.as_bytes());
    if !value.is_empty() && value.chars().all(plain) { value.into_owned() } else { format!("'{value}'") }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// PIDs with commas or blanks between them.
fn are_numbers(list: &str) -> bool {
    super::select::words(OsStr::new(list)).all(|word| is_number(&word.to_string_lossy())) && !list.is_empty()
}
