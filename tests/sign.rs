//! Signatures against openssl: what is signed here it verifies, byte for byte as it would sign itself; and what
//! was altered, or is signed by somebody else, is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::serve::{Server, Site};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};

fn openssl(dir: &Path, args: &str) -> Output {
    let args = args.split_whitespace();
    Command::new("openssl").args(args).current_dir(dir).output().unwrap()
}

#[track_caller]
fn made(dir: &Path, args: &str) {
    let o = openssl(dir, args);
    assert!(o.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&o.stderr));
}

const CODE: &str =
    "-addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=codeSigning";

/// Keys and certificates: `self` signs itself; `ca` vouches for `signer`, and for `web`, which is no signer.
fn keys() -> Option<tempfile::TempDir> {
    // To find primes takes longer than all else: once for all tests.
    static MADE: LazyLock<Option<tempfile::TempDir>> = LazyLock::new(make_keys);
    let dir = tempfile::tempdir().unwrap();
    for f in std::fs::read_dir(MADE.as_ref()?.path()).unwrap().flatten() {
        std::fs::copy(f.path(), dir.path().join(f.file_name())).unwrap();
    }
    Some(dir)
}

fn make_keys() -> Option<tempfile::TempDir> {
    support::packaged("/usr/bin/openssl", "openssl")?;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let d = dir.path();
    let new = "-newkey rsa:2048 -nodes -days 30";
    made(d, &format!("req -x509 {new} -keyout self.key -out self.pem -subj /CN=self {CODE}"));
    made(d, &format!("req -x509 {new} -keyout ca.key -out ca.pem -subj /CN=ca"));
    made(d, &format!("req -x509 {new} -keyout plain.key -out plain.pem -subj /CN=plain"));
    for (name, extensions) in [
        ("signer", "keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n"),
        ("web", "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"),
    ] {
        std::fs::write(d.join("ext"), extensions).unwrap();
        made(d, &format!("req -new {new} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        made(
            d,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out {name}.pem"
            ),
        );
    }
    made(d, "rsa -in self.key -traditional -out self.pkcs1");
    made(d, "pkey -in self.key -aes256 -passout pass:x -out encrypted.key");
    made(d, "ecparam -name prime256v1 -genkey -noout -out ec.key");
    made(d, "genrsa -out short.key 1024");
    let both = ["signer.key", "signer.pem", "ca.pem"].map(|f| std::fs::read(d.join(f)).unwrap());
    std::fs::write(d.join("both.pem"), both.concat()).unwrap();
    Some(dir)
}

fn tool(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    let o = c.args(args).current_dir(dir).output().unwrap();
    let text = |b| String::from_utf8(b).unwrap();
    (o.status.code(), text(o.stdout), text(o.stderr))
}

fn demo() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso").to_str().unwrap().to_owned()
}

#[track_caller]
fn build(dir: &Path, more: &[&str]) -> String {
    let demo = demo();
    let (code, out, err) = tool(dir, &[&["build", &demo, "-o", "tree"], more].concat());
    assert_eq!(code, Some(0), "{err}");
    out
}

fn signatures(tree: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = support::folder(tree)
        .files()
        .map(|(p, _)| tree.join(p.as_path()))
        .filter(|p| p.extension().is_some_and(|e| e == "sig"))
        .collect();
    found.sort();
    found
}

#[test]
fn openssl_verifies_each_signature_and_would_have_made_the_same() {
    let Some(keys) = keys() else { return };
    let d = keys.path();
    build(d, &["--sign", "both.pem"]);
    let tree = d.join("tree");
    let all = signatures(&tree);
    let names: Vec<_> =
        all.iter().map(|p| p.strip_prefix(&tree).unwrap().to_str().unwrap()).collect();
    let wanted = [
        "EFI/BOOT/grub.cfg.sig",
        "boot.ipxe.sig",
        "grub/grub.cfg.sig",
        "initrd.img.sig",
        "manifest.json.sig",
        "vmlinuz.sig",
    ];
    assert_eq!(names, wanted);
    let verify = |sig: &Path, file: &Path, ca: &str| {
        openssl(
            d,
            &format!(
                "cms -verify -binary -inform DER -in {} -content {} -CAfile {ca} -purpose any -out /dev/null",
                sig.display(),
                file.display()
            ),
        )
    };
    for sig in &all {
        let file = sig.with_extension("");
        assert!(verify(sig, &file, "ca.pem").status.success(), "{}", sig.display());
        assert!(!verify(sig, &file, "self.pem").status.success(), "{}", sig.display());
        made(
            d,
            &format!(
                "cms -sign -binary -noattr -in {} -signer signer.pem -inkey signer.key -certfile ca.pem -outform DER -out theirs",
                file.display()
            ),
        );
        let (ours, theirs) =
            (std::fs::read(sig).unwrap(), std::fs::read(d.join("theirs")).unwrap());
        assert_eq!(ours.len(), theirs.len(), "{}", sig.display());
        // The value of the signature ends it; certificates may stand in another order.
        assert_eq!(ours[ours.len() - 256..], theirs[theirs.len() - 256..]);
        std::fs::write(d.join("other"), [std::fs::read(&file).unwrap(), b"x".to_vec()].concat())
            .unwrap();
        assert!(!verify(sig, &d.join("other"), "ca.pem").status.success());
    }
    // With one certificate nothing can stand in another order.
    build(d, &["--sign", "self.pkcs1", "--cert", "self.pem"]);
    made(
        d,
        "cms -sign -binary -noattr -in tree/vmlinuz -signer self.pem -inkey self.key -outform DER -out theirs",
    );
    assert_eq!(
        std::fs::read(tree.join("vmlinuz.sig")).unwrap(),
        std::fs::read(d.join("theirs")).unwrap()
    );
}

#[test]
fn verify_tells_who_signed_and_what_was_altered() {
    let Some(keys) = keys() else { return };
    let d = keys.path();
    let tree = d.join("tree");
    build(d, &[]);
    let (code, out, _) = tool(d, &["verify", "tree", "--cert", "ca.pem"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("BROKEN: manifest.json.sig: missing: nobody signed the manifest"),
        "{out}"
    );

    let out = build(d, &["--sign", "both.pem"]);
    assert!(out.contains("(5 written, 25 there already, 0 removed)"), "{out}");
    let out = build(d, &["--sign", "both.pem"]);
    assert!(out.contains("(0 written, 30 there already, 0 removed)"), "{out}");
    for trusted in ["ca.pem", "signer.pem"] {
        let (code, out, err) = tool(d, &["verify", "tree", "--ca", trusted]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.contains("6 signatures hold, by signer\n"), "{out}");
    }
    let (code, out, _) = tool(d, &["verify", "tree"]);
    assert_eq!(code, Some(0), "{out}");
    let (code, out, _) = tool(d, &["verify", "tree", "--cert", "self.pem"]);
    assert_eq!(code, Some(1));
    assert_eq!(out.matches("for whom no certificate given vouches").count(), 6, "{out}");

    let site = Site::folder(&tree).unwrap();
    let server = Server::start(site, "127.0.0.1:0".parse().unwrap(), Arc::new(|_| {})).unwrap();
    let url = format!("http://{}/boot.ipxe", server.addr());
    let (code, out, _) = tool(d, &["verify", &url, "--ca", "ca.pem"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("6 signatures hold, by signer\n"), "{out}");

    // Whoever changes a file and the manifest with it can't make the signature.
    let at = tree.join("manifest.json");
    let text = std::fs::read_to_string(&at).unwrap();
    std::fs::write(&at, text.replace("\"ram_mib\":3072", "\"ram_mib\":3071")).unwrap();
    assert!(std::fs::read_to_string(&at).unwrap() != text);
    for place in ["tree", &url] {
        let (code, out, _) = tool(d, &["verify", place, "--ca", "ca.pem"]);
        assert_eq!(code, Some(1), "{out}");
        assert!(
            out.contains("manifest.json.sig: is not signer's signature of manifest.json"),
            "{out}"
        );
    }
    // A certificate of the same authority that is for something else.
    std::fs::write(&at, &text).unwrap();
    for file in ["manifest.json", "vmlinuz"] {
        made(
            d,
            &format!(
                "cms -sign -binary -noattr -in tree/{file} -signer web.pem -inkey web.key -outform DER -out tree/{file}.sig"
            ),
        );
    }
    let (code, out, _) = tool(d, &["verify", "tree", "--ca", "ca.pem"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("manifest.json.sig: is signed by web, for whom no certificate given vouches"),
        "{out}"
    );

    let out = build(d, &[]);
    assert!(out.contains("5 removed"), "{out}");
    assert_eq!(signatures(&tree), [] as [PathBuf; 0]);
}

#[test]
fn keys_that_can_not_sign_are_refused_with_the_way_out() {
    let Some(keys) = keys() else { return };
    let d = keys.path();
    let demo = demo();
    for (key, cert, words) in [
        ("encrypted.key", "self.pem", "the key is encrypted"),
        ("ec.key", "self.pem", "the key is not RSA"),
        ("short.key", "self.pem", "a key of 1024 bits"),
        ("self.key", "ca.pem", "no certificate is the key's: ca"),
        ("self.key", "self.key", "there is no certificate for the key"),
        ("plain.key", "plain.pem", "may not sign code"),
        ("web.key", "web.pem", "may not sign code"),
        ("self.pem", "self.pem", "no private key"),
    ] {
        let (code, out, err) =
            tool(d, &["build", &demo, "-o", "none", "--sign", key, "--cert", cert]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{key}");
        assert!(
            err.contains(words) && err.contains("\nhint: openssl")
                || err.contains("make both with"),
            "{err}"
        );
        assert!(!d.join("none").exists());
    }
    let (code, _, _) = tool(d, &["build", &demo, "-o", "none", "--imgverify"]);
    assert_eq!(code, Some(2), "--imgverify without --sign");
}

#[test]
fn the_script_checks_what_it_starts_only_where_asked() {
    let Some(keys) = keys() else { return };
    let d = keys.path();
    let script = || std::fs::read_to_string(d.join("tree/boot.ipxe")).unwrap();
    build(d, &["--sign", "self.key", "--cert", "self.pem"]);
    assert!(!script().contains("imgverify"));
    build(d, &["--sign", "self.key", "--cert", "self.pem", "--imgverify"]);
    let lines = "initrd initrd.img || goto failed\n\
                 imgverify vmlinuz vmlinuz.sig || goto failed\n\
                 imgverify initrd.img initrd.img.sig || goto failed\nboot || goto failed\n";
    assert!(script().contains(lines), "{}", script());
    let (code, out, _) = tool(d, &["verify", "tree", "--cert", "self.pem"]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn the_chain_is_told_link_by_link_with_its_gaps() {
    let Some(keys) = keys() else { return };
    let d = keys.path();
    let states = |args: &[&str]| {
        let (code, out, err) = tool(d, &[&["verify", "--chain", "--json"], args].concat());
        let v: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}"));
        let links = v["chain"]["links"].as_array().unwrap();
        let link = |l: &serde_json::Value| {
            (l["link"].as_str().unwrap().to_owned(), l["state"].as_str().unwrap().to_owned())
        };
        (
            code,
            links.iter().map(link).collect::<std::collections::BTreeMap<_, _>>(),
            v["chain"].clone(),
        )
    };
    build(d, &[]);
    let (code, links, chain) = states(&["tree"]);
    assert_eq!(code, Some(0), "a gap is no fault");
    assert_eq!(links["signer -> manifest"], "gap");
    assert_eq!(links["checksum -> medium"], "gap");
    assert_eq!(links["manifest -> files"], "held");
    assert_eq!(chain["whole"], false);
    let kernel =
        chain["files"].as_array().unwrap().iter().find(|f| f["path"] == "vmlinuz").unwrap();
    assert_eq!(kernel["from"], "iso:/images/pxeboot/vmlinuz @ 0x2d000");

    build(d, &["--sign", "both.pem"]);
    assert_eq!(states(&["tree"]).1["signer -> manifest"], "gap", "nobody said whom to trust");
    let (_, links, _) = states(&["tree", "--ca", "ca.pem"]);
    assert_eq!(links["signer -> manifest"], "held");
    let (code, out, _) = tool(d, &["verify", "tree", "--ca", "ca.pem", "--chain"]);
    assert_eq!(code, Some(0));
    for line in [
        "   GAP     vendor -> checksum ",
        "   held    medium -> digests     files of the medium's bytes: 21, 1 more with changes that are listed, 3 made here\n",
        "   held    manifest -> files     all 30 files have the manifest's digests\n",
        "   held    signer -> manifest    signer signed it, and 5 files\n",
        "  initrd.img <- iso:/images/pxeboot/initrd.img + 1456 bytes of ours\n",
        "The chain has a gap.\n",
    ] {
        assert!(out.contains(line), "{line:?} is not in {out}");
    }
    std::fs::write(d.join("tree/vmlinuz"), "another kernel..").unwrap();
    let (code, links, chain) = states(&["tree", "--ca", "ca.pem"]);
    assert_eq!((code, links["manifest -> files"].as_str()), (Some(1), "broken"));
    let broken: Vec<_> =
        chain["files"].as_array().unwrap().iter().filter(|f| f["state"] == "broken").collect();
    assert_eq!((broken.len(), &broken[0]["path"]), (1, &serde_json::Value::from("vmlinuz")));
}

/// From a list that the vendor signed to each file: nothing is left out.
#[test]
fn a_whole_chain_is_told_as_whole() {
    let Some(keys) = keys() else { return };
    let Some(gpg) = support::packaged("/usr/bin/gpg", "gpg") else { return };
    let d = keys.path();
    // Its agent's socket has a path of 108 bytes at most.
    let home = tempfile::Builder::new().prefix("g").tempdir_in("/tmp").unwrap();
    let gpg = |args: &[&str]| {
        let o = Command::new(&gpg)
            .arg("--homedir")
            .arg(home.path())
            .args([
                "--batch",
                "--yes",
                "--quiet",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(args)
            .current_dir(d)
            .output()
            .unwrap();
        assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    };
    gpg(&["--quick-generate-key", "Vendor", "rsa2048", "sign", "never"]);
    gpg(&["--armor", "--output", "vendor.asc", "--export"]);
    std::fs::copy(demo(), d.join("some.iso")).unwrap();
    let sums = Command::new("sha256sum").arg("some.iso").current_dir(d).output().unwrap();
    std::fs::write(d.join("SHA256SUMS"), sums.stdout).unwrap();
    gpg(&["--armor", "--output", "SHA256SUMS.asc", "--detach-sign", "SHA256SUMS"]);
    let _ =
        Command::new("gpgconf").arg("--homedir").arg(home.path()).args(["--kill", "all"]).status();

    let vendors = ["--checksums", "SHA256SUMS", "--key", "vendor.asc"];
    let all = [&["build", "some.iso", "-o", "tree", "--sign", "both.pem"], &vendors[..]].concat();
    let (code, _, err) = tool(d, &all);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, _) = tool(d, &["verify", "tree", "--ca", "ca.pem", "--chain"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("The chain is whole.\n") && !out.contains("GAP"), "{out}");
    assert!(out.contains("SHA256SUMS, signed by Vendor ("), "{out}");
    assert_eq!(out.lines().filter(|l| l.starts_with("   held  ")).count(), 5 + 30, "{out}");
    // By HTTP too.
    let site = Site::folder(&d.join("tree")).unwrap();
    let server = Server::start(site, "127.0.0.1:0".parse().unwrap(), Arc::new(|_| {})).unwrap();
    let url = format!("http://{}/", server.addr());
    let (_, out, _) = tool(d, &["verify", &url, "--ca", "ca.pem", "--chain", "--whole"]);
    assert!(out.contains("The chain is whole.\n"), "{out}");
}
