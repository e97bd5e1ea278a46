//! What people read: suggestions after a mistyped word, the width of `--help`, colours.

use std::process::Command;

use ctrbox::testing::applet::APPLETS;

use crate::common::process::limited;
use crate::common::{applet, ctrbox, project, root, stderr, stdout};

/// A command line with a mistake, and what the message must suggest. ROOT is a host in files, which has the containers
/// docker:rt-web and docker:rt-db.
const MISTAKES: &[(&str, &str)] = &[
    // applets
    ("ctrbox nsentr", "'nsenter'"),
    ("ctrbox help ctr-inspct", "'ctr-inspect'"),
    ("ctrbox --install DIR lsnss", "'lsns'"),
    // options
    ("ctrbox --lsit", "--list"),
    ("ctrbox check --jsno", "--json"),
    ("nsenter --targte 1", "--target"),
    ("nsenter --network", "--net"),
    ("unshare --forkk", "--fork"),
    ("lsns --ouput x", "--output"),
    ("cgexec --timout 1", "--timeout"),
    ("capsh --dorp=cap_chown", "--drop"),
    ("getpcaps --leagcy", "--legacy"),
    ("ctr-ps --forst", "--forest"),
    ("ctr-inspect --findngs", "--findings"),
    ("ctr-whose --jsno", "--json"),
    ("ctr-top --prometeus", "--prometheus"),
    // columns
    ("lsns -o NPROC", "NPROCS"),
    ("lsns -o NS,tpye", "TYPE"),
    ("lsns -Q NPROX>1", "NPROCS"),
    ("ctr-ps -o contaner", "container"),
    ("ctr-ps --sort rsss", "rss"),
    ("ctr-ps -Q imgae=='x'", "image"),
    ("ctr-ps -l -o imgae", "image"),
    ("ctr-top -b -n 1 -o memry", "memory"),
    // sort keys, sections, states, origins
    ("ctr-top -b -n 1 -s thorttled", "throttled"),
    ("ctr-top -b -n 1 -s -pdis", "pids"),
    ("ctr-inspect -s limts 1", "limits"),
    ("ctr-inspect -s net 1", "network"),
    ("ctr-inspect -s mounts 1", "files"),
    ("ctr-ps --status runing", "running"),
    ("ctr-ps --how exce", "exec"),
    // namespaces, runtimes, capabilities, signals
    ("lsns -t network", "net"),
    ("lsns -t mount", "mnt"),
    ("lsns -t net,usr", "user"),
    ("lsns --tree=parnet", "parent"),
    ("ctr-ps --runtime dokcer", "docker"),
    ("capsh --drop=cap_sys_amdin", "cap_sys_admin"),
    ("capsh --drop=CAP_CHOWN,CAP_SYS_AMDIN", "cap_sys_admin"),
    ("capsh --explain=sys_amdin", "cap_sys_admin"),
    ("capsh --has-p=cap_chwon", "cap_chown"),
    ("capsh --supports=cap_bfp", "cap_bpf"),
    ("capsh --iab=cap_chwon", "cap_chown"),
    ("capsh --encode=chwon", "cap_chown"),
    ("capsh --mode=HYBRD", "HYBRID"),
    ("getpcaps --diff=dokcer 1", "docker"),
    ("unshare --kill-child=SIGTREM true", "TERM"),
    ("unshare --propagation privte true", "private"),
    // containers
    ("ctr-ps --root ROOT -c rt-wbe", "docker:rt-web"),
    ("ctr-ps --root ROOT dokcer:rt-web", "docker:rt-web"),
    ("ctr-inspect --root ROOT rt-wbe", "docker:rt-web"),
    ("ctr-top --root ROOT -b -n 1 -d 0.1 rt-wbe", "docker:rt-web"),
];

fn command(line: &str) -> Command {
    let host = project("tests/fixtures/systemd-v2/root");
    let mut words = line.split(' ');
    let mut command = match words.next() {
        Some("ctrbox") => ctrbox(),
        name => applet(name.expect("a name")),
    };
    for word in words {
        match word {
            "ROOT" => command.arg(&host),
            "DIR" => command.arg(std::env::temp_dir()),
            _ => command.arg(word),
        };
    }
    command.env("CTRBOX_HINTS", "always");
    command
}

#[test]
fn mistyped_words_get_a_suggestion() {
    let mut failures = Vec::new();
    // Without the right to drop one, capsh does not come to the name.
    let is_tried = |line: &str| root() || !line.contains("--drop=cap") && !line.contains("--drop=CAP");
    for (line, expected) in MISTAKES.iter().filter(|(line, _)| is_tried(line)) {
        let output = limited(&mut command(line));
        let suggestion = format!("did you mean {expected}?");
        if !stderr(&output).contains(&suggestion) {
            failures.push(format!("{line}: no {suggestion} in {}", stderr(&output)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A word that is like nothing gets no suggestion.
#[test]
fn other_words_get_no_suggestion() {
    for line in [
        "ctrbox frobnicate",
        "lsns -t qqq",
        "lsns -o qqq",
        "capsh --supports=qqq",
        "ctr-ps --qqqqqq",
        "unshare --kill-child=qqqqq true",
    ] {
        let output = limited(&mut command(line));
        assert!(!output.status.success(), "{line}");
        assert!(!stderr(&output).contains("did you mean"), "{line}: {}", stderr(&output));
    }
}

/// Scripts compare the messages with those of the original tools.
#[test]
fn without_a_terminal_the_messages_of_the_original_tools_have_no_hint() {
    for (line, message) in [
        ("lsns -t network", "lsns: unknown namespace type: network\n"),
        ("lsns -o NPROC", "lsns: unknown column: NPROC\n"),
        ("capsh --supports=cap_bfp", "cap[cap_bfp] not recognized by library\n"),
        ("unshare --kill-child=SIGTREM true", "unshare: unknown signal: SIGTREM\n"),
    ] {
        assert_eq!(stderr(&limited(command(line).env_remove("CTRBOX_HINTS"))), message);
    }
}

/// The lengths of the longest lines of `--help`.
#[test]
fn help_is_as_wide_as_the_terminal() {
    let names = APPLETS.iter().map(|applet| vec![applet.name, "--help"]);
    for words in names.chain([vec!["--help"], vec!["check", "--help"]]) {
        let longest = |columns: &str| {
            let output = limited(ctrbox().args(&words).env("COLUMNS", columns));
            let text = stdout(&output);
            text.lines().map(str::len).max().expect("a line")
        };
        let (narrow, usual, wide) = (longest("60"), longest("80"), longest("120"));
        assert!(narrow <= 60 && usual <= 80 && wide <= 120, "{words:?}: {narrow}, {usual}, {wide}");
        assert!(narrow < wide, "{words:?}: {narrow}, {wide}");
    }
}

/// The palette of 256 colours where the terminal has it.
#[test]
fn containers_have_colours() {
    let coloured = |term: &str| {
        let output =
            limited(command("ctr-ps --root ROOT -l --color").env("TERM", term).env_remove("COLORTERM"));
        stdout(&output)
    };
    let (many, few) = (coloured("xterm-256color"), coloured("xterm"));
    assert!(many.contains("\x1b[38;5;") && many.contains("docker:rt-web"), "{many:?}");
    assert!(!few.contains("\x1b[38;5;"), "{few:?}");
    assert!(["\x1b[32m", "\x1b[35m", "\x1b[36m"].iter().any(|colour| few.contains(colour)), "{few:?}");
}
