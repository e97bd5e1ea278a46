//! `ctr-whose -`: lines of a log with the containers of what they name.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::ctr_ps::harmless;
use crate::common::layout::{Layout, id};
use crate::common::network::{Removed, container, inside, ip, name, networks};
use crate::common::process::{fed, limited};
use crate::common::{applet, stdout, until};

fn layout(name: &str) -> (Layout, String, String) {
    let layout = Layout::new(name);
    let (web, old) = (format!("ab{}", &id(1)[2..]), format!("cd{}", &id(2)[2..]));
    for (id, name, state) in [
        (&web, "web", r#""Running":true,"Pid":100"#),
        (&old, "old", r#""Running":false,"Pid":0,"StartedAt":"2024-01-01T00:00:01Z""#),
    ] {
        let config = format!(r#"{{"Name":"/{name}","State":{{{state}}},"Config":{{"Image":"x"}}}}"#);
        layout.file(format!("var/lib/docker/containers/{id}/config.v2.json"), config);
        layout.file(format!("var/lib/docker/containers/{id}/hostconfig.json"), "{}");
    }
    layout.process(100, 0, &format!("/docker/{web}"), 5_000);
    layout.file("proc/sys/kernel/hostname", "host\n");
    layout.file("proc/uptime", "1000.00 1.00\n");
    (layout, web, old)
}

fn copied(layout: &Layout, input: &[u8]) -> Vec<u8> {
    // Not through a pipe: nobody would read the output while this writes more than fits.
    let input = std::fs::File::open(layout.file("input", input)).expect("a file");
    let mut command = applet("ctr-whose");
    let output = limited(command.arg("--root").arg(layout.host.root()).arg("-").stdin(input));
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn line(layout: &Layout, input: &str) -> String {
    String::from_utf8(copied(layout, input.as_bytes())).expect("UTF-8")
}

#[test]
fn ids_and_groups_get_the_name_of_their_container() {
    let (layout, web, old) = layout("lines-ids");
    let other = id(99);
    for (input, output) in [
        (
            format!("container start {web} (image=x)\n"),
            format!("container start {web} (docker:web) (image=x)\n"),
        ),
        (format!("short {}\n", &web[..12]), format!("short {} (docker:web)\n", &web[..12])),
        (
            format!("oom_memcg=/docker/{web},task_memcg=/docker/{old}/x,task=a,pid=9\n"),
            format!(
                "oom_memcg=/docker/{web} (docker:web),task_memcg=/docker/{old}/x (docker:old),task=a,pid=9\n"
            ),
        ),
        (format!("Stopped docker-{web}.scope.\n"), format!("Stopped docker-{web}.scope (docker:web).\n")),
        (format!("{web}: {web}"), format!("{web} (docker:web): {web} (docker:web)")),
        (format!("image {other}\n"), format!("image {other}\n")),
        // A user can give a group the name of any container.
        (
            format!("/user.slice/user-7.slice/docker-{web}.scope\n"),
            format!("/user.slice/user-7.slice/docker-{web}.scope\n"),
        ),
    ] {
        assert_eq!(line(&layout, &input), output);
    }
}

/// Another host's groups and networks can have the same names.
#[test]
fn lines_of_another_host() {
    let (layout, web, _) = layout("lines-hosts");
    layout.process(300, 0, "/work/job", 777);
    let oom = |host: &str| {
        format!("Sep  9 01:47:40 {host} kernel: Task in /work/job killed as a result of limit of /work\n")
    };
    assert!(line(&layout, &oom("host")).contains(" (anon:10300)"));
    assert_eq!(line(&layout, &oom("other")), oom("other"));
    // No other container has the id.
    let input = format!("Sep  9 01:47:40 other dockerd[7]: start {web}\n");
    assert!(line(&layout, &input).contains(" (docker:web)"));
}

/// The path has no id, and the group is that of a container.
#[test]
fn groups_of_lines_about_lack_of_memory() {
    let (layout, ..) = layout("lines-groups");
    layout.process(300, 0, "/work/job", 777);
    layout.process(301, 0, "/shared/job", 777);
    layout.host.named(302, 1, b"sshd", "/shared/job", b"sshd\0");
    let label = "anon:10300";
    let oom = |path: &str, label: &str| {
        format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={path}{label},\
             task_memcg={path}{label},task=a,pid=77,uid=0\n"
        )
    };
    let by = format!(" ({label})");
    assert_eq!(line(&layout, &oom("/work/job", "")), oom("/work/job", &by));
    for (input, output) in [
        (
            "[ 9.1] Task in /work/job killed as a result of limit of /work/job\n",
            format!("[ 9.1] Task in /work/job{by} killed as a result of limit of /work/job{by}\n"),
        ),
        ("Memory cgroup stats for /work/job:\n", format!("Memory cgroup stats for /work/job{by}:\n")),
        ("0::/work/job\n", format!("0::/work/job{by}\n")),
    ] {
        assert_eq!(line(&layout, input), output);
    }
    // Elsewhere a path can be anything; a group that the host shares and one that is gone are nobody's.
    let others = [oom("/shared/job", ""), oom("/work", ""), oom("/gone", ""), "cat /work/job\n".to_owned()];
    for input in others {
        assert_eq!(line(&layout, &input), input);
    }
}

/// The victim is gone; its PID can be that of another process since.
#[test]
fn a_kill_for_lack_of_memory_is_that_of_the_line_before_it() {
    let (layout, web, old) = layout("lines-victims");
    let oom = |id: &str, pid: i32| {
        format!(
            "[   60.000000] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,\
             oom_memcg=/docker/{id},task_memcg=/docker/{id},task=sh,pid={pid},uid=0\n"
        )
    };
    let killed = |time: &str, pid: i32, by: &str| {
        format!(
            "[   {time}] Memory cgroup out of memory: Killed process {pid}{by} (sh) total-vm:9kB, anon-rss:4kB\n"
        )
    };
    let last = |input: String| line(&layout, &input).lines().last().unwrap_or_default().to_owned() + "\n";
    // 100 is another process now, of another container.
    for pid in [77, 100] {
        let input = oom(&old, pid) + &killed("60.000200", pid, "");
        assert_eq!(last(input), killed("60.000200", pid, " (docker:old)"));
    }
    let reaped = |pid: i32, by: &str| {
        format!("[   60.000300] oom_reaper: reaped process {pid}{by} (sh), now anon-rss:0kB, file-rss:0kB\n")
    };
    assert_eq!(last(oom(&old, 77) + &reaped(77, "")), reaped(77, " (docker:old)"));
    assert_eq!(last(oom(&old, 77) + &reaped(78, "")), reaped(78, ""));
    let input = oom(&web, 77) + &killed("60.000200", 77, "") + &oom(&old, 78) + &killed("60.000200", 78, "");
    assert_eq!(last(input), killed("60.000200", 78, " (docker:old)"));
    for (before, time, pid) in [
        (oom(&old, 77), "90.000200", 77),
        (oom(&old, 77), "60.000200", 78),
        (oom(&id(9), 77), "60.000200", 77),
        (String::new(), "60.000200", 77),
    ] {
        assert_eq!(last(before + &killed(time, pid, "")), killed(time, pid, ""));
    }
}

#[test]
fn an_id_of_several_containers_is_left_alone() {
    let (layout, web, _) = layout("lines-several");
    let twin = format!("{}{}", &web[..12], &id(5)[12..]);
    layout.file(
        format!("var/lib/docker/containers/{twin}/config.v2.json"),
        r#"{"Name":"/twin","State":{"Running":false}}"#,
    );
    layout.file(format!("var/lib/docker/containers/{twin}/hostconfig.json"), "{}");
    let short = format!("short {}\n", &web[..12]);
    assert_eq!(line(&layout, &short), short);
    assert!(line(&layout, &format!("{web}\n")).contains("(docker:web)"));
}

#[test]
fn a_pid_needs_a_word_and_a_time() {
    let (layout, ..) = layout("lines-pids");
    // The process began at 50 s; the boot was at 1,000,000,000.
    for (input, named) in [
        ("[   60.000000] Killed process 100 (x) total-vm:1kB\n", true),
        ("[   40.000000] Killed process 100 (x) total-vm:1kB\n", false),
        ("[   60.000000] Killed process 100 (nginx) total-vm:1kB\n", false),
        ("[   60.000000] oom-kill:task_memcg=/x,task=x,pid=100,uid=0\n", true),
        ("[   60.000000] oom-kill:task_memcg=/x,task=y,pid=100,uid=0\n", false),
        ("[   60.000000] CPU: 0 PID: 100 Comm: x Not tainted\n", true),
        ("type=SYSCALL msg=audit(1000000060.123:456): pid=100 uid=0 comm=\"x\"\n", true),
        ("type=SYSCALL msg=audit(1000000040.123:456): pid=100 uid=0 comm=\"x\"\n", false),
        ("2001-09-09T01:47:40Z x[1]: pid 100\n", true),
        ("2001-09-09T01:47:20Z x[1]: pid 100\n", false),
        ("time=\"2001-09-09T01:47:40.123456789Z\" level=info pid=100\n", true),
        ("time=\"2001-09-09T01:47:20.123456789Z\" level=info pid=100\n", false),
        ("users:((\"x\",pid=100,fd=3))\n", true),
        ("users:((\"y\",pid=100,fd=3))\n", false),
        ("pid 100\n", false),
        ("[   60.000000] port 100\n", false),
        ("[   60.000000] sshd[100]: x\n", false),
        // The name and the PID before the text of syslog, and nowhere else.
        ("2001-09-09T01:47:40Z host x[100]: text\n", true),
        ("2001-09-09T01:47:40+0000 host x[100]: text\n", true),
        ("Sep  9 01:47:40 host x[100]: text\n", true),
        ("<30>Sep  9 01:47:40 x[100]: text\n", true),
        ("2001-09-09T01:47:20Z host x[100]: text\n", false),
        ("2001-09-09T01:47:40Z host y[100]: text\n", false),
        ("2001-09-09T01:47:40Z host y[7]: x[100]: text\n", false),
        ("2001-09-09T01:47:40Z host x[100] text\n", false),
        ("host x[100]: text\n", false),
        // Of this host, by whatever name.
        ("Sep  9 01:47:40 HOST.example.org x[100]: text\n", true),
        ("Sep  9 01:47:40 other x[100]: text\n", false),
        ("2001-09-09T01:47:40Z other x[100]: text\n", false),
        ("Sep  9 01:47:40 other kernel: [   60.000000] Killed process 100 (x) total-vm:1kB\n", false),
        ("Sep  9 01:47:40 host kernel: [   60.000000] Killed process 100 (x) total-vm:1kB\n", true),
        // Nobody has written it yet.
        ("[999999999.000000] Killed process 100 (x) total-vm:1kB\n", false),
        ("type=SYSCALL msg=audit(9999999999.123:456): pid=100 uid=0 comm=\"x\"\n", false),
        ("2999-09-09T01:47:40Z x[1]: pid 100\n", false),
    ] {
        let output = line(&layout, input);
        assert_eq!(output.contains(" (docker:web)"), named, "{output}");
        assert_eq!(output.replace(" (docker:web)", ""), input);
    }
}

#[test]
fn bytes_stay_as_they_are() {
    let (layout, web, _) = layout("lines-bytes");
    let long = vec![b'x'; 3 << 20];
    let input = [
        &b"\x1b[31m\xff\xfe\0 \r\n\n\n"[..],
        &long,
        b"\n1.2.3.4.5.6 ::: [ pid= () // \\ 99999999999999999999\n",
        &long[..100],
    ]
    .concat();
    assert!(copied(&layout, &input) == input, "the bytes differ");
    // Text as it comes out of any program.
    let noise: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert!(copied(&layout, &noise) == noise, "the bytes differ");
    let with_id = [&noise[..5000], b"\n", web.as_bytes(), b"\n", &noise[..5000]].concat();
    let expected = [&noise[..5000], b"\n", web.as_bytes(), b" (docker:web)\n", &noise[..5000]].concat();
    assert!(copied(&layout, &with_id) == expected, "the bytes differ");
}

#[test]
fn json_has_the_lines_with_an_answer() {
    let (layout, web, old) = layout("lines-json");
    let mut command = applet("ctr-whose");
    command.arg("--root").arg(layout.host.root()).args(["--json", "-"]);
    let input = format!("nothing\nstart {web}\x1b\nstop {old} {web}\n");
    let output = stdout(&fed(&mut command, Some(input.as_bytes())));
    harmless(&output);
    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{output}");
    assert_eq!((&lines[0]["line"], &lines[0]["text"]), (&json!(2), &json!(format!("start {web}\u{1b}"))));
    let thing = &lines[0]["things"][0];
    assert_eq!((&thing["thing"], &thing["kind"]), (&json!(web), &json!("id")));
    assert_eq!(thing["answers"][0]["container"], "docker:web");
    let names: Vec<&Value> = lines[1]["things"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|thing| &thing["answers"][0]["container"])
        .collect();
    assert_eq!(names, ["docker:old", "docker:web"]);
}

#[test]
fn lines_come_out_as_they_go_in() {
    let (layout, web, _) = layout("lines-stream");
    let mut command = applet("ctr-whose");
    command.arg("--root").arg(layout.host.root()).arg("-");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let (mut to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut from = BufReader::new(from);
    for (input, output) in
        [("a\n".to_owned(), "a\n".to_owned()), (format!("{web}\n"), format!("{web} (docker:web)\n"))]
    {
        to.write_all(input.as_bytes()).expect("written");
        let mut line = String::new();
        from.read_line(&mut line).expect("a line");
        assert_eq!(line, output);
    }
    // A container that begins later, in a line with one that is known.
    let new = format!("ef{}", &id(3)[2..]);
    let config = r#"{"Name":"/new","State":{"Running":false,"StartedAt":"2024-01-01T00:00:01Z"}}"#;
    layout.file(format!("var/lib/docker/containers/{new}/config.v2.json"), config);
    layout.file(format!("var/lib/docker/containers/{new}/hostconfig.json"), "{}");
    until("the new container is known", || {
        to.write_all(format!("{web} {new}\n").as_bytes()).expect("written");
        let mut line = String::new();
        from.read_line(&mut line).expect("a line");
        assert!(line.starts_with(&format!("{web} (docker:web) {new}")), "{line}");
        line == format!("{web} (docker:web) {new} (docker:new)\n")
    });
    drop(to);
    assert!(child.wait().expect("an end").success());
}

#[test]
fn interfaces_and_addresses_of_real_containers() {
    if !networks("interfaces_and_addresses_of_real_containers") {
        return;
    }
    let (one, two) = (container(), container());
    let mut kept = Vec::new();
    for (letter, holder, own) in [('l', &one, "10.93.77.2/24"), ('m', &two, "10.93.77.3/24")] {
        let (peer, here) = (name(letter), std::process::id().to_string());
        kept.push(Removed(peer.clone()));
        inside(holder, move || {
            ip(&["link", "add", "eth0", "type", "veth", "peer", "name", &peer, "netns", &here]);
            ip(&["addr", "add", own, "dev", "eth0"]);
            ip(&["addr", "add", "10.93.77.9/32", "dev", "eth0"]);
        });
    }
    // A container takes an address of the world, and one of a network that the host reaches otherwise.
    let elsewhere = Removed(name('n'));
    ip(&["link", "add", &elsewhere.0, "type", "bridge"]);
    ip(&["addr", "add", "10.93.78.1/24", "dev", &elsewhere.0]);
    ip(&["link", "set", &elsewhere.0, "up"]);
    inside(&one, || {
        for address in ["203.0.113.7/32", "10.93.78.5/32"] {
            ip(&["addr", "add", address, "dev", "eth0"]);
        }
    });
    let label = |pid: i32| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/pid")).expect("a link");
        let link = link.to_string_lossy().into_owned();
        format!("anon:{}", link.trim_start_matches("pid:[").trim_end_matches(']'))
    };
    let (a, b) = (label(one.pid), label(two.pid));
    let (veth_a, veth_b) = (name('l'), name('m'));
    let input = format!(
        "port 1({veth_a}) entered\n7: {veth_b}@if2: <UP>\nsrc=10.93.77.2 dst=10.93.77.3:80\n10.93.77.9 10.93.77.22\n{veth_a}x\n203.0.113.7 10.93.78.5\n"
    );
    let expected = format!(
        "port 1({veth_a} ({a})) entered\n7: {veth_b} ({b})@if2: <UP>\nsrc=10.93.77.2 ({a}) dst=10.93.77.3 ({b}):80\n\
         10.93.77.9 10.93.77.22\n{veth_a}x\n203.0.113.7 10.93.78.5\n"
    );
    let output = fed(applet("ctr-whose").arg("-"), Some(input.as_bytes()));
    assert_eq!(stdout(&output), expected);
}
