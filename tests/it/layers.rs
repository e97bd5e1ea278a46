//! Imports go down only, between the directories of src/ and between the files in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The layers from the top down, and the layers that each may use besides those that all may use.
const ROOMS: [(&str, &[&str]); 20] = [
    ("fuzz", &["applets", "container", "hint", "isolation", "launch", "net", "output", "proc", "text"]),
    ("applet", &["applets", "check", "cli", "complete", "exit", "install", "output", "text"]),
    ("check", &["container", "errno", "exit", "hint", "isolation", "net", "output", "proc", "text"]),
    ("complete", &["applets", "cli", "container", "exit", "isolation", "output", "proc", "text"]),
    ("install", &["cli", "errno", "exit", "launch", "text"]),
    (
        "applets",
        &[
            "access",
            "cli",
            "container",
            "errno",
            "exit",
            "isolation",
            "launch",
            "net",
            "output",
            "proc",
            "text",
        ],
    ),
    ("cli", &["exit", "text"]),
    ("launch", &["errno", "exit", "isolation", "proc", "text"]),
    ("container", &["access", "errno", "exit", "isolation", "net", "proc", "text"]),
    ("exit", &["access", "errno", "hint", "isolation", "output", "proc", "text"]),
    ("hint", &["errno", "isolation", "proc", "text"]),
    ("net", &["isolation", "proc"]),
    ("isolation", &["access", "errno", "proc", "text"]),
    ("output", &["errno", "text"]),
    ("access", &["proc"]),
    ("proc", &["text"]),
    ("errno", &["text"]),
    ("text", &[]),
    ("order", &[]),
    ("sys", &[]),
];
/// The exported part of the library, which tests use too.
const FACE: [&str; 2] = ["lib", "main"];
/// All layers may use them.
const FLOOR: [&str; 2] = ["order", "sys"];

type Module = Vec<String>;

/// Every module of the library, and the modules that its code names. Tests do not count.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    find(&src, &mut files);
    let module = |path: &Path| {
        let path = path.strip_prefix(&src).expect("below src").with_extension("");
        let mut parts: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|part| part == "mod") {
            parts.pop();
        }
        parts
    };
    let modules: BTreeSet<Module> = files.iter().map(|path| module(path)).collect();
    let of = |path: &std::path::PathBuf| {
        let from = module(path);
        let text = std::fs::read_to_string(path).expect("readable");
        let named = paths(&code(&text)).into_iter().filter_map(|path| resolve(&modules, &from, &path));
        (from.clone(), named.filter(|to| *to != from).collect())
    };
    files.iter().map(of).collect()
}

/// The tests of a module in a file of their own may use what is above it, as those at the end of a file.
fn find(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

/// Without comments, and without the tests at the end.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// All paths that begin with `crate::` or `super::`, with groups in braces expanded.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for begin in ["crate::", "super::"] {
        for (at, _) in code.match_indices(begin) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':') {
                open(&code[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// The paths in a text that begins with one; how much of the text they take.
fn open(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let depth = prefix.len();
    let mut at = 0;
    loop {
        let word =
            text[at..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(text.len(), |end| at + end);
        prefix.push(text[at..word].to_owned());
        at = word;
        match text[at..].strip_prefix("::") {
            Some(rest) if rest.starts_with('{') => {
                at += 3;
                while !text[at..].starts_with('}') {
                    at += text[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(0);
                    if text[at..].starts_with('}') {
                        break;
                    }
                    at += open(&text[at..], prefix, found);
                    // `as NAME`, a star, and the like.
                    at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
                }
                at += 1;
                break;
            }
            Some(_) => at += 2,
            None => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    at
}

/// The module that a path leads to, from another.
fn resolve(modules: &BTreeSet<Module>, from: &Module, path: &[String]) -> Option<Module> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let mut whole: Module = match ups {
        0 => Vec::new(),
        _ => from[..from.len().checked_sub(ups)?].to_vec(),
    };
    whole.extend(path[ups.max(1)..].iter().cloned());
    (1..=whole.len()).rev().map(|length| whole[..length].to_vec()).find(|module| modules.contains(module))
}

#[test]
fn rooms_use_those_below_them_alone() {
    for (from, used) in imports().into_iter().filter(|(from, _)| !FACE.contains(&from[0].as_str())) {
        let room = ROOMS.iter().find(|(name, _)| *name == from[0]);
        let (_, allowed) = room.unwrap_or_else(|| panic!("{from:?} is no room of the table"));
        for to in used.iter().filter(|to| to[0] != from[0] && !FLOOR.contains(&to[0].as_str())) {
            assert!(allowed.contains(&to[0].as_str()), "{} uses {}", from.join("::"), to.join("::"));
        }
    }
}

#[test]
fn applets_know_nothing_of_each_other() {
    for (from, used) in imports().iter().filter(|(from, _)| from[0] == "applets" && from.len() > 1) {
        for to in used.iter().filter(|to| to[0] == "applets" && to.len() > 1) {
            assert_eq!(from[1], to[1], "{} uses {}", from.join("::"), to.join("::"));
        }
    }
}

/// For this check a module and those in its directory are one.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let imports = imports();
    let related = |one: &Module, other: &Module| one.starts_with(other) || other.starts_with(one);
    let below = |from: &Module| {
        let used = imports.get(from).into_iter().flatten();
        used.filter(|to| !related(from, to)).cloned().collect::<Vec<_>>()
    };
    for start in imports.keys() {
        let (mut seen, mut open) = (BTreeSet::new(), below(start));
        while let Some(module) = open.pop() {
            assert_ne!(module, *start, "{} uses itself through {seen:?}", start.join("::"));
            if seen.insert(module.clone()) {
                open.extend(below(&module));
            }
        }
    }
}

/// Files of /proc that are named outside of src/proc, with the reason.
const NAMED_ELSEWHERE: [(&str, &str); 12] = [
    ("access/mod.rs", "/proc/self/schedstat"), // the helper measures itself
    ("access/mod.rs", "/proc/{child}/stat"),   // the state of the helper, below no other root
    ("access/mod.rs", "/proc/self/ns/pid"),
    ("access/mod.rs", "/proc/self/ns/pid_for_children"),
    ("applets/capsh/start.rs", "/proc/self/exe"), // to execute it again
    ("applets/ctr_top/inspect.rs", "/proc/self/exe"), // to start ctr-inspect
    ("launch/self_exe.rs", "/proc/self/exe"),
    ("launch/self_exe.rs", "/proc/self/fd/{}"), // to open a descriptor anew
    ("container/files/open.rs", "/proc/self/fd/{}"),
    ("isolation/ns.rs", "/proc/self/fd/{}"),
    ("isolation/ns.rs", "/proc/self/ns/net"), // a file of nsfs
    ("isolation/cgroup/limits/parse.rs", "/proc/meminfo"),
];

#[test]
fn src_proc_alone_reads_the_files_of_processes() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    find(&src, &mut files);
    let mut used = BTreeSet::new();
    for path in files.iter().filter(|path| !path.starts_with(src.join("proc"))) {
        let file = path.strip_prefix(&src).expect("below src").to_string_lossy().into_owned();
        let code = code(&std::fs::read_to_string(path).expect("readable"));
        for (at, _) in code.match_indices("\"/proc/") {
            let literal = code[at + 1..].split('"').next().unwrap_or_default();
            let row = NAMED_ELSEWHERE.iter().position(|row| *row == (file.as_str(), literal));
            used.insert(row.unwrap_or_else(|| {
                let known = literal.contains([' ', ',']) || literal.starts_with("/proc/sys/");
                assert!(known, "{file} names {literal}: give it a reader in src/proc");
                usize::MAX
            }));
        }
        for (at, _) in code.match_indices(".read(") {
            let arguments = code[at..].split(')').next().unwrap_or_default();
            assert!(!arguments.contains(", \""), "{file} reads by name: {arguments}");
        }
    }
    assert!(
        (0..NAMED_ELSEWHERE.len()).all(|row| used.contains(&row)),
        "the table has rows that nothing uses"
    );
}

#[test]
fn the_reader_of_imports_finds_all_forms() {
    let text = "use crate::a::{b, c::{self, D as E}, f::*};\n// use crate::no;\nlet x = super::g::h();\n";
    let all: Vec<String> = paths(&code(text)).iter().map(|path| path.join("::")).collect();
    for path in ["crate::a::b", "crate::a::c::self", "crate::a::c::D", "super::g::h"] {
        assert!(all.iter().any(|found| found == path), "{path} of {all:?}");
    }
    assert!(!all.iter().any(|found| found.contains("no")), "{all:?}");
    let imports = imports();
    assert!(imports.len() > 100, "{}", imports.len());
    let act = ["applets", "nsenter", "act"].map(str::to_owned).to_vec();
    assert!(imports[&act].iter().any(|to| *to == ["exit"]));
}
