//! When to use colour, and the styles.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use owo_colors::{AnsiColors, DynColors, OwoColorize, Style, XtermColors};

use crate::sys;

/// The argument of `--color`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum When {
    #[default]
    Auto,
    Always,
    Never,
}

impl When {
    /// Parses the argument of `--color`; without one it means `always`, as in ls(1).
    #[must_use]
    pub(crate) fn parse(word: Option<&OsStr>) -> Option<When> {
        match word.map(OsStr::as_bytes) {
            None | Some(b"always") => Some(When::Always),
            Some(b"auto") => Some(When::Auto),
            Some(b"never") => Some(When::Never),
            Some(_) => None,
        }
    }

    /// The same, with an error message.
    pub(crate) fn of_option(word: Option<&OsStr>) -> anyhow::Result<When> {
        let shown = || crate::text::shown(word.unwrap_or_default()).into_owned();
        When::parse(word)
            .ok_or_else(|| anyhow::anyhow!("unsupported colour mode '{}' (auto, always, never)", shown()))
    }

    /// `Auto` colours a terminal that supports it, unless NO_COLOR is set (no-color.org).
    #[must_use]
    pub(crate) fn on_stdout(self) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            When::Always => true,
            When::Never => false,
            When::Auto => !set("NO_COLOR") && !is_dumb() && std::io::stdout().is_terminal(),
        }
    }
}

/// A terminal that obeys no escape sequences.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Is stdout a terminal whose cursor can be moved?
#[must_use]
pub(crate) fn is_screen() -> bool {
    std::io::stdout().is_terminal() && !is_dumb()
}

/// Applies styles, or leaves the text unchanged.
#[derive(Clone, Copy)]
pub(crate) struct Painter {
    pub colour: bool,
}

impl Painter {
    #[must_use]
    pub(crate) fn heading(self, text: &str) -> Cow<'_, str> {
        self.paint(text, Style::new().bold())
    }

    #[must_use]
    pub(crate) fn faint(self, text: &str) -> Cow<'_, str> {
        self.paint(text, Style::new().dimmed())
    }

    /// For what deserves attention.
    #[must_use]
    pub(crate) fn alarm(self, text: &str) -> Cow<'_, str> {
        self.paint(text, Style::new().red().bold())
    }

    /// Chooses a colour by name, so that a container has the same colour in every run.
    #[must_use]
    pub(crate) fn container<'a>(self, text: &'a str, name: &str) -> Cow<'a, str> {
        if !self.colour {
            return text.into();
        }
        let sum = name.bytes().fold(5381_usize, |sum, byte| sum.wrapping_mul(33) ^ usize::from(byte));
        self.paint(text, Style::new().color(colour(sum, has_256_colours())))
    }

    fn paint(self, text: &str, style: Style) -> Cow<'_, str> {
        if self.colour { text.style(style).to_string().into() } else { text.into() }
    }
}

/// Green, cyan, blue, violet, brown and pink of the palette of 256 colours, which is the same on all terminals: those
/// that can be read on black and on white.
const OF_256: [u8; 6] = [28, 30, 27, 98, 130, 163];
/// Each terminal has its own shades of these. Yellow and white cannot be read on white, blue and black not on black;
/// red is for alarms.
const OF_8: [AnsiColors; 3] = [AnsiColors::Magenta, AnsiColors::Green, AnsiColors::Cyan];

fn colour(number: usize, of_256: bool) -> DynColors {
    match of_256 {
        true => DynColors::Xterm(XtermColors::from(OF_256[number % OF_256.len()])),
        false => DynColors::Ansi(OF_8[number % OF_8.len()]),
    }
}

fn has_256_colours() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    let value = |name| std::env::var(name).unwrap_or_default();
    *HAS.get_or_init(|| value("TERM").contains("256color") || !value("COLORTERM").is_empty())
}

/// The columns of the terminal on stdout; None if stdout is not a terminal. If the terminal has no size, the value of
/// COLUMNS, else 80.
#[must_use]
pub(crate) fn stdout_columns() -> Option<usize> {
    let stdout = std::io::stdout();
    let from_variable = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0);
    stdout.is_terminal().then(|| sys::terminal_width(&stdout).or_else(from_variable).unwrap_or(80))
}

/// The lines of the terminal on stdout, if it has a size.
#[must_use]
pub(crate) fn stdout_lines() -> Option<usize> {
    sys::window_size(std::io::stdout()).map(|size| usize::from(size.ws_row)).filter(|&lines| lines > 0)
}

/// Does the locale use UTF-8, so that lines may be drawn in Unicode? As in setlocale(3), the first variable that is
/// set counts.
#[must_use]
pub(crate) fn unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    set.is_some_and(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.ends_with("utf-8") || locale.ends_with("utf8") || locale.contains("utf-8@")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_modes() {
        assert_eq!(When::parse(None), Some(When::Always));
        assert_eq!(When::parse(Some(OsStr::new("never"))), Some(When::Never));
        assert_eq!(When::parse(Some(OsStr::new("sometimes"))), None);
        assert!(When::Always.on_stdout() && !When::Never.on_stdout());
    }

    #[test]
    fn without_colour_the_text_is_unchanged() {
        let plain = Painter { colour: false };
        assert_eq!(plain.container("docker:web", "web"), "docker:web");
        let painted = Painter { colour: true }.container("docker:web", "web");
        assert!(painted.starts_with("\x1b[") && painted.contains("docker:web"), "{painted:?}");
    }

    /// Of a colour of the palette: how much light it gives, from 0 to 1 (WCAG 2, relative luminance).
    fn luminance(number: u8) -> f64 {
        const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
        let cube = usize::from(number - 16);
        let linear = |level: usize| match f64::from(LEVELS[level]) / 255.0 {
            value if value <= 0.04045 => value / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        };
        0.2126 * linear(cube / 36) + 0.7152 * linear(cube / 6 % 6) + 0.0722 * linear(cube % 6)
    }

    /// WCAG 2 wants a contrast of 4.5 for long texts and of 3 for large ones. No colour has 4.6 on both.
    #[test]
    fn colours_can_be_read_on_black_and_on_white() {
        for number in OF_256 {
            let on_black = (luminance(number) + 0.05) / 0.05;
            let on_white = 1.05 / (luminance(number) + 0.05);
            assert!(on_black >= 4.0 && on_white >= 4.0, "{number}: {on_black:.2} and {on_white:.2}");
        }
        for few in OF_8 {
            let unreadable = [AnsiColors::Black, AnsiColors::Blue, AnsiColors::Yellow, AnsiColors::White];
            assert!(!unreadable.contains(&few) && few != AnsiColors::Red, "{few:?}");
        }
    }

    #[test]
    fn a_name_has_one_colour() {
        assert_eq!(colour(7, true), DynColors::Xterm(XtermColors::from(30)));
        assert_eq!(colour(7, false), DynColors::Ansi(AnsiColors::Green));
    }
}
