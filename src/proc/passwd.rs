//! User names from /etc/passwd by hand: a static binary has no NSS to ask, and must not block on one.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::status::number;

/// Opens a file that a container may have put there: nothing but a regular file, and no pipe is waited for.
///
/// Opening a device can have effects (a watchdog starts, a tape rewinds), so the file is looked at first. Of a
/// file that is exchanged in between, what was opened is not used.
pub(crate) fn open_plain(path: impl AsRef<Path>) -> std::io::Result<File> {
    // Not by std's OpenOptions: musl counts O_PATH to the access mode, and std takes that out of custom flags.
    let open = |flags| open(path.as_ref(), flags | OFlag::O_CLOEXEC, Mode::empty()).map(File::from);
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

/// Who has which uid. The first line of a uid counts, as with getpwuid(3).
#[derive(Default)]
pub struct Users {
    /// In the order of the uids.
    all: Vec<(u32, User)>,
}

pub struct User {
    pub name: Vec<u8>,
    pub shell: OsString,
}

impl Users {
    /// Reads /etc/passwd or a file like it. Without it nobody has a name.
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
            let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
            if let [name, _, uid, _, _, _, shell] = fields[..]
                && !name.is_empty()
                && let Some(uid) = number(uid)
            {
                all.push((uid, User { name: name.to_vec(), shell: OsString::from_vec(shell.to_vec()) }));
            }
        }
        all.sort_by_key(|(uid, _)| *uid); // lines of one uid stay in their order
        all.dedup_by_key(|(uid, _)| *uid);
        Users { all }
    }

    #[must_use]
    pub fn get(&self, uid: u32) -> Option<&User> {
        let at = self.all.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        self.all.get(at).map(|(_, user)| user)
    }
}

/// Who has which home, from the text of /etc/passwd.
pub fn homes(text: &[u8]) -> impl Iterator<Item = (u32, String)> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let uid = fields.nth(2).and_then(number)?;
        let home = std::str::from_utf8(fields.nth(2)?).ok()?;
        Some((uid, home.to_owned()))
    })
}

/// The id of a name, from the text of /etc/passwd or /etc/group: both have it as third field.
#[must_use]
pub fn id_of(text: &[u8], name: &[u8]) -> Option<u32> {
    text.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let id = (fields.next()? == name).then(|| fields.nth(1))??;
        number(id)
    })
}

/// The name of an id, from the text of /etc/group or /etc/passwd.
#[must_use]
pub fn name_of(text: &[u8], id: u32) -> Option<&[u8]> {
    text.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (number::<u32>(fields.nth(1)?) == Some(id)).then_some(name)
    })
}

/// Who a user becomes by logging in.
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

/// The group of a user and those that name him (getgrouplist(3)).
#[must_use]
pub fn groups_with(text: &[u8], user: &[u8], own: u32) -> Vec<u32> {
    let mut groups = vec![own];
    for line in text.split(|&b| b == b'\n') {
        let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
        if let [_, _, gid, members] = fields[..]
            && members.split(|&b| b == b',').any(|member| member == user)
            && let Some(gid) = number(gid)
            && !groups.contains(&gid)
        {
            groups.push(gid);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_of_a_uid_counts_and_rubbish_is_passed_over() {
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
    fn who_a_login_makes_one() {
        let passwd = b"a:x:1:1\nwww:x:33:34::/var/www:/bin/sh\nwww:x:1:1::/:/\n";
        let login = Login { uid: 33, gid: 34, home: b"/var/www".to_vec() };
        assert_eq!(Login::find(passwd, b"www"), Some(login));
        assert_eq!(Login::find(passwd, b"a"), None);
        assert_eq!(Login::find(passwd, b""), None);
        let group = b"x:x:5:www\ny:x:6:wwww,ww\nz:x:34:www\nbad:x:q:www\nq:x:7:a,www\n";
        assert_eq!(groups_with(group, b"www", 34), [34, 5, 7]);
    }
}
