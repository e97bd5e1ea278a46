//! `ctr-inspect` on containers that this test makes.

use std::process::{Command, Output};

use serde_json::Value;

use crate::common::cgexec::{Name, mounted};
use crate::common::process::{Holder, Piped, limited, namespaces, python};
use crate::common::{Scratch, UNPRIVILEGED_UID, applet, binary, program, skip, stderr, stdout, there};

fn inspect(arguments: &[&str]) -> Output {
    limited(applet("ctr-inspect").args(arguments))
}

/// The reports of `-J`.
fn reports(arguments: &[&str]) -> Vec<Value> {
    let output = inspect(&[&["-J"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    json["containers"].as_array().expect("a list").clone()
}

fn report(arguments: &[&str]) -> Value {
    let mut all = reports(arguments);
    assert_eq!(all.len(), 1, "{arguments:?}");
    all.remove(0)
}

fn of(holder: &Holder) -> Value {
    report(&[&holder.pid.to_string()])
}

fn inode(holder: &Holder, kind: &str) -> u64 {
    let link = holder.link(kind);
    link.split(['[', ']']).nth(1).expect("an inode").parse().expect("a number")
}

/// A group for the controller with a limit, removed with the value; None where there is none.
fn limited_group(test: &str, controller: &str, files: (&str, &str), value: &str) -> Option<(Name, bool)> {
    let Some((_, v2)) = mounted(controller) else {
        skip(test, "needs a mounted controller that this test may use");
        return None;
    };
    let name = Name::new(test);
    let group = name.make(controller, "outer/inner");
    let file = if v2 { files.1 } else { files.0 };
    let written = std::fs::write(group.parent().expect("a parent").join(file), value);
    if written.is_err() {
        skip(test, "the controller cannot be used in a new group");
        return None;
    }
    Some((name, v2))
}

#[test]
fn own_and_shared_namespaces() {
    if !namespaces("own_and_shared_namespaces") {
        return;
    }
    let one = Holder::new(&["-m", "-p", "-f", "-u", "-n"], "");
    let pid = one.pid.to_string();
    let join = ["--target", &pid, "--net"];
    let two = Holder::by(program("nsenter").args(join).args(["unshare", "-m", "-p", "-f"]), "");
    let (first, second) = (of(&one), of(&two));
    for kind in ["mnt", "pid", "uts"] {
        let found = &first["namespaces"][kind];
        assert_eq!(found["own"], true, "{kind}: {found}");
        assert_eq!(found["host"], false, "{kind}");
        assert_eq!(found["inode"], inode(&one, kind), "{kind}");
    }
    for kind in ["ipc", "user"] {
        assert_eq!(first["namespaces"][kind]["host"], true, "{kind}");
        assert_eq!(first["namespaces"][kind]["own"], false, "{kind}");
    }
    let net = &first["namespaces"]["net"];
    assert_eq!((&net["own"], &net["host"]), (&Value::Bool(false), &Value::Bool(false)), "{net}");
    assert_eq!(net["shared_with"], serde_json::json!([second["identity"]["container"]]));
    assert_eq!(second["namespaces"]["uts"]["host"], true);
}

#[test]
fn id_maps_and_clocks() {
    if !namespaces("id_maps_and_clocks") {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f", "-U", "--map-root-user", "-T", "--monotonic=7200"], "");
    let found = of(&holder);
    let map = &found["namespaces"]["uid_map"][0];
    assert_eq!((&map["inside"], &map["outside"], &map["count"]), (&0.into(), &0.into(), &1.into()));
    assert_eq!(found["namespaces"]["time_offsets"]["monotonic"], 7200.0);
    assert_eq!(found["privileges"]["root_on_host"], false, "root inside alone");
    assert_eq!(found["privileges"]["uid"], 0);
    let text = stdout(&inspect(&[&holder.pid.to_string()]));
    assert!(text.contains("monotonic +7200 s"), "{text}");
    assert!(text.contains("0 inside is 0"), "{text}");
}

#[test]
fn processes_that_entered_from_outside_are_named() {
    if !namespaces("who_entered_from_outside_is_named") {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f"], "");
    let pid = holder.pid.to_string();
    assert_eq!(of(&holder)["namespaces"]["foreign"], serde_json::json!([]));
    let guest = Holder::by(program("nsenter").args(["--target", &pid, "--mount", "--pid"]), "");
    let found = of(&holder);
    let foreign = found["namespaces"]["foreign"].as_array().expect("a list");
    assert!(foreign.iter().any(|process| process["pid"] == guest.pid), "{foreign:?}");
}

#[test]
fn the_limit_of_a_group_above_binds() {
    let test = "the_limit_of_a_group_above_binds";
    if !namespaces(test) {
        return;
    }
    let Some((name, _)) = limited_group(test, "pids", ("pids.max", "pids.max"), "77") else { return };
    let inner = name.make("pids", "outer/inner");
    let holder = Holder::new(&["-m", "-p", "-f"], "");
    std::fs::write(inner.join("cgroup.procs"), holder.pid.to_string()).expect("moved");
    let found = of(&holder);
    let pids = &found["limits"]["pids"];
    assert_eq!(pids["limit"], 77, "{pids}");
    assert_eq!(pids["limit_own"], Value::Null, "{pids}");
    let by = pids["limit_by"].as_str().expect("a group");
    assert!(by.ends_with("/outer"), "{by}");
    assert_eq!(pids["own"], true, "the group has no other process: {pids}");
    // Another process joins: the numbers are no longer the container's.
    let other = Holder::by(&mut program("env"), "");
    std::fs::write(inner.join("cgroup.procs"), other.pid.to_string()).expect("moved");
    let found = of(&holder);
    assert_eq!(found["limits"]["pids"]["own"], false);
    assert_eq!(found["limits"]["cgroup"]["own"], false);
    assert_eq!(found["limits"]["processes"]["count"], 1);
    let text = stdout(&inspect(&[&holder.pid.to_string()]));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("which other processes share"), "{text}");
    drop((holder, other));
}

#[test]
fn a_memory_limit_and_its_use() {
    let test = "a_memory_limit_and_its_use";
    if !namespaces(test) {
        return;
    }
    let files = ("memory.limit_in_bytes", "memory.max");
    let Some((name, _)) = limited_group(test, "memory", files, "67108864") else { return };
    let inner = name.make("memory", "outer/inner");
    let holder = Holder::new(&["-m", "-p", "-f"], "");
    std::fs::write(inner.join("cgroup.procs"), holder.pid.to_string()).expect("moved");
    let memory = &of(&holder)["limits"]["memory"];
    assert_eq!((&memory["limit"], &memory["limit_own"]), (&67_108_864.into(), &Value::Null), "{memory}");
    assert!(memory["limit_by"].as_str().is_some_and(|by| by.ends_with("/outer")), "{memory}");
    assert!(memory["usage"].is_u64() && memory["percent"].is_number(), "{memory}");
    assert_eq!(memory["kills"], serde_json::json!([]));
    drop(holder);
}

#[test]
fn privileges_of_the_selected_process() {
    let test = "privileges_of_the_selected_process";
    if !namespaces(test) || !there("setpriv") {
        return;
    }
    let uid = UNPRIVILEGED_UID.to_string();
    let user =
        ["-m", "-p", "-f", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "--no-new-privs"];
    let holder = Holder::new(&user, "");
    let found = of(&holder);
    let privileges = &found["privileges"];
    assert_eq!(privileges["uid_host"], UNPRIVILEGED_UID);
    assert_eq!(privileges["effective"]["mask"], "0000000000000000");
    assert_eq!(privileges["effective"]["names"], serde_json::json!([]));
    assert_eq!(privileges["no_new_privs"], true);
    assert_eq!(privileges["seccomp"], "off");
    assert_eq!(privileges["root_on_host"], false);
    assert_eq!(privileges["securebits"], Value::Null);
    let reasons = found["unknown"].as_array().expect("a list");
    assert!(reasons.iter().any(|one| one["path"] == "privileges.securebits"), "{reasons:?}");
}

#[test]
fn targets_that_are_missing_do_not_hide_the_others() {
    let this = std::process::id().to_string();
    let output = inspect(&["-J", "-s", "identity", "no-such-container-here", &this, &this]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("'no-such-container-here'"), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let all = json["containers"].as_array().expect("a list");
    assert_eq!(all.len(), 1, "one process is shown once");
    assert_eq!(all[0]["identity"]["pid"], std::process::id());
    assert_eq!(all[0]["limits"], Value::Null, "a section that is left out");
    assert_eq!(inspect(&["2147483647"]).status.code(), Some(1));
}

#[test]
fn wrong_calls_are_refused() {
    for (arguments, part) in [(&[][..], "no target given"), (&["-s", "all", "1"], "unknown section 'all'")] {
        let output = inspect(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

/// Everything that an ordinary user may not read is null, with a reason.
#[test]
fn an_ordinary_user_sees_what_is_unknown() {
    let test = "an_ordinary_user_sees_what_is_unknown";
    if !namespaces(test) || !there("setpriv") {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f", "-u"], "");
    let uid = UNPRIVILEGED_UID.to_string();
    let copy = crate::common::Scratch::new(test);
    let binary = copy.0.join("ctrbox");
    crate::common::process::copy_of_binary(&binary);
    crate::common::process::limited(Command::new("chmod").arg("755").arg(&copy.0));
    let mut command = program("setpriv");
    command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]).arg(&binary);
    let pid = holder.pid.to_string();
    let text = stdout(&limited(command.args(["ctr-inspect", &pid])));
    assert!(!text.contains("nothing of its own"), "{text}");
    let output = limited(command.arg("-J"));
    if !output.status.success() && stderr(&output).contains("Permission denied") {
        return skip(test, "the directory of the binary is not open to others");
    }
    let json: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let found = &json["containers"][0];
    assert_eq!(found["namespaces"]["net"]["inode"], Value::Null);
    assert_eq!(found["namespaces"]["net"]["own"], Value::Null);
    assert_eq!(found["namespaces"]["net"]["shared_with"], Value::Null, "unknown, not empty");
    assert_eq!(found["namespaces"]["foreign"], Value::Null);
    // What an ordinary user may read is there.
    assert_eq!(found["identity"]["pid"], holder.pid);
    assert!(found["privileges"]["bounding"]["mask"].is_string() && found["limits"]["memory"]["own"] != 0);
    assert!(found["files"]["mounts"].as_array().is_some_and(|mounts| !mounts.is_empty()));
    assert_eq!(found["processes"]["count"], 1);
    assert!(text.contains("unknown    namespaces files"), "{text}");
    let reasons = found["unknown"].as_array().expect("a list");
    for path in ["namespaces.net", "namespaces.hostname"] {
        assert!(reasons.iter().any(|one| one["path"] == path), "{path}: {reasons:?}");
    }
}

/// Names that would move the cursor come out escaped, and lines fit into 80 columns.
#[test]
fn the_text_is_safe_and_fits() {
    if !namespaces("the_text_is_safe_and_fits") {
        return;
    }
    let holder = Holder::by(
        program("unshare").args([
            "-m",
            "-p",
            "-f",
            "-u",
            "env",
            "-i",
            "sh",
            "-c",
            "exec \"$@\"",
            "\x1b[2J\u{202e}evil",
        ]),
        "",
    );
    let text = stdout(&inspect(&["-a", &holder.pid.to_string()]));
    crate::common::ctr_ps::harmless(&text);
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:?}");
    // Each of several is named also without the section that has its name.
    let text = stdout(&inspect(&["-s", "limits", &holder.pid.to_string()]));
    assert!(text.lines().next().is_some_and(|line| line.starts_with("anon:")), "{text}");
}

/// A user sees that a process is in a pid namespace of its own, and not in which container.
#[test]
fn a_container_that_the_caller_may_not_see_is_unknown() {
    let test = "a_container_that_the_caller_may_not_see_is_unknown";
    if !namespaces(test) || !there("setpriv") {
        return skip(test, "needs namespaces and setpriv");
    }
    let holder = Holder::by_child(program("unshare").args(["-m", "-p", "-f", "--mount-proc"]));
    let mut command = program("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(crate::common::binary());
    let text = stdout(&limited(command.args(["ctr-inspect", &holder.pid.to_string()])));
    assert!(text.starts_with("container unknown"), "{text}");
}

/// Of `sh -c`, a first process with a handler, and one that waits with sigtimedwait(2) or does not.
#[test]
fn signals_of_the_first_process() {
    let test = "what_the_first_process_does_with_signals";
    if !namespaces(test) {
        return;
    }
    let signals = |holder: &Holder| {
        let init = of(holder)["processes"]["init"].clone();
        assert_eq!(init["is_init"], true, "{init}");
        init["signals"].clone()
    };
    let plain = Holder::new(&["-m", "-p", "-f"], "trap - TERM HUP");
    assert_eq!(signals(&plain)["TERM"], "dropped");
    let ignoring = Holder::new(&["-m", "-p", "-f"], "trap '' TERM");
    assert_eq!(
        (&signals(&ignoring)["TERM"], &signals(&ignoring)["HUP"]),
        (&"ignored".into(), &"dropped".into())
    );
    let host = report(&["-s", "processes", &std::process::id().to_string()]);
    assert_eq!(host["processes"]["init"]["is_init"], false);
    assert_eq!(host["processes"]["count"], 1);
}

/// Python runs the script as the first process of a pid namespace. proc is the host's, so /proc/self is the PID there.
fn first_process(script: &str) -> Piped {
    Piped::new(program("unshare").args(["-m", "-p", "-f", "--kill-child", "python3", "-c", script]))
}

#[test]
fn a_wait_for_signals_counts_as_a_handler() {
    let test = "a_wait_for_signals_counts_as_a_handler";
    if !namespaces(test) || !python() {
        return;
    }
    let script = "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n\
        print(os.readlink('/proc/self'), flush=True)\nsignal.sigtimedwait([signal.SIGTERM], 1000000)\n";
    let mut piped = first_process(script);
    let pid = piped.line();
    let waits = || {
        let place = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        place.starts_with("do_sigtimedwait")
    };
    crate::common::until("the wait", waits);
    let init = report(&["-s", "processes", &pid])["processes"]["init"].clone();
    assert_eq!(init["signals"]["TERM"], "handled", "{init}");
    assert_eq!(init["signals"]["HUP"], "dropped", "{init}");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid.parse().expect("a PID")),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("killed");
}

#[test]
fn mounts_of_the_host_and_deleted_files() {
    let test = "mounts_of_the_host_and_deleted_files";
    if !namespaces(test) {
        return;
    }
    let scratch = crate::common::Scratch::new(test);
    let directory = scratch.0.display().to_string();
    let setup = format!(
        "mkdir {directory}/bind {directory}/data && mount --bind {directory}/data {directory}/bind\n\
         mount -o remount,bind,ro {directory}/bind && mount -t tmpfs inner {directory}/data\n\
         dd if=/dev/zero of={directory}/gone bs=4096 count=300 2>/dev/null\n\
         exec 9<{directory}/gone && rm {directory}/gone"
    );
    let holder = Holder::new(&["-m", "-p", "-f"], &setup);
    let files = &report(&["-s", "files", &holder.pid.to_string()])["files"];
    let mounts = files["mounts"].as_array().expect("mounts");
    let at = |name: &str| {
        let target = format!("{directory}/{name}");
        mounts
            .iter()
            .find(|mount| mount["target"] == *target)
            .unwrap_or_else(|| panic!("{target}: {mounts:?}"))
    };
    let bind = at("bind");
    assert_eq!((&bind["read_only"], &bind["from_host"]), (&true.into(), &true.into()), "{bind}");
    assert_eq!(bind["source"], format!("{directory}/data"));
    assert_eq!((&at("data")["from_host"], &at("data")["fstype"]), (&false.into(), &"tmpfs".into()));
    let deleted = files["deleted"].as_array().expect("a list");
    let is_memory =
        std::process::Command::new("stat").args(["-f", "-c", "%T", &directory]).output().expect("stat");
    if stdout(&is_memory).trim() != "tmpfs" {
        let gone = deleted.iter().find(|file| file["path"] == format!("{directory}/gone")).expect("the file");
        assert_eq!((&gone["fd"], &gone["size"]), (&9.into(), &(300 * 4096).into()));
    }
}

#[test]
fn the_tree_of_processes_and_how_they_came() {
    if !namespaces("the_tree_of_processes_and_how_they_came") {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f"], "sleep 1000 & :");
    let guest = Holder::by(program("nsenter").args(["-t", &holder.pid.to_string(), "-m", "-p"]), "");
    let processes = &report(&["-s", "processes", &holder.pid.to_string()])["processes"];
    let list = processes["list"].as_array().expect("a list");
    let via = |pid: i32| list.iter().find(|one| one["pid"] == pid).map(|one| one["via"].clone());
    assert_eq!(via(holder.pid), Some("init".into()), "{list:?}");
    assert_eq!(via(guest.pid), Some("ns".into()), "{list:?}");
    assert!(list.iter().any(|one| one["via"] == "fork" && one["ppid"] == holder.pid), "{list:?}");
    assert_eq!(list[0]["cpid"], 1);
    assert!(list[0]["fds"].as_u64().is_some_and(|fds| fds >= 3), "{list:?}");
    assert_eq!(processes["count"], list.len());
    // A PID means its container, with the namespaces of that process.
    let of_guest = of(&guest);
    assert_eq!(of_guest["identity"]["pid"], holder.pid);
    assert_eq!(of_guest["identity"]["target_pid"], guest.pid);
    let text = stdout(&inspect(&[&guest.pid.to_string()]));
    assert!(text.contains(&format!("process    {}", guest.pid)), "{text}");
    drop(guest);
}

fn finding<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["findings"].as_array().expect("findings").iter().find(|one| one["id"] == id)
}

#[test]
fn findings_have_a_reason_and_a_remedy() {
    let test = "findings_have_a_reason_and_a_remedy";
    if !namespaces(test) {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f", "-T", "--boottime=3600"], "");
    let pid = holder.pid.to_string();
    let found = report(&["-f", &pid]);
    assert_eq!(found["limits"], Value::Null, "-f leaves out what is not odd");
    let clock = finding(&found, "clock-offset").expect("a finding");
    assert_eq!(clock["severity"], "note");
    for key in ["text", "why", "do"] {
        assert!(clock[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {clock}");
    }
    assert_eq!(clock["evidence"][0]["path"], "namespaces.time_offsets");
    let hidden = stdout(&inspect(&["-f", &pid]));
    assert!(!hidden.contains("clock-offset") && hidden.contains("notes: -a)"), "{hidden}");
    let shown = stdout(&inspect(&["-f", "-a", &pid]));
    assert!(shown.contains("clock-offset") && shown.contains("why:"), "{shown}");
    // What any process of root has is no high finding of a sandbox that is not known.
    assert_eq!(inspect(&["--exit-status", &pid]).status.code(), Some(0));
}

#[test]
fn a_full_limit_of_processes_is_high() {
    let test = "a_full_limit_of_processes_is_high";
    if !namespaces(test) {
        return;
    }
    let Some((name, _)) = limited_group(test, "pids", ("pids.max", "pids.max"), "4") else { return };
    let inner = name.make("pids", "outer/inner");
    let holder = Holder::new(&["-m", "-p", "-f"], "for n in 1 2 3; do sleep 1000 & done");
    let pid = holder.pid.to_string();
    for pid in crate::common::process::children(holder.pid).into_iter().chain([holder.pid]) {
        std::fs::write(inner.join("cgroup.procs"), pid.to_string()).expect("moved");
    }
    let found = report(&[&pid]);
    let full = finding(&found, "pids-near-limit").unwrap_or_else(|| panic!("{}", found["findings"]));
    assert_eq!(full["severity"], "high");
    assert_eq!(inspect(&["--exit-status", &pid]).status.code(), Some(2));
    assert_eq!(inspect(&["--exit-status", &pid, "no-such-container-here"]).status.code(), Some(1));
    let text = stdout(&inspect(&[&pid]));
    assert!(text.contains("!! pids-near-limit"), "{text}");
}

#[test]
fn zombies_of_the_first_process_are_found() {
    let test = "zombies_of_the_first_process_are_found";
    if !namespaces(test) || !python() {
        return;
    }
    let script = "import os\n\
        child = os.fork()\n\
        if child == 0: os._exit(0)\n\
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n\
        print(os.readlink('/proc/self'), flush=True)\nimport sys\nsys.stdin.read()\n";
    let mut piped = first_process(script);
    let pid = piped.line();
    let found = report(&["-s", "limits,processes", &pid]);
    assert_eq!(found["processes"]["zombies"], 1, "{}", found["processes"]);
    assert_eq!(found["limits"]["pids"]["zombies"], 1);
    assert_eq!(finding(&found, "pid1-does-not-reap").expect("a finding")["severity"], "medium");
    piped.end_of_input();
}

#[test]
fn a_working_directory_inside_is_not_reported() {
    if !namespaces("a_working_directory_inside_is_none_of_the_hosts") {
        return;
    }
    let inside = Holder::new(&["-m", "-p", "-f"], "");
    let found = report(&["-s", "files", &inside.pid.to_string()]);
    assert_eq!(found["files"]["cwd_outside"], false);
    assert!(finding(&found, "cwd-outside").is_none());
    // The working directory is on a mount that is detached: no mount inside leads there.
    let detached = Holder::new(&["-m", "-p", "-f"], "mount -t tmpfs t /mnt && cd /mnt && umount -l /mnt");
    let found = report(&["-s", "files", &detached.pid.to_string()]);
    assert_eq!(found["files"]["cwd_outside"], true);
    assert_eq!(finding(&found, "cwd-outside").expect("a finding")["severity"], "high");
}

#[test]
fn only_differences_are_shown() {
    if !namespaces("only_what_differs_is_shown") {
        return;
    }
    let one = Holder::new(&["-m", "-p", "-f", "-u"], "");
    let two = Holder::new(&["-m", "-p", "-f"], "trap '' TERM");
    let (first, second) = (one.pid.to_string(), two.pid.to_string());
    let output = inspect(&["-J", &first, "--diff", &second]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let all = json["differences"].as_array().expect("a list");
    let at = |path: &str| all.iter().find(|one| one["path"] == path);
    let uts = at("namespaces.uts.host").unwrap_or_else(|| panic!("{json}"));
    assert_eq!((&uts["a"], &uts["b"]), (&false.into(), &true.into()));
    let term = at("processes.init.signals.TERM").unwrap_or_else(|| panic!("{json}"));
    assert_eq!(term["b"], "ignored");
    assert!(at("namespaces.pid.host").is_none(), "the same in both: {json}");
    assert!(all.iter().all(|one| !one["path"].as_str().unwrap_or_default().contains("usage")), "{json}");
    let same = stdout(&inspect(&[&first, "--diff", &first]));
    assert!(same.ends_with("no difference\n"), "{same}");
    let host = stdout(&inspect(&["-s", "namespaces", &first, "--diff", "host"]));
    assert!(host.contains("namespaces.uts.host"), "{host}");
    let two_targets = inspect(&[&first, &second, "--diff", "host"]);
    assert_eq!(two_targets.status.code(), Some(1));
}

/// Of mounts below each other, every read-only one could list all writable ones below it: the square of their number.
#[test]
fn endless_mounts_cost_little_memory() {
    let test = "inspect-mounts";
    if !namespaces(test) {
        return;
    }
    if !there("python3") || !there("prlimit") {
        skip(test, "needs python3 and prlimit");
        return;
    }
    const SCRIPT: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
BIND, READ_ONLY, REMOUNT = 4096, 1, 32
def mount(target, flags=0):
    if libc.mount(source, target, None, BIND | flags, None):
        sys.exit(os.strerror(ctypes.get_errno()))
os.chdir(sys.argv[1])
os.mkdir("x")
source = os.fsencode(os.getcwd())
for at in range(1200):
    mount(b"x")
    if libc.mount(None, b"x", None, BIND | REMOUNT | READ_ONLY, None):
        sys.exit(os.strerror(ctypes.get_errno()))
    os.chdir("x")
for at in range(1200):
    mount(b"x")
    os.chdir("x")
print("ready", flush=True)
sys.stdin.read()
"#;
    let scratch = Scratch::new(test);
    let mut command = program("unshare");
    command.args(["-m", "--propagation", "slave", "python3", "-c", SCRIPT]).arg(&scratch.0);
    let mut piped = Piped::new(&mut command);
    assert_eq!(piped.line(), "ready");
    let pid = piped.pid().to_string();
    for options in [&["-J"][..], &["-a"], &["-f"]] {
        let mut command = program("prlimit");
        command.arg("--as=300000000").arg(binary()).args(["ctr-inspect", "-s", "files"]).args(options);
        let output = limited(command.arg(&pid));
        assert!(output.status.success(), "{options:?}: {}", stderr(&output));
    }
    let all = report(&["-s", "files", &pid]);
    let unknown = all["unknown"].to_string();
    let writable = all["files"]["mounts"].as_array().expect("mounts").iter();
    let names: usize = writable.map(|one| one["writable_below"].as_array().map_or(0, Vec::len)).sum();
    assert!((1200..20_000).contains(&names), "{names}");
    assert!(unknown.contains("files.mounts.writable_below"), "{unknown}");
}

/// A link in place of a directory leads to nothing of the host.
#[test]
fn links_in_the_root_of_a_container_lead_to_no_device_of_the_host() {
    let test = "links_in_the_root_of_a_container";
    if !namespaces(test) {
        return;
    }
    let report = |link: &str| {
        let setup = format!(
            "mount -t tmpfs none /mnt\ncd /mnt\nmkdir -p inside\nmknod inside/kmem c 1 2\n{link}\n\
             for i in bin lib lib64 usr; do [ -e /$i ] && mkdir -p $i && mount --rbind /$i $i; done\n\
             exec 9<&0\necho \"$pid\"\nexec chroot /mnt cat"
        );
        let holder = Holder::new(&["-m", "-p", "-f"], &setup);
        report(&["-s", "files", &holder.pid.to_string()])["files"]["devices"].clone()
    };
    let found = report("ln -s /inside dev");
    let paths =
        |found: &Value| found.as_array().map(|all| all.iter().map(|one| one["path"].clone()).collect());
    assert_eq!(paths(&found), Some(vec![Value::from("/dev/kmem")]), "{found}");
    for link in ["ln -s ../../../../../dev dev", "mkdir dev; ln -s /dev/kmem dev/mem", "mkfifo dev"] {
        let found = report(link);
        assert_eq!(paths(&found).unwrap_or_default(), [] as [Value; 0], "{link}");
    }
}
