//! The SCMS delivery history: each row becomes a promise and a delivery, each stamped with the day it was told.
//!
//! The promise was told on the day the purchase order was sent, else on the earliest day in the row; the delivery on
//! the day it was recorded. The whole file is stably sorted by stamp, as a live system would have sent it.

use std::collections::BTreeMap;

use waybill_types::TimestampMs;

use super::{LoadRecord, plain, without_bom};
use crate::mapping::scms::{Delivery, Promise, Row};
use crate::model::time::Day;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `2-Jun-06` or `11/13/06` (month first). The data is of this century.
fn day(text: &str) -> Option<Day> {
    let text = text.trim();
    let (year, month, day) = if let [day, month, year] = text.split('-').collect::<Vec<_>>()[..] {
        let month = MONTHS.iter().position(|name| *name == month)?;
        (year, u32::try_from(month).ok()? + 1, day)
    } else if let [month, day, year] = text.split('/').collect::<Vec<_>>()[..] {
        (year, month.parse().ok()?, day)
    } else {
        return None;
    };
    let year: i32 = if year.len() == 2 { 2000 + year.parse::<i32>().ok()? } else { return None };
    Day::from_ymd(year, month, day.parse().ok()?)
}

/// The columns that a row is understood by.
struct Columns(BTreeMap<String, usize>);

impl Columns {
    fn get<'r>(&self, row: &'r csv::StringRecord, name: &str) -> &'r str {
        self.0.get(name).and_then(|at| row.get(*at)).unwrap_or_default()
    }

    fn text(&self, row: &csv::StringRecord, name: &str) -> String {
        self.get(row, name).to_owned()
    }
}

pub(super) fn frame(bytes: &[u8], now: TimestampMs) -> Vec<LoadRecord> {
    let bytes = without_bom(bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(bytes);
    let mut columns: Option<Columns> = None;
    let mut records = Vec::new();
    let mut row = csv::ByteRecord::new();
    loop {
        let start = reader.position().byte();
        match reader.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) | Err(_) => break,
        }
        let text = csv::StringRecord::from_byte_record_lossy(row.clone());
        let Some(columns) = &columns else {
            columns =
                Some(Columns(text.iter().enumerate().map(|(at, name)| (name.to_owned(), at)).collect()));
            continue;
        };
        match understand(columns, &text) {
            Some(both) => records.extend(both),
            None => records.push(plain(None, raw(bytes, start, reader.position().byte()), now)),
        }
    }
    records.sort_by_key(|record| record.timestamp);
    records
}

/// The bytes of a row as they stand in the file, without its line end.
fn raw(bytes: &[u8], start: u64, end: u64) -> Vec<u8> {
    let range = usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
    bytes.get(range).unwrap_or_default().trim_ascii().to_vec()
}

fn understand(columns: &Columns, row: &csv::StringRecord) -> Option<Vec<LoadRecord>> {
    let get = |name: &str| columns.text(row, name);
    let (id, order) = (get("ID"), get("PO / SO #"));
    let date = |name: &str| day(columns.get(row, name));
    let promised = date("Scheduled Delivery Date")?;
    let delivered_text = columns.get(row, "Delivered to Client Date");
    let delivered = if delivered_text.is_empty() { None } else { Some(day(delivered_text)?) };
    if id.is_empty() || order.is_empty() {
        return None;
    }
    let recorded = match delivered {
        Some(_) => Some(date("Delivery Recorded Date")?),
        None => None,
    };
    let pq = date("PQ First Sent to Client Date");
    let told = date("PO Sent to Vendor Date")
        .or_else(|| [pq, Some(promised), delivered, recorded].into_iter().flatten().min())?;
    let promise = Row::Promise(Box::new(Promise {
        id: id.clone(),
        order: order.clone(),
        promised: Some(promised),
        project: get("Project Code"),
        country: get("Country"),
        managed_by: get("Managed By"),
        fulfil_via: get("Fulfill Via"),
        vendor: get("Vendor"),
        incoterm: get("Vendor INCO Term"),
        mode: get("Shipment Mode"),
        product_group: get("Product Group"),
        item: get("Item Description"),
        brand: get("Brand"),
        site: get("Manufacturing Site"),
        quantity: get("Line Item Quantity"),
        per_pack: get("Unit of Measure (Per Pack)"),
        value_usd: get("Line Item Value"),
    }));
    let mut records = vec![record(&order, &promise, told)?];
    if let (Some(delivered), Some(recorded)) = (delivered, recorded) {
        let delivery = Row::Delivery(Delivery {
            id,
            order: order.clone(),
            shipment: get("ASN/DN #"),
            delivered,
            country: get("Country"),
            weight_kg: get("Weight (Kilograms)"),
            freight_usd: get("Freight Cost (USD)"),
            insurance_usd: get("Line Item Insurance (USD)"),
        });
        records.push(record(&order, &delivery, recorded)?);
    }
    Some(records)
}

fn record(order: &str, row: &Row, told: Day) -> Option<LoadRecord> {
    Some(plain(Some(order.as_bytes().to_vec()), serde_json::to_vec(row).ok()?, told.start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "ID,PO / SO #,ASN/DN #,Country,PQ First Sent to Client Date,PO Sent to Vendor Date,\
                        Scheduled Delivery Date,Delivered to Client Date,Delivery Recorded Date\n";
    const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

    fn told(record: &LoadRecord) -> String {
        Day::of(record.timestamp).to_string()
    }

    #[test]
    fn a_row_is_a_promise_and_a_delivery_sorted_by_when_they_were_told() {
        let file = format!(
            "\u{feff}{HEAD}1,SCMS-4,ASN-8,Mali,Pre-PQ Process,Date Not Captured,2-Jun-06,5-Jun-06,9-Jun-06\n\
             2,SO-7,DN-1,Mali,11/13/05,12/1/05,2-Jun-06,1-Jun-06,3-Jun-06\n"
        );
        let records = frame(file.as_bytes(), NOW);
        let times: Vec<_> = records.iter().map(told).collect();
        assert_eq!(times, ["2005-12-01", "2006-06-02", "2006-06-03", "2006-06-09"]);
        let promise = String::from_utf8(records[1].value.clone()).unwrap();
        assert!(promise.contains("\"promised\":\"2006-06-02\""), "{promise}");
        // What was not known when the promise was made is not in it.
        assert!(!promise.contains("ASN-8") && !promise.contains("2006-06-05"), "{promise}");
    }

    #[test]
    fn what_is_not_understood_is_sent_as_it_is() {
        let row = "3,SCMS-4,ASN-8,\"Mali, West\",x,y,someday,2-Jun-06,2-Jun-06";
        let records = frame(format!("{HEAD}{row}\r\n").as_bytes(), NOW);
        assert_eq!(records, vec![plain(None, row.as_bytes().to_vec(), NOW)]);
    }

    #[test]
    fn days_are_read_in_both_forms() {
        assert_eq!(day("2-Jun-06"), Day::from_ymd(2006, 6, 2));
        assert_eq!(day("11/13/06"), Day::from_ymd(2006, 11, 13));
        for text in ["", "Date Not Captured", "N/A - From RDC", "31-Jun-06", "13/13/06", "2-Jun-2006"] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
