use super::*;
use crate::model::boot::Payload;
use crate::model::cmdline::Cmdline;

const SCRIPT: &str = r#"set default="1>0"
if loadfont $prefix/unicode.pf2; then
  terminal_output gfxterm
fi
k=/boot
menuentry 'Try it; now' --class os --id try {
	linux	($root)$k/vmlinuz  ds=nocloud\;s="/cd rom/" \
	      quiet ---
	initrd	/a /b
}
submenu "More" {
  menuentry --hotkey=x 'In' $menuentry_id_option 'in-1' { linuxefi /v $extra "a b=c" ; initrdefi /i }
  menuentry Out { exit 1; }
}
if [ "$grub_platform" = "efi" ]; then
menuentry 'uefi' { chainloader (hd0)+1 }
else
menuentry 'bios' { linux16 $nowhere/memtest }
fi
# done }
"#;

fn doc(s: &str) -> Doc {
    Doc::parse(s.as_bytes()).expect("doc")
}

fn base() -> TreePath {
    "boot/grub".parse().expect("path")
}

#[test]
fn entries_as_grub_numbers_them() {
    let d = doc(SCRIPT);
    let e = d.entries(&base());
    let ids: Vec<_> = e.iter().map(|e| (&e.id[..], &e.title[..], e.default)).collect();
    let want = [
        ("0", "Try it; now", false),
        ("1>0", "In", true),
        ("1>1", "Out", false),
        ("2", "uefi", false),
        ("3", "bios", false),
    ];
    assert_eq!(ids, want);
    let Payload::Linux { kernel, initrds, cmdline } = &e[0].payload else { panic!("{e:?}") };
    assert_eq!(kernel.to_string(), "boot/vmlinuz");
    assert_eq!(initrds.len(), 2);
    assert_eq!(cmdline.as_str(), "ds=\"nocloud;s=/cd rom/\" quiet ---");
    let Payload::Linux { cmdline, .. } = &e[1].payload else { panic!("{e:?}") };
    assert_eq!(cmdline.as_str(), "$extra \"a b=c\"");
    assert_eq!(e[2].payload, Payload::Opaque { why: "exit".into() });
    assert!(matches!(&e[4].payload, Payload::Opaque { why } if why.contains("$nowhere")), "{e:?}");
    assert_eq!(d.firmware("0"), None);
    assert_eq!(d.firmware("1>0"), Some(Firmware::Uefi));
    assert_eq!(d.firmware("2"), Some(Firmware::Uefi));
    assert_eq!(d.firmware("3"), Some(Firmware::Bios));
}

#[test]
fn an_edit_touches_its_own_words_and_can_be_undone() {
    let mut d = doc(SCRIPT);
    let spoil = |c: &mut Cmdline| {
        c.append("ds=a;b")?;
        c.append("x=$y z")?;
        c.append_for_target("console=ttyS1,115200n8")
    };
    assert!(d.edit_cmdline("0", spoil).expect("edit"));
    let now = String::from_utf8(d.to_bytes()).expect("text");
    let want = "s=\"/cd rom/\" \\\n\t      quiet ds=a\\;b 'x=$y z' --- console=ttyS1,115200n8\n";
    assert!(now.contains(want), "{now}");
    let Payload::Linux { cmdline, .. } = &d.entries(&base())[0].payload else { panic!() };
    assert!(cmdline.as_str().contains("ds=a;b x=\"$y z\" --- console"), "{cmdline}");
    let mend = |c: &mut Cmdline| {
        c.remove_where(|w| w.raw == "ds=a;b" || w.key == "x" || w.key == "console");
        Ok(())
    };
    assert!(d.edit_cmdline("0", mend).expect("undo"));
    assert_eq!(String::from_utf8(d.to_bytes()).expect("text"), SCRIPT);
    assert!(!d.edit_cmdline("0", |_| Ok(())).expect("nothing"));
    assert!(d.edit_cmdline("9", mend).is_err() && d.edit_cmdline("2", mend).is_err());
    let e = d.edit_cmdline("0", |c| c.append("a=b\"c d\"")).expect_err("quotes inside");
    assert!(e.to_string().contains("backslash"), "{e}");
}

#[test]
fn a_replaced_word_keeps_its_place_and_spacing() {
    let mut d = doc("linux /v   a=1   b\n");
    d.edit_cmdline(DIRECT, |c| c.set("a=2")).expect("edit");
    assert_eq!(d.to_bytes(), b"linux /v   a=2   b\n");
    d.edit_cmdline(DIRECT, |c| {
        c.remove("a");
        c.append("c")
    })
    .expect("edit");
    assert_eq!(d.to_bytes(), b"linux /v   b c\n");
}

#[test]
fn the_serial_block_goes_without_a_trace() {
    let port = Serial { device: "ttyS".into(), unit: 1, baud: 115_200, parity: 'n', bits: 8 };
    for text in [SCRIPT, "", "set x=1", "terminal_output gfxterm", "a\r\nterminal_input x\r\n"] {
        let mut d = doc(text);
        assert!(d.set_serial(&port).expect("set"));
        assert!(!d.set_serial(&port).expect("again"), "a second time changes nothing");
        let now = String::from_utf8(d.to_bytes()).expect("text");
        let want = "serial --unit=1 --speed=115200 --word=8 --parity=no --stop=1";
        assert!(now.lines().nth(1) == Some(want), "{now}");
        let blocks = if text.contains("terminal") { 2 } else { 1 };
        assert_eq!(now.matches("terminal_output serial console").count(), blocks, "{now}");
        assert!(d.remove_serial().expect("remove"));
        assert_eq!(String::from_utf8(d.to_bytes()).expect("text"), text);
    }
    let far = Serial { device: "ttyAMA".into(), ..port };
    assert!(!doc(SCRIPT).set_serial(&far).expect("far"));
}

#[test]
fn what_does_not_end_is_told_with_its_line() {
    for (text, want) in [
        ("a\nmenuentry 'x {\n", "line 2: unterminated quote"),
        ("linux /k\\", "line 1: unterminated escape"),
        ("menuentry x {\n", "line 1: { without }"),
        ("\n\nif true; then\n", "line 3: if without fi"),
        ("}\n", "line 1: } without {"),
        ("fi\n", "line 1: fi without if"),
        ("while true; do\n", "line 1: loop without done"),
        ("menuentry x { if true; then }\n", "line 1: if or loop not ended before }"),
    ] {
        let e = Doc::parse(text.as_bytes()).expect_err(text);
        assert_eq!(e.to_string(), want);
    }
    let deep = "submenu x {\n".repeat(100_000);
    assert!(Doc::parse(deep.as_bytes()).expect_err("deep").to_string().contains("64 deep"));
}

#[test]
fn default_is_found_by_position_title_and_id() {
    let menu = "menuentry A --id a { linux /a }\nsubmenu S { menuentry B --id b { linux /b } }\n";
    for (set, want) in [
        ("", "0"),
        ("default=1", "1>0"),
        ("set default='S>B'", "1>0"),
        ("set default=a", "0"),
        ("set default=$saved_entry", "0"),
        ("set default=7", "0"),
    ] {
        let d = doc(&format!("{set}\n{menu}"));
        let e = d.entries(&base());
        let got: Vec<_> = e.iter().filter(|e| e.default).map(|e| e.id.clone()).collect();
        assert_eq!(got, [want], "{set}");
    }
    let e = doc("if [ -f x ]; then\nmenuentry A { linux /a }\nfi\nmenuentry B { linux /b }")
        .entries(&base());
    assert!(!e[0].default && e[1].default);
}

#[test]
fn requests_and_devices() {
    let d = doc(
        "source $prefix/x.cfg\nconfigfile (cd0)/y.cfg\nmenuentry a { configfile ${nope}/z }\nmenuentry b { loopback loop /x.iso; linux (loop)/casper/vmlinuz }",
    );
    let r = d.requests(&base());
    let p: Vec<_> = r.iter().map(|r| r.path.as_ref().map(|p| p.to_string())).collect();
    assert_eq!(p, [Some("boot/grub/x.cfg".into()), Some("y.cfg".into()), None]);
    assert!(r[2].in_entry && r[2].written == "${nope}/z");
    let e = d.entries(&base());
    assert_eq!(e[1].payload, Payload::Opaque { why: "(loop) is not the medium".into() });
}

#[test]
fn doubling_variables_stay_small() {
    let text = format!("a=xxxxxxxx\n{}linux /k $a\n", "a=$a$a\n".repeat(200));
    assert_eq!(doc(&text).entries(&base()).len(), 1);
}

#[test]
fn quoting_is_read_back() {
    for t in ["a b", "it's", "a;b", "$x", "{", "#c", "", "\\", "a'b c\"", "ä=ö", "*", "a\nb'"] {
        let q = quote(t);
        let w = match lexer::Lexer::new(q.as_bytes()).next().expect("token") {
            Some((lexer::Token::Word(w), _)) => w,
            other => panic!("{t}: {other:?}"),
        };
        assert_eq!((w.plain().as_deref(), w.span.end), (Some(t), q.len()), "{q}");
    }
}
