//! Talos and Harvester: what is written for them, parsed by PyYAML and held against schemas of ours,
//! written from the vendors' documentation: neither publishes a validator that runs here.

use super::*;

/// Reads every file of a folder as YAML and holds it against a schema.
const JUDGE: &str = r#"
import glob, json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
judge = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
files = sorted(glob.glob(sys.argv[2] + "/*.yaml"))
assert files
for f in files:
    for e in judge.iter_errors(yaml.safe_load(open(f))):
        print(open(f).read(), f, e.message, list(e.path))
        sys.exit(1)
"#;

fn harvester() -> Facts {
    Facts {
        version: Some("1.3.1".into()),
        hosted: Hosted {
            medium: true,
            ..Hosted::only(vec!["rootfs.squashfs".parse().expect("path")])
        },
        base_url: Some("http://192.0.2.1/h/".into()),
        ..Facts::default()
    }
}

fn beside<'d>(d: &'d Draft, path: &str) -> &'d str {
    let m = d.beside.iter().find(|m| m.path.to_string() == path).expect("beside");
    assert_eq!(m.mode, 0o600);
    std::str::from_utf8(m.bytes().expect("ours")).expect("utf-8")
}

fn judge(family: Family, facts: &Facts, path: &str, schema: &str) {
    let Some(venv) = material("validators") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let script = dir.path().join("judge.py");
    std::fs::write(&script, JUDGE).expect("write");
    let mut judged_files = 0;
    for (i, (name, profile)) in profiles().iter().enumerate() {
        let mut d = Draft::default();
        family.say(facts, profile, &mut d).expect("says");
        let text = beside(&d, path).to_owned() + &format!("# {name}\n");
        std::fs::write(dir.path().join(format!("{i}.yaml")), text).expect("write");
        judged_files += 1;
    }
    assert!(judged_files >= 36, "{judged_files}");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers/schemas").join(schema);
    let mut tool = Command::new(venv.join("bin/python"));
    judged(tool.arg(&script).arg(schema).arg(dir.path()), path);
}

#[test]
fn every_patch_for_talos_has_its_shape() {
    let facts = Facts { version: Some("1.7.6".into()), ..Facts::default() };
    judge(Family::Talos, &facts, "answers/talos-patch.yaml", "talos-patch.json");
}

#[test]
fn every_beginning_for_harvester_has_its_shape() {
    judge(Family::Harvester, &harvester(), "answers/harvester.yaml", "harvester.json");
}

#[test]
fn without_secrets_nothing_installs_by_itself() {
    for (family, facts) in [(Family::Talos, Facts::default()), (Family::Harvester, harvester())] {
        for (name, profile) in profiles() {
            let d = draft(family, &facts, &profile);
            let words: String = d.args.iter().map(|a| format!("{:?} ", a.op)).collect();
            for word in ["talos.config", "config_url", "automatic"] {
                assert!(!words.contains(word), "{family:?}, {name}: {words}");
            }
            assert_eq!(d.disks, Disks::LeftAlone, "{family:?}, {name}");
            assert!(d.delivery.is_none(), "{family:?}, {name}");
        }
    }
}

#[test]
fn your_own_configuration_is_fetched_only_where_it_may_install() {
    for (family, mut facts, file, fetched, installs) in [
        (Family::Talos, Facts::default(), "answers/talos.yaml", "talos.config=", "talos.config="),
        (
            Family::Harvester,
            harvester(),
            "answers/harvester.yaml",
            "harvester.install.config_url=",
            "harvester.install.automatic=true",
        ),
    ] {
        facts.own_answers = Some(("mine.yaml".into(), b"# mine\n".to_vec()));
        for unattended in [false, true] {
            let text = format!("console = []\nunattended = {unattended}\n");
            let d = draft(family, &facts, &Profile::from_toml(&text, "t").expect("profile"));
            assert_eq!(beside(&d, file), "# mine\n");
            let has = |word: &str| {
                d.args.iter().any(|a| matches!(&a.op, ArgOp::Set(w) if w.starts_with(word)))
            };
            assert_eq!(has(installs), unattended, "{family:?}");
            assert!(unattended || family == Family::Harvester || !has(fetched), "{family:?}");
            assert!(d.notes.iter().any(|n| n.warning && n.text.contains("can fetch the tree")));
            assert_eq!(d.notes.iter().any(|n| n.text.starts_with("WIPED")), unattended);
        }
    }
}
