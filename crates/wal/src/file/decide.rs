//! What recovery concludes from the groups that stand in the ring. Pure: the same groups give the same decision.

use waybill_types::Incarnation;

use crate::api::WalPosition;
use crate::file::layout::Geometry;
use crate::sabotage::Sabotage;

/// A group whose every byte was checked, at the place and in the lap where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenGroup {
    /// Where it stands.
    pub position: WalPosition,
    /// Where it ends.
    pub end: WalPosition,
    /// Where the group before it ended.
    pub previous: WalPosition,
    /// What it says was durable before it.
    pub durable: WalPosition,
    /// Who wrote it.
    pub incarnation: Incarnation,
}

/// What the last writer's metadata commit says about the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// The incarnation that wrote the ring last; 0 when nobody ever did.
    pub incarnation: Incarnation,
    /// Everything below is in segments.
    pub trim: WalPosition,
}

/// What to do with the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// How many of the groups, from the first on, are the log.
    pub groups: usize,
    /// P: the end of the unbroken valid prefix. What is valid behind it was never acked.
    pub end: WalPosition,
    /// F: everything below was acked, or may have been.
    pub known_durable: WalPosition,
    /// Where the next incarnation starts: the first file start beyond everything the last one may have written.
    pub next_trim: WalPosition,
}

/// Why the ring can not be recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The prefix ends below what was durable: acked data is damaged.
    Damaged {
        /// P.
        end: WalPosition,
        /// F.
        known_durable: WalPosition,
    },
    /// The ring was written by a later incarnation than the metadata knows of: the metadata is older than the ring.
    Newer {
        /// Where the group stands.
        position: WalPosition,
        /// Who wrote it.
        incarnation: Incarnation,
    },
    /// The trim is not where a file begins.
    Trim,
}

/// Decides what [trim, …) holds. `groups` are all valid groups of the ring at or above the trim, in order of position;
/// afterwards those of the log are its first [`Decision::groups`].
///
/// # Errors
/// A [`Refusal`]; the caller must then not start, nor write to the ring.
pub fn decide(
    groups: &mut Vec<SeenGroup>,
    ring: Geometry,
    registered: Registered,
    sabotage: Sabotage,
) -> Result<Decision, Refusal> {
    let Registered { incarnation, trim } = registered;
    if !ring.is_start(trim) {
        return Err(Refusal::Trim);
    }
    if let Some(newer) = groups.iter().find(|group| group.incarnation > incarnation) {
        return Err(Refusal::Newer { position: newer.position, incarnation: newer.incarnation });
    }
    groups.retain(|group| group.incarnation == incarnation);
    let (count, end) = prefix(groups, ring, trim);
    let counted = if sabotage.breaks(Sabotage::ScanStopsAtFirstBad) { count } else { groups.len() };
    let known_durable = if sabotage.breaks(Sabotage::IgnoreDurable) {
        trim
    } else {
        groups.iter().take(counted).map(|group| group.durable).fold(trim, WalPosition::max)
    };
    if end < known_durable {
        return Err(Refusal::Damaged { end, known_durable });
    }
    let seen = groups.iter().map(|group| group.end).fold(end, WalPosition::max);
    Ok(Decision { groups: count, end, known_durable, next_trim: beyond(ring, registered, seen) })
}

/// How many groups from the trim on follow each other without a gap, and where the last of them ends.
fn prefix(groups: &[SeenGroup], ring: Geometry, trim: WalPosition) -> (usize, WalPosition) {
    let mut end = trim;
    for (count, group) in groups.iter().enumerate() {
        // The first group stands at the trim, which is a file start, whatever came before it. Each other one stands
        // where the one before it ended, or, where it did not fit there, at the start of the next file.
        let follows = if count == 0 {
            group.position == trim
        } else {
            group.previous == end && (group.position == end || group.position == ring.start_at_or_after(end))
        };
        if !follows {
            return (count, end);
        }
        end = group.end;
    }
    (groups.len(), end)
}

/// The first file start beyond everything that may have been written, when the last valid group ends at `seen`.
///
/// One write is in flight at a time. The one that a crash cut short stands behind `seen` in the same file, or, where it
/// did not fit, at the start of the next file, and lies in one file: so the file after that is untouched.
fn beyond(ring: Geometry, registered: Registered, seen: WalPosition) -> WalPosition {
    if registered.incarnation.get() == 0 {
        return registered.trim;
    }
    ring.start_of(ring.file_of(seen) + 2)
}

#[cfg(test)]
mod tests;
