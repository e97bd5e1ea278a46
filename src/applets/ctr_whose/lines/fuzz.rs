//! Lines of any log, on a host with one container that has one thing of each kind.

use super::known::Known;
use super::{Blocks, Copier, HEAD, Request};
use crate::output::Out;
use crate::output::style::Painter;

/// What is added to a line after each thing.
const ADDED: &str = " (docker:web)";

pub(in crate::applets::ctr_whose) fn lines(data: &[u8]) {
    let mut blocks = Blocks::default();
    let parts = data.chunks(97).chain([&[][..]]);
    let copied: Vec<u8> =
        parts.flat_map(|part| blocks.of(part)).flat_map(|block| block[HEAD..].to_vec()).collect();
    assert_eq!(copied, data, "bytes are lost");

    let request = Request::default();
    let mut copier = Copier {
        known: Known::fuzz(&request),
        painter: Painter { colour: false },
        as_json: false,
        number: 0,
        things: Vec::new(),
        out: Out::kept(),
    };
    for line in data.split(|&b| b == b'\n') {
        let mut made = Out::kept();
        copier.line(&mut made, line).unwrap_or_else(|error| panic!("{error:#}"));
        let things = &copier.things;
        let mut ends = [0].into_iter().chain(things.iter().map(|thing| thing.end));
        assert!(things.iter().all(|thing| ends.next() <= Some(thing.start) && thing.start < thing.end));
        assert_eq!(made.into_bytes().len(), line.len() + things.len() * ADDED.len());
        let mut json = Out::kept();
        copier.json(&mut json, line).unwrap_or_else(|error| panic!("{error:#}"));
        let json = json.into_bytes();
        assert!(json.is_empty() || serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }
}
