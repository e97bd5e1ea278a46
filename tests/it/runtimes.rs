//! Real containers of docker, containerd, Kubernetes (containerd's CRI) and podman, which
//! tests/containers/run.sh starts and removes. The output of ctrbox is compared with the kernel and the runtimes.

use crate::common;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::common::containers::{
    Row, Stopped, Up, host_link, is_nothing_odd, link, parent_and_innermost, prefix, processes, settled,
    this, value,
};
use crate::common::process::{children, limited};
use crate::common::{applet, program, skip, stderr, stdout, there, until};
use serde_json::Value;

/// Held by the tests that need a daemon: one of them stops it for a while.
pub static DOCKER: Mutex<()> = Mutex::new(());
static CONTAINERD: Mutex<()> = Mutex::new(());

pub fn lock(daemon: &'static Mutex<()>) -> MutexGuard<'static, ()> {
    daemon.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn docker() {
    let _lock = lock(&DOCKER);
    let Some(up) = Up::new("docker", &prefix("docker")) else { return };
    all_is_right(&up, "docker", |row| Facts { image: Some(up.image()), ..Facts::of(row) });

    let host = up.row("host");
    assert_eq!(processes().of(host.pid)["cpid"], host.pid, "in the host's pid namespace");
    let init = processes().of(up.row("init").pid).clone();
    let command = init["command"].as_str().unwrap_or_default();
    assert!(command.contains("docker-init") || command.contains("tini"), "{init}");
    assert_eq!(processes().of(up.row("web").pid)["cpid"], 1);

    assert_eq!(difference(&up, "web", "--diff"), "docker default");
    assert_eq!(difference(&up, "init", "--diff"), "none, at most docker default");
    assert_eq!(difference(&up, "caps", "--diff"), "docker default +NET_ADMIN -MKNOD");
    assert_eq!(difference(&up, "caps", "--diff=docker"), "docker default +NET_ADMIN -MKNOD");
    let web = format!("{}-web", up.prefix);
    assert_eq!(difference(&up, "caps", &format!("--diff={web}")), format!("{web} +NET_ADMIN -MKNOD"));
    // (an older docker has no name for the newest)
    assert!(difference(&up, "most", "--diff").starts_with("all -SYS_RESOURCE"));
}

#[test]
fn containerd() {
    let _lock = lock(&CONTAINERD);
    let Some(up) = Up::new("containerd", &prefix("containerd")) else { return };
    all_is_right(&up, "containerd", Facts::of);
}

#[test]
fn kubernetes() {
    let _lock = lock(&CONTAINERD);
    let Some(up) = Up::new("cri", &prefix("cri")) else { return };
    let namespace = format!("{}-ns", up.prefix);
    all_is_right(&up, "k8s", |row| Facts {
        pod: Some(format!("{}-shop", up.prefix)),
        pod_namespace: Some(namespace.clone()),
        // (the first container of a pod has the runtime's pause image, and its state does not say so)
        image: (!row.is_bare()).then(|| up.image()),
        ..Facts::of(row)
    });
}

#[test]
fn podman() {
    let Some(up) = Up::new("podman", &prefix("podman")) else { return };
    let pod = format!("{}-pod", up.prefix);
    all_is_right(&up, "podman", |row| Facts {
        pod: (row.name.ends_with("-infra") || row.name.ends_with("-inpod")).then(|| pod.clone()),
        image: Some(up.image()),
        ..Facts::of(row)
    });

    let host = up.row("host");
    assert_eq!(processes().of(host.pid)["cpid"], host.pid, "in the host's pid namespace");
    // (its version and settings decide which)
    let usual = ["podman default", "podman 4.4 default", "docker default"];
    assert!(usual.contains(&&*difference(&up, "one", "--diff")), "{}", difference(&up, "one", "--diff"));
}

#[test]
fn a_name_that_two_runtimes_have_is_refused() {
    let _lock = lock(&DOCKER);
    let prefix = prefix("twin");
    let Some(docker) = Up::new("docker", &prefix) else { return };
    let Some(podman) = Up::new("podman", &prefix) else { return };
    let (one, other) = (docker.row("host"), podman.row("host"));
    assert_eq!(one.name, other.name);

    let output = limited(applet("nsenter").args(["-t", &one.name, "-m", "/bin/true"]));
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for runtime in ["docker", "podman"] {
        assert!(message.contains(&format!("{runtime}:{}", one.name)), "{message}");
    }
    // Each has its full name: these two have only their own mount namespace.
    for row in [one, other] {
        assert_eq!(entered(&row.full_name(row.runtime), &["-m"], "mnt"), link(row.pid, "mnt"));
    }
}

#[test]
fn an_unknown_name_is_said_to_be_unknown() {
    for name in ["ctrbox-no-such-container", "docker:ctrbox-no-such-container"] {
        let output = limited(applet("nsenter").args(["-t", name, "-n", "true"]));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("ctrbox-no-such-container"), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

// --- what must hold for every runtime ------------------------------------------------------------------------

/// What `ctr-ps --json` must show of a container, besides its id.
#[derive(Default)]
struct Facts {
    container: String,
    pod: Option<String>,
    pod_namespace: Option<String>,
    image: Option<String>,
}

impl Facts {
    fn of(row: &Row) -> Facts {
        Facts { container: row.name.clone(), ..Facts::default() }
    }
}

fn all_is_right(up: &Up, runtime: &str, facts: impl Fn(&Row) -> Facts) {
    for row in &up.rows {
        until("init's child", || {
            row.is_bare() || row.name.ends_with("-infra") || !children(row.pid).is_empty()
        });
    }
    all_are_tagged(up, runtime, &facts);
    the_host_is_not_tagged(up);
    all_can_be_entered(up, runtime);
    all_may_what_the_kernel_says(up);
    let usual = |row: &&Row| ["-web", "-one", "-db", "-init"].iter().any(|end| row.name.ends_with(end));
    up.rows.iter().filter(usual).for_each(is_nothing_odd);
    up.rows.iter().for_each(|row| its_things_lead_to_it(row, &row.full_name(runtime)));

    for row in up.rows.iter().filter(|row| !row.is_bare()) {
        let added = up.exec(row);
        until("the added process's child", || !children(added).is_empty());
        let tagged = processes().of_container(runtime, &row.id);
        assert!(tagged.contains(&added), "{added}, added to {}, is not among {tagged:?}", row.name);
        as_the_runtime_would(row, &row.full_name(runtime), added);
        a_container_is_no_program(row, runtime);
    }
    all_are_tagged(up, runtime, &facts);
    the_host_is_not_tagged(up);

    let daemons = up.daemons();
    if daemons.is_empty() {
        if runtime != "podman" {
            skip(&format!("{}-stopped", up.runtime), "its daemon is not the test's to stop");
        }
        return;
    }
    let _stopped = Stopped::new(daemons);
    all_are_tagged(up, runtime, &facts);
    all_can_be_entered(up, runtime);
}

/// A PID, a namespace, a control group and an id lead to the container, whatever else is asked with them.
fn its_things_lead_to_it(row: &Row, container: &str) {
    let id = row.id.rsplit('/').next().expect("a part");
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", row.pid)).expect("its groups");
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let group = paths.filter(|path| path.contains(id)).map(str::to_owned).next();
    let things: Vec<String> =
        [row.pid.to_string(), link(row.pid, "mnt"), format!("id:{id}")].into_iter().chain(group).collect();
    let alone = things.iter().map(|thing| vec![thing.clone()]);
    for asked in alone.chain([things.clone()]) {
        let output = limited(applet("ctr-whose").arg("-J").args(&asked));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        for thing in json["things"].as_array().expect("a list") {
            let answers = thing["answers"].as_array().expect("a list");
            let is_it = |answer: &Value| answer["container"] == container && answer["status"] == "running";
            assert!(answers.iter().any(is_it), "{container}: {thing}");
        }
    }
}

/// The processes with a container's tag are those in its control group, and each has all facts right.
fn all_are_tagged(up: &Up, runtime: &str, facts: &impl Fn(&Row) -> Facts) {
    for row in &up.rows {
        let facts = facts(row);
        let (members, listing) = settled(row);
        assert!(members.contains(&row.pid), "{} is not in {members:?}", row.pid);
        assert_eq!(listing.of_container(runtime, &row.id), members, "the processes of {}", row.name);
        for pid in members {
            let record = listing.of(pid);
            assert_eq!(record["container"], facts.container, "{record}");
            assert_eq!(record["pod"], value(&facts.pod), "{record}");
            assert_eq!(record["pod_namespace"], value(&facts.pod_namespace), "{record}");
            assert_eq!(record["image"], value(&facts.image), "{record}");
            let (parent, innermost) = parent_and_innermost(pid);
            assert_eq!(record["ppid"], parent, "{record}");
            assert_eq!(record["cpid"], innermost, "{record}");
        }
        let own_pids = link(row.pid, "pid") != host_link("pid");
        assert_eq!(listing.of(row.pid)["cpid"], if own_pids { 1 } else { row.pid });
    }
}

/// This process and the monitors of containers are the host's. Those in another pid namespace are of another container.
fn the_host_is_not_tagged(up: &Up) {
    let listing = processes();
    let minder = |record: &Value| {
        let command = record["command"].as_str().unwrap_or_default();
        let argv0 = command.split(' ').next().unwrap_or_default();
        let name = argv0.rsplit('/').next().unwrap_or_default();
        let monitors = name == "dockerd" || name == "conmon" || name.starts_with("containerd");
        monitors && record["cpid"] == record["pid"]
    };
    let not_tagged = |record: &Value| {
        for key in ["runtime", "container", "id", "pod", "pod_namespace", "image"] {
            assert!(record[key].is_null(), "{key} of {record}");
        }
    };
    listing.0.iter().filter(|record| minder(record)).for_each(not_tagged);
    not_tagged(listing.of(this()));
    for row in &up.rows {
        let (parent, _) = parent_and_innermost(row.pid);
        let parent = listing.of(parent);
        assert!(minder(parent), "the parent of {} is its shim or conmon, not {parent}", row.name);
    }
}

fn all_can_be_entered(up: &Up, runtime: &str) {
    for row in &up.rows {
        let mut targets = vec![row.name.clone(), row.full_name(runtime), row.pid.to_string()];
        if !row.id.contains('/') {
            targets.push(row.id[..12].to_owned());
        }
        for target in targets {
            assert_eq!(entered(&target, &["-n"], "net"), link(row.pid, "net"), "-t {target}");
            assert_eq!(entered(&target, &["-u"], "uts"), link(row.pid, "uts"), "-t {target}");
        }
        // All links, so by the container's own readlink; in a pod this also distinguishes the containers.
        let kinds: &[_] = if row.is_bare() { &[] } else { &["mnt", "pid", "ipc", "uts", "net", "cgroup"] };
        for kind in kinds {
            assert_eq!(entered(&row.full_name(runtime), &["-a"], kind), link(row.pid, kind), "{}", row.name);
        }
        if there("ip") {
            let show = ["ip", "-o", "link"];
            let actual = limited(applet("nsenter").args(["-t", &row.full_name(runtime), "-n"]).args(show));
            let net = format!("--net=/proc/{}/ns/net", row.pid);
            let original = limited(program("nsenter").arg(net).args(show));
            assert_eq!(stdout(&actual), stdout(&original), "{}: {}", row.name, stderr(&actual));
        }
    }
}

// --- the output of getpcaps and capsh ----------------------------------------------------------------------------

/// What `getpcaps --diff` shows of a container, without its name.
fn difference(up: &Up, name: &str, option: &str) -> String {
    let name = &up.row(name).name;
    let output = limited(applet("getpcaps").args([option, name]));
    assert!(output.status.success(), "{}", stderr(&output));
    let line = stdout(&output).trim_end().to_owned();
    line.strip_prefix(&format!("{name}: ")).unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// Each container's sets are those that the kernel shows for its init process.
fn all_may_what_the_kernel_says(up: &Up) {
    for row in &up.rows {
        let output = limited(applet("getpcaps").args(["--json", &row.name]));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let record = &json["processes"][0];
        assert_eq!(record["pid"], row.pid, "{record}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", row.pid)).expect("a process");
        for (key, field) in [
            ("CapInh", "inheritable"),
            ("CapPrm", "permitted"),
            ("CapEff", "effective"),
            ("CapBnd", "bounding"),
            ("CapAmb", "ambient"),
        ] {
            assert!(
                status.contains(&format!("{key}:\t{}\n", record[field]["mask"].as_str().unwrap_or("?"))),
                "{record}"
            );
        }
        let card = limited(applet("capsh").arg(format!("--print={}", row.name)));
        assert!(stdout(&card).starts_with(&format!("Process: {} (", row.pid)), "{}", stderr(&card));
    }
}

/// A caller who names the container in place of the program gets a hint, if hints are on.
fn a_container_is_no_program(row: &Row, runtime: &str) {
    let name = row.full_name(runtime);
    for (options, status) in [(&[][..], 1), (&["-n"], 1), (&["-t", &name, "-n"], 127)] {
        let mut command = applet("nsenter");
        command.args(options).args([&name, "true"]);
        let output = limited(command.env("CTRBOX_HINTS", "always"));
        let hint = format!("\nhint: '{name}' is the container ");
        assert!(stderr(&output).contains(&hint), "{options:?}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(status), "{options:?}");
        let output = limited(command.env_remove("CTRBOX_HINTS"));
        assert!(!stderr(&output).contains("hint"), "{}", stderr(&output));
    }
}

/// A program that nsenter starts in the container equals one that the runtime starts there.
fn as_the_runtime_would(row: &Row, target: &str, added: i32) {
    let run = |options: &[&str], command: &[&str]| {
        let output = limited(applet("nsenter").args(["-t", target]).args(options).args(command));
        assert_eq!(stderr(&output), "", "{target} {options:?}");
        stdout(&output)
    };
    let names = [
        "Uid",
        "Gid",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
    ];
    let identity = |status: &str| {
        let wanted = |line: &&str| line.split_once(':').is_some_and(|(name, _)| names.contains(&name));
        status.lines().filter(wanted).map(|line| line.to_owned() + "\n").collect::<String>()
    };
    let of_added = |file: &str| std::fs::read_to_string(format!("/proc/{added}/{file}")).expect("a file");
    let actual = run(&["--as-container"], &["/bin/cat", "/proc/self/status"]);
    assert_eq!(identity(&actual), identity(&of_added("status")), "{target}");
    let adjusted = run(&["--as-container"], &["/bin/cat", "/proc/self/oom_score_adj"]);
    assert_eq!(adjusted, of_added("oom_score_adj"), "{target}");
    let directory = run(&["--as-container"], &["/bin/readlink", "/proc/self/cwd"]);
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", row.pid)).expect("a link");
    assert_eq!(directory.trim_end(), cwd.to_string_lossy(), "{target}");
    // Its groups as seen outside; its own cgroup namespace would show none.
    let kinds = ["-m", "-u", "-i", "-n", "-p", "--as-container"];
    let groups = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let of_init = std::fs::read_to_string(format!("/proc/{}/cgroup", row.pid)).expect("a file");
    if !groups(&of_init).iter().any(|line| line.contains("/.."))
        && link(row.pid, "cgroup") == host_link("cgroup")
    {
        assert_eq!(groups(&run(&kinds, &["/bin/cat", "/proc/self/cgroup"])), groups(&of_init), "{target}");
    }
    let root = run(&["--as", "root"], &["/bin/cat", "/proc/self/status"]);
    assert!(root.contains("\nUid:\t0\t0\t0\t0\n"), "{target}: {root}");

    // The host's tools besides the container's root, and no mount is left.
    let beside =
        ["sh", "-c", "test -x $CTR_ROOT/bin/busybox && ! test -e /bin/ctrbox-none && echo /proc/[0-9]*"];
    let seen = run(&["-a", "--host-root", "--force"], &beside);
    let own_pids = link(row.pid, "pid") != host_link("pid");
    assert!(!own_pids || seen.split(' ').count() < 20, "{target}: {seen}");
    let mounts = std::fs::read_to_string(format!("/proc/{}/mounts", row.pid)).expect("a file");
    assert!(!mounts.contains("/ctrbox") && !std::path::Path::new("/run/ctrbox").exists(), "{mounts}");
    // Applets inside, where the binary is static.
    let actual = std::fs::read(common::binary()).expect("the binary");
    if !actual.windows(8).any(|bytes| bytes == b"ld-linux") {
        let listed = run(&["-a", "--applet"], &["ctr-ps", "-q"]);
        assert!(listed.lines().count() >= 1, "{target}: {listed}");
    }
}

/// The link of a namespace, as a program that nsenter starts sees it.
fn entered(target: &str, options: &[&str], kind: &str) -> String {
    let file = format!("/proc/self/ns/{kind}");
    let output = limited(applet("nsenter").args(["-t", target]).args(options).args(["/bin/readlink", &file]));
    assert!(output.status.success(), "-t {target} {options:?}: {}", stderr(&output));
    stdout(&output).trim_end().to_owned()
}
