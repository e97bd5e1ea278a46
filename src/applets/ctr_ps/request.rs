//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::columns::Id;
use super::select::Selection;
use crate::isolation::identity::Way;
use crate::output::style::When;

#[derive(Default)]
pub(super) struct Request {
    pub selection: Selection,
    /// As given: they are looked up in the passwd file of the inspected host.
    pub users: Vec<OsString>,
    pub list: bool,
    pub forest: bool,
    pub by_container: bool,
    /// Also `-a`: for containers, those that do not run too.
    pub all: bool,
    /// `-e` or `-A`.
    pub every: bool,
    /// `-x`, which only a user of `ps -ax` types.
    pub bsd: bool,
    pub threads: bool,
    pub preset: Option<&'static [Id]>,
    pub columns: Vec<String>,
    pub sort: Vec<String>,
    pub filter: Option<String>,
    /// JSON with an object a line.
    pub lines: bool,
    pub list_columns: bool,
    pub form: Form,
    pub no_headings: bool,
    pub wide: bool,
    /// Whole ids.
    pub whole: bool,
    pub no_args: bool,
    pub watch: Option<Duration>,
    pub colour: When,
    pub verbose: bool,
    pub root: Option<PathBuf>,
    pub proc_root: Option<PathBuf>,
    pub way: Way,
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    People,
    Raw,
    Json,
    /// PIDs, or containers in their shortest exact form.
    Quiet,
}

impl Request {
    /// Also list containers that do not run?
    #[must_use]
    pub(super) fn stopped(&self) -> bool {
        self.list && (self.all || self.selection.attributes.wants_stopped())
    }
}
