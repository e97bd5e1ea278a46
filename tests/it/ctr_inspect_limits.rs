//! `ctr-inspect` on containers that reach the limits of groups above them.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use serde_json::Value;

use crate::common::cgexec::{Name, mounted};
use crate::common::process::{Holder, limited, namespaces};
use crate::common::{applet, program, skip, stderr, stdout, until};

fn report(pid: i32) -> Value {
    let output = limited(applet("ctr-inspect").args(["-J", "-s", "limits", &pid.to_string()]));
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    json["containers"][0].clone()
}

fn finding(report: &Value, id: &str) -> Option<Value> {
    report["findings"].as_array().expect("a list").iter().find(|one| one["id"] == id).cloned()
}

/// A group with these limits, v1 or v2, and one below it. None where there is none.
fn groups(test: &str, controller: &str, files: [&[(&str, &str)]; 2]) -> Option<(Name, std::path::PathBuf)> {
    let Some((_, v2)) = mounted(controller) else {
        skip(test, "needs a mounted controller that this test may use");
        return None;
    };
    let name = Name::new(test);
    let inner = name.make(controller, "outer/inner");
    let outer = inner.parent().expect("a parent");
    for (file, value) in files[usize::from(v2)] {
        // A kernel without swap accounting has no limit of it.
        let is_swap = file.contains("sw");
        if std::fs::write(outer.join(file), value).is_err() && !is_swap {
            skip(test, "the controller cannot be used in a new group");
            return None;
        }
    }
    Some((name, inner))
}

fn join(group: &Path, pid: i32) {
    std::fs::write(group.join("cgroup.procs"), pid.to_string()).expect("moved");
}

/// Starts a process in the group that needs 256 MB, and says whether the limit of the group has it killed.
fn kills_hog(test: &str, group: &Path) -> bool {
    let script =
        format!("echo $$ >{}/cgroup.procs; exec dd if=/dev/zero of=/dev/null bs=256M", group.display());
    let is_killed = limited(program("sh").args(["-c", &script])).status.signal() == Some(9);
    if !is_killed {
        skip(test, "the memory controller does not limit here");
    }
    is_killed
}

/// The victim is in the container's group; the limit is that of the group above.
#[test]
fn a_kill_by_the_limit_of_a_group_above_names_that_group() {
    let test = "a_kill_by_the_limit_of_a_group_above";
    if !namespaces(test) {
        return;
    }
    let v1 = [("memory.limit_in_bytes", "33554432"), ("memory.memsw.limit_in_bytes", "33554432")];
    let v2 = [("memory.max", "33554432"), ("memory.swap.max", "0")];
    let Some((name, inner)) = groups(test, "memory", [&v1, &v2]) else { return };
    let holder = Holder::new(&["-m", "-p", "-f"], "");
    join(&inner, holder.pid);
    assert_eq!(finding(&report(holder.pid), "oom-kill"), None);
    if !kills_hog(test, &inner) {
        return;
    }
    let found = report(holder.pid);
    let memory = &found["limits"]["memory"];
    assert_eq!((&memory["own"], &memory["events"]["oom_kill"]), (&Value::Bool(true), &1.into()), "{memory}");
    let oom = finding(&found, "oom-kill").unwrap_or_else(|| panic!("{found}"));
    let text = oom["text"].as_str().expect("text");
    assert!(text.contains("outer") && text.contains("PID 1 lives on"), "{text}");
    if let Some(kill) = memory["kills"].as_array().and_then(|kills| kills.last()) {
        assert!(kill["limit_by"].as_str().is_some_and(|by| by.ends_with("/outer")), "{kill}");
        assert!(kill["victim"].as_str().is_some_and(|by| by.ends_with("/outer/inner")), "{kill}");
        assert_eq!(kill["comm"], "dd");
    }
    // With another process in the group it is shared: nothing says whose the victim was.
    let other = Holder::new(&["-m", "-p", "-f"], "");
    join(&inner, other.pid);
    let shared = report(holder.pid);
    assert_eq!(shared["limits"]["memory"]["own"], false, "{}", shared["limits"]);
    let oom = finding(&shared, "oom-kill").unwrap_or_else(|| panic!("{shared}"));
    let text = oom["text"].as_str().expect("text");
    assert!(text.contains("inner") && text.contains("not the container's alone"), "{text}");
    assert!(!text.contains("PID 1"), "{text}");
    drop(other);
    drop(holder);
    drop(name);
}

/// In a group below a shared one, by its own limit. The shared one counts nothing itself.
#[test]
fn a_kill_in_the_group_of_another_container_is_not_this_ones() {
    let test = "a_kill_in_the_group_of_another";
    if !namespaces(test) {
        return;
    }
    // On v2 a group with a controller below it has no processes.
    if mounted("memory").is_none_or(|(_, v2)| v2) {
        return skip(test, "needs a v1 memory controller");
    }
    let Some((name, inner)) = groups(test, "memory", [&[], &[]]) else { return };
    let outer = inner.parent().expect("a parent");
    for file in ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] {
        _ = std::fs::write(inner.join(file), "33554432");
    }
    let (holder, other) = (Holder::new(&["-m", "-p", "-f"], ""), Holder::new(&["-m", "-p", "-f"], ""));
    join(outer, holder.pid);
    join(&inner, other.pid);
    if !kills_hog(test, &inner) {
        return;
    }
    let found = report(holder.pid);
    let memory = &found["limits"]["memory"];
    assert_eq!((&memory["own"], &memory["events"]["oom_kill"]), (&Value::Bool(false), &0.into()), "{memory}");
    assert_eq!(finding(&found, "oom-kill"), None);
    assert!(finding(&report(other.pid), "oom-kill").is_some(), "the other one has it");
    drop((holder, other));
    drop(name);
}

/// The counters since the start say nothing yet.
#[test]
fn throttling_that_began_a_moment_ago_is_found() {
    let test = "throttling_that_began_a_moment_ago";
    if !namespaces(test) {
        return;
    }
    // A long period: fewer than 100 of them pass while this test runs.
    let v1 = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "2000")];
    let v2 = [("cpu.max", "2000 100000")];
    let Some((name, inner)) = groups(test, "cpu", [&v1, &v2]) else { return };
    let holder = Holder::new(&["-m", "-p", "-f"], "while :; do :; done &");
    assert_eq!(finding(&report(holder.pid), "cpu-throttled"), None);
    let busy = crate::common::process::children(holder.pid);
    busy.iter().chain([&holder.pid]).for_each(|pid| join(&inner, *pid));
    let mut last = Value::Null;
    until("throttled periods", || {
        last = report(holder.pid);
        finding(&last, "cpu-throttled").is_some()
    });
    let throttled = &last["limits"]["cpu"]["throttled"];
    assert!(throttled["by"].as_str().is_some_and(|by| by.ends_with("/outer")), "{throttled}");
    let text = finding(&last, "cpu-throttled").expect("found")["text"].to_string();
    assert!(text.contains("outer"), "{text}");
    if throttled["periods"].as_u64().is_some_and(|periods| periods < 100) {
        assert!(text.contains("throttled now"), "{text}");
    }
    drop(holder);
    drop(name);
}
