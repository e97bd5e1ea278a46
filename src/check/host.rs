//! Rights, limits, control groups, /proc and the state files of this host.

use std::collections::BTreeMap;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, Pid, access, geteuid};

use super::{Row, State};
use crate::container::stopped::Stores;
use crate::container::{Container, Files, is_in_container_of_host};
use crate::isolation::capabilities::own;
use crate::isolation::cgroup::{self, Hierarchies};
use crate::proc::ns::Kind;
use crate::proc::{ProcRoot, hidepid};
use crate::text;

/// The capabilities that applets use, each with what lacks it.
const CAPABILITIES: &[(&str, &str)] = &[
    ("cap_sys_ptrace", "namespaces, command lines and roots of other users' processes are not read"),
    (
        "cap_sys_admin",
        "nsenter enters no namespace of other users; unshare makes only user namespaces and what is in them",
    ),
    ("cap_dac_read_search", "state files of root and of other users are not read"),
    ("cap_sys_chroot", "nsenter does not enter mount namespaces"),
    ("cap_setuid", "--setuid and --as do not change the user"),
    ("cap_setgid", "--setgid and --as do not change the groups"),
    ("cap_setpcap", "--as-container does not limit the capabilities"),
    ("cap_kill", "--kill-child and cgexec --kill do not end processes of other users"),
    ("cap_syslog", "ctr-inspect does not read the log of the kernel, if kernel.dmesg_restrict is 1"),
];

pub(super) fn rows(root: Option<&Path>) -> Vec<Row> {
    let proc = ProcRoot::default();
    let mut rows = Vec::new();
    processes(&proc, &mut rows);
    rights(&proc, &mut rows);
    control_groups(&proc, &mut rows);
    programs(&mut rows);
    state_files(root.unwrap_or(Path::new("/")), &mut rows);
    rows
}

fn processes(proc: &ProcRoot, rows: &mut Vec<Row>) {
    const AREA: &str = "processes";
    let own = proc.process(Pid::this());
    let count = match crate::proc::Scan::pids(proc) {
        Ok(pids) => pids.len(),
        Err(error) => {
            let row = Row::works(AREA, "/proc", crate::errno::chain(&error));
            rows.push(
                row.lacks(State::Fails, "no applet finds processes: is it mounted? mount -t proc proc /proc"),
            );
            return;
        }
    };
    rows.push(Row::works(AREA, "/proc", format!("{count} processes")));
    if let Some(hidden) = hidepid(proc).filter(|_| !geteuid().is_root()) {
        let row = Row::works(AREA, "other users' processes", format!("/proc is mounted with {hidden}"));
        rows.push(row.lacks(State::Missing, "lists have only the processes of this user"));
    }
    if own.ns(Kind::Pid).is_some_and(|id| Some(id) != Kind::Pid.first_inode()) {
        let row =
            Row::works(AREA, "the host's processes", "ctrbox runs in another pid namespace than the host's");
        rows.push(row.lacks(State::Missing, "only the processes in this namespace exist for it: run it with the host's, as docker run --pid=host"));
    } else if is_in_container_of_host(proc) {
        let row =
            Row::works(AREA, "the host's files", "ctrbox runs in a container with the host's processes");
        rows.push(row.lacks(
            State::Missing,
            "state files are the container's: mount the root of the host, and use --root DIR",
        ));
    }
}

fn rights(proc: &ProcRoot, rows: &mut Vec<Row>) {
    const AREA: &str = "rights";
    rows.push(Row::works(AREA, "user", format!("uid {}", geteuid())));
    if proc.process(Pid::this()).ns(Kind::User).is_some_and(|id| Some(id) != Kind::User.first_inode()) {
        let row = Row::works(AREA, "the first user namespace", "ctrbox runs in another one");
        rows.push(
            row.lacks(State::Missing, "capabilities hold only for what belongs to this user namespace"),
        );
    }
    let effective = own::flags().map(|flags| flags.effective).unwrap_or_default();
    for (name, without) in CAPABILITIES {
        let Some(number) = crate::isolation::capabilities::number(name) else { continue };
        let row = Row::works(AREA, *name, "");
        rows.push(match effective >> number & 1 {
            1 => row,
            _ => Row { detail: "not effective".to_owned(), ..row }.lacks(State::Missing, without),
        });
    }
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let row = Row::works(AREA, "open files", format!("{soft}, at most {hard}"));
        rows.push(match hard < 1_024 {
            true => row.lacks(State::Missing, "ctr-top opens files again for each sample"),
            false => row,
        });
    }
    if let Ok(lsm) = std::fs::read("/sys/kernel/security/lsm") {
        rows.push(Row::works(AREA, "security modules", text::escape(&lsm)));
    }
    for name in ["kernel.yama.ptrace_scope", "user.max_user_namespaces"] {
        let value = proc.line(&format!("sys/{}", name.replace('.', "/")));
        rows.extend(value.ok().map(|value| Row::works(AREA, name, value)));
    }
}

fn control_groups(proc: &ProcRoot, rows: &mut Vec<Row>) {
    const AREA: &str = "control groups";
    let mounted = Hierarchies::read(proc).unwrap_or_default();
    let v1 = mounted.0.iter().any(|hierarchy| !hierarchy.is_v2());
    let layout = match (mounted.v2().is_some(), v1) {
        (true, true) => "v1 and v2",
        (true, false) => "v2",
        (false, true) => "v1",
        (false, false) => {
            let row = Row::works(AREA, "mounted", "none below /sys/fs/cgroup");
            rows.push(row.lacks(State::Fails, "cgexec, ctr-top and the limits of ctr-inspect do not work"));
            return;
        }
    };
    rows.push(Row::works(AREA, "mounted", layout));
    let text = proc.process(Pid::this()).cgroup().unwrap_or_default();
    for membership in cgroup::parse_whole(&text) {
        let Some(directory) = mounted.directory(membership) else { continue };
        let what = match membership.controllers {
            [] => "v2".to_owned(),
            names => text::utf8(names).into_owned(),
        };
        let controllers = std::fs::read(directory.join("cgroup.controllers"))
            .map(|text| text::utf8(text.trim_ascii()).into_owned());
        let row = Row::works(AREA, what, controllers.unwrap_or_default());
        rows.push(match access(&directory, AccessFlags::W_OK) {
            Ok(()) => row,
            Err(errno) => {
                let detail = format!(
                    "{}: {}",
                    text::shown(directory.as_os_str()),
                    crate::errno::strerror(errno as i32)
                );
                Row { detail, ..row }.lacks(State::Missing, "cgexec makes no group here")
            }
        });
    }
}

fn programs(rows: &mut Vec<Row>) {
    const PROGRAMS: &[(&str, &[&str], &str)] = &[
        (
            "iptables-save",
            &["/usr/sbin", "/sbin"],
            "ctr-whose does not know ports that are published by NAT alone",
        ),
        ("newuidmap", &["/usr/bin"], "unshare --map-auto and --map-users work for root only"),
    ];
    for (name, directories, without) in PROGRAMS {
        let path = directories
            .iter()
            .map(|directory| format!("{directory}/{name}"))
            .find(|path| Path::new(path).exists());
        rows.push(match path {
            Some(path) => Row::works("programs", *name, path),
            None => Row::works("programs", *name, "not installed").lacks(State::Missing, without),
        });
    }
}

/// How many containers of each runtime have state files, and which files could not be read.
fn state_files(root: &Path, rows: &mut Vec<Row>) {
    const AREA: &str = "state files";
    const MOST: usize = 5;
    let files = match Files::new(root) {
        Ok(files) => files,
        Err(error) => {
            let row = Row::works(AREA, text::shown(root.as_os_str()), crate::errno::chain(&error));
            rows.push(row.lacks(State::Fails, "no container has a name"));
            return;
        }
    };
    let proc = files.proc(Some(root).filter(|root| *root != Path::new("/"))).unwrap_or_default();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for one in Stores::new(&files).all_with(&|_| true) {
        let (all, running) = counts.entry(one.container.runtime.name()).or_default();
        *all += 1;
        *running += usize::from(one.container.init.is_some_and(|init| is_there(&proc, init, &one.container)));
    }
    if counts.is_empty() {
        rows.push(Row::works(AREA, "containers", "none has a state file that can be read"));
    }
    for (runtime, (all, running)) in counts {
        rows.push(Row::works(AREA, runtime, format!("{all} containers, {running} of them run")));
    }
    for warning in files.warnings().into_iter().take(MOST) {
        let row = Row::works(AREA, "a file", text::escape(warning.as_bytes()));
        rows.push(row.lacks(State::Missing, "its containers are known by their ids, or not at all"));
    }
}

/// Does the first process of a container run, and no later one with its PID?
fn is_there(proc: &ProcRoot, init: Pid, container: &Container) -> bool {
    let start = proc.process(init).start_time();
    start.is_some_and(|start| container.init_start.is_none_or(|known| known == start))
}
