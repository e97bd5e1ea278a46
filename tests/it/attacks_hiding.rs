//! What a container can do to be taken for another, or not to be seen: names of groups that look as if the kernel had
//! changed them, a first thread that ends, names of interfaces, sockets and hosts.

use std::fs::{create_dir, remove_dir};
use std::path::PathBuf;

use serde_json::Value;

use crate::common::cgexec::{Name, cgexec, possible};
use crate::common::ctr_inspect::{finding, of, report};
use crate::common::lsns::row;
use crate::common::process::{Holder, Piped, limited, namespaces, printed, python};
use crate::common::{applet, program, stderr, stdout, until};

/// Removes groups when a test ends or fails.
struct Groups(Vec<PathBuf>);

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            until("a group without processes", || remove_dir(group).is_ok() || !group.exists());
        }
    }
}

/// The kernel writes ` (deleted)` behind the path of a removed group. The name of a group can end so too.
#[test]
fn a_group_that_is_called_deleted_is_no_other_group() {
    if !possible("a_group_that_is_called_deleted") {
        return;
    }
    let name = Name::new("hiding");
    let real = PathBuf::from(format!("{} (deleted)", name.make("pids", "").display()));
    create_dir(&real).expect("a group");
    let _groups = Groups(vec![real.clone()]);
    let shown = |holder: &Holder| {
        let text = std::fs::read_to_string(holder.file("cgroup")).expect("its groups");
        text.lines().find(|line| line.contains(":pids:")).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let mut command = program("sh");
    let enter = "echo $$ >\"$0/cgroup.procs\"; echo $$; exec cat";
    let mut piped = Piped::new(command.args(["-c", enter]).arg(&real));
    let pid = piped.line().parse().expect("a PID");
    let holder = Holder::of(piped, pid);
    let mut like = cgexec();
    let text = printed(like.args(["--like", &pid.to_string(), "cat", "/proc/self/cgroup"]));
    let found = text.lines().find(|line| line.contains(":pids:"));
    assert_eq!(found, Some(shown(&holder).as_str()));
}

/// Python as the first process of a container, of which the first thread ends. Another one is in a network of its own.
const FIRST_ENDS: &str = r#"
import ctypes, os, threading
libc = ctypes.CDLL(None, use_errno=True)
keep = b"x" * (8 << 20)
ready = threading.Event()
def other():
    if libc.unshare(0x40000000) != 0:
        os._exit(9)
    print(os.readlink("/proc/self"), os.readlink("/proc/thread-self/ns/net"), flush=True)
    ready.set()
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=other).start()
ready.wait()
libc.syscall(60 if os.uname().machine == "x86_64" else 93, 0)
"#;

/// The kernel removes namespaces, memory and files of the first thread of a process when it ends. The others go on.
#[test]
fn a_process_whose_first_thread_has_ended_is_not_hidden() {
    let test = "a_process_whose_first_thread_has_ended";
    if !namespaces(test) || !python() {
        return;
    }
    let options = ["-m", "-p", "-f", "--kill-child", "python3", "-c", FIRST_ENDS];
    let mut piped = Piped::new(program("unshare").args(options));
    let line = piped.line();
    let (pid, net) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    let net = net.trim_start_matches("net:[").trim_end_matches(']');
    let holder = Holder::of(piped, pid.parse().expect("a PID"));
    let stat = holder.file("stat");
    until("the end of the first thread", || {
        std::fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z "))
    });
    let found = row(&[], "NPROCS,PID", net);
    assert_eq!(found, Some(format!("1 {pid}")), "lsns");
    assert_eq!(row(&["-t", "net"], "PID", net).as_deref(), Some(pid));

    let found = of(&holder);
    assert_eq!(found["identity"]["status"], "running", "{found}");
    assert_eq!(found["limits"]["pids"]["zombies"], 0);
    assert_eq!(found["processes"]["zombies"], 0);
    assert!(found["processes"]["list"][0]["fds"].is_number());
    let rss = found["limits"]["processes"]["rss"].as_u64();
    assert!(rss.is_some_and(|rss| rss > 8 << 20), "{}", found["limits"]["processes"]);
    assert!(finding(&found, "zombies-unreaped").is_none());
    let unknown = found["unknown"].as_array().expect("a list");
    let is_of_zombie = |one: &Value| one["why"].as_str().is_some_and(|why| why.contains("is a zombie"));
    assert!(!unknown.iter().any(is_of_zombie), "{unknown:?}");

    let output = limited(applet("nsenter").args(["-t", pid, "-n", "true"]).env("CTRBOX_HINTS", "always"));
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains(&format!("/proc/{pid}/task")), "{said}");
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads").flatten();
    let other = tasks.map(|task| task.file_name().into_string().expect("a number")).find(|task| task != pid);
    let by_thread = printed(
        applet("nsenter")
            .args(["-t", &other.expect("a thread"), "-n"])
            .args(["readlink", "/proc/self/ns/net"]),
    );
    assert_eq!(by_thread, format!("net:[{net}]\n"));
}

/// The kernel takes a thread that ends out of its groups of version 1. Those of the others are the groups of the process.
#[test]
fn the_groups_of_a_process_whose_first_thread_has_ended() {
    let test = "the_groups_of_a_process_whose_first_thread_has_ended";
    if !possible(test) || !namespaces(test) || !python() {
        return;
    }
    let name = Name::new("ended");
    let group = name.make("pids", "");
    let mut command = program("sh");
    let enter = "echo $$ >\"$0/cgroup.procs\"; exec python3 -c \"$1\"";
    let mut piped = Piped::new(command.args(["-c", enter]).arg(&group).arg(FIRST_ENDS));
    let line = piped.line();
    let (pid, _) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    let holder = Holder::of(piped, pid.parse().expect("a PID"));
    let text = |file: &str| std::fs::read_to_string(holder.file(file)).unwrap_or_default();
    until("the end of the first thread", || text("stat").contains(") Z "));
    let threads = std::fs::read_dir(holder.file("task")).expect("threads").flatten();
    let thread =
        { threads }.map(|one| one.file_name().into_string().expect("a number")).find(|one| one != pid);
    let lines = text(&format!("task/{}/cgroup", thread.expect("another thread")));
    let line_of = |text: &str| text.lines().find(|line| line.contains(":pids:")).map(str::to_owned);
    assert!(line_of(&lines).is_some_and(|line| !line.ends_with(":/")), "{lines}");
    let joined = printed(cgexec().args(["--like", pid, "cat", "/proc/self/cgroup"]));
    assert_eq!(line_of(&joined), line_of(&lines));
}

/// Interfaces, a socket without a file, a socket with one, and a host. The names are ISO 2022, C1, bidi, invalid UTF-8.
const NAMES: &str = r#"
import ctypes, os, socket, struct, sys
def attribute(kind, data):
    length = 4 + len(data)
    return struct.pack("HH", length, kind) + data + bytes(-length % 4)
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
for name in [b"\x1b[2J\x1b[31mX", b"a\xc2\x9bb", b"a\"b\x01\\", b"e\xe2\x80\xaeth", b"\xff\xfe", b"x)\x07(y"]:
    body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + attribute(3, name + b"\0")
    body += attribute(18, attribute(1, b"veth\0"))
    link.send(struct.pack("IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
    if struct.unpack_from("i", link.recv(4096), 16)[0] != 0:
        sys.exit("no veth")
host = b"h\x1b[2J\xc2\x9b\n\xe2\x80\xae"
ctypes.CDLL(None).sethostname(host, len(host))
os.chdir(sys.argv[1])
kept = []
for name in [b"\0\x1b[2Jabstract\n x", b"\x1b[2J\nsocket"]:
    one = socket.socket(socket.AF_UNIX)
    one.bind(name)
    one.listen()
    kept.append(one)
print(os.readlink("/proc/self"), flush=True)
sys.stdin.read()
"#;

fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || c == '\u{fffd}'
    })
}

#[test]
fn names_of_networks_sockets_and_hosts_are_escaped() {
    let test = "names_of_networks_sockets_and_hosts";
    if !namespaces(test) || !python() {
        return;
    }
    let scratch = crate::common::Scratch::new(test);
    let mut command = program("unshare");
    command.args(["-m", "-p", "-f", "-n", "-u", "--kill-child", "python3", "-c", NAMES]).arg(&scratch.0);
    let mut piped = Piped::new(&mut command);
    let Ok(pid) = piped.line().parse() else {
        return crate::common::skip("veth", "needs virtual interfaces of a name of any bytes");
    };
    let holder = Holder::of(piped, pid);
    let pid = pid.to_string();
    let file = scratch.0.join("\u{1b}[2J\nsocket");
    let things = ["\u{1b}[2J\u{1b}[31mX", "@\u{1b}[2Jabstract\n x", file.to_str().expect("text")];
    let is_named = |report: &Value| {
        report["things"][0]["answers"][0]["pid"].is_number()
            || !report["things"][0]["answers"][0]["container"].is_null()
    };
    for thing in things {
        let output = limited(applet("ctr-whose").arg(thing));
        assert!(output.status.success() && is_plain(&stdout(&output)), "{thing:?}: {:?}", stdout(&output));
        let json = stdout(&limited(applet("ctr-whose").args(["-J", thing])));
        assert!(is_plain(&json) && is_named(&serde_json::from_str(&json).expect("JSON")), "{json}");
    }
    for words in [
        &["ctr-inspect", "-a", &pid][..],
        &["ctr-inspect", "-J", &pid],
        &["ctr-ps", "-l"],
        &["ctr-top", "-r", "-n", "1", "-d", "0.1"],
        &["lsns", "-p", &pid],
    ] {
        let output = limited(applet(words[0]).args(&words[1..]));
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        assert!(is_plain(&stdout(&output)) && is_plain(&stderr(&output)), "{words:?}: {:?}", stdout(&output));
    }
    let found = report(&["-s", "network,namespaces", &holder.pid.to_string()]);
    let names: Vec<&str> = found["network"]["interfaces"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert!(names.iter().any(|name| name.contains("\\x1b[2J") || name.contains('\u{1b}')), "{names:?}");
}
