//! Why an id map is refused (user_namespaces(7)), or newuidmap(1) fails.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use caps::Capability;

use super::{Case, Finding, list};
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::proc::idmap::{Range, Which};
use crate::proc::users;
use crate::text;

use Finding::{Answer, No, Perhaps, Sure};

fn ranges<'c>(case: &'c Case<'_>) -> Option<(Which, &'c [Range])> {
    match case.operation {
        Operation::Map { which, ranges, .. } | Operation::Mapper { which, ranges } => Some((*which, ranges)),
        _ => None,
    }
}

/// A map can be written only once.
pub(super) fn written(case: &Case<'_>) -> Option<Finding> {
    let Operation::Map { file, .. } = case.operation else { return None };
    Some(match case.facts.text(file)?.trim().is_empty() {
        true => No,
        false => Sure(format!("{} has already been written, and can be written only once", file.display())),
    })
}

/// Every outer id must exist in the parent user namespace.
pub(super) fn missing_outside(case: &Case<'_>) -> Option<Finding> {
    let Operation::Map { which, ranges, helper: true, .. } = case.operation else { return None };
    let own = case.facts.own_ids(which.file())?;
    let first = ranges.iter().find(|range| !covered(&own, range));
    let kind = which.name();
    Some(match first {
        None => No,
        Some(range) => Sure(format!(
            "not all of the {kind} ids {} exist in the user namespace of this process; /proc/self/{} lists \
             those that do",
            shown(range),
            which.file()
        )),
    })
}

/// Are all outer ids within `ids`?
pub(super) fn covered(own: &[Range], range: &Range) -> bool {
    let (mut next, end) = (u64::from(range.outer), u64::from(range.outer) + u64::from(range.count));
    while next < end {
        let Ok(id) = u32::try_from(next) else { return false };
        let Some(part) = own.iter().find(|part| part.contains(id)) else { return false };
        next = u64::from(part.outer) + u64::from(part.count);
    }
    true
}

fn shown(range: &Range) -> String {
    match range.count {
        1 => range.outer.to_string(),
        _ => format!("{}-{}", range.outer, u64::from(range.outer) + u64::from(range.count.max(1)) - 1),
    }
}

/// `id 5`, `ids 5-9`
fn shown_ids(range: &Range) -> String {
    format!("{} {}", if range.count == 1 { "id" } else { "ids" }, shown(range))
}

/// `0, 100-199 and 300`
pub(super) fn shown_all(ranges: &[Range]) -> String {
    list(&ranges.iter().map(shown).collect::<Vec<String>>())
}

/// A map of ids other than the own one needs a capability in the parent user namespace. A map of its user 0 needs
/// another one since Linux 5.12.
pub(super) fn capability(case: &Case<'_>) -> Option<Finding> {
    let Operation::Map { which, ranges, helper: true, .. } = case.operation else { return None };
    let needed = match which {
        Which::Users => Capability::CAP_SETUID,
        Which::Groups => Capability::CAP_SETGID,
    };
    let of_root = *which == Which::Users && ranges.iter().any(|range| range.outer == 0 && range.count > 0);
    let rest =
        "root has been started without it, as in a container; start the container with more (--cap-add)";
    Some(if case.facts.lacks(needed)? {
        Sure(format!("{needed} is missing; {rest}"))
    } else if of_root && ns::kernel() >= (5, 12) && case.facts.lacks(Capability::CAP_SETFCAP)? {
        let needed = Capability::CAP_SETFCAP;
        Sure(format!("mapping user 0 requires {needed}, which is missing; {rest}, or leave 0 out of the map"))
    } else {
        No
    })
}

/// The limit is one page, and five lines before Linux 4.15.
pub(super) fn too_many(case: &Case<'_>) -> Option<Finding> {
    let most = if ns::kernel() < (4, 15) { 5 } else { 340 };
    let (which, ranges) = ranges(case)?;
    let lines = ranges.len();
    Some(match lines > most {
        true => Sure(format!(
            "the map has {lines} ranges of {} ids, and the kernel accepts {most}; join adjacent ranges",
            which.name()
        )),
        false => No,
    })
}

/// An id must not be in a map twice, on either side, and no range may be empty.
pub(super) fn overlap(case: &Case<'_>) -> Option<Finding> {
    let (which, ranges) = ranges(case)?;
    let kind = which.name();
    if ranges.iter().any(|range| range.count == 0) {
        return Some(Sure(format!("a range of {kind} ids is empty: its count must be at least 1")));
    }
    let within =
        |start: u32, count: u32, id: u32| id >= start && u64::from(id) < u64::from(start) + u64::from(count);
    for (at, one) in ranges.iter().enumerate() {
        for other in &ranges[at + 1..] {
            let twice = |a: u32, b: u32| within(a, one.count, b) || within(b, other.count, a);
            let (a, b) = (one.inner.unwrap_or(0), other.inner.unwrap_or(0));
            for (side, a, b) in [("inside", a, b), ("outside", one.outer, other.outer)] {
                if twice(a, b) {
                    return Some(Sure(format!("{kind} id {} is {side} in two ranges", a.max(b))));
                }
            }
        }
    }
    Some(No)
}

/// `deny` is permanent, also in all user namespaces below.
pub(super) fn denied_before(case: &Case<'_>) -> Option<Finding> {
    let word = case.facts.text(&case.facts.proc.own("setgroups"))?;
    let mapped = !case.facts.own_ids("gid_map")?.is_empty();
    Some(match (word.trim(), mapped) {
        ("deny", _) => {
            Sure("setgroups(2) is already denied permanently, here or in a user namespace above".to_owned())
        }
        (_, true) => {
            Sure("group ids are already mapped; after that the setting cannot be changed".to_owned())
        }
        _ => No,
    })
}

pub(super) fn no_grant(case: &Case<'_>) -> Option<Finding> {
    let Operation::Grant { which, user } = case.operation else { return None };
    let (file, option) = match which {
        Which::Users => (which.grants(), "--add-subuids"),
        Which::Groups => (which.grants(), "--add-subgids"),
    };
    Some(Sure(format!(
        "{file} grants user {user} no ids; as root: usermod {option} 100000-165535 {user} (ids that no other \
         line there has)"
    )))
}

pub(super) fn no_mapper(case: &Case<'_>) -> Option<Finding> {
    let (which, _) = ranges(case)?;
    let program = which.program();
    Some(match found(program) {
        Some(_) => No,
        None => Sure(format!(
            "an ordinary user needs {program} to map more than the own id, and it is not in PATH; install it (Debian: \
             uidmap, Fedora, SUSE, Alpine: shadow-utils, shadow, shadow-subids)"
        )),
    })
}

/// Finds a program in PATH.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// The program must be able to write maps: set-user-ID root, or file capabilities.
pub(super) fn weak_mapper(case: &Case<'_>) -> Option<Finding> {
    let (which, _) = ranges(case)?;
    let file = found(which.program())?;
    let meta = std::fs::metadata(&file).ok()?;
    let shown = file.display();
    let setuid = meta.permissions().mode() & 0o4000 != 0 && meta.uid() == 0;
    Some(if !setuid && !has_file_capabilities(&file) {
        Sure(format!("{shown} is not set-user-ID root and has no capabilities; as root: chmod u+s {shown}"))
    } else if case.facts.field("NoNewPrivs") == Some("1") {
        Sure(format!(
            "no_new_privs is set on this process, so {shown} does not run as root (systemd: NoNewPrivileges=, docker: \
             --security-opt no-new-privileges)"
        ))
    } else if on_nosuid(&file) {
        Sure(format!("{shown} is on a file system mounted nosuid, so it does not run as root"))
    } else {
        No
    })
}

fn has_file_capabilities(file: &Path) -> bool {
    let path = std::ffi::CString::new(file.as_os_str().as_encoded_bytes());
    path.is_ok_and(|path| crate::sys::has_attribute(&path, c"security.capability"))
}

fn on_nosuid(file: &Path) -> bool {
    use nix::sys::statvfs::{FsFlags, statvfs};
    statvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOSUID))
}

/// The user that newuidmap(1) takes the caller for, and their group in /etc/passwd.
fn caller() -> (u32, Vec<u8>, Option<u32>) {
    let uid = nix::unistd::getuid().as_raw();
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    match users(&passwd).find(|line| line.uid == uid) {
        Some(line) => (uid, line.name.to_vec(), line.gid),
        None => (uid, uid.to_string().into_bytes(), None),
    }
}

/// newuidmap(1) serves a user only with the group of their line in /etc/passwd.
pub(super) fn other_group(case: &Case<'_>) -> Option<Finding> {
    let (which, _) = ranges(case)?;
    let (_, user, gid) = caller();
    let (own, gid) = (nix::unistd::getgid().as_raw(), gid?);
    let settings = std::fs::read_to_string("/etc/login.defs").unwrap_or_default();
    let mut words = settings.lines().map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let is_allowed = words.any(|words| {
        matches!(words[..], ["GRANT_AUX_GROUP_SUBIDS", value, ..] if value.eq_ignore_ascii_case("yes"))
    });
    Some(match own == gid || is_allowed {
        true => No,
        false => Answer(format!(
            "this process has group {own}, and {} refuses any other than the group of user {} in /etc/passwd, {gid}; \
             run with that group (newgrp(1)), or as root: GRANT_AUX_GROUP_SUBIDS yes in /etc/login.defs",
            which.program(),
            quoted(&user)
        )),
    })
}

/// Every range must be the own id, or lie within one line for the user.
pub(super) fn not_granted(case: &Case<'_>) -> Option<Finding> {
    let (which, ranges) = ranges(case)?;
    let (uid, user, _) = caller();
    let own = match which {
        Which::Users => uid,
        Which::Groups => nix::unistd::getgid().as_raw(),
    };
    let file = which.grants();
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(_) => return None,
    };
    let grants: Vec<Range> = Range::all_granted(&text, &user, uid).collect();
    let allowed = |range: &Range| (range.outer == own && range.count == 1) || covered(&grants, range);
    let Some(range) = ranges.iter().find(|range| !allowed(range)) else { return Some(No) };
    let granted = if grants.is_empty() { "none".to_owned() } else { shown_all(&grants) };
    let words = format!(
        "{file} does not grant user {} the {} {}; it grants {granted}",
        quoted(&user),
        which.name(),
        shown_ids(range)
    );
    Some(match has_other_grants() {
        false => Answer(words),
        true => Perhaps(format!("{words} (but /etc/nsswitch.conf names another source of grants)")),
    })
}

/// Does nsswitch.conf(5) name a source of grants in place of the files?
fn has_other_grants() -> bool {
    let text = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("subid:"));
    lines.next_back().is_some_and(|sources| sources.trim() != "files")
}

fn quoted(user: &[u8]) -> String {
    text::shown(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(user)).into_owned()
}
