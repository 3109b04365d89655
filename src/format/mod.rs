//! SYNTAX. Bytes and text to values and back. Formats know no distribution, no profile and no sink.

pub mod diskinfo;
pub mod fat;
pub mod fields;
pub mod grub;
pub mod ipxe;
pub mod iso9660;
pub mod kickstart;
pub mod preseed;
pub mod syslinux;
pub mod treeinfo;
