//! Looking at every block boundary of the ring.

use std::io;

use waybill_rt::DiskFile;
use waybill_types::StoreId;

use crate::api::WalPosition;
use crate::file::decide::SeenGroup;
use crate::file::layout::Geometry;
use crate::group::{GROUP_HEADER_LEN, GroupHeader, verify_group};

const READ_BYTES: usize = 1 << 20;

/// A place where the ring was written in a way that its metadata rules out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) position: WalPosition,
}

/// What stands in one file.
#[derive(Debug, Default)]
pub(crate) struct FileScan {
    /// The valid groups whose position is the one of this place in the lap from the trim.
    pub(crate) groups: Vec<SeenGroup>,
    /// A valid group of a later lap than the trim allows.
    pub(crate) ahead: Option<Ahead>,
}

/// A window onto a file, of whole blocks, that slides forward.
struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The `want` bytes at `at`; `None` where the file ends before.
    fn get(&mut self, at: u64, want: usize) -> io::Result<Option<&[u8]>> {
        if at + want as u64 > self.len {
            return Ok(None);
        }
        let held = self.start <= at && at + want as u64 <= self.start + self.bytes.len() as u64;
        if !held {
            let count = (self.len - at).min(want.max(READ_BYTES) as u64);
            self.bytes.resize(usize::try_from(count).map_err(io::Error::other)?, 0);
            self.start = at;
            self.file.read_exact_at(&mut self.bytes, at)?;
        }
        let from = (at - self.start) as usize;
        Ok(self.bytes.get(from..from + want))
    }
}

/// Looks at every block boundary of the file in `slot`, past invalid blocks too. The inside of a valid group is not
/// looked at again: all its bytes are known to be what was written.
pub(crate) fn scan_file(
    file: &dyn DiskFile,
    slot: usize,
    ring: Geometry,
    store: StoreId,
    trim: WalPosition,
) -> io::Result<FileScan> {
    let mut scan = FileScan::default();
    let mut window = Window { file, len: file.len()?.min(ring.file_size), start: 0, bytes: Vec::new() };
    let block = u64::from(ring.block);
    let mut at = 0;
    while let Some(head) = window.get(at, GROUP_HEADER_LEN)? {
        let place = ring.expected(slot, at, trim);
        let step = match GroupHeader::peek(head) {
            Some(header) if header.store == store && header.position >= place => {
                take(&mut window, at, &header, place, ring, &mut scan)?
            }
            _ => None,
        };
        at += step.unwrap_or(block);
    }
    Ok(scan)
}

/// Checks the group that a header at `at` announces, and returns its length when it is whole.
fn take(
    window: &mut Window<'_>,
    at: u64,
    header: &GroupHeader,
    place: WalPosition,
    ring: Geometry,
    scan: &mut FileScan,
) -> io::Result<Option<u64>> {
    let length = u64::from(header.length);
    let fits = length > 0 && length.is_multiple_of(u64::from(ring.block)) && at + length <= ring.file_size;
    if !fits || ring.offset_of(header.position) != at {
        return Ok(None);
    }
    let Some(bytes) = window.get(at, header.length as usize)? else { return Ok(None) };
    let Ok(header) = verify_group(bytes) else { return Ok(None) };
    if header.position == place {
        scan.groups.push(SeenGroup {
            position: header.position,
            end: header.end(),
            previous: header.previous,
            durable: header.durable,
            incarnation: header.incarnation,
        });
    } else {
        scan.ahead = Some(Ahead { position: header.position });
    }
    Ok(Some(length))
}
