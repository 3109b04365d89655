//! Architectures and firmwares.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a machine starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
        })
    }
}

impl std::str::FromStr for Firmware {
    type Err = crate::Error;
    fn from_str(s: &str) -> crate::Result<Self> {
        match s {
            "bios" => Ok(Firmware::Bios),
            "uefi" | "efi" => Ok(Firmware::Uefi),
            _ => Err(crate::Error::usage(format!("\"{s}\" is no firmware"))
                .hint("bios or uefi, or both with a comma between")),
        }
    }
}

/// Processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86: `x86_64`, `amd64`.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86: `i386`, `i686`.
    I386,
    /// 64-bit Arm: `aarch64`, `arm64`.
    Aarch64,
    /// `ppc64le`, `ppc64el`.
    Ppc64le,
    /// `s390x`.
    S390x,
    /// `riscv64`.
    Riscv64,
}

impl Arch {
    /// Takes any vendor's spelling; `None` for one that is not known.
    pub fn from_vendor(s: &str) -> Option<Self> {
        Some(match s.to_ascii_lowercase().as_str() {
            "x86_64" | "amd64" | "x64" | "x86-64" => Arch::X86_64,
            "i386" | "i486" | "i586" | "i686" | "x86" | "ia32" => Arch::I386,
            "aarch64" | "arm64" | "aa64" => Arch::Aarch64,
            // "p64el" is what Debian's labels have room for.
            "ppc64le" | "ppc64el" | "p64el" => Arch::Ppc64le,
            "s390x" => Arch::S390x,
            // Ubuntu's labels are cut to 32 characters.
            "riscv64" | "riscv" => Arch::Riscv64,
            _ => return None,
        })
    }

    /// Debian's spelling.
    pub fn debian(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::Aarch64 => "arm64",
            Arch::Ppc64le => "ppc64el",
            other => other.kernel(),
        }
    }

    /// The kernel's and Red Hat's spelling.
    pub fn kernel(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::I386 => "i386",
            Arch::Aarch64 => "aarch64",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
            Arch::Riscv64 => "riscv64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel())
    }
}
