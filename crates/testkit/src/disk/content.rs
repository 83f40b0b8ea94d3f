//! What a file holds: for readers, on the platter, and on its way there.

use std::collections::BTreeSet;
use std::ops::Range;

use waybill_rt::Entropy;

/// Space is taken in blocks of so many bytes, when they are first written: a longer file alone takes none.
const BLOCK: u64 = 4096;

/// A change that was not synced.
#[derive(Debug, Clone)]
enum Pending {
    Write { at: u64, bytes: Vec<u8> },
    Len(u64),
}

/// What a power loss does to changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// None is kept.
    All,
    /// All are kept.
    Nothing,
    /// Each is kept or lost.
    Whole,
    /// Each sector of each is kept or lost.
    Sectors,
    /// All before some point are kept, the one at that point is torn.
    Tail,
}

impl Loss {
    pub(crate) fn draw(entropy: &dyn Entropy) -> Self {
        match entropy.below(6) {
            0 => Self::All,
            1 => Self::Nothing,
            2 => Self::Whole,
            3 => Self::Tail,
            _ => Self::Sectors,
        }
    }
}

/// A file's bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    taken: BTreeSet<u64>,
}

fn blocks(at: u64, len: u64) -> Range<u64> {
    at / BLOCK..(at + len).div_ceil(BLOCK)
}

fn put(bytes: &mut Vec<u8>, at: u64, part: &[u8]) {
    let (from, to) = (at as usize, at as usize + part.len());
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    if let Some(place) = bytes.get_mut(from..to) {
        place.copy_from_slice(part);
    }
}

impl Content {
    pub(crate) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(crate) fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Bytes of space that the file takes.
    pub(crate) fn space(&self) -> u64 {
        self.taken.len() as u64 * BLOCK
    }

    /// Bytes of space that a write would take.
    pub(crate) fn wanted(&self, at: u64, len: u64) -> u64 {
        blocks(at, len).filter(|block| !self.taken.contains(block)).count() as u64 * BLOCK
    }

    pub(crate) fn write(&mut self, at: u64, bytes: Vec<u8>) {
        self.taken.extend(blocks(at, bytes.len() as u64));
        put(&mut self.live, at, &bytes);
        self.pending.push(Pending::Write { at, bytes });
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        self.live.resize(len as usize, 0);
        self.taken.retain(|block| *block < len.div_ceil(BLOCK));
        self.pending.push(Pending::Len(len));
    }

    pub(crate) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Write { at, bytes } => put(&mut self.durable, at, &bytes),
                Pending::Len(len) => self.durable.resize(len as usize, 0),
            }
        }
    }

    /// A sync failed: what was pending is taken for clean and will never reach the platter, or has reached it in part.
    pub(crate) fn sync_failed(&mut self, entropy: &dyn Entropy, sector: usize) {
        let loss = if entropy.below(2) == 0 { Loss::All } else { Loss::Sectors };
        self.settle(loss, entropy, sector);
    }

    /// The power went: what readers see is what reached the platter.
    pub(crate) fn power_loss(&mut self, entropy: &dyn Entropy, sector: usize) {
        self.settle(Loss::draw(entropy), entropy, sector);
        self.live.clone_from(&self.durable);
    }

    fn settle(&mut self, loss: Loss, entropy: &dyn Entropy, sector: usize) {
        let pending = std::mem::take(&mut self.pending);
        let turn = entropy.below(pending.len() as u64 + 1) as usize;
        for (number, change) in pending.into_iter().enumerate() {
            let style = match loss {
                Loss::Tail if number < turn => Loss::Nothing,
                Loss::Tail if number == turn => Loss::Sectors,
                Loss::Tail => Loss::All,
                other => other,
            };
            let keep = match style {
                Loss::All => false,
                Loss::Nothing => true,
                Loss::Whole | Loss::Sectors | Loss::Tail => entropy.below(2) == 0,
            };
            match change {
                Pending::Len(len) if keep => self.durable.resize(len as usize, 0),
                Pending::Len(_) => {}
                Pending::Write { at, bytes } if style == Loss::Sectors => {
                    self.tear(at, &bytes, entropy, sector);
                }
                Pending::Write { at, bytes } if keep => put(&mut self.durable, at, &bytes),
                Pending::Write { .. } => {}
            }
        }
    }

    /// Keeps some sectors of a write, by the sectors of the file.
    fn tear(&mut self, at: u64, bytes: &[u8], entropy: &dyn Entropy, sector: usize) {
        let (mut rest, mut from) = (bytes, at);
        while !rest.is_empty() {
            let room = sector - (from as usize % sector);
            let (piece, behind) = rest.split_at(room.min(rest.len()));
            if entropy.below(2) == 0 {
                put(&mut self.durable, from, piece);
            }
            from += piece.len() as u64;
            rest = behind;
        }
    }

    /// Changes one bit for readers and on the platter.
    pub(crate) fn flip(&mut self, byte: usize, bit: u32) {
        for bytes in [&mut self.live, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Replaces everything, for readers and on the platter.
    pub(crate) fn replace(&mut self, bytes: Vec<u8>) {
        self.pending.clear();
        self.taken = blocks(0, bytes.len() as u64).collect();
        self.durable.clone_from(&bytes);
        self.live = bytes;
    }
}
