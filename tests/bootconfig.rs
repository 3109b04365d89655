//! Boot configurations: byte for byte there and back, edits that leave no trace, menus as their
//! loaders show them. Over the fixtures, and over the vendors' real files where they lie beside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::path::TreePath;
use isowright::content::tree::{Node, Tree};
use isowright::format::{bls, cpio, grub, ipxe, syslinux};
use isowright::media::bootdocs::{BootDoc, BootDocs, find};
use isowright::media::{FatImage, Media};
use isowright::model::boot::Payload;
use isowright::model::cmdline::Cmdline;
use isowright::model::console::Serial;
use isowright::model::profile::Profile;
use isowright::{plan, recipe};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;

fn port() -> Serial {
    Serial { device: "ttyS".into(), unit: 1, baud: 115_200, parity: 'n', bits: 8 }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bootconfig")
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(d) = left.pop() {
        for e in std::fs::read_dir(d).unwrap() {
            let p = e.unwrap().path();
            if p.is_dir() { left.push(p) } else { out.push(p) }
        }
    }
    out.sort();
    out
}

/// A file's document, by the file's name and folder.
fn doc_of(path: &Path, bytes: &[u8]) -> Option<BootDoc> {
    let name = path.file_name()?.to_str()?;
    let wrong = |e: isowright::Error| -> BootDoc { panic!("{path:?}: {e}") };
    let doc = match path.extension()?.to_str()? {
        "cfg" if name.starts_with("grub") => grub::Doc::parse(bytes).map(BootDoc::Grub),
        "cfg" => syslinux::Doc::parse(bytes).map(BootDoc::Syslinux),
        "conf" if path.components().any(|c| c.as_os_str() == "loader") => {
            bls::Doc::parse(name, bytes).map(BootDoc::Bls)
        }
        _ => return None,
    };
    Some(doc.unwrap_or_else(wrong))
}

/// Every SYSLINUX, GRUB and systemd-boot file of the fixtures and of the vendors.
fn configs() -> Vec<(PathBuf, Vec<u8>, BootDoc)> {
    let mut all = files_below(&fixtures());
    match support::vendor_configs() {
        Some(dir) => all.extend(files_below(&dir)),
        None => eprintln!("the vendors' own files are not beside this checkout"),
    }
    let mut out = Vec::new();
    for p in all {
        let bytes = std::fs::read(&p).unwrap();
        out.extend(doc_of(&p, &bytes).map(|doc| (p, bytes, doc)));
    }
    out
}

/// What GRUB's own parser says; `None` where the tool is not there.
fn grub_accepts(bytes: &[u8]) -> Option<bool> {
    support::packaged("/usr/bin/grub-script-check", "grub-common")?;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("grub.cfg");
    std::fs::write(&file, bytes).unwrap();
    Some(Command::new("grub-script-check").arg(&file).output().unwrap().status.success())
}

/// Ids of the entries that have a command line to edit.
fn linux_ids(doc: &BootDoc) -> Vec<String> {
    let base = TreePath::root();
    // A path that is a template still boots something: ask by editing nothing.
    let mut probe = doc.clone();
    let ids: Vec<String> = doc.entries(&base).into_iter().map(|e| e.id).collect();
    ids.into_iter().filter(|id| probe.edit_cmdline(id, |_| Ok(())).is_ok()).collect()
}

#[test]
fn every_file_comes_back_byte_for_byte() {
    let all = configs();
    assert!(all.len() >= 20, "{}", all.len());
    for (p, bytes, doc) in &all {
        assert_eq!(doc.to_bytes(), *bytes, "{p:?}");
    }
}

#[test]
fn edits_leave_no_trace_and_grub_takes_them() {
    let mut edited = 0;
    for (p, bytes, doc) in configs() {
        let mut d = doc.clone();
        let ids = linux_ids(&d);
        let serial = d.set_serial(&port()).unwrap();
        assert_eq!(serial, !matches!(d, BootDoc::Bls(_)), "{p:?}");
        for id in &ids {
            let changed = d.edit_cmdline(id, |c| {
                c.append("isowright.a=x;y")?;
                c.append("isowright.b=two words $HOME")?;
                c.append_for_target("isowright.c")
            });
            assert!(changed.unwrap(), "{p:?} {id}");
            edited += 1;
        }
        if matches!(d, BootDoc::Grub(_)) && grub_accepts(&bytes) == Some(true) {
            assert_eq!(grub_accepts(&d.to_bytes()), Some(true), "{p:?}");
        }
        for id in ids.iter().rev() {
            let had = |c: &Cmdline| c.words().filter(|w| w.raw == "---").count();
            let before = doc_line(&doc, id).map_or(0, |c| had(&c));
            d.edit_cmdline(id, |c| {
                c.remove_where(|w| w.key.starts_with("isowright."));
                if before == 0 {
                    c.remove("---");
                }
                Ok(())
            })
            .unwrap();
        }
        match &mut d {
            BootDoc::Grub(g) => assert!(g.remove_serial().unwrap()),
            BootDoc::Syslinux(s) => assert!(s.remove_serial()),
            BootDoc::Bls(_) => {}
        }
        assert_eq!(
            String::from_utf8_lossy(&d.to_bytes()),
            String::from_utf8_lossy(&bytes),
            "{p:?}"
        );
    }
    assert!(edited > 15, "{edited}");
}

/// The line as an edit sees it.
fn doc_line(doc: &BootDoc, id: &str) -> Option<Cmdline> {
    let mut seen = None;
    doc.clone()
        .edit_cmdline(id, |c| {
            seen = Some(c.clone());
            Ok(())
        })
        .ok()?;
    seen
}

fn tree(medium: &str, extra: &[&str]) -> Tree {
    let root = fixtures().join(medium);
    let mut t = Tree::new();
    for f in files_below(&root) {
        let at = f.strip_prefix(&root).unwrap().to_str().unwrap().parse().unwrap();
        t.insert(at, Node::file(std::fs::read(&f).unwrap()));
    }
    for p in extra {
        t.insert(p.parse().unwrap(), Node::file(*p));
    }
    t
}

fn show(d: &BootDocs) -> String {
    let mut out = String::new();
    for e in d.entries() {
        let fw: Vec<String> = e.firmware.iter().map(|f| f.to_string()).collect();
        let mark = if e.entry.default { "*" } else { " " };
        out += &format!("{mark} {} {} [{}] {}\n", e.locus, e.entry.id, fw.join(","), e.entry.title);
        out += &match &e.entry.payload {
            Payload::Linux { kernel, initrds, cmdline } => {
                let i: Vec<String> = initrds.iter().map(|p| p.to_string()).collect();
                format!("    linux {kernel} + {} | {cmdline}\n", i.join(" "))
            }
            Payload::Multiboot { kernel, cmdline } => {
                format!("    multiboot {kernel} | {cmdline}\n")
            }
            Payload::Chain { what } => format!("    chain {what}\n"),
            Payload::Opaque { why } => format!("    opaque {why}\n"),
        };
    }
    for n in &d.notes {
        out += &format!("note {n}\n");
    }
    out
}

fn golden(medium: &str, extra: &[&str]) -> BootDocs {
    let t = tree(medium, extra);
    let d = find(&t, &[]);
    let file = fixtures().join(format!("{medium}.golden"));
    let got = show(&d);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&file, &got).unwrap();
    }
    let want = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(got, want, "UPDATE_GOLDENS=1 rewrites {}", file.display());
    d
}

#[test]
fn debians_menu_of_many_files() {
    let extra = ["install.amd/vmlinuz", "install.amd/initrd.gz", "install.amd/gtk/initrd.gz"];
    let d = golden("debian", &extra);
    let k = d.kernels(&tree("debian", &extra));
    let shown: Vec<_> = k.iter().map(|k| (k.initrds[0].to_string(), k.default)).collect();
    let want =
        [("install.amd/gtk/initrd.gz".to_string(), true), ("install.amd/initrd.gz".into(), false)];
    assert_eq!(shown, want);
}

#[test]
fn anacondas_menus() {
    let extra = [
        "isolinux/vmlinuz",
        "isolinux/initrd.img",
        "images/pxeboot/vmlinuz",
        "images/pxeboot/initrd.img",
    ];
    golden("lorax", &extra);
}

const KERNEL: &str = "live/boot/x86_64/vmlinuz-linux";

#[test]
fn systemd_boots_menus() {
    let extra = [KERNEL, "boot/vmlinuz-6.10.1-200.fc40.x86_64"];
    let mut d = golden("systemd-boot", &extra);
    let loader = d.docs.iter().find(|d| d.locus.path.name() == b"loader.conf").unwrap();
    let BootDoc::Bls(settings) = &loader.doc else { panic!() };
    assert_eq!((settings.timeout(), settings.console_mode()), (Some(15), Some("keep".into())));
    let mut got = String::new();
    let linux: Vec<_> = d
        .entries()
        .into_iter()
        .filter(|e| matches!(e.entry.payload, Payload::Linux { .. }))
        .map(|e| (e.locus, e.entry.id))
        .collect();
    for (locus, id) in linux {
        let doc = &mut d.get_mut(&locus).unwrap().doc;
        let changed = doc.edit_cmdline(&id, |c| {
            c.remove("quiet");
            c.remove("rhgb");
            c.set("console=tty0")?;
            c.append("console=ttyS1,115200n8")
        });
        assert!(changed.unwrap(), "{locus}");
        got += &format!("==> {locus}\n{}\n", String::from_utf8(doc.to_bytes()).unwrap());
    }
    let file = fixtures().join("systemd-boot.edited");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&file, &got).unwrap();
    }
    assert_eq!(got, std::fs::read_to_string(&file).unwrap_or_default());
}

/// The specification wants a kernel on the partition of its entry: some media have it there alone.
#[test]
fn a_kernel_in_the_fat_image_alone_is_started() {
    let file = |p: &str, t: &str| (p.parse::<TreePath>().unwrap(), Node::file(t));
    let initrd = cpio::archive(&[]).and_then(|c| c.read_all(1000)).unwrap();
    let mut tree: Tree = [
        file(
            "loader/entries/a.conf",
            "title Only\nlinux /os/linux\ninitrd /os/initrd\noptions a=b\n",
        ),
        file("os/linux", "kernel"),
    ]
    .into_iter()
    .collect();
    tree.insert("os/initrd".parse().unwrap(), Node::file(initrd));
    let mut media = Media::of_tree("x.iso", "X", Tree::new());
    let name = "boot/efi.img".to_owned();
    media.fat_images.push(FatImage { name, at: 0, content: Content::empty(), tree });
    let recipes = recipe::bundled().unwrap();
    let docs = media.boot_docs();
    assert!(media.has_kernel(&docs));
    let plan = plan::make(&plan::Inputs {
        media: &media,
        docs: &docs,
        identity: &media.identity(&recipe::label::labels(&recipes).unwrap()),
        recipe: recipe::select::by_name(&recipes, "generic").unwrap(),
        profile: &Profile::from_toml("console = [\"ttyS1,115200n8\"]", "p").unwrap(),
        target: &plan::Target::default(),
    })
    .unwrap();
    assert_eq!(plan.chosen.title, "Only");
    assert_eq!(plan.chosen.cmdline, "a=b console=ttyS1,115200n8");
    let kernel = &plan.files[&"vmlinuz".parse().unwrap()];
    assert_eq!(kernel.content.read_all(10).unwrap(), b"kernel");
    let plan::Origin::Medium { path, .. } = &kernel.origin else { panic!("{:?}", kernel.origin) };
    assert_eq!(path, "iso:/boot/efi.img!/os/linux");
}

/// archiso's own, as it lies in its sources: a default by name, and one entry.
#[test]
fn archisos_own_entries() {
    let Some(dir) = support::vendor_configs() else { return };
    let root = dir.join("arch/efiboot");
    let mut t = Tree::new();
    for f in files_below(&root) {
        let at = f.strip_prefix(&root).unwrap().to_str().unwrap().parse().unwrap();
        t.insert(at, Node::file(std::fs::read(&f).unwrap()));
    }
    let d = find(&Tree::new(), &[("efiboot.img".into(), &t)]);
    let e = d.entries();
    assert_eq!(
        (e.len(), &e[0].entry.id[..], e[0].entry.default),
        (1, "01-archiso-linux.conf", true)
    );
    let Payload::Linux { initrds, cmdline, .. } = &e[0].entry.payload else { panic!("{e:?}") };
    assert_eq!(initrds.len(), 1);
    assert!(cmdline.has("archisobasedir") && cmdline.has("archisosearchuuid"), "{cmdline}");
}

#[test]
fn odd_menus() {
    golden("odd", &[]);
}

#[test]
fn the_vendors_entries_are_understood() {
    let Some(dir) = support::vendor_configs() else { return };
    for (file, linux, default) in [
        ("proxmox-ve/grub.cfg", 5, "1"),
        ("debian12-netboot/grub.cfg", 26, "0"),
        ("ubuntu-live-server/grub.cfg", 3, "0"),
        ("talos/grub.cfg", 2, "0"),
        ("opensuse/grub-efi.cfg", 6, "1"),
        ("alpine/grub.cfg", 1, "0"),
        ("almalinux9-custom/EFI/BOOT/grub.cfg", 5, "0"),
        ("fedora-lorax/grub2-efi.cfg", 4, "1"),
    ] {
        let doc = grub::Doc::parse(&std::fs::read(dir.join(file)).unwrap()).unwrap();
        let e = doc.entries(&TreePath::root());
        let n = e.iter().filter(|e| matches!(e.payload, Payload::Linux { .. })).count();
        let d: Vec<_> = e.iter().filter(|e| e.default).map(|e| &e.id[..]).collect();
        assert_eq!((n, &d[..]), (linux, &[default][..]), "{file}: {e:#?}");
    }
}

/// The real netboot tree: SYSLINUX's paths start two folders above its configuration.
#[test]
fn debians_netboot_package() {
    let top = "/usr/lib/debian-installer/images/12/amd64/text";
    let Some(top) = support::packaged(top, "debian-installer-12-netboot-amd64") else { return };
    let mut t = Tree::new();
    for f in files_below(&top) {
        let at = f.strip_prefix(&top).unwrap().to_str().unwrap().parse().unwrap();
        let name = f.file_name().unwrap();
        let text = f.extension().is_some_and(|e| e == "cfg") || name == "default";
        t.insert(at, Node::file(if text { std::fs::read(&f).unwrap() } else { b"x".to_vec() }));
    }
    let d = find(&t, &[]);
    let k = d.kernels(&t);
    assert_eq!(k.len(), 1, "{}", show(&d));
    assert_eq!(k[0].kernel.to_string(), "debian-installer/amd64/linux");
    assert_eq!(k[0].initrds[0].to_string(), "debian-installer/amd64/initrd.gz");
    assert!(k[0].default, "{}", show(&d));
    let entries = d.entries();
    assert!(entries.iter().any(|e| e.entry.id == "rescue" && e.entry.title == "Rescue mode"));
}

#[test]
fn hostile_documents_end() {
    let big = "x".repeat(1 << 20);
    let many = [
        "label a\n".repeat(100_000),
        "serial 0\n".repeat(100_000),
        "ui vesamenu.c32\n".repeat(50_000),
        "menu begin\n".repeat(100_000),
        format!("append {big}\nlabel a\nkernel {big}\n"),
        "label a\nkernel k\nappend ".to_owned() + &"a=\"b ".repeat(50_000),
    ];
    for text in &many {
        let mut d = syslinux::Doc::parse(text.as_bytes()).unwrap();
        d.set_serial(&port());
        d.set_text_menu();
        d.entries(&TreePath::root());
        let _ = d.edit_cmdline("a", |c| c.append("x"));
    }
    let grubs = [
        "menuentry a { linux /k }\n".repeat(30_000),
        "if a; then\n".repeat(100_000),
        "{".repeat(100_000),
        "$".repeat(100_000),
        "a=b\n".repeat(100_000),
        format!("a={big}\n{}", "linux /k $a\n".repeat(10_000)),
        "linux /k ".to_owned() + &"a ".repeat(200_000),
    ];
    for text in &grubs {
        if let Ok(mut d) = grub::Doc::parse(text.as_bytes()) {
            d.set_serial(&port()).unwrap();
            d.entries(&TreePath::root());
            d.requests(&TreePath::root());
            let _ = d.edit_cmdline(grub::DIRECT, |c| c.set("console=x"));
        }
    }
    let singles = [
        "options a\n".repeat(100_000),
        "linux /k\noptions ".to_owned() + &"a ".repeat(200_000),
        "linux /k\n".to_owned() + &"options a b\n".repeat(50_000),
        format!("linux /k\ninitrd {big}\noptions {big}\nversion {big}"),
        "\r".repeat(1 << 20),
    ];
    for text in &singles {
        let mut d = bls::Doc::parse("a.conf", text.as_bytes()).unwrap();
        d.entries(&TreePath::root());
        assert!(d.rank() <= d.rank());
        let _ = d.edit_cmdline("a.conf", |c| c.set("a=x"));
    }
    assert!(bls::Doc::parse("a.conf", b"a\0b").is_err());
    assert!(bls::Doc::parse("a.conf", &vec![b'\n'; bls::MAX_LEN + 1]).is_err());
    assert!(grub::Doc::parse(b"a\0b").is_err() && syslinux::Doc::parse(b"a\0b").is_err());
    let too_big = vec![b'\n'; syslinux::MAX_LEN + 1];
    assert!(syslinux::Doc::parse(&too_big).is_err() && grub::Doc::parse(&too_big).is_err());
    let bomb = format!("#!ipxe\nset a {}\n{}", "y".repeat(16_000), "x ${a}\n".repeat(100_000));
    ipxe::Script::parse(bomb.as_bytes()).unwrap();
}

#[test]
fn an_initrd_joins_the_vendors_in_each_dialect() {
    let table = [
        (
            "label a\nkernel k\nappend initrd=/i.gz quiet\n",
            "label a\nkernel k\nappend initrd=/i.gz,/x.img quiet\n",
        ),
        ("LABEL a\n LINUX k\n INITRD i,j\r\n", "LABEL a\n LINUX k\n INITRD i,j,/x.img\r\n"),
        (
            "append initrd=g q\nlabel a\nkernel k\n",
            "append initrd=g q\nlabel a\nkernel k\nappend initrd=g,/x.img q\n",
        ),
    ];
    for (old, new) in table {
        let mut d = syslinux::Doc::parse(old.as_bytes()).unwrap();
        assert!(d.add_initrd("a", "/x.img", false).unwrap());
        assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), new);
        assert!(!d.add_initrd("a", "/x.img", false).unwrap());
    }
    let table = [
        (
            "menuentry a {\n\tlinux /k q\n\tinitrd /i\n}\n",
            "menuentry a {\n\tlinux /k q\n\tinitrd /i /x.img\n}\n",
        ),
        (
            "menuentry a { linuxefi (cd0)/k; initrdefi (cd0)/i; }",
            "menuentry a { linuxefi (cd0)/k; initrdefi (cd0)/i (cd0)/x.img; }",
        ),
        (
            "menuentry a {\nlinux ($root)/k\ninitrd ($root)/i /j\n}",
            "menuentry a {\nlinux ($root)/k\ninitrd ($root)/i /j /x.img\n}",
        ),
        (
            "menuentry a {\nif [ x$y = x ]; then\nlinux /k\ninitrd /i\nelse\nlinux16 /k\ninitrd16 /j\nfi\n}",
            "menuentry a {\nif [ x$y = x ]; then\nlinux /k\ninitrd /i /x.img\nelse\nlinux16 /k\ninitrd16 /j /x.img\nfi\n}",
        ),
    ];
    for (old, new) in table {
        let mut d = grub::Doc::parse(old.as_bytes()).unwrap();
        assert!(d.add_initrd("0", "/x.img", false).unwrap());
        assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), new);
        assert!(!d.add_initrd("0", "/x.img", false).unwrap());
    }
    let mut d = bls::Doc::parse("a.conf", b"linux   /k\r\ninitrd  /i\r\noptions q\r\n").unwrap();
    assert!(d.add_initrd("a.conf", "/x.img", false).unwrap());
    assert!(!d.add_initrd("a.conf", "/x.img", false).unwrap());
    assert_eq!(d.to_bytes(), b"linux   /k\r\ninitrd  /i\r\ninitrd  /x.img\r\noptions q\r\n");

    let mut d = syslinux::Doc::parse(b"label a\nkernel k\nappend initrd=i\n").unwrap();
    assert!(d.add_initrd("a", "/x.img", true).unwrap());
    assert_eq!(d.to_bytes(), b"label a\nkernel k\nappend initrd=/x.img,i\n");
    let mut d = syslinux::Doc::parse(b"label a\nkernel k\ninitrd i\n").unwrap();
    assert!(d.add_initrd("a", "/x.img", true).unwrap());
    assert_eq!(d.to_bytes(), b"label a\nkernel k\ninitrd /x.img,i\n");
    let mut d = grub::Doc::parse(b"menuentry a { linux /k; initrd (cd)/i /j; }").unwrap();
    assert!(d.add_initrd("0", "/x.img", true).unwrap());
    assert_eq!(d.to_bytes(), b"menuentry a { linux /k; initrd /x.img (cd)/i /j; }");
    let mut d = bls::Doc::parse("a.conf", b"linux /k\ninitrd /i\ninitrd /j").unwrap();
    assert!(d.add_initrd("a.conf", "/x.img", true).unwrap());
    assert_eq!(d.to_bytes(), b"linux /k\ninitrd /x.img\ninitrd /i\ninitrd /j");

    // A memory test has none.
    let mut d = syslinux::Doc::parse(b"label m\nlinux memtest\n").unwrap();
    assert!(d.add_initrd("m", "/x.img", false).is_err());
    let mut d = grub::Doc::parse(b"menuentry m { linux /memtest; }").unwrap();
    assert!(
        d.add_initrd("0", "/x.img", false).is_err() && d.add_initrd("7", "/x.img", false).is_err()
    );
    assert!(
        bls::Doc::parse("m.conf", b"linux /m")
            .unwrap()
            .add_initrd("m.conf", "/x.img", false)
            .is_err()
    );
}

#[test]
fn a_menu_that_waits_for_ever_is_made_to_go_on() {
    for (old, goes_on, new) in [
        ("label a\nkernel k\n", None, "TIMEOUT 50\nlabel a\nkernel k\n"),
        ("timeout 0\n", Some(false), "timeout 50\n"),
        ("TIMEOUT 600 \r\n", Some(true), "TIMEOUT 50 \r\n"),
    ] {
        let mut d = syslinux::Doc::parse(old.as_bytes()).unwrap();
        assert_eq!(d.goes_on(), goes_on, "{old}");
        assert!(d.set_timeout(5) && !d.set_timeout(5));
        assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), new);
        assert_eq!(d.goes_on(), Some(true));
    }
    for (old, goes_on, new) in [
        ("menuentry a { linux /k; }\n", None, "set timeout=5\nmenuentry a { linux /k; }\n"),
        ("set timeout=-1\n", Some(false), "set timeout=5\n"),
        ("timeout=60\n", Some(true), "timeout=5\n"),
        (
            "if true; then\nset timeout=60\nset timeout_style=menu\nfi\n",
            Some(true),
            "if true; then\nset timeout=5\nset timeout_style=menu\nfi\n",
        ),
    ] {
        let mut d = grub::Doc::parse(old.as_bytes()).unwrap();
        assert_eq!(d.goes_on(), goes_on, "{old}");
        assert!(d.set_timeout(5).unwrap() && !d.set_timeout(5).unwrap());
        assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), new);
        assert_eq!(d.goes_on(), Some(true));
    }
    for (old, goes_on, new) in [
        ("default a\n", true, "timeout 5\ndefault a\n"),
        ("timeout menu-force\n", false, "timeout 5\n"),
    ] {
        let mut d = bls::Doc::parse(bls::LOADER_CONF, old.as_bytes()).unwrap();
        assert_eq!(d.goes_on(), Some(goes_on));
        assert!(d.set_timeout(5) && !d.set_timeout(5));
        assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), new);
    }
    let mut entry = bls::Doc::parse("a.conf", b"linux /k\n").unwrap();
    assert_eq!((entry.goes_on(), entry.set_timeout(5)), (None, false));
}

/// Pieces that scripts are made of, so that most examples parse.
fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(words), 0..40).prop_map(|v| v.concat())
}

const SYSLINUX: &[&str] = &[
    "label ",
    "a",
    "\n",
    "\r\n",
    " ",
    "\t",
    "kernel k",
    "append ",
    "initrd=i,j",
    "initrd i\n",
    "timeout 0",
    "serial 0",
    "ui gfxboot",
    "menu ",
    "begin",
    "end",
    "default ",
    "vesamenu.c32",
    "text help\n",
    "endtext\n",
    "-",
    "include x",
    "\"",
    "é",
];
const GRUB: &[&str] = &[
    "menuentry ",
    "'a b'",
    " {",
    "}",
    "\n",
    ";",
    "linux /k",
    "initrd (x)/i",
    "set timeout=-1",
    " a=b",
    " \"c d\"",
    "\\\n",
    "$x",
    "${y}",
    "if ",
    "then ",
    "fi",
    "else\n",
    "#",
    "'",
    "\"",
    "set x=1",
    "terminal_output gfxterm\n",
    "submenu s",
    "\r\n",
    " \t",
    "\\",
    "{{ t }}",
];
const BLS: &[&str] = &[
    "linux",
    "options",
    "initrd ",
    "title ",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "/k",
    "a=b",
    "\"c d\"",
    "\"",
    "#",
    "---",
    "é",
    "\nlinux /k\n",
    "\noptions x y",
];

proptest! {
    #[test]
    fn bls_edits_undo(text in pieces(BLS)) {
        let mut d = bls::Doc::parse("a.conf", text.as_bytes()).unwrap();
        prop_assert_eq!(d.to_bytes(), text.as_bytes());
        d.entries(&TreePath::root());
        if d.edit_cmdline("a.conf", |c| c.append("zz=1 2")) .is_ok() {
            d.edit_cmdline("a.conf", |c| { c.remove("zz"); Ok(()) }).unwrap();
            prop_assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn syslinux_edits_undo(text in pieces(SYSLINUX)) {
        let mut d = syslinux::Doc::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(d.to_bytes(), text.as_bytes());
        d.set_serial(&port());
        let menu = d.set_text_menu();
        prop_assert_eq!(d.unset_text_menu(), menu);
        prop_assert!(d.remove_serial());
        prop_assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), text.clone());
        d.entries(&TreePath::root());
    }

    #[test]
    fn grub_edits_undo(text in pieces(GRUB)) {
        if let Ok(mut d) = grub::Doc::parse(text.as_bytes()) {
            prop_assert_eq!(d.to_bytes(), text.as_bytes());
            prop_assert!(d.set_serial(&port()).unwrap());
            for e in d.entries(&TreePath::root()) {
                if d.edit_cmdline(&e.id, |c| c.append("zz=1 2")).is_ok() {
                    d.edit_cmdline(&e.id, |c| { c.remove("zz"); Ok(()) }).unwrap();
                }
            }
            prop_assert!(d.remove_serial().unwrap());
            prop_assert_eq!(String::from_utf8(d.to_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn an_added_initrd_is_there_once(a in pieces(SYSLINUX), b in pieces(GRUB), c in pieces(BLS)) {
        let root = TreePath::root();
        let mut d = syslinux::Doc::parse(a.as_bytes()).unwrap();
        for e in d.entries(&root) {
            if d.add_initrd(&e.id, "/x", false).is_ok() {
                prop_assert!(!d.add_initrd(&e.id, "/x", false).unwrap());
            }
        }
        d.set_timeout(5);
        prop_assert!(!d.set_timeout(5));
        if let Ok(mut d) = grub::Doc::parse(b.as_bytes()) {
            for e in d.entries(&root) {
                if d.add_initrd(&e.id, "/x", false).is_ok() {
                    prop_assert!(!d.add_initrd(&e.id, "/x", false).unwrap());
                }
            }
            d.set_timeout(5).unwrap();
            prop_assert!(!d.set_timeout(5).unwrap());
        }
        let mut d = bls::Doc::parse("a.conf", c.as_bytes()).unwrap();
        if d.add_initrd("a.conf", "/x", false).is_ok() {
            prop_assert!(!d.add_initrd("a.conf", "/x", false).unwrap());
        }
    }

    #[test]
    fn any_bytes_that_parse_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(d) = syslinux::Doc::parse(&bytes) {
            d.entries(&TreePath::root());
            prop_assert_eq!(d.to_bytes(), bytes.clone());
        }
        if let Ok(d) = grub::Doc::parse(&bytes) {
            d.entries(&TreePath::root());
            prop_assert_eq!(d.to_bytes(), bytes.clone());
        }
        if let Ok(d) = bls::Doc::parse("a.conf", &bytes) {
            d.entries(&TreePath::root());
            prop_assert_eq!(d.to_bytes(), bytes.clone());
        }
        let _ = ipxe::Script::parse(&[b"#!ipxe\n", &bytes[..]].concat());
    }
}
