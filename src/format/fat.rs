//! FAT12, FAT16 and FAT32 with long names, read as a [`Tree`] whose files are extents of the image.
//! Sources: Microsoft's "FAT: General Overview of On-Disk Format" 1.03; Linux' choice of FAT32 by the
//! fields rather than by the cluster count, for mkfs.vfat makes small FAT32.
//!
//! Written here and not left to the crate `fatfs` 0.3.6: it gives no extents (a file could only be
//! copied, not shared), and refuses the small FAT32 images that mkfs.vfat makes.
//!
//! Not supported: code pages other than 437 in short names, exFAT, writing.

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
/// Folders inside folders.
const MAX_DEPTH: u16 = 64;
/// One folder: 65,536 entries of 32 bytes is FAT's own limit.
const MAX_DIRECTORY: u64 = 2 << 20;
/// What the tree may come to in memory, about, in bytes.
const MAX_MEMORY: usize = 24 << 20;
/// Bytes of the table that are read at a time.
const TABLE_WINDOW: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// Where things stand, from the BIOS parameter block. Byte offsets and lengths.
#[derive(Debug, Clone)]
struct Layout {
    width: Width,
    total: u64,
    table_at: u64,
    table_len: u64,
    /// FAT12 and FAT16: the root folder's fixed area.
    root_at: u64,
    root_len: u64,
    /// FAT32: the root folder's first cluster.
    root_cluster: u32,
    data_at: u64,
    cluster: u64,
    clusters: u64,
}

/// The bytes that the image's own parameter block says it has; `None` where there is no FAT.
pub fn size(image: &Content) -> Option<u64> {
    layout(image).ok().flatten().map(|l| l.total)
}

fn layout(image: &Content) -> Result<Option<Layout>> {
    let mut b = [0u8; 512];
    if image.len() < 512 {
        return Ok(None);
    }
    image.read_at(&mut b, 0)?;
    let sector = u64::from(le16(&b, 11));
    let per_cluster = u64::from(b[13]);
    let (reserved, tables) = (u64::from(le16(&b, 14)), u64::from(b[16]));
    let plausible = b[510..512] == [0x55, 0xaa]
        && matches!(b[0], 0xeb | 0xe9)
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && per_cluster.is_power_of_two()
        && reserved > 0
        && (1..=4).contains(&tables)
        && matches!(b[21], 0xf0 | 0xf8..);
    if !plausible {
        return Ok(None);
    }
    let either = |small: u16, big: u32| if small != 0 { u64::from(small) } else { u64::from(big) };
    let total = either(le16(&b, 19), le32(&b, 32)) * sector;
    let (table16, table32) = (le16(&b, 22), le32(&b, 36));
    let table_len = either(table16, table32) * sector;
    let root_len = (u64::from(le16(&b, 17)) * 32).next_multiple_of(sector);
    let root_at = reserved * sector + tables * table_len;
    let data_at = root_at + root_len;
    let cluster = per_cluster * sector;
    if table_len == 0 || data_at > total {
        return Ok(None);
    }
    let clusters = (total - data_at) / cluster;
    let width = match clusters {
        _ if table16 == 0 => Width::Fat32,
        0..4085 => Width::Fat12,
        4085..65525 => Width::Fat16,
        _ => Width::Fat32,
    };
    Ok(Some(Layout {
        width,
        total,
        table_at: reserved * sector,
        table_len,
        root_at,
        root_len,
        root_cluster: le32(&b, 44),
        data_at,
        cluster,
        clusters,
    }))
}

/// Opens `image` as FAT. `None` where it is none. Names are those that the long entries give, else
/// the short ones; what can't be shown is left out and noted in the tree.
///
/// # Errors
/// `Corrupt` with the offset where the image is damaged or ends early, `Unsupported` over the bounds.
pub fn open(image: &Content) -> Result<Option<Tree>> {
    let Some(layout) = layout(image)? else { return Ok(None) };
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
        let mut long = LongName::default();
        for (i, e) in bytes.chunks_exact(32).enumerate() {
            match (e[0], e[11] & 0x3f) {
                (0, _) => break,
                (0xe5, _) => long = LongName::default(),
                (_, 0x0f) => long.take(e),
                // A volume label.
                (_, attr) if attr & 0x08 != 0 => long = LongName::default(),
                _ => {
                    let name = std::mem::take(&mut long).finish(e).unwrap_or_else(|| short_name(e));
                    if !matches!(&name[..], "." | "..") {
                        self.entry(dir, &name, e, i, depth)?;
                    }
                }
            }
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
        let high = if self.layout.width == Width::Fat32 { le16(e, 20) } else { 0 };
        let cluster = u32::from(le16(e, 26)) | u32::from(high) << 16;
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
            let at = self.cluster_at(cluster)?;
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
                    return Err(Error::corrupt(what, self.entry_at(cluster)));
                }
                None => break,
            }
        }
        let parts: Result<Vec<Content>> =
            runs.into_iter().map(|(at, n)| self.image.slice(at..at + n)).collect();
        Ok(Content::concat(parts?))
    }

    fn cluster_at(&self, cluster: u32) -> Result<u64> {
        match u64::from(cluster).checked_sub(2).filter(|n| *n < self.layout.clusters) {
            Some(n) => Ok(self.layout.data_at + n * self.layout.cluster),
            None => {
                let what = format!("cluster {cluster} is not one of {}", self.layout.clusters);
                Err(Error::corrupt(what, self.layout.table_at))
            }
        }
    }

    fn claim(&mut self, cluster: u32) -> Result<()> {
        let (word, bit) = (cluster as usize / 64, 1u64 << (cluster % 64));
        if self.used[word] & bit != 0 {
            let what = format!("cluster {cluster} belongs to two files or to a loop");
            return Err(Error::corrupt(what, self.entry_at(cluster)));
        }
        self.used[word] |= bit;
        self.steps += 1;
        if self.steps > MAX_STEPS {
            let what = format!("more than {MAX_STEPS} clusters in use");
            return Err(Error::unsupported(what).at(self.entry_at(cluster)));
        }
        Ok(())
    }

    /// Byte offset of the cluster's entry in the table.
    fn entry_at(&self, cluster: u32) -> u64 {
        let c = u64::from(cluster);
        self.layout.table_at
            + match self.layout.width {
                Width::Fat12 => c + c / 2,
                Width::Fat16 => c * 2,
                Width::Fat32 => c * 4,
            }
    }

    /// The cluster after this one; `None` at the chain's end.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>> {
        let at = self.entry_at(cluster);
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

/// A long name while its entries come in, last part first.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    /// Number of the entry that must come next, counting down to 1; 0 when complete.
    next: u8,
    sum: u8,
    broken: bool,
}

impl LongName {
    fn take(&mut self, e: &[u8]) {
        let number = e[0] & 0x1f;
        if e[0] & 0x40 != 0 {
            *self = LongName { next: number, sum: e[13], ..LongName::default() };
        }
        if self.next == 0 || number != self.next || self.sum != e[13] {
            self.broken = true;
            return;
        }
        self.next -= 1;
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
        let part: Vec<u16> = places.map(|at| le16(e, at)).collect();
        self.units.splice(0..0, part);
    }

    /// The name, if it is whole and belongs to the short entry `e`.
    fn finish(self, e: &[u8]) -> Option<String> {
        let sum = e[..11].iter().fold(0u8, |s, &c| s.rotate_right(1).wrapping_add(c));
        if self.broken || self.next != 0 || self.units.is_empty() || sum != self.sum {
            return None;
        }
        let end = self.units.iter().position(|&u| u == 0).unwrap_or(self.units.len());
        Some(String::from_utf16_lossy(&self.units[..end]))
    }
}

/// The 8.3 name in the case that Windows' flags ask for.
fn short_name(e: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| -> String {
        let end = bytes.iter().rposition(|&b| b != b' ').map_or(0, |i| i + 1);
        let text: String = bytes[..end].iter().map(|&b| code_page_437(b)).collect();
        if lower { text.to_lowercase() } else { text }
    };
    let mut base = e[..8].to_vec();
    // 0x05 stands for 0xe5, which would mean "deleted".
    if base[0] == 0x05 {
        base[0] = 0xe5;
    }
    let (base, ext) = (part(&base, e[12] & 8 != 0), part(&e[8..11], e[12] & 16 != 0));
    if ext.is_empty() { base } else { format!("{base}.{ext}") }
}

fn code_page_437(b: u8) -> char {
    const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»\
        ░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
        αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    match b {
        0x80.. => HIGH.chars().nth(usize::from(b - 0x80)).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::from(b),
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
    fn the_code_page_is_whole() {
        assert_eq!(code_page_437(0xff), '\u{a0}');
        assert_eq!(code_page_437(0xe1), 'ß');
        assert_eq!(code_page_437(0x80), 'Ç');
    }

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
