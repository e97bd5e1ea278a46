//! The options on a command line that the grammar does not understand as a whole.

use std::ffi::OsString;

use super::super::options::GRAMMAR;
use super::super::request::Request;
use super::values::{is_key, is_number};
use crate::cli::{Effect, Opt};
use crate::text;

/// An option as it was typed, known or not.
pub(super) struct Typed {
    /// `-x` or `--long`.
    pub name: String,
    /// What stands behind it: attached, or the next argument if that may be a value.
    pub value: Option<String>,
    /// Is the value a part of the same argument?
    pub attached: bool,
    pub known: Option<&'static Opt<Request>>,
}

impl Typed {
    /// Does its value belong to it by the grammar?
    pub(super) fn takes_value(&self) -> bool {
        self.known.is_some_and(|opt| {
            matches!(opt.effect, Effect::Required(_) | Effect::Optional(_) | Effect::Attached(_))
        })
    }
}

/// The options among the arguments, as far as that can be known if some are unknown.
pub(super) fn typed(args: &[OsString]) -> Vec<Typed> {
    let mut found = Vec::new();
    let mut args = args.iter().map(|arg| text::utf8(arg.as_encoded_bytes()).into_owned()).peekable();
    while let Some(arg) = args.next().filter(|arg| arg != "--") {
        let known = |is_it: &dyn Fn(&Opt<Request>) -> bool| GRAMMAR.options.iter().find(|opt| is_it(opt));
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let known = known(&|opt| opt.long == name);
            let (name, attached) = (format!("--{name}"), value.is_some());
            found.push(Typed { name, value: value.map(str::to_owned), attached, known });
        } else if let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            if is_number(letters) {
                found.push(Typed { name: arg.clone(), value: None, attached: false, known: None });
                continue;
            }
            for (at, letter) in letters.char_indices() {
                let rest = &letters[at + letter.len_utf8()..];
                let one = Typed {
                    name: format!("-{letter}"),
                    value: None,
                    attached: false,
                    known: known(&|opt| opt.short == Some(letter)),
                };
                let attached =
                    !rest.is_empty() && (one.takes_value() || rest.starts_with(|c: char| c.is_ascii_digit()));
                found.push(Typed { value: attached.then(|| rest.to_owned()), attached, ..one });
                if attached {
                    break;
                }
            }
        } else {
            continue;
        }
        if let Some(last) = found.last_mut().filter(|last| last.value.is_none()) {
            let is_value = |next: &String| last.takes_value() || !next.starts_with('-') || is_key(next);
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
