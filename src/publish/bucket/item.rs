//! What is to be in the store: one item for each object, from a plan or from a tree that was built.

use crate::content::copy::{self, Digest};
use crate::content::path::TreePath;
use crate::content::source::PathSource;
use crate::content::{Content, Segment, media_type};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cms::Signer;
use crate::plan::netboot::{BOOT_IPXE, GRUB_CFG};
use crate::plan::{Origin, Plan, Role};
use crate::publish::manifest::{FileRow, Manifest};
use crate::publish::store::Head;
use crate::publish::{MANIFEST, SUMS, sign};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The vendor's bytes below a prefix that names a version: they do not change.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// What a next run may change under the same name: kept, but asked after each time.
const ASK_FIRST: &str = "no-cache";
/// What holds secrets.
const KEEP_NOT: &str = "no-store";

const ENTRY_POINTS: &[&str] = &[BOOT_IPXE, GRUB_CFG, "EFI/BOOT/grub.cfg", "index.ipxe"];
/// A manifest is read up to here.
const MAX_MANIFEST: u64 = 256 << 20;

/// An object to be.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its path in the tree.
    pub path: TreePath,
    /// Its key below the prefix.
    pub key: String,
    /// Its bytes.
    pub content: Content,
    /// What is said of it.
    pub head: Head,
    /// When it must appear.
    pub role: Role,
    /// What changes when its bytes do, where that can be told without reading them all.
    pub stamp: Option<String>,
    /// What its bytes must be, where the tree's own manifest says.
    pub expect: Option<Digest>,
    /// True for one that lies there a second time, under the name that `+` in a URL makes of it.
    pub twin: bool,
    /// True where others may not read the file that it is made from.
    pub private: bool,
}

/// All that is to be in the store.
pub struct Job<'a> {
    /// Payload and entry points.
    pub items: Vec<Item>,
    /// For people.
    pub title: String,
    kind: Kind<'a>,
    signer: Option<&'a Signer>,
}

enum Kind<'a> {
    Plan(&'a Plan),
    /// Manifest, sums and what else speaks for the others.
    Tree(Vec<Item>),
}

/// Finds out whether sources are as they were.
struct Stamps {
    by_source: HashMap<usize, Option<String>>,
    settled_before: i64,
}

impl Stamps {
    fn of(&mut self, content: &Content) -> Option<String> {
        let mut hash = Sha256::new();
        for segment in content.segments() {
            match segment {
                Segment::Bytes(b) => {
                    hash.update([0]);
                    hash.update((b.len() as u64).to_le_bytes());
                    hash.update(b);
                }
                Segment::Extent { src, off, len } => {
                    let at = Arc::as_ptr(src).cast::<()>() as usize;
                    let before = self.settled_before;
                    let source = self.by_source.entry(at).or_insert_with(|| {
                        src.stamp().filter(|s| s.changed < before).map(|s| s.text)
                    });
                    hash.update([1]);
                    hash.update(source.as_ref()?);
                    hash.update(off.to_le_bytes());
                    hash.update(len.to_le_bytes());
                }
                Segment::Zero(n) => {
                    hash.update([2]);
                    hash.update(n.to_le_bytes());
                }
            }
        }
        let d = Digest(hash.finalize().into()).to_string();
        Some(d[..32].to_owned())
    }
}

impl Item {
    /// True for manifest and sums, whose bytes follow from the others'.
    pub fn is_record(&self) -> bool {
        [MANIFEST, SUMS].contains(&self.key.as_str())
    }
}

impl<'a> Job<'a> {
    /// What a plan would write. `now` is in seconds since 1970; `twins` makes a second object, with spaces,
    /// for each key with a `+`.
    ///
    /// # Errors
    /// `Unsupported` for a name that can't be a key.
    pub fn of_plan(
        plan: &'a Plan,
        signer: Option<&'a Signer>,
        now: i64,
        twins: bool,
    ) -> Result<Self> {
        let mut stamps = Stamps { by_source: HashMap::new(), settled_before: now - 2 };
        let mut items = Vec::new();
        for (path, f) in &plan.files {
            let vendors = matches!(f.origin, Origin::Medium { .. });
            let mut item = item(path, &f.content, f.role, vendors, f.mode & 0o077 == 0)?;
            item.stamp = stamps.of(&f.content);
            items.push(item);
        }
        if twins {
            add_twins(&mut items);
        }
        Ok(Job { items, title: plan.title.clone(), kind: Kind::Plan(plan), signer })
    }

    /// A tree that was built: what its manifest lists, with the manifest, the sums and signatures beside
    /// them.
    ///
    /// # Errors
    /// `NotFound` where it has no manifest or lacks a file of it, `Corrupt` for a wrong length.
    pub fn of_tree(dir: &Path, now: i64, twins: bool) -> Result<Self> {
        let at = dir.join(MANIFEST);
        let text = Content::open(&at)
            .and_then(|c| c.read_all(MAX_MANIFEST))
            .map_err(|e| e.hint("publish takes a tree that build made, a recipe file or an ISO"))?;
        let manifest = Manifest::from_json(&text).map_err(|e| e.source_name(at.display()))?;
        let mut stamps = Stamps { by_source: HashMap::new(), settled_before: now - 2 };
        let open = |path: &TreePath| -> Result<Content> {
            let src = PathSource::open(&dir.join(path.as_path()))
                .map_err(|e| e.source_name(dir.display()).path(path))?;
            Ok(Content::whole(Arc::new(src)))
        };
        let mut items = Vec::new();
        for row in &manifest.files {
            let content = open(&row.path)?;
            if content.len() != row.size {
                let what =
                    format!("{} bytes, not {} as the manifest says", content.len(), row.size);
                return Err(Error::new(ErrorKind::Corrupt, what)
                    .source_name(dir.display())
                    .path(&row.path)
                    .hint("`isowright verify` tells what is wrong with the tree"));
            }
            let entry = ENTRY_POINTS.iter().any(|e| e.as_bytes() == row.path.as_bytes());
            let role = if entry { Role::EntryPoint } else { Role::Payload };
            let vendors = matches!(row.origin, Origin::Medium { .. });
            let mut item = item(&row.path, &content, role, vendors, row.mode.is_some())?;
            item.stamp = stamps.of(&content);
            item.expect = Some(row.sha256);
            items.push(item);
        }
        let mut records = Vec::new();
        let listed: Vec<TreePath> = items.iter().map(|i| i.path.clone()).collect();
        for name in [MANIFEST, SUMS] {
            let path: TreePath = name.parse()?;
            records.push(item(&path, &open(&path)?, Role::Payload, false, false)?);
        }
        for path in listed.iter().chain(&[MANIFEST.parse()?, SUMS.parse()?]) {
            let signature = sign::beside(path)?;
            if !listed.contains(&signature) && dir.join(signature.as_path()).is_file() {
                records.push(item(&signature, &open(&signature)?, Role::Payload, false, false)?);
            }
        }
        if twins {
            add_twins(&mut items);
        }
        Ok(Job { items, title: manifest.title, kind: Kind::Tree(records), signer: None })
    }

    /// The keys of all objects, records too.
    pub fn keys(&self) -> HashSet<String> {
        let mut keys: HashSet<String> = self.items.iter().map(|i| i.key.clone()).collect();
        keys.extend([MANIFEST, SUMS].map(str::to_owned));
        match (&self.kind, self.signer) {
            (Kind::Tree(records), _) => keys.extend(records.iter().map(|i| i.key.clone())),
            (Kind::Plan(_), None) => {}
            (Kind::Plan(plan), Some(_)) => {
                let signed = plan.files.iter().filter(|(p, f)| sign::is_signed(p, f));
                keys.extend(signed.map(|(p, _)| format!("{p}{}", sign::SUFFIX)));
                keys.insert(sign::MANIFEST_SIG.to_owned());
            }
        }
        keys
    }

    /// True where no source has changed since the job was made.
    pub fn stands_still(&self) -> bool {
        let mut stamps = Stamps { by_source: HashMap::new(), settled_before: i64::MAX };
        self.items.iter().all(|i| i.stamp.is_none() || i.stamp == stamps.of(&i.content))
    }

    /// The records' names and types, for those whose bytes are not known yet.
    ///
    /// # Errors
    /// None that is met: the names are fixed.
    pub fn records_to_be(&self) -> Result<Vec<Item>> {
        match &self.kind {
            Kind::Tree(records) => Ok(records.clone()),
            Kind::Plan(_) => [MANIFEST, SUMS]
                .iter()
                .map(|n| item(&n.parse()?, &Content::empty(), Role::Payload, false, false))
                .collect(),
        }
    }

    /// Manifest and sums, once the digest of each file is known.
    ///
    /// # Errors
    /// `Io` where they can't be spelled.
    pub fn records(&self, digests: &BTreeMap<&str, Digest>) -> Result<Vec<Item>> {
        let plan = match &self.kind {
            Kind::Tree(records) => return Ok(records.clone()),
            Kind::Plan(plan) => plan,
        };
        let mut rows = BTreeMap::new();
        for item in self.items.iter().filter(|i| !i.twin) {
            let (Some(f), Some(d)) = (plan.files.get(&item.path), digests.get(item.key.as_str()))
            else {
                return Err(Error::usage("its digest is not known").path(&item.path));
            };
            rows.insert(item.path.clone(), FileRow::new(&item.path, f, *d));
        }
        let record =
            |path: &TreePath, content: &Content| item(path, content, Role::Payload, false, false);
        let mut out = Vec::new();
        if let Some(signer) = self.signer {
            for (path, f) in &sign::signatures(plan, &rows, signer)? {
                let digest = copy::digest(&f.content, &|_| true)?;
                rows.insert(path.clone(), FileRow::new(path, f, digest));
                out.push(record(path, &f.content)?);
            }
        }
        let manifest = Manifest::new(plan, rows.into_values().collect());
        let text = Content::from(manifest.to_json()?);
        if let Some(signer) = self.signer {
            let own = copy::digest(&text, &|_| true)?;
            out.push(record(&sign::MANIFEST_SIG.parse()?, &signer.sign(&own)?.into())?);
        }
        out.push(record(&MANIFEST.parse()?, &text)?);
        out.push(record(&SUMS.parse()?, &manifest.sums()?.into())?);
        Ok(out)
    }
}

fn item(
    path: &TreePath,
    content: &Content,
    role: Role,
    vendors: bool,
    private: bool,
) -> Result<Item> {
    let key = path.as_str().ok_or_else(|| {
        Error::unsupported("a name that is not UTF-8 can't be the key of an object")
            .path(path)
            .hint("`isowright build` and a web server can have it")
    })?;
    let cache = match (role, vendors, private) {
        (_, _, true) => KEEP_NOT,
        (Role::Payload, true, false) => FOR_GOOD,
        _ => ASK_FIRST,
    };
    let head = Head { media_type: media_type::of(path.name()), cache, sha256: None };
    Ok(Item {
        path: path.clone(),
        key: key.to_owned(),
        content: content.clone(),
        head,
        role,
        stamp: None,
        expect: None,
        twin: false,
        private,
    })
}

/// S3 takes a `+` in the path of a URL for a space, and installers do not escape it: the file must lie there
/// under that name too.
fn add_twins(items: &mut Vec<Item>) {
    let known: HashSet<String> = items.iter().map(|i| i.key.clone()).collect();
    let twins: Vec<Item> = items
        .iter()
        .filter(|i| i.key.contains('+'))
        .map(|i| Item { key: i.key.replace('+', " "), twin: true, ..i.clone() })
        .filter(|i| !known.contains(&i.key))
        .collect();
    items.extend(twins);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_bytes_stay_and_ours_are_asked_after() {
        let i = |path: &str, role, vendors, private| {
            let path = path.parse().expect("path");
            item(&path, &"x".into(), role, vendors, private).expect("item").head.cache
        };
        assert_eq!(i("vmlinuz", Role::Payload, true, false), FOR_GOOD);
        assert_eq!(i("initrd.img", Role::Payload, false, false), ASK_FIRST);
        assert_eq!(i("boot.ipxe", Role::EntryPoint, false, false), ASK_FIRST);
        assert_eq!(i("ks.cfg", Role::Payload, false, true), KEEP_NOT);
    }

    #[test]
    fn a_plus_lies_there_twice() {
        let make = |p: &str| {
            item(&p.parse().expect("path"), &"x".into(), Role::Payload, true, false).expect("item")
        };
        let mut all = vec![make("repo/libstdc++.rpm"), make("a+b"), make("a b"), make("plain")];
        add_twins(&mut all);
        let twins: Vec<&str> = all.iter().filter(|i| i.twin).map(|i| i.key.as_str()).collect();
        assert_eq!(twins, ["repo/libstdc  .rpm"]);
    }

    #[test]
    fn a_stamp_follows_the_file_and_the_extent() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = dir.path().join("f");
        std::fs::write(&at, "0123456789").expect("write");
        let open = || Content::open(&at).expect("open");
        let stamp = |c: &Content, before| {
            Stamps { by_source: HashMap::new(), settled_before: before }.of(c)
        };
        let c = open();
        let first = stamp(&c, i64::MAX).expect("stamp");
        assert_eq!(stamp(&open(), i64::MAX), Some(first.clone()));
        assert_ne!(stamp(&c.slice(1..9).expect("slice"), i64::MAX), Some(first.clone()));
        // One that changed a moment ago is no proof.
        assert_eq!(stamp(&c, 0), None);
        std::fs::write(&at, "9876543210").expect("write");
        assert_ne!(stamp(&open(), i64::MAX), Some(first));
    }
}
