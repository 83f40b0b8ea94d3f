//! How a chain is written.

use std::time::Duration;

use crate::chain::pace::PaceOptions;
use crate::sabotage::Sabotage;

/// How a chain is written. Depth and the largest object are written down in the open record; the rest is free.
#[derive(Debug, Clone, Copy)]
pub struct ChainOptions {
    /// Slots in flight.
    pub depth: u32,
    /// The largest object, in bytes.
    pub largest: u32,
    /// Bytes of records that may wait or be in flight (`WAL queue`).
    pub queue_bytes: usize,
    /// When an object is full enough.
    pub pace: PaceOptions,
    /// A slot that is not durable after so long ends the chain.
    pub budget: Duration,
    /// When the first create of a slot is hedged.
    pub hedge: HedgeOptions,
    /// The first pause before a create or read is tried again; doubled up to [`Self::pause_limit`].
    pub pause: Duration,
    /// The longest pause.
    pub pause_limit: Duration,
    /// Slots of a chain. Behind the last one producers wait for the next incarnation.
    pub slots: u64,
    /// Bytes of a chain, likewise.
    pub bytes: u64,
    /// Segments may be made of each stretch of so many bytes.
    pub stretch: u64,
    /// And of so many slots, however little is in them: what recovery must walk is bounded by them.
    pub stretch_slots: u64,
    /// The rule that is left out; nothing without the feature `sim`.
    pub sabotage: Sabotage,
}

/// When a create is sent a second time although the first is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeOptions {
    /// Never: on stores that count or slow down repeated writes of one name.
    Off,
    /// When it takes longer than 95 of 100 creates before it did.
    Slow,
    /// After this time.
    After(Duration),
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self {
            depth: 16,
            largest: 64 << 20,
            queue_bytes: 32 << 20,
            pace: PaceOptions::default(),
            budget: Duration::from_secs(20),
            hedge: HedgeOptions::Slow,
            pause: Duration::from_millis(20),
            pause_limit: Duration::from_secs(1),
            slots: 16_384,
            bytes: 32 << 30,
            stretch: 32 << 20,
            stretch_slots: 512,
            sabotage: Sabotage::None,
        }
    }
}

impl ChainOptions {
    /// The pause after `tries` rounds that failed.
    #[must_use]
    pub fn pause_after(&self, tries: u32) -> Duration {
        match tries.checked_sub(1) {
            None => Duration::ZERO,
            Some(doubled) => self.pause.saturating_mul(1 << doubled.min(16)).min(self.pause_limit),
        }
    }
}
