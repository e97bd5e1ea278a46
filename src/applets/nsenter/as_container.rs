//! What `--as-container` applies: credentials, seccomp filter and security label of the target.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;

use super::lookup::in_child;
use super::plan::Request;
use crate::container::profile::ProfileFiles;
use crate::container::{Container, Files, IdentifiedBy, Resolver, Tag};
use crate::exit;
use crate::isolation::ns;
use crate::isolation::seccomp::Filter;
use crate::launch::credentials::{ProcessCredentials, label_to_write};
use crate::proc::{ProcRoot, Status};

/// The credentials that `--as-container` applies.
pub(super) struct ContainerCredentials {
    pub credentials: ProcessCredentials,
    /// setgroups(2) is denied in its user namespace.
    pub groups_denied: bool,
    pub filter: Option<Filter>,
    /// The user's home directory inside.
    pub home: Option<Vec<u8>>,
    pub oom_score_adj: Option<Vec<u8>>,
}

pub(super) fn selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// The label of the target, and the file that sets it for the program. None if no security module has labels.
pub(super) fn label(proc: &ProcRoot, pid: Pid) -> Result<Option<(&'static str, Vec<u8>)>> {
    let cannot = "cannot read the security label of the target";
    if selinux() {
        let current = proc.process(pid).label().context(cannot)?;
        return Ok(label_to_write(&current, false).map(|label| ("attr/exec", label)));
    }
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    if !enabled.is_ok_and(|text| text.starts_with(b"Y")) {
        return Ok(None);
    }
    // Since Linux 5.1 each module has a directory of its own.
    let (read, write) = match proc.own("attr/apparmor").exists() {
        true => ("attr/apparmor/current", "attr/apparmor/exec"),
        false => ("attr/current", "attr/exec"),
    };
    let current = proc.read(pid, read).context(cannot)?;
    Ok(label_to_write(&current, true).map(|label| (write, label)))
}

/// The credentials of the target. If its user namespace is entered, the ids are those inside.
pub(super) fn container_credentials(
    name: &str,
    proc: &ProcRoot,
    request: &Request,
    (pid, profile): (Pid, Option<ProfileFiles>),
    user_ns: bool,
) -> Result<ContainerCredentials> {
    let read = |file: &str| {
        proc.read(pid, file).with_context(|| format!("cannot read {}", proc.path_of(pid, file).display()))
    };
    let mut credentials = ProcessCredentials::parse(&read("status")?).ok_or_else(|| {
        anyhow!("{} does not contain the credentials of the process", proc.path_of(pid, "status").display())
    })?;
    let mut groups_denied = false;
    if user_ns {
        credentials.translate(&read("uid_map")?, &read("gid_map")?)?;
        groups_denied = read("setgroups")?.starts_with(b"deny");
    } else if !ns::same_user_ns(proc, pid)? {
        // Its capabilities are valid only in its user namespace. Here they would be capabilities on the host.
        bail!("--as-container needs the target's user namespace too (add --user, or name no namespace)");
    }
    let filters = credentials.filters;
    let filter = in_child(proc, request, || {
        Ok(filter(name, proc, (pid, profile.as_ref()), filters).unwrap_or_else(|reason| {
            exit::warn(
                name,
                &format!("warning: the program runs without the container's seccomp filter: {reason}"),
            );
            None
        }))
    })?;
    let oom = read("oom_score_adj")?;
    let own = std::fs::read(proc.own("oom_score_adj")).unwrap_or_default();
    Ok(ContainerCredentials {
        credentials,
        groups_denied,
        filter,
        home: None,
        oom_score_adj: (oom != own).then_some(oom),
    })
}

/// The target's seccomp filter, rebuilt from the profile in its runtime's state. Err: why it cannot be rebuilt.
fn filter(
    name: &str,
    proc: &ProcRoot,
    (pid, profile): (Pid, Option<&ProfileFiles>),
    filters: u32,
) -> Result<Option<Filter>, String> {
    match filters {
        0 => return Ok(None),
        1 => {}
        // The runtime's filter is the first. A filter that a process adds can only forbid more.
        several => exit::warn(
            name,
            &format!(
                "warning: the target has {several} seccomp filters; the program runs with the runtime's filter only"
            ),
        ),
    }
    let unknown = || "no state file of a runtime contains its profile".to_owned();
    let files = Files::new(Path::new("/")).map_err(|error| crate::errno::chain(&error))?;
    let found = match profile {
        Some(profile) => profile.clone(),
        None => ProfileFiles::find(&files, &*container_of(proc, &files, pid)?.ok_or_else(unknown)?),
    };
    let profile = found.seccomp(&files).ok_or_else(unknown)?;
    let cannot = |what: String| format!("its profile has {what}, which cannot be rebuilt");
    Filter::build(&profile).map(Some).map_err(cannot)
}

/// The container of a process, if it is verified.
fn container_of(proc: &ProcRoot, files: &Files, pid: Pid) -> Result<Option<Rc<Container>>, String> {
    let mut resolver = Resolver::for_few(proc, files);
    let groups = proc.process(pid).cgroup().map_err(|error| crate::errno::cause(&error))?;
    let status = proc.process(pid).status_text().map_err(|error| crate::errno::cause(&error))?;
    let own_pid_ns = Status::parse(&status).nspid.len() > 1;
    let known = |tag: &Tag| matches!(tag.identified_by, IdentifiedBy::State | IdentifiedBy::Namespace);
    Ok(resolver.resolve(pid, &groups, own_pid_ns).filter(known).map(|tag| tag.container))
}
