//! What to build for: what the operator says beside the profile.

use super::overlay;
use super::vouched::Vouched;
use crate::content::Content;
use crate::family::draft::Route;
use crate::model::hosts::Hosts;
use crate::model::profile::AnswerKind;
use std::collections::BTreeMap;

/// How much of the medium to host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// What the family needs.
    #[default]
    AsNeeded,
    /// All of it.
    FullTree,
    /// Kernel, initrd and configuration only: the rest is hosted elsewhere.
    BootOnly,
}

/// What to build for.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// What the machine is started from.
    pub route: Route,
    /// How much of the medium.
    pub extent: Extent,
    /// URL of the tree, where it is known beforehand; with a trailing slash.
    pub base_url: Option<String>,
    /// An address that answers of ours fetch when an installation is through.
    pub done: Option<String>,
    /// SOURCE_DATE_EPOCH.
    pub source_date_epoch: Option<i64>,
    /// Kernel and initrd that stand in for the medium's own (Debian's netboot pair).
    pub netboot: Option<NetbootPair>,
    /// The operator's own answer files by language, name and bytes each.
    pub own_answers: BTreeMap<AnswerKind, (String, Vec<u8>)>,
    /// The operator's own answer file for whatever installer it is: over those by language.
    pub answers: Option<(String, Vec<u8>)>,
    /// The operator's folders that go into the initrd.
    pub folders: Vec<overlay::Folder>,
    /// Id of the boot entry to start from, as `inspect` lists it; the default one otherwise.
    pub entry: Option<String>,
    /// The machines, where the tree serves some that are known by their MAC addresses and no others.
    pub hosts: Option<Hosts>,
    /// The script checks the signatures of kernel and initrd, which lie beside them.
    pub imgverify: bool,
    /// What the medium was held against, where something was demanded of it.
    pub vouched: Option<Vouched>,
}

/// A kernel and an initrd from outside the medium.
#[derive(Debug, Clone)]
pub struct NetbootPair {
    /// Kernel: file name and content.
    pub kernel: (String, Content),
    /// Initrd: file name and content.
    pub initrd: (String, Content),
}
