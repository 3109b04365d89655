//! The version that a Linux kernel for x86 tells in its header: what its modules must be built for.
//!
//! Source: Documentation/arch/x86/boot.rst. Not read: what has no such header (arm64, EFI zboot,
//! kernels that are compressed whole); their version lies in the compressed part.

use super::fields::{le16, le32};
use crate::content::Content;
use crate::error::Result;

/// `HdrS`, at 0x202.
const MAGIC: u32 = 0x5372_6448;
/// Header fields that are read end here.
const HEAD: usize = 0x210;
/// Longer than any kernel writes (`UTS_RELEASE` and the compile's line are 64 bytes each, and a host).
const MAX_TEXT: u64 = 512;

/// A kernel's version, as it tells it: `6.1.0-50-amd64 (debian-kernel@…) #1 SMP …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelVersion(String);

impl KernelVersion {
    /// Of a kernel image; `None` where it does not say.
    ///
    /// # Errors
    /// Those of the source.
    pub fn read(kernel: &Content) -> Result<Option<KernelVersion>> {
        if kernel.len() < HEAD as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        kernel.read_at(&mut head, 0)?;
        // Protocol 2.00 or later has the pointer; the real-mode code that it points into is so many
        // sectors long (0 stands for 4), and the boot sector itself is not counted.
        let sectors = match head[0x1f1] {
            0 => 4,
            n => u64::from(n),
        };
        let pointer = u64::from(le16(&head, 0x20e));
        let told = le32(&head, 0x202) == MAGIC && le16(&head, 0x206) >= 0x200;
        if !told || pointer == 0 || pointer >= 0x200 * sectors {
            return Ok(None);
        }
        let at = pointer + 0x200;
        let end = (at + MAX_TEXT).min(kernel.len());
        if at >= end {
            return Ok(None);
        }
        let text = kernel.slice(at..end)?.read_all(MAX_TEXT)?;
        let Some(nul) = text.iter().position(|&b| b == 0) else { return Ok(None) };
        let printable = text[..nul].iter().all(|b| matches!(b, b' '..=b'~'));
        let text = String::from_utf8_lossy(&text[..nul]).trim().to_owned();
        Ok((printable && !text.is_empty()).then_some(KernelVersion(text)))
    }

    /// What `uname -r` says: the name of its folder in lib/modules.
    pub fn release(&self) -> &str {
        self.0.split(' ').next().unwrap_or(&self.0)
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A kernel image that tells `text`; for tests.
#[cfg(test)]
pub(crate) fn stand_in(text: &str) -> Vec<u8> {
    let mut b = vec![0; 0x400];
    b[0x1f1] = 2;
    b[0x202..0x206].copy_from_slice(b"HdrS");
    b[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    b[0x20e..0x210].copy_from_slice(&0x200_u16.to_le_bytes());
    b.extend(text.as_bytes());
    b.resize(0x800, 0);
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(b: &[u8]) -> Option<String> {
        KernelVersion::read(&b.to_vec().into()).expect("read").map(|v| v.as_str().to_owned())
    }

    #[test]
    fn the_header_tells_the_version() {
        let text = "5.14.0-503.el9.x86_64 (mockbuild@x) #1 SMP";
        let b = stand_in(text);
        assert_eq!(read(&b).as_deref(), Some(text));
        let v = KernelVersion::read(&b.clone().into()).expect("read").expect("told");
        assert_eq!(v.release(), "5.14.0-503.el9.x86_64");
        for cut in 0..b.len() {
            let _ = read(&b[..cut]);
        }
        let spoilt = |at: usize, bytes: &[u8]| {
            let mut b = b.clone();
            b[at..at + bytes.len()].copy_from_slice(bytes);
            read(&b)
        };
        for (what, at, bytes) in [
            ("no magic", 0x202, &b"hdrs"[..]),
            ("an old protocol", 0x206, &[0xff, 0x01]),
            ("no pointer", 0x20e, &[0, 0]),
            ("a pointer out of the real-mode code", 0x20e, &[0, 4]),
            ("an escape", 0x400, b"\x1b["),
            ("nothing", 0x400, &[0]),
        ] {
            assert_eq!(spoilt(at, bytes), None, "{what}");
        }
        let mut endless = b.clone();
        endless[0x400..].fill(b'x');
        assert_eq!(read(&endless), None);
    }

    #[test]
    fn debians_kernel_tells_its_version() {
        let path = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux";
        let Ok(c) = Content::open(std::path::Path::new(path)) else { return };
        let v = KernelVersion::read(&c).expect("read").expect("told");
        assert!(v.release().starts_with("6.1.0-") && v.as_str().contains("SMP"), "{v:?}");
    }
}
