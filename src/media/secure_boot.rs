//! What Secure Boot would say to the medium: firmware starts shim, shim checks GRUB, and through shim GRUB checks
//! the kernel. One chain for each architecture that the medium starts on.
//!
//! A medium can't tell which keys a machine has: Microsoft's authorities are taken to be there, and of others
//! (in `db`, or in shim's `MokList`) it is said that they are needed. Nor can it tell which generations
//! the machine asks for (SBAT), or what its `dbx` denies.

use super::Media;
use super::bootdocs::BootDocs;
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::error::Result;
use crate::format::pe::{Certificate, Pe, Sbat, Signature, State, UefiCa};
use crate::model::arch::{Arch, Firmware};
use crate::model::boot::{Locus, Payload};
use serde::Serialize;

/// Kernels that are looked at; a menu names a few.
const MAX_KERNELS: usize = 16;

/// UEFI 2.10, 3.5.1.1: the name in `EFI/BOOT` that firmware of each architecture looks for.
const DEFAULTS: [(Arch, &str); 4] = [
    (Arch::X86_64, "x64"),
    (Arch::I386, "ia32"),
    (Arch::Aarch64, "aa64"),
    (Arch::Riscv64, "riscv64"),
];

/// What is started one after the other.
#[derive(Debug, Clone, Serialize)]
pub struct Chain {
    /// Of the firmware.
    pub arch: Arch,
    /// In the order in which they start.
    pub programs: Vec<Program>,
    /// Why it would stop, or may; empty for a chain that is whole.
    pub gaps: Vec<String>,
}

/// One program of the chain.
#[derive(Debug, Clone, Serialize)]
pub struct Program {
    /// What it is there for.
    pub role: Role,
    /// Where it lies.
    pub path: Locus,
    /// Its signatures, in order.
    pub signatures: Vec<Signed>,
    /// Names of the certificates that it brings: shim's.
    pub carries: Vec<String>,
    /// Its generations.
    pub sbat: Vec<Sbat>,
}

/// A signature, in words.
#[derive(Debug, Clone, Serialize)]
pub struct Signed {
    /// Whose certificate signed.
    pub signer: String,
    /// Who vouches for the signer.
    pub issuer: String,
    /// Whether it still holds.
    pub state: State,
    /// Which authority of Microsoft's it leads to.
    pub uefi_ca: Option<UefiCa>,
}

/// Who starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Firmware, and it checks what follows by its own certificates.
    Shim,
    /// Firmware, without shim.
    First,
    /// Shim.
    Loader,
    /// The loader.
    Kernel,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Shim => "shim",
            Role::First => "loader",
            Role::Loader => "GRUB",
            Role::Kernel => "kernel",
        })
    }
}

impl Media {
    /// The chains, one for each architecture for which there is a program that firmware starts.
    pub fn secure_boot(&self, docs: &BootDocs) -> Vec<Chain> {
        DEFAULTS.iter().filter_map(|(arch, name)| self.chain(*arch, name, docs)).collect()
    }

    fn chain(&self, arch: Arch, name: &str, docs: &BootDocs) -> Option<Chain> {
        let path = TreePath::new(format!("EFI/BOOT/BOOT{name}.EFI")).ok()?;
        // Firmware starts from the FAT image; the same files in the tree are for those who copy it.
        let images = self.fat_images.iter().map(|f| (Some(&f.name), &f.tree));
        let mut places = images.chain(std::iter::once((None, &self.tree)));
        let (image, tree, first, content) = places.find_map(|(image, tree)| {
            let (p, c) = tree.file_any_case(&path)?;
            Some((image.cloned(), tree, p, c))
        })?;
        let locus = |path: &TreePath| Locus { image: image.clone(), path: path.clone() };
        let mut chain = Chain { arch, programs: Vec::new(), gaps: Vec::new() };
        let carried = chain.first(locus(first), content)?;
        let Some(carried) = carried else { return Some(chain) };
        match beside(tree, first, &format!("grub{name}.efi")) {
            Some((path, c)) => chain.follow(Role::Loader, locus(path), c, &carried),
            None => chain.gaps.push(format!("there is no grub{name}.efi beside shim")),
        }
        for (at, c) in self.uefi_kernels(docs) {
            if Pe::read(c).is_ok_and(|pe| pe.and_then(|pe| pe.arch()) == Some(arch)) {
                chain.follow(Role::Kernel, at, c, &carried);
            }
        }
        Some(chain)
    }

    /// Kernels that entries for UEFI start, each once.
    fn uefi_kernels(&self, docs: &BootDocs) -> Vec<(Locus, &Content)> {
        let mut found: Vec<(Locus, &Content)> = Vec::new();
        for e in docs.entries() {
            let Payload::Linux { kernel, .. } = &e.entry.payload else { continue };
            if !e.firmware.contains(&Firmware::Uefi) || found.len() >= MAX_KERNELS {
                continue;
            }
            if let Some((at, c)) = self.boot_file(Some(&e.locus), kernel)
                && !found.iter().any(|(known, _)| *known == at)
            {
                found.push((at, c));
            }
        }
        found
    }
}

fn beside<'a>(tree: &'a Tree, first: &TreePath, name: &str) -> Option<(&'a TreePath, &'a Content)> {
    tree.file_any_case(&first.parent()?.join(name).ok()?)
}

impl Chain {
    /// What firmware starts. The certificates that it carries, where it is shim; `None` in all where it
    /// is no PE image.
    fn first(&mut self, at: Locus, content: &Content) -> Option<Option<Vec<Certificate>>> {
        let pe = match Pe::read(content) {
            Ok(pe) => pe?,
            Err(e) => {
                self.gaps.push(e.path(&at).to_string());
                return Some(None);
            }
        };
        let role = if pe.is_shim() { Role::Shim } else { Role::First };
        let carried = pe.vendor_certificates();
        let signatures = self.program(role, at, &pe, carried.as_deref().unwrap_or_default());
        let known = |s: &Signature| s.state == State::Intact && s.uefi_ca().is_some();
        self.judge(role, &signatures, known, "is not Microsoft's authority");
        let carried = carried.map_err(|e| self.gaps.push(e.to_string())).unwrap_or_default();
        Some((role == Role::Shim).then_some(carried))
    }

    /// What shim checks, itself or for GRUB: by the firmware's keys and by those that it carries.
    fn follow(&mut self, role: Role, at: Locus, content: &Content, carried: &[Certificate]) {
        let pe = match Pe::read(content) {
            Ok(Some(pe)) => pe,
            Ok(None) => return self.gaps.push(format!("{role} {at} is no EFI program")),
            Err(e) => return self.gaps.push(e.path(&at).to_string()),
        };
        let signatures = self.program(role, at, &pe, &[]);
        let known = |s: &Signature| {
            let leads = carried.iter().any(|c| s.leads_to(c) == Some(true));
            s.state == State::Intact && (leads || s.uefi_ca().is_some())
        };
        self.judge(role, &signatures, known, "shim does not carry");
    }

    fn program(
        &mut self,
        role: Role,
        path: Locus,
        pe: &Pe,
        carried: &[Certificate],
    ) -> Result<Vec<Signature>> {
        let signatures = pe.signatures(&|_| true).map_err(|e| e.path(&path));
        let signed = |s: &Signature| Signed {
            signer: s.signer.subject.clone(),
            issuer: s.signer.issuer.clone(),
            state: s.state,
            uefi_ca: s.uefi_ca(),
        };
        self.programs.push(Program {
            role,
            path,
            signatures: signatures.iter().flatten().map(signed).collect(),
            carries: carried.iter().map(|c| c.subject.clone()).collect(),
            sbat: pe.sbat().unwrap_or_default(),
        });
        signatures
    }

    /// Adds the gap that `signatures` leave, where none of them is `known`.
    fn judge(
        &mut self,
        role: Role,
        signatures: &Result<Vec<Signature>>,
        known: impl Fn(&Signature) -> bool,
        unknown: &str,
    ) {
        let signatures = match signatures {
            Ok(s) if s.iter().any(known) => return,
            Ok(s) => s,
            Err(e) => return self.gaps.push(e.to_string()),
        };
        let of = |state| signatures.iter().find(|s| s.state == state);
        self.gaps.push(if let Some(s) = of(State::Intact) {
            let (signer, issuer) = (&s.signer.subject, &s.signer.issuer);
            format!(
                "{role} is signed by \"{signer}\" of \"{issuer}\", which {unknown}: the machine must \
                 have that key (db or MokList)"
            )
        } else if let Some(s) = of(State::Altered) {
            format!("{role} was changed after \"{}\" signed it", s.signer.subject)
        } else if let Some(s) = of(State::Forged) {
            format!("{role}'s signature is not by the key of \"{}\"", s.signer.subject)
        } else if let Some(s) = of(State::Unchecked) {
            format!("{role}'s signature by \"{}\" can't be checked here", s.signer.subject)
        } else {
            format!("{role} is not signed")
        });
    }
}
