//! Paths as boot configurations write them, to paths of the medium.

use crate::content::path::TreePath;
use crate::error::{Error, Result};

/// `raw` as seen from the folder `base`: a leading `/` starts at the root, `.`, `..` and doubled
/// slashes are taken out. A `..` at the root stays at the root, as the boot loaders have it.
///
/// # Errors
/// `Usage` for what a [`TreePath`] can't hold.
pub fn from_folder(base: &TreePath, raw: &str) -> Result<TreePath> {
    let mut at = if raw.starts_with('/') { TreePath::root() } else { base.clone() };
    for part in raw.split('/') {
        match part {
            "" | "." => {}
            ".." => at = at.parent().unwrap_or_default(),
            p => at = at.join(p)?,
        }
    }
    if at.is_root() {
        return Err(Error::usage(format!("\"{}\" names no file", raw.escape_debug())));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_absolute_and_dots() {
        let base: TreePath = "isolinux/sub".parse().expect("path");
        for (raw, want) in [
            ("vmlinuz", "isolinux/sub/vmlinuz"),
            ("/images//vmlinuz", "images/vmlinuz"),
            ("../x/./y", "isolinux/x/y"),
            ("../../../../x", "x"),
        ] {
            assert_eq!(from_folder(&base, raw).expect(raw).to_string(), want);
        }
        assert!(from_folder(&base, "/").is_err());
        assert!(from_folder(&base, "a\x07").is_err());
    }
}
