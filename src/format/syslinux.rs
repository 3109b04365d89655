//! syslinux
