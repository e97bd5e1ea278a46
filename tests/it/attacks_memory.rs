//! A container with CAP_SYS_PTRACE reads the memory of the processes that nsenter puts into it: no data about other
//! containers, read to find this one, is in it.
#![allow(unsafe_code)] // pre_exec and a seccomp filter

use std::collections::BTreeSet;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::cgexec::{Name, controller};
use crate::common::process::{Holder, Piped, limited};
use crate::common::{binary, program, stderr};

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
    let mut found = || {
        watcher.say("?\n");
        let line = watcher.line();
        let mut numbers = line.split(' ').filter_map(|word| word.parse::<u32>().ok());
        let two = (numbers.next(), numbers.next());
        (two.0.unwrap_or_else(|| panic!("no answer: {line}")), two.1)
    };
    let wanted = std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).unwrap_or(3);
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
        let before = found().0;
        let (mut tries, mut read) = (0, 0);
        while read < wanted {
            assert!(
                tries < MOST * wanted,
                "{options}: in {tries} entries the watcher has read {read} processes"
            );
            tries += 1;
            let output = enter(&format!("{options} true"));
            assert!(output.status.success(), "{options}: {}", stderr(&output));
            let (now, faults) = found();
            assert_eq!(faults, Some(0), "{options}: of another container");
            read = now - before;
        }
        entries += tries;
    }
    // A hint would need the state files of all containers, in the visible process.
    for (options, has_hint) in [("-n", true), ("-p", false), ("-p -F", true)] {
        let said = stderr(&enter(&format!("{options} {secret}-name")));
        assert!(said.contains(&format!("failed to execute {secret}-name: ")), "{said}");
        assert_eq!(said.contains("hint: "), has_hint, "{options}: {said}");
    }
    println!("{entries} entries, {} processes read", found().0);
}
