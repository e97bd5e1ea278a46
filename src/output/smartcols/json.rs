//! The JSON of libsmartcols: indented by three blanks, objects joined by `},{`, children nested in their parents.
//!
//! For a cell with several lines, version 2.42 prints only the first line, then blanks and branches of the tree,
//! which is not valid JSON. Here the lines are one string joined by `\n`, as in 2.38.

use std::io::Write;

use super::walk::{DRAWN, Node, Walk};
use super::{Column, Json, Row, escape};
use crate::output::Out;
use crate::text::unprintable;

pub(super) fn print(out: &mut Out, columns: &[&Column], rows: &[Row], walk: &Walk, key: &str) {
    let names: Vec<String> = columns.iter().map(|column| column.name.to_ascii_lowercase()).collect();
    out.push(b"{\n");
    indent(out, 1);
    string(out, key);
    out.push(b": [\n");
    for (i, node) in walk.nodes.iter().enumerate() {
        let previous = i.checked_sub(1).map(|i| &walk.nodes[i]);
        open(out, node, previous);
        fields(out, columns, &names, &rows[node.row], level(node) + 1);
        if node.parent {
            out.push(b",\n");
            indent(out, level(node) + 1);
            out.push(b"\"children\": [");
        }
        out.push(b"\n");
        let next = walk.nodes.get(i + 1).map_or(0, |node| node.depth);
        close(out, node, next);
    }
    out.push(b"\n");
    indent(out, 1);
    out.push(b"]\n}\n");
}

/// A sibling continues in the line that closed the previous one.
fn open(out: &mut Out, node: &Node, previous: Option<&Node>) {
    match previous {
        Some(previous) if previous.depth >= node.depth => out.push(b",{\n"),
        _ => {
            indent(out, level(node));
            out.push(b"{\n");
        }
    }
}

/// Closes the row, and each parent whose last child it is.
fn close(out: &mut Out, node: &Node, next: usize) {
    if node.parent {
        return;
    }
    indent(out, level(node));
    out.push(b"}");
    for depth in (next..node.depth).rev() {
        out.push(b"\n");
        indent(out, 2 * depth + 3);
        out.push(b"]\n");
        indent(out, 2 * depth + 2);
        out.push(b"}");
    }
}

fn level(node: &Node) -> usize {
    2 * node.depth + 2
}

fn indent(out: &mut Out, level: usize) {
    out.blanks(3 * level.min(2 * DRAWN));
}

fn fields(out: &mut Out, columns: &[&Column], names: &[String], row: &Row, level: usize) {
    for (i, column) in columns.iter().enumerate() {
        out.push(if i == 0 { b"" } else { b",\n" });
        indent(out, level);
        string(out, &names[i]);
        out.push(b": ");
        match (row.text(i), column.json) {
            ("", _) => out.push(b"null"),
            (text, Json::Number | Json::Float) => out.push(text.as_bytes()),
            (text, Json::String) => string(out, text),
        }
    }
}

fn string(out: &mut Out, text: &str) {
    out.push(b"\"");
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\' && byte != b'"') {
        out.push(text.as_bytes());
    } else {
        text.chars().for_each(|one| letter(out, one));
    }
    out.push(b"\"");
}

/// Writing to [`Out`] never fails.
fn letter(out: &mut Out, letter: char) {
    match letter {
        '"' => out.push(b"\\\""),
        '\\' => out.push(b"\\\\"),
        '\x08' => out.push(b"\\b"),
        '\t' => out.push(b"\\t"),
        '\n' => out.push(b"\\n"),
        '\x0c' => out.push(b"\\f"),
        '\r' => out.push(b"\\r"),
        _ => match escape::byte(letter) {
            Some(byte) => _ = write!(out, "\\\\x{byte:02x}"),
            None if unprintable(letter) => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    _ = write!(out, "\\u{unit:04x}");
                }
            }
            None => out.push(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        },
    }
}
