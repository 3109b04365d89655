//! What becomes of each entry of an initrd that is made anew.

use super::Options;
use crate::content::Content;
use crate::content::copy::{Digest, Watch};
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::error::{Error, ErrorKind, Result};
use crate::format::cpio::{Body, Header};
use crate::format::initrd::Inside;
use globset::{GlobBuilder, GlobMatcher};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};

/// What becomes of an entry that does not stay as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Left out: dropped, or a later one overwrites it.
    Gone,
    /// Gets the bytes of the n-th of [`Options::replace`].
    Replaced(usize),
    /// Becomes one of so many names of the file that another entry is.
    Name {
        /// The other entry.
        of: usize,
        /// Names, that one's included.
        names: u32,
    },
    /// Written where the entry stood that had its file's bytes and goes.
    Moved,
}

/// Fates by entry.
#[derive(Debug, Default)]
pub struct Fates {
    /// Of all that do not stay as they are.
    pub of: HashMap<usize, Fate>,
    /// Entry with the bytes -> entry and header that are written in its place.
    pub takes_over: HashMap<usize, (usize, Header)>,
    /// Entry that identical files become names of -> number of names.
    pub names: HashMap<usize, u32>,
    /// Paths that were asked to go.
    pub dropped: Vec<TreePath>,
    /// Entries left out, for a later one overwrites them.
    pub overwritten: usize,
    /// Files that become names of another.
    pub linked: usize,
    /// Entries looked at.
    pub read: usize,
}

/// A path, or where there is no such path a glob.
struct Pattern {
    text: String,
    path: Option<TreePath>,
    glob: GlobMatcher,
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        let trimmed = text.trim_matches('/');
        let glob = GlobBuilder::new(trimmed)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|e| {
                Error::usage(format!("bad pattern \"{text}\""))
                    .because(e)
                    .hint("a [ or { of a name is written \\[ or \\{")
            })?;
        let path = TreePath::new(trimmed).ok().filter(|p| !p.is_root());
        Ok(Pattern { text: text.to_owned(), path, glob: glob.compile_matcher() })
    }

    /// The path itself where the tree has it, through links to its folder too.
    fn literal(&self, tree: &Tree) -> Option<TreePath> {
        let path = self.path.clone()?;
        in_tree(tree, &path)
    }
}

/// `path` as the tree has it: the links to its folder followed, not itself.
fn in_tree(tree: &Tree, path: &TreePath) -> Option<TreePath> {
    if tree.get(path).is_some() {
        return Some(path.clone());
    }
    let folder = tree.resolve(&path.parent()?).ok()?;
    folder.join(path.name()).ok().filter(|p| tree.get(p).is_some())
}

/// The patterns that mean something in an initrd.
///
/// # Errors
/// `Usage` for a bad one.
pub fn matching(inside: &Inside, patterns: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for text in patterns {
        let p = Pattern::new(text)?;
        let hit = |path: &TreePath| p.glob.is_match(path.as_path());
        if p.literal(&inside.tree).is_some() || inside.tree.iter().any(|(path, _)| hit(path)) {
            found.push(text.clone());
        }
    }
    Ok(found)
}

/// Which wishes met something.
pub struct Used {
    patterns: Vec<Pattern>,
    dropped: Vec<bool>,
    replaced: Vec<bool>,
}

impl Used {
    /// None yet.
    pub fn new(options: &Options) -> Result<Self> {
        let patterns = options.drop.iter().map(|t| Pattern::new(t)).collect::<Result<Vec<_>>>()?;
        let (dropped, replaced) = (vec![false; patterns.len()], vec![false; options.replace.len()]);
        Ok(Used { patterns, dropped, replaced })
    }

    /// # Errors
    /// `NotFound` where one met nothing.
    pub fn all(&self, options: &Options) -> Result<()> {
        const LIST: &str = "`isowright initrd ls` lists all; quote globs, so that the shell leaves \
                            them alone";
        if let Some(n) = self.dropped.iter().position(|u| !u) {
            let text = &self.patterns[n].text;
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("\"{text}\" matches nothing in the initrd"),
            )
            .hint(LIST));
        }
        if let Some(n) = self.replaced.iter().position(|u| !u) {
            return Err(Error::new(ErrorKind::NotFound, "the initrd has no such file to replace")
                .path(&options.replace[n].0)
                .hint("add it instead: isowright initrd append --add"));
        }
        Ok(())
    }
}

impl Fates {
    /// Looks through an initrd from a segment's start on.
    pub fn of(
        initrd: &Content,
        start: u64,
        options: &Options,
        used: &mut Used,
        watch: Watch,
    ) -> Result<Self> {
        let mut digests: HashMap<usize, Digest> = HashMap::new();
        let inside = Inside::from(initrd, start, &mut |at, h, body| {
            if options.link_identical && h.is_file() && !h.is_hard_link() && h.size > 0 {
                digests.insert(at.entry, digest(body)?);
            }
            match watch(0) {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
            }
        })?;
        let mut f = Fates { read: inside.entries.len(), ..Fates::default() };
        let places = inside.places();
        f.drop(&inside, &places, used);
        f.replace(&inside, options, used)?;
        f.overwrite(&inside, &places);
        f.keep_names(&inside);
        f.link(&inside, &digests);
        Ok(f)
    }

    fn drop(&mut self, inside: &Inside, places: &[Option<TreePath>], used: &mut Used) {
        let literals: Vec<_> = used.patterns.iter().map(|p| p.literal(&inside.tree)).collect();
        if literals.is_empty() {
            return;
        }
        for (i, place) in places.iter().enumerate() {
            let Some(place) = place else { continue };
            let mut above = std::iter::successors(Some(place.clone()), TreePath::parent);
            let which = above.find_map(|p| {
                let hit = |(n, l): (usize, &Option<TreePath>)| match l {
                    Some(l) => *l == p,
                    None => !p.is_root() && used.patterns[n].glob.is_match(p.as_path()),
                };
                literals.iter().enumerate().position(hit)
            });
            if let Some(n) = which {
                used.dropped[n] = true;
                self.of.insert(i, Fate::Gone);
                self.dropped.push(place.clone());
            }
        }
    }

    fn replace(&mut self, inside: &Inside, options: &Options, used: &mut Used) -> Result<()> {
        for (n, (path, _)) in options.replace.iter().enumerate() {
            let Some(at) = in_tree(&inside.tree, path) else { continue };
            let Some(i) = inside.entry(&at) else { continue };
            if !inside.entries[i].header.is_file() {
                return Err(Error::new(ErrorKind::Conflict, "what is to be replaced is no file")
                    .path(&at)
                    .hint("drop it, and append a file of that name"));
            }
            used.replaced[n] = true;
            self.of.insert(i, Fate::Replaced(n));
        }
        Ok(())
    }

    /// Leaves out files and devices that a later entry of that path overwrites. Folders and links
    /// stay, for entries between the two may need them; so do names of a hard link, for the later
    /// entry writes to all of them.
    fn overwrite(&mut self, inside: &Inside, places: &[Option<TreePath>]) {
        let linked: BTreeSet<usize> = inside.hard_links().into_values().flatten().collect();
        let mut later = BTreeSet::new();
        for (i, place) in places.iter().enumerate().rev() {
            let Some(place) = place else { continue };
            let h = &inside.entries[i].header;
            let plain = !h.is_dir() && !h.is_symlink() && !linked.contains(&i);
            let is_again = !later.insert(place);
            if plain && is_again && !self.of.contains_key(&i) {
                self.of.insert(i, Fate::Gone);
                self.overwritten += 1;
            }
        }
    }

    /// A hard link's bytes stand with one of its names. Where that one goes, another takes them over.
    fn keep_names(&mut self, inside: &Inside) {
        for names in inside.hard_links().into_values() {
            let (stay, go): (Vec<usize>, Vec<usize>) =
                names.into_iter().partition(|i| !self.of.contains_key(i));
            let has_bytes = |i: &&usize| inside.entries[**i].header.size > 0;
            let from = go.iter().rev().find(has_bytes);
            let (Some(from), Some(to)) = (from, stay.last()) else { continue };
            if stay.iter().any(|i| has_bytes(&i)) {
                continue;
            }
            self.takes_over.insert(*from, (*to, inside.entries[*to].header.clone()));
            self.of.insert(*to, Fate::Moved);
        }
    }

    /// Identical files that have the same owner and mode too become names of the first.
    fn link(&mut self, inside: &Inside, digests: &HashMap<usize, Digest>) {
        let mut alike: HashMap<_, Vec<usize>> = HashMap::new();
        for (i, e) in inside.entries.iter().enumerate() {
            let Some(d) = digests.get(&i).filter(|_| !self.of.contains_key(&i)) else { continue };
            let h = &e.header;
            alike.entry((*d, h.size, h.mode, h.uid, h.gid)).or_default().push(i);
        }
        for group in alike.into_values().filter(|g| g.len() > 1) {
            let names = group.len() as u32;
            self.names.insert(group[0], names);
            self.linked += group.len() - 1;
            for i in &group[1..] {
                self.of.insert(*i, Fate::Name { of: group[0], names });
            }
        }
    }
}

fn digest(body: &mut Body) -> Result<Digest> {
    let mut hash = Sha256::new();
    let mut take = |b: &[u8]| {
        hash.update(b);
        Ok(())
    };
    while body.piece(&mut take)? {}
    Ok(Digest(hash.finalize().into()))
}
