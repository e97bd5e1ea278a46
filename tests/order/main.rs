//! `make order`: prints a linker script that puts the functions of a start next to each other.
//!
//! Single-steps a binary with symbols through what ctrbox does most often and needs to be fast at, and
//! lists the functions in the order of their first instruction. The list has no numbers of crates, so it stays good when the
//! compiler or a dependency changes; a name that no longer exists does nothing.
use std::collections::{BTreeMap, HashSet};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// `PID` is a process in namespaces of its own, also a user namespace; `OWN` is one in those of the caller.
const ONE_SHOTS: [&str; 13] = [
    "unshare /bin/true",
    "unshare -n /bin/true",
    "unshare -Urm /bin/true",
    "unshare -fp --mount-proc /bin/true",
    "nsenter -t OWN -n /bin/true",
    "nsenter -t OWN -a /bin/true",
    "nsenter -t PID -n /bin/true",
    "nsenter -t PID -a /bin/true",
    "nsenter -t PID -U --preserve-credentials /bin/true",
    "getpcaps PID",
    "capsh --decode=3fffffffff",
    "capsh --print",
    "unshare --version",
];

fn main() {
    let binary = std::env::args().nth(1).expect("the path of a binary with symbols");
    let symbols = Symbols::of(&binary);
    let mut container = Command::new(&binary)
        .args(["unshare", "-Urmpinuf", "--kill-child", "sleep", "1000"])
        .spawn()
        .expect("a container");
    let (pid, own) = (container.id().to_string(), std::process::id().to_string());
    let mut list = Vec::new();
    let mut known = HashSet::new();
    for line in ONE_SHOTS {
        let words: Vec<String> =
            line.split(' ').map(|word| word.replace("PID", &pid).replace("OWN", &own)).collect();
        for name in trace(&binary, &words, &symbols) {
            if known.insert(name.clone()) {
                list.push(name);
            }
        }
    }
    container.kill().expect("it ends");
    container.wait().expect("it ends");

    println!(
        "/* The functions of a start, next to each other: fewer pages are touched. Written by `make order`. */"
    );
    println!("SECTIONS\n{{\n  .text.start : {{");
    println!("    *crti.o(.fini) *crtn.o(.fini)"); // an exit calls it
    for name in list {
        println!("    {}", sections(&name));
    }
    println!("  }}\n}}\nINSERT BEFORE .text;");
}

/// The functions of the binary by their address.
struct Symbols(BTreeMap<u64, Function>);

/// One function can have several names; the section has one of them.
#[derive(Default)]
struct Function {
    names: Vec<String>,
    size: u64,
}

/// In bytes: of a function without a size, which is one in assembler.
const SMALL: u64 = 256;

impl Symbols {
    fn of(binary: &str) -> Symbols {
        let out = Command::new("nm").args(["-S", "--defined-only", binary]).output().expect("nm");
        let lines = String::from_utf8(out.stdout).expect("text");
        let mut functions = BTreeMap::<u64, Function>::new();
        for line in lines.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (address, size, kind, name) = match words[..] {
                [address, size, kind, name] => (address, number(size), kind, name),
                [address, kind, name] => (address, SMALL, kind, name),
                _ => continue,
            };
            if "tTwW".contains(kind) {
                let function = functions.entry(number(address)).or_default();
                function.names.push(name.to_owned());
                function.size = function.size.max(size);
            }
        }
        Symbols(functions)
    }

    /// None outside of the binary.
    fn at(&self, address: u64) -> Option<&[String]> {
        let (from, function) = self.0.range(..=address).next_back()?;
        (address < from + function.size).then_some(&function.names)
    }
}

fn number(digits: &str) -> u64 {
    u64::from_str_radix(digits, 16).expect("a hexadecimal number")
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
        let Some(function) = symbols.at(registers.rip) else {
            // The vdso, or another program: its instructions are not counted.
            _ = ptrace::step(stopped, None);
            continue;
        };
        if known.insert(function[0].clone()) {
            names.extend_from_slice(function);
        }
        _ = ptrace::step(stopped, None);
    }
    names
}

/// The sections that can hold a function: those of the compiler, which puts functions that are rarely called elsewhere, and
/// for a function of C the whole file, if it is in assembler.
fn sections(name: &str) -> String {
    let short = without_compiler(name);
    let file = match name {
        _ if name.starts_with("_R") || name.starts_with("_ZN") => String::new(),
        "_start" => " *crt1.o(.text)".to_owned(),
        _ => format!(" *:{name}.lo(.text)"),
    };
    // Which of its copies has a number differs from build to build.
    let copies = if name.starts_with("_R") && !short.ends_with('*') {
        format!(" .text.{short}.* .text.unlikely.{short}.*")
    } else {
        String::new()
    };
    format!("*(.text.{short} .text.unlikely.{short}{copies}){file}")
}

/// A name without what changes with the compiler: the hash at the end of a name of the old form, and the number of each crate
/// (`Cs..._`) in one of the form v0, which says what a generic function was made for, and that of a copy.
fn without_compiler(name: &str) -> String {
    let hash = |at: usize| name[at + 3..].bytes().take(16).filter(u8::is_ascii_hexdigit).count() == 16;
    match name.rfind("17h").filter(|&at| hash(at)) {
        Some(at) => format!("{}17h*", &name[..at]),
        None if name.starts_with("_R") => {
            without_copy(&without_crates(name.split(".llvm.").next().unwrap_or(name))).to_owned()
        }
        None => name.to_owned(),
    }
}

/// A number is up to eleven digits of base 62; less than eight are part of a name. At the end stands the crate that needed the
/// function first, which other options of the compiler change.
fn without_crates(name: &str) -> String {
    let (mut short, mut rest) = (String::new(), name);
    while let Some(at) = rest.find("Cs") {
        let digits = rest[at + 2..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        let number = (8..=11).contains(&digits) && rest[at + 2 + digits..].starts_with('_');
        short.push_str(&rest[..at + 2]);
        rest = &rest[at + 2..];
        if number {
            short.push('*');
            rest = &rest[digits..];
            if is_one_name(&rest[1..]) {
                return short;
            }
        }
    }
    short + rest
}

/// A function of which several crates have a copy ends in `.` and a number.
fn without_copy(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((function, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => function,
        _ => name,
    }
}

/// A number, and that many bytes.
fn is_one_name(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse() == Ok(text.len() - digits)
}
