//! One tree for many machines: its boot files as goldens, what 1,000 of them cost, what an unlisted one
//! gets, where secrets may not be, and every way to hold `hosts.toml` wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::source::ReadAt;
use isowright::content::tree::{Node, Tree};
use isowright::format::compress::{self, Codec};
use isowright::format::cpio;
use isowright::media::Media;
use isowright::model::hosts::Hosts;
use isowright::model::profile::Profile;
use isowright::plan::{self, NetbootPair, Plan, Target, render};
use isowright::recipe::{self, select};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

const EXAMPLE: &str = include_str!("../profiles/hosts.toml");
const WIPING: [&str; 5] =
    ["clearpart", "zerombr", "autopart", "confirm_nooverwrite", "partman-auto/method"];

fn run(args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null()).args(args).output().unwrap()
}

fn ok(args: &[&str]) -> String {
    let o = run(args);
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).unwrap()
}

fn demo() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso").to_string_lossy().into_owned()
}

/// A folder with a file in it, and the paths of both.
fn folder(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join(name);
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (tmp, path)
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(&d).unwrap().flatten() {
            match e.file_type().unwrap().is_dir() {
                true => todo.push(e.path()),
                false => {
                    let below = e.path().strip_prefix(dir).unwrap().to_owned();
                    out.insert(below, std::fs::read(e.path()).unwrap());
                }
            }
        }
    }
    out
}

/// The plan of a fixture for these hosts; `initrd` stands in for the medium's.
fn planned(name: &str, hosts: &str, profile: &Profile, initrd: Option<&[u8]>) -> Plan {
    tried(name, hosts, profile, initrd).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn tried(
    name: &str,
    hosts: &str,
    profile: &Profile,
    initrd: Option<&[u8]>,
) -> isowright::Result<Plan> {
    let (mut tree, volume_id) = support::fixture(name);
    if let Some(bytes) = initrd {
        tree.insert("images/pxeboot/initrd.img".parse().unwrap(), Node::file(bytes.to_vec()));
    }
    of_tree(name, (tree, &volume_id), hosts, profile)
}

fn of_tree(
    name: &str,
    (tree, volume_id): (Tree, &str),
    hosts: &str,
    profile: &Profile,
) -> isowright::Result<Plan> {
    let media = Media::of_tree(&format!("{name}.iso"), volume_id, tree);
    let recipes = recipe::bundled().unwrap();
    let labels = recipe::label::labels(&recipes).unwrap();
    let (docs, identity) = (media.boot_docs(), media.identity(&labels));
    let recipe = select::select(&recipes, &identity, &media.tree, true).unwrap().recipe;
    let stand_in = |name: &str, bytes: Vec<u8>| (name.to_owned(), Content::from(bytes));
    let empty = cpio::archive(&[]).and_then(|c| c.read_all(1000)).unwrap();
    let netboot = recipe.netboot.as_ref().map(|_| NetbootPair {
        kernel: stand_in("linux", b"a stand-in\n".to_vec()),
        initrd: stand_in("initrd.gz", empty),
    });
    let (hosts, _) = Hosts::from_toml(hosts, "hosts.toml").unwrap();
    let target = Target { netboot, hosts: Some(hosts), ..Target::default() };
    let inputs = plan::Inputs {
        media: &media,
        docs: &docs,
        identity: &identity,
        recipe,
        profile,
        target: &target,
    };
    plan::make(&inputs)
}

fn text(plan: &Plan, path: &str) -> String {
    let file = plan.files.get(&path.parse().unwrap()).unwrap_or_else(|| panic!("no {path}"));
    String::from_utf8_lossy(&file.content.read_all(8 << 20).unwrap()).into_owned()
}

#[test]
fn three_hosts_are_planned_as_their_goldens_say() {
    let mut wrong = String::new();
    for name in ["almalinux-9-dvd", "debian-12-netinst"] {
        let plan = planned(name, EXAMPLE, &Profile::metal().unwrap(), None);
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        let shown = render::text(&plan, true).replace(" @ 0x0", "");
        for (file, text) in [
            ("plan.txt", shown),
            ("boot.ipxe", text(&plan, "boot.ipxe")),
            ("grub_grub.cfg", text(&plan, "grub/grub.cfg")),
        ] {
            let path = dir.join("golden/hosts").join(file);
            if std::env::var_os("UPDATE_GOLDENS").is_some() {
                assert!(std::env::var_os("CI").is_none(), "CI does not write goldens");
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let want = std::fs::read_to_string(&path).unwrap_or_default();
            let differs = want.lines().zip(text.lines()).find(|(a, b)| a != b);
            if want != text {
                writeln!(wrong, "{}: {differs:?}", path.display()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_GOLDENS=1 rewrites them");
}

/// `n` hosts with four ports and an address each.
fn table(n: usize) -> String {
    let mut s = "hostname,macs,address,gateway,disks,raid1,role\n".to_owned();
    for i in 0..n {
        let (a, b) = (i >> 8, i & 255);
        let macs: Vec<String> =
            (1..=4).map(|p| format!("52:54:00:{a:02x}:{b:02x}:{p:02x}")).collect();
        writeln!(s, "node{i}.example.org,{},10.{a}.{b}.2/24,10.{a}.{b}.1,,,", macs.join(" "))
            .unwrap();
    }
    s
}

/// What a host with four ports and an address of its own adds beside its answers, in bytes.
const PER_HOST: usize = 1700;

#[test]
fn a_thousand_hosts_add_their_answers_and_no_kernel_or_initrd() {
    let (one, thousand) = (folder("hosts.csv", &table(1)), folder("hosts.csv", &table(1000)));
    let tree = |(dir, hosts): &(tempfile::TempDir, String)| {
        let out = dir.path().join("tree");
        ok(&["build", &demo(), "--hosts", hosts, "--unattended", "-o", out.to_str().unwrap()]);
        ok(&["verify", out.to_str().unwrap()]);
        files(&out)
    };
    let (small, big) = (tree(&one), tree(&thousand));
    assert_eq!(big.len() - small.len(), 999, "one answer file for each host more");
    let grown = ["boot.ipxe", "grub/grub.cfg", "EFI/BOOT/grub.cfg", "manifest.json", "SHA256SUMS"];
    for (path, bytes) in &small {
        assert!(grown.iter().any(|g| Path::new(g) == path) || big[path] == *bytes, "{path:?}");
    }
    let bytes = |t: &BTreeMap<PathBuf, Vec<u8>>| t.values().map(Vec::len).sum::<usize>();
    let answers: usize =
        big.iter().filter(|(p, _)| p.starts_with("answers")).map(|(_, b)| b.len()).sum();
    let rest = bytes(&big) - bytes(&small) - answers;
    // Four ports, an address and a name stand in boot.ipxe and grub.cfg; names and digests in the
    // manifest and SHA256SUMS.
    assert!(rest < 1000 * PER_HOST, "{} bytes a host beside its answers", rest / 1000);
    assert!(big[Path::new("boot.ipxe")].len() < 400 << 10, "{}", big[Path::new("boot.ipxe")].len());
    // Debian's are in small initrds, for its big one knows no host.
    let (mut hosts, metal) = (Hosts::default(), Profile::metal().unwrap());
    hosts.add_csv(&table(1000), "hosts.csv").unwrap();
    let lines = hosts
        .hosts
        .iter()
        .map(|h| format!("[[host]]\nname = \"{}\"\nmacs = [\"{}\"]\n", h.name, h.macs[0]));
    let all = planned("debian-12-netinst", &lines.collect::<String>(), &metal, None);
    let of = |folder: &str| {
        all.files.iter().filter(|(p, _)| p.parts().next() == Some(folder.as_bytes())).count()
    };
    assert_eq!((of("hosts"), of("answers")), (1001, 0));
    assert_eq!(all.files.keys().filter(|p| p.to_string().ends_with("initrd.img")).count(), 1);
}

#[test]
fn a_machine_that_is_not_listed_keeps_its_disks() {
    let mut profile = Profile::metal().unwrap();
    profile.unattended = true;
    for (name, own) in [
        ("almalinux-9-dvd", "answers/_unlisted/ks.cfg"),
        ("debian-12-netinst", "hosts/_unlisted.img"),
    ] {
        let plan = planned(name, EXAMPLE, &profile, None);
        let answers = text(&plan, own);
        let listed = text(&plan, &own.replace("_unlisted", "db1.example.org"));
        for word in WIPING {
            assert!(!answers.contains(word), "{name}: {word} for a machine that is not listed");
        }
        assert!(WIPING.iter().any(|w| listed.contains(w)), "{name}: a listed one installs");
        let script = text(&plan, "boot.ipxe");
        assert!(script.contains("choose --default leave --timeout"), "{script}");
        // From the question for its address a machine falls to `unlisted`, and from there to the menu.
        let (ports, rest) = script.split_once("goto unlisted\n").unwrap();
        assert!(!ports.contains("goto start") && !ports.contains("\nkernel "), "{ports}");
        let offered = rest.split_once("\n:unlisted\n").unwrap().1;
        let before_menu = offered.split_once("\nchoose").unwrap().0;
        assert!(!before_menu.contains("goto start"), "{before_menu}");
        let grub = text(&plan, "grub/grub.cfg");
        let first = grub.split_once("if [ \"$net_default_mac\"").unwrap().0;
        assert!(first.contains("set default=leave") && !first.contains("linux "), "{first}");
    }
}

/// What the URL of the tree stands for in `HostPlan::cmdline`.
const BASE: &str = "@BASE@";

#[test]
fn every_family_gives_each_host_its_own_and_an_unlisted_machine_nothing_that_wipes() {
    let mut profile = Profile::metal().unwrap();
    profile.unattended = true;
    profile.answers.lenient = true;
    // No family takes all of it: an address and two disks are asked of each.
    let hosts = EXAMPLE.replace("nomodeset", "isowright.test");
    let mut wrong = Vec::new();
    for name in support::fixtures() {
        let plan = match tried(&name, &hosts, &profile, None) {
            Ok(plan) => plan,
            Err(e) => panic!("{name}: {e}"),
        };
        let script = text(&plan, "boot.ipxe");
        let variants = plan::hosts::variants(&script);
        for h in &plan.hosts {
            let own = format!("\nset host {}\n", h.name);
            let mine = variants.iter().find(|v| v.contains(&own)).unwrap();
            for mac in &h.macs {
                assert!(mine.contains(&format!("\n:mac-{mac}\n")), "{name}: {mac}");
            }
            assert_eq!(h.cmdline.contains("isowright.test"), h.name.starts_with("web2"), "{name}");
            let urls =
                h.cmdline.split(' ').filter_map(|w| w.split_once(&format!("{BASE}answers/")));
            for (_, below) in urls {
                assert!(below.starts_with(&format!("{}/", h.name)), "{name}: {below}");
                let path = format!("answers/{below}");
                let there = plan.files.keys().any(|p| match path.strip_suffix('/') {
                    Some(dir) => p.starts_with(&dir.parse().unwrap()),
                    None => p.to_string() == path,
                });
                assert!(there, "{name}: {path} is not there");
            }
        }
        // db1 asks for a mirror: who wipes two disks for it says that it was not seen to work here.
        let said = |words: &str| plan.notes.iter().any(|n| n.warning && n.text.contains(words));
        let refused =
            said("install.disk is not") || said("unattended is not") || said("raid1 is not");
        let mirror = said("The mirror is written from") && said("was not installed here");
        if !mirror && !refused {
            wrong.push(format!("{name}: {:?}", plan.notes));
        }
        for (path, f) in plan.files.iter().filter(|(p, _)| p.to_string().contains("_unlisted")) {
            let bytes = f.content.read_all(64 << 20).unwrap();
            for word in WIPING {
                assert!(!has(&bytes, word), "{name}: {path} has {word}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ones_own_answers_are_never_offered_to_a_machine_that_is_not_listed() {
    let (tmp, hosts) = folder("hosts.toml", EXAMPLE);
    let own = tmp.path().join("mine.ks.jinja");
    std::fs::write(&own, "clearpart --all\nnetwork --hostname={{ profile.install.hostname }}\n")
        .unwrap();
    let out = tmp.path().join("tree");
    let dir = out.to_str().unwrap();
    let args = ["build", &demo(), "--hosts", &hosts, "--answers", own.to_str().unwrap(), "-o", dir];
    ok(&args);
    let ks = std::fs::read_to_string(out.join("answers/web1.example.org/ks.cfg")).unwrap();
    assert!(ks.contains("--hostname=web1.example.org"), "filled in for each host: {ks}");
    assert!(!out.join("answers/_unlisted").exists());
    let script = std::fs::read_to_string(out.join("boot.ipxe")).unwrap();
    assert!(!script.contains("menu "), "{script}");
    let plan = ok(&["plan", &demo(), "--hosts", &hosts, "--answers", own.to_str().unwrap()]);
    assert!(plan.contains("is offered no installer: your own mine.ks may wipe"), "{plan}");
    ok(&["verify", dir]);
}

#[test]
fn wiping_is_spelled_out_for_each_host() {
    let (_tmp, hosts) = folder("hosts.toml", EXAMPLE);
    let text = ok(&["plan", &demo(), "--hosts", &hosts]);
    for words in [
        "disks    WIPED on 2 of 3 hosts",
        "WIPED without a question: the two smallest built-in disks",
        "WIPED without a question: /dev/disk/by-path/pci-0000:00:17.0-ata-1",
        "dhcp           left alone until the operator says so",
        "     52:54:00:00:02:01 52:54:00:00:02:02 52:54:00:00:02:03 52:54:00:00:02:04",
        "A machine that is not listed is never installed without a question",
    ] {
        assert!(text.contains(words), "{words} is not in:\n{text}");
    }
    let v: serde_json::Value =
        serde_json::from_str(&ok(&["plan", &demo(), "--hosts", &hosts, "--json"])).unwrap();
    let rows = v["hosts"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[0]["unattended"], &rows[1]["unattended"]), (&true.into(), &false.into()));
    assert!(rows[2]["cmdline"].as_str().unwrap().contains("nomodeset"), "{}", rows[2]);
    assert!(!rows[0]["cmdline"].as_str().unwrap().contains("nomodeset"), "{}", rows[0]);
}

#[test]
fn behind_an_initrd_without_an_end_the_hosts_own_stands_in_front() {
    let mut profile = Profile::metal().unwrap();
    profile.answers.delivery = Some(isowright::model::profile::Delivery::Initrd);
    let lz4 = [0x02, 0x21, 0x4c, 0x18, 1, 2, 3];
    let plan = planned("almalinux-9-dvd", EXAMPLE, &profile, Some(&lz4));
    let script = text(&plan, "boot.ipxe");
    assert!(script.contains("kernel vmlinuz initrd=${host}.img initrd=initrd.img "), "{script}");
    let at = |words: &str| script.find(words).unwrap();
    assert!(at("\ninitrd hosts/${host}.img") < at("\ninitrd initrd.img"));
    // Behind others it must begin at a multiple of 4.
    let plan = planned("almalinux-9-dvd", EXAMPLE, &profile, Some(&[0x1f, 0x8b, 8, 0, 1]));
    assert!(text(&plan, "boot.ipxe").contains("initrd=initrd.img initrd=${host}.img "));
    let initrd = &plan.files[&"initrd.img".parse().unwrap()];
    assert_eq!(initrd.content.read_all(100).unwrap(), [0x1f, 0x8b, 8, 0, 1, 0, 0, 0]);
}

/// Counts the bytes that are read of it.
struct Counted {
    bytes: Vec<u8>,
    read: std::sync::atomic::AtomicU64,
}

impl ReadAt for Counted {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> std::io::Result<()> {
        self.read.fetch_add(buf.len() as u64, std::sync::atomic::Ordering::Relaxed);
        let at = usize::try_from(off).unwrap();
        buf.copy_from_slice(&self.bytes[at..at + buf.len()]);
        Ok(())
    }
}

#[test]
fn the_vendors_initrd_is_unpacked_once_for_all_hosts() {
    let noise: Vec<u8> = (0..1u32 << 18)
        .flat_map(|i| i.wrapping_mul(0x9e37_79b9).rotate_left(i % 31).to_le_bytes())
        .collect();
    let entry = cpio::Entry::file("usr/lib/noise".parse().unwrap(), 0o644, noise);
    let plain = cpio::archive(&[entry]).unwrap().read_all(2 << 20).unwrap();
    let mut gzip = compress::Encoder::new(Codec::Gzip, None, 1, Vec::new()).unwrap();
    gzip.write_all(&plain).unwrap();
    let bytes = gzip.finish().unwrap();
    let source = Arc::new(Counted { bytes, read: 0.into() });
    let mut profile = Profile::metal().unwrap();
    // casper's script and its data lie in folders, so that both must be held against the vendor's.
    profile.answers.delivery = Some(isowright::model::profile::Delivery::Initrd);
    let (mut tree, volume_id) = support::fixture("ubuntu-24.04-live-server");
    let content = Content::whole(source.clone());
    tree.insert("casper/initrd".parse().unwrap(), Node::file(content));
    let plan = of_tree("ubuntu-24.04-live-server", (tree, &volume_id), EXAMPLE, &profile).unwrap();
    assert!(plan.files.contains_key(&"hosts/web1.example.org.img".parse().unwrap()));
    let read = source.read.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read > source.len() && read < source.len() * 3 / 2, "{read} of {}", source.len());
}

#[test]
fn grub_takes_the_questions_for_each_address() {
    let Some(tool) = support::packaged("/usr/bin/grub-script-check", "grub-common") else { return };
    for hosts in [EXAMPLE.to_owned(), many(1000)] {
        let plan = planned("almalinux-9-dvd", &hosts, &Profile::metal().unwrap(), None);
        let (_tmp, file) = folder("grub.cfg", &text(&plan, "grub/grub.cfg"));
        let o = Command::new(&tool).arg(&file).output().unwrap();
        assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    }
}

fn many(n: usize) -> String {
    let host = |i: usize| {
        let (a, b) = (i >> 8, i & 255);
        format!("[[host]]\nname = \"n{i}\"\nmacs = [\"52:54:00:00:{a:02x}:{b:02x}\"]\n")
    };
    (0..n).map(host).collect()
}

#[test]
fn secrets_are_in_answer_files_and_nowhere_else() {
    const HASH: &str = "$6$saltsalt$MarkerOfASecretHash";
    let (tmp, hosts) = folder("hosts.toml", EXAMPLE);
    let profile = tmp.path().join("p.toml");
    std::fs::write(
        &profile,
        format!(
            "console = [\"ttyS1,115200n8\"]\n[network.bond]\nports = [\"eth0\", \"eth1\"]\n\
             [install]\nroot_password_hash = \"{HASH}\"\n"
        ),
    )
    .unwrap();
    let profile = profile.to_str().unwrap();
    for (i, more) in [
        &["--hosts", &hosts][..],
        &["--hosts", &hosts, "--delivery", "initrd"],
        &["--delivery", "url"],
        &[],
    ]
    .iter()
    .enumerate()
    {
        let out = tmp.path().join(format!("tree{i}"));
        let dir = out.to_str().unwrap();
        let demo = demo();
        let base = [&["-p", profile][..], more].concat();
        let mut said = Vec::new();
        for verb in [
            &["plan", &demo][..],
            &["plan", &demo, "--json"],
            &["--debug", "build", &demo, "-o", dir],
            &["build", &demo, "-o", dir, "--json"],
        ] {
            let o = run(&[verb, &base].concat());
            assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
            said.extend([o.stdout, o.stderr].concat());
        }
        for verb in ["verify", "index"] {
            let at = if verb == "index" { tmp.path() } else { &out };
            let o = run(&[verb, at.to_str().unwrap()]);
            said.extend([o.stdout, o.stderr].concat());
        }
        assert!(!has(&said, HASH), "the hash is said aloud: {more:?}");
        let mut holders = 0;
        for (path, _) in files(&out).into_iter().filter(|(_, b)| has(b, HASH)) {
            let own = path.starts_with("answers") || path.starts_with("hosts");
            assert!(own || path == Path::new("initrd.img"), "{path:?} has the hash: {more:?}");
            let mode = std::fs::metadata(out.join(&path)).unwrap().permissions().mode() & 0o777;
            assert!(mode == 0o600, "{path:?}: {mode:o}");
            holders += 1;
        }
        assert!(holders > 0, "{more:?}");
    }
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|w| w == word.as_bytes())
}

#[test]
fn verify_looks_at_each_host() {
    let (tmp, hosts) = folder("hosts.toml", EXAMPLE);
    let out = tmp.path().join("tree");
    let dir = out.to_str().unwrap();
    let build = || ok(&["build", &demo(), "--hosts", &hosts, "-o", dir]);
    let broken = |words: &str| {
        let o = run(&["verify", dir]);
        let said = String::from_utf8_lossy(&o.stdout).into_owned();
        assert_eq!(o.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words} is not in: {said}");
    };
    build();
    ok(&["verify", dir]);
    std::fs::remove_file(out.join("answers/web1.example.org/ks.cfg")).unwrap();
    broken("inst.ks wants answers/web1.example.org/ks.cfg, which is not there");
    build();
    let script = out.join("boot.ipxe");
    let text = std::fs::read_to_string(&script).unwrap();
    for (from, to, words) in [
        (
            ":mac-52:54:00:00:02:03\n",
            "",
            "web1.example.org is not found by its address 52:54:00:00:02:03",
        ),
        ("set host web1.example.org\n", "", "no lines for host web1.example.org"),
        ("nic0,nic1,nic2,nic3:", "nic0,nic1:", "an entry lacks bond=bond0:nic0,nic1,nic2,nic3:"),
        ("console=ttyS1,115200n8", "", "lacks console=ttyS1"),
    ] {
        let bent = text.replace(from, to);
        assert_ne!(bent, text, "{from}");
        std::fs::write(&script, bent).unwrap();
        broken(words);
    }
}

#[test]
fn only_a_host_of_the_tree_can_be_booted_as_one() {
    let (tmp, hosts) = folder("hosts.toml", EXAMPLE);
    for (more, hint) in [(&["--hosts", &hosts][..], "db1.example.org"), (&[], "whoever comes")] {
        let out = tmp.path().join(hint);
        let dir = out.to_str().unwrap();
        ok(&[&["build", &demo(), "-o", dir][..], more].concat());
        let o = run(&["boot", dir, "--host", "nobody"]);
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(2), "{said}");
        assert!(said.contains("no host \"nobody\"") && said.contains(hint), "{said}");
    }
}

#[test]
fn a_job_and_tables_name_the_hosts_too() {
    let (tmp, hosts) =
        folder("hosts.toml", "csv = \"rest.csv\"\n[role.db]\npackages = [\"chrony\"]\n");
    let rows = "hostname,macs,role\na,52:54:00:00:00:01,db\n";
    std::fs::write(tmp.path().join("rest.csv"), rows).unwrap();
    let job = tmp.path().join("job.toml");
    let text = format!(
        "hosts = \"hosts.toml\"\n[source]\npath = \"{}\"\n[[output]]\ndir = \"out\"\n",
        demo()
    );
    std::fs::write(&job, text).unwrap();
    ok(&["build", job.to_str().unwrap()]);
    let ks = std::fs::read_to_string(tmp.path().join("out/answers/a/ks.cfg")).unwrap();
    assert!(ks.contains("chrony"), "{ks}");
    for file in [&hosts, job.to_str().unwrap(), tmp.path().join("rest.csv").to_str().unwrap()] {
        let o = run(&["recipe", "lint", file]);
        let alone = file.ends_with(".csv");
        let said = String::from_utf8_lossy(&o.stdout).into_owned();
        assert_eq!(o.status.success(), !alone, "{file}: {said}");
        assert!(!alone || said.contains("no role \"db\""), "{said}");
    }
    let v: serde_json::Value = serde_json::from_str(&ok(&["recipe", "schema", "hosts"])).unwrap();
    assert!(
        v["properties"]["host"].is_object()
            && v["$defs"]["Host"]["properties"]["raid1"].is_object()
    );
}

#[test]
fn slips_are_told_on_one_line_with_file_and_line() {
    for (name, text, words) in [
        ("hosts.toml", EXAMPLE.replace("address =", "adress ="), &["hosts.toml:", "adress"][..]),
        (
            "hosts.toml",
            EXAMPLE.replace("02:01", "01:01"),
            &["hosts.toml:18", "db1.example.org's already"],
        ),
        (
            "hosts.toml",
            EXAMPLE.replace("\"52:54:00:00:03", "\"33:33:00:00:03"),
            &["hosts.toml:22", "no port has"],
        ),
        (
            "hosts.toml",
            EXAMPLE.replace("192.0.2.12/24", "192.0.2.11/24"),
            &["address 192.0.2.11 is"],
        ),
        (
            "hosts.toml",
            EXAMPLE.replace("web2.example.org", "DB1.example.org"),
            &["name db1.example.org is"],
        ),
        ("hosts.toml", EXAMPLE.replace("role = \"db\"", "role = \"bd\""), &["no role \"bd\""]),
        (
            "hosts.toml",
            EXAMPLE.replace("\"nomodeset\"", "\"console=tty0\""),
            &["hosts.toml:22", "extra_args"],
        ),
        ("hosts.toml", "[role.x]\n".into(), &["hosts.toml", "no hosts"]),
        (
            "hosts.csv",
            "hostname,macs\na,52:54:00:00:00:01\na,52:54:00:00:00:02\n".into(),
            &["hosts.csv:3", "name a is a's"],
        ),
        ("hosts.csv", "host,macs\na,b\n".into(), &["hosts.csv:"]),
    ] {
        let (_tmp, hosts) = folder(name, &text);
        let o = run(&["plan", &demo(), "--hosts", &hosts]);
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(2), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{said}");
        for w in words {
            assert!(lines[0].contains(w), "{w} is not in: {said}");
        }
    }
}

#[test]
fn what_the_operators_own_words_make_doubtful_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = tmp.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ks = write("mine.ks", "text\nrootpw --plaintext geheim\nuser --name=a --password=geheim\n");
    let told = ok(&["plan", &demo(), "--answers", &ks]);
    let warning = told.lines().find(|l| l.contains("plain password")).unwrap_or("none");
    assert!(warning.contains("mine.ks has a plain password in lines 2, 3"), "{told}");
    assert!(!told.contains("geheim"), "{told}");
    let out = tmp.path().join("t").to_str().unwrap().to_owned();
    let told = ok(&["build", &demo(), "--answers", &ks, "-o", &out]);
    assert!(told.contains("warning: mine.ks has a plain password"), "{told}");
    let hashed = write("hashed.ks", "rootpw --iscrypted $6$a$b\n");
    assert!(!ok(&["plan", &demo(), "--answers", &hashed]).contains("plain password"));

    let host = |n: u32, address: &str| {
        format!(
            "[[host]]\nname = \"h{n}\"\nmacs = [\"52:54:00:00:00:0{n}\"]\naddress = \"{address}\"\ngateway = \"192.0.2.129\"\n"
        )
    };
    let file = write("far.toml", &(host(1, "192.0.2.1/25") + &host(2, "192.0.2.2/25")));
    let told = ok(&["plan", &demo(), "--hosts", &file]);
    let wanted = "Gateway 192.0.2.129 lies outside 192.0.2.1/25 (h1, and so for h2)";
    assert!(told.contains(wanted), "{told}");
    let json = |file: &str| -> serde_json::Value {
        serde_json::from_str(&ok(&["plan", &demo(), "--hosts", file, "--json"])).unwrap()
    };
    let far = |v: &serde_json::Value| {
        let notes = v["notes"].as_array().unwrap().clone();
        let mut far = notes.iter().filter(|n| n["text"].as_str().unwrap().contains("lies outside"));
        far.next().map(|n| n["warning"].as_bool().unwrap())
    };
    assert_eq!(far(&json(&file)), Some(true));
    assert_eq!(far(&json(&write("one.toml", &host(1, "192.0.2.1/32")))), Some(false));
    assert_eq!(far(&json(&write("near.toml", &host(1, "192.0.2.1/24")))), None);
    let o = run(&["plan", &demo(), "--hosts", &write("net.toml", &host(1, "192.0.2.0/24"))]);
    let err = String::from_utf8(o.stderr).unwrap();
    assert_eq!(o.status.code(), Some(2), "{err}");
    assert!(
        err.contains("net.toml:1: address 192.0.2.0: in 192.0.2.0/24 that is the network"),
        "{err}"
    );
    let profile = "console = [\"tty0\"]\n[network.address]\nmethod = \"static\"\n\
                   address = \"192.0.2.255/24\"\ngateway = \"192.0.2.1\"\n";
    let o = run(&["plan", &demo(), "-p", &write("p.toml", profile)]);
    let err = String::from_utf8(o.stderr).unwrap();
    assert!(o.status.code() == Some(2) && err.contains("p.toml: address 192.0.2.255"), "{err}");
}
