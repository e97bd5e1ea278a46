//! What nsenter does, in the order that matters: all that needs the outside is opened first, then the
//! namespaces, then root and directory, then the child, then credentials, then the program.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::{ForkResult, Gid, Pid, Uid, chdir, chroot, fchdir, setgid, setuid};

use super::{Directory, Id, Request};
use crate::container::target::{self, Held, Target};
use crate::container::{Files, Resolver};
use crate::exit::Outcome;
use crate::isolation::capabilities;
use crate::isolation::cgroup::{self, Hierarchies};
use crate::isolation::kind::Kind;
use crate::isolation::launch::{self, Environment};
use crate::isolation::ns::{self, Set};
use crate::proc::ProcRoot;
use crate::sys;

/// What is opened outside for use inside.
struct Plan {
    set: Set,
    root: Option<OwnedFd>,
    wd: Option<OwnedFd>,
    environment: Option<Environment>,
    groups: Vec<OwnedFd>,
    context: Option<Vec<u8>>,
    /// Owner of the target's /proc directory, for `follow`.
    owner: (u32, u32),
    user_ns: bool,
    fork: bool,
}

pub fn enter(request: Request, program: &[OsString]) -> Outcome {
    let proc = ProcRoot::default();
    let target = held(&proc, &request)?;
    let mut plan = open_all(&proc, &request, target)?;
    if plan.set.process.is_none() && plan.set.files.is_empty() {
        return Err(anyhow!("no namespace specified").into());
    }
    let user = Credentials::of(&request, &plan);
    // Tried while we may: in the user namespace setgroups(2) can be denied. Told only if both tries fail.
    let groups_dropped = !user.enters || sys::drop_groups().is_ok();

    ns::enter(&mut plan.set)?;
    change_directory(&request, &plan)?;
    if plan.fork {
        match sys::fork().context("fork failed")? {
            ForkResult::Parent { child } => {
                drop(plan);
                return launch::stand_in_for(child);
            }
            ForkResult::Child => {}
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

/// The target, held by a pidfd where the kernel has them.
fn held(proc: &ProcRoot, request: &Request) -> Result<Option<Held>> {
    match &request.target {
        None => Ok(None),
        Some(Target::Pid { pid, inode }) => {
            let pidfd = ns::pidfd(*pid);
            if let Some(inode) = inode {
                let same = pidfd.as_ref().is_some_and(|fd| fstat(fd).is_ok_and(|stat| stat.st_ino == *inode));
                if !same {
                    return Err(anyhow::Error::from(Errno::ESRCH)
                        .context(format!("failed to obtain a valid file descriptor for PID {pid}")));
                }
            }
            Ok(Some(Held { pid: *pid, pidfd }))
        }
        Some(Target::Container(word)) => {
            let files = Files::new(Path::new("/"))?;
            let mut resolver = Resolver::new(proc, &files);
            let container = target::container(&mut resolver, word)?;
            target::hold(&resolver, &container).map(Some)
        }
    }
}

fn open_all(proc: &ProcRoot, request: &Request, target: Option<Held>) -> Result<Plan> {
    let pid = target.as_ref().map(|held| held.pid);
    let need = || pid.ok_or_else(|| anyhow!("no target PID specified"));
    let of_target = |file: &str| ns::open_file(&proc.of(need()?, file));

    let context = match request.follow_context && Path::new("/sys/fs/selinux/enforce").exists() {
        false => None,
        true => {
            let pid = pid.ok_or_else(|| anyhow!("no target PID specified for --follow-context"))?;
            Some(proc.read(pid, "attr/current").context("failed to get the SELinux context")?)
        }
    };
    let kinds = wanted(proc, request, pid)?;
    if !kinds.is_empty() {
        need()?;
    }
    let mut plan = Plan {
        set: Set::default(),
        root: directory(&request.root, || of_target("root"))?,
        wd: directory(&request.wd, || of_target("cwd"))?,
        environment: None,
        groups: Vec::new(),
        context,
        owner: (0, 0),
        user_ns: false,
        fork: false,
    };
    if request.environment {
        let path = proc.of(need()?, "environ");
        let text = std::fs::read(&path).with_context(|| format!("cannot open {}", path.display()))?;
        plan.environment = Some(launch::parse_environ(&text));
    }
    if [request.uid, request.gid].iter().flatten().any(|id| matches!(id, Id::Follow)) {
        let path = proc.of(need()?, "");
        let meta = std::fs::metadata(&path).with_context(|| format!("cannot open {}", path.display()))?;
        plan.owner = (meta.uid(), meta.gid());
    }
    if request.join_cgroup {
        plan.groups = Hierarchies::read(proc)?.open_groups(proc, need()?)?;
    }
    open_namespaces(proc, request, target, kinds, &mut plan)?;
    Ok(plan)
}

/// The kinds to take from the target: those asked for, or all that this kernel has. Our own user namespace
/// cannot be entered, so `--all` leaves it out.
fn wanted(proc: &ProcRoot, request: &Request, pid: Option<Pid>) -> Result<Vec<Kind>> {
    let mut kinds = request.kinds.clone();
    if request.all {
        let pid = pid.ok_or_else(|| anyhow!("no target PID specified for --all"))?;
        let other_user_ns = !ns::same_user_ns(proc, pid)?;
        let all = Kind::ALL.into_iter().filter(|kind| *kind != Kind::User || other_user_ns);
        kinds.extend(all.filter(|kind| ns::known(proc, *kind)));
    }
    kinds.sort_unstable();
    kinds.dedup();
    let is_file = |kind: Kind| request.files.iter().any(|(other, _)| *other == kind);
    kinds.retain(|kind| !is_file(*kind));
    Ok(kinds)
}

fn open_namespaces(
    proc: &ProcRoot,
    request: &Request,
    target: Option<Held>,
    kinds: Vec<Kind>,
    plan: &mut Plan,
) -> Result<()> {
    let pid = target.as_ref().map(|held| held.pid);
    let need = || pid.ok_or_else(|| anyhow!("no target PID specified"));
    let mut pidfd = target.and_then(|held| held.pidfd);
    for (kind, fd) in &request.files {
        plan.set.files.push((*kind, fd.try_clone()?));
    }
    if let Some(fd) = request.net_socket {
        let pid = need()?;
        let holder = pidfd.as_ref().ok_or_else(|| anyhow!("--net-socket needs Linux 5.6 or newer"))?;
        let socket_ns = ns::net_ns_of_socket(holder, pid, fd)?;
        plan.set.files.push((Kind::Net, socket_ns));
    }
    if request.user_parent {
        let parent = user_parent(proc, plan, pidfd.as_ref(), pid)?;
        plan.set.files.retain(|(kind, _)| *kind != Kind::User);
        plan.set.files.push((Kind::User, parent));
    }
    let has_file = |kind: &Kind| plan.set.files.iter().any(|(other, _)| other == kind);
    let kinds: Vec<Kind> = kinds.into_iter().filter(|kind| !has_file(kind)).collect();
    plan.user_ns = kinds.contains(&Kind::User) || has_file(&Kind::User);
    plan.fork = (kinds.contains(&Kind::Pid) || has_file(&Kind::Pid)) && !request.no_fork;

    if let (Some(pidfd), Some(pid)) = (&pidfd, pid) {
        // All that was opened by number so far is this process's, or the number has been another's.
        ns::still(pidfd).with_context(|| format!("process {pid} has ended"))?;
    }
    if !ns::setns_takes_pidfd() {
        pidfd = None;
    }
    match pidfd {
        _ if kinds.is_empty() => {}
        Some(pidfd) => plan.set.process = Some((pidfd, kinds)),
        None => {
            for kind in kinds {
                let fd = ns::open_file(&proc.of(need()?, &kind.link()))?;
                plan.set.files.push((kind, fd));
            }
        }
    }
    Ok(())
}

/// The user namespace above that of the file given, of the target, or of the first namespace there is.
fn user_parent(proc: &ProcRoot, plan: &Plan, pidfd: Option<&OwnedFd>, pid: Option<Pid>) -> Result<OwnedFd> {
    if let Some((_, fd)) = plan.set.files.iter().find(|(kind, _)| *kind == Kind::User) {
        return ns::parent_user_ns(fd);
    }
    if let Some(fd) = pidfd.and_then(|pidfd| ns::user_ns_of(pidfd).ok()) {
        return ns::parent_user_ns(&fd);
    }
    match (plan.set.files.first(), pid) {
        (Some((_, fd)), _) => ns::parent_user_ns(fd),
        (None, Some(pid)) => ns::parent_user_ns(&ns::open_file(&proc.of(pid, &Kind::User.link()))?),
        (None, None) => bail!("no target PID specified"),
    }
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
        chroot(".").context("chroot failed")?;
        chdir("/").context("cannot change directory to /")?;
    }
    if let Some(path) = &request.wdns {
        wd = Some(ns::open_file(Path::new(path))?);
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
