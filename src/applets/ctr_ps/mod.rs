//! `ctr-ps` lists the processes of this host, each with the container it runs in. It knows the containers of
//! Docker, containerd, Kubernetes, Podman, LXC, systemd-nspawn and many more, of root and of ordinary users.
//! It asks no daemon. Control groups and namespaces show which container a process is in, and the runtimes'
//! state files on disk give the container's name. So it also works when a daemon is stopped or hangs.
//!
//! The default columns are USER, the effective user on the host; PID, the PID on the host; CPID, the PID in the
//! process's own pid namespace, which is the one in the container's logs; CONTAINER, as `RUNTIME:NAME`, or `-` for
//! a process of the host; and COMMAND, the command line, or the process's name in brackets if it has no arguments.
//! `-o` selects other columns (`-H` lists them); it takes the names of ps(1) too. `-f` selects the columns of `ps -ef`
//! and the container. `--security` selects the columns that show what a process may do. `-T` adds a line for each
//! thread that is not the first of its process, with its name in braces.
//!
//! An operand is a TARGET, as of `-c`: `ctr-ps web`. But `ax`, `axf`, `aux` and `auxf` mean what they mean to ps(1); a
//! container of such a name needs `-c`.
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
//! `-c` selects containers. A TARGET with `*` selects all containers whose name matches: `web-*`. Else it takes the same TARGET as nsenter(1): NAME, `RUNTIME:NAME`, the beginning of an id (at
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
//! # Filters
//!
//! Filters combine: a line must pass each of them. `--label` takes a KEY or `KEY=VALUE`, and can be given several times:
//! the container must have all. `--name`, `--image`, `--pod-namespace`, `--project` and `--service` take a text in which
//! `*` stands for any text and `?` for any character; if one is given several times, one of them must match. An image
//! is also matched without its tag, and from any part of its path on: `nginx` matches `docker.io/library/nginx:1.27`.
//! These filters also select the containers nested in the ones that match.
//!
//! `-Q` takes an expression with the names of columns, as `lsns -Q` does: `RSS > 100000 and CONTAINER =~ "^docker:"`. Values
//! are those of JSON: bytes and seconds.
//!
//! # Options of ps
//!
//! `-e`, `-A`, `-a`, `-ef`, `-u`, `-p`, `--ppid`, `-o`, `-L`, `-T`, `--forest`, `--sort` and `-w` work as with ps(1). These
//! letters mean something else here:
//!
//! ```text
//!       ps                                   ctr-ps
//! -C    processes of this name               only processes in containers
//!                                            (-Q 'CMD == "NAME"')
//! -H    a tree (--forest)                    list the columns
//! -l    long format (-o)                     list containers
//! -q    processes with these PIDs (-p)       print only PIDs
//! -n    a file of kernel symbols             no headings
//! -k    sort (--sort)                        also list kernel threads
//! -c    scheduling information               a container
//! -r    running processes                    raw output
//!       (-Q 'STATE == "R"')
//! CMD   command line (COMMAND)               name of the process
//! ```
//!
//! `-t` is the terminal, as in ps; in nsenter(1) it is the target.
//!
//! Control characters and similar characters in names and arguments are shown as `\xNN` or `\u{NNNN}`. On a
//! terminal, lines are cut to its width, unless `-w` is given.
//!
//! # Exit status
//!
//! 0 on success; 1 on failure, if no container matches `-c`, and with `-p` if none of the processes is in a
//! container or one of them does not exist.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `NO_COLOR`, `TERM`: with `--color=auto`, a NO_COLOR that is not empty or the TERM `dumb` turns colours off.
//! - `COLUMNS`: the width of the output if standard output is a terminal without a size.
//! - `LC_ALL`, `LC_CTYPE`, `LANG`: the first that is not empty names the locale. If it uses UTF-8, trees are drawn
//!   with its lines, else in ASCII.
//! - `POSIXLY_CORRECT`: if set, options after the first operand are operands too.
//!
//! # Files
//!
//! - `/proc`: the processes. `--root=DIR` reads DIR/proc.
//! - State files of runtimes: the names of containers; ctrbox(1) lists the paths. `--root=DIR` reads them below DIR.
//! - `/etc/passwd`: the names of users; for the column CUSER that of the container.
//! - `/sys/fs/cgroup`: memory, limits and state of containers (`-l`), where /proc/self/mountinfo says that control
//!   groups are mounted.
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
//! The processes with the most memory first, and those in no container:
//!
//! ```text
//! ctr-ps aux --sort -rss
//! ctr-ps --host
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
//! members are the selected columns. Each object also has `host`, the name of the host, and `boot_id`, so that the outputs of several hosts
//! can be merged. `--jsonl` prints the same objects one a line, without the list around them. `docs/schema/ctr-ps.json` in the source is a
//! JSON Schema. With `-l`, `{"containers": [...]}`. Numbers are JSON numbers: memory in bytes,
//! times in seconds. The id of a container of containerd begins with its namespace. Bytes that are not UTF-8 are
//! written as `\xNN`.
//!
//! # See also
//!
//! nsenter(1), ps(1), cgroups(7), pid_namespaces(7)

mod attributes;
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
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::access;
use crate::cli::{Applet, Call, Effect, Grammar, Opt, set, unglued};
use crate::container::{IdentifiedBy, is_in_container_of_host, target};
use crate::exit::{self, Exit, Outcome, warn};
use crate::isolation::identity::Way;
use crate::output::Out;
use crate::output::filter::Filter;
use crate::output::smartcols::{Column, Json};
use crate::output::style::When;
use crate::text;
use columns::{Id, Names, Picked};
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
    /// Also `-a`: for containers, those that do not run too.
    all: bool,
    threads: bool,
    preset: Option<&'static [Id]>,
    columns: Vec<String>,
    sort: Vec<String>,
    filter: Option<String>,
    /// JSON with an object a line.
    lines: bool,
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
    usage: "[options] [-p pid... | [-c] target...]",
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
        Opt::new(
            None,
            "host",
            "only processes in no container: the inverse of -C",
            Effect::Flag(|r| set(&mut r.selection.host)),
        ),
        Opt::new(None, "name", "only containers of these names; * stands for any text", Effect::Required(|r, v| attribute(r, "name", v)))
            .takes("glob"),
        Opt::new(None, "image", "only containers of these images", Effect::Required(|r, v| attribute(r, "image", v)))
            .takes("glob"),
        Opt::new(None, "label", "only containers with this label", Effect::Required(|r, v| attribute(r, "label", v)))
            .takes("key[=value]"),
        Opt::new(
            None,
            "pod-namespace",
            "only containers of pods in this namespace of Kubernetes",
            Effect::Required(|r, v| attribute(r, "pod-namespace", v)),
        )
        .takes("glob"),
        Opt::new(None, "project", "only containers of this compose project", Effect::Required(|r, v| attribute(r, "project", v)))
            .takes("glob"),
        Opt::new(None, "service", "only containers of this compose service", Effect::Required(|r, v| attribute(r, "service", v)))
            .takes("glob"),
        Opt::new(None, "status", "only containers with this status: running, paused", Effect::Required(|r, v| attribute(r, "status", v)))
            .takes("list"),
        Opt::new(
            Some('Q'),
            "filter",
            "only lines for which this expression is true; see lsns(8)",
            Effect::Required(filter),
        )
        .takes("expr"),
        Opt::new(None, "runtime", "only containers of these runtimes", Effect::Required(runtime)).takes("list"),
        Opt::new(Some('u'), "user", "only processes of these users", Effect::Required(user)).takes("list"),
        Opt::new(None, "ppid", "only processes with these parents", Effect::Required(ppid)).takes("pid"),
        Opt::new(Some('t'), "tty", "only processes on these terminals; - for those without one", Effect::Required(tty))
            .takes("list"),
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
        Opt::new(Some('e'), "every", "no effect, as -A and -a: all processes are listed", Effect::Flag(|_| Ok(()))),
        Opt::new(Some('A'), "all-processes", "the same as -e", Effect::Flag(|_: &mut Request| Ok(()))).hidden(),
        Opt::new(Some('a'), "all", "the same as -e", Effect::Flag(|r: &mut Request| set(&mut r.all))).hidden(),
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
        .takes("list"),
        Opt::new(None, "sort", "sort by these columns; -NAME in descending order", Effect::Required(sort))
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
        Opt::new(None, "jsonl", "print JSON, an object a line", Effect::Flag(json_lines)),
        Opt::new(Some('r'), "raw", "print raw: cells separated by blanks, not aligned", Effect::Flag(|r| form(r, Form::Raw))),
        Opt::new(Some('q'), "quiet", "print only PIDs; with -l only containers", Effect::Flag(|r| form(r, Form::Quiet))),
        Opt::new(Some('n'), "noheadings", "print no headings", Effect::Flag(|r| set(&mut r.no_headings))),
        Opt::new(Some('w'), "wide", "never cut lines", Effect::Flag(|r| set(&mut r.wide))),
        Opt::new(None, "no-trunc", "the same as -w", Effect::Flag(|r: &mut Request| set(&mut r.wide))).hidden(),
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
    more(&mut request, &operands)?;
    check(&request)?;
    let host = Host::new(&request)?;
    bsd_after_a_dash(&mut request, &host);
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
    for (thread, process) in &found.threads {
        warn(call.name, &format!("{thread} is a thread of process {process}"));
    }
    problems();
    let is_unverified = |seen: &Seen| seen.container.identified_by == IdentifiedBy::Cgroup;
    let names_are_missing = found.containers.all.iter().any(is_unverified);
    exit::hint(|| missing_names(&host, &request).filter(|_| names_are_missing));
    exit::hint_at_rights();
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

/// The columns to print, and the order and filter of the lines.
enum Columns {
    Processes(Picked<Id>, View<Id>),
    Containers(Picked<ListColumn>, View<ListColumn>),
}

/// Which lines are printed, and in which order.
struct View<T> {
    /// Columns; true for descending order.
    keys: Vec<(T, bool)>,
    filter: Option<Filter>,
    /// The columns that both need.
    used: Vec<T>,
}

impl<T: Copy + PartialEq> View<T> {
    fn new(
        request: &Request,
        names: &Names<T>,
        columns: impl Fn() -> Vec<(&'static str, bool)>,
    ) -> Result<View<T>, Exit> {
        let mut keys = Vec::new();
        for list in &request.sort {
            keys.extend(columns::sort_keys(list, names)?);
        }
        let parse = |expression: &String| {
            Filter::parse(expression, &columns())
                .map_err(|lines| anyhow!(text::escape_lines(&lines.join("\n")).into_owned()))
        };
        let filter = request.filter.as_ref().map(parse).transpose()?;
        let filtered = filter.iter().flat_map(Filter::columns).flat_map(|name| (names.named)(&name));
        let used = keys.iter().map(|(id, _)| *id).chain(filtered).collect();
        Ok(View { keys, filter, used })
    }
}

/// The names of columns, and whether each has numbers.
fn for_filter<'c>(columns: impl Iterator<Item = &'c Column>) -> Vec<(&'static str, bool)> {
    const FIGURES: [&str; 4] = ["CPU", "MEM", "TIME", "ELAPSED"]; // numbers in JSON
    let is_number = |column: &Column| column.json == Json::Number || FIGURES.contains(&column.name);
    columns.map(|column| (column.name, is_number(column))).collect()
}

impl Columns {
    fn new(request: &Request) -> Result<Columns, Exit> {
        let json = request.form == Form::Json;
        if request.list {
            let all: Vec<ListColumn> = list::COLUMNS.iter().map(|row| row.0).collect();
            let default = if json { &all } else { list::DEFAULT };
            let picked = columns::parse(&request.columns, default, &list::NAMES)?;
            let known = || for_filter(list::COLUMNS.iter().map(|row| &row.1));
            return Ok(Columns::Containers(picked, View::new(request, &list::NAMES, known)?));
        }
        let default = request.preset.unwrap_or(if json { columns::JSON } else { columns::DEFAULT });
        // The heading shows the container.
        let headed = request.by_container && request.form == Form::People;
        let mut default: Vec<Id> =
            default.iter().copied().filter(|id| !(headed && *id == Id::Container)).collect();
        if request.threads {
            let after = default.iter().position(|id| *id == Id::Pid).map_or(0, |at| at + 1);
            default.insert(after, Id::Tid);
        }
        let picked = columns::parse(&request.columns, &default, &columns::NAMES)?;
        let known = || for_filter(columns::COLUMNS.iter().map(|row| &row.1));
        Ok(Columns::Processes(picked, View::new(request, &columns::NAMES, known)?))
    }

    fn has(&self, id: Id) -> bool {
        match self {
            Columns::Processes(columns, _) => columns.ids.contains(&id),
            Columns::Containers(columns, _) => {
                columns.ids.iter().any(|column| matches!(column, ListColumn::Same(same) if *same == id))
            }
        }
    }

    fn needs(&self, form: Form) -> u16 {
        let Columns::Processes(columns, view) = self else { return 0 };
        let printed = columns.ids.iter().filter(|_| form != Form::Quiet);
        printed.chain(&view.used).fold(0, |needs, id| needs | id.needs())
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
        needs: columns.needs(request.form),
        no_args: request.no_args,
        threads: request.threads && request.form != Form::Quiet,
    };
    let found = gather(&host.proc, &host.files, &wanted)?;
    let from = (&found, host);
    match columns {
        Columns::Processes(columns, view) => show::processes(out, from, request, columns, view)?,
        Columns::Containers(columns, view) => show::containers(out, from, request, columns, view)?,
    }
    Ok(found)
}

/// Operands are targets, as of `-c`; after `-p` they are further PIDs. `ax` and `aux`, perhaps with `f`, are options of
/// ps(1).
fn more(request: &mut Request, operands: &[OsString]) -> Result<(), Exit> {
    for operand in operands {
        match operand.to_str().unwrap_or_default() {
            word @ ("ax" | "axf" | "aux" | "auxf") => {
                request.preset = Some(if word.contains('u') { columns::AUX } else { columns::AX });
                request.forest |= word.ends_with('f');
            }
            word => match request.selection.pids.is_empty() {
                false if word.starts_with(|first: char| first.is_ascii_digit()) => pid(request, operand)?,
                _ => container(request, operand)?,
            },
        }
    }
    Ok(())
}

/// `-aux` and `-auxf`: as in ps(1), these are `aux` and `auxf` if there is no user `x` or `xf`.
fn bsd_after_a_dash(request: &mut Request, host: &Host) {
    let [list] = &request.users[..] else { return };
    let is_option = list == "x" || list == "xf";
    if request.all && is_option && select::users(list, &host.passwd).is_err() {
        request.preset = Some(columns::AUX);
        request.forest |= list == "xf";
        request.users.clear();
    }
}

/// Refuses combinations that could only be ignored.
fn check(request: &Request) -> Result<()> {
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

fn filter(request: &mut Request, expression: &OsStr) -> Result<(), Exit> {
    request.filter = Some(text::utf8(expression.as_bytes()).into_owned());
    Ok(())
}

fn sort(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.sort.push(text::shown(list).into_owned());
    Ok(())
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
    request.selection.vias.push(process::Origin::Init);
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

fn watch(request: &mut Request, seconds: Option<&OsStr>) -> Result<(), Exit> {
    request.watch = Some(watch::interval(seconds.map(unglued))?);
    Ok(())
}

fn colour(request: &mut Request, word: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(word)?;
    Ok(())
}
