//! OCI runtimes without an engine, machines, sandboxes, and containers with only a control group.

use std::os::unix::fs::{MetadataExt, symlink};

use ctrbox::testing::container::Runtime;

use super::{Expected, Layout, START, USER, UUID};
use crate::common::ctr_ps::WEB;

// --- OCI runtimes ------------------------------------------------------------------------------------------

pub fn runc(layout: &Layout, state: &str, id: &str, pid: i64, bundle: &str, rootfs: &str) {
    let text = format!(
        r#"{{"id":"{id}","init_process_pid":{pid},"init_process_start":{START},"created":"2026-11-22T04:22:54.4Z",
            "config":{{"rootfs":"{rootfs}","hostname":"","labels":["who=me","bundle={bundle}"]}}}}"#
    );
    layout.file(format!("{state}/{id}/state.json"), text);
}

pub fn of_oci(layout: &mut Layout) {
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

    for (number, id) in ["_job", "job,x", ".job", "job+1"].into_iter().enumerate() {
        let bundle = format!("/srv/odd-{number}");
        let pid = layout.expect(&format!("/{id}"), Expected::new(format!("runc:{id}"), id, "runc"));
        runc(layout, "run/runc", id, pid, &bundle, &bundle);
    }
    for id in ["job~t", "job:t", "a job", "j\u{f6}b", "~", "job\\x2dt"] {
        let group = format!("/system.slice/crun-{id}.scope");
        let pid = layout.expect(&group, Expected::new(format!("crun:{id}"), id, "crun"));
        let status = format!(r#"{{"pid":{pid},"process-start-time":{START},"bundle":"/b"}}"#);
        layout.file(format!("run/crun/{id}/status"), status);
    }

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

pub fn of_lxc(layout: &mut Layout) {
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
        // The image of `four` is known by its description, and that of `two` by its fingerprint.
        let image = match id {
            "shop_four" => Some("Alpine 3.20 amd64"),
            "shop_two" => Some("c423dd21"),
            _ => None,
        };
        if image.is_some() {
            let description =
                if id == "shop_four" { "    image.description: Alpine 3.20 amd64\n" } else { "" };
            let text = format!(
                "container:\n  config:\n{description}    volatile.base_image: c423dd21\n  created_at: 2026-11-25T08:32:55.05Z\n"
            );
            layout.file(format!("{directory}/storage-pools/default/containers/{id}/backup.yaml"), text);
        }
        let expected = Expected {
            hostname: Some("inside"),
            image,
            ..Expected::new(format!("{runtime}:{name}"), id, runtime)
        };
        let pid = layout.expect(&format!("/lxc.payload.{id}"), expected);
        layout.monitor(pid, 0, &format!("[lxc monitor] /{directory}/containers {id}"));
        std::fs::create_dir_all(layout.host.root().join(directory).join("containers")).expect("a directory");
        // Into a storage pool that is mounted elsewhere.
        let link = layout.host.root().join(format!("{directory}/containers/{id}"));
        symlink(format!("/{directory}/storage-pools/default/containers/{id}"), link).expect("a link");
        layout.file(format!("{settings}/{id}/lxc.conf"), "lxc.uts.name = outside\nlxc.uts.name = inside\n");
    }
    // The next three have no state file in a listed directory, or one that does not match the name of the group.
    let pid = layout.expect("/lxc.payload.apart", Expected::new("lxc:apart", "/mnt/a b/apart", "lxc"));
    layout.monitor(pid, 0, "[lxc monitor] /mnt/a b apart");
    layout.file("mnt/a b/apart/config", "");
    let pid = layout.expect("/lxc.payload.db-1", Expected::new("lxc:db", "db", "lxc"));
    layout.monitor(pid, 0, "[lxc monitor] /var/lib/lxc db");
    for name in ["db", "db-1", "gone"] {
        layout.file(format!("var/lib/lxc/{name}/config"), "");
    }
    let pid = layout.expect("/system.slice/ssh.service", Expected::new("lxc:gone", "gone", "lxc"));
    layout.monitor(pid, 0, "[lxc monitor] /var/lib/lxc gone");
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

pub fn of_machined(layout: &mut Layout) {
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

pub fn of_sandboxes(layout: &mut Layout) {
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

/// Known by the name of the control group alone: unverified.
pub fn of_groups(layout: &mut Layout) {
    let short = |id: &str| if id == WEB { id[..12].to_owned() } else { id.to_owned() };
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

/// Of a snap only its mount namespace is known, and its inode cannot be chosen.
pub fn of_snaps(layout: &mut Layout) {
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
