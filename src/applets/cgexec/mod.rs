//! `cgexec` runs a program in control groups. It is the `cgexec` of libcgroup, with the work that is done around
//! it by hand: to make the group, to set its limits, to say what was used, to end what is left, and to remove it.
//!
//! `-g` names groups that exist, as often as is needed. CONTROLLERS is a list with commas, `*` for all that are
//! mounted, `name=systemd` for a hierarchy that has no controller, or nothing for the v2 group whatever its
//! controllers. PATH begins at the mount point of the hierarchy. Controllers of v1 and v2 may be mixed. The
//! program takes our place then: same PID, terminal and signals.
//!
//! With neither `-g`, `--like` nor an option that asks for a group of the program's own, the groups are those that
//! the first fitting rule of /etc/cgrules.conf and /etc/cgrules.d/* gives, see cgrules.conf(5). When no rule fits,
//! the program runs where we are; when there is no file of rules, cgexec fails. A group whose name comes from a template (`%u` and such) is made if it is
//! missing; /etc/cgconfig.conf is not read for it.
//!
//! TARGET of `--like` is a PID or a container, as nsenter(1) takes it. The control groups of a container that
//! ctr-ps(1) shows with a question mark are joined only if the question mark is part of TARGET
//! (`--like 'docker:0123456789ab?'`, with quotes): no state file confirms it, and any user can make one like that.
//! Otherwise cgexec exits with status 125. When a container belongs to a user who is neither the caller nor root,
//! a line on standard error says to whom.
//!
//! # A group of its own
//!
//! `--create` makes the groups that are missing, those above them too, turns on their controllers on the way and,
//! of v1, gives a new cpuset what its parent has. Without `-g` the group is a fresh one, `ctrbox/PID` below the
//! one we are in or, of v2, the nearest above that may have groups below it; a limit, `--report` and `--kill` ask
//! for that by themselves, `--timeout` does not. On v2 the program starts inside the group, where the kernel can do that.
//!
//! cgexec then waits, passes on SIGTERM, SIGINT and SIGHUP, and ends as the program does. What was made is removed
//! at the end, controllers that were turned on are turned off, unless somebody else needs them by now. Something
//! of the program's may still run in the group: that is left alone, and the group is removed when it has ended, by
//! a process that stays behind for it; or with `--kill` it is ended too. The same is done when cgexec is killed.
//! A group that was there before is never removed, but limits that were asked for are set in it, and stay.
//!
//! # Limits
//!
//! They are the same on v1 and v2. SIZE is in bytes or has a unit: `512M`, `1.5G`; K is 1024. `max` is no limit.
//! `--set` takes every other control file by its name on v2, or what v1 alone has. A limit that v1 has in another
//! form is translated (memory.max, memory.swap.max, cpu.max, cpu.weight, cpuset, pids.max, io.max, hugetlb), one
//! that it does not have is an error, and nothing is run. On v1 swap is limited together with memory, so that
//! `--swap` needs `--memory`.
//!
//! # Report
//!
//! `--report` writes to the standard error, when the program has ended, what its groups used: time, the peaks of
//! memory and processes, how often its processors were taken away, who was killed for want of memory and the
//! limit of which group that was, and how long it stood still for lack of processors, memory or devices. What the
//! kernel or the groups do not measure is `not measured`, and `null` in JSON; a peak of a group that was there
//! before is not measured either.
//!
//! # Exit status
//!
//! That of the program; when a signal killed a program that we waited for, cgexec dies of the same signal. 124 if
//! `--timeout` ended it, 127 if it is not found, 126 if it cannot be executed, 125 if cgexec fails.
//!
//! # Examples
//!
//! In groups that exist:
//!
//! ```text
//! cgexec -g cpu,memory:web -g pids:small make
//! ```
//!
//! With limits, and what it used at the end:
//!
//! ```text
//! cgexec -m 512M --cpus 1.5 --pids 100 --report make -j8
//! ```
//!
//! Nothing of it stays, whatever it starts:
//!
//! ```text
//! cgexec --kill --timeout 10m ./run-tests
//! ```
//!
//! A shell that counts as the container `web` does:
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

use crate::cli::{Call, Effect, Grammar, Opt, set};
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
        Opt::new(None, "like", "run in all groups of this process or container", Effect::Required(like))
            .takes("target"),
        Opt::new(
            Some('s'),
            "sticky",
            "tell cgrulesengd to leave the program's children alone too",
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
            "end the process by which libcgroup keeps a systemd scope",
            Effect::Flag(|r| set(&mut r.replace_idle)),
        ),
        Opt::new(
            None,
            "create",
            "make the groups, and remove them in the end",
            Effect::Flag(|r| set(&mut r.create)),
        ),
        Opt::new(None, "keep", "leave the groups that were made", Effect::Flag(|r| set(&mut r.keep))),
        Opt::new(
            None,
            "kill",
            "end all that is left in the groups when the program has ended",
            Effect::Flag(|r| set(&mut r.kill)),
        ),
        Opt::new(None, "timeout", "end it after this time (10, 1.5s, 5m, 2h, 1d)", Effect::Required(timeout))
            .takes("duration"),
        limit(Some('m'), "memory", "limit memory", "size", |r, v| r.limit(limits::memory(v)?)),
        limit(None, "memory-high", "slow down above so much memory (v2)", "size", |r, v| {
            r.limit(limits::memory_high(v)?)
        }),
        limit(None, "swap", "limit swap", "size", |r, v| r.limit(limits::swap_max(v)?)),
        limit(None, "cpus", "limit time to that of so many processors", "number", |r, v| {
            r.limit(limits::cpus(v)?)
        }),
        limit(
            None,
            "cpu-weight",
            "share of contended processors (1 to 10000, 100 is usual)",
            "weight",
            |r, v| r.limit(limits::cpu_weight(v)?),
        ),
        limit(None, "cpuset", "run on these processors only", "list", |r, v| r.limit(limits::cpuset(v)?)),
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
        limit(None, "set", "write to a control file", "file=value", |r, v| r.limit(limits::raw(v)?)),
        Opt::new(None, "report", "say in the end what was used, as text or json", Effect::Optional(report))
            .takes("form"),
        Opt::new(None, "report-file", "write the report to this file", Effect::Required(report_file))
            .takes("file"),
        Opt::new(
            Some('n'),
            "dry-run",
            "only show what would be made, written and run",
            Effect::Flag(|r| set(&mut r.dry_run)),
        ),
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

pub(crate) fn run(call: &Call) -> Outcome {
    let mut request = Request::default();
    let program = GRAMMAR.parse(call, &mut request)?;
    if program.is_empty() {
        return Err(Exit::Usage(format!("{}: no program is named", text::shown(&call.argv0))));
    }
    request.check()?;
    act::act(call.name, &request, &program)
}

#[must_use]
pub(crate) fn options(name: &'static str, about: &'static str) -> clap::Command {
    GRAMMAR.command(name, about)
}

type Valued = fn(&mut Request, &OsStr) -> Result<(), Exit>;

const fn limit(
    letter: Option<char>,
    long: &'static str,
    help: &'static str,
    value: &'static str,
    effect: Valued,
) -> Opt<Request> {
    Opt::new(letter, long, help, Effect::Required(effect)).takes(value)
}

impl Request {
    /// The last one of a file counts; of io.max there is one a device.
    fn limit(&mut self, setting: Setting) -> Result<(), Exit> {
        let same = |old: &Setting| old.file == setting.file && setting.file != "io.max";
        self.limits.retain(|old| !same(old));
        self.limits.push(setting);
        Ok(())
    }

    /// Is a group of the program's own asked for, when none is named?
    fn own_group(&self) -> bool {
        self.create || self.keep || self.kill || self.report.is_some() || !self.limits.is_empty()
    }

    /// Are groups to be made?
    fn makes(&self) -> bool {
        self.create || (self.specs.is_empty() && self.like.is_none() && self.own_group())
    }

    /// Do we wait for the program, or become it?
    fn waits(&self) -> bool {
        self.makes() || self.report.is_some() || self.timeout.is_some()
    }

    fn check(&mut self) -> Result<()> {
        if self.report_file.is_some() {
            self.report.get_or_insert(report::Form::Text);
        }
        if self.like.is_some() && (!self.specs.is_empty() || self.own_group()) {
            bail!(
                "--like joins the groups of another: it cannot be combined with -g, --create, limits or --report"
            );
        }
        if (self.kill || self.keep) && !self.makes() {
            let option = if self.kill { "--kill" } else { "--keep" };
            bail!("{option} is for groups that we make: add --create, or leave out -g");
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
    let wrong = || anyhow!("'{}' is no duration (10, 1.5s, 5m, 2h, 1d)", text::shown(word));
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
