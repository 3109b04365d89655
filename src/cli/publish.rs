//! `publish`.

use super::args::{Plus, Publish, StoreArgs};
use super::resolve::{self, Wish};
use super::term::{self, Bar};
use super::{Outcome, build, matrix};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cms::Signer;
use crate::plan::Plan;
use crate::plan::render::human;
use crate::publish::bucket::claim::Asker;
use crate::publish::bucket::item::Job;
use crate::publish::bucket::{self, Options, Report};
use crate::publish::store::{Access, Scheme, Store, Target};
use crate::recipe::job::base_url;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Variables that stores' own tools read.
const VARIABLES: [&str; 4] = ["AWS_", "GOOGLE_", "AZURE_", "HOME"];

/// Opens the store that an address names.
///
/// # Errors
/// Those of [`Target::parse`] and [`Store::open`].
pub fn open(to: &str, a: &StoreArgs) -> Result<Store> {
    let access = Access {
        endpoint: a.endpoint.clone(),
        region: a.region.clone(),
        virtual_host: a.virtual_host,
        checksum: a.checksum.into(),
        retries: a.retries.into(),
        ..access()
    };
    Store::open(Target::parse(to)?, &access)
}

/// Who the environment says that we are.
pub fn access() -> Access {
    let ours = |k: &String| VARIABLES.iter().any(|v| k.starts_with(v));
    let utf8 = |(k, v): (std::ffi::OsString, std::ffi::OsString)| {
        Some((k.into_string().ok()?, v.into_string().ok()?))
    };
    let env = std::env::vars_os().filter_map(utf8).filter(|(k, _)| ours(k)).collect();
    Access { env, ..Access::default() }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs() as i64)
}

/// Who we are, for another publisher.
fn who() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "a host" } else { host };
    format!("{host}, process {}", std::process::id())
}

pub fn run(a: &Publish) -> Result<Outcome> {
    let signer = resolve::signer(&a.signing)?;
    if let Some(jobs) = matrix::jobs(&a.source, &a.more(), &a.matrix)? {
        return matrix::publish(a, &jobs, signer.as_ref());
    }
    let store = open(a.to(), &a.store)?;
    let plan;
    let mut warnings = String::new();
    let job = if let Some(dir) = a.source.source.file().filter(|f| f.is_dir()) {
        Job::of_tree(dir, now(), twins(a, &store))?
    } else {
        plan = planned(a, &store, resolve::wish(&a.source.source, &a.source.wanted)?)?;
        warnings = build::warnings(&plan);
        Job::of_plan(&plan, signer.as_ref(), now(), twins(a, &store))?
    };
    let report = send(a, &store, &job)?;
    if a.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|e| Error::new(ErrorKind::Io, "can't spell the report").because(e))?;
        term::out(&(text + "\n"));
    } else {
        term::lines(&(told(a, &store, &job, &report) + &warnings));
    }
    Ok(Outcome::Done)
}

/// A job of a matrix: its tree goes below its own name.
pub(super) fn one(
    a: &Publish,
    wish: Wish,
    name: &str,
    signer: Option<&Signer>,
) -> Result<(String, Report)> {
    let store = open(&format!("{}/{name}", a.to().trim_end_matches('/')), &a.store)?;
    let plan = planned(a, &store, wish)?;
    let job = Job::of_plan(&plan, signer, now(), twins(a, &store))?;
    let report = send(a, &store, &job)?;
    let (put, kept) = (report.count("put"), report.kept);
    let verb = if a.dry_run { "to put" } else { "put" };
    let size = human(report.bytes());
    let told = format!(
        "{} objects at {} ({put} {verb}, {size}; {kept} there already)",
        put + kept,
        store.target()
    );
    Ok((told, report))
}

fn planned(a: &Publish, store: &Store, mut wish: Wish) -> Result<Plan> {
    wish.target.imgverify = a.signing.imgverify;
    // `…/boot.ipxe/../`, by which an old iPXE finds the tree, is no key: stores do not take it back.
    if let (None, Some(u)) = (&wish.target.base_url, url(store.target(), &a.store)) {
        wish.target.base_url = Some(base_url(&u)?);
    }
    let plans = build::plans(&mut wish, Some(Path::new(a.to())))?;
    let first = plans.into_iter().next();
    first.map(|(plan, _)| plan).ok_or_else(|| Error::usage("there is no tree to publish"))
}

fn twins(a: &Publish, store: &Store) -> bool {
    let on_amazons = store.target().scheme == Scheme::S3 && a.store.endpoint.is_none();
    a.plus.map_or(on_amazons, |p| p == Plus::Twice)
}

fn send(a: &Publish, store: &Store, job: &Job) -> Result<Report> {
    let options = Options {
        delete: a.delete,
        dry_run: a.dry_run,
        asker: Asker { who: who(), patience: Duration::from_secs(a.patience), now: now() },
    };
    let bar = Bar::new(job.items.iter().map(|i| i.content.len()).sum());
    let report = bucket::publish(store, job, &options, &bar)?;
    bar.end();
    Ok(report)
}

fn told(a: &Publish, store: &Store, job: &Job, r: &Report) -> String {
    let mut s = String::new();
    if a.dry_run {
        for o in &r.operations {
            let _ = write!(s, "{} {}", o.op, o.key);
            if let (Some(t), Some(c)) = (o.media_type, o.cache) {
                let size = o.bytes.map_or("?".to_owned(), |n| n.to_string());
                let _ = write!(s, "  {size} bytes, {t}, {c}");
            }
            s.push('\n');
        }
    }
    let verb = if a.dry_run { "to put" } else { "put" };
    let gone = if a.dry_run { "to delete" } else { "deleted" };
    let _ = writeln!(
        s,
        "{}: {} objects at {} ({} {verb}, {}; {} there already, {} {gone})",
        job.title,
        r.kept + r.count("put"),
        store.target(),
        r.count("put"),
        human(r.bytes()),
        r.kept,
        r.count("delete"),
    );
    for n in &r.notes {
        let _ = writeln!(s, "note: {n}");
    }
    if store.target().scheme != Scheme::File && !finds_itself(job) {
        s.push_str("note: an iPXE from before 2024 does not find this tree's files in an object store: build it with --base-url\n");
    }
    if r.stale > 0 {
        let _ = writeln!(
            s,
            "note: {} objects of an earlier run are not in it; --delete takes them away",
            r.stale
        );
    }
    if let Some(url) = url(store.target(), &a.store)
        && !a.dry_run
    {
        let _ = writeln!(s, "Machines boot it, where they may read it:  chain {url}/boot.ipxe");
    }
    s
}

/// Where a machine finds it: plain HTTP where the store has it, which firmware and installers can.
fn url(t: &Target, a: &StoreArgs) -> Option<String> {
    let base = match (t.scheme, &a.endpoint) {
        (Scheme::File | Scheme::Azure, _) => return None,
        (_, Some(e)) => format!("{}/{}", e.trim_end_matches('/'), t.bucket),
        (Scheme::S3, None) => {
            let variable = |v| std::env::var(v).ok().filter(|r: &String| !r.is_empty());
            if ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
                .into_iter()
                .any(|v| variable(v).is_some())
            {
                return None;
            }
            let region = a.region.clone().or_else(|| variable("AWS_REGION"));
            let region = region.or_else(|| variable("AWS_DEFAULT_REGION"));
            let region = region.map(|r| format!(".{r}")).unwrap_or_default();
            format!("http://{}.s3{region}.amazonaws.com", t.bucket)
        }
        (Scheme::Gcs, None) => format!("http://storage.googleapis.com/{}", t.bucket),
    };
    let mut url = base;
    for part in t.prefix.split('/').filter(|p| !p.is_empty()) {
        url.push('/');
        for b in part.bytes() {
            match b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                true => url.push(b as char),
                false => url.push_str(&format!("%{b:02X}")),
            }
        }
    }
    Some(url)
}

/// A tree that finds itself by `..` was built for a web server.
fn finds_itself(job: &Job) -> bool {
    let script = job.items.iter().find(|i| i.key == "boot.ipxe");
    let text = script.and_then(|i| i.content.read_all(4 << 20).ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    !(text.contains("${filename}/../") && text.contains("=${base}"))
}
