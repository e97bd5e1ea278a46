//! `ctr-top`: what happens between two samples, and what a sample costs.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::ctr_ps::{DB, Host, WEB, scope, state};
use crate::common::ctr_top::{V2, ctr_top, document, row, v2, write};
use crate::common::network::networks;
use crate::common::process::{Holder, Piped, children, limited};
use crate::common::{applet, binary, program, skip, stderr, stdout, there, until as eventually};

/// Documents, until the row of a container is as wanted. None: there is no row. The time of the host passes meanwhile.
fn until(
    (host, piped): (&Host, &mut Piped),
    container: &str,
    what: &str,
    is_wanted: impl Fn(Option<&Value>) -> bool,
) {
    static TICKS: AtomicU64 = AtomicU64::new(1_000);
    let mut last = String::new();
    for _ in 0..300 {
        let ticks = TICKS.fetch_add(100, Ordering::Relaxed);
        let new = host.file("proc/stat.new", format!("cpu  100 0 100 {ticks} 100 0 0 0 0 0\ncpu0 1\n"));
        std::fs::rename(new, host.root().join("proc/stat")).expect("renamed");
        last = piped.line();
        let document: Value =
            serde_json::from_str(&last).unwrap_or_else(|error| panic!("{what}: {error}: {last:?}"));
        let rows = document["containers"].as_array().expect("a list");
        if is_wanted(rows.iter().find(|row| row["container"] == container)) {
            return;
        }
    }
    panic!("{what}: {last}");
}

#[test]
fn containers_start_and_end_and_counters_go_down() {
    let host = v2("top-ticks");
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1"]));
    until((&host, &mut piped), "docker:web", "there at the start", |row| {
        row.is_some_and(|row| row["cpu"]["percent"] == 0.0)
    });
    let usage = |usec: u64| write(&host, &scope(DB), &[("cpu.stat", &format!("usage_usec {usec}\n"))]);
    usage(5_000_000);
    host.docker(DB, state("db", 20));
    host.process(20, 1, &scope(DB), b"db\0");
    // The first sample of a container has no rate.
    until((&host, &mut piped), "docker:db", "it starts", |row| {
        row.is_some_and(|row| row["cpu"]["percent"].is_null())
    });
    usage(6_000_000);
    let is_more = |row: Option<&Value>| row.is_some_and(|row| row["cpu"]["percent"].as_f64() > Some(0.0));
    until((&host, &mut piped), "docker:db", "it works", is_more);
    until((&host, &mut piped), "docker:db", "it rests", |row| {
        row.is_some_and(|row| row["cpu"]["percent"] == 0.0)
    });
    // A counter that went down is that of a new container: neither a negative rate, nor 0.
    usage(1_000_000);
    until((&host, &mut piped), "docker:db", "it is another one", |row| {
        let percent = &row.expect("a row")["cpu"]["percent"];
        assert!(percent.as_f64().is_none_or(|percent| percent >= 0.0), "{percent}");
        percent.is_null()
    });
    until((&host, &mut piped), "docker:db", "it goes on", |row| {
        row.is_some_and(|row| row["cpu"]["percent"] == 0.0)
    });
    std::fs::remove_dir_all(host.root().join("proc/20")).expect("removed");
    until((&host, &mut piped), "docker:db", "it ends", |row| row.is_none());
    until((&host, &mut piped), "docker:web", "the other one goes on", |row| row.is_some());
}

/// A process that moves to another container after it was seen.
#[test]
fn a_new_process_is_looked_at_more_than_once() {
    let host = v2("top-moves");
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1"]));
    let procs = |count: u64| move |row: Option<&Value>| row.is_some_and(|row| row["procs"] == count);
    until((&host, &mut piped), "docker:web", "one process", procs(1));
    // As one that docker exec starts, it begins outside.
    host.process(40, 1, "/init.scope", b"runc\0");
    let is_counted = |line: &str| line.contains("\"procs\":2,") && line.contains("\"container\":\"host\"");
    while !is_counted(&piped.line()) {}
    host.process(40, 1, &scope(WEB), b"sh\0");
    until((&host, &mut piped), "docker:web", "two processes", procs(2));
}

/// The system calls of a run on a host with so many containers and processes in each.
fn calls(containers: u32, processes: u32, arguments: &[&str]) -> usize {
    let host = v2("top-cost");
    for number in 0..containers {
        let id = format!("{number:064x}");
        let first = 1_000 + i64::from(number) * 100;
        host.docker(&id, state(&format!("c{number}"), first));
        for pid in 0..i64::from(processes) {
            host.process(first + pid, 1, &scope(&id), b"x\0");
        }
        write(&host, &scope(&id), V2);
    }
    let trace = host.root().join("calls");
    let mut command = program("strace");
    command.args(["-f", "-qq", "-o"]).arg(&trace).arg(binary()).args(["ctr-top", "--root"]).arg(host.root());
    let output = limited(command.args(arguments));
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::read_to_string(trace).expect("calls").lines().count()
}

#[test]
fn the_cost_of_a_sample_is_linear() {
    if !there("strace") {
        return skip("the_cost_of_a_sample_is_linear", "needs strace");
    }
    let [few, more, most] = [(10, 1), (20, 1), (20, 5)]
        .map(|(containers, processes)| calls(containers, processes, &["--prometheus"]));
    let container = (more - few) / 10;
    // Files of a copy of a host are opened below one descriptor of its root, and their kind is checked.
    assert!(container < 110, "{container} calls for a container more: {few}, {more}");
    let process = (most - more) / 80;
    assert!(process < 22, "{process} calls for a process more: {more}, {most}");
}

/// The files of groups stay open, and processes are not read again.
#[test]
fn a_further_sample_costs_one_call_for_each_file_of_a_group() {
    if !there("strace") {
        return skip("a_further_sample", "needs strace");
    }
    let of = |containers, processes| {
        let run = |count: &str| calls(containers, processes, &["-J", "-d", "0.1", "-n", count]);
        let (few, many) = (run("8"), run("18"));
        many.saturating_sub(few) / 10
    };
    let [few, more, most] =
        [(10, 1), (30, 1), (30, 5)].map(|(containers, processes)| of(containers, processes));
    let container = more.saturating_sub(few) / 20;
    // Use, limits and pressure are in 13 files; the rest is output.
    assert!((10..=16).contains(&container), "{container} calls for a container and sample: {few}, {more}");
    let process = most.saturating_sub(more) / 120;
    assert!(process == 0, "{process} calls for a process and sample: {more}, {most}");
}

/// A host with so many containers, and processes that nothing reads again.
fn crowd(name: &str, containers: i64) -> Host {
    let host = v2(name);
    for number in 0..containers {
        let id = format!("{number:064x}");
        host.docker(&id, state(&format!("c{number}"), 1_000 + number));
        host.process(1_000 + number, 1, &scope(&id), b"x\0");
        write(&host, &scope(&id), V2);
    }
    host
}

/// Containers come one after the other. Each is there as soon as its process was listed: no scan of all processes is waited
/// for, and none is made.
#[test]
fn a_new_container_is_there_at_the_next_look() {
    if !there("strace") {
        return skip("a_new_container_is_there_at_the_next_look", "needs strace");
    }
    const NEW: i64 = 12;
    let host = crowd("top-new", 100);
    let trace = host.root().join("calls");
    let mut command = program("strace");
    command.args(["-f", "-qq", "-e", "trace=openat2", "-o"]).arg(&trace).arg(binary());
    let mut piped = Piped::new(command.args(["ctr-top", "-J", "-d", "0.1", "--root"]).arg(host.root()));
    let next = |piped: &mut Piped| {
        let document: Value = serde_json::from_str(&piped.line()).expect("JSON");
        let rows = document["containers"].as_array().expect("a list").clone();
        let find = |name: &str| rows.iter().find(|row| row["container"] == name).cloned();
        (find("docker:web").expect("a row")["pids"]["current"].clone(), rows.len())
    };
    assert_eq!(next(&mut piped).1, 101);
    for number in 0..NEW {
        let id = format!("{:064x}", 5_000 + number);
        host.docker(&id, state(&format!("new{number}"), 5_000 + number));
        write(&host, &scope(&id), V2);
        host.process(5_000 + number, 1, &scope(&id), b"x\0");
        // What a sample shows was there at the end of its look. The look of the next sample comes after that.
        write(&host, &scope(WEB), &[("pids.current", &format!("{}\n", 100 + number))]);
        while next(&mut piped).0 != 100 + number {}
        assert_eq!(next(&mut piped).1 as i64, 102 + number);
    }
    // strace ends with its program, and has written all then.
    for program in children(piped.pid()) {
        kill(Pid::from_raw(program), Signal::SIGTERM).expect("a signal");
    }
    while !piped.line().is_empty() {}
    drop(piped);
    let calls = std::fs::read_to_string(trace).expect("calls");
    let reads =
        |pid: i64| calls.lines().filter(|line| line.contains(&format!("proc/{pid}/cgroup\""))).count();
    // Those of the first look.
    assert_eq!((reads(1_000), reads(1_099)), (reads(1_050), reads(1_001)));
    assert!(reads(1_000) < NEW as usize / 2, "{} reads of an old process", reads(1_000));
    assert!(reads(5_000) > 0);
}

/// A runtime starts the first process of a container, and writes the state file that names it afterwards.
#[test]
fn a_container_that_is_young_gets_its_name() {
    let host = v2("top-young");
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1"]));
    until((&host, &mut piped), "docker:web", "there at the start", |row| row.is_some());
    host.process(20, 1, &scope(DB), b"db\0");
    host.file(
        "proc/20/stat",
        format!("20 (db) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {} 0 0 0\n", u32::MAX),
    );
    let claimed = format!("docker:{}?", &DB[..12]);
    until((&host, &mut piped), &claimed, "without a state file", |row| row.is_some());
    host.docker(DB, state("db", 20));
    // Well before all processes are read again.
    let last = (0..100).map(|_| piped.line()).find(|line| line.contains("\"container\":\"docker:db\""));
    let last = last.expect("it has its name");
    assert!(last.contains("\"procs\":1,") && !last.contains(&claimed), "{last}");
}

/// Its first process ends, and others go on.
#[test]
fn a_container_outlives_its_first_process() {
    let host = v2("top-outlives");
    host.process(11, 10, &scope(WEB), b"worker\0");
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1"]));
    let pid = |pid: i64| move |row: Option<&Value>| row.is_some_and(|row| row["pid"] == pid);
    until((&host, &mut piped), "docker:web", "two processes", pid(10));
    std::fs::remove_dir_all(host.root().join("proc/10")).expect("removed");
    host.docker(WEB, state("web", 11));
    until((&host, &mut piped), "docker:web", "the other one", pid(11));
}

/// With a TARGET, containers that nobody asked for come and go too.
#[test]
fn a_target_starts_again_beside_others() {
    let host = v2("top-again");
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1", "web"]));
    until((&host, &mut piped), "docker:web", "there at the start", |row| row.is_some());
    host.docker(DB, state("db", 20));
    write(&host, &scope(DB), V2);
    host.process(20, 1, &scope(DB), b"db\0");
    std::fs::remove_dir_all(host.root().join("proc/10")).expect("removed");
    until((&host, &mut piped), "docker:web", "it ends", |row| row.is_none());
    host.docker(WEB, state("web", 30));
    host.process(30, 1, &scope(WEB), b"nginx\0");
    until((&host, &mut piped), "docker:web", "it starts", |row| row.is_some_and(|row| row["pid"] == 30));
    until((&host, &mut piped), "docker:db", "nobody asked for it", |row| row.is_none());
}

/// The next process with the PID of one that ended is another one.
#[test]
fn the_pid_of_a_process_that_ended_can_be_that_of_another_container() {
    let host = v2("top-recycled");
    host.process(40, 1, "/init.scope", b"cron\0");
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1"]));
    let procs = |line: &str| {
        let document: Value = serde_json::from_str(line).expect("JSON");
        let rows = document["containers"].as_array().expect("a list");
        rows.iter().find(|row| row["container"] == "docker:web").map(|row| row["procs"].clone())
    };
    assert_eq!(procs(&piped.line()), Some(1.into()));
    // The directory of a new process has another inode.
    let directory = host.root().join("proc/40");
    std::fs::rename(&directory, host.root().join("proc/gone")).expect("renamed");
    host.process(40, 1, &scope(WEB), b"sh\0");
    // Well before all processes are read again.
    let last: Vec<_> =
        (0..100).map(|_| procs(&piped.line())).take_while(|procs| *procs != Some(2.into())).collect();
    assert!(last.len() < 100, "{last:?}");
}

/// What stays open of a process that counts for a network namespace keeps nothing of the namespace.
#[test]
fn a_network_namespace_ends_with_its_container() {
    if !networks("a_network_namespace_ends_with_its_container") {
        return;
    }
    let (other, container) = (Holder::new(&["-n"], ""), Holder::new(&["-p", "-f", "-n"], ""));
    let (near, far) = (other.pid.to_string(), container.pid.to_string());
    // Both ends of the veth are in namespaces of the test. One end cannot be without the other.
    let link = |arguments: &[&str]| {
        let mut command = program("nsenter");
        limited(command.args(["-n", "-t", &near, "ip", "link"]).args(arguments)).status.success()
    };
    assert!(link(&["add", "v0", "type", "veth", "peer", "name", "v1", "netns", &far]));
    let piped = Piped::new(applet("ctr-top").args(["-J", "-d", "1000", &far]));
    let directory = format!("/proc/{far}/net");
    let keeps = || {
        let all = std::fs::read_dir(format!("/proc/{}/fd", piped.pid())).expect("descriptors");
        all.flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .any(|path| path == std::path::Path::new(&directory))
    };
    eventually("the directory stays open", keeps);
    drop(container);
    eventually("the namespace has ended", || !link(&["show", "v0"]));
}

/// Root of the container can give any interface any name.
#[test]
fn the_loopback_does_not_count_whatever_its_name_is() {
    if !networks("the_loopback_does_not_count_whatever_its_name_is") {
        return;
    }
    let setup = "ip link set lo name x\nip link set x up\nip link add lo type veth peer name v1\n\
        bash -c 'echo hello >/dev/udp/127.0.0.1/9'";
    let container = Holder::new(&["-m", "-p", "-f", "-n"], setup);
    let pid = container.pid.to_string();
    let devices = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).expect("read");
    let line = devices.lines().find_map(|line| line.trim_start().strip_prefix("x:")).expect("the loopback");
    assert!(!line.trim_start().starts_with("0 "), "it has traffic: {devices}");
    let mut command = applet("ctr-top");
    let document = document(command.arg(&pid));
    let net = &document["containers"][0]["net"];
    assert_eq!((&net["rx_bytes"], &net["tx_bytes"]), (&0.into(), &0.into()), "{document}");
    let output = limited(applet("ctr-top").args(["--prometheus", &pid]));
    let text = stdout(&output);
    assert!(text.contains("interface=\"lo\"") && !text.contains("interface=\"x\""), "{text}");
}

/// The kernel counts a wait for all groups above too: if that of a group above is as before, nobody waited below it.
#[test]
fn pressure_is_read_if_somebody_waited() {
    let host = v2("top-pressure");
    let put = |group: &str, average: &str, total: u32| {
        let text = format!("some avg10={average} avg60=0.00 avg300=0.00 total={total}\n");
        write(&host, group, &[("memory.pressure", &text)]);
    };
    put("system.slice", "0.00", 5);
    put(&scope(WEB), "0.00", 5);
    let mut piped = Piped::new(ctr_top(&host).args(["-J", "-d", "0.1"]));
    let mut memory = || {
        let document: Value = serde_json::from_str(&piped.line()).expect("JSON");
        row(&document, "docker:web")["pressure"]["memory"].as_f64()
    };
    assert_eq!(memory(), Some(0.0));
    // This cannot happen. It shows that the file is not read.
    put(&scope(WEB), "2.50", 6);
    assert!((0..10).all(|_| memory() == Some(0.0)));
    put("system.slice", "1.00", 6);
    assert!((0..100).any(|_| memory() == Some(2.5)));
    // From now on it is read, as it becomes less without a wait.
    put(&scope(WEB), "1.25", 6);
    assert!((0..100).any(|_| memory() == Some(1.25)));
}

/// What no column shows costs nothing.
#[test]
fn files_that_no_column_shows_are_not_read() {
    if !there("strace") {
        return skip("files_that_no_column_shows_are_not_read", "needs strace");
    }
    let host = v2("top-not-shown");
    host.file("proc/10/net/dev", "Inter-|\n face |\n  eth0: 100 1 0 0 0 0 0 0 200 1\n");
    let namespaces = host.root().join("proc/10/ns");
    std::fs::create_dir_all(&namespaces).expect("a directory");
    _ = std::fs::remove_file(namespaces.join("net"));
    std::os::unix::fs::symlink("net:[30010]", namespaces.join("net")).expect("a link");
    let opened = |arguments: &[&str]| {
        let trace = host.root().join("calls");
        let mut command = program("strace");
        command.args(["-f", "-qq", "-e", "trace=open,openat,openat2", "-o"]).arg(&trace);
        command.arg(binary()).args(["ctr-top", "--root"]).arg(host.root());
        let output = limited(command.args(["-b", "-n", "1", "-d", "0.1"]).args(arguments));
        assert!(output.status.success(), "{}", stderr(&output));
        let calls = std::fs::read_to_string(trace).expect("calls");
        [calls.contains("net/dev\""), calls.contains("cpu.pressure\"")]
    };
    assert_eq!(opened(&[]), [false, true]);
    assert_eq!(opened(&["-o", "container,cpu"]), [false, false]);
    assert_eq!(opened(&["-o", "container,rx/s"]), [true, false]);
    assert_eq!(opened(&["-o", "container,psi_io", "-s", "net"]), [true, true]);
}

#[test]
fn the_hosts_own_processes_have_disks_too() {
    let host = v2("top-host-disks");
    host.process(30, 1, "/", b"own\0");
    host.process(31, 1, "/", b"hidden\0");
    host.file("proc/30/stat", "30 (own) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 3 0 500 4096 10 0\n");
    assert_eq!(
        document(&mut ctr_top(&host))["host"]["io"]["read_bytes"],
        Value::Null,
        "no process has the file"
    );
    host.file("proc/30/io", "rchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\n");
    let io = document(&mut ctr_top(&host))["host"]["io"].clone();
    assert_eq!((&io["read_bytes"], &io["write_bytes"]), (&Value::from(4096), &Value::from(8192)), "{io}");
    assert_eq!(io["source"], "processes");
}

/// A link in the files of another host names a file of this one.
#[test]
fn links_in_the_groups_of_another_host_are_not_followed() {
    let host = v2("top-links");
    let group = host.root().join("sys/fs/cgroup").join(&scope(WEB)[1..]);
    let other = host.file("other", "123456\n");
    let fifo = group.join("pids.max");
    let replace = |name: &str| {
        let path = group.join(name);
        std::fs::remove_file(&path).expect("removed");
        path
    };
    std::os::unix::fs::symlink(&other, replace("memory.current")).expect("a link");
    std::os::unix::fs::symlink("cpu.stat", replace("cpu.pressure")).expect("a link");
    replace("pids.max");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    let document = document(&mut ctr_top(&host));
    let web = row(&document, "docker:web");
    assert_eq!((&web["memory"]["usage"], &web["pressure"]["cpu"]), (&Value::Null, &Value::Null), "{web}");
    assert_eq!(web["pids"]["limit"], 50, "that of the group above: {web}");
    assert!(web["pids"]["current"].is_u64() && web["cpu"]["seconds"].is_f64(), "{web}");
}
