//! `ctr-ps` lists the processes of this host, each with the container it runs in, whatever made the
//! container: Docker, containerd, Kubernetes over containerd, Podman. No daemon is asked: control groups say
//! which container, and the runtimes' files on disk say its name. So it works when daemons are stopped or
//! hang, in one step, for all of them at once.
//!
//! Columns: USER, the effective user on the host; PID on the host; CPID, the PID in the process's own pid
//! namespace, which is what its log says; CONTAINER, as `RUNTIME:NAME`, or `-` for the host's own processes;
//! COMMAND with its arguments, or the process's name in brackets if it has none.
//!
//! NAME is what the runtime calls the container: `docker:web`, `podman:db`; with containerd's namespace for
//! what was started with ctr(1): `containerd:default/redis`; `k8s:NAMESPACE/POD/CONTAINER` for Kubernetes,
//! where the container POD is the pod's own pause process. `RUNTIME:NAME` is also what nsenter(1) takes.
//!
//! A control group's name alone is no proof. Where no state on disk vouches for it, because it is not
//! readable for us or because somebody made a group of that name, the first digits of the id are shown with a
//! question mark: `docker:0123456789ab?`.
//!
//! Control characters and the like in names and arguments are shown as `\xNN` or `\u{NNNN}`. Lines are cut to
//! the width of a terminal, and are whole elsewhere.
//!
//! # Exit status
//!
//! 0; 1 on failure, or when no container matches what `--container` names.
//!
//! # Examples
//!
//! Who runs what, as a tree:
//!
//! ```text
//! ctr-ps --forest
//! ```
//!
//! Kill what is left of a container:
//!
//! ```text
//! ctr-ps -q -c docker:web | xargs kill
//! ```
//!
//! The container of process 4711, for scripts:
//!
//! ```text
//! ctr-ps --json | jq -r '.processes[] | select(.pid == 4711) | .container'
//! ```
//!
//! # JSON
//!
//! `{"processes": [...]}`, in the order of the lines, with the members pid, ppid, cpid, user, runtime,
//! container (the NAME), id, pod, pod_namespace, image and command; null where there is none. The id of
//! containerd's containers has the namespace before it. Bytes that are no UTF-8 are written `\xNN`.
//!
//! # See also
//!
//! nsenter(1), ps(1), cgroups(7), pid_namespaces(7)

mod gather;
mod show;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::anyhow;

use crate::cli::{Call, Effect, Grammar, Opt, set};
use crate::container::Files;
use crate::exit::{Exit, Outcome, warn};
use crate::output::style::When;
use crate::output::text;
use crate::proc::ProcRoot;

#[derive(Default)]
struct Request {
    forest: bool,
    json: bool,
    containers: Vec<String>,
    quiet: bool,
    no_headings: bool,
    kernel_threads: bool,
    colour: When,
    verbose: bool,
    root: Option<PathBuf>,
    proc_root: Option<PathBuf>,
}

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options]",
    stops_at_operand: false,
    options: &[
        Opt::new(None, "forest", "draw the tree of processes", Effect::Flag(|r| set(&mut r.forest))),
        Opt::new(
            Some('c'),
            "container",
            "only this container: NAME, RUNTIME:NAME or beginning of the id",
            Effect::Required(container),
        )
        .takes("name"),
        Opt::new(Some('J'), "json", "print JSON", Effect::Flag(|r| set(&mut r.json))),
        Opt::new(Some('q'), "quiet", "print PIDs only", Effect::Flag(|r| set(&mut r.quiet))),
        Opt::new(Some('n'), "noheadings", "print no headings", Effect::Flag(|r| set(&mut r.no_headings))),
        Opt::new(
            Some('k'),
            "kernel-threads",
            "list the threads of the kernel too",
            Effect::Flag(|r| set(&mut r.kernel_threads)),
        ),
        Opt::new(None, "color", "colour the output: auto, always or never", Effect::Optional(colour))
            .takes("when"),
        Opt::new(
            Some('v'),
            "verbose",
            "say which state files could not be used",
            Effect::Flag(|r| set(&mut r.verbose)),
        ),
        Opt::new(
            None,
            "root",
            "look at the system whose root directory is mounted at DIR",
            Effect::Required(root),
        )
        .takes("dir"),
        Opt::new(None, "proc-root", "read this in place of /proc", Effect::Required(proc_root))
            .takes("dir")
            .hidden(),
        Opt::help(),
        Opt::version(),
    ],
};

pub fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let operands = GRAMMAR.parse(call, &mut request)?;
    if let Some(operand) = operands.first() {
        return Err(unexpected(call, operand));
    }
    let root = request.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let files = Files::new(&root)?;
    let proc = match (&request.proc_root, &request.root) {
        (Some(proc), _) => ProcRoot::new(proc),
        (None, None) => ProcRoot::default(),
        (None, Some(root)) => {
            let missing = || anyhow!("cannot read {}: is proc mounted there?", root.join("proc").display());
            ProcRoot::new(files.locate("/proc").ok_or_else(missing)?)
        }
    };

    let list = gather::gather(&proc, &files, &request)?;
    show::show(&list, &request)?;
    if request.verbose {
        files.warnings().iter().for_each(|problem| warn(call.name, &text::escape(problem.as_bytes())));
    }
    Ok(0)
}

#[must_use]
pub fn options(name: &'static str, about: &'static str) -> clap::Command {
    GRAMMAR.command(name, about)
}

fn unexpected(call: &Call, operand: &OsString) -> Exit {
    let (argv0, operand) = (text::shown(&call.argv0), text::shown(operand));
    Exit::Usage(format!("{argv0}: unexpected argument '{operand}' (a container is given with -c)"))
}

fn root(request: &mut Request, path: &OsStr) -> Result<(), Exit> {
    request.root = Some(PathBuf::from(path));
    Ok(())
}

fn proc_root(request: &mut Request, path: &OsStr) -> Result<(), Exit> {
    request.proc_root = Some(PathBuf::from(path));
    Ok(())
}

fn container(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    let Some(word) = word.to_str().filter(|word| !word.is_empty()) else {
        return Err(anyhow!("'{}' names no container", text::shown(word)).into());
    };
    request.containers.push(word.to_owned());
    Ok(())
}

fn colour(request: &mut Request, word: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(word)?;
    Ok(())
}
