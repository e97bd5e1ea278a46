//! Endless or huge files of a process: arguments, environment, mounts, groups, descriptors, lists of users. They
//! cost bounded time and memory.

use crate::common;

use std::process::Command;

use crate::common::nsenter::{in_scratch, of, refused};
use crate::common::process::{Holder, exceed_descriptors, failure, limited, namespaces, printed, python};
use crate::common::{Scratch, program, root, skip, stderr, stdout};

/// PR_SET_MM_MAP: a process without capabilities declares a terabyte of memory as its environment.
fn endless(test: &str) -> Option<Holder> {
    if !python() {
        return None;
    }
    const SCRIPT: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.sbrk.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
size = 1 << 40
at = libc.mmap(None, size, 3, 0x4022, -1, 0)
stat = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
f = lambda n: int(stat[n - 3])
def first(name):
    return 0
ctypes.memmove(at, b"A=b\0", 4)
words = [f(26), f(27), f(45), f(46), f(47), libc.sbrk(0), f(28), at, at + size - 4096, at, at + size - 4096]
data = b"".join(word.to_bytes(8, "little") for word in words) + bytes(8) + bytes(4) + b"\xff\xff\xff\xff"
if at is None or libc.prctl(35, 14, data, len(data), 0) != 0:
    sys.exit("refused")
os.write(1, b"%d\n" % int(os.readlink("/proc/self")))
os.read(0, 1)
"#;
    let mut command = program("python3");
    command.args(["-c", SCRIPT]);
    let mut piped = common::process::Piped::new(&mut command);
    match piped.line().parse() {
        Ok(pid) => Some(Holder::of(piped, pid)),
        Err(_) => {
            skip(test, "this kernel lets no process move its environment");
            None
        }
    }
}

/// A limit far above a correct run, so that an endless read fails at once.
fn with_memory(kilobytes: u32, arguments: &[&str]) -> Command {
    let mut command = program("sh");
    let line = format!("ulimit -v {kilobytes}; exec \"$@\"");
    command.args(["-c", &line, "sh"]).arg(common::binary()).args(arguments);
    command
}

#[test]
fn endless_arguments_are_not_read_to_their_end() {
    let test = "attacks-endless-arguments";
    if !root() {
        skip(test, "needs root");
        return;
    }
    let Some(holder) = endless(test) else { return };
    let pid = holder.pid.to_string();
    for arguments in [
        &["ctr-ps", "-p", &pid][..],
        &["ctr-ps", "--json"],
        &["lsns"],
        &["getpcaps", &pid],
        &["capsh", &format!("--print={pid}")],
    ] {
        let output = limited(&mut with_memory(400_000, arguments));
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{arguments:?}: {:?} {}",
            output.status,
            stderr(&output)
        );
    }
}

/// A user namespace allows 100,000 mounts with names of 4,096 bytes: hundreds of megabytes of mountinfo.
#[test]
fn endless_mounts_are_not_read_to_their_end() {
    let test = "attacks-endless-mounts";
    if !namespaces(test) || !python() {
        return;
    }
    let setup = r#"
        mount -t tmpfs none /mnt; cd /mnt
        name=$(printf '%0240d' 0)
        for level in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do mkdir $name; cd $name; done
        cd /
        python3 -c 'import ctypes, sys
libc = ctypes.CDLL(None)
path = ("/mnt" + 14 * ("/" + sys.argv[1])).encode()
all(libc.mount(path, path, None, 4096, None) == 0 for each in range(6000)) or sys.exit(1)' $name"#;
    let holder = Holder::new(&["-U", "-r", "-m"], setup);
    let pid = holder.pid.to_string();
    let print = format!("--print={pid}");
    for arguments in [
        &["capsh", &print][..],
        &["getpcaps", &pid],
        &["lsns", "--output-all"],
        &["ctr-ps", "-l"],
        &["nsenter", "-t", &pid, "-a", "true"],
        &["nsenter", "-t", &pid, "--as-container", "true"],
    ] {
        let output = limited(&mut with_memory(64_000, arguments));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn endless_environment_is_refused() {
    let test = "attacks-endless-environment";
    if !namespaces(test) {
        return;
    }
    let Some(holder) = endless(test) else { return };
    for options in [&["-u", "-e"][..], &["-a", "-e"], &["--as-container"]] {
        let pid = holder.pid.to_string();
        let arguments = [&["nsenter", "-t", &pid][..], options, &["true"]].concat();
        let output = limited(&mut with_memory(400_000, &arguments));
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let said = stderr(&output);
        assert!(!said.contains("memory"), "{options:?}: {said}");
    }
}

/// The kernel writes all supplementary groups of a process, up to 65,536, before its PIDs in its status.
#[test]
fn a_process_in_many_groups_is_not_hidden_and_costs_little_memory() {
    let test = "attacks-many-groups";
    if !namespaces(test) || !python() {
        return;
    }
    const SCRIPT: &str = r#"
import os, sys, signal
os.setgroups(range(1000000000, 1000030000))
for each in range(300):
    if os.fork() == 0:
        os.close(0)
        os.close(1)
        signal.pause()
os.execvp(sys.argv[1], sys.argv[1:])
"#;
    let options = ["-p", "-f", "-m", "--mount-proc", "--kill-child", "python3", "-c", SCRIPT];
    let holder = Holder::by_child(program("unshare").args(options));
    let pid = holder.pid.to_string();
    let id: String = holder.link("pid").chars().filter(char::is_ascii_digit).collect();
    let target = format!("anon:{id}");
    assert_eq!(printed(of(&holder).args(["-p", "echo", "there"])), "there\n");
    let mut by_name = common::applet("nsenter");
    assert_eq!(printed(by_name.args(["-t", &target, "-p", "echo", "there"])), "there\n");
    let listed = stdout(&limited(common::applet("ctr-ps").args(["-l", "-n", "-o", "id"])));
    assert!(listed.lines().any(|line| line.trim() == id), "{listed}");
    for options in
        [&["-n", "-o", "cpid,id", "-p", &pid][..], &["--portable", "-n", "-o", "cpid,id", "-p", &pid]]
    {
        let shown = stdout(&limited(common::applet("ctr-ps").args(options)));
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), ["1", &id], "{options:?}");
    }
    let output = limited(&mut with_memory(24_000, &["getpcaps", "--tree", &pid]));
    assert_eq!(stdout(&output).lines().count(), 301, "{}", stderr(&output));
}

/// Lines of millions of fields, and a user in as many groups as the kernel allows, cost little more than the files.
#[test]
fn long_lists_of_users_cost_little_memory() {
    if !namespaces("attacks-long-passwd") {
        return;
    }
    let scratch = Scratch::new("attacks-long-passwd");
    let path = |name: &str| in_scratch(&scratch, name);
    std::fs::write(path("passwd"), format!("root:x:0:0::/:{}\nweb:x:7:7::/:\n", ":".repeat(7 << 20)))
        .expect("a file");
    let groups: String = (0..65_536).map(|at| format!("g{at}:x:{at}:web\n")).collect();
    std::fs::write(path("group"), groups).expect("a file");
    let bind = |name: &str| format!("mount --bind {} /etc/{name}\n", path(name));
    let holder = Holder::new(&["-m"], &[bind("passwd"), bind("group")].concat());
    let pid = holder.pid.to_string();
    let shows = ["sed", "-n", "/^Uid\\|^Groups/p", "/proc/self/status"];
    let arguments = [&["nsenter", "-t", &pid, "--as", "web"][..], &shows].concat();
    let output = limited(&mut with_memory(64_000, &arguments));
    let shown = stdout(&output);
    assert!(shown.starts_with("Uid:\t7\t7\t7\t7\n"), "{}", stderr(&output));
    assert_eq!(shown.split_whitespace().count(), 2 + 4 + 65_536);
    // One more than the kernel allows: the kernel refuses, and root's groups are not kept instead.
    let more = "mount --bind \"$1/group\" /etc/group; echo more:x:70000:web >>/etc/group";
    let output = limited(of(&holder).args(["-m", "sh", "-c", more, "sh"]).arg(&scratch.0));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        failure(of(&holder).args(["--as", "web", "true"])),
        refused("setgroups failed: Invalid argument")
    );
}

/// Processes can share one table of descriptors, at no cost for a user: lsns examines a part, and reports that.
#[test]
fn endless_descriptors_are_not_all_examined() {
    let test = "attacks-descriptors";
    if !namespaces(test) || !python() {
        return;
    }
    const SCRIPT: &str = r#"
import ctypes, os, resource, signal
libc = ctypes.CDLL(None)
os.setgroups([])
os.setgid(4242)
os.setuid(4242)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
table = 0
try:
    while True:
        table = os.dup(2)
except OSError:
    pass
# CLONE_FILES | SIGCHLD
for each in range(1500000 // table + 1):
    if libc.syscall(56, 0x400 | 17, 0, 0, 0, 0) == 0:
        signal.pause()
os.write(1, b"%d %d\n" % (os.getpid(), table * each))
os.read(0, 1)
"#;
    if !cfg!(target_arch = "x86_64") {
        skip(test, "the number of clone(2) is that of x86_64");
        return;
    }
    let _alone = exceed_descriptors(); // until the processes have ended: declared before them
    let mut command = program("unshare");
    let script = format!("mount -t proc proc /proc; exec python3 -c '{SCRIPT}'");
    command.args(["-m", "-p", "-f", "--kill-child", "sh", "-c", &script]);
    let mut piped = common::process::Piped::new(&mut command);
    assert!(!piped.line().is_empty(), "it started");
    let [child] = common::process::children(piped.pid())[..] else { panic!("one child") };
    let inside = |arguments: &[&str]| {
        let mut command = program("nsenter");
        command.args(["-t", &child.to_string(), "-m", "-p"]).arg(common::binary()).args(arguments);
        limited(&mut command)
    };
    let output = inside(&["lsns", "-n", "-t", "net", "-o", "ns"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("lsns: not all descriptors of process "), "{said}");
    assert_eq!(stderr(&inside(&["lsns", "-n", "--no-fd-scan", "-o", "ns"])), "", "none is examined");
    piped.end_of_input();
}
