//! `ctr-ps --watch` on a terminal.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::ctr_ps::{Host, of};
use crate::common::terminal::Terminal;

#[test]
fn only_what_changes_is_drawn_and_q_ends_it() {
    let host = Host::new("watch");
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut child = terminal
        .start(of(host.root()).args(["--watch=0.1", "--color=never", "-o", "pid,cmd"]).env("TERM", "xterm"));
    let first = terminal.until("prog");
    assert!(first.contains("\x1b[?1049h") && first.contains("Every 0.1s: ctr-ps --root "), "{first:?}");
    assert!(first.contains("\x1b[3;1HPID CMD"), "{first:?}");
    // A new process: the lines before it stay as they are.
    host.process(7, 1, "/init.scope", b"x\0");
    let next = terminal.until("7 prog");
    assert!(!next.contains("PID CMD") && next.contains("\x1b[5;1H"), "{next:?}");
    // Another size: all is drawn again.
    terminal.resize(20, 60);
    let resized = terminal.until("7 prog");
    assert!(resized.contains("\x1b[2J") && resized.contains("PID CMD"), "{resized:?}");
    terminal.types("q");
    let (status, rest) = terminal.end_of(&mut child);
    assert_eq!(status.code(), Some(0));
    assert!(rest.ends_with("\x1b[?1049l"), "{rest:?}");
    assert_eq!(terminal.settings().local_flags, before.local_flags);
}

#[test]
fn texts_of_others_move_no_cursor() {
    let host = Host::new("watch-hostile");
    host.named(7, 1, b"n\x1b[2J", "/init.scope", b"");
    host.named(8, 1, b"esc\x1b]0;owned\x07\x1b[2J", "/init.scope", b"");
    host.process(9, 1, "/init.scope", "\x1b]0;owned\x07\u{202e}\r\nlast\0".as_bytes());
    let mut terminal = Terminal::new();
    let mut child = terminal.start(
        of(host.root()).args(["--watch=0.1", "--color=never", "-o", "pid,cmd,command"]).env("TERM", "xterm"),
    );
    let first = terminal.until("last");
    for sequence in ["\x1b]0;", "\x07", "\u{202e}", "esc\x1b"] {
        assert!(!first.contains(sequence), "{sequence:?} in {first:?}");
    }
    terminal.types("q");
    assert_eq!(terminal.end_of(&mut child).0.code(), Some(0));
}

#[test]
fn a_signal_restores_the_terminal() {
    let host = Host::new("watch-signal");
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut child = terminal.start(of(host.root()).arg("--watch=0.1").env("TERM", "xterm"));
    terminal.until("/sbin/init");
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGTERM).expect("sent");
    let (_, rest) = terminal.end_of(&mut child);
    assert!(rest.ends_with("\x1b[?1049l"), "{rest:?}");
    assert_eq!(terminal.settings().local_flags, before.local_flags);
}
