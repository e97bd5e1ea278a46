//! Parses /etc/passwd and /etc/group by hand: a static binary has no NSS, and NSS can block.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

use crate::order;

use super::status::number;

/// A line of /etc/passwd.
pub struct UserLine<'a> {
    pub name: &'a [u8],
    pub uid: u32,
    /// None if the field is not an id.
    pub gid: Option<u32>,
    pub home: &'a [u8],
    /// The rest of the line, as with getpwent(3).
    pub shell: &'a [u8],
}

/// A line of /etc/group.
pub struct GroupLine<'a> {
    pub name: &'a [u8],
    pub gid: u32,
    members: &'a [u8],
}

/// The lines of /etc/passwd that have all fields, a name and an id.
pub fn users(text: &[u8]) -> impl Iterator<Item = UserLine<'_>> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.splitn(7, |&b| b == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?);
        let home = fields.nth(1)?;
        Some(UserLine { name, uid, gid, home, shell: fields.next()? })
    })
}

/// The lines of /etc/group that have a name and an id. The members may be missing.
pub fn groups(text: &[u8]) -> impl Iterator<Item = GroupLine<'_>> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.splitn(4, |&b| b == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = id(fields.nth(1)?)?;
        Some(GroupLine { name, gid, members: fields.next().unwrap_or_default() })
    })
}

impl GroupLine<'_> {
    #[must_use]
    pub fn has_member(&self, user: &[u8]) -> bool {
        self.members.split(|&b| b == b',').any(|member| member == user)
    }
}

/// A user or group id: digits only. The largest number is not an id: it means "no change" to setuid(2).
#[must_use]
pub fn id(digits: &[u8]) -> Option<u32> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
    number(digits).filter(|&id| is_plain && id != u32::MAX)
}

/// The id of a user, from the text of /etc/passwd.
#[must_use]
pub fn uid_of(passwd: &[u8], name: &[u8]) -> Option<u32> {
    users(passwd).find(|user| user.name == name).map(|user| user.uid)
}

/// The id of a group, from the text of /etc/group.
#[must_use]
pub fn gid_of(group: &[u8], name: &[u8]) -> Option<u32> {
    groups(group).find(|group| group.name == name).map(|group| group.gid)
}

/// The name of a user, from the text of /etc/passwd.
#[must_use]
pub(crate) fn user_name(passwd: &[u8], uid: u32) -> Option<&[u8]> {
    users(passwd).find(|user| user.uid == uid).map(|user| user.name)
}

/// The name of a group, from the text of /etc/group.
#[must_use]
pub(crate) fn group_name(group: &[u8], gid: u32) -> Option<&[u8]> {
    groups(group).find(|group| group.gid == gid).map(|group| group.name)
}

/// The groups whose members include the user, from the text of /etc/group.
pub fn groups_with<'a>(group: &'a [u8], user: &'a [u8]) -> impl Iterator<Item = u32> {
    groups(group).filter(move |group| group.has_member(user)).map(|group| group.gid)
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
        let user = |line: UserLine<'_>| {
            (line.uid, User { name: line.name.to_vec(), shell: OsString::from_vec(line.shell.to_vec()) })
        };
        let mut all: Vec<_> = users(text).map(user).collect();
        order::sort_by_key(&mut all, |(uid, _)| *uid); // lines of one uid stay in their order
        all.dedup_by_key(|(uid, _)| *uid);
        Users { all }
    }

    #[must_use]
    pub fn get(&self, uid: u32) -> Option<&User> {
        let index = self.all.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        self.all.get(index).map(|(_, user)| user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_of_a_uid_counts_and_invalid_lines_are_skipped() {
        let text =
            b"root:x:0:0:r:/root:/bin/bash\ntoor:x:0:0:::/bin/sh\n:x:5::::\nx:y\nb\xff:x:7:q::/h:/s:x\n+\n\
                     short:x:8:8\nnone:x:4294967295:1::/:/s\nplus:x:+9:9::/:/s\n";
        let all = Users::parse(text);
        assert_eq!(all.get(0).expect("root").name, b"root");
        assert_eq!(all.get(0).expect("root").shell, "/bin/bash");
        assert_eq!(all.get(7).expect("b").shell, "/s:x");
        for uid in [5, 8, 9, u32::MAX] {
            assert!(all.get(uid).is_none(), "{uid}");
        }
        let fields = |user: UserLine<'_>| (user.uid, user.gid, user.home.to_vec());
        let found: Vec<_> = users(text).map(fields).collect();
        let expected = [(0, Some(0), &b"/root"[..]), (0, Some(0), b""), (7, None, b"/h")];
        assert_eq!(found, expected.map(|(uid, gid, home)| (uid, gid, home.to_vec())));
        assert_eq!(uid_of(text, b"toor"), Some(0));
        assert_eq!(uid_of(text, b""), None);
        assert_eq!(uid_of(text, b"none"), None);
    }

    #[test]
    fn groups_and_their_members() {
        let text =
            b"x:x:5:www\n:x:4:www\ny:x:6:wwww,ww\nz:x:34:www\nbad:x:q:www\nq:x:7:a,www\nadm:x:4\nroot\n";
        assert_eq!(groups_with(text, b"www").collect::<Vec<_>>(), [5, 34, 7]);
        assert_eq!(gid_of(text, b"adm"), Some(4));
        assert_eq!(gid_of(text, b"bad"), None);
        assert_eq!(gid_of(text, b""), None);
        assert_eq!(group_name(text, 4), Some(&b"adm"[..]));
        assert_eq!(group_name(text, 1), None);
    }
}
