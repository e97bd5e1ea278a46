//! What the shells complete, from the option tables.

/// What the shells complete for a value or an operand. `complete` knows the words of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// Free text.
    None,
    /// A container or a PID.
    Target,
    /// The same, or the host.
    TargetOrHost,
    Pid,
    /// The kinds of namespaces.
    Kind,
    Columns,
    Runtime,
    Signal,
    Capability,
    /// A baseline of `getpcaps --diff`, or a target.
    Baseline,
    User,
    Group,
    /// Numbers; those of the target with `follow`.
    Uid,
    Gid,
    /// CONTROLLERS:PATH
    Cgroup,
    Tty,
    /// Names of environment variables.
    Variable,
    /// A filter: columns begin it.
    Filter,
    /// What ctr-whose looks up: an interface, a PID or a path.
    Thing,
    /// What the containers have for an option of ctr-ps, by its name.
    Attribute(&'static str),
    Choice(&'static [&'static str]),
    File,
    Dir,
    /// A program, and then what its own completion offers.
    Command,
}

impl Words {
    /// Those of a value with this name.
    pub(super) const fn of(value: &'static str) -> Words {
        match value.as_bytes() {
            b"file" | b"path" | b"argument..." | b"limits" => Words::File,
            b"dir" => Words::Dir,
            b"target" | b"target..." | b"namespace|target" => Words::Target,
            b"pid" => Words::Pid,
            b"type" => Words::Kind,
            b"cap" | b"iab" => Words::Capability,
            b"base" => Words::Baseline,
            b"signame" => Words::Signal,
            b"user" | b"uid|name" | b"name" => Words::User,
            b"gid|name" => Words::Group,
            b"uid" => Words::Uid,
            b"gid" => Words::Gid,
            b"controllers:path" => Words::Cgroup,
            b"expr" => Words::Filter,
            b"thing..." => Words::Thing,
            b"inner:outer:count" => Words::Choice(&["auto", "subids", "all"]),
            b"when" => Words::Choice(&["auto", "always", "never"]),
            b"form" => Words::Choice(&["text", "json"]),
            b"rel" => Words::Choice(&["owner", "parent", "process"]),
            b"flag" => Words::Choice(&["0", "1"]),
            _ => Words::None,
        }
    }
}

/// How an option takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Required,
    Attached,
    Optional,
    OptionalLong,
}

/// A row of an option table without its effect.
pub(crate) struct OptionView {
    pub short: Option<char>,
    pub long: &'static str,
    pub help: &'static str,
    pub hidden: bool,
    pub takes: Takes,
    pub words: Words,
    pub is_list: bool,
}
