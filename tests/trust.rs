//! Vendors' checksums and who signed them: GnuPG makes keys and signatures, good ones and bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::ErrorKind;
use isowright::content::Content;
use isowright::format::openpgp::Keys;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use support::web::{Answer, Web, ok, run};

const LIST: &str = "# made today\n\
    0000000000000000000000000000000000000000000000000000000000000000  other.iso\n";

/// A home of GnuPG's with its keys; its agent ends with it.
struct Gpg {
    home: tempfile::TempDir,
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .status();
    }
}

impl Gpg {
    fn new() -> Gpg {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::Builder::new().prefix("iw").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o700)).unwrap();
        Gpg { home }
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut c = Command::new("gpg")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--batch", "--yes", "--quiet", "--no-tty", "--passphrase", ""])
            .args([
                "--pinentry-mode",
                "loopback",
                "--allow-weak-digest-algos",
                "--trust-model",
                "always",
            ])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg: install the Debian package gnupg");
        c.stdin.take().unwrap().write_all(input).unwrap();
        let out = c.wait_with_output().unwrap();
        assert!(out.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    fn key(&self, user: &str, algorithm: &str, usage: &str, more: &[&str]) -> String {
        let expires = if more.is_empty() { "never" } else { "2d" };
        self.run(&[more, &["--quick-generate-key", user, algorithm, usage, expires]].concat(), b"");
        self.fingerprint(user)
    }

    fn fingerprint(&self, user: &str) -> String {
        let listed = self.run(&["--with-colons", "--list-keys", user], b"");
        let text = String::from_utf8(listed).unwrap();
        let line = text.lines().find(|l| l.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    fn public(&self, users: &[&str]) -> Vec<u8> {
        self.run(&[&["--armor", "--export"], users].concat(), b"")
    }

    fn sign(&self, user: &str, how: &[&str], text: &str) -> Vec<u8> {
        self.run(&[how, &["--local-user", user]].concat(), text.as_bytes())
    }
}

/// Yesterday's yesterday, for what is to be expired.
const LONG_AGO: [&str; 2] = ["--faked-system-time", "20240101T000000!"];

/// The keys of all tests: made once.
static GPG: LazyLock<Gpg> = LazyLock::new(|| {
    let g = Gpg::new();
    g.key("plain", "ed25519", "sign", &[]);
    g.key("other", "ed25519", "sign", &[]);
    g.key("rsa", "rsa2048", "sign", &[]);
    g.key("old", "ed25519", "sign", &LONG_AGO);
    let sub = g.key("sub", "ed25519", "cert", &[]);
    g.run(&["--quick-add-key", &sub, "ed25519", "sign", "never"], b"");
    g
});

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs() as i64
}

fn keys(users: &[&str]) -> Keys {
    Keys::parse(&GPG.public(users)).unwrap()
}

fn refused(keys: &Keys, data: &str, signature: &[u8], kind: ErrorKind, words: &str) {
    let e = keys.verify(data.as_bytes(), signature, now()).unwrap_err();
    assert_eq!(e.kind(), kind, "{e}");
    assert!(e.to_string().contains(words), "{words}: {e}");
}

#[test]
fn good_signatures_hold_whatever_way_they_are_written() {
    for (user, how) in [
        ("plain", &["--detach-sign"][..]),
        ("plain", &["--detach-sign", "--armor"]),
        ("plain", &["--detach-sign", "--textmode", "--armor"]),
        ("rsa", &["--detach-sign", "--digest-algo", "SHA512"]),
        ("sub", &["--detach-sign"]),
    ] {
        let signature = GPG.sign(user, how, LIST);
        // Among others, armoured together; each in a block of its own; and not armoured.
        let binary = GPG.run(&["--export", "other", user], b"");
        let blocks = [GPG.public(&["other"]), GPG.public(&[user])].concat();
        for file in [GPG.public(&["other", user]), blocks, binary] {
            let by = Keys::parse(&file).unwrap().verify(LIST.as_bytes(), &signature, now());
            let by = by.unwrap_or_else(|e| panic!("{user} {how:?}: {e}"));
            assert_eq!(by.fingerprint, GPG.fingerprint(user));
            assert_eq!((by.user.as_str(), by.subkey.is_some()), (user, user == "sub"));
        }
    }
    // Two signatures in a file, one of them by a stranger.
    let both = GPG.run(&["--detach-sign", "-u", "other", "-u", "rsa"], LIST.as_bytes());
    assert_eq!(keys(&["rsa"]).verify(LIST.as_bytes(), &both, now()).unwrap().user, "rsa");
}

#[test]
fn clear_text_is_what_was_signed_and_no_more() {
    let text = "- dashed\n  spaces at the end   \nSHA256 (a.iso) = 00\n";
    let message = GPG.sign("plain", &["--clear-sign"], text);
    let around = [b"not signed\n".to_vec(), message.clone(), b"not signed\n".to_vec()].concat();
    let (got, by) = keys(&["plain"]).verify_clear(&around, now()).unwrap();
    assert_eq!(got.trim_end(), "- dashed\n  spaces at the end\nSHA256 (a.iso) = 00");
    assert_eq!(by.user, "plain");
    let altered = String::from_utf8(message).unwrap().replace("= 00", "= 01");
    let e = keys(&["plain"]).verify_clear(altered.as_bytes(), now()).unwrap_err();
    assert!(e.kind() == ErrorKind::Corrupt && e.to_string().contains("altered"), "{e}");
    for broken in
        ["", "-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n", "x\n-----END PGP SIGNATURE-----\n"]
    {
        assert!(keys(&["plain"]).verify_clear(broken.as_bytes(), now()).is_err());
    }
}

#[test]
fn an_altered_list_a_strange_key_and_no_signature_are_told_apart() {
    let signature = GPG.sign("plain", &["--detach-sign"], LIST);
    refused(&keys(&["plain"]), &LIST.replace('0', "1"), &signature, ErrorKind::Corrupt, "altered");
    refused(&keys(&["other"]), LIST, &signature, ErrorKind::Conflict, "none of the keys given");
    let e = keys(&["other"]).verify(LIST.as_bytes(), &signature, now()).unwrap_err();
    assert!(e.to_string().contains(&GPG.fingerprint("plain")), "{e}");
    assert!(e.hint_text().unwrap().contains(&GPG.fingerprint("other")));
    for broken in [&b""[..], b"hello", b"\x88\x99\x00", &signature[..signature.len() - 9]] {
        assert!(keys(&["plain"]).verify(LIST.as_bytes(), broken, now()).is_err());
    }
}

#[test]
fn keys_that_are_over_are_refused() {
    let signature = GPG.sign("old", &[&LONG_AGO[..], &["--detach-sign"]].concat(), LIST);
    refused(&keys(&["old"]), LIST, &signature, ErrorKind::Conflict, "is expired");
    let then = 1_704_067_200 + 3600;
    assert_eq!(keys(&["old"]).verify(LIST.as_bytes(), &signature, then).unwrap().user, "old");
    let short = [&LONG_AGO[..], &["--default-sig-expire", "1d", "--detach-sign"]].concat();
    let signature = GPG.sign("old", &short, LIST);
    let late = keys(&["old"]).verify(LIST.as_bytes(), &signature, then + 86_400).unwrap_err();
    assert!(late.to_string().contains("for a time that is over"), "{late}");
    // A clock that is years behind: from there the signature is one of the future.
    let signature = GPG.sign("plain", &["--detach-sign"], LIST);
    let e = keys(&["plain"]).verify(LIST.as_bytes(), &signature, now() - 3 * 86_400).unwrap_err();
    assert!(e.to_string().contains("future"), "{e}");
}

#[test]
fn revoked_keys_and_subkeys_are_refused() {
    let g = Gpg::new();
    let print = g.key("gone", "ed25519", "sign", &[]);
    let signature = g.sign("gone", &["--detach-sign"], LIST);
    let good = Keys::parse(&g.public(&["gone"])).unwrap();
    good.verify(LIST.as_bytes(), &signature, now()).unwrap();
    let file = g.home.path().join("openpgp-revocs.d").join(format!("{print}.rev"));
    let text = std::fs::read_to_string(file).unwrap().replace(":-----BEGIN", "-----BEGIN");
    g.run(&["--import"], text.as_bytes());
    let revoked = Keys::parse(&g.public(&["gone"])).unwrap();
    refused(&revoked, LIST, &signature, ErrorKind::Conflict, "was revoked");

    let print = g.key("sub", "ed25519", "cert", &[]);
    g.run(&["--quick-add-key", &print, "ed25519", "sign", "never"], b"");
    let signature = g.sign("sub", &["--detach-sign"], LIST);
    let edit = ["--command-fd", "0", "--no-batch", "--edit-key", &print];
    g.run(&edit, b"key 1\nrevkey\ny\n0\n\ny\nsave\n");
    let revoked = Keys::parse(&g.public(&["sub"])).unwrap();
    refused(&revoked, LIST, &signature, ErrorKind::Conflict, "which was revoked");

    let print = g.key("late", "ed25519", "cert", &[]);
    let add = [
        &LONG_AGO[..],
        &["--ignore-time-conflict", "--quick-add-key", &print, "ed25519", "sign", "2d"],
    ];
    g.run(&add.concat(), b"");
    let how = [&LONG_AGO[..], &["--ignore-time-conflict", "--detach-sign"]].concat();
    let signature = g.sign("late", &how, LIST);
    let late = Keys::parse(&g.public(&["late"])).unwrap();
    refused(&late, LIST, &signature, ErrorKind::Conflict, "is expired");
}

#[test]
fn hashes_that_can_be_forged_are_refused() {
    for (hash, name) in [("SHA1", "SHA1"), ("MD5", "MD5"), ("RIPEMD160", "RIPEMD160")] {
        let signature = GPG.sign("rsa", &["--detach-sign", "--digest-algo", hash], LIST);
        refused(&keys(&["rsa"]), LIST, &signature, ErrorKind::Conflict, name);
    }
}

#[test]
fn what_is_no_key_is_told() {
    for bad in [&b""[..], b"hello", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", b"\x99\x01"]
    {
        assert!(Keys::parse(bad).is_err());
    }
    let secret = GPG.run(&["--armor", "--export-secret-keys", "plain"], b"");
    assert_eq!(Keys::parse(&secret).unwrap_err().kind(), ErrorKind::Usage);
}

// ---- the program

fn fails(args: &[&str], words: &str) {
    let out = run(args);
    let e = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{args:?}: {e}");
    assert!(e.contains(words) && e.contains("hint: "), "{words}: {e}");
}

/// A folder with an ISO, its lists and a key, and the same by URL.
struct Mirror {
    dir: tempfile::TempDir,
    web: Web,
    sum: String,
}

fn mirror() -> Option<Mirror> {
    let iso = support::material("img-el.iso")?;
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&iso, dir.path().join("some.iso")).unwrap();
    let sum = isowright::content::copy::digest(&Content::open(&iso).unwrap(), &|_| true).unwrap();
    let sum = sum.to_string();
    let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let list = format!("{LIST}{sum} *some.iso\n");
    put("SHA256SUMS", list.as_bytes());
    put("SHA256SUMS.sign", &GPG.sign("sub", &["--detach-sign", "--armor"], &list));
    put("elsewhere", &GPG.sign("sub", &["--detach-sign"], &list));
    let bsd = format!("# some.iso: 5 bytes\nSHA256 (some.iso) = {sum}\n");
    put("CHECKSUM", &GPG.sign("plain", &["--clear-sign"], &bsd));
    put("unsigned", list.as_bytes());
    put("wrong", list.replace(&sum, &"1".repeat(64)).as_bytes());
    put("weak", b"d41d8cd98f00b204e9800998ecf8427e  some.iso\n");
    put("twice", format!("{list}{}  some.iso\n", "1".repeat(64)).as_bytes());
    put("key.asc", &GPG.public(&["sub", "plain"]));
    put("other.asc", &GPG.public(&["other"]));
    let root: PathBuf = dir.path().to_owned();
    let web =
        Web::new(move |ask| match std::fs::read(root.join(ask.target.trim_start_matches('/'))) {
            Ok(bytes) => Answer::right(ask, &bytes),
            Err(_) => Answer::status(404),
        });
    Some(Mirror { dir, web, sum })
}

impl Mirror {
    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }
}

#[test]
fn a_signed_list_vouches_for_an_iso_by_url_and_the_plan_says_what_was_not_compared() {
    let Some(m) = mirror() else { return };
    let (iso, key) = (m.web.url("some.iso"), m.file("key.asc"));
    let sub = GPG.fingerprint("sub");
    let list = m.web.url("SHA256SUMS");
    let by_list = ["plan", &iso, "--checksums", &list, "--key", &key];
    let told = ok(&by_list);
    let words =
        format!("The ISO's SHA256 is {} by the list {list}, signed by sub ({sub}); ", m.sum);
    assert!(told.contains(&words) && told.contains("so the whole was not compared"), "{told}");
    assert!(ok(&[&by_list[..], &["--verify-whole"]].concat()).contains("the whole was compared"));
    let json: serde_json::Value =
        serde_json::from_str(&ok(&[&by_list[..], &["--json"]].concat())).unwrap();
    let source = &json["source"];
    assert_eq!(
        (source["url"].as_str(), source["version"].as_str()),
        (Some(iso.as_str()), Some("\"one\""))
    );
    let vouched = &source["vouched"];
    assert_eq!(vouched["digest"], m.sum.as_str());
    assert_eq!(vouched["signer"]["fingerprint"], sub.as_str());
    assert_eq!(vouched["compared"], false);
    // In the list itself; beside it under another name; as files; with the sum alone; with nothing.
    let elsewhere = m.file("elsewhere");
    let clear = m.web.url("CHECKSUM");
    assert!(
        ok(&["plan", &iso, "--checksums", &clear, "--key", &key]).contains("signed by plain (")
    );
    let with = ["--checksums", &list, "--key", &key, "--signature", &elsewhere];
    assert!(ok(&[&["plan", &iso][..], &with].concat()).contains("signed by sub ("));
    let unsigned = m.file("unsigned");
    assert!(ok(&["plan", &iso, "--checksums", &unsigned]).contains("which is not signed"));
    assert!(ok(&["plan", &iso, "--sha256", &m.sum]).contains("as given; "));
    assert!(ok(&["plan", &iso]).contains("Nobody vouches for the ISO"));
}

#[test]
fn a_file_is_always_compared_and_another_one_refused_before_anything_is_written() {
    let Some(m) = mirror() else { return };
    let (iso, url, key) = (m.file("some.iso"), m.web.url("some.iso"), m.file("key.asc"));
    let out = m.file("out");
    let told = ok(&["plan", &iso, "--checksums", &m.file("SHA256SUMS"), "--key", &key]);
    assert!(told.contains("the whole was compared"), "{told}");
    let build = |image: &str, more: &[&str], words: &str| {
        fails(&[&["build", image, "-o", &out][..], more].concat(), words);
        assert!(!Path::new(&out).exists());
    };
    build(&iso, &["--checksums", &m.file("wrong")], "SHA-256 is");
    build(&url, &["--checksums", &m.file("wrong"), "--verify-whole"], "SHA-256 is");
    build(&iso, &["--sha256", &"1".repeat(64)], "as demanded");
    build(&iso, &["--checksums", &m.file("weak")], "can be forged");
    build(&iso, &["--checksums", &m.file("twice")], "two different sums");
    build(&iso, &["--checksums", &m.file("key.asc")], "not in the list");
    build(&iso, &["--checksums", &m.file("SHA256SUMS"), "--sha256", &"1".repeat(64)], "you say");
    build(
        &iso,
        &["--checksums", &m.file("SHA256SUMS"), "--key", &m.file("other.asc")],
        "none of the keys",
    );
    build(
        &iso,
        &["--checksums", &m.file("unsigned"), "--key", &key],
        "no signature lies beside it",
    );
    build(&iso, &["--checksums", &m.web.url("none"), "--key", &key], "404");
    build(&iso, &["--key", &key], "no list of checksums");
    build(&iso, &["--verify-whole"], "nothing is given");
    build(
        &iso,
        &["--checksums", &m.file("SHA256SUMS"), "--signature", &m.file("elsewhere")],
        "no key",
    );
}

#[test]
fn a_recipe_file_names_list_and_key_beside_itself() {
    let Some(m) = mirror() else { return };
    let job = m.dir.path().join("job.toml");
    let source =
        format!("[source]\nurl = \"{}\"\nchecksums = \"SHA256SUMS\"\n", m.web.url("some.iso"));
    let write = |more: &str| {
        std::fs::write(&job, format!("{source}{more}[[output]]\ndir = \"tree\"\n")).unwrap();
    };
    let file = job.to_str().unwrap();
    write("key = \"key.asc\"\nverify_whole = true\n");
    ok(&["build", file]);
    let text = std::fs::read_to_string(m.dir.path().join("tree/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["source"]["vouched"]["compared"], true);
    assert_eq!(manifest["source"]["vouched"]["signer"]["user"], "sub");
    write("key = [\"other.asc\", \"key.asc\"]\n");
    ok(&["plan", file]);
    write("key = [\"other.asc\"]\n");
    fails(&["plan", file], "none of the keys");
    write("signature = \"elsewhere\"\n");
    fails(&["plan", file], "no key to check it with");
}
