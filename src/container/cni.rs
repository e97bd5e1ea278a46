//! What CNI plugins leave on disk: the addresses that host-local gave away, and the results of each attachment.

use std::net::IpAddr;

use serde::Deserialize;

use super::details::Port;
use super::{Container, Files};
use crate::order;

/// Who was given an address, and under which names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The id of a container or of a pod's sandbox.
    pub id: String,
    pub network: String,
    pub addresses: Vec<IpAddr>,
    pub macs: Vec<String>,
    /// The names of interfaces, on the host too.
    pub interfaces: Vec<String>,
    pub ports: Vec<Port>,
    /// Namespace and name.
    pub pod: Option<(String, String)>,
}

const NETWORKS: &str = "/var/lib/cni/networks";
const RESULTS: &str = "/var/lib/cni/results";
/// Files that are read: more than a host has.
const MOST: usize = 20_000;

/// Who host-local gave the address to.
#[must_use]
pub(crate) fn holder_of_address(files: &Files, address: IpAddr) -> Vec<Attachment> {
    let read = |network: String| {
        let text = files.read(&format!("{NETWORKS}/{network}/{address}"))?;
        let text = String::from_utf8(text).ok()?;
        let mut words = text.split_ascii_whitespace();
        let id = words.next().filter(|id| !id.is_empty())?.to_owned();
        let interfaces = words.next().map(str::to_owned).into_iter().collect();
        Some(Attachment { id, network, addresses: vec![address], interfaces, ..Attachment::default() })
    };
    files.list(NETWORKS).into_iter().filter_map(read).collect()
}

/// All attachments whose results are kept.
#[must_use]
pub(crate) fn results(files: &Files) -> Vec<Attachment> {
    let paths = files.list(RESULTS).into_iter().take(MOST).map(|name| format!("{RESULTS}/{name}"));
    paths.filter_map(|path| files.json::<Kept>(&path).and_then(attachment)).collect()
}

/// The ports that the plugin portmap publishes for a container of root or its pod. No process listens on them.
#[must_use]
pub(crate) fn ports_of(files: &Files, container: &Container) -> Vec<Port> {
    if container.owner != 0 {
        return Vec::new();
    }
    let all = results(files).into_iter().filter(|one| one.is_of(container));
    let mut ports: Vec<Port> = all.flat_map(|one| one.ports).collect();
    order::sort(&mut ports);
    ports.dedup();
    ports
}

impl Attachment {
    fn is_of(&self, container: &Container) -> bool {
        let pod = container.pod_namespace.as_ref().zip(container.pod.as_ref());
        match (&self.pod, pod) {
            (Some((namespace, name)), Some(pod)) => pod == (namespace, name),
            // nerdctl puts the namespace of containerd before the id: `default-ID`
            _ => self
                .id
                .strip_suffix(container.bare_id())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('-')),
        }
    }
}

#[derive(Deserialize)]
struct Kept {
    #[serde(rename = "containerId", default)]
    id: String,
    #[serde(rename = "networkName", default)]
    network: String,
    #[serde(rename = "cniArgs", default)]
    arguments: Option<Vec<(String, String)>>,
    #[serde(rename = "capabilityArgs", default)]
    capabilities: Option<Capabilities>,
    #[serde(default)]
    result: Option<Result>,
}

#[derive(Deserialize)]
struct Capabilities {
    #[serde(rename = "portMappings", default)]
    ports: Option<Vec<Mapping>>,
}

/// containerd writes the keys with a capital letter.
#[derive(Deserialize)]
struct Mapping {
    #[serde(rename = "hostPort", alias = "HostPort", default)]
    host_port: u16,
    #[serde(rename = "containerPort", alias = "ContainerPort", default)]
    port: u16,
    #[serde(alias = "Protocol", default)]
    protocol: String,
    #[serde(rename = "hostIP", alias = "HostIP", default)]
    address: String,
}

#[derive(Deserialize)]
struct Result {
    #[serde(default)]
    interfaces: Option<Vec<Interface>>,
    #[serde(default)]
    ips: Option<Vec<Address>>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    name: String,
    #[serde(default)]
    mac: String,
}

#[derive(Deserialize)]
struct Address {
    /// `10.22.0.5/16`
    #[serde(default)]
    address: String,
}

fn attachment(kept: Kept) -> Option<Attachment> {
    let argument = |name: &str| {
        let mut all = kept.arguments.iter().flatten();
        all.find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let pod = argument("K8S_POD_NAMESPACE").zip(argument("K8S_POD_NAME"));
    let (interfaces, ips) = kept.result.map(|result| (result.interfaces, result.ips)).unwrap_or_default();
    let interfaces = interfaces.unwrap_or_default();
    let ip = |one: Address| one.address.split('/').next()?.parse().ok();
    let port = |mapping: Mapping| Port {
        protocol: match mapping.protocol.as_str() {
            "" => "tcp".to_owned(),
            protocol => protocol.to_ascii_lowercase(),
        },
        host_address: Some(mapping.address).filter(|address| !address.is_empty()),
        host_port: Some(mapping.host_port).filter(|port| *port != 0),
        port: Some(mapping.port).filter(|port| *port != 0),
    };
    let macs: Vec<String> =
        interfaces.iter().map(|one| one.mac.to_ascii_lowercase()).filter(|mac| !mac.is_empty()).collect();
    (!kept.id.is_empty()).then(|| Attachment {
        addresses: ips.unwrap_or_default().into_iter().filter_map(ip).collect(),
        macs,
        interfaces: interfaces.into_iter().map(|one| one.name).filter(|name| !name.is_empty()).collect(),
        ports: kept
            .capabilities
            .and_then(|all| all.ports)
            .unwrap_or_default()
            .into_iter()
            .map(port)
            .collect(),
        id: kept.id,
        network: kept.network,
        pod,
    })
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &[u8]) {
    if let Some(found) = serde_json::from_slice::<Kept>(text).ok().and_then(attachment) {
        assert!(!found.id.is_empty(), "an attachment of nobody");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Runtime;

    #[test]
    fn the_result_of_an_attachment() {
        let text = r#"{"kind":"cniCacheV1","containerId":"abc","ifName":"eth0","networkName":"n",
            "cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME","web"]],
            "capabilityArgs":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"TCP","hostIP":""}]},
            "result":{"interfaces":[{"name":"veth1","mac":"AA:00:00:00:00:01"}],"ips":[{"address":"10.22.0.5/16"}]}}"#;
        let found = attachment(serde_json::from_str(text).expect("JSON")).expect("an attachment");
        assert_eq!(found.addresses, ["10.22.0.5".parse::<IpAddr>().expect("an address")]);
        assert_eq!(found.pod, Some(("shop".to_owned(), "web".to_owned())));
        assert_eq!((found.ports[0].host_port, found.ports[0].port), (Some(8080), Some(80)));
        assert_eq!((&*found.ports[0].protocol, &*found.interfaces[0]), ("tcp", "veth1"));
        assert_eq!(found.macs, ["aa:00:00:00:00:01"]);
        let text = r#"{"containerId":"abc","capabilityArgs":{"io.kubernetes.cri.pod-annotations":{"a":"b"},
            "portMappings":[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":"10.0.0.1"}]}}"#;
        let of_containerd = attachment(serde_json::from_str(text).expect("JSON")).expect("an attachment");
        assert_eq!((of_containerd.ports[0].host_port, of_containerd.ports[0].port), (Some(8080), Some(80)));
        assert_eq!(of_containerd.ports[0].host_address.as_deref(), Some("10.0.0.1"));
        assert_eq!(attachment(serde_json::from_str("{}").expect("JSON")), None);
    }

    #[test]
    fn the_attachments_of_a_container() {
        let one = |id: &str, pod: Option<(&str, &str)>| Attachment {
            id: id.to_owned(),
            pod: pod.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
            ..Attachment::default()
        };
        let nerdctl = Container::new(Runtime::Nerdctl, "default/0123");
        let web = Container {
            pod: Some("web".to_owned()),
            pod_namespace: Some("shop".to_owned()),
            ..Container::new(Runtime::K8s, "4567")
        };
        for (attachment, container, is_its) in [
            (one("0123", None), &nerdctl, true),
            (one("default-0123", None), &nerdctl, true),
            (one("x0123", None), &nerdctl, false),
            (one("89ab", Some(("shop", "web"))), &web, true),
            (one("4567", Some(("shop", "db"))), &web, false),
        ] {
            assert_eq!(attachment.is_of(container), is_its, "{attachment:?}");
        }
    }
}
