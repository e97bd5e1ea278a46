//! The login shell that nsenter runs without a program: which one, on the host and in the container.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::nsenter::{in_scratch, of, script};
use crate::common::process::{Holder, failure, fed, namespaces, printed};
use crate::common::{Scratch, program, stderr, stdout};

/// The shell of root in a file like /etc/passwd.
fn shell_of_root(passwd: &str) -> Option<String> {
    let text = std::fs::read_to_string(passwd).ok()?;
    let of_root = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() == 7 && fields[2] == "0").then(|| fields[6].to_owned())
    };
    text.lines().find_map(of_root).filter(|shell| !shell.is_empty())
}

#[test]
fn without_a_program_a_login_shell_runs() {
    if !namespaces("nsenter-shell") {
        return;
    }
    let scratch = Scratch::new("nsenter-shell");
    let holder = Holder::new(&["-u"], "");
    // HOME: no profile of the user is read.
    let shell = |shell: Option<&str>| {
        let mut command = of(&holder);
        command.arg("-u").env("HOME", &scratch.0).env_remove("ENV");
        match shell {
            Some(shell) => command.env("SHELL", shell),
            None => command.env_remove("SHELL"),
        };
        command
    };
    let last_line = |command: &mut Command| {
        let output = fed(command, Some(b"echo \"$0\" $#\nexit 3\n"));
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        stdout(&output).lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(last_line(&mut shell(Some("/bin/sh"))), "-sh 0");
    let odd = in_scratch(&scratch, "odd shell");
    symlink("/bin/sh", &odd).expect("a link");
    assert_eq!(last_line(&mut shell(Some(&odd))), "-odd shell 0");
    if let Some(of_root) = shell_of_root("/etc/passwd").filter(|shell| shell.ends_with("sh")) {
        let base = of_root.rsplit('/').next().unwrap_or_default();
        assert_eq!(last_line(&mut shell(Some(""))), format!("-{base} 0"), "an empty SHELL is none");
        assert_eq!(last_line(&mut shell(None)), format!("-{base} 0"));
    }

    let plain = in_scratch(&scratch, "plain");
    script(&plain, "#!/bin/sh\n", 0o644);
    let denied = |file: &str| (Some(126), format!("nsenter: failed to execute {file}: Permission denied\n"));
    assert_eq!(failure(&mut shell(Some(&plain))), denied(&plain));
    assert_eq!(failure(&mut shell(Some("/etc"))), denied("/etc"));
    for missing in ["/no/such/shell", "sh", "no-such-shell"] {
        // Never searched in PATH.
        let expected = format!("nsenter: failed to execute {missing}: No such file or directory\n");
        assert_eq!(failure(shell(Some(missing)).current_dir(&scratch.0)), (Some(127), expected));
    }
}

/// The passwd file inside counts; so does the environment.
#[test]
fn the_shell_is_looked_for_inside() {
    if !namespaces("nsenter-shell-inside") {
        return;
    }
    let scratch = Scratch::new("nsenter-shell-inside");
    let (passwd, shell, other) =
        (in_scratch(&scratch, "passwd"), in_scratch(&scratch, "shell"), in_scratch(&scratch, "other"));
    script(&shell, "#!/bin/sh\necho the shell of passwd\n", 0o755);
    script(&other, "#!/bin/sh\necho the shell of the target\n", 0o755);
    std::fs::write(&passwd, format!("x:x:0\nroot:x:0:0:root:/root:{shell}\nroot:x:0:0::/:/bin/false\n"))
        .expect("a file");
    let setup = format!("mount --bind '{passwd}' /etc/passwd");
    let mut unshare = program("unshare");
    let holder = Holder::by(unshare.args(["-m"]).env("SHELL", &other), &setup);
    let without = |options: &[&str]| printed(of(&holder).args(options).env_remove("SHELL"));
    assert_eq!(without(&["-m"]), "the shell of passwd\n");
    assert_eq!(without(&["-m", "-e"]), "the shell of the target\n");
    assert_eq!(
        printed(of(&holder).args(["-m", "-e"]).env("SHELL", "/bin/false")),
        "the shell of the target\n"
    );
    std::fs::write(&passwd, "root:x:0:0:root:/root:\n").expect("a file");
    assert_eq!(fed(of(&holder).arg("-m").env_remove("SHELL"), Some(b"exit 5\n")).status.code(), Some(5));
    for hostile in [&b""[..], b"\xff\n\0:::::::\nroot:x:0", &[b':'; 100_000]] {
        std::fs::write(&passwd, hostile).expect("a file");
        let output = fed(of(&holder).arg("-m").env_remove("SHELL"), Some(b"exit 5\n"));
        assert_eq!(output.status.code(), Some(5), "/bin/sh when passwd is rubbish: {}", stderr(&output));
    }
}

/// Most containers lack the shell of the caller.
#[test]
fn a_shell_that_is_not_inside() {
    if !namespaces("nsenter-other-shell") {
        return;
    }
    let scratch = Scratch::new("nsenter-other-shell");
    let [passwd, shell, of_seven, nologin] =
        ["passwd", "shell", "seven", "nologin"].map(|name| in_scratch(&scratch, name));
    for (path, word) in [(&shell, "root"), (&of_seven, "seven"), (&nologin, "nologin")] {
        script(path, &format!("#!/bin/sh\necho the shell of {word}\n"), 0o755);
    }
    std::fs::set_permissions(&scratch.0, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("a mode");
    let write = |root: &str| {
        std::fs::write(&passwd, format!("root:x:0:0::/:{root}\nseven:x:7:7::/:{of_seven}\n"))
            .expect("a file");
    };
    write(&shell);
    // Not a mount on /etc/passwd: it would go if the host replaced that file.
    let setup = format!("mount -t tmpfs none /etc; ln -s '{passwd}' /etc/passwd");
    // --as-container takes the environment of the target.
    let mut unshare = program("unshare");
    let holder = Holder::by(unshare.args(["-m", "-p", "-f"]).env("SHELL", "/no/such/shell"), &setup);
    let enter = |options: &[&str]| {
        let mut command = of(&holder);
        command.args(options).env("SHELL", "/no/such/shell").env("HOME", &scratch.0).env_remove("ENV");
        command
    };
    for options in [&["-m"][..], &["-a"], &["-m", "-r"], &["-r"], &["-m", "-r/", "-p"], &["--as-container"]] {
        // -r/ is the root of the host.
        let of_host = options.contains(&"-r/");
        let output = fed(&mut enter(options), Some(b"echo \"$0\"\n"));
        match of_host {
            true => assert!(output.status.success(), "{}", stderr(&output)),
            false => assert_eq!(stdout(&output), "the shell of root\n", "{options:?} {}", stderr(&output)),
        }
    }
    assert_eq!(printed(&mut enter(&["-m", "-S", "7"])), "the shell of seven\n");
    assert_eq!(printed(&mut enter(&["--as", "seven:0"])), "the shell of seven\n");
    let in_user_ns = Holder::new(&["-U", "-r", "-m"], &setup);
    let mut command = of(&in_user_ns);
    command.args(["-U", "-m", "--preserve-credentials"]).env("SHELL", "/no/such/shell");
    assert_eq!(printed(&mut command), "the shell of root\n", "root is mapped");
    for none in ["/no/such/either", "", "relative", &nologin, "/bin/false"] {
        write(none);
        let output = fed(&mut enter(&["-m"]), Some(b"echo \"$0\"; exit 6\n"));
        assert_eq!(stdout(&output).lines().last(), Some("-sh"), "{none}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(6));
    }
    // What exists but cannot run is not passed over.
    let plain = in_scratch(&scratch, "plain");
    script(&plain, "#!/bin/sh\n", 0o644);
    let denied = (Some(126), format!("nsenter: failed to execute {plain}: Permission denied\n"));
    assert_eq!(failure(enter(&["-m"]).env("SHELL", &plain)), denied);
    // Nothing that could run: the message is about the first.
    std::fs::create_dir(in_scratch(&scratch, "empty")).expect("a directory");
    let root = format!("--root={}", in_scratch(&scratch, "empty"));
    let missing =
        (Some(127), "nsenter: failed to execute /no/such/shell: No such file or directory\n".to_owned());
    assert_eq!(failure(&mut enter(&[&root])), missing);
    assert_eq!(failure(&mut enter(&["-p"])), missing, "the files are the host's");
}
