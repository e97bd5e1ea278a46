//! Users who can run rootless containers, and the directories of their state files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Files;
use crate::proc::{self, ProcRoot, mountinfo, overlay};

/// More users than log in to any host. Each costs an access to their home directory.
const MOST: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    /// The home directory. None if /etc/passwd has none, or if an access to it can block without limit.
    pub home: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub run: String,
}

impl User {
    /// A path below the home directory.
    pub fn home(&self, path: &str) -> Option<String> {
        self.home.as_ref().map(|home| format!("{home}/{path}"))
    }

    /// A path below the runtime directory.
    pub fn run(&self, path: &str) -> String {
        format!("{}/{path}", self.run)
    }
}

/// Finds users with a runtime directory, or with `.local/share` in their home directory.
pub(crate) fn find(files: &Files) -> Vec<User> {
    const RUN: &str = "/run/user";
    let uid = |name: &String| proc::id(name.as_bytes()).filter(|&uid| uid != 0);
    let with_runtime_dir: BTreeSet<u32> = files.list(RUN).iter().filter_map(uid).collect();
    let passwd = files.read("/etc/passwd").unwrap_or_default();
    let is_local_home = |home: &str| home.starts_with('/') && home != "/" && !files.may_hang(home);
    let home = |user: proc::UserLine<'_>| {
        let home = std::str::from_utf8(user.home).ok().filter(|home| user.uid != 0 && is_local_home(home))?;
        Some((user.uid, home.to_owned()))
    };
    let mut homes: BTreeMap<u32, String> = proc::users(&passwd).filter_map(home).collect();
    let has_data = |uid: u32, home: &str| {
        let data = format!("{home}/.local/share");
        !files.is_missing(&data) && files.of_user(uid).exists(&data)
    };
    homes.retain(|uid, home| with_runtime_dir.contains(uid) || has_data(*uid, home));
    let all: BTreeSet<u32> = with_runtime_dir.into_iter().chain(homes.keys().copied()).collect();
    let user = |uid: u32| User { uid, home: homes.get(&uid).cloned(), run: format!("{RUN}/{uid}") };
    all.into_iter().take(MOST).map(user).collect()
}

/// Leads the path through a root directory, a working directory or an open file of a process? It has chosen the file system.
pub(super) fn is_beyond_process(path: &Path) -> bool {
    let Ok(below) = path.strip_prefix("/proc") else { return false };
    let mut names = below.iter().skip(1);
    let of_link = names.find_map(|name| match name.to_str()? {
        "root" | "cwd" | "exe" => Some(0),
        "fd" | "map_files" => Some(1),
        _ => None,
    });
    of_link.is_some_and(|more| names.nth(more).is_some())
}

/// The mount points, and which file systems a server or a process serves.
pub(crate) struct Mounts(Vec<Mount>);

struct Mount {
    point: PathBuf,
    /// A server or a process serves it, and may not answer.
    served: bool,
    /// It is served, and a path on another file system can lead into it.
    crossable: bool,
}

impl Mounts {
    pub(crate) fn read() -> Mounts {
        Mounts::parse(&std::fs::read(ProcRoot::default().own("mountinfo")).unwrap_or_default())
    }

    fn parse(text: &[u8]) -> Mounts {
        let mut mounts = Mounts(mountinfo::mounts(text).map(|line| mount(&line)).collect());
        if mounts.0.iter().any(|mount| mount.served) {
            mounts.mark_overlays(text);
        }
        mounts
    }

    /// An overlay waits for a file system that has one of its layers.
    fn mark_overlays(&mut self, text: &[u8]) {
        for (at, line) in mountinfo::mounts(text).enumerate().filter(|(_, line)| line.kind == b"overlay") {
            let layers = overlay::overlay(line.options);
            let mut paths = layers.lower.iter().chain(&layers.upper).map(Path::new);
            let has_served = |path: &Path| self.is_below_served(path) && self.may_hang(path);
            self.0[at].served |= paths.any(has_served);
        }
    }

    /// Less work than to find the mount around a path: few mounts are served.
    fn is_below_served(&self, path: &Path) -> bool {
        self.0.iter().any(|mount| mount.served && path.starts_with(&mount.point))
    }

    /// Can an access to that path block without limit?
    pub(crate) fn may_hang(&self, path: &Path) -> bool {
        self.around(path).is_some_and(|mount| mount.served)
    }

    /// The mount point above a path, if a symbolic link in the path can lead to a served file system.
    pub(crate) fn mount_to_stay_on(&self, path: &Path) -> Option<&Path> {
        let mount = self.around(path).filter(|_| self.0.iter().any(|mount| mount.crossable));
        mount.map(|mount| mount.point.as_path())
    }

    /// The innermost mount that contains a path. If several are at one mount point, the last one covers the others.
    fn around(&self, path: &Path) -> Option<&Mount> {
        let around = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        around.max_by_key(|mount| mount.point.as_os_str().len())
    }
}

fn mount(line: &mountinfo::Mount<'_>) -> Mount {
    let point = mountinfo::unescape(line.point);
    let served = line.is_served();
    let crossable = match line.kind.starts_with(b"fuse") {
        // Without allow_other only its owner gets in, not even root. With user_id=0 root serves it.
        true => line.has_option("allow_other") && !line.has_option("user_id=0"),
        false => !point.starts_with("/proc"),
    };
    Mount { point, served, crossable: served && crossable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_on_a_file_server_can_hang() {
        let lines = "1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / /home rw shared:1 - nfs4 server:/home rw\n\
                     3 2 0:3 / /home/near rw - ext4 /dev/vdb rw\n4 1 0:4 / /with\\040space rw - fuse.sshfs x rw";
        let mounts = Mounts::parse(lines.as_bytes());
        for (path, hangs) in [
            ("/home/x", true),
            ("/home/near", false),
            ("/homes", false),
            ("/", false),
            ("/with space/x", true),
        ] {
            assert_eq!(mounts.may_hang(Path::new(path)), hangs, "{path}");
        }
    }

    #[test]
    fn paths_through_links_of_processes() {
        for (path, is_beyond) in [
            ("/proc/7/root/x", true),
            ("/proc/self/cwd/x", true),
            ("/proc/7/task/8/fd/3/x", true),
            ("/proc/7/root", false),
            ("/proc/7/fd/3", false),
            ("/proc/root/x", false),
            ("/srv/proc/7/root/x", false),
        ] {
            assert_eq!(is_beyond_process(Path::new(path)), is_beyond, "{path}");
        }
    }

    #[test]
    fn an_overlay_over_a_served_file_system_can_hang() {
        let lines = "1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / /lazy rw - fuse x rw\n3 2 0:3 / /lazy/near rw - tmpfs x rw\n\
                     4 1 0:4 / /a rw - overlay x rw,lowerdir=/x:/lazy/1,upperdir=/u\n5 1 0:5 / /b rw - overlay x rw,lowerdir=/lazy/near/1:/y\n\
                     6 1 0:6 / /c rw - overlay x rw,lowerdir+=/a,upperdir=/u\n";
        let mounts = Mounts::parse(lines.as_bytes());
        let hang = ["/a/x", "/b/x", "/c/x", "/x"].map(|path| mounts.may_hang(Path::new(path)));
        assert_eq!(hang, [true, false, true, false]);
    }

    #[test]
    fn paths_stay_on_their_mount_if_a_served_file_system_exists() {
        let stay = |line: &str| {
            let mounts = Mounts::parse(format!("1 0 0:1 / / rw - ext4 /dev/vda rw\n{line}").as_bytes());
            mounts.mount_to_stay_on(Path::new("/home/u/x")).map(Path::to_owned)
        };
        for line in [
            "2 1 0:2 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw",
            "2 1 0:2 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw,user_id=0,group_id=0,allow_other",
            "2 1 0:2 / /run/user/7/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw,user_id=7,group_id=7",
            "2 1 0:2 / /mnt rw - fuseblk /dev/sdb1 rw,user_id=7,allow_other",
        ] {
            assert_eq!(stay(line), None, "{line}");
        }
        for line in [
            "2 1 0:2 / /home/v/trap rw - fuse.x x rw,user_id=7,group_id=7,allow_other",
            "2 1 0:2 / /data rw - nfs4 server:/data rw",
        ] {
            assert_eq!(stay(line), Some("/".into()), "{line}");
        }
        assert_eq!(
            stay("3 1 0:3 / /home rw - xfs x rw\n2 1 0:2 / /data rw - nfs x rw"),
            Some("/home".into())
        );
    }
}
