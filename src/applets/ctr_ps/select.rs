//! Which processes are shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use anyhow::{Result, anyhow, bail};

use super::containers::Containers;
use super::gather::Process;
use super::via::Via;
use crate::container::target::{self, Target};
use crate::container::{Container, How, Runtime};
use crate::text;

/// What was asked for; of several kinds a process must fit each.
#[derive(Default)]
pub(super) struct Selection {
    /// Words for containers, as the user wrote them.
    pub containers: Vec<String>,
    pub pids: Vec<i32>,
    pub users: Vec<u32>,
    pub runtimes: Vec<Runtime>,
    pub hows: Vec<How>,
    pub vias: Vec<Via>,
    pub contained: bool,
    pub kernel_threads: bool,
}

impl Selection {
    /// Are all processes needed to tell which are shown?
    #[must_use]
    pub(super) fn needs_all(&self) -> bool {
        let both = !self.pids.is_empty() && !self.containers.is_empty();
        both || !self.vias.is_empty()
    }

    /// Are all processes shown, but for threads of the kernel?
    #[must_use]
    pub(super) fn is_all(&self) -> bool {
        self.containers.is_empty() && self.runtimes.is_empty() && !self.contained && !self.by_process()
    }

    /// Is a thread of the kernel shown that has this PID?
    #[must_use]
    pub(super) fn may_be_kernels(&self, pid: i32) -> bool {
        self.kernel_threads || self.pids.contains(&pid)
    }

    /// Are processes asked for by what they are themselves, and not by their containers?
    #[must_use]
    pub(super) fn by_process(&self) -> bool {
        !(self.pids.is_empty() && self.users.is_empty() && self.hows.is_empty() && self.vias.is_empty())
    }

    fn fits(&self, process: &Process) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        any(self.pids.is_empty(), self.pids.contains(&process.pid))
            && any(self.users.is_empty(), process.uid.is_some_and(|uid| self.users.contains(&uid)))
            && any(
                self.hows.is_empty() && self.vias.is_empty(),
                process.how.is_some_and(|how| self.hows.contains(&how))
                    || process.via.is_some_and(|via| self.vias.contains(&via)),
            )
            && any(!self.contained, process.container.is_some())
    }
}

/// The containers that are asked for.
pub(super) struct Chosen {
    /// None is: all are shown, and what is in none.
    none: bool,
    /// By number; with a PID inside, only that process.
    words: Vec<(usize, Option<i32>)>,
    /// The same by the words as the user wrote them, but for PIDs.
    pub named: Vec<(String, usize)>,
    runtimes: Vec<Runtime>,
}

impl Chosen {
    pub(super) fn new(list: &[Process], containers: &Containers, selection: &Selection) -> Result<Chosen> {
        let mut words = Vec::new();
        let mut named = Vec::new();
        if !selection.containers.is_empty() {
            let all: Vec<Rc<Container>> = containers.all.iter().map(|seen| seen.container.clone()).collect();
            let mut find = |word: &str| {
                let found = find(list, containers, &all, word)?;
                if !is_pid(word) {
                    named.extend(found.iter().map(|(number, _)| (word.to_owned(), *number)));
                }
                Ok::<_, anyhow::Error>(found)
            };
            for word in &selection.containers {
                match find(word) {
                    Ok(found) => words.extend(found),
                    // A list; but a name may have commas.
                    Err(_) if word.contains(',') => {
                        for word in word.split(',').filter(|word| !word.is_empty()) {
                            words.extend(find(word)?);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let none = selection.containers.is_empty() && selection.runtimes.is_empty();
        Ok(Chosen { none, words, named, runtimes: selection.runtimes.clone() })
    }

    /// Is this process to be shown?
    pub(super) fn shows(&self, containers: &Containers, selection: &Selection, process: &Process) -> bool {
        let among = match process.container {
            Some(container) => self.has(containers, container),
            None => self.none,
        };
        among && self.fits_cpid(containers, process) && selection.fits(process)
    }

    /// Is it, or one around it, among them?
    pub(super) fn has(&self, containers: &Containers, number: usize) -> bool {
        let word = |number| self.words.is_empty() || self.words.iter().any(|(word, _)| *word == number);
        let runtime = |number: usize| {
            self.runtimes.is_empty() || self.runtimes.contains(&containers.all[number].container.runtime)
        };
        containers.chain(number).any(word) && containers.chain(number).any(runtime)
    }

    fn fits_cpid(&self, containers: &Containers, process: &Process) -> bool {
        let Some(own) = process.container else { return true };
        self.words.is_empty()
            || containers.chain(own).any(|number| {
                self.words.iter().any(|(word, cpid)| {
                    *word == number && cpid.is_none_or(|cpid| own == number && process.cpid == Some(cpid))
                })
            })
    }
}

/// The container that a word means: by PID the one that the process is in; with `@CPID` one process. Several
/// where it names a pod, or a service of compose.
fn find(
    list: &[Process],
    containers: &Containers,
    all: &[Rc<Container>],
    word: &str,
) -> Result<Vec<(usize, Option<i32>)>> {
    let number = |container: &Rc<Container>| {
        let same = |seen: &super::containers::Seen| Rc::ptr_eq(&seen.container, container);
        containers.all.iter().position(same).ok_or_else(|| anyhow!("no such container"))
    };
    if let Ok(Target::Pid { pid, inode: None }) = Target::parse(OsStr::new(word))
        && let Some(process) = list.iter().find(|process| process.pid == pid.as_raw())
        && let Some(container) = process.container
    {
        return Ok(vec![(container, None)]);
    }
    let found = target::matching(all, word);
    if found.is_empty()
        && let Some((word, cpid)) = word.rsplit_once('@')
        && let Ok(cpid) = cpid.parse::<i32>()
    {
        let container = target::one(&target::matching(all, word), word)?;
        let number = number(&container)?;
        if !list.iter().any(|process| process.container == Some(number) && process.cpid == Some(cpid)) {
            return Err(target::no_process(&container, cpid));
        }
        return Ok(vec![(number, Some(cpid))]);
    }
    match target::group(&found, word) {
        Some(group) => group.iter().map(|container| Ok((number(container)?, None))).collect(),
        None => Ok(vec![(number(&target::one(&found, word)?)?, None)]),
    }
}

fn is_pid(word: &str) -> bool {
    matches!(Target::parse(OsStr::new(word)), Ok(Target::Pid { inode: None, .. }))
}

/// The words of a list: `a,b c`.
pub(super) fn words(list: &OsStr) -> impl Iterator<Item = &OsStr> {
    let separator = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n');
    list.as_bytes().split(separator).filter(|word| !word.is_empty()).map(OsStr::from_bytes)
}

pub(super) fn pids(list: &OsStr) -> Result<Vec<i32>> {
    let pid = |word: &OsStr| {
        let pid = word.to_str().and_then(|word| word.parse().ok()).filter(|&pid: &i32| pid > 0);
        pid.ok_or_else(|| anyhow!("'{}' is no PID", text::shown(word)))
    };
    let pids = words(list).map(pid).collect::<Result<Vec<i32>>>()?;
    if pids.is_empty() {
        bail!("'{}' is no PID", text::shown(list));
    }
    Ok(pids)
}

pub(super) fn runtimes(list: &OsStr) -> Result<Vec<Runtime>> {
    let runtime = |word: &OsStr| {
        let known = word.to_str().and_then(Runtime::from_name);
        known.ok_or_else(|| anyhow!("no runtime '{}' (there are {})", text::shown(word), Runtime::names()))
    };
    words(list).map(runtime).collect()
}

/// `--how`: how containers are known, and how processes came in, in one list.
pub(super) fn hows(list: &OsStr, selection: &mut Selection) -> Result<()> {
    for word in words(list) {
        let name = word.to_str().unwrap_or_default();
        match (How::from_name(name), Via::from_name(name)) {
            (Some(how), _) => selection.hows.push(how),
            (None, Some(via)) => selection.vias.push(via),
            (None, None) => bail!(
                "unknown --how '{}' (exec, ns, init, fork, state, cgroup, namespace, anonymous)",
                text::shown(word)
            ),
        }
    }
    Ok(())
}

/// A user's number, by the name in passwd or as it is.
pub(super) fn users(list: &OsStr, passwd: &[u8]) -> Result<Vec<u32>> {
    let user = |word: &OsStr| {
        let number = || word.to_str()?.parse().ok();
        let id = crate::proc::id_of(passwd, word.as_bytes()).or_else(number);
        id.ok_or_else(|| anyhow!("user '{}' does not exist", text::shown(word)))
    };
    words(list).map(user).collect()
}
