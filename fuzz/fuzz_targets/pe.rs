//! Any bytes as an EFI program: no panic, no endless digest; a certificate issues itself.
#![no_main]

use isowright::format::pe::{Certificate, Pe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(c) = Certificate::parse(data) {
        assert_eq!(c.issued_by(&c), Some(true));
    }
    let Ok(Some(pe)) = Pe::read(&data.to_vec().into()) else { return };
    let _ = (pe.sbat(), pe.vendor_certificates(), pe.digest(&|_| true));
    for s in pe.signatures(&|_| true).unwrap_or_default() {
        assert_eq!(s.leads_to(&s.signer), Some(true));
    }
});
