//! A state file that a user, or root of a container, wrote names only containers of that user or in that container. It takes no
//! name and no id of another one.

use std::process::Command;

use crate::common::cgexec::{Name, controller};
use crate::common::claims::{Callers, Claim, id, of_an_ordinary_user, ran};
use crate::common::process::{Holder, link, namespaces};
use crate::common::{UNPRIVILEGED_UID, program, there};

/// The start time of a process, in clock ticks since boot.
fn start_of(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a stat");
    let rest = stat.rsplit_once(')').expect("a name").1;
    rest.split_whitespace().nth(19).and_then(|word| word.parse().ok()).expect("a start time")
}

/// Runs a script with an empty /run of its own.
fn in_own_run(callers: &Callers, script: &str) -> Command {
    let mut command = program("unshare");
    let script = format!("mount -t tmpfs tmpfs /run\n{script}");
    command.args(["-m", "sh", "-ec", &script]).arg(callers.binary()).current_dir("/");
    command
}

fn record(directory: &str, id: &str, pid: i32) -> String {
    let state = format!(
        r#"{{"id":"{id}","init_process_pid":{pid},"init_process_start":{},"config":{{"labels":["bundle=/x"]}}}}"#,
        start_of(pid)
    );
    format!("mkdir -p {directory}/runc/{id}\necho '{state}' >{directory}/runc/{id}/state.json\n")
}

#[test]
fn the_owner_of_another_users_container_is_named() {
    let test = "unverified-owner";
    if !namespaces(test) {
        return;
    }
    let Some(users) = of_an_ordinary_user(test) else { return };
    let callers = Callers::new(test);
    let id = format!("ctrbox-claim-{}", std::process::id());
    let run = format!("/run/user/{UNPRIVILEGED_UID}");
    let setup =
        record(&run, &id, users.pid) + &format!("chown -R {UNPRIVILEGED_UID}:{UNPRIVILEGED_UID} {run}\n");
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2) == Some(&UNPRIVILEGED_UID.to_string().as_str())).then(|| fields[0].to_owned())
    });
    let whose = name
        .map_or(format!("uid {UNPRIVILEGED_UID}"), |name| format!("user {name} (uid {UNPRIVILEGED_UID})"));
    for word in [id.clone(), format!("runc:{id}")] {
        for (applet, arguments) in [
            ("nsenter", format!("-U -p -t {word} true")),
            ("cgexec", format!("--like {word} true")),
            ("getpcaps", word.clone()),
            ("capsh", format!("--print={word}")),
            ("lsns", format!("-p {word}")),
            ("ctr-ps", format!("-c {word}")),
            ("ctr-ps", format!("-q -c {word}")),
        ] {
            let said = format!("{applet}: '{word}' is the container runc:{id} of {whose}\n");
            let mut command = in_own_run(&callers, &format!("{setup}exec \"$0\" {applet} {arguments}"));
            let (status, _, message) = ran(&mut command);
            assert_eq!((status, message), (Some(0), said), "{applet} {arguments}");
        }
    }
    // The owner gets no note.
    let own = format!("{setup}exec setpriv --reuid={UNPRIVILEGED_UID} --clear-groups \"$0\" getpcaps {id}");
    if there("setpriv") {
        let (status, _, message) = ran(&mut in_own_run(&callers, &own));
        assert_eq!((status, message.as_str()), (Some(0), ""));
    }
    // The column shows it.
    let owner = format!("{setup}exec \"$0\" ctr-ps -c {id} -o pid,container,owner");
    assert_eq!(ran(&mut in_own_run(&callers, &owner)).2, "");
}

fn docker(id: &str, name: &str, pid: i32) -> String {
    let state = format!(
        r#"{{"Name":"/{name}","State":{{"Running":true,"Pid":{pid}}},"Config":{{"Image":"img:1"}}}}"#
    );
    let directory = format!("/var/lib/docker/containers/{id}");
    format!("mkdir -p {directory}\necho '{state}' >{directory}/config.v2.json\n")
}

/// Root in a container can write any state file there: with another's name, or with the id of a container of
/// the host.
#[test]
fn a_record_in_a_container_leads_to_no_container_of_the_host() {
    let test = "unverified-nested";
    let Some(controller) = controller(test) else { return };
    let callers = Callers::new(test);
    let name = Name::new(test);
    let (evil_id, other_id) = (id(5), id(6));
    let group = |path: &str| name.make(controller, path);
    let join = |path: &str, pid: i32| {
        std::fs::write(group(path).join("cgroup.procs"), pid.to_string()).expect("moved");
    };
    let (evil_name, other_name) =
        (format!("evil{}", std::process::id()), format!("other{}", std::process::id()));
    let squat = format!("squat{}", std::process::id());
    let inside = "mount -t tmpfs tmpfs /var/lib\n".to_owned() + &docker(&other_id, &squat, 1);
    let evil = Holder::new(&["-m", "-p", "-f"], &inside);
    let helper = Holder::new(&["-m"], "");
    let other = Holder::new(&["-m", "-p", "-f", "-n"], "");
    join(&format!("docker-{evil_id}.scope"), evil.pid);
    join(&format!("docker-{evil_id}.scope/docker-{other_id}.scope"), helper.pid);
    join(&format!("docker-{other_id}.scope"), other.pid);
    let setup = "mount -t tmpfs tmpfs /var/lib\n".to_owned()
        + &docker(&evil_id, &evil_name, evil.pid)
        + &docker(&other_id, &other_name, other.pid);
    let run = |arguments: &str| ran(&mut in_own_run(&callers, &format!("{setup}exec \"$0\" {arguments}")));

    let nested = format!("docker:{evil_name}/docker:{squat}");
    let shown = run(&format!("ctr-ps -n -p {} -o container", helper.pid));
    assert_eq!(shown, (Some(0), nested.clone() + "\n", String::new()));
    let show = "readlink /proc/self/ns/net";
    let entered = run(&format!("nsenter -n -t {other_name} {show}"));
    assert_eq!(entered, (Some(0), other.link("net") + "\n", String::new()));
    let unknown = format!("the first process of {nested} is not known: name one of its processes by PID\n");
    for word in [&squat, &nested] {
        assert_eq!(
            run(&format!("nsenter -n -t {word} {show}")),
            (Some(1), String::new(), format!("nsenter: {unknown}"))
        );
        assert_eq!(
            run(&format!("cgexec --like {word} {show}")),
            (Some(125), String::new(), format!("cgexec: {unknown}"))
        );
    }
}

/// Root in a container gives its own containers the ids of others, also of one that is known only by its control
/// group.
#[test]
fn a_state_file_in_a_container_hijacks_no_id() {
    let test = "unverified-nested-id";
    let Some(claim) = Claim::new(test, 8) else { return };
    let callers = Callers::new(test);
    let name = Name::new(&format!("{test}-evil"));
    let group = |path: &str| name.make(claim.controller, path);
    let join = |path: &str, pid: i32| {
        std::fs::write(group(path).join("cgroup.procs"), pid.to_string()).expect("moved");
    };
    let (evil_id, web_id, web_name) = (id(9), id(10), format!("web{}", std::process::id()));
    let squats = [claim.id.clone(), claim.short().to_owned(), web_id.clone(), web_id[..12].to_owned()];
    let inner_id = |at: usize| id(11 + u8::try_from(at).expect("a few"));
    let records = squats.iter().enumerate().map(|(at, squat)| docker(&inner_id(at), squat, 1));
    let inside = "mount -t tmpfs tmpfs /var/lib\n".to_owned() + &records.collect::<String>();
    let evil = Holder::new(&["-m", "-p", "-f"], &(inside + &docker(&claim.id, "own", 1)));
    let web = Holder::new(&["-m", "-p", "-f", "-n"], "");
    join(&format!("docker-{evil_id}.scope"), evil.pid);
    join(&format!("docker-{web_id}.scope"), web.pid);
    let inner_ids = (0..squats.len()).map(inner_id).chain([claim.id.clone()]);
    let _inner: Vec<Holder> = inner_ids
        .map(|id| {
            let holder = Holder::new(&["-m"], "");
            join(&format!("docker-{evil_id}.scope/docker-{id}.scope"), holder.pid);
            holder
        })
        .collect();
    let setup = "mount -t tmpfs tmpfs /var/lib\n".to_owned()
        + &docker(&evil_id, &format!("evil{}", std::process::id()), evil.pid)
        + &docker(&web_id, &web_name, web.pid);
    let entered = |kind: &str, word: &str| {
        let script = format!("{setup}exec \"$0\" nsenter -n -p -t '{word}' readlink /proc/self/ns/{kind}");
        ran(&mut in_own_run(&callers, &script))
    };
    for squat in &squats {
        let listed = ran(&mut in_own_run(&callers, &format!("{setup}exec \"$0\" ctr-ps -n -o container")));
        assert!(listed.1.contains(&format!("/docker:{squat}\n")), "{squat}: {listed:?}");
    }
    for word in [web_name.as_str(), &web_id, &web_id[..12], &web_id[..10]] {
        for word in [word.to_owned(), format!("docker:{word}")] {
            assert_eq!(entered("net", &word), (Some(0), web.link("net") + "\n", String::new()), "{word}");
        }
    }
    for (word, _) in claim.words().iter().filter(|(_, cpid)| cpid.is_empty()) {
        assert_eq!(entered("pid", word), (Some(1), String::new(), claim.refusal("nsenter", "")), "{word}");
        let marked = entered("pid", &format!("{word}?"));
        assert_eq!(marked, (Some(0), claim.holder.link("pid") + "\n", String::new()), "{word}?");
    }
}

/// A user's container whose name is the id of a container of root.
#[test]
fn a_users_state_file_hijacks_no_id_of_root() {
    let test = "unverified-users-id";
    if !namespaces(test) {
        return;
    }
    let Some(users) = of_an_ordinary_user(test) else { return };
    let callers = Callers::new(test);
    let roots = Holder::new(&["-n", "-m", "-p", "-f"], "");
    let id = id(15);
    let run = format!("/run/user/{UNPRIVILEGED_UID}");
    for word in [id.clone(), id[..12].to_owned(), id[..6].to_owned()] {
        let setup = record(&run, &word, users.pid)
            + &format!("chown -R {UNPRIVILEGED_UID}:{UNPRIVILEGED_UID} {run}\n")
            + &record("/run", &id, roots.pid);
        for word in [word.clone(), format!("runc:{word}")] {
            let script = format!("{setup}exec \"$0\" nsenter -n -t '{word}' readlink /proc/self/ns/net");
            let entered = ran(&mut in_own_run(&callers, &script));
            assert_eq!(entered, (Some(0), roots.link("net") + "\n", String::new()), "{word}");
        }
    }
}

/// A container that shares the pid namespace of the host has its own processes, and not those of the host.
#[test]
fn a_process_of_the_host_is_in_no_container() {
    let test = "unverified-host-pid";
    if !namespaces(test) {
        return;
    }
    let callers = Callers::new(test);
    let holder = Holder::new(&["-m", "-n"], "");
    let id = format!("ctrbox-claim-{}-host", std::process::id());
    let setup = record("/run", &id, holder.pid);
    let entered = |word: &str| {
        let script = format!("{setup}exec \"$0\" nsenter -n -t '{word}' readlink /proc/self/ns/net");
        ran(&mut in_own_run(&callers, &script))
    };
    assert_eq!(entered(&id), (Some(0), holder.link("net") + "\n", String::new()));
    assert_eq!(entered(&format!("{id}@{}", holder.pid)), (Some(0), holder.link("net") + "\n", String::new()));
    assert_ne!(holder.link("net"), link("self", "net"));
    let own = std::process::id();
    let refused = format!("nsenter: container runc:{id} has no process {own}\n");
    assert_eq!(entered(&format!("{id}@{own}")), (Some(1), String::new(), refused));
}
