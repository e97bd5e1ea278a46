//! The names of the programs that processes run, as far as no user chose them.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::Pid;

use super::c_path;
use crate::access::Lines;
use crate::container::{Files, Runtime};
use crate::proc::ProcRoot;
use crate::sys;

/// Helper programs in sandboxes of their own, which are not containers.
pub(super) const HELPERS: [&str; 1] = ["xdg-dbus-proxy"];

/// The name of the program that a process runs, if root owns its file: then no user chose the name. The process can
/// have other mounts, so the path must lead to the same file for ctrbox.
pub(super) fn program(proc: &ProcRoot, files: &Files, pid: Pid) -> Option<String> {
    trusted_program(proc, files, pid, |name| Runtime::of_program(name).is_some() || HELPERS.contains(&name))
}

/// The same for a name that fits.
pub(in crate::container) fn trusted_program(
    proc: &ProcRoot,
    files: &Files,
    pid: Pid,
    fits: impl Fn(&str) -> bool,
) -> Option<String> {
    let exe = proc.path_of(pid, "exe");
    let path = proc.link(&exe).ok()?;
    let name = path.file_name()?.to_str().filter(|name| fits(name))?;
    // The path is one in the mount namespace of the process. Here it can lead anywhere.
    let owner = || proc.process(pid).status().unwrap_or_default().euid.unwrap_or_default();
    let is_that_file = |known: &sys::Known| {
        let files = files.of_user(owner());
        files.is_same(path.to_str().unwrap_or_default(), known.device, known.inode)
    };
    let trusted = match known(&exe) {
        Ok(known) => known.uid == 0 && known.mode & 0o022 == 0 && is_that_file(&known),
        Err(Errno::ENOENT) => true, // a symbolic link in a copy of another system's /proc
        // FUSE refuses even root. An ordinary user sees only their own programs.
        Err(_) => !nix::unistd::geteuid().is_root(),
    };
    trusted.then(|| name.to_owned())
}

/// The machine name in the arguments of systemd-nspawn(1). Only those of root's process are trusted.
pub(super) fn machine(proc: &ProcRoot, nspawn: Pid) -> Option<String> {
    let status = proc.process(nspawn).status().ok()?;
    if status.euid != Some(0) {
        return None;
    }
    let text = Lines::one(proc, nspawn).ok()?;
    let mut arguments = text.split(|&b| b == 0);
    while let Some(argument) = arguments.next() {
        let value = match argument {
            b"-M" | b"--machine" => arguments.next(),
            _ => argument.strip_prefix(b"--machine=").or_else(|| argument.strip_prefix(b"-M")),
        };
        if let Some(value) = value {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    None
}

pub(super) fn known(path: &Path) -> nix::Result<sys::Known> {
    sys::known(AT_FDCWD, &c_path(path).ok_or(Errno::EINVAL)?)
}
