//! Reading: the tree whose files are extents of the image.

use super::folder::{self, first_cluster};
use super::layout::{Layout, Width};
use super::{MAX_DEPTH, MAX_DIRECTORY};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind, Tree};
use crate::error::{Error, Result};
use crate::format::fields::{le16, le32, unix_time};
use std::collections::BTreeMap;

/// Clusters of one image, so that its bitmap stays small: 16 GiB of 1 KiB each.
const MAX_CLUSTERS: u64 = 1 << 24;
/// Clusters followed in all chains together; bounds the time that a hostile image takes.
const MAX_STEPS: u64 = 1 << 22;
/// What the tree may come to in memory, about, in bytes.
const MAX_MEMORY: usize = 24 << 20;
/// Bytes of the table that are read at a time.
const TABLE_WINDOW: u64 = 4096;

/// Opens `image` as FAT. `None` where it is none. Names are those that the long entries give, else
/// the short ones; what can't be shown is left out and noted in the tree.
///
/// # Errors
/// `Corrupt` with the offset where the image is damaged or ends early, `Unsupported` over the bounds.
pub fn open(image: &Content) -> Result<Option<Tree>> {
    let Some(layout) = Layout::of(image)? else { return Ok(None) };
    if layout.clusters > MAX_CLUSTERS {
        let what =
            format!("a FAT of {} clusters; at most {MAX_CLUSTERS} are read", layout.clusters);
        return Err(Error::unsupported(what).at(0));
    }
    let used = vec![0u64; (layout.clusters as usize + 2).div_ceil(64)];
    let window = (u64::MAX, Vec::new());
    let mut reader = Reader {
        image,
        layout,
        used,
        window,
        steps: 0,
        memory: 0,
        nodes: BTreeMap::new(),
        tree: Tree::new(),
        left: vec![],
    };
    reader.walk()?;
    for (path, node) in reader.nodes {
        reader.tree.insert(path, node);
    }
    Ok(Some(reader.tree))
}

struct Reader<'a> {
    image: &'a Content,
    layout: Layout,
    /// Clusters that a chain went over: none belongs to two, so none is read twice.
    used: Vec<u64>,
    window: (u64, Vec<u8>),
    steps: u64,
    memory: usize,
    /// What was found, in the order of its paths; `tree` has the notes only until the end.
    nodes: BTreeMap<TreePath, Node>,
    tree: Tree,
    left: Vec<(TreePath, u32, u16)>,
}

impl Reader<'_> {
    fn walk(&mut self) -> Result<()> {
        let l = &self.layout;
        let root = match l.width {
            Width::Fat32 => {
                let first = l.root_cluster;
                self.chain(first, None)?
            }
            _ => self.image.slice(l.root_at..l.root_at + l.root_len)?,
        };
        self.folder(&TreePath::root(), &root, 0)?;
        while let Some((path, cluster, depth)) = self.left.pop() {
            let at = |e: Error| e.path(format_args!("/{path}"));
            let bytes = self.chain(cluster, None).map_err(at)?;
            self.folder(&path, &bytes, depth).map_err(at)?;
        }
        Ok(())
    }

    fn folder(&mut self, dir: &TreePath, content: &Content, depth: u16) -> Result<()> {
        let bytes = content.read_all(MAX_DIRECTORY)?;
        for e in folder::entries(&bytes) {
            self.entry(dir, &e.name, e.raw, e.at, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, dir: &TreePath, name: &str, e: &[u8], i: usize, depth: u16) -> Result<()> {
        let path = match dir.join(name) {
            Ok(p) => p,
            Err(why) => {
                self.tree.note(format!("/{dir}: entry {i} is left out: {why}"));
                return Ok(());
            }
        };
        self.memory += 330 + path.as_bytes().len();
        if self.nodes.contains_key(&path) {
            self.tree.note(format!("/{path}: left out: a second entry of that name"));
            return Ok(());
        }
        let cluster = first_cluster(e, self.layout.width);
        let mtime = date(le16(e, 24), le16(e, 22));
        if e[11] & 0x10 != 0 {
            self.nodes.insert(path.clone(), Node { kind: NodeKind::Dir, mode: 0o555, mtime });
            if depth >= MAX_DEPTH {
                self.tree.note(format!("/{path}: shown empty: folders are not followed so deep"));
            } else if cluster != 0 {
                self.left.push((path, cluster, depth + 1));
            }
            return self.bounded();
        }
        let size = u64::from(le32(e, 28));
        let content = match size {
            0 => Content::empty(),
            _ => self.chain(cluster, Some(size)).map_err(|e| e.path(format_args!("/{path}")))?,
        };
        self.nodes.insert(path, Node { kind: NodeKind::File(content), mode: 0o444, mtime });
        self.bounded()
    }

    fn bounded(&self) -> Result<()> {
        if self.memory > MAX_MEMORY {
            let what = format!("the FAT's tree is too big: {} entries", self.nodes.len());
            return Err(Error::unsupported(what).at(0));
        }
        Ok(())
    }

    /// The bytes of the chain from `first`: `len` of them, or all to its end.
    fn chain(&mut self, first: u32, len: Option<u64>) -> Result<Content> {
        let cluster_len = self.layout.cluster;
        let mut want = len.unwrap_or(MAX_DIRECTORY);
        // Runs of neighbouring clusters: start, length.
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let mut cluster = first;
        while want > 0 {
            let at = self.layout.cluster_at(cluster)?;
            self.claim(cluster)?;
            let n = want.min(cluster_len);
            match runs.last_mut() {
                Some((start, l)) if *start + *l == at => *l += n,
                _ => {
                    runs.push((at, n));
                    self.memory += 96;
                    self.bounded()?;
                }
            }
            want -= n;
            match self.next(cluster)? {
                Some(next) if want > 0 => cluster = next,
                Some(_) if len.is_none() => {
                    let what = format!("a folder of over {MAX_DIRECTORY} bytes");
                    return Err(Error::corrupt(what, at));
                }
                Some(_) => break,
                None if len.is_some() && want > 0 => {
                    let what = "a file's cluster chain ends before its size is reached";
                    return Err(Error::corrupt(what, self.layout.entry_at(cluster)));
                }
                None => break,
            }
        }
        let parts: Result<Vec<Content>> =
            runs.into_iter().map(|(at, n)| self.image.slice(at..at + n)).collect();
        Ok(Content::concat(parts?))
    }

    fn claim(&mut self, cluster: u32) -> Result<()> {
        let (word, bit) = (cluster as usize / 64, 1u64 << (cluster % 64));
        if self.used[word] & bit != 0 {
            let what = format!("cluster {cluster} belongs to two files or to a loop");
            return Err(Error::corrupt(what, self.layout.entry_at(cluster)));
        }
        self.used[word] |= bit;
        self.steps += 1;
        if self.steps > MAX_STEPS {
            let what = format!("more than {MAX_STEPS} clusters in use");
            return Err(Error::unsupported(what).at(self.layout.entry_at(cluster)));
        }
        Ok(())
    }

    /// The cluster after this one; `None` at the chain's end.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>> {
        let at = self.layout.entry_at(cluster);
        let l = &self.layout;
        let (width, table_end) = (l.width, l.table_at + l.table_len);
        let len = if width == Width::Fat32 { 4 } else { 2 };
        if at + len > table_end {
            return Err(Error::corrupt("the table is shorter than its clusters need", at));
        }
        let b = self.table(at, len as usize)?;
        let (next, end) = match width {
            Width::Fat12 if cluster % 2 == 1 => (u32::from(le16(&b, 0)) >> 4, 0xff8),
            Width::Fat12 => (u32::from(le16(&b, 0)) & 0xfff, 0xff8),
            Width::Fat16 => (u32::from(le16(&b, 0)), 0xfff8),
            Width::Fat32 => (le32(&b, 0) & 0x0fff_ffff, 0x0fff_fff8),
        };
        Ok((next < end).then_some(next))
    }

    /// `len` bytes (at most four) of the table at `at`, through a window.
    fn table(&mut self, at: u64, len: usize) -> Result<[u8; 4]> {
        let (start, bytes) = &self.window;
        let fits = at >= *start && at + len as u64 <= start + bytes.len() as u64;
        if !fits {
            let n = TABLE_WINDOW.min(self.image.len().saturating_sub(at)).max(len as u64);
            let mut buf = vec![0; n as usize];
            self.image.read_at(&mut buf, at)?;
            self.window = (at, buf);
        }
        let from = (at - self.window.0) as usize;
        let mut out = [0; 4];
        out[..len].copy_from_slice(&self.window.1[from..from + len]);
        Ok(out)
    }
}

/// FAT dates have no zone; they are taken as UTC.
fn date(date: u16, time: u16) -> Option<i64> {
    let (d, t) = (i64::from(date), i64::from(time));
    unix_time(1980 + (d >> 9), (d >> 5) & 15, d & 31, t >> 11, (t >> 5) & 63, (t & 31) * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_bites_its_tail_is_an_error() {
        let image = tiny(&[(2, 3), (3, 2)]);
        let e = open(&image.into()).expect_err("loop");
        assert!(e.to_string().contains("loop"), "{e}");
    }

    #[test]
    fn two_names_for_one_chain_are_an_error_and_no_endless_folder() {
        let mut b = tiny(&[(2, 0xfff)]);
        let root = 512 * 2;
        b.copy_within(root..root + 32, root + 32);
        b[root + 32] = b'B';
        assert!(open(&b.into()).is_err());
    }

    /// A FAT12 of 20 sectors with one file `A` of 1,000 bytes at cluster 2.
    fn tiny(links: &[(usize, u16)]) -> Vec<u8> {
        let mut b = vec![0u8; 512 * 20];
        b[0] = 0xeb;
        b[510..512].copy_from_slice(&[0x55, 0xaa]);
        b[12] = 2;
        b[13] = 1;
        b[14] = 1;
        b[16] = 1;
        b[17] = 16;
        b[19] = 20;
        b[21] = 0xf8;
        b[22] = 1;
        for &(c, next) in links {
            let at = 512 + c + c / 2;
            let v = le16(&b, at);
            let v = if c % 2 == 1 { (v & 0xf) | next << 4 } else { (v & 0xf000) | next };
            b[at..at + 2].copy_from_slice(&v.to_le_bytes());
        }
        b[1024..1035].copy_from_slice(b"A          ");
        b[1024 + 26] = 2;
        b[1024 + 28..1024 + 30].copy_from_slice(&2000u16.to_le_bytes());
        b
    }
}
