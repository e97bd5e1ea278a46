//! What the command line asks for, and what is to be done for it: no system call that changes anything.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::container::target::Target;
use crate::launch::harden::Numbers;
use crate::proc::ns::Kind;

/// What the command line asks for. Files are open already: an error of theirs comes in its turn.
#[derive(Default)]
pub(super) struct Request {
    pub target: Option<Target>,
    pub all: bool,
    /// Kinds to take from the target.
    pub kinds: Vec<Kind>,
    pub files: Vec<(Kind, OwnedFd)>,
    pub net_socket: Option<i32>,
    pub user_parent: bool,
    pub root: Directory,
    pub wd: Directory,
    /// A path to change to once inside.
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
    /// A user of the container's own.
    pub user: Option<OsString>,
    pub pass_fds: Numbers,
    /// Where the container's root is to be seen.
    pub host_root: Option<PathBuf>,
    pub mount_proc: Option<PathBuf>,
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

/// What is asked of the system before it can be decided what `--all` means.
pub(super) struct Facts {
    /// The target's user namespace is not ours, so it can be entered.
    pub other_user_ns: bool,
    /// Kinds that this kernel has; for who is not root, those in which the target is elsewhere than we: what is
    /// ours already need not be entered, and may not be.
    pub known: Vec<Kind>,
    /// We are root, and need no user namespace to enter others.
    pub root: bool,
}

impl Request {
    /// What options bring along, and which do not go together. Before anything is done.
    pub(super) fn settle(&mut self, operands: &[OsString]) -> Result<()> {
        if self.applet && operands.is_empty() {
            bail!("option --applet needs the name of an applet ('ctrbox --list' lists them)");
        }
        self.program = operands.first().cloned();
        self.as_container |= self.user.is_some();
        if self.host_root.is_some() {
            if self.as_container {
                // The container's processes may trace what has no more capabilities than they, and would have
                // the host's files by its /proc/PID/root.
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
        Ok(())
    }

    /// Does it name the kind, one way or another? (`--all` takes it from the target.)
    #[must_use]
    pub(super) fn names(&self, kind: Kind) -> bool {
        self.all || self.kinds.contains(&kind) || self.has_file(kind)
    }

    fn has_file(&self, kind: Kind) -> bool {
        self.files.iter().any(|(other, _)| *other == kind)
    }

    /// Does the program come from another root than ours?
    #[must_use]
    pub(super) fn enters_files(&self) -> bool {
        self.host_root.is_none() && (self.names(Kind::Mnt) || !matches!(self.root, Directory::Unchanged))
    }

    /// Is the program the container's own, or can processes of the container see it? Then it gets no
    /// descriptor that it is not to have.
    #[must_use]
    pub(super) fn among_others(&self) -> bool {
        self.enters_files() || self.names(Kind::Pid) || self.names(Kind::User) || self.user_parent
    }

    /// Can the container's processes see the program's process before it is executed?
    #[must_use]
    pub(super) fn is_seen_inside(&self) -> bool {
        self.names(Kind::Pid) && !self.no_fork
    }

    /// The kinds to take from the target: those asked for, or all that this kernel has. Our own user namespace
    /// cannot be entered, so `--all` leaves it out. With the host's files we stay root of the host as well:
    /// as root of the container we could be traced by its processes, which would have the host's files then.
    pub(super) fn wanted(&self, facts: impl FnOnce() -> Result<Facts>) -> Result<Vec<Kind>> {
        let mut kinds = self.kinds.clone();
        if self.all {
            let facts = facts()?;
            let user = facts.other_user_ns && !(self.host_root.is_some() && facts.root);
            kinds.extend(facts.known.into_iter().filter(|kind| *kind != Kind::User || user));
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds.retain(|kind| !self.has_file(*kind));
        if self.host_root.is_some() {
            kinds.retain(|kind| *kind != Kind::Mnt);
        }
        Ok(kinds)
    }

    /// Where proc is to be mounted, if it is: for the pid namespace that is entered.
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

    fn facts(other_user_ns: bool, root: bool) -> impl FnOnce() -> Result<Facts> {
        move || Ok(Facts { other_user_ns, known: Kind::ALL.to_vec(), root })
    }

    fn all() -> Request {
        Request { all: true, ..Request::default() }
    }

    #[test]
    fn all_are_all_but_our_own_user_namespace() {
        assert_eq!(all().wanted(facts(true, true)).expect("kinds"), Kind::ALL);
        let without = all().wanted(facts(false, true)).expect("kinds");
        assert!(!without.contains(&Kind::User) && without.len() == Kind::ALL.len() - 1);
        let asked = Request { kinds: vec![Kind::Net, Kind::User, Kind::Net], ..Request::default() };
        assert_eq!(asked.wanted(|| bail!("not asked for")).expect("kinds"), [Kind::User, Kind::Net]);
    }

    #[test]
    fn with_the_hosts_files_root_stays_the_hosts() {
        let request = || Request { host_root: Some(PathBuf::from("/x")), ..all() };
        let kinds = |request: Request, root| request.wanted(facts(true, root)).expect("kinds");
        assert!(!kinds(request(), true).iter().any(|kind| matches!(kind, Kind::User | Kind::Mnt)));
        let ordinary = kinds(request(), false);
        assert!(ordinary.contains(&Kind::User) && !ordinary.contains(&Kind::Mnt));
        let asked = Request { kinds: vec![Kind::User, Kind::Mnt], ..request() };
        assert!(kinds(asked, true).contains(&Kind::User), "asked for by its name");
    }

    #[test]
    fn what_options_bring_along() {
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
    fn who_is_next_to_the_program() {
        let of = |kind| Request { kinds: vec![kind], ..Request::default() };
        assert!(of(Kind::Mnt).enters_files() && of(Kind::Mnt).among_others());
        assert!(!of(Kind::Pid).enters_files() && of(Kind::Pid).among_others());
        assert!(!of(Kind::Net).among_others());
        let host = Request { host_root: Some(PathBuf::from("/x")), ..all() };
        assert!(!host.enters_files() && host.among_others());
    }
}
