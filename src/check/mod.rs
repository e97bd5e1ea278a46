//! `ctrbox check`: what works on this host, and which applet or option lacks what.
//!
//! Each row of the tables is tried, as far as a try changes nothing: a process of its own makes each namespace and ends.

mod host;
mod kernel;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::exit::{self, Exit, Outcome};
use crate::output::style::{Painter, When};
use crate::output::{Out, json};
use crate::text;

const BOX: &str = "ctrbox";
const USAGE: &str = "ctrbox check [-J] [--root DIR]";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Works,
    /// What needs it works in another way, or a part of it does not.
    Missing,
    /// An applet does not work.
    Fails,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            State::Works => "works",
            State::Missing => "missing",
            State::Fails => "fails",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
struct Row {
    area: &'static str,
    what: String,
    state: State,
    /// What was found.
    detail: String,
    /// What lacks it, and what follows.
    without: Option<&'static str>,
}

impl Row {
    fn works(area: &'static str, what: impl Into<String>, detail: impl Into<String>) -> Row {
        Row { area, what: what.into(), state: State::Works, detail: detail.into(), without: None }
    }

    fn lacks(self, state: State, without: &'static str) -> Row {
        Row { state, without: Some(without), ..self }
    }
}

#[derive(Default)]
struct Request {
    json: bool,
    root: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    ctrbox: &'static str,
    host: Option<String>,
    boot_id: Option<String>,
    kernel: String,
    uid: u32,
    checks: &'a [Row],
}

/// Status 1: something does not work.
pub(crate) fn run(args: &[OsString]) -> Outcome {
    let request = parse(args)?;
    let rows: Vec<Row> = kernel::rows().into_iter().chain(host::rows(request.root.as_deref())).collect();
    let mut out = Out::stdout();
    match request.json {
        true => write_json(&mut out, &rows)?,
        false => write_text(&mut out, &rows),
    }
    out.finish()?;
    Ok(u8::from(rows.iter().any(|row| row.state == State::Fails)))
}

fn parse(args: &[OsString]) -> Result<Request, Exit> {
    let mut request = Request::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.to_str() {
            Some("-J" | "--json") => request.json = true,
            Some("--root") => {
                request.root = Some(PathBuf::from(rest.next().ok_or_else(|| {
                    Exit::Usage(format!("{BOX} check: option '--root' requires an argument"))
                })?))
            }
            Some("-h" | "--help") => return Err(Exit::Text(help())),
            Some(root) if root.starts_with("--root=") => {
                request.root = Some(PathBuf::from(&root["--root=".len()..]))
            }
            _ => {
                let options = ["--json", "--root", "--help"];
                let hint = exit::hint_line(|| text::did_you_mean(&arg.to_string_lossy(), options));
                let arg = text::shown(arg);
                return Err(Exit::Usage(format!("{BOX} check: unrecognized argument '{arg}'{hint}")));
            }
        }
    }
    Ok(request)
}

fn help() -> String {
    let about = "try what ctrbox needs on this host: kernel features, rights, limits, control groups and the state \
                 files of runtimes; status 1 if something does not work";
    let option = |long, help| clap::Arg::new(long).long(long).help(help);
    let flag = |long, short, help| option(long, help).short(short).action(clap::ArgAction::SetTrue);
    let mut command = clap::Command::new(BOX)
        .about(about)
        .override_usage(USAGE)
        .disable_help_flag(true)
        .arg(flag("json", 'J', "print JSON"))
        .arg(option("root", "where the root file system of the host is mounted").value_name("dir"))
        .arg(flag("help", 'h', "show this help"));
    command.render_help().to_string()
}

fn write_json(out: &mut Out, rows: &[Row]) -> anyhow::Result<()> {
    let proc = crate::proc::ProcRoot::default();
    let report = Report {
        ctrbox: env!("CARGO_PKG_VERSION"),
        host: proc.host_name(),
        boot_id: proc.boot_id(),
        kernel: kernel::release(),
        uid: nix::unistd::geteuid().as_raw(),
        checks: rows,
    };
    json::write(out, &report)?;
    writeln!(out)?;
    Ok(())
}

/// Rows that say the same of several things are one line.
fn joined(rows: &[Row]) -> Vec<Row> {
    let mut all: Vec<Row> = Vec::new();
    for row in rows {
        let same = |last: &&mut Row| {
            row.state != State::Works
                && (last.area, last.state, &last.detail, last.without)
                    == (row.area, row.state, &row.detail, row.without)
        };
        match all.last_mut().filter(same) {
            Some(last) => last.what = format!("{}, {}", last.what, row.what),
            None => all.push(row.clone()),
        }
    }
    all
}

/// Aligned rows below the name of their area; what a missing feature costs stands below it.
fn write_text(out: &mut Out, rows: &[Row]) {
    const WIDEST: usize = 30;
    let rows = joined(rows);
    let painter = Painter { colour: When::Auto.on_stdout() };
    let width = rows.iter().map(|row| text::width(&row.what)).max().unwrap_or(0).min(WIDEST);
    let mut area = "";
    for row in &rows {
        if row.area != area {
            area = row.area;
            let head =
                format!("{}{}\n", if std::ptr::eq(row, &rows[0]) { "" } else { "\n" }, painter.heading(area));
            out.push(head.as_bytes());
        }
        let word = format!("{:<8}", row.state.word());
        let word = if row.state == State::Fails { painter.alarm(&word) } else { word.as_str().into() };
        let pad = width.saturating_sub(text::width(&row.what));
        let line = format!("  {word} {}{:pad$}  {}", row.what, "", row.detail);
        out.push(line.trim_end().as_bytes());
        out.byte(b'\n');
        if let Some(without) = row.without {
            out.push(format!("  {:8} {}\n", "", painter.faint(&format!("-> {without}"))).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_that_does_not_work_says_what_follows() {
        for row in kernel::rows().into_iter().chain(host::rows(None)) {
            assert_eq!(row.state == State::Works, row.without.is_none(), "{row:?}");
            assert!(!row.what.is_empty() && !row.detail.contains('\n'), "{row:?}");
        }
    }

    #[test]
    fn arguments() {
        let parse = |words: &[&str]| parse(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(parse(&["-J"]).is_ok_and(|request| request.json));
        assert!(parse(&["--root=/host"]).is_ok_and(|request| request.root == Some(PathBuf::from("/host"))));
        for wrong in [&["--root"][..], &["x"], &["-x"]] {
            assert!(matches!(parse(wrong), Err(Exit::Usage(_))), "{wrong:?}");
        }
    }
}
