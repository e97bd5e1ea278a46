//! `ctr-inspect` of containers that only state files have.

use std::process::Output;

use serde_json::{Value, json};

use crate::common::layout::{Layout, id};
use crate::common::process::{Piped, limited};
use crate::common::{applet, program, stderr, stdout, until};

fn inspect(layout: &Layout, arguments: &[&str]) -> Output {
    limited(applet("ctr-inspect").arg("--root").arg(layout.host.root()).args(arguments))
}

fn report(layout: &Layout, target: &str) -> Value {
    let output = inspect(layout, &["-J", target]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    json["containers"][0].clone()
}

/// Below the root directory.
const DOCKER: &str = "var/lib/docker";

/// A container of Docker that ended, with what it would publish and two layers of an image.
fn docker(layout: &Layout, name: &str, number: u32, state: &str) -> String {
    let id = id(number);
    let directory = format!("{DOCKER}/containers/{id}");
    let config = format!(
        r#"{{"Name":"/{name}","Created":"2024-01-01T00:00:00.5Z","Driver":"overlay2","State":{{"Running":false,{state}}},
        "Config":{{"Image":"nginx:1"}},"NetworkSettings":{{"Ports":{{"9/tcp":[{{"HostIp":"","HostPort":"9"}}]}}}}}}"#
    );
    layout.file(format!("{directory}/config.v2.json"), config);
    let bindings = r#"{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8081"}]}}"#;
    layout.file(format!("{directory}/hostconfig.json"), bindings);
    let mount = format!("{DOCKER}/image/overlay2/layerdb/mounts/{id}");
    layout.file(format!("{mount}/mount-id"), "upper");
    layout.file(format!("{mount}/parent"), "sha256:two");
    let layers = format!("{DOCKER}/image/overlay2/layerdb/sha256");
    layout.file(format!("{layers}/two/cache-id"), "b");
    layout.file(format!("{layers}/two/parent"), "sha256:one");
    layout.file(format!("{layers}/one/cache-id"), "a");
    id
}

const ENDED: &str = r#""Pid":0,"ExitCode":137,"OOMKilled":true,"StartedAt":"2024-01-01T00:00:01.5Z",
    "FinishedAt":"2024-01-01T00:01:00.5Z""#;

#[test]
fn how_a_container_of_docker_ended() {
    let layout = Layout::new("inspect-stopped");
    layout.process(1, 0, "/", 1);
    let id = docker(&layout, "web", 1, ENDED);
    for target in ["web", "docker:web", &id[..12]] {
        let found = report(&layout, target);
        let identity = &found["identity"];
        assert_eq!(identity["container"], "docker:web", "{target}");
        assert_eq!((&identity["status"], &identity["pid"]), (&json!("exited"), &Value::Null));
        assert_eq!((&identity["exit_code"], &identity["oom_killed"]), (&json!(137), &json!(true)));
        assert_eq!(identity["finished"], "2024-01-01T00:01:00Z");
        assert_eq!(identity["image"], "nginx:1");
        let overlay = &found["files"]["root"]["overlay"];
        assert_eq!(overlay["upper"], format!("/{DOCKER}/overlay2/upper/diff"));
        let lower = json!([format!("/{DOCKER}/overlay2/b/diff"), format!("/{DOCKER}/overlay2/a/diff")]);
        assert_eq!(overlay["lower"], lower);
        // What the last start left behind is not what would be published.
        let published = found["network"]["published"].as_array().expect("a list");
        assert_eq!(published.len(), 1, "{published:?}");
        assert_eq!((&published[0]["host_port"], &published[0]["port"]), (&json!(8081), &json!(80)));
        assert_eq!((&found["limits"], &found["processes"]), (&Value::Null, &Value::Null));
        assert_eq!(
            (&found["findings"][0]["id"], &found["findings"][0]["severity"]),
            (&json!("oom-kill"), &json!("medium"))
        );
    }
    let text = stdout(&inspect(&layout, &["web"])).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("OOM (137)") && text.contains("killed for lack of memory"), "{text}");
    assert!(text.contains("127.0.0.1:8081->80/tcp"), "{text}");
    let lacks = "it does not run: it has no namespaces, limits, privileges or processes now";
    assert_eq!(text.matches(lacks).count(), 1, "{text}");
    for (section, shown) in [("limits", "it does not run: it has no limits now"), ("identity,files", "")] {
        let text = stdout(&inspect(&layout, &["-s", section, "web"]));
        assert_eq!(text.contains("does not run"), !shown.is_empty(), "{text}");
        assert!(text.contains(shown), "{text}");
    }
}

#[test]
fn who_stopped_a_container_is_what_its_runtime_notes() {
    let layout = Layout::new("inspect-stopped-by");
    layout.process(1, 0, "/", 1);
    let id = docker(&layout, "web", 1, ENDED);
    let path = format!("{DOCKER}/containers/{id}/config.v2.json");
    let shown = || stdout(&inspect(&layout, &["web"])).contains("stopped by a user");
    assert_eq!(
        (report(&layout, "web")["identity"]["stopped_by_user"].clone(), shown()),
        (Value::Null, false)
    );
    layout.replace(&path, r#""Driver""#, r#""HasBeenManuallyStopped":false,"Driver""#);
    assert_eq!(
        (report(&layout, "web")["identity"]["stopped_by_user"].clone(), shown()),
        (json!(false), false)
    );
    layout.replace(&path, "Stopped\":false", "Stopped\":true");
    assert_eq!((report(&layout, "web")["identity"]["stopped_by_user"].clone(), shown()), (json!(true), true));
}

/// With one of the name, `host` is not the first process of the host.
#[test]
fn a_container_with_the_name_of_the_host_is_never_taken_for_it() {
    let layout = Layout::new("inspect-named-host");
    layout.process(1, 0, "/", 1);
    let pid = |target: &str| report(&layout, target)["identity"]["pid"].clone();
    assert_eq!(pid("host"), 1);
    docker(&layout, "host", 1, ENDED);
    assert_eq!((pid("host"), pid("docker:host")), (Value::Null, Value::Null));
    let output = inspect(&layout, &["host", "--diff", "1"]);
    assert!(stderr(&output).contains("container 'docker:host' does not run"), "{}", stderr(&output));
    docker(&layout, "host", 2, ENDED);
    for arguments in [&["host"][..], &["host", "--diff", "1"]] {
        let output = inspect(&layout, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("'host' is ambiguous"), "{}", stderr(&output));
    }
}

/// Runtimes note any kill in a container. Without the kernel's log it was in the last hour if the container was started then.
#[test]
fn a_kill_that_a_runtime_notes_is_not_older_than_the_container() {
    let layout = Layout::new("inspect-oom-noted");
    layout.process(1, 0, "/", 1);
    layout.file("proc/uptime", "100.00 100.00\n");
    let end = "2001-09-09T01:46:50Z";
    for (name, number, code, start) in [("web", 1, 137, end), ("app", 2, 5, "2001-09-08T01:46:50Z")] {
        let state = ENDED.replace("2024-01-01T00:01:00.5Z", end).replace("2024-01-01T00:00:01.5Z", start);
        docker(&layout, name, number, &state.replace("137", &code.to_string()));
        let output = inspect(&layout, &["--exit-status", name]);
        let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        let is_recent = start == end;
        assert_eq!(output.status.code(), Some(if is_recent { 2 } else { 0 }), "{text}");
        let word = if code == 137 { "OOM" } else { "exited" };
        assert!(text.contains(&format!(" {word} ({code}) 1m ago")), "{text}");
        let mark = if is_recent { "!!" } else { "!" };
        let noted = format!("{mark} oom-kill Docker notes that a process was killed for lack of memory");
        assert!(text.contains(&noted), "{text}");
        let undecided = "? not decided, as values are unknown: oom-kill";
        assert_eq!(text.contains(undecided), !is_recent, "{text}");
        assert!(text.contains("unknown limits.memory.kills: the copy has no log of the kernel"), "{text}");
    }
}

/// A clock that was wrong, or a file that was damaged.
#[test]
fn times_that_cannot_be_right_are_unknown() {
    let layout = Layout::new("inspect-times");
    layout.process(1, 0, "/", 1);
    layout.file("proc/uptime", "100.00 100.00\n");
    let states = [
        ("2024-13-45T00:01:00Z", Value::Null),
        ("2024-02-30T00:01:00Z", Value::Null),
        ("2024-01-01T25:01:00Z", Value::Null),
        ("2124-01-01T00:01:00Z", Value::Null),
        ("0000-11-26T20:00:00Z", Value::Null),
        ("2001-09-09T01:46:50+2562047788015215:30", Value::Null),
        ("2001-09-09T01:46:50Z", json!("2001-09-09T01:46:50Z")),
    ];
    for (number, (time, expected)) in states.iter().enumerate() {
        let state = ENDED.replace("2024-01-01T00:01:00.5Z", time).replace("2024-01-01T00:00:01.5Z", time);
        docker(&layout, "odd", u32::try_from(number).expect("few") + 1, &state);
        let found = report(&layout, "odd");
        let identity = &found["identity"];
        assert_eq!((&identity["started"], &identity["finished"]), (expected, expected), "{time}");
        // That it ended is known.
        assert_eq!((&identity["status"], &identity["exit_code"]), (&json!("exited"), &json!(137)), "{time}");
        let why = "its state file has no time of it that can be right";
        let unknown = found["unknown"].as_array().expect("a list").iter();
        let times: Vec<_> = unknown.filter(|one| one["path"] != "limits.memory.kills").collect();
        let lacks = ["identity.started", "identity.finished"].map(|path| json!({"path": path, "why": why}));
        assert_eq!(times, if expected.is_null() { lacks.iter().collect() } else { Vec::new() }, "{time}");
        let text = stdout(&inspect(&layout, &["odd"]));
        assert_eq!(text.contains(" ago"), !expected.is_null(), "{text}");
        std::fs::remove_dir_all(layout.host.root().join(DOCKER)).expect("removed");
    }
}

#[test]
fn a_container_that_was_never_started_has_no_exit_status() {
    let layout = Layout::new("inspect-created");
    layout.process(1, 0, "/", 1);
    let never = "0001-01-01T00:00:00Z";
    let state = format!(r#""ExitCode":0,"OOMKilled":false,"StartedAt":"{never}","FinishedAt":"{never}""#);
    docker(&layout, "new", 1, &state);
    let identity = &report(&layout, "new")["identity"];
    assert_eq!(identity["status"], "created");
    for key in ["exit_code", "oom_killed", "started", "finished", "error"] {
        assert_eq!(identity[key], Value::Null, "{key}");
    }
}

#[test]
fn how_a_container_of_podman_ended() {
    let layout = Layout::new("inspect-podman");
    layout.process(1, 0, "/", 1);
    let (id, storage) = (id(7), "var/lib/containers/storage");
    let list =
        format!(r#"[{{"id":"{id}","names":["db"],"layer":"top","metadata":"{{\"image-name\":\"x:1\"}}"}}]"#);
    layout.file(format!("{storage}/overlay-containers/containers.json"), list);
    layout.file(
        format!("{storage}/overlay-layers/layers.json"),
        r#"[{"id":"base"},{"id":"top","parent":"base"}]"#,
    );
    let spec = r#"{"annotations":{"io.container.manager":"libpod"}}"#;
    layout.file(format!("{storage}/overlay-containers/{id}/userdata/config.json"), spec);
    // An older state is still in a page that is free.
    let state = |finished: &str, code: u8| {
        format!(
            r#"{{"state":6,"runDir":"/run/x/{id}/userdata","startedTime":"2024-01-01T00:00:01.5Z","finishedTime":"{finished}","exitCode":{code},"stoppedByUser":true}}"#
        )
    };
    let config = format!(
        r#"{{"spec":{{}},"id":"{id}","newPortMappings":[{{"host_ip":"","container_port":5432,"host_port":15432,"range":1,"protocol":"tcp"}}]}}"#
    );
    let database =
        [state("2024-01-01T00:00:09Z", 3), state("0001-01-01T00:00:00Z", 0), config].join("\0\u{1}{");
    layout.file(format!("{storage}/libpod/bolt_state.db"), database);
    let found = report(&layout, "db");
    let identity = &found["identity"];
    assert_eq!((&identity["status"], &identity["exit_code"]), (&json!("exited"), &json!(3)));
    assert_eq!(identity["finished"], "2024-01-01T00:00:09Z");
    assert_eq!(identity["stopped_by_user"], true);
    assert_eq!(found["files"]["root"]["overlay"]["upper"], format!("/{storage}/overlay/top/diff"));
    assert_eq!(found["files"]["root"]["overlay"]["lower"], json!([format!("/{storage}/overlay/base/diff")]));
    assert_eq!(found["network"]["published"][0]["host_port"], 15432);
}

/// The shim of one that could not be started can go on, with the bundle.
#[test]
fn a_container_with_a_bundle_that_was_left_is_one() {
    let layout = Layout::new("inspect-bundle-left");
    layout.process(1, 0, "/", 1);
    let id = docker(&layout, "web", 1, ENDED);
    let bundle = format!("run/containerd/io.containerd.runtime.v2.task/moby/{id}");
    layout.file(format!("{bundle}/config.json"), "{}");
    layout.file(format!("{bundle}/init.pid"), "77");
    assert_eq!(report(&layout, "web")["identity"]["status"], "exited");
    assert_eq!(report(&layout, &format!("docker:{id}"))["identity"]["name"], "web");
}

/// LXC keeps no record of the end.
#[test]
fn a_machine_of_lxc_that_does_not_run_is_found() {
    let layout = Layout::new("inspect-stopped-lxc");
    layout.process(1, 0, "/", 1);
    layout.file("var/lib/lxc/mail/config", "lxc.uts.name = mail\n");
    docker(&layout, "web", 1, ENDED);
    let identity = report(&layout, "mail")["identity"].clone();
    assert_eq!(
        (&identity["container"], &identity["status"], &identity["exit_code"]),
        (&json!("lxc:mail"), &json!("stopped"), &Value::Null)
    );
    assert_eq!(report(&layout, "lxc:mail")["identity"]["name"], identity["name"]);
    assert_eq!(report(&layout, "web")["identity"]["status"], "exited");
    // A time with the offset of its writer.
    let ended = ENDED.replace("2024-01-01T00:01:00.5Z", "2024-01-01T02:01:00.5+02:00");
    docker(&layout, "late", 2, &ended);
    assert_eq!(report(&layout, "late")["identity"]["finished"], "2024-01-01T00:01:00Z");
}

#[test]
fn what_does_not_exist_is_still_missing() {
    let layout = Layout::new("inspect-missing");
    layout.process(1, 0, "/", 1);
    docker(&layout, "web", 1, ENDED);
    let output = inspect(&layout, &["-J", "other", "web", "web"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(json["containers"].as_array().map(Vec::len), Some(1), "each once");
    assert!(stderr(&output).contains("'other'"), "{}", stderr(&output));
}

#[test]
fn containers_that_do_not_run_and_empty_targets_are_named_in_errors() {
    let layout = Layout::new("inspect-errors");
    layout.process(1, 0, "/", 1);
    docker(&layout, "web", 1, ENDED);
    let stopped =
        "container 'docker:web' does not run: --diff compares running ones ('ctr-ps -l -a' lists all)";
    for (arguments, expected) in [
        (&["host", "--diff", "web"][..], stopped),
        (&["web", "--diff", "host"], stopped),
        (
            &["host", "--diff", "other"],
            "no process or container 'other' ('ctr-ps -l -a' lists the containers)",
        ),
        (&[""], "the target is empty"),
        (&["host", "--diff", ""], "the target is empty"),
    ] {
        let output = inspect(&layout, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_process_that_has_ended_and_was_not_waited_for_is_a_zombie() {
    let mut parent = Piped::new(program("sh").args(["-c", "sh -c 'echo $$' & exec cat"]));
    let pid = parent.line();
    let is_zombie =
        || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    until("the child is a zombie", is_zombie);
    let output = limited(applet("ctr-inspect").args(["-J", "-s", "identity", &pid]));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(json["containers"][0]["identity"]["status"], "zombie");
    parent.end_of_input();
}
