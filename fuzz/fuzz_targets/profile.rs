//! Any text as a profile: what passes is written and read back as it was.
#![no_main]

use isowright::model::profile::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(profile) = Profile::from_toml(text, "fuzz") else { return };
    let again = toml::to_string(&profile).expect("a profile is TOML");
    assert_eq!(Profile::from_toml(&again, "again").expect("our own spelling"), profile);
});
