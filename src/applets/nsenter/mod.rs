//! `nsenter` enters namespaces of another process and runs a program there, by default a login shell. It is
//! the `nsenter` of util-linux with more: the target may be a container, the program may run as the container
//! runs, or with the host's tools beside it, and nothing of us is left for a hostile container to take.
//!
//! TARGET is a PID; a PID and the inode of its pidfd (`PID:INODE`), which no later process can have; or a
//! container that runs on this host: by its name, by `RUNTIME:NAME` as ctr-ps(1) prints it, by the first
//! digits of its id, four at least, by `NAMESPACE/POD` or by `compose:PROJECT/SERVICE`. The namespaces are those
//! of the container's first process, or of the process with the PID 17 in it when `@17` follows (`web@17`). Names come
//! from files on disk; no daemon is asked, so it works when they are stopped or hang. A name that two
//! containers share is refused, with the names that tell them apart; but root's is meant before a user's, and
//! the host's before one inside of a container.
//!
//! A container that no state file confirms is shown by ctr-ps(1) with a question mark. Any user with a delegated
//! control group can make one like that. nsenter enters it only if the question mark is part of TARGET
//! (`-t 'docker:0123456789ab?'`, with quotes, as `?` is a pattern of the shell); otherwise it says what is
//! unverified and exits with status 1. To an ordinary user who cannot read root's state files, root's containers
//! are unverified. If several control groups have the name of an unverified container, nsenter lists the PIDs of
//! their first processes and enters none. When a container belongs to a user who is neither the caller nor root,
//! a line on standard error says to whom. A PID is entered without any of this.
//!
//! Without a program nsenter runs the shell that `$SHELL` names, else the one of /etc/passwd as it is seen
//! in the entered namespaces, else /bin/sh.
//!
//! Options act in the order given. A namespace may be named by a file (`--net=/run/netns/blue`), or since
//! Linux 6.19 by its id (`--net=:ID`; a path that begins with a colon needs `./` before it), and then needs no
//! target. Namespaces are entered with the privileges we have as far as they reach, then the user
//! namespace, then the rest. Unless the user namespace is left out or `--preserve-credentials` is given, the
//! program runs as user and group 0 of it.
//!
//! With `--new-tty` the program gets a terminal of its own and none of ours reaches it: it cannot type into
//! ours or read from it. It leads a session there; what is typed, what is shown and the size of the window are
//! passed on, and our terminal is as it was when nsenter ends or stops. (SIGKILL alone leaves it raw: type
//! `stty sane`.) The terminal is made in the entered mount namespace where that can be, so that programs find
//! it by name. Those of stdin, stdout and stderr that are no terminal stay as they are; when none is one, the
//! program's terminal takes the place of all, fed from stdin and shown on stdout.
//!
//! When a pid namespace is entered the program runs as a child, so that it is a member of it. nsenter then
//! waits, stops and continues with the child, and ends as it does.
//!
//! # As the container runs
//!
//! Namespaces are half of a container. A program that is only moved into them has all capabilities of root
//! outside. `--as-container` makes it what a program is that the runtime itself adds: it takes from the target
//! user, group and groups, the sets of capabilities, no_new_privs, the label of AppArmor or SELinux, the control
//! groups, oom_score_adj, environment, working directory and root directory. HOME is set from the container's
//! /etc/passwd if the environment has none, and TERM is ours. Without any option that names a namespace it
//! means `--all` as well.
//!
//! The seccomp filter is made anew from the profile that the runtime wrote down (Docker, containerd,
//! Kubernetes, Podman). Where there is none, or more than one, or it has what cannot be made anew, nsenter says
//! so in a warning and the program runs without it.
//!
//! `--as USER` does the same as another user of the container: USER or `USER:GROUP`, names or numbers, by its own
//! /etc/passwd and /etc/group. Its user 0 has the capabilities that the container may have at most, others have
//! none.
//!
//! # Without tools inside
//!
//! `--host-root` enters the namespaces that are asked for, but stays with the host's files and programs. The
//! container's root directory is seen at DIR, by default /run/ctrbox/root, which the variable CTR_ROOT names;
//! /proc is that of the container's pid namespace. Both are mounted for the program alone: neither host nor
//! container sees them, and they are gone when it ends. Where DIR is not there, nothing is made on the host: the
//! directory above is covered with a copy that has it. With `--host-root` root enters no user namespace
//! unless it is named (`--user`), because processes of the container may look into a program that is no
//! more than root of the container, and by its /proc/PID/root have the host's files. It needs Linux 5.2.
//!
//! `--mount-proc` mounts the right /proc alone, for a pid namespace that is entered: in a copy of the mount
//! namespace that only the program is in. With `--as-container` that is the proc which is mounted there already,
//! without what covers parts of it.
//!
//! `--host-root`, and `--mount-proc` without the container's files, are safe when no process that sees the
//! program can trace it. With the pid namespace (`-p`, `-a`) nsenter looks at each process of that namespace and
//! of those between it and the caller's: one with CAP_SYS_PTRACE in its bounding or permitted set, in the user
//! namespace of the program or one above it, could open /proc/PID/root. Then nsenter refuses. Leave the pid
//! namespace out in that case (`-n`, `-i`, `-u` and so on in place of `-a`): no process of the container sees the
//! program then. A process with more rights that enters the container later is not known to nsenter. `--force`
//! does it all the same, and turns off the check of `--env` too (see below).
//!
//! Plain `-p` without `-m` or `-r` has the same danger and is not refused, as scripts use it: the program keeps
//! the host's root, and a container with CAP_SYS_PTRACE can reach it while the program runs.
//!
//! `--applet` runs an applet of ctrbox, with no file of it in the container: the program and its arguments are
//! those of the applet. It is executed from a sealed copy in memory. ctr-ps(1) needs a /proc; in a
//! container without one `--mount-proc` gives it that, if there is a directory to mount it on.
//!
//! # Next to hostile containers
//!
//! The target is held by a pidfd from the start, and what was opened by its PID counts only if it still runs
//! after that. While nsenter enters, no process can trace it or see its files by /proc, except root outside. (A
//! container with CAP_SYS_PTRACE in the caller's user namespace is no exception: it does not see that process.)
//!
//! When a pid namespace is entered, the program's process is seen in it from its birth. It is the last that is
//! made: from its birth it has the descriptors 0, 1, 2 and those of `--pass-fds`, the root and the working
//! directory of the program, and no more capabilities than execve(2) leaves the program. With `--env`,
//! `--as-container` and `--as` its memory holds nothing of the caller's environment. `--applet` adds one
//! descriptor, of a sealed copy of ctrbox, that is read-only and closed on exec. Where the target is in the
//! caller's own pid namespace, its processes see all this from the start.
//!
//! With `--mount-proc` and fewer rights for the program, the process that mounts a new proc has the caller's
//! capabilities for that moment. nsenter does so only where no process of the container could trace it.
//!
//! When a mount namespace is entered or another root set, nsenter runs from a read-only view of its own file, or a
//! sealed copy in memory, so that a program inside that leads back to /proc/self/exe finds nothing to overwrite.
//! The working directory is then checked to be inside the new root, whatever links led to it. (A directory that
//! is named with `--wd=DIR` is opened outside, and stays a way out: that is what it is for.) PATH is searched
//! inside.
//!
//! A program that is the container's or that its processes can see (`--mount`, `--pid`, `--user`, `--root`)
//! gets the file descriptors 0, 1 and 2 and no others. `--pass-fds` names those it is to have: `3`, `3,5`, `3-7`.
//!
//! `--env` is refused when the program is one of the host's files and a variable of the target would choose which
//! files of the host are executed: PATH and SHELL with unusual values, LD_PRELOAD, BASH_ENV, PYTHONPATH and such.
//! So it is with a target that has files of its own which are not entered, and with a process of another user or in
//! another user namespace that has the caller's files. An environment of more than 6 MB is refused too.
//!
//! Control groups are joined only with `--join-cgroup` or `--as-container`, and only by the program, not by
//! the nsenter that waits. So a container whose limit of processes or memory is used up can be entered still.
//!
//! # Hints
//!
//! When the kernel refuses something, its reason is looked for and said with the remedy in a line after the
//! message that begins with `hint:`: a limit, a setting of the host, a missing capability, a filter, a mount. That is for
//! people, so it is done where standard error is a terminal. With `CTRBOX_HINTS=always` in the environment it
//! is done everywhere, with `CTRBOX_HINTS=never` nowhere. What is not certain begins with `perhaps`.
//!
//! # Exit status
//!
//! That of the program; when a signal killed it, nsenter dies of the same signal. 127 if the program is not
//! found, 126 if it cannot be executed, 1 if nsenter fails.
//!
//! # Examples
//!
//! The addresses of the container `web`, with the host's ip(8):
//!
//! ```text
//! nsenter -t web -n ip addr
//! ```
//!
//! A shell in the Docker container `db`, although Podman has one of that name too:
//!
//! ```text
//! nsenter -t docker:db -a
//! ```
//!
//! A shell as the container runs, or as one of its users:
//!
//! ```text
//! nsenter -t web --as-container sh
//! nsenter -t web --as www-data sh
//! ```
//!
//! A debugger, an editor and a list of processes for a container that has none of these:
//!
//! ```text
//! nsenter -t web -a --host-root gdb -p 1
//! nsenter -t web -a --host-root sh -c 'vi $CTR_ROOT/etc/app.conf'
//! nsenter -t web -a --applet ctr-ps --forest
//! nsenter -t web -p --mount-proc ps aux
//! ```
//!
//! # See also
//!
//! ctr-ps(1), namespaces(7), setns(2), unshare(1)

mod act;
mod child;
mod entry;
mod environ;
mod lookup;
mod open;
mod options;
mod plan;

use std::ffi::{CString, OsStr, OsString};

use nix::sys::prctl;

use crate::cli::{Call, Effect, Grammar, Opt, set};
use crate::exit::{Exit, Outcome};
use crate::launch::{exec, self_exe};
use crate::proc::ns::Kind;
use options::{gid, host_root, mount_proc, pass_fds, root, socket, target, uid, user, wd, wdns};
use plan::Request;

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] [program [argument...]]",
    stops_at_operand: true,
    options: &[
        Opt::new(Some('a'), "all", "enter all namespaces of the target", Effect::Flag(|r| set(&mut r.all))),
        Opt::new(
            Some('t'),
            "target",
            "process or container to take namespaces from",
            Effect::Required(target),
        )
        .takes("target"),
        kind('m', "mount", "enter the mount namespace", |r, v| r.namespace(Kind::Mnt, v)),
        kind('u', "uts", "enter the UTS namespace (host name)", |r, v| r.namespace(Kind::Uts, v)),
        kind('i', "ipc", "enter the System V IPC namespace", |r, v| r.namespace(Kind::Ipc, v)),
        kind('n', "net", "enter the network namespace", |r, v| r.namespace(Kind::Net, v)),
        Opt::new(
            Some('N'),
            "net-socket",
            "enter the network namespace of the target's socket",
            Effect::Required(socket),
        )
        .takes("fd"),
        kind('p', "pid", "enter the pid namespace", |r, v| r.namespace(Kind::Pid, v)),
        kind('C', "cgroup", "enter the cgroup namespace", |r, v| r.namespace(Kind::Cgroup, v)),
        kind('U', "user", "enter the user namespace", |r, v| r.namespace(Kind::User, v)),
        Opt::new(
            None,
            "user-parent",
            "enter the parent of the user namespace",
            Effect::Flag(|r| set(&mut r.user_parent)),
        ),
        kind('T', "time", "enter the time namespace", |r, v| r.namespace(Kind::Time, v)),
        Opt::new(
            Some('S'),
            "setuid",
            "set the user id inside, or follow the target's",
            Effect::Required(uid),
        )
        .takes("uid"),
        Opt::new(
            Some('G'),
            "setgid",
            "set the group id inside, or follow the target's",
            Effect::Required(gid),
        )
        .takes("gid"),
        Opt::new(
            None,
            "preserve-credentials",
            "do not touch user and group ids",
            Effect::Flag(|r| set(&mut r.preserve_credentials)),
        ),
        Opt::new(
            None,
            "keep-caps",
            "retain capabilities granted in the user namespace",
            Effect::Flag(|r| set(&mut r.keep_caps)),
        ),
        directory('r', "root", "set the root directory", root),
        directory('w', "wd", "set the working directory", wd),
        directory('W', "wdns", "set the working directory, as seen inside", wdns),
        Opt::new(
            Some('e'),
            "env",
            "take the environment of the target",
            Effect::Flag(|r| set(&mut r.environment)),
        ),
        Opt::new(
            Some('F'),
            "no-fork",
            "do not fork before executing the program",
            Effect::Flag(|r| set(&mut r.no_fork)),
        ),
        Opt::new(
            None,
            "new-tty",
            "run the program on a terminal of its own",
            Effect::Flag(|r: &mut Request| set(&mut r.new_tty)),
        )
        .added(),
        Opt::new(
            Some('c'),
            "join-cgroup",
            "join the control groups of the target",
            Effect::Flag(|r| set(&mut r.join_cgroup)),
        ),
        Opt::new(
            Some('Z'),
            "follow-context",
            "take the SELinux context of the target",
            Effect::Flag(|r| set(&mut r.follow_context)),
        ),
        Opt::new(
            None,
            "as-container",
            "run as the container's first process does: ids, capabilities, filters, groups",
            Effect::Flag(|r: &mut Request| set(&mut r.as_container)),
        )
        .added(),
        Opt::new(
            None,
            "as",
            "run as another user of the container: USER or USER:GROUP, names or numbers",
            Effect::Required(user),
        )
        .takes("user")
        .added(),
        Opt::new(
            None,
            "host-root",
            "keep the host's files; the container's root is at dir (/run/ctrbox/root)",
            Effect::Optional(host_root),
        )
        .takes("dir")
        .added(),
        Opt::new(
            None,
            "mount-proc",
            "mount the proc of the entered pid namespace at dir (/proc), for the program alone",
            Effect::Optional(mount_proc),
        )
        .takes("dir")
        .added(),
        Opt::new(
            None,
            "applet",
            "the program is an applet of ctrbox, which need not be in the container",
            Effect::Flag(|r: &mut Request| set(&mut r.applet)),
        )
        .added(),
        Opt::new(
            None,
            "pass-fds",
            "file descriptors that the program gets besides 0, 1 and 2",
            Effect::Required(pass_fds),
        )
        .takes("list")
        .added(),
        Opt::new(
            None,
            "force",
            "do what is refused because a process of the container could take hold of the program",
            Effect::Flag(|r: &mut Request| set(&mut r.force)),
        )
        .added(),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[
        ("all", "Target and namespaces"),
        ("setuid", "Ids and capabilities"),
        ("root", "Files, directories and environment"),
        ("no-fork", "Process and terminal"),
        ("join-cgroup", "As the container"),
        ("host-root", "Host programs and safety"),
        ("help", "Other options"),
    ],
};

pub(crate) fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let program = GRAMMAR.parse(call, &mut request)?;
    request.settle(&program)?;
    if request.enters_files() {
        if self_exe::exposed() {
            return Err(run_shielded(call));
        }
        // What was executed by a descriptor has the descriptor's number for a name.
        if let Ok(name) = CString::new(call.name) {
            _ = prctl::set_name(&name);
        }
    }
    act::act(call.name, &request, &program)
}

/// Begins again, from a file that nobody in the container can write to. Options have been found to be right;
/// what they opened is closed by that, and opened once more.
fn run_shielded(call: &Call) -> Exit {
    let image = match self_exe::shielded() {
        Ok(image) => image,
        Err(error) => return error.into(),
    };
    let argv: Vec<OsString> = [&call.argv0].into_iter().chain(&call.args).cloned().collect();
    exec::exec_file(&image, &argv, None)
}

#[must_use]
pub(crate) fn options(name: &'static str, about: &'static str) -> clap::Command {
    GRAMMAR.command(name, about)
}

type Valued = fn(&mut Request, Option<&OsStr>) -> Result<(), Exit>;

const fn kind(letter: char, long: &'static str, help: &'static str, effect: Valued) -> Opt<Request> {
    Opt::new(Some(letter), long, help, Effect::Optional(effect)).takes("file")
}

const fn directory(letter: char, long: &'static str, help: &'static str, effect: Valued) -> Opt<Request> {
    Opt::new(Some(letter), long, help, Effect::Optional(effect)).takes("dir")
}
