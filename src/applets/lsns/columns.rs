//! The columns: names, contents and layout; and the list of `-o`.

use crate::output::smartcols::{Align, Column, Json};
use crate::text;

/// In the order of `--output-all`; then the columns of ctrbox, which are shown only when named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    Ns,
    Type,
    Path,
    Nprocs,
    Pid,
    Ppid,
    Command,
    Uid,
    User,
    Netnsid,
    Nsfs,
    Pns,
    Ons,
    Netname,
    Container,
    Runtime,
    Pod,
    Image,
    Created,
    Users,
    Heldby,
    Veth,
}

/// `hint` is the minimal width on a terminal, as in util-linux.
const fn number(name: &'static str, hint: usize, help: &'static str) -> Column {
    Column { name, help, align: Align::Right, json: Json::Number, hint, truncate: false, wrap: false }
}

const fn text(name: &'static str, help: &'static str) -> Column {
    Column { name, help, align: Align::Left, json: Json::String, hint: 0, truncate: false, wrap: false }
}

/// The table: a row for each [`Id`], in its order.
pub(super) static COLUMNS: [(Id, Column); 22] = [
    (Id::Ns, number("NS", 10, "namespace identifier (inode number)")),
    (Id::Type, Column { hint: 5, ..text("TYPE", "kind of namespace") }),
    (Id::Path, text("PATH", "path to the namespace")),
    (Id::Nprocs, number("NPROCS", 5, "number of processes in the namespace")),
    (Id::Pid, number("PID", 5, "lowest PID in the namespace")),
    (Id::Ppid, number("PPID", 5, "PPID of the PID")),
    (Id::Command, Column { truncate: true, ..text("COMMAND", "command line of the PID") }),
    (Id::Uid, number("UID", 0, "UID of the PID")),
    (Id::User, text("USER", "username of the PID")),
    (
        Id::Netnsid,
        Column { align: Align::Right, ..text("NETNSID", "namespace ID as used by network subsystem") },
    ),
    (Id::Nsfs, Column { wrap: true, ..text("NSFS", "nsfs mountpoint (usually used network subsystem)") }),
    (Id::Pns, number("PNS", 10, "parent namespace identifier (inode number)")),
    (Id::Ons, number("ONS", 10, "owner namespace identifier (inode number)")),
    (Id::Netname, text("NETNAME", "name that ip-netns(8) gave the namespace")),
    (Id::Container, text("CONTAINER", "containers whose processes are in the namespace")),
    (Id::Runtime, text("RUNTIME", "runtimes of these containers")),
    (Id::Pod, text("POD", "pods of these containers")),
    (Id::Image, text("IMAGE", "images of these containers")),
    (Id::Created, text("CREATED", "creation times of these containers")),
    (Id::Users, text("USERS", "uid map of a user namespace: INNER:OUTER:COUNT")),
    (
        Id::Heldby,
        text("HELDBY", "what keeps a namespace without processes alive: file, descriptor or socket"),
    ),
    (Id::Veth, text("VETH", "interfaces of this network namespace whose veth(4) peer is in the namespace")),
];

/// The number of columns that util-linux has.
pub(super) const UTIL_LINUX_COLUMNS: usize = 13;

impl Id {
    #[must_use]
    pub(super) fn column(self) -> &'static Column {
        &COLUMNS[self as usize].1
    }

    /// By name, in any case.
    #[must_use]
    pub(super) fn find(name: &str) -> Option<Id> {
        COLUMNS.iter().find(|(_, column)| column.name.eq_ignore_ascii_case(name)).map(|(id, _)| *id)
    }
}

/// The maximal number of columns, including the defaults that a list is added to.
const MAX_COLUMNS: usize = 26;

/// An error in a list of columns. util-linux prints no message for some errors.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The rest of the list, from the unknown name on.
    Unknown(String),
    Silent,
}

/// `-o LIST` replaces the default columns, `-o +LIST` adds to them.
pub(super) fn parse(list: &str, default: &[Id]) -> Result<Vec<Id>, Wrong> {
    let (mut columns, names) = match list.strip_prefix('+') {
        Some(names) => (default.to_vec(), names),
        None => (Vec::new(), list),
    };
    let mut rest = names;
    while !rest.is_empty() {
        // A comma at the very end belongs to the name before it, and makes that unknown.
        let end = rest.find(',').filter(|&comma| comma + 1 < rest.len()).unwrap_or(rest.len());
        if end == 0 || columns.len() >= MAX_COLUMNS {
            return Err(Wrong::Silent);
        }
        columns.push(Id::find(&rest[..end]).ok_or_else(|| Wrong::Unknown(rest.to_owned()))?);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    if names.is_empty() { Err(Wrong::Silent) } else { Ok(columns) }
}

/// The hint at the column that the first name of the list probably means.
pub(super) fn near(list: &str) -> Option<String> {
    let name = list.split(',').next().unwrap_or_default().to_uppercase();
    text::did_you_mean(&name, COLUMNS.iter().map(|(_, column)| column.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_ids() {
        for (at, (id, _)) in COLUMNS.iter().enumerate() {
            assert_eq!(*id as usize, at);
        }
        assert_eq!(Id::find("nprocs"), Some(Id::Nprocs));
        assert_eq!(Id::find(""), None);
    }

    #[test]
    fn lists_replace_or_add() {
        let default = [Id::Ns, Id::Type];
        assert_eq!(parse("PID,ns", &default).expect("columns"), [Id::Pid, Id::Ns]);
        assert_eq!(parse("+pid", &default).expect("columns"), [Id::Ns, Id::Type, Id::Pid]);
        for (list, rest) in [("NS,x,PID", "x,PID"), ("NS,", "NS,"), ("NS,,", ","), ("x", "x")] {
            assert_eq!(parse(list, &default), Err(Wrong::Unknown(rest.to_owned())), "{list}");
        }
        for list in ["", "+", ",NS", "NS,,PID", &"NS,".repeat(27)] {
            assert_eq!(parse(list, &default), Err(Wrong::Silent), "{list}");
        }
    }
}
