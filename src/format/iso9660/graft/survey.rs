//! Who owns which bytes of the image, by the best view: a file may share its extent with another name.

use crate::content::path::TreePath;
use crate::format::iso9660::{Iso, SECTOR};

/// Files with bytes, in order of place.
pub(super) struct Survey {
    /// Start and end in whole sectors, byte length, and index in the tree.
    owned: Vec<(u64, u64, u64, usize)>,
    /// Of each and those before it: the highest end.
    reach: Vec<u64>,
}

impl Survey {
    pub fn of(iso: &Iso) -> Self {
        let mut owned: Vec<(u64, u64, u64, usize)> = (iso.tree.iter().zip(&iso.records))
            .enumerate()
            .filter_map(|(i, ((_, node), record))| {
                // Of a directory the first sector stands for all.
                let len = if node.is_dir() { SECTOR } else { node.content()?.len() };
                let end = record.data_at + len.next_multiple_of(SECTOR);
                (len > 0).then_some((record.data_at, end, len, i))
            })
            .collect();
        owned.sort_unstable();
        let reach = owned.iter().scan(0, |m, o| {
            *m = (*m).max(o.1);
            Some(*m)
        });
        let reach = reach.collect();
        Survey { owned, reach }
    }

    /// Indices in the tree of all files that start at `at`.
    pub fn at(&self, at: u64) -> impl Iterator<Item = usize> {
        let from = self.owned.partition_point(|o| o.0 < at);
        self.owned[from..].iter().take_while(move |o| o.0 == at).map(|o| o.3)
    }

    /// Path and length of the file that starts at `at`: what a boot image is.
    pub fn file_at(&self, iso: &Iso, at: u64) -> Option<(TreePath, u64)> {
        let from = self.owned.partition_point(|o| o.0 < at);
        let all = self.owned[from..].iter().take_while(|o| o.0 == at);
        all.filter_map(|o| {
            let (path, node) = iso.tree.iter().nth(o.3)?;
            node.content().map(|c| (path.clone(), c.len()))
        })
        .next()
    }

    /// True where no more than `names` files have any of the sectors from `start` up to `end`.
    pub fn is_alone(&self, start: u64, end: u64, names: usize) -> bool {
        let before = self.owned.partition_point(|o| o.0 < start);
        let after = self.owned.partition_point(|o| o.0 < end);
        after - before <= names && (before == 0 || self.reach[before - 1] <= start)
    }

    /// Byte behind the last file.
    pub fn end(&self) -> u64 {
        self.reach.last().copied().unwrap_or(0)
    }
}
