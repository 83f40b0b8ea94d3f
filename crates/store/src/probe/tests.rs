use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use waybill_rt::{SeededEntropy, SharedClock, VirtualClock};
use waybill_types::TimestampMs;

use super::*;
use crate::MemoryStore;

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    AllWin,
    NobodyWins,
    LoserWrites,
    ListIsStale,
    ListDenied,
    AbsentIsDenied,
    EverythingDenied,
    NeverAgain,
    Shaky,
}

struct Flawed {
    store: MemoryStore,
    flaw: Flaw,
    calls: AtomicU64,
}

fn denied(name: &str) -> StoreError {
    StoreError::Denied { name: name.into(), why: "403".into() }
}

impl ObjectStore for Flawed {
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        let name = name.to_owned();
        async move {
            match self.flaw {
                Flaw::EverythingDenied => return Err(denied(&name)),
                Flaw::NobodyWins => {
                    let _ = self.store.put(&name, parts).await;
                    return Err(StoreError::Exists(name.as_str().into()));
                }
                Flaw::AllWin => {
                    let _ = self.store.put(&name, parts).await;
                    return Ok(());
                }
                Flaw::LoserWrites => {
                    let won = self.store.put(&name, parts.clone()).await;
                    let body = parts.concat();
                    self.store.tamper(&name, |bytes| *bytes = body);
                    return won;
                }
                Flaw::Shaky if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(9) => {
                    return Err(StoreError::Busy { name: name.as_str().into(), why: "503".into() });
                }
                _ => {}
            }
            self.store.put(&name, parts).await
        }
        .boxed()
    }

    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        let name = name.to_owned();
        async move {
            match (self.flaw, self.store.get(&name, range).await) {
                (Flaw::EverythingDenied, _) => Err(denied(&name)),
                (Flaw::AbsentIsDenied, Err(StoreError::NotFound(_))) => Err(denied(&name)),
                (_, other) => other,
            }
        }
        .boxed()
    }

    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.len(name)
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.flaw == Flaw::NeverAgain {
            self.store.tamper(name, Vec::clear);
            return std::future::ready(Ok(())).boxed();
        }
        self.store.delete(name)
    }

    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        match self.flaw {
            Flaw::ListIsStale => std::future::ready(Ok(Vec::new())).boxed(),
            Flaw::ListDenied => std::future::ready(Err(denied(prefix))).boxed(),
            _ => self.store.list(prefix),
        }
    }
}

fn clock() -> SharedClock {
    VirtualClock::shared(TimestampMs(0))
}

async fn probed(flaw: Flaw) -> (Result<(), ProbeError>, Arc<Flawed>) {
    let store = Arc::new(Flawed { store: MemoryStore::default(), flaw, calls: AtomicU64::new(0) });
    let (clock, entropy) = (clock(), SeededEntropy::new(3));
    (probe(&*store, &*clock, &entropy).await, store)
}

#[tokio::test(start_paused = true)]
async fn a_good_store_passes_once_and_for_ever() {
    for flaw in [Flaw::None, Flaw::Shaky] {
        let (passed, store) = probed(flaw).await;
        passed.unwrap();
        // What it tried is removed; the record stays.
        assert_eq!(store.store.list("").await.unwrap(), [RECORD]);
        let gets = store.store.gets();
        probe(&*store, &*clock(), &SeededEntropy::new(4)).await.unwrap();
        assert_eq!(store.store.gets(), gets + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_flaw_is_named_with_its_remedy() {
    let cases = [
        (Flaw::AllWin, "8 were told"),
        (Flaw::NobodyWins, "0 were told"),
        (Flaw::LoserWrites, "replaced the object"),
        (Flaw::ListIsStale, "LIST does not show"),
        (Flaw::ListDenied, "s3:ListBucket"),
        (Flaw::AbsentIsDenied, "403 instead of 404"),
        (Flaw::EverythingDenied, "credentials"),
        (Flaw::NeverAgain, "differs"),
    ];
    for (flaw, text) in cases {
        let error = probed(flaw).await.0.unwrap_err().to_string();
        assert!(error.contains(text), "{text}: {error}");
    }
}
