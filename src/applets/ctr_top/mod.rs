//! `ctr-top` shows what the containers of this host use: CPU time, memory, processes, disks and network, of all
//! runtimes in one table. It asks no daemon: control groups have the numbers, and the runtimes' state files the names.
//!
//! On a terminal the table fills the screen and is refreshed every second. With `-b`, or if standard output is no
//! terminal or a dumb one, it prints one table after the other. With `-n` the last table stays on the terminal.
//!
//! A TARGET is a container, as for ctr-ps(1): NAME, `RUNTIME:NAME`, the beginning of an id (4 digits or more), `NAMESPACE/POD`,
//! `compose:PROJECT/SERVICE`, or the PID of any process in the container. It is shown with the containers nested in it.
//! Without a TARGET all containers are shown, and the row `host` for the processes that are in no container.
//! `-a` adds a row for each unit of systemd, or other control group, of such processes: of the unified hierarchy, else of that of
//! systemd or of a controller. These rows, and `host`, are no TARGETs.
//!
//! What an ordinary user may not see is in no row of its own: processes in containers of others count as those of `host`, and
//! containers of others that show have an id in place of a name. A line on standard error says so on a terminal; a script reads
//! it in `unknown` of JSON, or in `container_scrape_error`. Run it as root for all containers, also in a timer.
//!
//! # Keys
//!
//! These are for the screen. They come from standard input: if that is no terminal, only a signal ends ctr-top (^C). Without a selected row, Enter means the first one, and Up or Down selects it. For the row `host` it shows PID 1, and for a
//! pod all its containers except the pause process. Of a report, or of the list of keys, the screen shows the top: the keys that select rows show the
//! rest of it, and any other key comes back. No pager is started. If the line above the table is too long, it leaves out parts, but never the order and the text
//! after `/`.
//!
//! # Values
//!
//! - CPU: in percent of one CPU. Two CPUs in use are 200 %.
//! - OF-LIM: CPU in percent of the CPUs that the container may use: the lowest quota of its control group and the groups
//!   above it, or its CPUs if these are fewer.
//! - THROT: the part of the quota's periods in which the quota was used up: that of the control group, or of one above it, whose
//!   quota others may have used up (CPUS_BY names the lowest quota).
//! - MEMORY: the memory in use, without the page cache that is inactive, as docker stats and kubectl top count it. USAGE is with
//!   all cache. Sizes are rounded up.
//! - LIMIT: the lowest memory limit of the group and those above it.
//! - MEM%: MEMORY in percent of LIMIT, or of the host's memory if there is no limit.
//! - PIDS: processes and threads.
//! - READ/s, WRITE/s: bytes read from disks and written there. What the page cache answers does not count.
//! - PSI: the parts of the last ten seconds in which a process waited for a CPU, for memory and for a disk, in percent, as the
//!   kernel computes them every two seconds. The first wait after a rest can be shown two seconds later. v1 does not have them; on a hybrid host the group of v2 has.
//!
//! Rates are by the time that passed between two reads of a value, not by the nominal delay. `-` is a value that is
//! not known, or that there is not: of LIMIT and PIDS_LIMIT no limit, of THROT no quota. JSON has null for both. A
//! counter that went down, or another first process of a container with a state file, means a new container: it has no rates until
//! the next sample.
//! In the files of a host that does not run (`--root`) nothing passes: there are no rates.
//!
//! A new container is in the next table. Only if it takes more than a fortieth of the time to find whose new processes are, or
//! there is a TARGET on a host with many containers, it can be shown up to half a minute late. A container that starts and ends between two samples is never shown, as the kernel keeps nothing of it. What it used
//! is in the rows of the containers and services around it, and in the line above the table.
//!
//! Some containers have no control group of their own: those of a login, bubblewrap, firejail, or Podman without
//! delegation. For these, and for the host, the numbers are sums over processes, marked with `~`: processes that have ended
//! are missing, and memory that processes share counts for each of them. Limits are those of the group, which
//! hold for the container too. If the caller may not read some of the processes, the sum has `>` in place of that: it is at least so
//! much. One of which nothing but 0 is known is unknown.
//!
//! READ/s and WRITE/s are counted by the control group if the kernel does that. On v1 it counts only part of it, often
//! nothing: then these too are sums over processes (IO_BY, `source` in JSON). Only root can read them, so for others a group
//! of v1 that has counted nothing is unknown. For a process the kernel
//! counts a write when it is made to the page cache, even if the file is deleted before the disk gets it; for a
//! control group of v2 when the disk gets it, which is up to half a minute later. RX/s and TX/s are those of
//! the network namespace, without the loopback, whatever its name is. Of containers that share one, the pause container of the pod has
//! the numbers, or the one that started first. A container in the network namespace of the host has none.
//!
//! A paused container has `paused` in place of its CPU use. With `-r` and in JSON it has its CPU use, which is 0, and STATUS says
//! that it is paused.
//!
//! A `?` after a name means that the container is unverified: only the name of a control group says so, which may be anybody's
//! choice, and the name is the beginning of an id (see ctrbox-containers(7)). `anon:` is a container of which no runtime is known,
//! with the number of its namespace.
//!
//! The line above the table has the time, the CPU use of the host (of 200 % with two CPUs) and its memory in use, the number of
//! containers (also of those that a filter hides), the order, and the filter. If a terminal is too narrow, parts of that
//! line and whole columns are left out, PSI and OF-LIM first, and long names are cut (`+`); numbers are not. This holds for the screen and for tables that are printed on a
//! terminal, also with `-o`; `-w` prints these whole, and off a terminal nothing is left out. If rows are sorted
//! by `net`, RX/s and TX/s are in place of READ/s and WRITE/s, and by `oom`, OOM_KILLS is in place of PSI, unless `-o` chooses the
//! columns. `-r` prints neither that line nor the time. In a tree, a name does not repeat that of the row above it.
//!
//! `--per pod` shows a pod in place of its containers: sums, the limits of the pod's control group (Kubernetes only), and the
//! most throttled and most waiting of its containers. A TARGET then stands for its whole pod, with the pause process.
//!
//! # Habits of other tools
//!
//! - docker stats: `--no-stream` is `-b -n 1`; `--format json` is `-J`. MEM% is of the limit in force, also of one above the
//!   container.
//! - systemd-cgtop: `--order=KEY` is `-s KEY`. The first table has rates, too.
//! - kubectl top: `--sort-by=KEY` is `-s KEY`; `--per pod` is `kubectl top pods`, and a TARGET `NAMESPACE/POD` one pod.
//! - htop: `-d` is in seconds. A tree (`f`) has containers, not processes; those of a container are in ctr-inspect(1) and
//!   `ctr-ps -c NAME`.
//!
//! # JSON
//!
//! One document in each line. An unknown value is null, as is one that there is not. Sizes are in bytes, rates in bytes a second,
//! times in seconds. The names of columns are in parentheses.
//!
//! - `time`: in UTC, as RFC 3339 has it.
//! - `interval`: the time since the sample before; null if no time passed (`--root`).
//! - `boot_id`: the random id of this boot of the host.
//! - `cpus`, `cpu_percent`: the CPUs of the host, and the use of all of them, at most 100.
//! - `memory`: of the host: `available` without swapping, and `total`.
//! - `host`: the row of the host's own processes; null with a TARGET.
//! - `services`: the rows of `-a`.
//! - `pods`: the rows of pods; null without `--per pod`.
//! - `containers`: the rows of all containers, sorted as `-s` says.
//! - `unknown`: a `path` in this document, and `why` values are missing there, if the rights of the caller are the reason. A sum over
//!   processes at that path is at least so much, as some cannot be read.
//!
//! These are the keys of a row:
//!
//! - `container`, `runtime`: as the columns. `runtime` is null for the host and its services.
//! - `name`, `id`: as the runtime gave them. `name` is null if it gave none (bubblewrap, firejail), or if the container is
//!   unverified; `id` is then what tells it from others, such as the inode of a namespace. The host and its services have neither.
//! - `pod`, `pod_namespace`, `image`: null without a pod, and if no image is known.
//! - `outer`: the container around a nested one.
//! - `pid`: the first process; null for a pod, a service and the host.
//! - `status`: `running` or `paused`.
//! - `own_cgroup`: false if the numbers are sums over processes (OWN).
//! - `procs`: the number of processes.
//! - `cpu`: `percent` (CPU), `of_limit` (OF-LIM), `limit` in CPUs (CPUS; null if all CPUs of the host are allowed), `limit_by` (CPUS_BY),
//!   `seconds` (CPU_TIME).
//! - `throttled`: `percent` (THROT), `periods` of the quota, the `throttled` ones of these, and for how many `seconds`, summed over CPUs.
//!   All are null without a quota.
//! - `memory`: `usage`, `working_set` (MEMORY), `limit` and `limit_by` (null without a limit), `percent` (MEM%), `anon`, `file`, `shmem`,
//!   `oom_kills`.
//! - `pids`: `current` (PIDS), `limit` (PIDS_LIMIT), and the control group with that limit, `limit_by`.
//! - `io`: `read_rate`, `write_rate`, `read_bytes`, `write_bytes`, and `source` (IO_BY).
//! - `net`: `rx_rate`, `tx_rate`, `rx_bytes`, `tx_bytes`; null for a container in the host's network namespace, or in one whose
//!   numbers another row has.
//! - `pressure`: `cpu`, `memory`, `io` (PSI), in percent; null if the kernel does not count it.
//!
//! Rates and percentages are since the sample before. `seconds`, `periods`, `throttled`, `oom_kills`, and the names that end in `_bytes`,
//! count since the group was made.
//! `docs/schema/ctr-top.json` in the source is a JSON Schema of it.
//!
//! # Prometheus
//!
//! `--prometheus` prints one sample in the text format 0.0.4, with the names that cAdvisor has, for the textfile collector of
//! node_exporter. The labels are `runtime`, `name`, `id`, `pod`, `namespace` and `image`; `owner` is the uid of the user who runs a
//! rootless container, and `outer` the container around it. `container_cpu_usage_seconds_total` has `cpu="total"`, the bytes of
//! networks have `interface`, and those of disks `device`, such as `/dev/sda`. The host's own processes have the runtime `host`.
//! Counters with `source="processes"` are sums over processes, without a `device`: they go down when a process ends, and rate()
//! takes that for a new start and shows a peak. `{source!="processes"}` in a query leaves them out. A sum is not printed if some of its
//! processes cannot be read.
//! `container_paused` and `container_own_cgroup` are those of ctr-top alone. `container_scrape_error` is 1 if the rights of the caller
//! hide containers of others.
//!
//! No daemon is needed: a timer of systemd writes the file every 15 seconds, into the directory that node_exporter has as
//! `--collector.textfile.directory`. The one below is the default on Debian.
//!
//! ```text
//! # /etc/systemd/system/ctr-top.service
//! [Unit]
//! Description=Resource use of containers for node_exporter
//! [Service]
//! Type=oneshot
//! WorkingDirectory=/var/lib/prometheus/node-exporter
//! ExecStart=/bin/sh -c 'ctr-top --prometheus >new'
//! ExecStart=/bin/mv new ctr-top.prom
//!
//! # /etc/systemd/system/ctr-top.timer
//! [Timer]
//! OnCalendar=*:*:0/15
//! AccuracySec=1s
//! [Install]
//! WantedBy=timers.target
//! ```
//!
//! `systemctl enable --now ctr-top.timer` starts it.
//!
//! # Processes that block their readers
//!
//! A process can block everybody who reads its files in /proc, ps(1) too: its execve(2) does not end because a FUSE
//! file system does not answer, and the kernel is one that makes readers wait for that. ctr-top leaves out
//! such a process after one second, and names it on standard error unless it uses the screen. If a user or a container has
//! many of them, all processes of that user or container are left out after three seconds.
//!
//! # Exit status
//!
//! 0 on success; 1 on failure, or if a TARGET does not exist at the start. One that ends later is no error.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `NO_COLOR`, `TERM`: with `--color=auto`, a NO_COLOR that is not empty or the TERM `dumb` turns colours off. A terminal
//!   that is `dumb` has no screen either.
//! - `TERM`, `COLORTERM`: containers have colours of the palette of 256 if TERM has `256color` in it, or if COLORTERM is not empty.
//! - `COLUMNS`: the width of the output if standard output is a terminal without a size.
//! - `POSIXLY_CORRECT`: if set, options after the first operand are operands too.
//!
//! # Files
//!
//! - `/proc`: the processes, CPU time and memory of the host, and interfaces of network namespaces. `--root=DIR` reads DIR/proc.
//! - `/sys/fs/cgroup`: use and limits, where /proc/self/mountinfo says that control groups are mounted.
//! - State files of runtimes: the names of containers; ctrbox(1) lists the paths. `--root=DIR` reads them below DIR.
//!
//! # Examples
//!
//! All containers, those with the most memory first:
//!
//! ```text
//! ctr-top -s mem
//! ```
//!
//! One table for a report, measured for five seconds:
//!
//! ```text
//! ctr-top -b -n 1 -d 5
//! ```
//!
//! Who is throttled, and by which control group:
//!
//! ```text
//! ctr-top -b -n 1 -s throttled -o container,throt,cpus,cpus_by
//! ```
//!
//! Containers that use more than 90 % of their memory limit:
//!
//! ```text
//! ctr-top -J -n 1 | jq -r '.containers[] |
//!     select(.memory | .limit and .percent > 90).container'
//! ```
//!
//! Pods and services in one table:
//!
//! ```text
//! ctr-top --per pod -a
//! ```
//!
//! # See also
//!
//! ctr-inspect(1), ctr-ps(1), systemd-cgtop(1), cgroups(7)

mod columns;
mod controller;
mod document;
mod groups;
mod inspect;
mod keys;
mod known;
mod line;
mod look;
mod networks;
mod options;
mod pages;
mod processes;
mod prometheus;
mod rates;
mod sample;
mod scan;
mod screen;
mod services;
mod show;
mod view;
mod watcher;

use anyhow::Context;

use crate::cli::{Applet, Call};
use crate::exit::{self, Exit, Outcome};
use crate::output::Out;
use crate::output::fold::fold;
use crate::output::smartcols::{self, Column};
use crate::output::style::{self, Painter};
use crate::sys;
use columns::{Order, Picked};
use options::{Form, GRAMMAR, Request};
use show::{Frame, Style};
use watcher::Watcher;

pub(crate) static APPLET: Applet = Applet {
    name: "ctr-top",
    section: 1,
    failure: 1,
    about: "show what the containers of this host use, and refresh it",
    run,
    grammar: &GRAMMAR,
};

/// The columns, with what they show.
pub(crate) fn columns() -> impl Iterator<Item = &'static Column> {
    columns::COLUMNS.iter().map(|(column, _)| column)
}

/// The keys of the screen, with what they do.
pub(crate) fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    keys::KEYS.iter().map(|binding| (binding.name, binding.help))
}

fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    request.targets = GRAMMAR.parse(call, &mut request)?;
    if request.list_columns {
        return list_columns(&request).map(|()| 0);
    }
    options::check(&request)?;
    let picked = columns::parse(&request.columns)?;
    let mut watcher = Watcher::new(call.name, &request)?;
    match request.form {
        Form::Prometheus => {
            watcher.sampler.shows.each_device = true;
            let sample = watcher.sample()?;
            let mut out = Out::stdout();
            let is_partial = watcher.withheld().is_some();
            prometheus::print(&mut out, &sample, &watcher.proc.disks(), is_partial);
            out.finish()?;
            watcher.say();
        }
        Form::People if !request.batch && style::is_screen() => {
            if let Some((frame, order)) = screen::run(watcher, &request, &picked)? {
                let mut out = Out::stdout();
                let left_out = table(&mut out, &frame, &request, &picked, order);
                out.finish()?;
                hint_at_missing(&left_out, &request);
            }
        }
        _ => batch(watcher, &request, &picked)?,
    }
    Ok(0)
}

/// One table after the other, each with rates.
fn batch(mut watcher: Watcher<'_>, request: &Request, picked: &[Picked]) -> Result<(), Exit> {
    let all = request.form == Form::Json;
    watcher.networks = all || columns::have_networks(picked, request.sort);
    watcher.sampler.shows.pressure = all || columns::have_pressure(picked);
    watcher.frame()?;
    let (mut count, mut before) = (0, document::Before::new(watcher.withheld()));
    while request.iterations.is_none_or(|all| count < all) {
        sys::sleep(request.delay()).context("cannot wait")?;
        let frame = watcher.frame()?;
        let mut out = Out::stdout();
        let mut left_out = Vec::new();
        if request.form == Form::Json {
            document::print(&mut out, &watcher.proc, frame, request.sort, &mut before)?;
        } else {
            if count > 0 {
                out.push(b"\n");
            }
            left_out = table(&mut out, &frame, request, picked, request.sort);
        }
        out.finish()?;
        watcher.say();
        if count == 0 {
            hint_at_missing(&left_out, request);
        }
        count += 1;
    }
    Ok(())
}

/// What a table does not show: columns that were asked for, and what the rights of the caller do not show.
fn hint_at_missing(left_out: &[&str], request: &Request) {
    let is_missing = !request.columns.is_empty() && !left_out.is_empty();
    let missing = || format!("no room for {}; -w shows all columns", left_out.join(", "));
    let columns = style::stdout_columns().unwrap_or(usize::MAX);
    let hint = exit::shown_hint(|| is_missing.then(missing));
    hint.iter().for_each(|hint| exit::say(&fold(hint, columns).join("\n")));
    exit::hint_at_rights();
}

/// One table, with the line above it. Returns the columns for which there was no room.
fn table(
    out: &mut Out,
    frame: &Frame,
    request: &Request,
    picked: &[Picked],
    order: Order,
) -> Vec<&'static str> {
    let raw = request.form == Form::Raw;
    let width = style::stdout_columns().filter(|_| !request.wide);
    if !raw && !request.no_headings {
        out.push(format!("{}\n", frame.head(order, width)).as_bytes());
    }
    let style = Style {
        headings: !request.no_headings,
        raw,
        width,
        painter: Painter { colour: request.colour.on_stdout() },
    };
    let rows = frame.list(order, |_| true);
    // The columns of a script do not depend on the order.
    let shown = if raw { picked.into() } else { columns::shown(picked, &request.columns, order) };
    show::table(out, (&rows, &[]), &shown, &style)
}

fn list_columns(request: &Request) -> Result<(), Exit> {
    let all: Vec<&'static Column> = columns().collect();
    let mut out = Out::stdout();
    let form = match request.form {
        Form::Json => smartcols::Form::Json("columns"),
        Form::Raw => smartcols::Form::Raw,
        Form::People | Form::Prometheus => smartcols::Form::Human,
    };
    smartcols::print_columns(&mut out, &all, form);
    Ok(out.finish()?)
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_devices(text: &[u8]) {
    let net: Vec<_> = networks::Net::parse(text, true).map(|net| (7, net)).into_iter().collect();
    assert_eq!(networks::unpack(&networks::pack(&net)), Some(net));
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(list: &str) {
    _ = columns::parse(&[list.to_owned()]);
}
