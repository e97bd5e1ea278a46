//! A container with CAP_SYS_PTRACE or CAP_SYS_ADMIN watches the processes that nsenter puts into it: none has
//! a descriptor, a capability or an environment of the host, from its birth on.

use crate::common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::nsenter::{in_scratch, of};
use crate::common::process::{Holder, Piped, failure, limited, namespaces, printed};
use crate::common::{Scratch, program, skip, stderr, stdout};

const WATCH: &str = "CTRBOX_TEST_WATCH";
const SECRET: &str = "CTRBOX_TEST_SECRET=of-the-caller";
/// Entries for each combination of options; more for a long run.
const ROUNDS: &str = "CTRBOX_TEST_ROUNDS";
/// What no process in the container has, by what its link in /proc/PID/fd says. (Programs open libraries.)
const OF_THE_HOST: [&str; 9] =
    ["/proc", "cgroup", "pidfd", "socket:", "pipe:", "anon_inode:", ":[", "/memfd:", "/dev/"];

/// Not a test of its own: the watcher, which the container runs.
#[test]
fn watcher() {
    let Ok(allowed) = std::env::var(WATCH) else { return };
    let allowed = u64::from_str_radix(&allowed, 16).expect("capabilities");
    static ENDED: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let _ = std::io::read_to_string(std::io::stdin());
        ENDED.store(true, Ordering::SeqCst);
    });
    let me = std::process::id();
    let mut found = BTreeSet::new();
    println!("\nwatching");
    while !ENDED.load(Ordering::SeqCst) {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let last: u32 = text.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        for pid in (last.saturating_sub(1)..last + 3).filter(|pid| *pid > me + 2) {
            for fault in faults(pid, allowed) {
                if found.insert(fault.clone()) {
                    println!("fault {fault}");
                }
            }
        }
    }
}

fn faults(pid: u32, allowed: u64) -> Vec<String> {
    let directory = format!("/proc/{pid}");
    let mut faults = Vec::new();
    for number in 3..40 {
        let Ok(link) = std::fs::read_link(format!("{directory}/fd/{number}")) else { continue };
        let link = link.to_string_lossy().into_owned();
        if OF_THE_HOST.iter().any(|one| link.contains(one)) {
            faults.push(format!("descriptor {number} is {link}"));
        }
    }
    let environment = std::fs::read(format!("{directory}/environ")).unwrap_or_default();
    if environment.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
        faults.push("environment of the caller".to_owned());
    }
    let status = std::fs::read_to_string(format!("{directory}/status")).unwrap_or_default();
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:\t"));
    let sets = permitted.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    if sets & !allowed != 0 {
        faults.push(format!("capabilities {sets:x}"));
    }
    faults
}

/// chown, dac_override, fowner, kill, setgid, setuid and what is added.
struct Kind {
    added: &'static str,
    mask: u64,
}

const BASE: u64 = 0xeb;
const KINDS: [Kind; 4] = [
    Kind { added: "", mask: BASE },
    Kind { added: ",+sys_ptrace", mask: BASE | 1 << 19 },
    Kind { added: ",+sys_admin", mask: BASE | 1 << 21 },
    Kind { added: ",+sys_ptrace,+sys_admin", mask: BASE | 1 << 19 | 1 << 21 },
];

impl Kind {
    fn bounding(&self) -> String {
        let base = "-all,+chown,+dac_override,+fowner,+kill,+setgid,+setuid";
        format!("--bounding-set={base}{}", self.added)
    }

    fn container(&self) -> Holder {
        let options = ["-p", "-f", "-m", "--mount-proc", "setpriv", &self.bounding(), "--inh-caps=-all"];
        let mut command = program("unshare");
        command.args(options);
        Holder::by_child(&mut command)
    }

    /// `allowed`: capabilities that a process there may have.
    fn watch(&self, container: &Holder, allowed: u64) -> Piped {
        let exe = std::env::current_exe().expect("this program");
        let mut command = program("nsenter");
        command.args(["-t", &container.pid.to_string(), "-p", "-m", "setpriv", &self.bounding()]);
        command.args(["--inh-caps=-all"]).arg(exe);
        command.args(["attacks_entry::watcher", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(WATCH, format!("{allowed:x}"));
        let mut piped = Piped::new(&mut command);
        while piped.line() != "watching" {}
        piped
    }
}

fn rounds() -> u32 {
    std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

fn possible(test: &str) -> bool {
    if !namespaces(test) {
        return false;
    }
    if !common::there("setpriv") {
        skip(test, "needs setpriv");
        return false;
    }
    true
}

#[test]
fn nothing_of_the_host_is_seen_in_a_process_that_enters() {
    if !possible("attacks-entry") {
        return;
    }
    let as_container: [&[&str]; 8] = [
        &["--as-container"],
        &["--as", "0"],
        &["--as", "7:8"],
        &["--as-container", "--join-cgroup"],
        &["--as-container", "--mount-proc"],
        &["--as-container", "--new-tty"],
        &["--as", "7", "--new-tty", "--mount-proc", "-c"],
        &["--as-container", "-p", "-m"],
    ];
    let with_all: [&[&str]; 8] = [
        &["-a"],
        &["-p"],
        &["-p", "-m", "-S", "7"],
        &["-a", "-e"],
        &["-a", "-c", "-e"],
        &["-a", "--mount-proc"],
        &["-a", "--new-tty", "-e"],
        &["-p", "-m", "-r", "-w"],
    ];
    for kind in &KINDS {
        for (options, allowed) in [(&as_container, kind.mask), (&with_all, u64::MAX)] {
            let container = kind.container();
            let mut watcher = kind.watch(&container, allowed);
            for options in options {
                // Without -e the program has the caller's environment: there is no secret then.
                let own = options.contains(&"-e") || options[0].starts_with("--as");
                for _ in 0..rounds() {
                    let mut command = of(&container);
                    command.args(*options).arg("true");
                    if own {
                        let (name, value) = SECRET.split_once('=').expect("a variable");
                        command.env(name, value);
                    }
                    let output = limited(&mut command);
                    assert!(output.status.success(), "{options:?}: {output:?}");
                }
            }
            // It sees what is there: a process with a descriptor that is not to be.
            let leak = "exec 9</proc/self/status && read -r word";
            let mut leaking = Piped::new(of(&container).args(["--as-container", "sh", "-c", leak]));
            let line = watcher.line();
            assert!(line.starts_with("fault descriptor 9 is /proc/"), "{:?}: {line}", kind.added);
            leaking.end_of_input();
            watcher.end_of_input();
        }
    }
}

#[test]
fn the_hosts_files_are_not_put_next_to_who_could_take_them() {
    if !possible("attacks-host-root") {
        return;
    }
    for kind in &KINDS {
        let container = kind.container();
        let run = |options: &[&str]| limited(of(&container).args(options).args(["echo", "there"]));
        let traces = kind.mask & (1 << 19) != 0;
        let no_fork = &["-p", "--host-root", "-F"]; // its children would be seen
        for options in [&["-a", "--host-root"][..], &["-p", "--host-root"], &["-p", "--mount-proc"], no_fork]
        {
            let output = run(options);
            assert_eq!(stdout(&output), if traces { "" } else { "there\n" }, "{options:?} {:?}", kind.added);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let expected = format!("{} is not safe here: process ", options[1]);
            assert_eq!(said.contains(&expected) && said.contains("use --force"), traces, "{said}");
        }
        let host = ["-u", "-i", "--host-root"];
        assert_eq!(stdout(&run(&host)), "there\n", "not visible in the container");
        assert_eq!(stdout(&run(&["-a", "--host-root", "--force"])), "there\n");
    }
}

#[test]
fn the_environment_of_a_container_chooses_no_program_of_the_host() {
    if !namespaces("attacks-environment") {
        return;
    }
    for (name, value) in [
        ("PATH", "/proc/1/root/bin:/usr/bin:/bin"),
        ("PATH", "bin:/usr/bin:/bin"),
        ("LD_PRELOAD", "/proc/1/root/x.so"),
        ("BASH_ENV", "/proc/1/root/x"),
        ("PYTHONPATH", "/proc/1/root/x"),
    ] {
        let mut command = program("unshare");
        command.args(["-m", "-p", "-f", "--mount-proc", "env", &format!("{name}={value}")]);
        let container = Holder::by_child(&mut command);
        for options in [&["-n", "-e"][..], &["-p", "-e"], &["-u", "--as-container"]] {
            let (status, said) = failure(of(&container).args(options).args(["/bin/echo", "there"]));
            assert_eq!(status, Some(1), "{name} {options:?}");
            assert!(said.contains(&format!("option --env is not safe here: {name} of the target")), "{said}");
            let forced = of(&container).arg("--force").args(options).args(["/bin/echo", "there"]).output();
            assert!(forced.is_ok_and(|output| output.status.success()), "{name} {options:?}");
        }
        let inside = limited(of(&container).args(["-n", "-m", "-e", "/bin/echo", "there"]));
        assert_eq!(stdout(&inside), "there\n", "{name}: with the container's own files");
    }
    let container = Holder::new(&["-m", "-p", "-f"], "");
    assert_eq!(printed(of(&container).args(["-n", "-e", "echo", "there"])), "there\n", "as any other");
}

/// A user's process has root's files: its environment would choose among these.
#[test]
fn the_environment_of_another_user_chooses_no_program() {
    if !namespaces("attacks-environment-user") {
        return;
    }
    let preload = |command: &mut std::process::Command| {
        let words = ["--clear-groups", "env", "LD_PRELOAD=/nonexistent.so", "unshare", "-Urn"];
        command.args(["--reuid=4242", "--regid=4242"]).args(words);
        Holder::by_user(command)
    };
    let holder = preload(&mut program("setpriv"));
    for options in [&["-n", "-e"][..], &["-U", "-n", "-e"], &["-a", "-e"]] {
        let (status, said) = failure(of(&holder).args(options).args(["/bin/echo", "there"]));
        assert_eq!(status, Some(1), "{options:?}");
        assert!(
            said.contains("option --env is not safe here: LD_PRELOAD of the target"),
            "{options:?} {said}"
        );
    }
}

/// ctrbox loads no library at all, and a program of the host with `--host-root` none of the container's.
#[test]
fn libraries_of_the_container_are_not_loaded() {
    if !namespaces("attacks-libraries") {
        return;
    }
    let scratch = Scratch::new("attacks-libraries");
    let etc = in_scratch(&scratch, "etc");
    // ld.so complains about a library that it is to load before all others and that is none.
    let setup = format!(
        "cp -a /etc/. {etc} 2>/dev/null || true
         echo /attack.so >{etc}/ld.so.preload
         mount --bind {etc} /etc"
    );
    std::fs::create_dir(&etc).expect("a directory");
    let container = Holder::new(&["-m", "-p", "-f"], &setup);
    let inside = limited(of(&container).args(["-m", "/bin/true"])); // the attack works
    if !stderr(&inside).contains("/attack.so") {
        skip("attacks-libraries", "the programs of this host are not linked with glibc");
        return;
    }
    for options in
        [&["-u", "--host-root"][..], &["-p", "--host-root", "--force"], &["-a", "--host-root", "--force"]]
    {
        assert_eq!(
            printed(of(&container).args(options).args(["/bin/echo", "there"])),
            "there\n",
            "{options:?}"
        );
    }
    // One mount hides all libraries, and the program that loads them.
    let hidden = limited(of(&container).args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/usr"]));
    assert!(hidden.status.success(), "{}", stderr(&hidden));
    if limited(of(&container).args(["-m", "/bin/true"])).status.success() {
        skip("attacks-libraries", "/usr is not the only place of libraries here");
        return;
    }
    for options in [&["-a"][..], &["-m"], &["--as-container"]] {
        let shown = printed(of(&container).args(options).args(["--applet", "getpcaps", "1"]));
        assert!(shown.starts_with("1: "), "{options:?}: {shown}");
    }
}
