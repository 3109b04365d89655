//! Unified kernel images (`EFI/Linux/*.efi`): kernel, initrd and arguments in one signed EFI program.
//! Read only, for a signature that we broke would be worse than none.
//!
//! Source: UAPI.5. Not read: profiles, addons.

use super::bls::Rank;
use super::pe::Pe;
use super::spans;
use crate::content::Content;
use crate::error::Result;

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uki {
    /// `PRETTY_NAME` of the system, or the next best.
    pub title: String,
    /// The kernel's arguments that are built in.
    pub cmdline: String,
    /// The kernel's version, where it is said (`.uname`).
    pub kernel: Option<String>,
    sort_key: Option<String>,
    version: Option<String>,
}

impl Uki {
    /// What the image says; `None` where it is none: no PE program, or one without `.osrel`.
    ///
    /// # Errors
    /// Those of the source, and `Corrupt` where the image is cut short.
    pub fn read(image: &Content) -> Result<Option<Uki>> {
        let Some(pe) = Pe::read(image)? else { return Ok(None) };
        let Some(release) = pe.text(".osrel")? else { return Ok(None) };
        let first = |keys: &[&str]| keys.iter().find_map(|k| field(&release, k));
        Ok(Some(Uki {
            // The order of `bootspec_pick_name_version_sort_key`.
            title: first(&["PRETTY_NAME", "IMAGE_ID", "NAME", "ID"]).unwrap_or_default(),
            version: first(&["IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"]),
            sort_key: first(&["IMAGE_ID", "ID"]),
            cmdline: pe.text(".cmdline")?.unwrap_or_default().trim().to_owned(),
            kernel: pe.text(".uname")?,
        }))
    }

    /// Where the image in the file `name` stands in the menu.
    pub fn rank(&self, name: &str) -> Rank {
        Rank::new(name, self.sort_key.clone(), None, self.version.clone())
    }
}

/// A value of os-release(5), without its quotes.
fn field(text: &str, key: &str) -> Option<String> {
    let line = |l: &spans::Line| {
        let (k, v) = text[l.text.clone()].split_once('=')?;
        (k.trim() == key).then(|| v.trim().trim_matches(['"', '\'']).to_owned())
    };
    let all = spans::lines(text.as_bytes(), false);
    all.iter().filter_map(line).rfind(|v| !v.is_empty())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An image of these sections, as the linker lays it out.
    pub(crate) fn image(sections: &[(&str, &str)]) -> Vec<u8> {
        let mut b = vec![0; 64];
        b[..2].copy_from_slice(b"MZ");
        b[0x3c] = 64;
        b.extend(b"PE\0\0\x64\x86");
        b.extend((sections.len() as u16).to_le_bytes());
        b.resize(64 + 24, 0);
        let mut at = (b.len() + 40 * sections.len()) as u32;
        for (name, text) in sections {
            let mut s = [0; 40];
            s[..name.len()].copy_from_slice(name.as_bytes());
            s[8..12].copy_from_slice(&(text.len() as u32).to_le_bytes());
            s[16..20].copy_from_slice(&512u32.to_le_bytes());
            s[20..24].copy_from_slice(&at.to_le_bytes());
            b.extend(s);
            at += 512;
        }
        for (_, text) in sections {
            let end = b.len() + 512;
            b.extend(text.as_bytes());
            b.resize(end, 0);
        }
        b
    }

    const SYSTEM: &str =
        "NAME=\"Talos\"\nID=talos\nVERSION_ID=v1.8.0\nPRETTY_NAME=\"Talos (v1.8.0)\"\n";

    #[test]
    fn an_image_tells_its_system_and_arguments() {
        let bytes = image(&[
            (".osrel", SYSTEM),
            (".cmdline", "talos.platform=metal console=tty0\n\0"),
            (".uname", "6.6.52-talos"),
            (".linux", "MZ"),
        ]);
        let u = Uki::read(&bytes.clone().into()).expect("read").expect("an image");
        assert_eq!((&u.title[..], u.kernel.as_deref()), ("Talos (v1.8.0)", Some("6.6.52-talos")));
        assert_eq!(u.cmdline, "talos.platform=metal console=tty0");
        assert_eq!((u.sort_key.as_deref(), u.version.as_deref()), (Some("talos"), Some("v1.8.0")));
        for cut in 0..bytes.len() {
            let _ = Uki::read(&bytes[..cut].to_vec().into());
        }
        for at in 0..64 + 24 + 160 {
            let mut b = bytes.clone();
            b[at] = 0xff;
            let _ = Uki::read(&b.into());
        }
    }

    #[test]
    fn other_programs_are_none() {
        let read = |b: Vec<u8>| Uki::read(&b.into()).expect("read");
        assert_eq!(read(image(&[(".text", "x")])), None);
        assert_eq!(read(vec![0; 100]), None);
        assert_eq!(read(Vec::new()), None);
    }
}
