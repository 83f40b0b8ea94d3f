//! Who owns the metadata store, who is which incarnation, and what happens to chains.
//!
//! Pure, and shared by the drivers and the simulation: [`settle`] (creating an object and knowing the outcome),
//! [`election`] (how a broker becomes the controller and stops being it), [`reign`] (what an owner may say and do),
//! [`claim`] (incarnations), [`lease`] (whether a holder still lives), [`assign`] (which assignments a broker takes).
//! Formats: [`holder`]. What happens to chains is decided where logs are recovered, in [`chains`].
//! Thin: [`creating`], [`claiming`], [`campaign`], [`office`] and [`pulse`] do the input and output.
//!
//! Rules that these keep: whatever is told restates a commit that was awaited durable; a commit that fails, or whose
//! outcome is unknown, ends the term in this process; an incarnation is claimed once; a chain that is being recovered is
//! frozen. No clock decides any of this.

pub mod assign;
pub mod campaign;
pub mod claim;
pub mod claiming;
pub mod creating;
pub mod election;
pub mod holder;
pub mod lease;
pub mod office;
pub mod pulse;
pub mod reign;
pub mod sabotage;
pub mod settle;

pub use campaign::{Campaign, CampaignDeps, Office};
pub use claim::{NodeChoice, Superseded};
pub use claiming::{ClaimError, Claimed};
pub use holder::Holder;
pub use office::OfficeMeta;
pub use pulse::{Heart, NetPulse};
pub use waybill_storage::chains;
