//! Creates groups: finds the missing parts step by step, and notes how to undo each step.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::cleanup::{CleanupGuard, Undo};
use super::group::{Group, words, write};
use super::hierarchy::Hierarchies;
use super::join::{Refused, writable};
use crate::proc::ProcRoot;
use crate::text;

/// The name of the parent of all fresh groups, below the group of this process.
const FAMILY: &str = "ctrbox";

/// One step before a process can run in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Make(PathBuf),
    /// The parent of all fresh groups, removed together with the last of them.
    Family(PathBuf),
    /// cgroup.subtree_control: controllers to enable for the groups below.
    Enable(PathBuf, Vec<String>),
    /// Copies the values that a new v1 cpuset lacks from its parent.
    Seed(PathBuf),
    Set(PathBuf, String),
}

/// The missing parts of a group: directories, and on v2 the controllers.
pub(crate) fn steps(group: &Group) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut directory = group.mount_point.clone();
    let cpuset = !group.v2 && group.controllers.iter().any(|name| name == "cpuset");
    if group.v2 {
        let there = words(&directory.join("cgroup.controllers"))
            .with_context(|| format!("cannot read {}", directory.join("cgroup.controllers").display()))?;
        if let Some(lacking) = group.controllers.iter().find(|name| !there.contains(name)) {
            let directory = directory.display();
            return Err(anyhow!("{}: {directory} has no controller '{lacking}'", group.shown()));
        }
    }
    for component in group.path.components() {
        if group.v2 {
            let on = words(&directory.join("cgroup.subtree_control")).unwrap_or_default();
            let off: Vec<String> =
                group.controllers.iter().filter(|name| !on.contains(name)).cloned().collect();
            if !off.is_empty() {
                steps.push(Step::Enable(directory.clone(), off));
            }
        }
        directory.push(component);
        if group.fresh && component.as_os_str() == FAMILY {
            steps.push(Step::Family(directory.clone()));
        } else if !directory.is_dir() {
            steps.push(Step::Make(directory.clone()));
        }
        if cpuset && CPUSET.iter().any(|file| unset(&directory.join(file))) {
            steps.push(Step::Seed(directory.clone()));
        }
    }
    Ok(steps)
}

const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Is the file empty or missing?
fn unset(path: &Path) -> bool {
    words(path).map_or(true, |words| words.is_empty())
}

/// Makes a step. The guard gets the note how to undo it before.
pub(crate) fn make(step: &Step, guard: &mut CleanupGuard) -> Result<()> {
    match step {
        Step::Make(directory) => make_directory(directory, Undo::Group(directory.clone()), guard),
        Step::Family(directory) => make_directory(directory, Undo::Family(directory.clone()), guard),
        Step::Enable(directory, controllers) => enable(directory, controllers, guard),
        Step::Seed(directory) => seed(directory),
        Step::Set(file, value) => set(file, value),
    }
}

fn make_directory(directory: &Path, undo: Undo, guard: &mut CleanupGuard) -> Result<()> {
    let shared = matches!(undo, Undo::Family(_));
    guard.note(undo)?;
    let made = nix::unistd::mkdir(directory, Mode::from_bits_truncate(0o755));
    let Some(errno) = made.err().filter(|errno| !(shared && *errno == Errno::EEXIST)) else {
        guard.hold(directory);
        return Ok(());
    };
    guard.forget()?;
    let parent = directory.parent().unwrap_or(directory).display();
    let remedy = match errno {
        Errno::EACCES | Errno::EPERM => format!(
            "{parent} is not writable by you; name a group that is (-g), or start inside a delegated one: \
             systemd-run --user --scope -p Delegate=yes"
        ),
        Errno::EROFS => "control groups are mounted read-only here, as in a container".to_owned(),
        Errno::EAGAIN => {
            "a group above limits the number of groups: cgroup.max.descendants, cgroup.max.depth".to_owned()
        }
        _ => String::new(),
    };
    Err(Error::new(Refused::new(errno, remedy)).context(format!("cannot make {}", directory.display())))
}

fn enable(directory: &Path, controllers: &[String], guard: &mut CleanupGuard) -> Result<()> {
    let file = directory.join("cgroup.subtree_control");
    let on = words(&file).unwrap_or_default(); // another process may have enabled some
    let off: Vec<String> = controllers.iter().filter(|name| !on.contains(name)).cloned().collect();
    if off.is_empty() {
        return Ok(());
    }
    let text: Vec<String> = off.iter().map(|name| format!("+{name}")).collect();
    // Removing the parent of all fresh groups also disables its controllers.
    let stays = directory.file_name().is_none_or(|name| name.as_bytes() != FAMILY.as_bytes());
    if stays {
        guard.note(Undo::Controllers(directory.to_path_buf(), off.clone()))?;
    }
    let Err(errno) = write(&file, &text.join(" ")) else { return Ok(()) };
    if stays {
        guard.forget()?;
    }
    let shown = directory.display();
    let remedy = match errno {
        Errno::EBUSY => format!(
            "{shown} has processes of its own, and such a v2 group cannot enable controllers for \
             groups below: move them into a group below it first"
        ),
        Errno::ENOENT => format!("{shown}/cgroup.controllers lacks it: a group above does not enable it"),
        Errno::EACCES | Errno::EPERM => format!("{shown} is not delegated to you"),
        _ => String::new(),
    };
    Err(Error::new(Refused::new(errno, remedy)).context(format!(
        "cannot write {} to {}",
        text.join(" "),
        file.display()
    )))
}

fn seed(directory: &Path) -> Result<()> {
    let parent = directory.parent().unwrap_or(directory);
    for file in CPUSET {
        let (to, from) = (directory.join(file), parent.join(file));
        if !unset(&to) {
            continue;
        }
        let value =
            std::fs::read_to_string(&from).with_context(|| format!("cannot read {}", from.display()))?;
        write(&to, value.trim_end()).with_context(|| format!("cannot write to {}", to.display()))?;
    }
    Ok(())
}

fn set(file: &Path, value: &str) -> Result<()> {
    let Err(errno) = write(file, value) else { return Ok(()) };
    let lacking = || {
        let name =
            file.file_name().map(|name| name.as_bytes().split(|&b| b == b'.').next().unwrap_or_default());
        let there = words(&file.with_file_name("cgroup.controllers")).ok()?;
        (!there.iter().any(|known| Some(known.as_bytes()) == name && known != "cgroup")).then_some(())
    };
    let remedy = match errno {
        Errno::ENOENT if lacking().is_some() => {
            "that controller is not enabled for the group; --create enables it"
        }
        Errno::ENOENT => "this kernel or group does not have this limit",
        Errno::EINVAL | Errno::ERANGE => "the kernel rejects this value",
        Errno::EACCES | Errno::EPERM => {
            "the group is not writable by you, or the limit exceeds that of a group above it"
        }
        Errno::EBUSY => "the current use is higher",
        Errno::ENODEV | Errno::ENXIO => "there is no such device",
        _ => "",
    };
    let value = text::escape(value.as_bytes());
    Err(Error::new(Refused::new(errno, remedy))
        .context(format!("cannot write '{value}' to {}", file.display())))
}

/// A new group in each hierarchy of the controllers: below the group of this process; on v2 below the nearest group
/// above it that can enable the controllers for its children.
pub(crate) fn fresh(proc: &ProcRoot, host: &Hierarchies, controllers: &[String]) -> Result<Vec<Group>> {
    let own = host.groups_of(proc, Pid::this())?;
    let mut groups = host.groups(&controllers.join(","), Path::new(""), None)?;
    if controllers.iter().any(String::is_empty) && !groups.iter().any(|group| group.v2) {
        groups.extend(host.groups("", Path::new(""), None)?);
    }
    for group in &mut groups {
        let own = own.iter().find(|own| own.mount_point == group.mount_point);
        let own = own.map(|own| own.path.clone()).unwrap_or_default();
        group.path = if group.v2 { parent_for(group, &own)? } else { own };
    }
    let pid = Pid::this();
    let names = (0_u32..).map(|n| if n == 0 { format!("{pid}") } else { format!("{pid}.{n}") });
    let free = |name: &String| {
        let path = |group: &Group| group.directory().join(FAMILY).join(name);
        groups.iter().all(|group| std::fs::symlink_metadata(path(group)).is_err())
    };
    let mut names = names.filter(free);
    let name = names.next().unwrap_or_default();
    for group in &mut groups {
        group.path = group.path.join(FAMILY).join(&name);
        group.fresh = true;
    }
    Ok(groups)
}

/// The nearest group, from the group of this process upwards, below which a group with the controllers can be
/// created.
fn parent_for(group: &Group, own: &Path) -> Result<PathBuf> {
    let mut obstacles = Vec::new();
    for path in own.ancestors() {
        match obstacle(&group.at(path.to_path_buf())) {
            None => return Ok(path.to_path_buf()),
            Some(obstacle) => obstacles.push(obstacle),
        }
    }
    Err(anyhow!(
        "cannot create a group{} below the current one or one above it: {} (name a delegated group with -g, or start inside \
         one: systemd-run --user --scope -p Delegate=yes)",
        match group.controllers.is_empty() {
            true => String::new(),
            false => format!(" with {}", group.controllers.join(" ")),
        },
        obstacles.join("; ")
    ))
}

fn obstacle(at: &Group) -> Option<String> {
    let directory = at.directory();
    let shown = directory.display();
    if !writable(&directory) || !writable(&at.entrance()) {
        return Some(format!("{shown} is not writable by you"));
    }
    let there = words(&directory.join("cgroup.controllers")).unwrap_or_default();
    if let Some(lacking) = at.controllers.iter().find(|name| !there.contains(name)) {
        return Some(format!("{shown} has no controller {lacking}"));
    }
    let on = words(&directory.join("cgroup.subtree_control")).unwrap_or_default();
    if at.controllers.iter().all(|name| on.contains(name)) {
        return None;
    }
    // The root group has no cgroup.type, and may have processes and enable controllers at the same time.
    let root = !directory.join("cgroup.type").exists();
    if !root && !unset(&directory.join("cgroup.procs")) {
        return Some(format!("{shown} has processes of its own"));
    }
    let control = directory.join("cgroup.subtree_control");
    (!writable(&control)).then(|| format!("{} is not writable by you", control.display()))
}
