//! Mappings as files: a new feed is a file in TOML, not code. `docs/mappings.md` tells the format.
//!
//! A file is read once, with all its faults told by line, into rules. Records are then rows (`rows`), rows are seen by
//! templates (`template`, `input`), and each rule tells its facts (`rule`). Like the built-in mappings this is a pure
//! function of the record: what can not be taken whole gives no fact at all.

mod compile;
mod compile_fact;
mod debezium;
mod fault;
mod input;
mod reader;
mod rows;
mod rule;
mod template;
mod times;

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use debezium::Change;
pub use fault::{BadMapping, Fault};
use input::{Input, canonical};
use rule::{Fit, Guard, Rule};
use template::Template;
use times::TimeRule;

use super::{Record, Refusal, Teller};
use crate::load;
use crate::model::digest::hex;
use crate::model::{Body, Classifier, Fact, Kind, RowBound, Subject};

/// Bytes of a mapping file, at most.
pub const MAX_FILE_BYTES: u64 = 1_048_576;

/// What a feed's records are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    /// JSON objects.
    Json,
    /// Lines of text.
    Csv(rows::Csv),
    /// Change envelopes of Debezium: rows are what a table's rows are now.
    Debezium,
}

/// A mapping that a file describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFile {
    /// `NAME@VERSION`.
    name: String,
    format: Format,
    source: Template,
    event_id: Option<Template>,
    record_time: Option<Template>,
    parties: Vec<Template>,
    times: TimeRule,
    nulls: Vec<String>,
    ignore: Vec<Guard>,
    rules: Vec<Rule>,
}

impl MappingFile {
    /// Reads a mapping from its text; `file` names it in faults.
    ///
    /// # Errors
    /// All faults, by line.
    pub fn parse(file: &str, text: &str) -> Result<Self, BadMapping> {
        compile::compile(text).map_err(|mut faults| {
            faults.sort_by_key(|fault| fault.line);
            BadMapping { file: file.to_owned(), faults }
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It can not be read, or its faults by line.
    pub fn read(path: &Path) -> Result<Self, BadMapping> {
        let file = path.display().to_string();
        let unreadable = |what: String| BadMapping {
            file: file.clone(),
            faults: vec![Fault {
                line: 1,
                field: "file".to_owned(),
                what,
                remedy: "name a readable TOML file".to_owned(),
            }],
        };
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if size > MAX_FILE_BYTES {
            return Err(unreadable(format!("has {size} bytes, more than {MAX_FILE_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        Self::parse(&file, &text)
    }

    /// `NAME@VERSION`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many facts it may tell of a row.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// How a file of such records is cut; `None` where its own name tells better.
    #[must_use]
    pub fn framing(&self) -> Option<load::Format> {
        match &self.format {
            Format::Json | Format::Debezium => None,
            Format::Csv(csv) if !csv.columns.is_empty() => Some(load::Format::JsonLines),
            Format::Csv(csv) if csv.delimiter == b',' => Some(load::Format::Csv),
            Format::Csv(_) => Some(load::Format::Raw),
        }
    }

    /// Maps one record.
    pub(super) fn map(&self, record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
        let rows = match &self.format {
            Format::Json => rows::json(value)?,
            Format::Csv(csv) => rows::csv(value, csv)?,
            Format::Debezium => return self.map_change(record, &debezium::read(record, value)?),
        };
        let mut facts = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let told = self.map_row(record, row).map_err(|refusal| match rows.len() {
                1 => refusal,
                _ => Refusal::new(refusal.code, format!("row {}: {}", at + 1, refusal.detail)),
            });
            facts.extend(told?);
        }
        Ok(facts)
    }

    /// A record without a value: for changes, a row that is gone.
    pub(super) fn map_tombstone(&self, record: &Record) -> Result<Vec<Fact>, Refusal> {
        if self.format != Format::Debezium {
            return Err(super::no_value());
        }
        let row_id = debezium::row_id(record)?;
        let event = format!("{row_id}@~{:020}", record.timestamp.get());
        let mut teller = Teller::new(record, event, self.name.clone());
        take_back(&mut teller, &row_id, RowBound::Before, Some("row deleted"));
        Ok(teller.finish())
    }

    fn map_change(&self, record: &Record, change: &Change) -> Result<Vec<Fact>, Refusal> {
        let event = format!("{}@{}", change.row_id, change.version);
        let below = RowBound::Below(change.version.clone());
        let Some(row) = &change.after else {
            let mut teller = Teller::new(record, event, self.name.clone());
            take_back(&mut teller, &change.row_id, below, Some("row deleted"));
            return Ok(teller.finish());
        };
        let input =
            Input { record, row, element: None, nulls: &self.nulls, changed: change.changed.as_deref() };
        let source = need(&self.source, &input, "source")?;
        let mut teller = Teller::new(record, event, source.clone())
            .for_parties(&self.parties(&input)?)
            .seeds(change.is_snapshot);
        take_back(&mut teller, &change.row_id, below, None);
        if !self.ignore.iter().any(|guard| guard.holds(&input)) {
            // A row may well have nothing to tell yet: what it told before is taken back all the same.
            for rule in &self.rules {
                rule.tell(&mut teller, &input, &self.times, &source)?;
            }
        }
        Ok(teller.finish())
    }

    fn parties(&self, input: &Input<'_>) -> Result<Vec<String>, Refusal> {
        let mut parties = Vec::new();
        for template in &self.parties {
            parties.extend(template.text(input)?);
        }
        Ok(parties)
    }

    fn map_row(&self, record: &Record, row: &Value) -> Result<Vec<Fact>, Refusal> {
        let input = Input { record, row, element: None, nulls: &self.nulls, changed: None };
        if self.ignore.iter().any(|guard| guard.holds(&input)) {
            return Ok(Vec::new());
        }
        let source = need(&self.source, &input, "source")?;
        let event = match &self.event_id {
            Some(template) => need(template, &input, "event_id")?,
            None => contents(row),
        };
        let mut teller = Teller::new(record, format!("{source}:{event}"), source.clone())
            .for_parties(&self.parties(&input)?);
        if let Some(template) = &self.record_time {
            let told = rule::when(&self.times, &need(template, &input, "record_time")?, "record_time")?;
            teller = teller.told_at(told.start());
        }
        let mut all = Fit::default();
        for rule in &self.rules {
            let fit = rule.tell(&mut teller, &input, &self.times, &source)?;
            all = Fit { fitted: all.fitted | fit.fitted, told: all.told | fit.told };
        }
        match all {
            Fit { told: true, .. } => Ok(teller.finish()),
            Fit { fitted: true, .. } => {
                Err(Refusal::new("invalid", "tells nothing: all that facts need is missing"))
            }
            Fit { .. } => Err(Refusal::new(
                "unsupported_type",
                format!("no fact of {} is about such a record", self.name),
            )),
        }
    }
}

/// What must be there, as text.
fn need(template: &Template, input: &Input<'_>, what: &str) -> Result<String, Refusal> {
    let text = template.text(input);
    let text = text.map_err(|refusal| Refusal::new(refusal.code, format!("{what}: {}", refusal.detail)))?;
    text.ok_or_else(|| Refusal::new("invalid", format!("{what} is missing")))
}

/// Takes back what versions of a row told.
fn take_back(teller: &mut Teller, row_id: &str, bound: RowBound, note: Option<&str>) {
    let row = Subject::new(Kind::Event, row_id);
    let correction = Body::Correction { withdraws: row_id.to_owned(), bound: Some(bound) };
    teller.tell_with(&row, Classifier::Act, None, correction, note);
}

/// What names a row without an id of its own.
fn contents(row: &Value) -> String {
    let mut text = String::new();
    canonical(row, &mut text);
    hex(&Sha256::digest(text.as_bytes()))
}
