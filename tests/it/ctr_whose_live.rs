//! `ctr-whose` with interfaces, sockets and mounts that this test makes.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::common::network::{Removed, container, held_inside, inside, ip, name, networks};
use crate::common::process::{Holder, executable, fed, limited, namespaces};
use crate::common::{Scratch, applet, program, skip, stderr, stdout};

fn whose(words: &[&str]) -> Output {
    limited(applet("ctr-whose").args(words))
}

fn things(word: &str) -> Vec<Value> {
    let output = whose(&["-J", word]);
    let json: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    json["things"].as_array().expect("a list").clone()
}

/// Container and role of each answer.
fn answers(word: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = things(word);
    let all = all.iter().flat_map(|thing| thing["answers"].as_array().expect("a list"));
    let mut found: Vec<_> = all.map(|one| (text(&one["container"]), text(&one["role"]))).collect();
    found.sort();
    found
}

fn label(holder: &Holder) -> String {
    format!("anon:{}", holder.link("pid").trim_start_matches("pid:[").trim_end_matches(']'))
}

fn of(holder: &Holder, role: &str) -> (String, String) {
    (label(holder), role.to_owned())
}

/// A veth whose one end is `eth0` with index 77 in the container.
fn veth(letter: char, holder: &Holder, address: &'static str) -> Removed {
    let (peer, here) = (name(letter), std::process::id().to_string());
    let removed = Removed(peer.clone());
    inside(holder, move || {
        ip(&["link", "add", "eth0", "index", "77", "type", "veth", "peer", "name", &peer, "netns", &here]);
        ip(&["addr", "add", address, "dev", "eth0"]);
    });
    removed
}

#[test]
fn the_other_end_of_a_veth() {
    if !networks("the_other_end_of_a_veth") {
        return;
    }
    let (one, two) = (container(), container());
    let _kept = [veth('p', &one, "10.92.77.2/24"), veth('q', &two, "10.92.77.3/24")];
    // Inside, a container gives any name: here that of the other container's peer.
    let decoy = name('p');
    inside(&two, move || ip(&["link", "add", &decoy, "type", "bridge"]));
    assert_eq!(answers(&name('p')), [of(&one, "peer")]);
    assert_eq!(answers(&format!("if:{}", name('q'))), [of(&two, "peer")]);
    let thing = &things(&format!("{}@if77", name('p')))[0];
    assert_eq!(thing["kind"], "interface");
    assert_eq!(thing["answers"][0]["detail"], "peer of eth0 (10.92.77.2)");
    assert_eq!(
        (&thing["answers"][0]["by"], &thing["answers"][0]["pid"]),
        (&json!("kernel"), &json!(one.pid))
    );
    // A renamed peer.
    let renamed = name('r');
    ip(&["link", "set", &name('p'), "name", &renamed]);
    let _renamed = Removed(renamed.clone());
    assert_eq!(answers(&renamed), [of(&one, "peer")]);
    let bridge = Removed(name('s'));
    ip(&["link", "add", &bridge.0, "type", "bridge"]);
    for port in [renamed, name('q')] {
        ip(&["link", "set", &port, "master", &bridge.0]);
    }
    let mut both = [of(&one, "member"), of(&two, "member")];
    both.sort();
    assert_eq!(answers(&bridge.0), both);
}

/// The words after the first one of the line of `ctr-ps` or `lsns` with that word.
fn row(name: &str, options: &[&str], first: &str) -> String {
    let output = limited(applet(name).args(options));
    let text = stdout(&output);
    let row = text.lines().find(|line| line.split(' ').next() == Some(first));
    row.unwrap_or_else(|| panic!("no {first} in {text}")).split_once(' ').expect("words").1.to_owned()
}

#[test]
fn the_column_veth_of_lists() {
    if !networks("the_column_veth_of_lists") {
        return;
    }
    // Both other ends have the same index.
    let (one, two, none) = (container(), container(), container());
    let _kept = [veth('w', &one, "10.92.79.2/24"), veth('x', &two, "10.92.79.2/24")];
    let rows = [(&one, name('w')), (&two, name('x')), (&none, String::new())];
    for (holder, expected) in rows {
        let inode = holder.link("net").trim_start_matches("net:[").trim_end_matches(']').to_owned();
        assert_eq!(row("lsns", &["-r", "-n", "-t", "net", "-o", "NS,VETH"], &inode), expected);
        let word = holder.pid.to_string();
        let expected = if expected.is_empty() { "10.92.79.2 -" } else { &format!("10.92.79.2 {expected}") };
        let expected = if expected.ends_with('-') { "- -" } else { expected };
        assert_eq!(row("ctr-ps", &["-l", "-r", "-n", "-o", "pid,ip,veth"], &word), expected);
    }
    // A namespace of another kind has none.
    let output = limited(applet("lsns").args(["-r", "-n", "-t", "uts", "-o", "TYPE,VETH"]));
    assert!(stdout(&output).lines().all(|line| line.trim() == "uts"), "{}", stdout(&output));
}

#[test]
fn an_address_in_several_namespaces() {
    if !networks("an_address_in_several_namespaces") {
        return;
    }
    let (one, two) = (container(), container());
    for holder in [&one, &two] {
        inside(holder, || {
            ip(&["link", "add", "d0", "address", "02:92:78:00:00:01", "type", "bridge"]);
            ip(&["addr", "add", "10.92.78.2/24", "dev", "d0"]);
            ip(&["addr", "add", "fd92:78::2/64", "dev", "d0"]);
        });
    }
    let mut both = [of(&one, "address"), of(&two, "address")];
    both.sort();
    assert_eq!(answers("10.92.78.2"), both);
    assert_eq!(answers("ip:fd92:78::2/64"), both);
    let mut both = [of(&one, "interface"), of(&two, "interface")];
    both.sort();
    assert_eq!(answers("02:92:78:00:00:01"), both);
    assert_eq!(answers("10.92.78.3"), []);
    let host = &things("127.0.0.1")[0]["host"]["text"];
    assert_eq!(host, "lo of the host");
}

#[test]
fn a_device_on_another_one() {
    if !networks("a_device_on_another_one") {
        return;
    }
    let holder = container();
    let parent = Removed(name('t'));
    let other = Removed(name('u'));
    ip(&["link", "add", &parent.0, "type", "veth", "peer", "name", &name('v')]);
    ip(&["link", "add", &other.0, "type", "bridge"]);
    let pid = holder.pid.to_string();
    let made = limited(
        program("ip")
            .args(["link", "add", "link", &other.0, "name", "mv0", "netns", &pid, "type", "macvlan"]),
    );
    if !made.status.success() {
        return skip("a_device_on_another_one", "the kernel has no macvlan");
    }
    let text = things("if:mv0")[0]["answers"].to_string();
    assert!(text.contains(&format!("macvlan mv0 on {}", other.0)), "{text}");
    assert_eq!(answers("if:mv0"), [of(&holder, "interface")]);
    assert_eq!(answers(&other.0), [of(&holder, "member")]);
    let host = &things(&parent.0)[0]["host"]["text"];
    assert_eq!(host, &json!(format!("veth of the host, peer of {}", name('v'))));
}

#[test]
fn who_listens_on_the_host_and_inside() {
    if !networks("who_listens_on_the_host_and_inside") {
        return;
    }
    let (shares, own) = (Holder::new(&["-m", "-p", "-f"], ""), container());
    let bind = |address: &str| TcpListener::bind(address).expect("bound");
    let (host, of_container) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let port = |socket: &TcpListener| format!(":{}", socket.local_addr().expect("an address").port());
    let (word, other) = (port(&host), port(&of_container));
    let mut children = vec![held_inside(&shares, of_container)];
    let output = whose(&[&word]);
    assert_eq!(output.status.code(), Some(1));
    let pid = std::process::id();
    assert!(
        stdout(&output).contains("no container: ") && stdout(&output).contains(&format!(" {pid}")),
        "{}",
        stdout(&output)
    );
    assert_eq!(answers(&other), [of(&shares, "listener")]);
    // A port that nobody has on the host.
    let (inner, number) = inside(&own, || {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
        let number = socket.local_addr().expect("an address").port();
        (socket, number)
    });
    let inode = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&inner)));
    let inode = inode.expect("a link").to_string_lossy().into_owned();
    children.push(held_inside(&own, inner));
    if TcpListener::bind(("127.0.0.1", number)).is_ok() {
        assert_eq!(answers(&format!("{number}/tcp")), [of(&own, "listener")]);
        assert!(answers(&format!("{number}/udp")).is_empty());
    }
    assert_eq!(answers(&inode), [of(&own, "holder")]);
    drop((shares, own, host));
    children.iter_mut().for_each(|child| _ = child.wait());
}

/// A program that holds its stdin and ends with the container.
fn run_inside(holder: &Holder, program_file: &str, arguments: &[&str], socket: TcpListener) -> Child {
    let pid = holder.pid.to_string();
    let mut command = program("nsenter");
    command.args(["--target", &pid, "--mount", "--pid", program_file]).args(arguments);
    let socket: std::os::fd::OwnedFd = socket.into();
    let mut child = command
        .stdin(Stdio::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut line = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut line).expect("a line");
    child
}

#[test]
fn a_process_of_a_container_is_no_proxy() {
    if !networks("a_process_of_a_container_is_no_proxy") {
        return;
    }
    let (liar, victim) = (Holder::new(&["-m", "-p", "-f"], ""), container());
    inside(&victim, || ip(&["addr", "add", "10.92.79.2/32", "dev", "lo"]));
    let scratch = Scratch::new("whose-liar");
    let mut children = Vec::new();
    for name in
        ["docker-proxy", "conmon", "rootlessport", "rootlesskit", "slirp4netns", "pasta", "passt.avx2"]
    {
        let file = scratch.0.join(name);
        executable(&file, b"#!/bin/sh\necho ready\nwhile :; do sleep 1000; done\n", 0o755);
        let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = socket.local_addr().expect("an address").port().to_string();
        let arguments = format!(
            "-proto tcp -host-ip 127.0.0.1 -host-port {port} -container-ip 10.92.79.2 -container-port 80 -t {port}:80"
        );
        let arguments: Vec<&str> = arguments.split(' ').collect();
        children.push(run_inside(&liar, file.to_str().expect("UTF-8"), &arguments, socket));
        assert_eq!(answers(&format!(":{port}")), [of(&liar, "listener")], "{name}");
        let pid = &things(&format!(":{port}"))[0]["answers"][0]["pid"];
        let line = format!("LISTEN 0 1 127.0.0.1:{port} 0.0.0.0:* users:((\"{name}\",pid={pid},fd=0))\n");
        let copied = stdout(&fed(applet("ctr-whose").arg("-"), Some(line.as_bytes())));
        assert_eq!(copied, line.replace(",fd", &format!(" ({}),fd", label(&liar))), "its own container");
    }
    drop((liar, victim));
    children.iter_mut().for_each(|child| _ = child.wait());
}

/// A process of the host that is killed with the value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn a_proxy_of_root_leads_to_the_container() {
    if !networks("a_proxy_of_root_leads_to_the_container") {
        return;
    }
    let holder = container();
    let inner = inside(&holder, || {
        ip(&["addr", "add", "10.92.81.2/32", "dev", "lo"]);
        TcpListener::bind("10.92.81.2:80").expect("bound")
    });
    let mut children = [held_inside(&holder, inner)];
    let scratch = Scratch::new("whose-proxy");
    let file = scratch.0.join("docker-proxy");
    executable(&file, b"#!/bin/sh\necho ready\nwhile :; do sleep 1; done\n", 0o755);
    let run = |user: Option<u32>, begin: &[&OsStr]| {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = socket.local_addr().expect("an address").port().to_string();
        let mut command = match user {
            Some(user) => {
                let mut command = program("setpriv");
                command.args(["--reuid", &user.to_string(), "--clear-groups"]).arg(begin[0]);
                command
            }
            None => Command::new(begin[0]),
        };
        command.args(&begin[1..]);
        command.args(["-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", &port]);
        command.args(["-container-ip", "10.92.81.2", "-container-port", "80"]);
        let socket: std::os::fd::OwnedFd = socket.into();
        command.stdin(Stdio::from(socket)).stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut line = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut line).expect("a line");
        (Killed(child), format!(":{port}"))
    };
    let (proxy, port) = run(None, &[file.as_ref()]);
    let found = &things(&port)[0]["answers"][0];
    assert_eq!((&found["container"], &found["by"]), (&json!(label(&holder)), &json!("proxy")), "{found}");
    let detail = found["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains(&format!("127.0.0.1{port}->80/tcp (docker-proxy)")) && detail.contains("listens"),
        "{detail}"
    );
    let text = things(&proxy.0.id().to_string())[0]["host"]["text"].clone();
    let works = format!(", which works for {}", label(&holder));
    assert!(text.as_str().is_some_and(|text| text.ends_with(&works)), "{text}");
    // The same in a line of ss(8); not at a port that it has not.
    let line = |port: &str, name: &str, pid: u32| {
        format!("LISTEN 0 4096 127.0.0.1{port} 0.0.0.0:* users:((\"{name}\",pid={pid},fd=0))\n")
    };
    let copied = |line: &str| stdout(&fed(applet("ctr-whose").arg("-"), Some(line.as_bytes())));
    let of_proxy = line(&port, "docker-proxy", proxy.0.id());
    assert_eq!(copied(&of_proxy), of_proxy.replace(",fd", &format!(" ({}),fd", label(&holder))));
    for other in [line(":1", "docker-proxy", proxy.0.id()), line(&port, "conmon", proxy.0.id())] {
        assert_eq!(copied(&other), other);
    }
    // Any user can give a process that name.
    std::fs::set_permissions(&scratch.0, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("a mode");
    let (of_user, port) = run(Some(65534), &[file.as_ref()]);
    assert_eq!(answers(&port), []);
    let of_user_line = line(&port, "docker-proxy", of_user.0.id());
    assert_eq!(copied(&of_user_line), of_user_line);
    assert!(things(&port)[0]["host"]["text"].as_str().is_some_and(|text| text.starts_with("docker-proxy ")));
    let text = things(&of_user.0.id().to_string())[0]["host"]["text"].to_string();
    assert!(text.starts_with("\"docker-proxy ") && !text.contains("works for"), "{text}");
    // And start a set-user-ID program of root under that name, with any arguments.
    let raised = scratch.0.join("raised/docker-proxy");
    std::fs::create_dir(scratch.0.join("raised")).expect("a directory");
    executable(&raised, &std::fs::read("/bin/sh").expect("a shell"), 0o4755);
    let script = OsStr::new("echo ready; while :; do sleep 1; done");
    let begin = [raised.as_ref(), OsStr::new("-p"), OsStr::new("-c"), script, OsStr::new("name")];
    for user in [Some(65534), None] {
        let (other, port) = run(user, &begin);
        assert_eq!(answers(&port), [], "{user:?}");
        let line = line(&port, "docker-proxy", other.0.id());
        assert_eq!(copied(&line), line);
    }
    drop(holder);
    children.iter_mut().for_each(|child| _ = child.wait());
}

#[test]
fn namespaces_and_processes() {
    if !namespaces("namespaces_and_processes") {
        return;
    }
    let holder = Holder::new(&["-m", "-p", "-f", "-n", "-u"], "hostname whose-forged-name");
    for kind in ["pid", "net", "mnt", "uts"] {
        let link = holder.link(kind);
        assert_eq!(answers(&link), [of(&holder, "itself")], "{link}");
        let inode = link.split(['[', ']']).nth(1).expect("an inode").to_owned();
        assert_eq!(answers(&inode), [of(&holder, "itself")], "{inode}");
        assert_eq!(answers(&holder.file(&format!("ns/{kind}"))), [of(&holder, "itself")]);
    }
    assert_eq!(answers(&holder.pid.to_string()), [of(&holder, "member")]);
    assert!(answers("cpid:1").contains(&of(&holder, "member")));
    // The host's own.
    let own = std::fs::read_link("/proc/self/ns/user").expect("a link").to_string_lossy().into_owned();
    let found = whose(&[&own, &std::process::id().to_string()]);
    assert_eq!(stdout(&found).matches("no container").count(), 2, "{}", stdout(&found));
    // To whom the kernel does not show the namespaces, it is not the host's process.
    let scratch = Scratch::new("whose-unknown");
    let binary = scratch.0.join("ctrbox");
    crate::common::process::copy_of_binary(&binary);
    let mut command = program("setpriv");
    command.args(["--reuid", "65534", "--clear-groups"]).arg(&binary).arg("ctr-whose");
    let output = limited(command.arg(holder.pid.to_string()));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("  unknown: ") && text.contains("CAP_SYS_PTRACE"), "{text}");
    assert!(!text.contains("no container"), "{text}");
    // What a container calls itself is a claim.
    let claim = &things("host:whose-forged-name")[0]["answers"][0];
    assert_eq!((&claim["container"], &claim["by"]), (&json!(label(&holder)), &json!("claim")));
}

#[test]
fn a_directory_of_the_host_that_a_container_has_mounted() {
    if !namespaces("a_directory_of_the_host_that_a_container_has_mounted") {
        return;
    }
    let scratch = Scratch::new("whose-mount");
    let data = scratch.0.join("data");
    std::fs::create_dir_all(data.join("sub")).expect("a directory");
    std::fs::write(data.join("sub/file"), "").expect("a file");
    symlink(&data, scratch.0.join("link")).expect("a link");
    let setup = format!("mkdir -p {0}/at\nmount --bind {0}/data {0}/at", scratch.0.display());
    let holder = Holder::new(&["-m", "-p", "-f"], &setup);
    // Other containers can see the whole host.
    let roles = |path: &str| -> Vec<String> {
        let own = answers(path).into_iter().filter(|(name, _)| *name == label(&holder));
        own.map(|(_, role)| role).collect()
    };
    for path in ["data", "data/sub/file", "link/sub"] {
        let path = scratch.0.join(path);
        assert_eq!(roles(path.to_str().expect("UTF-8")), ["mount"], "{path:?}");
    }
    assert!(roles(data.join("sub/none").to_str().expect("UTF-8")).is_empty(), "no such file");
    // A link that the container made is not followed.
    symlink("/etc", data.join("evil")).expect("a link");
    let path = data.join("evil/passwd");
    let found = things(path.to_str().expect("UTF-8"));
    assert!(found[0]["answers"].to_string().contains("/at/evil/passwd"), "{found:?}");
    let neighbour = scratch.0.join("at");
    assert!(roles(neighbour.to_str().expect("UTF-8")).is_empty());
}

#[test]
fn what_an_ordinary_user_may_not_see_is_no_answer() {
    if !networks("what_an_ordinary_user_may_not_see_is_no_answer") {
        return;
    }
    let holder = container();
    inside(&holder, || ip(&["addr", "add", "10.92.80.2/32", "dev", "lo"]));
    assert_eq!(answers("10.92.80.2"), [of(&holder, "address")]);
    let scratch = Scratch::new("whose-user");
    let binary = scratch.0.join("ctrbox");
    crate::common::process::copy_of_binary(&binary);
    let mut command = program("setpriv");
    command.args(["--reuid", "65534", "--clear-groups"]).arg(&binary).args(["ctr-whose", "10.92.80.2"]);
    let output = limited(&mut command);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("unknown: cannot look at network namespaces"), "{}", stdout(&output));
    assert!(!stderr(&output).contains("nothing found"), "{}", stderr(&output));
    // In lines nothing is added: why, is said once.
    let mut command = program("setpriv");
    command.args(["--reuid", "65534", "--clear-groups"]).arg(&binary).args(["ctr-whose", "-"]);
    let input = "from 10.92.80.2\n".repeat(3);
    let output = fed(&mut command, Some(input.as_bytes()));
    assert_eq!(stdout(&output), input);
    assert_eq!(stderr(&output).matches("only root of the host sees").count(), 1, "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

/// slirp4netns leaves the host's root directory for one that is nearly empty. A user can run other code in it, in a root
/// directory of that user's choice.
#[test]
fn a_program_of_the_host_leaves_its_root_for_a_bare_one() {
    const TEST: &str = "a_program_of_the_host_leaves_its_root_for_a_bare_one";
    const SCRIPT: &str = "
        mount -t tmpfs tmpfs /usr/local/bin
        cp /usr/bin/perl /usr/local/bin/slirp4netns
        mkdir $1/root
        mkfifo $1/ready
        mount -t tmpfs tmpfs $1/root
        mkdir $1/root/etc $1/root/run $2
        /usr/local/bin/slirp4netns -e '$| = 1; chroot shift or exit 1; print qq(y\\n); sleep 1000' $1/root >$1/ready &
        trap \"kill $!\" EXIT
        read -r line <$1/ready
        \"$0\" ctr-whose $! || :
        \"$0\" ctr-ps -n -o container -p $!";
    if !networks(TEST) {
        return;
    }
    if !std::path::Path::new("/usr/bin/perl").exists() {
        return skip(TEST, "needs perl");
    }
    for (others, begin) in [("", "no container: slirp4netns"), ("$1/root/usr", "anon:")] {
        let scratch = Scratch::new("whose-bare");
        let script = SCRIPT.replace("$2", others);
        let mut command = program("unshare");
        command.args(["-m", "sh", "-ec", &script]).arg(crate::common::binary()).arg(&scratch.0);
        let text = stdout(&limited(&mut command));
        let answer = text.split_once("  ").map(|(_, answer)| answer);
        assert!(answer.is_some_and(|answer| answer.starts_with(begin)), "{others}: {text}");
        let container = text.lines().last().expect("a line");
        assert_eq!(container == "-", others.is_empty(), "{text}");
    }
}
