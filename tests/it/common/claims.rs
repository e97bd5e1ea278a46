//! Helpers for the tests of unverified containers: a control group with the name of a container, and who asks for it.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::cgexec::{Name, controller};
use super::process::{Holder, copy_of_binary, limited};
use super::{Scratch, UNPRIVILEGED_UID, program, skip, stderr, stdout};

/// A control group `docker-ID.scope` with an ordinary user's process in it, without a state file of Docker.
pub struct Claim {
    pub holder: Holder,
    pub id: String,
    pub controller: &'static str,
    // Last, so that the process has ended before its group is removed.
    pub name: Name,
}

/// A process in a pid namespace of its own.
pub fn inhabitant() -> Holder {
    let uid = UNPRIVILEGED_UID.to_string();
    let options = ["-m", "-p", "-f", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"];
    Holder::new(&options, "")
}

/// An id that no container has. Tests run at the same time: each one has numbers of its own.
pub fn id(number: u8) -> String {
    format!("c{number:x}{:08x}{}", std::process::id(), "c1".repeat(27))
}

impl Claim {
    pub fn new(test: &str, number: u8) -> Option<Claim> {
        Some(Claim::of(controller(test)?, test, number, inhabitant()))
    }

    pub fn of(controller: &'static str, test: &str, number: u8, holder: Holder) -> Claim {
        let claim = Claim { holder, id: id(number), controller, name: Name::new(test) };
        claim.join(&claim.name, &claim.holder);
        claim
    }

    pub fn join(&self, name: &Name, holder: &Holder) {
        let group = name.make(self.controller, &format!("docker-{}.scope", self.id));
        std::fs::write(group.join("cgroup.procs"), holder.pid.to_string()).expect("moved");
    }

    pub fn short(&self) -> &str {
        &self.id[..12]
    }

    pub fn problem(&self) -> String {
        format!(
            "docker:{}? is unverified: no state file that can be read confirms it, and any user can give a control \
             group that name",
            self.short()
        )
    }

    pub fn refusal(&self, applet: &str, cpid: &str) -> String {
        let (problem, short) = (self.problem(), self.short());
        let form = format!("'docker:{short}?{cpid}'");
        format!("{applet}: {problem}; to enter it, type {form} with the quotes (the shell expands ?)\n")
    }

    /// Targets for it, with and without the `?`.
    pub fn words(&self) -> [(String, &'static str); 7] {
        let (id, short) = (&self.id, self.short());
        [
            (id.clone(), ""),
            (short.to_owned(), ""),
            (id[..10].to_owned(), ""),
            (format!("docker:{short}"), ""),
            (format!("docker:{id}"), ""),
            (format!("docker:{short}"), "@1"),
            (short.to_owned(), "@1"),
        ]
    }
}

/// Root, and an ordinary user with a copy of the binary.
pub struct Callers {
    scratch: Scratch,
}

impl Callers {
    pub fn new(test: &str) -> Callers {
        let callers = Callers { scratch: Scratch::new(test) };
        copy_of_binary(&callers.binary());
        callers
    }

    pub fn binary(&self) -> PathBuf {
        self.scratch.0.join("ctrbox")
    }

    pub fn each(&self, applet: &str) -> [Command; 2] {
        let command = || {
            let mut command = program(self.binary().to_str().expect("a plain path"));
            command.arg(applet).current_dir("/");
            command
        };
        let mut ordinary = command();
        ordinary.uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
        [command(), ordinary]
    }

    pub fn root(&self, applet: &str) -> Command {
        let [root, _] = self.each(applet);
        root
    }
}

/// Status, stdout and stderr.
pub fn ran(command: &mut Command) -> (Option<i32>, String, String) {
    let output = limited(command);
    (output.status.code(), stdout(&output), stderr(&output))
}

/// The namespaces of a container that an ordinary user has started; None if they may not start one.
pub fn of_an_ordinary_user(test: &str) -> Option<Holder> {
    let made =
        limited(program("unshare").args(["-U", "-r", "true"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID));
    if !made.status.success() {
        skip(test, "ordinary users may not make user namespaces here");
        return None;
    }
    let mut unshare = program("unshare");
    unshare.args(["-U", "-r", "-m", "-p", "-f"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
    Some(Holder::by(&mut unshare, ""))
}
