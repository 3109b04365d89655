//! The x86 kernel image's setup header, as far as it tells the kernel's release. Read only.
//!
//! Documentation/arch/x86/boot.rst: magic `HdrS` at 0x202; `kernel_version` at 0x20e is the offset of a
//! NUL-terminated string, less 0x200. EFI zboot images (arm64) have no such string.

use crate::content::Content;

const MAGIC: usize = 0x202;
const KERNEL_VERSION: usize = 0x20e;
/// The setup code that holds the string ends below this: 64 sectors of 512 bytes.
const SETUP_MAX: u64 = 64 * 512;

/// `6.6.31-0-lts`; `None` where it is no bzImage, or says nothing.
pub fn release(kernel: &Content) -> Option<String> {
    let head = kernel.slice(0..kernel.len().min(SETUP_MAX)).ok()?.read_all(SETUP_MAX).ok()?;
    if head.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let at = u16::from_le_bytes(head.get(KERNEL_VERSION..KERNEL_VERSION + 2)?.try_into().ok()?);
    let text = head.get(usize::from(at).checked_add(0x200)?..)?;
    // "6.1.0-18-amd64 (build@host) #1 SMP …"
    let word = text.split(|b| matches!(b, 0 | b' ')).next()?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b".-_+~".contains(b);
    let ok = at != 0 && !word.is_empty() && word.len() < 65 && word.iter().all(plain);
    ok.then(|| String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(at: u16, text: &[u8]) -> Content {
        let mut bytes = vec![0; 0x400];
        bytes[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        bytes[KERNEL_VERSION..KERNEL_VERSION + 2].copy_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(text);
        bytes.into()
    }

    #[test]
    fn the_release_is_the_first_word_behind_the_pointer() {
        let k = kernel(0x200, b"6.6.31-0-lts (buildozer@build) #1-Alpine\0");
        assert_eq!(release(&k).as_deref(), Some("6.6.31-0-lts"));
        assert_eq!(release(&kernel(0, b"6.1\0")), None);
        assert_eq!(release(&kernel(0xffff, b"6.1\0")), None, "it points behind the end");
        assert_eq!(release(&kernel(0x200, b"\x1b[31m\0")), None);
        assert_eq!(release(&b"MZ".to_vec().into()), None);
    }
}
