//! A process whose first thread has ended while another one runs: the kernel has no namespaces of the first one. A further
//! thread that has namespaces of its own.

use serde_json::Value;

use crate::common::network::networks;
use crate::common::process::{Holder, Piped, limited, python};
use crate::common::{applet, program, skip, stdout, until};

const SCRIPT: &str = "
import ctypes, os, signal, socket, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
# A thread with a tracer stops at any signal, even one that is ignored, and can hold a lock then.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
# A thread that ends stays until its tracer has waited for it.
over = threading.Event()
ended = [threading.Thread(target=over.wait, daemon=True) for _ in range(int(sys.argv[1]))]
for thread in ended:
    thread.start()
reads, writes = os.pipe()
if ended and os.fork() == 0:
    seized = [libc.ptrace(0x4206, ctypes.c_long(one.native_id), 0, 0) for one in ended]
    os.write(writes, b'y' if not any(seized) else b'n')
    while True:
        signal.pause()
if ended and os.read(reads, 1) != b'y':
    print('cannot', flush=True)
over.set()
pid = open('/proc/self/stat').read().split()[0]
os.system('ip link set lo up; ip addr add 10.92.83.2/32 dev lo')
socket.sethostname('whose-thread-' + pid)
server = socket.socket()
server.bind(('10.92.83.2', 18183))
server.listen()
def rest():
    print(pid, flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=rest).start()
libc.pthread_exit(None)
";

fn json(command: &str, arguments: &[&str]) -> Value {
    let output = limited(applet(command).arg("-J").args(arguments));
    serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn the_namespaces_of_a_process_without_its_first_thread() {
    let test = "the_namespaces_of_a_process_without_its_first_thread";
    if !networks(test) {
        return;
    }
    if !python() {
        return skip(test, "needs python3");
    }
    for ended in ["0", "300"] {
        namespaces_beside(test, ended);
    }
}

/// Beside so many threads that have ended and are still there.
fn namespaces_beside(test: &str, ended: &str) {
    let mut command = program("unshare");
    let options = ["-m", "-p", "-f", "-n", "-u", "--kill-child", "python3", "-c", SCRIPT, ended];
    let mut piped = Piped::new(command.args(options));
    let line = piped.line();
    if line == "cannot" {
        return skip(test, "threads cannot be traced here");
    }
    let pid = line.parse().expect("a PID");
    let holder = Holder::of(piped, pid);
    let state = || std::fs::read_to_string(holder.file("stat")).expect("its stat").contains(") Z ");
    until("the first thread ends", state);
    assert!(std::fs::read_link(holder.file("ns/net")).is_err(), "the kernel has its namespaces");
    let name = format!("anon:{}", holder.link("pid").trim_matches(|c: char| !c.is_ascii_digit()));
    let thread = std::fs::read_dir(holder.file("task")).expect("threads");
    let thread =
        thread.map(|one| one.expect("a thread").path()).filter(|one| !one.ends_with(pid.to_string()));
    let link = { thread }.find_map(|one| std::fs::read_link(one.join("ns/net")).ok()).expect("a link");
    let host = format!("whose-thread-{pid}");
    for word in
        [link.to_str().expect("UTF-8"), "10.92.83.2", "10.92.83.2:18183", &format!("host:{host}"), &host]
    {
        let found = json("ctr-whose", &[word]);
        assert_eq!(found["things"][0]["answers"][0]["container"], *name, "{word}: {found}");
    }
    let found = json("ctr-inspect", &[&pid.to_string()]);
    let found = &found["containers"][0];
    assert_eq!(found["namespaces"]["hostname"], *host, "{found}");
    assert_eq!(found["network"]["listening"][0]["pid"], pid, "{found}");
    let listed = limited(applet("ctr-ps").args(["-l", "-r", "-o", "container,ip", &pid.to_string()]));
    assert!(stdout(&listed).contains(&format!("{name} 10.92.83.2")), "{listed:?}");
}

const BESIDE: &str = "
import ctypes, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def rest():
    if libc.unshare(0x4c000000):
        print('cannot', flush=True)
    print(os.readlink('/proc/thread-self').replace('/task/', ' '), flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=rest).start()
";

/// unshare(2) in a thread gives it alone a network, a host name and IPC objects of its own.
#[test]
fn a_namespace_that_only_a_further_thread_has() {
    let test = "a_namespace_that_only_a_further_thread_has";
    if !networks(test) {
        return;
    }
    if !python() {
        return skip(test, "needs python3");
    }
    for is_inside in [true, false] {
        let mut command = program(if is_inside { "unshare" } else { "python3" });
        if is_inside {
            command.args(["-p", "-f", "--kill-child", "python3"]);
        }
        let mut piped = Piped::new(command.args(["-c", BESIDE]));
        let line = piped.line();
        let Some((pid, thread)) = line.split_once(' ') else {
            return skip(test, "a thread may not unshare");
        };
        let holder = Holder::of(piped, pid.parse().expect("a PID"));
        let link = |kind: &str| {
            let link = std::fs::read_link(holder.file(&format!("task/{thread}/ns/{kind}"))).expect("a link");
            link.to_str().expect("UTF-8").to_owned()
        };
        for kind in ["net", "uts"] {
            let (link, other) = (link(kind), holder.link(kind));
            assert_ne!(link, other);
            for word in [&*link, link.trim_matches(|c: char| !c.is_ascii_digit())] {
                let thing = &json("ctr-whose", &[word])["things"][0];
                let text = format!("{kind} namespace of thread {thread}");
                match is_inside {
                    true => {
                        assert_eq!(thing["answers"][0]["detail"], *text, "{thing}");
                        assert_eq!(thing["answers"][0]["pid"].to_string(), pid, "{thing}");
                    }
                    false => {
                        let host = thing["host"]["text"].as_str().expect("a text");
                        assert!(host.starts_with(&format!("{text} of python3 {pid}")), "{host}");
                    }
                }
            }
        }
    }
}
