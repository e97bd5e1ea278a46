//! Options as getopt_long(3) parses them, from one table per applet.
//!
//! clap cannot replace getopt_long. It has no ambiguous abbreviations, no optional value attached to a letter
//! (`-nFILE`), no effects in the order of the options, and other messages and another exit status for errors.
//! Building its `Command` also costs more than a whole run of `nsenter`. So this file has its own table and parser,
//! and clap gets the same table for `--help`, man pages and completions.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::exit::{self, Exit, Outcome};
use crate::text;

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
    /// Only for `--help`, man pages and completions; the parser does not use clap.
    #[must_use]
    pub fn command(&self) -> clap::Command {
        self.grammar.command(self.name, self.about)
    }
}

/// The options of an applet as clap renders them.
pub(crate) trait Describe: Sync {
    fn command(&self, name: &'static str, about: &'static str) -> clap::Command;
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
        Opt { short, long, value: "", help, hidden: false, added: false, effect }
    }

    /// Sets the name of the value.
    #[must_use]
    pub(crate) const fn takes(mut self, value: &'static str) -> Self {
        self.value = value;
        self
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

/// What the shells complete for a value, by its name in the option tables.
fn value_hint(value: &str) -> clap::ValueHint {
    match value {
        "file" => clap::ValueHint::FilePath,
        "dir" => clap::ValueHint::DirPath,
        "user" | "uid|name" => clap::ValueHint::Username,
        _ => clap::ValueHint::Unknown,
    }
}

/// The values that there are, where these are few.
fn choices(value: &str) -> &'static [&'static str] {
    match value {
        "when" => &["auto", "always", "never"],
        "signame" => &["HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "USR2"],
        _ => &[],
    }
}

impl<P> Grammar<P> {
    /// Applies every option to `request`, in order, and returns the operands.
    pub(crate) fn parse(&self, call: &Call, request: &mut P) -> Result<Vec<OsString>, Exit> {
        let mut walk = Walk { grammar: self, call, next: 0 };
        let mut operands = Vec::new();
        let stops = self.stops_at_operand || std::env::var_os("POSIXLY_CORRECT").is_some();
        while let Some(arg) = call.args.get(walk.next) {
            walk.next += 1;
            match arg.as_bytes() {
                b"--" => break,
                [b'-', b'-', long @ ..] => walk.long(long, request)?,
                [b'-', letters @ ..] if !letters.is_empty() => walk.letters(letters, request)?,
                _ if stops => {
                    walk.next -= 1;
                    break;
                }
                _ => operands.push(arg.clone()),
            }
        }
        operands.extend_from_slice(&call.args[walk.next..]);
        Ok(operands)
    }

    /// Applies the option `word` by its whole name, for programs without abbreviations: `--name`, `--name=value`,
    /// `-h`. Returns false if there is no such option, or if a value is missing or not allowed.
    pub(crate) fn apply(&self, call: &Call, word: &OsStr, request: &mut P) -> Result<bool, Exit> {
        let (name, value) = split(word.as_bytes());
        let is_it = |opt: &&Opt<P>| match name {
            [b'-', b'-', long @ ..] => opt.long.as_bytes() == long,
            [b'-', letter] => opt.short == Some(char::from(*letter)),
            _ => false,
        };
        let Some(opt) = self.options.iter().find(is_it) else { return Ok(false) };
        match (&opt.effect, value) {
            (Effect::Required(set) | Effect::Attached(set), Some(value)) => set(request, value)?,
            (Effect::Optional(set) | Effect::OptionalLong(set), value) => set(request, value)?,
            (Effect::Required(_) | Effect::Attached(_), None) | (_, Some(_)) => return Ok(false),
            _ => Walk { grammar: self, call, next: 0 }.flag(opt, false, request)?,
        }
        Ok(true)
    }
}

impl<P> Describe for Grammar<P> {
    /// The same table for clap, without hidden options.
    fn command(&self, name: &'static str, about: &'static str) -> clap::Command {
        let mut heading = None;
        let options = self.options.iter().filter(|opt| !opt.hidden).map(|opt| {
            let group = self.groups.iter().find(|(first, _)| *first == opt.long);
            heading = group.map(|(_, heading)| *heading).or(heading);
            let arg = clap::Arg::new(opt.long).long(opt.long).help(opt.help).help_heading(heading);
            let arg = if opt.value.is_empty() { arg } else { arg.value_hint(value_hint(opt.value)) };
            let arg = match choices(opt.value) {
                [] => arg,
                values => {
                    let values = clap::builder::PossibleValuesParser::new(values);
                    arg.hide_possible_values(true).value_parser(values)
                }
            };
            let arg = match opt.short {
                Some(letter) => arg.short(letter),
                None => arg,
            };
            match opt.effect {
                Effect::Help | Effect::Version | Effect::Flag(_) => arg.action(clap::ArgAction::SetTrue),
                Effect::Required(_) => arg.value_name(opt.value).action(clap::ArgAction::Append),
                Effect::Attached(_) => {
                    arg.value_name(opt.value).require_equals(true).action(clap::ArgAction::Append)
                }
                Effect::Optional(_) | Effect::OptionalLong(_) => arg
                    .value_name(opt.value)
                    .num_args(0..=1)
                    .require_equals(true)
                    .action(clap::ArgAction::Append),
            }
        });
        let command = clap::Command::new(name)
            .about(about)
            .version(env!("CARGO_PKG_VERSION"))
            .override_usage(format!("{name} {}", self.usage))
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args(options);
        if self.stops_at_operand {
            command.arg(
                clap::Arg::new("program")
                    .num_args(0..)
                    .trailing_var_arg(true)
                    .hide(true)
                    .value_hint(clap::ValueHint::CommandWithArguments),
            )
        } else {
            command
        }
    }
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
    let value = digits.parse::<u64>().ok().filter(|_| !negative).and_then(|value| T::try_from(value).ok());
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

/// Splits `NAME=VALUE`; the value may be missing.
fn split(text: &[u8]) -> (&[u8], Option<&OsStr>) {
    match text.iter().position(|&b| b == b'=') {
        Some(at) => (&text[..at], Some(OsStr::from_bytes(&text[at + 1..]))),
        None => (text, None),
    }
}

struct Walk<'a, P: 'static> {
    grammar: &'a Grammar<P>,
    call: &'a Call,
    /// Index of the argument to look at next.
    next: usize,
}

impl<'a, P> Walk<'a, P> {
    fn long(&mut self, text: &[u8], request: &mut P) -> Result<(), Exit> {
        let (name, value) = split(text);
        let opt = self.find_long(name, text)?;
        let shown = || format!("--{}", opt.long);
        match opt.effect {
            Effect::Required(set) => match value.or_else(|| self.take()) {
                Some(value) => set(request, value),
                None => Err(self.usage(&format!("option '{}' requires an argument", shown()))),
            },
            Effect::Attached(set) if value.is_some() => set(request, value.unwrap_or_default()),
            Effect::Attached(_) => Err(self.usage(&format!("option '{}' requires an argument", shown()))),
            Effect::Optional(set) | Effect::OptionalLong(set) => set(request, value),
            _ if value.is_some() => {
                Err(self.usage(&format!("option '{}' doesn't allow an argument", shown())))
            }
            _ => self.flag(opt, false, request),
        }
    }

    /// A cluster: flags, and perhaps a last letter that takes the rest as its value.
    fn letters(&mut self, cluster: &[u8], request: &mut P) -> Result<(), Exit> {
        for (i, &letter) in cluster.iter().enumerate() {
            let known = |opt: &&Opt<P>| opt.short == Some(char::from(letter));
            let Some(opt) = self.grammar.options.iter().find(known) else {
                return Err(self.usage(&format!("invalid option -- '{}'", text::escape(&[letter]))));
            };
            let rest = Some(&cluster[i + 1..]).filter(|rest| !rest.is_empty()).map(OsStr::from_bytes);
            match opt.effect {
                Effect::Required(set) => {
                    return match rest.or_else(|| self.take()) {
                        Some(value) => set(request, value),
                        None => {
                            Err(self
                                .usage(&format!("option requires an argument -- '{}'", char::from(letter))))
                        }
                    };
                }
                Effect::Optional(set) => return set(request, rest),
                _ => self.flag(opt, true, request)?,
            }
        }
        Ok(())
    }

    /// An option without a value.
    fn flag(&self, opt: &Opt<P>, by_letter: bool, request: &mut P) -> Result<(), Exit> {
        match opt.effect {
            Effect::Help => {
                let command = self.grammar.command(self.call.name, self.call.about);
                // By its letter it is short: one list without headings.
                let mut command = match by_letter {
                    true => command.mut_args(|arg| arg.help_heading("Options")),
                    false => command.after_help(format!("The manual page {} says more.", self.call.name)),
                };
                Err(Exit::Text(command.render_help().to_string()))
            }
            Effect::Version => {
                Err(Exit::Text(format!("{} from ctrbox {}\n", self.call.name, env!("CARGO_PKG_VERSION"))))
            }
            Effect::Flag(set) => set(request),
            Effect::OptionalLong(set) => set(request, None),
            Effect::Required(_) | Effect::Attached(_) | Effect::Optional(_) => Ok(()), // never called without a value
        }
    }

    /// The option of exactly this name, else the only one that it abbreviates. Options of the original tool come
    /// before those that ctrbox added.
    fn find_long(&self, name: &[u8], text: &[u8]) -> Result<&'static Opt<P>, Exit> {
        let options = self.grammar.options;
        if let Some(opt) = options.iter().find(|opt| opt.long.as_bytes() == name) {
            return Ok(opt);
        }
        let begin = |added: bool| {
            let known = options.iter().filter(move |opt| !opt.hidden && opt.added == added);
            known.filter(|opt| opt.long.as_bytes().starts_with(name)).collect::<Vec<_>>()
        };
        let mut matching = begin(false);
        if matching.is_empty() {
            matching = begin(true);
        }
        match matching[..] {
            [opt] => Ok(opt),
            [] => {
                let known = options.iter().filter(|opt| !opt.hidden).map(|opt| opt.long);
                let near = text::nearest(&String::from_utf8_lossy(name), known);
                let hint = exit::shown_hint(|| near.map(|near| format!("did you mean --{near}?")));
                let hint = hint.map(|hint| format!("\n{hint}")).unwrap_or_default();
                Err(self.usage(&format!("unrecognized option '--{}'{hint}", text::escape(text))))
            }
            _ => {
                let names: String = matching.iter().map(|opt| format!(" '--{}'", opt.long)).collect();
                let text = text::escape(text);
                Err(self.usage(&format!("option '--{text}' is ambiguous; possibilities:{names}")))
            }
        }
    }

    /// Takes the next argument as a value, even if it looks like an option.
    fn take(&mut self) -> Option<&'a OsStr> {
        let arg = self.call.args.get(self.next)?;
        self.next += 1;
        Some(arg)
    }

    fn usage(&self, problem: &str) -> Exit {
        Exit::Usage(format!("{}: {problem}", text::shown(&self.call.argv0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Seen {
        fn value(&mut self, name: &str, value: Option<&OsStr>) -> Result<(), Exit> {
            self.0.push(format!("{name}={:?}", value.map(|v| v.to_string_lossy().into_owned())));
            Ok(())
        }
    }

    static OPTIONS: [Opt<Seen>; 10] = [
        Opt::new(Some('u'), "uts", "", Effect::OptionalLong(|s: &mut Seen, v| s.value("u", v))),
        Opt::new(Some('a'), "all", "", Effect::Flag(|s: &mut Seen| s.value("a", None))),
        Opt::new(Some('m'), "mount", "", Effect::Optional(|s: &mut Seen, v| s.value("m", v))),
        Opt::new(Some('t'), "target", "", Effect::Required(|s: &mut Seen, v| s.value("t", Some(v)))),
        Opt::new(None, "mount-proc", "", Effect::Flag(|s: &mut Seen| s.value("mp", None))),
        Opt::new(None, "secret", "", Effect::Flag(|s: &mut Seen| s.value("secret", None))).hidden(),
        Opt::new(None, "target-of", "", Effect::Flag(|s: &mut Seen| s.value("of", None))).added(),
        Opt::new(None, "new", "", Effect::Flag(|s: &mut Seen| s.value("new", None))).added(),
        Opt::help(),
        Opt::version(),
    ];
    static PROGRAM: Grammar<Seen> =
        Grammar { usage: "", stops_at_operand: true, options: &OPTIONS, groups: &[] };
    static LIST: Grammar<Seen> =
        Grammar { usage: "", stops_at_operand: false, options: &OPTIONS, groups: &[] };

    fn parse(grammar: &'static Grammar<Seen>, args: &[&str]) -> Result<String, String> {
        let args = args.iter().map(OsString::from).collect();
        let call = Call { name: "x", about: "", argv0: OsString::from("/bin/x"), args };
        let mut seen = Seen::default();
        match grammar.parse(&call, &mut seen) {
            Ok(rest) => {
                Ok(format!("{} | {}", seen.0.join(" "), rest.join(OsStr::new(" ")).to_string_lossy()))
            }
            Err(Exit::Usage(words)) => Err(words),
            Err(Exit::Text(_)) => Err("Text".to_owned()),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn values_clusters_and_the_end_of_options() {
        let ok = |args: &[&str]| parse(&PROGRAM, args).expect("parses");
        assert_eq!(
            ok(&["-am/path", "-t", "-5", "ls", "-a"]),
            r#"a=None m=Some("/path") t=Some("-5") | ls -a"#
        );
        assert_eq!(ok(&["-ma"]), r#"m=Some("a") | "#);
        assert_eq!(ok(&["-ua", "--uts=f", "--uts", "x"]), r#"u=None a=None u=Some("f") u=None | x"#);
        assert_eq!(ok(&["--mount", "x"]), "m=None | x");
        assert_eq!(ok(&["--mount=", "--targ=1=2"]), r#"m=Some("") t=Some("1=2") | "#);
        assert_eq!(
            ok(&["--tar=1", "--ne"]),
            r#"t=Some("1") new=None | "#,
            "options of the original tool come first"
        );
        assert_eq!(ok(&["-a", "--", "-a"]), "a=None | -a");
        assert_eq!(ok(&["-", "-a"]), " | - -a");
        assert_eq!(parse(&LIST, &["x", "-a", "y", "--", "-a"]).expect("parses"), "a=None | x y -a");
    }

    #[test]
    fn errors_use_the_words_of_getopt() {
        let wrong = |args: &[&str]| parse(&PROGRAM, args).expect_err("a mistake");
        assert_eq!(wrong(&["-ax"]), "/bin/x: invalid option -- 'x'");
        assert_eq!(wrong(&["-u/x"]), "/bin/x: invalid option -- '/'");
        assert_eq!(wrong(&["-at"]), "/bin/x: option requires an argument -- 't'");
        assert_eq!(wrong(&["--target"]), "/bin/x: option '--target' requires an argument");
        assert_eq!(wrong(&["--al=1"]), "/bin/x: option '--all' doesn't allow an argument");
        assert_eq!(wrong(&["--foo=1"]), "/bin/x: unrecognized option '--foo=1'");
        assert_eq!(
            wrong(&["--mou"]),
            "/bin/x: option '--mou' is ambiguous; possibilities: '--mount' '--mount-proc'"
        );
        assert_eq!(wrong(&["--secre"]), "/bin/x: unrecognized option '--secre'");
    }

    #[test]
    fn numbers() {
        let read = |word: &str| number::<u32>(OsStr::new(word), "bad").map_err(|error| format!("{error:#}"));
        assert_eq!(read(" +0042"), Ok(42));
        assert_eq!(read("4294967295"), Ok(u32::MAX));
        for word in ["", "x", "5x", "0x5", "- 5", "+-5"] {
            assert_eq!(read(word), Err(format!("bad: '{word}'")));
        }
        for word in ["4294967296", "-1", "99999999999999999999"] {
            assert!(read(word).expect_err("out of range").starts_with(&format!("bad: '{word}': ")));
        }
    }

    #[test]
    fn help_applies_in_the_order_of_the_options() {
        assert!(parse(&PROGRAM, &["--help", "--foo"]).expect_err("help").starts_with("Text"));
        assert_eq!(
            parse(&PROGRAM, &["--foo", "--help"]).expect_err("x"),
            "/bin/x: unrecognized option '--foo'"
        );
    }
}
