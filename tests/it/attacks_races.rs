//! A container that exchanges its files, links and mounts while nsenter enters, or that leads nsenter out of the
//! container by links that the container itself may not follow.

use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::common::nsenter::{in_scratch, of, refused};
use crate::common::process::printed;
use crate::common::process::{Holder, Piped, limited, namespaces};
use crate::common::{Scratch, program, skip, stderr, stdout, there};

const SWAP: &str = "CTRBOX_TEST_SWAP";
/// Entries for each way; more for a long run.
const ROUNDS: &str = "CTRBOX_TEST_ROUNDS";
/// Without tracing rights /proc/PID/root of a process of the host is closed to the container.
const LESS: [&str; 3] = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all"];

fn possible(test: &str) -> bool {
    if !namespaces(test) {
        return false;
    }
    if !there("setpriv") {
        skip(test, "needs setpriv");
        return false;
    }
    true
}

/// The host's content at a place where the container has other content.
struct Outside {
    scratch: Scratch,
}

const PASSWD: &str = "web:x:4242:4343::/of-the-host:/bin/sh\n";

impl Outside {
    fn new(test: &str) -> Outside {
        let outside = Outside { scratch: Scratch::new(test) };
        for directory in ["host", "own"] {
            std::fs::create_dir(outside.path(directory)).expect("a directory");
        }
        std::fs::write(outside.path("host/passwd"), PASSWD).expect("a file");
        std::fs::write(outside.path("host/file"), "untouched").expect("a file");
        outside
    }

    fn path(&self, name: &str) -> String {
        in_scratch(&self.scratch, name)
    }

    /// The same from inside, through the root of a process that is outside: this one.
    fn by_magic(&self, name: &str) -> String {
        format!("/proc/{}/root{}", std::process::id(), self.path(name))
    }

    /// Covers the host's files, with a copy of /etc and its own /dev, without passwd.
    fn setup(&self) -> String {
        let (host, own) = (self.path("host"), self.path("own"));
        format!(
            "mount -t tmpfs tmpfs {host}; mount -t tmpfs tmpfs {own}; cd {own}
             mkdir etc dev dev/pts work fake fake/self fake/self/attr
             cp -a /etc/. etc/ 2>/dev/null || true; rm -f etc/passwd; mount --bind etc /etc
             mknod -m 666 dev/null c 1 3; mknod -m 666 dev/ptmx c 5 2
             mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts; mount --rbind dev /dev; cd /"
        )
    }

    fn container(&self, options: &[&str], setup: &str) -> Holder {
        let mut command = program("unshare");
        command.args(options).args(LESS);
        Holder::by(&mut command, &format!("{}\n{setup}", self.setup()))
    }

    /// Nothing was written, made or mounted outside.
    fn is_untouched(&self, what: &str) {
        let mut names: Vec<_> = std::fs::read_dir(self.path("host"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["file", "passwd"], "{what}");
        let text = |name: &str| std::fs::read_to_string(self.path(name)).expect("a file");
        assert_eq!(
            (text("host/file").as_str(), text("host/passwd").as_str()),
            ("untouched", PASSWD),
            "{what}"
        );
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("own mounts");
        assert!(!mounts.contains(&self.path("")), "{what}");
    }
}

/// A list of users is a link to one of the host, which root may follow and the container may not.
#[test]
fn a_list_of_users_is_not_read_outside() {
    if !possible("attacks-passwd-outside") {
        return;
    }
    let outside = Outside::new("attacks-passwd-outside");
    let setup = format!("ln -s {} /etc/passwd", outside.by_magic("host/passwd"));
    let container = outside.container(&["-m"], &setup);
    // The link leads there, and no process in the container can follow it.
    assert_eq!(printed(of(&container).args(["-m", "cat", "/etc/passwd"])), PASSWD);
    let inside = limited(of(&container).args(["--as-container", "cat", "/etc/passwd"]));
    assert!(!inside.status.success() && stdout(&inside).is_empty(), "{inside:?}");
    let output = limited(of(&container).args(["--as", "web", "id"]));
    assert_eq!((output.status.code(), stderr(&output)), refused("no user 'web' in /etc/passwd inside"));
    let home = printed(of(&container).args(["--as", "4242", "sh", "-c", "echo $HOME $(id -g)"]));
    assert_eq!(home, "/ 0\n");
}

/// A pipe without a writer lies over a file of the container's proc.
#[test]
fn a_covered_file_of_proc_is_not_waited_for() {
    if !possible("attacks-proc-pipe") {
        return;
    }
    let scratch = Scratch::new("attacks-proc-pipe");
    let pipe = in_scratch(&scratch, "pipe");
    for over in ["/proc/1/status", "/proc/1/ns", "/proc/1"] {
        let made = if over.ends_with("status") { "mkfifo" } else { "mkdir" };
        let setup = format!("{made} {pipe}; mount --bind {pipe} {over}; echo ready; exec cat");
        let mut command = program("unshare");
        command.args(["-m", "-p", "-f", "--mount-proc", "sh", "-ec", &setup]);
        let mut piped = Piped::new(&mut command);
        assert_eq!(piped.line(), "ready");
        let children = format!("/proc/{0}/task/{0}/children", piped.pid());
        let children = std::fs::read_to_string(children).expect("children");
        let container = Holder::of(piped, children.trim().parse().expect("a child"));
        let way = ["--as-container", "--mount-proc", "--force", "readlink", "/proc/self"];
        let number: u32 = printed(of(&container).args(way)).trim().parse().expect("a number");
        assert!(number < 100, "{over}: of the container's pid namespace");
        drop(container);
        let _ = std::fs::remove_file(&pipe).or_else(|_| std::fs::remove_dir(&pipe));
    }
}

/// Not a test: the container's process that exchanges files as fast as it can, until its stdin ends.
#[test]
fn swapper() {
    let Ok(arguments) = std::env::var(SWAP) else { return };
    let [own, host] = arguments.split(' ').collect::<Vec<_>>()[..] else { panic!("{arguments}") };
    std::thread::spawn(|| {
        let _ = std::io::read_to_string(std::io::stdin());
        std::process::exit(0);
    });
    let link = |to: String, at: &str| {
        let next = format!("{at}.next");
        let _ = std::fs::remove_file(&next);
        std::os::unix::fs::symlink(to, &next).expect("a link");
        // A link cannot take the place of a directory.
        if std::fs::rename(&next, at).is_err() {
            let _ = std::fs::remove_dir(at);
            let _ = std::fs::rename(&next, at);
        }
    };
    let file = |text: &str, at: &str| {
        let next = format!("{at}.next");
        let _ = std::fs::write(&next, text);
        let _ = std::fs::rename(&next, at);
    };
    let fake = format!("{own}/fake");
    println!("\nswapping");
    for round in 0_u64.. {
        let number = 3 + round % 9;
        file("web:x:7:8::/inside:/bin/sh\n", "/etc/passwd");
        let _ = mount(Some(fake.as_str()), "/proc", None::<&str>, MsFlags::MS_BIND, None::<&str>);
        link(format!("{host}/passwd"), "/etc/passwd");
        let _ = umount2("/proc", MntFlags::MNT_DETACH);
        let work = format!("{own}/work");
        link(format!("/proc/self/fd/{number}"), &work);
        let attr = format!("{fake}/self/attr");
        let _ = mount(Some(attr.as_str()), "/proc/self/attr", None::<&str>, MsFlags::MS_BIND, None::<&str>);
        for name in ["/dev/null", "/dev/ptmx", "/dev/console", "/dev/tty"] {
            link(format!("{host}/file"), name);
        }
        link(host.to_owned(), &work);
        let _ = umount2("/proc/self/attr", MntFlags::MNT_DETACH);
        let _ = mount(Some(own), "/dev/pts", None::<&str>, MsFlags::MS_BIND, None::<&str>);
        let _ = std::fs::remove_file(&work);
        let _ = std::fs::create_dir(&work);
        link(format!("/proc/self/fd/{number}"), "/etc/passwd");
        let _ = umount2("/dev/pts", MntFlags::MNT_DETACH);
        let _ = std::fs::remove_dir(&work);
        if round == 20 {
            println!("swapped");
        }
    }
}

fn swapper_in(container: &Holder, outside: &Outside) -> Piped {
    let exe = std::env::current_exe().expect("this program");
    let mut command = program("nsenter");
    command.args(["-t", &container.pid.to_string(), "-m"]).args(LESS).arg(exe);
    command.args(["attacks_races::swapper", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(SWAP, format!("{} {}", outside.path("own"), outside.by_magic("host")));
    let mut piped = Piped::new(&mut command);
    while piped.line() != "swapped" {}
    piped
}

/// The class of CVE-2025-31133, -52565 and -52881: while /proc, /etc/passwd, /dev and a directory are exchanged, no
/// file of the host is written, made or mounted, and no directory of the host becomes the working directory.
#[test]
fn exchanged_files_lead_nowhere() {
    if !possible("attacks-swap") {
        return;
    }
    let rounds = std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let outside = Outside::new("attacks-swap");
    let work = outside.path("own/work");
    let (wdns, mount_proc) = (format!("--wdns={work}"), format!("--mount-proc={work}"));
    let ways: [&[&str]; 10] = [
        &["--as-container"],
        &["--as", "web"],
        &["--as", "4242"],
        &["-m", &wdns],
        &["--as-container", &wdns],
        &["-m", "-p", &mount_proc],
        &["--as-container", "--force", &mount_proc],
        &["--as-container", "--new-tty"],
        &["--as-container", "--join-cgroup"],
        &["--as", "7:8", "--new-tty"],
    ];
    // Prints its ids and its surroundings.
    let say = "id -u; id -g; test ! -e ./passwd || echo outside; exec </dev/null";
    let mut worked = 0;
    for options in [&["-m"][..], &["-m", "-p", "-f"]] {
        let container = outside.container(options, "");
        let mut swapper = swapper_in(&container, &outside);
        let score = std::fs::read_to_string("/proc/self/oom_score_adj").expect("a score");
        for way in ways {
            for _ in 0..rounds {
                // The caller has a directory of the host open, and works in one.
                let mut command = program("sh");
                command.args(["-c", "exec \"$0\" nsenter \"$@\" 9<."]).arg(crate::common::binary());
                command.args(["-t", &container.pid.to_string()]).args(way).args(["sh", "-c", say]);
                let output = limited(command.current_dir(outside.path("host")));
                let said = stdout(&output);
                assert!(!said.contains("outside"), "{way:?}: {said}");
                let has_ids = way.contains(&"--as") && !said.is_empty();
                let ids = said.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ");
                let expected: &[&str] = if way.contains(&"4242") { &["4242 0"] } else { &["7 8"] };
                assert!(!has_ids || expected.contains(&ids.as_str()), "{way:?}: {said}");
                worked += u32::from(!said.is_empty());
                let code = output.status.code();
                assert!(matches!(code, Some(0..=2 | 126 | 127)), "{way:?}: {code:?} {}", stderr(&output));
            }
            outside.is_untouched(&format!("{way:?}"));
        }
        assert_eq!(std::fs::read_to_string("/proc/self/oom_score_adj").expect("a score"), score);
        swapper.end_of_input();
    }
    assert!(worked > 0, "no program was started");
}

/// The attack works without countermeasures: a program with root's rights opens what the links name.
#[test]
fn exchanged_files_lead_out_without_protection() {
    if !possible("attacks-swap-control") {
        return;
    }
    let outside = Outside::new("attacks-swap-control");
    let container = outside.container(&["-m"], "");
    let mut swapper = swapper_in(&container, &outside);
    let mut command: Command = program("nsenter");
    let reads =
        "n=0; until [ \"$(cat /etc/passwd 2>/dev/null)\" = \"$0\" ]; do n=$((n + 1)); done; echo read";
    command.args(["-t", &container.pid.to_string(), "-m", "sh", "-c", reads, PASSWD.trim_end()]);
    assert_eq!(stdout(&limited(&mut command)), "read\n");
    swapper.end_of_input();
    assert!(Path::new(&outside.path("host/file")).exists());
}
