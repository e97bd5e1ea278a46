//! What a word can mean.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

use crate::container::pod_uid;
use crate::net::{Listener, Transport, takes};
use crate::proc::ns::Kind as Namespace;
use crate::proc::number;

/// In the JSON by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Interface,
    Address,
    Mac,
    Port,
    Path,
    Namespace,
    Cgroup,
    Socket,
    Device,
    Pid,
    Cpid,
    Hostname,
    Id,
}

impl Kind {
    /// With the prefix that forces it.
    pub(super) const ALL: [(Kind, &'static str, &'static str); 13] = [
        (Kind::Interface, "interface", "if"),
        (Kind::Address, "address", "ip"),
        (Kind::Mac, "mac", "mac"),
        (Kind::Port, "port", "port"),
        (Kind::Path, "path", "path"),
        (Kind::Namespace, "namespace", "ns"),
        (Kind::Cgroup, "cgroup", "cgroup"),
        (Kind::Socket, "socket", "sock"),
        (Kind::Device, "device", "dev"),
        (Kind::Pid, "pid", "pid"),
        (Kind::Cpid, "cpid", "cpid"),
        (Kind::Hostname, "hostname", "host"),
        (Kind::Id, "id", "id"),
    ];

    pub(super) fn name(self) -> &'static str {
        Kind::ALL[self as usize].1
    }

    pub(super) fn prefix(self) -> &'static str {
        Kind::ALL[self as usize].2
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    Interface(Vec<u8>),
    Address(IpAddr),
    /// Lower case, with colons.
    Mac(String),
    Port(Port),
    Path(Vec<u8>),
    /// A file that was deleted.
    Gone(Vec<u8>),
    /// Without a kind any of the eight.
    Namespace(Option<Namespace>, u64),
    Cgroup(String),
    Socket(Socket),
    Device(Device),
    Pid(i32),
    Cpid(i32),
    Hostname(String),
    /// The beginning of an id, or a name.
    Id(String),
    /// A line of the kernel's log about a process that was killed for lack of memory.
    Oom(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub number: u16,
    pub transport: Option<Transport>,
    pub address: Option<IpAddr>,
}

impl Port {
    /// Is it the port on which that socket listens?
    pub(super) fn fits(&self, one: &Listener) -> bool {
        one.port == self.number
            && self.transport.is_none_or(|transport| transport == one.transport)
            && self.address.is_none_or(|address| takes(one.address, one.only_v6, address))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    Inode(u64),
    Path(Vec<u8>),
    /// An abstract name, with `@` in place of each NUL.
    Abstract(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Device {
    Number(u32, u32),
    Name(String),
}

impl Reading {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Reading::Interface(_) => Kind::Interface,
            Reading::Address(_) => Kind::Address,
            Reading::Mac(_) => Kind::Mac,
            Reading::Port(_) => Kind::Port,
            Reading::Path(_) | Reading::Gone(_) => Kind::Path,
            Reading::Namespace(..) => Kind::Namespace,
            Reading::Cgroup(_) | Reading::Oom(_) => Kind::Cgroup,
            Reading::Socket(_) => Kind::Socket,
            Reading::Device(_) => Kind::Device,
            Reading::Pid(_) => Kind::Pid,
            Reading::Cpid(_) => Kind::Cpid,
            Reading::Hostname(_) => Kind::Hostname,
            Reading::Id(_) => Kind::Id,
        }
    }
}

impl Reading {
    /// Do state files and lists of processes alone say whose it is?
    pub(super) fn is_in_files(&self) -> bool {
        matches!(
            self,
            Reading::Namespace(..)
                | Reading::Cgroup(_)
                | Reading::Pid(_)
                | Reading::Cpid(_)
                | Reading::Id(_)
                | Reading::Oom(_)
        )
    }

    /// What only root of the first user namespace can look at.
    pub(super) fn withheld(&self) -> Option<&'static str> {
        match self {
            Reading::Namespace(..) => Some("namespaces of other users: only root sees them"),
            Reading::Id(_) => Some("state files of root: only root reads them"),
            _ => None,
        }
    }
}

/// What the kernel adds to the path of a file that is deleted.
pub(super) const DELETED: &[u8] = b" (deleted)";
/// Inodes of namespaces begin here.
const FIRST_NAMESPACE: u64 = 4_026_531_840 - 16;
/// The longest name of an interface.
const LONGEST_INTERFACE: usize = 15;
/// So many digits are nothing but an id.
const LONG_ENOUGH: usize = 12;

/// All readings that the look of a word allows, the likeliest first. An error says what is wrong.
pub(super) fn readings(word: &OsStr) -> Result<Vec<Reading>, String> {
    let bytes = word.as_bytes();
    let text = word.to_str();
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    if is_oom_line(bytes) {
        return Ok(vec![Reading::Oom(bytes.to_vec())]);
    }
    if let Some(namespace) = text.and_then(namespace) {
        return Ok(vec![namespace]);
    }
    let is_of =
        |kind: &Namespace| text.is_some_and(|text| text.starts_with(&format!("{}:[", kind.proc_name())));
    if Namespace::ALL.iter().any(is_of) {
        return Err("it is not a namespace such as net:[4026532181]".to_owned());
    }
    if let Some((Kind::Path, path @ [_, ..])) = forced(bytes) {
        return Ok(paths(path, None));
    }
    if let Some((kind, rest)) = forced(bytes) {
        return forced_reading(kind, rest).map(|reading| vec![reading]);
    }
    if bytes.starts_with(b"/") {
        let group = text.map(|text| Reading::Cgroup(text.to_owned()));
        return Ok(paths(bytes, group));
    }
    if bytes.starts_with(b"@") && bytes.len() > 1 {
        return Ok(vec![Reading::Socket(Socket::Abstract(bytes.to_vec()))]);
    }
    let Some(text) = text else { return Ok(vec![Reading::Interface(bytes.to_vec())]) };
    if let Some(inode) = bracketed(text, "socket") {
        return Ok(vec![Reading::Socket(Socket::Inode(inode))]);
    }
    if let Some(path) = cgroup_line(text) {
        return Ok(vec![Reading::Cgroup(path.to_owned())]);
    }
    if let Some(number) = decimal(text) {
        return Ok(match i32::try_from(number) {
            Ok(pid) if pid > 0 => vec![Reading::Pid(pid)],
            _ if number >= FIRST_NAMESPACE => vec![Reading::Namespace(None, number)],
            _ => return Err("the number is neither a PID nor a namespace".to_owned()),
        });
    }
    if let Some(address) = address(text) {
        return Ok(vec![Reading::Address(address)]);
    }
    if let Some(mac) = mac(text) {
        return Ok(vec![Reading::Mac(mac)]);
    }
    if let Some(port) = port(text) {
        return Ok(vec![Reading::Port(port)]);
    }
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    if text.strip_prefix(':').is_some_and(is_number) {
        return Err("a port is a number from 1 to 65535".to_owned());
    }
    if let Some(device) = device_number(text) {
        return Ok(vec![Reading::Device(device)]);
    }
    Ok(name(text))
}

/// A path, and that of a file that is deleted, with the mark of the kernel or without it.
fn paths(bytes: &[u8], group: Option<Reading>) -> Vec<Reading> {
    let path = [Reading::Path(bytes.to_vec())].into_iter().chain(group);
    match bytes.strip_suffix(DELETED) {
        Some(gone) => [Reading::Gone(gone.to_vec())].into_iter().chain(path).collect(),
        None => path.chain([Reading::Gone(bytes.to_vec())]).collect(),
    }
}

/// A word without a look of its own.
fn name(text: &str) -> Vec<Reading> {
    let mut all = Vec::new();
    let group = Reading::Cgroup(text.to_owned());
    let is_of_pod = || text.starts_with("pod") && pod_uid(&format!("/kubepods/{text}")).is_some();
    if [".scope", ".slice", ".service"].iter().any(|end| text.ends_with(end)) || is_of_pod() {
        return vec![group];
    }
    // `NAMESPACE/POD/CONTAINER` is a name too.
    if text.contains('/') {
        return vec![group, Reading::Id(text.to_owned())];
    }
    // No interface has a colon in its name, and no host: `RUNTIME:NAME` is a name as ctr-ps prints it.
    if text.contains(':') {
        return vec![Reading::Id(text.to_owned())];
    }
    // Docker makes the beginning of the id the host name.
    if text.len() >= LONG_ENOUGH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return vec![Reading::Id(text.to_owned())];
    }
    let without_peer = text.split_once('@').map_or(text, |(name, _)| name);
    if without_peer.len() <= LONGEST_INTERFACE && !text.contains(char::is_whitespace) {
        all.push(Reading::Interface(without_peer.as_bytes().to_vec()));
    }
    if text.starts_with("loop") && decimal(&text[4..]).is_some() {
        all.push(Reading::Device(Device::Name(text.to_owned())));
    }
    all.push(Reading::Hostname(text.to_owned()));
    all.push(Reading::Id(text.to_owned()));
    all
}

pub(super) fn has_prefix(bytes: &[u8]) -> bool {
    forced(bytes).is_some()
}

fn forced(bytes: &[u8]) -> Option<(Kind, &[u8])> {
    let colon = bytes.iter().position(|&b| b == b':')?;
    let (kind, _, _) = Kind::ALL.into_iter().find(|(_, _, prefix)| prefix.as_bytes() == &bytes[..colon])?;
    Some((kind, &bytes[colon + 1..]))
}

fn forced_reading(kind: Kind, rest: &[u8]) -> Result<Reading, String> {
    let text = std::str::from_utf8(rest).ok();
    let read = |reading: Option<Reading>, wanted: &str| reading.ok_or_else(|| format!("it is not {wanted}"));
    if rest.is_empty() {
        return Err("nothing follows the prefix".to_owned());
    }
    match kind {
        Kind::Interface => Ok(Reading::Interface(rest.to_vec())),
        Kind::Path => Ok(Reading::Path(rest.to_vec())),
        Kind::Address => read(text.and_then(address).map(Reading::Address), "an IP address"),
        Kind::Mac => read(text.and_then(mac).map(Reading::Mac), "a MAC address"),
        Kind::Port => {
            let found = text.and_then(|text| port(text).or_else(|| port(&format!(":{text}"))));
            read(found.map(Reading::Port), "a port")
        }
        Kind::Namespace => {
            let inode = || Some(Reading::Namespace(None, decimal(text?)?));
            read(text.and_then(namespace).or_else(inode), "a namespace such as net:[4026532181]")
        }
        Kind::Cgroup => read(
            text.map(|text| Reading::Cgroup(cgroup_line(text).unwrap_or(text).to_owned())),
            "the path of a control group",
        ),
        Kind::Socket => {
            let inode = text.and_then(|text| bracketed(text, "socket").or_else(|| decimal(text)));
            let name = || if rest[0] == b'@' { Socket::Abstract } else { Socket::Path };
            Ok(Reading::Socket(inode.map_or_else(|| name()(rest.to_vec()), Socket::Inode)))
        }
        Kind::Device => {
            let name = |text: &str| Device::Name(text.trim_start_matches("/dev/").to_owned());
            let device = text.map(|text| device_number(text).unwrap_or_else(|| name(text)));
            read(device.map(Reading::Device), "a device")
        }
        Kind::Pid => read(text.and_then(process).map(Reading::Pid), "a PID"),
        Kind::Cpid => read(text.and_then(process).map(Reading::Cpid), "a PID"),
        Kind::Hostname => read(text.map(|text| Reading::Hostname(text.to_owned())), "a host name"),
        Kind::Id => read(text.map(|text| Reading::Id(text.to_owned())), "an id or a name"),
    }
}

fn process(text: &str) -> Option<i32> {
    decimal(text).and_then(|number| i32::try_from(number).ok()).filter(|pid| *pid > 0)
}

pub(super) fn decimal(text: &str) -> Option<u64> {
    number(text.as_bytes()).filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

/// `WORD:[N]`
fn bracketed(text: &str, word: &str) -> Option<u64> {
    decimal(text.strip_prefix(word)?.strip_prefix(":[")?.strip_suffix(']')?)
}

/// `net:[4026532181]`
fn namespace(text: &str) -> Option<Reading> {
    let kind = Namespace::ALL.into_iter().find(|kind| bracketed(text, kind.proc_name()).is_some())?;
    Some(Reading::Namespace(Some(kind), bracketed(text, kind.proc_name())?))
}

/// The path in a line of /proc/PID/cgroup: `0::/docker/ID`.
fn cgroup_line(text: &str) -> Option<&str> {
    let mut fields = text.splitn(3, ':');
    let (number, _, path) = (fields.next()?, fields.next()?, fields.next()?);
    decimal(number).filter(|_| path.starts_with('/')).map(|_| path)
}

/// Without the length of a network and without a zone. IPv4 in IPv6 is IPv4.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text =
        text.split_once('/').map_or(text, |(ip, length)| if decimal(length).is_some() { ip } else { text });
    let text = text.split_once('%').map_or(text, |(ip, _)| ip);
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn mac(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let is_byte = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    (parts.len() == 6 && parts.iter().all(is_byte)).then(|| parts.join(":").to_ascii_lowercase())
}

/// `:8080`, `8080/udp`, `ADDRESS:8080`, `*:8080/tcp`
fn port(text: &str) -> Option<Port> {
    let (text, transport) = match text.rsplit_once('/') {
        Some((text, "tcp" | "tcp6")) => (text, Some(Transport::Tcp)),
        Some((text, "udp" | "udp6")) => (text, Some(Transport::Udp)),
        Some(_) => return None,
        None => (text, None),
    };
    let (host, digits) = match text.rsplit_once(':') {
        Some((host, digits)) => (host, digits),
        None => ("", transport.map(|_| text)?),
    };
    let number = decimal(digits).and_then(|number| u16::try_from(number).ok()).filter(|port| *port != 0)?;
    let any = matches!(host, "" | "*" | "0.0.0.0" | "[::]" | "::");
    let address = if any { None } else { Some(address(host)?) };
    Some(Port { number, transport, address })
}

/// `MAJOR:MINOR`
fn device_number(text: &str) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    let part = |text: &str| decimal(text).and_then(|number| u32::try_from(number).ok());
    Some(Device::Number(part(major)?, part(minor)?))
}

/// Several words, as a line of a log or of another tool.
pub(super) fn is_phrase(text: &str) -> bool {
    text.contains(char::is_whitespace)
}

pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

pub(super) fn is_oom_line(bytes: &[u8]) -> bool {
    const MARKS: [&[u8]; 5] = [
        b"oom-kill:",
        b"Killed process ",
        b"Kill process ",
        b" killed as a result of limit of ",
        b"memory.oom.group",
    ];
    bytes.contains(&b' ') | bytes.contains(&b'=')
        && MARKS.iter().any(|mark| memchr::memmem::find(bytes, mark).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(word: &str) -> Reading {
        readings(OsStr::new(word)).expect("a reading").remove(0)
    }

    #[test]
    fn words_by_their_look() {
        let port = |number, transport, address: Option<&str>| {
            let address = address.map(|address| address.parse().expect("an address"));
            Reading::Port(Port { number, transport, address })
        };
        for (word, reading) in [
            ("4711", Reading::Pid(4711)),
            ("4026532181", Reading::Namespace(None, 4_026_532_181)),
            ("net:[4026532181]", Reading::Namespace(Some(Namespace::Net), 4_026_532_181)),
            ("pid:[4026532181]", Reading::Namespace(Some(Namespace::Pid), 4_026_532_181)),
            ("ns:4026532181", Reading::Namespace(None, 4_026_532_181)),
            ("172.17.0.5/16", Reading::Address([172, 17, 0, 5].into())),
            ("::ffff:10.0.0.1", Reading::Address([10, 0, 0, 1].into())),
            ("02:42:AC:11:00:02", Reading::Mac("02:42:ac:11:00:02".to_owned())),
            (":8080", port(8080, None, None)),
            ("8080/udp", port(8080, Some(Transport::Udp), None)),
            ("127.0.0.1:80", port(80, None, Some("127.0.0.1"))),
            ("[::1]:80/tcp", port(80, Some(Transport::Tcp), Some("::1"))),
            ("port:80", port(80, None, None)),
            ("254:0", Reading::Device(Device::Number(254, 0))),
            ("socket:[77]", Reading::Socket(Socket::Inode(77))),
            ("sock:77", Reading::Socket(Socket::Inode(77))),
            ("sock:/run/x", Reading::Socket(Socket::Path(b"/run/x".to_vec()))),
            ("sock:@x", Reading::Socket(Socket::Abstract(b"@x".to_vec()))),
            ("@/tmp/.X11-unix/X0", Reading::Socket(Socket::Abstract(b"@/tmp/.X11-unix/X0".to_vec()))),
            ("cpid:17", Reading::Cpid(17)),
            ("id:1234", Reading::Id("1234".to_owned())),
            ("id:12", Reading::Id("12".to_owned())),
            ("0::/docker/x", Reading::Cgroup("/docker/x".to_owned())),
            ("docker-x.scope", Reading::Cgroup("docker-x.scope".to_owned())),
            ("veth12@if3", Reading::Interface(b"veth12".to_vec())),
            ("/var/lib", Reading::Path(b"/var/lib".to_vec())),
            ("/srv/log (deleted)", Reading::Gone(b"/srv/log".to_vec())),
        ] {
            assert_eq!(first(word), reading, "{word}");
        }
        for word in ["", "if:", "ip:x", "pid:0", "cpid:x", "port:70000", "mac:1", "net:[x]", "pid:[]"] {
            assert!(readings(OsStr::new(word)).is_err(), "{word}");
        }
        assert!(Kind::ALL.iter().enumerate().all(|(at, (kind, _, _))| *kind as usize == at));
    }

    #[test]
    fn ports_have_sixteen_bits() {
        for word in [":0", ":65536", ":99999999999999999999"] {
            assert!(readings(OsStr::new(word)).is_err(), "{word}");
        }
    }

    #[test]
    fn a_name_can_be_several_things() {
        let kinds = |word: &str| -> Vec<Kind> {
            readings(OsStr::new(word)).expect("readings").iter().map(Reading::kind).collect()
        };
        assert_eq!(kinds("/a"), [Kind::Path, Kind::Cgroup, Kind::Path]);
        assert_eq!(kinds("path:/a (deleted)"), [Kind::Path, Kind::Path]);
        assert_eq!(kinds("web"), [Kind::Interface, Kind::Hostname, Kind::Id]);
        assert_eq!(kinds(&"a1".repeat(32)), [Kind::Id]);
        assert_eq!(kinds("shop/web"), [Kind::Cgroup, Kind::Id]);
        assert_eq!(kinds("docker:web"), [Kind::Id]);
        assert_eq!(kinds("pod0b3f5a52-1111-2222-3333-4444deadbeef"), [Kind::Cgroup]);
        assert_eq!(kinds("system.slice/a.service"), [Kind::Cgroup]);
        assert_eq!(kinds("a1b2c3"), [Kind::Interface, Kind::Hostname, Kind::Id]);
    }
}
