//! unshare and the child that it waits for: which process dies with which, which signals are forwarded, and that no

use crate::common;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::common::process::{Inherited, change_of, inheriting, limited};
use crate::common::unshare::{Leash, Public, Ready, STRANGER, failure, possible, refused, unshare};
use crate::common::{Scratch, UNPRIVILEGED_UID, binary, program, skip, stderr, stdout, there};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

/// Prints when it is ready, then waits for a signal and prints it. The background process prints the readiness:
/// if it were killed earlier, it would still have the shell's traps.
const LISTENS: &str = "trap 'echo TERM; kill $!; exit 7' TERM; trap 'echo INT; kill $!; exit 8' INT; \
                       trap 'echo USR1; kill $!; exit 9' USR1; { echo ready; exec sleep 1000; } & wait";
const SLEEPS: [&str; 3] = ["sh", "-c", "echo ready; exec sleep 1000"];

fn pid(child: &std::process::Child) -> i32 {
    i32::try_from(child.id()).expect("a pid")
}

/// Kills unshare. The program must end then, which is seen by the end of a pipe that it has open.
fn dies_with_its_parent(command: &mut Command) {
    let (ready, line) = Ready::new(command.args(SLEEPS));
    assert_eq!(line, "ready", "{command:?}");
    assert!(ready.leash.held());
    ready.kill(Signal::SIGKILL);
    assert_eq!(change_of(pid(&ready.child)), WaitStatus::Signaled(of(&ready), Signal::SIGKILL, false));
    ready.leash.ends();
}

fn of(ready: &Ready) -> Pid {
    Pid::from_raw(pid(&ready.child))
}

/// Those that the C library of ctrbox uses itself, too.
#[test]
fn all_blocked_signals_stay_blocked() {
    if !possible("unshare-blocked") {
        return;
    }
    let blocked = |words: &[&str]| {
        let mut env = program("env");
        env.arg("--block-signal").args(words).args(["grep", "SigBlk", "/proc/self/status"]);
        limited(&mut env)
    };
    let plain = blocked(&[]);
    if !plain.status.success() {
        return skip("block-signal", "env(1) cannot block signals");
    }
    let binary = binary();
    let binary = binary.to_str().expect("text");
    for words in
        [&["unshare", "-f"][..], &["unshare", "--forward-signals"], &["capsh", "--shell=/usr/bin/env", "--"]]
    {
        let output = blocked(&[&[binary], words].concat());
        assert_eq!(stdout(&output), stdout(&plain), "{words:?} {}", stderr(&output));
    }
}

#[test]
fn kill_child_kills_the_child() {
    if !possible("unshare-kill-child") {
        return;
    }
    let public = Public::new("unshare-kill-child");
    for options in [&[][..], &["-f"], &["-p"], &["-p", "--mount-proc"], &["-r"], &["--forward-signals"]] {
        dies_with_its_parent(unshare().arg("--kill-child").args(options));
    }
    dies_with_its_parent(unshare().args(["--kill-child=sigkill", "-n"]));
    for options in [&["-U"][..], &["-r"], &["-c", "--keep-caps"], &["-rp", "--mount-proc"]] {
        dies_with_its_parent(public.unshare(STRANGER).arg("--kill-child").args(options));
    }
    dies_with_its_parent(public.unshare(UNPRIVILEGED_UID).arg("--kill-child"));
}

/// The kernel clears PR_SET_PDEATHSIG when the ids change; the reference tool does not set it again.
#[test]
fn kill_child_holds_for_a_child_of_other_ids() {
    if !possible("unshare-kill-child-ids") {
        return;
    }
    let map = ["--map-users=0:1000:10", "--map-groups=0:2000:10"];
    for ids in [&["-S", "1001"][..], &["-G", "1001"], &["-S", "1001", "-G", "1002"]] {
        for options in [&[][..], &["-p"], &["-m", "--mount-proc"], &["--keep-caps"]] {
            dies_with_its_parent(unshare().arg("--kill-child").args(options).args(ids));
        }
    }
    for ids in [&["-S", "1"][..], &["-G", "1"], &["-S", "1", "-G", "2", "--keep-caps"]] {
        dies_with_its_parent(unshare().arg("--kill-child").args(map).args(ids));
    }
    dies_with_its_parent(unshare().args(["--owner=1001:1001", "--kill-child", "-r"]));
}

#[test]
fn kill_child_with_a_signal_of_choice() {
    if !possible("unshare-kill-child-signal") {
        return;
    }
    for (name, said) in [("TERM", "TERM"), ("sigint", "INT"), ("SIGUSR1", "USR1"), ("Usr1", "USR1")] {
        for ids in [&[][..], &["-S", "1001", "-G", "1001"]] {
            let mut command = unshare();
            command.arg(format!("--kill-child={name}")).args(ids).args(["sh", "-c", LISTENS]);
            let (mut ready, line) = Ready::new(&mut command);
            assert_eq!(line, "ready");
            ready.kill(Signal::SIGKILL);
            assert_eq!(ready.line(), said, "{name} {ids:?}");
            ready.leash.ends();
        }
    }
    // A real-time signal, which kills it.
    let (ready, _) = Ready::new(unshare().args(["--kill-child=RTMIN+3"]).args(SLEEPS));
    ready.kill(Signal::SIGKILL);
    ready.leash.ends();
}

#[test]
fn invalid_signals() {
    for name in ["9", "", "0", "RTMIN", "SIGRTMAX", "RTMIN+99", "KILLX", "SIG", " TERM", "TERM ", "-1"] {
        let expected = refused(&format!("unknown signal: {name}"));
        assert_eq!(failure(unshare().args([&format!("--kill-child={name}"), "true"])), expected);
    }
}

#[test]
fn without_it_the_child_lives_on() {
    if !possible("unshare-lives-on") {
        return;
    }
    // These signals kill the parent; it blocks two only.
    for signal in [Signal::SIGHUP, Signal::SIGKILL, Signal::SIGQUIT] {
        let mut command = unshare();
        command.args(["-f", "sh", "-c", "ulimit -c 0; echo ready; read -r word; echo $word"]);
        inheriting(&mut command, &Inherited::default());
        let scratch = Scratch::new("unshare-lives-on");
        let (mut ready, line) = Ready::new(command.current_dir(&scratch.0));
        assert_eq!(line, "ready");
        ready.kill(signal);
        match change_of(pid(&ready.child)) {
            WaitStatus::Signaled(_, by, _) => assert_eq!(by, signal),
            other => panic!("{other:?}"),
        }
        assert!(ready.leash.held());
        ready.say("alive\n");
        assert_eq!(ready.line(), "alive");
        ready.leash.ends();
    }
}

#[test]
fn the_parent_blocks_two_signals_and_the_child_none() {
    if !possible("unshare-blocks") {
        return;
    }
    let masks = "for pid in $PPID self; do grep SigBlk /proc/$pid/status; done";
    let shown = |options: &[&str]| {
        let mut command = unshare();
        let output = limited(command.args(options).args(["sh", "-c", masks]));
        let text = stdout(&output);
        let numbers = text.lines().map(|line| line.split_whitespace().last().expect("a mask").to_owned());
        numbers.map(|digits| u64::from_str_radix(&digits, 16).expect("hexadecimal")).collect::<Vec<_>>()
    };
    let bit = |signal: Signal| 1_u64 << (signal as i32 - 1);
    let both = bit(Signal::SIGINT) | bit(Signal::SIGTERM);
    assert_eq!(shown(&["-f"]), [both, 0]);
    assert_eq!(shown(&["--kill-child"]), [both, 0]);
    assert_eq!(shown(&["-f", "-r", "-u"]), [both, 0]);
}

/// They are for the child, as on a terminal, where both get them: the reaction of the child counts.
#[test]
fn a_signal_while_it_waits_is_not_its_end() {
    if !possible("unshare-blocked") {
        return;
    }
    for options in [&["-f"][..], &["--kill-child"], &["-r", "-f"]] {
        for signals in [&["TERM"][..], &["INT"], &["INT", "TERM", "INT"]] {
            let kills = signals.iter().map(|name| format!("kill -{name} $PPID; ")).collect::<String>();
            let script = format!("{kills} exit 3");
            let output = limited(unshare().args(options).args(["sh", "-c", &script]));
            assert_eq!(output.status.code(), Some(3), "{options:?} {signals:?} {:?}", output.status);
        }
    }
}

#[test]
fn forwarded_signals_reach_the_child_and_no_one_else() {
    if !possible("unshare-forward") {
        return;
    }
    for options in [&[][..], &["-p"], &["--kill-child"], &["-r"], &["-S", "1001"]] {
        for (signal, said, status) in [(Signal::SIGTERM, "TERM", 7), (Signal::SIGINT, "INT", 8)] {
            let mut command = unshare();
            command.arg("--forward-signals").args(options).args(["sh", "-c", LISTENS]);
            let (mut ready, line) = Ready::new(&mut command);
            assert_eq!(line, "ready");
            ready.kill(signal);
            assert_eq!(ready.line(), said, "{options:?}");
            assert_eq!(change_of(pid(&ready.child)), WaitStatus::Exited(of(&ready), status), "{options:?}");
            ready.leash.ends();
        }
    }
    // Also where they were ignored when it started: the child ignores them too, and runs to its end.
    let ignored = Inherited { ignored: vec![Signal::SIGTERM, Signal::SIGINT], ..Inherited::default() };
    let mut command = unshare();
    command.args(["--forward-signals", "sh", "-c", "echo ready; read -r word; exit 5"]);
    let (mut ready, _) = Ready::new(inheriting(&mut command, &ignored));
    ready.kill(Signal::SIGTERM);
    ready.kill(Signal::SIGINT);
    ready.say("go\n");
    assert_eq!(change_of(pid(&ready.child)), WaitStatus::Exited(of(&ready), 5));
}

/// The reference tool loses a signal that comes before it knows its child.
#[test]
fn no_early_signal_is_lost() {
    if !possible("unshare-early") {
        return;
    }
    for round in 0..40 {
        let (signal, options): (Signal, &[&str]) = match round % 4 {
            0 => (Signal::SIGTERM, &[]),
            1 => (Signal::SIGTERM, &["-r", "-u"]),
            2 => (Signal::SIGTERM, &["--map-users=0:0:2", "--map-groups=0:0:2"]),
            _ => (Signal::SIGINT, &["--kill-child"]),
        };
        let mut command = unshare();
        inheriting(&mut command, &Inherited::default());
        let (child, leash) =
            Leash::start(command.arg("--forward-signals").args(options).args(["sleep", "1000"]));
        let child = common::Running(child);
        kill(Pid::from_raw(child.pid()), signal).expect("a signal");
        leash.ends();
        match change_of(child.pid()) {
            WaitStatus::Signaled(_, by, _) => assert_eq!(by, signal, "round {round}"),
            other => panic!("round {round}: {other:?}"),
        }
    }
}

#[test]
fn it_dies_as_its_child_did() {
    if !possible("unshare-dies") {
        return;
    }
    let scratch = Scratch::new("unshare-dies");
    for options in [&["-u"][..], &["-f"], &["--kill-child"], &["--forward-signals"], &["-rf"]] {
        for signal in ["TERM", "INT", "HUP", "KILL", "PIPE", "USR1", "ALRM", "QUIT", "ABRT"] {
            let number = format!("SIG{signal}").parse::<Signal>().expect("a signal") as i32;
            let mut command = unshare();
            inheriting(&mut command, &Inherited::default());
            let dying = format!("ulimit -c 0; kill -{signal} $$");
            let output = limited(command.args(options).args(["sh", "-c", &dying]).current_dir(&scratch.0));
            assert_eq!(output.status.signal(), Some(number), "{options:?} {signal}: {:?}", output.status);
            assert_eq!(stderr(&output), "", "{options:?} {signal}");
        }
    }
}

/// nix has no names for them.
#[test]
fn also_of_a_real_time_signal() {
    if !possible("unshare-dies-rt") {
        return;
    }
    for options in [&["-f"][..], &["--kill-child"], &["--forward-signals"]] {
        for number in [34, 50, 64] {
            let output = limited(unshare().args(options).args(["sh", "-c", &format!("kill -{number} $$")]));
            let end = (output.status.signal(), stderr(&output));
            assert_eq!(end, (Some(number), String::new()), "{options:?}");
        }
    }
}

#[test]
fn it_dies_of_a_signal_that_was_ignored_or_blocked_at_the_start() {
    if !possible("unshare-dies-ignored") {
        return;
    }
    if !there("perl") {
        skip("unshare-dies-ignored", "needs perl");
        return;
    }
    let dies = "use POSIX; $SIG{TERM} = 'DEFAULT'; my $set = POSIX::SigSet->new(SIGTERM); \
                sigprocmask(SIG_UNBLOCK, $set); kill TERM => $$; exit 9";
    let term = || vec![Signal::SIGTERM];
    for inherited in [
        Inherited { ignored: term(), ..Inherited::default() },
        Inherited { blocked: term(), ..Inherited::default() },
        Inherited { ignored: term(), blocked: term(), ..Inherited::default() },
    ] {
        for option in ["-f", "--forward-signals"] {
            let mut command = unshare();
            let output = limited(inheriting(command.args([option, "perl", "-e", dies]), &inherited));
            let by = output.status.signal();
            assert_eq!(by, Some(Signal::SIGTERM as i32), "{option} {inherited:?}: {:?}", output.status);
        }
    }
}

/// Unlike nsenter, it does not stop with its child.
#[test]
fn a_child_that_stops_is_waited_for() {
    if !possible("unshare-stops") {
        return;
    }
    let script = "{ until grep -q '^State:.T' /proc/$$/status; do :; done; \
                  grep ^State: /proc/$PPID/status; kill -CONT $$; } & kill -STOP $$; wait; exit 4";
    for option in ["-f", "--kill-child", "--forward-signals"] {
        let output = limited(unshare().args([option, "sh", "-c", script]));
        assert_eq!(output.status.code(), Some(4), "{option} {}", stderr(&output));
        assert!(!stdout(&output).contains('T'), "{option} {}", stdout(&output));
    }
}

/// A command that fails leaves no process.
fn fails(command: &mut Command, status: i32) {
    let (child, leash) = Leash::start(command.stderr(std::process::Stdio::null()));
    let child = common::Running(child);
    leash.ends();
    let ended = change_of(child.pid());
    assert_eq!(ended, WaitStatus::Exited(Pid::from_raw(child.pid()), status), "{command:?}");
}

/// The helpers of the reference tool wait for a message that never comes.
#[test]
fn no_helper_is_left_behind() {
    if !possible("unshare-helpers") {
        return;
    }
    let public = Public::new("unshare-helpers");
    let file = public.at("file");
    std::fs::write(&file, "").expect("a file");
    let kept = |kind: &str| format!("--{kind}={}", file.display());
    let maps = ["--map-users=0:0:2", "--map-groups=0:0:2"];
    for user in [UNPRIVILEGED_UID, STRANGER] {
        fails(public.unshare(user).args(["--owner=65534:65534", "-r", "true"]), 1);
        fails(public.unshare(user).args(["--owner=65534:65534", "true"]).args([&kept("user")]), 1);
        fails(public.unshare(user).arg(kept("mount")).arg("true"), 1);
        fails(public.unshare(user).arg(kept("mount")).args(["-f", "sleep", "1000"]), 1);
    }
    // The kernel refuses: no namespace of that kind may be made below this user namespace.
    let none = "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$@\"";
    let refused = |args: &[&str]| {
        let mut command = unshare();
        command.args(["--map-users=0:0:10", "--map-groups=0:0:10", "sh", "-c", none, "sh"]);
        command.arg(common::binary()).args(["unshare", "-n"]).args(args);
        command
    };
    let message = limited(refused(&["true"]).stdin(std::process::Stdio::null()));
    assert_eq!(stderr(&message), "unshare: unshare failed: No space left on device\n");
    fails(refused(&maps).args(["sleep", "1000"]), 1);
    fails(refused(&maps).args(["-f", "sleep", "1000"]), 1);
    fails(refused(&[&kept("mount"), "sleep", "1000"]).args(["-f"]), 1);
    fails(refused(&[&kept("user"), maps[0], maps[1], "--kill-child"]).args(["sleep", "1000"]), 1);
    // Its clock or its map is refused.
    fails(unshare().args(["-T", "--monotonic=999999999999", &kept("mount"), "sleep", "1000"]), 1);
    fails(unshare().args(maps).args([maps[0], &kept("user"), "-f", "sleep", "1000"]), 1);
}

#[test]
fn nothing_runs_when_a_namespace_cannot_be_kept() {
    if !possible("unshare-cannot-keep") {
        return;
    }
    for (kind, link) in [("net", "net"), ("uts", "uts"), ("pid", "pid_for_children"), ("user", "user")] {
        let missing = format!("--{kind}=/no/such/file");
        let why = format!("mount /proc/PID/ns/{link} on /no/such/file failed: No such file or directory");
        for options in [&["-f"][..], &["--kill-child"], &["--forward-signals"], &["-f", "-m"], &["-f", "-r"]]
        {
            fails(unshare().arg(&missing).args(options).args(["sleep", "1000"]), 1);
            let mut command = unshare();
            command.arg(&missing).args(options).args(["sleep", "1000"]);
            assert_eq!(failure(&mut command), refused(&why), "{options:?}");
        }
        if kind != "pid" {
            assert_eq!(failure(unshare().args([&missing, "echo", "x"])), refused(&why), "{kind}");
        }
    }
}
