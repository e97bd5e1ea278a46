//! The effect of each option on the request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use nix::errno::Errno;

use super::plan::{Directory, Id, Request};
use crate::cli::{self, unglued};
use crate::container::target::Target;
use crate::exit::Exit;
use crate::isolation::ns::{self, open_file};
use crate::launch::harden;
use crate::proc::ns::Kind;
use crate::text;

type Done = Result<(), Exit>;

impl Request {
    pub(super) fn namespace(&mut self, kind: Kind, file: Option<&OsStr>) -> Done {
        match file {
            None if self.kinds.contains(&kind) => {}
            None => self.kinds.push(kind),
            Some(path) => {
                let path = unglued(path);
                let fd = match path.as_bytes().strip_prefix(b":") {
                    Some(id) => ns::open_id(nsid(OsStr::from_bytes(id))?)?,
                    None => open_file(Path::new(path)).map_err(|error| {
                        let letter = option_letter(kind);
                        Exit::from(error).or_hint(glued(letter, kind_option(kind), path))
                    })?,
                };
                self.files.retain(|(other, _)| *other != kind);
                self.files.push((kind, fd));
            }
        }
        Ok(())
    }
}

/// The letter of the option for a kind of namespace.
fn option_letter(kind: Kind) -> char {
    match kind {
        Kind::Mnt => 'm',
        Kind::Uts => 'u',
        Kind::Ipc => 'i',
        Kind::Net => 'n',
        Kind::Pid => 'p',
        Kind::Cgroup => 'C',
        Kind::User => 'U',
        Kind::Time => 'T',
    }
}

fn kind_option(kind: Kind) -> &'static str {
    if kind == Kind::Mnt { "mount" } else { kind.proc_name() }
}

/// A hint for `-muinp`: the letters after an option with an optional value are its value.
fn glued(
    letter: char,
    option: &'static str,
    path: &OsStr,
) -> impl Fn() -> Option<String> + Send + Sync + 'static {
    const LETTERS: &str = "amuinpCUTrwWeFcZtSG";
    let word = path.to_str().unwrap_or_default().to_owned();
    let are_letters =
        !word.is_empty() && word.chars().all(|c| LETTERS.contains(c)) && !Path::new(path).exists();
    move || {
        let apart: Vec<String> = word.chars().map(|c| format!("-{c}")).collect();
        are_letters.then(|| {
            format!(
                "the value of an option is attached to its letter, so -{letter}{word} is --{option}={word}, a file; write \
                 the letters apart: -{letter} {}",
                apart.join(" ")
            )
        })
    }
}

fn nsid(word: &OsStr) -> Result<u64, Exit> {
    cli::number(word, "").map_err(|_| anyhow!("failed to parse nsid: {}", text::shown(word)).into())
}

pub(super) fn target(request: &mut Request, word: &OsStr) -> Done {
    if request.target.is_some() {
        return Err(anyhow!("option --target may be given only once").into());
    }
    let refused = |errno: Errno| {
        anyhow::Error::from(errno).context(format!("failed to parse PID argument '{}'", text::shown(word)))
    };
    request.target = Some(Target::parse(word).map_err(refused)?);
    Ok(())
}

pub(super) fn socket(request: &mut Request, word: &OsStr) -> Done {
    request.net_socket = Some(cli::number::<i32>(word, "failed to parse file descriptor")?);
    Ok(())
}

pub(super) fn uid(request: &mut Request, word: &OsStr) -> Done {
    request.uid = Some(id(word, "failed to parse uid")?);
    Ok(())
}

pub(super) fn gid(request: &mut Request, word: &OsStr) -> Done {
    request.gid = Some(id(word, "failed to parse gid")?);
    Ok(())
}

fn id(word: &OsStr, problem: &str) -> Result<Id, Exit> {
    if word == "follow" { Ok(Id::Follow) } else { Ok(Id::Number(cli::number(word, problem)?)) }
}

pub(super) fn wd(request: &mut Request, path: Option<&OsStr>) -> Done {
    if request.wdns.is_some() {
        return Err(anyhow!("options --wdns and --wd cannot be combined").into());
    }
    request.wd = open_directory('w', "wd", path.map(unglued))?;
    Ok(())
}

/// Without a path the working directory stays as it is.
pub(super) fn wdns(request: &mut Request, path: Option<&OsStr>) -> Done {
    if !matches!(request.wd, Directory::Unchanged) {
        return Err(anyhow!("options --wd and --wdns cannot be combined").into());
    }
    request.wdns = Some(path.map(|path| unglued(path).to_os_string()));
    Ok(())
}

pub(super) fn root(request: &mut Request, path: Option<&OsStr>) -> Done {
    request.root = open_directory('r', "root", path)?;
    Ok(())
}

fn open_directory(letter: char, option: &'static str, path: Option<&OsStr>) -> Result<Directory, Exit> {
    let Some(path) = path else { return Ok(Directory::OfTarget) };
    match open_file(Path::new(path)) {
        Ok(fd) => Ok(Directory::Open(fd)),
        Err(error) => Err(Exit::from(error).or_hint(glued(letter, option, path))),
    }
}

pub(super) fn user(request: &mut Request, word: &OsStr) -> Done {
    request.user = Some(word.to_os_string());
    Ok(())
}

pub(super) fn host_root(request: &mut Request, directory: Option<&OsStr>) -> Done {
    request.host_root = Some(absolute("--host-root", directory, "/run/ctrbox/root")?);
    Ok(())
}

pub(super) fn mount_proc(request: &mut Request, directory: Option<&OsStr>) -> Done {
    request.mount_proc = Some(absolute("--mount-proc", directory, "/proc")?);
    Ok(())
}

fn absolute(option: &str, directory: Option<&OsStr>, default: &str) -> Result<PathBuf, Exit> {
    let path = PathBuf::from(directory.unwrap_or(OsStr::new(default)));
    match path.is_absolute() && path.parent().is_some() {
        true => Ok(path),
        false => {
            let shown = text::shown(path.as_os_str());
            Err(anyhow!("option {option} needs an absolute path, other than /: '{shown}'").into())
        }
    }
}

/// `3`, `3,5`, `3-7`: descriptors that nsenter was started with.
pub(super) fn pass_fds(request: &mut Request, list: &OsStr) -> Done {
    for word in list.as_bytes().split(|&b| b == b',').map(OsStr::from_bytes) {
        let problem = "failed to parse file descriptors";
        let (first, last) = match word.as_bytes().iter().position(|&b| b == b'-') {
            Some(at) if at > 0 => {
                (OsStr::from_bytes(&word.as_bytes()[..at]), OsStr::from_bytes(&word.as_bytes()[at + 1..]))
            }
            _ => (word, word),
        };
        let (first, last): (u16, u16) = (cli::number(first, problem)?, cli::number(last, problem)?);
        for fd in first..=last {
            if !harden::inherited(u32::from(fd)) {
                let context = format!("cannot pass file descriptor {fd}");
                return Err(anyhow::Error::from(Errno::EBADF).context(context).into());
            }
            request.pass_fds.insert(u32::from(fd));
        }
    }
    Ok(())
}
