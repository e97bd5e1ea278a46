//! `unshare` makes new namespaces and runs a program in them, by default a login shell. It takes the options of the
//! `unshare` of util-linux.
//!
//! `--net=FILE` keeps a namespace: unshare bind mounts it on FILE, where it stays after the program ends. The
//! options of the other namespaces do the same. nsenter(1) enters the namespace with the same option, and umount(8)
//! releases it.
//!
//! Only children enter a new pid namespace. Without `--fork` the program is not in it. Its first child becomes
//! process 1 there; when that child has ended, no process can be made in the namespace any more.
//!
//! In a new user namespace no id is mapped at first. `--map-root-user` and `--map-current-user` map the caller's
//! own ids, which every user may do. `--map-users` and `--map-groups` map ranges: `INNER:OUTER:COUNT`,
//! `OUTER,INNER,COUNT`, `auto` (the range that /etc/subuid or /etc/subgid grants the caller), `subids` (the same
//! range, each id to itself) or `all` (every id that the caller's user namespace has, each to itself). They can be
//! given several times. Root writes the ranges itself; for other users newuidmap(1) and newgidmap(1) write them.
//!
//! unshare makes a new mount namespace private: mounts that are made in it stay in it. `--propagation` changes
//! this.
//!
//! `--hostname NAME` sets the host name of the new UTS namespace. `--loopback` sets the loopback device of the new
//! network namespace up, which is down otherwise.
//!
//! # Hints
//!
//! When the kernel refuses an operation, unshare looks for the reason: a limit, a setting of the host, a missing
//! capability, a filter, a mount. It prints the reason and the remedy after the message, in a line that begins with
//! `hint:`. A hint that is not certain begins with `perhaps`. Hints are for people, so they are printed only if
//! standard error is a terminal. With `CTRBOX_HINTS=always` in the environment they are always printed, with
//! `CTRBOX_HINTS=never` never. `--pid` without `--fork` has a hint before the program starts.
//!
//! # Exit status
//!
//! The exit status of the program. With `--fork`, if a signal killed the program, unshare dies of the same signal.
//! 127 if the program is not found, 126 if it cannot be executed, 1 if unshare fails.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `PATH`: where a program without a slash in its name is searched; /bin and /usr/bin if it is not set.
//! - `SHELL`: the program if none is given.
//!
//! # Files
//!
//! - `/etc/passwd`, `/etc/group`: the names in `--map-user` and `--map-group`, and the default shell.
//! - `/etc/subuid`, `/etc/subgid`: the ranges that `--map-users` and `--map-groups` use with `auto` and `subids`.
//! - `/proc/PID/uid_map`, `/proc/PID/gid_map`, `/proc/PID/setgroups`, `/proc/PID/timens_offsets`: the maps and clock
//!   offsets that are written.
//! - `/proc/sys/fs/binfmt_misc`: the default mount point of `--mount-binfmt`.
//!
//! # Examples
//!
//! A shell as root of a user namespace, with mounts and processes of its own:
//!
//! ```text
//! unshare --map-root-user --mount --pid --fork --mount-proc
//! ```
//!
//! A network namespace that stays:
//!
//! ```text
//! touch /run/blue && unshare --net=/run/blue true
//! ```
//!
//! A program whose only network device is lo:
//!
//! ```text
//! unshare --map-current-user --loopback --hostname test make check
//! ```
//!
//! # See also
//!
//! nsenter(1), namespaces(7), user_namespaces(7), newuidmap(1), unshare(2)

mod act;
mod plan;

use std::ffi::{OsStr, OsString};

use anyhow::{Context, Error, Result, anyhow};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::cli::{self, Applet, Call, Effect, Grammar, Opt, Words, set};
use crate::exit::{Exit, Outcome};
use crate::launch::exec;
use crate::proc::idmap::{Range, Which};
use crate::proc::ns::Kind;
use crate::text;
use plan::{Ids, Request};

pub(crate) static APPLET: Applet = Applet {
    name: "unshare",
    section: 1,
    failure: 1,
    about: "run a program in new namespaces",
    run,
    grammar: &GRAMMAR,
};

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] [program [argument...]]",
    stops_at_operand: true,
    options: &[
        kind('m', "mount", "unshare the mount namespace", |r, v| r.unshare(Kind::Mnt, v)),
        kind('u', "uts", "unshare the UTS namespace (host name)", |r, v| r.unshare(Kind::Uts, v)),
        kind('i', "ipc", "unshare the System V IPC namespace", |r, v| r.unshare(Kind::Ipc, v)),
        kind('n', "net", "unshare the network namespace", |r, v| r.unshare(Kind::Net, v)),
        kind('p', "pid", "unshare the pid namespace", |r, v| r.unshare(Kind::Pid, v)),
        kind('U', "user", "unshare the user namespace", |r, v| r.unshare(Kind::User, v)),
        kind('C', "cgroup", "unshare the cgroup namespace", |r, v| r.unshare(Kind::Cgroup, v)),
        kind('T', "time", "unshare the time namespace", |r, v| r.unshare(Kind::Time, v)),
        Opt::new(
            None,
            "hostname",
            "set this host name in the namespace (implies --uts)",
            Effect::Required(hostname),
        )
        .takes("name")
        .offers(Words::None)
        .added(),
        Opt::new(None, "loopback", "set the loopback device up (implies --net)", Effect::Flag(loopback))
            .added(),
        Opt::new(Some('f'), "fork", "run the program as a child", Effect::Flag(|r| set(&mut r.fork))),
        Opt::new(
            None,
            "kill-child",
            "send a signal to the child when unshare dies (implies --fork)",
            Effect::Optional(kill_child),
        )
        .takes("signame"),
        Opt::new(
            None,
            "forward-signals",
            "pass SIGTERM and SIGINT on to the child (implies --fork)",
            Effect::Flag(forward),
        ),
        Opt::new(None, "mount-proc", "mount proc first (implies --mount)", Effect::Optional(mount_proc))
            .takes("dir"),
        Opt::new(
            None,
            "mount-binfmt",
            "mount binfmt_misc first (implies --user and --mount)",
            Effect::Optional(mount_binfmt),
        )
        .takes("dir"),
        Opt::new(
            Some('l'),
            "load-interp",
            "register a binary format in the namespace",
            Effect::Required(load_interp),
        )
        .takes("string"),
        Opt::new(
            None,
            "map-user",
            "map the current user to this user (implies --user)",
            Effect::Required(map_user),
        )
        .takes("uid|name"),
        Opt::new(
            None,
            "map-users",
            "map a range of users (implies --user)",
            Effect::Required(|r, v| ranges(r, Which::Users, v)),
        )
        .takes("inner:outer:count"),
        Opt::new(
            None,
            "map-group",
            "map the current group to this group (implies --user)",
            Effect::Required(map_group),
        )
        .takes("gid|name"),
        Opt::new(
            None,
            "map-groups",
            "map a range of groups (implies --user)",
            Effect::Required(|r, v| ranges(r, Which::Groups, v)),
        )
        .takes("inner:outer:count"),
        Opt::new(
            Some('r'),
            "map-root-user",
            "map the current user to root (implies --user)",
            Effect::Flag(map_root),
        ),
        Opt::new(
            Some('c'),
            "map-current-user",
            "map the current user to itself (implies --user)",
            Effect::Flag(map_current),
        ),
        Opt::new(
            None,
            "map-auto",
            "map the ids that /etc/subuid and /etc/subgid grant (implies --user)",
            Effect::Flag(map_auto),
        ),
        Opt::new(
            None,
            "map-subids",
            "like --map-auto, with every id mapped to itself (implies --user)",
            Effect::Flag(map_subids),
        ),
        Opt::new(
            None,
            "owner",
            "user and group that own the user namespace (implies --user)",
            Effect::Required(owner),
        )
        .takes("uid:gid"),
        Opt::new(
            None,
            "propagation",
            "propagation of the mounts: slave, shared, private or unchanged",
            Effect::Required(propagation),
        )
        .takes("mode")
        .offers(Words::Choice(PROPAGATIONS)),
        Opt::new(
            None,
            "setgroups",
            "allow or deny setgroups(2) in the user namespace",
            Effect::Required(setgroups),
        )
        .takes("word")
        .offers(Words::Choice(&["allow", "deny"])),
        Opt::new(
            None,
            "keep-caps",
            "retain capabilities granted in the user namespace",
            Effect::Flag(|r| set(&mut r.keep_caps)),
        ),
        Opt::new(
            Some('R'),
            "root",
            "run the program with this root directory",
            Effect::Required(|r: &mut Request, v| take(&mut r.root, v)),
        )
        .takes("dir"),
        Opt::new(
            Some('w'),
            "wd",
            "change the working directory",
            Effect::Required(|r: &mut Request, v| take(&mut r.wd, v)),
        )
        .takes("dir"),
        Opt::new(Some('S'), "setuid", "set the user id in the namespace", Effect::Required(setuid))
            .takes("uid"),
        Opt::new(Some('G'), "setgid", "set the group id in the namespace", Effect::Required(setgid))
            .takes("gid"),
        Opt::new(None, "monotonic", "offset of the monotonic clock in seconds", Effect::Required(monotonic))
            .takes("offset"),
        Opt::new(None, "boottime", "offset of the boottime clock in seconds", Effect::Required(boottime))
            .takes("offset"),
        Opt::new(None, "clear-env", "clear the environment", Effect::Flag(|r| set(&mut r.clear_env))),
        Opt::new(None, "whitelist-env", "keep only these variables", Effect::Required(whitelist))
            .takes("list")
            .lists(Words::Variable),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[
        ("mount", "Namespaces"),
        ("fork", "Process"),
        ("mount-proc", "Mounts"),
        ("map-user", "User namespace"),
        ("root", "Directories and ids"),
        ("monotonic", "Clocks"),
        ("clear-env", "Environment"),
        ("help", "Other options"),
    ],
};

/// The words of `--propagation`.
const PROPAGATIONS: &[&str] = &["slave", "shared", "private", "unchanged"];

fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let program = GRAMMAR.parse(call, &mut request)?;
    act::act(call.name, request.plan()?, &program)
}

/// Only the long form takes a file: `-m/path` is a cluster of short options, as in util-linux.
const fn kind(
    letter: char,
    long: &'static str,
    help: &'static str,
    effect: fn(&mut Request, Option<&OsStr>) -> Result<(), Exit>,
) -> Opt<Request> {
    Opt::new(Some(letter), long, help, Effect::OptionalLong(effect)).takes("file")
}

fn take(to: &mut Option<OsString>, value: &OsStr) -> Result<(), Exit> {
    *to = Some(value.to_os_string());
    Ok(())
}

fn hostname(request: &mut Request, name: &OsStr) -> Result<(), Exit> {
    request.add(Kind::Uts);
    take(&mut request.hostname, name)
}

fn loopback(request: &mut Request) -> Result<(), Exit> {
    request.add(Kind::Net);
    set(&mut request.loopback)
}

/// Adds the hint at the name that the word probably means.
fn near(error: anyhow::Error, word: &str, names: impl Iterator<Item = &'static str>) -> Exit {
    let hint = text::did_you_mean(word, names);
    Exit::from(error).or_hint(move || hint.clone())
}

fn kill_child(request: &mut Request, name: Option<&OsStr>) -> Result<(), Exit> {
    let name = name.unwrap_or(OsStr::new("KILL"));
    let signal = name.to_str().and_then(exec::signal_number);
    let unknown = || {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        let names = Signal::iterator().map(|signal| signal.as_str().trim_start_matches("SIG"));
        near(anyhow!("unknown signal: {}", text::shown(name)), upper.trim_start_matches("SIG"), names)
    };
    request.kill_child = Some(signal.ok_or_else(unknown)?);
    set(&mut request.fork)
}

fn forward(request: &mut Request) -> Result<(), Exit> {
    request.forward_signals = true;
    set(&mut request.fork)
}

fn mount_proc(request: &mut Request, directory: Option<&OsStr>) -> Result<(), Exit> {
    request.add(Kind::Mnt);
    request.mount_proc = Some(directory.unwrap_or(OsStr::new("/proc")).to_os_string());
    Ok(())
}

fn mount_binfmt(request: &mut Request, directory: Option<&OsStr>) -> Result<(), Exit> {
    request.add(Kind::Mnt);
    request.add(Kind::User);
    match directory {
        Some(directory) => request.mount_binfmt = Some(directory.to_os_string()),
        None => default_binfmt(request),
    }
    Ok(())
}

/// The default directory of binfmt_misc is in proc, so the proc of the new namespaces must be mounted.
fn default_binfmt(request: &mut Request) {
    request.mount_binfmt = Some(OsString::from(plan::BINFMT));
    request.mount_proc.get_or_insert_with(|| OsString::from("/proc"));
}

fn load_interp(request: &mut Request, format: &OsStr) -> Result<(), Exit> {
    request.add(Kind::Mnt);
    request.add(Kind::User);
    if request.mount_binfmt.is_none() {
        default_binfmt(request);
    }
    take(&mut request.load_interp, format)
}

fn map_user(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.add(Kind::User);
    let id = plan::id_or_name(word, Which::Users).with_context(|| unparsed("uid", word))?;
    request.users.single = Some(id);
    Ok(())
}

fn map_group(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.add(Kind::User);
    let id = plan::id_or_name(word, Which::Groups).with_context(|| unparsed("gid", word))?;
    request.groups.single = Some(id);
    Ok(())
}

fn unparsed(what: &str, word: &OsStr) -> String {
    format!("failed to parse {what} '{}'", text::shown(word))
}

fn map_root(request: &mut Request) -> Result<(), Exit> {
    request.add(Kind::User);
    (request.users.single, request.groups.single) = (Some(0), Some(0));
    Ok(())
}

fn map_current(request: &mut Request) -> Result<(), Exit> {
    request.add(Kind::User);
    request.users.single = Some(nix::unistd::getresuid()?.effective.as_raw());
    request.groups.single = Some(nix::unistd::getresgid()?.effective.as_raw());
    Ok(())
}

fn map_auto(request: &mut Request) -> Result<(), Exit> {
    ranges(request, Which::Users, OsStr::new("auto"))?;
    ranges(request, Which::Groups, OsStr::new("auto"))
}

fn map_subids(request: &mut Request) -> Result<(), Exit> {
    ranges(request, Which::Users, OsStr::new("subids"))?;
    ranges(request, Which::Groups, OsStr::new("subids"))
}

fn ranges(request: &mut Request, which: Which, word: &OsStr) -> Result<(), Exit> {
    request.add(Kind::User);
    let added = match word.to_str() {
        Some("auto") => vec![plan::granted(which)?],
        Some("subids") => {
            let granted = plan::granted(which)?;
            vec![Range { inner: Some(granted.outer), ..granted }]
        }
        Some("all") => plan::own_ids(which)?,
        other => {
            let range = other.and_then(Range::parse);
            vec![range.ok_or_else(|| anyhow!("invalid mapping '{}'", text::shown(word)))?]
        }
    };
    let ids: &mut Ids = if which == Which::Users { &mut request.users } else { &mut request.groups };
    ids.ranges.extend(added);
    Ok(())
}

fn owner(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.add(Kind::User);
    let id = |digits: &str| cli::number::<u32>(OsStr::new(digits), "").ok();
    let ids = word.to_str().and_then(|word| word.split_once(':'));
    let ids = ids.and_then(|(uid, gid)| Some((id(uid)?, id(gid)?)));
    request.owner = Some(ids.ok_or_else(|| anyhow!("failed to parse owner"))?);
    Ok(())
}

fn propagation(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    let mode = word.to_str().and_then(plan::propagation);
    let unknown = || anyhow!("unsupported propagation mode: {}", text::shown(word));
    request.propagation =
        mode.ok_or_else(|| near(unknown(), &word.to_string_lossy(), PROPAGATIONS.iter().copied()))?;
    Ok(())
}

fn setgroups(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.setgroups = match word.to_str() {
        Some("allow") => Some("allow"),
        Some("deny") => Some("deny"),
        _ => return Err(anyhow!("unsupported --setgroups argument '{}'", text::shown(word)).into()),
    };
    Ok(())
}

fn setuid(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.uid = Some(cli::number(word, "failed to parse uid")?);
    Ok(())
}

fn setgid(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.gid = Some(cli::number(word, "failed to parse gid")?);
    Ok(())
}

fn monotonic(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.monotonic = Some(offset(word, "monotonic")?);
    Ok(())
}

fn boottime(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.boottime = Some(offset(word, "boottime")?);
    Ok(())
}

/// An offset in seconds, which may be negative.
fn offset(word: &OsStr, clock: &str) -> Result<i64, Error> {
    let problem = format!("failed to parse {clock} offset");
    let negative = word.to_str().and_then(|word| word.trim_start().strip_prefix('-'));
    let Some(digits) =
        negative.filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    else {
        return cli::number::<i64>(word, &problem);
    };
    let out_of_range = || Error::from(Errno::ERANGE).context(format!("{problem}: '{}'", text::shown(word)));
    format!("-{digits}").parse().map_err(|_| out_of_range())
}

/// Takes the values when the option is read. A list that matches no variable also clears the environment.
fn whitelist(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    request.clear_env = true;
    request.keep_env.extend(plan::chosen_variables(list));
    Ok(())
}
