//! The reasons why a target cannot be entered or a program not run, and those that files in place of /proc show.

use std::os::unix::process::CommandExt;

use crate::common;
use crate::common::process::{Holder, executable, limited, namespaces};
use crate::common::unshare::{Public, apart, possible, unshare};
use crate::common::{Scratch, UNPRIVILEGED_UID, program, skip, stderr, until};
use crate::hints::{hinted, message_and_hint, within};
use ctrbox::testing::hint::hint_for;
use ctrbox::testing::isolation::operation::Operation;
use ctrbox::testing::proc::ProcRoot;
use ctrbox::testing::proc::ns::Kind;
use nix::errno::Errno;

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
pub fn proc(scratch: &Scratch, files: &[(&str, &str)]) -> ProcRoot {
    for (name, text) in files {
        let path = scratch.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    ProcRoot::new(&scratch.0)
}

const ORDINARY: &str =
    "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\nThreads:\t1\n";
pub const ROOT: &str =
    "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\nThreads:\t1\n";

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
