//! Machines registered with systemd-machined: containers of systemd-nspawn, virtual machines and containers of libvirt.
//! `/run/systemd/machines/NAME` has lines of `KEY=value`.

use super::StateReader;
use crate::container::cgroup_path::is_name;
use crate::container::{Container, Files, Runtime, rfc3339};
use crate::proc::number;
use nix::unistd::Pid;

const MACHINES: &str = "/run/systemd/machines";

pub(super) struct Machined;

impl StateReader for Machined {
    /// Skips the links `unit:NAME` to the same files.
    fn ids(&self, files: &Files) -> Vec<String> {
        files.list(MACHINES).into_iter().filter(|name| is_name(name)).collect()
    }

    fn load(&self, files: &Files, name: &str) -> Vec<Container> {
        container(files, name).into_iter().collect()
    }
}

fn container(files: &Files, name: &str) -> Option<Container> {
    if !files.names(MACHINES).may_have(name) {
        return None;
    }
    let path = format!("{MACHINES}/{name}");
    let text = files.read(&path)?;
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let leader = value("LEADER").and_then(|pid| number::<i32>(pid.as_bytes())).filter(|&pid| pid > 0);
    let service = value("SERVICE").unwrap_or_default();
    let libvirt = service.starts_with("libvirt") || value("CLASS") == Some("vm");
    let runtime = if libvirt { Runtime::Libvirt } else { Runtime::Nspawn };
    let micros = value("REALTIME").and_then(|time| number::<i64>(time.as_bytes()));
    let id =
        value("ID").filter(|id| !id.is_empty()).map_or_else(|| name.to_owned(), |id| id.replace('-', ""));
    Some(Container {
        name: Some(own_name(name, libvirt).to_owned()),
        group: Some(name.to_owned()),
        created: micros.map(|micros| rfc3339(micros / 1_000_000)),
        init: leader.map(Pid::from_raw),
        init_written: files.modified(&path),
        ..Container::new(runtime, id)
    })
}

/// libvirt registers `web` as `qemu-3-web`, with a counter of started machines.
fn own_name(name: &str, libvirt: bool) -> &str {
    let mut parts = name.splitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("qemu" | "lxc" | "xen" | "ch"), Some(number), Some(own))
            if libvirt && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            own
        }
        _ => name,
    }
}
