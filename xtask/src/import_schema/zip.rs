//! Just enough of the zip format to read a jar: the central directory, stored and deflated entries.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

/// A file inside the archive.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    method: u16,
    size: usize,
    data: &'a [u8],
}

impl Entry<'_> {
    /// The file's bytes.
    pub(super) fn contents(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        match self.method {
            0 => out.extend_from_slice(self.data),
            8 => {
                flate2::read::DeflateDecoder::new(self.data).read_to_end(&mut out)?;
            }
            other => bail!("{}: compression method {other} is not supported", self.name),
        }
        ensure!(out.len() == self.size, "{}: {} bytes, expected {}", self.name, out.len(), self.size);
        Ok(out)
    }
}

/// Lists the archive by its central directory (signature `PK 01 02`), found from the end record (`PK 05 06`).
pub(super) fn entries(archive: &[u8]) -> Result<Vec<Entry<'_>>> {
    let end = archive.windows(4).rposition(|w| w == b"PK\x05\x06").context("not a zip archive")?;
    let count = number::<2>(archive, end + 10)?;
    let mut at = number::<4>(archive, end + 16)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        ensure!(archive.get(at..at + 4) == Some(b"PK\x01\x02"), "damaged central directory");
        let compressed = number::<4>(archive, at + 20)?;
        let name_len = number::<2>(archive, at + 28)?;
        let local = number::<4>(archive, at + 42)?;
        let name = archive.get(at + 46..at + 46 + name_len).context("cut short")?;
        let data_at = local + 30 + number::<2>(archive, local + 26)? + number::<2>(archive, local + 28)?;
        entries.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            method: number::<2>(archive, at + 10)? as u16,
            size: number::<4>(archive, at + 24)?,
            data: archive.get(data_at..data_at + compressed).context("cut short")?,
        });
        at += 46 + name_len + number::<2>(archive, at + 30)? + number::<2>(archive, at + 32)?;
    }
    Ok(entries)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<usize> {
    let field = bytes.get(at..at + N).context("cut short")?;
    Ok(field.iter().rev().fold(0, |value, byte| (value << 8) | usize::from(*byte)))
}
