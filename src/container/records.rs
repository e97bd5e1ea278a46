//! What state files say of all containers, running or not, beyond what identifies them.

use std::cell::OnceCell;
use std::rc::Rc;

use anyhow::anyhow;

use super::details::{Details, Ending, Layers, Port, Uses};
use super::matching::matching;
use super::runtimes::{Store, cri_records, crio_records, docker_records, podman_records};
use super::{Container, Files, Runtime};
use crate::sys::keyed::HashMap;
use crate::text;

/// A container with a state file.
pub(crate) struct Record {
    pub container: Container,
    /// None if its state files do not say how it ended.
    pub ending: Option<Ending>,
    pub layers: Layers,
    /// Of a running container what is published, of another one what would be.
    pub ports: Vec<Port>,
    pub command: Vec<String>,
    /// Ports of the container that the image names: `80/tcp`.
    pub exposed: Vec<String>,
}

/// The state files are read once, when the first record is needed.
pub(crate) struct Records<'a> {
    files: &'a Files,
    /// By [`Container::key`].
    all: OnceCell<HashMap<String, Record>>,
}

impl<'a> Records<'a> {
    #[must_use]
    pub(crate) fn new(files: &'a Files) -> Records<'a> {
        Records { files, all: OnceCell::new() }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.by_key().values()
    }

    #[must_use]
    pub(crate) fn get(&self, container: &Container) -> Option<&Record> {
        self.by_key().get(&container.key())
    }

    #[must_use]
    pub(crate) fn get_if(&self, wanted: bool, container: &Container) -> Option<&Record> {
        if wanted { self.get(container) } else { None }
    }

    /// The labels of a container of Kubernetes: its own and those of the pod. Of another one its state file has them.
    #[must_use]
    pub(crate) fn labels(&self, container: &Container) -> Option<Vec<(String, String)>> {
        let applies = container.runtime == Runtime::K8s && container.outer.is_none();
        let record = applies.then(|| self.get(container))??;
        Some(record.container.labels.clone()).filter(|labels| !labels.is_empty())
    }

    pub(crate) fn into_all(self) -> impl Iterator<Item = Record> {
        self.by_key();
        self.all.into_inner().unwrap_or_default().into_values()
    }

    /// The error for a word that means a container that has state files, and does not run.
    #[must_use]
    pub(crate) fn not_running(&self, running: &[Rc<Container>], word: &str) -> Option<anyhow::Error> {
        // A path is not a name: a group of that path is no container's.
        if word.starts_with('/') {
            return None;
        }
        let runs = |container: &Container| running.iter().any(|one| one.key() == container.key());
        let ended = self.all().filter(|record| record.ending.is_some() && !runs(&record.container));
        let ended: Vec<Rc<Container>> = ended.map(|record| Rc::new(record.container.clone())).collect();
        let label = matching(&ended, word).into_iter().next()?.label();
        let (label, word) = (text::escape(label.as_bytes()), text::escape(word.as_bytes()));
        Some(anyhow!("container {label} does not run; type ctr-ps -l -a {word}, or ctr-inspect {word}"))
    }

    fn by_key(&self) -> &HashMap<String, Record> {
        self.all.get_or_init(|| {
            let files = self.files;
            let all = docker_records(files).into_iter().chain(podman_records(files));
            let all = all.chain(cri_records(files)).chain(crio_records(files)).chain(lxc(files));
            let mut by_key = HashMap::default();
            all.for_each(|record| _ = by_key.entry(record.container.key()).or_insert(record));
            by_key
        })
    }
}

/// LXC, LXD and Incus keep no record of the end.
fn lxc(files: &Files) -> Vec<Record> {
    let reader = Store::Lxc.reader();
    let containers = reader.ids(files).into_iter().flat_map(|id| reader.load(files, &id));
    containers.map(Record::plain).collect()
}

impl Record {
    /// A record that has nothing but the container.
    #[must_use]
    pub(crate) fn plain(container: Container) -> Record {
        Record {
            container,
            ending: None,
            layers: Layers::default(),
            ports: Vec::new(),
            command: Vec::new(),
            exposed: Vec::new(),
        }
    }
}

impl From<Record> for Details {
    fn from(record: Record) -> Details {
        Details {
            container: record.container,
            ending: record.ending,
            layers: record.layers,
            ports: record.ports,
            uses: Uses::default(),
        }
    }
}
