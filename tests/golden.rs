//! Each fixture's plan, as users see it, held against `fixtures/NAME/golden/`. `UPDATE_GOLDENS=1`
//! rewrites them; CI never does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::format::cpio;
use isowright::media::Media;
use isowright::model::profile::Profile;
use isowright::plan::{self, Extent, NetbootPair, Plan, Target, render};
use isowright::recipe::{self, select};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The plan for a fixture, its console and bond as in the bundled profile.
fn planned(name: &str, unattended: bool) -> Plan {
    let (tree, volume_id) = support::fixture(name);
    let media = Media::of_tree(&format!("{name}.iso"), &volume_id, tree);
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
    let netboot = recipe.netboot.as_ref().filter(|_| !on_medium).map(|_| NetbootPair {
        kernel: stand_in("linux", b"a stand-in\n".to_vec()),
        initrd: stand_in("initrd.gz", cpio::archive(&[]).and_then(|c| c.read_all(1000)).unwrap()),
    });
    let target = Target { extent: Extent::AsNeeded, netboot, ..Target::default() };
    plan::make(&plan::Inputs {
        media: &media,
        docs: &docs,
        identity: &identity,
        recipe,
        profile: &profile,
        target: &target,
    })
    .unwrap()
}

/// Paths of the fixture's files stand without the offset 0 that a loose file has.
fn shown(plan: &Plan) -> String {
    render::text(plan, true).replace(" @ 0x0", "")
}

/// Every text file that we make, and the files in the initrd.
fn made(plan: &Plan) -> Vec<(String, String)> {
    let text = |c: &Content| String::from_utf8(c.read_all(1 << 20).unwrap()).unwrap();
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
            for (file, text) in made(&plan) {
                check(&dir.join(kind).join(file), &text, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_GOLDENS=1 rewrites them");
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
            ] {
                assert!(!text.contains(word), "{name}: {file} has {word}");
            }
        }
    }
}
