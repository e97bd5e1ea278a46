//! LXC: a directory with a file `config` for each container, root's and every user's; LXD and Incus: a
//! directory of links for all projects. No file tells the init process: the core finds it by its group.

use std::cell::OnceCell;

use super::Records;
use crate::container::cgroup_path::is_name;
use crate::container::{Container, Files, Runtime};

const LXC: &str = "/var/lib/lxc";

/// The daemons' directories: what is in `containers` there are links into storage pools, which need not be
/// mounted. The second is where the daemon writes the settings of what it starts.
const DAEMONS: [(Runtime, &str, &str); 3] = [
    (Runtime::Incus, "/var/lib/incus", "/run/incus"),
    (Runtime::Lxd, "/var/snap/lxd/common/lxd", "/var/snap/lxd/common/lxd/logs"),
    (Runtime::Lxd, "/var/lib/lxd", "/run/lxd"),
];

#[derive(Default)]
pub(super) struct Lxc {
    places: OnceCell<Vec<Place>>,
}

struct Place {
    runtime: Runtime,
    /// One with all containers, as they are called in control groups.
    directory: String,
    settings: String,
    files: Files,
    owner: u32,
}

impl Records for Lxc {
    fn ids(&self, files: &Files) -> Vec<String> {
        let mut all: Vec<String> =
            self.places(files).iter().flat_map(|place| place.files.list(&place.directory)).collect();
        all.retain(|name| is_name(name));
        all.sort_unstable();
        all.dedup();
        all
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        self.places(files).iter().filter_map(|place| place.load(id)).collect()
    }
}

impl Lxc {
    fn places(&self, files: &Files) -> &[Place] {
        self.places.get_or_init(|| {
            let mut all: Vec<Place> = Vec::new();
            for (runtime, directory, settings) in DAEMONS {
                let directory = format!("{directory}/containers");
                let settings = settings.to_owned();
                all.push(Place { runtime, directory, settings, files: files.clone(), owner: 0 });
            }
            let told = lxcpath(files, "/etc/lxc/lxc.conf");
            for directory in [Some(LXC.to_owned()), told].into_iter().flatten() {
                all.push(Place::of_lxc(directory, files, 0));
            }
            for user in files.users() {
                let files = files.of_user(user.uid);
                let told = user.home(".config/lxc/lxc.conf").and_then(|path| lxcpath(&files, &path));
                for directory in user.home(".local/share/lxc").into_iter().chain(told) {
                    all.push(Place::of_lxc(directory, &files, user.uid));
                }
            }
            all.retain(|place| place.files.exists(&place.directory));
            all
        })
    }
}

/// lxc.system.conf(5): where the containers are.
fn lxcpath(files: &Files, path: &str) -> Option<String> {
    let text = files.read(path)?;
    value(&String::from_utf8_lossy(&text), &["lxc.lxcpath"]).filter(|path| path.starts_with('/'))
}

impl Place {
    fn of_lxc(directory: String, files: &Files, owner: u32) -> Place {
        Place { runtime: Runtime::Lxc, settings: directory.clone(), directory, files: files.clone(), owner }
    }

    fn load(&self, id: &str) -> Option<Container> {
        let mut container = Container { owner: self.owner, ..Container::new(self.runtime, id) };
        let file = match self.runtime {
            Runtime::Lxc => "config",
            // A link in there is proof enough.
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
        // A project other than `default` stands before the name, and neither can have that character in it.
        container.name = match (self.runtime, id.split_once('_')) {
            (Runtime::Lxd | Runtime::Incus, Some((project, name))) => Some(format!("{project}/{name}")),
            _ => Some(id.to_owned()),
        };
        Some(container)
    }
}

/// The value of the last line that sets one of these.
fn value(text: &str, names: &[&str]) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        names.contains(&name.trim()).then(|| value.trim().trim_matches('"'))
    });
    values.next_back().filter(|value| !value.is_empty()).map(str::to_owned)
}
