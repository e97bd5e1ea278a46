//! `lsns` on a copy of /proc, made by hand or recorded: large, broken, with containers.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::layout::files_below;
use crate::common::lsns::{lsns, says};
use crate::common::process::{limited, printed};
use crate::common::{Scratch, binary, program, project, skip, stderr, stdout, there, unique};
use ctrbox::testing::proc::ns::Kind;

/// A /proc made by hand. Its links to namespaces lead nowhere.
struct Proc(Scratch);

impl Proc {
    fn new(name: &str) -> Proc {
        // In memory where that can be: it is many files.
        let memory = Path::new("/dev/shm").join(unique(name));
        let proc = match std::fs::create_dir(&memory) {
            Ok(()) => Proc(Scratch(memory)),
            Err(_) => Proc(Scratch::new(name)),
        };
        proc.write("self/mountinfo", "");
        proc
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.0.join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let file = self.at(path);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        std::fs::write(file, content).expect("a file");
    }

    /// A process in these namespaces.
    fn process(&self, pid: u32, ppid: u32, links: &[(&str, u64)]) {
        let directory = self.at(&format!("{pid}/ns"));
        std::fs::create_dir_all(&directory).expect("a directory");
        for (kind, inode) in links {
            symlink(format!("{kind}:[{inode}]"), directory.join(kind)).expect("a link");
        }
        self.write(&format!("{pid}/stat"), &format!("{pid} (p{pid}) S {ppid} 1 1 0 -1\n"));
        self.write(&format!("{pid}/cmdline"), "");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = lsns(arguments);
        command.arg("--proc-root").arg(&self.0.0);
        command
    }

    fn list(&self, arguments: &[&str]) -> String {
        printed(&mut self.command(arguments))
    }
}

#[test]
fn five_thousand_processes() {
    const PROCESSES: u32 = 5000;
    const NAMESPACES: u32 = 50;
    let proc = Proc::new("lsns-many");
    let base = 4_026_540_000_u64;
    for i in 0..PROCESSES {
        let uts = base + u64::from(i % NAMESPACES);
        proc.process(
            10 + i,
            if i < NAMESPACES { 0 } else { 10 + i % NAMESPACES },
            &[("uts", uts), ("net", base - 1)],
        );
    }
    let mut expected = format!("{} net {PROCESSES} 10 0 p10\n", base - 1);
    for i in 0..NAMESPACES {
        let share = PROCESSES / NAMESPACES;
        expected += &format!("{} uts {share} {} 0 p{}\n", base + u64::from(i), 10 + i, 10 + i);
    }
    let columns = ["-r", "-n", "-l", "-o", "NS,TYPE,NPROCS,PID,PPID,COMMAND"];
    assert_eq!(proc.list(&columns), expected);
    assert_eq!(proc.list(&[&columns[..], &["--no-fd-scan"]].concat()), expected);
    // For one namespace: every process in the order of PIDs, below the first.
    let ns = (base + 7).to_string();
    let members = proc.list(&[&ns, "-r", "-n", "-l", "-o", "PID,PPID"]);
    let mut lines = members.lines();
    assert_eq!(lines.next(), Some("17 0"));
    for (i, line) in lines.enumerate() {
        assert_eq!(line, format!("{} 17", 17 + (i + 1) * 50));
    }
    assert_eq!(members.lines().count(), 100);
    let tree = proc.list(&[&ns, "-n", "-o", "COMMAND"]);
    assert!(tree.starts_with("p17\n├─p67\n") && tree.ends_with("\n└─p4967\n"), "{tree}");
    assert_eq!(
        proc.list(&["-p", "17", "-t", "uts", "-r", "-n", "-o", "NS,NPROCS,PID"]),
        format!("{ns} 100 17\n")
    );
}

#[test]
fn system_calls_grow_with_the_processes() {
    let name = "strace";
    if !there(name) {
        return skip(name, "needs strace(1)");
    }
    if !limited(program(name).args(["-o", "/dev/null", "true"])).status.success() {
        return skip(name, "strace may not trace here");
    }
    let calls = |count: u32| -> u32 {
        let proc = Proc::new(&format!("lsns-strace-{count}"));
        for pid in 1..=count {
            let links: Vec<(&str, u64)> = Kind::ALL
                .into_iter()
                .zip(4_026_550_000..)
                .map(|(kind, ns)| (kind.proc_name(), ns + 10 * u64::from(pid % 7)))
                .collect();
            proc.process(pid, 0, &links);
        }
        let logs = Scratch::new("lsns-calls");
        let mut command = program(name);
        command.args(["-ff", "-o"]).arg(logs.0.join("of")).arg(binary()).args([
            "lsns",
            "--no-fd-scan",
            "-r",
            "--proc-root",
        ]);
        let output = limited(command.arg(&proc.0.0));
        assert!(output.status.success() && stdout(&output).lines().count() == 57, "{}", stderr(&output));
        // The process that makes the list has the longest log. How often the one that watches it wakes up depends on the load.
        let lines = |log: &PathBuf| std::fs::read_to_string(log).expect("a log").lines().count();
        let most = files_below(&logs.0).iter().map(lines).max().expect("logs");
        u32::try_from(most).expect("a number")
    };
    let (few, many) = (calls(300), calls(1300));
    let others = 200; // memory, in large pieces
    assert!(many - few <= 11 * 1000 + others, "{few} calls for 300 processes, {many} for 1300");
    assert!(few <= 11 * 300 + 1000, "{few} calls for 300 processes");
}

#[test]
fn processes_that_are_half_there() {
    let proc = Proc::new("lsns-half");
    let uts = 4_026_541_000_u64;
    proc.process(30, 20, &[("uts", uts), ("pid", uts + 1)]);
    // Ended after the listing, or not readable: no ns, no stat, an ns without links, an fd that is a file.
    std::fs::create_dir(proc.at("20")).expect("a directory");
    std::fs::create_dir_all(proc.at("40/ns")).expect("a directory");
    symlink(format!("uts:[{uts}]"), proc.at("40/ns/uts")).expect("a link");
    std::fs::create_dir_all(proc.at("41/ns")).expect("a directory");
    proc.write("42/ns", "no directory");
    proc.write("43/fd", "no directory");
    // Links with an invalid form.
    for (pid, target) in [
        (50, "uts:[x]"),
        (51, "uts:[]"),
        (52, "uts"),
        (53, "uts:[4026541000"),
        (54, "uts:[99999999999999999999999]"),
        (55, "/"),
    ] {
        std::fs::create_dir_all(proc.at(&format!("{pid}/ns"))).expect("a directory");
        symlink(target, proc.at(&format!("{pid}/ns/uts"))).expect("a link");
    }
    // Not a process.
    for name in ["x1", "1x", "0x1", "-1", "+60", "net", "99999999999"] {
        std::fs::create_dir_all(proc.at(&format!("{name}/ns"))).expect("a directory");
        symlink("uts:[7]", proc.at(&format!("{name}/ns/uts"))).expect("a link");
    }
    let columns = "NS,TYPE,NPROCS,PID,PPID,COMMAND,PATH,PNS,ONS,NETNSID,NSFS,USERS,HELDBY,CONTAINER,NETNAME";
    let root = proc.0.0.display();
    let expected = format!(
        "{uts} uts 2 30 20 p30 {root}/30/ns/uts 0 0      \n{} pid 1 30 20 p30 {root}/30/ns/pid 0 0      \n",
        uts + 1
    );
    assert_eq!(proc.list(&["-r", "-n", "-l", "-o", columns]), expected);
    // Process 40 has no file with its ids.
    let members = proc.list(&[&uts.to_string(), "-r", "-n", "-o", "PID,PPID,COMMAND"]);
    assert_eq!(members, "30 20 p30\n40  \n");
    for tree in ["-T", "-Tparent", "-Tprocess"] {
        let list = proc.list(&[tree, "-n", "-o", "NS,PID"]);
        assert_eq!(list, format!("{uts}  30\n{}  30\n", uts + 1).replace("  30", "    30"), "{tree}");
    }
    assert_eq!(proc.list(&["-p", "40", "-r", "-n", "-o", "NS,PID"]), format!("{uts} 30\n"));
    assert_eq!(proc.list(&["-p", "20", "-r"]), "");
}

#[test]
fn a_name_may_hold_anything() {
    let proc = Proc::new("lsns-names");
    for (pid, stat) in [
        (70, "70 (a) b (c) S 71 1\n"),
        (71, "71 ()) S 0 1\n"),
        (72, "72 (x S 9 1\n"),
        (73, ""),
        (74, ")("),
        (75, "75 (\x1b[1m) S 0 1\n"),
    ] {
        proc.process(pid, 0, &[("uts", 4_026_542_000 + u64::from(pid))]);
        proc.write(&format!("{pid}/stat"), stat);
    }
    let out = limited(&mut proc.command(&["-l", "-r", "-n", "-o", "PID,PPID,COMMAND"]));
    assert_eq!(stderr(&out), "");
    let out = stdout(&out);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "70 71 a)\\x20b\\x20(c");
    assert_eq!(lines[1], "71 0 )");
    assert_eq!(lines[5], "75 0 \\x1b[1m");
    assert_eq!(lines.len(), 6);
}

/// Parents that form a circle.
#[test]
fn no_family_has_no_end() {
    let proc = Proc::new("lsns-circle");
    for (pid, ppid) in [(80, 81), (81, 82), (82, 80), (83, 83)] {
        proc.process(pid, ppid, &[("uts", 4_026_543_000), ("ipc", 4_026_543_000 + u64::from(pid))]);
    }
    for arguments in
        [&["-J"][..], &[], &["-r"], &["-T"], &["4026543000"], &["4026543000", "-J"], &["-t", "ipc"]]
    {
        let out = proc.list(arguments);
        for pid in ["80", "83"] {
            assert!(out.contains(&format!("p{pid}")), "{arguments:?}: {out}");
        }
    }
}

#[test]
fn mounts_of_namespaces_by_hand() {
    let proc = Proc::new("lsns-mountinfo");
    proc.process(90, 0, &[("net", 4_026_544_000)]);
    proc.write(
        "self/mountinfo",
        "1 0 0:4 net:[4026544000] /run/netns/one\\040two rw - nsfs nsfs rw\n\
         2 0 0:4 net:[4026544000] /b rw shared:1 master:2 - nsfs nsfs rw\n\
         3 0 0:4 net:[4026544000] /b rw - nsfs nsfs rw\n\
         4 0 0:4 uts:[4026544001] /u rw - nsfs nsfs rw\n\
         5 0 0:5 uts:[4026544002] /no rw - tmpfs nsfs rw\n\
         6 0 0:4 foo:[4026544003] /no rw - nsfs nsfs rw\n\
         7 0 0:4 uts:[x] /no rw - nsfs nsfs rw\n\
         8 0\n\n- nsfs\n9 0 0:4 net:[4026544004] /n rw - nsfs",
    );
    let all = proc.list(&["-r", "-n", "-l", "-o", "NS,TYPE,NPROCS,PID,NSFS,NETNAME,HELDBY"]);
    assert_eq!(
        all,
        "4026544000 net 1 90 /run/netns/one\\x20two,/b one\\x20two \n\
         4026544001 uts 0  /u  file\\x20/u\n4026544004 net 0  /n  file\\x20/n\n"
    );
    assert_eq!(proc.list(&["-P", "-r", "-n", "-o", "NS", "-t", "uts"]), "4026544001\n");
}

#[test]
fn descriptors_by_hand() {
    let proc = Proc::new("lsns-fd");
    proc.process(90, 0, &[("uts", 4_026_545_000)]);
    proc.process(91, 0, &[("uts", 4_026_545_000)]);
    for (pid, fd, target) in [
        (90, "0", "/dev/null"),
        (90, "1", "pipe:[4026545009]"),
        (90, "3", "uts:[4026545000]"),
        (91, "3", "uts:[4026545001]"),
        (90, "300", "uts:[4026545001]"),
        (91, "4", "net:[x]"),
        (91, "5", "foo:[4026545003]"),
        (91, "6", "uts:[4026545004] (deleted)"),
        (91, "7", "anon_inode:[eventfd]"),
        (91, "8", "socket:[1]"),
    ] {
        std::fs::create_dir_all(proc.at(&format!("{pid}/fd"))).expect("a directory");
        symlink(target, proc.at(&format!("{pid}/fd/{fd}"))).expect("a link");
    }
    let all = |more: &[&str]| proc.list(&[&["-r", "-n", "-l", "-o", "NS,NPROCS,HELDBY"], more].concat());
    assert_eq!(all(&["--no-fd-scan"]), "4026545000 2 \n");
    let found = all(&[]);
    assert!(found.starts_with("4026545000 2 \n4026545001 0 fd\\x20300\\x20of\\x2090\n"), "{found}");
}

#[test]
fn containers_of_recorded_processes() {
    let recorded = project("tests/fixtures/hybrid/root/proc");
    let out = printed(
        lsns(&["-l", "-r", "-n", "-t", "net", "-o", "NS,PID,CONTAINER,RUNTIME", "--proc-root"])
            .arg(&recorded),
    );
    let lines: Vec<&str> = out.lines().collect();
    // Their state files are not on this machine: the path of the control group gives a candidate.
    assert!(lines.contains(&"4026532181 4257 docker:32e6b376f333?,anon:4026532180 docker,anon"), "{out}");
    assert!(lines.contains(&"4026532561 5204 podman:33681ba73bc4?,podman:9456c732ef06? podman"), "{out}");
    // A process with a pid namespace and without a known group is shown by that namespace.
    assert!(lines.contains(&"4026532329 4576 anon:4026532328 anon"), "{out}");
    // A filter on the column needs it as well.
    let filtered =
        ["-l", "-r", "-n", "-t", "net", "-o", "NS", "-Q", "CONTAINER =~ \"^docker:32e\"", "--proc-root"];
    assert_eq!(printed(lsns(&filtered).arg(&recorded)), "4026532181\n");
    let filtered = ["-l", "-r", "-n", "-t", "net", "-o", "NS", "-Q", "RUNTIME == \"podman\"", "--proc-root"];
    assert_eq!(printed(lsns(&filtered).arg(&recorded)), "4026532487\n4026532561\n");
}

/// kdevtmpfs has its own mount namespace and root directory.
#[test]
fn a_kernel_thread_is_in_no_container() {
    let proc = Proc::new("lsns-kernel-thread");
    let status = |pid: u32, ppid: u32, rest: &str| {
        let text = format!("Name:\tp{pid}\nState:\tS (s)\nPPid:\t{ppid}\nNSpid:\t{pid}\n{rest}");
        proc.write(&format!("{pid}/status"), &text);
        proc.write(&format!("{pid}/cgroup"), "0::/\n");
    };
    // A process that changed its root, as chroot(8) does, is in a container of its own.
    for (pid, ppid, mnt, root, rest) in [
        (1, 0, 10, "/", "VmPeak:\t1 kB\n"),
        (2, 0, 10, "/", "Kthread:\t1\n"),
        (25, 2, 11, "/dev", "Kthread:\t1\n"),
        (26, 1, 12, "/dev", "Kthread:\t0\nVmPeak:\t1 kB\n"),
    ] {
        proc.process(pid, ppid, &[("mnt", mnt), ("net", 20)]);
        status(pid, ppid, rest);
        symlink(root, proc.at(&format!("{pid}/root"))).expect("a link");
    }
    let list = |format: &str| proc.list(&["-n", format, "-o", "NS,CONTAINER"]);
    // Whether the path leads to a directory of that host is not known of a copy.
    assert_eq!(list("-r"), "10 \n11 \n12 anon:12/dev\n20 anon:12/dev\n");
    assert_eq!(
        list("-l").split_whitespace().collect::<Vec<_>>(),
        "10 11 12 anon:12/dev 20 host +1".split(' ').collect::<Vec<_>>()
    );
}

#[test]
fn namespaces_of_the_host_show_how_many_containers_are_in_them() {
    let recorded = project("tests/fixtures/hybrid/root/proc");
    let list = |arguments: &[&str]| {
        printed(
            lsns(arguments).args(["-l", "-o", "TYPE,PID,CONTAINER,POD,IMAGE", "--proc-root"]).arg(&recorded),
        )
    };
    let of_host = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| line.split(' ').nth(1) == Some("2")).collect()
    };
    // Each container has its own mounts, and all have the host's users.
    let exact = of_host(&list(&["-n", "-r", "-t", "mnt", "-t", "user"]));
    assert_eq!(exact[0].trim_end(), "mnt 2");
    let names = exact[1].strip_prefix("user 2 ").expect("names").split(',').count();
    assert!(names > 10, "{exact:?}");
    let table = of_host(&list(&["-n", "-t", "mnt", "-t", "user"]));
    assert_eq!(table, ["mnt 2".to_owned(), format!("user 2 host +{names}")]);
    let json = list(&["-J", "-t", "user"]);
    assert!(json.contains(exact[1].strip_prefix("user 2 ").expect("names")), "{json}");
    // A filter sees the names.
    let filtered = list(&["-n", "-t", "user", "-Q", "CONTAINER =~ \"docker:\""]);
    assert_eq!(of_host(&filtered), table[1..]);
    // Other namespaces show the names.
    let pods = list(&["-n", "-t", "net"]);
    assert!(pods.contains("docker:32e6b376f333?,anon:4026532180"), "{pods}");
}

#[test]
fn no_list_of_mounts() {
    let scratch = Scratch::new("lsns-no-mounts");
    let path = scratch.0.to_str().expect("text");
    for arguments in [&[][..], &["-J"], &["-t", "uts"], &["--no-fd-scan"], &["-p", "1"]] {
        let (status, out, message) = says(&[arguments, &["--proc-root", path]].concat());
        assert_eq!((status, &*out), (Some(32), ""), "{arguments:?}");
        assert!(message.starts_with(&format!("lsns: failed to parse {path}/self/mountinfo")), "{message}");
    }
    let (status, _, message) = says(&["--proc-root", "/no/such"]);
    assert!(status == Some(1) && message.contains("/no/such: No such file or directory"), "{message}");
}

#[test]
fn why_there_is_no_list_of_mounts() {
    let scratch = Scratch::new("lsns-why-no-mounts");
    let path = scratch.0.to_str().expect("text");
    let message = format!("lsns: failed to parse {path}/self/mountinfo: No such file or directory\n");
    assert_eq!(says(&["--proc-root", path]), (Some(32), String::new(), message));
}
