//! `ctr-whose` with names that are those of interfaces and of hosts, and with devices of the host.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::common::network::{container, inside, ip, name, networks};
use crate::common::process::{Holder, limited, namespaces};
use crate::common::{Scratch, applet, binary, program, project, stderr, stdout};

fn things(word: &str) -> Vec<Value> {
    let output = limited(applet("ctr-whose").args(["-J", word]));
    let json: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    json["things"].as_array().expect("a list").clone()
}

fn label(holder: &Holder) -> Value {
    json!(format!("anon:{}", holder.link("pid").trim_start_matches("pid:[").trim_end_matches(']')))
}

/// Kind, container and source of each answer.
fn answers(word: &str) -> Vec<(Value, Value, Value)> {
    let of_thing = |thing: &Value| -> Vec<_> {
        let all = thing["answers"].as_array().expect("a list").iter();
        all.map(|one| (thing["kind"].clone(), one["container"].clone(), one["by"].clone())).collect()
    };
    things(word).iter().flat_map(of_thing).collect()
}

#[test]
fn a_name_as_interface_and_as_host_name() {
    if !networks("a_name_as_interface_and_as_host_name") {
        return;
    }
    let word = name('h');
    assert!(answers(&word).is_empty());
    let one = container();
    let two = Holder::new(&["-m", "-p", "-f", "-u"], &format!("hostname {word}"));
    let of_host = (json!("hostname"), label(&two), json!("claim"));
    assert_eq!(answers(&word), std::slice::from_ref(&of_host));
    let of_one = word.clone();
    inside(&one, move || ip(&["link", "add", &of_one, "type", "bridge"]));
    assert_eq!(answers(&word), [(json!("interface"), label(&one), json!("kernel")), of_host]);
    assert_eq!(answers(&format!("if:{word}")).len(), 1);
    assert_eq!(answers(&format!("host:{word}")).len(), 1);
}

/// ip-netns(8) binds it to a file.
#[test]
fn an_interface_in_a_namespace_without_a_process() {
    if !networks("an_interface_in_a_namespace_without_a_process") {
        return;
    }
    let word = name('e');
    let script = format!(
        "mount -t tmpfs tmpfs /run\nmkdir /run/netns\nip netns add blue\n\
         trap 'ip netns del blue' EXIT\nip -n blue link add {word} type bridge\n\
         for word in {word} if:{word}; do \"$0\" ctr-whose $word || [ $? = 1 ]; done"
    );
    let mut command = program("unshare");
    let output = limited(command.args(["-m", "sh", "-ec", &script]).arg(binary()));
    let text = stdout(&output);
    let found = format!("no container: bridge {word} in the network namespace /run/netns/blue");
    assert_eq!(text.matches(&found).count(), 2, "{text}{}", stderr(&output));
}

#[test]
fn a_device_of_the_host_is_the_hosts_too() {
    if !namespaces("a_device_of_the_host_is_the_hosts_too") {
        return;
    }
    let scratch = Scratch::new("whose-device");
    std::fs::create_dir_all(scratch.0.join("data")).expect("a directory");
    let setup = format!("mkdir -p {0}/at\nmount --bind {0}/data {0}/at", scratch.0.display());
    // With the host's root directory a container has what the host has mounted.
    let script = format!("{setup}\nmkdir -p {0}/root\nmount -t tmpfs tmpfs {0}/root", scratch.0.display());
    let with = |source: &str| {
        let root = format!(
            "{script}\nfor name in bin lib lib64 usr etc proc; do\n[ ! -d /$name ] || {{ mkdir -p {0}/root/$name; \
             mount --bind /$name {0}/root/$name; }}\ndone\nmkdir {0}/root/at\nmount --bind {source} {0}/root/at\n\
             exec chroot {0}/root \"$@\"",
            scratch.0.display()
        );
        Holder::by(program("unshare").args(["-m", "-p", "-f", "sh", "-ec", &root, "sh"]), "")
    };
    let holder = with(&format!("{}/data", scratch.0.display()));
    let device = std::fs::metadata(&scratch.0).expect("a file system").dev();
    let thing = &things(&format!("{}:{}", libc::major(device), libc::minor(device)))[0];
    let all = thing["answers"].as_array().expect("a list");
    assert!(all.iter().any(|one| one["container"] == label(&holder)), "{thing}");
    let is_on_root = std::fs::metadata("/").expect("a root").dev() == device;
    if is_on_root {
        // One with the whole file system does not hide the one with a part.
        let whole = with("/");
        let thing = &things(&format!("{}:{}", libc::major(device), libc::minor(device)))[0];
        let all = thing["answers"].as_array().expect("a list");
        for one in [&holder, &whole] {
            assert!(all.iter().any(|answer| answer["container"] == label(one)), "{thing}");
        }
    }
    let host = thing["host"]["text"].as_str().unwrap_or_default();
    assert!(host.starts_with("file system of the host, mounted at /"), "{thing}");
}

/// Root of another user namespace has the user id 0, and the kernel shows it no more than a user.
#[test]
fn what_only_root_sees_is_unknown_to_root_of_another_user_namespace() {
    if !namespaces("what_only_root_sees_is_unknown") {
        return;
    }
    for (word, what) in
        [("ns:4026531800", "namespaces of other users"), ("id:zz-nobody", "state files of root")]
    {
        let output = limited(program("unshare").args(["-U", "-r"]).arg(binary()).args(["ctr-whose", word]));
        let shown = stdout(&output);
        assert!(shown.contains(&format!("unknown: cannot look at {what}")), "{shown}{}", stderr(&output));
        assert_eq!(output.status.code(), Some(1));
        let output = limited(applet("ctr-whose").arg(word));
        assert!(!stdout(&output).contains("unknown"), "{}", stdout(&output));
    }
}

/// Logs, `podman pod ps` and control groups name a pod by its id.
#[test]
fn a_pod_of_podman_by_its_id() {
    let id = "b3d73042a90430262744615ab698129c2b810daef5cc6c48f39070fd6af92829";
    for word in [id, &id[..12], &format!("id:{id}")] {
        let root = project("tests/fixtures/systemd-v2/root");
        let output = limited(applet("ctr-whose").arg("--root").arg(root).args(["-J", word]));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let answers = json["things"][0]["answers"].as_array().expect("a list");
        assert_eq!(answers.len(), 1, "{word}: {answers:?}");
        assert_eq!(
            (&answers[0]["container"], &answers[0]["role"]),
            (&json!("podman:rt-pod-web"), &json!("member"))
        );
    }
}
