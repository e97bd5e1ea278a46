//! Parses /etc/passwd and /etc/group by hand: a static binary has no NSS, and NSS can block.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::status::number;

/// Opens a regular file that a container can have created. Refuses other types, and does not wait for a pipe.
///
/// Opening a device can have effects (a watchdog starts, a tape rewinds), so the type is checked first. If another file
/// takes its place before the open, the opened file is refused. Magic links of /proc, like /proc/PID/root, are not
/// followed: they lead out of the container, to files that it cannot reach itself.
pub(crate) fn open_plain(path: impl AsRef<Path>) -> std::io::Result<File> {
    let restricts = open_without_magic(Path::new("/"), OFlag::O_PATH).is_ok(); // openat2(2), since Linux 5.6
    // Not with OpenOptions of std: in musl O_ACCMODE includes O_PATH, and std removes O_ACCMODE from custom flags.
    let open = |flags| match restricts {
        true => open_without_magic(path.as_ref(), flags).map(File::from),
        false => open(path.as_ref(), flags | OFlag::O_CLOEXEC, Mode::empty()).map(File::from),
    };
    let seen = open(OFlag::O_PATH)?.metadata()?;
    if !seen.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let file = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    let opened = file.metadata()?;
    match (opened.dev(), opened.ino()) == (seen.dev(), seen.ino()) {
        true => Ok(file),
        false => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

fn open_without_magic(path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, path, how)
}

/// Users by uid. The first line of a uid counts, as with getpwuid(3).
#[derive(Default)]
pub struct Users {
    /// Sorted by uid.
    all: Vec<(u32, User)>,
}

pub struct User {
    pub name: Vec<u8>,
    pub shell: OsString,
}

impl Users {
    /// Reads a file in the format of /etc/passwd. Empty if it cannot be read.
    #[must_use]
    pub fn read(file: std::io::Result<impl Read>) -> Users {
        let mut text = Vec::new();
        match file.and_then(|file| file.take(8 << 20).read_to_end(&mut text)) {
            Ok(_) => Users::parse(&text),
            Err(_) => Users::default(),
        }
    }

    #[must_use]
    pub fn parse(text: &[u8]) -> Users {
        let mut all = Vec::new();
        for line in text.split(|&b| b == b'\n') {
            let fields: Vec<&[u8]> = line.splitn(8, |&b| b == b':').collect();
            let [name, _, uid, _, _, _, shell] = fields[..] else { continue };
            if let Some(uid) = number(uid).filter(|_| !name.is_empty()) {
                all.push((uid, User { name: name.to_vec(), shell: OsString::from_vec(shell.to_vec()) }));
            }
        }
        all.sort_by_key(|(uid, _)| *uid); // lines of one uid stay in their order
        all.dedup_by_key(|(uid, _)| *uid);
        Users { all }
    }

    #[must_use]
    pub fn get(&self, uid: u32) -> Option<&User> {
        let index = self.all.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        self.all.get(index).map(|(_, user)| user)
    }
}

/// The uid and the home directory of each user, from the text of /etc/passwd.
pub fn homes(text: &[u8]) -> impl Iterator<Item = (u32, String)> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let uid = fields.nth(2).and_then(number)?;
        let home = std::str::from_utf8(fields.nth(2)?).ok()?;
        Some((uid, home.to_owned()))
    })
}

/// The id for a name, from the text of /etc/passwd or /etc/group: the third field in both.
#[must_use]
pub fn id_of(text: &[u8], name: &[u8]) -> Option<u32> {
    text.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let id = (fields.next()? == name).then(|| fields.nth(1))??;
        number(id)
    })
}

/// The name for an id, from the text of /etc/group or /etc/passwd.
#[must_use]
pub fn name_of(text: &[u8], id: u32) -> Option<&[u8]> {
    text.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (number::<u32>(fields.nth(1)?) == Some(id)).then_some(name)
    })
}

/// The ids and the home directory of a user at login.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    pub uid: u32,
    pub gid: u32,
    pub home: Vec<u8>,
}

impl Login {
    /// The first line of that name.
    #[must_use]
    pub fn find(text: &[u8], name: &[u8]) -> Option<Login> {
        text.split(|&b| b == b'\n').find_map(|line| {
            let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
            match fields[..] {
                [user, _, uid, gid, _, home, _] if user == name && !name.is_empty() => {
                    Some(Login { uid: number(uid)?, gid: number(gid)?, home: home.to_vec() })
                }
                _ => None,
            }
        })
    }
}

/// The user's own group, and the groups whose members include the user (getgrouplist(3)).
#[must_use]
pub fn groups_with(text: &[u8], user: &[u8], own: u32) -> Vec<u32> {
    let mut groups = vec![own];
    for line in text.split(|&b| b == b'\n') {
        let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
        let [_, _, gid, members] = fields[..] else { continue };
        let is_member = members.split(|&b| b == b',').any(|member| member == user);
        groups.extend(number(gid).filter(|gid| is_member && !groups.contains(gid)));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_of_a_uid_counts_and_invalid_lines_are_skipped() {
        let users = Users::parse(
            b"root:x:0:0:r:/root:/bin/bash\ntoor:x:0:0:::/bin/sh\n:x:5::::\nx:y\nb\xff:x:7:7:::/s\n+\n",
        );
        assert_eq!(users.get(0).expect("root").name, b"root");
        assert_eq!(users.get(0).expect("root").shell, "/bin/bash");
        assert_eq!(users.get(7).expect("b").name, b"b\xff");
        assert!(users.get(5).is_none());
        let text = b"root:x:0:0:r:/root:/bin/sh\n:x:y:\nb:x:7:7::/home/b:\nshort:x:8:8\n";
        assert_eq!(homes(text).collect::<Vec<_>>(), [(0, "/root".to_owned()), (7, "/home/b".to_owned())]);
        assert_eq!(id_of(b"root:x:0:\nadm:x:4:a,b\n", b"adm"), Some(4));
        assert_eq!(id_of(b"root:x:0:\nadm:x:y:\nad\n", b"adm"), None);
        assert_eq!(id_of(b"root:x:0:\n", b""), None);
        assert_eq!(name_of(b":x:4:\nadm:x:4:a,b\n", 4), Some(&b"adm"[..]));
        assert_eq!(name_of(b"adm:x:y:\nad\n", 4), None);
    }

    #[test]
    fn ids_and_groups_of_a_login() {
        let passwd = b"a:x:1:1\nwww:x:33:34::/var/www:/bin/sh\nwww:x:1:1::/:/\n";
        let login = Login { uid: 33, gid: 34, home: b"/var/www".to_vec() };
        assert_eq!(Login::find(passwd, b"www"), Some(login));
        assert_eq!(Login::find(passwd, b"a"), None);
        assert_eq!(Login::find(passwd, b""), None);
        let group = b"x:x:5:www\ny:x:6:wwww,ww\nz:x:34:www\nbad:x:q:www\nq:x:7:a,www\n";
        assert_eq!(groups_with(group, b"www", 34), [34, 5, 7]);
    }
}
