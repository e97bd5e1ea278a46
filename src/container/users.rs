//! Users who may run containers without being root, and where those keep their state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Files;
use crate::proc::{ProcRoot, homes, number};

/// More than log in to any host; each costs a look into his home.
const MOST: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    /// None where /etc/passwd does not tell, or where looking there may take for ever.
    pub home: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub run: String,
}

impl User {
    /// A path below his home.
    pub fn home(&self, path: &str) -> Option<String> {
        self.home.as_ref().map(|home| format!("{home}/{path}"))
    }

    /// A path below his runtime directory.
    pub fn run(&self, path: &str) -> String {
        format!("{}/{path}", self.run)
    }
}

/// Those with a runtime directory, and those with data of programs in their homes.
pub fn find(files: &Files) -> Vec<User> {
    const RUN: &str = "/run/user";
    let uid = |name: &String| number::<u32>(name.as_bytes());
    let present: BTreeSet<u32> = files.list(RUN).iter().filter_map(uid).filter(|&uid| uid != 0).collect();
    let passwd = files.read("/etc/passwd").unwrap_or_default();
    let near = |home: &str| home.starts_with('/') && home != "/" && !files.may_hang(home);
    let mut homes: BTreeMap<u32, String> = homes(&passwd).filter(|(_, home)| near(home)).collect();
    homes.retain(|uid, home| {
        *uid != 0 && (present.contains(uid) || files.of_user(*uid).exists(&format!("{home}/.local/share")))
    });
    let all: BTreeSet<u32> = present.into_iter().chain(homes.keys().copied()).collect();
    let user = |uid: u32| User { uid, home: homes.get(&uid).cloned(), run: format!("{RUN}/{uid}") };
    all.into_iter().take(MOST).map(user).collect()
}

/// Where file systems are mounted, and which of them a server or a process of somebody's stands behind.
pub struct Mounts(Vec<(String, bool)>);

impl Mounts {
    pub fn read() -> Mounts {
        let text = std::fs::read_to_string(ProcRoot::default().own("mountinfo")).unwrap_or_default();
        Mounts(text.lines().filter_map(mount).collect())
    }

    pub fn may_hang(&self, path: &Path) -> bool {
        let around = self.0.iter().filter(|(place, _)| path.starts_with(place));
        // The last of those mounted at one place lies over the others.
        around.max_by_key(|(place, _)| place.len()).is_some_and(|(_, served)| *served)
    }
}

fn mount(line: &str) -> Option<(String, bool)> {
    const SERVED: [&str; 8] = ["9p", "afs", "autofs", "ceph", "cifs", "fuse", "nfs", "smb3"];
    let (left, right) = line.split_once(" - ")?;
    let kind = right.split(' ').next()?;
    let place = left.split(' ').nth(4)?.replace("\\040", " ");
    Some((place, SERVED.iter().any(|served| kind.starts_with(served))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_on_a_file_server_is_left_alone() {
        let lines = "1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / /home rw shared:1 - nfs4 server:/home rw\n\
                     3 2 0:3 / /home/near rw - ext4 /dev/vdb rw\n4 1 0:4 / /with\\040space rw - fuse.sshfs x rw";
        let mounts = Mounts(lines.lines().filter_map(mount).collect());
        for (path, far) in [
            ("/home/x", true),
            ("/home/near", false),
            ("/homes", false),
            ("/", false),
            ("/with space/x", true),
        ] {
            assert_eq!(mounts.may_hang(Path::new(path)), far, "{path}");
        }
    }
}
