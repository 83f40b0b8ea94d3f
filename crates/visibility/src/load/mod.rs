//! Files to records: what `waybill load` sends. Frames and stamps, never judges: what it can not parse is sent as it
//! is, stamped with the moment of loading. Pure but for [`files`], which lists folders in byte order.

mod scms;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use waybill_types::TimestampMs;

use crate::mapping::{MAPPING_HEADER, Mapping};

/// How a file is cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The SCMS delivery history: two records a row.
    Scms,
    /// EPCIS: a record a file, keyed by its name.
    Epcis,
    /// A line a record: JSON, or anything else.
    JsonLines,
    /// A row a record, as a JSON object by the names in the first row.
    Csv,
    /// A record a file, keyed by its name.
    Raw,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Scms, Self::Epcis, Self::JsonLines, Self::Csv, Self::Raw];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scms => "scms",
            Self::Epcis => "epcis",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Raw => "raw",
        }
    }

    /// The mapping that reads its records, if there is one.
    #[must_use]
    pub const fn mapping(self) -> Option<Mapping> {
        match self {
            Self::Scms => Some(Mapping::Scms),
            Self::Epcis => Some(Mapping::Epcis),
            Self::JsonLines | Self::Csv | Self::Raw => None,
        }
    }
}

/// A format's name is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no format is called '{0}'; there are scms, epcis, jsonl, csv and raw")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// A record to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRecord {
    /// Its key; `None` where nothing names one.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its timestamp: when it was told.
    pub timestamp: TimestampMs,
}

/// Cuts one file into records. `now` stamps what has no time of its own; `mapping` names the mapping in the header
/// `waybill-mapping` instead of the format's own.
#[must_use]
pub fn frame(
    format: Format,
    name: &str,
    bytes: &[u8],
    now: TimestampMs,
    mapping: Option<Mapping>,
) -> Vec<LoadRecord> {
    let mut records = match format {
        Format::Scms => scms::frame(bytes, now),
        Format::Epcis | Format::Raw => vec![plain(Some(name.as_bytes().to_vec()), bytes.to_vec(), now)],
        Format::JsonLines => lines(bytes, now),
        Format::Csv => rows(bytes, now),
    };
    if let Some(mapping) = mapping.or(format.mapping()) {
        for record in &mut records {
            record.headers.push((MAPPING_HEADER.to_owned(), mapping.name().as_bytes().to_vec()));
        }
    }
    records
}

fn plain(key: Option<Vec<u8>>, value: Vec<u8>, timestamp: TimestampMs) -> LoadRecord {
    LoadRecord { key, value, headers: Vec::new(), timestamp }
}

fn lines(bytes: &[u8], now: TimestampMs) -> Vec<LoadRecord> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| plain(None, line.to_vec(), now))
        .collect()
}

fn rows(bytes: &[u8], now: TimestampMs) -> Vec<LoadRecord> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(without_bom(bytes));
    let mut names: Option<csv::StringRecord> = None;
    let mut records = Vec::new();
    for row in reader.byte_records() {
        let Ok(row) = row else { continue };
        let Some(names) = &names else {
            names = Some(csv::StringRecord::from_byte_record_lossy(row));
            continue;
        };
        let object: serde_json::Map<String, serde_json::Value> = names
            .iter()
            .zip(row.iter())
            .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned().into()))
            .collect();
        records.push(plain(None, serde_json::Value::Object(object).to_string().into_bytes(), now));
    }
    records
}

fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The files under `paths`: a file is itself, a folder all files in it and below, in the byte order of their paths.
///
/// # Errors
/// A path that is not there or can not be read.
pub fn files(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut below = Vec::new();
            walk(path, &mut below)?;
            below.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
            found.append(&mut below);
        } else {
            std::fs::metadata(path)?;
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

    #[test]
    fn lines_and_rows_become_records() {
        let lines = frame(Format::JsonLines, "a", b"{\"a\":1}\r\n\n{\"a\":2}", NOW, Some(Mapping::Events));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].value, b"{\"a\":1}");
        assert_eq!(lines[0].headers, vec![("waybill-mapping".to_owned(), b"events@1".to_vec())]);
        let rows = frame(Format::Csv, "a", b"\xef\xbb\xbfx,y\n1,\"a,b\"\n", NOW, None);
        assert_eq!(
            rows.iter().map(|row| row.value.as_slice()).collect::<Vec<_>>(),
            [br#"{"x":"1","y":"a,b"}"#]
        );
        assert!(rows[0].headers.is_empty());
    }

    #[test]
    fn folders_are_read_in_byte_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.json", "B.json", "a/z.json", "a.json"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let found = files(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["B.json", "a.json", "a/z.json", "b.json"]);
        assert!(files(&[folder.path().join("none")]).is_err());
    }
}
