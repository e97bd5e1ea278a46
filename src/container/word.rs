//! The word that names a target.

use std::ffi::OsStr;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::matching::SHORTEST_ID;

#[derive(Debug, PartialEq, Eq, Clone)]
pub enum Target {
    Pid {
        pid: Pid,
        /// Inode of its pidfd, which no other process gets until the next boot.
        inode: Option<u64>,
    },
    Container(String),
}

impl Target {
    /// `PID`, `PID:INODE`, `NAME`, `RUNTIME:NAME`, `ID`. The errno is the reason for an invalid number.
    pub fn parse(word: &OsStr) -> Result<Target, Errno> {
        let word = word.to_str().ok_or(Errno::EINVAL)?;
        let (pid, inode) = match word.split_once(':') {
            Some((pid, inode)) => (pid, Some(inode)),
            None => (word, None),
        };
        match (decimal(pid), inode) {
            (Some(Ok(pid)), None) => in_range(pid, word).map(|pid| match pid {
                Some(pid) => Target::Pid { pid, inode: None },
                None => Target::Container(word.to_owned()),
            }),
            (Some(Ok(pid)), Some(inode)) => {
                let inode = decimal(inode).ok_or(Errno::EINVAL)??;
                let inode = u64::try_from(inode).map_err(|_| Errno::ERANGE)?;
                let pid = in_range(pid, "")?.ok_or(Errno::ERANGE)?;
                Ok(Target::Pid { pid, inode: Some(inode) })
            }
            // Too many digits for a number: the beginning of an id can be all digits.
            (Some(Err(_)), None) if begins_id(word) => Ok(Target::Container(word.to_owned())),
            (Some(Err(errno)), _) => Err(errno),
            (None, _) if word.is_empty() => Err(Errno::EINVAL),
            (None, _) => Ok(Target::Container(word.to_owned())),
        }
    }
}

fn begins_id(word: &str) -> bool {
    word.len() >= SHORTEST_ID && word.bytes().all(|b| b.is_ascii_digit())
}

/// Parses a whole word as strtoimax(3) does: leading white space, a sign, digits. None if it is not a number.
fn decimal(word: &str) -> Option<Result<i64, Errno>> {
    let digits = word.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().map_err(|_| Errno::ERANGE))
}

/// A PID, or None for a number that is not a PID but can be the beginning of an id.
fn in_range(number: i64, word: &str) -> Result<Option<Pid>, Errno> {
    match i32::try_from(number) {
        Ok(pid) if pid > 0 => Ok(Some(Pid::from_raw(pid))),
        Err(_) if begins_id(word) => Ok(None),
        _ => Err(Errno::ERANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> Result<Target, Errno> {
        Target::parse(OsStr::new(word))
    }

    fn pid(pid: i32, inode: Option<u64>) -> Result<Target, Errno> {
        Ok(Target::Pid { pid: Pid::from_raw(pid), inode })
    }

    #[test]
    fn numbers_are_pids_and_other_words_are_containers() {
        assert_eq!(parse("42"), pid(42, None));
        assert_eq!(parse(" +42"), pid(42, None));
        assert_eq!(parse("0042"), pid(42, None));
        assert_eq!(parse("42:4026531840"), pid(42, Some(4_026_531_840)));
        assert_eq!(parse("web"), Ok(Target::Container("web".into())));
        assert_eq!(parse("docker:web"), Ok(Target::Container("docker:web".into())));
        assert_eq!(parse("5x"), Ok(Target::Container("5x".into())));
        assert_eq!(parse("123456789012"), Ok(Target::Container("123456789012".into())));
        assert_eq!(parse("99999999999999999999999"), Ok(Target::Container("99999999999999999999999".into())));
    }

    #[test]
    fn invalid_pids_are_refused() {
        for word in
            ["0", "-1", "-99999999999", "-99999999999999999999999", "99999999999999999999:5", "4294967296:5"]
        {
            assert_eq!(parse(word), Err(Errno::ERANGE), "{word}");
        }
        assert_eq!(parse(""), Err(Errno::EINVAL));
        assert_eq!(parse("1:x"), Err(Errno::EINVAL));
        assert_eq!(parse("0:5"), Err(Errno::ERANGE));
    }
}
