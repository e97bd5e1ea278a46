//! Unverified names: a user's control group with the name of a container is shown with a line that says
//! so, and entered only by the `?` form of ctr-ps. And the owner of a container that belongs to another user.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::cgexec::{Name, controller};
use crate::common::process::{Holder, copy_of_binary, limited, link, namespaces};
use crate::common::{Scratch, UNPRIVILEGED_UID, program, skip, stderr, stdout, there};

/// A control group `docker-ID.scope` with an ordinary user's process in it, without a state file of Docker.
struct Claim {
    holder: Holder,
    id: String,
    controller: &'static str,
    // Last, so that the process has ended before its group is removed.
    _name: Name,
}

/// A process in a pid namespace of its own.
fn inhabitant() -> Holder {
    let uid = UNPRIVILEGED_UID.to_string();
    let options = ["-m", "-p", "-f", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"];
    Holder::new(&options, "")
}

/// An id that no container has.
fn id(number: u8) -> String {
    format!("c{number:x}{:08x}{}", std::process::id(), "c1".repeat(27))
}

impl Claim {
    fn new(test: &str, number: u8) -> Option<Claim> {
        let controller = controller(test)?;
        let name = Name::new(test);
        let claim = Claim { holder: inhabitant(), id: id(number), controller, _name: name };
        claim.join(&claim._name, &claim.holder);
        Some(claim)
    }

    fn join(&self, name: &Name, holder: &Holder) {
        let group = name.make(self.controller, &format!("docker-{}.scope", self.id));
        std::fs::write(group.join("cgroup.procs"), holder.pid.to_string()).expect("moved");
    }

    fn short(&self) -> &str {
        &self.id[..12]
    }

    fn problem(&self) -> String {
        format!(
            "docker:{}? is unverified: no state file that can be read confirms it, and any user can give a control \
             group that name",
            self.short()
        )
    }

    fn refusal(&self, applet: &str, cpid: &str) -> String {
        let (problem, short) = (self.problem(), self.short());
        let form = format!("'docker:{short}?{cpid}'");
        format!("{applet}: {problem}; to enter it, type {form} with the quotes (the shell expands ?)\n")
    }

    /// Targets for it, with and without the `?`.
    fn words(&self) -> [(String, &'static str); 7] {
        let (id, short) = (&self.id, self.short());
        [
            (id.clone(), ""),
            (short.to_owned(), ""),
            (id[..10].to_owned(), ""),
            (format!("docker:{short}"), ""),
            (format!("docker:{id}"), ""),
            (format!("docker:{short}"), "@1"),
            (short.to_owned(), "@1"),
        ]
    }
}

/// Root, and an ordinary user with a copy of the binary.
struct Callers {
    scratch: Scratch,
}

impl Callers {
    fn new(test: &str) -> Callers {
        let callers = Callers { scratch: Scratch::new(test) };
        copy_of_binary(&callers.binary());
        callers
    }

    fn binary(&self) -> PathBuf {
        self.scratch.0.join("ctrbox")
    }

    fn each(&self, applet: &str) -> [Command; 2] {
        let command = || {
            let mut command = program(self.binary().to_str().expect("a plain path"));
            command.arg(applet).current_dir("/");
            command
        };
        let mut ordinary = command();
        ordinary.uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
        [command(), ordinary]
    }

    fn root(&self, applet: &str) -> Command {
        let [root, _] = self.each(applet);
        root
    }
}

/// Status, stdout and stderr.
fn ran(command: &mut Command) -> (Option<i32>, String, String) {
    let output = limited(command);
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn nsenter_enters_an_unverified_container_by_its_question_mark_only() {
    let Some(claim) = Claim::new("unverified-nsenter", 1) else { return };
    let callers = Callers::new("unverified-nsenter");
    let ways: [&[&str]; 9] = [
        &["-p"],
        &["-a"],
        &["-n", "-F"],
        &["--as-container"],
        &["--as", "0"],
        &["-p", "--host-root"],
        &["-u", "-c"],
        &["-S", "follow", "-G", "follow"],
        &["-r", "-w"],
    ];
    for (word, cpid) in claim.words() {
        for way in ways {
            for mut command in callers.each("nsenter") {
                command.args(way).args(["-t", &format!("{word}{cpid}"), "echo", "entered"]);
                let refused = (Some(1), String::new(), claim.refusal("nsenter", cpid));
                assert_eq!(ran(&mut command), refused, "{command:?}");
            }
        }
        let mut command = callers.root("nsenter");
        command.args(["-p", "-t", &format!("{word}?{cpid}"), "readlink", "/proc/self/ns/pid"]);
        let entered = (Some(0), claim.holder.link("pid") + "\n", String::new());
        assert_eq!(ran(&mut command), entered, "{command:?}");
    }
    // A number means a process, whatever group it is in.
    let mut command = callers.root("nsenter");
    command.args(["-p", "-t", &claim.holder.pid.to_string(), "readlink", "/proc/self/ns/pid"]);
    assert_eq!(ran(&mut command), (Some(0), claim.holder.link("pid") + "\n", String::new()));
}

/// An ordinary user cannot read the state files of root's containers, and types the `?` too.
#[test]
fn an_ordinary_user_enters_by_the_question_mark() {
    let test = "unverified-ordinary";
    let Some(controller) = controller(test) else { return };
    let made =
        limited(program("unshare").args(["-U", "-r", "true"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID));
    if !made.status.success() {
        return skip(test, "ordinary users may not make user namespaces here");
    }
    let name = Name::new(test);
    let mut unshare = program("unshare");
    unshare.args(["-U", "-r", "-m", "-p", "-f"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
    let claim = Claim { holder: Holder::by(&mut unshare, ""), id: id(7), controller, _name: name };
    claim.join(&claim._name, &claim.holder);
    let callers = Callers::new(test);
    let entered = |word: &str| {
        let [_, mut ordinary] = callers.each("nsenter");
        ran(ordinary.args([
            "-U",
            "-p",
            "--preserve-credentials",
            "-t",
            word,
            "readlink",
            "/proc/self/ns/user",
        ]))
    };
    let word = format!("docker:{}", claim.short());
    assert_eq!(entered(&word), (Some(1), String::new(), claim.refusal("nsenter", "")));
    assert_eq!(entered(&(word + "?")), (Some(0), claim.holder.link("user") + "\n", String::new()));
}

#[test]
fn cgexec_joins_an_unverified_container_by_its_question_mark_only() {
    let Some(claim) = Claim::new("unverified-cgexec", 2) else { return };
    let callers = Callers::new("unverified-cgexec");
    let cgroup = std::fs::read_to_string(claim.holder.file("cgroup")).expect("its groups");
    for (word, cpid) in claim.words() {
        for way in [&[][..], &["-n"], &["--timeout=60"]] {
            for mut command in callers.each("cgexec") {
                command.args(way).args(["--like", &format!("{word}{cpid}"), "echo", "joined"]);
                let refused = (Some(125), String::new(), claim.refusal("cgexec", cpid));
                assert_eq!(ran(&mut command), refused, "{command:?}");
            }
        }
        let mut command = callers.root("cgexec");
        command.args(["--like", &format!("{word}?{cpid}"), "cat", "/proc/self/cgroup"]);
        assert_eq!(ran(&mut command), (Some(0), cgroup.clone(), String::new()), "{command:?}");
    }
    let mut command = callers.root("cgexec");
    command.args(["--like", &claim.holder.pid.to_string(), "cat", "/proc/self/cgroup"]);
    assert_eq!(ran(&mut command), (Some(0), cgroup, String::new()));
}

#[test]
fn applets_that_only_read_report_once_that_it_is_unverified() {
    let Some(claim) = Claim::new("unverified-read", 3) else { return };
    let callers = Callers::new("unverified-read");
    let arguments = |applet: &str, word: &str| match applet {
        "getpcaps" => vec![word.to_owned(), word.to_owned()],
        "capsh" => vec![format!("--print={word}")],
        "lsns" => vec!["-t".to_owned(), "pid".to_owned(), "-p".to_owned(), word.to_owned()],
        _ => vec!["-q".to_owned(), "-c".to_owned(), word.to_owned()],
    };
    for applet in ["getpcaps", "capsh", "lsns", "ctr-ps"] {
        let line = format!("{applet}: {}\n", claim.problem());
        for (word, cpid) in claim.words() {
            for (mark, said) in [("", line.as_str()), ("?", "")] {
                for mut command in callers.each(applet) {
                    command.args(arguments(applet, &format!("{word}{mark}{cpid}")));
                    let (status, printed, message) = ran(&mut command);
                    assert_eq!((status, message.as_str()), (Some(0), said), "{command:?}");
                    assert!(!printed.is_empty(), "{command:?}");
                }
            }
        }
        let mut command = callers.root(applet);
        let mut by_pid = arguments(applet, &claim.holder.pid.to_string());
        by_pid.iter_mut().for_each(|word| *word = word.replace("-c", "-p"));
        assert_eq!(ran(command.args(by_pid)).2, "", "{command:?}");
    }
    // The column with the `?` is enough.
    for mut command in callers.each("ctr-ps") {
        let (status, table, message) = ran(command.args(["-n", "-c", claim.short()]));
        assert_eq!((status, message.as_str()), (Some(0), ""), "{command:?}");
        assert!(table.contains(&format!("docker:{}?", claim.short())), "{table}");
    }
    let [_, mut base] = callers.each("getpcaps");
    let (status, _, message) = ran(base.args([&format!("--diff={}", claim.short()), "0"]));
    assert_eq!((status, message), (Some(0), format!("getpcaps: {}\n", claim.problem())));
}

/// The owner of another group can use the same name, to have it entered instead.
#[test]
fn two_groups_of_one_name_are_ambiguous_with_the_question_mark_too() {
    let Some(claim) = Claim::new("unverified-one", 4) else { return };
    let other_name = Name::new("unverified-two");
    let other = inhabitant();
    claim.join(&other_name, &other);
    let callers = Callers::new("unverified-rivals");
    let word = format!("docker:{}?", claim.short());
    let mut pids = [claim.holder.pid, other.pid];
    pids.sort_unstable();
    let ambiguous = format!(
        "{word} is ambiguous: several control groups have its name; their first processes are {} {}\n",
        pids[0], pids[1]
    );
    for mut command in callers.each("nsenter") {
        command.args(["-p", "-t", &word, "echo", "entered"]);
        assert_eq!(ran(&mut command), (Some(1), String::new(), format!("nsenter: {ambiguous}")));
    }
    for mut command in callers.each("getpcaps") {
        assert_eq!(ran(command.arg(&word)), (Some(1), String::new(), format!("getpcaps: {ambiguous}")));
    }
    // A second process of the same group is not a second candidate.
    drop(other);
    let second = inhabitant();
    claim.join(&claim._name, &second);
    let mut command = callers.root("nsenter");
    command.args(["-p", "-t", &word, "readlink", "/proc/self/ns/pid"]);
    let (status, _, message) = ran(&mut command);
    assert_eq!((status, message.as_str()), (Some(0), ""));
}

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

/// The namespaces of a container that an ordinary user has started; None if they may not start one.
fn of_an_ordinary_user(test: &str) -> Option<Holder> {
    let made = limited(program("unshare").args(["-U", "-r", "true"]).uid(UNPRIVILEGED_UID));
    if !made.status.success() {
        skip(test, "ordinary users may not make user namespaces here");
        return None;
    }
    let mut unshare = program("unshare");
    unshare.args(["-U", "-r", "-m", "-p", "-f"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
    Some(Holder::by(&mut unshare, ""))
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
    let id = id(12);
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
    assert!(Path::new("/proc/1").exists());
}
