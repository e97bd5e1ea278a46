//! `capsh` shows the capabilities that it has itself, tests and changes them, and runs a shell with what is left.
//! It is libcap's; besides, it shows those of any process or container.
//!
//! Options act one by one in the order given, `--print` and the tests too, and the first that fails ends it. They
//! are written in full and joined to their value: `--drop=cap_net_raw`. LIST is of names with commas between
//! them, in any case, or numbers. TEXT is that of cap_from_text(3): clauses of names and what is to be done with
//! them, `cap_chown,cap_kill=ep cap_net_raw+i`, where no name or `all` means all. IAB is that of cap_iab(3):
//! `cap_kill` inheritable, `^cap_kill` ambient as well, `!cap_kill` dropped from the bounding set.
//!
//! One of four words may end the options, and what stands behind it is the program's. `--` becomes a shell with
//! these arguments: /bin/bash unless `--shell` says another, and where there is no bash, /bin/sh. `==` becomes
//! capsh with these arguments again: then one sees what an execve(2) leaves of the capabilities. `-+` and `=+` do
//! the same in a child and end with its status.
//!
//! TARGET of `--print` is a PID or a container that runs on this host: its name, `RUNTIME:NAME` or the beginning
//! of its id, as nsenter(1) takes it. What is told of it besides the sets: which usual set they are nearest to
//! (docker, podman, cri-o, ...), whether they count in a user namespace only and who owns that, what the file of the
//! program gives, and the threads that differ. The securebits of a process nobody but itself can ask for; for
//! others they are said to be unknown.
//! When no state file confirms the container, or it belongs to a user who is neither the caller nor root, a line on
//! standard error says so.
//!
//! Users and groups are those of /etc/passwd and /etc/group.
//!
//! # Exit status
//!
//! 0; 1 if an option fails or a test is not met; that of the program.
//!
//! # Examples
//!
//! A shell that can never send raw packets:
//!
//! ```text
//! capsh --drop=cap_net_raw --
//! ```
//!
//! What the process of a container may do, and what a mask out of its /proc/PID/status means:
//!
//! ```text
//! capsh --print=web
//! capsh --decode=00000000a80425fb
//! ```
//!
//! An ordinary user with one capability, which programs keep:
//!
//! ```text
//! capsh --keep=1 --user=www --inh=cap_net_bind_service --addamb=cap_net_bind_service -- -c ./server
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

use crate::cli::{Call, Effect, Grammar, Opt, set};
use crate::exit::{Exit, Outcome};
use crate::isolation::capabilities::last;
use crate::output::Out;
use crate::text;

/// What the options have made of it so far.
struct Shell {
    out: Out,
    /// The last capability that the kernel has.
    last: u8,
    /// The sets are not widened by what CAP_SETPCAP would allow.
    strict: bool,
    shell: Option<OsString>,
    /// Leave HOME and USER alone.
    keep_environment: bool,
    home_and_user: Option<(OsString, OsString)>,
    /// Paths are of another root by now.
    moved: bool,
    /// That of `--forkfor`.
    child: Option<Pid>,
}

static GRAMMAR: Grammar<Shell> = Grammar {
    usage: "[option...] [-- | -+ | == | =+ [argument...]]",
    stops_at_operand: false,
    options: &[
        // of this process
        Opt::new(
            None,
            "print",
            "show capabilities and all that bears on them, of this process or of another",
            Effect::OptionalLong(query::print),
        )
        .takes("target"),
        Opt::new(None, "current", "show the sets and what programs inherit", Effect::Flag(query::current)),
        Opt::new(
            None,
            "mode",
            "show libcap's name for the arrangement, or arrange things so",
            Effect::OptionalLong(act::mode),
        )
        .takes("mode"),
        Opt::new(None, "modes", "list these modes", Effect::Flag(query::modes)),
        // of capabilities in general
        Opt::new(
            None,
            "decode",
            "the names in a mask, which is hexadecimal",
            Effect::Attached(query::decode),
        )
        .takes("mask"),
        Opt::new(None, "encode", "the mask of names; they may lack cap_", Effect::Attached(query::encode))
            .takes("list"),
        Opt::new(None, "explain", "what a capability is for", Effect::Attached(query::explain)).takes("cap"),
        Opt::new(
            None,
            "suggest",
            "the capabilities whose explanation has this in it",
            Effect::Attached(query::suggest),
        )
        .takes("text"),
        // tests
        Opt::new(None, "has-p", "fail unless this is permitted", Effect::Attached(query::has_permitted))
            .takes("cap"),
        Opt::new(None, "has-i", "fail unless it is inheritable", Effect::Attached(query::has_inheritable))
            .takes("cap"),
        Opt::new(None, "has-a", "fail unless it is ambient", Effect::Attached(query::has_ambient))
            .takes("cap"),
        Opt::new(None, "has-b", "fail unless it is in the bounding set", Effect::Attached(query::has_bound))
            .takes("cap"),
        Opt::new(
            None,
            "has-ambient",
            "fail unless the kernel has ambient capabilities",
            Effect::Flag(query::knows_ambient),
        ),
        Opt::new(
            None,
            "has-no-new-privs",
            "fail unless programs can gain nothing",
            Effect::Flag(query::has_no_new_privs),
        ),
        Opt::new(None, "supports", "fail unless the kernel has this", Effect::Attached(query::supports))
            .takes("cap"),
        Opt::new(None, "is-uid", "fail unless this is our user", Effect::Attached(query::is_uid))
            .takes("uid"),
        Opt::new(None, "is-gid", "fail unless this is our group", Effect::Attached(query::is_gid))
            .takes("gid"),
        Opt::new(None, "inmode", "fail unless this is the mode", Effect::Attached(query::in_mode))
            .takes("mode"),
        // changes
        Opt::new(None, "caps", "set effective, permitted and inheritable", Effect::Attached(act::caps))
            .takes("text"),
        Opt::new(None, "iab", "set what programs inherit", Effect::Attached(act::iab)).takes("iab"),
        Opt::new(None, "inh", "set what is inheritable; or all, or none", Effect::Attached(act::inheritable))
            .takes("list"),
        Opt::new(None, "drop", "drop from the bounding set; or all", Effect::Attached(act::drop_bound))
            .takes("list"),
        Opt::new(None, "addamb", "make ambient; or all", Effect::Attached(act::add_ambient)).takes("list"),
        Opt::new(None, "delamb", "make no longer ambient; or all", Effect::Attached(act::remove_ambient))
            .takes("list"),
        Opt::new(None, "noamb", "make nothing ambient", Effect::Flag(act::no_ambient)),
        Opt::new(None, "secbits", "set the securebits", Effect::Attached(act::securebits)).takes("bits"),
        Opt::new(
            None,
            "keep",
            "keep what is permitted when the user changes: 1, or not: 0",
            Effect::Attached(act::keep),
        )
        .takes("flag"),
        Opt::new(
            None,
            "no-new-privs",
            "let programs gain nothing when they are executed",
            Effect::Flag(act::no_new_privs),
        ),
        Opt::new(
            None,
            "strict",
            "leave out, or again not, what CAP_SETPCAP would help with in --caps, --drop and --inh",
            Effect::Flag(|shell| {
                shell.strict = !shell.strict;
                Ok(())
            }),
        ),
        Opt::new(None, "uid", "set the user", Effect::Attached(ids::uid)).takes("uid"),
        Opt::new(None, "cap-uid", "set the user and stay permitted what is", Effect::Attached(ids::cap_uid))
            .takes("uid"),
        Opt::new(None, "gid", "set the group", Effect::Attached(ids::gid)).takes("gid"),
        Opt::new(None, "groups", "set the supplementary groups", Effect::Attached(ids::groups)).takes("list"),
        Opt::new(
            None,
            "user",
            "become this user, with all groups, and stay permitted what is",
            Effect::Attached(ids::user),
        )
        .takes("name"),
        Opt::new(
            None,
            "noenv",
            "leave HOME and USER alone at --user",
            Effect::Flag(|shell| set(&mut shell.keep_environment)),
        ),
        Opt::new(None, "chroot", "set the root directory", Effect::Attached(act::chroot)).takes("path"),
        Opt::new(
            None,
            "forkfor",
            "start a child that sleeps so many seconds",
            Effect::Attached(start::fork_for),
        )
        .takes("seconds"),
        Opt::new(
            None,
            "killit",
            "send the child this signal and wait for its end",
            Effect::Attached(start::kill_it),
        )
        .takes("signal"),
        Opt::new(
            None,
            "shell",
            "run this for a shell",
            Effect::Attached(|shell: &mut Shell, path: &OsStr| {
                shell.shell = Some(path.to_os_string());
                Ok(())
            }),
        )
        .takes("path"),
        Opt::new(
            None,
            "quiet",
            "nothing; the original leaves out a check if this comes first",
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

pub(crate) fn run(call: &Call) -> Outcome {
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
            _ = shell.out.drain(); // what was asked for before
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
                return Err(Exit::Usage(format!("{argv0}: unrecognized option '{word}'")));
            }
        }
    }
    Ok(0)
}

#[must_use]
pub(crate) fn options(name: &'static str, about: &'static str) -> clap::Command {
    GRAMMAR.command(name, about)
}

fn license() -> Exit {
    Exit::Text("capsh of ctrbox: MIT or Apache-2.0, as you like\n".to_owned())
}

/// An end in the original's words.
fn fail(words: impl Into<String>) -> Exit {
    Exit::Message { status: 1, text: words.into() }
}

/// The same, with the reason behind.
fn failed(what: &str, errno: nix::errno::Errno) -> Exit {
    fail(format!("{what}: {}", crate::errno::strerror(errno as i32)))
}

/// A number as strtoul(3) reads it, in the room that it has. Theirs is cut to 32 bits: 4294967296 is root.
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
