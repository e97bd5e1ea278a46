//! The manual pages and completions, made from the option tables and the applets' head comments.

use std::path::{Path, PathBuf};

use ctrbox::testing::applet::{self, APPLETS};

/// On the pages, as "date of last change": of the release, so that a rebuild changes nothing.
const RELEASED: &str = "2026-11-22";

struct Page {
    /// Of the program: `nsenter`.
    name: &'static str,
    /// Of the page: `ctrbox-nsenter`.
    title: String,
    section: u8,
    command: clap::Command,
    /// Source file whose head comment is the prose.
    source: String,
}

/// A file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn pages() -> Vec<Page> {
    let mut pages = vec![Page {
        name: "ctrbox",
        title: "ctrbox".to_owned(),
        section: 1,
        command: applet::command(),
        source: "src/applets/mod.rs".to_owned(),
    }];
    for applet in APPLETS {
        let module = applet.name.replace('-', "_");
        let file = format!("src/applets/{module}.rs");
        let source = if project(&file).exists() { file } else { format!("src/applets/{module}/mod.rs") };
        pages.push(Page {
            name: applet.name,
            title: applet.page(),
            section: applet.section,
            command: applet.command(),
            source,
        });
    }
    pages
}

/// A path in the project, and what the file is to hold.
pub type Rendered = (String, String);

pub fn manual_pages() -> Vec<Rendered> {
    let of_programs =
        pages().into_iter().map(|page| (format!("man/{}.{}", page.title, page.section), manual(&page)));
    of_programs.chain([("man/ctrbox-containers.7".to_owned(), of_containers())]).collect()
}

/// The page that is of no program.
fn of_containers() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut man =
        format!(".TH CTRBOX\\-CONTAINERS 7 {RELEASED} \"ctrbox {version}\" \"Miscellaneous Information\"\n");
    man += ".SH NAME\nctrbox\\-containers \\- how ctrbox finds containers, and what it believes\n";
    let text = std::fs::read_to_string(project("tests/docs/ctrbox-containers.7.txt")).expect("the page");
    let prose = sections(text.lines());
    man += &format!(".SH DESCRIPTION\n{}", prose[0].1);
    for (heading, text) in &prose[1..] {
        let text = if heading == "See also" { &see_also("ctrbox-containers", text) } else { text };
        man += &format!(".SH {}\n{text}", heading.to_uppercase());
    }
    of_this_project(man)
}

/// The script of ctrbox has all the code; that of an applet calls it. An applet that replaces a program of another
/// project is called by its own name and by that of its page, `ctrbox-nsenter`.
pub fn completions() -> Vec<Rendered> {
    let names = pages().into_iter().flat_map(|page| {
        let title = Some(page.title).filter(|title| *title != page.name);
        [Some(page.name.to_owned()), title].into_iter().flatten()
    });
    names.flat_map(|name| ["bash", "zsh", "fish"].map(|shell| completion(shell, &name))).collect()
}

fn completion(shell: &str, name: &str) -> Rendered {
    let file = match shell {
        "bash" => name.to_owned(),
        "zsh" => format!("_{name}"),
        _ => format!("{name}.{shell}"),
    };
    let template = if name == "ctrbox" { "ctrbox" } else { "applet" };
    let template = project(&format!("tests/docs/completions/{template}.{shell}"));
    let script = std::fs::read_to_string(template).expect("a template");
    (format!("completions/{shell}/{file}"), script.replace("@NAME@", name))
}

/// man(7), with the sections in the order of man-pages(7).
fn manual(page: &Page) -> String {
    let about = page.command.get_about().map(ToString::to_string).unwrap_or_default();
    let title = page.title.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    let manual = if page.section == 8 { "System Administration" } else { "User Commands" };
    let mut man = format!(".TH {title} {} {RELEASED} \"ctrbox {version}\" \"{manual}\"\n", page.section);
    man += &format!(".SH NAME\n{} \\- {}\n", escape(&page.title), escape(&about));
    man += ".SH SYNOPSIS\n";
    man += &synopsis(page);
    let source = std::fs::read_to_string(project(&page.source)).expect("the source");
    let comment = source.lines().map_while(|line| line.strip_prefix("//!"));
    let prose = sections(comment.map(|line| line.strip_prefix(' ').unwrap_or(line)));
    man += &format!(".SH DESCRIPTION\n{}", prose[0].1);
    man += &options(&page.command);
    if page.name == "ctrbox" {
        man += ".SH APPLETS\n";
        for applet in APPLETS {
            man += &format!(
                ".TP\n.BR {} ({})\n{}.\n",
                escape(&applet.page()),
                applet.section,
                capital(applet.about)
            );
        }
    }
    for (at, (heading, text)) in prose[1..].iter().enumerate() {
        if at == 0 {
            man += &columns(page.name);
            man += &filter(&page.command);
        }
        if heading == "Examples" {
            man += &notes(page.name);
        }
        let text = match heading.as_str() {
            "See also" => &see_also(&page.title, text),
            "Keys" => &format!("{}.PP\n{text}", keys(page.name)),
            _ => text,
        };
        man += &format!(".SH {}\n{text}", heading.to_uppercase());
        if heading == "Findings" {
            man += &findings(page.name);
        }
    }
    of_this_project(man)
}

/// The keys of the screen.
fn keys(applet: &str) -> String {
    let item = |(name, help): (&str, &str)| format!(".TP\n.B {}\n{}.\n", escape(name), capital(help));
    applet::keys(applet).into_iter().map(item).collect()
}

/// What each finding means.
fn findings(applet: &str) -> String {
    let row = |[id, severity, when, why, remedy]: [&str; 5]| {
        let id = escape(id);
        let [severity, why, remedy] = [severity, why, remedy].map(escape);
        let when = capital(when);
        format!(
            ".TP\n.B {id}\n{when}.\nSeverity: {severity}.\nWhy it matters: {why}.\nWhat to do: {remedy}.\n"
        )
    };
    applet::findings(applet).into_iter().map(row).collect()
}

/// The tables of `-H`.
fn columns(applet: &str) -> String {
    let mut man = String::new();
    for (heading, columns) in applet::columns(applet) {
        man += if man.is_empty() { ".SH COLUMNS\n" } else { "" };
        man += &format!(".SS {}\n", escape(heading));
        for (name, help) in columns {
            man += &format!(".TP\n.B {}\n{}.\n", escape(name), capital(help));
        }
    }
    man
}

/// The grammar of `--filter`.
fn filter(command: &clap::Command) -> String {
    if !command.get_arguments().any(|arg| arg.get_long() == Some("filter")) {
        return String::new();
    }
    let text = std::fs::read_to_string(project("tests/docs/filter.txt")).expect("the grammar");
    format!(".SH FILTER\n{}", sections(text.lines())[1].1)
}

/// Where the differences from the original are listed: under `## PROJECT: APPLET and APPLET`.
fn notes(applet: &str) -> String {
    let differences = std::fs::read_to_string(project("docs/DIFFERENCES.md")).expect("the differences");
    let headings = differences.lines().filter_map(|line| line.strip_prefix("## ")?.split_once(": "));
    let original = headings.into_iter().find(|(_, names)| names.split(" and ").any(|name| name == applet));
    let Some((project, names)) = original else { return String::new() };
    let text = format!(
        "{applet} takes the options of the {applet} of {project}. Each deliberate difference is listed, with its reason,\n\
         in the file docs/DIFFERENCES.md, under \"{project}: {names}\". It is installed with the documentation, below\n\
         /usr/share/doc/ctrbox or /usr/local/share/doc/ctrbox.\n"
    );
    format!(".SH NOTES\n{}", escape(&text))
}

/// The pages, by section and name, with those that all applets have in common.
fn see_also(own: &str, text: &str) -> String {
    let text = of_this_project(format!(" {}", text.replace('\n', " ")));
    let common = ["ctrbox(1)", "ctrbox\\-containers(7)"];
    let named = text.split(',').map(str::trim).chain(common);
    let mut pages: Vec<(&str, &str)> = named
        .filter_map(|page| page.split_once('('))
        .map(|(name, section)| (section, name))
        .filter(|(_, name)| *name != escape(own))
        .collect();
    pages.sort_unstable();
    pages.dedup();
    let pages: Vec<String> = pages.iter().map(|(section, name)| format!(".BR {name} ({section}")).collect();
    pages.join(",\n") + "\n"
}

/// References to pages of the applets, by the names that these pages have: `nsenter(1)` is the page of util-linux.
fn of_this_project(mut man: String) -> String {
    for applet in APPLETS.iter().filter(|applet| !applet.has_own_name()) {
        let reference = format!("{}({})", applet.name, applet.section);
        for before in [" ", "\n", "("] {
            let old = format!("{before}{reference}");
            man = man.replace(&old, &format!("{before}{}({})", escape(&applet.page()), applet.section));
        }
    }
    man
}

fn synopsis(page: &Page) -> String {
    let usage = page.command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:");
    let lines: Vec<String> = usage
        .lines()
        .map(|line| {
            let (name, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            format!(".B {}\n{}\n", escape(name), escape(rest))
        })
        .collect();
    lines.join(".br\n")
}

fn options(command: &clap::Command) -> String {
    let mut text = ".SH OPTIONS\n".to_owned();
    let heading = |arg: &clap::Arg| arg.get_help_heading().unwrap_or("Other options").to_owned();
    // As clap prints them: a heading may have options from several places of the table.
    let mut headings: Vec<String> = Vec::new();
    for arg in command.get_arguments() {
        if !headings.contains(&heading(arg)) {
            headings.push(heading(arg));
        }
    }
    for name in &headings {
        text += &format!(".SS {}\n", escape(name));
        for arg in command.get_arguments().filter(|arg| heading(arg) == *name) {
            text += &option(arg).unwrap_or_default();
            text += &story(command.get_name(), arg);
        }
    }
    text
}

/// What tests/docs/options.txt says of the option.
fn story(applet: &str, arg: &clap::Arg) -> String {
    let stories = std::fs::read_to_string(project("tests/docs/options.txt")).expect("the options");
    let mut lines = stories.lines().skip_while(|line| line.strip_prefix("# ") != Some(applet)).skip(1);
    let begin = format!("--{}: ", arg.get_long().unwrap_or_default());
    let line =
        lines.by_ref().take_while(|line| !line.starts_with("# ")).find_map(|line| line.strip_prefix(&begin));
    line.map(|text| format!("{}\n", guard(&inline(text)))).unwrap_or_default()
}

fn option(arg: &clap::Arg) -> Option<String> {
    let long = arg.get_long()?;
    let short = arg.get_short().map(|letter| format!("\\fB\\-{letter}\\fR, ")).unwrap_or_default();
    let takes = arg.get_action().takes_values();
    let value = arg.get_value_names().filter(|_| takes).map(|names| names[0].to_string()).unwrap_or_default();
    let value = match (takes, arg.is_require_equals_set()) {
        (false, _) => String::new(),
        (true, true) if arg.get_num_args().is_none_or(|range| range.min_values() > 0) => {
            format!("=\\fI{}\\fR", escape(&value))
        }
        (true, true) => format!("[=\\fI{}\\fR]", escape(&value)),
        (true, false) => format!(" \\fI{}\\fR", escape(&value)),
    };
    let help = capital(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    Some(format!(".TP\n{short}\\fB\\-\\-{}\\fR{value}\n{help}.\n", escape(long)))
}

fn capital(text: &str) -> String {
    escape(&upper_first(text))
}

fn upper_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

/// The head comment: (heading, text as man(7)) each; the text before the first heading is the first. An item
/// `- NAME: text` becomes a tagged paragraph.
fn sections<'a>(prose: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let mut sections = vec![(String::new(), String::new())];
    let mut verbatim = false;
    let mut fresh = true; // does a paragraph begin?
    for line in prose {
        let text = &mut sections.last_mut().expect("a section").1;
        if line.starts_with("```") {
            verbatim = !verbatim;
            *text += if verbatim { ".PP\n.RS 4\n.nf\n" } else { ".fi\n.RE\n" };
            fresh = true;
        } else if verbatim {
            *text += &format!("{}\n", escape(line));
        } else if let Some(heading) = line.strip_prefix("# ") {
            sections.push((heading.to_owned(), String::new()));
            fresh = true;
        } else if line.is_empty() {
            fresh = true;
        } else if let Some((name, words)) = line.strip_prefix("- ").and_then(|item| item.split_once(": ")) {
            *text += &format!(".TP\n{}\n{}\n", inline(name), inline(&upper_first(words)));
        } else if let Some(words) = line.strip_prefix("  ") {
            *text += &format!("{}\n", inline(words));
        } else {
            if fresh && !text.is_empty() {
                *text += ".PP\n";
            }
            fresh = false;
            *text += &format!("{}\n", inline(line));
        }
    }
    sections
}

/// `code` in bold.
fn inline(line: &str) -> String {
    let parts: Vec<String> = line
        .split('`')
        .enumerate()
        .map(|(i, part)| if i % 2 == 1 { format!("\\fB{}\\fR", escape(part)) } else { escape(part) })
        .collect();
    guard(&parts.concat())
}

/// A dot or quote that begins a line would be a request.
fn guard(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

fn escape(text: &str) -> String {
    guard(&text.replace('\\', "\\e").replace('-', "\\-"))
}
