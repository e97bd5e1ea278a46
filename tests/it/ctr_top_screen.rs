//! `ctr-top` on a terminal.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use crate::common::ctr_ps::{DB, Host, scope, state};
use crate::common::ctr_top::{ctr_top, v2, write};
use crate::common::process::{change_of, children};
use crate::common::terminal::Terminal;
use crate::common::{program, until};

fn start(terminal: &Terminal, host: &Host, arguments: &[&str]) -> std::process::Child {
    terminal.start(ctr_top(host).args(["-d", "0.2", "--color=never"]).args(arguments).env("TERM", "xterm"))
}

fn pid(child: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
}

#[test]
fn the_screen_obeys_keys_and_is_left_as_it_was() {
    let host = v2("top-screen");
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut child = terminal.start(ctr_top(&host).args(["-d", "0.2", "--color=never"]).env("TERM", "xterm"));
    let first = terminal.until("docker:web");
    assert!(first.contains("\x1b[?1049h") && first.contains("sorted by cpu"), "{first:?}");
    terminal.types("m");
    terminal.until("sorted by mem");
    terminal.types("/zzz\n");
    terminal.until("/zzz");
    terminal.types("/WEB\n");
    terminal.until("docker:web");
    // A container that starts and one that ends are no error.
    host.docker(DB, state("db", 20));
    write(&host, &scope(DB), &[("cpu.stat", "usage_usec 5\n")]);
    host.process(20, 1, &scope(DB), b"db\0");
    terminal.types("/\n");
    terminal.until("docker:db");
    std::fs::remove_dir_all(host.root().join("proc/20")).expect("removed");
    terminal.until("  1 container ");
    terminal.types("q");
    let (status, rest) = terminal.end_of(&mut child);
    assert_eq!(status.code(), Some(0));
    assert!(rest.ends_with("\x1b[?1049l"), "{rest:?}");
    assert_eq!(terminal.settings(), before);
    let mut child = terminal.start(ctr_top(&host).args(["-d", "0.2"]).env("TERM", "xterm"));
    terminal.until("docker:web");
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGTERM).expect("sent");
    let (_, rest) = terminal.end_of(&mut child);
    assert!(rest.ends_with("\x1b[?1049l"), "{rest:?}");
    assert_eq!(terminal.settings(), before);
}

/// No line of a batch is longer than the terminal is wide, unless that is wanted. What gives way was asked for: it is named.
#[test]
fn a_batch_fits_the_terminal() {
    let host = v2("top-columns");
    let columns = "container,mem,cpus_by,limit_by,pids,image,id";
    let shown = |more: &[&str]| {
        let mut terminal = Terminal::new();
        terminal.resize(24, 40);
        let command = &mut ctr_top(&host);
        command.env("CTRBOX_HINTS", "always").args(["-b", "-n1", "-d0.1", "--color=never", "-o", columns]);
        let (status, shown) = terminal.end_of(&mut terminal.start(command.args(more)));
        assert_eq!(status.code(), Some(0), "{shown}");
        let heading = shown.lines().find(|line| line.starts_with("CONTAINER")).expect("a heading");
        let heading = heading.split_whitespace().collect::<Vec<_>>().join(",").to_lowercase();
        (heading, shown)
    };
    let (heading, text) = shown(&[]);
    assert_eq!(heading, "container,memory,cpus_by");
    assert!(text.lines().all(|line| line.trim_end().len() <= 40), "{text}");
    let hint = "hint: no room for LIMIT_BY, PIDS, IMAGE,\nID; -w shows all columns\n";
    assert_eq!(text.replace('\r', "").matches(hint).count(), 1, "{text}");
    for option in ["-w", "--wide", "--no-trunc"] {
        let (heading, text) = shown(&[option]);
        assert_eq!(heading, columns.replace("mem", "memory"), "{option}");
        assert!(!text.contains("hint: "), "{text}");
    }
}

/// A dumb terminal has no screen. With a count the last table stays in both.
#[test]
fn the_last_table_of_a_count_stays_on_the_terminal() {
    const LEAVE: &str = "\x1b[?1049l";
    let host = v2("top-stays");
    for (term, has_screen) in [("dumb", false), ("xterm", true)] {
        let mut terminal = Terminal::new();
        let command = &mut ctr_top(&host);
        command.env("TERM", term).args(["-n1", "-d0.1", "--color=never", "-o", "container,memory"]);
        let (status, shown) = terminal.end_of(&mut terminal.start(command));
        assert_eq!(status.code(), Some(0), "{shown}");
        assert_eq!(shown.contains(LEAVE), has_screen, "{shown:?}");
        assert!(has_screen || !shown.contains('\x1b'), "{shown:?}");
        let last = shown.rsplit(LEAVE).next().unwrap_or_default();
        assert!(last.contains("sorted by cpu") && last.contains("docker:web   3.9M"), "{last:?}");
    }
}

#[test]
fn enter_shows_ctr_inspect_from_its_top_and_a_key_comes_back() {
    let host = v2("top-inspect");
    let mut terminal = Terminal::new();
    let mut child = start(&terminal, &host, &["-s", "name"]);
    terminal.until("docker:web");
    terminal.until("host");
    // The first row without a selected one.
    terminal.types("\r");
    let title = terminal.until("docker:web  aeb29a15315a");
    assert!(title.contains("ctr-inspect docker:web  ("), "{title:?}");
    terminal.types("q");
    terminal.until("sorted by name");
    // The first key selects the first row.
    terminal.types("\x1b[B");
    let line = terminal.until("\x1b[27m");
    assert!(line.contains("\x1b[7mdocker:web"), "{line:?}");
    // The host is the second row, and no container: its first process stands for it.
    terminal.types("\x1b[B");
    let line = terminal.until("\x1b[27m");
    assert!(line.contains("\x1b[7mhost"), "{line:?}");
    terminal.types("\r");
    let inspected = terminal.until("host process  running  pid 1");
    assert!(!inspected.contains("ctr-inspect:"), "{inspected:?}");
    terminal.types("x");
    let line = terminal.until("\x1b[27m");
    assert!(line.contains("\x1b[7mhost"), "{line:?}");
    terminal.types("q");
    let (status, rest) = terminal.end_of(&mut child);
    assert!(status.success(), "{rest:?}");
}

/// What does not fit is shown page by page, in the width of the terminal.
#[test]
fn a_long_report_and_the_keys_on_a_small_screen() {
    let host = v2("top-pages");
    let mut terminal = Terminal::new();
    terminal.resize(10, 40);
    let mut child = start(&terminal, &host, &["web"]);
    terminal.until("docker:web");
    terminal.types("\r");
    let top = terminal.until("  lines 1-9 of ");
    assert!(top.contains("ctr-inspect docker:web"), "{top:?}");
    let count = terminal.until("\x1b[").replace("\x1b[", "");
    terminal.until("docker:web  aeb29a15315a");
    terminal.types("\x1b[F");
    terminal.until(&format!("-{count} of {count}"));
    terminal.types("\x1b[1~");
    terminal.until("  lines 1-9 of ");
    terminal.types(" ");
    terminal.until("  lines 10-");
    terminal.types("\r");
    terminal.until("sorted by cpu");
    terminal.types("?");
    terminal.until("  lines 1-9 of ");
    terminal.types("q");
    terminal.until("docker:web");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

/// What an ordinary user does not see is said until a key is pressed.
#[test]
fn a_user_reads_that_names_are_missing() {
    if !crate::common::root() {
        return crate::common::skip("root", "needs root, to be another user");
    }
    let mut terminal = Terminal::new();
    let mut command = program("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(crate::common::binary());
    command.args(["ctr-top", "-d", "0.2", "--color=never"]).env("TERM", "xterm");
    let mut child = terminal.start(&mut command);
    terminal.until("\x1b[31;1Hhint: not shown: namespaces and container names of other users");
    terminal.types("m");
    terminal.until("sorted by mem");
    let (mut later, mut count) = (String::new(), 0);
    while count < 3 {
        later += &terminal.until("\x1b[1;1H");
        count += 1;
    }
    assert!(!later.contains("hint:"), "{later:?}");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

/// The style of a cell does not end the mark of the selected row.
#[test]
fn the_whole_selected_row_is_marked() {
    let host = v2("top-selected");
    let mut terminal = Terminal::new();
    let mut child = start(&terminal, &host, &["--color=always", "-o", "container,limit,cpu", "-s", "name"]);
    terminal.until("host");
    terminal.types("\x1b[F");
    let row = terminal.until("\x1b[27m");
    let row = &row[row.find("\x1b[7m").expect("the row")..];
    for (at, _) in row.match_indices("\x1b[0m") {
        assert!(row[at..].starts_with("\x1b[0m\x1b[7m"), "{row:?}");
    }
    assert!(row.contains("\x1b[0m"), "{row:?}");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

/// The next process with the PID of one that ended is another one.
#[test]
fn enter_does_not_show_another_process_with_the_same_pid() {
    let host = v2("top-inspect-recycled");
    let stat =
        |start: u64| format!("10 (prog) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 3 0 {start} 4096 10 0\n");
    host.file("proc/10/stat", stat(500));
    let mut terminal = Terminal::new();
    let mut child = start(&terminal, &host, &["web"]);
    terminal.until("docker:web");
    terminal.types("\r");
    terminal.until("docker:web  aeb29a15315a");
    terminal.types("q");
    terminal.until("docker:web");
    host.file("proc/10/stat", stat(501));
    terminal.types("\r");
    let inspected = terminal.until("docker:web has ended");
    assert!(!inspected.contains("aeb29a15315a"), "{inspected:?}");
    terminal.types("q");
    terminal.until("docker:web");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

/// The row of a pod means its containers, not another pod of that name.
#[test]
fn enter_shows_the_containers_of_a_pod() {
    let mut terminal = Terminal::new();
    let root = crate::common::project("tests/fixtures/hybrid/root");
    let mut command = crate::common::applet("ctr-top");
    command.arg("--root").arg(root).args(["-d", "0.2", "--color=never", "-s", "name", "--per", "pod"]);
    let mut child = terminal.start(command.env("TERM", "xterm"));
    terminal.until("k8s:shop-ns/shop");
    terminal.types("/shop-ns/shop\n");
    terminal.until("/shop-ns/shop  ");
    terminal.types("\r");
    let inspected = terminal.until("k8s:shop-ns/shop/sidecar  ");
    assert!(inspected.contains("k8s:shop-ns/shop/web  "), "{inspected:?}");
    assert!(!inspected.contains("k8s:shop-ns/shop/POD "), "{inspected:?}");
    terminal.types("q");
    terminal.until("sorted by name");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

#[test]
fn a_stop_while_ctr_inspect_is_on_the_screen() {
    let host = v2("top-inspect-stop");
    let mut terminal = Terminal::new();
    let mut child = start(&terminal, &host, &[]);
    terminal.until("docker:web");
    terminal.types("\r");
    terminal.until("docker:web  aeb29a15315a");
    kill(pid(&child), Signal::SIGTSTP).expect("sent");
    assert_eq!(change_of(pid(&child).as_raw()), WaitStatus::Stopped(pid(&child), Signal::SIGSTOP));
    terminal.becomes_raw(false);
    kill(pid(&child), Signal::SIGCONT).expect("sent");
    let again = terminal.until("docker:web  aeb29a15315a");
    assert!(again.contains("\x1b[?1049h"), "{again:?}");
    terminal.becomes_raw(true);
    terminal.types("q");
    terminal.until("docker:web");
    // A stop that no handler sees: another program may have written on the terminal.
    kill(pid(&child), Signal::SIGSTOP).expect("sent");
    assert_eq!(change_of(pid(&child).as_raw()), WaitStatus::Stopped(pid(&child), Signal::SIGSTOP));
    kill(pid(&child), Signal::SIGCONT).expect("sent");
    terminal.until("\x1b[?1049h");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

/// It writes nothing where a shell reads commands, and has the keys again in the foreground.
#[test]
fn in_the_background_it_stops() {
    let host = v2("top-background");
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut command = program("sh");
    command.args(["-c", "set -m; \"$@\" & read -r line; echo then; fg >/dev/null", "sh"]);
    command.arg(crate::common::binary()).args(["ctr-top", "--root"]).arg(host.root());
    let mut shell = terminal.start(command.args(["-d", "0.2", "--color=never"]).env("TERM", "xterm"));
    until("it stops", || {
        let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        children(pid(&shell).as_raw()).iter().any(|pid| stat(*pid).contains(") T "))
    });
    terminal.types("\n");
    let silent = terminal.until("then\r\n");
    assert!(!silent.contains('\x1b'), "{silent:?}");
    terminal.until("docker:web");
    terminal.becomes_raw(true);
    terminal.types("q");
    assert!(terminal.end_of(&mut shell).0.success());
    assert_eq!(terminal.settings(), before);
}

/// timeout(1) makes a process group that no shell brings to the foreground.
#[test]
fn in_a_group_that_is_no_job_it_draws_without_keys() {
    let host = v2("top-group");
    let mut terminal = Terminal::new();
    let mut command = program("sh");
    command.args(["-c", "timeout 60 \"$@\"; echo ended $?", "sh"]).arg(crate::common::binary());
    command.args(["ctr-top", "--root"]).arg(host.root()).args(["-n", "1", "-d", "0.2", "--color=never"]);
    let mut shell = terminal.start(command.env("TERM", "xterm"));
    terminal.until("docker:web");
    terminal.until("ended 0");
    assert!(terminal.end_of(&mut shell).0.success());
}

#[test]
fn keys_are_listed_and_the_order_is_on_a_narrow_screen() {
    let host = v2("top-keys");
    let mut terminal = Terminal::new();
    terminal.resize(24, 40);
    let mut child = start(&terminal, &host, &["-s", "-pids"]);
    terminal.until("docker:web");
    terminal.types("f/web\n");
    terminal.until("sorted by -pids  tree  /web\x1b[K");
    terminal.types("?\x1b[F");
    terminal.until("end ctr-top");
    terminal.types("q");
    terminal.until("docker:web");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

#[test]
fn a_tree_of_pods_and_a_resize() {
    let mut terminal = Terminal::new();
    let root = crate::common::project("tests/fixtures/hybrid/root");
    let mut command = crate::common::applet("ctr-top");
    command.arg("--root").arg(root).args(["-d", "0.2", "--color=never", "-s", "name"]);
    let mut child = terminal.start(command.env("TERM", "xterm").env("LC_ALL", "C"));
    terminal.until("docker:rt-web");
    terminal.types("f");
    terminal.until("sorted by name  tree");
    terminal.until("k8s:shop-ns/shop ");
    terminal.until("|- POD ");
    terminal.until("`- web ");
    // A row that fits stays with those above it.
    terminal.types("/sidecar\n");
    let found = terminal.until("- sidecar ");
    assert!(found.contains("k8s:shop-ns/shop "), "{found:?}");
    terminal.types("\x1b");
    terminal.until("docker:rt-web");
    // The selected row stays on a small screen.
    terminal.types("\x1b[F");
    terminal.until("\x1b[27m");
    terminal.resize(4, 60);
    terminal.until("\x1b[2J");
    let small = terminal.until("\x1b[27m");
    assert!(small.contains("\x1b[4;1H") && !small.contains("\x1b[5;1H"), "{small:?}");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

/// SIGABRT is what a panic ends with.
#[test]
fn signals_leave_the_terminal_as_it_was() {
    let host = v2("top-signals");
    use Signal::{SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGPIPE, SIGSEGV, SIGTERM, SIGUSR1, SIGXCPU};
    let signals = [SIGTERM, SIGHUP, SIGABRT, SIGINT, SIGUSR1, SIGALRM, SIGPIPE, SIGXCPU, SIGSEGV];
    // Real-time signals too.
    for signal in signals.map(|signal| signal as i32).into_iter().chain([40, 64]) {
        let mut terminal = Terminal::new();
        let before = terminal.settings();
        let mut child = start(&terminal, &host, &[]);
        terminal.until("docker:web");
        let sent = program("kill").args([&format!("-{signal}"), &pid(&child).to_string()]).status();
        assert!(sent.expect("kill(1)").success());
        let (status, rest) = terminal.end_of(&mut child);
        assert!(
            !status.success() && rest.ends_with("\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l"),
            "{signal}: {rest:?}"
        );
        assert_eq!(terminal.settings(), before, "{signal}");
    }
    let mut terminal = Terminal::new();
    let mut child = start(&terminal, &host, &[]);
    terminal.until("docker:web");
    kill(pid(&child), Signal::SIGTSTP).expect("sent");
    assert_eq!(change_of(pid(&child).as_raw()), WaitStatus::Stopped(pid(&child), Signal::SIGSTOP));
    terminal.until("\x1b[?1049l");
    terminal.becomes_raw(false);
    kill(pid(&child), Signal::SIGCONT).expect("sent");
    let again = terminal.until("docker:web");
    assert!(again.contains("\x1b[?1049h"), "{again:?}");
    terminal.becomes_raw(true);
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}

/// On a slow line, what stays the same is not written again.
#[test]
fn only_lines_that_change_are_written() {
    let host = v2("top-changes");
    for number in 0..20 {
        let id = format!("{number:064x}");
        host.docker(&id, state(&format!("c{number}"), 100 + number));
        host.process(100 + number, 1, &scope(&id), b"x\0");
        write(&host, &scope(&id), &[("cpu.stat", "usage_usec 5\n"), ("pids.current", "1\n")]);
    }
    let mut terminal = Terminal::new();
    let mut child = start(&terminal, &host, &["-s", "name", "-o", "container,pids"]);
    terminal.until("docker:web");
    // The time, in the line of the host.
    terminal.until("\x1b[1;1H");
    write(&host, &scope(&format!("{:064x}", 7)), &[("pids.current", "4711\n")]);
    let changed = terminal.until("4711");
    assert!(changed.contains("docker:c7") && !changed.contains("docker:c8"), "{changed:?}");
    terminal.types("q");
    assert!(terminal.end_of(&mut child).0.success());
}
