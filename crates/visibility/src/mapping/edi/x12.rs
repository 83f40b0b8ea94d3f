//! X12: interchange, groups, transaction sets. Delimiters are those that the ISA segment is written with.

use super::{Message, Segment, order, status};
use crate::mapping::{Record, Refusal};
use crate::model::Fact;

/// Elements of an ISA segment.
const ISA_ELEMENTS: usize = 16;

fn fault(what: impl Into<String>) -> Refusal {
    Refusal::new("not_edi", what)
}

/// Cuts an interchange into segments. The ISA segment is not always padded to its fixed length, so its end is found by
/// counting elements.
fn segments(text: &str) -> Result<Vec<Segment>, Refusal> {
    let separator =
        text.chars().nth(3).filter(|c| !c.is_alphanumeric()).ok_or_else(|| fault("ISA is cut off"))?;
    let (at, _) = text
        .match_indices(separator)
        .nth(ISA_ELEMENTS - 1)
        .ok_or_else(|| fault(format!("ISA has fewer than {ISA_ELEMENTS} elements")))?;
    let mut rest = text.get(at + separator.len_utf8()..).unwrap_or_default().chars();
    let component = rest.next().ok_or_else(|| fault("ISA16 is missing"))?;
    let terminator = rest.next().ok_or_else(|| fault("ISA has no end"))?;
    // A line end as terminator may be two characters; one after another terminator is only for people.
    let terminator = if terminator == '\r' { '\n' } else { terminator };
    let cut = |segment: &str| -> Option<Segment> {
        let segment = segment.trim_matches(['\r', '\n', ' ']);
        let mut elements = segment.split(separator);
        let tag = elements.next()?.trim().to_owned();
        let elements = elements.map(|element| {
            if tag == "ISA" {
                vec![element.to_owned()]
            } else {
                element.split(component).map(str::to_owned).collect()
            }
        });
        (!tag.is_empty()).then(|| Segment { elements: elements.collect(), tag: tag.clone() })
    };
    Ok(text.split(terminator).filter_map(cut).collect())
}

pub(super) fn map(record: &Record, text: &str) -> Result<Vec<Fact>, Refusal> {
    let segments = segments(text)?;
    let isa = segments.first().ok_or_else(|| fault("there is no ISA segment"))?;
    let (sender, interchange) = (isa.get(6).to_owned(), isa.get(13).to_owned());
    let mut group = String::new();
    let mut facts = Vec::new();
    let mut begun: Option<usize> = None;
    let mut sets = 0;
    for (at, segment) in segments.iter().enumerate() {
        match segment.tag.as_str() {
            "GS" => group = segment.get(6).to_owned(),
            "ST" if begun.is_some() => return Err(fault("a transaction set has no SE")),
            "ST" => begun = Some(at),
            "SE" => {
                let from = begun.take().ok_or_else(|| fault("SE without ST"))?;
                let set = segments.get(from..at).unwrap_or_default();
                let Some(head) = set.first() else { continue };
                let message = Message {
                    kind: head.get(1).to_owned(),
                    event: format!("x12:{sender}:{interchange}:{group}:{}", head.get(2)),
                    source: sender.clone(),
                    segments: set,
                };
                facts.extend(map_set(record, &message)?);
                sets += 1;
            }
            _ => {}
        }
    }
    match (begun, sets) {
        (Some(_), _) => Err(fault("a transaction set has no SE")),
        (None, 0) => Err(fault("there is no transaction set")),
        (None, _) => Ok(facts),
    }
}

fn map_set(record: &Record, message: &Message<'_>) -> Result<Vec<Fact>, Refusal> {
    match message.kind.as_str() {
        "850" | "855" => order::order(record, message),
        "856" => order::ship_notice(record, message),
        "214" => status::carrier_status(record, message),
        "315" => status::ocean_status(record, message),
        other => Err(Refusal::new("unsupported_type", format!("X12 transaction set {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_those_of_the_interchange() {
        let isa = "ISA*00* *00* *ZZ*A *ZZ*B *110913*2201*|*00501*7*0*P*:";
        for end in ["~", "~\n", "\n", "\r\n", "'"] {
            let text = format!(
                "{isa}{end}GS*PO*A*B*20110913*2201*9*X*005010{end}ST*850*1{end}N1*BY*x:y{end}SE*3*1{end}"
            );
            let segments = segments(&text).unwrap();
            let tags: Vec<&str> = segments.iter().map(|segment| segment.tag.as_str()).collect();
            assert_eq!(tags, ["ISA", "GS", "ST", "N1", "SE"], "{end:?}");
            assert_eq!((segments[0].get(6), segments[0].get(13)), ("A", "7"));
            assert_eq!(
                (segments[3].part(2, 1), segments[3].part(2, 2), segments[3].part(9, 9)),
                ("x", "y", "")
            );
        }
        for bad in ["ISA", "ISA*1*2", "ISAx"] {
            assert_eq!(super::segments(bad).unwrap_err().code, "not_edi", "{bad}");
        }
    }
}
