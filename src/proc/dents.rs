//! The names in a directory of proc, as getdents64(2) lists them.

use std::ffi::CStr;

use nix::unistd::Pid;

/// The names that are numbers of processes or threads, with their inodes.
pub(super) fn numbers(raw: &[u8]) -> impl Iterator<Item = (Pid, u64)> {
    numbered(raw).filter_map(|(inode, name)| Some((pid(name.to_str().ok()?)?, inode)))
}

/// The names in the result of getdents64(2).
pub(crate) fn entries(raw: &[u8]) -> impl Iterator<Item = &CStr> {
    numbered(raw).map(|(_, name)| name)
}

/// The same with their inodes.
fn numbered(mut raw: &[u8]) -> impl Iterator<Item = (u64, &CStr)> {
    // struct linux_dirent64: inode 8 bytes, offset 8, length of the record 2, type 1, name and its NUL.
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*raw.get(16)?, *raw.get(17)?]));
        let record = raw.get(..length).filter(|record| record.len() > 19)?;
        raw = &raw[length..];
        let inode = u64::from_ne_bytes(record[..8].try_into().ok()?);
        Some((inode, CStr::from_bytes_until_nul(&record[19..]).ok()?))
    })
}

/// Parses a PID as the kernel writes it: no sign, no leading zero.
fn pid(name: &str) -> Option<Pid> {
    let pid = name.parse::<i32>().ok().filter(|&pid| pid > 0)?;
    name.starts_with(|first: char| matches!(first, '1'..='9')).then_some(Pid::from_raw(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_process_directories_are_pids() {
        assert_eq!(pid("4194304"), Some(Pid::from_raw(4_194_304)));
        for name in ["0", "-5", "+1", "01", "", "self", "1x", "99999999999"] {
            assert_eq!(pid(name), None, "{name}");
        }
    }
}
