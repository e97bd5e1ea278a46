//! nsenter and control groups: which groups are joined, by which process, and what happens if a group is full.

use std::path::{Path, PathBuf};

use crate::common::nsenter::{nsenter, of, refused};
use crate::common::process::{Holder, Piped, change_of, failure, fed, limited, namespaces, printed};
use crate::common::{HANG, program, skip, stdout, unique};
use nix::sys::wait::WaitStatus;

/// Control groups below those of this test, one in each hierarchy that allows it.
struct Groups {
    directories: Vec<PathBuf>,
}

impl Groups {
    fn new(name: &str) -> Groups {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut directories = Vec::new();
        for line in own.lines() {
            let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { continue };
            let mounted = mounts.lines().find_map(|line| {
                let (mount, kind) = line.split_once(" - ")?;
                let fields: Vec<&str> = mount.split(' ').collect();
                let (kind, options) = (kind.split(' ').next()?, kind.split(' ').nth(2)?);
                let same = match controllers {
                    "" => kind == "cgroup2",
                    name => {
                        kind == "cgroup" && name.split(',').all(|one| options.split(',').any(|o| o == one))
                    }
                };
                (same && fields[3] == "/").then(|| fields[4].to_owned())
            });
            let Some(mounted) = mounted else { continue };
            // A new group of cpuset has no cpus, and takes no process.
            if controllers.split(',').any(|one| one == "cpuset") {
                continue;
            }
            let directory = Path::new(&mounted).join(path.trim_start_matches('/')).join(name);
            if std::fs::create_dir(&directory).is_ok() {
                directories.push(directory);
            }
        }
        Groups { directories }
    }

    fn join(&self, pid: i32) {
        for directory in &self.directories {
            let procs = directory.join("cgroup.procs");
            std::fs::write(&procs, pid.to_string()).unwrap_or_else(|e| panic!("{}: {e}", procs.display()));
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // A killed process can be in its group for a moment after its parent has ended.
        let gone = |directory: &PathBuf| std::fs::remove_dir(directory).is_ok() || !directory.exists();
        let start = std::time::Instant::now();
        while !self.directories.iter().all(gone) && start.elapsed() < HANG {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

#[test]
fn the_control_groups_of_the_target_are_joined_by_the_program_alone() {
    if !namespaces("nsenter-cgroup") {
        return;
    }
    let name = unique("nsenter-cgroup");
    let groups = Groups::new(&name); // first, so that it ends last
    if groups.directories.is_empty() {
        skip("nsenter-cgroup", "no control group can be made below our own");
        return;
    }
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    groups.join(holder.pid);
    let cgroup_of =
        |process: &str| std::fs::read_to_string(format!("/proc/{process}/cgroup")).expect("a file");
    let inside = cgroup_of(&holder.pid.to_string());
    assert!(inside.contains(&name), "{inside}");
    for options in [&["-u", "-c"][..], &["-p", "--join-cgroup"], &["-u", "-c", "-S", "1234"], &["-a", "-c"]] {
        assert_eq!(
            printed(of(&holder).args(options).args(["cat", "/proc/self/cgroup"])),
            inside,
            "{options:?}"
        );
    }
    let without = printed(of(&holder).args(["-p", "cat", "/proc/self/cgroup"]));
    assert_eq!(without, cgroup_of("self"));

    let script = "read -r pid rest </proc/self/stat; echo $pid; read -r word";
    let mut piped = Piped::new(of(&holder).args(["-p", "-c", "sh", "-c", script]));
    let child = piped.line();
    assert_eq!(cgroup_of(&child), inside);
    assert_eq!(cgroup_of(&piped.pid().to_string()), cgroup_of("self"), "the waiting parent stays");
    piped.end_of_input();
    assert!(matches!(change_of(piped.pid()), WaitStatus::Exited(..)));

    // The reference tool gives the program /proc/PID/cgroup as stdin.
    let mut reads = of(&holder);
    assert_eq!(stdout(&fed(reads.args(["-u", "-c", "cat"]), Some(b"hello\n"))), "hello\n");
    let open = ["sh", "-c", "echo /proc/self/fd/*"];
    assert_eq!(printed(of(&holder).args(["-u", "-c"]).args(open)), printed(program("env").args(open)));
    let expected = refused("no target PID specified");
    assert_eq!(failure(nsenter().args([&format!("-u{}", holder.file("ns/uts")), "-c", "true"])), expected);
}

/// The program joins a group that may have no more processes; only a fork inside it fails. Without joining the
/// group nothing fails.
#[test]
fn a_container_at_its_limit_of_processes_can_be_entered() {
    if !namespaces("nsenter-cgroup-full") {
        return;
    }
    let groups = Groups::new(&unique("nsenter-cgroup-full"));
    let Some(limit) = groups.directories.iter().map(|d| d.join("pids.max")).find(|file| file.exists()) else {
        skip("nsenter-cgroup-full", "no control group of ours limits processes");
        return;
    };
    let holder = Holder::new(&["-u", "-p", "-f"], "");
    groups.join(holder.pid);
    std::fs::write(&limit, "1").expect("a limit");
    let forks = |options: &[&str]| {
        let script = "(exit 3) 2>/dev/null; exit $?"; // dash ends with 2 when it cannot fork
        limited(of(&holder).args(options).args(["sh", "-c", script])).status.code()
    };
    assert_eq!(forks(&["-a"]), Some(3));
    for options in [&["-a", "-c"][..], &["-p", "-c"], &["-u", "--join-cgroup"], &["--as-container"]] {
        assert_ne!(forks(options), Some(3), "{options:?}: it is full");
        assert_eq!(printed(of(&holder).args(options).args(["echo", "there"])), "there\n", "{options:?}");
    }
}
