//! Editing: files put and names removed, in an image that stays what it is where nothing changed.
//!
//! A file that is put over another keeps its name, its attributes and its clusters as far as they
//! suffice. An image that is full grows at its end; its data area is then moved, not laid out anew.

use super::folder::{Entry, Folder, entries, shorts};
use super::name;
use super::volume::{END, ROOT, Volume, runs};
use super::write;
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::fields::civil;
use std::collections::{BTreeMap, BTreeSet};

/// What is to become of a path. The names of FAT heed no case: neither do the paths.
#[derive(Debug, Clone)]
pub enum Change {
    /// A file with this content; folders above it are made where they are missing.
    Put(Content),
    /// Nothing there any more, nor below it. It need not have been there.
    Remove,
}

/// What [`edit`] made.
#[derive(Debug, Clone)]
pub struct Edited {
    /// The new image: changed sectors and new files; all else as extents of the old one.
    pub image: Content,
    /// True where the image was full and is bigger now: all that is in it then lies at other offsets.
    pub grown: bool,
}

/// `image` after `changes`; `time` (seconds since 1970, UTC) goes to the files that are put. Where the
/// image has all of it already, the result is the image itself, so that twice is once.
///
/// What lies behind the file system's end stays where the image does not grow, and is dropped where it
/// does.
///
/// # Errors
/// `Corrupt` where the image is damaged, `Unsupported` where it is no FAT or FAT can't hold it,
/// `Usage` for a name that FAT can't have, `Conflict` where a file should become a folder or the
/// reverse, or two changes mean the same file.
pub fn edit(image: &Content, changes: &BTreeMap<TreePath, Change>, time: i64) -> Result<Edited> {
    agree(changes)?;
    let mut editor =
        Editor { volume: Volume::load(image)?, put: BTreeSet::new(), stamp: stamp(time) };
    let at = |path: &TreePath| {
        let path = path.clone();
        move |e: Error| e.path(format_args!("/{path}"))
    };
    for (path, _) in changes.iter().filter(|(_, c)| matches!(c, Change::Remove)) {
        editor.remove(path).map_err(at(path))?;
    }
    for (path, change) in changes {
        if let Change::Put(content) = change {
            editor.put(path, content).map_err(at(path))?;
        }
    }
    write::finish(editor.volume)
}

/// Makes sure that the order of the changes is all one.
fn agree(changes: &BTreeMap<TreePath, Change>) -> Result<()> {
    let mut all: BTreeMap<String, bool> = BTreeMap::new();
    for (path, change) in changes {
        if path.is_root() {
            return Err(Error::usage("the root folder of a FAT can't be changed"));
        }
        let folded = name::fold(text(path.as_bytes())?);
        if all.insert(folded, matches!(change, Change::Remove)).is_some() {
            return Err(conflict("two changes of one file: FAT heeds no case").path(path));
        }
    }
    for (path, _) in all.iter().filter(|(_, removed)| !**removed) {
        let above = path.match_indices('/').map(|(i, _)| &path[..i]);
        if let Some(dir) = above.into_iter().find(|dir| all.contains_key(*dir)) {
            let what =
                format!("a file is to be put below /{dir}, which is to be removed or a file");
            return Err(conflict(what).path(format_args!("/{path}")));
        }
    }
    Ok(())
}

fn conflict(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, what)
}

fn text(name: &[u8]) -> Result<&str> {
    let not_utf8 =
        |_| Error::usage(format!("\"{}\" can't be a name on FAT: not UTF-8", name.escape_ascii()));
    std::str::from_utf8(name).map_err(not_utf8)
}

/// Time and date as an entry has them: two seconds, 1980 to 2107.
fn stamp(time: i64) -> [u8; 4] {
    const FIRST: i64 = 315_532_800;
    const LAST: i64 = 4_354_819_198;
    let (y, mo, d, h, mi, s) = civil(time.clamp(FIRST, LAST));
    let date = (y - 1980) << 9 | mo << 5 | d;
    let time = h << 11 | mi << 5 | (s / 2);
    let [t, d] = [time, date].map(|v| (v as u16).to_le_bytes());
    [t[0], t[1], d[0], d[1]]
}

struct Editor<'a> {
    volume: Volume<'a>,
    /// Folder and slot of what was put.
    put: BTreeSet<(u32, usize)>,
    stamp: [u8; 4],
}

/// What of an [`Entry`] outlives the next change of its folder.
struct Found {
    from: usize,
    at: usize,
    is_dir: bool,
    first: u32,
    size: u64,
}

impl Editor<'_> {
    fn folder(&mut self, key: u32) -> Result<&mut Folder> {
        let missing = || Error::corrupt("a folder without a cluster", 0);
        self.volume.folders.get_mut(&key).ok_or_else(missing)
    }

    fn find(&mut self, key: u32, name: &str) -> Result<Option<Found>> {
        let found = |e: Entry<'_>| Found {
            from: e.from,
            at: e.at,
            is_dir: e.is_dir(),
            first: e.first(),
            size: e.size(),
        };
        Ok(self.folder(key)?.find(name).map(found))
    }

    fn remove(&mut self, path: &TreePath) -> Result<()> {
        let parts: Vec<&[u8]> = path.parts().collect();
        let mut key = ROOT;
        for (i, part) in parts.iter().enumerate() {
            let name = text(part)?;
            if i + 1 == parts.len() {
                // A sloppy image may have several.
                while let Some(found) = self.find(key, name)? {
                    self.volume.changed = true;
                    self.folder(key)?.erase(found.from, found.at);
                    self.release(&found)?;
                }
                return Ok(());
            }
            let Some(found) = self.find(key, name)? else { return Ok(()) };
            if !found.is_dir || found.first == 0 {
                return Ok(());
            }
            key = found.first;
        }
        Ok(())
    }

    /// Frees the clusters of an entry and of all below it.
    fn release(&mut self, found: &Found) -> Result<()> {
        let mut left = vec![(found.first, found.is_dir)];
        while let Some((first, is_dir)) = left.pop() {
            let chain = self.volume.chain(first)?;
            self.volume.free(&chain);
            if let Some(folder) = is_dir.then(|| self.volume.folders.remove(&first)).flatten() {
                let below = entries(&folder.bytes);
                left.extend(below.map(|e| (e.first(), e.is_dir())));
            }
        }
        Ok(())
    }

    fn put(&mut self, path: &TreePath, content: &Content) -> Result<()> {
        if content.len() > u64::from(u32::MAX) {
            return Err(Error::unsupported("a file on FAT is smaller than 4 GiB"));
        }
        let dir = path.parent().unwrap_or_default();
        let mut key = ROOT;
        for part in dir.parts() {
            let name = text(part)?;
            key = match self.find(key, name)? {
                Some(found) if found.is_dir => found.first,
                Some(_) => return Err(conflict(format!("\"{name}\" is a file, not a folder"))),
                None => self.make_folder(key, name)?,
            };
            if key == ROOT {
                return Err(Error::corrupt("a folder without a cluster", 0));
            }
        }
        let name = text(path.parts().next_back().unwrap_or_default())?;
        match self.find(key, name)? {
            Some(found) if found.is_dir => Err(conflict("is a folder on the image")),
            Some(found) => self.overwrite(key, &found, content),
            None => {
                let at = self.add(key, name, 0x20)?;
                self.put.insert((key, at));
                self.fill(key, at, Vec::new(), content)
            }
        }
    }

    fn overwrite(&mut self, key: u32, found: &Found, content: &Content) -> Result<()> {
        if !self.put.insert((key, found.at)) {
            return Err(conflict("two changes of one file: this is the short name of another"));
        }
        let chain = self.volume.chain(found.first)?;
        if found.size == content.len() && same(&self.volume.content(&chain, found.size)?, content)?
        {
            return Ok(());
        }
        self.fill(key, found.at, chain, content)
    }

    /// Writes `content` over `chain`, made as long as it takes, and tells the entry.
    fn fill(&mut self, key: u32, at: usize, mut chain: Vec<u32>, content: &Content) -> Result<()> {
        let cluster = self.volume.layout.cluster;
        let need = content.len().div_ceil(cluster);
        if need < chain.len() as u64 {
            let rest = chain.split_off(need as usize);
            self.volume.free(&rest);
            self.volume.link(&chain);
        } else if need > chain.len() as u64 {
            self.volume.extend(&mut chain, need)?;
        }
        let padding = Content::zeros(need * cluster - content.len());
        let padded = Content::concat([content.clone(), padding]);
        let mut from = 0;
        for (first, n) in runs(&chain) {
            let to = from + n * cluster;
            self.volume.data.insert(first, padded.slice(from..to)?);
            from = to;
        }
        self.volume.changed = true;
        let stamp = self.stamp;
        let e = self.folder(key)?.slot(at);
        point(e, chain.first().copied().unwrap_or(0));
        e[28..32].copy_from_slice(&(content.len() as u32).to_le_bytes());
        e[22..26].copy_from_slice(&stamp);
        e[18..20].copy_from_slice(&stamp[2..]);
        Ok(())
    }

    /// A new entry that points nowhere yet; its slot.
    fn add(&mut self, key: u32, name: &str, attributes: u8) -> Result<usize> {
        let stamp = self.stamp;
        let folder = self.folder(key)?;
        let taken: BTreeSet<[u8; 11]> = shorts(&folder.bytes).collect();
        let mut new = name::entries(name, &|short| taken.contains(short))?;
        if let Some(e) = new.last_mut() {
            e[11] = attributes;
            stamp_all(e, stamp);
        }
        let at = folder.insert(&new)?;
        self.volume.fit(key)?;
        Ok(at)
    }

    fn make_folder(&mut self, parent: u32, name: &str) -> Result<u32> {
        let at = self.add(parent, name, 0x10)?;
        let mut chain = Vec::new();
        self.volume.extend(&mut chain, 1)?;
        let key = chain.first().copied().unwrap_or(END);
        let dots = [(&b".          "[..], key), (b"..         ", parent)].map(|(name, to)| {
            let mut e = [0u8; 32];
            e[..11].copy_from_slice(name);
            e[11] = 0x10;
            stamp_all(&mut e, self.stamp);
            point(&mut e, to);
            e
        });
        let folder = Folder { bytes: dots.concat(), chain, changed: true };
        self.volume.folders.insert(key, folder);
        point(self.folder(parent)?.slot(at), key);
        Ok(key)
    }
}

/// Writes a first cluster, in both halves.
fn point(e: &mut [u8], cluster: u32) {
    let b = cluster.to_le_bytes();
    e[26..28].copy_from_slice(&b[..2]);
    e[20..22].copy_from_slice(&b[2..]);
}

fn stamp_all(e: &mut [u8], stamp: [u8; 4]) {
    e[14..18].copy_from_slice(&stamp);
    e[18..20].copy_from_slice(&stamp[2..]);
    e[22..26].copy_from_slice(&stamp);
}

fn same(a: &Content, b: &Content) -> Result<bool> {
    const WINDOW: u64 = 64 << 10;
    let mut at = 0;
    while at < a.len() {
        let to = a.len().min(at + WINDOW);
        if a.slice(at..to)?.read_all(WINDOW)? != b.slice(at..to)?.read_all(WINDOW)? {
            return Ok(false);
        }
        at = to;
    }
    Ok(true)
}
