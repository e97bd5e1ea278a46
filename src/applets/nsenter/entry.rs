//! Turns a process into the program: namespaces, root and working directory, mounts, control groups, credentials.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chdir, chroot, fchdir, getuid, setgid, setuid};

use super::as_container::ContainerCredentials;
use super::dns;
use super::environ;
use super::open::{Opened, hint_container_name, may_skip_groups, read_environ, warn_not_joined};
use super::plan::{Directory, Id, Request};
use crate::exit::Exit;
use crate::isolation::before::Before;
use crate::isolation::capabilities::own;
use crate::isolation::operation::{Operation, refused};
use crate::isolation::{capabilities, cgroup, mounts, ns};
use crate::launch::credentials::find_user;
use crate::launch::exec::{self, Environment};
use crate::launch::harden;
use crate::proc::idmap::Which;
use crate::proc::ns::Kind;
use crate::proc::open_plain;
use crate::sys;
use crate::text;

/// The variable with the path of the container's root, for `--host-root`.
const CTR_ROOT: &str = "CTR_ROOT";

/// A process that becomes the program.
pub(super) struct Entry<'a> {
    pub name: &'a str,
    pub request: &'a Request,
    pub opened: Opened,
    pub user: Credentials,
    pub groups_dropped: bool,
}

/// The result of [`Entry::settle`]: only the execution of the program is left.
pub(super) struct Ready {
    environment: Option<Environment>,
    image: Option<OwnedFd>,
    /// See [`Opened`].
    shell: Option<OsString>,
    missing: Option<String>,
}

impl Entry<'_> {
    /// Moves the open descriptors to a new value, with which a child continues.
    pub(super) fn take(&mut self) -> Self {
        Entry { opened: std::mem::take(&mut self.opened), user: self.user, ..*self }
    }

    /// The user that the program runs as, if it is not the caller.
    pub(super) fn becomes(&self) -> Option<u32> {
        self.opened
            .container_credentials
            .as_ref()
            .map(|container_credentials| container_credentials.credentials.uid)
            .or(self.user.uid)
    }

    /// Enters the namespaces, the root and the working directory, and mounts what only the program may see. It
    /// enters the pid namespace as late as the others allow, because helpers that are forked afterwards are members
    /// of it.
    pub(super) fn enter(&mut self) -> Result<()> {
        let (request, opened) = (self.request, &mut self.opened);
        // The user namespace may deny setgroups(2), so this is a first attempt outside. A failure is reported only if
        // the second attempt, inside, fails too.
        let other_groups = self.user.enters || (opened.user_ns && opened.container_credentials.is_some());
        self.groups_dropped = !other_groups || nix::unistd::setgroups(&[]).is_ok();

        let mut pid_set = opened.set.split_off(Kind::Pid)?;
        opened.set.enter_permitted();
        // Mounting uses the caller's capabilities if they were sufficient so far, else those that the user namespace
        // gives.
        let copies = opened.other_root.is_some() || opened.dns.is_some();
        let mounts = opened.proc_at.is_some() || copies;
        let user_later = mounts && opened.set.only_user_left();
        let mut trees = if user_later { Trees::new(opened)? } else { Trees::default() };
        if user_later || !copies {
            pid_set.enter_permitted();
        }
        if !user_later {
            opened.set.enter_rest()?;
            trees = Trees::new(opened)?;
        }
        change_directory(request, opened)?;
        choose_user(request, opened, &self.user)?;
        if mounts {
            mount_for_program(request, opened, &trees)?;
        }
        if user_later && !self.finishes_inside() {
            self.opened.set.enter_rest()?;
        }
        pid_set.enter_rest()
    }

    /// Joins with this process itself: a group that has reached its pids.max still accepts an existing process.
    pub(super) fn join_groups(&mut self) -> Result<()> {
        for group in &self.opened.groups {
            match cgroup::join(group).context("cannot join the control group of the target") {
                Err(error) if may_skip_groups(self.request) => warn_not_joined(self.name, &error),
                joined => joined?,
            }
        }
        Ok(())
    }

    /// Must the program's process mount proc, with rights that the program does not get? If not, it is created with
    /// the program's rights.
    pub(super) fn finishes_inside(&self) -> bool {
        self.opened.proc_at.is_some() && self.opened.is_restricted(self.request)
    }

    /// Applies the program's environment, label and credentials. Afterwards this process holds nothing of the outside
    /// except what the program gets.
    pub(super) fn settle(mut self) -> Result<Ready> {
        let (request, opened) = (self.request, &mut self.opened);
        opened.set.enter_rest()?;
        if let Some(directory) = opened.environ_of.take() {
            opened.environment = Some(exec::parse_environ(&read_environ(&directory)?));
        }
        let mut environment = opened.environment.take();
        if let Some(environment) = environment.as_ref().filter(|_| opened.foreign_choice && !request.force) {
            refuse_choice_of_programs(request, environment)?;
        }
        if let Some(directory) = &request.host_root {
            let environment = environment.get_or_insert_with(exec::own_environment);
            set_variable(environment, CTR_ROOT, directory.as_os_str());
        }
        if let (Some((file, label)), Some(own)) = (&opened.label, &opened.own) {
            let failed = if request.as_container { "security label" } else { "SELinux context" };
            own.write(file, label).with_context(|| format!("failed to set the {failed}"))?;
        }
        match opened.container_credentials.take() {
            Some(container_credentials) => {
                apply_credentials(request, opened, container_credentials, &mut environment)?
            }
            None => self.user.apply(self.groups_dropped, opened.set.before.as_ref())?,
        }
        if request.keep_caps && opened.user_ns {
            capabilities::keep()?;
        }
        if opened.fork {
            give_up_what_exec_takes()?;
        }
        let (shell, missing) = (opened.shell.take(), opened.missing.take());
        let ready = Ready { environment, image: opened.image.take(), shell, missing };
        let (fork, exposed) = (opened.fork, request.is_exposed());
        drop(self.opened);
        if request.environment {
            sys::wipe_environment().context("cannot wipe the environment")?;
        }
        if fork && exposed {
            let image = ready.image.iter().filter_map(|image| u32::try_from(image.as_raw_fd()).ok());
            close_all_but(&request.pass_fds.iter().copied().chain(image).collect());
        }
        Ok(ready)
    }
}

impl Ready {
    /// Returns only on failure, with the reason.
    pub(super) fn execute(self, request: &Request, program: &[OsString]) -> Exit {
        match self.image {
            Some(image) => exec::exec_file(&image, program, self.environment),
            // The hint would read the state files of all containers into the memory of this process, which the
            // container may see.
            None if request.enters_files() => {
                let exit = exec::exec_inside(program, self.environment, self.shell.as_deref());
                match (&exit, self.missing) {
                    (Exit::Failed { status: Some(exec::NOT_FOUND), .. }, Some(words)) => {
                        exit.or_hint(move || Some(words.clone()))
                    }
                    _ => exit,
                }
            }
            None if request.is_seen_inside() => exec::exec(program, self.environment),
            None => exec::exec(program, self.environment).or_hint(hint_container_name(request)),
        }
    }
}

/// The last step of [`Entry::settle`].
#[allow(unsafe_code)] // it closes descriptors by number, including those without an owner in this process
fn close_all_but(kept: &harden::Numbers) {
    // SAFETY: the descriptors that this process opened belonged to `Entry::opened`, to the new terminal, or to the
    // socket and the pipe to the process that waits. All of these are dropped. Those of the request are not used any
    // more, and never dropped. Only the image is left, and it is kept.
    unsafe { harden::keep_only(kept) };
}

/// The container must not choose which program of the host runs with the caller's rights.
fn refuse_choice_of_programs(request: &Request, environment: &Environment) -> Result<()> {
    match environ::choosing_variable(environment, request.program.is_some()) {
        Some(name) => bail!(
            "option --env is not safe here: {name} of the target would choose which files of the host are executed \
             (add -m to enter the target's files, or use --force)"
        ),
        None => Ok(()),
    }
}

/// The container sees the program's process before it executes the program. So this process keeps only the
/// capabilities that execve(2) will leave it (capabilities(7), "Transformation of capabilities during execve()").
fn give_up_what_exec_takes() -> Result<()> {
    let flags = own::flags().context("cannot read capabilities")?;
    let last = own::last().context("cannot read capabilities")?;
    let kept = match getuid().is_root() || nix::unistd::geteuid().is_root() {
        true => own::bounding(last).context("cannot read the bounding set")? | flags.inheritable,
        false => own::ambient(last).unwrap_or(0),
    };
    if flags.permitted & !kept == 0 {
        return Ok(());
    }
    let less = capabilities::text::Flags {
        permitted: flags.permitted & kept,
        effective: flags.effective & kept,
        ..flags
    };
    own::set_flags(less).context("cannot set capabilities")
}

/// What is mounted for the program alone. Children make it.
#[derive(Default)]
struct Trees {
    /// A copy of the container's mounts, from its mount namespace.
    container: Option<OwnedFd>,
    /// The files of [`DNS_FILES`], for `--dns`.
    dns: Vec<OwnedFd>,
}

/// Where programs look for the DNS configuration.
const DNS_FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];
/// The directory of the socket of nscd(8), which answers with the names of the host.
const NSCD: &str = "/var/run/nscd";

impl Trees {
    fn new(opened: &mut Opened) -> Result<Trees> {
        let copy = |(mnt_ns, root): &(OwnedFd, OwnedFd)| {
            mounts::tree_of(mnt_ns, root).context("cannot copy the mounts of the target")
        };
        let container = opened.other_root.as_ref().map(copy).transpose()?;
        let dns = match opened.dns.take() {
            Some(files) => mounts::files(|| {
                let nsswitch =
                    dns::with_hosts_of(&text_of(open_plain(DNS_FILES[2])), files.nsswitch.as_deref());
                [files.resolv, files.hosts, nsswitch]
            })
            .context("cannot make the files for --dns")?,
            None => Vec::new(),
        };
        Ok(Trees { container, dns })
    }
}

/// Only the program sees these mounts, and they disappear when it ends. The program's process mounts a new proc
/// itself, because only a member of the pid namespace can. If that process must have fewer rights, an existing proc
/// mount of the same pid namespace is used, if there is one.
fn mount_for_program(request: &Request, opened: &mut Opened, trees: &Trees) -> Result<()> {
    let mut mounted = None;
    if let (true, Some(directory)) = (opened.is_restricted(request), &opened.proc_at) {
        mounted = opened.member.and_then(|(pid_ns, number)| mounts::proc_of(pid_ns, number, directory));
        if let (None, Some(tracer), false) = (&mounted, opened.tracer, request.force) {
            bail!(
                "option --mount-proc is not safe here: process {tracer} of the container could trace the process \
                 that mounts (leave --mount-proc out, or use --force)"
            );
        }
    }
    mounts::private()?;
    if let (Some(tree), Some(directory)) = (&trees.container, &request.host_root) {
        mounts::attach(tree, directory)?;
    }
    for (tree, path) in trees.dns.iter().zip(DNS_FILES) {
        mounts::replace_file(tree, Path::new(path))?;
    }
    if request.dns {
        mounts::hide(Path::new(NSCD))?;
    }
    if let Some(proc) = mounted {
        if let Some(directory) = opened.proc_at.take() {
            mounts::attach(&proc, &directory)?;
        }
    }
    Ok(())
}

/// Determines the container's user that the program runs as. The names come from the container's files, so they are
/// read inside and decide nothing else.
fn choose_user(request: &Request, opened: &mut Opened, ids: &Credentials) -> Result<()> {
    let Some(ContainerCredentials { credentials, home, .. }) = &mut opened.container_credentials else {
        return Ok(());
    };
    let list = |path: &str| opened.own.as_ref().map_or_else(Vec::new, |own| text_of(own.open_plain(path)));
    let passwd = list("/etc/passwd");
    let found = match &request.user {
        Some(word) => Some(find_user(word.as_bytes(), &passwd, &list("/etc/group"))?),
        None => find_user(credentials.uid.to_string().as_bytes(), &passwd, b"").ok(),
    };
    if let (Some(user), Some(_)) = (&found, &request.user) {
        credentials.become_user(user.uid);
        credentials.gid = user.gid;
        credentials.groups.clone_from(&user.groups);
    }
    if let (Some(uid), Some(_)) = (ids.uid, request.uid) {
        credentials.become_user(uid);
    }
    if let (Some(gid), Some(_)) = (ids.gid, request.gid) {
        credentials.gid = gid;
        credentials.groups.clear();
    }
    *home = found.and_then(|user| user.home);
    Ok(())
}

/// Applies the credentials of the container, or of another user of it.
fn apply_credentials(
    request: &Request,
    opened: &Opened,
    container_credentials: ContainerCredentials,
    environment: &mut Option<Environment>,
) -> Result<()> {
    if let (Some(score), Some(own)) = (&container_credentials.oom_score_adj, &opened.own) {
        own.write("oom_score_adj", score).context("cannot set oom_score_adj")?;
    }
    add_home(environment.get_or_insert_default(), container_credentials.home, request.user.is_some());
    container_credentials.credentials.take(container_credentials.filter, container_credentials.groups_denied)
}

/// Sets HOME and TERM as runtimes do: HOME is the user's home directory unless the container was started with another.
/// TERM is the caller's, because the terminal is.
fn add_home(environment: &mut Environment, home: Option<Vec<u8>>, another: bool) {
    if another || !has_variable(environment, "HOME") {
        let home = home.unwrap_or_else(|| b"/".to_vec());
        set_variable(environment, "HOME", OsStr::from_bytes(&home));
    }
    if has_variable(environment, "TERM") {
        return; // that of the caller is not even copied
    }
    if let Some(term) = std::env::var_os("TERM") {
        set_variable(environment, "TERM", &term);
    }
}

fn has_variable(environment: &Environment, name: &str) -> bool {
    environment.iter().any(|entry| names(entry, name))
}

fn set_variable(environment: &mut Environment, name: &str, value: &OsStr) {
    environment.retain(|entry| !names(entry, name));
    environment.push(OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat()));
}

fn names(entry: &OsStr, name: &str) -> bool {
    entry.as_bytes().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
}

/// The contents of a file, or nothing if it cannot be read.
fn text_of(file: std::io::Result<File>) -> Vec<u8> {
    let mut text = Vec::new();
    match file.and_then(|file| file.take(8 << 20).read_to_end(&mut text)) {
        Ok(_) => text,
        Err(_) => Vec::new(),
    }
}

/// The program's working directory must be inside its root, unless the caller named one outside (`--wd=DIR`).
fn change_directory(request: &Request, opened: &Opened) -> Result<()> {
    let mut wd = opened.wd.as_ref().map(OwnedFd::try_clone).transpose()?;
    let mut from_caller = false;
    if let Some(root) = &opened.root {
        if wd.is_none() && request.wdns.is_none() {
            wd = Some(ns::open_file(Path::new("."))?);
            from_caller = true;
        }
        fchdir(root).context("change directory by root file descriptor failed")?;
        chroot(".").with_context(|| refused("chroot failed", Operation::Chroot { entering: true }))?;
        if request.enters_files() {
            ns::enters_files_of_others();
        }
        chdir("/").context("cannot change directory to /")?;
    }
    if let Some(Some(path)) = &request.wdns {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let failed = "cannot open current working directory";
        wd = Some(open(Path::new(path), flags, Mode::empty()).context(failed)?);
    }
    let Some(wd) = wd else { return Ok(()) };
    fchdir(&wd).context("change directory by working directory file descriptor failed")?;
    let named_outside = matches!(request.wd, Directory::Open(_));
    match harden::inside() {
        _ if named_outside || !request.enters_files() => Ok(()),
        Ok(_) => Ok(()),
        Err(_) if from_caller => chdir("/").context("cannot change directory to /"),
        Err(error) => {
            chdir("/").context("cannot change directory to /")?;
            let shown = match &request.wdns {
                Some(Some(path)) => text::shown(path).into_owned(),
                _ => "the directory of the target".to_owned(),
            };
            Err(error.context(format!("cannot work in {shown}")))
        }
    }
}

/// The ids that the program runs with.
#[derive(Clone, Copy)]
pub(super) struct Credentials {
    /// A user namespace is entered, and the program becomes root in it.
    enters: bool,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// What to do if the ids cannot be taken.
    remedy: &'static str,
}

impl Credentials {
    pub(super) fn resolve(request: &Request, opened: &Opened) -> Credentials {
        let enters = opened.user_ns && !request.preserve_credentials && !request.as_container;
        let number = |id: Option<Id>, owner: u32| match id {
            Some(Id::Number(number)) => Some(number),
            Some(Id::Follow) => Some(owner),
            None => enters.then_some(0),
        };
        Credentials {
            enters,
            uid: number(request.uid, opened.owner.0),
            gid: number(request.gid, opened.owner.1),
            remedy: match (request.uid, request.gid) {
                (None, None) => "keep the caller's ids: --preserve-credentials",
                _ if opened.user_ns => {
                    "leave --setuid and --setgid out, and keep the caller's ids: --preserve-credentials"
                }
                _ => "leave --setuid and --setgid out",
            },
        }
    }

    fn apply(&self, groups_dropped: bool, before: Option<&Arc<Before>>) -> Result<()> {
        let of_id = |which, id| Operation::Id { which, id, before: before.cloned(), remedy: self.remedy };
        if let Some(gid) = self.gid {
            match nix::unistd::setgroups(&[]) {
                Err(errno) if !groups_dropped => {
                    let operation =
                        Operation::Groups { denied: false, before: before.cloned(), remedy: self.remedy };
                    return Err(errno).with_context(|| refused("setgroups failed", operation));
                }
                _ => {}
            }
            setgid(Gid::from_raw(gid))
                .with_context(|| refused("setgid() failed", of_id(Which::Groups, gid)))?;
        }
        if let Some(uid) = self.uid {
            setuid(Uid::from_raw(uid))
                .with_context(|| refused("setuid() failed", of_id(Which::Users, uid)))?;
        }
        // A change of ids may make the kernel reset the dumpable flag.
        harden::hide()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(entries: &[&str]) -> Environment {
        entries.iter().map(OsString::from).collect()
    }

    #[test]
    fn variables_are_replaced_by_their_whole_name() {
        let mut some = environment(&["HOME=/a", "HOMEX=1", "HOME=/b"]);
        assert!(has_variable(&some, "HOME") && !has_variable(&some, "HOM"));
        set_variable(&mut some, "HOME", OsStr::new("/c"));
        assert_eq!(some, ["HOMEX=1", "HOME=/c"]);
    }

    #[test]
    fn home_of_the_container_stays_unless_another_user_is_named() {
        let user = || Some(b"/srv".to_vec());
        let home = |entries: &[&str], user: Option<Vec<u8>>, another| {
            let mut some = environment(entries);
            add_home(&mut some, user, another);
            some.into_iter().find(|entry| names(entry, "HOME")).expect("a home")
        };
        assert_eq!(home(&["HOME=/x"], user(), false), "HOME=/x");
        assert_eq!(home(&["HOME=/x"], user(), true), "HOME=/srv");
        assert_eq!(home(&[], user(), false), "HOME=/srv");
        assert_eq!(home(&[], None, false), "HOME=/");
    }
}
