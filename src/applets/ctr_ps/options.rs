//! The options of ctr-ps.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};

use super::columns::{self, Id};
use super::habits::{columns::LONG, docker};
use super::host::Host;
use super::process::Origin;
use super::request::{Form, Request};
use super::{select, watch};
use crate::cli::{Effect, Grammar, Opt, Words, set, unglued};
use crate::exit::Exit;
use crate::isolation::identity::Way;
use crate::output::style::When;
use crate::text;

pub(super) static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] [-p pid... | [-c] target...]",
    stops_at_operand: false,
    options: &[
        Opt::new(
            Some('c'),
            "container",
            "only these containers: NAME, RUNTIME:NAME, beginning of an id, PID, NS/POD, compose:PROJECT/SERVICE",
            Effect::Required(container),
        )
        .takes("target").lists(Words::Target),
        Opt::new(
            Some('p'),
            "pid",
            "only these processes; status 1 if none is in a container",
            Effect::Required(pid),
        )
        .takes("pid").lists(Words::Pid),
        Opt::new(
            Some('C'),
            "only-containers",
            "only processes in containers",
            Effect::Flag(|r| set(&mut r.selection.contained)),
        ),
        Opt::new(
            None,
            "host",
            "only processes in no container: the inverse of -C",
            Effect::Flag(|r| set(&mut r.selection.host)),
        ),
        Opt::new(None, "name", "only containers of these names; * stands for any text", Effect::Required(|r, v| attribute(r, "name", v)))
            .takes("glob").lists(Words::Attribute("name")),
        Opt::new(None, "image", "only containers of these images", Effect::Required(|r, v| attribute(r, "image", v)))
            .takes("glob").lists(Words::Attribute("image")),
        Opt::new(None, "label", "only containers with this label", Effect::Required(|r, v| attribute(r, "label", v)))
            .takes("key[=value]").offers(Words::Attribute("label")),
        Opt::new(
            None,
            "pod-namespace",
            "only containers of pods in this namespace of Kubernetes",
            Effect::Required(|r, v| attribute(r, "pod-namespace", v)),
        )
        .takes("glob").lists(Words::Attribute("pod-namespace")),
        Opt::new(None, "pod", "an option of podman and crictl", Effect::Flag(|_: &mut Request| Err(anyhow!("no option --pod").into()))).hidden(),
        Opt::new(None, "project", "only containers of this compose project", Effect::Required(|r, v| attribute(r, "project", v)))
            .takes("glob").lists(Words::Attribute("project")),
        Opt::new(None, "service", "only containers of this compose service", Effect::Required(|r, v| attribute(r, "service", v)))
            .takes("glob").lists(Words::Attribute("service")),
        Opt::new(None, "status", "only containers with this status: running, paused, restarting, created, exited, stopped", Effect::Required(|r, v| attribute(r, "status", v)))
            .takes("list").lists(Words::Choice(&["running", "paused", "restarting", "created", "exited", "stopped"])),
        Opt::new(
            Some('Q'),
            "filter",
            "only lines for which this expression is true; the page has its grammar",
            Effect::Required(filter),
        )
        .takes("expr"),
        Opt::new(None, "runtime", "only containers of these runtimes", Effect::Required(runtime)).takes("list").lists(Words::Runtime),
        Opt::new(Some('u'), "user", "only processes of these users", Effect::Required(user)).takes("list").lists(Words::User),
        Opt::new(None, "ppid", "only processes with these parents", Effect::Required(ppid)).takes("pid").lists(Words::Pid),
        Opt::new(Some('t'), "tty", "only processes on these terminals; - for those without one", Effect::Required(tty))
            .takes("list").lists(Words::Tty),
        Opt::new(None, "init", "only the first process of each container", Effect::Flag(init)),
        Opt::new(
            None,
            "how",
            "only processes of this origin (init, fork, exec, ns) or identification (state, cgroup, namespace, anonymous)",
            Effect::Required(how),
        )
        .takes("list").lists(Words::Choice(&select::HOWS)),
        Opt::new(
            Some('k'),
            "kernel-threads",
            "also list kernel threads",
            Effect::Flag(|r| set(&mut r.selection.kernel_threads)),
        ),
        Opt::new(Some('e'), "every", "no effect, as -A and -a: all processes are listed", Effect::Flag(|r| set(&mut r.every))),
        Opt::new(Some('A'), "all-processes", "the same as -e", Effect::Flag(|r: &mut Request| set(&mut r.every))).hidden(),
        Opt::new(Some('x'), "without-tty", "as in -ax of ps", Effect::Flag(|r: &mut Request| set(&mut r.bsd))).hidden(),
        Opt::new(
            Some('a'),
            "all",
            "with -l also containers that do not run; else no effect",
            Effect::Flag(|r: &mut Request| set(&mut r.all)),
        ),
        Opt::new(Some('T'), "threads", "also list threads; also -L", Effect::Flag(|r| set(&mut r.threads))),
        Opt::new(Some('L'), "lwp", "the same as -T", Effect::Flag(|r: &mut Request| set(&mut r.threads))).hidden(),
        Opt::new(Some('l'), "list", "list containers instead of processes", Effect::Flag(|r| set(&mut r.list))),
        Opt::new(None, "forest", "draw the process tree", Effect::Flag(|r| set(&mut r.forest))),
        Opt::new(
            None,
            "by-container",
            "group the processes by container, with a heading for each",
            Effect::Flag(|r| set(&mut r.by_container)),
        ),
        Opt::new(
            Some('o'),
            "output",
            "columns to print, as NAME or NAME=HEADING; +LIST adds columns before the last default one",
            Effect::Required(output),
        )
        .takes("list").lists(Words::Columns),
        Opt::new(None, "sort", "sort by these columns; -NAME in descending order", Effect::Required(sort))
            .takes("list").lists(Words::Columns),
        Opt::new(
            Some('H'),
            "list-columns",
            "list the available columns; with -l those of containers",
            Effect::Flag(|r| set(&mut r.list_columns)),
        ),
        Opt::new(
            Some('f'),
            "full",
            "print the columns of ps -ef and the container",
            Effect::Flag(|r| preset(r, columns::FULL)),
        ),
        Opt::new(
            None,
            "security",
            "print capabilities, seccomp mode and security label",
            Effect::Flag(|r| preset(r, columns::SECURITY)),
        ),
        Opt::new(Some('J'), "json", "print JSON", Effect::Flag(|r| form(r, Form::Json))),
        Opt::new(None, "jsonl", "print JSON, an object a line", Effect::Flag(json_lines)),
        Opt::new(Some('r'), "raw", "print raw: cells separated by blanks, not aligned", Effect::Flag(|r| form(r, Form::Raw))),
        Opt::new(Some('q'), "quiet", "print only PIDs; with -l only containers", Effect::Flag(|r| form(r, Form::Quiet))),
        Opt::new(Some('n'), "noheadings", "print no headings", Effect::Flag(|r| set(&mut r.no_headings))),
        Opt::new(Some('w'), "wide", "never cut lines", Effect::Flag(|r| set(&mut r.wide))),
        Opt::new(None, "no-trunc", "the same as -w; with -l also print whole ids", Effect::Flag(no_trunc)),
        Opt::new(
            None,
            "no-args",
            "print process names only; do not read /proc/PID/cmdline",
            Effect::Flag(|r| set(&mut r.no_args)),
        ),
        Opt::new(None, "watch", "repeat every SEC seconds (default 2) until interrupted", Effect::Optional(interval))
            .takes("sec"),
        Opt::color(colour),
        Opt::new(
            Some('v'),
            "verbose",
            "report the state files that could not be used",
            Effect::Flag(|r| set(&mut r.verbose)),
        ),
        Opt::root(root),
        Opt::proc_root(proc_root),
        Opt::new(None, "portable", "read files instead of using pidfds", Effect::Flag(portable)).hidden(),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[
        ("container", "Selection"),
        ("list", "Lists and trees"),
        ("output", "Columns"),
        ("json", "Output"),
        ("watch", "Display"),
        ("verbose", "Other options"),
    ],
};

/// Operands are targets, as of `-c`; after `-p` they are further PIDs. `ax` and `aux`, perhaps with `f`, are options of
/// ps(1).
pub(super) fn more(request: &mut Request, operands: &[OsString]) -> Result<(), Exit> {
    for operand in operands {
        match operand.to_str().unwrap_or_default() {
            word @ ("ax" | "axf" | "aux" | "auxf") => {
                request.preset = Some(if word.contains('u') { columns::AUX } else { columns::AX });
                request.forest |= word.ends_with('f');
            }
            word => match request.selection.pids.is_empty() {
                false if word.starts_with(|first: char| first.is_ascii_digit()) => pid(request, operand)?,
                _ => {
                    container(request, operand)?;
                    request.selection.operands.push(operand.to_string_lossy().into_owned());
                }
            },
        }
    }
    Ok(())
}

/// `-aux` and `-auxfww`: as in ps(1), these are `aux` and `auxf -w` if there is no user of that name. `-ax` and `-axf` are `ax`
/// and `axf`.
pub(super) fn bsd_after_a_dash(request: &mut Request, host: &Host) {
    if request.bsd {
        request.forest |= request.preset == Some(columns::FULL);
        request.preset = Some(columns::AX);
    }
    let [list] = &request.users[..] else { return };
    let Some(letters) = list.to_str().and_then(|list| list.strip_prefix('x')) else { return };
    let are_options = letters.chars().all(|letter| matches!(letter, 'f' | 'w'));
    if request.all && are_options && select::users(list, &host.passwd).is_err() {
        request.preset = Some(columns::AUX);
        request.forest |= letters.contains('f');
        request.wide |= letters.contains('w');
        request.users.clear();
    }
}

/// Refuses combinations that could only be ignored.
pub(super) fn check(request: &Request) -> Result<()> {
    if request.list_columns && (request.every || request.preset.is_some()) {
        bail!("-H lists the columns; type --forest for the tree of processes");
    }
    if request.list && (request.every || request.preset.is_some()) {
        bail!("-l lists containers; for the long format of ps type {}", LONG);
    }
    if !request.list && request.selection.attributes.wants_only_stopped() {
        bail!("containers that do not run have no processes; add -l to list containers");
    }
    let option = match () {
        () if request.forest => "--forest",
        () if request.by_container => "--by-container",
        () if request.threads => "--threads",
        () => return Ok(()),
    };
    match request.list {
        true => Err(anyhow!("options --list and {option} cannot be combined")),
        false => Ok(()),
    }
}

fn root(request: &mut Request, path: &OsStr) -> Result<(), Exit> {
    request.root = Some(PathBuf::from(path));
    Ok(())
}

fn proc_root(request: &mut Request, path: &OsStr) -> Result<(), Exit> {
    request.proc_root = Some(PathBuf::from(path));
    Ok(())
}

fn portable(request: &mut Request) -> Result<(), Exit> {
    request.way = Way::Files;
    Ok(())
}

fn container(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    let Some(word) = word.to_str().filter(|word| !word.split(',').all(str::is_empty)) else {
        return Err(anyhow!("'{}' is not a container name", text::shown(word)).into());
    };
    request.selection.containers.push(word.to_owned());
    Ok(())
}

fn pid(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    let pids = &mut request.selection.pids;
    pids.extend(select::pids(list)?);
    pids.sort_unstable();
    pids.dedup();
    Ok(())
}

fn ppid(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.selection.ppids.extend(select::pids(list)?);
    Ok(())
}

fn tty(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.selection.terminals.extend(select::terminals(list)?);
    Ok(())
}

fn attribute(request: &mut Request, option: &str, value: &OsStr) -> Result<(), Exit> {
    Ok(request.selection.attributes.add(option, value)?)
}

/// An expression, or a filter of docker(1).
fn filter(request: &mut Request, expression: &OsStr) -> Result<(), Exit> {
    let expression = text::utf8(expression.as_bytes());
    if !docker::filter(request, &expression)? {
        request.filter = Some(expression.into_owned());
    }
    Ok(())
}

fn sort(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.sort.push(text::shown(list).into_owned());
    Ok(())
}

fn no_trunc(request: &mut Request) -> Result<(), Exit> {
    request.whole = true;
    set(&mut request.wide)
}

fn json_lines(request: &mut Request) -> Result<(), Exit> {
    request.lines = true;
    form(request, Form::Json)
}

fn runtime(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.selection.runtimes.extend(select::runtimes(list)?);
    Ok(())
}

fn user(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.users.push(list.to_os_string());
    Ok(())
}

fn init(request: &mut Request) -> Result<(), Exit> {
    request.selection.vias.push(Origin::Init);
    Ok(())
}

fn how(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    Ok(select::hows(list, &mut request.selection)?)
}

fn output(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.columns.push(text::utf8(list.as_bytes()).into_owned());
    Ok(())
}

fn preset(request: &mut Request, columns: &'static [Id]) -> Result<(), Exit> {
    request.preset = Some(columns);
    Ok(())
}

/// `-q` gives way to another format, which prints PIDs too.
fn form(request: &mut Request, form: Form) -> Result<(), Exit> {
    request.form = match (request.form, form) {
        (Form::People | Form::Quiet, form) => form,
        (known, Form::Quiet) => known,
        (known, form) if known == form => form,
        _ => return Err(exclusive().into()),
    };
    Ok(())
}

fn exclusive() -> anyhow::Error {
    anyhow!("options --json and --raw cannot be combined")
}

fn interval(request: &mut Request, seconds: Option<&OsStr>) -> Result<(), Exit> {
    request.watch = Some(watch::interval(seconds.map(unglued))?);
    Ok(())
}

fn colour(request: &mut Request, word: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(word)?;
    Ok(())
}
