//! The kernel command line.

/// A kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cmdline {
    words: Vec<String>,
}
