//! iPXE scripts: a reader for `verify`, and the rules for words that a renderer writes.
//!
//! Source: ipxe.org/scripting and iPXE's `src/core/exec.c`, `src/image/script.c`: the image type is
//! known by its first bytes; a backslash joins lines; words are parted by white space, there are no
//! quotes; `&&` and `||` as words of their own end a command; a word beginning with `#` starts a
//! comment; `${name}` is expanded first of all. The script is read, not run: branches are listed one
//! after the other, and a variable has the value that was set last before it.

use crate::error::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// What the first line begins with.
pub const MAGIC: &str = "#!ipxe";

/// iPXE holds a script in memory; ours are a few KiB, and 400 bytes more for each host.
pub const MAX_LEN: usize = 4 << 20;
const MAX_VALUE: usize = 16 << 10;
/// All variables' values together, so that a small script can't fill the memory.
const MAX_EXPANDED: usize = 4 << 20;

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The commands in order.
    pub commands: Vec<Command>,
    /// `:label` and the index of the command behind it.
    pub labels: Vec<(String, usize)>,
}

/// A command with its variables expanded as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Line it begins on, from 1.
    pub line: usize,
    /// What must hold of the command before it.
    pub after: After,
    /// Name and arguments; never empty.
    pub words: Vec<String>,
}

/// How a command hangs together with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// A line of its own.
    Line,
    /// `&&`.
    Success,
    /// `||`.
    Failure,
}

/// An image that is fetched: `kernel`, `initrd`, `chain`, and their other names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Line, from 1.
    pub line: usize,
    /// As written, relative to the script's own place where it is relative.
    pub uri: String,
    /// `--name`, else the last part of the URI's path.
    pub name: String,
    /// What follows: kernel arguments; for an initrd, its path in the root and `mode=`.
    pub args: String,
}

struct Vars {
    values: HashMap<String, String>,
    /// Bytes that may still be put in for variables.
    left: usize,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// `Corrupt` where the first bytes are not `#!ipxe` (iPXE would not know it for a script), or the
    /// text is not UTF-8; `Unsupported` above [`MAX_LEN`].
    pub fn parse(bytes: &[u8]) -> Result<Script> {
        if bytes.len() > MAX_LEN {
            let len = bytes.len();
            return Err(Error::unsupported(format!("{len} bytes; the limit is {MAX_LEN}")));
        }
        let magic = bytes.strip_prefix(MAGIC.as_bytes());
        if !magic.is_some_and(|r| r.first().is_none_or(u8::is_ascii_whitespace)) {
            return Err(Error::corrupt("the first bytes are not #!ipxe", 0).hint(
                "iPXE knows a script by them: nothing may stand before, not even a newline",
            ));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| Error::corrupt("not UTF-8", e.valid_up_to() as u64))?;
        let mut out = Script { commands: Vec::new(), labels: Vec::new() };
        let mut vars = Vars { values: HashMap::new(), left: MAX_EXPANDED };
        for (line, joined) in logical_lines(text) {
            out.line(line, &joined, &mut vars);
        }
        Ok(out)
    }

    fn line(&mut self, line: usize, text: &str, vars: &mut Vars) {
        let text = text.trim();
        if let Some(label) = text.strip_prefix(':') {
            let name = label.split_whitespace().next().unwrap_or_default();
            return self.labels.push((name.to_owned(), self.commands.len()));
        }
        let expanded = expand(text, vars);
        let mut words: Vec<String> = Vec::new();
        let mut after = After::Line;
        for w in expanded.split_whitespace() {
            if w.starts_with('#') {
                break;
            }
            let next = match w {
                "&&" => After::Success,
                "||" => After::Failure,
                _ => {
                    words.push(w.to_owned());
                    continue;
                }
            };
            self.push(line, after, std::mem::take(&mut words), vars);
            after = next;
        }
        self.push(line, after, words, vars);
    }

    fn push(&mut self, line: usize, after: After, words: Vec<String>, vars: &mut Vars) {
        if words.is_empty() {
            return;
        }
        if words[0] == "set" && words.len() > 1 {
            let name = words[1].split(':').next().unwrap_or_default();
            vars.values.insert(name.to_owned(), words[2..].join(" "));
        }
        self.commands.push(Command { line, after, words });
    }

    fn images<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = Image> + 'a {
        self.commands.iter().filter(|c| names.contains(&&c.words[0][..])).filter_map(image)
    }

    /// What a variable was set to last.
    pub fn value(&self, name: &str) -> Option<&str> {
        let set = |c: &&Command| c.words.len() == 3 && c.words[0] == "set" && c.words[1] == name;
        self.commands.iter().rev().find(set).map(|c| c.words[2].as_str())
    }

    /// `kernel` lines and their other names (`imgselect` of a URI, `imgload`).
    pub fn kernels(&self) -> impl Iterator<Item = Image> + '_ {
        self.images(&["kernel", "imgselect", "imgload"])
    }

    /// `initrd` lines and their other names.
    pub fn initrds(&self) -> impl Iterator<Item = Image> + '_ {
        self.images(&["initrd", "module", "imgfetch"])
    }

    /// `chain` lines and their other names.
    pub fn chains(&self) -> impl Iterator<Item = Image> + '_ {
        self.images(&["chain", "boot", "imgexec"])
    }
}

fn image(c: &Command) -> Option<Image> {
    let mut name = None;
    let mut words = c.words[1..].iter();
    let uri = loop {
        let w = words.next()?;
        match w.as_str() {
            "--name" | "-n" => name = words.next().cloned(),
            "--timeout" | "-t" => {
                words.next();
            }
            o if o.starts_with("--name=") => name = Some(o["--name=".len()..].to_owned()),
            o if o.starts_with("--") || o == "-a" || o == "-r" => {}
            _ => break w.clone(),
        }
    };
    let last = uri.split(['?', '#']).next().unwrap_or(&uri).rsplit('/').next().unwrap_or(&uri);
    let name = name.unwrap_or_else(|| last.to_owned());
    let args: Vec<&str> = words.map(String::as_str).collect();
    Some(Image { line: c.line, name, args: args.join(" "), uri })
}

/// Lines with those that end in a backslash joined to the next, and the number of the first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (n, l) in text.split('\n').enumerate() {
        let l = l.strip_suffix('\r').unwrap_or(l);
        let (l, joins) = l.strip_suffix('\\').map_or((l, false), |l| (l, true));
        match out.last_mut() {
            Some((_, last)) if open => last.push_str(l),
            _ => out.push((n + 1, l.to_owned())),
        }
        open = joins;
    }
    out
}

/// `${name}` and `${name:type}` with what is known; the rest stays as it is written.
fn expand(text: &str, vars: &mut Vars) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}').map(|n| at + n) else { break };
        match vars.values.get(&rest[at + 2..end]) {
            Some(v) if out.len() + v.len() <= MAX_VALUE && v.len() <= vars.left => {
                vars.left -= v.len();
                out.push_str(v);
            }
            _ => out.push_str(&rest[at..=end]),
        }
        rest = &rest[end + 1..];
    }
    out + rest
}

fn refuse(text: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("iPXE can't carry \"{}\": {why}", text.escape_debug()),
    )
}

/// `text` as one literal word of a script.
///
/// # Errors
/// `Unsupported` for what iPXE has no spelling for, saying why: white space and control bytes (there
/// are no quotes), `${` (always expanded, there is no escape), `&&` and `||` as a whole word (they
/// end the command), `#` at the start (a comment), a backslash at the end (joins lines).
pub fn word(text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(refuse(text, "a word must not be empty"));
    }
    if text.contains(char::is_whitespace) {
        return Err(refuse(text, "white space parts words, and there are no quotes"));
    }
    args(text)
}

/// `text` as the literal rest of a `kernel` line: words with single spaces between, which is what
/// iPXE hands on. The kernel's own quotes pass through.
///
/// # Errors
/// As [`word`], and for runs of white space, which would arrive as one space.
pub fn args(text: &str) -> Result<String> {
    if text.chars().any(char::is_control) {
        return Err(refuse(text, "a control character can't stand in a line"));
    }
    if text.contains("${") {
        return Err(refuse(text, "\"${\" begins a variable, and there is no escape for it"));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.join(" ") != text {
        return Err(refuse(text, "more than one space between words arrives as one"));
    }
    for w in &words {
        if matches!(*w, "&&" | "||") {
            return Err(refuse(text, "\"&&\" and \"||\" end the command"));
        }
        if w.starts_with('#') {
            return Err(refuse(text, "\"#\" at the start of a word begins a comment"));
        }
    }
    if text.ends_with('\\') {
        return Err(refuse(text, "a backslash at the end joins the next line"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "#!ipxe\nimgfree\nset base http://h/p # here\n:retry\nkernel --name k ${base}/vmlinuz initrd=initrd.img \\\n  console=ttyS1,115200n8 || goto retry\ninitrd ${base}/a/initrd.img && initrd ks.cfg /ks.cfg mode=0644\niseq ${platform} efi && chain --autofree ${base}/g.efi?x=/y || boot\n";

    #[test]
    fn images_with_their_names_and_arguments() {
        let s = Script::parse(SCRIPT.as_bytes()).expect("script");
        let k: Vec<_> = s.kernels().collect();
        assert_eq!((&k[0].uri[..], &k[0].name[..], k[0].line), ("http://h/p/vmlinuz", "k", 5));
        assert_eq!(k[0].args, "initrd=initrd.img console=ttyS1,115200n8");
        let i: Vec<_> = s.initrds().map(|i| (i.uri, i.name, i.args)).collect();
        assert_eq!(i[0], ("http://h/p/a/initrd.img".into(), "initrd.img".into(), String::new()));
        assert_eq!(i[1].2, "/ks.cfg mode=0644");
        assert_eq!(s.chains().next().expect("chain").name, "g.efi");
        assert_eq!(s.labels, [("retry".to_owned(), 2)]);
        assert!(s.commands.iter().any(|c| c.words == ["iseq", "${platform}", "efi"]));
        assert_eq!(s.commands.last().expect("boot").after, After::Failure);
    }

    #[test]
    fn the_magic_stands_first_or_it_is_no_script() {
        for bad in ["\n#!ipxe\n", " #!ipxe", "#!ipxeX", "", "\u{feff}#!ipxe"] {
            let e = Script::parse(bad.as_bytes()).expect_err(bad);
            assert!(e.to_string().contains("#!ipxe"));
        }
        assert!(Script::parse(b"#!ipxe").is_ok());
        assert!(Script::parse(b"#!ipxe\n\xff").is_err());
    }

    #[test]
    fn what_ipxe_has_no_spelling_for_is_refused() {
        for bad in ["", "a b", "a\nb", "${x}", "&&", "||", "#x", "a\\"] {
            assert!(word(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a=b;c", "x#y", "a&&b", "$x", "a\\b"] {
            assert_eq!(word(good).expect(good), good);
        }
        assert!(args("a=\"b c\" d").is_ok() && args("").is_ok());
        assert!(args("a  b").is_err() && args("a && b").is_err() && args("a\t b").is_err());
    }

    #[test]
    fn doubling_variables_stay_small() {
        let text = format!("#!ipxe\nset a xxxxxxxx\n{}", "set a ${a}${a}\n".repeat(60));
        let s = Script::parse(text.as_bytes()).expect("script");
        assert!(s.commands.iter().flat_map(|c| &c.words).all(|w| w.len() < 3 * MAX_VALUE));
    }
}
