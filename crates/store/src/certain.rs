//! Creating an object and knowing the outcome.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use waybill_rt::{Clock, Entropy};

use crate::api::{ObjectStore, StoreError};

/// What became of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The object is there with these bytes: this create made it, or an earlier try of it.
    Ours,
    /// The object is there with other bytes, which these are the first of: at most as long as our own.
    Taken(Bytes),
}

/// Creates an object whose bytes are its writer's alone (they name it, or hold something drawn), and finds out what
/// happened: an answer other than success is settled by reading the object back, absence by sending the same bytes again, until
/// `time` has passed. A name must not be used by two writers with equal bytes: each would believe it won.
///
/// # Errors
/// The last error, when the time is over: the outcome is then unknown, and the object may appear at any later time. At
/// once when the store refuses access or has no space.
pub async fn create_certainly(
    store: &dyn ObjectStore,
    name: &str,
    parts: Vec<Bytes>,
    time: Duration,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Created, StoreError> {
    let mut whole = BytesMut::new();
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    let whole = whole.freeze();
    let until = clock.monotonic() + time;
    let mut pause = Duration::from_millis(20);
    loop {
        let mut error = match store.put(name, parts.clone()).await {
            Ok(()) => return Ok(Created::Ours),
            Err(error @ (StoreError::Denied { .. } | StoreError::NoSpace(_))) => return Err(error),
            Err(error) => error,
        };
        // One byte more than ours tells a longer object from ours.
        match store.get(name, 0..whole.len() as u64 + 1).await {
            Ok(found) if found == whole => return Ok(Created::Ours),
            Ok(found) => return Ok(Created::Taken(found)),
            Err(StoreError::NotFound(_)) => {}
            Err(failed) => error = failed,
        }
        if clock.monotonic() >= until {
            return Err(error);
        }
        clock.sleep(pause.mul_f64(0.5 + entropy.below(1000) as f64 / 1000.0)).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use waybill_rt::{RealClock, SeededEntropy};

    async fn create(store: &MemoryStore, text: &'static str) -> Result<Created, StoreError> {
        let (clock, entropy) = (RealClock::shared(), SeededEntropy::new(1));
        let parts = vec![Bytes::from_static(text.as_bytes())];
        create_certainly(store, "control/x", parts, Duration::from_millis(200), &*clock, &entropy).await
    }

    #[tokio::test]
    async fn the_outcome_is_known() {
        let store = MemoryStore::default();
        store.fail_puts(2);
        assert_eq!(create(&store, "mine").await.unwrap(), Created::Ours);
        // A repeat finds its own first try.
        assert_eq!(create(&store, "mine").await.unwrap(), Created::Ours);
        assert_eq!(create(&store, "min").await.unwrap(), Created::Taken("mine".into()));
        let other = MemoryStore::default();
        other.fail_puts(u32::MAX);
        assert!(matches!(create(&other, "mine").await, Err(StoreError::Io { .. })));
    }
}
