//! Any bytes as a state file: tests/corpus/state and fuzz/state.rs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{LAYOUTS, Layout};

/// A host with one of the layouts, and its state files.
struct Mutated {
    layout: Layout,
    files: Vec<PathBuf>,
}

impl Mutated {
    fn new(number: usize) -> Mutated {
        let (name, make) = LAYOUTS[number];
        let mut layout = Layout::new(&format!("mutated-{name}"));
        make(&mut layout);
        let mut files: Vec<PathBuf> = ["var", "run", "etc", "srv", "home", "opt", "data"]
            .iter()
            .flat_map(|name| super::files_below(&layout.host.root().join(name)))
            .collect();
        files.sort();
        Mutated { layout, files }
    }
}

thread_local! {
    static HOSTS: RefCell<BTreeMap<usize, Mutated>> = const { RefCell::new(BTreeMap::new()) };
}

/// The first byte chooses a layout, the second a state file, the others are its content. No process is taken for another.
pub fn state(data: &[u8]) {
    let Some(([layout, file], content)) = data.split_first_chunk::<2>() else { return };
    let number = usize::from(*layout) % LAYOUTS.len();
    HOSTS.with_borrow_mut(|hosts| {
        let Mutated { layout, files } = hosts.entry(number).or_insert_with(|| Mutated::new(number));
        if files.is_empty() {
            return;
        }
        let file = &files[usize::from(*file) % files.len()];
        let good = std::fs::read(file).expect("a file");
        std::fs::write(file, content).expect("written");
        layout.is_not_deceived(file);
        std::fs::write(file, good).expect("written");
    });
}
