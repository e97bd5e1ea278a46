//! Sorting without std's 4 KB of code for each type: places are sorted, by code that is there once, then the items
//! change their places. As stable as std's. For lists that are long and always sorted, std's is twice as fast.

use std::cmp::Ordering;

pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    sort_places(&mut order, &|one, other| compare(&items[one], &items[other]));
    for first in 0..order.len() {
        // The items of a circle of places move one place on.
        let mut place = first;
        while order[place] != first {
            let next = order[place];
            items.swap(place, next);
            order[place] = place;
            place = next;
        }
        order[place] = place;
    }
}

#[inline(never)]
fn sort_places(order: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    order.sort_by(|&one, &other| compare(one, other));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_std() {
        let mut number = 1_u32;
        for length in [0, 1, 2, 3, 10, 100, 1000] {
            let items: Vec<(u32, usize)> = (0..length)
                .map(|at| {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (number >> 26, at)
                })
                .collect();
            let (mut by_std, mut by_this) = (items.clone(), items);
            by_std.sort_by_key(|item| item.0);
            sort_by_key(&mut by_this, |item| item.0);
            assert_eq!(by_this, by_std, "stable too");
            by_std.sort_by(|a, b| b.cmp(a));
            sort_by(&mut by_this, |a, b| b.cmp(a));
            assert_eq!(by_this, by_std);
            by_std.sort();
            sort(&mut by_this);
            assert_eq!(by_this, by_std);
        }
    }
}
