//! Ending a chain: carries out what the pure sealer says, and hands out the footers that its walk passes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use waybill_rt::{SharedClock, SharedEntropy};
use waybill_store::{SharedStore, StoreError};
use waybill_types::StoreId;

use crate::chain::judge::{self, GLANCE, Seen};
use crate::chain::names::{ChainId, Slot};
use crate::chain::options::ChainOptions;
use crate::chain::seal::{SealAction, SealEvent, SealRefusal, Sealer};
use crate::chain::slot::{Head, Identity, OpenRecord, SealRecord, SlotFault, encode_seal};
use crate::chain::writer::PutAnswer;
use crate::entry::Entry;
use crate::sabotage::Sabotage;

/// Fronts are read in pieces of at least so many bytes.
const FRONT_PIECE: u64 = 64 << 10;
/// Slots read ahead of the walk.
const READ_AHEAD: usize = 32;

/// Whose chain is ended, by whom.
#[derive(Clone)]
pub struct SealJob {
    /// Where the chain lives.
    pub store: SharedStore,
    /// The id that this store must show.
    pub id: StoreId,
    /// The chain.
    pub chain: ChainId,
    /// Everything below is in the index. For a recovery: read in the commit that started it.
    pub trim: Slot,
    /// Who places the seals.
    pub record: SealRecord,
    /// Pauses between tries.
    pub options: ChainOptions,
    /// Time.
    pub clock: SharedClock,
    /// Chance, for the seal's writer and for jitter.
    pub entropy: SharedEntropy,
}

impl std::fmt::Debug for SealJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealJob({} from {})", self.chain, self.trim)
    }
}

/// A data slot that the walk passed, in order: it is part of the chain.
#[derive(Debug)]
pub enum Passed {
    /// Its batches.
    Data(Head, Vec<Entry>),
    /// It is data, but its front can not be read.
    Damaged(SlotFault),
}

/// A chain that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The slot of the seal.
    pub end: Slot,
    /// The open record and its header.
    pub open: (Head, OpenRecord),
    /// The last data slot's header, if there is one at or above the trim.
    pub last: Option<Head>,
    /// Data slots that can not be read.
    pub damaged: Vec<Slot>,
    /// The highest slot that any LIST showed.
    pub listed: Slot,
}

/// Why a chain was not ended. Nothing may be concluded from it.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The open record forbids it.
    #[error("{chain} is not sealed: {why}")]
    Refused {
        /// The chain.
        chain: ChainId,
        /// Why.
        why: SealRefusal,
    },
    /// A seal can not be made.
    #[error("a seal can not be made: {0}")]
    Format(#[from] SlotFault),
}

/// Ends a chain, and passes every data slot from the trim up to the end to `visit`, in order. Goes on until it succeeds or the open record
/// forbids it: a store that is down is waited for, and the caller may drop the future at any time.
///
/// # Errors
/// A [`SealError`].
pub async fn seal(job: SealJob, mut visit: impl FnMut(Slot, Passed) + Send) -> Result<Sealed, SealError> {
    let mut sealer = Sealer::new(job.trim, job.options.sabotage);
    let mut walk = Walk { job: &job, ahead: Ahead::new(), next: 0, failures: 0 };
    let (mut open, mut last) = (None, None);
    loop {
        match sealer.action() {
            SealAction::ReadOpen => {
                let read = job.store.get(&job.chain.slot(0), 0..GLANCE).await;
                let (found, record) = judge::open(job.id, job.chain, &read);
                open = record;
                walk.pause_after(found == crate::chain::seal::OpenFound::Failed).await;
                if job.options.sabotage.breaks(Sabotage::NoSeal) {
                    return no_seal(&job, open, visit).await;
                }
                sealer.on(SealEvent::OpenRead(found));
            }
            SealAction::List => {
                let listed = job.store.list(&job.chain.prefix()).await;
                walk.pause_after(listed.is_err()).await;
                walk.ahead = Ahead::new();
                sealer.on(match listed {
                    Ok(names) => {
                        SealEvent::Listed(names.iter().filter_map(|name| job.chain.parse(name)).max())
                    }
                    Err(_) => SealEvent::ListFailed,
                });
            }
            SealAction::PutSeal(slot) => {
                let answer = walk.put(slot).await?;
                sealer.on(SealEvent::Answered(answer));
            }
            SealAction::Read(slot) => {
                let seen = walk.read(slot, sealer.listed(), sealer.horizon()).await;
                sealer.on(SealEvent::Read(seen.found()));
                // Passed: the walk went on behind this slot.
                let walked = matches!(sealer.action(), SealAction::Read(next) if next == slot + 1);
                match seen {
                    Seen::Data(head, entries) if walked => {
                        last = Some(head);
                        visit(slot, Passed::Data(head, entries));
                    }
                    Seen::Damaged(fault) if walked => visit(slot, Passed::Damaged(fault)),
                    _ => {}
                }
            }
            SealAction::Ended(end) => {
                let why = SealRefusal::WrongOpenRecord;
                let open = open.ok_or(SealError::Refused { chain: job.chain, why })?;
                let damaged = sealer.damaged().to_vec();
                return Ok(Sealed { end, open, last, damaged, listed: sealer.listed() });
            }
            SealAction::Refused(why) => return Err(SealError::Refused { chain: job.chain, why }),
        }
    }
}

/// Mutants only: concludes from what is there now.
async fn no_seal(
    job: &SealJob,
    open: Option<(Head, OpenRecord)>,
    mut visit: impl FnMut(Slot, Passed) + Send,
) -> Result<Sealed, SealError> {
    let why = SealRefusal::NoOpenRecord;
    let open = open.ok_or(SealError::Refused { chain: job.chain, why })?;
    let (mut end, mut last) = (job.trim, None);
    while let Seen::Data(head, entries) = read_front(job.clone(), end).await {
        visit(end, Passed::Data(head, entries));
        last = Some(head);
        end += 1;
    }
    Ok(Sealed { end, open, last, damaged: Vec::new(), listed: end })
}

type Ahead = FuturesOrdered<BoxFuture<'static, Seen>>;

struct Walk<'a> {
    job: &'a SealJob,
    /// Reads of the slots up to `next`, in order.
    ahead: Ahead,
    next: Slot,
    failures: u32,
}

impl Walk<'_> {
    async fn pause_after(&mut self, failed: bool) {
        if !failed {
            self.failures = 0;
            return;
        }
        self.failures += 1;
        let pause = self.job.options.pause_after(self.failures).max(Duration::from_millis(1));
        self.job.clock.sleep(pause.mul_f64(0.5 + self.job.entropy.below(1000) as f64 / 1000.0)).await;
    }

    async fn put(&mut self, slot: Slot) -> Result<PutAnswer, SlotFault> {
        let job = self.job;
        let identity = Identity { store: job.id, chain: job.chain, writer: job.entropy.next_u64() };
        let record = SealRecord { written: job.clock.now(), ..job.record };
        let parts = encode_seal(identity, slot, record)?.parts;
        let put = job.store.put(&job.chain.slot(slot), parts).await;
        let answer = match put {
            Ok(()) => PutAnswer::Created,
            Err(StoreError::Exists(_)) => PutAnswer::Exists,
            Err(_) => PutAnswer::Unknown,
        };
        self.pause_after(answer == PutAnswer::Unknown).await;
        Ok(answer)
    }

    /// Reads a slot, and those behind it side by side: what the LIST showed, and, the more data was found beyond that, up
    /// to the seal ahead. A writer that was busy has gone on until there.
    async fn read(&mut self, slot: Slot, listed: Slot, horizon: Slot) -> Seen {
        if self.ahead.is_empty() {
            self.next = slot;
        }
        let beyond = usize::try_from(slot.saturating_sub(listed + 1)).unwrap_or(READ_AHEAD);
        let window = if slot <= listed { READ_AHEAD } else { (2 + 4 * beyond).min(READ_AHEAD) };
        let last = if slot <= listed { listed.saturating_add(2).min(horizon) } else { horizon };
        while self.next <= last && self.ahead.len() < window {
            self.ahead.push_back(read_front(self.job.clone(), self.next).boxed());
            self.next += 1;
        }
        let first = self.next - self.ahead.len() as Slot;
        let seen = if first == slot { self.ahead.next().await } else { None };
        let seen = match seen {
            Some(seen) => seen,
            None => read_front(self.job.clone(), slot).await,
        };
        if matches!(seen, Seen::Absent) {
            // What was read ahead may have been written since: a busy writer would be followed one create at a time.
            self.ahead = Ahead::new();
        }
        self.pause_after(matches!(seen, Seen::Failed(_))).await;
        seen
    }
}

async fn read_front(job: SealJob, slot: Slot) -> Seen {
    let name = job.chain.slot(slot);
    let read = match job.store.get(&name, 0..FRONT_PIECE).await {
        Ok(bytes) => rest_of_front(&job, &name, bytes).await,
        Err(error) => Err(error),
    };
    judge::any(job.id, job.chain, slot, read)
}

async fn rest_of_front(job: &SealJob, name: &str, bytes: Bytes) -> Result<Bytes, StoreError> {
    let Ok(head) = Head::peek(&bytes) else { return Ok(bytes) };
    let length = head.front_len() as u64;
    // An object that ends earlier is damaged, which decoding tells.
    if length <= bytes.len() as u64 || (bytes.len() as u64) < FRONT_PIECE {
        return Ok(bytes);
    }
    let rest = job.store.get(name, FRONT_PIECE..length).await?;
    let mut whole = BytesMut::with_capacity(bytes.len() + rest.len());
    whole.extend_from_slice(&bytes);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}
