//! What a process may do, by its `/proc/PID/status`: users, capabilities, filters.

use super::status::{fields, number};

/// The fields that the kernel is too old for, or that were cut off, are none.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Credentials {
    pub ruid: Option<u32>,
    pub inheritable: Option<u64>,
    pub permitted: Option<u64>,
    pub effective: Option<u64>,
    pub bounding: Option<u64>,
    pub ambient: Option<u64>,
    pub no_new_privs: Option<bool>,
    /// 0 for none, 1 for strict, 2 for a filter.
    pub seccomp: Option<u8>,
}

impl Credentials {
    #[must_use]
    pub fn parse(text: &[u8]) -> Credentials {
        let mut all = Credentials::default();
        for line in text.split(|&b| b == b'\n') {
            let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
            let value = line[colon + 1..].trim_ascii();
            match &line[..colon] {
                b"Uid" => all.ruid = fields(value).next().and_then(number),
                b"CapInh" => all.inheritable = set(value),
                b"CapPrm" => all.permitted = set(value),
                b"CapEff" => all.effective = set(value),
                b"CapBnd" => all.bounding = set(value),
                b"CapAmb" => all.ambient = set(value),
                b"NoNewPrivs" => all.no_new_privs = number::<u8>(value).map(|flag| flag != 0),
                b"Seccomp" => all.seccomp = number(value),
                _ => {}
            }
        }
        all
    }
}

fn set(hexadecimal: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(hexadecimal).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read() {
        let all = Credentials::parse(
            b"Name:\tCapEff:\nUid:\t5\t6\t7\t8\nCapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\n\
              NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n",
        );
        assert_eq!((all.ruid, all.inheritable, all.effective), (Some(5), Some(0), Some(0xa804_25fb)));
        assert_eq!((all.no_new_privs, all.seccomp, all.ambient), (Some(true), Some(2), None));
        assert_eq!(Credentials::parse(b"CapEff:\tx\n\0:"), Credentials::default());
    }
}
