//! `ctr-ps` lists the processes of this host, each with the container it runs in. It knows the containers of
//! Docker, containerd, Kubernetes, Podman, LXC, systemd-nspawn and many more, of root and of ordinary users.
//! It asks no daemon. Control groups and namespaces show which container a process is in, and the runtimes'
//! state files on disk give the container's name. So it also works when a daemon is stopped or hangs.
//!
//! The default columns are USER, the effective user on the host; PID, the PID on the host; CPID, the PID in the
//! process's own pid namespace, which is the one in the container's logs; CONTAINER, as `RUNTIME:NAME`, or `-` for
//! a process of the host; and COMMAND, the command line, or the process's name in brackets if it has no arguments.
//! `-o` selects other columns (`-H` lists them). `-f` selects the columns of `ps -ef` and the container.
//! `--security` selects the columns that show what a process may do.
//!
//! `-l` lists the containers of all runtimes in one table. MEMORY is the memory in use, without the cache that the
//! kernel can reclaim at once. LIMIT is the lowest memory limit of the container's control group and the groups
//! above it. STARTED is how long ago the container's first process started.
//!
//! # Containers
//!
//! NAME is what the runtime calls the container: `docker:web`, `podman:db`. For containers started with ctr(1) it
//! includes containerd's namespace: `containerd:default/redis`. For Kubernetes it is
//! `k8s:NAMESPACE/POD/CONTAINER`, where the container POD is the pod's pause process. For nested containers all
//! names are shown, the outermost first: `docker:kind/k8s:shop/web-1/app`. A container of an unknown runtime is
//! shown as `anon:` and the number of its namespace; `-l` adds its host name.
//!
//! `-c` selects containers and takes the same TARGET as nsenter(1): NAME, `RUNTIME:NAME`, the beginning of an id (at
//! least 4 digits), `NAMESPACE/POD`, the name of a pod of Podman, `compose:PROJECT/SERVICE`, or the PID of any process
//! in the container. If a container of root or of the caller has a number as its name, that container wins over the
//! process with this PID (for nsenter(1) and the other applets a number is always a PID). `@CPID` after any of these except a PID (`web@17`) selects the one process that has this PID inside the container. A
//! container is shown together with the containers nested in it, a pod with all its containers except the pause
//! process, and a service with all its replicas. When several containers share a name, root's wins over a user's,
//! and the host's wins over a nested one.
//!
//! The name of a control group alone is no proof. If no readable state file confirms a container, it is
//! unverified: any user may have made a control group of that name. Such a container is shown by the first digits
//! of its id and a question mark: `docker:0123456789ab?`. nsenter(1) and `cgexec --like` accept it only with the
//! question mark, in quotes. `-c` also accepts it without the question mark, and then reports on standard error that
//! the container is unverified, unless a column shows it. If a container belongs to another user and the
//! column OWNER is not shown, a line on standard error names the owner.
//!
//! The column HOW shows how a container is identified: `state`, by the runtime's state files and the control group;
//! `cgroup`, by the name of the control group alone; `namespace`, by namespaces that the process shares with an
//! identified container; `anonymous`, by namespaces that belong to no identified container.
//!
//! The column VIA shows how a process came into its container: `init` is the container's first process, `fork` is a
//! descendant of it, `exec` joined the control group later (docker exec, a health check), and `ns` joined only
//! the namespaces (nsenter(1)). `--how` takes the values of both columns.
//!
//! Control characters and similar characters in names and arguments are shown as `\xNN` or `\u{NNNN}`. On a
//! terminal, lines are cut to its width, unless `-w` is given.
//!
//! # Exit status
//!
//! 0 on success; 1 on failure, if no container matches `-c`, and with `-p` if none of the processes is in a
//! container or one of them does not exist.
//!
//! # Examples
//!
//! The tree of processes, each with its container:
//!
//! ```text
//! ctr-ps --forest
//! ```
//!
//! All containers of this host, with their memory use:
//!
//! ```text
//! ctr-ps -l
//! ```
//!
//! The container of process 4711, which a log, top(1) or dmesg(1) named:
//!
//! ```text
//! ctr-ps -p 4711
//! ```
//!
//! The process that is number 17 in the log of the container `web`:
//!
//! ```text
//! ctr-ps -c web@17
//! ```
//!
//! Processes that were started in containers from outside, and how long ago:
//!
//! ```text
//! ctr-ps --how exec,ns -o +via,elapsed
//! ```
//!
//! How the capabilities of each container differ from the runtime's default, and whether it has a seccomp filter:
//!
//! ```text
//! ctr-ps -C --init --security
//! ```
//!
//! The memory and CPU use of a container's processes, every second:
//!
//! ```text
//! ctr-ps -c web -o pid,rss,cpu,command --watch=1
//! ```
//!
//! On a host where ps(1) hangs: show process names only. Reading the command line of a process can block while
//! its memory is locked:
//!
//! ```text
//! ctr-ps --no-args --forest
//! ```
//!
//! Kill the remaining processes of a container:
//!
//! ```text
//! ctr-ps -q -c docker:web | xargs kill
//! ```
//!
//! # JSON
//!
//! `{"processes": [...]}`, in the order of the lines. The members are pid, ppid, cpid, user, runtime, container (the
//! NAME), id, pod, pod_namespace, image, engine, chain, how and command; a missing value is null. With `-o`, the
//! members are the selected columns. With `-l`, `{"containers": [...]}`. Numbers are JSON numbers: memory in bytes,
//! times in seconds. The id of a container of containerd begins with its namespace. Bytes that are not UTF-8 are
//! written as `\xNN`.
//!
//! # See also
//!
//! nsenter(1), ps(1), cgroups(7), pid_namespaces(7)

mod caps_text;
mod cells;
mod columns;
mod containers;
mod details;
mod gather;
mod host;
mod list;
mod origin;
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

use crate::access;
use crate::cli::{Applet, Call, Effect, Grammar, Opt, set, unglued};
use crate::container::{IdentifiedBy, is_in_container_of_host, target};
use crate::exit::{self, Exit, Outcome, warn};
use crate::isolation::identity::Way;
use crate::output::Out;
use crate::output::style::When;
use crate::text;
use columns::Id;
use containers::Seen;
use gather::{Found, Wanted, gather};
use host::Host;
use list::ListColumn;
use select::Selection;

#[derive(Default)]
struct Request {
    selection: Selection,
    /// As given: they are looked up in the passwd file of the inspected host.
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

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    People,
    Raw,
    Json,
    /// PIDs, or containers in their shortest exact form.
    Quiet,
}

pub(crate) static APPLET: Applet = Applet {
    name: "ctr-ps",
    section: 1,
    failure: 1,
    about: "list the processes of this host, each with the container it runs in",
    run,
    grammar: &GRAMMAR,
};

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
            "only processes of this origin (init, fork, exec, ns) or identification (state, cgroup, namespace, anonymous)",
            Effect::Required(how),
        )
        .takes("list"),
        Opt::new(
            Some('k'),
            "kernel-threads",
            "also list kernel threads",
            Effect::Flag(|r| set(&mut r.selection.kernel_threads)),
        ),
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
            "columns to print; +LIST adds columns before the last default one",
            Effect::Required(output),
        )
        .takes("list"),
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
        Opt::new(Some('r'), "raw", "print raw: cells separated by blanks, not aligned", Effect::Flag(|r| form(r, Form::Raw))),
        Opt::new(Some('q'), "quiet", "print only PIDs; with -l only containers", Effect::Flag(|r| form(r, Form::Quiet))),
        Opt::new(Some('n'), "noheadings", "print no headings", Effect::Flag(|r| set(&mut r.no_headings))),
        Opt::new(Some('w'), "wide", "never cut lines", Effect::Flag(|r| set(&mut r.wide))),
        Opt::new(
            None,
            "no-args",
            "print process names only; do not read /proc/PID/cmdline",
            Effect::Flag(|r| set(&mut r.no_args)),
        ),
        Opt::new(None, "watch", "repeat every SEC seconds (default 2) until interrupted", Effect::Optional(watch))
            .takes("sec"),
        Opt::new(None, "color", "colour the output: auto, always or never", Effect::Optional(colour))
            .takes("when"),
        Opt::new(
            Some('v'),
            "verbose",
            "report the state files that could not be used",
            Effect::Flag(|r| set(&mut r.verbose)),
        ),
        Opt::new(
            None,
            "root",
            "inspect the system whose root directory is mounted at DIR",
            Effect::Required(root),
        )
        .takes("dir"),
        Opt::new(None, "proc-root", "read this directory instead of /proc", Effect::Required(proc_root))
            .takes("dir")
            .hidden(),
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

fn run(call: &Call) -> Outcome {
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
        // Users and mounts may have changed: read them again for each frame.
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
    // The name of a container that is not found may be in a file that cannot be read.
    let found = answer(&mut out, &host, &request, &columns).map_err(|error| {
        problems();
        let hint = missing_names(&host, &request).filter(|_| !request.selection.containers.is_empty());
        error.or_hint(move || hint.clone())
    })?;
    out.finish()?;
    for note in notes(&found, &host, &request, &columns) {
        warn(call.name, &note);
    }
    for pid in &found.missing {
        warn(call.name, &format!("no process {pid}"));
    }
    problems();
    let is_unverified = |seen: &Seen| seen.container.identified_by == IdentifiedBy::Cgroup;
    let names_are_missing = found.containers.all.iter().any(is_unverified);
    exit::hint(|| missing_names(&host, &request).filter(|_| names_are_missing));
    let none_contained = || found.list.iter().all(|process| process.container.is_none());
    Ok(u8::from(!request.selection.pids.is_empty() && (!found.missing.is_empty() || none_contained())))
}

/// Why no container has a name, in a container that shows the host's processes.
fn missing_names(host: &Host, request: &Request) -> Option<String> {
    let applies = request.root.is_none() && is_in_container_of_host(&host.proc);
    applies.then(|| {
        "the names of containers are in state files on the host, outside of this container: mount the host's root \
         directory here, for example at /host (docker run -v /:/host:ro, or a hostPath volume of a pod), and use \
         ctr-ps --root /host"
            .to_owned()
    })
}

/// The columns to print.
enum Columns {
    Processes(Vec<Id>),
    Containers(Vec<ListColumn>),
}

impl Columns {
    fn new(request: &Request) -> Result<Columns> {
        let json = request.form == Form::Json;
        if request.list {
            let all: Vec<ListColumn> = list::COLUMNS.iter().map(|row| row.0).collect();
            let default = if json { &all } else { list::DEFAULT };
            let list = request.columns.as_ref().map(|list| columns::parse(list, default, list::named));
            return Ok(Columns::Containers(list.transpose()?.unwrap_or_else(|| default.to_vec())));
        }
        let default = request.preset.unwrap_or(if json { columns::JSON } else { columns::DEFAULT });
        // The heading shows the container.
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
                columns.iter().any(|column| matches!(column, ListColumn::Same(same) if *same == id))
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

/// Notes on the containers that `-c` selects: facts that neither the word given nor a printed column shows.
fn notes(found: &Found, host: &Host, request: &Request, columns: &Columns) -> BTreeSet<String> {
    let prints = |id: Id| request.form != Form::Quiet && columns.has(id);
    let marked = prints(Id::Container) || prints(Id::IdentifiedBy);
    let headed = request.by_container && request.form == Form::People;
    let mut notes: BTreeSet<String> = access::note_of_locked(&found.locked).into_iter().collect();
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

/// Reads the processes once and prints them.
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

/// Operands are further values of `-p` or of `-c`.
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
    Exit::Usage(format!("{argv0}: unexpected argument '{operand}' (to select a container, use -c)"))
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

fn watch(request: &mut Request, seconds: Option<&OsStr>) -> Result<(), Exit> {
    request.watch = Some(watch::interval(seconds.map(unglued))?);
    Ok(())
}

fn colour(request: &mut Request, word: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(word)?;
    Ok(())
}
