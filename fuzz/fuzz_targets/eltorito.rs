//! A boot catalog at block 1, with boot images wherever it says.
#![no_main]

use isowright::content::Content;
use isowright::format::iso9660::eltorito::{self, Around};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let image = Content::concat([Content::zeros(2048), data.to_vec().into()]);
    let around = Around { file_at: &|_| None, spans: &[] };
    let Ok(Some(c)) = eltorito::read(&image, 1, 0, &around, &mut Vec::new()) else { return };
    for e in &c.entries {
        assert_eq!(e.size, e.content.len());
    }
});
