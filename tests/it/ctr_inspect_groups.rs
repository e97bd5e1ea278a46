//! `ctr-inspect` on containers that their control groups tell of, as a runtime names them: few processes are read.

use serde_json::Value;

use crate::common::cgexec::{Name, mounted};
use crate::common::process::{Piped, limited, namespaces, python};
use crate::common::{applet, program, skip, stderr, stdout, there};
use crate::targets::{DOCKER, on_host};

/// A process in groups that are named as Docker names them.
struct InGroup {
    piped: Piped,
    pid: String,
    _name: Name,
}

/// The command prints its PID and reads a line, before it goes on. None where there are no such groups.
fn in_group(test: &str, command: &mut std::process::Command) -> Option<InGroup> {
    if !namespaces(test) || !python() {
        return None;
    }
    let controllers: Vec<&str> =
        ["pids", ""].into_iter().filter(|controller| mounted(controller).is_some()).collect();
    if !controllers.contains(&"pids") {
        skip(test, "needs the controller of pids");
        return None;
    }
    let name = Name::new(test);
    // Of this test alone.
    let digits: String = name.0.bytes().rev().map(|byte| format!("{byte:02x}")).collect();
    let id = &format!("{digits:0<64}")[..64];
    let mut piped = Piped::new(command);
    let pid = piped.line();
    for controller in controllers {
        let group = name.make(controller, &format!("docker-{id}.scope"));
        if std::fs::write(group.join("cgroup.procs"), &pid).is_err() {
            skip(test, "no process can be moved to a new group");
            return None;
        }
    }
    Some(InGroup { piped, pid, _name: name })
}

fn report(pid: &str, sections: &str) -> Value {
    let output = limited(applet("ctr-inspect").args(["-J", "-s", sections, pid]));
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    json["containers"][0].clone()
}

fn findings<'a>(report: &'a Value, id: &str) -> Vec<&'a Value> {
    report["findings"].as_array().expect("a list").iter().filter(|one| one["id"] == id).collect()
}

const PID_AND_LINE: &str =
    "import os, sys\nprint(os.readlink('/proc/self'), flush=True)\nsys.stdin.readline()\n";

/// Two zombies whose parent goes on.
fn zombies() -> String {
    format!(
        "{PID_AND_LINE}for n in (1, 2):\n child = os.fork()\n if child == 0: os._exit(0)\n \
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\nprint('left', flush=True)\nsys.stdin.read()\n"
    )
}

#[test]
fn zombies_that_no_group_lists_are_counted() {
    let mut command = program("unshare");
    command.args(["-m", "-p", "-f", "--kill-child", "python3", "-c", &zombies()]);
    let Some(mut one) = in_group("zombies_that_no_group_lists", &mut command) else { return };
    one.piped.say("go\n");
    assert_eq!(one.piped.line(), "left");
    for sections in ["limits,processes", "limits,processes,files"] {
        let found = report(&one.pid, sections);
        assert_eq!(found["limits"]["pids"]["zombies"], 2, "{sections}: {}", found["limits"]["pids"]);
        assert_eq!(found["processes"]["zombies"], 2, "{sections}");
        assert_eq!(findings(&found, "pid1-does-not-reap").len(), 1, "{sections}");
    }
}

/// In the host's pid namespace no process of the container has the duty to wait for orphans.
#[test]
fn only_the_first_process_of_a_pid_namespace_has_to_reap() {
    let mut command = program("unshare");
    command.args(["-m", "python3", "-c", &zombies()]);
    let Some(mut one) = in_group("only_the_first_process_has_to_reap", &mut command) else { return };
    one.piped.say("go\n");
    assert_eq!(one.piped.line(), "left");
    let found = report(&one.pid, "processes");
    assert_eq!(
        (&found["processes"]["zombies"], &found["processes"]["init"]["is_init"]),
        (&2.into(), &false.into())
    );
    assert!(findings(&found, "pid1-does-not-reap").is_empty(), "{}", found["findings"]);
}

#[test]
fn capabilities_beyond_the_default_are_one_finding() {
    let test = "capabilities_beyond_the_default";
    if !there("setpriv") {
        return skip(test, "needs setpriv");
    }
    let mut command = program("unshare");
    command.args(["-m", "-p", "-f", "-n", "--kill-child", "setpriv"]);
    command.args(["--bounding-set", "-all,+chown,+net_admin,+syslog,+sys_admin", "python3", "-c"]);
    command.arg(format!("{PID_AND_LINE}sys.stdin.read()"));
    let Some(one) = in_group(test, &mut command) else { return };
    let found = report(&one.pid, "namespaces,privileges");
    let all = findings(&found, "dangerous-capability");
    assert_eq!(all.len(), 1, "{}", found["findings"]);
    assert_eq!(all[0]["severity"], "high");
    assert_eq!(
        all[0]["evidence"][0]["value"],
        serde_json::json!(["cap_sys_admin", "cap_syslog", "cap_net_admin"]),
        "the worst first; its network is its own"
    );
    drop(one);
}

/// Also where few processes are read. As the other one of a comparison, `host` is the host.
#[test]
fn a_running_container_with_the_name_of_the_host_is_found() {
    if !namespaces("a_running_container_with_the_name_of_the_host") {
        return;
    }
    let script = "sed -i s/shop/host/ \"$record\"\necho \"$web\"\n\
                  for sections in identity identity,limits identity,network; do\n\
                  \"$0\" ctr-inspect -J -s \"$sections\" host\ndone\n\
                  \"$0\" ctr-inspect -s identity host --diff host | head -n 1\n";
    let output = limited(&mut on_host(1, &format!("{DOCKER}{script}")));
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    for line in &lines[1..4] {
        let json: Value = serde_json::from_str(line).expect("JSON");
        let identity = &json["containers"][0]["identity"];
        assert_eq!((&identity["container"], &identity["status"]), (&"docker:host".into(), &"running".into()));
        assert_eq!(identity["pid"].to_string(), lines[0], "{line}");
    }
    assert_eq!(lines[4].split_whitespace().collect::<Vec<_>>(), ["docker:host", "host"]);
}
