//! RECOGNITION. Content to [`Media`]: the best view of the file system, boot catalog, partitions, and
//! the FAT images that firmware starts from.

mod appliance;
pub mod bootdocs;
pub mod identity;
pub mod labels;
mod markers;
pub mod secure_boot;
mod suse;

use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::error::{Error, ErrorKind, Result};
use crate::format::fat;
use crate::format::iso9660::eltorito::{self, Around, BootCatalog, Platform};
use crate::format::iso9660::hybrid::{self, Partitions, Span};
use crate::format::iso9660::{self, Record, View, Volume};
use crate::model::boot::Locus;

/// An opened medium.
#[derive(Debug, Clone)]
pub struct Media {
    /// What to call it: the file's name or URL.
    pub name: String,
    /// All its bytes.
    pub image: Content,
    /// What the primary volume descriptor says.
    pub volume: Volume,
    /// The view that `tree` shows.
    pub view: View,
    /// All views on the medium, best first. UDF is only recognised.
    pub views: Vec<View>,
    /// The files.
    pub tree: Tree,
    /// Of each node of `tree` in order, as it was opened.
    records: Vec<Record>,
    /// El Torito.
    pub boot: Option<BootCatalog>,
    /// MBR, GPT, Apple map.
    pub partitions: Partitions,
    /// FAT images that firmware starts from, opened.
    pub fat_images: Vec<FatImage>,
    notes: Vec<String>,
}

/// A FAT image on the medium.
#[derive(Debug, Clone)]
pub struct FatImage {
    /// Path on the ISO, `partition N` or `boot image N`.
    pub name: String,
    /// Byte offset in the image.
    pub at: u64,
    /// Its bytes.
    pub content: Content,
    /// Its files.
    pub tree: Tree,
}

/// Opens `image`, which messages call `name`.
///
/// # Errors
/// `Unsupported` where it is no ISO 9660 (with a hint at what it looks like) or only UDF; `Corrupt`
/// with path and offset where it is damaged or cut short; `Io` of the source.
pub fn open(name: &str, image: Content) -> Result<Media> {
    open_unnamed(name, image).map_err(|e| e.source_name(name))
}

fn open_unnamed(name: &str, image: Content) -> Result<Media> {
    let Some(iso) = iso9660::open(&image)? else { return Err(no_iso(&image)) };
    let partitions = hybrid::read(&image)?;
    let spans = partitions.spans();
    let mut notes: Vec<String> = iso.tree.notes().to_vec();
    notes.extend(partitions.notes.iter().cloned());
    let boot = match iso.boot_catalog {
        Some((lba, at)) => {
            let starts = starts(&iso.tree, &iso.records);
            let file_at = |at: u64| {
                let i = starts.binary_search_by_key(&at, |(start, ..)| *start).ok()?;
                Some((starts[i].1.clone(), starts[i].2))
            };
            let around = Around { file_at: &file_at, spans: &spans };
            eltorito::read(&image, lba, at, &around, &mut notes)?
        }
        None => None,
    };
    notes.extend(boot.iter().flat_map(|b| b.notes.iter().cloned()));
    let candidates = fat_candidates(&image, &iso.tree, &iso.records, boot.as_ref(), &spans);
    let fat_images = open_fats(candidates, &mut notes);
    Ok(Media {
        name: name.to_string(),
        image,
        volume: iso.volume,
        view: iso.view,
        views: iso.views,
        tree: iso.tree,
        records: iso.records,
        boot,
        partitions,
        fat_images,
        notes,
    })
}

impl Media {
    /// What the user should know about this medium: entries left out, sloppy fields, views not shown.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where the directory record and the data of the entry at `path` stand in the image.
    pub fn record(&self, path: &TreePath) -> Option<Record> {
        self.tree.position(path).ok().and_then(|i| self.records.get(i).copied())
    }

    /// Why [`Media::view`] was chosen, in a few words.
    pub fn view_reason(&self) -> String {
        let others: Vec<String> =
            self.views.iter().filter(|v| **v != self.view).map(View::to_string).collect();
        match &others[..] {
            [] => format!("{} (the only one)", self.view),
            _ => format!("{} (there is also {})", self.view, others.join(", ")),
        }
    }

    /// The kernel or initrd that a boot entry in the document at `of` names: on the medium, in any case,
    /// else in the FAT image where the document lies.
    pub fn boot_file(&self, of: Option<&Locus>, path: &TreePath) -> Option<(Locus, &Content)> {
        let on_medium = self.tree.file_any_case(path).map(|(p, c)| (None, p, c));
        let in_image = || {
            let image = of?.image.as_deref()?;
            let (p, c) = self.fat_image(image)?.tree.file_any_case(path)?;
            Some((Some(image.to_owned()), p, c))
        };
        let (image, path, content) = on_medium.or_else(in_image)?;
        Some((Locus { image, path: path.clone() }, content))
    }

    /// True where a boot entry of `docs` names a Linux kernel that the medium or a FAT image on it has.
    pub fn has_kernel(&self, docs: &bootdocs::BootDocs) -> bool {
        let mut trees = std::iter::once(&self.tree).chain(self.fat_images.iter().map(|f| &f.tree));
        trees.any(|t| !docs.kernels(t).is_empty())
    }

    /// The FAT image of that name, as [`FatImage::name`] has it; a leading `/` is ignored.
    pub fn fat_image(&self, name: &str) -> Option<&FatImage> {
        let name = name.strip_prefix('/').unwrap_or(name);
        self.fat_images.iter().find(|f| f.name == name)
    }

    /// The file that `spec` names: `isolinux/isolinux.cfg`, with `iso:` or `/` in front if liked, or
    /// `images/efiboot.img!/EFI/BOOT/grub.cfg` for one inside a FAT image. Links are followed; names
    /// in FAT images and in the plain view are found in any case.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported` for a folder or a link that leaves the medium.
    pub fn file(&self, spec: &str) -> Result<Content> {
        let bare = spec.strip_prefix("iso:").unwrap_or(spec);
        // A name may hold a `!` itself.
        let literal = TreePath::new(bare).is_ok_and(|p| self.tree.get(&p).is_some());
        let found = match bare.split_once("!/").filter(|_| !literal) {
            Some((image, path)) => self.file_in_fat(image, path),
            None => file_in(&self.tree, bare, self.view == View::Plain),
        };
        found.map_err(|e| e.source_name(&self.name).path(spec))
    }

    fn file_in_fat(&self, image: &str, path: &str) -> Result<Content> {
        if let Some(f) = self.fat_image(image) {
            return file_in(&f.tree, path, true);
        }
        let content = file_in(&self.tree, image, self.view == View::Plain)?;
        let tree = fat::open(&content)?
            .ok_or_else(|| Error::unsupported(format!("{image} is no FAT image")))?;
        file_in(&tree, path, true)
    }
}

fn file_in(tree: &Tree, path: &str, any_case: bool) -> Result<Content> {
    let path = TreePath::new(path)?;
    match tree.file(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound && any_case => {
            tree.file_any_case(&path).map(|(_, c)| c.clone()).ok_or(e)
        }
        other => other.cloned(),
    }
    .map_err(|e| match e.kind() {
        ErrorKind::NotFound => e.hint("`isowright ls -R` lists what is there"),
        _ => e,
    })
}

/// Offset of the first byte, path and length of each file that has bytes, sorted by offset. Of hard
/// links the first name counts.
fn starts<'a>(tree: &'a Tree, records: &[Record]) -> Vec<(u64, &'a TreePath, u64)> {
    let mut all: Vec<(u64, &TreePath, u64)> = tree
        .iter()
        .zip(records)
        .filter_map(|((path, node), r)| Some((r.data_at, path, node.content()?.len())))
        .filter(|(.., len)| *len > 0)
        .collect();
    all.sort_by_key(|(at, ..)| *at);
    all.dedup_by_key(|(at, ..)| *at);
    all
}

/// A part of the image that may be a FAT image.
struct Candidate {
    name: String,
    at: u64,
    content: Result<Content>,
    /// True where firmware takes it for one, so that it is worth a note if it is none.
    expected: bool,
}

fn fat_candidates(
    image: &Content,
    tree: &Tree,
    records: &[Record],
    boot: Option<&BootCatalog>,
    spans: &[Span],
) -> Vec<Candidate> {
    let mut all = Vec::new();
    let efi = boot.iter().flat_map(|b| b.entries.iter().enumerate());
    for (i, e) in efi.filter(|(_, e)| e.platform == Platform::Uefi) {
        let at = u64::from(e.lba) * iso9660::SECTOR;
        let partition = spans.iter().find(|s| s.start == at && s.len > 0);
        let name = match (&e.path, partition) {
            (Some(p), _) => p.to_string(),
            (None, Some(s)) => format!("partition {}", s.number),
            (None, None) => format!("boot image {}", i + 1),
        };
        all.push(Candidate { name, at, content: Ok(e.content.clone()), expected: true });
    }
    for s in spans.iter().filter(|s| s.esp && s.len > 0) {
        let name = format!("partition {}", s.number);
        let content = image.slice(s.start..s.start.saturating_add(s.len));
        all.push(Candidate { name, at: s.start, content, expected: true });
    }
    for ((path, node), record) in tree.iter().zip(records) {
        if let (Some(content), true) = (node.content(), is_efi_image_name(path)) {
            let (name, content) = (path.to_string(), Ok(content.clone()));
            all.push(Candidate { name, at: record.data_at, content, expected: false });
        }
    }
    all
}

/// Where vendors keep the image that El Torito names, in case the catalog does not: `images/`,
/// `boot/`, `EFI/` of most, `boot/x86_64/efi` of SUSE.
fn is_efi_image_name(path: &TreePath) -> bool {
    // Most files lie elsewhere, and there may be many.
    if !matches!(path.as_bytes().first(), Some(b'e' | b'E' | b'b' | b'B' | b'i' | b'I')) {
        return false;
    }
    let p = String::from_utf8_lossy(path.as_bytes()).to_ascii_lowercase();
    let (dir, name) = p.rsplit_once('/').unwrap_or(("", &p));
    let vendor_dir = ["efi", "boot", "images"].iter().any(|d| dir.split('/').next() == Some(*d));
    vendor_dir
        && (name.starts_with("efi") && name.ends_with(".img")
            || name == "efi" && dir.starts_with("boot/"))
}

/// Opens those that are FAT, each once.
fn open_fats(candidates: Vec<Candidate>, notes: &mut Vec<String>) -> Vec<FatImage> {
    let mut seen = Vec::new();
    let mut images: Vec<FatImage> = Vec::new();
    for c in candidates {
        // A hostile medium could name thousands.
        if seen.contains(&c.at) || seen.len() >= 16 {
            continue;
        }
        seen.push(c.at);
        let opened = c.content.and_then(|content| Ok((fat::open(&content)?, content)));
        match opened {
            Ok((Some(tree), content)) => {
                notes.extend(tree.notes().iter().map(|n| format!("{}!{n}", c.name)));
                images.push(FatImage { name: c.name, at: c.at, content, tree });
            }
            Ok((None, _)) if c.expected => {
                notes.push(format!("{}: no FAT file system (at offset {:#x})", c.name, c.at));
            }
            Ok((None, _)) => {}
            Err(e) => notes.push(format!("{}: the FAT image is not usable: {e}", c.name)),
        }
    }
    images
}

/// The error for a file that is no ISO, with a hint at what it is by its first bytes.
fn no_iso(image: &Content) -> Error {
    let mut head = vec![0u8; image.len().min(1024) as usize];
    if let Err(e) = image.read_at(&mut head, 0) {
        return e;
    }
    let e = Error::unsupported("no ISO 9660 image: there is no volume descriptor").at(0x8000);
    match looks_like(&head) {
        Some((what, mend)) => e.hint(format!("it looks like {what}{mend}")),
        None if image.len() < 0x9000 => {
            e.hint(format!("it has only {} bytes: the download may have failed", image.len()))
        }
        None => e.hint("give the .iso file as the vendor publishes it"),
    }
}

fn looks_like(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let magic: [(&[u8], &str, &str); 13] = [
        (b"\x1f\x8b", "gzip", ": unpack it first (gunzip)"),
        (b"\xfd7zXZ\0", "xz", ": unpack it first (unxz)"),
        (b"BZh", "bzip2", ": unpack it first (bunzip2)"),
        (b"\x28\xb5\x2f\xfd", "zstd", ": unpack it first (unzstd)"),
        (b"PK\x03\x04", "a ZIP archive", ": the ISO may be inside (unzip)"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", ": the ISO may be inside (7z x)"),
        (b"QFI\xfb", "a qcow2 disk image", ", which is no installer ISO"),
        (b"hsqs", "a squashfs file system", ", which is what live media carry inside"),
        (b"\x7fELF", "an ELF program", ""),
        (b"MZ", "a Windows or EFI program, or a Linux kernel", ""),
        (b"MSWIM\0\0\0", "a Windows image (WIM)", ", which lies inside the vendor's ISO"),
        (b"070701", "a cpio archive, such as an initrd", ""),
        (b"-----BEGIN PGP", "a signature", ": give the file that it signs"),
    ];
    let known = magic.iter().find(|(m, ..)| head.starts_with(m));
    if let Some(&(_, what, mend)) = known {
        return Some((what, mend));
    }
    if head.is_empty() {
        return Some(("an empty file", ": the download may have failed"));
    }
    let lower = head[..head.len().min(64)].to_ascii_lowercase();
    if lower.trim_ascii_start().starts_with(b"<!doctype") || lower.starts_with(b"<html") {
        return Some(("a web page", ": the download may have failed"));
    }
    if head.len() > 512 && head[510..512] == [0x55, 0xaa] {
        return Some(("a disk image", ": only ISO images are read"));
    }
    let text = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    (head.iter().all(text)).then_some(("text", ": is it a checksum file or a list of links?"))
}

impl Media {
    /// A medium known by its files alone, without an image: a folder that somebody unpacked.
    pub fn of_tree(name: &str, volume_id: &str, tree: Tree) -> Media {
        Media {
            name: name.to_owned(),
            image: Content::empty(),
            volume: Volume { id: volume_id.to_owned(), ..Volume::default() },
            view: View::RockRidge,
            views: vec![View::RockRidge],
            tree,
            records: Vec::new(),
            boot: None,
            partitions: Partitions::default(),
            fat_images: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The text fields of its primary volume descriptor.
    pub fn volume_labels(&self) -> identity::VolumeLabels {
        let v = &self.volume;
        identity::VolumeLabels {
            volume_id: v.id.clone(),
            system_id: v.system_id.clone(),
            publisher: v.publisher_id.clone(),
            preparer: v.preparer_id.clone(),
            application: v.application_id.clone(),
        }
    }

    /// What it is, with evidence. `labels`: the shapes of labels that are known.
    pub fn identity(&self, labels: &labels::Labels) -> identity::Identity {
        identity::identify(&self.tree, &self.volume_labels(), labels)
    }

    /// Its boot configurations, on the medium and in its FAT images.
    pub fn boot_docs(&self) -> bootdocs::BootDocs {
        let fat: Vec<(String, &Tree)> =
            self.fat_images.iter().map(|f| (f.name.clone(), &f.tree)).collect();
        bootdocs::find(&self.tree, &fat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tree::Node;

    #[test]
    fn what_is_no_iso_is_told_with_a_guess() {
        let hint = |b: &[u8]| {
            let e = open("x", b.to_vec().into()).expect_err("no iso");
            assert_eq!(e.kind(), ErrorKind::Unsupported);
            e.hint_text().unwrap_or_default().to_string()
        };
        assert!(hint(b"").contains("empty"));
        assert!(hint(b"\x1f\x8b\x08aaa").contains("gunzip"));
        assert!(hint(b"  <!DOCTYPE html>").contains("web page"));
        assert!(hint(b"abc123  x.iso\n").contains("checksum"));
        assert!(hint(&[0; 100]).contains("100 bytes"));
    }

    #[test]
    fn vendors_efi_images_are_known_by_name() {
        for yes in
            ["images/efiboot.img", "EFI/boot/efi.img", "boot/x86_64/efi", "BOOT/GRUB/EFI.IMG"]
        {
            assert!(is_efi_image_name(&TreePath::new(yes).expect("path")), "{yes}");
        }
        for no in ["efi", "images/install.img", "pool/efi.img"] {
            assert!(!is_efi_image_name(&TreePath::new(no).expect("path")), "{no}");
        }
    }

    #[test]
    fn what_an_entry_names_is_on_the_medium_or_in_its_own_image() {
        let tree = |names: &[&str]| -> Tree {
            let node = |n: &&str| (n.parse().expect("path"), Node::file(*n));
            names.iter().map(node).collect()
        };
        let mut m = Media::of_tree("x", "X", tree(&["both"]));
        let name = "efi.img".to_string();
        let tree = tree(&["BOTH", "EFI/K"]);
        m.fat_images.push(FatImage { name, at: 0, content: Content::empty(), tree });
        let locus = |image: Option<&str>| Locus {
            image: image.map(str::to_owned),
            path: "loader/entries/a.conf".parse().expect("path"),
        };
        let found = |image, path: &str| {
            let of = locus(image);
            m.boot_file(Some(&of), &path.parse().expect("path")).map(|(at, _)| at.to_string())
        };
        assert_eq!(found(Some("efi.img"), "Both").as_deref(), Some("iso:/both"));
        assert_eq!(found(Some("efi.img"), "efi/k").as_deref(), Some("iso:/efi.img!/EFI/K"));
        assert_eq!(found(None, "efi/k"), None);
    }
}
