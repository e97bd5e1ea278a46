//! `ctr-ps` lists the processes of this host, each with the container it runs in, whatever made the
//! container: Docker, containerd, Kubernetes, Podman, LXC, nspawn and many more, root's and ordinary users'.
//! No daemon is asked: control groups and namespaces say which container, and the runtimes' files on disk say
//! its name. So it works when daemons are stopped or hang, in one step, for all of them at once.
//!
//! Columns: USER, the effective user on the host; PID on the host; CPID, the PID in the process's own pid
//! namespace, which is what its log says; CONTAINER, as `RUNTIME:NAME`, or `-` for the host's own processes;
//! COMMAND with its arguments, or the process's name in brackets if it has none. `-o` chooses among many more
//! (`-H` lists them), `-f` has those of `ps -ef`, `--security` what the process may do.
//!
//! With `-l` the containers are listed, all runtimes' in one table: MEMORY is what is in use without what the
//! kernel can take back at once, LIMIT the least one of the control groups that the container is in, STARTED
//! that of its first process.
//!
//! # Containers
//!
//! NAME is what the runtime calls the container: `docker:web`, `podman:db`; with containerd's namespace for
//! what was started with ctr(1): `containerd:default/redis`; `k8s:NAMESPACE/POD/CONTAINER` for Kubernetes,
//! where the container POD is the pod's own pause process. Of a container in a container both are shown, the
//! outer one first: `docker:kind/k8s:shop/web-1/app`. What nobody known has made is `anon:` and the number of
//! its namespace; `-l` adds its host name.
//!
//! `-c` takes that form, as nsenter(1) does: NAME, `RUNTIME:NAME`, the beginning of an id (4 digits or more),
//! `NAMESPACE/POD`, `compose:PROJECT/SERVICE`, or the PID of any process in the container. With `@CPID` after any of
//! these but a PID (`web@17`), it is the one process that has this PID inside. A container is shown with those that run in it, a pod with all its
//! containers but the pause process, and a service with all its replicas. Of several with one name, root's is
//! meant before a user's and the host's before one inside of a container; the PID always tells them apart.
//!
//! A control group's name alone is no proof. Where no state on disk vouches for it, because it is not
//! readable for us or because somebody made a group of that name, the first digits of the id are shown with a
//! question mark: `docker:0123456789ab?`. To nsenter(1) and `cgexec --like` the question mark must be given, in
//! quotes; `-c` takes the container without it, and says on standard error that it is unverified if no column
//! does. A line there also says to whom a container of another user belongs, if the column OWNER is not shown.
//! The column HOW says how each is known: `state`, by the runtime's files
//! and the control group; `cgroup`, by that name alone; `namespace`, by the namespaces it shares with a
//! container that is known; `anonymous`, by namespaces that nobody claims.
//!
//! The column VIA says how a process came into its container: `init` is its first process, `fork` descends
//! from that, `exec` came later into its control group (docker exec, a probe), and `ns` into its namespaces
//! alone (nsenter(1)). `--how` takes the words of both columns.
//!
//! Control characters and the like in names and arguments are shown as `\xNN` or `\u{NNNN}`. Lines are cut to
//! the width of a terminal, and are whole elsewhere or with `-w`.
//!
//! # Exit status
//!
//! 0; 1 on failure, when no container matches what `-c` names, and with `-p` when none of the processes is in
//! a container or one of them is not there.
//!
//! # Examples
//!
//! Who runs what, as a tree:
//!
//! ```text
//! ctr-ps --forest
//! ```
//!
//! Every container of this host, and what it takes:
//!
//! ```text
//! ctr-ps -l
//! ```
//!
//! Which container is this? The log, top(1) or dmesg(1) named process 4711:
//!
//! ```text
//! ctr-ps -p 4711
//! ```
//!
//! The log of the container `web` complains of its process 17:
//!
//! ```text
//! ctr-ps -c web@17
//! ```
//!
//! What came into containers from outside, and may have been forgotten there:
//!
//! ```text
//! ctr-ps --how exec,ns -o +via,elapsed
//! ```
//!
//! Who may do more than the runtime gives by default, or has no filter:
//!
//! ```text
//! ctr-ps -C --init --security
//! ```
//!
//! What takes the memory, anew every second:
//!
//! ```text
//! ctr-ps -c web -o pid,rss,cpu,command --watch=1
//! ```
//!
//! The host hangs, and so does ps(1): names alone, as reading command lines waits for a process that is stuck
//! in its memory:
//!
//! ```text
//! ctr-ps --no-args --forest
//! ```
//!
//! Kill what is left of a container:
//!
//! ```text
//! ctr-ps -q -c docker:web | xargs kill
//! ```
//!
//! # JSON
//!
//! `{"processes": [...]}`, in the order of the lines, with the members pid, ppid, cpid, user, runtime,
//! container (the NAME), id, pod, pod_namespace, image, engine, chain, how and command; null where there is none.
//! With `-o`, what that names. `{"containers": [...]}` with `-l`. Numbers are numbers: memory in bytes, times in
//! seconds. The id of containerd's containers has the namespace before it. Bytes that are no UTF-8 are written
//! `\xNN`.
//!
//! # See also
//!
//! nsenter(1), ps(1), cgroups(7), pid_namespaces(7)

mod caps_text;
mod cells;
mod clock;
mod columns;
mod containers;
mod details;
mod gather;
mod host;
mod list;
mod origin;
mod prefetch;
mod process;
mod select;
mod show;
mod usage;
mod watch;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::cli::{Call, Effect, Grammar, Opt, set, unglued};
use crate::container::target;
use crate::exit::{Exit, Outcome, warn};
use crate::isolation::identity::Way;
use crate::output::Out;
use crate::output::style::When;
use crate::text;
use columns::Id;
use gather::{Found, Wanted, gather};
use host::Host;
use list::Of;
use select::Selection;

#[derive(Default)]
struct Request {
    selection: Selection,
    /// As they were given: whose they are is looked up in the passwd of the host that is looked at.
    users: Vec<OsString>,
    list: bool,
    forest: bool,
    by_container: bool,
    preset: Option<&'static [Id]>,
    columns: Option<String>,
    list_columns: bool,
    form: Form,
    no_headings: bool,
    wide: bool,
    no_args: bool,
    watch: Option<Duration>,
    colour: When,
    verbose: bool,
    root: Option<PathBuf>,
    proc_root: Option<PathBuf>,
    way: Way,
}

/// How the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    People,
    Raw,
    Json,
    /// PIDs, or containers in their shortest exact form.
    Quiet,
}

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] [-p pid... | -c target...]",
    stops_at_operand: false,
    options: &[
        Opt::new(
            Some('c'),
            "container",
            "only these containers: NAME, RUNTIME:NAME, beginning of an id, PID, NS/POD, compose:PROJECT/SERVICE",
            Effect::Required(container),
        )
        .takes("target"),
        Opt::new(
            Some('p'),
            "pid",
            "only these processes; status 1 if none is in a container",
            Effect::Required(pid),
        )
        .takes("pid"),
        Opt::new(
            Some('C'),
            "only-containers",
            "only processes in containers",
            Effect::Flag(|r| set(&mut r.selection.contained)),
        ),
        Opt::new(None, "runtime", "only containers of these runtimes", Effect::Required(runtime)).takes("list"),
        Opt::new(Some('u'), "user", "only processes of these users", Effect::Required(user)).takes("list"),
        Opt::new(None, "init", "only the first process of each container", Effect::Flag(init)),
        Opt::new(
            None,
            "how",
            "only what came in so (init, fork, exec, ns) or is known so (state, cgroup, namespace, anonymous)",
            Effect::Required(how),
        )
        .takes("list"),
        Opt::new(
            Some('k'),
            "kernel-threads",
            "list the threads of the kernel too",
            Effect::Flag(|r| set(&mut r.selection.kernel_threads)),
        ),
        Opt::new(Some('l'), "list", "list containers, not processes", Effect::Flag(|r| set(&mut r.list))),
        Opt::new(None, "forest", "draw the tree of processes", Effect::Flag(|r| set(&mut r.forest))),
        Opt::new(
            None,
            "by-container",
            "container after container, with a heading each",
            Effect::Flag(|r| set(&mut r.by_container)),
        ),
        Opt::new(
            Some('o'),
            "output",
            "columns to print; with a + before the list, besides the default, whose last stays last",
            Effect::Required(output),
        )
        .takes("list"),
        Opt::new(
            Some('H'),
            "list-columns",
            "list the columns there are; with -l those of containers",
            Effect::Flag(|r| set(&mut r.list_columns)),
        ),
        Opt::new(
            Some('f'),
            "full",
            "the columns of ps -ef, and the container",
            Effect::Flag(|r| preset(r, columns::FULL)),
        ),
        Opt::new(
            None,
            "security",
            "capabilities, seccomp, security module",
            Effect::Flag(|r| preset(r, columns::SECURITY)),
        ),
        Opt::new(Some('J'), "json", "print JSON", Effect::Flag(|r| form(r, Form::Json))),
        Opt::new(Some('r'), "raw", "print raw: blanks between cells, no layout", Effect::Flag(|r| form(r, Form::Raw))),
        Opt::new(Some('q'), "quiet", "print PIDs only; with -l containers only", Effect::Flag(|r| form(r, Form::Quiet))),
        Opt::new(Some('n'), "noheadings", "print no headings", Effect::Flag(|r| set(&mut r.no_headings))),
        Opt::new(Some('w'), "wide", "never cut lines", Effect::Flag(|r| set(&mut r.wide))),
        Opt::new(
            None,
            "no-args",
            "print names in place of command lines, and read none: that can hang",
            Effect::Flag(|r| set(&mut r.no_args)),
        ),
        Opt::new(None, "watch", "anew every SEC seconds (2) until interrupted", Effect::Optional(watch))
            .takes("sec"),
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
        Opt::new(None, "portable", "ask files where pidfds would tell", Effect::Flag(portable)).hidden(),
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

pub(crate) fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let operands = GRAMMAR.parse(call, &mut request)?;
    if request.list_columns {
        return show::list_columns(&request).map(|()| 0);
    }
    more(call, &mut request, &operands)?;
    let host = Host::new(&request)?;
    for list in &request.users {
        request.selection.users.extend(select::users(list, &host.passwd)?);
    }
    let columns = Columns::new(&request)?;
    if let Some(interval) = request.watch {
        // Who has logged in meanwhile, and what was mounted, is looked for anew.
        let frame = |out: &mut Out| answer(out, &Host::new(&request)?, &request, &columns).map(drop);
        return watch::watch(interval, frame).map(|()| 0);
    }
    let mut out = Out::stdout();
    let problems = || {
        if request.verbose {
            let say = |problem: &String| warn(call.name, &text::escape(problem.as_bytes()));
            host.files.warnings().iter().for_each(say);
        }
    };
    // A container that is not found may have its name in a file that cannot be read.
    let found = answer(&mut out, &host, &request, &columns).inspect_err(|_| problems())?;
    out.finish()?;
    for note in notes(&found, &host, &request, &columns) {
        warn(call.name, &note);
    }
    for pid in &found.missing {
        warn(call.name, &format!("no process {pid}"));
    }
    problems();
    let hosts = || found.list.iter().all(|process| process.container.is_none());
    Ok(u8::from(!request.selection.pids.is_empty() && (!found.missing.is_empty() || hosts())))
}

#[must_use]
pub(crate) fn options(name: &'static str, about: &'static str) -> clap::Command {
    GRAMMAR.command(name, about)
}

/// What is printed.
enum Columns {
    Processes(Vec<Id>),
    Containers(Vec<Of>),
}

impl Columns {
    fn new(request: &Request) -> Result<Columns> {
        let json = request.form == Form::Json;
        if request.list {
            let all: Vec<Of> = list::COLUMNS.iter().map(|row| row.0).collect();
            let default = if json { &all } else { list::DEFAULT };
            let list = request.columns.as_ref().map(|list| columns::parse(list, default, list::named));
            return Ok(Columns::Containers(list.transpose()?.unwrap_or_else(|| default.to_vec())));
        }
        let default = request.preset.unwrap_or(if json { columns::JSON } else { columns::DEFAULT });
        // The heading has it.
        let headed = request.by_container && request.form == Form::People;
        let default: Vec<Id> =
            default.iter().copied().filter(|id| !(headed && *id == Id::Container)).collect();
        let list = request.columns.as_ref().map(|list| columns::parse(list, &default, columns::named));
        Ok(Columns::Processes(list.transpose()?.unwrap_or(default)))
    }

    fn has(&self, id: Id) -> bool {
        match self {
            Columns::Processes(columns) => columns.contains(&id),
            Columns::Containers(columns) => {
                columns.iter().any(|column| matches!(column, Of::Same(same) if *same == id))
            }
        }
    }

    fn needs(&self) -> u16 {
        match self {
            Columns::Processes(columns) => columns.iter().fold(0, |needs, id| needs | id.needs()),
            Columns::Containers(_) => 0,
        }
    }
}

/// What the words of `-c` do not say of their containers, and no column that is printed.
fn notes(found: &Found, host: &Host, request: &Request, columns: &Columns) -> BTreeSet<String> {
    let prints = |id: Id| request.form != Form::Quiet && columns.has(id);
    let marked = prints(Id::Container) || prints(Id::IdentifiedBy);
    let headed = request.by_container && request.form == Form::People;
    let mut notes = BTreeSet::new();
    for (word, number) in &found.chosen.named {
        let container = &found.containers.all[*number].container;
        let word = target::without_cpid(word);
        if !marked && !headed {
            notes.extend(target::unverified(container, word));
        }
        if !prints(Id::Owner) {
            notes.extend(target::of_another_user(container, word, || host.passwd.clone()));
        }
    }
    notes
}

/// Looks, and prints what there is.
fn answer(out: &mut Out, host: &Host, request: &Request, columns: &Columns) -> Result<Found, Exit> {
    let wanted = Wanted {
        selection: &request.selection,
        way: request.way,
        needs: if request.form == Form::Quiet { 0 } else { columns.needs() },
        no_args: request.no_args,
    };
    let found = gather(&host.proc, &host.files, &wanted)?;
    let at = (&host.proc, &host.users);
    match columns {
        Columns::Processes(columns) => show::processes(out, &found, request, columns, at)?,
        Columns::Containers(columns) => show::containers(out, &found, request, columns, at)?,
    }
    Ok(found)
}

/// Operands are more of what `-p` or `-c` began.
fn more(call: &Call, request: &mut Request, operands: &[OsString]) -> Result<(), Exit> {
    for operand in operands {
        match (request.selection.pids.is_empty(), request.selection.containers.is_empty()) {
            (false, true) => pid(request, operand)?,
            (true, false) => container(request, operand)?,
            _ => return Err(unexpected(call, operand)),
        }
    }
    Ok(())
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

fn portable(request: &mut Request) -> Result<(), Exit> {
    request.way = Way::Files;
    Ok(())
}

fn container(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    let Some(word) = word.to_str().filter(|word| !word.split(',').all(str::is_empty)) else {
        return Err(anyhow!("'{}' names no container", text::shown(word)).into());
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

fn runtime(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.selection.runtimes.extend(select::runtimes(list)?);
    Ok(())
}

fn user(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.users.push(list.to_os_string());
    Ok(())
}

fn init(request: &mut Request) -> Result<(), Exit> {
    request.selection.vias.push(process::Origin::Init);
    Ok(())
}

fn how(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    Ok(select::hows(list, &mut request.selection)?)
}

fn output(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.columns = Some(text::shown(list).into_owned());
    Ok(())
}

fn preset(request: &mut Request, columns: &'static [Id]) -> Result<(), Exit> {
    request.preset = Some(columns);
    Ok(())
}

/// Of `-q` and another the other counts: it prints PIDs too.
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

fn watch(request: &mut Request, seconds: Option<&OsStr>) -> Result<(), Exit> {
    request.watch = Some(watch::interval(seconds.map(unglued))?);
    Ok(())
}

fn colour(request: &mut Request, word: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(word)?;
    Ok(())
}
