//! What the metadata says about topics and partitions, held against itself.

use std::collections::BTreeMap;

use waybill_meta::{ObjectId, ObjectLife};
use waybill_types::{PartitionId, TopicPartition};

use super::{Facts, FsckReport, PartitionFacts};
use crate::index::Slice;

pub(super) fn check(facts: &Facts, report: &mut FsckReport) {
    names(facts, report);
    for topic in facts.topics.values() {
        report.topics += 1;
        for number in 0..topic.partitions {
            let id = TopicPartition::new(topic.id, PartitionId(number));
            match facts.partitions.get(&id) {
                Some(partition) => {
                    report.partitions += 1;
                    slices(&facts.name(id), partition, report);
                }
                None => report.error(facts.name(id), "it has no record in the metadata"),
            }
        }
    }
    uses(facts, report);
}

fn names(facts: &Facts, report: &mut FsckReport) {
    for (name, id) in &facts.names {
        match facts.topics.get(id) {
            Some(topic) if topic.name == *name => {}
            Some(topic) => {
                report.error(name, format!("the name leads to topic {id}, which is called {}", topic.name))
            }
            None => report.error(name, format!("the name leads to topic {id}, which does not exist")),
        }
    }
    for topic in facts.topics.values().filter(|topic| facts.names.get(&topic.name) != Some(&topic.id)) {
        report.error(&topic.name, format!("its name does not lead to it (topic {})", topic.id));
    }
}

/// The index covers everything from the log's start to the committed end, once.
fn slices(name: &str, partition: &PartitionFacts, report: &mut FsckReport) {
    let record = &partition.record;
    if record.log_start > record.committed_end {
        let what = format!("its log starts at {}, behind its end {}", record.log_start, record.committed_end);
        report.error(name, what);
    }
    if record.cleaned_end > record.committed_end {
        let what =
            format!("it is compacted up to {}, behind its end {}", record.cleaned_end, record.committed_end);
        report.error(name, what);
    }
    let mut next = record.log_start;
    let mut bytes = 0;
    for (base, slice) in &partition.index {
        bytes += slice.data_length;
        if slice.last_offset < *base {
            report.error(
                name,
                format!("an index entry at {base} ends before it begins, at {}", slice.last_offset),
            );
        }
        // The first slice may begin before the log's start.
        if *base > next {
            report.error(name, format!("offsets {next} to {} are in no segment", base.get() - 1));
        } else if *base < next && next != record.log_start {
            report.error(name, format!("offset {base} is in two segments"));
        }
        next = next.max(slice.last_offset.next());
    }
    if next < record.committed_end {
        report.error(name, format!("offsets {next} to {} are in no segment", record.committed_end.get() - 1));
    }
    if next > record.committed_end.max(record.log_start) {
        let what = format!("its index ends at {next}, behind its committed end {}", record.committed_end);
        report.error(name, what);
    }
    if bytes != record.bytes {
        report.error(name, format!("its index names {bytes} bytes, its record says {}", record.bytes));
    }
}

/// What the index names is live, and named as often as it says.
fn uses(facts: &Facts, report: &mut FsckReport) {
    let mut uses: BTreeMap<ObjectId, (u32, u64)> = BTreeMap::new();
    for (id, partition) in &facts.partitions {
        for (base, slice) in &partition.index {
            let (named, bytes) = uses.entry(slice.object).or_default();
            *named += 1;
            *bytes += Slice::bytes_of(slice);
            let life = facts.objects.get(&slice.object).map(|object| object.life);
            if life != Some(ObjectLife::Live) {
                let object = crate::segment::object_name(slice.object);
                report.error(
                    facts.name(*id),
                    format!("offset {base} is in {object}, which is not live but {life:?}"),
                );
            }
        }
    }
    for (id, object) in facts.objects.iter().filter(|(_, object)| object.life == ObjectLife::Live) {
        let (named, bytes) = uses.get(id).copied().unwrap_or_default();
        if bytes.saturating_add(object.dead) > object.size {
            let what = format!("{bytes} bytes of it are named and {} dead, of {}", object.dead, object.size);
            report.note(crate::segment::object_name(*id), what);
        }
        // What deleted topics named is taken away piece by piece.
        if named > object.slices {
            let what = format!("the index names it {named} times, its record says {}", object.slices);
            report.error(crate::segment::object_name(*id), what);
        } else if named < object.slices {
            let what = format!("the index names it {named} times, its record still says {}", object.slices);
            report.note(crate::segment::object_name(*id), what);
        }
    }
}
