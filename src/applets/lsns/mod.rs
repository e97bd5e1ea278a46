//! `lsns` lists the namespaces of this host: those that have processes, those that a descriptor or a socket keeps
//! alive, and those that are mounted. It takes the options of the `lsns` of util-linux, has more columns and runs
//! in linear time.
//!
//! NS is the inode number of a namespace. With such a number as operand, lsns lists the processes in that
//! namespace. PID is the lowest PID in a namespace, and COMMAND the command line of that process. For a namespace
//! without processes both are empty.
//!
//! TARGET, as an operand or with `--task`, may be a container: its name, `RUNTIME:NAME` or the first digits of its
//! id, as for nsenter(1). lsns then lists the namespaces of the container's first process. If no state file
//! confirms the container, or the container belongs to a user other than root and the caller, lsns reports that on
//! standard error.
//!
//! Some columns are shown only when named. CONTAINER, RUNTIME, POD and IMAGE show every container that has a
//! process in the namespace, from the files that the runtimes keep on disk. In a table, CONTAINER shows `host +23`
//! for a namespace of the host that 23 containers share; `--json` and `--raw` print all names. NETNAME is the name
//! that ip-netns(8) gave the namespace, VETH the interfaces of the host that lead into it, USERS the uid map of a user namespace, and HELDBY what keeps a namespace
//! without processes alive.
//!
//! To find namespaces that only descriptors keep alive, lsns looks at the open files of all processes. This is
//! about half of its work. `--no-fd-scan` skips it and misses such namespaces. The number of files that lsns looks at is
//! limited for each user and each container; when a limit is reached, lsns says so on standard error. For an ordinary user, lsns also
//! misses processes that the user may not inspect.
//!
//! # Processes that block their readers
//!
//! A process can block everybody who reads its files in /proc, ps(1) too: its execve(2) does not end because a FUSE
//! file system does not answer, and the kernel is one that makes readers wait for that. lsns leaves out
//! such a process after one second, and names it on standard error. If a user or a container has many of them, all
//! processes of that user or container are left out after three seconds. The exit status does not change.
//!
//! # Exit status
//!
//! 0 on success; 1 on failure; 32 if the list of mounts cannot be read.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `NO_COLOR`, `TERM`: with `--color=auto`, a NO_COLOR that is not empty or the TERM `dumb` turns colours off.
//! - `TERM`, `COLORTERM`: containers have colours of the palette of 256 if TERM has `256color` in it, or if COLORTERM is not empty.
//! - `COLUMNS`: the width of the output if standard output is a terminal without a size.
//! - `LC_ALL`, `LC_CTYPE`, `LANG`: the first that is not empty names the locale. If it uses UTF-8, trees are drawn
//!   with its lines, else in ASCII.
//! - `POSIXLY_CORRECT`: if set, options after the first operand are operands too.
//!
//! # Files
//!
//! - `/proc`: /proc/PID/ns, /proc/PID/task, and for HELDBY the open files and mounts of processes.
//! - State files of runtimes: the names of containers; ctrbox(1) lists the paths.
//! - `/etc/passwd`: the names of users.
//! - `/run/netns`, `/var/run/netns`: the column NETNAME: files that are mount points of network namespaces.
//!
//! # Examples
//!
//! Network namespaces, with the containers in them:
//!
//! ```text
//! lsns -t net -o +CONTAINER
//! ```
//!
//! What keeps namespaces without processes alive:
//!
//! ```text
//! lsns -P -o NS,TYPE,HELDBY
//! ```
//!
//! Network namespaces with more than one process:
//!
//! ```text
//! lsns -Q 'TYPE == "net" and NPROCS > 1'
//! ```
//!
//! # See also
//!
//! ctr-ps(1), nsenter(1), unshare(1), namespaces(7), ioctl_nsfs(2)

mod cells;
mod collect;
mod columns;
mod hierarchy;
mod rows;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use anyhow::{Result, anyhow};
use nix::unistd::Pid;

use crate::cli::{self, Applet, Call, Effect, Grammar, Opt, Words, set, unglued};
use crate::exit::{self, Exit, Outcome};
use crate::output::smartcols::Column;
use crate::output::style::When;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::text;
use columns::{Id, Wrong};

#[derive(Default)]
struct Request {
    json: bool,
    raw: bool,
    list: bool,
    tree: Option<Tree>,
    no_headings: bool,
    columns: Option<String>,
    all_columns: bool,
    persistent: bool,
    task: Option<OsString>,
    filter: Option<String>,
    no_truncate: bool,
    no_wrap: bool,
    kinds: Vec<Kind>,
    list_columns: bool,
    no_fd_scan: bool,
    colour: Option<When>,
    proc_root: Option<OsString>,
}

/// The relation that decides the parent of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tree {
    Parent,
    Owner,
    Process,
}

pub(crate) static APPLET: Applet =
    Applet { name: "lsns", section: 8, failure: 1, about: "list namespaces", run, grammar: &GRAMMAR };

/// The columns, with what they show.
pub(crate) fn columns() -> impl Iterator<Item = &'static Column> {
    columns::COLUMNS.iter().map(|(_, column)| column)
}

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] [namespace|target]",
    stops_at_operand: false,
    options: &[
        Opt::new(
            Some('J'),
            "json",
            "print JSON",
            Effect::Flag(|r| exclude(r.raw, "raw", "json", &mut r.json)),
        ),
        Opt::new(
            Some('l'),
            "list",
            "print a list instead of a tree",
            Effect::Flag(|r| exclude(r.tree.is_some(), "tree", "list", &mut r.list)),
        ),
        Opt::new(Some('u'), "notruncate", "do not truncate text", Effect::Flag(|r| set(&mut r.no_truncate))),
        Opt::new(Some('n'), "noheadings", "print no headings", Effect::Flag(|r| set(&mut r.no_headings))),
        Opt::new(
            Some('o'),
            "output",
            "columns to print; a list that begins with + is added to the default",
            Effect::Required(output),
        )
        .takes("list")
        .lists(Words::Columns),
        Opt::new(
            None,
            "output-all",
            "print all columns of util-linux",
            Effect::Flag(|r| set(&mut r.all_columns)),
        ),
        Opt::new(
            Some('P'),
            "persistent",
            "list only namespaces without processes",
            Effect::Flag(|r| exclude(r.task.is_some(), "task", "persistent", &mut r.persistent)),
        ),
        Opt::new(
            Some('p'),
            "task",
            "list only namespaces of this process or container",
            Effect::Required(task),
        )
        .takes("target"),
        Opt::new(
            Some('Q'),
            "filter",
            "list only rows for which the expression is true",
            Effect::Required(filter),
        )
        .takes("expr"),
        Opt::new(
            Some('r'),
            "raw",
            "print raw: one blank between cells, no layout",
            Effect::Flag(|r| exclude(r.json, "json", "raw", &mut r.raw)),
        ),
        Opt::new(
            Some('W'),
            "nowrap",
            "print one line per namespace, with commas in lists",
            Effect::Flag(|r| set(&mut r.no_wrap)),
        ),
        Opt::new(
            Some('t'),
            "type",
            "list only these kinds: mnt, net, ipc, user, pid, uts, cgroup, time, as a list or repeated",
            Effect::Required(kinds),
        )
        .takes("types")
        .lists(Words::Kind),
        Opt::new(
            Some('T'),
            "tree",
            "print a tree by parent, owner (default) or process",
            Effect::Optional(tree),
        )
        .takes("rel"),
        Opt::list_columns(|r| set(&mut r.list_columns)),
        Opt::new(
            None,
            "no-fd-scan",
            "do not search for namespaces that only descriptors keep alive",
            Effect::Flag(|r| set(&mut r.no_fd_scan)),
        ),
        Opt::color(colour),
        Opt::proc_root(proc_root),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[
        ("json", "Output"),
        ("persistent", "Selection"),
        ("raw", "Output"),
        ("type", "Selection"),
        ("tree", "Output"),
        ("no-fd-scan", "Selection"),
        ("color", "Output"),
        ("help", "Other options"),
    ],
};

fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let operands = GRAMMAR.parse(call, &mut request)?;
    if request.list_columns {
        return rows::list_columns(&request);
    }
    let operand = operands.first().map(|word| Operand::parse(word)).transpose()?;
    if operand.is_some() && request.task.is_some() {
        return Err(anyhow!("--task is mutually exclusive with <namespace>").into());
    }
    let columns = match request.chosen_columns(matches!(operand, Some(Operand::Namespace(_)))) {
        Ok(columns) => columns,
        Err(Wrong::Unknown(name)) => {
            let unknown = anyhow!("unknown column: {}", text::escape(name.as_bytes()));
            return Err(Exit::from(unknown).or_hint(move || columns::near(&name)));
        }
        Err(Wrong::Silent) => return Ok(1),
    };
    let proc = request.proc_root.as_ref().map(ProcRoot::new).unwrap_or_default();
    exit::in_worker(&proc, || rows::list(call.name, &proc, &request, operand.as_ref(), &columns))
}

/// The operand.
enum Operand {
    /// The inode of a namespace.
    Namespace(u64),
    Container(OsString),
}

impl Operand {
    /// A word that begins like a number must be a number. The exception is a long hexadecimal word with letters, which
    /// may be the beginning of a container id.
    fn parse(word: &OsStr) -> Result<Operand> {
        let first = word.to_str().and_then(|word| word.trim_start().bytes().next());
        let numeric = first.is_none_or(|first| first.is_ascii_digit() || matches!(first, b'+' | b'-'));
        let hexadecimal =
            word.len() >= 12 && word.to_str().is_some_and(|word| word.bytes().all(|b| b.is_ascii_hexdigit()));
        let letters = word.to_str().is_some_and(|word| word.bytes().any(|b| b.is_ascii_alphabetic()));
        match cli::number(word, "invalid namespace argument") {
            Ok(inode) => Ok(Operand::Namespace(inode)),
            Err(error) if numeric && !(hexadecimal && letters) => Err(error),
            Err(_) => Ok(Operand::Container(word.to_os_string())),
        }
    }
}

impl Request {
    fn kinds(&self) -> Vec<Kind> {
        match self.kinds.is_empty() {
            true => Kind::ALL.to_vec(),
            false => Kind::ALL.into_iter().filter(|kind| self.kinds.contains(kind)).collect(),
        }
    }

    fn chosen_columns(&self, operand: bool) -> Result<Vec<Id>, Wrong> {
        let network = self.kinds.contains(&Kind::Net);
        let default: Vec<Id> = match (operand, network) {
            _ if self.all_columns => {
                columns::COLUMNS[..columns::UTIL_LINUX_COLUMNS].iter().map(|(id, _)| *id).collect()
            }
            (true, _) => vec![Id::Pid, Id::Ppid, Id::User, Id::Command],
            (false, true) => {
                vec![Id::Ns, Id::Type, Id::Nprocs, Id::Pid, Id::User, Id::Netnsid, Id::Nsfs, Id::Command]
            }
            (false, false) => vec![Id::Ns, Id::Type, Id::Nprocs, Id::Pid, Id::User, Id::Command],
        };
        match &self.columns {
            Some(list) => columns::parse(list, &default),
            None => Ok(default),
        }
    }
}

/// Refuses the second of two options that exclude each other. The message names them in the order given.
fn exclude(given: bool, first: &str, second: &str, flag: &mut bool) -> Result<(), Exit> {
    if given {
        return Err(anyhow!("options --{first} and --{second} cannot be combined").into());
    }
    set(flag)
}

fn output(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.columns = Some(text::shown(list).into_owned());
    Ok(())
}

fn task(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    exclude(request.persistent, "persistent", "task", &mut false)?;
    request.task = Some(word.to_os_string());
    Ok(())
}

fn filter(request: &mut Request, expression: &OsStr) -> Result<(), Exit> {
    request.filter = Some(text::utf8(expression.as_bytes()).into_owned());
    Ok(())
}

fn kinds(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    for name in list.as_bytes().split(|&b| b == b',').map(OsStr::from_bytes) {
        let names = || Kind::ALL.map(Kind::proc_name);
        let unknown = || near(anyhow!("unknown namespace type: {}", text::shown(name)), name, names);
        let kind = Kind::ALL.into_iter().find(|kind| name == kind.proc_name());
        request.kinds.push(kind.ok_or_else(unknown)?);
    }
    Ok(())
}

/// Adds the hint at the name that the word probably means.
fn near<const N: usize>(error: anyhow::Error, word: &OsStr, names: fn() -> [&'static str; N]) -> Exit {
    let word = word.to_string_lossy().to_lowercase();
    Exit::from(error).or_hint(move || text::did_you_mean(&word, names()))
}

fn tree(request: &mut Request, relation: Option<&OsStr>) -> Result<(), Exit> {
    let word = relation.map(unglued);
    request.tree = match word.map(OsStr::as_bytes) {
        None | Some(b"owner") => Some(Tree::Owner),
        Some(b"parent") => Some(Tree::Parent),
        Some(b"process") => Some(Tree::Process),
        Some(_) => {
            let word = word.unwrap_or_default();
            let unknown = anyhow!("unknown tree type: {}", text::shown(word));
            return Err(near(unknown, word, || ["owner", "parent", "process"]));
        }
    };
    exclude(request.list, "list", "tree", &mut false)
}

fn colour(request: &mut Request, word: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = Some(When::of_option(word)?);
    Ok(())
}

fn proc_root(request: &mut Request, path: &OsStr) -> Result<(), Exit> {
    request.proc_root = Some(path.to_os_string());
    Ok(())
}

/// The operand of `-p`. It refuses numbers as util-linux does. None for any other word, which names a container.
fn task_pid(word: &OsStr) -> Result<Option<Pid>> {
    let digits = word.to_str().is_some_and(|word| {
        let digits = word.trim_start().trim_start_matches(['+', '-']);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    if !digits {
        return Ok(None);
    }
    let refused = || {
        anyhow::Error::from(nix::errno::Errno::ERANGE)
            .context(format!("invalid PID argument: '{}'", text::shown(word)))
    };
    let pid: i32 = cli::number(word, "").map_err(|_| refused())?;
    if pid > 0 { Ok(Some(Pid::from_raw(pid))) } else { Err(refused()) }
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(list: &str) {
    _ = columns::parse(list, &[]);
}
