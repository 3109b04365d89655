//! What a medium is, from facts, each with its evidence.

use crate::model::arch::Arch;
use serde::Serialize;

/// A value and how we know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Where it was read: `.treeinfo [release] version`.
    pub evidence: String,
    /// True where it was concluded from something weak (a label), not read from a statement.
    pub assumed: bool,
}

/// What a medium is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Distribution as the medium names it: `AlmaLinux`, `Debian GNU/Linux`.
    pub distro: Option<Fact<String>>,
    /// Version as the medium says it: `9.4`.
    pub version: Option<Fact<String>>,
    /// Release code name, lower case.
    pub codename: Option<Fact<String>>,
    /// Variant: `dvd`, `minimal`, `boot`, `netinst`, `live`.
    pub variant: Option<Fact<String>>,
    /// Architecture.
    pub arch: Option<Fact<Arch>>,
    /// Volume id.
    pub volume_id: String,
}
