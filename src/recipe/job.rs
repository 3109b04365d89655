//! A job: everything that one `isowright build FILE` needs, so that a tree can be built again from a
//! file under version control. Paths are relative to the job file.

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
    /// Where to.
    #[serde(default)]
    pub output: Vec<Output>,
}

/// The medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The image: a path.
    pub path: PathBuf,
    /// Refuse an image with another SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sha256: Option<Digest>,
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

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The tree's own folder: `boot.ipxe` lies right in it.
    pub dir: PathBuf,
    /// The whole medium below `repo/`, also where less would do.
    #[serde(default)]
    pub full_tree: bool,
    /// Kernel, initrd and boot files only: the rest is hosted elsewhere.
    #[serde(default)]
    pub boot_only: bool,
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
        let mut paths: Vec<&mut PathBuf> = vec![&mut self.source.path];
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
        paths.extend(self.output.iter_mut().map(|o| &mut o.dir));
        for p in paths {
            *p = folder.join(&*p);
        }
    }

    /// # Errors
    /// `Usage` for what can't be built.
    pub fn check(&self) -> Result<()> {
        if self.source.path.as_os_str().is_empty() {
            return Err(Error::usage("source.path is empty"));
        }
        if self.output.is_empty() {
            return Err(Error::usage("no [[output]]: say where the tree is to go"));
        }
        for (i, o) in self.output.iter().enumerate() {
            if o.full_tree && o.boot_only {
                return Err(Error::usage("full_tree and boot_only exclude each other"));
            }
            if self.output[..i].iter().any(|other| other.dir == o.dir) {
                return Err(Error::usage(format!("output {} stands there twice", o.dir.display())));
            }
        }
        if let Some(u) = &self.base_url
            && !(u.starts_with("http://") || u.starts_with("https://"))
        {
            return Err(Error::usage(format!("base_url \"{u}\" is no http(s) URL")));
        }
        if let Some(JobProfile::Inline(p)) = &self.profile {
            p.check()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_jobs_own_file() {
        let job = Job::from_toml(
            "recipe = \"debian\"\n[source]\npath = \"in/a.iso\"\n[netboot]\nkernel = \"/abs/linux\"\ninitrd = \"i\"\n\
             [profile]\nconsole = [\"ttyS0,9600n8\"]\n[[output]]\ndir = \"out\"\n",
            Path::new("/jobs/d.toml"),
        )
        .expect("job");
        assert_eq!(job.source.path, Path::new("/jobs/in/a.iso"));
        assert_eq!(job.netboot.expect("netboot").kernel, Path::new("/abs/linux"));
        assert_eq!(job.output[0].dir, Path::new("/jobs/out"));
        assert!(matches!(job.profile, Some(JobProfile::Inline(_))));
        let file = "profile = \"p.toml\"\n[source]\npath = \"a\"\n[[output]]\ndir = \"o\"\n";
        let job = Job::from_toml(file, Path::new("/jobs/d.toml")).expect("job");
        assert_eq!(job.profile, Some(JobProfile::File("/jobs/p.toml".into())));
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
                "no http(s) URL",
            ),
            ("[source]\npath = \"a\"\nsha256 = \"12\"\n[[output]]\ndir = \"o\"\n", "64 hex digits"),
        ] {
            let e = Job::from_toml(text, Path::new("/jobs/d.toml")).expect_err(words);
            assert!(e.to_string().contains(words), "{e}");
            let hint = e.hint_text().expect("hint");
            assert!(hint.contains("`isowright recipe schema job`"), "{hint}");
        }
    }
}
