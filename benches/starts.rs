//! Short runs of ctrbox against the least program that does the same (floor.c) and against the tools of util-linux and
//! libcap. All run in turn, round after round. Wall time in microseconds, the least of all rounds: these are too short for
//! the CPU time that the kernel counts. Page faults are those of a run.
//!
//! `make bench`, as root; it needs a C compiler. `cargo bench --bench starts -- 500` chooses the number of rounds.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 100;

/// The command of ctrbox and of its peer, and the arguments of the floor. `END` is a program that ends at once, `PID` a
/// process in namespaces of its own.
const RUNS: [(&str, &str); 10] = [
    ("unshare END", "exec END"),
    ("unshare -n END", "unshare-n END"),
    ("unshare -Urm END", "unshare-user END"),
    ("unshare -fp --mount-proc END", "unshare-pid END"),
    ("nsenter -t PID -n END", "nsenter-n PID END"),
    ("nsenter -t PID -a END", "nsenter-all PID END"),
    ("getpcaps PID", "capget PID"),
    ("capsh --decode=3fffffffff", "capget PID"),
    ("capsh --print", "capget PID"),
    ("unshare --version", "capget PID"),
];

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("only root can make all namespaces");
        return;
    }
    let rounds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(ROUNDS);
    let binary = std::env::var("CTRBOX_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ctrbox").to_owned());
    let Some(floor) = floor() else {
        println!("the C compiler cannot build the floor");
        return;
    };
    let mut container = Command::new(&binary)
        .args(["unshare", "-mpinuCf", "--kill-child", "sleep", "10000"])
        .spawn()
        .expect("a container");
    let pid = inside(container.id());
    println!(
        "{:<30} {:>8} {:>8} {:>7} {:>8} {:>7} {:>8} {:>8}",
        "", "ctrbox", "floor", "ratio", "peer", "ratio", "faults", "floor's"
    );
    for (line, least) in RUNS {
        let words = |line: &str| -> Vec<String> {
            let end = format!("{} end", floor.display());
            line.replace("END", &end).replace("PID", &pid).split(' ').map(str::to_owned).collect()
        };
        let own = [vec![binary.clone()], words(line)].concat();
        let least = [vec![floor.display().to_string()], words(least)].concat();
        let peer = words(line);
        let has_peer = Command::new(&peer[0]).arg("--version").output().is_ok();
        let (mut a, mut b, mut c) = (Run::NONE, Run::NONE, Run::NONE);
        for _ in 0..rounds {
            // Once before the others and once after them: a new network namespace costs less just after another one.
            a = a.least(run(&own));
            b = b.least(run(&least));
            if has_peer {
                c = c.least(run(&peer));
            }
            b = b.least(run(&least));
            a = a.least(run(&own));
        }
        print!("{line:<30} {:>8.0} {:>8.0} {:>7.2} ", a.wall, b.wall, a.wall / b.wall);
        match has_peer {
            true => print!("{:>8.0} {:>7.2}", c.wall, a.wall / c.wall),
            false => print!("{:>8} {:>7}", "-", "-"),
        }
        println!(" {:>8} {:>8}", a.faults, b.faults);
    }
    _ = container.kill();
    _ = container.wait();
    _ = std::fs::remove_file(floor);
}

/// Compiles floor.c.
fn floor() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floor.c");
    let program = std::env::temp_dir().join(format!("ctrbox-floor-{}", std::process::id()));
    let flags = ["-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-o"];
    let built = Command::new("cc").args(flags).arg(&program).arg(source).status();
    built.is_ok_and(|status| status.success()).then_some(program)
}

/// The child of unshare, which is in the new pid namespace.
fn inside(parent: u32) -> String {
    loop {
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let child = children.split(' ').next().unwrap_or_default();
        if std::fs::read(format!("/proc/{child}/comm")).is_ok_and(|name| name == b"sleep\n") {
            return child.to_owned();
        }
        std::thread::yield_now();
    }
}

#[derive(Clone, Copy)]
struct Run {
    wall: f64,
    faults: i64,
}

impl Run {
    const NONE: Run = Run { wall: f64::MAX, faults: i64::MAX };

    fn least(self, other: Run) -> Run {
        Run { wall: self.wall.min(other.wall), faults: self.faults.min(other.faults) }
    }
}

#[allow(clippy::zombie_processes)] // wait4 reaps it
fn run(argv: &[String]) -> Run {
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().expect("it starts");
    let pid = i32::try_from(child.id()).expect("a pid");
    let mut status = 0;
    // SAFETY: all bytes zero are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both are valid for writes during the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    let wall = start.elapsed().as_secs_f64() * 1e6;
    assert_eq!((waited, status), (pid, 0), "{argv:?}");
    Run { wall, faults: usage.ru_minflt }
}
