//! Creates and limits the groups and starts the program in them. If cgexec does not become the program, it then
//! waits for the program, reports, and removes what it created.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{ForkResult, Pid, pipe2};

use super::plan::{Plan, plan};
use super::report::{Report, Watch};
use super::{Request, daemon};
use crate::exit::{self, Exit, Outcome, say, warn};
use crate::isolation::cgroup::{self, CleanupGuard, Group, Refused, Step};
use crate::launch::exec::{self, ChildSupervisor};
use crate::output::Out;
use crate::proc::ProcRoot;
use crate::sys::{self, Ended};
use crate::text;

const FORWARD: &[Signal] = &[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// The status of timeout(1).
const TIMED_OUT: u8 = 124;
/// The time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn act(name: &'static str, request: &Request, program: &[OsString]) -> Outcome {
    let proc = ProcRoot::default();
    if request.dry_run {
        return show(&plan(&proc, request, program)?, request, program);
    }
    if request.waits() {
        return wait_for(name, &proc, request, program);
    }
    let plan = plan(&proc, request, program)?;
    if !plan.steps.is_empty() {
        let mut cleanup = CleanupGuard::start(false)?;
        create(&plan, request.makes(), &mut cleanup).or_else(|error| {
            cleanup.rollback()?;
            Err(error)
        })?;
        cleanup.disarm();
    }
    Err(become_program(&proc, request, &plan.groups, program))
}

/// Executes the program. Returns only on failure.
fn become_program(proc: &ProcRoot, request: &Request, groups: &[Group], program: &[OsString]) -> Exit {
    match join_groups(proc, request, groups) {
        Ok(()) => exec::exec(program, None),
        Err(error) => error.into(),
    }
}

/// Joins the groups. Opens all of them before it joins the first, so that a missing group changes nothing.
fn join_groups(proc: &ProcRoot, request: &Request, groups: &[Group]) -> Result<()> {
    daemon::leave_alone(request.sticky)?;
    let files = groups.iter().map(cgroup::open).collect::<Result<Vec<OwnedFd>>>()?;
    for (group, file) in groups.iter().zip(&files) {
        cgroup::enter(group, file)?;
    }
    if request.replace_idle {
        daemon::replace_idle(proc, groups)?;
    }
    Ok(())
}

fn wait_for(name: &'static str, proc: &ProcRoot, request: &Request, program: &[OsString]) -> Outcome {
    exec::reset_sigchld()?;
    let supervisor = ChildSupervisor::new(None, FORWARD)?;
    // From here on no signal ends this process before it has removed what it creates.
    let blocked = supervisor.block()?;
    let mut cleanup = CleanupGuard::start(request.kill)?;
    let begun = plan_and_create(proc, request, program, &mut cleanup).and_then(|plan| {
        let wanted = request.report.is_some() || exit::hints_wanted();
        let watch = wanted.then(|| Watch::start(&plan.groups, request.makes()));
        let started = start(proc, request, &plan.groups, program, &blocked)?;
        Ok((plan, watch, started))
    });
    let (plan, watch, child, failure) = match begun {
        Ok((plan, watch, Started::Parent(child, failure))) => (plan, watch, child, failure),
        Ok((_, _, Started::Failed(exit))) => return Err(exit),
        Err(error) => {
            clean_up(name, cleanup);
            return Err(error.into());
        }
    };
    let deadline = request.timeout.map(|limit| Instant::now() + limit);
    let ended = supervisor.wait(child, deadline).and_then(|ended| match ended {
        Some(ended) => Ok((ended, false)),
        None => time_is_up(&supervisor, child, &cleanup).map(|ended| (ended, true)),
    });
    if request.kill {
        cleanup.kill();
    }
    let measured = watch.map(|watch| watch.finish(&plan.groups));
    if request.keep && ended.is_ok() && !failure.is_some_and(|failure| failed(&failure)) {
        keep(name, &plan, cleanup);
    } else {
        clean_up(name, cleanup);
    }
    let (ended, timed_out) = ended?;
    match (measured, request.report) {
        (Some(measured), Some(form)) => write_report(request, &measured.ended(program, ended), form)?,
        (Some(measured), None) => _ = measured.note(ended).map(|note| warn(name, &note)),
        (None, _) => {}
    }
    match (timed_out, request.timeout) {
        (true, Some(limit)) => {
            let error = anyhow!("the program was ended after {} s (--timeout)", limit.as_secs_f64());
            Err(Exit::failed(TIMED_OUT, error))
        }
        _ => exec::as_child(ended),
    }
}

/// Creates the groups. Tries again if another run removes one of them at the same time.
fn plan_and_create(
    proc: &ProcRoot,
    request: &Request,
    program: &[OsString],
    cleanup: &mut CleanupGuard,
) -> Result<Plan> {
    let mut tries = 0;
    loop {
        let outcome = plan(proc, request, program)
            .and_then(|plan| create(&plan, request.makes(), cleanup).map(|()| plan));
        match outcome {
            Err(error) if request.makes() && tries < tries_after(&error) => {
                cleanup.rollback()?;
                tries += 1;
                _ = sys::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

/// The number of tries after an error that a concurrent run can cause by creating or removing a directory. For
/// ENOENT it is lower: the kernel may not have the file at all.
fn tries_after(error: &Error) -> u32 {
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<Refused>());
    match refused.map(|refused| refused.errno) {
        Some(Errno::ENODEV | Errno::EEXIST) => 100,
        Some(Errno::ENOENT) => 20,
        _ => 0,
    }
}

fn create(plan: &Plan, makes: bool, cleanup: &mut CleanupGuard) -> Result<()> {
    for group in plan.groups.iter().filter(|_| !plan.stays) {
        cleanup.hold_above(group);
    }
    plan.steps.iter().try_for_each(|step| cgroup::make(step, cleanup))?;
    // Another run can have removed a group after it was planned, before it was held.
    let gone = plan.groups.iter().find(|group| makes && !group.directory().is_dir());
    match gone {
        Some(group) => Err(Error::new(Refused::new(Errno::ENODEV, "")).context(group.shown())),
        None => Ok(()),
    }
}

enum Started {
    /// The child writes a byte to the pipe if it cannot execute the program.
    Parent(Pid, Option<OwnedFd>),
    /// Returned in the child, which could not execute the program.
    Failed(Exit),
}

/// Starts the child: directly inside the v2 group, if the kernel supports it.
fn start(
    proc: &ProcRoot,
    request: &Request,
    groups: &[Group],
    program: &[OsString],
    blocked: &SigSet,
) -> Result<Started> {
    let pipe = request.keep.then(|| pipe2(OFlag::O_CLOEXEC)).transpose().context("pipe failed")?;
    let (failure, fails) = pipe.unzip();
    let v2 = groups.iter().find(|group| group.v2);
    let forked = v2.and_then(|group| cgroup::fork_into(group).transpose()).transpose()?;
    let born_inside = forked.is_some();
    match forked.map_or_else(|| sys::fork().context("fork failed"), Ok)? {
        ForkResult::Parent { child } => Ok(Started::Parent(child, failure)),
        ForkResult::Child => {
            let rest: Vec<Group> =
                groups.iter().filter(|group| !(group.v2 && born_inside)).cloned().collect();
            let unmasked = blocked.thread_unblock().context("sigprocmask failed");
            let exit = match unmasked {
                Ok(()) => become_program(proc, request, &rest, program),
                Err(error) => error.into(),
            };
            if let Some(fails) = fails {
                _ = nix::unistd::write(&fails, b"x");
            }
            Ok(Started::Failed(exit))
        }
    }
}

/// Sends SIGTERM to all processes in the groups that cgexec created, and SIGKILL after the grace period.
fn time_is_up(supervisor: &ChildSupervisor, child: Pid, cleanup: &CleanupGuard) -> Result<Ended> {
    if !cleanup.terminate() {
        _ = kill(child, Signal::SIGTERM);
    }
    let deadline = Instant::now() + GRACE;
    let ended = supervisor.wait(child, Some(deadline))?;
    cleanup.kill_at(deadline);
    if let Some(ended) = ended {
        return Ok(ended);
    }
    _ = kill(child, Signal::SIGKILL);
    sys::wait(child, 0).context("waitpid failed")
}

fn failed(failure: &OwnedFd) -> bool {
    nix::unistd::read(failure, &mut [0]) == Ok(1)
}

fn keep(name: &str, plan: &Plan, cleanup: CleanupGuard) {
    let kept: Vec<String> = plan.groups.iter().map(|group| shown(&group.directory())).collect();
    warn(name, &format!("kept: {}", kept.join(" ")));
    cleanup.disarm();
}

fn clean_up(name: &str, cleanup: CleanupGuard) {
    match cleanup.end() {
        Ok(None) => {}
        Ok(Some(group)) => {
            let group = shown(&group);
            warn(
                name,
                &format!("processes still run in {group}; it is removed when they end (--kill kills them)"),
            );
        }
        Err(error) => warn(name, &crate::errno::chain(&error)),
    }
}

fn write_report(request: &Request, report: &Report<'_>, form: super::report::Form) -> Result<()> {
    let text = report.render(form)?;
    match &request.report_file {
        Some(file) => std::fs::write(file, text)
            .with_context(|| format!("cannot write the report to {}", text::shown(file))),
        None => {
            say(text.trim_end_matches('\n'));
            Ok(())
        }
    }
}

/// The shell command that enables (`+`) or disables (`-`) controllers for the child groups of a directory.
fn switched<T: std::fmt::Display>(sign: char, directory: &Path, names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{sign}{name}")).collect();
    format!("echo {} >{}", names.join(" "), shown(&directory.join("cgroup.subtree_control")))
}

/// Prints the steps as shell commands, for `--dry-run`.
fn show(plan: &Plan, request: &Request, program: &[OsString]) -> Outcome {
    let mut out = Out::stdout();
    for step in &plan.steps {
        match step {
            Step::Make(directory) => writeln!(out, "mkdir {}", shown(directory))?,
            Step::Family(directory) => writeln!(out, "mkdir -p {}", shown(directory))?,
            Step::Enable(directory, names) => writeln!(out, "{}", switched('+', directory, names))?,
            Step::Seed(directory) => {
                let parent = directory.parent().unwrap_or(directory);
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    writeln!(out, "cat {} >{}", shown(&parent.join(file)), shown(&directory.join(file)))?;
                }
            }
            Step::Set(file, value) => {
                writeln!(out, "echo {} >{}", text::escape(value.as_bytes()), shown(file))?
            }
        }
    }
    // A shell of its own: the caller's stays where it is, and removes the groups. 0 is the process that writes.
    writeln!(out, "(")?;
    for group in &plan.groups {
        writeln!(out, "echo 0 >{}", shown(&group.entrance()))?;
    }
    let words: Vec<_> = program.iter().map(|word| text::shown(word)).collect();
    writeln!(out, "exec {}\n)", words.join(" "))?;
    if request.makes() && !request.keep {
        for step in plan.steps.iter().rev() {
            match step {
                Step::Make(directory) | Step::Family(directory) => {
                    writeln!(out, "rmdir {}", shown(directory))?
                }
                Step::Enable(directory, names) => writeln!(out, "{}", switched('-', directory, names))?,
                Step::Seed(_) | Step::Set(..) => {}
            }
        }
    }
    out.finish()?;
    Ok(0)
}

fn shown(path: &Path) -> String {
    text::shown(path.as_os_str()).into_owned()
}
