//! Unverified names: a user's control group with the name of a container is shown with a line that says
//! so, and entered only by the `?` form of ctr-ps.

use crate::common::cgexec::{Name, controller};
use crate::common::claims::{Callers, Claim, inhabitant, of_an_ordinary_user, ran};

#[test]
fn nsenter_enters_an_unverified_container_by_its_question_mark_only() {
    let Some(claim) = Claim::new("unverified-nsenter", 1) else { return };
    let callers = Callers::new("unverified-nsenter");
    let ways: [&[&str]; 9] = [
        &["-p"],
        &["-a"],
        &["-n", "-F"],
        &["--as-container"],
        &["--as", "0"],
        &["-p", "--host-root"],
        &["-u", "-c"],
        &["-S", "follow", "-G", "follow"],
        &["-r", "-w"],
    ];
    for (word, cpid) in claim.words() {
        for way in ways {
            for mut command in callers.each("nsenter") {
                command.args(way).args(["-t", &format!("{word}{cpid}"), "echo", "entered"]);
                let refused = (Some(1), String::new(), claim.refusal("nsenter", cpid));
                assert_eq!(ran(&mut command), refused, "{command:?}");
            }
        }
        let mut command = callers.root("nsenter");
        command.args(["-p", "-t", &format!("{word}?{cpid}"), "readlink", "/proc/self/ns/pid"]);
        let entered = (Some(0), claim.holder.link("pid") + "\n", String::new());
        assert_eq!(ran(&mut command), entered, "{command:?}");
    }
    // A number means a process, whatever group it is in.
    let mut command = callers.root("nsenter");
    command.args(["-p", "-t", &claim.holder.pid.to_string(), "readlink", "/proc/self/ns/pid"]);
    assert_eq!(ran(&mut command), (Some(0), claim.holder.link("pid") + "\n", String::new()));
}

/// An ordinary user cannot read the state files of root's containers, and types the `?` too.
#[test]
fn an_ordinary_user_enters_by_the_question_mark() {
    let test = "unverified-ordinary";
    let Some(controller) = controller(test) else { return };
    let Some(holder) = of_an_ordinary_user(test) else { return };
    let claim = Claim::of(controller, test, 7, holder);
    let callers = Callers::new(test);
    let entered = |word: &str| {
        let [_, mut ordinary] = callers.each("nsenter");
        ran(ordinary.args([
            "-U",
            "-p",
            "--preserve-credentials",
            "-t",
            word,
            "readlink",
            "/proc/self/ns/user",
        ]))
    };
    let word = format!("docker:{}", claim.short());
    assert_eq!(entered(&word), (Some(1), String::new(), claim.refusal("nsenter", "")));
    assert_eq!(entered(&(word + "?")), (Some(0), claim.holder.link("user") + "\n", String::new()));
}

#[test]
fn cgexec_joins_an_unverified_container_by_its_question_mark_only() {
    let Some(claim) = Claim::new("unverified-cgexec", 2) else { return };
    let callers = Callers::new("unverified-cgexec");
    let cgroup = std::fs::read_to_string(claim.holder.file("cgroup")).expect("its groups");
    for (word, cpid) in claim.words() {
        for way in [&[][..], &["-n"], &["--timeout=60"]] {
            for mut command in callers.each("cgexec") {
                command.args(way).args(["--like", &format!("{word}{cpid}"), "echo", "joined"]);
                let refused = (Some(125), String::new(), claim.refusal("cgexec", cpid));
                assert_eq!(ran(&mut command), refused, "{command:?}");
            }
        }
        let mut command = callers.root("cgexec");
        command.args(["--like", &format!("{word}?{cpid}"), "cat", "/proc/self/cgroup"]);
        assert_eq!(ran(&mut command), (Some(0), cgroup.clone(), String::new()), "{command:?}");
    }
    let mut command = callers.root("cgexec");
    command.args(["--like", &claim.holder.pid.to_string(), "cat", "/proc/self/cgroup"]);
    assert_eq!(ran(&mut command), (Some(0), cgroup, String::new()));
}

#[test]
fn applets_that_only_read_report_once_that_it_is_unverified() {
    let Some(claim) = Claim::new("unverified-read", 3) else { return };
    let callers = Callers::new("unverified-read");
    let arguments = |applet: &str, word: &str| match applet {
        "getpcaps" => vec![word.to_owned(), word.to_owned()],
        "capsh" => vec![format!("--print={word}")],
        "lsns" => vec!["-t".to_owned(), "pid".to_owned(), "-p".to_owned(), word.to_owned()],
        _ => vec!["-q".to_owned(), "-c".to_owned(), word.to_owned()],
    };
    for applet in ["getpcaps", "capsh", "lsns", "ctr-ps"] {
        let line = format!("{applet}: {}\n", claim.problem());
        for (word, cpid) in claim.words() {
            for (mark, said) in [("", line.as_str()), ("?", "")] {
                for mut command in callers.each(applet) {
                    command.args(arguments(applet, &format!("{word}{mark}{cpid}")));
                    let (status, printed, message) = ran(&mut command);
                    assert_eq!((status, message.as_str()), (Some(0), said), "{command:?}");
                    assert!(!printed.is_empty(), "{command:?}");
                }
            }
        }
        let mut command = callers.root(applet);
        let mut by_pid = arguments(applet, &claim.holder.pid.to_string());
        by_pid.iter_mut().for_each(|word| *word = word.replace("-c", "-p"));
        assert_eq!(ran(command.args(by_pid)).2, "", "{command:?}");
    }
    // The column with the `?` is enough.
    for mut command in callers.each("ctr-ps") {
        let (status, table, message) = ran(command.args(["-n", "-c", claim.short()]));
        assert_eq!((status, message.as_str()), (Some(0), ""), "{command:?}");
        assert!(table.contains(&format!("docker:{}?", claim.short())), "{table}");
    }
    let [_, mut base] = callers.each("getpcaps");
    let (status, _, message) = ran(base.args([&format!("--diff={}", claim.short()), "0"]));
    assert_eq!((status, message), (Some(0), format!("getpcaps: {}\n", claim.problem())));
}

/// The owner of another group can use the same name, to have it entered instead.
#[test]
fn two_groups_of_one_name_are_ambiguous_with_the_question_mark_too() {
    let Some(claim) = Claim::new("unverified-one", 4) else { return };
    let other_name = Name::new("unverified-two");
    let other = inhabitant();
    claim.join(&other_name, &other);
    let callers = Callers::new("unverified-rivals");
    let word = format!("docker:{}?", claim.short());
    let mut pids = [claim.holder.pid, other.pid];
    pids.sort_unstable();
    let ambiguous = format!(
        "{word} is ambiguous: several control groups have its name; their first processes are {} {}\n",
        pids[0], pids[1]
    );
    for mut command in callers.each("nsenter") {
        command.args(["-p", "-t", &word, "echo", "entered"]);
        assert_eq!(ran(&mut command), (Some(1), String::new(), format!("nsenter: {ambiguous}")));
    }
    for mut command in callers.each("getpcaps") {
        assert_eq!(ran(command.arg(&word)), (Some(1), String::new(), format!("getpcaps: {ambiguous}")));
    }
    // A second process of the same group is not a second candidate.
    drop(other);
    let second = inhabitant();
    claim.join(&claim.name, &second);
    let mut command = callers.root("nsenter");
    command.args(["-p", "-t", &word, "readlink", "/proc/self/ns/pid"]);
    let (status, _, message) = ran(&mut command);
    assert_eq!((status, message.as_str()), (Some(0), ""));
}
