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

#[test]
fn completions() {
    not_stale(&render::completions(), &["completions/bash", "completions/zsh", "completions/fish"]);
}

/// (`file`, `test`, `test`; `file`, `test`): a module of these tests, or a file below src/.
#[test]
fn tests_that_security_md_names_exist() {
    let text = std::fs::read_to_string(project("SECURITY.md")).expect("SECURITY.md");
    let mut count = 0;
    for group in text.split("(`").skip(1).filter_map(|rest| rest.split_once(')')).map(|(group, _)| group) {
        for part in group.split("; ") {
            let mut names = part.split(", ").map(|name| name.trim_matches('`'));
            let file = names.next().expect("a file");
            let path =
                if file.ends_with(".rs") { format!("src/{file}") } else { format!("tests/it/{file}.rs") };
            let source =
                std::fs::read_to_string(project(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            for test in names.filter(|name| *name != "all its tests") {
                assert!(source.contains(&format!("fn {test}(")), "{path} has no {test}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} tests are named");
}
