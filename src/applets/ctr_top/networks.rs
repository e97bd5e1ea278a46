//! The interfaces of network namespaces.

use crate::proc::decimal;
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
    /// `eth0: 1 2 3 …`
    pub(super) fn parse(text: &[u8], each: bool) -> Net {
        let mut net = Net::default();
        for (name, received, sent) in devices(text) {
            net.received = net.received.saturating_add(received);
            net.sent = net.sent.saturating_add(sent);
            if each {
                net.each.push((text::utf8(name).into_owned(), received, sent));
            }
        }
        net
    }
}

fn devices(text: &[u8]) -> impl Iterator<Item = (&[u8], u64, u64)> {
    text::lines(text).skip(2).filter_map(|line| {
        // A name can contain a colon.
        let colon = memchr::memrchr(b':', line)?;
        let name = line[..colon].trim_ascii();
        if name == b"lo" {
            return None;
        }
        let mut words = line[colon + 1..].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let received = words.next().and_then(decimal).unwrap_or(0);
        let sent = words.nth(7).and_then(decimal).unwrap_or(0);
        Some((name, received, sent))
    })
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
        assert_eq!(Net::parse(text, false), Net { received: 110, sent: 220, ..Net::default() });
        let each = [("eth0".to_owned(), 100, 200), ("a:b".to_owned(), 10, 20)];
        assert_eq!(Net::parse(text, true).each, each);
        assert_eq!(Net::parse(b"", true), Net::default());
    }
}
