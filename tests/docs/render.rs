//! The manual pages and completions, made from the option tables and the applets' head comments.

use std::path::{Path, PathBuf};

use clap_complete::Shell;
use ctrbox::testing::applet::{self, APPLETS};

/// On the pages, as "date of last change": of the release, so that a rebuild changes nothing.
const RELEASED: &str = "2026-11-22";

struct Page {
    name: &'static str,
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
        section: 1,
        command: applet::command(),
        source: "src/applets/mod.rs".to_owned(),
    }];
    for applet in APPLETS {
        let module = applet.name.replace('-', "_");
        let file = format!("src/applets/{module}.rs");
        let source = if project(&file).exists() { file } else { format!("src/applets/{module}/mod.rs") };
        pages.push(Page { name: applet.name, section: applet.section, command: applet.command(), source });
    }
    pages
}

/// A path in the project, and what the file is to hold.
pub type Rendered = (String, String);

pub fn manual_pages() -> Vec<Rendered> {
    pages().iter().map(|page| (format!("man/{}.{}", page.name, page.section), manual(page))).collect()
}

pub fn completions() -> Vec<Rendered> {
    let mut files = Vec::new();
    for page in pages() {
        let mut command = page.command;
        if page.name == "ctrbox" {
            for applet in APPLETS {
                command = command.subcommand(applet.command().override_usage("")); // the box completes them too
            }
            command = command.disable_help_subcommand(true);
        }
        for (shell, file) in [
            (Shell::Bash, format!("completions/bash/{}", page.name)),
            (Shell::Zsh, format!("completions/zsh/_{}", page.name)),
            (Shell::Fish, format!("completions/fish/{}.fish", page.name)),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), page.name, &mut script);
            let script = String::from_utf8(script).expect("text");
            files.push((file, script.lines().map(|line| format!("{}\n", line.trim_end())).collect()));
        }
    }
    files
}

/// man(7), with the sections in the order of man-pages(7).
fn manual(page: &Page) -> String {
    let about = page.command.get_about().map(ToString::to_string).unwrap_or_default();
    let title = page.name.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    let manual = if page.section == 8 { "System Administration" } else { "User Commands" };
    let mut man = format!(".TH {title} {} {RELEASED} \"ctrbox {version}\" \"{manual}\"\n", page.section);
    man += &format!(".SH NAME\n{} \\- {}\n", escape(page.name), escape(&about));
    man += ".SH SYNOPSIS\n";
    man += &synopsis(page);
    let prose = sections(page);
    man += &format!(".SH DESCRIPTION\n{}", prose[0].1);
    man += &options(&page.command);
    if page.name == "ctrbox" {
        man += ".SH APPLETS\n";
        for applet in APPLETS {
            man += &format!(
                ".TP\n.BR {} ({})\n{}.\n",
                escape(applet.name),
                applet.section,
                capital(applet.about)
            );
        }
    }
    for (heading, text) in &prose[1..] {
        man += &format!(".SH {}\n{text}", heading.to_uppercase());
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
    let mut heading = None;
    for arg in command.get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            text += &format!(".SS {}\n", escape(heading.unwrap_or("Other options")));
        }
        let short = arg.get_short().map(|letter| format!("\\fB\\-{letter}\\fR, ")).unwrap_or_default();
        let takes = arg.get_action().takes_values();
        let value =
            arg.get_value_names().filter(|_| takes).map(|names| names[0].to_string()).unwrap_or_default();
        let value = match (takes, arg.is_require_equals_set()) {
            (false, _) => String::new(),
            (true, true) if arg.get_num_args().is_none_or(|range| range.min_values() > 0) => {
                format!("=\\fI{}\\fR", escape(&value))
            }
            (true, true) => format!("[=\\fI{}\\fR]", escape(&value)),
            (true, false) => format!(" \\fI{}\\fR", escape(&value)),
        };
        let help = capital(&arg.get_help().map(ToString::to_string).unwrap_or_default());
        text += &format!(".TP\n{short}\\fB\\-\\-{}\\fR{value}\n{help}.\n", escape(long));
    }
    text
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
fn sections(page: &Page) -> Vec<(String, String)> {
    let source = std::fs::read_to_string(project(&page.source)).expect("the source");
    let comment = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut sections = vec![(String::new(), String::new())];
    let mut verbatim = false;
    let mut fresh = true; // does a paragraph begin?
    for line in comment.map(|line| line.strip_prefix(' ').unwrap_or(line)) {
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
