//! `ctr-ps` lists the processes of this host, each with the container it runs in. It knows the containers of
//! Docker, containerd, Kubernetes, Podman, LXC, systemd-nspawn and many more, of root and of ordinary users.
//! It asks no daemon. Control groups and namespaces show which container a process is in, and the runtimes'
//! state files on disk give the container's name. So it also works when a daemon is stopped or hangs.
//!
//! The default columns are USER, the effective user on the host; PID, the PID on the host; CPID, the PID in the
//! process's own pid namespace, which is the one in the container's logs; CONTAINER, as `RUNTIME:NAME`, or `-` for
//! a process of the host; and COMMAND, the command line, or the process's name in brackets if it has no arguments.
//! `-o` selects other columns (`-H` lists them); it takes the names of ps(1) too. `-f` selects the columns of `ps -ef`
//! and the container. `--security` selects the columns that show what a process may do. `-T` adds a line for each
//! thread that is not the first of its process, with its name in braces.
//!
//! An operand is a TARGET, as of `-c`: `ctr-ps web`. But `ax`, `axf`, `aux` and `auxf` mean what they mean to ps(1); a
//! container of such a name needs `-c`.
//!
//! `-l` lists the containers of all runtimes in one table. MEMORY is the memory in use, without the cache that the
//! kernel can reclaim at once. LIMIT is the lowest memory limit of the container's control group and the groups
//! above it. STATUS is what the container does and since when. Of a container that no runtime names (`anon:`) the control group is not
//! read here; ctr-top(1) and ctr-inspect(1) read it. `-o` adds more: COMMAND, PORTS (published and exposed, by
//! the state files), IP, VETH (interfaces of the host that lead into it), TIME, SHARES (namespaces in common with the host
//! or other containers), ROOTFS (what it wrote, on the host), and CPU, for which ctr-ps measures for 0.2 seconds. In text an id has 12 digits, and is left out if it is the
//! name; JSON and `-r` have all of it. On a narrow terminal the default columns give way: LIMIT, PROCS and MEMORY are
//! left out, in this order, and a long name ends in `+`. `-w` shows all.
//!
//! `-l -a` also lists containers that do not run, if state files have them: those of Docker, Podman, Kubernetes (containerd,
//! CRI-O) and LXC. STATUS is then `created` (also if the start failed: EXIT has the status), `exited` with the exit status in
//! parentheses, `restarting`, or `stopped` if the state files do not say how it ended. `OOM (137)` is in place of `exited (137)` if the
//! runtime notes a kill for lack of memory, of any process; ctr-inspect(1) compares that with the kernel's log. Of other runtimes nothing is left when a container ends. `--status exited`
//! implies `-a`. If `-c` names two containers, one that runs wins. Podman keeps this in its database, whose text is searched
//! for it: labels and images that are nowhere else are unknown.
//!
//! # Containers
//!
//! NAME is what the runtime calls the container: `docker:web`, `podman:db`. For containers started with ctr(1) it
//! includes containerd's namespace: `containerd:default/redis`. For Kubernetes it is
//! `k8s:NAMESPACE/POD/CONTAINER`, where the container POD is the pod's pause process. For nested containers all
//! names are shown, the outermost first: `docker:kind/k8s:shop/web-1/app`. A container of an unknown runtime is
//! shown as `anon:` and the number of its namespace; `-l` adds its host name. A container without a state file is
//! nested in another one if its pid namespace is: a change of the root directory or the mounts inside a container makes
//! no container.
//!
//! `-c` selects containers. A TARGET with `*` selects all containers whose name matches: `web-*`. Else it takes the same TARGET as nsenter(1): NAME, `RUNTIME:NAME`, the beginning of an id (at
//! least 4 digits), `NAMESPACE/POD`, the name of a pod of Podman, `compose:PROJECT/SERVICE`, or the PID of any process
//! in the container. What logs print is a TARGET too, for all applets: the path of a control group (`/docker/ID`), its last part
//! (`docker-ID.scope`, `kubepods-burstable-podUID.slice`), the line of the kernel that begins with `oom-kill:`, the UID of a
//! pod, and a namespace that the host does not have (`ns:4026532478` or `net:[4026532478]`). If a container of root or of the caller has a number as its name, that container wins over the
//! process with this PID (for nsenter(1) and the other applets a number is always a PID). `@CPID` after any of these except a PID (`web@17`) selects the one process that has this PID inside the container. A
//! container is shown together with the containers nested in it, a pod with all its containers except the pause
//! process, and a service with all its replicas. When several containers share a name, root's wins over a user's,
//! and the host's wins over a nested one.
//!
//! The name of a control group alone is no proof. If no readable state file confirms a container, it is
//! unverified: any user may have made a control group of that name. Such a container is shown by the first digits
//! of its id and a question mark: `docker:0123456789ab?`. nsenter(1) and `cgexec --like` accept it only with the
//! question mark, in quotes. `-c` also accepts it without the question mark, and then reports on standard error that
//! the container is unverified, unless a column shows it. If a container belongs to another user and the
//! column OWNER is not shown, a line on standard error names the owner.
//!
//! The column HOW shows how a container is identified: `state`, by the runtime's state files and the control group;
//! `cgroup`, by the name of the control group alone; `namespace`, by namespaces that the process shares with an
//! identified container; `anonymous`, by namespaces that belong to no identified container.
//!
//! The column VIA shows how a process came into its container: `init` is the container's first process, `fork` is a
//! descendant of it, `exec` joined the control group later (docker exec, a health check), and `ns` joined only
//! the namespaces (nsenter(1)). `--how` takes the values of both columns.
//!
//! # Filters
//!
//! Filters combine: a line must pass each of them. `--label` takes a KEY or `KEY=VALUE`, and can be given several times:
//! the container must have all. `--name`, `--image`, `--pod-namespace`, `--project` and `--service` take a text in which
//! `*` stands for any text and `?` for any character; if one is given several times, one of them must match. An image
//! is also matched without its tag, and from any part of its path on: `nginx` matches `docker.io/library/nginx:1.27`.
//! `--label` of a container of Kubernetes also takes the labels of its pod.
//! These filters also select the containers nested in the ones that match.
//!
//! `-Q` takes an expression with the names of columns, of which FILTER has the grammar, for example
//! `RSS > 100000 and CONTAINER =~ "^docker:"`. The names of columns in ps(1) count too. A regular expression whose repetitions
//! would cost too much, such as `((a?){99}){99}`, is refused. Values are those of JSON: RSS and VSZ in KiB, other sizes in bytes, times in
//! seconds. CONTAINER is `RUNTIME:NAME`, as in the table.
//!
//! # Options of ps
//!
//! `-e`, `-A`, `-a`, `-ef`, `-ax`, `-u`, `-p`, `--ppid`, `-o`, `-L`, `-T`, `--forest`, `--sort`, `--no-headers` and `-w` work
//! as with ps(1). For others the error says what to type instead. These letters mean something else here:
//!
//! ```text
//!       ps                                   ctr-ps
//! -C    processes of this name               only processes in containers
//!                                            (-Q 'CMD == "NAME"')
//! -H    a tree (--forest)                    list the columns
//! -l    long format (-o)                     list containers
//! -q    processes with these PIDs (-p)       print only PIDs
//! -n    a file of kernel symbols             no headings
//! -k    sort (--sort)                        also list kernel threads
//! -c    scheduling information               a container
//! -r    running processes                    raw output
//!       (-Q 'STATE == "R"')
//! CMD   command line (COMMAND)               name of the process
//! ```
//!
//! `-l` with `-e`, `-A` or `-f`, `-H` with them, `-q` before a PID, and `-C` before a name are refused: they are habits of ps.
//!
//! `-t` is the terminal, as in ps; in nsenter(1) it is the target.
//!
//! # Options of docker and podman
//!
//! `--filter` also takes `KEY=VALUE` with the keys status, name (a part of it; `^` and `$` are its ends), label, ancestor, id,
//! pod and exited. `-l` is the list of containers, and `-l -a` that of `docker ps -a`; `--no-trunc` prints whole ids. In
//! `-o`, `names`, `state`, `createdat` and `runningfor` are columns of containers. These mean something else here:
//!
//! ```text
//!           docker, podman           ctr-ps
//! -f        a filter (--filter)      the columns of ps -ef
//! -l        the latest container     list containers
//! -n        the last N containers    no headings
//!           (-l -a -n --sort -created | head -n N)
//! -p        pods (-l -o +pod)        PIDs
//! --format  a template               columns, as -o
//! ```
//!
//! # Display
//!
//! `--watch` repeats the output. On a terminal the first line shows the command and the time, `q` ends it, and the space bar
//! shows the next one at once. ctr-top(1) shows how much the containers use between two looks.
//!
//! Control characters and similar characters in names and arguments are shown as `\xNN` or `\u{NNNN}`. On a
//! terminal, lines are cut to its width (`+`), unless `-w` is given.
//!
//! # Processes that block their readers
//!
//! A process can block everybody who reads its files in /proc, ps(1) too: its execve(2) does not end because a FUSE
//! file system does not answer, and the kernel is one that makes readers wait for that. ctr-ps leaves out
//! such a process after one second, and names it on standard error. If a user or a container has many of them, all
//! processes of that user or container are left out after three seconds. The exit status does not change.
//!
//! # Exit status
//!
//! 0 on success; 1 on failure, if no container matches `-c`, and with `-p` if none of the processes is in a
//! container or one of them does not exist.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `NO_COLOR`, `TERM`: with `--color=auto`, a NO_COLOR that is not empty or the TERM `dumb` turns colours off.
//! - `TERM`, `COLORTERM`: containers have colours of the palette of 256 if TERM has `256color` in it, or if COLORTERM is not empty.
//! - `COLUMNS`: the width of the output if standard output is a terminal without a size.
//! - `LC_ALL`, `LC_CTYPE`, `LANG`: the first that is not empty names the locale. If it uses UTF-8, trees are drawn
//!   with its lines, else in ASCII.
//! - `POSIXLY_CORRECT`: if set, options after the first operand are operands too.
//!
//! # Files
//!
//! - `/proc`: the processes. `--root=DIR` reads DIR/proc.
//! - State files of runtimes: the names of containers; ctrbox(1) lists the paths. `--root=DIR` reads them below DIR.
//! - `/etc/passwd`: the names of users; for the column CUSER that of the container.
//! - `/sys/fs/cgroup`: memory, limits and state of containers (`-l`), where /proc/self/mountinfo says that control
//!   groups are mounted.
//!
//! # Examples
//!
//! The tree of processes, each with its container:
//!
//! ```text
//! ctr-ps --forest
//! ```
//!
//! All containers of this host, with their memory use:
//!
//! ```text
//! ctr-ps -l
//! ```
//!
//! The container of process 4711, which a log, top(1) or dmesg(1) named:
//!
//! ```text
//! ctr-ps -p 4711
//! ```
//!
//! The process that is number 17 in the log of the container `web`:
//!
//! ```text
//! ctr-ps -c web@17
//! ```
//!
//! Processes that were started in containers from outside, and how long ago:
//!
//! ```text
//! ctr-ps --how exec,ns -o +via,elapsed
//! ```
//!
//! How the capabilities of each container differ from the runtime's default, and whether it has a seccomp filter:
//!
//! ```text
//! ctr-ps -C --init --security
//! ```
//!
//! The processes with the most memory first, and those in no container:
//!
//! ```text
//! ctr-ps aux --sort -rss
//! ctr-ps --host
//! ```
//!
//! The memory and CPU use of a container's processes, every second:
//!
//! ```text
//! ctr-ps -c web -o pid,rss,cpu,command --watch=1
//! ```
//!
//! On a host where ps(1) hangs: show process names only. Reading the command line of a process can block while
//! its memory is locked:
//!
//! ```text
//! ctr-ps --no-args --forest
//! ```
//!
//! The containers that ended, with their exit status, and the ports of all:
//!
//! ```text
//! ctr-ps -l --status exited
//! ctr-ps -l -a -o container,status,ports,command
//! ```
//!
//! The container that the kernel killed a process of:
//!
//! ```text
//! ctr-ps -l -a -c "$(dmesg | grep oom-kill: | tail -n 1)"
//! ```
//!
//! Kill the remaining processes of a container:
//!
//! ```text
//! ctr-ps -q -c docker:web | xargs kill
//! ```
//!
//! # JSON
//!
//! `{"processes": [...]}`, in the order of the lines. The members are pid, ppid, cpid, user, runtime, container (the
//! NAME), id, pod, pod_namespace, image, engine, chain, how and command; a missing value is null. With `-o`, the
//! members are the selected columns. Each object also has `host`, the name of the host, and `boot_id`, so that the outputs of several hosts
//! can be merged. `--jsonl` prints the same objects one a line, without the list around them. `docs/schema/ctr-ps.json` in the source is a
//! JSON Schema. With `-l`, `{"containers": [...]}` with all columns except CPU. Numbers are JSON numbers: memory in bytes,
//! times in seconds. The id of a container of containerd begins with its namespace. Bytes that are not UTF-8 are
//! written as `\xNN`.
//!
//! # See also
//!
//! ctr-inspect(1), ctr-top(1), ctr-whose(1), nsenter(1), ps(1), cgroups(7), pid_namespaces(7)

mod attributes;
mod caps_text;
mod cells;
mod columns;
mod containers;
mod details;
mod gather;
mod habits;
mod host;
mod list;
mod of_container;
mod options;
mod origin;
mod process;
mod request;
mod select;
mod show;
mod status;
mod usage;
mod view;
mod watch;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use crate::access::{self, watch as reading};
use crate::cli::{Applet, Call};
use crate::container::child::{OnBlock, in_child};
use crate::container::records::Records;
use crate::container::{IdentifiedBy, is_in_container_of_host, target};
use crate::exit::{self, Exit, Outcome, warn};
use crate::output::Out;
use crate::output::smartcols::Column;
use crate::text;
use columns::Id;
use containers::Seen;
use gather::{Found, Wanted, gather};
use host::Host;
use options::GRAMMAR;
use request::{Form, Request};
use view::Columns;

pub(crate) static APPLET: Applet = Applet {
    name: "ctr-ps",
    section: 1,
    failure: 1,
    about: "list the processes of this host, each with the container it runs in",
    run,
    grammar: &GRAMMAR,
};

/// The columns of processes, or of containers, with what they show.
pub(crate) fn columns(of_containers: bool) -> Vec<&'static Column> {
    match of_containers {
        true => list::COLUMNS.iter().map(|row| &row.1).collect(),
        false => columns::COLUMNS.iter().map(|row| &row.1).collect(),
    }
}

fn run(call: &Call) -> Outcome {
    let (mut request, operands) = habits::parse(call)?;
    options::more(&mut request, &operands)?;
    options::check(&request)?;
    if request.list_columns {
        return show::list_columns(&request).map(|()| 0);
    }
    let host = Host::new(&request)?;
    options::bsd_after_a_dash(&mut request, &host);
    for list in &request.users {
        request.selection.users.extend(select::users(list, &host.passwd)?);
    }
    let columns = Columns::new(&request)?;
    let Some(interval) = request.watch else {
        return exit::in_worker(&host.proc, || list_once(call, &host, &request, &columns));
    };
    let words = std::iter::once(OsStr::new(call.name)).chain(call.args.iter().map(OsString::as_os_str));
    let command = words.map(text::shown).collect::<Vec<_>>().join(" ");
    watch::watch(&command, interval, |out| frame(out, call, &request, &columns)).map(|()| 0)
}

/// Users and mounts may have changed: they are read again for each frame.
fn frame(out: &mut Out, call: &Call, request: &Request, columns: &Columns) -> Result<(), Exit> {
    let host = Host::new(request)?;
    reading::look_again(&host.proc);
    let shown = in_child(&host.proc, OnBlock::LeaveOut, || {
        let mut kept = Out::kept();
        let shown = answer(&mut kept, &host, request, columns).map_err(|exit| exit.message());
        Ok(shown.map(|_| kept.into_bytes()))
    })?;
    out.push(&shown.map_err(anyhow::Error::msg)?);
    if let Some(note) = reading::note_of_blocked() {
        out.push(format!("{}: {note}\n", call.name).as_bytes());
    }
    Ok(())
}

/// Prints the list, and what it lacks.
fn list_once(call: &Call, host: &Host, request: &Request, columns: &Columns) -> Outcome {
    let mut out = Out::stdout();
    let problems = || {
        if request.verbose {
            let say = |problem: &String| warn(call.name, &text::escape(problem.as_bytes()));
            host.files.warnings().iter().for_each(say);
        }
    };
    // The name of a container that is not found may be in a file that cannot be read.
    let found = answer(&mut out, host, request, columns).map_err(|error| {
        problems();
        let hint = missing_names(host, request).filter(|_| !request.selection.containers.is_empty());
        error.or_hint(move || hint.clone())
    })?;
    out.finish()?;
    for note in notes(&found, host, request, columns) {
        warn(call.name, &note);
    }
    for pid in &found.missing {
        warn(call.name, &format!("no process {pid}"));
    }
    for (thread, process) in &found.threads {
        warn(call.name, &format!("{thread} is a thread of process {process}"));
    }
    problems();
    let is_unverified = |seen: &Seen| seen.container.identified_by == IdentifiedBy::Cgroup;
    let names_are_missing = found.containers.all.iter().any(is_unverified);
    exit::hint(|| missing_names(host, request).filter(|_| names_are_missing));
    exit::hint_at_rights();
    let none_contained = || found.list.iter().all(|process| process.container().is_none());
    Ok(u8::from(!request.selection.pids.is_empty() && (!found.missing.is_empty() || none_contained())))
}

/// Why no container has a name, in a container that shows the host's processes.
fn missing_names(host: &Host, request: &Request) -> Option<String> {
    let applies = request.root.is_none() && is_in_container_of_host(&host.proc);
    applies.then(|| {
        "the names of containers are in state files on the host, outside of this container: mount the host's root \
         directory here, for example at /host (docker run -v /:/host:ro, or a hostPath volume of a pod), and use \
         ctr-ps --root /host"
            .to_owned()
    })
}

/// Notes on the containers that `-c` selects: facts that neither the word given nor a printed column shows.
fn notes(found: &Found, host: &Host, request: &Request, columns: &Columns) -> BTreeSet<String> {
    let prints = |id: Id| request.form != Form::Quiet && columns.has(id);
    let marked = prints(Id::Container) || prints(Id::IdentifiedBy);
    let headed = request.by_container && request.form == Form::People;
    let mut notes: BTreeSet<String> = access::note_of_locked(&found.locked).into_iter().collect();
    for (word, number) in &found.chosen.named {
        let container = &found.containers.all[*number].container;
        let word = target::without_cpid(word);
        if !marked && !headed {
            notes.extend(target::unverified(container, word));
        }
        if !prints(Id::Owner) {
            notes.extend(target::of_another_user(container, word, || host.passwd.clone()));
        }
    }
    notes
}

/// Reads the processes once and prints them.
fn answer(out: &mut Out, host: &Host, request: &Request, columns: &Columns) -> Result<Found, Exit> {
    let records = Records::new(&host.files);
    let wanted = Wanted {
        selection: &request.selection,
        way: request.way,
        needs: columns.needs(request.form),
        no_args: request.no_args,
        threads: request.threads && request.form != Form::Quiet,
        records: &records,
        stopped: request.stopped(),
        labels: request.selection.attributes.wants_labels() || columns.uses(Id::Labels),
    };
    let mut found = gather(&host.proc, &host.files, &wanted)?;
    match columns {
        Columns::Processes(columns, view) => {
            show::processes(out, (&found, host, &records), request, columns, view)?
        }
        Columns::Containers(columns, view) => {
            found.locked = show::containers(out, (&found, host, &records), request, columns, view)?;
        }
    }
    Ok(found)
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(list: &str) {
    _ = columns::parse(&[list.to_owned()], columns::DEFAULT, &columns::NAMES);
    _ = columns::sort_keys(list, &columns::NAMES);
    _ = columns::parse(&[list.to_owned()], list::DEFAULT, &list::NAMES);
}
