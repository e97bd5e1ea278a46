//! The rows in print order, and the tree lines before each.

use super::Row;

/// A row and its position in the tree.
pub(super) struct Node {
    pub row: usize,
    pub depth: usize,
    /// It is the last sibling.
    pub last: bool,
    pub parent: bool,
}

pub(super) struct Walk {
    pub nodes: Vec<Node>,
}

/// The number of levels that are drawn. Deeper rows show how much deeper they are, so that a chain of ten thousand
/// processes takes time in proportion to its length, not to its square. (libsmartcols draws all levels.)
pub(super) const DRAWN: usize = 256;

const NONE: usize = usize::MAX;

impl Walk {
    /// Roots and children keep the order of the rows. The first row of a cycle counts as a root, so that no row is
    /// lost.
    pub(super) fn new(rows: &[Row], tree: bool) -> Self {
        if !tree || rows.iter().all(|row| row.parent.is_none()) {
            let flat = |row| Node { row, depth: 0, last: true, parent: false };
            return Walk { nodes: (0..rows.len()).map(flat).collect() };
        }
        let links = Links::new(rows);
        let mut nodes = Vec::with_capacity(rows.len());
        let mut seen = vec![false; rows.len()];
        let roots = (0..rows.len()).filter(|&row| links.roots[row]);
        for root in roots.chain(0..rows.len()) {
            links.visit(root, &mut seen, &mut nodes);
        }
        Walk { nodes }
    }

    pub(super) fn branches(&self, unicode: bool) -> Branches {
        let (branch, last, line) = if unicode { ("├─", "└─", "│ ") } else { ("|-", "`-", "| ") };
        Branches { branch, last, line, open: Vec::new(), head: String::new(), below: false }
    }
}

/// The first child and the next sibling of every row.
struct Links {
    roots: Vec<bool>,
    child: Vec<usize>,
    next: Vec<usize>,
}

impl Links {
    fn new(rows: &[Row]) -> Self {
        let mut links = Links {
            roots: vec![true; rows.len()],
            child: vec![NONE; rows.len()],
            next: vec![NONE; rows.len()],
        };
        for (row, parent) in rows.iter().map(|row| row.parent).enumerate().rev() {
            if let Some(parent) = parent.filter(|&parent| parent < rows.len() && parent != row) {
                links.roots[row] = false;
                links.next[row] = std::mem::replace(&mut links.child[parent], row);
            }
        }
        links
    }

    /// Depth first, with an explicit stack: any process chooses the depth by forking.
    fn visit(&self, root: usize, seen: &mut [bool], nodes: &mut Vec<Node>) {
        let mut stack = vec![(root, 0)];
        while let Some((row, depth)) = stack.pop() {
            if std::mem::replace(&mut seen[row], true) {
                continue;
            }
            let (child, next) = (self.child[row], self.next[row]);
            let below = |row: usize, seen: &[bool]| row != NONE && !seen[row];
            let parent = below(child, seen);
            let last = !below(next, seen);
            nodes.push(Node { row, depth, last, parent });
            if !last {
                stack.push((next, depth));
            }
            if parent {
                stack.push((child, depth + 1));
            }
        }
    }
}

/// The tree lines before the text of the row entered last.
pub(super) struct Branches {
    branch: &'static str,
    last: &'static str,
    line: &'static str,
    /// For each level above: does its line continue below?
    open: Vec<bool>,
    head: String,
    below: bool,
}

impl Branches {
    pub(super) fn enter(&mut self, node: &Node) {
        self.open.truncate(node.depth.saturating_sub(1));
        self.head.clear();
        self.below = node.parent;
        if node.depth > 0 {
            self.draw();
            self.head.push_str(if node.last { self.last } else { self.branch });
            self.open.push(!node.last);
        }
    }

    /// Before the first line of the row.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// Before its other lines: only the tree lines to later rows continue there.
    pub(super) fn turn_to_tail(&mut self) {
        self.head.clear();
        self.draw();
        if self.below {
            self.head.push_str(self.line);
        }
    }

    fn draw(&mut self) {
        for &open in self.open.iter().take(DRAWN) {
            self.head.push_str(if open { self.line } else { "  " });
        }
        if self.open.len() > DRAWN {
            self.head.push_str(&format!("[+{}]", self.open.len() - DRAWN));
        }
    }
}

/// The width of the tree lines of a row in columns.
pub(super) fn width(depth: usize) -> usize {
    match depth.saturating_sub(1).checked_sub(DRAWN) {
        None | Some(0) => 2 * depth,
        Some(more) => 2 * (DRAWN + 1) + "[+]".len() + more.ilog10() as usize + 1,
    }
}
