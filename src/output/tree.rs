//! A parent relation drawn as a forest.

/// What branches are drawn with.
#[derive(Clone, Copy)]
pub struct Glyphs {
    branch: &'static str,
    last: &'static str,
    line: &'static str,
    gap: &'static str,
}

impl Glyphs {
    #[must_use]
    pub fn new(unicode: bool) -> Self {
        if unicode {
            Glyphs { branch: "├─ ", last: "└─ ", line: "│  ", gap: "   " }
        } else {
            Glyphs { branch: "|- ", last: "`- ", line: "|  ", gap: "   " }
        }
    }
}

/// A row of the forest: which node, and what stands before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub node: usize,
    pub prefix: String,
}

/// Levels that are drawn; deeper ones say how much deeper they are, so that a chain of ten thousand
/// processes costs ten thousand lines and not their square.
const DRAWN: usize = 32;

/// Nodes by their ids, in ascending order, each with the id of its parent. Roots and children keep the order of the nodes.
/// A node whose parent is not there is a root; so is the first of a cycle (ids are read one after the
/// other, and a recycled one can make two processes each other's parent).
#[must_use]
pub fn forest(ids: &[i32], parents: &[i32], glyphs: Glyphs) -> Vec<Row> {
    let parent: Vec<Option<usize>> = (0..ids.len())
        .map(|node| ids.binary_search(&parents[node]).ok().filter(|&parent| parent != node))
        .collect();
    let mut links = Links { child: vec![NONE; ids.len()], next: vec![NONE; ids.len()] };
    for (node, parent) in parent.iter().enumerate().rev() {
        if let Some(parent) = parent {
            links.next[node] = std::mem::replace(&mut links.child[*parent], node);
        }
    }
    let mut drawing =
        Drawing { links, seen: vec![false; ids.len()], rows: Vec::with_capacity(ids.len()), glyphs };
    let roots = (0..ids.len()).filter(|&node| parent[node].is_none());
    for root in roots.chain(0..ids.len()) {
        drawing.tree(root);
    }
    drawing.rows
}

/// Every node's first child and next sibling.
struct Links {
    child: Vec<usize>,
    next: Vec<usize>,
}

const NONE: usize = usize::MAX;

struct Drawing {
    links: Links,
    seen: Vec<bool>,
    rows: Vec<Row>,
    glyphs: Glyphs,
}

impl Drawing {
    /// Depth first with a stack of our own: the depth is in the hands of whoever forks.
    fn tree(&mut self, root: usize) {
        let mut stack = vec![(root, 0_usize)];
        let mut lines: Vec<bool> = Vec::new(); // for each level: does its line go on below?
        while let Some((node, depth)) = stack.pop() {
            if std::mem::replace(&mut self.seen[node], true) {
                continue;
            }
            let next = if depth > 0 { self.links.next[node] } else { NONE };
            let last = next == NONE;
            lines.truncate(depth.saturating_sub(1));
            let prefix = if depth == 0 { String::new() } else { self.prefix(&lines, last) };
            self.rows.push(Row { node, prefix });
            if depth > 0 {
                lines.push(!last);
            }
            if !last {
                stack.push((next, depth));
            }
            if self.links.child[node] != NONE {
                stack.push((self.links.child[node], depth + 1));
            }
        }
    }

    fn prefix(&self, lines: &[bool], last: bool) -> String {
        let drawn = lines.len().min(DRAWN);
        let bars = lines[..drawn].iter().map(|&on| if on { self.glyphs.line } else { self.glyphs.gap });
        let mut prefix = String::with_capacity((drawn + 1) * "└─ ".len());
        prefix.extend(bars);
        if lines.len() > DRAWN {
            prefix.push_str(&format!("[+{}] ", lines.len() - DRAWN));
        }
        prefix.push_str(if last { self.glyphs.last } else { self.glyphs.branch });
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(nodes: &[(i32, i32)]) -> Vec<String> {
        let (ids, parents): (Vec<i32>, Vec<i32>) = nodes.iter().copied().unzip();
        let rows = forest(&ids, &parents, Glyphs::new(false));
        rows.into_iter().map(|row| format!("{}{}", row.prefix, ids[row.node])).collect()
    }

    #[test]
    fn branches() {
        assert_eq!(
            draw(&[(1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (9, 7)]),
            ["1", "|- 2", "|  |- 3", "|  `- 4", "`- 5", "9"]
        );
    }

    #[test]
    fn a_cycle_and_a_self_parent_lose_nobody() {
        assert_eq!(draw(&[(2, 3), (3, 2), (4, 4)]), ["4", "2", "`- 3"]);
    }

    #[test]
    fn a_long_chain_stays_linear() {
        let chain: Vec<(i32, i32)> = (1..=20_000).map(|pid| (pid, pid - 1)).collect();
        let rows = draw(&chain);
        assert_eq!(rows.len(), 20_000);
        assert!(rows.iter().all(|row| row.len() < 200));
        assert!(rows[19_999].ends_with("[+19966] `- 20000"), "{}", rows[19_999]);
    }
}
