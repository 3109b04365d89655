//! `Tree`: what a filesystem is to us. Names to nodes, in stable order.

use super::Content;
use super::path::TreePath;
use crate::error::{Error, Result};

/// What a node is.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A regular file.
    File(Content),
    /// A folder.
    Dir,
    /// A symbolic link and its target's bytes as stored: may be absolute, dangling or hostile.
    Symlink(Vec<u8>),
    /// Named, but without content that we carry.
    Special(Special),
}

/// Nodes that are listed and never extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device, major and minor.
    Char(u32, u32),
    /// A block device, major and minor.
    Block(u32, u32),
}

/// A node of a [`Tree`].
#[derive(Debug, Clone)]
pub struct Node {
    /// File, folder, link or special.
    pub kind: NodeKind,
    /// Permission bits, `0o7777` at most. What the format says, or 0o555/0o444 where it says none.
    pub mode: u32,
    /// Seconds since 1970-01-01 UTC, where the format says.
    pub mtime: Option<i64>,
}

impl Node {
    /// A file of mode 0644.
    pub fn file(content: impl Into<Content>) -> Self {
        Node { kind: NodeKind::File(content.into()), mode: 0o644, mtime: None }
    }

    /// A folder of mode 0755.
    pub fn dir() -> Self {
        Node { kind: NodeKind::Dir, mode: 0o755, mtime: None }
    }

    /// The content, where it is a file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            NodeKind::File(c) => Some(c),
            _ => None,
        }
    }

    /// Size in bytes: a file's content, a link's target, else 0.
    pub fn size(&self) -> u64 {
        match &self.kind {
            NodeKind::File(c) => c.len(),
            NodeKind::Symlink(t) => t.len() as u64,
            _ => 0,
        }
    }

    /// True for a folder.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, NodeKind::Dir)
    }
}

/// Names to nodes. The root folder itself is not a node. Iteration is in [`TreePath`] order.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Sorted, each path once. Trees are made once and then read, some with 100,000 nodes: a plain list
    /// is made in a fraction of a map's time.
    nodes: Vec<(TreePath, Node)>,
    notes: Vec<String>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `nodes` that are in order already, each path once.
    pub(crate) fn of_sorted(nodes: Vec<(TreePath, Node)>) -> Self {
        debug_assert!(nodes.is_sorted_by(|a, b| a.0 < b.0));
        Tree { nodes, notes: Vec::new() }
    }

    /// Adds or replaces a node. The parents need not be there. Anywhere but at the end it moves all
    /// that follow: many nodes in no order are better collected.
    pub fn insert(&mut self, path: TreePath, node: Node) -> Option<Node> {
        if self.nodes.last().is_none_or(|(last, _)| *last < path) {
            self.nodes.push((path, node));
            return None;
        }
        match self.position(&path) {
            Ok(i) => Some(std::mem::replace(&mut self.nodes[i].1, node)),
            Err(i) => {
                self.nodes.insert(i, (path, node));
                None
            }
        }
    }

    /// Takes a node out.
    pub fn remove(&mut self, path: &TreePath) -> Option<Node> {
        self.position(path).ok().map(|i| self.nodes.remove(i).1)
    }

    /// The node at exactly `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.position(path).ok().map(|i| &self.nodes[i].1)
    }

    /// Where `path` stands in [`Tree::iter`], or where it would.
    ///
    /// # Errors
    /// The place to put it, where it is not there.
    pub fn position(&self, path: &TreePath) -> std::result::Result<usize, usize> {
        self.nodes.binary_search_by(|(p, _)| p.cmp(path))
    }

    /// The file at `path`, following symbolic links inside the tree (at most 40).
    ///
    /// # Errors
    /// `NotFound`, `Unsupported` where it is not a file or the links don't end.
    pub fn file(&self, path: &TreePath) -> Result<&Content> {
        let at = self.resolve(path)?;
        match self.get(&at).map(|n| &n.kind) {
            Some(NodeKind::File(c)) => Ok(c),
            Some(_) => Err(Error::unsupported("not a regular file").path(path)),
            None => Err(Error::new(crate::ErrorKind::NotFound, "no such file").path(path)),
        }
    }

    /// `path` with every symbolic link in it followed inside the tree.
    ///
    /// # Errors
    /// As [`resolve_links`].
    pub fn resolve(&self, path: &TreePath) -> Result<TreePath> {
        resolve_links(path, &|at| match self.get(at).map(|n| &n.kind) {
            Some(NodeKind::Symlink(target)) => Some(target),
            _ => None,
        })
    }

    /// The file whose path equals `path` when ASCII case is ignored: media without Rock Ridge or
    /// Joliet shout. An exact match wins.
    pub fn file_any_case(&self, path: &TreePath) -> Option<(&TreePath, &Content)> {
        let alike = |p: &TreePath| p.as_bytes().eq_ignore_ascii_case(path.as_bytes());
        let exact = self.position(path).ok();
        let at = exact.or_else(|| self.nodes.iter().position(|(p, _)| alike(p)))?;
        let p = &self.nodes[at].0;
        self.file(p).ok().map(|c| (p, c))
    }

    /// All nodes in order.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter().map(|(p, n)| (p, n))
    }

    /// All files in order.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, &Content)> {
        self.nodes.iter().filter_map(|(p, n)| n.content().map(|c| (p, c)))
    }

    /// The nodes below `dir`, in order.
    pub fn below<'a>(
        &'a self,
        dir: &'a TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, &'a Node)> {
        let from = self.position(dir).map_or_else(|i| i, |i| i + 1);
        self.nodes[from..].iter().map(|(p, n)| (p, n)).take_while(move |(p, _)| p.starts_with(dir))
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True where there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Says something about the medium that the user should know (an entry left out, a sloppy field).
    pub fn note(&mut self, text: impl Into<String>) {
        // A hostile image must not fill the memory with its complaints.
        if self.notes.len() < 1000 {
            self.notes.push(text.into());
        }
    }

    /// What was noted while reading, in order.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// `path` with every symbolic link in it followed below the root; `link` tells a link's target.
///
/// # Errors
/// `Unsupported` after 40 links, or where a link leaves the tree.
pub fn resolve_links<'a>(
    path: &TreePath,
    link: &dyn Fn(&TreePath) -> Option<&'a Vec<u8>>,
) -> Result<TreePath> {
    let mut left: Vec<Vec<u8>> = path.parts().rev().map(<[u8]>::to_vec).collect();
    let mut at = TreePath::root();
    let mut links = 0;
    while let Some(part) = left.pop() {
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                at = at
                    .parent()
                    .ok_or_else(|| Error::unsupported("a link leaves the tree").path(path))?;
                continue;
            }
            _ => {}
        }
        let next = at.join(&part).map_err(|e| e.path(path))?;
        match link(&next) {
            Some(target) => {
                links += 1;
                if links > 40 {
                    return Err(Error::unsupported("more than 40 links").path(path));
                }
                if target.first() == Some(&b'/') {
                    at = TreePath::root();
                }
                left.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
            }
            None => at = next,
        }
    }
    Ok(at)
}

impl FromIterator<(TreePath, Node)> for Tree {
    fn from_iter<I: IntoIterator<Item = (TreePath, Node)>>(it: I) -> Self {
        let mut nodes: Vec<(TreePath, Node)> = it.into_iter().collect();
        if !nodes.is_sorted_by(|a, b| a.0 < b.0) {
            nodes.sort_by(|a, b| a.0.cmp(&b.0));
            // Of several the last one counts, as with `insert`.
            nodes.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        Tree::of_sorted(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(s: &str) -> TreePath {
        s.parse().expect("path")
    }

    fn link(t: &str) -> Node {
        Node { kind: NodeKind::Symlink(t.into()), mode: 0o777, mtime: None }
    }

    #[test]
    fn links_are_followed_inside_the_tree_and_not_for_ever() {
        let t: Tree = [
            (p("usr/lib/x"), Node::file("x")),
            (p("lib"), link("usr/lib")),
            (p("a"), link("b")),
            (p("b"), link("a")),
            (p("out"), link("../../etc/passwd")),
            (p("abs"), link("/usr/lib/x")),
        ]
        .into_iter()
        .collect();
        assert_eq!(t.file(&p("lib/x")).expect("by link").len(), 1);
        assert_eq!(t.file(&p("abs")).expect("absolute").len(), 1);
        assert!(t.file(&p("a")).is_err());
        assert!(t.file(&p("out")).is_err());
    }

    #[test]
    fn the_last_of_several_counts_however_they_come() {
        let size = |t: &Tree, at| t.get(&p(at)).map(Node::size);
        let all = [("b", "1"), ("a", "1"), ("b", "22"), ("a/x", ""), ("b", "333")];
        let collected: Tree = all.iter().map(|(at, s)| (p(at), Node::file(*s))).collect();
        let mut inserted = Tree::new();
        for (at, s) in all {
            inserted.insert(p(at), Node::file(s));
        }
        for t in [collected, inserted] {
            assert_eq!((t.len(), size(&t, "b"), size(&t, "a")), (3, Some(3), Some(1)));
            assert!(t.iter().is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn below_takes_the_folder_and_not_its_neighbours() {
        let t: Tree =
            ["a", "a/b", "a/b/c", "a-x", "b"].iter().map(|s| (p(s), Node::dir())).collect();
        let got: Vec<String> = t.below(&p("a")).map(|(p, _)| p.to_string()).collect();
        assert_eq!(got, ["a/b", "a/b/c"]);
    }
}
