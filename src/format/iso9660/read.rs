//! The directory walk: ECMA-119 clauses 6.8 and 9.
//!
//! Every directory extent is read once, in pieces, without recursion. A folder's entries are sorted by
//! name and wait on a stack; each is taken off in turn, and a folder's own entries come on top of what
//! still waits, so that all come off in the order of a tree. What can't be shown safely (a
//! name with `/`, a folder inside itself) is left out and noted; what shows that bytes are missing is
//! an error. Not supported: interleaved files, volume sets.
//!
//! Over 400 lines: the walk, its bounds and the joining of extents share one state.

use super::descriptors::{Root, SECTOR};
use super::joliet;
use super::record::{FLAG_ASSOCIATED, FLAG_DIRECTORY, FLAG_MORE_EXTENTS, Raw, plain_name};
use super::rockridge::{Facts, Susp};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind, Tree};
use crate::error::{Error, ErrorKind, Result};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// What a tree may come to in memory, about, in bytes: 100,000 entries with paths of 100 bytes.
pub const MAX_MEMORY: usize = 40 << 20;
/// One directory, in bytes. 500,000 entries in one folder fit; the field itself could say 4 GiB.
const MAX_DIRECTORY: u64 = 64 << 20;
/// Folders inside folders. ECMA-119 says 8, Rock Ridge trees have been seen with 30.
const MAX_DEPTH: usize = 200;
/// Entries with names that no tree can hold.
const MAX_LEFT_OUT: u32 = 10_000;
/// Bytes read at a time; a whole number of sectors.
const CHUNK: u64 = 256 << 10;
/// Bytes that a node takes beside its path, its link's target and its further extents.
const NODE_COST: usize = 330;

const ZEROS: [u8; SECTOR as usize] = [0; SECTOR as usize];

/// Which names are read.
pub(super) enum Names {
    RockRidge { skip: u8 },
    Joliet,
    Plain,
}

/// Where an entry stands in the image; byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The (first) directory record.
    pub at: u64,
    /// The (first) byte of the file or directory; meaningless for an empty file.
    pub data_at: u64,
}

/// Reads the tree below `root`, and for each of its nodes in order where it stands.
///
/// # Errors
/// `Corrupt` with path and offset; `Unsupported` over the bounds above.
pub(super) fn walk(
    image: &Content,
    block_size: u32,
    root: Root,
    names: Names,
) -> Result<(Tree, Vec<Record>)> {
    let skip = if let Names::RockRidge { skip } = names { skip } else { 0 };
    let mut w = Walk {
        image,
        block_size: u64::from(block_size),
        susp: Susp::new(image, block_size, skip),
        names,
        nodes: Vec::new(),
        records: Vec::new(),
        waiting: Vec::new(),
        twice: false,
        buf: Vec::new(),
        memory: 0,
        seen: BTreeMap::new(),
        emptied: BTreeSet::new(),
        moved: Vec::new(),
        notes: Vec::new(),
        left_out: 0,
        sloppy: BTreeMap::new(),
    };
    let path = TreePath::root();
    w.folder(&Folder { path, at: root.record_at, start: root.start, len: root.len })?;
    while let Some(Entry { path, node, record, len }) = w.waiting.pop() {
        let (at, start) = (record.at, record.data_at);
        let folder = node.is_dir().then(|| Folder { path: path.clone(), at, start, len });
        w.nodes.push((path, node));
        w.records.push(record);
        if let Some(f) = folder {
            w.folder(&f)?;
        }
    }
    w.finish()
}

/// A folder to be read.
struct Folder {
    path: TreePath,
    /// Offset of the record that names it.
    at: u64,
    start: u64,
    len: u64,
}

struct Entry {
    path: TreePath,
    node: Node,
    record: Record,
    /// Of a folder: its directory's length in bytes.
    len: u64,
}

/// A file whose further extents are yet to come.
struct Partial {
    id: Vec<u8>,
    entry: Entry,
    parts: Vec<Content>,
}

struct Walk<'a> {
    image: &'a Content,
    block_size: u64,
    susp: Susp<'a>,
    names: Names,
    /// What was taken off the stack: the tree in order, unless two have the same name.
    nodes: Vec<(TreePath, Node)>,
    /// Of each node.
    records: Vec<Record>,
    /// The stack; the first in order is the last one here.
    waiting: Vec<Entry>,
    /// A folder has two entries of one name.
    twice: bool,
    /// The piece of a directory that is looked at.
    buf: Vec<u8>,
    memory: usize,
    /// Directory extents that were read: start to end.
    seen: BTreeMap<u64, u64>,
    /// Folders from which relocated ones were taken, with nothing else in them.
    emptied: BTreeSet<TreePath>,
    /// Relocated folders: where they stand, and where their record does.
    moved: Vec<(u64, u64)>,
    notes: Vec<String>,
    left_out: u32,
    /// Faults that come by the thousand: how often, and where first.
    sloppy: BTreeMap<&'static str, (u32, String)>,
}

/// What is gathered while one folder is read.
#[derive(Default)]
struct Progress {
    partial: Option<Partial>,
    /// The further extents of a file that was left out are left out too.
    skipping: bool,
    relocated_away: bool,
    kept: bool,
}

impl Walk<'_> {
    fn folder(&mut self, f: &Folder) -> Result<()> {
        if f.path.parts().count() > MAX_DEPTH {
            self.note(&f.path, "shown empty: folders are not followed so deep", f.at);
            return Ok(());
        }
        let mut buf = std::mem::take(&mut self.buf);
        let read = self.entries(f, &mut buf).map_err(|e| e.path(format_args!("/{}", f.path)));
        self.buf = buf;
        read
    }

    /// Puts the folder's entries on the stack.
    fn entries(&mut self, f: &Folder, buf: &mut Vec<u8>) -> Result<()> {
        if f.len > MAX_DIRECTORY {
            let what = format!("a directory of {} bytes; at most {MAX_DIRECTORY} are read", f.len);
            return Err(Error::unsupported(what).at(f.at));
        }
        let end = f.start + f.len;
        let before = self.seen.range(..end).next_back();
        if f.len > 0 && before.is_some_and(|(_, e)| *e > f.start) {
            let why = "its directory lies over one that was read already, so it is shown empty";
            self.note(&f.path, why, f.at);
            return Ok(());
        }
        self.seen.insert(f.start, end);
        if (buf.len() as u64) < f.len.min(CHUNK) {
            buf.resize(f.len.min(CHUNK) as usize, 0);
        }
        let mut progress = Progress::default();
        let first = self.waiting.len();
        let mut done = 0;
        while done < f.len {
            let n = (f.len - done).min(CHUNK) as usize;
            self.image.read_at(&mut buf[..n], f.start + done)?;
            for (i, sector) in buf[..n].chunks(SECTOR as usize).enumerate() {
                self.sector(f, sector, f.start + done + i as u64 * SECTOR, &mut progress)?;
            }
            done += n as u64;
        }
        self.sort(first, &f.path);
        if let Some(p) = progress.partial {
            let what = "a file's last extent is missing (ECMA-119 9.1.6, multi-extent)";
            return Err(Error::corrupt(what, p.entry.record.at));
        }
        if progress.relocated_away && !progress.kept {
            self.emptied.insert(f.path.clone());
        }
        Ok(())
    }

    /// Sorts what was put on the stack from `first` on, all out of the folder `dir`.
    fn sort(&mut self, first: usize, dir: &TreePath) {
        let name = dir.as_bytes().len() + usize::from(!dir.is_root());
        let mut twice = false;
        let new = &mut self.waiting[first..];
        // Of two alike the first is to stay the first: hence a stable sort, and then the reverse.
        new.sort_by(|a, b| {
            let order = a.path.as_bytes()[name..].cmp(&b.path.as_bytes()[name..]);
            twice |= order == Ordering::Equal;
            order
        });
        new.reverse();
        self.twice |= twice;
    }

    /// ECMA-119 6.8.1.1: a record does not cross a sector's end; the rest of a sector is zero.
    fn sector(&mut self, f: &Folder, sector: &[u8], at: u64, p: &mut Progress) -> Result<()> {
        let mut off = 0;
        if at == f.start
            && Raw::first(sector).is_none_or(|r| !r.is_dot_of(f.start, self.block_size))
        {
            self.sloppy(
                "a folder that does not begin with its own record (ECMA-119 6.8.2.2)",
                &f.path,
                at,
            );
        }
        while off < sector.len() && sector[off] != 0 {
            let at = at + off as u64;
            let Some(r) = Raw::first(&sector[off..]) else {
                return Err(Error::corrupt(
                    "a directory record that does not fit (ECMA-119 9.1)",
                    at,
                ));
            };
            if !r.is_dots() {
                self.record(f, &r, at, p)?;
            }
            off += r.len();
        }
        if sector[off..] != ZEROS[..sector.len() - off] {
            let why = "bytes behind a folder's last record, which may hide some (ECMA-119 6.8.1.1)";
            self.sloppy(why, &f.path, at + off as u64);
        }
        Ok(())
    }

    fn record(&mut self, f: &Folder, r: &Raw, at: u64, p: &mut Progress) -> Result<()> {
        if let Some(partial) = p.partial.take() {
            p.partial = self.further_extent(partial, r, at)?;
            return Ok(());
        }
        let more = r.flags() & FLAG_MORE_EXTENTS != 0;
        if p.skipping {
            p.skipping = more;
            return Ok(());
        }
        let facts = match self.names {
            Names::RockRidge { .. } => self.susp.facts(r.system_use()).map_err(|e| e.at(at))?,
            _ => Facts::default(),
        };
        if facts.relocated {
            p.relocated_away = true;
            self.spend(64, at)?;
            self.moved.push((r.start(self.block_size), at));
            return Ok(());
        }
        p.kept = true;
        let path = match self.name(r.id(), &facts, &f.path) {
            Ok(path) => path,
            Err(why) => {
                p.skipping = more;
                let name = facts.name.as_deref().unwrap_or(r.id()).escape_ascii();
                let what = format!("\"{name}\" is left out: {why}");
                return self.left_out(&f.path, &what, at);
            }
        };
        self.spend(
            NODE_COST + path.as_bytes().len() + facts.target.as_ref().map_or(0, Vec::len),
            at,
        )?;
        if let Some(fault) = facts.fault {
            self.sloppy(fault, &path, at);
        }
        if !r.byte_orders_agree() {
            let why =
                "the two byte orders of a number disagree (ECMA-119 7.3.3); little-endian is used";
            self.sloppy(why, &path, at);
        }
        if r.has_attribute_record() {
            self.sloppy("data behind an extended attribute record, which is skipped", &path, at);
        }
        let directory = facts.child.is_some() || r.flags() & FLAG_DIRECTORY != 0;
        if !facts.agree(directory) {
            self.sloppy("Rock Ridge's file type is not what the record is", &path, at);
        }
        if directory {
            return self.subfolder(path, r, &facts, at);
        }
        if r.flags() & FLAG_ASSOCIATED != 0 || r.is_interleaved() {
            self.note(&path, "left out: associated and interleaved files are not supported", at);
            p.skipping = more;
            return Ok(());
        }
        p.partial = self.file(path, r, facts, at)?;
        Ok(())
    }

    /// The entry's path, or why it has none.
    fn name(&self, id: &[u8], facts: &Facts, dir: &TreePath) -> Result<TreePath, String> {
        let joined = match (&self.names, &facts.name) {
            (Names::Joliet, _) => dir.join(joliet::name(id).ok_or("its name is not UTF-16")?),
            (_, Some(name)) => dir.join(name),
            _ => dir.join(plain_name(id)),
        };
        joined.map_err(|e| e.to_string())
    }

    fn subfolder(&mut self, path: TreePath, r: &Raw, facts: &Facts, at: u64) -> Result<()> {
        let mut node = Node { kind: NodeKind::Dir, mode: 0o555, mtime: r.mtime() };
        node.mode = facts.mode.map_or(node.mode, |m| m & 0o7777);
        node.mtime = facts.mtime.or(node.mtime);
        let (mut start, mut len) = (r.start(self.block_size), r.data_len());
        if let Some(lba) = facts.child {
            start = u64::from(lba) * self.block_size;
            len = self
                .relocated(start, &mut node)
                .map_err(|e| e.path(format_args!("/{path}")).at(at))?;
        }
        let record = Record { at, data_at: start };
        self.waiting.push(Entry { path, node, record, len });
        Ok(())
    }

    /// RRIP 4.1.5: a relocated directory's length and attributes stand in its own `.` record.
    fn relocated(&mut self, start: u64, node: &mut Node) -> Result<u64> {
        let mut dot = [0u8; 256];
        let n = (self.image.len().saturating_sub(start)).min(256) as usize;
        self.image.read_at(&mut dot[..n.max(34)], start)?;
        let Some(r) =
            Raw::first(&dot).filter(|r| r.id() == [0] && r.start(self.block_size) == start)
        else {
            return Err(Error::corrupt(
                "no directory where CL says that one is (RRIP 4.1.5.1)",
                start,
            ));
        };
        let facts = self.susp.facts(r.system_use())?;
        node.mode = facts.mode.map_or(node.mode, |m| m & 0o7777);
        node.mtime = facts.mtime.or(node.mtime);
        Ok(r.data_len())
    }

    fn file(&mut self, path: TreePath, r: &Raw, facts: Facts, at: u64) -> Result<Option<Partial>> {
        let mode = facts.mode.map_or(0o444, |m| m & 0o7777);
        let mtime = facts.mtime.or_else(|| r.mtime());
        let record = Record { at, data_at: r.start(self.block_size) };
        let special = facts.special();
        let kind = match (facts.target, special) {
            (Some(target), _) => NodeKind::Symlink(target),
            (None, Some(s)) => NodeKind::Special(s),
            (None, None) => {
                let first = self.extent(r).map_err(|e| e.path(format_args!("/{path}")))?;
                if r.flags() & FLAG_MORE_EXTENTS != 0 {
                    let node = Node { kind: NodeKind::File(Content::empty()), mode, mtime };
                    let entry = Entry { path, node, record, len: 0 };
                    return Ok(Some(Partial { id: r.id().to_vec(), entry, parts: vec![first] }));
                }
                NodeKind::File(first)
            }
        };
        self.waiting.push(Entry { path, node: Node { kind, mode, mtime }, record, len: 0 });
        Ok(None)
    }

    /// ECMA-119 9.1.6: the records of a file of several extents follow each other under one name.
    fn further_extent(&mut self, mut p: Partial, r: &Raw, at: u64) -> Result<Option<Partial>> {
        let path = &p.entry.path;
        if r.id() != p.id || r.flags() & FLAG_DIRECTORY != 0 {
            let what = "a file's last extent is missing (ECMA-119 9.1.6, multi-extent)";
            return Err(Error::corrupt(what, at).path(format_args!("/{path}")));
        }
        p.parts.push(self.extent(r).map_err(|e| e.path(format_args!("/{path}")))?);
        self.spend(200, at)?;
        if r.flags() & FLAG_MORE_EXTENTS != 0 {
            return Ok(Some(p));
        }
        p.entry.node.kind = NodeKind::File(Content::concat(p.parts));
        self.waiting.push(p.entry);
        Ok(None)
    }

    /// The bytes of one record. An empty file's extent may be anywhere.
    fn extent(&self, r: &Raw) -> Result<Content> {
        if r.data_len() == 0 {
            return Ok(Content::empty());
        }
        let start = r.start(self.block_size);
        self.image.slice(start..start + r.data_len())
    }

    fn spend(&mut self, bytes: usize, at: u64) -> Result<()> {
        self.memory += bytes;
        if self.memory > MAX_MEMORY {
            let what = format!(
                "the tree is too big: {} entries would take over {} MiB of memory",
                self.nodes.len() + self.waiting.len(),
                MAX_MEMORY >> 20
            );
            return Err(Error::new(ErrorKind::Unsupported, what).at(at));
        }
        Ok(())
    }

    /// Notes an entry that can't be shown. A real medium has a few, if any.
    fn left_out(&mut self, dir: &TreePath, what: &str, at: u64) -> Result<()> {
        self.left_out += 1;
        if self.left_out > MAX_LEFT_OUT {
            let what = format!("more than {MAX_LEFT_OUT} entries have names that can't be shown");
            return Err(Error::unsupported(what).at(at));
        }
        self.note(dir, what, at);
        Ok(())
    }

    fn note(&mut self, path: &TreePath, why: &str, at: u64) {
        self.notes_push(format!("/{path}: {why} (at offset {at:#x})"));
    }

    fn notes_push(&mut self, note: String) {
        // Tree keeps a thousand; more would only fill the memory.
        if self.notes.len() < 1000 {
            self.notes.push(note);
        }
    }

    fn sloppy(&mut self, why: &'static str, path: &TreePath, at: u64) {
        let first = || (0, format!("/{path} (at offset {at:#x})"));
        self.sloppy.entry(why).or_insert_with(first).0 += 1;
    }

    fn finish(mut self) -> Result<(Tree, Vec<Record>)> {
        let hidden = std::mem::take(&mut self.emptied);
        for (start, at) in std::mem::take(&mut self.moved) {
            if !self.seen.contains_key(&start) {
                let what = "a relocated folder that nothing points to is left out (RRIP 4.1.5)";
                self.notes_push(format!("{what} (at offset {at:#x})"));
            }
        }
        if self.twice || !hidden.is_empty() {
            self.drop_impossible(&hidden);
        }
        let mut tree = Tree::of_sorted(self.nodes);
        for (why, (count, first)) in self.sloppy {
            tree.note(if count == 1 {
                format!("{first}: {why}")
            } else {
                format!("{first}: {why}, and {} entries more", count - 1)
            });
        }
        for n in self.notes {
            tree.note(n);
        }
        Ok((tree, self.records))
    }

    /// Takes the hidden folders out. Of entries with the same path the first counts, and what stood in
    /// a folder that is not shown goes with it: a link and a folder of one name would lead an
    /// extraction out of its tree.
    fn drop_impossible(&mut self, hidden: &BTreeSet<TreePath>) {
        let nodes = std::mem::take(&mut self.nodes).into_iter();
        let mut all: Vec<_> = nodes.zip(std::mem::take(&mut self.records)).collect();
        all.retain(|((path, _), _)| !hidden.contains(path));
        all.sort_by(|((a, _), _), ((b, _), _)| a.cmp(b));
        let mut open: Vec<TreePath> = Vec::new();
        let mut last: Option<TreePath> = None;
        let mut notes = Vec::new();
        all.retain(|((path, node), record)| {
            let twice = last.as_ref() == Some(path);
            while open.last().is_some_and(|d| !path.starts_with(d)) {
                open.pop();
            }
            let parent = path.parent().unwrap_or_default();
            let orphan = open.last().map_or(!parent.is_root(), |d| *d != parent);
            if twice || orphan {
                let why =
                    if twice { "a second entry of that name" } else { "its folder is not shown" };
                notes.push(format!("/{path}: left out: {why} (at offset {:#x})", record.at));
                notes.truncate(1000);
                return false;
            }
            last = Some(path.clone());
            if node.is_dir() {
                open.push(path.clone());
            }
            true
        });
        self.notes.append(&mut notes);
        (self.nodes, self.records) = all.into_iter().unzip();
    }
}
