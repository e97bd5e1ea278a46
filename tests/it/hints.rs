//! The reasons of refused operations: each one is produced for real or, where that is not possible, by files in place
//! of /proc.
#![allow(unsafe_code)] // pre_exec and prctl(2)

use crate::common;

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common::process::{Holder, executable, limited, namespaces};
use crate::common::unshare::{Public, STRANGER, apart, possible, replace, unshare, without_pids};
use crate::common::{
    Running, Scratch, UNPRIVILEGED_UID, binary, program, skip, stderr, stdout, there, until,
};
use ctrbox::testing::hint::hint_for;
use ctrbox::testing::isolation::operation::Operation;
use ctrbox::testing::proc::ProcRoot;
use ctrbox::testing::proc::ns::Kind;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// Message and hint of a command that fails.
pub fn message_and_hint(command: &mut Command) -> (String, String) {
    let output = limited(command.env("CTRBOX_HINTS", "always"));
    let text = without_pids(&stderr(&output));
    assert!(!output.status.success() && stdout(&output).is_empty(), "{command:?} {text}");
    let (message, hint) =
        text.split_once("\nhint: ").unwrap_or_else(|| panic!("{command:?} has no hint: {text}"));
    (message.to_owned(), hint.trim_end_matches('\n').to_owned())
}

pub fn hinted(command: &mut Command, words: &[&str]) {
    let (message, hint) = message_and_hint(command);
    for word in words {
        assert!(hint.contains(word), "{command:?}\n{message}\nhint: {hint}\nlacks: {word}");
    }
}

/// Runs a script in a user namespace, with the binary as $0.
fn within(options: &[&str], script: &str) -> Command {
    let mut command = unshare();
    command.args(options).args(["sh", "-c", script]).arg(binary());
    command
}

#[test]
fn scripts_get_the_message_alone() {
    if !possible("hints-scripts") {
        return;
    }
    let public = Public::new("hints-scripts");
    let message = "unshare: unshare failed: Operation not permitted\n";
    let run = |word: Option<&str>| {
        let mut command = public.unshare(STRANGER);
        command.args(["-n", "true"]).env_remove("CTRBOX_HINTS");
        if let Some(word) = word {
            command.env("CTRBOX_HINTS", word);
        }
        stderr(&limited(&mut command))
    };
    assert_eq!(run(None), message);
    assert_eq!(run(Some("never")), message);
    assert_eq!(run(Some("rubbish")), message);
    assert!(run(Some("always")).starts_with(&format!("{message}hint: CAP_SYS_ADMIN is missing; ")));
}

#[test]
fn people_get_the_hint_too() {
    if !possible("hints-terminal") {
        return;
    }
    let public = Public::new("hints-terminal");
    for (word, hint) in [("", true), ("never", false)] {
        let (master, slave) = crate::common::terminal::pair().expect("a terminal");
        let mut command = public.unshare(STRANGER);
        command.args(["-n", "true"]).env("CTRBOX_HINTS", word).stderr(slave);
        let status = command.status().expect("it runs");
        drop(command);
        assert_eq!(status.code(), Some(1));
        let mut text = Vec::new();
        _ = std::fs::File::from(master).read_to_end(&mut text); // ends with an error: nobody has it open
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("Operation not permitted"), "{text}");
        assert_eq!(text.contains("hint: CAP_SYS_ADMIN"), hint, "{text}");
    }
}

#[test]
fn limits_of_user_namespaces() {
    if !possible("hints-limits") {
        return;
    }
    let zero = "echo 0 >/proc/sys/user/max_net_namespaces; exec $0 unshare -n true";
    hinted(&mut within(&["-r"], zero), &["user.max_net_namespaces is 0 here", "sysctl"]);
    let two = "echo 0 >/proc/sys/user/max_net_namespaces; echo 0 >/proc/sys/user/max_uts_namespaces; \
               exec $0 unshare -nu true";
    hinted(&mut within(&["-r"], two), &["max_net_namespaces and user.max_uts_namespaces are 0 here"]);
    let used = "echo 1 >/proc/sys/user/max_net_namespaces; exec $0 unshare -n $0 unshare -n true";
    hinted(&mut within(&["-r"], used), &["user.max_net_namespaces (1 here) is used up by this user"]);
    let above = "echo 0 >/proc/sys/user/max_uts_namespaces; exec $0 unshare -r $0 unshare -u true";
    hinted(&mut within(&["-r"], above), &["user.max_uts_namespaces", "or in a user namespace above"]);
    let user = "echo 0 >/proc/sys/user/max_user_namespaces; exec $0 unshare -U true";
    hinted(&mut within(&["-r"], user), &["user.max_user_namespaces is 0 here"]);
    hinted(&mut within(&["-U"], "exec $0 unshare -U true"), &["has no id in its user namespace"]);
}

/// Removes a capability from the bounding set, and so from what root gets on execve(2).
pub fn without(command: &mut Command, capability: libc::c_ulong) -> &mut Command {
    let act = move || match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: async-signal-safe, and no memory is allocated.
    unsafe { command.pre_exec(act) }
}

#[test]
fn a_missing_capability_has_a_name() {
    if !possible("hints-capabilities") {
        return;
    }
    const CAP_SETUID: libc::c_ulong = 7;
    const CAP_SYS_CHROOT: libc::c_ulong = 18;
    const CAP_SYS_ADMIN: libc::c_ulong = 21;
    const CAP_SETFCAP: libc::c_ulong = 31;
    let left = "root lacks it here";
    for options in [&["-n"][..], &["-m"], &["-ui"]] {
        let mut command = unshare();
        hinted(
            without(command.args(options).arg("true"), CAP_SYS_ADMIN),
            &["CAP_SYS_ADMIN is missing", left],
        );
    }
    let mut command = unshare();
    hinted(without(command.args(["-R", "/", "true"]), CAP_SYS_CHROOT), &["CAP_SYS_CHROOT is missing", left]);
    let mut command = unshare();
    command.args(["--map-users=5:5:10", "true"]);
    hinted(without(&mut command, CAP_SETUID), &["CAP_SETUID is missing", left]);
    let mut command = unshare();
    command.args(["--map-users=0:0:10", "true"]);
    hinted(without(&mut command, CAP_SETFCAP), &["mapping user 0 requires CAP_SETFCAP"]);
    let mut command = common::applet("nsenter");
    let holder = Holder::new(&["-u", "-m"], "");
    command.args(["-t", &holder.pid.to_string(), "-m", "-u", "true"]);
    hinted(without(&mut command, CAP_SYS_CHROOT), &["CAP_SYS_CHROOT is missing"]);
}

/// Directories of the system below a new root, which is a directory and not a mount point.
fn jail(root: &Path) {
    for name in ["usr", "proc", "etc", "bin", "lib", "lib64", "t"] {
        let (outside, inside) = (Path::new("/").join(name), root.join(name));
        match std::fs::read_link(&outside) {
            Ok(target) => std::os::unix::fs::symlink(target, &inside).expect("a link"),
            Err(_) => {
                std::fs::create_dir(&inside).expect("a directory");
                let source =
                    if name == "t" { binary().parent().expect("its directory").to_owned() } else { outside };
                let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
                if source.exists() {
                    mount(Some(&source), &inside, None::<&str>, flags, None::<&str>).expect("a bind mount");
                }
            }
        }
    }
}

#[test]
fn a_chroot_has_no_user_namespaces() {
    if !possible("hints-chroot") {
        return;
    }
    let scratch = Scratch::new("hints-chroot");
    let own = Path::new("/t").join(binary().file_name().expect("a name"));
    apart(|| {
        let plain = scratch.0.join("plain");
        std::fs::create_dir(&plain).expect("a directory");
        jail(&plain);
        let at = |root: &Path, options: &[&str]| {
            let mut command = program("chroot");
            command.arg(root).arg(&own).arg("unshare").args(options).arg("true");
            command
        };
        hinted(&mut at(&plain, &["-U"]), &["this process is in a chroot"]);
        hinted(
            &mut at(&plain, &["-m"]),
            &["the root directory is not a mount point", "--propagation unchanged"],
        );
        // On a mount point a process with another root sees it: this process does, and waits for it.
        let mounted = scratch.0.join("mounted");
        std::fs::create_dir(&mounted).expect("a directory");
        let (none, tmpfs) = (Some("none"), Some("tmpfs"));
        mount(none, &mounted, tmpfs, MsFlags::empty(), None::<&str>).expect("a tmpfs");
        jail(&mounted);
        let place = format!("this process is in a chroot, {}:", mounted.display());
        // The mounts of a thread are visible only below its process, so another process reads them.
        let looker = Running(program("sleep").arg("1000").spawn().expect("a process"));
        hinted(&mut at(&mounted, &["-U"]), &[&place]);
        drop(looker);
    });
}

/// The mounts of processes in other mount namespaces are not read: a container can have very many.
#[test]
fn a_chroot_is_looked_for_in_the_own_mount_namespace() {
    let scratch = Scratch::new("hints-chroot-others");
    let mount = |place: &str| format!("7 1 0:5 / {place} rw - tmpfs none rw\n");
    let proc = proc(
        &scratch,
        &[
            ("self/status", ROOT),
            ("self/uid_map", "0 0 4294967295\n"),
            ("self/mountinfo", &mount("/")),
            ("5/mountinfo", &mount("/place")),
        ],
    );
    let link = |process: &str, number: u32| {
        let directory = scratch.0.join(process).join("ns");
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("mnt");
        _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(format!("mnt:[{number}]"), path).expect("a link");
    };
    link("self", 1);
    for (number, is_own) in [(1, true), (2, false)] {
        link("5", number);
        let words = hint_for(&Operation::Unshare(vec![Kind::User]), Errno::EPERM, &proc).unwrap_or_default();
        assert_eq!(words.starts_with("this process is in a chroot, /place:"), is_own, "{words}");
    }
}

/// A seccomp filter that refuses one system call with EPERM.
fn filtered(command: &mut Command, call: libc::c_long) -> &mut Command {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let refuse = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).expect("small");
    let number = u32::try_from(call).expect("a number");
    let mut steps = [
        step(LOAD, 0, 0),
        step(EQUAL, 1, number),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, refuse),
    ];
    let act = move || {
        let filter = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
        // SAFETY: the filter lives during the call, and is as long as it says.
        match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: async-signal-safe, and no memory is allocated.
    unsafe { command.pre_exec(act) }
}

#[test]
fn a_seccomp_filter_is_proved() {
    if !possible("hints-seccomp") {
        return;
    }
    let refuses = |call: &str| format!("a seccomp filter refuses {call}(2);");
    for options in [&["-U"][..], &["-n"], &["-m", "--propagation", "unchanged"]] {
        let mut command = unshare();
        hinted(filtered(command.args(options).arg("true"), libc::SYS_unshare), &[&refuses("unshare")]);
    }
    let mut command = unshare();
    hinted(filtered(command.args(["-m", "true"]), libc::SYS_mount), &[&refuses("mount")]);
    let mut command = unshare();
    hinted(filtered(command.args(["-R", "/", "true"]), libc::SYS_chroot), &[&refuses("chroot")]);
    let mut command = common::applet("nsenter");
    command.args(["--net=/proc/self/ns/net", "true"]);
    hinted(filtered(&mut command, libc::SYS_setns), &[&refuses("setns")]);
    // It is present, and not the cause.
    let public = Public::new("hints-seccomp");
    let mut command = public.unshare(0);
    command.args([
        "-r",
        "-R",
        "/",
        "sh",
        "-c",
        "exec setpriv --bounding-set -sys_admin \"$0\" unshare -n true",
    ]);
    command.arg(public.at("ctrbox"));
    let (_, hint) = message_and_hint(filtered(&mut command, libc::SYS_acct));
    assert!(hint.starts_with("CAP_SYS_ADMIN is missing"), "{hint}");
}

#[test]
fn a_proc_that_cannot_be_mounted() {
    if !possible("hints-proc") {
        return;
    }
    let foreign = ["belongs to a user namespace above", "--pid --fork"];
    hinted(unshare().args(["-r", "--mount-proc", "true"]), &foreign);
    hinted(unshare().args(["-rp", "--mount-proc", "true"]), &foreign);
    // A proc that is mounted elsewhere on this host, as below the root of a chroot, permits another one.
    let covered = |names: &str| {
        let script = format!(
            "while read -r source at type rest; do case $type$at in proc/proc) ;; proc/*) umount -l \"$at\" ;; esac; done \
             </proc/mounts; \
             for name in {names}; do mount -t tmpfs none /proc/$name; done; exec $0 unshare -rpf --mount-proc true"
        );
        within(&["-mpf", "--mount-proc"], &script)
    };
    hinted(&mut covered("sys"), &["parts of /proc are covered here (/proc/sys)"]);
    hinted(
        &mut covered("sys fs bus irq driver"),
        &["/proc/sys, /proc/fs", "more)", "systempaths=unconfined"],
    );
}

#[test]
fn namespaces_that_cannot_be_kept() {
    if !possible("hints-keep") {
        return;
    }
    let scratch = Scratch::new("hints-keep");
    let file = scratch.0.join("file");
    let option = |kind: &str| format!("--{kind}={}", file.display());
    hinted(unshare().args([&option("net"), "true"]), &["there is no file", "touch"]);
    std::fs::write(&file, "").expect("a file");
    hinted(unshare().args([&option("pid"), "true"]), &["add --fork"]);
    apart(|| {
        mount(Some("none"), &scratch.0, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
        std::fs::write(&file, "").expect("a file");
        mount(None::<&str>, &scratch.0, None::<&str>, MsFlags::MS_SHARED, None::<&str>).expect("shared");
        hinted(unshare().args([&option("mount"), "true"]), &["shared mount", "mount --make-private"]);
    });
}

#[test]
fn maps_that_are_refused() {
    if !possible("hints-maps") {
        return;
    }
    let lines = (0..341).map(|n| format!("--map-users={n}:{n}:1"));
    hinted(
        unshare().args(lines).arg("true"),
        &["the map has 341 ranges of user ids, and the kernel accepts 340"],
    );
    let far = (0..341).map(|n| format!("--map-users={}:{}:1", 4_000_000_000_u32 + n, n));
    hinted(unshare().args(far).arg("true"), &["341 ranges"]); // more than a page
    hinted(
        unshare().args(["--map-users=0:0:10", "--map-users=5:50:1", "true"]),
        &["user id 5 is inside in two"],
    );
    hinted(
        unshare().args(["--map-groups=0:0:10", "--map-groups=50:5:1", "true"]),
        &["group id 5 is outside in"],
    );
    hinted(unshare().args(["--map-users=0:0:0", "true"]), &["is empty"]);
    let ids = "exec $0 unshare --map-users=0:0:10 true";
    hinted(
        &mut within(&["--map-users=0:0:5", "--map-groups=0:0:5"], ids),
        &["user ids 0-9 exist in the user namespace of this process"],
    );
    hinted(
        &mut within(&["-r"], "exec $0 unshare -U --setgroups allow true"),
        &["setgroups(2) is already denied"],
    );
}

#[test]
fn sources_of_granted_ids() {
    if !possible("hints-grants") {
        return;
    }
    let public = Public::new("hints-grants");
    let empty = public.at("bin");
    std::fs::create_dir(&empty).expect("a directory");
    apart(|| {
        replace(&public.at(""), "/etc/subuid", "somebody:1:2\n");
        let user = || public.unshare(UNPRIVILEGED_UID);
        hinted(
            user().args(["--map-users=auto", "true"]),
            &["/etc/subuid grants user nobody no ids", "usermod"],
        );
        let range = "--map-users=0:100000:10";
        let none = ["needs newuidmap to map more than their own id, and it is not in PATH", "uidmap"];
        hinted(user().args([range, "true"]).env("PATH", &empty), &none);
        executable(&empty.join("newuidmap"), b"#!/bin/sh\nexit 1\n", 0o755);
        let mut command = user();
        command.args([range, "true"]).env("PATH", format!("{}:/bin:/usr/bin", empty.display()));
        let output = limited(command.env("CTRBOX_HINTS", "always"));
        let hint = stderr(&output);
        let weak = format!("hint: {}/newuidmap is not set-user-ID root", empty.display());
        assert!(hint.starts_with(&weak) && output.status.code() == Some(1), "{hint}");
        if there("newuidmap") {
            hinted(
                user().args([range, "true"]),
                &["/etc/subuid does not grant user nobody the user ids 100000-100009; it grants none"],
            );
        } else {
            skip("newuidmap", "it is not installed");
        }
        if there("newuidmap") {
            replace(&public.at(""), "/etc/subuid", "nobody:100000:20\nnobody:300:1\n");
            let granted = limited(user().args([range, "true"]).env("CTRBOX_HINTS", "always"));
            assert_eq!((granted.status.code(), stderr(&granted)), (Some(0), String::new()));
            hinted(
                user().args(["--map-users=0:400:10", "true"]),
                &["ids 400-409; it grants 100000-100019 and 300"],
            );
            let other = "but /etc/nsswitch.conf names another source of grants";
            for (source, is_other) in
                [("subid: files", false), ("passwd: files", false), ("subid: elsewhere", true)]
            {
                replace(&public.at(""), "/etc/nsswitch.conf", &format!("{source}\n"));
                let (_, hint) = message_and_hint(user().args(["--map-users=0:400:10", "true"]));
                assert!(hint.contains("does not grant user nobody the user ids 400-409"), "{source}: {hint}");
                assert_eq!(hint.contains(other), is_other, "{source}: {hint}");
                assert_eq!(hint.starts_with("perhaps"), is_other, "{source}: {hint}");
            }
            replace(&public.at(""), "/etc/nsswitch.conf", "passwd: files\n");
            hinted(
                user().gid(1).args([range, "true"]),
                &["this process has group 1, and newuidmap refuses any other than the group of user nobody"],
            );
            replace(&public.at(""), "/etc/nsswitch.conf", "passwd: files\n");
            let mut nameless = public.unshare(STRANGER);
            let (_, hint) = message_and_hint(nameless.args([range, "true"]));
            let reason = format!("/etc/passwd has no user with uid {STRANGER}, and newuidmap refuses");
            assert!(hint.starts_with(&reason) && !hint.contains("subuid"), "{hint}");
        }
    });
}

#[test]
fn targets_that_cannot_be_entered() {
    if !namespaces("hints-targets") {
        return;
    }
    let nsenter = || common::applet("nsenter");
    let holder = Holder::new(&["-n", "-u"], "");
    let pid = holder.pid.to_string();
    for options in ["-n", "-a", "-r", "-e", "-c"] {
        hinted(nsenter().args(["-t", "4194304", options, "true"]), &["there is no process 4194304"]);
    }
    hinted(common::applet("cgexec").args(["--like", "4194304", "true"]), &["there is no process 4194304"]);
    hinted(
        nsenter().args(["-t", &pid, "-m", "--wd=/no/such", "true"]),
        &["a directory of the caller", "--wdns=/no/such"],
    );
    hinted(nsenter().args(["-a", "no-such-program"]), &["option -a needs a target"]);
    // The parent of a user namespace that this process made is its own.
    let below = Holder::new(&["-U"], "");
    let mut parent = nsenter();
    parent.args(["-t", &below.pid.to_string(), "--user-parent", "true"]);
    hinted(&mut parent, &["already in that user namespace", "--user-parent"]);
    hinted(nsenter().args(["-t", &pid, "-U", "true"]), &["already in that user namespace; omit --user"]);
    hinted(nsenter().args([&format!("--net={}", holder.file("ns/uts")), "true"]), &["is a uts namespace"]);
    let public = Public::new("hints-targets");
    let mut command = program(public.at("ctrbox").to_str().expect("text"));
    command.args(["nsenter", "-t", &pid, "-n", "true"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
    hinted(
        &mut command,
        &[&format!("process {pid} belongs to user 0, and this process runs as user {UNPRIVILEGED_UID}")],
    );
    let file = public.at("kept");
    std::fs::write(&file, "").expect("a file");
    hinted(
        nsenter().args([&format!("--net={}", file.display()), "true"]),
        &["not a namespace: no namespace is mounted on it"],
    );
    // A child namespace does not lead out of itself.
    let out = format!("exec $0 nsenter --net=/proc/{pid}/ns/net --no-fork true");
    apart(|| {
        let kept = format!("--net={}", file.display());
        assert!(limited(unshare().args([&kept, "true"])).status.success());
        let enter = format!("exec $0 nsenter {kept} true");
        hinted(
            &mut within(&["-r"], &enter),
            &["the net namespace belongs to a user namespace that is not below"],
        );
        _ = nix::mount::umount(&file);
    });
    hinted(
        &mut within(&["-r"], &out),
        &[&format!("process {pid} is in a user namespace that is not below this one")],
    );
    let up = format!("exec 9<{}; exec $0 nsenter --pid=/proc/self/fd/9 true", holder.file("ns/pid"));
    hinted(&mut within(&["-pf"], &up), &["the pid namespace is not below this one"]);
}

#[test]
fn a_zombie_is_no_target() {
    if !possible("hints-zombie") {
        return;
    }
    let mut child = program("true").spawn().expect("a process");
    let state = format!("/proc/{}/stat", child.id());
    until("true ends", || std::fs::read_to_string(&state).expect("its state").contains(") Z "));
    let pid = child.id().to_string();
    let (_, hint) = message_and_hint(common::applet("nsenter").args(["-t", &pid, "-n", "true"]));
    child.wait().expect("its status");
    assert!(hint.contains("has ended"), "{hint}");
}

#[test]
fn programs_that_are_there_and_do_not_run() {
    if !possible("hints-programs") {
        return;
    }
    let scratch = Scratch::new("hints-programs");
    let at = |name: &str| scratch.0.join(name);
    let run = |name: &str| {
        let mut command = unshare();
        command.arg(at(name));
        command
    };
    executable(&at("script"), b"#!/no/such/sh -e\n", 0o755);
    hinted(&mut run("script"), &["exists, but its interpreter /no/such/sh does not"]);
    hinted(unshare().arg("script").env("PATH", &scratch.0), &["its interpreter /no/such/sh does not"]);
    executable(&at("plain"), b"", 0o644);
    hinted(&mut run("plain"), &["is not executable", "chmod +x"]);
    hinted(&mut run(""), &["is a directory"]);
    let mut loader = std::fs::read("/bin/true").expect("a program");
    let name = b"/ld-linux";
    match loader.windows(name.len()).position(|window| window == name) {
        Some(start) => {
            loader[start + 1..start + 3].copy_from_slice(b"XX");
            executable(&at("loader"), &loader, 0o755);
            hinted(&mut run("loader"), &["exists, but its loader /", "/XX-linux", "static"]);
        }
        None => skip("hints-loader", "/bin/true names no loader"),
    }
    // Without facts there is no hint.
    let output = limited(unshare().arg(at("nothing")).env("CTRBOX_HINTS", "always"));
    assert!(!stderr(&output).contains("hint:"), "{}", stderr(&output));
}

/// A /proc of files.
fn proc(scratch: &Scratch, files: &[(&str, &str)]) -> ProcRoot {
    for (name, text) in files {
        let path = scratch.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    ProcRoot::new(&scratch.0)
}

const ORDINARY: &str =
    "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\nThreads:\t1\n";
const ROOT: &str = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\nThreads:\t1\n";

#[test]
fn other_hosts_settings() {
    let user = || Operation::Unshare(vec![Kind::User]);
    let all = ("self/uid_map", "0 0 4294967295\n");
    let say = |name: &str, asked: Operation, errno: Errno, files: &[(&str, &str)]| {
        let scratch = Scratch::new(&format!("hints-{name}"));
        hint_for(&asked, errno, &proc(&scratch, files)).unwrap_or_default()
    };
    let debian = [("self/status", ORDINARY), all, ("sys/kernel/unprivileged_userns_clone", "0\n")];
    let words = say("debian", user(), Errno::EPERM, &debian);
    assert!(words.starts_with("kernel.unprivileged_userns_clone is 0: only root may"), "{words}");
    let ubuntu = ("sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    let words = say("ubuntu", user(), Errno::EACCES, &[("self/status", ORDINARY), all, ubuntu]);
    assert!(
        words.starts_with("kernel.apparmor_restrict_unprivileged_userns is 1; give this program"),
        "{words}"
    );
    // With its own profile the cause is not certain; root is not affected.
    let label = ("self/attr/apparmor/current", "docker-default (enforce)\n");
    let words = say("profile", user(), Errno::EACCES, &[("self/status", ORDINARY), all, ubuntu, label]);
    assert!(words.starts_with("perhaps kernel.apparmor_restrict"), "{words}");
    assert!(words.contains("confines this process as 'docker-default (enforce)'"), "{words}");
    let words = say("root", user(), Errno::EPERM, &[("self/status", ROOT), all, ubuntu, debian[2]]);
    assert!(
        words.starts_with(
            "the cause cannot be found from here. Ruled out: a user or group without an id in the user \
             namespace of this process, kernel.unprivileged_userns_clone, "
        ),
        "{words}"
    );
    // A user namespace is a remedy only where one can be made.
    let net = || Operation::Unshare(vec![Kind::Net]);
    let (missing, remedy) = ("CAP_SYS_ADMIN is missing", "unshare --map-root-user");
    let words = say("remedy", net(), Errno::EPERM, &[("self/status", ORDINARY), all]);
    assert!(words.contains(missing) && words.contains(remedy), "{words}");
    let none = ("sys/user/max_user_namespaces", "0\n");
    for (name, setting) in [("remedy-none", none), ("remedy-debian", debian[2]), ("remedy-ubuntu", ubuntu)] {
        let words = say(name, net(), Errno::EPERM, &[("self/status", ORDINARY), all, setting]);
        assert!(words.contains(missing) && !words.contains(remedy), "{words}");
    }
    // unshare(2) has succeeded, and then:
    let taken = ("self/attr/current", "unprivileged_userns (enforce)\n");
    let map = || Operation::Map {
        which: ctrbox::testing::proc::idmap::Which::Users,
        file: "/proc/self/uid_map".into(),
        ranges: Vec::new(),
        helper: false,
    };
    for asked in [
        map(),
        Operation::Proc,
        Operation::Chroot { entering: false },
        Operation::Propagation,
        Operation::Setgroups,
    ] {
        let words = say("taken", asked, Errno::EPERM, &[("self/status", ROOT), taken]);
        assert!(words.contains("AppArmor removed its capabilities (profile unprivileged_userns)"), "{words}");
    }
    let threads = ROOT.replace("Threads:\t1", "Threads:\t7");
    let enter = Operation::File { fd: None, kind: Kind::User, before: None };
    let words = say("threads", enter, Errno::EINVAL, &[("self/status", &threads), ("self/ns/user", "")]);
    assert!(words.contains("this process has 7 threads"), "{words}");
    let kernel = [("self/status", ROOT), ("self/ns/user", "")];
    let words = say("kernel", Operation::Unshare(vec![Kind::User, Kind::Time]), Errno::EINVAL, &kernel);
    assert_eq!(words, "this kernel has no time namespaces, which Linux 5.6 added (CONFIG_TIME_NS)");
    // A filter that cannot be proved to be the cause.
    let filtered = ROOT.replace("Seccomp:\t0", "Seccomp:\t2");
    let words = say("filter", user(), Errno::EPERM, &[("self/status", &filtered), all]);
    assert!(words.starts_with("perhaps a seccomp filter: this process has one. Ruled out: "), "{words}");
    let words = say("blind", user(), Errno::EPERM, &[]);
    assert_eq!(words, "/proc cannot be read here, so the cause cannot be found");
}

#[test]
fn every_truncation_of_status_gives_something() {
    let scratch = Scratch::new("hints-truncated");
    let proc = proc(&scratch, &[("self/uid_map", "0 0"), ("self/mountinfo", "1 2 3\n\n- -\n")]);
    for end in 0..ORDINARY.len() {
        std::fs::write(scratch.0.join("self/status"), &ORDINARY[..end]).expect("a file");
        for errno in [Errno::EPERM, Errno::EINVAL, Errno::ENOSPC, Errno::ESRCH] {
            _ = hint_for(&Operation::Unshare(vec![Kind::User, Kind::Net]), errno, &proc);
            _ = hint_for(&Operation::Proc, errno, &proc);
            _ = hint_for(
                &Operation::Process { pidfd: None, kinds: vec![Kind::Mnt], before: None },
                errno,
                &proc,
            );
        }
    }
}
