//! What lies in a vendor's initrd, by name and type only, so that files of ours land where the
//! vendor's own links lead: an appended folder `lib` over a link `lib -> usr/lib` replaces the link,
//! and init dies.
//!
//! Source: Documentation/driver-api/early-userspace/buffer-format.rst: any sequence of zeros, cpio
//! archives and compressed cpio archives. Read here: plain and gzip. Not yet: xz, zstd, lz4, bzip2.

use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind, Tree};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

/// Entries looked at; a Debian installer's initrd has some 3,000.
const MAX_ENTRIES: u32 = 100_000;
/// Unpacked bytes looked at, names and padding too: a bomb of zeros is no initrd.
const MAX_UNPACKED: u64 = 2 << 30;
/// Bytes of names and link targets held: 100,000 of the longest would be 400 MiB.
const MAX_TEXT: u64 = 16 << 20;
/// What a compressed member counts at least, for setting up its decoder takes as long.
const MEMBER: u64 = 64 << 10;

/// How much may still be looked at.
struct Left {
    bytes: u64,
    text: u64,
    entries: u32,
}

impl Left {
    fn bytes(&mut self, n: u64) -> Result<()> {
        let left = self.bytes.checked_sub(n);
        self.bytes = left.ok_or_else(|| Error::unsupported("the initrd unpacks to over 2 GiB"))?;
        Ok(())
    }

    /// An entry whose name and link target are so long.
    fn entry(&mut self, text: u64) -> Result<()> {
        let entries = self.entries.checked_sub(1);
        self.entries =
            entries.ok_or_else(|| Error::unsupported("the initrd has over 100,000 entries"))?;
        let left = self.text.checked_sub(text);
        self.text =
            left.ok_or_else(|| Error::unsupported("the initrd's names take over 16 MiB"))?;
        Ok(())
    }
}

/// The nodes of an initrd, files without their content.
///
/// # Errors
/// `Corrupt`, or `Unsupported` for a compression that is not read yet.
pub fn nodes(initrd: &Content) -> Result<Tree> {
    let mut r = BufReader::with_capacity(1 << 16, initrd.reader());
    let mut nodes = BTreeMap::new();
    let mut left = Left { bytes: MAX_UNPACKED, text: MAX_TEXT, entries: MAX_ENTRIES };
    loop {
        skip_zeros(&mut r, &mut left)?;
        let head = r.fill_buf().map_err(bad)?;
        match head {
            [] => return Ok(nodes.into_iter().collect()),
            [b'0', b'7', b'0', b'7', ..] => archive(&mut r, &mut nodes, &mut left)?,
            [0x1f, 0x8b, ..] => {
                left.bytes(MEMBER)?;
                let mut z = BufReader::new(flate2::bufread::GzDecoder::new(&mut r));
                skip_zeros(&mut z, &mut left)?;
                while !z.fill_buf().map_err(bad)?.is_empty() {
                    archive(&mut z, &mut nodes, &mut left)?;
                    skip_zeros(&mut z, &mut left)?;
                }
            }
            _ => {
                return Err(Error::unsupported(format!(
                    "an initrd member that starts with {:02x?} can't be looked into yet",
                    &head[..head.len().min(4)]
                ))
                .hint(
                    "plain and gzip are read; name the files at the initrd's top level instead",
                ));
            }
        }
    }
}

fn bad(e: io::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the initrd can't be unpacked").because(e)
}

fn skip_zeros(r: &mut impl BufRead, left: &mut Left) -> Result<()> {
    loop {
        let buf = r.fill_buf().map_err(bad)?;
        let n = buf.iter().take_while(|&&b| b == 0).count();
        let all = n == buf.len() && n > 0;
        r.consume(n);
        left.bytes(n as u64)?;
        if !all {
            return Ok(());
        }
    }
}

/// One cpio archive up to its trailer. Padding is counted from the archive's start.
fn archive(r: &mut impl Read, nodes: &mut BTreeMap<TreePath, Node>, left: &mut Left) -> Result<()> {
    loop {
        let mut head = [0u8; 110];
        r.read_exact(&mut head).map_err(bad)?;
        if !matches!(&head[..6], b"070701" | b"070702") {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the initrd holds something that is no newc cpio",
            ));
        }
        let field = |i: usize| -> Result<u32> {
            let s = std::str::from_utf8(&head[6 + 8 * i..14 + 8 * i]).unwrap_or("");
            u32::from_str_radix(s, 16)
                .map_err(|_| Error::new(ErrorKind::Corrupt, "a cpio header field is no hex number"))
        };
        let (mode, size, namesize) = (field(1)?, u64::from(field(6)?), field(11)? as usize);
        if namesize == 0 || namesize > 4097 {
            return Err(Error::new(ErrorKind::Corrupt, "a cpio name is too long"));
        }
        let mut name = vec![0; namesize + (110 + namesize).next_multiple_of(4) - 110 - namesize];
        r.read_exact(&mut name).map_err(bad)?;
        name.truncate(namesize - 1);
        let padded = size.next_multiple_of(4);
        left.bytes(padded + 110 + name.len() as u64)?;
        if name == b"TRAILER!!!" {
            return Ok(());
        }
        let is_link = mode & 0o170_000 == 0o120_000 && size <= 4096;
        left.entry(namesize as u64 + if is_link { size } else { 0 })?;
        let kind = match mode & 0o170_000 {
            0o040_000 => NodeKind::Dir,
            0o120_000 if is_link => {
                let mut target = vec![0; padded as usize];
                r.read_exact(&mut target).map_err(bad)?;
                target.truncate(size as usize);
                NodeKind::Symlink(target)
            }
            _ => NodeKind::File(Content::empty()),
        };
        if !matches!(kind, NodeKind::Symlink(_)) {
            io::copy(&mut r.by_ref().take(padded), &mut io::sink()).map_err(bad)?;
        }
        let name = name.strip_prefix(b"./").unwrap_or(&name);
        if let Ok(path) = TreePath::new(name)
            && !path.is_root()
            && name != b"."
        {
            nodes.insert(path, Node { kind, mode: mode & 0o7777, mtime: None });
        }
    }
}

/// Where `path` must be written so that it lands where the vendor's links lead, and nothing of the
/// vendor's changes its type.
///
/// # Errors
/// `Conflict` where a folder of ours would replace a file, or a file of ours a folder.
pub fn landing(vendor: &Tree, path: &TreePath) -> Result<TreePath> {
    let parent = path.parent().unwrap_or_default();
    let dir = vendor.resolve(&parent)?;
    let clash = |p: &TreePath| {
        Error::new(ErrorKind::Conflict, "the initrd has something of another type there").path(p)
    };
    for above in std::iter::successors(Some(dir.clone()), TreePath::parent) {
        if vendor.get(&above).is_some_and(|n| !n.is_dir()) {
            return Err(clash(&above));
        }
    }
    let to = dir.join(path.name())?;
    match vendor.get(&to).map(|n| &n.kind) {
        None | Some(NodeKind::File(_)) => Ok(to),
        Some(_) => Err(clash(&to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::cpio;
    use std::io::Write;

    fn p(s: &str) -> TreePath {
        s.parse().expect("path")
    }

    fn gz(b: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(b).expect("gz");
        e.finish().expect("gz")
    }

    #[test]
    fn plain_then_padding_then_gzip_is_read_to_the_end() {
        let one = |n: &str| {
            let a = cpio::archive(&[cpio::Entry::file(p(n), 0o644, vec![1, 2, 3])]);
            a.and_then(|a| a.read_all(1000)).expect("archive")
        };
        let mut all = one("kernel/x86/microcode/GenuineIntel.bin");
        all.resize(all.len().next_multiple_of(512), 0);
        all.extend(gz(&one("etc/a")));
        all.extend([0; 3]);
        let t = nodes(&all.into()).expect("nodes");
        assert!(t.get(&p("kernel/x86/microcode/GenuineIntel.bin")).is_some());
        assert!(t.get(&p("etc/a")).is_some());
        assert!(nodes(&vec![0xfd, b'7', b'z'].into()).is_err());
    }

    #[test]
    fn a_bomb_is_left_before_it_takes_memory_or_time() {
        let entry = |name: &str| {
            let mut e =
                format!("070701{}{:08x}{}", "00000000".repeat(11), name.len() + 1, "00000000")
                    .into_bytes();
            e.extend(name.as_bytes());
            e.resize((e.len() + 1).next_multiple_of(4), 0);
            e
        };
        for (bomb, words) in [
            (entry("a").repeat(100_001), "100,000 entries"),
            (entry(&"a".repeat(4000)).repeat(5_000), "16 MiB"),
            (gz(&[]).repeat(33_000), "2 GiB"),
        ] {
            let e = nodes(&gz(&bomb).into()).or_else(|_| nodes(&bomb.into())).expect_err(words);
            assert!(e.to_string().contains(words), "{e}");
        }
    }

    #[test]
    fn files_land_behind_the_vendors_links() {
        let t: Tree = [
            (p("usr"), Node::dir()),
            (p("usr/lib"), Node::dir()),
            (
                p("lib"),
                Node { kind: NodeKind::Symlink(b"usr/lib".to_vec()), mode: 0o777, mtime: None },
            ),
            (p("init"), Node::file("")),
        ]
        .into_iter()
        .collect();
        assert_eq!(landing(&t, &p("lib/x.d/S31")).expect("landing"), p("usr/lib/x.d/S31"));
        assert_eq!(landing(&t, &p("preseed.cfg")).expect("landing"), p("preseed.cfg"));
        assert!(landing(&t, &p("init/x")).is_err());
        assert!(landing(&t, &p("usr")).is_err());
    }

    #[test]
    fn debians_own_initrd_is_read() {
        let path =
            "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/initrd.gz";
        let Ok(c) = Content::open(std::path::Path::new(path)) else { return };
        let t = nodes(&c).expect("nodes");
        assert!(
            t.get(&p("sbin/reopen-console")).is_some()
                || t.get(&p("usr/sbin/reopen-console")).is_some()
        );
        for cut in [10, 1000, 1 << 20] {
            assert!(nodes(&c.slice(0..cut).expect("cut")).is_err());
        }
    }
}
