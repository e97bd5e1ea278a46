//! Command lines as users of ps(1), docker(1), podman(1), crictl(1), htop(1) and systemd-cgls(1) type them: some work, and
//! for the others the error says what to type instead.

pub(super) mod columns;
pub(super) mod docker;
mod options;
mod typed;
mod values;
pub(super) mod words;

use std::ffi::OsString;

use anyhow::anyhow;

use super::options::GRAMMAR;
use super::request::Request;
use crate::cli::Call;
use crate::exit::Exit;
use typed::typed;

/// Parses the command line. If it cannot be parsed, the names that other programs have for long options count too.
pub(super) fn parse(call: &Call) -> Result<(Request, Vec<OsString>), Exit> {
    let first = parse_once(call);
    let error = match first {
        Ok((request, operands)) => {
            let mistaken = if operands.is_empty() { None } else { options::instead(&typed(&call.args)) };
            let mistaken = mistaken.map(|words| words::of_command(&call.args).unwrap_or(words));
            return mistaken.map_or(Ok((request, operands)), |words| Err(anyhow!(words).into()));
        }
        Err(Exit::Text(text)) => return Err(Exit::Text(text)),
        Err(error) => error,
    };
    if let Some(args) = options::renamed(&call.args) {
        let again = Call { name: call.name, about: call.about, argv0: call.argv0.clone(), args };
        return parse(&again);
    }
    let known = words::of_command(&call.args).or_else(|| words::before_a_key(&call.args));
    match known.or_else(|| options::instead(&typed(&call.args))) {
        Some(words) => Err(anyhow!(words).into()),
        None => Err(error),
    }
}

fn parse_once(call: &Call) -> Result<(Request, Vec<OsString>), Exit> {
    let mut request = Request::default();
    let operands = GRAMMAR.parse(call, &mut request)?;
    Ok((request, operands))
}
