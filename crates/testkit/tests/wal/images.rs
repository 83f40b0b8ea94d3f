//! Every cut and every flipped bit of a given ring.

use std::path::{Path, PathBuf};

use waybill_rt::VirtualClock;
use waybill_testkit::disk::{SimDisk, SimDiskOptions};
use waybill_types::TimestampMs;
use waybill_wal::group::{GroupHeader, verify_group};
use waybill_wal::{RecoverError, Wal, WalPosition};

use crate::life::{DIR, Down, Setup, append, flush, recover, start};
use crate::model::{Model, SharedModel};

/// A ring with a log in it, after its process was killed.
struct Image {
    disk: SimDisk,
    model: SharedModel,
    setup: Setup,
    /// All groups from the trim on, in order, with the record number that follows each.
    groups: Vec<(GroupHeader, u64)>,
}

impl Image {
    /// Makes a log of records of these lengths. `laps`: the ring was written so many times before, by an earlier
    /// incarnation. `covered`: stopped cleanly, so that the last records are covered.
    async fn make(laps: u64, covered: bool, lengths: &[usize]) -> Self {
        let clock = VirtualClock::shared(TimestampMs(0));
        let (setup, model) = (Setup::small(), Model::shared());
        let mut disk = SimDisk::new(1, SimDiskOptions::default());
        if laps > 0 {
            let wal = start(&disk, &model, &setup, &clock, 0).unwrap();
            for _ in 0..laps * u64::from(setup.files) * 2 {
                append(&wal, &model, 12_000).await.unwrap();
                wait_durable(&model).await;
                flush(&disk, &wal, &model).unwrap();
            }
            wal.close().await.unwrap();
            drop(wal);
            disk = disk.crash();
        }
        let wal = start(&disk, &model, &setup, &clock, 0).unwrap();
        for length in lengths {
            append(&wal, &model, *length).await.unwrap();
            wait_durable(&model).await;
        }
        if covered {
            wal.close().await.unwrap();
        }
        drop(wal);
        let disk = disk.crash();
        let mut image = Self { disk, model, setup, groups: Vec::new() };
        image.groups = image.walk();
        image
    }

    fn path(&self, position: WalPosition) -> PathBuf {
        let slot = position.0 / self.setup.file_size % u64::from(self.setup.files);
        Path::new(DIR).join(format!("ring-{slot:03}"))
    }

    fn offset(&self, position: WalPosition) -> usize {
        (position.0 % self.setup.file_size) as usize
    }

    fn walk(&self) -> Vec<(GroupHeader, u64)> {
        let (mut at, mut n) = {
            let committed = self.model.lock().committed.clone();
            (committed.registered.trim, committed.records)
        };
        let mut groups = Vec::new();
        loop {
            let next_file = WalPosition(at.0.next_multiple_of(self.setup.file_size));
            let Some(header) = self.group_at(at).or_else(|| self.group_at(next_file)) else { return groups };
            n += u64::from(header.frames);
            groups.push((header, n));
            at = header.end();
        }
    }

    fn group_at(&self, position: WalPosition) -> Option<GroupHeader> {
        let bytes = self.disk.durable_bytes(&self.path(position))?;
        let rest = bytes.get(self.offset(position)..)?;
        let header = GroupHeader::peek(rest).filter(|header| header.position == position)?;
        verify_group(rest.get(..header.length as usize)?).ok()
    }

    /// Where the log's records begin.
    fn base(&self) -> u64 {
        self.model.lock().committed.records
    }

    /// The record number that a recovery of `disk` ends at.
    fn outcome(&self, disk: &SimDisk) -> Result<u64, Down> {
        let found = recover(disk, &self.model, &self.setup).map(|(_, end, _)| end);
        assert_eq!(self.model.lock().violations, Vec::<String>::new());
        found
    }

    /// What must come of damage to group `hit`: a refusal where another group says that it was durable, else a cut
    /// before it.
    fn expected(&self, hit: usize) -> Result<u64, ()> {
        let others = self.groups.iter().enumerate().filter(|(at, _)| *at != hit);
        let known = others.map(|(_, (header, _))| header.durable).max().unwrap_or_default();
        let before = hit.checked_sub(1).map(|before| self.groups[before]);
        let end = before.map_or(self.model.lock().committed.registered.trim, |(header, _)| header.end());
        if end < known { Err(()) } else { Ok(before.map_or(self.base(), |(_, n)| n)) }
    }
}

async fn wait_durable(model: &SharedModel) {
    while model.lock().unacked() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// The ring cut at each byte of its last groups: exactly the groups wholly before the cut are the log. Behind the cut
/// stands nothing (the file ends) or zeros. In CI each byte once; in soak each byte in all ways.
#[tokio::test(start_paused = true)]
async fn a_cut_leaves_exactly_the_groups_before_it() {
    let soak = std::env::var_os("WAYBILL_SIM_SEEDS").is_some();
    for laps in [0, 1] {
        let image = Image::make(laps, false, &[700, 3000, 5000, 2000, 9]).await;
        assert_eq!(image.groups.len(), 5);
        let [.., from, (last, _)] = image.groups[..] else { panic!("five groups") };
        let path = image.path(last.position);
        assert_eq!(path, image.path(from.0.position));
        let whole = image.disk.durable_bytes(&path).unwrap();
        let mut cuts = 0;
        for cut in image.offset(from.0.position)..=image.offset(last.position) + last.length as usize {
            for truncated in [false, true] {
                if soak || (cut % 2 == 0) == truncated {
                    check_cut(&image, &path, &whole, cut, truncated);
                    cuts += 1;
                }
            }
        }
        println!("{cuts} cuts after {laps} laps");
    }
}

fn check_cut(image: &Image, path: &Path, whole: &[u8], cut: usize, truncated: bool) {
    let disk = image.disk.copy();
    let mut bytes = whole[..cut].to_vec();
    if !truncated {
        bytes.resize(whole.len(), 0);
    }
    disk.replace(path, bytes);
    let is_whole = |group: &GroupHeader| {
        let begin = image.offset(group.position);
        // What is cut off of the padding was zeros, and is zeros.
        let needed = if truncated { group.length } else { needed_bytes(whole, begin, group) };
        image.path(group.position) != path || begin + needed as usize <= cut
    };
    let expected = image.groups.iter().take_while(|(group, _)| is_whole(group)).last();
    let expected = expected.map_or(image.base(), |(_, n)| *n);
    assert_eq!(image.outcome(&disk).unwrap(), expected, "cut at {cut}, truncated: {truncated}");
}

/// Bytes of a group up to its last one that is not zero.
fn needed_bytes(file: &[u8], begin: usize, group: &GroupHeader) -> u32 {
    let bytes = &file[begin..begin + group.length as usize];
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u32 + 1)
}

/// One bit flipped at each byte of the ring (in CI at some): refusal below F, a cut at or above F, never a shorter log
/// without an error.
#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_refused_below_the_known_durable_end() {
    let stride = if std::env::var_os("WAYBILL_SIM_SEEDS").is_some() { 1 } else { 23 };
    let (mut refused, mut cut, mut untouched) = (0, 0, 0);
    for (laps, covered) in [(0, false), (1, true)] {
        let image = Image::make(laps, covered, &[700, 3000, 15_000, 12_000, 5000, 100, 9]).await;
        let all = image.groups.last().unwrap().1;
        for slot in 0..image.setup.files {
            let path = Path::new(DIR).join(format!("ring-{slot:03}"));
            let length = image.disk.durable_bytes(&path).unwrap().len();
            for byte in (slot as usize..length).step_by(stride) {
                let hit = image.groups.iter().position(|(group, _)| {
                    let begin = image.offset(group.position);
                    image.path(group.position) == path
                        && (begin..begin + group.length as usize).contains(&byte)
                });
                let disk = image.disk.copy();
                disk.flip_bit(&path, byte, (byte % 8) as u32);
                match (image.outcome(&disk), hit.map(|hit| image.expected(hit))) {
                    (Ok(end), None) if end == all => untouched += 1,
                    (Ok(end), Some(Ok(expected))) if end == expected => cut += 1,
                    (Err(Down::Refused(RecoverError::Damaged { .. })), Some(Err(()))) => refused += 1,
                    (outcome, expected) => {
                        panic!("byte {byte} of {}: {outcome:?}, not {expected:?}", path.display())
                    }
                }
            }
        }
    }
    println!("flipped bits: {refused} refused, {cut} cut, {untouched} outside of the log");
    assert!(refused > 100 && cut > 10 && untouched > 100);
}

/// After a clean stop no damage to an acked record goes unseen.
#[tokio::test(start_paused = true)]
async fn a_clean_stop_covers_the_last_record() {
    let image = Image::make(0, true, &[100]).await;
    assert_eq!(image.groups.len(), 2);
    assert_eq!(image.expected(0), Err(()));
    let image = Image::make(0, false, &[100]).await;
    assert_eq!((image.groups.len(), image.expected(0)), (1, Ok(0)));
}

/// What earlier laps and incarnations left in the ring is not the log, even where nothing was written over it.
#[tokio::test(start_paused = true)]
async fn stale_groups_are_ignored() {
    let image = Image::make(2, true, &[]).await;
    assert!(image.groups.is_empty());
    let stale = (0..image.setup.files).filter(|slot| {
        let bytes = image.disk.durable_bytes(&Path::new(DIR).join(format!("ring-{slot:03}"))).unwrap();
        GroupHeader::peek(&bytes).is_some()
    });
    assert_eq!(stale.count(), image.setup.files as usize);
    assert_eq!(image.outcome(&image.disk).unwrap(), image.base());
}
