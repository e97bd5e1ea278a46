//! Containers that monitor processes name, and state files of init processes that are outside of their groups.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::common::ctr_ps::{DB, WEB, containers, ctr_ps, of, unverified};
use crate::common::layout::engines::{bundle, config, podman};
use crate::common::layout::{Expected, Layout, START, USER, id};
use crate::common::process::{limited, printed};
use crate::common::stderr;

const LATE: u64 = 400 * 365 * 86_400 * 100;

/// The container that is shown for a process.
fn shown(layout: &Layout, pid: i64) -> Option<String> {
    layout.tag(pid).map(|tag| tag.container.label())
}

fn link(layout: &Layout, path: &str, target: impl AsRef<Path>) {
    let path = layout.host.root().join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    _ = std::fs::remove_file(&path);
    symlink(target, path).expect("a link");
}

fn process(layout: &mut Layout, cgroup: &str) -> i64 {
    layout.expect(cgroup, Expected::default())
}

// --- LXC ---------------------------------------------------------------------------------------------------

#[test]
fn the_title_of_roots_monitor_wins_over_the_name_of_the_group() {
    let mut layout = Layout::new("monitors-lxc");
    for name in ["web", "web-1", "other"] {
        layout.file(format!("var/lib/lxc/{name}/config"), "");
    }
    let one = process(&mut layout, "/lxc.payload.web-1");
    layout.monitor(one, 0, "[lxc monitor] /var/lib/lxc web");
    assert_eq!(shown(&layout, one).as_deref(), Some("lxc:web"));
    // LXC adds numbers from 1 to 999 only, and never changes the name otherwise.
    for group in ["web-0", "web-01", "web-1000", "web1", "web-", "web-x", "xweb"] {
        let wrong = process(&mut layout, &format!("/lxc.payload.{group}"));
        layout.monitor(wrong, 0, "[lxc monitor] /var/lib/lxc other");
        assert_eq!(shown(&layout, wrong), Some(format!("lxc:{group}?")));
    }
}

#[test]
fn a_record_of_a_stopped_container_proves_nothing() {
    let mut layout = Layout::new("monitors-lxc-stopped");
    layout.file("var/lib/lxc/web/config", "");
    let pid = process(&mut layout, "/lxc.payload.web");
    // The process above it is not a monitor.
    layout.monitor(pid, 0, "unshare\0--pid\0--fork");
    assert_eq!(shown(&layout, pid).as_deref(), Some("lxc:web?"));
    assert_eq!(layout.all(), []);
}

#[test]
fn only_a_monitor_of_root_outside_of_containers_is_believed() {
    let title = "[lxc monitor] /var/lib/lxc web";
    let claim = Some("lxc:web?".to_owned());
    let mut layout = Layout::new("monitors-lxc-forged");
    layout.file("var/lib/lxc/web/config", "");
    let pid = process(&mut layout, "/lxc.payload.web");
    let above = layout.monitor(pid, 0, title);
    assert_eq!(shown(&layout, pid).as_deref(), Some("lxc:web"));
    for (what, part, by) in [
        ("a user", "Uid:\t0\t0\t0\t0", "Uid:\t1234\t1234\t1234\t1234"),
        ("a program with the set-user-ID bit", "Uid:\t0\t0\t0\t0", "Uid:\t1234\t0\t0\t0"),
    ] {
        layout.monitor(pid, 0, title);
        layout.replace(&format!("proc/{above}/status"), part, by);
        assert_eq!(shown(&layout, pid), claim, "{what}");
    }
    // PID 1 shows the host's namespaces.
    for kind in ["user", "mnt"] {
        layout.monitor(pid, 0, title);
        link(&layout, &format!("proc/1/ns/{kind}"), format!("{kind}:[5]"));
        link(&layout, &format!("proc/{above}/ns/{kind}"), format!("{kind}:[5]"));
        assert_eq!(shown(&layout, pid).as_deref(), Some("lxc:web"), "the host's {kind} namespace");
        link(&layout, &format!("proc/{above}/ns/{kind}"), format!("{kind}:[6]"));
        assert_eq!(shown(&layout, pid), claim, "another {kind} namespace");
        link(&layout, &format!("proc/{above}/ns/{kind}"), format!("{kind}:[5]"));
    }
    // Other mounts than the host's, but LXC's own program, as in the snap of LXD.
    link(&layout, &format!("proc/{above}/ns/mnt"), "mnt:[6]");
    link(&layout, &format!("proc/{above}/exe"), "/snap/lxd/1/bin/lxd");
    assert_eq!(shown(&layout, pid).as_deref(), Some("lxc:web"));
    // A group that another user can make.
    let pid = process(&mut layout, &format!("/user.slice/user-{USER}.slice/lxc.payload.web"));
    layout.monitor(pid, 0, title);
    let found = layout.tag(pid).expect("a container");
    assert_ne!(found.identified_by, ctrbox::testing::container::IdentifiedBy::State);
}

#[test]
fn a_monitor_of_a_user_names_a_container_of_that_user() {
    let mut layout = Layout::new("monitors-lxc-user");
    layout.file("home/u/.local/share/lxc/mine/config", "");
    layout.file("var/lib/lxc/web/config", "");
    let group = |name: &str| format!("/user.slice/user-{USER}.slice/user@{USER}.service/lxc.payload.{name}");
    let mine = Expected { owner: USER, ..Expected::new("lxc:mine", "mine", "lxc") };
    let pid = layout.expect(&group("mine-2"), mine);
    let above = layout.monitor(pid, USER, "[lxc monitor] /home/u/.local/share/lxc mine");
    link(&layout, &format!("proc/{above}/exe"), "/usr/bin/lxc-start");
    layout.all_is_found();
    // Root's container, or one without a state file, is not the user's to name.
    for title in ["/var/lib/lxc web", "/home/u/.local/share/lxc none"] {
        let name = title.rsplit(' ').next().expect("a name");
        let pid = layout.expect(&group(name), Expected { owner: USER, ..Expected::default() });
        let above = layout.monitor(pid, USER, &format!("[lxc monitor] {title}"));
        link(&layout, &format!("proc/{above}/exe"), "/usr/bin/lxc-start");
        assert_eq!(shown(&layout, pid), Some(format!("lxc:{name}?")));
    }
}

// --- containerd --------------------------------------------------------------------------------------------

/// A container in a state directory that ctrbox does not list, and its shim.
fn elsewhere(layout: &mut Layout, namespace: &str, id: &str, group: &str) -> (i64, i64) {
    let pid = process(layout, group);
    bundle(layout, "system/run/other", namespace, id, pid, "{}");
    let shim = layout.monitor(pid, 0, "/usr/bin/containerd-shim-runc-v2\0-namespace\0x");
    link(layout, &format!("proc/{shim}/exe"), "/usr/bin/containerd-shim-runc-v2");
    let cwd = format!("/system/run/other/io.containerd.runtime.v2.task/{namespace}/{id}");
    link(layout, &format!("proc/{shim}/cwd"), cwd);
    (pid, shim)
}

#[test]
fn the_working_directory_of_a_shim_leads_to_the_state_files() {
    let mut layout = Layout::new("monitors-shim");
    let (pid, shim) = elsewhere(&mut layout, "talos", "one", "/system/one");
    assert_eq!(shown(&layout, pid).as_deref(), Some("containerd:talos/one"));
    // Its other containers are known then, and those of a second client.
    let other = process(&mut layout, "/talos/two");
    bundle(&layout, "system/run/other", "talos", "two", other, "{}");
    layout.look(|resolver| {
        let names: Vec<String> = resolver.scan().iter().map(|container| container.label()).collect();
        assert_eq!(names, ["containerd:talos/one", "containerd:talos/two"]);
        assert_eq!(resolver.all().len(), 2);
    });
    // After an update the file of a running shim can be missing.
    link(&layout, &format!("proc/{shim}/exe"), "/usr/bin/containerd-shim-runc-v2 (deleted)");
    assert_eq!(shown(&layout, pid).as_deref(), Some("containerd:talos/one"));
    for uids in ["1234\t1234\t1234\t1234", "1234\t0\t0\t0"] {
        layout.replace(&format!("proc/{shim}/status"), "Uid:\t0\t0\t0\t0", &format!("Uid:\t{uids}"));
        assert_eq!(shown(&layout, pid), Some(format!("anon:{}", 10_000 + pid)), "{uids}");
        layout.replace(&format!("proc/{shim}/status"), &format!("Uid:\t{uids}"), "Uid:\t0\t0\t0\t0");
    }
    link(&layout, &format!("proc/{shim}/exe"), "/usr/bin/sleep");
    assert_eq!(shown(&layout, pid), Some(format!("anon:{}", 10_000 + pid)));
}

/// dockerd has options for the data root, the namespace in containerd, and the state directory.
#[test]
fn docker_with_everything_elsewhere() {
    let mut layout = Layout::new("monitors-docker");
    let container = id(7);
    let group = format!("/docker/{container}");
    for (namespace, state) in [("private", "run/containerd"), ("moby", "system/run/other")] {
        let (pid, _) = elsewhere(&mut layout, namespace, &container, &group);
        let spec = format!(
            r#"{{"mounts":[{{"destination":"/etc/hosts","source":"/srv/data/containers/{container}/hosts"}}]}}"#
        );
        bundle(&layout, state, namespace, &container, pid, &spec);
        layout.file(format!("srv/data/containers/{container}/config.v2.json"), config("web", pid, "{}"));
        assert_eq!(shown(&layout, pid).as_deref(), Some("docker:web"), "{namespace}");
        layout.process(pid, 0, "/", LATE);
        std::fs::remove_dir_all(layout.host.root().join(state)).expect("removed");
    }
}

#[test]
fn an_init_process_of_docker_outside_of_its_group() {
    let mut layout = Layout::new("monitors-moved");
    let pid = process(&mut layout, "/system.slice/ssh.service");
    layout.file(format!("var/lib/docker/containers/{WEB}/config.v2.json"), config("web", pid, "{}"));
    assert_eq!(shown(&layout, pid), Some(format!("anon:{}", 10_000 + pid)), "nothing dates the process");
    bundle(&layout, "run/docker/containerd/daemon", "moby", WEB, pid, "{}");
    assert_eq!(shown(&layout, pid).as_deref(), Some("docker:web"));
    assert_eq!(layout.tag(pid).map(|tag| tag.identified_by.name()), Some("state"));
    // A process that is still in the group.
    layout.process(900, 0, &format!("/docker/{WEB}"), START);
    link(&layout, "proc/900/ns/pid", format!("pid:[{}]", 10_000 + pid));
    assert_eq!(shown(&layout, 900).as_deref(), Some("docker:web"));
    // A later process has the PID.
    layout.process(pid, 0, "/system.slice/ssh.service", LATE);
    assert_eq!(shown(&layout, pid), Some(format!("anon:{}", 10_000 + pid)));
    // The bundle names another process.
    layout.process(pid, 0, "/system.slice/ssh.service", START);
    bundle(&layout, "run/docker/containerd/daemon", "moby", WEB, 900, "{}");
    assert_eq!(shown(&layout, pid), Some(format!("anon:{}", 10_000 + pid)));
}

// --- guests and tasks --------------------------------------------------------------------------------------

#[test]
fn the_virtual_machine_of_a_pod() {
    let mut layout = Layout::new("monitors-kata");
    let sandbox = id(9);
    let spec = r#"{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"shop",
        "io.kubernetes.cri.sandbox-namespace":"prod"}}"#;
    // Kata's shim writes no PID.
    let directory = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{sandbox}");
    layout.file(format!("{directory}/config.json"), spec);
    let at = |layout: &mut Layout, group: String| {
        let pid = process(layout, &group);
        layout.replace(
            &format!("proc/{pid}/status"),
            &format!("NSpid:\t{pid}\t1"),
            &format!("NSpid:\t{pid}"),
        );
        shown(layout, pid)
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
    let mut layout = Layout::new("monitors-kata-v1");
    let sandbox = id(9);
    let pod = "/kubepods/besteffort/pod1-2";
    let init = process(&mut layout, &format!("{pod}/{sandbox}"));
    let spec = r#"{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"shop",
        "io.kubernetes.cri.sandbox-namespace":"prod"}}"#;
    bundle(&layout, "run/containerd", "k8s.io", &sandbox, init, spec);
    layout.host.process(700, 1, "/", b"qemu\0");
    let groups = |pid: i64, memory: &str, other: &str| {
        layout.file(format!("proc/{pid}/cgroup"), format!("3:memory:{memory}\n2:pids:{other}\n0::/\n"));
    };
    groups(init, &format!("{pod}/{sandbox}"), &format!("{pod}/{sandbox}"));
    groups(700, &format!("{pod}/kata_{sandbox}"), "/");
    assert_eq!(shown(&layout, 700).as_deref(), Some("k8s:prod/shop/POD"));
}

/// Fargate and managed instances: containerd, with ids of the task and a number.
#[test]
fn tasks_of_amazon_ecs() {
    let mut layout = Layout::new("monitors-ecs");
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

// --- monitors with their own namespaces, sandboxes ----------------------------------------------------------

/// A process in the host's pid namespace, with another root directory than the host's.
struct Inside<'a> {
    pid: i64,
    parent: i64,
    mnt: u64,
    program: &'a str,
    title: &'a str,
}

/// The namespaces and the root directory of the host.
fn host_namespaces(layout: &Layout) {
    for kind in ["pid", "mnt", "net", "uts", "user"] {
        link(layout, &format!("proc/1/ns/{kind}"), format!("{kind}:[5]"));
    }
    link(layout, "proc/1/root", "/");
}

fn put(layout: &Layout, process: &Inside<'_>) {
    let Inside { pid, parent, mnt, program, title } = *process;
    layout.process(pid, USER, "/", START);
    layout.replace(&format!("proc/{pid}/status"), &format!("NSpid:\t{pid}\t1"), &format!("NSpid:\t{pid}"));
    link(layout, &format!("proc/{pid}/ns/pid"), "pid:[5]");
    link(layout, &format!("proc/{pid}/ns/mnt"), format!("mnt:[{mnt}]"));
    link(layout, &format!("proc/{pid}/root"), "/proc");
    // No test host has a file of this program, so it counts as root's, as in a copy of /proc.
    link(layout, &format!("proc/{pid}/exe"), format!("/nowhere/{program}"));
    layout.file(format!("proc/{pid}/cmdline"), format!("{title}\0"));
    below(layout, pid, parent);
}

fn below(layout: &Layout, pid: i64, parent: i64) {
    layout.replace(&format!("proc/{pid}/status"), "PPid:\t1\n", &format!("PPid:\t{parent}\n"));
    let children = format!("proc/{parent}/task/{parent}/children");
    let before = std::fs::read_to_string(layout.host.root().join(&children)).unwrap_or_default();
    layout.file(children, format!("{before}{pid} "));
}

/// kthreadd can have a root directory of its own (Linux 7.3). Its namespaces stay those of the host.
#[test]
fn the_root_directory_of_the_host_is_that_of_pid_1() {
    let layout = Layout::new("monitors-first-root");
    host_namespaces(&layout);
    let put = |pid, root: &str| {
        put(&layout, &Inside { pid, parent: 1, mnt: 5, program: "sleep", title: "sleep" });
        std::fs::remove_file(layout.host.root().join(format!("proc/{pid}/root"))).expect("a link");
        link(&layout, &format!("proc/{pid}/root"), root);
    };
    put(2, "/proc");
    layout.replace("proc/2/status", "VmPeak:\t 100 kB\n", "Kthread:\t1\n");
    put(300, "/");
    put(301, "/dev");
    let shown = |pid| layout.tag(pid).map(|tag| tag.container.label());
    assert_eq!(shown(300), None);
    assert!(shown(301).is_some_and(|label| label.starts_with("anon:")), "{:?}", shown(301));
}

#[test]
fn one_run_of_apptainer_is_one_container() {
    let layout = Layout::new("monitors-apptainer");
    host_namespaces(&layout);
    let process = |pid, parent, mnt, program, title| {
        put(&layout, &Inside { pid, parent, mnt, program, title });
    };
    // Without a pid namespace, with a file server of the image, and a sandbox inside.
    process(300, 1, 60, "starter", "Apptainer runtime parent: /srv/my images/a.sif ");
    process(301, 300, 60, "squashfuse_ll", "squashfuse");
    process(302, 300, 61, "sh", "sh");
    process(303, 302, 61, "sleep", "sleep");
    process(304, 302, 62, "sleep", "sleep");
    // With a pid namespace: appinit runs the same program.
    process(310, 1, 70, "starter", "Apptainer runtime parent: b");
    process(311, 310, 71, "starter", "appinit");
    let appinit = "proc/311/status";
    layout.replace(appinit, "NSpid:\t311", "NSpid:\t311\t1");
    link(&layout, "proc/311/ns/pid", "pid:[72]");
    // An instance, and another run in it: it has the namespaces of the instance.
    process(320, 1, 80, "starter-suid", "Apptainer instance: u [web]");
    process(321, 320, 81, "starter", "appinit");
    // The starter from the shell of another container.
    process(330, 1, 90, "sh", "sh");
    process(331, 330, 91, "starter", "Apptainer runtime parent: c");
    process(332, 331, 92, "sleep", "sleep");
    // Without a title there is no name.
    process(340, 1, 93, "starter", "starter");
    process(341, 340, 94, "sleep", "sleep");
    let listed = containers(&mut of(layout.host.root()));
    let of_pid = |pid: i64| listed.get(&pid).map_or("", String::as_str);
    assert_eq!([300, 310, 320, 340].map(of_pid), ["-"; 4], "{listed:?}");
    assert_eq!([301, 302, 303, 304].map(of_pid), ["apptainer:a.sif"; 4], "{listed:?}");
    assert_eq!([311, 321].map(of_pid), ["apptainer:b", "apptainer:web"], "{listed:?}");
    assert_eq!([330, 331].map(of_pid), ["anon:90/proc"; 2], "{listed:?}");
    assert_eq!([332, 341].map(of_pid), ["apptainer:c", "apptainer:94"], "{listed:?}");
    // All processes have the same id, also one that is read alone; its image is in the list.
    for pid in [301, 302, 303, 304] {
        let tag = layout.tag(pid).expect("a container");
        let container = &tag.container;
        assert_eq!((&*container.id, container.image.as_deref()), ("61", Some("a.sif")), "{pid}");
        assert_eq!((container.owner, container.init.map(|init| init.as_raw())), (USER, Some(302)), "{pid}");
    }
}

#[test]
fn a_daemon_of_incus_is_in_none_of_its_containers() {
    let layout = Layout::new("monitors-incusd");
    host_namespaces(&layout);
    let process = |pid, parent, mnt, program| {
        put(&layout, &Inside { pid, parent, mnt, program, title: program });
    };
    process(300, 1, 60, "incusd");
    process(301, 300, 60, "dnsmasq");
    let listed = containers(&mut of(layout.host.root()));
    let of_pid = |pid: i64| listed.get(&pid).map_or("", String::as_str);
    assert_eq!([300, 301].map(of_pid), ["anon:60/proc"; 2], "{listed:?}");
}

#[test]
fn sandbox_and_gofer_of_gvisor_are_one_container() {
    let layout = Layout::new("monitors-gvisor");
    host_namespaces(&layout);
    let process = |pid, parent, mnt, title| {
        put(&layout, &Inside { pid, parent, mnt, program: "runsc", title });
    };
    process(400, 1, 50, "runsc\0run\0gv");
    process(401, 400, 51, "runsc-gofer");
    layout.replace("proc/401/status", "NSpid:\t401", "NSpid:\t401\t1");
    link(&layout, "proc/401/ns/pid", "pid:[52]");
    process(402, 400, 53, "runsc-sandbox");
    process(403, 402, 53, "");
    let state = |id: &str, sandbox: i64, gofer: i64| {
        let text = format!(
            r#"{{"id":"{id}","spec":{{"hostname":"inside","annotations":{{"who":"me"}}}},"bundleDir":"/srv/gv","status":"running",
                "createdAt":"2001-09-09T01:46:47.894159102Z","goferPid":{gofer},"sandbox":{{"id":"{id}","pid":{sandbox}}}}}"#
        );
        layout.file(format!("run/runsc/{id}_sandbox:{id}.state"), text)
    };
    let shown = || [400, 401, 402, 403].map(|pid| shown(&layout, pid).unwrap_or_default());
    // Without a state file, one run is one container.
    assert_eq!(shown(), ["", "gvisor:52", "gvisor:52", "gvisor:52"]);
    let file = state("gv", 402, 401);
    assert_eq!(shown(), ["", "gvisor:gv", "gvisor:gv", "gvisor:gv"]);
    let tag = layout.tag(402).expect("a container");
    assert_eq!(tag.identified_by.name(), "state");
    assert_eq!(tag.container.hostname.as_deref(), Some("inside"));
    assert_eq!(tag.container.created.as_deref(), Some("2001-09-09T01:46:47Z"));
    let all = layout.all();
    assert_eq!(all.iter().map(|container| &*container.id).collect::<Vec<_>>(), ["gv"]);
    // `runsc create` does not wait: its parent has ended.
    for pid in [401, 402] {
        layout.replace(&format!("proc/{pid}/status"), "PPid:\t400", "PPid:\t1");
    }
    layout.file("proc/400/task/400/children", "");
    assert_eq!(shown()[1..], ["gvisor:gv", "gvisor:gv", "gvisor:gv"]);
    // The state file is stale, or of another container.
    let stat = format!("402 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {LATE} 0 0\n");
    layout.file("proc/402/stat", stat);
    assert_eq!(shown()[2], "gvisor:53/proc");
    layout.file("proc/402/stat", format!("402 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {START} 0 0\n"));
    std::fs::rename(file, layout.host.root().join("run/runsc/x_sandbox:x.state")).expect("renamed");
    assert_eq!(shown()[2], "gvisor:53/proc");
}

// --- groups of a container in some hierarchies -------------------------------------------------------------

/// Root can put any process into one group of a container, for accounting.
#[test]
fn a_process_of_the_host_in_one_group_of_a_container_is_not_in_it() {
    let mut layout = Layout::new("monitors-one-group");
    let group = |id: &str| format!("/docker/{id}");
    let mut pids = Vec::new();
    for (number, name) in [(1, "web"), (2, "db")] {
        let pid = process(&mut layout, &group(&id(number)));
        layout.file(
            format!("var/lib/docker/containers/{}/config.v2.json", id(number)),
            config(name, pid, "{}"),
        );
        pids.push(pid);
    }
    let [web, db] = pids[..] else { panic!("{pids:?}") };
    for kind in ["pid", "mnt", "net"] {
        link(&layout, &format!("proc/1/ns/{kind}"), format!("{kind}:[5]"));
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
            link(&layout, &format!("proc/{pid}/ns/{kind}"), format!("{kind}:[{ns}]"));
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
    link(&layout, "proc/720/ns/net", format!("net:[{}]", 30_000 + web));
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
    let mut layout = seen_from_a_pod("monitors-view");
    layout.file("var/lib/lxc/web/config", "");
    let web = process(&mut layout, "/../../../lxc.payload.web");
    layout.monitor(web, 0, "[lxc monitor] /var/lib/lxc web");
    let state = |name: &str, pid: i64| config(name, pid, "{}");
    let docker = process(&mut layout, &format!("/../../../system.slice/docker-{WEB}.scope"));
    layout.file(format!("var/lib/docker/containers/{WEB}/config.v2.json"), state("db", docker));
    // The state files of a user count below the user's slice.
    let group =
        format!("/../../../user.slice/user-{USER}.slice/user@{USER}.service/user.slice/docker-{DB}.scope");
    let rootless = layout.expect(&group, Expected { owner: USER, ..Expected::default() });
    layout.file(format!("home/u/.local/share/docker/containers/{DB}/config.v2.json"), state("own", rootless));
    for (pid, name) in [(web, "lxc:web"), (docker, "docker:db"), (rootless, "docker:own")] {
        assert_eq!(shown(&layout, pid).as_deref(), Some(name));
        assert_eq!(layout.tag(pid).map(|tag| tag.identified_by.name()), Some("state"), "{name}");
    }
    // At the top level any user could have made these groups.
    layout.file("var/lib/lxc/other/config", "");
    for above in ["/..", "/../..", "/../../../..", "/../../../x"] {
        let other = process(&mut layout, &format!("{above}/lxc.payload.other"));
        layout.monitor(other, 0, "[lxc monitor] /var/lib/lxc other");
        assert_eq!(shown(&layout, other).as_deref(), Some("lxc:other?"), "{above}");
    }
}

#[test]
fn a_hint_says_why_names_are_missing_in_a_container() {
    let layout = seen_from_a_pod("monitors-no-root");
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

// --- values of the list ------------------------------------------------------------------------------------

/// Without a pid namespace of its own no process has PID 1: the one that the others come from stands for it.
#[test]
fn an_unproven_container_in_the_hosts_pid_namespace_has_a_first_process() {
    let layout = Layout::new("monitors-head");
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

/// Podman 5 writes an empty name for the image of a pod's infra container.
#[test]
fn an_empty_name_of_an_image_is_no_image() {
    let mut layout = Layout::new("monitors-infra");
    let pid = process(&mut layout, &format!("/machine.slice/libpod-{DB}.scope"));
    podman(&layout, "var/lib/containers/storage", "run/containers/storage", DB, "infra", pid);
    let list = "var/lib/containers/storage/overlay-containers/containers.json";
    assert_eq!(layout.proven(pid).expect("a container").image.as_deref(), Some("img:1"));
    layout.replace(list, "img:1", "");
    assert_eq!(layout.proven(pid).expect("a container").image, None);
}
