//! The columns of processes: names, what they hold, what must be read for them; and `-o`'s list of them.

use anyhow::{Result, bail};

use crate::isolation::kind::Kind;
use crate::output::table::{Align, Column, Json};
use crate::text;

/// In the order of `--list-columns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names)] // a container has an id
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
    How,
    Via,
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

/// What must be read of a process before a cell can be made; 0 when what it is listed by is enough.
pub(super) mod needs {
    pub(crate) const STAT: u16 = 1;
    pub(crate) const STATE: u16 = 2;
    pub(crate) const CGROUP: u16 = 4;
    pub(crate) const NS: u16 = 8;
    pub(crate) const LSM: u16 = 16;
    pub(crate) const OOM: u16 = 32;
    pub(crate) const UID_MAP: u16 = 64;
    pub(crate) const PASSWD: u16 = 128;
    /// How it came into its container: its ancestors must be known.
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

/// Text that reads as a number.
pub(super) const fn figure(name: &'static str, help: &'static str) -> Column {
    Column { json: Json::String, ..number(name, help) }
}

/// The table.
pub(super) static COLUMNS: [(Id, Column, u16); 52] = [
    (Id::User, words("USER", "effective user, on the host"), 0),
    (Id::Uid, number("UID", "its number"), 0),
    (Id::Ruid, number("RUID", "number of the real user, on the host"), STATE),
    (Id::Cuser, words("CUSER", "effective user, as the container's passwd has it"), UID_MAP | PASSWD),
    (Id::Cuid, number("CUID", "number of the effective user in its own user namespace"), UID_MAP),
    (Id::Pid, number("PID", "PID on the host"), 0),
    (Id::Cpid, number("CPID", "PID in its own pid namespace"), 0),
    (Id::Ppid, number("PPID", "PID of the parent on the host"), 0),
    (Id::Container, words("CONTAINER", "RUNTIME:NAME; of nested ones all, outermost first"), 0),
    (Id::Runtime, words("RUNTIME", "what made the container"), 0),
    (Id::Engine, words("ENGINE", "what does the work behind it, as containerd behind k8s"), 0),
    (Id::Name, words("NAME", "name of the container alone"), 0),
    (Id::Id, words("ID", "the runtime's id of the container"), 0),
    (Id::Image, words("IMAGE", "image of the container"), 0),
    (Id::Pod, words("POD", "pod of the container"), 0),
    (Id::PodNamespace, words("POD_NAMESPACE", "Kubernetes' namespace of the pod"), 0),
    (Id::Hostname, words("HOSTNAME", "host name inside of the container"), 0),
    (Id::Labels, words("LABELS", "labels of the container"), 0),
    (Id::Owner, words("OWNER", "who runs the container: root, or the user of a rootless one"), 0),
    (Id::Created, words("CREATED", "when the container was made"), 0),
    (Id::Chain, words("CHAIN", "the container and those around it, outermost first"), 0),
    (Id::How, words("HOW", "how the container is known: state, cgroup, namespace, anonymous"), 0),
    (Id::Via, words("VIA", "how the process came in: init, fork (of init), exec, ns"), VIA),
    (Id::State, words("STATE", "R, S, D, T, Z, ... as ps has it"), STAT),
    (Id::C, number("C", "share of a CPU since it began, in percent, at most 99"), STAT),
    (Id::Cpu, figure("CPU", "the same with a digit after the point"), STAT),
    (Id::Stime, figure("STIME", "when it began: hour, day or year"), STAT),
    (Id::Start, words("START", "when it began, whole"), STAT),
    (Id::Elapsed, figure("ELAPSED", "time since it began: [[DD-]HH:]MM:SS"), STAT),
    (Id::Tty, words("TTY", "its terminal"), STAT),
    (Id::Time, figure("TIME", "CPU time: [DD-]HH:MM:SS"), STAT),
    (Id::Rss, number("RSS", "memory that it holds, in KiB"), STAT),
    (Id::Vsz, number("VSZ", "address space, in KiB"), STAT),
    (Id::Nice, number("NICE", "nice value"), STAT),
    (Id::Threads, number("THREADS", "number of threads"), STAT),
    (Id::Cgroup, words("CGROUP", "its control group; where there are several, the deepest"), CGROUP),
    (Id::Ns(Kind::Cgroup), number("CGROUPNS", "its cgroup namespace"), NS),
    (Id::Ns(Kind::Ipc), number("IPCNS", "its ipc namespace"), NS),
    (Id::Ns(Kind::Mnt), number("MNTNS", "its mount namespace"), NS),
    (Id::Ns(Kind::Net), number("NETNS", "its network namespace"), NS),
    (Id::Ns(Kind::Pid), number("PIDNS", "its pid namespace"), NS),
    (Id::Ns(Kind::Time), number("TIMENS", "its time namespace"), NS),
    (Id::Ns(Kind::User), number("USERNS", "its user namespace"), NS),
    (Id::Ns(Kind::Uts), number("UTSNS", "its uts namespace"), NS),
    (Id::Caps, words("CAPS", "effective capabilities"), STATE),
    (Id::Capdiff, words("CAPDIFF", "bounding set against the runtime's default: + more, - less"), STATE),
    (Id::Seccomp, words("SECCOMP", "off, strict or filter"), STATE),
    (Id::Nnp, words("NNP", "no_new_privs: does no program gain rights?"), STATE),
    (Id::Lsm, words("LSM", "label of the security module: AppArmor's profile, SELinux' context"), LSM),
    (Id::OomScore, number("OOM_SCORE", "the higher, the sooner the kernel kills it for memory"), OOM),
    (Id::Cmd, words("CMD", "name of the program"), NAME),
    (Id::Command, words("COMMAND", "command line (ARGS is the same)"), COMMAND),
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
    Id::How,
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

/// The columns of one name: in any case, `ns` for all kinds of namespaces.
pub(super) fn named(name: &str) -> Vec<Id> {
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    let all = COLUMNS.iter().map(|row| row.0);
    match () {
        () if is("NS") => all.filter(|id| matches!(id, Id::Ns(_))).collect(),
        () if is("ARGS") => vec![Id::Command],
        () => all.filter(|id| is(id.column().name)).collect(),
    }
}

/// `-o LIST`: replaces the default columns, or with a `+` before it is put before the last of them. `named` finds those of a
/// name.
pub(super) fn parse<T: Clone>(list: &str, default: &[T], named: impl Fn(&str) -> Vec<T>) -> Result<Vec<T>> {
    let (mut columns, names) = match list.strip_prefix('+') {
        Some(names) => (default.to_vec(), names),
        None => (Vec::new(), list),
    };
    // What has no width of its own stays last.
    let last = columns.pop();
    for name in names.split([',', ' ']) {
        let found = named(name);
        if found.is_empty() {
            bail!("no column '{}' (-H lists them)", text::escape(name.as_bytes()));
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
    fn every_column_has_its_row_and_its_name() {
        for (id, column, _) in &COLUMNS {
            assert_eq!(id.column().name, column.name, "{id:?} stands twice");
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
            assert_eq!(error, format!("no column '{name}' (-H lists them)"), "{list}");
        }
    }
}
