//! One file of a published tree: what a machine would get for it.

use super::ask::{Answer, Method, Trip, escaped};
use super::{Told, Walker};
use crate::content::copy::Digest;
use crate::content::path::TreePath;
use crate::error::Result;

/// Small files are fetched and compared: another request would cost as much.
const SMALL: u64 = 64 << 10;

const AS_PLUS: &str = "stores take a raw + in a path for a space: publish the file under the name with a space too, or put a \
     web server in front";
const DOTFILES: &str =
    "copy the tree with its dotfiles (rsync -a, cp -a TREE/.), and let the server give them out";

/// A file as it should be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub path: TreePath,
    /// `None` where no manifest tells.
    pub is: Option<(u64, Digest)>,
    /// iPXE loads it itself.
    pub loaded: bool,
    /// For its owner alone.
    pub closed: bool,
}

impl Wanted {
    fn size(&self) -> u64 {
        self.is.map_or(0, |(size, _)| size)
    }
}

impl Walker<'_> {
    /// Looks at one file, and tells what is wrong with it.
    pub(super) fn look(&self, w: &Wanted, told: &mut Told) -> Result<()> {
        let name = w.path.to_string();
        let url = self.url(&w.path);
        let compare = self.options.whole || w.size() <= SMALL;
        let answer = match w.loaded || compare {
            true => self.asker.ask(Method::Get, &url, w.size()),
            false => self.sized(&url, w, told),
        };
        let answer = match answer {
            Ok(a) if a.status == 200 => a,
            other => {
                told.trip(&name, other.map_or_else(|trip| trip, |a| self.refused(w, a.status)));
                return Ok(());
            }
        };
        told.files += 1;
        self.head(w, &name, &answer, told);
        self.plus(w, &name, told);
        if let Some(to) = answer.hops.last() {
            told.often("redirect", &name, format!("is sent on to {to}, which costs a request"));
        }
        let Some((size, digest)) = w.is.filter(|_| compare) else {
            told.report.unread.insert(name);
            return Ok(());
        };
        match answer.digest(size, self.watch)? {
            Err(trip) => told.trip(&name, trip),
            // What was too long was told by its Content-Length, or is now.
            Ok((n, _)) if n != size => {
                let n = if n > size { "more".into() } else { n.to_string() };
                told.broken(&name, format!("{n} bytes come, not {size}"));
            }
            Ok((n, got)) => {
                told.bytes += n;
                if got != digest {
                    told.broken(&name, "its bytes are not those of the manifest");
                }
            }
        }
        Ok(())
    }

    /// HEAD, which is cheap; where the server knows none, GET without the body.
    fn sized(&self, url: &str, w: &Wanted, told: &mut Told) -> std::result::Result<Answer, Trip> {
        let head = self.asker.ask(Method::Head, url, 0)?;
        if head.status == 200 {
            return Ok(head);
        }
        let get = self.asker.ask(Method::Get, url, w.size())?;
        if get.status == 200 {
            let what = format!("HEAD is answered with {}, GET with 200", head.status);
            told.heads.get_or_insert((w.path.to_string(), what));
        }
        Ok(get)
    }

    /// The head of a 200.
    fn head(&self, w: &Wanted, name: &str, a: &Answer, told: &mut Told) {
        if let Some(e) =
            a.header("content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity"))
        {
            told.broken(name, format!("comes as {e} though nobody asked for it"));
            told.hint("switch compression off for the tree: iPXE and installers unpack none");
        }
        let length = a.length().filter(|_| !a.chunked());
        match (length, w.is) {
            (Some(n), Some((size, _))) if n != size => {
                told.broken(name, format!("Content-Length is {n}, not {size}"));
            }
            (None, _) if w.loaded => {
                let how = if a.chunked() { "it comes in chunks" } else { "no Content-Length" };
                told.broken(name, format!("{how}: its size is not known beforehand"));
                told.hint(
                    "let the server send boot files with a Content-Length, as it does static files",
                );
            }
            (None, _) => told.often("length", name, "comes without a Content-Length".into()),
            _ => {}
        }
        if !a.keeps {
            told.often(
                "version",
                name,
                "comes by HTTP/1.0, so each file costs a connection".into(),
            );
        }
        if w.path.name().to_ascii_lowercase().ends_with(b".efi") {
            let kind = a.header("content-type").unwrap_or("none").to_owned();
            if kind != "application/efi" {
                told.often(
                    "type",
                    name,
                    format!("its content type is {kind}: some firmware starts only application/efi by HTTP"),
                );
            }
        }
    }

    /// Who wrote a `+` as `%2B` (dnf does) must get the file too.
    fn plus(&self, w: &Wanted, name: &str, told: &mut Told) {
        if !w.path.as_bytes().contains(&b'+') {
            return;
        }
        match self.asker.ask(Method::Head, &self.url(&w.path).replace('+', "%2B"), 0) {
            Err(trip) => told.trip(name, trip),
            Ok(a) if a.status == 200 || told.heads.is_some() => {}
            Ok(a) => told.broken(name, format!("asked for with %2B for its + it is {}", a.status)),
        }
    }

    /// Why it is not there: what the server has under a name near by says it best.
    fn refused(&self, w: &Wanted, status: u16) -> Trip {
        let url = self.url(&w.path);
        let there = |url: &str| self.asker.ask(Method::Get, url, 0).is_ok_and(|a| a.status == 200);
        let path = w.path.as_bytes();
        if status == 404 && path.contains(&b'+') && there(&url.replace('+', "%2B")) {
            return Trip::new("404 with its + as it is, 200 with %2B").hint(AS_PLUS);
        }
        for other in [path.to_ascii_lowercase(), path.to_ascii_uppercase()] {
            if status == 404 && other != path && there(&format!("{}{}", self.base, escaped(&other)))
            {
                let other = String::from_utf8_lossy(&other);
                return Trip::new(format!("404: it is there as {other} only"))
                    .hint("case was lost on the way: copy the tree with a tool and to a place that keep it");
            }
        }
        let dot = w.path.parts().any(|p| p.starts_with(b"."));
        match status {
            403 | 404 if dot => Trip::new(format!("{status}: a dotfile")).hint(DOTFILES),
            401 => Trip::new("401: a machine has no password to send").hint("let it be read by anybody"),
            403 if w.closed => Trip::new("403").hint(
                "the manifest wants mode 0600 for it: the web server must run as that user, or be let in",
            ),
            403 => Trip::new("403").hint("let it be read by anybody: a machine has no password to send"),
            206 => Trip::new("206 for the whole file: its beginning is taken for all of it"),
            404 => Trip::new("404"),
            s => Trip::new(format!("is answered with {s}, not 200")),
        }
    }

    /// HEAD and the first byte of the biggest file that installers fetch.
    pub(super) fn probes(&self, w: &Wanted, range_matters: bool, told: &mut Told) {
        let (name, url, size) = (w.path.to_string(), self.url(&w.path), w.size());
        if let Ok(a) = self.asker.ask(Method::Head, &url, 0) {
            match a.length() {
                _ if a.status != 200 => {
                    let what = format!("HEAD is answered with {}", a.status);
                    told.heads.get_or_insert((name.clone(), what));
                }
                Some(n) if n == size => {}
                other => {
                    let n = other.map_or("none".into(), |n| n.to_string());
                    told.heads.get_or_insert((
                        name.clone(),
                        format!("HEAD says Content-Length {n}, not {size}"),
                    ));
                }
            }
        }
        let Ok(a) = self.asker.ask(Method::FirstByte, &url, 1) else { return };
        let range = a.header("content-range").unwrap_or("none").to_owned();
        let wrong = match a.status {
            206 if range == format!("bytes 0-0/{size}") => return,
            206 => format!(
                "a request for its first byte gets Content-Range {range}, not bytes 0-0/{size}"
            ),
            200 => "a request for its first byte gets all of it: the server knows no Range".into(),
            s => format!("a request for its first byte is answered with {s}, not 206"),
        };
        match range_matters {
            true => told.broken(&name, wrong),
            false => told.note(&name, wrong),
        }
        told.hint("iPXE's sanboot and the tools of Arch's live system ask for parts of files");
    }

    /// A name that can't be there.
    pub(super) fn absent(&self, path: &str, who: &str, told: &mut Told) {
        let url = format!("{}{path}", self.base);
        let what = match self.asker.ask(Method::Get, &url, 0) {
            Err(trip) => return told.trip(path, trip),
            Ok(a) if matches!(a.status, 404 | 410) => return,
            Ok(a) => a.status,
        };
        told.broken(path, format!("is not there, and the answer is {what}, not 404: {who}"));
        told.hint(match what {
            200 => "take the catch-all page away: installers take any 200 for a yes",
            403 => "a store that may not be listed says 403 for what is missing: let anybody list it (s3:ListBucket)",
            _ => "let the server answer 404 for what is not there",
        });
    }

    /// What `${filename}/../` becomes on an iPXE that does not tell its own URL.
    pub(super) fn dotdot(&self, script: &str, w: &Wanted, told: &mut Told) {
        let url = format!("{}{script}/../{}", self.base, escaped(w.path.as_bytes()));
        let status = match self.asker.ask(Method::Head, &url, 0) {
            Ok(a) if a.status == 200 => return,
            Ok(a) => a.status.to_string(),
            Err(trip) => trip.what,
        };
        told.broken(
            script,
            format!("{script}/../{} is not taken back for {}: {status}", w.path, w.path),
        );
        told.hint(
            "an iPXE older than 2024 makes the tree's URL that way: build with --base-url, or host on nginx or Apache",
        );
    }
}
