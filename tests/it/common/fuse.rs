//! A file system that stops answering: a server that speaks the protocol of /dev/fuse (fuse(4), linux/fuse.h).
#![allow(unsafe_code)] // pidfd_getfd(2)

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::process::Piped;
use super::{HANG, program, skip};

/// After this time the connection ends even if it still hangs, so that waiting processes get an error.
const GIVES_UP: Duration = HANG.checked_div(2).expect("not by 0");

/// A file or, without content, a directory: by its path, as `/etc/passwd`.
pub type Tree = Vec<(&'static str, Option<Vec<u8>>)>;

/// Shell commands in a mount namespace, with the file system mounted at `$fuse`.
pub struct Fuse {
    piped: Option<Piped>,
    hangs: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    gave_up: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
    /// The PID of the shell, here.
    pub pid: i32,
}

impl Fuse {
    /// `unshare OPTIONS` with a shell in it that runs the script; `$fuse` and `$work` are directories. When the script
    /// has printed a line, the file system hangs.
    pub fn hanging(options: &[&str], tree: Tree, script: &str) -> Option<Fuse> {
        let fuse = Fuse::started(options, tree, script)?;
        fuse.hangs.store(true, Ordering::SeqCst);
        Some(fuse)
    }

    fn started(options: &[&str], tree: Tree, script: &str) -> Option<Fuse> {
        if File::open("/dev/fuse").is_err() {
            skip("hanging file systems", "/dev/fuse cannot be opened");
            return None;
        }
        let script = format!(
            "read -r pid rest </proc/self/stat
             exec 3<>/dev/fuse; echo $pid; read -r go
             mount -t tmpfs none /mnt; fuse=/mnt/fuse work=/mnt; mkdir $fuse
             mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other none $fuse
             exec 3<&-
             {script}"
        );
        let mut piped = Piped::new(program("unshare").args(options).args(["sh", "-ec", &script]));
        let Ok(pid) = piped.line().parse() else {
            skip("hanging file systems", "namespaces cannot be made here");
            return None;
        };
        let device = File::from(descriptor_of(pid, 3));
        let [hangs, ends, gave_up] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let server =
            Server { device, tree, hangs: hangs.clone(), ends: ends.clone(), gave_up: gave_up.clone() };
        let server = Some(std::thread::spawn(move || server.run()));
        piped.say("\n");
        let line = piped.line();
        let fuse = Fuse { piped: Some(piped), hangs, ends, gave_up, server, pid };
        assert_eq!(line, "ready", "the script failed");
        Some(fuse)
    }

    /// Did no process have to be freed by the end of the connection?
    pub fn nobody_hung(&self) -> bool {
        !self.gave_up.load(Ordering::SeqCst)
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = self.server.take().map(JoinHandle::join); // first: it closes the connection, and frees who waits
        let _ =
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), nix::sys::signal::Signal::SIGKILL);
        drop(self.piped.take());
    }
}

/// A copy of a descriptor of another process.
fn descriptor_of(pid: i32, fd: i32) -> OwnedFd {
    // SAFETY: plain integers in, new descriptors out.
    unsafe {
        let opened = |result: libc::c_long| {
            assert!(result >= 0, "pidfd: {}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(i32::try_from(result).expect("a descriptor"))
        };
        let holder = opened(libc::syscall(libc::SYS_pidfd_open, pid, 0));
        let holder = std::os::fd::AsRawFd::as_raw_fd(&holder);
        opened(libc::syscall(libc::SYS_pidfd_getfd, holder, fd, 0))
    }
}

struct Server {
    device: File,
    tree: Tree,
    hangs: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    gave_up: Arc<AtomicBool>,
}

impl Server {
    fn run(mut self) {
        let mut request = vec![0; 256 * 1024];
        let mut hung_since: Option<Instant> = None;
        while !self.ends.load(Ordering::SeqCst) {
            if hung_since.is_some_and(|since| since.elapsed() > GIVES_UP) {
                self.gave_up.store(true, Ordering::SeqCst);
                return;
            }
            let mut fds = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(20_u8)) {
                Ok(0) => continue,
                Ok(_) => {}
                Err(_) => return,
            }
            let length = match self.device.read(&mut request) {
                Ok(length) => length,
                // It is not mounted yet.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Err(_) => return,
            };
            // A request that was read and is not answered cannot be interrupted.
            if self.hangs.load(Ordering::SeqCst) {
                hung_since.get_or_insert_with(Instant::now);
                continue;
            }
            self.answer(&request[..length]);
        }
    }

    fn answer(&mut self, request: &[u8]) {
        let short = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_ne_bytes(request[at..at + 8].try_into().expect("eight bytes"));
        let (operation, unique, node) = (short(4), long(8), long(16));
        let content = |node: u64| self.content(node).unwrap_or_default();
        let answer = match operation {
            2 | 36 | 42 => return, // FORGET, INTERRUPT, BATCH_FORGET have no answer
            1 => self.lookup(node, request[40..].split(|&b| b == 0).next().unwrap_or_default()),
            3 => Ok([&[0; 16][..], &self.attributes(node)].concat()),
            // OPEN and OPENDIR: keep what is cached.
            14 | 27 => Ok(words(&[0, 0, 2, 0])),
            15 => {
                let (offset, size) = (usize::try_from(long(48)).expect("an offset"), short(56) as usize);
                let content = content(node);
                Ok(content[offset.min(content.len())..(offset + size).min(content.len())].to_vec())
            }
            17 => Ok(words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4096, 255, 4096, 0, 0, 0, 0, 0, 0, 0])),
            18 | 25 | 28 | 29 => Ok(Vec::new()), // RELEASE, FLUSH, READDIR, RELEASEDIR
            22 => Err(libc::ENODATA),
            26 => Ok(words(&[7, 31, 1 << 17, 0, 0, 1 << 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            _ => Err(libc::ENOSYS),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).expect("short");
        let whole =
            [&length.to_ne_bytes()[..], &i32::to_ne_bytes(error), &unique.to_ne_bytes(), &body].concat();
        let _ = self.device.write(&whole);
    }

    /// Nodes are numbered from 2 in the order of the tree; 1 is the root.
    fn path(&self, node: u64) -> &'static str {
        match usize::try_from(node).expect("a node") {
            1 => "",
            node => self.tree[node - 2].0,
        }
    }

    fn content(&self, node: u64) -> Option<&[u8]> {
        let at = usize::try_from(node).expect("a node").checked_sub(2)?;
        self.tree[at].1.as_deref()
    }

    fn lookup(&self, parent: u64, name: &[u8]) -> Result<Vec<u8>, i32> {
        let path = format!("{}/{}", self.path(parent), String::from_utf8_lossy(name));
        let at = self.tree.iter().position(|entry| entry.0 == path).ok_or(libc::ENOENT)?;
        let node = at as u64 + 2;
        // Nothing is cached: each access is a request.
        Ok([&node.to_ne_bytes()[..], &[0; 32], &self.attributes(node)].concat())
    }

    fn attributes(&self, node: u64) -> Vec<u8> {
        let content = self.content(node);
        let size = content.map_or(0, <[u8]>::len) as u64;
        let mode = if content.is_some() { libc::S_IFREG | 0o755 } else { libc::S_IFDIR | 0o755 };
        let numbers = [node, size, size.div_ceil(512), 0, 0, 0].map(u64::to_ne_bytes);
        [numbers.as_flattened(), &words(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0])].concat()
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
