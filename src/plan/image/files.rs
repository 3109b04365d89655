//! The files of an image that are changed or added: our initrds, the answers, FAT images whose menus were
//! edited, and the medium's own lists of sums.

use super::super::netboot::{self, Initrds};
use super::super::{Inputs, Origin, Planned, boot_edit};
use super::menus::Menu;
use super::{OVERLAY, Wish};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::family::draft::Draft;
use crate::format::iso9660::graft::{Change, Changes};
use crate::format::{cpio, fat, initrd, sums};
use crate::media::Media;
use crate::model::boot::Locus;
use std::collections::{BTreeMap, BTreeSet};

/// Sums are of files that we made or changed; a FAT image is the largest of them.
const MAX_LIST: u64 = 16 << 20;

type Files = BTreeMap<Locus, Planned>;

/// Our initrd for each set of the vendor's that an entry loads, and the entries told to load it. Most
/// sets get the same.
pub(super) fn initrds(inputs: &Inputs, menus: &mut [Menu], draft: &Draft) -> Result<Files> {
    let Inputs { media, target, recipe, .. } = inputs;
    let mut files = Files::new();
    if draft.in_initrd.is_empty() && target.folders.is_empty() {
        return Ok(files);
    }
    if !recipe.initrd.drop.is_empty() {
        return Err(Error::unsupported("this recipe wants files taken out of the initrd")
            .hint("an image keeps the vendor's initrd: build a tree instead"));
    }
    let mut made: BTreeMap<Vec<Locus>, (Locus, bool)> = BTreeMap::new();
    for m in menus {
        for n in 0..m.entries.len() {
            let set = m.entries[n].initrds.clone();
            let (at, before) = match made.get(&set) {
                Some(there) => there.clone(),
                None => {
                    let new = overlay(inputs, &set, draft, &mut files)?;
                    made.insert(set.clone(), new.clone());
                    new
                }
            };
            let e = &mut m.entries[n];
            m.doc
                .add_initrd(&e.id, &format!("/{}", at.path), before)
                .map_err(|err| err.path(&m.locus).source_name(&media.name))?;
            e.overlay = Some(at);
        }
    }
    Ok(files)
}

/// One of ours, beside the vendor's initrds `set`; and whether it must go before them.
fn overlay(
    inputs: &Inputs,
    set: &[Locus],
    draft: &Draft,
    files: &mut Files,
) -> Result<(Locus, bool)> {
    let Inputs { media, target, .. } = inputs;
    let pieces = set.iter().map(|l| piece(media, l)).collect::<Result<Vec<_>>>()?;
    let initrds = Initrds::kept(media, &target.folders, pieces);
    let entries = initrds.beside(&draft.in_initrd).map_err(|e| {
        let first = set.first().map(ToString::to_string).unwrap_or_default();
        e.path(first)
            .hint("ours goes beside an initrd that can be read; `isowright initrd` looks into it")
    })?;
    let archive = cpio::archive_of(&cpio::with_parents(&entries, &|_| false))?;
    let bytes = archive.read_all(MAX_LIST).map(Content::from).unwrap_or(archive);
    let image = set.first().and_then(|l| l.image.clone());
    let mut n = 1;
    let at = loop {
        let name = if n == 1 { OVERLAY.to_owned() } else { format!("overlay{n}.img") };
        let at = Locus { image: image.clone(), path: name.parse()? };
        match files.get(&at) {
            Some(there) if !same(&there.content, &bytes)? => n += 1,
            _ => break at,
        }
    };
    if media.boot_file(Some(&at), &at.path).is_some_and(|(l, _)| l == at) {
        return Err(Error::new(ErrorKind::Conflict, "the medium has a file of this name").path(&at));
    }
    let mut f =
        netboot::made(Vec::new(), "our files for the installer, beside the vendor's initrd");
    f.reasons.extend(draft.in_initrd.iter().map(|m| format!("{}: {}", m.path, m.reason)));
    f.reasons.extend(target.folders.iter().map(|d| d.laid().words()));
    f.content = bytes;
    files.insert(at.clone(), f);
    Ok((at, initrd::must_be_last(&initrds.vendor)))
}

fn same(a: &Content, b: &Content) -> Result<bool> {
    Ok(a.len() == b.len() && a.read_all(u64::MAX)? == b.read_all(u64::MAX)?)
}

fn piece(media: &Media, at: &Locus) -> Result<boot_edit::Piece> {
    let content = content(media, at)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "no such file").path(at))?;
    let origin = Origin::Medium { path: at.to_string(), offset: None };
    Ok(boot_edit::Piece { content, origin, reason: String::new() })
}

fn content(media: &Media, at: &Locus) -> Option<Content> {
    let tree = match &at.image {
        None => &media.tree,
        Some(name) => &media.fat_image(name)?.tree,
    };
    tree.file(&at.path).ok().cloned()
}

/// What the family and the operator want on the medium itself.
pub(super) fn on_the_medium(
    files: &mut Files,
    media: &Media,
    draft: &Draft,
    wish: &Wish,
) -> Result<()> {
    let mut add = |path: &TreePath, f: Planned| {
        let at = Locus { image: None, path: path.clone() };
        match files.insert(at.clone(), f) {
            None => Ok(()),
            Some(_) => {
                Err(Error::new(ErrorKind::Conflict, "two files of the plan have this name")
                    .path(at))
            }
        }
    };
    for m in &draft.on_medium {
        let (content, origin) = netboot::body(media, &m.body)?;
        add(
            &m.path,
            Planned { content, origin, mode: m.mode, ..netboot::made(Vec::new(), &m.reason) },
        )?;
    }
    for (path, (name, content)) in &wish.added {
        let origin = Origin::Given { name: name.clone() };
        let f = netboot::made(Vec::new(), "the operator wants it there");
        add(path, Planned { content: content.clone(), origin, ..f })?;
    }
    Ok(())
}

/// Lists of sums that are signed: an edit would break the signature, so they stay as they are.
pub(super) fn signed_lists(media: &Media) -> Result<BTreeSet<TreePath>> {
    let mut signed = BTreeSet::new();
    for (path, doc) in lists(media)? {
        let beside = sums::signature_names(&path);
        if doc.is_signed() || beside.iter().any(|p| media.tree.file(p).is_ok()) {
            signed.insert(path);
        }
    }
    Ok(signed)
}

/// The medium's lists of sums. One that can't be read is none.
fn lists(media: &Media) -> Result<Vec<(TreePath, sums::Doc)>> {
    let named = media.tree.files().filter(|(p, c)| sums::is_name(p) && c.len() <= MAX_LIST);
    let mut all = Vec::new();
    for (path, c) in named {
        if let Ok(doc) = sums::Doc::parse(path, &c.read_all(MAX_LIST)?) {
            all.push((path.clone(), doc));
        }
    }
    Ok(all)
}

/// The changes for the graft: edited FAT images and renewed lists of sums are added to `files`.
pub(super) fn changes(
    files: &mut Files,
    media: &Media,
    signed: &BTreeSet<TreePath>,
    time: i64,
    draft: &mut Draft,
) -> Result<Changes> {
    let mut changes = Changes::default();
    let mut in_image: BTreeMap<String, BTreeMap<TreePath, fat::Change>> = BTreeMap::new();
    for (at, f) in files.iter() {
        if let Some(image) = &at.image {
            let put = fat::Change::Put(f.content.clone());
            in_image.entry(image.clone()).or_default().insert(at.path.clone(), put);
        }
    }
    for (name, inner) in &in_image {
        fat_image(files, &mut changes, media, name, inner, time)?;
    }
    renew_lists(files, media, signed, draft)?;
    for (at, f) in files.iter().filter(|(at, _)| at.image.is_none()) {
        let there = media.tree.file(&at.path).is_ok();
        let put = Change::Put {
            content: f.content.clone(),
            mode: (!there).then_some(f.mode),
            mtime: Some(time),
        };
        changes.files.insert(at.path.clone(), put);
    }
    Ok(changes)
}

/// A FAT image is a file of the medium, or an area of the image that is none.
fn fat_image(
    files: &mut Files,
    changes: &mut Changes,
    media: &Media,
    name: &str,
    inner: &BTreeMap<TreePath, fat::Change>,
    time: i64,
) -> Result<()> {
    let image = media
        .fat_image(name)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "no such FAT image").path(name))?;
    let new = fat::edit(&image.content, inner, time)
        .map_err(|e| e.path(name).source_name(&media.name))?;
    let path: TreePath = match name.parse::<TreePath>() {
        Ok(p) if media.tree.file(&p).is_ok() => p,
        _ => {
            changes.areas.insert(image.at, new.image);
            return Ok(());
        }
    };
    let what = match new.grown {
        true => "its files; it was full, and is bigger now",
        false => "its files",
    };
    let mut f = netboot::made(Vec::new(), what);
    f.origin = Origin::Edited { path: format!("iso:/{path}") };
    f.content = new.image;
    files.insert(Locus { image: None, path }, f);
    Ok(())
}

/// Sums of changed files in the medium's own lists.
fn renew_lists(
    files: &mut Files,
    media: &Media,
    signed: &BTreeSet<TreePath>,
    draft: &mut Draft,
) -> Result<()> {
    for (path, mut doc) in lists(media)? {
        let mut stale = Vec::new();
        for (at, f) in files.iter().filter(|(at, _)| at.image.is_none()) {
            for algorithm in doc.algorithms(&at.path) {
                match signed.contains(&path) {
                    true => stale.push(at.path.to_string()),
                    false => {
                        let sum = algorithm.sum(&f.content, &|_| true)?;
                        doc.set(&at.path, &sum);
                    }
                }
            }
        }
        if !stale.is_empty() {
            draft.warn(format!(
                "/{path} is signed and stays as it is: its sums no longer agree with {}.",
                stale.join(", ")
            ));
            continue;
        }
        let bytes = doc.to_bytes();
        let old = media.tree.file(&path)?.read_all(MAX_LIST)?;
        if bytes != old {
            let mut f = netboot::made(bytes, "sums of what was changed");
            f.origin = Origin::Edited { path: format!("iso:/{path}") };
            files.insert(Locus { image: None, path }, f);
        }
    }
    Ok(())
}
