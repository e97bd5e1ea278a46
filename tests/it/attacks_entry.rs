//! A container with CAP_SYS_PTRACE or CAP_SYS_ADMIN watches the processes that nsenter puts into it: from its start
//! none has a descriptor, a capability or an environment of the host.

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
/// Descriptors that no process in the container may have, by the link in /proc/PID/fd. (Programs open libraries.)
const OF_THE_HOST: [&str; 9] =
    ["/proc", "cgroup", "pidfd", "socket:", "pipe:", "anon_inode:", ":[", "/memfd:", "/dev/"];

/// Not a test: the watcher, which the container runs.
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
    let (mut found, mut states) = (BTreeSet::new(), 0_u64);
    println!("\nwatching");
    while !ENDED.load(Ordering::SeqCst) {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let last: u32 = text.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        for pid in (last.saturating_sub(1)..last + 3).filter(|pid| *pid > me + 2) {
            let Some(faults) = faults(pid, allowed) else { continue };
            states += 1;
            for fault in faults {
                if found.insert(fault.clone()) {
                    println!("fault {fault}");
                }
            }
        }
    }
    println!("states {states}");
}

/// None if there is no such process.
fn faults(pid: u32, allowed: u64) -> Option<Vec<String>> {
    let directory = format!("/proc/{pid}");
    let status = std::fs::read_to_string(format!("{directory}/status")).ok()?;
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
    let status = std::fs::read_to_string(format!("{directory}/status")).unwrap_or(status);
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:\t"));
    let sets = permitted.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    if sets & !allowed != 0 {
        faults.push(format!("capabilities {sets:x}"));
    }
    Some(faults)
}

/// chown, dac_override, fowner, kill, setgid, setuid and the added ones.
struct Kind {
    added: &'static str,
    mask: u64,
}

/// What the watcher has to see of a process that has a descriptor. It says `/proc/PID/status`.
const LEAK: &str = "/status";
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

/// How many looks at processes the watcher had. Its last words are read to the end.
fn states(watcher: &mut Piped) -> u64 {
    watcher.end_of_input();
    loop {
        match watcher.line() {
            line if line.starts_with("states ") => return line[7..].parse().expect("a number"),
            line => {
                let is_fault = line.starts_with("fault") && !line.contains(LEAK);
                assert!(!line.is_empty() && !is_fault, "the watcher says {line:?}");
            }
        }
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
    let with_all: [&[&str]; 10] = [
        &["-p", "-n", "--dns", "--force"],
        &["-p", "-n", "--dns", "--force", "--new-tty", "-e"],
        &["-a"],
        &["-p"],
        &["-p", "-m", "-S", "7"],
        &["-a", "-e"],
        &["-a", "-c", "-e"],
        &["-a", "--mount-proc"],
        &["-a", "--new-tty", "-e"],
        &["-p", "-m", "-r", "-w"],
    ];
    let (mut entries, mut seen) = (0_u64, 0);
    for kind in &KINDS {
        for (options, allowed) in [(&as_container[..], kind.mask), (&with_all, u64::MAX)] {
            let container = kind.container();
            let mut watcher = kind.watch(&container, allowed);
            for options in options {
                // Without -e the program has the caller's environment, so there is no secret.
                let own = options.contains(&"-e") || options[0].starts_with("--as");
                for round in 0..rounds() {
                    // A hint keeps what was seen before the entry; the missing program provokes one.
                    let (hints, program) =
                        [("never", "true"), ("always", "true"), ("always", "no-such-program")]
                            [round as usize % 3];
                    let mut command = of(&container);
                    command.args(*options).arg(program).env("CTRBOX_HINTS", hints);
                    if own {
                        let (name, value) = SECRET.split_once('=').expect("a variable");
                        command.env(name, value);
                    }
                    let output = limited(&mut command);
                    // 126: its user may not search all directories.
                    let expected: &[i32] = if program == "true" { &[0] } else { &[126, 127] };
                    let status = output.status.code().unwrap_or(-1);
                    assert!(expected.contains(&status), "{options:?}: {output:?}");
                    entries += 1;
                }
            }
            // The watcher works: it finds a process with a forbidden descriptor.
            let leak = "exec 9</proc/self/status && read -r word";
            let mut leaking = Piped::new(of(&container).args(["--as-container", "sh", "-c", leak]));
            let line = watcher.line();
            // Some shells open the file with another number first.
            let is_leak = line.starts_with("fault descriptor ") && line.contains(LEAK);
            assert!(is_leak, "{:?}: {line}", kind.added);
            leaking.end_of_input();
            seen += states(&mut watcher);
        }
    }
    assert!(seen > entries, "{seen} looks at {entries} entries");
    println!("{entries} entries, {seen} states of processes seen, no leak");
}

#[test]
fn host_root_is_refused_next_to_a_tracer() {
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

/// A process without the capability can gain it, by a program with file capabilities, as far as its bounding set goes.
#[test]
fn a_process_that_may_gain_the_right_to_trace_counts() {
    if !possible("attacks-host-root-bounding") {
        return;
    }
    for (bounding, refused) in [("+all", true), ("+all,-sys_ptrace", false)] {
        let mut command = program("unshare");
        command.args(["-p", "-f", "-m", "--mount-proc", "setpriv", "--reuid=4242", "--regid=4242"]);
        command.args(["--clear-groups", "--inh-caps=-all", &format!("--bounding-set={bounding}")]);
        let container = Holder::by_child(&mut command);
        let output = limited(of(&container).args(["-a", "--host-root", "echo", "there"]));
        assert_eq!(stdout(&output), if refused { "" } else { "there\n" }, "{bounding}: {output:?}");
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

/// A user's process has root's files: its environment would choose programs among them.
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

/// ctrbox loads no library, and with `--host-root` a program of the host loads no library of the container.
#[test]
fn libraries_of_the_container_are_not_loaded() {
    if !namespaces("attacks-libraries") {
        return;
    }
    let scratch = Scratch::new("attacks-libraries");
    let etc = in_scratch(&scratch, "etc");
    // ld.so complains about an LD_PRELOAD file that is not a library.
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
    // One mount hides all libraries and the dynamic loader.
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
