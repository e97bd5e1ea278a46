//! `make install DESTDIR=...` as a packager runs it, and the installed files.

use crate::common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::{Scratch, program, project, run, skip, stderr, stdout, there};
use ctrbox::testing::applet::APPLETS;

/// `make TARGET` with the binary under test and the test's own destination.
fn make(target: &str, destination: &Path) {
    let mut command = program("make");
    command.arg("-s").arg("-C").arg(project("")).arg(target);
    command.arg(format!("BIN={}", common::binary().display()));
    command.arg(format!("DESTDIR={}", destination.display())).arg("prefix=/usr");
    // A make that runs the tests passes its own options on.
    let output = run(command.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL"));
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Everything below a directory that is no directory, as paths from there.
fn files(below: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut directories = vec![below.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory").flatten() {
            if entry.file_type().expect("a type").is_dir() {
                directories.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(below).expect("below").to_path_buf());
            }
        }
    }
    found
}

#[test]
fn everything_is_installed_and_uninstalled() {
    if !there("make") {
        return skip("make", "there is no make");
    }
    let scratch = Scratch::new("install");
    make("install", &scratch.0);

    let mut expected = BTreeSet::new();
    let names = APPLETS.iter().map(|applet| (applet.name, applet.section)).chain([("ctrbox", 1)]);
    for (name, section) in names {
        expected.insert(PathBuf::from(format!("usr/bin/{name}")));
        expected.insert(PathBuf::from(format!("usr/share/man/man{section}/{name}.{section}")));
        expected.insert(PathBuf::from(format!("usr/share/bash-completion/completions/{name}")));
        expected.insert(PathBuf::from(format!("usr/share/zsh/site-functions/_{name}")));
        expected.insert(PathBuf::from(format!("usr/share/fish/vendor_completions.d/{name}.fish")));
    }
    assert_eq!(files(&scratch.0), expected);

    for applet in APPLETS {
        let link = scratch.0.join("usr/bin").join(applet.name);
        let target = std::fs::read_link(&link).expect("a link");
        assert_eq!(target, Path::new("ctrbox"), "relative, so that DESTDIR is not in it");
        let output = run(program(&link.display().to_string()).arg("--version"));
        assert_eq!(stdout(&output), format!("{} from ctrbox {}\n", applet.name, env!("CARGO_PKG_VERSION")));
    }

    make("uninstall", &scratch.0);
    assert_eq!(files(&scratch.0), BTreeSet::new());
}
