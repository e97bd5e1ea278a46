//! LXC of root and of every user: a directory with a file `config` for each container. LXD and Incus: a directory of
//! links for all projects. No file has the init process: the resolver finds it by its group.

use std::cell::OnceCell;
use std::rc::Rc;

use super::StateReader;
use super::state_dirs::{ListIds, StateDirs};
use crate::container::cgroup_path::is_file_name;
use crate::container::files::Names;
use crate::container::{Container, Files, Runtime, seconds};

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
        self.state_dirs(files).ids().filter(|name| is_file_name(name)).map(str::to_owned).collect()
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

/// Where a monitor finds the container that it names.
pub(crate) struct LxcPath<'a> {
    /// The directory of the containers. None for the configured one.
    pub path: Option<&'a str>,
    /// Whose program the monitor runs.
    pub daemon: Option<Runtime>,
}

/// The container that a monitor of this user names.
pub(crate) fn of_monitor(files: &Files, owner: u32, place: &LxcPath<'_>, name: &str) -> Option<Container> {
    if !is_file_name(name) {
        return None;
    }
    let lxc = Lxc::default();
    let path = place.path.map(|path| path.trim_end_matches('/'));
    let fits = |dir: &&StateDir| match path {
        Some(path) => dir.directory == path,
        None => dir.runtime == Runtime::Lxc,
    };
    let mut known = lxc.state_dirs(files).iter();
    if path.is_some() && owner != 0 && known.any(|dir| dir.owner != owner && fits(&dir)) {
        return None; // the directory of another user
    }
    if let Some(dir) = lxc.state_dirs(files).iter().filter(|dir| dir.owner == owner).find(fits) {
        let unread = || (owner == 0).then(|| dir.unread(name));
        return dir.load(name).or_else(unread);
    }
    // It is in no directory that ctrbox knows of, so a name alone could mean two containers.
    let path = path.filter(|path| path.starts_with('/'))?;
    let (runtime, settings) = match (place.daemon, path.strip_suffix("/containers")) {
        (Some(daemon @ (Runtime::Incus | Runtime::Lxd)), Some(directory)) => {
            (daemon, format!("{directory}/run"))
        }
        _ => (Runtime::Lxc, path.to_owned()),
    };
    let files = if owner == 0 { files.clone() } else { files.of_user(owner) };
    let dir = StateDir { runtime, directory: path.to_owned(), names: Rc::default(), settings, files, owner };
    let container = dir.load(name).or_else(|| (owner == 0).then(|| dir.unread(name)))?;
    Some(Container { id: format!("{path}/{name}"), ..container })
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

    /// The container without anything that its state files say.
    fn unread(&self, id: &str) -> Container {
        // The name of a project other than `default` is a prefix. Neither name can contain an underscore.
        let name = match (self.runtime, id.split_once('_')) {
            (Runtime::Lxd | Runtime::Incus, Some((project, name))) => format!("{project}/{name}"),
            _ => id.to_owned(),
        };
        Container { owner: self.owner, name: Some(name), ..Container::new(self.runtime, id) }
    }

    fn load(&self, id: &str) -> Option<Container> {
        let mut container = self.unread(id);
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
        if self.runtime != Runtime::Lxc {
            self.read_backup(&mut container, id);
        }
        let text = text.unwrap_or_default();
        container.hostname = value(&String::from_utf8_lossy(&text), &["lxc.uts.name", "lxc.utsname"]);
        Some(container)
    }
}

impl StateDir {
    /// Image and time of creation from `backup.yaml`, which LXD and Incus write at every change of the settings. It is in
    /// a storage pool, which may not be mounted.
    fn read_backup(&self, container: &mut Container, id: &str) {
        let Some(text) = self.files.read(&format!("{}/{id}/backup.yaml", self.directory)) else { return };
        let text = String::from_utf8_lossy(&text);
        let value = |depth: usize, name: &str| yaml_value(&text, depth, name);
        container.image = value(4, "image.description").or_else(|| value(4, "volatile.base_image"));
        container.created = value(2, "created_at").and_then(|time| seconds(&time));
    }
}

/// The value of a name at that depth of the first mapping of a YAML file. The daemons write one line for each of the
/// values that ctrbox needs, with two spaces for each level.
fn yaml_value(text: &str, depth: usize, name: &str) -> Option<String> {
    let first = text.lines().skip(1).take_while(|line| line.starts_with(' '));
    let mut values = first.filter_map(|line| {
        let rest = line.strip_prefix(&" ".repeat(depth))?.strip_prefix(name)?.strip_prefix(": ")?;
        let quoted = rest.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
        Some(quoted.unwrap_or(rest).to_owned())
    });
    values.next().filter(|value| !value.is_empty())
}

/// The value of the last line that sets one of the names.
fn value(text: &str, names: &[&str]) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        names.contains(&name.trim()).then(|| value.trim().trim_matches('"'))
    });
    values.next_back().filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str) {
    for depth in 0..3 {
        _ = yaml_value(text, depth, "created_at");
    }
    _ = value(text, &["lxc.uts.name", "lxc.utsname"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_first_mapping_are_read() {
        let text = "container:\n  config:\n    image.description: 'Alpine 3.20 (x)'\n    volatile.base_image: c4\n  \
                    created_at: 2026-11-25T08:32:55.05Z\nvolume:\n  created_at: 2020-01-01T00:00:00Z\n  name: x\n";
        assert_eq!(yaml_value(text, 4, "image.description").as_deref(), Some("Alpine 3.20 (x)"));
        assert_eq!(yaml_value(text, 4, "volatile.base_image").as_deref(), Some("c4"));
        assert_eq!(yaml_value(text, 2, "created_at").as_deref(), Some("2026-11-25T08:32:55.05Z"));
        assert_eq!(yaml_value(text, 2, "name"), None, "that of another mapping");
        assert_eq!(yaml_value("container:\n  name:\n", 2, "name"), None);
    }
}
