//! What runtimes write down of their containers, one layout after the other, on a host of our making.
//!
//! The layouts are after the runtimes' documentation and sources. Those of docker, containerd, Kubernetes over
//! containerd, Podman, LXC and systemd-nspawn stand captured in tests/fixtures, those of runc, crun, flatpak and
//! firejail were seen; the others were not: CRI-O, nerdctl, LXD, Incus, libvirt, ECS, youki, buildah, buildkit,
//! snap, Nomad, Garden, Mesos, GitHub's actions_job, docker and containerd without root.

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::PathBuf;
use std::rc::Rc;

use common::ctr_ps::{DB, Host, WEB};
use common::{root, skip};
use ctrbox::container::{Container, Files, How, Resolver, Runtime, Tag};
use ctrbox::proc::ProcRoot;
use nix::unistd::Pid;

const POD: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const UUID: &str = "0b3f5a52-1111-2222-3333-4444deadbeef";
const USER: u32 = 1234;
const START: u64 = 777;

/// A host, and what should be found on it: PID of an init process, and its container.
struct Layout {
    host: Host,
    expected: BTreeMap<i64, Expected>,
    next: i64,
}

#[derive(Default, Clone)]
struct Expected {
    shown: String,
    id: String,
    engine: &'static str,
    pod: Option<&'static str>,
    image: Option<&'static str>,
    hostname: Option<&'static str>,
    label: Option<(&'static str, &'static str)>,
    owner: u32,
}

impl Layout {
    fn new(name: &str) -> Layout {
        let host = Host::new(name);
        host.file("etc/passwd", format!("root:x:0:0::/root:/bin/sh\nu:x:{USER}:{USER}::/home/u:/bin/sh\n"));
        host.file("proc/stat", "cpu 0\nbtime 1000000000\n");
        std::fs::create_dir_all(host.root().join(format!("run/user/{USER}"))).expect("a directory");
        Layout { host, expected: BTreeMap::new(), next: 100 }
    }

    fn file(&self, path: impl AsRef<str>, content: impl AsRef<[u8]>) -> PathBuf {
        self.host.file(path.as_ref(), content)
    }

    /// A process that no host could have had when a record of now was written, if it began `late`.
    fn process(&self, pid: i64, uid: u32, cgroup: &str, start: u64) {
        self.host.process(pid, 1, cgroup, b"x\0");
        let status = format!(
            "Name:\tx\nState:\tS (sleeping)\nPid:\t{pid}\nPPid:\t1\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n\
             NSpid:\t{pid}\t1\nVmPeak:\t 100 kB\n"
        );
        self.file(format!("proc/{pid}/status"), status);
        let stat = format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0\n");
        self.file(format!("proc/{pid}/stat"), stat);
        std::fs::create_dir_all(self.host.root().join(format!("proc/{pid}/ns"))).expect("a directory");
        for (kind, id) in
            [("pid", 10_000 + pid), ("mnt", 20_000 + pid), ("net", 30_000 + pid), ("ipc", 40_000 + pid)]
        {
            let link = self.host.root().join(format!("proc/{pid}/ns/{kind}"));
            _ = std::fs::remove_file(&link);
            symlink(format!("{kind}:[{id}]"), link).expect("a link");
        }
    }

    /// An init process in a control group, and what it should be found to be.
    fn expect(&mut self, cgroup: &str, expected: Expected) -> i64 {
        let pid = self.next;
        self.next += 1;
        self.process(pid, expected.owner, cgroup, START);
        self.expected.insert(pid, expected);
        pid
    }

    fn look<T>(&self, look: impl FnOnce(&mut Resolver<'_>) -> T) -> T {
        let proc = ProcRoot::new(self.host.root().join("proc"));
        let files = Files::new(self.host.root()).expect("a root");
        look(&mut Resolver::new(&proc, &files))
    }

    fn tag(&self, pid: i64) -> Option<Tag> {
        let text = std::fs::read(self.host.root().join(format!("proc/{pid}/cgroup"))).expect("a cgroup");
        self.look(|resolver| resolver.of(Pid::from_raw(i32::try_from(pid).expect("a pid")), &text, true))
    }

    /// The container that a record proves to be this process'.
    fn proven(&self, pid: i64) -> Option<Rc<Container>> {
        self.tag(pid).filter(|tag| matches!(tag.how, How::State | How::Namespace)).map(|tag| tag.container)
    }

    fn all_is_found(&self) {
        for (pid, expected) in &self.expected {
            let tag = self.tag(*pid).unwrap_or_else(|| panic!("{pid}: {} is not found", expected.shown));
            expected.is(*pid, &tag.container);
        }
    }

    fn all(&self) -> Vec<Rc<Container>> {
        self.look(|resolver| resolver.all())
    }
}

impl Expected {
    fn new(shown: impl Into<String>, id: impl Into<String>, engine: &'static str) -> Expected {
        Expected { shown: shown.into(), id: id.into(), engine, ..Expected::default() }
    }

    fn is(&self, pid: i64, container: &Container) {
        assert_eq!((container.to_string(), &container.id), (self.shown.clone(), &self.id), "{pid}");
        assert_eq!(container.engine, self.engine, "{}", self.shown);
        assert_eq!(container.owner, self.owner, "{}", self.shown);
        let untold =
            matches!(container.runtime, Runtime::Incus | Runtime::Lxc | Runtime::Lxd | Runtime::Snap);
        if container.how != How::Cgroup && !untold {
            assert_eq!(container.init.map(|init| i64::from(init.as_raw())), Some(pid), "{}", self.shown);
        }
        for (found, expected, what) in [
            (container.pod.as_deref(), self.pod, "pod"),
            (container.image.as_deref(), self.image, "image"),
            (container.hostname.as_deref(), self.hostname, "hostname"),
        ] {
            assert_eq!(found, expected, "{what} of {}", self.shown);
        }
        if let Some((name, value)) = self.label {
            let label = (name.to_owned(), value.to_owned());
            assert!(container.labels.contains(&label), "{}: {:?}", self.shown, container.labels);
        }
    }
}

// --- docker ------------------------------------------------------------------------------------------------

fn config(name: &str, pid: i64, labels: &str) -> String {
    format!(
        r#"{{"Name":"/{name}","Created":"2026-11-22T14:38:03.8Z","State":{{"Running":true,"Pid":{pid}}},
            "Config":{{"Hostname":"{name}-host","Image":"img:1","Labels":{labels}}}}}"#
    )
}

fn id(number: u32) -> String {
    format!("{number:064x}")
}

/// A docker container in the data root `root`, in the group that the systemd driver makes.
fn docker(
    layout: &mut Layout,
    root: &str,
    number: u32,
    name: &'static str,
    labels: &str,
    expected: Expected,
) -> i64 {
    let id = id(number);
    let expected = Expected { id: id.clone(), engine: "docker", image: Some("img:1"), ..expected };
    let pid = layout.expect(&format!("/system.slice/docker-{id}.scope"), expected);
    layout.file(format!("{root}/containers/{id}/config.v2.json"), config(name, pid, labels));
    pid
}

fn of_docker(layout: &mut Layout) {
    let named = |shown: &str, hostname| Expected {
        shown: shown.to_owned(),
        hostname: Some(hostname),
        ..Expected::default()
    };
    layout.file("etc/docker/daemon.json", r#"{"data-root":"/srv/docker","debug":true}"#);
    for (number, root, name, hostname) in [
        (1, "var/lib/docker", "one", "one-host"),
        (2, "srv/docker", "two", "two-host"),
        (3, "var/snap/docker/common/var-lib-docker", "three", "three-host"),
        (4, "var/lib/docker/231072.231072", "four", "four-host"),
    ] {
        docker(layout, root, number, name, "null", named(&format!("docker:{name}"), hostname));
    }
    let compose = r#"{"com.docker.compose.project":"shop","com.docker.compose.service":"web"}"#;
    let expected = named("docker:shop-web-1", "shop-web-1-host");
    let label = Some(("com.docker.compose.service", "web"));
    docker(layout, "var/lib/docker", 5, "shop-web-1", compose, Expected { label, ..expected });
    let swarm = r#"{"com.docker.swarm.service.name":"api","com.docker.swarm.task.name":"api.1.x"}"#;
    let label = Some(("com.docker.swarm.service.name", "api"));
    docker(
        layout,
        "var/lib/docker",
        6,
        "api.1.x",
        swarm,
        Expected { label, ..named("docker:api.1.x", "api.1.x-host") },
    );
    let ecs =
        r#"{"com.amazonaws.ecs.task-definition-family":"orders","com.amazonaws.ecs.container-name":"db"}"#;
    docker(
        layout,
        "var/lib/docker",
        7,
        "ecs-orders-3-db-a0b1",
        ecs,
        named("ecs:orders/db", "ecs-orders-3-db-a0b1-host"),
    );
    for (number, kind, name, shown) in [
        (8, "container", r#""io.kubernetes.container.name":"web","#, "k8s:prod/shop/web"),
        (9, "podsandbox", "", "k8s:prod/shop/POD"),
    ] {
        let labels = format!(
            r#"{{"io.kubernetes.docker.type":"{kind}",{name}"io.kubernetes.pod.name":"shop","io.kubernetes.pod.namespace":"prod"}}"#
        );
        docker(
            layout,
            "var/lib/docker",
            number,
            "k8s_x",
            &labels,
            Expected { pod: Some("shop"), ..named(shown, "k8s_x-host") },
        );
    }
    // Of a data root that only the daemon was told of, the bundle has paths.
    let pid = docker(layout, "opt/secret", 10, "ten", "null", named("docker:ten", "ten-host"));
    let bundle = format!("run/containerd/io.containerd.runtime.v2.task/moby/{}", id(10));
    layout.file(format!("{bundle}/init.pid"), pid.to_string());
    let source = format!("/opt/secret/containers/{}/hosts", id(10));
    layout.file(
        format!("{bundle}/config.json"),
        format!(r#"{{"mounts":[{{"destination":"/etc/hosts","source":"{source}"}}]}}"#),
    );
    // GitHub's runner gives its jobs a group of their own.
    let job = Expected {
        image: Some("img:1"),
        hostname: Some("job-host"),
        ..Expected::new("docker:job", id(11), "docker")
    };
    let pid = layout.expect(&format!("/actions_job/{}", id(11)), job);
    layout.file(format!("var/lib/docker/containers/{}/config.v2.json", id(11)), config("job", pid, "{}"));
    let task = Expected {
        image: Some("img:1"),
        hostname: Some("task-host"),
        ..Expected::new("ecs:fam/web", id(12), "docker")
    };
    let pid = layout.expect(&format!("/ecs/0123456789abcdef/{}", id(12)), task);
    let labels =
        r#"{"com.amazonaws.ecs.task-definition-family":"fam","com.amazonaws.ecs.container-name":"web"}"#;
    layout.file(format!("var/lib/docker/containers/{}/config.v2.json", id(12)), config("task", pid, labels));
}

/// Without root: with a user's systemd, and with no control group at all.
fn of_docker_without_root(layout: &mut Layout) {
    for (number, group, name) in [
        (
            20,
            format!("/user.slice/user-{USER}.slice/user@{USER}.service/user.slice/docker-{}.scope", id(20)),
            "rootless",
        ),
        (21, "/".to_owned(), "groupless"),
    ] {
        let hostname = if number == 20 { "rootless-host" } else { "groupless-host" };
        let expected = Expected {
            image: Some("img:1"),
            hostname: Some(hostname),
            owner: USER,
            ..Expected::new(format!("docker:{name}"), id(number), "docker")
        };
        let pid = layout.expect(&group, expected);
        let path = format!("home/u/.local/share/docker/containers/{}/config.v2.json", id(number));
        layout.file(path, config(name, pid, "{}"));
    }
    layout.file("home/u/.config/docker/daemon.json", r#"{"data-root":"/home/u/data"}"#);
    let group = format!("/user.slice/docker-{}.scope", id(22));
    let expected = Expected {
        image: Some("img:1"),
        hostname: Some("told-host"),
        owner: USER,
        ..Expected::new("docker:told", id(22), "docker")
    };
    let pid = layout.expect(&group, expected);
    layout.file(format!("home/u/data/containers/{}/config.v2.json", id(22)), config("told", pid, "{}"));
}

// --- containerd --------------------------------------------------------------------------------------------

fn bundle(layout: &Layout, state: &str, namespace: &str, id: &str, pid: i64, spec: &str) {
    let bundle = format!("{state}/io.containerd.runtime.v2.task/{namespace}/{id}");
    layout.file(format!("{bundle}/init.pid"), pid.to_string());
    layout.file(format!("{bundle}/config.json"), spec);
}

fn of_containerd(layout: &mut Layout) {
    let nerdctl = |namespace: &str, name: &str| {
        format!(
            r#"{{"hostname":"abc","annotations":{{"nerdctl/name":"{name}","nerdctl/namespace":"{namespace}",
                "nerdctl/hostname":"{name}-host","com.docker.compose.project":"shop","nerdctl/platform":"linux/amd64"}}}}"#
        )
    };
    let label = Some(("com.docker.compose.project", "shop"));
    let expected = |shown: &str, number, hostname| Expected {
        hostname: Some(hostname),
        label,
        ..Expected::new(shown, id(number), "containerd")
    };
    let pid = layout.expect(&format!("/default/{}", id(30)), expected("nerdctl:web", 30, "web-host"));
    bundle(layout, "run/containerd", "default", &id(30), pid, &nerdctl("default", "web"));
    let pid = layout.expect(
        &format!("/system.slice/nerdctl-{}.scope", id(31)),
        expected("nerdctl:dev/api", 31, "api-host"),
    );
    bundle(layout, "run/containerd", "dev", &id(31), pid, &nerdctl("dev", "api"));
    let group =
        format!("/user.slice/user-{USER}.slice/user@{USER}.service/user.slice/nerdctl-{}.scope", id(32));
    let pid = layout.expect(&group, Expected { owner: USER, ..expected("nerdctl:own", 32, "own-host") });
    bundle(
        layout,
        &format!("run/user/{USER}/containerd"),
        "default",
        &id(32),
        pid,
        &nerdctl("default", "own"),
    );
    // k3s has a containerd of its own.
    let group = format!("/kubepods/besteffort/pod{UUID}/{}", id(33));
    let kube = Expected {
        pod: Some("shop"),
        image: Some("reg/web:2"),
        ..Expected::new("k8s:prod/shop/web", id(33), "containerd")
    };
    let pid = layout.expect(&group, kube);
    let spec = r#"{"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"web",
        "io.kubernetes.cri.sandbox-name":"shop","io.kubernetes.cri.sandbox-namespace":"prod","io.kubernetes.cri.image-name":"reg/web:2"}}"#;
    bundle(layout, "run/k3s/containerd", "k8s.io", &id(33), pid, spec);
}

// --- CRI-O, Podman, buildah --------------------------------------------------------------------------------

fn crio(layout: &mut Layout, id: &str, group: &str, annotations: &str, expected: Expected) {
    let pid = layout.expect(group, expected);
    let spec = format!(
        r#"{{"hostname":"node","annotations":{{"io.container.manager":"cri-o","io.kubernetes.cri-o.Created":"2026-01-07T11:33:26.5Z",{annotations}}}}}"#
    );
    layout.file(format!("run/containers/storage/overlay-containers/{id}/userdata/config.json"), spec);
    layout.file(format!("run/containers/storage/overlay-containers/{id}/userdata/pidfile"), pid.to_string());
    let state = format!(
        r#"{{"id":"{id}","status":"running","pid":{pid},"initPid":{pid},"initStartTime":"{START}"}}"#
    );
    layout.file(format!("var/lib/containers/storage/overlay-containers/{id}/userdata/state.json"), state);
}

fn of_crio(layout: &mut Layout) {
    layout.file("run/crio/version", "\"1.30.0\"");
    let kube = |shown: &str, number, image| Expected {
        pod: Some("shop"),
        hostname: Some("node"),
        image,
        ..Expected::new(shown, id(number), "cri-o")
    };
    let annotations = r#""io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.SandboxID":"x",
        "io.kubernetes.cri-o.Labels":"{\"io.kubernetes.container.name\":\"web\",\"io.kubernetes.pod.name\":\"shop\",\"io.kubernetes.pod.namespace\":\"prod\",\"io.kubernetes.pod.uid\":\"1\",\"tier\":\"front\"}",
        "io.kubernetes.cri-o.ImageName":"reg/web:2","io.kubernetes.cri-o.Name":"k8s_web_shop_prod_1_0""#;
    let expected =
        Expected { label: Some(("tier", "front")), ..kube("k8s:prod/shop/web", 40, Some("reg/web:2")) };
    crio(
        layout,
        &id(40),
        &format!("/kubepods.slice/kubepods-pod1.slice/crio-{}.scope/container", id(40)),
        annotations,
        expected,
    );
    let annotations = r#""io.kubernetes.cri-o.ContainerType":"sandbox","io.kubernetes.cri-o.KubeName":"shop","io.kubernetes.cri-o.Namespace":"prod",
        "io.kubernetes.cri-o.ImageName":"registry.k8s.io/pause:3.9","io.kubernetes.cri-o.Name":"k8s_shop_prod_1_0""#;
    crio(
        layout,
        &id(41),
        &format!("/kubepods.slice/kubepods-pod1.slice/crio-{}.scope", id(41)),
        annotations,
        kube("k8s:prod/shop/POD", 41, None),
    );
    // The cgroupfs driver; and old versions, where the name alone tells.
    let annotations = r#""io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.Name":"k8s_db_shop_prod_1_0""#;
    crio(
        layout,
        &id(42),
        &format!("/kubepods/pod1/crio-{}", id(42)),
        annotations,
        kube("k8s:prod/shop/db", 42, None),
    );
}

fn podman(layout: &Layout, storage: &str, run: &str, id: &str, name: &str, pid: i64) {
    let list = format!(
        r#"[{{"id":"{id}","names":["{name}"],"image":"sha","layer":"l{id}","created":"2026-11-22T04:22:05Z","metadata":"{{\"image-name\":\"img:1\"}}"}}]"#
    );
    layout.file(format!("{storage}/overlay-containers/containers.json"), list);
    let spec = r#"{"hostname":"box","annotations":{"io.container.manager":"libpod","io.kubernetes.cri-o.TTY":"false","mine":"yes"}}"#;
    layout.file(format!("{storage}/overlay-containers/{id}/userdata/config.json"), spec);
    layout.file(format!("{run}/overlay-containers/{id}/userdata/pidfile"), format!("{pid}\n"));
}

fn of_podman(layout: &mut Layout) {
    let expected = |shown: &str, number, owner| Expected {
        image: Some("img:1"),
        hostname: Some("box"),
        label: Some(("mine", "yes")),
        owner,
        ..Expected::new(shown, id(number), "podman")
    };
    // quadlet (--cgroups=split): below the unit's own group.
    let pid = layout.expect(
        &format!("/system.slice/web.service/libpod-payload-{}", id(50)),
        expected("podman:unit", 50, 0),
    );
    podman(layout, "var/lib/containers/storage", "run/containers/storage", &id(50), "unit", pid);
    // With no control group of its own (--cgroups=disabled): conmon's note tells.
    layout.file("etc/containers/storage.conf", "[storage]\ngraphroot = \"/srv/graph\"\nrunroot = \"/srv/run\"\nrootless_storage_path = \"/srv/$UID\"\n");
    let pid = layout.expect("/system.slice/web.service", expected("podman:plain", 51, 0));
    podman(layout, "srv/graph", "srv/run", &id(51), "plain", pid);
    let run = format!("run/user/{USER}/containers");
    let pid = layout.expect("/", expected("podman:mine", 52, USER));
    podman(layout, "home/u/.local/share/containers/storage", &run, &id(52), "mine", pid);
    let pid = layout.expect("/", expected("podman:moved", 53, USER));
    podman(layout, &format!("srv/{USER}"), &run, &id(53), "moved", pid);
    // A step of buildah's, in the root directory of a working container.
    let list = format!(
        r#"[{{"id":"{}","names":["alpine-working-container"],"image":"sha","layer":"{DB}"}}]"#,
        id(54)
    );
    layout.file("var/lib/containers/storage/vfs-containers/containers.json", list);
    let own = r#"{"type":"buildah 0.0.1","image":"docker.io/library/alpine:3","container-name":"alpine-working-container"}"#;
    layout.file(format!("var/lib/containers/storage/vfs-containers/{}/userdata/buildah.json", id(54)), own);
    let expected = Expected {
        image: Some("docker.io/library/alpine:3"),
        ..Expected::new("buildah:alpine-working-container", id(54), "runc")
    };
    let pid = layout.expect("/buildah-buildah123", expected);
    runc(
        layout,
        "run/runc",
        "buildah-buildah123",
        pid,
        "/var/tmp/buildah123",
        &format!("/var/lib/containers/storage/vfs/dir/{DB}"),
    );
}

// --- OCI runtimes ------------------------------------------------------------------------------------------

fn runc(layout: &Layout, state: &str, id: &str, pid: i64, bundle: &str, rootfs: &str) {
    let text = format!(
        r#"{{"id":"{id}","init_process_pid":{pid},"init_process_start":{START},"created":"2026-11-22T04:22:54.4Z",
            "config":{{"rootfs":"{rootfs}","hostname":"","labels":["who=me","bundle={bundle}"]}}}}"#
    );
    layout.file(format!("{state}/{id}/state.json"), text);
}

fn of_oci(layout: &mut Layout) {
    let label = Some(("who", "me"));
    let pid = layout.expect("/job-1", Expected { label, ..Expected::new("runc:job-1", "job-1", "runc") });
    runc(layout, "run/runc", "job-1", pid, "/srv/job-1", "/srv/job-1/rootfs");
    let pid =
        layout.expect("/", Expected { label, owner: USER, ..Expected::new("runc:job-2", "job-2", "runc") });
    runc(layout, &format!("run/user/{USER}/runc"), "job-2", pid, "/home/u/job", "/home/u/job/rootfs");
    let expected = Expected {
        label,
        ..Expected::new("buildkit:ax7wnlqv6lkbpr7bwtg7pdbf9", "ax7wnlqv6lkbpr7bwtg7pdbf9", "runc")
    };
    let pid = layout.expect("/buildkit/ax7wnlqv6lkbpr7bwtg7pdbf9", expected);
    let bundle = "/var/lib/docker/buildkit/executor/ax7wnlqv6lkbpr7bwtg7pdbf9";
    runc(layout, "run/runc", "ax7wnlqv6lkbpr7bwtg7pdbf9", pid, bundle, bundle);

    let pid = layout.expect(
        "/crun-1",
        Expected { hostname: Some("c1"), label, ..Expected::new("crun:crun-1", "crun-1", "crun") },
    );
    layout.file(
        "run/crun/crun-1/status",
        format!(r#"{{"pid":{pid},"process-start-time":{START},"cgroup-path":"/crun-1","rootfs":"/r","bundle":"/b","created":"2026-11-22T04:23:00.2Z"}}"#),
    );
    layout.file("run/crun/crun-1/config.json", r#"{"hostname":"c1","annotations":{"who":"me"}}"#);
    let pid = layout.expect(
        "/youki-1",
        Expected { hostname: Some("y1"), ..Expected::new("youki:youki-1", "youki-1", "youki") },
    );
    layout.file(
        "run/youki/youki-1/state.json",
        format!(r#"{{"ociVersion":"v1.0.2","id":"youki-1","status":"running","pid":{pid},"bundle":"/srv/y","created":"2026-11-22T04:23:00.2Z"}}"#),
    );
    layout.file("srv/y/config.json", r#"{"hostname":"y1"}"#);
}

// --- machines and sandboxes --------------------------------------------------------------------------------

fn of_lxc(layout: &mut Layout) {
    for (id, directory) in [
        ("one", "var/snap/lxd/common/lxd"),
        ("shop_two", "var/snap/lxd/common/lxd"),
        ("three", "var/lib/incus"),
        ("shop_four", "var/lib/incus"),
    ] {
        let name = id.replacen('_', "/", 1);
        let (runtime, settings) = match directory {
            "var/lib/incus" => ("incus", "run/incus"),
            _ => ("lxd", "var/snap/lxd/common/lxd/logs"),
        };
        let expected =
            Expected { hostname: Some("inside"), ..Expected::new(format!("{runtime}:{name}"), id, runtime) };
        layout.expect(&format!("/lxc.payload.{id}"), expected);
        std::fs::create_dir_all(layout.host.root().join(directory).join("containers")).expect("a directory");
        // Into a storage pool that is mounted elsewhere.
        let link = layout.host.root().join(format!("{directory}/containers/{id}"));
        symlink(format!("/{directory}/storage-pools/default/containers/{id}"), link).expect("a link");
        layout.file(format!("{settings}/{id}/lxc.conf"), "lxc.uts.name = outside\nlxc.uts.name = inside\n");
    }
    let old = Expected { hostname: Some("old"), ..Expected::new("lxc:old", "old", "lxc") };
    layout.expect("/lxc/old", old);
    layout.file("var/lib/lxc/old/config", "# x\nlxc.utsname = old\n");
    layout.file("etc/lxc/lxc.conf", "lxc.lxcpath = /srv/lxc\n");
    layout.expect("/lxc.payload.moved", Expected::new("lxc:moved", "moved", "lxc"));
    layout.file("srv/lxc/moved/config", "");
    let group = format!("/user.slice/user-{USER}.slice/user@{USER}.service/app.slice/lxc.payload.mine");
    layout.expect(&group, Expected { owner: USER, ..Expected::new("lxc:mine", "mine", "lxc") });
    layout.file("home/u/.local/share/lxc/mine/config", "lxc.idmap = u 0 100000 65536\n");
}

fn of_machined(layout: &mut Layout) {
    for (name, group, service, class, shown) in [
        ("deb", "/machine.slice/machine-deb.scope/payload", "systemd-nspawn", "container", "nspawn:deb"),
        (
            "deb-2",
            "/machine.slice/systemd-nspawn@deb\\x2d2.service/payload",
            "systemd-nspawn",
            "container",
            "nspawn:deb-2",
        ),
        (
            "qemu-3-web-1",
            "/machine.slice/machine-qemu\\x2d3\\x2dweb\\x2d1.scope/libvirt/emulator",
            "libvirt-qemu",
            "vm",
            "libvirt:web-1",
        ),
        (
            "lxc-44-db",
            "/machine.slice/machine-lxc\\x2d44\\x2ddb.scope",
            "libvirt-lxc",
            "container",
            "libvirt:db",
        ),
    ] {
        let machine = format!("{:032x}", name.len());
        let pid =
            layout.expect(group, Expected::new(shown, &machine, shown.split(':').next().expect("a runtime")));
        let text = format!(
            "# This is private data. Do not parse.\nNAME={name}\nSERVICE={service}\nID={machine}\nLEADER={pid}\nCLASS={class}\nREALTIME=1795321900056750\n"
        );
        let file = layout.file(format!("run/systemd/machines/{name}"), text);
        symlink(name, file.with_file_name(format!("unit:machine-{name}.scope"))).expect("a link");
    }
}

fn of_sandboxes(layout: &mut Layout) {
    let app = Expected {
        image: Some("runtime/org.x.Platform/x86_64/1"),
        owner: USER,
        ..Expected::new("flatpak:org.x.App", "93121600", "flatpak")
    };
    let pid = layout.expect("/", app);
    let instance = format!("run/user/{USER}/.flatpak/93121600");
    layout.file(format!("{instance}/pid"), "5");
    layout.file(
        format!("{instance}/info"),
        "[Application]\nname=org.x.App\nruntime=runtime/org.x.Platform/x86_64/1\n\n[Instance]\nname=no\n",
    );
    let info = format!(
        r#"{{"child-pid":{pid},"ipc-namespace":{},"mnt-namespace":{},"net-namespace":{},"pid-namespace":{}}}"#,
        40_000 + pid,
        20_000 + pid,
        30_000 + pid,
        10_000 + pid
    );
    layout.file(format!("{instance}/bwrapinfo.json"), info);
    let pid = layout.expect("/", Expected::new("firejail:jail", "4000", "firejail"));
    layout.file("run/firejail/name/4000", "jail\n");
    layout.file("run/firejail/sandbox/4000", format!("{pid}\n"));
}

/// Known by the name of the control group alone, which nothing vouches for.
fn of_groups(layout: &mut Layout) {
    let short = |id: &str| id[..12.min(id.len())].to_owned();
    for (runtime, group, id) in [
        ("nomad", format!("/nomad/{UUID}"), UUID.to_owned()),
        ("nomad", format!("/nomad.slice/share.slice/{UUID}.web.scope"), format!("{UUID}.web")),
        ("garden", "/garden/8f8c2b1e-aaaa".to_owned(), "8f8c2b1e-aaaa".to_owned()),
        ("mesos", format!("/mesos/{UUID}"), UUID.to_owned()),
        (
            "buildkit",
            "/buildkit/zx7wnlqv6lkbpr7bwtg7pdbf9".to_owned(),
            "zx7wnlqv6lkbpr7bwtg7pdbf9".to_owned(),
        ),
        ("actions", format!("/actions_job/{WEB}"), WEB.to_owned()),
        ("ecs", format!("/ecs/0123456789abcdef/{WEB}"), WEB.to_owned()),
        ("ecs", "/ecs/0123456789abcdef/0123456789abcdef-77".to_owned(), "0123456789abcdef-77".to_owned()),
    ] {
        let engine = Runtime::from_name(runtime).expect("a runtime").name();
        layout.expect(&group, Expected::new(format!("{runtime}:{}?", short(&id)), id, engine));
    }
}

const LAYOUTS: [(&str, fn(&mut Layout)); 11] = [
    ("docker", of_docker),
    ("docker-rootless", of_docker_without_root),
    ("containerd", of_containerd),
    ("crio", of_crio),
    ("podman", of_podman),
    ("oci", of_oci),
    ("lxc", of_lxc),
    ("machined", of_machined),
    ("sandboxes", of_sandboxes),
    ("groups", of_groups),
    ("snap", of_snaps),
];

#[test]
fn every_layout_is_read() {
    for (name, make) in LAYOUTS {
        let mut layout = Layout::new(&format!("records-{name}"));
        make(&mut layout);
        layout.all_is_found();
    }
}

/// All at once on one host: no store takes another's for its own.
#[test]
fn every_layout_beside_the_others() {
    let mut layout = Layout::new("records-all");
    LAYOUTS.iter().for_each(|(_, make)| make(&mut layout));
    layout.all_is_found();
    // What runs and is proven, each once, by name.
    let mut listed: Vec<String> = layout.all().iter().map(ToString::to_string).collect();
    let of_records =
        |expected: &&Expected| !expected.shown.ends_with('?') && !expected.shown.starts_with("snap:");
    let mut expected: Vec<String> =
        layout.expected.values().filter(of_records).map(|expected| expected.shown.clone()).collect();
    listed.sort();
    expected.sort();
    // (LXC's are found by their groups)
    assert_eq!(listed, expected);
}

/// A snap's mount namespace is all that is known of it, and its inode cannot be chosen.
fn of_snaps(layout: &mut Layout) {
    let group = format!(
        "/user.slice/user-{USER}.slice/user@{USER}.service/app.slice/snap.firefox.firefox-{UUID}.scope"
    );
    let file = layout.file("run/snapd/ns/firefox.mnt", "");
    let pid = layout.expect(&group, Expected::new("snap:firefox", "firefox", "snap"));
    let inode = std::fs::metadata(file).expect("a file").ino();
    let link = layout.host.root().join(format!("proc/{pid}/ns/mnt"));
    std::fs::remove_file(&link).expect("removed");
    symlink(format!("mnt:[{inode}]"), link).expect("a link");
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
    // The PIDs in there are others: 77 of the host is nobody's.
    layout.process(77, 0, "/", START);
    assert_eq!(layout.tag(77).map(|tag| tag.how), Some(How::Anonymous));
}

// --- who may say what --------------------------------------------------------------------------------------

/// The process that has the number now began at another time than the record says, or after it was written.
#[test]
fn a_recycled_pid_is_nobodys() {
    let late = 400 * 365 * 86_400 * 100;
    for (name, make) in LAYOUTS {
        if matches!(name, "lxc" | "snap" | "groups") {
            continue; // no process is named there
        }
        let mut layout = Layout::new(&format!("records-stale-{name}"));
        make(&mut layout);
        for (pid, expected) in layout.expected.clone() {
            layout.process(pid, expected.owner, "/user.slice/session-1.scope", late);
            let found = layout.proven(pid);
            assert!(found.is_none(), "{}: {found:?}", expected.shown);
        }
        assert_eq!(layout.all(), [], "{name}");
    }
}

/// What a user writes says nothing of root's processes, nor of another user's.
#[test]
fn a_users_records_are_for_his_processes() {
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

/// Two say that an id is theirs: the one whose process lives there is right.
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

#[test]
fn files_of_somebody_else_and_links_to_them_are_not_read() {
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
    // Each file of the user's as on a real host.
    let homes = ["home/u", &format!("run/user/{USER}"), &format!("srv/{USER}")]
        .map(|path| layout.host.root().join(path));
    let each = |change: &dyn Fn(&PathBuf)| {
        homes.iter().flat_map(|home| files_below(home)).for_each(|file| change(&file))
    };
    each(&|file| chown(file, Some(USER), Some(USER)).expect("chown"));
    layout.all_is_found();
    // Somebody else's.
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
    // And a user's own, where root's should be.
    let root = ["var/lib/containers", "run/containers", "srv/graph", "srv/run"]
        .map(|path| layout.host.root().join(path));
    for file in root.iter().flat_map(|place| files_below(place)) {
        chown(file, Some(USER), Some(USER)).expect("chown");
    }
    assert_eq!(layout.all().iter().filter(|container| container.runtime == Runtime::Podman).count(), 0);
}

fn files_below(directory: &PathBuf) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            all.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            all.push(entry.path());
        }
    }
    all
}

/// Whatever stands in a file of records: no panic, and nobody is taken for somebody else.
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
        for file in top.iter().flat_map(files_below) {
            let good = std::fs::read(&file).expect("a file");
            for bad in
                texts.into_iter().chain([&good[..good.len() / 2], &good[..good.len().saturating_sub(1)]])
            {
                std::fs::write(&file, bad).expect("written");
                for (pid, expected) in &layout.expected {
                    let Some(found) = layout.proven(*pid) else { continue };
                    let init = found.init.map(|init| i64::from(init.as_raw()));
                    let same = init == Some(*pid) || init.is_none() && found.id == expected.id;
                    assert!(same, "{} is {found} by {}", expected.shown, file.display());
                }
            }
            std::fs::write(&file, &good).expect("written");
        }
        layout.all_is_found();
    }
}

/// A problem is told by file and kind; what stands in a file may be a secret.
#[test]
fn warnings_do_not_quote_files() {
    let layout = Layout::new("records-warnings");
    layout.process(100, 0, &format!("/system.slice/docker-{WEB}.scope"), START);
    let path = format!("var/lib/docker/containers/{WEB}/config.v2.json");
    layout.file(&path, r#"{"Name":["SECRET"],"State":"SECRET"}"#);
    let problems = layout.look(|resolver| {
        resolver.of_cgroup(format!("0::/system.slice/docker-{WEB}.scope\n").as_bytes());
        resolver.problems()
    });
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].ends_with("config.v2.json: not the JSON that was expected (line 1)"), "{problems:?}");
}
