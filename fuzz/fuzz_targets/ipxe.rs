//! Any bytes: no panic; what `word` and `args` let pass is read back as it was.
#![no_main]

use isowright::format::ipxe::{Script, args, word};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Script::parse(&[b"#!ipxe\n", data].concat());
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(line) = args(text) else { return };
    let script = Script::parse(format!("#!ipxe\nkernel k {line}\n").as_bytes()).expect("script");
    assert_eq!(script.kernels().next().expect("kernel").args, text);
    if let Ok(w) = word(text) {
        assert_eq!(script.commands[0].words[2], w);
    }
});
