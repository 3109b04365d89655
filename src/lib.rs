//! isowright turns vendor installer ISOs into network-bootable trees.
#![forbid(unsafe_code)]

pub mod boot;
pub mod cli;
pub mod content;
pub mod error;
pub mod family;
pub mod format;
pub mod media;
pub mod model;
pub mod plan;
pub mod publish;
pub mod recipe;
pub mod serve;

pub use error::{Error, ErrorKind, Result};
