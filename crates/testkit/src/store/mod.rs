//! A simulated object store: latency, errors, creates that land late or twice, freezes, by a seed and in virtual time.
//!
//! - [`latency`]: log-normal latencies.
//! - [`faulty`]: the store, and handles to it, one for each client process.
//! - [`options`]: what goes wrong how often.
//!
//! A request is on its own once it is sent: dropping the future that waits for its answer, or the process that sent it, does
//! not call it back.

pub mod faulty;
pub mod latency;
pub mod options;

pub use faulty::{FaultyStore, StoreClient};
pub use latency::Latency;
pub use options::FaultOptions;
