//! Namespaces that unshare keeps in files; each test has its own mount namespace.

use std::path::Path;
use std::process::Command;

use crate::common::process::{limited, printed};
use crate::common::unshare::{KINDS, Public, apart, failure, mount_namespace_id, possible, refused, unshare};
use crate::common::{Scratch, UNPRIVILEGED_UID, applet, skip};
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

fn file(scratch: &Scratch, name: &str) -> String {
    let path = scratch.0.join(name);
    std::fs::write(&path, "").expect("a file");
    path.to_str().expect("text").to_owned()
}

/// The namespace behind a file, in the form of its link; None for a plain file.
fn kept(path: &str) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).expect("a file");
    let nsfs = std::fs::metadata("/proc/self/ns/net").expect("a namespace").dev();
    (meta.dev() == nsfs).then(|| meta.ino())
}

fn inode(link: &str) -> u64 {
    let digits = link.split(['[', ']']).nth(1).unwrap_or_else(|| panic!("{link}"));
    digits.parse().expect("a number")
}

/// The inodes of namespaces that a program inside sees, of the given kinds.
fn seen(command: &mut Command, names: &[&str]) -> Vec<u64> {
    let text =
        printed(command.arg("readlink").args(names.iter().map(|name| format!("/proc/self/ns/{name}"))));
    text.lines().map(inode).collect()
}

#[test]
fn every_kind_in_a_file() {
    if !possible("unshare-files") {
        return;
    }
    let scratch = Scratch::new("unshare-files");
    apart(|| {
        for (_, long, name) in KINDS {
            let path = file(&scratch, name);
            let option = format!("{long}={path}");
            let inside = seen(unshare().args([&option, "-f"]), &[name]);
            assert_eq!(kept(&path), Some(inside[0]), "{option}");
            // It exists without a process and can be entered, except for the pid namespace, whose process 1 has ended.
            if name != "pid" {
                assert_eq!(
                    seen(applet("nsenter").args(["--preserve-credentials", &option]), &[name]),
                    inside,
                    "{option}"
                );
            }
            umount2(path.as_str(), MntFlags::empty()).expect("it was mounted once");
            assert_eq!(kept(&path), None);
            // Without a child it is the same, except for what affects only children.
            if name != "pid" && name != "time" {
                let inside = seen(unshare().arg(&option), &[name]);
                assert_eq!(kept(&path), Some(inside[0]), "{option}");
            }
        }
    });
}

#[test]
fn all_kinds_at_once() {
    if !possible("unshare-files-all") {
        return;
    }
    let scratch = Scratch::new("unshare-files-all");
    apart(|| {
        let names = KINDS.map(|(_, _, name)| name);
        let paths = names.map(|name| file(&scratch, name));
        let options: Vec<_> =
            KINDS.iter().zip(&paths).map(|((_, long, _), path)| format!("{long}={path}")).collect();
        let inside =
            seen(unshare().args(&options).args(["-f", "--map-users=0:0:5", "--map-groups=0:0:5"]), &names);
        for (path, inode) in paths.iter().zip(inside) {
            assert_eq!(kept(path), Some(inode), "{path}");
        }
    });
}

#[test]
fn with_a_user_namespace_and_its_map() {
    if !possible("unshare-files-user") {
        return;
    }
    let scratch = Scratch::new("unshare-files-user");
    apart(|| {
        for (i, map) in [
            &["-r"][..],
            &["-f", "-c"],
            &["--map-users=all", "--map-groups=all"],
            &["--owner=1234:1234", "-r"],
        ]
        .into_iter()
        .enumerate()
        {
            let [user, mnt, net] = ["user", "mnt", "net"].map(|name| file(&scratch, &format!("{name}{i}")));
            let mut command = unshare();
            command
                .args([format!("--user={user}"), format!("--mount={mnt}"), format!("--net={net}")])
                .args(map);
            let inside = seen(&mut command, &["user", "mnt", "net"]);
            let files = [&user, &mnt, &net].map(|path| kept(path).expect("a namespace"));
            assert_eq!(inside, files, "{map:?}");
            // Its maps stay with it.
            let mut command = applet("nsenter");
            command.args([format!("--user={user}"), format!("--net={net}")]);
            assert_eq!(printed(command.args(["id", "-u"])), "0\n", "{map:?}");
        }
    });
}

/// The kernel refuses a namespace that counts as older than the one of the file.
#[test]
fn a_mount_namespace_is_kept_every_time() {
    if !possible("unshare-files-mount") {
        return;
    }
    let scratch = Scratch::new("unshare-files-mount");
    apart(|| {
        let path = file(&scratch, "mnt");
        for round in 0..30 {
            let options: &[&str] = match round % 3 {
                0 => &[],
                1 => &["-f"],
                _ => &["-r", "-u"],
            };
            let inside = seen(unshare().arg(format!("--mount={path}")).args(options), &["mnt"]);
            assert_eq!(kept(&path), Some(inside[0]), "round {round}");
            umount2(path.as_str(), MntFlags::empty()).expect("it was mounted");
        }
    });
}

/// The worst case: this process is in a namespace with an id of the highest block, and unshare runs on the CPU with
/// the lowest block, of which thousands of ids are left.
#[test]
fn a_mount_namespace_is_kept_on_every_processor() {
    if !possible("unshare-files-processors") {
        return;
    }
    let processors: Vec<usize> = {
        let own = sched_getaffinity(Pid::from_raw(0)).expect("our processors");
        (0..CpuSet::count()).filter(|&cpu| own.is_set(cpu).unwrap_or(false)).take(2).collect()
    };
    let &[low, high] = &processors[..] else {
        skip("unshare-files-processors", "there is one processor only");
        return;
    };
    let scratch = Scratch::new("unshare-files-processors");
    apart(|| {
        if mount_namespace_id().is_none() {
            skip("unshare-files-processors", "the kernel does not tell the ids of mount namespaces");
            return;
        }
        for cpu in [low, high] {
            run_on(cpu);
            // Up to a new block of ids. Other processes take ids at the same time.
            let mut before = new_mount_namespace();
            for _ in 0..10_000 {
                let id = new_mount_namespace();
                if id.abs_diff(before) > 1000 {
                    break;
                }
                before = id;
            }
        }
        let path = file(&scratch, "mnt");
        run_on(low);
        let inside = seen(unshare().arg(format!("--mount={path}")), &["mnt"]);
        assert_eq!(kept(&path), Some(inside[0]));
    });
}

fn run_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("a processor");
    sched_setaffinity(Pid::from_raw(0), &set).expect("our own processor");
}

fn new_mount_namespace() -> u64 {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    mount_namespace_id().expect("its id")
}

#[test]
fn the_last_file_of_a_kind_counts() {
    if !possible("unshare-files-last") {
        return;
    }
    let scratch = Scratch::new("unshare-files-last");
    apart(|| {
        let [first, last] = ["first", "last"].map(|name| file(&scratch, name));
        let inside = seen(
            unshare().args([format!("--net={first}"), format!("--net={last}"), "-n".to_owned()]),
            &["net"],
        );
        assert_eq!((kept(&first), kept(&last)), (None, Some(inside[0])));
        // A second one on the same file covers the first.
        let again = seen(unshare().arg(format!("--net={last}")), &["net"]);
        assert_eq!(kept(&last), Some(again[0]));
        assert_ne!(again, inside);
    });
}

#[test]
fn the_file_is_bound_before_the_program_runs() {
    if !possible("unshare-files-before") {
        return;
    }
    let scratch = Scratch::new("unshare-files-before");
    apart(|| {
        // Also when the program fails, or does not exist.
        let [uts, ipc] = ["uts", "ipc"].map(|name| file(&scratch, name));
        assert_eq!(limited(unshare().args([&format!("--uts={uts}"), "false"])).status.code(), Some(1));
        assert!(kept(&uts).is_some());
        assert_eq!(failure(unshare().args([&format!("--ipc={ipc}"), "no-such-program"])).0, Some(127));
        assert!(kept(&ipc).is_some());
        let net = file(&scratch, "net");
        let (option, stat) = (format!("--net={net}"), ["stat", "-Lc%i"]);
        assert_eq!(
            printed(unshare().arg(&option).args(stat).arg(&net)),
            format!("{}\n", kept(&net).expect("kept"))
        );
    });
}

#[test]
fn namespaces_that_cannot_be_kept() {
    if !possible("unshare-files-wrong") {
        return;
    }
    let scratch = Scratch::new("unshare-files-wrong");
    let public = Public::new("unshare-files-wrong-public");
    let there = file(&scratch, "there");
    apart(|| {
        let why = |link: &str, path: &str, why: &str| {
            refused(&format!("mount /proc/PID/ns/{link} on {path} failed: {why}"))
        };
        for (_, long, name) in KINDS {
            let link =
                if matches!(name, "pid" | "time") { format!("{name}_for_children") } else { name.to_owned() };
            let missing = |path: &str| why(&link, path, "No such file or directory");
            let options = |path: &str| [format!("{long}={path}"), "-f".to_owned(), "true".to_owned()];
            assert_eq!(failure(unshare().args(options(""))), missing(""), "{long}");
            assert_eq!(failure(unshare().args(options("/no/such"))), missing("/no/such"), "{long}");
            let directory = scratch.0.to_str().expect("text");
            let expected = why(&link, directory, "Not a directory");
            assert_eq!(failure(unshare().args(options(directory))), expected, "{long}");
        }
        // Without a child there is no pid namespace to keep.
        let (status, message) = failure(unshare().args([&format!("--pid={there}"), "true"]));
        assert_eq!(status, Some(1), "{message}");
        assert!(message.starts_with("unshare: mount /proc/PID/ns/pid_for_children on "), "{message}");
        // Mounting requires more than a user namespace.
        let path = public.at("file");
        std::fs::write(&path, "").expect("a file");
        for kind in ["user", "net", "mount"] {
            let option = format!("--{kind}={}", path.display());
            let link = if kind == "mount" { "mnt" } else { kind };
            let expected = why(link, path.to_str().expect("text"), "Operation not permitted");
            assert_eq!(
                failure(public.unshare(UNPRIVILEGED_UID).args(["-r", &option, "true"])),
                expected,
                "{option}"
            );
        }
        assert_eq!(kept(&there), None);
        assert_eq!(std::fs::read(Path::new(&there)).expect("it"), b"");
    });
}
