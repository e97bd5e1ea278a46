//! The table of applets, and how a call finds its row.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::applets::{
    capsh, cgexec, ctr_inspect, ctr_ps, ctr_top, ctr_whose, getpcaps, lsns, nsenter, unshare,
};
use crate::check;
use crate::cli::{Applet, Call, Words};
use crate::complete;
use crate::exit::{self, Exit, report};
use crate::install;
use crate::output::smartcols::Column;
use crate::sys;
use crate::text;

/// In the order of their names. Dispatch, `--list`, `--help`, man pages, completions and `make install` all come from it.
pub static APPLETS: &[&Applet] = &[
    &capsh::APPLET,
    &cgexec::APPLET,
    &ctr_inspect::APPLET,
    &ctr_ps::APPLET,
    &ctr_top::APPLET,
    &ctr_whose::APPLET,
    &getpcaps::APPLET,
    &lsns::APPLET,
    &nsenter::APPLET,
    &unshare::APPLET,
];

/// The name of the binary itself, when `argv[0]` names no applet.
const BOX: &str = "ctrbox";
const UNKNOWN_APPLET: u8 = 127;

pub(crate) fn find(name: &OsStr) -> Option<&'static Applet> {
    APPLETS.iter().copied().find(|applet| applet.name.as_bytes() == name.as_bytes())
}

/// The applet of a program name: `nsenter`, or `ctrbox-nsenter` beside the original.
fn of_program(name: &OsStr) -> Option<&'static Applet> {
    let own = name.as_bytes().strip_prefix(BOX.as_bytes()).and_then(|rest| rest.strip_prefix(b"-"));
    find(name).or_else(|| find(OsStr::from_bytes(own?)))
}

/// Sets the name and status for an out-of-memory error before the arguments are allocated.
pub fn announce(argv0: &OsStr) {
    if let Some(applet) = of_program(called(argv0)) {
        sys::memory::program_is(applet.name, applet.failure);
    }
}

/// The program: argv in, exit status out.
#[must_use]
pub fn run(mut argv: Vec<OsString>) -> u8 {
    let argv0 = if argv.is_empty() { OsString::from(BOX) } else { argv.remove(0) };
    let name = called(&argv0).to_os_string();
    // It trusts its environment and its options, which are those of the caller.
    if sys::acts_for_another() {
        let problem = "the real and the effective user or group differ: remove the set-user-ID and set-group-ID bits, and use sudo(8)";
        return report(BOX, 1, Err(anyhow::anyhow!(problem).into()));
    }
    if let Some(applet) = of_program(&name) {
        return call(applet, argv0, argv);
    }
    // A binary renamed to ctrbox-0.1 still acts as ctrbox. A link of any other name means an unknown applet.
    if !name.as_bytes().starts_with(BOX.as_bytes()) {
        return report(BOX, UNKNOWN_APPLET, Err(unknown(&name)));
    }
    let first = argv.first().cloned();
    if let Some(applet) = first.as_deref().and_then(find) {
        return call(applet, argv.remove(0), argv);
    }
    sys::hold_closed_stdio();
    let Some(first) = first else {
        return report(BOX, 1, Err(Exit::Text(help())));
    };
    let (status, exit) = match first.as_bytes() {
        b"--list" => (1, Exit::Text(list())),
        b"--help" | b"-h" => (1, Exit::Text(help())),
        b"--install" => return report(BOX, 1, install::run(APPLETS, &argv[1..])),
        b"--complete" => return report(BOX, 1, complete::run(APPLETS, &argv[1..])),
        b"check" => return report(BOX, 1, check::run(&argv[1..])),
        b"help" => return help_of(argv.get(1)),
        b"--version" | b"-V" => (1, Exit::Text(format!("{BOX} {}\n", env!("CARGO_PKG_VERSION")))),
        [b'-', ..] => (1, unknown_option(&first)),
        _ => (UNKNOWN_APPLET, unknown(&first)),
    };
    report(BOX, status, Err(exit))
}

/// `ctrbox help [APPLET]`.
fn help_of(name: Option<&OsString>) -> u8 {
    match name.map(|name| (name, of_program(name))) {
        None => report(BOX, 1, Err(Exit::Text(help()))),
        Some((name, Some(applet))) => call(applet, name.clone(), vec![OsString::from("--help")]),
        Some((name, None)) => report(BOX, UNKNOWN_APPLET, Err(unknown(name))),
    }
}

fn call(applet: &Applet, argv0: OsString, args: Vec<OsString>) -> u8 {
    sys::memory::program_is(applet.name, applet.failure);
    // The others start a program, which gets the descriptors of the caller.
    if !matches!(applet.operands(), Words::Command) {
        sys::hold_closed_stdio();
    }
    let call = Call { name: applet.name, about: applet.about, argv0, args };
    report(applet.name, applet.failure, (applet.run)(&call))
}

/// The last component of `argv[0]`, without the dash that login(1) puts before a shell's name.
fn called(argv0: &OsStr) -> &OsStr {
    let bytes = argv0.as_bytes();
    let base = bytes.rsplit(|&b| b == b'/').next().unwrap_or(bytes);
    OsStr::from_bytes(base.strip_prefix(b"-").unwrap_or(base))
}

fn unknown(name: &OsStr) -> Exit {
    install::no_applet(APPLETS, name)
}

fn unknown_option(word: &OsStr) -> Exit {
    let options = ["--list", "--install", "--help", "--version"];
    let hint = exit::hint_line(|| text::did_you_mean(&word.to_string_lossy(), options));
    Exit::Usage(format!("{BOX}: unrecognized option '{}'{hint}", text::shown(word)))
}

fn list() -> String {
    APPLETS.iter().map(|applet| format!("{}\n", applet.name)).collect()
}

fn help() -> String {
    let applets = APPLETS.iter().map(|applet| clap::Command::new(applet.name).about(applet.about));
    let command = command().disable_help_subcommand(true).subcommand_help_heading("Applets");
    command.subcommands(applets).render_help().to_string()
}

/// The columns of an applet for its manual page: a heading, then the names and what they show.
#[must_use]
pub fn columns(applet: &str) -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let rows =
        |columns: Vec<&'static Column>| columns.iter().map(|column| (column.name, column.help)).collect();
    match applet {
        "ctr-ps" => vec![
            ("Columns of processes", rows(ctr_ps::columns(false))),
            ("Columns of containers (-l)", rows(ctr_ps::columns(true))),
        ],
        "ctr-top" => vec![("Columns", rows(ctr_top::columns().collect()))],
        "lsns" => vec![("Columns of namespaces", rows(lsns::columns().collect()))],
        _ => Vec::new(),
    }
}

/// The keys of an applet's screen, with what they do, for its manual page.
#[must_use]
pub fn keys(applet: &str) -> Vec<(&'static str, &'static str)> {
    if applet == "ctr-top" { ctr_top::keys().collect() } else { Vec::new() }
}

/// The findings of an applet for its manual page: each with its severity, when it is found, why it matters, what to do.
#[must_use]
pub fn findings(applet: &str) -> Vec<[&'static str; 5]> {
    let rules = if applet == "ctr-inspect" { ctr_inspect::rules() } else { &[] };
    rules.iter().map(|rule| [rule.id, rule.severity, rule.when, rule.why, rule.remedy]).collect()
}

/// The `ctrbox` command itself for clap: for `--help`, its man page and its completions.
#[must_use]
pub fn command() -> clap::Command {
    clap::Command::new(BOX)
        .about("see into containers and work in them, without container tooling and without a daemon")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage(format!("{BOX} APPLET [argument...]\n       {BOX} help [APPLET]\n       {BOX} check [-J] [--root DIR]\n       {BOX} --install DIR [APPLET...]\n       {BOX} --list | --help | --version"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(
            clap::Arg::new("list")
                .long("list")
                .action(clap::ArgAction::SetTrue)
                .help("list the applets, one per line"),
        )
        .arg(
            clap::Arg::new("install")
                .long("install")
                .action(clap::ArgAction::Append)
                .value_name("dir")
                .help("make a link for each applet in this directory, or for the applets that follow"),
        )
        .arg(
            clap::Arg::new("help")
                .short('h')
                .long("help")
                .action(clap::ArgAction::SetTrue)
                .help("show this help"),
        )
        .arg(
            clap::Arg::new("version")
                .short('V')
                .long("version")
                .action(clap::ArgAction::SetTrue)
                .help("show the version"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::nearest;

    #[test]
    fn argv0_names_the_applet_through_paths_and_login_dashes() {
        for argv0 in ["nsenter", "/usr/bin/nsenter", "-nsenter", "./x/nsenter", "../-nsenter"] {
            assert_eq!(called(OsStr::new(argv0)), "nsenter", "{argv0}");
        }
        assert_eq!(called(OsStr::new("")), "");
    }

    #[test]
    fn a_typo_finds_the_nearest_applet() {
        let nearest = |word| nearest(word, APPLETS.iter().map(|applet| applet.name));
        assert_eq!(nearest("nsentr"), Some("nsenter"));
        assert_eq!(nearest("ctrps"), Some("ctr-ps"));
        assert_eq!(nearest("mount"), None);
    }

    #[test]
    fn every_applet_builds_a_command_of_its_own_name() {
        for applet in APPLETS {
            let command = applet.command();
            assert_eq!(command.get_name(), applet.name);
            command.debug_assert();
        }
    }
}
