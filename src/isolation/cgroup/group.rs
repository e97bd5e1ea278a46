//! A group in the user's form, `CONTROLLERS:PATH`, and its directory on this host.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;

use super::hierarchy::{Hierarchies, Hierarchy, parse_whole, read_groups};
use crate::proc::ProcRoot;
use crate::text;

/// A directory below the mount point of a hierarchy; it may not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The requested controllers. On v1 the hierarchy may have more. Empty if only membership matters.
    pub controllers: Vec<String>,
    pub v2: bool,
    pub mount_point: PathBuf,
    /// Relative to the mount point, without a leading slash; empty for the root.
    pub path: PathBuf,
    /// Created for one run, with a name that ctrbox chose.
    pub fresh: bool,
}

impl Group {
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        if self.path.as_os_str().is_empty() {
            return self.mount_point.clone(); // `join` would add a slash
        }
        self.mount_point.join(&self.path)
    }

    /// A group in the same hierarchy.
    #[must_use]
    pub fn at(&self, path: PathBuf) -> Group {
        Group { path, ..self.clone() }
    }

    /// The file that a PID is written to. A user may have write permission for `tasks` but not for `cgroup.procs`
    /// (cgcreate -t). ctrbox has one thread, so both have the same effect.
    #[must_use]
    pub fn entrance(&self) -> PathBuf {
        self.directory().join(if self.v2 { "cgroup.procs" } else { "tasks" })
    }

    /// `pids:/x`, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        let path = text::escape(self.path.as_os_str().as_bytes());
        format!("{}:/{path}", self.controllers.join(","))
    }
}

impl Hierarchy {
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    fn group(&self, controllers: Vec<String>, path: PathBuf) -> Group {
        Group { controllers, v2: self.is_v2(), mount_point: self.mount_point.clone(), path, fresh: false }
    }
}

impl Hierarchies {
    #[must_use]
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.is_v2())
    }

    /// The controllers of the v2 hierarchy that are not mounted on v1.
    #[must_use]
    pub fn v2_controllers(&self) -> Vec<String> {
        let list = self.v2().and_then(|v2| words(&v2.mount_point.join("cgroup.controllers")).ok());
        list.unwrap_or_default()
    }

    /// The hierarchy of a controller: `pids`, `name=systemd`; the empty name means v2.
    #[must_use]
    pub fn hierarchy_of(&self, controller: &str) -> Option<&Hierarchy> {
        if controller.is_empty() {
            return self.v2();
        }
        let v1 = self.0.iter().find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller));
        v1.or_else(|| self.v2().filter(|_| self.v2_controllers().iter().any(|name| name == controller)))
    }

    /// All controllers, without named hierarchies.
    #[must_use]
    pub fn mounted(&self) -> Vec<String> {
        let v1 = self.0.iter().flat_map(|hierarchy| hierarchy.controllers.iter());
        let mut all: Vec<String> = v1.filter(|name| !name.starts_with("name=")).cloned().collect();
        all.extend(self.v2_controllers());
        all
    }

    /// The groups that `CONTROLLERS:PATH` names, one per hierarchy. In a hierarchy where `below` exists, it is put
    /// before the path.
    pub fn named(&self, spec: &OsStr, below: Option<&Path>) -> Result<Vec<Group>> {
        let bad = || format!("'{}' is not CONTROLLERS:PATH", text::shown(spec));
        let bytes = spec.as_bytes();
        let colon = bytes.iter().position(|&b| b == b':').with_context(bad)?;
        let names = std::str::from_utf8(&bytes[..colon]).ok().with_context(bad)?;
        if bytes.len() == colon + 1 {
            bail!("{}: the path is missing", bad());
        }
        let path = tidy(Path::new(OsStr::from_bytes(&bytes[colon + 1..]))).with_context(bad)?;
        self.groups(names, &path, below)
    }

    /// The same with the two parts separate and the path normalized.
    pub fn groups(&self, controllers: &str, path: &Path, below: Option<&Path>) -> Result<Vec<Group>> {
        let mut names: Vec<String> = Vec::new();
        for name in controllers.split(',').filter(|name| !name.is_empty()) {
            match name {
                "*" => names.extend(self.mounted()),
                name => names.push(name.to_owned()),
            }
        }
        if controllers.is_empty() {
            names.push(String::new()); // the v2 group, whatever its controllers
        }
        if names.is_empty() {
            bail!("'{}' names no controller{}", text::escape(controllers.as_bytes()), self.which());
        }
        let mut groups: Vec<Group> = Vec::new();
        for name in names {
            let hierarchy = self.hierarchy_of(&name).ok_or_else(|| self.not_mounted(&name))?;
            let known = groups.iter_mut().find(|group| group.mount_point == hierarchy.mount_point);
            let named = Some(name).filter(|name| !name.is_empty());
            if let Some(group) = known {
                group.controllers.extend(named.filter(|name| !group.controllers.contains(name)));
                continue;
            }
            let prefix = below.filter(|prefix| hierarchy.mount_point.join(prefix).is_dir());
            let path = prefix.map_or_else(|| path.to_path_buf(), |prefix| prefix.join(path));
            groups.push(hierarchy.group(named.into_iter().collect(), path));
        }
        Ok(groups)
    }

    fn not_mounted(&self, controller: &str) -> anyhow::Error {
        if controller.is_empty() {
            return anyhow!("no v2 hierarchy is mounted{}", self.which());
        }
        anyhow!("controller '{}' is not mounted{}", text::escape(controller.as_bytes()), self.which())
    }

    fn which(&self) -> String {
        match self.mounted() {
            none if none.is_empty() => " (no controller is: mount -t cgroup2 none /sys/fs/cgroup)".to_owned(),
            some => format!(" (mounted are: {})", some.join(" ")),
        }
    }

    /// The groups of a process, in every visible hierarchy.
    pub fn groups_of(&self, proc: &ProcRoot, pid: Pid) -> Result<Vec<Group>> {
        let text = read_groups(proc, pid)?;
        let found = parse_whole(&text).filter_map(|membership| {
            let (hierarchy, path) = self.place(membership)?;
            Some(hierarchy.group(hierarchy.controllers.clone(), path.to_path_buf()))
        });
        Ok(found.collect())
    }
}

/// Removes the leading and redundant slashes. `..` is refused, because it would name another group.
pub(crate) fn tidy(path: &Path) -> Result<PathBuf> {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => tidy.push(name),
            Component::ParentDir => bail!("'..' in a path of a group is refused"),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(tidy)
}

/// The words in a file of one line.
pub(super) fn words(path: &Path) -> std::io::Result<Vec<String>> {
    let mut text = String::with_capacity(256);
    std::fs::File::open(path)?.read_to_string(&mut text)?;
    Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
}

/// One write(2), because the kernel takes a whole value. Does not create or truncate the file.
pub(super) fn write(path: &Path, value: &str) -> nix::Result<()> {
    let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty())?;
    nix::unistd::write(&file, value.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Hierarchies {
        Hierarchies::parse(
            b"1 2 0:1 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            2 2 0:2 / /c/pids rw - cgroup cgroup rw,pids\n\
            3 2 0:3 / /c/systemd rw - cgroup cgroup rw,name=systemd\n\
            4 2 0:4 / /c/unified rw - cgroup2 cgroup2 rw\n",
        )
    }

    fn named(spec: &str) -> Result<Vec<String>, String> {
        let found = host().named(OsStr::new(spec), None);
        let show = |group: &Group| format!("{} {}", group.shown(), group.directory().display());
        found.map(|groups| groups.iter().map(show).collect()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn controllers_of_one_hierarchy_are_one_group() {
        assert_eq!(
            named("cpu,pids,cpuacct,:/a//b/./c/"),
            Ok(vec!["cpu,cpuacct:/a/b/c /c/cpu,cpuacct/a/b/c".into(), "pids:/a/b/c /c/pids/a/b/c".into()])
        );
        assert_eq!(named("name=systemd:/"), Ok(vec!["name=systemd:/ /c/systemd".into()]));
        assert_eq!(named(":x:y"), Ok(vec![":/x:y /c/unified/x:y".into()]));
        assert_eq!(
            named("*:x"),
            Ok(vec!["cpu,cpuacct:/x /c/cpu,cpuacct/x".into(), "pids:/x /c/pids/x".into()])
        );
    }

    #[test]
    fn invalid_group_names_are_reported() {
        for bad in ["pids", "", "pids:", ":"] {
            assert!(named(bad).expect_err("an error").starts_with(&format!("'{bad}' is not")), "{bad}");
        }
        assert!(
            named("pids:a/../b").expect_err("an error").ends_with("'..' in a path of a group is refused")
        );
        assert_eq!(
            named("nosuch:x").expect_err("an error"),
            "controller 'nosuch' is not mounted (mounted are: cpu cpuacct pids)"
        );
        assert!(named(",:x").expect_err("an error").starts_with("',' names no controller"));
    }
}
