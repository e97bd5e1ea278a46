//! The program that nsenter runs: its status and signals, its descriptors, what is said if it cannot run.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::common::nsenter::{ALL, in_scratch, of, script};
use crate::common::process::{
    Holder, Inherited, Piped, change_of, failure, inheriting, limited, link, namespaces, printed,
};
use crate::common::{Scratch, program, skip, stderr, there};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

#[test]
fn the_status_is_that_of_the_program() {
    if !namespaces("nsenter-status") {
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    for options in [&["-u"][..], &["-p"], &["-p", "-F"], &["-a"]] {
        for status in [0, 3, 255] {
            let output = limited(of(&holder).args(options).args(["sh", "-c", &format!("exit {status}")]));
            assert_eq!((output.status.code(), stderr(&output)), (Some(status), String::new()), "{options:?}");
        }
    }
}

#[test]
fn a_signal_that_kills_the_program_kills_nsenter() {
    if !namespaces("nsenter-killed") {
        return;
    }
    let scratch = Scratch::new("nsenter-killed");
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    for options in [&["-u"][..], &["-p"]] {
        for signal in ["TERM", "INT", "HUP", "KILL", "PIPE", "USR1", "ALRM", "QUIT", "ABRT"] {
            let number = format!("SIG{signal}").parse::<Signal>().expect("a signal") as i32;
            let mut command = of(&holder);
            let dying = format!("ulimit -c 0; kill -{signal} $$");
            let output = limited(command.args(options).args(["sh", "-c", &dying]).current_dir(&scratch.0));
            assert_eq!(output.status.signal(), Some(number), "{options:?} {signal}: {:?}", output.status);
            assert_eq!(stderr(&output), "", "{options:?} {signal}");
        }
    }
}

/// nix knows no real-time signals: its waitpid gives EINVAL for such a status.
#[test]
fn a_real_time_signal_too() {
    if !namespaces("nsenter-killed-rt") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    for number in [34, 50, 64] {
        let output = limited(of(&holder).args(["-p", "sh", "-c", &format!("kill -{number} $$")]));
        assert_eq!((output.status.signal(), stderr(&output)), (Some(number), String::new()));
    }
}

/// The parent dies of the signal even if it was started with the signal ignored or blocked.
#[test]
fn dying_of_a_signal_that_was_ignored_or_blocked_at_the_start() {
    if !namespaces("nsenter-killed-ignored") {
        return;
    }
    if !there("perl") {
        skip("nsenter-killed-ignored", "needs perl");
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let dies = "use POSIX; $SIG{TERM} = 'DEFAULT'; my $set = POSIX::SigSet->new(SIGTERM); \
                sigprocmask(SIG_UNBLOCK, $set); kill TERM => $$; exit 9";
    for inherited in [
        Inherited { ignored: vec![Signal::SIGTERM], ..Inherited::default() },
        Inherited { blocked: vec![Signal::SIGTERM], ..Inherited::default() },
        Inherited { ignored: vec![Signal::SIGTERM], blocked: vec![Signal::SIGTERM], ..Inherited::default() },
    ] {
        let output = limited(inheriting(of(&holder).args(["-p", "perl", "-e", dies]), &inherited));
        assert_eq!(
            output.status.signal(),
            Some(Signal::SIGTERM as i32),
            "{inherited:?}: {:?}",
            output.status
        );
    }
}

/// With SIGCHLD ignored the kernel keeps no status for the parent.
#[test]
fn an_ignored_sigchld_loses_no_status() {
    if !namespaces("nsenter-sigchld") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let inherited = Inherited { ignored: vec![Signal::SIGCHLD], ..Inherited::default() };
    let output = limited(inheriting(of(&holder).args(["-p", "sh", "-c", "exit 3"]), &inherited));
    assert_eq!((output.status.code(), stderr(&output)), (Some(3), String::new()));
    let output = limited(inheriting(of(&holder).args(["-p", "sh", "-c", "kill -9 $$"]), &inherited));
    assert_eq!(output.status.signal(), Some(9));
}

#[test]
fn nsenter_stops_and_continues_with_the_program() {
    if !namespaces("nsenter-stop") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let stops = "kill -STOP $$; echo once; kill -STOP $$; echo twice; exit 7";
    let mut piped = Piped::new(of(&holder).args(["-p", "sh", "-c", stops]));
    let pid = Pid::from_raw(piped.pid());
    for line in ["once", "twice"] {
        assert_eq!(change_of(piped.pid()), WaitStatus::Stopped(pid, Signal::SIGSTOP));
        kill(pid, Signal::SIGCONT).expect("it goes on");
        assert_eq!(piped.line(), line);
    }
    assert_eq!(change_of(piped.pid()), WaitStatus::Exited(pid, 7));
}

/// A signal to the waiting parent alone ends the parent and not the program, as in the reference tool.
#[test]
fn a_signal_to_the_waiting_parent_leaves_the_program() {
    if !namespaces("nsenter-parent") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let mut piped =
        Piped::new(of(&holder).args(["-p", "sh", "-c", "echo ready; read -r word; echo \"$word\""]));
    assert_eq!(piped.line(), "ready");
    let pid = Pid::from_raw(piped.pid());
    kill(pid, Signal::SIGTERM).expect("sent");
    assert_eq!(change_of(piped.pid()), WaitStatus::Signaled(pid, Signal::SIGTERM, false));
    piped.say("more\n");
    assert_eq!(piped.line(), "more");
}

#[test]
fn mask_and_dispositions_of_signals_are_inherited_unchanged() {
    if !namespaces("nsenter-signals") {
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    let signals = |command: &mut Command, inherited: &Inherited| {
        let status = printed(inheriting(command.args(["cat", "/proc/self/status"]), inherited));
        let lines = status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    for inherited in [
        Inherited::default(),
        Inherited { ignored: vec![Signal::SIGPIPE], ..Inherited::default() },
        Inherited { blocked: vec![Signal::SIGUSR1, Signal::SIGINT, Signal::SIGTERM], ..Inherited::default() },
        Inherited {
            ignored: vec![Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP],
            blocked: vec![Signal::SIGCHLD, Signal::SIGPIPE],
            ..Inherited::default()
        },
    ] {
        let expected = signals(&mut program("env"), &inherited);
        assert_eq!(expected.lines().count(), 2, "{expected}");
        for options in [&["-u"][..], &["-p"], &["-p", "-F"], &["-a"]] {
            assert_eq!(signals(of(&holder).args(options), &inherited), expected, "{options:?} {inherited:?}");
        }
    }
}

/// In a container a program gets 0, 1 and 2; with the host's namespaces, all descriptors that nsenter had.
#[test]
fn descriptors_are_inherited_or_closed_and_none_is_added() {
    if !namespaces("nsenter-descriptors") {
        return;
    }
    let scratch = Scratch::new("nsenter-descriptors");
    let wd = in_scratch(&scratch, "");
    // Its /proc is still the caller's, so that /proc/self exists whatever is entered.
    let holder = Holder::new(&ALL, "");
    let of_user = Holder::new(&["-U", "-r", "-u"], "");
    let file = format!("--uts={}", holder.file("ns/uts"));
    let open = |command: &mut Command, inherited: &Inherited| {
        printed(inheriting(command.args(["sh", "-c", "echo /proc/self/fd/*"]), inherited))
    };
    for inherited in [
        Inherited::default(),
        Inherited { closed: vec![0], ..Inherited::default() },
        Inherited { closed: vec![0, 2], ..Inherited::default() },
        Inherited { open: vec![5, 9], ..Inherited::default() },
        Inherited { open: vec![3, 4, 7], closed: vec![2], ..Inherited::default() },
    ] {
        let expected = open(&mut program("env"), &inherited);
        for options in [&["-n"][..], &["-u", "-e"], &[&file], &[&file, "-n", "-S", "follow"]] {
            let shown = open(of(&holder).args(options), &inherited);
            assert_eq!(shown, expected, "{options:?} {inherited:?}");
        }
        let all_others = inherited.closed.iter().copied().chain(3..1000).collect();
        let closed = Inherited { closed: all_others, ..inherited.clone() };
        let expected = open(&mut program("env"), &closed);
        for options in [
            &["-a"][..],
            &["-m", "-r", "-w"],
            &["-m", "-W/"],
            &["-u", "-r/", &format!("-w{wd}")],
            &["-p", "-F", "-u"],
            &["-m", "-p"],
        ] {
            let shown = open(of(&holder).args(options), &inherited);
            assert_eq!(shown, expected, "{options:?} {inherited:?}");
        }
        for options in [&["-U"][..], &["-U", "-u", "--keep-caps"], &["--user-parent", "-u"], &["-a"]] {
            let mut command = of(&of_user);
            // The parent of its user namespace is the caller's, which must not be entered.
            if options[0] == "--user-parent" {
                let user = format!("-U{}", of_user.file("ns/user"));
                assert_eq!(failure(command.args([options[0], &user, "true"])).0, Some(1));
                continue;
            }
            assert_eq!(open(command.args(options), &inherited), expected, "{options:?} {inherited:?}");
        }
    }
}

/// A hint says where the program was looked for, and what would run the host's.
#[test]
fn a_program_that_is_not_inside() {
    if !namespaces("nsenter-not-inside") {
        return;
    }
    let scratch = Scratch::new("nsenter-not-inside");
    let directory = in_scratch(&scratch, "bin");
    std::fs::create_dir(&directory).expect("a directory");
    script(&format!("{directory}/of-host"), "#!/bin/sh\n", 0o755);
    let holder = Holder::new(&["-m", "-n"], &format!("mount -t tmpfs none '{directory}'"));
    let path = format!("{directory}:/usr/bin:/bin");
    let hint = |options: &[&str], name: &str| {
        let mut command = of(&holder);
        command.args(options).arg(name).env("PATH", &path).env("CTRBOX_HINTS", "always");
        let (status, message) = failure(&mut command);
        assert_eq!(status, Some(127), "{message}");
        let start = format!("nsenter: failed to execute {name}: No such file or directory\n");
        let hint = message.strip_prefix(&start).unwrap_or_else(|| panic!("{message}"));
        hint.strip_prefix("hint: ").unwrap_or_default().trim_end().to_owned()
    };
    let (looked, host) = ("was looked for inside the container", "--host-root runs that of the host");
    let env = "if only the PATH of the target has it, use -e";
    let (of_host, full) = ("of-host", format!("{directory}/of-host"));
    for (options, name, expected) in [
        (&["-m"][..], of_host, format!("'of-host' {looked}: {host}; so does leaving -m out; {env}")),
        (&["-a"], of_host, format!("'of-host' {looked}: {host}; {env}")),
        (&["-a", "-e"], of_host, format!("'of-host' {looked}: {host}")),
        (&["-m", "-n"], &full, format!("'{full}' {looked}: {host}; so does leaving -m out")),
        (&["-m"], "no-such-program", format!("'no-such-program' {looked}: {env}")),
        (&["-m"], "/no/such/program", format!("'/no/such/program' {looked}")),
        (
            &["--as-container"],
            &full,
            format!("'{full}' {looked}: -a --host-root in place of --as-container runs that of the host"),
        ),
        (&["-r"], of_host, format!("'of-host' {looked}: without -r that of the host runs; {env}")),
    ] {
        let options = if options == ["-a", "-e"] { &["-a", "-e", "--force"][..] } else { options };
        assert_eq!(hint(options, name), expected, "{options:?} {name}");
    }
    // The host's files: nothing was looked for inside.
    assert_eq!(hint(&["-n"], "no-such-program"), "");
    let mut quiet = of(&holder);
    quiet.args(["-m", "no-such-program"]).env("CTRBOX_HINTS", "never");
    let message = "nsenter: failed to execute no-such-program: No such file or directory\n".to_owned();
    assert_eq!(failure(&mut quiet), (Some(127), message));
}

#[test]
fn a_program_that_cannot_be_executed() {
    if !namespaces("nsenter-exec") {
        return;
    }
    let scratch = Scratch::new("nsenter-exec");
    let at = |name: &str| in_scratch(&scratch, name);
    script(&at("no-x"), "#!/bin/sh\n", 0o644);
    script(&at("no-interpreter"), "#!/no/such/interpreter\n", 0o755);
    script(&at("no-bang"), "echo \"$0\" \"$@\"\n", 0o755);
    script(&at("empty"), "", 0o755);
    std::fs::create_dir(at("directory")).expect("a directory");
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    let path = format!("/no/such/directory:{}:/usr/bin:/bin", in_scratch(&scratch, ""));
    for option in ["-u", "-p"] {
        let with = |search: &str, program: &str| {
            let mut command = of(&holder);
            command.args([option, program, "one", "two words"]).env("PATH", search);
            command
        };
        let why = |search: &str, program: &str| {
            let (status, message) = failure(&mut with(search, program));
            let cause = message.trim_end().rsplit(": ").next().unwrap_or_default().to_owned();
            assert_eq!(message, format!("nsenter: failed to execute {program}: {cause}\n"));
            (status.unwrap_or(-1), cause)
        };
        let not_there = || (127, "No such file or directory".to_owned());
        let denied = || (126, "Permission denied".to_owned());
        assert_eq!(why(&path, "no-such-program"), not_there());
        assert_eq!(why(&path, &at("missing")), not_there());
        assert_eq!(why(&path, ""), not_there());
        assert_eq!(why(&path, &at("no-interpreter")), not_there());
        assert_eq!(why(&path, &at("directory")), denied());
        assert_eq!(why(&path, &at("no-x")), denied());
        // EACCES on the way is remembered, also when the search ends elsewhere.
        assert_eq!(why(&path, "no-x"), denied());
        assert_eq!(why(&path, "directory"), denied());
        assert_eq!(why("/etc/passwd", "x"), (126, "Not a directory".to_owned()));
        assert_eq!(why(&path, "/etc/passwd/x"), (126, "Not a directory".to_owned()));

        let script = at("no-bang");
        assert_eq!(printed(&mut with(&path, &script)), format!("{script} one two words\n"));
        assert!(printed(&mut with(&path, "no-bang")).ends_with("/no-bang one two words\n"));
        assert_eq!(printed(&mut with(&path, &at("empty"))), "");
        // An empty element of PATH is the working directory.
        let mut here = with(":/no/such", "no-bang");
        assert_eq!(printed(here.current_dir(&scratch.0)), "no-bang one two words\n");
        // Without PATH the C library has a default.
        assert_eq!(printed(of(&holder).args([option, "echo", "x"]).env_remove("PATH")), "x\n");
        let odd = std::ffi::OsStr::from_bytes(b"\x1b[31m\n\xff");
        let expected = "nsenter: failed to execute \\x1b[31m\\x0a\\xff: No such file or directory\n";
        assert_eq!(failure(of(&holder).arg(option).arg(odd)), (Some(127), expected.to_owned()));
    }
    let long = "x".repeat(5000);
    assert_eq!(failure(of(&holder).args(["-u", &long])).0, Some(126), "ENAMETOOLONG");
    assert_eq!(failure(of(&holder).args(["-u", &format!("/{long}")])).0, Some(126), "ENAMETOOLONG");
}

#[test]
fn with_no_fork_only_children_are_in_the_pid_namespace() {
    if !namespaces("nsenter-no-fork") {
        return;
    }
    let holder = Holder::new(&["-p", "-f"], "");
    let both = ["readlink", "/proc/self/ns/pid", "/proc/self/ns/pid_for_children"];
    let (own, inner) = (link("self", "pid"), holder.link("pid"));
    for option in ["-F", "--no-fork"] {
        assert_eq!(printed(of(&holder).args(["-p", option]).args(both)), format!("{own}\n{inner}\n"));
    }
    assert_eq!(printed(of(&holder).arg("-p").args(both)), format!("{inner}\n{inner}\n"));
    // nsenter itself became the program, not a child of it.
    let own_pid = "read -r pid rest </proc/self/stat; echo $pid; read -r word";
    let mut without = Piped::new(of(&holder).args(["-p", "-F", "sh", "-c", own_pid]));
    assert_eq!(without.line(), without.pid().to_string());
    let mut with = Piped::new(of(&holder).args(["-p", "sh", "-c", own_pid]));
    let child = with.line();
    assert_ne!(child, with.pid().to_string());
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).expect("its status");
    assert!(status.contains(&format!("PPid:\t{}\n", with.pid())), "{status}");
    with.end_of_input();
}
