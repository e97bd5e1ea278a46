//! Runs a program of the host for its output, for a limited time.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::access::watch::is_readable;
use crate::sys;

/// The kernel can make the program wait for a lock.
const LONGEST: Duration = Duration::from_secs(5);
/// The most that is read.
const MOST: usize = 32 << 20;

/// None if the program fails. An error is what to say about it.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<Option<Vec<u8>>, &'static str> {
    output_within(program, arguments, LONGEST)
}

fn output_within(program: &str, arguments: &[&str], time: Duration) -> Result<Option<Vec<u8>>, &'static str> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Ok(None) };
    let begin = Instant::now();
    let left = || time.saturating_sub(begin.elapsed());
    let text = read_all(&mut child, &left);
    if !matches!(&text, Ok(Some(_))) || !ends_within(&child, left()) {
        kill(&mut child);
        return text.and(Err("does not end"));
    }
    let has_succeeded = child.wait().is_ok_and(|status| status.success());
    text.map(|text| text.filter(|_| has_succeeded))
}

/// None if it cannot be read.
fn read_all(child: &mut Child, left: &dyn Fn() -> Duration) -> Result<Option<Vec<u8>>, &'static str> {
    let Some(out) = &mut child.stdout else { return Ok(None) };
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match is_readable(&*out, left()) {
            Ok(true) => {}
            Ok(false) if left().is_zero() => return Err("does not answer"),
            Ok(false) => continue,
            Err(_) => return Ok(None),
        }
        match out.read(&mut buffer) {
            Ok(0) => return Ok(Some(all)),
            Ok(length) if all.len() + length <= MOST => all.extend_from_slice(&buffer[..length]),
            Ok(_) => return Err("prints too much"),
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
            Err(_) => return Ok(None),
        }
    }
}

/// Its output can end before it does.
fn ends_within(child: &Child, time: Duration) -> bool {
    let pidfd = sys::pidfd_open(pid_of(child));
    // Without pidfds the kernel is so old that this is not worth more.
    pidfd.map_or(true, |pidfd| is_readable(&pidfd, time).is_ok_and(|has_ended| has_ended))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// One that waits in the kernel ends later: it is not waited for.
fn kill(child: &mut Child) {
    _ = child.kill();
    if ends_within(child, Duration::from_secs(1)) {
        _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_limited_time_and_output() {
        let run = |script: &str, time| output_within("/bin/sh", &["-c", script], Duration::from_millis(time));
        assert_eq!(run("echo a; exit 0", 60_000), Ok(Some(b"a\n".to_vec())));
        assert_eq!(run("echo a; exit 1", 60_000), Ok(None));
        assert_eq!(run("exec sleep 1000", 100), Err("does not answer"));
        assert_eq!(run("exec >&-; exec sleep 1000", 3_000), Err("does not end"));
        assert_eq!(run("exec yes", 60_000), Err("prints too much"));
        assert_eq!(output("/no/such/program", &[]), Ok(None));
    }
}
