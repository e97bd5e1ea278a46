//! What the shells complete. The scripts in completions/ pass on the words before the cursor, and insert the answer.
//!
//! - `ctrbox --complete -- WORD...`: the words of a command line up to the cursor, of which the last may be empty. The
//!   answer is a line `ACTION NUMBER` (see [`Action`]), then a line for each word: the word, a tab, a description.
//! - `ctrbox --complete KIND [PREFIX]`: the words of one kind.
//!
//! Only words of harmless characters are offered: names of containers come from other users, and a shell would
//! execute `$(command)`.

mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::{Applet, OptionView, Takes, Words};
use crate::exit::{self, Exit, Outcome};
use words::{Host, Offer, Source};

/// What the shell does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// It offers the words.
    Words,
    /// The same, but no blank follows the word, as a list or a value goes on.
    Open,
    /// It completes files, directories or commands after the first NUMBER bytes of the word.
    Files,
    Directories,
    Commands,
    /// It completes the command line that begins with word NUMBER.
    Program,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Action::Words => "words",
            Action::Open => "open",
            Action::Files => "files",
            Action::Directories => "directories",
            Action::Commands => "commands",
            Action::Program => "program",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    action: Action,
    number: usize,
    offers: Vec<Offer>,
}

impl Answer {
    fn words(offers: Vec<Offer>) -> Answer {
        Answer { action: Action::Words, number: 0, offers }
    }

    fn other(action: Action, number: usize) -> Answer {
        Answer { action, number, offers: Vec::new() }
    }
}

/// `ctrbox --complete` with the rest of its arguments.
pub(crate) fn run(applets: &'static [&'static Applet], args: &[OsString]) -> Outcome {
    let root = match args {
        [dashes, line @ ..] if dashes == "--" => root(applets, &texts(line)),
        _ => None,
    };
    let host = Host::new(root)?;
    exit::in_worker(&host.proc, || answer(applets, args, &host))
}

fn texts(words: &[OsString]) -> Vec<&str> {
    words.iter().map(|word| word.to_str().unwrap_or_default()).collect()
}

fn answer(applets: &'static [&'static Applet], args: &[OsString], host: &Host) -> Outcome {
    let answer = match args {
        [dashes, line @ ..] if dashes == "--" => Some(command_line(applets, &texts(line), host)),
        [kind, prefix @ ..] => {
            let prefix = prefix.first().and_then(|prefix| prefix.to_str()).unwrap_or_default();
            let source = Source { host, applet: "ctr-ps", of_containers: false };
            let words = words::of_name(&kind.to_string_lossy());
            words.map(|words| Answer::words(source.offers(words, prefix)))
        }
        [] => None,
    };
    let Some(answer) = answer else {
        return Err(Exit::from(anyhow::anyhow!("nothing to complete")));
    };
    let head = match args.first() {
        Some(dashes) if dashes == "--" => format!("{} {}\n", answer.action.name(), answer.number),
        _ => String::new(),
    };
    let lines: String =
        answer.offers.iter().map(|offer| format!("{}\t{}\n", offer.word, offer.about)).collect();
    Err(Exit::Text(head + &lines))
}

/// `line` is the whole command line.
fn command_line(applets: &'static [&'static Applet], line: &[&str], host: &Host) -> Answer {
    match find(applets, line) {
        Some((applet, offset)) => Line { applets, applet, offset, host }.complete(&line[offset..]),
        None => ctrbox(applets, line.get(1..).unwrap_or_default()),
    }
}

/// The applet, and how many words come before its arguments.
fn find(applets: &'static [&'static Applet], line: &[&str]) -> Option<(&'static Applet, usize)> {
    let named = |name: &str| applets.iter().copied().find(|applet| applet.name == name);
    let program = line.first()?.rsplit('/').next()?;
    if let Some(applet) = named(program).or_else(|| named(program.strip_prefix("ctrbox-")?)) {
        return Some((applet, 1));
    }
    match line {
        [_, name, _, ..] => Some((named(name)?, 2)),
        _ => None,
    }
}

/// The directory after `--root`. Of unshare and nsenter it is the new root of a program.
fn root(applets: &'static [&'static Applet], line: &[&str]) -> Option<PathBuf> {
    let (applet, offset) = find(applets, line)?;
    let (_, before) = line.get(offset..)?.split_last()?;
    let mut seen = Seen::default();
    walk(applet, &applet.options(), before, &mut seen);
    seen.root.filter(|_| applet.has_own_name()).map(PathBuf::from)
}

/// After `ctrbox`.
fn ctrbox(applets: &'static [&'static Applet], rest: &[&str]) -> Answer {
    let offers = |prefix: &str, more: &[(&'static str, &'static str)]| {
        let names = applets.iter().map(|applet| (applet.name, applet.about));
        Answer::words(words::beginning(prefix, names.chain(more.iter().copied())))
    };
    match rest {
        [] => offers("", &[]),
        [word] if word.starts_with('-') => Answer::words(words::beginning(word, OPTIONS)),
        [word] => {
            offers(word, &[("check", "try what this host has"), ("help", "show the help of an applet")])
        }
        ["help", word] => offers(word, &[]),
        ["check", .., "--root", _] => Answer::other(Action::Directories, 0),
        ["check", .., word] if word.starts_with("--root=") => {
            Answer::other(Action::Directories, "--root=".len())
        }
        ["check", .., word] => Answer::words(words::beginning(word, CHECK_OPTIONS)),
        ["--install", _] => Answer::other(Action::Directories, 0),
        ["--install", _, .., word] => offers(word, &[]),
        _ => Answer::words(Vec::new()),
    }
}

const OPTIONS: [(&str, &str); 4] = [
    ("--list", "list the applets, one per line"),
    ("--install", "make a link for each applet in a directory"),
    ("--help", "show this help"),
    ("--version", "show the version"),
];

const CHECK_OPTIONS: [(&str, &str); 3] = [
    ("--json", "print JSON"),
    ("--root", "where the root file system of the host is mounted"),
    ("--help", "show the help"),
];

/// The command line of an applet.
struct Line<'a> {
    applets: &'static [&'static Applet],
    applet: &'static Applet,
    /// The number of words before its arguments.
    offset: usize,
    host: &'a Host,
}

/// The options before the cursor.
#[derive(Default)]
struct Seen<'a> {
    /// Their long names.
    names: Vec<&'static str>,
    /// The value of `--root`.
    root: Option<&'a str>,
}

impl Seen<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

/// What the words before the cursor leave to complete.
enum Next {
    /// The value of an option.
    Value(Words, bool),
    /// An option or an operand.
    Any,
    /// An operand.
    Operand,
    /// The program and its arguments, from the word with this index on.
    Program(usize),
}

impl Line<'_> {
    fn complete(&self, args: &[&str]) -> Answer {
        let Some((current, before)) = args.split_last() else { return Answer::words(Vec::new()) };
        let options = self.applet.options();
        let mut seen = Seen::default();
        let next = walk(self.applet, &options, before, &mut seen);
        let source = Source { host: self.host, applet: self.applet.name, of_containers: seen.has("list") };
        match next {
            Next::Value(words, is_list) => value(&source, words, is_list, current, 0),
            Next::Program(at) => self.program(&seen, &args[at..], at),
            Next::Any if current.starts_with('-') => self.option(&options, &source, current, &seen),
            Next::Any | Next::Operand if self.applet.operands() == Words::Command => {
                self.program(&seen, &args[args.len() - 1..], args.len() - 1)
            }
            Next::Any if self.applet.operands() == Words::File => Answer::words(Vec::new()),
            Next::Any | Next::Operand => {
                // Where an option takes a list of the same, an operand may be one: it is, with a comma.
                let operands = self.applet.operands();
                let may_be = options.iter().any(|option| option.is_list && option.words == operands);
                value(&source, operands, may_be && current.contains(','), current, 0)
            }
        }
    }

    fn program(&self, seen: &Seen<'_>, program: &[&str], at: usize) -> Answer {
        match program {
            // `nsenter --applet`
            [word] if seen.has("applet") => {
                Answer::words(words::beginning(word, self.applets.iter().map(|a| (a.name, a.about))))
            }
            [name, ..] if seen.has("applet") => {
                match self.applets.iter().copied().find(|applet| applet.name == *name) {
                    Some(applet) => {
                        let offset = self.offset + at + 1;
                        Line { applets: self.applets, applet, offset, host: self.host }
                            .complete(&program[1..])
                    }
                    None => Answer::words(Vec::new()),
                }
            }
            [_] => Answer::other(Action::Commands, 0),
            _ => Answer::other(Action::Program, self.offset + at),
        }
    }

    /// The current word begins with a dash.
    fn option(&self, options: &[OptionView], source: &Source<'_>, current: &str, seen: &Seen<'_>) -> Answer {
        if let Some(long) = current.strip_prefix("--") {
            let Some((name, after)) = long.split_once('=') else {
                return long_options(options, current, seen);
            };
            return match find_long(options, name).filter(|option| option.takes != Takes::Nothing) {
                Some(option) => {
                    value(source, option.words, option.is_list, after, current.len() - after.len())
                }
                None => Answer::words(Vec::new()),
            }
            .with_prefix(&current[..current.len() - after.len()]);
        }
        if current == "-" {
            return long_options(options, current, seen);
        }
        // A cluster: its last letter may have a value.
        for (at, letter) in current.char_indices().skip(1) {
            let Some(option) = options.iter().find(|option| option.short == Some(letter)) else { break };
            let begin = at + letter.len_utf8();
            if matches!(option.takes, Takes::Required | Takes::Optional) && begin < current.len() {
                let answer = value(source, option.words, option.is_list, &current[begin..], begin);
                return answer.with_prefix(&current[..begin]);
            }
            if begin == current.len() {
                return Answer::words(vec![Offer::new(current, option.help)]);
            }
        }
        Answer::words(Vec::new())
    }
}

impl Answer {
    /// The words replace the whole word of the command line, which begins with this.
    fn with_prefix(mut self, prefix: &str) -> Answer {
        for offer in &mut self.offers {
            offer.word.insert_str(0, prefix);
        }
        self
    }
}

/// As the parser reads the words.
fn walk<'a>(applet: &Applet, options: &[OptionView], before: &[&'a str], seen: &mut Seen<'a>) -> Next {
    let has_program = applet.operands() == Words::Command;
    let mut at = 0;
    while let Some(word) = before.get(at) {
        at += 1;
        let option = match word.strip_prefix("--") {
            Some("") if has_program && at < before.len() => return Next::Program(at),
            Some("") => return Next::Operand,
            Some(long) => {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                find_long(options, name).map(|option| (option, value))
            }
            None if word.len() > 1 && word.starts_with('-') => letters(options, &word[1..], seen),
            None if has_program => return Next::Program(at - 1),
            None => None,
        };
        let Some((option, mut value)) = option else { continue };
        seen.names.push(option.long);
        if option.takes == Takes::Required && value.is_none() {
            if at == before.len() {
                return Next::Value(option.words, option.is_list);
            }
            value = Some(before[at]);
            at += 1;
        }
        if option.long == "root" {
            seen.root = value;
        }
    }
    Next::Any
}

fn find_long<'a>(options: &'a [OptionView], name: &str) -> Option<&'a OptionView> {
    let exact = options.iter().find(|option| option.long == name);
    exact.or_else(|| {
        let mut beginning = options.iter().filter(|option| !option.hidden && option.long.starts_with(name));
        beginning.next().filter(|_| beginning.next().is_none())
    })
}

/// The option that a cluster ends with, and its value if the cluster has it.
fn letters<'o, 'a>(
    options: &'o [OptionView],
    cluster: &'a str,
    seen: &mut Seen<'a>,
) -> Option<(&'o OptionView, Option<&'a str>)> {
    for (at, letter) in cluster.char_indices() {
        let option = options.iter().find(|option| option.short == Some(letter))?;
        let rest = Some(&cluster[at + letter.len_utf8()..]).filter(|rest| !rest.is_empty());
        if rest.is_none() || matches!(option.takes, Takes::Required | Takes::Optional) {
            return Some((option, rest));
        }
        seen.names.push(option.long);
    }
    None
}

/// The options that begin with `current`. A value that must be attached follows an equals sign; of an optional one
/// both forms are offered.
fn long_options(options: &[OptionView], current: &str, seen: &Seen<'_>) -> Answer {
    let mut offers = Vec::new();
    let mut is_open = false;
    for option in options.iter().filter(|option| !option.hidden) {
        let long = format!("--{}", option.long);
        // Once given, a flag says nothing new.
        if !long.starts_with(current) || (seen.has(option.long) && option.takes == Takes::Nothing) {
            continue;
        }
        if option.takes != Takes::Attached {
            offers.push(Offer::new(&long, option.help));
        }
        if !matches!(option.takes, Takes::Nothing | Takes::Required) {
            is_open |= option.takes == Takes::Attached;
            offers.push(Offer::new(&format!("{long}="), option.help));
        }
    }
    let action = if is_open && offers.len() == 1 { Action::Open } else { Action::Words };
    Answer { action, ..Answer::words(offers) }
}

/// A value that begins with `text`, which begins at byte `at` of the word.
fn value(source: &Source<'_>, words: Words, is_list: bool, text: &str, at: usize) -> Answer {
    match words {
        Words::File => return Answer::other(Action::Files, at),
        Words::Dir => return Answer::other(Action::Directories, at),
        Words::Command => return Answer::other(Action::Commands, at),
        Words::Thing if text.starts_with("path:") => return Answer::other(Action::Files, at + "path:".len()),
        _ => {}
    }
    if !is_list {
        let offers = source.offers(words, text);
        // An interface, or a file.
        if words == Words::Thing && offers.is_empty() && (text.contains('/') || !text.contains(':')) {
            return Answer::other(Action::Files, at);
        }
        let goes_on =
            words == Words::Filter || offers.iter().all(|offer| offer.word.ends_with([':', '/', '=']));
        let action = if goes_on { Action::Open } else { Action::Words };
        return Answer { action, ..Answer::words(offers) };
    }
    let begin = text.rfind(',').map_or(0, |comma| comma + 1);
    // `-o +LIST`, `--sort -NAME`, `--iab '!NAME'`
    let signs = text[begin..].len() - text[begin..].trim_start_matches(['+', '-', '!', '^', '%']).len();
    let (given, last) = text.split_at(begin + signs);
    let given_names: Vec<&str> = given.split(',').map(|name| name.trim_start_matches(['+', '-'])).collect();
    let mut offers = source.offers(words, last);
    offers.retain(|offer| !given_names.iter().any(|name| name.eq_ignore_ascii_case(&offer.word)));
    Answer { action: Action::Open, ..Answer::words(offers) }.with_prefix(given)
}

#[cfg(test)]
mod tests;
