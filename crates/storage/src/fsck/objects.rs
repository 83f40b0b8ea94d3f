//! Segments: each that the index names is there, and says the same about itself.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use waybill_meta::{IndexRecord, ObjectId, ObjectLife, ObjectRecord};
use waybill_store::{ObjectStore, StoreError};
use waybill_types::{Offset, TopicPartition};

use super::{Checked, Facts, FsckError, FsckReport};
use crate::directory::{DirectoryFault, read_directory};
use crate::segment::{
    Directory, DirectoryEntry, SegmentFault, check_segment, object_name, parse_object_name,
};

/// Segments looked at at once.
const AT_ONCE: usize = 8;

/// Who names a segment.
type Named<'a> = BTreeMap<ObjectId, Vec<(TopicPartition, Offset, &'a IndexRecord)>>;

pub(super) async fn check(
    checked: &Checked,
    facts: &Facts,
    report: &mut FsckReport,
) -> Result<(), FsckError> {
    let mut named: Named<'_> = BTreeMap::new();
    for (id, partition) in &facts.partitions {
        for (base, slice) in &partition.index {
            named.entry(slice.object).or_default().push((*id, *base, slice));
        }
    }
    let listed = checked.data.list("seg/").await?;
    let there: BTreeSet<ObjectId> = listed.iter().filter_map(|name| parse_object_name(name)).collect();
    left_over(facts, &listed, report);
    let live = facts.objects.iter().filter(|(_, object)| object.life == ObjectLife::Live);
    let mut looks = futures::stream::iter(live.map(|(id, object)| {
        let present = there.contains(id);
        async move {
            let directory = if present { Some(look(checked, *id, object.size).await) } else { None };
            (*id, object, directory)
        }
    }))
    .buffer_unordered(AT_ONCE);
    while let Some((id, object, directory)) = looks.next().await {
        report.segments += 1;
        report.segment_bytes += object.size;
        let users = named.get(&id).map(Vec::as_slice).unwrap_or_default();
        match directory {
            Some(Ok(directory)) => compare(facts, id, object, &directory, users, report),
            Some(Err(DirectoryFault::Store(error))) if !matches!(error, StoreError::NotFound(_)) => {
                return Err(error.into());
            }
            Some(Err(DirectoryFault::Damaged(fault))) => {
                damaged(facts, id, &fault.to_string(), users, report)
            }
            None | Some(Err(DirectoryFault::Store(_))) => {
                damaged(facts, id, "it does not exist", users, report)
            }
        }
    }
    Ok(())
}

async fn look(checked: &Checked, id: ObjectId, size: u64) -> Result<Directory, DirectoryFault> {
    let name = object_name(id);
    let store: &dyn ObjectStore = &*checked.data;
    if store.len(&name).await? != size {
        return Err(SegmentFault::Short("object").into());
    }
    if checked.deep {
        return Ok(check_segment(&store.get(&name, 0..size).await?)?);
    }
    read_directory(store, id, size).await
}

fn damaged(
    facts: &Facts,
    id: ObjectId,
    why: &str,
    users: &[(TopicPartition, Offset, &IndexRecord)],
    report: &mut FsckReport,
) {
    let name = object_name(id);
    report.error(&name, format!("{why}; put it back from a copy or an older version of it"));
    for (partition, base, slice) in users {
        let what = format!("offsets {base} to {} can not be read: they are in {name}", slice.last_offset);
        report.error(facts.name(*partition), what);
    }
}

fn compare(
    facts: &Facts,
    id: ObjectId,
    object: &ObjectRecord,
    directory: &Directory,
    users: &[(TopicPartition, Offset, &IndexRecord)],
    report: &mut FsckReport,
) {
    let name = object_name(id);
    let first = directory.slices.first().map(|slice| slice.partition);
    let own = directory.slices.iter().all(|slice| Some(slice.partition) == first);
    report.partition_segments += u64::from(own);
    if facts.cluster != Some(directory.cluster) || directory.object != id {
        let what = format!("it says that it is object {} of cluster {}", directory.object, directory.cluster);
        report.error(&name, what);
    }
    if directory.incarnation != object.incarnation {
        let what = format!(
            "incarnation {} wrote it, incarnation {} prepared it",
            directory.incarnation, object.incarnation
        );
        report.error(&name, what);
    }
    for (partition, base, slice) in users {
        let said =
            directory.slices.iter().find(|said| said.partition == *partition && said.base_offset == *base);
        if !said.is_some_and(|said| agrees(said, slice)) {
            let what = format!("offset {base}: {name} says something else about itself than the index");
            report.error(facts.name(*partition), what);
        }
    }
}

fn agrees(said: &DirectoryEntry, slice: &IndexRecord) -> bool {
    said.last_offset == slice.last_offset
        && (said.data_position, said.data_length) == (slice.data_position, slice.data_length)
        && (said.index_position, said.index_length) == (slice.index_position, slice.index_length)
        && said.max_timestamp == slice.max_timestamp
        && said.aborted == slice.aborted
}

/// What is there and nothing names. A running broker deletes it.
fn left_over(facts: &Facts, listed: &[String], report: &mut FsckReport) {
    for name in listed {
        match parse_object_name(name) {
            None => report.note(name, "it is no segment's name; waybill did not make it"),
            Some(id) => match facts.objects.get(&id).map(|object| object.life) {
                Some(ObjectLife::Live) => {}
                Some(ObjectLife::Prepared) => {
                    report.note(name, "it was prepared and never used; the next start deletes it")
                }
                Some(ObjectLife::Dead) => report.note(name, "it is no longer named, and will be deleted"),
                None if id < facts.next_object => {
                    report.note(name, "nothing names it any more; the sweep deletes it")
                }
                None => report.note(
                    name,
                    "its id was not given yet: the metadata is older than it, or it is another cluster's",
                ),
            },
        }
    }
}
