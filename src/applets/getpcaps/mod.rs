//! `getpcaps` shows what processes may do: their capabilities, in the text of cap_from_text(3). It is libcap's,
//! with containers for processes and with answers to what one wants to know of them.
//!
//! TARGET is a PID, where 0 is `getpcaps` itself, or a container that runs on this host: its name,
//! `RUNTIME:NAME` or the beginning of its id, as nsenter(1) takes it. Of a container its first process is shown.
//! When no state file confirms the container, or it belongs to a user who is neither the caller nor root, a line on
//! standard error says so.
//!
//! Options act on the targets that follow them, `--tree` and `--json` on all. A target that cannot be shown is
//! told, and the others are shown.
//!
//! In the text `=ep` is everything that the kernel has, effective and permitted; `cap_kill+i` adds to what stands
//! before, `cap_kill-ep` takes away. That of `--iab` says what programs inherit: `cap_kill` is inheritable,
//! `^cap_kill` ambient as well, `!cap_kill` gone from the bounding set for good.
//!
//! # What a container may do
//!
//! `--diff` names the usual set that is nearest, and what is there more and less. First comes what is permitted;
//! the bounding set, the most that a program in there can ever get, follows when it is another. `--diff=BASE`
//! compares with one: all, docker (containerd gives the same, so Kubernetes on it), podman, podman-4.4, crio, runc,
//! nspawn, lxc, or another TARGET. `--diff=list` shows these sets, and where they stand.
//!
//! Capabilities in a user namespace count only there. `--diff` and `--json` tell it and who owns it.
//!
//! Threads can have capabilities of their own; `--table`, `--tree` and `--json` show those that differ from
//! their process. `--json` has the rest as well: what the program's file gives (and, where it does so in the user
//! namespaces of one root only, whose: program_rootid), no_new_privs, seccomp. The securebits of a process nobody
//! but itself can ask for, they are null.
//!
//! # Exit status
//!
//! 0; 1 if a target could not be shown.
//!
//! # Examples
//!
//! What two containers may do, in few words:
//!
//! ```text
//! $ getpcaps --diff web db
//! web: docker default +NET_ADMIN -MKNOD
//! db: all 41, only inside user namespace 4026532333, owned by uid 1000
//! ```
//!
//! All processes, each with what it may do:
//!
//! ```text
//! getpcaps --tree
//! ```
//!
//! # See also
//!
//! capsh(1), ctr-ps(1), nsenter(1), capabilities(7)

mod show;
mod tree;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use anyhow::anyhow;
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::cli::{Call, Effect, Grammar, Opt, set};
use crate::container::target::{Held, Lookup, Purpose, Target};
use crate::exit::{self, Exit, Outcome};
use crate::isolation::capabilities::baseline::{BASELINES, Baseline};
use crate::isolation::capabilities::process::Capable;
use crate::isolation::capabilities::{last, own};
use crate::isolation::ns;
use crate::output::Out;
use crate::proc::ProcRoot;
use crate::proc::{Mask, Process, Sets};
use crate::text;

struct Request {
    form: Form,
    style: Style,
    iab: bool,
    tree: bool,
    out: Out,
    proc: ProcRoot,
    lookup: Lookup<'static>,
    last: u8,
    /// For what is printed when all targets are known.
    processes: Vec<(OsString, Capable)>,
}

#[derive(Clone)]
enum Form {
    Text,
    Table,
    Diff(Base),
    Json,
}

#[derive(Clone, Copy)]
enum Style {
    Short,
    Legacy,
    Verbose,
}

/// What sets are compared with.
#[derive(Clone)]
enum Base {
    Nearest,
    Named(&'static Baseline),
    /// Another's: its name, and the sets.
    Other(String, Sets),
}

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[option...] target...",
    stops_at_operand: false,
    options: &[
        Opt::new(None, "iab", "show what programs inherit too", Effect::Flag(|r| set(&mut r.iab))),
        Opt::new(
            None,
            "legacy",
            "the oldest form of output, to stderr",
            Effect::Flag(|r| style(r, Style::Legacy)),
        ),
        Opt::new(None, "ugly", "the same", Effect::Flag(|r| style(r, Style::Legacy))),
        Opt::new(None, "verbose", "a longer form of output", Effect::Flag(|r| style(r, Style::Verbose))),
        Opt::new(
            None,
            "table",
            "all five sets side by side: effective, permitted, inheritable, bounding, ambient",
            Effect::Flag(|r| form(r, Form::Table)),
        ),
        Opt::new(
            None,
            "diff",
            "what is more and less than the nearest usual set, or than this one or another target",
            Effect::OptionalLong(diff),
        )
        .takes("base"),
        Opt::new(
            None,
            "tree",
            "processes as a tree, of the targets or of all, with what each may do",
            Effect::Flag(|r| set(&mut r.tree)),
        ),
        Opt::new(None, "json", "print JSON", Effect::Flag(|r| form(r, Form::Json))),
        Opt::new(None, "license", "show the license", Effect::Flag(|_| Err(license()))),
        Opt::new(None, "usage", "the same as --help", Effect::Help),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[("iab", "Form of the output"), ("diff", "Comparison"), ("json", "Other options")],
};

pub(crate) fn run(call: &Call) -> Outcome {
    let mut request = Request {
        form: Form::Text,
        style: Style::Short,
        iab: false,
        tree: false,
        out: Out::stdout(),
        proc: ProcRoot::default(),
        lookup: Lookup::new(call.name, Purpose::Read),
        last: last()?,
        processes: Vec::new(),
    };
    if call.args.is_empty() {
        return Err(Exit::Usage(format!("{}: no target given", text::shown(&call.argv0))));
    }
    let outcome = walk(call, &mut request);
    match outcome {
        Ok(status) => Ok(request.out.finish().map(|()| status)?),
        Err(exit) => {
            _ = request.out.drain(); // what was found out before stands
            Err(exit)
        }
    }
}

fn walk(call: &Call, request: &mut Request) -> Outcome {
    let mut status = 0;
    let mut any = false;
    for word in &call.args {
        if word.as_bytes().starts_with(b"-") && GRAMMAR.apply(call, word, request)? {
            continue;
        }
        any = true;
        match request.target(word) {
            Ok(()) => {}
            Err(Exit::Message { text: words, .. }) => (status, _) = (1, exit::say(&words)),
            Err(Exit::Failed { error, .. }) => {
                (status, _) = (1, exit::warn(call.name, &crate::errno::chain(&error)))
            }
            Err(other) => return Err(other),
        }
    }
    if request.tree {
        tree::show(request, any)?;
    } else if let Form::Json = request.form {
        show::json(request)?;
    }
    Ok(status)
}

#[must_use]
pub(crate) fn options(name: &'static str, about: &'static str) -> clap::Command {
    GRAMMAR.command(name, about)
}

fn style(request: &mut Request, style: Style) -> Result<(), Exit> {
    request.style = style;
    form(request, Form::Text)
}

fn form(request: &mut Request, form: Form) -> Result<(), Exit> {
    request.form = form;
    Ok(())
}

fn diff(request: &mut Request, base: Option<&OsStr>) -> Result<(), Exit> {
    let named = base.map(|name| Baseline::find(&name.to_string_lossy()));
    let base = match (base, named) {
        (None, _) => Base::Nearest,
        (_, Some(Some(baseline))) => Base::Named(baseline),
        (Some(word), _) if word == "list" => {
            show::baselines(request);
            return Err(Exit::Text(String::new()));
        }
        (Some(word), _) => {
            let held = request.held(word).map_err(|exit| no_base(word, exit))?;
            let state = request.read(&held, |process| process.credentials())?;
            Base::Other(text::shown(word).into_owned(), state.sets)
        }
    };
    form(request, Form::Diff(base))
}

/// Neither a usual set nor a target.
fn no_base(word: &OsStr, exit: Exit) -> Exit {
    let names: Vec<&str> = BASELINES.iter().map(|baseline| baseline.name).collect();
    let why = format!("--diff={} is none of {}, nor a target", text::shown(word), names.join(", "));
    match exit {
        Exit::Failed { error, .. } => error.context(why).into(),
        Exit::Message { text: words, .. } => anyhow!(words).context(why).into(),
        other => other,
    }
}

fn license() -> Exit {
    Exit::Text("getpcaps of ctrbox: MIT or Apache-2.0, as you like\n".to_owned())
}

impl Request {
    /// Shows it, or keeps it for the end.
    fn target(&mut self, word: &OsStr) -> Result<(), Exit> {
        let plain = matches!(self.form, Form::Text) && !self.tree;
        if let Some(Ok(pid)) = number(word).filter(|_| plain && !self.iab) {
            let flags = own::flags_of(pid).map_err(|errno| failed(pid, errno))?;
            show::line(self, word, &flags.text(self.last));
            return Ok(());
        }
        let held = self.held(word)?;
        if plain {
            let state = self.read(&held, |process| process.credentials())?;
            match self.iab {
                true => show::iab(self, word, &state.sets),
                false => show::line(self, word, &state.sets.flags().text(self.last)),
            }
            return Ok(());
        }
        let whole = matches!(self.form, Form::Json);
        let process = self.read(&held, if whole { Capable::whole } else { Capable::read })?;
        match self.form.clone() {
            _ if self.tree => self.processes.push((word.to_os_string(), process)),
            Form::Json => self.processes.push((word.to_os_string(), process)),
            Form::Diff(base) => show::diff(self, word, &process, &base),
            Form::Text | Form::Table => show::table(self, word, &process),
        }
        Ok(())
    }

    fn held(&self, word: &OsStr) -> Result<Held, Exit> {
        match number(word) {
            Some(Ok(pid)) if pid.as_raw() == 0 => Ok(Held { pid: Pid::this(), pidfd: None }),
            Some(Ok(pid)) => Ok(Held { pid, pidfd: ns::pidfd(pid) }),
            // The beginning of an id can be all digits; if none begins so the number was wrong.
            Some(Err(errno)) => {
                let target = Target::parse(word).map_err(|_| unparsed(word, errno))?;
                self.lookup.held(&self.proc, &target).map_err(|_| unparsed(word, errno))
            }
            None => {
                let target = Target::parse(word).map_err(|errno| unparsed(word, errno))?;
                Ok(self.lookup.held(&self.proc, &target)?)
            }
        }
    }

    /// What `read` finds below /proc, if it is certainly this process's.
    fn read<T>(&self, held: &Held, read: impl Fn(Process<'_>) -> std::io::Result<T>) -> Result<T, Exit> {
        let gone = |errno| failed(held.pid, errno);
        let found = read(self.proc.process(held.pid)).map_err(|error| {
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT | Errno::ESRCH) => gone(Errno::ESRCH),
                Some(errno) => gone(errno),
                None => anyhow!(error).context(format!("process {}", held.pid)).into(),
            }
        })?;
        if let Some(pidfd) = &held.pidfd {
            ns::still(pidfd).map_err(gone)?;
        }
        Ok(found)
    }
}

fn failed(pid: Pid, errno: Errno) -> Exit {
    let cause = crate::errno::strerror(errno as i32);
    Exit::Message { status: 1, text: format!("Failed to get cap's for process {pid}: ({cause})") }
}

fn unparsed(word: &OsStr, errno: Errno) -> Exit {
    let cause = crate::errno::strerror(errno as i32);
    Exit::Message { status: 1, text: format!("Cannot parse pid {}: ({cause})", text::shown(word)) }
}

/// A PID as strtol(3) reads the whole of one. None: it is a word. What is neither, an unknown option or nothing,
/// is refused as the original does.
fn number(word: &OsStr) -> Option<Result<Pid, Errno>> {
    let bytes = word.as_bytes().trim_ascii_start();
    let digits = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let numeric = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !numeric {
        return (word.is_empty() || bytes.starts_with(b"-")).then_some(Err(Errno::EINVAL));
    }
    let number = std::str::from_utf8(bytes).ok()?.parse::<i64>();
    Some(match number.map(i32::try_from) {
        Err(_) => Err(Errno::ERANGE),
        Ok(Ok(pid)) if pid >= 0 => Ok(Pid::from_raw(pid)),
        Ok(_) => Err(Errno::EOVERFLOW),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words() {
        let read = |word: &str| number(OsStr::new(word));
        for (word, pid) in [("1", 1), (" 1", 1), ("+1", 1), ("0042", 42), ("0", 0), ("-0", 0)] {
            assert_eq!(read(word), Some(Ok(Pid::from_raw(pid))), "{word}");
        }
        for (word, errno) in [
            ("", Errno::EINVAL),
            ("-v", Errno::EINVAL),
            ("--", Errno::EINVAL),
            ("-1", Errno::EOVERFLOW),
            ("4294967297", Errno::EOVERFLOW),
            ("99999999999999999999", Errno::ERANGE),
        ] {
            assert_eq!(read(word), Some(Err(errno)), "{word}");
        }
        for word in ["web", "docker:web", "1x", "0x1", "12ab"] {
            assert_eq!(read(word), None, "{word}");
        }
    }
}
