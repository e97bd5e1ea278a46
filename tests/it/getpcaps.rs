//! The output of getpcaps and capsh for processes in unusual states, beyond the programs of libcap.

use crate::common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::process::{Holder, Piped, executable, limited, namespaces};
use crate::common::{Scratch, applet, program, root, skip, stderr, stdout, there};
use ctrbox::testing::isolation::capabilities::text::Flags;
use ctrbox::testing::isolation::capabilities::{all, own};
use serde_json::Value;

fn said(applet_name: &str, arguments: &[&str]) -> String {
    let output = limited(applet(applet_name).args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// The one record of `getpcaps --json`.
fn record(target: &str) -> Value {
    let json: Value = serde_json::from_str(&said("getpcaps", &["--json", target])).expect("JSON");
    let records = json["processes"].as_array().expect("a list").clone();
    assert_eq!(records.len(), 1, "{json}");
    records[0].clone()
}

fn failure(applet_name: &str, arguments: &[&str]) -> Output {
    let output = limited(applet(applet_name).args(arguments));
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stdout(&output));
    output
}

/// A process with only these of root's capabilities; None without setpriv.
fn with_only(names: &str) -> Option<Holder> {
    if !root() || !there("setpriv") {
        skip("root", "only root can give capabilities, and setpriv(1) does it");
        return None;
    }
    let keep = format!("-all,{names}");
    Some(Holder::by(program("setpriv").args(["--bounding-set", &keep, "--inh-caps", "-all"]), ""))
}

#[test]
fn the_nearest_usual_set_is_named_with_what_differs() {
    let docker = "+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,\
        +net_bind_service,+sys_chroot,+kill,+audit_write";
    let Some(default) = with_only(docker) else { return };
    let Some(more) = with_only(&docker.replace("+mknod", "+net_admin")) else { return };
    let Some(few) = with_only("+net_raw,+kill") else { return };
    let [default, more, few] = [&default, &more, &few].map(|holder| holder.pid.to_string());

    assert_eq!(
        said("getpcaps", &["--diff", &default, &more, &few]),
        format!("{default}: docker default\n{more}: docker default +NET_ADMIN -MKNOD\n{few}: KILL NET_RAW\n")
    );
    assert_eq!(
        said("getpcaps", &["--diff=podman", &default, "--diff=crio", &few]),
        format!(
            "{default}: podman default +NET_RAW +MKNOD +AUDIT_WRITE\n{few}: cri-o default +NET_RAW -CHOWN \
             -DAC_OVERRIDE -FOWNER -FSETID -SETGID -SETUID -SETPCAP -NET_BIND_SERVICE\n"
        )
    );
    // Another process as base, which later options do not change.
    assert_eq!(
        said("getpcaps", &[&format!("--diff={more}"), &default]),
        format!("{default}: {more} -NET_ADMIN +MKNOD\n").replace("-NET_ADMIN +MKNOD", "+MKNOD -NET_ADMIN")
    );
    let json = record(&more);
    assert_eq!(json["baseline"], "docker");
    assert_eq!(json["permitted_words"], "docker default +NET_ADMIN -MKNOD");
    assert_eq!(json["permitted"]["mask"], "00000000a00435fb");
    let card = said("capsh", &[&format!("--print={more}")]);
    assert!(card.contains("\nIn short: docker default +NET_ADMIN -MKNOD\n"), "{card}");
}

#[test]
fn the_usual_sets_are_listed_and_a_wrong_name_gets_the_list() {
    let list = said("getpcaps", &["--diff=list"]);
    assert!(list.lines().any(|line| line.starts_with("docker      00000000a80425fb moby ")), "{list}");
    let output = failure("getpcaps", &["--diff=doker", "0"]);
    let message = stderr(&output);
    assert!(
        message.starts_with("getpcaps: --diff=doker is neither a baseline (all, docker, podman, "),
        "{message}"
    );
}

#[test]
fn a_former_root_has_no_capability_but_can_gain_some() {
    if !root() || !there("setpriv") {
        return skip("root", "only root can become another");
    }
    let bounding = ["--bounding-set", "-all,+kill,+net_raw", "--reuid=1", "--clear-groups", "--no-new-privs"];
    let holder = Holder::by(program("setpriv").args(bounding), "");
    let pid = holder.pid.to_string();
    assert_eq!(said("getpcaps", &["--diff", &pid]), format!("{pid}: none, at most KILL NET_RAW\n"));
    let json = record(&pid);
    assert_eq!(json["no_new_privs"], true);
    assert_eq!(json["euid"], 1);
    assert_eq!(json["bounding"]["names"], serde_json::json!(["cap_kill", "cap_net_raw"]));
    assert_eq!(json["securebits"], Value::Null);
    let card = said("capsh", &[&format!("--print={pid}")]);
    assert!(card.contains(
        "\nSecurebits: unknown, only the process itself can read them (no-new-privs=1)\nuid=1 euid=1\n"
    ));
}

#[test]
fn in_a_user_namespace_the_owner_is_shown() {
    if !namespaces("getpcaps") {
        return;
    }
    let holder = Holder::new(&["-U", "-r"], "");
    let pid = holder.pid.to_string();
    let link = holder.link("user");
    let inode = link.trim_start_matches("user:[").trim_end_matches(']');
    let uid = nix::unistd::getuid();
    let count = all(own::last().expect("the last capability")).count_ones();
    assert_eq!(
        said("getpcaps", &["--diff", &pid]),
        format!("{pid}: all {count}, only inside user namespace {inode}, owned by uid {uid}\n")
    );
    let json = record(&pid);
    assert_eq!(
        json["user_namespace"],
        serde_json::json!({
            "id": inode.parse::<u64>().expect("a number"), "ours": false, "owner": uid.as_raw()
        })
    );
    let card = said("capsh", &[&format!("--print={pid}")]);
    assert!(card.contains(&format!("\nUser namespace: {inode}, owned by uid {uid}\n")), "{card}");

    let actual = std::process::id().to_string();
    assert!(!said("getpcaps", &["--diff", &actual]).contains("user namespace"));
    assert_eq!(record(&actual)["user_namespace"]["ours"], true);
}

#[test]
fn threads_that_differ_are_shown() {
    let (ready, started) = std::sync::mpsc::channel();
    let (_held, end) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        own::set_no_new_privs().expect("this thread alone");
        own::set_flags(Flags::default()).expect("less is always allowed");
        ready.send(nix::unistd::gettid()).expect("a listener");
        let _ = end.recv();
    });
    let thread = started.recv().expect("a thread").as_raw();
    let pid = std::process::id().to_string();
    let json = record(&pid);
    let threads = json["threads"].as_array().expect("a list");
    let actual = threads.iter().find(|group| group["ids"] == serde_json::json!([thread]));
    let actual = actual.unwrap_or_else(|| panic!("no {thread} in {json}"));
    assert_eq!((&actual["text"], &actual["no_new_privs"]), (&Value::from("="), &Value::from(true)));

    let table = said("getpcaps", &["--table", &pid]);
    assert!(table.contains(&format!("{pid} thread {thread} (")), "{table}");
    let card = said("capsh", &[&format!("--print={pid}")]);
    assert!(card.contains(&format!("\nThread {thread} differs: \"=\" [")), "{card}");
    let tree = said("getpcaps", &["--tree", &pid]);
    assert!(tree.contains(&format!("(thread {thread})")), "{tree}");
}

/// A copy of cat with capabilities of its own, which it holds when it runs.
#[test]
fn file_capabilities_are_shown() {
    let setcap = |arguments: &[&str]| {
        let command = Path::new("/usr/sbin/setcap");
        command.exists() && limited(program("/usr/sbin/setcap").args(arguments)).status.success()
    };
    let scratch = Scratch::new("getpcaps-file");
    let file = scratch.0.join("cat");
    let cat = ["/bin/cat", "/usr/bin/cat"].into_iter().find(|path| Path::new(path).exists()).expect("cat");
    executable(&file, &std::fs::read(cat).expect("cat"), 0o755);
    let path = file.to_str().expect("a plain path");
    if !root() || !setcap(&["cap_net_raw=ep", path]) {
        return skip("libcap", "setcap cannot give capabilities to a file here");
    }
    let running = || {
        let mut cat = Piped::new(&mut Command::new(&file));
        cat.say("x\n");
        assert_eq!(cat.line(), "x");
        cat
    };
    let plain = running();
    let json = record(&plain.pid().to_string());
    assert_eq!(json["program"], path);
    assert_eq!(json["program_capabilities"], "cap_net_raw=ep");
    assert_eq!((&json["program_rootid"], &json["program_error"]), (&Value::Null, &Value::Null));
    let card = said("capsh", &[&format!("--print={}", plain.pid())]);
    assert!(card.contains(&format!("\nProgram: {path}, file capabilities cap_net_raw=ep\n")), "{card}");

    drop(plain);
    assert!(setcap(&["-n", "100000", "cap_kill=p", path]), "a root id");
    let rooted = running();
    let json = record(&rooted.pid().to_string());
    assert_eq!(
        (&json["program_capabilities"], &json["program_rootid"]),
        (&"cap_kill=p".into(), &100_000.into())
    );
    let card = said("capsh", &[&format!("--print={}", rooted.pid())]);
    assert!(card.contains(" file capabilities cap_kill=p where uid 100000 is root\n"), "{card}");
    // The file is found although its name no longer exists.
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(record(&rooted.pid().to_string())["program_capabilities"], "cap_kill=p");
}

#[test]
fn a_table_has_a_line_for_each_capability_in_a_set() {
    if !root() || !there("setpriv") {
        return skip("root", "only root can give capabilities");
    }
    let options = ["--bounding-set", "-all,+kill,+net_raw", "--inh-caps", "+kill", "--ambient-caps", "+kill"];
    let holder = Holder::by(program("setpriv").args(options), "");
    let pid = holder.pid.to_string();
    let table = said("getpcaps", &["--table", &pid]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with(&format!("{pid} (")) && lines[0].ends_with(" EFF PRM INH BND AMB"),
        "{table}"
    );
    let row = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(row(lines[1]), ["cap_kill", "x", "x", "x", "x", "x"]);
    assert_eq!(row(lines[2]), ["cap_net_raw", "x", "x", "-", "x", "-"]);
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
}

#[test]
fn a_tree_of_one_process_has_only_its_children() {
    let mut parent = Piped::new(program("sh").args(["-c", "exec 3<&0; cat <&3 & echo $!; wait"]));
    let child = parent.line();
    let tree = said("getpcaps", &["--tree", &parent.pid().to_string()]);
    let lines: Vec<&str> = tree.lines().collect();
    assert!(lines[0].starts_with(&format!("sh({})", parent.pid())), "{tree}");
    assert!(lines.iter().any(|line| line.contains(&format!("({child})"))), "{tree}");
    assert!(!tree.contains(&format!("({})", std::process::id())), "{tree}");
    let whole = said("getpcaps", &["--tree"]);
    assert!(
        whole.contains(&format!("({})", std::process::id())) && whole.contains(&format!("({child})")),
        "{whole}"
    );
    parent.end_of_input(); // ends the child too
}

#[test]
fn hostile_names_stay_on_their_line() {
    let scratch = Scratch::new("getpcaps-name");
    let file = scratch.0.join("a\n\u{1b}[2J) (x");
    executable(&file, b"#!/bin/sh\necho ready\nread -r x\n", 0o755);
    let mut running = Piped::new(&mut Command::new(&file));
    assert_eq!(running.line(), "ready");
    let pid = running.pid().to_string();
    for output in [
        said("getpcaps", &["--table", &pid]),
        said("getpcaps", &["--tree", &pid]),
        said("capsh", &[&format!("--print={pid}")]),
    ] {
        assert!(!output.contains('\u{1b}') && !output.contains("\n\n"), "{output:?}");
    }
    assert!(record(&pid)["name"].as_str().expect("a name").starts_with("a\\n"));
    running.end_of_input();
}

#[test]
fn masks_and_lists_lead_to_each_other_and_rubbish_is_refused() {
    assert_eq!(
        said("capsh", &["--encode=cap_chown,net_raw", "--encode=41", "--encode="]),
        "0000000000002001\n0000020000000000\n0000000000000000\n"
    );
    let everything = all(own::last().expect("the last capability"));
    assert_eq!(said("capsh", &["--encode=all"]), format!("{everything:016x}\n"));
    for number in 0..64 {
        let mask = format!("{:016x}", 1_u64 << number);
        let names = said("capsh", &[&format!("--decode={mask}")]);
        let name = names.trim_end().split_once('=').expect("a list").1;
        assert_eq!(said("capsh", &[&format!("--encode={name}")]), format!("{mask}\n"));
    }
    for word in ["", "zz", "3zz", "-1", "+3", "0x", "1ffffffffffffffff", "é"] {
        let output = failure("capsh", &[&format!("--decode={word}")]);
        assert_eq!(stdout(&output), "");
        assert!(stderr(&output).starts_with("invalid --decode value: "), "{word}: {}", stderr(&output));
    }
    let output = failure("capsh", &["--encode=cap_chown,foo"]);
    assert_eq!(stderr(&output), "capability [foo] is unknown\n");
}

#[test]
fn all_of_a_list_must_be_so() {
    let output = failure("capsh", &["--caps=", "--modes", "--has-p=cap_chown,cap_kill"]);
    assert_eq!(stderr(&output), "cap[cap_chown] not permitted\n");
    assert!(stdout(&output).starts_with("Supported modes: "), "what was asked for before stands");
}

#[test]
fn missing_targets_are_reported_and_the_others_shown() {
    let pid = std::process::id().to_string();
    let output = failure("getpcaps", &["ctrbox-no-such", &pid, "--json", "ctrbox-no-such", &pid]);
    assert!(stdout(&output).starts_with(&format!("{pid}: ")), "{}", stdout(&output));
    assert!(stdout(&output).contains(&format!("\"pid\":{pid},")), "{}", stdout(&output));
    let lines: Vec<String> = stderr(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("getpcaps: no process or running container 'ctrbox-no-such'"), "{lines:?}");

    let gone = (1 << 22).to_string(); // no PID is that large
    for options in [&["--iab"][..], &["--table"], &["--diff"], &["--json"], &[]] {
        let output = failure("getpcaps", &[options, &[&gone]].concat());
        let expected = format!("Failed to get cap's for process {gone}: (No such process)\n");
        assert_eq!(stderr(&output), expected, "{options:?}");
    }
    let output = failure("capsh", &[&format!("--print={gone}")]);
    assert!(stderr(&output).contains("No such process"), "{}", stderr(&output));
}

#[test]
fn a_full_stdout_is_a_failure() {
    for line in ["getpcaps $$", "getpcaps --json $$", "capsh --print", "capsh --print=$$"] {
        let script = format!("\"$0\" {line} >/dev/full");
        let output = limited(program("sh").args(["-c", &script]).arg(common::binary()));
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(stderr(&output).contains("No space left on device"), "{line}: {}", stderr(&output));
    }
}

#[test]
fn ordinary_users_see_the_readable_sets() {
    if !root() || !there("setpriv") {
        return skip("root", "only root can become another");
    }
    let scratch = Scratch::new("getpcaps-user");
    let everybody = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&scratch.0, everybody).expect("its mode");
    common::process::copy_of_binary(&scratch.0.join("ctrbox"));
    let binary = scratch.0.join("ctrbox");
    let pid = std::process::id().to_string();
    let as_user = |arguments: &[&str]| {
        let mut command = program("setpriv");
        command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(&binary).args(arguments);
        limited(&mut command)
    };
    let text = stdout(&as_user(&["getpcaps", &pid]));
    assert_eq!(text, said("getpcaps", &[&pid]));
    // An ordinary user cannot know the owner of the namespace and the capabilities of the file: null, not a guess.
    let output = as_user(&["capsh", &format!("--print={pid}")]);
    assert!(
        stdout(&output).contains("\nUser namespace: unknown\nProgram: none or unknown\n"),
        "{}",
        stdout(&output)
    );
    let output = as_user(&["capsh", "--drop=cap_chown"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "unable to raise CAP_SETPCAP for BSET changes: Operation not permitted\n");
}
