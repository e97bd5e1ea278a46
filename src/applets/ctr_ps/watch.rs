//! `--watch`: repeats the output, on the whole screen of a terminal, or one after the other into a pipe.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::exit::Exit;
use crate::output::{Out, style};
use crate::sys;
use crate::text;

/// Switch to the alternate screen, hide the cursor, and move it to the top left corner.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[H";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// Parses the interval: seconds, maybe with a fraction, at least 0.1.
pub(super) fn interval(word: Option<&OsStr>) -> Result<Duration> {
    let Some(word) = word else { return Ok(Duration::from_secs(2)) };
    let seconds = word.to_str().and_then(|word| word.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| (0.1..=1e6).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| anyhow!("invalid interval '{}': expected seconds, at least 0.1", text::shown(word)))
}

/// Repeats until a signal or an error ends it.
pub(super) fn watch(
    interval: Duration,
    mut frame: impl FnMut(&mut Out) -> Result<(), Exit>,
) -> Result<(), Exit> {
    let terminal = std::io::stdout().is_terminal();
    if terminal {
        sys::on_end_write(LEAVE)?;
    }
    let mut first = true;
    loop {
        let mut kept = Out::kept();
        let result = frame(&mut kept);
        let mut out = Out::stdout();
        if terminal {
            let problem = result.err().map(|exit| format!("{}\n", exit.message()));
            screen(&mut out, &problem.map_or(kept.into_bytes(), String::into_bytes));
        } else {
            result?;
            out.push(if first { b"" } else { b"\n" });
            out.push(&kept.into_bytes());
        }
        out.finish()?;
        first = false;
        sys::sleep(interval).context("cannot wait")?;
    }
}

/// Prints as many lines as fit on the screen.
fn screen(out: &mut Out, text: &[u8]) {
    let lines = style::stdout_lines().unwrap_or(24).saturating_sub(1);
    out.push(ENTER);
    for line in text.split_inclusive(|&b| b == b'\n').take(lines) {
        out.push(line.strip_suffix(b"\n").unwrap_or(line));
        out.push(b"\x1b[K\r\n"); // erase the rest of the previous line
    }
    out.push(b"\x1b[J");
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
}
