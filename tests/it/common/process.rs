//! Processes that tests start: a time limit, guards that end them, namespaces to enter.
#![allow(unsafe_code)] // pre_exec and the calls that std and nix do not have

use std::cell::Cell;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, killpg, signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::{HANG, program, root, skip, stderr, stdout, there};

/// lsns looks at the descriptors of all processes of the host, up to a limit, and reports when it reaches that. Every run
/// of lsns shares this, and the test that exceeds the limit has it for itself.
static DESCRIPTORS: RwLock<()> = RwLock::new(());

thread_local! {
    /// Does this thread have [`DESCRIPTORS`] for itself?
    static EXCEEDS: Cell<bool> = const { Cell::new(false) };
}

/// From now on no other test runs lsns.
pub struct Exceeding(#[allow(dead_code)] RwLockWriteGuard<'static, ()>);

pub fn exceed_descriptors() -> Exceeding {
    let alone = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
    EXCEEDS.set(true);
    Exceeding(alone)
}

impl Drop for Exceeding {
    fn drop(&mut self) {
        EXCEEDS.set(false);
    }
}

/// Does the command, or a script that it runs, name lsns?
fn runs_lsns(command: &Command) -> bool {
    let mut words = std::iter::once(command.get_program()).chain(command.get_args());
    words.any(|word| word.to_string_lossy().contains("lsns"))
}

/// The output of a command. If it hangs, it is killed with all its children.
pub fn limited(command: &mut Command) -> Output {
    fed(command, None)
}

/// The same with `input` as stdin.
pub fn fed(command: &mut Command, input: Option<&[u8]>) -> Output {
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let shares = runs_lsns(command) && !EXCEEDS.get();
    let _shared = shares.then(|| DESCRIPTORS.read().unwrap_or_else(PoisonError::into_inner));
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let (done, wait) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || match wait.recv_timeout(HANG) {
        Err(RecvTimeoutError::Timeout) => killpg(group, Signal::SIGKILL).is_ok(),
        _ => false,
    });
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output();
    drop(done);
    assert!(!watch.join().expect("the watch"), "{command:?} hangs");
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The stdout of a command that succeeds with an empty stderr.
#[track_caller]
pub fn printed(command: &mut Command) -> String {
    let output = limited(command);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{command:?}: {:?}: {}",
        output.status,
        stderr(&output)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Status and message of a failure; nothing is printed. The output is read to its end: a process that was left
/// behind has it open, and this would hang.
#[track_caller]
pub fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = limited(command);
    assert_eq!(stdout(&output), "", "{command:?}");
    (output.status.code(), stderr(&output))
}

/// An executable file with that content and mode. A process of its own writes it: were it open for writing
/// here, a child that another thread of the tests forks would have it open too, and executing it be ETXTBSY.
pub fn executable(path: &Path, content: &[u8], mode: u32) {
    let mut command = program("sh");
    command.args(["-c", "cat >\"$0\" && chmod \"$1\" \"$0\""]).arg(path).arg(format!("{mode:o}"));
    let output = fed(&mut command, Some(content));
    assert!(output.status.success(), "{}: {}", path.display(), stderr(&output));
}

/// A copy of the binary, where anybody can execute it.
pub fn copy_of_binary(path: &Path) {
    executable(path, &std::fs::read(super::binary()).expect("the binary"), 0o755);
    let directory = path.parent().expect("a directory");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory, everybody).expect("its mode");
}

/// The next change of a child, stopping included. One that has ended stays a zombie: its guard still sends a signal to the
/// PID, which must be nobody else's.
pub fn change_of(pid: i32) -> WaitStatus {
    let pid = Pid::from_raw(pid);
    let start = Instant::now();
    let look = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::Pid(pid), look) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
            Ok(WaitStatus::Stopped(..)) => {
                return waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("a stop");
            }
            Ok(status) => return status,
            Err(errno) => panic!("waiting for {pid}: {errno}"),
        }
        assert!(start.elapsed() < HANG, "{pid} hangs");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A child with a shell's pipe to it, killed and reaped with the value; on its side, the end of stdin says the same.
pub struct Piped {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Piped {
    pub fn new(command: &mut Command) -> Piped {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Piped { child, lines }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// The next line that it prints. Empty if it has ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line of text");
        line.trim_end_matches('\n').to_owned()
    }

    /// Writes to its stdin.
    pub fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    }

    /// Waits until it is cat(1): while the shell executes that, /proc shows no environment and no arguments.
    pub fn answers(&mut self) {
        self.say("answer\n");
        assert_eq!(self.line(), "answer");
    }

    /// Closes its stdin.
    pub fn end_of_input(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.end_of_input();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process in namespaces of its own, to be entered. It ends with the value, or with the test.
pub struct Holder {
    piped: Piped,
    pub pid: i32,
}

impl Holder {
    /// `unshare OPTIONS`, and inside, before it is ready, the shell commands of `setup`.
    pub fn new(options: &[&str], setup: &str) -> Holder {
        Holder::by(program("unshare").args(options), setup)
    }

    /// The same by a command of any kind that runs a shell script.
    pub fn by(command: &mut Command, setup: &str) -> Holder {
        // This proc is still the host's: its first field is the PID on the host.
        let script = format!("read -r pid rest </proc/self/stat || exit\n{setup}\necho \"$pid\"\nexec cat");
        let mut piped = Piped::new(command.args(["sh", "-ec", &script]));
        let line = piped.line();
        let pid = line.parse().unwrap_or_else(|_| panic!("{command:?} did not start: {line:?}"));
        piped.answers();
        Holder { piped, pid }
    }

    /// The same by a command whose only child is the holder, and has a proc of its own.
    pub fn by_child(command: &mut Command) -> Holder {
        let mut piped = Piped::new(command.args(["sh", "-c", "echo ready; exec cat"]));
        assert_eq!(piped.line(), "ready", "{command:?} did not start");
        piped.answers();
        let parent = piped.pid();
        match children(parent)[..] {
            [pid] => Holder { piped, pid },
            ref other => panic!("{command:?} has not one child: {other:?}"),
        }
    }

    /// The same by a command that becomes the holder itself.
    pub fn by_user(command: &mut Command) -> Holder {
        let mut piped = Piped::new(command.args(["sh", "-c", "echo ready; exec cat"]));
        assert_eq!(piped.line(), "ready", "{command:?} did not start");
        piped.answers();
        let pid = piped.pid();
        Holder { piped, pid }
    }

    /// A program that has said its PID, and ends with its stdin.
    pub fn of(piped: Piped, pid: i32) -> Holder {
        Holder { piped, pid }
    }

    /// `net:[4026531840]`
    pub fn link(&self, kind: &str) -> String {
        link(&self.pid.to_string(), kind)
    }

    /// A file of its /proc directory.
    pub fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The first process of a pid namespace is unshare's child. The end of stdin ends it, and it is
        // waited for; a killed unshare would leave it behind, for a moment or, if it is stopped, for good.
        self.piped.end_of_input();
        let start = Instant::now();
        while matches!(self.piped.child.try_wait(), Ok(None)) {
            if start.elapsed() > HANG / 6 {
                let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The children of the first thread of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A process's link to a namespace.
pub fn link(process: &str, kind: &str) -> String {
    let path = format!("/proc/{process}/ns/{kind}");
    let target = std::fs::read_link(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    target.to_string_lossy().into_owned()
}

/// Is python3 here? If not, prints that.
pub fn python() -> bool {
    let here = there("python3");
    if !here {
        skip("python3", "there is no python3");
    }
    here
}

/// Can strace(1) trace here, and namespaces be made? If not, prints the reason.
pub fn traceable(test: &str) -> bool {
    let traces =
        there("strace") && limited(program("strace").args(["-o", "/dev/null", "true"])).status.success();
    if !traces {
        skip(test, "needs strace(1) that may trace");
    }
    traces && namespaces(test)
}

/// Can namespaces be made here? If not, prints the reason.
pub fn namespaces(test: &str) -> bool {
    if !root() {
        skip(test, "needs root");
    } else if !there("unshare") {
        skip(test, "needs unshare(1) of util-linux");
    } else if !Path::new("/proc/self/ns/time").exists() {
        skip(test, "needs a kernel with time namespaces");
    } else if !program("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
        skip(test, "namespaces cannot be made here");
    } else {
        return true;
    }
    false
}

/// What a program inherits that is not in its arguments.
#[derive(Clone, Default, Debug)]
pub struct Inherited {
    pub ignored: Vec<Signal>,
    pub blocked: Vec<Signal>,
    pub closed: Vec<i32>,
    /// Open at that number, on /dev/null.
    pub open: Vec<i32>,
}

/// Makes the command start like that.
pub fn inheriting<'a>(command: &'a mut Command, inherited: &Inherited) -> &'a mut Command {
    let inherited = inherited.clone();
    let act = move || {
        for &one in &inherited.ignored {
            // SAFETY: SIG_IGN is no handler.
            unsafe { signal(one, SigHandler::SigIgn) }?;
        }
        let mut mask = SigSet::empty();
        inherited.blocked.iter().for_each(|&one| mask.add(one));
        mask.thread_set_mask()?;
        for &fd in &inherited.open {
            // SAFETY: plain calls; nothing else in this process uses these numbers.
            unsafe {
                let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
                if null != fd {
                    libc::dup2(null, fd);
                    libc::close(null);
                }
            }
        }
        for &fd in &inherited.closed {
            // SAFETY: the program that comes next is the only user of the descriptor.
            unsafe { libc::close(fd) };
        }
        Ok(())
    };
    // SAFETY: async-signal-safe calls only, and no memory is allocated.
    unsafe { command.pre_exec(act) }
}

/// Makes the command react to the keys of a terminal, which a shell's background jobs ignore, and so the tests do.
pub fn heeding(command: &mut Command) -> &mut Command {
    let act = || {
        for one in [Signal::SIGINT, Signal::SIGQUIT] {
            // SAFETY: SIG_DFL is no handler.
            unsafe { signal(one, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: async-signal-safe calls only, and no memory is allocated.
    unsafe { command.pre_exec(act) }
}

/// Starts a program with exactly these strings as argv and environ, which std would not do.
pub fn executed(command: &mut Command, path: &Path, argv: &[&str], environ: &[&str]) {
    use std::os::unix::ffi::OsStrExt;
    let strings = |list: &[&str]| -> Vec<std::ffi::CString> {
        list.iter().map(|&word| std::ffi::CString::new(word).expect("no NUL")).collect()
    };
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let (argv, environ) = (strings(argv), strings(environ));
    let act = move || {
        let pointers = |list: &[std::ffi::CString]| {
            let ends = list.iter().map(|word| word.as_ptr());
            ends.chain(std::iter::once(std::ptr::null())).collect::<Vec<_>>()
        };
        let (argv, environ) = (pointers(&argv), pointers(&environ));
        // SAFETY: both lists end with a null pointer, and their strings live until the program runs.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), environ.as_ptr()) };
        Err(std::io::Error::last_os_error())
    };
    // SAFETY: it allocates after fork, which glibc and musl allow in the child of a threaded process.
    unsafe { command.pre_exec(act) };
}

/// The inode of a process's pidfd; None if the kernel has no pidfs (before Linux 6.9) or no pidfds.
pub fn pidfd_inode(pid: i32) -> Option<u64> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: plain integers in, a new descriptor out.
    let opened = |result: libc::c_long| {
        i32::try_from(result).ok().filter(|&fd| fd >= 0).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
    };
    // SAFETY: plain integers in.
    let pidfd = opened(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: plain integers in.
    let anonymous = opened(unsafe { libc::syscall(libc::SYS_eventfd2, 0, libc::EFD_CLOEXEC) })?;
    let inode = |fd: &OwnedFd| nix::sys::stat::fstat(fd).map(|stat| stat.st_ino).ok();
    // Before pidfs all pidfds had the one inode of anonymous files.
    inode(&pidfd).filter(|&own| Some(own) != inode(&anonymous))
}

/// Watches whether a file is opened. O_PATH alone is no event.
pub struct Opens(std::fs::File);

impl Opens {
    pub fn of(path: &Path) -> Opens {
        let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        // SAFETY: the path is a C string.
        let watch = unsafe { libc::inotify_add_watch(fd, path.as_ptr(), libc::IN_OPEN) };
        assert!(fd >= 0 && watch >= 0, "{:?}", std::io::Error::last_os_error());
        // SAFETY: the descriptor is new, and nothing else owns it.
        Opens(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
    }

    pub fn any(&self) -> bool {
        (&self.0).read(&mut [0; 4096]).is_ok()
    }
}
