//! The netboot tree: kernel, one initrd with our files appended and named exactly (old iPXE builds
//! know neither `initrd.magic` nor `shim`), `boot.ipxe` for both firmwares, and the GRUB files of
//! the UEFI HTTP Boot route.

mod uefi;

pub use uefi::GRUB_CFG;
pub(super) use uefi::{Grub, grub_args, grub_files, grub_prologue};

use super::boot_edit::{Piece, Start};
use super::overlay::{Folder, Laid};
use super::{Chosen, Inputs, Origin, Planned, Role, Target, add};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::NodeKind;
use crate::error::Result;
use crate::family::draft::{BASE, Body, Draft, Made};
use crate::format::{cpio, initrd, ipxe};
use crate::media::Media;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The kernel's name in the tree.
pub const KERNEL: &str = "vmlinuz";
/// The initrd's name in the tree.
pub const INITRD: &str = "initrd.img";
/// The one URL.
pub const BOOT_IPXE: &str = "boot.ipxe";

/// Adds everything but the hosted files.
///
/// # Errors
/// `Conflict` where our files clash with the initrd's, `Corrupt` from the medium.
pub fn plan(
    files: &mut BTreeMap<TreePath, Planned>,
    inputs: &Inputs,
    start: &Start,
    chosen: &Chosen,
    draft: &Draft,
    title: &str,
) -> Result<()> {
    add(files, KERNEL.parse()?, kernel(start))?;
    let initrds = Initrds::of(inputs, start, draft)?;
    add(files, INITRD.parse()?, initrds.extended(&draft.in_initrd)?)?;
    beside(files, inputs.media, &draft.beside)?;
    ipxe::args(&chosen.cmdline)?;
    let script = boot_ipxe(title, chosen, draft, inputs.target);
    let mut entry = made(script.into_bytes(), &format!("from {}", source_of(chosen)));
    entry.role = Role::EntryPoint;
    add(files, BOOT_IPXE.parse()?, entry)?;
    uefi::route(files, inputs, chosen, draft, title)
}

pub(super) fn source_of(chosen: &Chosen) -> String {
    match &chosen.locus {
        Some(l) => format!("entry \"{}\" of {l}", chosen.title),
        None => "no menu entry: the medium has none that helps".into(),
    }
}

pub(super) fn made(bytes: Vec<u8>, reason: &str) -> Planned {
    Planned {
        content: bytes.into(),
        origin: Origin::Made,
        reasons: vec![reason.to_owned()],
        role: Role::Payload,
        mode: 0o644,
        mtime: None,
    }
}

/// What a family adds, as bytes: its own, or an extent of the medium.
pub(super) fn body(media: &Media, body: &Body) -> Result<(Content, Origin)> {
    Ok(match body {
        Body::Bytes(b) => (b.clone().into(), Origin::Made),
        Body::File(path) => {
            let content = media.tree.file(path)?;
            (content.clone(), super::boot_edit::medium_origin(path, content))
        }
        Body::Medium => {
            let origin = Origin::Medium { path: "iso:".into(), offset: Some(0) };
            (media.image.clone(), origin)
        }
    })
}

/// The kernel as a file of the tree.
pub(super) fn kernel(start: &Start) -> Planned {
    Planned {
        content: start.kernel.content.clone(),
        origin: start.kernel.origin.clone(),
        ..made(Vec::new(), &start.kernel.reason)
    }
}

/// Adds the files that a family wants beside the script.
pub(super) fn beside(
    files: &mut BTreeMap<TreePath, Planned>,
    media: &Media,
    wanted: &[Made],
) -> Result<()> {
    for m in wanted {
        let (content, origin) = body(media, &m.body)?;
        let f = Planned { content, origin, mode: m.mode, ..made(Vec::new(), &m.reason) };
        add(files, m.path.clone(), f)?;
    }
    Ok(())
}

/// The vendor's initrds, in order.
pub(super) struct Initrds<'a> {
    media: &'a Media,
    folders: &'a [Folder],
    pieces: Vec<Piece>,
    /// True where answers may hold a secret: a password's hash, or what the operator wrote.
    secret: bool,
    /// What the recipe wanted gone, and went.
    dropped: Vec<TreePath>,
    /// Their bytes.
    pub vendor: Vec<Content>,
    /// What is in them, once somebody asked.
    inside: OnceCell<initrd::Inside>,
}

impl<'a> Initrds<'a> {
    /// The entry's, and the medium's others that the family wants; without what must go.
    pub fn of(inputs: &'a Inputs, start: &Start, draft: &Draft) -> Result<Self> {
        let Inputs { media, target, recipe, profile, .. } = inputs;
        let mut pieces = start.initrds.clone();
        for (path, reason) in &draft.more_initrds {
            let content = media.tree.file(path)?.clone();
            let origin = super::boot_edit::medium_origin(path, &content);
            pieces.push(Piece { content, origin, reason: reason.clone() });
        }
        let theirs: Vec<Content> = pieces.iter().map(|i| i.content.clone()).collect();
        let (vendor, dropped, inside) = without(theirs, &recipe.initrd.drop)?;
        let hash = profile.install.root_password_hash.is_some();
        let secret = hash || target.answers.is_some() || !target.own_answers.is_empty();
        let folders = &target.folders;
        Ok(Initrds { media, folders, pieces, secret, dropped, vendor, inside })
    }

    /// The vendor's as they are, for a file beside them.
    pub fn kept(media: &'a Media, folders: &'a [Folder], pieces: Vec<Piece>) -> Self {
        let vendor = pieces.iter().map(|i| i.content.clone()).collect();
        let (dropped, inside) = Default::default();
        Initrds { media, folders, pieces, secret: false, dropped, vendor, inside }
    }

    /// What is in them. To unpack them takes a second, so it is done once, and only if somebody asks.
    fn inside(&self) -> Result<&initrd::Inside> {
        if let Some(i) = self.inside.get() {
            return Ok(i);
        }
        let inside = initrd::Inside::of(&initrd::join(&self.vendor))?;
        Ok(self.inside.get_or_init(|| inside))
    }

    /// What is in them, where entries could meet it.
    fn met_by(&self, ours: &[cpio::Entry]) -> Result<Option<&initrd::Inside>> {
        initrd::may_meet(ours).then(|| self.inside()).transpose()
    }

    fn entries<'m>(&self, files: impl IntoIterator<Item = &'m Made>) -> Result<Vec<cpio::Entry>> {
        let entry = |m: &Made| {
            let (content, _) = body(self.media, &m.body)?;
            Ok(cpio::Entry::file(m.path.clone(), m.mode, content))
        };
        files.into_iter().map(entry).collect()
    }

    /// Files of ours at the paths where they land, for an archive of their own.
    pub fn landed<'m>(
        &self,
        files: impl IntoIterator<Item = &'m Made>,
    ) -> Result<Vec<cpio::Entry>> {
        let ours = self.entries(files)?;
        initrd::landed(&self.vendor, self.met_by(&ours)?, ours)
    }

    /// Files of ours and the operator's folders, for an archive of their own.
    pub fn beside(&self, files: &[Made]) -> Result<Vec<cpio::Entry>> {
        let mut ours = self.entries(files)?;
        ours.extend(self.folders.iter().flat_map(Folder::entries));
        initrd::landed(&self.vendor, self.met_by(&ours)?, ours)
    }

    /// All of them with files of ours and the operator's folders, as one file of the tree.
    pub fn extended(&self, files: &[Made]) -> Result<Planned> {
        let mut ours = self.entries(files)?;
        ours.extend(self.folders.iter().flat_map(Folder::entries));
        let initrd::Appended { content, landed, .. } =
            initrd::append_to(&self.vendor, self.met_by(&ours)?, &ours)?;
        let was: u64 = self.vendor.iter().map(Content::len).sum();
        let folders: Vec<Laid> = self.folders.iter().map(Folder::laid).collect();
        let mut reasons: Vec<String> = self.pieces.iter().map(|i| i.reason.clone()).collect();
        if !self.dropped.is_empty() {
            reasons.push("made anew, for the recipe says what must go".into());
        }
        reasons.extend(files.iter().map(|m| format!("{}: {}", m.path, m.reason)));
        reasons.extend(folders.iter().map(Laid::words));
        let names = self.pieces.iter().map(|i| origin_name(&i.origin));
        let path = names.collect::<Vec<_>>().join(" + ");
        // The family's files stand first, and files are never left out.
        let added = landed[..files.len()].iter().map(|p| format!("/{p}")).collect();
        let origin = match &self.pieces[..] {
            _ if !self.dropped.is_empty() => {
                let dropped = self.dropped.iter().map(|p| format!("/{p}")).collect();
                Origin::Repacked { path, dropped, added, folders }
            }
            [one] if ours.is_empty() => one.origin.clone(),
            _ => Origin::Extended { path, added, folders, bytes: content.len() - was },
        };
        // What is closed to others in there is not open to them out here: the operator's files, and
        // answers with a secret in them. Without one any web server may serve it.
        let closed = |e: &cpio::Entry| matches!(e.kind, NodeKind::File(_)) && e.mode & 0o077 == 0;
        let from = if self.secret { 0 } else { files.len() };
        let mode = if ours[from..].iter().any(closed) { 0o600 } else { 0o644 };
        Ok(Planned { content, origin, reasons, role: Role::Payload, mode, mtime: None })
    }
}

/// Threads that compress an initrd; their number changes no byte.
const THREADS: u32 = 2;

/// The vendor's initrds without what must go, what went, and what is in them where that is known then. They
/// stay as they are where nothing of it is there.
fn without(
    vendor: Vec<Content>,
    drop: &[String],
) -> Result<(Vec<Content>, Vec<TreePath>, OnceCell<initrd::Inside>)> {
    if drop.is_empty() {
        return Ok((vendor, Vec::new(), OnceCell::new()));
    }
    let whole = initrd::join(&vendor);
    let inside = initrd::Inside::of(&whole)?;
    let drop = initrd::matching(&inside, drop)?;
    if drop.is_empty() {
        return Ok((vendor, Vec::new(), OnceCell::from(inside)));
    }
    let options = initrd::Options { drop, threads: THREADS, ..initrd::Options::default() };
    let (new, report) = initrd::repack(&whole, &options, &mut || Ok(Vec::new()), &|_| true)?;
    Ok((vec![new.into()], report.dropped, OnceCell::new()))
}

pub(super) fn origin_name(o: &Origin) -> String {
    match o {
        Origin::Medium { path, .. }
        | Origin::Extended { path, .. }
        | Origin::Edited { path }
        | Origin::Repacked { path, .. } => path.clone(),
        Origin::Given { name } => name.clone(),
        Origin::Made => "made".into(),
    }
}

/// `boot.ipxe`. Kernel and initrd are named relative to the script, which every iPXE resolves; only
/// arguments need the tree's URL: from `cwduri` where iPXE has it (2024 on), else from the lease's
/// filename, whose last part a web server takes back for `..`.
fn boot_ipxe(title: &str, chosen: &Chosen, draft: &Draft, target: &Target) -> String {
    let base = target.base_url.as_deref();
    let args = chosen.cmdline.replace(BASE, base.unwrap_or("${base}"));
    let needs_base = chosen.cmdline.contains(BASE) && base.is_none();
    let mut s = prologue(title, needs_base);
    s.push_str(&ram_guard(draft.ram_mib));
    let _ = write!(
        s,
        "echo {title}\n\
         kernel {KERNEL} initrd={INITRD} {args} || goto failed\n\
         initrd {INITRD} || goto failed\n"
    );
    if target.imgverify {
        s.push_str(&imgverify(&[(KERNEL, KERNEL), (INITRD, INITRD)]));
    }
    s.push_str("boot || goto failed\n");
    s + &epilogue(title, needs_base) + "exit 1\n"
}

/// Lines that check images, by name and path, by the signatures beside them. An iPXE without IMAGE_TRUST_CMD,
/// which is most of them, stops there.
pub(super) fn imgverify(images: &[(&str, &str)]) -> String {
    let line =
        |(name, path): &(&str, &str)| format!("imgverify {name} {path}.sig || goto failed\n");
    images.iter().map(line).collect()
}

/// The script's first lines: they set `base` where an argument needs it.
pub(super) fn prologue(title: &str, needs_base: bool) -> String {
    let mut s = format!("#!ipxe\n# {title}, written by isowright\nimgfree\n");
    if needs_base {
        s.push_str(
            "set base ${cwduri}\nisset ${base} || set base ${filename}/../\n\
             isset ${cwduri} || isset ${filename} || goto nobase\n",
        );
    }
    s
}

/// What becomes of a machine that could not be started; `exit 1` is to follow.
pub(super) fn epilogue(title: &str, needs_base: bool) -> String {
    let mut s = format!(":failed\necho isowright: {title} could not be started\ngoto end\n");
    if needs_base {
        s.push_str(
            ":nobase\n\
             echo isowright: this iPXE does not tell its own URL; build with --base-url\n",
        );
    }
    s + ":end\n\
         prompt --timeout 30000 Press a key for the iPXE shell, or wait for the next boot device && shell ||\n"
}

/// Stops on a machine with too little memory, where iPXE can tell. No build counts memory by default
/// and none compares numbers, but all read SMBIOS and can count: the type 19 structures (memory array
/// mapped address, SMBIOS 7.20) hold the last address of each range in KiB; of its little-endian
/// bytes, number 10 counts 64 MiB and number 11 counts 16 GiB. Without SMBIOS the machine passes.
pub(super) fn ram_guard(mib: u64) -> String {
    if mib < 64 {
        return String::new();
    }
    let last = (mib / 64).min(256) - 1;
    format!(
        "set slot:int32 0\n\
         :ram_slot\n\
         isset ${{smbios/${{slot}}.19.10.1:uint32}} || goto ram_end\n\
         iseq ${{smbios/${{slot}}.19.11.1:uint32}} 0x0 || goto ram_ok\n\
         set ram:uint32 0\n\
         :ram_count\n\
         iseq ${{ram}} {last:#x} && goto ram_ok ||\n\
         iseq ${{ram}} ${{smbios/${{slot}}.19.10.1:uint32}} && goto ram_next ||\n\
         inc ram\n\
         goto ram_count\n\
         :ram_next\n\
         inc slot\n\
         goto ram_slot\n\
         :ram_end\n\
         iseq ${{slot}} 0 && goto ram_ok ||\n\
         echo isowright: this machine has less than {mib} MiB of RAM, which this system needs to start\n\
         goto end\n\
         :ram_ok\n"
    )
}

#[cfg(test)]
mod tests {
    use super::uefi::grub_cfg;
    use super::*;
    use crate::format::grub;

    #[test]
    fn a_title_keeps_its_apostrophe_in_both_menus() {
        let chosen = Chosen {
            locus: None,
            id: String::new(),
            title: String::new(),
            vendor_cmdline: String::new(),
            cmdline: "quiet".into(),
            edits: Vec::new(),
        };
        let title = super::super::printable("dracut's root");
        let draft = Draft::default();
        let script = boot_ipxe(&title, &chosen, &draft, &Target::default());
        assert!(script.contains("\necho dracut's root\n"), "{script}");
        let text = grub_cfg(&title, &chosen, &draft, None).expect("grub.cfg");
        let doc = grub::Doc::parse(text.as_bytes()).expect("parses");
        let titles: Vec<_> = doc.entries(&TreePath::root()).into_iter().map(|e| e.title).collect();
        assert_eq!(titles, ["dracut's root"], "{text}");
    }
}
