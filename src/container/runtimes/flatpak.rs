//! Flatpak: `/run/user/UID/.flatpak/INSTANCE/` with `info`, which the application sees too, and `bwrapinfo.json`, which
//! has the first process and its namespaces. The files may remain after the end of the application.

use std::cell::OnceCell;
use std::rc::Rc;

use nix::unistd::Pid;
use serde::Deserialize;

use super::StateReader;
use super::state_dirs::{ListIds, StateDirs};
use crate::container::files::Names;
use crate::container::files::users::User;
use crate::container::{Container, Files, Runtime, rfc3339};
use crate::proc::ns::Kind;

/// The directory of instances, below a user's runtime directory.
const INSTANCES: &str = ".flatpak";

#[derive(Default)]
pub(super) struct Flatpak {
    state_dirs: OnceCell<StateDirs<StateDir>>,
}

/// The instances of a user.
struct StateDir {
    directory: String,
    names: Rc<Names>,
    files: Files,
    owner: u32,
}

impl ListIds for StateDir {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
        Box::new(self.names.iter())
    }
}

/// The output of bwrap(1) --info-fd.
#[derive(Deserialize)]
struct Bwrap {
    #[serde(rename = "child-pid", default)]
    pid: i32,
    #[serde(rename = "mnt-namespace")]
    mnt: Option<u64>,
    #[serde(rename = "net-namespace")]
    net: Option<u64>,
    #[serde(rename = "pid-namespace")]
    pid_ns: Option<u64>,
    #[serde(rename = "ipc-namespace")]
    ipc: Option<u64>,
}

impl StateReader for Flatpak {
    fn ids(&self, files: &Files) -> Vec<String> {
        self.state_dirs(files).ids().filter(|name| is_instance(name)).map(str::to_owned).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        let found = self.state_dirs(files).with(id).filter(|_| is_instance(id));
        found.filter_map(|dir| container(dir, id)).collect()
    }
}

impl Flatpak {
    fn state_dirs(&self, files: &Files) -> &StateDirs<StateDir> {
        self.state_dirs.get_or_init(|| {
            let dir = |user: &User| {
                let (directory, files) = (user.run(INSTANCES), files.of_user(user.uid));
                Some(StateDir { names: files.state_dir(&directory)?, directory, files, owner: user.uid })
            };
            StateDirs::new(files.users().iter().filter_map(dir).collect())
        })
    }
}

fn is_instance(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

fn container(dir: &StateDir, id: &str) -> Option<Container> {
    let (files, directory) = (&dir.files, format!("{}/{id}", dir.directory));
    let path = format!("{directory}/bwrapinfo.json");
    let (bwrap, written) = files.json_dated::<Bwrap>(&path)?;
    let info = files.read(&format!("{directory}/info")).unwrap_or_default();
    let info = String::from_utf8_lossy(&info);
    let namespaces =
        [(Kind::Mnt, bwrap.mnt), (Kind::Net, bwrap.net), (Kind::Pid, bwrap.pid_ns), (Kind::Ipc, bwrap.ipc)];
    Some(Container {
        name: value(&info, "[Application]", "name"),
        image: value(&info, "[Application]", "runtime"),
        created: Some(rfc3339(written)),
        owner: dir.owner,
        init: (bwrap.pid > 0).then(|| Pid::from_raw(bwrap.pid)),
        init_written: Some(written),
        namespaces: namespaces.into_iter().filter_map(|(kind, id)| Some((kind, id?))).collect(),
        ..Container::new(Runtime::Flatpak, id)
    })
}

/// A value in a section of an ini file.
fn value(text: &str, section: &str, name: &str) -> Option<String> {
    let lines = text.lines().skip_while(|line| *line != section).skip(1);
    let mut found = lines.take_while(|line| !line.starts_with('['));
    let value = found.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str) {
    assert_ne!(value(text, "[Application]", "name").as_deref(), Some(""));
}
