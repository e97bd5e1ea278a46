//! `getpcaps` shows the capabilities of processes, in the text form of cap_from_text(3). It is compatible with the
//! getpcaps of libcap, and also takes containers, compares sets and shows more details.
//!
//! TARGET is a PID, where 0 is `getpcaps` itself, or a container that runs on this host: its name,
//! `RUNTIME:NAME` or the beginning of its id, as nsenter(1) takes it. For a container its first process is shown.
//! When no state file confirms the container, or it belongs to a user who is neither the caller nor root, a line on
//! standard error says so.
//!
//! An option applies to the targets that follow it; `--tree` and `--json` apply to all targets. If a target cannot be
//! shown, getpcaps reports the error and continues with the next.
//!
//! In the text `=ep` means that all capabilities of the kernel are effective and permitted. `cap_kill+i` adds to the
//! clauses before it, `cap_kill-ep` removes from them. `--iab` adds the text form of cap_iab(3), which shows what
//! programs inherit: `cap_kill` is inheritable, `^cap_kill` is ambient as well, `!cap_kill` is not in the bounding set.
//!
//! # Comparison with a baseline
//!
//! `--diff` names the nearest baseline, and the capabilities that the process has in addition to it (`+`) or lacks
//! (`-`). The permitted set comes first. The bounding set, which limits what programs can gain, follows if it
//! differs. `--diff=BASE` compares with one baseline: all, docker (also the default of containerd, and so of
//! Kubernetes), podman, podman-4.4, crio, runc, nspawn, lxc, or with another TARGET. `--diff=list` lists the
//! baselines and their sources.
//!
//! Capabilities in a user namespace apply only in it. `--diff` and `--json` show that namespace and its owner.
//!
//! Threads can have capabilities that differ from those of their process. `--table`, `--tree` and `--json` show the
//! threads that differ. `--json` also shows the capabilities of the program's file, no_new_privs and seccomp. If the
//! file's capabilities apply only in user namespaces of one root user, program_rootid is that user. Only a process
//! itself can read its securebits; they are null.
//!
//! # Exit status
//!
//! 0 on success; 1 if a target cannot be shown.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `LC_ALL`, `LC_CTYPE`, `LANG`: the first that is not empty names the locale. If it uses UTF-8, trees are drawn
//!   with its lines, else in ASCII.
//! - `POSIXLY_CORRECT`: if set, options after the first operand are operands too.
//!
//! # Files
//!
//! - `/proc/PID/status`, `/proc/PID/task`: the capabilities of processes and threads; /proc/PID/exe leads to those
//!   of the program's file.
//! - State files of runtimes: the names of containers; ctrbox(1) lists the paths.
//!
//! # Examples
//!
//! The capabilities of two containers, compared with the nearest baseline:
//!
//! ```text
//! $ getpcaps --diff web db
//! web: docker default +NET_ADMIN -MKNOD
//! db: all 41, only inside user namespace 4026532333, owned by uid 1000
//! ```
//!
//! The tree of all processes, each with its capabilities:
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

use crate::cli::{Applet, Call, Effect, Grammar, Opt, set};
use crate::container::target::{Held, Lookup, Purpose, Target, hint_at_container};
use crate::exit::{self, Exit, Outcome};
use crate::isolation::capabilities::baseline::{BASELINES, Baseline};
use crate::isolation::capabilities::process::Capable;
use crate::isolation::capabilities::{last, own};
use crate::isolation::ns;
use crate::output::Out;
use crate::proc::ProcRoot;
use crate::proc::{Mask, Process, Scan, Sets};
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
    /// The targets of `--tree` and `--json`, which print at the end.
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

/// The base of `--diff`.
#[derive(Clone)]
enum Base {
    Nearest,
    Named(&'static Baseline),
    /// Another target: its name and its sets.
    Other(String, Sets),
}

pub(crate) static APPLET: Applet = Applet {
    name: "getpcaps",
    section: 8,
    failure: 1,
    about: "show the capabilities of processes and containers",
    run,
    grammar: &GRAMMAR,
};

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[option...] target...",
    stops_at_operand: false,
    options: &[
        Opt::new(None, "iab", "also show what programs inherit", Effect::Flag(|r| set(&mut r.iab))),
        Opt::new(
            None,
            "legacy",
            "use the oldest output format, on standard error",
            Effect::Flag(|r| style(r, Style::Legacy)),
        ),
        Opt::new(None, "ugly", "the same as --legacy", Effect::Flag(|r| style(r, Style::Legacy))),
        Opt::new(None, "verbose", "use a longer output format", Effect::Flag(|r| style(r, Style::Verbose))),
        Opt::new(
            None,
            "table",
            "show all five sets side by side: effective, permitted, inheritable, bounding, ambient",
            Effect::Flag(|r| form(r, Form::Table)),
        ),
        Opt::new(
            None,
            "diff",
            "show the difference from the nearest baseline, or from this baseline or target",
            Effect::OptionalLong(diff),
        )
        .takes("base"),
        Opt::new(
            None,
            "tree",
            "show the targets and their descendants, or all processes, as a tree",
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

/// Options print what is in files of a process that may be unreadable without an end. Without one, a PID costs one
/// system call, and a container is searched for by a child.
fn run(call: &Call) -> Outcome {
    match call.args.iter().any(|word| word.as_bytes().starts_with(b"-")) {
        true => exit::in_worker(&ProcRoot::default(), || show_all(call)),
        false => show_all(call),
    }
}

fn show_all(call: &Call) -> Outcome {
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
            _ = request.out.drain(); // print the targets before
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
            Err(Exit::Message { text: words, hint, .. }) => {
                exit::say(&format!("{words}{}", exit::hint_line(|| hint.as_ref()?())));
                status = 1;
            }
            Err(Exit::Failed { error, .. }) => {
                exit::warn(call.name, &crate::errno::chain(&error));
                exit::hint_at_rights_after(&error);
                status = 1;
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

/// The word is neither a baseline nor a target.
fn no_base(word: &OsStr, exit: Exit) -> Exit {
    let names: Vec<&str> = BASELINES.iter().map(|baseline| baseline.name).collect();
    let why =
        format!("--diff={} is neither a baseline ({}) nor a target", text::shown(word), names.join(", "));
    let near = text::did_you_mean(&word.to_string_lossy(), names);
    match exit {
        Exit::Failed { error, .. } => Exit::from(error.context(why)),
        Exit::Message { text: words, .. } => Exit::from(anyhow!(words).context(why)),
        other => other,
    }
    .or_hint(move || near.clone())
}

fn license() -> Exit {
    Exit::Text("getpcaps of ctrbox: MIT or Apache-2.0, at your option\n".to_owned())
}

impl Request {
    /// Shows a target, or keeps it for the end.
    fn target(&mut self, word: &OsStr) -> Result<(), Exit> {
        let plain = matches!(self.form, Form::Text) && !self.tree;
        if let Some(Ok(pid)) = number(word).filter(|number| number.is_ok_and(|pid| pid.as_raw() > 0)) {
            hint_at_container(&self.proc, None, pid);
        }
        if let Some(Ok(pid)) = number(word).filter(|_| plain && !self.iab) {
            let flags = own::flags_of(pid).map_err(|errno| failed(pid, &errno.into()))?;
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
            Some(Ok(pid)) => Ok(Held { pid, pidfd: ns::pidfd(&self.proc, pid) }),
            // The beginning of an id can be all digits. If no id begins with them, the number is wrong.
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

    /// Runs `read` on a process, and checks afterwards that its PID was not reused meanwhile.
    fn read<T>(&self, held: &Held, read: impl Fn(Process<'_>) -> std::io::Result<T>) -> Result<T, Exit> {
        let gone = |errno: Errno| failed(held.pid, &errno.into());
        let found = read(self.proc.process(held.pid)).map_err(|error| {
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT | Errno::ESRCH) => failed(held.pid, &Scan::no_process(&self.proc)),
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

fn failed(pid: Pid, error: &anyhow::Error) -> Exit {
    let cause = crate::errno::chain(error);
    Exit::Message { status: 1, text: format!("Failed to get cap's for process {pid}: ({cause})"), hint: None }
}

fn unparsed(word: &OsStr, errno: Errno) -> Exit {
    let cause = crate::errno::strerror(errno as i32);
    Exit::Message {
        status: 1,
        text: format!("Cannot parse pid {}: ({cause})", text::shown(word)),
        hint: None,
    }
    .or_hint({
        let word = word.to_os_string();
        move || GRAMMAR.near_word(&word)
    })
}

/// A PID as strtol(3) reads a whole word. None if it is another word. An unknown option and an empty word are
/// errors, as in libcap.
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
