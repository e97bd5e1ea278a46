//! `ctr-top` on hosts made of files, and on a group that this test makes.

use serde_json::{Value, json};

use crate::common::cgexec::{Name, mounted};
use crate::common::ctr_ps::{DB, Host, WEB, harmless, scope, state};
use crate::common::ctr_top::{V2, ctr_top, document, host, of, row, v2, write};
use crate::common::process::{Holder, Piped, limited, namespaces, printed};
use crate::common::{applet, binary, program, root, skip, stderr, stdout};

/// Nothing happens in a copy of a host, so there are no rates: unknown, not 0.
#[test]
fn values_on_v2() {
    let host = v2("top-v2");
    let document = document(&mut ctr_top(&host));
    assert_eq!(document["cpus"], 4);
    assert_eq!(document["memory"], json!({"available": 524_288 * 1024, "total": 1_048_576 * 1024}));
    assert_eq!((&document["pods"], &document["services"]), (&Value::Null, &json!([])));
    let row = row(&document, "docker:web");
    assert_eq!(
        (&row["runtime"], &row["name"], &row["id"], &row["pid"]),
        (&json!("docker"), &json!("web"), &json!(WEB), &json!(10))
    );
    assert_eq!(
        (&row["own_cgroup"], &row["status"], &row["procs"]),
        (&json!(true), &json!("running"), &json!(1))
    );
    assert_eq!(
        row["cpu"],
        json!({"percent": null, "of_limit": null, "limit": 1.5, "limit_by": "/system.slice", "seconds": 1.5})
    );
    assert_eq!(row["throttled"], json!({"percent": null, "periods": 40, "throttled": 10, "seconds": 2.5}));
    let memory = json!({"usage": 5_000_000, "working_set": 4_000_000, "limit": 8_000_000, "limit_by": "/system.slice",
        "percent": 50.0, "anon": 3_000_000, "file": 2_000_000, "shmem": 500_000, "oom_kills": 2});
    assert_eq!(row["memory"], memory);
    assert_eq!(row["pids"], json!({"current": 7, "limit": 50, "limit_by": "/system.slice"}));
    let io = json!({"read_rate": null, "write_rate": null, "read_bytes": 101, "write_bytes": 202, "source": "cgroup"});
    assert_eq!(row["io"], io);
    assert_eq!(row["pressure"], json!({"cpu": 1.5, "memory": 2.0, "io": 0.0}));
    assert_eq!(row["net"], Value::Null);
}

/// The groups that v1 has for a container below `docker`.
fn v1_groups(host: &Host) {
    let group = |controller: &str| format!("{controller}/docker/{WEB}");
    write(
        host,
        &group("memory"),
        &[
            ("memory.usage_in_bytes", "5000000\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            (
                "memory.stat",
                "cache 1\nhierarchical_memory_limit 8000000\ntotal_rss 3000000\ntotal_cache 2000000\n\
                 total_shmem 500000\ntotal_inactive_file 1000000\n",
            ),
        ],
    );
    write(host, "memory/docker", &[("memory.limit_in_bytes", "8000000\n")]);
    write(host, &group("cpuacct"), &[("cpuacct.usage", "1500000000\n")]);
    write(
        host,
        &group("cpu"),
        &[
            ("cpu.cfs_quota_us", "50000\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("cpu.stat", "nr_periods 40\nnr_throttled 10\nthrottled_time 2500000000\n"),
        ],
    );
    write(host, &group("pids"), &[("pids.current", "7\n"), ("pids.max", "50\n")]);
    write(
        host,
        &group("blkio"),
        &[("blkio.throttle.io_service_bytes_recursive", "8:0 Read 0\n8:0 Write 0\nTotal 0\n")],
    );
    write(host, &group("freezer"), &[("freezer.state", "THAWED\n")]);
}

const CONTROLLERS: [(&str, &str); 6] = [
    ("memory", "memory"),
    ("cpuacct", "cpuacct"),
    ("cpu", "cpu"),
    ("pids", "pids"),
    ("blkio", "blkio"),
    ("freezer", "freezer"),
];

fn v1(name: &str, unified: bool) -> Host {
    let mut mounts = CONTROLLERS.to_vec();
    mounts.extend(unified.then_some(("unified", "")));
    let host = host(name, &mounts);
    let line = |(at, (_, names)): (usize, &(&str, &str))| format!("{at}:{names}:/docker/{WEB}\n");
    let lines: String = mounts.iter().enumerate().map(line).collect();
    host.file("proc/10/cgroup", lines);
    host.file("proc/10/stat", b"10 (prog) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 3 0 500 4096 10 0\n");
    host.file("proc/10/io", "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n");
    v1_groups(&host);
    host
}

#[test]
fn values_on_v1_and_hybrid_hosts() {
    for unified in [false, true] {
        let host = v1("top-v1", unified);
        if unified {
            // On a hybrid host only v1 knows that docker paused it.
            let group = format!("unified/docker/{WEB}");
            write(&host, &group, &[V2[4], V2[9], V2[10], V2[11], V2[12]]);
            write(&host, &format!("freezer/docker/{WEB}"), &[("freezer.state", "FROZEN\n")]);
        }
        let row = row(&document(&mut ctr_top(&host)), "docker:web");
        let by = format!("/docker/{WEB}");
        let cpu = json!({"percent": null, "of_limit": null, "limit": 0.5, "limit_by": by, "seconds": 1.5});
        assert_eq!(row["cpu"], cpu, "{unified}");
        assert_eq!(
            row["throttled"],
            json!({"percent": null, "periods": 40, "throttled": 10, "seconds": 2.5})
        );
        let memory = json!({"usage": 5_000_000, "working_set": 4_000_000, "limit": 8_000_000, "limit_by": "/docker",
            "percent": 50.0, "anon": 3_000_000, "file": 2_000_000, "shmem": 500_000, "oom_kills": 2});
        assert_eq!(row["memory"], memory);
        assert_eq!(row["pids"], json!({"current": 7, "limit": 50, "limit_by": by}));
        let io = json!({"read_rate": null, "write_rate": null, "read_bytes": 4096, "write_bytes": 8192, "source": "processes"});
        assert_eq!(row["io"], io);
        let pressure = if unified { json!({"cpu": 1.5, "memory": 2.0, "io": 0.0}) } else { Value::Null };
        assert_eq!(
            (&row["pressure"], &row["status"]),
            (&pressure, &json!(if unified { "paused" } else { "running" }))
        );
    }
}

/// v1 counts neither write-back nor, on new kernels, what no limit holds for.
#[test]
fn the_disk_use_that_missed_less() {
    for (written, bytes, source) in [(100, 8192, "processes"), (1_000_000, 1_000_000, "cgroup")] {
        let host = v1("top-disk", false);
        let counted = format!("8:0 Read 0\n8:0 Write {written}\nTotal {written}\n");
        let file = ("blkio.throttle.io_service_bytes_recursive", &*counted);
        write(&host, &format!("blkio/docker/{WEB}"), &[file]);
        let row = row(&document(&mut ctr_top(&host)), "docker:web");
        assert_eq!((&row["io"]["write_bytes"], &row["io"]["source"]), (&json!(bytes), &json!(source)));
    }
}

/// As for an ordinary user, who reads no disk use of processes.
#[test]
fn no_disk_use_in_a_group_of_v1_says_nothing() {
    for (written, bytes, source) in [(0, Value::Null, Value::Null), (100, json!(100), json!("cgroup"))] {
        let host = v1("top-no-disk", false);
        std::fs::remove_file(host.root().join("proc/10/io")).expect("a file");
        let counted = format!("8:0 Read 0\n8:0 Write {written}\nTotal {written}\n");
        let file = ("blkio.throttle.io_service_bytes_recursive", &*counted);
        write(&host, &format!("blkio/docker/{WEB}"), &[file]);
        let row = row(&document(&mut ctr_top(&host)), "docker:web");
        assert_eq!((&row["io"]["write_bytes"], &row["io"]["source"]), (&bytes, &source));
    }
}

/// v1 counts a kill in the victim's group alone, which can be one below the container's, also one that comes later.
#[test]
fn kills_in_groups_below_count_on_v1() {
    let host = v1("top-kills", false);
    let kills = |group: &str, count: u32| {
        let text = format!("oom_kill_disable 0\nunder_oom 0\noom_kill {count}\n");
        write(&host, &format!("memory/docker/{WEB}/{group}"), &[("memory.oom_control", &text)]);
    };
    kills("init.scope", 3);
    let mut ps = applet("ctr-ps");
    let listed = printed(ps.arg("--root").arg(host.root()).args(["-l", "-n", "-o", "oom_kills"]));
    assert_eq!(listed.trim(), "5");
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1"]));
    let mut kills_are = |count: u32| {
        (0..100).any(|_| {
            let document: Value = serde_json::from_str(&piped.line()).expect("JSON");
            row(&document, "docker:web")["memory"]["oom_kills"] == count
        })
    };
    assert!(kills_are(5));
    kills("system.slice", 4);
    // The first process of a group is unlike all others.
    host.process(40, 1, "/new.scope", b"new\0");
    let lines: String = CONTROLLERS
        .iter()
        .enumerate()
        .map(|(at, (_, names))| format!("{at}:{names}:/docker/{WEB}/system.slice\n"))
        .collect();
    host.file("proc/40/cgroup", lines);
    assert!(kills_are(9));
    // A container can make groups without end: then the number is not known, and not that of its own group.
    for number in 0..1_100 {
        let group = host.root().join(format!("sys/fs/cgroup/memory/docker/{WEB}/more/{number}"));
        std::fs::create_dir_all(group).expect("a group");
    }
    assert_eq!(row(&document(&mut ctr_top(&host)), "docker:web")["memory"]["oom_kills"], Value::Null);
}

/// What is not known is null and `-`, never 0.
#[test]
fn a_container_without_readable_groups() {
    let host = host("top-none", &[]);
    let document = document(&mut ctr_top(&host));
    let row = row(&document, "docker:web");
    for value in
        [&row["cpu"]["percent"], &row["cpu"]["seconds"], &row["memory"]["usage"], &row["pids"]["current"]]
    {
        assert_eq!(value, &Value::Null, "{row}");
    }
    assert_eq!((&row["own_cgroup"], &row["io"]["source"]), (&Value::Null, &Value::Null));
    let text =
        stdout(&of(&host, &["-b", "-n", "1", "-d", "0.1", "-o", "container,cpu,memory,pids,read/s,psi"]));
    assert!(text.contains("docker:web   -      -    -      -   -"), "{text}");
}

#[test]
fn a_paused_container_and_the_other_forms() {
    let host = v2("top-paused");
    write(&host, &scope(WEB), &[("cgroup.events", "populated 1\nfrozen 1\n")]);
    let common = ["-b", "-n", "1", "-d", "0.1"];
    let text = stdout(&of(&host, &[&common[..], &["-o", "container,cpu,memory,limit,mem%,pids"]].concat()));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].contains("  CPU -/400%  ")
            && lines[0].contains("memory 512M of 1.0G  1 container  sorted by cpu"),
        "{text}"
    );
    assert!(lines.contains(&"docker:web paused   3.9M  7.7M 50.0%    7"), "{text}");
    let raw = stdout(&of(
        &host,
        &["-r", "-n", "2", "-d", "0.1", "--noheadings", "-o", "container,status,memory,cpus", "web"],
    ));
    assert_eq!(raw, "docker:web paused 4000000 1.5\n\ndocker:web paused 4000000 1.5\n");
    let listed = stdout(&of(&host, &["-H"]));
    assert!(listed.lines().any(|line| line.trim_start().starts_with("OF-LIM ")), "{listed}");
}

#[test]
fn targets_order_and_mistakes() {
    let host = v2("top-targets");
    host.docker(DB, state("db", 20));
    host.process(20, 1, &scope(DB), b"db\0");
    write(
        &host,
        &scope(DB),
        &[("memory.current", "9000000\n"), ("pids.current", "2\n"), ("cpu.stat", "usage_usec 5\n")],
    );
    let names = |arguments: &[&str]| {
        let output = of(
            &host,
            &[&["-r", "-n", "1", "-d", "0.1", "--noheadings", "-o", "container"], arguments].concat(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&["-s", "mem", "web", "db"]), ["docker:db", "docker:web"]);
    assert_eq!(names(&["-s", "pids", "web", "db"]), ["docker:web", "docker:db"]);
    assert_eq!(names(&["-s", "name"]), ["docker:db", "docker:web", "host"]);
    assert_eq!(names(&["--sort-by=-mem", "--no-stream", "web", "db"]), ["docker:web", "docker:db"]);
    assert_eq!(names(&["--order=memory", "--per=pods", "web", "db"]), ["docker:db", "docker:web"]);
    assert_eq!(names(&["10"]), ["docker:web"]);
    assert_eq!(names(&[&DB[..8]]), ["docker:db"]);
    assert_eq!(document(ctr_top(&host).arg("db"))["host"], Value::Null);
    host.file("proc/2/status", "Name:\tkthreadd\nState:\tS (sleeping)\nPid:\t2\nPPid:\t0\nKthread:\t1\n");
    // To whom its namespaces do not show.
    host.process(30, 1, "/init.scope", b"x\0");
    _ = std::fs::remove_dir_all(host.root().join("proc/30/ns"));
    let status = "Name:\tx\nState:\tS (sleeping)\nPid:\t30\nPPid:\t1\nNSpid:\t30\t1\nVmSize:\t1 kB\n";
    host.file("proc/30/status", status);
    host.docker(&"e".repeat(64), r#"{"Name":"/ended","State":{"Running":false,"Pid":0},"Config":{}}"#);
    for (arguments, message) in [
        (
            &["ended"][..],
            "container docker:ended does not run; type ctr-ps -l -a ended, or ctr-inspect ended",
        ),
        (&["nobody"], "no process or running container 'nobody'"),
        (&["1"], "process 1 is in no container"),
        (&["2"], "process 2 is a thread of the kernel, which is in no container"),
        (&["30"], "unknown whether process 30 is in a container: it has a pid namespace of its own"),
        (&["31"], "no process 31"),
        (&["-s", "x"], "unknown sort key 'x'"),
        (&["-o", "cpuu"], "unknown column 'cpuu'; did you mean cpu?"),
        (&["-d", "0"], "invalid delay '0'"),
        (&["-n", "0"], "invalid number of iterations: '0'"),
        (&["-J", "-r"], "mutually exclusive"),
        (&["-J", "-o", "cpu"], "mutually exclusive"),
        (&["--per", "x"], "unknown unit 'x'"),
    ] {
        let output = of(&host, &[&["-b", "-n", "1"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(message), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn hostile_names_move_nothing_on_the_terminal() {
    let host = v2("top-hostile");
    host.docker(WEB, state("a\u{1b}[2J\u{202e}\"}\nb", 10));
    for arguments in [&["-b", "-n", "1", "-d", "0.1"][..], &["-r", "-n", "1", "-d", "0.1"], &["--prometheus"]]
    {
        let output = of(&host, arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        harmless(&stdout(&output));
    }
    let text = stdout(&of(&host, &["-J", "-n", "1", "-d", "0.1"]));
    harmless(&text);
    let name = serde_json::from_str::<Value>(&text).expect("JSON")["containers"][0]["name"].clone();
    assert_eq!(name, "a\u{1b}[2J\u{202e}\"}\nb");
}

/// A group that is not the container's alone, and then one that is.
#[test]
fn sums_over_processes_and_a_group_of_its_own() {
    let test = "sums_over_processes";
    if !namespaces(test) {
        return;
    }
    if mounted("cpuacct").or_else(|| mounted("cpu")).is_none() || mounted("memory").is_none() {
        return skip(test, "needs mounted controllers that this test may use");
    }
    let holder = Holder::new(&["-m", "-p", "-f"], "while :; do :; done &");
    let busy = crate::common::process::children(holder.pid);
    let look = || document(applet("ctr-top").arg(holder.pid.to_string()))["containers"][0].clone();
    let shared = look();
    assert_eq!(shared["own_cgroup"], false, "{shared}");
    // A shared group also counts kills of the processes of others.
    assert_eq!(shared["memory"]["oom_kills"], Value::Null, "{shared}");
    assert!(shared["cpu"]["seconds"].is_number() && shared["memory"]["usage"].is_number(), "{shared}");
    let name = Name::new(test);
    let mut all = Vec::new();
    for controller in ["cpuacct", "cpu", "memory", "pids"] {
        if let Some((_, _)) = mounted(controller) {
            let group = name.make(controller, "own");
            for pid in busy.iter().chain([&holder.pid]) {
                std::fs::write(group.join("cgroup.procs"), pid.to_string()).expect("moved");
            }
            all.push(group);
        }
    }
    let counter = || {
        let read = |file: &str| all.iter().find_map(|group| std::fs::read_to_string(group.join(file)).ok());
        let v1 = read("cpuacct.usage").and_then(|text| Some(text.trim().parse::<f64>().ok()? / 1e9));
        v1.or_else(|| {
            let text = read("cpu.stat")?;
            let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
            Some(line.parse::<f64>().ok()? / 1e6)
        })
    };
    let before = counter().expect("a counter");
    let own = look();
    let after = counter().expect("a counter");
    assert_eq!(own["own_cgroup"], true, "{own}");
    let seconds = own["cpu"]["seconds"].as_f64().expect("a number");
    assert!(before - 1e-6 <= seconds && seconds <= after + 1e-6, "{before} {seconds} {after}");
    assert!(own["cpu"]["percent"].as_f64().is_some_and(|percent| percent > 0.0), "{own}");
    drop(holder);
    drop(name);
}

#[test]
fn a_failure_is_reported_once() {
    if !root() {
        return skip("root", "needs root, to cover /proc");
    }
    let mut command = program("unshare");
    command
        .args(["-m", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\" ctr-top -b -n 1"])
        .arg(binary());
    let output = limited(&mut command);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

/// The mount points in the files of another host are paths of that host.
#[test]
fn a_copy_of_another_host_has_its_own_groups() {
    let host = v2("top-copy");
    host.file("proc/self/mountinfo", "30 1 0:40 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    let web = row(&document(&mut ctr_top(&host)), "docker:web");
    assert_eq!(web["memory"]["usage"], 5_000_000, "{web}");
    assert_eq!(web["pids"]["current"], 7, "{web}");
}

/// Its groups were not captured: then their values are not known, but the containers are.
#[test]
fn a_copy_of_another_host_without_its_groups() {
    let root = crate::common::project("tests/fixtures/systemd-v2/root");
    let mut top = applet("ctr-top");
    let document = document(top.arg("--root").arg(&root));
    let names = |list: &Value, key: &str| {
        let names = list.as_array().expect("a list").iter().map(|row| row[key].as_str().expect("a name"));
        names.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let mut ps = applet("ctr-ps");
    let listed = printed(ps.arg("--root").arg(&root).args(["-l", "-J"]));
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(names(&document["containers"], "name"), names(&listed["containers"], "container"));
    let web = row(&document, "docker:rt-web");
    for key in ["usage", "working_set", "limit", "percent", "anon", "oom_kills"] {
        assert_eq!(web["memory"][key], Value::Null, "{web}");
    }
    for (part, key) in
        [("cpu", "percent"), ("cpu", "seconds"), ("io", "read_bytes"), ("throttled", "periods")]
    {
        assert_eq!(web[part][key], Value::Null, "{web}");
    }
    assert_eq!((&web["pids"]["current"], &web["pressure"]), (&Value::Null, &Value::Null), "{web}");
}
