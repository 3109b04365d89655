use super::*;
use crate::content::tree::{Node, Tree};
use crate::model::boot::FoundEntry;

fn tree(files: &[(&str, &str)]) -> Tree {
    let node = |(p, t): &(&str, &str)| (p.parse().expect("path"), Node::file(*t));
    files.iter().map(node).collect()
}

fn show(d: &BootDocs) -> Vec<String> {
    let star = |e: &FoundEntry| if e.entry.default { "*" } else { "" };
    let fw =
        |e: &FoundEntry| e.firmware.iter().map(|f| f.to_string()).collect::<Vec<_>>().join(",");
    let line = |e: &FoundEntry| format!("{} {}{} {}", e.locus, e.entry.id, star(e), fw(e));
    d.entries().iter().map(line).collect()
}

#[test]
fn a_menu_of_many_files_has_one_default() {
    let t = tree(&[
        ("ISOLINUX/ISOLINUX.CFG", "include menu.cfg\ndefault vesamenu.c32\n"),
        (
            "ISOLINUX/MENU.CFG",
            "include txt.cfg\nlabel help\nconfig prompt.cfg\ninclude gone.cfg\ninclude menu.cfg\n",
        ),
        (
            "ISOLINUX/TXT.CFG",
            "default install\nlabel x\nmenu default\nkernel /install/vmlinuz\nlabel install\nkernel /install/vmlinuz\nappend initrd=/install/initrd.gz --- quiet\n",
        ),
        ("ISOLINUX/PROMPT.CFG", "include menu.cfg\nlabel last\nkernel k\n"),
        ("INSTALL/VMLINUZ", "k"),
        ("INSTALL/INITRD.GZ", "i"),
        (
            "boot/grub/grub.cfg",
            "menuentry a { linux /install/vmlinuz; initrd /install/initrd.gz }\n",
        ),
    ]);
    let d = find(&t, &[]);
    let want = [
        "iso:/ISOLINUX/TXT.CFG x* bios",
        "iso:/ISOLINUX/TXT.CFG install bios",
        "iso:/ISOLINUX/MENU.CFG help bios",
        "iso:/ISOLINUX/PROMPT.CFG last bios",
        "iso:/boot/grub/grub.cfg 0* uefi",
    ];
    let mut got = show(&d);
    got.sort();
    let mut want: Vec<String> = want.iter().map(|s| s.to_string()).collect();
    want[3] = "iso:/ISOLINUX/PROMPT.CFG last* bios".into();
    want.sort();
    assert_eq!(got, want);
    assert_eq!(d.notes, ["iso:/ISOLINUX/MENU.CFG: line 4: \"gone.cfg\" is not there"]);
    let k = d.kernels(&t);
    assert_eq!(k[0].kernel.to_string(), "INSTALL/VMLINUZ");
    assert_eq!(k[0].initrds[0].to_string(), "INSTALL/INITRD.GZ");
    assert!(k[0].default && k[1].initrds.is_empty());
}

#[test]
fn a_tree_for_tftp_starts_its_paths_higher_up() {
    let t = tree(&[
        ("net/di/boot-screens/syslinux.cfg", "include di/boot-screens/txt.cfg\n"),
        ("net/di/boot-screens/txt.cfg", "label a\nkernel di/linux\nappend initrd=di/initrd.gz\n"),
        ("net/di/linux", "k"),
        ("net/di/initrd.gz", "i"),
    ]);
    let k = find(&t, &[]).kernels(&t);
    assert_eq!(k[0].kernel.to_string(), "net/di/linux");
}

#[test]
fn fat_images_are_uefi_and_the_rest_is_biosed() {
    let cfg = "menuentry a { linux /v }\n";
    let iso = tree(&[("boot/grub2/grub.cfg", cfg), ("EFI/BOOT/grub.cfg", cfg), ("v", "k")]);
    let fat = tree(&[("EFI/BOOT/GRUB.CFG", cfg), ("EFI/BOOT/BAD/grub.cfg", "}")]);
    let d = find(&iso, &[("images/efiboot.img".into(), &fat)]);
    let want = [
        "iso:/EFI/BOOT/grub.cfg 0* uefi",
        "iso:/boot/grub2/grub.cfg 0* bios",
        "iso:/images/efiboot.img!/EFI/BOOT/GRUB.CFG 0* uefi",
    ];
    assert_eq!(show(&d), want);
    assert_eq!(d.notes, ["iso:/images/efiboot.img!/EFI/BOOT/BAD/grub.cfg: line 1: } without {"]);
    let stub = tree(&[("EFI/BOOT/grub.cfg", "configfile /boot/grub/grub.cfg\n")]);
    let both = tree(&[("boot/grub/grub.cfg", cfg)]);
    let d = find(&both, &[("efi.img".into(), &stub)]);
    assert_eq!(show(&d)[0], "iso:/boot/grub/grub.cfg 0* bios,uefi");
}

#[test]
fn a_chain_of_includes_ends() {
    let files: Vec<(String, String)> = (0..400)
        .map(|i| (format!("isolinux/{i}.cfg"), format!("include {}.cfg\n", (i + 1) % 400)))
        .collect();
    let mut t = tree(&[("isolinux/isolinux.cfg", "include 0.cfg\n")]);
    for (p, s) in files {
        t.insert(p.parse().expect("path"), Node::file(s));
    }
    let d = find(&t, &[]);
    assert!(d.notes.iter().any(|n| n.contains("16 deep")), "{:?}", d.notes);
    assert!(d.docs.len() < 20);
}

#[test]
fn systemd_boots_menu_is_its_files_in_order() {
    let entry = |key: &str, k: &str| format!("sort-key {key}\nlinux /{k}\ninitrd /i\noptions a\n");
    let (old, new) = (entry("02", "v"), entry("01", "v"));
    let fedora = "title F\nversion 1\nlinux /vmlinuz-1\n";
    let uki = crate::format::uki::tests::image(&[
        (".osrel", "ID=talos\nPRETTY_NAME=Talos\n"),
        (".cmdline", "talos.platform=metal"),
        (".uname", "6.6.52-talos"),
    ]);
    let mut t = tree(&[
        ("LOADER/ENTRIES/B.CONF", &new),
        ("LOADER/ENTRIES/a.conf", &old),
        ("LOADER/ENTRIES/auto-x.conf", &old),
        ("LOADER/ENTRIES/none.conf", "title none\n"),
        ("LOADER/LOADER.CONF", "default A*\n"),
        ("boot/loader/entries/f-1.conf", fedora),
        ("boot/vmlinuz-1", "k"),
        ("boot/grub/grub.cfg", "menuentry g { linux /v }\n"),
        ("V", "k"),
        ("I", "i"),
        ("other/loader/entries/x.conf", fedora),
    ]);
    t.insert("EFI/Linux/Talos.efi".parse().expect("path"), Node::file(uki));
    t.insert("EFI/Linux/none.efi".parse().expect("path"), Node::file("MZ"));
    let d = find(&t, &[]);
    let want = [
        "iso:/boot/grub/grub.cfg 0* bios",
        "iso:/LOADER/ENTRIES/B.CONF B.CONF uefi",
        "iso:/LOADER/ENTRIES/a.conf a.conf* uefi",
        "iso:/EFI/Linux/Talos.efi Talos.efi uefi",
        "iso:/LOADER/ENTRIES/none.conf none.conf uefi",
        "iso:/boot/loader/entries/f-1.conf f-1.conf* uefi",
    ];
    assert_eq!(show(&d), want);
    assert!(d.notes.is_empty(), "{:?}", d.notes);
    let entries = d.entries();
    let what =
        "unified kernel image /EFI/Linux/Talos.efi (Linux 6.6.52-talos): talos.platform=metal";
    assert_eq!(entries[3].entry.payload, Payload::Chain { what: what.into() });
    let kernels: Vec<String> = d.kernels(&t).iter().map(|k| k.kernel.to_string()).collect();
    assert_eq!(kernels, ["V", "V", "boot/vmlinuz-1"]);
}
