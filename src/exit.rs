//! How a run ends: one type for it, and the one place that writes to stderr.

use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::Error;
use nix::errno::Errno;

use crate::errno;
use crate::hint::hint_for;
use crate::isolation::operation::Refused;
use crate::output::Out;
use crate::proc::ProcRoot;
use crate::text;

/// What an applet returns: the status it ends with, or why it could not.
pub(crate) type Outcome = Result<u8, Exit>;

/// Looks for a reason. Called only where hints are wanted: to look for one costs something.
pub(crate) type Hint = Box<dyn Fn() -> Option<String> + Send + Sync>;

pub enum Exit {
    /// `name: context: cause` to stderr; the applet's own failure status unless one is given.
    Failed { status: Option<u8>, error: Error, hint: Option<Hint> },
    /// Another program has reported what failed; there may be a hint to add.
    Reported { status: u8, refused: Refused },
    /// A message in the form of getopt(3), which begins with `argv[0]` and not with the applet's name.
    Usage(String),
    /// A message that begins with no name; empty if there is nothing more to report.
    Message { status: u8, text: String },
    /// `--help` and `--version`: to stdout, status 0.
    Text(String),
}

impl Exit {
    #[must_use]
    pub fn failed(status: u8, error: Error) -> Exit {
        Exit::Failed { status: Some(status), error, hint: None }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Exit::Failed { error, .. } => errno::chain(error),
            Exit::Reported { refused, .. } => refused.to_string(),
            Exit::Usage(text) | Exit::Text(text) | Exit::Message { text, .. } => text.clone(),
        }
    }

    /// With a hint that is printed if the failed operation has none.
    #[must_use]
    pub fn or_hint(mut self, other: impl Fn() -> Option<String> + Send + Sync + 'static) -> Exit {
        if let Exit::Failed { hint, .. } = &mut self {
            *hint = Some(Box::new(other));
        }
        self
    }
}

/// So that `?` works on every error.
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

/// Reports `outcome` and returns its status, or that of a stdout that cannot be written.
pub(crate) fn report(name: &str, failure: u8, outcome: Outcome) -> u8 {
    match outcome {
        Ok(status) => status,
        Err(Exit::Text(words)) => {
            let mut out = Out::stdout();
            out.push(words.as_bytes());
            match out.finish() {
                Ok(()) => 0,
                Err(error) => report(name, failure, Err(error.into())),
            }
        }
        Err(Exit::Message { status, text }) => {
            if !text.is_empty() {
                complain(&text);
            }
            status
        }
        Err(Exit::Usage(words)) => {
            complain(&format!("{words}\nTry '{name} --help' for more information."));
            failure
        }
        Err(Exit::Failed { status, error, hint }) => {
            let reason = || {
                let of_operation =
                    error.downcast_ref().and_then(|refused| reason(refused, errno::first(&error)));
                of_operation.or_else(|| hint.as_ref()?())
            };
            let hint = shown_hint(reason).map(|hint| format!("\n{hint}")).unwrap_or_default();
            complain(&format!("{name}: {}{hint}", errno::chain(&error)));
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

/// A line to stderr while work goes on.
pub(crate) fn warn(name: &str, message: &str) {
    complain(&format!("{name}: {message}"));
}

/// The same as it is: the original's words, a report of several lines.
pub(crate) fn say(words: &str) {
    complain(words);
}

/// One write, so that lines of several processes do not mix. A stderr that cannot be written is nobody's news.
/// Messages quote paths and names that others chose: nothing in them reaches the terminal as a command.
fn complain(line: &str) {
    let _ = nix::unistd::write(std::io::stderr(), format!("{}\n", text::escape_lines(line)).as_bytes());
}

/// What CTRBOX_HINTS says. To be called before the environment is wiped; the first answer counts.
pub(crate) fn hints_asked_for() -> Option<bool> {
    static ASKED_FOR: OnceLock<Option<bool>> = OnceLock::new();
    *ASKED_FOR.get_or_init(|| match std::env::var_os("CTRBOX_HINTS") {
        Some(word) if word == "always" => Some(true),
        Some(word) if word == "never" => Some(false),
        _ => None,
    })
}

fn reason(refused: &Refused, errno: Errno) -> Option<String> {
    hint_for(&refused.operation, errno, &ProcRoot::default())
}

/// Hints are for people: a script gets the messages of the original tools and no more. CTRBOX_HINTS overrides that.
fn shown_hint(reason: impl Fn() -> Option<String>) -> Option<String> {
    let wanted = hints_asked_for().unwrap_or_else(|| std::io::stderr().is_terminal());
    let reason = if wanted { reason() } else { None };
    reason.map(|reason| format!("hint: {}", text::escape(reason.as_bytes())))
}
