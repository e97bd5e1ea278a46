//! Why namespaces cannot be entered, and ids not taken in them: each reason is made for real, and is absent where it
//! does not hold.

use crate::common;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common::process::{Holder, Opens, Piped, children, limited, namespaces};
use crate::common::unshare::{Public, apart, possible, unshare, without_pids};
use crate::common::{Scratch, UNPRIVILEGED_UID, stderr};
use crate::hints::{hinted, message_and_hint, without};

const CAP_SYS_CHROOT: libc::c_ulong = 18;
const CAP_SYS_ADMIN: libc::c_ulong = 21;

/// Another applet by the user of the [`Public`] place.
fn user(public: &Public, applet: &str) -> Command {
    let mut command = common::program(public.at("ctrbox").to_str().expect("text"));
    command.arg(applet).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/");
    command
}

/// A process of the user in namespaces of their own.
fn holder(public: &Public, options: &[&str]) -> Holder {
    Holder::by_user(public.unshare(UNPRIVILEGED_UID).args(options))
}

fn enter(public: &Public, pid: i32, options: &[&str]) -> Command {
    let mut command = user(public, "nsenter");
    command.args(["--preserve-credentials", "-t", &pid.to_string()]).args(options).arg("true");
    command
}

/// The command succeeds, and no hint is printed.
fn silent(command: &mut Command) {
    let output = limited(command.env("CTRBOX_HINTS", "always"));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{command:?}");
}

#[test]
fn namespaces_that_are_the_own_ones_are_named() {
    if !namespaces("hints-own") {
        return;
    }
    let public = Public::new("hints-own");
    let target = holder(&public, &["-r", "-u"]);
    silent(&mut enter(&public, target.pid, &["-U", "-u"]));
    let already = |kinds: &str, options: &str| {
        format!("already in the {kinds} of the target, and may not enter {options}")
    };
    for (options, kinds, omit) in [
        (&["-U", "-n"][..], "net namespace", "it again; omit --net "),
        (&["-U", "-u", "-n"], "net namespace", "it again; omit --net "),
        (&["-U", "-m"], "mnt namespace", "it again; omit --mount "),
        (&["-U", "-p"], "pid namespace", "it again; omit --pid "),
        (&["-U", "-i", "-n"], "ipc and net namespaces", "them again; omit --ipc and --net "),
        (&["-n"], "net namespace", "it again; omit --net "),
    ] {
        let mut command = enter(&public, target.pid, options);
        if options.contains(&"-U") {
            let (_, hint) = message_and_hint(&mut command);
            assert!(hint.contains(&already(kinds, omit)), "{options:?} {hint}");
            assert!(!hint.contains("run as root") && !hint.contains("CAP_"), "{options:?} {hint}");
        } else {
            // The target has more capabilities, and only from inside its user namespace that does not matter.
            let (_, hint) = message_and_hint(&mut command);
            assert!(hint.contains("--user") || hint.contains(&already(kinds, omit)), "{options:?} {hint}");
        }
    }
    // Another namespace, of the user namespace that is entered, is not named so.
    let (_, hint) = message_and_hint(&mut enter(&public, target.pid, &["-u"]));
    assert!(!hint.contains("already"), "{hint}");
    assert!(
        hint.contains("belongs to another user namespace of this user; enter that too: --user"),
        "{hint}"
    );
}

#[test]
fn all_namespaces_are_the_callers_already() {
    if !namespaces("hints-all") {
        return;
    }
    let public = Public::new("hints-all");
    let mut command = common::program("sh");
    command.args(["-c", "exec \"$0\" nsenter -t $$ -a true"]).arg(public.at("ctrbox"));
    command.uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/").env("CTRBOX_HINTS", "always");
    let output = limited(&mut command);
    let text = stderr(&output);
    let start = "nsenter: this process is already in all namespaces of process ";
    assert!(output.status.code() == Some(1) && text.starts_with(start) && !text.contains("hint"), "{text}");
}

#[test]
fn a_failure_on_a_new_terminal_is_shown() {
    if !namespaces("hints-tty") {
        return;
    }
    let public = Public::new("hints-tty");
    let target = holder(&public, &["-r", "-u"]);
    let enter = |hints: &str| {
        let mut command = user(&public, "nsenter");
        command.args(["-t", &target.pid.to_string(), "-U", "--new-tty", "true"]);
        let output = limited(command.env("CTRBOX_HINTS", hints));
        assert_eq!(output.status.code(), Some(1));
        (common::stdout(&output), stderr(&output))
    };
    let message = "nsenter: setgroups failed: Operation not permitted\n";
    assert_eq!(enter("never"), (String::new(), message.to_owned()));
    // The new terminal is not the caller's: a script gets no hint.
    assert_eq!(enter(""), (String::new(), message.to_owned()));
    let (_, text) = enter("always");
    let hint = text.strip_prefix(message).unwrap_or_else(|| panic!("{text}"));
    assert!(hint.starts_with("hint: setgroups(2) is denied") && hint.lines().count() == 1, "{text}");
}

#[test]
fn a_namespace_of_another_owner_than_the_entered_user_namespace() {
    if !namespaces("hints-owner") {
        return;
    }
    let public = Public::new("hints-owner");
    let net = holder(&public, &["-rn"]);
    let target = holder(&public, &["-r"]);
    let file = format!("--net=/proc/{}/ns/net", net.pid);
    hinted(
        &mut enter(&public, target.pid, &["-U", &file]),
        &[
            "the net namespace belongs to a user namespace that is not the one that is entered",
            "nor below it; enter that one, or omit --net",
        ],
    );
    silent(&mut enter(&public, net.pid, &["-U", &file]));
}

#[test]
fn a_waiting_unshare_leads_to_its_child() {
    if !namespaces("hints-waiting") {
        return;
    }
    let public = Public::new("hints-waiting");
    let mut command = public.unshare(UNPRIVILEGED_UID);
    let child = Holder::by_child(command.args(["--user", "--pid", "--mount-proc", "--fork"]));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid)).expect("its stat");
    let after = stat.rsplit_once(") ").expect("a name").1;
    let waiting: i32 = after.split(' ').nth(1).expect("a parent").parse().expect("a PID");
    assert_eq!(children(waiting), [child.pid]);
    let (_, hint) = message_and_hint(&mut enter(&public, waiting, &["-U", "-m", "-p"]));
    assert!(
        hint.contains(&format!(
            "its children are in the one that it made; enter those of its child: --target {}",
            child.pid
        )),
        "{hint}"
    );
    assert!(!hint.contains("run as root"), "{hint}");
    silent(&mut enter(&public, child.pid, &["-U", "-m", "-p"]));
}

#[test]
fn ids_that_cannot_be_taken() {
    if !namespaces("hints-ids") {
        return;
    }
    let public = Public::new("hints-ids");
    let denied = holder(&public, &["-rnm"]);
    let bare = holder(&public, &["-U"]);
    let by_user = |pid: i32, options: &[&str]| {
        let mut command = user(&public, "nsenter");
        command.args(["-t", &pid.to_string()]).args(options).arg("true");
        command
    };
    for options in [&["-U"][..], &["-U", "-n"], &["-U", "-m", "-n"]] {
        hinted(
            &mut by_user(denied.pid, options),
            &["setgroups(2) is denied in the user namespace", "--preserve-credentials"],
        );
        silent(&mut enter(&public, denied.pid, options));
    }
    hinted(
        common::applet("nsenter").args(["-t", &bare.pid.to_string(), "-u", "-S", "4294967295", "true"]),
        &["4294967295 is not an id"],
    );
    hinted(&mut by_user(bare.pid, &["-U"]), &["no group ids are mapped", "--preserve-credentials"]);
    // Root dropped its groups outside.
    let pid = denied.pid.to_string();
    let by_root = |id: &str| {
        let mut command = common::applet("nsenter");
        command.args(["-U", "-t", &pid, "-S", id, "true"]);
        command
    };
    hinted(
        &mut by_root("5"),
        &["user id 5 is not mapped in the user namespace, which has 0; leave --setuid"],
    );
    silent(&mut by_root("0"));

    let new = |options: &[&str]| {
        let mut command = public.unshare(UNPRIVILEGED_UID);
        command.args(options).arg("true");
        command
    };
    hinted(&mut new(&["-r", "-G", "0"]), &["setgroups(2) is denied", "leave --setgid out"]);
    hinted(&mut new(&["-U", "-G", "0"]), &["no group ids are mapped", "--map-groups"]);
    hinted(&mut new(&["-r", "-S", "5"]), &["user id 5 is not mapped in the user namespace, which has 0"]);
    silent(&mut new(&["-r", "-S", "0"]));
}

#[test]
fn a_pid_namespace_without_its_first_process() {
    if !possible("hints-init") {
        return;
    }
    let scratch = Scratch::new("hints-init");
    let file = scratch.0.join("pid");
    std::fs::write(&file, "").expect("a file");
    let option = format!("--pid={}", file.display());
    apart(|| {
        assert!(limited(unshare().args([&option, "--fork", "true"])).status.success());
        let (message, hint) = message_and_hint(common::applet("nsenter").args([&option, "true"]));
        assert_eq!(message, "nsenter: fork failed: Cannot allocate memory");
        assert!(hint.contains("process 1 of the pid namespace has ended"), "{hint}");
        _ = nix::mount::umount(&file);
    });
    let living = Holder::by_child(unshare().args(["-pf", "--mount-proc"]));
    silent(common::applet("nsenter").args(["-t", &living.pid.to_string(), "-p", "true"]));
}

/// The reason is known although the /proc that is visible then is false: a device or a pipe. It is not opened.
#[test]
fn a_false_proc_in_the_container_is_not_opened() {
    if !possible("hints-false-proc") {
        return;
    }
    let scratch = Scratch::new("hints-false-proc");
    let path = |name: &str| scratch.0.join(name).display().to_string();
    let kept = path("pid");
    std::fs::write(&kept, "").expect("a file");
    let option = format!("--pid={kept}");
    apart(|| {
        assert!(limited(unshare().args([&option, "--fork", "true"])).status.success());
        for (node, kind) in [("c 1 3", "device"), ("p", "pipe")] {
            // A node by another path than the container's is the same one for inotify(7).
            let own = path(kind);
            let setup = format!(
                "mknod {own} {node}; mkdir {own}-proc {own}-proc/self; mount --bind {own}-proc /proc\n\
                for name in status uid_map gid_map mountinfo; do\n\
                : >/proc/self/$name; mount --bind {own} /proc/self/$name; done"
            );
            let container = Holder::new(&["-m"], &setup);
            let opens = Opens::of(Path::new(&own));
            let mut command = common::applet("nsenter");
            command.args(["-t", &container.pid.to_string(), "-m", &option, "true"]);
            let (message, hint) = message_and_hint(&mut command);
            assert_eq!(message, "nsenter: fork failed: Cannot allocate memory");
            assert!(hint.starts_with("process 1 of the pid namespace has ended"), "{hint}");
            assert!(!opens.any(), "{kind}: it was opened");
        }
        _ = nix::mount::umount(Path::new(&kept));
    });
    let living = Holder::by_child(unshare().args(["-pf", "-m", "--mount-proc"]));
    silent(common::applet("nsenter").args(["-t", &living.pid.to_string(), "-p", "-m", "true"]));
}

/// One setns(2) enters all or none. The network namespace can be entered only from outside of the user namespace. Without
/// CAP_SYS_CHROOT the mount namespace can be entered only from inside.
#[test]
fn namespaces_that_need_different_rights() {
    if !possible("hints-divided") {
        return;
    }
    let user = UNPRIVILEGED_UID.to_string();
    let by_user = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
    let mut command = common::program("unshare");
    let target = Holder::by(command.arg("-n").args(by_user).args(["unshare", "-r", "-m"]), "");
    for drops in [true, false] {
        for together in [&["-U", "-m", "-n"][..], &["-U", "-n"], &["-U", "-m"]] {
            let mut command = common::applet("nsenter");
            command.args(["-t", &target.pid.to_string()]).args(together).arg("true");
            silent(if drops { without(&mut command, CAP_SYS_CHROOT) } else { &mut command });
        }
    }
    let mut command = common::applet("nsenter");
    command.args(["-t", &target.pid.to_string(), "-m", "true"]);
    hinted(without(&mut command, CAP_SYS_CHROOT), &["CAP_SYS_CHROOT"]);
}

#[test]
fn a_process_that_is_not_dumpable() {
    if !possible("hints-dumpable") {
        return;
    }
    let public = Public::new("hints-dumpable");
    let user_id = UNPRIVILEGED_UID.to_string();
    let by_user = ["setpriv", "--reuid", &user_id, "--regid", &user_id, "--clear-groups"];
    // nsenter hides itself while it waits.
    let container = Holder::by_child(public.unshare(UNPRIVILEGED_UID).args(["-r", "-pf"]));
    let mut waits = user(&public, "nsenter");
    waits.args(["--preserve-credentials", "-t", &container.pid.to_string(), "-U", "-p", "cat"]);
    let mut plain = common::program(by_user[0]);
    plain.args(&by_user[1..]).arg("cat");
    for (command, is_hidden) in [(&mut waits, true), (&mut plain, false)] {
        let mut target = Piped::new(command);
        target.say("ready\n");
        assert_eq!(target.line(), "ready");
        let (_, hint) = message_and_hint(&mut enter(&public, target.pid(), &["-n"]));
        let words = "is not dumpable (prctl(2), PR_SET_DUMPABLE), so only a process with CAP_SYS_PTRACE may";
        assert_eq!(hint.contains(words), is_hidden, "{hint}");
        assert_eq!(hint.contains("dumpable"), is_hidden, "{hint}");
    }
}

#[test]
fn a_group_without_an_id_owns_no_user_namespace() {
    if !possible("hints-group") {
        return;
    }
    let inner = |options: &[&str]| {
        let mut command = unshare();
        command.args(options).args(["sh", "-c", "exec $0 unshare -U true"]).arg(common::binary());
        command
    };
    hinted(
        &mut inner(&["--map-user=0"]),
        &[
            "the group of this process has no id in its user namespace",
            "unshare --map-root-user or --map-group does",
        ],
    );
    let (_, hint) = message_and_hint(&mut inner(&["--map-group=0"]));
    assert!(hint.contains("the user of this process has no id") && !hint.contains("the group"), "{hint}");
    silent(&mut inner(&["--map-user=0", "--map-group=0"]));
}

#[test]
fn a_pid_namespace_needs_a_fork() {
    if !possible("hints-fork") {
        return;
    }
    let output = limited(unshare().args(["-p", "true"]).env("CTRBOX_HINTS", "always"));
    let text = stderr(&output);
    assert!(output.status.success() && text.starts_with("hint: without --fork the program stays"), "{text}");
    silent(unshare().args(["-pf", "true"]));
    silent(unshare().args(["-u", "true"]));
    let output = limited(unshare().args(["-p", "true"]).env_remove("CTRBOX_HINTS"));
    assert_eq!(stderr(&output), "", "a script");
    // An error comes first.
    let output = limited(unshare().args(["-p", "/no/such/program"]).env("CTRBOX_HINTS", "always"));
    assert!(stderr(&output).starts_with("unshare: failed to execute"), "{}", stderr(&output));
}

#[test]
fn letters_that_are_a_value() {
    let nsenter = |options: &[&str]| {
        let mut command = common::applet("nsenter");
        command.args(options).arg("true").current_dir("/").env("CTRBOX_HINTS", "always");
        without_pids(&stderr(&limited(&mut command)))
    };
    let text = nsenter(&["-t", "1", "-muinp"]);
    assert!(text.starts_with("nsenter: cannot open uinp: No such file or directory\nhint: "), "{text}");
    assert!(
        text.contains("-muinp is --mount=uinp, a file; write the letters apart: -m -u -i -n -p"),
        "{text}"
    );
    assert!(nsenter(&["-t", "1", "-rn"]).contains("-rn is --root=n, a file"));
    assert_eq!(
        nsenter(&["-t", "1", "-n/no/such"]),
        "nsenter: cannot open /no/such: No such file or directory\n"
    );
}

#[test]
fn namespaces_of_a_process_that_may_not_be_read() {
    if !namespaces("hints-lsns") {
        return;
    }
    let public = Public::new("hints-lsns");
    let roots = Holder::new(&["-u"], "");
    let lsns = |pid: i32| {
        let mut command = user(&public, "lsns");
        let output = limited(command.args(["-n", "-p", &pid.to_string()]).env("CTRBOX_HINTS", "always"));
        (output.status.code(), common::stdout(&output), stderr(&output))
    };
    let (status, list, text) = lsns(roots.pid);
    assert_eq!((status, list.as_str()), (Some(0), ""), "as util-linux");
    assert!(text.starts_with(&format!("hint: process {} belongs to user 0", roots.pid)), "{text}");
    let own = holder(&public, &["-r"]);
    let (status, list, text) = lsns(own.pid);
    assert!(status == Some(0) && !list.is_empty() && !text.contains("hint: process "), "{list} {text}");
}

#[test]
fn sudo_is_no_remedy_outside_the_bounding_set() {
    if !possible("hints-bounding") {
        return;
    }
    let public = Public::new("hints-bounding");
    let mut command = public.unshare(UNPRIVILEGED_UID);
    let (_, hint) = message_and_hint(command.args(["-n", "true"]));
    assert!(hint.contains("CAP_SYS_ADMIN is missing; run as root, for example with sudo(8)"), "{hint}");
    let mut command = common::program("setpriv");
    let user = UNPRIVILEGED_UID.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
    command.arg(public.at("ctrbox")).args(["unshare", "-n", "true"]);
    let (_, hint) = message_and_hint(without(&mut command, CAP_SYS_ADMIN));
    assert!(hint.contains("not in the bounding set") && !hint.contains("run as root"), "{hint}");
}

#[test]
fn a_root_that_is_no_mount_point_is_seen_without_proc() {
    if !possible("hints-no-proc") {
        return;
    }
    let public = Public::new("hints-no-proc");
    let run = |options: &[&str]| {
        let mut command = common::program("chroot");
        command.arg(public.at("")).args(["/ctrbox", "unshare"]).args(options).args(["/ctrbox", "--list"]);
        command
    };
    if !limited(&mut run(&[])).status.success() {
        return common::skip("hints-no-proc", "the binary is not static");
    }
    hinted(&mut run(&["-m"]), &["the root directory is not a mount point", "--propagation unchanged"]);
    let output = limited(run(&["-m", "--propagation", "unchanged"]).env("CTRBOX_HINTS", "always"));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn capabilities_of_capsh() {
    if !possible("hints-capsh") {
        return;
    }
    let capsh = |options: &[&str]| {
        let mut command = common::applet("capsh");
        stderr(&limited(command.args(options).env("CTRBOX_HINTS", "always")))
    };
    let text = capsh(&["--inh=", "--addamb=cap_kill"]);
    assert!(
        text.starts_with("failed to raise ambient [cap_kill=5]\nhint: cap_kill is not inheritable"),
        "{text}"
    );
    assert!(text.contains("--inh=cap_kill"), "{text}");
    let text = capsh(&["--caps=cap_setpcap=p", "--addamb=cap_kill"]);
    assert!(text.contains("hint: cap_kill is not permitted"), "{text}");
    let text = capsh(&["--inh=cap_kill", "--secbits=64", "--addamb=cap_kill"]);
    assert!(text.contains("hint: the securebit no-cap-ambient-raise is set"), "{text}");
    assert_eq!(capsh(&["--inh=cap_kill", "--addamb=cap_kill"]), "");
    let text = capsh(&["--inh=cap_kill,cap_kil,cap_chown"]);
    assert!(
        text.ends_with("Invalid argument\nhint: 'cap_kil' is not a capability; did you mean cap_kill?\n"),
        "{text}"
    );
    let text = capsh(&["--iab=^cap_kil,!cap_x"]);
    assert!(text.ends_with("hint: 'cap_kil', 'cap_x' are not capabilities\n"), "{text}");
    let text = capsh(&["--caps=cap_kil,cap_chown+ep"]);
    assert!(text.ends_with("hint: 'cap_kil' is not a capability; did you mean cap_kill?\n"), "{text}");
    assert!(!capsh(&["--caps=cap_kill+q"]).contains("hint:"));
}
