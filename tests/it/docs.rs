//! The manual pages and completions in the tree are those that `make docs` writes, and the tests that SECURITY.md
//! names exist.

use std::collections::BTreeSet;

use crate::common::{difference, project};

#[path = "../docs/render.rs"]
mod render;

fn not_stale(files: &[render::Rendered], directories: &[&str]) {
    for (path, rendered) in files {
        let found = std::fs::read_to_string(project(path)).unwrap_or_default();
        let difference = difference(&found, rendered);
        assert!(
            difference.is_none(),
            "{path} is stale, `make docs` writes it anew\n{}",
            difference.unwrap_or_default()
        );
    }
    let known: BTreeSet<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    for directory in directories {
        for entry in std::fs::read_dir(project(directory)).expect("a directory") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name");
            let path = format!("{directory}/{name}");
            assert!(known.contains(path.as_str()), "{path} is of no applet");
        }
    }
}

#[test]
fn manual_pages() {
    not_stale(&render::manual_pages(), &["man"]);
}

/// std::env::var_os("NAME"), std::env::var("NAME") and the lists of names in src/output/style.rs.
fn variables_of_the_source(directory: &std::path::Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            variables_of_the_source(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source");
        let read =
            text.split("env::var").skip(1).filter_map(|rest| rest.split_once("(\"")?.1.split_once('"'));
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        found.extend(read.map(|(name, _)| name.to_owned()).filter(|name| is_name(name)));
    }
}

#[test]
fn manual_pages_name_the_variables_and_files() {
    let pages = render::manual_pages();
    let section = |text: &str, heading: &str| {
        let (_, rest) = text.split_once(&format!(".SH {heading}\n")).expect(heading);
        rest.split("\n.SH ").next().unwrap_or_default().to_owned()
    };
    let sections: String = pages.iter().map(|(_, text)| section(text, "ENVIRONMENT")).collect();
    for (path, text) in &pages {
        assert!(section(text, "FILES").contains(".TP\n"), "{path}");
    }
    let mut variables = BTreeSet::new();
    variables_of_the_source(&project("src"), &mut variables);
    assert!(variables.contains("CTRBOX_HINTS") && variables.contains("COLUMNS"), "{variables:?}");
    variables.extend(["NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "SHELL"].map(str::to_owned));
    for name in variables {
        assert!(sections.contains(&name), "no page names {name}");
    }
}

#[test]
fn completions() {
    not_stale(&render::completions(), &["completions/bash", "completions/zsh", "completions/fish"]);
}

/// (`file`, `test`, `test`; `file`, `test`): a module of these tests, or a file below src/ or src/applets/.
#[test]
fn tests_that_security_md_names_exist() {
    let text = std::fs::read_to_string(project("SECURITY.md")).expect("SECURITY.md");
    let mut count = 0;
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let groups = row.split("(`").skip(1).filter_map(|rest| rest.split_once(')'));
        for part in groups.flat_map(|(group, _)| group.split("; ")) {
            let mut names = part.split(", ").map(|name| name.trim_matches('`'));
            let file = names.next().expect("a file");
            let places =
                ["tests/it/{}.rs", "src/{}", "src/applets/{}"].map(|place| place.replace("{}", file));
            let source = places.iter().find_map(|place| std::fs::read_to_string(project(place)).ok());
            let source = source.unwrap_or_else(|| panic!("there is no file {file}"));
            for test in names.filter(|name| *name != "all its tests") {
                assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} tests are named");
}
