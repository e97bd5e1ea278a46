//! LXC of root and of every user: a directory with a file `config` for each container. LXD and Incus: a directory of
//! links for all projects. No file has the init process: the resolver finds it by its group.

use std::cell::OnceCell;
use std::rc::Rc;

use super::StateReader;
use super::state_dirs::{ListIds, StateDirs};
use crate::container::cgroup_path::is_name;
use crate::container::files::Names;
use crate::container::{Container, Files, Runtime};

const LXC: &str = "/var/lib/lxc";

/// Directories of the daemons. The first has `containers/` with links into storage pools, which may not be mounted. In
/// the second the daemon writes the settings of containers that it starts.
const DAEMONS: [(Runtime, &str, &str); 3] = [
    (Runtime::Incus, "/var/lib/incus", "/run/incus"),
    (Runtime::Lxd, "/var/snap/lxd/common/lxd", "/var/snap/lxd/common/lxd/logs"),
    (Runtime::Lxd, "/var/lib/lxd", "/run/lxd"),
];

#[derive(Default)]
pub(super) struct Lxc {
    state_dirs: OnceCell<StateDirs<StateDir>>,
}

struct StateDir {
    runtime: Runtime,
    /// The directory with all containers. Names are the same as in control groups.
    directory: String,
    names: Rc<Names>,
    settings: String,
    files: Files,
    owner: u32,
}

impl ListIds for StateDir {
    fn ids(&self) -> Box<dyn Iterator<Item = &Rc<str>> + '_> {
        Box::new(self.names.iter())
    }

    fn may_have_more(&self) -> bool {
        self.names.has_more()
    }
}

impl StateReader for Lxc {
    fn ids(&self, files: &Files) -> Vec<String> {
        self.state_dirs(files).ids().filter(|name| is_name(name)).map(str::to_owned).collect()
    }

    /// The name is the id, or `PROJECT/NAME` for `PROJECT_NAME`.
    fn ids_for(&self, files: &Files, name: &str) -> Vec<String> {
        let last = name.rsplit('/').next().unwrap_or_default();
        let mut ids = self.ids(files);
        ids.retain(|id| id.contains(last));
        ids
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        self.state_dirs(files).with(id).filter_map(|dir| dir.load(id)).collect()
    }
}

impl Lxc {
    fn state_dirs(&self, files: &Files) -> &StateDirs<StateDir> {
        self.state_dirs.get_or_init(|| {
            let mut all: Vec<StateDir> = Vec::new();
            for (runtime, directory, settings) in DAEMONS {
                let directory = format!("{directory}/containers");
                all.extend(StateDir::new(runtime, directory, settings.to_owned(), files, 0));
            }
            let configured = lxcpath(files, "/etc/lxc/lxc.conf");
            for directory in [Some(LXC.to_owned()), configured].into_iter().flatten() {
                all.extend(StateDir::lxc(directory, files, 0));
            }
            for user in files.users() {
                let files = files.of_user(user.uid);
                let configured = user.home(".config/lxc/lxc.conf").and_then(|path| lxcpath(&files, &path));
                for directory in user.home(".local/share/lxc").into_iter().chain(configured) {
                    all.extend(StateDir::lxc(directory, &files, user.uid));
                }
            }
            StateDirs::new(all)
        })
    }
}

/// The directory of the containers, from lxc.system.conf(5).
fn lxcpath(files: &Files, path: &str) -> Option<String> {
    let text = files.read(path)?;
    value(&String::from_utf8_lossy(&text), &["lxc.lxcpath"]).filter(|path| path.starts_with('/'))
}

impl StateDir {
    fn new(
        runtime: Runtime,
        directory: String,
        settings: String,
        files: &Files,
        owner: u32,
    ) -> Option<StateDir> {
        let names = files.state_dir(&directory)?;
        Some(StateDir { runtime, directory, names, settings, files: files.clone(), owner })
    }

    fn lxc(directory: String, files: &Files, owner: u32) -> Option<StateDir> {
        StateDir::new(Runtime::Lxc, directory.clone(), directory, files, owner)
    }

    fn load(&self, id: &str) -> Option<Container> {
        let mut container = Container { owner: self.owner, ..Container::new(self.runtime, id) };
        let file = match self.runtime {
            Runtime::Lxc => "config",
            // The link shows that the container exists.
            _ => {
                self.files.is_there(&format!("{}/{id}", self.directory)).then_some(())?;
                "lxc.conf"
            }
        };
        let path = format!("{}/{id}/{file}", self.settings);
        let text = self.files.read(&path);
        if self.runtime == Runtime::Lxc && text.is_none() {
            return None;
        }
        let text = text.unwrap_or_default();
        container.hostname = value(&String::from_utf8_lossy(&text), &["lxc.uts.name", "lxc.utsname"]);
        // The name of a project other than `default` is a prefix. Neither name can contain an underscore.
        container.name = match (self.runtime, id.split_once('_')) {
            (Runtime::Lxd | Runtime::Incus, Some((project, name))) => Some(format!("{project}/{name}")),
            _ => Some(id.to_owned()),
        };
        Some(container)
    }
}

/// The value of the last line that sets one of the names.
fn value(text: &str, names: &[&str]) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        names.contains(&name.trim()).then(|| value.trim().trim_matches('"'))
    });
    values.next_back().filter(|value| !value.is_empty()).map(str::to_owned)
}
