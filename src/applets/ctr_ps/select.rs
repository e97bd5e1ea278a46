//! Selects the processes that are shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use anyhow::{Result, anyhow, bail};

use super::attributes::Attributes;
use super::containers::{Containers, matches_name};
use super::habits::words::of_word;
use super::process::{Origin, Process};
use crate::container::matching::{self, matching};
use crate::container::near::did_you_mean;
use crate::container::records::Records;
use crate::container::target::{self, Target};
use crate::container::{Container, IdentifiedBy, Runtime};
use crate::exit;
use crate::proc::ProcRoot;
use crate::text;

/// The selection on the command line. A process must match every option that is given.
#[derive(Default, Clone)]
pub(super) struct Selection {
    /// The targets of `-c`, as the user wrote them.
    pub containers: Vec<String>,
    /// Those of them that are operands.
    pub operands: Vec<String>,
    pub pids: Vec<i32>,
    /// Processes whose parents these are.
    pub ppids: Vec<i32>,
    pub terminals: Vec<Terminal>,
    pub users: Vec<u32>,
    pub runtimes: Vec<Runtime>,
    pub hows: Vec<IdentifiedBy>,
    pub vias: Vec<Origin>,
    pub contained: bool,
    /// Only processes in no container.
    pub host: bool,
    /// What containers must have; see [`super::attributes`].
    pub attributes: Attributes,
    pub kernel_threads: bool,
}

impl Selection {
    /// Must all processes be read to select some?
    #[must_use]
    pub(super) fn needs_all(&self) -> bool {
        let both = !self.pids.is_empty() && !self.containers.is_empty();
        both || !self.vias.is_empty()
    }

    /// Are all processes except kernel threads shown?
    #[must_use]
    pub(super) fn is_all(&self) -> bool {
        self.containers.is_empty()
            && self.runtimes.is_empty()
            && self.attributes.is_empty()
            && !self.contained
            && !self.host
            && !self.by_process()
    }

    /// Is a kernel thread with this PID shown?
    #[must_use]
    pub(super) fn shows_kernel_thread(&self, pid: i32) -> bool {
        self.kernel_threads || self.pids.contains(&pid)
    }

    /// Are processes selected by their own attributes, and not only by their containers?
    #[must_use]
    pub(super) fn by_process(&self) -> bool {
        !(self.pids.is_empty()
            && self.ppids.is_empty()
            && self.terminals.is_empty()
            && self.users.is_empty()
            && self.hows.is_empty()
            && self.vias.is_empty())
    }

    fn fits(&self, process: &Process) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        any(self.pids.is_empty(), self.pids.contains(&process.pid))
            && any(self.ppids.is_empty(), process.ppid.is_some_and(|ppid| self.ppids.contains(&ppid)))
            && any(self.users.is_empty(), process.uid.is_some_and(|uid| self.users.contains(&uid)))
            && any(
                self.hows.is_empty() && self.vias.is_empty(),
                process.how.is_some_and(|how| self.hows.contains(&how))
                    || process.via.is_some_and(|via| self.vias.contains(&via)),
            )
            && any(!self.contained, process.container().is_some())
            && any(!self.host, process.container().is_none())
    }
}

/// The containers that are selected.
pub(super) struct Filter {
    /// No container is selected: processes outside of containers are shown too.
    none: bool,
    /// The containers of `-c`, by number. With a PID inside the container, only this process is selected.
    words: Vec<(usize, Option<i32>)>,
    /// The same, with the words that the user wrote. PIDs are omitted: they are unambiguous.
    pub named: Vec<(String, usize)>,
    runtimes: Vec<Runtime>,
    /// The containers that have the attributes, if some are selected.
    fitting: Option<Vec<bool>>,
}

impl Filter {
    pub(super) fn new(
        list: &[Process],
        containers: &Containers,
        selection: &Selection,
        (proc, records): (&ProcRoot, &Records<'_>),
    ) -> Result<Filter> {
        let mut words = Vec::new();
        let mut named = Vec::new();
        if !selection.containers.is_empty() {
            // A container that runs wins over one of the same name that does not.
            let all = |stopped: bool| -> Vec<Rc<Container>> {
                let all = containers.all.iter().filter(|seen| seen.stopped == stopped);
                all.map(|seen| seen.container.clone()).collect()
            };
            let (all, stopped) = (all(false), all(true));
            let mut find = |word: &str| {
                let found = find(list, containers, (proc, &all), word);
                let found = match found {
                    Err(_) if !matching(&stopped, word).is_empty() => {
                        find(list, containers, (proc, &stopped), word)
                    }
                    found => found,
                }?;
                if pid(word).is_none_or(|pid| matching::named(&all, pid).is_some()) {
                    named.extend(found.iter().map(|(number, _)| (word.to_owned(), *number)));
                }
                Ok::<_, anyhow::Error>(found)
            };
            for word in &selection.containers {
                match find(word) {
                    Ok(found) => words.extend(found),
                    // The word may be a list. It is tried as a name first, as a name may contain commas. With `=` it is a
                    // line of a log.
                    Err(_) if word.contains(',') && !word.contains('=') => {
                        for word in word.split(',').filter(|word| !word.is_empty()) {
                            words.extend(find(word)?);
                        }
                    }
                    Err(error) => {
                        let known = habit(selection, word).or_else(|| records.not_running(&all, word));
                        return Err(known.unwrap_or(error));
                    }
                }
            }
        }
        let attributes = &selection.attributes;
        let none = selection.containers.is_empty() && selection.runtimes.is_empty() && attributes.is_empty();
        let fitting = (!attributes.is_empty()).then(|| attributes.fitting(containers, proc, records));
        Ok(Filter { none, words, named, runtimes: selection.runtimes.clone(), fitting })
    }

    /// Is the process shown?
    pub(super) fn shows(&self, containers: &Containers, selection: &Selection, process: &Process) -> bool {
        let among = match process.container() {
            Some(container) => self.has(containers, container),
            None => self.none,
        };
        among && self.fits_cpid(containers, process) && selection.fits(process)
    }

    /// Is the container, or one that it is nested in, selected?
    pub(super) fn has(&self, containers: &Containers, number: usize) -> bool {
        let word = |number| self.words.is_empty() || self.words.iter().any(|(word, _)| *word == number);
        let runtime = |number: usize| {
            self.runtimes.is_empty() || self.runtimes.contains(&containers.all[number].container.runtime)
        };
        let fits = |number: usize| self.fitting.as_ref().is_none_or(|fitting| fitting[number]);
        containers.chain(number).any(word)
            && containers.chain(number).any(runtime)
            && containers.chain(number).any(fits)
    }

    fn fits_cpid(&self, containers: &Containers, process: &Process) -> bool {
        let Some(own) = process.container() else { return true };
        self.words.is_empty()
            || containers.chain(own).any(|number| {
                self.words.iter().any(|(word, cpid)| {
                    *word == number && cpid.is_none_or(|cpid| own == number && process.cpid == Some(cpid))
                })
            })
    }
}

/// The containers that a word of `-c` selects. A PID selects the container of the process, `@CPID` one process, and
/// the name of a pod or compose service all of its containers.
fn find(
    list: &[Process],
    containers: &Containers,
    (proc, all): (&ProcRoot, &[Rc<Container>]),
    word: &str,
) -> Result<Vec<(usize, Option<i32>)>> {
    let number = |container: &Rc<Container>| {
        let same = |seen: &super::containers::Seen| Rc::ptr_eq(&seen.container, container);
        containers.all.iter().position(same).ok_or_else(|| anyhow!("no such container"))
    };
    if word.contains('*') {
        let fits = |seen: &super::containers::Seen| matches_name(word, &seen.container);
        let found = containers.all.iter().enumerate().filter(|(_, seen)| fits(seen));
        return match found.map(|(number, _)| (number, None)).collect::<Vec<_>>() {
            found if found.is_empty() => {
                let words = format!("no running container matches '{}'", text::escape(word.as_bytes()));
                Err(exit::NotSeen(words).into())
            }
            found => Ok(found),
        };
    }
    if let Some(pid) = pid(word) {
        let process = list.iter().find(|process| process.pid == pid);
        if let Some(container) = matching::named(all, pid) {
            let also = || format!("{pid} is the container {container}; -p {pid} means the process");
            exit::hint(|| process.map(|_| also()));
            return Ok(vec![(number(&container)?, None)]);
        }
        // Digits that are the PID of no process in a container may still be the beginning of an id.
        match process.map(|process| process.container()) {
            Some(Some(container)) => return Ok(vec![(container, None)]),
            Some(None) if matching(all, word).is_empty() => {
                bail!("process {word} is in no container")
            }
            _ => {}
        }
    }
    let found = matching::among(proc, all, word);
    let inside = word.rsplit_once('@').and_then(|(word, cpid)| Some((word, cpid.parse::<i32>().ok()?)));
    if let Some((word, cpid)) = inside.filter(|_| found.is_empty()) {
        let found = matching(all, word);
        if found.is_empty() {
            target::refuse_pid(word)?;
        }
        // If the word means a pod, perhaps only one of its containers has a process with that number.
        let group = match matching::group(&found, word) {
            Some(group) => group,
            None => vec![matching::one(&found, word)?],
        };
        let numbers = group.iter().map(number).collect::<Result<Vec<usize>>>()?;
        let has = |number: &usize| {
            list.iter().any(|process| process.container() == Some(*number) && process.cpid == Some(cpid))
        };
        return match numbers.iter().filter(|number| has(number)).collect::<Vec<_>>()[..] {
            [] => Err(target::no_process(&group[0], cpid)),
            [one] => Ok(vec![(*one, Some(cpid))]),
            _ => Err(matching::one(&group, word).err().unwrap_or_else(|| anyhow!("no such container"))),
        };
    }
    match matching::group(&found, word) {
        Some(group) => group.iter().map(|container| Ok((number(container)?, None))).collect(),
        None if found.is_empty() => Err(none_of_name(containers, word)),
        None => Ok(vec![(number(&matching::one(&found, word)?)?, None)]),
    }
}

/// The error for an operand that users of other programs type.
fn habit(selection: &Selection, word: &str) -> Option<anyhow::Error> {
    let at = selection.operands.iter().position(|operand| operand == word)?;
    let next = selection.operands.get(at + 1).map(String::as_str);
    let instead = of_word(word, next)?;
    Some(anyhow!("no container '{}'; type {instead}", text::escape(word.as_bytes())))
}

/// No container has the name: the error suggests one that has nearly the name.
fn none_of_name(containers: &Containers, word: &str) -> anyhow::Error {
    let near = did_you_mean(containers.all.iter().map(|seen| &*seen.container), word);
    if let Some(runtime) = word.strip_suffix(':').filter(|runtime| Runtime::from_name(runtime).is_some()) {
        return anyhow!("no process or running container '{word}'; type --runtime {runtime} for all of them");
    }
    let plain = || matching::one(&[], word).err().unwrap_or_else(|| anyhow!("no such container"));
    let runtime = word.split_once(':').filter(|(runtime, _)| Runtime::from_name(runtime).is_none());
    let near_runtime = runtime.and_then(|(runtime, _)| text::nearest(runtime, Runtime::all_names()));
    match (near, near_runtime) {
        (Some(near), _) => anyhow!("no container '{}'; {near}", text::escape(word.as_bytes())),
        (None, Some(runtime)) => {
            anyhow!("no container '{}'; did you mean the runtime {runtime}?", text::escape(word.as_bytes()))
        }
        (None, None) => plain(),
    }
}

fn pid(word: &str) -> Option<i32> {
    match Target::parse(OsStr::new(word)) {
        Ok(Target::Pid { pid, inode: None }) => Some(pid.as_raw()),
        _ => None,
    }
}

/// The words of a list, separated by commas or white space.
pub(super) fn words(list: &OsStr) -> impl Iterator<Item = &OsStr> {
    let separator = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n');
    list.as_bytes().split(separator).filter(|word| !word.is_empty()).map(OsStr::from_bytes)
}

pub(super) fn pids(list: &OsStr) -> Result<Vec<i32>> {
    let pid = |word: &OsStr| {
        let pid = word.to_str().and_then(|word| word.parse().ok()).filter(|&pid: &i32| pid > 0);
        pid.ok_or_else(|| anyhow!("invalid PID '{}' (-c selects a container)", text::shown(word)))
    };
    let pids = words(list).map(pid).collect::<Result<Vec<i32>>>()?;
    if pids.is_empty() {
        bail!("invalid PID '{}'", text::shown(list));
    }
    Ok(pids)
}

pub(super) fn runtimes(list: &OsStr) -> Result<Vec<Runtime>> {
    let runtime = |word: &OsStr| {
        let known = word.to_str().and_then(Runtime::from_name);
        known.ok_or_else(|| {
            let hint = text::or_did_you_mean(&word.to_string_lossy(), Runtime::all_names());
            anyhow!("unknown runtime '{}'{hint} ({})", text::shown(word), Runtime::names())
        })
    };
    words(list).map(runtime).collect()
}

pub(super) const HOWS: [&str; 8] =
    ["init", "fork", "exec", "ns", "state", "cgroup", "namespace", "anonymous"];

/// Parses the list of `--how`: identifications of containers and origins of processes.
pub(super) fn hows(list: &OsStr, selection: &mut Selection) -> Result<()> {
    for word in words(list) {
        let name = word.to_str().unwrap_or_default();
        match (IdentifiedBy::from_name(name), Origin::from_name(name)) {
            (Some(how), _) => selection.hows.push(how),
            (None, Some(via)) => selection.vias.push(via),
            (None, None) => bail!(
                "unknown --how '{}'{} ({})",
                text::shown(word),
                text::or_did_you_mean(&word.to_string_lossy(), HOWS),
                HOWS.join(", ")
            ),
        }
    }
    Ok(())
}

/// A terminal, or none, as the value of `-t`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Terminal {
    None,
    Name(String),
}

impl Terminal {
    /// As ps(1) takes it: `/dev/pts/3`, `pts/3`, `3`, `tty1`, `S0`; `-` and `?` for processes without a terminal.
    fn parse(word: &OsStr) -> Option<Terminal> {
        let word = word.to_str()?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let name = word.strip_prefix("/dev/").unwrap_or(word);
        let serial = |name: &str| name.strip_prefix(['S']).is_some_and(digits);
        let known = |name: &str| {
            let ends = ["pts/", "ttyUSB", "ttyAMA", "ttyS", "tty", "hvc"];
            name == "console" || ends.iter().any(|begin| name.strip_prefix(begin).is_some_and(digits))
        };
        match name {
            "-" | "?" => Some(Terminal::None),
            name if digits(name) => Some(Terminal::Name(format!("pts/{name}"))),
            name if serial(name) => Some(Terminal::Name(format!("tty{name}"))),
            name => known(name).then(|| Terminal::Name(name.to_owned())),
        }
    }

    #[must_use]
    pub(super) fn is(&self, tty: Option<&str>) -> bool {
        match self {
            Terminal::None => tty.is_none(),
            Terminal::Name(name) => tty == Some(name),
        }
    }
}

/// Parses a list of terminals.
pub(super) fn terminals(list: &OsStr) -> Result<Vec<Terminal>> {
    let terminal = |word: &OsStr| {
        let known = Terminal::parse(word);
        known.ok_or_else(|| {
            anyhow!(
                "'{}' is not a terminal (here -t selects a terminal, such as pts/3; -c selects a container)",
                text::shown(word)
            )
        })
    };
    words(list).map(terminal).collect()
}

/// Parses a list of users: names in `passwd`, or numbers.
pub(super) fn users(list: &OsStr, passwd: &[u8]) -> Result<Vec<u32>> {
    let user = |word: &OsStr| {
        let number = || word.to_str()?.parse().ok();
        let id = crate::proc::uid_of(passwd, word.as_bytes()).or_else(number);
        id.ok_or_else(|| anyhow!("user '{}' does not exist", text::shown(word)))
    };
    words(list).map(user).collect()
}
