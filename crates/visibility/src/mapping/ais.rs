//! `ais@1`: what ships tell by radio (ITU-R M.1371), as receivers write it: `!AIVDM` sentences of NMEA 0183.
//!
//! A record is one message or several, each with all its sentences: a mapping sees one record at a time, so that a part
//! without its rest can not be read. Positions (types 1, 2, 3, 9, 18, 19, 27) are told as a sensor tells them, by geo
//! URI (RFC 5870); names and voyage data (5, 19, 24) are told as they are. When is told by a tag block (`c:`) or by the
//! receiver's stamp behind the checksum, else by the record's timestamp.

use sha2::{Digest, Sha256};
use waybill_types::TimestampMs;

use super::{Record, Refusal, Teller};
use crate::model::digest::hex;
use crate::model::time::When;
use crate::model::{Fact, Kind, Located, Subject};

/// Who tells, in answers.
const SOURCE: &str = "ais";

/// Sentences of one message, at most (ITU-R M.1371: five slots; NMEA 0183 counts them with one digit).
const MAX_SENTENCES: usize = 9;

/// The letters of six bits.
const LETTERS: &[u8; 64] = b"@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_ !\"#$%&'()*+,-./0123456789:;<=>?";

fn fault(line: usize, what: impl std::fmt::Display) -> Refusal {
    Refusal::new("invalid", format!("line {line}: {what}"))
}

/// One sentence.
struct Sentence<'s> {
    total: usize,
    number: usize,
    sequence: &'s str,
    payload: &'s str,
    fill: usize,
    stamp: Option<i64>,
}

/// A message put together.
#[derive(Default)]
struct Message {
    /// Six bits each.
    bits: Vec<u8>,
    /// Bits at the end that mean nothing.
    fill: usize,
    stamp: Option<i64>,
    text: String,
}

pub(super) fn map(record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
    let text = std::str::from_utf8(value).map_err(|_| Refusal::new("not_ais", "is not ASCII"))?;
    let mut facts = Vec::new();
    let mut open: Option<(Sentence<'_>, Message)> = None;
    let mut lines = 0;
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        lines = at + 1;
        let sentence = sentence(line.trim(), at + 1)?;
        let mut message = match open.take() {
            None if sentence.number == 1 => Message::default(),
            Some((before, message))
                if (before.total, before.sequence, before.number + 1)
                    == (sentence.total, sentence.sequence, sentence.number) =>
            {
                message
            }
            _ => {
                let what =
                    format!("sentence {} of {} without those before it", sentence.number, sentence.total);
                return Err(fault(at + 1, format!("{what}; send a message's sentences in one record")));
            }
        };
        message.take(&sentence, at + 1)?;
        if sentence.number == sentence.total {
            facts.extend(tell(record, &message, at + 1)?);
        } else {
            open = Some((sentence, message));
        }
    }
    match open {
        Some((last, _)) => {
            let what = format!("sentence {} of {} without the next", last.number, last.total);
            Err(fault(lines, format!("{what}; send a message's sentences in one record")))
        }
        None if lines == 0 => Err(Refusal::new("not_ais", "holds no sentence")),
        None => Ok(facts),
    }
}

fn sentence(line: &str, at: usize) -> Result<Sentence<'_>, Refusal> {
    let (tags, line) = match line.strip_prefix('\\') {
        Some(rest) => rest.split_once('\\').ok_or_else(|| fault(at, "a tag block does not end"))?,
        None => ("", line),
    };
    let not_ais = || Refusal::new("not_ais", format!("line {at}: begins with none of !AIVDM, !AIVDO"));
    let body = line.strip_prefix('!').ok_or_else(not_ais)?;
    let (body, rest) = body.split_once('*').ok_or_else(|| fault(at, "has no checksum"))?;
    let sum = body.bytes().fold(0_u8, |sum, byte| sum ^ byte);
    let written = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    if written != Some(sum) {
        let written = rest.get(..2).unwrap_or(rest);
        return Err(fault(at, format!("the checksum is {sum:02X}, '{written}' is written")));
    }
    let fields: Vec<&str> = body.split(',').collect();
    let [kind, total, number, sequence, _channel, payload, fill] = fields[..] else {
        return Err(fault(at, format!("has {} fields, not 7", fields.len())));
    };
    if !matches!(kind.get(2..), Some("VDM" | "VDO")) {
        return Err(Refusal::new("unsupported_type", format!("line {at}: sentences {kind}")));
    }
    let count = |text: &str, what: &str| {
        let number = text.parse::<usize>().ok().filter(|number| (1..=MAX_SENTENCES).contains(number));
        number.ok_or_else(|| fault(at, format!("{what} '{text}' is not 1 to {MAX_SENTENCES}")))
    };
    let fill = fill.parse::<usize>().ok().filter(|fill| *fill < 6);
    let tagged = tags.split('*').next().unwrap_or_default().split(',').find_map(|tag| tag.strip_prefix("c:"));
    // Coast guards' receivers write their stamp, in seconds, behind the checksum.
    let is_stamp =
        |field: &&str| matches!(field.len(), 9 | 10) && field.bytes().all(|byte| byte.is_ascii_digit());
    let behind = rest.split(',').skip(1).find(is_stamp);
    Ok(Sentence {
        total: count(total, "the number of sentences")?,
        number: count(number, "the sentence's number")?,
        sequence,
        payload,
        fill: fill.ok_or_else(|| fault(at, "the number of fill bits is not 0 to 5"))?,
        stamp: tagged.or(behind).and_then(|text| text.parse().ok()),
    })
}

impl Message {
    fn take(&mut self, sentence: &Sentence<'_>, at: usize) -> Result<(), Refusal> {
        if sentence.payload.is_empty() {
            return Err(fault(at, "has no payload"));
        }
        for byte in sentence.payload.bytes() {
            let six = match byte {
                b'0'..=b'W' => byte - 48,
                b'`'..=b'w' => byte - 56,
                _ => return Err(fault(at, format!("'{}' is no letter of payloads", char::from(byte)))),
            };
            self.bits.extend((0..6).rev().map(|bit| (six >> bit) & 1));
        }
        self.fill = sentence.fill;
        self.stamp = self.stamp.or(sentence.stamp);
        self.text.push_str(sentence.payload);
        Ok(())
    }

    fn len(&self) -> usize {
        self.bits.len().saturating_sub(self.fill)
    }

    fn number(&self, from: usize, to: usize) -> Option<u64> {
        let bits = self.bits.get(from..to.min(self.len()))?;
        (bits.len() == to - from).then(|| bits.iter().fold(0, |number, bit| (number << 1) | u64::from(*bit)))
    }

    fn signed(&self, from: usize, to: usize) -> Option<i64> {
        let number = i64::try_from(self.number(from, to)?).ok()?;
        let span = 1_i64 << (to - from);
        Some(if number >= span / 2 { number - span } else { number })
    }

    fn letters(&self, from: usize, to: usize) -> String {
        let six = (from..to).step_by(6).map_while(|at| self.number(at, at + 6));
        let text: String = six
            .map_while(|six| LETTERS.get(usize::try_from(six).ok()?))
            .take_while(|letter| **letter != b'@')
            .map(|letter| char::from(*letter))
            .collect();
        text.trim().to_owned()
    }
}

/// Where a type's position stands: longitude, latitude, and how many parts a degree has.
const fn layout(kind: u64) -> Option<(usize, usize, usize, f64)> {
    match kind {
        1..=3 | 9 => Some((61, 89, 116, 600_000.0)),
        18 | 19 => Some((57, 85, 112, 600_000.0)),
        27 => Some((44, 62, 79, 600.0)),
        _ => None,
    }
}

fn tell(record: &Record, message: &Message, at: usize) -> Result<Vec<Fact>, Refusal> {
    let short = || fault(at, format!("a message of {} bits is cut short", message.len()));
    let kind = message.number(0, 6).ok_or_else(short)?;
    if !matches!(kind, 1..=3 | 5 | 9 | 18 | 19 | 24 | 27) {
        return Err(Refusal::new("unsupported_type", format!("line {at}: message type {kind}")));
    }
    let mmsi = message.number(8, 38).ok_or_else(short)?;
    if mmsi > 999_999_999 {
        return Err(fault(at, format!("MMSI {mmsi} has more than nine digits")));
    }
    let stamp = message.stamp.and_then(|seconds| seconds.checked_mul(1_000)).map(TimestampMs);
    let happened = stamp.unwrap_or(record.timestamp);
    let when = When::Instant(happened);
    let digest = Sha256::digest(format!("{} {}", message.text, happened.get()).as_bytes());
    let vehicle = Subject::new(Kind::Vehicle, format!("{mmsi:09}"));
    let mut teller = Teller::new(record, format!("{SOURCE}:{}", hex(&digest)), SOURCE);
    if let Some(place) = position(message, kind).ok_or_else(short)?.map_err(|what| fault(at, what))? {
        teller.set_sampled(true);
        teller.located(&vehicle, when, place);
        teller.set_sampled(false);
    }
    let values = voyage(message, kind).ok_or_else(short)?;
    teller.attributes(&vehicle, values);
    Ok(teller.finish())
}

/// `None` where the message is too short; a place, or none where the ship does not know it.
fn position(message: &Message, kind: u64) -> Option<Result<Option<Located>, String>> {
    let Some((from, between, to, parts)) = layout(kind) else { return Some(Ok(None)) };
    let (lon, lat) = (message.signed(from, between)?, message.signed(between, to)?);
    // At most 28 bits: exact.
    #[allow(clippy::cast_precision_loss, reason = "28 bits fit")]
    let (lon, lat) = (lon as f64 / parts, lat as f64 / parts);
    if lon == 181.0 || lat == 91.0 {
        return Some(Ok(None));
    }
    if !(-180.0..=180.0).contains(&lon) || !(-90.0..=90.0).contains(&lat) {
        return Some(Err(format!("latitude {lat:.5}, longitude {lon:.5} is no place")));
    }
    Some(Ok(Some(Located { place: format!("geo:{lat:.5},{lon:.5}"), name: None, country: None })))
}

/// Names and voyage data; `None` where the message is too short.
fn voyage(message: &Message, kind: u64) -> Option<Vec<(&'static str, String)>> {
    let some = |number: u64| if number == 0 { String::new() } else { number.to_string() };
    Some(match kind {
        5 => {
            let draught = message.number(294, 302)?;
            let metres =
                if draught == 0 { String::new() } else { format!("{}.{}", draught / 10, draught % 10) };
            vec![
                ("name", message.letters(112, 232)),
                ("IMO number", some(message.number(40, 70)?)),
                ("call sign", message.letters(70, 112)),
                ("destination", message.letters(302, 422)),
                ("draught, m", metres),
            ]
        }
        19 => vec![("name", message.letters(143, 263))],
        24 => match message.number(38, 40)? {
            0 => vec![("name", message.letters(40, 160))],
            _ => vec![("call sign", message.letters(90, 132))],
        },
        _ => Vec::new(),
    })
}
