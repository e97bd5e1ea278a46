//! The id maps that unshare writes, as root and, with newuidmap, as users.

use crate::common;

use std::path::Path;
use std::process::Command;

use crate::common::process::{executable, limited, printed};
use crate::common::unshare::{
    Public, Ready, STRANGER, apart, failure, possible, refused, replace, unshare, without_pids,
};
use crate::common::{UNPRIVILEGED_UID, skip, stderr, stdout, there};

/// Lines of /etc/passwd and /etc/subuid in the test.
const GRANTED: u32 = 61001;
const PASSWD: &str = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\nlucky:x:61001:61001::/:/bin/sh\n\
                      numbered:x:61002:61002::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\nteam:x:77:\nother:x:61001:\n";
const SUBUID: &str = "root:7000000:1000\nlucky:8000000:65536\n61002:9000000:10\nlucky:1:1\nteam:5:5\n";
const SUBGID: &str = "root:7100000:1000\nlucky:8100000:65536\n61002:9100000:20\nother:5:5\n";

/// `users|groups|setgroups` as the program finds them, lines joined with commas.
fn maps(command: &mut Command) -> String {
    let show = "cat /proc/self/uid_map; echo '|'; cat /proc/self/gid_map; echo '|'; cat /proc/self/setgroups";
    let text = printed(command.args(["sh", "-c", show]));
    let part = |part: &str| {
        let lines = part.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(",")
    };
    text.split('|').map(part).collect::<Vec<_>>().join("|")
}

fn by_root(options: &[&str]) -> String {
    maps(unshare().args(options))
}

/// In a private mount namespace, with its own accounts.
fn with_accounts(name: &str, work: impl FnOnce(&Public) + Send) {
    let public = Public::new(name);
    apart(|| {
        let directory = public.at("");
        for (file, content) in
            [("/etc/passwd", PASSWD), ("/etc/group", GROUP), ("/etc/subuid", SUBUID), ("/etc/subgid", SUBGID)]
        {
            if !Path::new(file).exists() {
                skip(name, &format!("there is no {file} to put another over"));
                return;
            }
            replace(&directory, file, content);
        }
        work(&public);
    });
}

#[test]
fn a_single_id() {
    if !possible("unshare-map-single") {
        return;
    }
    let public = Public::new("unshare-map-single");
    for (options, inside) in [
        (&["-U"][..], "||allow"),
        (&["-r"], "0 ME 1|0 ME 1|deny"),
        (&["-c"], "ME ME 1|ME ME 1|deny"),
        (&["--map-root-user", "-f"], "0 ME 1|0 ME 1|deny"),
        (&["--map-current-user", "--kill-child"], "ME ME 1|ME ME 1|deny"),
        (&["--map-user=5"], "5 ME 1||allow"),
        (&["--map-group=6"], "|6 ME 1|deny"),
        (&["--map-user=5", "--map-group=6"], "5 ME 1|6 ME 1|deny"),
        (&["--map-user= +07"], "7 ME 1||allow"),
        (&["--map-user=4294967294"], "4294967294 ME 1||allow"),
        // The last one counts, for users and for groups.
        (&["-r", "-c"], "ME ME 1|ME ME 1|deny"),
        (&["-c", "-r"], "0 ME 1|0 ME 1|deny"),
        (&["-r", "--map-user=5"], "5 ME 1|0 ME 1|deny"),
        (&["--map-user=5", "-r"], "0 ME 1|0 ME 1|deny"),
        (&["-r", "--map-group=6"], "0 ME 1|6 ME 1|deny"),
        (&["--map-group=6", "-c"], "ME ME 1|ME ME 1|deny"),
        (&["--map-user=5", "--map-user=6"], "6 ME 1||allow"),
        // setgroups(2)
        (&["-U", "--setgroups=allow"], "||allow"),
        (&["-U", "--setgroups=deny"], "||deny"),
        (&["-U", "--setgroups=deny", "--setgroups=allow"], "||allow"),
        (&["--map-user=5", "--setgroups=deny"], "5 ME 1||deny"),
        (&["--map-user=5", "--setgroups=allow"], "5 ME 1||allow"),
    ] {
        for user in [0, UNPRIVILEGED_UID, STRANGER] {
            let found = if user == 0 { by_root(options) } else { maps(public.unshare(user).args(options)) };
            assert_eq!(found, inside.replace("ME", &user.to_string()), "{options:?} as {user}");
        }
    }
}

#[test]
fn setgroups_excludes_other_options() {
    for word in ["", "x", "Allow", "allow ", "deny,allow"] {
        let expected = refused(&format!("unsupported --setgroups argument '{word}'"));
        assert_eq!(failure(unshare().args(["-U", "--setgroups", word, "true"])), expected);
    }
    if !possible("unshare-setgroups") {
        return;
    }
    let exclusive = refused("options --setgroups=allow and --map-group are mutually exclusive");
    for options in [&["-r"][..], &["-c"], &["--map-group=0"], &["--map-users=0:0:3", "-r"]] {
        assert_eq!(
            failure(unshare().args(options).args(["--setgroups=allow", "true"])),
            exclusive,
            "{options:?}"
        );
    }
    // Not for a range of groups.
    let ranges = ["--setgroups=allow", "--map-groups=0:0:3"];
    assert_eq!(by_root(&ranges), "|0 0 3|allow");
    // After a map is written the kernel refuses deny; it also refuses it without a new user namespace.
    let denied = refused("write failed /proc/self/setgroups: Operation not permitted");
    assert_eq!(failure(unshare().args(["-r", "--setgroups=deny", "true"])), denied);
    assert_eq!(failure(unshare().args(["--setgroups=deny", "true"])), denied);
    assert_eq!(failure(unshare().args(["-u", "-f", "--setgroups=deny", "true"])), denied);
}

#[test]
fn names() {
    if !possible("unshare-map-names") {
        return;
    }
    with_accounts("unshare-map-names", |public| {
        let by = |user, options: &[&str]| maps(public.unshare(user).args(options));
        assert_eq!(by(GRANTED, &["--map-user=lucky"]), "61001 61001 1||allow");
        assert_eq!(by(GRANTED, &["--map-user=root", "--map-group=team"]), "0 61001 1|77 61001 1|deny");
        assert_eq!(by(STRANGER, &["--map-user", "nobody"]), "65534 54321 1||allow");
        // The name of a user is not the name of a group.
        let unknown =
            |what: &str, name: &str| refused(&format!("failed to parse {what} '{name}': Invalid argument"));
        assert_eq!(failure(unshare().args(["--map-user=team", "true"])), unknown("uid", "team"));
        assert_eq!(failure(unshare().args(["--map-group=lucky", "true"])), unknown("gid", "lucky"));
    });
}

#[test]
fn invalid_ids_to_map() {
    for (option, what) in [("--map-user", "uid"), ("--map-group", "gid")] {
        let said = |word: &str, why: &str| refused(&format!("failed to parse {what} '{word}': {why}"));
        for word in ["no such name", "", "4294967295", "0x1", "1x", "-", "1:2"] {
            let found = failure(unshare().args([&format!("{option}={word}"), "true"]));
            assert_eq!(found, said(word, "Invalid argument"));
        }
        for word in ["-1", "4294967296", "99999999999999999999"] {
            let found = failure(unshare().args([&format!("{option}={word}"), "true"]));
            assert_eq!(found, said(word, "Numerical result out of range"));
        }
    }
}

#[test]
fn ranges_that_root_writes() {
    if !possible("unshare-map-ranges") {
        return;
    }
    for (options, expected) in [
        (&["--map-users=0:1000:5"][..], "0 1000 5||allow"),
        (&["--map-users=1000,0,5"], "0 1000 5||allow"),
        (&["--map-users", " 1: +2: 3"], "1 2 3||allow"),
        (&["--map-users=0:1:4294967297"], "0 1 1||allow"),
        (&["--map-groups=0:1000:5"], "|0 1000 5|allow"),
        (&["--map-groups=1000,0,5", "-f"], "|0 1000 5|allow"),
        (&["--map-users=0:10:5", "--map-groups=1:20:6"], "0 10 5|1 20 6|allow"),
        // In the order of the command line.
        (
            &["--map-users=0:10:5", "--map-users=100,50,5", "--map-users=9:9:1"],
            "0 10 5,50 100 5,9 9 1||allow",
        ),
        // With a single id, which comes first and is cut out of the range.
        (&["-r", "--map-users=0:0:10"], "0 0 1,1 1 9|0 0 1|deny"),
        (&["--map-users=0:0:10", "-r"], "0 0 1,1 1 9|0 0 1|deny"),
        (&["-r", "--map-users=1:100:5", "--map-groups=1:200:5"], "0 0 1,1 100 5|0 0 1,1 200 5|allow"),
        (&["--map-user=5", "--map-users=0:100:10"], "5 0 1,0 100 5,6 105 4||allow"),
        (&["--map-user=10", "--map-users=0:100:10"], "10 0 1,0 100 9||allow"), // the end counts
        (&["--map-user=11", "--map-users=0:100:10"], "11 0 1,0 100 10||allow"),
        (&["--map-user=0", "--map-users=0:100:3", "--map-users=20:0:3"], "0 0 1,1 100 2,20 1 2||allow"),
        (&["--map-user=3", "--map-groups=0:9:2"], "3 0 1|0 9 2|allow"),
        (&["--map-group=3", "--map-users=0:9:2"], "0 9 2|3 0 1|deny"),
        (&["--map-users=all"], "0 0 4294967295||allow"),
        (&["--map-users=all", "--map-groups=all"], "0 0 4294967295|0 0 4294967295|allow"),
        (&["-r", "--map-users=all"], "0 0 1,1 1 4294967294|0 0 1|deny"),
        (&["--map-users=0:0:2", "--setgroups=deny"], "0 0 2||deny"),
    ] {
        assert_eq!(by_root(options), expected, "{options:?}");
    }
    // All ids of the caller's namespace, not all that exist.
    let binary = common::binary();
    let mut command = unshare();
    command.args(["--map-users=0:0:10", "--map-users=50:200:5", "--map-groups=0:0:7"]).arg(binary);
    let found = maps(command.args(["unshare", "--map-users=all", "--map-groups=all"]));
    assert_eq!(found, "0 0 10,50 50 5|0 0 7|allow");
}

#[test]
fn invalid_ranges() {
    for option in ["--map-users", "--map-groups"] {
        for word in [
            "", "x", "1", "1:2", "1,2", "1:2:3:4", "1,2,3,4", "1:2,3", "a:b:c", "1:2:3x", "::", "Auto", "ALL",
        ] {
            let expected = refused(&format!("invalid mapping '{word}'"));
            assert_eq!(failure(unshare().args([option, word, "true"])), expected, "{option} {word}");
        }
    }
    if !possible("unshare-map-wrong") {
        return;
    }
    for (file, option) in [("uid_map", "--map-users"), ("gid_map", "--map-groups")] {
        let why = |why: &str| refused(&format!("failed to write /proc/PID/{file}: {why}"));
        let range = |range: &str| format!("{option}={range}");
        let twice = [range("0:0:5"), range("4:100:1")];
        assert_eq!(failure(unshare().args(twice).arg("true")), why("Invalid argument"));
        assert_eq!(failure(unshare().args([&range("0:0:0"), "true"])), why("Invalid argument"));
        // More lines and more text than the kernel accepts.
        let many: Vec<_> = (0..341).map(|id| range(&format!("{id}:{id}:1"))).collect();
        assert_eq!(failure(unshare().args(&many).arg("true")), why("Invalid argument"));
        let taken = maps(unshare().args(&many[..340]));
        assert_eq!(taken.matches(',').count(), 339);
        let long: Vec<_> = (0..300).map(|id| range(&format!("{0}:{0}:1", 4_000_000_000_u32 + id))).collect();
        let (status, message) = failure(unshare().args(&long).arg("true"));
        assert_eq!(status, Some(1));
        assert!(message.contains("too large for") && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn grants_to_root() {
    if !possible("unshare-map-granted") {
        return;
    }
    with_accounts("unshare-map-granted", |_| {
        assert_eq!(by_root(&["--map-auto"]), "0 7000000 1000|0 7100000 1000|allow");
        assert_eq!(by_root(&["--map-users=auto"]), "0 7000000 1000||allow");
        assert_eq!(by_root(&["--map-groups=auto"]), "|0 7100000 1000|allow");
        assert_eq!(by_root(&["--map-subids"]), "7000000 7000000 1000|7100000 7100000 1000|allow");
        assert_eq!(by_root(&["--map-users=subids"]), "7000000 7000000 1000||allow");
        assert_eq!(by_root(&["-r", "--map-auto"]), "0 0 1,1 7000000 1000|0 0 1,1 7100000 1000|allow");
        let with = by_root(&["-r", "--map-users=subids", "--map-users=1:1:5"]);
        assert_eq!(with, "0 0 1,7000000 7000000 1000,1 1 5|0 0 1|deny");
    });
}

#[test]
fn grants_to_users_by_newuidmap() {
    if !possible("unshare-newuidmap") {
        return;
    }
    if !there("newuidmap") || !there("newgidmap") {
        skip("unshare-newuidmap", "needs newuidmap and newgidmap");
        return;
    }
    with_accounts("unshare-newuidmap", |public| {
        let by = |user, options: &[&str]| maps(public.unshare(user).args(options));
        let (users, groups) = ("8000000", "8100000");
        for (options, expected) in [
            (&["--map-auto"][..], "0 U 65536|0 G 65536|allow"),
            (&["-r", "--map-auto"], "0 61001 1,1 U 65536|0 61001 1,1 G 65536|allow"),
            (&["--map-auto", "-r", "-f"], "0 61001 1,1 U 65536|0 61001 1,1 G 65536|allow"),
            (
                &["-c", "--map-auto"],
                "61001 61001 1,0 U 61001,61002 8061001 4535|61001 61001 1,0 G 61001,61002 8161001 4535|allow",
            ),
            (&["--map-users=auto"], "0 U 65536||allow"),
            (&["--map-groups=auto"], "|0 G 65536|allow"),
            (&["-r", "--map-users=auto"], "0 61001 1,1 U 65536|0 61001 1|deny"),
            (&["--map-user=3", "--map-users=auto"], "3 61001 1,0 U 3,4 8000003 65533||allow"),
            (&["--map-subids"], "U U 65536|G G 65536|allow"),
            (&["-r", "--map-subids"], "0 61001 1,U U 65536|0 61001 1,G G 65536|allow"),
            (&["--map-users=0:8000005:7"], "0 8000005 7||allow"),
            (&["--map-users=8000005,0,7", "--map-groups=1:8100000:1"], "0 8000005 7|1 8100000 1|allow"),
            (&["--map-users=0:8000000:2", "--map-users=5:8000009:2"], "0 8000000 2,5 8000009 2||allow"),
        ] {
            let expected = expected.replace('U', users).replace('G', groups);
            assert_eq!(by(GRANTED, options), expected, "{options:?}");
        }
        // By number.
        assert_eq!(by(61002, &["--map-auto"]), "0 9000000 10|0 9100000 20|allow");
        // newuidmap reports what is not granted, with its own status.
        let output = limited(public.unshare(GRANTED).args(["--map-users=0:0:5", "echo", "x"]));
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
        assert!(stderr(&output).starts_with("newuidmap: "), "{}", stderr(&output));
    });
}

#[test]
fn users_without_a_grant() {
    if !possible("unshare-no-grant") {
        return;
    }
    with_accounts("unshare-no-grant", |public| {
        let by = |user, option: &str| failure(public.unshare(user).args([option, "true"]));
        for option in ["--map-auto", "--map-subids", "--map-users=auto", "--map-users=subids"] {
            let expected = refused("no line matching user \"nobody\" in /etc/subuid");
            assert_eq!(by(UNPRIVILEGED_UID, option), expected, "{option}");
            assert_eq!(by(STRANGER, option), refused("you (user 54321) don't exist."), "{option}");
        }
        // By the name of the user, never that of the group.
        assert_eq!(
            by(UNPRIVILEGED_UID, "--map-groups=auto"),
            refused("no line matching user \"nobody\" in /etc/subgid")
        );
        // Reported when the option is read; the next option is not read.
        let mut command = public.unshare(UNPRIVILEGED_UID);
        let (_, message) = failure(command.args(["--map-auto", "--no-such-option", "true"]));
        assert!(message.starts_with("unshare: no line matching"), "{message}");
    });
}

/// Stand-ins print their arguments.
#[test]
fn how_newuidmap_is_called() {
    if !possible("unshare-helpers-called") {
        return;
    }
    with_accounts("unshare-helpers-called", |public| {
        let path = public.at("bin");
        std::fs::create_dir(&path).expect("a directory");
        let run = |how: [&str; 2], options: &[&str]| {
            for (name, end) in ["newuidmap", "newgidmap"].iter().zip(how) {
                executable(
                    &path.join(name),
                    format!("#!/bin/sh\necho {name} \"$@\"\n{end}\n").as_bytes(),
                    0o755,
                );
            }
            let mut command = public.unshare(GRANTED);
            command.args(options).args(["/bin/echo", "run"]).env("PATH", &path);
            let output = limited(&mut command);
            let text = stdout(&output);
            let lines = text.lines().map(|line| {
                // name PID rest
                let mut words = line.splitn(3, ' ');
                [words.next(), words.nth(1)].map(Option::unwrap_or_default).join(" ")
            });
            (lines.collect::<Vec<_>>().join("; "), without_pids(&stderr(&output)), output.status.code())
        };
        let ok = |said: &str, status| (said.to_owned(), String::new(), Some(status));
        let both = ["--map-users=1:2:3", "--map-users=4:5:6", "--map-groups=7:8:9"];
        let (users, groups) = ("newuidmap 1 2 3 4 5 6", "newgidmap 7 8 9");
        assert_eq!(run(["", ""], &both), ok(&format!("{users}; {groups}; run "), 0));
        assert_eq!(run(["", ""], &both[..2]), ok(&format!("{users}; run "), 0));
        assert_eq!(run(["", ""], &both[2..]), ok(&format!("{groups}; run "), 0));
        // The program is not run when one fails, nor is the second one after the first.
        assert_eq!(run(["exit 3", ""], &both), ok(users, 3));
        assert_eq!(run(["", "exit 4"], &both), ok(&format!("{users}; {groups}"), 4));
        for how in [["kill -9 $$", ""], ["", "kill -9 $$"], ["kill -TERM $$", ""]] {
            let (said, _, status) = run(how, &both);
            assert!(!said.contains("run") && status != Some(0), "{how:?} {said} {status:?}");
        }
        std::fs::remove_file(path.join("newuidmap")).expect("it is there");
        let mut command = public.unshare(GRANTED);
        let found = failure(command.args(both).args(["/bin/echo", "run"]).env("PATH", &path));
        let expected = "unshare: failed to execute newuidmap: No such file or directory\n";
        assert_eq!(found, (Some(127), expected.to_owned()));
    });
}

#[test]
fn a_namespace_of_another_user() {
    if !possible("unshare-owner") {
        return;
    }
    let who = |options: &[&str]| {
        let mut command = unshare();
        command.args(options).args(["sh", "-c", "echo ready; read -r word"]);
        let (ready, _) = Ready::new(&mut command);
        let file = std::fs::File::open(format!("/proc/{}/ns/user", ready.child.id())).expect("its namespace");
        common::unshare::owner_of(&file)
    };
    assert_eq!(who(&["-U"]), 0);
    assert_eq!(who(&["--owner=1234:1235"]), 1234);
    assert_eq!(who(&["--owner", "1:2", "--owner", "3:4"]), 3);
    assert_eq!(who(&["--owner=1234:1235", "-r"]), 1234);
    // The ids from before are mapped by a helper that still has the privilege.
    assert_eq!(by_root(&["--owner=1234:1235"]), "||allow");
    assert_eq!(by_root(&["--owner=1234:1235", "-r"]), "0 0 1|0 0 1|allow");
    assert_eq!(by_root(&["-c", "--owner=1234:1235"]), "0 0 1|0 0 1|allow");
    assert_eq!(by_root(&["--owner=1234:1235", "--map-user=7"]), "7 0 1||allow");
    assert_eq!(
        by_root(&["--owner=5:5", "--map-users=0:5:9", "--map-groups=0:5:9", "-f"]),
        "0 5 9|0 5 9|allow"
    );
    let id = printed(unshare().args(["--owner=5:6", "--map-users=0:5:9", "--map-groups=0:5:9", "id", "-u"]));
    assert_eq!(id, "0\n");

    let public = Public::new("unshare-owner");
    let denied = refused("setgroups failed: Operation not permitted");
    for options in [&["--owner=65534:65534"][..], &["--owner=0:0", "-r"], &["--owner=65534:65534", "-f"]] {
        assert_eq!(
            failure(public.unshare(UNPRIVILEGED_UID).args(options).arg("true")),
            denied,
            "{options:?}"
        );
    }
    for word in ["", "1", "1:", ":1", "x:1", "1:x", "root:root", "1:2:3", "-1:1", "1:4294967296", "1,2"] {
        let (status, message) = failure(unshare().args(["--owner", word, "true"]));
        assert_eq!(status, Some(1), "{word}");
        assert!(message.starts_with("unshare: ") && message.lines().count() == 1, "{word}: {message}");
    }
}
