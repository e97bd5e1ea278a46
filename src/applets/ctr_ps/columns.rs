//! The columns of processes: their names, help texts and the files they need; and the parser of `-o`.

use anyhow::{Result, bail};

use super::habits::columns::{SYNONYMS, instead};
use crate::output::smartcols::{Align, Column, Json};
use crate::proc::ns::Kind;
use crate::text;

/// A column, in the order of `--list-columns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names)] // the column ID is the id of a container
pub(super) enum Id {
    User,
    Uid,
    Ruid,
    Ruser,
    Group,
    Gid,
    Cuser,
    Cuid,
    Pid,
    Tid,
    Cpid,
    Ppid,
    Pgid,
    Sid,
    Container,
    Runtime,
    Engine,
    Name,
    Id,
    Image,
    Pod,
    PodNamespace,
    PodUid,
    Hostname,
    Labels,
    Owner,
    Created,
    Chain,
    IdentifiedBy,
    Origin,
    State,
    C,
    Cpu,
    Stime,
    Start,
    Elapsed,
    Etimes,
    Tty,
    Time,
    Rss,
    Mem,
    Vsz,
    Nice,
    Pri,
    Psr,
    Threads,
    Wchan,
    Exe,
    Cgroup,
    Cgroups,
    Ns(Kind),
    Caps,
    Capdiff,
    Seccomp,
    Nnp,
    Lsm,
    OomScore,
    OomKills,
    Psi(&'static str),
    Ports,
    Cmd,
    Command,
}

/// The files of a process that a column needs. 0 if the data of the process list is enough.
pub(super) mod needs {
    pub(crate) const STAT: u32 = 1;
    pub(crate) const STATE: u32 = 2;
    pub(crate) const CGROUP: u32 = 4;
    pub(crate) const NS: u32 = 8;
    pub(crate) const LSM: u32 = 16;
    pub(crate) const OOM: u32 = 32;
    pub(crate) const UID_MAP: u32 = 64;
    pub(crate) const PASSWD: u32 = 128;
    /// The origin of the process: its ancestors must be read.
    pub(crate) const VIA: u32 = 256;
    pub(crate) const NAME: u32 = 512;
    pub(crate) const COMMAND: u32 = 1024;
    pub(crate) const WCHAN: u32 = 2048;
    pub(crate) const EXE: u32 = 4096;
    /// All lines of the cgroup file.
    pub(crate) const CGROUPS: u32 = 8192;
    pub(crate) const SESSION: u32 = 16384;
    /// Priority and CPU.
    pub(crate) const SCHEDULING: u32 = 32768;
    /// Resident memory by statm: that of stat lacks what the CPUs have not added yet, up to a quarter of a small process.
    pub(crate) const RESIDENT: u32 = 65536;
}
use needs::{
    CGROUP, CGROUPS, COMMAND, EXE, LSM, NAME, NS, OOM, PASSWD, RESIDENT, SCHEDULING, SESSION, STAT, STATE,
    UID_MAP, VIA, WCHAN,
};

pub(super) const fn number(name: &'static str, help: &'static str) -> Column {
    Column { name, help, align: Align::Right, json: Json::Number, hint: 0, truncate: false, wrap: false }
}

pub(super) const fn words(name: &'static str, help: &'static str) -> Column {
    Column { align: Align::Left, json: Json::String, ..number(name, help) }
}

/// Text that is aligned like a number.
pub(super) const fn figure(name: &'static str, help: &'static str) -> Column {
    Column { json: Json::String, ..number(name, help) }
}

/// All columns, with what they need.
pub(super) static COLUMNS: [(Id, Column, u32); 71] = [
    (Id::User, words("USER", "effective user on the host"), 0),
    (Id::Uid, number("UID", "effective user ID on the host"), 0),
    (Id::Ruid, number("RUID", "real user ID on the host"), STATE),
    (Id::Ruser, words("RUSER", "real user on the host"), STATE),
    (Id::Group, words("GROUP", "effective group on the host"), STATE),
    (Id::Gid, number("GID", "effective group ID on the host"), STATE),
    (Id::Cuser, words("CUSER", "effective user, by the container's passwd file"), UID_MAP | PASSWD),
    (Id::Cuid, number("CUID", "effective user ID in its own user namespace"), UID_MAP),
    (Id::Pid, number("PID", "PID on the host"), 0),
    (Id::Tid, number("TID", "thread ID on the host; the PID for the first thread"), 0),
    (Id::Cpid, number("CPID", "PID in its own pid namespace"), 0),
    (Id::Ppid, number("PPID", "PID of the parent process on the host"), 0),
    (Id::Pgid, number("PGID", "process group"), SESSION),
    (Id::Sid, number("SID", "session"), SESSION),
    (Id::Container, words("CONTAINER", "RUNTIME:NAME; for nested containers all names, outermost first"), 0),
    (Id::Runtime, words("RUNTIME", "runtime that created the container"), 0),
    (Id::Engine, words("ENGINE", "engine below the runtime, such as containerd below k8s"), 0),
    (Id::Name, words("NAME", "name of the container without the runtime"), 0),
    (Id::Id, words("ID", "id that the runtime gave the container"), 0),
    (Id::Image, words("IMAGE", "image of the container"), 0),
    (Id::Pod, words("POD", "pod of the container"), 0),
    (Id::PodNamespace, words("POD_NAMESPACE", "Kubernetes namespace of the pod"), 0),
    (Id::PodUid, words("POD_UID", "UID of the pod, by the control groups"), CGROUPS),
    (Id::Hostname, words("HOSTNAME", "host name inside the container"), 0),
    (Id::Labels, words("LABELS", "labels of the container"), 0),
    (Id::Owner, words("OWNER", "owner of the container: root, or the user of a rootless container"), 0),
    (Id::Created, words("CREATED", "when the container was created"), 0),
    (Id::Chain, words("CHAIN", "the container and those it is nested in, outermost first"), 0),
    (
        Id::IdentifiedBy,
        words("HOW", "how the container is identified: state, cgroup, namespace, anonymous"),
        0,
    ),
    (Id::Origin, words("VIA", "how the process came in: init, fork (of init), exec, ns"), VIA),
    (Id::State, words("STATE", "process state as in ps: R, S, D, T, Z, ..."), STAT),
    (Id::C, number("C", "CPU use since the start, in percent of one CPU, at most 99"), STAT),
    (Id::Cpu, figure("CPU", "CPU use since the start, with one decimal, no limit"), STAT),
    (Id::Stime, figure("STIME", "start time: hour, day or year"), STAT),
    (Id::Start, words("START", "start date and time"), STAT),
    (Id::Elapsed, figure("ELAPSED", "time since the start: [[DD-]HH:]MM:SS"), STAT),
    (Id::Etimes, number("ETIMES", "time since the start, in seconds"), STAT),
    (Id::Tty, words("TTY", "controlling terminal"), STAT),
    (Id::Time, figure("TIME", "CPU time: [DD-]HH:MM:SS"), STAT),
    (Id::Rss, number("RSS", "resident memory, in KiB"), STAT | RESIDENT),
    (Id::Mem, figure("MEM", "resident memory, in percent of the host's memory"), STAT | RESIDENT),
    (Id::Vsz, number("VSZ", "virtual memory, in KiB"), STAT),
    (Id::Nice, number("NICE", "nice value"), STAT),
    (Id::Pri, number("PRI", "priority as in ps: higher ones run first"), SCHEDULING),
    (Id::Psr, number("PSR", "CPU that it ran on last"), SCHEDULING),
    (Id::Threads, number("THREADS", "number of threads"), STAT),
    (Id::Wchan, words("WCHAN", "kernel function in which the process waits"), WCHAN),
    (Id::Exe, words("EXE", "path of the program, by the kernel"), EXE),
    (Id::Cgroup, words("CGROUP", "control group; on v1 the deepest one"), CGROUP),
    (Id::Cgroups, words("CGROUPS", "control groups in all hierarchies"), CGROUPS),
    (Id::Ns(Kind::Cgroup), number("CGROUPNS", "cgroup namespace"), NS),
    (Id::Ns(Kind::Ipc), number("IPCNS", "ipc namespace"), NS),
    (Id::Ns(Kind::Mnt), number("MNTNS", "mount namespace"), NS),
    (Id::Ns(Kind::Net), number("NETNS", "network namespace"), NS),
    (Id::Ns(Kind::Pid), number("PIDNS", "pid namespace"), NS),
    (Id::Ns(Kind::Time), number("TIMENS", "time namespace"), NS),
    (Id::Ns(Kind::User), number("USERNS", "user namespace"), NS),
    (Id::Ns(Kind::Uts), number("UTSNS", "uts namespace"), NS),
    (Id::Caps, words("CAPS", "effective capabilities"), STATE),
    (
        Id::Capdiff,
        words("CAPDIFF", "bounding set compared with the runtime's default: + added, - dropped"),
        STATE,
    ),
    (Id::Seccomp, words("SECCOMP", "seccomp mode: off, strict or filter"), STATE),
    (Id::Nnp, words("NNP", "no_new_privs: execve grants no privileges"), STATE),
    (Id::Lsm, words("LSM", "label of the security module: AppArmor profile or SELinux context"), LSM),
    (Id::OomScore, number("OOM_SCORE", "OOM score: the OOM killer chooses the highest"), OOM),
    (Id::OomKills, number("OOM_KILLS", "processes of the container that were killed for lack of memory"), 0),
    (
        Id::Psi("cpu"),
        number(
            "PSI_CPU",
            "percent of the last 10 s in which the container waited for a CPU (psi: all three)",
        ),
        0,
    ),
    (
        Id::Psi("memory"),
        number("PSI_MEMORY", "percent of the last 10 s in which the container waited for memory"),
        0,
    ),
    (
        Id::Psi("io"),
        number("PSI_IO", "percent of the last 10 s in which the container waited for input or output"),
        0,
    ),
    (Id::Ports, words("PORTS", "published and exposed ports of the container, by the state files"), 0),
    (Id::Cmd, words("CMD", "process name"), NAME),
    (Id::Command, words("COMMAND", "command line (also named ARGS)"), COMMAND),
];

pub(super) const DEFAULT: &[Id] = &[Id::User, Id::Pid, Id::Cpid, Id::Container, Id::Command];

pub(super) const JSON: &[Id] = &[
    Id::Pid,
    Id::Ppid,
    Id::Cpid,
    Id::User,
    Id::Runtime,
    Id::Container,
    Id::Id,
    Id::Pod,
    Id::PodNamespace,
    Id::Image,
    Id::Engine,
    Id::Chain,
    Id::IdentifiedBy,
    Id::Command,
];

pub(super) const FULL: &[Id] =
    &[Id::User, Id::Pid, Id::Ppid, Id::C, Id::Stime, Id::Tty, Id::Time, Id::Cpid, Id::Container, Id::Command];

pub(super) const SECURITY: &[Id] =
    &[Id::User, Id::Pid, Id::Container, Id::Capdiff, Id::Seccomp, Id::Nnp, Id::Lsm, Id::Command];

impl Id {
    fn row(self) -> &'static (Id, Column, u32) {
        COLUMNS.iter().find(|row| row.0 == self).unwrap_or(&COLUMNS[0])
    }

    #[must_use]
    pub(super) fn column(self) -> &'static Column {
        &self.row().1
    }

    #[must_use]
    pub(super) fn needs(self) -> u32 {
        self.row().2
    }
}

/// The columns of `ps aux` and the container.
pub(super) const AUX: &[Id] = &[
    Id::User,
    Id::Pid,
    Id::Cpu,
    Id::Mem,
    Id::Vsz,
    Id::Rss,
    Id::Tty,
    Id::State,
    Id::Stime,
    Id::Time,
    Id::Cpid,
    Id::Container,
    Id::Command,
];

/// The columns of `ps ax` and the container.
pub(super) const AX: &[Id] = &[Id::Pid, Id::Tty, Id::State, Id::Time, Id::Cpid, Id::Container, Id::Command];

/// The columns with a name, in upper or lower case. `ns` stands for the columns of all namespaces.
pub(super) fn named(name: &str) -> Vec<Id> {
    let all = COLUMNS.iter().map(|row| row.0);
    if name.eq_ignore_ascii_case("NS") {
        return all.filter(|id| matches!(id, Id::Ns(_))).collect();
    }
    if name.eq_ignore_ascii_case("PSI") {
        return all.filter(|id| matches!(id, Id::Psi(_))).collect();
    }
    let synonym = SYNONYMS.iter().find(|(of_ps, _)| of_ps.eq_ignore_ascii_case(name));
    let name = synonym.map_or(name, |(_, own)| own);
    all.filter(|id| id.column().name.eq_ignore_ascii_case(name)).collect()
}

/// The columns that `-o` selects, each with the heading that `NAME=HEADING` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picked<T> {
    pub ids: Vec<T>,
    pub headings: Vec<Option<String>>,
}

impl<T: Clone> Picked<T> {
    #[must_use]
    pub(super) fn new(ids: &[T]) -> Picked<T> {
        Picked { ids: ids.to_vec(), headings: vec![None; ids.len()] }
    }

    fn push(&mut self, id: T, heading: Option<String>) {
        self.ids.push(id);
        self.headings.push(heading);
    }

    fn pop(&mut self) -> Option<(T, Option<String>)> {
        Some((self.ids.pop()?, self.headings.pop()?))
    }
}

/// What `-o` and `--sort` find columns with: those with a name, and all names, for suggestions.
pub(super) struct Names<T: 'static> {
    pub named: fn(&str) -> Vec<T>,
    pub all: fn() -> Vec<&'static str>,
    /// Names of other programs, and those here.
    pub synonyms: &'static [(&'static str, &'static str)],
}

pub(super) const NAMES: Names<Id> =
    Names { named, all: || COLUMNS.iter().map(|row| row.1.name).collect(), synonyms: SYNONYMS };

impl<T> Names<T> {
    /// The columns with a name, or an error.
    pub(super) fn find(&self, name: &str) -> Result<Vec<T>> {
        // ps has `user:20` for a width; columns are as wide as their widest cell.
        let width = name.split_once(':').filter(|(_, width)| width.parse::<u16>().is_ok());
        let name = width.map_or(name, |(name, _)| name);
        let found = (self.named)(name);
        if found.is_empty() {
            let shown = text::escape(name.as_bytes());
            if let Some(instead) = instead(name) {
                bail!("there is no column '{shown}'; type {instead}");
            }
            let hint = text::or_did_you_mean(&name.to_uppercase(), (self.all)()).to_lowercase();
            bail!("unknown column '{shown}'{hint} (-H lists the columns; with -l those of containers)");
        }
        Ok(found)
    }
}

/// Parses the LISTs of `-o`: the first replaces the default columns, and more ones add to it; `+LIST` adds columns
/// before the last default one.
pub(super) fn parse<T: Clone>(lists: &[String], default: &[T], names: &Names<T>) -> Result<Picked<T>> {
    let mut columns = Picked::new(default);
    let mut replaced = false;
    for list in lists {
        match list.strip_prefix('+') {
            Some(list) => {
                // The last default column has no fixed width: it stays last.
                let last = if replaced { None } else { columns.pop() };
                add(&mut columns, list, names)?;
                last.into_iter().for_each(|(id, heading)| columns.push(id, heading));
            }
            None => {
                if !std::mem::replace(&mut replaced, true) {
                    columns = Picked::new(&[]);
                }
                add(&mut columns, list, names)?;
            }
        }
    }
    Ok(columns)
}

/// Adds `NAME`, `NAME=` and `NAME=HEADING`, separated by commas; blanks also separate names without headings.
fn add<T: Clone>(columns: &mut Picked<T>, list: &str, names: &Names<T>) -> Result<()> {
    for part in list.split(',') {
        if let Some((name, heading)) = part.split_once('=') {
            for id in names.find(name.trim())? {
                columns.push(id, Some(text::escape(heading.as_bytes()).into_owned()));
            }
            continue;
        }
        for name in part.trim().split(' ') {
            for id in names.find(name)? {
                columns.push(id, None);
            }
        }
    }
    Ok(())
}

/// Parses the LIST of `--sort`: columns, each perhaps with `-` for descending order before it.
pub(super) fn sort_keys<T: Clone>(list: &str, names: &Names<T>) -> Result<Vec<(T, bool)>> {
    let mut keys = Vec::new();
    for word in list.split([',', ' ']) {
        let (name, descending) = match word.strip_prefix('-') {
            Some(name) => (name, true),
            None => (word.strip_prefix('+').unwrap_or(word), false),
        };
        keys.extend(names.find(name)?.into_iter().map(|id| (id, descending)));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_one_row_and_a_unique_name() {
        for (id, column, _) in &COLUMNS {
            assert_eq!(id.column().name, column.name, "{id:?} has two rows");
            assert_eq!(named(&column.name.to_lowercase()), [*id]);
        }
        assert_eq!(named("ns").len(), Kind::ALL.len());
        assert_eq!(named("args"), [Id::Command]);
    }

    #[test]
    fn every_name_of_ps_means_a_column_and_hides_none() {
        for (of_ps, own) in SYNONYMS {
            assert_eq!(named(&of_ps.to_lowercase()), named(own), "{of_ps}");
            assert_eq!(named(own).len(), 1, "{own}");
            assert!(COLUMNS.iter().all(|row| row.1.name != *of_ps), "{of_ps} is a column");
        }
    }

    fn ids(lists: &[&str], default: &[Id]) -> Vec<Id> {
        let lists: Vec<String> = lists.iter().map(|&list| list.to_owned()).collect();
        parse(&lists, default, &NAMES).expect("columns").ids
    }

    #[test]
    fn lists_replace_or_add() {
        assert_eq!(ids(&["pid,USER"], DEFAULT), [Id::Pid, Id::User]);
        assert_eq!(ids(&["+cuid"], &[Id::Pid, Id::Command]), [Id::Pid, Id::Cuid, Id::Command]);
        assert_eq!(ids(&["pid", "comm,stat"], DEFAULT), [Id::Pid, Id::Cmd, Id::State]);
        assert_eq!(ids(&["+rss", "+nice"], &[Id::Command]), [Id::Rss, Id::Nice, Id::Command]);
        assert_eq!(ids(&["pid user"], DEFAULT), [Id::Pid, Id::User]);
        for (list, name) in [("pid,x", "x"), ("", ""), ("+", ""), ("pid,", ""), ("p\x1b", r"p\x1b")] {
            let error = parse(&[list.to_owned()], DEFAULT, &NAMES).expect_err("no column").to_string();
            assert!(error.starts_with(&format!("unknown column '{name}'")), "{list}: {error}");
            assert!(error.ends_with(" (-H lists the columns; with -l those of containers)"), "{error}");
        }
    }

    #[test]
    fn headings_and_keys() {
        let picked = parse(&["pid=,comm=A b".to_owned()], DEFAULT, &NAMES).expect("columns");
        assert_eq!(picked.ids, [Id::Pid, Id::Cmd]);
        assert_eq!(picked.headings, [Some(String::new()), Some("A b".to_owned())]);
        assert_eq!(
            sort_keys("-%mem,+pid,user", &NAMES).expect("keys"),
            [(Id::Mem, true), (Id::Pid, false), (Id::User, false)]
        );
        assert!(sort_keys("pid,--x", &NAMES).is_err());
    }
}
