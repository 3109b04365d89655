//! Any text as hosts.toml and as a table of hosts: what passes gives a profile for each, or says why not.
#![no_main]

use isowright::model::hosts::Hosts;
use isowright::model::profile::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let base = Profile::metal().expect("metal");
    let mut table = Hosts::default();
    let csv = table.add_csv(text, "fuzz").map(|()| table);
    let toml = Hosts::from_toml(text, "fuzz").map(|(hosts, _)| hosts);
    for hosts in [csv, toml].into_iter().flatten().filter(|h| h.check().is_ok()) {
        for h in &hosts.hosts {
            assert!(!h.name.contains('/') && !h.name.starts_with('.'), "it is a file's name");
            let _ = hosts.profile(h, &base);
        }
    }
});
