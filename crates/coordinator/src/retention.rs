//! How long offsets and groups are kept (KIP-211).

use waybill_types::TimestampMs;

use crate::coordinator::Coordinator;
use crate::group::{Group, GroupState};
use crate::offsets::tombstone;
use crate::record::{OffsetValue, Record};
use crate::step::{Now, Step};

/// From when on an offset's retention counts.
enum Clock {
    /// Since the group became empty, or the commit where that is not known.
    Empty(Option<TimestampMs>),
    /// Since the commit.
    Commit,
}

impl Coordinator {
    /// Deletes offsets whose time has come, and groups that have neither members nor offsets left.
    pub(crate) fn expire(&mut self, now: Now, step: &mut Step) {
        self.arm_retention(now);
        let retention_ms = i64::try_from(self.config.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let mut records = Vec::new();
        for group in self.groups.values() {
            let mut kept = false;
            let clock = group.retention_clock();
            for (topic, partitions) in self.offsets.get(&group.id).into_iter().flatten() {
                for (partition, value) in partitions {
                    let expired = clock.as_ref().is_some_and(|clock| {
                        !group.is_subscribed(topic) && is_expired(value, clock, now.wall, retention_ms)
                    });
                    if expired {
                        records.push(tombstone(&group.id, topic, *partition));
                    } else {
                        kept = true;
                    }
                }
            }
            if !kept && group.state == GroupState::Empty && group.pending_join.is_empty() {
                records.push(Record::Group { group: group.id.to_string(), value: None });
            }
        }
        for record in records {
            if let Record::Group { group, value: None } = &record {
                self.forget(group);
            } else {
                self.replay(record.clone(), now.wall);
            }
            step.records.push(record);
        }
    }
}

impl Group {
    /// None while no offset may expire: members exist and it is not known what they consume.
    fn retention_clock(&self) -> Option<Clock> {
        if self.protocol_type.is_none() {
            return Some(Clock::Commit);
        }
        match self.state {
            GroupState::Empty => Some(Clock::Empty(self.since)),
            GroupState::Stable if self.is_consumer() && self.subscribed.is_some() => Some(Clock::Commit),
            _ => None,
        }
    }
}

fn is_expired(value: &OffsetValue, clock: &Clock, now: TimestampMs, retention_ms: i64) -> bool {
    if let Some(expires) = value.expires {
        return now >= expires;
    }
    let from = match clock {
        Clock::Empty(since) => since.unwrap_or(value.committed),
        Clock::Commit => value.committed,
    };
    now.since_ms(from) >= retention_ms
}
