//! firejail: for a sandbox with supervisor PID, `/run/firejail/name/PID` has its name, and `/run/firejail/sandbox/PID` its
//! first process. The files may remain after the end of the sandbox.

use super::StateReader;
use super::bundle::Init;
use crate::container::{Container, Files, Runtime, rfc3339};

const SANDBOXES: &str = "/run/firejail/sandbox";
const NAMES: &str = "/run/firejail/name";

pub(super) struct Firejail;

impl StateReader for Firejail {
    fn ids(&self, files: &Files) -> Vec<String> {
        files.list(SANDBOXES).into_iter().filter(|name| is_pid(name)).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        container(files, id).into_iter().collect()
    }
}

fn is_pid(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

fn container(files: &Files, id: &str) -> Option<Container> {
    let init = is_pid(id).then(|| Init::from_file(files, &format!("{SANDBOXES}/{id}")))??;
    let name = files.read(&format!("{NAMES}/{id}")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim_end().to_owned();
    let mut container = Container {
        name: Some(name).filter(|name| !name.is_empty()),
        created: init.written.map(rfc3339),
        ..Container::new(Runtime::Firejail, id)
    };
    init.store_in(&mut container);
    Some(container)
}
