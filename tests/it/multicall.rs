//! One binary with many names: how a call finds its applet, and the behaviour that all applets share.

use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::process::{Inherited, copy_of_binary, executed, inheriting, limited};
use crate::common::terminal::Terminal;
use crate::common::{Scratch, binary, ctrbox, program, root, skip, stderr, stdout, there, until};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

const UNKNOWN: i32 = 127;

/// Every applet there is.
fn list() -> String {
    stdout(&limited(ctrbox().arg("--list")))
}

fn version() -> String {
    format!("ctrbox {}\n", env!("CARGO_PKG_VERSION"))
}

fn version_of(applet: &str) -> String {
    format!("{applet} from ctrbox {}\n", env!("CARGO_PKG_VERSION"))
}

/// Status, stdout, stderr.
fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), stdout(output), stderr(output))
}

fn says(command: &mut Command) -> (Option<i32>, String, String) {
    said(&limited(command))
}

fn fine(out: &str) -> (Option<i32>, String, String) {
    (Some(0), out.to_owned(), String::new())
}

fn wrong(status: i32, message: &str) -> (Option<i32>, String, String) {
    (Some(status), String::new(), message.to_owned())
}

/// A link in the directory.
fn linked(directory: &Path, name: &str) -> Command {
    let link = directory.join(name);
    symlink(binary(), &link).expect("a link");
    program(link.to_str().expect("text"))
}

#[test]
fn a_link_of_an_applets_name_is_the_applet() {
    let scratch = Scratch::new("links");
    for name in list().lines() {
        assert_eq!(says(linked(&scratch.0, name).arg("--version")), fine(&version_of(name)));
    }
    // Through a link to a link, and from another directory by a relative path.
    std::fs::create_dir(scratch.0.join("sub")).expect("a directory");
    symlink("../nsenter", scratch.0.join("sub/other")).expect("a link");
    symlink("sub/other", scratch.0.join("-nsenter")).expect("a link");
    let mut relative = program("./-nsenter");
    assert_eq!(says(relative.current_dir(&scratch.0).arg("-V")), fine(&version_of("nsenter")));
}

#[test]
fn the_last_component_of_argv_0_counts_whatever_stands_before() {
    for argv0 in ["nsenter", "/usr/bin/nsenter", "-nsenter", "/bin/-nsenter", "../x/nsenter", "//nsenter"] {
        let mut command = ctrbox();
        assert_eq!(says(command.arg0(argv0).arg("--version")), fine(&version_of("nsenter")), "{argv0}");
    }
}

/// Beside the original tools: a link `ctrbox-nsenter`.
#[test]
fn a_name_with_the_prefix_is_the_applet_too() {
    let scratch = Scratch::new("prefixed");
    for name in list().lines() {
        let mut command = linked(&scratch.0, &format!("ctrbox-{name}"));
        assert_eq!(says(command.arg("--version")), fine(&version_of(name)));
    }
    assert_eq!(says(linked(&scratch.0, "ctrbox-none").arg("--version")), fine(&version()));
    assert_eq!(says(linked(&scratch.0, "ctrboxnsenter").arg("--version")), fine(&version()));
}

#[test]
fn help_is_a_word_too() {
    let all = says(ctrbox().arg("--help"));
    assert_eq!(says(ctrbox().arg("help")), all);
    for name in list().lines() {
        let help = says(ctrbox().args([name, "--help"]));
        assert_eq!(says(ctrbox().args(["help", name])), help);
        assert_eq!(says(ctrbox().args(["help", &format!("ctrbox-{name}")])), help);
    }
    let expected = "ctrbox: no applet 'nsentr', did you mean 'nsenter'? ('ctrbox --list' lists them)\n";
    assert_eq!(says(ctrbox().args(["help", "nsentr"])), wrong(UNKNOWN, expected));
}

#[test]
fn the_first_argument_names_the_applet_and_the_rest_are_its_own() {
    assert_eq!(says(ctrbox().args(["nsenter", "--version"])), fine(&version_of("nsenter")));
    assert_eq!(says(ctrbox().args(["ctr-ps", "-V", "--list"])), fine(&version_of("ctr-ps")));
    // Not a path: an operand is not an argv[0].
    assert_eq!(says(ctrbox().arg("/bin/nsenter")).0, Some(UNKNOWN));
    assert_eq!(says(ctrbox().arg("-nsenter")).0, Some(1));
}

#[test]
fn list_help_and_version() {
    let all = list();
    assert_eq!(says(ctrbox().arg("--list")), fine(&all));
    assert!(
        all.lines().is_sorted() && ["ctr-ps", "nsenter"].iter().all(|name| all.lines().any(|l| l == *name))
    );
    let word = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !name.is_empty();
    assert!(all.lines().all(word), "{all}");
    for option in ["--version", "-V"] {
        assert_eq!(says(ctrbox().arg(option)), fine(&version()));
    }
    let (status, help, nothing) = says(ctrbox().arg("--help"));
    assert_eq!((status, nothing.as_str()), (Some(0), ""));
    assert_eq!(says(ctrbox().arg("-h")), fine(&help));
    assert_eq!(says(&mut ctrbox()), fine(&help), "no arguments");
    for name in all.lines() {
        let described = help.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(name) && words.next().is_some()
        });
        assert!(described, "a line for {name} in {help}");
    }
    for applet in all.lines() {
        let (status, help, nothing) = says(ctrbox().args([applet, "--help"]));
        assert_eq!((status, nothing.as_str()), (Some(0), ""), "{applet}");
        assert!(help.contains("--help") && help.contains(applet), "{help}");
        // -h lists the same options, without the headings.
        let (status, short, nothing) = says(ctrbox().args([applet, "-h"]));
        assert_eq!((status, nothing.as_str()), (Some(0), ""), "{applet}");
        for option in help.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(short.contains(option), "{applet} -h has no {option}");
        }
    }
}

#[test]
fn an_unknown_applet_is_refused_with_the_nearest_name() {
    let known = "('ctrbox --list' lists them)";
    assert_eq!(
        says(ctrbox().arg("nsentr")),
        wrong(UNKNOWN, &format!("ctrbox: no applet 'nsentr', did you mean 'nsenter'? {known}\n"))
    );
    assert_eq!(says(ctrbox().arg("mount")), wrong(UNKNOWN, &format!("ctrbox: no applet 'mount' {known}\n")));
    assert_eq!(says(ctrbox().arg("")), wrong(UNKNOWN, &format!("ctrbox: no applet '' {known}\n")));
    assert_eq!(
        says(ctrbox().arg("--nonsense")),
        wrong(1, "ctrbox: unrecognized option '--nonsense'\nTry 'ctrbox --help' for more information.\n")
    );
}

#[test]
fn a_hostile_name_is_shown_harmless() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"x\x1b[2J\n\xff\xe2\x80\xae");
    let shown = r"x\x1b[2J\x0a\xff\u{202e}";
    let expected = wrong(UNKNOWN, &format!("ctrbox: no applet '{shown}' ('ctrbox --list' lists them)\n"));
    assert_eq!(says(ctrbox().arg(name)), expected);
    assert_eq!(says(ctrbox().arg0(name).arg("--version")), expected);
    let long = "n".repeat(100_000);
    assert_eq!(says(ctrbox().arg(&long)).0, Some(UNKNOWN));
    assert_eq!(says(ctrbox().arg0(&long).arg("--version")).0, Some(UNKNOWN));
}

#[test]
fn the_box_may_be_renamed_but_a_link_of_an_unknown_name_is_no_box() {
    let scratch = Scratch::new("renamed");
    let renamed = scratch.0.join("ctrbox-0.1");
    copy_of_binary(&renamed);
    let renamed = renamed.to_str().expect("text");
    assert_eq!(says(program(renamed).arg("--list")), fine(&list()));
    assert_eq!(says(program(renamed).args(["nsenter", "-V"])), fine(&version_of("nsenter")));
    let expected = wrong(UNKNOWN, "ctrbox: no applet 'lsblk' ('ctrbox --list' lists them)\n");
    assert_eq!(says(linked(&scratch.0, "lsblk").arg("--list")), expected);
    assert_eq!(says(linked(&scratch.0, "nsenter2").arg("--version")).0, Some(UNKNOWN));
}

#[test]
fn no_argv_at_all_ends_in_an_orderly_way() {
    let mut command = ctrbox();
    executed(&mut command, &binary(), &[], &["LC_ALL=C"]);
    // Since Linux 5.18 the kernel makes that one empty string.
    let output = limited(&mut command);
    assert!(matches!(output.status.code(), Some(0 | UNKNOWN)), "{:?} {}", output.status, stderr(&output));
    assert_eq!(says(ctrbox().arg0("")).0, Some(UNKNOWN));
}

#[test]
fn a_full_stdout_is_a_failure() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    for (args, name) in [
        (&["--help"][..], "ctrbox"),
        (&["--list"], "ctrbox"),
        (&["--version"], "ctrbox"),
        (&["ctr-ps"], "ctr-ps"),
        (&["ctr-ps", "--json"], "ctr-ps"),
        (&["ctr-ps", "-q"], "ctr-ps"),
        (&["ctr-ps", "--version"], "ctr-ps"),
        (&["nsenter", "--help"], "nsenter"),
    ] {
        let mut child = ctrbox();
        let child = child.args(args).stdout(full()).stderr(Stdio::piped()).spawn().expect("it starts");
        let output = child.wait_with_output().expect("it ends");
        let expected = format!("{name}: write error: No space left on device\n");
        assert_eq!(said(&output), wrong(1, &expected), "{args:?}");
    }
}

#[test]
fn a_stdout_that_is_closed_or_not_open_for_writing_is_a_failure() {
    let refused = |args: &[&str]| {
        let closed = Inherited { closed: vec![1], ..Inherited::default() };
        let mut closed_one = ctrbox();
        let mut read_only = ctrbox();
        let file = std::fs::File::open("/dev/null").expect("/dev/null");
        let outputs = [
            limited(inheriting(closed_one.args(args), &closed)),
            read_only.args(args).stdout(file).stderr(Stdio::piped()).output().expect("it runs"),
        ];
        outputs.map(|output| said(&output))
    };
    // The words of --help and --version may be lost, as those of the originals.
    for args in [&["--help"][..], &["--list"], &["nsenter", "--version"], &["ctr-ps", "--help"]] {
        assert_eq!(refused(args), [fine(""), fine("")], "{args:?}");
    }
    let me = std::process::id().to_string();
    for args in [
        &["ctr-ps"][..],
        &["ctr-ps", "--json"],
        &["ctr-ps", "-l", "--json", "-a"],
        &["ctr-ps", "-H"],
        &["lsns"],
        &["lsns", "-J"],
        &["getpcaps", &me],
        &["capsh", "--print"],
        &["capsh", "--decode=1"],
        &["ctr-inspect", &me],
        &["ctr-whose", &me],
        &["ctr-top", "-b", "-n1"],
        &["check"],
    ] {
        let name = if args[0] == "check" { "ctrbox" } else { args[0] };
        let failed = wrong(1, &format!("{name}: write error: Bad file descriptor\n"));
        assert_eq!(refused(args), [failed.clone(), failed], "{args:?}");
    }
    // No output may go to a file that happens to be opened under the free number: on this host, and on one where
    // another number of descriptors is open by then.
    let closed = Inherited { closed: vec![0, 1, 2], ..Inherited::default() };
    for name in ["ctr-ps", "lsns", "ctr-inspect"] {
        let args: &[&str] = if name == "ctr-inspect" { &[name, &me] } else { &[name] };
        assert_eq!(limited(inheriting(ctrbox().args(args), &closed)).status.code(), Some(1), "{name}");
    }
}

#[test]
fn a_closed_pipe_gets_no_message() {
    for args in [&["--help"][..], &["ctr-ps"], &["ctr-ps", "--forest"], &["ctr-ps", "--json"]] {
        for ignored in [vec![], vec![Signal::SIGPIPE]] {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
            drop(reader);
            // A child that another test forks has it until it executes its program.
            until("nobody has the reader", || {
                let mut state = [PollFd::new(writer.as_fd(), PollFlags::empty())];
                poll(&mut state, PollTimeout::ZERO).expect("poll") > 0
            });
            let mut command = ctrbox();
            command.args(args).stdout(writer).stderr(Stdio::piped());
            let inherited = Inherited { ignored: ignored.clone(), ..Inherited::default() };
            let child = inheriting(&mut command, &inherited).spawn().expect("it starts");
            let output = child.wait_with_output().expect("it ends");
            assert_eq!(stderr(&output), "", "{args:?} {ignored:?}");
            let killed = output.status.signal() == Some(Signal::SIGPIPE as i32);
            if ignored.is_empty() {
                assert!(killed, "{args:?}: {:?}: SIGPIPE has its default action", output.status);
            } else {
                assert_eq!(
                    output.status.code(),
                    Some(0),
                    "{args:?}: who ignores SIGPIPE wants no death of it"
                );
            }
        }
    }
}

#[test]
fn usage_errors_have_the_words_of_getopt() {
    let scratch = Scratch::new("usage");
    drop(linked(&scratch.0, "nsenter"));
    let path = scratch.0.join("nsenter").display().to_string();
    let tail = "Try 'nsenter --help' for more information.\n";
    for (args, words) in [
        (&["--foo"][..], "unrecognized option '--foo'"),
        (&["--foo=bar", "--version"], "unrecognized option '--foo=bar'"),
        (&["-x"], "invalid option -- 'x'"),
        (&["-Fax"], "invalid option -- 'x'"),
        (&["-t"], "option requires an argument -- 't'"),
        (&["--target"], "option '--target' requires an argument"),
        (&["--all=yes"], "option '--all' doesn't allow an argument"),
        (&["--us=x"], "option '--us=x' is ambiguous; possibilities: '--user' '--user-parent'"),
    ] {
        let expected = wrong(1, &format!("{path}: {words}\n{tail}"));
        assert_eq!(says(program(&path).args(args)), expected, "{args:?}");
    }
    for (argv0, shown) in [("/no/such/nsenter", "/no/such/nsenter"), ("-nsenter", "-nsenter")] {
        let expected = wrong(1, &format!("{shown}: unrecognized option '--foo'\n{tail}"));
        assert_eq!(says(ctrbox().arg0(argv0).arg("--foo")), expected);
    }
    let expected = wrong(1, &format!("nsenter: unrecognized option '--foo'\n{tail}"));
    assert_eq!(says(ctrbox().args(["nsenter", "--foo"])), expected);
    let (status, out, message) = says(ctrbox().args(["ctr-ps", "--list=1"]));
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(message.ends_with("Try 'ctr-ps --help' for more information.\n"), "{message}");
    let expected = r"ctr-ps: unrecognized option '--\x1b[31m\xff'";
    use std::os::unix::ffi::OsStrExt;
    let (_, _, message) = says(ctrbox().arg("ctr-ps").arg(std::ffi::OsStr::from_bytes(b"--\x1b[31m\xff")));
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn help_and_version_act_where_they_stand() {
    assert_eq!(says(ctrbox().args(["nsenter", "--version", "--foo"])), fine(&version_of("nsenter")));
    assert_eq!(says(ctrbox().args(["nsenter", "--foo", "--version"])).0, Some(1));
    // Options of the program that is to be run are its own.
    let (status, _, message) = says(ctrbox().args(["nsenter", "true", "--version"]));
    assert_eq!((status, message.as_str()), (Some(1), "nsenter: no namespace specified\n"));
}

/// A program with the rights of another user must not trust its caller. File capabilities are the caller's own.
#[test]
fn set_user_id_is_refused() {
    if !root() {
        return skip("root", "only root gives files away");
    }
    let scratch = Scratch::new("set-user-id");
    let copy = scratch.0.join("ctrbox");
    copy_of_binary(&copy);
    let by_nobody = || {
        let mut command = program("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).arg("--version");
        command
    };
    assert_eq!(says(&mut by_nobody()), fine(&version()));
    for mode in [0o4755, 0o2755] {
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(mode)).expect("its mode");
        let (status, out, err) = says(&mut by_nobody());
        assert_eq!((status, out.as_str()), (Some(1), ""), "{mode:o}");
        assert!(err.starts_with("ctrbox: the real and the effective user or group differ"), "{err}");
    }
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("its mode");
    if there("setcap") {
        assert!(limited(program("setcap").arg("cap_sys_ptrace+ep").arg(&copy)).status.success());
        assert_eq!(says(&mut by_nobody()), fine(&version()));
    }
}

/// Lines of the help end between words on a narrow terminal.
#[test]
fn help_fits_the_terminal() {
    for columns in [40, 60, 80, 132] {
        for arguments in [&["help", "unshare"][..], &["nsenter", "--help"], &["--help"], &["check", "--help"]]
        {
            let mut terminal = Terminal::new();
            terminal.resize(24, columns);
            let mut command = Command::new(binary());
            let (status, shown) = terminal.end_of(&mut terminal.start(command.args(arguments)));
            assert_eq!(status.code(), Some(0));
            let is_wide = |line: &&str| line.trim_end().len() > usize::from(columns);
            assert_eq!(shown.lines().find(is_wide), None, "{arguments:?} at {columns}");
        }
    }
}
