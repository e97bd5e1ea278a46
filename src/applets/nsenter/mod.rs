//! `nsenter` enters namespaces of another process and runs a program there, by default a login shell. It takes the
//! options of the `nsenter` of util-linux and adds to them: the target may be a container, the program may run with
//! the container's credentials and limits, or with the host's files and programs. It exposes no host descriptor,
//! binary or memory to the container.
//!
//! TARGET is a PID; a PID with the inode of its pidfd (`PID:INODE`), which no later process can have; or a
//! container that runs on this host. A container is given by its name, by `RUNTIME:NAME` as ctr-ps(1) prints it, by
//! the first digits of its id (at least four), by `NAMESPACE/POD`, by the name of a pod of Podman or by
//! `compose:PROJECT/SERVICE`. nsenter enters the namespaces of the container's first process. With `@17` after the
//! container (`web@17`) it enters those of the process that has the PID 17 in the container; after a pod, if one
//! process of the pod has that PID. A number is always a PID: for a container whose name is a number, write
//! `RUNTIME:NAME`, as in `docker:361`.
//!
//! nsenter finds names in files on disk. It asks no daemon, so it works when a daemon is stopped or hangs. When
//! several containers share a name, root's win over users', and the host's over those nested in a container. When
//! that leaves more than one, nsenter refuses the name and lists names that are unambiguous.
//!
//! If no state file confirms a container, ctr-ps(1) shows it with a question mark. Any user with a delegated
//! control group can make such a container. nsenter enters it only if the question mark is part of TARGET
//! (`-t 'docker:0123456789ab?'`; quote it, because `?` is a pattern of the shell). Otherwise nsenter reports what
//! is unverified and exits with status 1. An ordinary user cannot read root's state files, so root's containers are
//! unverified for them. If several control groups have the name of an unverified container, nsenter lists the PIDs
//! of their first processes and enters none. If a container belongs to a user other than root and the caller,
//! nsenter names that user on standard error. None of these checks applies to a PID.
//!
//! Without a program nsenter runs the shell in `$SHELL`. If that is not set, it runs the shell that /etc/passwd has
//! for the user, as seen in the entered namespaces, or else /bin/sh. It does the same if another mount namespace or
//! root directory is entered (`-m`, `-a`, `-r`) and `$SHELL` does not exist there. A shell that refuses logins
//! (nologin, false) is passed over there.
//!
//! Options act in the order given. A namespace may be given as a file (`--net=/run/netns/blue`) or, since Linux
//! 6.19, by its id (`--net=:ID`). No target is needed then. A path that begins with a colon needs `./` before it.
//! nsenter enters as many namespaces as the caller's privileges allow, then the user namespace, then the rest. When
//! it enters a user namespace, the program runs as user and group 0 of that namespace, unless
//! `--preserve-credentials` is given.
//!
//! With `--new-tty` the program gets a new terminal and no access to the caller's terminal: it cannot read from it
//! or type into it. The program leads a session on the new terminal. nsenter passes on input, output and the size
//! of the window. It restores the caller's terminal when it ends or stops. (After SIGKILL the terminal stays raw:
//! type `stty sane`.) Where possible, the new terminal is made in the entered mount namespace, so that programs
//! find it by name. It replaces those of stdin, stdout and stderr that are terminals; the others stay as they are.
//! When none is a terminal, it replaces all three, and nsenter copies stdin to it and its output to stdout.
//!
//! When nsenter enters a pid namespace, it runs the program as a child, because only a child becomes a member of
//! that namespace. nsenter waits for the child, stops and continues with it, and exits as it does.
//!
//! # As the container runs
//!
//! A program that only enters the namespaces keeps all capabilities of root on the host.
//! `--as-container` gives the program the attributes of a program that the runtime starts in the container. They
//! are those of the target: user, group and supplementary groups, capability sets, no_new_privs, the label of
//! AppArmor or SELinux, control groups, oom_score_adj, environment, working directory and root directory. If the
//! environment has no HOME, nsenter sets it from the container's /etc/passwd; if it has no TERM, nsenter sets the
//! caller's. Without any option that names a namespace, `--as-container` implies `--all`.
//!
//! nsenter rebuilds the seccomp filter from the profile in the runtime's state (Docker, containerd, Kubernetes,
//! Podman). When it finds no profile, or cannot rebuild the profile, it prints a warning and the program runs
//! without the filter. When the target has several filters, it prints a warning and the program runs with the
//! runtime's filter only.
//!
//! If a control group of the target is frozen (`docker pause`), a program in it starts only when the group is thawed.
//! So `--as-container` and `--join-cgroup` refuse to join it; with `--force` nsenter waits, and says for which group.
//! `-a` enters a frozen container without joining its groups.
//!
//! `--as USER` does the same for another user of the container. USER or `USER:GROUP` are names or numbers, from the
//! container's /etc/passwd and /etc/group. User 0 gets the capabilities of the container's bounding set; other
//! users get none.
//!
//! # Without tools inside
//!
//! `--host-root` enters the requested namespaces, but keeps the host's files and programs. The container's root
//! directory is mounted at DIR, by default /run/ctrbox/root. The variable CTR_ROOT contains this path. /proc is
//! that of the container's pid namespace. Both mounts exist for the program alone: neither host nor container sees
//! them, and they disappear when the program ends. If DIR does not exist, nsenter makes nothing on the host: it
//! covers the nearest directory above DIR with a copy that contains DIR.
//!
//! With `--host-root`, root enters no user namespace unless `--user` is given. Processes of the container can trace
//! a program that is only root of the container, and can reach the host's files through its /proc/PID/root.
//! `--host-root` needs Linux 5.2.
//!
//! `--dns` keeps the host's files too, and gives the program the names that the container sees:
//! `nsenter -t web -n --dns curl http://db:8080`. The program finds copies of the container's /etc/resolv.conf and
//! /etc/hosts in place of the host's, and the host's /etc/nsswitch.conf with the order in which the container looks for
//! hosts. Only `files` and `dns` of that order count, because other services are libraries or daemons of the host; so
//! nscd(8) of the host is hidden. A file that the container lacks is empty. The copies are in a mount namespace that
//! only the program is in. `--dns` needs the network namespace (`-n`) of a target and Linux 5.2, and cannot be combined
//! with the container's files (`-m`, `-r`); with `--host-root` it can. If a file is not a regular file, has more than
//! 1 MB, or cannot be read in time, nsenter refuses.
//!
//! `--mount-proc` mounts only the /proc of the entered pid namespace, in a copy of the mount namespace that only
//! the program is in. With `--as-container` it takes the proc that the container has mounted already, without the
//! mounts that cover parts of it.
//!
//! `--host-root`, and `--mount-proc` or `--dns` without the container's files, are safe when no process that sees the program
//! can trace it. If the pid namespace is entered (`-p`, `-a`), nsenter checks each process of that namespace and of
//! those between it and the caller's. A process that has CAP_SYS_PTRACE in its bounding or permitted set, in the
//! user namespace of the program or one above it, could open /proc/PID/root. nsenter then refuses to run the
//! program. In this case, leave the pid namespace out (`-n`, `-i`, `-u` and so on in place of `-a`): then no
//! process of the container sees the program. nsenter does not know about a process with more rights that enters
//! the container later. `--force` skips this check, the check of `--env` (see below) and that of frozen groups.
//!
//! Plain `-p` without `-m` or `-r` has the same risk. nsenter does not refuse it, because scripts use it. The
//! program keeps the host's root directory, and a container with CAP_SYS_PTRACE can reach it while the program
//! runs.
//!
//! `--applet` runs an applet of ctrbox. The program and its arguments are the name and the arguments of the applet.
//! The container needs no file of ctrbox: the applet is executed from a sealed copy in memory. ctr-ps(1) needs a
//! /proc. In a container without one, `--mount-proc` provides it, if there is a directory to mount it on.
//!
//! # Next to hostile containers
//!
//! nsenter holds the target by a pidfd from the start. It uses what it opened by PID only if the target still runs
//! afterwards. While nsenter enters, only root outside the container can trace it or see its files through /proc.
//! (A container with CAP_SYS_PTRACE in the caller's user namespace cannot do so either: it does not see that
//! process.)
//!
//! When nsenter enters a pid namespace, the program's process is visible in it from its creation. nsenter creates
//! this process last. From its creation the process has the descriptors 0, 1, 2 and those of `--pass-fds`, the root
//! and the working directory of the program, and no more capabilities than execve(2) leaves the program. With
//! `--env`, `--as-container` and `--as` its memory contains nothing of the caller's environment. `--applet` adds
//! one descriptor: a sealed copy of ctrbox, which is read-only and closed on exec. If the target is in the caller's
//! own pid namespace, its processes see all of these steps from the start.
//!
//! With `--mount-proc`, when the program gets fewer rights than the caller, the process that mounts a new proc has
//! the caller's capabilities during the mount. nsenter does this only if no process of the container could trace
//! that process.
//!
//! When nsenter enters a mount namespace or sets another root, it runs from a read-only view of its own file, or
//! from a sealed copy in memory. So a program in the container that is a link to /proc/self/exe cannot overwrite
//! the binary. nsenter then checks that the working directory is inside the new root, whatever links led to it. (A
//! directory that is given with `--wd=DIR` is opened outside and stays a way out of the root: this is its purpose.)
//! nsenter searches PATH in the new root.
//!
//! A program of the container, or one that its processes can see (`--mount`, `--pid`, `--user`, `--root`), gets the
//! file descriptors 0, 1 and 2 and no others. `--pass-fds` adds descriptors: `3`, `3,5`, `3-7`.
//!
//! nsenter refuses `--env` when the program is one of the host's files and a variable of the target would choose
//! which files of the host are executed: PATH and SHELL with unusual values, LD_PRELOAD, BASH_ENV, PYTHONPATH and
//! such. This applies to a target whose own files are not entered, and to a process that has the caller's files but
//! belongs to another user or another user namespace. nsenter also refuses an environment of more than 6 MB.
//!
//! nsenter joins control groups only with `--join-cgroup` or `--as-container`. Only the program joins them, not the
//! nsenter that waits. So a container that has reached its limit of processes or memory can still be entered.
//!
//! A process can block everybody who reads its files in /proc: its execve(2) does not end because a FUSE file system does
//! not answer, and the kernel is one that makes readers wait for that. nsenter enters namespaces of such a process
//! (`-n`, `-m`, ..., and for root since Linux 6.11 `-a`), but options that read its files (`-e`, `-r`, `-w`,
//! `--as-container`) fail after one second.
//!
//! # Hints
//!
//! When the kernel refuses an operation, nsenter looks for the reason: a limit, a setting of the host, a missing
//! capability, a filter, a mount. It prints the reason and the remedy after the message, in a line that begins with
//! `hint:`. A hint that is not certain begins with `perhaps`. Hints are for people, so they are printed only if
//! standard error is a terminal. With `CTRBOX_HINTS=always` in the environment they are always printed, with
//! `CTRBOX_HINTS=never` never.
//!
//! # Exit status
//!
//! The exit status of the program. If a signal killed the program, nsenter dies of the same signal. 127 if the
//! program is not found, 126 if it cannot be executed, 1 if nsenter fails.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `PATH`: where a program without a slash in its name is searched; /bin and /usr/bin if it is not set.
//! - `SHELL`: the program if none is given.
//! - `TERM`: with `--as-container` and `--as` the program gets the caller's TERM unless the container sets another.
//! - `CTR_ROOT`: set by `--host-root`: the directory of the container's root.
//!
//! # Files
//!
//! - `/proc`: /proc/PID/ns, /proc/PID/environ, /proc/PID/status and others of the target.
//! - State files of runtimes: the names of containers; ctrbox(1) lists the paths.
//! - `/etc/passwd`, `/etc/group`: in the entered mount namespace: the default shell, and the users of `--as`.
//! - `/etc/resolv.conf`, `/etc/hosts`, `/etc/nsswitch.conf`: with `--dns`, those of the container.
//! - `/run/ctrbox/root`: the default directory of `--host-root` for the root of the container.
//!
//! # Examples
//!
//! The addresses of the container `web`, with the host's ip(8):
//!
//! ```text
//! nsenter -t web -n ip addr
//! ```
//!
//! A shell in the Docker container `db`, when Podman has a container of that name too:
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
//! nsenter -t web -n --dns curl http://db:8080
//! nsenter -t web -a --applet ctr-ps --forest
//! nsenter -t web -p --mount-proc ps aux
//! ```
//!
//! # See also
//!
//! ctr-ps(1), namespaces(7), setns(2), unshare(1)

mod act;
mod as_container;
mod child;
mod dns;
mod entry;
mod environ;
mod inside;
mod lookup;
mod open;
mod options;
mod plan;

use std::ffi::{CString, OsStr, OsString};
use std::mem::ManuallyDrop;

use nix::sys::prctl;

use crate::cli::{Applet, Call, Effect, Grammar, Opt, set};
use crate::exit::{Exit, Outcome};
use crate::launch::{exec, self_exe};
use crate::proc::ns::Kind;
use options::{gid, host_root, mount_proc, pass_fds, root, socket, target, uid, user, wd, wdns};
use plan::Request;

pub(crate) static APPLET: Applet = Applet {
    name: "nsenter",
    section: 1,
    failure: 1,
    about: "run a program in the namespaces of a process or container",
    run,
    grammar: &GRAMMAR,
};

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
            "set the user id: a number, or follow to take the target's",
            Effect::Required(uid),
        )
        .takes("uid"),
        Opt::new(
            Some('G'),
            "setgid",
            "set the group id: a number, or follow to take the target's",
            Effect::Required(gid),
        )
        .takes("gid"),
        Opt::new(
            None,
            "preserve-credentials",
            "do not change user and group ids",
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
        directory('W', "wdns", "set the working directory, as seen in the entered namespaces", wdns),
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
            "run with the ids, capabilities, seccomp filter and control groups of the target",
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
            "keep the host's files; mount the container's root at dir (default /run/ctrbox/root)",
            Effect::Optional(host_root),
        )
        .takes("dir")
        .added(),
        Opt::new(
            None,
            "mount-proc",
            "mount proc of the entered pid namespace at dir (default /proc), for the program alone",
            Effect::Optional(mount_proc),
        )
        .takes("dir")
        .added(),
        Opt::new(
            None,
            "dns",
            "resolve names of hosts as the container does, with the host's files",
            Effect::Flag(|r: &mut Request| set(&mut r.dns)),
        )
        .added(),
        Opt::new(
            None,
            "applet",
            "run an applet of ctrbox, which need not exist in the container",
            Effect::Flag(|r: &mut Request| set(&mut r.applet)),
        )
        .added(),
        Opt::new(
            None,
            "pass-fds",
            "pass these file descriptors to the program besides 0, 1 and 2",
            Effect::Required(pass_fds),
        )
        .takes("list")
        .added(),
        Opt::new(
            None,
            "force",
            "skip the safety checks of --host-root, --mount-proc, --env and frozen groups",
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

fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let program = GRAMMAR.parse(call, &mut request)?;
    request.settle(&program)?;
    if request.enters_files() {
        if self_exe::exposed() {
            return Err(run_shielded(call));
        }
        // The name of a program that was executed by a descriptor is the descriptor's number.
        if let Ok(name) = CString::new(call.name) {
            _ = prctl::set_name(&name);
        }
    }
    // A child may have closed its descriptors by number.
    let request = ManuallyDrop::new(request);
    act::act(call.name, &request, &program)
}

/// Executes ctrbox again, from a file that no process in the container can write to. The options are valid by now.
/// What they opened is closed by the execution and opened again.
fn run_shielded(call: &Call) -> Exit {
    let image = match self_exe::shielded() {
        Ok(image) => image,
        Err(error) => return error.into(),
    };
    let argv: Vec<OsString> = [&call.argv0].into_iter().chain(&call.args).cloned().collect();
    exec::exec_file(&image, &argv, None)
}

type Valued = fn(&mut Request, Option<&OsStr>) -> Result<(), Exit>;

const fn kind(letter: char, long: &'static str, help: &'static str, effect: Valued) -> Opt<Request> {
    Opt::new(Some(letter), long, help, Effect::Optional(effect)).takes("file")
}

const fn directory(letter: char, long: &'static str, help: &'static str, effect: Valued) -> Opt<Request> {
    Opt::new(Some(letter), long, help, Effect::Optional(effect)).takes("dir")
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    dns::fuzz(data);
}
