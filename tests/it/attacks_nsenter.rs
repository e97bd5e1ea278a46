//! Attacks of a container on nsenter: files of the container that lead elsewhere, terminals, signals, PIDs
//! that another process gets.

use crate::common;

use std::path::Path;

use crate::common::nsenter::{in_scratch, of, script};
use crate::common::process::{Holder, fed, limited, namespaces};
use crate::common::terminal::Terminal;
use crate::common::{Scratch, program, skip, stderr, stdout, there, until};

/// The mounts of a process, to see that an attack left none.
fn mounts(holder: &Holder) -> String {
    std::fs::read_to_string(holder.file("mountinfo")).expect("its mounts")
}

/// The class of CVE-2025-31133, -52565 and -52881: what is written for the program (security label,
/// oom_score_adj, control groups) must not be redirected by what the container mounts over /proc.
#[test]
fn a_forged_proc_is_not_written_to() {
    if !namespaces("attacks-made-up-proc") {
        return;
    }
    let scratch = Scratch::new("attacks-made-up-proc");
    let fake = in_scratch(&scratch, "fake");
    for directory in ["attr/apparmor", "fd"] {
        std::fs::create_dir_all(format!("{fake}/self/{directory}")).expect("a directory");
    }
    let files =
        ["oom_score_adj", "attr/exec", "attr/apparmor/exec", "uid_map", "gid_map", "setgroups", "cgroup"];
    for file in files {
        std::fs::write(format!("{fake}/self/{file}"), "untouched").expect("a file");
    }
    // Each leaves the container without a trustworthy proc, in a different way.
    let ways = [
        format!("mount --bind {fake} /proc"),
        format!("mount -t tmpfs tmpfs /proc; ln -s {fake}/self /proc/self"),
        "mount -t tmpfs tmpfs /proc".to_owned(),
        "mount --bind /dev/null /proc/self/oom_score_adj; mount --bind /sys /proc/self/attr".to_owned(),
    ];
    for way in ways {
        let holder = Holder::new(&["-m"], &format!("echo 321 >/proc/self/oom_score_adj; {way}"));
        let before = mounts(&holder);
        // The program prints its PID outside, and waits: its score is read there.
        let said = "echo $$; read -r line";
        let mut command = of(&holder);
        command.args(["--as-container", "sh", "-c", said]);
        let mut piped = common::process::Piped::new(&mut command);
        let score = format!("/proc/{}/oom_score_adj", piped.line());
        until(&format!("{way}: the score becomes the target's"), || {
            std::fs::read_to_string(&score).expect("a score") == "321\n"
        });
        piped.end_of_input();
        assert_eq!(mounts(&holder), before, "{way}");
        for file in files {
            let text = std::fs::read_to_string(format!("{fake}/self/{file}")).expect("a file");
            assert_eq!(text, "untouched", "{way}: {file}");
        }
    }
}

/// A mount point inside that is a link, or leads through a magic link, mounts nothing outside.
#[test]
fn a_new_proc_is_mounted_inside_only() {
    if !namespaces("attacks-mount-proc") {
        return;
    }
    let scratch = Scratch::new("attacks-mount-proc");
    let path = |name: &str| in_scratch(&scratch, name);
    for name in ["outside", "victim"] {
        std::fs::create_dir(path(name)).expect("a directory");
    }
    std::os::unix::fs::symlink(path("victim"), path("link")).expect("a link");
    std::os::unix::fs::symlink("/proc/self/cwd", path("cwd")).expect("a link");
    for number in 3..12 {
        let magic = format!("/proc/self/fd/{number}");
        std::os::unix::fs::symlink(magic, path(&number.to_string())).expect("a link");
    }
    std::os::unix::fs::symlink("/proc/1/root", path("init")).expect("a link");
    let holder = Holder::new(&["-m", "-p", "-f"], "");
    let own = || std::fs::read_to_string("/proc/self/mountinfo").expect("own mounts");
    let (inside, outside) = (mounts(&holder), own());
    let numbers = (3..12).map(|number: u32| number.to_string());
    for name in ["link", "cwd", "init"].map(str::to_owned).into_iter().chain(numbers) {
        let option = format!("--mount-proc={}", path(&name));
        let mut command = program("sh");
        // The caller has a directory of the host open, and works in one.
        command
            .args(["-c", "exec \"$0\" nsenter \"$@\" 9<."])
            .arg(common::binary())
            .current_dir(path("outside"));
        command.args(["-t", &holder.pid.to_string(), "-m", "-p", &option, "true"]);
        let output = limited(&mut command);
        assert!(name != "link" || output.status.success(), "the mount inside: {}", stderr(&output));
        assert!(!Path::new(&path("outside")).join("self").exists(), "{name}");
        assert!(!Path::new(&path("victim")).join("self").exists(), "{name}");
        assert_eq!(mounts(&holder), inside, "{name}");
    }
    // Other tests mount nothing in the namespace of the tests below this directory.
    let actual = |text: &str| text.lines().filter(|line| line.contains("attacks-mount-proc")).count();
    assert_eq!(actual(&own()), actual(&outside));
}

/// /dev/ptmx and /dev/pts belong to the container: the kernel's ptmx makes the terminal, or none is made.
#[test]
fn a_terminal_comes_from_no_other_file() {
    if !namespaces("attacks-ptmx") {
        return;
    }
    let scratch = Scratch::new("attacks-ptmx");
    let path = |name: &str| in_scratch(&scratch, name);
    std::fs::write(path("file"), "untouched").expect("a file");
    nix::unistd::mkfifo(Path::new(&path("pipe")), nix::sys::stat::Mode::from_bits_truncate(0o666))
        .expect("a pipe");
    let link = |to: &str| {
        format!("mount -t tmpfs tmpfs /dev; ln -s {to} /dev/ptmx; mkdir /dev/pts; ln -s {to} /dev/pts/ptmx")
    };
    for setup in [
        link(&path("file")),
        link(&path("pipe")),
        link("/proc/self/fd/0"),
        link("/proc/self/fd/5"),
        link("/proc/1/root/dev/ptmx"),
        "mount -t tmpfs tmpfs /dev; mkdir -p /dev/ptmx /dev/pts".to_owned(),
        "mount -t tmpfs tmpfs /dev; mknod /dev/ptmx c 1 5; mkdir /dev/pts; mknod /dev/pts/ptmx c 4 0"
            .to_owned(),
    ] {
        let holder = Holder::new(&["-m"], &setup);
        let mut terminal = Terminal::new();
        let mut child =
            terminal.start(of(&holder).args(["-m", "--new-tty", "sh", "-c", "test -t 0 && echo made"]));
        let (status, seen) = terminal.end_of(&mut child);
        assert!(status.success() && seen.contains("made"), "{setup}: {seen}");
        assert_eq!(std::fs::read_to_string(path("file")).expect("a file"), "untouched", "{setup}");
    }
}

/// Writes into the input of its terminal: stdin, and the controlling terminal.
const TYPES: &str = r#"
    open(my $tty, "+<", "/dev/tty");
    for my $fd (\*STDIN, \*STDOUT, \*STDERR, $tty) {
        for my $letter (split //, "attacked\n") { ioctl($fd, 0x5412, $letter); }
    }
    print "done\n";
"#;

/// Bytes that the next reader of the terminal would get.
fn typed_ahead(terminal: &mut Terminal, container: &Holder, options: &[&str]) -> String {
    let line = "\"$@\"; stty -icanon min 0 time 5; echo next; cat; echo end";
    let mut command = program("sh");
    command.args(["-c", line, "sh"]).arg(common::binary()).args([
        "nsenter",
        "-t",
        &container.pid.to_string(),
    ]);
    command.args(options).args(["perl", "-e", TYPES]);
    let mut child = terminal.start(&mut command);
    terminal.until("done");
    terminal.until("next");
    let seen = terminal.until("end");
    terminal.end_of(&mut child);
    seen
}

/// TIOCSTI types for the user. It needs CAP_SYS_ADMIN where dev.tty.legacy_tiocsti is 0.
#[test]
fn the_program_cannot_type_into_the_callers_terminal() {
    if !namespaces("attacks-tiocsti") {
        return;
    }
    if !there("perl") {
        skip("attacks-tiocsti", "needs perl");
        return;
    }
    let holder = Holder::new(&["-u"], "");
    let attack = typed_ahead(&mut Terminal::new(), &holder, &["-u"]);
    if !attack.contains("attacked") {
        skip("attacks-tiocsti", "this kernel has no TIOCSTI for root, so there is nothing to see");
        return;
    }
    let guarded = typed_ahead(&mut Terminal::new(), &holder, &["-u", "--new-tty"]);
    assert!(!guarded.contains("attacked"), "{guarded:?}");
}

/// The environment of a container chooses programs of the container, never those of the host.
#[test]
fn environment_of_the_target_does_not_choose_programs_of_the_host() {
    if !namespaces("attacks-environment") {
        return;
    }
    let scratch = Scratch::new("attacks-environment");
    for name in ["true", "sh"] {
        script(&in_scratch(&scratch, name), "#!/bin/sh\necho attacked\n", 0o755);
    }
    let (path, shell) =
        (format!("PATH={}", scratch.0.display()), format!("SHELL={}", in_scratch(&scratch, "sh")));
    std::os::unix::fs::symlink("/bin/cat", in_scratch(&scratch, "cat")).expect("a link");
    let holder = Holder::by(
        program("unshare").args([
            "-n",
            "-m",
            "/usr/bin/env",
            &path,
            &shell,
            "/bin/sh",
            "-c",
            "exec /bin/\"$@\"",
            "sh",
        ]),
        "",
    );
    for arguments in [&["-n", "-e", "true"][..], &["-n", "-e"], &["-n", "--host-root", "-e", "true"]] {
        let output = fed(of(&holder).args(arguments), Some(b""));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

/// In a pid namespace where the attacker chooses PIDs, a target ends while it is entered and another process takes
/// its PID: the program is in the namespaces of one of them, never in some of each.
#[test]
fn numbers_that_are_taken_again() {
    if !namespaces("attacks-pid-reuse") {
        return;
    }
    // Prints a line for each round: the two namespaces that the program was in, or nothing.
    let script = r#"
        mount -t proc proc /proc || exit 0
        echo 100 >/proc/sys/kernel/ns_last_pid || { echo cannot; exit 0; }
        own="$(readlink /proc/$$/ns/uts) $(readlink /proc/$$/ns/ipc)"
        ids() { echo "$(readlink /proc/$1/ns/uts) $(readlink /proc/$1/ns/ipc)"; }
        for round in $(seq 40); do
            echo 1000 >/proc/sys/kernel/ns_last_pid
            unshare -u -i sleep 100 & victim=$!
            until [ "$(readlink /proc/$victim/exe)" = "$(readlink -f "$(command -v sleep)")" ]; do :; done
            first=$(ids $victim)
            "$0" nsenter -t $victim -u -i sh -c 'echo "in $(readlink /proc/self/ns/uts) $(readlink /proc/self/ns/ipc)"' >/tmp/OUT 2>/dev/null & entering=$!
            kill -9 $victim; wait $victim
            echo $((victim - 1)) >/proc/sys/kernel/ns_last_pid
            unshare -u -i sleep 100 & decoy=$!
            wait $entering
            until [ "$(readlink /proc/$decoy/exe)" = "$(readlink -f "$(command -v sleep)")" ]; do :; done
            second=$(ids $decoy)
            entered=$(cat /tmp/OUT)
            kill -9 $decoy; wait $decoy
            case $entered in
            ''|"in $first"|"in $second"|"in $own") [ $victim = $decoy ] && echo again || echo other ;;
            *) echo "MIXED $entered, first $first, second $second" ;;
            esac
        done
    "#;
    let scratch = Scratch::new("attacks-pid-reuse");
    let script = script.replace("/tmp/OUT", &in_scratch(&scratch, "out"));
    let mut command = program("unshare");
    command.args(["-p", "-f", "-m", "--kill-child", "sh", "-c", &script]).arg(common::binary());
    let text = stdout(&limited(&mut command));
    if text.starts_with("cannot") || text.is_empty() {
        skip("attacks-pid-reuse", "numbers of processes cannot be chosen here");
        return;
    }
    assert!(!text.contains("MIXED"), "{text}");
    assert!(text.contains("again"), "no number was taken again: {text}");
}

/// The same for a container by name: a process that takes the PID of its first process is not entered, because the
/// state file has the start time.
#[test]
fn a_name_does_not_lead_to_a_reused_pid() {
    if !namespaces("attacks-name-reuse") {
        return;
    }
    let script = r#"
        mount -t proc proc /proc || exit 0
        mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib; mkdir -p /run/runc/web
        echo 100 >/proc/sys/kernel/ns_last_pid || { echo cannot; exit 0; }
        ids() { echo "$(readlink /proc/$1/ns/uts) $(readlink /proc/$1/ns/ipc)"; }
        sleeps() { until [ "$(readlink /proc/$1/exe)" = "$(readlink -f "$(command -v sleep)")" ]; do :; done; }
        start() { cut -d ' ' -f 22 /proc/$1/stat; }
        # The time before the end is near the time that nsenter needs, on a machine of any speed.
        delay=100
        for target in web runc:web; do for round in $(seq 40); do
            echo 1000 >/proc/sys/kernel/ns_last_pid
            unshare -u -i sleep 100 & victim=$!
            sleeps $victim
            first=$(ids $victim) began=$(start $victim)
            echo "{\"id\":\"web\",\"init_process_pid\":$victim,\"init_process_start\":$began,\"config\":{\"labels\":[]}}" >/run/runc/web/state.json
            # A process that starts now starts later, by the clock of the kernel.
            until sleep 0 & wait $!; [ "$(cut -d ' ' -f 1 /proc/uptime | tr -d .)" -gt $((began + 1)) ]; do :; done
            "$0" nsenter -t $target -u -i sh -c 'echo "in $(readlink /proc/self/ns/uts) $(readlink /proc/self/ns/ipc)"' >/run/out 2>/dev/null & entering=$!
            spin=0; while [ $spin -lt $delay ]; do spin=$((spin + 1)); done
            kill -9 $victim; wait $victim
            echo $((victim - 1)) >/proc/sys/kernel/ns_last_pid
            unshare -u -i sleep 100 & decoy=$!
            wait $entering
            sleeps $decoy
            entered=$(cat /run/out)
            case $entered in
            '') echo "refused $([ $victim = $decoy ] && echo again)"; delay=$((delay * 5 / 4)) ;;
            "in $first") echo entered; delay=$((delay * 4 / 5 + 4)) ;;
            *) echo "WRONG $entered, first $first, second $(ids $decoy)" ;;
            esac
            kill -9 $decoy; wait $decoy
        done; done
    "#;
    let mut command = program("unshare");
    command.args(["-p", "-f", "-m", "--kill-child", "sh", "-c", script]).arg(common::binary());
    let text = stdout(&limited(&mut command));
    if text.starts_with("cannot") || text.is_empty() {
        skip("attacks-name-reuse", "numbers of processes cannot be chosen here");
        return;
    }
    assert!(!text.contains("WRONG"), "{text}");
    assert!(text.contains("refused again"), "no number was taken again: {text}");
    assert!(text.contains("entered"), "it was never early enough: {text}");
}
