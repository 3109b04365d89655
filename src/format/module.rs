//! What a kernel module was built for: `vermagic=` in its `.modinfo` section.
//!
//! Source: the ELF specification (headers and section headers, both classes, little-endian);
//! include/linux/vermagic.h and kernel/module/version.c of Linux. Compressed modules are unpacked
//! within a bound. Not read: big-endian modules.

use super::compress;
use super::fields::{le16, le32, le64};
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use std::io::Read;

/// Unpacked; the largest drivers, with their debug sections, are near 100 MiB.
const MAX_UNPACKED: u64 = 256 << 20;
/// Of the section table and of the names in it.
const MAX_TABLE: u64 = 4 << 20;
/// Of `.modinfo`: drivers for many devices have some 100 KiB of aliases.
const MAX_MODINFO: u64 = 4 << 20;

/// What a module was built for: `6.1.0-50-amd64 SMP preempt mod_unload modversions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vermagic(String);

/// A module by its name, compressed or not.
pub fn is_module_name(name: &[u8]) -> bool {
    [&b".ko"[..], b".ko.xz", b".ko.zst", b".ko.gz"].iter().any(|end| name.ends_with(end))
}

impl Vermagic {
    /// Of a module; `None` where it is none: no ELF file, or one without a `.modinfo` that says.
    ///
    /// # Errors
    /// `Corrupt` where it is cut short or can't be unpacked, `Unsupported` above the bounds.
    pub fn read(module: &Content) -> Result<Option<Vermagic>> {
        let module = unpacked(module)?;
        let Some(elf) = Elf::open(&module)? else { return Ok(None) };
        let Some(info) = elf.section(b".modinfo", MAX_MODINFO)? else { return Ok(None) };
        let said = info.split(|&b| b == 0).find_map(|f| f.strip_prefix(b"vermagic="));
        Ok(said.map(|v| Vermagic(String::from_utf8_lossy(v).trim().to_owned())))
    }

    /// The kernel's version: `uname -r`.
    pub fn release(&self) -> &str {
        self.0.split(' ').next().unwrap_or(&self.0)
    }

    /// True where the module bears a checksum for each symbol that it uses: such a kernel compares
    /// these, and not the version.
    pub fn has_checksums(&self) -> bool {
        self.0.split(' ').any(|w| w == "modversions")
    }
}

fn unpacked(module: &Content) -> Result<Content> {
    let input = compress::Input::new(module);
    let (head, n) = input.peek::<4>()?;
    let codec = match compress::Codec::of(&head[..n]) {
        Some(c @ (compress::Codec::Gzip | compress::Codec::Xz | compress::Codec::Zstd)) => c,
        _ => return Ok(module.clone()),
    };
    let mut input = input;
    let mut out = Vec::new();
    let bad = |e| Error::new(ErrorKind::Corrupt, "the module can't be unpacked").because(e);
    let mut reader = compress::decoder(codec, &mut input)?.take(MAX_UNPACKED + 1);
    reader.read_to_end(&mut out).map_err(bad)?;
    if out.len() as u64 > MAX_UNPACKED {
        return Err(Error::unsupported("a module of more than 256 MiB"));
    }
    Ok(out.into())
}

/// An ELF file's section table.
struct Elf<'a> {
    file: &'a Content,
    sections: Vec<Section>,
    /// Index of the section of names.
    names: usize,
}

struct Section {
    name: u32,
    at: u64,
    len: u64,
}

impl<'a> Elf<'a> {
    fn open(file: &'a Content) -> Result<Option<Elf<'a>>> {
        let mut head = [0; 64];
        let len = file.len().min(64) as usize;
        file.read_at(&mut head[..len], 0)?;
        // Class 1 is 32 bits, 2 is 64; data 1 is little-endian.
        let wide = match head[..6] {
            [0x7f, b'E', b'L', b'F', 2, 1] if len == 64 => true,
            [0x7f, b'E', b'L', b'F', 1, 1] if len >= 52 => false,
            _ => return Ok(None),
        };
        let (at, fields) = match wide {
            true => (le64(&head, 0x28), 0x3a),
            false => (u64::from(le32(&head, 0x20)), 0x2e),
        };
        let [size, count, names] = [0, 2, 4].map(|n| usize::from(le16(&head, fields + n)));
        if size < if wide { 64 } else { 40 } || at == 0 {
            return Ok(None);
        }
        let end = at.checked_add((size * count) as u64).filter(|end| *end <= file.len());
        let end = end.ok_or_else(|| Error::corrupt("the section table is cut short", at))?;
        let table = file.slice(at..end)?.read_all(MAX_TABLE)?;
        let section = |s: &[u8]| match wide {
            true => Section { name: le32(s, 0), at: le64(s, 0x18), len: le64(s, 0x20) },
            false => Section {
                name: le32(s, 0),
                at: u64::from(le32(s, 0x10)),
                len: u64::from(le32(s, 0x14)),
            },
        };
        let sections = table.chunks_exact(size).map(section).collect();
        Ok(Some(Elf { file, sections, names }))
    }

    fn bytes(&self, s: &Section, limit: u64) -> Result<Vec<u8>> {
        let end = s.at.checked_add(s.len).filter(|end| *end <= self.file.len());
        let end = end.ok_or_else(|| Error::corrupt("a section is cut short", s.at))?;
        self.file.slice(s.at..end)?.read_all(limit)
    }

    fn section(&self, name: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(names) = self.sections.get(self.names) else { return Ok(None) };
        let names = self.bytes(names, MAX_TABLE)?;
        let is = |s: &&Section| {
            let n = names.get(s.name as usize..).unwrap_or_default();
            n.starts_with(name) && n.get(name.len()) == Some(&0)
        };
        self.sections.iter().find(is).map(|s| self.bytes(s, limit)).transpose()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use compress::{Codec, Encoder};
    use std::io::Write;

    const MAGIC: &str = "6.1.0-50-amd64 SMP preempt mod_unload modversions ";

    /// A file of three sections: none, the names, `.modinfo`.
    fn stand_in(wide: bool, modinfo: &[u8]) -> Vec<u8> {
        let names = b"\0.shstrtab\0.modinfo\0";
        let (head, entry) = if wide { (64, 64) } else { (52, 40) };
        let mut b = vec![0; head];
        b[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1]);
        let at = [b.len(), b.len() + names.len()];
        b.extend(names);
        b.extend(modinfo);
        let table = b.len();
        for (name, at, len) in [(0u32, 0, 0), (1, at[0], names.len()), (11, at[1], modinfo.len())] {
            let mut s = vec![0; entry];
            s[..4].copy_from_slice(&name.to_le_bytes());
            if wide {
                s[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
                s[0x20..0x28].copy_from_slice(&(len as u64).to_le_bytes());
            } else {
                s[0x10..0x14].copy_from_slice(&(at as u32).to_le_bytes());
                s[0x14..0x18].copy_from_slice(&(len as u32).to_le_bytes());
            }
            b.extend(s);
        }
        let (field, numbers) = if wide { (0x28, 0x3a) } else { (0x20, 0x2e) };
        b[field..field + 4].copy_from_slice(&(table as u32).to_le_bytes());
        for (n, v) in [entry as u16, 3, 1].into_iter().enumerate() {
            b[numbers + 2 * n..numbers + 2 * n + 2].copy_from_slice(&v.to_le_bytes());
        }
        b
    }

    fn modinfo() -> Vec<u8> {
        format!("license=GPL\0vermagic={MAGIC}\0name=x\0").into_bytes()
    }

    /// A module that was built for this.
    pub(crate) fn built_for(magic: &str) -> Vec<u8> {
        stand_in(true, format!("vermagic={magic}\0").as_bytes())
    }

    fn packed(codec: Codec, b: &[u8]) -> Vec<u8> {
        let mut e = Encoder::new(codec, None, 1, Vec::new()).expect("encoder");
        e.write_all(b).expect("write");
        e.finish().expect("finish")
    }

    #[test]
    fn a_module_tells_what_it_was_built_for() {
        for wide in [true, false] {
            let plain = stand_in(wide, &modinfo());
            for b in [
                plain.clone(),
                packed(Codec::Gzip, &plain),
                packed(Codec::Xz, &plain),
                packed(Codec::Zstd, &plain),
            ] {
                let v = Vermagic::read(&b.into()).expect("read").expect("told");
                assert_eq!(v.release(), "6.1.0-50-amd64");
                assert!(v.has_checksums());
            }
        }
        let none = |b: &[u8]| Vermagic::read(&b.to_vec().into()).expect("read").is_none();
        assert!(none(b"a text") && none(b"") && none(&stand_in(true, b"name=x\0")));
        assert!(is_module_name(b"e1000.ko.zst") && !is_module_name(b"menu.koi8-u.vim"));
    }

    #[test]
    fn a_hostile_module_ends_in_an_answer_or_an_error() {
        for b in [stand_in(true, &modinfo()), stand_in(false, &modinfo())] {
            for cut in 0..b.len() {
                assert!(!matches!(Vermagic::read(&b[..cut].to_vec().into()), Ok(Some(_))));
            }
            for at in 0..b.len() {
                for v in [0, 0x7f, 0xff] {
                    let mut b = b.clone();
                    b[at] = v;
                    let _ = Vermagic::read(&b.into());
                }
            }
        }
        // A bomb: 300 MiB of zeros behind some KiB.
        let zeros = vec![0; 1 << 20];
        let mut e = Encoder::new(Codec::Zstd, Some(1), 1, Vec::new()).expect("encoder");
        for _ in 0..300 {
            e.write_all(&zeros).expect("write");
        }
        let e = Vermagic::read(&e.finish().expect("finish").into()).expect_err("bomb");
        assert!(e.to_string().contains("256 MiB"), "{e}");
    }
}
