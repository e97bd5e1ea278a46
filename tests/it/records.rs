//! The state files of runtimes, one layout after the other, on a host made of files.
//!
//! The layouts are after the runtimes' documentation and sources. Those of docker, containerd, Kubernetes over
//! containerd, Podman, LXC and systemd-nspawn stand captured in tests/fixtures, those of runc, crun, flatpak and
//! firejail were seen; the others were not: CRI-O, nerdctl, LXD, Incus, libvirt, ECS, youki, buildah, buildkit,
//! snap, Nomad, Garden, Mesos, GitHub's actions_job, docker and containerd without root.

use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;
use std::rc::Rc;

use crate::common::ctr_ps::{DB, WEB};
use crate::common::layout::engines::{config, of_docker_without_root, of_podman, podman};
use crate::common::layout::machines::runc;
use crate::common::layout::mutated::state;
use crate::common::layout::{Expected, LATE, LAYOUTS, Layout, START, USER, files_below, id};
use crate::common::{inputs, root, skip};
use ctrbox::testing::container::target::{find_by_record, matching};
use ctrbox::testing::container::{Container, IdentifiedBy, Runtime};

const POD: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

#[test]
fn every_layout_is_read() {
    for (name, make) in LAYOUTS {
        let mut layout = Layout::new(&format!("records-{name}"));
        make(&mut layout);
        layout.all_is_found();
    }
}

/// All at once on one host: no reader takes the state files of another runtime for its own.
#[test]
fn every_layout_beside_the_others() {
    let mut layout = Layout::new("records-all");
    LAYOUTS.iter().for_each(|(_, make)| make(&mut layout));
    layout.all_is_found();
    // The verified containers that run, each once, by name.
    let mut listed: Vec<String> = layout.all().iter().map(ToString::to_string).collect();
    let of_records =
        |expected: &&Expected| !expected.shown.ends_with('?') && !expected.shown.starts_with("snap:");
    let mut expected: Vec<String> =
        layout.expected.values().filter(of_records).map(|expected| expected.shown.clone()).collect();
    listed.sort();
    expected.sort();
    // (LXC's are found by their groups)
    assert_eq!(listed, expected);
    // Each by each of its names, as a target, from fewer state files: the same as from all.
    let all = layout.all();
    // A monitor names those that are in no listed directory.
    let is_listed =
        |container: &&Rc<Container>| container.runtime.name() != "lxc" || !container.id.contains('/');
    for container in all.iter().filter(is_listed) {
        let (label, id) = (container.label(), container.id.clone());
        let name = container.name.clone().unwrap_or_else(|| id.clone());
        let last = name.rsplit('/').next().expect("a part").to_owned();
        let pod = container.pod_name().unwrap_or_else(|| id[..id.len().min(12)].to_owned());
        for word in [&label, &name, &last, &pod, &id, &format!("{}:{id}", container.runtime.name())] {
            let keys = |found: Vec<Rc<Container>>| found.iter().map(|found| found.key()).collect::<Vec<_>>();
            let found = keys(layout.look(|resolver| find_by_record(resolver, word)));
            assert_eq!(found, keys(matching(&all, word)), "{word} for {label}");
            assert!(!found.is_empty(), "{word} for {label}");
        }
    }
}

/// A node of kind is a docker container, and has a containerd inside.
#[test]
fn a_container_inside_of_a_container_by_the_records_inside() {
    let mut layout = Layout::new("records-kind");
    let node = Expected {
        image: Some("img:1"),
        hostname: Some("node-host"),
        ..Expected::new("docker:node", WEB, "docker")
    };
    let node = layout.expect(&format!("/system.slice/docker-{WEB}.scope"), node);
    layout.file(format!("var/lib/docker/containers/{WEB}/config.v2.json"), config("node", node, "{}"));
    layout.file(format!("proc/{node}/mountinfo"), "1 0 0:1 / / rw - overlay overlay rw\n");
    let inside = format!("proc/{node}/root/run/containerd/io.containerd.runtime.v2.task/k8s.io/{POD}");
    layout.file(format!("{inside}/init.pid"), "77");
    layout.file(
        format!("{inside}/config.json"),
        r#"{"annotations":{"io.kubernetes.cri.container-name":"web","io.kubernetes.cri.sandbox-name":"shop","io.kubernetes.cri.sandbox-namespace":"prod"}}"#,
    );
    let group = format!(
        "/system.slice/docker-{WEB}.scope/kubelet.slice/kubelet-kubepods-pod1.slice/cri-containerd-{POD}.scope"
    );
    layout.process(900, 0, &group, START);
    let tag = layout.tag(900).expect("a container");
    let chain: Vec<String> = tag.container.chain().map(ToString::to_string).collect();
    assert_eq!(chain, ["k8s:prod/shop/web", "docker:node"]);
    // The PIDs inside differ: no process of the host has PID 77.
    layout.process(77, 0, "/", START);
    assert_eq!(layout.tag(77).map(|tag| tag.identified_by), Some(IdentifiedBy::Anonymous));
}

// --- who may say what --------------------------------------------------------------------------------------

/// The process with the PID began at another time than the state file says, or after the file was written.
#[test]
fn a_recycled_pid_is_in_no_container() {
    for (name, make) in LAYOUTS {
        if matches!(name, "lxc" | "snap" | "groups") {
            continue; // no process is named there
        }
        let mut layout = Layout::new(&format!("records-stale-{name}"));
        make(&mut layout);
        for (pid, expected) in layout.expected.clone() {
            layout.process(pid, expected.owner, "/user.slice/session-1.scope", LATE);
            let found = layout.proven(pid);
            assert!(found.is_none(), "{}: {found:?}", expected.shown);
        }
        assert_eq!(layout.all(), [], "{name}");
    }
}

/// A user's state files say nothing about processes of root or of another user.
#[test]
fn a_users_records_are_for_processes_of_that_user() {
    for (name, make) in LAYOUTS {
        let mut layout = Layout::new(&format!("records-foreign-{name}"));
        make(&mut layout);
        let own: Vec<i64> =
            layout.expected.iter().filter(|(_, of)| of.owner == USER).map(|(pid, _)| *pid).collect();
        for pid in own.into_iter().filter(|_| name != "lxc") {
            let cgroup = std::fs::read_to_string(layout.host.root().join(format!("proc/{pid}/cgroup")))
                .expect("a cgroup");
            for uid in [0, USER + 1] {
                layout.process(pid, uid, cgroup.trim_start_matches("0::").trim_end(), START);
                let found = layout.proven(pid);
                assert!(found.is_none(), "{pid} of {uid}: {found:?}");
            }
        }
    }
}

/// Two state files claim an id: the one whose process lives in the group is right.
#[test]
fn a_users_record_does_not_hide_anothers() {
    let mut layout = Layout::new("records-shadow");
    of_docker_without_root(&mut layout);
    let other = USER - 1; // comes first
    let passwd = format!("v:x:{other}:{other}::/home/v:/bin/sh\nu:x:{USER}:{USER}::/home/u:/bin/sh\n");
    layout.file("etc/passwd", passwd);
    let path = format!("home/v/.local/share/docker/containers/{}/config.v2.json", id(20));
    layout.file(path, config("forged", 1, "{}"));
    layout.all_is_found();
}

/// Runtimes choose ids independently; in one group the namespaces decide.
#[test]
fn one_id_of_two_runtimes() {
    for (name, group) in [("apart", "/same.slice/two"), ("together", "/same")] {
        let mut layout = Layout::new(&format!("records-same-{name}"));
        let one = layout.expect("/same", Expected::new("runc:same", "same", "runc"));
        let other = layout.expect(group, Expected::new("crun:same", "same", "crun"));
        runc(&layout, "run/runc", "same", one, "/b", "/b/rootfs");
        let status = format!(r#"{{"pid":{other},"process-start-time":{START},"bundle":"/b"}}"#);
        layout.file("run/crun/same/status", status);
        layout.all_is_found();
        let mut all: Vec<String> = layout.all().iter().map(ToString::to_string).collect();
        all.sort();
        assert_eq!(all, ["crun:same", "runc:same"]);
    }
}

#[test]
fn files_of_other_users_and_links_to_them_are_not_read() {
    if !root() {
        skip("records-owner", "needs root, to give files away");
        return;
    }
    let mut layout = Layout::new("records-owner");
    of_podman(&mut layout);
    of_docker_without_root(&mut layout);
    let of_user = |layout: &Layout| {
        layout.expected.iter().filter(|(_, of)| of.owner == USER).map(|(pid, _)| *pid).collect::<Vec<_>>()
    };
    let users = of_user(&layout);
    assert_eq!(users.len(), 5);
    // Each file of the user, as on a real host.
    let homes = ["home/u", &format!("run/user/{USER}"), &format!("srv/{USER}")]
        .map(|path| layout.host.root().join(path));
    let each = |change: &dyn Fn(&PathBuf)| {
        homes.iter().flat_map(|top| files_below(top)).for_each(|file| change(&file))
    };
    each(&|file| chown(file, Some(USER), Some(USER)).expect("chown"));
    layout.all_is_found();
    // A file of another user.
    each(&|file| chown(file, Some(USER + 1), Some(USER + 1)).expect("chown"));
    for pid in &users {
        assert_eq!(layout.proven(*pid), None);
    }
    // root's, where a link leads to it.
    each(&|file| {
        chown(file, Some(0), Some(0)).expect("chown");
        let away = layout.host.root().join("secret");
        std::fs::create_dir_all(&away).expect("a directory");
        let away = away.join(file.to_string_lossy().replace('/', "_"));
        std::fs::rename(file, &away).expect("renamed");
        let inside = PathBuf::from("/").join(away.strip_prefix(layout.host.root()).expect("below"));
        symlink(inside, file).expect("a link");
    });
    for pid in &users {
        assert_eq!(layout.proven(*pid), None);
    }
    // And a user's own file, where root's must be.
    let root = ["var/lib/containers", "run/containers", "srv/graph", "srv/run", "data"]
        .map(|path| layout.host.root().join(path));
    for file in root.iter().flat_map(|top| files_below(top)) {
        chown(file, Some(USER), Some(USER)).expect("chown");
    }
    let all = layout.all();
    let mut of_root = all.iter().filter(|one| one.runtime == Runtime::Podman && one.owner == 0);
    assert_eq!(of_root.next(), None);
}

/// Whatever a state file contains: no panic, and no process is taken for another.
#[test]
fn hostile_files() {
    let deep = "[".repeat(100_000);
    let texts: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"42",
        b"\"\xff\xfe\"",
        b"[{\"id\":5}]",
        b"{\"State\":[],\"annotations\":7}",
        deep.as_bytes(),
    ];
    for (name, make) in LAYOUTS {
        let mut layout = Layout::new(&format!("records-hostile-{name}"));
        make(&mut layout);
        let top = ["var", "run", "etc", "srv", "home", "opt"].map(|name| layout.host.root().join(name));
        for file in top.iter().flat_map(|top| files_below(top)) {
            let good = std::fs::read(&file).expect("a file");
            for bad in
                texts.into_iter().chain([&good[..good.len() / 2], &good[..good.len().saturating_sub(1)]])
            {
                std::fs::write(&file, bad).expect("written");
                layout.is_not_deceived(&file);
            }
            std::fs::write(&file, &good).expect("written");
        }
        layout.all_is_found();
    }
}

/// Inputs of the fuzzer: first ones, and one for each fault that it found.
#[test]
fn inputs_of_the_fuzzer() {
    for (name, data) in inputs("state") {
        println!("{name}");
        state(&data);
    }
}

/// A problem is reported by file and kind; the content of a file may be a secret.
#[test]
fn warnings_do_not_quote_files() {
    let layout = Layout::new("records-warnings");
    layout.process(100, 0, &format!("/system.slice/docker-{WEB}.scope"), START);
    let path = format!("var/lib/docker/containers/{WEB}/config.v2.json");
    layout.file(&path, r#"{"Name":["SECRET"],"State":"SECRET"}"#);
    let problems = layout.look(|resolver| {
        let text = format!("0::/system.slice/docker-{WEB}.scope\n");
        resolver.resolve(nix::unistd::Pid::from_raw(100), text.as_bytes(), false);
        resolver.problems()
    });
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].ends_with("config.v2.json: not the JSON that was expected (line 1)"), "{problems:?}");
}

/// Podman 5 writes an empty name for the image of a pod's infra container.
#[test]
fn an_empty_name_of_an_image_is_no_image() {
    let mut layout = Layout::new("records-infra");
    let pid = layout.init(&format!("/machine.slice/libpod-{DB}.scope"));
    podman(&layout, "var/lib/containers/storage", "run/containers/storage", DB, "infra", pid);
    let list = "var/lib/containers/storage/overlay-containers/containers.json";
    assert_eq!(layout.proven(pid).expect("a container").image.as_deref(), Some("img:1"));
    layout.replace(list, "img:1", "");
    assert_eq!(layout.proven(pid).expect("a container").image, None);
}
