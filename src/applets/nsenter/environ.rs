//! Finds variables of another process's environment that choose which programs run.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::launch::exec::Environment;
use crate::sys;

/// Variables of the dynamic loader, of shells and of interpreters. A `*` at the end stands for any rest of the name.
const CODE: [&str; 22] = [
    "LD_*",
    "GCONV_PATH",
    "LOCPATH",
    "GETCONF_DIR",
    "NLSPATH",
    "RES_OPTIONS",
    "HOSTALIASES",
    "MALLOC_TRACE",
    "GLIBC_TUNABLES",
    "BASH_ENV",
    "BASH_FUNC_*",
    "ENV",
    "SHELLOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "PERL5*",
    "PYTHON*",
    "RUBY*",
    "NODE_*",
    "TERMINFO*",
    "LESSOPEN",
];
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const SHELLS: [&str; 6] = ["/bin/sh", "/bin/bash", "/bin/dash", "/bin/zsh", "/usr/bin/bash", "/usr/bin/zsh"];

/// The first variable that makes another program or library run than the caller's own environment does.
/// Usual values of PATH and SHELL are harmless.
pub(super) fn choosing_variable(environment: &Environment, program_named: bool) -> Option<&str> {
    environment.iter().find_map(|entry| {
        let at = entry.as_bytes().iter().position(|&b| b == b'=')?;
        let name = std::str::from_utf8(&entry.as_bytes()[..at]).ok()?;
        let value = OsStr::from_bytes(&entry.as_bytes()[at + 1..]);
        // The target chooses the name, and may see the memory of the program's process.
        let harmless = sys::with_variable(name.as_bytes(), |own| {
            own == Some(value.as_bytes())
                || match name {
                    "PATH" => is_usual_path(value, own.unwrap_or_default()),
                    "SHELL" => program_named || SHELLS.iter().any(|shell| value == *shell),
                    _ => !CODE.iter().any(|pattern| matches_pattern(name, pattern)),
                }
        });
        (!harmless).then_some(name)
    })
}

fn is_usual_path(value: &OsStr, own: &[u8]) -> bool {
    let usual = |directory: &[u8]| {
        DIRECTORIES.iter().any(|usual| directory == usual.as_bytes())
            || own.split(|&b| b == b':').any(|usual| directory == usual)
    };
    value.as_bytes().split(|&b| b == b':').all(usual)
}

fn matches_pattern(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn variables_that_choose_code() {
        let one = |entry: &str, named| {
            choosing_variable(&vec![OsString::from("A=1"), OsString::from(entry)], named).map(str::to_owned)
        };
        for entry in
            ["LD_PRELOAD=x", "LD_AUDIT=", "PATH=/proc/7/root/bin", "PATH=/bin:", "PERL5OPT=x", "ENV=x"]
        {
            assert_eq!(one(entry, true).as_deref(), entry.split('=').next(), "{entry}");
        }
        for entry in ["PATH=/usr/bin:/bin", "SHELL=/bin/sh", "HOME=/x", "LDX=1", "ENVX=1", "=x", "x"] {
            assert_eq!(one(entry, false), None, "{entry}");
        }
        assert_eq!(one("SHELL=/x", false).as_deref(), Some("SHELL"));
        assert_eq!(one("SHELL=/x", true), None);
    }
}
