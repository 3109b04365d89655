//! Any bytes as an initrd that is made anew: what comes out is read as what went in, and is the same
//! when it is made anew once more.
#![no_main]

use isowright::content::Content;
use isowright::format::compress::Codec;
use isowright::format::initrd::{Inside, Options, repack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Deflate makes a thousand from one: more would measure zlib.
    if data.len() > 64 << 10 {
        return;
    }
    let options = Options { codec: Some(Codec::None), threads: 1, ..Options::default() };
    let again = |c: &Content| repack(c, &options, &mut || Ok(Vec::new()), &|_| true);
    let whole: Content = data.to_vec().into();
    let Ok((new, _)) = again(&whole) else { return };
    let new: Content = new.into();
    let (Ok(was), Ok(is)) = (Inside::of(&whole), Inside::of(&new)) else {
        panic!("what was repacked can't be read");
    };
    assert_eq!(was.tree.len(), is.tree.len());
    for ((p, a), (q, b)) in was.tree.iter().zip(is.tree.iter()) {
        assert_eq!((p, a.mode, a.size()), (q, b.mode, b.size()));
    }
    let (twice, _) = again(&new).expect("once more");
    assert_eq!(twice, new.read_all(1 << 31).expect("bytes"));
});
