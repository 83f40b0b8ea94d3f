//! An open file of the simulated disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use waybill_rt::{Disk, DiskFile, Entropy, OpenMode};

use crate::disk::fault::{Fate, OpKind, eio, no_space, power_off};
use crate::disk::sim::{Inode, SimDisk, World};

pub(crate) struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    id: u64,
    handle: u64,
    mode: OpenMode,
    /// The failed syncs that this open file knows of.
    failed_syncs: AtomicU64,
}

impl SimFile {
    pub(crate) fn new(
        disk: SimDisk,
        path: &Path,
        id: u64,
        handle: u64,
        mode: OpenMode,
        failed_syncs: u64,
    ) -> Self {
        let failed_syncs = AtomicU64::new(failed_syncs);
        Self { disk, path: path.to_owned(), id, handle, mode, failed_syncs }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.mode == OpenMode::Read { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    /// `O_DIRECT` refuses what is not aligned.
    fn check_aligned(&self, at: u64, parts: impl Iterator<Item = (usize, usize)>) -> io::Result<()> {
        if self.mode != OpenMode::Direct {
            return Ok(());
        }
        let block = self.disk.block_size();
        let mut aligned = at.is_multiple_of(block as u64);
        for (address, length) in parts {
            aligned &= address.is_multiple_of(block) && length.is_multiple_of(block);
        }
        if aligned { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

fn inode(world: &mut World, id: u64) -> io::Result<&mut Inode> {
    world.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check_aligned(offset, std::iter::once((buf.as_ptr() as usize, buf.len())))?;
        let mut world = self.disk.world.lock();
        let fate = world.faults.next(OpKind::Read)?;
        if fate != Fate::Works {
            world.note("read", &self.path, offset, &[], false);
            return Err(if fate == Fate::PowerGoes { power_off() } else { eio() });
        }
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let live = inode(&mut world, self.id)?.content.live();
        let rest = live.get(from..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        world.note("read", &self.path, offset, buf.get(..count).unwrap_or_default(), true);
        Ok(count)
    }

    fn write_all_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        self.check_aligned(offset, parts.iter().map(|part| (part.as_ptr() as usize, part.len())))?;
        let bytes = parts.iter().map(|part| &**part).collect::<Vec<&[u8]>>().concat();
        let mut world = self.disk.world.lock();
        let fate = world.faults.next(OpKind::Write)?;
        let wanted = inode(&mut world, self.id)?.content.wanted(offset, bytes.len() as u64);
        let full = wanted > 0 && world.used() + wanted > world.options.capacity;
        let fate = if fate == Fate::Works && full { Fate::NoSpace } else { fate };
        world.note("write", &self.path, offset, &bytes, fate == Fate::Works);
        // A write that fails, or that the power goes with, may have happened up to some byte.
        let happened = match fate {
            Fate::Works => bytes.len(),
            Fate::NoSpace => 0,
            Fate::Eio | Fate::PowerGoes => world.entropy.below(bytes.len() as u64 + 1) as usize,
        };
        let part = bytes.get(..happened).unwrap_or_default().to_vec();
        if !part.is_empty() {
            inode(&mut world, self.id)?.content.write(offset, part);
        }
        match fate {
            Fate::Works => Ok(()),
            Fate::NoSpace => Err(no_space()),
            Fate::Eio => Err(eio()),
            Fate::PowerGoes => Err(power_off()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        let fate = world.faults.next(OpKind::Sync)?;
        let (sector, draw) = (world.options.sector, world.entropy.next_u64());
        let entropy = waybill_rt::SeededEntropy::new(draw);
        let known = self.failed_syncs.load(Ordering::Relaxed);
        let inode = inode(&mut world, self.id)?;
        let result = match fate {
            Fate::PowerGoes => {
                if draw.is_multiple_of(2) {
                    inode.content.sync();
                }
                Err(power_off())
            }
            Fate::Eio | Fate::NoSpace => {
                inode.content.sync_failed(&entropy, sector);
                inode.failed_syncs += 1;
                Err(eio())
            }
            Fate::Works => {
                inode.content.sync();
                if inode.failed_syncs > known { Err(eio()) } else { Ok(()) }
            }
        };
        self.failed_syncs.store(inode.failed_syncs, Ordering::Relaxed);
        world.note("sync", &self.path, 0, &[], result.is_ok());
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut world = self.disk.world.lock();
        let fate = world.faults.next(OpKind::Write)?;
        world.note("setlen", &self.path, len, &[], fate == Fate::Works);
        match fate {
            Fate::Works => {
                inode(&mut world, self.id)?.content.set_len(len);
                Ok(())
            }
            Fate::PowerGoes => Err(power_off()),
            Fate::Eio => Err(eio()),
            Fate::NoSpace => Err(no_space()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        let mut world = self.disk.world.lock();
        if world.faults.is_off() {
            return Err(power_off());
        }
        Ok(inode(&mut world, self.id)?.content.live().len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut world = self.disk.world.lock();
        if world.faults.is_off() {
            return Err(power_off());
        }
        let inode = inode(&mut world, self.id)?;
        let free = inode.locked_by.is_none_or(|holder| holder == self.handle);
        if free {
            inode.locked_by = Some(self.handle);
        }
        Ok(free)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut world = self.disk.world.lock();
        if let Some(inode) = world.files.get_mut(&self.id)
            && inode.locked_by == Some(self.handle)
        {
            inode.locked_by = None;
        }
    }
}
