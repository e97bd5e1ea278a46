//! The words of a line that can belong to a container.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;

use super::super::answer::Role;
use super::super::thing::Kind;
use super::Thing;
use super::known::Known;
use super::time::{Stamp, split};
use crate::container::pod_uid;
use crate::isolation::cgroup::kills::OomLine;

/// The bytes of words. A path, an id, an address and the name of an interface have no others.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(b, b'_' | b'.' | b'/' | b':' | b'@' | b'%' | b'+' | b'-' | b'\\');
        byte += 1;
    }
    table
};

/// The shortest word that can be an id, and the length of a whole one.
const SHORT_ID: usize = 12;
const LONG_ID: usize = 64;
const LONGEST_INTERFACE: usize = 15;
/// The digits of a PID.
const LONGEST_PID: usize = 7;

/// Adds what is known of a line, in order.
pub(super) fn things(line: &[u8], known: &mut Known<'_>, found: &mut Vec<Thing>) -> Result<()> {
    let mut at = 0;
    while at < line.len() {
        if !WORD[usize::from(line[at])] {
            at += 1;
            continue;
        }
        let start = at;
        while at < line.len() && WORD[usize::from(line[at])] {
            at += 1;
        }
        let mut end = at;
        while end > start && matches!(line[end - 1], b'.' | b':' | b'-' | b'\\') {
            end -= 1;
        }
        let word = &line[start..end];
        let thing = match word {
            [] | [_] => of_number(line, start, word, known)?,
            _ => of_word(line, start, word, known)?,
        };
        found.extend(thing);
    }
    // What another host has said of its own processes, groups and networks. An id is that of one container anywhere.
    let needs_host = found.iter().any(|one| !has_id(&line[one.start..one.end]));
    if needs_host && host_of(line).is_some_and(|name| !known.is_host(name)) {
        found.retain(|one| has_id(&line[one.start..one.end]));
    }
    Ok(())
}

fn has_id(word: &[u8]) -> bool {
    next_run(word, 0).is_some() || std::str::from_utf8(word).is_ok_and(|text| pod_uid(text).is_some())
}

/// The host in a line of syslog(3), `TIME HOST NAME:`, or of auditd(8), `node=HOST `. Other programs write a level in its place.
/// Some forms have no host.
fn host_of(line: &[u8]) -> Option<&[u8]> {
    const LEVELS: [&str; 14] = [
        "trace", "debug", "info", "notice", "warn", "warning", "err", "error", "crit", "critical", "alert",
        "emerg", "fatal", "panic",
    ];
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let words = |text| <[u8]>::split(text, is_blank).filter(|word| !word.is_empty());
    if let Some(node) = words(line).next().and_then(|word| word.strip_prefix(b"node=")) {
        return Some(node);
    }
    let (stamp, rest) = split(line).filter(|_| !line.starts_with(b"["))?;
    let mut words = words(rest);
    let (host, tag) = (words.next()?, words.next()?.strip_suffix(b":")?);
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_level = LEVELS.iter().any(|level| host.eq_ignore_ascii_case(level.as_bytes()));
    let is_syslog =
        matches!(stamp, Stamp::Local { .. }) || tag == b"kernel" || (host.iter().all(is_name) && !is_level);
    Some(host).filter(|host| is_syslog && !host.ends_with(b":"))
}

fn of_word(line: &[u8], start: usize, word: &[u8], known: &mut Known<'_>) -> Result<Option<Thing>> {
    if word.len() >= SHORT_ID {
        if let Some(thing) = of_ids(start, word, known)? {
            return Ok(Some(thing));
        }
    }
    if let Some(path) = group(line, start, word) {
        let owner = known.group(path)?;
        let end = start + word.len();
        return Ok(owner.map(|owner| thing(start, end, Kind::Cgroup, Role::Member, owner)));
    }
    if word[0].is_ascii_digit() {
        if let Some((address, length)) = ipv4(word) {
            let owner = known.address(IpAddr::V4(address))?;
            return Ok(owner.map(|owner| thing(start, start + length, Kind::Address, Role::Address, owner)));
        }
        if word.len() <= LONGEST_PID && word.iter().all(u8::is_ascii_digit) {
            return of_number(line, start, word, known);
        }
    }
    if let Some(address) = ipv6(word) {
        let owner = known.address(address)?;
        return Ok(owner.map(|owner| thing(start, start + word.len(), Kind::Address, Role::Address, owner)));
    }
    let end = word.iter().position(|b| matches!(b, b'@' | b':' | b'/')).unwrap_or(word.len());
    let name = &word[..end];
    if (2..=LONGEST_INTERFACE).contains(&name.len()) {
        let owner = known.interface(name)?;
        return Ok(owner.map(|owner| thing(start, start + end, Kind::Interface, Role::Peer, owner)));
    }
    Ok(None)
}

fn thing(start: usize, end: usize, kind: Kind, role: Role, subject: usize) -> Thing {
    Thing { start, end, kind, role, pid: None, subject }
}

/// The path of a control group: in a line of proc_pid_cgroup(5), or where the kernel writes one in a line about lack of
/// memory. Its end is not seen in the word: a name can have any bytes.
fn group<'l>(line: &[u8], start: usize, word: &'l [u8]) -> Option<&'l [u8]> {
    if let Some(path) = word.strip_prefix(b"0::").filter(|path| path.starts_with(b"/")) {
        return Some(path).filter(|_| line[start + word.len()..].trim_ascii_end().is_empty());
    }
    let before = word.starts_with(b"/").then(|| &line[..start])?;
    if before.ends_with(b"Memory cgroup stats for ") {
        let after = &line[start + word.len()..];
        return (after == b":" || after.starts_with(b": ")).then_some(word);
    }
    let marks: [&[u8]; 4] = [b",oom_memcg=", b",task_memcg=", b"Task in ", b" as a result of limit of "];
    if !marks.iter().any(|mark| before.ends_with(mark)) {
        return None;
    }
    let read = OomLine::parse(line)?;
    [read.victim, read.limit].into_iter().flatten().any(|path| path == word).then_some(word)
}

/// The last id in a word that is known: in a path the innermost.
fn of_ids(start: usize, word: &[u8], known: &mut Known<'_>) -> Result<Option<Thing>> {
    let is_path = word.contains(&b'/');
    let text = match std::str::from_utf8(word) {
        Ok(text) => text,
        Err(_) => return Ok(None),
    };
    let slice =
        text.split_once("/user.slice/user-").and_then(|(_, rest)| rest.split_once(".slice")?.0.parse().ok());
    let mut owner = None;
    let mut from = 0;
    while let Some((begin, end)) = next_run(word, from) {
        from = end;
        let run = &text[begin..end];
        let is_number = run.bytes().all(|b| b.is_ascii_digit());
        if (end - begin == LONG_ID || end - begin == SHORT_ID) && !is_number {
            let found = known.id(run)?;
            // A user can give a group the name of any container.
            let is_group = text.contains(".slice/") || text.starts_with("/user.slice");
            owner = found.filter(|owner| !is_group || known.may_be_in(*owner, slice)).or(owner);
        }
    }
    if owner.is_none() && is_path {
        if let Some(uid) = pod_uid(text) {
            owner = known.pod(&uid)?;
        }
    }
    let (kind, role) = if is_path { (Kind::Cgroup, Role::Member) } else { (Kind::Id, Role::Itself) };
    Ok(owner.map(|owner| thing(start, start + word.len(), kind, role, owner)))
}

/// The next run of hexadecimal digits that can be an id, between bytes that are neither letters nor digits.
fn next_run(word: &[u8], mut from: usize) -> Option<(usize, usize)> {
    loop {
        let begin = from + word.get(from..)?.iter().position(u8::is_ascii_alphanumeric)?;
        let length = word[begin..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let end = begin + length;
        let is_hex = || word[begin..end].iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if (length == SHORT_ID || length == LONG_ID) && is_hex() {
            return Some((begin, end));
        }
        from = end;
    }
}

/// An address at the beginning of a word, with its length. A port can follow, as in `10.0.0.1.80` of tcpdump(8).
fn ipv4(word: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let mut parts = [0_u8; 4];
    let mut at = 0;
    for (number, part) in parts.iter_mut().enumerate() {
        let digits = word[at..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 3 || digits > 1 && word[at] == b'0' {
            return None;
        }
        *part = std::str::from_utf8(&word[at..at + digits]).ok()?.parse().ok()?;
        at += digits;
        if number < 3 {
            if word.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    let is_end = match word.get(at) {
        None | Some(b':' | b'/' | b'-' | b'%') => true,
        Some(b'.') => word[at + 1..].iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    is_end.then(|| (Ipv4Addr::from(parts), at))
}

fn ipv6(word: &[u8]) -> Option<IpAddr> {
    let colons = word.iter().filter(|&&b| b == b':').count();
    let looks = colons >= 2 && word.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
    std::str::from_utf8(word).ok().filter(|_| looks)?.parse().ok()
}

/// A number that the line calls a PID.
fn of_number(line: &[u8], start: usize, word: &[u8], known: &mut Known<'_>) -> Result<Option<Thing>> {
    if !word.iter().all(u8::is_ascii_digit) || word.is_empty() {
        return Ok(None);
    }
    let (before, after) = (&line[..start], &line[start + word.len()..]);
    if !is_called_pid(before, after) && !is_tag(before, after) {
        return Ok(None);
    }
    let Some(pid) = std::str::from_utf8(word).ok().and_then(|word| word.parse::<i32>().ok()) else {
        return Ok(None);
    };
    if before.ends_with(b",pid=") {
        known.note_victim(line);
    }
    let is_live = before.ends_with(b"\",pid=") && after.starts_with(b",fd=");
    let name = name_beside(before, after);
    let (mut role, mut owner) = (Role::Member, known.process(pid, line, name, is_live)?);
    if owner.is_none() && is_of_victim(before) {
        owner = of_victim(pid, line, known)?;
    } else if let (None, true, Some(name), Some(port)) = (owner, is_live, name, local_port(before)) {
        (role, owner) = (Role::Published, known.proxy(pid, port, name)?);
    }
    Ok(owner
        .map(|owner| Thing { pid: Some(pid), ..thing(start, start + word.len(), Kind::Pid, role, owner) }))
}

/// The port of the first address in a line of ss(8): the local one.
fn local_port(line: &[u8]) -> Option<u16> {
    let port = |word: &[u8]| {
        let at = word.iter().rposition(|&b| b == b':').filter(|at| *at > 0)?;
        let digits = word[at + 1..].iter().all(u8::is_ascii_digit);
        std::str::from_utf8(&word[at + 1..]).ok().filter(|_| digits)?.parse().ok()
    };
    line.split(|&b| matches!(b, b' ' | b'\t')).find_map(port)
}

/// Is the process that the kernel names here gone, as it was killed for lack of memory?
fn is_of_victim(before: &[u8]) -> bool {
    before.ends_with(b": Killed process ") || before.ends_with(b"oom_reaper: reaped process ")
}

/// Of a process that is gone: the container in whose group it was killed.
fn of_victim(pid: i32, line: &[u8], known: &mut Known<'_>) -> Result<Option<usize>> {
    let Some(group) = known.group_of_victim(pid, line)? else { return Ok(None) };
    match of_ids(0, &group, known)? {
        Some(thing) => Ok(Some(thing.subject)),
        None => known.group(&group),
    }
}

/// `pid=N`, `PID: N`, `process N`; `NAME[N]: segfault` and `traps: NAME[N]` of the kernel.
fn is_called_pid(before: &[u8], after: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let before = before.strip_suffix(b"=").or_else(|| before.strip_suffix(b":")).unwrap_or(before);
    let ends = |end: &[u8]| {
        let at = before.len().checked_sub(end.len());
        let Some((head, tail)) = at.map(|at| before.split_at(at)) else { return false };
        let is_whole = !head.last().is_some_and(u8::is_ascii_alphanumeric);
        tail.eq_ignore_ascii_case(end) && is_whole
    };
    let of_kernel = before.ends_with(b"[")
        && (after.starts_with(b"]: segfault")
            || after.starts_with(b"] general protection")
            || after.starts_with(b"] trap "));
    ends(b"pid") || ends(b"process") || of_kernel
}

/// `TIME HOST NAME[PID]:` of syslog(3) and journalctl(1). Elsewhere in a line a number in brackets can be anything.
fn is_tag(before: &[u8], after: &[u8]) -> bool {
    let Some(before) = before.strip_suffix(b"[").filter(|_| after.starts_with(b"]:")) else { return false };
    let Some((_, head)) = split(before) else { return false };
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let words = head.split(is_blank).filter(|word| !word.is_empty()).count();
    // Without a host name in some forms.
    (1..=2).contains(&words) && !head.last().is_some_and(is_blank)
}

/// The name of the process, if the line has it beside the PID: `(nginx)` after it, `"nginx",` or `nginx[` before it,
/// `comm="nginx"` and `Comm: nginx` after it.
fn name_beside<'l>(before: &'l [u8], after: &'l [u8]) -> Option<&'l [u8]> {
    if let Some(rest) = after.strip_prefix(b" (") {
        return rest.iter().position(|&b| b == b')').map(|end| &rest[..end]);
    }
    if let Some(rest) = before.strip_suffix(b"\",pid=") {
        return rest.iter().rposition(|&b| b == b'"').map(|at| &rest[at + 1..]);
    }
    if let Some(rest) = before.strip_suffix(b",pid=") {
        // A line about lack of memory. The name can have any bytes.
        return memchr::memmem::rfind(rest, b",task=").map(|at| &rest[at + 6..]);
    }
    if let Some(rest) = before.strip_suffix(b"[") {
        return Some(&rest[rest.iter().rposition(|&b| b == b' ').map_or(0, |at| at + 1)..]);
    }
    for (mark, end) in [(&b" comm=\""[..], b'"'), (b" Comm: ", b' ')] {
        if let Some(at) = memchr::memmem::find(after, mark) {
            let rest = &after[at + mark.len()..];
            let length = rest.iter().position(|&b| b == end).unwrap_or(rest.len());
            return Some(&rest[..length]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_at_the_beginning_of_words() {
        let of = |word: &str| ipv4(word.as_bytes()).map(|(ip, length)| (ip.to_string(), length));
        for (word, length) in [("10.0.0.1", 8), ("10.0.0.1:80", 8), ("10.0.0.1/16", 8), ("10.0.0.1.4431", 8)]
        {
            assert_eq!(of(word), Some(("10.0.0.1".to_owned(), length)), "{word}");
        }
        for word in ["10.0.0", "10.0.0.256", "10.0.0.1x", "10.0.0.01", "1.2.3.4.x", "10.0.0.1234", "", "1"] {
            assert_eq!(of(word), None, "{word}");
        }
        assert_eq!(ipv6(b"fd00::2"), "fd00::2".parse().ok());
        assert_eq!(ipv6(b"02:42:ac:11:00:02"), None);
        assert_eq!(ipv6(b"12:30:01"), None);
    }

    #[test]
    fn the_local_port_is_the_first() {
        for (line, port) in [
            ("LISTEN 0 4096 0.0.0.0:8081 0.0.0.0:* users:((\"x\",pid=", Some(8081)),
            ("tcp LISTEN 0 4096 [::]:8081 [::]:* users:((\"x\",pid=", Some(8081)),
            ("udp UNCONN 0 0 127.0.0.1%lo:53 *:*", Some(53)),
            ("*:8081", Some(8081)),
            ("LISTEN 0 4096 *:http *:*", None),
            ("users:((\"x\",pid=", None),
            (":80 1:99999", None),
        ] {
            assert_eq!(local_port(line.as_bytes()), port, "{line}");
        }
    }

    #[test]
    fn groups_in_lines_about_lack_of_memory() {
        let found = |line: &str| {
            let start = line.find("/x").expect("a path");
            let length = line[start..].bytes().take_while(|b| WORD[usize::from(*b)] && *b != b':').count();
            group(line.as_bytes(), start, &line.as_bytes()[start..start + length]).is_some()
        };
        for line in [
            ",oom_memcg=/a,task_memcg=/x/a,task=b,pid=1,uid=0",
            "[1.2] Task in /x killed as a result of limit of /x",
            "Task in /a killed as a result of limit of /x",
            "Memory cgroup stats for /x:",
            "Memory cgroup stats for /x: cache:0KB",
        ] {
            let line = line.replace(",oom_memcg=/a", "oom-kill:c,cpuset=/,oom_memcg=/a");
            assert!(found(&line), "{line}");
        }
        for line in [
            "/x",
            "Task in /x died",
            "Memory cgroup stats for /x y:",
            "Task in /x y killed as a result of limit of /a",
            "oom-kill:c,oom_memcg=/a,task_memcg=/x b,task=b,pid=1,uid=0",
        ] {
            assert!(!found(line), "{line}");
        }
        assert_eq!(group(b"0::/x/y", 0, b"0::/x/y"), Some(&b"/x/y"[..]));
    }

    #[test]
    fn hosts_of_lines() {
        for (line, host) in [
            ("Nov 22 14:38:03 web1 kernel: eth0: up", Some("web1")),
            ("<30>Nov 22 14:38:03 web1 sshd[7]: x", Some("web1")),
            ("2026-11-22T14:38:03+0000 web1 sshd[7]: x", Some("web1")),
            ("2026-11-22T14:38:03Z web1 kernel: x", Some("web1")),
            ("2026-11-22T14:38:03Z web1 sleep: x", Some("web1")),
            ("node=web1 type=SYSCALL msg=audit(1.1:2): pid=9", Some("web1")),
            ("2026-11-22T14:38:03Z INFO app: x", None),
            ("2026-11-22T14:38:03Z [main] app: x", None),
            ("Nov 22 14:38:03 sshd[7]: x", None),
            ("[   12.5] eth0 kernel: x", None),
            ("<6>[   12.5] docker0: port 1: x", None),
            ("web1 sshd[7]: x", None),
        ] {
            assert_eq!(host_of(line.as_bytes()), host.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn ids_stand_alone() {
        let long = "a1".repeat(32);
        let runs = |word: &str| {
            let (mut all, mut from) = (Vec::new(), 0);
            while let Some((begin, end)) = next_run(word.as_bytes(), from) {
                all.push(word[begin..end].to_owned());
                from = end;
            }
            all
        };
        assert_eq!(runs(&format!("/docker/{long}/x")), std::slice::from_ref(&long));
        assert_eq!(runs(&format!("docker-{long}.scope")), std::slice::from_ref(&long));
        assert_eq!(runs("a1b2c3d4e5f6"), ["a1b2c3d4e5f6"]);
        assert!(runs(&format!("{long}0")).is_empty() && runs("xa1b2c3d4e5f6").is_empty());
    }

    #[test]
    fn numbers_that_a_line_calls_pids() {
        let is = |line: &str| {
            let at = line.find('#').expect("a mark");
            is_called_pid(&line.as_bytes()[..at], &line.as_bytes()[at + 1..])
        };
        for line in [
            "pid=#",
            "PID: # Comm: x",
            "pid #",
            "Killed process # (x)",
            "x[#]: segfault at 0",
            "(\"x\",pid=#,fd=3",
        ] {
            assert!(is(line), "{line}");
        }
        for line in ["stupid #", "port #", "sshd[#]: x", "#", "rapid: #", "cpid=#"] {
            assert!(!is(line), "{line}");
        }
        let is_tagged = |line: &str| {
            let at = line.find('#').expect("a mark");
            is_tag(&line.as_bytes()[..at], &line.as_bytes()[at + 1..])
        };
        for line in [
            "Nov 22 14:38:03 host x[#]: y",
            "<30>Nov  2 14:38:03 x[#]: y",
            "2026-11-22T14:38:03+0000 host x[#]: y",
            "[   12.5] host x[#]: y",
        ] {
            assert!(is_tagged(line), "{line}");
        }
        for line in [
            "host x[#]: y",
            "Nov 22 14:38:03 host x[#] y",
            "Nov 22 14:38:03 host y: x[#]: z",
            "Nov 22 14:38:03 host y[1]: x[#]: z",
            "Nov 22 14:38:03 host [#]: z",
        ] {
            assert!(!is_tagged(line), "{line}");
        }
        let name = |line: &'static str| {
            let at = line.find('#').expect("a mark");
            name_beside(&line.as_bytes()[..at], &line.as_bytes()[at + 1..])
        };
        assert_eq!(name("process # (a b)"), Some(&b"a b"[..]));
        assert_eq!(name("((\"nginx\",pid=#,fd=6"), Some(&b"nginx"[..]));
        assert_eq!(name("PID: # Comm: nginx Not tainted"), Some(&b"nginx"[..]));
        assert_eq!(name("pid=# uid=0 comm=\"nginx\" exe"), Some(&b"nginx"[..]));
        assert_eq!(name("kernel: nginx[#]: segfault"), Some(&b"nginx"[..]));
        assert_eq!(name("task_memcg=/a,task=tail,pid=#,uid=0"), Some(&b"tail"[..]));
        assert_eq!(name("pid=# x"), None);
    }
}
