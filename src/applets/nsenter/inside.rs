//! What runs in another root directory: the shell if no program is named, and what helps if the program is missing. The
//! list of users there is read before it is entered, with the limits of [`Files`]. The container controls the content,
//! so it decides only on a path inside.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, getuid};

use super::open::Opened;
use super::plan::{Directory, Request};
use crate::access::Account;
use crate::container::Files;
use crate::isolation::ns;
use crate::launch::credentials::find_user;

use crate::launch::exec;
use crate::proc::idmap::{Which, inner_of};
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Users};
use crate::text;

/// The shell of the program's user in /etc/passwd of the root that is entered, else /bin/sh. None if that root is not
/// known, or if the program is named. `uid`: the user that an option sets.
pub(super) fn shell(
    proc: &ProcRoot,
    request: &Request,
    opened: &Opened,
    uid: Option<u32>,
) -> Option<OsString> {
    if request.program.is_some() || !request.enters_files() {
        return None;
    }
    let (root, account) = root_of(proc, request, opened)?;
    let files = Files::of_container(&root, account).ok()?.of_anyone();
    let mut passwd = files.read("/etc/passwd").unwrap_or_default();
    if opened.pidfd.as_ref().is_some_and(|pidfd| ns::still(pidfd).is_err()) {
        passwd.clear(); // the PID may be another process's by now
    }
    let uid = user_inside(proc, request, opened, uid, &passwd);
    let users = Users::parse(&passwd);
    let of_user = uid.and_then(|uid| users.get(uid)).map(|user| user.shell.clone());
    Some(of_user.filter(is_shell).unwrap_or_else(|| OsString::from("/bin/sh")))
}

/// An absolute path, and not that of a program that refuses logins.
fn is_shell(shell: &OsString) -> bool {
    let name = Path::new(shell).file_name().map(OsStr::as_bytes);
    Path::new(shell).is_absolute() && !matches!(name, None | Some(b"nologin" | b"false" | b"true"))
}

/// The root directory that the program will have, as a path outside.
fn root_of(proc: &ProcRoot, request: &Request, opened: &Opened) -> Option<(PathBuf, Account)> {
    let account = Account::Container(opened.pid.map_or(0, |pid| pid.as_raw().unsigned_abs().into()));
    if let (Directory::Open(_), Some(root)) = (&request.root, &opened.root) {
        return Some((proc.own(&format!("fd/{}", root.as_raw_fd())), account));
    }
    let of_file = request.files.iter().any(|(kind, _)| *kind == Kind::Mnt);
    opened.pid.filter(|_| !of_file).map(|pid| (proc.path_of(pid, "root"), account))
}

/// The uid of the program in the user namespace that it will be in.
fn user_inside(
    proc: &ProcRoot,
    request: &Request,
    opened: &Opened,
    uid: Option<u32>,
    passwd: &[u8],
) -> Option<u32> {
    if let Some(word) = &request.user {
        let name = word.as_bytes().split(|&b| b == b':').next().unwrap_or_default();
        return find_user(name, passwd, b"").ok().map(|user| user.uid);
    }
    let of_target = opened.container_credentials.as_ref().map(|target| target.credentials.uid);
    if let Some(uid) = uid.or(of_target) {
        return Some(uid);
    }
    let own = getuid().as_raw();
    match opened.pid.filter(|_| opened.user_ns) {
        Some(pid) => proc.process(pid).id_map(Which::Users).ok().and_then(|map| inner_of(&map, own)),
        None => Some(own),
    }
}

/// The hint for a program that does not exist in the entered root.
pub(super) fn hint(request: &Request) -> String {
    let program = request.program.as_deref();
    let shown = program.map_or("a shell".to_owned(), |program| format!("'{}'", text::shown(program)));
    let place = match request.root {
        Directory::Open(_) => "in the new root directory",
        _ => "inside the container",
    };
    let mut remedies = Vec::new();
    let has_target = request.target.is_some();
    if has_target && program.is_none_or(exists_here) {
        match (request.as_container, &request.root) {
            (true, _) => remedies.push("-a --host-root in place of --as-container runs that of the host"),
            (false, Directory::Unchanged) => remedies.push("--host-root runs that of the host"),
            (false, _) => remedies.push("without -r that of the host runs"),
        }
        if !request.all && !request.as_container && request.names(Kind::Mnt) {
            remedies.push("so does leaving -m out");
        }
    }
    let by_path = program.is_some_and(|program| !program.as_bytes().contains(&b'/'));
    if by_path && has_target && !request.environment {
        remedies.push("-e searches the PATH of the target instead of the caller's");
    }
    let remedies = if remedies.is_empty() { String::new() } else { format!(": {}", remedies.join("; ")) };
    format!("{shown} was looked for {place}{remedies}")
}

/// Does the caller have the program?
fn exists_here(program: &OsStr) -> bool {
    exec::files_of(program).iter().any(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}
