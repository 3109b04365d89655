//! A whole file system in memory, as it is edited: its table, its folders, and the data that came new.
//! Clusters are handed out without end; where there are more than the image has, it grows.

use super::folder::{Folder, entries};
use super::layout::{Layout, Width};
use super::{MAX_DEPTH, MAX_DIRECTORY};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::fields::{le16, le32};
use std::collections::BTreeMap;

/// Clusters of an image that is edited: 16 MiB of table in memory.
pub(super) const MAX_CLUSTERS: u64 = 1 << 22;
/// All folders together.
const MAX_FOLDERS: u64 = 24 << 20;
/// The root folder's number, which `..` in its folders says too.
pub(super) const ROOT: u32 = 0;
/// The value of a chain's last cluster; that of a free one is 0.
pub(super) const END: u32 = 0x0fff_ffff;
const ENDS_FROM: u32 = 0x0fff_fff8;

pub(super) struct Volume<'a> {
    pub(super) image: &'a Content,
    pub(super) layout: Layout,
    /// Entries 0 and 1, then one per cluster: 28 bits, as FAT32 has them, whatever the width. Its upper
    /// four bits are kept.
    pub(super) table: Vec<u32>,
    /// By first cluster.
    pub(super) folders: BTreeMap<u32, Folder>,
    /// New data, by the first of the clusters in a row that it fills.
    pub(super) data: BTreeMap<u32, Content>,
    pub(super) changed: bool,
}

impl<'a> Volume<'a> {
    /// Takes in all of `image`, and makes sure that no cluster belongs to two.
    ///
    /// # Errors
    /// `Corrupt` where anything in it is damaged, `Unsupported` where it is no FAT or over the bounds.
    pub(super) fn load(image: &'a Content) -> Result<Self> {
        let Some(layout) = Layout::of(image)? else {
            return Err(Error::unsupported("no FAT file system").at(0));
        };
        checked(image, &layout)?;
        let len = Layout::table_bytes(layout.width, layout.clusters);
        let bytes = image.slice(layout.table_at..layout.table_at + len)?.read_all(len)?;
        let table = decode(&bytes, layout.width, layout.clusters);
        let (folders, data) = (BTreeMap::new(), BTreeMap::new());
        let mut volume = Volume { image, layout, table, folders, data, changed: false };
        volume.walk()?;
        Ok(volume)
    }

    fn walk(&mut self) -> Result<()> {
        let mut claims = vec![false; self.table.len()];
        let mut total = 0;
        let root = match self.layout.width {
            Width::Fat32 => self.claim(self.layout.root_cluster, &mut claims)?,
            _ => Vec::new(),
        };
        let mut left = vec![(ROOT, root, TreePath::root(), 0)];
        while let Some((key, chain, dir, depth)) = left.pop() {
            let at = |e: Error| e.path(format_args!("/{dir}"));
            let bytes = self.folder_bytes(key, &chain).map_err(at)?;
            total += bytes.len() as u64;
            if total > MAX_FOLDERS {
                return Err(Error::unsupported("the FAT's folders are too big to be edited").at(0));
            }
            let folder = Folder::new(bytes, chain, self.layout.width);
            for e in entries(&folder.bytes) {
                let path = dir.join(&e.name).unwrap_or_else(|_| dir.clone());
                let at = |e: Error| e.path(format_args!("/{path}"));
                let first = e.first();
                if first == 0 && (e.is_dir() || e.size() == 0) {
                    continue;
                }
                let chain = self.claim(first, &mut claims).map_err(at)?;
                if e.is_dir() && depth >= MAX_DEPTH {
                    return Err(at(Error::unsupported("folders are not edited so deep")));
                } else if e.is_dir() {
                    left.push((first, chain, path, depth + 1));
                } else if (chain.len() as u64) < e.size().div_ceil(self.layout.cluster) {
                    let what = "a file's cluster chain ends before its size is reached";
                    return Err(at(Error::corrupt(what, self.layout.entry_at(first))));
                }
            }
            self.folders.insert(key, folder);
        }
        Ok(())
    }

    fn folder_bytes(&self, key: u32, chain: &[u32]) -> Result<Vec<u8>> {
        let l = &self.layout;
        if key == ROOT && l.width != Width::Fat32 {
            return self.image.slice(l.root_at..l.root_at + l.root_len)?.read_all(MAX_DIRECTORY);
        }
        self.content(chain, chain.len() as u64 * l.cluster)?.read_all(MAX_DIRECTORY)
    }

    /// The image's own bytes in a chain.
    pub(super) fn content(&self, chain: &[u32], len: u64) -> Result<Content> {
        let mut left = len;
        let mut parts = Vec::new();
        for (first, n) in runs(chain) {
            let at = self.layout.cluster_at(first)?;
            let take = left.min(n * self.layout.cluster);
            parts.push(self.image.slice(at..at + take)?);
            left -= take;
        }
        Ok(Content::concat(parts))
    }

    fn claim(&self, first: u32, claims: &mut [bool]) -> Result<Vec<u32>> {
        let chain = self.chain(first)?;
        for &c in &chain {
            if std::mem::replace(&mut claims[c as usize], true) {
                let what = format!("cluster {c} belongs to two files");
                return Err(Error::corrupt(what, self.layout.entry_at(c)));
            }
        }
        Ok(chain)
    }

    /// The clusters from `first` to the end; none where `first` is 0.
    pub(super) fn chain(&self, first: u32) -> Result<Vec<u32>> {
        let mut chain = Vec::new();
        let mut cluster = first;
        while first != 0 && cluster < ENDS_FROM {
            let from = chain.last().map_or(first, |c| *c);
            let wrong = |what: String| Error::corrupt(what, self.layout.entry_at(from));
            if cluster < 2 || cluster as usize >= self.table.len() {
                let n = self.table.len() - 2;
                return Err(wrong(format!("cluster {cluster:#x} in a chain is not one of {n}")));
            }
            if chain.len() > self.table.len() {
                return Err(wrong("a chain of clusters that is a loop".to_owned()));
            }
            chain.push(cluster);
            cluster = self.table[cluster as usize] & END;
        }
        Ok(chain)
    }

    pub(super) fn free(&mut self, chain: &[u32]) {
        for &c in chain {
            self.set(c, 0);
        }
    }

    fn set(&mut self, cluster: u32, value: u32) {
        let entry = &mut self.table[cluster as usize];
        *entry = *entry & !END | value;
    }

    /// `chain` made `len` clusters long. The new ones are in a row where there are so many, else the first that
    /// are free, else beyond the image's end.
    ///
    /// # Errors
    /// `Unsupported` over the bounds.
    pub(super) fn extend(&mut self, chain: &mut Vec<u32>, len: u64) -> Result<()> {
        let n = len - chain.len() as u64;
        let is_free = |&c: &u32| self.table[c as usize] & END == 0;
        let clusters = 2..self.table.len() as u32;
        let mut got: Vec<u32> = Vec::new();
        for c in clusters.clone() {
            if (got.len() as u64) == n {
                break;
            }
            if is_free(&c) { got.push(c) } else { got.clear() }
        }
        if (got.len() as u64) < n {
            got = clusters.filter(is_free).take(n as usize).collect();
        }
        let more = n - got.len() as u64;
        if self.table.len() as u64 + more > MAX_CLUSTERS {
            let what = format!("the FAT would have more than {MAX_CLUSTERS} clusters");
            return Err(Error::unsupported(what).at(0));
        }
        let end = self.table.len() as u32;
        self.table.resize(self.table.len() + more as usize, 0);
        got.extend(end..end + more as u32);
        chain.extend(got);
        self.link(chain);
        Ok(())
    }

    /// Writes a chain into the table.
    pub(super) fn link(&mut self, chain: &[u32]) {
        for pair in chain.windows(2) {
            self.set(pair[0], pair[1]);
        }
        if let Some(&last) = chain.last() {
            self.set(last, END);
        }
        self.changed = true;
    }

    /// Gives a folder the clusters that its entries need.
    pub(super) fn fit(&mut self, key: u32) -> Result<()> {
        let in_area = key == ROOT && self.layout.width != Width::Fat32;
        let Some(folder) = self.folders.get_mut(&key).filter(|_| !in_area) else { return Ok(()) };
        let need = (folder.bytes.len() as u64).div_ceil(self.layout.cluster);
        let mut chain = std::mem::take(&mut folder.chain);
        if need > chain.len() as u64 {
            self.extend(&mut chain, need)?;
        }
        if let Some(folder) = self.folders.get_mut(&key) {
            folder.chain = chain;
        }
        Ok(())
    }
}

/// Neighbouring clusters: the first, and how many.
pub(super) fn runs(chain: &[u32]) -> Vec<(u32, u64)> {
    let mut runs: Vec<(u32, u64)> = Vec::new();
    for &c in chain {
        match runs.last_mut() {
            Some((first, n)) if u64::from(*first) + *n == u64::from(c) => *n += 1,
            _ => runs.push((c, 1)),
        }
    }
    runs
}

/// What a reader may overlook and an editor may not.
fn checked(image: &Content, l: &Layout) -> Result<()> {
    if l.clusters > MAX_CLUSTERS {
        let what = format!("a FAT of {} clusters; at most {MAX_CLUSTERS} are edited", l.clusters);
        return Err(Error::unsupported(what).at(0));
    }
    if image.len() < l.total {
        let what = format!("a FAT of {} bytes, of which only {} are there", l.total, image.len());
        return Err(Error::corrupt(what, image.len()));
    }
    if Layout::table_bytes(l.width, l.clusters) > l.table_len {
        let what = format!("the table is too short for {} clusters", l.clusters);
        return Err(Error::corrupt(what, l.table_at));
    }
    let mut b = [0u8; 512];
    image.read_at(&mut b, 0)?;
    if (l.width == Width::Fat32) != (le16(&b, 22) == 0 && le16(&b, 17) == 0) {
        let what = "the fields of the parameter block fit neither FAT16 nor FAT32";
        return Err(Error::corrupt(what, 17));
    }
    Ok(())
}

fn decode(bytes: &[u8], width: Width, clusters: u64) -> Vec<u32> {
    // Ends and bad clusters are the highest values, and entry 0 is the media byte below ones.
    let widen =
        |at: usize, v: u32, from: u32, ones: u32| if v >= from || at == 0 { v | ones } else { v };
    let one = |c: usize| match width {
        Width::Fat12 => {
            let v = u32::from(le16(bytes, c + c / 2)) >> (c % 2 * 4) & 0xfff;
            widen(c, v, 0xff7, 0x0fff_f000)
        }
        Width::Fat16 => widen(c, u32::from(le16(bytes, c * 2)), 0xfff7, 0x0fff_0000),
        Width::Fat32 => le32(bytes, c * 4),
    };
    (0..clusters as usize + 2).map(one).collect()
}

/// Writes the entries over `bytes`, whose other bits stay.
pub(super) fn encode(table: &[u32], width: Width, bytes: &mut [u8]) {
    for (c, &v) in table.iter().enumerate() {
        let (at, v16) = (c * 2, (v & 0xffff) as u16);
        match width {
            Width::Fat12 => {
                let at = c + c / 2;
                let old = le16(bytes, at);
                let new =
                    if c % 2 == 1 { old & 0xf | v16 << 4 } else { old & 0xf000 | v16 & 0xfff };
                bytes[at..at + 2].copy_from_slice(&new.to_le_bytes());
            }
            Width::Fat16 => bytes[at..at + 2].copy_from_slice(&v16.to_le_bytes()),
            Width::Fat32 => bytes[c * 4..c * 4 + 4].copy_from_slice(&v.to_le_bytes()),
        }
    }
}
