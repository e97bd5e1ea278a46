//! Draws a parent relation as a forest.

use std::ops::Range;

/// The characters of the branches.
#[derive(Clone, Copy)]
pub struct Glyphs {
    branch: &'static str,
    last: &'static str,
    line: &'static str,
    gap: &'static str,
}

impl Glyphs {
    /// The width of each in columns.
    const WIDTH: usize = 3;

    #[must_use]
    pub fn new(unicode: bool) -> Self {
        if unicode {
            Glyphs { branch: "├─ ", last: "└─ ", line: "│  ", gap: "   " }
        } else {
            Glyphs { branch: "|- ", last: "`- ", line: "|  ", gap: "   " }
        }
    }
}

/// Nodes in the order of their rows, and the tree lines before each.
#[derive(Default)]
pub struct Forest {
    pub rows: Vec<Row>,
    /// The lines of all rows in one string, because there are tens of thousands of rows.
    lines: String,
    /// By the depth of a row: the last lines there of one that has a sibling below, and of one that has none. Most rows have
    /// the same.
    recent: Vec<[Range<u32>; 2]>,
}

/// Small numbers, because there are tens of thousands of rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    node: u32,
    lines: Range<u32>,
    /// The width of the lines in columns.
    width: u32,
}

impl Row {
    fn flat(node: usize) -> Row {
        Row { node: small(node), lines: 0..0, width: 0 }
    }

    #[must_use]
    pub fn node(&self) -> usize {
        self.node as usize
    }

    /// The node has another number.
    pub fn move_to(&mut self, node: usize) {
        self.node = small(node);
    }
}

/// Linux has at most 4 million processes and threads, and the lines before each have fewer than 200 bytes.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The number of levels that are drawn. Deeper rows show how much deeper they are, so that a chain of ten thousand
/// processes takes time in proportion to its length, not to its square.
const DRAWN: usize = 32;

impl Forest {
    /// Adds a row without lines.
    pub fn flat(&mut self, node: usize) {
        self.rows.push(Row::flat(node));
    }

    /// Adds rows without lines.
    pub(crate) fn all_flat(&mut self, nodes: &[usize]) {
        self.rows.extend(nodes.iter().copied().map(Row::flat));
    }

    /// Adds nodes by their ids, in ascending order, each with the id of its parent. Roots and children keep the order
    /// of the nodes. A node whose parent is missing is a root. So is the first node of a cycle: processes are read
    /// one after the other, and with a reused PID two processes can be each other's parent.
    pub fn grow(&mut self, ids: &[i32], parents: &[i32], glyphs: Glyphs) {
        self.grow_in_order(ids, parents, 0..ids.len(), glyphs);
    }

    /// The same, where roots and children keep another order.
    pub fn grow_in_order(
        &mut self,
        ids: &[i32],
        parents: &[i32],
        order: impl DoubleEndedIterator<Item = usize> + Clone,
        glyphs: Glyphs,
    ) {
        let parent_of = |node: usize| ids.binary_search(&parents[node]).ok().filter(|&parent| parent != node);
        let mut links = Links { child: vec![NONE; ids.len()], next: vec![NONE; ids.len()] };
        let mut is_root = vec![true; ids.len()];
        for node in order.clone().rev() {
            if let Some(parent) = parent_of(node) {
                is_root[node] = false;
                links.next[node] = std::mem::replace(&mut links.child[parent], small(node));
            }
        }
        self.rows.reserve(ids.len());
        let mut drawing = Drawing { links, seen: vec![false; ids.len()], forest: self, glyphs };
        let roots = order.clone().filter(|&node| is_root[node]);
        for root in roots.chain(order) {
            drawing.tree(root);
        }
    }

    /// The lines before a row, and their width in columns.
    #[must_use]
    pub fn lines(&self, row: &Row) -> (&str, usize) {
        (self.lines_in(&row.lines), row.width as usize)
    }

    fn lines_in(&self, range: &Range<u32>) -> &str {
        self.lines.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    fn push(&mut self, node: usize, glyphs: &Glyphs, bars: &[bool], last: bool) {
        let start = self.lines.len();
        let drawn = bars.len().min(DRAWN);
        bars[..drawn].iter().for_each(|&on| self.lines.push_str(if on { glyphs.line } else { glyphs.gap }));
        let mut width = Glyphs::WIDTH * (drawn + 1);
        if bars.len() > DRAWN {
            let deeper = format!("[+{}] ", bars.len() - DRAWN);
            self.lines.push_str(&deeper);
            width += deeper.len();
        }
        self.lines.push_str(if last { glyphs.last } else { glyphs.branch });
        if self.recent.len() <= bars.len() {
            self.recent.resize(bars.len() + 1, [0..0, 0..0]);
        }
        let recent = self.recent[bars.len()][usize::from(last)].clone();
        let lines = if *self.lines_in(&recent) == self.lines[start..] {
            self.lines.truncate(start);
            recent
        } else {
            small(start)..small(self.lines.len())
        };
        self.recent[bars.len()][usize::from(last)] = lines.clone();
        self.rows.push(Row { node: small(node), lines, width: small(width) });
    }
}

/// The first child and the next sibling of every node.
struct Links {
    child: Vec<u32>,
    next: Vec<u32>,
}

const NONE: u32 = u32::MAX;

struct Drawing<'a> {
    links: Links,
    seen: Vec<bool>,
    forest: &'a mut Forest,
    glyphs: Glyphs,
}

impl Drawing<'_> {
    /// Depth first, with an explicit stack: any process chooses the depth by forking.
    fn tree(&mut self, root: usize) {
        let mut stack = vec![(root, 0_usize)];
        let mut lines: Vec<bool> = Vec::new(); // for each level: does its line continue below?
        while let Some((node, depth)) = stack.pop() {
            if std::mem::replace(&mut self.seen[node], true) {
                continue;
            }
            let next = if depth > 0 { self.links.next[node] } else { NONE };
            let last = next == NONE;
            lines.truncate(depth.saturating_sub(1));
            if depth == 0 {
                self.forest.flat(node);
            } else {
                self.forest.push(node, &self.glyphs, &lines, last);
                lines.push(!last);
            }
            if !last {
                stack.push((next as usize, depth));
            }
            if self.links.child[node] != NONE {
                stack.push((self.links.child[node] as usize, depth + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(nodes: &[(i32, i32)]) -> Vec<String> {
        let (ids, parents): (Vec<i32>, Vec<i32>) = nodes.iter().copied().unzip();
        let mut forest = Forest::default();
        forest.grow(&ids, &parents, Glyphs::new(false));
        forest.rows.iter().map(|row| format!("{}{}", forest.lines(row).0, ids[row.node()])).collect()
    }

    #[test]
    fn branches() {
        assert_eq!(
            draw(&[(1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (9, 7)]),
            ["1", "|- 2", "|  |- 3", "|  `- 4", "`- 5", "9"]
        );
    }

    #[test]
    fn widths_of_lines() {
        for unicode in [false, true] {
            let mut forest = Forest::default();
            let ids: Vec<i32> = (1..=40).collect();
            let parents: Vec<i32> =
                ids.iter().map(|id| id / 2 * i32::from(*id < 5) + (id - 1) * i32::from(*id > 4)).collect();
            forest.grow(&ids, &parents, Glyphs::new(unicode));
            for row in &forest.rows {
                let (lines, width) = forest.lines(row);
                assert_eq!(lines.chars().count(), width, "{lines:?}");
            }
        }
    }

    #[test]
    fn a_cycle_and_a_self_parent_keep_all_nodes() {
        assert_eq!(draw(&[(2, 3), (3, 2), (4, 4)]), ["4", "2", "`- 3"]);
    }

    #[test]
    fn a_long_chain_takes_linear_time() {
        let chain: Vec<(i32, i32)> = (1..=20_000).map(|pid| (pid, pid - 1)).collect();
        let rows = draw(&chain);
        assert_eq!(rows.len(), 20_000);
        assert!(rows.iter().all(|row| row.len() < 200));
        assert!(rows[19_999].ends_with("[+19966] `- 20000"), "{}", rows[19_999]);
    }
}
