//! What the tests of nsenter share: the program, its target, which namespaces it is in, how it fails.

use std::path::Path;
use std::process::Command;

use super::process::{Holder, executable, limited, link};
use super::{Scratch, applet, stderr, stdout};

pub use super::unshare::printed;

pub const KINDS: [(&str, &str, &str); 7] = [
    ("-C", "--cgroup", "cgroup"),
    ("-i", "--ipc", "ipc"),
    ("-u", "--uts", "uts"),
    ("-n", "--net", "net"),
    ("-p", "--pid", "pid"),
    ("-m", "--mount", "mnt"),
    ("-T", "--time", "time"),
];
pub const ALL: [&str; 8] = ["-C", "-i", "-u", "-n", "-m", "-T", "-p", "-f"];
/// No process has it: the kernel's largest PID is one less.
pub const NOBODY: &str = "4194304";
pub const UNPRIVILEGED: u32 = 65534;

pub fn nsenter() -> Command {
    applet("nsenter")
}

pub fn of(holder: &Holder) -> Command {
    let mut command = nsenter();
    command.args(["-t", &holder.pid.to_string()]);
    command
}

/// Status and message of a failure; nothing is printed.
pub fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = limited(command);
    assert_eq!(stdout(&output), "", "{command:?}");
    (output.status.code(), stderr(&output))
}

pub fn refused(message: &str) -> (Option<i32>, String) {
    (Some(1), format!("nsenter: {message}\n"))
}

pub fn readlinks(command: &mut Command) -> String {
    command.arg("readlink");
    printed(command.args(KINDS.map(|(_, _, name)| format!("/proc/self/ns/{name}"))))
}

/// The links of all kinds: of the holder for those named, else our own.
pub fn links(holder: &Holder, inside: &[&str]) -> String {
    let of = |name| if inside.contains(&name) { holder.link(name) } else { link("self", name) };
    KINDS.map(|(_, _, name)| of(name) + "\n").concat()
}

pub fn in_scratch(scratch: &Scratch, name: &str) -> String {
    scratch.0.join(name).to_str().expect("text").to_owned()
}

pub fn script(path: &str, text: &str, mode: u32) {
    executable(Path::new(path), text.as_bytes(), mode);
}
