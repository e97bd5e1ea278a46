//! `ctr-ps -l`: containers that run and others, by their state files.

use std::path::Path;

use serde_json::Value;

use crate::common::ctr_ps::{DB, Host, WEB, of, scope};
use crate::common::process::{failure, printed};

/// Below the root directory.
const DOCKER: &str = "var/lib/docker";
const OLD: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
const NEW: &str = "00000000000000000000000000000000000000000000000000000000000000bb";

fn docker(host: &Host, id: &str, name: &str, state: &str) {
    let config = format!(
        r#"{{"Name":"/{name}","Created":"2024-01-01T00:00:00.5Z","Path":"/init","Args":["web","-x"],"Driver":"overlay2",
        "State":{{{state}}},"Config":{{"Image":"docker.io/library/nginx:1","ExposedPorts":{{"80/tcp":{{}},"443/tcp":{{}}}}}}}}"#
    );
    host.docker(id, config);
    let bindings = r#"{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8081"}]}}"#;
    host.file(&format!("{DOCKER}/containers/{id}/hostconfig.json"), bindings);
    host.file(&format!("{DOCKER}/image/overlay2/layerdb/mounts/{id}/mount-id"), "upper");
}

/// A container of Docker that runs, one that was killed for lack of memory, and one that was never started.
fn host(test: &str) -> Host {
    let host = Host::new(test);
    let never = "0001-01-01T00:00:00Z";
    docker(&host, WEB, "web", r#""Running":true,"Pid":20"#);
    docker(
        &host,
        OLD,
        "old",
        r#""Running":false,"Pid":0,"ExitCode":137,"OOMKilled":true,"StartedAt":"2024-01-01T00:00:01.5Z",
        "FinishedAt":"2024-01-01T00:01:00.5Z""#,
    );
    let state = format!(r#""Running":false,"Pid":0,"StartedAt":"{never}","FinishedAt":"{never}""#);
    docker(&host, NEW, "new", &state);
    host.process(20, 1, &scope(WEB), b"nginx\0-g\0");
    host
}

fn list(root: &Path, options: &[&str]) -> Vec<Value> {
    let json: Value =
        serde_json::from_str(&printed(of(root).args(["-l", "-J"]).args(options))).expect("JSON");
    json["containers"].as_array().expect("an array").clone()
}

/// The words of each line, without headings.
fn table(root: &Path, options: &[&str]) -> String {
    printed(of(root).args(["-l", "-n"]).args(options))
}

#[test]
fn containers_of_docker_that_do_not_run() {
    let host = host("list-docker");
    assert_eq!(table(host.root(), &["-o", "name"]), "web\n");
    assert_eq!(table(host.root(), &["-a", "-o", "name,exit"]), "new   -\nold 137\nweb   -\n");
    let all = list(host.root(), &["-a"]);
    let of_name = |name: &str| all.iter().find(|one| one["name"] == name).expect("listed");
    let old = of_name("old");
    assert_eq!((&old["status"], &old["exit"], &old["id"]), (&"exited".into(), &137.into(), &OLD.into()));
    assert_eq!(
        (&old["ended"], &old["started"]),
        (&"2024-01-01T00:01:00Z".into(), &"2024-01-01T00:00:01Z".into())
    );
    assert_eq!((&old["command"], &old["procs"]), (&"/init web -x".into(), &0.into()));
    assert_eq!(old["ports"], serde_json::json!(["127.0.0.1:8081->80/tcp", "443/tcp"]));
    assert_eq!(old["rootfs"], format!("/{DOCKER}/overlay2/upper/diff"));
    assert_eq!(of_name("new")["status"], "created");
    assert_eq!(of_name("web")["command"], "nginx -g");
    let text = table(host.root(), &["-a", "-c", "old"]);
    assert!(text.contains(" OOM (137) ") && text.contains(" ago ") && text.ends_with(" nginx:1\n"), "{text}");
}

#[test]
fn a_container_that_could_not_be_started_was_created_and_one_that_waits_restarts() {
    let host = host("list-docker-states");
    let never = "0001-01-01T00:00:00Z";
    let refused = format!(
        r#""Running":false,"Pid":0,"ExitCode":128,"Error":"no such program","StartedAt":"{never}","FinishedAt":"{never}""#
    );
    docker(&host, NEW, "new", &refused);
    let waits = r#""Running":true,"Restarting":true,"Pid":0,"ExitCode":2,"StartedAt":"2024-01-01T00:00:01.5Z",
        "FinishedAt":"2024-01-01T00:01:00.5Z""#;
    docker(&host, OLD, "old", waits);
    let all = list(host.root(), &["-a"]);
    let of_name = |name: &str| all.iter().find(|one| one["name"] == name).expect("listed");
    assert_eq!((&of_name("new")["status"], &of_name("new")["exit"]), (&"created".into(), &128.into()));
    assert_eq!((&of_name("old")["status"], &of_name("old")["exit"]), (&"restarting".into(), &2.into()));
    let statuses = |options: &[&str]| table(host.root(), &[&["-o", "name,status"], options].concat());
    assert_eq!(statuses(&["--status", "created"]), "new created\n");
    let text = statuses(&["--status", "restarting"]);
    assert!(text.starts_with("old restarting (2) ") && text.ends_with(" ago\n"), "{text}");
    assert_eq!(statuses(&["--status", "exited"]), "");
}

#[test]
fn filters_and_targets_among_containers_that_do_not_run() {
    let host = host("list-filters");
    for (options, names) in [
        (&["--status", "exited"][..], "old\n"),
        (&["--status", "created,exited"], "new\nold\n"),
        (&["--status", "running"], "web\n"),
        (&["-a", "--name", "o*"], "old\n"),
        (&["-a", "-Q", "EXIT > 0"], "old\n"),
        (&["-a", "--sort", "-name", "--image", "nginx"], "web\nold\nnew\n"),
        (&["-a", "-c", "docker:old"], "old\n"),
        (&["-a", "--init"], "web\n"),
    ] {
        assert_eq!(table(host.root(), &[&["-o", "name"], options].concat()), names, "{options:?}");
    }
    let (status, said) = failure(of(host.root()).arg("old"));
    let wanted = "container docker:old does not run; type ctr-ps -l -a old, or ctr-inspect old";
    assert_eq!((status, said.contains(wanted)), (Some(1), true), "{said}");
    // One of that name runs.
    docker(&host, DB, "web", r#""Running":false,"Pid":0,"ExitCode":1"#);
    assert_eq!(table(host.root(), &["-a", "-c", "web", "-o", "id"]), format!("{}\n", &WEB[..12]));
    assert_eq!(printed(of(host.root()).args(["-a", "-q"])), "1\n20\n", "processes only");
    let (status, said) = failure(of(host.root()).args(["-l", "--forest"]));
    assert_eq!((status, said.contains("cannot be combined")), (Some(1), true), "{said}");
}

#[test]
fn containers_of_podman_that_do_not_run() {
    let host = Host::new("list-podman");
    let storage = "var/lib/containers/storage";
    let listed = |id: &str, name: &str| {
        format!(r#"{{"id":"{id}","names":["{name}"],"layer":"l{name}","created":"2024-01-01T00:00:00Z"}}"#)
    };
    host.file(
        &format!("{storage}/overlay-containers/containers.json"),
        format!("[{},{}]", listed(OLD, "old"), listed(NEW, "new")),
    );
    host.file(
        &format!("{storage}/overlay-containers/{OLD}/userdata/config.json"),
        r#"{"annotations":{"io.container.manager":"libpod"}}"#,
    );
    host.file(
        &format!("{storage}/db.sql"),
        format!(
            r#"SQLite{{"spec":{{}},"id":"{OLD}","command":["sleep","9"],"exposedPorts":{{"99":["tcp"]}},
            "newPortMappings":[{{"host_ip":"","container_port":80,"host_port":8080,"range":1,"protocol":"tcp"}}]}}
            {{"spec":{{}},"id":"{NEW}","labels":{{"tier":"db"}}}}{{"state":1,"runDir":"/run/x/{NEW}/userdata"}}
            {{"state":5,"runDir":"/run/x/{OLD}/userdata","startedTime":"2024-01-01T00:00:01Z","finishedTime":"2024-01-01T00:00:09Z","exitCode":4}}"#
        ),
    );
    let all = list(host.root(), &["-a"]);
    let names: Vec<_> =
        all.iter().map(|one| format!("{} {} {}", one["name"], one["status"], one["exit"])).collect();
    assert_eq!(names, [r#""new" "created" null"#, r#""old" "exited" 4"#]);
    assert_eq!(all[0]["labels"]["tier"], "db");
    assert_eq!(all[1]["ports"], serde_json::json!(["*:8080->80/tcp", "99/tcp"]));
    assert_eq!((&all[1]["command"], &all[1]["ended"]), (&"sleep 9".into(), &"2024-01-01T00:00:09Z".into()));
    assert_eq!(all[1]["rootfs"], format!("/{storage}/overlay/lold/diff"));
}

const UID: &str = "0b3f5a52-1111-2222-3333-4444deadbeef";
const POD: &str = "00000000000000000000000000000000000000000000000000000000000000cc";

/// A pod `shop` of containerd with a container `web` that runs and one `job` that ended.
fn pod(test: &str) -> Host {
    let host = Host::new(test);
    let record = |id: &str, name: &str| {
        format!(
            r#"{{"Version":"v1","Metadata":{{"ID":"{id}","SandboxID":"{POD}","Config":{{"metadata":{{"name":"{name}"}},
            "image":{{"image":"img:1"}},"args":["run"],"labels":{{"io.kubernetes.container.name":"{name}"}}}}}}}}"#
        )
    };
    let sandbox = format!(
        r#"{{"Version":"v1","Metadata":{{"ID":"{POD}","Config":{{"metadata":{{"name":"shop","uid":"{UID}","namespace":"ns"}},
        "labels":{{"app":"shop"}}}}}}}}"#
    );
    // Each text is the value of a protobuf message.
    let value = |text: String| {
        let length = text.len();
        assert!((128..16_384).contains(&length), "two bytes");
        [&[b'j', 0x12, (length & 0x7f | 0x80) as u8, (length >> 7) as u8][..], text.as_bytes()].concat()
    };
    // A label of an image is there as it is.
    let label = sandbox.replace("shop", "evil").into_bytes();
    let texts = [record(WEB, "web"), sandbox, record(OLD, "job"), record(NEW, "removed")].map(value);
    let root = "var/lib/containerd";
    host.file(&format!("{root}/io.containerd.metadata.v1.bolt/meta.db"), [texts.concat(), label].concat());
    let plugin = format!("{root}/io.containerd.grpc.v1.cri");
    host.file(&format!("{plugin}/sandboxes/{POD}/hostname"), "shop\n");
    let status = |started: u64, finished: u64, code: u8| {
        format!(
            r#"{{"Version":"v1","Pid":0,"CreatedAt":1700000000000000000,"StartedAt":{started},"FinishedAt":{finished},"ExitCode":{code}}}"#
        )
    };
    host.file(&format!("{plugin}/containers/{WEB}/status"), status(1_700_000_001_000_000_000, 0, 0));
    let end = status(1_700_000_001_000_000_000, 1_700_000_009_000_000_000, 3);
    host.file(&format!("{plugin}/containers/{OLD}/status"), end);
    let task = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{WEB}");
    host.file(&format!("{task}/init.pid"), "20");
    let annotations = format!(
        r#"{{"annotations":{{"io.kubernetes.cri.sandbox-name":"shop","io.kubernetes.cri.sandbox-namespace":"ns",
        "io.kubernetes.cri.sandbox-uid":"{UID}","io.kubernetes.cri.container-name":"web"}}}}"#
    );
    host.file(&format!("{task}/config.json"), annotations);
    host.process(20, 1, &format!("/kubepods/burstable/pod{UID}/{WEB}"), b"web\0");
    host
}

#[test]
fn containers_of_kubernetes_with_the_labels_of_their_pod() {
    let host = pod("list-cri");
    let all = list(host.root(), &["-a"]);
    let names: Vec<_> =
        all.iter().map(|one| format!("{} {} {}", one["name"], one["status"], one["exit"])).collect();
    let expected =
        [r#""ns/shop/POD" "stopped" null"#, r#""ns/shop/job" "exited" 3"#, r#""ns/shop/web" null null"#];
    assert_eq!(
        names, expected,
        "the removed one is left out; without a control group nobody knows whether one is paused"
    );
    for one in &all {
        assert_eq!((&one["labels"]["app"], &one["pod_uid"]), (&"shop".into(), &UID.into()), "{one}");
    }
    assert_eq!((&all[1]["command"], &all[1]["ended"]), (&"run".into(), &"2023-11-14T22:13:29Z".into()));
    assert_eq!(printed(of(host.root()).args(["-q", "--label", "app=shop"])), "20\n");
    assert_eq!(printed(of(host.root()).args(["-q", "--label", "app=other"])), "");
}

#[test]
fn words_of_logs_are_targets() {
    let host = pod("list-logs");
    let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
    let slices = format!("/kubepods.slice/kubepods-burstable.slice/{slice}");
    // Both ways to name the groups.
    host.file(
        "proc/20/cgroup",
        format!("5:memory:/kubepods/burstable/pod{UID}/{WEB}\n0::{slices}/cri-containerd-{WEB}.scope\n"),
    );
    let oom = format!(
        "[ 9.1] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/kubepods,\
         task_memcg=/kubepods/burstable/pod{UID}/{WEB},task=web,pid=21,uid=0"
    );
    for word in [
        &format!("/kubepods/burstable/pod{UID}/{WEB}"),
        &format!("cri-containerd-{WEB}.scope"),
        &format!("/sys/fs/cgroup/memory/kubepods/burstable/pod{UID}/{WEB}"),
        &format!("{slices}/cri-containerd-{WEB}.scope"),
        &slice,
        &slices,
        UID,
        &oom,
    ] {
        assert_eq!(printed(of(host.root()).args(["-q", "-c", word])), "20\n", "{word}");
    }
    // Any user can make a control group with that name.
    let user = "/user.slice/user-1000.slice/user@1000.service";
    for word in [
        format!("{user}/cri-containerd-{WEB}.scope"),
        format!("{user}/{slice}"),
        format!("{user}/pod{UID}/{WEB}"),
        format!("{user}/web"),
        oom.replace("memcg=/kubepods", &format!("memcg={user}")),
    ] {
        let (status, said) = failure(of(host.root()).args(["-q", "-c", &word]));
        assert_eq!(
            (status, said.contains("no process or running container")),
            (Some(1), true),
            "{word}: {said}"
        );
    }
    let (status, said) = failure(of(host.root()).args(["-c", &UID.replace('0', "1")]));
    assert_eq!((status, said.contains("no process or running container")), (Some(1), true), "{said}");
}

#[test]
fn lines_of_usual_containers_fit_a_hundred_columns() {
    let host = pod("list-width");
    docker(&host, DB, "shop-frontend-1", r#""Running":true,"Pid":4194301"#);
    host.process(4_194_301, 1, &scope(DB), b"nginx\0");
    docker(
        &host,
        NEW,
        "shop-database-1",
        r#""Running":false,"Pid":0,"ExitCode":137,"OOMKilled":true,"StartedAt":"2024-01-01T00:00:01.5Z",
        "FinishedAt":"2024-01-01T00:01:00.5Z""#,
    );
    let text = printed(of(host.root()).args(["-l", "-a"]));
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line:?} is too long");
    }
}

#[test]
fn stat_and_the_groups_are_read_once() {
    let host = host("list-once");
    let stat = "20 (prog) S 1 7 8 0 -1 0 0 0 0 0 5 0 0 0 20 0 1 0 100 4096000 9 0\n";
    host.file("proc/20/stat", stat);
    host.file("proc/uptime", "1000.00 1.00\n");
    host.file("proc/stat", "btime 1700000000\n");
    let text = printed(of(host.root()).args(["-n", "-p", "20", "-o", "stat,pgid,sid,cgroup,cgroups"]));
    assert_eq!(text, format!("S 7 8 {0} :{0}\n", scope(WEB)));
}

/// The files of CRI-O, as its documentation and source describe them.
#[test]
fn containers_of_crio_that_do_not_run() {
    let host = Host::new("list-crio");
    host.file("run/crio/version", "\"1.30.0\"");
    let kept = "var/lib/containers/storage/overlay-containers";
    let made = |id: &str, annotations: &str, state: &str| {
        let config = format!(
            r#"{{"hostname":"shop","process":{{"args":["run","-x"]}},"annotations":{{"io.container.manager":"cri-o",
            "io.kubernetes.pod.name":"shop","io.kubernetes.pod.namespace":"ns","io.kubernetes.pod.uid":"{UID}",{annotations}}}}}"#
        );
        host.file(&format!("{kept}/{id}/userdata/config.json"), config);
        host.file(&format!("{kept}/{id}/userdata/state.json"), format!(r#"{{"id":"{id}",{state}}}"#));
    };
    let container = |name: &str| {
        format!(
            r#""io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.SandboxID":"{POD}",
            "io.kubernetes.container.name":"{name}","io.kubernetes.cri-o.ImageName":"img:1",
            "io.kubernetes.cri-o.Labels":"{{\"io.kubernetes.container.name\":\"{name}\",\"own\":\"{name}\"}}""#
        )
    };
    let times = r#""created":"2024-01-01T00:00:00.5Z","started":"2024-01-01T00:00:01.5Z","finished":"2024-01-01T00:00:09.5Z""#;
    let never = "0001-01-01T00:00:00Z";
    let none = format!(r#""created":"2024-01-01T00:00:00.5Z","started":"{never}","finished":"{never}""#);
    let ended = |rest: &str| format!(r#""status":"stopped","pid":0,"initPid":99,{times},{rest}"#);
    made(
        POD,
        r#""io.kubernetes.cri-o.ContainerType":"sandbox","io.kubernetes.cri-o.Labels":"{\"app\":\"shop\"}""#,
        &format!(r#""status":"created",{none}"#),
    );
    made(WEB, &container("web"), &ended(r#""exitCode":0"#));
    made(OLD, &container("old"), &ended(r#""exitCode":137,"oomKilled":true"#));
    made(NEW, &container("new"), &format!(r#""status":"created",{none}"#));
    host.process(1, 0, "/", b"init\0");
    let all = list(host.root(), &["-a"]);
    let names: Vec<_> =
        all.iter().map(|one| format!("{} {} {}", one["name"], one["status"], one["exit"])).collect();
    let expected = [
        r#""ns/shop/POD" "created" null"#,
        r#""ns/shop/new" "created" null"#,
        r#""ns/shop/old" "exited" 137"#,
        r#""ns/shop/web" "exited" 0"#,
    ];
    assert_eq!(names, expected);
    for one in &all {
        assert_eq!((&one["labels"]["app"], &one["pod_uid"]), (&"shop".into(), &UID.into()), "{one}");
    }
    let old = &all[2];
    assert_eq!((&old["command"], &old["labels"]["own"]), (&"run -x".into(), &"old".into()));
    assert_eq!((&old["engine"], &old["image"]), (&"cri-o".into(), &"img:1".into()));
    assert_eq!(old["ended"], "2024-01-01T00:00:09Z");
    assert!(table(host.root(), &["-a", "-c", "ns/shop/old"]).contains(" OOM (137) "));
    assert_eq!(table(host.root(), &["-a", "--label", "own=web", "-o", "name"]), "ns/shop/web\n");
}
