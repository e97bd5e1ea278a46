//! The options that change users and groups.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::{Shell, fail, failed, integer};
use crate::exit::Exit;
use crate::isolation::capabilities::own;
use crate::proc::{gid_of, groups_with, users};
use crate::text;

pub(super) fn uid(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let id = integer("--uid", word)?;
    setuid(Uid::from_raw(id)).map_err(|errno| failed(&format!("Failed to set uid={id}"), errno))
}

pub(super) fn cap_uid(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let id = integer("--cap-uid", word)?;
    own::set_user(Uid::from_raw(id)).map_err(|errno| failed(&format!("Failed to cap_setuid({id})"), errno))
}

pub(super) fn gid(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let id = integer("--gid", word)?;
    setgid(Gid::from_raw(id)).map_err(|errno| failed(&format!("Failed to set gid={id}"), errno))
}

/// Sets the groups from a list of numbers and names separated by commas. Skips empty entries.
pub(super) fn groups(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let file = std::fs::read("/etc/group").unwrap_or_default();
    let mut groups = Vec::new();
    for name in word.as_bytes().split(|&b| b == b',').filter(|name| !name.is_empty()) {
        let number = std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
        let id = match number {
            Some(digits) => digits.parse().ok(),
            None => gid_of(&file, name),
        };
        let unknown = || fail(format!("Failed to identify gid for group [{}]", text::escape(name)));
        groups.push(Gid::from_raw(id.ok_or_else(unknown)?));
    }
    setgroups(&groups).map_err(|_| fail("Failed to setgroups."))
}

/// Sets the IDs and groups as a login does, but keeps the permitted set.
pub(super) fn user(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let name = text::shown(word);
    let file = std::fs::read("/etc/passwd").unwrap_or_default();
    let login = users(&file).find(|user| user.name == word.as_bytes());
    let ids = login.and_then(|user| Some((user.uid, user.gid?, user.home)));
    let (uid, gid, home) = ids.ok_or_else(|| fail(format!("User [{name}] not known")))?;
    let group_file = std::fs::read("/etc/group").unwrap_or_default();
    // As getgrouplist(3) does: the user's own group first, and once.
    let others = groups_with(&group_file, word.as_bytes()).filter(|&other| other != gid);
    let groups: Vec<Gid> = std::iter::once(gid).chain(others).map(Gid::from_raw).collect();
    own::set_groups(Gid::from_raw(gid), &groups)
        .map_err(|errno| failed("Unable to set group list for user", errno))?;
    own::set_user(Uid::from_raw(uid))
        .map_err(|errno| failed(&format!("Failed to set uid={uid}(user={name})"), errno))?;
    if !shell.keep_environment {
        shell.home_and_user = Some((OsString::from_vec(home.to_vec()), word.to_os_string()));
    }
    Ok(())
}
