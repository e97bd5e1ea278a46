//! Why a program could not be started although its file exists.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::proc::open_plain;

/// The number of bytes that are read from a file: enough for a `#!` line and for an ELF header.
const HEAD: usize = 4096;

/// Machines by their number in ELF headers, with the names of uname(1).
const MACHINES: [(u16, &str); 10] = [
    (3, "i386"),
    (8, "mips"),
    (20, "ppc"),
    (21, "ppc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv"),
    (258, "loongarch64"),
];

/// Why execve(2) failed on this file with this errno.
#[must_use]
pub(super) fn not_started(file: &Path, errno: Errno) -> Option<String> {
    let shown = file.display();
    let meta = std::fs::metadata(file).ok()?;
    match errno {
        Errno::EACCES if meta.is_dir() => Some(format!("{shown} is a directory")),
        Errno::EACCES if meta.permissions().mode() & 0o111 == 0 => {
            Some(format!("{shown} is not executable: chmod +x {shown}"))
        }
        Errno::EACCES if statvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOEXEC)) => {
            Some(format!("{shown} is on a file system mounted noexec"))
        }
        Errno::EACCES | Errno::ENOENT | Errno::ENOEXEC if meta.is_file() => unfit(file),
        _ => None,
    }
}

/// The interpreter that the file names is missing, or the file is for another machine.
fn unfit(path: &Path) -> Option<String> {
    let file = open_plain(path).ok()?;
    let mut head = Vec::new();
    (&file).take(HEAD as u64).read_to_end(&mut head).ok()?;
    let shown = path.display();
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&b| b == b'\n').next()?.trim_ascii();
        let name = Path::new(std::ffi::OsStr::from_bytes(line.split(u8::is_ascii_whitespace).next()?));
        return absent(&shown, "interpreter", name);
    }
    let elf = Elf::parse(&head)?;
    if let Some((machine, here)) = elf.foreign() {
        return Some(format!("{shown} is a program for {machine}, but this machine is {here}"));
    }
    let loader = elf.interpreter(&file)?;
    let words = absent(&shown, "loader", &loader)?;
    Some(format!("{words}; it was built for another libc or distribution; a static program needs no loader"))
}

fn absent(shown: &std::path::Display<'_>, what: &str, name: &Path) -> Option<String> {
    let gone = !name.as_os_str().is_empty() && !name.exists();
    gone.then(|| format!("{shown} exists, but its {what} {} does not", name.display()))
}

/// An ELF header (elf(5)): only the fields that are needed here.
struct Elf<'a> {
    head: &'a [u8],
    wide: bool,
    little: bool,
}

impl Elf<'_> {
    fn parse(head: &[u8]) -> Option<Elf<'_>> {
        let rest = head.strip_prefix(b"\x7fELF")?;
        Some(Elf { head, wide: *rest.first()? == 2, little: *rest.get(1)? == 1 })
    }

    fn number(&self, at: usize, bytes: usize) -> Option<u64> {
        let field = self.head.get(at..at.checked_add(bytes)?)?;
        let join = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        Some(if self.little { field.iter().rev().fold(0, join) } else { field.iter().fold(0, join) })
    }

    /// The machine of the program, if it cannot run on this one.
    fn foreign(&self) -> Option<(String, &'static str)> {
        let number = u16::try_from(self.number(18, 2)?).ok()?;
        let here = std::env::consts::ARCH;
        let name = MACHINES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
        let runs_here = match (here, name) {
            ("x86_64", Some("i386" | "x86_64")) | ("aarch64", Some("arm" | "aarch64")) => true,
            (_, Some(name)) => {
                here.starts_with(name) || (name.starts_with("ppc") && here.starts_with("powerpc"))
            }
            (_, None) => true, // unknown: do not claim it
        };
        (!runs_here).then(|| (name.unwrap_or_default().to_owned(), here))
    }

    /// The path in PT_INTERP.
    fn interpreter(&self, file: &File) -> Option<PathBuf> {
        const PT_INTERP: u64 = 3;
        let (table, entry, count) = match self.wide {
            true => (self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?),
            false => (self.number(28, 4)?, self.number(42, 2)?, self.number(44, 2)?),
        };
        for index in 0..count {
            let at = usize::try_from(table.checked_add(entry * index)?).ok()?;
            if self.number(at, 4)? == PT_INTERP {
                let (offset, length) = match self.wide {
                    true => (self.number(at + 8, 8)?, self.number(at + 32, 8)?),
                    false => (self.number(at + 4, 4)?, self.number(at + 16, 4)?),
                };
                let mut name = vec![0; usize::try_from(length).ok().filter(|&length| length <= HEAD)?];
                file.read_exact_at(&mut name, offset).ok()?;
                let name = name.split(|&b| b == 0).next()?;
                return Some(PathBuf::from(std::ffi::OsStr::from_bytes(name)));
            }
        }
        None
    }
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(head: &[u8]) {
    if let Some(elf) = Elf::parse(head) {
        _ = elf.foreign();
        _ = File::open("/dev/null").map(|file| elf.interpreter(&file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_and_random_headers_are_ignored() {
        let own = std::fs::read("/proc/self/exe").expect("our own program");
        let file = File::open("/proc/self/exe").expect("our own program");
        for end in 0..256.min(own.len()) {
            if let Some(elf) = Elf::parse(&own[..end]) {
                assert_eq!(elf.foreign(), None);
                _ = elf.interpreter(&file);
            }
        }
        let mut wild = own[..HEAD.min(own.len())].to_vec();
        wild[32..64].fill(0xff);
        _ = Elf::parse(&wild).map(|elf| elf.interpreter(&file));
    }

    #[test]
    fn a_program_of_another_machine() {
        let mut head = [0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        for (number, name) in [(21_u8, "ppc64"), (22, "s390x")] {
            head[18] = number;
            let elf = Elf::parse(&head).expect("a header");
            assert_eq!(elf.foreign(), Some((name.to_owned(), std::env::consts::ARCH)));
        }
    }
}
