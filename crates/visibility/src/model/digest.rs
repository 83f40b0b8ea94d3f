//! The two state hashes.
//!
//! The content hash is a function of the set of facts: no position, append time, repetition or order changes it. The
//! log hash adds where each fact stood: equal for an equal frontier, on every store, after every rebuild.

use sha2::{Digest, Sha256};
use waybill_types::TimestampMs;

use super::fact::{ContentId, Evidence, Telling};
use super::sample::Latest;

/// What of a fact enters hashes, and what decides between contents told under one identity.
///
/// `told` is `None` where the record time is the log's append time.
#[must_use]
pub fn of_fact(id: ContentId, source: &str, told: Option<TimestampMs>, draft: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(id.0);
    put(&mut hash, source.as_bytes());
    hash.update(told.map_or(i64::MIN, TimestampMs::get).to_be_bytes());
    put(&mut hash, draft);
    hash.finalize().into()
}

fn put(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(bytes);
}

/// Both hashes, made subject by subject in the order of ids, then kinds; quarantined records come last, by position.
#[derive(Debug, Default)]
pub struct StateHash {
    content: Sha256,
    log: Sha256,
    facts: u64,
    tellings: u64,
}

impl StateHash {
    /// Adds all that was told of the next subject, in any order.
    pub fn add_subject(&mut self, tellings: &[Telling]) {
        let latest = Latest::of(tellings.iter().map(|telling| &telling.fact));
        let kept = tellings.iter().filter(|telling| latest.keeps(&telling.fact));
        let mut digests: Vec<(&Telling, [u8; 32])> =
            kept.map(|telling| (telling, telling.fact.digest())).collect();
        digests.sort_by_key(|(telling, _)| telling.evidence);
        for (telling, digest) in &digests {
            position(&mut self.log, &telling.evidence);
            self.log.update(digest);
            self.tellings += 1;
        }
        // The telling that counts of each identity: earliest told, then least digest.
        digests.sort_by_key(|(telling, digest)| (telling.fact.id, telling.fact.told, *digest));
        digests.dedup_by_key(|(telling, _)| telling.fact.id);
        for (_, digest) in digests {
            self.content.update(digest);
            self.facts += 1;
        }
    }

    /// Adds the next quarantined record.
    pub fn add_quarantined(&mut self, reason: &str, at: &Evidence) {
        position(&mut self.log, at);
        put(&mut self.log, reason.as_bytes());
    }

    /// Content hash and log hash in hexadecimal, facts and tellings covered.
    #[must_use]
    pub fn finish(self) -> (String, String, u64, u64) {
        (hex(&self.content.finalize()), hex(&self.log.finalize()), self.facts, self.tellings)
    }
}

fn position(hash: &mut Sha256, at: &Evidence) {
    hash.update(at.topic.as_bytes());
    hash.update(at.partition.get().to_be_bytes());
    hash.update(at.offset.get().to_be_bytes());
    hash.update(at.index.to_be_bytes());
    hash.update(at.timestamp.get().to_be_bytes());
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
