//! Grafting: files are changed, added and removed in an image whose other bytes stay where they are.
//!
//! A file that still fits its sectors is overwritten there, another is appended. Directories, path
//! tables, descriptors, the boot catalog and the partition tables are changed in place, or appended
//! where they grow. The result is a rope over the vendor's image.
//!
//! | file | job |
//! |---|---|
//! | `editor.rs` | changes, one by one, over all views at once |
//! | `twin.rs` | the same file in another view |
//! | `side.rs` | a tree of directories as it stands on the medium |
//! | `record.rs`, `names.rs`, `susp.rs` | records, identifiers, Rock Ridge |
//! | `layout.rs`, `paths.rs`, `volumes.rs` | places for directories; path tables; descriptors |
//! | `boot.rs`, `partitions.rs` | boot images; MBR and GPT |
//! | `canvas.rs`, `survey.rs` | changed bytes; who owns which |
//!
//! Sources: ECMA-119 (4th edition), Joliet, SUSP and RRIP 1.12, El Torito 1.0, UEFI 2.10 section 5.
//!
//! Not supported: media with UDF beside ISO 9660, zisofs, HFS+ (its view keeps the vendor's files),
//! Apple's partition map (left alone).

mod boot;
mod canvas;
mod editor;
mod layout;
mod names;
mod partitions;
mod paths;
mod record;
mod side;
mod survey;
mod susp;
mod twin;
mod volumes;

use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::iso9660::eltorito::{Around, BootCatalog};
use crate::format::iso9660::{SECTOR, View, hybrid};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use canvas::Canvas;
use editor::Editor;
use partitions::Tables;
use survey::Survey;
use volumes::Ends;

/// What image makers put behind the files for drives that read ahead: 150 sectors.
const PADDING: u64 = 150 * SECTOR;

/// A change to one path.
#[derive(Debug, Clone)]
pub enum Change {
    /// The file has these bytes. Its folders are made where they are missing.
    Put {
        /// The bytes. A boot image's information tables are filled in by the graft.
        content: Content,
        /// Permission bits; `None` keeps the old file's, and is 0644 for a new one.
        mode: Option<u32>,
        /// Seconds since 1970; `None` keeps the old file's, and is the option's for a new one.
        mtime: Option<i64>,
    },
    /// The file, or the folder with all in it, is not there. If it is not already, nothing is done.
    Remove,
}

/// What is to be changed.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// By path, in the names of the view that [`super::open`] shows.
    pub files: BTreeMap<TreePath, Change>,
    /// Boot images and partitions that are no file, by byte offset: an appended EFI system partition.
    pub areas: BTreeMap<u64, Content>,
}

/// How it is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Date of new files and folders, seconds since 1970.
    pub timestamp: i64,
}

/// What a changed piece of the image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file's bytes.
    File(TreePath),
    /// Records of a folder, in one view.
    Directory(TreePath),
    /// A Rock Ridge continuation area.
    Continuation,
    /// A path table.
    PathTable,
    /// A volume descriptor.
    Descriptor,
    /// The boot catalog.
    BootCatalog,
    /// What the master boot record's code knows of a boot image.
    BootCode,
    /// MBR or GPT.
    PartitionTable,
    /// A boot image or partition that is no file; where it was.
    Area(u64),
}

/// A changed piece of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Bytes of the result.
    pub range: Range<u64>,
    /// What they are.
    pub what: What,
}

/// A grafted image.
#[derive(Debug, Clone)]
pub struct Grafted {
    /// The image.
    pub content: Content,
    /// What is other than in the old one, in order of place.
    pub touched: Vec<Touched>,
}

/// What the record of a new file says.
struct Meta {
    /// With the file's type.
    mode: u32,
    mtime: i64,
    /// Inode number, where the medium has them.
    serial: u32,
}

/// A boot image or partition, before and after; bytes.
#[derive(Debug, Clone, Copy)]
struct Moved {
    old: u64,
    old_len: u64,
    new: u64,
    new_len: u64,
}

/// `image` with `changes`. Without any the result is the same image.
///
/// # Errors
/// `Unsupported` for what can't be done, `Corrupt` for an image whose structures contradict each other
/// where they are to be changed, `Conflict` for a file where a folder is; each with path or offset.
pub fn graft(image: &Content, changes: &Changes, options: &Options) -> Result<Grafted> {
    let Some(iso) = super::open(image)? else {
        return Err(Error::unsupported("this is no ISO 9660 image"));
    };
    if iso.views.contains(&View::Udf) {
        return Err(Error::unsupported(
            "the medium shows its files by UDF too, which would keep the old ones",
        )
        .hint(
            "UDF can't be edited yet; use `isowright build` for a tree to boot from the network",
        ));
    }
    let parts = hybrid::read(image)?;
    let spans = parts.spans();
    let survey = Survey::of(&iso);
    let file_at = |at: u64| survey.file_at(&iso, at);
    let around = Around { file_at: &file_at, spans: &spans };
    let catalog = boot::catalog(image, &iso, &around)?;
    let starts: Vec<u64> = spans.iter().map(|s| s.start).collect();
    let edit = |room: u64| -> Result<Edited> {
        let sides = volumes::sides(image, &iso, &starts)?;
        let canvas = Canvas::new(image, room);
        let (moved, catalog) = (Vec::new(), catalog.as_ref());
        let mut editor =
            Editor { iso: &iso, survey: &survey, catalog, sides, canvas, moved, options };
        editor.apply(changes)?;
        let Editor { mut sides, mut canvas, moved, .. } = editor;
        // The primary tree goes in front of Joliet's.
        sides.sort_by_key(|s| (s.base, s.is_joliet()));
        for side in &mut sides {
            let moved = layout::write(side, &mut canvas)?;
            paths::update(side, &mut canvas, &moved)?;
            side.flush(&mut canvas);
        }
        Ok(Edited { sides, canvas, moved })
    };
    let mut edited = edit(0)?;
    let taken = edited.canvas.room_taken();
    if taken > 0 {
        // Records are as long wherever they point to, so the second time all of it fits.
        edited = edit(taken)?;
    }
    let Edited { sides, mut canvas, mut moved } = edited;
    let bases: HashSet<u64> = sides.iter().map(|s| s.base).collect();
    let tables = Tables::read(image, &parts, bases.into_iter().collect())?;
    let areas = Areas { changes, catalog: catalog.as_ref(), spans: &spans, tables: &tables };
    let ends = areas.place(&mut canvas, &survey, &mut moved)?;
    if let Some(c) = &catalog {
        boot::follow(c, &mut canvas, &moved)?;
    }
    boot::follow_in_mbr(&mut canvas, catalog.as_ref(), &moved)?;
    tables.write(&mut canvas, &moved, ends.data, ends.whole)?;
    if canvas.grown() {
        volumes::resize(&sides, &mut canvas, &ends)?;
    }
    if canvas.is_untouched() {
        return Ok(Grafted { content: image.clone(), touched: Vec::new() });
    }
    let (content, touched) = canvas.finish()?;
    Ok(Grafted { content, touched })
}

/// The image once the files are changed.
struct Edited {
    sides: Vec<side::Side>,
    canvas: Canvas,
    moved: Vec<Moved>,
}

/// Boot images and partitions that are no file.
struct Areas<'a> {
    changes: &'a Changes,
    catalog: Option<&'a BootCatalog>,
    spans: &'a [hybrid::Span],
    tables: &'a Tables,
}

impl Areas<'_> {
    /// Places all that stands behind the files, and says where both end.
    fn place(&self, canvas: &mut Canvas, survey: &Survey, moved: &mut Vec<Moved>) -> Result<Ends> {
        let mut big = BTreeMap::new();
        for (&at, content) in &self.changes.areas {
            let (content, len) = self.prepared(canvas, at, content, at)?;
            let old = canvas.image().slice(at..at + len)?;
            if content.len() > len {
                big.insert(at, len);
            } else if !editor::same(&content, &old.slice(0..content.len())?)? {
                canvas.replace(at, &content, What::Area(at));
            }
        }
        let old_end = canvas.image().len();
        if !canvas.grown() && big.is_empty() {
            return Ok(Ends { data: old_end, whole: old_end });
        }
        let followers = self.tables.followers();
        for (&at, &len) in &big {
            if !followers.iter().any(|f| f.0 * 512 == at) {
                self.push(canvas, moved, at, len)?;
            }
        }
        if followers.is_empty() && survey.end() + PADDING + self.tables.tail() <= old_end {
            canvas.reserve(PADDING);
        }
        let data = canvas.end;
        if followers.iter().map(|f| f.1 * 512).sum::<u64>() > old_end {
            return Err(Error::corrupt("partitions that lie over each other", 446));
        }
        for (first, len) in followers {
            self.push(canvas, moved, first * 512, len * 512)?;
        }
        let whole = (canvas.end + self.tables.tail()).next_multiple_of(self.tables.align());
        canvas.end = whole;
        Ok(Ends { data, whole })
    }

    /// Puts the area at `at`, or what it is to become, at the end.
    fn push(&self, canvas: &mut Canvas, moved: &mut Vec<Moved>, at: u64, len: u64) -> Result<()> {
        let content = match self.changes.areas.get(&at) {
            Some(new) => self.prepared(canvas, at, new, canvas.end)?.0,
            None => self.tabled(at, canvas.image().slice(at..at + len)?, canvas.end)?,
        };
        let (new_len, new) = (content.len(), canvas.append(&content, What::Area(at)));
        moved.push(Moved { old: at, old_len: len, new, new_len });
        Ok(())
    }

    /// What is to stand at `to` for the area at `at`, and the area's length.
    fn prepared(&self, canvas: &Canvas, at: u64, new: &Content, to: u64) -> Result<(Content, u64)> {
        let span = self.spans.iter().find(|s| s.start == at).map(|s| s.len);
        let mut images = self.catalog.iter().flat_map(|c| &c.entries);
        let image = images.find(|e| u64::from(e.lba) * SECTOR == at && e.path.is_none());
        let Some(len) = span.or_else(|| image.map(|i| i.size)) else {
            let what = "neither a partition nor a boot image without a file begins here";
            return Err(Error::new(ErrorKind::NotFound, what).at(at));
        };
        if !at.is_multiple_of(SECTOR) || at <= 16 * SECTOR || at + len > canvas.image().len() {
            return Err(Error::unsupported("this partition can't be changed").at(at));
        }
        Ok((self.tabled(at, new.clone(), to)?, len))
    }

    fn tabled(&self, at: u64, new: Content, to: u64) -> Result<Content> {
        let mut images = self.catalog.iter().flat_map(|c| &c.entries);
        match images.find(|e| u64::from(e.lba) * SECTOR == at) {
            Some(b) => boot::prepare(b, &new, to),
            None => Ok(new),
        }
    }
}
