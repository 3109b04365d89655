//! Images by URL: how they are fetched, as the command line and the environment say.

use super::args::Fetch;
use super::{publish, term};
use crate::content::Content;
use crate::content::remote::http::{Http, Limits, Proxies, text};
use crate::content::remote::{Address, CacheFolder, Options, Patience, RemoteSource, Scheme};
use crate::error::Result;
use crate::publish::store::Image;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

/// A list of checksums, a signature, in bytes.
const SMALL: u64 = 16 << 20;

static OPTIONS: OnceLock<Options> = OnceLock::new();

/// Takes the options that stand before any verb.
pub fn set(fetch: &Fetch) {
    let cache = fetch
        .cache
        .clone()
        .map(|path| CacheFolder { path, limit: fetch.cache_limit.saturating_mul(1 << 30) });
    let patience = Patience { stop: || term::STOP.load(Ordering::Relaxed), ..Patience::default() };
    let _ = OPTIONS.set(Options { patience, cache });
}

fn options() -> Options {
    OPTIONS.get().cloned().unwrap_or_default()
}

/// Opens an image: asks for its length and version.
pub fn open(address: &Address) -> Result<RemoteSource> {
    match address.scheme() {
        Scheme::S3 => {
            // Its server and region are what the environment or an AWS profile says.
            let (bucket, key) = (address.authority(), address.key());
            let image = Image::open(bucket, &key, &address.shown(), &publish::access())?;
            RemoteSource::open(Box::new(image), &options())
        }
        _ => RemoteSource::open(Box::new(http(address)?), &options()),
    }
}

/// A small file, whole.
pub fn fetch(address: &Address) -> Result<Vec<u8>> {
    if address.scheme() == Scheme::S3 {
        return Content::whole(Arc::new(open(address)?)).read_all(SMALL);
    }
    text(&http(address)?, &options().patience).map_err(|e| e.source_name(address))
}

fn http(address: &Address) -> Result<Http> {
    Ok(Http::new(address.clone(), Limits::default(), &proxies()?))
}

/// As curl has it: the variable of the scheme, else `ALL_PROXY`; `NO_PROXY` names those that go without.
fn proxies() -> Result<Proxies> {
    let one = |names: &[&str]| {
        let mut said = names.iter().filter_map(|n| std::env::var(n).ok());
        said.find(|v| !v.is_empty())
    };
    let without = one(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let http = one(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]);
    let https = one(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]);
    Proxies::new(http.as_deref(), https.as_deref(), &without)
}
