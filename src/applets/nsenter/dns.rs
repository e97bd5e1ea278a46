//! The files for `--dns`: how the container resolves names of hosts.

use anyhow::{Result, bail};
use nix::unistd::Pid;

use crate::access::Account;
use crate::container::Files;
use crate::proc::ProcRoot;

/// The contents of the container's files.
pub(super) struct Dns {
    pub resolv: Vec<u8>,
    pub hosts: Vec<u8>,
    pub nsswitch: Option<Vec<u8>>,
}

/// Reads the files before the container is entered, with the limits of [`Files`]. A missing one counts as empty, as for
/// the container's own programs.
pub(super) fn read(proc: &ProcRoot, pid: Pid) -> Result<Dns> {
    let account = Account::Container(pid.as_raw().unsigned_abs().into());
    let files = Files::of_container(&proc.path_of(pid, "root"), account)?.of_anyone();
    let dns = Dns {
        resolv: files.read("/etc/resolv.conf").unwrap_or_default(),
        hosts: files.read("/etc/hosts").unwrap_or_default(),
        nsswitch: files.read("/etc/nsswitch.conf"),
    };
    if let Some(problem) = files.warnings().first() {
        bail!("cannot take the DNS configuration of the target: {problem}");
    }
    Ok(dns)
}

/// The services that need no process and no library besides the C library. The others ask a daemon of the host, which
/// answers with the names of the host; and the C library loads a library that is named after the service, so a container
/// must not choose them.
const SERVICES: [&str; 2] = ["files", "dns"];

/// The nsswitch.conf(5) of the host, with the order in which the container looks for hosts.
pub(super) fn with_hosts_of(host: &[u8], container: Option<&[u8]>) -> Vec<u8> {
    let services = container.and_then(|text| text.split(|&b| b == b'\n').find_map(hosts));
    let known = |word: &str| SERVICES.into_iter().find(|service| *service == word);
    let mut order: Vec<&str> = Vec::new();
    for service in services.unwrap_or_default().split_ascii_whitespace().filter_map(known) {
        if !order.contains(&service) {
            order.push(service);
        }
    }
    if order.is_empty() {
        order.extend(SERVICES);
    }
    let mut text = format!("hosts: {}\n", order.join(" ")).into_bytes();
    for line in host.split_inclusive(|&b| b == b'\n').filter(|line| hosts(line).is_none()) {
        text.extend_from_slice(line);
    }
    text
}

/// The services in a line for hosts.
fn hosts(line: &[u8]) -> Option<&str> {
    let line = line.split(|&b| b == b'#').next()?.trim_ascii_start();
    let services = line.strip_prefix(b"hosts")?.trim_ascii_start().strip_prefix(b":")?;
    Some(std::str::from_utf8(services).unwrap_or_default())
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &[u8]) {
    let made = with_hosts_of(b"", Some(text));
    let order = made.strip_prefix(b"hosts: ").and_then(|rest| rest.strip_suffix(b"\n")).unwrap_or_default();
    let mut words = order.split(|&b| b == b' ');
    assert!(words.all(|word| SERVICES.iter().any(|service| service.as_bytes() == word)), "another service");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_order_of_files_and_dns_is_the_containers() {
        let host =
            b"passwd: files sss\n hosts : resolve [!UNAVAIL=return] files\n# hosts: x\nhosts:\tmymachines\n";
        let made = |container: Option<&str>| {
            String::from_utf8(with_hosts_of(host, container.map(str::as_bytes))).expect("text")
        };
        let expected = |hosts: &str| format!("hosts: {hosts}\npasswd: files sss\n# hosts: x\n");
        for (container, hosts) in [
            (None, "files dns"),
            (Some(""), "files dns"),
            (Some("passwd: evil\nhosts: dns [NOTFOUND=return] files # x\nhosts: files\n"), "dns files"),
            (Some("hosts: evil ../../x/y mdns4_minimal dns dns"), "dns"),
            (Some("hosts: evil"), "files dns"),
            (Some("hosts: files\0dns"), "files dns"),
        ] {
            assert_eq!(made(container), expected(hosts), "{container:?}");
        }
    }
}
