//! Helpers for the tests of unshare: the calling user, the output, a private mount namespace, and
//! proof that no process is left.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ctrbox::testing::proc::ns::Kind;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare as unshare_thread};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};

use super::process::copy_of_binary;
use super::{HANG, Scratch, applet, binary, root, skip};

/// (short option, long option, name below /proc/PID/ns)
pub type KindRow = (&'static str, &'static str, &'static str);

pub const KINDS: [KindRow; 8] = [
    ("-U", "--user", Kind::User.proc_name()),
    ("-C", "--cgroup", Kind::Cgroup.proc_name()),
    ("-i", "--ipc", Kind::Ipc.proc_name()),
    ("-u", "--uts", Kind::Uts.proc_name()),
    ("-n", "--net", Kind::Net.proc_name()),
    ("-p", "--pid", Kind::Pid.proc_name()),
    ("-m", "--mount", Kind::Mnt.proc_name()),
    ("-T", "--time", Kind::Time.proc_name()),
];

/// A user who is not in /etc/passwd.
pub const STRANGER: u32 = 54321;

pub fn unshare() -> Command {
    applet("unshare")
}

/// The program where ordinary users reach it.
pub struct Public(Scratch);

impl Public {
    pub fn new(name: &str) -> Public {
        let scratch = Scratch::new(name);
        let path = scratch.0.join("ctrbox");
        if std::fs::hard_link(binary(), &path).is_err() {
            copy_of_binary(&path);
        }
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&scratch.0, everybody).expect("its mode");
        Public(scratch)
    }

    /// `unshare` by a user with a group of the same number and no other.
    pub fn unshare(&self, user: u32) -> Command {
        let mut command = super::program(self.0.0.join("ctrbox").to_str().expect("text"));
        command.arg("unshare").uid(user).gid(user).current_dir("/");
        command
    }

    /// A path in the same directory.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }
}

/// As [`process::failure`](super::process::failure), with `PID` for numbers of processes.
#[track_caller]
pub fn failure(command: &mut Command) -> (Option<i32>, String) {
    let (status, message) = super::process::failure(command);
    (status, without_pids(&message))
}

pub fn refused(message: &str) -> (Option<i32>, String) {
    (Some(1), format!("unshare: {message}\n"))
}

/// `/proc/4711/ns/net` as `/proc/PID/ns/net`
pub fn without_pids(text: &str) -> String {
    let mut parts = text.split("/proc/");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out += if rest.len() < part.len() { "/proc/PID" } else { "/proc/" };
        out += rest;
    }
    out
}

/// Can namespaces be made here? If not, that is said. util-linux is not needed, as it is for nsenter's tests.
pub fn possible(test: &str) -> bool {
    if !root() {
        skip(test, "needs root");
    } else if !Path::new("/proc/self/ns/time").exists() {
        skip(test, "needs a kernel with time namespaces");
    } else if !std::thread::spawn(|| unshare_thread(CloneFlags::CLONE_NEWNS).is_ok()).join().unwrap_or(false)
    {
        skip(test, "namespaces cannot be made here");
    } else {
        return true;
    }
    false
}

/// Runs `work` where mounts are its own, private, and gone when it ends, however it ends.
pub fn apart<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let inside = || {
        // Of this thread alone, and of what it starts.
        unshare_thread(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
        work()
    };
    match std::thread::scope(|scope| scope.spawn(inside).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Bind mounts one path over another, in a place apart.
pub fn bind(source: &Path, target: &Path) {
    let flags = MsFlags::MS_BIND;
    mount(Some(source), target, None::<&str>, flags, None::<&str>)
        .unwrap_or_else(|errno| panic!("{} on {}: {errno}", source.display(), target.display()));
}

/// Other content in a file of the system, in a place apart.
pub fn replace(scratch: &Path, file: &str, content: &str) {
    let path = scratch.join(file.replace('/', "_"));
    std::fs::write(&path, content).expect("a file");
    bind(&path, Path::new(file));
}

/// A pipe that a command and all its children have open; they hold its other end. Processes that still run when
/// the value is dropped are killed.
pub struct Leash {
    reader: OwnedFd,
    group: Pid,
}

impl Leash {
    pub fn start(command: &mut Command) -> (Child, Leash) {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let number = writer.as_raw_fd();
        let inherit = move || {
            // SAFETY: plain integers in; the descriptor is open until after the fork.
            match unsafe { libc::fcntl(number, libc::F_SETFD, 0) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: async-signal-safe, and no memory is allocated.
        unsafe { command.pre_exec(inherit) };
        let child = command.process_group(0).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        drop(writer);
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        (child, Leash { reader, group })
    }

    fn over(&self, limit: PollTimeout) -> bool {
        let mut end = [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut end, limit) {
                Err(nix::errno::Errno::EINTR) => {}
                result => return result.expect("poll") > 0,
            }
        }
    }

    /// Is any of them there?
    pub fn held(&self) -> bool {
        !self.over(PollTimeout::ZERO)
    }

    /// All of them have ended, or end now without a signal.
    pub fn ends(&self) {
        assert!(self.over(PollTimeout::try_from(HANG).expect("a time")), "something is left running");
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if self.held() {
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

/// A command with such a pipe that has printed its first line.
pub struct Ready {
    pub child: Child,
    pub leash: Leash,
    lines: std::io::BufReader<std::process::ChildStdout>,
}

impl Ready {
    pub fn new(command: &mut Command) -> (Ready, String) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let (mut child, leash) = Leash::start(command);
        let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        let mut ready = Ready { child, leash, lines };
        let line = ready.line();
        assert!(!line.is_empty(), "{command:?} did not start");
        (ready, line)
    }

    /// The next line; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut self.lines, &mut line).expect("a line of text");
        line.trim_end_matches('\n').to_owned()
    }

    pub fn kill(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("a signal");
    }

    pub fn say(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        std::io::Write::write_all(stdin, text.as_bytes()).expect("it listens");
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if self.leash.held() {
            let _ = killpg(self.leash.group, Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// The user who owns a user namespace (NS_GET_OWNER_UID of ioctl_nsfs(2)).
pub fn owner_of(namespace: &std::fs::File) -> u32 {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the request writes a uid_t to where the third argument points.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), 0xb704, &raw mut uid) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    uid
}

/// The id of this thread's mount namespace (NS_GET_MNTNS_ID), if the kernel has the request.
pub fn mount_namespace_id() -> Option<u64> {
    let file = std::fs::File::open("/proc/thread-self/ns/mnt").ok()?;
    let mut id = 0_u64;
    // SAFETY: the request writes eight bytes to where the third argument points.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), 0x8008_b705, &raw mut id) };
    (result == 0).then_some(id)
}
