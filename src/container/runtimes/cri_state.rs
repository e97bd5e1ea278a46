//! Containers of containerd's CRI plugin, running or not. Its database (bbolt) keeps JSON as text, so the texts are
//! searched for; each is the value of a protobuf message, so its length stands before it. Pages that are free can have
//! the text of a container that was removed: only those count that have a directory in the state of the plugin.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::podman_state::memmem;
use crate::container::details::{Ending, Port};
use crate::container::records::Record;
use crate::container::{Container, Files, Runtime, rfc3339};

/// The root directories of containerd, k3s and RKE2, MicroK8s, and k0s.
const ROOTS: [&str; 4] = [
    "/var/lib/containerd",
    "/var/lib/rancher/k3s/agent/containerd",
    "/var/snap/microk8s/common/var/lib/containerd",
    "/var/lib/k0s/containerd",
];
const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";
const PLUGIN: &str = "io.containerd.grpc.v1.cri";
/// What a text begins with.
const BEGIN: &[u8] = b"{\"Version\":\"v1\",\"Metadata\":{";

type Pairs = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "Metadata")]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "ID", default)]
    id: String,
    /// Of a container, not of a sandbox.
    #[serde(rename = "SandboxID", default)]
    sandbox: String,
    #[serde(rename = "Config", default)]
    config: Option<Config>,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    metadata: Named,
    #[serde(default)]
    image: Option<Image>,
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<Pairs>,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    port_mappings: Option<Vec<Mapping>>,
}

#[derive(Deserialize, Default)]
struct Named {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    image: String,
    /// As the user wrote it, since containerd 1.7.
    #[serde(default)]
    user_specified_image: String,
}

#[derive(Deserialize)]
struct Mapping {
    /// 0 is TCP, and left out.
    #[serde(default)]
    protocol: u8,
    #[serde(default)]
    container_port: u16,
    #[serde(default)]
    host_port: u16,
    #[serde(default)]
    host_ip: String,
}

/// `containers/ID/status`. Times are in nanoseconds since 1970, and 0 if they did not come yet.
#[derive(Deserialize, Default)]
struct Status {
    #[serde(rename = "CreatedAt", default)]
    created: i64,
    #[serde(rename = "StartedAt", default)]
    started: i64,
    #[serde(rename = "FinishedAt", default)]
    finished: i64,
    #[serde(rename = "ExitCode", default)]
    exit_code: i64,
    #[serde(rename = "Reason", default)]
    reason: String,
    #[serde(rename = "Message", default)]
    message: String,
}

pub(crate) fn records(files: &Files) -> Vec<Record> {
    ROOTS.iter().flat_map(|root| of_root(files, root)).collect()
}

fn of_root(files: &Files, root: &str) -> Vec<Record> {
    let plugin = format!("{root}/{PLUGIN}");
    if !files.exists(&plugin) {
        return Vec::new();
    }
    let database = files.read(&format!("{root}/{DATABASE}")).unwrap_or_default();
    let all = texts(&database);
    let is_there = |one: &&Metadata| {
        let kind = if one.sandbox.is_empty() { "sandboxes" } else { "containers" };
        files.names(&format!("{plugin}/{kind}")).may_have(&one.id)
    };
    let record = |one: &Metadata| {
        let status = files.json(&format!("{plugin}/containers/{}/status", one.id));
        record(one, all.get(&one.sandbox).unwrap_or(one), status)
    };
    all.values().filter(is_there).map(record).collect()
}

/// By id. Of several copies the last one counts.
fn texts(database: &[u8]) -> BTreeMap<String, Metadata> {
    let mut found = BTreeMap::new();
    let mut from = 0;
    while let Some(at) = memmem(&database[from..], BEGIN).map(|at| from + at) {
        from = at + BEGIN.len();
        let Some(value) = Value::at(database, at) else { continue };
        let Ok(Text { metadata }) = serde_json::from_slice(value.text) else { continue };
        from = at + value.text.len();
        if value.is_of_containerd {
            found.insert(metadata.id.clone(), metadata);
        } else {
            found.entry(metadata.id.clone()).or_insert(metadata);
        }
    }
    found
}

/// The value of a message (google.protobuf.Any). The labels of an image are in the database too, as they are: one can
/// contain such a text, with the id of another container. But a label is UTF-8, which nearly no length above 127 is.
struct Value<'a> {
    text: &'a [u8],
    /// Is its length no UTF-8?
    is_of_containerd: bool,
}

impl<'a> Value<'a> {
    /// The value that begins there: before it are the tag of the second field, 2 << 3 | 2, and its length.
    fn at(database: &'a [u8], at: usize) -> Option<Value<'a>> {
        const TAG: u8 = 0x12;
        let before = &database[..at];
        // Up to 256 MB.
        (1..=4).find_map(|count| {
            let (rest, length) = before.split_at_checked(before.len().checked_sub(count)?)?;
            let text = database[at..].get(..varint(length).filter(|_| rest.ends_with(&[TAG]))?)?;
            Some(Value { text, is_of_containerd: std::str::from_utf8(length).is_err() })
        })
    }
}

/// Seven bits in each byte, the lowest first. All but the last have the highest bit set.
fn varint(bytes: &[u8]) -> Option<usize> {
    let (last, others) = bytes.split_last()?;
    let is_one = (1..0x80).contains(last) && others.iter().all(|byte| byte & 0x80 != 0);
    is_one.then(|| bytes.iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f)))
}

fn record(own: &Metadata, sandbox: &Metadata, status: Option<Status>) -> Record {
    let none = Config::default();
    let (config, pod) = (own.config.as_ref().unwrap_or(&none), sandbox.config.as_ref().unwrap_or(&none));
    let is_sandbox = own.sandbox.is_empty();
    let name = if is_sandbox { "POD" } else { &config.metadata.name };
    let (namespace, pod_name) = (&pod.metadata.namespace, &pod.metadata.name);
    // The labels that a user sets are those of the pod.
    let mut labels = pod.labels.clone().unwrap_or_default();
    labels.extend(config.labels.clone().unwrap_or_default());
    let image = config.image.as_ref().map(|image| match &*image.user_specified_image {
        "" => image.image.clone(),
        asked => asked.to_owned(),
    });
    let container = Container {
        engine: "containerd",
        name: (!pod_name.is_empty()).then(|| format!("{namespace}/{pod_name}/{name}")),
        pod: Some(pod_name.clone()).filter(|name| !name.is_empty()),
        pod_namespace: Some(namespace.clone()).filter(|name| !name.is_empty()),
        pod_uid: Some(pod.metadata.uid.clone()).filter(|uid| !uid.is_empty()),
        image: image.filter(|image| !image.is_empty()),
        labels: labels.into_iter().collect(),
        hostname: pod.hostname.clone().filter(|name| !name.is_empty()),
        created: status.as_ref().and_then(|status| time(status.created)),
        ..Container::new(Runtime::K8s, own.id.clone())
    };
    let ports = pod.port_mappings.iter().flatten().filter(|_| is_sandbox).map(port).collect();
    let command = config.command.iter().chain(&config.args).flatten().cloned().collect();
    Record { ending: status.map(ending), ports, command, ..Record::plain(container) }
}

fn port(mapping: &Mapping) -> Port {
    Port {
        protocol: ["tcp", "udp", "sctp"].get(usize::from(mapping.protocol)).unwrap_or(&"?").to_string(),
        host_address: Some(mapping.host_ip.clone()).filter(|address| !address.is_empty()),
        host_port: Some(mapping.host_port).filter(|port| *port != 0),
        port: Some(mapping.container_port),
    }
}

fn ending(status: Status) -> Ending {
    let finished = time(status.finished);
    let error = [status.reason, status.message].into_iter().filter(|text| !text.is_empty());
    let error = error.filter(|text| text != "Completed" && text != "Error").collect::<Vec<_>>().join(": ");
    Ending {
        was_started: status.started != 0 || finished.is_some(),
        restarts: false,
        exit_code: finished.as_ref().map(|_| status.exit_code),
        oom_killed: finished.as_ref().map(|_| error == "OOMKilled"),
        stopped_by_user: None,
        started: time(status.started),
        finished,
        error: Some(error).filter(|error| !error.is_empty()),
    }
}

fn time(nanoseconds: i64) -> Option<String> {
    (nanoseconds > 0).then(|| rfc3339(nanoseconds / 1_000_000_000))
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(database: &[u8]) {
    let all = texts(database);
    assert!(all.iter().all(|(id, found)| *id == found.id));
    all.values().for_each(|own| _ = record(own, own, None));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = [
        r#"{"Version":"v1","Metadata":{"ID":"aa","Name":"web_shop_x","SandboxID":"bb","Config":{"metadata":{"name":"web"},
"image":{"image":"rtbox:1"},"command":["sleep","9"],"labels":{"io.kubernetes.pod.name":"shop"}}}}"#,
        r#"{"Version":"v1","Metadata":{"ID":"bb","Config":{"metadata":{"name":"shop","uid":"1-2","namespace":"ns"},"labels":{"app":"old"}}}}"#,
        r#"{"Version":"v1","Metadata":{"ID":"bb","Config":{"metadata":{"name":"shop","uid":"1-2","namespace":"ns"},"labels":{"app":"shop"},
"port_mappings":[{"container_port":80,"host_port":8080}]}}}"#,
    ];

    /// A database as containerd writes it.
    fn database() -> Vec<u8> {
        let value = |text: &&str| {
            let length = text.len();
            assert!((128..16_384).contains(&length), "two bytes");
            [&[0x12, (length & 0x7f | 0x80) as u8, (length >> 7) as u8][..], text.as_bytes()].concat()
        };
        [b"junk".to_vec(), TEXTS.iter().flat_map(value).collect(), BEGIN.to_vec(), b"\"ID\":".to_vec()]
            .concat()
    }

    /// An image may have any label.
    #[test]
    fn a_label_is_not_the_text_of_another_container() {
        let bare = TEXTS[2].replace("shop", "evil");
        let pad = |length: usize| format!("{bare}{}", " ".repeat(length - bare.len()));
        let forged = [
            bare.clone(),
            // The lengths are not canonical, or of three bytes and UTF-8, or too short for the text.
            format!("\x12\u{d9}\u{0}{bare}"),
            format!("\x12\u{80}\u{1}{}", pad(0x42 | 1 << 14)),
            format!("\x12\x7f{}", &bare[..0x7f]),
            r#"m{"Version":"v1","Metadata":{"ID":"bb"}}"#.to_owned(),
        ];
        for label in forged {
            let label = label.as_bytes();
            for text in [[&database(), label].concat(), [label, &database()].concat()] {
                let found = texts(&text);
                let config = found["bb"].config.as_ref().expect("a configuration");
                assert_eq!(config.metadata.name, "shop", "{}", String::from_utf8_lossy(label));
            }
        }
    }

    #[test]
    fn a_container_has_the_labels_of_its_pod() {
        let all = texts(&database());
        assert_eq!(all.len(), 2);
        let status =
            Status { started: 5, finished: 1_795_659_244_407_280_371, exit_code: 3, ..Status::default() };
        let found = record(&all["aa"], &all["bb"], Some(status));
        let container = &found.container;
        assert_eq!(container.name.as_deref(), Some("ns/shop/web"));
        let labels: Vec<_> = container.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["app=shop", "io.kubernetes.pod.name=shop"]);
        assert_eq!(
            (found.command.join(" ").as_str(), found.container.pod_uid.as_deref()),
            ("sleep 9", Some("1-2"))
        );
        let ending = found.ending.expect("an end");
        assert_eq!((ending.exit_code, ending.finished.as_deref()), (Some(3), Some("2026-11-26T02:14:04Z")));
        let pod = record(&all["bb"], &all["bb"], None);
        assert_eq!(pod.container.name.as_deref(), Some("ns/shop/POD"));
        assert_eq!(pod.ports[0].host_port, Some(8080));
    }
}
