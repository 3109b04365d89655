//! kickstart
