//! Files of a process that only a report about it needs.

use std::collections::BTreeMap;
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::unistd::Pid;

use super::{ProcRoot, Process, number};
use crate::text;

impl Process<'_> {
    fn rare(&self, file: &str) -> Result<Vec<u8>> {
        self.root.read(self.pid, file)
    }

    /// Its resource limits.
    pub(crate) fn limits(&self) -> Result<Vec<u8>> {
        self.rare("limits")
    }

    /// The offsets of clocks in its time namespace; since Linux 5.6.
    pub(crate) fn clock_offsets(&self) -> Result<Vec<u8>> {
        self.rare("timens_offsets")
    }

    /// Does its user namespace deny setgroups(2)? None before Linux 3.19, or if it cannot be read.
    pub(crate) fn denies_setgroups(&self) -> Option<bool> {
        self.rare("setgroups").ok().map(|word| word.trim_ascii() == b"deny")
    }

    /// The map of project ids of its user namespace.
    pub(crate) fn project_map(&self) -> Result<Vec<u8>> {
        self.rare("projid_map")
    }

    /// What it read and wrote.
    pub(crate) fn io(&self) -> Result<Vec<u8>> {
        self.rare("io")
    }

    /// The name of its program, which it can change.
    pub(crate) fn name(&self) -> Result<Vec<u8>> {
        self.root.read_whole(self.pid, "comm")
    }

    /// The label that one of several security modules gave it.
    pub(crate) fn label_of(&self, module: &str) -> Result<Vec<u8>> {
        self.rare(&format!("attr/{module}/current"))
    }

    pub(crate) fn thread_status(&self, thread: &str) -> Result<Vec<u8>> {
        self.rare(&format!("task/{thread}/status"))
    }

    /// The function of the kernel in which a thread waits; `0` if this process may not know.
    pub(crate) fn waits_in(&self, thread: &str) -> Result<Vec<u8>> {
        self.rare(&format!("task/{thread}/wchan"))
    }

    /// The system call in which a thread is, and its arguments.
    pub(crate) fn system_call(&self, thread: &str) -> Result<Vec<u8>> {
        self.rare(&format!("task/{thread}/syscall"))
    }
}

impl ProcRoot {
    /// The name of the host, by the UTS namespace of the reader.
    #[must_use]
    pub(crate) fn host_name(&self) -> Option<String> {
        self.kernel_line("hostname")
    }

    /// The random id of the boot.
    #[must_use]
    pub(crate) fn boot_id(&self) -> Option<String> {
        self.kernel_line("random/boot_id")
    }

    fn kernel_line(&self, file: &str) -> Option<String> {
        self.line(&format!("sys/kernel/{file}")).ok()
    }

    /// The content of a short file that belongs to no process.
    pub(crate) fn line(&self, file: &str) -> std::io::Result<String> {
        let mut text = self.read_of_host(file)?;
        text.truncate(4096);
        Ok(text::utf8(text.trim_ascii()).into_owned())
    }

    /// The memory of the host, in bytes.
    #[must_use]
    pub(crate) fn memory_total(&self) -> Option<u64> {
        self.memory("MemTotal:")
    }

    /// What new programs could use without swapping.
    #[must_use]
    pub(crate) fn memory_available(&self) -> Option<u64> {
        self.memory("MemAvailable:")
    }

    fn memory(&self, name: &str) -> Option<u64> {
        let text = self.read_of_host("meminfo").ok()?;
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()))?;
        number::<u64>(line.trim_ascii().strip_suffix(b" kB")?.trim_ascii()).map(|kb| kb.saturating_mul(1024))
    }

    /// The devices in /dev by their numbers: `8:0`.
    #[must_use]
    pub(crate) fn disks(&self) -> BTreeMap<String, String> {
        let text = self.read_of_host("diskstats").unwrap_or_default();
        let disk = |line: &[u8]| {
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let (major, minor) = (number::<u32>(words.next()?)?, number::<u32>(words.next()?)?);
            Some((format!("{major}:{minor}"), format!("/dev/{}", text::utf8(words.next()?))))
        };
        text.split(|&b| b == b'\n').filter_map(disk).collect()
    }

    /// The CPU time of all CPUs since boot in ticks: what was used, and all of it; and the number of CPUs.
    #[must_use]
    pub(crate) fn cpu_ticks(&self) -> Option<(u64, u64, u64)> {
        let text = self.read_of_host("stat").ok()?;
        let mut lines = text.split(|&b| b == b'\n');
        let words =
            lines.next()?.strip_prefix(b"cpu ")?.split(|&b| b == b' ').filter(|word| !word.is_empty());
        // user nice system idle iowait irq softirq steal; the time of guests is in that of users.
        let times: Vec<u64> = words.filter_map(number).take(8).collect();
        let all = times.iter().fold(0, |sum: u64, time| sum.saturating_add(*time));
        let idle = times.get(3)?.saturating_add(*times.get(4)?);
        let cpus = lines.filter(|line| line.starts_with(b"cpu")).count() as u64;
        Some((all.saturating_sub(idle), all, cpus))
    }
}

/// The id of the mount of an open file, as the first field in mountinfo has it.
#[must_use]
pub(crate) fn mount_id(file: &OwnedFd) -> Option<u64> {
    let this = ProcRoot::default();
    let text = this.read(Pid::this(), &format!("fdinfo/{}", file.as_raw_fd())).ok()?;
    let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"))?;
    number(line.trim_ascii())
}
