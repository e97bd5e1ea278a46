//! How a run ends: one type for it, and the one function that writes to stderr.

use std::fmt;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use anyhow::{Error, anyhow};
use nix::errno::Errno;

use crate::access::watch::{self, Watched};
use crate::errno;
use crate::hint::hint_for;
use crate::isolation::capabilities::own;
use crate::isolation::ns;
use crate::isolation::operation::{Operation, Refused};
use crate::output::Out;
use crate::output::fold::folded;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::sys::{self, Ended};
use crate::text;

/// What an applet returns: its exit status, or why it failed.
pub(crate) type Outcome = Result<u8, Exit>;

/// Looks for the cause of an error. Called only when hints are shown, because the search takes time.
pub(crate) type Hint = Box<dyn Fn() -> Option<String> + Send + Sync>;

pub(crate) enum Exit {
    /// `name: context: cause` to stderr. The status is the applet's failure status unless one is given.
    Failed { status: Option<u8>, error: Error, hint: Option<Hint> },
    /// Another program has already reported the error. Only a hint may be added.
    Reported { status: u8, refused: Refused },
    /// A message in the form of getopt(3), which begins with `argv[0]` and not with the name of the applet.
    Usage(String),
    /// A message without a name before it. Empty: nothing more to report.
    Message { status: u8, text: String, hint: Option<Hint> },
    /// `--help` and `--version`: to stdout, status 0.
    Text(String),
}

impl Exit {
    #[must_use]
    pub(crate) fn failed(status: u8, error: Error) -> Exit {
        Exit::Failed { status: Some(status), error, hint: None }
    }

    /// The message.
    #[must_use]
    pub(crate) fn message(&self) -> String {
        match self {
            Exit::Failed { error, .. } => errno::chain(error),
            Exit::Reported { refused, .. } => refused.to_string(),
            Exit::Usage(text) | Exit::Text(text) | Exit::Message { text, .. } => text.clone(),
        }
    }

    /// Adds a hint that is printed when the failed operation has none.
    #[must_use]
    pub(crate) fn or_hint(mut self, other: impl Fn() -> Option<String> + Send + Sync + 'static) -> Exit {
        if let Exit::Failed { hint, .. } | Exit::Message { hint, .. } = &mut self {
            *hint = Some(Box::new(other));
        }
        self
    }
}

/// No container or process has been found for a word. To an ordinary user it may not be visible.
#[derive(Debug)]
pub(crate) struct NotSeen(pub String);

impl fmt::Display for NotSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotSeen {}

/// A child has failed. If it has exited, it has printed the reason.
#[derive(Debug)]
pub(crate) struct ChildFailed(pub Ended);

impl fmt::Display for ChildFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("child exit failed")
    }
}

impl std::error::Error for ChildFailed {}

/// `?` works on every error.
impl<E: Into<Error>> From<E> for Exit {
    fn from(error: E) -> Self {
        Exit::Failed { status: None, error: error.into(), hint: None }
    }
}

impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// Reports `outcome` and returns its status, or the failure status if stdout cannot be written.
pub(crate) fn report(name: &str, failure: u8, outcome: Outcome) -> u8 {
    match outcome {
        Ok(status) => status,
        Err(Exit::Text(words)) => {
            let mut out = Out::stdout();
            out.push(folded(words).as_bytes());
            match out.finish() {
                Ok(()) => 0,
                // As util-linux: who closes stdout does not want the text.
                Err(error) if errno::first(&error) == Errno::EBADF => 0,
                Err(error) => report(name, failure, Err(error.into())),
            }
        }
        Err(Exit::Message { status, text, hint }) => {
            let hint = hint.and_then(|hint| shown_hint(&*hint));
            let lines: Vec<String> = [text].into_iter().filter(|text| !text.is_empty()).chain(hint).collect();
            if !lines.is_empty() {
                complain(&lines.join("\n"));
            }
            status
        }
        Err(Exit::Usage(words)) => {
            complain(&format!("{words}\nTry '{name} --help' for more information."));
            failure
        }
        Err(Exit::Failed { status, error, .. })
            if matches!(error.downcast_ref(), Some(ChildFailed(Ended::Exited(_)))) =>
        {
            status.unwrap_or(failure)
        }
        Err(Exit::Failed { status, error, hint }) => {
            let reason = || {
                let of_operation =
                    error.downcast_ref().and_then(|refused| reason(refused, errno::first(&error)));
                of_operation.or_else(|| hint.as_ref()?()).or_else(|| not_seen(&error))
            };
            complain(&format!("{name}: {}{}", errno::chain(&error), hint_line(reason)));
            status.unwrap_or(failure)
        }
        Err(Exit::Reported { status, refused }) => {
            if let Some(hint) = shown_hint(|| reason(&refused, Errno::UnknownErrno)) {
                complain(&hint);
            }
            status
        }
    }
}

/// Runs an applet that reads files of all processes in a worker process (see [`watch`]). The worker reports the outcome,
/// and this process ends as it does.
pub(crate) fn in_worker(proc: &ProcRoot, mut work: impl FnMut() -> Outcome) -> Outcome {
    let (name, failure) = sys::memory::program();
    let mut work = || {
        let outcome = work();
        watch::note_of_blocked().iter().for_each(|note| warn(name, note));
        outcome
    };
    match watch::in_worker(proc, || report(name, failure, work())) {
        Watched::Ended(ended) => as_worker(ended),
        Watched::Blocked(pid) => Err(anyhow!(watch::cannot_read(pid)).into()),
        Watched::NotStarted => work(),
    }
}

/// This process ends as its worker did.
pub(crate) fn as_worker(ended: Ended) -> Outcome {
    match ended {
        Ended::Exited(status) => Ok(status),
        Ended::Killed(signal) => {
            sys::die_of(signal);
            Err(anyhow!("child exit failed").into()) // the signal does not end this process
        }
        Ended::Stopped | Ended::StillRunning => Err(anyhow!("child exit failed").into()),
    }
}

/// Reports a problem on stderr; the run continues.
pub(crate) fn warn(name: &str, message: &str) {
    complain(&format!("{name}: {message}"));
}

/// Prints why an operation was refused. The run goes on without it.
pub(crate) fn hint_of(operation: &Operation, errno: Errno, proc: &ProcRoot) {
    hint(|| hint_for(operation, errno, proc));
}

/// Prints a hint that belongs to no error.
pub(crate) fn hint(reason: impl Fn() -> Option<String>) {
    if let Some(hint) = shown_hint(reason) {
        complain(&hint);
    }
}

/// For all applets that look at processes of other users: what the rights of an ordinary user do not show.
pub(crate) fn hint_at_rights() {
    hint(rights);
}

/// The same for a screen.
pub(crate) fn shown_hint_at_rights() -> Option<String> {
    shown_hint(rights)
}

/// The same after an error, if the caller's rights may be its cause.
pub(crate) fn hint_at_rights_after(error: &Error) {
    hint(|| not_seen(error));
}

fn not_seen(error: &Error) -> Option<String> {
    error.downcast_ref::<NotSeen>().and_then(|_| rights())
}

/// Does the kernel withhold processes and files of others from the caller?
pub(crate) fn sees_less_than_root() -> bool {
    rights().is_some()
}

/// For a message that there is no such container: to a caller who does not see all, one can be there.
pub(crate) fn that_is_seen() -> &'static str {
    if sees_less_than_root() { " that this user can see" } else { "" }
}

/// What the rights of the caller do not show, for a program that reads the output.
pub(crate) fn rights() -> Option<String> {
    match nix::unistd::geteuid().is_root() {
        false => Some(RIGHTS.to_owned()),
        true => lacks_rights_of_root().then(|| RIGHTS_OF_ROOT.to_owned()),
    }
}

/// Has root fewer rights than root of the user namespace that its pid namespace belongs to? The kernel does not show the owner
/// of a namespace to those below it (ioctl_ns(2)).
fn lacks_rights_of_root() -> bool {
    let proc = ProcRoot::default();
    let this = proc.process(nix::unistd::Pid::this());
    let is_below = |space: &OwnedFd| ns::owner_of(space).is_err_and(|errno| errno == Errno::EPERM);
    let has_ptrace = || own::flags().is_ok_and(|flags| flags.effective & own::SYS_PTRACE != 0);
    let is_first = || this.ns(Kind::Pid) == Kind::Pid.first_inode();
    ns::open_file(&this.path(&Kind::Pid.link())).is_ok_and(|space| is_below(&space))
        || (is_first() && !has_ptrace())
}

const RIGHTS: &str = "not shown: namespaces and container names of other users; root sees more";
const RIGHTS_OF_ROOT: &str = "not shown: namespaces and container names of other users; CAP_SYS_PTRACE in the first user \
                              namespace sees more";

/// Writes words to stderr unchanged: a message of the original tool, or a report of several lines.
pub(crate) fn say(words: &str) {
    complain(words);
}

/// One write(2), so that lines of several processes do not mix. An error of stderr cannot be reported and is ignored.
/// Messages quote paths and names that other users choose; they are escaped, so that no control sequence reaches the
/// terminal.
fn complain(line: &str) {
    let _ = nix::unistd::write(std::io::stderr(), format!("{}\n", text::escape_lines(line)).as_bytes());
}

/// The value of CTRBOX_HINTS. The first result is kept.
pub(crate) fn hints_asked_for() -> Option<bool> {
    static ASKED_FOR: OnceLock<Option<bool>> = OnceLock::new();
    *ASKED_FOR.get_or_init(|| match std::env::var_os("CTRBOX_HINTS") {
        Some(word) if word == "always" => Some(true),
        Some(word) if word == "never" => Some(false),
        _ => None,
    })
}

/// Hints are for people. A script gets only the messages of the original tools. CTRBOX_HINTS overrides this.
pub(crate) fn hints_wanted() -> bool {
    static ON_TERMINAL: OnceLock<bool> = OnceLock::new();
    hints_asked_for().unwrap_or_else(|| *ON_TERMINAL.get_or_init(|| std::io::stderr().is_terminal()))
}

fn reason(refused: &Refused, errno: Errno) -> Option<String> {
    hint_for(&refused.operation, errno, &ProcRoot::default())
}

/// The same as a line after a message; nothing without a hint.
pub(crate) fn hint_line(reason: impl Fn() -> Option<String>) -> String {
    shown_hint(reason).map(|hint| format!("\n{hint}")).unwrap_or_default()
}

pub(crate) fn shown_hint(reason: impl Fn() -> Option<String>) -> Option<String> {
    let reason = if hints_wanted() { reason() } else { None };
    reason.map(|reason| format!("hint: {}", text::escape(reason.as_bytes())))
}
