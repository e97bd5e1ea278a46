//! The scanners against their peers, on hosts that this makes: thousands of idle processes in hundreds of
//! containers, each with namespaces and, where there is a cgroup2 hierarchy, a control group of its own; half
//! of them called as Docker's and half as Kubernetes', with and without the records of those. Every command runs in turn, round after round, so that a
//! machine that changes its pace changes it for all; CPU time is what the kernel counted.
//!
//! `make bench`, as root. `cargo bench --bench scan -- 100 2000` chooses the sizes.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
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
    let binary = std::env::var("CTRBOX_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ctrbox").to_owned());
    let mut before: HashMap<String, (usize, f64)> = HashMap::new();
    for size in sizes {
        let herd = Herd::new(size, size.div_ceil(10));
        let commands = commands(&binary, &herd.records());
        let host = std::fs::read_dir("/proc").map_or(0, |all| all.flatten().filter(numbered).count());
        println!("\n{host} processes, {} containers", herd.shims.len());
        println!(
            "{:<34} {:>9} {:>9} {:>8} {:>9} {:>8}",
            "", "CPU ms", "wall ms", "KiB", "syscalls", "growth"
        );
        let mut medians = HashMap::new();
        for (name, run) in measured(&commands) {
            let calls = syscalls(&name, &commands)
                .map_or("-".to_owned(), |calls| format!("{:.1}", calls / host as f64));
            let growth =
                before.insert(name.clone(), (host, run.cpu)).map_or("-".to_owned(), |(then, cpu)| {
                    format!("{:.2}", (run.cpu / cpu).ln() / (host as f64 / then as f64).ln())
                });
            println!("{name:<34} {:>9.1} {:>9.1} {:>8} {calls:>9} {growth:>8}", run.cpu, run.wall, run.rss);
            medians.insert(name, run.cpu);
        }
        for (a, b) in [
            ("lsns", "lsns of util-linux"),
            ("lsns --no-fd-scan", "lsns of util-linux"),
            (FOREST, "ps -ef --forest"),
            (PORTABLE, "ps -ef --forest"),
            ("ctr-ps --forest, records", FOREST),
            ("ctr-ps --forest, portable, records", PORTABLE),
        ] {
            if let (Some(a_cpu), Some(b_cpu)) = (medians.get(a), medians.get(b)) {
                println!("{a} takes {:.3} of the CPU of {b}", a_cpu / b_cpu);
            }
        }
    }
}

fn numbered(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())
}

const FOREST: &str = "ctr-ps --forest";
const PORTABLE: &str = "ctr-ps --forest, portable";

/// (name, argv)
fn commands(binary: &str, records: &Path) -> Vec<(String, Vec<String>)> {
    let recorded = format!("--root {} --proc-root /proc", records.display());
    let of_ctrbox = [
        ("lsns", "lsns".to_owned()),
        ("lsns --no-fd-scan", "lsns --no-fd-scan".to_owned()),
        (FOREST, "ctr-ps --forest".to_owned()),
        (PORTABLE, "ctr-ps --forest --portable".to_owned()),
        ("ctr-ps --forest, records", format!("ctr-ps --forest {recorded}")),
        ("ctr-ps --forest, portable, records", format!("ctr-ps --forest --portable {recorded}")),
    ];
    let mut all = Vec::new();
    for (name, line) in of_ctrbox {
        let argv = std::iter::once(binary).chain(line.split(' ')).map(str::to_owned).collect();
        all.push((name.to_owned(), argv));
    }
    for line in ["lsns", "ps -ef --forest"] {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if Command::new(&argv[0]).arg("--version").output().is_ok() {
            all.push((format!("{line}{}", if line == "lsns" { " of util-linux" } else { "" }), argv));
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
fn syscalls(name: &str, commands: &[(String, Vec<String>)]) -> Option<f64> {
    let (_, argv) = commands.iter().find(|(other, _)| other == name)?;
    let output = Command::new("strace").args(["-f", "-c", "-o", "/dev/stderr"]).args(argv).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().rev().find(|line| line.ends_with("total"))?.split_whitespace().nth(3)?.parse().ok()
}

/// Processes that wait, in containers; they end with the value.
struct Herd {
    shims: Vec<libc::pid_t>,
    groups: Groups,
}

impl Herd {
    fn new(processes: usize, containers: usize) -> Herd {
        let mut herd = Herd { shims: Vec::new(), groups: Groups::new() };
        let mut pipe = [0; 2];
        // SAFETY: pipe2 fills in two descriptors, which are owned by this then.
        let (mut ready, done) = unsafe {
            assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe");
            (std::fs::File::from_raw_fd(pipe[0]), OwnedFd::from_raw_fd(pipe[1]))
        };
        for at in 0..containers {
            let count = processes / containers + usize::from(at < processes % containers);
            let group = herd.groups.add();
            // SAFETY: there is one thread, and the child only makes system calls.
            let pid = unsafe { libc::fork() };
            assert!(pid >= 0, "fork");
            if pid == 0 {
                shim(count.max(2), group.as_ref().map(AsRawFd::as_raw_fd), done.as_raw_fd());
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

    /// Writes down what Docker and containerd would, below a directory that stands for a system's root.
    fn records(&self) -> PathBuf {
        let root = self.groups.scratch.join("root");
        for group in &self.groups.all {
            let procs = std::fs::read_to_string(group.join("cgroup.procs")).expect("its processes");
            let init: i32 = procs.lines().filter_map(|pid| pid.parse().ok()).min().expect("an init process");
            let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = &name[name.len() - ".scope".len() - 64..name.len() - ".scope".len()];
            let write = |path: String, text: &str| {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().expect("a directory")).expect("it is made");
                std::fs::write(path, text).expect("it is written");
            };
            if name.starts_with("docker-") {
                let text = DOCKERS.replace("\"Pid\":4257", &format!("\"Pid\":{init}"));
                write(format!("var/lib/docker/containers/{id}/config.v2.json"), &text);
            } else {
                let bundle = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}");
                write(format!("{bundle}/config.json"), CONTAINERDS);
                write(format!("{bundle}/init.pid"), &init.to_string());
            }
        }
        std::fs::create_dir_all(&root).expect("a directory");
        root
    }
}

const DOCKERS: &str = include_str!(
    "../tests/fixtures/hybrid/root/var/lib/docker/containers/\
     32e6b376f3337dbd329281a6fa6c9b168f32c38e2113e9c9518990d01962b85b/config.v2.json"
);
const CONTAINERDS: &str = include_str!(
    "../tests/fixtures/hybrid/root/run/containerd/io.containerd.runtime.v2.task/k8s.io/\
     cd082d2b6dafbf2270afdba113d882a011a36bfb9e966d7bab0df5e08b94a7a8/config.json"
);

/// A group for each container, and a directory for what is written. A process of its own takes them away, once
/// nobody holds the pipe any more: so they go too when the benchmark is killed.
struct Groups {
    top: Option<PathBuf>,
    all: Vec<PathBuf>,
    scratch: PathBuf,
    sweeper: libc::pid_t,
    held: Option<OwnedFd>,
}

impl Groups {
    fn new() -> Groups {
        let name = format!("ctrbox-bench-{}", std::process::id());
        let scratch = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&scratch).expect("a directory");
        let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let hierarchy = hierarchies.into_iter().find(|path| path.join("cgroup.controllers").exists());
        let top = hierarchy.map(|path| path.join(&name)).filter(|top| std::fs::create_dir(top).is_ok());
        let mut pipe = [0; 2];
        // SAFETY: pipe2 fills in two descriptors, owned by this then; there is one thread to fork.
        let (wait, held, sweeper) = unsafe {
            assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe");
            (OwnedFd::from_raw_fd(pipe[0]), OwnedFd::from_raw_fd(pipe[1]), libc::fork())
        };
        assert!(sweeper >= 0, "fork");
        if sweeper == 0 {
            drop(held);
            sweep(&wait, top.as_deref(), &scratch);
        }
        Groups { top, all: Vec::new(), scratch, sweeper, held: Some(held) }
    }

    /// The next container's, by turns Docker's and Kubernetes'; what is written there moves.
    fn add(&mut self) -> Option<std::fs::File> {
        let top = self.top.as_ref()?;
        let number = self.all.len();
        let id = format!("{:016x}", number as u64 ^ 0x9e37_79b9_7f4a_7c15).repeat(4);
        let group = match number % 2 {
            0 => top.join(format!("system.slice/docker-{id}.scope")),
            _ => {
                top.join(format!("kubepods.slice/kubepods-pod{}.slice/cri-containerd-{id}.scope", number / 4))
            }
        };
        std::fs::create_dir_all(&group).expect("a group");
        let procs = std::fs::OpenOptions::new().write(true).open(group.join("cgroup.procs"));
        self.all.push(group);
        Some(procs.expect("its cgroup.procs"))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.held = None;
        // SAFETY: plain integers; it is our child.
        unsafe { libc::waitpid(self.sweeper, std::ptr::null_mut(), 0) };
    }
}

/// Waits for the end of the benchmark, and removes what it left.
fn sweep(wait: &OwnedFd, top: Option<&Path>, scratch: &Path) -> ! {
    // SAFETY: plain integers, and a byte that may be written.
    unsafe {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_IGN);
        }
        let mut byte = 0_u8;
        while libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1) > 0 {}
    }
    _ = std::fs::remove_dir_all(scratch);
    // Groups can go once their processes are gone, which the kernel is about to do.
    for _ in 0..1000 {
        if top.is_none_or(|top| remove(top) || !top.exists()) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // SAFETY: ends this process, without what a copy of it would do at its end.
    unsafe { libc::_exit(0) }
}

fn remove(group: &Path) -> bool {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&entry.path());
    }
    std::fs::remove_dir(group).is_ok()
}

impl Drop for Herd {
    fn drop(&mut self) {
        for &shim in &self.shims {
            // SAFETY: plain integers; the shims are children of this process that nobody has waited for.
            unsafe {
                libc::kill(shim, libc::SIGKILL);
                libc::waitpid(shim, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// What stands for a runtime's shim: its child is the init of a container of `count` processes, itself
/// included. The kernel ends them all with it.
fn shim(count: usize, group: Option<RawFd>, done: RawFd) -> ! {
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
            if let Some(procs) = group {
                libc::write(procs, c"0".as_ptr().cast(), 1);
            }
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
