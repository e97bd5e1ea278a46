//! Rules about the network.

use std::net::IpAddr;

use serde_json::json;

use super::{Judge, Policy, policy};
use crate::applets::ctr_inspect::finding::Severity;
use crate::applets::ctr_inspect::network::{Dns, Network, Published};

impl Judge<'_> {
    /// `age`: seconds since the start of the container.
    pub(super) fn network(&mut self, network: &Network, age: Option<u64>) {
        let Some(runtime) = self.runtime else { return };
        if age.is_some_and(|age| age >= 10) {
            let ports = network.published.iter().flatten();
            ports.clone().filter(|one| !one.repeats(ports.clone())).for_each(|one| self.published(one));
        }
        let has_network = network.interfaces.iter().flatten().any(|one| !one.is_loopback);
        if let Some(dns) = network.dns.as_ref().filter(|_| has_network && !self.is_pause) {
            let severity = if policy(runtime) == Policy::Own { Severity::Note } else { Severity::Medium };
            self.dns(network, dns, severity);
        }
    }

    fn published(&mut self, one: &Published) {
        if one.listens != Some(false) {
            return;
        }
        let port = one.port.unwrap_or_default();
        let what = match &one.listener {
            None => format!("nothing listens on port {port} in its network namespace"),
            Some(listener) => format!("the program listens on {} only", listener.address),
        };
        let text = format!("{} is published, but {what}", one.shown());
        self.add("published-not-listening", Severity::Medium, text, vec![("network.published", json!(one))]);
    }

    fn dns(&mut self, network: &Network, dns: &Dns, severity: Severity) {
        let evidence = || vec![("network.dns.servers", json!(dns.servers))];
        if dns.servers.is_empty() {
            let text = if dns.is_there {
                "/etc/resolv.conf names no server"
            } else {
                "there is no /etc/resolv.conf"
            };
            self.add("dns", severity, text, evidence());
        }
        if dns.servers.len() > 3 {
            let text = format!("{} name servers: programs use the first 3", dns.servers.len());
            self.add("dns", severity, text, evidence());
        }
        let Some(listening) = &network.listening else { return };
        // Of the host's namespace the sockets of other processes are not listed.
        if network.is_hosts != Some(false) {
            return;
        }
        for server in &dns.servers {
            let Ok(ip) = server.parse::<IpAddr>() else { continue };
            let answers = |one: &crate::applets::ctr_inspect::network::Listening| {
                one.ip == ip || (one.ip.is_unspecified() && one.port == 53)
            };
            if ip.is_loopback() && !listening.iter().any(answers) {
                let text = format!("the name server {server} is loopback, and nothing listens there");
                self.add("dns", severity, text, evidence());
            }
        }
    }
}
