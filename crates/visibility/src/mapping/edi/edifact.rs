//! EDIFACT: interchange and messages. Delimiters are those of UNA, else the standard's.

use super::{Message, Segment, iftsta};
use crate::mapping::{Record, Refusal};
use crate::model::Fact;

/// The characters that structure an interchange.
#[derive(Debug, Clone, Copy)]
struct Delimiters {
    component: char,
    element: char,
    release: char,
    end: char,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self { component: ':', element: '+', release: '?', end: '\'' }
    }
}

fn fault(what: impl Into<String>) -> Refusal {
    Refusal::new("not_edi", what)
}

fn segments(text: &str) -> Result<Vec<Segment>, Refusal> {
    let mut delimiters = Delimiters::default();
    let mut text = text;
    if let Some(una) = text.strip_prefix("UNA") {
        let chars: Vec<char> = una.chars().take(6).collect();
        let [component, element, _, release, _, end] = chars[..] else { return Err(fault("UNA is cut off")) };
        delimiters = Delimiters { component, element, release, end };
        text = una.get(chars.iter().map(|c| c.len_utf8()).sum()..).unwrap_or_default();
    }
    let mut segments = Vec::new();
    // Elements of components of the segment at hand.
    let mut elements: Vec<Vec<String>> = vec![vec![String::new()]];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let add = |elements: &mut Vec<Vec<String>>, c: char| {
            if let Some(part) = elements.last_mut().and_then(|parts| parts.last_mut()) {
                part.push(c);
            }
        };
        if c == delimiters.release {
            let next = chars.next().ok_or_else(|| fault("ends behind a release character"))?;
            add(&mut elements, next);
        } else if c == delimiters.end {
            segments.extend(segment(std::mem::replace(&mut elements, vec![vec![String::new()]])));
        } else if c == delimiters.element {
            elements.push(vec![String::new()]);
        } else if c == delimiters.component {
            if let Some(parts) = elements.last_mut() {
                parts.push(String::new());
            }
        } else if c != '\r' && c != '\n' {
            add(&mut elements, c);
        }
    }
    let rest = segment(elements);
    if rest.is_some() {
        return Err(fault("the last segment is not ended"));
    }
    Ok(segments)
}

fn segment(mut elements: Vec<Vec<String>>) -> Option<Segment> {
    if elements.is_empty() {
        return None;
    }
    let tag = elements.remove(0).into_iter().next()?.trim().to_owned();
    (!tag.is_empty()).then_some(Segment { tag, elements })
}

pub(super) fn map(record: &Record, text: &str) -> Result<Vec<Fact>, Refusal> {
    let segments = segments(text)?;
    let unb = segments.iter().find(|segment| segment.tag == "UNB");
    let (sender, interchange) = unb.map_or(("", ""), |unb| (unb.get(2), unb.get(5)));
    let mut facts = Vec::new();
    let mut begun: Option<usize> = None;
    let mut messages = 0;
    for (at, segment) in segments.iter().enumerate() {
        match segment.tag.as_str() {
            "UNH" if begun.is_some() => return Err(fault("a message has no UNT")),
            "UNH" => begun = Some(at),
            "UNT" => {
                let from = begun.take().ok_or_else(|| fault("UNT without UNH"))?;
                let set = segments.get(from..at).unwrap_or_default();
                let Some(head) = set.first() else { continue };
                let message = Message {
                    kind: head.get(2).to_owned(),
                    event: format!("edifact:{sender}:{interchange}:{}", head.get(1)),
                    source: if sender.is_empty() { record.topic_name.to_string() } else { sender.to_owned() },
                    segments: set,
                };
                if message.kind != "IFTSTA" {
                    let what = format!("EDIFACT message {}", message.kind);
                    return Err(Refusal::new("unsupported_type", what));
                }
                facts.extend(iftsta::status(record, &message)?);
                messages += 1;
            }
            _ => {}
        }
    }
    match (begun, messages) {
        (Some(_), _) => Err(fault("a message has no UNT")),
        (None, 0) => Err(fault("there is no message")),
        (None, _) => Ok(facts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_characters_are_text() {
        let segments = segments("UNA:+.? 'LOC+11+A?'B?+C::x??'\r\nUNT+1'").unwrap();
        assert_eq!(segments.len(), 2);
        assert_eq!((segments[0].part(2, 1), segments[0].part(2, 3)), ("A'B+C", "x?"));
        let other = super::segments("UNA|*.? ~LOC*11*a|b~").unwrap();
        assert_eq!((other[0].get(1), other[0].part(2, 2)), ("11", "b"));
        for bad in ["UNA:+", "UNH+1", "UNH+1?"] {
            assert_eq!(super::segments(bad).unwrap_err().code, "not_edi", "{bad}");
        }
    }
}
