//! ctr-ps where a control group or a state file names a container that the process is not in, or that is another user's.

use crate::common::ctr_ps::{DB, Host, WEB, of, scope, state, unverified};
use crate::common::process::{failure, printed};
use crate::common::{root, skip};

#[test]
fn a_control_group_of_a_containers_name_is_no_proof() {
    let host = Host::new("ctr-ps-forged");
    host.docker(WEB, state("web", 100));
    host.docker(DB, state("db", 200));
    host.process(100, 1, &scope(WEB), b"web\0");
    host.process(200, 1, &scope(DB), b"db\0");
    // The container's own, and groups that it makes below.
    host.process(101, 100, &scope(WEB), b"own\0");
    host.process(102, 100, &format!("{}/app/worker", scope(WEB)), b"below\0");
    // A user's delegated group of the same name, and other places where any user can make one.
    host.process(300, 1, &format!("/user.slice/user-1000.slice/docker-{WEB}.scope"), b"forged\0");
    host.process(301, 1, &format!("/docker/{WEB}"), b"forged\0");
    host.process(302, 1, &format!("/docker-{WEB}.scope"), b"forged\0");
    host.process(303, 1, &format!("/user.slice{}", scope(WEB)), b"forged\0");
    host.process(304, 1, &format!("/machine.slice/libpod-{WEB}.scope"), b"forged\0");
    // A container that claims to be another keeps its own identity.
    host.process(305, 200, &format!("{}/docker-{WEB}.scope", scope(DB)), b"claims\0");
    host.process(306, 200, &format!("{}{}", scope(DB), scope(WEB)), b"claims\0");
    // In two hierarchies at once, with different names.
    host.process(307, 1, "/", b"both\0");
    host.file("proc/307/cgroup", format!("2:pids:/user.slice/docker-{WEB}.scope\n0::{}\n", scope(DB)));
    // Near misses.
    host.process(308, 1, &format!("/system.slice/docker-{}.scope", &WEB[1..]), b"near\0");
    host.process(309, 1, &format!("/system.slice/docker-{}.scope", WEB.to_uppercase()), b"near\0");
    host.process(310, 1, &format!("/system.slice/docker-{WEB}.scope/../docker-{DB}.scope"), b"dots\0");

    let shown = host.containers();
    for pid in [100, 101, 102] {
        assert_eq!(shown[&pid], "docker:web", "{pid}");
    }
    for pid in [200, 307] {
        assert_eq!(shown[&pid], "docker:db", "{pid}");
    }
    for pid in [305, 306] {
        assert_eq!(shown[&pid], format!("docker:db/{}", unverified(WEB)), "{pid}");
    }
    for pid in [300, 301, 302, 303] {
        assert_eq!(shown[&pid], unverified(WEB), "{pid}");
    }
    assert_eq!(shown[&304], format!("podman:{}?", &WEB[..12]));
    assert_eq!((shown[&308].as_str(), shown[&309].as_str()), ("-", "-"));
    let own = printed(of(host.root()).args(["-q", "-c", "web"]));
    assert!(own.starts_with("100\n101\n102\n"), "{own}");
    assert!(!own.contains("30"), "forged ones are not among them: {own}");
}

#[test]
fn an_init_process_that_has_ended() {
    let host = Host::new("ctr-ps-recycled");
    // The PID belongs to another process now.
    host.docker(WEB, state("web", 100));
    host.process(100, 1, "/user.slice/user-1000.slice/session-1.scope", b"somebody\0");
    host.process(101, 1, &scope(WEB), b"left behind\0");
    // It is nobody's.
    host.docker(DB, state("db", 200));
    host.process(201, 1, &scope(DB), b"left behind\0");
    let shown = host.containers();
    assert_eq!(shown[&100], "-");
    assert_eq!(shown[&101], unverified(WEB));
    assert_eq!(shown[&201], unverified(DB));
    assert_eq!(failure(of(host.root()).args(["-c", "web"])).0, Some(1));
    // It is another container's.
    host.docker(DB, state("db", 100));
    host.process(100, 1, &scope(DB), b"db\0");
    let shown = host.containers();
    assert_eq!((shown[&100].as_str(), shown[&201].as_str()), ("docker:db", "docker:db"));
    assert_eq!(shown[&101], unverified(WEB));
}

/// A process in a pid namespace of its own, as root or a user, that began at a time.
fn contained(host: &Host, pid: i64, cgroup: &str, uid: u32) {
    host.process(pid, 1, cgroup, b"sleep\x001\0");
    let status = format!(
        "Name:\tprog\nState:\tS (sleeping)\nPPid:\t1\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t{pid}\t1\nVmPeak:\t1 kB\n"
    );
    host.file(&format!("proc/{pid}/status"), status);
    let stat = format!("{pid} (prog) S 1{} 5000 0 0\n", " 0".repeat(17));
    host.file(&format!("proc/{pid}/stat"), stat);
}

fn runc(directory: &str, id: &str, pid: i64, start: u64) -> (String, String) {
    let state = format!(
        r#"{{"id":"{id}","init_process_pid":{pid},"init_process_start":{start},"config":{{"labels":["bundle=/x"]}}}}"#
    );
    (format!("{directory}/runc/{id}/state.json"), state)
}

#[test]
fn a_first_process_in_a_group_that_claims_to_be_nested() {
    let host = Host::new("ctr-ps-round");
    host.file("var/lib/lxc/web/config", "lxc.uts.name = web\n");
    contained(&host, 100, &format!("/lxc.payload.web/docker/{WEB}"), 0);
    assert_eq!(host.containers()[&100], format!("lxc:web/{}", unverified(WEB)));
}

#[test]
fn a_start_time_in_a_state_file_must_match() {
    let host = Host::new("ctr-ps-start");
    contained(&host, 100, "/job", 0);
    let (path, state) = runc("run", "job", 100, 4999);
    host.file(&path, state);
    assert_eq!(host.containers()[&100], "-");
    let (path, state) = runc("run", "job", 100, 5000);
    host.file(&path, state);
    assert_eq!(host.containers()[&100], "runc:job");
}

#[test]
fn a_users_state_files_count_for_own_processes_and_hijack_no_name() {
    if !root() {
        return skip("ctr-ps-users", "needs root, to give files away");
    }
    const BOB: u32 = 1000;
    let host = Host::new("ctr-ps-users");
    host.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n");
    // One name, twice; and groups that others are in.
    contained(&host, 100, "/web", 0);
    contained(&host, 200, "/user.slice/user-1000.slice/web", BOB);
    contained(&host, 300, "/system.slice/job", BOB);
    host.process(301, 1, "/system.slice/sshd.service", b"sshd\0");
    let of_root = runc("run", "web", 100, 5000);
    let of_bob = runc("run/user/1000", "web", 200, 5000);
    let shared = runc("run/user/1000", "system.slice", 300, 4999);
    for (path, state) in [of_root, of_bob, shared] {
        let file = host.file(&path, state);
        if path.contains("user") {
            for path in file.ancestors().take(4) {
                std::os::unix::fs::chown(path, Some(BOB), Some(BOB)).expect("given away");
            }
        }
    }
    let found = host.containers();
    assert_eq!((found[&100].as_str(), found[&200].as_str()), ("runc:web", "runc:web"));
    assert_ne!(found[&300], "runc:system.slice");
    assert_eq!(found[&301], "-");
    assert_eq!(
        printed(of(host.root()).args(["-n", "-o", "pid,owner", "-C", "-p", "100,200"])),
        "100 root\n200 bob\n"
    );
    assert_eq!(printed(of(host.root()).args(["-q", "-c", "runc:web"])), "100\n", "root's is meant");
    assert_eq!(
        printed(of(host.root()).args(["-q", "-l"])).lines().filter(|line| *line == "runc:web").count(),
        2
    );
}

/// 4294967295 is (uid_t) -1: to chown(2) it means no change, and no process or file has it.
#[test]
fn the_invalid_uid_belongs_to_no_user() {
    for uid in [u32::MAX, 60_000] {
        let host = Host::new("ctr-ps-no-uid");
        host.file("etc/passwd", format!("root:x:0:0::/root:/bin/sh\nnone:x:{uid}:1::/home/none:/bin/sh\n"));
        contained(&host, 100, &format!("/user.slice/user-{uid}.slice/web"), uid);
        let (path, state) = runc(&format!("run/user/{uid}"), "web", 100, 5000);
        host.file(&path, state);
        let shown = host.containers()[&100].clone();
        assert_eq!(shown == "runc:web", uid != u32::MAX, "{uid}: {shown}");
    }
}

/// `docker:` and the id as docker(1) prints it is the label of an unverified container but for its mark.
#[test]
fn an_unverified_container_does_not_take_the_id_of_a_verified_one() {
    let host = Host::new("ctr-ps-id");
    host.docker(WEB, state("web", 100));
    host.process(100, 1, &scope(WEB), b"web\0");
    host.process(300, 1, &format!("/user.slice/user-1000.slice/docker-{WEB}.scope"), b"forged\0");
    let pids = |word: &str| printed(of(host.root()).args(["-q", "-c", word]));
    for word in [WEB, &WEB[..12], &format!("docker:{}", &WEB[..12]), &format!("docker:{WEB}"), "web"] {
        assert_eq!(pids(word), "100\n", "{word}");
    }
    for word in [&unverified(WEB), &format!("{}?", &WEB[..12]), &format!("docker:{WEB}?")] {
        assert_eq!(pids(word), "300\n", "{word}");
    }
}
