//! Labels: what the text fields of a primary volume descriptor (ECMA-119, 8.4) say about a medium.
//! The shapes that vendors use are data and live with the recipes; this is how they are read. A
//! label is the weakest evidence, edited freely and shared between variants: one that has no
//! vendor's shape from its first to its last character says nothing, and one that two recipes know
//! says nothing either. Better unknown than wrong.

use super::identity::VolumeLabels;
use crate::error::{Error, Result};
use crate::model::arch::Arch;
use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shape of a vendor's labels. Everything that is given must hold. The patterns are regular
/// expressions over the whole field, ASCII case ignored; `{arch}` stands for a group of that name
/// with every vendor's spelling of an architecture. Groups named `version` (and `minor`, put behind
/// it with a dot) and `arch` are read out; where several fields have one, the last field's counts, in
/// the order in which they stand here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelShape {
    /// Volume identifier, of which media have 32 characters at most: vendors cut what is longer.
    pub volume_id: String,
    /// System identifier. Mostly the mastering tool's: `LINUX`, `PPC`, or nothing; one that names another
    /// system is refused where the shape does not ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_id: Option<String>,
    /// Publisher identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Data preparer identifier. A mastering tool that names itself there counts as nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparer: Option<String>,
    /// Application identifier. A mastering tool that names itself there counts as nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The distribution whose label it is.
    pub distro: String,
    /// The version, where the label does not spell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The architecture, where the label's word for it means another one elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Variant: `live`, `ostree`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Holds from this version on: numbers, compared one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Holds before this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Recipes of the same system whose media have the very same label: it may be theirs as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or: Vec<String>,
}

/// How far a label can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The volume id has the vendor's shape, and publisher, preparer or application names the vendor
    /// too.
    High,
    /// Only the volume id says so; the other fields have nothing to say.
    Medium,
    /// Media of another recipe of the same system have the same label.
    Low,
}

impl Confidence {
    /// As in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        }
    }
}

/// What a medium's labels say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Name of the recipe whose label it is.
    pub recipe: String,
    /// Distribution.
    pub distro: String,
    /// As the medium says it, a dot between numbers: `9.4`, `15-SP4`, `22.04.1`.
    #[serde(default)]
    pub version: Option<String>,
    /// In the kernel's spelling where the project knows it, else the label's.
    #[serde(default)]
    pub arch: Option<String>,
    /// Variant.
    #[serde(default)]
    pub variant: Option<String>,
    /// How far to trust it.
    pub confidence: Confidence,
    /// Recipes that it may be as well.
    #[serde(default)]
    pub or: Vec<String>,
    /// Which fields said so: `volume id "…"`.
    pub evidence: Vec<String>,
}

impl Reading {
    /// `9` of `9.4`, `15` of `15-SP4`.
    pub fn major(&self) -> Option<u32> {
        self.version.as_deref().and_then(|v| numbers(v).first().copied())
    }
}

/// Every spelling of an architecture that vendors put into labels, the longer first where one begins
/// with another.
const ARCH: &str = "(?<arch>x86_64|amd64|i[3-6]86|x86|aarch64|arm64|armhfp|armhf|armel|armv7|arm|\
    ppc64le|ppc64el|p64el|ppc64|powerpc|ppc|s390x|s390|riscv64|riscv|loongarch64|loong64|\
    mips64el|mipsel|mips|ia64|alpha|hppa|sparc64|sparc)";

/// System ids that say nothing about the vendor: that of the tools on Linux, and that of those which
/// make media for PowerPC (mkisofs -chrp-boot).
const SYSTEMS: [&str; 2] = ["LINUX", "PPC"];

/// Mastering tools that put their own names into the fields where a vendor put nothing.
const TOOLS: [&str; 4] = ["genisoimage", "mkisofs", "xorriso", "libisofs"];

/// The pattern as it is compiled: whole field, `{arch}` filled in.
pub fn whole(pattern: &str) -> String {
    format!(r"\A(?:{})\z", pattern.replace("{arch}", ARCH))
}

/// The numbers in a version, in order.
pub fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter(|n| !n.is_empty())
        .map(|n| n.parse().unwrap_or(u32::MAX))
        .collect()
}

impl LabelShape {
    /// The fields' names in a recipe, the first as `volume_id`, and their patterns.
    pub fn patterns(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("volume_id", Some(self.volume_id.as_str())),
            ("system_id", self.system_id.as_deref()),
            ("publisher", self.publisher.as_deref()),
            ("preparer", self.preparer.as_deref()),
            ("application", self.application.as_deref()),
        ]
    }

    fn in_range(&self, version: Option<&str>) -> bool {
        let bounds = [&self.from, &self.before].map(|b| b.as_deref().map(numbers));
        match (version.map(numbers), bounds) {
            (_, [None, None]) => true,
            (None, _) => false,
            (Some(v), [from, before]) => {
                from.is_none_or(|f| v >= f) && before.is_none_or(|b| v < b)
            }
        }
    }
}

/// Compiles one pattern of a shape.
///
/// # Errors
/// `Usage` with the regular expression's fault.
pub fn compile(pattern: &str) -> Result<Regex> {
    // Bytes and no Unicode classes: labels are ASCII where vendors make them, and `\d` stays small.
    RegexBuilder::new(&whole(pattern)).case_insensitive(true).unicode(false).build().map_err(|e| {
        let why = e.to_string().lines().last().unwrap_or("bad").trim().to_owned();
        Error::usage(format!("\"{pattern}\": {why}"))
    })
}

struct Compiled {
    recipe: String,
    shape: LabelShape,
    patterns: [Option<Regex>; 5],
}

/// The labels of a set of recipes, ready to read media with.
#[derive(Default)]
pub struct Labels {
    shapes: Vec<Compiled>,
}

impl Labels {
    /// Compiles shapes, each with the name of its recipe.
    ///
    /// # Errors
    /// `Usage` for a pattern that is no regular expression.
    pub fn new<'a>(shapes: impl IntoIterator<Item = (&'a str, &'a LabelShape)>) -> Result<Self> {
        let compiled = |(recipe, shape): (&str, &LabelShape)| {
            let mut patterns = [None, None, None, None, None];
            for ((_, pattern), place) in shape.patterns().into_iter().zip(&mut patterns) {
                *place = pattern.map(compile).transpose().map_err(|e| e.source_name(recipe))?;
            }
            Ok(Compiled { recipe: recipe.to_owned(), shape: shape.clone(), patterns })
        };
        Ok(Labels { shapes: shapes.into_iter().map(compiled).collect::<Result<_>>()? })
    }

    /// What `volume` says.
    ///
    /// # Errors
    /// Why it says nothing: in one line, for people.
    pub fn read(&self, volume: &VolumeLabels) -> std::result::Result<Reading, String> {
        let mut found: Option<Reading> = None;
        for shape in &self.shapes {
            let Some(reading) = shape.read(volume) else { continue };
            if let Some(system) = shape.foreign_system(volume) {
                return Err(format!(
                    "the volume id is of recipe {}'s shape, and system id \"{system}\" names another system",
                    reading.recipe
                ));
            }
            match &found {
                None => found = Some(reading),
                // Of one recipe's shapes the first that fits counts.
                Some(first) if first.recipe == reading.recipe => {}
                Some(first) => {
                    return Err(format!(
                        "the label is of recipe {}'s shape and of {}'s",
                        first.recipe, reading.recipe
                    ));
                }
            }
        }
        found.ok_or_else(|| match volume.volume_id.trim() {
            "" => "no volume id".to_owned(),
            id => format!("no recipe knows the shape of volume id \"{id}\""),
        })
    }
}

impl Compiled {
    /// The system id, where it is neither what this shape wants nor what mastering tools put there nor
    /// the distribution's own name: whoever made the medium says that it is of another system.
    fn foreign_system<'v>(&self, volume: &'v VolumeLabels) -> Option<&'v str> {
        let [_, wanted, ..] = &self.patterns;
        let system = volume.system_id.trim();
        let is = |word: &str| system.eq_ignore_ascii_case(word);
        let fine = wanted.is_some() || system.is_empty() || SYSTEMS.into_iter().any(is);
        let first = |s: &str| s.split_whitespace().next().map(str::to_ascii_lowercase);
        (!fine && first(system) != first(&self.shape.distro)).then_some(system)
    }

    fn read(&self, volume: &VolumeLabels) -> Option<Reading> {
        let texts = [
            ("volume id", volume.volume_id.trim()),
            ("system id", volume.system_id.trim()),
            ("publisher", volume.publisher.trim()),
            ("preparer", said(&volume.preparer)),
            ("application", said(&volume.application)),
        ];
        let (mut version, mut arch, mut evidence) = (None, None, Vec::new());
        let mut confirmed = false;
        for (at, (pattern, (name, text))) in self.patterns.iter().zip(texts).enumerate() {
            let Some(pattern) = pattern else { continue };
            let groups = pattern.captures(text.as_bytes())?;
            let group = |name| groups.name(name).and_then(|m| str::from_utf8(m.as_bytes()).ok());
            if let Some(v) = group("version") {
                version = Some(match group("minor") {
                    Some(minor) => format!("{v}.{minor}"),
                    None => dotted(v),
                });
            }
            arch = group("arch").map(str::to_owned).or(arch);
            if !text.is_empty() {
                evidence.push(format!("{name} \"{text}\""));
                // The system id is the mastering tool's.
                confirmed |= at >= 2;
            }
        }
        let shape = &self.shape;
        let version = shape.version.clone().or(version);
        if !shape.in_range(version.as_deref()) {
            return None;
        }
        Some(Reading {
            recipe: self.recipe.clone(),
            distro: shape.distro.clone(),
            version,
            arch: shape.arch.clone().or(arch).map(|a| spelled(&a)),
            variant: shape.variant.clone(),
            confidence: match (shape.or.is_empty(), confirmed) {
                (false, _) => Confidence::Low,
                (true, true) => Confidence::High,
                (true, false) => Confidence::Medium,
            },
            or: shape.or.clone(),
            evidence,
        })
    }
}

/// A field's text, or nothing where a mastering tool speaks of itself.
fn said(text: &str) -> &str {
    let text = text.trim();
    let head = |tool: &str| text.get(..tool.len()).is_some_and(|h| h.eq_ignore_ascii_case(tool));
    if TOOLS.into_iter().any(head) { "" } else { text }
}

fn spelled(arch: &str) -> String {
    Arch::from_vendor(arch).map_or_else(|| arch.to_ascii_lowercase(), |a| a.to_string())
}

/// Dots for the hyphens and underscores between numbers: `9-4` is 9.4, `15-SP4` stays.
fn dotted(version: &str) -> String {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let chars: Vec<char> = version.chars().collect();
    let one = |(i, c): (usize, &char)| match c {
        '-' | '_' if digit(chars.get(i + 1).copied()) && i > 0 && digit(Some(chars[i - 1])) => '.',
        c => *c,
    };
    chars.iter().enumerate().map(one).collect()
}

/// True where both name the same distribution: the first words agree (`Oracle Linux Server`,
/// `Oracle Linux`).
pub fn same_distro(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.to_ascii_lowercase().starts_with(&short.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(volume_id: &str) -> LabelShape {
        LabelShape { volume_id: volume_id.into(), distro: "X".into(), ..LabelShape::default() }
    }

    fn volume(id: &str, application: &str) -> VolumeLabels {
        VolumeLabels {
            volume_id: id.into(),
            application: application.into(),
            ..VolumeLabels::default()
        }
    }

    #[test]
    fn groups_are_read_and_the_whole_field_must_fit() {
        let x = shape(r"x-(?<version>\d+([-.]\w+)?)-{arch}\d*");
        let labels = Labels::new([("x", &x)]).expect("labels");
        let r = labels.read(&volume(" X-9-4-x86_640012 ", "")).expect("read");
        assert_eq!((r.version.as_deref(), r.arch.as_deref()), (Some("9.4"), Some("x86_64")));
        assert_eq!((r.major(), r.confidence), (Some(9), Confidence::Medium));
        let r = labels.read(&volume("x-15-SP4-p64el", "")).expect("read");
        assert_eq!((r.version.as_deref(), r.arch.as_deref()), (Some("15-SP4"), Some("ppc64le")));
        for no in ["", "x-9-4-x86_64 ", "my x-9-x86_64", "x-9-x86_64-dvd", "\u{e9}", "x-9-z80"] {
            assert_eq!(labels.read(&volume(no, "")).is_ok(), no.ends_with(' '), "{no}");
        }
    }

    #[test]
    fn a_tool_that_names_itself_is_nobody_and_a_vendor_confirms() {
        let mut x = shape("x");
        x.application = Some(r"(X (?<version>\d+))?".into());
        let labels = Labels::new([("x", &x)]).expect("labels");
        let r = labels.read(&volume("x", "GENISOIMAGE ISO 9660/HFS")).expect("read");
        assert_eq!((r.confidence, r.version), (Confidence::Medium, None));
        let r = labels.read(&volume("x", "x 7")).expect("read");
        assert_eq!((r.confidence, r.version.as_deref()), (Confidence::High, Some("7")));
        assert_eq!(r.evidence, ["volume id \"x\"", "application \"x 7\""]);
        assert!(labels.read(&volume("x", "Y 7")).is_err());
    }

    #[test]
    fn a_system_id_of_another_system_is_heard() {
        let x = LabelShape { distro: "Acme Linux".into(), ..shape("x") };
        let labels = Labels::new([("x", &x)]).expect("labels");
        let volume = |system: &str| VolumeLabels { system_id: system.into(), ..volume("x", "") };
        for fine in ["", " LINUX ", "linux", "PPC", "ACME", "Acme Linux 9"] {
            let r = labels.read(&volume(fine)).expect(fine);
            assert_eq!(
                (r.confidence, &r.evidence[..]),
                (Confidence::Medium, &["volume id \"x\"".to_owned()][..])
            );
        }
        for other in ["FreeBSD", "OpenBSD", "Linux Mint", "A"] {
            let why = labels.read(&volume(other)).expect_err(other);
            assert!(why.contains(&format!("system id \"{other}\" names another")), "{why}");
        }
        let asked = LabelShape { system_id: Some("FreeBSD".into()), ..x };
        let labels = Labels::new([("x", &asked)]).expect("labels");
        assert!(labels.read(&volume("FreeBSD")).is_ok() && labels.read(&volume("LINUX")).is_err());
    }

    #[test]
    fn two_recipes_of_one_shape_are_nobodys_but_versions_can_part_them() {
        let shapes = |from: Option<&str>| {
            let mut old = shape(r"x (?<version>\d+\.\d+)");
            let mut new = old.clone();
            old.before = from.map(str::to_owned);
            new.from = old.before.clone();
            new.or = vec!["other".into()];
            [old, new]
        };
        let [old, new] = shapes(None);
        let labels = Labels::new([("old", &old), ("new", &new)]).expect("labels");
        assert!(labels.read(&volume("x 9.10", "")).expect_err("two").contains("old's"));
        let [old, new] = shapes(Some("10.04"));
        let labels = Labels::new([("old", &old), ("new", &new)]).expect("labels");
        assert_eq!(labels.read(&volume("x 9.10", "")).expect("old").recipe, "old");
        let r = labels.read(&volume("x 10.04", "")).expect("new");
        assert_eq!((r.recipe.as_str(), r.confidence), ("new", Confidence::Low));
    }

    #[test]
    fn a_bad_pattern_is_told_with_its_recipe() {
        let e = Labels::new([("x", &shape("("))]).err().expect("bad");
        assert!(e.to_string().contains('('), "{e}");
    }
}
