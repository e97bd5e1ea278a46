//! `ctr-inspect` on mounts, deleted files and device nodes.

use serde_json::Value;

use crate::common::ctr_inspect::{finding, report};
use crate::common::process::{Holder, Piped, limited, namespaces};
use crate::common::{Scratch, binary, program, skip, stderr, stdout, there};

#[test]
fn mounts_of_the_host_and_deleted_files() {
    let test = "mounts_of_the_host_and_deleted_files";
    if !namespaces(test) {
        return;
    }
    let scratch = crate::common::Scratch::new(test);
    let directory = scratch.0.display().to_string();
    let setup = format!(
        "mkdir {directory}/bind {directory}/data && mount --bind {directory}/data {directory}/bind\n\
         mount -o remount,bind,ro {directory}/bind && mount -t tmpfs inner {directory}/data\n\
         dd if=/dev/zero of={directory}/gone bs=4096 count=300 2>/dev/null\n\
         exec 9<{directory}/gone && rm {directory}/gone"
    );
    let holder = Holder::new(&["-m", "-p", "-f"], &setup);
    let files = &report(&["-s", "files", &holder.pid.to_string()])["files"];
    let mounts = files["mounts"].as_array().expect("mounts");
    let at = |name: &str| {
        let target = format!("{directory}/{name}");
        mounts
            .iter()
            .find(|mount| mount["target"] == *target)
            .unwrap_or_else(|| panic!("{target}: {mounts:?}"))
    };
    let bind = at("bind");
    assert_eq!((&bind["read_only"], &bind["from_host"]), (&true.into(), &true.into()), "{bind}");
    assert_eq!(bind["source"], format!("{directory}/data"));
    assert_eq!((&at("data")["from_host"], &at("data")["fstype"]), (&false.into(), &"tmpfs".into()));
    let deleted = files["deleted"].as_array().expect("a list");
    let is_memory =
        std::process::Command::new("stat").args(["-f", "-c", "%T", &directory]).output().expect("stat");
    if stdout(&is_memory).trim() != "tmpfs" {
        let gone = deleted.iter().find(|file| file["path"] == format!("{directory}/gone")).expect("the file");
        assert_eq!((&gone["fd"], &gone["size"]), (&9.into(), &(300 * 4096).into()));
    }
}

#[test]
fn a_working_directory_inside_is_not_reported() {
    if !namespaces("a_working_directory_inside_is_none_of_the_hosts") {
        return;
    }
    let inside = Holder::new(&["-m", "-p", "-f"], "");
    let found = report(&["-s", "files", &inside.pid.to_string()]);
    assert_eq!(found["files"]["cwd_outside"], false);
    assert!(finding(&found, "cwd-outside").is_none());
    // The working directory is on a mount that is detached: no mount inside leads there.
    let detached = Holder::new(&["-m", "-p", "-f"], "mount -t tmpfs t /mnt && cd /mnt && umount -l /mnt");
    let found = report(&["-s", "files", &detached.pid.to_string()]);
    assert_eq!(found["files"]["cwd_outside"], true);
    assert_eq!(finding(&found, "cwd-outside").expect("a finding")["severity"], "high");
}

/// Of mounts below each other, every read-only one could list all writable ones below it: the square of their number.
#[test]
fn endless_mounts_cost_little_memory() {
    let test = "inspect-mounts";
    if !namespaces(test) {
        return;
    }
    if !there("python3") || !there("prlimit") {
        skip(test, "needs python3 and prlimit");
        return;
    }
    const SCRIPT: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
BIND, READ_ONLY, REMOUNT = 4096, 1, 32
def mount(target, flags=0):
    if libc.mount(source, target, None, BIND | flags, None):
        sys.exit(os.strerror(ctypes.get_errno()))
os.chdir(sys.argv[1])
os.mkdir("x")
source = os.fsencode(os.getcwd())
for at in range(600):
    mount(b"x")
    if libc.mount(None, b"x", None, BIND | REMOUNT | READ_ONLY, None):
        sys.exit(os.strerror(ctypes.get_errno()))
    os.chdir("x")
for at in range(600):
    mount(b"x")
    os.chdir("x")
print("ready", flush=True)
sys.stdin.read()
"#;
    let scratch = Scratch::new(test);
    let mut command = program("unshare");
    command.args(["-m", "--propagation", "slave", "python3", "-c", SCRIPT]).arg(&scratch.0);
    let mut piped = Piped::new(&mut command);
    assert_eq!(piped.line(), "ready");
    let pid = piped.pid().to_string();
    for options in [&["-J"][..], &["-a"], &["-f"]] {
        let mut command = program("prlimit");
        command.arg("--as=300000000").arg(binary()).args(["ctr-inspect", "-s", "files"]).args(options);
        let output = limited(command.arg(&pid));
        assert!(output.status.success(), "{options:?}: {}", stderr(&output));
    }
    let all = report(&["-s", "files", &pid]);
    let unknown = all["unknown"].to_string();
    let writable = all["files"]["mounts"].as_array().expect("mounts").iter();
    let names: usize = writable.map(|one| one["writable_below"].as_array().map_or(0, Vec::len)).sum();
    assert!((4_000..5_000).contains(&names), "{names}");
    assert!(unknown.contains("files.mounts.writable_below"), "{unknown}");
}

/// A link in place of a directory leads to nothing of the host.
#[test]
fn links_in_the_root_of_a_container_lead_to_no_device_of_the_host() {
    let test = "links_in_the_root_of_a_container";
    if !namespaces(test) {
        return;
    }
    let report = |link: &str| {
        let setup = format!(
            "mount -t tmpfs none /mnt\ncd /mnt\nmkdir -p inside\nmknod inside/kmem c 1 2\n{link}\n\
             for i in bin lib lib64 usr; do [ -e /$i ] && mkdir -p $i && mount --rbind /$i $i; done\n\
             exec 9<&0\necho \"$pid\"\nexec chroot /mnt cat"
        );
        let holder = Holder::new(&["-m", "-p", "-f"], &setup);
        report(&["-s", "files", &holder.pid.to_string()])["files"]["devices"].clone()
    };
    let found = report("ln -s /inside dev");
    let paths =
        |found: &Value| found.as_array().map(|all| all.iter().map(|one| one["path"].clone()).collect());
    assert_eq!(paths(&found), Some(vec![Value::from("/dev/kmem")]), "{found}");
    for link in ["ln -s ../../../../../dev dev", "mkdir dev; ln -s /dev/kmem dev/mem", "mkfifo dev"] {
        let found = report(link);
        assert_eq!(paths(&found).unwrap_or_default(), [] as [Value; 0], "{link}");
    }
}
