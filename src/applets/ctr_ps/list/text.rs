//! Cells for people: short forms of ids, images, ports and times.

use std::borrow::Cow;

use crate::applets::ctr_ps::status::Status;
use crate::container::details::{self, Ending, Port};
use crate::container::{Container, epoch, short};
use crate::order;
use crate::proc::clock;

/// The id, if it says more than the name.
pub(super) fn id(container: &Container) -> Option<&str> {
    let shown = container.name.as_deref().unwrap_or(short(&container.id));
    (shown != container.id).then(|| short(&container.id)).filter(|id| *id != shown)
}

/// An image without the default registry, and with short digests.
pub(super) fn image(image: &str) -> String {
    let name = image.strip_prefix("docker.io/library/").unwrap_or(image);
    match name.split_once("sha256:") {
        Some(("", digest)) => digest.get(..12).unwrap_or(digest).to_owned(),
        Some((before, digest)) => format!("{before}sha256:{}", digest.get(..12).unwrap_or(digest)),
        None if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) => name[..12].to_owned(),
        None => name.to_owned(),
    }
}

/// The beginning of a long host name: the container chooses it, and all rows are as wide as the longest.
pub(super) fn host_name(name: &str) -> Cow<'_, str> {
    const LONGEST: usize = 20;
    match name.char_indices().nth(LONGEST) {
        Some(_) => {
            let end = name.char_indices().nth(LONGEST - 1).map_or(0, |(at, _)| at);
            format!("{}+", &name[..end]).into()
        }
        None => name.into(),
    }
}

/// `127.0.0.1:8081->80/tcp`, and `443/tcp` for a port that is exposed only. Equal ports of IPv4 and IPv6 are one.
pub(super) fn ports(published: &[Port], exposed: &[String]) -> Vec<String> {
    let inside = |port: &Port| {
        let number = port.port.map_or_else(|| "?".to_owned(), |port| port.to_string());
        format!("{number}/{}", port.protocol)
    };
    let mut sorted: Vec<&Port> = published.iter().collect();
    order::sort_by_key(&mut sorted, |port| (port.port, &port.protocol, port.host_port, &port.host_address));
    let mut found: Vec<String> = Vec::new();
    for port in sorted {
        let address = match port.host_address.as_deref() {
            None | Some("0.0.0.0" | "::") => "*".to_owned(),
            Some(address) if address.contains(':') => format!("[{address}]"),
            Some(address) => address.to_owned(),
        };
        let number = port.host_port.map_or_else(|| "?".to_owned(), |port| port.to_string());
        let text = format!("{address}:{number}->{}", inside(port));
        if !found.contains(&text) {
            found.push(text);
        }
    }
    let is_published = |name: &&String| published.iter().any(|port| inside(port) == **name);
    found.extend(exposed.iter().filter(|name| !is_published(name)).cloned());
    found
}

/// How long ago a time in a state file is. None for one that is yet to come.
pub(super) fn ago(time: &str) -> Option<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let age = now.checked_sub(u64::try_from(epoch(time)?).ok()?)?;
    Some(format!("{} ago", clock::ago(age)))
}

/// `exited (3) 5m ago`. The status of a start that failed is in the column EXIT: docker ps shows it as created, too.
pub(super) fn ended(status: Status, ending: Option<&Ending>) -> String {
    let Some(ending) = ending.filter(|_| status != Status::Created) else { return status.name().to_owned() };
    let words = details::ended(status.name(), ending.exit_code, ending.oom_killed);
    let ago = ending.finished.as_deref().and_then(ago).map(|ago| format!(" {ago}"));
    words + &ago.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn a_time_that_is_yet_to_come_is_not_ago() {
        assert_eq!(ago("2999-01-01T00:00:00Z"), None);
        assert!(ago("2001-01-01T00:00:00Z").is_some_and(|text| text.ends_with(" ago")));
    }

    #[test]
    fn ids_say_more_than_names() {
        let long = "a1".repeat(32);
        let named = |id: &str, name: Option<&str>| {
            let container = Container::new(Runtime::Docker, id);
            Container { name: name.map(str::to_owned), ..container }
        };
        assert_eq!(id(&named(&long, Some("web"))), Some("a1a1a1a1a1a1"));
        assert_eq!(id(&named("default/web", Some("default/web"))), None);
        assert_eq!(id(&named(&long, None)), None, "the name is the id");
    }

    #[test]
    fn long_host_names_are_cut() {
        assert_eq!(host_name("12345678901234567890"), "12345678901234567890");
        assert_eq!(host_name("123456789012345678901"), "1234567890123456789+");
        assert_eq!(host_name(&"\u{e4}".repeat(64)), format!("{}+", "\u{e4}".repeat(19)));
    }

    #[test]
    fn images_are_short() {
        assert_eq!(image("docker.io/library/nginx:1"), "nginx:1");
        assert_eq!(image("quay.io/x/y:2"), "quay.io/x/y:2");
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(image(&format!("sha256:{digest}")), "0123456789ab");
        assert_eq!(image(&format!("x/y@sha256:{digest}")), "x/y@sha256:0123456789ab");
        assert_eq!(image(&digest), "0123456789ab");
    }

    #[test]
    fn published_ports_come_first() {
        let port = |address: Option<&str>, host_port: Option<u16>, port: u16| Port {
            protocol: "tcp".to_owned(),
            host_address: address.map(str::to_owned),
            host_port,
            port: Some(port),
        };
        let all = [
            port(Some("::"), Some(8080), 80),
            port(Some("0.0.0.0"), Some(8080), 80),
            port(Some("::1"), None, 22),
        ];
        let exposed = ["443/tcp".to_owned(), "80/tcp".to_owned()];
        assert_eq!(ports(&all, &exposed), ["[::1]:?->22/tcp", "*:8080->80/tcp", "443/tcp"]);
    }

    #[test]
    fn ends() {
        let ending = |code, oom| Ending { exit_code: Some(code), oom_killed: Some(oom), ..Ending::default() };
        assert_eq!(ended(Status::Exited, Some(&ending(137, true))), "OOM (137)");
        assert_eq!(ended(Status::Exited, Some(&ending(0, false))), "exited (0)");
        assert_eq!(ended(Status::Exited, Some(&ending(0, true))), "exited (0)");
        assert_eq!(ended(Status::Stopped, None), "stopped");
        assert_eq!(ended(Status::Created, Some(&ending(128, false))), "created");
        let restarts = Ending { restarts: true, ..ending(2, true) };
        assert_eq!(ended(Status::Restarting, Some(&restarts)), "restarting (2)");
    }
}
