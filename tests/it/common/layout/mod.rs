//! Hosts made of files, with the state files of runtimes, each in a layout that a runtime documents.

pub mod engines;
pub mod machines;
pub mod mutated;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ctrbox::testing::access::forget_spent_time;
use ctrbox::testing::container::{Container, Files, IdentifiedBy, Resolver, Runtime, Tag};
use ctrbox::testing::proc::ProcRoot;
use nix::unistd::Pid;

use super::ctr_ps::Host;

pub const UUID: &str = "0b3f5a52-1111-2222-3333-4444deadbeef";
pub const USER: u32 = 1234;
pub const START: u64 = 777;
/// A start after the time at which any state file was written.
pub const LATE: u64 = 400 * 365 * 86_400 * 100;

/// A host, and the expected result: PID of an init process, and its container.
pub struct Layout {
    pub host: Host,
    pub expected: BTreeMap<i64, Expected>,
    next: i64,
}

#[derive(Default, Clone)]
pub struct Expected {
    pub shown: String,
    pub id: String,
    pub engine: &'static str,
    pub pod: Option<&'static str>,
    pub image: Option<&'static str>,
    pub hostname: Option<&'static str>,
    pub label: Option<(&'static str, &'static str)>,
    pub owner: u32,
}

pub fn id(number: u32) -> String {
    format!("{number:064x}")
}

/// For readers of files in child processes.
#[allow(unsafe_code)]
fn allow_forks() {
    // SAFETY: the other threads are those of the test harness and of other tests. None changes the environment; the C
    // library takes care of its allocator's lock, and a child that reads files takes no other.
    unsafe { ctrbox::testing::promise_no_locks() };
}

impl Layout {
    pub fn new(name: &str) -> Layout {
        let host = Host::new(name);
        host.file("etc/passwd", format!("root:x:0:0::/root:/bin/sh\nu:x:{USER}:{USER}::/home/u:/bin/sh\n"));
        host.file("proc/stat", "cpu 0\nbtime 1000000000\n");
        std::fs::create_dir_all(host.root().join(format!("run/user/{USER}"))).expect("a directory");
        Layout { host, expected: BTreeMap::new(), next: 100 }
    }

    pub fn file(&self, path: impl AsRef<str>, content: impl AsRef<[u8]>) -> PathBuf {
        self.host.file(path.as_ref(), content)
    }

    /// A process that is younger than any state file written now, if it began `late`.
    pub fn process(&self, pid: i64, uid: u32, cgroup: &str, start: u64) {
        self.host.process(pid, 1, cgroup, b"x\0");
        let status = format!(
            "Name:\tx\nState:\tS (sleeping)\nPid:\t{pid}\nPPid:\t1\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n\
             NSpid:\t{pid}\t1\nVmPeak:\t 100 kB\n"
        );
        self.file(format!("proc/{pid}/status"), status);
        let stat = format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0\n");
        self.file(format!("proc/{pid}/stat"), stat);
        for (kind, id) in
            [("pid", 10_000 + pid), ("mnt", 20_000 + pid), ("net", 30_000 + pid), ("ipc", 40_000 + pid)]
        {
            self.link(&format!("proc/{pid}/ns/{kind}"), format!("{kind}:[{id}]"));
        }
    }

    /// A link, in place of the one that is there.
    pub fn link(&self, path: &str, target: impl AsRef<Path>) {
        let path = self.host.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        _ = std::fs::remove_file(&path);
        symlink(target, path).expect("a link");
    }

    /// Puts a process outside of all containers above another one.
    pub fn monitor(&self, pid: i64, uid: u32, title: &str) -> i64 {
        let above = pid + 100_000;
        self.host.process(above, 1, &format!("/lxc.monitor.{pid}"), format!("{title}\0").as_bytes());
        self.replace(
            &format!("proc/{above}/status"),
            "Uid:\t0\t0\t0\t0",
            &format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"),
        );
        let status = format!("proc/{pid}/status");
        let text = std::fs::read_to_string(self.host.root().join(&status)).expect("a status");
        self.file(&status, text.replace("PPid:\t1\n", &format!("PPid:\t{above}\n")));
        above
    }

    /// Replaces a part of a file.
    pub fn replace(&self, path: &str, part: &str, by: &str) {
        let text = std::fs::read_to_string(self.host.root().join(path)).expect("a file");
        assert!(text.contains(part), "{path}: {text}");
        self.file(path, text.replace(part, by));
    }

    /// An init process in a control group, and the container that must be found for it.
    pub fn expect(&mut self, cgroup: &str, expected: Expected) -> i64 {
        let pid = self.next;
        self.next += 1;
        self.process(pid, expected.owner, cgroup, START);
        self.expected.insert(pid, expected);
        pid
    }

    /// An init process in a control group.
    pub fn init(&mut self, cgroup: &str) -> i64 {
        self.expect(cgroup, Expected::default())
    }

    pub fn look<T>(&self, look: impl FnOnce(&mut Resolver<'_>) -> T) -> T {
        allow_forks();
        forget_spent_time();
        let proc = ProcRoot::new(self.host.root().join("proc"));
        let files = Files::new(self.host.root()).expect("a root");
        look(&mut Resolver::new(&proc, &files))
    }

    pub fn tag(&self, pid: i64) -> Option<Tag> {
        self.look(|resolver| self.tag_by(resolver, pid))
    }

    /// The container that is shown for a process.
    pub fn shown(&self, pid: i64) -> Option<String> {
        self.tag(pid).map(|tag| tag.container.label())
    }

    fn tag_by(&self, resolver: &mut Resolver<'_>, pid: i64) -> Option<Tag> {
        let text = std::fs::read(self.host.root().join(format!("proc/{pid}/cgroup"))).expect("a cgroup");
        resolver.resolve(Pid::from_raw(i32::try_from(pid).expect("a pid")), &text, true)
    }

    /// The container of this process that a state file confirms.
    pub fn proven(&self, pid: i64) -> Option<Rc<Container>> {
        self.look(|resolver| self.proven_by(resolver, pid))
    }

    pub fn proven_by(&self, resolver: &mut Resolver<'_>, pid: i64) -> Option<Rc<Container>> {
        let tag = self.tag_by(resolver, pid);
        tag.filter(|tag| matches!(tag.identified_by, IdentifiedBy::State | IdentifiedBy::Namespace))
            .map(|tag| tag.container)
    }

    pub fn all_is_found(&self) {
        for (pid, expected) in &self.expected {
            let tag = self.tag(*pid).unwrap_or_else(|| panic!("{pid}: {} is not found", expected.shown));
            expected.is(*pid, &tag.container);
        }
    }

    /// No state file makes a process one of another container.
    pub fn is_not_deceived(&self, by: &Path) {
        self.look(|resolver| {
            for (pid, expected) in &self.expected {
                let Some(found) = self.proven_by(resolver, *pid) else { continue };
                let init = found.init.map(|init| i64::from(init.as_raw()));
                let same = init == Some(*pid) || init.is_none() && found.id == expected.id;
                assert!(same, "{} is {found} by {}", expected.shown, by.display());
            }
        });
    }

    pub fn all(&self) -> Vec<Rc<Container>> {
        self.look(|resolver| resolver.all())
    }
}

impl Expected {
    pub fn new(shown: impl Into<String>, id: impl Into<String>, engine: &'static str) -> Expected {
        Expected { shown: shown.into(), id: id.into(), engine, ..Expected::default() }
    }

    pub fn is(&self, pid: i64, container: &Container) {
        assert_eq!((container.to_string(), &container.id), (self.shown.clone(), &self.id), "{pid}");
        assert_eq!(container.engine, self.engine, "{}", self.shown);
        assert_eq!(container.owner, self.owner, "{}", self.shown);
        let untold =
            matches!(container.runtime, Runtime::Incus | Runtime::Lxc | Runtime::Lxd | Runtime::Snap);
        if container.identified_by != IdentifiedBy::Cgroup && !untold {
            assert_eq!(container.init.map(|init| i64::from(init.as_raw())), Some(pid), "{}", self.shown);
        }
        for (found, expected, what) in [
            (container.pod.as_deref(), self.pod, "pod"),
            (container.image.as_deref(), self.image, "image"),
            (container.hostname.as_deref(), self.hostname, "hostname"),
        ] {
            assert_eq!(found, expected, "{what} of {}", self.shown);
        }
        if let Some((name, value)) = self.label {
            let label = (name.to_owned(), value.to_owned());
            assert!(container.labels.contains(&label), "{}: {:?}", self.shown, container.labels);
        }
    }
}

pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            all.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            all.push(entry.path());
        }
    }
    all
}

/// A name, and the function that makes the state files and processes on a host.
type Make = (&'static str, fn(&mut Layout));

pub const LAYOUTS: [Make; 11] = [
    ("docker", engines::of_docker),
    ("docker-rootless", engines::of_docker_without_root),
    ("containerd", engines::of_containerd),
    ("crio", engines::of_crio),
    ("podman", engines::of_podman),
    ("oci", machines::of_oci),
    ("lxc", machines::of_lxc),
    ("machined", machines::of_machined),
    ("sandboxes", machines::of_sandboxes),
    ("groups", machines::of_groups),
    ("snap", machines::of_snaps),
];
