//! What boot scripts name: `boot.ipxe` with those it chains to, and GRUB's configurations.

use super::ask::{Method, Trip, resolve};
use super::{Told, Walker};
use crate::content::path::TreePath;
use crate::error::Result;
use crate::format::{grub, ipxe};
use crate::model::boot::Payload;
use crate::plan::hosts;
use std::collections::BTreeSet;

/// A menu over trees chains to each.
const MAX_SCRIPTS: usize = 256;
/// All scripts together.
const MAX_BYTES: usize = 16 << 20;
/// Of a host's kernel and initrd, once for all hosts.
const MAX_NAMED: usize = 4096;

/// What scripts say.
#[derive(Default)]
pub(super) struct Named {
    /// URLs of kernels and initrds, whole.
    pub images: BTreeSet<String>,
    /// Words of all kernels' arguments.
    pub words: BTreeSet<String>,
    /// Commands other than those that fetch.
    pub commands: BTreeSet<String>,
    /// True where the URL is made of the lease's file name.
    pub by_filename: bool,
    scripts: BTreeSet<String>,
}

impl Walker<'_> {
    /// Reads the script at `url`, and those that it chains to.
    pub(super) fn scripts(&self, url: &str, text: &[u8], told: &mut Told) -> Result<Named> {
        let mut named = Named::default();
        let mut todo = vec![(url.to_owned(), text.to_owned())];
        named.scripts.insert(url.to_owned());
        let mut bytes = text.len();
        while let Some((at, text)) = todo.pop() {
            self.go_on()?;
            for next in self.script(&at, &text, &mut named, told) {
                if named.scripts.len() >= MAX_SCRIPTS || !named.scripts.insert(next.clone()) {
                    continue;
                }
                match self.asker.ask(Method::Get, &next, ipxe::MAX_LEN as u64) {
                    Err(trip) => told.trip(&self.short(&next), trip),
                    Ok(a) if a.status != 200 => {
                        let what = format!(
                            "{} chains to it, and it is answered with {}",
                            self.short(&at),
                            a.status
                        );
                        told.broken(&self.short(&next), what);
                    }
                    // What is chained to may be a program.
                    Ok(a) => match a.bytes(ipxe::MAX_LEN as u64) {
                        Ok(t) if t.starts_with(ipxe::MAGIC.as_bytes()) => {
                            bytes += t.len();
                            if bytes > MAX_BYTES {
                                told.note(&self.short(&next), "more scripts were not read");
                                return Ok(named);
                            }
                            todo.push((next, t));
                        }
                        Ok(_) => told.files += 1,
                        Err(trip) if trip.what.contains("longer") => told.files += 1,
                        Err(trip) => told.trip(&self.short(&next), trip),
                    },
                }
            }
        }
        Ok(named)
    }

    /// Returns what it chains to.
    fn script(&self, at: &str, text: &[u8], named: &mut Named, told: &mut Told) -> Vec<String> {
        let name = self.short(at);
        let mut all = hosts::variants(&String::from_utf8_lossy(text));
        if all.is_empty() {
            all.push(String::from_utf8_lossy(text).into_owned());
        }
        named.by_filename |= String::from_utf8_lossy(text).contains("${filename}/../");
        let mut chained = Vec::new();
        for text in all {
            let script = match ipxe::Script::parse(text.as_bytes()) {
                Ok(s) => s,
                Err(e) => {
                    told.broken(&name, e.to_string());
                    return chained;
                }
            };
            let whole = |uri: &str, told: &mut Told| {
                let folder = at.rsplit_once('/').map_or(at, |(f, _)| f);
                // ${cwduri} is the folder, with its slash.
                let uri = uri.replace("${cwduri}", "").replace("${base}", "");
                match uri.contains("${") {
                    true => {
                        told.note(
                            &name,
                            format!("{uri} depends on the machine, and was not looked at"),
                        );
                        None
                    }
                    false if uri.is_empty() => Some(format!("{folder}/")),
                    false => Some(resolve(at, &uri)),
                }
            };
            for k in script.kernels() {
                told.entries += 1;
                named.words.extend(k.args.split_whitespace().map(str::to_owned));
                named.images.extend(whole(&k.uri, told));
            }
            for i in script.initrds() {
                named.images.extend(whole(&i.uri, told));
            }
            let chains: Vec<_> = script.chains().filter(|c| !c.uri.is_empty()).collect();
            chained.extend(chains.iter().filter_map(|c| whole(&c.uri, told)));
            named.commands.extend(script.commands.iter().map(|c| c.words[0].clone()));
            if told.entries == 0 && chained.is_empty() && named.commands.is_empty() {
                told.broken(&name, "starts nothing");
            }
        }
        while named.images.len() > MAX_NAMED {
            named.images.pop_last();
        }
        chained
    }

    /// Kernels and initrds without a manifest: they must come, and come whole.
    pub(super) fn images(&self, named: &Named, told: &mut Told) -> Result<()> {
        for url in &named.images {
            self.go_on()?;
            let name = self.short(url);
            match self.asker.ask(Method::Get, url, 0) {
                Err(trip) => told.trip(&name, trip),
                Ok(a) if a.status != 200 => told.trip(
                    &name,
                    Trip::new(match a.status {
                        404 => "404".to_owned(),
                        s => format!("is answered with {s}, not 200"),
                    }),
                ),
                Ok(a) => {
                    told.files += 1;
                    let kind = a.header("content-type").unwrap_or_default();
                    if kind.starts_with("text/html") {
                        told.broken(&name, "is a page (text/html), no boot file");
                    }
                    if a.length().is_none() || a.chunked() {
                        told.broken(&name, "no Content-Length: its size is not known beforehand");
                    }
                    if let Some(e) = a.header("content-encoding") {
                        told.broken(&name, format!("comes as {e} though nobody asked for it"));
                    }
                    if let Some(to) = a.hops.last() {
                        told.often(
                            "redirect",
                            &name,
                            format!("is sent on to {to}, which costs a request"),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// GRUB's configurations where they are; the files that they name beside ours.
    pub(super) fn grub(&self, named: &mut Named, told: &mut Told) -> Result<()> {
        for config in super::super::GRUB_CONFIGS {
            self.go_on()?;
            let url = format!("{}{config}", self.base);
            let Ok(a) = self.asker.ask(Method::Get, &url, 4 << 20) else { continue };
            if a.status != 200 {
                continue;
            }
            let text = match a.bytes(4 << 20) {
                Ok(t) => String::from_utf8_lossy(&t).into_owned(),
                Err(trip) => {
                    told.trip(config, trip);
                    continue;
                }
            };
            told.files += 1;
            let doc = match grub::Doc::parse(super::super::at_root(&text).as_bytes()) {
                Ok(d) => d,
                Err(e) => {
                    told.broken(config, e.to_string());
                    continue;
                }
            };
            for e in doc.entries(&TreePath::root()) {
                told.entries += 1;
                if let Payload::Linux { kernel, initrds, .. } = e.payload {
                    named
                        .images
                        .extend(std::iter::once(&kernel).chain(&initrds).map(|p| self.url(p)));
                }
            }
        }
        Ok(())
    }
}
