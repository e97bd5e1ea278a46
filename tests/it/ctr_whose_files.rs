//! `ctr-whose` with the files of containers that no state file has, and what a name costs that nobody has.

use serde_json::Value;

use crate::common::process::{Holder, limited, namespaces};
use crate::common::{Scratch, applet, program, skip, stderr, stdout, there};

/// Container, role and source of each answer.
fn answers(path: &str) -> Vec<[String; 3]> {
    let output = limited(applet("ctr-whose").args(["-J", path]));
    let json: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let all = json["things"].as_array().expect("a list").iter();
    let all = all.flat_map(|thing| thing["answers"].as_array().expect("a list"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|one| ["container", "role", "by"].map(|key| text(&one[key]))).collect()
}

/// The overlay is mounted in the container's mount namespace alone, and the first process there has another root directory.
#[test]
fn layers_of_a_root_file_system_that_the_host_has_not_mounted() {
    const TEST: &str = "layers_of_a_root_file_system_that_the_host_has_not_mounted";
    if !namespaces(TEST) {
        return;
    }
    let scratch = Scratch::new("whose-overlay");
    let at = |name: &str| format!("{}/{name}", scratch.0.display());
    for name in ["lower", "upper", "work", "merged", "other"] {
        std::fs::create_dir(at(name)).expect("a directory");
    }
    let mount = format!(
        "mount -t overlay o -o lowerdir={},upperdir={},workdir={} {merged}\n\
         for name in bin lib lib64 usr etc proc; do\n\
         [ ! -d /$name ] || {{ mkdir -p {merged}/$name; mount --bind /$name {merged}/$name; }}\ndone",
        at("lower"),
        at("upper"),
        at("work"),
        merged = at("merged")
    );
    if !program("unshare").args(["-m", "sh", "-ec", &mount]).status().is_ok_and(|status| status.success()) {
        return skip(TEST, "an overlay cannot be mounted here");
    }
    let script = format!("{mount}\nexec chroot {} \"$@\"", at("merged"));
    let holder = Holder::by(program("unshare").args(["-m", "-p", "-f", "sh", "-ec", &script, "sh"]), "");
    let link = holder.link("pid");
    let label = format!("anon:{}", link.trim_start_matches("pid:[").trim_end_matches(']'));
    for (name, role) in [
        ("upper", "writable-layer"),
        ("upper/file", "writable-layer"),
        ("work", "writable-layer"),
        ("lower", "image-layer"),
    ] {
        let of = [&*label, role, "kernel"].map(str::to_owned);
        assert_eq!(answers(&at(name)), [of], "{name}");
    }
    let others = answers(&at("other"));
    assert!(others.iter().all(|one| one[1] != "writable-layer"), "{others:?}");
}

/// A lookup of all containers opens a second pidfd of each process, and reads its groups. This one must not.
#[test]
fn a_name_that_nobody_has_is_cheap() {
    const TEST: &str = "a_name_that_nobody_has_is_cheap";
    if !namespaces(TEST) {
        return;
    }
    if !there("strace") {
        return skip(TEST, "needs strace");
    }
    let scratch = Scratch::new("whose-nobody");
    let trace = format!("{}/trace", scratch.0.display());
    let script = format!(
        "trap 'kill $all' EXIT; for i in $(seq 50); do sleep 1000 <&- >&- 2>&- & all=\"$all $!\"; done\n\
         strace -f -qq -o {trace} -e trace=pidfd_open,openat,readlinkat \"$0\" ctr-whose $1 || [ $? = 1 ]"
    );
    for word in ["id:nobody-has-this.name", "nobody-has-it"] {
        let mut command = program("unshare");
        command
            .args(["-p", "-f", "--mount-proc", "sh", "-ec", &script])
            .arg(crate::common::binary())
            .arg(word);
        let output = limited(&mut command);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("nothing found, as i"), "{}", stderr(&output));
        let text = std::fs::read_to_string(&trace).expect("a trace");
        let count = |what: &str| text.matches(what).count();
        let asked = count("pidfd_open(") + count("/status\"") + count("/cgroup\"");
        assert!((50..130).contains(&asked), "{word}: 50 processes were looked at {asked} times");
        // Who enters namespaces has the links open that say which ones they are.
        let searched = count("\"pid_for_children\"") + count("\"net\"");
        assert!(searched < 50, "{word}: a link was searched {searched} times");
    }
}

struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        _ = program("umount").args(["-l", &self.0]).status();
    }
}

/// On the overlay the file is on another device.
#[test]
fn a_socket_by_its_path_in_a_layer() {
    const TEST: &str = "a_socket_by_its_path_in_a_layer";
    if !namespaces(TEST) {
        return;
    }
    let scratch = Scratch::new("whose-layer-socket");
    let at = |name: &str| format!("{}/{name}", scratch.0.display());
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(at(name)).expect("a directory");
    }
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let mut mount = program("mount");
    mount.args(["-t", "overlay", "overlay", "-o", &options, &at("merged")]);
    let is_mounted = mount.status().is_ok_and(|status| status.success());
    let _mounted = Mounted(at("merged"));
    let seen = std::fs::read_to_string("/proc/1/mountinfo").unwrap_or_default();
    if !is_mounted || !seen.contains(&at("merged")) {
        return skip(TEST, "the host does not see an overlay that is mounted here");
    }
    let _listening = std::os::unix::net::UnixListener::bind(at("merged/a.sock")).expect("bound");
    let output = limited(applet("ctr-whose").arg(format!("sock:{}", at("upper/a.sock"))));
    let own = format!(" {} has it open", std::process::id());
    assert!(stdout(&output).contains(&own), "{}{}", stdout(&output), stderr(&output));
}
