//! The columns of processes: their names, help texts and the files they need; and the parser of `-o`.

use anyhow::{Result, bail};

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
    Cuser,
    Cuid,
    Pid,
    Cpid,
    Ppid,
    Container,
    Runtime,
    Engine,
    Name,
    Id,
    Image,
    Pod,
    PodNamespace,
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
    Tty,
    Time,
    Rss,
    Vsz,
    Nice,
    Threads,
    Cgroup,
    Ns(Kind),
    Caps,
    Capdiff,
    Seccomp,
    Nnp,
    Lsm,
    OomScore,
    Cmd,
    Command,
}

/// The files of a process that a column needs. 0 if the data of the process list is enough.
pub(super) mod needs {
    pub(crate) const STAT: u16 = 1;
    pub(crate) const STATE: u16 = 2;
    pub(crate) const CGROUP: u16 = 4;
    pub(crate) const NS: u16 = 8;
    pub(crate) const LSM: u16 = 16;
    pub(crate) const OOM: u16 = 32;
    pub(crate) const UID_MAP: u16 = 64;
    pub(crate) const PASSWD: u16 = 128;
    /// The origin of the process: its ancestors must be read.
    pub(crate) const VIA: u16 = 256;
    pub(crate) const NAME: u16 = 512;
    pub(crate) const COMMAND: u16 = 1024;
}
use needs::{CGROUP, COMMAND, LSM, NAME, NS, OOM, PASSWD, STAT, STATE, UID_MAP, VIA};

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
pub(super) static COLUMNS: [(Id, Column, u16); 52] = [
    (Id::User, words("USER", "effective user on the host"), 0),
    (Id::Uid, number("UID", "effective user ID on the host"), 0),
    (Id::Ruid, number("RUID", "real user ID on the host"), STATE),
    (Id::Cuser, words("CUSER", "effective user, by the container's passwd file"), UID_MAP | PASSWD),
    (Id::Cuid, number("CUID", "effective user ID in its own user namespace"), UID_MAP),
    (Id::Pid, number("PID", "PID on the host"), 0),
    (Id::Cpid, number("CPID", "PID in its own pid namespace"), 0),
    (Id::Ppid, number("PPID", "PID of the parent process on the host"), 0),
    (Id::Container, words("CONTAINER", "RUNTIME:NAME; for nested containers all names, outermost first"), 0),
    (Id::Runtime, words("RUNTIME", "runtime that created the container"), 0),
    (Id::Engine, words("ENGINE", "engine below the runtime, such as containerd below k8s"), 0),
    (Id::Name, words("NAME", "name of the container without the runtime"), 0),
    (Id::Id, words("ID", "id that the runtime gave the container"), 0),
    (Id::Image, words("IMAGE", "image of the container"), 0),
    (Id::Pod, words("POD", "pod of the container"), 0),
    (Id::PodNamespace, words("POD_NAMESPACE", "Kubernetes namespace of the pod"), 0),
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
    (Id::Tty, words("TTY", "controlling terminal"), STAT),
    (Id::Time, figure("TIME", "CPU time: [DD-]HH:MM:SS"), STAT),
    (Id::Rss, number("RSS", "resident memory, in KiB"), STAT),
    (Id::Vsz, number("VSZ", "virtual memory, in KiB"), STAT),
    (Id::Nice, number("NICE", "nice value"), STAT),
    (Id::Threads, number("THREADS", "number of threads"), STAT),
    (Id::Cgroup, words("CGROUP", "control group; on v1 the deepest one"), CGROUP),
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
    fn row(self) -> &'static (Id, Column, u16) {
        COLUMNS.iter().find(|row| row.0 == self).unwrap_or(&COLUMNS[0])
    }

    #[must_use]
    pub(super) fn column(self) -> &'static Column {
        &self.row().1
    }

    #[must_use]
    pub(super) fn needs(self) -> u16 {
        self.row().2
    }
}

/// The columns with a name, in upper or lower case. `ns` stands for the columns of all namespaces.
pub(super) fn named(name: &str) -> Vec<Id> {
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    let all = COLUMNS.iter().map(|row| row.0);
    match () {
        () if is("NS") => all.filter(|id| matches!(id, Id::Ns(_))).collect(),
        () if is("ARGS") => vec![Id::Command],
        () => all.filter(|id| is(id.column().name)).collect(),
    }
}

/// Parses the LIST of `-o`: it replaces the default columns; `+LIST` adds columns before the last default one. `named`
/// finds the columns with a name.
pub(super) fn parse<T: Clone>(list: &str, default: &[T], named: impl Fn(&str) -> Vec<T>) -> Result<Vec<T>> {
    let (mut columns, names) = match list.strip_prefix('+') {
        Some(names) => (default.to_vec(), names),
        None => (Vec::new(), list),
    };
    // The last column has no fixed width: it stays last.
    let last = columns.pop();
    for name in names.split([',', ' ']) {
        let found = named(name);
        if found.is_empty() {
            bail!(
                "unknown column '{}' (-H lists the columns; with -l those of containers)",
                text::escape(name.as_bytes())
            );
        }
        columns.extend(found);
    }
    columns.extend(last);
    Ok(columns)
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
    fn lists_replace_or_add() {
        assert_eq!(parse("pid,USER", DEFAULT, named).expect("columns"), [Id::Pid, Id::User]);
        assert_eq!(
            parse("+cuid", &[Id::Pid, Id::Command], named).expect("columns"),
            [Id::Pid, Id::Cuid, Id::Command]
        );
        for (list, name) in [("pid,x", "x"), ("", ""), ("+", ""), ("pid,", ""), ("p\x1b", r"p\x1b")] {
            let error = parse(list, DEFAULT, named).expect_err("no column").to_string();
            assert_eq!(
                error,
                format!("unknown column '{name}' (-H lists the columns; with -l those of containers)"),
                "{list}"
            );
        }
    }
}
