//! `ctr-whose` on hosts made of files: what state files say.

use serde_json::{Value, json};

use crate::common::ctr_ps::harmless;
use crate::common::ctr_whose::{DOCKER, answers, docker, of, podman, things, two, whose};
use crate::common::layout::{Layout, id};
use crate::common::process::limited;
use crate::common::{program, root, skip, stderr, stdout};

#[test]
fn ids_and_names_of_containers_that_run_and_that_do_not() {
    let (layout, web, old) = two("whose-ids");
    assert_eq!(answers(&layout, &web), [of("docker:web", "itself", "state")]);
    assert_eq!(answers(&layout, "id:old"), [of("docker:old", "itself", "state")]);
    // Several have the same beginning.
    let both = [of("docker:old", "itself", "state"), of("docker:web", "itself", "state")];
    assert_eq!(answers(&layout, &format!("id:{}", &web[..20])), both);
    assert_eq!(answers(&layout, "web-host"), [of("docker:web", "itself", "state")]);
    assert_eq!(answers(&layout, "host:old-host"), [of("docker:old", "itself", "state")]);
    let thing = &things(&layout, &[&old])[0];
    assert_eq!((&thing["thing"], &thing["kind"]), (&json!(old), &json!("id")));
    let answer = &thing["answers"][0];
    assert_eq!(
        (&answer["status"], &answer["id"], &answer["pid"]),
        (&json!("exited"), &json!(old), &Value::Null)
    );
    let mut keys: Vec<&str> = answer.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "by",
        "command",
        "container",
        "cpid",
        "detail",
        "id",
        "name",
        "pid",
        "pod",
        "pod_namespace",
        "role",
        "runtime",
        "status",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn layers_belong_to_all_containers_that_have_them() {
    let (layout, ..) = two("whose-layers");
    let layer = |name: &str| answers(&layout, &format!("/{DOCKER}/overlay2/{name}"));
    assert_eq!(layer("up2748/diff/etc"), [of("docker:web", "writable-layer", "state")]);
    assert_eq!(layer("up2748/merged"), [of("docker:web", "merged", "state")]);
    assert_eq!(layer("up2749/work"), [of("docker:old", "writable-layer", "state")]);
    assert_eq!(layer("image2748/diff"), [of("docker:web", "image-layer", "state")]);
    let both = [of("docker:old", "image-layer", "state"), of("docker:web", "image-layer", "state")];
    assert_eq!(layer("base/diff"), both);
    assert!(layer("other/diff").is_empty());
}

#[test]
fn state_files_logs_and_mounts() {
    let (layout, web, old) = two("whose-paths");
    let log = format!("/{DOCKER}/containers/{web}/{web}-json.log");
    assert_eq!(answers(&layout, &log), [of("docker:web", "log", "state")]);
    let state = format!("/{DOCKER}/containers/{old}/config.v2.json");
    assert_eq!(answers(&layout, &state), [of("docker:old", "state", "state")]);
    layout.file("srv/data/x", "");
    assert_eq!(answers(&layout, "/srv/data"), [of("docker:old", "mount", "state")], "a missing directory");
    assert_eq!(answers(&layout, "/srv/data/y"), [] as [[String; 3]; 0], "no such file");
    assert_eq!(answers(&layout, "/srv/data/x"), [of("docker:old", "mount", "state")]);
    // Through a link, which leads nowhere outside of the root directory.
    std::os::unix::fs::symlink("/srv/data", layout.host.root().join("link")).expect("a link");
    assert_eq!(answers(&layout, "/link/x"), [of("docker:old", "mount", "state")]);
    assert_eq!(answers(&layout, "/srv/other"), [] as [[String; 3]; 0]);
    // A volume without a name, which has one like an id.
    let volume = format!("/{DOCKER}/volumes/{}", id(0xfff));
    let mount = format!(r#","MountPoints":{{"/data":{{"Source":"{volume}/_data"}}}}"#);
    docker(&layout, "db", 0xabe, None, &mount);
    layout.file(format!("{}/_data/log", &volume[1..]), "");
    for path in [volume.clone(), format!("{volume}/_data"), format!("{volume}/_data/log")] {
        assert_eq!(answers(&layout, &path), [of("docker:db", "mount", "state")], "{path}");
    }
}

#[test]
fn addresses_that_nobody_has_any_more() {
    let (layout, _, old) = two("whose-history");
    assert_eq!(answers(&layout, "172.17.0.9"), [of("docker:old", "address", "state")]);
    // Docker keeps an address that was asked for (`--ip`) when the container stops, and drops others.
    assert_eq!(answers(&layout, "10.50.1.99"), [of("docker:old", "address", "state")]);
    layout.file("var/lib/cni/networks/cbr0/10.22.0.5", format!("{old}\r\neth0"));
    assert_eq!(answers(&layout, "10.22.0.5"), [of("docker:old", "address", "state")]);
    let result = format!(
        r#"{{"containerId":"{}","networkName":"cbr0","cniArgs":[["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME","db"]],
        "result":{{"interfaces":[{{"name":"veth77","mac":"0a:00:00:00:00:07"}}],"ips":[{{"address":"10.22.0.7/16"}}]}}}}"#,
        id(5)
    );
    layout.file(format!("var/lib/cni/results/cbr0-{}-eth0", id(5)), result);
    for word in ["10.22.0.7", "veth77", "mac:0A:00:00:00:00:07"] {
        let found = &things(&layout, &[word])[0]["answers"][0];
        assert_eq!((&found["pod"], &found["pod_namespace"]), (&json!("db"), &json!("shop")), "{word}");
        assert_eq!(found["by"], "state");
    }
}

#[test]
fn published_ports_of_containers_that_run_and_that_do_not() {
    let (layout, ..) = two("whose-ports");
    // What a stopped container left behind is not published.
    let stale = r#","NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"","HostPort":"9999"}]}}"#;
    docker(&layout, "stale", 0xabe, None, stale);
    for word in [":8081", "8081/tcp", "127.0.0.1:8081", "port:8081"] {
        assert_eq!(answers(&layout, word), [of("docker:web", "published", "state")], "{word}");
    }
    for word in ["8081/udp", ":9999", ":80"] {
        assert!(answers(&layout, word).is_empty(), "{word}");
    }
    // What it publishes when it runs.
    let bindings =
        |port: u32| format!(r#"{{"PortBindings":{{"80/tcp":[{{"HostIp":"","HostPort":"{port}"}}]}}}}"#);
    layout.file(format!("{DOCKER}/containers/{}/hostconfig.json", id(0xabe)), bindings(9998));
    assert_eq!(answers(&layout, ":9998"), [of("docker:stale", "published", "state")]);
    let thing = &things(&layout, &[":9998"])[0]["answers"][0];
    assert_eq!((&thing["status"], &thing["pid"]), (&json!("exited"), &json!(null)));
    assert_eq!(thing["detail"], "publishes *:9998->80/tcp when it runs");
    assert!(answers(&layout, "9998/udp").is_empty());
    layout.file(format!("{DOCKER}/containers/{}/hostconfig.json", id(0xabe)), bindings(8081));
    assert_eq!(answers(&layout, ":8081"), [of("docker:web", "published", "state")]);
}

#[test]
fn what_rests_on_more_comes_first() {
    let (layout, web, _) = two("whose-order");
    // Nothing but the name of a group says that this one is a container.
    layout.process(200, 0, &format!("/docker/{}", id(0xabf)), 777);
    let found = &things(&layout, &[&format!("id:{}", &web[..20])])[0]["answers"];
    let by: Vec<&Value> = found.as_array().expect("a list").iter().map(|one| &one["by"]).collect();
    assert_eq!(by, ["state", "state", "claim"], "{found}");
}

#[test]
fn the_name_of_the_host() {
    let (layout, ..) = two("whose-host-name");
    layout.file("proc/sys/kernel/hostname", "web-host\n");
    assert_eq!(stdout(&whose(&layout, &["host:old-host"])).lines().count(), 1);
    let found = &things(&layout, &["host:web-host"])[0];
    assert_eq!(found["answers"][0]["container"], "docker:web");
    assert_eq!(found["host"]["text"], "host name");
    assert!(stdout(&whose(&layout, &["host:web-host"])).ends_with("  host: host name\n"));
}

/// The sandbox of a pod has the name that the others see.
#[test]
fn the_host_name_of_a_pod() {
    let layout = Layout::new("whose-pod-name");
    for (number, pid, more) in [
        (7, 700, r#""io.kubernetes.cri.container-type":"sandbox""#),
        (8, 800, r#""io.kubernetes.cri.container-name":"app""#),
    ] {
        let directory = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{}", id(number));
        let pod = r#""io.kubernetes.cri.sandbox-name":"web-1","io.kubernetes.cri.sandbox-namespace":"shop""#;
        let hostname = if number == 7 { r#""hostname":"web-1","# } else { "" };
        layout.file(
            format!("{directory}/config.json"),
            format!(r#"{{{hostname}"annotations":{{{pod},{more}}}}}"#),
        );
        layout.file(format!("{directory}/init.pid"), pid.to_string());
        layout.process(pid, 0, &format!("/kubepods/besteffort/podx/{}", id(number)), 777);
    }
    assert_eq!(answers(&layout, "host:web-1"), [of("k8s:shop/web-1/app", "itself", "state")]);
}

#[test]
fn processes_and_what_is_the_hosts() {
    let (layout, ..) = two("whose-processes");
    layout.host.named(50, 1, b"sshd", "/system.slice/ssh.service", b"sshd\0-D\0");
    assert_eq!(answers(&layout, "100"), [of("docker:web", "member", "kernel")]);
    assert_eq!(answers(&layout, "cpid:1"), [of("docker:web", "member", "kernel")]);
    assert_eq!(stdout(&whose(&layout, &["100"])), "100  docker:web  x 100 (1)\n");
    let output = whose(&layout, &["50"]);
    assert_eq!(stdout(&output), "50  no container: sshd 50 (ssh.service)\n");
    assert_eq!(output.status.code(), Some(1));
    let output = whose(&layout, &["ssh.service", "100"]);
    assert_eq!(output.status.code(), Some(1), "one thing has no container");
    assert!(
        stdout(&output).starts_with("ssh.service  no container: sshd 50 (ssh.service)"),
        "{}",
        stdout(&output)
    );
    assert_eq!(whose(&layout, &["100"]).status.code(), Some(0));
    let link = format!("net:[{}]", 30_000 + 100);
    assert_eq!(answers(&layout, &link), [of("docker:web", "itself", "kernel")]);
}

/// A process has a pid namespace of its own, and nothing shows which one.
#[test]
fn what_is_not_known_is_not_the_hosts() {
    let (layout, ..) = two("whose-unseen");
    layout.process(300, 0, "/plain", 777);
    std::fs::remove_dir_all(layout.host.root().join("proc/300/ns")).expect("removed");
    for word in ["300", "/plain"] {
        let found = &things(&layout, &[word])[0];
        assert_eq!((&found["answers"], &found["host"]), (&json!([]), &Value::Null), "{word}");
        let output = whose(&layout, &[word]);
        assert_eq!(output.status.code(), Some(1), "{word}");
        let text = stdout(&output);
        assert!(text.contains("unknown: x 300 (1) has a pid namespace of its own; its namesp"), "{text}");
    }
}

#[test]
fn unknown_words_say_what_was_tried() {
    let (layout, ..) = two("whose-unknown");
    for (word, part) in [
        ("nothing-here", "interface, hostname, id; perhaps 'cgroup:nothing-here', 'dev:nothing-here'"),
        ("if:", "nothing follows"),
        ("ip:x", "not an IP address"),
        ("id:12", "nothing found, as id"),
        ("9999999999", "nothing found, as namespace; perhaps 'sock:9999999999', 'id:9999999999'"),
        ("18081", "perhaps ':18081', 'cpid:18081', 'sock:18081'"),
        ("10.255.255.7", "nothing found, as address"),
        ("/nothing/here", "nothing found, as path, cgroup"),
    ] {
        let output = whose(&layout, &[word]);
        assert_eq!(output.status.code(), Some(1), "{word}");
        let message = stderr(&output);
        // Only where a prefix can help.
        let helps = !word.contains([':', '/', '.']);
        assert_eq!(message.contains("perhaps"), helps, "{word}: {message}");
        assert!(message.lines().all(|line| line.len() <= 120), "{message}");
        assert!(message.contains(part), "{word}: {message}");
        assert_eq!(stdout(&output), "", "{word}");
    }
    let found = &things(&layout, &["nothing-here"])[0];
    assert_eq!((&found["answers"], &found["host"]), (&json!([]), &Value::Null));
}

#[test]
fn hostile_names_are_escaped() {
    let layout = Layout::new("whose-hostile");
    let more = r#","MountPoints":{"/d\u001b[31m\u202e":{"Source":"/srv/h"}}"#;
    docker(&layout, "a\\u001b[2Jb", 7, None, more);
    let output = whose(&layout, &["/srv/h", "if:x\u{1b}[2J", &id(7)]);
    harmless(&stdout(&output));
    harmless(&stderr(&output));
    assert!(stdout(&output).contains("docker:a\\x1b[2Jb"), "{}", stdout(&output));
    harmless(&stdout(&whose(&layout, &["-J", "/srv/h", &id(7)])));
}

/// The OCI configuration that Podman writes at the first start, with one mount.
fn started(layout: &Layout, storage: &str, number: u32, (source, target): (&str, &str)) {
    let spec = format!(
        r#"{{"annotations":{{"io.container.manager":"libpod"}},"mounts":[{{"source":"{source}","destination":"{target}"}}]}}"#
    );
    layout.file(format!("{storage}/overlay-containers/{}/userdata/config.json", id(number)), spec);
}

#[test]
fn layers_of_podman() {
    let layout = Layout::new("whose-podman");
    layout.process(1, 0, "/", 1);
    let storage = "var/lib/containers/storage";
    podman(&layout, storage, &[(7, "db", "top"), (8, "web", "other")]);
    let layers = r#"[{"id":"base"},{"id":"top","parent":"base"},{"id":"other","parent":"base"}]"#;
    layout.file(format!("{storage}/overlay-layers/layers.json"), layers);
    for number in [7, 8] {
        started(&layout, storage, number, ("/srv/p", "/d"));
    }
    let layer = |name: &str| answers(&layout, &format!("/{storage}/overlay/{name}/diff"));
    assert_eq!(layer("top"), [of("podman:db", "writable-layer", "state")]);
    let both = [of("podman:db", "image-layer", "state"), of("podman:web", "image-layer", "state")];
    assert_eq!(layer("base"), both);
    let mounts = [of("podman:db", "mount", "state"), of("podman:web", "mount", "state")];
    assert_eq!(answers(&layout, "/srv/p"), mounts);
}

#[test]
fn a_container_of_podman_that_was_never_started() {
    let layout = Layout::new("whose-created");
    layout.process(1, 0, "/", 1);
    let storage = "var/lib/containers/storage";
    // The second one belongs to another program: Podman's database does not have it.
    podman(&layout, storage, &[(0xabc, "new", "top"), (0xabd, "build", "other")]);
    let database = format!(r#"..{{"spec":{{}},"id":"{}","command":["sleep"]}}.."#, id(0xabc));
    layout.file(format!("{storage}/libpod/bolt_state.db"), database);
    for word in ["new", "podman:new", &id(0xabc), &id(0xabc)[..62]] {
        let all = things(&layout, &[word]);
        let answer = &all[0]["answers"][0];
        assert_eq!(answer["container"], "podman:new", "{word}: {all:?}");
        assert_eq!(answer["status"], "created", "{word}: {all:?}");
    }
    assert!(answers(&layout, "build").is_empty());
}

#[test]
fn what_only_a_user_says_is_a_claim() {
    if !root() {
        return skip("whose-user", "needs root, to make files of a user");
    }
    let layout = Layout::new("whose-user");
    layout.process(1, 0, "/", 1);
    layout.file("etc/passwd", "u:x:1000:1000::/home/u:/bin/sh\n");
    layout.file("etc/shadow", "");
    let storage = "home/u/.local/share/containers/storage";
    podman(&layout, storage, &[(0xabc, "evil", "top")]);
    started(&layout, storage, 0xabc, ("/", "/x"));
    let mut chown = program("chown");
    chown.args(["-R", "1000:1000"]).arg(layout.host.root().join("home/u"));
    assert!(limited(&mut chown).status.success());
    let all = things(&layout, &["/etc/shadow"]);
    assert_eq!(all[0]["answers"][0]["container"], "podman:evil", "{all:?}");
    assert_eq!(all[0]["answers"][0]["by"], "claim", "{all:?}");
    assert!(all[0]["host"].is_object(), "the host's file is not hidden: {all:?}");
}
