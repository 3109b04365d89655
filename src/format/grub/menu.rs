//! Commands to menu entries: variables as far as they are known, paths, the default.

use super::lexer::{Part, Word};
use super::read::{Command, Entry, Kind, Script};
use super::{DIRECT, Request};
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::paths;
use crate::model::boot::{BootEntry, Payload};
use crate::model::cmdline::{Cmdline, spell};
use std::cell::Cell;
use std::collections::HashMap;

/// `a=$a$a` doubles each time; nothing real comes near.
const MAX_VALUE: usize = 64 << 10;
/// All values together, so that a small script can't fill the memory.
const MAX_EXPANDED: usize = 8 << 20;

/// What we call the device that the medium is.
const MEDIUM: &str = "medium";

/// Value, or `None` where it depends on a condition.
type Vars = HashMap<String, Option<String>>;

pub(super) struct Menu<'a> {
    script: &'a Script,
    top: Vars,
    /// Of each entry.
    own: Vec<Vars>,
    commands: Vec<Vec<&'a Command>>,
    /// Commands in no entry and no function.
    outside: Vec<&'a Command>,
    default: Option<String>,
    /// Bytes that may still be put in for variables.
    left: Cell<usize>,
}

/// `linux`, `linuxefi`, `linux16`, …
pub(super) fn is_linux(name: &str) -> bool {
    matches!(name, "linux" | "linuxefi" | "linux16")
}

/// `initrd`, `initrdefi`, `initrd16`.
pub(super) fn is_initrd(name: &str) -> bool {
    matches!(name, "initrd" | "initrdefi" | "initrd16")
}

/// Index of the word that names the kernel: the first behind the command that is no option.
pub(super) fn kernel_word(c: &Command) -> Option<usize> {
    (1..c.words.len()).find(|&i| !c.words[i].raw().starts_with("--"))
}

/// Name and value of `set k=v` and `k=v`.
fn assignment(c: &Command) -> Option<(String, Word)> {
    let i = usize::from(c.words[0].is("set"));
    let w = c.words.get(i)?;
    let Some(Part::Text(t)) = w.parts.first() else { return None };
    let eq = t.iter().position(|&b| b == b'=')?;
    let name = std::str::from_utf8(&t[..eq]).ok()?;
    let is_name = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !is_name(name) || (i == 0 && c.words.len() > 1) {
        return None;
    }
    let mut value = w.clone();
    value.parts[0] = Part::Text(t[eq + 1..].to_vec());
    Some((name.to_owned(), value))
}

impl<'a> Menu<'a> {
    pub fn of(script: &'a Script, base: &TreePath) -> Menu<'a> {
        let mut m = Menu {
            script,
            top: Vars::new(),
            own: script.entries.iter().map(|_| Vars::new()).collect(),
            commands: script.entries.iter().map(|_| Vec::new()).collect(),
            outside: Vec::new(),
            default: None,
            left: Cell::new(MAX_EXPANDED),
        };
        m.top.insert("root".into(), Some(MEDIUM.into()));
        m.top.insert("prefix".into(), Some(format!("({MEDIUM})/{base}")));
        for c in script.commands.iter().filter(|c| !c.in_function) {
            match c.entry {
                Some(e) => m.commands[e].push(c),
                None => m.outside.push(c),
            }
            m.learn(c);
        }
        m
    }

    fn learn(&mut self, c: &Command) {
        let Some((name, value)) = assignment(c) else {
            // `search --set=root` finds the medium, or what bears its label.
            return;
        };
        let value = self.expand(&value, c.entry).ok();
        if name == "default" && c.entry.is_none() && !c.when.unsure {
            self.default.clone_from(&value);
        }
        let sure = !c.when.unsure && c.when.firmware.is_none();
        let vars = match c.entry {
            Some(e) => &mut self.own[e],
            None => &mut self.top,
        };
        let same = vars.get(&name).is_some_and(|old| *old == value);
        vars.insert(name, if sure || same { value } else { None });
    }

    fn lookup(&self, name: &str, entry: Option<usize>) -> Option<&str> {
        let mut at = entry;
        while let Some(e) = at {
            if let Some(v) = self.own[e].get(name) {
                return v.as_deref();
            }
            at = self.script.entries[e].parent;
        }
        self.top.get(name)?.as_deref()
    }

    /// The word's value, or the first variable that is not known, as it is written.
    fn expand(&self, w: &Word, entry: Option<usize>) -> Result<String, String> {
        let mut out = String::new();
        for p in &w.parts {
            match p {
                Part::Text(t) => out.push_str(&String::from_utf8_lossy(t)),
                Part::Var(name, written) => match self.lookup(name, entry) {
                    Some(v) if out.len() + v.len() <= MAX_VALUE && v.len() <= self.left.get() => {
                        self.left.set(self.left.get() - v.len());
                        out.push_str(v);
                    }
                    _ => return Err(written.clone()),
                },
            }
        }
        Ok(out)
    }

    fn path(&self, w: &Word, entry: Option<usize>) -> Result<TreePath> {
        let text = self.expand(w, entry).map_err(|var| {
            Error::unsupported(format!("\"{}\": the value of {var} is not known", w.raw()))
        })?;
        let elsewhere = |d: &str| Error::unsupported(format!("({d}) is not the medium"));
        let file = match text.strip_prefix('(').and_then(|t| t.split_once(')')) {
            Some((device, file)) => {
                if device != MEDIUM && !device.starts_with("cd") {
                    return Err(elsewhere(device));
                }
                file
            }
            None => {
                let root = self.lookup("root", entry).unwrap_or(MEDIUM);
                let other = ["loop", "memdisk", "http", "tftp", "pxe", "(loop", "(http"];
                if other.iter().any(|o| root.starts_with(o)) {
                    return Err(elsewhere(root));
                }
                &text
            }
        };
        paths::from_folder(&TreePath::root(), file)
    }

    pub fn entries(&self) -> Vec<BootEntry> {
        let mut out = Vec::new();
        let mut defaults = Vec::new();
        for (i, e) in self.script.entries.iter().enumerate() {
            let (title, id) = self.title(e);
            defaults.push((title.clone(), id));
            let payload = match e.kind {
                Kind::Submenu => continue,
                Kind::Entry => self.payload(&self.commands[i], Some(i)),
            };
            out.push(BootEntry { id: e.id.clone(), title, payload, default: false });
        }
        let direct: Vec<&Command> =
            self.outside.iter().filter(|c| is_boot(&c.name())).copied().collect();
        if !direct.is_empty() {
            let payload = self.payload(&direct, None);
            let title = "(without a menu)".into();
            out.push(BootEntry { id: DIRECT.into(), title, payload, default: false });
        }
        let id = self.default_id(&defaults).unwrap_or_else(|| DIRECT.into());
        if let Some(e) = out.iter_mut().find(|e| e.id == id) {
            e.default = true;
        }
        out
    }

    /// Title and `--id`.
    fn title(&self, e: &Entry) -> (String, Option<String>) {
        let (mut title, mut id) = (None, None);
        let mut words = e.head.iter().skip(1);
        while let Some(w) = words.next() {
            let raw = w.raw();
            match &raw[..] {
                "--id" | "$menuentry_id_option" | "${menuentry_id_option}" => {
                    id = words.next().map(Word::raw)
                }
                "--class" | "--users" | "--hotkey" | "--source" => {
                    words.next();
                }
                o if o.starts_with("--id=") => id = Some(o["--id=".len()..].to_owned()),
                o if o.starts_with("--") => {}
                _ => {
                    title.get_or_insert_with(|| {
                        self.expand(w, e.parent).unwrap_or_else(|_| raw.clone())
                    });
                }
            }
        }
        (title.unwrap_or_default(), id)
    }

    /// `default` names a position, a title or an id, and inside a submenu the next after `>`. An
    /// entry that stands under a condition which is not known does not count, for on the stock
    /// medium such conditions ask for what is not there.
    fn default_id(&self, names: &[(String, Option<String>)]) -> Option<String> {
        let wish = self.default.as_deref().unwrap_or("0");
        let mut parent = None;
        let mut steps = wish.split('>').map(str::trim);
        loop {
            let step = steps.next().unwrap_or("0");
            let level =
                || self.script.entries.iter().enumerate().filter(move |(_, e)| e.parent == parent);
            let sure = || level().filter(|(_, e)| !e.when.unsure);
            let by_name = || {
                level().find(|(i, _)| names[*i].0 == step || names[*i].1.as_deref() == Some(step))
            };
            let found = match step.parse::<usize>() {
                Ok(n) => sure().nth(n),
                Err(_) => by_name(),
            };
            let (i, e) = found.or_else(|| sure().next()).or_else(|| level().next())?;
            if e.kind == Kind::Entry {
                return Some(e.id.clone());
            }
            parent = Some(i);
        }
    }

    fn payload(&self, commands: &[&Command], entry: Option<usize>) -> Payload {
        let Some(c) = commands.iter().find(|c| is_boot(&c.name())) else {
            let does = commands.iter().map(|c| c.name()).find(|n| {
                matches!(&n[..], "exit" | "reboot" | "halt" | "fwsetup" | "normal" | "boot")
            });
            return Payload::Opaque { why: does.unwrap_or_else(|| "starts nothing".into()) };
        };
        let name = c.name();
        let built = if is_linux(&name) {
            self.linux(c, commands, entry)
        } else if is_multiboot(&name) {
            self.kernel_and_args(c, entry)
                .map(|(kernel, cmdline)| Payload::Multiboot { kernel, cmdline })
        } else {
            let what: Vec<String> =
                c.words.iter().map(|w| self.expand(w, entry).unwrap_or_else(|_| w.raw())).collect();
            Ok(Payload::Chain { what: what.join(" ") })
        };
        built.unwrap_or_else(|e| Payload::Opaque { why: e.to_string() })
    }

    fn kernel_and_args(&self, c: &Command, entry: Option<usize>) -> Result<(TreePath, Cmdline)> {
        let k = kernel_word(c)
            .ok_or_else(|| Error::unsupported(format!("{} names no kernel", c.name())))?;
        let args: Vec<String> =
            c.words[k + 1..].iter().filter_map(|w| self.arg(w, entry)).collect();
        Ok((self.path(&c.words[k], entry)?, Cmdline::parse(&args.join(" "))?))
    }

    /// A word as it reaches the kernel: GRUB quotes one with a space in it, and an unquoted variable
    /// falls apart into words.
    fn arg(&self, w: &Word, entry: Option<usize>) -> Option<String> {
        let v = self.expand(w, entry).unwrap_or_else(|_| w.raw());
        if v.is_empty() {
            return None;
        }
        let bare_variable = w.bare && w.parts.iter().any(|p| matches!(p, Part::Var(..)));
        if bare_variable { Some(v) } else { Some(spelled(&v)) }
    }

    fn linux(&self, c: &Command, all: &[&Command], entry: Option<usize>) -> Result<Payload> {
        let (kernel, mut cmdline) = self.kernel_and_args(c, entry)?;
        cmdline.remove_where(|w| matches!(w.key, "initrd" | "BOOT_IMAGE"));
        let initrd = all.iter().find(|c| is_initrd(&c.name()));
        let mut initrds = Vec::new();
        for w in initrd.iter().flat_map(|c| &c.words[1..]).filter(|w| !w.raw().starts_with("--")) {
            initrds.push(self.path(w, entry)?);
        }
        Ok(Payload::Linux { kernel, initrds, cmdline })
    }

    pub fn requests(&self) -> Vec<Request> {
        let named = |c: &&&Command| {
            matches!(
                &c.name()[..],
                "source" | "." | "configfile" | "extract_entries_source" | "normal"
            ) && c.words.len() > 1
        };
        let all: Vec<&Command> = self.script.commands.iter().filter(|c| !c.in_function).collect();
        all.iter()
            .filter(named)
            .filter_map(|c| {
                let w = &c.words[kernel_word(c)?];
                Some(Request {
                    written: w.raw(),
                    path: self.path(w, c.entry).ok(),
                    in_entry: c.entry.is_some(),
                })
            })
            .collect()
    }
}

/// `v` as the kernel's command line has it.
pub(super) fn spelled(v: &str) -> String {
    spell(v).unwrap_or_else(|_| v.to_owned())
}

fn is_multiboot(name: &str) -> bool {
    matches!(
        name,
        "multiboot" | "multiboot2" | "xen_hypervisor" | "knetbsd" | "kopenbsd" | "kfreebsd"
    )
}

fn is_boot(name: &str) -> bool {
    is_linux(name)
        || is_multiboot(name)
        || matches!(name, "chainloader" | "configfile" | "linux_uki" | "ntldr" | "appleloader")
}
