//! The way without iPXE: UEFI HTTP Boot of the vendor's signed loaders, and GRUB's configuration beside
//! them.

use super::{INITRD, KERNEL, made};
use crate::content::path::TreePath;
use crate::error::Result;
use crate::family::draft::{BASE, Draft};
use crate::format::grub;
use crate::model::cmdline::Cmdline;
use crate::plan::{Chosen, Inputs, Planned, Role, add};
use std::collections::BTreeMap;
use std::fmt::Write;

/// GRUB's configuration, where its built-in prefix leads.
pub const GRUB_CFG: &str = "grub/grub.cfg";

/// Folders of the medium where UEFI loaders lie, as written there.
const EFI_BOOT: &str = "EFI/BOOT";

/// The route without iPXE: UEFI HTTP Boot of the vendor's signed shim, which fetches GRUB from beside
/// itself, which reads `grub.cfg` from beside itself or from its built-in prefix.
pub(super) fn route(
    files: &mut BTreeMap<TreePath, Planned>,
    inputs: &Inputs,
    chosen: &Chosen,
    draft: &Draft,
    title: &str,
) -> Result<()> {
    let text = grub_cfg(title, chosen, draft, inputs.target.base_url.as_deref())?;
    grub_files(files, inputs, &text, &text)
}

/// The loaders, and the configuration at the places where they look for it: `text` at GRUB's usual one,
/// `beside` where the loaders lie.
pub(in crate::plan) fn grub_files(
    files: &mut BTreeMap<TreePath, Planned>,
    inputs: &Inputs,
    text: &str,
    beside: &str,
) -> Result<()> {
    let efi: TreePath = EFI_BOOT.parse()?;
    let trees =
        std::iter::once(&inputs.media.tree).chain(inputs.media.fat_images.iter().map(|f| &f.tree));
    let mut found = false;
    for tree in trees {
        for (path, content) in tree.files() {
            let in_boot =
                path.parent().is_some_and(|p| p.as_bytes().eq_ignore_ascii_case(efi.as_bytes()));
            let name = path.name().to_ascii_lowercase();
            if !in_boot || !name.ends_with(b".efi") {
                continue;
            }
            // shim asks for its second stage by name, in the case it was built with.
            let name: &[u8] = match &name[..] {
                b"bootx64.efi" => b"BOOTX64.EFI",
                b"bootaa64.efi" => b"BOOTAA64.EFI",
                other => other,
            };
            let to = efi.join(name)?;
            if !files.contains_key(&to) {
                found = true;
                let origin = crate::plan::boot_edit::medium_origin(path, content);
                let mut f = made(Vec::new(), "UEFI HTTP Boot without iPXE");
                (f.content, f.origin) = (content.clone(), origin);
                add(files, to, f)?;
            }
        }
        if found {
            break;
        }
    }
    let places = [(GRUB_CFG, text), ("EFI/BOOT/grub.cfg", beside)];
    for (to, text) in places.into_iter().take(if found { 2 } else { 1 }) {
        let mut f = made(text.as_bytes().to_vec(), "UEFI HTTP Boot without iPXE");
        f.role = Role::EntryPoint;
        add(files, to.parse()?, f)?;
    }
    Ok(())
}

pub(super) fn grub_cfg(
    title: &str,
    chosen: &Chosen,
    draft: &Draft,
    base: Option<&str>,
) -> Result<String> {
    let Grub { mut text, device, url } = grub_prologue(title, draft, base);
    let args = grub_args(&chosen.cmdline, &url)?;
    let quoted = grub::quote(title);
    let _ = write!(
        text,
        "set default=0\nset timeout=5\n\
         menuentry {quoted} {{\n\
         \tlinux {device}/{KERNEL} {args}\n\
         \tinitrd {device}/{INITRD}\n\
         }}\n"
    );
    Ok(text)
}

/// The configuration's first lines, and what stands in it for the tree.
pub(in crate::plan) struct Grub {
    /// The lines.
    pub text: String,
    /// The tree as GRUB's commands name it.
    pub device: String,
    /// Its URL in a kernel argument.
    pub url: String,
}

/// GRUB knows where it came from as `$cmdpath`, `(http,HOST)/path/EFI/BOOT`.
pub(in crate::plan) fn grub_prologue(title: &str, draft: &Draft, base: Option<&str>) -> Grub {
    let mut s = format!("# {title}, written by isowright\n");
    let serial = draft.loader_console.iter().rev().find_map(|c| c.serial());
    if let Some(cmd) = serial.and_then(grub::serial_command) {
        let _ = write!(s, "{cmd}\nterminal_input serial console\nterminal_output serial console\n");
    }
    // GRUB fetches by plain http only: behind another scheme it goes by where it came from itself.
    let fixed = base.and_then(|b| Some((b, b.strip_prefix("http://")?.trim_end_matches('/'))));
    let (device, url) = match fixed {
        Some((url, place)) => (http_device(place), url.to_owned()),
        None => ("$tree".to_owned(), base.unwrap_or("http://${host}${dir}/").to_owned()),
    };
    if device == "$tree" {
        s.push_str(
            "insmod regexp\n\
             regexp --set=1:host --set=2:dir '^\\(http,([^)]+)\\)(.*)/EFI/BOOT/?$' \"$cmdpath\"\n\
             if [ -z \"$host\" ]; then set host=\"$net_default_server\"; set dir=\"\"; fi\n\
             set tree=\"(http,$host)$dir\"\n",
        );
    }
    Grub { text: s, device, url }
}

/// `host/path` as GRUB names it: `(http,host)/path`.
fn http_device(place: &str) -> String {
    match place.split_once('/') {
        Some((host, dir)) => format!("(http,{host})/{dir}"),
        None => format!("(http,{place})"),
    }
}

/// Each word quoted as far as GRUB needs it; the URL's variables stay open to GRUB.
pub(in crate::plan) fn grub_args(cmdline: &str, url: &str) -> Result<String> {
    let word = |w: &str| match w.split_once(BASE) {
        Some((before, after)) => {
            let (b, a) = (grub::quote(before), grub::quote(after));
            let open = if url.contains('$') { format!("\"{url}\"") } else { grub::quote(url) };
            format!(
                "{}{open}{}",
                if before.is_empty() { "" } else { &b },
                if after.is_empty() { "" } else { &a }
            )
        }
        None => grub::quote(w),
    };
    let c = Cmdline::parse(cmdline)?;
    Ok(c.words().map(|w| word(w.raw)).collect::<Vec<_>>().join(" "))
}
