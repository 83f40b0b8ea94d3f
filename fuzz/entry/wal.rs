//! What the fuzz target and the seeded tests call: bytes in, a broken promise panics.
//!
//! Promises of the file WAL's decoders: no panic, no memory beyond a small multiple of the ring; a group that is taken
//! is one whose every byte is what was written; what recovery decides to be the log can be read, ends where it says,
//! and the next writer starts behind everything that was seen.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use waybill_rt::{Disk, DiskFile, OpenMode};
use waybill_types::{Incarnation, StoreId};
use waybill_wal::entry::{ENTRY_LEN, Entry};
use waybill_wal::group::{GROUP_HEADER_LEN, decode_group, encode_group, used_length, verify_group};
use waybill_wal::{Registered, Ring, RingOptions, WalPosition};

/// The smallest ring: four files of two blocks.
pub(crate) const BLOCK: usize = 512;
pub(crate) const FILES: u32 = 4;
pub(crate) const FILE_SIZE: usize = 2 * BLOCK;
const STORE: StoreId = StoreId([7; 16]);
const HEADER_SUM: usize = GROUP_HEADER_LEN - 4;

/// The first byte chooses: one group, a description, or a ring. Answers whether it was taken.
pub(crate) fn part(data: &[u8]) -> bool {
    let Some((chosen, bytes)) = data.split_first() else { return false };
    let mend = chosen & 1 == 0;
    match (chosen >> 1) % 4 {
        0 => group(bytes, mend),
        1 => description(bytes, mend),
        _ => ring(bytes, mend),
    }
}

/// One group that fills the bytes.
fn group(bytes: &[u8], mend: bool) -> bool {
    let mut bytes = bytes.to_vec();
    if mend {
        put_group_right(&mut bytes);
    }
    let bytes = Bytes::from(bytes);
    let Ok((header, frames)) = decode_group(&bytes) else {
        assert!(verify_group(&bytes).is_err(), "verified but not decoded");
        return false;
    };
    assert_eq!(verify_group(&bytes), Ok(header));
    assert_eq!(frames.len(), header.frames as usize);
    let frames: Vec<_> = frames.into_iter().map(|durable| durable.frame).collect();
    assert_eq!(used_length(frames.iter().map(|frame| frame.records.len())), header.used as usize);
    let mut again = vec![0; bytes.len()];
    encode_group(&mut again, &header, frames.iter()).expect("what was decoded fits where it was");
    // What is reserved, and the padding, are held by sums only.
    let zero = |part: Option<&[u8]>| part.is_some_and(|part| part.iter().all(|byte| *byte == 0));
    let reserved = zero(bytes.get(68..HEADER_SUM)) && zero(bytes.get(header.used as usize..));
    if reserved && entries(&bytes, header.frames).all(|entry| zero(entry.get(71..72))) {
        assert_eq!(&again[..], &bytes[..], "a group is not what is written for its frames");
    }
    true
}

fn entries(bytes: &[u8], frames: u32) -> impl Iterator<Item = &[u8]> {
    let mut at = GROUP_HEADER_LEN;
    (0..frames).map_while(move |_| {
        let entry = bytes.get(at..at + ENTRY_LEN)?;
        at += ENTRY_LEN + Entry::decode(entry)?.length as usize;
        Some(entry)
    })
}

/// Any bytes in the place of the ring's description.
fn description(bytes: &[u8], mend: bool) -> bool {
    let disk = Arc::new(MemoryDisk::default());
    drop(open(&disk));
    let mut bytes = bytes.to_vec();
    if let Some((body, sum)) = bytes.split_last_chunk_mut::<4>().filter(|_| mend) {
        if let Some(magic) = body.get_mut(..8) {
            magic.copy_from_slice(b"WbRing\r\n");
        }
        if let Some(store) = body.get_mut(12..28) {
            store.copy_from_slice(STORE.as_bytes());
        }
        *sum = crc32c(body).to_le_bytes();
    }
    disk.put("/wal/ring", bytes);
    let Ok(ring) = open(&disk) else { return false };
    assert!(ring.geometry().is_sound());
    let _ = ring.recover(Registered { incarnation: Incarnation(1), trim: WalPosition(0) });
    true
}

/// Three bytes choose the trim and the incarnation that the metadata knows; the rest fills the ring's files.
fn ring(bytes: &[u8], mend: bool) -> bool {
    let Some(([lap, incarnation, far], bytes)) = bytes.split_first_chunk::<3>() else { return false };
    let disk = Arc::new(MemoryDisk::default());
    let Ok(empty) = open(&disk) else { panic!("an empty disk takes a ring") };
    drop(empty);
    let file = FILE_SIZE as u64;
    let trim = match far % 4 {
        0 => u64::from(*lap % 9) * file,
        1 => u64::from(*lap),
        2 => u64::MAX - u64::from(*lap),
        _ => (u64::MAX / file - u64::from(*lap % 9)) * file,
    };
    let mut contents = bytes.to_vec();
    contents.truncate(FILES as usize * FILE_SIZE);
    if mend {
        for block in 0..contents.len() / BLOCK {
            put_block_right(&mut contents, block, trim);
        }
    }
    for (slot, part) in contents.chunks(FILE_SIZE).enumerate() {
        disk.put(&format!("/wal/ring-{slot:03}"), part.to_vec());
    }
    let ring = open(&disk).expect("a ring that is there opens, whatever its files hold");
    let registered =
        Registered { incarnation: Incarnation(u64::from(*incarnation % 4)), trim: WalPosition(trim) };
    let Ok(mut recovery) = ring.recover(registered) else { return false };
    if far % 4 > 1 {
        // Beyond 16 EiB of log nothing is promised but that it ends.
        return false;
    }
    assert!(recovery.known_durable <= recovery.end, "recovered less than what was durable");
    assert!(registered.trim <= recovery.end);
    assert!(recovery.next_trim >= recovery.end || registered.incarnation.get() == 0);
    assert!(recovery.next_trim.0.is_multiple_of(file));
    let (end, mut last, mut frames) = (recovery.end, trim, 0);
    while let Some(group) = recovery.next_group().expect("what was decided to be the log reads") {
        for frame in group {
            assert!(frame.position.0 >= last, "frames out of order");
            last = frame.position.0 + frame.frame.records.len() as u64;
            assert!(last <= end.0, "a frame behind the end");
            frames += 1;
        }
    }
    frames > 0
}

fn open(disk: &Arc<MemoryDisk>) -> Result<Arc<Ring>, waybill_wal::OpenError> {
    let options = RingOptions { files: FILES, file_size: FILE_SIZE as u64, ..RingOptions::default() };
    Ring::open(Arc::<MemoryDisk>::clone(disk), Path::new("/wal"), STORE, options, 1)
}

/// Makes one whole group of the bytes: its marks, its lengths and its checksums; everything else stays as it is.
fn put_group_right(bytes: &mut [u8]) {
    let length = bytes.len() as u32;
    put(bytes, 0, b"WbGr\x01\x00\x50\x00");
    put(bytes, 8, STORE.as_bytes());
    put(bytes, 56, &length.to_le_bytes());
    let wanted = bytes.get(64).map_or(0, |byte| byte % 5);
    let (mut at, mut frames) = (GROUP_HEADER_LEN, 0u32);
    let mut sums = Vec::new();
    while frames < u32::from(wanted) && at + ENTRY_LEN <= bytes.len() {
        let start = at + ENTRY_LEN;
        let length = bytes.get(at + 80).map_or(0, |byte| usize::from(*byte)).min(bytes.len() - start);
        put(bytes, at + 76, &(start as u32).to_le_bytes());
        put(bytes, at + 80, &(length as u32).to_le_bytes());
        let crc = crc32c(bytes.get(start..start + length).unwrap_or_default());
        put(bytes, at + 84, &crc.to_le_bytes());
        sums.push(at..start);
        at = start + length;
        frames += 1;
    }
    put(bytes, 60, &(at as u32).to_le_bytes());
    put(bytes, 64, &frames.to_le_bytes());
    let Some(head) = bytes.get(..HEADER_SUM) else { return };
    let mut whole = crc32c(head);
    for entry in sums {
        whole = crc32c_append(whole, bytes.get(entry).unwrap_or_default());
    }
    whole = crc32c_append(whole, bytes.get(at..).unwrap_or_default());
    put(bytes, HEADER_SUM, &whole.to_le_bytes());
}

/// A block that begins with a `W` is made a group that can stand there: in some lap, after and with what a byte says.
fn put_block_right(contents: &mut [u8], block: usize, trim: u64) {
    let (from, file_end) = (block * BLOCK, (block * BLOCK / FILE_SIZE + 1) * FILE_SIZE);
    let room = contents.len().min(file_end);
    let Some(bytes) = contents.get_mut(from..room).filter(|bytes| bytes.first() == Some(&b'W')) else {
        return;
    };
    let blocks = (bytes.len() / BLOCK).max(1);
    let choice = |at: usize| bytes.get(at).map_or(0, |byte| u64::from(*byte));
    let (size, incarnation, lap) = (choice(56) as usize % blocks + 1, choice(24) % 4, choice(32) % 4);
    let (durable, previous) = (choice(40) % 16 * BLOCK as u64, choice(48) % 16 * BLOCK as u64);
    let capacity = FILES as u64 * FILE_SIZE as u64;
    let position = (trim / capacity).saturating_add(lap).saturating_mul(capacity).saturating_add(from as u64);
    put(bytes, 24, &incarnation.to_le_bytes());
    put(bytes, 32, &position.to_le_bytes());
    put(bytes, 40, &position.saturating_sub(durable).to_le_bytes());
    put(bytes, 48, &position.saturating_sub(previous).to_le_bytes());
    if let Some(bytes) = bytes.get_mut(..size * BLOCK) {
        put_group_right(bytes);
    }
}

fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + part.len()) {
        place.copy_from_slice(part);
    }
}

type Contents = Arc<Mutex<Vec<u8>>>;

/// A disk in memory: no faults, no power.
#[derive(Default)]
struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, Contents>>,
}

struct MemoryFile(Contents);

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    fn put(&self, path: &str, bytes: Vec<u8>) {
        locked(&self.files).insert(path.into(), Arc::new(Mutex::new(bytes)));
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = locked(&self.files);
        if let Some(file) = files.get(path) {
            return Ok(Arc::new(MemoryFile(Arc::clone(file))));
        }
        if !matches!(mode, OpenMode::CreateOrOpen | OpenMode::CreateNew) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = Contents::default();
        files.insert(path.to_owned(), Arc::clone(&file));
        Ok(Arc::new(MemoryFile(file)))
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = locked(&self.files);
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        locked(&self.files).remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(locked(&self.files).keys().cloned().collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(locked(&self.files).contains_key(path))
    }

    fn free_space(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn block_size(&self) -> usize {
        BLOCK
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = locked(&self.0);
        let rest = usize::try_from(offset).ok().and_then(|from| bytes.get(from..)).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_all_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut bytes = locked(&self.0);
        let part = parts.iter().map(|part| &**part).collect::<Vec<&[u8]>>().concat();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let len = bytes.len().max(from + part.len());
        bytes.resize(len, 0);
        put(&mut bytes, from, &part);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        locked(&self.0).resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(locked(&self.0).len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
