//! `ctr-whose` with unix sockets in the network namespaces of containers, and with files that are gone.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::network::{container, held_inside, inside, name, networks};
use crate::common::process::{Holder, copy_of_binary, executable, limited};
use crate::common::{Scratch, applet, program, skip, stderr, stdout, there};

/// Container and role of each answer, and what the host has.
fn answers(word: &str) -> (Vec<(String, String)>, Option<String>) {
    let output = limited(applet("ctr-whose").args(["-J", word]));
    let json: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let things = json["things"].as_array().expect("a list");
    let all = things.iter().flat_map(|thing| thing["answers"].as_array().expect("a list"));
    let mut found: Vec<_> = all.map(|one| (text(&one["container"]), text(&one["role"]))).collect();
    found.sort();
    (found, things.iter().find_map(|thing| thing["host"]["text"].as_str().map(str::to_owned)))
}

/// Containers that hold it, without those that see the file in the host's directories. A process of the host can hold it
/// too: nsenter, which has started the other one.
fn holders(word: &str) -> Vec<(String, String)> {
    answers(word).0.into_iter().filter(|(_, role)| role == "holder").collect()
}

fn label(holder: &Holder) -> String {
    format!("anon:{}", holder.link("pid").trim_start_matches("pid:[").trim_end_matches(']'))
}

fn holds(holders: &[&Holder]) -> Vec<(String, String)> {
    let mut all: Vec<_> = holders.iter().map(|holder| (label(holder), "holder".to_owned())).collect();
    all.sort();
    all
}

fn at(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// A socket that is made in the namespace of a container, and held by a process there.
fn listening(
    holder: &Holder,
    bind: impl FnOnce() -> std::io::Result<UnixListener> + Send + 'static,
) -> Ended {
    Ended(held_inside(holder, inside(holder, || bind().expect("a socket"))))
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn unix_sockets_in_other_network_namespaces() {
    if !networks("unix_sockets_in_other_network_namespaces") {
        return;
    }
    let scratch = Scratch::new("whose-unix");
    let (one, two) = (container(), container());
    let file = scratch.0.join("of.sock");
    let bound: PathBuf = file.clone();
    let _listening = listening(&one, || UnixListener::bind(bound));
    // By its file, also under another name, and with the prefix.
    let other = scratch.0.join("other");
    std::fs::hard_link(&file, &other).expect("a name");
    for word in [at(&file), at(&other), format!("sock:{}", at(&file))] {
        assert_eq!(holders(&word), holds(&[&one]), "{word}");
    }
    // A file with that name, but not that of the socket.
    std::fs::remove_file(&file).expect("removed");
    let _of_host = UnixListener::bind(&file).expect("a socket");
    assert_eq!(holders(&at(&file)), []);
    let host = answers(&at(&file)).1;
    assert!(host.is_some_and(|host| host.ends_with("has it open")));
    // Without a file the name is what is left, in any namespace.
    std::fs::remove_file(&file).expect("removed");
    let (containers, host) = answers(&format!("sock:{}", at(&file)));
    assert_eq!(containers, holds(&[&one]));
    assert!(host.is_some());
    // Abstract names are those of a namespace.
    let abstract_name = name('u');
    let bind =
        |name: String| move || UnixListener::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes())?);
    let _abstract = [&one, &two].map(|holder| listening(holder, bind(abstract_name.clone())));
    for word in [format!("@{abstract_name}"), format!("sock:@{abstract_name}")] {
        assert_eq!(holders(&word), holds(&[&one, &two]), "{word}");
    }
    assert_eq!(answers(&format!("@{abstract_name}x")), (Vec::new(), None));
}

#[test]
fn deleted_files_that_a_process_has_open() {
    if !networks("deleted_files_that_a_process_has_open") {
        return;
    }
    let scratch = Scratch::new("whose-gone");
    std::fs::create_dir(scratch.0.join("data")).expect("a directory");
    let setup = format!("mkdir -p {0}/at\nmount --bind {0}/data {0}/at", scratch.0.display());
    let holder = Holder::new(&["-m", "-p", "-f", "-n"], &setup);
    // Inside, the file is below another directory.
    let of_container = format!("exec 3>{}/at/log; echo ready; exec sleep 1000", scratch.0.display());
    let mut command = program("nsenter");
    let pid = holder.pid.to_string();
    command.args(["--target", &pid, "--mount", "--pid", "sh", "-c", &of_container]);
    let _inside = started(&mut command);
    let (on_host, seen) = (scratch.0.join("data/log"), scratch.0.join("at/log"));
    // Other containers can see the whole host.
    let roles = |word: &str| -> Vec<String> {
        let own = answers(word).0.into_iter().filter(|(name, _)| *name == label(&holder));
        own.map(|(_, role)| role).collect()
    };
    assert_eq!(roles(&at(&on_host)), ["mount"], "it is not deleted");
    std::fs::remove_file(&on_host).expect("removed");
    assert_eq!(roles(&at(&on_host)), ["holder"]);
    // As proc(5) and lsof(8) print it, whether a new file is there or not.
    std::fs::write(&on_host, "").expect("a file");
    for path in [&on_host, &seen] {
        assert_eq!(holders(&format!("{} (deleted)", at(path))), holds(&[&holder]));
    }
    assert!(roles(&format!("{}x (deleted)", at(&on_host))).is_empty(), "no such file");
    // A name that ends so is no deleted file.
    let file = scratch.0.join("x (deleted)");
    let mut command = program("sh");
    command.args(["-c", "exec 3>\"$0\"; echo ready; exec sleep 1000"]).arg(&file);
    let _of_host = started(&mut command);
    let host = answers(&at(&file)).1.expect("the host");
    assert_eq!(host, "file of the host");
    std::fs::remove_file(&file).expect("removed");
    let host = answers(&format!("{} (deleted)", at(&file))).1.expect("the host");
    assert!(host.ends_with("has it open, deleted"), "{host}");
}

/// A container with its own root directory, in which a file of the host is mounted.
fn with_mounted(scratch: &Scratch, root: &str, file: &Path, target: &str) -> Holder {
    let root = at(&scratch.0.join(root));
    std::fs::create_dir(&root).expect("a directory");
    let script = format!(
        "mount -t tmpfs tmpfs {root}\n\
         for name in bin lib lib64 usr etc proc; do\n\
         [ ! -d /$name ] || {{ mkdir {root}/$name; mount --bind /$name {root}/$name; }}\ndone\n\
         mkdir -p $(dirname {root}{target}); : > {root}{target}; mount --bind {} {root}{target}\n\
         exec chroot {root} \"$@\"",
        at(file)
    );
    Holder::by(program("unshare").args(["-m", "-p", "-f", "sh", "-ec", &script, "sh"]), "")
}

/// Such a path, which begins with no directory of the host, can be that of a control group too.
#[test]
fn a_deleted_file_that_only_a_container_had() {
    if !networks("a_deleted_file_that_only_a_container_had") {
        return;
    }
    let scratch = Scratch::new("whose-gone-inside");
    let kept = scratch.0.join("kept");
    std::fs::write(&kept, "").expect("a file");
    let holder = with_mounted(&scratch, "root", &kept, "/ctrbox-gone/kept");
    let script = "exec 3>/ctrbox-gone/f; rm /ctrbox-gone/f; echo ready; exec sleep 1000";
    let mut command = program("nsenter");
    command.args(["--target", &holder.pid.to_string(), "--mount", "--pid", "--root", "--wd"]);
    let _inside = started(command.args(["sh", "-c", script]));
    for prefix in ["", "path:"] {
        for mark in ["", " (deleted)"] {
            let word = format!("{prefix}/ctrbox-gone/f{mark}");
            assert_eq!(holders(&word), holds(&[&holder]), "{word}");
        }
    }
    let output = limited(applet("ctr-whose").arg("/ctrbox-gone/g"));
    assert_eq!(stderr(&output), "ctr-whose: '/ctrbox-gone/g': nothing found, as path, cgroup\n");
}

/// slirp4netns and pasta have an interface in the network namespace of a container, and are outside of it.
#[test]
fn who_sends_for_the_network_of_a_container() {
    const TEST: &str = "who_sends_for_the_network_of_a_container";
    if !networks(TEST) {
        return;
    }
    let holder = container();
    let tun = inside(&holder, || File::options().read(true).write(true).open("/dev/net/tun"));
    let Ok(tun) = tun else { return skip(TEST, "needs /dev/net/tun") };
    let scratch = Scratch::new("whose-tun");
    let text = |name: &str, stdin: Stdio| {
        let file = scratch.0.join(name);
        executable(&file, &std::fs::read("/bin/sh").expect("a shell"), 0o755);
        let mut command = Command::new(&file);
        let child = started(command.args(["-c", "echo ready; kill -STOP $$"]).stdin(stdin));
        let pid = child.0.id();
        let text = answers(&pid.to_string()).1.expect("a process of the host");
        (text, format!("{name} {pid}"))
    };
    let tun = || tun.try_clone().expect("a file").into();
    for name in ["slirp4netns", "pasta.avx2"] {
        let (text, process) = text(name, tun());
        assert_eq!(text, format!("{process}, which works for {}", label(&holder)));
    }
    for (name, stdin) in [("pasta", Stdio::null()), ("other", tun())] {
        let (text, process) = text(name, stdin);
        assert_eq!(text, process);
    }
}

/// At another path and at that of the host, as the socket of an engine is.
#[test]
fn a_socket_that_containers_have_mounted() {
    if !networks("a_socket_that_containers_have_mounted") {
        return;
    }
    let scratch = Scratch::new("whose-mounted");
    let (file, plain) = (scratch.0.join("a.sock"), scratch.0.join("plain"));
    let _unix = UnixListener::bind(&file).expect("a socket");
    std::fs::write(&plain, "").expect("a file");
    let same = with_mounted(&scratch, "one", &file, &at(&file));
    let other = with_mounted(&scratch, "two", &file, "/other.sock");
    let of_plain = with_mounted(&scratch, "three", &plain, &at(&plain));
    let mount = |holder: &Holder| (label(holder), "mount".to_owned());
    for word in [at(&file), format!("path:{}", at(&file)), format!("sock:{}", at(&file))] {
        let (containers, host) = answers(&word);
        for holder in [&same, &other] {
            assert!(containers.contains(&mount(holder)), "{word}: {containers:?}");
        }
        assert!(!containers.contains(&mount(&of_plain)), "{word}: {containers:?}");
        assert!(host.is_some_and(|host| host.ends_with("has it open")), "{word}");
    }
    let containers = answers(&at(&plain)).0;
    assert!(containers.contains(&mount(&of_plain)), "{containers:?}");
    assert!(!containers.contains(&mount(&same)), "{containers:?}");
}

/// The caller may not list the open files of the process that has the sockets.
#[test]
fn sockets_whose_holder_an_ordinary_user_does_not_see() {
    const TEST: &str = "sockets_whose_holder_an_ordinary_user_does_not_see";
    if !networks(TEST) {
        return;
    }
    if !there("setpriv") {
        return skip(TEST, "needs setpriv");
    }
    let scratch = Scratch::new("whose-unseen");
    let binary = scratch.0.join("ctrbox");
    copy_of_binary(&binary);
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = format!("127.0.0.1:{}", tcp.local_addr().expect("an address").port());
    let file = scratch.0.join("a.sock");
    let _unix = UnixListener::bind(&file).expect("a socket");
    for word in [port, at(&file), format!("sock:{}", at(&file))] {
        assert!(answers(&word).1.is_some(), "root sees who has {word}");
        let as_user = |options: &[&str]| {
            let mut command = program("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary);
            limited(command.arg("ctr-whose").args(options).arg(&word))
        };
        let output = as_user(&["-J"]);
        assert_eq!(output.status.code(), Some(1), "{word}: {}", stderr(&output));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let thing = &json["things"][0];
        assert_eq!(thing["host"]["pid"], Value::Null, "{thing}");
        let unknown = thing["unknown"].as_str().unwrap_or_default();
        assert!(unknown.contains("only root can list the open files of other users"), "{word}: {thing}");
        let text = stdout(&as_user(&[]));
        assert!(text.contains("unknown: who has the socket") && !text.contains("no container"), "{text}");
    }
}

/// A process that has printed a line.
fn started(command: &mut Command) -> Ended {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    Ended(child)
}
