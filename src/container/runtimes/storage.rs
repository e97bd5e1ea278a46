//! The storage that Podman, buildah and CRI-O share: `GRAPHROOT/DRIVER-containers/ID/userdata`, and the same path below
//! RUNROOT for running containers. storage.conf(5) sets both roots.

use crate::container::Files;
use crate::container::files::users::User;

pub(super) struct Storage {
    pub graph: String,
    pub run: String,
    /// `overlay-containers`, `vfs-containers`.
    pub directories: Vec<String>,
    /// The directory with the state directories of OCI runtimes: `/run`.
    pub runtimes: String,
    pub files: Files,
    pub owner: u32,
}

const GRAPH: &str = "/var/lib/containers/storage";
const RUN: &str = "/run/containers/storage";

impl Storage {
    /// Root's storage: the default one and the configured one. A changed setting does not move existing containers.
    pub(super) fn of_system(files: &Files) -> Vec<Storage> {
        let configured =
            Settings::read(files, &["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"]);
        let graph = configured.graph.unwrap_or_else(|| GRAPH.to_owned());
        let run = configured.run.unwrap_or_else(|| RUN.to_owned());
        let default = Storage::new(files, GRAPH, RUN, "/run", 0);
        let configured = Storage::new(files, &graph, &run, "/run", 0);
        [
            default,
            configured
                .filter(|configured| (configured.graph.as_str(), configured.run.as_str()) != (GRAPH, RUN)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The storage of a user who is not root.
    pub(super) fn of_user(files: &Files, user: &User) -> Vec<Storage> {
        let users_file = user.home(".config/containers/storage.conf");
        let mut configured =
            users_file.map(|path| Settings::read(&files.of_user(user.uid), &[&path])).unwrap_or_default();
        if configured.graph.is_none() {
            let for_all = Settings::read(files, &["/etc/containers/storage.conf"]);
            configured.graph = for_all.rootless;
        }
        let default = user.home(".local/share/containers/storage");
        let configured_graph = configured
            .graph
            .and_then(|path| expand(&path, user))
            .filter(|path| Some(path) != default.as_ref());
        let configured_run = configured.run.and_then(|path| expand(&path, user));
        let run = configured_run.unwrap_or_else(|| user.run("containers"));
        let files = files.of_user(user.uid);
        let graphs = default.into_iter().chain(configured_graph);
        graphs.filter_map(|graph| Storage::new(&files, &graph, &run, &user.run, user.uid)).collect()
    }

    fn new(files: &Files, graph: &str, run: &str, runtimes: &str, owner: u32) -> Option<Storage> {
        let mut directories: Vec<String> = files.list(graph);
        directories.retain(|name| {
            name.ends_with("-containers") && files.state_dir(&format!("{graph}/{name}")).is_some()
        });
        (!directories.is_empty()).then(|| Storage {
            graph: graph.to_owned(),
            run: run.to_owned(),
            directories,
            runtimes: runtimes.to_owned(),
            files: files.clone(),
            owner,
        })
    }

    /// Splits the path of a bundle, `GRAPHROOT/DRIVER-containers/ID/userdata`, into GRAPHROOT and directory.
    pub(super) fn graph_of(bundle: &str) -> Option<(&str, &str)> {
        let (directory, _) = bundle.strip_suffix("/userdata")?.rsplit_once('/')?;
        let (graph, directory) = directory.rsplit_once('/')?;
        (graph.starts_with('/') && directory.ends_with("-containers")).then_some((graph, directory))
    }

    /// The storage that contains a bundle.
    pub(super) fn of_bundle(
        files: &Files,
        (graph, directory): (&str, &str),
        runtimes: &str,
        owner: u32,
    ) -> Option<Storage> {
        let is_local = !files.may_hang(graph);
        let storage = is_local.then(|| Storage::new(files, graph, "", runtimes, owner))?;
        storage.filter(|storage| storage.directories.iter().any(|known| known == directory))
    }

    /// Ids of containers with a directory below RUNROOT.
    pub(super) fn running_ids(&self) -> Vec<String> {
        let below = |directory: &String| self.files.list(&format!("{}/{directory}", self.run));
        self.directories.iter().flat_map(below).collect()
    }

    /// Can it contain files of that container?
    pub(super) fn may_have(&self, directory: &str, id: &str) -> bool {
        let has = |root: &str| self.files.names(&format!("{root}/{directory}")).may_have(id);
        has(&self.graph) || has(&self.run)
    }

    /// The path of a container's file below GRAPHROOT, which survives a reboot.
    pub(super) fn kept(&self, directory: &str, id: &str, file: &str) -> String {
        format!("{}/{directory}/{id}/userdata/{file}", self.graph)
    }

    /// The path of a container's file below RUNROOT, which a reboot removes.
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
    /// Reads the first file that exists.
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
            } else if let Some((name, value)) = line.split_once('=').filter(|_| section == "[storage]") {
                let value = value.trim().trim_matches(['"', '\'']);
                let dir = match name.trim() {
                    "graphroot" => &mut settings.graph,
                    "runroot" => &mut settings.run,
                    "rootless_storage_path" => &mut settings.rootless,
                    _ => continue,
                };
                *dir = Some(value.to_owned()).filter(|value| !value.is_empty());
            }
        }
        settings
    }
}

/// Expands $HOME and $UID in a path of storage.conf(5).
fn expand(path: &str, user: &User) -> Option<String> {
    let path = match &user.home {
        Some(home) => path.replace("$HOME", home),
        None => path.to_owned(),
    };
    let path = path.replace("$UID", &user.uid.to_string());
    (path.starts_with('/') && !path.contains('$')).then_some(path)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str) {
    _ = Settings::parse(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_parsed_and_paths_expanded() {
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
