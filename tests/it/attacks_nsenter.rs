//! Attacks of a container on nsenter: files of the container that lead elsewhere, terminals, signals, numbers
//! that another process gets.

use crate::common;

use std::path::Path;
use std::process::Command;

use crate::common::nsenter::{in_scratch, of, refused, script};
use crate::common::process::{Holder, failure, fed, limited, namespaces, printed};
use crate::common::terminal::Terminal;
use crate::common::{Scratch, program, root, skip, stderr, stdout, there, until};

/// The mounts of a process, to see that an attack left none.
fn mounts(holder: &Holder) -> String {
    std::fs::read_to_string(holder.file("mountinfo")).expect("its mounts")
}

/// The class of CVE-2025-31133, -52565 and -52881: what is written for the program (security label,
/// oom_score_adj, control groups) must not be redirected by what the container mounts over /proc.
#[test]
fn a_made_up_proc_is_never_written_to() {
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
    // Each leaves the container without a proc that can be trusted, in another way.
    let ways = [
        format!("mount --bind {fake} /proc"),
        format!("mount -t tmpfs tmpfs /proc; ln -s {fake}/self /proc/self"),
        "mount -t tmpfs tmpfs /proc".to_owned(),
        "mount --bind /dev/null /proc/self/oom_score_adj; mount --bind /sys /proc/self/attr".to_owned(),
    ];
    for way in ways {
        let holder = Holder::new(&["-m"], &format!("echo 321 >/proc/self/oom_score_adj; {way}"));
        let before = mounts(&holder);
        // The program says its number outside, and waits: its score is read there.
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
        // The caller left a directory of the host open, and stands in one.
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
    let ours = |text: &str| text.lines().filter(|line| line.contains("attacks-mount-proc")).count();
    assert_eq!(ours(&own()), ours(&outside));
}

/// /dev/ptmx and /dev/pts are the container's: a terminal is made by the kernel's maker, or not at all.
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

/// Writes into the input of its terminal: of stdin, and of the one that controls it.
const TYPES: &str = r#"
    open(my $tty, "+<", "/dev/tty");
    for my $fd (\*STDIN, \*STDOUT, \*STDERR, $tty) {
        for my $letter (split //, "attacked\n") { ioctl($fd, 0x5412, $letter); }
    }
    print "done\n";
"#;

/// Bytes that whoever reads from the terminal next would get.
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
fn nobody_types_for_us_into_a_terminal() {
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

/// PR_SET_MM_MAP: a process without any capability says that its environment is a terabyte of memory.
fn endless(test: &str) -> Option<Holder> {
    if !there("python3") {
        skip(test, "needs python3");
        return None;
    }
    const SCRIPT: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.sbrk.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
size = 1 << 40
at = libc.mmap(None, size, 3, 0x4022, -1, 0)
stat = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
f = lambda n: int(stat[n - 3])
def first(name):
    return 0
ctypes.memmove(at, b"A=b\0", 4)
words = [f(26), f(27), f(45), f(46), f(47), libc.sbrk(0), f(28), at, at + size - 4096, at, at + size - 4096]
data = b"".join(word.to_bytes(8, "little") for word in words) + bytes(8) + bytes(4) + b"\xff\xff\xff\xff"
if at is None or libc.prctl(35, 14, data, len(data), 0) != 0:
    sys.exit("refused")
os.write(1, b"%d\n" % int(os.readlink("/proc/self")))
os.read(0, 1)
"#;
    let mut command = program("python3");
    command.args(["-c", SCRIPT]);
    let mut piped = common::process::Piped::new(&mut command);
    match piped.line().parse() {
        Ok(pid) => Some(Holder::of(piped, pid)),
        Err(_) => {
            skip(test, "this kernel lets no process move its environment");
            None
        }
    }
}

/// A limit that no honest run comes near, so that one that reads without end fails at once.
fn with_memory(kilobytes: u32, arguments: &[&str]) -> Command {
    let mut command = program("sh");
    let line = format!("ulimit -v {kilobytes}; exec \"$@\"");
    command.args(["-c", &line, "sh"]).arg(common::binary()).args(arguments);
    command
}

#[test]
fn endless_arguments_are_not_read_to_their_end() {
    let test = "attacks-endless-arguments";
    if !root() {
        skip(test, "needs root");
        return;
    }
    let Some(holder) = endless(test) else { return };
    let pid = holder.pid.to_string();
    for arguments in [
        &["ctr-ps", "-p", &pid][..],
        &["ctr-ps", "--json"],
        &["lsns"],
        &["getpcaps", &pid],
        &["capsh", &format!("--print={pid}")],
    ] {
        let output = limited(&mut with_memory(400_000, arguments));
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{arguments:?}: {:?} {}",
            output.status,
            stderr(&output)
        );
    }
}

/// A user namespace allows 100,000 mounts with names of 4,096 bytes: hundreds of megabytes of mountinfo.
#[test]
fn endless_mounts_are_not_read_to_their_end() {
    let test = "attacks-endless-mounts";
    if !namespaces(test) {
        return;
    }
    if !there("python3") {
        skip(test, "needs python3");
        return;
    }
    let setup = r#"
        mount -t tmpfs none /mnt; cd /mnt
        name=$(printf '%0240d' 0)
        for level in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do mkdir $name; cd $name; done
        cd /
        python3 -c 'import ctypes, sys
libc = ctypes.CDLL(None)
path = ("/mnt" + 14 * ("/" + sys.argv[1])).encode()
all(libc.mount(path, path, None, 4096, None) == 0 for each in range(6000)) or sys.exit(1)' $name"#;
    let holder = Holder::new(&["-U", "-r", "-m"], setup);
    let pid = holder.pid.to_string();
    let print = format!("--print={pid}");
    for arguments in [
        &["capsh", &print][..],
        &["getpcaps", &pid],
        &["lsns", "--output-all"],
        &["ctr-ps", "-l"],
        &["nsenter", "-t", &pid, "-a", "true"],
        &["nsenter", "-t", &pid, "--as-container", "true"],
    ] {
        let output = limited(&mut with_memory(64_000, arguments));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn endless_environment_is_refused() {
    let test = "attacks-endless-environment";
    if !namespaces(test) {
        return;
    }
    let Some(holder) = endless(test) else { return };
    for options in [&["-u", "-e"][..], &["-a", "-e"], &["--as-container"]] {
        let pid = holder.pid.to_string();
        let arguments = [&["nsenter", "-t", &pid][..], options, &["true"]].concat();
        let output = limited(&mut with_memory(400_000, &arguments));
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let said = stderr(&output);
        assert!(!said.contains("memory"), "{options:?}: {said}");
    }
}

/// The kernel writes all supplementary groups of a process, up to 65,536, before its PIDs in its status.
#[test]
fn a_process_in_many_groups_is_not_hidden_and_costs_little_memory() {
    let test = "attacks-many-groups";
    if !namespaces(test) {
        return;
    }
    if !there("python3") {
        skip(test, "needs python3");
        return;
    }
    const SCRIPT: &str = r#"
import os, sys, signal
os.setgroups(range(1000000000, 1000030000))
for each in range(300):
    if os.fork() == 0:
        os.close(0)
        os.close(1)
        signal.pause()
os.execvp(sys.argv[1], sys.argv[1:])
"#;
    let options = ["-p", "-f", "-m", "--mount-proc", "--kill-child", "python3", "-c", SCRIPT];
    let holder = Holder::by_child(program("unshare").args(options));
    let pid = holder.pid.to_string();
    let id: String = holder.link("pid").chars().filter(char::is_ascii_digit).collect();
    let target = format!("anon:{id}");
    assert_eq!(printed(of(&holder).args(["-p", "echo", "there"])), "there\n");
    let mut by_name = common::applet("nsenter");
    assert_eq!(printed(by_name.args(["-t", &target, "-p", "echo", "there"])), "there\n");
    let listed = stdout(&limited(common::applet("ctr-ps").args(["-l", "-n", "-o", "id"])));
    assert!(listed.lines().any(|line| line.trim() == id), "{listed}");
    for options in
        [&["-n", "-o", "cpid,id", "-p", &pid][..], &["--portable", "-n", "-o", "cpid,id", "-p", &pid]]
    {
        let shown = stdout(&limited(common::applet("ctr-ps").args(options)));
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), ["1", &id], "{options:?}");
    }
    let output = limited(&mut with_memory(24_000, &["getpcaps", "--tree", &pid]));
    assert_eq!(stdout(&output).lines().count(), 301, "{}", stderr(&output));
}

/// What a container may put in place of its lists of users is neither waited for nor believed.
#[test]
fn hostile_lists_of_users() {
    if !namespaces("attacks-passwd") {
        return;
    }
    let scratch = Scratch::new("attacks-passwd");
    let path = |name: &str| in_scratch(&scratch, name);
    std::fs::create_dir(path("directory")).expect("a directory");
    std::fs::File::create(path("sparse")).and_then(|file| file.set_len(1 << 40)).expect("a file");
    // Millions of lines, and a line of megabytes.
    std::fs::write(path("lines"), "x:x:1:1::/:\n".repeat(1_000_000)).expect("a file");
    std::fs::write(path("line"), ":".repeat(9 << 20)).expect("a file");
    let etc = "cp -a /etc/. ETC 2>/dev/null || true; mount --bind ETC /etc".replace("ETC", &path("etc"));
    std::fs::create_dir(path("etc")).expect("a directory");
    let over = |file: &str| format!("mount --bind {file} /etc/passwd; mount --bind {file} /etc/group");
    let link = |to: &str| {
        format!("{etc}; rm -f /etc/passwd /etc/group; ln -s {to} /etc/passwd; ln -s {to} /etc/group")
    };
    let mut setups = vec![
        over("/dev/zero"),
        over("/dev/tty"),
        over(&path("sparse")),
        over(&path("lines")),
        over(&path("line")),
        over("/proc/kmsg"),
        link("/proc/self/mem"),
        link("/proc/self/exe"),
        link("/proc/self/environ"),
        link("/proc/self/root"),
        link("/etc/passwd"),
        link(&path("directory")),
        format!("{etc}; rm -f /etc/passwd /etc/group; mknod /etc/passwd c 1 5; mknod /etc/group c 10 130"),
        format!("{etc}; rm -f /etc/passwd /etc/group; mknod /etc/passwd p; mkdir /etc/group"),
    ];
    setups.extend([0, 3, 4, 5, 6, 7].map(|number| link(&format!("/proc/self/fd/{number}"))));
    for setup in setups {
        let holder = Holder::new(&["-m"], &setup);
        let unknown = refused("no user 'web' in /etc/passwd inside");
        assert_eq!(failure(of(&holder).args(["--as", "web", "true"])), unknown, "{setup}");
        assert_eq!(
            printed(of(&holder).args(["--as", "7:8", "sh", "-c", "id -u; id -g"])),
            "7\n8\n",
            "{setup}"
        );
        let shell = fed(of(&holder).arg("-m").env_remove("SHELL"), Some(b"echo $0\n"));
        assert_eq!(stdout(&shell), "-sh\n", "{setup}: {}", stderr(&shell));
        drop(holder);
        let _ = std::fs::remove_dir_all(path("etc"));
        std::fs::create_dir(path("etc")).expect("a directory");
    }
}

/// Lines of millions of fields, and a user in as many groups as the kernel allows, cost little more than the files.
#[test]
fn long_lists_of_users_cost_little_memory() {
    if !namespaces("attacks-long-passwd") {
        return;
    }
    let scratch = Scratch::new("attacks-long-passwd");
    let path = |name: &str| in_scratch(&scratch, name);
    std::fs::write(path("passwd"), format!("root:x:0:0::/:{}\nweb:x:7:7::/:\n", ":".repeat(7 << 20)))
        .expect("a file");
    let groups: String = (0..65_536).map(|at| format!("g{at}:x:{at}:web\n")).collect();
    std::fs::write(path("group"), groups).expect("a file");
    let bind = |name: &str| format!("mount --bind {} /etc/{name}\n", path(name));
    let holder = Holder::new(&["-m"], &[bind("passwd"), bind("group")].concat());
    let pid = holder.pid.to_string();
    let shows = ["sed", "-n", "/^Uid\\|^Groups/p", "/proc/self/status"];
    let arguments = [&["nsenter", "-t", &pid, "--as", "web"][..], &shows].concat();
    let output = limited(&mut with_memory(64_000, &arguments));
    let shown = stdout(&output);
    assert!(shown.starts_with("Uid:\t7\t7\t7\t7\n"), "{}", stderr(&output));
    assert_eq!(shown.split_whitespace().count(), 2 + 4 + 65_536);
    // One more than the kernel allows: it says no, and root's groups are not kept instead.
    let more = "mount --bind \"$1/group\" /etc/group; echo more:x:70000:web >>/etc/group";
    let output = limited(of(&holder).args(["-m", "sh", "-c", more, "sh"]).arg(&scratch.0));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        failure(of(&holder).args(["--as", "web", "true"])),
        refused("setgroups failed: Invalid argument")
    );
}

/// The highest id means "no change" to the kernel's calls, which would leave the program root.
#[test]
fn the_id_that_means_no_change_is_refused_everywhere() {
    if !namespaces("attacks-no-change") {
        return;
    }
    const NONE: &str = "4294967295";
    let scratch = Scratch::new("attacks-no-change");
    let passwd = in_scratch(&scratch, "passwd");
    std::fs::write(&passwd, format!("web:x:{NONE}:{NONE}::/:\nnum:x:7:7::/:\n")).expect("a file");
    std::fs::write(in_scratch(&scratch, "group"), format!("web:x:{NONE}:num\n")).expect("a file");
    let setup = format!(
        "mount --bind {passwd} /etc/passwd; mount --bind {} /etc/group",
        in_scratch(&scratch, "group")
    );
    let holder = Holder::new(&["-m"], &setup);
    let target = format!("-t{}", holder.pid);
    let inner = ["sh", "-c", "echo started"];
    for options in [
        &["nsenter", &target, "-m", "-S", NONE][..],
        &["nsenter", &target, "-m", "-G", NONE],
        &["nsenter", &target, "--as", NONE],
        &["nsenter", &target, "--as", "web"],
        &["nsenter", &target, "--as", &format!("num:{NONE}")],
        &["nsenter", &target, "--as", "num:web"],
        &["nsenter", &target, "--as-container", "-S", NONE],
        &["nsenter", &target, "--as-container", "-G", NONE],
        &["unshare", "-S", NONE],
        &["unshare", "-G", NONE],
        &["unshare", "-U", &format!("--map-user={NONE}")],
        &["unshare", "-U", &format!("--map-group={NONE}")],
        &["unshare", "-U", &format!("--map-users=0,{NONE},1")],
        &["unshare", "-U", &format!("--map-users={NONE},0,1")],
        &["unshare", "-U", &format!("--owner={NONE}:0")],
        &["unshare", "-U", &format!("--owner=0:{NONE}")],
    ] {
        let output = limited(common::ctrbox().args(options).args(inner));
        assert_eq!(
            (output.status.code(), stdout(&output)),
            (Some(1), String::new()),
            "{options:?}: {}",
            stderr(&output)
        );
    }
    for option in ["--uid=", "--gid=", "--groups="] {
        let output = limited(common::applet("capsh").arg(format!("{option}{NONE}")).args([
            "--",
            "-c",
            "echo started",
        ]));
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{option}");
    }
    // Its supplementary groups are those that exist.
    assert_eq!(printed(of(&holder).args(["--as", "num", "sh", "-c", "id -u; id -G"])), "7\n7\n");
}

/// A line with a group that is no number gives no other group, least of all root's.
#[test]
fn a_line_with_no_group_does_not_give_roots() {
    if !namespaces("attacks-no-group") {
        return;
    }
    let scratch = Scratch::new("attacks-no-group");
    for group in ["4294967295", "", "x", "-1", "4294967296"] {
        let passwd = in_scratch(&scratch, "passwd");
        std::fs::write(&passwd, format!("web:x:7:{group}::/:\n")).expect("a file");
        let holder = Holder::new(&["-m"], &format!("mount --bind {passwd} /etc/passwd"));
        let output = limited(of(&holder).args(["--as", "web", "id", "-g"]));
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{group}");
    }
}

/// In a pid namespace where numbers are given out by the attacker, a target ends while it is entered and another
/// takes its number: the program is in the namespaces of one of them, never in some of each.
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

/// The same for a container by name: what takes the number of its first process is not entered, because the record
/// says when that started.
#[test]
fn a_name_never_leads_to_a_number_that_is_taken_again() {
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
        for target in web runc:web; do for round in $(seq 40); do
            echo 1000 >/proc/sys/kernel/ns_last_pid
            unshare -u -i sleep 100 & victim=$!
            sleeps $victim
            first=$(ids $victim) began=$(start $victim)
            echo "{\"id\":\"web\",\"init_process_pid\":$victim,\"init_process_start\":$began,\"config\":{\"labels\":[]}}" >/run/runc/web/state.json
            # A process that starts now starts later, by the clock of the kernel.
            until sleep 0 & wait $!; [ "$(cut -d ' ' -f 1 /proc/uptime | tr -d .)" -gt $((began + 1)) ]; do :; done
            "$0" nsenter -t $target -u -i sh -c 'echo "in $(readlink /proc/self/ns/uts) $(readlink /proc/self/ns/ipc)"' >/run/out 2>/dev/null & entering=$!
            spin=0; while [ $spin -lt $((round * 40)) ]; do spin=$((spin + 1)); done
            kill -9 $victim; wait $victim
            echo $((victim - 1)) >/proc/sys/kernel/ns_last_pid
            unshare -u -i sleep 100 & decoy=$!
            wait $entering
            sleeps $decoy
            entered=$(cat /run/out)
            case $entered in
            '') echo "refused $([ $victim = $decoy ] && echo again)" ;;
            "in $first") echo entered ;;
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

/// Processes can share one table of descriptors, which costs a user nothing: lsns examines a part, and says so.
#[test]
fn endless_descriptors_are_not_all_examined() {
    let test = "attacks-descriptors";
    if !namespaces(test) {
        return;
    }
    if !there("python3") {
        skip(test, "needs python3");
        return;
    }
    const SCRIPT: &str = r#"
import ctypes, os, resource, signal
libc = ctypes.CDLL(None)
os.setgroups([])
os.setgid(4242)
os.setuid(4242)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
table = 0
try:
    while True:
        table = os.dup(2)
except OSError:
    pass
# CLONE_FILES | SIGCHLD
for each in range(1500000 // table + 1):
    if libc.syscall(56, 0x400 | 17, 0, 0, 0, 0) == 0:
        signal.pause()
os.write(1, b"%d %d\n" % (os.getpid(), table * each))
os.read(0, 1)
"#;
    if !cfg!(target_arch = "x86_64") {
        skip(test, "the number of clone(2) is that of x86_64");
        return;
    }
    let mut command = program("unshare");
    let script = format!("mount -t proc proc /proc; exec python3 -c '{SCRIPT}'");
    command.args(["-m", "-p", "-f", "--kill-child", "sh", "-c", &script]);
    let mut piped = common::process::Piped::new(&mut command);
    assert!(!piped.line().is_empty(), "it started");
    let [child] = common::process::children(piped.pid())[..] else { panic!("one child") };
    let inside = |arguments: &[&str]| {
        let mut command = program("nsenter");
        command.args(["-t", &child.to_string(), "-m", "-p"]).arg(common::binary()).args(arguments);
        limited(&mut command)
    };
    let output = inside(&["lsns", "-n", "-t", "net", "-o", "ns"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("lsns: not all descriptors of process "), "{said}");
    assert_eq!(stderr(&inside(&["lsns", "-n", "--no-fd-scan", "-o", "ns"])), "", "none is examined");
    piped.end_of_input();
}
