//! For people: columns as wide as their content, separated by one blank, without trailing blanks.

use unicode_width::UnicodeWidthChar;

use super::walk::{self, Branches, Walk};
use super::{Align, Column, Layout, Row, escape};
use crate::output::Out;
use crate::text;

pub(super) fn print(out: &mut Out, columns: &[&Column], rows: &[Row], walk: &Walk, layout: &Layout) {
    let mut widths = widths(columns, rows, walk, layout);
    fit(&mut widths, columns, layout);
    let table = Table { columns, layout, widths };
    if layout.headings {
        table.headings(out);
    }
    let mut branches = walk.branches(layout.unicode);
    for node in &walk.nodes {
        branches.enter(node);
        table.row(out, &rows[node.row], &mut branches);
    }
}

/// The width of the widest cell, including the heading.
fn widths(columns: &[&Column], rows: &[Row], walk: &Walk, layout: &Layout) -> Vec<usize> {
    let heading = |column: &&Column| if layout.headings { width(column.name) } else { 0 };
    let mut widths: Vec<usize> = columns.iter().map(heading).collect();
    for node in &walk.nodes {
        for (i, column) in columns.iter().enumerate() {
            let text = rows[node.row].text(i);
            let head = if layout.tree == Some(i) { walk::width(node.depth) } else { 0 };
            for line in lines(column, text) {
                widths[i] = widths[i].max(head + width(&escape::human(line, layout.unicode)));
            }
        }
    }
    widths
}

/// First, columns take the width of their hint, if they are narrower. Then this extra width is removed as far as the
/// terminal requires it (all of it if there is no terminal), but only from columns whose cells are not wider than
/// their headings, as in libsmartcols. Then columns are cut. What still does not fit continues in the next line of
/// the terminal.
fn fit(widths: &mut [usize], columns: &[&Column], layout: &Layout) {
    let heading = |i: usize| if layout.headings { width(columns[i].name) } else { 1 };
    let mut rooms = vec![0; widths.len()];
    for (i, hint) in columns.iter().map(|column| column.hint).enumerate() {
        if widths[i] <= heading(i) {
            rooms[i] = hint.saturating_sub(widths[i]);
        }
        widths[i] = widths[i].max(hint);
    }
    let whole = widths.iter().sum::<usize>() + widths.len().saturating_sub(1);
    let mut excess = layout.width.map_or(usize::MAX, |terminal| whole.saturating_sub(terminal));
    while excess > 0 {
        // the first of the columns with the most extra width
        let Some((i, room)) = rooms.iter_mut().enumerate().rev().max_by_key(|(_, room)| **room) else {
            break;
        };
        if *room == 0 {
            break;
        }
        *room -= 1;
        widths[i] -= 1;
        excess -= 1;
    }
    if layout.width.is_none() || !layout.truncate {
        return;
    }
    for i in (0..widths.len()).rev().filter(|&i| columns[i].truncate) {
        let cut = widths[i].saturating_sub(heading(i)).min(excess);
        widths[i] -= cut;
        excess -= cut;
    }
}

struct Table<'a> {
    columns: &'a [&'a Column],
    layout: &'a Layout,
    widths: Vec<usize>,
}

impl Table<'_> {
    fn headings(&self, out: &mut Out) {
        for (i, column) in self.columns.iter().enumerate() {
            let painted = self.layout.painter.heading(column.name);
            self.cell(out, i, "", &painted, width(column.name));
        }
        out.push(b"\n");
    }

    fn row(&self, out: &mut Out, row: &Row, branches: &mut Branches) {
        let cells = self.columns.iter().enumerate().map(|(i, column)| lines(column, row.text(i)).peekable());
        let mut cells: Vec<_> = cells.collect();
        let mut line = 0;
        let mut more = true;
        while more {
            more = false;
            for (i, cell) in cells.iter_mut().enumerate() {
                let head = match self.layout.tree == Some(i) {
                    true if line == 0 => text::cut(branches.head(), self.widths[i]),
                    true => branches.head(), // never cut, as in libsmartcols
                    false => "",
                };
                let text = cell.next().unwrap_or("");
                more |= cell.peek().is_some();
                self.text(out, i, head, text);
            }
            out.push(b"\n");
            if more && line == 0 {
                branches.turn_to_tail();
            }
            line += 1;
        }
    }

    fn text(&self, out: &mut Out, i: usize, head: &str, text: &str) {
        let shown = escape::human(text, self.layout.unicode);
        let head_width = width(head);
        let shown = text::cut(&shown, self.widths[i].saturating_sub(head_width));
        let used = head_width + width(shown);
        if self.layout.painter.colour && !shown.is_empty() {
            let painted = (self.layout.paint)(self.layout.painter, self.columns[i].name, shown);
            self.cell(out, i, head, &painted, used);
        } else {
            self.cell(out, i, head, shown, used);
        }
    }

    /// `used`: the width of both texts.
    fn cell(&self, out: &mut Out, i: usize, head: &str, text: &str, used: usize) {
        let pad = self.widths[i].saturating_sub(used);
        let last = i + 1 == self.columns.len();
        let right = self.columns[i].align == Align::Right && self.layout.tree != Some(i);
        if i > 0 {
            out.push(b" ");
        }
        if right && !(last && used == 0) {
            out.blanks(pad);
        }
        out.push(head.as_bytes());
        out.push(text.as_bytes());
        if !last && !right {
            out.blanks(pad);
        }
    }
}

fn lines<'a>(column: &Column, text: &'a str) -> impl Iterator<Item = &'a str> {
    let separator: &[char] = if column.wrap { &['\n'] } else { &[] };
    text.split(separator)
}

/// The sum of wcwidth(3), because not every terminal draws joined characters as one.
fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().filter_map(UnicodeWidthChar::width).sum() }
}
