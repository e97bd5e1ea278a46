//! A container with CAP_SYS_PTRACE reads the memory of the processes that nsenter puts into it: no data about other
//! containers, read to find this one, is in it.
#![allow(unsafe_code)] // pre_exec and a seccomp filter

use std::collections::BTreeSet;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common;
use crate::common::cgexec::{Name, controller};
use crate::common::process::{Holder, Piped, limited, namespaces};
use crate::common::{Scratch, binary, program, skip, stderr, there};

/// The text that each process must have, and the text that none may have.
const WATCH: &str = "CTRBOX_TEST_WATCH_MEMORY";
/// Processes to be read for each combination of options; more for a long run.
const ROUNDS: &str = "CTRBOX_TEST_ROUNDS";
/// Entries for one process that is read. The watcher may be late.
const MOST: u32 = 60;

static READ: AtomicU32 = AtomicU32::new(0);
static FAULTS: AtomicU32 = AtomicU32::new(0);

/// Not a test: the watcher, which the container runs. For each line it answers with the texts that it has found.
#[test]
fn watcher() {
    let Ok(words) = std::env::var(WATCH) else { return };
    let (control, secret) = words.split_once(' ').expect("two words");
    let me = std::process::id();
    println!("\nwatching");
    std::thread::spawn(|| {
        for _ in std::io::stdin().lock().lines() {
            println!("read {} faults {}", READ.load(Ordering::SeqCst), FAULTS.load(Ordering::SeqCst));
        }
        std::process::exit(0);
    });
    let mut seen = BTreeSet::new();
    loop {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let last: u32 = text.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        for pid in (last.saturating_sub(1)..last + 3).filter(|pid| *pid > me + 2) {
            if seen.contains(&pid) {
                continue;
            }
            let Some(memory) = memory(pid) else { continue };
            seen.insert(pid);
            let has = |word: &str| memory.windows(word.len()).any(|window| window == word.as_bytes());
            // The first text is the key of the second.
            FAULTS.fetch_add(u32::from(has(secret)), Ordering::SeqCst);
            READ.fetch_add(u32::from(has(control)), Ordering::SeqCst);
        }
    }
}

/// All memory that the process can write to. None if there is no such process.
fn memory(pid: u32) -> Option<Vec<u8>> {
    let mut file = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut memory = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let address = |digits| u64::from_str_radix(digits, 16).ok();
        let (start, end) = (address(start)?, address(end)?);
        if rest.starts_with("rw") && file.seek(SeekFrom::Start(start)).is_ok() {
            let _ = (&file).take(end - start).read_to_end(&mut memory);
        }
    }
    (!memory.is_empty()).then_some(memory)
}

/// While the program is searched in all these directories, the process is not yet the program.
fn long_path() -> String {
    format!("{}/usr/bin:/bin", "/-:".repeat(20_000))
}

const BOUNDING: &str = "--bounding-set=-all,+chown,+dac_override,+fowner,+kill,+setgid,+setuid,+sys_ptrace";

fn container() -> Holder {
    let mut command = program("env");
    command.arg(format!("PATH={}", long_path())).args(["unshare", "-p", "-f", "-m", "--mount-proc"]);
    command.args(["setpriv", BOUNDING, "--inh-caps=-all"]);
    // SAFETY: async-signal-safe calls only.
    Holder::by_child(unsafe { command.pre_exec(allow_all) })
}

/// A container with this environment.
fn container_with(environment: &[String]) -> Holder {
    let mut command = program("env");
    command.args(environment).args(["unshare", "-p", "-f", "-m", "--mount-proc", "setpriv", BOUNDING]);
    Holder::by_child(command.arg("--inh-caps=-all"))
}

/// A seccomp filter: `--as-container` looks for the state file that describes it.
fn allow_all() -> std::io::Result<()> {
    let code = u16::try_from(libc::BPF_RET | libc::BPF_K).unwrap_or_default();
    let mut program = [libc::sock_filter { code, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the instruction.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn watch(container: &Holder, control: &str, secret: &str) -> Piped {
    let mut command = program(binary().to_str().expect("a plain path"));
    command.args(["nsenter", "-t", &container.pid.to_string(), "-p", "-m", "setpriv", BOUNDING]);
    command.arg("--inh-caps=-all").arg(std::env::current_exe().expect("this program"));
    command.args(["attacks_memory::watcher", "--exact", "--nocapture", "--test-threads=1"]);
    let mut piped = Piped::new(command.env(WATCH, format!("{control} {secret}")));
    while piped.line() != "watching" {}
    piped
}

/// The state file of a Docker container.
fn record(id: &str, name: &str, pid: i32, secret: &str) -> String {
    let config = format!(r#"{{"Image":"img:1","Labels":{{"x":"{secret}"}},"Env":["X={secret}"]}}"#);
    let state = format!(
        r#"{{"ID":"{id}","Name":"/{name}","State":{{"Running":true,"Pid":{pid}}},"Config":{config}}}"#
    );
    let directory = format!("/var/lib/docker/containers/{id}");
    format!("mkdir -p {directory}\necho '{state}' >{directory}/config.v2.json\n")
}

#[test]
fn the_memory_of_an_entering_process_has_nothing_of_other_containers() {
    let test = "attacks-memory";
    let Some(controller) = controller(test) else { return };
    let number = std::process::id();
    let groups = Name::new(test);
    let join = |id: &str, pid: i32| {
        let group = groups.make(controller, &format!("docker-{id}.scope"));
        std::fs::write(group.join("cgroup.procs"), pid.to_string()).expect("moved");
    };
    let id = |digit: char| format!("{digit}{number:08x}{}", "d5".repeat(28).split_at(55).0);
    let (own_id, other_id) = (id('a'), id('b'));
    let (name, secret) = (format!("control{number}"), format!("secret{number}"));
    let other = Holder::new(&["-m", "-p", "-f"], "");
    let own = container();
    join(&own_id, own.pid);
    join(&other_id, other.pid);
    let mount = format!("/var/lib/docker/overlay2/{secret}");
    let setup = "mount -t tmpfs tmpfs /var/lib\n".to_owned()
        + &record(&own_id, &name, own.pid, "plain")
        + &record(&other_id, &format!("{secret}-name"), other.pid, &secret)
        + &format!("mkdir -p {mount}\nmount -t tmpfs tmpfs {mount}\n");

    // The secret is in the arguments of a shell that has ended when the program is searched.
    let enter = |arguments: &str| {
        let script = format!("{setup}exec env PATH=\"$1\" \"$0\" nsenter -t {name} {arguments}");
        let mut command = program("unshare");
        command.args(["-m", "sh", "-ec", &script]).arg(binary()).arg(long_path());
        limited(command.env("CTRBOX_HINTS", "always"))
    };

    let mut watcher = watch(&own, &name, &secret);
    let mut entries = 0;
    for options in [
        "-a",
        "-p",
        "-a -e",
        "-a -c",
        "-a --mount-proc",
        "-a --new-tty",
        "-p --mount-proc --force",
        "--as-container",
        "--as 0",
        "--as-container --join-cgroup --new-tty",
    ] {
        entries += until_read(&mut watcher, options, || {
            let output = enter(&format!("{options} true"));
            assert!(output.status.success(), "{options}: {}", stderr(&output));
        });
    }
    // A hint would need the state files of all containers, in the visible process.
    for (options, has_hint) in [("-n", true), ("-p", false), ("-p -F", true)] {
        let said = stderr(&enter(&format!("{options} {secret}-name")));
        assert!(said.contains(&format!("failed to execute {secret}-name: ")), "{said}");
        assert_eq!(said.contains("hint: "), has_hint, "{options}: {said}");
    }
    println!("{entries} entries, {} processes read", found(&mut watcher).0);
}

/// The container names variables of the caller, which `-e` compares with its own; and hints look for the program in the
/// caller's PATH.
#[test]
fn the_memory_of_an_entering_process_has_nothing_of_the_callers_environment() {
    if !namespaces("attacks-memory-environment") {
        return;
    }
    if !there("setpriv") {
        return skip("attacks-memory-environment", "needs setpriv");
    }
    let number = std::process::id();
    let (name, secret) = (format!("control{number}"), format!("secret{number}"));
    // The allocator overwrites the beginning of memory that is freed.
    let long = format!("/{}/{secret}", "long".repeat(50));
    let scratch = Scratch::new("attacks-memory-environment");
    let slow = far(&scratch);
    // The caller has this directory in PATH too, so nothing chooses a program of the host.
    let path = format!("PATH={0}:{0}:{0}:{0}:/usr/bin:/bin", slow);
    let own = container_with(&["CTRBOX_TEST_TOKEN=x".to_owned(), "TERM=y".to_owned(), path]);
    let mut watcher = watch(&own, &name, &secret);
    let mut entries = 0;
    for options in
        [&["-p", "-e"][..], &["-a", "-e"], &["-a", "-e", "--new-tty"], &["--as-container"], &["--as", "0"]]
    {
        for hints in ["always", "never"] {
            entries += until_read(&mut watcher, &format!("{options:?} {hints}"), || {
                let mut command = common::applet("nsenter");
                command.args(["-t", &own.pid.to_string()]).args(options).arg(&name);
                command.env("CTRBOX_TEST_TOKEN", &long).env("TERM", &long);
                command.env("PATH", format!("/usr/bin:/bin:{slow}:{long}")).env("CTRBOX_HINTS", hints);
                let output = limited(&mut command);
                assert_eq!(output.status.code(), Some(127), "{options:?}: {}", stderr(&output));
            });
        }
    }
    println!("{entries} entries, {} processes read", found(&mut watcher).0);
}

/// A directory at the end of long symbolic links, which the kernel follows for milliseconds. A process that searches a
/// program there is not yet the program, and has little in its memory.
fn far(scratch: &Scratch) -> String {
    const LINKS: usize = 18; // the kernel follows 40, and counts some of them twice
    for number in 0..LINKS {
        let to = format!("{}{}", "./".repeat(2_000), number + 1);
        std::os::unix::fs::symlink(to, scratch.0.join(number.to_string())).expect("a link");
    }
    std::fs::create_dir(scratch.0.join(LINKS.to_string())).expect("a directory");
    scratch.0.join("0").to_str().expect("text").to_owned()
}

/// The number of processes that the watcher has read, and in how many the secret was.
fn found(watcher: &mut Piped) -> (u32, u32) {
    watcher.say("?\n");
    let line = watcher.line();
    let numbers: Vec<u32> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [read, faults] => (read, faults),
        _ => panic!("no answer: {line}"),
    }
}

/// Enters until the watcher has read enough processes. Returns the number of entries.
fn until_read(watcher: &mut Piped, what: &str, enter: impl Fn()) -> u32 {
    let wanted = std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let before = found(watcher).0;
    let (mut tries, mut read) = (0, 0);
    while read < wanted {
        assert!(tries < MOST * wanted, "{what}: in {tries} entries the watcher has read {read} processes");
        tries += 1;
        enter();
        let (now, faults) = found(watcher);
        assert_eq!(faults, 0, "{what}: the secret is in the memory");
        read = now - before;
    }
    tries
}
