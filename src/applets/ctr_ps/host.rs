//! The inspected host: this one, or the one whose root directory is given with `--root`.

use std::path::PathBuf;

use anyhow::Result;

use super::request::Request;
use crate::container::Files;
use crate::proc::{ProcRoot, Users};

pub(super) struct Host {
    pub proc: ProcRoot,
    pub files: Files,
    pub passwd: Vec<u8>,
    pub users: Users,
}

impl Host {
    pub(super) fn new(request: &Request) -> Result<Host> {
        let root = request.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        let files = Files::new(&root)?;
        let proc = match &request.proc_root {
            Some(proc) => ProcRoot::new(proc),
            None => files.proc(request.root.as_deref())?,
        };
        let passwd = files.read("/etc/passwd").unwrap_or_default();
        Ok(Host { proc, files, users: Users::parse(&passwd), passwd })
    }
}
