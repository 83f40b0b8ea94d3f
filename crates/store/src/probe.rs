//! Whether a store keeps the promises that everything rests on; asked once, when a store is first used.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use waybill_rt::{Clock, Entropy};

use crate::api::{ObjectStore, StoreError};
use crate::certain::create_certainly;

/// The object that says that a store was found good.
pub const RECORD: &str = "control/probe";
/// Creates that race for one name.
const RACERS: usize = 8;
/// Races.
const RACES: usize = 3;
/// How often a race that was disturbed is run again.
const REPEATS: usize = 10;

/// Why a store can not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The bucket is not there, or access is refused.
    #[error(
        "the store refuses access: {0}; check that the bucket exists and that the credentials may list, read, write and delete in it"
    )]
    Denied(StoreError),
    /// Reading a name that is absent is refused.
    #[error(
        "reading an absent object answers 403 instead of 404; on S3 the credentials lack s3:ListBucket: without it an absent object can not be told from a forbidden one"
    )]
    AbsentIsDenied,
    /// LIST is refused.
    #[error("listing is refused ({0}); on S3 the credentials lack s3:ListBucket")]
    ListDenied(StoreError),
    /// Deleting is refused.
    #[error("deleting is refused: {0}")]
    DeleteDenied(StoreError),
    /// Several racers were told that they created one name, or none was.
    #[error(
        "of {racers} creates that raced for one new name {winners} were told that they made it; this store's create-if-absent can not be relied on"
    )]
    Race {
        /// How many raced.
        racers: usize,
        /// How many won.
        winners: usize,
    },
    /// The object of a race holds the bytes of a loser.
    #[error(
        "a create that was refused replaced the object; this store's create-if-absent can not be relied on"
    )]
    LoserWrote,
    /// A name is not free after its object was deleted.
    #[error(
        "an object can not be created again after it was deleted: {0} (versioning with retention, or Object Lock?)"
    )]
    CreateAfterDelete(StoreError),
    /// A LIST does not show what was just created.
    #[error(
        "a LIST does not show an object that was just created; waybill needs a store whose LIST is strongly consistent"
    )]
    ListIsStale,
    /// What was written is not what is read.
    #[error("an object read back differs from what was written")]
    ReadsDiffer,
    /// It does not answer, or not well enough.
    #[error("the store does not answer as it should: {0}")]
    Unavailable(StoreError),
}

impl ProbeError {
    fn access(error: StoreError) -> Self {
        if matches!(error, StoreError::Denied { .. }) {
            Self::Denied(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

/// Checks a store, unless an earlier start found it good, and records that in [`RECORD`].
///
/// # Errors
/// A [`ProbeError`]: refuse to start, with its text.
pub async fn probe(
    store: &dyn ObjectStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), ProbeError> {
    match store.get(RECORD, 0..1).await {
        Ok(_) => return Ok(()),
        Err(StoreError::NotFound(_)) => {}
        // S3 answers so too when only LIST is not allowed: the bucket's own answer tells the two apart.
        Err(StoreError::Denied { name, why }) => {
            return Err(match store.put(&fresh(entropy), vec![Bytes::from_static(b"x")]).await {
                Ok(()) => ProbeError::AbsentIsDenied,
                Err(_) => ProbeError::Denied(StoreError::Denied { name, why }),
            });
        }
        Err(error) => return Err(ProbeError::access(error)),
    }
    for _ in 0..RACES {
        race(store, clock, entropy).await?;
    }
    life(store, clock, entropy).await?;
    let text = format!("waybill store probe 1, passed at {}\n", clock.now());
    let time = Duration::from_secs(20);
    // Another process that probes at the same time is as good.
    create_certainly(store, RECORD, vec![text.into()], time, clock, entropy)
        .await
        .map_err(ProbeError::access)?;
    Ok(())
}

fn fresh(entropy: &dyn Entropy) -> String {
    format!("control/probing/{:016x}{:016x}", entropy.next_u64(), entropy.next_u64())
}

/// Creates race for a fresh name: exactly one wins, and its bytes stand there. A race that a passing error disturbed shows nothing and is run
/// again.
async fn race(store: &dyn ObjectStore, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<(), ProbeError> {
    let mut last = None;
    for _ in 0..REPEATS {
        let name = fresh(entropy);
        let bodies: Vec<Bytes> = (0..RACERS).map(|racer| format!("racer {racer}").into()).collect();
        let creates = bodies.iter().map(|body| store.put(&name, vec![body.clone()]));
        let answers = join_all(creates).await;
        let winners: Vec<usize> =
            answers.iter().enumerate().filter(|(_, answer)| answer.is_ok()).map(|(racer, _)| racer).collect();
        if winners.len() > 1 {
            return Err(ProbeError::Race { racers: RACERS, winners: winners.len() });
        }
        let disturbed =
            answers.into_iter().filter_map(Result::err).find(|error| !matches!(error, StoreError::Exists(_)));
        if let Some(error) = disturbed {
            if !error.is_passing() {
                return Err(ProbeError::access(error));
            }
            // Best effort: one of them may have won.
            let _ = store.delete(&name).await;
            last = Some(error);
            clock.sleep(Duration::from_millis(100 + entropy.below(200))).await;
            continue;
        }
        let Some(winner) = winners.first() else {
            return Err(ProbeError::Race { racers: RACERS, winners: 0 });
        };
        let found = store.get(&name, 0..64).await.map_err(ProbeError::access)?;
        if bodies.get(*winner) != Some(&found) {
            return Err(ProbeError::LoserWrote);
        }
        return store.delete(&name).await.map_err(ProbeError::DeleteDenied);
    }
    Err(ProbeError::Unavailable(last.unwrap_or(StoreError::TimedOut(RECORD.into()))))
}

/// Create, LIST, read a range, delete, read, create again.
async fn life(store: &dyn ObjectStore, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<(), ProbeError> {
    let name = fresh(entropy);
    let body = Bytes::from(format!("{name} one"));
    let time = Duration::from_secs(20);
    let create = |body: Bytes| create_certainly(store, &name, vec![body], time, clock, entropy);
    create(body.clone()).await.map_err(ProbeError::access)?;
    let listed = store.list("control/probing/").await.map_err(|error| match error {
        StoreError::Denied { .. } => ProbeError::ListDenied(error),
        other => ProbeError::Unavailable(other),
    })?;
    if !listed.contains(&name) {
        return Err(ProbeError::ListIsStale);
    }
    let part = store.get(&name, 3..9).await.map_err(ProbeError::access)?;
    if part != body.slice(3..9) {
        return Err(ProbeError::ReadsDiffer);
    }
    store.delete(&name).await.map_err(ProbeError::DeleteDenied)?;
    match store.get(&name, 0..1).await {
        Err(StoreError::NotFound(_)) => {}
        Err(StoreError::Denied { .. }) => return Err(ProbeError::AbsentIsDenied),
        Err(error) => return Err(ProbeError::access(error)),
        Ok(_) => return Err(ProbeError::ReadsDiffer),
    }
    create(Bytes::from(format!("{name} two"))).await.map_err(ProbeError::CreateAfterDelete)?;
    store.delete(&name).await.map_err(ProbeError::DeleteDenied)
}

#[cfg(test)]
mod tests;
