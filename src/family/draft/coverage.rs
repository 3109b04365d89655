//! How far console and bond reach, layer by layer.

use serde::{Deserialize, Serialize};

/// The layers that a parameter must reach, from power-on to the installed system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// iPXE, and the GRUB of the UEFI route; on the medium, its own.
    BootLoader,
    /// The installer's kernel.
    Kernel,
    /// The installer's user space.
    Installer,
    /// The boot loader on the installed disk.
    InstalledBootLoader,
    /// The installed system.
    InstalledSystem,
}

impl Layer {
    /// All, from power-on on.
    pub const ALL: [Layer; 5] = [
        Layer::BootLoader,
        Layer::Kernel,
        Layer::Installer,
        Layer::InstalledBootLoader,
        Layer::InstalledSystem,
    ];
}

/// What is watched through the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// The serial console.
    Console,
    /// The LACP bond.
    Bond,
}

/// How far an aspect reaches a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Cover {
    /// Set, and by what words.
    Set {
        /// By what.
        how: String,
    },
    /// Nothing to set here.
    NotNeeded {
        /// Why.
        why: String,
    },
    /// Can't be set here.
    Impossible {
        /// Why.
        why: String,
        /// What stands in: LACP fallback on the switch, a single port.
        instead: String,
    },
}

/// A row of the coverage table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Layer.
    pub layer: Layer,
    /// Aspect.
    pub aspect: Aspect,
    /// How far.
    #[serde(flatten)]
    pub cover: Cover,
}
