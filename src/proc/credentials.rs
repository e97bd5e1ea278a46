//! The credentials of a process from `/proc/PID/status`: ids, capabilities, seccomp.
//!
//! Parsed by hand: lists read it for every process, and the parser of the procfs crate takes 270,000 instructions in
//! place of 27,000.

/// A set of capabilities: bit N is capability N.
pub type Mask = u64;

/// The five capability sets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    pub effective: Mask,
    pub permitted: Mask,
    pub inheritable: Mask,
    pub bounding: Mask,
    /// Empty before Linux 4.3, which introduced it.
    pub ambient: Mask,
}

/// The credentials of a process or thread. None: the text is truncated, or the kernel is too old.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// comm as escaped by the kernel.
    pub name: Vec<u8>,
    pub ppid: i32,
    /// Real, effective, saved, filesystem.
    pub uids: Vec<u32>,
    pub gids: Vec<u32>,
    pub groups: Vec<u32>,
    pub threads: usize,
    pub own_pid_ns: bool,
    pub sets: Sets,
    pub no_new_privs: Option<bool>,
    /// 0 disabled, 1 strict, 2 filter.
    pub seccomp: Option<u8>,
    /// The number of seccomp filters; None before Linux 5.9.
    pub filters: Option<u32>,
}

impl Credentials {
    /// None if a capability set is missing that every kernel shows.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Credentials> {
        let mut all = Credentials::default();
        let mut found = 0;
        for line in text.split(|&b| b == b'\n') {
            let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
            let value = line[colon + 1..].trim_ascii();
            let sets = &mut all.sets;
            let set = match &line[..colon] {
                b"CapInh" => &mut sets.inheritable,
                b"CapPrm" => &mut sets.permitted,
                b"CapEff" => &mut sets.effective,
                b"CapBnd" => &mut sets.bounding,
                b"CapAmb" => &mut sets.ambient,
                key => {
                    all.set_field(key, value);
                    continue;
                }
            };
            *set = mask(value)?;
            found += 1;
        }
        (found >= 4).then_some(all)
    }

    /// The same with less memory: a process has up to 65,536 groups, and each of its threads may have others.
    #[must_use]
    pub(crate) fn without_groups(self) -> Credentials {
        Credentials { groups: Vec::new(), ..self }
    }

    fn set_field(&mut self, key: &[u8], value: &[u8]) {
        match key {
            b"Name" => self.name = value.to_vec(),
            b"PPid" => self.ppid = numbers(value).next().unwrap_or(0),
            b"Uid" => self.uids = numbers(value).collect(),
            b"Gid" => self.gids = numbers(value).collect(),
            b"Groups" => self.groups = numbers(value).collect(),
            b"Threads" => self.threads = numbers(value).next().unwrap_or(1),
            b"NSpid" => self.own_pid_ns = numbers::<i32>(value).count() > 1,
            b"NoNewPrivs" => self.no_new_privs = numbers(value).next().map(|flag: u8| flag != 0),
            b"Seccomp" => self.seccomp = numbers(value).next(),
            b"Seccomp_filters" => self.filters = numbers(value).next(),
            _ => {}
        }
    }
}

/// Parses 16 hexadecimal digits as the kernel writes them.
fn mask(digits: &[u8]) -> Option<Mask> {
    let digits = std::str::from_utf8(digits).ok()?;
    Mask::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
}

fn numbers<T: std::str::FromStr>(value: &[u8]) -> impl Iterator<Item = T> {
    let fields = value.split(|b| b.is_ascii_whitespace()).filter(|field| !field.is_empty());
    fields.filter_map(|field| std::str::from_utf8(field).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"Name:\tng\\nCapEff:\\t1\nPPid:\t7\nUid:\t0\t1\t2\t3\nGid:\t4\t5\t6\t7\nGroups:\t1 44 \n\
        NSpid:\t812\t1\nThreads:\t3\nCapInh:\t0000000000000001\nCapPrm:\t00000000a80425fb\nCapEff:\t0000000000000002\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000004\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn a_process_in_a_container_is_parsed() {
        let state = Credentials::parse(STATUS).expect("a state");
        let sets = Sets {
            inheritable: 1,
            permitted: 0xa804_25fb,
            effective: 2,
            bounding: 0x1ff_ffff_ffff,
            ambient: 4,
        };
        assert_eq!(state.sets, sets);
        assert_eq!((state.ppid, &state.uids[..], &state.groups[..]), (7, &[0, 1, 2, 3][..], &[1, 44][..]));
        assert_eq!(
            (state.threads, state.own_pid_ns, state.no_new_privs, state.seccomp),
            (3, true, Some(true), Some(2))
        );
        assert_eq!(sets.iab().text(40), "cap_chown,^cap_dac_read_search");
    }

    #[test]
    fn a_truncated_status_gives_none_or_complete_sets() {
        for end in 0..STATUS.len() {
            if let Some(state) = Credentials::parse(&STATUS[..end]) {
                assert_eq!(state.sets.permitted, 0xa804_25fb);
            }
        }
        assert_eq!(Credentials::parse(b"CapInh:\txyz\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\n"), None);
        assert_eq!(Credentials::parse(b""), None);
    }
}
