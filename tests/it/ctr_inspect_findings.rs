//! `ctr-inspect` on hosts made of files: rules of findings, and what is typed in place of a target or a section.

use std::process::Output;

use serde_json::Value;

use crate::common::ctr_ps::{WEB, state};
use crate::common::layout::engines::bundle;
use crate::common::layout::{Expected, Layout, id};
use crate::common::process::{Holder, limited, namespaces};
use crate::common::{applet, binary, program, skip, stderr, stdout, there};

fn inspect(layout: &Layout, arguments: &[&str]) -> Output {
    limited(applet("ctr-inspect").arg("--root").arg(layout.host.root()).args(arguments))
}

fn findings(report: &Value) -> Vec<(&str, &str)> {
    let all = report["findings"].as_array().expect("a list").iter();
    all.map(|one| (one["id"].as_str().expect("an id"), one["severity"].as_str().expect("a severity")))
        .collect()
}

/// A running container of Docker with this name.
fn docker(layout: &Layout, name: &str, id: &str, pid: i64) {
    layout.host.docker(id, state(name, pid));
    layout.process(pid, 0, &format!("/system.slice/docker-{id}.scope"), 1);
}

/// `ctr run` asks for no profile, so that it has none is no fault.
#[test]
fn a_container_of_ctr_run_without_seccomp_is_a_note() {
    let mut layout = Layout::new("inspect-ctr-run");
    layout.process(1, 0, "/", 1);
    let pid = layout.expect("/default/job", Expected::default());
    bundle(&layout, "run/containerd", "default", "job", pid, "{}");
    docker(&layout, "web", WEB, 90);
    for pid in [pid, 90] {
        let more = "CapInh:\t0\nCapPrm:\ta80425fb\nCapEff:\ta80425fb\nCapBnd:\ta80425fb\nCapAmb:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";
        layout.replace(&format!("proc/{pid}/status"), "VmPeak", &format!("{more}VmPeak"));
    }
    let severity = |target: &str| {
        let output = inspect(&layout, &["-J", "-s", "identity,privileges", target]);
        assert!(output.status.success(), "{}", stderr(&output));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let found = json["containers"][0].clone();
        let all = findings(&found);
        all.iter().find(|(id, _)| *id == "seccomp-off").map(|(_, severity)| (*severity).to_owned())
    };
    assert_eq!(severity("containerd:job").as_deref(), Some("note"));
    assert_eq!(severity("docker:web").as_deref(), Some("medium"));
}

/// Only sandboxes share namespaces by design.
#[test]
fn the_pid_and_network_namespaces_of_the_host_are_no_notes() {
    let mut layout = Layout::new("inspect-shares");
    layout.process(1, 0, "/", 1);
    let pid = layout.expect("/lxc.payload.box", Expected::default());
    for kind in ["pid", "net"] {
        let of = |pid: i64| layout.host.root().join(format!("proc/{pid}/ns/{kind}"));
        let host = std::fs::read_link(of(1)).expect("a link");
        std::fs::remove_file(of(pid)).expect("removed");
        std::os::unix::fs::symlink(host, of(pid)).expect("a link");
    }
    let output = inspect(&layout, &["-J", "-s", "namespaces", "lxc:box"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let found = json["containers"][0].clone();
    let all = findings(&found);
    for id in ["shares-host-pid", "shares-host-net"] {
        assert!(all.contains(&(id, "medium")), "{id}: {all:?}");
    }
}

/// ip-netns(8) makes only a network namespace: all else is the host's on purpose.
#[test]
fn a_network_namespace_by_name_shares_the_rest() {
    if !namespaces("inspect-netns") {
        return;
    }
    let script = "mount -t tmpfs tmpfs /run; mkdir /run/netns; touch /run/netns/blue\n\
                  mount --bind /proc/self/ns/net /run/netns/blue\n\
                  sleep 1000 </dev/null >/dev/null 2>&1 & trap 'kill $!' EXIT\n\
                  \"$0\" ctr-inspect -J -s namespaces,privileges netns:blue";
    let output = limited(program("unshare").args(["-m", "-n", "sh", "-ec", script]).arg(binary()));
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let found = json["containers"][0].clone();
    let all = findings(&found);
    assert!(all.contains(&("shares-host-pid", "note")), "{all:?}");
}

#[test]
fn what_was_meant_by_a_word() {
    let layout = Layout::new("inspect-words");
    layout.process(1, 0, "/", 1);
    docker(&layout, "web", WEB, 90);
    docker(&layout, "web-2", &id(3), 91);
    for (arguments, expected) in [
        (&["wbe"][..], "did you mean docker:web?"),
        (&["docker:wbe-2"], "did you mean docker:web-2?"),
        (&["we*"], "a target is no pattern; name one of: docker:web docker:web-2"),
        (&["-s", "net", "web"], "unknown section 'net'; did you mean network?"),
        (&["-s", "identity,caps", "web"], "unknown section 'caps'; did you mean privileges?"),
        (&["-s", "xyzzy", "web"], "unknown section 'xyzzy' (there are: identity, "),
    ] {
        let output = inspect(&layout, arguments);
        let text = stderr(&output);
        assert!(output.status.code() == Some(1) && text.contains(expected), "{arguments:?}: {text}");
    }
    let top = limited(applet("ctr-top").arg("--root").arg(layout.host.root()).args(["-b", "-n", "1", "wbe"]));
    assert!(stderr(&top).contains("no container 'wbe'; did you mean docker:web?"), "{}", stderr(&top));
}

/// A user in a user namespace mounts an overlay with any paths as its layers.
#[test]
fn the_layers_of_a_users_overlay_are_a_claim() {
    let test = "the_layers_of_a_users_overlay";
    if !namespaces(test) || !there("python3") {
        return;
    }
    let directory = std::env::temp_dir().join(format!("ctrbox-layers-{}", std::process::id()));
    for below in ["lower", "upper", "work"] {
        std::fs::create_dir_all(directory.join(below)).expect("a directory");
    }
    // What is mounted on the root directory hides nothing from who is there already, but is in its mountinfo.
    let script = format!(
        "mount -t tmpfs t {0} && mkdir {0}/l {0}/u {0}/w && \
         mount -t overlay -o lowerdir={0}/l,upperdir={0}/u,workdir={0}/w o / || exit 3",
        directory.display()
    );
    let claimed = |options: &[&str]| {
        let ready = format!("{script}; read -r pid rest </proc/self/stat; echo $pid; exec cat");
        let mut command = program("unshare");
        command.args(options).args(["sh", "-c", &ready]);
        let mut piped = crate::common::process::Piped::new(&mut command);
        let pid = piped.line().parse().ok()?;
        let holder = Holder::of(piped, pid);
        let output = limited(applet("ctr-inspect").args(["-J", "-s", "files", &pid.to_string()]));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        drop(holder);
        json["containers"][0]["files"]["root"]["overlay"]["claimed"].as_bool()
    };
    let (user, root) = (claimed(&["-U", "-r", "-m", "-p", "-f"]), claimed(&["-m", "-p", "-f"]));
    _ = std::fs::remove_dir_all(&directory);
    if user.is_none() || root.is_none() {
        return skip(test, "this kernel mounts no overlay here");
    }
    assert_eq!((user, root), (Some(true), Some(false)));
}
