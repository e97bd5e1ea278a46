//! `ctr-whose` finds the container behind what a log or a tool prints: an interface, an address, a port, a path, a
//! namespace, a control group, a process. It asks the kernel and the state files of the runtimes, and no daemon.
//!
//! Each line of the output has the thing, the container and what the container has to do with it. The last word in
//! brackets says what that rests on: `[state]` a state file, `[proxy]` a process of the host that takes connections,
//! `[nat]` a rule that changes addresses, `[claim]` nothing that confirms it, or only a state file of a user. Without
//! brackets, the kernel says so. The answers that rest on more come first. `nginx 4257 (1)` is a process: its name, its PID on the host and its PID in the container.
//! Its command line can follow. If
//! several containers have a thing, all are listed. If the host has it, its process, service or interface is named
//! after `no container:`, or after `host:` if containers have it too. What cannot be said, and why, is after `unknown:`.
//!
//! # Things
//!
//! What a thing is follows from its look. A prefix forces it. If a word has several meanings, all that hold are shown.
//!
//! - `if:NAME`: an interface. A name that the host has means the host's interface: of a veth(4) the container at the
//!   other end, of a bridge the containers at its ports, of another device those with a macvlan, ipvlan or vlan on it.
//!   Another name means interfaces in containers.
//! - `ip:ADDRESS`: an IP address, in whatever network namespaces have it; else who had it, from the files of Docker,
//!   Podman and CNI plugins.
//! - `mac:ADDRESS`: a MAC address, with colons.
//! - `port:PORT`: also `:8080`, `8080/udp`, `ADDRESS:PORT`: who listens on the host; for a published port the container
//!   and who listens in it, by proxies, state files, or the rules that iptables-save(8) and nft(8) print, if they are there;
//!   if nobody uses the port on the host, who listens on it in containers; else the containers that publish it when they run.
//! - `path:PATH`: also what begins with `/`: a layer or the root of a container, a volume or another mount, a state or
//!   log file, a unix(7) socket, a block device, a control group, a file in /proc. If the file is deleted, also
//!   who still has it open: PATH can be that on the host or in the container. `PATH (deleted)`, as lsof(8) prints it, asks first for that. What the host has not is in no mount. Symbolic links in the files of a container are not followed.
//! - `ns:INODE`: also `net:[4026532181]`, and a number from 4026531840 up: a namespace.
//! - `cgroup:PATH`: a control group, or the last part of its path, also of a group that is gone; of a group above those of
//!   containers, these containers. A group without
//!   processes below that of a container is said to be the container's, as a claim, if nobody else is in the group above.
//!   Of a group that is not there, and whose id no state file has, it is unknown whose it was: a name alone proves nothing.
//! - `sock:INODE`: also `socket:[4711]`: who has a socket open. `sock:PATH`: a unix(7) socket by its file on the host; without
//!   such a file, those of this name in any network namespace. `sock:@NAME`, also `@NAME`: those with an abstract name.
//! - `dev:NAME`: also `MAJOR:MINOR` and `loop0`: who has mounted a block device or file system, and whose file a loop
//!   device shows.
//! - `pid:PID`: also a number alone: a process, by its PID on the host. Of a program that takes connections for
//!   containers (docker-proxy) or watches them (conmon, containerd-shim), the text says for which ones it works.
//! - `cpid:PID`: all processes with this PID in their container.
//! - `host:NAME`: a host name. State files come first; what a container calls itself is a claim.
//! - `id:ID`: the beginning of an id, at least four digits, or a name; of containers that run and of those that do not. A
//!   beginning of decimal digits alone needs the prefix. An id of a layer, as its directory is called, is one too, and so is the
//!   UID of a pod, or the id (at least twelve digits) that Podman gave it.
//!
//! A line of the kernel's log about lack of memory is a thing too, with or without a time before it:
//!
//! - `oom-kill:...`: with the groups, since Linux 5.0.
//! - `Task in PATH killed as a result of limit of PATH`: before Linux 5.0.
//! - `Tasks in PATH are going to be killed due to memory.oom.group set`: a whole group.
//! - `Killed process N (NAME)`: also `Kill process N (NAME)`; if the log still has the line with the group.
//!
//! The container of the victim and the one whose limit was reached are shown. In the output `oom-kill: NAME PID` stands for the
//! line; JSON has the line.
//!
//! The namespaces of a process are those of its first thread; if that has ended, of another one. A namespace that only a further
//! thread has, as unshare(2) gives it, is found by its inode; what is in it is not found.
//!
//! # Lines of a log
//!
//! With `-` in place of things, standard input is copied to standard output, and the container is added in
//! parentheses after what is known to belong to one: ids, also those of writable layers, paths of control groups (without an id in lines about lack of
//! memory, and in `0::PATH`, if only processes of the container are in the group), interfaces of the host that lead
//! to a container, addresses of containers to which the host would send through their interfaces. After a PID it is added
//! only if the line says that the number is a PID and has a time after the start of that process and not in the future, or
//! has the form of ss(8). In that form the PID of a program of the host that takes connections for a container at the local port
//! (docker-proxy, conmon, rootlessport, pasta) is followed by that container. The process in `Killed process N (NAME)` and in `oom_reaper: reaped process N (NAME)` is gone: its container is that of the `oom-kill:` line of
//! the same process at most five seconds before it, else that in the kernel's own log. In `TIME HOST NAME[PID]:` of syslog
//! the name must be that of the process too. If HOST
//! (or `node=HOST` of auditd) is not the name of this host, the container is added after ids only, as other hosts have the
//! same PIDs, groups and addresses. What belongs to several containers is left alone, except for the containers of a pod, for
//! which the pod is named. Lines are written as soon as they are read.
//! A process whose files in /proc cannot be read, because its execve(2) does not end, is left out after one second.
//!
//! # JSON
//!
//! `{"host", "boot_id", "things": [{"thing", "kind", "answers", "host", "unknown"}]}`. An answer has `container`, `runtime`, `name`,
//! `id`, `pod`, `pod_namespace`, `status`, `pid`, `cpid`, `command`, `role`, `by` and `detail`; `host` of a thing is null or has
//! `pid`, `command` and `text`; `unknown` is null or says what is not known, and why. `kind` is interface, address, mac, port, path, namespace, cgroup, socket, device, pid,
//! cpid, hostname or id; `role` is peer, interface, address, listener, published, writable-layer, image-layer, merged,
//! mount, state, log, member, parent, holder or itself; `by` is kernel, state, proxy, nat or claim. With `-`, one object
//! `{"line", "text", "things"}` for each line to which something is added; `line` is its number.
//!
//! # Exit status
//!
//! 0 if each thing belongs to a container; 1 on failure, or if a thing belongs to none or to nobody that is known. With `-`, 0 unless it fails.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `NO_COLOR`, `TERM`: with `--color=auto`, a NO_COLOR that is not empty or the TERM `dumb` turns colours off.
//! - `TERM`, `COLORTERM`: containers have colours of the palette of 256 if TERM has `256color` in it, or if COLORTERM is not empty.
//! - `POSIXLY_CORRECT`: if set, options after the first operand are operands too.
//!
//! # Files
//!
//! - `/proc`: processes, namespaces, control groups, mounts, open files. `--root=DIR` reads DIR/proc.
//! - State files of runtimes: names, layers, mounts, ports; ctrbox(1) lists the paths. `--root=DIR` reads them below
//!   DIR.
//! - `/var/lib/cni/networks`, `/var/lib/cni/results`: addresses and ports that CNI plugins gave away.
//! - `/var/log/pods`: the names of pods that are gone.
//! - `/run/netns`, `/run/docker/netns`: network namespaces without a process.
//! - `/sys/dev/block`, `/sys/class/block`: block devices.
//! - `/sys/class/net`: the interfaces of the host.
//! - `/dev/kmsg`: which groups a kill for lack of memory concerned, if the line does not say it.
//!
//! # Examples
//!
//! What is at the other end of an interface, and whose address is it:
//!
//! ```text
//! ctr-whose veth9f2958d 172.17.0.5
//! ```
//!
//! Who uses a port, and does a program in the container listen there:
//!
//! ```text
//! ctr-whose :8081
//! ```
//!
//! Which containers use a directory that fills the disk:
//!
//! ```text
//! du -s /var/lib/docker/overlay2/* | sort -n | tail -5 | cut -f2 |
//!     xargs ctr-whose
//! ```
//!
//! Follow the kernel's log with the names of containers:
//!
//! ```text
//! dmesg -w | ctr-whose -
//! ```
//!
//! Which process wrote PID 17 into the log of its container:
//!
//! ```text
//! ctr-whose cpid:17
//! ```
//!
//! # See also
//!
//! ctr-inspect(1), ctr-ps(1), ip-link(8), lsns(8), ss(8), dmesg(1)

mod answer;
mod cgroup;
mod device;
mod files;
mod finder;
mod focus;
mod gone;
mod identity;
mod lines;
mod namespace;
mod nat;
mod network;
mod oom;
mod path;
mod port;
mod process;
mod program;
mod resolve;
mod root;
mod servers;
mod show;
mod socket;
mod thing;
mod word;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::{Applet, Call, Effect, Grammar, Opt, set};
use crate::container::Few;
use crate::container::world::World;
use crate::container::{Files, Resolver};
use crate::exit::{self, Exit, Outcome, warn};
use crate::output::Out;
use crate::output::style::{Painter, When};
use crate::proc::{MOST_THREADS, ProcRoot, unexamined};
use crate::text;
use finder::Finder;
use root::Root;
use show::Found;
use thing::Reading;
use word::Word;

#[derive(Default)]
struct Request {
    json: bool,
    colour: When,
    root: Option<PathBuf>,
}

pub(crate) static APPLET: Applet = Applet {
    name: "ctr-whose",
    section: 1,
    failure: 1,
    about: "find the container behind an interface, address, port, path, namespace, PID or line of a log",
    run,
    grammar: &GRAMMAR,
};

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] thing...\n       command | ctr-whose [options] -",
    stops_at_operand: false,
    options: &[
        Opt::new(Some('J'), "json", "print JSON", Effect::Flag(|r| set(&mut r.json))),
        Opt::color(colour),
        Opt::root(root),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[("json", "Output"), ("root", "Other options")],
};

fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let words = GRAMMAR.parse(call, &mut request)?;
    if words.is_empty() {
        return Err(Exit::Usage(format!("{}: no thing given", text::shown(&call.argv0))));
    }
    if words.iter().any(|word| word == "-") {
        if words.len() > 1 {
            return Err(Exit::Usage(format!("{}: '-' stands alone", text::shown(&call.argv0))));
        }
        return lines::copy(call, &request);
    }
    let (files, root) = host(&request)?;
    let proc = files.proc(request.root.as_deref())?;
    exit::in_worker(&proc, || answer(call, &request, (&proc, &files, &root), &words))
}

/// The files of the host that is looked at.
fn host(request: &Request) -> Result<(Files, Root)> {
    let path = request.root.as_deref().unwrap_or(Path::new("/"));
    let root = Root::new(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok((Files::new(path)?, root))
}

fn answer(
    call: &Call,
    request: &Request,
    (proc, files, root): (&ProcRoot, &Files, &Root),
    words: &[OsString],
) -> Outcome {
    let words: Vec<Word> = words.iter().map(|word| Word::new(word, root)).collect();
    let readings = words.iter().map(|word| word.readings.as_deref().unwrap_or_default());
    let chosen = focus::processes(proc, files, root, readings);
    if let Some(pids) = chosen.pids {
        let few = Few { pids, resolver: Resolver::for_few(proc, files) };
        let world = World::new(proc, files, Some(few))?;
        let finder = Finder::new(&world, files, root, true, &chosen.absent);
        let found: Vec<Vec<Found>> = words.iter().map(|word| word.look_up(&finder)).collect();
        let mut each = words.iter().zip(&found).zip(&chosen.is_settled);
        let is_enough = each.all(|((word, found), is_settled)| match is_unknown(found) {
            true => word.is_final() || (*is_settled && !word.may_be_hostname(&finder)),
            false => true,
        });
        if is_enough && !finder.needs_all() {
            return print(call, request, &finder, &words, found);
        }
    }
    let cpids = cpids(&words);
    let world = match &cpids {
        Some(cpids) => World::with_cpids(proc, files, cpids)?,
        None => World::new(proc, files, None)?,
    };
    let finder = Finder::new(&world, files, root, cpids.is_some(), &chosen.absent);
    let found = words.iter().map(|word| word.look_up(&finder)).collect();
    print(call, request, &finder, &words, found)
}

/// The PIDs to look for, if each word is a PID inside a container (`cpid:`). Then only processes with one of them are read.
fn cpids(words: &[Word]) -> Option<Vec<i32>> {
    let cpid = |word: &Word| match word.readings.as_deref() {
        Ok([Reading::Cpid(cpid)]) => Some(*cpid),
        _ => None,
    };
    words.iter().map(cpid).collect()
}

fn is_unknown(found: &[Found]) -> bool {
    found.iter().all(|one| one.entry.is_empty())
}

fn print(
    call: &Call,
    request: &Request,
    finder: &Finder<'_>,
    words: &[Word],
    mut found: Vec<Vec<Found>>,
) -> Outcome {
    let mut status = 0;
    if let Some(pid) = unexamined() {
        finder.note(format!("process {pid}: its first {MOST_THREADS} threads have ended"));
    }
    for (word, found) in words.iter().zip(&mut found) {
        word.doubt(finder, found);
        if found.iter().all(|one| one.entry.answers.is_empty()) {
            status = 1;
        }
        if is_unknown(found) {
            warn(call.name, &word.problem());
        }
    }
    let all: Vec<Found> = found.into_iter().flatten().collect();
    let mut out = Out::stdout();
    match request.json {
        true => show::json(&mut out, finder, &all)?,
        false => show::lines(&mut out, finder, &all, Painter { colour: request.colour.on_stdout() }),
    }
    out.finish()?;
    if status != 0 {
        let problems = finder.problems.borrow();
        let is_said = |problem: &&String| all.iter().any(|one| one.entry.says(problem));
        let others = problems.iter().filter(|problem| !is_said(problem));
        others.for_each(|problem| warn(call.name, &format!("cannot look at {problem}")));
        exit::hint_at_rights();
    }
    Ok(status)
}

/// The prefixes that say what a thing is, and the names of their kinds.
pub(crate) fn prefixes() -> impl Iterator<Item = (&'static str, &'static str)> {
    thing::Kind::ALL.into_iter().map(|(_, name, prefix)| (prefix, name))
}

fn colour(request: &mut Request, when: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(when)?;
    Ok(())
}

fn root(request: &mut Request, directory: &OsStr) -> Result<(), Exit> {
    request.root = Some(directory.into());
    Ok(())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    pub(crate) fn thing(data: &[u8]) {
        if let Ok(readings) = super::thing::readings(OsStr::from_bytes(data)) {
            assert!(!readings.is_empty(), "neither a reading nor an error");
        }
    }

    pub(crate) fn lines(data: &[u8]) {
        super::lines::fuzz::lines(data);
    }

    pub(crate) fn rules(text: &str) {
        super::nat::fuzz(text);
    }
}
