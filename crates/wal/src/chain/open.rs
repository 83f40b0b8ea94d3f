//! What is there before a chain is registered: the id of its store, and its open record, slot 0.

use std::time::Duration;

use bytes::Bytes;
use waybill_rt::{Clock, Entropy, entropy::fresh_uuid};
use waybill_store::{Created, ObjectStore, StoreError, create_certainly};
use waybill_types::StoreId;

use crate::api::WalPosition;
use crate::chain::judge::{self, GLANCE};
use crate::chain::names::ChainId;
use crate::chain::options::ChainOptions;
use crate::chain::slot::{Identity, OpenRecord, SlotFault, encode_open};
use crate::chain::writer::Found;

/// A chain whose open record is durable, to be registered and then written.
#[derive(Debug, Clone, Copy)]
pub struct OpenedChain {
    /// Who writes it.
    pub identity: Identity,
    /// Where its first data object begins.
    pub start: WalPosition,
    /// How it is written.
    pub options: ChainOptions,
}

/// Why a chain could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenChainError {
    /// Slot 0 is taken by someone else: this incarnation was claimed twice, or the store is not the registered one.
    #[error(
        "{0} exists and is not ours: another process runs as this broker, or this is another cluster's store"
    )]
    Taken(String),
    /// The store did not make it durable in time.
    #[error("{name} could not be written within {seconds} s: {last}")]
    Unavailable {
        /// The object.
        name: String,
        /// The time that was given.
        seconds: u64,
        /// The last error of the store.
        last: String,
    },
    /// The record can not be made.
    #[error("the open record can not be made: {0}")]
    Format(#[from] SlotFault),
}

/// Creates the open record of `chain` in the WAL store `id`. Data begins at `position`, which must be above everything that an
/// earlier incarnation of the broker may have written (see [`crate::chain::recovery::next_start`]).
///
/// # Errors
/// An [`OpenChainError`]; the chain must then not be registered.
pub async fn open_chain(
    store: &dyn ObjectStore,
    id: StoreId,
    chain: ChainId,
    position: WalPosition,
    options: ChainOptions,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<OpenedChain, OpenChainError> {
    let identity = Identity { store: id, chain, writer: entropy.next_u64() };
    let record = OpenRecord { depth: options.depth, largest: options.largest, written: clock.now() };
    let encoded = encode_open(identity, position, record)?;
    let opened = OpenedChain { identity, start: encoded.head.end(), options };
    let name = chain.slot(0);
    let until = clock.monotonic() + options.budget;
    let (mut tries, mut last) = (0, StoreError::NotFound(name.as_str().into()));
    loop {
        match store.put(&name, encoded.parts.clone()).await {
            Ok(()) => return Ok(opened),
            Err(error) => last = if matches!(error, StoreError::Exists(_)) { last } else { error },
        }
        // Whatever went wrong, only the slot can tell.
        loop {
            let read = store.get(&name, 0..GLANCE).await;
            match judge::own(&encoded.head, &read) {
                Found::Ours => return Ok(opened),
                Found::Absent => break,
                Found::Failed => last = read.err().unwrap_or(last),
                _ => return Err(OpenChainError::Taken(name)),
            }
            pause(&options, &mut tries, clock).await;
            if clock.monotonic() >= until {
                break;
            }
        }
        if clock.monotonic() >= until {
            let seconds = options.budget.as_secs();
            return Err(OpenChainError::Unavailable { name, seconds, last: last.to_string() });
        }
        pause(&options, &mut tries, clock).await;
    }
}

/// The object that holds the id of a WAL store.
pub const STORE_ID: &str = "wal/id";

const ID_MAGIC: [u8; 8] = *b"WbWalId\x01";

/// Why a store's id is not known.
#[derive(Debug, thiserror::Error)]
pub enum StoreIdError {
    /// The store does not answer, or refuses.
    #[error("the id of the write-ahead log's store can not be read: {0}")]
    Store(#[from] StoreError),
    /// There is something else.
    #[error("{STORE_ID} is damaged or of a newer format; put it back from a copy, or name another store")]
    Damaged,
}

/// The id of a WAL store, drawn and written down by whoever asks first. A broker whose registration names another id must
/// not use the store: it is not the one that holds its chains.
///
/// # Errors
/// A [`StoreIdError`].
pub async fn wal_store_id(
    store: &dyn ObjectStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<StoreId, StoreIdError> {
    let mut own = [0; 28];
    let (marked, sum) = own.split_at_mut(24);
    let (magic, id) = marked.split_at_mut(8);
    magic.copy_from_slice(&ID_MAGIC);
    id.copy_from_slice(&fresh_uuid(entropy));
    sum.copy_from_slice(&crc32c::crc32c(marked).to_le_bytes());
    let own = Bytes::copy_from_slice(&own);
    // First a read: all but the first to ask find it there.
    let found = match store.get(STORE_ID, 0..64).await {
        Ok(found) => found,
        Err(StoreError::NotFound(_)) => {
            let time = Duration::from_secs(20);
            match create_certainly(store, STORE_ID, vec![own.clone()], time, clock, entropy).await? {
                Created::Ours => own,
                Created::Taken(found) => found,
            }
        }
        Err(error) => return Err(error.into()),
    };
    parse_id(&found)
}

/// The id of a WAL store, if it has one. Writes nothing.
///
/// # Errors
/// A [`StoreIdError`].
pub async fn read_store_id(store: &dyn ObjectStore) -> Result<Option<StoreId>, StoreIdError> {
    match store.get(STORE_ID, 0..64).await {
        Ok(found) => parse_id(&found).map(Some),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse_id(found: &[u8]) -> Result<StoreId, StoreIdError> {
    let (marked, sum) = found.split_last_chunk::<4>().ok_or(StoreIdError::Damaged)?;
    let id = marked.strip_prefix(&ID_MAGIC).and_then(|id| id.try_into().ok());
    match id {
        Some(id) if crc32c::crc32c(marked).to_le_bytes() == *sum => Ok(StoreId(id)),
        _ => Err(StoreIdError::Damaged),
    }
}

async fn pause(options: &ChainOptions, tries: &mut u32, clock: &dyn Clock) {
    *tries += 1;
    clock.sleep(options.pause_after(*tries).max(Duration::from_millis(1))).await;
}
