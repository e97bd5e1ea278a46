//! `nsenter` enters namespaces of another process and runs a program there, by default a login shell. It is
//! the `nsenter` of util-linux, with one thing more: the target may be a container.
//!
//! TARGET is a PID; a PID and the inode of its pidfd (`PID:INODE`), which no later process can have; or a
//! container that runs on this host: by its name, by `RUNTIME:NAME` as ctr-ps(1) prints it, or by the first
//! digits of its id, four at least. The namespaces are those of the container's first process. Names come
//! from files on disk; no daemon is asked, so it works when they are stopped or hang. A name that two
//! containers share is refused, with the names that tell them apart.
//!
//! Without a program nsenter runs the shell that `$SHELL` names, else the one of /etc/passwd as it is seen
//! in the entered namespaces, else /bin/sh.
//!
//! Options act in the order given. A namespace may be named by a file (`--net=/run/netns/blue`), or since
//! Linux 6.19 by its id (`--net=:ID`; a path that begins with a colon needs `./` before it), and then needs no
//! target. Namespaces are entered with the privileges we have as far as they reach, then the user
//! namespace, then the rest. Unless the user namespace is left out or `--preserve-credentials` is given, the
//! program runs as user and group 0 of it.
//!
//! With `--new-tty` the program gets a terminal of its own and none of ours reaches it: it cannot type into
//! ours or read from it. It leads a session there; what is typed, what is shown and the size of the window are
//! passed on, and our terminal is as it was when nsenter ends or stops. (SIGKILL alone leaves it raw: type
//! `stty sane`.) The terminal is made in the entered mount namespace where that can be, so that programs find
//! it by name. Those of stdin, stdout and stderr that are no terminal stay as they are; when none is one, the
//! program's terminal takes the place of all, fed from stdin and shown on stdout.
//!
//! When a pid namespace is entered the program runs as a child, so that it is a member of it. nsenter then
//! waits, stops and continues with the child, and ends as it does.
//!
//! # Hints
//!
//! When the kernel refuses something, its reason is looked for and said with the remedy in a line after the
//! message that begins with `hint:`: a limit, a setting of the host, a missing capability, a filter, a mount. That is for
//! people, so it is done where standard error is a terminal. With `CTRBOX_HINTS=always` in the environment it
//! is done everywhere, with `CTRBOX_HINTS=never` nowhere. What is not certain begins with `perhaps`.
//!
//! # Exit status
//!
//! That of the program; when a signal killed it, nsenter dies of the same signal. 127 if the program is not
//! found, 126 if it cannot be executed, 1 if nsenter fails.
//!
//! # Examples
//!
//! The addresses of the container `web`, with the host's ip(8):
//!
//! ```text
//! nsenter -t web -n ip addr
//! ```
//!
//! A shell in the Docker container `db`, although Podman has one of that name too:
//!
//! ```text
//! nsenter -t docker:db -a
//! ```
//!
//! # See also
//!
//! ctr-ps(1), namespaces(7), setns(2), unshare(1)

mod enter;

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::anyhow;
use nix::errno::Errno;

use crate::cli::{self, Call, Effect, Grammar, Opt, set, unglued};
use crate::container::target::Target;
use crate::exit::{Exit, Outcome};
use crate::isolation::kind::Kind;
use crate::isolation::ns::{self, open_file};
use crate::output::text;

/// What the command line asks for. Files are open already: an error of theirs comes in its turn.
#[derive(Default)]
struct Request {
    target: Option<Target>,
    all: bool,
    /// Kinds to take from the target.
    kinds: Vec<Kind>,
    files: Vec<(Kind, OwnedFd)>,
    net_socket: Option<i32>,
    user_parent: bool,
    root: Directory,
    wd: Directory,
    /// A path to change to once inside.
    wdns: Option<Option<OsString>>,
    uid: Option<Id>,
    gid: Option<Id>,
    keep_caps: bool,
    preserve_credentials: bool,
    no_fork: bool,
    new_tty: bool,
    environment: bool,
    join_cgroup: bool,
    follow_context: bool,
}

#[derive(Default)]
enum Directory {
    #[default]
    Unchanged,
    OfTarget,
    Open(OwnedFd),
}

#[derive(Clone, Copy)]
enum Id {
    Number(u32),
    /// The owner of the target.
    Follow,
}

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] [program [argument...]]",
    stops_at_operand: true,
    options: &[
        Opt::new(Some('a'), "all", "enter all namespaces of the target", Effect::Flag(|r| set(&mut r.all))),
        Opt::new(
            Some('t'),
            "target",
            "process or container to take namespaces from",
            Effect::Required(target),
        )
        .takes("target"),
        kind('m', "mount", "enter the mount namespace", |r, v| r.namespace(Kind::Mnt, v)),
        kind('u', "uts", "enter the UTS namespace (host name)", |r, v| r.namespace(Kind::Uts, v)),
        kind('i', "ipc", "enter the System V IPC namespace", |r, v| r.namespace(Kind::Ipc, v)),
        kind('n', "net", "enter the network namespace", |r, v| r.namespace(Kind::Net, v)),
        Opt::new(
            Some('N'),
            "net-socket",
            "enter the network namespace of the target's socket",
            Effect::Required(socket),
        )
        .takes("fd"),
        kind('p', "pid", "enter the pid namespace", |r, v| r.namespace(Kind::Pid, v)),
        kind('C', "cgroup", "enter the cgroup namespace", |r, v| r.namespace(Kind::Cgroup, v)),
        kind('U', "user", "enter the user namespace", |r, v| r.namespace(Kind::User, v)),
        Opt::new(
            None,
            "user-parent",
            "enter the parent of the user namespace",
            Effect::Flag(|r| set(&mut r.user_parent)),
        ),
        kind('T', "time", "enter the time namespace", |r, v| r.namespace(Kind::Time, v)),
        Opt::new(
            Some('S'),
            "setuid",
            "set the user id inside, or follow the target's",
            Effect::Required(uid),
        )
        .takes("uid"),
        Opt::new(
            Some('G'),
            "setgid",
            "set the group id inside, or follow the target's",
            Effect::Required(gid),
        )
        .takes("gid"),
        Opt::new(
            None,
            "preserve-credentials",
            "do not touch user and group ids",
            Effect::Flag(|r| set(&mut r.preserve_credentials)),
        ),
        Opt::new(
            None,
            "keep-caps",
            "retain capabilities granted in the user namespace",
            Effect::Flag(|r| set(&mut r.keep_caps)),
        ),
        directory('r', "root", "set the root directory", |r, v| open_directory(v).map(|d| r.root = d)),
        directory('w', "wd", "set the working directory", wd),
        directory('W', "wdns", "set the working directory, as seen inside", wdns),
        Opt::new(
            Some('e'),
            "env",
            "take the environment of the target",
            Effect::Flag(|r| set(&mut r.environment)),
        ),
        Opt::new(
            Some('F'),
            "no-fork",
            "do not fork before executing the program",
            Effect::Flag(|r| set(&mut r.no_fork)),
        ),
        Opt::new(
            None,
            "new-tty",
            "run the program on a terminal of its own",
            Effect::Flag(|r: &mut Request| set(&mut r.new_tty)),
        )
        .added(),
        Opt::new(
            Some('c'),
            "join-cgroup",
            "join the control groups of the target",
            Effect::Flag(|r| set(&mut r.join_cgroup)),
        ),
        Opt::new(
            Some('Z'),
            "follow-context",
            "take the SELinux context of the target",
            Effect::Flag(|r| set(&mut r.follow_context)),
        ),
        Opt::help(),
        Opt::version(),
    ],
};

pub fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let program = GRAMMAR.parse(call, &mut request)?;
    if request.new_tty && request.no_fork {
        return Err(anyhow!("options --no-fork and --new-tty cannot be combined").into());
    }
    enter::enter(request, &program)
}

#[must_use]
pub fn options(name: &'static str, about: &'static str) -> clap::Command {
    GRAMMAR.command(name, about)
}

type Valued = fn(&mut Request, Option<&OsStr>) -> Result<(), Exit>;

const fn kind(letter: char, long: &'static str, help: &'static str, effect: Valued) -> Opt<Request> {
    Opt::new(Some(letter), long, help, Effect::Optional(effect)).takes("file")
}

const fn directory(letter: char, long: &'static str, help: &'static str, effect: Valued) -> Opt<Request> {
    Opt::new(Some(letter), long, help, Effect::Optional(effect)).takes("dir")
}

impl Request {
    fn namespace(&mut self, kind: Kind, file: Option<&OsStr>) -> Result<(), Exit> {
        match file {
            None if self.kinds.contains(&kind) => {}
            None => self.kinds.push(kind),
            Some(path) => {
                let path = unglued(path);
                let fd = match path.as_bytes().strip_prefix(b":") {
                    Some(id) => ns::open_id(nsid(OsStr::from_bytes(id))?)?,
                    None => open_file(Path::new(path))?,
                };
                self.files.retain(|(other, _)| *other != kind);
                self.files.push((kind, fd));
            }
        }
        Ok(())
    }
}

fn nsid(word: &OsStr) -> Result<u64, Exit> {
    cli::number(word, "").map_err(|_| anyhow!("failed to parse nsid: {}", text::shown(word)).into())
}

fn target(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    if request.target.is_some() {
        return Err(anyhow!("option --target may be given only once").into());
    }
    let refused = |errno: Errno| {
        anyhow::Error::from(errno).context(format!("failed to parse PID argument '{}'", text::shown(word)))
    };
    request.target = Some(Target::parse(word).map_err(refused)?);
    Ok(())
}

fn socket(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.net_socket = Some(cli::number::<i32>(word, "failed to parse file descriptor")?);
    Ok(())
}

fn uid(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.uid = Some(id(word, "failed to parse uid")?);
    Ok(())
}

fn gid(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.gid = Some(id(word, "failed to parse gid")?);
    Ok(())
}

fn id(word: &OsStr, problem: &str) -> Result<Id, Exit> {
    if word == "follow" { Ok(Id::Follow) } else { Ok(Id::Number(cli::number(word, problem)?)) }
}

fn wd(request: &mut Request, path: Option<&OsStr>) -> Result<(), Exit> {
    if request.wdns.is_some() {
        return Err(anyhow!("options --wdns and --wd cannot be combined").into());
    }
    request.wd = open_directory(path.map(unglued))?;
    Ok(())
}

/// Without a path it leaves the directory as it is.
fn wdns(request: &mut Request, path: Option<&OsStr>) -> Result<(), Exit> {
    if !matches!(request.wd, Directory::Unchanged) {
        return Err(anyhow!("options --wd and --wdns cannot be combined").into());
    }
    request.wdns = Some(path.map(|path| unglued(path).to_os_string()));
    Ok(())
}

fn open_directory(path: Option<&OsStr>) -> Result<Directory, Exit> {
    match path {
        None => Ok(Directory::OfTarget),
        Some(path) => Ok(Directory::Open(open_file(Path::new(path))?)),
    }
}
