//! A job: everything that one `isowright build FILE` needs, so that a tree can be built again from a
//! file under version control. Paths are relative to the job file.

use super::output::{Output, one_or_many};
use super::source::FileOrUrl;
use super::trust::Demand;
use crate::content::copy::Digest;
use crate::error::{Error, Result};
use crate::model::profile::Profile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What to build, from what, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The medium.
    pub source: Source,
    /// The recipe's name; found from the medium where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// The profile: a path, or the profile itself; the bundled `metal` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<JobProfile>,
    /// The operator's own answer file, in place of ours and of the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<PathBuf>,
    /// The machines, each by its MAC addresses: a `hosts.toml`, or a table in CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<PathBuf>,
    /// Kernel and initrd for media whose own can't netboot (Debian).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netboot: Option<NetbootFiles>,
    /// The URL that the tree will have; relocatable where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Where to: trees and images.
    #[serde(default, deserialize_with = "one_or_many")]
    pub output: Vec<Output>,
}

/// The medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The image: a path, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<FileOrUrl>,
    /// The image by its address: `http://`, `https://`, `s3://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<FileOrUrl>,
    /// Refuse an image with another SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sha256: Option<Digest>,
    /// A list of checksums that has the image by its name: a path, or an address. Refuse an image with another
    /// SHA-256 or SHA-512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<FileOrUrl>,
    /// The list's OpenPGP signature, where it lies neither in the list nor beside it: a path, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<FileOrUrl>,
    /// A file with the vendor's OpenPGP key, or several: one of them must have signed the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyFiles>,
    /// Read the whole image and compare it, also where a part would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verify_whole: bool,
}

/// One file, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeyFiles {
    /// One file.
    One(PathBuf),
    /// Several files.
    Many(Vec<PathBuf>),
}

impl KeyFiles {
    fn files(&mut self) -> &mut [PathBuf] {
        match self {
            KeyFiles::One(f) => std::slice::from_mut(f),
            KeyFiles::Many(all) => all,
        }
    }
}

impl Source {
    /// What is demanded of the image.
    pub fn demand(&self) -> Demand {
        Demand {
            sha256: self.sha256,
            checksums: self.checksums.clone(),
            signature: self.signature.clone(),
            keys: self.key.clone().map_or_else(Vec::new, |mut k| k.files().to_vec()),
            whole: self.verify_whole,
        }
    }

    /// The image.
    ///
    /// # Errors
    /// `Usage` where there is none, or more than one.
    pub fn image(&self) -> Result<&FileOrUrl> {
        let image = match (&self.path, &self.url) {
            (Some(_), Some(_)) => return Err(Error::usage("source has both path and url")),
            (None, None) => return Err(Error::usage("source has no path and no url")),
            (Some(image), None) | (None, Some(image)) => image,
        };
        if self.url.as_ref().is_some_and(|u| u.file().is_some()) {
            return Err(Error::usage("source.url is no http(s) or s3 address"));
        }
        match image.file().is_some_and(|p| p.as_os_str().is_empty()) {
            true => Err(Error::usage("source.path is empty")),
            false => Ok(image),
        }
    }
}

/// A profile, in its own file or right here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum JobProfile {
    /// A profile's file.
    File(PathBuf),
    /// The profile.
    Inline(Box<Profile>),
}

/// Kernel and initrd for media whose own can't netboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetbootFiles {
    /// Kernel: a path.
    pub kernel: PathBuf,
    /// Initrd: a path.
    pub initrd: PathBuf,
}

impl Job {
    /// Reads and checks a job. `file` is where the text comes from: paths in it are made relative to
    /// that file's folder.
    ///
    /// # Errors
    /// `Usage` with file and line.
    pub fn from_toml(text: &str, file: &Path) -> Result<Self> {
        if let Some(f) = super::lint::lint(text, &[]).into_iter().next() {
            return Err(Error::usage(f.message)
                .source_name(format!("{}:{}", file.display(), f.line))
                .hint("`isowright recipe schema job` lists the fields"));
        }
        let mut job: Job = toml::from_str(text)
            .map_err(|e| Error::usage(e.message().to_owned()).source_name(file.display()))?;
        job.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(job)
    }

    fn resolve(&mut self, folder: &Path) {
        self.source.path.iter_mut().for_each(|p| p.relative_to(folder));
        let lists = self.source.checksums.iter_mut().chain(&mut self.source.signature);
        lists.for_each(|p| p.relative_to(folder));
        let mut paths: Vec<&mut PathBuf> = Vec::new();
        paths.extend(self.source.key.iter_mut().flat_map(|k| k.files()));
        match &mut self.profile {
            Some(JobProfile::File(p)) => paths.push(p),
            Some(JobProfile::Inline(p)) => {
                paths.extend(p.answers.own.values_mut());
                paths.extend(p.initrd.overlay.iter_mut().chain(p.initrd.firmware.iter_mut()));
            }
            None => {}
        }
        paths.extend(self.answers.iter_mut().chain(self.hosts.iter_mut()));
        if let Some(n) = &mut self.netboot {
            paths.extend([&mut n.kernel, &mut n.initrd]);
        }
        paths.extend(self.output.iter_mut().flat_map(Output::paths));
        for p in paths {
            *p = folder.join(&*p);
        }
    }

    /// # Errors
    /// `Usage` for what can't be built.
    pub fn check(&self) -> Result<()> {
        self.source.image()?;
        self.source.demand().check()?;
        if self.output.is_empty() {
            return Err(Error::usage("no [[output]]: say where the tree or the image is to go"));
        }
        let mut written: Vec<&Path> = Vec::new();
        for o in &self.output {
            o.check()?;
            for path in o.written() {
                if written.contains(&path) {
                    return Err(Error::usage(format!(
                        "output {} stands there twice",
                        path.display()
                    )));
                }
                written.push(path);
            }
        }
        if self.hosts.is_some() && self.output.iter().any(|o| o.image.is_some()) {
            return Err(Error::usage(
                "an image is for machines that are alike: hosts are for trees",
            )
            .hint("a job for the tree of many hosts, and one for each image"));
        }
        if let Some(u) = &self.base_url {
            base_url(u)?;
        }
        if let Some(JobProfile::Inline(p)) = &self.profile {
            p.check()?;
        }
        Ok(())
    }
}

/// A tree's URL as plans want it: with one slash at its end.
///
/// # Errors
/// `Usage` for what is no plain http(s) URL, has no host, or holds a user name.
pub fn base_url(url: &str) -> Result<String> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err(Error::usage("the base URL holds a user name or a password").hint(
            "it would lie open in boot.ipxe and in kernel arguments: serve the tree to the \
             machines' network alone",
        ));
    }
    let known = matches!(url.split_once(':'), Some(("http" | "https", _)));
    let plain = url.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\`${}<>?#".contains(&b));
    let authority = rest.split('/').next().unwrap_or_default();
    if !known || !plain || !is_host_and_port(authority) {
        return Err(Error::usage(format!(
            "base URL \"{}\" is no plain http(s) URL",
            url.escape_debug()
        ))
        .hint("write it as http://192.0.2.1/path/"));
    }
    Ok(format!("{}/", url.trim_end_matches('/')))
}

/// `192.0.2.1`, `[2001:db8::1]:8080`, `example.org` (RFC 3986, section 3.2).
fn is_host_and_port(authority: &str) -> bool {
    let (host_ok, rest) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((host, rest)) => (host.parse::<std::net::Ipv6Addr>().is_ok(), rest),
        None => {
            let (host, rest) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let word = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            (!host.is_empty() && host.bytes().all(word), rest)
        }
    };
    let port_ok = match rest.strip_prefix(':') {
        Some(port) => port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        None => rest.is_empty(),
    };
    host_ok && port_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trees_url_has_a_host_and_no_password() {
        for (given, slashed) in [
            ("http://192.0.2.1", "http://192.0.2.1/"),
            ("https://example.org:8443/t", "https://example.org:8443/t/"),
            ("http://[2001:db8::1]:80/t//", "http://[2001:db8::1]:80/t/"),
            ("http://h/a@b/", "http://h/a@b/"),
        ] {
            assert_eq!(base_url(given).expect(given), slashed);
        }
        for bad in [
            "",
            "http://",
            "http:///x",
            "http://:80/x",
            "http://h:/x",
            "http://h:99999/",
            "http://h:+8/",
            "http://[::1/x",
            "http://[h]/",
            "http://[::1]x/",
            "ftp://h/",
            "//h/",
            "http://h/?q",
            "http://h/ x",
            "http:/h/",
        ] {
            let e = base_url(bad).expect_err(bad);
            assert!(e.to_string().contains("no plain http"), "{e}");
        }
        for secret in
            ["http://u:geheim@h/t/", "http://u@h/", "http://u:ge$heim@h", "ftp://u:geheim@h/"]
        {
            let e = base_url(secret).expect_err(secret);
            assert!(e.to_string().contains("password") && e.hint_text().is_some(), "{e}");
            assert!(!e.to_string().contains("heim"), "{e}");
        }
    }

    #[test]
    fn paths_are_relative_to_the_jobs_own_file() {
        let job = Job::from_toml(
            "recipe = \"debian\"\n[source]\npath = \"in/a.iso\"\n[netboot]\nkernel = \"/abs/linux\"\ninitrd = \"i\"\n\
             [profile]\nconsole = [\"ttyS0,9600n8\"]\n[[output]]\ndir = \"out\"\n",
            Path::new("/jobs/d.toml"),
        )
        .expect("job");
        assert_eq!(job.source.path, Some(FileOrUrl::File("/jobs/in/a.iso".into())));
        assert_eq!(job.netboot.expect("netboot").kernel, Path::new("/abs/linux"));
        assert_eq!(job.output[0].dir.as_deref(), Some(Path::new("/jobs/out")));
        assert!(matches!(job.profile, Some(JobProfile::Inline(_))));
        let file = "profile = \"p.toml\"\n[source]\npath = \"a\"\n[[output]]\ndir = \"o\"\n";
        let job = Job::from_toml(file, Path::new("/jobs/d.toml")).expect("job");
        assert_eq!(job.profile, Some(JobProfile::File("/jobs/p.toml".into())));
    }

    #[test]
    fn an_image_is_an_output_alone_or_among_trees() {
        let alone = "[source]\npath = \"a\"\n[output.image]\npath = \"n.iso\"\nimplant_md5 = \"no\"\n\
                     [output.image.add]\n\"x/notes.txt\" = \"notes.txt\"\n";
        let job = Job::from_toml(alone, Path::new("/jobs/d.toml")).expect("job");
        let image = job.output[0].image.as_ref().expect("image");
        assert_eq!(image.path.as_deref(), Some(Path::new("/jobs/n.iso")));
        assert_eq!(image.add["x/notes.txt"], Path::new("/jobs/notes.txt"));
        let both = "[source]\npath = \"a\"\n[[output]]\ndir = \"t\"\n[[output]]\n\
                    [output.image]\npatch_only = \"p\"\n";
        let job = Job::from_toml(both, Path::new("/jobs/d.toml")).expect("job");
        assert_eq!(job.output.len(), 2);
        assert!(job.output[0].image.is_none() && job.output[1].image.is_some());
    }

    #[test]
    fn slips_are_told_with_their_line() {
        for (text, words) in [
            ("[source]\npath = \"a\"\n", "no [[output]]"),
            (
                "[source]\npth = \"a\"\n[[output]]\ndir = \"o\"\n",
                "/jobs/d.toml:2: unknown field `pth`",
            ),
            (
                "base_url = \"ftp://x\"\n[source]\npath = \"a\"\n[[output]]\ndir = \"o\"\n",
                "no plain http(s) URL",
            ),
            (
                "[source]\npath = \"a\"\n[[output]]\ndir = \"o\"\n[output.image]\npath = \"i\"\n",
                "a tree or an image",
            ),
            ("[source]\npath = \"a\"\n[[output]]\n", "names no place"),
            ("[source]\npath = \"a\"\n[output.image]\n", "names no file"),
            ("[source]\npath = \"a\"\n[output.image]\npath = \"-\"\n", "writes files"),
            (
                "[source]\npath = \"a\"\n[output.image]\npth = \"i\"\n",
                "/jobs/d.toml:4: unknown field `pth`",
            ),
            (
                "[source]\npath = \"a\"\n[[output]]\ndir = \"o\"\n[[output]]\n\
                 [output.image]\npath = \"o\"\n",
                "stands there twice",
            ),
            ("[source]\npath = \"a\"\nsha256 = \"12\"\n[[output]]\ndir = \"o\"\n", "64 hex digits"),
        ] {
            let e = Job::from_toml(text, Path::new("/jobs/d.toml")).expect_err(words);
            assert!(e.to_string().contains(words), "{e}");
            let hint = e.hint_text().expect("hint");
            let hints = ["`isowright recipe schema job`", "write it as http://"];
            assert!(hints.iter().any(|h| hint.contains(h)), "{hint}");
        }
    }
}
