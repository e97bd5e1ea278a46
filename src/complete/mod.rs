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

use crate::cli::{Applet, OptionView, Takes, Words};
use crate::exit::{self, Exit, Outcome};
use crate::proc::ProcRoot;
use words::{Offer, Source};

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
    exit::in_worker(&ProcRoot::default(), || answer(applets, args))
}

fn answer(applets: &'static [&'static Applet], args: &[OsString]) -> Outcome {
    let answer = match args {
        [dashes, line @ ..] if dashes == "--" => {
            let line: Vec<&str> = line.iter().map(|word| word.to_str().unwrap_or_default()).collect();
            Some(command_line(applets, &line))
        }
        [kind, prefix @ ..] => {
            let prefix = prefix.first().and_then(|prefix| prefix.to_str()).unwrap_or_default();
            let source = Source { applet: "ctr-ps", of_containers: false };
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
fn command_line(applets: &'static [&'static Applet], line: &[&str]) -> Answer {
    let Some((program, rest)) = line.split_first() else { return Answer::words(Vec::new()) };
    let name = program.rsplit('/').next().unwrap_or_default();
    let named = |name: &str| applets.iter().copied().find(|applet| applet.name == name);
    match named(name).or_else(|| named(name.strip_prefix("ctrbox-")?)) {
        Some(applet) => Line { applets, applet, offset: 1 }.complete(rest),
        None => ctrbox(applets, rest),
    }
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
        [name, rest @ ..] => match applets.iter().copied().find(|applet| applet.name == *name) {
            Some(applet) => Line { applets, applet, offset: 2 }.complete(rest),
            None => Answer::words(Vec::new()),
        },
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
struct Line {
    applets: &'static [&'static Applet],
    applet: &'static Applet,
    /// The number of words before its arguments.
    offset: usize,
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

impl Line {
    fn complete(&self, args: &[&str]) -> Answer {
        let Some((current, before)) = args.split_last() else { return Answer::words(Vec::new()) };
        let options = self.applet.options();
        let mut seen = Vec::new();
        let next = self.walk(&options, before, &mut seen);
        let source = Source { applet: self.applet.name, of_containers: seen.contains(&"list") };
        match next {
            Next::Value(words, is_list) => value(&source, words, is_list, current, 0),
            Next::Program(at) => self.program(&seen, &args[at..], at),
            Next::Any if current.starts_with('-') => self.option(&options, &source, current, &seen),
            Next::Any | Next::Operand if self.applet.operands() == Words::Command => {
                self.program(&seen, &args[args.len() - 1..], args.len() - 1)
            }
            Next::Any if self.applet.operands() == Words::File => Answer::words(Vec::new()),
            Next::Any | Next::Operand => value(&source, self.applet.operands(), false, current, 0),
        }
    }

    fn program(&self, seen: &[&str], program: &[&str], at: usize) -> Answer {
        match program {
            // `nsenter --applet`
            [word] if seen.contains(&"applet") => {
                Answer::words(words::beginning(word, self.applets.iter().map(|a| (a.name, a.about))))
            }
            [name, ..] if seen.contains(&"applet") => {
                match self.applets.iter().copied().find(|applet| applet.name == *name) {
                    Some(applet) => {
                        let line = Line { applets: self.applets, applet, offset: self.offset + at + 1 };
                        line.complete(&program[1..])
                    }
                    None => Answer::words(Vec::new()),
                }
            }
            [_] => Answer::other(Action::Commands, 0),
            _ => Answer::other(Action::Program, self.offset + at),
        }
    }

    /// As the parser reads the words. `seen` gets the long names of the options.
    fn walk(&self, options: &[OptionView], before: &[&str], seen: &mut Vec<&'static str>) -> Next {
        let has_program = self.applet.operands() == Words::Command;
        let mut at = 0;
        while let Some(word) = before.get(at) {
            at += 1;
            let option = match word.strip_prefix("--") {
                Some("") if has_program && at < before.len() => return Next::Program(at),
                Some("") => return Next::Operand,
                Some(long) if long.contains('=') => {
                    find_long(options, long.split('=').next().unwrap_or_default())
                        .map(|option| (option, true))
                }
                Some(long) => find_long(options, long).map(|option| (option, false)),
                None if word.len() > 1 && word.starts_with('-') => letters(options, &word[1..], seen),
                None if has_program => return Next::Program(at - 1),
                None => None,
            };
            let Some((option, has_value)) = option else { continue };
            seen.push(option.long);
            if option.takes == Takes::Required && !has_value {
                if at == before.len() {
                    return Next::Value(option.words, option.is_list);
                }
                at += 1;
            }
        }
        Next::Any
    }

    /// The current word begins with a dash.
    fn option(&self, options: &[OptionView], source: &Source, current: &str, seen: &[&str]) -> Answer {
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

fn find_long<'a>(options: &'a [OptionView], name: &str) -> Option<&'a OptionView> {
    let exact = options.iter().find(|option| option.long == name);
    exact.or_else(|| {
        let mut beginning = options.iter().filter(|option| !option.hidden && option.long.starts_with(name));
        beginning.next().filter(|_| beginning.next().is_none())
    })
}

/// The option that a cluster ends with, and whether it has its value.
fn letters<'a>(
    options: &'a [OptionView],
    cluster: &str,
    seen: &mut Vec<&'static str>,
) -> Option<(&'a OptionView, bool)> {
    for (at, letter) in cluster.char_indices() {
        let option = options.iter().find(|option| option.short == Some(letter))?;
        let is_last = at + letter.len_utf8() == cluster.len();
        if is_last || matches!(option.takes, Takes::Required | Takes::Optional) {
            return Some((option, !is_last));
        }
        seen.push(option.long);
    }
    None
}

/// The options that begin with `current`. A value that must be attached follows an equals sign; of an optional one
/// both forms are offered.
fn long_options(options: &[OptionView], current: &str, seen: &[&str]) -> Answer {
    let mut offers = Vec::new();
    let mut is_open = false;
    for option in options.iter().filter(|option| !option.hidden) {
        let long = format!("--{}", option.long);
        // Once given, a flag says nothing new.
        if !long.starts_with(current) || (seen.contains(&option.long) && option.takes == Takes::Nothing) {
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
fn value(source: &Source, words: Words, is_list: bool, text: &str, at: usize) -> Answer {
    match words {
        Words::File => return Answer::other(Action::Files, at),
        Words::Dir => return Answer::other(Action::Directories, at),
        Words::Command => return Answer::other(Action::Commands, at),
        Words::Thing => {
            let offers = source.offers(words, text);
            return if offers.is_empty() { Answer::other(Action::Files, at) } else { Answer::words(offers) };
        }
        _ => {}
    }
    if !is_list {
        let offers = source.offers(words, text);
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
mod tests {
    use super::*;
    use crate::applet::APPLETS;

    fn complete(line: &[&str]) -> Answer {
        command_line(APPLETS, line)
    }

    #[track_caller]
    fn offered(line: &[&str]) -> Vec<String> {
        complete(line).offers.into_iter().map(|offer| offer.word).collect()
    }

    #[track_caller]
    fn offers(line: &[&str], words: &[&str]) {
        let all = offered(line);
        for word in words {
            assert!(all.iter().any(|offered| offered == word), "{line:?}: no {word} in {all:?}");
        }
    }

    #[test]
    fn options() {
        offers(&["nsenter", "--ta"], &["--target"]);
        assert_eq!(offered(&["nsenter", "--ta"]), ["--target"]);
        assert_eq!(offered(&["nsenter", "--net"]), ["--net", "--net=", "--net-socket"]);
        assert_eq!(offered(&["nsenter", "-a"]), ["-a"]);
        offers(&["ctr-ps", "-"], &["--forest", "--output"]);
        assert!(!offered(&["ctr-ps", "--p"]).contains(&"--proc-root".to_owned()), "it is hidden");
        assert_eq!(offered(&["ctr-ps", "--forest", "--fo"]), Vec::<String>::new(), "once is enough");
        let drop = complete(&["capsh", "--dro"]);
        assert_eq!((drop.action, &*drop.offers[0].word), (Action::Open, "--drop="));
    }

    #[test]
    fn values() {
        assert_eq!(offered(&["lsns", "-t", "n"]), ["net"]);
        assert_eq!(offered(&["lsns", "-t", "net,u"]), ["net,user", "net,uts"]);
        assert_eq!(offered(&["lsns", "--type=us"]), ["--type=user"]);
        assert_eq!(offered(&["lsns", "-tus"]), ["-tuser"]);
        assert_eq!(offered(&["lsns", "-o", "NS,TY"]), ["NS,TYPE"]);
        assert_eq!(offered(&["lsns", "-o", "+netn"]), ["+netnsid", "+netname"]);
        assert_eq!(offered(&["lsns", "-o", "TYPE,TY"]), Vec::<String>::new(), "it is in the list");
        assert_eq!(offered(&["ctr-ps", "-l", "-o", "im"]), ["image"]);
        offers(&["ctr-ps", "-l", "-o", ""], &["LIMIT", "STATUS"]);
        assert_eq!(offered(&["ctr-top", "-o", "thro"]), ["throt"]);
        assert!(!offered(&["ctr-ps", "-o", ""]).contains(&"LIMIT".to_owned()));
        assert_eq!(offered(&["ctr-ps", "--sort", "-rs"]), ["-rss"]);
        assert_eq!(offered(&["unshare", "--propagation", "s"]), ["slave", "shared"]);
        assert_eq!(offered(&["unshare", "--setgroups="]), ["--setgroups=allow", "--setgroups=deny"]);
        offers(&["unshare", "--kill-child="], &["--kill-child=KILL", "--kill-child=TERM"]);
        assert_eq!(offered(&["unshare", "--kill-child=SIGTER"]), ["--kill-child=SIGTERM"]);
        assert_eq!(offered(&["capsh", "--drop=cap_net_a"]), ["--drop=cap_net_admin"]);
        assert_eq!(offered(&["capsh", "--drop=cap_chown,cap_net_a"]), ["--drop=cap_chown,cap_net_admin"]);
        assert_eq!(offered(&["ctr-ps", "--runtime", "docker,podm"]), ["docker,podman"]);
        assert_eq!(offered(&["ctr-ps", "--color="]), ["--color=auto", "--color=always", "--color=never"]);
        assert_eq!(offered(&["ctr-inspect", "-s", "id"]), ["identity"]);
        offers(&["nsenter", "-S", ""], &["follow", "0"]);
        offers(&["ctr-ps", "-u", "roo"], &["root"]);
        offers(&["ctr-ps", "-p", ""], &["1"]);
        offers(&["nsenter", "-t", "1"], &["1"]);
        assert_eq!(offered(&["cgexec", "-g", "*"]), ["*:"]);
        let star = complete(&["cgexec", "-g", "*:"]);
        assert!(star.offers.iter().all(|offer| offer.word.starts_with("*:")));
        offers(&["ctr-inspect", "--diff", "ho"], &["host"]);
        assert_eq!(complete(&["lsns", "-Q", "NPR"]).action, Action::Open);
    }

    #[test]
    fn files_and_programs() {
        let answer = |line: &[&str]| {
            let answer = complete(line);
            (answer.action, answer.number)
        };
        assert_eq!(answer(&["nsenter", "--net=/run/n"]), (Action::Files, 6));
        assert_eq!(answer(&["nsenter", "-n/run/n"]), (Action::Files, 2));
        assert_eq!(answer(&["unshare", "-R", "/"]), (Action::Directories, 0));
        assert_eq!(answer(&["nsenter", "-t", "1", "-a", "l"]), (Action::Commands, 0));
        assert_eq!(answer(&["nsenter", "-t", "1", "-a", "ls", "-"]), (Action::Program, 4));
        assert_eq!(answer(&["nsenter", "-t", "1", "-a", "--", "ls", ""]), (Action::Program, 5));
        assert_eq!(answer(&["ctrbox", "unshare", "-n", "ip", "a"]), (Action::Program, 3));
        // An optional value is attached: the next word is the program.
        assert_eq!(answer(&["nsenter", "-t", "1", "--net", ""]), (Action::Commands, 0));
        assert_eq!(answer(&["nsenter", "-t", "1", "-n", ""]), (Action::Commands, 0));
        assert_eq!(answer(&["unshare", "--mount-proc", "b"]), (Action::Commands, 0));
        assert_eq!(answer(&["cgexec", "-m", "64M", "mak"]), (Action::Commands, 0));
        assert_eq!(answer(&["cgexec", "-m", ""]), (Action::Open, 0));
        assert_eq!(answer(&["capsh", "--", "/"]), (Action::Files, 0));
        assert_eq!(answer(&["capsh", "--chroot=/"]), (Action::Directories, 9));
        assert_eq!(answer(&["ctr-whose", "/srv"]), (Action::Files, 0));
        assert_eq!(offered(&["ctr-whose", "l"]), ["lo"]);
        assert_eq!(answer(&["ctrbox", "--install", "/usr"]), (Action::Directories, 0));
    }

    /// A user may call a container `$(reboot)`; the shell of root must not get that word.
    #[test]
    fn words_for_a_shell_are_never_offered() {
        for word in ["web", "docker:web", "shop/web-1", "a.b_c@d+e=f"] {
            assert!(words::is_harmless(word), "{word}");
        }
        for word in [
            "",
            "$(reboot)",
            "`x`",
            "a;b",
            "a b",
            "a\nb",
            "a\tb",
            "a?",
            "'",
            "\"",
            "\\",
            "~",
            "#",
            "!x",
            "&",
            "{a,b}",
        ] {
            assert!(!words::is_harmless(word), "{word:?}");
        }
    }

    #[test]
    fn applets() {
        offers(&["ctrbox", ""], &["nsenter", "ctr-ps", "help"]);
        assert_eq!(offered(&["ctrbox", "ns"]), ["nsenter"]);
        assert_eq!(offered(&["./ctrbox", "help", "uns"]), ["unshare"]);
        assert_eq!(offered(&["ctrbox", "--install", "/tmp", "lsns", "nse"]), ["nsenter"]);
        assert_eq!(offered(&["ctrbox", "--l"]), ["--list"]);
        assert_eq!(offered(&["ctrbox", "che"]), ["check"]);
        assert_eq!(offered(&["ctrbox", "check", ""]), ["--json", "--root", "--help"]);
        assert_eq!(offered(&["ctrbox", "check", "--json", "--r"]), ["--root"]);
        assert_eq!(complete(&["ctrbox", "check", "--root", "/"]).action, Action::Directories);
        assert_eq!(offered(&["ctrbox", "lsns", "--out"]), ["--output", "--output-all"]);
        assert_eq!(offered(&["/usr/bin/ctrbox-lsns", "--type", "us"]), ["user"]);
        assert_eq!(offered(&["nsenter", "-t", "1", "-a", "--applet", "lsn"]), ["lsns"]);
        assert_eq!(offered(&["nsenter", "-t", "1", "-a", "--applet", "lsns", "-t", "us"]), ["user"]);
    }
}
