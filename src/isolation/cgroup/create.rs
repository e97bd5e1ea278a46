//! Making groups: what is missing, step by step, and doing it with a note of how to undo it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::care::{Care, Undo};
use super::group::{Group, words};
use super::hierarchy::Hierarchies;
use super::join::{Refused, writable};
use crate::proc::ProcRoot;
use crate::text;

/// Below the group that we are in, every fresh group is in one of this name.
const FAMILY: &str = "ctrbox";

/// One thing to do before a process can run in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Make(PathBuf),
    /// The group of all fresh ones, which goes with the last of them.
    Family(PathBuf),
    /// cgroup.subtree_control: what the groups below are to have.
    Enable(PathBuf, Vec<String>),
    /// What a new cpuset of v1 has none of, from its parent.
    Seed(PathBuf),
    Set(PathBuf, String),
}

/// What is missing of a group: directories, and of v2 the controllers it is wanted for.
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

/// Empty, or not there yet.
fn unset(path: &Path) -> bool {
    words(path).map_or(true, |words| words.is_empty())
}

/// Does a step, and has `care` know before how to undo it.
pub(crate) fn make(step: &Step, care: &mut Care) -> Result<()> {
    match step {
        Step::Make(directory) => make_directory(directory, Undo::Group(directory.clone()), care),
        Step::Family(directory) => make_directory(directory, Undo::Family(directory.clone()), care),
        Step::Enable(directory, controllers) => enable(directory, controllers, care),
        Step::Seed(directory) => seed(directory),
        Step::Set(file, value) => set(file, value),
    }
}

fn make_directory(directory: &Path, undo: Undo, care: &mut Care) -> Result<()> {
    let shared = matches!(undo, Undo::Family(_));
    care.note(undo)?;
    let made = nix::unistd::mkdir(directory, Mode::from_bits_truncate(0o755));
    let Some(errno) = made.err().filter(|errno| !(shared && *errno == Errno::EEXIST)) else {
        care.hold(directory);
        return Ok(());
    };
    care.forget()?;
    let parent = directory.parent().unwrap_or(directory).display();
    let cure = match errno {
        Errno::EACCES | Errno::EPERM => format!(
            "{parent} is not yours to write; name a group that is (-g), or start inside a delegated one: \
             systemd-run --user --scope -p Delegate=yes"
        ),
        Errno::EROFS => "control groups are mounted read-only here, as containers have them".to_owned(),
        Errno::EAGAIN => {
            "a group above limits how many there are: cgroup.max.descendants, cgroup.max.depth".to_owned()
        }
        _ => String::new(),
    };
    Err(Error::new(Refused::new(errno, cure)).context(format!("cannot make {}", directory.display())))
}

fn enable(directory: &Path, controllers: &[String], care: &mut Care) -> Result<()> {
    let file = directory.join("cgroup.subtree_control");
    let on = words(&file).unwrap_or_default(); // somebody may have been faster
    let off: Vec<String> = controllers.iter().filter(|name| !on.contains(name)).cloned().collect();
    if off.is_empty() {
        return Ok(());
    }
    let text: Vec<String> = off.iter().map(|name| format!("+{name}")).collect();
    // That of the family goes with it.
    let stays = directory.file_name().is_none_or(|name| name.as_bytes() != FAMILY.as_bytes());
    if stays {
        care.note(Undo::Controllers(directory.to_path_buf(), off.clone()))?;
    }
    let Err(errno) = write(&file, &text.join(" ")) else { return Ok(()) };
    if stays {
        care.forget()?;
    }
    let shown = directory.display();
    let cure = match errno {
        Errno::EBUSY => format!(
            "{shown} has processes of its own, and a v2 group with those gives none of its controllers to \
             groups below: move them into a group below it first"
        ),
        Errno::ENOENT => format!("{shown}/cgroup.controllers lacks it: a group above does not give it"),
        Errno::EACCES | Errno::EPERM => format!("{shown} is not delegated to you"),
        _ => String::new(),
    };
    Err(Error::new(Refused::new(errno, cure)).context(format!(
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
    let cure = match errno {
        Errno::ENOENT if lacking().is_some() => {
            "the group is not given that controller; --create turns it on"
        }
        Errno::ENOENT => "this kernel or group has no such limit",
        Errno::EINVAL | Errno::ERANGE => "the kernel takes no such value there",
        Errno::EACCES | Errno::EPERM => {
            "the group is not yours, or its limit is above that of a group over it"
        }
        Errno::EBUSY => "more than that is in use",
        Errno::ENODEV | Errno::ENXIO => "there is no such device",
        _ => "",
    };
    let value = text::escape(value.as_bytes());
    Err(Error::new(Refused::new(errno, cure))
        .context(format!("cannot write '{value}' to {}", file.display())))
}

/// One write(2): the kernel takes a value whole. Not created, not truncated.
pub(super) fn write(path: &Path, value: &str) -> nix::Result<()> {
    let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(path, flags, Mode::empty())?;
    nix::unistd::write(&file, value.as_bytes()).map(drop)
}

/// A group of our own in each hierarchy that one of the controllers is in: below the group we are in, of v2
/// below the nearest one that may give the controllers to groups below it.
pub(crate) fn fresh(proc: &ProcRoot, host: &Hierarchies, controllers: &[String]) -> Result<Vec<Group>> {
    let own = host.groups_of(proc, Pid::this())?;
    let mut groups = host.groups(&controllers.join(","), Path::new(""), None)?;
    if controllers.iter().any(String::is_empty) && !groups.iter().any(|group| group.v2) {
        groups.extend(host.groups("", Path::new(""), None)?);
    }
    for group in &mut groups {
        let own = own.iter().find(|own| own.mount_point == group.mount_point);
        let own = own.map(|own| own.path.clone()).unwrap_or_default();
        group.path = if group.v2 { giving(group, &own)? } else { own };
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

/// The nearest of our own group and those above it where a group can be made that has the controllers.
fn giving(group: &Group, own: &Path) -> Result<PathBuf> {
    let mut obstacles = Vec::new();
    for path in own.ancestors() {
        match obstacle(&group.at(path.to_path_buf())) {
            None => return Ok(path.to_path_buf()),
            Some(obstacle) => obstacles.push(obstacle),
        }
    }
    Err(anyhow!(
        "no group of ours can have one below it with {}: {} (name a delegated one with -g, or start inside one: \
         systemd-run --user --scope -p Delegate=yes)",
        if group.controllers.is_empty() { "processes".to_owned() } else { group.controllers.join(" ") },
        obstacles.join("; ")
    ))
}

fn obstacle(at: &Group) -> Option<String> {
    let directory = at.directory();
    let shown = directory.display();
    if !writable(&directory) || !writable(&at.entrance()) {
        return Some(format!("{shown} is not yours to write"));
    }
    let there = words(&directory.join("cgroup.controllers")).unwrap_or_default();
    if let Some(lacking) = at.controllers.iter().find(|name| !there.contains(name)) {
        return Some(format!("{shown} has no controller {lacking}"));
    }
    let on = words(&directory.join("cgroup.subtree_control")).unwrap_or_default();
    if at.controllers.iter().all(|name| on.contains(name)) {
        return None;
    }
    // The root of all has no cgroup.type, and may have processes beside controllers given away.
    let root = !directory.join("cgroup.type").exists();
    if !root && !unset(&directory.join("cgroup.procs")) {
        return Some(format!("{shown} has processes of its own"));
    }
    let control = directory.join("cgroup.subtree_control");
    (!writable(&control)).then(|| format!("{} is not yours to write", control.display()))
}
