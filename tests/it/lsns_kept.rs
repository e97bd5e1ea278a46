//! `lsns` of namespaces without processes, of what keeps them, and of the names of network namespaces.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::common::lsns::{fine, inode, inode_of, lsns, row, rows, says, wrong};
use crate::common::process::{Holder, limited, link, namespaces, printed};
use crate::common::unshare::{apart, bind};
use crate::common::{Scratch, applet, binary, program, skip, stderr, there};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Makes a namespace of each kind that a file keeps, in a place apart.
fn keep(option: &str, file: &Path) -> String {
    if !file.exists() {
        File::create(file).expect("a file");
    }
    let mut word = std::ffi::OsString::from(format!("{option}="));
    word.push(file);
    let output = limited(applet("unshare").args(["--fork"]).arg(word).arg("true"));
    assert!(output.status.success(), "{}", stderr(&output));
    inode_of(file)
}

/// The result of `work`, which ran in a new network namespace that ends with it.
fn in_a_network<R: Send>(work: impl FnOnce() -> R + Send) -> (R, String) {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let own = link("thread-self", "net");
        (work(), inode(&own))
    };
    std::thread::scope(|scope| scope.spawn(inside).join().expect("a thread"))
}

#[test]
fn a_mount_keeps_them() {
    if !namespaces("lsns_mount") {
        return;
    }
    let scratch = Scratch::new("lsns-mount");
    apart(|| {
        let file = scratch.0.join("file");
        for (option, kind) in [
            ("--uts", "uts"),
            ("--ipc", "ipc"),
            ("--net", "net"),
            ("--pid", "pid"),
            ("--cgroup", "cgroup"),
            ("--time", "time"),
        ] {
            let ns = keep(option, &file);
            let path = file.display();
            let owner = inode(&link("self", "user"));
            for arguments in [&["-P"][..], &["-P", "-l", "-t", kind], &["-P", "--no-fd-scan"], &["-l"]] {
                let columns = "TYPE,NPROCS,PID,PPID,PATH,COMMAND,UID,USER,NSFS,ONS";
                let found = row(arguments, columns, &ns);
                assert_eq!(found, Some(format!("{kind} 0     0 root {path} {owner}")), "{arguments:?}");
            }
            let held = printed(&mut lsns(&["-P", "-n", "-l", "-o", "HELDBY", "-Q", &format!("NS == {ns}")]));
            assert_eq!(held, format!("file {path}\n"));
            let json = printed(&mut lsns(&[
                "-J",
                "-l",
                "-Q",
                &format!("NS == {ns}"),
                "-o",
                "NS,NPROCS,PID,COMMAND",
            ]));
            let json: String = json.split_whitespace().collect();
            let expected = format!("{{\"ns\":{ns},\"nprocs\":0,\"pid\":null,\"command\":null}}");
            assert_eq!(json, format!("{{\"namespaces\":[{expected}]}}"));
            // As an operand it is there, with no process.
            assert_eq!(says(&[&ns]), fine(""));
            let other = if kind == "uts" { "ipc" } else { "uts" };
            assert_eq!(row(&["-P", "-t", other], "TYPE", &ns), None);
            nix::mount::umount(&file).expect("umount");
            // Its number may be reused by now: the mount must be gone.
            assert_ne!(row(&["-l"], "NSFS", &ns), Some(path.to_string()));
        }
    });
}

#[test]
fn persistent_ones_only() {
    if !namespaces("lsns_persistent") {
        return;
    }
    let scratch = Scratch::new("lsns-persistent");
    apart(|| {
        let holder = Holder::new(&["-u"], "");
        let kept = keep("--uts", &scratch.0.join("kept"));
        let lived = inode(&holder.link("uts"));
        std::fs::write(scratch.0.join("lived"), "").expect("a file");
        bind(Path::new(&holder.file("ns/uts")), &scratch.0.join("lived"));
        let listed = rows(&["-P"], "NS,NPROCS,PID");
        assert!(listed.iter().all(|cells| cells[1] == "0" && cells[2].is_empty()), "{listed:?}");
        assert!(listed.iter().any(|cells| cells[0] == kept));
        assert_eq!(row(&["-P"], "NPROCS", &lived), None);
        // A namespace with processes needs no other keeper.
        assert_eq!(row(&["-l"], "NPROCS,HELDBY", &lived).as_deref(), Some("1 "));
        assert_eq!(row(&["-l", "-Q", "HELDBY =~ \"^file \""], "NPROCS", &kept).as_deref(), Some("0"));
        // The task is not in a namespace without processes.
        assert_eq!(row(&["-p", &holder.pid.to_string()], "NPROCS", &kept), None);
    });
}

#[test]
fn a_descriptor_keeps_one() {
    if !namespaces("lsns_descriptor") {
        return;
    }
    for (option, kind) in [("-u", "uts"), ("-i", "ipc"), ("-n", "net"), ("-C", "cgroup")] {
        let script =
            format!("exec 7</proc/self/ns/{kind}; exec nsenter {option}/proc/$PPID/ns/{kind} \"$@\"");
        let script = script
            .replace("-u/", "--uts=/")
            .replace("-i/", "--ipc=/")
            .replace("-n/", "--net=/")
            .replace("-C/", "--cgroup=/");
        let holder = Holder::by(program("unshare").args([option, "sh", "-c", &script, "sh"]), "");
        let target = std::fs::read_link(holder.file("fd/7")).expect("a descriptor");
        let ns = inode(&target.to_string_lossy());
        assert_ne!(holder.link(kind), target.to_string_lossy(), "{kind}");
        let of = |arguments: &[&str]| row(arguments, "TYPE,NPROCS,PID,USER,HELDBY", &ns);
        let expected = Some(format!("{kind} 0  root fd\\x207\\x20of\\x20{}", holder.pid));
        for arguments in [&["-l"][..], &["-P"], &["-t", kind]] {
            assert_eq!(of(arguments), expected, "{arguments:?}");
        }
        for arguments in [&["-l", "--no-fd-scan"][..], &["-P", "--no-fd-scan"]] {
            assert_eq!(of(arguments), None, "{arguments:?}");
        }
        assert_eq!(says(&[&ns]), fine(""));
        assert_eq!(says(&["--no-fd-scan", &ns]), wrong(&format!("not found namespace: {ns}")));
        drop(holder);
        assert_ne!(of(&["-l"]), expected, "its number may be another's by now");
    }
}

#[test]
fn a_descriptor_of_this_process() {
    if !namespaces("lsns_descriptor_user") {
        return;
    }
    let owner = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWUTS).expect("a namespace");
        let file = File::open("/proc/thread-self/ns/uts").expect("a namespace");
        (file, inode(&link("thread-self", "uts")))
    });
    let (file, ns) = owner.join().expect("a thread");
    let held = row(&["-P"], "TYPE,UID,PNS,HELDBY", &ns).expect("a row");
    assert!(held.starts_with(&format!("uts 0 0 fd\\x20{}\\x20of\\x20", file.as_raw_fd())), "{held}");
    drop(file);
    assert_ne!(row(&["-P"], "TYPE,UID,PNS,HELDBY", &ns), Some(held), "its number may be another's by now");
}

#[test]
fn a_socket_keeps_one() {
    if !namespaces("lsns_socket") {
        return;
    }
    let (socket, ns) = in_a_network(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    let Some(held) = row(&["-P"], "TYPE,NPROCS,PID,USER,NETNSID,HELDBY", &ns) else {
        return skip("lsns_socket", "this kernel does not tell the namespace of a socket");
    };
    let expected = format!("net 0  root unassigned socket\\x20{}\\x20of\\x20", socket.as_raw_fd());
    assert!(held.starts_with(&expected), "{held}");
    assert_eq!(row(&["-l", "-t", "net"], "TYPE", &ns).as_deref(), Some("net"));
    assert_eq!(row(&["-l", "-t", "uts"], "TYPE", &ns), None);
    assert_eq!(row(&["-P", "--no-fd-scan"], "TYPE", &ns), None);
    let owner = inode(&link("self", "user"));
    assert_eq!(row(&["-P"], "ONS", &ns), Some(owner));
    drop(socket);
    let now = row(&["-P"], "TYPE,NPROCS,PID,USER,NETNSID,HELDBY", &ns);
    assert_ne!(now, Some(held), "its number may be another's by now");
}

#[test]
fn a_socket_beside_processes_is_nothing_new() {
    if !namespaces("lsns_socket_process") {
        return;
    }
    let holder = Holder::new(&["-n"], "");
    let path = holder.file("ns/net");
    let inside = || {
        let file = File::open(&path).expect("a namespace");
        nix::sched::setns(&file, CloneFlags::CLONE_NEWNET).expect("it is entered");
        (UdpSocket::bind("0.0.0.0:0").expect("a socket"), file)
    };
    let _both = std::thread::scope(|scope| scope.spawn(inside).join().expect("a thread"));
    let ns = inode(&holder.link("net"));
    let expected = format!("1 {} ", holder.pid);
    assert_eq!(row(&["-l"], "NPROCS,PID,HELDBY", &ns), Some(expected));
    assert_eq!(row(&["-P"], "NPROCS", &ns), None);
}

#[test]
fn several_mounts_of_one() {
    if !namespaces("lsns_nsfs") {
        return;
    }
    let scratch = Scratch::new("lsns-nsfs");
    apart(|| {
        let holder = Holder::new(&["-n"], "");
        let (first, second) = (scratch.0.join("a b"), scratch.0.join("c"));
        for file in [&first, &second, &second] {
            if !file.exists() {
                File::create(file).expect("a file");
            }
            bind(Path::new(&holder.file("ns/net")), file);
        }
        let pid = holder.pid.to_string();
        let ns = inode(&holder.link("net"));
        let of = |more: &[&str]| {
            printed(lsns(&["-p", &pid, "-t", "net", "-n", "-l", "-o", "NS,NSFS,TYPE"]).args(more))
        };
        let (a, c) = (first.display().to_string(), second.display().to_string());
        let wide = a.len();
        let lines = format!("{ns} {a} net\n{:10} {c:wide$} \n", "");
        let shown = of(&[]);
        assert_eq!(shown, lines, "{shown:?}");
        assert_eq!(of(&["-u"]), lines);
        assert_eq!(of(&["-W"]), format!("{ns} {a},{c} net\n"));
        assert_eq!(of(&["--nowrap", "-u"]), format!("{ns} {a},{c} net\n"));
        assert_eq!(of(&["-r"]), format!("{ns} {},{c} net\n", a.replace(' ', "\\x20")));
        let json = of(&["-J"]);
        assert!(json.contains(&format!("\"nsfs\": \"{a}\\n{c}\",\n")), "{json}");
        let json = of(&["-J", "-W"]);
        assert!(json.contains(&format!("\"nsfs\": \"{a},{c}\",\n")), "{json}");
        // -t net brings the columns of networks.
        let heads = printed(&mut lsns(&["-p", &pid, "-t", "net", "-r"]));
        assert!(heads.starts_with("NS TYPE NPROCS PID USER NETNSID NSFS COMMAND\n"), "{heads}");
        let heads = printed(&mut lsns(&["-p", &pid, "-t", "net", "-t", "uts", "-r"]));
        assert!(heads.starts_with("NS TYPE NPROCS PID USER NETNSID NSFS COMMAND\n"), "{heads}");
        drop(holder);
        let held = printed(&mut lsns(&["-P", "-n", "-l", "-o", "HELDBY", "-Q", &format!("NS == {ns}")]));
        assert_eq!(held, format!("file {a}, file {c}\n"));
    });
}

#[test]
fn names_that_mean_harm() {
    if !namespaces("lsns_hostile_mount") {
        return;
    }
    let scratch = Scratch::new("lsns-hostile-mount");
    apart(|| {
        let file = scratch.0.join("x\n\x1b[1m\\040");
        let ns = keep("--uts", &file);
        let filter = format!("NS == {ns}");
        for columns in ["NSFS", "HELDBY", "NS,NSFS,HELDBY"] {
            for form in ["-n", "-r", "-J", "-W"] {
                let out = printed(&mut lsns(&["-l", form, "-o", columns, "-Q", &filter]));
                assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{form} {columns}: {out:?}");
                assert!(out.contains("[1m"), "{form} {columns}: {out:?}");
            }
        }
        assert_eq!(says(&["-l", "-n", "-o", "NS,TYPE", "-Q", &filter]), fine(&format!("{ns} uts\n")));
    });
}

#[test]
fn names_of_networks() {
    if !namespaces("lsns_netname") {
        return;
    }
    apart(|| {
        // Where nothing but this test is, and nothing stays.
        mount(Some("lsns"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
        std::fs::create_dir("/run/netns").expect("a directory");
        let blue = keep("--net", Path::new("/run/netns/blue"));
        let odd = keep("--net", Path::new("/run/netns/o d"));
        let other = keep("--net", Path::new("/run/elsewhere"));
        let uts = keep("--uts", Path::new("/run/netns/uts"));
        let of = |ns: &str| row(&["-l"], "TYPE,NETNAME,NPROCS", ns).expect("a row");
        assert_eq!(of(&blue), "net blue 0");
        assert_eq!(of(&odd), "net o\\x20d 0");
        assert_eq!(of(&other), "net  0");
        assert_eq!(of(&uts), "uts  0");
        assert_eq!(rows(&["-l", "-Q", "NETNAME == \"blue\""], "NS"), [[blue.clone()]]);
        let held = printed(&mut lsns(&["-n", "-l", "-o", "HELDBY", "-Q", "NETNAME == \"blue\""]));
        assert_eq!(held, "file /run/netns/blue\n");
        // It also has the name when a process is in it.
        let holder = Holder::by(program("nsenter").arg("--net=/run/netns/blue"), "");
        assert_eq!(
            row(&["-p", &holder.pid.to_string()], "NETNAME,NPROCS,HELDBY", &blue).as_deref(),
            Some("blue 1 ")
        );
    });
}

#[test]
fn numbers_that_networks_give() {
    let name = "lsns_netnsid";
    if !namespaces(name) {
        return;
    }
    if !there("ip") {
        return skip(name, "needs ip(8)");
    }
    apart(|| {
        // Numbers are those of the network that lsns is in: one that ends with this test.
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        mount(Some("lsns"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
        for arguments in
            [&["netns", "add", "one"][..], &["netns", "add", "two"], &["netns", "set", "one", "17"]]
        {
            let output = limited(program("ip").args(arguments));
            if !output.status.success() {
                return skip(name, &format!("ip {arguments:?}: {}", stderr(&output).trim()));
            }
        }
        let of = |file: &str| {
            let ns = inode_of(&Path::new("/run/netns").join(file));
            row(&["-t", "net"], "TYPE,NETNAME,NETNSID,NPROCS", &ns).expect("a row")
        };
        assert_eq!(of("one"), "net one 17 0");
        assert_eq!(of("two"), "net two unassigned 0");
        let json = printed(&mut lsns(&["-J", "-l", "-o", "NETNSID", "-Q", "NETNAME == \"one\""]));
        assert!(json.contains("\"netnsid\": \"17\"\n"), "{json}");
        let by_number = rows(&["-l", "-Q", "NETNSID == \"17\""], "NETNAME");
        assert_eq!(by_number, [["one"]]);
        // The own namespace has no number until it is needed; a namespace with a process has its number too.
        let holder = Holder::by(program("nsenter").arg("--net=/run/netns/one"), "");
        assert_eq!(of("one"), "net one 17 1");
        drop(holder);
        // Not a network: no number.
        let me = std::process::id().to_string();
        assert_eq!(rows(&["-p", &me, "-t", "uts"], "NETNSID"), [[""]]);
    });
}

#[test]
fn links_between_networks_give_numbers() {
    let name = "lsns_netnsid_link";
    if !namespaces(name) {
        return;
    }
    if !there("ip") {
        return skip(name, "needs ip(8)");
    }
    apart(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let holder = Holder::new(&["-n"], "");
        let pid = holder.pid.to_string();
        let output = limited(
            program("ip")
                .args(["link", "add", "veth1", "type", "veth", "peer", "name", "veth2", "netns", &pid]),
        );
        if !output.status.success() {
            return skip(name, &format!("no veth here: {}", stderr(&output).trim()));
        }
        assert_eq!(
            row(&["-p", &pid, "-t", "net"], "NETNSID", &inode(&holder.link("net"))).as_deref(),
            Some("0")
        );
    });
}

/// A container can have as many mounts as it likes.
#[test]
fn thousands_that_files_keep() {
    if !namespaces("lsns_thousands") {
        return;
    }
    let scratch = Scratch::new("lsns-thousands");
    let arguments = ["-r", "-n", "-P", "--no-fd-scan", "-t", "uts", "-o", "NS,ONS,NSFS"];
    let traces = there("strace");
    let calls = || {
        let log = scratch.0.join("calls");
        let mut command = program("strace");
        // Alone in a pid namespace: nothing is counted for the processes of the host.
        command.args(["-f", "-qq", "-o"]).arg(&log).arg(binary()).args(["unshare", "-fp", "--mount-proc"]);
        command.arg(binary()).arg("lsns").args(arguments);
        let shown = printed(&mut command);
        let count = std::fs::read_to_string(&log).expect("a log").lines().count();
        (shown.lines().filter(|line| line.contains("lsns-thousands")).count(), count)
    };
    apart(|| {
        let keep = |numbers: std::ops::Range<u32>| {
            for number in numbers {
                let file = scratch.0.join(number.to_string());
                File::create(&file).expect("a file");
                unshare(CloneFlags::CLONE_NEWUTS).expect("a namespace");
                bind(Path::new("/proc/thread-self/ns/uts"), &file);
            }
            // What this thread starts is in none of them.
            unshare(CloneFlags::CLONE_NEWUTS).expect("a namespace");
        };
        keep(0..400);
        let few = traces.then(calls);
        keep(400..4_000);
        match few.zip(traces.then(calls)) {
            Some(((shown, few), (all, many))) => {
                assert_eq!((shown, all), (400, 4_000));
                assert!(many <= few + 3_600 * 13, "{few} calls for 400, {many} for 4,000");
            }
            None => skip("lsns_thousands", "without strace(1) nothing is counted"),
        }
        for command in [&["lsns", "-t", "uts"][..], &["ctr-ps", "-q"], &["ctr-ps", "-l"]] {
            let output = limited(applet(command[0]).args(&command[1..]));
            assert!(output.status.success(), "{command:?}: {}", stderr(&output));
        }
    });
}
