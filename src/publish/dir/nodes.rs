//! What an initrd has beside files of known length: streams, hard links, devices and owners.

use super::{DirSink, os, set, with_hint};
use crate::content::path::TreePath;
use crate::content::tree::Special;
use crate::error::Result;
use crate::publish::PutMeta;
use rustix::fs::{self as sys, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::File;
use std::os::fd::OwnedFd;

/// A user and a group.
pub type Owner = (u32, u32);

/// True where owners can be given and devices made.
pub fn is_root() -> bool {
    geteuid().is_root()
}

fn ids((uid, gid): Owner) -> (Option<sys::Uid>, Option<sys::Gid>) {
    (Some(sys::Uid::from_raw(uid)), Some(sys::Gid::from_raw(gid)))
}

impl DirSink {
    /// Writes what `fill` writes: under a temporary name first, as ever. The owner is set where one is
    /// given.
    ///
    /// # Errors
    /// `Io`, what `fill` says.
    pub fn put_stream(
        &self,
        path: &TreePath,
        meta: PutMeta,
        owner: Option<Owner>,
        fill: &mut dyn FnMut(&mut File) -> Result<()>,
    ) -> Result<()> {
        let dir = self.parent_of(path)?;
        let part = self.part_name();
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file: File = sys::openat(&*dir, part.as_str(), flags, Mode::from_raw_mode(0o600))
            .map_err(|e| os("can't write", e).path(path))?
            .into();
        let own = |file: &File| match owner.map(ids) {
            Some((uid, gid)) => {
                sys::fchown(file, uid, gid).map_err(|e| os("can't set the owner", e))
            }
            None => Ok(()),
        };
        let done = fill(&mut file).and_then(|()| own(&file)).and_then(|()| set(&file, meta));
        done.map_err(|e| {
            self.away(&dir, &part);
            with_hint(e.path(path))
        })?;
        self.put_in_place(&dir, &part, path)
    }

    /// Another name for a file that was put.
    ///
    /// # Errors
    /// `Io`.
    pub fn hard_link(&self, from: &TreePath, to: &TreePath) -> Result<()> {
        let (old, new) = (self.parent_of(from)?, self.parent_of(to)?);
        let part = self.part_name();
        sys::linkat(&*old, from.name(), &*new, part.as_str(), AtFlags::empty())
            .map_err(|e| os("can't make the hard link", e).path(to))?;
        self.put_in_place(&new, &part, to)?;
        // To rename one name of a file to another does nothing.
        self.away(&new, &part);
        Ok(())
    }

    /// Makes a device, pipe or socket; false where the system does not let us.
    ///
    /// # Errors
    /// `Io`.
    pub fn special(&self, path: &TreePath, what: Special, mode: u32) -> Result<bool> {
        let (kind, device) = match what {
            Special::Fifo => (FileType::Fifo, 0),
            Special::Socket => (FileType::Socket, 0),
            Special::Char(major, minor) => (FileType::CharacterDevice, sys::makedev(major, minor)),
            Special::Block(major, minor) => (FileType::BlockDevice, sys::makedev(major, minor)),
        };
        let dir = self.parent_of(path)?;
        let part = self.part_name();
        match sys::mknodat(&*dir, part.as_str(), kind, Mode::from_raw_mode(mode), device) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(false),
            Err(e) => return Err(os("can't make the node", e).path(path)),
        }
        // What umask took is given back.
        let _ = sys::chmodat(&*dir, part.as_str(), Mode::from_raw_mode(mode), AtFlags::empty());
        self.put_in_place(&dir, &part, path)?;
        Ok(true)
    }

    /// Sets the owner of what lies there, a link itself too.
    ///
    /// # Errors
    /// `Io`.
    pub fn own(&self, path: &TreePath, owner: Owner) -> Result<()> {
        let dir = self.parent_of(path)?;
        let (uid, gid) = ids(owner);
        sys::chownat(&*dir, path.name(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| os("can't set the owner", e).path(path))
    }

    fn put_in_place(&self, dir: &OwnedFd, part: &str, path: &TreePath) -> Result<()> {
        sys::renameat(dir, part, dir, path.name()).map_err(|e| {
            self.away(dir, part);
            os("can't put it in its place", e).path(path)
        })
    }

    fn away(&self, dir: &OwnedFd, part: &str) {
        let _ = sys::unlinkat(dir, part, AtFlags::empty());
    }
}
