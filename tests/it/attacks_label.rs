//! The label of AppArmor or SELinux that nsenter gives the program: the container does not choose where it is
//! written. (Needs a system with one of the two.)

use std::process::Command;

use crate::common::nsenter::{in_scratch, nsenter};
use crate::common::process::{Holder, Piped, fed, limited, namespaces};
use crate::common::{Scratch, program, skip, stderr, stdout, there, unique};

/// A profile of AppArmor, loaded until the value is dropped.
struct Profile(String);

impl Profile {
    fn new(test: &str) -> Option<Profile> {
        let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
        if !enabled.is_ok_and(|text| text.starts_with(b"Y")) {
            skip(test, "needs AppArmor");
            return None;
        }
        if !there("apparmor_parser") {
            skip(test, "needs apparmor_parser");
            return None;
        }
        let profile = Profile(unique(test));
        let loaded = profile.parser("-a");
        if !loaded.status.success() {
            skip(test, &format!("no profile can be loaded: {}", stderr(&loaded).trim()));
            return None;
        }
        Some(profile)
    }

    fn parser(&self, action: &str) -> std::process::Output {
        let rules = "file, capability, mount, umount, signal, ptrace, network, unix, deny /**/denied r,";
        let text = format!("profile {} flags=(attach_disconnected) {{ {rules} }}\n", self.0);
        fed(program("apparmor_parser").args(["-K", "-q", action]), Some(text.as_bytes()))
    }

    /// Options of unshare(1), and a program under the profile.
    fn confined(&self, options: &[&str]) -> Command {
        let mut command = program("unshare");
        let enter = "echo \"exec $0\" >/proc/self/attr/exec && exec \"$@\"";
        command.args(options).args(["sh", "-c", enter, &self.0]);
        command
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("-R");
    }
}

const FILES: [&str; 5] =
    ["attr/exec", "attr/current", "attr/apparmor/exec", "attr/apparmor/current", "oom_score_adj"];

/// Ways to enter a container without a trustworthy proc, by a directory with a forged proc.
fn made_up(fake: &str) -> [String; 6] {
    let made = format!("mount -t tmpfs tmpfs /proc; ln -s {fake}/self /proc/self");
    [
        String::new(),
        format!("mount --bind {fake} /proc"),
        made.clone() + "; ln -s /proc/self /proc/thread-self",
        "mount -t tmpfs tmpfs /proc".to_owned(),
        "mount -t tmpfs tmpfs /proc/self/attr".to_owned(),
        "mount --bind /dev/null /proc/self/attr/exec".to_owned(),
    ]
}

/// The class of CVE-2025-52881: a link leads the write to /proc/self/attr/exec to another file, and the program is
/// not confined.
#[test]
fn the_program_has_the_label_of_the_container() {
    let test = "attacks-label";
    if !namespaces(test) {
        return;
    }
    let Some(profile) = Profile::new(test) else { return };
    let scratch = Scratch::new(test);
    let fake = in_scratch(&scratch, "fake");
    std::fs::create_dir_all(format!("{fake}/self/attr/apparmor")).expect("a directory");
    for file in FILES {
        std::fs::write(format!("{fake}/self/{file}"), "untouched").expect("a file");
    }
    std::fs::write(in_scratch(&scratch, "denied"), "").expect("a file");
    let ways: [&[&str]; 6] = [
        &["--as-container"],
        &["--as", "0"],
        &["--as", "7"],
        &["--as-container", "-m", "-u"],
        &["--as-container", "--new-tty"],
        &["--as-container", "--mount-proc", "--force"],
    ];
    for options in [&["-m"][..], &["-m", "-p", "-f"]] {
        for setup in made_up(&fake) {
            let holder = Holder::by(&mut profile.confined(options), &setup);
            let own = std::fs::read_to_string(holder.file("attr/current")).expect("a label");
            assert_eq!(own, format!("{} (enforce)\n", profile.0), "{setup}");
            for way in ways {
                if way.contains(&"--mount-proc") && !options.contains(&"-p") {
                    continue;
                }
                assert_eq!(label(&holder, way), own, "{setup} {way:?}");
                let denied = in_scratch(&scratch, "denied");
                let read = limited(of(&holder).args(way).args(["sh", "-c", &format!("exec <{denied}")]));
                let said = stdout(&read) + &stderr(&read); // (a terminal has one output)
                assert!(!read.status.success() && said.contains("ermission denied"), "{read:?}");
            }
            for file in FILES {
                let text = std::fs::read_to_string(format!("{fake}/self/{file}")).expect("a file");
                assert_eq!(text, "untouched", "{setup}: {file}");
            }
        }
    }
}

fn of(holder: &Holder) -> Command {
    let mut command = nsenter();
    command.args(["-t", &holder.pid.to_string()]);
    command
}

/// The label of the program, read from outside while it waits for the end of its stdin.
fn label(holder: &Holder, way: &[&str]) -> String {
    let mut command = of(holder);
    command.args(way).args(["sh", "-c", "echo ready; read -r line"]);
    let mut piped = Piped::new(&mut command);
    assert_eq!(piped.line(), "ready", "{way:?}");
    let children = format!("/proc/{0}/task/{0}/children", piped.pid());
    let children = std::fs::read_to_string(children).unwrap_or_default();
    let child = children.split_whitespace().next_back().and_then(|child| child.parse::<i32>().ok());
    let program = child.unwrap_or_else(|| piped.pid());
    let label = std::fs::read_to_string(format!("/proc/{program}/attr/current")).expect("a label");
    piped.end_of_input();
    label
}
