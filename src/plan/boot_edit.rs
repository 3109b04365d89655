//! From the medium's boot entries to the one that the tree starts, with the family's words in it.

use super::{Chosen, Inputs, NetbootPair, Target};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::family::draft::{ArgEdit, ArgOp, Brought, Draft, Note, Route};
use crate::format::bzimage::KernelVersion;
use crate::format::treeinfo::TreeInfo;
use crate::media::Media;
use crate::media::bootdocs::BootDocs;
use crate::media::identity::Identity;
use crate::model::boot::{BootEntry, FoundEntry, Locus, Payload};
use crate::model::cmdline::Cmdline;
use crate::plan::Origin;
use crate::recipe::Recipe;

/// What the tree starts from, before any edit.
#[derive(Debug)]
pub struct Start {
    /// The menu entry, where one was found.
    pub entry: Option<FoundEntry>,
    /// Kernel.
    pub kernel: Piece,
    /// Initrds in order.
    pub initrds: Vec<Piece>,
    /// The entry's kernel arguments.
    pub cmdline: Cmdline,
    /// What had to be assumed.
    pub notes: Vec<Note>,
}

/// A kernel or an initrd.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Bytes.
    pub content: Content,
    /// Where they came from.
    pub origin: Origin,
    /// How we know that it is the one.
    pub reason: String,
}

/// Chooses kernel, initrds and arguments. Arguments: those of the entry that the operator named, else of
/// the medium's default, else of its first Linux entry. Kernel and initrd: where the
/// medium's own can't netboot, the pair that is given, else one that the recipe knows on the medium; else the
/// named entry's, else the pair for network boot in the medium's `.treeinfo`, else the entry's, and last
/// the recipe's, marked as assumed.
///
/// # Errors
/// `NotFound` where nothing can be started, or the recipe wants a netboot pair and none is given.
pub fn choose(inputs: &Inputs) -> Result<Start> {
    let Inputs { media, docs, identity, recipe, target, .. } = inputs;
    let entry = choose_entry(media, docs, target)?;
    let cmdline = match entry.as_ref().map(|e| &e.entry.payload) {
        Some(Payload::Linux { cmdline, .. }) => cmdline.clone(),
        _ => Cmdline::default(),
    };
    if let Some(pair) = &target.netboot {
        return Ok(from_pair(pair, entry, cmdline));
    }
    let mut notes = Vec::new();
    if let Some(n) = &recipe.netboot {
        let (k, i) = recipe
            .boot_files(&media.tree)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, n.why.clone()).hint(n.ask(identity)))?;
        let by = "the medium's own pair for network boot";
        let (kernel, initrds) = (piece(media, None, &k, by)?, vec![piece(media, None, &i, by)?]);
        return Ok(Start { entry, kernel, initrds, cmdline, notes });
    }
    let by_treeinfo = match &target.entry {
        Some(_) => None,
        None => treeinfo_pair(media, identity),
    };
    let (kernel, initrds) = match by_treeinfo {
        Some((k, i)) => {
            let by = ".treeinfo names it";
            (piece(media, None, &k, by)?, vec![piece(media, None, &i, by)?])
        }
        None => match &entry {
            Some(FoundEntry { locus, entry, .. }) => {
                let Payload::Linux { kernel, initrds, .. } = &entry.payload else {
                    return Err(nothing_to_start());
                };
                let by =
                    format!("entry \"{}\" of {locus} names it", super::printable(&entry.title));
                let at = Some(locus);
                let initrds = initrds.iter().map(|i| piece(media, at, i, &by));
                (piece(media, at, kernel, &by)?, initrds.collect::<Result<_>>()?)
            }
            None => assumed(media, recipe, &mut notes)?,
        },
    };
    Ok(Start { entry, kernel, initrds, cmdline, notes })
}

/// Arguments of the entry that [`choose`] will take; none where there is none, or it can't be told which.
/// Started from the medium, those of all entries that a menu of it starts by itself.
pub(super) fn entry_cmdline(inputs: &Inputs) -> Cmdline {
    if inputs.target.route == Route::Medium {
        let entries = inputs.docs.docs.iter().flat_map(|d| d.doc.entries(&d.base));
        let lines: Vec<String> = entries
            .filter(|e| e.default)
            .filter_map(|e| match e.payload {
                Payload::Linux { cmdline, .. } => Some(cmdline.as_str().to_owned()),
                _ => None,
            })
            .collect();
        return Cmdline::parse(&lines.join(" ")).unwrap_or_default();
    }
    match choose_entry(inputs.media, inputs.docs, inputs.target) {
        Ok(Some(FoundEntry {
            entry: BootEntry { payload: Payload::Linux { cmdline, .. }, .. },
            ..
        })) => cmdline,
        _ => Cmdline::default(),
    }
}

/// What is known of the kernel that the operator brings, if any.
pub(super) fn brought(inputs: &Inputs) -> Option<Brought> {
    let Inputs { media, docs, recipe, target, .. } = inputs;
    let pair = target.netboot.as_ref()?;
    let of_entry = match choose_entry(media, docs, target).ok()?.map(|e| e.entry.payload) {
        Some(Payload::Linux { kernel, .. }) => Some(kernel),
        _ => None,
    };
    let own = of_entry
        .and_then(|k| piece(media, None, &k, "").ok().map(|p| p.content))
        .or_else(|| media.tree.file(&recipe.boot_files(&media.tree)?.0).ok().cloned());
    Some(Brought { release: release(&pair.kernel.1), medium: own.as_ref().and_then(release) })
}

fn from_pair(pair: &NetbootPair, entry: Option<FoundEntry>, cmdline: Cmdline) -> Start {
    let piece = |(name, content): &(String, Content)| Piece {
        content: content.clone(),
        origin: Origin::Given { name: name.clone() },
        reason: "the medium's own can't boot from the network".into(),
    };
    Start {
        entry,
        kernel: piece(&pair.kernel),
        initrds: vec![piece(&pair.initrd)],
        cmdline,
        notes: Vec::new(),
    }
}

/// Kernel and initrd for network boot, as `.treeinfo` names them in `[images-ARCH]`; `None` where it
/// does not, or names what is not there (the menus are asked then).
fn treeinfo_pair(media: &Media, identity: &Identity) -> Option<(TreePath, TreePath)> {
    let arch = identity.arch.as_ref()?.value;
    let (_, content) = media.tree.file_any_case(&".treeinfo".parse().ok()?)?;
    let info = TreeInfo::parse(&content.read_all(1 << 20).ok()?).ok()?;
    let (kernel, initrd) = info.boot_files(arch.kernel())?;
    let there = |p: &str| media.tree.file_any_case(&p.parse().ok()?).map(|(p, _)| p.clone());
    Some((there(kernel)?, there(initrd)?))
}

fn choose_entry(media: &Media, docs: &BootDocs, target: &Target) -> Result<Option<FoundEntry>> {
    let entries = docs.entries();
    let there = |e: &FoundEntry, p: &TreePath| media.boot_file(Some(&e.locus), p).is_some();
    if let Some(id) = &target.entry {
        return named_entry(&entries, id).map(Some);
    }
    let startable: Vec<&FoundEntry> = entries
        .iter()
        .filter(|e| match &e.entry.payload {
            // An entry without an initrd is a memory test or the like.
            Payload::Linux { kernel, initrds, .. } => {
                !initrds.is_empty() && there(e, kernel) && initrds.iter().all(|i| there(e, i))
            }
            _ => false,
        })
        .collect();
    let best = startable.iter().find(|e| e.entry.default).or(startable.first());
    Ok(best.map(|e| (*e).clone()))
}

/// The entry that the operator named: by its id, or by `DOCUMENT#ID` where several menus have that id.
fn named_entry(entries: &[FoundEntry], id: &str) -> Result<FoundEntry> {
    let whole = |e: &FoundEntry| format!("{}#{}", e.locus, e.entry.id);
    let linux = |e: &&FoundEntry| matches!(e.entry.payload, Payload::Linux { .. });
    let hits: Vec<&FoundEntry> =
        entries.iter().filter(|e| e.entry.id == id || whole(e) == id).collect();
    let list = |of: &[&FoundEntry]| of.iter().map(|e| whole(e)).collect::<Vec<_>>().join(", ");
    let Some(first) = hits.first() else {
        let all: Vec<&FoundEntry> = entries.iter().filter(linux).collect();
        return Err(Error::new(ErrorKind::NotFound, format!("no boot entry \"{id}\""))
            .hint(format!("these start a kernel: {}", list(&all))));
    };
    if hits.iter().any(|e| e.entry.payload != first.entry.payload) {
        return Err(Error::new(
            ErrorKind::Ambiguous,
            format!("several boot entries are called \"{id}\""),
        )
        .hint(format!("name one whole: {}", list(&hits))));
    }
    if !linux(first) {
        return Err(Error::usage(format!("boot entry \"{id}\" starts no Linux kernel"))
            .hint("`isowright inspect` shows what each one starts"));
    }
    Ok((*first).clone())
}

/// `of` is the document that names it, where one does.
fn piece(media: &Media, of: Option<&Locus>, path: &TreePath, reason: &str) -> Result<Piece> {
    let (found, content) = media.boot_file(of, path).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("{reason}, but the medium has no such file"))
            .path(path)
            .source_name(&media.name)
    })?;
    Ok(Piece {
        content: content.clone(),
        origin: located(&found, content),
        reason: reason.to_owned(),
    })
}

/// The origin of a file of the medium.
pub(crate) fn medium_origin(path: &TreePath, content: &Content) -> Origin {
    located(&Locus { image: None, path: path.clone() }, content)
}

fn located(at: &Locus, content: &Content) -> Origin {
    let one = content.segments().count() == 1;
    let offset = content.origin().map(|(_, off)| off).filter(|_| one);
    Origin::Medium { path: at.to_string(), offset }
}

fn assumed(media: &Media, recipe: &Recipe, notes: &mut Vec<Note>) -> Result<(Piece, Vec<Piece>)> {
    let Some((k, i)) = recipe.boot_files(&media.tree) else {
        return Err(nothing_to_start().source_name(&media.name));
    };
    notes.push(Note {
        warning: false,
        text: format!("no boot menu on the medium names a kernel that is there; the recipe's {k} and {i} are taken"),
        assumed: true,
    });
    let by = "the recipe assumes it";
    Ok((piece(media, None, &k, by)?, vec![piece(media, None, &i, by)?]))
}

fn nothing_to_start() -> Error {
    Error::new(ErrorKind::NotFound, "no Linux kernel with an initrd that could be started")
        .hint("`isowright inspect` shows the boot entries and what each one starts")
}

/// The family's edits on the entry's arguments, and what is left of the menu's own variables goes. Edits
/// that change nothing are not reported.
///
/// # Errors
/// `Unsupported` where the command line gets longer than a PC's kernel takes.
pub fn edit(start: &Start, draft: &Draft) -> Result<Chosen> {
    let vendor = start.cmdline.clone();
    let mut c = vendor.clone();
    let mut edits = apply(&mut c, &draft.args)?;
    for word in vendor.words().map(|w| w.raw).filter(|w| has_variable(w)) {
        if c.remove_where(|w| w.raw == word) > 0 {
            let reason = "a variable of the medium's own menu, which has no value here".into();
            edits.push(ArgEdit { op: ArgOp::Remove(word.to_owned()), reason });
        }
    }
    let cmdline = c.as_str().trim().to_owned();
    fits(&cmdline, 200)?;
    Ok(Chosen {
        locus: start.entry.as_ref().map(|e| e.locus.clone()),
        id: start.entry.as_ref().map_or_else(String::new, |e| e.entry.id.clone()),
        title: start.entry.as_ref().map_or_else(String::new, |e| super::printable(&e.entry.title)),
        vendor_cmdline: vendor.as_str().to_owned(),
        cmdline,
        edits,
    })
}

/// Makes the edits, and gives back those that changed something, in order.
pub(super) fn apply(c: &mut Cmdline, args: &[ArgEdit]) -> Result<Vec<ArgEdit>> {
    let mut edits = Vec::new();
    for e in args {
        let before = c.clone();
        match &e.op {
            ArgOp::Set(w) => c.set(w)?,
            ArgOp::Append(w) => c.append(w)?,
            ArgOp::AppendForTarget(w) => c.append_for_target(w)?,
            ArgOp::Remove(k) => {
                c.remove(k);
            }
        }
        if *c != before {
            edits.push(e.clone());
        }
    }
    Ok(edits)
}

/// Holds a command line against what a PC's kernel takes; `more` bytes come on top when it is booted.
pub(super) fn fits(cmdline: &str, more: usize) -> Result<()> {
    // arch/x86 COMMAND_LINE_SIZE is 2048 with the final NUL; BIOS loaders cut it without a word.
    if cmdline.len() <= 2047 - more {
        return Ok(());
    }
    let top = if more > 0 { ", and the tree's URL comes on top" } else { "" };
    Err(Error::unsupported(format!(
        "kernel command line of {} bytes; the kernel takes 2047{top}",
        cmdline.len()
    ))
    .hint("shorten extra_args"))
}

/// True for a word of a menu that GRUB was to fill in, and whose value the menu does not say: iPXE would
/// take `${name}` for a variable of its own, and the kernel `$name` for what it is.
fn has_variable(word: &str) -> bool {
    let name = word.trim_matches('"').strip_prefix('$');
    let is_name = |n: &str| {
        n.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    word.contains("${") || name.is_some_and(is_name)
}

/// What `uname -r` will say of a kernel, where it tells.
fn release(kernel: &Content) -> Option<String> {
    KernelVersion::read(kernel).ok()?.map(|v| v.release().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(vendor: &str, ops: &[ArgOp]) -> (String, Vec<String>) {
        let piece = Piece {
            content: Content::from(Vec::new()),
            origin: Origin::Made,
            reason: String::new(),
        };
        let start = Start {
            entry: None,
            kernel: piece,
            initrds: Vec::new(),
            cmdline: Cmdline::parse(vendor).expect("command line"),
            notes: Vec::new(),
        };
        let mut draft = Draft::default();
        for op in ops {
            draft.arg(op.clone(), "wish");
        }
        let c = edit(&start, &draft).expect("edit");
        let gone = c.edits.iter().filter_map(|e| match &e.op {
            ArgOp::Remove(w) => Some(w.clone()),
            _ => None,
        });
        (c.cmdline, gone.collect())
    }

    #[test]
    fn variables_of_the_menu_do_not_reach_the_script() {
        let set = [ArgOp::Set("root=live:http://h/x".into())];
        let vendor = "${extra_cmdline} $isoboot root=live:CDLABEL=${label} a=$b x=${y}z quiet";
        let (cmdline, gone) = edited(vendor, &set);
        assert_eq!(cmdline, "root=live:http://h/x a=$b quiet");
        assert_eq!(gone, ["${extra_cmdline}", "$isoboot", "x=${y}z"]);
        assert_eq!(edited("$6 a$ $ quiet", &[]), ("$6 a$ $ quiet".into(), Vec::new()));
    }

    #[test]
    fn a_variable_that_the_operator_asks_for_is_refused_later() {
        let (cmdline, gone) = edited("quiet", &[ArgOp::Append("x=${net0/mac}".into())]);
        assert_eq!((cmdline.as_str(), gone.len()), ("quiet x=${net0/mac}", 0));
        assert!(crate::format::ipxe::args(&cmdline).is_err());
    }
}
