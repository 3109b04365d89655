//! preseed
