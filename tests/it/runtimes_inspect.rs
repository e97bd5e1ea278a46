//! `ctr-inspect` of real containers of Docker, each started with a flag or with a fault. What it says is compared with
//! Docker's own answers and with the kernel's files.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::cgexec::{Name, mounted};
use crate::common::containers::{Up, host_link, link, prefix};
use crate::common::process::{children, limited};
use crate::common::{applet, program, skip, stderr, stdout, until};
use crate::runtimes::{DOCKER, lock};

#[test]
fn containers_of_docker_are_as_they_were_started() {
    let _lock = lock(&DOCKER);
    let Some(up) = Up::new("docker", &prefix("inspect")) else { return };
    let docker = Docker(&up);
    limits(&docker);
    limits_of_a_group_above(&docker);
    namespaces(&docker);
    signals(&docker);
    privileges(&docker);
    files(&docker);
    processes(&docker);
    ends(&docker);
}

struct Docker<'a>(&'a Up);

impl Docker<'_> {
    fn call(&self, arguments: &[&str]) -> String {
        let output = limited(program("docker").args(["-H", "unix:///run/docker.sock"]).args(arguments));
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output).trim().to_owned()
    }

    /// Starts a shell in a container without a network, unless a flag says otherwise.
    fn run(&self, name: &str, flags: &[&str], script: &str) -> Started<'_> {
        let name = format!("{}-{name}", self.0.prefix);
        // (by which the script finds what it has to remove)
        let label = format!("ctrbox-test={}", self.0.prefix);
        let has_network = flags.iter().any(|flag| flag.starts_with("--network"));
        let network: &[&str] = if has_network { &[] } else { &["--network=none"] };
        let image = self.0.image();
        let first = ["run", "-d", "--name", &name, "--label", &label];
        self.call(&[&first, network, flags, &[&image, "/bin/sh", "-c", script]].concat());
        let pid = self.call(&["inspect", "-f", "{{.State.Pid}}", &name]).parse().expect("a PID");
        Started { docker: self, name, pid }
    }
}

const WAITS: &str = "exec sleep 1000000";

struct Started<'a> {
    docker: &'a Docker<'a>,
    name: String,
    /// 0 if it has ended.
    pid: i32,
}

impl Started<'_> {
    fn inspected(&self) -> Value {
        let all: Value = serde_json::from_str(&self.docker.call(&["inspect", &self.name])).expect("JSON");
        all[0].clone()
    }

    fn reported(&self) -> Report {
        report(&self.name)
    }

    /// Once the shell has executed its last program.
    fn settled(&self) -> Report {
        let command = || std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        until("the shell is the program", || command().starts_with(b"sleep\0"));
        self.reported()
    }

    fn exec(&self, flags: &[&str], script: &str) {
        self.docker.call(&[&["exec"], flags, &[&self.name, "/bin/sh", "-c", script]].concat());
    }

    fn ended(&self) -> Report {
        until("the container ends", || self.inspected()["State"]["Running"] == false);
        self.reported()
    }
}

struct Report(Value);

fn report(target: &str) -> Report {
    let output = limited(applet("ctr-inspect").args(["-J", target]));
    assert!(output.status.success(), "{target}: {}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    Report(json["containers"][0].clone())
}

impl Report {
    /// By the names of its keys, with dots between them.
    fn at(&self, path: &str) -> &Value {
        path.split('.').fold(&self.0, |value, key| &value[key])
    }

    #[track_caller]
    fn has(&self, path: &str, expected: impl Into<Value>) {
        assert_eq!(self.at(path), &expected.into(), "{path} of {}", self.at("identity.name"));
    }

    fn severity(&self, id: &str) -> Option<&str> {
        let all = self.0["findings"].as_array().expect("a list");
        all.iter().find(|one| one["id"] == id)?["severity"].as_str()
    }

    fn text_of(&self, id: &str) -> &str {
        let all = self.0["findings"].as_array().expect("a list");
        let found = all.iter().find(|one| one["id"] == id);
        found.and_then(|one| one["text"].as_str()).unwrap_or_default()
    }

    fn list(&self, path: &str) -> &Vec<Value> {
        self.at(path).as_array().unwrap_or_else(|| panic!("{path}: {}", self.at(path)))
    }

    fn mount(&self, target: &str) -> &Value {
        let found = self.list("files.mounts").iter().find(|mount| mount["target"] == target);
        found.unwrap_or_else(|| panic!("no mount on {target}"))
    }
}

/// A file of the control group that a process has in a hierarchy of v1.
fn group_file(pid: i32, controller: &str, file: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its groups");
    let path = text.lines().find_map(|line| line.split_once(&format!(":{controller}:"))).expect("a line").1;
    let (mount_point, _) = mounted(controller).expect("a mount");
    let file = mount_point.join(path.trim_start_matches('/')).join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn is_v1() -> bool {
    ["memory", "cpu", "pids"].iter().all(|name| mounted(name).is_some_and(|(_, v2)| !v2))
}

fn limits(docker: &Docker<'_>) {
    let one = docker.run(
        "limits",
        &[
            "--memory=64m",
            "--cpus=0.5",
            "--cpu-shares=512",
            "--cpuset-cpus=0",
            "--pids-limit=77",
            "--ulimit=nofile=100:200",
        ],
        WAITS,
    );
    let (found, config) = (one.settled(), one.inspected());
    let id = config["Id"].as_str().expect("an id");
    for path in ["limits.memory.limit", "limits.memory.limit_own"] {
        found.has(path, config["HostConfig"]["Memory"].clone());
    }
    for path in ["limits.pids.limit", "limits.pids.limit_own"] {
        found.has(path, 77);
    }
    found.has("limits.cpu.quota", 0.5);
    found.has("limits.cpu.quota_own", 0.5);
    for path in ["limits.memory.limit_by", "limits.cpu.quota_by", "limits.pids.limit_by"] {
        assert!(found.at(path).as_str().is_some_and(|by| by.contains(id)), "{path}: {}", found.at(path));
    }
    found.has("limits.cpu.cpuset", "0");
    found.has("limits.cpu.seen_cpus", 1);
    found.has("limits.rlimits.nofile", json!({"soft": 100, "hard": 200}));
    found.has("limits.cgroup.own", true);
    found.has("limits.memory.events.oom_kill", 0);
    stops(&found, "TERM", "dropped", Some(false));
    if is_v1() {
        found.has("limits.cpu.weight", 512);
        let current: u64 = group_file(one.pid, "pids", "pids.current").trim().parse().expect("a number");
        found.has("limits.pids.current", current);
    }
    for id in ["no-memory-limit", "no-pids-limit", "oom-kill", "pids-near-limit"] {
        assert_eq!(found.severity(id), None, "{id}");
    }
}

/// The victim is in the container, the limit is that of the group above.
fn limits_of_a_group_above(docker: &Docker<'_>) {
    if !is_v1() {
        return skip("limits_of_a_group_above", "needs hierarchies of v1");
    }
    let name = Name::new("inspect-above");
    for (controller, files) in [
        ("memory", &[("memory.limit_in_bytes", "50331648"), ("memory.memsw.limit_in_bytes", "50331648")][..]),
        ("cpu", &[("cpu.cfs_quota_us", "30000")]),
        ("pids", &[("pids.max", "50")]),
    ] {
        let group = name.make(controller, "");
        for (file, value) in files {
            // A kernel without swap accounting has no limit of it.
            let is_written = std::fs::write(group.join(file), value).is_ok();
            assert!(is_written || file.contains("memsw"), "{file}");
        }
    }
    let above = format!("/{}", name.0);
    let flags =
        [&format!("--cgroup-parent={above}"), "--memory=512m", "--pids-limit=100", "--dns-search=a.b"];
    let one = docker.run("above", &flags, WAITS);
    let found = one.settled();
    for path in ["limits.memory.limit_by", "limits.cpu.quota_by", "limits.pids.limit_by"] {
        found.has(path, above.clone());
    }
    found.has("limits.memory.limit_own", 512 << 20);
    // (v1 refuses a quota that is above that of the group above)
    found.has("limits.cpu.quota", 0.3);
    found.has("limits.cpu.quota_own", Value::Null);
    found.has("limits.pids.limit", 50);
    found.has("limits.pids.limit_own", 100);
    let stat = group_file(one.pid, "memory", "memory.stat");
    let kernels = stat.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit "));
    found.has("limits.memory.limit", kernels.expect("a line").parse::<u64>().expect("a number"));
    let text = stdout(&limited(applet("ctr-inspect").args(["-s", "limits,network", &one.name])));
    assert!(text.contains(&format!("limit of {above} (own: 512M)")), "{text}");
    assert!(text.contains("search a.b"), "{text}");

    one.exec(&[], "dd if=/dev/zero of=/dev/null bs=128M || true");
    let found = one.reported();
    found.has("limits.memory.events.oom_kill", 1);
    assert_eq!(found.severity("oom-kill"), Some("high"));
    let text = found.text_of("oom-kill");
    assert!(text.contains(&above) && text.contains("PID 1 lives on"), "{text}");
    if let Some([kill]) = found.at("limits.memory.kills").as_array().map(Vec::as_slice) {
        assert_eq!((&kill["comm"], &kill["limit_by"]), (&json!("dd"), &json!(above)));
        let id = one.inspected()["Id"].as_str().expect("an id").to_owned();
        assert_eq!(kill["victim"], format!("{above}/{id}"));
    }
    docker.call(&["rm", "-f", &one.name]);
}

fn namespaces(docker: &Docker<'_>) {
    let host = ["--pid=host", "--network=host", "--ipc=host", "--uts=host", "--cgroupns=private"];
    let one = docker.run("hosts", &host, WAITS);
    let (found, pid) = (one.settled(), one.pid);
    for kind in ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"] {
        let is_hosts = link(pid, kind) == host_link(kind);
        found.has(&format!("namespaces.{kind}.host"), is_hosts);
        found.has(&format!("namespaces.{kind}.own"), !is_hosts);
    }
    found.has("namespaces.pid.host", true);
    found.has("namespaces.cgroup.own", true);
    let severity = |id| found.severity(id);
    assert_eq!((severity("shares-host-pid"), severity("shares-host-net")), (Some("medium"), Some("medium")));
    assert_eq!((severity("shares-host-ipc"), severity("shares-host-uts")), (Some("note"), Some("note")));
    // It is no init there.
    found.has("identity.cpid", pid);
    found.has("processes.init.is_init", false);
    found.has("processes.init.signals.TERM", "default");
    found.has("processes.init.stops", true);
    found.has("network.own", false);

    // Docker keeps the files of its network in the directory of the other one.
    let net = format!("--network=container:{}-web", docker.0.prefix);
    let two = docker.run("shares", &[&net, "--stop-signal=QUIT"], WAITS);
    let found = two.settled();
    found.has("namespaces.net.own", false);
    found.has("namespaces.net.host", false);
    found.has("namespaces.net.shared_with", json!([format!("docker:{}-web", docker.0.prefix)]));
    found.has("namespaces.mnt.own", true);
    found.has("processes.init.stop_signal", "QUIT");
}

/// What happens to the signal that stops it.
#[track_caller]
fn stops(found: &Report, signal: &str, verdict: &str, stops: Option<bool>) {
    found.has("processes.init.is_init", true);
    found.has("processes.init.stop_signal", signal);
    found.has(&format!("processes.init.signals.{signal}"), verdict);
    found.has("processes.init.stops", stops.map_or(Value::Null, Value::from));
    assert_eq!(found.severity("pid1-drops-sigterm"), (stops == Some(false)).then_some("medium"));
}

fn signals(docker: &Docker<'_>) {
    let script = "trap 'exit 3' INT; sleep 1000000; :";
    let one = docker.run("handles", &["--stop-signal=INT"], script);
    until("a child", || !children(one.pid).is_empty());
    stops(&one.reported(), "INT", "handled", None);
}

fn privileges(docker: &Docker<'_>) {
    let caps = ["--cap-add=SYS_ADMIN", "--cap-drop=CHOWN"];
    let options = ["--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined"];
    let one = docker.run("rights", &[&caps[..], &options].concat(), "trap '' TERM; exec sleep 1000000");
    let found = one.settled();
    stops(&found, "TERM", "ignored", Some(false));
    found.has("privileges.added", json!(["cap_sys_admin"]));
    found.has("privileges.removed", json!(["cap_chown"]));
    found.has("privileges.seccomp", "off");
    found.has("privileges.masked", json!([]));
    found.has("privileges.privileged", false);
    for (id, severity) in
        [("dangerous-capability", "high"), ("seccomp-off", "medium"), ("proc-writable", "medium")]
    {
        assert_eq!(found.severity(id), Some(severity), "{id}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", one.pid)).expect("a process");
    for (set, field) in [("effective", "CapEff"), ("bounding", "CapBnd"), ("ambient", "CapAmb")] {
        let mask = found.at(&format!("privileges.{set}.mask")).as_str().expect("a mask");
        assert!(status.contains(&format!("{field}:\t{mask}\n")), "{set}: {mask}");
    }

    // Another user, who cannot get the capability back; and a process that root added.
    let flags = ["--user=1000", "--cap-add=SYS_ADMIN", "--security-opt=no-new-privileges"];
    let user = docker.run("user", &flags, WAITS);
    let found = user.settled();
    found.has("privileges.uid", 1000);
    found.has("privileges.root_on_host", false);
    found.has("privileges.no_new_privs", true);
    found.has("privileges.effective.names", json!([]));
    assert_eq!(found.severity("dangerous-capability"), Some("note"));
    assert_eq!(found.severity("host-user-ns-root"), None);
    user.exec(&["-d", "--user=0"], "exec sleep 1000003");
    let mut added = None;
    until("the added process", || {
        let found = user.reported();
        let all = found.list("processes.list").iter();
        added = all.filter(|one| one["command"] == "sleep 1000003").find_map(|one| one["pid"].as_i64());
        added.is_some()
    });
    let found = report(&added.expect("a PID").to_string());
    found.has("identity.name", user.name.clone());
    found.has("privileges.uid", 0);
    found.has("processes.count", 2);
    assert!(found.list("processes.list").iter().any(|one| one["via"] == "exec"));
}

fn files(docker: &Docker<'_>) {
    let flags = ["--init", "--read-only", "--tmpfs=/t", "--workdir=/tmp", "--volume=/etc:/host/etc:ro"];
    let one = docker.run("readonly", &flags, WAITS);
    until("what the init starts", || !children(one.pid).is_empty());
    let (found, config) = (one.reported(), one.inspected());
    stops(&found, "TERM", "handled", None);
    found.has("files.root.read_only", true);
    found.has("files.cwd", "/tmp");
    found.has("files.root.overlay.upper", config["GraphDriver"]["Data"]["UpperDir"].clone());
    let tmpfs = found.mount("/t");
    assert_eq!((&tmpfs["fstype"], &tmpfs["from_host"]), (&json!("tmpfs"), &json!(false)));
    let etc = found.mount("/host/etc");
    assert_eq!(
        (&etc["source"], &etc["read_only"], &etc["from_host"]),
        (&json!("/etc"), &json!(true), &json!(true))
    );
    assert_eq!(found.severity("host-root-mounted"), Some("medium"));
    assert_eq!(found.severity("runtime-socket"), None);

    let socket = docker.run("socket", &["--volume=/run/docker.sock:/s:ro"], WAITS).settled();
    assert_eq!(socket.severity("runtime-socket"), Some("high"));
    assert!(socket.text_of("runtime-socket").contains("/s"), "{}", socket.text_of("runtime-socket"));

    // Without recursion (Docker before 25) most below it can be written.
    let all = docker.run("all", &["--volume=/:/host:ro"], WAITS);
    let found = all.settled();
    let writable = writable_below(all.pid, Path::new("/host"));
    let host = found.mount("/host");
    assert_eq!((&host["source"], &host["read_only"]), (&json!("/"), &json!(true)));
    let mut shown: Vec<PathBuf> = Vec::new();
    shown.extend(
        host["writable_below"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .map(PathBuf::from),
    );
    shown.sort();
    assert_eq!(shown, writable);
    assert_eq!(
        found.severity("host-root-mounted"),
        Some(if writable.is_empty() { "medium" } else { "high" })
    );
    docker.call(&["rm", "-f", &all.name]);
}

/// The mounts below a directory that can be written, by the first option of each. A namespace has no files.
fn writable_below(pid: i32, directory: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mounts");
    let words = text
        .lines()
        .filter(|line| !line.contains(" - nsfs "))
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let below = words.filter(|words| words[5].split(',').any(|option| option == "rw"));
    let mut found: Vec<PathBuf> = below.map(|words| PathBuf::from(words[4])).collect();
    found.retain(|path| path.starts_with(directory) && path != directory);
    found.sort();
    found.dedup();
    found
}

fn processes(docker: &Docker<'_>) {
    // In a subshell, for a shell that cannot fork ends.
    let script = "(for i in 1 2 3 4 5 6 7 8 9; do sleep 1000001 & done); exec sleep 1000000";
    let bomb = docker.run("bomb", &["--pids-limit=6"], script);
    let found = bomb.settled();
    found.has("limits.pids.limit", 6);
    assert_eq!(found.severity("pids-denied"), Some("high"));
    assert!(found.at("limits.pids.denied").as_u64() > Some(0), "{}", found.at("limits.pids"));

    let zombies = docker.run("zombies", &[], "sh -c 'true & true & exec sleep 0.1' & exec sleep 1000000");
    let pid = zombies.pid;
    let are_zombies = |pid: i32| {
        let all = children(pid);
        let stat = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        all.len() == 3 && all.into_iter().all(|pid| stat(pid).contains(") Z "))
    };
    until("three zombies", || are_zombies(pid));
    let found = zombies.settled();
    found.has("processes.zombies", 3);
    found.has("limits.pids.zombies", 3);
    assert_eq!(found.severity("pid1-does-not-reap"), Some("medium"));

    let script = "exec 5>/gone; dd if=/dev/zero bs=1M count=101 >&5; rm /gone; exec sleep 1000000";
    let deleted = docker.run("deleted", &[], script).settled();
    let [file] = deleted.list("files.deleted").as_slice() else { panic!("{}", deleted.at("files.deleted")) };
    assert_eq!((&file["path"], &file["fd"], &file["size"]), (&json!("/gone"), &json!(5), &json!(101 << 20)));
    assert_eq!(deleted.severity("deleted-files"), Some("medium"));

    let paused = docker.run("paused", &["--stop-signal=KILL"], WAITS);
    stops(&paused.settled(), "KILL", "default", Some(true));
    docker.call(&["pause", &paused.name]);
    let found = paused.reported();
    docker.call(&["unpause", &paused.name]);
    found.has("identity.status", "paused");
    found.has("limits.cgroup.frozen", true);
    assert_eq!(found.severity("frozen"), Some("high"));
    assert_eq!(paused.reported().severity("frozen"), None);
}

fn ends(docker: &Docker<'_>) {
    let plain = docker.run("ends", &[], "exit 3");
    let hog =
        docker.run("hog", &["--memory=32m", "--memory-swap=32m"], "exec dd if=/dev/zero of=/dev/null bs=96M");
    let killed = docker.run("kill", &[], WAITS);
    docker.call(&["kill", &killed.name]);
    for one in [&plain, &hog, &killed] {
        let (found, state) = (one.ended(), one.inspected()["State"].clone());
        found.has("identity.status", "exited");
        found.has("identity.exit_code", state["ExitCode"].clone());
        found.has("identity.oom_killed", state["OOMKilled"].clone());
        let time = state["FinishedAt"].as_str().expect("a time");
        found.has("identity.finished", format!("{}Z", &time[..19]));
        let is_killed = state["OOMKilled"] == true;
        assert_eq!(found.severity("oom-kill").is_some(), is_killed, "{}", one.name);
        if is_killed {
            let text = found.text_of("oom-kill");
            assert!(text.contains("killed for lack of memory"), "{text}");
        }
        found.has("limits", json!(null));
    }
    // The rest are shown, and what is missing counts more than a finding.
    let arguments = ["-J", "--exit-status", &plain.name, "ctrbox-no-such-container", &hog.name];
    let output = limited(applet("ctr-inspect").args(arguments));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["containers"].as_array().map(Vec::len), Some(2));
}
