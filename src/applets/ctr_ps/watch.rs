//! `--watch`: repeats the output, on the whole screen of a terminal, or one after the other into a pipe.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::exit::Exit;
use crate::output::keys::Keys;
use crate::output::screen::{LEAVE, Screen, write};
use crate::output::{Out, style};
use crate::proc::clock;
use crate::sys;
use crate::text;

/// Parses the interval: seconds, maybe with a fraction, at least 0.1.
pub(super) fn interval(word: Option<&OsStr>) -> Result<Duration> {
    let Some(word) = word else { return Ok(Duration::from_secs(2)) };
    let seconds = word.to_str().and_then(|word| word.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| (0.1..=1e6).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| anyhow!("invalid interval '{}': expected seconds, at least 0.1", text::shown(word)))
}

/// Repeats until a key, a signal or an error ends it.
pub(super) fn watch(
    command: &str,
    interval: Duration,
    mut frame: impl FnMut(&mut Out) -> Result<(), Exit>,
) -> Result<(), Exit> {
    if std::io::stdout().is_terminal() {
        return on_screen(command, interval, frame);
    }
    let mut first = true;
    loop {
        let mut kept = Out::kept();
        frame(&mut kept)?;
        let mut out = Out::stdout();
        out.push(if first { b"" } else { b"\n" });
        out.push(&kept.into_bytes());
        out.finish()?;
        first = false;
        sys::sleep(interval).context("cannot wait")?;
    }
}

fn on_screen(
    command: &str,
    interval: Duration,
    mut frame: impl FnMut(&mut Out) -> Result<(), Exit>,
) -> Result<(), Exit> {
    sys::on_end_write(LEAVE)?;
    let mut keys = Keys::new();
    let mut screen = Screen::default();
    let size = || (style::stdout_lines(), style::stdout_columns());
    loop {
        let mut kept = Out::kept();
        let problem = frame(&mut kept).err().map(|exit| format!("{}\n", exit.message()));
        let text = problem.map_or(kept.into_bytes(), String::into_bytes);
        keys.take().context("cannot wait")?;
        let now = (size(), sys::stops());
        let head = head(command, interval, now.0.1.unwrap_or(80));
        let mut lines: Vec<Vec<u8>> = vec![head.into_bytes(), Vec::new()];
        lines.extend(text.split(|&b| b == b'\n').map(<[u8]>::to_vec));
        if text.ends_with(b"\n") {
            lines.pop();
        }
        lines.truncate(now.0.0.unwrap_or(24));
        write(&screen.update(lines, now))?;
        let changed = || (size(), sys::stops()) != now;
        // The space bar shows the next frame.
        let meaning = |keys: &[u8]| match () {
            () if keys.iter().any(|key| matches!(key, b'q' | b'Q')) => Some(true),
            () => keys.iter().any(|key| matches!(key, b' ' | b'\n')).then_some(false),
        };
        if keys.wait(interval, changed, meaning).context("cannot wait")? == Some(true) {
            return Ok(write(LEAVE)?);
        }
    }
}

/// `Every 2s: ctr-ps -l`, and the time at the right.
fn head(command: &str, interval: Duration, columns: usize) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let time = now.ok().and_then(|now| clock::local(i64::try_from(now.as_secs()).ok()?)).unwrap_or_default();
    let left = format!("Every {}s: {command}", interval.as_secs_f64());
    let room = columns.saturating_sub(time.len() + 1);
    let left = text::cut(&left, room);
    let blanks = columns.saturating_sub(text::width(left) + time.len());
    format!("{left}{}{time}", " ".repeat(blanks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let parsed = |word: &str| interval(Some(OsStr::new(word))).ok();
        assert_eq!(interval(None).ok(), Some(Duration::from_secs(2)));
        assert_eq!(parsed("0.5"), Some(Duration::from_millis(500)));
        for word in ["", "0", "-1", "x", "inf", "NaN", "1e9"] {
            assert_eq!(parsed(word), None, "{word}");
        }
    }

    #[test]
    fn the_head_fits() {
        let line = head("ctr-ps -l --watch", Duration::from_millis(500), 60);
        assert!(line.starts_with("Every 0.5s: ctr-ps -l --watch ") && line.len() == 60, "{line}");
        assert!(head("ctr-ps", Duration::from_secs(2), 10).len() < 30);
    }
}
