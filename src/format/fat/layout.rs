//! Where things stand, from the BIOS parameter block.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{le16, le32};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// Where things stand, from the BIOS parameter block. Byte offsets and lengths.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) width: Width,
    pub(super) sector: u64,
    /// Length of the whole file system.
    pub(super) total: u64,
    /// Of the first table.
    pub(super) tables_at: u64,
    pub(super) tables: u64,
    /// Of the table that counts.
    pub(super) table_at: u64,
    pub(super) table_len: u64,
    /// FAT12 and FAT16: the root folder's fixed area.
    pub(super) root_at: u64,
    pub(super) root_len: u64,
    /// FAT32: the root folder's first cluster.
    pub(super) root_cluster: u32,
    pub(super) data_at: u64,
    pub(super) cluster: u64,
    pub(super) clusters: u64,
}

impl Layout {
    /// The layout that `image` says; `None` where it is no FAT.
    pub(super) fn of(image: &Content) -> Result<Option<Layout>> {
        let mut b = [0u8; 512];
        if image.len() < 512 {
            return Ok(None);
        }
        image.read_at(&mut b, 0)?;
        let sector = u64::from(le16(&b, 11));
        let per_cluster = u64::from(b[13]);
        let (reserved, tables) = (u64::from(le16(&b, 14)), u64::from(b[16]));
        let plausible = b[510..512] == [0x55, 0xaa]
            && matches!(b[0], 0xeb | 0xe9)
            && matches!(sector, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=4).contains(&tables)
            && matches!(b[21], 0xf0 | 0xf8..);
        if !plausible {
            return Ok(None);
        }
        let either =
            |small: u16, big: u32| if small != 0 { u64::from(small) } else { u64::from(big) };
        let total = either(le16(&b, 19), le32(&b, 32)) * sector;
        let (table16, table32) = (le16(&b, 22), le32(&b, 36));
        let table_len = either(table16, table32) * sector;
        let root_len = (u64::from(le16(&b, 17)) * 32).next_multiple_of(sector);
        let root_at = reserved * sector + tables * table_len;
        let data_at = root_at + root_len;
        let cluster = per_cluster * sector;
        if table_len == 0 || data_at > total {
            return Ok(None);
        }
        let clusters = (total - data_at) / cluster;
        let width = match clusters {
            _ if table16 == 0 => Width::Fat32,
            0..4085 => Width::Fat12,
            4085..65525 => Width::Fat16,
            _ => Width::Fat32,
        };
        // FAT32's extended flags: bit 7 says that one table counts, bits 0-3 say which.
        let flags = if width == Width::Fat32 { u64::from(le16(&b, 40)) } else { 0 };
        let one_counts = flags & 0x80 != 0 && flags & 15 < tables;
        let active = if one_counts { flags & 15 } else { 0 };
        let tables_at = reserved * sector;
        Ok(Some(Layout {
            width,
            sector,
            total,
            tables_at,
            tables,
            table_at: tables_at + active * table_len,
            table_len,
            root_at,
            root_len,
            root_cluster: le32(&b, 44),
            data_at,
            cluster,
            clusters,
        }))
    }

    /// Byte offset of a cluster.
    pub(super) fn cluster_at(&self, cluster: u32) -> Result<u64> {
        match u64::from(cluster).checked_sub(2).filter(|n| *n < self.clusters) {
            Some(n) => Ok(self.data_at + n * self.cluster),
            None => {
                let what = format!("cluster {cluster} is not one of {}", self.clusters);
                Err(Error::corrupt(what, self.table_at))
            }
        }
    }

    /// Bytes that a table of so many clusters takes; entries 0 and 1 are no clusters.
    pub(super) fn table_bytes(width: Width, clusters: u64) -> u64 {
        match width {
            Width::Fat12 => ((clusters + 2) * 3).div_ceil(2),
            Width::Fat16 => (clusters + 2) * 2,
            Width::Fat32 => (clusters + 2) * 4,
        }
    }

    /// Byte offset of the cluster's entry in the table.
    pub(super) fn entry_at(&self, cluster: u32) -> u64 {
        let c = u64::from(cluster);
        self.table_at
            + match self.width {
                Width::Fat12 => c + c / 2,
                Width::Fat16 => c * 2,
                Width::Fat32 => c * 4,
            }
    }
}
