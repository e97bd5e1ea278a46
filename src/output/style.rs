//! When to use colour, and the styles.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;

use owo_colors::{AnsiColors, DynColors, OwoColorize, Style};

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

    /// The word for [`Self::parse`].
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            When::Auto => "auto",
            When::Always => "always",
            When::Never => "never",
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
        let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self {
            When::Always => true,
            When::Never => false,
            When::Auto => !set("NO_COLOR") && !dumb() && std::io::stdout().is_terminal(),
        }
    }
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
        const COLOURS: [AnsiColors; 6] = [
            AnsiColors::Cyan,
            AnsiColors::Green,
            AnsiColors::Yellow,
            AnsiColors::Magenta,
            AnsiColors::Blue,
            AnsiColors::BrightRed,
        ];
        if !self.colour {
            return text.into();
        }
        let sum = name.bytes().fold(5381_usize, |sum, byte| sum.wrapping_mul(33) ^ usize::from(byte));
        self.paint(text, Style::new().color(DynColors::Ansi(COLOURS[sum % COLOURS.len()])))
    }

    fn paint(self, text: &str, style: Style) -> Cow<'_, str> {
        if self.colour { text.style(style).to_string().into() } else { text.into() }
    }
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
}
