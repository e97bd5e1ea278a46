//! What is known of the host on which the fuzzer runs.

use std::net::IpAddr;
use std::time::Instant;

use super::{Clock, Known, Named, Owners, ProcRoot, Request, Tables};

impl<'a> Known<'a> {
    /// A host with one container, which is not read again.
    pub(in super::super) fn fuzz(request: &'a Request) -> Known<'a> {
        let id = "a1".repeat(32);
        let named = Named {
            label: "docker:web".to_owned(),
            runtime: "docker",
            owner: 0,
            name: Some("web".to_owned()),
            id: id.clone(),
            pod: None,
            pod_namespace: None,
            status: Some("running"),
            key: String::new(),
        };
        let addresses = [IpAddr::from([172, 17, 0, 2]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 2])];
        let interface = b"veth1a2b3c4".to_vec();
        let clock = Clock { uptime: Some(1 << 40), boot: Some(0) };
        let tables = Tables {
            proc: ProcRoot::default(),
            clock,
            clock_read: Instant::now(),
            host: Some("web1".to_owned()),
            listed: u64::MAX,
            named: vec![(named, 0)],
            owners: vec![Owners { label: "docker:web".to_owned(), members: vec![0] }],
            ids: [(id, Some(0))].into(),
            pods: [("0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f".to_owned(), 0)].into_iter().collect(),
            addresses: addresses.into_iter().map(|address| (address, Some(0))).collect(),
            begins: interface.first_chunk::<2>().copied().into_iter().collect(),
            interfaces: [(interface, Some(0))].into_iter().collect(),
            processes: [(1, 0)].into_iter().collect(),
            proxies: [((1, 80), Some(0))].into_iter().collect(),
            groups: [(b"/web".to_vec(), Some(0))].into_iter().collect(),
        };
        Known { tables: Some(tables), wants_groups: true, wants_proxies: true, ..Known::new(request) }
    }
}
