//! What can be said of a process that is in no known container.

use std::io::ErrorKind;

use nix::unistd::Pid;

use crate::errno;
use crate::proc::ProcRoot;
use crate::proc::ns::Kind;

/// Is it in a pid namespace of its own, which shows without rights, so that it can be in a container that is not known?
/// Says why. `cpid`: its PID in its own pid namespace.
#[must_use]
pub(crate) fn can_be_in_container(proc: &ProcRoot, pid: i32, cpid: Option<i32>) -> Option<String> {
    cpid.filter(|cpid| *cpid != pid)?;
    let why = match proc.link(&proc.path_of(Pid::from_raw(pid), &Kind::Pid.link())) {
        Ok(_) => String::new(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            "; its container shows only to root, or with CAP_SYS_PTRACE".to_owned()
        }
        Err(error) => format!("; its namespaces cannot be read: {}", errno::cause(&error)),
    };
    Some(format!("has a pid namespace of its own{why}"))
}
