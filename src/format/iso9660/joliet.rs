//! Joliet: a supplementary volume descriptor with UTF-16 big-endian names. Source: Joliet
//! specification, 1995. Not supported: its multi-session rules.

/// True for a supplementary descriptor whose escape sequences name UCS-2 level 1, 2 or 3.
pub(super) fn is_joliet(descriptor: &[u8]) -> bool {
    matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E")
}

/// The name in an identifier, as UTF-8, without the version. `None` where it is no UTF-16.
pub(super) fn name(id: &[u8]) -> Option<Vec<u8>> {
    if !id.len().is_multiple_of(2) {
        return None;
    }
    let units = id.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]]));
    let mut s = String::with_capacity(id.len());
    for c in char::decode_utf16(units) {
        s.push(c.ok()?);
    }
    if let Some((stem, version)) = s.rsplit_once(';')
        && version.bytes().all(|b| b.is_ascii_digit())
    {
        s.truncate(stem.len());
    }
    Some(s.into_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_lose_their_version_and_must_be_utf16() {
        let be = |s: &str| s.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        assert_eq!(super::name(&be("grüße.txt;1")).as_deref(), Some("grüße.txt".as_bytes()));
        assert_eq!(super::name(&be("a;b")).as_deref(), Some(&b"a;b"[..]));
        assert_eq!(super::name(&[0xd8, 0x00]), None);
        assert_eq!(super::name(&[0, b'a', 0]), None);
    }
}
