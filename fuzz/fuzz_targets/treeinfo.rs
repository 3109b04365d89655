//! Any bytes as a .treeinfo: no panic, and every section that is listed is there.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(info) = isowright::format::treeinfo::TreeInfo::parse(data) else { return };
    for s in info.sections() {
        info.get(s, "fuzz");
    }
    let _ = (info.family(), info.version(), info.arch(), info.variant(), info.main_image());
    let _ = (info.boot_files("x86_64"), info.repositories());
});
