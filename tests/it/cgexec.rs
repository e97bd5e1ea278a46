//! cgexec: joining, making and limiting groups, with real ones.

use crate::common;

use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::common::cgexec::{Inside, Name, cgexec, directory, mounted, path_in, possible};
use crate::common::process::{copy_of_binary, failure, limited, printed};
use crate::common::{Scratch, program, stderr, stdout};

const SHOW: [&str; 2] = ["cat", "/proc/self/cgroup"];

fn v2(controller: &str) -> bool {
    mounted(controller).expect("mounted").1
}

/// Status 125 and the message, which is the last line.
fn refused(command: &mut std::process::Command, words: &[&str]) {
    let (status, message) = failure(command);
    assert_eq!(status, Some(125), "{command:?}: {message}");
    assert!(message.starts_with("cgexec: ") && message.lines().count() == 1, "{message}");
    for word in words {
        assert!(message.contains(word), "{command:?}: no '{word}' in {message}");
    }
}

#[test]
fn groups_that_exist_are_joined() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("join");
    for controller in ["pids", "memory"] {
        name.make(controller, "b c");
    }
    let own = printed(program("cat").arg("/proc/self/cgroup"));
    let group = format!("/{}", name.0);
    let joined = printed(cgexec().args(["-g", &name.spec("pids")]).args(SHOW));
    assert_eq!(path_in(&joined, "pids"), Some(group.as_str()));
    let below = format!("{group}/b c");
    for spec in [format!("pids,memory,:/{}//b c/", name.0), format!("memory,pids:{}/./b c", name.0)] {
        let joined = printed(cgexec().args(["-g", &spec, "--"]).args(SHOW));
        assert_eq!(path_in(&joined, "pids"), Some(below.as_str()), "{spec}");
        assert_eq!(path_in(&joined, "memory"), Some(below.as_str()), "{spec}");
        assert_eq!(path_in(&joined, "cpu") == path_in(&own, "cpu"), !v2("cpu"), "{spec}");
    }
    // The last of a hierarchy counts, as in the reference tool.
    let specs = [name.spec("pids"), format!("pids:{}/b c", name.0)];
    let joined = printed(cgexec().args(["-g", &specs[0], "-g", &specs[1]]).args(SHOW));
    assert_eq!(path_in(&joined, "pids"), Some(below.as_str()));
    let joined = printed(cgexec().args(["-g", "*:/"]).args(SHOW));
    assert_eq!(path_in(&joined, "memory"), Some("/"));
}

#[test]
fn v2_and_named_hierarchies_are_joined() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("other");
    for controller in ["", "name=systemd"] {
        if mounted(controller).is_none() {
            continue;
        }
        name.make(controller, "");
        let joined = printed(cgexec().args(["-g", &name.spec(controller)]).args(SHOW));
        assert_eq!(path_in(&joined, controller), Some(format!("/{}", name.0).as_str()), "{controller:?}");
    }
}

#[test]
fn a_threaded_group_is_joined() {
    if !possible("cgexec") || mounted("").is_none() {
        return;
    }
    let name = Name::new("threaded");
    let group = name.make("", "t");
    std::fs::write(group.join("cgroup.type"), "threaded").expect("a threaded group");
    let joined = printed(cgexec().args(["-g", &format!(":{}/t", name.0)]).args(SHOW));
    assert!(joined.contains(&format!("0::/{}/t\n", name.0)), "{joined}");
}

#[test]
fn it_becomes_the_program() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("exec");
    name.make("pids", "");
    let spec = name.spec("pids");
    let mut command = cgexec();
    command.args(["-g", &spec, "sh", "-c", "echo $$; exit 42"]).stdout(std::process::Stdio::piped());
    let child = command.spawn().expect("cgexec");
    let pid = child.id();
    let output = child.wait_with_output().expect("its end");
    assert_eq!(stdout(&output), format!("{pid}\n"));
    assert_eq!(output.status.code(), Some(42));
    for (words, status, message) in [
        (&["no-such-program"][..], 127, "failed to execute no-such-program: No such file or directory"),
        (&["/etc/passwd"], 126, "failed to execute /etc/passwd: Permission denied"),
    ] {
        let failed = (Some(status), format!("cgexec: {message}\n"));
        assert_eq!(failure(cgexec().args(["-g", &spec]).args(words)), failed);
        assert_eq!(failure(cgexec().arg("--create").args(words)), failed);
    }
    let (status, message) = failure(&mut cgexec());
    assert_eq!(status, Some(125));
    assert!(message.contains("no program given"), "{message}");
}

#[test]
fn refusals_name_the_group_and_the_cure() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("refuse");
    let spec = name.spec("pids");
    let absent = name.at("pids", "");
    refused(
        cgexec().args(["-g", &spec, "true"]),
        &[
            &format!("pids:/{}", name.0),
            absent.to_str().expect("text"),
            "No such file or directory",
            "--create",
        ],
    );
    refused(cgexec().args(["-g", "nosuch:/", "true"]), &["'nosuch' is not mounted", "mounted are:", "pids"]);
    refused(cgexec().args(["-g", "pids:a/../b", "true"]), &["'pids:a/../b'", "'..'"]);
    for bad in ["pids", "pids:", "", ":"] {
        refused(cgexec().args(["-g", bad, "true"]), &[&format!("'{bad}' is not CONTROLLERS:PATH")]);
    }
    refused(cgexec().args(["--like", "4194304", "true"]), &["4194304"]);
    refused(cgexec().args(["-m", "x", "true"]), &["'x' is not a size"]);
    refused(cgexec().args(["-g", "pids:/", "--kill", "true"]), &["--kill", "--create"]);
    refused(cgexec().args(["--set", "nosuch.max=1", "true"]), &["'nosuch' is not mounted"]);
    refused(cgexec().args(["-g", "pids:/", "--report=xml", "true"]), &["'xml'"]);
    if let Some((_, false)) = mounted("cpuset") {
        name.make("cpuset", "");
        refused(
            cgexec().args(["-g", &name.spec("cpuset"), "true"]),
            &["No space left on device", "cpuset.cpus and cpuset.mems must be set"],
        );
        refused(cgexec().args(["-g", &spec, "--create", "--cpuset", "0", "true"]), &["-g cpuset:PATH"]);
        assert!(!absent.exists());
    }
}

#[test]
fn groups_that_the_user_may_not_write_are_reported() {
    if !possible("cgexec") {
        return;
    }
    const UNPRIVILEGED_UID: u32 = 65534;
    let name = Name::new("user");
    let group = name.make("pids", "");
    let scratch = Scratch::new("cgexec-user");
    let binary = scratch.0.join("ctrbox");
    copy_of_binary(&binary);
    let user = || {
        let mut command = program(binary.to_str().expect("text"));
        command.arg("cgexec").uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/");
        command
    };
    let spec = name.spec("pids");
    let entrance = group.join(if v2("pids") { "cgroup.procs" } else { "tasks" });
    let shown = entrance.to_str().expect("text");
    let entrance_shown = if v2("pids") { shown } else { "its file tasks" };
    refused(
        user().args(["-g", &spec, "true"]),
        &["Permission denied", entrance_shown, "is not writable by you"],
    );
    refused(user().args(["-m", "10M", "true"]), &["not writable by you"]);
    let said = if v2("pids") { "is not delegated to you" } else { "not writable by you" };
    refused(user().args(["-g", &format!("{spec}/x"), "--create", "true"]), &["Permission denied", said]);
    // Delegation to the user is enough on v1; on v2 the common ancestor must belong to the user as well.
    for file in [&group, &entrance] {
        std::os::unix::fs::chown(file, Some(UNPRIVILEGED_UID), None).expect("chown");
    }
    if v2("pids") {
        let above = mounted("pids").expect("mounted").0.join("cgroup.procs");
        let above = above.to_str().expect("text").to_owned();
        refused(user().args(["-g", &spec, "true"]), &[&above, "is not writable by you", "systemd-run"]);
    } else {
        let joined = printed(user().args(["-g", &spec]).args(SHOW));
        assert_eq!(path_in(&joined, "pids"), Some(format!("/{}", name.0).as_str()));
        let inside = ["sh", "-c", "cat /proc/self/cgroup", "sh"];
        let mut below = user();
        below.args(["-g", &format!("{spec}/mine"), "--create", "--pids", "7"]).args(inside);
        assert!(!directory(&printed(&mut below), "pids").exists());
    }
}

#[test]
fn limits_are_those_asked_for() {
    if !possible("cgexec") {
        return;
    }
    let options =
        ["-m", "64M", "--pids", "20", "--cpus", "1.5", "--cpu-weight", "50", "--set", "memory.swappiness=7"];
    let options = if v2("memory") { &options[..8] } else { &options };
    let inside = Inside::new(options);
    let expected: &[(&str, &str, bool, &str)] = &[
        ("memory", "memory.max", true, "67108864"),
        ("memory", "memory.limit_in_bytes", false, "67108864"),
        ("memory", "memory.swappiness", false, "7"),
        ("cpu", "cpu.max", true, "150000 100000"),
        ("cpu", "cpu.cfs_quota_us", false, "150000"),
        ("cpu", "cpu.weight", true, "50"),
        ("cpu", "cpu.shares", false, "512"),
        ("pids", "pids.max", v2("pids"), "20"),
    ];
    for (controller, file, of_v2, value) in
        expected.iter().filter(|(controller, _, of_v2, _)| *of_v2 == v2(controller))
    {
        assert_eq!(inside.reads(controller, file), *value, "{file} {of_v2}");
    }
    let group = inside.directory("pids");
    assert!(common::cgexec::processes(&group).contains(&inside.pid), "{}", group.display());
    assert_eq!(group.parent().and_then(Path::file_name), Some(std::ffi::OsStr::new("ctrbox")));
}

#[test]
fn a_limit_that_the_host_has_not_runs_nothing() {
    if !possible("cgexec") || v2("memory") {
        return;
    }
    refused(cgexec().args(["--memory-high", "5M", "echo", "x"]), &["memory.high", "v1"]);
    refused(cgexec().args(["--swap", "5M", "echo", "x"]), &["memory and swap together", "-m"]);
    refused(
        cgexec().args(["--set", "memory.nosuch=1", "echo", "x"]),
        &["memory.nosuch", "does not have this limit"],
    );
}

#[test]
fn created_groups_are_removed_and_others_stay() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("create");
    let before = name.make("pids", "was");
    let spec = format!("pids:{}/was/a/b", name.0);
    let inside = printed(cgexec().args(["-g", &spec, "--create"]).args(SHOW));
    assert_eq!(path_in(&inside, "pids"), Some(format!("/{}/was/a/b", name.0).as_str()));
    assert!(!before.join("a").exists() && before.exists());
    let spec = format!("pids:{}/was", name.0);
    printed(cgexec().args(["-g", &spec, "--create", "--pids", "9", "true"]));
    assert_eq!(std::fs::read_to_string(before.join("pids.max")).expect("a limit"), "9\n");
    refused(cgexec().args(["-g", &spec, "--create", "--kill", "true"]), &["already exists"]);
    let output = limited(cgexec().args(["-g", &format!("{spec}/kept"), "--create", "--keep", "true"]));
    assert!(output.status.success() && stderr(&output).contains("kept: "), "{}", stderr(&output));
    assert!(before.join("kept").exists());
    assert_eq!(
        failure(cgexec().args(["-g", &format!("{spec}/not"), "--create", "--keep", "no-such"])).0,
        Some(127)
    );
    assert!(!before.join("not").exists());
}

#[test]
fn controllers_are_turned_on_and_off_again() {
    if !possible("cgexec") {
        return;
    }
    let Some((root, _)) = mounted("") else { return };
    let on =
        |directory: &Path| std::fs::read_to_string(directory.join("cgroup.subtree_control")).expect("v2");
    let given = on(&root);
    let Some(controller) = given.split_whitespace().next() else { return };
    let name = Name::new("enable");
    let group = name.make("", "");
    let script = format!("cat {}/cgroup.subtree_control", group.display());
    let spec = format!("{controller}:{}/x", name.0);
    let inside = printed(cgexec().args(["-g", &spec, "--create", "sh", "-c", &script]));
    assert_eq!(inside, format!("{controller}\n"));
    assert_eq!(on(&group).trim(), "", "put back");
    assert_eq!(on(&root), given);
}

#[test]
fn a_new_cpuset_gets_the_values_of_its_parent() {
    if !possible("cgexec") || !matches!(mounted("cpuset"), Some((_, false))) {
        return;
    }
    let name = Name::new("cpuset");
    let spec = format!("cpuset:{}/x", name.0);
    let script = format!("cat {0}/cpuset.cpus {0}/cpuset.mems", name.at("cpuset", "x").display());
    let root = mounted("cpuset").expect("mounted").0;
    let read = |file: &str| std::fs::read_to_string(root.join(file)).expect("a cpuset");
    let inside = printed(cgexec().args(["-g", &spec, "--create", "sh", "-c", &script]));
    assert_eq!(inside, read("cpuset.cpus") + &read("cpuset.mems"));
    assert!(name.all().is_empty());
}

#[test]
fn a_dry_run_changes_nothing() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("dry");
    let spec = format!("pids:{}/x", name.0);
    let shown = printed(cgexec().args(["-n", "-g", &spec, "--create", "--pids", "5", "echo", "hi"]));
    let group = name.at("pids", "x");
    let (group, parent) = (group.display(), name.at("pids", ""));
    let entrance = if v2("pids") { "cgroup.procs" } else { "tasks" };
    for line in [
        format!("mkdir {}", parent.display()),
        format!("mkdir {group}"),
        format!("echo 5 >{group}/pids.max"),
        "(".to_owned(),
        format!("echo 0 >{group}/{entrance}"),
        "exec echo hi".to_owned(),
        ")".to_owned(),
        format!("rmdir {group}"),
    ] {
        assert!(shown.lines().any(|other| other == line), "no '{line}' in {shown}");
    }
    assert!(name.all().is_empty());
    // The commands do what cgexec does.
    let script = format!("set -e\n{shown}\necho after");
    assert_eq!(printed(program("sh").args(["-c", &script])), "hi\nafter\n");
    let left = name.all();
    assert!(left.iter().all(|directory| !directory.join("x").exists()), "{left:?}");
}

#[test]
fn the_groups_of_another_are_joined_in_all_hierarchies() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("like");
    for controller in ["pids", "memory", ""] {
        if mounted(controller).is_some() {
            name.make(controller, "");
        }
    }
    let specs: Vec<String> = ["pids", "memory", ""]
        .iter()
        .filter(|controller| mounted(controller).is_some())
        .flat_map(|controller| ["-g".to_owned(), name.spec(controller)])
        .collect();
    let options: Vec<&str> = specs.iter().map(String::as_str).collect();
    let inside = Inside::new(&options);
    assert!(inside.groups.contains(&name.0));
    let joined = printed(cgexec().args(["--like", &inside.pid.to_string()]).args(SHOW));
    assert_eq!(joined, inside.groups);
    refused(cgexec().args(["--like", &inside.pid.to_string(), "-m", "5M", "true"]), &["--like"]);
}

/// The value that a dry run would write to a file.
fn planned(text: &str, file: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("echo ") && line.ends_with(file))?;
    line.strip_prefix("echo ")?.split(" >").next().map(str::to_owned)
}

#[test]
fn percentages_are_of_what_the_groups_above_allow() {
    if !possible("cgexec") {
        return;
    }
    let name = Name::new("share");
    let controllers = ["memory", "cpu"];
    let [memory, cpu] = controllers.map(|controller| name.make(controller, "middle"));
    let top = |group: &Path| group.parent().expect("the group above").to_path_buf();
    let write = |file: std::path::PathBuf, value: &str| {
        std::fs::write(&file, value).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    };
    // A controller of v2 has files only in groups below one that enables it.
    for (controller, group) in [("memory", &memory), ("cpu", &cpu)] {
        if v2(controller) {
            write(top(group).join("cgroup.subtree_control"), &format!("+{controller}"));
        }
    }
    let memory_file = if v2("memory") { "memory.max" } else { "memory.limit_in_bytes" };
    write(top(&memory).join(memory_file), "64M");
    match v2("cpu") {
        true => write(top(&cpu).join("cpu.max"), "50000 100000"),
        false => write(top(&cpu).join("cpu.cfs_quota_us"), "50000"),
    }
    let plan = |memory: &str, cpus: &str| {
        let spec = format!("memory,cpu:{}/middle/new", name.0);
        let options = ["-n", "--create", "-g", &spec, "-m", memory, "--cpus", cpus, "true"];
        printed(cgexec().args(options))
    };
    let text = plan("50%", "50%");
    assert_eq!(planned(&text, memory_file).as_deref(), Some("33554432"), "{text}");
    let quota = if v2("cpu") { ("cpu.max", "25000 100000") } else { ("cpu.cfs_quota_us", "25000") };
    assert_eq!(planned(&text, quota.0).as_deref(), Some(quota.1), "{text}");
    // A nearer limit that is less.
    write(memory.join(memory_file), "16M");
    assert_eq!(planned(&plan("12.5%", "100%"), memory_file).as_deref(), Some("2097152"));
    let spec = format!("memory:{}/middle/new", name.0);
    let limit = name.at("memory", "middle/new").join(memory_file);
    let shown = printed(cgexec().args(["--create", "-g", &spec, "-m", "25%", "cat"]).arg(&limit));
    assert_eq!(shown.trim(), "4194304", "it is written too");
    for wrong in ["0%", "101%", "-5%", "%"] {
        refused(cgexec().args(["-m", wrong, "true"]), &["is not a percentage"]);
        refused(cgexec().args(["--cpus", wrong, "true"]), &["is not a percentage"]);
    }
}
