//! `make install` as a packager runs it, the installed files, and `ctrbox --install`.

use crate::common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::common::process::copy_of_binary;
use crate::common::{Scratch, ctrbox, program, project, run, skip, stderr, stdout, there};
use ctrbox::testing::applet::APPLETS;

/// make in the project, with no variable of a make or a user around the tests.
fn make(target: &str, destination: &Path) -> Command {
    let mut command = program("make");
    command.arg("-s").arg("-C").arg(project("")).arg(target);
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PREFIX", "prefix", "DESTDIR", "COMPAT", "BIN"] {
        command.env_remove(name);
    }
    command.arg(format!("BIN={}", common::binary().display()));
    command.arg(format!("DESTDIR={}", destination.display()));
    command
}

/// Of a static binary, which build.sh built: the same source gives the same bytes everywhere.
#[test]
fn the_binary_names_no_directory_of_the_machine_that_built_it() {
    let bytes = std::fs::read(common::binary()).expect("the binary");
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("/ld-linux") {
        return skip("static", "CTRBOX_BIN names no static binary");
    }
    let mut places = vec![project("").display().to_string()];
    places.extend(std::env::var("HOME").ok().map(|home| format!("{home}/.")));
    if there("rustc") {
        places.push(stdout(&run(program("rustc").args(["--print", "sysroot"]))).trim().to_owned());
    }
    for place in places.iter().map(|place| place.trim_end_matches('/')).filter(|place| place.len() > 4) {
        let found = text.find(place).map(|at| text[at..].chars().take(200).collect::<String>());
        assert_eq!(found, None, "{place}");
    }
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
}

/// Everything below a directory that is no directory, as paths from there.
fn files(below: &Path) -> BTreeSet<String> {
    entries(below).into_iter().filter(|(_, is_directory)| !is_directory).map(|(path, _)| path).collect()
}

/// Everything below a directory, and whether it is a directory.
fn entries(below: &Path) -> BTreeSet<(String, bool)> {
    let mut found = BTreeSet::new();
    let mut directories = vec![below.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory").flatten() {
            let is_directory = entry.file_type().expect("a type").is_dir();
            let path = entry.path();
            let name = path.strip_prefix(below).expect("below").to_str().expect("text").to_owned();
            found.insert((name, is_directory));
            if is_directory {
                directories.push(path);
            }
        }
    }
    found
}

/// What a project of another has: the names that are taken with COMPAT=1 alone.
fn of_others(prefix: &str) -> BTreeSet<String> {
    let replaced = APPLETS.iter().filter(|applet| !applet.has_own_name());
    replaced
        .flat_map(|applet| named(prefix, applet.name, &format!("{0}.{1}", applet.name, applet.section)))
        .collect()
}

/// A program in bindir with its page and completions.
fn named(prefix: &str, name: &str, page: &str) -> [String; 5] {
    let section = page.rsplit('.').next().expect("a section");
    let [bash, zsh, fish] = completions(prefix, name);
    [format!("{prefix}/bin/{name}"), format!("{prefix}/share/man/man{section}/{page}"), bash, zsh, fish]
}

fn completions(prefix: &str, name: &str) -> [String; 3] {
    [
        format!("{prefix}/share/bash-completion/completions/{name}"),
        format!("{prefix}/share/zsh/site-functions/_{name}"),
        format!("{prefix}/share/fish/vendor_completions.d/{name}.fish"),
    ]
}

/// What is installed without COMPAT=1.
fn expected(prefix: &str) -> BTreeSet<String> {
    let mut expected = BTreeSet::from(named(prefix, "ctrbox", "ctrbox.1"));
    for applet in APPLETS {
        let page = format!("{}.{}", applet.page(), applet.section);
        if applet.has_own_name() {
            expected.extend(named(prefix, applet.name, &page));
        } else {
            expected.extend(completions(prefix, &applet.page()));
        }
        expected.insert(format!("{prefix}/libexec/ctrbox/bin/{}", applet.name));
        expected.insert(format!("{prefix}/share/man/man{}/{page}", applet.section));
    }
    for page in std::fs::read_dir(project("man")).expect("man").flatten() {
        let name = page.file_name().into_string().expect("text");
        if name.ends_with(".7") {
            expected.insert(format!("{prefix}/share/man/man7/{name}"));
        }
    }
    let texts =
        ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-APACHE", "LICENSE-MIT"].map(str::to_owned);
    let in_docs = files(&project("docs")).into_iter().map(|name| format!("docs/{name}"));
    expected.extend(texts.into_iter().chain(in_docs).map(|name| format!("{prefix}/share/doc/ctrbox/{name}")));
    expected
}

/// Each link in the directory leads to the applet of its name.
fn links_run(directory: &Path, names: impl Iterator<Item = &'static str>) {
    for name in names {
        let link = directory.join(name);
        let target = std::fs::read_link(&link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        assert!(target.is_relative(), "so that DESTDIR is not in it");
        let output = run(program(&link.display().to_string()).arg("--version"));
        assert_eq!(stdout(&output), format!("{name} from ctrbox {}\n", env!("CARGO_PKG_VERSION")));
    }
}

fn no_make() -> bool {
    if !there("make") {
        skip("make", "there is no make");
    }
    !there("make")
}

#[test]
fn a_default_installation_has_no_name_of_another_project() {
    if no_make() {
        return;
    }
    let scratch = Scratch::new("a destination");
    succeeds(make("install", &scratch.0).args(["prefix=/usr", "COMPAT=0"]));
    assert_eq!(files(&scratch.0), expected("usr"));
    assert!(expected("usr").is_disjoint(&of_others("usr")));
    links_run(&scratch.0.join("usr/libexec/ctrbox/bin"), APPLETS.iter().map(|applet| applet.name));
    let own = APPLETS.iter().filter(|applet| applet.has_own_name());
    links_run(&scratch.0.join("usr/bin"), own.map(|applet| applet.name));
}

#[test]
fn the_names_of_others_are_installed_on_request() {
    if no_make() {
        return;
    }
    let scratch = Scratch::new("compat");
    succeeds(make("install", &scratch.0).args(["prefix=/usr", "COMPAT=1"]));
    let all: BTreeSet<String> = expected("usr").union(&of_others("usr")).cloned().collect();
    assert_eq!(files(&scratch.0), all);
    links_run(&scratch.0.join("usr/bin"), APPLETS.iter().map(|applet| applet.name));
    for applet in APPLETS {
        let page = format!("usr/share/man/man{0}/{1}.{0}", applet.section, applet.name);
        assert!(scratch.0.join(&page).exists(), "{page}");
    }
    succeeds(make("uninstall", &scratch.0).args(["prefix=/usr", "COMPAT=1"]));
    assert_eq!(files(&scratch.0), BTreeSet::new());
}

/// The files of others stay, also those that replaced a file of ctrbox since it was installed.
#[test]
fn uninstall_removes_what_install_made_and_nothing_else() {
    if no_make() {
        return;
    }
    let scratch = Scratch::new("uninstall");
    succeeds(make("install", &scratch.0).args(["prefix=/usr", "COMPAT=1"]));
    let kept = ["usr/bin/nsenter", "usr/bin/other", "usr/share/doc/other", "usr/libexec/other"];
    for name in kept {
        let _ = std::fs::remove_file(scratch.0.join(name));
        std::fs::write(scratch.0.join(name), "of another package").expect("a file");
    }
    succeeds(make("uninstall", &scratch.0).args(["prefix=/usr", "COMPAT=1"]));
    assert_eq!(files(&scratch.0), BTreeSet::from(kept.map(str::to_owned)));
    let left: Vec<String> = entries(&scratch.0)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.contains("ctrbox"))
        .collect();
    assert!(left.is_empty(), "no directory of its own: {left:?}");
}

#[test]
fn directories_come_from_the_command_line_and_the_environment() {
    if no_make() {
        return;
    }
    type Where = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static [&'static str]);
    let cases: [Where; 6] = [
        (&[], &[], &["usr/local/bin/ctrbox", "usr/local/libexec/ctrbox/bin/nsenter"]),
        (&["PREFIX=/opt/a"], &[], &["opt/a/bin/ctrbox", "opt/a/share/man/man1/ctrbox.1"]),
        (&[], &[("PREFIX", "/opt/b")], &["opt/b/bin/ctrbox", "opt/b/share/doc/ctrbox/LICENSE-MIT"]),
        (&[], &[("prefix", "/opt/c")], &["opt/c/bin/ctr-ps"]),
        (
            &["BINDIR=/x/sbin", "LIBEXECDIR=/y/lib", "MANDIR=/z/man"],
            &[],
            &["x/sbin/ctrbox", "y/lib/ctrbox/bin/lsns", "z/man/man8/ctrbox-lsns.8"],
        ),
        (
            &["PREFIX=/opt/d"],
            &[("BINDIR", "/e"), ("MANDIR", "/m")],
            &["e/ctrbox", "m/man1/ctrbox.1", "opt/d/libexec/ctrbox/bin/lsns"],
        ),
    ];
    for (args, variables, found) in cases {
        let scratch = Scratch::new("where");
        succeeds(make("install", &scratch.0).args(args).envs(variables.iter().copied()));
        let there = files(&scratch.0);
        for name in found {
            assert!(there.contains(*name), "{args:?} {variables:?}: {name} in {there:?}");
        }
        let links = there.iter().find(|name| name.ends_with("ctrbox/bin/nsenter")).expect("links");
        links_run(scratch.0.join(links).parent().expect("a directory"), ["nsenter"].into_iter());
        succeeds(make("uninstall", &scratch.0).args(args).envs(variables.iter().copied()));
        assert_eq!(files(&scratch.0), BTreeSet::new(), "{args:?} {variables:?}");
    }
    // DESTDIR and INSTALL.
    let scratch = Scratch::new("environment");
    let log = scratch.0.join("log");
    let tool = scratch.0.join("my-install");
    std::fs::write(&tool, format!("#!/bin/sh\necho x >>'{}'\nexec install \"$@\"\n", log.display()))
        .expect("a script");
    let mut command = program("make");
    command.arg("-s").arg("-C").arg(project("")).arg("install");
    command.arg(format!("BIN={}", common::binary().display()));
    command.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL");
    command.env("DESTDIR", scratch.0.join("d")).env("INSTALL", format!("sh {} -p", tool.display()));
    succeeds(&mut command);
    assert!(scratch.0.join("d/usr/local/bin/ctrbox").exists() && log.exists());
}

/// A binary for another machine can be installed: this one is no program at all.
#[test]
fn no_step_of_the_installation_runs_the_binary() {
    if no_make() {
        return;
    }
    let scratch = Scratch::new("foreign");
    let foreign = scratch.0.join("ctrbox");
    std::fs::write(&foreign, "of another machine").expect("a file");
    let destination = scratch.0.join("to");
    let bin = format!("BIN={}", foreign.display());
    succeeds(make("install", &destination).args([bin.as_str(), "prefix=/usr"]));
    assert_eq!(files(&destination), expected("usr"));
    assert_eq!(std::fs::read(destination.join("usr/bin/ctrbox")).expect("a file"), b"of another machine");
}

#[test]
fn ctrbox_makes_the_links() {
    let scratch = Scratch::new("links of ctrbox");
    let own = scratch.0.join("ctrbox");
    copy_of_binary(&own);
    let own = own.to_str().expect("text");
    // Beside the binary, twice.
    for _ in 0..2 {
        let output = run(program(own).arg("--install").arg(&scratch.0));
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    }
    links_run(&scratch.0, APPLETS.iter().map(|applet| applet.name));
    // Elsewhere, and only some.
    let elsewhere = scratch.0.join("new/bin");
    let output = run(program(own).arg("--install").arg(&elsewhere).args(["ctr-ps", "lsns"]));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert_eq!(files(&elsewhere), BTreeSet::from(["ctr-ps", "lsns"].map(str::to_owned)));
    let output = run(program(&elsewhere.join("lsns").display().to_string()).arg("--version"));
    assert_eq!(stdout(&output), format!("lsns from ctrbox {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn ctrbox_replaces_no_file_of_another() {
    let scratch = Scratch::new("taken");
    std::fs::write(scratch.0.join("nsenter"), "of util-linux").expect("a file");
    let output = run(ctrbox().arg("--install").arg(&scratch.0).args(["nsenter", "lsns"]));
    let expected = format!("ctrbox: {}/nsenter: File exists\n", scratch.0.display());
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), expected));
    assert_eq!(std::fs::read(scratch.0.join("nsenter")).expect("a file"), b"of util-linux");
    assert!(scratch.0.join("lsns").exists(), "the others are made");

    let output = run(ctrbox().arg("--install").arg(scratch.0.join("none")).args(["lsns", "lsnss"]));
    let expected = "ctrbox: no applet 'lsnss', did you mean 'lsns'? ('ctrbox --list' lists them)\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), expected));
    assert!(!scratch.0.join("none").exists(), "nothing is made");
    assert_eq!(run(ctrbox().arg("--install")).status.code(), Some(1));
}
