//! Containers that monitor processes name.

use crate::common::ctr_ps::{containers, of};
use crate::common::layout::engines::{bundle, config};
use crate::common::layout::{Expected, LATE, Layout, START, USER, id};

// --- LXC ---------------------------------------------------------------------------------------------------

#[test]
fn the_title_of_roots_monitor_wins_over_the_name_of_the_group() {
    let mut layout = Layout::new("monitors-lxc");
    for name in ["web", "web-1", "other"] {
        layout.file(format!("var/lib/lxc/{name}/config"), "");
    }
    let one = layout.init("/lxc.payload.web-1");
    layout.monitor(one, 0, "[lxc monitor] /var/lib/lxc web");
    assert_eq!(layout.shown(one).as_deref(), Some("lxc:web"));
    // LXC adds numbers from 1 to 999 only, and never changes the name otherwise.
    for group in ["web-0", "web-01", "web-1000", "web1", "web-", "web-x", "xweb"] {
        let wrong = layout.init(&format!("/lxc.payload.{group}"));
        layout.monitor(wrong, 0, "[lxc monitor] /var/lib/lxc other");
        assert_eq!(layout.shown(wrong), Some(format!("lxc:{group}?")));
    }
}

#[test]
fn a_record_of_a_stopped_container_proves_nothing() {
    let mut layout = Layout::new("monitors-lxc-stopped");
    layout.file("var/lib/lxc/web/config", "");
    let pid = layout.init("/lxc.payload.web");
    // The process above it is not a monitor.
    layout.monitor(pid, 0, "unshare\0--pid\0--fork");
    assert_eq!(layout.shown(pid).as_deref(), Some("lxc:web?"));
    assert_eq!(layout.all(), []);
}

#[test]
fn only_a_monitor_of_root_outside_of_containers_is_believed() {
    let title = "[lxc monitor] /var/lib/lxc web";
    let claim = Some("lxc:web?".to_owned());
    let mut layout = Layout::new("monitors-lxc-forged");
    layout.file("var/lib/lxc/web/config", "");
    let pid = layout.init("/lxc.payload.web");
    let above = layout.monitor(pid, 0, title);
    assert_eq!(layout.shown(pid).as_deref(), Some("lxc:web"));
    for (what, part, by) in [
        ("a user", "Uid:\t0\t0\t0\t0", "Uid:\t1234\t1234\t1234\t1234"),
        ("a program with the set-user-ID bit", "Uid:\t0\t0\t0\t0", "Uid:\t1234\t0\t0\t0"),
    ] {
        layout.monitor(pid, 0, title);
        layout.replace(&format!("proc/{above}/status"), part, by);
        assert_eq!(layout.shown(pid), claim, "{what}");
    }
    // PID 1 shows the host's namespaces.
    for kind in ["user", "mnt"] {
        layout.monitor(pid, 0, title);
        layout.link(&format!("proc/1/ns/{kind}"), format!("{kind}:[5]"));
        layout.link(&format!("proc/{above}/ns/{kind}"), format!("{kind}:[5]"));
        assert_eq!(layout.shown(pid).as_deref(), Some("lxc:web"), "the host's {kind} namespace");
        layout.link(&format!("proc/{above}/ns/{kind}"), format!("{kind}:[6]"));
        assert_eq!(layout.shown(pid), claim, "another {kind} namespace");
        layout.link(&format!("proc/{above}/ns/{kind}"), format!("{kind}:[5]"));
    }
    // Other mounts than the host's, but LXC's own program, as in the snap of LXD.
    layout.link(&format!("proc/{above}/ns/mnt"), "mnt:[6]");
    layout.link(&format!("proc/{above}/exe"), "/snap/lxd/1/bin/lxd");
    assert_eq!(layout.shown(pid).as_deref(), Some("lxc:web"));
    // A group that another user can make.
    let pid = layout.init(&format!("/user.slice/user-{USER}.slice/lxc.payload.web"));
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
    layout.link(&format!("proc/{above}/exe"), "/usr/bin/lxc-start");
    layout.all_is_found();
    // Root's container, or one without a state file, is not the user's to name.
    for title in ["/var/lib/lxc web", "/home/u/.local/share/lxc none"] {
        let name = title.rsplit(' ').next().expect("a name");
        let pid = layout.expect(&group(name), Expected { owner: USER, ..Expected::default() });
        let above = layout.monitor(pid, USER, &format!("[lxc monitor] {title}"));
        layout.link(&format!("proc/{above}/exe"), "/usr/bin/lxc-start");
        assert_eq!(layout.shown(pid), Some(format!("lxc:{name}?")));
    }
}

// --- containerd --------------------------------------------------------------------------------------------

/// A container in a state directory that ctrbox does not list, and its shim.
fn elsewhere(layout: &mut Layout, namespace: &str, id: &str, group: &str) -> (i64, i64) {
    let pid = layout.init(group);
    bundle(layout, "system/run/other", namespace, id, pid, "{}");
    let shim = layout.monitor(pid, 0, "/usr/bin/containerd-shim-runc-v2\0-namespace\0x");
    layout.link(&format!("proc/{shim}/exe"), "/usr/bin/containerd-shim-runc-v2");
    let cwd = format!("/system/run/other/io.containerd.runtime.v2.task/{namespace}/{id}");
    layout.link(&format!("proc/{shim}/cwd"), cwd);
    (pid, shim)
}

#[test]
fn the_working_directory_of_a_shim_leads_to_the_state_files() {
    let mut layout = Layout::new("monitors-shim");
    let (pid, shim) = elsewhere(&mut layout, "talos", "one", "/system/one");
    assert_eq!(layout.shown(pid).as_deref(), Some("containerd:talos/one"));
    // Its other containers are known then, and those of a second client.
    let other = layout.init("/talos/two");
    bundle(&layout, "system/run/other", "talos", "two", other, "{}");
    layout.look(|resolver| {
        let names: Vec<String> = resolver.scan().iter().map(|container| container.label()).collect();
        assert_eq!(names, ["containerd:talos/one", "containerd:talos/two"]);
        assert_eq!(resolver.all().len(), 2);
    });
    // After an update the file of a running shim can be missing.
    layout.link(&format!("proc/{shim}/exe"), "/usr/bin/containerd-shim-runc-v2 (deleted)");
    assert_eq!(layout.shown(pid).as_deref(), Some("containerd:talos/one"));
    for uids in ["1234\t1234\t1234\t1234", "1234\t0\t0\t0"] {
        layout.replace(&format!("proc/{shim}/status"), "Uid:\t0\t0\t0\t0", &format!("Uid:\t{uids}"));
        assert_eq!(layout.shown(pid), Some(format!("anon:{}", 10_000 + pid)), "{uids}");
        layout.replace(&format!("proc/{shim}/status"), &format!("Uid:\t{uids}"), "Uid:\t0\t0\t0\t0");
    }
    layout.link(&format!("proc/{shim}/exe"), "/usr/bin/sleep");
    assert_eq!(layout.shown(pid), Some(format!("anon:{}", 10_000 + pid)));
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
        assert_eq!(layout.shown(pid).as_deref(), Some("docker:web"), "{namespace}");
        layout.process(pid, 0, "/", LATE);
        std::fs::remove_dir_all(layout.host.root().join(state)).expect("removed");
    }
}

// --- monitors with their own namespaces, sandboxes ---------------------------------------------------------

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
        layout.link(&format!("proc/1/ns/{kind}"), format!("{kind}:[5]"));
    }
    layout.link("proc/1/root", "/");
}

fn put(layout: &Layout, process: &Inside<'_>) {
    let Inside { pid, parent, mnt, program, title } = *process;
    layout.process(pid, USER, "/", START);
    layout.replace(&format!("proc/{pid}/status"), &format!("NSpid:\t{pid}\t1"), &format!("NSpid:\t{pid}"));
    layout.link(&format!("proc/{pid}/ns/pid"), "pid:[5]");
    layout.link(&format!("proc/{pid}/ns/mnt"), format!("mnt:[{mnt}]"));
    layout.link(&format!("proc/{pid}/root"), "/proc");
    // No test host has a file of this program, so it counts as root's, as in a copy of /proc.
    layout.link(&format!("proc/{pid}/exe"), format!("/nowhere/{program}"));
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
        layout.link(&format!("proc/{pid}/root"), root);
    };
    put(2, "/proc");
    layout.replace("proc/2/status", "VmPeak:\t 100 kB\n", "Kthread:\t1\n");
    put(300, "/");
    put(301, "/dev");
    let shown = |pid| layout.shown(pid);
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
    layout.link("proc/311/ns/pid", "pid:[72]");
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
    layout.link("proc/401/ns/pid", "pid:[52]");
    process(402, 400, 53, "runsc-sandbox");
    process(403, 402, 53, "");
    let state = |id: &str, sandbox: i64, gofer: i64| {
        let text = format!(
            r#"{{"id":"{id}","spec":{{"hostname":"inside","annotations":{{"who":"me"}}}},"bundleDir":"/srv/gv","status":"running",
                "createdAt":"2001-09-09T01:46:47.894159102Z","goferPid":{gofer},"sandbox":{{"id":"{id}","pid":{sandbox}}}}}"#
        );
        layout.file(format!("run/runsc/{id}_sandbox:{id}.state"), text)
    };
    let shown = || [400, 401, 402, 403].map(|pid| layout.shown(pid).unwrap_or_default());
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
