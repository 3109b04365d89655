//! Each fixture's plan, as users see it, held against `fixtures/NAME/golden/`. `UPDATE_GOLDENS=1`
//! rewrites them; CI never does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::tree::{Node, Tree};
use isowright::error::ErrorKind;
use isowright::family::draft::{self, ArgEdit, ArgOp, Body, Cover, Draft, Made, Route};
use isowright::format::{cpio, plain_password};
use isowright::media::Media;
use isowright::model::profile::{AnswerKind, Profile};
use isowright::plan::{self, Extent, NetbootPair, Plan, Target, render};
use isowright::recipe::{self, select};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The plan for a fixture, its console and bond as in the bundled profile.
fn planned(name: &str, unattended: bool) -> Plan {
    let (tree, volume_id) = support::fixture(name);
    plan_of(name, (tree, &volume_id), b"a stand-in\n".to_vec(), unattended).unwrap()
}

/// The plan for files and label; `brought` is the kernel that comes from elsewhere, if one is wanted.
fn plan_of(
    name: &str,
    medium: (Tree, &str),
    brought: Vec<u8>,
    unattended: bool,
) -> isowright::error::Result<Plan> {
    with_inputs(name, medium, brought, unattended, Route::Network, plan::make)
}

/// What `f` makes of a medium and the bundled profile.
fn with_inputs<T>(
    name: &str,
    (tree, volume_id): (Tree, &str),
    brought: Vec<u8>,
    unattended: bool,
    route: Route,
    f: impl FnOnce(&plan::Inputs) -> T,
) -> T {
    let media = Media::of_tree(&format!("{name}.iso"), volume_id, tree);
    let recipes = recipe::bundled().unwrap();
    let labels = recipe::label::labels(&recipes).unwrap();
    let (docs, identity) = (media.boot_docs(), media.identity(&labels));
    let has_kernel = media.has_kernel(&docs);
    let recipe = select::select(&recipes, &identity, &media.tree, has_kernel).unwrap().recipe;
    let mut profile = Profile::metal().unwrap();
    profile.unattended = unattended;
    // A live system can't be told to install itself: its golden holds the warning.
    profile.answers.lenient = unattended;
    let stand_in = |name: &str, bytes: Vec<u8>| (name.to_owned(), Content::from(bytes));
    let on_medium = recipe.boot_files(&media.tree).is_some();
    let wanted = recipe.netboot.as_ref().filter(|_| !on_medium && route == Route::Network);
    let netboot = wanted.map(|_| NetbootPair {
        kernel: stand_in("linux", brought),
        initrd: stand_in("initrd.gz", cpio::archive(&[]).and_then(|c| c.read_all(1000)).unwrap()),
    });
    let target = Target { route, extent: Extent::AsNeeded, netboot, ..Target::default() };
    f(&plan::Inputs {
        media: &media,
        docs: &docs,
        identity: &identity,
        recipe,
        profile: &profile,
        target: &target,
    })
}

/// What the family says where the fixture itself is started.
fn words(name: &str, unattended: bool, route: Route) -> Draft {
    let (tree, id) = support::fixture(name);
    let brought = b"a stand-in\n".to_vec();
    with_inputs(name, (tree, &id), brought, unattended, route, plan::words).unwrap()
}

/// A medium's draft for readers. Files that are the same over the network are only named.
fn medium_words(name: &str, unattended: bool) -> String {
    let draft = words(name, unattended, Route::Medium);
    let network = words(name, unattended, Route::Network);
    let mut out = String::new();
    let edit = |out: &mut String, e: &ArgEdit| {
        let (sign, word) = match &e.op {
            ArgOp::Set(w) => ('=', w.clone()),
            ArgOp::Append(w) => ('+', w.clone()),
            ArgOp::AppendForTarget(w) => ('+', format!("--- {w}")),
            ArgOp::Remove(w) => ('-', w.clone()),
        };
        writeln!(out, "  {sign} {word}  # {}", e.reason).unwrap();
    };
    out.push_str("arguments\n");
    draft.args.iter().for_each(|e| edit(&mut out, e));
    out.push_str("where sums are not renewed\n");
    for c in &draft.media_checks {
        write!(out, "  {:?}:", c.sums).unwrap();
        edit(&mut out, &c.edit);
    }
    if let Some(d) = &draft.delivery {
        writeln!(out, "answers by {}: {}", d.way, d.reason).unwrap();
    }
    let before: Vec<&Made> = network.in_initrd.iter().chain(&network.beside).collect();
    for (place, files) in [("initrd", &draft.in_initrd), ("medium", &draft.on_medium)] {
        for f in files {
            writeln!(out, "{place} /{} {:o}  # {}", f.path, f.mode, f.reason).unwrap();
            let same = before.iter().any(|b| b.path.name() == f.path.name() && b.body == f.body);
            match &f.body {
                Body::Bytes(b) if !same => {
                    let text = if b.starts_with(&[0x1f, 0x8b]) {
                        unpacked(b)
                    } else {
                        String::from_utf8(b.clone()).unwrap()
                    };
                    text.lines().for_each(|l| writeln!(out, "  | {l}").unwrap());
                }
                Body::Bytes(_) => out.push_str("  as over the network\n"),
                other => writeln!(out, "  {other:?}").unwrap(),
            }
        }
    }
    let set = |out: &mut String, name: &str, v: &dyn std::fmt::Debug| {
        writeln!(out, "{name}: {v:?}").unwrap();
    };
    set(&mut out, "RAM in MiB", &draft.ram_mib);
    writeln!(out, "disks: {}", draft.disks).unwrap();
    let mut coverage = draft.coverage.clone();
    coverage.sort_by_key(|c| (c.layer, c.aspect));
    for c in coverage {
        let text = match c.cover {
            Cover::Set { how } => format!("set: {how}"),
            Cover::NotNeeded { why } => format!("not needed: {why}"),
            Cover::Impossible { why, instead } => format!("IMPOSSIBLE: {why}; instead: {instead}"),
        };
        writeln!(out, "{:?} {:?}: {text}", c.aspect, c.layer).unwrap();
    }
    for n in &draft.notes {
        let mark = if n.warning { "!" } else { "-" };
        writeln!(out, "{mark} {}", n.text).unwrap();
    }
    out
}

/// Paths of the fixture's files stand without the offset 0 that a loose file has.
fn shown(plan: &Plan) -> String {
    render::text(plan, true).replace(" @ 0x0", "")
}

/// Every text file that we make, and the files in the initrd.
fn made(plan: &Plan) -> Vec<(String, String)> {
    let text = |c: &Content| {
        let bytes = c.read_all(1 << 20).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return unpacked(&bytes);
        }
        String::from_utf8(bytes).unwrap()
    };
    let mut out: Vec<(String, String)> = plan
        .files
        .iter()
        .filter(|(_, f)| f.origin == plan::Origin::Made)
        .map(|(p, f)| (p.to_string().replace('/', "_"), text(&f.content)))
        .collect();
    let initrd = plan.files.get(&"initrd.img".parse().unwrap()).unwrap();
    let bytes = initrd.content.read_all(64 << 20).unwrap();
    if let plan::Origin::Extended { added, .. } = &initrd.origin {
        for path in added {
            out.push((format!("initrd{}", path.replace('/', "_")), in_cpio(&bytes, &path[1..])));
        }
    }
    out
}

/// A tar.gz as text: each entry's line, and what is in it.
fn unpacked(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        let link =
            entry.link_name().unwrap().map_or(String::new(), |l| format!(" -> {}", l.display()));
        let path = entry.path().unwrap().display().to_string();
        writeln!(out, "==> {:o} {path}{link}", header.mode().unwrap()).unwrap();
        std::io::Read::read_to_string(&mut entry, &mut out).unwrap();
    }
    out
}

/// A file of the last archive that has it.
fn in_cpio(bytes: &[u8], path: &str) -> String {
    let name = format!("{path}\0");
    let at = (0..bytes.len() - 110)
        .rev()
        .find(|&i| {
            bytes[i..].starts_with(b"070701") && bytes[i + 110..].starts_with(name.as_bytes())
        })
        .unwrap();
    let size = std::str::from_utf8(&bytes[at + 54..at + 62]).unwrap();
    let size = usize::from_str_radix(size, 16).unwrap();
    let from = (at + 110 + name.len()).next_multiple_of(4) - at % 4;
    String::from_utf8(bytes[from..from + size].to_vec()).unwrap()
}

fn check(path: &Path, text: &str, wrong: &mut String) {
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        assert!(std::env::var_os("CI").is_none(), "CI does not write goldens");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        return;
    }
    let want = std::fs::read_to_string(path).unwrap_or_default();
    if want != text {
        let line = want.lines().zip(text.lines()).position(|(a, b)| a != b);
        let n = line.unwrap_or_else(|| want.lines().count().min(text.lines().count()));
        let _ = writeln!(
            wrong,
            "{}:{}\n  golden: {}\n  now:    {}",
            path.display(),
            n + 1,
            want.lines().nth(n).unwrap_or("(ends)"),
            text.lines().nth(n).unwrap_or("(ends)")
        );
    }
}

#[test]
fn every_fixture_is_planned_as_its_golden_says() {
    let mut wrong = String::new();
    for name in support::fixtures() {
        let dir =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(&name).join("golden");
        for (kind, unattended) in [("metal", false), ("unattended", true)] {
            let plan = planned(&name, unattended);
            check(&dir.join(kind).join("plan.txt"), &shown(&plan), &mut wrong);
            let words = medium_words(&name, unattended);
            check(&dir.join(kind).join("medium-words.txt"), &words, &mut wrong);
            for (file, text) in made(&plan) {
                check(&dir.join(kind).join(file), &text, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_GOLDENS=1 rewrites them");
}

#[test]
fn a_medium_needs_no_tree() {
    for name in support::fixtures() {
        for unattended in [false, true] {
            let draft = words(&name, unattended, Route::Medium);
            assert!(draft.hosted.is_nothing(), "{name}");
            assert!(draft.beside.is_empty() && draft.more_initrds.is_empty(), "{name}");
            let edits = draft.args.iter().chain(draft.media_checks.iter().map(|c| &c.edit));
            for e in edits {
                let (ArgOp::Set(w)
                | ArgOp::Append(w)
                | ArgOp::AppendForTarget(w)
                | ArgOp::Remove(w)) = &e.op;
                assert!(!w.contains(draft::BASE), "{name}: {w}");
                assert!(!e.reason.contains("disc that is not there"), "{name}: {w}");
            }
            // Only the layer over Proxmox' medium names a file of the vendor's, and a small one.
            for m in draft.in_initrd.iter().chain(&draft.on_medium) {
                let small = matches!(&m.body, Body::File(p) if p.name() == b".cd-info");
                assert!(m.bytes().is_some() || small, "{name}: {}", m.path);
                let text = m.bytes().map(String::from_utf8_lossy).unwrap_or_default();
                assert!(!text.contains(draft::BASE), "{name}: {}", m.path);
            }
            assert_eq!(draft.coverage.len(), 10, "{name}: five layers, console and bond");
        }
    }
}

#[test]
fn every_plan_covers_each_layer_and_says_it_for_machines_too() {
    for name in support::fixtures() {
        let plan = planned(&name, false);
        assert_eq!(plan.coverage.len(), 10, "{name}: five layers, console and bond");
        let json = render::json(&plan).unwrap();
        assert_eq!(json["files"].as_array().unwrap().len(), plan.files.len(), "{name}");
        assert!(plan.must_have.iter().any(|w| w == "console=ttyS1,115200n8"), "{name}");
        // Nothing wipes a disk unless it was asked for.
        for (file, text) in made(&plan) {
            for word in [
                "clearpart",
                "zerombr",
                "autopart",
                "confirm_nooverwrite",
                "partman-auto/method",
                "<partitioning",
                "false</confirm>",
                "\"storage\"",
                "inst.auto=",
                "isowright-install.service",
                "setup-disk",
                "ERASE_DISKS",
            ] {
                // Ignition's files stand below that word too.
                if word == "\"storage\"" && file.ends_with(".ign") {
                    continue;
                }
                assert!(!text.contains(word), "{name}: {file} has {word}");
            }
        }
    }
}

#[test]
fn alpines_modules_must_fit_the_kernel_that_is_brought() {
    let kernel = |release: &str| {
        let mut bytes = vec![0; 0x400];
        bytes[0x1f1] = 2;
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
        bytes[0x20e..0x210].copy_from_slice(&0x200u16.to_le_bytes());
        bytes.extend_from_slice(release.as_bytes());
        bytes.extend_from_slice(b" (builder) #1\0");
        bytes
    };
    let plan = |brought: &str| {
        let (mut tree, volume_id) = support::fixture("alpine-3.20");
        let medium = Content::from(kernel("6.6.49-0-lts"));
        tree.insert("boot/vmlinuz-lts".parse().unwrap(), Node::file(medium));
        plan_of("alpine", (tree, &volume_id), kernel(brought), false)
    };
    plan("6.6.49-0-lts").unwrap();
    let e = plan("6.6.31-0-lts").unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict, "{e}");
}

/// Our own answers are what the look for plain passwords must not complain about.
#[test]
fn no_answers_of_ours_pass_for_plain_passwords() {
    let folders = ["fixtures", "recipes/metallized-el", "profiles"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo: Vec<PathBuf> = folders.map(|f| root.join(f)).into();
    let mut looked_at = 0;
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy();
        let kind = match &*name {
            n if n.contains("ks.cfg") => AnswerKind::Kickstart,
            n if n.ends_with("preseed.cfg") => AnswerKind::Preseed,
            n if n.ends_with("user-data") => AnswerKind::Autoinstall,
            n if n.ends_with("autoinst.xml") => AnswerKind::Autoyast,
            n if n.ends_with("agama.json") => AnswerKind::Agama,
            n if n.ends_with("harvester.yaml") => AnswerKind::Harvester,
            _ => continue,
        };
        let found = plain_password::lines(kind, &std::fs::read_to_string(&path).unwrap());
        assert!(found.is_empty(), "{}: {found:?}", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 40, "{looked_at}");
}
