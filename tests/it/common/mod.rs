//! Helpers for all tests: the binary, skipping with a reason, golden files, a scratch directory.

pub mod cgexec;
pub mod claims;
pub mod compat;
pub mod containers;
pub mod ctr_inspect;
pub mod ctr_ps;
pub mod ctr_top;
pub mod ctr_whose;
pub mod fuse;
pub mod layout;
pub mod lsns;
pub mod network;
pub mod nsenter;
pub mod process;
pub mod schema;
pub mod terminal;
pub mod unshare;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long an operation may take before it counts as hanging. Tests wait for it only when they fail, and on a host
/// with a load of 30 no operation takes that long.
pub const HANG: Duration = Duration::from_secs(300);

/// nobody: a user without privileges.
pub const UNPRIVILEGED_UID: u32 = 65534;

/// The inputs for a target of the fuzzer, by name.
pub fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(project(&format!("tests/corpus/{target}"))).expect("a corpus");
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("an input"))
    };
    let mut all: Vec<_> = entries.map(|entry| read(entry.expect("an entry"))).collect();
    all.sort();
    assert!(!all.is_empty(), "{target} has no input");
    all
}

/// The binary under test: the one that ships when CTRBOX_BIN names it (`make test` does), else cargo's.
pub fn binary() -> PathBuf {
    match std::env::var_os("CTRBOX_BIN") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_ctrbox")),
    }
}

/// `ctrbox`, in a known locale and with no stdin.
pub fn ctrbox() -> Command {
    clean(Command::new(binary()))
}

/// `ctrbox APPLET`.
pub fn applet(name: &str) -> Command {
    let mut command = ctrbox();
    command.arg(name);
    command
}

/// Another program, under the same conditions.
pub fn program(name: &str) -> Command {
    clean(Command::new(name))
}

fn clean(mut command: Command) -> Command {
    static SIGNALS: std::sync::Once = std::sync::Once::new();
    SIGNALS.call_once(not_ignored);
    command
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .env_remove("POSIXLY_CORRECT");
    command
}

/// Programs inherit ignored signals (nohup: SIGHUP; `&` in a script: SIGINT, SIGQUIT): with these no test of a
/// signal could pass.
fn not_ignored() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for number in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
        // SAFETY: no handler is installed.
        unsafe { signal(number, SigHandler::SigDfl) }.expect("signal");
    }
}

/// Prints that a test does not run here, by name and reason. It is a failure if CTRBOX_REQUIRE has the name.
pub fn skip(what: &str, why: &str) {
    let required = std::env::var("CTRBOX_REQUIRE").unwrap_or_default();
    if required.split(',').any(|name| name == what) {
        panic!("{what} is required here but {why}");
    }
    // Not captured by the test harness, which shows the output of failures only.
    let line = format!("SKIP {what}: {why}\n");
    let _ = nix::unistd::write(std::io::stderr(), line.as_bytes());
}

/// The version of the running kernel.
pub fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Is the program in PATH?
pub fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

pub fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares with a file of the project; with CTRBOX_BLESS set, writes it.
pub fn golden(path: &str, actual: &str) {
    let file = project(path);
    if std::env::var_os("CTRBOX_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        std::fs::write(&file, actual).expect("a golden file");
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some(difference) = difference(&expected, actual) {
        panic!("{path} differs (`make bless` writes it anew, look at the difference)\n{difference}");
    }
}

/// The first line that differs.
pub fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let at = expected.lines().zip(actual.lines()).position(|(a, b)| a != b);
    let line = at.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    let show = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
    Some(format!("line {}:\n  expected: {}\n  actual:   {}", line + 1, show(expected), show(actual)))
}

/// A name that no other value of this run and no other run has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("ctrbox-test-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits for a state that no event announces.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < HANG, "{what}: not after {HANG:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A directory of this test's own, removed with the value.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(unique(name));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A child that is killed and reaped with the value.
pub struct Running(pub std::process::Child);

impl Running {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
