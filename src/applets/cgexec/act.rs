//! What cgexec does: groups are made and limited, then the program starts in them; then, if we did not become
//! it, we wait, report, and undo.

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
use crate::exit::{Exit, Outcome, say, warn};
use crate::isolation::cgroup::{self, CleanupGuard, Group, Refused, Step};
use crate::launch::exec::{self, ChildSupervisor};
use crate::output::Out;
use crate::proc::ProcRoot;
use crate::sys::{self, Ended};
use crate::text;

const FORWARD: &[Signal] = &[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// As timeout(1) has it.
const TIMED_OUT: u8 = 124;
/// Between being asked to end and being killed.
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
        let mut care = CleanupGuard::start(false)?;
        carry_out(&plan, &mut care).or_else(|error| {
            care.rollback()?;
            Err(error)
        })?;
        care.disarm();
    }
    Err(become_program(&proc, request, &plan.groups, program))
}

/// Comes back only with the reason why not.
fn become_program(proc: &ProcRoot, request: &Request, groups: &[Group], program: &[OsString]) -> Exit {
    match settle(proc, request, groups) {
        Ok(()) => exec::exec(program, None),
        Err(error) => error.into(),
    }
}

/// Joins the groups, all of which are known to be there before the first is joined.
fn settle(proc: &ProcRoot, request: &Request, groups: &[Group]) -> Result<()> {
    daemon::leave_alone(request.sticky)?;
    let entrances = groups.iter().map(cgroup::open).collect::<Result<Vec<OwnedFd>>>()?;
    for (group, entrance) in groups.iter().zip(&entrances) {
        cgroup::enter(group, entrance)?;
    }
    if request.replace_idle {
        daemon::replace_idle(proc, groups)?;
    }
    Ok(())
}

fn wait_for(name: &'static str, proc: &ProcRoot, request: &Request, program: &[OsString]) -> Outcome {
    exec::reset_sigchld()?;
    let guardian = ChildSupervisor::new(None, FORWARD)?;
    // From here on no signal ends us before what we make has been undone.
    let mask = guardian.block()?;
    let mut care = CleanupGuard::start(request.kill)?;
    let begun = establish(proc, request, program, &mut care).and_then(|plan| {
        let watch = request.report.map(|_| Watch::start(&plan.groups, request.makes()));
        let started = start(proc, request, &plan.groups, program, &mask)?;
        Ok((plan, watch, started))
    });
    let (plan, watch, child, failure) = match begun {
        Ok((plan, watch, Started::Parent(child, failure))) => (plan, watch, child, failure),
        Ok((_, _, Started::Failed(exit))) => return Err(exit),
        Err(error) => {
            clean_up(name, care);
            return Err(error.into());
        }
    };
    let deadline = request.timeout.map(|limit| Instant::now() + limit);
    let ended = guardian.wait(child, deadline).and_then(|ended| match ended {
        Some(ended) => Ok((ended, false)),
        None => time_is_up(&guardian, child, &care).map(|ended| (ended, true)),
    });
    if request.kill {
        care.kill();
    }
    let report = watch.map(|watch| watch.finish(&plan.groups));
    if request.keep && ended.is_ok() && !failure.is_some_and(|failure| failed(&failure)) {
        keep(name, &plan, care);
    } else {
        clean_up(name, care);
    }
    let (ended, timed_out) = ended?;
    if let (Some(report), Some(form)) = (report, request.report) {
        tell(request, &report.ended(program, ended), form)?;
    }
    match (timed_out, request.timeout) {
        (true, Some(limit)) => {
            let error = anyhow!("it was ended after {} s, as --timeout has it", limit.as_secs_f64());
            Err(Exit::failed(TIMED_OUT, error))
        }
        _ => exec::as_child(ended),
    }
}

/// Groups that another run removes at the same moment are made anew.
fn establish(
    proc: &ProcRoot,
    request: &Request,
    program: &[OsString],
    care: &mut CleanupGuard,
) -> Result<Plan> {
    let mut tries = 0;
    loop {
        let outcome = plan(proc, request, program).and_then(|plan| carry_out(&plan, care).map(|()| plan));
        match outcome {
            Err(error) if request.makes() && tries < vanished(&error) => {
                care.rollback()?;
                tries += 1;
                _ = sys::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

/// Did a directory go between two of our steps, or come? How often that is worth another try: a file that is not
/// there may be one that this kernel does not have.
fn vanished(error: &Error) -> u32 {
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<Refused>());
    match refused.map(|refused| refused.errno) {
        Some(Errno::ENODEV | Errno::EEXIST) => 100,
        Some(Errno::ENOENT) => 20,
        _ => 0,
    }
}

fn carry_out(plan: &Plan, care: &mut CleanupGuard) -> Result<()> {
    for group in plan.groups.iter().filter(|_| !plan.stays) {
        care.hold_above(group);
    }
    plan.steps.iter().try_for_each(|step| cgroup::make(step, care))
}

enum Started {
    /// What can be read, once it has ended, says that it did not become the program.
    Parent(Pid, Option<OwnedFd>),
    /// In the child, which could not become the program.
    Failed(Exit),
}

/// Of v2 the child begins its life inside, if the kernel can do that.
fn start(
    proc: &ProcRoot,
    request: &Request,
    groups: &[Group],
    program: &[OsString],
    mask: &SigSet,
) -> Result<Started> {
    let pipe = request.keep.then(|| pipe2(OFlag::O_CLOEXEC)).transpose().context("pipe failed")?;
    let (failure, fails) = pipe.unzip();
    let v2 = groups.iter().find(|group| group.v2);
    let inside = v2.and_then(|group| cgroup::fork_into(group).transpose()).transpose()?;
    let begun_inside = inside.is_some();
    match inside.map_or_else(|| sys::fork().context("fork failed"), Ok)? {
        ForkResult::Parent { child } => Ok(Started::Parent(child, failure)),
        ForkResult::Child => {
            let rest: Vec<Group> =
                groups.iter().filter(|group| !(group.v2 && begun_inside)).cloned().collect();
            let unmasked = mask.thread_set_mask().context("sigprocmask failed");
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

/// Asks all that runs in groups of ours to end, then makes them.
fn time_is_up(guardian: &ChildSupervisor, child: Pid, care: &CleanupGuard) -> Result<Ended> {
    if !care.terminate() {
        _ = kill(child, Signal::SIGTERM);
    }
    let deadline = Instant::now() + GRACE;
    let ended = guardian.wait(child, Some(deadline))?;
    care.kill_at(deadline);
    if let Some(ended) = ended {
        return Ok(ended);
    }
    _ = kill(child, Signal::SIGKILL);
    sys::wait(child, 0).context("waitpid failed")
}

fn failed(failure: &OwnedFd) -> bool {
    nix::unistd::read(failure, &mut [0]) == Ok(1)
}

fn keep(name: &str, plan: &Plan, care: CleanupGuard) {
    let kept: Vec<String> = plan.groups.iter().map(|group| shown(&group.directory())).collect();
    warn(name, &format!("kept: {}", kept.join(" ")));
    care.disarm();
}

fn clean_up(name: &str, care: CleanupGuard) {
    match care.end() {
        Ok(None) => {}
        Ok(Some(group)) => {
            let group = shown(&group);
            warn(
                name,
                &format!("something still runs in {group}, which is removed when that ends (--kill ends it)"),
            );
        }
        Err(error) => warn(name, &crate::errno::chain(&error)),
    }
}

fn tell(request: &Request, report: &Report<'_>, form: super::report::Form) -> Result<()> {
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

/// Controllers put on or off for the groups below one.
fn switched<T: std::fmt::Display>(sign: char, directory: &Path, names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{sign}{name}")).collect();
    format!("echo {} >{}", names.join(" "), shown(&directory.join("cgroup.subtree_control")))
}

/// Line by line what would be done, in the words of a shell.
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
    for group in &plan.groups {
        writeln!(out, "echo $$ >{}", shown(&group.entrance()))?;
    }
    let words: Vec<_> = program.iter().map(|word| text::shown(word)).collect();
    writeln!(out, "exec {}", words.join(" "))?;
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
