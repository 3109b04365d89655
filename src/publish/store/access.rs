//! Who we are to a store: the usual variables of the environment, which the command line hands in, and the
//! profiles that AWS's tools keep in `~/.aws`. No secret of it is ever printed.

use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What a store checks of each upload before it keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// CRC-64/NVME: as fast as memory, so that each byte is hashed with SHA-256 once, for the manifest.
    #[default]
    Crc64,
    /// SHA-256 of each part, and the request is signed over it.
    Sha256,
    /// Nothing is sent; for stores that know neither.
    None,
}

/// How a store is reached, and as whom.
#[derive(Clone)]
pub struct Access {
    /// The environment, or as much of it as the stores' own tools read: `AWS_…`, `GOOGLE_…`, `AZURE_…`,
    /// `HOME`.
    pub env: BTreeMap<String, String>,
    /// URL of the server, for a store that is not the cloud's own. `http://` is allowed there.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The bucket stands in the host's name, not in the path.
    pub virtual_host: bool,
    /// What the store checks.
    pub checksum: Checksum,
    /// How often a request is tried again where the server is busy or gone: after 0.2, 0.4, 0.8 … seconds.
    pub retries: usize,
}

impl Default for Access {
    fn default() -> Self {
        let (env, checksum) = (BTreeMap::new(), Checksum::default());
        Access { env, endpoint: None, region: None, virtual_host: false, checksum, retries: 6 }
    }
}

/// Secrets are not shown.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// A profile's file is read up to here.
const MAX_FILE: u64 = 1 << 20;
const KEYS: [(&str, &str); 5] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
    ("region", "AWS_REGION"),
    ("endpoint_url", "AWS_ENDPOINT_URL"),
];

impl Access {
    fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The variables whose values must not appear anywhere.
    pub(super) fn secrets(&self) -> Vec<String> {
        let hidden = |k: &str| {
            let k = k.to_ascii_uppercase();
            ["SECRET", "TOKEN", "KEY", "SAS", "PASSWORD"].iter().any(|w| k.contains(w))
        };
        let values = self.env.iter().filter(|(k, _)| hidden(k)).map(|(_, v)| v.clone());
        values.filter(|v| v.len() >= 8).collect()
    }

    /// The environment with what a profile of `~/.aws` adds. Keys in the environment go before a profile,
    /// as AWS's own tools have it.
    ///
    /// # Errors
    /// `NotFound` for a profile that is named and not there; `Unsupported` for one that gets its keys from
    /// elsewhere.
    pub(super) fn with_profile(mut self) -> Result<Self> {
        let has_keys = self.var("AWS_ACCESS_KEY_ID").is_some();
        let named = self.var("AWS_PROFILE").or(self.var("AWS_DEFAULT_PROFILE")).map(str::to_owned);
        let name = named.clone().unwrap_or_else(|| "default".into());
        let mut found = BTreeMap::new();
        for (variable, file, prefix) in [
            ("AWS_CONFIG_FILE", ".aws/config", "profile "),
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ""),
        ] {
            let home = || Some(PathBuf::from(self.var("HOME")?).join(file));
            let Some(path) = self.var(variable).map(PathBuf::from).or_else(home) else { continue };
            if !path.is_file() {
                continue;
            }
            let text = crate::content::Content::open(&path)?.read_all(MAX_FILE)?;
            let text = String::from_utf8_lossy(&text);
            found.extend(section(&text, &name).into_iter().flatten());
            if name != "default" && !prefix.is_empty() {
                found.extend(section(&text, &format!("{prefix}{name}")).into_iter().flatten());
            }
        }
        if found.is_empty() {
            return match named {
                Some(n) if !has_keys => {
                    Err(Error::new(ErrorKind::NotFound, format!("there is no AWS profile \"{n}\""))
                        .hint(
                            "AWS_PROFILE names it; ~/.aws/credentials and ~/.aws/config were read",
                        ))
                }
                _ => Ok(self),
            };
        }
        let elsewhere = ["sso_session", "sso_start_url", "credential_process", "role_arn"];
        let has = |k: &str| found.contains_key(k);
        if !has_keys && !has("aws_access_key_id") && elsewhere.iter().any(|k| has(k)) {
            return Err(Error::unsupported(format!(
                "the AWS profile \"{name}\" gets its keys by SSO, a role or a program"
            ))
            .hint(
                "eval \"$(aws configure export-credentials --format env)\" puts them where we look",
            ));
        }
        for (key, variable) in KEYS {
            let secret = !matches!(key, "region" | "endpoint_url");
            if let Some(v) = found.remove(key)
                && !(secret && has_keys)
                && self.var(variable).is_none()
            {
                self.env.insert(variable.into(), v);
            }
        }
        Ok(self)
    }

    /// True where something says who we are, or that we are nobody.
    pub(super) fn aws_is_known(&self) -> bool {
        ["AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE"]
            .iter()
            .chain(&[
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ])
            .any(|v| self.var(v).is_some())
    }
}

/// The values of `[name]` in an INI file as AWS's tools write it. Nested values (an indented line) are
/// passed over.
fn section(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let mut inside = None;
    for line in text.lines() {
        let nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if let Some(head) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            match head.trim() == name {
                true => inside = Some(BTreeMap::new()),
                false if inside.is_some() => break,
                false => {}
            }
        } else if let (Some(map), Some((k, v)), false) = (&mut inside, line.split_once('='), nested)
            && !line.starts_with(['#', ';'])
        {
            map.insert(k.trim().to_ascii_lowercase(), v.trim().to_owned());
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(env: &[(&str, &str)]) -> Access {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Access { env, ..Access::default() }
    }

    fn home(credentials: &str, config: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(dir.path().join(".aws")).expect("mkdir");
        std::fs::write(dir.path().join(".aws/credentials"), credentials).expect("write");
        std::fs::write(dir.path().join(".aws/config"), config).expect("write");
        dir
    }

    #[test]
    fn a_profile_gives_keys_region_and_endpoint() {
        let dir = home(
            "[default]\naws_access_key_id=D\n[rack]\n# why\naws_access_key_id = A\naws_secret_access_key = S\n",
            "[profile rack]\nregion = eu-west-1\ns3 =\n  addressing_style = path\nendpoint_url = http://h:9\n",
        );
        let home = dir.path().to_str().expect("path");
        let a = access(&[("HOME", home), ("AWS_PROFILE", "rack")]).with_profile().expect("profile");
        let got: Vec<_> = KEYS.iter().map(|(_, v)| a.var(v)).collect();
        assert_eq!(got, [Some("A"), Some("S"), None, Some("eu-west-1"), Some("http://h:9")]);
        let env = [("HOME", home), ("AWS_PROFILE", "rack"), ("AWS_ACCESS_KEY_ID", "E")];
        let a = access(&env).with_profile().expect("environment");
        assert_eq!((a.var("AWS_ACCESS_KEY_ID"), a.var("AWS_SECRET_ACCESS_KEY")), (Some("E"), None));
        assert_eq!(a.var("AWS_REGION"), Some("eu-west-1"));
        let a = access(&[("HOME", home)]).with_profile().expect("default");
        assert_eq!(a.var("AWS_ACCESS_KEY_ID"), Some("D"));
    }

    #[test]
    fn a_profile_that_gives_no_keys_is_told() {
        let dir = home("", "[profile sso]\nsso_start_url = https://x\n");
        let home = dir.path().to_str().expect("path");
        let e = access(&[("HOME", home), ("AWS_PROFILE", "sso")]).with_profile().expect_err("sso");
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        let e =
            access(&[("HOME", home), ("AWS_PROFILE", "none")]).with_profile().expect_err("none");
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert!(access(&[("HOME", home)]).with_profile().is_ok());
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let a = access(&[("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")]);
        let shown = format!("{a:?}");
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(a.secrets(), ["hunter2hunter2"]);
    }
}
