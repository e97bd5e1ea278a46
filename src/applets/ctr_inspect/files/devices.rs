//! Device nodes in the container's /dev, and whether its processes may open them.

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::access::Node;
use crate::container::runtime_config;
use crate::container::world::{Subject, World};
use crate::isolation::cgroup::chain::Groups;

#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(in crate::applets::ctr_inspect) struct Device {
    pub path: String,
    /// `block` or `char`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub major: u64,
    pub minor: u64,
    /// `disk`, `memory`, `kvm`; null for what most containers have.
    pub what: Option<&'static str>,
    /// Do the rules of its control group allow to open it? Null where they are a program of the kernel (v2).
    pub allowed: Option<bool>,
}

/// The parts of the OCI `config.json`.
#[derive(Deserialize, Default)]
struct Spec {
    #[serde(default)]
    linux: Linux,
}

#[derive(Deserialize, Default)]
struct Linux {
    #[serde(default)]
    devices: Option<Vec<Made>>,
}

#[derive(Deserialize)]
struct Made {
    #[serde(default)]
    major: i64,
    #[serde(default)]
    minor: i64,
}

/// Those beyond what every container has.
pub(super) fn judged(world: &World<'_>, subject: Subject, nodes: Vec<Node>) -> Vec<Device> {
    let mut rules = None;
    let each = |node: Node| {
        let what = what(&node)?;
        let rules = rules.get_or_insert_with(|| Rules::read(world, subject));
        Some(Device {
            path: format!("/dev/{}", node.name),
            kind: if node.is_block { "block" } else { "char" },
            major: node.major,
            minor: node.minor,
            what: Some(what),
            allowed: rules.allow(&node),
        })
    };
    nodes.into_iter().filter_map(each).collect()
}

fn what(node: &Node) -> Option<&'static str> {
    match (node.is_block, node.major, node.minor) {
        // /dev/mem, kmem, port
        (false, 1, 1 | 2 | 4) => Some("memory"),
        (false, 10, 232) => Some("kvm"),
        (true, major, minor) => is_disk(major, minor).then_some("disk"),
        _ => None,
    }
}

/// A block device that exists, has a size, and is not one in memory or a drive for removable media. A loop device without
/// a file has no size.
fn is_disk(major: u64, minor: u64) -> bool {
    let directory = format!("/sys/dev/block/{major}:{minor}");
    let Ok(link) = std::fs::read_link(&directory) else { return false };
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    let size = std::fs::read(format!("{directory}/size")).unwrap_or_default();
    is_name_of_disk(&name) && size.trim_ascii() != b"0"
}

fn is_name_of_disk(name: &str) -> bool {
    const OTHERS: [&str; 4] = ["ram", "zram", "sr", "fd"];
    !OTHERS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit()))
}

enum Rules {
    /// The lines of devices.list.
    V1(Vec<u8>),
    /// What the runtime made.
    Made(Vec<(u64, u64)>),
    Unknown,
}

impl Rules {
    fn read(world: &World<'_>, subject: Subject) -> Rules {
        let chief = world.proc.process(Pid::from_raw(world.chief(subject)));
        let text = chief.cgroup().unwrap_or_default();
        let group = Groups::new(&world.mounted, &text).place("devices").filter(|place| !place.v2);
        if let Some(list) = group.and_then(|place| place.read("devices.list")) {
            return Rules::V1(list);
        }
        let container = subject.container.map(|number| &world.containers[number].container);
        let spec = container.and_then(|container| runtime_config::<Spec>(world.files, container));
        let number = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
        match spec {
            Some(spec) => Rules::Made(
                spec.linux
                    .devices
                    .iter()
                    .flatten()
                    .map(|one| (number(one.major), number(one.minor)))
                    .collect(),
            ),
            None => Rules::Unknown,
        }
    }

    fn allow(&self, node: &Node) -> Option<bool> {
        match self {
            Rules::V1(list) => Some(list.split(|&b| b == b'\n').any(|line| allows(line, node))),
            Rules::Made(all) => all.contains(&(node.major, node.minor)).then_some(true),
            Rules::Unknown => None,
        }
    }
}

/// `a *:* rwm`, `b 8:* r`
fn allows(line: &[u8], node: &Node) -> bool {
    let mut words = line.split(|&b| b == b' ');
    let (Some(kind), Some(numbers), Some(access)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let is_kind = kind == b"a" || (kind == b"b") == node.is_block;
    let numbers = std::str::from_utf8(numbers).unwrap_or_default();
    let (major, minor) = numbers.split_once(':').unwrap_or_default();
    let fits = |text: &str, number: u64| text == "*" || text.parse() == Ok(number);
    is_kind && fits(major, node.major) && fits(minor, node.minor) && access.iter().any(|b| b"rw".contains(b))
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &[u8]) {
    let node = |is_block| Node { name: String::new(), is_block, major: 8, minor: 0 };
    for line in text.split(|&b| b == b'\n') {
        _ = allows(line, &node(true)) || allows(line, &node(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_a_group() {
        let node = |is_block, major, minor| Node { name: "x".to_owned(), is_block, major, minor };
        for (line, allowed) in [
            (&b"a *:* rwm"[..], true),
            (b"b 8:* r", true),
            (b"b 8:1 rw", true),
            (b"b 8:2 rw", false),
            (b"c 8:1 rw", false),
            (b"b *:* m", false),
            (b"", false),
        ] {
            assert_eq!(allows(line, &node(true, 8, 1)), allowed, "{}", String::from_utf8_lossy(line));
        }
        assert_eq!(what(&node(false, 1, 1)), Some("memory"));
        assert_eq!(what(&node(false, 10, 232)), Some("kvm"));
        assert_eq!(what(&node(false, 1, 3)), None);
        for (name, is_disk) in
            [("vda", true), ("nvme0n1p2", true), ("loop0", true), ("ram0", false), ("sr0", false)]
        {
            assert_eq!(is_name_of_disk(name), is_disk, "{name}");
        }
    }
}
