//! Changes, one by one, over all views at once.

use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::iso9660::eltorito::{BootCatalog, BootImage};
use crate::format::iso9660::{Iso, SECTOR};

use super::canvas::Canvas;
use super::names::{Alphabet, alike};
use super::record::{self, Data};
use super::side::{Entry, Kind, Side};
use super::survey::Survey;
use super::{Change, Changes, Meta, Moved, Options, What, boot, layout, susp, twin};

pub(super) struct Editor<'a> {
    pub iso: &'a Iso,
    pub survey: &'a Survey,
    pub catalog: Option<&'a BootCatalog>,
    /// The one whose names the changes use comes first.
    pub sides: Vec<Side>,
    pub canvas: Canvas,
    /// Boot images and partitions that are elsewhere or longer now.
    pub moved: Vec<Moved>,
    pub options: &'a Options,
}

/// A folder in all views; `None` where a view hides it.
type Place = Vec<Option<usize>>;

/// An entry in all views: folder and index.
type Found = Vec<Option<(usize, usize)>>;

impl Editor<'_> {
    pub fn apply(&mut self, changes: &Changes) -> Result<()> {
        for (path, change) in &changes.files {
            let done = match change {
                Change::Put { content, mode, mtime } => {
                    self.put(path, content, (*mode, *mtime), changes)
                }
                Change::Remove => self.remove(path),
            };
            done.map_err(|e| e.path(format_args!("/{path}")))?;
        }
        self.settle()?;
        self.shift(changes)
    }

    /// Decides which folders move. libarchive takes Joliet for the better view where its root stands
    /// before the primary one, so they move together.
    fn settle(&mut self) -> Result<()> {
        let mut bases = Vec::new();
        for side in self.sides.iter_mut().filter(|s| s.alphabet == Alphabet::Iso) {
            if layout::settle(side)? {
                bases.push(side.base);
            }
        }
        for side in self.sides.iter_mut().filter(|s| s.alphabet != Alphabet::Iso) {
            if bases.contains(&side.base) {
                let root = side.root()?;
                side.dirs[root].moves = true;
            }
            layout::settle(side)?;
        }
        Ok(())
    }

    /// libarchive takes a continuation area only in front of the file's bytes. A folder that moves takes
    /// the areas along, so the bytes of its files with such long names go too.
    fn shift(&mut self, changes: &Changes) -> Result<()> {
        let Some(style) = self.sides[0].style else { return Ok(()) };
        let mut names = Vec::new();
        for d in self.sides[0].dirs.iter().filter(|d| d.moves && !d.gone) {
            let far = |e: &&Entry| {
                self.canvas.is_old(u64::from(e.blocks()[0]) * SECTOR)
                    && susp::continues(&e.records[0], style.skip).is_some()
            };
            for e in d.entries.iter().filter(|e| e.kind == Kind::File && e.len() > 0).filter(far) {
                names.push(d.path.join(&e.name)?);
            }
        }
        for path in names {
            let Some(place) = self.folder(&path.parent().unwrap_or_default(), false)? else {
                continue;
            };
            let Some(found) = self.find(&place, path.name())? else { continue };
            let old = self.old(&found)?;
            if self.boot_image(&old).is_some() || !self.canvas.is_old(old.at) {
                continue;
            }
            let kin = self.kin(&path, &old, changes)?;
            let data = Data { at: self.append(&path, &old.content), len: old.content.len() };
            self.give(&[vec![found], kin].concat(), Some(data), (None, None))?;
        }
        Ok(())
    }

    /// Lets all `names` have `data`, and date and mode where they are given.
    fn give(
        &mut self,
        names: &[Found],
        data: Option<Data>,
        meta: (Option<u32>, Option<i64>),
    ) -> Result<()> {
        for found in names {
            for (side, f) in self.sides.iter_mut().zip(found) {
                if let Some(at) = *f {
                    record::set_data(side, &mut self.canvas, at, data, meta)?;
                }
            }
        }
        Ok(())
    }

    fn root(&mut self) -> Result<Place> {
        self.sides.iter_mut().map(|s| s.root().map(Some)).collect()
    }

    /// The folder `path`; `None` where it is not there. With `make` it is made.
    fn folder(&mut self, path: &TreePath, make: bool) -> Result<Option<Place>> {
        let mut place = self.root()?;
        let mut at = TreePath::root();
        for part in path.parts() {
            at = at.join(part)?;
            place = match self.find(&place, part)? {
                Some(found) => self.enter(&found, &at)?,
                None if make => self.make_folder(&place, part, &at)?,
                None => return Ok(None),
            };
        }
        Ok(Some(place))
    }

    fn enter(&mut self, found: &Found, path: &TreePath) -> Result<Place> {
        let mut place = Place::new();
        for (side, f) in self.sides.iter_mut().zip(found) {
            place.push(match *f {
                Some((d, e)) => Some(side.enter(d, e)?.ok_or_else(|| {
                    Error::new(ErrorKind::Conflict, format!("\"/{path}\" is no folder"))
                })?),
                None => None,
            });
        }
        Ok(place)
    }

    fn make_folder(&mut self, place: &Place, name: &[u8], path: &TreePath) -> Result<Place> {
        self.can_be_named(name)?;
        let meta = self.meta(path, 0o040_755, self.options.timestamp);
        let Editor { sides, canvas, .. } = self;
        let made = sides.iter_mut().zip(place).map(|(side, dir)| {
            dir.map(|d| record::add_dir(side, canvas, d, name, &meta)).transpose()
        });
        made.collect()
    }

    /// The entry `name` of a folder in all views.
    fn find(&self, place: &Place, name: &[u8]) -> Result<Option<Found>> {
        let Some(dir) = place[0] else { return Ok(None) };
        let best = &self.sides[0];
        let d = &best.dirs[dir];
        // Systems show names of plain ISO 9660 in either case.
        let loose = || d.entries.iter().position(|e| alike(&e.name, name));
        let plain = best.style.is_none() && best.alphabet == Alphabet::Iso;
        let Some(e) = d.find(name).or_else(|| plain.then(loose).flatten()) else {
            return Ok(None);
        };
        let mut found = vec![Some((dir, e))];
        for (side, there) in self.sides.iter().zip(place).skip(1) {
            let twin = match *there {
                Some(there) => twin::find((best, dir, e), (side, there))?.map(|e| (there, e)),
                None => None,
            };
            found.push(twin);
        }
        Ok(Some(found))
    }

    /// Whether the view that is shown can have the name as it is.
    fn can_be_named(&self, name: &[u8]) -> Result<()> {
        let best = &self.sides[0];
        if best.style.is_some() {
            return match name.len() {
                0..=255 => Ok(()),
                n => Err(Error::unsupported(format!("a name of {n} bytes; 255 are the most"))),
            };
        }
        let habit = super::names::Habit { long: true, joliet_long: true, no_version: None };
        let id = super::names::fresh(name, false, best.alphabet, habit, &|_| false);
        let shown = id.map(|id| best.shown_plainly(&id)).unwrap_or_default();
        let same = match best.alphabet {
            Alphabet::Iso => shown.eq_ignore_ascii_case(name),
            _ => shown == name,
        };
        if same {
            return Ok(());
        }
        Err(Error::unsupported("the medium has no Rock Ridge, and its names can't say this one"))
    }

    fn meta(&self, path: &TreePath, mode: u32, mtime: i64) -> Meta {
        // FNV-1a: a number that stays the same from run to run.
        let hash = path
            .as_bytes()
            .iter()
            .fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193));
        Meta { mode, mtime, serial: hash | 0x8000_0000 }
    }

    fn put(
        &mut self,
        path: &TreePath,
        content: &Content,
        meta: (Option<u32>, Option<i64>),
        changes: &Changes,
    ) -> Result<()> {
        let Some(parent) = path.parent() else {
            return Err(Error::usage("the root is no file"));
        };
        let Some(place) = self.folder(&parent, true)? else {
            return Err(Error::new(ErrorKind::NotFound, "no such folder"));
        };
        let Some(found) = self.find(&place, path.name())? else {
            return self.add(path, &place, content, meta);
        };
        let kind = found[0].map(|(d, e)| self.sides[0].dirs[d].entries[e].kind);
        match kind {
            Some(Kind::File) => self.change(path, &found, content, meta, changes),
            Some(Kind::Other) => {
                self.take_out(&found)?;
                self.add(path, &place, content, meta)
            }
            _ => Err(Error::new(ErrorKind::Conflict, "a folder stands where a file is to be put")),
        }
    }

    fn add(
        &mut self,
        path: &TreePath,
        place: &Place,
        content: &Content,
        (mode, mtime): (Option<u32>, Option<i64>),
    ) -> Result<()> {
        self.can_be_named(path.name())?;
        let data = Data { at: self.append(path, content), len: content.len() };
        let mode = 0o100_000 | mode.unwrap_or(0o644) & 0o7777;
        let meta = self.meta(path, mode, mtime.unwrap_or(self.options.timestamp));
        for (side, dir) in self.sides.iter_mut().zip(place) {
            if let Some(dir) = *dir {
                record::add_file(side, dir, path.name(), data, &meta)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, path: &TreePath, content: &Content) -> u64 {
        match content.len() {
            0 => 0,
            _ => self.canvas.append(content, What::File(path.clone())),
        }
    }

    fn change(
        &mut self,
        path: &TreePath,
        found: &Found,
        content: &Content,
        meta: (Option<u32>, Option<i64>),
        changes: &Changes,
    ) -> Result<()> {
        let old = self.old(found)?;
        let boot = self.boot_image(&old);
        let prepared = |at: u64| match &boot {
            Some(b) => boot::prepare(b, content, at),
            None => Ok(content.clone()),
        };
        let here = prepared(old.at)?;
        let mut names = vec![found.clone()];
        let data = if same(&here, &old.content)? {
            None
        } else {
            self.refuse(&old, content)?;
            let kin = self.kin(path, &old, changes)?;
            let alone = self.survey.is_alone(old.at, old.slot_end(), kin.len() + 1);
            names.extend(kin);
            let fits = !here.is_empty() && old.at + here.len() <= old.slot_end();
            if fits && alone && old.whole && old.at > 16 * SECTOR {
                self.canvas.replace(old.at, &here, What::File(path.clone()));
                Some(Data { at: old.at, len: here.len() })
            } else {
                let new = prepared(self.canvas.end)?;
                Some(Data { at: self.append(path, &new), len: new.len() })
            }
        };
        // Names of the same inode get its date and mode too.
        self.give(&names, data, meta)?;
        if let (Some(data), Some(_)) = (data, boot) {
            let (old_len, new, new_len) = (old.content.len(), data.at, data.len);
            self.moved.push(Moved { old: old.at, old_len, new, new_len });
        }
        Ok(())
    }

    /// What can't be replaced.
    fn refuse(&self, old: &Old, new: &Content) -> Result<()> {
        if self.catalog.is_some_and(|c| u64::from(c.lba) * SECTOR == old.at) {
            let what = "this file is the boot catalog, which follows the boot images by itself";
            return Err(Error::unsupported(what));
        }
        if old.zisofs {
            let what = "the file is compressed in the image (zisofs), which is not supported";
            return Err(Error::unsupported(what));
        }
        if new.is_empty() && self.boot_image(old).is_some() {
            return Err(Error::unsupported("a boot image can't be empty"));
        }
        Ok(())
    }

    fn old(&self, found: &Found) -> Result<Old> {
        let Some((d, e)) = found[0] else {
            return Err(Error::new(ErrorKind::NotFound, "no such file"));
        };
        let side = &self.sides[0];
        let entry = &side.dirs[d].entries[e];
        let mut parts = Vec::new();
        let mut whole = true;
        let mut end = None;
        for (block, r) in entry.blocks().iter().zip(&entry.records) {
            let at = side.base + u64::from(*block) * SECTOR;
            let len = u64::from(crate::format::fields::le32(r, 10));
            whole &= end.is_none_or(|e| e == at) && super::side::agree(r) && r[1] == 0;
            end = Some(at + len);
            if len > 0 && self.canvas.is_old(at) {
                parts.push(self.canvas.image().slice(at..at + len)?);
            }
        }
        let susp = match side.style {
            Some(style) => susp::entries(&side.volume, &entry.records[0], style.skip)?,
            None => Vec::new(),
        };
        let content = Content::concat(parts);
        let at = match entry.len() {
            0 => 0,
            _ => side.base + u64::from(entry.blocks()[0]) * SECTOR,
        };
        let zisofs = susp.iter().any(|e| e.is(b"ZF"));
        Ok(Old { at, content, whole, zisofs, serial: susp::serial(&susp) })
    }

    fn boot_image(&self, old: &Old) -> Option<BootImage> {
        let entries = self.catalog.iter().flat_map(|c| &c.entries);
        let is_it = |b: &&BootImage| old.at > 0 && u64::from(b.lba) * SECTOR == old.at;
        entries.filter(is_it).max_by_key(|b| b.boot_info.is_some()).cloned()
    }

    /// The other names of the same inode that have no change of their own.
    fn kin(&mut self, path: &TreePath, old: &Old, changes: &Changes) -> Result<Vec<Found>> {
        let Some(serial) = old.serial.filter(|_| old.at > 0) else { return Ok(Vec::new()) };
        let mut paths = Vec::new();
        for i in self.survey.at(old.at) {
            let Some((other, _)) = self.iso.tree.iter().nth(i) else { continue };
            if other == path || changes.files.contains_key(other) {
                continue;
            }
            let at = self.iso.records[i].at;
            let n = (self.canvas.image().len() - at).min(255) as usize;
            let mut r = vec![0; n];
            self.canvas.image().read_at(&mut r, at)?;
            let entries = susp::entries(&self.sides[0].volume, &r, self.sides[0].skip())?;
            if susp::serial(&entries) == Some(serial) {
                paths.push(other.clone());
            }
        }
        let mut out = Vec::new();
        for p in paths {
            let Some(place) = self.folder(&p.parent().unwrap_or_default(), false)? else {
                continue;
            };
            out.extend(self.find(&place, p.name())?);
        }
        Ok(out)
    }

    fn remove(&mut self, path: &TreePath) -> Result<()> {
        let Some(parent) = path.parent() else {
            return Err(Error::usage("the root can't be removed"));
        };
        let Some(place) = self.folder(&parent, false)? else { return Ok(()) };
        match self.find(&place, path.name())? {
            Some(found) => self.take_out(&found),
            None => Ok(()),
        }
    }

    fn take_out(&mut self, found: &Found) -> Result<()> {
        for (side, f) in self.sides.iter_mut().zip(found) {
            if let Some((d, e)) = *f {
                record::remove(side, &mut self.canvas, d, e)?;
            }
        }
        Ok(())
    }
}

/// A file as the vendor has it.
struct Old {
    /// Byte offset, 0 where it is empty.
    at: u64,
    content: Content,
    /// Its extents follow each other, without attribute records.
    whole: bool,
    zisofs: bool,
    /// Of its inode.
    serial: Option<u32>,
}

impl Old {
    fn slot_end(&self) -> u64 {
        self.at + self.content.len().next_multiple_of(SECTOR)
    }
}

/// Whether both have the same bytes.
pub(super) fn same(a: &Content, b: &Content) -> Result<bool> {
    const CHUNK: u64 = 128 << 10;
    if a.len() != b.len() {
        return Ok(false);
    }
    let n = a.len().min(CHUNK) as usize;
    let (mut x, mut y) = (vec![0; n], vec![0; n]);
    let mut pos = 0;
    while pos < a.len() {
        let n = (a.len() - pos).min(CHUNK) as usize;
        a.read_at(&mut x[..n], pos)?;
        b.read_at(&mut y[..n], pos)?;
        if x[..n] != y[..n] {
            return Ok(false);
        }
        pos += n as u64;
    }
    Ok(true)
}
