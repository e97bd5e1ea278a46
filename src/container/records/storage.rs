//! The storage that Podman, buildah and CRI-O share: `GRAPHROOT/DRIVER-containers/ID/userdata`, the same
//! below RUNROOT for what runs, and where storage.conf(5) puts both.

use crate::container::Files;
use crate::container::users::User;

pub(super) struct Storage {
    pub graph: String,
    pub run: String,
    /// `overlay-containers`, `vfs-containers`.
    pub directories: Vec<String>,
    /// Where OCI runtimes write down what runs, without their names: `/run`.
    pub runtimes: String,
    pub files: Files,
    pub owner: u32,
}

const GRAPH: &str = "/var/lib/containers/storage";
const RUN: &str = "/run/containers/storage";

impl Storage {
    /// root's, where they are now and where they were told to be.
    pub(super) fn of_system(files: &Files) -> Vec<Storage> {
        let told =
            Settings::read(files, &["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"]);
        let graph = told.graph.unwrap_or_else(|| GRAPH.to_owned());
        let run = told.run.unwrap_or_else(|| RUN.to_owned());
        let default = Storage::new(files, GRAPH, RUN, "/run", 0);
        let told = Storage::new(files, &graph, &run, "/run", 0);
        [default, told.filter(|told| (told.graph.as_str(), told.run.as_str()) != (GRAPH, RUN))]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The same of a user who is not root.
    pub(super) fn of_user(files: &Files, user: &User) -> Vec<Storage> {
        let own = user.home(".config/containers/storage.conf");
        let mut told = own.map(|path| Settings::read(&files.of_user(user.uid), &[&path])).unwrap_or_default();
        if told.graph.is_none() {
            let for_all = Settings::read(files, &["/etc/containers/storage.conf"]);
            told.graph = for_all.rootless;
        }
        let default = user.home(".local/share/containers/storage");
        let told_graph =
            told.graph.and_then(|path| expand(&path, user)).filter(|path| Some(path) != default.as_ref());
        let told_run = told.run.and_then(|path| expand(&path, user));
        let run = told_run.unwrap_or_else(|| user.run("containers"));
        let files = files.of_user(user.uid);
        let graphs = default.into_iter().chain(told_graph);
        graphs.filter_map(|graph| Storage::new(&files, &graph, &run, &user.run, user.uid)).collect()
    }

    fn new(files: &Files, graph: &str, run: &str, runtimes: &str, owner: u32) -> Option<Storage> {
        let mut directories: Vec<String> = files.list(graph);
        directories.retain(|name| name.ends_with("-containers"));
        (!directories.is_empty()).then(|| Storage {
            graph: graph.to_owned(),
            run: run.to_owned(),
            directories,
            runtimes: runtimes.to_owned(),
            files: files.clone(),
            owner,
        })
    }

    /// The one that a bundle lies in: `GRAPHROOT/DRIVER-containers/ID/userdata`.
    pub(super) fn of_bundle(files: &Files, bundle: &str, runtimes: &str, owner: u32) -> Option<Storage> {
        let (directory, _) = bundle.strip_suffix("/userdata")?.rsplit_once('/')?;
        let (graph, directory) = directory.rsplit_once('/')?;
        let there = graph.starts_with('/') && directory.ends_with("-containers") && !files.may_hang(graph);
        let storage = there.then(|| Storage::new(files, graph, "", runtimes, owner))?;
        storage.filter(|storage| storage.directories.iter().any(|known| known == directory))
    }

    /// Is there anything of that container's below RUNROOT?
    pub(super) fn has_running(&self, id: &str) -> bool {
        let mut directories = self.directories.iter();
        directories.any(|directory| self.files.exists(&format!("{}/{directory}/{id}", self.run)))
    }

    /// A container's files that stay.
    pub(super) fn kept(&self, directory: &str, id: &str, file: &str) -> String {
        format!("{}/{directory}/{id}/userdata/{file}", self.graph)
    }

    /// Those that the next boot removes.
    pub(super) fn running(&self, directory: &str, id: &str, file: &str) -> String {
        format!("{}/{directory}/{id}/userdata/{file}", self.run)
    }
}

/// storage.conf(5): lines of `name = "value"` below `[storage]`.
#[derive(Default, Debug, PartialEq, Eq)]
struct Settings {
    graph: Option<String>,
    run: Option<String>,
    rootless: Option<String>,
}

impl Settings {
    /// The first file that is there counts.
    fn read(files: &Files, paths: &[&str]) -> Settings {
        let text = paths.iter().find_map(|path| files.read(path)).unwrap_or_default();
        Settings::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Settings {
        let mut settings = Settings::default();
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if let Some((name, value)) = line.split_once('=')
                && section == "[storage]"
            {
                let value = value.trim().trim_matches(['"', '\'']);
                let place = match name.trim() {
                    "graphroot" => &mut settings.graph,
                    "runroot" => &mut settings.run,
                    "rootless_storage_path" => &mut settings.rootless,
                    _ => continue,
                };
                *place = Some(value.to_owned()).filter(|value| !value.is_empty());
            }
        }
        settings
    }
}

/// A path that is meant for every user.
fn expand(path: &str, user: &User) -> Option<String> {
    let path = match &user.home {
        Some(home) => path.replace("$HOME", home),
        None => path.to_owned(),
    };
    let path = path.replace("$UID", &user.uid.to_string());
    (path.starts_with('/') && !path.contains('$')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_paths_for_everybody() {
        let text = "graphroot = '/no'\n[storage]\n driver=\"overlay\"\n graphroot = \"/srv/c\"\n#runroot = \"/x\"\n\
                    rootless_storage_path = \"/srv/$UID/c\"\nrunroot = \"\"\n[storage.options]\ngraphroot = 'x'\n";
        let settings = Settings::parse(text);
        assert_eq!((settings.graph.as_deref(), settings.run.as_deref()), (Some("/srv/c"), None));
        let user = User { uid: 7, home: Some("/home/u".to_owned()), run: "/run/user/7".to_owned() };
        assert_eq!(expand(&settings.rootless.expect("a path"), &user).as_deref(), Some("/srv/7/c"));
        assert_eq!(expand("$HOME/c", &user).as_deref(), Some("/home/u/c"));
        assert_eq!(expand("$XDG_DATA_HOME/c", &user), None);
    }
}
