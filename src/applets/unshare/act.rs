//! The steps of unshare. The order matters: it forks helpers first, in the old namespaces; then it makes the new
//! namespaces; then come id maps, clocks, the child and the files that keep namespaces. Mounts, root, ids and
//! environment come last, in the process that becomes the program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::{ForkResult, Gid, Pid, Uid, chdir, chroot, setgid, sethostname, setuid};

use super::plan::{BINFMT, Map, Plan, Propagation, Request};
use crate::exit::{self, Exit, Outcome, report};
use crate::isolation::idmap;
use crate::isolation::operation::{Operation, refused};
use crate::isolation::{capabilities, ns};
use crate::launch::exec::{self, ChildSupervisor};
use crate::launch::helper::Helper;
use crate::launch::job_control::JobControl;
use crate::proc::ProcRoot;
use crate::proc::idmap::{Range, Single, Which};
use crate::proc::ns::Kind;
use crate::sys;
use crate::text;

const FAILURE: u8 = 1;
const NO_FORK: &str = "without --fork the program stays in the old pid namespace, and its first child becomes process 1 \
                       of the new one; after the end of that child no other can be created (fork: Cannot allocate \
                       memory); add --fork";
/// <linux/magic.h>
const BINFMTFS_MAGIC: FsType = FsType(0x4249_4e4d);

pub(super) fn act(name: &'static str, plan: Plan, program: &[OsString]) -> Outcome {
    let proc = ProcRoot::default();
    let own_pid = Pid::this();
    let request = &plan.request;
    exec::reset_sigchld()?;

    // The files are on mounts outside, which a process in a new mount or user namespace cannot change.
    let needs_binder = request.has(Kind::Mnt) || request.has(Kind::User);
    let binder = match needs_binder && !request.files.is_empty() {
        true => Some(Helper::start(|| {
            report(name, FAILURE, keep(&proc, own_pid, request).map(|()| 0).map_err(Exit::from))
        })?),
        false => None,
    };
    let mapper = match (&plan.users, &plan.groups) {
        (Map::Helper(_), _) | (_, Map::Helper(_)) => {
            Some(Helper::start(|| report(name, FAILURE, write_maps(&proc, own_pid, &plan)))?)
        }
        _ => None,
    };
    if let Some((uid, gid)) = request.owner {
        become_owner(uid, gid)?;
    }
    ns::unshare(&request.kinds, request.files.iter().any(|(kind, _)| *kind == Kind::Mnt))
        .with_context(|| refused("unshare failed", Operation::Unshare(request.kinds.clone())))?;
    if let Some(mapper) = mapper {
        match mapper.release()? {
            0 => {}
            status => return Ok(status),
        }
    }
    set_clocks(&proc, request)?;

    let forward: &[Signal] = if request.forward_signals { &[Signal::SIGINT, Signal::SIGTERM] } else { &[] };
    let supervisor = ChildSupervisor::new(request.kill_child, forward)?;
    if !request.fork {
        match keep_in_files(&proc, own_pid, request, binder)? {
            0 => {}
            status => return Ok(status),
        }
        return Err(become_program(&proc, plan, program, None));
    }
    let job =
        if is_interactive_shell(program) && !request.forward_signals { JobControl::detect() } else { None };
    let blocked = supervisor.block()?;
    let no_child = || refused("fork failed", Operation::Fork { before: None });
    match sys::fork().with_context(no_child)? {
        ForkResult::Child => {
            blocked.thread_unblock().context("sigprocmask failed")?;
            supervisor.watch()?;
            if let Some(job) = job {
                job.begin()?;
            }
            Err(become_program(&proc, plan, program, Some(&supervisor)))
        }
        ForkResult::Parent { child } => {
            let kept = keep_in_files(&proc, own_pid, request, binder);
            if !matches!(kept, Ok(0)) {
                exec::end(child); // without this, it would continue to run unattended
                return kept.map_err(Exit::from);
            }
            match job {
                Some(job) => job.stand_in_for(child),
                None => supervisor.stand_in_for(child),
            }
        }
    }
}

/// Is the program an interactive shell? Such a process 1 handles the signals of the keys that stop and interrupt. The
/// kernel drops these signals for a process 1 without handlers, so then unshare must receive them itself.
fn is_interactive_shell(program: &[OsString]) -> bool {
    match program {
        [] => true,
        [one] => one.to_string_lossy().ends_with("sh"),
        _ => false,
    }
}

fn become_owner(uid: u32, gid: u32) -> Result<()> {
    take_gid(gid, false, "run as root, or omit --owner")?;
    take_uid(uid, "run as root, or omit --owner")
}

fn set_clocks(proc: &ProcRoot, request: &Request) -> Result<()> {
    const CLOCK_MONOTONIC: u8 = 1;
    const CLOCK_BOOTTIME: u8 = 7;
    for (clock, offset) in [(CLOCK_BOOTTIME, request.boottime), (CLOCK_MONOTONIC, request.monotonic)] {
        if let Some(seconds) = offset {
            let path = proc.own("timens_offsets");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .with_context(|| format!("failed to open {}", path.display()))?;
            std::io::Write::write_all(&mut file, format!("{clock} {seconds} 0").as_bytes())
                .with_context(|| format!("failed to write to {}", path.display()))?;
        }
    }
    Ok(())
}

/// The work of the helper: it writes the maps as root; for other users newuidmap and newgidmap write them.
fn write_maps(proc: &ProcRoot, pid: Pid, plan: &Plan) -> Outcome {
    let maps: Vec<_> = [(Which::Users, &plan.users), (Which::Groups, &plan.groups)]
        .into_iter()
        .filter_map(|(which, map)| match map {
            Map::Helper(ranges) => Some((which, ranges.as_slice())),
            _ => None,
        })
        .collect();
    if nix::unistd::getresuid()?.effective.is_root() {
        for (which, map) in maps {
            idmap::write_map(&proc.path_of(pid, which.file()), which, map)?;
        }
        return Ok(0);
    }
    for (which, map) in maps {
        match run_mapper(pid, which, map)? {
            0 => {}
            status => {
                let refused = refused("", Operation::Mapper { which, ranges: map.to_vec() });
                return Err(Exit::Reported { status, refused });
            }
        }
    }
    Ok(0)
}

fn run_mapper(pid: Pid, which: Which, map: &[Range]) -> Outcome {
    let mut argv = vec![OsString::from(which.program()), OsString::from(pid.to_string())];
    argv.extend(idmap::arguments(map).into_iter().map(OsString::from));
    match sys::fork().context("fork failed")? {
        ForkResult::Child => Err(exec::exec(&argv, None)),
        ForkResult::Parent { child } => exec::stand_in_for(child),
    }
}

/// Returns the status of the helper, which has printed the reason if it is not 0.
fn keep_in_files(proc: &ProcRoot, pid: Pid, request: &Request, binder: Option<Helper>) -> Result<u8> {
    match binder {
        None => keep(proc, pid, request).map(|()| 0),
        Some(binder) => binder.release(),
    }
}

/// Bind mounts the namespaces to keep. For pid and time these are the namespaces of the children.
fn keep(proc: &ProcRoot, pid: Pid, request: &Request) -> Result<()> {
    for (kind, file) in &request.files {
        let link = match kind {
            Kind::Pid | Kind::Time => format!("{}_for_children", kind.link()),
            _ => kind.link(),
        };
        let source = proc.path_of(pid, &link);
        mount(Some(&source), file.as_os_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>).with_context(
            || {
                let words = format!("mount {} on {} failed", source.display(), Path::new(file).display());
                refused(words, Operation::Keep { kind: *kind, source: source.clone(), file: file.into() })
            },
        )?;
    }
    Ok(())
}

/// The steps of the process that becomes the program. Returns only on failure, with the reason.
fn become_program(
    proc: &ProcRoot,
    plan: Plan,
    program: &[OsString],
    supervisor: Option<&ChildSupervisor>,
) -> Exit {
    match settle(proc, &plan, supervisor) {
        Ok(()) => {}
        Err(error) => return error.into(),
    }
    let request = plan.request;
    let environment = request.clear_env.then(|| {
        let mut kept: Vec<OsString> = Vec::new();
        for entry in request.keep_env {
            if !kept.contains(&entry) {
                kept.push(entry);
            }
        }
        kept.reverse(); // the order of util-linux, which env(1) shows
        kept
    });
    if request.kinds.contains(&Kind::Pid) && !request.fork {
        exit::hint(|| exec::exists(program).then(|| NO_FORK.to_owned()));
    }
    exec::exec(program, environment)
}

fn settle(proc: &ProcRoot, plan: &Plan, supervisor: Option<&ChildSupervisor>) -> Result<()> {
    let request = &plan.request;
    if let Map::Own(single) = plan.users {
        idmap::write_single(&proc.own(Which::Users.file()), Which::Users, single)?;
    }
    if let Map::Own(single) = plan.groups {
        write_group(proc, single)?;
    }
    if let Some(word) = request.setgroups {
        idmap::write_setgroups(&proc.own("setgroups"), word)?;
    }
    if let Some(name) = &request.hostname {
        sethostname(name).with_context(|| format!("cannot set the host name to '{}'", text::shown(name)))?;
    }
    if request.loopback {
        loopback_up().context("cannot set the loopback device up")?;
    }
    if let (true, Propagation(Some(mode))) = (request.has(Kind::Mnt), request.propagation) {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | mode, None::<&str>)
            .with_context(|| refused("cannot change root filesystem propagation", Operation::Propagation))?;
    }
    let interpreter = request.load_interp.as_deref();
    let early = interpreter.filter(|format| request.root.is_some() && has_fixed_flag(format));
    if let Some(format) = early {
        mount_binfmt(OsStr::new(BINFMT))?;
        register(Path::new(BINFMT), format)?;
    }
    change_root(request)?;
    if let Some(directory) = &request.mount_proc {
        mount_proc(directory, request)?;
    }
    if let Some(directory) = &request.mount_binfmt {
        mount_binfmt(directory)?;
        if let (Some(format), None) = (interpreter, early) {
            register(Path::new(directory), format)?;
        }
    }
    take_ids(plan)?;
    // The kernel clears the parent death signal when the credentials change.
    if let Some(supervisor) = supervisor {
        supervisor.watch()?;
    }
    if request.keep_caps && request.has(Kind::User) {
        capabilities::keep()?;
    }
    Ok(())
}

fn loopback_up() -> nix::Result<()> {
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    sys::loopback_up(&socket)
}

/// An ordinary user may map a group only after they deny setgroups(2).
fn write_group(proc: &ProcRoot, single: Single) -> Result<()> {
    idmap::write_setgroups(&proc.own("setgroups"), "deny")?;
    idmap::write_single(&proc.own(Which::Groups.file()), Which::Groups, single)
}

fn change_root(request: &Request) -> Result<()> {
    let shown = |path: &OsString| PathBuf::from(path).display().to_string();
    if let Some(root) = &request.root {
        chroot(root.as_os_str()).with_context(|| {
            refused(
                format!("cannot change root directory to '{}'", shown(root)),
                Operation::Chroot { entering: false },
            )
        })?;
    }
    let wd = request.wd.clone().or_else(|| request.root.is_some().then(|| OsString::from("/")));
    match wd {
        Some(wd) => {
            chdir(wd.as_os_str()).with_context(|| format!("cannot change directory to {}", shown(&wd)))
        }
        None => Ok(()),
    }
}

fn mount_proc(directory: &OsStr, request: &Request) -> Result<()> {
    // If the mounts propagate, the new proc would also cover the old one outside.
    if request.root.is_none() && request.propagation != Propagation::default() {
        let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
        match mount(Some("none"), directory, None::<&str>, private, None::<&str>) {
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => {
                return Err(errno).with_context(|| {
                    format!("cannot change {} filesystem propagation", Path::new(directory).display())
                });
            }
        }
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount(Some("proc"), directory, Some("proc"), flags, None::<&str>)
        .with_context(|| refused(format!("mount {} failed", Path::new(directory).display()), Operation::Proc))
}

fn mount_binfmt(directory: &OsStr) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount(Some("binfmt_misc"), directory, Some("binfmt_misc"), flags, None::<&str>).with_context(|| {
        refused(format!("mount {} failed", Path::new(directory).display()), Operation::Binfmt)
    })
}

/// Does the format have the flag F? Then the kernel opens its interpreter at registration, which must come before the
/// root changes.
fn has_fixed_flag(format: &OsStr) -> bool {
    let text = format.to_string_lossy();
    text.rsplit(':').next().is_some_and(|flags| flags.contains('F'))
}

/// Writes only to a file of binfmt_misc, and creates or truncates no file: below `--root` the directory may belong to
/// another user, who can replace it after the mount.
fn register(directory: &Path, format: &OsStr) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::OpenOptionsExt;
    let path = directory.join("register");
    let write = || {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let mut file = std::fs::OpenOptions::new().write(true).custom_flags(flags).open(&path)?;
        match fstatfs(&file)?.filesystem_type() {
            BINFMTFS_MAGIC => std::io::Write::write_all(&mut file, format.as_bytes()),
            _ => Err(Errno::EXDEV.into()),
        }
    };
    write().with_context(|| format!("failed to write to {}", path.display()))
}

fn take_ids(plan: &Plan) -> Result<()> {
    const MAP: &str = "map more ids: --map-users and --map-groups";
    let request = &plan.request;
    if let Some(gid) = request.gid {
        let (denied, remedy) = match (&plan.groups, request.setgroups) {
            (_, Some("deny")) => (true, "leave --setgroups=deny or --setgid out"),
            (Map::Own(_), _) => (
                true,
                "leave --setgid out, or map a range of groups, for which it stays allowed (--map-groups=auto and \
                 --map-users=auto)",
            ),
            _ => (false, MAP),
        };
        take_gid(gid, denied, remedy)?;
    }
    if let Some(uid) = request.uid {
        take_uid(uid, MAP)?;
    }
    Ok(())
}

fn take_gid(gid: u32, denied: bool, remedy: &'static str) -> Result<()> {
    nix::unistd::setgroups(&[])
        .with_context(|| refused("setgroups failed", Operation::Groups { denied, before: None, remedy }))?;
    setgid(Gid::from_raw(gid)).with_context(|| {
        let operation = Operation::Id { which: Which::Groups, id: gid, before: None, remedy };
        refused("setgid() failed", operation)
    })
}

fn take_uid(uid: u32, remedy: &'static str) -> Result<()> {
    setuid(Uid::from_raw(uid)).with_context(|| {
        let operation = Operation::Id { which: Which::Users, id: uid, before: None, remedy };
        refused("setuid() failed", operation)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_written_only_to_binfmt_misc() {
        let directory = std::env::temp_dir().join(format!("ctrbox-register-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("register");
        let attempt = || register(&directory, OsStr::new(":x:M::MZ::/x:")).is_err();
        let missing = attempt() && !file.exists();
        std::fs::write(&file, "kept").expect("a file");
        let redirected = attempt() && std::fs::read(&file).is_ok_and(|text| text == b"kept");
        std::fs::remove_dir_all(&directory).expect("removal");
        assert!(missing && redirected, "{missing} {redirected}");
    }

    #[test]
    fn the_flag_that_opens_an_interpreter_early() {
        assert!(has_fixed_flag(OsStr::new(":x:M::MZ::/bin/i:OCF")));
        assert!(!has_fixed_flag(OsStr::new(":F:M::MZ::/bin/F:")));
        assert!(!has_fixed_flag(OsStr::new("")));
    }
}
