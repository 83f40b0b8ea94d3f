//! The two state hashes.
//!
//! The content hash is a function of the set of facts: no position, append time, repetition or order changes it. The
//! log hash adds where each fact stood: equal for an equal frontier, on every store, after every rebuild.

use sha2::{Digest, Sha256};
use waybill_types::TimestampMs;

use super::fact::{ContentId, Evidence};

/// A fact as a store keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Its identity.
    pub id: ContentId,
    /// Who told it.
    pub source: &'a str,
    /// When; `None` where that is the log's append time.
    pub told: Option<TimestampMs>,
    /// The draft's JSON form.
    pub draft: &'a [u8],
}

fn put(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(bytes);
}

impl Stored<'_> {
    /// What of it enters hashes, and what decides between contents told under one identity.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.id.0);
        put(&mut hash, self.source.as_bytes());
        hash.update(self.told.map_or(i64::MIN, TimestampMs::get).to_be_bytes());
        put(&mut hash, self.draft);
        hash.finalize().into()
    }
}

/// Hashes facts, each identity once, in the order of their ids.
#[derive(Debug, Default)]
pub struct ContentHash(Sha256);

impl ContentHash {
    /// Adds the fact that counts of the next identity.
    pub fn add(&mut self, digest: &[u8; 32]) {
        self.0.update(digest);
    }

    /// The hash in hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Hashes tellings and quarantined records in the order of their positions.
#[derive(Debug, Default)]
pub struct LogHash(Sha256);

impl LogHash {
    /// Adds a telling.
    pub fn add(&mut self, stored: &Stored<'_>, at: &Evidence) {
        self.position(at);
        self.0.update(stored.digest());
    }

    /// Adds a quarantined record.
    pub fn add_quarantined(&mut self, reason: &str, at: &Evidence) {
        self.position(at);
        put(&mut self.0, reason.as_bytes());
    }

    fn position(&mut self, at: &Evidence) {
        self.0.update(at.topic.as_bytes());
        self.0.update(at.partition.get().to_be_bytes());
        self.0.update(at.offset.get().to_be_bytes());
        self.0.update(at.index.to_be_bytes());
        self.0.update(at.timestamp.get().to_be_bytes());
    }

    /// The hash in hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
