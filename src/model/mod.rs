//! WORDS. Plain data, no I/O and no bootloader syntax: what an operator wishes for, and what a boot
//! menu entry is, in neutral terms. Families and boot config dialects spell them.

pub mod arch;
pub mod boot;
pub mod cmdline;
pub mod console;
pub mod hosts;
pub mod network;
pub mod profile;
