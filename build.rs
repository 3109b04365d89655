//! Compiles in every recipe in `recipes/` and every label table in `recipes/labels/`, so that a new one
//! is a new file and nothing else.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=recipes");
    include_all("recipes", "recipes.rs");
    include_all("recipes/labels", "labels.rs");
}

/// Writes an array of file names and texts: the TOML files in `folder`.
fn include_all(folder: &str, to: &str) {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let dir = std::fs::read_dir(root.join(folder)).expect("the folder is there");
    let mut files: Vec<PathBuf> = dir.map(|e| e.expect("readable").path()).collect();
    files.retain(|f| f.extension().is_some_and(|x| x == "toml"));
    files.sort();
    let mut list = String::from("&[");
    for f in &files {
        let name = f.file_name().expect("a name").to_str().expect("UTF-8");
        let path = f.to_str().expect("UTF-8");
        let _ = write!(list, "({name:?}, include_str!({path:?})),");
    }
    list.push(']');
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join(to), list).expect("written");
}
