//! Any bytes as a FAT image: no panic, no endless chain.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(Some(tree)) = isowright::format::fat::open(&data.to_vec().into()) else { return };
    let total: u64 = tree.files().map(|(_, c)| c.len()).sum();
    // No cluster belongs to two files.
    assert!(total <= data.len() as u64);
});
