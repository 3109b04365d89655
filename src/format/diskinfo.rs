//! diskinfo
