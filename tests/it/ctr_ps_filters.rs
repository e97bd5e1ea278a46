//! The filters of ctr-ps.

use crate::common::ctr_ps::{DB, Host, WEB, of, scope, unverified};
use crate::common::process::{failure, printed};

fn config(name: &str, pid: i64, image: &str, labels: &str) -> String {
    format!(
        r#"{{"Name":"/{name}","State":{{"Running":true,"Pid":{pid}}},
            "Config":{{"Image":"{image}","Labels":{{{labels}}}}}}}"#
    )
}

/// Containers `shop-web-1` and `shop-db-1` of a compose project, and a process of the host.
fn host(test: &str) -> Host {
    let host = Host::new(test);
    let compose = |service: &str| {
        format!(
            r#""com.docker.compose.project":"shop","com.docker.compose.service":"{service}","tier":"{service}""#
        )
    };
    host.docker(WEB, config("shop-web-1", 20, "docker.io/library/nginx:1.27", &compose("web")));
    host.docker(DB, config("shop-db-1", 30, "postgres:16", &compose("db")));
    host.process(20, 1, &scope(WEB), b"nginx\0");
    host.process(21, 20, &scope(WEB), b"nginx\0");
    host.process(30, 1, &scope(DB), b"postgres\0");
    host
}

#[test]
fn filters_of_containers_combine() {
    let host = host("filters");
    for (options, pids) in [
        (&["--host"][..], "1\n"),
        (&["--name", "shop-*"], "20\n21\n30\n"),
        (&["--name", "docker:shop-db*"], "30\n"),
        (&["--image", "nginx"], "20\n21\n"),
        (&["--image", "nginx", "--image", "postgres:*"], "20\n21\n30\n"),
        (&["--label", "tier=db"], "30\n"),
        (&["--label", "tier", "--image", "nginx"], "20\n21\n"),
        (&["--label", "tier=db", "--image", "nginx"], ""),
        (&["--project", "shop", "--service", "web"], "20\n21\n"),
        (&["--status", "running", "--service", "db"], "30\n"),
        (&["--status", "paused"], ""),
        (&["-c", "shop-*"], "20\n21\n30\n"),
        (&["-c", "*-db-*"], "30\n"),
        (&["shop-w*", "--ppid", "20"], "21\n"),
        (&["-Q", "PID > 20 and CONTAINER =~ \"web\""], "21\n"),
        (&["-Q", "CONTAINER == \"docker:shop-db-1\""], "30\n"),
        (&["-Q", "CONTAINER =~ \"^docker:shop-w\""], "20\n21\n"),
    ] {
        assert_eq!(printed(of(host.root()).arg("-q").args(options)), pids, "{options:?}");
    }
    for (options, listed) in [
        (&["--image", "nginx"][..], "docker:shop-web-1\n"),
        (&["-Q", "PROCS > 1"], "docker:shop-web-1\n"),
        (&["-Q", "IMAGE =~ \"^post\""], "docker:shop-db-1\n"),
        (&["--sort", "-pid"], "docker:shop-db-1\ndocker:shop-web-1\n"),
    ] {
        let out = printed(of(host.root()).args(["-l", "-n", "-o", "container"]).args(options));
        assert_eq!(out, listed, "{options:?}");
    }
}

#[test]
fn mistakes_in_filters_are_reported() {
    let host = host("filter-mistakes");
    for (options, message) in [
        (&["-c", "web-*"][..], "no running container matches 'web-*'"),
        (&["--status", "runing"], "unknown status 'runing'; did you mean running?"),
        (&["--label", ""], "invalid --label ''"),
        (&["-Q", "PID >"], "failed to parse \"PID >\""),
        (&["-Q", "NOSUCH == 1"], "unknown column 'NOSUCH' (-H lists the columns"),
        (&["-Q", "COMMAND > 1"], "failed to apply filter"),
    ] {
        let (status, said) = failure(of(host.root()).args(options));
        assert_eq!(status, Some(1), "{options:?}");
        assert!(said.contains(message), "{options:?}: {said}");
    }
}

#[test]
fn words_without_a_process_select_none() {
    let host = Host::new("ctr-ps-nobody");
    host.process(100, 1, &scope(WEB), b"sleep\x001\0");
    assert_eq!(host.containers()[&100], unverified(WEB), "it has no name");
    for word in ["", ",", ",,", "?", "@1", "docker:", "docker:?"] {
        let (status, message) = failure(of(host.root()).args(["-q", "-c", word]));
        assert_eq!(status, Some(1), "{word}: {message}");
    }
}

#[test]
fn a_pod_of_pause_processes_alone() {
    let host = Host::new("ctr-ps-pauses");
    for (pid, id) in [(100, WEB), (101, DB)] {
        let group = format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope");
        host.process(pid, 1, &group, b"/pause\0");
        let bundle = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}");
        host.file(&format!("{bundle}/init.pid"), pid.to_string());
        let names = r#""io.kubernetes.cri.sandbox-name":"web","io.kubernetes.cri.sandbox-namespace":"ns""#;
        host.file(&format!("{bundle}/config.json"), format!(r#"{{"annotations":{{{names}}}}}"#));
    }
    assert_eq!(printed(of(host.root()).args(["-q", "-c", "ns/web"])), "100\n101\n");
}
