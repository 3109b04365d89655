//! What of the medium is hosted below `repo/`, and links in it: object stores and CDNs have none, so
//! each becomes what it points to, or is left out where it points to itself or outside.

use super::{Chosen, Extent, Origin, Planned, Role, Target, add};
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind};
use crate::error::{Error, Result};
use crate::family::draft::{BASE, Draft, Hosted, MEDIUM};
use crate::media::Media;
use std::collections::{BTreeMap, BTreeSet};

/// Files behind linked folders may be so many times the medium's own: a small hostile medium could
/// link a thousand folders to each other.
const LINKED: usize = 2;

/// Adds the hosted files. Returns the paths below the tree that arguments name and nobody hosts.
///
/// # Errors
/// `NotFound` where the family names a file that is not there.
pub fn plan(
    files: &mut BTreeMap<TreePath, Planned>,
    media: &Media,
    draft: &mut Draft,
    target: &Target,
    chosen: &Chosen,
) -> Result<Vec<String>> {
    let hosted = match target.extent {
        Extent::AsNeeded => std::mem::take(&mut draft.hosted),
        Extent::FullTree => Hosted { tree: true, ..std::mem::take(&mut draft.hosted) },
        Extent::BootOnly => Hosted::default(),
    };
    if hosted.tree {
        whole(files, media, draft)?;
    } else {
        for p in hosted.files {
            let content = media.tree.file(&p)?.clone();
            let mtime = media.tree.get(&p).and_then(|n| n.mtime);
            put(files, &p, content, mtime, "the kernel arguments name it")?;
        }
    }
    if hosted.medium {
        let file = Planned {
            content: media.image.clone(),
            origin: Origin::Medium { path: "iso:".into(), offset: Some(0) },
            reasons: vec!["the system fetches its own medium whole".into()],
            role: Role::Payload,
            mode: 0o644,
            mtime: None,
        };
        add(files, MEDIUM.parse()?, file)?;
    }
    let missing: Vec<String> = named_below_base(&chosen.cmdline)
        .into_iter()
        .filter(|n| {
            // A folder may stand without its slash, as alpine_repo has it.
            let p: Result<TreePath> = n.parse();
            !p.is_ok_and(|p| {
                let beside = draft.beside.iter().map(|m| &m.path);
                files.keys().chain(beside).any(|f| f.starts_with(&p))
            })
        })
        .collect();
    for m in &missing {
        draft.warn(format!(
            "{m} is named by the kernel arguments and not in this tree: host it there yourself"
        ));
    }
    Ok(missing)
}

/// Paths below the tree that arguments name, without a query.
fn named_below_base(cmdline: &str) -> BTreeSet<String> {
    cmdline
        .split_whitespace()
        .filter_map(|w| w.split_once(BASE))
        .map(|(_, rest)| rest.trim_matches('"').split('?').next().unwrap_or("").to_owned())
        .collect()
}

fn put(
    files: &mut BTreeMap<TreePath, Planned>,
    path: &TreePath,
    content: crate::content::Content,
    mtime: Option<i64>,
    reason: &str,
) -> Result<()> {
    let origin = super::boot_edit::medium_origin(path, &content);
    let to = TreePath::new("repo")?.join_path(path);
    let file = Planned {
        content,
        origin,
        reasons: vec![reason.into()],
        role: Role::Payload,
        mode: 0o644,
        mtime,
    };
    add(files, to, file)
}

fn whole(files: &mut BTreeMap<TreePath, Planned>, media: &Media, draft: &mut Draft) -> Result<()> {
    let mut links = Links { left_out: 0, budget: LINKED * media.tree.len() + 1000 };
    for (path, node) in media.tree.iter() {
        match &node.kind {
            NodeKind::File(c) => put(files, path, c.clone(), node.mtime, "the installer's source")?,
            NodeKind::Dir | NodeKind::Special(_) => {}
            NodeKind::Symlink(_) => links.follow(files, media, path, node)?,
        }
    }
    if links.left_out > 0 {
        draft.note(format!(
            "{} symbolic links are left out: they point to themselves, to nothing, out of the medium, or lie behind another link",
            links.left_out
        ));
    }
    Ok(())
}

struct Links {
    left_out: usize,
    /// Files that may still be added.
    budget: usize,
}

impl Links {
    fn follow(
        &mut self,
        files: &mut BTreeMap<TreePath, Planned>,
        media: &Media,
        path: &TreePath,
        node: &Node,
    ) -> Result<()> {
        let Ok(target) = media.tree.resolve(path) else {
            self.left_out += 1;
            return Ok(());
        };
        match media.tree.get(&target).map(|n| &n.kind) {
            Some(NodeKind::File(c)) => {
                put(files, path, c.clone(), node.mtime, "a link on the medium; a copy here")
            }
            Some(NodeKind::Dir) if !path.starts_with(&target) => {
                for (p, n) in media.tree.below(&target) {
                    let NodeKind::File(c) = &n.kind else {
                        self.left_out += usize::from(matches!(n.kind, NodeKind::Symlink(_)));
                        continue;
                    };
                    self.budget = self.budget.checked_sub(1).ok_or_else(|| {
                        Error::unsupported("the medium links folders to each other so often that a copy would be many times its size")
                            .path(path)
                            .hint("build with --boot-only and host the medium's files yourself")
                    })?;
                    let rest = &p.as_bytes()[target.as_bytes().len() + 1..];
                    let to = path.join_path(&TreePath::new(rest)?);
                    put(files, &to, c.clone(), n.mtime, "below a linked folder; a copy here")?;
                }
                Ok(())
            }
            _ => {
                self.left_out += 1;
                Ok(())
            }
        }
    }
}
