//! The options of ctr-top.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use super::columns::{Key, Order};
use crate::cli::{Effect, Grammar, Opt, Words, number, set};
use crate::exit::Exit;
use crate::output::style::When;
use crate::text;

#[derive(Default)]
pub(super) struct Request {
    pub targets: Vec<OsString>,
    pub batch: bool,
    pub iterations: Option<u64>,
    pub delay: Option<Duration>,
    pub sort: Order,
    pub all: bool,
    pub per_pod: bool,
    pub columns: Vec<String>,
    pub list_columns: bool,
    pub form: Form,
    pub no_headings: bool,
    pub wide: bool,
    pub colour: When,
    pub root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    People,
    Raw,
    Json,
    Prometheus,
}

pub(super) static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] [target...]",
    stops_at_operand: false,
    options: &[
        Opt::new(
            Some('a'),
            "all",
            "also show the host's groups of services",
            Effect::Flag(|r| set(&mut r.all)),
        ),
        Opt::new(
            None,
            "per",
            "show one row for each of these: container (default), pod",
            Effect::Required(per),
        )
        .takes("unit")
        .offers(Words::Choice(&["container", "pod"])),
        Opt::new(
            Some('s'),
            "sort",
            "sort by cpu (default), mem, io, net, pids, throttled or name; -KEY reverses the order",
            Effect::Required(sort),
        )
        .takes("key")
        .offers(Words::Choice(&["cpu", "mem", "io", "net", "pids", "throttled", "name"])),
        Opt::new(
            Some('o'),
            "output",
            "columns to print, or keys of -s; +LIST adds columns to the default ones",
            Effect::Required(output),
        )
        .takes("list")
        .lists(Words::Columns),
        Opt::list_columns(|r| set(&mut r.list_columns)),
        Opt::new(
            Some('b'),
            "batch",
            "print one table after the other; the default if standard output is no terminal",
            Effect::Flag(|r| set(&mut r.batch)),
        ),
        Opt::new(Some('n'), "iterations", "end after this many tables", Effect::Required(iterations))
            .takes("count"),
        Opt::new(Some('d'), "delay", "seconds between two tables, 1 if not given", Effect::Required(delay))
            .takes("sec"),
        Opt::new(
            Some('J'),
            "json",
            "print JSON, a document in each line",
            Effect::Flag(|r| form(r, Form::Json)),
        ),
        Opt::new(
            Some('r'),
            "raw",
            "print raw: cells separated by blanks, not aligned, numbers without units",
            Effect::Flag(|r| form(r, Form::Raw)),
        ),
        Opt::new(
            None,
            "prometheus",
            "print one sample in the text format of Prometheus, and end",
            Effect::Flag(|r| form(r, Form::Prometheus)),
        ),
        // As docker stats, systemd-cgtop and kubectl top have them.
        Opt::new(None, "no-stream", "", Effect::Flag(one_table)).hidden(),
        Opt::new(None, "no-trunc", "", Effect::Flag(wide)).hidden(),
        Opt::new(None, "format", "", Effect::Required(format)).hidden(),
        Opt::new(None, "order", "", Effect::Required(sort)).hidden(),
        Opt::new(None, "sort-by", "", Effect::Required(sort)).hidden(),
        Opt::new(None, "noheadings", "print no headings", Effect::Flag(|r| set(&mut r.no_headings))),
        Opt::new(Some('w'), "wide", "never cut lines of a printed table", Effect::Flag(wide)),
        Opt::color(colour),
        Opt::root(root),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[("all", "Contents"), ("batch", "Output"), ("root", "Other options")],
};

impl Request {
    pub(super) fn delay(&self) -> Duration {
        self.delay.unwrap_or(Duration::from_secs(1))
    }
}

/// Refuses combinations that could only be ignored.
pub(super) fn check(request: &Request) -> Result<()> {
    let columns = !request.columns.is_empty();
    match request.form {
        Form::Prometheus if columns => bail!("--prometheus and --output are mutually exclusive"),
        Form::Prometheus if request.per_pod => bail!("--prometheus and --per pod are mutually exclusive"),
        Form::Prometheus if request.iterations.is_some() => {
            bail!("--prometheus and --iterations are mutually exclusive")
        }
        Form::Json if columns => bail!("--json and --output are mutually exclusive: JSON has all values"),
        _ => Ok(()),
    }
}

fn form(request: &mut Request, form: Form) -> Result<(), Exit> {
    if request.form != Form::People && request.form != form {
        return Err(anyhow!("--json, --raw and --prometheus are mutually exclusive").into());
    }
    request.form = form;
    Ok(())
}

/// Of `docker stats` only `json` has a meaning here.
fn format(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    match word.to_str() {
        Some("json") => form(request, Form::Json),
        _ => {
            Err(anyhow!("unknown format '{}': -J prints JSON, -o chooses columns", text::shown(word)).into())
        }
    }
}

fn wide(request: &mut Request) -> Result<(), Exit> {
    set(&mut request.wide)
}

fn one_table(request: &mut Request) -> Result<(), Exit> {
    (request.batch, request.iterations) = (true, Some(1));
    Ok(())
}

fn per(request: &mut Request, unit: &OsStr) -> Result<(), Exit> {
    request.per_pod = match unit.to_str() {
        Some("pod" | "pods") => true,
        Some("container" | "containers") => false,
        _ => return Err(anyhow!("unknown unit '{}' (container, pod)", text::shown(unit)).into()),
    };
    Ok(())
}

fn sort(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    let names = Key::ALL.map(|(_, name)| name);
    let near = || text::or_did_you_mean(word.to_string_lossy().trim_start_matches('-'), names);
    let unknown =
        || anyhow!("unknown sort key '{}'{} (there are: {})", text::shown(word), near(), names.join(", "));
    request.sort = word.to_str().and_then(Order::named).ok_or_else(unknown)?;
    Ok(())
}

fn output(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.columns.push(list.to_string_lossy().into_owned());
    Ok(())
}

fn iterations(request: &mut Request, count: &OsStr) -> Result<(), Exit> {
    let count: u64 = number(count, "invalid number of iterations")?;
    if count == 0 {
        return Err(anyhow!("invalid number of iterations: '0' (at least 1)").into());
    }
    request.iterations = Some(count);
    Ok(())
}

fn delay(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.delay = Some(interval(word)?);
    Ok(())
}

/// Seconds, maybe with a fraction, at least 0.1.
fn interval(word: &OsStr) -> Result<Duration> {
    let seconds = word.to_str().and_then(|word| word.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| (0.1..=1e6).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        anyhow!("invalid delay '{}': expected seconds, from 0.1 to 1000000", text::shown(word))
    })
}

fn colour(request: &mut Request, when: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(when)?;
    Ok(())
}

fn root(request: &mut Request, directory: &OsStr) -> Result<(), Exit> {
    request.root = Some(directory.into());
    Ok(())
}
