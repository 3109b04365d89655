//! Compiles in every recipe in `recipes/`, so that a new one is a new file and nothing else.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=recipes");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let dir = std::fs::read_dir(root.join("recipes")).expect("the folder is there");
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
    std::fs::write(Path::new(&out).join("recipes.rs"), list).expect("written");
}
