//! The object WAL: a chain of objects, each created only if absent.
//!
//! Pure, and shared by the driver, the simulation and the model: [`writer`] (which slot is sent, read back, acked; when
//! a chain ends), [`pace`] (when the next slot is full enough), [`seal`] (how anyone ends a chain), [`ledger`] (what the
//! metadata lets happen to a chain), [`filter`] (what recovery takes), [`follow`] (what a reader of another's chain may
//! serve). Formats: [`slot`], [`names`]. Thin: [`run`] and [`wal`] (the trait), [`open`] (the open record), [`sealer`]
//! (sealing), [`recovery`] (reading footers, and frames in order).
//!
//! Rules that these keep: slot 0 is the open record and exists before the chain is registered; slot *n* is acked only
//! when all of 0..=n are durable; the bytes of a slot never change; any result but success is read back; absence on
//! such a read means "send again" and nothing else; a slot that does not become durable ends the chain; the chain ends at
//! the lowest seal at or above the trim.

pub mod filter;
pub mod follow;
pub mod judge;
pub mod ledger;
pub mod metrics;
pub mod names;
pub mod open;
pub mod options;
pub mod pace;
pub mod recovery;
mod run;
pub mod seal;
pub mod sealer;
pub mod slot;
mod state;
pub mod wal;
pub mod writer;
