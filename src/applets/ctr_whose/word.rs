//! A word of the command line: what it can mean, and why nothing is found.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::answer::Entry;
use super::finder::Finder;
use super::root::Root;
use super::thing::{self, Kind, Reading};
use super::{
    cgroup, device, files, focus, gone, identity, namespace, network, oom, path, port, process, show, socket,
};
use crate::{exit, order, text};

/// A word of the command line, with what it can mean.
pub(super) struct Word {
    pub text: OsString,
    pub readings: Result<Vec<Reading>, String>,
}

impl Word {
    pub(super) fn new(text: &OsStr, root: &Root) -> Word {
        let mut readings = thing::readings(text);
        // The name of an interface of the host is looked up as nothing else.
        if let Ok([Reading::Interface(name), ..]) = readings.as_deref_mut() {
            let name = OsStr::from_bytes(name);
            let is_there = name != ".." && root.metadata(&Path::new("/sys/class/net").join(name)).is_ok();
            readings = readings.map(|mut all| {
                all.truncate(if is_there { 1 } else { all.len() });
                all
            });
        }
        Word { text: text.to_owned(), readings }
    }

    /// Is there nothing more to find among all processes?
    pub(super) fn is_final(&self) -> bool {
        self.readings.as_ref().map_or(true, |all| all.iter().all(focus::is_final))
    }

    /// Does a state file have it as a host name? The container can have given itself another one.
    pub(super) fn may_be_hostname(&self, finder: &Finder<'_>) -> bool {
        let is_it = |reading: &Reading| match reading {
            Reading::Hostname(name) => identity::is_stated(finder, name),
            _ => false,
        };
        self.readings.iter().flatten().any(is_it)
    }

    /// All readings that hold; one without an answer if none does.
    pub(super) fn look_up(&self, finder: &Finder<'_>) -> Vec<show::Found> {
        let Ok(readings) = &self.readings else { return Vec::new() };
        finder.recent.take();
        let mut all: Vec<Entry> = Vec::new();
        for reading in readings {
            let is_path = match &readings[0] {
                Reading::Path(path) => !files::may_be_group(finder.root, path),
                first => matches!(first, Reading::Gone(_)),
            };
            let is_last = matches!(reading, Reading::Gone(_)) && !all.is_empty();
            let is_done = (is_path || is_last) && all.iter().any(|entry| !entry.is_empty());
            if !is_done {
                all.push(read(finder, reading));
            }
        }
        for entry in &mut all {
            show::without_repeats(&mut entry.answers);
            order::sort_by_key(&mut entry.answers, |one| one.by);
        }
        match all.iter().all(Entry::is_empty) {
            true => all.truncate(1),
            false => all.retain(|entry| !entry.is_empty()),
        }
        let thing = text::utf8(self.text.as_encoded_bytes()).into_owned();
        let short = self.short();
        let problems = finder.recent.take();
        let found = |entry| show::Found {
            thing: thing.clone(),
            short: short.clone(),
            entry,
            problems: problems.clone(),
        };
        all.into_iter().map(found).collect()
    }

    /// Nothing is found, but not everything could be looked at: then whose it is is not known. A copy of a host is nothing but
    /// its files.
    pub(super) fn doubt(&self, finder: &Finder<'_>, found: &mut [show::Found]) {
        let is_copy = finder.world.proc.is_copy();
        let is_certain = is_copy || self.readings.iter().flatten().all(Reading::is_in_files);
        let [one] = found else { return };
        // What an earlier word has met is not met again.
        let all = finder.problems.borrow();
        let met = if one.problems.is_empty() { &all } else { &one.problems };
        let withheld = self.readings.iter().flatten().filter_map(Reading::withheld);
        let withheld = withheld.filter(|_| !is_copy && exit::sees_less_than_root()).map(str::to_owned);
        let met = met.iter().filter(|_| !is_certain).cloned();
        let hidden = finder.hidden().filter(|_| self.readings.is_ok());
        let problems: BTreeSet<String> = met.chain(withheld).chain(hidden).collect();
        if one.entry.is_empty() && !problems.is_empty() {
            let problems = problems.into_iter().collect::<Vec<_>>().join("; ");
            one.entry.unknown = Some(format!("cannot look at {problems}"));
        }
    }

    /// What stands for it in a table and in messages.
    pub(super) fn short(&self) -> Option<String> {
        match self.readings.as_deref() {
            Ok([Reading::Oom(line)]) => oom::shortened(line),
            _ => None,
        }
    }

    /// Why there is no answer.
    pub(super) fn problem(&self) -> String {
        let why = match &self.readings {
            Err(problem) => problem.clone(),
            Ok(readings) => {
                let mut tried: Vec<&str> = Vec::new();
                for name in readings.iter().map(|reading| reading.kind().name()) {
                    tried.extend(Some(name).filter(|name| !tried.contains(name)));
                }
                format!("nothing found, as {}", tried.join(", "))
            }
        };
        let word = self.short().map_or_else(|| self.text.clone(), OsString::from);
        let shown = text::shown(&word);
        let others = self.with_prefix();
        let prefix = |kind: &Kind| match kind {
            Kind::Port => format!("':{shown}'"),
            kind => format!("'{}:{shown}'", kind.prefix()),
        };
        let help = match others.iter().map(prefix).collect::<Vec<_>>().join(", ") {
            _ if self.text.as_bytes().starts_with(b"compose:") => {
                "; 'ctr-ps -l -a --project NAME' lists the containers of a project".to_owned()
            }
            _ if self.is_line() => "; a line goes to 'ctr-whose -'".to_owned(),
            none if none.is_empty() => none,
            all => format!("; perhaps {all}"),
        };
        format!("'{shown}': {why}{help}")
    }

    /// Can it be a line of a log or of another tool?
    fn is_line(&self) -> bool {
        !thing::has_prefix(self.text.as_bytes()) && self.text.to_str().is_some_and(thing::is_phrase)
    }

    /// What the word can be with a prefix that it has not. Other words have a look that leaves nothing open.
    fn with_prefix(&self) -> Vec<Kind> {
        const OF_NAMES: [Kind; 3] = [Kind::Interface, Kind::Cgroup, Kind::Device];
        let is_number = !self.text.is_empty() && self.text.as_bytes().iter().all(u8::is_ascii_digit);
        match self.readings.as_deref() {
            _ if thing::has_prefix(self.text.as_bytes()) => Vec::new(),
            Ok([Reading::Pid(number)]) if u16::try_from(*number).is_ok() => {
                vec![Kind::Port, Kind::Cpid, Kind::Socket, Kind::Id]
            }
            Ok([Reading::Pid(_)]) => vec![Kind::Cpid, Kind::Socket, Kind::Id],
            _ if is_number => vec![Kind::Socket, Kind::Id],
            Ok([.., Reading::Hostname(_), Reading::Id(_)]) => {
                let tried = |kind: &Kind| self.readings.iter().flatten().any(|one| one.kind() == *kind);
                OF_NAMES.into_iter().filter(|kind| !tried(kind)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn read(finder: &Finder<'_>, reading: &Reading) -> Entry {
    match reading {
        Reading::Interface(name) => network::interface(finder, name),
        Reading::Address(address) => network::address(finder, *address),
        Reading::Mac(mac) => network::mac(finder, mac),
        Reading::Port(port) => port::port(finder, port),
        Reading::Path(path) => path::path(finder, path),
        Reading::Gone(path) => gone::holders(finder, Path::new(OsStr::from_bytes(path))),
        Reading::Namespace(kind, inode) => namespace::namespace(finder, *kind, *inode),
        Reading::Cgroup(path) => cgroup::cgroup(finder, path),
        Reading::Socket(socket) => socket::socket(finder, socket),
        Reading::Device(device) => device::device(finder, device),
        Reading::Pid(pid) => process::pid(finder, *pid),
        Reading::Cpid(cpid) => process::cpid(finder, *cpid),
        Reading::Hostname(name) => identity::hostname(finder, name),
        Reading::Id(id) => identity::id(finder, id),
        Reading::Oom(line) => oom::line(finder, line),
    }
}
