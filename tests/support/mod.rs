//! What the tests share: where the test material lies, and how a missing piece is told.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

/// A file or folder that `make material` made (`tests/material/*.sh`), below
/// `$ISOWRIGHT_MATERIAL` or `target/material`. In CI a missing one fails the test; elsewhere the test
/// says why it is skipped.
pub fn material(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ISOWRIGHT_MATERIAL").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/material"),
        PathBuf::from,
    );
    present(root.join(name), "run `make material`")
}

/// A file that a Debian package brings.
pub fn packaged(path: &str, package: &str) -> Option<PathBuf> {
    present(PathBuf::from(path), &format!("install the Debian package {package}"))
}

fn present(path: PathBuf, mend: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is not there: {mend}", path.display()));
    None
}

/// Says that a test is skipped and why; in CI (`CI=true`) that is a failure. `make test` counts the
/// lines.
pub fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped in CI: {why}");
    eprintln!("SKIPPED: {why}");
}

/// The vendors' real boot configurations, where that folder lies beside the checkout.
pub fn vendor_configs() -> Option<PathBuf> {
    let dir = std::env::var_os("ISOWRIGHT_VENDOR_CONFIGS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vendor-configs"),
        PathBuf::from,
    );
    dir.is_dir().then_some(dir)
}
