//! The effects of unshare on mounts and directories: propagation, proc, binfmt_misc, root and working directory.

use std::path::Path;
use std::process::Command;

use crate::common::process::{executable, limited, link, printed};
use crate::common::unshare::{Public, STRANGER, apart, bind, failure, possible, refused, unshare};
use crate::common::{Scratch, UNPRIVILEGED_UID, program, skip, stderr, stdout};
use nix::mount::{MsFlags, mount};

fn mounted(source: &str, target: &Path, flags: MsFlags) {
    mount(Some(source), target, Some(source), flags, None::<&str>)
        .unwrap_or_else(|errno| panic!("{source} on {}: {errno}", target.display()));
}

/// The optional fields of the mount of `/` that a command sees: `shared:1`, `master:1`.
fn tags(command: &mut Command) -> String {
    let text = printed(command.args(["cat", "/proc/self/mountinfo"]));
    let line = text.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("a root");
    line.split(' ').skip(6).take_while(|&word| word != "-").collect::<Vec<_>>().join(" ")
}

#[test]
fn each_mode_of_propagation() {
    if !possible("unshare-propagation") {
        return;
    }
    let scratch = Scratch::new("unshare-propagation");
    let target = scratch.0.join("here");
    std::fs::create_dir(&target).expect("a directory");
    apart(|| {
        // Private to this test, but shared with what it starts.
        let shared = MsFlags::MS_REC | MsFlags::MS_SHARED;
        mount(None::<&str>, "/", None::<&str>, shared, None::<&str>).expect("shared mounts");
        let own = tags(&mut unshare());
        assert!(own.starts_with("shared:"), "{own}");
        let slave = own.replace("shared", "master");
        for (options, expected) in [
            (&["-m"][..], ""),
            (&["-m", "-f"], ""),
            (&["-m", "--propagation=private"], ""),
            (&["-m", "--propagation", "slave"], &slave),
            (&["--propagation=shared", "-m"], &own),
            (&["-m", "--propagation=unchanged"], &own),
            (&["-m", "--propagation=slave", "--propagation=private"], ""),
            // In a new user namespace it is a slave: no mount propagates out of it.
            (&["-rm"], ""),
            (&["-rm", "--propagation=slave"], &slave),
            (&["-rm", "--propagation=unchanged"], &slave),
            // Without a mount namespace nothing changes.
            (&["--propagation=private"], &own),
            (&["-u", "--propagation=slave"], &own),
        ] {
            assert_eq!(tags(unshare().args(options)), expected, "{options:?}");
        }
        let new = tags(unshare().args(["-rm", "--propagation=shared"]));
        let peers = new.split(' ').next().expect("a word");
        assert!(peers.starts_with("shared:") && peers != own && new.ends_with(&slave), "{new} {own}");
        // Is a mount that is made inside visible outside?
        for (mode, passed_on) in [("private", false), ("slave", false), ("shared", true), ("unchanged", true)]
        {
            let mut command = unshare();
            command.args(["-m", &format!("--propagation={mode}"), "mount", "-t", "tmpfs", "x"]).arg(&target);
            printed(&mut command);
            let seen = printed(program("cat").arg("/proc/thread-self/mountinfo"));
            let seen = seen.contains(target.to_str().expect("text"));
            assert_eq!(seen, passed_on, "{mode}");
            if seen {
                nix::mount::umount2(&target, nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
            }
        }
    });
}

#[test]
fn invalid_modes_of_propagation() {
    for word in ["", "x", "Slave", "SHARED", "private ", "shared,slave", "rprivate"] {
        let expected = refused(&format!("unsupported propagation mode: {word}"));
        assert_eq!(failure(unshare().args(["--propagation", word, "true"])), expected);
    }
}

#[test]
fn proc_is_that_of_the_new_pid_namespace() {
    if !possible("unshare-mount-proc") {
        return;
    }
    let scratch = Scratch::new("unshare-mount-proc");
    let public = Public::new("unshare-mount-proc-public");
    let directory = scratch.0.join("proc");
    std::fs::create_dir(&directory).expect("a directory");
    let here = directory.to_str().expect("text");
    let who = ["sh", "-c", "read -r pid rest <$0/self/stat; echo $$ $pid"];
    for options in [&["-pf"][..], &["-p", "--kill-child"], &["-rpf"]] {
        assert_eq!(printed(unshare().args(options).arg("--mount-proc").args(who).arg("/proc")), "1 1\n");
        let at = format!("--mount-proc={here}");
        assert_eq!(printed(unshare().args(options).arg(at).args(who).arg(here)), "1 1\n");
        assert!(std::fs::read_dir(&directory).expect("it").next().is_none(), "it is mounted outside");
    }
    assert_eq!(
        printed(public.unshare(STRANGER).args(["-rpf", "--mount-proc"]).args(who).arg("/proc")),
        "1 1\n"
    );
    // It implies a mount namespace, and nothing else.
    let links = ["sh", "-c", "readlink /proc/self/ns/mnt /proc/self/ns/pid"];
    let shown = printed(unshare().arg("--mount-proc").args(links));
    assert!(!shown.contains(&link("self", "mnt")) && shown.contains(&link("self", "pid")), "{shown}");
    let options = printed(unshare().args(["--mount-proc", "tail", "-n1", "/proc/self/mountinfo"]));
    let fields: Vec<&str> = options.split(' ').collect();
    assert_eq!((fields[4], fields[5]), ("/proc", "rw,nosuid,nodev,noexec,relatime"), "{options}");
    // Where mounts propagate, this one does not.
    apart(|| {
        let shared = MsFlags::MS_REC | MsFlags::MS_SHARED;
        mount(None::<&str>, "/", None::<&str>, shared, None::<&str>).expect("shared mounts");
        let count = || printed(program("cat").arg("/proc/thread-self/mountinfo")).matches(" /proc ").count();
        let before = count();
        for mode in ["shared", "slave", "unchanged"] {
            let mut command = unshare();
            command.args(["-pf", "--mount-proc", &format!("--propagation={mode}")]);
            assert_eq!(printed(command.args(who).arg("/proc")), "1 1\n", "{mode}");
            assert_eq!(count(), before, "{mode}");
        }
    });
    let why = |what: &str| refused(&format!("mount {what}"));
    assert_eq!(
        failure(unshare().args(["--mount-proc=/no/such", "true"])),
        why("/no/such failed: No such file or directory")
    );
    assert_eq!(
        failure(unshare().args(["--mount-proc=/etc/passwd", "true"])),
        why("/etc/passwd failed: Not a directory")
    );
    assert_eq!(failure(unshare().args(["--mount-proc=", "true"])), why(" failed: No such file or directory"));
    // This needs a new pid namespace.
    assert_eq!(
        failure(public.unshare(UNPRIVILEGED_UID).args(["-r", "--mount-proc", "true"])),
        why("/proc failed: Operation not permitted")
    );
}

#[test]
fn root_and_working_directory() {
    if !possible("unshare-root") {
        return;
    }
    let scratch = Scratch::new("unshare-root");
    let public = Public::new("unshare-root-public");
    let root = scratch.0.join("root");
    for directory in ["proc", "inner", "outer"] {
        std::fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    for directory in ["usr", "bin", "lib", "lib64", "sbin"] {
        // What a program needs: the same below the new root.
        let (own, there) = (Path::new("/").join(directory), root.join(directory));
        match std::fs::read_link(&own) {
            Ok(target) => std::os::unix::fs::symlink(target, there).expect("a link"),
            Err(_) if own.is_dir() => std::fs::create_dir(there).expect("a directory"),
            Err(_) => {}
        }
    }
    apart(|| {
        for directory in ["usr", "bin", "lib", "lib64", "sbin"] {
            let there = root.join(directory);
            if there.is_dir() && !there.is_symlink() {
                bind(&Path::new("/").join(directory), &there);
            }
        }
        let root = root.to_str().expect("text");
        let show = ["sh", "-c", "pwd -P; echo /*"];
        let names = "/bin /inner /lib /lib64 /outer /proc /sbin /usr";
        let names: Vec<_> =
            names.split(' ').filter(|name| Path::new(&format!("{root}{name}")).exists()).collect();
        let inside = |cwd: &str| format!("{cwd}\n{}\n", names.join(" "));
        let run = |options: &[&str]| printed(unshare().current_dir(root).args(options).args(show));
        assert_eq!(run(&["-R", root]), inside("/"));
        assert_eq!(run(&["--root", root, "-f"]), inside("/"));
        assert_eq!(run(&["-R", root, "-w", "/inner"]), inside("/inner"));
        assert_eq!(run(&["--wd=/inner", "--root", root]), inside("/inner"));
        assert_eq!(run(&["-R", root, "-R", "/", "-w", root]).lines().next(), Some(root));
        assert_eq!(run(&["-mR", root]), inside("/"));
        assert_eq!(run(&["-rR", root]), inside("/"));
        // A relative directory starts at the caller's working directory, which may be outside of the new root.
        assert_eq!(run(&["-R", root, "-w", "outer"]), inside("/outer"));
        // Without a new root only the working directory changes; without both nothing does.
        let cwd = |options: &[&str]| printed(unshare().current_dir(root).args(options).args(["pwd", "-P"]));
        assert_eq!(cwd(&[]), format!("{root}\n"));
        assert_eq!(cwd(&["-m"]), format!("{root}\n"));
        assert_eq!(cwd(&["-w", "inner"]), format!("{root}/inner\n"));
        assert_eq!(cwd(&["-w", "/", "-w/usr", "-mf"]), "/usr\n");
        // proc is mounted below the new root.
        let pid = ["sh", "-c", "read -r pid rest </proc/self/stat; echo $pid"];
        assert_eq!(printed(unshare().args(["-pf", "--mount-proc", "-R", root]).args(pid)), "1\n");

        let why = |what: &str| refused(&format!("cannot change {what}"));
        assert_eq!(
            failure(unshare().args(["-R/no/such", "true"])),
            why("root directory to '/no/such': No such file or directory")
        );
        assert_eq!(
            failure(unshare().args(["-R/etc/passwd", "true"])),
            why("root directory to '/etc/passwd': Not a directory")
        );
        assert_eq!(
            failure(unshare().args(["-w/no/such", "true"])),
            why("directory to /no/such: No such file or directory")
        );
        assert_eq!(
            failure(unshare().args(["-w", "", "true"])),
            why("directory to : No such file or directory")
        );
        // Only what is below the new root.
        let there = public.at("");
        let there = there.to_str().expect("text");
        assert_eq!(
            failure(unshare().args(["-R", root, "-w", there, "true"])),
            why(&format!("directory to {there}: No such file or directory"))
        );
        assert_eq!(
            failure(public.unshare(UNPRIVILEGED_UID).args(["-R/", "true"])),
            why("root directory to '/': Operation not permitted")
        );
        assert_eq!(
            printed(
                public.unshare(UNPRIVILEGED_UID).args(["-r", "-R", "/usr", "-w/bin", "/bin/sh", "-c", "pwd"])
            ),
            "/bin\n"
        );
    });
}

const FORMAT: &str = ":ctrboxtest:M::CTRBOXTEST::";
const NEW: &str = "-rpf";

/// Can a user namespace have its own binfmt_misc (Linux 6.7)? If not, prints the reason.
fn binfmt(test: &str) -> bool {
    if !possible(test) {
        return false;
    }
    printed(unshare().args([NEW, "--mount-proc", "true"]));
    let trial = "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc";
    let output = limited(unshare().args([NEW, "--mount-proc", "sh", "-c", trial]));
    if !output.status.success() {
        skip(test, &format!("binfmt_misc: {}", stderr(&output).trim_end()));
    }
    output.status.success()
}

fn outside() -> Vec<std::ffi::OsString> {
    let names = std::fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    names.map(|entry| entry.file_name()).collect()
}

#[test]
fn binary_formats_of_ones_own() {
    if !binfmt("unshare-binfmt") {
        return;
    }
    let scratch = Scratch::new("unshare-binfmt");
    let public = Public::new("unshare-binfmt-public");
    let directory = scratch.0.join("formats");
    std::fs::create_dir(&directory).expect("a directory");
    let here = directory.to_str().expect("text");
    let before = outside();
    let list = |options: &[&str], at: &str| printed(unshare().args(options).args(["ls", at]));
    let default = "/proc/sys/fs/binfmt_misc";
    assert_eq!(list(&[NEW, "--mount-binfmt"], default), "register\nstatus\n");
    assert_eq!(list(&["-pf", "--mount-binfmt"], default), "register\nstatus\n");
    assert_eq!(list(&["-pf", &format!("--mount-binfmt={here}")], here), "register\nstatus\n");
    assert_eq!(
        list(&["-pf", "--mount-binfmt", &format!("--mount-binfmt={here}")], here),
        "register\nstatus\n"
    );
    let load = format!("{FORMAT}/bin/cat:");
    for option in [&["-l", &load][..], &[&format!("--load-interp={load}")]] {
        assert_eq!(list(&[&[NEW][..], option].concat(), default), "ctrboxtest\nregister\nstatus\n");
    }
    assert_eq!(
        list(&[NEW, &format!("--mount-binfmt={here}"), "-l", &load], here),
        "ctrboxtest\nregister\nstatus\n"
    );
    // It works, for users too.
    let file = public.at("file");
    executable(&file, b"CTRBOXTEST x\n", 0o755);
    for user in [0, STRANGER] {
        let shown = printed(public.unshare(user).args([NEW, "-l", &load]).arg(&file));
        assert_eq!(shown, "CTRBOXTEST x\n");
    }
    assert_eq!(outside(), before);
    // The namespaces are implied; the pid namespace that proc needs is not.
    let why = |what: &str| refused(what);
    assert_eq!(
        failure(public.unshare(UNPRIVILEGED_UID).args(["--mount-binfmt", "true"])),
        why("mount /proc failed: Operation not permitted")
    );
    assert_eq!(
        failure(unshare().args(["--mount-binfmt=/no/such", "true"])),
        why("mount /no/such failed: No such file or directory")
    );
    for format in ["x", ":a:M::B"] {
        let (status, message) = failure(unshare().args([NEW, "-l", format, "true"]));
        assert_eq!(status, Some(1), "{format}: {message}");
    }
}

/// With the flag F the interpreter is opened at once: it may lie outside the new root.
#[test]
fn an_interpreter_from_outside_the_new_root() {
    if !binfmt("unshare-interpreter") {
        return;
    }
    let scratch = Scratch::new("unshare-interpreter");
    let root = scratch.0.join("root");
    let interpreter = scratch.0.join("cat");
    std::fs::create_dir(&root).expect("a directory");
    executable(&interpreter, &std::fs::read("/bin/cat").expect("cat"), 0o755);
    apart(|| {
        bind(Path::new("/"), &root);
        // Over the place of the interpreter.
        let inner = root.join("mnt");
        mounted("tmpfs", &inner, MsFlags::empty());
        executable(&inner.join("file"), b"CTRBOXTEST inside\n", 0o755);
        let hidden = root.join(std::env::temp_dir().strip_prefix("/").expect("absolute"));
        mounted("tmpfs", &hidden, MsFlags::empty());
        let root = root.to_str().expect("text");
        let load = |flags: &str| format!("{FORMAT}{}:{flags}", interpreter.display());
        let run = |flags: &str| limited(unshare().args([NEW, "-R", root, "-l", &load(flags), "/mnt/file"]));
        let found = run("F");
        assert_eq!(stdout(&found), "CTRBOXTEST inside\n", "{}", stderr(&found));
        let lost = run("");
        assert_eq!(stdout(&lost), "");
        assert_eq!(lost.status.code(), Some(127), "{}", stderr(&lost));
    });
}
