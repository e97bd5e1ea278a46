//! nsenter --dns: programs of the host resolve names as the container does.

use crate::common;

use std::os::unix::process::CommandExt;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::common::nsenter::{in_scratch, nsenter, of, refused};
use crate::common::process::{Holder, Inherited, failure, inheriting, limited, namespaces, printed};
use crate::common::unshare::{Public, STRANGER};
use crate::common::{Scratch, program, stderr, stdout, there};

const FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/// A container with these files, which have other names outside.
fn container(scratch: &Scratch, options: &[&str]) -> Holder {
    let mut setup = String::new();
    let contents =
        ["nameserver 10.9.8.7\n", "10.1.2.3 db.inside db\n", "passwd: evil\nhosts: dns evil files\n"];
    for (file, content) in FILES.into_iter().zip(contents) {
        let own =
            in_scratch(scratch, Path::new(file).file_name().and_then(|name| name.to_str()).expect("a name"));
        std::fs::write(&own, content).expect("a file");
        setup += &format!("[ ! -e {file} ] || mount --bind '{own}' \"$(realpath {file})\"\n");
    }
    Holder::new(options, &setup)
}

/// Are all the files on this host?
fn possible(test: &str) -> bool {
    let lacking = FILES.into_iter().find(|file| !Path::new(file).exists());
    if let Some(file) = lacking {
        common::skip(test, &format!("there is no {file} here"));
    }
    lacking.is_none() && namespaces(test)
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo")
}

#[test]
fn names_are_resolved_as_in_the_container() {
    if !possible("nsenter-dns") {
        return;
    }
    let scratch = Scratch::new("nsenter-dns");
    let holder = container(&scratch, &["-m", "-n"]);
    let before = FILES.map(|file| std::fs::read(file).expect("a file"));
    let text = |options: &[&str], files: &[&str]| {
        printed(of(&holder).args(["-n", "--dns"]).args(options).arg("cat").args(files))
    };
    assert_eq!(text(&[], &FILES[..2]), "nameserver 10.9.8.7\n10.1.2.3 db.inside db\n");
    let nsswitch = text(&[], &FILES[2..]);
    // A service is a library or a daemon of the host: the container chooses only the order of two.
    assert!(nsswitch.starts_with("hosts: dns files\n") && !nsswitch.contains("evil"), "{nsswitch}");
    if there("getent") {
        let found = printed(of(&holder).args(["-n", "--dns", "getent", "hosts", "db"]));
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), ["10.1.2.3", "db.inside", "db"]);
    }
    // The rest is the host's, and the network the container's.
    let link = |kind: &str| format!("/proc/self/ns/{kind}");
    let seen = printed(of(&holder).args(["-n", "--dns", "readlink", &link("net"), &link("uts")]));
    assert_eq!(seen, format!("{}\n{}\n", holder.link("net"), common::process::link("self", "uts")));
    let passwd = "/etc/passwd";
    assert_eq!(text(&[], &[passwd]).into_bytes(), std::fs::read(passwd).expect("a file"));
    for options in [&["-S", "7", "-G", "7"][..], &["-u", "-i"], &["-p", "--force"], &["--new-tty"]] {
        let shown = text(options, &FILES[1..2]).replace('\r', "");
        assert_eq!(shown, "10.1.2.3 db.inside db\n", "{options:?}");
    }
    // A caller that ignores SIGCHLD: the kernel keeps no status of the child that makes the files.
    let ignored = Inherited { ignored: vec![Signal::SIGCHLD], ..Inherited::default() };
    let shown = printed(inheriting(of(&holder).args(["-n", "--dns", "cat", FILES[1]]), &ignored));
    assert_eq!(shown, "10.1.2.3 db.inside db\n");
    // The program's copy is its own.
    let write = "echo x >/etc/hosts; cat /etc/hosts";
    assert_eq!(printed(of(&holder).args(["-n", "--dns", "sh", "-c", write])), "x\n");
    let own = std::fs::read_to_string(in_scratch(&scratch, "hosts")).expect("a file");
    assert_eq!(own, "10.1.2.3 db.inside db\n");
    // Nothing of it stays, or is seen by others: also if mounts propagate.
    let run = "\"$0\" nsenter -t \"$1\" -n --dns cat /etc/hosts; cat /proc/self/mountinfo";
    let mut shared = program("unshare");
    shared.args(["-m", "--propagation", "shared", "sh", "-c", run]).arg(common::binary());
    let shown = printed(shared.arg(holder.pid.to_string()));
    let after = shown.strip_prefix("10.1.2.3 db.inside db\n").expect("the hosts of the container");
    for mounts in [after, &mounts()] {
        assert!(!mounts.contains(" - tmpfs ctrbox "), "{mounts}");
    }
    assert_eq!(FILES.map(|file| std::fs::read(file).expect("a file")), before);
}

#[test]
fn names_for_an_ordinary_user() {
    if !possible("nsenter-dns-user") {
        return;
    }
    let public = Public::new("nsenter-dns-user");
    let hosts = public.at("hosts");
    std::fs::write(&hosts, "10.7.7.7 db\n").expect("a file");
    let setup = format!("mount --bind '{}' \"$(realpath /etc/hosts)\"; exec \"$@\"", hosts.display());
    let mut command = public.unshare(STRANGER);
    let holder = Holder::by_user(command.args(["-r", "-m", "-n", "sh", "-ec", &setup, "sh"]));
    let mut by_user = program(public.at("ctrbox").to_str().expect("text"));
    by_user.arg("nsenter").uid(STRANGER).gid(STRANGER).current_dir("/");
    for command in [&mut nsenter(), &mut by_user] {
        let options = ["-U", "--preserve-credentials", "-n", "--dns", "cat", "/etc/hosts"];
        assert_eq!(printed(command.args(["-t", &holder.pid.to_string()]).args(options)), "10.7.7.7 db\n");
    }
}

/// On many hosts these files are links, and one may lack.
#[test]
fn files_of_the_host_that_are_links_or_are_missing() {
    if !possible("nsenter-dns-links") {
        return;
    }
    let scratch = Scratch::new("nsenter-dns-links");
    let holder = container(&scratch, &["-m", "-n"]);
    let etc = in_scratch(&scratch, "etc");
    std::fs::create_dir(&etc).expect("a directory");
    let script = format!(
        "mount -t tmpfs none {etc}; cp -a /etc/ld.so* /etc/passwd {etc} 2>/dev/null || :
         mkdir {etc}/run; echo nameserver 1.1.1.1 >{etc}/run/stub; ln -s run/stub {etc}/resolv.conf
         ln -s /no/such/file {etc}/nsswitch.conf
         mount --bind {etc} /etc
         ls -l /etc >{etc}/run/before
         \"$0\" nsenter -t {} -n --dns sh -c 'cat {} {}; readlink /etc/resolv.conf; cat /etc/run/stub; cat {}'
         ls -l /etc | cmp - {etc}/run/before; cat /etc/run/stub",
        holder.pid, FILES[0], FILES[1], FILES[2]
    );
    let mut host = program("unshare");
    let shown = printed(host.args(["-m", "sh", "-ec", &script]).arg(common::binary()));
    let expected = "nameserver 10.9.8.7\n10.1.2.3 db.inside db\nrun/stub\nnameserver 10.9.8.7\nhosts: dns files\n\
        nameserver 1.1.1.1\n";
    assert_eq!(shown, expected);
}

#[test]
fn where_it_makes_no_sense_it_is_refused() {
    if !possible("nsenter-dns-refused") {
        return;
    }
    let holder = Holder::new(&["-m", "-n", "-p", "-f"], "");
    let says = |options: &[&str]| failure(of(&holder).args(options).args(["--dns", "true"]));
    let files = "option --dns is for the host's files: the files that -m, -a, -r and --as-container enter have the DNS \
        configuration of the container already (use -n, or -a --host-root)";
    for options in [&["-n", "-m"][..], &["-a"], &["-n", "-r"], &["--as-container"], &["-n", "-r/"]] {
        assert_eq!(says(options), refused(files), "{options:?}");
    }
    let network = "option --dns needs the network namespace of the container (-n)";
    for options in [&["-u"][..], &[], &["-p"]] {
        assert_eq!(says(options), refused(network), "{options:?}");
    }
    let file = format!("-n/proc/{}/ns/net", holder.pid);
    assert_eq!(failure(nsenter().args([&file, "--dns", "true"])), refused("no target PID specified"));
    // Root of the host in a container with CAP_SYS_PTRACE.
    let (status, message) = says(&["-n", "-p"]);
    assert!(message.starts_with("nsenter: option --dns is not safe here: process "), "{message}");
    assert_eq!(status, Some(1));
}

/// What the container makes of these files is neither waited for, nor does it lead to a file outside.
#[test]
fn hostile_files() {
    if !possible("nsenter-dns-hostile") {
        return;
    }
    let scratch = Scratch::new("nsenter-dns-hostile");
    let path = |name: &str| in_scratch(&scratch, name);
    let secret = path("secret");
    std::fs::write(&secret, "10.6.6.6 secret\n").expect("a file");
    std::fs::File::create(path("sparse")).and_then(|file| file.set_len(1 << 40)).expect("a file");
    std::fs::write(path("long"), "10.6.6.6 x\n".repeat(100_000)).expect("a file");
    std::fs::create_dir(path("root")).expect("a directory");
    let root = path("root");
    // Its root has all of the caller's but this directory and /etc.
    let base = |file: &str, attack: &str| {
        let above = Path::new(&secret).parent().and_then(Path::parent).expect("a directory").display();
        format!(
            "mount --bind / '{root}'; mount -t tmpfs none '{root}/etc'; mount --rbind /proc '{root}/proc'
             touch '{root}/etc/file' '{root}/{file}'; {attack}
             mount -t tmpfs none '{root}{above}'
             exec chroot '{root}' sh -c \"echo $pid; exec cat\""
        )
    };
    let over = |with: &str| format!("mount --bind '{with}' \"$root/$file\"");
    let link = |to: &str| format!("ln -sf '{to}' \"$root/$file\"");
    let our_root = format!("/proc/{}/root{secret}", std::process::id());
    let (wrong, large) = ("not a regular file", "too large to be a state file");
    let attacks = [
        (over("/dev/zero"), wrong),
        (over("/dev/tty"), wrong),
        (over("/proc/kmsg"), ""),
        (over(&path("sparse")), large),
        (over(&path("long")), large),
        ("rm -f \"$root/$file\"; mkfifo \"$root/$file\"".to_owned(), wrong),
        ("rm -f \"$root/$file\"; mkdir \"$root/$file\"".to_owned(), wrong),
        ("rm -f \"$root/$file\"; mknod \"$root/$file\" c 10 130".to_owned(), wrong),
        (link(&secret), ""),
        (link(&format!("/../../../..{secret}")), ""),
        (link(&format!("/proc/self/root{secret}")), "Invalid cross-device link"),
        (link(&our_root), "Invalid cross-device link"),
        (link("/proc/self/fd/0"), "Invalid cross-device link"),
        (link("/proc/self/mem"), ""),
        (link("/proc/self/environ"), ""),
        (link("/proc/1/environ"), ""),
    ];
    for (attack, problem) in attacks {
        for file in FILES {
            let setup = format!("root='{root}' file={file}\n{}", base(file, &attack));
            let holder = Holder::new(&["-m", "-n"], &setup);
            let output = limited(of(&holder).args(["-n", "--dns", "cat"]).args(FILES));
            let (shown, said) = (stdout(&output), stderr(&output));
            let context = format!("{file} {attack}: {shown} {said}");
            assert!(!shown.contains("secret") && !shown.contains("CTRBOX"), "{context}");
            match problem {
                "" => assert!(output.status.success() && said.is_empty(), "{context}"),
                _ => {
                    let expected = "nsenter: cannot take the DNS configuration of the target: ";
                    assert!(said.starts_with(expected) && said.contains(problem), "{context}");
                    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{context}");
                }
            }
        }
    }
}
