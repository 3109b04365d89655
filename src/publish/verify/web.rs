//! A published tree as a machine meets it: over HTTP, by an old iPXE and by installers that know less of
//! HTTP than a browser does (RFC 9110, RFC 9112).

mod ask;
mod file;
mod script;

use super::{Report, SCRIPT, signed};
use crate::content::copy::Watch;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::ipxe;
use crate::format::x509::Certificate;
use crate::plan::netboot::{INITRD, KERNEL};
use crate::publish::manifest::Manifest;
use crate::publish::{MANIFEST, SUMS, in_parallel_by};
use ask::{Asker, Method, Trip, checked, escaped};
use file::Wanted;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests at a time: as many as a browser keeps open to one server, and a few of waiting.
const AT_ONCE: usize = 8;
/// That many files without any answer, and the server is taken for gone.
const DEAF: usize = 16;
const MAX_MANIFEST: u64 = 256 << 20;
/// Its time is bounded by this length: ten thousand files have 3 MiB.
const USUAL_MANIFEST: u64 = 16 << 20;

/// How to look.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Fetch every file whole and compare its bytes; otherwise only small ones.
    pub whole: bool,
    /// Certificates of which one must have signed the manifest, or vouch for whoever did.
    pub trusted: Vec<Certificate>,
}

struct Walker<'a> {
    asker: Asker,
    /// The folder's URL, with its slash.
    base: String,
    options: Options,
    watch: Watch<'a>,
    deaf: AtomicUsize,
}

/// What is told of one file.
#[derive(Default)]
struct Told {
    report: Report,
    files: usize,
    bytes: u64,
    entries: usize,
    silent: bool,
    /// The first file whose HEAD is wrong.
    heads: Option<(String, String)>,
    /// What may be told of every file: said once, with a count.
    often: BTreeMap<&'static str, (String, String, usize)>,
}

impl Told {
    fn broken(&mut self, path: &str, what: impl Into<String>) {
        self.report.broken(path, what);
    }

    fn note(&mut self, path: &str, what: impl Into<String>) {
        self.report.note(path, what);
    }

    /// For what was told last.
    fn hint(&mut self, hint: &str) {
        self.report.hint(hint);
    }

    fn trip(&mut self, path: &str, trip: Trip) {
        self.silent |= trip.silent;
        self.broken(path, trip.what);
        if let Some(h) = trip.hint {
            self.hint(h);
        }
    }

    fn often(&mut self, kind: &'static str, path: &str, what: String) {
        self.often.entry(kind).or_insert((path.to_owned(), what, 0)).2 += 1;
    }

    fn add(&mut self, other: Told) {
        self.report.findings.extend(other.report.findings);
        self.report.unread.extend(other.report.unread);
        self.files += other.files;
        self.bytes += other.bytes;
        self.entries += other.entries;
        if self.heads.is_none() {
            self.heads = other.heads;
        }
        for (kind, (path, what, n)) in other.often {
            self.often.entry(kind).or_insert((path, what, 0)).2 += n;
        }
    }

    fn report(mut self) -> Report {
        if let Some((path, what)) = self.heads.take() {
            self.broken(&path, what);
            self.hint("Fedora CoreOS, dracut and iPXE's sanboot ask with HEAD first");
        }
        for (path, what, n) in std::mem::take(&mut self.often).into_values() {
            let more = if n > 1 { format!(" ({n} such files)") } else { String::new() };
            self.note(&path, what + &more);
        }
        Report { files: self.files, bytes: self.bytes, entries: self.entries, ..self.report }
    }
}

/// Walks the tree whose boot script is at `url`; one that ends in a slash means the `boot.ipxe` in it. The
/// report's `bytes` are those that were compared; without a manifest only what boot scripts name is looked at.
///
/// # Errors
/// `Usage` for what is no URL, `Remote` where the script itself does not come, `Interrupted`. What a machine
/// would trip over is a finding, not an error.
pub fn walk(url: &str, options: Options, watch: Watch) -> Result<Report> {
    checked(url)?;
    let url = if url.ends_with('/') { format!("{url}{SCRIPT}") } else { url.to_owned() };
    let (folder, script) = url.rsplit_once('/').unwrap_or((&url, SCRIPT));
    let (base, script) = (format!("{folder}/"), script.to_owned());
    let walker = Walker { asker: Asker::new(), base, options, watch, deaf: AtomicUsize::new(0) };
    walker.walk(&url, &script)
}

impl Walker<'_> {
    fn walk(&self, url: &str, script: &str) -> Result<Report> {
        let mut told = Told::default();
        if url.starts_with("https:") {
            told.note(
                script,
                "comes by https: old iPXE builds know none, and others not the certificate",
            );
        }
        let text = self.fetch(url, ipxe::MAX_LEN as u64)?;
        let manifest = self.manifest(&mut told)?;
        let mut named = self.scripts(url, &text, &mut told)?;
        if let Some((m, own)) = &manifest {
            self.all(m, &named, &mut told)?;
            let file = |p: &TreePath| Ok(self.small(p));
            signed::check(own, m, &self.options.trusted, &file, &mut told.report)?;
            self.beside(m, script, &named, &mut told)?;
            let known: Vec<String> = m.files.iter().map(|f| self.url(&f.path)).collect();
            named.images.retain(|u| !known.contains(u));
        } else {
            told.note(
                script,
                "there is no manifest.json: only what boot scripts name was looked at",
            );
            told.files += 1;
            self.grub(&mut named, &mut told)?;
        }
        self.images(&named, &mut told)?;
        self.absent("no-such-file.isowright", "installers probe for files", &mut told);
        self.elsewhere(&named, script, &mut told);
        told.report.manifest = manifest.map(|(m, _)| Box::new(m));
        Ok(told.report())
    }

    /// What the walk can't do without.
    fn fetch(&self, url: &str, limit: u64) -> Result<Vec<u8>> {
        let no = |trip: Trip| {
            let e = Error::new(ErrorKind::Remote, trip.what).source_name(url);
            match trip.hint {
                Some(h) => e.hint(h),
                None => e.hint("a machine would get no further than here either"),
            }
        };
        self.go_on()?;
        let a = self.asker.ask(Method::Get, url, limit).map_err(no)?;
        match a.status {
            200 => a.bytes(limit).map_err(no),
            s => Err(no(Trip::new(format!("is answered with {s}, not 200")))),
        }
    }

    /// A signature, where it comes.
    fn small(&self, path: &TreePath) -> Option<Vec<u8>> {
        let a = self.asker.ask(Method::Get, &self.url(path), signed::MAX_SIGNATURE).ok()?;
        (a.status == 200).then(|| a.bytes(signed::MAX_SIGNATURE).ok()).flatten()
    }

    fn manifest(&self, told: &mut Told) -> Result<Option<(Manifest, Vec<u8>)>> {
        self.go_on()?;
        let url = format!("{}{MANIFEST}", self.base);
        let a = match self.asker.ask(Method::Get, &url, USUAL_MANIFEST) {
            Ok(a) => a,
            Err(trip) => {
                told.trip(MANIFEST, trip);
                return Ok(None);
            }
        };
        if a.status != 200 {
            return Ok(None);
        }
        let bytes = match a.bytes(MAX_MANIFEST) {
            Ok(b) => b,
            Err(trip) => {
                told.trip(MANIFEST, trip);
                return Ok(None);
            }
        };
        match Manifest::from_json(&bytes) {
            Ok(m) => Ok(Some((m, bytes))),
            Err(e) => {
                told.broken(MANIFEST, e.to_string());
                Ok(None)
            }
        }
    }

    /// Every file of the manifest.
    fn all(&self, m: &Manifest, named: &script::Named, told: &mut Told) -> Result<()> {
        let loaded = |w: Wanted| Wanted {
            loaded: w.loaded || named.images.contains(&self.url(&w.path)),
            ..w
        };
        let wanted: Vec<(usize, Wanted)> =
            m.files.iter().map(wanted).map(loaded).enumerate().collect();
        let found: Mutex<Vec<(usize, Told)>> = Mutex::default();
        let passed = AtomicUsize::new(0);
        in_parallel_by(AT_ONCE, &wanted, |(at, w)| {
            self.go_on()?;
            if self.deaf.load(Ordering::Relaxed) >= DEAF {
                passed.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            let mut told = Told::default();
            self.look(w, &mut told)?;
            match told.silent {
                true => self.deaf.fetch_add(1, Ordering::Relaxed),
                false => self.deaf.swap(0, Ordering::Relaxed),
            };
            if let Ok(mut f) = found.lock() {
                f.push((*at, told));
            }
            Ok(())
        })?;
        let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().for_each(|(_, t)| told.add(t));
        if let n @ 1.. = passed.into_inner() {
            told.broken(
                MANIFEST,
                format!("the server answers no more: {n} of its files were not looked at"),
            );
        }
        Ok(())
    }

    /// What is no file of the manifest: sums, probes, names that can't be there.
    fn beside(
        &self,
        m: &Manifest,
        script: &str,
        named: &script::Named,
        told: &mut Told,
    ) -> Result<()> {
        self.go_on()?;
        let sums = m.sums()?;
        let own = Wanted {
            path: SUMS.parse()?,
            is: Some((sums.len() as u64, crate::content::copy::digest(&sums.into(), &|_| true)?)),
            loaded: false,
            closed: false,
        };
        let whole = Walker {
            asker: Asker::new(),
            base: self.base.clone(),
            options: Options { whole: true, ..Options::default() },
            watch: self.watch,
            deaf: AtomicUsize::new(0),
        };
        whole.look(&own, told)?;
        let by_size = |f: &&crate::publish::manifest::FileRow| f.size;
        let fetched = m.files.iter().filter(|f| !is_loaded(f.path.as_bytes()));
        if let Some(row) = fetched.max_by_key(by_size) {
            let starts = |key: &str| named.words.iter().any(|w| w.starts_with(key));
            let matters = named.commands.contains("sanboot") || starts("archiso_http_srv=");
            self.probes(&wanted(row), matters, told);
        }
        let there = |p: &str| m.files.iter().any(|f| f.path.as_bytes() == p.as_bytes());
        if there("repo/.treeinfo") {
            for p in ["repo/images/updates.img", "repo/images/product.img"] {
                if !there(p) {
                    self.absent(p, "Anaconda would take the answer for an image", told);
                }
            }
        }
        if let Some(row) =
            m.files.iter().find(|f| named.by_filename && f.path.as_bytes() == KERNEL.as_bytes())
        {
            self.dotdot(script, &wanted(row), told);
        }
        Ok(())
    }

    /// Arguments that name URLs which are not of this tree.
    fn elsewhere(&self, named: &script::Named, script: &str, told: &mut Told) {
        for word in &named.words {
            let Some(at) = word.find("http://").or_else(|| word.find("https://")) else { continue };
            if !word[at..].starts_with(&self.base) {
                told.note(script, format!("{word} names another place, which was not looked at"));
            }
        }
    }

    fn url(&self, path: &TreePath) -> String {
        format!("{}{}", self.base, escaped(path.as_bytes()))
    }

    /// A URL as findings name it: below the tree without what is common to all.
    fn short(&self, url: &str) -> String {
        url.strip_prefix(&self.base).unwrap_or(url).to_owned()
    }

    fn go_on(&self) -> Result<()> {
        match (self.watch)(0) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
        }
    }
}

fn is_loaded(path: &[u8]) -> bool {
    path == KERNEL.as_bytes() || path == INITRD.as_bytes() || path.ends_with(b".ipxe")
}

fn wanted(row: &crate::publish::manifest::FileRow) -> Wanted {
    Wanted {
        path: row.path.clone(),
        is: Some((row.size, row.sha256)),
        loaded: is_loaded(row.path.as_bytes()),
        closed: row.mode.is_some(),
    }
}
