//! `ctr-inspect --root` on copies of hosts: what a copy lacks is unknown, and control groups as kernels of any version
//! have them.

use serde_json::{Value, json};

use crate::common::ctr_inspect::copy::{finding, group, host, inspect, report, write};
use crate::common::layout::id;
use crate::common::process::limited;
use crate::common::{self, applet, stdout};

#[test]
fn what_a_copy_lacks_is_unknown_with_that_reason() {
    let layout = host("copy-lacks", &[1]);
    layout.replace("proc/101/status", "VmPeak", "SigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0\nVmPeak");
    let found = report(&layout, &["c1"]);
    let limits = &found["limits"];
    for path in ["/memory/limit", "/cpu/quota", "/pids/limit", "/io/read_bytes", "/io/limits", "/hugetlb"] {
        assert_eq!(limits.pointer(path), Some(&Value::Null), "{path}: {limits}");
    }
    assert_eq!(found["privileges"]["masked"], Value::Null, "no mountinfo");
    assert_eq!(found["files"]["mounts"], Value::Null);
    assert_eq!(found["processes"]["init"]["signals"]["TERM"], Value::Null);
    let unknown = found["unknown"].as_array().expect("a list");
    let why = |path: &str| {
        let all: Vec<&Value> = unknown.iter().filter(|one| one["path"] == path).collect();
        assert_eq!(all.len(), 1, "{path}: {unknown:?}");
        all[0]["why"].as_str().expect("a reason").to_owned()
    };
    for path in ["limits.memory", "limits.cpu", "limits.pids", "limits.io", "limits.pressure"] {
        assert_eq!(why(path), "the copy has no control group files", "{path}");
    }
    for path in ["network", "files.deleted", "namespaces.hostname", "processes.init.signals"] {
        assert_eq!(why(path), "the copy of the host does not have it", "{path}");
    }
    assert!(!unknown.iter().any(|one| one["why"].as_str().is_some_and(|why| why.contains("root"))));
    assert_eq!(finding(&found, "no-pids-limit"), None);
    let text = inspect(&layout, &["c1"]);
    assert!(!text.contains("no limit") && !text.contains("no LSM"), "{text}");
}

/// `ctr-ps` reads them of the first process of the container.
#[test]
fn a_copy_has_the_addresses_of_its_containers() {
    let layout = host("copy-addresses", &[1]);
    let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.7\n        /32 host LOCAL\n";
    layout.file("proc/101/net/fib_trie", trie);
    layout.file("proc/101/net/if_inet6", "fd000000000000000000000000000007 02 40 00 80     eth0\n");
    let listed = limited(applet("ctr-ps").args(["-l", "-n", "-o", "ip", "--root"]).arg(layout.host.root()));
    assert_eq!(stdout(&listed).trim(), "192.0.2.7,fd00::7");
}

/// Links in a copy lead to files of this host.
#[test]
fn links_in_a_copy_are_not_followed() {
    let layout = host("copy-links", &[1]);
    let root = layout.host.root().join("proc/101");
    for (name, target) in [("root", "/"), ("cwd", "/"), ("ns/uts", "/proc/self/ns/uts")] {
        std::os::unix::fs::symlink(target, root.join(name)).expect("a link");
    }
    let found = report(&layout, &["c1"]);
    assert_eq!(found["namespaces"]["hostname"], Value::Null);
    assert_eq!(found["network"]["dns"], Value::Null);
    for key in ["devices", "space", "deleted", "cwd_outside"] {
        assert_eq!(found["files"][key], Value::Null, "{key}");
    }
    // Also none in place of a file of proc. Those within the copy are followed.
    let limits = |number: u32| {
        format!("Limit  Soft Limit  Hard Limit  Units\nMax open files  {number}  {number}  files\n")
    };
    let outside = common::Scratch::new("copy-links-outside");
    std::fs::write(outside.0.join("limits"), limits(4242)).expect("a file");
    std::fs::write(outside.0.join("meminfo"), "MemTotal: 4 kB\n").expect("a file");
    std::fs::write(layout.host.root().join("proc/kept"), limits(77)).expect("a file");
    let up = format!("../../../../../../../../../..{}", outside.0.join("limits").display());
    let nofile = || report(&layout, &["c1"])["limits"]["rlimits"]["nofile"]["soft"].clone();
    let link = |target: &std::path::Path, name: &str| {
        let path = layout.host.root().join(name);
        _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, path).expect("a link");
    };
    for (target, found) in [
        (outside.0.join("limits"), Value::Null),
        (up.into(), Value::Null),
        ("/proc/1/limits".into(), Value::Null),
        ("/proc/kept".into(), json!(77)),
        ("../kept".into(), json!(77)),
    ] {
        link(&target, "proc/101/limits");
        assert_eq!(nofile(), found, "{}", target.display());
    }
    link(&outside.0.join("meminfo"), "proc/meminfo");
    let top = limited(
        applet("ctr-top").args(["-b", "-n", "1", "-d", "0.1", "-J", "--root"]).arg(layout.host.root()),
    );
    let top: Value = serde_json::from_slice(&top.stdout).expect("JSON");
    assert_eq!(top["host"]["memory"]["total"], Value::Null, "{top}");
    // A process that is a link.
    let pid = std::process::id().to_string();
    link(format!("/proc/{pid}").as_ref(), &format!("proc/{pid}"));
    let all = limited(applet("ctr-ps").args(["-J", "--root"]).arg(layout.host.root()));
    assert!(!stdout(&all).contains(&format!("\"pid\": {pid},")), "{}", stdout(&all));
    // What a pipe or a socket would be read for is not waited for.
    std::fs::remove_file(layout.host.root().join("proc/101/limits")).expect("removed");
    nix::unistd::mkfifo(&layout.host.root().join("proc/101/limits"), nix::sys::stat::Mode::S_IRUSR)
        .expect("a FIFO");
    assert_eq!(nofile(), Value::Null);
}

#[test]
fn only_who_waited_is_throttled_by_a_quota_that_others_share() {
    let layout = host("copy-throttled", &[1, 2]);
    let stat = "usage_usec 9\nnr_periods 9000\nnr_throttled 8100\nthrottled_usec 500000000\n";
    write(&layout, "/limited", &[("cpu.max", "50000 100000\n"), ("cpu.stat", stat)]);
    let pressure = |total: u64| {
        format!(
            "some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
        )
    };
    for (number, waited) in [(1, 400_000_000), (2, 9_000_000)] {
        let procs = format!("{}\n", 100 + number);
        write(&layout, &group(number), &[("cpu.max", "max 100000\n"), ("cpu.stat", "nr_periods 0\n")]);
        write(&layout, &group(number), &[("cgroup.procs", &procs), ("cpu.pressure", &pressure(waited))]);
    }
    let throttled =
        |target: &str, sections: &str| finding(&report(&layout, &["-s", sections, target]), "cpu-throttled");
    let expected = "throttled in 90 % of periods since that group was made, by the quota of /limited; it does not \
                    wait now";
    for sections in ["limits", "identity,limits"] {
        assert_eq!(throttled("c1", sections), Some(("high".to_owned(), expected.to_owned())));
        assert_eq!(throttled("c2", sections), None, "it used no time");
    }
    let text = inspect(&layout, &["-s", "limits", "c2"]);
    assert!(text.contains("/limited is throttled in 90 %"), "{text}");
    // Nothing says who waited.
    std::fs::remove_file(layout.host.root().join(format!("sys/fs/cgroup{}/cpu.pressure", group(2))))
        .expect("removed");
    let (severity, text) = throttled("c2", "limits").expect("a finding");
    assert!(severity == "note" && text.contains("whether this container waited is not known"), "{text}");
    // Its own quota, with about the same counts.
    for own in ["9000", "8000"] {
        write(&layout, &group(2), &[("cpu.max", "20000 100000\n"), ("cpu.stat", &stat.replace("8100", own))]);
        let (severity, text) = throttled("c2", "limits").expect("a finding");
        assert!(severity == "high" && text.contains("% of periods since its start"), "{text}");
    }
}

#[test]
fn refused_forks_are_of_who_forked() {
    let layout = host("copy-forks", &[1, 2]);
    write(&layout, "/limited", &[("pids.max", "10\n"), ("pids.current", "3\n"), ("pids.events", "max 7\n")]);
    write(&layout, "/limited", &[("cgroup.procs", "")]);
    for number in [1, 2] {
        let procs = format!("{}\n", 100 + number);
        write(
            &layout,
            &group(number),
            &[("pids.max", "max\n"), ("pids.current", "1\n"), ("cgroup.procs", &procs)],
        );
    }
    let denied = |target: &str| {
        let found = report(&layout, &["-s", "limits", target]);
        (found["limits"]["pids"]["denied"].clone(), finding(&found, "pids-denied"))
    };
    // Before Linux 6.11 the group of the process that forks counts.
    write(&layout, &group(1), &[("pids.events", "max 7\n")]);
    write(&layout, &group(2), &[("pids.events", "max 0\n")]);
    let high = |text: &str| Some(("high".to_owned(), text.to_owned()));
    assert_eq!(denied("c1"), (json!(7), high("a limit of processes refused 7 forks since its start")));
    assert_eq!(denied("c2"), (json!(0), None));
    // Then the group with the limit.
    write(&layout, "/limited", &[("pids.events.local", "max 7\n")]);
    for number in [1, 2] {
        write(&layout, &group(number), &[("pids.events", "max 0\n"), ("pids.events.local", "max 0\n")]);
    }
    for target in ["c1", "c2"] {
        let text = "the limit of /limited refused 7 forks, of this container or others";
        assert_eq!(denied(target), (json!(0), Some(("note".to_owned(), text.to_owned()))));
    }
    // The other one is gone: the group is this container's alone.
    std::fs::remove_dir_all(layout.host.root().join(format!("sys/fs/cgroup{}", group(2)))).expect("removed");
    assert_eq!(denied("c1"), (json!(7), high("a limit of processes refused 7 forks since its start")));
}

/// Without the kernel's log only the counters are proof.
#[test]
fn whose_limit_killed_is_said_if_the_kernel_counted_that() {
    let layout = host("copy-oom", &[1]);
    layout.file("proc/uptime", "9000.00 9000.00\n");
    let events = |kills: u64| format!("max 3\noom 0\noom_kill {kills}\n");
    write(&layout, "/limited", &[("memory.max", "1000000\n"), ("memory.current", "900\n")]);
    write(
        &layout,
        &group(1),
        &[("memory.max", "max\n"), ("memory.current", "900\n"), ("memory.events", &events(2))],
    );
    let oom = || finding(&report(&layout, &["-s", "limits", "c1"]), "oom-kill").expect("a finding");
    let killed = "2 processes killed for lack of memory since its start";
    let lives = "; PID 1 lives on";
    assert_eq!(oom(), ("medium".to_owned(), format!("{killed}{lives}")), "the limit of /limited is no proof");
    write(&layout, "/limited", &[("memory.events.local", "oom 2\n")]);
    assert_eq!(oom().1, format!("{killed}; the limit of /limited was reached{lives}"));
    layout.replace("proc/101/status", "NSpid:\t101\t1\n", "NSpid:\t101\n");
    let alone = format!("{killed}; the limit of /limited was reached");
    assert_eq!(oom().1, alone, "in the host's pid namespace there is no PID 1 of its own");
    // A kill within the hour hurts now. Without a log that shows by the age of the container, or if the count grows.
    layout.file("proc/uptime", "3000.00 3000.00\n");
    assert_eq!(oom(), ("high".to_owned(), alone));
    layout.file("proc/uptime", "9000.00 9000.00\n");
    assert_eq!(oom().0, "medium");
    let undecided = finding(&report(&layout, &["-s", "limits", "c1"]), "unknown").expect("a note").1;
    assert!(undecided.ends_with(" oom-kill"), "{undecided}");
    let path = layout.host.root().join(format!("sys/fs/cgroup{}/memory.events", group(1)));
    let grown = |kills| {
        let new = path.with_extension("new");
        std::fs::write(&new, events(kills)).and_then(|()| std::fs::rename(&new, &path)).expect("a file");
    };
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        use std::sync::atomic::Ordering;
        scope.spawn(|| (3..).take_while(|_| !is_over.load(Ordering::Relaxed)).for_each(grown));
        common::until("a count that grows is high", || oom().0 == "high");
        is_over.store(true, Ordering::Relaxed);
    });
}

/// dockerd has options for its directories. A container that uses the network of another one has that one's files in /etc.
#[test]
fn a_container_of_docker_with_a_data_root_that_only_its_bundle_knows() {
    let layout = host("copy-data-root", &[]);
    let (own, other) = (id(1), id(2));
    layout.process(101, 0, &group(1), 1);
    layout.replace("proc/101/status", "VmPeak", "SigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0\nVmPeak");
    let bundle = format!("run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/{own}");
    let hosts = format!("/srv/data/containers/{other}/hosts");
    layout.file(
        format!("{bundle}/config.json"),
        format!(r#"{{"mounts":[{{"destination":"/etc/hosts","source":"{hosts}"}}]}}"#),
    );
    layout.file(format!("{bundle}/init.pid"), "101");
    layout.file(
        format!("srv/data/containers/{own}/config.v2.json"),
        r#"{"Name":"/web","State":{"Running":true,"Pid":101},"Config":{"StopSignal":"SIGQUIT"},
        "NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8081"}]}}}"#,
    );
    let found = report(&layout, &["web"]);
    assert_eq!(found["identity"]["container"], "docker:web");
    assert_eq!(found["processes"]["init"]["stop_signal"], "QUIT");
    let published = &found["network"]["published"][0];
    assert_eq!((&published["host_port"], &published["port"]), (&json!(8081), &json!(80)));
}

/// A network namespace has the published ports of the container that was started with it: of a pod, of `--network
/// container:NAME`.
#[test]
fn containers_that_share_a_network_share_its_published_ports() {
    let layout = host("copy-shared-network", &[1, 2, 3, 4, 5]);
    let port = |number: u32, host_port: u16| {
        let ports =
            format!(r#""NetworkSettings":{{"Ports":{{"80/tcp":[{{"HostPort":"{host_port}"}}]}}}},"Config""#);
        let path = format!("var/lib/docker/containers/{}/config.v2.json", id(number));
        layout.replace(&path, r#""Config""#, &ports);
    };
    let joins = |pid: u32, of: u32| {
        let link = |pid: u32| layout.host.root().join(format!("proc/{pid}/ns/net"));
        std::fs::remove_file(link(pid)).expect("removed");
        std::os::unix::fs::symlink(std::fs::read_link(link(of)).expect("a link"), link(pid)).expect("a link");
    };
    port(1, 8081);
    joins(102, 101);
    // The network of the host is nobody's.
    port(4, 8084);
    joins(104, 1);
    joins(105, 1);
    for (name, expected) in
        [("c1", json!([8081])), ("c2", json!([8081])), ("c3", json!([])), ("c5", json!([]))]
    {
        let found = report(&layout, &["-s", "network", name]);
        let published = found["network"]["published"].as_array().expect("a list").iter();
        assert_eq!(json!(published.map(|one| &one["host_port"]).collect::<Vec<_>>()), expected, "{name}");
    }
}

#[test]
fn a_command_that_is_cut_ends_in_a_mark() {
    let layout = host("copy-cut", &[1]);
    for (length, is_cut) in [(69, false), (70, true), (500, true)] {
        layout.file("proc/101/cmdline", "x".repeat(length) + "\0");
        let text = inspect(&layout, &["-s", "identity,processes", "c1"]);
        let line = |mark: &str| text.lines().find(|line| line.contains(mark)).expect("a line").to_owned();
        let (command, process) = (line("command "), line(" S  x"));
        assert_eq!((command.len(), command.ends_with("x+")), (80, is_cut), "{text}");
        assert_eq!((process.len(), process.ends_with("x+")), (80, true), "{text}");
    }
}
