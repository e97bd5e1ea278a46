//! Containers by the control groups of their processes: virtual machines and tasks, processes outside of the groups of
//! their container, the groups as another cgroup namespace shows them.

use crate::common::ctr_ps::{DB, WEB, containers, ctr_ps, of, unverified};
use crate::common::layout::engines::{bundle, config};
use crate::common::layout::{Expected, LATE, Layout, START, USER, id};
use crate::common::process::{limited, printed};
use crate::common::stderr;

// --- guests and tasks --------------------------------------------------------------------------------------

#[test]
fn the_virtual_machine_of_a_pod() {
    let mut layout = Layout::new("by-group-kata");
    let sandbox = id(9);
    let spec = r#"{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"shop",
        "io.kubernetes.cri.sandbox-namespace":"prod"}}"#;
    // Kata's shim writes no PID.
    let directory = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{sandbox}");
    layout.file(format!("{directory}/config.json"), spec);
    let at = |layout: &mut Layout, group: String| {
        let pid = layout.init(&group);
        layout.replace(
            &format!("proc/{pid}/status"),
            &format!("NSpid:\t{pid}\t1"),
            &format!("NSpid:\t{pid}"),
        );
        layout.shown(pid)
    };
    for group in [
        format!("/kubepods/besteffort/pod1-2/kata_{sandbox}"),
        format!("/kubepods.slice/kubepods-pod1_2.slice/kata_{sandbox}"),
        format!("/kata_overhead/{sandbox}"),
        format!("/system.slice/kata_kubepods-pod1_2.slice:cri-containerd:{sandbox}"),
    ] {
        assert_eq!(at(&mut layout, group.clone()).as_deref(), Some("k8s:prod/shop/POD"), "{group}");
    }
    let claim = format!("k8s:{}?", &sandbox[..12]);
    for group in [
        format!("/user.slice/user-{USER}.slice/pod1-2/kata_{sandbox}"),
        format!("/user.slice/user-{USER}.slice/kata_overhead/{sandbox}"),
        // The group of the virtual machine does not count: the runtime would have named an init process.
        format!("/kubepods/besteffort/pod1-2/{sandbox}"),
    ] {
        assert_eq!(at(&mut layout, group.clone()), Some(claim.clone()), "{group}");
    }
    assert_eq!(layout.all(), [], "it has no process here");
}

/// The machine is in a group beside that of the init process, and only in one hierarchy.
#[test]
fn the_virtual_machine_of_a_pod_in_one_hierarchy() {
    let mut layout = Layout::new("by-group-kata-v1");
    let sandbox = id(9);
    let pod = "/kubepods/besteffort/pod1-2";
    let init = layout.init(&format!("{pod}/{sandbox}"));
    let spec = r#"{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"shop",
        "io.kubernetes.cri.sandbox-namespace":"prod"}}"#;
    bundle(&layout, "run/containerd", "k8s.io", &sandbox, init, spec);
    layout.host.process(700, 1, "/", b"qemu\0");
    let groups = |pid: i64, memory: &str, other: &str| {
        layout.file(format!("proc/{pid}/cgroup"), format!("3:memory:{memory}\n2:pids:{other}\n0::/\n"));
    };
    groups(init, &format!("{pod}/{sandbox}"), &format!("{pod}/{sandbox}"));
    groups(700, &format!("{pod}/kata_{sandbox}"), "/");
    assert_eq!(layout.shown(700).as_deref(), Some("k8s:prod/shop/POD"));
}

/// Fargate and managed instances: containerd, with ids of the task and a number.
#[test]
fn tasks_of_amazon_ecs() {
    let mut layout = Layout::new("by-group-ecs");
    let task = "cafe0265927825aaaaaaaaaaaaaaaaaa";
    for (group, id) in [
        (format!("/ecs/{task}/{task}-0265927825"), format!("{task}-0265927825")),
        (format!("/ecs/{task}-2531612879"), format!("{task}-2531612879")),
    ] {
        let pid = layout.expect(&group, Expected::new(format!("ecs:{id}"), &id, "containerd"));
        bundle(&layout, "run/containerd", "default", &id, pid, "{}");
        layout.all_is_found();
        // Processes that the runtime put there are in the container by their group.
        layout.process(pid + 500, 0, &group, START);
        assert_eq!(layout.tag(pid + 500).map(|tag| tag.identified_by.name()), Some("state"), "{group}");
    }
}

// --- processes outside of the groups of their container ----------------------------------------------------

#[test]
fn an_init_process_of_docker_outside_of_its_group() {
    let mut layout = Layout::new("by-group-moved");
    let pid = layout.init("/system.slice/ssh.service");
    layout.file(format!("var/lib/docker/containers/{WEB}/config.v2.json"), config("web", pid, "{}"));
    assert_eq!(layout.shown(pid), Some(format!("anon:{}", 10_000 + pid)), "nothing dates the process");
    bundle(&layout, "run/docker/containerd/daemon", "moby", WEB, pid, "{}");
    assert_eq!(layout.shown(pid).as_deref(), Some("docker:web"));
    assert_eq!(layout.tag(pid).map(|tag| tag.identified_by.name()), Some("state"));
    // A process that is still in the group.
    layout.process(900, 0, &format!("/docker/{WEB}"), START);
    layout.link("proc/900/ns/pid", format!("pid:[{}]", 10_000 + pid));
    assert_eq!(layout.shown(900).as_deref(), Some("docker:web"));
    // A later process has the PID.
    layout.process(pid, 0, "/system.slice/ssh.service", LATE);
    assert_eq!(layout.shown(pid), Some(format!("anon:{}", 10_000 + pid)));
    // The bundle names another process.
    layout.process(pid, 0, "/system.slice/ssh.service", START);
    bundle(&layout, "run/docker/containerd/daemon", "moby", WEB, 900, "{}");
    assert_eq!(layout.shown(pid), Some(format!("anon:{}", 10_000 + pid)));
}

/// Root can put any process into one group of a container, for accounting.
#[test]
fn a_process_of_the_host_in_one_group_of_a_container_is_not_in_it() {
    let mut layout = Layout::new("by-group-one-group");
    let group = |id: &str| format!("/docker/{id}");
    let mut pids = Vec::new();
    for (number, name) in [(1, "web"), (2, "db")] {
        let pid = layout.init(&group(&id(number)));
        layout.file(
            format!("var/lib/docker/containers/{}/config.v2.json", id(number)),
            config(name, pid, "{}"),
        );
        pids.push(pid);
    }
    let [web, db] = pids[..] else { panic!("{pids:?}") };
    for kind in ["pid", "mnt", "net"] {
        layout.link(&format!("proc/1/ns/{kind}"), format!("{kind}:[5]"));
    }
    let [of_web, of_db] = [1, 2].map(|number| group(&id(number)));
    let groups = |pid: i64, memory: &str, pids: &str, unified: &str| {
        layout
            .file(format!("proc/{pid}/cgroup"), format!("3:memory:{memory}\n2:pids:{pids}\n0::{unified}\n"));
    };
    groups(web, &of_web, &of_web, "/system.slice/docker.service");
    groups(db, &of_db, &of_db, "/system.slice/docker.service");
    // Processes of the host, and one that shares the network of web.
    let host = |pid: i64, net: u64| {
        layout.host.process(pid, 1, "/", b"x\0");
        for (kind, ns) in [("pid", 5), ("mnt", 5), ("net", net)] {
            layout.link(&format!("proc/{pid}/ns/{kind}"), format!("{kind}:[{ns}]"));
        }
    };
    for (pid, net, memory, of_pids, unified) in [
        (700, 5, &*of_web, "/", "/"),
        (701, 5, "/", &*of_web, "/system.slice/docker.service"),
        (702, 5, &*of_web, &*of_db, "/"),
        // In all groups, or in a namespace of the container.
        (710, 5, &*of_web, &*of_web, "/"),
        (711, 30_000 + u64::try_from(web).expect("a PID"), "/", &*of_web, "/system.slice/docker.service"),
        (712, 5, "/", &*of_web, "/system.slice/docker.service"),
    ] {
        host(pid, net);
        groups(pid, memory, of_pids, unified);
    }
    // A process of web in a group of db.
    layout.process(720, 0, "/", START);
    layout.link("proc/720/ns/net", format!("net:[{}]", 30_000 + web));
    groups(720, &of_db, &of_web, "/");
    let listed = containers(&mut of(layout.host.root()));
    let of_pid = |pid: i64| listed.get(&pid).map_or("", String::as_str);
    assert_eq!([700, 701, 702, 712].map(of_pid), ["-"; 4], "{listed:?}");
    assert_eq!([web, 710, 711, 720].map(of_pid), ["docker:web"; 4], "{listed:?}");
    assert_eq!(of_pid(db), "docker:db");
}

// --- the host as a container with a cgroup namespace of its own sees it ------------------------------------

/// A host whose hierarchies begin at `/../..`, as a pod of the host's pid namespace sees them.
fn seen_from_a_pod(name: &str) -> Layout {
    let layout = Layout::new(name);
    layout.host.process(1, 0, "/../../../init.scope", b"init\0");
    layout.host.process(2, 0, "/../../..", b"");
    layout.replace("proc/2/status", "VmPeak:\t 100 kB\n", "Kthread:\t1\n");
    layout
}

#[test]
fn groups_are_found_from_another_cgroup_namespace() {
    let mut layout = seen_from_a_pod("by-group-view");
    layout.file("var/lib/lxc/web/config", "");
    let web = layout.init("/../../../lxc.payload.web");
    layout.monitor(web, 0, "[lxc monitor] /var/lib/lxc web");
    let state = |name: &str, pid: i64| config(name, pid, "{}");
    let docker = layout.init(&format!("/../../../system.slice/docker-{WEB}.scope"));
    layout.file(format!("var/lib/docker/containers/{WEB}/config.v2.json"), state("db", docker));
    // The state files of a user count below the user's slice.
    let group =
        format!("/../../../user.slice/user-{USER}.slice/user@{USER}.service/user.slice/docker-{DB}.scope");
    let rootless = layout.expect(&group, Expected { owner: USER, ..Expected::default() });
    layout.file(format!("home/u/.local/share/docker/containers/{DB}/config.v2.json"), state("own", rootless));
    for (pid, name) in [(web, "lxc:web"), (docker, "docker:db"), (rootless, "docker:own")] {
        assert_eq!(layout.shown(pid).as_deref(), Some(name));
        assert_eq!(layout.tag(pid).map(|tag| tag.identified_by.name()), Some("state"), "{name}");
    }
    // At the top level any user could have made these groups.
    layout.file("var/lib/lxc/other/config", "");
    for above in ["/..", "/../..", "/../../../..", "/../../../x"] {
        let other = layout.init(&format!("{above}/lxc.payload.other"));
        layout.monitor(other, 0, "[lxc monitor] /var/lib/lxc other");
        assert_eq!(layout.shown(other).as_deref(), Some("lxc:other?"), "{above}");
    }
}

#[test]
fn a_hint_says_why_names_are_missing_in_a_container() {
    let layout = seen_from_a_pod("by-group-no-root");
    layout.host.process(300, 1, &format!("/../../../system.slice/docker-{}.scope", id(77)), b"x\0");
    let said = |arguments: &[&str]| {
        let mut command = ctr_ps();
        command.env("CTRBOX_HINTS", "always").args(["-n", "-o", "container"]).args(arguments);
        stderr(&limited(command.arg("--proc-root").arg(layout.host.root().join("proc"))))
    };
    let hint = "mount the host's root directory";
    for arguments in [&[][..], &["-c", "web"], &["-l"]] {
        let said = said(arguments);
        assert!(said.contains(hint) && said.contains("ctr-ps --root /host"), "{arguments:?}: {said}");
    }
    // No hint where it would not help.
    let root = layout.host.root().to_str().expect("text");
    assert!(!said(&["--root", root]).contains(hint));
    layout.file("proc/1/cgroup", "0::/init.scope\n");
    assert!(!said(&[]).contains(hint), "on the host itself");
}

// --- the first process -------------------------------------------------------------------------------------

/// Without a pid namespace of its own no process has PID 1: the one that the others come from stands for it.
#[test]
fn an_unproven_container_in_the_hosts_pid_namespace_has_a_first_process() {
    let layout = Layout::new("by-group-head");
    let group = format!("/system.slice/docker-{WEB}.scope");
    for (pid, parent) in [(299, 300), (300, 40), (301, 300)] {
        layout.host.process(pid, parent, &group, b"x\0");
        layout.file(
            format!("proc/{pid}/stat"),
            format!("{pid} (x) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {START} 0 0\n"),
        );
    }
    layout.host.process(40, 1, "/", b"shim\0");
    layout.file("proc/uptime", "9000.00 9000.00\n");
    let list = printed(of(layout.host.root()).args(["-l", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let container = &list["containers"][0];
    assert_eq!(container["pid"], 300, "{container}");
    assert!(container["started"].is_string(), "{container}");
    let text = printed(of(layout.host.root()).args(["-l", "-n", "-o", "container,pid"]));
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), [unverified(WEB).as_str(), "300"]);
}
