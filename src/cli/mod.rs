//! Options as getopt_long(3) parses them, from one table per applet.
//!
//! clap cannot replace getopt_long. It has no ambiguous abbreviations, no optional value attached to a letter
//! (`-nFILE`), no effects in the order of the options, and other messages and another exit status for errors.
//! Building its `Command` also costs more than a whole run of `nsenter`. So this directory has its own table and parser,
//! and clap gets the same table for `--help`, man pages and completions.

mod getopt;
mod render;
mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::exit::{Exit, Outcome};
use crate::text;
pub(crate) use words::{OptionView, Takes, Words};

/// A program of ctrbox. Each is defined in its own file; `applet::APPLETS` lists them.
pub struct Applet {
    pub name: &'static str,
    /// Section of the manual of its page.
    pub section: u8,
    /// Exit status when the applet itself fails, usage errors included.
    pub failure: u8,
    /// What it does, in one line.
    pub about: &'static str,
    pub(crate) run: fn(&Call) -> Outcome,
    pub(crate) grammar: &'static dyn Describe,
}

impl Applet {
    /// Does no other project have a program of this name? Such a name is installed beside the original tools.
    #[must_use]
    pub fn has_own_name(&self) -> bool {
        is_own_name(self.name)
    }

    /// Its options, for the completions of the shells.
    pub(crate) fn options(&self) -> Vec<OptionView> {
        self.grammar.options()
    }

    pub(crate) fn operands(&self) -> Words {
        self.grammar.operands()
    }

    /// The name of its manual page.
    #[must_use]
    pub fn page(&self) -> String {
        page(self.name)
    }

    /// Only for `--help`, man pages and completions; the parser does not use clap.
    #[must_use]
    pub fn command(&self) -> clap::Command {
        self.grammar.command(self.name, self.about)
    }
}

fn is_own_name(name: &str) -> bool {
    name.starts_with("ctr-")
}

fn page(name: &str) -> String {
    if is_own_name(name) { name.to_owned() } else { format!("ctrbox-{name}") }
}

/// The options of an applet as clap renders them and the shells complete them.
pub(crate) trait Describe: Sync {
    fn command(&self, name: &'static str, about: &'static str) -> clap::Command;
    fn options(&self) -> Vec<OptionView>;
    fn operands(&self) -> Words;
}

/// A call of an applet.
pub(crate) struct Call {
    /// The name of the applet in the table.
    pub name: &'static str,
    pub about: &'static str,
    /// `argv[0]`. The messages of getopt begin with it.
    pub argv0: OsString,
    /// The rest of argv.
    pub args: Vec<OsString>,
}

/// What an option does to the request `P` that the applet builds, in the order of the options.
pub(crate) enum Effect<P> {
    Help,
    Version,
    Flag(fn(&mut P) -> Result<(), Exit>),
    Required(fn(&mut P, &OsStr) -> Result<(), Exit>),
    /// Requires a value, which must be attached: `--drop=LIST`.
    Attached(fn(&mut P, &OsStr) -> Result<(), Exit>),
    /// Takes an optional value, which must be attached: `--net=FILE`, `-nFILE`.
    Optional(fn(&mut P, Option<&OsStr>) -> Result<(), Exit>),
    /// Takes an optional value, attached to the long name only.
    OptionalLong(fn(&mut P, Option<&OsStr>) -> Result<(), Exit>),
}

/// A row of an applet's option table.
pub(crate) struct Opt<P> {
    pub short: Option<char>,
    pub long: &'static str,
    /// Name of the value in help and man page.
    pub value: &'static str,
    pub help: &'static str,
    /// What the shells complete for the value, and is it a list with commas?
    pub words: Words,
    pub is_list: bool,
    pub hidden: bool,
    /// The original tool lacks this option. It does not make abbreviations of the original's options ambiguous.
    pub added: bool,
    pub effect: Effect<P>,
}

impl<P> Opt<P> {
    #[must_use]
    pub(crate) const fn new(
        short: Option<char>,
        long: &'static str,
        help: &'static str,
        effect: Effect<P>,
    ) -> Self {
        let words = Words::None;
        Opt { short, long, value: "", help, words, is_list: false, hidden: false, added: false, effect }
    }

    /// Sets the name of the value, and the words that it stands for.
    #[must_use]
    pub(crate) const fn takes(mut self, value: &'static str) -> Self {
        self.value = value;
        self.words = Words::of(value);
        self
    }

    /// Sets the words that the shells complete, where the name of the value does not say it.
    #[must_use]
    pub(crate) const fn offers(mut self, words: Words) -> Self {
        self.words = words;
        self
    }

    /// The same for a list with commas.
    #[must_use]
    pub(crate) const fn lists(mut self, words: Words) -> Self {
        self.is_list = true;
        self.offers(words)
    }

    fn view(&self) -> OptionView {
        let takes = match self.effect {
            Effect::Help | Effect::Version | Effect::Flag(_) => Takes::Nothing,
            Effect::Required(_) => Takes::Required,
            Effect::Attached(_) => Takes::Attached,
            Effect::Optional(_) => Takes::Optional,
            Effect::OptionalLong(_) => Takes::OptionalLong,
        };
        let Opt { short, long, help, hidden, words, is_list, .. } = *self;
        OptionView { short, long, help, hidden, takes, words, is_list }
    }

    #[must_use]
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    #[must_use]
    pub(crate) const fn added(mut self) -> Self {
        self.added = true;
        self
    }

    #[must_use]
    pub(crate) const fn help() -> Self {
        Opt::new(Some('h'), "help", "show this help", Effect::Help)
    }

    #[must_use]
    pub(crate) const fn version() -> Self {
        Opt::new(Some('V'), "version", "show the version", Effect::Version)
    }

    #[must_use]
    pub(crate) const fn color(set: fn(&mut P, Option<&OsStr>) -> Result<(), Exit>) -> Self {
        let help = "colour the output: auto, always or never";
        Opt::new(None, "color", help, Effect::Optional(set)).takes("when")
    }

    #[must_use]
    pub(crate) const fn list_columns(set: fn(&mut P) -> Result<(), Exit>) -> Self {
        Opt::new(Some('H'), "list-columns", "list the available columns", Effect::Flag(set))
    }

    #[must_use]
    pub(crate) const fn root(set: fn(&mut P, &OsStr) -> Result<(), Exit>) -> Self {
        let help = "inspect the system whose root directory is mounted at DIR";
        Opt::new(None, "root", help, Effect::Required(set)).takes("dir")
    }

    /// For tests.
    #[must_use]
    pub(crate) const fn proc_root(set: fn(&mut P, &OsStr) -> Result<(), Exit>) -> Self {
        let help = "read this directory instead of /proc";
        Opt::new(None, "proc-root", help, Effect::Required(set)).takes("dir").hidden()
    }
}

/// An applet's command line.
pub(crate) struct Grammar<P: 'static> {
    /// The text after the name in the usage line.
    pub usage: &'static str,
    /// Does the first operand end the options (`+` in getopt)? A program and its own options follow.
    pub stops_at_operand: bool,
    pub options: &'static [Opt<P>],
    /// Headings of the options in help and manual: the long name of the first option below each.
    pub groups: &'static [(&'static str, &'static str)],
}

/// Reads a whole word as a decimal number, as strtoumax(3) does: white space and `+` may come before it. A number out
/// of range, or negative, gives another error than a word that is not a number.
pub(crate) fn number<T: TryFrom<u64>>(word: &OsStr, problem: &str) -> Result<T, anyhow::Error> {
    let shown = format!("{problem}: '{}'", text::shown(word));
    let digits =
        word.to_str().unwrap_or_default().trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(anyhow::anyhow!(shown));
    }
    let in_range = |value: &u64| !negative || *value == 0;
    let value = digits.parse::<u64>().ok().filter(in_range).and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| anyhow::Error::from(Errno::ERANGE).context(shown))
}

/// The effect of most flags: sets a field to true.
pub(crate) fn set(flag: &mut bool) -> Result<(), Exit> {
    *flag = true;
    Ok(())
}

/// `-n=FILE`: a letter also accepts the `=` of a long option.
#[must_use]
pub(crate) fn unglued(value: &OsStr) -> &OsStr {
    OsStr::from_bytes(value.as_bytes().strip_prefix(b"=").unwrap_or(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let read = |word: &str| number::<u32>(OsStr::new(word), "bad").map_err(|error| format!("{error:#}"));
        assert_eq!(read(" +0042"), Ok(42));
        assert_eq!(read("4294967295"), Ok(u32::MAX));
        assert_eq!(read("-0"), Ok(0));
        for word in ["", "x", "5x", "0x5", "- 5", "+-5"] {
            assert_eq!(read(word), Err(format!("bad: '{word}'")));
        }
        for word in ["4294967296", "-1", "99999999999999999999"] {
            assert!(read(word).expect_err("out of range").starts_with(&format!("bad: '{word}': ")));
        }
    }
}
