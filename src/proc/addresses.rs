//! The addresses of a network namespace, in /proc/PID/net: without entering it, and without netlink.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Process;

impl Process<'_> {
    /// The addresses of its network namespace that others can reach, in the order of the kernel: no loopback, no link-local
    /// ones. None if the files cannot be read.
    #[must_use]
    pub(crate) fn addresses(&self) -> Option<Vec<IpAddr>> {
        let v4 = self.beginning("net/fib_trie").ok()?;
        // Missing if the kernel has no IPv6.
        let v6 = self.beginning("net/if_inet6").unwrap_or_default();
        let v4 = local_addresses(&String::from_utf8_lossy(&v4)).into_iter().map(IpAddr::V4);
        Some(v4.chain(global_addresses(&String::from_utf8_lossy(&v6)).into_iter().map(IpAddr::V6)).collect())
    }

    /// The kernel writes these files page by page. A container may have any number of addresses and routes.
    fn beginning(&self, file: &str) -> std::io::Result<Vec<u8>> {
        const MOST: u64 = 64 << 10;
        let mut text = Vec::new();
        File::from(self.root.open(&self.path(file))?).take(MOST).read_to_end(&mut text)?;
        Ok(text)
    }
}

/// The local addresses in the text of fib_trie: `|-- ADDRESS`, and in the next line `/32 host LOCAL`.
fn local_addresses(text: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if let Some(address) = last.filter(|_| line == "/32 host LOCAL") {
            if !address.is_loopback() && !address.is_link_local() && !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// `ADDRESS INDEX PREFIX SCOPE FLAGS NAME`, in hexadecimal digits. The scope 00 is global.
fn global_addresses(text: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let (address, scope) = (words.next()?, words.nth(2)?);
        (scope == "00").then(|| u128::from_str_radix(address, 16).ok().map(Ipv6Addr::from))?
    };
    text.lines().filter_map(address).collect()
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    assert!(local_addresses(text).iter().all(|address| !address.is_loopback()));
    _ = global_addresses(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_and_global_addresses() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        |-- 172.17.0.2\n           \
                    /32 host LOCAL\n        |-- 172.17.255.255\n           /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
                    Local:\n        |-- 172.17.0.2\n           /32 host LOCAL\n";
        assert_eq!(local_addresses(trie), [Ipv4Addr::new(172, 17, 0, 2)]);
        let v6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
                  fe800000000000000042acfffe110002 05 40 20 80     eth0\n\
                  20010db8000000000000000000000002 05 40 00 80     eth0\n";
        assert_eq!(global_addresses(v6).iter().map(ToString::to_string).collect::<Vec<_>>(), ["2001:db8::2"]);
        assert!(local_addresses("x\n/32 host LOCAL").is_empty() && global_addresses("x").is_empty());
    }
}
