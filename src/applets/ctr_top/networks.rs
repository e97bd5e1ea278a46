//! The interfaces of network namespaces.

use super::processes::seconds;
use crate::isolation::visit::{Place, visit};
use crate::net::{self, Netlink, Protocol};
use crate::proc::decimal;
use crate::proc::ns::Kind;
use crate::text;

/// What the interfaces of a network namespace received and sent, without the loopback.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Net {
    /// When that was, by CLOCK_MONOTONIC, in seconds.
    pub at: f64,
    /// The inode of the file with the counters, which tells namespaces apart: a process can enter another one.
    pub file: u64,
    pub received: u64,
    pub sent: u64,
    /// The name of each, with what it received and sent, if that is wanted.
    pub each: Vec<(String, u64, u64)>,
}

impl Net {
    /// `eth0: 1 2 3 …`. None: the text does not say which interface is the loopback. Any can have any name, but the loopback
    /// always receives all that it sends, and no more.
    pub(super) fn parse(text: &[u8], each: bool) -> Option<Net> {
        let devices: Vec<Device<'_>> = devices(text).collect();
        let even = || devices.iter().enumerate().filter(|(_, device)| device.is_even);
        let first = even().next();
        if even().any(|(_, one)| first.is_some_and(|(_, first)| one.received != first.received)) {
            return None;
        }
        // Of those that are alike it does not matter which one it is.
        let usual = even().find(|(_, device)| device.name == LOOPBACK);
        let loopback = usual.or(first).map(|(at, _)| at);
        let mut net = Net::default();
        for (_, device) in devices.iter().enumerate().filter(|(at, _)| Some(*at) != loopback) {
            net.add(device.name, device.received, device.sent, each);
        }
        Some(net)
    }

    fn add(&mut self, name: &[u8], received: u64, sent: u64, each: bool) {
        self.received = self.received.saturating_add(received);
        self.sent = self.sent.saturating_add(sent);
        if each {
            self.each.push((text::utf8(name).into_owned(), received, sent));
        }
    }
}

/// The name that the kernel gives it.
const LOOPBACK: &[u8] = b"lo";

struct Device<'t> {
    name: &'t [u8],
    received: u64,
    sent: u64,
    /// Are the bytes and packets that it received as many as those that it sent?
    is_even: bool,
}

fn devices(text: &[u8]) -> impl Iterator<Item = Device<'_>> {
    text::lines(text).skip(2).filter_map(|line| {
        // A name can contain a colon.
        let colon = memchr::memrchr(b':', line)?;
        let mut words = line[colon + 1..].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let received = [words.next(), words.next()];
        let sent = [words.nth(6), words.next()];
        let is_even = received == sent;
        let bytes = |[bytes, _]: [Option<&[u8]>; 2]| bytes.and_then(decimal).unwrap_or(0);
        Some(Device {
            name: line[..colon].trim_ascii(),
            received: bytes(received),
            sent: bytes(sent),
            is_even,
        })
    })
}

/// Interfaces of a container among which the text does not tell the loopback.
pub(super) struct Unsure {
    pub container: usize,
    pub file: u64,
    pub namespace: Place,
}

/// Asks the kernel in each of these namespaces, for the numbers too: names can change between two looks. One that the
/// caller may not enter has no numbers.
pub(super) fn asked(all: &[Unsure], each: bool) -> Vec<(usize, Net)> {
    let places: Vec<Place> = all.iter().map(|one| one.namespace.clone()).collect();
    let ask = |at: usize| {
        let netlink = Netlink::open(Protocol::Route);
        let found = netlink.and_then(|netlink| net::traffic(&netlink)).unwrap_or_default();
        let mut net = Net { at: seconds(), file: all[at].file, ..Net::default() };
        let others = found.iter().filter(|one| !one.is_loopback);
        others.for_each(|one| net.add(&one.name, one.received, one.sent, each));
        // A namespace without a loopback did not answer.
        if found.iter().any(|one| one.is_loopback) { pack(&[(all[at].container, net)]) } else { Vec::new() }
    };
    let answers = visit(&places, Kind::Net, ask).unwrap_or_default();
    answers.into_iter().filter_map(|(_, answer)| unpack(&answer)).flatten().collect()
}

/// Numbers for another process: the container, and what was received and sent in its network namespace.
pub(super) fn pack(all: &[(usize, Net)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(all.len() * 48);
    for (container, net) in all {
        let each = net.each.len() as u64;
        let numbers = [*container as u64, net.at.to_bits(), net.file, net.received, net.sent, each];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_ne_bytes()));
        for (name, received, sent) in &net.each {
            let numbers = [*received, *sent, name.len() as u64];
            numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_ne_bytes()));
            bytes.extend_from_slice(name.as_bytes());
        }
    }
    bytes
}

/// The numbers again.
pub(super) fn unpack(mut bytes: &[u8]) -> Option<Vec<(usize, Net)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let container = usize::try_from(take(&mut bytes)?).ok()?;
        let at = f64::from_bits(take(&mut bytes)?);
        let (file, received) = (take(&mut bytes)?, take(&mut bytes)?);
        let (sent, count) = (take(&mut bytes)?, take(&mut bytes)?);
        let mut each = Vec::new();
        for _ in 0..count {
            let (received, sent, length) = (take(&mut bytes)?, take(&mut bytes)?, take(&mut bytes)?);
            let (name, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            bytes = rest;
            each.push((text::utf8(name).into_owned(), received, sent));
        }
        all.push((container, Net { at, file, received, sent, each }));
    }
    Some(all)
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_ne_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_interfaces_survive() {
        let each = vec![("eth0".to_owned(), 1, u64::MAX), (String::new(), 3, 4)];
        let all = [(7, Net { at: 1.5, file: 9, received: 4, sent: 6, each }), (usize::MAX, Net::default())];
        let bytes = pack(&all);
        assert_eq!(unpack(&bytes).as_deref(), Some(&all[..]));
        assert_eq!(unpack(&[]), Some(Vec::new()));
        // The part that is read again and again is cut anywhere.
        let is_whole = |length: usize| unpack(&bytes[..length]).is_some();
        assert_eq!((1..bytes.len()).filter(|length| is_whole(*length)).count(), 1, "after the first one");
    }

    #[test]
    fn bytes_of_all_interfaces_but_the_loopback() {
        let text = b"Inter-|   Receive\n face |bytes\n    lo:    9 1 0 0 0 0 0 0    9 1\n  eth0: 100 1 0 0 0 0 0 0 200 1\n\
            a:b: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n";
        let sum = |received, sent| Some(Net { received, sent, ..Net::default() });
        assert_eq!(Net::parse(text, false), sum(110, 220));
        let each = [("eth0".to_owned(), 100, 200), ("a:b".to_owned(), 10, 20)];
        assert_eq!(Net::parse(text, true).map(|net| net.each), Some(each.into()));
        assert_eq!(Net::parse(b"", true), sum(0, 0));
        let text = text::utf8(text);
        let with = |from: &str, to: &str| Net::parse(text.replace(from, to).as_bytes(), true);
        // It can have another name.
        assert_eq!(with("lo:", "xx:"), Net::parse(text.as_bytes(), true));
        assert_eq!(with("100 1", "200 1"), None, "either can be the loopback");
        assert_eq!(with("100 1 0 0 0 0 0 0 200 1", "0 0 0 0 0 0 0 0 0 0"), None, "one of them is idle");
        let alike = with("100 1 0 0 0 0 0 0 200 1", "9 1 0 0 0 0 0 0 9 1").expect("it does not matter");
        assert_eq!(alike.each, [("eth0".to_owned(), 9, 9), ("a:b".to_owned(), 10, 20)]);
        let last =
            text.replace("lo:", "eth1:").replace("eth0: 100 1 0 0 0 0 0 0 200 1", "lo: 9 1 0 0 0 0 0 0 9 1");
        let last = Net::parse(last.as_bytes(), true).expect("likewise");
        assert_eq!(last.each, [("eth1".to_owned(), 9, 9), ("a:b".to_owned(), 10, 20)]);
        assert_eq!(
            with("lo:    9", "lo:    7").map(|net| net.received),
            Some(117),
            "lo sent more than it received"
        );
    }

    #[test]
    fn a_namespace_that_cannot_be_entered_has_no_numbers() {
        let namespace = Place::of_file("/nonexistent".into(), 1);
        assert_eq!(asked(&[Unsure { container: 3, file: 5, namespace }], false), []);
    }
}
