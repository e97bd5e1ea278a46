//! nsenter with the credentials of a container, and in a container without tools: identity, the host's files
//! besides its own, applets, a proc.

use crate::common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::nsenter::{in_scratch, links, nsenter, of, readlinks, refused};
use crate::common::process::{Holder, copy_of_binary, failure, limited, link, namespaces, printed};
use crate::common::{Scratch, UNPRIVILEGED_UID, program, skip, stderr, stdout, there};

/// The identity of a process in /proc/PID/status.
fn identity(status: &str) -> String {
    let names =
        ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];
    let wanted = |line: &&str| line.split_once(':').is_some_and(|(name, _)| names.contains(&name));
    let lines = status.lines().filter(wanted).map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

fn identity_of(holder: &Holder) -> String {
    identity(&std::fs::read_to_string(holder.file("status")).expect("a status"))
}

/// setpriv(1), which changes the identity of a process; None if it is not installed.
fn somebody(test: &str, options: &[&str]) -> Option<Holder> {
    if !namespaces(test) {
        return None;
    }
    if !there("setpriv") {
        skip(test, "needs setpriv");
        return None;
    }
    let mut command = program("env");
    command.args(["-i", "MARK=inside", "PATH=/usr/bin:/bin", "HOME=/nowhere"]);
    command.args(["unshare", "-m", "-u", "-p", "-f", "setpriv"]).args(options);
    Some(Holder::by(command.current_dir("/usr"), ""))
}

#[test]
fn the_program_gets_the_credentials_of_the_container() {
    let capabilities = "--bounding-set=-all,+chown,+kill,+setuid,+setgid,+setpcap";
    for options in [
        &["--reuid=1234", "--regid=2345", "--groups=7,8", "--no-new-privs"][..],
        &["--reuid=1234", "--regid=2345", "--clear-groups", capabilities],
        &["--groups=0,5", capabilities],
        &["--clear-groups", "--no-new-privs", "--inh-caps=-all"],
        &["--reuid=77", "--clear-groups", "--inh-caps=+chown,+kill", "--ambient-caps=+chown,+kill"],
    ] {
        let Some(holder) = somebody("nsenter-as-container", options) else { return };
        let shown =
            |added: &[&str]| identity(&printed(of(&holder).args(added).args(["cat", "/proc/self/status"])));
        assert_eq!(shown(&["--as-container"]), identity_of(&holder), "{options:?}");
        assert_eq!(shown(&["-a", "--as-container"]), identity_of(&holder), "{options:?}");
        assert_eq!(shown(&["-u", "--as-container"]), identity_of(&holder), "{options:?}");
        assert_ne!(shown(&["-a"]), identity_of(&holder), "{options:?}: or there is nothing to see");
    }
}

#[test]
fn directory_environment_and_descriptors() {
    let Some(holder) = somebody("nsenter-as-rest", &["--reuid=1234", "--regid=2345", "--clear-groups"])
    else {
        return;
    };
    std::fs::write(holder.file("oom_score_adj"), "321").expect("a score");
    let mut as_it = of(&holder);
    as_it.args(["--as-container", "sh", "-c", "pwd; echo $MARK $HOME; cat /proc/self/oom_score_adj"]);
    assert_eq!(printed(&mut as_it), "/usr\ninside /nowhere\n321\n");
    let kinds = ["cgroup", "ipc", "uts", "net", "pid", "mnt", "time"];
    assert_eq!(readlinks(of(&holder).arg("--as-container")), links(&holder, &kinds), "--all is meant");
    assert_eq!(readlinks(of(&holder).args(["-u", "--as-container"])), links(&holder, &["uts"]));

    // Others of the same container.
    let ids = |options: &[&str]| printed(of(&holder).args(options).args(["sh", "-c", "id -u; id -g; id -G"]));
    assert_eq!(ids(&["--as", "7:9"]), "7\n9\n9\n");
    assert_eq!(ids(&["--as=root"]), "0\n0\n0\n");
    assert_eq!(ids(&["--as-container", "-S5", "-G6"]), "5\n6\n6\n");
    assert_eq!(ids(&["--as-container", "-S5"]), "5\n2345\n2345\n");
    let capabilities = |user: &str| {
        let status = printed(of(&holder).args(["--as", user, "cat", "/proc/self/status"]));
        status.lines().find(|line| line.starts_with("CapEff")).expect("a line").to_owned()
    };
    assert!(capabilities("7").ends_with("\t0000000000000000"));
    let bounding = std::fs::read_to_string(holder.file("status")).expect("a status");
    let bounding = bounding.lines().find_map(|line| line.strip_prefix("CapBnd")).expect("a line");
    assert_eq!(capabilities("0").strip_prefix("CapEff"), Some(bounding));
    let home = printed(of(&holder).args(["--as=root", "sh", "-c", "echo $HOME"]));
    assert_eq!(home, "/root\n", "that of the user, who is not the container's");
    assert_eq!(
        failure(of(&holder).args(["--as", "ctrbox-nobody", "true"])),
        refused("the container's /etc/passwd has no user 'ctrbox-nobody'")
    );
    let file = format!("-u{}", holder.file("ns/uts"));
    assert_eq!(failure(nsenter().args([&file, "--as-container", "true"])), (Some(1), no_target("environ")));
}

fn no_target(file: &str) -> String {
    format!("nsenter: neither filename nor target pid supplied for {file}\n")
}

#[test]
fn ids_are_those_of_the_user_namespace() {
    if !namespaces("nsenter-as-user-ns") {
        return;
    }
    let mut unshare = program("unshare");
    unshare.args(["-U", "-r", "-m", "-p", "-f"]).uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
    if !limited(program("unshare").args(["-U", "-r", "true"]).uid(UNPRIVILEGED_UID)).status.success() {
        skip("nsenter-as-user-ns", "ordinary users may not make user namespaces here");
        return;
    }
    let holder = Holder::by(&mut unshare, "");
    let shown = |command: &mut Command| {
        printed(command.args([
            "--as-container",
            "sh",
            "-c",
            "id -u; grep -E '^(Groups|CapEff)' /proc/self/status",
        ]))
    };
    let original = identity_of(&holder);
    let effective = original.lines().find(|line| line.starts_with("CapEff")).expect("a line");
    let lines: Vec<String> = shown(&mut of(&holder)).lines().map(|line| line.trim_end().to_owned()).collect();
    assert_eq!(lines, ["0", "Groups:", effective], "none of root's groups outside");

    // Without its user namespace its capabilities would be valid on the host.
    assert_eq!(
        failure(of(&holder).args(["-m", "--as-container", "true"])),
        refused("--as-container needs the target's user namespace too (add --user, or name no namespace)")
    );
    // As its owner, who may not mount or change groups.
    let scratch = Scratch::new("nsenter-as-user-ns");
    let copy = scratch.0.join("ctrbox");
    copy_of_binary(&copy);
    let mut mine = program(copy.to_str().expect("text"));
    mine.uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/").args([
        "nsenter",
        "-t",
        &holder.pid.to_string(),
    ]);
    let lines = shown(&mut mine);
    assert!(lines.starts_with("0\n") && lines.contains(effective), "{lines}");
}

/// A mount on `only` that the host does not have.
fn with_mount(scratch: &Scratch, options: &[&str]) -> Holder {
    let only = in_scratch(scratch, "only");
    std::fs::create_dir_all(&only).expect("a directory");
    std::fs::write(in_scratch(scratch, "hosts"), "of the host\n").expect("a file");
    Holder::new(options, &format!("mount -t tmpfs tmpfs {only}; echo of the container >{only}/mark"))
}

fn mounts(process: &str) -> String {
    let all = std::fs::read_to_string(format!("/proc/{process}/mountinfo")).expect("mounts");
    // Other tests mount too.
    all.lines()
        .filter(|line| line.contains("ctrbox") || line.contains(" /run "))
        .map(|l| l.to_owned() + "\n")
        .collect()
}

#[test]
fn the_hosts_files_and_the_containers_beside_them() {
    if !namespaces("nsenter-host-root") {
        return;
    }
    let scratch = Scratch::new("nsenter-host-root");
    let holder = with_mount(&scratch, &["-m", "-n", "-u", "-i", "-p", "-f"]);
    let here = scratch.0.display();
    let before = (mounts("self"), mounts(&holder.pid.to_string()));
    let run = |options: &[&str], script: &str| {
        let mut command = of(&holder);
        printed(command.args(options).args(["sh", "-c", script]).current_dir(&scratch.0))
    };
    let both = format!("echo $CTR_ROOT; cat hosts $CTR_ROOT{here}/only/mark; ls {here}/only; pwd");
    let expected = |root: &str| format!("{root}\nof the host\nof the container\n{here}\n");
    assert_eq!(run(&["-a", "--host-root", "--force"], &both), expected("/run/ctrbox/root"));
    assert_eq!(run(&["-n", "-p", "-m", "--host-root", "--force"], &both), expected("/run/ctrbox/root"));
    assert_eq!(run(&["-n", "--host-root"], &both), expected("/run/ctrbox/root"));
    let there = in_scratch(&scratch, "there");
    std::fs::create_dir(&there).expect("a directory");
    assert_eq!(run(&["-a", &format!("--host-root={there}"), "--force"], &both), expected(&there));
    // The directory does not exist: its siblings are visible as before.
    let deep = in_scratch(&scratch, "not/there");
    assert_eq!(run(&["-a", &format!("--host-root={deep}"), "--force"], &both), expected(&deep));
    assert!(!Path::new(&in_scratch(&scratch, "not")).exists());
    let writes = format!("echo new >$CTR_ROOT{here}/only/new; echo y >{here}/written; ls /run >/dev/null");
    run(&["-a", "--host-root", "--force"], &writes);
    let new = format!("{}{here}/only/new", holder.file("root"));
    assert_eq!(std::fs::read_to_string(new).expect("it is the container's own"), "new\n");
    assert_eq!(std::fs::read_to_string(in_scratch(&scratch, "written")).expect("the host's"), "y\n");

    // All other namespaces are the container's, and proc shows its processes.
    let kinds = ["ipc", "uts", "net", "pid"];
    let names = kinds.map(|kind| format!("/proc/self/ns/{kind}")).join(" ");
    let expected = kinds.map(|kind| holder.link(kind) + "\n").concat();
    assert_eq!(run(&["-a", "--host-root", "--force"], &format!("readlink {names}")), expected);
    let first = run(
        &["-a", "--host-root", "--force"],
        "tr '\\0' ' ' </proc/1/cmdline; echo; echo /proc/[0-9]* | wc -w",
    );
    let mut lines = first.lines();
    assert_eq!(lines.next(), Some("cat "));
    assert!(lines.next().expect("a number").parse::<u32>().expect("a number") < 10, "{first}");
    let same = run(&["-n", "--host-root"], "readlink /proc/self/ns/pid");
    assert_eq!(same, link("self", "pid") + "\n", "no pid namespace, no other proc");

    assert_eq!((mounts("self"), mounts(&holder.pid.to_string())), before, "nothing is left, on either side");
    assert!(!Path::new("/run/ctrbox").exists());
}

#[test]
fn a_place_for_the_containers_root_that_will_not_do() {
    if !namespaces("nsenter-host-root-refused") {
        return;
    }
    let holder = Holder::new(&["-m"], "");
    let says = |options: &[&str]| failure(of(&holder).args(options).arg("true"));
    let relative = "option --host-root needs an absolute path, other than /: 'x'";
    assert_eq!(says(&["-a", "--host-root=x"]), refused(relative));
    let nowhere = "cannot mount on /ctrbox-no-such: no such directory (create it, or use one below /run)";
    assert_eq!(says(&["-a", "--host-root=/ctrbox-no-such"]), refused(nowhere));
    let both = |a: &str, b: &str| refused(&format!("options {a} and {b} cannot be combined"));
    assert_eq!(says(&["-a", "--host-root", "--as-container"]), both("--host-root", "--as-container"));
    assert_eq!(says(&["-a", "--host-root", "--as=7"]), both("--host-root", "--as-container"));
    assert_eq!(says(&["-a", "--host-root", "-r"]), both("--host-root", "--root"));
    assert_eq!(says(&["--host-root"]), refused("no namespace specified"));
    let file = format!("-u{}", holder.file("ns/mnt"));
    let output = limited(nsenter().args([&file, "--host-root", "true"]));
    assert_eq!(stderr(&output), no_target("ns/mnt"));
}

/// Root outside keeps the ids of the host: as root of the container its memory could be read by the container.
#[test]
fn with_the_hosts_files_the_user_namespace_is_not_entered_by_root() {
    if !namespaces("nsenter-host-root-user") {
        return;
    }
    let scratch = Scratch::new("nsenter-host-root-user");
    let holder = with_mount(&scratch, &["-U", "-r", "-m", "-n", "-p", "-f"]);
    let here = scratch.0.display();
    let script =
        format!("readlink /proc/self/ns/user; cat $CTR_ROOT{here}/only/mark; readlink /proc/self/ns/net");
    let shown = |options: &[&str]| printed(of(&holder).args(options).args(["sh", "-c", &script]));
    let expected = |user: String| format!("{user}\nof the container\n{}\n", holder.link("net"));
    assert_eq!(shown(&["-a", "--host-root", "--force"]), expected(link("self", "user")));
    assert_eq!(shown(&["-U", "-n", "-p", "--host-root", "--force"]), expected(holder.link("user")));
    assert_eq!(shown(&["-U", "-n", "--host-root"]), expected(holder.link("user")));
}

#[test]
fn the_hosts_files_for_an_ordinary_user() {
    if !namespaces("nsenter-host-root-unprivileged") {
        return;
    }
    let scratch = Scratch::new("nsenter-host-root-unprivileged");
    let copy = scratch.0.join("ctrbox");
    copy_of_binary(&copy);
    let unshare = || {
        let mut unshare = program("unshare");
        unshare
            .args(["-U", "-r", "-m", "-n", "-p", "-f", "--kill-child"])
            .uid(UNPRIVILEGED_UID)
            .gid(UNPRIVILEGED_UID);
        unshare
    };
    if !limited(unshare().arg("true")).status.success() {
        skip("nsenter-host-root-unprivileged", "ordinary users may not make user namespaces here");
        return;
    }
    let only = in_scratch(&scratch, "only");
    std::fs::create_dir(&only).expect("a directory");
    let setup = format!("mount -t tmpfs tmpfs {only}; echo of the container >{only}/mark");
    let holder = Holder::by(&mut unshare(), &setup);
    let script = format!("cat $CTR_ROOT{only}/mark; ls {only} | wc -l; echo /proc/[0-9]* | cut -c1-8");
    let mut mine = program(copy.to_str().expect("text"));
    mine.uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/");
    mine.args([
        "nsenter",
        "-t",
        &holder.pid.to_string(),
        "-a",
        "--preserve-credentials",
        "--host-root",
        "--force",
    ]);
    // -a leaves out the caller's own namespaces, which setns(2) would refuse.
    assert_eq!(printed(mine.args(["sh", "-c", &script])), "of the container\n0\n/proc/1 \n");
    assert!(!Path::new("/run/ctrbox").exists());
}

#[test]
fn a_proc_for_the_pid_namespace() {
    if !namespaces("nsenter-mount-proc") {
        return;
    }
    let scratch = Scratch::new("nsenter-mount-proc");
    let holder = Holder::new(&["-p", "-f", "-m"], "");
    let shown = |options: &[&str]| {
        printed(of(&holder).args(options).args([
            "sh",
            "-c",
            "tr '\\0' ' ' </proc/1/cmdline; readlink /proc/self/ns/mnt",
        ]))
    };
    let first = |options: &[&str]| {
        let text = shown(options);
        assert!(text.starts_with("cat mnt:["), "{options:?}: {text}");
        text
    };
    let before = std::fs::read_to_string("/proc/self/mounts").expect("mounts").matches(" /proc proc").count();
    assert!(!shown(&["-p"]).starts_with("cat mnt:"), "or there is nothing to see");
    let of_its_own = first(&["-p", "--mount-proc", "--force"]);
    assert!(!of_its_own.contains(&link("self", "mnt")) && !of_its_own.contains(&holder.link("mnt")));
    first(&["-a", "--mount-proc"]);
    first(&["-a", "--mount-proc=/proc"]);
    let elsewhere = in_scratch(&scratch, "proc");
    std::fs::create_dir(&elsewhere).expect("a directory");
    let option = format!("--mount-proc={elsewhere}");
    let script = format!("tr '\\0' ' ' <{elsewhere}/1/cmdline");
    assert_eq!(printed(of(&holder).args(["-p", "--force", &option, "sh", "-c", &script])), "cat ");
    assert!(std::fs::read_dir(&elsewhere).expect("a directory").next().is_none(), "nothing is left");
    let after = std::fs::read_to_string("/proc/self/mounts").expect("mounts").matches(" /proc proc").count();
    assert_eq!(after, before);

    let says = |options: &[&str]| failure(of(&holder).args(options).arg("true"));
    assert_eq!(
        says(&["-u", "--mount-proc"]),
        refused("option --mount-proc needs a pid namespace to enter (-p)")
    );
    let both = "options --mount-proc and --no-fork cannot be combined";
    assert_eq!(says(&["-p", "-F", "--mount-proc"]), refused(both));
    let missing = "mount /ctrbox-no-such failed: No such file or directory";
    assert_eq!(says(&["-p", "--force", "--mount-proc=/ctrbox-no-such"]), refused(missing));
}

/// A container with an empty root. perl enters it after it was loaded.
fn empty(test: &str, scratch: &Scratch, directories: &str) -> Option<Holder> {
    if !namespaces(test) {
        return None;
    }
    if !there("perl") {
        skip(test, "needs perl");
        return None;
    }
    let actual = std::fs::read(common::binary()).expect("the binary");
    if actual.windows(8).any(|bytes| bytes == b"ld-linux") {
        skip(test, "needs the static binary (`make test` has it)");
        return None;
    }
    let root = PathBuf::from(in_scratch(scratch, "root"));
    std::fs::create_dir(&root).expect("a directory");
    let perl = "open F, '</proc/self/stat'; ($pid) = split ' ', <F>; close F; $| = 1;
        chroot $ENV{ROOT} or die; chdir '/' or die; print \"$pid\\n\"; print while <STDIN>";
    let setup =
        format!("cd \"$ROOT\"; mount -t tmpfs tmpfs .; cd .; mkdir x {directories}; exec perl -e \"$0\"");
    let mut command = program("unshare");
    command.args(["-m", "-p", "-f", "-u", "sh", "-ec", &setup, perl]).env("ROOT", &root);
    Some(Holder::by(&mut command, ""))
}

#[test]
fn applets_where_there_is_no_file_at_all() {
    let scratch = Scratch::new("nsenter-applet");
    let Some(holder) = empty("nsenter-applet", &scratch, "proc") else { return };
    let run = |options: &[&str]| limited(of(&holder).args(["-a", "-r"]).args(options));
    let version = run(&["--applet", "ctr-ps", "--version"]);
    assert!(stdout(&version).starts_with("ctr-ps from ctrbox "), "{}", stderr(&version));
    assert_eq!(run(&["ctr-ps"]).status.code(), Some(127), "there is none inside");
    // It has no proc; ctr-ps needs one.
    let list = run(&["--applet", "ctr-ps", "-q"]);
    assert_eq!((list.status.code(), stdout(&list)), (Some(1), String::new()), "{}", stderr(&list));
    let list = run(&["--mount-proc", "--applet", "ctr-ps"]);
    let text = stdout(&list);
    assert!(
        list.status.success() && text.contains("perl") && text.contains("ctr-ps"),
        "{text}{}",
        stderr(&list)
    );
    let inner = run(&["--applet", "nsenter", "-F"]);
    assert_eq!(stderr(&inner), "nsenter: no namespace specified\n", "options after it are its own");
    let unknown = run(&["--applet", "nsentr"]);
    assert_eq!(unknown.status.code(), Some(127));
    assert!(stderr(&unknown).contains("did you mean 'nsenter'?"), "{}", stderr(&unknown));
    let none = run(&["--applet"]);
    let needs = "nsenter: option --applet needs the name of an applet ('ctrbox --list' lists them)\n";
    assert_eq!((none.status.code(), stderr(&none).as_str()), (Some(1), needs));
    assert_eq!(stdout(&run(&["--as-container", "--applet", "unshare", "--version"])).lines().count(), 1);
    // The host's tools see it, and its files.
    let root = in_scratch(&scratch, "root");
    let host = printed(of(&holder).args([
        "-a",
        "--host-root",
        "--force",
        "sh",
        "-c",
        "ls $CTR_ROOT; echo /proc/[0-9]* | cut -c1-7",
    ]));
    assert_eq!(host, "proc\nx\n/proc/1\n", "{root}");
    assert_eq!(std::fs::read_dir(&root).expect("a directory").count(), 0, "and nobody else");
}
