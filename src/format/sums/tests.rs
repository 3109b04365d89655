use super::*;
use crate::content::Content;
use proptest::prelude::*;

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const OTHER: &str = "0cc175b9c0f1b6a831c399e269772661";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn p(s: &str) -> TreePath {
    s.parse().expect("path")
}

fn doc(at: &str, text: &str) -> Doc {
    Doc::parse(&p(at), text.as_bytes()).expect("doc")
}

fn md5(hex: &str) -> Sum {
    Sum { algorithm: Algorithm::Md5, hex: hex.into() }
}

fn listed(d: &Doc) -> Vec<String> {
    d.entries().map(|e| format!("{} {}", e.sum.algorithm.name(), e.path)).collect()
}

#[test]
fn each_vendors_lines_are_entries() {
    let text = format!(
        "# comment\n{MD5}  ./boot/grub/grub.cfg\r\n{MD5} *EFI/x y\nMD5 (a (1).txt) = {MD5}\n\
         SHA256 (b) = {SHA256}\nHASH SHA256 {SHA256}  boot/x86_64/linux\nMETA SHA256 {SHA256} c\n\
         \\{MD5}  back\\\\slash\n{MD5}\n{MD5}  \nMD5 () = {MD5}\nDEFAULTBASE i586\n{MD5} one-space\n"
    );
    let d = doc("md5sum.txt", &text);
    assert_eq!(
        listed(&d),
        [
            "MD5 boot/grub/grub.cfg",
            "MD5 EFI/x y",
            "MD5 a (1).txt",
            "SHA256 b",
            "SHA256 boot/x86_64/linux",
            "SHA256 c",
            "MD5 back\\slash",
        ]
    );
    assert_eq!(d.to_bytes(), text.as_bytes());
    let arch = doc("arch/x86_64/airootfs.sha512", &format!("{}  airootfs.sfs\n", "0".repeat(128)));
    assert_eq!(listed(&arch), ["SHA512 arch/x86_64/airootfs.sfs"]);
}

#[test]
fn a_treeinfo_keeps_all_but_the_sums_of_what_it_lists() {
    let text = format!(
        "[checksums]\nimages/efiboot.img = sha256:{SHA256}\nimages/a = sha256:12\n\n[general]\n\
         version = 9\nurl = http:{SHA256}\n; md5:{MD5}\n"
    );
    let mut d = doc(".treeinfo", &text);
    assert_eq!(listed(&d), ["SHA256 images/efiboot.img"]);
    let new = Sum { algorithm: Algorithm::Sha256, hex: "a".repeat(64) };
    assert!(d.set(&p("images/efiboot.img"), &new));
    let want = text.replacen(SHA256, &"a".repeat(64), 1);
    assert_eq!(d.to_bytes(), want.as_bytes());
    d.add(&p("overlay.img"), &new).expect("nothing to do");
    assert_eq!(d.to_bytes(), want.as_bytes());
    // Elsewhere such a line is none.
    assert!(listed(&doc("md5sum.txt", &text)).is_empty());
}

#[test]
fn names_of_such_files_and_of_their_signatures() {
    let all = [
        "md5sum.txt",
        "md5sums",
        "SHA256SUMS",
        "sha256sum.txt",
        "CHECKSUMS",
        "content",
        ".checksum",
        "arch/x86_64/airootfs.sha512",
        ".checksum.md5",
        "images/x.md5sum",
        "MD5SUM",
        "x.checksum",
    ];
    for name in all {
        assert!(is_name(&p(name)), "{name}");
    }
    for name in ["README.txt", "md5sum", "my.content", "content.xml", "md5.c", "sha256sumsofar"] {
        assert_eq!(is_name(&p(name)), name == "md5sum", "{name}");
    }
    assert!(signature_names(&p("CHECKSUMS")).contains(&p("CHECKSUMS.asc")));
    assert!(doc("a", "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n").is_signed());
    assert!(!doc("a", "").is_signed());
}

#[test]
fn a_sum_is_set_in_its_case_and_place() {
    let upper = MD5.to_ascii_uppercase();
    let text = format!("{upper}  a\r\nMD5 (./a) = {MD5}\n{MD5}  a.b\n{SHA256}  a\n{MD5}  x/a");
    let mut d = doc("md5sum.txt", &text);
    assert_eq!(d.algorithms(&p("a")), [Algorithm::Md5, Algorithm::Md5, Algorithm::Sha256]);
    assert!(!d.set(&p("a"), &md5(MD5)));
    assert!(d.set(&p("a"), &md5(OTHER)));
    let want = text.replacen(&upper, &OTHER.to_ascii_uppercase(), 1);
    let want = want.replacen(&format!("./a) = {MD5}"), &format!("./a) = {OTHER}"), 1);
    assert_eq!(String::from_utf8(d.to_bytes()).expect("text"), want);
    assert!(d.set(&p("a"), &md5(MD5)));
    assert_eq!(d.to_bytes(), text.as_bytes());
    assert!(!d.set(&p("b"), &md5(OTHER)));
}

#[test]
fn lines_are_added_as_the_others_are_and_go_again() {
    for (text, line) in [
        ("".into(), format!("{OTHER}  ./d/new\n")),
        (format!("{MD5}  ./a\n"), format!("{OTHER}  ./d/new\n")),
        (format!("{MD5} *a\r\n"), format!("{OTHER} *d/new\r\n")),
        (format!("MD5 (a) = {MD5}\n# end\n"), format!("MD5 (d/new) = {OTHER}\n")),
        (format!("HASH MD5 {MD5}  a"), format!("\nHASH MD5 {OTHER}  d/new")),
    ] {
        let mut d = doc("sums", &text);
        d.add(&p("d/new"), &md5(OTHER)).expect("add");
        assert_eq!(String::from_utf8(d.to_bytes()).expect("text"), format!("{text}{line}"));
        assert!(d.remove(&p("d/new")));
        assert_eq!(d.to_bytes(), text.as_bytes());
        assert!(!d.remove(&p("d/new")));
    }
    let mut inside = doc("arch/sums", "");
    assert!(inside.add(&p("boot/x"), &md5(MD5)).is_err());
    assert!(inside.to_bytes().is_empty());
    inside.add(&p("arch/back\\slash"), &md5(MD5)).expect("add");
    assert_eq!(inside.to_bytes(), format!("\\{MD5}  ./back\\\\slash\n").as_bytes());
}

#[test]
fn sums_are_what_they_are_called() {
    let empty = Content::empty();
    for (a, _, digits) in ALGORITHMS {
        let sum = a.sum(&empty, &|_| true).expect("sum");
        assert_eq!((sum.hex.len(), a.digits()), (digits, digits));
    }
    assert_eq!(Algorithm::Md5.sum(&empty, &|_| true).expect("sum").hex(), MD5);
    assert_eq!(Algorithm::Sha256.sum(&empty, &|_| true).expect("sum").hex(), SHA256);
    assert!(Doc::parse(&p("a"), b"a\0").is_err());
    assert!(Doc::parse(&p("a"), &vec![b'\n'; MAX_LEN + 1]).is_err());
}

/// Lines of all styles, odd ones among them, with any line ends.
fn texts() -> impl Strategy<Value = String> {
    let hex = prop_oneof!["[0-9a-f]{32}", "[0-9A-F]{32}", "[0-9a-f]{40}", "[0-9a-f]{64}"];
    let line = (hex, "[ a-c./\\\\()*]{0,8}", 0..6u8).prop_map(|(hex, name, style)| match style {
        0 => format!("{hex}  {name}"),
        1 => format!("{hex} *{name}"),
        2 => format!("MD5 ({name}) = {hex}"),
        3 => format!("HASH MD5 {hex} {name}"),
        4 => format!("\\{hex}  {name}"),
        _ => name,
    });
    let ended = (line, prop_oneof!["\n", "\r\n", "\n\n"]).prop_map(|(l, e)| l + &e);
    (prop::collection::vec(ended, 0..12), "[ab]?|[0-9a-f]{32}  [ab/]{1,2}")
        .prop_map(|(v, last)| v.concat() + &last)
}

proptest! {
    #[test]
    fn edits_are_undone_and_touch_their_lines_only(text in texts(), pick in 0usize..12) {
        let mut d = doc("d/sums", &text);
        prop_assert_eq!(d.to_bytes(), text.as_bytes());
        let entries: Vec<Entry> = d.entries().collect();
        if let Some(e) = entries.get(pick) {
            let alike = entries.iter().filter(|o| o.path == e.path && o.sum.algorithm == e.sum.algorithm);
            let once = alike.count() == 1;
            let zeros = Sum { algorithm: e.sum.algorithm, hex: "0".repeat(e.sum.hex.len()) };
            let changed = d.set(&e.path, &zeros);
            prop_assert_eq!(d.to_bytes().len(), text.len());
            prop_assert_eq!(d.entries().count(), entries.len());
            prop_assert!(!changed || !d.set(&e.path, &zeros));
            if once && changed {
                d.set(&e.path, &e.sum);
                prop_assert!(d.to_bytes().eq_ignore_ascii_case(text.as_bytes()));
            }
            let _ = d.remove(&e.path);
            prop_assert!(d.entries().all(|o| o.path != e.path));
        }
        let mut d = doc("d/sums", &text);
        let new = p("d/new");
        d.add(&new, &md5(MD5)).expect("a plain name");
        prop_assert_eq!(d.algorithms(&new), [Algorithm::Md5]);
        prop_assert!(d.remove(&new));
        prop_assert_eq!(d.to_bytes(), text.as_bytes());
    }

    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(d) = Doc::parse(&p("x"), &bytes) {
            prop_assert_eq!(d.to_bytes(), bytes);
            let _ = d.entries().count();
        }
    }
}
