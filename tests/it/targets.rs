//! A container as the target: the costs of the look-up, numbers as names, pods, and nested containers.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::common::cgexec::{Name, controller};
use crate::common::process::{Holder, copy_of_binary, limited, namespaces, traceable};
use crate::common::{Scratch, UNPRIVILEGED_UID, binary, kernel, program, root, skip, stderr, stdout, there};

/// Starts processes, and writes the state files of a runc container `web` and of a stopped LXC container. `$web` is
/// the first process of `web`, `$bare` is in a container without a state file.
const HOST: &str = r#"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
for number in $(seq "$1"); do sleep 1000 & done
child() { found=; until [ -n "$found" ]; do found=$(cut -d ' ' -f 1 "/proc/$1/task/$1/children"); done; }
unshare -n -m -p -f sleep 1000 &
child "$!"
web=$found
start=$(cut -d ' ' -f 22 "/proc/$web/stat")
mkdir -p /run/runc/web /run/runc/db /var/lib/lxc/stopped
echo "{\"id\":\"web\",\"init_process_pid\":$web,\"init_process_start\":$start,\"config\":{\"labels\":[]}}" >/run/runc/web/state.json
echo '{"id":"db","init_process_pid":1,"init_process_start":1,"config":{"labels":[]}}' >/run/runc/db/state.json
echo 'lxc.uts.name = stopped' >/var/lib/lxc/stopped/config
unshare -m -p -f sleep 1000 &
child "$!"
bare=$found
"#;

/// Runs a script on a host made of files with `count` more processes. `$0` is the program.
pub fn on_host(count: usize, script: &str) -> Command {
    let mut command = program("unshare");
    let script = format!("{HOST}{script}");
    command.args(["-m", "-p", "-f", "--mount-proc", "sh", "-ec", &script]).arg(binary());
    command.arg(count.to_string()).current_dir("/");
    command
}

/// Shell commands that print the number of system calls of a line of arguments: the least of three runs, as a process that
/// waits for a child looks at it again when that takes long. A call that another process interrupts has a second line.
fn counted(line: &str) -> String {
    format!(
        "for run in 1 2 3; do\n\
         strace -f -o /run/calls \"$0\" {line} >/run/out 2>&1 || {{ cat /run/out; exit 1; }}\n\
         grep -vcE 'fcntl|resumed' /run/calls >>/run/counts\ndone\n\
         sort -n /run/counts | head -n 1\nrm /run/counts\n"
    )
}

/// The system calls of each line of arguments.
fn calls(count: usize, lines: &[&str]) -> Vec<usize> {
    let script: String = lines.iter().map(|line| counted(line)).collect();
    let output = limited(&mut on_host(count, &script));
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output).lines().map(|line| line.trim().parse().expect("a number")).collect()
}

#[test]
fn a_target_costs_the_same_on_a_host_with_many_processes() {
    if !traceable("targets-cost") {
        return;
    }
    let lines = [
        "nsenter -t \"$web\" -n true",
        "nsenter -t runc:web -n true",
        "nsenter -t web -n true",
        "nsenter -t web@1 -n true",
        "getpcaps web",
        "ctr-ps -p \"$web\"",
        "ctr-ps -p \"$bare\"",
        "ctr-inspect -s identity,limits,privileges \"$web\"",
        "ctr-inspect -s identity,limits,privileges web",
    ];
    let [few, many] = [50, 500].map(|count| calls(count, &lines));
    println!("system calls: {few:?}");
    // Before Linux 6.11 the kernel has no request for the process with a PID in a namespace.
    let scans = |line: &str| line.contains('@') || line.contains("$bare");
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| kernel() >= (6, 11) || !scans(line)) {
        // A helper process of ctr-ps may be waited for once more.
        let slack = match line.split(' ').next() {
            Some("ctr-ps") => 20,
            // This container has no group: two links of each process tell whether it is in its namespaces.
            // Long lists take some reads more.
            Some("ctr-inspect") => 450 * 2 + 100,
            _ => 20,
        };
        assert!(many[at].abs_diff(few[at]) <= slack, "{line}: {} calls, and {}", few[at], many[at]);
    }
    let line = ["ctr-inspect -s identity,namespaces,limits,privileges \"$web\""];
    let [fewer, more] = [50, 500].map(|count| calls(count, &line)[0]);
    assert!(more.saturating_sub(fewer) <= 450 * 2 + 100, "{line:?}: {fewer} calls, and {more}");
    let pid = few[0];
    // By prefix one store is read: two directories, the state files of root, and the init process of one.
    assert!(few[1] <= pid + 40, "{} for runc:web, {pid} for its PID", few[1]);
    assert!(few[2] <= pid + 100, "{} for web, {pid} for its PID", few[2]);
    assert!(
        few[5] <= 300 && (few[6] <= 300 || kernel() < (6, 11)),
        "{} and {} for a process",
        few[5],
        few[6]
    );
}

/// In the pid namespace of the test, whose PID 1 may hide its namespaces even from root.
#[test]
fn a_process_in_a_container_without_a_state_file_needs_no_scan() {
    if !traceable("targets-first") || kernel() < (6, 11) {
        return;
    }
    let script = HOST.replace("sleep 1000 &", "sleep 60 & started=\"$started $!\"; ");
    let line = "strace -f -o /run/calls \"$0\" ctr-ps -p \"$bare\" >/run/out\n\
                grep -c pidfd_open /run/calls\n";
    let ends = "trap 'kill -9 $web $bare $started' EXIT\n";
    let mut command = program("unshare");
    command.args(["-m", "sh", "-ec", &format!("started=\n{ends}{script}{line}")]).arg(binary()).arg("100");
    let output = limited(&mut command);
    assert!(output.status.success(), "{}", stderr(&output));
    let pidfds: usize = stdout(&output).trim().parse().expect("a number");
    assert!(pidfds < 50, "{pidfds} pidfds");
}

#[test]
fn lsns_with_containers_walks_once() {
    if !traceable("targets-lsns") || kernel() < (6, 11) {
        return;
    }
    // A state file that names no init process makes the first processes of all pid namespaces of interest.
    let script =
        "strace -f -o /run/calls \"$0\" lsns -o NS,CONTAINER >/run/out\ngrep -c pidfd_open /run/calls || :\n";
    let output = limited(&mut on_host(100, script));
    assert!(output.status.success(), "{}", stderr(&output));
    let pidfds: usize = stdout(&output).trim().parse().expect("a number");
    assert!(pidfds < 50, "{pidfds} pidfds");
}

/// What is read for the target is not read again for the columns, nor for the hint that a container has this name.
#[test]
fn lsns_reads_each_directory_and_state_file_once() {
    if !traceable("targets-lsns-once") {
        return;
    }
    for target in ["web", "runc:web", "-p \"$web\""] {
        let script = format!(
            "CTRBOX_HINTS=never strace -f -o /run/calls \"$0\" lsns -o NS,CONTAINER {target} >/run/out\n\
             grep -q 'runc:web' /run/out\n\
             grep -E 'openat2.*(O_DIRECTORY|json).*= [0-9]' /run/calls | cut -d '\"' -f 2\n"
        );
        let output = limited(&mut on_host(1, &script));
        assert!(output.status.success(), "{target}: {}{}", stdout(&output), stderr(&output));
        let text = stdout(&output);
        let opened = |path: &str| text.lines().filter(|line| *line == path).count();
        println!("{target}: {text}");
        assert!(opened("/run/runc") == 1 && opened("/run/runc/db/state.json") <= 1, "{target}: {text}");
        // Its names are read first.
        assert!(opened("/run/runc/web/state.json") <= 2, "{target}: {text}");
    }
}

/// Processes of the host, and in a container without a state file.
#[test]
fn all_processes_cost_ten_system_calls_each() {
    if !traceable("targets-all") {
        return;
    }
    let calls = |sleeps: usize, inside: usize| {
        // Each process inside says that it runs before it becomes sleep(1).
        let script = format!(
            "mkfifo /run/ready\nexec 3<>/run/ready\n\
             unshare -m -p -f sh -c 'for number in $(seq {inside}); do sh -c \"echo >&3; exec sleep 1000\" & done; \
             exec sleep 1000' &\n\
             for number in $(seq {inside}); do read -r line <&3; done\n\
             strace -f -o /run/calls \"$0\" ctr-ps --forest >/run/out\n\
             grep -c sleep /run/out\n\
             read -r watches rest </run/calls\ngrep -vcE \"fcntl|resumed|^$watches \" /run/calls\n"
        );
        let output = limited(&mut on_host(sleeps, &script));
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        let numbers: Vec<usize> =
            stdout(&output).lines().map(|line| line.trim().parse().expect("a number")).collect();
        (numbers[0], numbers[1])
    };
    // The program of a debug build looks at each descriptor once more before it closes it: fcntl(2) is not counted.
    // The first process only watches its worker, as long as strace slows that down: its calls are not counted.
    let few = calls(50, 10);
    for many in [calls(450, 10), calls(50, 410)] {
        println!("processes and system calls: {few:?} {many:?}");
        assert_eq!(many.0, few.0 + 400, "{few:?} {many:?}");
        // The helper process that reads the arguments may be waited for a few times more.
        assert!(many.1 <= few.1 + 10 * 400 + 100, "{few:?} {many:?}");
    }
}

/// One store only, and of its other containers only the state file.
#[test]
fn a_target_costs_one_record_more_for_each_container_in_the_store() {
    if !traceable("targets-records") {
        return;
    }
    let more = "for number in $(seq 20); do mkdir -p /run/runc/web$number; cp /run/runc/db/state.json /run/runc/web$number; done\n";
    let line = "nsenter -t runc:web -n true";
    let count = |setup: &str| {
        let script = format!("{setup}{}", counted(line));
        let output = limited(&mut on_host(1, &script));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim().parse::<usize>().expect("a number")
    };
    let (few, many) = (count(""), count(more));
    assert!(many <= few + 4 * 20, "{few} calls, and {many} with 20 more containers");
}

/// Sets `$id` to the id of a Docker container without a control group, whose first process is that of `web`.
pub const DOCKER: &str = r#"
rm -r /run/runc
id=$(printf 'd0c%061d' "$web")
tasks=/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby
mkdir -p "/var/lib/docker/containers/$id" "$tasks/$id"
record="/var/lib/docker/containers/$id/config.v2.json"
echo "{\"Name\":\"/shop\",\"State\":{\"Running\":true,\"Pid\":$web},\"Config\":{}}" >"$record"
printf '%s' "$web" >"$tasks/$id/init.pid"
"#;
/// More of them, which have ended.
const DOCKERS: &str = r#"
for number in $(seq 20); do
    other=/var/lib/docker/containers/$(printf 'ec%062d' "$number")
    mkdir "$other"
    echo "{\"Name\":\"/x$number\",\"State\":{\"Running\":true,\"Pid\":$$},\"Config\":{}}" >"$other/config.v2.json"
done
"#;

/// Open and read: descriptors are closed many at a time. For a process without a state file also two links of each init
/// process.
#[test]
fn a_record_of_docker_costs_few_system_calls() {
    if !traceable("targets-docker") {
        return;
    }
    for (line, each) in
        [("nsenter -t shop -n true", 2), ("nsenter -t docker:shop -n true", 2), ("ctr-ps -p \"$bare\"", 4)]
    {
        let count = |setup: &str| {
            let script = format!("{DOCKER}{setup}{}", counted(line));
            let output = limited(&mut on_host(1, &script));
            assert!(output.status.success(), "{}", stderr(&output));
            stdout(&output).trim().parse::<usize>().expect("a number")
        };
        let (few, many) = (count(""), count(DOCKERS));
        println!("{line}: {few} and {many}");
        // A larger listing, and a helper process of ctr-ps that is waited for once more.
        assert!(many <= few + each * 20 + 5, "{line}: {few} calls, and {many} with 20 more containers");
    }
}

/// What is read before the owner is checked only leaves files out.
#[test]
fn a_record_counts_only_after_all_checks() {
    if !namespaces("targets-checked") {
        return;
    }
    let large = "python3 -c \"import json, sys; config = json.load(open(sys.argv[1])); config['x'] = 'y' * 200000; \
                 json.dump(config, open(sys.argv[1], 'w'))\" \"$record\"";
    let enter = "\"$0\" nsenter -t shop -n readlink /proc/self/ns/net >/run/out && \
                 [ \"$(cat /run/out)\" = \"$(readlink /proc/$web/ns/net)\" ] && echo entered";
    for (change, expected) in [
        (":", "entered\n"),
        (large, "entered\n"),
        ("chown 4000001 \"$record\"", "does not belong to root"),
        ("rm \"$record\"; mkfifo \"$record\"", "not a regular file"),
        ("printf '{\"Name\":\"/shop\"' >\"$record\"", "JSON that is cut off"),
        ("sed -i s/shop/other/ \"$record\"", "no process or running container 'shop'"),
        ("sed -i 's/\"Pid\":[0-9]*/\"Pid\":1/' \"$record\"", "no process or running container 'shop'"),
    ] {
        if change == large && !there("python3") {
            continue;
        }
        let script =
            format!("{DOCKER}{change}\n{{ {enter}; }} 2>&1 || \"$0\" ctr-ps -v 2>&1 >/dev/null || :");
        let output = limited(&mut on_host(1, &script));
        let text = stdout(&output);
        assert!(text.contains(expected), "{change}: {text}{}", stderr(&output));
        assert_eq!(text.contains("entered"), expected == "entered\n", "{change}: {text}");
    }
}

/// For few processes only the init processes that share a namespace with them are checked.
#[test]
fn processes_that_share_one_namespace_with_a_record_are_found() {
    if !namespaces("targets-shared") {
        return;
    }
    // One has the mount namespace of `web` only, the other one a pid namespace below.
    let script = "nsenter -t \"$web\" -m unshare -p -f sleep 1000 &\nchild \"$!\"\nmnt=$found\n\
                  nsenter -t \"$web\" -p unshare -m -p -f sleep 1000 &\nchild \"$!\"\nchild \"$found\"\nbelow=$found\n\
                  for pid in \"$web\" \"$mnt\" \"$below\"; do \"$0\" ctr-ps -n -p \"$pid\" -o container; done\n\
                  \"$0\" ctr-ps -n -p \"$bare,$mnt,$below\" -o container | sort";
    let run = |setup: &str| {
        let output = limited(&mut on_host(1, &format!("{setup}{script}")));
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        text.lines()
            .map(|line| if line.starts_with("anon:") { "anon" } else { line }.to_owned())
            .collect::<Vec<_>>()
    };
    let found = |name: &'static str| vec![name, name, name, "anon", name, name];
    assert_eq!(run(""), found("runc:web"));
    assert_eq!(run(DOCKER), found("docker:shop"));
}

/// The name of a container is a number: for ctr-ps it means the container, for other applets the process.
#[test]
fn a_number_as_the_name_of_a_container() {
    let test = "targets-number";
    if !namespaces(test) {
        return;
    }
    let renamed = "number=$bare\nmv /run/runc/web \"/run/runc/$number\"\n\
                   sed -i \"s/\\\"web\\\"/\\\"$number\\\"/\" /run/runc/$number/state.json\n\
                   export CTRBOX_HINTS=always\n\
                   shown() { sed \"s/\\b$number\\b/N/g; s/\\b$web\\b/W/g\"; }\n";
    let run = |line: &str| {
        let output = limited(&mut on_host(1, &format!("{renamed}{{ {line}; }} 2>&1 | shown")));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let hint = "hint: N means the process with this PID; to name the container: runc:N\n";
    assert_eq!(
        run("\"$0\" ctr-ps -n -c \"$number\" -o pid,container"),
        "hint: N is the container runc:N; -p N means the process\nW runc:N\n"
    );
    for line in [
        "\"$0\" nsenter -t \"$number\" -n true",
        "\"$0\" cgexec --like \"$number\" true",
        "\"$0\" capsh --print=\"$number\" >/dev/null",
        "\"$0\" getpcaps \"$number\" 2>&1 >/dev/null | head -n 1",
        "\"$0\" lsns -p \"$number\" >/dev/null",
    ] {
        assert_eq!(run(line), hint, "{line}");
    }
    assert_eq!(run("CTRBOX_HINTS=never \"$0\" nsenter -t \"$number\" -n true"), "", "no hint for a script");
    assert_eq!(run("\"$0\" nsenter -t \"runc:$number\" -n true"), "");
    assert_eq!(run("\"$0\" nsenter -t \"$web\" -n true"), "", "no container has this name");
    let gone = run("\"$0\" nsenter -t 4194000 -n true || mv /run/runc/$number /run/runc/4194000\n\
                    sed -i 's/\"id\":\"[0-9]*\"/\"id\":\"4194000\"/' /run/runc/4194000/state.json\n\
                    \"$0\" nsenter -t 4194000 -n true || true");
    assert!(gone.contains("to name the container: runc:4194000\n"), "{gone}");
}

fn docker(id: &str, name: &str, pid: i32) -> String {
    let state = format!(r#"{{"Name":"/{name}","State":{{"Running":true,"Pid":{pid}}},"Config":{{}}}}"#);
    let directory = format!("/var/lib/docker/containers/{id}");
    format!("mkdir -p {directory}\necho '{state}' >{directory}/config.v2.json\n")
}

/// The group of the inner container is below that of the outer one, or, with the host's tree in the outer container,
/// beside it.
#[test]
fn a_container_in_a_container_is_a_target() {
    let test = "targets-nested";
    let Some(controller) = controller(test).filter(|_| namespaces(test)) else { return };
    let name = Name::new(test);
    let id = |number: u8| format!("d{number:x}{:08x}{}", std::process::id(), "c1".repeat(27));
    let (outer_id, below_id, beside_id, unknown_id) = (id(1), id(2), id(3), id(4));
    let records = docker(&below_id, "below", 7) + &docker(&beside_id, "beside", 8);
    // The containers in it: the first child of each unshare is PID 1.
    let inside = format!(
        "mount -t tmpfs tmpfs /var/lib\n{records}for number in 1 2 3; do unshare -n -p -f sleep 1000 & done\n"
    );
    let outer = Holder::new(&["-m", "-p", "-f"], &inside);
    let first_child = |pid: i32| {
        let mut found = Vec::new();
        crate::common::until("a child", || {
            found = crate::common::process::children(pid);
            !found.is_empty()
        });
        found
    };
    let unshares = || -> Vec<i32> {
        let is_unshare = |pid: &i32| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "unshare\n")
        };
        crate::common::process::children(outer.pid).into_iter().filter(is_unshare).collect()
    };
    crate::common::until("three containers", || unshares().len() == 3);
    let inner: Vec<i32> = unshares().into_iter().map(|pid| first_child(pid)[0]).collect();
    let join = |path: &str, pid: i32| {
        std::fs::write(name.make(controller, path).join("cgroup.procs"), pid.to_string()).expect("moved");
    };
    join(&format!("docker/{outer_id}"), outer.pid);
    join(&format!("docker/{outer_id}/docker/{below_id}"), inner[0]);
    join(&format!("docker/{beside_id}"), inner[1]);
    join(&format!("docker/{unknown_id}"), inner[2]);
    let outer_name = format!("outer{}", std::process::id());
    let setup = "mount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /var/lib\n".to_owned()
        + &docker(&outer_id, &outer_name, outer.pid);
    let run = |arguments: &str| {
        let script = format!("{setup}exec \"$0\" {arguments}");
        let output =
            limited(program("unshare").args(["-m", "sh", "-ec", &script]).arg(binary()).current_dir("/"));
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let net =
        |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).expect("a link").display().to_string();
    let chain = format!("docker:{outer_name}/");
    for (at, inner_name, inner_id) in [(0, "below", &below_id), (1, "beside", &beside_id)] {
        let (pid, label) = (inner[at], format!("{chain}docker:{inner_name}"));
        let shown = run(&format!("ctr-ps -n -p {pid} -o container"));
        assert_eq!(shown, (Some(0), label.clone() + "\n", String::new()));
        for word in [label, format!("docker:{inner_name}"), inner_name.to_owned(), inner_id.to_owned()] {
            let entered = run(&format!("nsenter -n -t {word} readlink /proc/self/ns/net"));
            assert_eq!(entered, (Some(0), net(pid) + "\n", String::new()), "{word}");
            let (status, _, message) = run(&format!("getpcaps {word}"));
            assert_eq!((status, message.as_str()), (Some(0), ""), "{word}");
        }
    }
    let label = format!("{chain}docker:{}?", &unknown_id[..12]);
    let shown = run(&format!("ctr-ps -n -p {} -o container", inner[2]));
    assert_eq!(shown, (Some(0), label.clone() + "\n", String::new()), "no record has it");
    let (status, _, message) = run(&format!("nsenter -n -t {} true", &unknown_id[..12]));
    assert_eq!(status, Some(1));
    assert!(message.contains("is unverified") && !message.contains("ended"), "{message}");
    let entered = run(&format!("nsenter -n -t '{label}' readlink /proc/self/ns/net"));
    assert_eq!(entered, (Some(0), net(inner[2]) + "\n", String::new()));
    // A process of the outer container that is in that group belongs to the outer container.
    join(&format!("docker/{beside_id}"), unshares()[0]);
    let shown = run(&format!("ctr-ps -n -p {} -o container", unshares()[0]));
    assert_eq!(shown, (Some(0), format!("docker:{outer_name}\n"), String::new()));
}

/// Words that only logs have, for every applet that takes a target.
#[test]
fn words_of_logs_are_targets_of_all_applets() {
    if !namespaces("targets-logs") {
        return;
    }
    let script = r#"
net=$(stat -L -c %i "/proc/$web/ns/net")
sed "s|:[^:]*$|:/jobs/web|" "/proc/$web/cgroup" >/run/group
mount --bind /run/group "/proc/$web/cgroup"
for word in /jobs/web /sys/fs/cgroup/pids/jobs/web "ns:$net" "net:[$net]"; do
    for line in "nsenter -n -t" "getpcaps" "capsh --print=" "lsns -p" "ctr-inspect" "ctr-ps -q -c"; do
        case $line in
        *=) "$0" $line"$word" ;;
        nsenter*) "$0" $line "$word" true ;;
        *) "$0" $line "$word" ;;
        esac >/run/out 2>&1 || { echo "$line $word:"; cat /run/out; exit 1; }
    done
    [ "$(cat /run/out)" = "$web" ] || { echo "$word is not $web:"; cat /run/out; exit 1; }
done
own=$(stat -L -c %i /proc/self/ns/net)
! "$0" ctr-ps -c "ns:$own" 2>/dev/null
"#;
    let output = limited(&mut on_host(1, script));
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

/// An ordinary user is told the same by every applet.
#[test]
fn missing_rights_are_reported_in_the_same_words() {
    const LINE: &str = "hint: not shown: namespaces and container names of other users; root sees more";
    if !root() {
        return skip("targets-rights", "needs root, to be somebody else");
    }
    let scratch = Scratch::new("targets-rights");
    let copy = scratch.0.join("ctrbox");
    copy_of_binary(&copy);
    let missing = "ctrbox-no-such-container";
    for line in [
        &["ctr-ps"][..],
        &["ctr-ps", "-l"],
        &["ctr-ps", "-c", missing],
        &["lsns"],
        &["lsns", "-p", missing],
        &["ctr-inspect", "1"],
        &["ctr-inspect", missing],
        &["getpcaps", missing],
        &["nsenter", "-n", "-t", missing, "true"],
        &["cgexec", "--like", missing, "true"],
        &["capsh", &format!("--print={missing}")],
    ] {
        let mut command = program(copy.to_str().expect("text"));
        command.args(line).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/");
        let said = stderr(&limited(command.env("CTRBOX_HINTS", "always")));
        assert_eq!(said.lines().filter(|said| *said == LINE).count(), 1, "{line:?}: {said}");
    }
}
