//! The reasons of refused operations: each one is produced for real or, where that is not possible, by files in place
//! of /proc.
#![allow(unsafe_code)] // pre_exec and prctl(2)

use crate::common;

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common::process::{Holder, executable, limited};
use crate::common::unshare::{Public, STRANGER, apart, possible, replace, unshare, without_pids};
use crate::common::{Running, Scratch, UNPRIVILEGED_UID, binary, program, skip, stderr, stdout, there};
use crate::hints_targets::{ROOT, proc};
use ctrbox::testing::hint::hint_for;
use ctrbox::testing::isolation::operation::Operation;
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
pub fn within(options: &[&str], script: &str) -> Command {
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
