//! Files that containers have mounted where dockerd mounts its own: their paths must not say whose a container is.

use crate::common::ctr_inspect::copy::{group, host, report};
use crate::common::layout::engines::{bundle, config};
use crate::common::layout::{Expected, Layout, id};

const STATE: &str = "run/containerd";

/// `config.json` with such a mount.
fn spec(file: &str, source: &str, annotations: &str) -> String {
    format!(
        r#"{{"annotations":{{{annotations}}},"mounts":[{{"destination":"/etc/{file}","source":"{source}/{file}"}}]}}"#
    )
}

/// A container with a bundle in that namespace, and its name.
fn shown(layout: &mut Layout, namespace: &str, group: &str, spec: &str) -> (i64, Option<String>) {
    let pid = layout.expect(group, Expected::default());
    bundle(layout, STATE, namespace, &id(1), pid, spec);
    (pid, layout.shown(pid))
}

const POD: &str = r#""io.kubernetes.cri.sandbox-name":"shop","io.kubernetes.cri.sandbox-namespace":"prod",
    "io.kubernetes.cri.container-name":"web""#;

/// The volume of a pod can be any directory of the host.
#[test]
fn a_volume_neither_hides_nor_changes_a_name() {
    let (own, other) = (id(1), id(2));
    for (namespace, annotations, mounted, expected) in [
        ("k8s.io", POD, &other, "k8s:prod/shop/web".to_owned()),
        ("k8s.io", POD, &own, "k8s:prod/shop/web".to_owned()),
        ("default", POD, &other, format!("containerd:default/{own}")),
        ("default", "", &other, format!("containerd:default/{own}")),
    ] {
        let mut layout = Layout::new("mounted-volume");
        let source = format!("/home/u/containers/{mounted}");
        let spec = spec("hostname", &source, annotations);
        let (pid, name) = shown(&mut layout, namespace, &format!("/kubepods/pod1/{own}"), &spec);
        assert_eq!(name.as_deref(), Some(expected.as_str()), "{namespace} {annotations}");
        let forged = config("prod-database", pid, "{}");
        layout.file(format!("home/u/containers/{own}/config.v2.json"), forged);
        let name = layout.shown(pid);
        assert_eq!(name, Some(expected), "{namespace} {annotations}");
    }
}

/// A container of Docker that uses the network of another one has that one's files.
#[test]
fn the_files_of_another_container_of_docker() {
    for (root, namespace) in [("var/lib/docker", "private"), ("var/lib/docker", "moby"), ("srv/data", "moby")]
    {
        let mut layout = Layout::new("mounted-network");
        let (own, other) = (id(1), id(2));
        let spec = spec("hosts", &format!("/{root}/containers/{other}"), "");
        let (pid, _) = shown(&mut layout, namespace, &format!("/docker/{own}"), &spec);
        layout.file(format!("{root}/containers/{own}/config.v2.json"), config("web", pid, "{}"));
        let names: Vec<String> = layout.all().iter().map(|container| container.label()).collect();
        assert_eq!(names, ["docker:web"], "{root} {namespace}");
    }
}

/// The stop signal is that of dockerd's own state, and of no file that is mounted.
#[test]
fn a_mounted_file_does_not_change_the_stop_signal() {
    for (engine, expected) in [("docker", "QUIT"), ("containerd", "TERM")] {
        let layout = host("mounted-signal", &[]);
        let (own, other) = (id(1), id(2));
        layout.process(101, 0, &group(1), 1);
        layout.replace("proc/101/status", "VmPeak", "SigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0\nVmPeak");
        let state = |signal: &str| {
            format!(
                r#"{{"Name":"/web","State":{{"Running":true,"Pid":101}},"Config":{{"StopSignal":"{signal}"}}}}"#
            )
        };
        layout.file(format!("home/u/containers/{own}/config.v2.json"), state("SIGUSR1"));
        let annotations = if engine == "docker" { "" } else { POD };
        let namespace = if engine == "docker" { "moby" } else { "k8s.io" };
        let spec = spec("hostname", &format!("/home/u/containers/{other}"), annotations);
        bundle(&layout, STATE, namespace, &own, 101, &spec);
        if engine == "docker" {
            layout.file(format!("var/lib/docker/containers/{own}/config.v2.json"), state("SIGQUIT"));
        }
        let found = report(&layout, &["101"]);
        assert_eq!(found["identity"]["engine"], engine);
        assert_eq!(found["processes"]["init"]["stop_signal"], expected, "{engine}");
    }
}
