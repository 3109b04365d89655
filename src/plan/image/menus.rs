//! Every boot configuration of the medium, with the family's words in each entry that starts the
//! installer.

use super::super::boot_edit;
use super::super::render::few;
use super::super::{Inputs, Origin, Planned, Role};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::family::draft::{ArgEdit, ArgOp, BASE, Draft};
use crate::media::Media;
use crate::media::bootdocs::{BootDoc, FoundDoc};
use crate::model::boot::{BootEntry, Locus, Payload};
use crate::model::cmdline::Cmdline;
use crate::model::console::Serial;
use serde::Serialize;

/// Seconds that a menu waits which waited for ever.
const WAIT: u32 = 5;
/// What signs a boot configuration: GRUB's `check_signatures` looks for `.sig` beside it.
const SIGNED: &str = ".sig";

/// A boot configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Menu {
    /// Where it lies.
    pub locus: Locus,
    /// Entries that start a kernel with an initrd.
    pub entries: Vec<Entry>,
    /// What was set for the loader itself, in words.
    pub loader: Vec<String>,
    /// Bytes before.
    #[serde(skip)]
    pub was: Vec<u8>,
    /// The document, edited.
    #[serde(skip)]
    pub doc: BootDoc,
    /// Where relative paths start.
    #[serde(skip)]
    pub base: TreePath,
}

/// An entry that starts a kernel with an initrd.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its id in the document.
    pub id: String,
    /// Its title.
    pub title: String,
    /// True for what the document starts by itself.
    pub default: bool,
    /// The kernel.
    pub kernel: Locus,
    /// The initrds.
    pub initrds: Vec<Locus>,
    /// Its kernel arguments before.
    pub vendor_cmdline: String,
    /// Its kernel arguments after.
    pub cmdline: String,
    /// The edits that changed something.
    pub edits: Vec<ArgEdit>,
    /// The initrd of ours that it loads, where there is one.
    pub overlay: Option<Locus>,
}

/// All that has something to edit: documents with such entries, and those that the loader starts with.
pub(super) fn all(inputs: &Inputs, draft: &Draft) -> Result<Vec<Menu>> {
    let Inputs { media, docs, profile, target, .. } = inputs;
    let port = draft.loader_console.iter().rev().find_map(|c| c.serial());
    let base_url = target.base_url.as_deref();
    let mut menus = Vec::new();
    for d in &docs.docs {
        let mut menu = menu(media, d, draft, base_url).map_err(|e| e.path(&d.locus))?;
        if let (true, Some(port)) = (d.root, port) {
            loader(&mut menu, media, port)?;
        }
        menus.push(menu);
    }
    if menus.iter().all(|m| m.entries.is_empty()) {
        return Err(Error::new(
            ErrorKind::NotFound,
            "no boot entry starts a Linux kernel with an initrd from a menu that can be edited",
        )
        .source_name(&media.name)
        .hint("`isowright inspect` shows what the entries start"));
    }
    if profile.unattended {
        go_on(&mut menus, docs.docs.as_slice())?;
    }
    for m in menus.iter().filter(|m| m.doc.to_bytes() != m.was) {
        unsigned(media, &m.locus)?;
    }
    Ok(menus)
}

fn menu(media: &Media, d: &FoundDoc, draft: &Draft, base_url: Option<&str>) -> Result<Menu> {
    let mut menu = Menu {
        locus: d.locus.clone(),
        entries: Vec::new(),
        loader: Vec::new(),
        was: d.doc.to_bytes(),
        doc: d.doc.clone(),
        base: d.base.clone(),
    };
    for e in d.doc.entries(&d.base) {
        if let Some(mut entry) = starts_linux(media, &d.locus, e) {
            edit(&mut menu.doc, &mut entry, draft, base_url)
                .map_err(|e| e.hint("the entry is named in the message; mend it on the medium"))?;
            menu.entries.push(entry);
        }
    }
    Ok(menu)
}

/// An entry without an initrd is a memory test or the like, and one whose files are not there starts
/// nothing.
fn starts_linux(media: &Media, of: &Locus, e: BootEntry) -> Option<Entry> {
    let Payload::Linux { kernel, initrds, cmdline } = e.payload else { return None };
    let found = |p: &TreePath| media.boot_file(Some(of), p).map(|(l, _)| l);
    let kernel = found(&kernel)?;
    let initrds: Vec<Locus> = initrds.iter().map(found).collect::<Option<_>>()?;
    (!initrds.is_empty()).then(|| Entry {
        id: e.id,
        title: super::super::printable(&e.title),
        default: e.default,
        kernel,
        initrds,
        vendor_cmdline: cmdline.as_str().to_owned(),
        cmdline: String::new(),
        edits: Vec::new(),
        overlay: None,
    })
}

fn edit(doc: &mut BootDoc, e: &mut Entry, draft: &Draft, base_url: Option<&str>) -> Result<()> {
    let args: Vec<ArgEdit> = draft.args.iter().map(|a| at_url(a, base_url)).collect();
    let mut edits = Vec::new();
    doc.edit_cmdline(&e.id, |c| {
        edits = boot_edit::apply(c, &args)?;
        Ok(())
    })
    .map_err(|err| err.path(format_args!("entry \"{}\"", e.title)))?;
    // What stands on the line beside the kernel's own words (initrd=) is the loader's.
    let mut c = Cmdline::parse(&e.vendor_cmdline)?;
    boot_edit::apply(&mut c, &args)?;
    boot_edit::fits(c.as_str(), 0)?;
    e.cmdline = c.as_str().trim().to_owned();
    e.edits = edits;
    Ok(())
}

/// The edit with the tree's URL in it: answers may lie there also when the medium is what starts.
fn at_url(edit: &ArgEdit, base_url: Option<&str>) -> ArgEdit {
    let fill = |w: &String| w.replace(BASE, base_url.unwrap_or(BASE));
    let op = match &edit.op {
        ArgOp::Set(w) => ArgOp::Set(fill(w)),
        ArgOp::Append(w) => ArgOp::Append(fill(w)),
        ArgOp::AppendForTarget(w) => ArgOp::AppendForTarget(fill(w)),
        ArgOp::Remove(w) => ArgOp::Remove(w.clone()),
    };
    ArgEdit { op, reason: edit.reason.clone() }
}

/// The loader's own terminal.
fn loader(m: &mut Menu, media: &Media, port: &Serial) -> Result<()> {
    if m.doc.set_serial(port)? {
        m.loader.push(format!("its own terminal on {}", port.tty()));
    }
    if let BootDoc::Syslinux(d) = &mut m.doc {
        let there = |name: &str| {
            m.base.join(name.as_bytes()).is_ok_and(|p| media.tree.file_any_case(&p).is_some())
        };
        if there("menu.c32") && d.set_text_menu() {
            m.loader.push("the text menu: graphics don't show on a serial line".into());
        }
    }
    Ok(())
}

/// A menu that waits for a key would wait for ever on a machine without a keyboard.
fn go_on(menus: &mut [Menu], docs: &[FoundDoc]) -> Result<()> {
    let kind = |d: &BootDoc| std::mem::discriminant(d);
    let alike = |a: &Menu, b: &Menu| kind(&a.doc) == kind(&b.doc) && a.locus.image == b.locus.image;
    let says: Vec<Option<bool>> = menus.iter().map(|m| m.doc.goes_on()).collect();
    let mut chosen = Vec::new();
    for (i, m) in menus.iter().enumerate() {
        let group = || (0..menus.len()).filter(|&n| alike(&menus[n], m)).map(|n| says[n]);
        if group().any(|s| s == Some(true)) {
            continue;
        }
        let nobody = group().all(|s| s.is_none());
        if says[i] == Some(false) || (nobody && docs[i].root) {
            chosen.push(i);
        }
    }
    for i in chosen {
        if menus[i].doc.set_timeout(WAIT)? {
            menus[i].loader.push(format!("goes on by itself after {WAIT} s"));
        }
    }
    Ok(())
}

/// A signed configuration is one that the loader won't take when it is another.
fn unsigned(media: &Media, at: &Locus) -> Result<()> {
    let tree = match &at.image {
        None => Some(&media.tree),
        Some(name) => media.fat_image(name).map(|f| &f.tree),
    };
    let beside = TreePath::new([at.path.as_bytes(), SIGNED.as_bytes()].concat())?;
    if tree.is_some_and(|t| t.file_any_case(&beside).is_some()) {
        return Err(Error::unsupported(
            "this boot configuration is signed: edited, it would not be taken",
        )
        .path(at)
        .source_name(&media.name)
        .hint("boot the vendor's kernel from the network instead: isowright build"));
    }
    Ok(())
}

/// The kernel of the first default entry.
pub(super) fn default_kernel(menus: &[Menu], media: &Media) -> Result<(Locus, Content)> {
    let all = || menus.iter().flat_map(|m| m.entries.iter().map(move |e| (m, e)));
    let best = all().find(|(_, e)| e.default).or_else(|| all().next());
    let (m, e) = best.ok_or_else(|| Error::new(ErrorKind::NotFound, "no kernel"))?;
    let found = media.boot_file(Some(&m.locus), &e.kernel.path);
    found.map(|(l, c)| (l, c.clone())).ok_or_else(|| Error::new(ErrorKind::NotFound, "no kernel"))
}

/// The documents that are other than before, as files.
pub(super) fn edited(menus: &[Menu]) -> impl Iterator<Item = (Locus, Planned)> {
    menus.iter().filter(|m| m.doc.to_bytes() != m.was).map(|m| {
        let mut reasons = m.loader.clone();
        reasons.extend(titles(&m.entries));
        let file = Planned {
            content: m.doc.to_bytes().into(),
            origin: Origin::Edited { path: m.locus.to_string() },
            reasons,
            role: Role::Payload,
            mode: 0o644,
            mtime: None,
        };
        (m.locus.clone(), file)
    })
}

/// The entries that were edited, the first of them by name.
fn titles(entries: &[Entry]) -> Option<String> {
    let edited = entries.iter().filter(|e| !e.edits.is_empty() || e.overlay.is_some());
    let name = |e: &Entry| format!("\"{}\"{}", e.title, if e.default { " (default)" } else { "" });
    let names: Vec<String> = edited.map(name).collect();
    let count = match names.len() {
        0 => return None,
        1 => "1 entry".to_owned(),
        n => format!("{n} entries"),
    };
    Some(format!("{count}: {}", few(&names, ", ")))
}

/// Reads the image again as anybody would, and compares: what was meant must be what is there.
pub(super) fn prove(media: &Media, image: &Content, menus: &[Menu]) -> Result<()> {
    let new = crate::media::open(&media.name, image.clone())?;
    let docs = new.boot_docs();
    for m in menus {
        let wrong = |what: String| {
            Error::new(ErrorKind::Corrupt, format!("{what} in the image that was made"))
                .path(&m.locus)
                .hint("this is a fault of isowright's: please report it with the medium's name")
        };
        let found = docs.docs.iter().find(|d| d.locus == m.locus);
        let found = found.ok_or_else(|| wrong("there is no such boot configuration".into()))?;
        if found.doc.to_bytes() != m.doc.to_bytes() {
            return Err(wrong("the boot configuration reads otherwise".into()));
        }
        for e in &m.entries {
            let again = found.doc.entries(&found.base).into_iter().find(|x| x.id == e.id);
            let Some(Payload::Linux { initrds, cmdline, .. }) = again.map(|x| x.payload) else {
                return Err(wrong(format!("entry \"{}\" starts no kernel", e.title)));
            };
            let want = e.initrds.len() + usize::from(e.overlay.is_some());
            // Blanks between words may be others: the vendor's stay where they were.
            let meant = Cmdline::parse(&e.cmdline)?;
            let same = cmdline.words().map(|w| w.raw).eq(meant.words().map(|w| w.raw));
            if !same || initrds.len() != want {
                return Err(wrong(format!("entry \"{}\" has other arguments", e.title)));
            }
            for i in &initrds {
                if new.boot_file(Some(&m.locus), i).is_none() {
                    return Err(wrong(format!("there is no /{i}")));
                }
            }
        }
    }
    Ok(())
}
