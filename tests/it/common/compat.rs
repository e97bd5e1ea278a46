//! Helpers for the comparisons with the system's programs: rows of command lines, a directory with both programs,
//! and the loop over the rows.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{copy_of_binary, limited};
use super::{Scratch, program, root, skip, stderr, stdout};

pub enum Expect {
    Same,
    /// ctrbox differs on purpose, with the reason.
    Differs(&'static str),
}

pub use Expect::{Differs, Same};

/// A command line for a shell, and what is expected of it.
pub type Row = (&'static str, Expect);

/// The program as the system has it.
pub fn system(name: &str) -> String {
    let in_sbin = format!("/usr/sbin/{name}");
    if Path::new(&in_sbin).exists() { in_sbin } else { format!("/usr/bin/{name}") }
}

fn version(name: &str) -> Option<(u32, u32)> {
    let output = Command::new(system(name)).arg("--version").output().ok()?;
    let text = stdout(&output);
    let number = text.split_whitespace().last()?;
    let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??))
}

/// Is the system's program there, of util-linux 2 and one of these minor versions? If not, that is said.
pub fn comparable(test: &str, name: &str, minors: RangeInclusive<u32>) -> bool {
    let system = system(name);
    if !Path::new(&system).exists() {
        skip(test, &format!("there is no {system}"));
        return false;
    }
    match version(name) {
        Some((2, minor)) if minors.contains(&minor) => true,
        other => {
            let wanted = match (minors.start(), minors.end()) {
                (first, last) if first == last => format!("2.{first}"),
                (first, last) => format!("2.{first} to 2.{last}"),
            };
            skip(test, &format!("{system} is {other:?}, not util-linux {wanted}"));
            false
        }
    }
}

/// Is the system's program there, and are we who may make what is compared?
pub fn libcap_comparable(name: &str) -> bool {
    let system = system(name);
    if !Path::new(&system).exists() {
        skip("libcap", &format!("there is no {system}"));
        return false;
    }
    if !root() {
        skip("root", "the states to compare are root's to make");
    }
    root()
}

/// A directory. Its `actual` has the program of ctrbox, `original` that of the system, and `d` the files for the rows.
pub struct Bench(pub Scratch);

impl Bench {
    /// `files` is a shell script that fills `d`.
    pub fn new(test: &str, name: &str, files: &str) -> Bench {
        let bench = Bench(Scratch::new(test));
        for directory in ["actual", "original", "d", "bin"] {
            std::fs::create_dir(bench.at(directory)).expect("a directory");
        }
        // A copy, so that ordinary users reach it.
        copy_of_binary(&bench.at("bin/ctrbox"));
        let link = |to: &str, whose: &str| {
            std::os::unix::fs::symlink(to, bench.at(whose).join(name)).expect("a link");
        };
        link("../bin/ctrbox", "actual");
        link(&system(name), "original");
        let made = limited(program("sh").args(["-c", files]).current_dir(bench.at("d")));
        assert!(made.status.success(), "{}", stderr(&made));
        bench
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }

    /// A shell that runs the line, in whose PATH the program is `actual` or `original`.
    pub fn shell(&self, line: &str, whose: &str) -> Command {
        let bin = self.at(whose);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
        let mut command = program("sh");
        command.args(["-c", line]).env("PATH", path).env("bin", &bin).env("d", self.at("d"));
        command.env_remove("ENV").current_dir(&self.0.0);
        command
    }

    /// Status, stdout and stderr in one text, without the directory that the program is in.
    pub fn said(&self, command: &mut Command, whose: &str) -> String {
        let output = limited(command);
        let bin = self.at(whose).display().to_string();
        let text = format!("{}{}status: {:?}\n", stdout(&output), stderr(&output), output.status.code());
        text.replace(&bin, "BIN")
    }
}

/// How often lsns of the system gets another try: it ends with status 1 and no message when a process ends that it
/// looks at. ctrbox gets none. Where processes come and go all the time, few tries succeed.
const TRIES_OF_LSNS: usize = 300;

/// The problem of a row. `said(line, directory)` runs the line with the program of that directory, and is its output.
fn wrong((line, expect): &Row, said: impl Fn(&str, &str) -> String) -> Option<String> {
    let (mut original, actual) = (said(line, "original"), said(line, "actual"));
    match expect {
        Same => {
            let tries = if line.contains("lsns") { TRIES_OF_LSNS } else { 1 };
            for _ in 1..tries {
                if original == actual {
                    break;
                }
                original = said(line, "original");
            }
            (original != actual).then(|| format!("$ {line}\n--- original\n{original}--- actual\n{actual}"))
        }
        Differs(why) => (original == actual)
            .then(|| format!("$ {line}\nno longer differs, the mark is stale: {why}\n{actual}")),
    }
}

/// Every row is as expected.
pub fn all_alike(rows: &[Row], said: impl Fn(&str, &str) -> String) {
    let wrong: Vec<String> = rows.iter().filter_map(|row| wrong(row, &said)).collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// No row is there twice, and there are at least so many rows.
pub fn rows_are_distinct(rows: &[Row], least: usize) {
    let mut lines: Vec<&str> = rows.iter().map(|(line, _)| *line).collect();
    lines.sort_unstable();
    assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "a row stands twice");
    assert!(rows.len() >= least, "{} rows", rows.len());
}
