//! What the process may do: capabilities, seccomp, LSM, and what of /proc and /sys is covered.

use nix::unistd::Pid;
use serde::Serialize;

use super::unknown::Unknowns;
use crate::container::Runtime;
use crate::container::world::{Subject, World};
use crate::isolation::capabilities::baseline::{Baseline, difference, nearest};
use crate::isolation::capabilities::{bits, last, name};
use crate::proc::covers::Covers;
use crate::proc::idmap::{Which, inner_of};
use crate::proc::{Credentials, Mask};
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(super) struct Privileges {
    pub effective: Option<Set>,
    pub permitted: Option<Set>,
    pub inheritable: Option<Set>,
    pub bounding: Option<Set>,
    pub ambient: Option<Set>,
    /// The set of capabilities that the runtime gives by default, with which the bounding set is compared.
    pub baseline: Option<&'static str>,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub seccomp: Option<&'static str>,
    pub seccomp_filters: Option<u32>,
    pub no_new_privs: Option<bool>,
    pub lsm: Option<Lsm>,
    pub uid: Option<u32>,
    pub uid_host: Option<u32>,
    /// Is it root outside of all user namespaces?
    pub root_on_host: Option<bool>,
    pub privileged: Option<bool>,
    /// Null if its mounts cannot be read.
    pub masked: Option<Vec<String>>,
    pub readonly: Option<Vec<String>>,
    /// Files of the kernel that runtimes cover by default and that are not covered.
    pub uncovered: Option<Vec<String>>,
    /// Always null: only a process itself can read them.
    pub securebits: Option<u32>,
    /// The LSMs of the host.
    pub host_lsms: Vec<String>,
    /// Is its user namespace the host's?
    #[serde(skip)]
    pub on_host: bool,
    /// Can its label be read?
    #[serde(skip)]
    pub is_label_known: bool,
    /// The bounding set relative to the baseline, in words.
    #[serde(skip)]
    pub words: String,
}

#[derive(Serialize, Debug, Clone, Default)]
pub(super) struct Set {
    pub mask: String,
    pub names: Vec<String>,
    #[serde(skip)]
    pub bits: Mask,
}

#[derive(Serialize, Debug, Clone)]
pub(super) struct Lsm {
    pub kind: &'static str,
    pub label: String,
}

/// As many names as `--privileged` of an old Docker gives on a new kernel.
const ALL: u32 = 36;

pub(super) fn read(
    world: &World<'_>,
    subject: Subject,
    user_ns_is_hosts: Option<bool>,
    unknown: &Unknowns,
) -> Privileges {
    let process = world.proc.process(Pid::from_raw(subject.pid));
    let Some(state) = unknown.known("privileges", process.credentials()) else {
        return Privileges::default();
    };
    unknown.add("privileges.securebits", "only a process itself can read its securebits");
    let runtime = subject.container.map(|number| world.containers[number].container.runtime);
    let last = last().unwrap_or(40);
    let base = baseline(runtime, state.sets.bounding, last);
    let base_mask = base.map(|base| base.mask(last));
    let names = |mask: Mask| bits(mask).map(name).collect::<Vec<_>>();
    let euid = state.uids.get(1).copied();
    let uid_map = process.id_map(Which::Users).unwrap_or_default();
    let covers = unknown.known("privileges.masked", process.mountinfo()).map(|text| Covers::parse(&text));
    let label = lsm(world, subject, unknown);
    let label_is_known = label.is_some();
    if user_ns_is_hosts.is_none() {
        for path in ["privileges.root_on_host", "privileges.privileged"] {
            unknown.add(path, "its user namespace is not known");
        }
    }
    let full = state.sets.bounding.count_ones() >= ALL;
    let off = state.seccomp == Some(0);
    Privileges {
        effective: Some(set(state.sets.effective)),
        permitted: Some(set(state.sets.permitted)),
        inheritable: Some(set(state.sets.inheritable)),
        bounding: Some(set(state.sets.bounding)),
        ambient: Some(set(state.sets.ambient)),
        baseline: base.map(|base| base.name),
        added: base_mask.map(|base| names(state.sets.bounding & !base)).unwrap_or_default(),
        removed: base_mask.map(|base| names(base & !state.sets.bounding)).unwrap_or_default(),
        seccomp: state.seccomp.and_then(|mode| ["off", "strict", "filter"].get(usize::from(mode)).copied()),
        seccomp_filters: state.filters,
        no_new_privs: state.no_new_privs,
        lsm: label.unwrap_or_default(),
        is_label_known: label_is_known,
        uid: euid.and_then(|euid| inner_of(&uid_map, euid)),
        uid_host: euid,
        root_on_host: euid.zip(user_ns_is_hosts).map(|(euid, on_host)| euid == 0 && on_host),
        privileged: user_ns_is_hosts
            .zip(covers.as_ref())
            .map(|(on_host, covers)| full && off && covers.masked.is_empty() && on_host),
        masked: covers.as_ref().map(|covers| covers.masked.clone()),
        readonly: covers.as_ref().map(|covers| covers.readonly.clone()),
        uncovered: covers.map(|covers| covers.uncovered),
        securebits: None,
        host_lsms: host_lsms(world),
        on_host: user_ns_is_hosts == Some(true),
        words: words(&state, base, runtime, last),
    }
}

fn set(mask: Mask) -> Set {
    Set { mask: format!("{mask:016x}"), names: bits(mask).map(name).collect(), bits: mask }
}

/// The default set of the runtime that is nearest; packagers change the sets.
fn baseline(runtime: Option<Runtime>, mask: Mask, last: u8) -> Option<&'static Baseline> {
    let names = runtime.map(|runtime| runtime.spec().capabilities).unwrap_or_default();
    let usual = names.iter().filter_map(|name| Baseline::find(name));
    usual.min_by_key(|base| (base.mask(last) ^ mask).count_ones()).or_else(|| nearest(mask, last))
}

/// `docker default +NET_ADMIN`, or `all 41`, of what programs can have at most.
fn words(state: &Credentials, base: Option<&Baseline>, runtime: Option<Runtime>, last: u8) -> String {
    let mask = state.sets.bounding;
    // Several runtimes have the set of Docker by default.
    let label = |base: &Baseline| match runtime.map(Runtime::spec) {
        Some(spec) if base.name == "docker" && spec.capabilities.contains(&base.name) => {
            format!("{} default", spec.name)
        }
        _ => base.label.to_owned(),
    };
    let far = |base: &Baseline| (base.mask(last) ^ mask).count_ones() > 6;
    let most = match base {
        Some(base) if !far(base) => difference(&label(base), base.mask(last), mask),
        _ => crate::isolation::capabilities::baseline::describe(mask, last),
    };
    match state.sets.effective {
        0 if mask == 0 => "no capabilities".to_owned(),
        effective if effective == mask => most,
        0 => format!("no capabilities now, at most {most}"),
        effective => format!(
            "{} now, at most {most}",
            crate::isolation::capabilities::baseline::describe(effective, last)
        ),
    }
}

/// None if it cannot be read, Some(None) without an LSM that labels processes.
fn lsm(world: &World<'_>, subject: Subject, unknown: &Unknowns) -> Option<Option<Lsm>> {
    let process = world.proc.process(Pid::from_raw(subject.pid));
    for kind in ["apparmor", "selinux"] {
        if let Some(label) = process.label_of(kind).ok().and_then(|text| label(&text)) {
            return Some(Some(Lsm { kind, label }));
        }
    }
    match process.label() {
        Ok(text) => Some(label(&text).map(|label| Lsm {
            kind: if label.split(':').count() >= 3 { "selinux" } else { "apparmor" },
            label,
        })),
        // The kernel's answer without such an LSM.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Some(None),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) && !unknown.is_copy() => Some(None),
        Err(error) => unknown.known("privileges.lsm", Err(error)),
    }
}

/// Without its end: a NUL from SELinux, a newline from AppArmor.
fn label(text: &[u8]) -> Option<String> {
    let end = text.iter().rposition(|b| !matches!(b, 0 | b'\n'))? + 1;
    Some(text::utf8(&text[..end]).into_owned())
}

/// Those that label processes.
fn host_lsms(world: &World<'_>) -> Vec<String> {
    let list = world.files.read("/sys/kernel/security/lsm").unwrap_or_default();
    let list = text::utf8(&list);
    let labels = |name: &&str| matches!(*name, "apparmor" | "selinux" | "smack");
    list.trim().split(',').filter(labels).map(str::to_owned).collect()
}
