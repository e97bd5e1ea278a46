//! nsenter next to hostile containers. The tests play attacks, and show that they succeed without
//! countermeasures.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::nsenter::{in_scratch, nsenter, of, refused, script};
use crate::common::process::{Holder, copy_of_binary, failure, fed, limited, link, namespaces, printed};
use crate::common::{Running, Scratch, UNPRIVILEGED_UID, binary, program, skip, stderr, stdout, until};
use nix::errno::Errno;

/// A program that waits inside: it opens a pipe there that has no writer.
struct Waiting(Running);

impl Waiting {
    /// Waits until it is in the holder's namespace of that kind.
    fn new(command: &mut Command, holder: &Holder, kind: &str) -> Waiting {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let waiting = Waiting(Running(child));
        let there = holder.link(kind);
        until(&format!("{command:?} enters"), || link(&waiting.0.pid().to_string(), kind) == there);
        waiting
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.pid())
    }
}

fn fifo(scratch: &Scratch) -> String {
    let path = in_scratch(scratch, "pipe");
    nix::unistd::mkfifo(Path::new(&path), nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a pipe");
    path
}

/// What root of the holder's user namespace, with all capabilities there, can read of a process through /proc.
fn taken(holder: &Holder, of: &Waiting) -> String {
    let pid = of.0.pid();
    let attack = format!(
        "cd /proc/{pid} || exit
        for name in exe cwd root fd/0 fd/9 ns/mnt; do readlink $name >/dev/null && echo $name; done
        for name in environ auxv maps; do head -c 1 $name >/dev/null && echo $name; done
        : <mem && echo mem"
    );
    let mut hostile = program("nsenter");
    hostile.args(["-t", &holder.pid.to_string(), "-U", "-m", "sh", "-c", &attack]).stderr(Stdio::null());
    stdout(&limited(&mut hostile))
}

#[test]
fn no_process_inside_can_trace_nsenter() {
    if !namespaces("nsenter-looked-into") {
        return;
    }
    let scratch = Scratch::new("nsenter-looked-into");
    let pipe = fifo(&scratch);
    let holder = Holder::new(&["-U", "-r", "-m"], "");
    let entering = |name: &mut Command| {
        let arguments = [&format!("-t{}", holder.pid), "-U", "-m", &format!("-W{pipe}"), "true"];
        name.args(arguments);
        Waiting::new(name, &holder, "user")
    };
    let theirs = taken(&holder, &entering(&mut program("nsenter")));
    if !theirs.contains("exe\n") {
        skip("nsenter-looked-into", "this system lets nobody look into anybody, so there is nothing to see");
        return;
    }
    assert_eq!(taken(&holder, &entering(&mut nsenter())), "");
}

/// The attacker keeps a descriptor of the file behind /proc/PID/exe, and writes to it when no process executes it
/// any more.
fn overwrites(waiting: Waiting) -> Result<(), Errno> {
    let program = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(waiting.file("exe"));
    let program = program.expect("the program");
    drop(waiting);
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let written = OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(b"#"));
    written.map_err(|error| Errno::from_raw(error.raw_os_error().expect("an errno")))
}

#[test]
fn our_program_cannot_be_overwritten_from_inside() {
    if !namespaces("nsenter-overwritten") {
        return;
    }
    let scratch = Scratch::new("nsenter-overwritten");
    let (pipe, copy) = (fifo(&scratch), scratch.0.join("ctrbox"));
    copy_of_binary(&copy);
    let size = || std::fs::metadata(&copy).expect("the copy").len();
    let holder = Holder::new(&["-m", "-u"], "");
    let target = format!("-t{}", holder.pid);
    let wdns = format!("-W{pipe}");
    let own = |arguments: &[&str]| {
        let mut command = Command::new(&copy);
        command.arg("nsenter").args(arguments);
        command
    };
    let before = size();
    let entered = Waiting::new(&mut own(&[&target, "-m", &wdns, "true"]), &holder, "mnt");
    assert_eq!(overwrites(entered), Err(Errno::EROFS));
    // The container's program is a link that starts ctrbox again, inside.
    let again = in_scratch(&scratch, "nsenter");
    symlink("/proc/self/exe", &again).expect("a link");
    let twice = [&target, "-m", &again, &target, "-u", &wdns, "true"];
    assert_eq!(overwrites(Waiting::new(&mut own(&twice), &holder, "uts")), Err(Errno::EROFS));
    // For an applet the program is in memory.
    let applet = [&target, "-m", "--applet", "nsenter", &target, "-u", &wdns, "true"];
    assert_eq!(overwrites(Waiting::new(&mut own(&applet), &holder, "uts")), Err(Errno::EPERM));
    assert_eq!(size(), before);
    // An unshielded program can be written: the container's programs cannot start it.
    let outside = Waiting::new(&mut own(&[&target, "-u", &wdns, "true"]), &holder, "uts");
    assert_eq!(overwrites(outside), Ok(()));
    assert_eq!(size(), before + 1);
}

/// An ordinary user may not mount, and gets a copy in memory; no copy where the user cannot write to the file anyway.
#[test]
fn an_ordinary_users_program_cannot_be_overwritten() {
    if !namespaces("nsenter-overwritten-user") {
        return;
    }
    let scratch = Scratch::new("nsenter-overwritten-user");
    let (pipe, roots, own) = (fifo(&scratch), scratch.0.join("roots"), scratch.0.join("own"));
    copy_of_binary(&roots);
    copy_of_binary(&own);
    let user = nix::unistd::Uid::from_raw(UNPRIVILEGED_UID);
    nix::unistd::chown(&own, Some(user), None).expect("a change of owner");
    let mut command = program("unshare");
    command.args(["-U", "-r", "-m"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
    if !limited(
        program("unshare").args(["-U", "-r", "-m", "true"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID),
    )
    .status
    .success()
    {
        skip("nsenter-overwritten-user", "ordinary users may not make user namespaces here");
        return;
    }
    let holder = Holder::by(&mut command, "");
    let entered = |binary: &Path| {
        let mut command = Command::new(binary);
        command.arg0("ctrbox").args(["nsenter", &format!("-t{}", holder.pid), "-U", "-m"]);
        command.args([&format!("-W{pipe}"), "true"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
        Waiting::new(&mut command, &holder, "mnt")
    };
    let waiting = entered(&own);
    let exe = std::fs::read_link(waiting.file("exe")).expect("a link");
    assert!(exe.to_string_lossy().starts_with("/memfd:ctrbox"), "{}", exe.display());
    assert_eq!(overwrites(waiting), Err(Errno::EPERM));
    assert_eq!(std::fs::read_link(entered(&roots).file("exe")).expect("a link"), roots);
}

#[test]
fn no_working_directory_outside() {
    if !namespaces("nsenter-wd-outside") {
        return;
    }
    let scratch = Scratch::new("nsenter-wd-outside");
    // A link in the container to a descriptor that the caller left open, or that nsenter opened.
    for number in 3..12 {
        symlink(format!("/proc/self/fd/{number}"), scratch.0.join(number.to_string())).expect("a link");
    }
    let holder = Holder::new(&["-m"], "");
    let target = holder.pid.to_string();
    let inherited = |number: u32, options: &[&str]| {
        let mut command = program("sh");
        let line = format!("exec \"$0\" nsenter \"$@\" {number}</");
        command.args(["-c", &line]).arg(binary()).args(["-t", &target]).args(options).arg("pwd");
        command
    };
    for number in 3..12 {
        let path = in_scratch(&scratch, &number.to_string());
        let output = limited(&mut inherited(9, &["-m", &format!("-W{path}")]));
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{number}");
        if number == 9 {
            let expected = format!(
                "nsenter: cannot work in {path}: the working directory is outside the root, or was removed\n"
            );
            assert_eq!(stderr(&output), expected);
        }
    }
    // The attack works otherwise: without a mount namespace to enter it is a normal directory.
    let path = in_scratch(&scratch, "9");
    let uts = Holder::new(&["-u"], "");
    let mut harmless = program("sh");
    harmless.args(["-c", "exec \"$0\" nsenter \"$@\" 9</"]).arg(binary());
    harmless.args(["-t", &uts.pid.to_string(), "-u", &format!("-W{path}"), "pwd"]);
    assert_eq!(printed(&mut harmless), "/\n");

    // The container's own process is outside.
    let mut outside = nsenter();
    outside.args(["-t", &target, "-m", "-w/", "--"]);
    let outside = Holder::by(&mut outside, "");
    assert_eq!(link(&outside.pid.to_string(), "mnt"), holder.link("mnt"));
    let expected = refused(
        "cannot work in the directory of the target: the working directory is outside the root, or was removed",
    );
    for options in [&["-m", "-w"][..], &["-m", "-r", "-w"], &["--as-container"]] {
        assert_eq!(failure(of(&outside).args(options).arg("pwd")), expected, "{options:?}");
    }
    // A directory outside that the caller names is entered as requested.
    let asked = format!("-w{}", scratch.0.display());
    assert_eq!(limited(of(&holder).args(["-m", &asked, "test", "-L", "9"])).status.code(), Some(0));
}

#[test]
fn descriptors_that_are_to_be_passed() {
    if !namespaces("nsenter-pass-fds") {
        return;
    }
    let holder = Holder::new(&["-m"], "");
    let shown = |options: &[&str]| {
        let mut command = program("sh");
        let line = "exec \"$0\" nsenter \"$@\" 5</dev/null 6</dev/null 9</dev/null";
        command.args(["-c", line]).arg(binary()).args(["-t", &holder.pid.to_string(), "-m"]);
        let open = "for fd in /proc/self/fd/[5-9]; do echo \"${fd##*/}\"; done";
        limited(command.args(options).args(["sh", "-c", open]))
    };
    let printed = |options: &[&str]| stdout(&shown(options)).replace('\n', " ");
    assert_eq!(printed(&[]), "[5-9] ");
    assert_eq!(printed(&["--pass-fds=5"]), "5 ");
    assert_eq!(printed(&["--pass-fds=5-6", "--pass-fds", "9"]), "5 6 9 ");
    assert_eq!(printed(&["--pass-fds=0,6"]), "6 ");
    for (list, message) in [
        ("7", "cannot pass file descriptor 7: Bad file descriptor"),
        ("5-7", "cannot pass file descriptor 7: Bad file descriptor"),
        ("x", "failed to parse file descriptors: 'x'"),
        ("", "failed to parse file descriptors: ''"),
        ("5,", "failed to parse file descriptors: ''"),
        ("-1", "failed to parse file descriptors: '-1': Numerical result out of range"),
    ] {
        let output = shown(&[&format!("--pass-fds={list}")]);
        assert_eq!(stderr(&output), format!("nsenter: {message}\n"), "{list}");
        assert_eq!(output.status.code(), Some(1));
    }
    // Not a descriptor that nsenter opened.
    let file = format!("-u{}", holder.file("ns/uts"));
    for number in 3..10 {
        let mut command = program("sh");
        let closed: String = (3..10).map(|fd| format!(" {fd}<&-")).collect();
        let line = format!("exec \"$0\" nsenter \"$@\"{closed}");
        command.args(["-c", &line]).arg(binary()).args([&file, &format!("--pass-fds={number}"), "true"]);
        assert_eq!(limited(&mut command).status.code(), Some(1), "{number}");
    }
}

#[test]
fn programs_are_looked_for_inside() {
    if !namespaces("nsenter-path") {
        return;
    }
    let scratch = Scratch::new("nsenter-path");
    let (bin, extra) = (in_scratch(&scratch, "bin"), in_scratch(&scratch, "extra"));
    std::fs::create_dir(&bin).expect("a directory");
    std::fs::create_dir(&extra).expect("a directory");
    script(&format!("{bin}/tool"), "#!/bin/sh\necho outside\n", 0o755);
    script(&format!("{bin}/hosts"), "#!/bin/sh\necho outside\n", 0o755);
    let setup = format!(
        "mount -t tmpfs tmpfs {bin}; printf '#!/bin/sh\\necho inside\\n' >{bin}/tool; chmod 755 {bin}/tool"
    );
    let holder = Holder::new(&["-m"], &setup);
    let path = format!("{bin}:/usr/bin:/bin");
    assert_eq!(printed(of(&holder).args(["-m", "tool"]).env("PATH", &path)), "inside\n");
    assert_eq!(limited(of(&holder).args(["-m", "hosts"]).env("PATH", &path)).status.code(), Some(127));
}

/// A file that is read inside may be a pipe without a writer.
#[test]
fn files_of_the_container_are_not_waited_for() {
    if !namespaces("nsenter-passwd-pipe") {
        return;
    }
    let scratch = Scratch::new("nsenter-passwd-pipe");
    let pipe = fifo(&scratch);
    let setup = format!("mount --bind {pipe} /etc/passwd; mount --bind {pipe} /etc/group");
    let holder = Holder::new(&["-m"], &setup);
    assert_eq!(
        failure(of(&holder).args(["--as", "web", "true"])),
        refused("no user 'web' in /etc/passwd inside")
    );
    assert_eq!(printed(of(&holder).args(["--as", "7:8", "sh", "-c", "id -u; id -g"])), "7\n8\n");
    let output = fed(of(&holder).arg("-m").env_remove("SHELL"), Some(b"echo $0\n"));
    assert_eq!(stdout(&output), "-sh\n");
}

/// If the target has ended and been reaped, no other process is entered in its place.
#[test]
fn an_ended_target_is_no_other_process() {
    if !namespaces("nsenter-gone") {
        return;
    }
    let holder = Holder::new(&["-m"], "");
    let status = File::open(holder.file("status")).expect("a file");
    let pid = holder.pid.to_string();
    drop(holder);
    drop(status);
    for options in [&["-m"][..], &["-a", "--host-root"], &["--as-container"], &["-m", "--applet"]] {
        let output = limited(nsenter().args(["-t", &pid]).args(options).arg("true"));
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{options:?}");
    }
}
