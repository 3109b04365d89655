//! Any bytes as a whole image: no panic, and every file that is listed can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(m) = isowright::media::open("fuzz", data.to_vec().into()) else { return };
    let inside = m.fat_images.iter().flat_map(|f| f.tree.files());
    for (path, content) in m.tree.files().chain(inside) {
        // Hard links are many names for the same bytes: a little of each is enough.
        let head = content.slice(0..content.len().min(64)).expect("in the image");
        head.read_all(64).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
});
