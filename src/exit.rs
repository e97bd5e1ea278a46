//! How a run ends: one type for it, and the one place that writes to stderr.

use std::ffi::OsStr;
use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::Error;
use nix::errno::Errno;

use crate::errno;
use crate::output::{Out, text};

/// What an applet returns: the status it ends with, or why it could not.
pub type Outcome = Result<u8, Exit>;

#[derive(Debug)]
pub enum Exit {
    /// `name: context: cause` to stderr; the applet's own failure status unless one is given.
    Failed { status: Option<u8>, error: Error },
    /// Somebody else has said what failed; there may be a reason to add.
    Told { status: u8, reason: Reasoned },
    /// getopt's words, which begin with argv[0] and not with the applet's name.
    Usage(String),
    /// The original's words, which begin with no name; none if they are said already.
    Words { status: u8, words: String },
    /// `--help` and `--version`: to stdout, status 0.
    Text(String),
}

impl Exit {
    /// What there is to say.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Exit::Failed { error, .. } => chain(error),
            Exit::Told { reason, .. } => reason.words.clone(),
            Exit::Usage(words) | Exit::Text(words) | Exit::Words { words, .. } => words.clone(),
        }
    }
}

/// So that `?` works on every error; only a status of its own needs more words.
impl<E: Into<Error>> From<E> for Exit {
    fn from(error: E) -> Self {
        Exit::Failed { status: None, error: error.into() }
    }
}

/// Words of an error that know the reason behind it. Found anywhere in a chain it is asked, but only where
/// hints are wanted: to look for a reason may cost something.
pub struct Reasoned {
    words: String,
    reason: Box<dyn Fn(Errno) -> Option<String> + Send + Sync>,
}

impl Reasoned {
    pub fn new(
        words: impl Into<String>,
        reason: impl Fn(Errno) -> Option<String> + Send + Sync + 'static,
    ) -> Reasoned {
        Reasoned { words: words.into(), reason: Box::new(reason) }
    }
}

impl Exit {
    /// With another reason to say, if there is none yet.
    #[must_use]
    pub fn or_because(mut self, reason: impl Fn(Errno) -> Option<String> + Send + Sync + 'static) -> Exit {
        if let Exit::Failed { error, .. } = &mut self
            && let Some(reasoned) = error.downcast_mut::<Reasoned>()
        {
            let first = std::mem::replace(&mut reasoned.reason, Box::new(|_| None));
            reasoned.reason = Box::new(move |errno| first(errno).or_else(|| reason(errno)));
        }
        self
    }
}

impl fmt::Display for Reasoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl fmt::Debug for Reasoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// A program that could not be started: 127 when it is not there, 126 when it is but cannot run.
#[must_use]
pub fn exec_failed(
    program: &OsStr,
    cause: Errno,
    reason: impl Fn(Errno) -> Option<String> + Send + Sync + 'static,
) -> Exit {
    let status = if cause == Errno::ENOENT { 127 } else { 126 };
    let words = format!("failed to execute {}", text::shown(program));
    let error = Error::from(cause).context(Reasoned::new(words, reason));
    Exit::Failed { status: Some(status), error }
}

/// Says what there is to say and gives the status: of `outcome`, or of a stdout that could not be written.
pub fn report(name: &str, failure: u8, outcome: Outcome) -> u8 {
    match outcome {
        Ok(status) => status,
        Err(Exit::Text(words)) => {
            let mut out = Out::stdout();
            out.push(words.as_bytes());
            match out.finish() {
                Ok(()) => 0,
                Err(error) => report(name, failure, Err(error)),
            }
        }
        Err(Exit::Words { status, words }) => {
            if !words.is_empty() {
                complain(&words);
            }
            status
        }
        Err(Exit::Usage(words)) => {
            complain(&format!("{words}\nTry '{name} --help' for more information."));
            failure
        }
        Err(Exit::Failed { status, error }) => {
            let hint = error.downcast_ref().and_then(|reasoned| hint(reasoned, errno(&error)));
            complain(&format!(
                "{name}: {}{}",
                chain(&error),
                hint.map(|hint| format!("\n{hint}")).unwrap_or_default()
            ));
            status.unwrap_or(failure)
        }
        Err(Exit::Told { status, reason }) => {
            if let Some(hint) = hint(&reason, Errno::UnknownErrno) {
                complain(&hint);
            }
            status
        }
    }
}

/// A line to stderr while work goes on.
pub fn warn(name: &str, message: &str) {
    complain(&format!("{name}: {message}"));
}

/// The same as it is: the original's words, a report of several lines.
pub fn say(words: &str) {
    complain(words);
}

/// One write, so that lines of several processes do not mix. A stderr that cannot be written is nobody's news.
/// Messages quote paths and names that others chose: nothing in them reaches the terminal as a command.
fn complain(line: &str) {
    let _ = nix::unistd::write(std::io::stderr(), format!("{}\n", text::escape_lines(line)).as_bytes());
}

/// What CTRBOX_HINTS says. To be called before the environment is wiped; the first answer counts.
pub fn hints_asked_for() -> Option<bool> {
    static ASKED_FOR: OnceLock<Option<bool>> = OnceLock::new();
    *ASKED_FOR.get_or_init(|| match std::env::var_os("CTRBOX_HINTS") {
        Some(word) if word == "always" => Some(true),
        Some(word) if word == "never" => Some(false),
        _ => None,
    })
}

/// Hints are for people: scripts get what the originals print and no more. CTRBOX_HINTS says otherwise.
fn hint(reasoned: &Reasoned, errno: Errno) -> Option<String> {
    let wanted = hints_asked_for().unwrap_or_else(|| std::io::stderr().is_terminal());
    let reason = if wanted { (reasoned.reason)(errno) } else { None };
    reason.map(|reason| format!("hint: {}", text::escape(reason.as_bytes())))
}

/// `context: cause: cause`, an errno in the words of [`errno::strerror`].
pub fn chain(error: &Error) -> String {
    let escaped = |error| text::escape(cause(error).as_bytes()).into_owned();
    error.chain().map(escaped).collect::<Vec<_>>().join(": ")
}

/// One error in these words.
pub fn cause(cause: &(dyn std::error::Error + 'static)) -> String {
    number(cause).map_or_else(|| cause.to_string(), errno::strerror)
}

fn number(cause: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    cause.downcast_ref::<Errno>().map(|&errno| errno as i32).or(io)
}

fn errno(error: &Error) -> Errno {
    error.chain().find_map(number).map_or(Errno::UnknownErrno, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_follow_their_context_in_the_words_of_the_c_library() {
        let io = std::io::Error::from_raw_os_error(34);
        let error = Err::<(), _>(io).context("cannot count").context("counting").expect_err("an error");
        assert_eq!(chain(&error), "counting: cannot count: Numerical result out of range");
    }

    #[test]
    fn names_in_messages_are_escaped() {
        let error = anyhow::anyhow!("e\u{202e}").context("cannot open a\x1b[2J\u{9b}\nb");
        assert_eq!(chain(&error), r"cannot open a\x1b[2J\u{009b}\x0ab: e\u{202e}");
    }

    #[test]
    fn a_program_not_there_is_127_and_one_that_cannot_run_126() {
        let status = |errno| match exec_failed(OsStr::new("x"), errno, |_| None) {
            Exit::Failed { status, .. } => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(Errno::ENOENT), Some(127));
        assert_eq!(status(Errno::EACCES), Some(126));
        assert_eq!(status(Errno::ENOTDIR), Some(126));
    }
}
