//! One tree of directories on the medium: its records as they stand there, read where they are needed.
//!
//! A medium has the primary tree, Joliet's, sometimes that of ISO 9660:1999, and again the first two
//! where a partition that starts behind the first sectors is to be mounted by itself.

use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::fields::{be32, le32};
use crate::format::iso9660::record::{
    FLAG_ASSOCIATED, FLAG_DIRECTORY, FLAG_MORE_EXTENTS, Raw, plain_name,
};
use crate::format::iso9660::rockridge::Susp;
use crate::format::iso9660::{SECTOR, joliet};
use std::collections::HashMap;

use super::canvas::Canvas;
use super::names::{Alphabet, Habit};
use super::susp::Style;
use super::{What, layout};

/// One directory, in bytes; as large as 100,000 entries.
const MAX_DIRECTORY: u64 = 16 << 20;
/// Folders inside folders.
const MAX_DEPTH: usize = 200;
/// New folders get numbers from here on until they have a place.
const NOWHERE: u32 = 0xf000_0000;

pub(super) struct Side {
    /// Byte offset in the image from which blocks count.
    pub base: u64,
    /// The image from there on.
    pub volume: Content,
    pub alphabet: Alphabet,
    /// Of a primary tree with Rock Ridge.
    pub style: Option<Style>,
    /// The names of the changes are this one's.
    pub shown: bool,
    /// Byte offsets in the image of the descriptors that name this tree.
    pub descriptors: Vec<u64>,
    /// Block of the root directory.
    pub root: u32,
    pub dirs: Vec<Dir>,
    /// The continuation area that is being filled: byte offset in the image, and its bytes so far.
    continuation: Option<(u64, Vec<u8>)>,
    by_lba: HashMap<u32, usize>,
}

pub(super) struct Dir {
    /// For errors.
    pub path: TreePath,
    /// Block where it stands, or its number from [`NOWHERE`] on.
    pub lba: u32,
    /// Length on the medium, 0 for a new one.
    pub len: u64,
    /// The directory that its `..` names. The root's is itself.
    pub parent: usize,
    /// `.` and `..`.
    pub dots: [Vec<u8>; 2],
    pub entries: Vec<Entry>,
    /// Its records are other than on the medium.
    pub dirty: bool,
    /// It is taken off its tree.
    pub gone: bool,
    /// It is to go to the image's end whether it has to or not.
    pub moves: bool,
    /// Nothing but zeros stands behind its records.
    pub clean: bool,
    pub habit: Habit,
}

pub(super) struct Entry {
    /// Several for a file of several extents.
    pub records: Vec<Vec<u8>>,
    /// As the view shows it, without the version.
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Of a new entry: what goes to a continuation area. Its records have a CE to be filled in.
    pub far: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// The folder at this block. CL is followed.
    Dir(u32),
    /// A link, a device, an associated or interleaved file.
    Other,
    /// RE: a folder that is shown elsewhere.
    Relocated,
}

impl Entry {
    pub fn id(&self) -> &[u8] {
        self.records.first().and_then(|r| Raw::first(r)).map_or(&[], |r| r.id())
    }

    /// CL: an empty file that stands for a folder which is elsewhere.
    pub fn is_link_to_folder(&self) -> bool {
        matches!(self.kind, Kind::Dir(_)) && self.records[0][25] & FLAG_DIRECTORY == 0
    }

    /// Bytes of the file, over all extents.
    pub fn len(&self) -> u64 {
        self.records.iter().map(|r| u64::from(le32(r, 10))).sum()
    }

    /// Blocks at which the extents' data begin.
    pub fn blocks(&self) -> Vec<u32> {
        self.records.iter().map(|r| le32(r, 2).saturating_add(u32::from(r[1]))).collect()
    }
}

impl Dir {
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.entries.iter().position(|e| e.kind != Kind::Relocated && e.name == name)
    }

    pub fn is_new(&self) -> bool {
        self.lba >= NOWHERE
    }
}

impl Side {
    pub fn new(base: u64, volume: Content, alphabet: Alphabet, style: Option<Style>) -> Self {
        Side {
            base,
            volume,
            alphabet,
            style,
            shown: false,
            descriptors: Vec::new(),
            root: 0,
            dirs: Vec::new(),
            continuation: None,
            by_lba: HashMap::new(),
        }
    }

    pub fn is_joliet(&self) -> bool {
        self.alphabet == Alphabet::Joliet
    }

    pub fn skip(&self) -> u8 {
        self.style.map_or(0, |s| s.skip)
    }

    /// The root directory.
    pub fn root(&mut self) -> Result<usize> {
        match self.known(self.root) {
            Some(i) => Ok(i),
            None => self.load(self.root, &TreePath::root(), self.dirs.len()),
        }
    }

    /// The folder that entry `e` of `dir` names, read if it was not. Image makers do not always write
    /// `..` right, so whoever names it counts as the one above.
    pub fn enter(&mut self, dir: usize, e: usize) -> Result<Option<usize>> {
        let entry = &self.dirs[dir].entries[e];
        let Kind::Dir(lba) = entry.kind else { return Ok(None) };
        if let Some(i) = self.known(lba) {
            return Ok(Some(i));
        }
        let path = self.dirs[dir].path.join(&entry.name)?;
        let relocated = entry.is_link_to_folder();
        let entered = match relocated {
            true => self.above_relocated(lba).and_then(|above| self.load(lba, &path, above)),
            false => self.load(lba, &path, dir),
        };
        entered.map(Some).map_err(|e| e.path(format_args!("/{path}")))
    }

    /// The folder in which relocated ones stand: one of the root's, that the `..` of the one at `lba` names.
    fn above_relocated(&mut self, lba: u32) -> Result<usize> {
        let bytes = self.bytes(u64::from(lba) * SECTOR)?;
        let above = self.parse(&bytes, lba, &TreePath::root())?.dots[1].clone();
        let above = le32(&above, 2);
        let root = self.root()?;
        let known = match self.known(above) {
            Some(i) => Some(i),
            None => match self.dirs[root].entries.iter().position(|e| e.kind == Kind::Dir(above)) {
                Some(e) => self.enter(root, e)?,
                None => None,
            },
        };
        let has = |i: &usize| {
            let kind = |e: &Entry| e.kind == Kind::Relocated && e.blocks() == [lba];
            self.dirs[*i].entries.iter().any(kind)
        };
        known.filter(has).ok_or_else(|| {
            let what = "a relocated folder that the one its .. names does not have (RRIP 4.1.5)";
            Error::corrupt(what, self.base + u64::from(lba) * SECTOR)
        })
    }

    /// The directory at `lba`, where it was read already.
    pub fn known(&self, lba: u32) -> Option<usize> {
        self.by_lba.get(&lba).copied()
    }

    fn load(&mut self, lba: u32, path: &TreePath, parent: usize) -> Result<usize> {
        if path.parts().count() > MAX_DEPTH {
            return Err(Error::unsupported("folders are not followed so deep"));
        }
        let bytes = self.bytes(u64::from(lba) * SECTOR)?;
        let mut dir = self.parse(&bytes, lba, path)?;
        dir.parent = parent;
        self.by_lba.insert(lba, self.dirs.len());
        self.dirs.push(dir);
        Ok(self.dirs.len() - 1)
    }

    /// All sectors of the directory at `at`, whose own record says how many.
    fn bytes(&self, at: u64) -> Result<Vec<u8>> {
        let mut first = vec![0; SECTOR as usize];
        self.volume.read_at(&mut first, at)?;
        let dot = Raw::first(&first).filter(|r| r.is_dot_of(at, SECTOR) && r.byte_orders_agree());
        let Some(dot) = dot else {
            let what = "a folder that does not begin with its own record (ECMA-119 6.8.2.2)";
            return Err(Error::corrupt(what, self.base + at));
        };
        let len = dot.data_len();
        if len > MAX_DIRECTORY || len == 0 {
            let what = format!("a directory of {len} bytes; at most {MAX_DIRECTORY} are edited");
            return Err(Error::unsupported(what).at(self.base + at));
        }
        let whole = len.next_multiple_of(SECTOR);
        let mut bytes = vec![0; whole as usize];
        self.volume.read_at(&mut bytes, at)?;
        // What the length leaves out of the last sector is not the directory's.
        if bytes[len as usize..].iter().any(|&b| b != 0) {
            bytes.truncate(len as usize);
        }
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8], lba: u32, path: &TreePath) -> Result<Dir> {
        let at = self.base + u64::from(lba) * SECTOR;
        let mut dots = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        let mut clean = bytes.len().is_multiple_of(SECTOR as usize);
        let mut more = false;
        let mut susp = Susp::new(&self.volume, SECTOR as u32, self.skip());
        for (n, sector) in bytes.chunks(SECTOR as usize).enumerate() {
            let mut off = 0;
            while off < sector.len() && sector[off] != 0 {
                let at = at + n as u64 * SECTOR + off as u64;
                let Some(raw) = Raw::first(&sector[off..]) else {
                    let what = "a directory record that does not fit (ECMA-119 9.1)";
                    return Err(Error::corrupt(what, at));
                };
                let record = sector[off..off + raw.len()].to_vec();
                off += raw.len();
                if raw.is_dots() && dots.len() < 2 && raw.id() == [dots.len() as u8] {
                    dots.push(record);
                } else if raw.is_dots() || dots.len() < 2 {
                    let what = "a folder without . and .. in front (ECMA-119 6.8.2.2)";
                    return Err(Error::corrupt(what, at));
                } else if let Some(last) = entries.last_mut().filter(|_| more) {
                    if last.id() != raw.id() {
                        let what = "a file's last extent is missing (ECMA-119 9.1.6, multi-extent)";
                        return Err(Error::corrupt(what, at));
                    }
                    more = raw.flags() & FLAG_MORE_EXTENTS != 0;
                    last.records.push(record);
                } else {
                    more = raw.flags() & FLAG_MORE_EXTENTS != 0;
                    entries.push(self.entry(&raw, record, &mut susp).map_err(|e| e.at(at))?);
                }
            }
            clean &= sector[off..].iter().all(|&b| b == 0);
        }
        let Ok(dots) = <[Vec<u8>; 2]>::try_from(dots) else {
            return Err(Error::corrupt("a folder without . and .. (ECMA-119 6.8.2.2)", at));
        };
        let len = u64::from(le32(&dots[0], 10));
        let ids = entries.iter().map(|e| (e.id(), matches!(e.kind, Kind::Dir(_))));
        let habit = Habit::of(ids, self.alphabet);
        let path = path.clone();
        let (parent, dirty, gone, moves) = (0, false, false, false);
        Ok(Dir { path, lba, len, parent, dots, entries, dirty, gone, moves, clean, habit })
    }

    fn entry(&self, raw: &Raw, record: Vec<u8>, susp: &mut Susp) -> Result<Entry> {
        let directory = raw.flags() & FLAG_DIRECTORY != 0;
        let start = le32(&record, 2).saturating_add(u32::from(record[1]));
        let mut kind = if directory { Kind::Dir(start) } else { Kind::File };
        let odd = raw.flags() & FLAG_ASSOCIATED != 0 || raw.is_interleaved();
        if odd && !directory {
            kind = Kind::Other;
        }
        let mut name = self.shown_plainly(raw.id());
        if self.style.is_some() {
            let facts = susp.facts(raw.system_use())?;
            if facts.target.is_some() || facts.special().is_some() {
                kind = Kind::Other;
            }
            kind = facts.child.map_or(kind, Kind::Dir);
            if facts.relocated {
                kind = Kind::Relocated;
            }
            name = facts.name.map_or(name, std::borrow::Cow::into_owned);
        }
        Ok(Entry { records: vec![record], name, kind, far: Vec::new() })
    }

    /// How the view shows an entry of that identifier, which is `name` with Rock Ridge.
    pub fn shown_as(&self, name: &[u8], id: &[u8]) -> Vec<u8> {
        if self.style.is_some() { name.to_vec() } else { self.shown_plainly(id) }
    }

    /// How it is shown by its identifier alone.
    pub fn shown_plainly(&self, id: &[u8]) -> Vec<u8> {
        match self.alphabet {
            Alphabet::Joliet => joliet::name(id).unwrap_or_else(|| id.to_vec()),
            _ => plain_name(id).to_vec(),
        }
    }

    /// Puts `bytes` into a continuation area: its block and the offset in it. SUSP 5.1: an area stays
    /// within its block.
    pub fn continuation(&mut self, canvas: &mut Canvas, bytes: &[u8]) -> Result<(u32, u32)> {
        let full = |(_, b): &(u64, Vec<u8>)| b.len() + bytes.len() > SECTOR as usize;
        if self.continuation.as_ref().is_none_or(full) {
            self.flush(canvas);
            self.continuation = Some((canvas.reserve_directory(SECTOR), Vec::new()));
        }
        let Some((at, b)) = &mut self.continuation else {
            return Err(Error::unsupported("no continuation area"));
        };
        let (at, off) = (*at, b.len() as u32);
        b.extend_from_slice(bytes);
        Ok((layout::block(self, at)?, off))
    }

    /// Writes the continuation area that was begun.
    pub fn flush(&mut self, canvas: &mut Canvas) {
        if let Some((at, b)) = self.continuation.take() {
            canvas.fill(at, &Content::from(b), What::Continuation);
        }
    }

    /// Notes a new directory below `parent`; the caller adds its entry there.
    pub fn add_dir(&mut self, path: TreePath, parent: usize, dots: [Vec<u8>; 2]) -> (usize, u32) {
        let i = self.dirs.len();
        let lba = NOWHERE + i as u32;
        self.by_lba.insert(lba, i);
        let habit = self.dirs[parent].habit;
        let (entries, dirty, gone, moves, clean) = (Vec::new(), true, false, true, true);
        self.dirs.push(Dir {
            path,
            lba,
            len: 0,
            parent,
            dots,
            entries,
            dirty,
            gone,
            moves,
            clean,
            habit,
        });
        (i, lba)
    }
}

/// Checks that a record's numbers say the same in both byte orders: what is written must not depend on
/// which one a reader takes.
pub(super) fn agree(record: &[u8]) -> bool {
    le32(record, 2) == be32(record, 6) && le32(record, 10) == be32(record, 14)
}
