//! Helpers for the tests of nsenter: the program, its target, the namespaces it is in, its failures.

use std::path::Path;
use std::process::Command;

use super::process::{Holder, executable, link, printed};
use super::{Scratch, applet, unshare};

/// As [`unshare::KINDS`], without the user namespace.
pub const KINDS: [unshare::KindRow; 7] = {
    let [_user, others @ ..] = unshare::KINDS;
    others
};
pub const ALL: [&str; 8] = ["-C", "-i", "-u", "-n", "-m", "-T", "-p", "-f"];
/// No process has it: the kernel's largest PID is one less.
pub const NO_PID: &str = "4194304";

pub fn nsenter() -> Command {
    applet("nsenter")
}

pub fn of(holder: &Holder) -> Command {
    let mut command = nsenter();
    command.args(["-t", &holder.pid.to_string()]);
    command
}

pub fn refused(message: &str) -> (Option<i32>, String) {
    (Some(1), format!("nsenter: {message}\n"))
}

pub fn readlinks(command: &mut Command) -> String {
    command.arg("readlink");
    printed(command.args(KINDS.map(|(_, _, name)| format!("/proc/self/ns/{name}"))))
}

/// The links of all kinds: the holder's for the named ones, else those of this process.
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
