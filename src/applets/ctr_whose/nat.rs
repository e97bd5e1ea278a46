//! Rules that lead a port of the host to an address, as iptables-save(8) and nft(8) print them.

use std::net::IpAddr;

use serde_json::Value;

use super::answer::{Entry, Host};
use super::finder::Finder;
use super::thing::Port;
use crate::container::details;
use crate::isolation::visit::Place;
use crate::net;

/// Programs of the host. Without the name of a table, which would load its module.
const IPTABLES: [&str; 2] = ["iptables-save", "ip6tables-save"];
const NFT: (&str, [&str; 3]) = ("nft", ["-j", "list", "ruleset"]);

/// A rule that changes the destination.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
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
    let mut rules = Vec::new();
    for text in IPTABLES.iter().filter_map(|name| output_of(finder, name, &[])) {
        let text = String::from_utf8_lossy(&text);
        if text.lines().any(|line| is_service(line, asked)) {
            entry.host =
                entry.host.take().or_else(|| Some(Host::new("a Service of Kubernetes (kube-proxy)")));
        }
        rules.extend(text.lines().filter_map(rule).filter(|rule| rule.fits(asked)));
    }
    if rules.is_empty() && entry.host.is_none() {
        let all = output_of(finder, NFT.0, &NFT.1).and_then(|text| serde_json::from_slice(&text).ok());
        rules.extend(all.iter().flat_map(rules_of_nft).filter(|rule| rule.fits(asked)));
    }
    if !rules.is_empty() {
        finder.need_all();
    }
    rules.iter().flat_map(|rule| led_to(finder, rule)).collect()
}

/// The containers with the address to which a rule leads.
fn led_to(finder: &Finder<'_>, rule: &Rule) -> Vec<(usize, details::Port)> {
    let (numbers, places): (Vec<usize>, Vec<Place>) =
        finder.spaces().others().map(|(number, space)| (number, space.place.clone())).unzip();
    let spaces = finder.known("network namespaces", net::search_address(&places, rule.target));
    let mut found = Vec::new();
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
    found
}

/// The output of one of root's programs, whatever PATH says. If it does not answer in time, the answer is incomplete.
fn output_of(finder: &Finder<'_>, name: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let program = ["/usr/sbin", "/sbin"].iter().map(|directory| format!("{directory}/{name}"));
    let program = program.into_iter().find(|path| std::fs::exists(path).is_ok_and(|is_there| is_there))?;
    match super::program::output(&program, arguments) {
        Ok(text) => text,
        Err(problem) => {
            finder.note(format!("rules that change addresses: {name} {problem}"));
            None
        }
    }
}

/// Those of the form `[ip daddr A] tcp dport N … dnat to IP[:PORT]`.
fn rules_of_nft(all: &Value) -> Vec<Rule> {
    let objects = all["nftables"].as_array().into_iter().flatten();
    objects.filter_map(|object| rule_of_nft(object["rule"]["expr"].as_array()?)).collect()
}

fn rule_of_nft(expressions: &[Value]) -> Option<Rule> {
    let ip = |value: &Value| super::thing::address(value.as_str()?);
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let (mut transport, mut address, mut port) = (None, None, None);
    for one in expressions.iter().map(|one| &one["match"]).filter(|one| one["op"] == "==") {
        let payload = &one["left"]["payload"];
        match (payload["protocol"].as_str(), payload["field"].as_str()) {
            (Some(protocol), Some("dport")) => {
                port = Some(number(&one["right"])?);
                transport = transport.or((protocol != "th").then(|| protocol.to_owned()));
            }
            (Some("ip" | "ip6"), Some("daddr")) => address = Some(ip(&one["right"])?),
            (Some("ip"), Some("protocol")) => transport = one["right"].as_str().map(str::to_owned),
            _ if one["left"]["meta"]["key"] == "l4proto" => {
                transport = one["right"].as_str().map(str::to_owned);
            }
            _ => {}
        }
    }
    let target = expressions.iter().map(|one| &one["dnat"]).find(|target| target.is_object())?;
    let (target, target_port) = (ip(&target["addr"])?, number(&target["port"]));
    Some(Rule { transport, address, port: port?, target, target_port })
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
    let of_nft = serde_json::from_str(text).map(|all| rules_of_nft(&all)).unwrap_or_default();
    of_nft.iter().for_each(|rule| _ = rule.fits(&asked));
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
    fn rules_of_nft_that_change_the_destination() {
        let text = r#"{"nftables":[{"metainfo":{"version":"1"}},{"rule":{"family":"inet","chain":"c","expr":[
            {"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":"10.0.0.9"}},
            {"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":8081}},
            {"counter":null},{"dnat":{"family":"ip","addr":"10.88.0.2","port":80}}]}},
            {"rule":{"expr":[{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":"udp"}},
            {"match":{"op":"==","left":{"payload":{"protocol":"th","field":"dport"}},"right":53}},
            {"dnat":{"addr":"fd00::2"}}]}},
            {"rule":{"expr":[{"match":{"op":"!=","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":1}},
            {"dnat":{"addr":"10.88.0.3"}}]}},
            {"rule":{"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":{"set":[1,2]}}},
            {"dnat":{"addr":"10.88.0.3"}}]}},{"rule":{"expr":[{"jump":{"target":"x"}}]}}]}"#;
        let all = rules_of_nft(&serde_json::from_str(text).expect("JSON"));
        let rule = |transport: &str, address: Option<[u8; 4]>, port, target: &str, target_port| Rule {
            transport: Some(transport.to_owned()),
            address: address.map(IpAddr::from),
            port,
            target: target.parse().expect("an address"),
            target_port,
        };
        let expected = [
            rule("tcp", Some([10, 0, 0, 9]), 8081, "10.88.0.2", Some(80)),
            rule("udp", None, 53, "fd00::2", None),
        ];
        assert_eq!(all, expected);
    }

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
