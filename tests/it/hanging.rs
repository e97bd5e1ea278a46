//! File systems that do not answer: ctrbox continues without them.

use crate::common;

use crate::common::fuse::{Fuse, Tree};
use crate::common::process::{fed, limited, namespaces};
use crate::common::{applet, binary, program, stderr, stdout};

/// The files of a container with a program of that name, on overlayfs over FUSE.
fn container(name: &'static str) -> Option<Fuse> {
    let shell = std::fs::read("/bin/sh").expect("a shell");
    let passwd = Some(b"root:x:0:0::/:/bin/sh\n".to_vec());
    let mut tree: Tree = vec![(name, Some(shell)), ("/etc", None), ("/etc/passwd", passwd)];
    tree.extend(["/bin", "/lib", "/lib64", "/usr"].map(|directory| (directory, None)));
    let script = format!(
        "mkdir $work/none $work/root
         mount -t overlay -o lowerdir=$fuse:$work/none none $work/root
         for d in bin lib lib64 usr; do [ ! -d /$d ] || mount --rbind /$d $work/root/$d; done
         cat $work/root{name} >/dev/null
         umount -l $fuse
         exec chroot $work/root {name} -c 'echo ready; read -r end'"
    );
    // As an ordinary user may: everything is in a user namespace.
    Fuse::hanging(&["-U", "-r", "-m", "-p", "-f", "--kill-child"], tree, &script)
}

#[test]
fn the_program_and_the_root_of_a_process_are_not_waited_for() {
    if !namespaces("hanging containers") {
        return;
    }
    // The name of a program that makes containers, so more of its files are read.
    let Some(fuse) = container("/bwrap") else { return };
    let pid = fuse.pid.to_string();
    let pid_ns = common::process::link(&pid, "pid");
    let id: String = pid_ns.chars().filter(char::is_ascii_digit).collect();
    let ids = |options: &[&str]| {
        let output = limited(applet("ctr-ps").args(["-n", "-o", "pid,id"]).args(options));
        let all = stdout(&output);
        let mut lines = all.lines().map(str::split_whitespace);
        lines.find_map(|mut words| (words.next()? == pid).then(|| words.next().unwrap_or("").to_owned()))
    };
    for options in [&[][..], &["--portable"], &["-p", &pid]] {
        assert_eq!(ids(options).as_deref(), Some(id.as_str()), "{options:?}");
        assert!(fuse.nobody_hung(), "ctr-ps {options:?} hung");
    }
    let target = format!("anon:{id}");
    let entered = limited(applet("nsenter").args(["-t", &target, "-p", "true"]));
    assert_eq!((entered.status.code(), stderr(&entered)), (Some(0), String::new()));
    assert!(fuse.nobody_hung(), "nsenter hung");
    let listed = limited(applet("lsns").args(["-n", "-o", "ns", "-p", &pid]));
    assert!(stdout(&listed).contains(&id), "{}", stdout(&listed));
    assert!(fuse.nobody_hung(), "lsns hung");
}

#[test]
fn the_users_of_a_container_are_not_waited_for() {
    if !namespaces("hanging users") {
        return;
    }
    let Some(fuse) = container("/program") else { return };
    let pid = fuse.pid.to_string();
    let shown = limited(applet("ctr-ps").args(["-n", "-o", "pid,cuser", "-p", &pid]));
    assert!(stdout(&shown).trim_start().starts_with(&pid), "{} {}", stdout(&shown), stderr(&shown));
    assert!(fuse.nobody_hung(), "ctr-ps hung");
}

/// What is read of a container before it is entered: its shell, and how it resolves names.
#[test]
fn files_of_a_container_to_enter_are_not_waited_for() {
    if !namespaces("hanging files of a container") {
        return;
    }
    let files = ["/passwd", "/names"].map(|name| (name, Some(b"root:x:0:0::/:/bin/false\n".to_vec())));
    let script = "mount --bind $fuse/passwd /etc/passwd; mount --bind $fuse/names /etc/hosts
        umount -l $fuse; echo ready; read -r end";
    let Some(fuse) = Fuse::hanging(&["-m", "-n"], files.to_vec(), script) else { return };
    let pid = fuse.pid.to_string();
    let mut shell = applet("nsenter");
    shell
        .args(["-t", &pid, "-m"])
        .env("SHELL", "/no/such/shell")
        .env("HOME", "/no/such/home")
        .env_remove("ENV");
    let output = fed(&mut shell, Some(b"echo \"$0\"; exit 7\n"));
    assert_eq!(stdout(&output).lines().last(), Some("-sh"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(7));
    let refused = limited(applet("nsenter").args(["-t", &pid, "-n", "--dns", "true"]));
    let message = stderr(&refused);
    assert!(message.starts_with("nsenter: cannot take the DNS configuration of the target: "), "{message}");
    assert!(message.contains("does not answer in time"), "{message}");
    assert_eq!(refused.status.code(), Some(1));
    assert!(fuse.nobody_hung(), "nsenter hung");
}

#[test]
fn capabilities_of_a_program_are_not_waited_for() {
    if !namespaces("hanging programs") {
        return;
    }
    let Some(fuse) = container("/program") else { return };
    let pid = fuse.pid.to_string();
    let print = format!("--print={pid}");
    for (name, options) in [("getpcaps", &["--json", &pid][..]), ("capsh", &[&print])] {
        let shown = limited(applet(name).args(options));
        let unknown = "its filesystem does not answer in time";
        assert!(stdout(&shown).contains(unknown), "{name} {}{}", stdout(&shown), stderr(&shown));
        assert!(fuse.nobody_hung(), "{name} hung");
    }
}

/// ctr-ps in the mounts of the process.
fn looks_from(fuse: &Fuse) -> (String, String) {
    let mounts = format!("--mount=/proc/{}/ns/mnt", fuse.pid);
    let output =
        limited(program("nsenter").arg(mounts).arg(binary()).args(["ctr-ps", "-v", "-n", "-o", "pid"]));
    (stdout(&output), stderr(&output))
}

#[test]
fn records_of_a_user_are_not_waited_for() {
    if !namespaces("hanging records") {
        return;
    }
    // Two users have the same: the second costs only its own time.
    let script = "mount -t tmpfs none /run; mkdir -p $work/none /run/user/4242 /run/user/4243
        for user in 4242 4243; do
            mount -t overlay -o lowerdir=$fuse:$work/none none /run/user/$user
        done
        umount -l $fuse; echo ready; read -r end";
    let tree = vec![("/runc", None), ("/containers", None)];
    let Some(fuse) = Fuse::hanging(&["-m"], tree, script) else { return };
    let (shown, warned) = looks_from(&fuse);
    assert!(shown.lines().any(|line| line.trim() == fuse.pid.to_string()), "{shown}");
    for user in ["/run/user/4242/", "/run/user/4243/"] {
        let warned = |line: &str| line.contains(user) && line.contains("does not answer in time");
        assert!(looks_from(&fuse).1.lines().any(warned), "{user}");
    }
    assert!(warned.contains("does not answer"), "{warned}");
    assert!(fuse.nobody_hung(), "ctr-ps hung");
}

#[test]
fn links_of_a_user_to_files_of_processes_are_not_followed() {
    if !namespaces("links to hanging containers") {
        return;
    }
    let Some(fuse) = container("/program") else { return };
    let script = format!(
        "mount -t tmpfs none /run; mkdir -p /run/user/4242
         for name in runc crun containers docker; do ln -s /proc/{}/root /run/user/4242/$name; done
         chown -h -R 4242 /run/user/4242
         exec \"$0\" ctr-ps -v -n -o pid",
        fuse.pid
    );
    let output = limited(program("unshare").args(["-m", "sh", "-ec", &script]).arg(binary()));
    let shown = stdout(&output);
    assert!(shown.lines().any(|line| line.trim() == fuse.pid.to_string()), "{shown}{}", stderr(&output));
    assert!(!stderr(&output).contains("in time"), "{}", stderr(&output));
    assert!(fuse.nobody_hung(), "ctr-ps hung");
}

/// The files with the arguments and the environment of process 1 of a pid namespace hang, like those of a process that
/// keeps its memory locked. It runs in its own mount namespace, so that no other process waits.
fn locked_memory() -> Option<Fuse> {
    let tree = vec![("/held", Some(b"sh\0".to_vec()))];
    let script = "mount -t proc none /proc
        for file in cmdline environ; do mount --bind $fuse/held /proc/1/$file; done
        sleep 1000 & exec 4<&0; echo ready; read -r end <&4";
    Fuse::hanging(&["-m", "-p", "-f", "--kill-child"], tree, script)
}

/// An applet, run among the processes of the namespace.
fn looks_at(fuse: &Fuse, words: &[&str]) -> (Option<i32>, String, String) {
    let pid = fuse.pid.to_string();
    let mut command = program("nsenter");
    command.args(["-t", &pid, "-m", "-p"]).arg(binary()).args(words);
    let output = limited(&mut command);
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn processes_whose_memory_is_locked_are_not_waited_for() {
    if !namespaces("locked memory") {
        return;
    }
    let Some(fuse) = locked_memory() else { return };
    let warned = "cannot read the arguments of process 1: its memory is locked\n";
    let list = ["-n", "-o", "pid,command"];
    for options in [&[][..], &["--portable"], &["-p", "1"]] {
        let (status, shown, message) = looks_at(&fuse, &[&["ctr-ps"], &list[..], options].concat());
        assert!(shown.lines().any(|line| line.trim() == "1 [sh]"), "{options:?}: {shown}{message}");
        if options.is_empty() {
            assert!(shown.contains("sleep 1000"), "the arguments of others are read: {shown}");
        }
        assert_eq!(message, format!("ctr-ps: {warned}"), "{options:?}");
        assert_eq!(status, Some(u8::from(options.len() == 2).into()));
    }
    let (status, shown, message) = looks_at(&fuse, &["lsns", "-n", "-t", "pid", "-o", "pid,command"]);
    assert_eq!((status, shown.trim(), message), (Some(0), "1 sh", format!("lsns: {warned}")));
    let refused = "nsenter: cannot read the environment of process 1: its memory is locked\n";
    let entered = looks_at(&fuse, &["nsenter", "-t", "1", "-u", "-e", "true"]);
    assert_eq!(entered, (Some(1), String::new(), refused.to_owned()));
    assert!(fuse.nobody_hung(), "somebody hung");
}

/// What ctr-inspect reads of a process, and what can block as its arguments do: a word of its memory, the system call that
/// a thread is in, and what it read and wrote.
#[test]
fn a_report_does_not_wait_for_locked_memory_or_an_execve() {
    if !namespaces("locked reports") {
        return;
    }
    let number = libc::SYS_rt_sigtimedwait;
    let waits = "echo do_sigtimedwait >$work/wchan; mount --bind $work/wchan /proc/1/task/1/wchan";
    let call = format!("echo {number} 0x1000 0x0 >$work/syscall");
    let signals = "processes.init.signals";
    let held = |file: &str| format!("mount --bind $fuse/held /proc/1/{file}");
    let call = format!("{waits}; {call}; mount --bind $work/syscall /proc/1/task/1/syscall");
    for (held, section, unknown) in [
        (format!("{call}; {}", held("mem")), "processes", signals),
        (format!("{waits}; {}", held("task/1/syscall")), "processes", signals),
        (format!("{}; umount -R -l /sys/fs/cgroup || :", held("io")), "limits", "limits.io"),
    ] {
        let tree = vec![("/held", Some(b"0 0x0\n".to_vec()))];
        let script = format!("mount -t proc none /proc; {held}\nexec 4<&0; echo ready; read -r end <&4");
        let Some(fuse) = Fuse::hanging(&["-m", "-p", "-f", "--kill-child"], tree, &script) else { return };
        let (status, shown, message) = looks_at(&fuse, &["ctr-inspect", "-J", "-s", section, "1"]);
        assert!(fuse.nobody_hung(), "{held}: ctr-inspect hung");
        assert_eq!((status, message.as_str()), (Some(0), ""), "{held}");
        assert!(shown.contains(&format!("\"path\":\"{unknown}\"")), "{held}: {shown}");
    }
}

/// Who mounts an overlay chooses the paths of its layers: ctr-inspect follows short links of Docker there.
#[test]
fn the_layers_of_a_root_are_not_waited_for() {
    if !namespaces("hanging layers") {
        return;
    }
    let tree = vec![("/l", None), ("/l/x", None)];
    let script = "mkdir $work/none $work/root; cd $work/none; mkdir bin lib lib64 usr; cd /
        mount -t overlay -o lowerdir=$fuse/l/x:$work/none none $work/root
        for d in bin lib lib64 usr; do [ ! -d /$d ] || mount --rbind /$d $work/root/$d; done
        exec chroot $work/root /bin/sh -c 'echo ready; read -r end'";
    let Some(fuse) = Fuse::hanging(&["-m"], tree, script) else { return };
    let pid = fuse.pid.to_string();
    let mounts = format!("--mount=/proc/{pid}/ns/mnt");
    let words = ["ctr-inspect", "-J", "-s", "files", &pid];
    let output = limited(program("nsenter").arg(mounts).arg(binary()).args(words));
    assert!(fuse.nobody_hung(), "ctr-inspect hung");
    let shown = stdout(&output);
    assert!(shown.contains("/mnt/fuse/l/x"), "{shown}{}", stderr(&output));
    assert!(shown.contains("the file system of a layer does not answer in time"), "{shown}");
}

/// The name of the file ends as that of a deleted one: how many links it has is asked.
#[test]
fn open_files_that_may_be_deleted_are_not_waited_for() {
    if !namespaces("hanging open files") {
        return;
    }
    let tree: Tree = vec![("/x (deleted)", Some(b"x\n".to_vec()))];
    let script = "exec 5<\"$fuse/x (deleted)\"; echo ready; read -r end";
    let Some(fuse) = Fuse::hanging(&["-m", "-p", "-f", "--kill-child"], tree, script) else { return };
    let pid = fuse.pid.to_string();
    let output = limited(applet("ctr-inspect").args(["-J", "-s", "files", &pid]));
    assert!(fuse.nobody_hung(), "ctr-inspect hung");
    let shown = stdout(&output);
    let is_known = shown.contains("\"deleted\":[]");
    assert!(is_known || shown.contains("does not answer in time"), "{shown}{}", stderr(&output));
}

/// Each kind of thing looks at other files of a container, or at a path that leads into one.
#[test]
fn things_are_not_looked_for_where_nobody_answers() {
    if !namespaces("hanging things") {
        return;
    }
    let tree: Tree =
        vec![("/x", Some(b"x\n".to_vec())), ("/x (deleted)", Some(b"x\n".to_vec())), ("/etc", None)];
    let script = "mkdir $work/none $work/root; exec 5<$fuse/x 6<\"$fuse/x (deleted)\"
        mount -t overlay -o lowerdir=$fuse:$work/none none $work/root
        for d in bin lib lib64 usr; do [ ! -d /$d ] || { mkdir -p $work/none/$d; mount --rbind /$d $work/root/$d; }; done
        exec chroot $work/root /bin/sh -c 'echo ready; read -r end'";
    let script = script.replace(
        "mkdir $work/none",
        "mkdir -p $work/none/bin $work/none/lib $work/none/lib64 $work/none/usr",
    );
    for options in [&["-m", "-p", "-f", "--kill-child"][..], &["-m", "-n", "-u", "-p", "-f", "--kill-child"]]
    {
        let Some(fuse) = Fuse::hanging(options, tree.clone(), &script) else { return };
        let pid = fuse.pid.to_string();
        let mounts = format!("--mount=/proc/{pid}/ns/mnt");
        for thing in [
            "/mnt/fuse/x",
            "/mnt/fuse",
            "/mnt/root/x",
            "/mnt/fuse/x (deleted)",
            "/x",
            &format!("/proc/{pid}/root/x"),
            &format!("/proc/{pid}/root/x y"),
            &format!("/proc/{pid}/task/{pid}/root/etc/../x"),
            &format!("/proc/{pid}/fd/5"),
            &format!("/proc/{pid}/cwd"),
            "name-of-nobody",
            "10.255.0.9",
            "tcp:9",
            "02:42:ac:11:00:99",
            "@nobody",
            "/run/nobody.sock",
            "net:[1]",
            &pid,
        ] {
            for outside in [true, false] {
                let mut command = if outside { applet("ctr-whose") } else { program("nsenter") };
                if !outside {
                    command.arg(&mounts).arg(binary()).arg("ctr-whose");
                }
                let output = limited(command.arg(thing));
                assert!(fuse.nobody_hung(), "ctr-whose {thing} hung, outside: {outside}");
                assert!(
                    output.status.code().is_some_and(|status| status < 2),
                    "{thing}: {}",
                    stderr(&output)
                );
            }
        }
    }
}

/// What nsenter has entered when a step fails has the container's /proc, which the container chooses.
#[test]
fn a_hint_does_not_wait_for_the_proc_of_a_container() {
    if !namespaces("a hanging proc of a container") {
        return;
    }
    let script = "mount --bind $fuse /proc; echo ready; read -r end";
    let Some(fuse) = Fuse::hanging(&["-U", "-r", "-m"], Vec::new(), script) else { return };
    let mut command = applet("nsenter");
    command.env("CTRBOX_HINTS", "always");
    let refused = limited(command.args(["-t", &fuse.pid.to_string(), "-U", "-m", "-S", "4242", "true"]));
    let message = stderr(&refused);
    assert!(fuse.nobody_hung(), "nsenter hung: {message}");
    assert_eq!(refused.status.code(), Some(1), "{message}");
    let hint = "hint: user id 4242 is not mapped in the user namespace, which has ";
    assert!(message.contains(hint), "{message}");
}
