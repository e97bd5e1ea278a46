//! `make order`: prints a linker script that puts the functions of a start next to each other.
//!
//! Single-steps a binary with symbols (`DEBUG=1`) through what ctrbox does most often and needs to be fast at, and
//! lists the functions in the order of their first instruction. The list has no hashes, so it stays good when the
//! compiler or a dependency changes; a name that no longer exists does nothing.
use std::collections::{BTreeMap, HashSet};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// `PID` is a process in namespaces of its own.
const ONE_SHOTS: [&str; 11] = [
    "unshare /bin/true",
    "unshare -n /bin/true",
    "unshare -Urm /bin/true",
    "unshare -fp --mount-proc /bin/true",
    "nsenter -t PID -n /bin/true",
    "nsenter -t PID -a /bin/true",
    "nsenter -t PID -U --preserve-credentials /bin/true",
    "getpcaps PID",
    "capsh --decode=3fffffffff",
    "capsh --print",
    "unshare --version",
];

/// In bytes. A name without its hash may be that of many copies, of which a start runs one. Those that are larger in all
/// follow after the others.
const LARGE: u64 = 2048;

fn main() {
    let binary = std::env::args().nth(1).expect("the path of a binary with symbols");
    let symbols = Symbols::of(&binary);
    let mut container = Command::new(&binary)
        .args(["unshare", "-Urmpinuf", "--kill-child", "sleep", "1000"])
        .spawn()
        .expect("a container");
    let pid = container.id().to_string();
    let mut list = Vec::new();
    let mut known = HashSet::new();
    for line in ONE_SHOTS {
        let words: Vec<String> = line.split(' ').map(|word| word.replace("PID", &pid)).collect();
        for name in trace(&binary, &words, &symbols) {
            let pattern = pattern(&name);
            if known.insert(pattern.clone()) {
                list.push(pattern);
            }
        }
    }
    container.kill().expect("it ends");
    container.wait().expect("it ends");

    list.sort_by_key(|pattern| symbols.copies(pattern)); // stable: else in the order of their first instruction

    println!(
        "/* The functions of a start, next to each other: fewer pages are touched. Written by `make order`. */"
    );
    println!("SECTIONS\n{{\n  .text.start : {{");
    for pattern in list {
        println!("    *({pattern})");
    }
    println!("  }}\n}}\nINSERT BEFORE .text;");
}

/// The functions of the binary by their address.
struct Symbols(BTreeMap<u64, Function>);

struct Function {
    name: String,
    size: u64,
}

impl Symbols {
    fn of(binary: &str) -> Symbols {
        let out = Command::new("nm").args(["-S", "--defined-only", binary]).output().expect("nm");
        let lines = String::from_utf8(out.stdout).expect("text");
        let symbol = |line: &str| {
            let mut words = line.split(' ');
            let mut number = || u64::from_str_radix(words.next()?, 16).ok();
            let (address, size) = (number()?, number()?);
            let (kind, name) = (words.next()?, words.next()?);
            "tTwW".contains(kind).then(|| (address, Function { name: name.to_owned(), size }))
        };
        Symbols(lines.lines().filter_map(symbol).collect())
    }

    /// Are there several functions of this pattern, and large ones?
    fn copies(&self, wanted: &str) -> bool {
        let all = self.0.values().filter(|function| pattern(&function.name) == wanted);
        let (count, bytes) = all.fold((0, 0), |(count, bytes), function| (count + 1, bytes + function.size));
        count > 1 && bytes > LARGE
    }

    /// None outside of the binary.
    fn at(&self, address: u64) -> Option<&str> {
        let (from, function) = self.0.range(..=address).next_back()?;
        (address < from + function.size).then_some(&function.name)
    }
}

/// The functions that run, in order; children are followed, and other programs are not.
#[allow(clippy::zombie_processes)] // waitpid waits for it
fn trace(binary: &str, words: &[String], symbols: &Symbols) -> Vec<String> {
    let mut command = Command::new(binary);
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    // SAFETY: one system call that allocates nothing.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().expect("a child");
    let child = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    let mut prepared = false;
    // The container is a child too, and is not traced: it says nothing until it ends.
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::__WALL)) {
        let stopped = match status {
            WaitStatus::Stopped(pid, _) | WaitStatus::PtraceEvent(pid, ..) => pid,
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) if pid == child => break,
            _ => continue,
        };
        if !prepared {
            let options =
                Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
            ptrace::setoptions(stopped, options).expect("options");
            prepared = true;
        }
        let Ok(registers) = ptrace::getregs(stopped) else { continue };
        let Some(name) = symbols.at(registers.rip) else {
            // The vdso, or another program: its instructions are not counted.
            _ = ptrace::step(stopped, None);
            continue;
        };
        if known.insert(name.to_owned()) {
            names.push(name.to_owned());
        }
        _ = ptrace::step(stopped, None);
    }
    names
}

/// The section of a function, without what changes with the compiler.
fn pattern(name: &str) -> String {
    let hash = |at: usize| name[at + 3..].bytes().take(16).filter(u8::is_ascii_hexdigit).count() == 16;
    let short = match name.rfind("17h").filter(|&at| hash(at)) {
        Some(at) => format!("{}17h*", &name[..at]),
        None => name.split(".llvm.").next().unwrap_or(name).to_owned(),
    };
    format!(".text.{short}")
}
