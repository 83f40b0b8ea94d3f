//! Recovery: what the last incarnation left in the ring.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use waybill_types::Incarnation;

use crate::api::{DurableFrame, WalPosition};
use crate::file::decide::{Refusal, Registered, SeenGroup, decide};
use crate::file::ring::Ring;
use crate::file::scan::{first_header, scan_file};
use crate::group::decode_group;

/// Why the ring can not be recovered. The process must then not start: going on would lose acked data.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Acked data is damaged.
    #[error(
        "the write-ahead log is damaged at position {end} (file {}, byte {offset}): everything below position \
         {known_durable} was acked, so starting would lose data; restore the file or the storage root from a copy",
        .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in the file.
        offset: u64,
        /// Where the unbroken valid prefix ends.
        end: WalPosition,
        /// What is known to have been durable.
        known_durable: WalPosition,
    },
    /// The metadata is older than the ring.
    #[error(
        "the write-ahead log was written at position {position} by a later start than the metadata knows of \
         (incarnation {registered}): the metadata is an older copy; restore the one that belongs to this log"
    )]
    Newer {
        /// Where.
        position: WalPosition,
        /// The incarnation that the metadata knows.
        registered: Incarnation,
    },
    /// The ring is new, but the metadata says that it was written.
    #[error(
        "the write-ahead log in {} is gone: the metadata knows incarnation {registered} of it; restore the folder",
        .dir.display()
    )]
    Gone {
        /// The folder.
        dir: PathBuf,
        /// The incarnation that the metadata knows.
        registered: Incarnation,
    },
    /// The trim in the metadata is not where a file of the ring begins.
    #[error("the metadata trims the write-ahead log at {0}, which is not where a file of it begins")]
    Trim(WalPosition),
    /// The disk failed to read.
    #[error("reading {} failed: {error}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// What the ring holds from the trim on. Its frames are read group by group, so that memory stays bounded.
#[derive(Debug)]
pub struct Recovery {
    ring: Arc<Ring>,
    groups: std::vec::IntoIter<SeenGroup>,
    /// P: where the log ends.
    pub end: WalPosition,
    /// F: everything below was acked, or may have been.
    pub known_durable: WalPosition,
    /// The trim that the next incarnation must commit before it writes.
    pub next_trim: WalPosition,
}

impl Ring {
    /// Looks at the whole ring and decides what the log is: the frames of [trim, P). Nothing is written, so a crash
    /// afterwards repeats it. The caller writes the frames into fsynced segments, then commits, in one, index,
    /// producer state, epochs + 1, the next incarnation and trim := [`Recovery::next_trim`]; only then may
    /// [`crate::FileWal::start`] be called.
    ///
    /// Blocks while the ring is read.
    ///
    /// # Errors
    /// A [`RecoverError`]: then the process must not start.
    pub fn recover(self: &Arc<Self>, registered: Registered) -> Result<Recovery, RecoverError> {
        if self.is_new && registered.incarnation.get() > 0 {
            return Err(RecoverError::Gone { dir: self.dir.clone(), registered: registered.incarnation });
        }
        let mut groups = Vec::new();
        for (slot, file) in self.files.iter().enumerate() {
            let handle = Arc::clone(&*file.writer.lock());
            let scan = scan_file(&*handle, slot, self.geometry, self.store, registered.trim)
                .map_err(|error| RecoverError::Io { file: file.path.clone(), error })?;
            if let Some(ahead) = scan.ahead {
                let registered = registered.incarnation;
                return Err(RecoverError::Newer { position: ahead.position, registered });
            }
            groups.extend(scan.groups);
        }
        groups.sort_unstable_by_key(|group| group.position);
        let decision = decide(&mut groups, self.geometry, registered, self.sabotage)
            .map_err(|refusal| self.explain(refusal, registered))?;
        let cut = groups.len().saturating_sub(decision.groups);
        if cut > 0 {
            tracing::info!(
                groups = cut,
                end = decision.end.0,
                "groups behind the end were never acked: ignored"
            );
        }
        groups.truncate(decision.groups);
        Ok(Recovery {
            ring: Arc::clone(self),
            groups: groups.into_iter(),
            end: decision.end,
            known_durable: decision.known_durable,
            next_trim: decision.next_trim,
        })
    }

    /// The recovery of a ring whose last incarnation ended in order: nothing at or above the trim is wanted, and nothing
    /// was written at or above `end`. Instead of every block it looks at the first of each file, where whoever wrote a
    /// file began. `None` when one of them stands against it; then [`Self::recover`] must look at everything.
    ///
    /// # Errors
    /// When the disk fails to read.
    pub fn recover_closed(
        self: &Arc<Self>,
        registered: Registered,
        end: WalPosition,
    ) -> Result<Option<Recovery>, RecoverError> {
        let Registered { incarnation, trim } = registered;
        if self.is_new || !self.geometry.is_start(trim) || end < trim {
            return Ok(None);
        }
        for file in &self.files {
            let handle = Arc::clone(&*file.writer.lock());
            let first = first_header(&*handle, self.geometry)
                .map_err(|error| RecoverError::Io { file: file.path.clone(), error })?;
            let against = first.is_some_and(|header| {
                header.store == self.store && (header.incarnation > incarnation || header.position >= end)
            });
            if against {
                tracing::warn!(file = %file.path.display(), "written since it was closed: looking at all of it");
                return Ok(None);
            }
        }
        Ok(Some(Recovery {
            ring: Arc::clone(self),
            groups: Vec::new().into_iter(),
            end,
            known_durable: end,
            next_trim: self.geometry.start_at_or_after(end),
        }))
    }

    fn explain(&self, refusal: Refusal, registered: Registered) -> RecoverError {
        match refusal {
            Refusal::Damaged { end, known_durable } => {
                let slot = self.geometry.slot_of(self.geometry.file_of(end));
                let file = self.files.get(slot).map_or_else(|| self.dir.clone(), |file| file.path.clone());
                let offset = self.geometry.offset_of(end);
                RecoverError::Damaged { file, offset, end, known_durable }
            }
            Refusal::Newer { position, .. } => {
                RecoverError::Newer { position, registered: registered.incarnation }
            }
            Refusal::Trim => RecoverError::Trim(registered.trim),
        }
    }
}

impl Recovery {
    /// The frames of the next group, in order; `None` at the end. Empty groups are passed over. Blocks while reading.
    ///
    /// # Errors
    /// When the disk fails, or a group no longer reads as it did before.
    pub fn next_group(&mut self) -> Result<Option<Vec<DurableFrame>>, RecoverError> {
        for group in self.groups.by_ref() {
            let frames = read_group(&self.ring, &group)?;
            if !frames.is_empty() {
                return Ok(Some(frames));
            }
        }
        Ok(None)
    }
}

fn read_group(ring: &Ring, group: &SeenGroup) -> Result<Vec<DurableFrame>, RecoverError> {
    let slot = ring.geometry.slot_of(ring.geometry.file_of(group.position));
    let offset = ring.geometry.offset_of(group.position);
    let file = ring.file(slot).map_err(|error| RecoverError::Io { file: ring.dir.clone(), error })?;
    let mut bytes = vec![0; (group.end.0 - group.position.0) as usize];
    file.reader
        .read_exact_at(&mut bytes, offset)
        .map_err(|error| RecoverError::Io { file: file.path.clone(), error })?;
    match decode_group(&Bytes::from(bytes)) {
        Ok((header, frames)) if header.position == group.position => Ok(frames),
        _ => Err(RecoverError::Damaged {
            file: file.path.clone(),
            offset,
            end: group.position,
            known_durable: group.end,
        }),
    }
}
