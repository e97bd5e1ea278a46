//! What a container must have to be selected: labels, an image, a name, a pod's namespace, a compose project or
//! service, a status.

use std::ffi::OsStr;

use anyhow::{Result, anyhow};
use nix::unistd::Pid;

use super::containers::{Containers, Seen, matches_name};
use super::status::Status;
use super::usage::Groups;
use crate::container::Container;
use crate::container::records::Records;
use crate::isolation::cgroup::Hierarchies;
use crate::proc::ProcRoot;
use crate::text::{self, matches_glob};

#[derive(Default, Clone)]
pub(super) struct Attributes {
    /// Names of labels, and their values if given. A container must have all of them; of each of the following lists it
    /// must match one.
    labels: Vec<(String, Option<String>)>,
    images: Vec<String>,
    names: Vec<String>,
    namespaces: Vec<String>,
    projects: Vec<String>,
    services: Vec<String>,
    statuses: Vec<Status>,
    exits: Vec<i64>,
}

impl Attributes {
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        let lists = [&self.images, &self.names, &self.namespaces, &self.projects, &self.services];
        let known = self.labels.is_empty() && self.statuses.is_empty() && self.exits.is_empty();
        known && lists.iter().all(|list| list.is_empty())
    }

    /// Is a container selected by what it has only if it does not run?
    #[must_use]
    pub(super) fn wants_stopped(&self) -> bool {
        !self.exits.is_empty() || self.statuses.iter().any(|status| !status.runs())
    }

    /// Is nothing selected that has processes?
    #[must_use]
    pub(super) fn wants_only_stopped(&self) -> bool {
        self.wants_stopped() && !self.statuses.iter().any(|status| status.runs())
    }

    #[must_use]
    pub(super) fn wants_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Adds a value of `--label`, `--image` and so on.
    pub(super) fn add(&mut self, option: &str, value: &OsStr) -> Result<()> {
        let text = value.to_str().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| anyhow!("invalid --{option} '{}'", text::shown(value)))?;
        let list = match option {
            "label" => {
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key, Some(value.to_owned())),
                    None => (text, None),
                };
                self.labels.push((key.to_owned(), value));
                return Ok(());
            }
            "status" => {
                for word in text.split(',') {
                    self.statuses.push(Status::from_name(word).ok_or_else(|| unknown_status(word))?);
                }
                return Ok(());
            }
            "exit" => {
                let invalid = || anyhow!("invalid exit status '{}'", text::escape(text.as_bytes()));
                self.exits.push(text.parse().map_err(|_| invalid())?);
                return Ok(());
            }
            "image" => &mut self.images,
            "name" => &mut self.names,
            "pod-namespace" => &mut self.namespaces,
            "project" => &mut self.projects,
            _ => &mut self.services,
        };
        list.push(text.to_owned());
        Ok(())
    }

    /// For each container, whether it has all of them.
    #[must_use]
    pub(super) fn fitting(
        &self,
        containers: &Containers,
        proc: &ProcRoot,
        records: &Records<'_>,
    ) -> Vec<bool> {
        let mounted = match self.statuses.is_empty() {
            true => Hierarchies::default(),
            false => Hierarchies::read(proc).unwrap_or_default(),
        };
        let status = |seen: &Seen| {
            let groups = seen.first().and_then(|pid| Groups::find(proc, Pid::from_raw(pid), &seen.container));
            let record = records.get_if(seen.stopped, &seen.container);
            Status::of(seen, groups.as_ref(), &mounted, record).unwrap_or(Status::Running)
        };
        let fits = |seen: &Seen| {
            let has_status = || self.statuses.is_empty() || self.statuses.contains(&status(seen));
            let has_exit = || {
                let record = records.get_if(seen.stopped, &seen.container);
                let exit = record.and_then(|record| record.ending.as_ref()?.exit_code);
                self.exits.is_empty() || exit.is_some_and(|exit| self.exits.contains(&exit))
            };
            self.fits(&seen.container) && has_status() && has_exit()
        };
        containers.all.iter().map(fits).collect()
    }

    fn fits(&self, container: &Container) -> bool {
        let any = |list: &[String], fits: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|pattern| fits(pattern))
        };
        let is = |pattern: &str, text: Option<&str>| text.is_some_and(|text| matches_glob(pattern, text));
        let compose = container.compose_service();
        let (project, service) = match compose.as_deref().and_then(|both| both.split_once('/')) {
            Some((project, service)) => (Some(project), Some(service)),
            None => (None, None),
        };
        let has_label = |(key, value): &(String, Option<String>)| {
            let label = container.labels.iter().find(|label| label.0 == *key);
            label.is_some_and(|label| value.as_ref().is_none_or(|value| *value == label.1))
        };
        self.labels.iter().all(has_label)
            && any(&self.images, &|pattern| is_image(pattern, container.image.as_deref()))
            && any(&self.names, &|pattern| matches_name(pattern, container))
            && any(&self.namespaces, &|pattern| is(pattern, container.pod_namespace.as_deref()))
            && any(&self.projects, &|pattern| is(pattern, project))
            && any(&self.services, &|pattern| is(pattern, service))
    }
}

/// The most parts of the path of an image that are looked at. A user can write any name, and each part takes its time.
const MOST_PARTS: usize = 64;

/// Does a pattern match an image: whole, without the tag, or from a part of its path on? `nginx` and `nginx:*` match
/// `docker.io/library/nginx:1.27`.
fn is_image(pattern: &str, image: Option<&str>) -> bool {
    let Some(image) = image else { return false };
    let parts = std::iter::once(image).chain(image.match_indices('/').map(|(at, _)| &image[at + 1..]));
    parts.into_iter().take(MOST_PARTS).any(|part| {
        let tag = part.rfind(':').filter(|at| !part[*at..].contains('/'));
        let bare = tag.map_or(part, |at| &part[..at]);
        matches_glob(pattern, part) || matches_glob(pattern, bare)
    })
}

fn unknown_status(word: &str) -> anyhow::Error {
    let names: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
    let hint = text::or_did_you_mean(word, names.iter().copied());
    anyhow!("unknown status '{}'{hint} ({})", text::escape(word.as_bytes()), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    fn attributes(options: &[(&str, &str)]) -> Attributes {
        let mut all = Attributes::default();
        options.iter().for_each(|(option, value)| all.add(option, OsStr::new(value)).expect("parses"));
        all
    }

    #[test]
    fn attributes_combine() {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let container = Container {
            name: Some("shop/web/app".to_owned()),
            image: Some("docker.io/library/nginx:1.27".to_owned()),
            pod_namespace: Some("shop".to_owned()),
            labels: vec![
                label("com.docker.compose.project", "blog"),
                label("com.docker.compose.service", "db"),
                label("tier", "front"),
            ],
            ..Container::new(Runtime::K8s, "cafe")
        };
        for options in [
            &[("label", "tier")][..],
            &[("label", "tier=front"), ("image", "nginx")],
            &[("image", "library/nginx:1.*")],
            &[("image", "redis"), ("image", "*nginx*")],
            &[("name", "app"), ("pod-namespace", "sh*")],
            &[("name", "k8s:*")],
            &[("project", "blog"), ("service", "db")],
        ] {
            assert!(attributes(options).fits(&container), "{options:?}");
        }
        for options in [
            &[("label", "tier=back")][..],
            &[("label", "tier"), ("label", "x")],
            &[("image", "ngin")],
            &[("image", "nginx:1.2")],
            &[("name", "ap")],
            &[("project", "blog"), ("service", "web")],
        ] {
            assert!(!attributes(options).fits(&container), "{options:?}");
        }
    }

    #[test]
    fn the_parts_of_an_image_that_are_looked_at_are_limited() {
        let image = |parts: usize| format!("{}nginx:1", "a/".repeat(parts));
        assert!(is_image("nginx", Some(&image(MOST_PARTS - 1))));
        assert!(!is_image("nginx", Some(&image(MOST_PARTS))));
    }

    #[test]
    fn statuses() {
        let error = |word: &str| {
            let mut all = Attributes::default();
            all.add("status", OsStr::new(word)).expect_err("unknown").to_string()
        };
        assert_eq!(
            error("runing"),
            "unknown status 'runing'; did you mean running? (running, paused, restarting, created, exited, stopped)"
        );
        assert_eq!(error("x"), "unknown status 'x' (running, paused, restarting, created, exited, stopped)");
    }
}
