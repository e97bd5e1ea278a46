//! `ctr-inspect` shows what isolates a container, what limits it and what its processes may do: as the kernel has it
//! now, for containers of all runtimes, and without asking a daemon.
//!
//! TARGET is a container as ctr-ps(1) and nsenter(1) take it: NAME, `RUNTIME:NAME`, the beginning of an id,
//! `NAMESPACE/POD`, `compose:PROJECT/SERVICE`; or `CONTAINER@CPID` or a PID. For a PID the report is that of its
//! container, with the namespaces, privileges and files of that very process; it can also be a process of the host. For a
//! pod (without its pause process) or a service all its containers are shown. `host` is the host's first process, unless a container, running or not, has that name; `1` always is. If a
//! target does not exist, the others are shown.
//!
//! # Sections
//!
//! `identity`: names, image, times, the first process.
//!
//! `namespaces`: which namespaces are the container's own, which are the host's, and which it shares with which other
//! containers; the maps of user and group ids; the offsets of clocks; the processes that entered from outside
//! (nsenter(1)).
//!
//! `limits`: for memory, CPU time, processes and devices the least limit of the container's control group and the
//! groups above it, the group that sets it, and the use. Memory in use is without inactive file cache, as `docker
//! stats` has it. If the control group is not the container's alone, as with some rootless containers and sandboxes,
//! the report says so: sums over the container's processes come first, and the numbers of the group after them.
//!
//! `privileges`: users, capabilities compared with the runtime's default, seccomp, no_new_privs, the label of the LSM,
//! and which files of /proc and /sys are covered. `rights` has in this order: the user, inside and on the host; the
//! bounding set, what a program can have at most, as the difference from the runtime's default, after what the process has
//! now if that is less; seccomp; the LSM and its label; whether a set-user-ID program can add privileges (`privileges can
//! grow`, else `no new privileges`). `exposed` has files of /proc and /sys that runtimes cover and that are not covered;
//! with `-a`, `masked` and `readonly` have those that are.
//!
//! `files`: the root file system and its layers; mounts that show a part of the host, with what can be written below a
//! read-only one; deleted files that processes still hold open and that take room on a disk.
//!
//! `network`: interfaces with their addresses; of a veth(4) the other end, by the ids of namespaces and not by the
//! index alone; routes; the name servers in the container's resolv.conf(5); the sockets that listen in its network
//! namespace, with the process that holds each, which can be outside of the container (Docker's name server);
//! published ports and who listens on them inside. Of a container with the host's network only the sockets of its own
//! processes are listed. Published ports are known of Docker and Podman, and of
//! others where the CNI plugin portmap publishes them. A container without own ones that uses the network of another one, such
//! as a container in a pod of Podman, has those of that one.
//!
//! `processes`: the tree of processes; how many are zombies; what the first process does with signals. The columns of the
//! tree are: the PID; the PID inside, if that is another one; the state, as ps(1) has it; the command, which begins with
//! `(exec)` or `(ns)` for a process that entered from outside, and with `[80 of 100 open files]` for one near that limit. A line that is cut ends in `+`. The kernel drops a signal for the first process of a pid namespace if the process does
//! not handle it (pid_namespaces(7)): `dropped`. `handled` means that the program gets the signal, not that it ends.
//!
//! What the caller's rights or the kernel withhold is listed as `unknown`, with the reason. It is never shown as 0.
//!
//! # Findings
//!
//! What is odd is shown first: `!!` for what hurts, or has hurt by the counters of the control group, and for what gives
//! the host away (high), `!` for what is likely to hurt (medium). Notes are true of many containers: `-a` shows them. `-f` shows only the findings, with the reason and the
//! remedy. With `-s` only the sections that it names are judged, unless `-f` is given. If a value is unknown without which
//! a finding of high severity cannot be decided, `?` names the finding.
//!
//! What is counted is counted since the control group was made, which is the start of the container unless the text says
//! otherwise. Where several containers share a limit, a finding is of those alone that it concerns. These are the findings:
//!
//! # Containers without processes
//!
//! A container that does not run is found by the same names, if state files have it: of Docker, Podman, containerd's CRI,
//! CRI-O and LXC. Its report has the identity with
//! `exit_code`, `oom_killed`, `stopped_by_user` and `finished`, the layers of its root file system, and the ports that it would publish.
//! It has no namespaces, limits, privileges and processes.
//! A running container with the same name wins. `stopped_by_user`, in text `stopped by a user`, is what Docker and Podman note: somebody asked to stop or to kill it.
//! `oom_killed`, in text `OOM` in place of `exited` if the exit status is 137, is
//! what its runtime notes: a kill for lack of memory of any process. The finding oom-kill says which process it was and when, by the
//! kernel's log, which also has kills that the runtime does not note. Whether that was the first process is not known; if the kill is
//! within two seconds of the end and the exit status is 137, it probably was.
//!
//! # Comparison
//!
//! `--diff OTHER` shows only what differs between the target and OTHER, which is another target or `host`. As OTHER
//! that is always the host's first process; a container with that name is `RUNTIME:host`. PIDs, ids, counters, times and routes are not compared. Of interfaces the addresses are, without those of
//! the link alone; of sockets those on which processes inside listen, as `tcp *:80`; published ports as `*:8080->80/tcp`,
//! with `(nothing listens)` if no process inside does; of deleted files the paths. Both targets must run. If two
//! lists differ, the text shows what only one of them has. `none` is no value, such as no limit, or an empty list; `-` is
//! what only the other target has; `unknown` is what rights or the kernel withhold, or a finding for which that was not
//! looked at. With `--json`:
//! `{"a", "b", "differences": [{"path", "a", "b", "a_is", "b_is"}]}`, where `a_is` is `value`, `none`, `absent` or `unknown`.
//!
//! # JSON
//!
//! `{"host", "boot_id", "containers": [CONTAINER, ...]}`. The keys of a container are `identity`, `namespaces`, `limits`,
//! `privileges`, `files`, `network`, `processes`, `findings` and `unknown`; those of a finding are `id`, `severity`, `text`,
//! `evidence`, `why` and `do`. An unknown value is null, and a section that `-s` leaves out is null. Sizes are in bytes,
//! times in seconds or as RFC 3339, CPUs as numbers; `total` of a pressure is in microseconds, as the kernel has it.
//! `limits.cgroup.own` is false if other processes share a control group of the container. `limit_by` and `quota_by` are
//! the paths of the groups that set the limit; of groups with the same limit it is the outermost. `limit_usage` and
//! `limit_current` are what that group uses, with all groups below it. `throttled.percent_now` is null unless processes
//! wait for a CPU; then the counters are read twice. `throttled.own` is false if other containers use the quota too.
//! `pids.denied` counts forks of the container that a limit refused; `pids.limit_denied` those that the limit of a group
//! above refused, of all groups below it, where the kernel counts only that (v2, since Linux 6.11).
//!
//! # Processes that block their readers
//!
//! A process can block everybody who reads its files in /proc, ps(1) too: its execve(2) does not end because a FUSE
//! file system does not answer, and the kernel is one that makes readers wait for that. ctr-inspect leaves out
//! such a process after one second, and names it on standard error. If a user or a container has many of them, all
//! processes of that user or container are left out after three seconds. As a target it does not exist.
//!
//! # Exit status
//!
//! 0 on success, also of `--diff` with and without differences; 1 on failure, or if a target does not exist; with
//! `--exit-status` 2 if there is a finding of high severity. 1 wins over 2. If there is none, and a value is unknown without
//! which one cannot be decided, a line on standard error says so. `--exit-status` has no effect on `--diff`.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `NO_COLOR`, `TERM`: with `--color=auto`, a NO_COLOR that is not empty or the TERM `dumb` turns colours off.
//! - `TERM`, `COLORTERM`: containers have colours of the palette of 256 if TERM has `256color` in it, or if COLORTERM is not empty.
//! - `COLUMNS`: the width of the output if standard output is a terminal without a size; 80 without a terminal.
//! - `POSIXLY_CORRECT`: if set, options after the first operand are operands too.
//!
//! # Files
//!
//! - `/proc`: the processes, their namespaces, mounts, open files, credentials and limits. `--root=DIR` reads
//!   DIR/proc.
//! - State files of runtimes: the names of containers; ctrbox(1) lists the paths. `--root=DIR` reads them below DIR.
//! - `/etc/passwd`: the names of users.
//! - `/sys/fs/cgroup`: limits and use, where /proc/self/mountinfo says that control groups are mounted.
//! - `/dev/kmsg`: the kernel's log: which processes the kernel killed because memory ran out.
//! - `/sys/kernel/security/lsm`: the active security modules.
//! - `/sys/dev/block`: the names of disks.
//! - `/etc/resolv.conf`: the name servers, in the root directory of the container.
//!
//! # Examples
//!
//! Everything about a container:
//!
//! ```text
//! ctr-inspect web
//! ```
//!
//! Which control group limits the memory of a pod's containers, and to how much:
//!
//! ```text
//! ctr-inspect -s limits -J shop/web |
//!     jq '.containers[].limits.memory | .limit, .limit_by'
//! ```
//!
//! What is wrong with all containers of Docker:
//!
//! ```text
//! ctr-inspect -f $(ctr-ps -l -q --runtime docker)
//! ```
//!
//! Why one replica works and the other does not:
//!
//! ```text
//! ctr-inspect web-1 --diff web-2
//! ```
//!
//! What a process that top(1) shows may do:
//!
//! ```text
//! ctr-inspect -s privileges 4711
//! ```
//!
//! Which container a port of the host leads to, and whether a program listens there:
//!
//! ```text
//! ctr-inspect -s network web
//! ```
//!
//! # See also
//!
//! ctr-ps(1), ctr-top(1), ctr-whose(1), getpcaps(8), lsns(8), nsenter(1), capabilities(7), cgroups(7), namespaces(7)

mod builder;
mod descriptors;
mod diff;
mod ending;
mod few;
mod files;
mod finding;
mod findings;
mod identity;
mod limits;
mod namespaces;
mod network;
mod privileges;
mod processes;
mod proven;
mod report;
mod show;
mod sockets;
mod stopped;
mod targets;
mod unknown;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::access;
use crate::cli::{Applet, Call, Effect, Grammar, Opt, Words, number, set};
use crate::container::Files;
use crate::container::world::{Subject, World};
use crate::exit::{self, Exit, Outcome, warn};
use crate::output::Out;
use crate::output::style::{self, Painter, When};
use crate::proc::ProcRoot;
use crate::text;
use builder::Builder;
use finding::{Finding, Severity};
pub(crate) use findings::Rule;
use report::{Report, Section};
use show::Page;
use targets::{FIRST, Found, HOST, find, host, world};

#[derive(Default)]
struct Request {
    sections: Vec<Section>,
    all: bool,
    findings: bool,
    exit_status: bool,
    diff: Option<OsString>,
    json: bool,
    colour: When,
    /// The width of the text; without it that of the terminal.
    width: Option<usize>,
    root: Option<PathBuf>,
}

/// What each finding means, for the manual page.
pub(crate) fn rules() -> &'static [Rule] {
    findings::RULES
}

pub(crate) static APPLET: Applet = Applet {
    name: "ctr-inspect",
    section: 1,
    failure: 1,
    about: "show what isolates a container, what limits it, and what is odd about it",
    run,
    grammar: &GRAMMAR,
};

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] target...",
    stops_at_operand: false,
    options: &[
        Opt::new(
            Some('s'),
            "section",
            "only these: identity, namespaces, limits, privileges, files, network, processes",
            Effect::Required(section),
        )
        .takes("list")
        .lists(Words::Choice(&[
            "identity",
            "namespaces",
            "limits",
            "privileges",
            "files",
            "network",
            "processes",
        ])),
        Opt::new(
            Some('f'),
            "findings",
            "show only what is odd, why it matters and what to do",
            Effect::Flag(|r| set(&mut r.findings)),
        ),
        Opt::new(
            Some('a'),
            "all",
            "also show notes, and details that most containers have in common",
            Effect::Flag(|r| set(&mut r.all)),
        ),
        Opt::new(
            None,
            "exit-status",
            "status 2 if there is a finding of high severity",
            Effect::Flag(|r| set(&mut r.exit_status)),
        ),
        Opt::new(
            None,
            "diff",
            "show only what differs between the target and this one; 'host' is always the host",
            Effect::Required(diff_with),
        )
        .takes("target")
        .offers(Words::TargetOrHost),
        Opt::new(Some('J'), "json", "print JSON", Effect::Flag(|r| set(&mut r.json))),
        Opt::color(colour),
        // For ctr-top, which shows the text on its screen.
        Opt::new(None, "width", "", Effect::Required(width)).hidden(),
        Opt::root(root),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[("section", "Contents"), ("json", "Output"), ("root", "Other options")],
};

fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let words = GRAMMAR.parse(call, &mut request)?;
    if words.is_empty() {
        return Err(Exit::Usage(format!("{}: no target given", text::shown(&call.argv0))));
    }
    if request.sections.is_empty() || request.findings {
        request.sections = Section::ALL.to_vec();
    }
    let root = request.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let files = Files::new(&root)?;
    let proc = files.proc(request.root.as_deref())?;
    exit::in_worker(&proc, || inspect(call, (&proc, &files), &words, &request))
}

fn inspect(
    call: &Call,
    (proc, files): (&ProcRoot, &Files),
    words: &[OsString],
    request: &Request,
) -> Outcome {
    let world = world(proc, files, words, request)?;
    if let Some(other) = &request.diff {
        return differences(call, &world, (words, other), request);
    }
    let mut status = 0;
    let found = find(call, &world, words, &mut status);
    let is_running = |found: &Found| match found {
        Found::Running(subject) => Some(*subject),
        Found::Stopped(_) => None,
    };
    let subjects: Vec<Subject> = found.iter().filter_map(is_running).collect();
    let builder = Builder::new(&world, &request.sections, &subjects);
    let mut reports = Vec::new();
    for one in &found {
        let (label, report) = match one {
            Found::Running(subject) => (world.label_of(*subject), builder.report(*subject)),
            Found::Stopped(details) => {
                (details.container.label(), Some(stopped::report(&world, &request.sections, details)))
            }
        };
        let report = report.map(|report| Report { label, ..report });
        match (report, one) {
            (Some(report), _) if request.findings => reports.push(report.only_findings()),
            (Some(report), _) => reports.push(report),
            (None, Found::Running(subject)) => {
                warn(call.name, &format!("process {} has ended", subject.pid));
                status = 1;
            }
            (None, Found::Stopped(_)) => {}
        }
    }
    let is_high = |finding: &Finding| finding.severity == Severity::High;
    if request.exit_status && status == 0 && reports.iter().any(|report| report.findings.iter().any(is_high))
    {
        status = 2;
    }
    let mut out = Out::stdout();
    match request.json {
        true => report::document(&mut out, proc, &reports)?,
        false => pages(&mut out, &reports, request),
    }
    out.finish()?;
    if let Some(note) = access::note_of_locked(&builder.locked()) {
        warn(call.name, &note);
    }
    if request.exit_status && status == 0 {
        for report in reports.iter().filter(|report| !report.undecided.is_empty()) {
            let label = text::escape(report.label.as_bytes());
            let all = report.undecided.join(" ");
            warn(call.name, &format!("{label}: not decided, as values are unknown: {all}"));
        }
    }
    if !subjects.is_empty() {
        exit::hint_at_rights();
    }
    Ok(status)
}

fn section(request: &mut Request, list: &OsStr) -> Result<(), Exit> {
    let list = list.to_string_lossy();
    let mut words = list.split(',').filter(|word| !word.is_empty()).peekable();
    if words.peek().is_none() {
        let names = Section::ALL.map(Section::name).join(", ");
        return Err(anyhow!("no section is named (there are: {names})").into());
    }
    for word in words {
        let section = Section::ALL.into_iter().find(|section| section.name() == word);
        let unknown = || {
            let hint = Section::meant(word).map(|section| format!("; did you mean {}?", section.name()));
            let names = Section::ALL.map(Section::name).join(", ");
            let word = text::escape(word.as_bytes());
            anyhow!("unknown section '{word}'{} (there are: {names})", hint.unwrap_or_default())
        };
        request.sections.push(section.ok_or_else(unknown)?);
    }
    Ok(())
}

fn diff_with(request: &mut Request, other: &OsStr) -> Result<(), Exit> {
    request.diff = Some(other.to_owned());
    Ok(())
}

fn colour(request: &mut Request, when: Option<&OsStr>) -> Result<(), Exit> {
    request.colour = When::of_option(when)?;
    Ok(())
}

fn width(request: &mut Request, columns: &OsStr) -> Result<(), Exit> {
    request.width = Some(number(columns, "invalid width")?);
    Ok(())
}

fn root(request: &mut Request, directory: &OsStr) -> Result<(), Exit> {
    request.root = Some(directory.into());
    Ok(())
}

/// `--diff`
fn differences(
    call: &Call,
    world: &World<'_>,
    (words, other): (&[OsString], &OsStr),
    request: &Request,
) -> Outcome {
    let [word] = words else {
        return Err(anyhow!("--diff compares one target with another: {} are given", words.len()).into());
    };
    let one = |word: &OsStr| -> Result<Subject> {
        world.hint_at_container(word);
        let found = world.find(word).or_else(|error| host(world, word, &error).ok_or(error));
        let (found, notes) = found.map_err(|error| stopped::not_compared(world, word).unwrap_or(error))?;
        notes.iter().for_each(|note| warn(call.name, note));
        match found[..] {
            [subject] => Ok(subject),
            _ => Err(anyhow!("'{}' means {} containers: name one", text::shown(word), found.len())),
        }
    };
    let is_host = other == HOST;
    let (a, b) = (one(word)?, one(if is_host { OsStr::new(FIRST) } else { other })?);
    let builder = Builder::new(world, &request.sections, &[a, b]);
    let report = |subject: Subject| {
        builder.report(subject).ok_or_else(|| anyhow!("process {} has ended", subject.pid))
    };
    let label = |word: &OsStr, subject: Subject| match subject.container {
        Some(number) => world.containers[number].label.clone(),
        None => text::utf8(word.as_encoded_bytes()).into_owned(),
    };
    let (name_a, name_b) = (label(word, a), if is_host { "host".to_owned() } else { label(other, b) });
    let diff = diff::compare((&report(a)?, &name_a), (&report(b)?, &name_b), is_host)?;
    let mut out = Out::stdout();
    match request.json {
        true => diff.json(&mut out)?,
        false => {
            let painter = Painter { colour: request.colour.on_stdout() };
            diff.text(&mut out, painter, request.columns());
        }
    }
    out.finish()?;
    exit::hint_at_rights();
    Ok(0)
}

impl Request {
    /// The width of the text, also where stdout is no terminal.
    fn columns(&self) -> usize {
        self.width.or_else(style::stdout_columns).unwrap_or(80).max(40)
    }
}

fn pages(out: &mut Out, reports: &[Report], request: &Request) {
    let painter = Painter { colour: request.colour.on_stdout() };
    for (at, report) in reports.iter().enumerate() {
        if at > 0 {
            out.push(b"\n");
        }
        let mut page = Page { out: &mut *out, painter, columns: request.columns() };
        match request.findings {
            true => page.reasons(report, request.all),
            false => page.report(report, request.all),
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use super::{files, network, sockets};

    pub(crate) fn network_files(data: &[u8]) {
        network::fuzz(data);
        data.split(|&b| b == b'\n').for_each(sockets::fuzz);
    }

    pub(crate) fn rules_of_devices(data: &[u8]) {
        files::fuzz(data);
    }
}
