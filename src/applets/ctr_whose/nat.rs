//! Rules that lead a port of the host to an address, as iptables-save(8) prints them.

use std::io::Read;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use super::answer::{Entry, Host};
use super::finder::Finder;
use super::thing::Port;
use crate::container::details;
use crate::isolation::visit::Place;
use crate::net;

/// Root's programs only, whatever PATH says.
const PROGRAMS: [&str; 4] =
    ["/usr/sbin/iptables-save", "/sbin/iptables-save", "/usr/sbin/ip6tables-save", "/sbin/ip6tables-save"];
/// What is read of the rules.
const MOST: u64 = 32 << 20;

/// A rule that changes the destination.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    chain: String,
    transport: Option<String>,
    address: Option<IpAddr>,
    port: u16,
    target: IpAddr,
    target_port: Option<u16>,
}

/// The containers that rules lead to; a rule of kube-proxy is the host's.
pub(super) fn forwarded(finder: &Finder<'_>, asked: &Port, entry: &mut Entry) -> Vec<(usize, details::Port)> {
    // The rules are those of the namespace of this process, which is not the host's for another root directory.
    if !finder.is_own_host() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for text in rules_of_host() {
        if text.lines().any(|line| is_service(line, asked)) {
            entry.host =
                entry.host.take().or_else(|| Some(Host::new("a Service of Kubernetes (kube-proxy)")));
        }
        for rule in text.lines().filter_map(rule).filter(|rule| rule.fits(asked)) {
            let (numbers, places): (Vec<usize>, Vec<Place>) =
                finder.spaces().others().map(|(number, space)| (number, space.place.clone())).unzip();
            let spaces = finder.known("network namespaces", net::search_address(&places, rule.target));
            for (at, _) in spaces.unwrap_or_default() {
                let port = details::Port {
                    protocol: rule.transport.clone().unwrap_or_else(|| "tcp".to_owned()),
                    host_address: rule.address.map(|address| address.to_string()),
                    host_port: Some(rule.port),
                    port: rule.target_port.or(Some(rule.port)),
                };
                let containers = &finder.spaces().all[numbers[at]].containers;
                found.extend(containers.iter().map(|container| (*container, port.clone())));
            }
        }
    }
    found
}

impl Rule {
    fn fits(&self, asked: &Port) -> bool {
        self.port == asked.number
            && asked
                .transport
                .is_none_or(|own| self.transport.as_deref().is_none_or(|other| other == own.name()))
            && (asked.address.is_none() || self.address.is_none() || asked.address == self.address)
    }
}

fn rules_of_host() -> Vec<String> {
    let mut done: Vec<&str> = Vec::new();
    let mut all = Vec::new();
    for program in PROGRAMS {
        let name = program.rsplit('/').next().unwrap_or_default();
        if !done.contains(&name) {
            if let Some(text) = output_of(program) {
                done.push(name);
                all.push(text);
            }
        }
    }
    all
}

fn output_of(program: &str) -> Option<String> {
    // Without the name of a table: that would load its module.
    let mut command = Command::new(program);
    command.env_clear().current_dir("/");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut text = Vec::new();
    let read = child.stdout.take().map(|out| out.take(MOST).read_to_end(&mut text));
    let ended = child.wait().ok()?;
    (ended.success() && matches!(read, Some(Ok(_)))).then(|| String::from_utf8_lossy(&text).into_owned())
}

/// `-A CHAIN … -p tcp … --dport N … -j DNAT --to-destination IP:PORT`
fn rule(line: &str) -> Option<Rule> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let value = |option: &str| {
        let at = words.iter().position(|word| *word == option)?;
        (words.get(at.wrapping_sub(1)) != Some(&"!")).then(|| words.get(at + 1).copied())?
    };
    let target = value("--to-destination")?;
    let (target, target_port) = match target.rsplit_once(':') {
        Some((ip, port)) if !ip.contains(':') || ip.ends_with(']') => (ip, port.parse().ok()),
        _ => (target, None),
    };
    let ip = |text: &str| super::thing::address(text);
    Some(Rule {
        chain: value("-A")?.to_owned(),
        transport: value("-p").map(str::to_owned),
        address: value("-d").and_then(ip),
        port: value("--dport")?.parse().ok()?,
        target: ip(target)?,
        target_port,
    })
}

fn is_service(line: &str, asked: &Port) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_node_port = line.starts_with("-A KUBE-NODEPORTS ");
    let port = words.find(|word| *word == "--dport").and_then(|_| words.next());
    is_node_port && port.and_then(|port| port.parse().ok()) == Some(asked.number)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str) {
    let asked = Port { number: 80, transport: None, address: None };
    for line in text.lines() {
        _ = rule(line).map(|rule| rule.fits(&asked));
        _ = is_service(line, &asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Transport;

    #[test]
    fn rules_of_docker_netavark_and_portmap() {
        let docker =
            rule("-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:80");
        let docker = docker.expect("a rule");
        assert_eq!(
            (docker.port, docker.target, docker.target_port),
            (8081, [172, 17, 0, 2].into(), Some(80))
        );
        let bound = rule(
            "-A NETAVARK-DN-1D -d 127.0.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.88.0.5:53",
        )
        .expect("a rule");
        assert_eq!(bound.address, Some([127, 0, 0, 1].into()));
        let asked = |transport, address: Option<[u8; 4]>| Port {
            number: 53,
            transport,
            address: address.map(IpAddr::from),
        };
        assert!(
            bound.fits(&asked(None, None)) && bound.fits(&asked(Some(Transport::Udp), Some([127, 0, 0, 1])))
        );
        assert!(!bound.fits(&asked(Some(Transport::Tcp), None)));
        assert!(!bound.fits(&asked(None, Some([10, 0, 0, 1]))));
        let v6 = rule("-A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::2]:8080")
            .expect("a rule");
        assert_eq!((v6.target, v6.target_port), ("fd00::2".parse().expect("an address"), Some(8080)));
        assert_eq!(rule("-A PREROUTING -p tcp -m tcp --dport 80 -j DOCKER"), None);
        assert!(is_service("-A KUBE-NODEPORTS -p tcp -m tcp --dport 53 -j KUBE-EXT-X", &asked(None, None)));
    }
}
