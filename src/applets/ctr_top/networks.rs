//! The interfaces of network namespaces.

use crate::isolation::visit::{Place, visit};
use crate::proc::decimal;
use crate::proc::ns::Kind;
use crate::text;

/// What the interfaces of a network namespace received and sent, without the loopback.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Net {
    /// When that was, by CLOCK_MONOTONIC, in seconds.
    pub at: f64,
    pub received: u64,
    pub sent: u64,
    /// The name of each, with what it received and sent, if that is wanted.
    pub each: Vec<(String, u64, u64)>,
}

impl Net {
    /// `eth0: 1 2 3 …`. `loopback`: its name, if that is known. None: the text does not say which interface it is. Any can have
    /// any name, but the loopback alone receives all that it sends, and no more.
    pub(super) fn parse(text: &[u8], each: bool, loopback: Option<&[u8]>) -> Option<Net> {
        let mut net = Net::default();
        for device in devices(text) {
            let is_usual = device.name == LOOPBACK;
            let is_loopback = match loopback {
                Some(name) => device.name == name,
                None if device.is_even && !is_usual && device.received > 0 => return None,
                None => device.is_even && is_usual,
            };
            if is_loopback {
                continue;
            }
            net.received = net.received.saturating_add(device.received);
            net.sent = net.sent.saturating_add(device.sent);
            if each {
                net.each.push((text::utf8(device.name).into_owned(), device.received, device.sent));
            }
        }
        Some(net)
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
    pub at: f64,
    pub text: Vec<u8>,
    pub namespace: Place,
}

/// Asks the kernel in each of these namespaces. One that the caller may not enter has the numbers only if an interface has the
/// usual name.
pub(super) fn without_loopback(all: &[Unsure], each: bool) -> Vec<(usize, Net)> {
    let places: Vec<Place> = all.iter().map(|one| one.namespace.clone()).collect();
    let ask = |_| crate::net::loopback().unwrap_or_default();
    let mut names = vec![Vec::new(); all.len()];
    for (at, name) in visit(&places, Kind::Net, ask).unwrap_or_default() {
        names[at] = name;
    }
    let net = |(one, name): (&Unsure, &Vec<u8>)| {
        let usual = || devices(&one.text).any(|device| device.is_even && device.name == LOOPBACK);
        let name = if name.is_empty() { Some(LOOPBACK).filter(|_| usual()) } else { Some(&name[..]) };
        let net = Net::parse(&one.text, each, Some(name?))?;
        Some((one.container, Net { at: one.at, ..net }))
    };
    all.iter().zip(&names).filter_map(net).collect()
}

/// Numbers for another process: the container, and what was received and sent in its network namespace.
pub(super) fn pack(all: &[(usize, Net)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(all.len() * 40);
    for (container, net) in all {
        let numbers = [*container as u64, net.at.to_bits(), net.received, net.sent, net.each.len() as u64];
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
        let (received, sent, count) = (take(&mut bytes)?, take(&mut bytes)?, take(&mut bytes)?);
        let mut each = Vec::new();
        for _ in 0..count {
            let (received, sent, length) = (take(&mut bytes)?, take(&mut bytes)?, take(&mut bytes)?);
            let (name, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            bytes = rest;
            each.push((text::utf8(name).into_owned(), received, sent));
        }
        all.push((container, Net { at, received, sent, each }));
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
        let all = [(7, Net { at: 1.5, received: 4, sent: 6, each }), (usize::MAX, Net::default())];
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
        assert_eq!(Net::parse(text, false, None), sum(110, 220));
        let each = [("eth0".to_owned(), 100, 200), ("a:b".to_owned(), 10, 20)];
        assert_eq!(Net::parse(text, true, None).map(|net| net.each), Some(each.into()));
        assert_eq!(Net::parse(b"", true, None), sum(0, 0));
        // It can have another name, and another interface its name.
        assert_eq!(Net::parse(text, false, Some(b"eth0")), sum(19, 29));
        let text = text::utf8(text).replace("100 1", "200 1");
        assert_eq!(Net::parse(text.as_bytes(), false, None), None, "either can be the loopback");
        assert_eq!(Net::parse(text.replace("lo:    9", "lo:    7").as_bytes(), false, None), None);
        let resting = text.replace("200 1", "0 0").replace("lo:    9", "lo:    7");
        assert_eq!(Net::parse(resting.as_bytes(), false, None), sum(17, 29), "lo sent more than it received");
    }

    #[test]
    fn without_the_kernel_only_the_usual_name_is_that_of_the_loopback() {
        let net = |text: &str| {
            let text = format!("1\n2\n{text}").into_bytes();
            let namespace = Place::of_file("/nonexistent".into(), 1);
            without_loopback(&[Unsure { container: 3, at: 1.5, text, namespace }], false)
        };
        let even = "eth0: 9 1 0 0 0 0 0 0 9 1\n";
        assert_eq!(net(even), []);
        let expected = [(3, Net { at: 1.5, received: 9, sent: 9, each: Vec::new() })];
        assert_eq!(net(&format!("{even}lo: 7 1 0 0 0 0 0 0 7 1\n")), expected);
    }
}
