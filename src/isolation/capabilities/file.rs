//! File capabilities: the extended attribute `security.capability` of a program.

use super::text::Flags;
use crate::proc::Mask;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileCapabilities {
    pub flags: Flags,
    /// Version 3: they apply in the user namespace whose root is this user outside.
    pub rootid: Option<u32>,
}

/// struct vfs_ns_cap_data, little-endian: version and a flag; permitted and inheritable with 32 bits each, twice
/// since version 2; the user id of version 3. None: invalid.
#[must_use]
pub(crate) fn parse(raw: &[u8]) -> Option<FileCapabilities> {
    let word = |at: usize| Some(u32::from_le_bytes(raw.get(4 * at..4 * at + 4)?.try_into().ok()?));
    let half = |at: usize| word(at).map(Mask::from);
    let magic = word(0)?;
    let (length, rootid) = match magic >> 24 {
        1 => (12, None),
        2 => (20, None),
        3 => (24, Some(word(5)?)),
        _ => return None,
    };
    if raw.len() != length {
        return None;
    }
    let (mut permitted, mut inheritable) = (half(1)?, half(2)?);
    if length > 12 {
        permitted |= half(3)? << 32;
        inheritable |= half(4)? << 32;
    }
    // One flag for all: all permitted capabilities become effective when the program starts.
    let effective = if magic & 1 == 1 { permitted | inheritable } else { 0 };
    Some(FileCapabilities { flags: Flags { effective, inheritable, permitted }, rootid })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn the_three_versions() {
        let v1 = parse(&raw(&[0x0100_0000, 1, 2])).expect("version 1");
        assert_eq!(v1.flags.text(40), "cap_dac_override=i cap_chown+p");
        let v2 = parse(&raw(&[0x0200_0001, 1 << 10, 0, 1, 0])).expect("version 2");
        assert_eq!(v2.flags.text(40), "cap_net_bind_service,cap_mac_override=ep");
        assert_eq!(v2.rootid, None);
        let v3 = parse(&raw(&[0x0300_0001, 1 << 13, 0, 0, 0, 100_000])).expect("version 3");
        assert_eq!((v3.flags.text(40).as_str(), v3.rootid), ("cap_net_raw=ep", Some(100_000)));
    }

    #[test]
    fn invalid_and_truncated_attributes_are_rejected() {
        let whole = raw(&[0x0300_0001, 1, 0, 0, 0, 7]);
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None);
        }
        assert_eq!(parse(&raw(&[0x0400_0000, 1, 2, 3, 4])), None);
        assert_eq!(parse(&raw(&[0x0200_0000, 1, 2, 3, 4, 5])), None);
    }
}
