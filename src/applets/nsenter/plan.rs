//! The request of the command line, and the plan that follows from it. No system call here changes anything.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::container::target::Target;
use crate::launch::harden::Numbers;
use crate::order;
use crate::proc::ns::Kind;

/// The request of the command line. Options open their files at once, so that errors appear in the order of the
/// options.
#[derive(Default)]
pub(super) struct Request {
    pub target: Option<Target>,
    pub all: bool,
    /// Kinds of namespaces to take from the target.
    pub kinds: Vec<Kind>,
    pub files: Vec<(Kind, OwnedFd)>,
    pub net_socket: Option<i32>,
    pub user_parent: bool,
    pub root: Directory,
    pub wd: Directory,
    /// A path to change to after entering.
    pub wdns: Option<Option<OsString>>,
    pub uid: Option<Id>,
    pub gid: Option<Id>,
    pub keep_caps: bool,
    pub preserve_credentials: bool,
    pub no_fork: bool,
    pub new_tty: bool,
    pub environment: bool,
    pub join_cgroup: bool,
    pub follow_context: bool,
    pub as_container: bool,
    /// A user of the container, from `--as`.
    pub user: Option<OsString>,
    pub pass_fds: Numbers,
    /// The mount point of the container's root.
    pub host_root: Option<PathBuf>,
    pub mount_proc: Option<PathBuf>,
    pub dns: bool,
    pub applet: bool,
    pub force: bool,
    /// The program, if one is named.
    pub program: Option<OsString>,
}

#[derive(Default)]
pub(super) enum Directory {
    #[default]
    Unchanged,
    OfTarget,
    Open(OwnedFd),
}

#[derive(Clone, Copy)]
pub(super) enum Id {
    Number(u32),
    /// The owner of the target.
    Follow,
}

/// The facts of the system that decide what `--all` means.
pub(super) struct Facts {
    /// The target's user namespace is not the caller's, so it can be entered.
    pub other_user_ns: bool,
    /// For root: the kinds that this kernel has. For an ordinary user: only those in which the target's namespace
    /// differs from the caller's; setns(2) to the caller's own would fail.
    pub known: Vec<Kind>,
    /// Are these all kinds, whether or not this kernel has them?
    pub is_assumed: bool,
    /// The caller is root, and needs no user namespace to enter others.
    pub root: bool,
}

impl Request {
    /// Adds what options imply, and refuses those that exclude each other. Called before anything is done.
    pub(super) fn settle(&mut self, operands: &[OsString]) -> Result<()> {
        if self.applet && operands.is_empty() {
            bail!("option --applet needs the name of an applet ('ctrbox --list' lists them)");
        }
        self.program = operands.first().cloned();
        self.as_container |= self.user.is_some();
        if self.host_root.is_some() {
            if self.as_container {
                // The container's processes may trace a process that has no more capabilities than they have, and
                // could reach the host's files through its /proc/PID/root.
                bail!("options --host-root and --as-container cannot be combined");
            }
            if !matches!(self.root, Directory::Unchanged) {
                bail!("options --host-root and --root cannot be combined");
            }
        }
        if self.new_tty && self.no_fork {
            bail!("options --no-fork and --new-tty cannot be combined");
        }
        if self.mount_proc.is_some() && self.no_fork {
            bail!("options --mount-proc and --no-fork cannot be combined");
        }
        if self.as_container {
            self.all |= self.kinds.is_empty() && self.files.is_empty();
            self.environment = true;
        }
        if self.dns { self.check_dns() } else { Ok(()) }
    }

    /// `--dns` is for the host's files in the container's network.
    fn check_dns(&self) -> Result<()> {
        if self.enters_files() {
            bail!(
                "option --dns is for the host's files: the files that -m, -a, -r and --as-container enter have the \
                 DNS configuration of the container already (use -n, or -a --host-root)"
            );
        }
        if !self.names(Kind::Net) && self.net_socket.is_none() {
            bail!("option --dns needs the network namespace of the container (-n)");
        }
        Ok(())
    }

    /// Does any option name this kind? (`--all` takes it from the target.)
    #[must_use]
    pub(super) fn names(&self, kind: Kind) -> bool {
        self.all || self.kinds.contains(&kind) || self.has_file(kind)
    }

    fn has_file(&self, kind: Kind) -> bool {
        self.files.iter().any(|(other, _)| *other == kind)
    }

    /// Does the program run with another root than the caller's?
    #[must_use]
    pub(super) fn enters_files(&self) -> bool {
        self.host_root.is_none() && (self.names(Kind::Mnt) || !matches!(self.root, Directory::Unchanged))
    }

    /// Does an option other than those of namespaces change how the program runs?
    #[must_use]
    pub(super) fn changes_the_program(&self) -> bool {
        let directory = |choice: &Directory| !matches!(choice, Directory::Unchanged);
        directory(&self.root)
            || directory(&self.wd)
            || self.wdns.is_some()
            || self.uid.is_some()
            || self.gid.is_some()
            || self.environment
            || self.join_cgroup
            || self.follow_context
    }

    /// Is the program the container's own, or can processes of the container see it? Then it gets only the
    /// descriptors that are passed on purpose.
    #[must_use]
    pub(super) fn is_exposed(&self) -> bool {
        self.enters_files() || self.names(Kind::Pid) || self.names(Kind::User) || self.user_parent
    }

    /// Does nsenter read files of the target in /proc? A namespace alone is entered by a pidfd, and all of them if that
    /// says enough. Hints need more.
    #[must_use]
    pub(super) fn reads_target(
        &self,
        is_told_by_pidfd: impl FnOnce() -> bool,
        hints_wanted: impl FnOnce() -> bool,
    ) -> bool {
        let of_target = |directory: &Directory| matches!(directory, Directory::OfTarget);
        let follows = |id: &Option<Id>| matches!(id, Some(Id::Follow));
        self.as_container
            || self.environment
            || self.join_cgroup
            || self.follow_context
            || self.user_parent
            || self.host_root.is_some()
            || self.mount_proc.is_some()
            || self.net_socket.is_some()
            || of_target(&self.root)
            || of_target(&self.wd)
            || follows(&self.uid)
            || follows(&self.gid)
            || self.dns
            || self.enters_files()
                && (self.program.is_none() || matches!(self.target, Some(Target::Container(_))))
            || (self.enters_files() || self.kinds.len() + self.files.len() > 1) && hints_wanted()
            || self.all && !is_told_by_pidfd()
    }

    /// Can the container's processes see the program's process before it is executed?
    #[must_use]
    pub(super) fn is_seen_inside(&self) -> bool {
        self.names(Kind::Pid) && !self.no_fork
    }

    /// The kinds to take from the target: those that are named, or all that this kernel has. setns(2) fails for the
    /// caller's own user namespace, so `--all` leaves it out. With `--host-root` the program also stays root of the
    /// host: the container's processes could trace root of the container and reach the host's files through it.
    /// Also those of them that the kernel may lack.
    pub(super) fn wanted(&self, facts: impl FnOnce() -> Result<Facts>) -> Result<(Vec<Kind>, Vec<Kind>)> {
        let (mut kinds, mut assumed) = (self.kinds.clone(), Vec::new());
        if self.all {
            let facts = facts()?;
            if facts.is_assumed {
                assumed = facts.known.iter().copied().filter(|kind| !self.kinds.contains(kind)).collect();
            }
            let user = facts.other_user_ns && !(self.host_root.is_some() && facts.root);
            kinds.extend(facts.known.into_iter().filter(|kind| *kind != Kind::User || user));
        }
        order::sort(&mut kinds);
        kinds.dedup();
        kinds.retain(|kind| !self.has_file(*kind));
        if self.host_root.is_some() {
            kinds.retain(|kind| *kind != Kind::Mnt);
        }
        Ok((kinds, assumed))
    }

    /// The mount point of proc for the entered pid namespace, if it is mounted.
    pub(super) fn proc_at(&self, enters_pid: bool) -> Result<Option<PathBuf>> {
        match (&self.mount_proc, &self.host_root) {
            (Some(_), _) if !enters_pid => bail!("option --mount-proc needs a pid namespace to enter (-p)"),
            (Some(directory), _) => Ok(Some(directory.clone())),
            (None, Some(_)) => Ok((enters_pid && !self.no_fork).then(|| PathBuf::from("/proc"))),
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(other_user_ns: bool, root: bool) -> Facts {
        Facts { other_user_ns, known: Kind::ALL.to_vec(), is_assumed: false, root }
    }

    fn wanted(request: &Request, facts: Facts) -> Vec<Kind> {
        request.wanted(|| Ok(facts)).expect("kinds").0
    }

    fn all() -> Request {
        Request { all: true, ..Request::default() }
    }

    #[test]
    fn all_leaves_out_the_callers_own_user_namespace() {
        assert_eq!(wanted(&all(), facts(true, true)), Kind::ALL);
        let without = wanted(&all(), facts(false, true));
        assert!(!without.contains(&Kind::User) && without.len() == Kind::ALL.len() - 1);
        let asked = Request { kinds: vec![Kind::Net, Kind::User, Kind::Net], ..Request::default() };
        assert_eq!(asked.wanted(|| bail!("must not be called")).expect("kinds").0, [Kind::User, Kind::Net]);
    }

    #[test]
    fn only_what_all_adds_is_left_out_if_the_kernel_lacks_it() {
        let request = Request { kinds: vec![Kind::Time], ..all() };
        let assumed = Facts { is_assumed: true, ..facts(true, true) };
        let (kinds, assumed) = request.wanted(|| Ok(assumed)).expect("kinds");
        assert_eq!(kinds, Kind::ALL);
        assert!(!assumed.contains(&Kind::Time) && assumed.len() == Kind::ALL.len() - 1);
        assert!(request.wanted(|| Ok(facts(true, true))).expect("kinds").1.is_empty());
    }

    #[test]
    fn host_root_keeps_root_out_of_the_user_namespace() {
        let request = || Request { host_root: Some(PathBuf::from("/x")), ..all() };
        let kinds = |request: Request, root| wanted(&request, facts(true, root));
        assert!(!kinds(request(), true).iter().any(|kind| matches!(kind, Kind::User | Kind::Mnt)));
        let ordinary = kinds(request(), false);
        assert!(ordinary.contains(&Kind::User) && !ordinary.contains(&Kind::Mnt));
        let asked = Request { kinds: vec![Kind::User, Kind::Mnt], ..request() };
        assert!(kinds(asked, true).contains(&Kind::User), "named by an option");
    }

    #[test]
    fn options_imply_and_exclude_others() {
        let settled = |mut request: Request| request.settle(&[OsString::from("x")]).map(|()| request);
        let one = settled(Request { user: Some(OsString::from("web")), ..Request::default() }).expect("fine");
        assert!(one.as_container && one.all && one.environment);
        let some = Request { as_container: true, kinds: vec![Kind::Net], ..Request::default() };
        assert!(!settled(some).expect("fine").all, "only what is named");
        let host = |request: Request| Request { host_root: Some(PathBuf::from("/x")), ..request };
        assert!(settled(host(Request { as_container: true, ..Request::default() })).is_err());
        assert!(settled(host(Request { root: Directory::OfTarget, ..Request::default() })).is_err());
        let proc = || Some(PathBuf::from("/proc"));
        assert!(settled(Request { mount_proc: proc(), no_fork: true, ..Request::default() }).is_err());
        assert!(Request { applet: true, ..Request::default() }.settle(&[]).is_err());
        assert!(Request { mount_proc: proc(), ..Request::default() }.proc_at(false).is_err());
        assert_eq!(host(Request::default()).proc_at(true).expect("fine"), proc());
        assert_eq!(host(Request { no_fork: true, ..Request::default() }).proc_at(true).expect("fine"), None);
        assert_eq!(Request::default().proc_at(true).expect("fine"), None);
    }

    #[test]
    fn kinds_that_expose_the_program() {
        let entering = |kind| Request { kinds: vec![kind], ..Request::default() };
        assert!(entering(Kind::Mnt).enters_files() && entering(Kind::Mnt).is_exposed());
        assert!(!entering(Kind::Pid).enters_files() && entering(Kind::Pid).is_exposed());
        assert!(!entering(Kind::Net).is_exposed());
        let host = Request { host_root: Some(PathBuf::from("/x")), ..all() };
        assert!(!host.enters_files() && host.is_exposed());
    }
}
