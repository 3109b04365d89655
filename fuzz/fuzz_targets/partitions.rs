//! Any bytes as a disk: the tables are read or told to be damaged.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(p) = isowright::format::iso9660::hybrid::read(&data.to_vec().into()) {
        p.spans();
    }
});
