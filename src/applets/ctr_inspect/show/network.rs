//! The network for people.

use super::{Page, many};
use crate::applets::ctr_inspect::network::{Interface, Listening, Network, Published};
use crate::text;

/// What is shown of a list without -a.
const MOST: usize = 8;

impl Page<'_> {
    pub(super) fn network(&mut self, network: &Network, all: bool) {
        let is_shown = |one: &&Interface| all || !one.is_loopback;
        let interfaces = network.interfaces.iter().flatten().filter(is_shown);
        let mut lines: Vec<String> = match network.is_hosts == Some(true) && !all {
            true => vec!["that of the host".to_owned()],
            false => interfaces.map(interface).collect(),
        };
        if network.interfaces.is_some() && lines.is_empty() {
            lines.push("only loopback".to_owned());
        }
        let most = if all { usize::MAX } else { MOST };
        for (at, line) in lines.iter().take(most).enumerate() {
            self.sentence(if at == 0 { "network" } else { "" }, line);
        }
        if lines.len() > most {
            let more = many((lines.len() - most) as u64, "interface");
            self.line("", &[format!("{more} more (-a shows them)")]);
        }
        self.dns(network);
        if all {
            for route in network.routes.iter().flatten() {
                let via = route.gateway.as_ref().map(|gateway| format!(" via {gateway}")).unwrap_or_default();
                let on =
                    route.interface.as_ref().map(|name| format!(" on {}", safe(name))).unwrap_or_default();
                self.line("  route", &[format!("{}{via}{on}", route.destination)]);
            }
        }
        self.listening(network.listening.as_deref().unwrap_or_default(), all);
        // One line for both families.
        let ports = network.published.iter().flatten();
        ports.clone().filter(|one| !one.repeats(ports.clone())).for_each(|one| self.published(one));
    }

    fn dns(&mut self, network: &Network) {
        let Some(dns) = &network.dns else { return };
        let server = |name: &String| {
            let ip = name.parse().ok();
            let holder = network.listening.iter().flatten().find(|one| Some(one.ip) == ip);
            let program = holder.and_then(|one| one.command.as_deref()).map(program);
            program.map_or_else(|| safe(name), |program| format!("{} ({program})", safe(name)))
        };
        let mut parts: Vec<String> = dns.servers.iter().map(server).collect();
        if !dns.search.is_empty() {
            parts.push(format!("search {}", safe(&dns.search.join(" "))));
        }
        if !parts.is_empty() {
            self.line("  dns", &parts);
        }
    }

    fn listening(&mut self, listening: &[Listening], all: bool) {
        let most = if all { usize::MAX } else { MOST };
        for one in listening.iter().take(most) {
            let mut parts = vec![format!("{} {}:{}", one.protocol, one.shown_address(), one.port)];
            let holder = one.command.as_deref().map(program).unwrap_or_default();
            let inside = one.cpid.filter(|cpid| one.pid != Some(*cpid) && one.inside == Some(true));
            let inside = inside.map(|cpid| format!(" ({cpid})")).unwrap_or_default();
            parts.extend(one.pid.map(|pid| format!("{holder} {pid}{inside}")));
            if one.inside == Some(false) {
                parts.push("outside the container".to_owned());
            }
            self.line("  listens", &parts);
        }
        if listening.len() > most {
            let more = many((listening.len() - most) as u64, "socket");
            self.line("  listens", &[format!("{more} more (-a shows them)")]);
        }
    }

    fn published(&mut self, one: &Published) {
        let mut parts = vec![safe(&one.shown())];
        if one.listens == Some(false) {
            let words = match &one.listener {
                None => "nothing listens there".to_owned(),
                Some(listener) => format!("listens on {} only", listener.address),
            };
            parts.push(self.painter.alarm(&words).into_owned());
        }
        self.line("  port", &parts);
    }
}

fn safe(text: &str) -> String {
    text::escape(text.as_bytes()).into_owned()
}

/// The name of the program of a command line.
fn program(command: &str) -> String {
    let first = command.split(' ').next().unwrap_or_default();
    let first = first.trim_start_matches('[').trim_end_matches([':', ']']);
    safe(first.rsplit('/').next().unwrap_or(first))
}

/// `eth0 172.17.0.2/16 peer veth9f2958d on docker0`
fn interface(one: &Interface) -> String {
    let mut words = vec![safe(&one.name)];
    // fe80:: is on every interface.
    words.extend(one.addresses.iter().filter(|address| !address.starts_with("fe80:")).cloned());
    if !one.up {
        words.push("down".to_owned());
    }
    if let Some(peer) = &one.peer {
        let name = peer.name.as_deref().map_or_else(|| format!("number {}", peer.index), safe);
        words.push(format!("peer {name}"));
        words.extend(peer.bridge.as_deref().map(|bridge| format!("on {}", safe(bridge))));
        words.extend(peer.container.as_deref().map(|label| format!("of {}", safe(label))));
    }
    if let Some(kind) = one.kind.as_deref().filter(|kind| *kind != "veth") {
        words.push(format!("({})", safe(kind)));
    }
    words.extend(one.parent.as_deref().map(|parent| format!("on {}", safe(parent))));
    words.join(" ")
}
