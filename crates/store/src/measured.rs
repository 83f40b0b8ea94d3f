//! The one wrapper around every store: counts, bounds and hedges requests.
//!
//! Handles differ in their purpose and share the rest. A read or LIST is tried again while its errors may pass, within its
//! time; a slow read is sent a second time, for at most [`Limits::hedged_share`] of all reads. A create is sent once: what an
//! answer other than success means only the caller can find out.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use parking_lot::Mutex;
use waybill_rt::{SharedClock, SharedEntropy};

use crate::api::{ObjectStore, SharedStore, StoreError};
use crate::meters::{Operation, Purpose, StoreMetrics};
use crate::quantile::Quantile;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One request without a body, or with a small one.
    pub request: Duration,
    /// As much more for each MiB that it carries.
    pub per_mib: Duration,
    /// A read or delete with all its tries.
    pub total: Duration,
    /// A LIST with all its pages and tries.
    pub list: Duration,
    /// The first pause between tries; doubled up to a second.
    pub pause: Duration,
    /// At most this share of reads is sent twice. 0: none.
    pub hedged_share: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(5),
            per_mib: Duration::from_millis(500),
            total: Duration::from_secs(25),
            list: Duration::from_secs(120),
            pause: Duration::from_millis(50),
            hedged_share: 0.05,
        }
    }
}

/// A store that is counted, bounded and hedged.
#[derive(Clone)]
pub struct Measured {
    inner: SharedStore,
    purpose: Purpose,
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    entropy: SharedEntropy,
    limits: Limits,
    metrics: StoreMetrics,
    reads: Mutex<Reads>,
}

struct Reads {
    latency: Quantile,
    /// Reads that may still be hedged.
    credit: f64,
}

impl std::fmt::Debug for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Measured({:?})", self.purpose)
    }
}

impl Measured {
    /// Wraps a store.
    #[must_use]
    pub fn new(
        inner: SharedStore,
        clock: SharedClock,
        entropy: SharedEntropy,
        limits: Limits,
        metrics: StoreMetrics,
    ) -> Self {
        let reads = Reads { latency: Quantile::new(0.95, Duration::from_millis(200)), credit: 1.0 };
        let shared = Shared { clock, entropy, limits, metrics, reads: Mutex::new(reads) };
        Self { inner, purpose: Purpose::Other, shared: Arc::new(shared) }
    }

    /// The same store for another purpose.
    #[must_use]
    pub fn for_purpose(&self, purpose: Purpose) -> SharedStore {
        Arc::new(Self { purpose, ..self.clone() })
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.shared.metrics
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let limits = self.shared.limits;
        limits.request + limits.per_mib.mul_f64(bytes as f64 / (1 << 20) as f64)
    }

    /// One request: bounded and counted.
    async fn request<T>(
        &self,
        operation: Operation,
        name: &str,
        time: Duration,
        request: BoxFuture<'_, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = self.shared.clock.monotonic();
        let running = self.shared.metrics.started(operation, self.purpose);
        let result = match select(request, self.shared.clock.sleep(time)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(StoreError::TimedOut(name.into())),
        };
        let took = self.shared.clock.monotonic().saturating_sub(began);
        running.ended(took, result.as_ref().err());
        result
    }

    /// Tries again while errors may pass and there is time.
    async fn again<T>(
        &self,
        total: Duration,
        mut attempt: impl FnMut() -> BoxFuture<'static, Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let until = self.shared.clock.monotonic() + total;
        let mut pause = self.shared.limits.pause;
        loop {
            let result = attempt().await;
            match &result {
                Err(error) if error.is_passing() => {}
                _ => return result,
            }
            let jittered = pause.mul_f64(0.5 + self.shared.entropy.below(1000) as f64 / 1000.0);
            if self.shared.clock.monotonic() + jittered >= until {
                return result;
            }
            self.shared.clock.sleep(jittered).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn one_read(&self, name: &str, range: Range<u64>) -> BoxFuture<'static, Result<Bytes, StoreError>> {
        let (this, name) = (self.clone(), name.to_owned());
        async move {
            let time = this.time_for(range.end.saturating_sub(range.start).min(64 << 20));
            let began = this.shared.clock.monotonic();
            let read = this.request(Operation::Get, &name, time, this.inner.get(&name, range)).await;
            if let Ok(bytes) = &read {
                this.shared.metrics.received(this.purpose, bytes.len());
                let took = this.shared.clock.monotonic().saturating_sub(began);
                this.shared.reads.lock().latency.observe(took);
            }
            read
        }
        .boxed()
    }

    /// A read, sent a second time when it is slower than most.
    fn hedged_read(&self, name: &str, range: Range<u64>) -> BoxFuture<'static, Result<Bytes, StoreError>> {
        let (this, name) = (self.clone(), name.to_owned());
        async move {
            let patience = {
                let mut reads = this.shared.reads.lock();
                reads.credit = (reads.credit + this.shared.limits.hedged_share).min(10.0);
                reads.latency.value()
            };
            let first = this.one_read(&name, range.clone());
            let first = match select(first, this.shared.clock.sleep(patience)).await {
                Either::Left((read, _)) => return read,
                Either::Right(((), first)) => first,
            };
            if !this.may_hedge() {
                return first.await;
            }
            this.shared.metrics.hedges.inc();
            match select(first, this.one_read(&name, range)).await {
                // The one that fails leaves it to the other.
                Either::Left((Err(error), other)) | Either::Right((Err(error), other))
                    if error.is_passing() =>
                {
                    other.await
                }
                Either::Left((read, _)) | Either::Right((read, _)) => read,
            }
        }
        .boxed()
    }

    fn may_hedge(&self) -> bool {
        let mut reads = self.shared.reads.lock();
        let may = self.shared.limits.hedged_share > 0.0 && reads.credit >= 1.0;
        if may {
            reads.credit -= 1.0;
        }
        may
    }

    fn create<'a>(
        &'a self,
        name: &'a str,
        parts: Vec<Bytes>,
        gently: bool,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        let put = if gently { self.inner.put_gently(name, parts) } else { self.inner.put(name, parts) };
        async move {
            self.shared.metrics.sent(self.purpose, bytes);
            self.request(Operation::Put, name, self.time_for(bytes as u64), put).await
        }
        .boxed()
    }
}

impl ObjectStore for Measured {
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        let name = name.to_owned();
        async move { self.create(&name, parts, false).await }.boxed()
    }

    fn put_gently(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        let name = name.to_owned();
        async move { self.create(&name, parts, true).await }.boxed()
    }

    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        let name = name.to_owned();
        async move { self.again(self.shared.limits.total, || self.hedged_read(&name, range.clone())).await }
            .boxed()
    }

    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>> {
        let name = name.to_owned();
        async move {
            self.again(self.shared.limits.total, || {
                let (this, name) = (self.clone(), name.clone());
                async move {
                    this.request(Operation::Head, &name, this.time_for(0), this.inner.len(&name)).await
                }
                .boxed()
            })
            .await
        }
        .boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        let name = name.to_owned();
        async move {
            self.again(self.shared.limits.total, || {
                let (this, name) = (self.clone(), name.clone());
                async move {
                    this.request(Operation::Delete, &name, this.time_for(0), this.inner.delete(&name)).await
                }
                .boxed()
            })
            .await
        }
        .boxed()
    }

    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let prefix = prefix.to_owned();
        async move {
            self.again(self.shared.limits.list, || {
                let (this, prefix) = (self.clone(), prefix.clone());
                async move {
                    // A LIST of many pages may take its while.
                    let time = this.shared.limits.list;
                    this.request(Operation::List, &prefix, time, this.inner.list(&prefix)).await
                }
                .boxed()
            })
            .await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
