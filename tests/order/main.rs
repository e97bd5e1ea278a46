//! `make order`: prints a linker script that puts what a start touches next to each other: functions, and what they read.
//!
//! Single-steps a binary through what ctrbox does most often and needs to be fast at, and lists the sections in the order of
//! the first instruction that runs or reads them. The binary is built as the one that ships: of functions with the same code the
//! compiler keeps one, and with other settings another one. It has no symbols, so the linker's map says what is where. Constants
//! without a name are named by what is in them (build.sh). The list has no numbers of crates and stays good when the
//! compiler or a dependency changes; a name that no longer exists does nothing.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::once;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// `PID` is a process in namespaces of its own, also a user namespace; `OWN` is one in those of the caller. The lists come last,
/// as they run much more; `SELF` is the binary, which sees few processes there.
const ONE_SHOTS: [&str; 16] = [
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
    "ctr-ps -p PID",
    "unshare -fp --mount-proc SELF ctr-ps --forest",
    "unshare -fp --mount-proc SELF lsns",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().expect("the path of a binary");
    let map = arguments.next().expect("the path of its map");
    let map = Map::of(&std::fs::read_to_string(map).expect("a map"));
    let code = Code::of(&binary);
    let mut container = Command::new(&binary)
        .args(["unshare", "-Urmpinuf", "--kill-child", "sleep", "1000"])
        .spawn()
        .expect("a container");
    let (pid, own) = (container.id().to_string(), std::process::id().to_string());
    let (mut lines, mut known) = (Vec::new(), HashSet::new());
    for one_shot in ONE_SHOTS {
        let word = |word: &str| word.replace("PID", &pid).replace("OWN", &own).replace("SELF", &binary);
        let words: Vec<String> = one_shot.split(' ').map(word).collect();
        let touched = trace(&binary, &words, &map, &code).into_iter().map(Section::pattern);
        lines.extend(touched.filter(|line| known.insert(line.clone())));
    }
    container.kill().expect("it ends");
    container.wait().expect("it ends");

    let (read, run): (Vec<String>, Vec<String>) =
        lines.into_iter().partition(|line| line.contains("(.rodata"));
    println!(
        "/* What a start runs and reads, next to each other: fewer pages are touched. Written by `make order`. */"
    );
    println!("SECTIONS\n{{\n  .rodata.start : {{");
    read.iter().for_each(|line| println!("    {line}"));
    println!("  }}\n}}\nINSERT BEFORE .init;");
    println!("SECTIONS\n{{\n  .text.start : {{");
    println!("    *crti.o(.fini) *crtn.o(.fini)"); // an exit calls it
    run.iter().for_each(|line| println!("    {line}"));
    println!("  }}\n}}\nINSERT BEFORE .text;");
}

/// What the linker put where: a section for each function and for each constant.
struct Map(BTreeMap<u64, Section>);

struct Section {
    name: String,
    /// The object file it is from; of an archive, the member.
    file: String,
    size: u64,
}

impl Map {
    fn of(text: &str) -> Map {
        let (_, placed) = text.split_once("Linker script and memory map").expect("a map of GNU ld");
        let mut sections = BTreeMap::new();
        // A long name has a line of its own.
        let mut long = "";
        for line in placed.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, address, size, file) = match words[..] {
                [name, address, size, file] => (name, address, size, file),
                [address, size, file] => (long, address, size, file),
                _ => {
                    long = words.first().copied().unwrap_or_default();
                    continue;
                }
            };
            if !name.starts_with(".text") && !name.starts_with(".rodata") {
                continue;
            }
            if let (Some(address @ 1..), Some(size @ 1..)) = (number(address), number(size)) {
                sections.insert(address, Section { name: name.to_owned(), file: file.to_owned(), size });
            }
        }
        Map(sections)
    }

    /// None outside of the binary, in its variables, and in what has no name of its own (start-data.ld).
    fn at(&self, address: u64) -> Option<&Section> {
        let (from, section) = self.0.range(..=address).next_back()?;
        let shared = [".rodata.cst", ".rodata.str", ".rodata..Lvtable."];
        let is_shared = shared.iter().any(|name| section.name.starts_with(name));
        (address < from + section.size && !is_shared).then_some(section)
    }
}

impl Section {
    /// For a function in assembler, the whole file.
    fn pattern(&self) -> String {
        let name = without_compiler(&self.name);
        match self.file.rsplit_once('(') {
            Some((_, member)) if name == ".text" => format!("*:{}(.text)", member.trim_end_matches(')')),
            None if name == ".text" => {
                format!("*{}(.text)", self.file.rsplit('/').next().unwrap_or_default())
            }
            // Which of its copies has a number differs from build to build.
            _ if is_of_rust(name.as_str()) && !name.ends_with('*') => format!("*({name} {name}.*)"),
            _ => format!("*({name})"),
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits.strip_prefix("0x")?, 16).ok()
}

/// The operands of each instruction that can read memory, in AT&T's syntax.
struct Code(HashMap<u64, String>);

impl Code {
    fn of(binary: &str) -> Code {
        let out =
            Command::new("objdump").args(["-d", "--no-show-raw-insn", binary]).output().expect("objdump");
        let lines = String::from_utf8(out.stdout).expect("text");
        let instruction = |line: &str| {
            let (address, text) = line.split_once(":\t")?;
            let reads = (text.contains('(') || text.contains("0x"))
                && !text.starts_with("lea")
                && !text.starts_with("nop");
            Some((u64::from_str_radix(address.trim(), 16).ok()?, text.to_owned())).filter(|_| reads)
        };
        Code(lines.lines().filter_map(instruction).collect())
    }

    /// The addresses that the next instruction reads or writes: `0x8(%rbx,%rcx,4)`, or a number that is no value (`$`).
    fn operands(&self, registers: &user_regs_struct) -> Vec<u64> {
        let Some(text) = self.0.get(&registers.rip) else { return Vec::new() };
        let (mut addresses, mut rest) = (Vec::new(), text.as_str());
        while let Some((before, after)) = rest.split_once('(') {
            let Some((inside, after)) = after.split_once(')') else { break };
            addresses.push(plus(offset(before), inside, registers));
            rest = after;
        }
        addresses.extend(rest.split([',', ' ', '*']).filter_map(number));
        addresses
    }
}

/// The number before the bracket.
fn offset(before: &str) -> u64 {
    let digits = before.rsplit([',', ' ', '*', ':', '\t']).next().unwrap_or_default();
    match digits.strip_prefix('-') {
        Some(digits) => number(digits).unwrap_or_default().wrapping_neg(),
        None => number(digits).unwrap_or_default(),
    }
}

/// `%rbx,%rcx,4` is base, index and scale.
fn plus(offset: u64, inside: &str, registers: &user_regs_struct) -> u64 {
    let mut parts = inside.split(',');
    let mut value = || parts.next().map_or(0, |name| register(name, registers));
    let (base, index) = (value(), value());
    let scale = parts.next().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    offset.wrapping_add(base).wrapping_add(index.wrapping_mul(scale))
}

fn register(name: &str, registers: &user_regs_struct) -> u64 {
    match name {
        "%rax" => registers.rax,
        "%rbx" => registers.rbx,
        "%rcx" => registers.rcx,
        "%rdx" => registers.rdx,
        "%rsi" => registers.rsi,
        "%rdi" => registers.rdi,
        "%rbp" => registers.rbp,
        "%rsp" => registers.rsp,
        "%r8" => registers.r8,
        "%r9" => registers.r9,
        "%r10" => registers.r10,
        "%r11" => registers.r11,
        "%r12" => registers.r12,
        "%r13" => registers.r13,
        "%r14" => registers.r14,
        "%r15" => registers.r15,
        _ => 0,
    }
}

/// What runs and is read, in order; children are followed, and other programs are not.
#[allow(clippy::zombie_processes)] // waitpid waits for it
fn trace<'a>(binary: &str, words: &[String], map: &'a Map, code: &Code) -> Vec<&'a Section> {
    let mut command = Command::new(binary);
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    // SAFETY: one system call that allocates nothing.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().expect("a child");
    let child = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let (mut sections, mut known) = (Vec::new(), HashSet::new());
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
        // Not in the vdso or another program.
        if map.at(registers.rip).is_some() {
            let touched =
                once(registers.rip).chain(code.operands(&registers)).filter_map(|address| map.at(address));
            sections.extend(touched.filter(|section| known.insert(std::ptr::from_ref(*section))));
        }
        _ = ptrace::step(stopped, None);
    }
    sections
}

/// Functions and named constants in the form v0, and constants that are named by what is in them.
fn is_of_rust(name: &str) -> bool {
    name.contains("._R") || name.contains(".Lalloc_")
}

/// A name without what changes with the compiler: the hash at the end of a name of the old form, and the number of each crate
/// (`Cs..._`) in one of the form v0, which says what a generic function was made for, and that of a copy.
fn without_compiler(name: &str) -> String {
    let hash = |at: usize| name[at + 3..].bytes().take(16).filter(u8::is_ascii_hexdigit).count() == 16;
    match name.rfind("17h").filter(|&at| hash(at)) {
        Some(at) => format!("{}17h*", &name[..at]),
        None if is_of_rust(name) => {
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
