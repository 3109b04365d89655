//! EFI signatures against sbsigntool, pesign and openssl: on Debian's real programs, and on ones that
//! are signed here with keys of our own.
#![allow(clippy::unwrap_used, clippy::expect_used)]
mod support;

use isowright::content::Content;
use isowright::content::tree::{Node, Tree};
use isowright::format::pe::{Certificate, Pe, Signature, State, UefiCa};
use isowright::media::Media;
use isowright::media::secure_boot::Chain;
use std::path::{Path, PathBuf};
use std::process::Command;

const NETBOOT: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn pe(path: &Path) -> Pe {
    Pe::read(&Content::open(path).unwrap()).unwrap().unwrap()
}

fn signatures(path: &Path) -> Vec<Signature> {
    pe(path).signatures(&|_| true).unwrap()
}

/// Debian's signed programs: shim, its helpers, GRUB, a kernel; and one that is not signed.
fn programs() -> Vec<PathBuf> {
    let netboot = ["bootnetx64.efi", "grubx64.efi", "linux"];
    let package = "debian-installer-12-netboot-amd64";
    let mut all: Vec<PathBuf> = netboot
        .iter()
        .filter_map(|n| support::packaged(&format!("{NETBOOT}/{n}"), package))
        .collect();
    let signed = [
        "shimx64.efi.signed",
        "mmx64.efi.signed",
        "fbx64.efi.signed",
        "grubx64.efi.signed",
        "gcdx64.efi.signed",
        "systemd-bootx64.efi",
    ];
    all.extend(signed.iter().filter_map(|n| support::material(&format!("signed/{n}"))));
    all
}

fn common_name(line: &str) -> Option<String> {
    Some(line.rsplit_once("/CN=")?.1.trim().to_owned())
}

/// `sbverify --list`: of each signature the subject and issuer of each certificate.
fn listed(path: &Path) -> Vec<Vec<(String, String)>> {
    let text = run("sbverify", &["--list", path.to_str().unwrap()]);
    let mut all: Vec<Vec<(String, String)>> = Vec::new();
    let mut subject = String::new();
    for line in text.lines() {
        if line.starts_with("signature ") {
            all.push(Vec::new());
        } else if line.starts_with(" - subject:") {
            subject = common_name(line).unwrap();
        } else if line.starts_with("   issuer:") {
            all.last_mut().unwrap().push((subject.clone(), common_name(line).unwrap()));
        }
    }
    all
}

fn names(s: &Signature) -> Vec<(String, String)> {
    let name = |c: &Certificate| (c.subject.clone(), c.issuer.clone());
    let mut all: Vec<_> = std::iter::once(&s.signer).chain(&s.others).map(name).collect();
    all.sort();
    all
}

#[test]
fn real_programs_have_the_signers_and_digests_that_others_see() {
    if support::packaged("/usr/bin/sbverify", "sbsigntool").is_none()
        || support::packaged("/usr/bin/pesign", "pesign").is_none()
    {
        return;
    }
    for path in programs() {
        let place = path.display().to_string();
        let ours = signatures(&path);
        let mut theirs = listed(&path);
        theirs.iter_mut().for_each(|s| s.sort());
        assert_eq!(ours.iter().map(names).collect::<Vec<_>>(), theirs, "{place}");
        assert!(ours.iter().all(|s| s.state == State::Intact), "{place}: {ours:?}");
        let digest = run("pesign", &["-h", "-i", path.to_str().unwrap()]);
        let hex: String =
            pe(&path).digest(&|_| true).unwrap().iter().map(|b| format!("{b:02x}")).collect();
        assert!(digest.contains(&hex), "{place}: {hex} and {digest}");
    }
}

#[test]
fn debians_chain_leads_from_microsoft_to_the_kernel() {
    let package = "debian-installer-12-netboot-amd64";
    let at = |n: &str| support::packaged(&format!("{NETBOOT}/{n}"), package);
    let (Some(shim), Some(grub), Some(kernel)) =
        (at("bootnetx64.efi"), at("grubx64.efi"), at("linux"))
    else {
        return;
    };
    let cas: Vec<_> = signatures(&shim).iter().map(Signature::uefi_ca).collect();
    assert_eq!(cas, [Some(UefiCa::Of2011), Some(UefiCa::Of2023)]);
    let vendor = pe(&shim).vendor_certificates().unwrap();
    assert_eq!(
        vendor.iter().map(|c| c.subject.as_str()).collect::<Vec<_>>(),
        ["Debian Secure Boot CA"]
    );
    for path in [&grub, &kernel] {
        let s = &signatures(path)[0];
        assert_eq!(s.leads_to(&vendor[0]), Some(true), "{}", path.display());
        assert_eq!(s.uefi_ca(), None);
        assert!(!pe(path).is_shim());
    }
    let of = |p: &Path, c: &str| pe(p).sbat().unwrap().iter().any(|s| s.component == c);
    assert!(of(&shim, "shim") && of(&grub, "grub") && of(&grub, "grub.debian"));
    assert!(signatures(&shim)[0].leads_to(&vendor[0]) == Some(false));
}

/// Keys and certificates made here: an authority, one that it signed, and a stranger.
struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    fn make() -> Keys {
        let keys = Keys { dir: tempfile::tempdir().unwrap() };
        let at = |n: &str| keys.at(n).to_str().unwrap().to_owned();
        for (name, bits) in [("ca", "rsa:2048"), ("stranger", "rsa:3072")] {
            run(
                "openssl",
                &[
                    "req",
                    "-x509",
                    "-newkey",
                    bits,
                    "-nodes",
                    "-days",
                    "9",
                    "-subj",
                    &format!("/O=Test/CN=The {name}"),
                    "-keyout",
                    &at(&format!("{name}.key")),
                    "-out",
                    &at(&format!("{name}.pem")),
                ],
            );
        }
        run(
            "openssl",
            &[
                "req",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=The signer",
                "-keyout",
                &at("signer.key"),
                "-out",
                &at("signer.csr"),
            ],
        );
        run(
            "openssl",
            &[
                "x509",
                "-req",
                "-sha512",
                "-days",
                "9",
                "-in",
                &at("signer.csr"),
                "-CA",
                &at("ca.pem"),
                "-CAkey",
                &at("ca.key"),
                "-CAcreateserial",
                "-out",
                &at("signer.pem"),
            ],
        );
        keys
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn certificate(&self, name: &str) -> Certificate {
        let (pem, der) = (self.at(&format!("{name}.pem")), self.at(&format!("{name}.der")));
        let (pem, der_path) = (pem.to_str().unwrap(), der.to_str().unwrap());
        run("openssl", &["x509", "-in", pem, "-outform", "DER", "-out", der_path]);
        Certificate::parse(&std::fs::read(der).unwrap()).unwrap()
    }

    fn sign(&self, by: &str, from: &Path, to: &Path) {
        let (key, cert) = (self.at(&format!("{by}.key")), self.at(&format!("{by}.pem")));
        run(
            "sbsign",
            &[
                "--key",
                key.to_str().unwrap(),
                "--cert",
                cert.to_str().unwrap(),
                "--output",
                to.to_str().unwrap(),
                from.to_str().unwrap(),
            ],
        );
    }
}

fn own_keys() -> Option<(Keys, PathBuf)> {
    support::packaged("/usr/bin/sbsign", "sbsigntool")?;
    Some((Keys::make(), support::material("signed/systemd-bootx64.efi")?))
}

#[test]
fn own_keys_two_signatures_and_a_wrong_chain() {
    let Some((keys, program)) = own_keys() else { return };
    let (once, twice) = (keys.at("once.efi"), keys.at("twice.efi"));
    keys.sign("signer", &program, &once);
    keys.sign("stranger", &once, &twice);
    assert!(signatures(&program).is_empty());
    let found = signatures(&twice);
    let seen: Vec<_> = found.iter().map(|s| (s.signer.subject.as_str(), s.state)).collect();
    assert_eq!(seen, [("The signer", State::Intact), ("The stranger", State::Intact)]);
    let (ca, signer, stranger) =
        (keys.certificate("ca"), keys.certificate("signer"), keys.certificate("stranger"));
    for (n, (by, want)) in
        [(&ca, [true, false]), (&signer, [true, false]), (&stranger, [false, true])]
            .into_iter()
            .enumerate()
    {
        assert_eq!(found.iter().map(|s| s.leads_to(by)).collect::<Vec<_>>(), want.map(Some), "{n}");
    }
    // An authority of the same name with another key.
    let other = Keys::make();
    assert_eq!(found[0].leads_to(&other.certificate("ca")), Some(false));
}

#[test]
fn a_changed_byte_is_told_where_it_counts() {
    let Some((keys, program)) = own_keys() else { return };
    let signed = keys.at("signed.efi");
    keys.sign("signer", &program, &signed);
    let bytes = std::fs::read(&signed).unwrap();
    let state = |b: &[u8]| {
        let pe = Pe::read(&b.to_vec().into()).unwrap().unwrap();
        pe.signatures(&|_| true).map(|s| s[0].state)
    };
    let changed = |at: usize| {
        let mut b = bytes.clone();
        b[at] ^= 1;
        b
    };
    assert_eq!(state(&bytes).unwrap(), State::Intact);
    let header = u32::from_le_bytes(bytes[0x3c..0x40].try_into().unwrap()) as usize;
    assert_eq!(state(&changed(header + 24 + 64)).unwrap(), State::Intact, "the checksum is free");
    for at in [0x40, header + 8, 0x1000, bytes.len() / 2] {
        assert_eq!(state(&changed(at)).unwrap(), State::Altered, "{at:#x}");
    }
    // The signature's own last bytes: the key's, or padding.
    let forged = (bytes.len() - 64..bytes.len())
        .filter(|&at| state(&changed(at)).is_ok_and(|s| s == State::Forged));
    assert!(forged.count() > 48);
}

#[test]
fn cut_and_mutated_programs_are_answered() {
    let Some(program) =
        support::packaged(&format!("{NETBOOT}/grubx64.efi"), "debian-installer-12-netboot-amd64")
    else {
        return;
    };
    let bytes = std::fs::read(program).unwrap();
    for cut in (0..bytes.len()).step_by(2048).chain(bytes.len() - 600..bytes.len()) {
        let Ok(Some(pe)) = Pe::read(&bytes[..cut].to_vec().into()) else { continue };
        let told = pe.signatures(&|_| true);
        assert!(told.is_err(), "cut at {cut}: {told:?}");
    }
    // Headers, and the signature.
    let table = pe_table(&bytes);
    let mut seed = 1u64;
    let mut random = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    for _ in 0..1500 {
        let mut b = bytes.clone();
        for _ in 0..=random(4) {
            let at = if random(2) == 0 { random(1024) } else { table + random(b.len() - table) };
            b[at] = random(256) as u8;
        }
        let Ok(Some(pe)) = Pe::read(&b.into()) else { continue };
        let _ =
            (pe.sbat(), pe.vendor_certificates(), pe.digest(&|_| true), pe.signatures(&|_| true));
    }
}

/// Where the certificate table of a PE32+ image stands.
fn pe_table(b: &[u8]) -> usize {
    let word = |at: usize| u32::from_le_bytes(b[at..at + 4].try_into().unwrap()) as usize;
    word(word(0x3c) + 24 + 112 + 32)
}

/// The chain of a medium with these programs as shim, GRUB and kernel.
fn chain(shim: &[u8], grub: Option<&[u8]>, kernel: &[u8]) -> Chain {
    let cfg =
        "menuentry 'Install' {\n linux /install/vmlinuz quiet\n initrd /install/initrd.gz\n}\n";
    let mut files = vec![
        ("EFI/boot/bootx64.efi", shim.to_vec()),
        ("boot/grub/grub.cfg", cfg.into()),
        ("install/initrd.gz", Vec::new()),
        ("install/vmlinuz", kernel.to_vec()),
    ];
    files.extend(grub.map(|g| ("EFI/boot/grubx64.efi", g.to_vec())));
    let tree: Tree = files.into_iter().map(|(p, b)| (p.parse().unwrap(), Node::file(b))).collect();
    let media = Media::of_tree("test.iso", "TEST", tree);
    let mut chains = media.secure_boot(&media.boot_docs());
    assert_eq!(chains.len(), 1);
    chains.remove(0)
}

#[test]
fn a_medium_tells_whether_its_chain_is_whole() {
    let package = "debian-installer-12-netboot-amd64";
    let read = |n: &str| {
        support::packaged(&format!("{NETBOOT}/{n}"), package).map(|p| std::fs::read(p).unwrap())
    };
    let (Some(shim), Some(grub), Some(kernel)) =
        (read("bootnetx64.efi"), read("grubx64.efi"), read("linux"))
    else {
        return;
    };
    let whole = chain(&shim, Some(&grub), &kernel);
    assert_eq!((whole.gaps.len(), whole.programs.len()), (0, 3), "{:?}", whole.gaps);
    assert_eq!(whole.programs[0].carries, ["Debian Secure Boot CA"]);
    let gap = |shim: &[u8], grub: Option<&[u8]>, kernel: &[u8], want: &str| {
        let gaps = chain(shim, grub, kernel).gaps;
        assert!(gaps.len() == 1 && gaps[0].contains(want), "{want}: {gaps:?}");
    };
    let mut edited = kernel.clone();
    edited[kernel.len() / 2] ^= 1;
    gap(&shim, Some(&grub), &edited, "kernel was changed after \"Debian Secure Boot Signer");
    gap(&shim, None, &kernel, "no grubx64.efi beside shim");
    gap(&grub, None, &kernel, "which is not Microsoft's authority");
    let Some((keys, program)) = own_keys() else { return };
    let bare = std::fs::read(&program).unwrap();
    gap(&shim, Some(&bare), &kernel, "GRUB is not signed");
    gap(&bare, None, &kernel, "loader is not signed");
    let signed = keys.at("signed.efi");
    keys.sign("stranger", &program, &signed);
    let own = std::fs::read(&signed).unwrap();
    gap(&shim, Some(&own), &kernel, "\"The stranger\", which shim does not carry");
}
