//! Accesses files of users and of containers in a helper process, as an access to them can block without limit.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::Files;
use super::meta::{Meta, Opened};
use crate::access::{AccessProcess, Account};
use crate::sys;

#[derive(Clone, Copy)]
enum Request {
    /// Open a file, with flags of open(2).
    Open(OFlag),
    /// Open a file; fail if the path contains a symbolic link.
    OpenExact,
    /// Read the next part of the file opened last, with at most this length.
    Content(u64),
    /// List the first names of a directory.
    Names(usize),
}

impl Request {
    fn to_bytes(self, user: Option<u32>, path: &str) -> Vec<u8> {
        let (kind, number) = match self {
            Request::Open(flags) => (0, flags.bits() as u64),
            Request::OpenExact => (1, 0),
            Request::Content(largest) => (2, largest),
            Request::Names(most) => (3, most as u64),
        };
        let (has_user, user) = (u8::from(user.is_some()), user.unwrap_or(0).to_ne_bytes());
        [&[kind, has_user], &user[..], &number.to_ne_bytes(), path.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<(Request, Option<u32>, &str)> {
        let ([kind, has_user], rest) = bytes.split_first_chunk()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (number, path) = rest.split_first_chunk()?;
        let number = u64::from_ne_bytes(*number);
        let request = match kind {
            0 => Request::Open(OFlag::from_bits_retain(i32::try_from(number).ok()?)),
            1 => Request::OpenExact,
            2 => Request::Content(number),
            _ => Request::Names(usize::try_from(number).ok()?),
        };
        let user = (*has_user != 0).then_some(u32::from_ne_bytes(*user));
        Some((request, user, std::str::from_utf8(path).ok()?))
    }
}

impl Files {
    /// The account for the time that an access takes; None for files that cannot block.
    fn account(&self) -> Option<Account> {
        self.user.map(Account::User).or(self.system.account)
    }

    /// Can the owner of these files make an access block?
    pub(super) fn may_wait(&self) -> bool {
        self.account().is_some()
    }

    pub(super) fn open_file(&self, path: &str, flags: OFlag) -> nix::Result<Opened> {
        match self.may_wait() {
            false if self.is_not_listed(path) => Err(Errno::ENOENT),
            false => Opened::new(self.open_here(path, flags)?),
            true => self.open_by_helper(Request::Open(flags), path),
        }
    }

    /// Opens a path that contains no symbolic links.
    pub(super) fn open_exact(&self, path: &str) -> nix::Result<Opened> {
        self.open_by_helper(Request::OpenExact, path)
    }

    fn open_by_helper(&self, request: Request, path: &str) -> nix::Result<Opened> {
        let answer = self.ask(request, path)?;
        Ok(Opened { meta: Meta::from_bytes(&answer).ok_or(Errno::EIO)?, file: None })
    }

    /// Reads the file that the helper opened last into `text`, at most one byte more than `largest`. It is sent in parts,
    /// as each is copied several times. `size` is the expected one: room for it at once, as a buffer that grows needs
    /// twice its memory.
    pub(super) fn content(&self, size: usize, largest: u64, text: &mut Vec<u8>) -> nix::Result<()> {
        text.clear();
        text.reserve_exact(size + 1);
        loop {
            let length = PART.min(largest + 1 - text.len() as u64);
            let part = self.ask(Request::Content(length), "")?;
            text.extend_from_slice(&part);
            if (part.len() as u64) < length || text.len() as u64 > largest {
                return Ok(());
            }
        }
    }

    /// The first names in a directory. A name that is not UTF-8 is empty.
    pub(super) fn first_names(&self, path: &str, most: usize) -> nix::Result<Vec<String>> {
        if !self.may_wait() {
            return if self.is_not_listed(path) { Err(Errno::ENOENT) } else { self.names_here(path, most) };
        }
        let names = self.ask(Request::Names(most), path)?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names = names.split(|&b| b == 0);
        Ok(names.map(|name| String::from_utf8(name.to_vec()).unwrap_or_default()).collect())
    }

    /// Does the path not exist, as far as directories of root show? That needs no helper process.
    pub(super) fn is_missing(&self, path: &str) -> bool {
        matches!(self.open_below_root(path), Err(Some(Errno::ENOENT)))
    }

    /// Opens a path that leads through directories of root only, without symbolic links. Users cannot make that block.
    /// Err(None): it leads elsewhere.
    pub(super) fn open_below_root(&self, path: &str) -> Result<OwnedFd, Option<Errno>> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut current = match &self.system.root_fd {
            Some(root) => root.try_clone().map_err(|_| None)?,
            None => openat(AT_FDCWD, "/", flags, Mode::empty()).map_err(Some)?,
        };
        let of_root =
            |known: sys::Known| known.uid == 0 && u32::from(known.mode) & libc::S_IFMT == libc::S_IFDIR;
        for (at, name) in path.split('/').filter(|name| !name.is_empty()).enumerate() {
            if name == ".." || at > 0 && !sys::known(&current, c"").is_ok_and(of_root) {
                return Err(None);
            }
            current = openat(&current, name, flags, Mode::empty()).map_err(Some)?;
        }
        Ok(current)
    }

    fn ask(&self, request: Request, path: &str) -> nix::Result<Vec<u8>> {
        let account = self.account().unwrap_or(Account::User(0));
        self.mounts(); // read once here, not by each helper process
        let mut slot = self.system.access.borrow_mut();
        let mut process = match slot.take() {
            Some(process) => process,
            None => self.start()?,
        };
        let mut answer = process.ask(account, &request.to_bytes(self.user, path))?;
        *slot = Some(process);
        let errno = *answer.first_chunk().ok_or(Errno::EIO)?;
        match i32::from_ne_bytes(errno) {
            0 => {
                answer.drain(..errno.len());
                Ok(answer)
            }
            errno => Err(Errno::from_raw(errno)),
        }
    }

    #[allow(unsafe_code)] // AccessProcess::start
    fn start(&self) -> nix::Result<AccessProcess> {
        let root: Vec<_> = self.system.root_fd.iter().map(AsFd::as_fd).collect();
        let mut server = Server { files: self.clone(), last: None };
        let serve = move |request: &[u8]| match server.answer(request) {
            Ok(answer) => [&[0; 4], &answer[..]].concat(),
            Err(errno) => (errno as i32).to_ne_bytes().to_vec(),
        };
        // SAFETY: `Files` owns the directory `root_fd`, which is kept, and sockets of other helper processes, which the
        // server does not use; the server itself opens `last`.
        unsafe { AccessProcess::start(&root, serve) }
    }
}

/// The state of the helper process.
struct Server {
    files: Files,
    last: Option<Last>,
}

struct Last {
    file: File,
    /// Is it open for reading? Else the descriptor is O_PATH.
    is_read: bool,
}

const PART: u64 = 256 << 10;

impl Server {
    fn answer(&mut self, request: &[u8]) -> nix::Result<Vec<u8>> {
        let (request, user, path) = Request::from_bytes(request).ok_or(Errno::EINVAL)?;
        let files = Files { user, budget: None, ..self.files.clone() };
        let file = match request {
            Request::Open(flags) => files.open_here(path, flags)?,
            Request::OpenExact => files.open_exact_here(path)?,
            Request::Content(length) => return self.next_part(length),
            Request::Names(most) => {
                let names = files.names_here(path, most)?;
                return Ok(names.join("\0").into_bytes());
            }
        };
        let meta = Meta::read(&file)?;
        self.last = Some(Last { file, is_read: false });
        Ok(meta.to_bytes())
    }

    fn next_part(&mut self, length: u64) -> nix::Result<Vec<u8>> {
        let last = self.last.as_mut().ok_or(Errno::EINVAL)?;
        if !last.is_read {
            *last = Last { file: super::open::reopen(&last.file)?, is_read: true };
        }
        let mut part = Vec::new();
        match (&last.file).take(length).read_to_end(&mut part) {
            Ok(_) => Ok(part),
            Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn requests_and_answers_survive_encoding() {
        let meta = Meta { device: 1, inode: u64::MAX, mode: 0o100_644, uid: 7, size: 1 << 40, modified: -5 };
        assert_eq!(meta.to_bytes().len(), 40);
        assert_eq!(Meta::from_bytes(&meta.to_bytes()), Some(meta));
        assert_eq!(Meta::from_bytes(&meta.to_bytes()[1..]), None);
        let bytes = Request::Open(OFlag::O_PATH | OFlag::O_CLOEXEC).to_bytes(Some(u32::MAX), "/a b");
        let decoded = Request::from_bytes(&bytes).expect("a request");
        assert!(matches!(decoded.0, Request::Open(flags) if flags == OFlag::O_PATH | OFlag::O_CLOEXEC));
        assert_eq!((decoded.1, decoded.2), (Some(u32::MAX), "/a b"));
        let bytes = Request::Names(50).to_bytes(None, "");
        assert!(matches!(Request::from_bytes(&bytes), Some((Request::Names(50), None, ""))));
    }

    #[test]
    fn missing_paths_in_directories_of_root_are_known() {
        let files = Files::new(std::path::Path::new("/")).expect("a root");
        assert!(files.is_missing("/no-such-directory/.local/share"));
        assert!(!files.is_missing("/proc/self"));
        assert!(!files.is_missing("/"));
        assert!(!files.is_missing("/etc/../no-such-directory"));
    }

    /// A helper process has a time limit, so a busy host could change the answer.
    #[test]
    fn programs_in_directories_of_root_are_compared_without_a_helper_process() {
        let root = std::path::Path::new("/");
        let files = Files::new(root).expect("a root");
        let program = std::fs::canonicalize("/bin/sh").expect("a shell");
        let meta = std::fs::metadata(&program).expect("a file");
        let device = (libc::major(meta.dev()), libc::minor(meta.dev()));
        let of_user = files.of_user(4_000_000_123);
        let path = program.to_str().expect("a path");
        assert!(of_user.is_same(path, device, meta.ino()));
        assert!(!of_user.is_same(path, device, meta.ino() + 1));
        assert!(!of_user.is_same("/no-such-directory/sh", device, meta.ino()));
        assert!(files.system.access.borrow().is_none(), "a helper process runs");
        // /proc/self is a symbolic link.
        assert!(!of_user.is_same("/proc/self/exe", device, meta.ino()));
    }

    #[test]
    fn the_helper_process_gives_the_same_answers() {
        let files = Files::new(std::path::Path::new("/")).expect("a root");
        let of_user = files.of_user(0);
        assert_eq!(of_user.read("/etc/passwd"), files.read("/etc/passwd"));
        assert_eq!(of_user.list("/etc"), files.list("/etc"));
        assert_eq!(of_user.modified("/etc/passwd"), files.modified("/etc/passwd"));
        assert!(of_user.exists("/etc") && !of_user.exists("/no-such-directory"));
        assert_eq!((of_user.read("/etc"), of_user.read("/dev/null")), (None, None));
        assert_eq!(files.warnings().len(), 2, "neither is a file: {:?}", files.warnings());
        assert!(
            of_user.open_file("/proc/self/root/etc", OFlag::O_PATH).is_err_and(|errno| errno == Errno::ELOOP)
        );
    }
}
