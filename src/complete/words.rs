//! The words of each kind.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::applets::{ctr_ps, ctr_top, ctr_whose, lsns};
use crate::cli::Words;
use crate::container::target;
use crate::container::{Container, Files, Resolver, Runtime};
use crate::isolation::capabilities::{TABLE, baseline};
use crate::isolation::cgroup::Hierarchies;
use crate::order;
use crate::output::smartcols::Column;
use crate::proc::ns::Kind;
use crate::proc::{self, ProcRoot, Scan};
use crate::text;

/// A word and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub word: String,
    pub about: String,
}

impl Offer {
    pub(super) fn new(word: &str, about: &str) -> Offer {
        Offer { word: word.to_owned(), about: text::escape(about.as_bytes()).into_owned() }
    }
}

/// A shell inserts the word as it is.
pub(super) fn is_harmless(word: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || "_.:/@+,=%-".contains(letter);
    !word.is_empty() && !word.starts_with(['=', '-']) && word.chars().all(known)
}

/// The same for a word that begins with what is typed. The user may have typed the star of `cgexec -g '*:/web'`.
fn goes_on(typed: &str, rest: &str) -> bool {
    is_harmless(&format!("{}{rest}", typed.strip_prefix("*").unwrap_or(typed)))
}

/// Those that begin with `prefix`.
pub(super) fn beginning<'a>(prefix: &str, all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Offer> {
    let begin = all.into_iter().filter(|(word, _)| word.starts_with(prefix));
    begin.map(|(word, about)| Offer::new(word, about)).collect()
}

/// The kinds that `--complete KIND` knows.
pub(super) fn of_name(name: &str) -> Option<Words> {
    Some(match name {
        "target" => Words::Target,
        "pid" => Words::Pid,
        "kind" => Words::Kind,
        "column" => Words::Columns,
        "runtime" => Words::Runtime,
        "signal" => Words::Signal,
        "capability" => Words::Capability,
        "baseline" => Words::Baseline,
        "user" => Words::User,
        "group" => Words::Group,
        "cgroup" => Words::Cgroup,
        "name" => Words::Attribute("name"),
        "image" => Words::Attribute("image"),
        _ => return None,
    })
}

/// This host, or the one whose root directory is given with `--root`.
pub(super) struct Host {
    pub proc: ProcRoot,
    files: Files,
}

impl Host {
    pub(super) fn new(root: Option<PathBuf>) -> Result<Host> {
        let files = Files::new(root.as_deref().unwrap_or(Path::new("/")))?;
        let proc = files.proc(root.as_deref())?;
        Ok(Host { proc, files })
    }

    fn resolver(&self) -> Resolver<'_> {
        Resolver::for_few(&self.proc, &self.files)
    }

    fn read(&self, path: &str) -> Vec<u8> {
        self.files.read(path).unwrap_or_default()
    }
}

/// Where the words come from.
pub(super) struct Source<'a> {
    pub host: &'a Host,
    pub applet: &'static str,
    /// Are containers listed, and not processes? They have other columns.
    pub of_containers: bool,
}

type Pairs = Vec<(String, String)>;

impl Source<'_> {
    pub(super) fn offers(&self, words: Words, prefix: &str) -> Vec<Offer> {
        let plain = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let host = self.host;
        let all: Pairs = match words {
            Words::None | Words::File | Words::Dir | Words::Command => Vec::new(),
            Words::Target => targets(host, prefix),
            Words::TargetOrHost => {
                let other = ("host".to_owned(), "the first process of the host".to_owned());
                std::iter::once(other).chain(targets(host, prefix)).collect()
            }
            Words::Pid => pids(host),
            Words::Kind => plain(&Kind::ALL.map(Kind::proc_name)),
            Words::Columns | Words::Filter => self.columns(prefix),
            Words::Runtime => plain(&Runtime::all_names().collect::<Vec<_>>()),
            Words::Signal => Signal::iterator().map(|signal| named(signal, prefix)).collect(),
            Words::Capability => capabilities(prefix),
            Words::Baseline => {
                let known = baseline::BASELINES.iter();
                let known = known.map(|base| (base.name.to_owned(), base.source.to_owned()));
                known.chain(targets(host, prefix)).collect()
            }
            Words::User => users(host, |user| (user.name, user.uid)),
            Words::Uid => follow(self.applet)
                .chain(users(host, |user| (user.name, user.uid)).into_iter().map(swap))
                .collect(),
            Words::Group => groups(host),
            Words::Gid => follow(self.applet).chain(groups(host).into_iter().map(swap)).collect(),
            Words::Cgroup => control_groups(prefix),
            Words::Tty => terminals(),
            Words::Variable => variables(),
            Words::Thing => things(host, prefix),
            Words::Attribute(name) => attributes(host, name),
            Words::Choice(words) => plain(words),
        };
        let mut offers: Vec<Offer> = all
            .iter()
            .filter(|(word, _)| word.strip_prefix(prefix).is_some_and(|rest| goes_on(prefix, rest)))
            .map(|(word, about)| Offer::new(word, about))
            .collect();
        if !matches!(words, Words::Choice(_) | Words::Columns | Words::Filter | Words::Baseline) {
            order::sort_by(&mut offers, |a, b| {
                (a.word.len() * usize::from(is_number(&a.word)), &a.word)
                    .cmp(&(b.word.len() * usize::from(is_number(&b.word)), &b.word))
            });
        }
        offers.dedup_by(|a, b| a.word == b.word);
        offers
    }

    /// In the case of what is typed.
    fn columns(&self, prefix: &str) -> Pairs {
        let columns: Vec<&Column> = match self.applet {
            "lsns" => lsns::columns().collect(),
            "ctr-top" => ctr_top::columns().collect(),
            _ => ctr_ps::columns(self.of_containers),
        };
        let is_lower = prefix.starts_with(|letter: char| letter.is_ascii_lowercase());
        let name = |column: &Column| match is_lower {
            true => column.name.to_lowercase(),
            false => column.name.to_owned(),
        };
        columns.into_iter().map(|column| (name(column), column.help.to_owned())).collect()
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn swap((name, id): (String, String)) -> (String, String) {
    (id, name)
}

/// nsenter takes the ids of the target.
fn follow(applet: &str) -> impl Iterator<Item = (String, String)> {
    let known = (applet == "nsenter").then(|| ("follow".to_owned(), "that of the target".to_owned()));
    known.into_iter()
}

fn named(signal: Signal, prefix: &str) -> (String, String) {
    let name = signal.as_str();
    let name = if prefix.starts_with("SIG") { name } else { name.strip_prefix("SIG").unwrap_or(name) };
    (name.to_owned(), String::new())
}

fn capabilities(prefix: &str) -> Pairs {
    let is_upper = prefix.starts_with(|letter: char| letter.is_ascii_uppercase());
    let name = |name: &str| if is_upper { name.to_uppercase() } else { name.to_owned() };
    TABLE.iter().map(|row| (name(row.name), row.help.first().unwrap_or(&"").to_string())).collect()
}

/// Every running container with a readable state file. No process is looked at but their first ones.
fn containers(host: &Host) -> Vec<Rc<Container>> {
    let mut all = host.resolver().all();
    all.retain(|container| !container.is_pause());
    all
}

/// Names, and with a beginning also the other forms. PIDs if it is a number, or if there is no container.
fn targets(host: &Host, prefix: &str) -> Pairs {
    if let Some((name, _)) = prefix.rsplit_once('@') {
        return inside(host, name);
    }
    let all = containers(host);
    let mut found = Pairs::new();
    for container in &all {
        let label = container.label();
        let name = container.name.clone().unwrap_or_default();
        let has_name = |other: &&Rc<Container>| other.name.as_deref() == Some(&*name);
        let is_unique = all.iter().filter(has_name).count() == 1 && !name.is_empty() && !is_number(&name);
        // A name of a pod's container has slashes: the pod says it as well.
        found.push((if is_unique { name } else { label.clone() }, label.clone()));
        if !prefix.is_empty() {
            found.push((label.clone(), container.image.clone().unwrap_or_default()));
            found.extend(container.pod_name().map(|pod| (pod, label.clone())));
            found.extend(
                container.compose_service().map(|service| (format!("compose:{service}"), label.clone())),
            );
        }
    }
    let is_hex = prefix.len() >= 2 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && !found.iter().any(|(word, _)| word.starts_with(prefix)) {
        let id = |container: &Container| container.id.get(..12).map(str::to_owned);
        found.extend(all.iter().filter_map(|container| Some((id(container)?, container.label()))));
    }
    if found.is_empty() || (!prefix.is_empty() && is_number(prefix)) {
        found.extend(pids(host));
    }
    found
}

/// `NAME@CPID`
fn inside(host: &Host, name: &str) -> Pairs {
    let processes = target::all_inside(&mut host.resolver(), name);
    let command = |pid| host.proc.process(pid).status().map(|status| text::utf8(&status.name).into_owned());
    let pair = |(cpid, pid)| (format!("{name}@{cpid}"), command(pid).unwrap_or_default());
    processes.into_iter().map(pair).collect()
}

fn pids(host: &Host) -> Pairs {
    let name = |pid: Pid| host.proc.process(pid).status().map(|status| text::utf8(&status.name).into_owned());
    let pids = Scan::pids(&host.proc).unwrap_or_default();
    pids.into_iter().map(|pid| (pid.to_string(), name(pid).unwrap_or_default())).collect()
}

fn users(host: &Host, pair: fn(proc::UserLine<'_>) -> (&[u8], u32)) -> Pairs {
    let text = host.read("/etc/passwd");
    let pairs = proc::users(&text).map(pair);
    pairs.map(|(name, id)| (text::utf8(name).into_owned(), id.to_string())).collect()
}

fn groups(host: &Host) -> Pairs {
    let text = host.read("/etc/group");
    proc::groups(&text).map(|group| (text::utf8(group.name).into_owned(), group.gid.to_string())).collect()
}

fn variables() -> Pairs {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.map(|name| (name, String::new())).collect()
}

/// Interfaces of the network namespace of /sys, and the prefixes. PIDs for a number. Nothing for a path: the shell knows
/// files.
fn things(host: &Host, prefix: &str) -> Pairs {
    let after = |kind: &str, words: Pairs| -> Pairs {
        words.into_iter().map(|(word, about)| (format!("{kind}:{word}"), about)).collect()
    };
    match prefix.split_once(':') {
        _ if prefix.contains('/') => Vec::new(),
        Some(("if", _)) => after("if", interfaces(host)),
        Some(("pid", _)) => after("pid", pids(host)),
        Some(("id", _)) => after("id", attributes(host, "name")),
        Some(_) => Vec::new(),
        None if !prefix.is_empty() && is_number(prefix) => pids(host),
        None => {
            let kinds = ctr_whose::prefixes().map(|(kind, name)| (format!("{kind}:"), name.to_owned()));
            interfaces(host).into_iter().chain(kinds).collect()
        }
    }
}

fn interfaces(host: &Host) -> Pairs {
    let names = host.files.list("/sys/class/net").into_iter();
    names.map(|name| (name, "interface".to_owned())).collect()
}

fn terminals() -> Pairs {
    let entries = std::fs::read_dir("/dev/pts").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names = numbers.filter(|name| is_number(name)).map(|name| (format!("pts/{name}"), String::new()));
    names.collect()
}

/// `CONTROLLERS:`, then the directories of their hierarchy, one level at a time.
fn control_groups(prefix: &str) -> Pairs {
    let Ok(hierarchies) = Hierarchies::read(&ProcRoot::default()) else { return Vec::new() };
    let Some((controllers, path)) = prefix.split_once(':') else {
        let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        let of_v1 = hierarchies.0.iter().flat_map(|hierarchy| hierarchy.controllers.iter().cloned());
        let names = of_v1.chain(unified.split_whitespace().map(str::to_owned)).chain(["*".to_owned()]);
        let (given, _) = prefix.split_at(prefix.rfind(',').map_or(0, |comma| comma + 1));
        let names = names.filter(|name| !given.split(',').any(|given| given == name));
        return names.map(|name| (format!("{given}{name}:"), String::new())).collect();
    };
    let first = controllers.split(',').next().unwrap_or_default();
    let has_it = |controllers: &Vec<String>| controllers.iter().any(|name| name == first);
    let hierarchy = hierarchies.0.iter().find(|hierarchy| has_it(&hierarchy.controllers));
    let hierarchy =
        hierarchy.or_else(|| hierarchies.0.iter().find(|hierarchy| hierarchy.controllers.is_empty()));
    let Some(hierarchy) = hierarchy.or_else(|| hierarchies.0.first()) else { return Vec::new() };
    let parent = path.rfind('/').map_or("", |slash| &path[..=slash]);
    let directory = hierarchy.mount_point.join(parent.trim_start_matches('/'));
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = groups.filter_map(|entry| entry.file_name().into_string().ok());
    names.map(|name| (format!("{controllers}:{parent}{name}"), String::new())).collect()
}

/// What the containers have for an option of ctr-ps.
fn attributes(host: &Host, option: &str) -> Pairs {
    let all = containers(host);
    let service = |container: &Container, part: fn((&str, &str)) -> String| {
        container.compose_service().and_then(|service| service.split_once('/').map(part))
    };
    let mut found = Pairs::new();
    for container in &all {
        let words: Vec<String> = match option {
            "name" => container.name.iter().cloned().collect(),
            "image" => container.image.iter().cloned().collect(),
            "pod-namespace" => container.pod_namespace.iter().cloned().collect(),
            "project" => service(container, |(project, _)| project.to_owned()).into_iter().collect(),
            "service" => service(container, |(_, service)| service.to_owned()).into_iter().collect(),
            "label" => container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            _ => Vec::new(),
        };
        found.extend(words.into_iter().map(|word| (word, container.label())));
    }
    found
}
