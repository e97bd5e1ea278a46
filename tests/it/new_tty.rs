//! Interactive sessions: keys that interrupt and stop, changes and loss of the window; on the program's own
//! terminal (`--new-tty`), and on the caller's.

use crate::common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::common::nsenter::of;
use crate::common::process::{Holder, change_of, fed, limited, namespaces};
use crate::common::terminal::Terminal;
use crate::common::unshare::unshare;
use crate::common::{skip, stderr, stdout, there, until};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, pipe2};

/// Prints when it runs and when it continues: an earlier key would be lost. It waits busily, because a shell acts
/// late on a signal that comes just before it waits for something else.
const WAITS: &str = "trap 'echo back' CONT; echo ready; while :; do :; done";

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
}

fn own(holder: &Holder, program: &[&str]) -> Command {
    let mut command = of(holder);
    command.args(["-u", "--new-tty"]).args(program).env("PS1", "> ").env_remove("ENV");
    command
}

fn script(text: &str) -> [&str; 3] {
    ["sh", "-c", text]
}

#[test]
fn a_new_terminal_like_the_callers() {
    if !namespaces("new-tty") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    let mut terminal = Terminal::new();
    let shows = "stty size; tty; tty </dev/tty; ls -l /proc/self/fd; ps -o tty=,sid=,pid= -p $$; exit 7";
    let mut child = terminal.start(&mut own(&holder, &script(shows)));
    let (status, seen) = terminal.end_of(&mut child);
    assert_eq!(status.code(), Some(7), "{seen}");
    assert!(seen.starts_with("31 101\r\n/dev/pts/"), "{seen}");
    let ours = terminal.name();
    assert!(
        !seen.lines().any(|line| line.trim_end().ends_with(&format!("-> {ours}")) || line.trim_end() == ours),
        "{seen}"
    );
    let session: Vec<&str> = seen.lines().last().expect("a line").split_whitespace().collect();
    assert!(session[0].starts_with("pts/") && session[1] == session[2], "it leads its session: {seen}");
}

#[test]
fn in_a_container_it_is_the_containers() {
    if !namespaces("new-tty-inside") {
        return;
    }
    let setup =
        "mount -t devpts -o newinstance,ptmxmode=666 none /dev/pts && mount --bind /dev/pts/ptmx /dev/ptmx";
    let holder = Holder::new(&["-m"], setup);
    let mut terminal = Terminal::new();
    let mut command = of(&holder);
    let mut child = terminal.start(command.args(["-m", "--new-tty"]).args(script("tty; ls /dev/pts")));
    let (status, seen) = terminal.end_of(&mut child);
    assert_eq!(
        (status.code(), seen.as_str()),
        (Some(0), "/dev/pts/0\r\n0\tptmx\r\n".replace('\t', "  ").as_str())
    );
}

/// A device in place of ptmx that is no ptmx is not opened.
#[test]
fn other_files_than_terminals_are_left_alone() {
    if !namespaces("new-tty-hostile") {
        return;
    }
    let scratch = common::Scratch::new("new-tty-hostile");
    let fifo = scratch.0.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a fifo");
    let setup = format!("mount -t tmpfs none /dev/pts && mount --bind {} /dev/ptmx", fifo.display());
    let holder = Holder::new(&["-m"], &setup);
    let mut terminal = Terminal::new();
    let mut command = of(&holder);
    let mut child = terminal.start(command.args(["-m", "--new-tty"]).args(script("test -t 0 && echo yes")));
    let (status, seen) = terminal.end_of(&mut child);
    assert_eq!((status.code(), seen.as_str()), (Some(0), "yes\r\n"));
}

#[test]
fn keys_interrupt_stop_and_end() {
    if !namespaces("new-tty-keys") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    // The program gets the signal, nsenter does not.
    let mut terminal = Terminal::new();
    let waits = "trap 'echo told; exit 5' INT; echo ready; while :; do :; done";
    let mut child = terminal.start(&mut own(&holder, &script(waits)));
    terminal.until("ready");
    assert!(terminal.is_raw());
    terminal.types("\x03");
    terminal.until("told");
    assert_eq!(terminal.end_of(&mut child).0.code(), Some(5));
    assert!(!terminal.is_raw());
    // The key kills the program, and nsenter dies of the same signal.
    let mut child = terminal.start(&mut own(&holder, &script("echo ready; exec sleep 1000")));
    terminal.until("ready");
    terminal.types("\x03");
    assert_eq!(terminal.end_of(&mut child).0.signal(), Some(Signal::SIGINT as i32));
    // The end of input.
    let mut child = terminal.start(&mut own(&holder, &["cat"]));
    terminal.becomes_raw(true);
    terminal.types("one\n");
    terminal.until("one\r\none\r\n"); // echoed, and by cat
    terminal.types("\x04");
    assert_eq!(terminal.end_of(&mut child).0.code(), Some(0));
}

#[test]
fn jobs_in_a_shell_inside() {
    if !namespaces("new-tty-jobs") {
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    for new in [true, false] {
        let mut terminal = Terminal::new();
        let mut command = of(&holder);
        command.args(["-u", "-p"]).args(new.then_some("--new-tty")).args(["sh", "-i"]);
        let mut child = terminal.start(command.env("PS1", "> ").env("WAITS", WAITS).env_remove("ENV"));
        terminal.until("> ");
        terminal.types("sh -c \"$WAITS\"\n");
        terminal.until("ready");
        terminal.types("\x1a");
        terminal.until("Stopped");
        terminal.types("fg\n");
        terminal.until("back");
        terminal.types("\x03");
        terminal.until("> ");
        terminal.types("exit 9\n");
        let (status, seen) = terminal.end_of(&mut child);
        assert_eq!(status.code(), Some(9), "--new-tty {new}: {seen}");
        assert!(!seen.contains("annot"), "--new-tty {new}: {seen}");
    }
}

/// Process 1 of a new pid namespace, as `unshare -fp sh` starts it: its process group has no number inside.
#[test]
fn a_shell_that_is_process_1_keeps_its_status() {
    if !namespaces("interactive-unshare") {
        return;
    }
    let mut terminal = Terminal::new();
    let mut command = unshare();
    let mut child =
        terminal.start(command.args(["-fp", "--kill-child", "sh"]).env("PS1", "> ").env_remove("ENV"));
    terminal.until("> ");
    terminal.types("sh -c 'echo rea''dy; exec sleep 1000'\n");
    terminal.until("ready");
    terminal.types("\x03");
    terminal.until("> ");
    terminal.types("exit 9\n");
    let (status, seen) = terminal.end_of(&mut child);
    assert_eq!(status.code(), Some(9), "{seen}");
    assert!(!seen.contains("annot"), "{seen}");
}

/// A shell with job control, and nsenter as its job: stopped by a key and continued, it stays continued.
#[test]
fn stopped_by_a_key_and_back() {
    if !namespaces("interactive-stop") {
        return;
    }
    if !there("bash") {
        skip("bash", "it is not installed");
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    let mut terminal = Terminal::new();
    let mut bash = common::program("bash");
    let job = "\"$BOX\" nsenter -t \"$TARGET\" -u -p sh -c \"$WAITS\"";
    bash.args(["--norc", "--noprofile", "-i"]).env("PS1", "> ").env("TARGET", holder.pid.to_string());
    bash.env("BOX", common::binary()).env("WAITS", WAITS).env("TERM", "dumb");
    let mut child = terminal.start(&mut bash);
    terminal.until("> ");
    // In a pipeline the shell and nsenter both continue it: one continuation is enough for the check.
    for (end, times) in [("", 3), (" | cat", 1)] {
        terminal.types(&format!("{job}{end}\n"));
        terminal.until("ready");
        for _ in 0..times {
            terminal.types("\x1a");
            terminal.until("Stopped");
            terminal.until("> ");
            terminal.types("fg\n");
            let seen = terminal.until("back");
            assert!(!seen.contains("Stopped"), "{seen}");
        }
        terminal.types("\x03");
        terminal.until("> ");
        terminal.types("jobs; echo no''ne\n");
        let jobs = terminal.until("none");
        assert!(!jobs.contains("Stopped"), "{jobs}");
        terminal.until("> ");
    }
    terminal.types("exit 3\n");
    assert_eq!(terminal.end_of(&mut child).0.code(), Some(3));
}

#[test]
fn the_size_of_the_window_is_passed_on() {
    if !namespaces("new-tty-size") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    let mut terminal = Terminal::new();
    let waits = "trap 'stty size; exit 0' WINCH; echo ready; while :; do :; done";
    let mut child = terminal.start(&mut own(&holder, &script(waits)));
    terminal.until("ready");
    terminal.resize(17, 77);
    terminal.until("17 77");
    assert_eq!(terminal.end_of(&mut child).0.code(), Some(0));
}

#[test]
fn the_callers_terminal_is_restored() {
    if !namespaces("new-tty-restored") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    for signal in
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGALRM]
    {
        let mut terminal = Terminal::new();
        let before = terminal.settings();
        let mut child =
            terminal.start(&mut own(&holder, &script("ulimit -c 0; echo ready; exec sleep 1000")));
        terminal.until("ready");
        assert!(terminal.is_raw());
        kill(pid(&child), signal).expect("a signal");
        let (status, _) = terminal.end_of(&mut child);
        assert_eq!(status.signal(), Some(signal as i32));
        assert_eq!(terminal.settings(), before, "{signal}");
    }
    // Also when the program cannot be started, and when it stops nsenter.
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut child = terminal.start(&mut own(&holder, &["/no/such/program"]));
    let (status, seen) = terminal.end_of(&mut child);
    assert_eq!(status.code(), Some(127));
    assert!(seen.contains("failed to execute /no/such/program"), "{seen}");
    assert_eq!(terminal.settings(), before);
    let mut child = terminal
        .start(&mut own(&holder, &script("echo ready; kill -STOP $$; echo on; read -r word; exit 4")));
    terminal.until("ready");
    assert_eq!(change_of(pid(&child).as_raw()), WaitStatus::Stopped(pid(&child), Signal::SIGSTOP));
    assert_eq!(terminal.settings(), before);
    kill(pid(&child), Signal::SIGCONT).expect("a signal");
    terminal.until("on");
    terminal.becomes_raw(true);
    terminal.types("word\n");
    assert_eq!(terminal.end_of(&mut child).0.code(), Some(4));
    assert_eq!(terminal.settings(), before);
}

#[test]
fn a_window_that_is_closed_ends_all() {
    if !namespaces("new-tty-hang-up") {
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    for options in [&["--new-tty"][..], &[]] {
        let mut terminal = Terminal::new();
        let mut command = of(&holder);
        command.args(["-u", "-p"]).args(options).args(["sh", "-c", "echo $$; exec sleep 1000"]);
        let child = common::Running(terminal.start(&mut command));
        let inside: i32 = terminal.until("\r\n").trim().parse().expect("a pid");
        let there = |pid: i32| {
            let shown = format!("kill -0 {pid}");
            limited(of(&holder).args(["-p"]).args(script(&shown))).status.success()
        };
        assert!(there(inside));
        terminal.hang_up();
        drop(terminal);
        match change_of(child.pid()) {
            WaitStatus::Signaled(_, Signal::SIGHUP, _) => {}
            other => panic!("{options:?}: {other:?}"),
        }
        until(&format!("{options:?}: the program ends"), || !there(inside));
    }
}

#[test]
fn all_is_shown_that_was_written() {
    if !namespaces("new-tty-drain") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    let mut terminal = Terminal::new();
    let mut child = terminal.start(&mut own(&holder, &["seq", "1", "40000"]));
    let (status, seen) = terminal.end_of(&mut child);
    let expected: String = (1..=40000).map(|n| format!("{n}\r\n")).collect();
    assert!(status.success() && seen == expected, "{} of {} bytes", seen.len(), expected.len());
    // Processes that still have it open are not waited for.
    let mut child = terminal.start(&mut own(&holder, &script("trap '' HUP; sleep 1000 & echo $!")));
    let (status, seen) = terminal.end_of(&mut child);
    assert!(status.success(), "{seen}");
    let left = seen.trim().parse().expect("a pid");
    kill(Pid::from_raw(left), Signal::SIGKILL).expect("it runs on, as it wanted");
}

#[test]
fn pipes_stay_pipes_and_without_a_terminal_one_is_made() {
    if !namespaces("new-tty-pipes") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    let all = "for fd in 0 1 2; do test -t $fd && echo $fd; done; read -r word; echo $word";
    let output = fed(&mut own(&holder, &script(all)), Some(b"word\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    // The terminal echoes the input at some time.
    let seen = stdout(&output);
    assert_eq!(seen.replacen("word\r\n", "", 1), "0\r\n1\r\n2\r\nword\r\n");
    let output = fed(&mut own(&holder, &["cat"]), Some(b"unfinished"));
    assert!(output.status.success() && stdout(&output).ends_with("unfinished"), "{}", stdout(&output));
    let output = limited(own(&holder, &script("kill -KILL $$")).stdin(Stdio::null()));
    assert_eq!(output.status.signal(), Some(9));
    // stdout is a pipe, the others are a terminal: it stays one.
    let mut terminal = Terminal::new();
    let mut command = own(&holder, &script("test -t 0 && test -t 2 && ! test -t 1 && echo piped"));
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let mut child = terminal.start_with_stdout(&mut command, writer.into());
    drop(command);
    let (status, seen) = terminal.end_of(&mut child);
    assert_eq!(std::io::read_to_string(std::fs::File::from(reader)).expect("text"), "piped\n");
    assert!(status.success() && seen.is_empty(), "{seen}");
}

#[test]
fn with_no_fork_it_makes_no_sense() {
    let mut command = common::applet("nsenter");
    let output = limited(command.args(["-t", "1", "-u", "-F", "--new-tty", "true"]));
    assert_eq!(stderr(&output), "nsenter: options --no-fork and --new-tty cannot be combined\n");
    assert_eq!(output.status.code(), Some(1));
}
