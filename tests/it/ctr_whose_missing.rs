//! `ctr-whose` with what does not exist, with whole lines in place of things, and with whom a process of the host works for.

use serde_json::{Value, json};

use crate::common::ctr_whose::{answers, docker, of, podman, things, two, whose};
use crate::common::layout::{Layout, START, id};
use crate::common::{stderr, stdout};

const NOBODY: [[String; 3]; 0] = [];

#[test]
fn a_line_is_no_control_group() {
    let (layout, web, old) = two("whose-phrase");
    let layer = format!("/var/lib/docker/overlay2/{}", id(0xfed));
    for line in [
        format!("overlay 250G 1G 249G 1% {layer}/merged"),
        format!("x {layer}/merged"),
        format!("x /docker/{}", id(0xfed)),
        format!("x /docker/{old}"),
        format!("/var/lib/docker/overlay2 {web}"),
        format!("/docker/{old} was removed"),
        "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0".to_owned(),
        "tcp LISTEN 0 4096 0.0.0.0:8081 0.0.0.0:*".to_owned(),
    ] {
        assert_eq!(answers(&layout, &line), NOBODY, "{line}");
        let output = whose(&layout, &[&line]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{line}");
        let message = stderr(&output);
        assert!(message.contains("nothing found, as ") && message.contains("'ctr-whose -'"), "{message}");
    }
    // What is there has any name.
    layout.process(300, 0, "/my jobs/a b", START);
    assert_eq!(answers(&layout, "/my jobs/a b"), [of("anon:10300", "member", "kernel")]);
    layout.file("srv/data/my file", "");
    assert_eq!(answers(&layout, "/srv/data/my file"), [of("docker:old", "mount", "state")]);
    // As the kernel prints the path of a group that is removed.
    assert_eq!(answers(&layout, &format!("/docker/{old} (deleted)")), [of("docker:old", "member", "state")]);
}

#[test]
fn a_group_that_is_not_there_is_nobodys_by_its_name() {
    let (layout, ..) = two("whose-no-such-group");
    layout.file("proc/self/mountinfo", "2 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    let group = format!("/docker/{}", id(0xfed));
    for word in [&group, &format!("/rn/{}", id(0)), &format!("docker-{}.scope", id(0xfed))] {
        let output = whose(&layout, &[word]);
        assert_eq!(output.status.code(), Some(1), "{word}");
        let text = stdout(&output);
        let why = "unknown: there is no such control group, and no state file of docker:000000000000, which";
        assert!(text.contains(why), "{text}");
        assert_eq!(stderr(&output), "", "{word}");
    }
    std::fs::create_dir_all(layout.host.root().join(format!("sys/fs/cgroup{group}"))).expect("a directory");
    assert_eq!(answers(&layout, &group), [of("docker:000000000000?", "member", "claim")], "it is there");
}

/// `web` has the whole file system of the host, `data` a directory of it.
fn with_mounts(name: &str) -> Layout {
    let (layout, ..) = two(name);
    docker(&layout, "data", 0xabe, Some(200), "");
    layout.host.process(1, 0, "/init.scope", b"init\0");
    let root = "1 0 254:0 / / rw - ext4 /dev/vda rw\n";
    for pid in ["1", "self"] {
        layout.file(format!("proc/{pid}/mountinfo"), root);
    }
    for (pid, mount) in [(100, "/ /host ro"), (200, "/srv/a /data rw")] {
        let text = format!("1 0 0:{pid} / / rw - overlay overlay rw\n2 1 254:0 {mount} - ext4 /dev/vda rw\n");
        layout.file(format!("proc/{pid}/mountinfo"), text);
    }
    layout
}

#[test]
fn a_device_is_of_all_who_have_a_part_of_it() {
    let layout = with_mounts("whose-parts");
    let thing = &things(&layout, &["254:0"])[0];
    let detail = |one: &Value| format!("{} {}", one["container"], one["detail"]).replace('"', "");
    let mut all: Vec<String> = thing["answers"].as_array().expect("a list").iter().map(detail).collect();
    all.sort();
    assert_eq!(all, ["docker:data /srv/a of it mounted at /data", "docker:web mounted at /host"]);
    assert_eq!(thing["host"]["text"], "file system of the host, mounted at /");
}

#[test]
fn a_path_that_the_host_has_not_is_in_no_mount() {
    let layout = with_mounts("whose-no-such-path");
    layout.file("dev/null", "");
    layout.file("srv/a/file", "");
    for path in ["/dev/sda", &format!("/var/lib/docker/overlay2/{}", id(0)), "/srv/a/none", "/srv/a/file/x"] {
        assert_eq!(answers(&layout, path), NOBODY, "{path}");
        assert_eq!(whose(&layout, &[path]).status.code(), Some(1), "{path}");
    }
    let both = [of("docker:data", "mount", "kernel"), of("docker:web", "mount", "kernel")];
    for path in ["/srv/a", "/srv/a/file"] {
        assert_eq!(answers(&layout, path), both, "{path}");
    }
}

#[test]
fn files_and_directories_of_the_host() {
    let (layout, ..) = two("whose-kinds");
    layout.file("srv/x/file", "");
    for (path, text) in [("/srv/x", "directory of the host"), ("/srv/x/file", "file of the host")] {
        assert_eq!(things(&layout, &[path])[0]["host"]["text"], text, "{path}");
    }
}

#[test]
fn a_name_of_digits() {
    let (layout, ..) = two("whose-digits");
    docker(&layout, "4040", 0xabe, Some(200), "");
    docker(&layout, "12", 0xabf, None, "");
    assert_eq!(answers(&layout, "id:4040"), [of("docker:4040", "itself", "state")]);
    assert_eq!(answers(&layout, "id:12"), [of("docker:12", "itself", "state")]);
    assert_eq!(answers(&layout, "4040"), NOBODY, "a PID");
    assert_eq!(answers(&layout, "id:200"), NOBODY, "no PID");
}

#[test]
fn a_layer_by_the_name_of_its_directory() {
    let (layout, web, old) = two("whose-bare-layer");
    let layers = "var/lib/docker/image/overlay2/layerdb";
    layout.file(format!("{layers}/mounts/{web}/mount-id"), id(0xf1));
    layout.file(format!("{layers}/mounts/{old}/mount-id"), id(0xf2));
    layout.file(format!("{layers}/sha256/base/cache-id"), id(0xf3));
    assert_eq!(answers(&layout, &id(0xf1)), [of("docker:web", "writable-layer", "state")]);
    assert_eq!(answers(&layout, &format!("id:{}", id(0xf2))), [of("docker:old", "writable-layer", "state")]);
    let both = [of("docker:old", "image-layer", "state"), of("docker:web", "image-layer", "state")];
    assert_eq!(answers(&layout, &id(0xf3)), both);
    assert_eq!(answers(&layout, &id(0xf4)), NOBODY);
    let storage = "var/lib/containers/storage";
    podman(&layout, storage, &[(0xabe, "db", &id(0xf5))]);
    let spec = r#"{"annotations":{"io.container.manager":"libpod"}}"#;
    layout.file(format!("{storage}/overlay-containers/{}/userdata/config.json", id(0xabe)), spec);
    assert_eq!(answers(&layout, &id(0xf5)), [of("podman:db", "writable-layer", "state")]);
}

/// A pod `shop` of Podman. Only its container that keeps the namespaces publishes ports.
#[test]
fn a_port_of_a_pod_and_its_monitor_name_the_pod() {
    let layout = Layout::new("whose-podman-pod");
    let (storage, infra) = ("var/lib/containers/storage", id(0xabc));
    podman(&layout, storage, &[(0xabc, "0123-infra", "top")]);
    let spec = r#"{"hostname":"shop","annotations":{"io.container.manager":"libpod"}}"#;
    layout.file(format!("{storage}/overlay-containers/{infra}/userdata/config.json"), spec);
    layout.file(format!("run/containers/storage/overlay-containers/{infra}/userdata/pidfile"), "100\n");
    layout.file(
        format!("{storage}/db.sql"),
        format!(
            r#"SQLite{{"spec":{{}},"id":"{infra}",
            "newPortMappings":[{{"host_ip":"","container_port":80,"host_port":8200,"range":1,"protocol":"tcp"}}]}}"#
        ),
    );
    layout.process(100, 0, &format!("/machine.slice/libpod-{infra}.scope"), START);
    layout.replace("proc/100/status", "PPid:\t1\n", "PPid:\t50\n");
    layout.replace("proc/100/stat", "(x) S 1 ", "(x) S 50 ");
    layout.host.named(50, 1, b"conmon", "/machine.slice/libpod-conmon.scope", b"conmon\0");
    layout.host.named(51, 1, b"conmon", "/machine.slice/libpod-conmon.scope", b"conmon\0");
    let found = &things(&layout, &[":8200"])[0]["answers"][0];
    assert_eq!(found["container"], json!("podman:0123-infra"), "{found}");
    let detail = found["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("published *:8200->80/tcp of the pod shop"), "{detail}");
    let output = whose(&layout, &["50"]);
    let text = "50  no container: conmon 50, which works for podman:0123-infra of the pod shop\n";
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), text.to_owned()));
    assert_eq!(stdout(&whose(&layout, &["51"])), "51  no container: conmon 51\n");
}
