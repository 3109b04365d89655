//! `inspect`: what a medium is, how it boots, every boot entry and boot file, and how we know.

use super::args::Inspect;
use super::{Outcome, resolve, signers, term};
use crate::content::path::TreePath;
use crate::error::Result;
use crate::format::bzimage::KernelVersion;
use crate::format::iso9660::eltorito::Emulation;
use crate::media::Media;
use crate::media::identity::{Fact, Identity};
use crate::media::secure_boot::Chain;
use crate::model::boot::{FoundEntry, Locus, Payload};
use crate::plan::render::human;
use crate::recipe::select;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

pub fn run(a: &Inspect) -> Result<Outcome> {
    let media = resolve::open(&a.image)?;
    let report = Report::new(&media)?;
    match a.json {
        true => term::out(&format!("{:#}\n", report.json())),
        false => term::lines(&report.text()),
    }
    Ok(Outcome::Done)
}

struct Report<'a> {
    media: &'a Media,
    identity: Identity,
    recipe: std::result::Result<(String, Vec<String>), String>,
    entries: Vec<FoundEntry>,
    documents: Vec<String>,
    boot_files: BTreeMap<String, BootFile>,
    secure_boot: Vec<Chain>,
    notes: Vec<String>,
}

struct BootFile {
    what: String,
    /// What a kernel tells of itself.
    version: Option<KernelVersion>,
    size: Option<u64>,
    offset: Option<u64>,
}

impl<'a> Report<'a> {
    fn new(media: &'a Media) -> Result<Self> {
        let recipes = crate::recipe::bundled()?;
        let labels = crate::recipe::label::labels(&recipes)?;
        let (docs, identity) = (media.boot_docs(), media.identity(&labels));
        let has_kernel = media.has_kernel(&docs);
        let recipe = select::select(&recipes, &identity, &media.tree, has_kernel)
            .map(|s| (s.recipe.name.clone(), s.evidence))
            .map_err(|e| e.to_string());
        let mut notes = media.notes().to_vec();
        notes.extend(docs.notes.iter().cloned());
        notes
            .extend(second_opinion(&identity, recipe.as_ref().ok().map(|(name, _)| name.as_str())));
        let mut report = Report {
            media,
            identity,
            recipe,
            entries: docs.entries(),
            documents: docs.docs.iter().map(|d| d.locus.to_string()).collect(),
            boot_files: BTreeMap::new(),
            secure_boot: media.secure_boot(&docs),
            notes,
        };
        report.gather();
        Ok(report)
    }

    /// Kernels and initrds that entries name, there or not; boot images; EFI programs.
    fn gather(&mut self) {
        let media = self.media;
        let mut named: Vec<(Option<Locus>, TreePath, &str)> = Vec::new();
        for e in &self.entries {
            if let Payload::Linux { kernel, initrds, .. } = &e.entry.payload {
                named.push((Some(e.locus.clone()), kernel.clone(), "kernel"));
                let initrd = |i: &TreePath| (Some(e.locus.clone()), i.clone(), "initrd");
                named.extend(initrds.iter().map(initrd));
            }
        }
        for (p, _) in media.tree.files() {
            if p.name().to_ascii_lowercase().ends_with(b".efi") {
                named.push((None, p.clone(), "EFI program"));
            }
        }
        for (of, path, what) in named {
            let found = media.boot_file(of.as_ref(), &path);
            let in_image = found.as_ref().filter(|(at, _)| at.image.is_some());
            let at = in_image.map_or_else(|| format!("iso:/{path}"), |(at, _)| at.to_string());
            let kernel = found.as_ref().filter(|_| what == "kernel");
            let file = BootFile {
                what: what.to_owned(),
                version: kernel.and_then(|(_, c)| KernelVersion::read(c).ok()?),
                size: found.as_ref().map(|(_, c)| c.len()),
                offset: found.and_then(|(_, c)| c.origin()).map(|(_, o)| o),
            };
            self.boot_files.insert(at, file);
        }
        for f in &self.media.fat_images {
            for (p, c) in
                f.tree.files().filter(|(p, _)| p.name().to_ascii_lowercase().ends_with(b".efi"))
            {
                let offset = c.origin().map(|(_, o)| o);
                let (what, size) = ("EFI program".into(), Some(c.len()));
                let file = BootFile { what, version: None, size, offset };
                self.boot_files.insert(format!("iso:/{}!/{p}", f.name), file);
            }
        }
        for (i, e) in self.media.boot.iter().flat_map(|b| &b.entries).enumerate() {
            let path = e
                .path
                .as_ref()
                .map_or_else(|| format!("boot image {}", i + 1), |p| format!("iso:/{p}"));
            let file = BootFile {
                what: "boot image".into(),
                version: None,
                size: Some(e.size),
                offset: e.content.origin().map(|(_, o)| o),
            };
            self.boot_files.insert(path, file);
        }
    }

    fn json(&self) -> Value {
        let m = self.media;
        let entries: Vec<Value> = self.entries.iter().map(entry_json).collect();
        let fats: Vec<Value> = m
            .fat_images
            .iter()
            .map(|f| json!({"name": f.name, "offset": f.at, "size": f.content.len(), "files": f.tree.files().count()}))
            .collect();
        let files: Vec<Value> = self
            .boot_files
            .iter()
            .map(|(p, f)| {
                let version = f.version.as_ref().map(KernelVersion::as_str);
                json!({"path": p, "what": f.what, "version": version, "present": f.size.is_some(), "size": f.size, "offset": f.offset})
            })
            .collect();
        let recipe = match &self.recipe {
            Ok((name, evidence)) => json!({"name": name, "evidence": evidence}),
            Err(why) => json!({"name": null, "why": why}),
        };
        json!({
            "name": m.name,
            "size": m.image.len(),
            "identity": self.identity,
            "recipe": recipe,
            "volume": m.volume,
            "view": m.view,
            "views": m.views,
            "boot_catalog": m.boot,
            "partitions": m.partitions,
            "fat_images": fats,
            "documents": self.documents,
            "entries": entries,
            "boot_files": files,
            "secure_boot": self.secure_boot,
            "notes": self.notes,
        })
    }

    fn text(&self) -> String {
        let m = self.media;
        let mut s = format!("{} ({})\n", m.name, human(m.image.len()));
        self.identity_text(&mut s);
        let _ = writeln!(s, "  files      {}, {}", m.tree.files().count(), m.view_reason());
        match &self.recipe {
            Ok((name, evidence)) => {
                let _ = writeln!(s, "  recipe     {name}: {}", evidence.join("; "));
            }
            Err(why) => {
                let _ = writeln!(s, "  recipe     none: {why}");
            }
        }
        self.boot_text(&mut s);
        s.push_str("\nBoot entries\n");
        for e in &self.entries {
            entry_text(&mut s, e);
        }
        if self.entries.is_empty() {
            s.push_str("  none found\n");
        }
        s.push_str("\nBoot files\n");
        for (path, f) in &self.boot_files {
            let size = f.size.map_or_else(|| "MISSING".to_owned(), human);
            let at = f.offset.map_or_else(String::new, |o| format!("@ {o:#x}"));
            let version = f.version.as_ref().map(|v| format!("  (Linux {})", v.release()));
            let version = version.unwrap_or_default();
            let _ = writeln!(s, "  {:<11} {size:>10} {at:>12}  {path}{version}", f.what);
        }
        for d in &self.documents {
            let _ = writeln!(s, "  {:<11} {:>10} {:>12}  {d}", "boot config", "", "");
        }
        s.push_str(&signers::text(&self.secure_boot));
        if !self.notes.is_empty() {
            s.push_str("\nNotes\n");
            for n in &self.notes {
                let _ = writeln!(s, "  - {n}");
            }
        }
        s
    }

    fn identity_text(&self, s: &mut String) {
        let id = &self.identity;
        fact(s, "distro", id.distro.as_ref());
        fact(s, "version", id.version.as_ref());
        fact(s, "codename", id.codename.as_ref());
        fact(s, "variant", id.variant.as_ref());
        fact(s, "arch", id.arch.as_ref());
        let _ = writeln!(s, "  volume id  {}", id.volume_id);
    }

    fn boot_text(&self, s: &mut String) {
        let m = self.media;
        s.push_str("\nHow it boots\n");
        match &m.boot {
            None => s.push_str("  no El Torito boot catalog\n"),
            Some(b) => {
                let _ = writeln!(s, "  El Torito boot catalog at LBA {}", b.lba);
                for e in &b.entries {
                    let what = e
                        .path
                        .as_ref()
                        .map_or_else(|| format!("LBA {}", e.lba), TreePath::to_string);
                    let _ = write!(
                        s,
                        "    {:<5} {:<12} {:>10}  {what}",
                        word(&e.platform),
                        emulation(&e.emulation),
                        human(e.size)
                    );
                    match &e.boot_info {
                        Some(i) if i.ok => s.push_str("  boot-info table"),
                        Some(_) => s.push_str("  boot-info table with a wrong checksum"),
                        None => {}
                    }
                    s.push_str(if e.bootable { "\n" } else { "  not bootable\n" });
                }
            }
        }
        if let Some(mbr) = &m.partitions.mbr {
            for p in &mbr.partitions {
                let active = if p.active { " active" } else { "" };
                let size = human(u64::from(p.sectors) * 512);
                let _ = writeln!(
                    s,
                    "  MBR partition {}: type {:#04x}{active}, {size} from sector {}",
                    p.number, p.kind, p.first
                );
            }
        }
        if let Some(gpt) = &m.partitions.gpt {
            for p in &gpt.partitions {
                let size = human((p.last + 1).saturating_sub(p.first) * 512);
                let _ = writeln!(
                    s,
                    "  GPT partition {}: \"{}\" {}, {size} from sector {}",
                    p.number, p.name, p.kind, p.first
                );
            }
        }
        for f in &m.fat_images {
            let _ = writeln!(
                s,
                "  FAT image {}: {} files, {}",
                f.name,
                f.tree.files().count(),
                human(f.content.len())
            );
        }
    }
}

/// Where the label says other than the files do: `chosen` is the recipe that they lead to.
fn second_opinion(id: &Identity, chosen: Option<&str>) -> Option<String> {
    let label = id.label.as_ref()?;
    let said = label.evidence.join(", ");
    if !chosen.is_some_and(|c| c == label.recipe || label.or.iter().any(|o| o == c)) {
        let files = chosen.map_or("no recipe".to_owned(), |c| format!("recipe {c}"));
        return Some(format!(
            "{said} is a label of recipe {}, the files lead to {files}",
            label.recipe
        ));
    }
    let (major, read) = (label.major()?, id.major()?);
    (major != read)
        .then(|| format!("{said} is a label of version {major}, the medium itself says {read}"))
}

fn emulation(e: &Emulation) -> String {
    match e {
        Emulation::None => "no emulation".into(),
        Emulation::Floppy(kib) => format!("floppy {kib} KiB"),
        Emulation::HardDisk => "hard disk".into(),
        Emulation::Unknown(n) => format!("unknown ({n})"),
    }
}

/// A value as its JSON spells it.
fn word(v: &impl serde::Serialize) -> String {
    match serde_json::to_value(v) {
        Ok(Value::String(s)) => s,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn fact<T: Display>(s: &mut String, name: &str, f: Option<&Fact<T>>) {
    if let Some(f) = f {
        let assumed = if f.assumed { ", assumed" } else { "" };
        let _ = writeln!(s, "  {name:<10} {}  ({}{assumed})", f.value, f.evidence);
    }
}

fn firmwares(e: &FoundEntry) -> String {
    e.firmware.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn entry_text(s: &mut String, e: &FoundEntry) {
    let mark = if e.entry.default { '*' } else { ' ' };
    let _ = writeln!(
        s,
        " {mark} {:<9} {:<8} \"{}\"  {}",
        firmwares(e),
        e.entry.id,
        e.entry.title,
        e.locus
    );
    let _ = match &e.entry.payload {
        Payload::Linux { kernel, initrds, cmdline } => {
            let list: Vec<String> = initrds.iter().map(|i| format!("/{i}")).collect();
            writeln!(s, "      /{kernel} + {}\n      {}", list.join(" + "), cmdline.as_str().trim())
        }
        Payload::Multiboot { kernel, cmdline } => {
            writeln!(s, "      multiboot /{kernel}\n      {}", cmdline.as_str().trim())
        }
        Payload::Chain { what } => writeln!(s, "      starts {what}"),
        Payload::Opaque { why } => writeln!(s, "      {why}"),
    };
}

fn entry_json(e: &FoundEntry) -> Value {
    let mut v = json!({
        "id": e.entry.id,
        "title": e.entry.title,
        "default": e.entry.default,
        "locus": e.locus,
        "firmware": e.firmware,
    });
    match &e.entry.payload {
        Payload::Linux { kernel, initrds, cmdline } => {
            v["kind"] = "linux".into();
            v["kernel"] = kernel.to_string().into();
            v["initrds"] = initrds.iter().map(TreePath::to_string).collect::<Vec<_>>().into();
            v["cmdline"] = cmdline.as_str().trim().into();
        }
        Payload::Multiboot { kernel, cmdline } => {
            v["kind"] = "multiboot".into();
            v["kernel"] = kernel.to_string().into();
            v["cmdline"] = cmdline.as_str().trim().into();
        }
        Payload::Chain { what } => {
            v["kind"] = "chain".into();
            v["what"] = what.as_str().into();
        }
        Payload::Opaque { why } => {
            v["kind"] = "opaque".into();
            v["why"] = why.as_str().into();
        }
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::identity::VolumeLabels;

    #[test]
    fn the_label_is_a_second_opinion() {
        let recipes = crate::recipe::bundled().expect("recipes");
        let labels = crate::recipe::label::labels(&recipes).expect("labels");
        let told = |volume_id: &str, version: &str, chosen| {
            let volume = VolumeLabels { volume_id: volume_id.into(), ..VolumeLabels::default() };
            let version = Fact { value: version.into(), evidence: "x".into(), assumed: false };
            let label = labels.read(&volume).ok();
            second_opinion(
                &Identity { label, version: Some(version), ..Identity::default() },
                chosen,
            )
        };
        let rocky = "Rocky-9-4-x86_64-dvd";
        assert_eq!(told(rocky, "9.3", Some("rocky")), None);
        assert_eq!(told("CDROM", "9.4", Some("rocky")), None);
        let other = told(rocky, "9.4", Some("almalinux")).expect("told");
        assert!(
            other.contains("label of recipe rocky, the files lead to recipe almalinux"),
            "{other}"
        );
        assert!(told(rocky, "9.4", None).expect("told").ends_with("lead to no recipe"));
        let newer = told(rocky, "10.0", Some("rocky")).expect("told");
        assert!(newer.ends_with("label of version 9, the medium itself says 10"), "{newer}");
        // Of several recipes whose labels are the same, any may be the files'.
        assert_eq!(told("Ubuntu-Server 20.04 LTS amd64", "20.04", Some("ubuntu-legacy")), None);
    }
}
