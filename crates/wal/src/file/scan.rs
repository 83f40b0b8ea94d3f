//! Looking at every block boundary of the ring.

use std::io;

use waybill_rt::{AlignedBuf, DiskFile};
use waybill_types::StoreId;

use crate::api::WalPosition;
use crate::file::decide::SeenGroup;
use crate::file::layout::Geometry;
use crate::group::{GROUP_HEADER_LEN, GroupHeader, verify_group};

const READ_BYTES: usize = 4 << 20;

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

/// A window onto a file that slides forward. The file may be open around the page cache: a whole ring would only push
/// out of it what is needed, and the kernel's read-ahead is a third as fast.
struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    block: u64,
    start: u64,
    held: usize,
    buffer: AlignedBuf,
}

impl Window<'_> {
    /// The `want` bytes at `at`, a block boundary; `None` where the file ends before.
    fn get(&mut self, at: u64, want: usize) -> io::Result<Option<&[u8]>> {
        if at + want as u64 > self.len {
            return Ok(None);
        }
        if at < self.start || at + want as u64 > self.start + self.held as u64 {
            self.fill(at, want)?;
        }
        let from = (at - self.start) as usize;
        Ok(self.buffer.held(from..from + want))
    }

    fn fill(&mut self, at: u64, want: usize) -> io::Result<()> {
        let need = (self.len - at).min(want.max(READ_BYTES) as u64);
        let length = usize::try_from(need.next_multiple_of(self.block)).map_err(io::Error::other)?;
        (self.start, self.held) = (at, 0);
        let bytes = self.buffer.bytes(length);
        // Short reads end on a block boundary, except at the end of the file.
        while (self.held as u64) < need {
            let rest = bytes.get_mut(self.held..).unwrap_or_default();
            match self.file.read_at(rest, at + self.held as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.held += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
    let block = u64::from(ring.block);
    let len = file.len()?.min(ring.file_size);
    let buffer = AlignedBuf::new(ring.block as usize);
    let mut window = Window { file, len, block, start: 0, held: 0, buffer };
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

/// The header in the first block of a file, if one stands there whole.
pub(crate) fn first_header(file: &dyn DiskFile, ring: Geometry) -> io::Result<Option<GroupHeader>> {
    let block = u64::from(ring.block);
    let len = file.len()?.min(block);
    let buffer = AlignedBuf::new(ring.block as usize);
    let mut window = Window { file, len, block, start: 0, held: 0, buffer };
    Ok(window.get(0, GROUP_HEADER_LEN)?.and_then(GroupHeader::peek))
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
