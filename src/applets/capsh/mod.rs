//! `capsh` shows, tests and changes its own capabilities, and runs a shell with the result. It is compatible with
//! the capsh of libcap, and can also show the capabilities of any process or container.
//!
//! Options, `--print` and the tests included, act one by one in the order given; the first that fails ends capsh.
//! Option names cannot be abbreviated, and a value is joined to its option: `--drop=cap_net_raw`. LIST is names, in
//! upper or lower case, or numbers, separated by commas. TEXT has the form of cap_from_text(3): clauses of names, an
//! operator and flags, `cap_chown,cap_kill=ep cap_net_raw+i`, where no name or `all` means all capabilities. IAB has
//! the form of cap_iab(3): `cap_kill` is inheritable, `^cap_kill` is ambient as well, `!cap_kill` is dropped from the
//! bounding set.
//!
//! One of four words may end the options; the words after it are arguments. `--` executes a shell with these
//! arguments: the one of `--shell`, or /bin/bash, or /bin/sh if there is no bash. `==` executes capsh again with
//! these arguments, which shows the capabilities that remain after an execve(2). `-+` and `=+` do the same in a child
//! process, and exit with its status.
//!
//! TARGET of `--print` is a PID or a container that runs on this host: its name, `RUNTIME:NAME` or the beginning
//! of its id, as nsenter(1) takes it. Besides the sets, capsh shows the nearest baseline (docker, podman, cri-o,
//! ...), whether the capabilities apply only in a user namespace and who owns it, the capabilities of the program's
//! file, and the threads that differ. Only a process itself can read its securebits; for another process they are
//! shown as unknown.
//! When no state file confirms the container, or it belongs to a user who is neither the caller nor root, a line on
//! standard error says so.
//!
//! User and group names are looked up in /etc/passwd and /etc/group.
//!
//! # Exit status
//!
//! 0 on success; 1 if an option or a test fails; otherwise the status of the program.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `HOME`, `USER`: `--user` sets both for the shell, if they are set and `--noenv` is not given.
//!
//! # Files
//!
//! - `/etc/passwd`, `/etc/group`: the names and groups of users.
//! - `/bin/bash`, `/bin/sh`: the shell without `--shell`.
//! - `/proc/PID/status`: the capabilities of another process, and the program's file behind /proc/PID/exe.
//! - State files of runtimes: the names of containers in `--print`; ctrbox(1) lists the paths.
//!
//! # Examples
//!
//! A shell that can never send raw packets:
//!
//! ```text
//! capsh --drop=cap_net_raw --
//! ```
//!
//! The capabilities of a container, and the names in a mask from /proc/PID/status:
//!
//! ```text
//! capsh --print=web
//! capsh --decode=00000000a80425fb
//! ```
//!
//! Run a program as an ordinary user, with one capability that it keeps:
//!
//! ```text
//! capsh --keep=1 --user=www --inh=cap_net_bind_service \
//!     --addamb=cap_net_bind_service -- -c ./server
//! ```
//!
//! # See also
//!
//! getpcaps(8), nsenter(1), unshare(1), capabilities(7)

mod act;
mod ids;
mod inspect;
mod query;
mod sets;
mod start;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::unistd::Pid;

use crate::cli::{Applet, Call, Effect, Grammar, Opt, Words, set};
use crate::exit::{self, Exit, Outcome};
use crate::isolation::capabilities::{self, last};
use crate::output::Out;
use crate::text;

/// The state that the options change.
struct Shell {
    out: Out,
    /// The highest capability number of the kernel.
    last: u8,
    /// Do not raise CAP_SETPCAP to change the sets.
    strict: bool,
    shell: Option<OsString>,
    /// Do not change HOME and USER.
    keep_environment: bool,
    home_and_user: Option<(OsString, OsString)>,
    /// `--chroot` has changed the root directory.
    moved: bool,
    /// The child of `--forkfor`.
    child: Option<Pid>,
}

pub(crate) static APPLET: Applet = Applet {
    name: "capsh",
    section: 1,
    failure: 1,
    about: "show and change capabilities, and run a shell with them",
    run,
    grammar: &GRAMMAR,
};

static GRAMMAR: Grammar<Shell> = Grammar {
    usage: "[option...] [-- | -+ | == | =+ [argument...]]",
    stops_at_operand: false,
    options: &[
        // this process
        Opt::new(
            None,
            "print",
            "show the capabilities of this process, or of another process or container",
            Effect::OptionalLong(query::print),
        )
        .takes("target"),
        Opt::new(None, "current", "show the sets and what programs inherit", Effect::Flag(query::current)),
        Opt::new(
            None,
            "mode",
            "show the libcap mode of this process, or set it",
            Effect::OptionalLong(act::mode),
        )
        .takes("mode")
        .offers(Words::Choice(&["NOPRIV", "PURE1E_INIT", "PURE1E", "HYBRID"])),
        Opt::new(None, "modes", "list the libcap modes", Effect::Flag(query::modes)),
        // capabilities in general
        Opt::new(None, "decode", "show the names in a hexadecimal mask", Effect::Attached(query::decode))
            .takes("mask"),
        Opt::new(
            None,
            "encode",
            "show the mask of these names; the prefix cap_ is optional",
            Effect::Attached(query::encode),
        )
        .takes("list")
        .lists(Words::Capability),
        Opt::new(None, "explain", "explain a capability", Effect::Attached(query::explain)).takes("cap"),
        Opt::new(
            None,
            "suggest",
            "explain the capabilities whose explanation contains this text",
            Effect::Attached(query::suggest),
        )
        .takes("text"),
        // tests
        Opt::new(
            None,
            "has-p",
            "fail unless this capability is permitted",
            Effect::Attached(query::has_permitted),
        )
        .takes("cap"),
        Opt::new(
            None,
            "has-i",
            "fail unless this capability is inheritable",
            Effect::Attached(query::has_inheritable),
        )
        .takes("cap"),
        Opt::new(
            None,
            "has-a",
            "fail unless this capability is ambient",
            Effect::Attached(query::has_ambient),
        )
        .takes("cap"),
        Opt::new(
            None,
            "has-b",
            "fail unless this capability is in the bounding set",
            Effect::Attached(query::has_bound),
        )
        .takes("cap"),
        Opt::new(
            None,
            "has-ambient",
            "fail unless the kernel supports ambient capabilities",
            Effect::Flag(query::knows_ambient),
        ),
        Opt::new(
            None,
            "has-no-new-privs",
            "fail unless no_new_privs is set",
            Effect::Flag(query::has_no_new_privs),
        ),
        Opt::new(
            None,
            "supports",
            "fail unless the kernel supports this capability",
            Effect::Attached(query::supports),
        )
        .takes("cap"),
        Opt::new(None, "is-uid", "fail unless this is the real user ID", Effect::Attached(query::is_uid))
            .takes("uid"),
        Opt::new(None, "is-gid", "fail unless this is the real group ID", Effect::Attached(query::is_gid))
            .takes("gid"),
        Opt::new(None, "inmode", "fail unless this is the libcap mode", Effect::Attached(query::in_mode))
            .takes("mode")
            .offers(Words::Choice(&["NOPRIV", "PURE1E_INIT", "PURE1E", "HYBRID"])),
        // changes
        Opt::new(
            None,
            "caps",
            "set the effective, permitted and inheritable sets",
            Effect::Attached(act::caps),
        )
        .takes("text")
        .lists(Words::Capability),
        Opt::new(None, "iab", "set the inheritable, ambient and bounding sets", Effect::Attached(act::iab))
            .takes("iab")
            .lists(Words::Capability),
        Opt::new(
            None,
            "inh",
            "set the inheritable set; all and none are allowed",
            Effect::Attached(act::inheritable),
        )
        .takes("list")
        .lists(Words::Capability),
        Opt::new(
            None,
            "drop",
            "drop from the bounding set; all is allowed",
            Effect::Attached(act::drop_bound),
        )
        .takes("list")
        .lists(Words::Capability),
        Opt::new(
            None,
            "addamb",
            "add to the ambient set; all is allowed",
            Effect::Attached(act::add_ambient),
        )
        .takes("list")
        .lists(Words::Capability),
        Opt::new(
            None,
            "delamb",
            "remove from the ambient set; all is allowed",
            Effect::Attached(act::remove_ambient),
        )
        .takes("list")
        .lists(Words::Capability),
        Opt::new(None, "noamb", "clear the ambient set", Effect::Flag(act::no_ambient)),
        Opt::new(None, "secbits", "set the securebits", Effect::Attached(act::set_securebits)).takes("bits"),
        Opt::new(
            None,
            "keep",
            "1: keep the permitted set when the user ID changes; 0: do not",
            Effect::Attached(act::keep),
        )
        .takes("flag"),
        Opt::new(
            None,
            "no-new-privs",
            "set no_new_privs: an execve(2) grants no privileges",
            Effect::Flag(act::no_new_privs),
        ),
        Opt::new(
            None,
            "strict",
            "do not raise CAP_SETPCAP for --caps, --drop and --inh; given again, raise it",
            Effect::Flag(|shell| {
                shell.strict = !shell.strict;
                Ok(())
            }),
        ),
        Opt::new(None, "uid", "set the user ID", Effect::Attached(ids::uid)).takes("uid"),
        Opt::new(
            None,
            "cap-uid",
            "set the user ID and keep the permitted set",
            Effect::Attached(ids::cap_uid),
        )
        .takes("uid"),
        Opt::new(None, "gid", "set the group ID", Effect::Attached(ids::gid)).takes("gid"),
        Opt::new(None, "groups", "set the supplementary groups", Effect::Attached(ids::groups))
            .takes("list")
            .lists(Words::Gid),
        Opt::new(
            None,
            "user",
            "set the user ID and all groups of this user, and keep the permitted set",
            Effect::Attached(ids::user),
        )
        .takes("name"),
        Opt::new(
            None,
            "noenv",
            "do not change HOME and USER with --user",
            Effect::Flag(|shell| set(&mut shell.keep_environment)),
        ),
        Opt::new(None, "chroot", "change the root directory", Effect::Attached(act::chroot))
            .takes("path")
            .offers(Words::Dir),
        Opt::new(
            None,
            "forkfor",
            "start a child that sleeps for this many seconds",
            Effect::Attached(start::fork_for),
        )
        .takes("seconds"),
        Opt::new(
            None,
            "killit",
            "send this signal to the child and wait until it ends",
            Effect::Attached(start::kill_it),
        )
        .takes("signal"),
        Opt::new(
            None,
            "shell",
            "execute this program as the shell",
            Effect::Attached(|shell: &mut Shell, path: &OsStr| {
                shell.shell = Some(path.to_os_string());
                Ok(())
            }),
        )
        .takes("path"),
        Opt::new(
            None,
            "quiet",
            "ignored; libcap skips a check if this option comes first",
            Effect::Flag(|_| Ok(())),
        ),
        Opt::new(None, "license", "show the license", Effect::Flag(|_| Err(license()))),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[
        ("print", "Show"),
        ("has-p", "Check"),
        ("caps", "Change"),
        ("forkfor", "Programs"),
        ("quiet", "Other options"),
    ],
};

fn run(call: &Call) -> Outcome {
    let mut shell = Shell {
        out: Out::stdout(),
        last: last()?,
        strict: false,
        shell: None,
        keep_environment: false,
        home_and_user: None,
        moved: false,
        child: None,
    };
    match walk(call, &mut shell) {
        Ok(status) => Ok(shell.out.finish().map(|()| status)?),
        Err(exit) => {
            _ = shell.out.drain(); // print the output of the options before
            if !matches!(exit, Exit::Text(_)) {
                start::end_child(&mut shell);
            }
            Err(exit)
        }
    }
}

fn walk(call: &Call, shell: &mut Shell) -> Outcome {
    for (at, word) in call.args.iter().enumerate() {
        let rest = &call.args[at + 1..];
        match word.as_bytes() {
            b"--" => return Err(start::shell(shell, rest)),
            b"==" => return Err(start::again(shell, call, rest)),
            b"-+" => return start::child(shell, |shell| start::shell(shell, rest)),
            b"=+" => return start::child(shell, |shell| start::again(shell, call, rest)),
            _ if GRAMMAR.apply(call, word, shell)? => {}
            _ => {
                let (argv0, word) = (text::shown(&call.argv0), text::shown(word));
                let hint = exit::hint_line(|| GRAMMAR.near_word(&call.args[at]));
                return Err(Exit::Usage(format!("{argv0}: unrecognized option '{word}'{hint}")));
            }
        }
    }
    Ok(0)
}

fn license() -> Exit {
    Exit::Text("capsh of ctrbox: MIT or Apache-2.0, at your option\n".to_owned())
}

/// The number of a capability; the message of libcap if there is none of this name.
fn known(name: &str, message: impl FnOnce() -> String) -> Result<u8, Exit> {
    let name = name.to_owned();
    capabilities::number(&name).ok_or_else(|| fail(message()).or_hint(move || near(&name)))
}

/// The hint at the capability that an unknown name probably means.
fn near(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let short = |name: &'static str| name.strip_prefix("cap_").unwrap_or(name);
    let word = name.strip_prefix("cap_").unwrap_or(&name);
    let near = text::nearest(word, capabilities::TABLE.iter().map(|row| short(row.name)))?;
    Some(text::question(&format!("cap_{near}")))
}

/// A failure with a message of libcap.
fn fail(words: impl Into<String>) -> Exit {
    Exit::Message { status: 1, text: words.into(), hint: None }
}

/// The same, followed by the cause.
fn failed(what: &str, errno: nix::errno::Errno) -> Exit {
    fail(format!("{what}: {}", crate::errno::strerror(errno as i32)))
}

/// A number as strtoul(3) reads it, but at most 32 bits. libcap truncates it: 4294967296 becomes 0, which is root.
fn integer(option: &str, word: &OsStr) -> Result<u32, Exit> {
    let number = word.to_str().and_then(crate::isolation::capabilities::integer);
    match number.map(u32::try_from) {
        Some(Ok(number)) => Ok(number),
        wrong => {
            let room = if wrong.is_some() { " below 4294967296" } else { "" };
            let word = text::shown(word);
            Err(fail(format!("invalid {option} value: want non-negative integer{room}, got \"{word}\"")))
        }
    }
}
