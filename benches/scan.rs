//! The scanners against their peers, on hosts that this makes: thousands of idle processes in hundreds of
//! containers, each with namespaces of its own. Every command runs in turn, round after round, so that a
//! machine that changes its pace changes it for all; CPU time is what the kernel counted.
//!
//! `make bench`, as root. `cargo bench --bench scan -- 100 2000` chooses the sizes.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 7;
const SIZES: [usize; 3] = [100, 2_000, 10_000];

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    if !nix::unistd::geteuid().is_root() {
        println!("only root can make a host of containers");
        return;
    }
    let ours = std::env::var("CTRBOX_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ctrbox").to_owned());
    let mut before: HashMap<String, (usize, f64)> = HashMap::new();
    for size in sizes {
        let herd = Herd::new(size, size.div_ceil(10));
        let host = std::fs::read_dir("/proc").map_or(0, |all| all.flatten().filter(numbered).count());
        println!("\n{host} processes, {} containers", herd.shims.len());
        println!(
            "{:<24} {:>9} {:>9} {:>8} {:>9} {:>8}",
            "", "CPU ms", "wall ms", "KiB", "syscalls", "growth"
        );
        let mut medians = HashMap::new();
        for (name, run) in measured(&commands(&ours)) {
            let calls =
                syscalls(&name, &ours).map_or("-".to_owned(), |calls| format!("{:.1}", calls / host as f64));
            let growth =
                before.insert(name.clone(), (host, run.cpu)).map_or("-".to_owned(), |(then, cpu)| {
                    format!("{:.2}", (run.cpu / cpu).ln() / (host as f64 / then as f64).ln())
                });
            println!("{name:<24} {:>9.1} {:>9.1} {:>8} {calls:>9} {growth:>8}", run.cpu, run.wall, run.rss);
            medians.insert(name, run.cpu);
        }
        for (a, b) in [
            ("lsns", "theirs: lsns"),
            ("lsns --no-fd-scan", "theirs: lsns"),
            ("ctr-ps --forest", "theirs: ps -ef --forest"),
        ] {
            if let (Some(a_cpu), Some(b_cpu)) = (medians.get(a), medians.get(b)) {
                println!(
                    "ctrbox {a} takes {:.3} of the CPU of {}",
                    a_cpu / b_cpu,
                    b.trim_start_matches("theirs: ")
                );
            }
        }
    }
}

fn numbered(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())
}

/// (name, argv)
fn commands(ours: &str) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for line in ["lsns", "lsns --no-fd-scan", "ctr-ps --forest"] {
        let argv = std::iter::once(ours).chain(line.split(' ')).map(str::to_owned).collect();
        all.push((line.to_owned(), argv));
    }
    for line in ["lsns", "ps -ef --forest"] {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if Command::new(&argv[0]).arg("--version").output().is_ok() {
            all.push((format!("theirs: {line}"), argv));
        }
    }
    all
}

struct Run {
    cpu: f64,
    wall: f64,
    rss: i64,
}

/// The median of each, all of them in turn.
fn measured(commands: &[(String, Vec<String>)]) -> Vec<(String, Run)> {
    let mut runs: Vec<Vec<Run>> = commands.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (at, (_, argv)) in commands.iter().enumerate() {
            runs[at].push(run(argv));
        }
    }
    let median = |runs: &mut Vec<Run>| {
        runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
        runs.swap_remove(runs.len() / 2)
    };
    commands.iter().zip(&mut runs).map(|((name, _), runs)| (name.clone(), median(runs))).collect()
}

#[allow(clippy::zombie_processes)] // wait4 reaps it, and tells what it took
fn run(argv: &[String]) -> Run {
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().expect("the command starts");
    let mut status = 0;
    // SAFETY: wait4 fills in what it is given; an rusage of zeros is one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage);
        usage
    };
    let wall = start.elapsed().as_secs_f64() * 1e3;
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Run { cpu: ms(usage.ru_utime) + ms(usage.ru_stime), wall, rss: usage.ru_maxrss }
}

/// How many system calls one run makes, if strace is there.
fn syscalls(name: &str, ours: &str) -> Option<f64> {
    let (_, argv) = commands(ours).into_iter().find(|(other, _)| other == name)?;
    let output = Command::new("strace").args(["-f", "-c", "-o", "/dev/stderr"]).args(argv).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().rev().find(|line| line.ends_with("total"))?.split_whitespace().nth(3)?.parse().ok()
}

/// Processes that wait, in containers; they end with the value.
struct Herd {
    shims: Vec<libc::pid_t>,
}

impl Herd {
    fn new(processes: usize, containers: usize) -> Herd {
        let mut pipe = [0; 2];
        // SAFETY: pipe2 fills in two descriptors, which are ours then.
        let (mut ready, done) = unsafe {
            assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe");
            (std::fs::File::from_raw_fd(pipe[0]), OwnedFd::from_raw_fd(pipe[1]))
        };
        let mut herd = Herd { shims: Vec::new() };
        for at in 0..containers {
            let count = processes / containers + usize::from(at < processes % containers);
            // SAFETY: there is one thread, and the child only makes system calls.
            let pid = unsafe { libc::fork() };
            assert!(pid >= 0, "fork");
            if pid == 0 {
                shim(count.max(2), done.as_raw_fd());
            }
            herd.shims.push(pid);
        }
        // Every process writes a byte once it is where it is to be.
        drop(done);
        let total: usize = (0..containers)
            .map(|at| (processes / containers + usize::from(at < processes % containers)).max(2))
            .sum();
        ready.read_exact(&mut vec![0; total]).expect("the herd comes up");
        herd
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        for &shim in &self.shims {
            // SAFETY: plain integers; the shims are children of ours that nobody has waited for.
            unsafe {
                libc::kill(shim, libc::SIGKILL);
                libc::waitpid(shim, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// What stands for a runtime's shim: its child is the init of a container of `count` processes, itself
/// included. The kernel ends them all with it.
fn shim(count: usize, done: RawFd) -> ! {
    const NEW: i32 =
        libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
    // SAFETY: this process has one thread; all these are plain system calls.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::unshare(NEW) != 0 {
            libc::_exit(1);
        }
        if libc::fork() == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            for _ in 2..count {
                if libc::fork() == 0 {
                    wait(done);
                }
            }
            wait(done);
        }
    }
    wait(done)
}

/// Says that it is there, and sleeps.
fn wait(done: RawFd) -> ! {
    // SAFETY: the pipe was inherited; one byte is written from a constant.
    unsafe {
        libc::write(done, c".".as_ptr().cast(), 1);
        loop {
            libc::pause();
        }
    }
}
