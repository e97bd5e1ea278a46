//! proc that is mounted with hidepid: it does not show the processes of other users (proc(5)).

use nix::unistd::{getegid, getgroups};

use super::ProcRoot;
use super::mountinfo::{mounts_of, unescape};

/// The option, if it is there for this process. The group of the option `gid` sees all; root is not asked about.
pub(crate) fn hidepid(proc: &ProcRoot) -> Option<String> {
    if proc.is_copy() {
        return None;
    }
    let text = proc.read_own("mountinfo").ok()?;
    let mount = mounts_of(&text, "proc").filter(|mount| unescape(mount.point) == proc.path()).last()?;
    option(mount.options, |gid| {
        getegid().as_raw() == gid || getgroups().is_ok_and(|all| all.iter().any(|one| one.as_raw() == gid))
    })
}

fn option(options: &[u8], is_member: impl Fn(u32) -> bool) -> Option<String> {
    let all = || options.split(|&b| b == b',').filter_map(|option| std::str::from_utf8(option).ok());
    let gid = all().find_map(|option| option.strip_prefix("gid=")?.parse().ok());
    let hides =
        |option: &&str| option.starts_with("hidepid=") && !matches!(*option, "hidepid=0" | "hidepid=off");
    all().find(hides).filter(|_| !gid.is_some_and(is_member)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_the_option_sees_all() {
        let option = |text: &str, own: u32| option(text.as_bytes(), |gid| gid == own);
        for text in ["rw", "rw,hidepid=0", "rw,hidepid=off", "rw,gid=7", ""] {
            assert_eq!(option(text, 0), None, "{text}");
        }
        assert_eq!(option("rw,hidepid=2", 0).as_deref(), Some("hidepid=2"));
        assert_eq!(option("rw,gid=7,hidepid=invisible", 0).as_deref(), Some("hidepid=invisible"));
        assert_eq!(option("rw,gid=7,hidepid=invisible", 7), None);
    }
}
