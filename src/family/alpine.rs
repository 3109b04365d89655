//! Alpine Linux.

use super::draft::{Draft, Facts};
use crate::error::Result;
use crate::model::profile::Profile;

pub(super) fn say(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    super::generic::say(facts, profile, draft)
}
