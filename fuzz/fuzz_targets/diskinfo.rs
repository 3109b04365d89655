//! Any bytes as a .disk/info and as a .discinfo: no panic.
#![no_main]

use isowright::format::diskinfo::{parse_discinfo, parse_disk_info};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = parse_disk_info(data);
    if let Some(info) = parse_discinfo(data) {
        info.name_and_version();
    }
});
