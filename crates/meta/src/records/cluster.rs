//! The cluster: written once, with the first commit.

use waybill_types::{ClusterId, TimestampMs};

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// What a store belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRecord {
    /// The cluster's id.
    pub cluster_id: ClusterId,
    /// The finalized level of the formats written under the storage root.
    pub level: u32,
    /// When the cluster was made.
    pub created_at: TimestampMs,
}

impl Record for ClusterRecord {
    const KIND: &'static str = "cluster";

    fn write(&self, out: &mut FieldWriter) {
        out.bytes(1, self.cluster_id.as_bytes());
        out.u32(2, self.level);
        out.i64(3, self.created_at.get());
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut cluster_id, mut level, mut created_at) = (None, None, TimestampMs::NONE);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => cluster_id = Some(ClusterId(field.array()?)),
                2 => level = Some(field.u32()?),
                3 => created_at = TimestampMs(field.i64()?),
                _ => {}
            }
        }
        Ok(Self {
            cluster_id: cluster_id.ok_or(Fault::Missing(1))?,
            level: level.ok_or(Fault::Missing(2))?,
            created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let sample =
            ClusterRecord { cluster_id: ClusterId([7; 16]), level: 1, created_at: TimestampMs(1000) };
        golden(&sample, "01 0110 07070707070707070707070707070707 0204 00000001 0308 00000000000003e8");
    }

    proptest! {
        #[test]
        fn round_trip(id: [u8; 16], level: u32, at: i64) {
            let record = ClusterRecord { cluster_id: ClusterId(id), level, created_at: TimestampMs(at) };
            prop_assert_eq!(ClusterRecord::decode(&record.encode()), Ok(record));
        }
    }
}
