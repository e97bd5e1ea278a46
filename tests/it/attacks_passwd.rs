//! The lists of users and groups of a container: any kind of file, and lines that must not give root's ids.

use crate::common;

use crate::common::nsenter::{in_scratch, of, refused};
use crate::common::process::{Holder, failure, fed, limited, namespaces, printed};
use crate::common::{Scratch, stderr, stdout};

/// The lists of users of a container can be any file: nsenter does not wait for them and does not trust them.
#[test]
fn hostile_lists_of_users() {
    if !namespaces("attacks-passwd") {
        return;
    }
    let scratch = Scratch::new("attacks-passwd");
    let path = |name: &str| in_scratch(&scratch, name);
    std::fs::create_dir(path("directory")).expect("a directory");
    std::fs::File::create(path("sparse")).and_then(|file| file.set_len(1 << 40)).expect("a file");
    // Millions of lines, and a line of megabytes.
    std::fs::write(path("lines"), "x:x:1:1::/:\n".repeat(1_000_000)).expect("a file");
    std::fs::write(path("line"), ":".repeat(9 << 20)).expect("a file");
    let etc = "cp -a /etc/. ETC 2>/dev/null || true; mount --bind ETC /etc".replace("ETC", &path("etc"));
    std::fs::create_dir(path("etc")).expect("a directory");
    let over = |file: &str| format!("mount --bind {file} /etc/passwd; mount --bind {file} /etc/group");
    let link = |to: &str| {
        format!("{etc}; rm -f /etc/passwd /etc/group; ln -s {to} /etc/passwd; ln -s {to} /etc/group")
    };
    let mut setups = vec![
        over("/dev/zero"),
        over("/dev/tty"),
        over(&path("sparse")),
        over(&path("lines")),
        over(&path("line")),
        over("/proc/kmsg"),
        link("/proc/self/mem"),
        link("/proc/self/exe"),
        link("/proc/self/environ"),
        link("/proc/self/root"),
        link("/etc/passwd"),
        link(&path("directory")),
        format!("{etc}; rm -f /etc/passwd /etc/group; mknod /etc/passwd c 1 5; mknod /etc/group c 10 130"),
        format!("{etc}; rm -f /etc/passwd /etc/group; mknod /etc/passwd p; mkdir /etc/group"),
    ];
    setups.extend([0, 3, 4, 5, 6, 7].map(|number| link(&format!("/proc/self/fd/{number}"))));
    for setup in setups {
        let holder = Holder::new(&["-m"], &setup);
        let unknown = refused("no user 'web' in /etc/passwd inside");
        assert_eq!(failure(of(&holder).args(["--as", "web", "true"])), unknown, "{setup}");
        assert_eq!(
            printed(of(&holder).args(["--as", "7:8", "sh", "-c", "id -u; id -g"])),
            "7\n8\n",
            "{setup}"
        );
        let shell = fed(of(&holder).arg("-m").env_remove("SHELL"), Some(b"echo $0\n"));
        assert_eq!(stdout(&shell), "-sh\n", "{setup}: {}", stderr(&shell));
        drop(holder);
        let _ = std::fs::remove_dir_all(path("etc"));
        std::fs::create_dir(path("etc")).expect("a directory");
    }
}

/// The highest id means "no change" to the kernel's calls, which would leave the program root.
#[test]
fn the_id_that_means_no_change_is_refused_everywhere() {
    if !namespaces("attacks-no-change") {
        return;
    }
    const NONE: &str = "4294967295";
    let scratch = Scratch::new("attacks-no-change");
    let passwd = in_scratch(&scratch, "passwd");
    std::fs::write(&passwd, format!("web:x:{NONE}:{NONE}::/:\nnum:x:7:7::/:\n")).expect("a file");
    std::fs::write(in_scratch(&scratch, "group"), format!("web:x:{NONE}:num\n")).expect("a file");
    let setup = format!(
        "mount --bind {passwd} /etc/passwd; mount --bind {} /etc/group",
        in_scratch(&scratch, "group")
    );
    let holder = Holder::new(&["-m"], &setup);
    let target = format!("-t{}", holder.pid);
    let inner = ["sh", "-c", "echo started"];
    for options in [
        &["nsenter", &target, "-m", "-S", NONE][..],
        &["nsenter", &target, "-m", "-G", NONE],
        &["nsenter", &target, "--as", NONE],
        &["nsenter", &target, "--as", "web"],
        &["nsenter", &target, "--as", &format!("num:{NONE}")],
        &["nsenter", &target, "--as", "num:web"],
        &["nsenter", &target, "--as-container", "-S", NONE],
        &["nsenter", &target, "--as-container", "-G", NONE],
        &["unshare", "-S", NONE],
        &["unshare", "-G", NONE],
        &["unshare", "-U", &format!("--map-user={NONE}")],
        &["unshare", "-U", &format!("--map-group={NONE}")],
        &["unshare", "-U", &format!("--map-users=0,{NONE},1")],
        &["unshare", "-U", &format!("--map-users={NONE},0,1")],
        &["unshare", "-U", &format!("--owner={NONE}:0")],
        &["unshare", "-U", &format!("--owner=0:{NONE}")],
    ] {
        let output = limited(common::ctrbox().args(options).args(inner));
        assert_eq!(
            (output.status.code(), stdout(&output)),
            (Some(1), String::new()),
            "{options:?}: {}",
            stderr(&output)
        );
    }
    for option in ["--uid=", "--gid=", "--groups="] {
        let output = limited(common::applet("capsh").arg(format!("{option}{NONE}")).args([
            "--",
            "-c",
            "echo started",
        ]));
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{option}");
    }
    // Its supplementary groups are those that exist.
    assert_eq!(printed(of(&holder).args(["--as", "num", "sh", "-c", "id -u; id -G"])), "7\n7\n");
}

/// A line whose group is not a number gives no other group, in particular not root's.
#[test]
fn a_line_with_no_group_does_not_give_roots() {
    if !namespaces("attacks-no-group") {
        return;
    }
    let scratch = Scratch::new("attacks-no-group");
    for group in ["4294967295", "", "x", "-1", "4294967296"] {
        let passwd = in_scratch(&scratch, "passwd");
        std::fs::write(&passwd, format!("web:x:7:{group}::/:\n")).expect("a file");
        let holder = Holder::new(&["-m"], &format!("mount --bind {passwd} /etc/passwd"));
        let output = limited(of(&holder).args(["--as", "web", "id", "-g"]));
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{group}");
    }
}
