//! SYNTAX. Bytes and text to values and back. Formats know no distribution, no profile and no sink.

pub mod agama;
pub mod answers;
pub mod autoinstall;
pub mod autoyast;
pub mod bls;
pub mod bzimage;
pub mod compress;
pub mod cpio;
pub mod diskinfo;
pub mod dracut;
pub mod fat;
pub mod fields;
pub mod grub;
pub mod initrd;
pub mod ipxe;
pub mod iso9660;
pub mod kickstart;
pub mod linuxrc;
pub mod module;
pub mod netplan;
pub mod paths;
pub mod preseed;
mod spans;
pub mod syslinux;
pub mod treeinfo;
pub mod uki;
pub mod yaml;
