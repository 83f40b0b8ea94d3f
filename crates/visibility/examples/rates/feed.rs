//! Records made as they are read: the same at each reading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};
use waybill_visibility::ingest::{LogRange, Part, RecordSource, SourceError, TopicInfo};
use waybill_visibility::mapping::{MAPPING_HEADER, Mapping, Record};
use waybill_visibility::model::time::{Day, instant_text};
use waybill_visibility::store::{QuarantineRow, RepairRow};

/// The only topic.
pub(crate) const TOPIC: TopicId = TopicId([9; 16]);

/// When the first record is told: 2024-01-01.
const START: i64 = 1_704_067_200_000;

/// After all that is told.
pub(crate) const END: TimestampMs = TimestampMs(START + 20 * 365 * 86_400_000);

/// Which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rows as of the SCMS file, two records a line: promise, then delivery.
    Scms,
    /// A thousand loggers that report each second.
    Telemetry,
    /// EPCIS object events with five ids each.
    Epcis,
    /// Orders of one line, their shipments and deliveries: ten facts an order.
    Orders,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Scms, Self::Telemetry, Self::Epcis, Self::Orders];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scms => "scms",
            Self::Telemetry => "telemetry",
            Self::Epcis => "epcis",
            Self::Orders => "orders",
        }
    }

    pub(crate) const fn mapping(self) -> Mapping {
        match self {
            Self::Scms => Mapping::Scms,
            Self::Epcis => Mapping::Epcis,
            Self::Telemetry | Self::Orders => Mapping::Events,
        }
    }
}

/// How many orders are placed between one's placing and its booking, and between its booking and its delivery.
const GAP: usize = 400;

/// Makes records from an offset on.
#[derive(Debug)]
pub(crate) struct Feed {
    kind: Kind,
    records: usize,
    next: usize,
}

impl Feed {
    pub(crate) const fn new(kind: Kind, records: usize) -> Self {
        Self { kind, records, next: 0 }
    }

    /// The next batch; `None` at the end.
    pub(crate) fn take(&mut self, max: usize) -> Option<Vec<Record>> {
        let end = self.records.min(self.next + max);
        let batch: Vec<Record> = (self.next..end).map(|at| record(self.kind, at)).collect();
        self.next = end;
        (!batch.is_empty()).then_some(batch)
    }
}

/// The record at an offset.
pub(crate) fn record(kind: Kind, at: usize) -> Record {
    let (told, value) = match kind {
        Kind::Scms => scms(at),
        Kind::Telemetry => telemetry(at),
        Kind::Epcis => epcis(at),
        Kind::Orders => order(at),
    };
    Record {
        topic: TOPIC,
        topic_name: Arc::from("feed"),
        partition: PartitionId(0),
        offset: Offset(i64::try_from(at).unwrap()),
        timestamp: TimestampMs(told),
        append_time: false,
        key: None,
        value: Some(Bytes::from(value)),
        headers: vec![(
            MAPPING_HEADER.to_owned(),
            Some(Bytes::copy_from_slice(kind.mapping().name().as_bytes())),
        )],
    }
}

fn scms(at: usize) -> (i64, String) {
    // Each line is promised, and delivered 200 records later.
    let is_promise = (at / 200).is_multiple_of(2);
    let row = at / 400 * 200 + at % 200;
    let order = row / 2;
    let day = Day::of(TimestampMs(START + i64::try_from(row).unwrap() * 60_000));
    let told = day.start().get();
    if is_promise {
        let value = format!(
            r#"{{"what":"promise","id":"{row}","order":"SCMS-{order}","promised":"{day}","project":"116-ZA-T30","country":"South Africa","managed_by":"PMO - US","fulfil_via":"From RDC","vendor":"SCMS from RDC","incoterm":"N/A - From RDC","mode":"Truck","product_group":"ARV","item":"Lamivudine 150mg, tablets, 60 Tabs","brand":"Generic","site":"Aurobindo Unit III, India","quantity":"{}","per_pack":"60","value_usd":"{}.50"}}"#,
            row % 5_000,
            row % 90_000
        );
        (told, value)
    } else {
        let value = format!(
            r#"{{"what":"delivery","id":"{row}","order":"SCMS-{order}","shipment":"DN-{}","delivered":"{day}","country":"South Africa","weight_kg":"{}","freight_usd":"1653.78","insurance_usd":"18.2"}}"#,
            row / 3,
            row % 4_000
        );
        (told + 86_400_000, value)
    }
}

fn telemetry(at: usize) -> (i64, String) {
    let told = START + i64::try_from(at).unwrap();
    let celsius = 20 + at % 70;
    let value = format!(
        r#"{{"event_id":"logger-{at}","event":"reading","event_time":"{}","source":"logger","container":"MSKU{:07}","temperature_c":{}.{},"low_c":2.0,"high_c":8.0}}"#,
        instant_text(TimestampMs(told)),
        at % 1_000,
        celsius / 10,
        celsius % 10
    );
    (told, value)
}

fn epcis(at: usize) -> (i64, String) {
    let told = START + i64::try_from(at).unwrap() * 100;
    let epcs: Vec<String> =
        (0..5).map(|item| format!(r#""urn:epc:id:sgtin:4012345.011111.{}""#, at / 3 * 5 + item)).collect();
    let step = ["commissioning", "shipping", "receiving"][at % 3];
    let disposition = ["active", "in_transit", "in_progress"][at % 3];
    let value = format!(
        r#"{{"@context":["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],"type":"ObjectEvent","eventTime":"{}","eventTimeZoneOffset":"+00:00","epcList":[{}],"action":"OBSERVE","bizStep":"{step}","disposition":"{disposition}","readPoint":{{"id":"urn:epc:id:sgln:4012345.00011.{}"}},"bizTransactionList":[{{"type":"po","bizTransaction":"urn:epc:id:gdti:0614141.00001.{}"}}]}}"#,
        instant_text(TimestampMs(told)),
        epcs.join(","),
        at % 50,
        at / 30
    );
    (told, value)
}

/// The `at`-th record: orders take turns with the bookings and deliveries of earlier ones.
fn order(at: usize) -> (i64, String) {
    let told = START + i64::try_from(at).unwrap() * 1_000;
    let when = instant_text(TimestampMs(told));
    let (step, round) = (at % 3, at / 3);
    let of = round.checked_sub(step * GAP).unwrap_or(round + step * 10_000_000);
    let promised = Day::of(TimestampMs(told + 20 * 86_400_000));
    let value = match step {
        0 => format!(
            r#"{{"event_id":"erp-{of}","event":"order_placed","event_time":"{when}","source":"erp","order":"PO-{of:07}","customer":"Customer {}","supplier":"Supplier {}","destination":{{"id":"DEST{}","name":"Store {}","country":"TZ"}},"promised":"{promised}","lines":[{{"line":"1","product":"0952114101{}","description":"Amoxicillin 500 mg","quantity":{},"unit":"pack"}}]}}"#,
            of % 700,
            of % 300,
            of % 90,
            of % 90,
            of % 1_000,
            of % 5_000
        ),
        1 => format!(
            r#"{{"event_id":"tms-{of}","event":"shipment_created","event_time":"{when}","source":"tms","shipment":"SHP-{of:07}","orders":[{{"order":"PO-{of:07}","lines":["1"]}}],"mode":"sea","carrier":"Carrier {}","origin":{{"id":"DEHAM","name":"Hamburg"}},"destination":{{"id":"TZDAR","name":"Dar es Salaam"}},"estimated":"{promised}"}}"#,
            of % 20
        ),
        _ => format!(
            r#"{{"event_id":"wms-{of}","event":"delivered","event_time":"{when}","source":"wms","shipment":"SHP-{of:07}","place":{{"id":"TZDAR","name":"Dar es Salaam"}}}}"#
        ),
    };
    (told, value)
}

impl RecordSource for Feed {
    fn topics(&mut self) -> Result<Vec<TopicInfo>, SourceError> {
        Ok(vec![TopicInfo { id: TOPIC, name: "feed".to_owned(), partitions: 1 }])
    }

    fn first_record(&mut self, _topic: &TopicInfo) -> Result<Option<Record>, SourceError> {
        Ok(Some(record(self.kind, 0)))
    }

    fn ranges(&mut self, _topic: &TopicInfo) -> Result<BTreeMap<PartitionId, LogRange>, SourceError> {
        let end = Offset(i64::try_from(self.records).unwrap());
        Ok(BTreeMap::from([(PartitionId(0), LogRange { start: Offset(0), end })]))
    }

    fn is_compacted(&mut self, _topic: &TopicInfo) -> Result<bool, SourceError> {
        Ok(false)
    }

    fn assign(&mut self, _topics: &[TopicInfo], from: &BTreeMap<Part, Offset>) -> Result<(), SourceError> {
        self.next = from.values().next().map_or(0, |next| usize::try_from(next.get()).unwrap());
        Ok(())
    }

    fn poll(&mut self, max: usize, _wait: Duration) -> Result<Vec<Record>, SourceError> {
        Ok(self.take(max).unwrap_or_default())
    }

    fn show_progress(&mut self, _topics: &[TopicInfo], _next: &BTreeMap<Part, Offset>) {}

    fn send_quarantined(&mut self, _rows: &[QuarantineRow]) -> Result<(), SourceError> {
        Ok(())
    }

    fn send_repaired(&mut self, _rows: &[RepairRow]) -> Result<(), SourceError> {
        Ok(())
    }
}
