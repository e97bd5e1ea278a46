//! File systems that stop answering: whoever looks at them goes on without them.

mod common;

use common::fuse::{Fuse, Tree};
use common::process::{limited, namespaces};
use common::{applet, stderr, stdout};

/// The files of a container with a program of that name, on overlayfs over FUSE.
fn container(name: &'static str) -> Option<Fuse> {
    let shell = std::fs::read("/bin/sh").expect("a shell");
    let passwd = Some(b"root:x:0:0::/:/bin/sh\n".to_vec());
    let mut tree: Tree = vec![(name, Some(shell)), ("/etc", None), ("/etc/passwd", passwd)];
    tree.extend(["/bin", "/lib", "/lib64", "/usr"].map(|directory| (directory, None)));
    let script = format!(
        "mkdir $work/none $work/root
         mount -t overlay -o lowerdir=$fuse:$work/none none $work/root
         for d in bin lib lib64 usr; do [ ! -d /$d ] || mount --rbind /$d $work/root/$d; done
         cat $work/root{name} >/dev/null
         umount -l $fuse
         exec chroot $work/root {name} -c 'echo ready; read -r end'"
    );
    // As an ordinary user may: all of it is in a user namespace.
    Fuse::hanging(&["-U", "-r", "-m", "-p", "-f", "--kill-child"], tree, &script)
}

#[test]
fn the_program_and_the_root_of_a_process_are_not_waited_for() {
    if !namespaces("hanging containers") {
        return;
    }
    // The name of a program that makes containers: it is looked at more closely.
    let Some(fuse) = container("/bwrap") else { return };
    let pid = fuse.pid.to_string();
    let pid_ns = common::process::link(&pid, "pid");
    let id: String = pid_ns.chars().filter(char::is_ascii_digit).collect();
    let ids = |options: &[&str]| {
        let output = limited(applet("ctr-ps").args(["-n", "-o", "pid,id"]).args(options));
        let all = stdout(&output);
        let mut lines = all.lines().map(str::split_whitespace);
        lines.find_map(|mut words| (words.next()? == pid).then(|| words.next().unwrap_or("").to_owned()))
    };
    for options in [&[][..], &["--portable"], &["-p", &pid]] {
        assert_eq!(ids(options).as_deref(), Some(id.as_str()), "{options:?}");
        assert!(fuse.nobody_hung(), "ctr-ps {options:?} hung");
    }
    let target = format!("anon:{id}");
    let entered = limited(applet("nsenter").args(["-t", &target, "-p", "true"]));
    assert_eq!((entered.status.code(), stderr(&entered)), (Some(0), String::new()));
    assert!(fuse.nobody_hung(), "nsenter hung");
    let listed = limited(applet("lsns").args(["-n", "-o", "ns", "-p", &pid]));
    assert!(stdout(&listed).contains(&id), "{}", stdout(&listed));
    assert!(fuse.nobody_hung(), "lsns hung");
}
