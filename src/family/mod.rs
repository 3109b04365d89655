//! DIALECTS of installers: how a [`Profile`] is said to each. Pure: a family sees facts about the
//! medium and the profile, and puts words into a [`Draft`]; it touches no file and knows no sink.

pub mod draft;

use crate::error::Result;
use crate::model::profile::Profile;
use draft::{Draft, Facts};
use serde::{Deserialize, Serialize};

/// Installer families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Red Hat's installer: EL, Fedora.
    Anaconda,
    /// Debian's text installer.
    DebianInstaller,
    /// Debian live (live-boot).
    LiveBoot,
    /// Any Linux whose installer we don't know: console only.
    Generic,
}

impl Family {
    /// Says the profile in this installer's words.
    ///
    /// # Errors
    /// `Unsupported` where the profile wants what this installer can't do and no substitute stands in.
    pub fn say(self, facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
        let _ = (facts, profile, draft);
        Ok(())
    }
}
