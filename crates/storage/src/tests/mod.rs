//! The engine on stores in memory.

mod chain;
mod cleaning;
mod closing;
mod compaction;
mod delete;
mod durability;
mod fsck;
mod reading;
mod segments;
mod times;
mod transactions;
