use super::*;
use proptest::prelude::*;

/// A PE32+ image of these sections with room for a signature, and an empty certificate table.
fn image(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut b = vec![0; 512];
    b[..2].copy_from_slice(b"MZ");
    b[0x3c] = 64;
    b[64..70].copy_from_slice(b"PE\0\0\x64\x86");
    b[70] = sections.len() as u8;
    b[84] = 240;
    b[88..90].copy_from_slice(&[0x0b, 0x02]);
    b[88 + 61] = 2;
    b[88 + 108] = 16;
    for (i, (name, bytes)) in sections.iter().enumerate() {
        let at = b.len() as u32;
        let s = &mut b[328 + 40 * i..][..40];
        s[..name.len()].copy_from_slice(name.as_bytes());
        s[8..12].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        s[16..20].copy_from_slice(&512u32.to_le_bytes());
        s[20..24].copy_from_slice(&at.to_le_bytes());
        b.extend_from_slice(bytes);
        b.resize(at as usize + 512, 0);
    }
    b
}

fn read(b: &[u8]) -> Pe {
    Pe::read(&b.to_vec().into()).expect("read").expect("an image")
}

#[test]
fn headers_tell_arch_and_sbat() {
    let sbat = b"sbat,1,SBAT Version,sbat,1,https://x\ngrub,4,FSF,grub,2.06,x\r\nodd\nx,y,z\n\0\0";
    let pe = read(&image(&[(".text", b"x"), (".sbat", sbat)]));
    assert_eq!(pe.arch(), Some(Arch::X86_64));
    let told = pe.sbat().expect("sbat");
    let told: Vec<_> = told.iter().map(|s| (s.component.as_str(), s.generation)).collect();
    assert_eq!(told, [("sbat", 1), ("grub", 4)]);
    assert!(!pe.is_shim());
    assert!(pe.signatures(&|_| true).expect("signatures").is_empty());
    assert!(Pe::read(&vec![0; 512].into()).expect("read").is_none());
}

#[test]
fn the_digest_leaves_out_the_checksum_and_counts_the_rest() {
    let b = image(&[(".text", b"x"), (".data", b"y")]);
    let digest = |b: &[u8]| read(b).digest(&|_| true);
    let whole = digest(&b).expect("digest");
    for (at, free) in [(88 + 64, true), (88 + 68, false), (40, false), (512, false), (1400, false)]
    {
        let mut m = b.clone();
        m[at] ^= 1;
        assert_eq!(digest(&m).expect("digest") == whole, free, "{at}");
    }
    // Sections on top of each other would be hashed for ever.
    let mut over = b.clone();
    over[328 + 40 + 20..][..4].copy_from_slice(&512u32.to_le_bytes());
    assert!(digest(&over).is_err());
    let stop = read(&b).digest(&|_| false).expect_err("stopped");
    assert_eq!(stop.kind(), crate::ErrorKind::Interrupted);
}

#[test]
fn a_vendor_certificate_that_is_none_is_corrupt() {
    let section = |len: u32, at: u32, bytes: &[u8]| {
        let words = [len, 0, at, 0].map(u32::to_le_bytes).concat();
        [&words[..], bytes].concat()
    };
    let named = |content: &[u8]| {
        let mut b = image(&[("/4", content)]);
        // The string table, behind no symbols.
        let at = b.len() as u32;
        b[64 + 12..64 + 16].copy_from_slice(&at.to_le_bytes());
        b.extend(b"\x11\0\0\0.vendor_cert\0");
        read(&b)
    };
    let none = named(&section(0, 16, b""));
    assert!(none.is_shim() && none.vendor_certificates().expect("none").is_empty());
    for bad in [section(4, 16, b"\x30\x02\x05\x00"), section(400, 16, b"\x30"), vec![0; 8]] {
        assert!(named(&bad).vendor_certificates().is_err(), "{bad:?}");
    }
}

#[test]
fn signature_lists_give_their_certificates() {
    let mut list = X509.to_vec();
    list.extend([28 + 2 * 20, 0, 20].map(u32::to_le_bytes).concat());
    list.extend([&[0; 16][..], b"one!", &[0; 16], b"two!"].concat());
    assert_eq!(signature_lists(&list), [b"one!", b"two!"]);
    let hashes = [&[7; 16][..], &list[16..], &list].concat();
    assert_eq!(signature_lists(&hashes), [b"one!", b"two!"]);
    for cut in 0..list.len() {
        assert!(signature_lists(&list[..cut]).is_empty());
    }
    for len in [0u32, 27, 28] {
        list[16..20].copy_from_slice(&len.to_le_bytes());
        assert!(signature_lists(&list).is_empty());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(at in 0usize..1536, new in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut b = image(&[(".sbat", b"a,1"), ("/4", b"\x04\0\0\0"), (".text", b"x")]);
        let end = (at + new.len()).min(b.len());
        b[at..end].copy_from_slice(&new[..end - at]);
        if let Ok(Some(pe)) = Pe::read(&b.into()) {
            let _ = (pe.sbat(), pe.vendor_certificates(), pe.signatures(&|_| true), pe.digest(&|_| true));
        }
        let _ = (Certificate::parse(&new), Signature::parse(&new), signature_lists(&new));
    }
}
