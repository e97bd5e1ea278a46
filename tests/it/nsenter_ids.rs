//! The credentials and the place of the program that nsenter runs: ids and capabilities, root and working directory,
//! control groups.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::common::nsenter::{ALL, KINDS, in_scratch, links, nsenter, of, refused};
use crate::common::process::{Holder, copy_of_binary, failure, limited, namespaces, printed};
use crate::common::{Scratch, UNPRIVILEGED_UID, program, skip, there};

/// A holder in a root directory of its own (`new`), with its working directory (`new/work`) there.
struct Rooted {
    holder: Holder,
    scratch: Scratch,
}

impl Rooted {
    fn new(name: &str) -> Rooted {
        let scratch = Scratch::new(name);
        let new = in_scratch(&scratch, "new");
        std::fs::create_dir(&new).expect("a directory");
        let setup = format!(
            "mount -t tmpfs tmpfs '{new}' && cd '{new}' && mkdir usr proc work etc
            mount --rbind /usr usr && mount -t proc proc proc
            for name in bin sbin lib lib32 lib64 libx32; do
                if [ -L /$name ]; then ln -s usr/$name $name
                elif [ -d /$name ]; then mkdir $name && mount --rbind /$name $name; fi
            done
            echo inside >mark && echo working >work/mark
            exec chroot . sh -ec 'cd /work && echo \"$0\" && exec cat' \"$pid\""
        );
        Rooted { holder: Holder::new(&["-m"], &setup), scratch }
    }

    /// The working directory of the program, as device and inode.
    fn directory(&self, options: &[&str], cwd: &Path) -> String {
        printed(of(&self.holder).args(options).args(["stat", "-c", "%d:%i", "."]).current_dir(cwd))
    }
}

fn identity(path: impl AsRef<Path>) -> String {
    let meta = std::fs::metadata(path.as_ref()).expect("a directory");
    format!("{}:{}\n", meta.dev(), meta.ino())
}

#[test]
fn root_and_working_directory() {
    if !namespaces("nsenter-root") {
        return;
    }
    let rooted = Rooted::new("nsenter-root");
    let outside = &rooted.scratch.0;
    let of_target = |name: &str| identity(rooted.holder.file(name));
    let (inner_root, inner_work) = (of_target("root"), of_target("cwd"));
    let mark = |options: &[&str]| printed(of(&rooted.holder).args(options).args(["cat", "/mark"]));

    // Without -r the root is that of the mount namespace, and the directory its root.
    assert!(!limited(of(&rooted.holder).args(["-m", "cat", "/mark"])).status.success());
    for options in [&["-m", "-r"][..], &["--mount", "--root"], &["-m", "-r", "-w"], &["-m", "-r", "-W/"]] {
        assert_eq!(mark(options), "inside\n", "{options:?}");
    }
    let by_path = format!("-r{}", rooted.holder.file("root"));
    assert_eq!(mark(&["-m", &by_path]), "inside\n");
    assert_eq!(mark(&["-u", &by_path]), "inside\n", "without its mount namespace too");
    let long = format!("--root={}", rooted.holder.file("root"));
    assert_eq!(mark(&["-m", &long]), "inside\n");
    // -r is the option that requires its value directly after the letter.
    let expected = refused("cannot open =/: No such file or directory");
    assert_eq!(failure(of(&rooted.holder).args(["-u", "-r=/", "true"])), expected);

    // -w: the target's, or one that is opened outside.
    assert_eq!(rooted.directory(&["-m", "-r", "-w"], outside), inner_work);
    assert_eq!(rooted.directory(&["-u", "-w"], outside), inner_work);
    let here = format!("-w{}", outside.display());
    assert_eq!(rooted.directory(&["-m", "-r", &here], Path::new("/")), identity(outside));
    let here = format!("-w={}", outside.display());
    assert_eq!(rooted.directory(&["-u", &here], Path::new("/")), identity(outside));
    assert_eq!(rooted.directory(&["-u", "-wnew"], outside), identity(outside.join("new")));
    assert_eq!(rooted.directory(&["-u", "--wd=."], outside), identity(outside));
    // -W: once inside.
    assert_eq!(rooted.directory(&["-m", "-r", "-W/work"], outside), inner_work);
    assert_eq!(rooted.directory(&["-m", "-r", "-W=/work"], outside), inner_work);
    assert_eq!(rooted.directory(&["-m", "-r", "--wdns=work"], outside), inner_work, "below the new root");
    assert_eq!(rooted.directory(&["-m", "-r", "-W."], outside), inner_root);
    let expected = refused("cannot open current working directory: No such file or directory");
    assert_eq!(failure(of(&rooted.holder).args(["-u", "-W/no/such", "true"])), expected);
    let expected = refused("cannot open /no/such: No such file or directory");
    assert_eq!(failure(of(&rooted.holder).args(["-u", "-w/no/such", "true"])), expected);

    // A new root alone leaves the directory where it is if that is inside, and is the directory if not.
    assert_eq!(rooted.directory(&["-u", "-r"], outside), inner_root);
    assert_eq!(rooted.directory(&["-u", "-r/"], outside), identity(outside));
    // Entering a mount namespace leads to its root.
    assert_eq!(rooted.directory(&["-m"], outside), identity("/"));
    assert_eq!(rooted.directory(&["-u"], outside), identity(outside));
}

#[test]
fn one_working_directory_is_enough() {
    let expected = |a: &str, b: &str| refused(&format!("options {a} and {b} cannot be combined"));
    let own = std::process::id().to_string();
    let both = |args: [&str; 2]| failure(nsenter().args(["-t", &own, "-u"]).args(args).arg("true"));
    assert_eq!(both(["-w/", "-W/"]), expected("--wd", "--wdns"));
    assert_eq!(both(["--wdns=/", "-w"]), expected("--wdns", "--wd"));
}

#[test]
fn a_root_that_is_no_directory() {
    if !namespaces("nsenter-root-file") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    for option in ["-r/etc/passwd", "-w/etc/passwd", "-W/etc/passwd"] {
        let (status, message) = failure(of(&holder).args(["-u", option, "true"]));
        assert_eq!(status, Some(1), "{option}");
        assert!(message.ends_with(": Not a directory\n"), "{option}: {message}");
    }
}

#[test]
fn credentials() {
    if !namespaces("nsenter-credentials") {
        return;
    }
    let mut unshare = program("unshare");
    unshare.args(["-u"]).uid(0).gid(0);
    let holder = Holder::by(&mut unshare, "");
    let mut other = program("unshare");
    let other = if there("setpriv") {
        let dropping = ["setpriv", "--reuid=1234", "--regid=4321", "--clear-groups"];
        Some(Holder::by(other.args(["-u"]).args(dropping), ""))
    } else {
        skip("nsenter-follow", "needs setpriv(1) of util-linux");
        None
    };
    // std drops the groups when the uid is set; for -G there must be groups to drop.
    let ids = |holder: &Holder, options: &[&str]| {
        let id = ["sh", "-c", "echo $(id -u) $(id -g) $(id -G)"];
        printed(of(holder).args(options).args(id))
    };
    let own = printed(program("sh").args(["-c", "echo $(id -u) $(id -g) $(id -G)"]));
    assert_eq!(ids(&holder, &["-u"]), own, "nothing changes without need");
    assert_eq!(ids(&holder, &["-u", "--preserve-credentials"]), own);
    let groups = own.trim_end().splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
    let gid = own.split(' ').nth(1).unwrap_or_default();
    assert_eq!(ids(&holder, &["-u", "-S", "1234"]), format!("1234 {gid} {groups}\n"));
    assert_eq!(ids(&holder, &["-u", "-G", "4321"]), "0 4321 4321\n", "-G drops the other groups");
    assert_eq!(ids(&holder, &["-u", "-S1234", "-G4321"]), "1234 4321 4321\n");
    assert_eq!(ids(&holder, &["-u", "--setgid=4321", "--setuid", "0"]), "0 4321 4321\n");
    assert_eq!(ids(&holder, &["-u", "-S1", "-S2", "-G3", "-G4"]), "2 4 4\n", "the last counts");
    assert_eq!(ids(&holder, &["-u", "-S", " +0007"]), format!("7 {gid} {groups}\n"));
    if let Some(other) = other {
        assert_eq!(ids(&other, &["-u", "-S", "follow", "-G", "follow"]), "1234 4321 4321\n");
        assert_eq!(ids(&other, &["-u", "--setgid=follow"]), "0 4321 4321\n");
    }
    for option in ["-Sfollow", "-Gfollow"] {
        let file = format!("-u{}", holder.file("ns/uts"));
        assert_eq!(failure(nsenter().args([&file, option, "true"])), refused("no target PID specified"));
    }
}

#[test]
fn ids_that_are_none() {
    for (option, what) in [("-S", "uid"), ("-G", "gid")] {
        let with = |word: &str| failure(nsenter().args([option, word, "true"]));
        for word in ["", "x", "0x10", "5 ", "5x", "root", "Follow", "1.5", "+-5"] {
            assert_eq!(with(word), refused(&format!("failed to parse {what}: '{word}'")), "{option}");
        }
        // 4294967296 is root for the reference tool, which takes the lower 32 bits.
        for word in ["4294967296", "-1", "18446744073709551615", "99999999999999999999999"] {
            let why = "Numerical result out of range";
            assert_eq!(with(word), refused(&format!("failed to parse {what}: '{word}': {why}")), "{option}");
        }
    }
    if !namespaces("nsenter-ids") {
        return;
    }
    let holder = Holder::new(&["-u"], "");
    for (option, call) in [("-S", "setuid"), ("-G", "setgid")] {
        let (status, message) = failure(of(&holder).args(["-u", option, "4294967295", "true"]));
        assert_eq!(status, Some(1));
        assert!(message.contains(call) && message.ends_with(": Invalid argument\n"), "{message}");
    }
}

#[test]
fn an_ordinary_user_enters_namespaces_of_their_own() {
    if !namespaces("nsenter-user-unprivileged") {
        return;
    }
    let scratch = Scratch::new("nsenter-unprivileged");
    let copy = scratch.0.join("ctrbox");
    copy_of_binary(&copy);
    let unprivileged = |path: &str| {
        let mut command = program(path);
        command.uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID).current_dir("/");
        command
    };
    if !limited(unprivileged("unshare").args(["-U", "true"])).status.success() {
        skip("nsenter-user-unprivileged", "users may not make user namespaces here");
        return;
    }
    let mut unshare = unprivileged("unshare");
    let holder = Holder::by(unshare.args(["-U", "-r", "-n", "-u"]), "");
    let mine = || {
        let mut command = unprivileged(copy.to_str().expect("text"));
        command.args(["nsenter", "-t", &holder.pid.to_string()]);
        command
    };
    let inside = |names: [&str; 3]| names.map(|name| holder.link(name) + "\n").concat();
    let shown = ["sh", "-c", "readlink /proc/self/ns/user /proc/self/ns/net /proc/self/ns/uts; id -u"];
    let expected = inside(["user", "net", "uts"]) + "0\n";
    assert_eq!(printed(mine().args(["-U", "-n", "-u", "--preserve-credentials"]).args(shown)), expected);
    let files = [("user", "-U"), ("net", "-n"), ("uts", "-u")];
    let files = files.map(|(name, option)| format!("{option}{}", holder.file(&format!("ns/{name}"))));
    let mut by_files = unprivileged(copy.to_str().expect("text"));
    by_files.arg("nsenter").args(&files).arg("--preserve-credentials");
    assert_eq!(printed(by_files.args(shown)), expected);
    let mut unshare = unprivileged("unshare");
    let whole = Holder::by(unshare.args(["-U", "-r"]).args(ALL), "");
    let mut all = unprivileged(copy.to_str().expect("text"));
    all.args(["nsenter", "-t", &whole.pid.to_string(), "-a", "--preserve-credentials", "readlink"]);
    all.args(KINDS.map(|(_, _, name)| format!("/proc/self/ns/{name}")));
    assert_eq!(printed(&mut all), links(&whole, &KINDS.map(|(_, _, name)| name)));
    // setgroups(2) is denied inside, and without the namespace too.
    let expected = refused("setgroups failed: Operation not permitted");
    assert_eq!(failure(mine().args(["-U", "-n", "true"])), expected);

    // Capabilities: the namespace's root has them, other users keep them only on request.
    let effective = |options: &[&str]| {
        let status = printed(mine().args(options).args(["cat", "/proc/self/status"]));
        let line = status.lines().find(|line| line.starts_with("CapEff:")).unwrap_or_default().to_owned();
        u64::from_str_radix(line.rsplit('\t').next().unwrap_or_default(), 16).expect("a mask")
    };
    assert_ne!(effective(&["-U", "--preserve-credentials"]), 0, "root of the namespace");

    // Namespaces of other users cannot be entered.
    let others = Holder::new(&["-n", "-u"], "");
    let pid = others.pid.to_string();
    let original = |options: &[&str]| {
        let mut command = unprivileged(copy.to_str().expect("text"));
        failure(command.args(["nsenter", "-t", &pid]).args(options).arg("true"))
    };
    assert_eq!(original(&["-n"]), refused("reassociate to namespaces failed: Operation not permitted"));
    let expected = format!("cannot open /proc/{pid}/root: Permission denied");
    assert_eq!(original(&["-n", "-r"]), refused(&expected));
    let expected = format!("cannot open /proc/{pid}/environ: Permission denied");
    assert_eq!(original(&["-n", "-e"]), refused(&expected));
    let expected = format!("stat of /proc/{pid}/ns/user failed: Permission denied");
    assert_eq!(original(&["-a"]), refused(&expected));
}

#[test]
fn capabilities_are_kept_when_asked_for() {
    if !namespaces("nsenter-keep-caps") {
        return;
    }
    // No id is mapped: the program is not root inside, and would lose all capabilities.
    let holder = Holder::new(&["-U"], "");
    let effective = |options: &[&str]| {
        let status = printed(of(&holder).args(options).args(["cat", "/proc/self/status"]));
        let line = status.lines().find(|line| line.starts_with("CapEff:")).unwrap_or_default().to_owned();
        u64::from_str_radix(line.rsplit('\t').next().unwrap_or_default(), 16).expect("a mask")
    };
    assert_eq!(effective(&["-U", "--preserve-credentials"]), 0);
    let kept = effective(&["-U", "--preserve-credentials", "--keep-caps"]);
    let net_admin = 1 << 12;
    assert!(kept & net_admin != 0, "{kept:x}");
    // Without a user namespace to enter it has no effect.
    let own = Holder::new(&["-u"], "");
    assert_eq!(limited(of(&own).args(["-u", "--keep-caps", "true"])).status.code(), Some(0));
}

/// A program with other rights than the caller's cannot end the nsenter that waits for it.
#[test]
fn a_program_that_signals_its_group_does_not_end_nsenter() {
    let test = "nsenter-kill-0";
    if !namespaces(test) {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return skip(test, "not root");
    }
    let holder = Holder::new(&["-p", "-f"], ":");
    let user = UNPRIVILEGED_UID.to_string();
    let pid = holder.pid.to_string();
    let words = ["-t", &pid, "-p", "-S", &user, "-G", &user, "sh", "-c"];
    let mut command = nsenter();
    let output = limited(command.args(words).arg("trap '' TERM; kill -TERM 0; exit 7").process_group(0));
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}
