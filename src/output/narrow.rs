//! How a table fits a narrow terminal: columns that matter less are not shown, and one becomes narrower.

/// The numbers of columns.
pub(crate) struct Narrow {
    /// Not shown if the table is too wide: the first of them at first.
    pub leave_out: Vec<usize>,
    /// The column that becomes narrower. Longer cells end in `+`.
    pub shrinks: usize,
}

/// The least width of the column that becomes narrower, and what the last column gets of the line.
const LEAST: usize = 24;
const LAST: usize = 20;

impl Narrow {
    /// The columns that are shown, each with its width. `widths` has those of all columns, as wide as their cells.
    #[must_use]
    pub(crate) fn fit(&self, widths: &[usize], room: usize) -> Vec<(usize, usize)> {
        let last = widths.len().saturating_sub(1);
        let wanted = |at: usize, width: usize| match at {
            _ if at == self.shrinks => width.min(LEAST),
            _ if at == last => width.min(LAST),
            _ => width,
        };
        let mut shown: Vec<(usize, usize)> = widths.iter().copied().enumerate().collect();
        let total = |shown: &[(usize, usize)]| -> usize {
            shown.iter().map(|&(at, width)| wanted(at, width) + 1).sum::<usize>().saturating_sub(1)
        };
        for at in &self.leave_out {
            if total(&shown) <= room {
                break;
            }
            shown.retain(|(other, _)| other != at);
        }
        let free = room.saturating_sub(total(&shown));
        if let Some((_, width)) = shown.iter_mut().find(|(at, _)| *at == self.shrinks) {
            *width = (*width).min(wanted(self.shrinks, *width) + free);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_give_way_in_their_order() {
        let narrow = Narrow { leave_out: vec![3, 1], shrinks: 0 };
        let widths = [40, 6, 12, 5, 50];
        let fit = |room| narrow.fit(&widths, room);
        assert_eq!(fit(200), [(0, 40), (1, 6), (2, 12), (3, 5), (4, 50)]);
        assert_eq!(fit(72), [(0, 25), (1, 6), (2, 12), (3, 5), (4, 50)]);
        assert_eq!(fit(70), [(0, 29), (1, 6), (2, 12), (4, 50)]);
        assert_eq!(fit(60), [(0, 26), (2, 12), (4, 50)]);
        assert_eq!(fit(10), [(0, 24), (2, 12), (4, 50)]);
        assert!(Narrow { leave_out: vec![], shrinks: 0 }.fit(&[], 10).is_empty());
    }
}
