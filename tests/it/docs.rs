//! The manual pages and completions in the tree are those that `make docs` writes, and the tests that SECURITY.md
//! names exist.

use std::collections::BTreeSet;

use crate::common::{difference, project};
use ctrbox::testing::applet::APPLETS;

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

/// Each line of tests/docs/options.txt is of an option that its applet has.
fn options_without_a_row() -> Vec<String> {
    let stories = std::fs::read_to_string(project("tests/docs/options.txt")).expect("the options");
    let mut applet = None;
    let mut wrong = Vec::new();
    for line in stories.lines().skip(1).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("# ") {
            applet = APPLETS.iter().find(|applet| applet.name == name).map(|applet| applet.command());
            continue;
        }
        let option = line.strip_prefix("--").and_then(|line| line.split_once(": ")).map(|(name, _)| name);
        let is_known = |name: &str| {
            applet.iter().flat_map(clap::Command::get_arguments).any(|arg| arg.get_long() == Some(name))
        };
        if !option.is_some_and(is_known) {
            wrong.push(line.to_owned());
        }
    }
    wrong
}

/// OPTIONS has more than the lines of `--help`.
#[test]
fn manual_pages_tell_more_of_options_than_help() {
    assert_eq!(options_without_a_row(), Vec::<String>::new());
    let page = std::fs::read_to_string(project("man/ctrbox-unshare.1")).expect("a page");

    assert!(page.contains("exits as it does"), "the story of --fork");
}

/// The text of all files below a directory.
fn sources(directory: &std::path::Path) -> String {
    let entries =
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false => std::fs::read_to_string(&path).expect("a source"),
    };
    entries.map(text).collect()
}

/// std::env::var_os("NAME"), std::env::var("NAME") and the lists of names in src/output/style.rs.
fn variables_of_the_source() -> BTreeSet<String> {
    let text = sources(&project("src"));
    let read = text.split("env::var").skip(1).filter_map(|rest| rest.split_once("(\"")?.1.split_once('"'));
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    read.map(|(name, _)| name.to_owned()).filter(|name| is_name(name)).collect()
}

#[test]
fn manual_pages_name_the_variables_and_files() {
    let pages = render::manual_pages();
    let section = |text: &str, heading: &str| {
        let (_, rest) = text.split_once(&format!(".SH {heading}\n")).expect(heading);
        rest.split("\n.SH ").next().unwrap_or_default().to_owned()
    };
    let pages: Vec<_> = pages.into_iter().filter(|(path, _)| !path.ends_with(".7")).collect();
    let sections: String = pages.iter().map(|(_, text)| section(text, "ENVIRONMENT")).collect();
    for (path, text) in &pages {
        assert!(section(text, "FILES").contains(".TP\n"), "{path}");
    }
    let mut variables = variables_of_the_source();
    assert!(variables.contains("CTRBOX_HINTS") && variables.contains("COLUMNS"), "{variables:?}");
    variables.extend(["NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "SHELL"].map(str::to_owned));
    for name in variables {
        assert!(sections.contains(&name), "no page names {name}");
    }
}

/// ctrbox(1) has all variables of ctrbox itself, and no page has another one.
#[test]
fn one_page_has_all_variables_of_ctrbox() {
    // The code names a variable by a text in quotes.
    let source = sources(&project("src"));
    let quoted = source.split("\"CTRBOX_").skip(1).filter_map(|rest| rest.split_once('"'));
    let read: BTreeSet<String> = quoted.map(|(name, _)| format!("CTRBOX_{name}")).collect();
    assert!(!read.is_empty());
    let in_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let named = |text: &str| -> BTreeSet<String> {
        let rests = text.split("CTRBOX_").skip(1);
        rests
            .map(|rest| format!("CTRBOX_{}", rest.split(|c| !in_name(c)).next().unwrap_or_default()))
            .collect()
    };
    for (path, text) in render::manual_pages() {
        let names = named(&text);
        assert!(names.is_subset(&read), "{path}: {names:?}, but the program reads {read:?}");
        if path == "man/ctrbox.1" {
            let (_, section) = text.split_once(".SH ENVIRONMENT\n").expect("the section");
            assert_eq!(named(section.split("\n.SH ").next().unwrap_or_default()), read);
        }
    }
}

#[test]
fn manual_pages_refer_to_common_ones_and_to_the_differences() {
    for (path, text) in render::manual_pages() {
        let (_, see_also) = text.split_once(".SH SEE ALSO\n").expect("the section");
        for page in ["ctrbox (1)", "ctrbox\\-containers (7)"] {
            let is_own =
                path == format!("man/{}", page.replace('\\', "").replace(" (", ".").replace(')', ""));
            assert!(is_own || see_also.contains(page), "{path} does not refer to {page}");
        }
        // Those that replace another tool have a name of their own in front.
        let replaces = path.contains("ctrbox-") && !path.ends_with(".7");
        assert_eq!(text.contains("docs/DIFFERENCES.md"), replaces, "{path}");
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

/// docs/PACKAGING.md, Placeholders: whoever publishes replaces two texts, in these files only.
#[test]
fn recipes_have_the_version_and_the_placeholders() {
    let version = env!("CARGO_PKG_VERSION");
    for path in RECIPES {
        let text = std::fs::read_to_string(project(path)).expect(path);
        let has_version = text.contains(version) || ["Cargo.toml", "contrib/debian/control"].contains(path);
        assert!(has_version, "{path} has not the version {version}");
        for (what, placeholder) in [("@", "maintainers@ctrbox.invalid"), ("://", "https://ctrbox.invalid/")] {
            let lines = text.lines().filter(|line| is_of_publisher(line) && line.contains(what));
            for line in lines {
                assert!(line.contains(placeholder), "{path}: {line}");
            }
        }
        assert!(text.contains("ctrbox.invalid"), "{path} has no placeholder");
    }
    let guide = std::fs::read_to_string(project("docs/PACKAGING.md")).expect("the guide");
    for word in RECIPES.iter().chain(&["maintainers@ctrbox.invalid", "https://ctrbox.invalid/"]) {
        assert!(guide.contains(&format!("`{word}`")), "{word}");
    }
}

const RECIPES: &[&str] = &[
    "Cargo.toml",
    "contrib/alpine/APKBUILD",
    "contrib/arch/PKGBUILD",
    "contrib/debian/changelog",
    "contrib/debian/control",
    "contrib/fedora/ctrbox.spec",
    "contrib/nix/default.nix",
];

/// A line that names a maintainer or the home of the project.
fn is_of_publisher(line: &str) -> bool {
    let line = line.to_lowercase();
    ["maintainer", "url", "homepage"].iter().any(|word| line.contains(word))
}
