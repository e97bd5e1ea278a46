//! Options of other programs, and those that mean something else there.

use std::ffi::OsString;

use super::columns::LONG;
use super::docker;
use super::typed::Typed;
use super::values::{are_numbers, is_key, is_number, quoted};

/// Long options of other programs that are options here by another name.
const RENAMED: [(&str, &str); 14] = [
    ("no-header", "noheadings"),
    ("no-headers", "noheadings"),
    ("no-heading", "noheadings"),
    ("no-headings", "noheadings"),
    ("noheader", "noheadings"),
    ("noheaders", "noheadings"),
    ("quick-pid", "pid"),
    ("id", "container"),
    ("machine", "container"),
    ("namespace", "pod-namespace"),
    ("state", "status"),
    ("tree", "forest"),
    ("sort-key", "sort"),
    ("format", "output"),
];

/// The arguments with the names that these options have here. None if there is nothing to rename.
pub(super) fn renamed(args: &[OsString]) -> Option<Vec<OsString>> {
    let rename = |(at, arg): (usize, &OsString)| {
        let long = arg.to_str()?.strip_prefix("--")?;
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let (_, own) = RENAMED.iter().find(|(other, _)| *other == name)?;
        let next = || args.get(at + 1)?.to_str();
        if *own == "output" && value.or_else(next).is_some_and(|value| docker::format(value).is_some()) {
            return None;
        }
        Some(value.map_or_else(|| format!("--{own}"), |value| format!("--{own}={value}")).into())
    };
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let renamed: Vec<Option<OsString>> = args[..end].iter().enumerate().map(rename).collect();
    let all = renamed.iter().zip(args).map(|(new, old)| new.clone().unwrap_or_else(|| old.clone()));
    renamed.iter().any(Option::is_some).then(|| all.chain(args[end..].iter().cloned()).collect())
}

/// When a row counts, by the value behind the option.
#[derive(Clone, Copy)]
enum If {
    Always,
    None,
    Some,
    Fits(fn(&str) -> bool),
}

impl If {
    fn holds(self, value: Option<&str>) -> bool {
        match (self, value) {
            (If::Always, _) | (If::None, None) | (If::Some, Some(_)) => true,
            (If::Fits(fits), Some(value)) => fits(value),
            _ => false,
        }
    }
}

/// What to type instead.
#[derive(Clone, Copy)]
enum Type {
    /// `{}` stands for the value.
    This(&'static str),
    /// `-Q` with this column, for each word of a list.
    Each(&'static str),
    /// The same, with this column for numbers.
    EachOr(&'static str, &'static str),
    Last,
    Format,
    /// The option has no counterpart, and needs none.
    Nothing,
}

/// An option: its names, when the row counts, what it is here (empty: unknown), and what to type instead. The first row
/// that fits counts.
type Habit = (&'static [&'static str], If, &'static str, Type);

const HABITS: &[Habit] = &[
    // Options that mean something else here.
    (&["-C", "--only-containers"], If::Some, "selects the processes in containers", Type::Each("CMD")),
    (&["-q", "--quiet"], If::Fits(are_numbers), "prints only PIDs", Type::This("-p {}")),
    (&["-n", "--noheadings"], If::Fits(is_number), "prints no headings", Type::Last),
    (&["-k", "--kernel-threads"], If::Fits(is_key), "lists kernel threads", Type::This("--sort {}")),
    (&["-w", "--wide"], If::Fits(is_number), "never cuts lines", Type::This("--watch={}")),
    (&["--watch"], If::Fits(is_number), "takes a value after =", Type::This("--watch={}")),
    (
        &["-f", "--full"],
        If::Fits(docker::is_filter),
        "prints the columns of ps -ef",
        Type::This("-l --filter {}"),
    ),
    (&["-H", "--list-columns"], If::Some, "lists the columns", Type::Nothing),
    (&["--pod"], If::Some, "", Type::This("-c {}")),
    (&["--pod"], If::None, "", Type::This("-l -o +pod")),
    (&["-c"], If::None, "selects a container", Type::This("-o +pri,nice")),
    (&["-p"], If::None, "selects PIDs", Type::This("-l -o +pod")),
    (&["-u"], If::None, "selects users", Type::This("aux")),
    (&["-t"], If::None, "selects terminals", Type::This("--forest")),
    // Options of ps.
    (&["-U", "--User"], If::Some, "", Type::EachOr("RUSER", "RUID")),
    (&["-G", "--Group", "--group"], If::Some, "", Type::EachOr("GROUP", "GID")),
    (&["-g", "-s", "--sid"], If::Fits(are_numbers), "", Type::Each("SID")),
    (&["-g"], If::Some, "", Type::EachOr("GROUP", "GID")),
    (&["-F"], If::Always, "", Type::This("-f -o +vsz,rss,psr")),
    (&["-O"], If::Some, "", Type::This("-o +{}")),
    (&["-j"], If::Always, "", Type::This("-o pid,pgid,sid,tty,time,container,cmd")),
    (&["-M"], If::Some, "", Type::This("-c {}")),
    (&["-M", "-Z", "--context"], If::None, "", Type::This("-o +lsm")),
    (&["-P"], If::Always, "", Type::This("-o +psr")),
    (&["-y"], If::Always, "", Type::This(LONG)),
    (&["-m"], If::Always, "", Type::This("-T")),
    (
        &["-N", "--deselect"],
        If::Always,
        "",
        Type::This("-Q with the opposite, such as -Q 'USER != \"root\"'"),
    ),
    (&["-d"], If::Fits(is_number), "", Type::This("--watch=1")),
    (&["-d"], If::Always, "", Type::This("-Q 'PID != SID'")),
    (&["--cols", "--columns", "--width"], If::Some, "", Type::This("ctr-ps | cut -c -{}")),
    (&["--rows", "--lines"], If::Some, "", Type::This("ctr-ps | head -n {}")),
    (&["--headers", "--cumulative", "-S"], If::Always, "", Type::Nothing),
    // Options of docker, podman and crictl.
    (&["-s"], If::Fits(is_key), "", Type::This("--sort {}")),
    (&["-s"], If::Some, "", Type::This("--status {}")),
    (&["-s", "--size"], If::Always, "", Type::This("-l -o container,rootfs, and du -s for each directory")),
    (&["--last"], If::Some, "", Type::Last),
    (&["--last", "--latest"], If::Always, "", Type::This("-l -a -n --sort -created | head -n 1")),
    (&["--ns", "--namespace"], If::None, "", Type::This("-C --init -o container,pid,ns")),
    (&["--format"], If::Some, "", Type::Format),
    (&["--external", "--sync", "--resolve-image-path", "--all-namespaces"], If::Always, "", Type::Nothing),
    // Options of systemd-cgls, htop and top.
    (&["--no-pager", "-b", "-i"], If::Always, "", Type::Nothing),
    (&["--unit"], If::Some, "", Type::This("-Q 'CGROUP =~ \"{}\"'")),
    (&["--delay"], If::Some, "", Type::This("--watch={}")),
];

/// The error for the first option that is a habit of other programs.
pub(super) fn instead(typed: &[Typed]) -> Option<String> {
    typed.iter().find_map(|option| {
        let value = option.value.as_deref();
        if let Some(pid) = option.name.strip_prefix('-').filter(|name| is_number(name)) {
            return Some(format!("-{pid} is not an option; type -p {pid}"));
        }
        let is_it = |habit: &&Habit| {
            // What belongs to an option is not in its way.
            let free = option.known.is_none()
                || value.is_none()
                || !option.takes_value()
                || option.name == "--watch" && !option.attached;
            habit.0.contains(&&*option.name) && free && habit.1.holds(value)
        };
        HABITS.iter().find(is_it).map(|(_, _, here, what)| message(&option.name, value, here, *what))
    })
}

fn message(name: &str, value: Option<&str>, here: &str, what: Type) -> String {
    let value = value.unwrap_or_default();
    let begin = match here {
        "" => format!("there is no option {name}"),
        here => format!("{name} {here}"),
    };
    let end = match what {
        Type::This(text) => format!("type {}", text.replace("{}", &within(text, value))),
        Type::Each("CMD") => {
            format!("type {} for processes, -c {} for a container", each(value, |_| "CMD"), quoted(value))
        }
        Type::Each(column) => format!("type {}", each(value, |_| column)),
        Type::EachOr(name, number) => {
            format!("type {}", each(value, |word| if is_number(word) { number } else { name }))
        }
        Type::Last => {
            let count = value.parse::<u32>().unwrap_or(1);
            format!("type -l -a -n --sort -created | head -n {count}")
        }
        Type::Format => format!("type {}", docker::format(value).unwrap_or_else(|| "-o LIST".to_owned())),
        Type::Nothing => "leave it out".to_owned(),
    };
    format!("{begin}; {end}")
}

/// The value in the text: quoted for the shell unless the text has quotes.
fn within(text: &str, value: &str) -> String {
    if text.contains('\'') { crate::text::escape(value.as_bytes()).into_owned() } else { quoted(value) }
}

/// `-Q 'COLUMN == "WORD" or …'` for the words of a list.
fn each(list: &str, column: impl Fn(&str) -> &'static str) -> String {
    let list = crate::text::escape(list.as_bytes());
    let words = list.split([',', ' ']).filter(|word| !word.is_empty());
    let one = |word: &str| match is_number(word) {
        true if column(word) != "CMD" => format!("{} == {word}", column(word)),
        _ => format!("{} == \"{word}\"", column(word)),
    };
    format!("-Q '{}'", words.map(one).collect::<Vec<_>>().join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_ps::habits::typed::typed;

    #[test]
    fn a_value_that_is_attached_is_no_mistake() {
        let instead = |words: &[&str]| instead(&typed(&words.iter().map(Into::into).collect::<Vec<_>>()));
        assert_eq!(instead(&["web", "--watch=1"]), None);
        assert!(instead(&["web", "--watch", "1"]).is_some());
    }
}
