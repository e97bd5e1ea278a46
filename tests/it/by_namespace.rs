//! Containers without a state file: which processes are in one, by namespaces and root directories alone.

use crate::common;

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::ctr_ps::{ctr_ps, processes};
use crate::common::lsns::await_cat;
use crate::common::process::{Holder, Piped, limited, link, namespaces, printed};
use crate::common::{Scratch, applet, binary, program, skip, stderr, stdout, there};
use serde_json::Value;

/// The container that ctr-ps shows for a process.
fn row(pid: i32) -> Value {
    let all = processes(&printed(ctr_ps().arg("--json")));
    all.get(&i64::from(pid)).unwrap_or_else(|| panic!("{pid} is not listed")).clone()
}

fn inode(link: &str) -> String {
    link.chars().filter(char::is_ascii_digit).collect()
}

#[test]
fn an_own_pid_namespace_is_an_anonymous_container() {
    if !namespaces("anonymous containers") {
        return;
    }
    let holder =
        Holder::new(&["-p", "-u", "-f", "--kill-child"], "hostname box; sleep 1000 & trap \"kill $!\" EXIT");
    let found = row(holder.pid);
    assert_eq!(found["runtime"], "anon", "{found}");
    assert_eq!(found["id"], inode(&holder.link("pid")).as_str(), "{found}");
    let target = format!("anon:{}", inode(&holder.link("pid")));
    let entered = limited(applet("nsenter").args(["-t", &target, "-u", "hostname"]));
    assert_eq!((stdout(&entered).as_str(), stderr(&entered).as_str()), ("box\n", ""));
    // By its PID inside, 1, it is the same process.
    let target = format!("{target}@1");
    let entered = limited(applet("nsenter").args(["-t", &target, "-u", "hostname"]));
    assert_eq!((stdout(&entered).as_str(), stderr(&entered).as_str()), ("box\n", ""));
    let missing = format!("anon:{}@99999", inode(&holder.link("pid")));
    let refused = limited(applet("nsenter").args(["-t", &missing, "-u", "hostname"]));
    assert!(stderr(&refused).contains("has no process 99999"), "{}", stderr(&refused));
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn the_owner_is_that_of_the_user_namespace_or_of_the_process() {
    if !namespaces("owners of anonymous containers") {
        return;
    }
    let owner = |options: &[&str], command: &str| {
        let holder = Holder::by(program(command).args(options), ":");
        printed(ctr_ps().args(["-n", "-o", "owner", "-p", &holder.pid.to_string()])).trim().to_owned()
    };
    let nobody = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "unshare",
        "-r",
        "-p",
        "-f",
        "--kill-child",
    ];
    for (options, command, expected) in
        [(&["-p", "-f", "--kill-child"][..], "unshare", "root"), (&nobody, "setpriv", "nobody")]
    {
        assert_eq!(owner(options, command), expected, "{options:?}");
    }
}

/// The options of an overlay are words of the one who mounts it: in a user's mount namespace the path of the upper layer
/// leads elsewhere than on the host.
#[test]
fn the_layer_that_a_user_has_mounted_is_not_shown() {
    let test = "layers of users";
    if !namespaces(test) {
        return;
    }
    let setup = r#"mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work /mnt/merged
        mount -t overlay none -o userxattr,lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work /mnt/merged
        exec chroot /mnt/merged sh -c 'echo '$pid'; exec cat'"#;
    let of_user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-U", "-r"];
    let spaces = ["-m", "-p", "-f", "--kill-child"];
    let mounts = limited(program("unshare").args(["-m", "sh", "-ec", &setup.replace("exec cat", ":")]));
    let user_mounts =
        limited(program("setpriv").args(of_user).args(["-m", "sh", "-ec", &setup.replace("exec cat", ":")]));
    if !mounts.status.success() || !user_mounts.status.success() {
        return skip(test, "users may not mount overlays here");
    }
    let shown = |command: &mut Command| {
        let holder = Holder::by(command, setup);
        let list = printed(ctr_ps().args(["-l", "-J", "-c", &holder.pid.to_string()]));
        let list: Value = serde_json::from_str(&list).expect("JSON");
        (list["containers"][0]["owner"].clone(), list["containers"][0]["rootfs"].clone())
    };
    let of_root = shown(program("unshare").args(spaces));
    assert_eq!(of_root, ("root".into(), "/mnt/upper".into()), "root's mount is believed");
    let (owner, layer) = shown(program("setpriv").args(of_user).args(spaces));
    assert_ne!(owner, "root");
    assert_eq!(layer, Value::Null);
}

/// Processes are looked at in the order of their PIDs. After the highest one they begin anew, so that somebody who enters
/// a container, and waits outside, can come before its first process.
#[test]
fn who_enters_a_container_does_not_hide_who_made_it() {
    let test = "entered with a low PID";
    if !namespaces(test) {
        return;
    }
    if !there("bwrap") {
        return skip("bwrap", "there is no bwrap");
    }
    let script = r#"
        echo 3000 >/proc/sys/kernel/ns_last_pid || { echo cannot; exit 0; }
        mkfifo "$1/ready"
        bwrap --tmpfs / --ro-bind /usr /usr $2 --dev /dev --proc /proc --bind "$1" /run --unshare-pid \
            sh -c 'echo >/run/ready; sleep 1000; :' &
        read -r _ <"$1/ready"
        first=$(for status in /proc/[0-9]*/status; do
            if grep -q "^NSpid:.*[[:blank:]]2$" "$status"; then basename "${status%/status}"; fi; done)
        echo 400 >/proc/sys/kernel/ns_last_pid
        nsenter -t "$first" -m -p sh -c 'echo >/run/ready; sleep 2000; :' &
        read -r _ <"$1/ready"
        "$0" ctr-ps --json"#;
    let scratch = Scratch::new("entered-low");
    let exists = |name: &&str| std::path::Path::new(name).exists();
    let links: String = ["/bin", "/lib", "/lib64"]
        .iter()
        .filter(|name| exists(name))
        .map(|name| format!("--ro-bind {name} {name} "))
        .collect();
    let mut command = program("unshare");
    command.args(["-p", "-f", "-m", "--mount-proc", "--kill-child", "sh", "-c", script]).arg(binary());
    let shown = printed(command.arg(&scratch.0).arg(links));
    if shown.trim() == "cannot" {
        return skip(test, "the last PID cannot be set here");
    }
    let all = processes(&shown);
    let of = |seconds: &str| {
        let command = format!("sh -c echo >/run/ready; sleep {seconds}; :");
        let found = all.iter().find(|(_, one)| one["command"] == *command);
        found.unwrap_or_else(|| panic!("{shown}"))
    };
    let ((first, made), (entered, other)) = (of("1000"), of("2000"));
    assert!(entered < first);
    assert_eq!((&made["runtime"], &other["runtime"]), (&"bwrap".into(), &"bwrap".into()), "{shown}");
    assert_eq!(made["id"], other["id"]);
}

#[test]
fn other_namespaces_alone_make_no_container() {
    if !namespaces("hardened processes") {
        return;
    }
    // The namespaces of a service with PrivateTmp, PrivateNetwork, ProtectHostname and so on.
    let private = "mount -t tmpfs none /tmp";
    for (options, setup) in
        [(&["-m", "-n", "-u", "-i", "-C"][..], private), (&["-U"], ":"), (&["-T", "-f", "--kill-child"], ":")]
    {
        let holder = Holder::new(options, setup);
        assert_eq!(row(holder.pid)["runtime"], Value::Null, "{options:?}");
    }
}

/// A process with a root directory and mounts of its own, and nothing else.
fn with_changed_root(root: &Scratch) -> Holder {
    for name in ["bin", "lib", "lib64", "usr", "proc", "etc"] {
        let own = std::path::Path::new("/").join(name);
        let there = root.0.join(name);
        match std::fs::read_link(&own) {
            Ok(target) => symlink(target, there).expect("a link"),
            Err(_) => std::fs::create_dir(there).expect("a directory"),
        }
    }
    let path = root.0.display();
    // The directories are bound where only this mount namespace sees them.
    let bind = format!(
        "for d in bin lib lib64 usr; do [ -L \"{path}/$d\" ] || [ ! -d /$d ] || mount --bind /$d \"{path}/$d\"; done; exec chroot \"{path}\" sh -c 'echo '$pid'; exec cat'"
    );
    Holder::new(&["-m"], &bind)
}

#[test]
fn a_changed_root_is_a_container_of_its_own() {
    if !namespaces("changed roots") {
        return;
    }
    let root = Scratch::new("by-namespace-root");
    let holder = with_changed_root(&root);
    let found = row(holder.pid);
    assert_eq!(found["runtime"], "anon", "{found}");
    assert_eq!(found["id"], inode(&holder.link("mnt")).as_str(), "{found}");
}

/// As schroot(1) runs it in a container of an unknown runtime.
#[test]
fn each_root_in_a_foreign_mount_namespace_is_a_container() {
    if !namespaces("roots in a mount namespace") {
        return;
    }
    let scratch = Scratch::new("by-namespace-roots");
    let script = r#"mount -t tmpfs none "$0"; cd "$0"; mkdir a b old dev; : >dev/null
        for r in . a b; do for d in bin lib lib64 usr; do
            [ ! -d /$d ] || { mkdir $r/$d; mount --bind /$d $r/$d; }
        done; done
        pivot_root . old; exec 3<&0
        for r in / /a /b /b; do chroot $r cat <&3 & echo $!; done; wait"#;
    let mut command = program("unshare");
    let mut piped = Piped::new(command.args(["-m", "sh", "-ec", script]).arg(&scratch.0));
    let pids = [(); 4].map(|()| piped.line());
    pids.iter().for_each(|pid| await_cat(pid));
    let mnt = inode(&link(&pids[0], "mnt"));
    let found = pids.each_ref().map(|pid| row(pid.parse().expect("a PID")));
    let ids = [mnt.clone(), format!("{mnt}/a"), format!("{mnt}/b"), format!("{mnt}/b")];
    assert_eq!(
        found.each_ref().map(|row| row["id"].as_str().unwrap_or_default()),
        ids.each_ref().map(|id| &**id)
    );
    // If ctr-ps shows only this one, it has the same name, and the name is a target.
    for (pid, id) in pids.iter().zip(&ids) {
        let shown = printed(ctr_ps().args(["-n", "-o", "container", "-p", pid]));
        assert_eq!(shown.trim(), format!("anon:{id}"));
        let listed = printed(ctr_ps().args(["-q", "-c", &format!("anon:{id}")]));
        assert!(listed.lines().any(|line| line == pid), "{id}: {listed}");
        assert!(id.ends_with('b') || listed.lines().all(|line| line == pid || id == &mnt), "{id}: {listed}");
    }
}

#[test]
fn a_container_by_namespaces_does_not_take_its_group_with_it() {
    if !namespaces("groups of containers by namespaces") {
        return;
    }
    let root = Scratch::new("by-namespace-boxed-root");
    let boxed = with_changed_root(&root);
    let host = [(); 2].map(|()| Holder::by(&mut program("env"), ":"));
    let stat = std::fs::read_to_string(boxed.file("stat")).expect("its stat");
    let start = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(20)).expect("a start time");
    let files = Scratch::new("by-namespace-boxed");
    let state = files.0.join("run/runc/boxed");
    std::fs::create_dir_all(&state).expect("a directory");
    let record = format!(r#"{{"id":"boxed","init_process_pid":{},"init_process_start":{start}}}"#, boxed.pid);
    std::fs::write(state.join("state.json"), record).expect("a record");
    // As on a host with the unified hierarchy only, and all three in one session.
    std::fs::write(files.0.join("cgroup"), "0::/user.slice/session\n").expect("a file");
    let script = r#"for p in $3 $4 $5; do mount --bind "$2/cgroup" /proc/$p/cgroup; done
        exec "$1" ctr-ps --root "$2" --proc-root /proc -n -o pid,container $6"#;
    let pids = [boxed.pid, host[0].pid, host[1].pid];
    for way in ["", "--portable"] {
        let mut command = program("unshare");
        command.args(["-m", "sh", "-ec", script, "sh"]).arg(binary()).arg(&files.0);
        let shown = stdout(&limited(
            command.args(pids.map(|pid| pid.to_string())).args(Some(way).filter(|way| !way.is_empty())),
        ));
        let of = |pid: i32| {
            let mut words = shown.lines().map(str::split_whitespace);
            words.find_map(|mut words| (words.next()? == pid.to_string()).then(|| words.next())?)
        };
        assert_eq!(pids.map(of), [Some("runc:boxed"), Some("-"), Some("-")], "{way}\n{shown}");
    }
}

#[test]
fn a_network_namespace_with_a_name() {
    if !namespaces("named network namespaces") {
        return;
    }
    // ctr-ps in a mount namespace with its own /run: the host's /run is not changed.
    let script = r#"
        mount -t tmpfs none /run; mkdir /run/netns; : >/run/netns/blue
        unshare -n sh -c 'mount --bind /proc/self/ns/net /run/netns/blue; exec sleep 1000' &
        trap "kill $!" EXIT
        while [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/self/ns/net)" ] || ! grep -q ' /run/netns/blue ' /proc/self/mountinfo; do :; done
        "$0" ctr-ps --json | grep "\"pid\":$!,"
    "#;
    let output = limited(common::program("unshare").args(["-m", "sh", "-ec", script]).arg(common::binary()));
    let line = stdout(&output);
    let found: Value = serde_json::from_str(line.trim().trim_end_matches(','))
        .unwrap_or_else(|error| panic!("{error}: {line:?} {}", stderr(&output)));
    assert_eq!((&found["runtime"], &found["container"]), (&Value::from("netns"), &Value::from("blue")));
}

/// The CONTAINER of the process that sleeps for each of these seconds, in what a script starts; it ends with the script.
fn containers_of<const N: usize>(seconds: [&str; N], script: &str) -> [String; N] {
    let wait = r#"
        for seconds in $2; do
            until grep -qszx "$seconds" /proc/[0-9]*/cmdline; do :; done
        done
        "$1" ctr-ps -n -o container,args
    "#;
    let mut command = program("unshare");
    command.args(["-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", &format!("{script} {wait}"), "sh"]);
    let shown = printed(command.arg(binary()).arg(seconds.join(" ")));
    seconds.map(|seconds| {
        let line = shown.lines().find(|line| line.ends_with(&format!(" sleep {seconds}")));
        line.and_then(|line| line.split_whitespace().next()).unwrap_or_else(|| panic!("{shown}")).to_owned()
    })
}

#[test]
fn a_pid_namespace_inside_that_of_a_container_is_a_container_in_it() {
    if !namespaces("nested pid namespaces") {
        return;
    }
    let inner = "unshare -p -f sh -c \"sleep 1002; :\"";
    let script = format!("unshare -p -f --mount-proc sh -c 'sleep 1001 & {inner}; :' &");
    let [outer, nested] = containers_of(["1001", "1002"], &script);
    let (around, of_inner) = nested.rsplit_once('/').unwrap_or_else(|| panic!("{outer} {nested}"));
    assert!(of_inner.starts_with("anon:") && !outer.contains('/'), "{outer} {nested}");
    assert_eq!(around, outer);
}

/// The kernel nests 32 pid namespaces, which is no reason for names of 500 characters.
#[test]
fn containers_that_are_nested_very_deep_are_beside_one_another() {
    if !namespaces("deeply nested pid namespaces") {
        return;
    }
    let script = r#"
        cat >"$3" <<'END'
            sleep $((1000 + $1)) &
            [ "$1" -eq 0 ] || unshare -p -f --mount-proc sh "$0" $(($1 - 1))
            wait
END
        unshare -p -f --mount-proc sh "$3" 10 &"#;
    let scratch = Scratch::new("deep");
    let script = script.replace("$3", &scratch.0.join("script").to_string_lossy());
    let [last, before, first] = containers_of(["1000", "1001", "1010"], &script);
    assert_eq!(first.matches("anon:").count(), 1, "{first}");
    for deep in [&last, &before] {
        assert_eq!(deep.matches("anon:").count(), 8, "{deep}");
    }
    assert_ne!(last, before);
}

/// A known program names the runtime of the next pid namespace. A process inside can create another one, without a runtime.
#[test]
fn what_a_sandbox_starts_in_a_pid_namespace_is_not_made_by_its_program() {
    let test = "sandboxes in sandboxes";
    if !namespaces(test) {
        return;
    }
    if !there("bwrap") {
        return skip("bwrap", "there is no bwrap");
    }
    let sandbox = "bwrap --bind / / --dev /dev --unshare-pid --proc /proc";
    let inner = format!("{sandbox} sh -c \"sleep 1002; :\" & unshare -p -f sh -c \"sleep 1003; :\"");
    let script = format!("{sandbox} sh -c 'sleep 1001 & {inner}; :' &");
    let [outer, sandboxed, other] = containers_of(["1001", "1002", "1003"], &script);
    assert!(outer.starts_with("bwrap:") && !outer.contains('/'), "{outer}");
    let of_inner =
        |name: &str| name.strip_prefix(&outer).map(str::to_owned).unwrap_or_else(|| panic!("{name}"));
    assert!(of_inner(&sandboxed).starts_with("/bwrap:"), "{outer} {sandboxed}");
    assert!(of_inner(&other).starts_with("/anon:"), "{outer} {other}");
}
