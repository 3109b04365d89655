use super::*;

const MENU: &str = "default vesamenu.c32\r\nserial 0 9600\r\ntimeout 600\r\nlabel a\r\n  menu label ^Install\r\n  kernel vmlinuz\r\n  append initrd=i.img,j.img quiet \r\nlabel b\r\n  menu default\r\n  text help\r\nlabel no\r\n  endtext\r\n  linux /x/vmlinuz\r\nmenu begin s\r\nmenu label sub\r\nlabel a\r\n  localboot 0xffff\r\nmenu end\r\n";

fn doc(s: &str) -> Doc {
    Doc::parse(s.as_bytes()).expect("doc")
}

fn base() -> TreePath {
    "isolinux".parse().expect("path")
}

#[test]
fn entries_have_paths_of_the_medium() {
    let e = doc(MENU).entries(&base());
    let ids: Vec<_> = e.iter().map(|e| (&e.id[..], &e.title[..], e.default)).collect();
    assert_eq!(ids, [("a", "Install", false), ("b", "b", true), ("a#2", "a", false)]);
    let Payload::Linux { kernel, initrds, cmdline } = &e[0].payload else { panic!("{e:?}") };
    assert_eq!(kernel.to_string(), "isolinux/vmlinuz");
    assert_eq!(initrds[1].to_string(), "isolinux/j.img");
    assert_eq!(cmdline.as_str(), "quiet");
    assert_eq!(e[2].payload, Payload::Chain { what: "LOCALBOOT 0xffff".into() });
}

#[test]
fn an_edit_touches_its_own_span_and_can_be_undone() {
    let mut d = doc(MENU);
    let add = |c: &mut Cmdline| c.append("console=ttyS1,115200n8");
    let take = |c: &mut Cmdline| {
        c.remove("console");
        Ok(())
    };
    for id in ["a", "b"] {
        assert!(d.edit_cmdline(id, add).expect(id));
    }
    let now = String::from_utf8(d.to_bytes()).expect("text");
    assert!(now.contains("append initrd=i.img,j.img quiet console=ttyS1,115200n8 \r\n"), "{now}");
    assert!(now.contains("  linux /x/vmlinuz\r\n  append console=ttyS1,115200n8\r\nmenu"), "{now}");
    for id in ["a", "b"] {
        assert!(d.edit_cmdline(id, take).expect(id));
    }
    assert_eq!(d.to_bytes(), MENU.as_bytes());
    assert!(d.edit_cmdline("nobody", add).is_err());
    assert!(d.edit_cmdline("a#2", add).is_err(), "localboot takes none");
}

#[test]
fn serial_and_text_menu_can_be_undone() {
    let port = Serial { device: "ttyS".into(), unit: 1, baud: 115_200, parity: 'n', bits: 8 };
    for text in [MENU, "", "x", "serial 0x3f8 9600\nui gfxboot a b\nDEFAULT /b/vesamenu.c32"] {
        let mut d = doc(text);
        assert!(d.set_serial(&port));
        assert!(!d.set_serial(&port), "a second time changes nothing");
        assert_eq!(d.serial(), Some("1 115200"));
        let graphical = d.set_text_menu();
        let now = String::from_utf8(d.to_bytes()).expect("text");
        assert!(now.starts_with("SERIAL 1 115200"), "{now}");
        assert_eq!(graphical, text.contains("menu"), "{now}");
        if graphical {
            assert!(now.lines().any(|l| l.ends_with("menu.c32") && !l.contains("vesa")), "{now}");
        }
        assert_eq!(d.unset_text_menu(), graphical);
        assert!(d.remove_serial());
        assert_eq!(String::from_utf8(d.to_bytes()).expect("text"), text);
    }
    let far = Serial { device: "ttyAMA".into(), ..port };
    assert_eq!(serial_line(&far), None);
    assert!(!doc(MENU).set_serial(&far));
}

#[test]
fn a_global_append_is_inherited_until_a_label_has_its_own() {
    let text = "APPEND quiet\nLABEL a\n KERNEL k\nLABEL b\n KERNEL k\n APPEND -\n";
    let mut d = doc(text);
    let lines: Vec<String> = d
        .entries(&base())
        .iter()
        .map(|e| match &e.payload {
            Payload::Linux { cmdline, .. } => cmdline.to_string(),
            p => panic!("{p:?}"),
        })
        .collect();
    assert_eq!(lines, ["quiet", ""]);
    d.edit_cmdline("a", |c| c.append("x")).expect("edit");
    let now = String::from_utf8(d.to_bytes()).expect("text");
    assert!(now.contains(" KERNEL k\n APPEND quiet x\n"), "{now}");
    d.edit_cmdline("a", |c| {
        c.remove("x");
        Ok(())
    })
    .expect("edit");
    assert_eq!(d.to_bytes(), text.as_bytes());
}

#[test]
fn timeout_goes_before_default_before_menu_default() {
    let c = |t: &str| doc(t).choice().pick(doc(t).labels());
    let two = "label a\nkernel k\nlabel b\nmenu default\nkernel k\n";
    assert_eq!(c(two), Some(1));
    assert_eq!(c(&format!("default a\n{two}")), Some(0));
    assert_eq!(c(&format!("default a\nontimeout b\n{two}")), Some(1));
    assert_eq!(c("default vesamenu.c32\n"), None);
}

#[test]
fn arguments_may_stand_behind_the_kernel() {
    let e = doc("label a\nkernel k  initrd=i a\nappend b\nlabel m\nlinux memdisk\ninitrd x.img\n")
        .entries(&base());
    let Payload::Linux { initrds, cmdline, .. } = &e[0].payload else { panic!("{e:?}") };
    assert_eq!((initrds.len(), cmdline.as_str()), (1, "a b"));
    assert_eq!(e[1].payload, Payload::Chain { what: "memdisk".into() });
}

#[test]
fn requests_are_returned_in_order() {
    let d = doc("include a.cfg\nlabel x\n config /b.cfg /dir\nmenu include c.cfg T\n");
    let r: Vec<_> = d.requests().iter().map(|r| (&r.path[..], r.kind, r.after)).collect();
    use RequestKind::*;
    assert_eq!(r, [("a.cfg", Include, 0), ("/b.cfg", Config, 1), ("c.cfg", Include, 1)]);
}
