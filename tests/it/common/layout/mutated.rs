//! Any bytes as a state file: tests/corpus/state and fuzz/state.rs.

use std::cell::RefCell;
use std::path::PathBuf;

use super::{LAYOUTS, Layout};

/// A host with all layouts, and its state files.
struct Mutated {
    layout: Layout,
    files: Vec<PathBuf>,
}

impl Mutated {
    fn new() -> Mutated {
        let mut layout = Layout::new("mutated");
        LAYOUTS.iter().for_each(|(_, make)| make(&mut layout));
        let mut files: Vec<PathBuf> = ["var", "run", "etc", "srv", "home", "opt", "data"]
            .iter()
            .flat_map(|name| super::files_below(&layout.host.root().join(name)))
            .collect();
        files.sort();
        Mutated { layout, files }
    }
}

thread_local! {
    static HOST: RefCell<Option<Mutated>> = const { RefCell::new(None) };
}

/// The first two bytes choose a state file, the others are its content. No process is taken for another.
pub fn state(data: &[u8]) {
    let Some((choice, content)) = data.split_first_chunk::<2>() else { return };
    HOST.with_borrow_mut(|host| {
        let Mutated { layout, files } = host.get_or_insert_with(Mutated::new);
        let file = &files[usize::from(u16::from_le_bytes(*choice)) % files.len()];
        let good = std::fs::read(file).expect("a file");
        std::fs::write(file, content).expect("written");
        layout.is_not_deceived(file);
        std::fs::write(file, good).expect("written");
    });
}
