//! Flatpak: `/run/user/UID/.flatpak/INSTANCE/`, with `info`, as the application sees it too, and
//! `bwrapinfo.json`, which names its first process and its namespaces. They stay when it has ended.

use nix::unistd::Pid;
use serde::Deserialize;

use super::Records;
use crate::container::users::User;
use crate::container::{Container, Files, Runtime, rfc3339};
use crate::isolation::kind::Kind;

pub(super) struct Flatpak;

/// bwrap(1) --info-fd.
#[derive(Deserialize)]
struct Bwrap {
    #[serde(rename = "child-pid", default)]
    pid: i32,
    #[serde(rename = "mnt-namespace")]
    mnt: Option<u64>,
    #[serde(rename = "net-namespace")]
    net: Option<u64>,
    #[serde(rename = "pid-namespace")]
    pid_ns: Option<u64>,
    #[serde(rename = "ipc-namespace")]
    ipc: Option<u64>,
}

impl Records for Flatpak {
    fn ids(&self, files: &Files) -> Vec<String> {
        let instances =
            files.users().iter().flat_map(|user| files.of_user(user.uid).list(&user.run(".flatpak")));
        instances.filter(|name| is_instance(name)).collect()
    }

    fn load(&self, files: &Files, id: &str) -> Vec<Container> {
        if !is_instance(id) {
            return Vec::new();
        }
        files.users().iter().filter_map(|user| container(&files.of_user(user.uid), user, id)).collect()
    }
}

fn is_instance(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

fn container(files: &Files, user: &User, id: &str) -> Option<Container> {
    let directory = user.run(&format!(".flatpak/{id}"));
    let path = format!("{directory}/bwrapinfo.json");
    let (bwrap, noted) = files.json_dated::<Bwrap>(&path)?;
    let info = files.read(&format!("{directory}/info")).unwrap_or_default();
    let info = String::from_utf8_lossy(&info);
    let namespaces =
        [(Kind::Mnt, bwrap.mnt), (Kind::Net, bwrap.net), (Kind::Pid, bwrap.pid_ns), (Kind::Ipc, bwrap.ipc)];
    Some(Container {
        name: value(&info, "[Application]", "name"),
        image: value(&info, "[Application]", "runtime"),
        created: Some(rfc3339(noted)),
        owner: user.uid,
        init: (bwrap.pid > 0).then(|| Pid::from_raw(bwrap.pid)),
        init_noted: Some(noted),
        namespaces: namespaces.into_iter().filter_map(|(kind, id)| Some((kind, id?))).collect(),
        ..Container::new(Runtime::Flatpak, id)
    })
}

/// A value of an ini file.
fn value(text: &str, section: &str, name: &str) -> Option<String> {
    let lines = text.lines().skip_while(|line| *line != section).skip(1);
    let mut here = lines.take_while(|line| !line.starts_with('['));
    let value = here.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}
