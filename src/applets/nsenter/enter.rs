//! What nsenter does, in the order that matters: all that needs the outside is opened first, then the
//! namespaces, then root and directory, then the child, then credentials, then the program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Gid, Pid, Uid, chdir, chroot, fchdir, setgid, setuid};

use super::{Directory, Id, Request};
use crate::container::target::{self, Held};
use crate::exit::Outcome;
use crate::isolation::capabilities;
use crate::isolation::cgroup::{self, Hierarchies};
use crate::isolation::foreground::Foreground;
use crate::isolation::kind::Kind;
use crate::isolation::launch::{self, Environment};
use crate::isolation::ns::{self, Set};
use crate::isolation::pty::Outside;
use crate::isolation::why::{Asked, refused};
use crate::proc::ProcRoot;
use crate::sys;

/// What is opened outside for use inside.
#[derive(Default)]
struct Plan {
    set: Set,
    /// The target, where the kernel has pidfds.
    pidfd: Option<OwnedFd>,
    root: Option<OwnedFd>,
    wd: Option<OwnedFd>,
    environment: Option<Environment>,
    /// The target's directory in proc, when its environment can be read from inside its user namespace only.
    environ_of: Option<OwnedFd>,
    groups: Vec<OwnedFd>,
    context: Option<Vec<u8>>,
    /// Owner of the target's /proc directory, for `follow`.
    owner: (u32, u32),
    user_ns: bool,
    fork: bool,
}

pub fn enter(request: Request, program: &[OsString]) -> Outcome {
    let proc = ProcRoot::default();
    let target = request.target.as_ref().map(|target| target::held(&proc, target)).transpose()?;
    let mut plan = open_all(&proc, &request, target)?;
    let terminal = request.new_tty.then(|| Outside::hold(&proc)).transpose()?;
    if plan.set.process.is_none() && plan.set.files.is_empty() {
        return Err(anyhow!("no namespace specified").into());
    }
    let user = Credentials::of(&request, &plan);
    // Tried while we may: in the user namespace setgroups(2) can be denied. Told only if both tries fail.
    let groups_dropped = !user.enters || sys::drop_groups().is_ok();

    ns::enter(&mut plan.set)?;
    if let Some(directory) = plan.environ_of.take() {
        plan.environment = Some(launch::parse_environ(&read_environ(&directory)?));
    }
    change_directory(&request, &plan)?;
    let session = terminal.map(Outside::open).transpose()?;
    if plan.fork || session.is_some() {
        launch::reset_sigchld()?;
        let job = Foreground::ours();
        match (sys::fork().context("fork failed")?, session) {
            (ForkResult::Parent { child }, session) => {
                drop(plan);
                return match (session, job) {
                    (Some(session), _) => session.stand_in_for(child),
                    (None, Some(job)) => job.stand_in_for(child),
                    (None, None) => launch::stand_in_for(child),
                };
            }
            (ForkResult::Child, Some(session)) => session.begin(user.uid)?,
            (ForkResult::Child, None) => {
                if let Some(job) = job {
                    job.begin()?;
                }
            }
        }
    }
    for group in &plan.groups {
        cgroup::join(group).context("cannot join the control group of the target")?;
    }
    if let Some(context) = &plan.context {
        std::fs::write(proc.own("attr/exec"), context).context("failed to set the SELinux context")?;
    }
    user.become_it(groups_dropped)?;
    if request.keep_caps && plan.user_ns {
        capabilities::keep()?;
    }
    let environment = plan.environment.take();
    drop(plan);
    Err(launch::exec(program, environment))
}

/// In util-linux's order: it decides which of several mistakes is told.
fn open_all(proc: &ProcRoot, request: &Request, target: Option<Held>) -> Result<Plan> {
    let pid = target.as_ref().map(|held| held.pid);
    let mut plan = Plan { context: security_context(proc, request, pid)?, ..Plan::default() };
    open_namespaces(proc, request, target, &mut plan)?;

    let of_target = |file: &str| -> Result<PathBuf> {
        let pid = pid.ok_or_else(|| anyhow!("neither filename nor target pid supplied for {file}"))?;
        Ok(proc.of(pid, file))
    };
    plan.root = directory(&request.root, || ns::open_file(&of_target("root")?))?;
    plan.wd = directory(&request.wd, || ns::open_file(&of_target("cwd")?))?;
    if request.environment {
        open_environment(proc, &of_target("environ")?, &mut plan)?;
    }
    if [request.uid, request.gid].iter().flatten().any(|id| matches!(id, Id::Follow)) {
        let path = proc.of(pid.ok_or_else(no_target)?, "");
        let meta = std::fs::metadata(&path).with_context(|| format!("cannot open {}", path.display()))?;
        plan.owner = (meta.uid(), meta.gid());
    }
    if request.join_cgroup {
        plan.groups = Hierarchies::read(proc)?.open_groups(proc, pid.ok_or_else(no_target)?)?;
    }
    if let (Some(pidfd), Some(pid)) = (&plan.pidfd, pid) {
        // All that was opened by number so far is this process's, or the number has been another's.
        ns::still(pidfd).with_context(|| format!("process {pid} has ended"))?;
    }
    Ok(plan)
}

/// What `--follow-context` is to set; without SELinux there is nothing to follow.
fn security_context(proc: &ProcRoot, request: &Request, pid: Option<Pid>) -> Result<Option<Vec<u8>>> {
    if !request.follow_context || !Path::new("/sys/fs/selinux/enforce").exists() {
        return Ok(None);
    }
    let pid = pid.ok_or_else(|| anyhow!("no target PID specified for --follow-context"))?;
    proc.read(pid, "attr/current").map(Some).context("failed to get the SELinux context")
}

/// Some environments can be read from inside the user namespace only: root's there, to the user outside.
fn open_environment(proc: &ProcRoot, path: &Path, plan: &mut Plan) -> Result<()> {
    match std::fs::read(path) {
        Ok(text) => plan.environment = Some(launch::parse_environ(&text)),
        Err(error) if plan.user_ns && error.kind() == ErrorKind::PermissionDenied => {
            let directory = path.parent().unwrap_or(proc.path());
            plan.environ_of = Some(ns::open_file(directory)?);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    }
    Ok(())
}

fn read_environ(directory: &OwnedFd) -> Result<Vec<u8>> {
    let failed = "cannot open the environment of the target";
    let fd =
        openat(directory, "environ", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).context(failed)?;
    let mut text = Vec::new();
    File::from(fd).read_to_end(&mut text).context(failed)?;
    Ok(text)
}

/// The kinds to take from the target: those asked for, or all that this kernel has. Our own user namespace
/// cannot be entered, so `--all` leaves it out.
fn wanted(proc: &ProcRoot, request: &Request, pid: Option<Pid>) -> Result<Vec<Kind>> {
    let mut kinds = request.kinds.clone();
    if request.all {
        // 0 is nobody's: what it says is that a target is missing.
        let other_user_ns = !ns::same_user_ns(proc, pid.unwrap_or(Pid::from_raw(0)))?;
        let all = Kind::ALL.into_iter().filter(|kind| *kind != Kind::User || other_user_ns);
        kinds.extend(all.filter(|kind| ns::known(proc, *kind)));
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds.retain(|kind| !request.files.iter().any(|(other, _)| other == kind));
    Ok(kinds)
}

fn open_namespaces(proc: &ProcRoot, request: &Request, target: Option<Held>, plan: &mut Plan) -> Result<()> {
    for (kind, fd) in &request.files {
        plan.set.files.push((*kind, fd.try_clone()?));
    }
    let pid = target.as_ref().map(|held| held.pid);
    let mut kinds = wanted(proc, request, pid)?;
    let parent_of_nobody = request.user_parent && request.files.is_empty();
    let needs_target = !kinds.is_empty() || request.net_socket.is_some() || parent_of_nobody;
    if pid.is_none() && needs_target {
        return Err(no_target());
    }
    plan.pidfd = target.and_then(|held| held.pidfd);
    if request.user_parent {
        let parent = user_parent(proc, plan, pid)?;
        plan.set.replace(Kind::User, parent);
        kinds.retain(|kind| *kind != Kind::User);
    }
    if let (Some(fd), Some(pid)) = (request.net_socket, pid) {
        let Some(holder) = &plan.pidfd else {
            return Err(Errno::ESRCH).with_context(|| format!("failed to pidfd_open() for {pid}"));
        };
        let socket_ns = ns::net_ns_of_socket(holder, fd)?;
        plan.set.replace(Kind::Net, socket_ns);
        kinds.retain(|kind| *kind != Kind::Net);
    }
    let has = |kind: Kind| kinds.contains(&kind) || plan.set.files.iter().any(|(other, _)| *other == kind);
    plan.user_ns = has(Kind::User);
    plan.fork = has(Kind::Pid) && !request.no_fork;

    match (&plan.pidfd, pid) {
        _ if kinds.is_empty() => {}
        (Some(pidfd), _) if ns::setns_takes_pidfd() => plan.set.process = Some((pidfd.try_clone()?, kinds)),
        (_, Some(pid)) => {
            for kind in kinds {
                plan.set.files.push((kind, ns::open_file(&proc.of(pid, &kind.link()))?));
            }
        }
        (_, None) => {}
    }
    Ok(())
}

/// The user namespace above that of the file given, of the target, or of the first namespace there is.
fn user_parent(proc: &ProcRoot, plan: &Plan, pid: Option<Pid>) -> Result<OwnedFd> {
    if let Some((_, fd)) = plan.set.files.iter().find(|(kind, _)| *kind == Kind::User) {
        return ns::parent_user_ns(fd);
    }
    if let Some(fd) = plan.pidfd.as_ref().and_then(|pidfd| ns::user_ns_of(pidfd).ok()) {
        return ns::parent_user_ns(&fd);
    }
    match (plan.set.files.first(), pid) {
        (Some((_, fd)), _) => ns::parent_user_ns(fd),
        (None, Some(pid)) => ns::parent_user_ns(&ns::open_file(&proc.of(pid, &Kind::User.link()))?),
        (None, None) => Err(no_target()),
    }
}

fn no_target() -> anyhow::Error {
    anyhow!("no target PID specified")
}

fn directory(of: &Directory, target: impl Fn() -> Result<OwnedFd>) -> Result<Option<OwnedFd>> {
    match of {
        Directory::Unchanged => Ok(None),
        Directory::OfTarget => target().map(Some),
        Directory::Open(fd) => Ok(Some(fd.try_clone()?)),
    }
}

/// A new root leaves the working directory where it was, outside, unless another is asked for.
fn change_directory(request: &Request, plan: &Plan) -> Result<()> {
    let mut wd = plan.wd.as_ref().map(OwnedFd::try_clone).transpose()?;
    if let Some(root) = &plan.root {
        if wd.is_none() && request.wdns.is_none() {
            wd = Some(ns::open_file(Path::new("."))?);
        }
        fchdir(root).context("change directory by root file descriptor failed")?;
        chroot(".").with_context(|| refused("chroot failed", Asked::Chroot))?;
        chdir("/").context("cannot change directory to /")?;
    }
    if let Some(Some(path)) = &request.wdns {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let failed = "cannot open current working directory";
        wd = Some(open(Path::new(path), flags, Mode::empty()).context(failed)?);
    }
    if let Some(wd) = wd {
        fchdir(&wd).context("change directory by working directory file descriptor failed")?;
    }
    Ok(())
}

/// Who the program runs as.
struct Credentials {
    /// A user namespace is entered, and its root is to be become.
    enters: bool,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Credentials {
    fn of(request: &Request, plan: &Plan) -> Credentials {
        let enters = plan.user_ns && !request.preserve_credentials;
        let resolve = |id: Option<Id>, owner: u32| match id {
            Some(Id::Number(number)) => Some(number),
            Some(Id::Follow) => Some(owner),
            None => enters.then_some(0),
        };
        Credentials {
            enters,
            uid: resolve(request.uid, plan.owner.0),
            gid: resolve(request.gid, plan.owner.1),
        }
    }

    fn become_it(&self, groups_dropped: bool) -> Result<()> {
        if let Some(gid) = self.gid {
            match sys::drop_groups() {
                Err(errno) if !groups_dropped => return Err(errno).context("setgroups failed"),
                _ => {}
            }
            setgid(Gid::from_raw(gid)).context("setgid() failed")?;
        }
        if let Some(uid) = self.uid {
            setuid(Uid::from_raw(uid)).context("setuid() failed")?;
        }
        Ok(())
    }
}
