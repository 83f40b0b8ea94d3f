//! Reads TOML tables key by key and keeps every fault with its line. Keys that nobody asked for are faults too: a
//! misspelt key must not be a rule that silently does nothing.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::fault::Fault;

/// The text of a file and what was found wrong with it.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, faults: Vec::new() }
    }

    pub(super) fn fault(
        &mut self,
        at: Range<usize>,
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        self.faults.push(Fault { line, field: field.into(), what: what.into(), remedy: remedy.into() });
    }
}

/// One value, its place in the file and its key's full name.
pub(super) struct Item<'v, 't> {
    pub(super) value: &'v DeValue<'t>,
    pub(super) at: Range<usize>,
    pub(super) field: String,
}

impl<'v, 't> Item<'v, 't> {
    pub(super) fn fault(&self, reader: &mut Reader<'_>, what: impl Into<String>, remedy: impl Into<String>) {
        reader.fault(self.at.clone(), self.field.clone(), what, remedy);
    }

    fn wrong_type(&self, reader: &mut Reader<'_>, wanted: &str) {
        let is = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.fault(reader, format!("is {is}"), format!("write {wanted}"));
    }

    /// A text.
    pub(super) fn text(&self, reader: &mut Reader<'_>, wanted: &str) -> Option<&'v str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong_type(reader, wanted);
        }
        text
    }

    /// One text or a list of them.
    pub(super) fn texts(&self, reader: &mut Reader<'_>, wanted: &str) -> Vec<(&'v str, Range<usize>)> {
        if let Some(text) = self.value.as_str() {
            return vec![(text, self.at.clone())];
        }
        let Some(list) = self.value.as_array() else {
            self.wrong_type(reader, wanted);
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => found.push((text, item.span())),
                None => {
                    reader.fault(item.span(), self.field.clone(), "holds something that is no text", wanted);
                }
            }
        }
        found
    }

    /// True or false.
    pub(super) fn flag(&self, reader: &mut Reader<'_>) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong_type(reader, "true or false");
        }
        flag
    }

    /// A table.
    pub(super) fn table(&self, reader: &mut Reader<'_>, wanted: &str) -> Option<Keys<'v, 't>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.wrong_type(reader, wanted);
        }
        table.map(|table| Keys::new(table, self.at.clone(), &self.field))
    }
}

/// The keys of a table, and which of them were asked for.
pub(super) struct Keys<'v, 't> {
    table: &'v DeTable<'t>,
    pub(super) at: Range<usize>,
    pub(super) field: String,
    asked: BTreeSet<&'static str>,
}

impl<'v, 't> Keys<'v, 't> {
    pub(super) fn new(table: &'v DeTable<'t>, at: Range<usize>, field: &str) -> Self {
        Self { table, at, field: field.to_owned(), asked: BTreeSet::new() }
    }

    fn name(&self, key: &str) -> String {
        if self.field.is_empty() { key.to_owned() } else { format!("{}.{key}", self.field) }
    }

    /// The value of a key that may be there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'v, 't>> {
        self.asked.insert(key);
        let (key, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        let at = key.span();
        Some(Item { value: value.get_ref(), at, field: self.name(key.get_ref()) })
    }

    /// The value of a key that must be there.
    pub(super) fn need(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        remedy: &str,
    ) -> Option<Item<'v, 't>> {
        let found = self.get(key);
        if found.is_none() {
            reader.fault(self.at.clone(), self.name(key), "is missing", remedy);
        }
        found
    }

    /// Every key and value, in the order of the file: where keys are names of the user's own.
    pub(super) fn all(&self) -> Vec<Item<'v, 't>> {
        let mut all: Vec<(&Spanned<DeString<'t>>, &Spanned<DeValue<'t>>)> = self.table.iter().collect();
        all.sort_by_key(|(key, _)| key.span().start);
        let item = |(key, value): (&Spanned<DeString<'t>>, &'v Spanned<DeValue<'t>>)| Item {
            value: value.get_ref(),
            at: key.span(),
            field: self.name(key.get_ref()),
        };
        all.into_iter().map(item).collect()
    }

    /// The last part of an item's field: its key.
    pub(super) fn key<'f>(&self, item: &'f Item<'_, '_>) -> &'f str {
        let skip = if self.field.is_empty() { 0 } else { self.field.len() + 1 };
        item.field.get(skip..).unwrap_or(&item.field)
    }

    /// Keys that nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        for (key, _) in self.table.iter() {
            if self.asked.contains(key.get_ref().as_ref()) {
                continue;
            }
            let remedy = match key.get_ref().as_ref() {
                "personal" => {
                    "leave the field out of the mapping: values can not be kept under a subject's key yet"
                        .to_owned()
                }
                key => match nearest(key, &self.asked) {
                    Some(near) => format!("did you mean {near}?"),
                    None => {
                        let known: Vec<&str> = self.asked.iter().copied().collect();
                        format!("the keys here are {}", known.join(", "))
                    }
                },
            };
            reader.fault(key.span(), self.name(key.get_ref()), "is not a key of mappings", remedy);
        }
    }
}

/// The known word that differs least, if it differs little.
fn nearest(word: &str, known: &BTreeSet<&'static str>) -> Option<&'static str> {
    let near = known.iter().map(|other| (distance(word, other), *other)).min()?;
    (near.0 <= 2 && near.0 < word.len()).then_some(near.1)
}

/// Letters to be changed, added or left out.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(x != *y);
            diagonal = *above;
            left = cost.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
