//! docker, containerd, CRI-O, Podman and buildah.

use super::{Expected, Layout, START, USER, UUID, id};
use crate::common::ctr_ps::DB;

// --- docker ------------------------------------------------------------------------------------------------

pub fn config(name: &str, pid: i64, labels: &str) -> String {
    format!(
        r#"{{"Name":"/{name}","Created":"2026-11-22T14:38:03.8Z","State":{{"Running":true,"Pid":{pid}}},
            "Config":{{"Hostname":"{name}-host","Image":"img:1","Labels":{labels}}}}}"#
    )
}

/// A docker container in the data root `root`, in the group that the systemd driver makes.
pub fn docker(
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

pub fn of_docker(layout: &mut Layout) {
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
    // If only the daemon knows the data root, the bundle has paths below it.
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
pub fn of_docker_without_root(layout: &mut Layout) {
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

pub fn bundle(layout: &Layout, state: &str, namespace: &str, id: &str, pid: i64, spec: &str) {
    let bundle = format!("{state}/io.containerd.runtime.v2.task/{namespace}/{id}");
    layout.file(format!("{bundle}/init.pid"), pid.to_string());
    layout.file(format!("{bundle}/config.json"), spec);
}

pub fn of_containerd(layout: &mut Layout) {
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

pub fn crio(layout: &mut Layout, id: &str, group: &str, annotations: &str, expected: Expected) {
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

pub fn of_crio(layout: &mut Layout) {
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
    // The cgroupfs driver; and old versions, which are known by the name alone.
    let annotations = r#""io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.Name":"k8s_db_shop_prod_1_0""#;
    crio(
        layout,
        &id(42),
        &format!("/kubepods/pod1/crio-{}", id(42)),
        annotations,
        kube("k8s:prod/shop/db", 42, None),
    );
}

pub fn podman(layout: &Layout, storage: &str, run: &str, id: &str, name: &str, pid: i64) {
    let list = format!(
        r#"[{{"id":"{id}","names":["{name}"],"image":"sha","layer":"l{id}","created":"2026-11-22T04:22:05Z","metadata":"{{\"image-name\":\"img:1\"}}"}}]"#
    );
    layout.file(format!("{storage}/overlay-containers/containers.json"), list);
    let spec = r#"{"hostname":"box","annotations":{"io.container.manager":"libpod","io.kubernetes.cri-o.TTY":"false","mine":"yes"}}"#;
    layout.file(format!("{storage}/overlay-containers/{id}/userdata/config.json"), spec);
    layout.file(format!("{run}/overlay-containers/{id}/userdata/pidfile"), format!("{pid}\n"));
}

pub fn of_podman(layout: &mut Layout) {
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
    // Without its own control group (--cgroups=disabled): conmon writes the PID.
    layout.file("etc/containers/storage.conf", "[storage]\ngraphroot = \"/srv/graph\"\nrunroot = \"/srv/run\"\nrootless_storage_path = \"/srv/$UID\"\n");
    let pid = layout.expect("/system.slice/web.service", expected("podman:plain", 51, 0));
    podman(layout, "srv/graph", "srv/run", &id(51), "plain", pid);
    let run = format!("run/user/{USER}/containers");
    let pid = layout.expect("/", expected("podman:mine", 52, USER));
    podman(layout, "home/u/.local/share/containers/storage", &run, &id(52), "mine", pid);
    let pid = layout.expect("/", expected("podman:moved", 53, USER));
    podman(layout, &format!("srv/{USER}"), &run, &id(53), "moved", pid);
    // Storage that a command line named (--root), and a home directory that is not in /etc/passwd.
    let pid =
        layout.expect(&format!("/machine.slice/libpod-{}.scope", id(55)), expected("podman:aside", 55, 0));
    podman(layout, "data/aside", "data/run", &id(55), "aside", pid);
    let bundle = format!("/data/aside/overlay-containers/{}/userdata", id(55));
    let state = format!(
        r#"{{"init_process_pid":{pid},"init_process_start":{START},"config":{{"labels":["io.container.manager=libpod","bundle={bundle}"]}}}}"#
    );
    layout.file(format!("run/runc/{}/state.json", id(55)), state);
    let other = USER + 7;
    let pid = layout.expect("/", expected("podman:remote", 56, other));
    podman(layout, "net/home/w/storage", &format!("run/user/{other}/containers"), &id(56), "remote", pid);
    let bundle = format!("/net/home/w/storage/overlay-containers/{}/userdata", id(56));
    let status = format!(r#"{{"pid":{pid},"process-start-time":{START},"bundle":"{bundle}"}}"#);
    layout.file(format!("run/user/{other}/crun/{}/status", id(56)), status);
    // A build step of buildah; its host name is the beginning of the id of the working container.
    let list = format!(
        r#"[{{"id":"{DB}","names":["alpine-working-container"],"image":"sha"}},{{"id":"{}","names":["no"]}}]"#,
        id(54)
    );
    layout.file("var/lib/containers/storage/vfs-containers/containers.json", list);
    let own = r#"{"type":"buildah 0.0.1","image":"docker.io/library/alpine:3","container-name":"alpine-working-container"}"#;
    layout.file(format!("var/lib/containers/storage/vfs-containers/{DB}/userdata/buildah.json"), own);
    let expected_step = Expected {
        image: Some("docker.io/library/alpine:3"),
        hostname: Some(&DB[..12]),
        ..Expected::new("buildah:alpine-working-container", DB, "runc")
    };
    let pid = layout.expect("/buildah-buildah123", expected_step);
    let state = format!(
        r#"{{"init_process_pid":{pid},"init_process_start":{START},"config":{{"hostname":"{}","labels":["bundle=/var/tmp/buildah123"]}}}}"#,
        &DB[..12]
    );
    layout.file("run/runc/buildah-buildah123/state.json", state);
}
