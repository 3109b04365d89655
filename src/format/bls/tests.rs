use super::order::versions;
use super::*;
use std::cmp::Ordering;
use std::process::Command;

const ENTRY: &str = "# made by mkarchiso\ntitle    Arch (x86_64, UEFI)\nsort-key 01\n  linux    /arch/boot/vmlinuz  \ninitrd   /arch/boot/ucode.img\ninitrd arch/boot/initramfs.img $extra\noptions  quiet archisobasedir=arch\ngrub_class arch\r\noptions\t\"root=LABEL=x ro\"\n";

fn doc(s: &str) -> Doc {
    Doc::parse("01-a.conf", s.as_bytes()).expect("doc")
}

fn text(d: &Doc) -> String {
    String::from_utf8(d.to_bytes()).expect("text")
}

fn one(d: &Doc) -> BootEntry {
    d.entries(&TreePath::root()).remove(0)
}

#[test]
fn an_entry_is_read_as_systemd_boot_reads_it() {
    let e = one(&doc(ENTRY));
    assert_eq!((&e.id[..], &e.title[..]), ("01-a.conf", "Arch (x86_64, UEFI)"));
    let Payload::Linux { kernel, initrds, cmdline } = e.payload else { panic!("{e:?}") };
    assert_eq!(kernel.to_string(), "arch/boot/vmlinuz");
    assert_eq!(initrds[0].to_string(), "arch/boot/ucode.img");
    assert_eq!((initrds.len(), initrds[1].to_string()), (2, "arch/boot/initramfs.img".into()));
    assert_eq!(cmdline.as_str(), "quiet archisobasedir=arch root=LABEL=x ro");
    let base = "boot".parse().expect("path");
    let e = doc("linux /k\noptions initrd=\\d\\i a\n").entries(&base).remove(0);
    let Payload::Linux { kernel, initrds, cmdline } = e.payload else { panic!() };
    let got = (kernel.to_string(), initrds[0].to_string(), cmdline.to_string());
    assert_eq!(got, ("boot/k".into(), "boot/d/i".into(), "a".into()));
}

#[test]
fn what_starts_no_kernel_is_told() {
    let why = |t: &str| one(&doc(t)).payload;
    assert_eq!(why("efi /a.efi"), Payload::Chain { what: "/a.efi".into() });
    assert_eq!(why("uki /a.efi"), Payload::Chain { what: "unified kernel image /a.efi".into() });
    let opaque = |p| matches!(p, Payload::Opaque { .. });
    assert!(opaque(why("title x\nlinux\n")) && opaque(why("linux /a\nefi /b\n")));
    assert!(doc("efi /a").edit_cmdline("01-a.conf", |c| c.append("x")).is_err());
    assert!(doc("linux /a").edit_cmdline("02.conf", |c| c.append("x")).is_err());
}

#[test]
fn an_edit_touches_its_own_words_and_can_be_undone() {
    let mut d = doc(ENTRY);
    let id = "01-a.conf";
    assert!(d.edit_cmdline(id, |c| c.append("console=ttyS1,115200n8")).expect("add"));
    let now = text(&d);
    assert!(now.contains("\"root=LABEL=x ro console=ttyS1,115200n8\"\n"), "{now}");
    let undo = |c: &mut Cmdline| {
        c.remove("console");
        Ok(())
    };
    assert!(d.edit_cmdline(id, undo).expect("undo"));
    assert_eq!(text(&d), ENTRY);
    let set = |c: &mut Cmdline| {
        c.remove("quiet");
        c.set("root=live:x")
    };
    assert!(d.edit_cmdline(id, set).expect("set"));
    let now = text(&d);
    assert!(now.contains("options  archisobasedir=arch\n"), "{now}");
    assert!(now.contains("options\t\"root=live:x ro\"\n"), "{now}");
    assert!(!d.edit_cmdline(id, |_| Ok(())).expect("nothing"));
    assert!(
        !d.set_serial(&Serial {
            device: "ttyS".into(),
            unit: 1,
            baud: 115_200,
            parity: 'n',
            bits: 8
        })
        .expect("none")
    );
}

#[test]
fn options_come_and_go_with_their_line() {
    let id = "01-a.conf";
    let add = |c: &mut Cmdline| c.append("x");
    let take = |c: &mut Cmdline| {
        c.remove("x");
        Ok(())
    };
    for (bare, with) in [
        ("linux    /k\n", "linux    /k\noptions  x\n"),
        ("\tlinux\t/k\r\ntitle a", "\tlinux\t/k\r\n\toptions\tx\r\ntitle a"),
        ("linux /k", "linux /k\noptions x"),
        ("linux /k\noptions\n", "linux /k\noptions x\noptions\n"),
    ] {
        let mut d = doc(bare);
        assert!(d.edit_cmdline(id, add).expect("add"));
        assert_eq!(text(&d), with);
        assert!(d.edit_cmdline(id, take).expect("take"));
        assert_eq!(text(&d), bare);
    }
    let mut d = doc("options x\n\noptions x\nlinux /k\n");
    d.edit_cmdline(id, take).expect("take");
    assert_eq!(text(&d), "\nlinux /k\n");
    let mut d = doc("linux /k\noptions a=\"b\noptions c\"\n");
    assert!(d.edit_cmdline(id, add).is_err());
    let mut d = doc("linux /k\noptions \"a b\"=1 c\n");
    let e = d.edit_cmdline(id, |c| c.append("d=\"e f\"")).expect_err("quotes");
    assert!(e.to_string().contains("take the quotes off"), "{e}");
}

#[test]
fn the_loaders_settings_name_the_default() {
    let d = Doc::parse("loader.conf", b"timeout 15\ndefault arch-*.conf\nconsole-mode keep\n");
    let d = d.expect("doc");
    assert!(d.entries(&TreePath::root()).is_empty());
    assert_eq!((d.timeout(), d.console_mode().as_deref()), (Some(15), Some("keep")));
    let p = d.default_pattern().expect("default");
    assert!(matches(&p, "Arch-linux.conf") && !matches(&p, "01-arch-.conf"));
    assert!(matches("?[0-9]{*", "a1{b.conf") && !matches("{a,b}", "a"));
    let saved = Doc::parse("loader.conf", b"default @saved\n").expect("doc");
    assert_eq!(saved.default_pattern(), None);
    assert!(is_entry_name(b"A.CONF") && !is_entry_name(b"auto-x.conf") && !is_entry_name(b".conf"));
}

#[test]
fn the_menu_is_sorted_newest_first_and_the_spent_last() {
    let rank = |name: &str, text: &str| Doc::parse(name, text.as_bytes()).expect("doc").rank();
    let want = [
        ("z.conf", "sort-key a\nversion 6.10\n"),
        ("a.conf", "sort-key a\nversion 6.9\n"),
        ("b.conf", "sort-key a\nmachine-id 1\nversion 7\n"),
        ("y.conf", "sort-key b\n"),
        ("linux-6.12.conf", ""),
        ("linux-6.2+3-1.conf", ""),
        ("new+0-3.conf", "sort-key a\nversion 9\n"),
    ];
    let mut got: Vec<_> = want.iter().rev().map(|(n, t)| (rank(n, t), *n)).collect();
    got.sort();
    let got: Vec<&str> = got.into_iter().map(|(_, n)| n).collect();
    assert_eq!(got, want.map(|(n, _)| n));
}

/// Each is older than the next, or the same where `=` stands between.
#[test]
fn versions_are_compared_as_systemd_compares_them() {
    let chain = "122.1 < 123~rc1-1 < 123 < 123-a < 123-a.1 < 123-1 < 123-1.1 < 123^post1 < 123.a-1 \
                 < 123.1-1 < 123a-1 < 124-1 > 1_2_3.0 > 1.3.3 = 1.3.03 < 1.3.3+1";
    let words: Vec<&str> = chain.split_whitespace().collect();
    for w in words.windows(3).step_by(2) {
        let want = match w[1] {
            "<" => Ordering::Less,
            ">" => Ordering::Greater,
            _ => Ordering::Equal,
        };
        assert_eq!(versions(w[0], w[2]), want, "{w:?}");
        assert_eq!(versions(w[2], w[0]), want.reverse(), "{w:?}");
        let Ok(o) = Command::new("systemd-analyze").args(["compare-versions", w[0], w[2]]).output()
        else {
            continue;
        };
        let said = String::from_utf8_lossy(&o.stdout).into_owned();
        let theirs = said.split_whitespace().nth(1).unwrap_or_default().replace("==", "=");
        assert_eq!(theirs, w[1], "{said}");
    }
    assert_eq!(versions("", "~"), Ordering::Greater);
    assert_eq!(versions("11\u{3b1}", "11\u{3b2}"), Ordering::Equal);
}
