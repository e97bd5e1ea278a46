//! `cgexec` runs a program in control groups. It is compatible with the cgexec of libcgroup, and can also create a
//! group, set its limits, report what the program used, kill the remaining processes and remove the group.
//!
//! `-g` names groups that exist, and may be given several times. CONTROLLERS is a list separated by commas, `*` for
//! all mounted controllers, `name=systemd` for a hierarchy without controllers, or empty for the v2 group without
//! regard to its controllers. PATH is relative to the mount point of the hierarchy. Controllers of v1 and v2 may be
//! mixed. cgexec then executes the program in its own place: the PID, the terminal and the signals stay the same.
//!
//! Without `-g`, `--like` and any option that needs a new group, the groups come from the first matching rule in
//! /etc/cgrules.conf and /etc/cgrules.d/*, see cgrules.conf(5). If no rule matches, the program runs in the groups of
//! the caller. If there is no rules file, cgexec fails. A group whose name comes from a template (such as `%u`) is
//! created if it is missing; cgexec does not read /etc/cgconfig.conf for it.
//!
//! TARGET of `--like` is a PID or a container, as nsenter(1) takes it. If ctr-ps(1) shows a container with a question
//! mark, no state file confirms it, and any user can make one like it. cgexec joins the control groups of such a
//! container only if TARGET includes the question mark (`--like 'docker:0123456789ab?'`, in quotes); otherwise cgexec
//! exits with status 125. If a container belongs to a user who is neither the caller nor root, a line on standard
//! error names the owner.
//!
//! # New groups
//!
//! `--create` creates the groups that are missing and their missing parents, and enables their controllers on the
//! way. A new v1 cpuset gets the values of its parent. Without `-g`, cgexec creates a new group `ctrbox/PID` below the
//! caller's group, or, on v2, below the nearest ancestor that may have child groups. A limit, `--report` and `--kill`
//! imply this; `--timeout` does not. On v2 the program starts inside the group, if the kernel supports it.
//!
//! cgexec then waits, forwards SIGTERM, SIGINT and SIGHUP, and exits as the program does. At the end it removes the
//! groups that it created, and disables the controllers that it enabled, unless they are in use by then. If
//! processes still run in a group, cgexec leaves them alone, and a background process removes the group when they
//! have ended. With `--kill`, cgexec kills them instead. The same happens if cgexec itself is killed. cgexec never
//! removes a group that existed before; limits that it sets there stay.
//!
//! # Limits
//!
//! The limit options are the same on v1 and v2. SIZE is in bytes or has a unit: `512M`, `1.5G`; K is 1024. `max`
//! means no limit. A percentage (`-m 50%`, `--memory-high 40%`, `--cpus 25%`) counts from the lowest limit of the groups
//! above the new one. If these have no limit, it counts from the memory of the host, or from the CPUs that cgexec may run
//! on; for `--cpus` from these CPUs at most. `--set` writes to any other control file, by its v2 name or, if only v1 has
//! it, by its v1 name. On v1, cgexec translates a limit that has another form there (memory.max, memory.swap.max, cpu.max, cpu.weight,
//! cpuset, pids.max, io.max, hugetlb). If v1 has no such limit, cgexec fails and does not run the program. v1 limits
//! swap only together with memory, so `--swap` needs `--memory` there.
//!
//! # Report
//!
//! When the program has ended, `--report` writes to standard error what its groups used: CPU time, the peaks of
//! memory and processes, how often the CPU limit throttled it, the OOM kills and the group whose limit caused them,
//! and how long it stalled for CPU, memory or I/O. A value that the kernel or the groups do not measure is
//! `not measured`, and `null` in JSON. The peaks of a group that existed before are not measured.
//!
//! Without `--report` cgexec prints one line on standard error if a memory limit killed the program, or a process of
//! it: the limit, and the group that has it. The line is printed only if standard error is a terminal; with
//! `CTRBOX_HINTS=always` in the environment always, with `CTRBOX_HINTS=never` never.
//!
//! # Exit status
//!
//! The status of the program. If cgexec waits for the program and a signal kills it, cgexec dies of the same signal.
//! 124 if `--timeout` ended the program, 127 if the program is not found, 126 if it cannot be executed, 125 if cgexec
//! fails.
//!
//! # Environment
//!
//! - `CTRBOX_HINTS`: `always` prints hints even if standard error is not a terminal, `never` suppresses them.
//! - `PATH`: where a program without a slash in its name is searched; /bin and /usr/bin if it is not set.
//!
//! # Files
//!
//! - `/etc/cgrules.conf`, `/etc/cgrules.d`: the rules that choose groups if no option does.
//! - `/etc/passwd`, `/etc/group`: the names in the rules.
//! - `/sys/fs/cgroup`: the control groups, where /proc/self/mountinfo says that they are mounted.
//! - `/var/run/libcgroup/systemd`: the default group of libcgroup, to which paths in the rules and of `-g` are
//!   relative.
//! - `/var/run/cgred.socket`: the socket of cgrulesengd(8), which is asked to leave the program in its groups.
//! - State files of runtimes: the names of containers in `--like`; ctrbox(1) lists the paths.
//!
//! # Examples
//!
//! Run a program in groups that exist:
//!
//! ```text
//! cgexec -g cpu,memory:web -g pids:small make
//! ```
//!
//! Run a program with limits, and report what it used:
//!
//! ```text
//! cgexec -m 512M --cpus 1.5 --pids 100 --report make -j8
//! ```
//!
//! Run tests, and leave no process behind:
//!
//! ```text
//! cgexec --kill --timeout 10m ./run-tests
//! ```
//!
//! Run a shell in the control groups of the container `web`:
//!
//! ```text
//! cgexec --like web sh
//! ```
//!
//! # See also
//!
//! ctr-ps(1), nsenter(1), cgroups(7), cgrules.conf(5)

mod act;
mod daemon;
mod plan;
mod report;
mod rules;

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::cli::{Applet, Call, Effect, Grammar, Opt, set};
use crate::container::target::Target;
use crate::exit::{Exit, Outcome};
use crate::isolation::cgroup::limits::{self, Setting};
use crate::text;

/// What the command line asks for.
#[derive(Default)]
struct Request {
    specs: Vec<OsString>,
    like: Option<Target>,
    sticky: bool,
    from_root: bool,
    replace_idle: bool,
    create: bool,
    keep: bool,
    kill: bool,
    timeout: Option<Duration>,
    limits: Vec<Setting>,
    report: Option<report::Form>,
    report_file: Option<OsString>,
    dry_run: bool,
}

pub(crate) static APPLET: Applet = Applet {
    name: "cgexec",
    section: 1,
    failure: 125,
    about: "run a program in control groups, and limit, measure and end it there",
    run,
    grammar: &GRAMMAR,
};

static GRAMMAR: Grammar<Request> = Grammar {
    usage: "[options] program [argument...]",
    stops_at_operand: true,
    options: &[
        Opt::new(
            Some('g'),
            "group",
            "run in this group (may be given several times)",
            Effect::Required(spec),
        )
        .takes("controllers:path"),
        Opt::new(
            None,
            "like",
            "run in the control groups of this process or container",
            Effect::Required(like),
        )
        .takes("target")
        .added(),
        Opt::new(
            Some('s'),
            "sticky",
            "ask cgrulesengd to leave the program's children alone too",
            Effect::Flag(|r| set(&mut r.sticky)),
        ),
        Opt::new(
            Some('b'),
            "from-root",
            "ignore the default group of libcgroup for systemd (/run/libcgroup/systemd)",
            Effect::Flag(|r| set(&mut r.from_root)),
        ),
        Opt::new(
            Some('r'),
            "replace-idle",
            "end the idle process that keeps a systemd scope of libcgroup alive",
            Effect::Flag(|r| set(&mut r.replace_idle)),
        ),
        Opt::new(
            None,
            "create",
            "create the missing groups, and remove them at the end",
            Effect::Flag(|r: &mut Request| set(&mut r.create)),
        )
        .added(),
        Opt::new(
            None,
            "keep",
            "do not remove the groups that were created",
            Effect::Flag(|r: &mut Request| set(&mut r.keep)),
        )
        .added(),
        Opt::new(
            None,
            "kill",
            "kill the processes that remain in the groups when the program has ended",
            Effect::Flag(|r: &mut Request| set(&mut r.kill)),
        )
        .added(),
        Opt::new(
            None,
            "timeout",
            "end the program after this time (10, 1.5s, 5m, 2h, 1d)",
            Effect::Required(timeout),
        )
        .takes("duration")
        .added(),
        limit(
            Some('m'),
            "memory",
            "limit memory: a size, or a percentage of the limit above",
            "size",
            |r, v| r.limit(limits::memory(v)?),
        ),
        limit(None, "memory-high", "throttle above this much memory (v2)", "size", |r, v| {
            r.limit(limits::memory_high(v)?)
        }),
        limit(None, "swap", "limit swap", "size", |r, v| r.limit(limits::swap_max(v)?)),
        limit(
            None,
            "cpus",
            "limit CPU time to this many processors, or to a percentage",
            "number",
            |r, v| r.limit(limits::cpus(v)?),
        ),
        limit(
            None,
            "cpu-weight",
            "share of CPU time under contention (1 to 10000, default 100)",
            "weight",
            |r, v| r.limit(limits::cpu_weight(v)?),
        ),
        limit(None, "cpuset", "run only on these processors", "list", |r, v| r.limit(limits::cpuset(v)?)),
        limit(None, "pids", "limit the number of processes and threads", "number", |r, v| {
            r.limit(limits::pids(v)?)
        }),
        limit(
            None,
            "io-max",
            "limit a block device: DEV:rbps=10M,wbps=1M,riops=100,wiops=100",
            "limits",
            |r, v| r.limit(limits::io_max(v)?),
        ),
        limit(None, "hugetlb", "limit huge pages, as SIZE or PAGESIZE:SIZE", "size", |r, v| {
            r.limit(limits::hugetlb(v)?)
        }),
        limit(None, "set", "write a value to a control file", "file=value", |r, v| r.limit(limits::raw(v)?)),
        Opt::new(
            None,
            "report",
            "report at the end what the program used, as text or json",
            Effect::Optional(report),
        )
        .takes("form")
        .added(),
        Opt::new(None, "report-file", "write the report to this file", Effect::Required(report_file))
            .takes("file")
            .added(),
        Opt::new(
            Some('n'),
            "dry-run",
            "only show what would be created, written and run",
            Effect::Flag(|r: &mut Request| set(&mut r.dry_run)),
        )
        .added(),
        Opt::help(),
        Opt::version(),
    ],
    groups: &[
        ("group", "Groups"),
        ("create", "Life of the groups and the program"),
        ("memory", "Limits"),
        ("report", "Report"),
        ("dry-run", "Other options"),
    ],
};

fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let program = GRAMMAR.parse(call, &mut request)?;
    if program.is_empty() {
        return Err(Exit::Usage(format!("{}: no program given", text::shown(&call.argv0))));
    }
    request.check()?;
    act::act(call.name, &request, &program)
}

type Valued = fn(&mut Request, &OsStr) -> Result<(), Exit>;

const fn limit(
    letter: Option<char>,
    long: &'static str,
    help: &'static str,
    value: &'static str,
    effect: Valued,
) -> Opt<Request> {
    Opt::new(letter, long, help, Effect::Required(effect)).takes(value).added()
}

impl Request {
    /// The last setting of a file wins. io.max takes one setting for each device.
    fn limit(&mut self, setting: Setting) -> Result<(), Exit> {
        let same = |old: &Setting| old.file == setting.file && setting.file != "io.max";
        self.limits.retain(|old| !same(old));
        self.limits.push(setting);
        Ok(())
    }

    /// Does an option need a new group, if no group is given?
    fn own_group(&self) -> bool {
        self.create || self.keep || self.kill || self.report.is_some() || !self.limits.is_empty()
    }

    /// Does cgexec create groups?
    fn makes(&self) -> bool {
        self.create || (self.specs.is_empty() && self.like.is_none() && self.own_group())
    }

    /// Does cgexec wait for the program, instead of becoming it?
    fn waits(&self) -> bool {
        self.makes() || self.report.is_some() || self.timeout.is_some()
    }

    fn check(&mut self) -> Result<()> {
        if self.report_file.is_some() {
            self.report.get_or_insert(report::Form::Text);
        }
        if self.like.is_some() && (!self.specs.is_empty() || self.own_group()) {
            bail!(
                "--like joins existing groups: it cannot be combined with -g, --create, limits or --report"
            );
        }
        if (self.kill || self.keep) && !self.makes() {
            let option = if self.kill { "--kill" } else { "--keep" };
            bail!("{option} needs groups that cgexec creates: add --create, or omit -g");
        }
        Ok(())
    }
}

fn spec(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    request.specs.push(word.to_os_string());
    Ok(())
}

fn report(request: &mut Request, form: Option<&OsStr>) -> Result<(), Exit> {
    request.report = Some(report::Form::parse(form)?);
    Ok(())
}

fn report_file(request: &mut Request, file: &OsStr) -> Result<(), Exit> {
    request.report_file = Some(file.to_os_string());
    Ok(())
}

fn like(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    let refused =
        |errno| anyhow::Error::from(errno).context(format!("failed to parse target '{}'", text::shown(word)));
    request.like = Some(Target::parse(word).map_err(refused)?);
    Ok(())
}

fn timeout(request: &mut Request, word: &OsStr) -> Result<(), Exit> {
    let wrong = || anyhow!("invalid duration '{}' (10, 1.5s, 5m, 2h, 1d)", text::shown(word));
    request.timeout = Some(word.to_str().and_then(duration).ok_or_else(wrong)?);
    Ok(())
}

/// Seconds, or a number with a unit.
fn duration(word: &str) -> Option<Duration> {
    let (number, unit) = match word.char_indices().last()? {
        (at, 's') => (&word[..at], 1.0),
        (at, 'm') => (&word[..at], 60.0),
        (at, 'h') => (&word[..at], 3600.0),
        (at, 'd') => (&word[..at], 86400.0),
        _ => (word, 1.0),
    };
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let seconds = number.parse::<f64>().ok()? * unit;
    Some(Duration::try_from_secs_f64(seconds).ok()?.min(Duration::from_secs(1 << 32)))
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    rules::fuzz(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("10"), Some(Duration::from_secs(10)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        for word in ["", "s", "-1", "1e3", "inf", "nan", "1x", ".", "1.2.3"] {
            assert_eq!(duration(word), None, "{word}");
        }
    }
}
