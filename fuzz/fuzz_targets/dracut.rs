//! Any text as bond=: what parses is spelled and read back as it was.
#![no_main]

use isowright::format::dracut::{bond_word, parse_bond};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(bond) = parse_bond(text) else { return };
    assert_eq!(parse_bond(&bond_word(&bond)).expect("our own spelling"), bond);
});
