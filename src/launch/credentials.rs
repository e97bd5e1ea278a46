//! The credentials of a process, and how to take them: ids, capabilities, bounding set, security label, seccomp
//! filter.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::prctl;
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{Gid, Uid, getgroups, setgid, setgroups, setuid};

use super::harden;
use crate::isolation::capabilities::text::Flags;
use crate::isolation::capabilities::{bits, own};
use crate::isolation::seccomp::Filter;
use crate::proc::idmap::inner_of;
use crate::proc::{Credentials, gid_of, groups_with, id, users};

/// Read from `/proc/PID/status`. The ids are those of the reader's user namespace until
/// [`ProcessCredentials::translate`].
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct ProcessCredentials {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
    pub no_new_privs: bool,
    /// The number of its seccomp filters.
    pub filters: u32,
}

impl ProcessCredentials {
    /// None if the text is incomplete: missing values must not be guessed.
    #[must_use]
    pub fn parse(status: &[u8]) -> Option<ProcessCredentials> {
        let all = Credentials::parse(status)?;
        Some(ProcessCredentials {
            uid: *all.uids.get(1)?,
            gid: *all.gids.get(1)?,
            groups: all.groups,
            inheritable: all.sets.inheritable,
            permitted: all.sets.permitted,
            effective: all.sets.effective,
            bounding: all.sets.bounding,
            ambient: all.sets.ambient,
            no_new_privs: all.no_new_privs?,
            // A kernel without seccomp has no such line; before Linux 5.9 there is no count.
            filters: if all.seccomp == Some(2) { all.filters.unwrap_or(1) } else { 0 },
        })
    }

    /// Translates the ids to the process's own user namespace, by its uid_map and gid_map as this process reads them.
    pub fn translate(&mut self, uid_map: &[u8], gid_map: &[u8]) -> Result<()> {
        let unmapped = |what: &str, id: u32| anyhow!("{what} {id} is not mapped in the user namespace");
        self.uid = inner_of(uid_map, self.uid).ok_or_else(|| unmapped("user", self.uid))?;
        self.gid = inner_of(gid_map, self.gid).ok_or_else(|| unmapped("group", self.gid))?;
        // Groups that are not mapped inside cannot be kept.
        self.groups = self.groups.iter().filter_map(|&group| inner_of(gid_map, group)).collect();
        Ok(())
    }

    /// Another user of the same container. Its root gets the bounding set; any other user gets no capabilities, as
    /// after setuid(2).
    pub fn become_user(&mut self, uid: u32) {
        if uid == self.uid {
            return;
        }
        self.uid = uid;
        self.permitted = if uid == 0 { self.bounding } else { 0 };
        self.effective = self.permitted;
        self.ambient = 0;
    }

    /// Takes the credentials. The filter is installed as late as possible while this process may still install it,
    /// because the filter must allow every later system call.
    pub fn take(&self, filter: Option<Filter>, groups_denied: bool) -> Result<()> {
        let mut filter = filter;
        if let Some(filter) = filter.take_if(|_| !self.no_new_privs) {
            filter.install().context("cannot install the seccomp filter")?;
        }
        let bounding = own::last().and_then(own::bounding).context("cannot read the bounding set")?;
        for number in bits(bounding & !self.bounding) {
            own::drop_bound(number).context("cannot drop capabilities from the bounding set")?;
        }
        self.take_ids(groups_denied)?;
        self.take_capabilities()?;
        harden::hide()?; // a change of ids resets it
        if self.no_new_privs {
            prctl::set_no_new_privs().context("cannot set no_new_privs")?;
        }
        match filter {
            Some(filter) => filter.install().context("cannot install the seccomp filter"),
            None => Ok(()),
        }
    }

    fn take_ids(&self, groups_denied: bool) -> Result<()> {
        prctl::set_keepcaps(true).context("prctl failed")?;
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        // If setgroups(2) is denied, the caller's groups were dropped before, if that was possible.
        if !groups_denied && getgroups().ok().as_ref() != Some(&groups) {
            setgroups(&groups).context("setgroups failed")?;
        }
        setgid(Gid::from_raw(self.gid)).context("setgid() failed")?;
        setuid(Uid::from_raw(self.uid)).context("setuid() failed")?;
        prctl::set_keepcaps(false).context("prctl failed")
    }

    /// The program cannot get capabilities that this process lacks.
    fn take_capabilities(&self) -> Result<()> {
        let current = own::flags().context("cannot read capabilities")?;
        let permitted = self.permitted & current.permitted;
        let flags = Flags {
            permitted,
            effective: self.effective & permitted,
            inheritable: self.inheritable & (current.inheritable | current.permitted),
        };
        // Two steps: adding to the inheritable set may require capabilities that the second step removes.
        own::set_flags(Flags { permitted: current.permitted, effective: current.permitted, ..flags })
            .and_then(|()| own::set_flags(flags))
            .context("cannot set capabilities")?;
        for number in bits(self.ambient & permitted & flags.inheritable) {
            own::raise_ambient(number).context("cannot set the ambient capabilities")?;
        }
        Ok(())
    }
}

/// Files of this process in the proc outside the container: inside there may be no proc, or a forged one.
pub(crate) struct Outside(pub OwnedFd);

impl Outside {
    pub(crate) fn write(&self, file: &str, text: &[u8]) -> nix::Result<()> {
        let path = format!("self/{file}");
        let fd = openat(&self.0, path.as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        // A file that is mounted over it would accept the bytes without effect.
        if fstatfs(&fd)?.filesystem_type() != PROC_SUPER_MAGIC {
            return Err(Errno::EXDEV);
        }
        let failed = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        File::from(fd).write_all(text).map_err(failed)
    }
}

/// The text to write for a security module, so that the next program runs under this label.
///
/// AppArmor shows `docker-default (enforce)` and expects `exec docker-default`; SELinux expects the text that it
/// shows.
#[must_use]
pub fn label_to_write(current: &[u8], apparmor: bool) -> Option<Vec<u8>> {
    let label = current.trim_ascii_end();
    let label = label.strip_suffix(b"\0").unwrap_or(label);
    if !apparmor {
        return Some(label.to_vec()).filter(|label| !label.is_empty());
    }
    let name = match label.iter().rposition(|&b| b == b' ') {
        Some(blank) if label.ends_with(b")") => &label[..blank],
        _ => label,
    };
    (!name.is_empty() && name != b"unconfined").then(|| [b"exec ", name].concat())
}

/// A user for `--as`.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: Option<Vec<u8>>,
}

/// `USER` or `USER:GROUP`, names or numbers, looked up in the text of /etc/passwd and /etc/group. A number may be
/// missing there; its group is then 0, as in all runtimes.
pub fn find_user(word: &[u8], passwd: &[u8], group: &[u8]) -> Result<User> {
    let shown = |word: &[u8]| crate::text::escape(word).into_owned();
    let (user, wanted_group) = match word.iter().position(|&b| b == b':') {
        Some(colon) => (&word[..colon], Some(&word[colon + 1..])),
        None => (word, None),
    };
    if user.is_empty() {
        bail!("'{}' names no user (USER or USER:GROUP, names or numbers)", shown(word));
    }
    let line = users(passwd).find(|line| line.name == user);
    let line = line.or_else(|| users(passwd).find(|line| id(user) == Some(line.uid)));
    let Some(uid) = line.as_ref().map(|line| line.uid).or_else(|| id(user)) else {
        bail!("no user '{}' in /etc/passwd inside", shown(user));
    };
    let mut found = User { uid, gid: 0, groups: Vec::new(), home: None };
    if let Some(line) = line {
        let no_group =
            || anyhow!("the group of user '{}' in /etc/passwd inside is not a number", shown(user));
        found.gid = line.gid.ok_or_else(no_group)?;
        found.home = Some(line.home.to_vec()).filter(|home| !home.is_empty());
        found.groups = groups_with(group, line.name).collect();
    }
    if let Some(wanted) = wanted_group {
        let gid = gid_of(group, wanted).or_else(|| id(wanted));
        found.gid = gid.ok_or_else(|| anyhow!("no group '{}' in /etc/group inside", shown(wanted)))?;
        found.groups.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"Name:\tx\\nUid:\t7\nUid:\t5\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n\
        Groups:\t4 100 \nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t0000000000000000\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000001\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";

    #[test]
    fn credentials_are_read_from_status() {
        let credentials = ProcessCredentials::parse(STATUS).expect("whole");
        assert_eq!((credentials.uid, credentials.gid, &credentials.groups[..]), (1000, 100, &[4, 100][..]));
        assert_eq!((credentials.permitted, credentials.effective, credentials.ambient), (0xa804_25fb, 0, 1));
        assert!(credentials.no_new_privs);
        assert_eq!(credentials.filters, 3);
        for end in 0..STATUS.len() - b"\nSeccomp:\t2\nSeccomp_filters:\t3\n".len() {
            assert_eq!(ProcessCredentials::parse(&STATUS[..end]), None, "{end}");
        }
        let own = std::fs::read("/proc/self/status").expect("own status");
        assert!(ProcessCredentials::parse(&own).is_some());
    }

    #[test]
    fn ids_are_translated_to_the_user_namespace() {
        let mut credentials = ProcessCredentials::parse(STATUS).expect("whole");
        let map = b"         0       1000          1\n         1     100000      65536\n";
        credentials.translate(map, b"0 0 4294967295\n").expect("mapped");
        assert_eq!((credentials.uid, credentials.gid, &credentials.groups[..]), (0, 100, &[4, 100][..]));
        let error = credentials.translate(map, map).expect_err("100 is not mapped").to_string();
        assert_eq!(error, "user 0 is not mapped in the user namespace");
    }

    #[test]
    fn another_user_of_the_same_container() {
        let credentials = ProcessCredentials::parse(STATUS).expect("whole");
        let sets_as = |uid| {
            let mut other = credentials.clone();
            other.become_user(uid);
            (other.permitted, other.effective, other.bounding, other.ambient)
        };
        assert_eq!(sets_as(1000), (0xa804_25fb, 0, 0xa804_25fb, 1), "the same one keeps all");
        assert_eq!(sets_as(0), (0xa804_25fb, 0xa804_25fb, 0xa804_25fb, 0));
        assert_eq!(sets_as(7), (0, 0, 0xa804_25fb, 0));
    }

    #[test]
    fn labels() {
        let apparmor =
            |label: &[u8]| label_to_write(label, true).map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(apparmor(b"docker-default (enforce)\n").as_deref(), Some("exec docker-default"));
        assert_eq!(apparmor(b"a b//&:n:c (mixed)\n").as_deref(), Some("exec a b//&:n:c"));
        assert_eq!(apparmor(b"unconfined\n"), None);
        assert_eq!(
            label_to_write(b"system_u:system_r:container_t:s0:c1,c2\0", false).expect("one").len(),
            38
        );
        assert_eq!(label_to_write(b"", false), None);
    }

    #[test]
    fn users_by_name_and_number() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n42:x:7:7::/x:\nbad:x:y:0:::\n";
        let group = b"root:x:0:\nadm:x:4:root,web\nwww:x:34:web2\n";
        let find = |word: &str| find_user(word.as_bytes(), passwd, group);
        let ids = |word: &str| find(word).map(|user| (user.uid, user.gid, user.groups)).expect("a user");
        assert_eq!(ids("web"), (33, 34, vec![4]));
        assert_eq!(ids("33"), (33, 34, vec![4]));
        assert_eq!(ids("web:www"), (33, 34, vec![]));
        assert_eq!(ids("web:99"), (33, 99, vec![]));
        assert_eq!(ids("42"), (7, 7, vec![]), "a name is looked for first");
        assert_eq!(ids("1234"), (1234, 0, vec![]));
        assert_eq!(find("web").expect("a user").home.as_deref(), Some(&b"/srv"[..]));
        for word in ["", "nobody", "bad", "web:none", "web:", ":0", "-1", "4294967295", "4294967296"] {
            assert!(find(word).is_err(), "{word}");
        }
        assert_eq!(find_user(b"0", b"", b"").expect("a number needs no entry").uid, 0);
        assert!(find_user(b"root", b"", b"").is_err());
        let error = find_user(b":5", b"", b"").expect_err("no user").to_string();
        assert_eq!(error, "':5' names no user (USER or USER:GROUP, names or numbers)");
    }
}
