//! Any bytes as an initrd: no panic, and no bomb that takes memory or time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Deflate makes a thousand from one: more would measure zlib.
    if data.len() > 64 << 10 {
        return;
    }
    let Ok(tree) = isowright::format::initrd::nodes(&data.to_vec().into()) else { return };
    for (path, node) in tree.iter() {
        assert!(!path.is_root());
        assert!(node.mode <= 0o7777);
    }
});
