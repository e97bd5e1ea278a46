//! The request of the command line, and the plan that follows from it. No system call here changes anything.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::unistd::{getresgid, getresuid};

use crate::cli;
use crate::isolation::idmap;
use crate::launch::exec::Environment;
use crate::order;
use crate::proc::idmap::{Range, Single, Which};
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, Users, gid_of, uid_of};

/// The default mount point of binfmt_misc.
pub(super) const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// The options of one id map, of users or of groups.
#[derive(Default)]
pub(super) struct Ids {
    pub single: Option<u32>,
    pub ranges: Vec<Range>,
}

#[derive(Default)]
pub(super) struct Request {
    pub kinds: Vec<Kind>,
    pub files: Vec<(Kind, OsString)>,
    pub fork: bool,
    pub kill_child: Option<i32>,
    pub forward_signals: bool,
    pub mount_proc: Option<OsString>,
    pub mount_binfmt: Option<OsString>,
    pub load_interp: Option<OsString>,
    pub users: Ids,
    pub groups: Ids,
    pub hostname: Option<OsString>,
    pub loopback: bool,
    pub owner: Option<(u32, u32)>,
    pub propagation: Propagation,
    pub setgroups: Option<&'static str>,
    pub keep_caps: bool,
    pub root: Option<OsString>,
    pub wd: Option<OsString>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub monotonic: Option<i64>,
    pub boottime: Option<i64>,
    pub clear_env: bool,
    pub keep_env: Environment,
}

/// The propagation of all mounts in a new mount namespace. None leaves it unchanged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Propagation(pub Option<MsFlags>);

impl Default for Propagation {
    fn default() -> Self {
        Propagation(Some(MsFlags::MS_PRIVATE))
    }
}

/// An id map, and the process that writes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Map {
    None,
    /// One id, which the process writes itself in the new user namespace.
    Own(Single),
    /// Ranges, which a helper outside writes.
    Helper(Vec<Range>),
}

pub(super) struct Plan {
    pub request: Request,
    pub users: Map,
    pub groups: Map,
}

impl Request {
    pub(super) fn add(&mut self, kind: Kind) {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
    }

    /// A later file of the same kind replaces an earlier one.
    pub(super) fn unshare(&mut self, kind: Kind, file: Option<&OsStr>) -> Result<(), crate::exit::Exit> {
        self.add(kind);
        if let Some(file) = file {
            self.files.retain(|(other, _)| *other != kind);
            self.files.push((kind, file.to_os_string()));
        }
        Ok(())
    }

    #[must_use]
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Reads the ids with getresuid(2) and getresgid(2), because they can report a failure (getuid(2) cannot).
    pub(super) fn plan(mut self) -> Result<Plan> {
        if (self.monotonic.is_some() || self.boottime.is_some()) && !self.has(Kind::Time) {
            bail!("options --monotonic and --boottime require unsharing of a time namespace (-T)");
        }
        let owned = self.owner.is_some();
        let users = map(std::mem::take(&mut self.users), getresuid()?.effective.as_raw(), owned);
        let groups = map(std::mem::take(&mut self.groups), getresgid()?.effective.as_raw(), owned);
        if self.setgroups == Some("allow") && matches!(groups, Map::Own(_)) {
            bail!("options --setgroups=allow and --map-group are mutually exclusive");
        }
        // The files are bound in the order in which namespaces are entered.
        order::sort_by_key(&mut self.files, |(kind, _)| *kind);
        Ok(Plan { request: self, users, groups })
    }
}

/// A single id joins the ranges. Alone, it needs the helper only if another user owns the namespace (`--owner`).
fn map(ids: Ids, current: u32, owned: bool) -> Map {
    let single = ids.single.map(|inner| Single { inner, outer: current });
    match (single, ids.ranges.is_empty()) {
        (None, true) => Map::None,
        (Some(single), true) if !owned => Map::Own(single),
        _ => Map::Helper(idmap::join(single, &ids.ranges)),
    }
}

/// The range of users or groups that /etc/subuid or /etc/subgid grants the caller.
pub(super) fn granted(which: Which) -> Result<Range> {
    let uid = getresuid()?.effective.as_raw();
    let users = Users::read(std::fs::File::open("/etc/passwd"));
    let user = users.get(uid).ok_or_else(|| anyhow!("you (user {uid}) don't exist."))?;
    idmap::granted_to(&user.name, uid, which)
}

/// Every id of the caller's user namespace, mapped to itself.
pub(super) fn own_ids(which: Which) -> Result<Vec<Range>> {
    let path = ProcRoot::default().own(which.file());
    let text = std::fs::read(&path).with_context(|| format!("could not open '{}'", path.display()))?;
    Ok(Range::identity_of(&text))
}

/// A number, or a name in /etc/passwd or /etc/group. The highest number is not an id: the kernel uses it for "none".
pub(super) fn id_or_name(word: &OsStr, which: Which) -> Result<u32> {
    let numeric = word.to_str().is_some_and(|word| {
        let digits = word.trim_start().trim_start_matches(['+', '-']);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    let id = match numeric {
        true => Some(cli::number::<u32>(word, "").map_err(|_| Errno::ERANGE)?),
        false => match which {
            Which::Users => std::fs::read("/etc/passwd").ok().and_then(|text| uid_of(&text, word.as_bytes())),
            Which::Groups => std::fs::read("/etc/group").ok().and_then(|text| gid_of(&text, word.as_bytes())),
        },
    };
    id.filter(|&id| id != u32::MAX).ok_or_else(|| Error::from(Errno::EINVAL))
}

pub(super) fn propagation(word: &str) -> Option<Propagation> {
    match word {
        "slave" => Some(Propagation(Some(MsFlags::MS_SLAVE))),
        "private" => Some(Propagation(Some(MsFlags::MS_PRIVATE))),
        "shared" => Some(Propagation(Some(MsFlags::MS_SHARED))),
        "unchanged" => Some(Propagation(None)),
        _ => None,
    }
}

/// The caller's variables that a comma-separated list names.
pub(super) fn chosen_variables(list: &OsStr) -> Environment {
    let names = list.as_bytes().split(|&b| b == b',').filter(|name| !name.is_empty());
    let values = names.filter_map(|name| {
        let name = OsStr::from_bytes(name);
        Some([name, &std::env::var_os(name)?].join(OsStr::new("=")))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ids_are_written_by_the_process_and_ranges_by_the_helper() {
        let ids = |single, ranges: &[Range]| Ids { single, ranges: ranges.to_vec() };
        let range = Range { inner: Some(10), outer: 20, count: 5 };
        let single = Single { inner: 0, outer: 7 };
        assert_eq!(map(ids(None, &[]), 7, true), Map::None);
        assert_eq!(map(ids(Some(0), &[]), 7, false), Map::Own(single));
        assert_eq!(map(ids(Some(0), &[]), 7, true), Map::Helper(idmap::join(Some(single), &[])));
        assert_eq!(map(ids(None, &[range]), 7, false), Map::Helper(vec![range]));
    }

    #[test]
    fn ids_are_numbers_or_names() {
        let errno = |word: &str| {
            let error = id_or_name(OsStr::new(word), Which::Users).expect_err("no id");
            *error.downcast_ref::<Errno>().expect("an errno")
        };
        assert_eq!(id_or_name(OsStr::new("root"), Which::Users).expect("root"), 0);
        assert_eq!(id_or_name(OsStr::new("42"), Which::Users).expect("42"), 42);
        assert_eq!(errno("-1"), Errno::ERANGE);
        assert_eq!(errno("4294967296"), Errno::ERANGE);
        assert_eq!(errno("4294967295"), Errno::EINVAL);
        assert_eq!(errno("no such user"), Errno::EINVAL);
        assert_eq!(errno(""), Errno::EINVAL);
    }
}
