//! What bytes read from a slot mean to the one who reads them. Pure.

use bytes::Bytes;
use waybill_store::StoreError;
use waybill_types::StoreId;

use crate::chain::names::{ChainId, Slot};
use crate::chain::seal::OpenFound;
use crate::chain::slot::{BODY_LEN, Front, HEAD_LEN, Head, Kind, OpenRecord, SlotFault, decode_front};
use crate::chain::writer::Found;
use crate::entry::Entry;

/// As much of an object as tells an open record, a seal, and our own object from anything else.
pub const GLANCE: u64 = (HEAD_LEN + BODY_LEN) as u64;

/// To the writer that sent `sent`: a read of at least the first [`GLANCE`] bytes of its slot. The header's checksum covers the checksums of
/// all records, so equal headers are equal objects.
#[must_use]
pub fn own(sent: &Head, read: &Result<Bytes, StoreError>) -> Found {
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound(_)) => return Found::Absent,
        Err(_) => return Found::Failed,
    };
    let Ok(head) = Head::peek(bytes) else { return Found::Damaged };
    if head == *sent {
        return Found::Ours;
    }
    if head.identity.store != sent.identity.store
        || head.identity.chain != sent.identity.chain
        || head.slot != sent.slot
    {
        return Found::Damaged;
    }
    match head.kind {
        Kind::Seal => match decode_front(bytes) {
            Ok(Front::Seal(..)) => Found::Seal,
            _ => Found::Damaged,
        },
        _ if head.identity.writer == sent.identity.writer => Found::Differs,
        _ => Found::Data,
    }
}

/// A slot as a sealer, a recoverer or a reader sees it.
#[derive(Debug)]
pub enum Seen {
    /// Batches.
    Data(Head, Vec<Entry>),
    /// A seal.
    Seal,
    /// Nothing.
    Absent,
    /// Data that can not be read.
    Damaged(SlotFault),
    /// The read says nothing.
    Failed(StoreError),
}

impl Seen {
    /// The same for the pure cores.
    #[must_use]
    pub fn found(&self) -> Found {
        match self {
            Self::Data(..) => Found::Data,
            Self::Seal => Found::Seal,
            Self::Absent => Found::Absent,
            Self::Damaged(_) => Found::Damaged,
            Self::Failed(_) => Found::Failed,
        }
    }
}

/// To anyone but the writer: a read of the front of `slot` of `chain` in `store`.
#[must_use]
pub fn any(store: StoreId, chain: ChainId, slot: Slot, read: Result<Bytes, StoreError>) -> Seen {
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound(_)) => return Seen::Absent,
        Err(error) => return Seen::Failed(error),
    };
    let belongs =
        |head: &Head| head.identity.store == store && head.identity.chain == chain && head.slot == slot;
    match decode_front(&bytes) {
        Ok(Front::Data(head, entries)) if belongs(&head) => Seen::Data(head, entries),
        Ok(Front::Seal(head, _)) if belongs(&head) => Seen::Seal,
        Ok(_) => Seen::Damaged(SlotFault::NoHeader),
        Err(fault) => Seen::Damaged(fault),
    }
}

/// Slot 0 of `chain` in `store`, as a sealer must see it.
#[must_use]
pub fn open(
    store: StoreId,
    chain: ChainId,
    read: &Result<Bytes, StoreError>,
) -> (OpenFound, Option<(Head, OpenRecord)>) {
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound(_)) => return (OpenFound::Absent, None),
        Err(StoreError::Denied { .. }) => return (OpenFound::Denied, None),
        Err(_) => return (OpenFound::Failed, None),
    };
    match decode_front(bytes) {
        Ok(Front::Open(head, record))
            if head.identity.store == store && head.identity.chain == chain && head.slot == 0 =>
        {
            (OpenFound::Ours { depth: record.depth }, Some((head, record)))
        }
        _ => (OpenFound::Other, None),
    }
}
