//! The Draft: what a family wants done to boot entries, initrd and tree, each with its reason. The
//! only mutable thing between profile and plan.

mod coverage;
mod facts;

pub use coverage::{Aspect, Cover, Coverage, Layer};
pub use facts::{Brought, FOLDER, Facts, KickstartLine, Route};

use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::model::console::Console;
use crate::model::profile::Delivery;
use serde::{Deserialize, Serialize};

/// Stands in a kernel argument for the URL of the tree, with its trailing slash. Renderers replace
/// it: iPXE by its own variable, GRUB by its own, a fixed base URL by itself.
pub const BASE: &str = "@BASE@";

/// One edit of a kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArgOp {
    /// `key=value` or `key`: replaces every word with that key, or is added.
    Set(String),
    /// Added as it is, also where the key is there already (`console=`).
    Append(String),
    /// Every word with that key goes (`quiet`, `console`, `inst.stage2`).
    Remove(String),
    /// Added behind Debian's `---`, so that the installer copies it to the installed system.
    AppendForTarget(String),
}

/// An edit and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgEdit {
    /// The edit.
    pub op: ArgOp,
    /// Why, for the plan.
    pub reason: String,
}

/// What is in a file that a family adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Our own bytes.
    Bytes(Vec<u8>),
    /// A file of the medium: its extent, not a copy.
    File(TreePath),
    /// The whole medium.
    Medium,
}

/// A file that a family adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where: in the initrd, beside `boot.ipxe`, or on the medium.
    pub path: TreePath,
    /// What is in it.
    pub body: Body,
    /// Permission bits.
    pub mode: u32,
    /// Why, for the plan.
    pub reason: String,
}

impl Made {
    /// Our own text.
    pub fn text(path: TreePath, text: impl Into<String>, mode: u32, reason: &str) -> Self {
        let body = Body::Bytes(text.into().into_bytes());
        Made { path, body, mode, reason: reason.to_owned() }
    }

    /// Our own bytes, where they are ours.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Bytes(b) => Some(b),
            Body::File(_) | Body::Medium => None,
        }
    }
}

/// Where the whole medium is hosted as one file: casper, live-boot and livenet want a URL that ends so.
pub const MEDIUM: &str = "medium.iso";

/// What of the medium must be hosted beside kernel and initrd. Nothing of it: kernel and initrd are
/// enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosted {
    /// The whole tree, below `repo/`.
    pub tree: bool,
    /// These files, at the same paths below `repo/`.
    pub files: Vec<TreePath>,
    /// The medium itself, as [`MEDIUM`].
    pub medium: bool,
}

impl Hosted {
    /// The whole tree.
    pub fn whole_tree() -> Self {
        Hosted { tree: true, ..Self::default() }
    }

    /// These files.
    pub fn only(files: Vec<TreePath>) -> Self {
        Hosted { files, ..Self::default() }
    }

    /// The medium itself, as one file.
    pub fn medium() -> Self {
        Hosted { medium: true, ..Self::default() }
    }

    /// True where nothing is hosted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What an edited medium no longer agrees with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// The MD5 that isomd5sum implants.
    Implanted,
    /// The digests that SUSE's tagmedia puts in.
    Tagged,
    /// `md5sum.txt` on the medium.
    Listed,
}

/// An edit that keeps the vendor's check of a medium from failing. Needless where the sums are renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaCheck {
    /// What is checked against.
    pub sums: Sums,
    /// The edit.
    pub edit: ArgEdit,
}

/// How answers reach the installer, and why so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The way.
    pub way: Delivery,
    /// Why.
    pub reason: String,
}

/// What becomes of the disks of a machine that boots the tree, without anybody being asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Disks {
    /// Nothing until the operator says so.
    #[default]
    LeftAlone,
    /// Nothing, though `unattended` was wished for: this system can't be told.
    Unheeded,
    /// Wiped.
    Wiped {
        /// Which, in words.
        which: String,
    },
    /// What the operator's own answer file says, of which we know nothing.
    AsOwn {
        /// Its name.
        file: String,
    },
    /// Wiped as the medium's own configuration says: it installs by itself, whatever the profile says.
    AsMedium,
}

impl Disks {
    /// True where a machine may lose its disks without a question.
    pub fn at_risk(&self) -> bool {
        !matches!(self, Disks::LeftAlone | Disks::Unheeded)
    }
}

impl std::fmt::Display for Disks {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Disks::LeftAlone => f.write_str("left alone until the operator says so"),
            Disks::Unheeded => {
                f.write_str("left alone: unattended is not heeded, as the notes say")
            }
            Disks::Wiped { which } => write!(f, "WIPED without a question: {which}"),
            Disks::AsOwn { file } => {
                write!(f, "as your own {file} says, which may WIPE them without a question")
            }
            Disks::AsMedium => f.write_str(
                "WIPED without a question: the medium installs by itself, as its own configuration says",
            ),
        }
    }
}

/// A wish that an installer can't be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsaid {
    /// The setting, as the profile names it.
    pub setting: String,
    /// Why, in a few words.
    pub why: String,
}

/// Something the operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// True for what is likely to fail, false for what is good to know.
    pub warning: bool,
    /// One sentence.
    pub text: String,
    /// True where it rests on an assumption, not on something found on the medium.
    pub assumed: bool,
}

/// What a family wants done.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Kernel argument edits, in order.
    pub args: Vec<ArgEdit>,
    /// Files to append to the initrd.
    pub in_initrd: Vec<Made>,
    /// Files of the medium that are initrds themselves, each with the reason: they follow the entry's.
    pub more_initrds: Vec<(TreePath, String)>,
    /// Files to put beside `boot.ipxe`.
    pub beside: Vec<Made>,
    /// Files to put on the medium, by their paths there.
    pub on_medium: Vec<Made>,
    /// Edits that the vendor's checks of the medium make necessary, where their sums are not renewed.
    pub media_checks: Vec<MediaCheck>,
    /// What of the medium must be hosted.
    pub hosted: Hosted,
    /// Consoles for the boot loaders' own terminals.
    pub loader_console: Vec<Console>,
    /// The coverage table's rows; the plan fills in what the boot loader layer has.
    pub coverage: Vec<Coverage>,
    /// RAM in MiB below which the route is known to fail; 0: unknown.
    pub ram_mib: u64,
    /// How answers reach the installer; none where there are none.
    pub delivery: Option<Delivered>,
    /// What becomes of the disks: set where the words are said that wipe them.
    pub disks: Disks,
    /// What the installer can't be told: an error, or with `lenient` a warning.
    pub unsaid: Vec<Unsaid>,
    /// Notes.
    pub notes: Vec<Note>,
}

impl Draft {
    /// Adds an argument edit.
    pub fn arg(&mut self, op: ArgOp, reason: impl Into<String>) {
        self.args.push(ArgEdit { op, reason: reason.into() });
    }

    /// Has the vendor's check of the medium left out, unless the plan renews its sums.
    pub fn drop_media_check(&mut self, sums: Sums, op: ArgOp) {
        let reason = match sums {
            Sums::Implanted => "the medium was edited, and the MD5 in it is the vendor's",
            Sums::Tagged => "the medium was edited, and the digests in it are the vendor's",
            Sums::Listed => "the medium was edited, and its md5sum.txt is the vendor's",
        };
        let edit = ArgEdit { op, reason: reason.into() };
        self.media_checks.push(MediaCheck { sums, edit });
    }

    /// Puts an answer file where `way` leads: into the initrd at its path, beside `boot.ipxe` below
    /// `answers/`, or on the medium below [`FOLDER`].
    ///
    /// # Errors
    /// Never, as both are good folder names.
    pub fn place(&mut self, way: Delivery, made: Made) -> Result<()> {
        let below = |folder: &str| Ok::<_, Error>(TreePath::new(folder)?.join_path(&made.path));
        match way {
            Delivery::Initrd | Delivery::Cmdline => self.in_initrd.push(made),
            Delivery::Url => self.beside.push(Made { path: below("answers")?, ..made }),
            Delivery::Medium => self.on_medium.push(Made { path: below(FOLDER)?, ..made }),
        }
        Ok(())
    }

    /// Adds a coverage row, in place of one that is there.
    pub fn cover(&mut self, layer: Layer, aspect: Aspect, cover: Cover) {
        self.coverage.retain(|c| (c.layer, c.aspect) != (layer, aspect));
        self.coverage.push(Coverage { layer, aspect, cover });
    }

    /// Chooses how answers reach the installer: the way that the operator forces, else the first of
    /// `ways` that the route has, by URL before the others where there are many hosts. Each way comes with
    /// the reason to take it. Started from the medium, by URL only where that is forced.
    ///
    /// # Errors
    /// `Usage` where this installer has not the way that is forced, or nobody knows the URL.
    pub fn deliver(&mut self, facts: &Facts, ways: &[(Delivery, &str)]) -> Result<Delivery> {
        let forced = facts.delivery;
        let ways: Vec<_> = match facts.route {
            Route::Network => ways.iter().filter(|(w, _)| *w != Delivery::Medium).collect(),
            Route::Medium => ways
                .iter()
                .filter(|(w, _)| *w != Delivery::Url || forced == Some(Delivery::Url))
                .collect(),
        };
        let by_url = ways.iter().find(|(way, _)| facts.many_hosts && *way == Delivery::Url);
        let found = match forced {
            Some(f) => ways.iter().find(|(way, _)| f == *way),
            None => by_url.or(ways.first()),
        };
        if ways.is_empty() && forced.is_none() {
            return Err(Error::usage("this installer takes answers by URL only")
                .hint("say where they will lie: --delivery url --base-url URL"));
        }
        let Some((way, reason)) = found else {
            let list: Vec<String> = ways.iter().map(|(w, _)| w.to_string()).collect();
            let way = forced.map(|f| f.to_string()).unwrap_or_default();
            return Err(Error::usage(format!("this installer takes no answers by \"{way}\""))
                .hint(format!("it takes them by: {}", list.join(", "))));
        };
        if facts.route == Route::Medium && *way == Delivery::Url && facts.base_url.is_none() {
            return Err(Error::usage("answers by URL, and nobody says where they will lie").hint(
                "give the URL of their folder's parent (--base-url), or put them on the medium",
            ));
        }
        let reason = match forced {
            Some(_) => "the profile or --delivery says so".to_owned(),
            None if by_url.is_some() => "each host fetches its own".to_owned(),
            None => (*reason).to_owned(),
        };
        self.delivery = Some(Delivered { way: *way, reason });
        Ok(*way)
    }

    /// A wish that this installer can't be told.
    pub fn cannot(&mut self, setting: impl Into<String>, why: impl Into<String>) {
        self.unsaid.push(Unsaid { setting: setting.into(), why: why.into() });
    }

    /// The disks are wiped without a question: `which`, in words.
    pub fn wipe(&mut self, which: impl Into<String>) {
        self.disks = Disks::Wiped { which: which.into() };
        self.note(format!("{}.", self.disks));
    }

    /// Adds a note that is good to know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(Note { warning: false, text: text.into(), assumed: false });
    }

    /// Adds a warning.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.notes.push(Note { warning: true, text: text.into(), assumed: false });
    }
}
