//! What is served: folders as they are, and the plans of recipe files and ISOs as trees.

use super::super::args::Serve;
use super::super::{build, image, index, resolve, term};
use super::no_name;
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind, Tree};
use crate::error::Result;
use crate::family::draft::Disks;
use crate::plan::Plan;
use crate::plan::netboot::{BOOT_IPXE, INITRD, KERNEL};
use crate::publish::MANIFEST;
use crate::publish::manifest::Manifest;
use crate::recipe::source::FileOrUrl;
use crate::serve::machines::{Meaning, Stage};
use crate::serve::request::url_path;
use crate::serve::{Served, Site};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All that is served.
pub struct Trees {
    trees: Vec<One>,
    /// Repacked images, by their names with the end.
    images: Vec<(String, Content)>,
}

/// A tree.
struct One {
    name: String,
    title: String,
    disks: Disks,
    unattended: bool,
    from: From,
    hosts: BTreeSet<String>,
    /// Whether it has a boot script.
    boots: bool,
}

enum From {
    Folder(PathBuf),
    Plan(Arc<Tree>),
}

impl Trees {
    /// Opens and plans each source. Several plans of one name are told apart by a number.
    pub fn of(a: &Serve) -> Result<Self> {
        let mut all = Trees { trees: Vec::new(), images: Vec::new() };
        for source in &a.sources {
            match source.file().filter(|f| f.is_dir()) {
                Some(dir) => all.folder(dir)?,
                None => all.planned(a, source)?,
            }
        }
        Ok(all)
    }

    fn free(&self, name: &str) -> String {
        let taken = |n: &str| {
            self.trees.iter().any(|t| t.name == n) || self.images.iter().any(|(i, _)| i == n)
        };
        let mut free = name.to_owned();
        let mut n = 2;
        while taken(&free) {
            free = match name.strip_suffix(".iso") {
                Some(stem) => format!("{stem}-{n}.iso"),
                None => format!("{name}-{n}"),
            };
            n += 1;
        }
        free
    }

    fn folder(&mut self, dir: &Path) -> Result<()> {
        let real = dir
            .canonicalize()
            .map_err(|e| crate::error::Error::io("can't open", e).source_name(dir.display()))?;
        let name = real.file_name().map_or("root".into(), |n| n.to_string_lossy().into_owned());
        let at = dir.join(MANIFEST);
        let manifest = match at.exists() {
            true => Manifest::from_json(&resolve::read_file(&at, 256 << 20)?).ok(),
            false => None,
        };
        let boots = dir.join(BOOT_IPXE).is_file();
        let name = self.free(&name);
        let from = From::Folder(dir.to_owned());
        self.trees.push(match manifest {
            Some(m) => One {
                name,
                title: m.title,
                disks: m.disks,
                unattended: m.unattended,
                from,
                hosts: m.hosts.into_iter().map(|h| h.name).collect(),
                boots,
            },
            None => One {
                title: name.clone(),
                name,
                disks: Disks::LeftAlone,
                unattended: false,
                from,
                hosts: BTreeSet::new(),
                boots,
            },
        });
        Ok(())
    }

    fn planned(&mut self, a: &Serve, source: &FileOrUrl) -> Result<()> {
        let mut wish = resolve::wish(source, &a.wanted)?;
        // Where nobody knows how machines get here, none can be told to say that it is through.
        wish.target.done = super::dnsmasq::url(a).ok().map(|url| url + super::DONE);
        let trees = wish.outputs.iter().filter(|o| o.dir.is_some()).count();
        let several = a.sources.len() > 1 || trees > 1;
        let mut orders = image::orders(&wish)?;
        if orders.is_empty() && a.image {
            orders.push(image::Order::unsummed());
        }
        let given = wish.target.base_url.clone();
        for (i, (mut plan, dir)) in build::plans(&mut wish, None)?.into_iter().enumerate() {
            let own = dir.as_deref().and_then(Path::file_name).map(|n| n.to_string_lossy());
            let name = self.free(own.as_deref().unwrap_or(&plan.name));
            if let (Some(base), true) = (&given, several) {
                // The URL that was given is that of all.
                wish.target.base_url = Some(format!("{base}{}/", url_path(name.as_bytes())));
                if let Some((with_name, _)) = build::plans(&mut wish, None)?.into_iter().nth(i) {
                    plan = with_name;
                }
            }
            for n in plan.notes.iter().filter(|n| n.warning) {
                eprintln!("warning: {name}: {}", term::safe(&n.text));
            }
            self.trees.push(One::of(name, &plan));
        }
        wish.target.base_url = given;
        for (name, content) in image::contents(&mut wish, orders)? {
            let name = self.free(&format!("{name}.iso"));
            self.images.push((name, content));
        }
        Ok(())
    }

    /// One tree alone lies at the root, several below their names; images beside them.
    pub fn site(&self) -> Result<Site> {
        let mut site = Site::new();
        for t in &self.trees {
            let at = match self.trees.len() {
                1 => TreePath::root(),
                _ => TreePath::root().join(&t.name).map_err(|_| no_name(&t.name))?,
            };
            match &t.from {
                From::Folder(dir) => site.add_folder(at, dir)?,
                From::Plan(tree) => site.add_tree(at, tree.clone()),
            }
        }
        let mut top = Tree::new();
        for (name, content) in &self.images {
            let at = TreePath::root().join(name).map_err(|_| no_name(name))?;
            top.insert(at, Node::file(content.clone()));
        }
        if self.trees.len() > 1 {
            top.insert(index::NAME.parse()?, Node::file(self.menu()?));
        }
        site.add_tree(TreePath::root(), Arc::new(top));
        Ok(site)
    }

    fn menu(&self) -> Result<String> {
        let entry = |t: &One| index::Entry {
            dir: t.name.clone(),
            title: t.title.clone(),
            disks: t.disks.clone(),
            unattended: t.unattended,
        };
        index::menu(&self.trees.iter().filter(|t| t.boots).map(entry).collect::<Vec<_>>())
    }

    /// What to show at the start: paths, and what they are.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.trees.len() > 1 {
            out.push(format!("{}  a menu over all", index::NAME));
        }
        for t in &self.trees {
            let folder = match self.trees.len() {
                1 => String::new(),
                _ => format!("{}/", url_path(t.name.as_bytes())),
            };
            let script = if t.boots { BOOT_IPXE } else { "" };
            let risk = match &t.disks {
                Disks::AsOwn { .. } => " - MAY WIPE THE DISKS",
                _ if t.unattended => " - WIPES THE DISKS",
                _ => "",
            };
            out.push(format!("{folder}{script}  {}{risk}", t.title));
        }
        out.extend(self.images.iter().map(|(name, c)| {
            format!("{}  {}", url_path(name.as_bytes()), crate::plan::render::human(c.len()))
        }));
        out
    }

    /// What the log has to know.
    pub fn known(&self) -> Known {
        let trees = self.trees.iter().map(|t| (t.name.clone(), t.hosts.clone())).collect();
        Known { single: self.trees.len() == 1, trees }
    }
}

impl One {
    fn of(name: String, plan: &Plan) -> Self {
        let node = |f: &crate::plan::Planned| Node {
            kind: NodeKind::File(f.content.clone()),
            mode: f.mode,
            mtime: f.mtime,
        };
        let tree: Tree = plan.files.iter().map(|(p, f)| (p.clone(), node(f))).collect();
        One {
            name,
            title: plan.title.clone(),
            disks: plan.disks.clone(),
            unattended: plan.disks.at_risk(),
            from: From::Plan(Arc::new(tree)),
            hosts: plan.hosts.iter().map(|h| h.name.clone()).collect(),
            boots: true,
        }
    }
}

/// The trees' names and hosts.
pub struct Known {
    single: bool,
    trees: Vec<(String, BTreeSet<String>)>,
}

impl Known {
    /// What a request means: the paths are those that every plan gives its files.
    pub fn meaning(&self, s: &Served) -> Meaning {
        let Some(path) = &s.path else { return Meaning::default() };
        let mut parts: Vec<&[u8]> = path.parts().collect();
        let mut tree = self.trees.first().filter(|_| self.single);
        if !self.single
            && let Some(first) = parts.first()
            && let Some(t) = self.trees.iter().find(|(n, _)| n.as_bytes() == *first)
        {
            tree = Some(t);
            parts.remove(0);
        }
        let host_of = |name: &[u8]| {
            let name = std::str::from_utf8(name).ok()?;
            tree?.1.get(name).cloned()
        };
        let (stage, host) = match &parts[..] {
            [] | [b".isowright", ..] => (None, None),
            [one] if is(one, &["manifest.json", "SHA256SUMS"]) => (None, None),
            [one] if is(one, &[BOOT_IPXE, index::NAME]) => (Some(Stage::Script), None),
            [b"EFI" | b"grub", ..] => (Some(Stage::Script), None),
            [one] if is(one, &[KERNEL]) => (Some(Stage::Kernel), None),
            [one] if is(one, &[INITRD]) => (Some(Stage::Initrd), None),
            [b"hosts", one] => {
                (Some(Stage::Initrd), host_of(one.strip_suffix(b".img").unwrap_or(one)))
            }
            [b"answers", one, ..] => (Some(Stage::Answers), host_of(one)),
            _ => (Some(Stage::System), None),
        };
        let name = tree.filter(|_| !self.single).map(|(n, _)| n.clone()).unwrap_or_default();
        Meaning { tree: name, stage, host }
    }
}

fn is(name: &[u8], any: &[&str]) -> bool {
    any.iter().any(|a| a.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_stages_with_one_tree_and_with_several() {
        let of = |single: bool, path: &str| {
            let trees =
                ["a", "b"].iter().map(|n| ((*n).to_owned(), BTreeSet::from(["node1".to_owned()])));
            let known = Known { single, trees: trees.take(if single { 1 } else { 2 }).collect() };
            let s = Served {
                peer: "192.0.2.1:1".parse().expect("address"),
                method: "GET".into(),
                target: path.into(),
                path: path.parse().ok(),
                status: 200,
                bytes: 0,
                complete: true,
            };
            let m = known.meaning(&s);
            (m.tree, m.stage, m.host)
        };
        let node = Some("node1".to_owned());
        for (path, stage, host) in [
            ("boot.ipxe", Some(Stage::Script), None),
            ("EFI/BOOT/grub.cfg", Some(Stage::Script), None),
            ("vmlinuz", Some(Stage::Kernel), None),
            ("initrd.img", Some(Stage::Initrd), None),
            ("hosts/node1.img", Some(Stage::Initrd), node.clone()),
            ("answers/ks.cfg", Some(Stage::Answers), None),
            ("answers/node1/ks.cfg", Some(Stage::Answers), node.clone()),
            ("answers/stranger/ks.cfg", Some(Stage::Answers), None),
            ("repo/vmlinuz", Some(Stage::System), None),
            ("manifest.json", None, None),
        ] {
            assert_eq!(of(true, path), (String::new(), stage, host.clone()), "{path}");
            assert_eq!(of(false, &format!("b/{path}")), ("b".into(), stage, host), "b/{path}");
        }
        assert_eq!(of(false, "index.ipxe"), (String::new(), Some(Stage::Script), None));
        assert_eq!(of(false, "a"), ("a".into(), None, None));
        assert_eq!(of(true, ".isowright/status").1, None);
    }
}
