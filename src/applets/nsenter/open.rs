//! Opens everything that must be opened outside, before any namespace is entered. The order is that of util-linux: it
//! decides which of several errors is reported.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid};

use super::as_container::{ContainerCredentials, container_credentials, label, selinux};
use super::dns::{self, Dns};
use super::lookup::in_child;
use super::plan::{Directory, Facts, Id, Request};
use crate::access;
use crate::container::child::{self, OnBlock};
use crate::container::profile::ProfileFiles;
use crate::container::target::{self, Held};
use crate::container::{Files, Resolver};

use crate::exit;
use crate::isolation::cgroup::Hierarchies;
use crate::isolation::ns::{self, Set};
use crate::isolation::operation::{Operation, refused};
use crate::isolation::tracers;
use crate::launch::credentials::Outside;
use crate::launch::exec::{self, Environment};
use crate::launch::{harden, self_exe};
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;
use crate::text;

/// What is opened outside for use inside.
#[derive(Default)]
pub(super) struct Opened {
    pub set: Set,
    pub pid: Option<Pid>,
    /// A pidfd of the target, if the kernel has pidfds.
    pub pidfd: Option<Rc<OwnedFd>>,
    pub root: Option<OwnedFd>,
    pub wd: Option<OwnedFd>,
    pub environment: Option<Environment>,
    /// The environment is of a container or of another user, and the program is one of the caller's files.
    pub foreign_choice: bool,
    /// The target's directory in proc, if its environment can be read only from inside its user namespace.
    pub environ_of: Option<OwnedFd>,
    pub groups: Vec<OwnedFd>,
    /// The file below /proc/self that sets the security label, and what to write to it.
    pub label: Option<(&'static str, Vec<u8>)>,
    pub own: Option<Outside>,
    /// The owner of the target's /proc directory, for `follow`.
    pub owner: (u32, u32),
    pub user_ns: bool,
    pub fork: bool,
    pub container_credentials: Option<ContainerCredentials>,
    pub proc_at: Option<PathBuf>,
    /// The inode of the pid namespace that is entered, and the PID that the target has there.
    pub member: Option<(u64, i32)>,
    /// A process that could trace the process that mounts proc. Searched for only if that process has more rights than
    /// the program.
    pub tracer: Option<Pid>,
    /// The target's mount namespace and root directory, for `--host-root`.
    pub other_root: Option<(OwnedFd, OwnedFd)>,
    /// The shell to run if that of the caller does not exist inside.
    pub shell: Option<OsString>,
    /// The hint if the program does not exist inside.
    pub missing: Option<String>,
    /// The files for `--dns`.
    pub dns: Option<Dns>,
    /// A copy of ctrbox's own file, for `--applet`.
    pub image: Option<OwnedFd>,
}

impl Opened {
    /// Does the program run with fewer rights than nsenter?
    pub(super) fn is_restricted(&self, request: &Request) -> bool {
        self.container_credentials.is_some() || self.user_ns || request.uid.is_some() || request.gid.is_some()
    }
}

pub(super) fn open_all(
    name: &str,
    proc: &ProcRoot,
    request: &Request,
    target: Option<Held>,
    profile: Option<ProfileFiles>,
) -> Result<Opened> {
    let pid = target.as_ref().map(|held| held.pid);
    let number_is_held = pid.filter(|_| target.as_ref().is_some_and(|held| held.pidfd.is_none()));
    let held_by_proc = number_is_held.and_then(|pid| ns::open_file(&proc.path_of(pid, "")).ok());
    let mut opened = Opened { pid, label: security_context(proc, request, pid)?, ..Opened::default() };
    open_namespaces(proc, request, target, &mut opened)?;

    let pid_for =
        |file: &str| pid.ok_or_else(|| anyhow!("neither filename nor target pid supplied for {file}"));
    let target_file = |file: &str| -> Result<PathBuf> { Ok(proc.path_of(pid_for(file)?, file)) };
    // The container's working directory is valid only in the container's root.
    let (root, wd) = match (request.as_container, &request.root, &request.wd) {
        (true, Directory::Unchanged, wd) if request.enters_files() => {
            let unchanged = matches!(wd, Directory::Unchanged) && request.wdns.is_none();
            (&Directory::OfTarget, if unchanged { &Directory::OfTarget } else { wd })
        }
        (_, root, wd) => (root, wd),
    };
    opened.root = open_directory(root, || ns::open_file(&target_file("root")?))?;
    opened.wd = open_directory(wd, || ns::open_file(&target_file("cwd")?))?;
    if request.environment {
        opened.foreign_choice = pid.is_some_and(|pid| {
            let own_files = has_own_files(proc, pid);
            let runs_its_own = own_files && request.enters_files();
            !runs_its_own && (own_files || is_of_another_user(proc, pid))
        });
        open_environment(proc, pid_for("environ")?, &mut opened)?;
    }
    if [request.uid, request.gid].iter().flatten().any(|id| matches!(id, Id::Follow)) {
        let path = proc.path_of(pid.ok_or_else(|| anyhow::Error::msg(NoTarget))?, "");
        let meta = std::fs::metadata(&path).with_context(|| format!("cannot open {}", path.display()))?;
        opened.owner = (meta.uid(), meta.gid());
    }
    if request.join_cgroup || request.as_container {
        let pid = pid.ok_or_else(|| anyhow::Error::msg(NoTarget))?;
        opened.groups = in_child(proc, request, || open_groups(name, proc, request, pid))?;
    }
    if request.as_container {
        let pid = pid.ok_or_else(|| anyhow::Error::msg(NoTarget))?;
        opened.container_credentials =
            Some(container_credentials(name, proc, request, (pid, profile), opened.user_ns)?);
        if opened.label.is_none() {
            opened.label = label(proc, pid)?;
        }
    }
    if opened.label.is_some() || opened.container_credentials.is_some() {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(proc.path(), flags, Mode::empty());
        let shown = proc.path().display();
        opened.own = Some(Outside(directory.with_context(|| format!("cannot open {shown}"))?));
    }
    if request.host_root.is_some() {
        let mnt = ns::open_file(&target_file(&Kind::Mnt.link())?)?;
        opened.other_root = Some((mnt, ns::open_file(&target_file("root")?)?));
    }
    if request.dns {
        opened.dns = Some(dns::read(proc, pid.ok_or_else(|| anyhow::Error::msg(NoTarget))?)?);
    }
    if opened.set.contains(Kind::Pid) {
        look_for_tracers(proc, request, pid, &mut opened)?;
    }
    if request.applet {
        opened.image = Some(self_exe::sealed().or_else(|_| self_exe::shielded())?);
    }
    // If the target still runs, its PID was never reused, so everything opened by PID so far is the target's.
    let ended = |pid| anyhow::Error::from(Errno::ESRCH).context(format!("process {pid} has ended"));
    match (&opened.pidfd, &held_by_proc, pid) {
        (Some(pidfd), _, Some(pid)) => ns::still(pidfd).map_err(|_| ended(pid))?,
        (None, Some(directory), Some(pid)) if !harden::still_there(directory) => return Err(ended(pid)),
        _ => {}
    }
    Ok(opened)
}

/// Refuses a program with the host's files if a process of the container could trace it: a process that may trace it
/// can open the host's root.
fn look_for_tracers(proc: &ProcRoot, request: &Request, pid: Option<Pid>, opened: &mut Opened) -> Result<()> {
    let makes_mounts = request.host_root.is_some() || request.mount_proc.is_some() || request.dns;
    let keeps_root = !request.enters_files() && makes_mounts;
    let mounts_for_less = opened.proc_at.is_some() && opened.is_restricted(request);
    if !keeps_root && !mounts_for_less {
        return Ok(());
    }
    let Some(pid_ns) = namespace(proc, Kind::Pid, request, pid)? else { return Ok(()) };
    if mounts_for_less {
        let user_ns = ns::open_file(&proc.own(&Kind::User.link()))?;
        opened.tracer = in_child(proc, request, || tracers::find(proc, &pid_ns, &user_ns))?;
    }
    let tracer = match keeps_root && !request.force {
        true => program_tracer(proc, request, pid, opened, &pid_ns)?,
        false => None,
    };
    if let Some(tracer) = tracer {
        let option = match (&request.host_root, &request.mount_proc) {
            (Some(_), _) => "--host-root",
            (None, Some(_)) => "--mount-proc",
            (None, None) => "--dns",
        };
        bail!(
            "option {option} is not safe here: process {tracer} of the container could trace the program and \
             reach the host's files through /proc/PID/root (leave the pid namespace out: -n, -i, -u and so on in \
             place of -a; or use --force)"
        );
    }
    if let Some(pid) = pid {
        let status = proc.process(pid).status()?;
        opened.member =
            status.nspid.last().copied().zip(Some(tracers::inode(&pid_ns)?)).map(|(n, id)| (id, n));
    }
    Ok(())
}

/// A process that could trace the program in its user namespace or from an ancestor of it.
fn program_tracer(
    proc: &ProcRoot,
    request: &Request,
    pid: Option<Pid>,
    opened: &Opened,
    pid_ns: &OwnedFd,
) -> Result<Option<Pid>> {
    let entered = if opened.user_ns { namespace(proc, Kind::User, request, pid)? } else { None };
    let user_ns = entered.map_or_else(|| ns::open_file(&proc.own(&Kind::User.link())), Ok)?;
    in_child(proc, request, || tracers::find(proc, pid_ns, &user_ns))
}

/// The namespace of this kind that is entered: from the file that an option names, else the target's.
fn namespace(proc: &ProcRoot, kind: Kind, request: &Request, pid: Option<Pid>) -> Result<Option<OwnedFd>> {
    match (request.files.iter().find(|(other, _)| *other == kind), pid) {
        (Some((_, fd)), _) => Ok(Some(fd.try_clone()?)),
        (None, Some(pid)) => ns::open_file(&proc.path_of(pid, &kind.link())).map(Some),
        (None, None) => Ok(None),
    }
}

/// The groups to join.
fn open_groups(name: &str, proc: &ProcRoot, request: &Request, pid: Pid) -> Result<Vec<OwnedFd>> {
    let hierarchies = Hierarchies::read(proc)?;
    let groups = match hierarchies.open_groups(proc, pid) {
        Err(error) if may_skip_groups(request) => {
            warn_not_joined(name, &error);
            return Ok(Vec::new());
        }
        groups => groups?,
    };
    if groups.is_empty() || request.force {
        return Ok(groups);
    }
    match hierarchies.frozen_group_of(proc, pid)? {
        Some(group) => bail!(
            "control group {} of the target is frozen (paused): a program in it starts only when it is thawed ({}, or use \
             --force)",
            text::shown(group.directory().as_os_str()),
            if request.join_cgroup { "omit --join-cgroup" } else { "use -a in place of --as-container" }
        ),
        None => Ok(groups),
    }
}

/// An ordinary user may enter their own container although they may not join its control groups, which the system
/// manages. With `--join-cgroup` a failure to join stays an error.
pub(super) fn may_skip_groups(request: &Request) -> bool {
    !request.join_cgroup && !geteuid().is_root()
}

pub(super) fn warn_not_joined(name: &str, error: &anyhow::Error) {
    exit::warn(
        name,
        &format!(
            "warning: the program is not in the container's control groups: {}",
            crate::errno::chain(error)
        ),
    );
}

/// The label that `--follow-context` sets. None without SELinux.
fn security_context(
    proc: &ProcRoot,
    request: &Request,
    pid: Option<Pid>,
) -> Result<Option<(&'static str, Vec<u8>)>> {
    if !request.follow_context || !selinux() {
        return Ok(None);
    }
    let pid = pid.ok_or_else(|| anyhow!("no target PID specified for --follow-context"))?;
    let label = proc.process(pid).label().context("failed to get the SELinux context")?;
    Ok(Some(("attr/exec", label)))
}

/// Does the process have other mounts or another root than the caller?
fn has_own_files(proc: &ProcRoot, pid: Pid) -> bool {
    !shares(proc, pid, &Kind::Mnt.link()) || !shares(proc, pid, "root")
}

/// Could a user other than root and the caller have chosen its environment?
fn is_of_another_user(proc: &ProcRoot, pid: Pid) -> bool {
    let trusted = [0, nix::unistd::geteuid().as_raw()];
    let credentials = proc.process(pid).credentials();
    !credentials.is_ok_and(|all| all.uids.iter().all(|uid| trusted.contains(uid)))
        || !shares(proc, pid, &Kind::User.link())
}

/// Does this link in the process's /proc directory have the same value as the caller's own?
fn shares(proc: &ProcRoot, pid: Pid, link: &str) -> bool {
    match (std::fs::read_link(proc.own(link)), std::fs::read_link(proc.path_of(pid, link))) {
        (Ok(own), Ok(other)) => own == other,
        _ => false,
    }
}

/// A user outside can read the environment of their container's root only from inside its user namespace.
fn open_environment(proc: &ProcRoot, pid: Pid, opened: &mut Opened) -> Result<()> {
    match access::environment(proc, pid) {
        Ok(text) => opened.environment = Some(exec::parse_environ(&text)),
        Err(error) if opened.user_ns && error.kind() == ErrorKind::PermissionDenied => {
            opened.environ_of = Some(ns::open_file(&proc.path_of(pid, ""))?);
        }
        Err(error) if error.raw_os_error() == Some(Errno::ETIMEDOUT as i32) => {
            bail!("cannot read the environment of process {pid}: its memory is locked");
        }
        Err(error) => {
            let path = proc.path_of(pid, "environ");
            let message = format!("cannot open {}", path.display());
            return Err(error).context(refused(message, Operation::Open(path)));
        }
    }
    Ok(())
}

pub(super) fn read_environ(directory: &OwnedFd) -> Result<Vec<u8>> {
    let failed = "cannot open the environment of the target";
    let fd =
        openat(directory, "environ", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).context(failed)?;
    access::read_environment(File::from(fd)).context(failed)
}

/// Does the kernel say by the pidfd what `--all` must know? Else the target's links in /proc are read.
pub(super) fn is_told_by_pidfd(held: &Held) -> bool {
    geteuid().is_root() && held.pidfd.as_ref().is_some_and(|pidfd| ns::user_ns_of(pidfd).is_ok())
}

fn facts(proc: &ProcRoot, request: &Request, target: Option<&Held>) -> Result<Facts> {
    let pid = target.map(|held| held.pid);
    if request.as_container && pid.is_none() {
        return Err(anyhow::Error::msg(NoTarget));
    }
    let root = geteuid().is_root();
    let pidfd = target.and_then(|held| held.pidfd.as_ref()).filter(|_| root);
    if let Some(is_same) = pidfd.and_then(|pidfd| ns::same_user_ns_by_pidfd(proc, pidfd)) {
        return Ok(Facts { other_user_ns: !is_same, known: Kind::ALL.to_vec(), is_assumed: true, root });
    }
    // No process has PID 0: it yields the message of util-linux for a missing target.
    let other_user_ns = !ns::same_user_ns(proc, pid.unwrap_or(Pid::from_raw(0)))?;
    let shared = |kind: Kind| pid.is_some_and(|pid| shares(proc, pid, &kind.link()));
    let known = Kind::ALL.into_iter().filter(|kind| ns::known(proc, *kind) && (root || !shared(*kind)));
    Ok(Facts { other_user_ns, known: known.collect(), is_assumed: false, root })
}

fn open_namespaces(
    proc: &ProcRoot,
    request: &Request,
    target: Option<Held>,
    opened: &mut Opened,
) -> Result<()> {
    for (kind, fd) in &request.files {
        opened.set.files.push((*kind, fd.try_clone()?));
    }
    let pid = target.as_ref().map(|held| held.pid);
    let (mut kinds, assumed) = request.wanted(|| facts(proc, request, target.as_ref()))?;
    opened.set.assumed = assumed;
    let parent_of_target = request.user_parent && request.files.is_empty();
    let needs_target = !kinds.is_empty() || request.net_socket.is_some() || parent_of_target;
    if pid.is_none() && needs_target {
        return Err(anyhow::Error::msg(NoTarget));
    }
    opened.pidfd = target.and_then(|held| held.pidfd).map(Rc::new);
    if request.user_parent {
        let parent = user_parent(proc, opened, pid)?;
        opened.set.replace(Kind::User, parent);
        kinds.retain(|kind| *kind != Kind::User);
    }
    if let (Some(fd), Some(pid)) = (request.net_socket, pid) {
        let Some(holder) = &opened.pidfd else {
            return Err(Errno::ESRCH).with_context(|| format!("failed to pidfd_open() for {pid}"));
        };
        let socket_ns = ns::net_ns_of_socket(holder, fd)?;
        opened.set.replace(Kind::Net, socket_ns);
        kinds.retain(|kind| *kind != Kind::Net);
    }
    let has = |kind: Kind| kinds.contains(&kind) || opened.set.files.iter().any(|(other, _)| *other == kind);
    opened.user_ns = has(Kind::User);
    let enters_pid = has(Kind::Pid);
    opened.fork = enters_pid && !request.no_fork;
    opened.proc_at = request.proc_at(enters_pid)?;

    match (&opened.pidfd, pid) {
        _ if kinds.is_empty() => {}
        (Some(pidfd), _) if ns::setns_takes_pidfd() => {
            opened.set.process = Some((Rc::clone(pidfd), kinds));
        }
        (_, Some(pid)) => {
            for kind in kinds {
                opened.set.files.push((kind, ns::open_file(&proc.path_of(pid, &kind.link()))?));
            }
        }
        (_, None) => {}
    }
    Ok(())
}

/// The parent of the user namespace of the given file, of the target, or of the first namespace in the set.
fn user_parent(proc: &ProcRoot, opened: &Opened, pid: Option<Pid>) -> Result<OwnedFd> {
    if let Some((_, fd)) = opened.set.files.iter().find(|(kind, _)| *kind == Kind::User) {
        return ns::parent_user_ns(fd);
    }
    if let Some(fd) = opened.pidfd.as_ref().and_then(|pidfd| ns::user_ns_of(pidfd).ok()) {
        return ns::parent_user_ns(&fd);
    }
    match (opened.set.files.first(), pid) {
        (Some((_, fd)), _) => ns::parent_user_ns(fd),
        (None, Some(pid)) => ns::parent_user_ns(&ns::open_file(&proc.path_of(pid, &Kind::User.link()))?),
        (None, None) => Err(anyhow::Error::msg(NoTarget)),
    }
}

/// The error of an option that needs a target when none is given.
#[derive(Debug)]
pub(super) struct NoTarget;

impl fmt::Display for NoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no target PID specified")
    }
}

/// A hint for `nsenter web -- COMMAND`, the syntax of other tools: here the first operand is the program.
pub(super) fn hint_container_name(request: &Request) -> impl Fn() -> Option<String> + Send + Sync + 'static {
    let word = request.program.clone().and_then(|program| program.into_string().ok());
    let inside = request.enters_files() && request.target.is_some();
    move || {
        // After entering, the state files would be the container's own.
        let word = word.as_deref().filter(|_| !inside)?;
        let proc = ProcRoot::default();
        let find = || {
            let files = Files::new(Path::new("/")).ok()?;
            Some(target::container(&mut Resolver::for_few(&proc, &files), word).ok()?.label())
        };
        let name = child::in_child(&proc, OnBlock::LeaveOut, || Ok(find())).ok()??;
        Some(format!(
            "'{word}' is the container {name}, but the first operand is the program: use nsenter -t {word} -a COMMAND"
        ))
    }
}

fn open_directory(choice: &Directory, target: impl Fn() -> Result<OwnedFd>) -> Result<Option<OwnedFd>> {
    match choice {
        Directory::Unchanged => Ok(None),
        Directory::OfTarget => target().map(Some),
        Directory::Open(fd) => Ok(Some(fd.try_clone()?)),
    }
}
