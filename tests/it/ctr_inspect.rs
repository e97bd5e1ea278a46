//! `ctr-inspect` on containers that this test makes.

use std::process::Command;

use ctrbox::testing::proc::ProcRoot;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::common::cgexec::{Name, mounted};
use crate::common::ctr_inspect::{finding, inspect, of, report};
use crate::common::process::{Holder, limited, namespaces};
use crate::common::{UNPRIVILEGED_UID, program, skip, stderr, stdout, there, until};

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
    // What is the container's comes first.
    assert!(text.contains("pids 1 process group 2 of 77 limit of "), "{text}");
    drop((holder, other));
}

#[test]
fn a_process_alone_in_its_group_shares_it_with_nobody() {
    let test = "a_process_alone_in_its_group";
    if !namespaces(test) {
        return;
    }
    let Some((name, _)) = limited_group(test, "pids", ("pids.max", "pids.max"), "77") else { return };
    let inner = name.make("pids", "outer/inner");
    let alone = Holder::by(&mut program("env"), "");
    std::fs::write(inner.join("cgroup.procs"), alone.pid.to_string()).expect("moved");
    let shared = |pid: i32| {
        let pid = pid.to_string();
        let text = stdout(&inspect(&["-s", "limits", &pid]));
        let mut groups = text.lines().filter(|line| line.starts_with("  shared "));
        let is_said = groups.any(|line| line.split_whitespace().any(|word| word == "pids"));
        (report(&["-s", "limits", &pid])["limits"]["pids"]["own"] == false, is_said)
    };
    assert_eq!(shared(alone.pid), (false, false));
    let other = Holder::by(&mut program("env"), "");
    std::fs::write(inner.join("cgroup.procs"), other.pid.to_string()).expect("moved");
    // ctr-inspect leaves out what started when it did, and a start is known to a tick of 1/100 s.
    let start = ProcRoot::default().process(Pid::from_raw(other.pid)).start_time().expect("it runs");
    let now = || std::fs::read_to_string("/proc/uptime").expect("the time since boot");
    until("the tick of its start is over", || {
        let now = now().split(' ').next().expect("a number").replace('.', "");
        now.parse::<u64>().expect("digits") > start
    });
    assert_eq!(shared(alone.pid), (true, true));
    drop((alone, other));
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
    for (arguments, part) in [
        (&[][..], "no target given"),
        (&["-s", "all", "1"], "unknown section 'all'"),
        (&["-s", "", "1"], "no section is named"),
    ] {
        let output = inspect(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn the_host_is_a_target() {
    assert_eq!(report(&["-s", "identity", "host"])["identity"]["pid"], 1);
    let sections = "identity,namespaces,limits,privileges,files";
    assert_eq!(stdout(&inspect(&["-s", sections, "host", "--diff", "host"])), "no difference\n");
}

/// Everything that an ordinary user may not read is null, with a reason.
#[test]
fn an_ordinary_user_sees_what_is_unknown() {
    let test = "an_ordinary_user_sees_what_is_unknown";
    if !namespaces(test) || !there("setpriv") {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f", "-u", "-n"], "");
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
    // Files that all may read prove these.
    for (kind, is_hosts) in
        [("mnt", json!(false)), ("pid", json!(false)), ("net", json!(false)), ("uts", Value::Null)]
    {
        assert_eq!(found["namespaces"][kind]["host"], is_hosts, "{kind}: {}", found["namespaces"]);
    }
    let of_root = of(&holder);
    let user_ns = |found: &Value| found["namespaces"]["user"]["host"].clone();
    assert!([Value::Null, user_ns(&of_root)].contains(&user_ns(found)), "{}", found["namespaces"]);
    assert_eq!(user_ns(found), found["privileges"]["root_on_host"]);
    // No finding of high severity is lost in silence.
    let undecided = finding(found, "unknown").expect("a finding");
    let undecided = undecided["evidence"][1]["value"].as_array().expect("findings").clone();
    assert!(
        undecided.contains(&json!("host-device")) && undecided.contains(&json!("cwd-outside")),
        "{undecided:?}"
    );
    for high in
        of_root["findings"].as_array().expect("findings").iter().filter(|one| one["severity"] == "high")
    {
        let same =
            finding(found, high["id"].as_str().expect("an id")).is_some_and(|one| one["severity"] == "high");
        assert!(same || undecided.contains(&high["id"]), "{high}");
    }
    let output = limited(command.arg("--exit-status"));
    let is_said = stderr(&output).contains("not decided, as values are unknown: ");
    assert!(output.status.code() == Some(2) || output.status.success() && is_said, "{}", stderr(&output));
    assert!(text.contains("not decided, as values are unknown:"), "{text}");
    // What an ordinary user may read is there.
    assert_eq!(found["identity"]["pid"], holder.pid);
    assert!(found["privileges"]["bounding"]["mask"].is_string() && found["limits"]["memory"]["own"] != 0);
    assert!(found["files"]["mounts"].as_array().is_some_and(|mounts| !mounts.is_empty()));
    assert_eq!(found["processes"]["count"], 1);
    assert!(text.contains("unknown    namespaces.{ipc,uts,cgroup,time} "), "{text}");
    assert!(text.contains("isolated   apart from the host: mnt pid net"), "{text}");
    let reasons = found["unknown"].as_array().expect("a list");
    for path in ["namespaces.net.inode", "namespaces.uts", "namespaces.hostname"] {
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

/// The links of own processes can be read, those of the host's first process not.
#[test]
fn a_user_sees_which_namespaces_of_an_own_process_are_the_hosts() {
    let test = "a_user_sees_which_namespaces_of_an_own_process_are_the_hosts";
    if !namespaces(test) || !there("setpriv") {
        return skip(test, "needs namespaces and setpriv");
    }
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for (options, is_hosts) in [(&["-m", "-p", "-f", "-n"][..], false), (&["-p", "-f"], true)] {
        let holder = Holder::new(&[options, &user].concat(), "");
        let mut command = program(user[0]);
        command.args(&user[1..]).arg(crate::common::binary());
        let output = limited(command.args(["ctr-inspect", "-J", &holder.pid.to_string()]));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        for kind in ["mnt", "net"] {
            let found = &json["containers"][0]["namespaces"][kind];
            assert!(found["inode"].is_number(), "{found}");
            assert_eq!(found["host"], is_hosts, "{kind}: {found}");
        }
    }
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
