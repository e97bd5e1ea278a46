//! Helpers for the tests of lsns.

use std::path::Path;
use std::process::{Command, Output};

use super::process::{Holder, limited, printed};
use super::{applet, stderr, stdout, until};

pub fn lsns(arguments: &[&str]) -> Command {
    let mut command = applet("lsns");
    command.args(arguments);
    command
}

/// Status, stdout, stderr.
pub fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), stdout(output), stderr(output))
}

pub fn says(arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&limited(&mut lsns(arguments)))
}

pub fn fine(out: &str) -> (Option<i32>, String, String) {
    (Some(0), out.to_owned(), String::new())
}

pub fn wrong(message: &str) -> (Option<i32>, String, String) {
    (Some(1), String::new(), format!("lsns: {message}\n"))
}

/// `4026531840` of `net:[4026531840]`.
pub fn inode(link: &str) -> String {
    let (_, inode) = link.split_once(":[").unwrap_or_else(|| panic!("{link:?} is no namespace"));
    inode.trim_end_matches(']').to_owned()
}

/// That of a namespace's file.
pub fn inode_of(file: &Path) -> String {
    let meta = std::fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    std::os::unix::fs::MetadataExt::ino(&meta).to_string()
}

/// The cells of all rows, raw.
pub fn rows(arguments: &[&str], columns: &str) -> Vec<Vec<String>> {
    let out = printed(lsns(arguments).args(["-r", "-n", "-o", columns]));
    out.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// The cells of the row of a namespace, joined by blanks; none without such a row. The first column is not NS.
pub fn row(arguments: &[&str], columns: &str, inode: &str) -> Option<String> {
    let all = rows(arguments, &format!("NS,{columns}"));
    let mut own = all.into_iter().filter(|cells| cells[0] == inode);
    let found = own.next()?;
    assert!(own.next().is_none(), "{inode} is there twice");
    Some(found[1..].join(" "))
}

/// A holder whose command is `cat` already: it prints its PID before it executes that.
pub fn settled(holder: Holder) -> Holder {
    await_cat(&holder.pid.to_string());
    holder
}

/// Until a process has become `cat`.
pub fn await_cat(pid: &str) {
    until("the process executes cat", || {
        std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"cat\n")
    });
}
