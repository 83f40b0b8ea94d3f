//! From the text of a mapping file to its rules, or to all its faults.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::compile_fact::{Defaults, fact};
use super::fault::Fault;
use super::reader::{Item, Keys, Reader};
use super::rows::Csv;
use super::rule::{Guard, Rule};
use super::template::{Lookup, Template};
use super::times::{Form, TimeRule, offset};
use super::{Format, MappingFile};
use crate::mapping::Mapping;

/// Facts of one file, at most.
const MAX_RULES: usize = 256;

/// Reads templates with what they may refer to.
pub(super) struct Compiler<'t> {
    pub(super) reader: Reader<'t>,
    pub(super) lookups: BTreeMap<String, Lookup>,
}

impl Compiler<'_> {
    /// A template from a text.
    pub(super) fn template(&mut self, item: &Item<'_, '_>, wanted: &str) -> Option<Template> {
        let text = match item.value {
            // Limits and the like are numbers more often than not.
            DeValue::Integer(number) if number.radix() == 10 => {
                return Some(Template::plain(number.as_str()));
            }
            DeValue::Float(number) => return Some(Template::plain(number.as_str())),
            _ => item.text(&mut self.reader, wanted)?,
        };
        self.template_of(text, item.at.clone(), &item.field)
    }

    pub(super) fn template_of(&mut self, text: &str, at: Range<usize>, field: &str) -> Option<Template> {
        match Template::parse(text, &self.lookups) {
            Ok(template) => Some(template),
            Err((what, remedy)) => {
                self.reader.fault(at, field, what, remedy);
                None
            }
        }
    }

    /// Conditions: a table of fields and the texts that they may have.
    pub(super) fn guards(&mut self, item: Option<&Item<'_, '_>>) -> Vec<Guard> {
        let wanted = "{ FIELD = \"text\" } or { FIELD = [\"text\", …] }";
        let Some(keys) = item.and_then(|item| item.table(&mut self.reader, wanted)) else {
            return Vec::new();
        };
        let mut guards = Vec::new();
        for item in keys.all() {
            let texts: Vec<String> =
                item.texts(&mut self.reader, wanted).into_iter().map(|(text, _)| text.to_owned()).collect();
            if texts.is_empty() && item.value.as_array().is_some_and(|list| list.is_empty()) {
                item.fault(&mut self.reader, "allows no text", wanted);
            }
            guards.push(Guard { path: keys.key(&item).to_owned(), texts });
        }
        guards
    }
}

pub(super) fn compile(text: &str) -> Result<MappingFile, Vec<Fault>> {
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => {
            let mut reader = Reader::new(text);
            let at = error.span().unwrap_or(0..0);
            reader.fault(
                at,
                "TOML",
                error.message().replace('\n', " "),
                "see https://toml.io for how TOML is written",
            );
            return Err(reader.faults);
        }
    };
    let mut compiler = Compiler { reader: Reader::new(text), lookups: BTreeMap::new() };
    let mut keys = Keys::new(root.get_ref(), 0..0, "");
    compiler.lookups = lookups(&mut compiler.reader, keys.get("lookup"));
    let file = read(&mut compiler, &mut keys);
    keys.finish(&mut compiler.reader);
    match file {
        Some(file) if compiler.reader.faults.is_empty() => Ok(file),
        _ => Err(compiler.reader.faults),
    }
}

fn read(compiler: &mut Compiler<'_>, keys: &mut Keys<'_, '_>) -> Option<MappingFile> {
    let name = name(compiler, keys);
    let format = format(compiler, keys);
    let source = keys
        .need(&mut compiler.reader, "source", "name who tells, as in source = \"erp\"")
        .and_then(|item| compiler.template(&item, "who tells, as in \"erp\""));
    let optional = |compiler: &mut Compiler<'_>, item: Option<Item<'_, '_>>| {
        item.and_then(|item| compiler.template(&item, "a text with references, as in \"{OrderID}\""))
    };
    let named = [keys.get("event_id"), keys.get("record_time")];
    if format == Some(Format::Debezium) {
        for item in named.iter().flatten() {
            item.fault(
                &mut compiler.reader,
                "is not for changes, which have an identity and an order of their own",
                "leave it out; {@change_time} may serve as event_time",
            );
        }
    }
    let [event_id, record_time] = named.map(|item| optional(compiler, item));
    let parties = match keys.get("parties") {
        None => Vec::new(),
        Some(item) => {
            let texts = item.texts(&mut compiler.reader, "names, as in [\"{customer}\", \"{carrier?}\"]");
            texts.into_iter().filter_map(|(text, at)| compiler.template_of(text, at, &item.field)).collect()
        }
    };
    let times = keys.get("time").map_or_else(TimeRule::default, |item| times(compiler, &item));
    let nulls = keys.get("nulls").map_or_else(Vec::new, |item| {
        let texts = item.texts(&mut compiler.reader, "texts that mean nothing, as in [\"NULL\", \"N/A\"]");
        texts.into_iter().map(|(text, _)| text.to_owned()).collect()
    });
    let ignore = compiler.guards(keys.get("ignore").as_ref());
    let event_time = optional(compiler, keys.get("event_time"));
    let rules = rules(compiler, keys, &Defaults { event_time });
    Some(MappingFile {
        name: name?,
        format: format?,
        source: source?,
        event_id,
        record_time,
        parties,
        times,
        nulls,
        ignore,
        rules,
    })
}

fn name(compiler: &mut Compiler<'_>, keys: &mut Keys<'_, '_>) -> Option<String> {
    let remedy = "write a name and a version, as in mapping = \"acme-orders@1\"";
    let item = keys.need(&mut compiler.reader, "mapping", remedy)?;
    let text = item.text(&mut compiler.reader, "a name and a version, as in \"acme-orders@1\"")?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let parts = text.split_once('@').filter(|(name, version)| {
        is_name(name)
            && version.parse::<u32>().is_ok_and(|number| number > 0 && number.to_string() == *version)
    });
    let Some((name, _)) = parts else {
        item.fault(
            &mut compiler.reader,
            format!("'{text}' is not NAME@VERSION"),
            "write letters, digits, - _ . then @ and a number from 1",
        );
        return None;
    };
    if Mapping::ALL.iter().any(|built_in| built_in.name().split('@').next() == Some(name)) {
        item.fault(&mut compiler.reader, format!("{name} is a built-in mapping"), "choose another name");
        return None;
    }
    Some(text.to_owned())
}

fn format(compiler: &mut Compiler<'_>, keys: &mut Keys<'_, '_>) -> Option<Format> {
    let csv = keys.get("csv");
    let item =
        keys.need(&mut compiler.reader, "format", "write format = \"json\", \"csv\" or \"debezium\"")?;
    let format = match item.text(&mut compiler.reader, "\"json\", \"csv\" or \"debezium\"")? {
        "json" => Format::Json,
        "debezium" => Format::Debezium,
        "csv" => Format::Csv(csv.as_ref().map_or_else(Csv::default, |item| read_csv(compiler, item))),
        other => {
            item.fault(
                &mut compiler.reader,
                format!("'{other}' is no format of mapping files"),
                "write json, csv or debezium; EPCIS, DCSA, EDI, AIS and CloudEvents have built-in mappings",
            );
            return None;
        }
    };
    if let (Some(csv), false) = (&csv, matches!(format, Format::Csv(_))) {
        csv.fault(&mut compiler.reader, "is only for format = \"csv\"", "leave the table out");
    }
    Some(format)
}

fn read_csv(compiler: &mut Compiler<'_>, item: &Item<'_, '_>) -> Csv {
    let mut csv = Csv::default();
    let Some(mut keys) = item.table(&mut compiler.reader, "a table [csv]") else { return csv };
    if let Some(item) = keys.get("delimiter")
        && let Some(text) = item.text(&mut compiler.reader, "one character, as in \";\"")
    {
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => csv.delimiter = *byte,
            _ => item.fault(
                &mut compiler.reader,
                format!("'{text}' can not part fields"),
                "write one ASCII character, as in \";\" or \"\\t\"",
            ),
        }
    }
    if let Some(item) = keys.get("columns") {
        let texts =
            item.texts(&mut compiler.reader, "the columns' names, as in [\"OrderID\", \"ShippedDate\"]");
        csv.columns = texts.into_iter().map(|(text, _)| text.to_owned()).collect();
        let mut sorted = csv.columns.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair.first() == pair.last()) {
            let twice = twice.first().map_or("", String::as_str);
            item.fault(
                &mut compiler.reader,
                format!("names {twice} twice"),
                "give each column a name of its own",
            );
        }
    }
    keys.finish(&mut compiler.reader);
    csv
}

fn times(compiler: &mut Compiler<'_>, item: &Item<'_, '_>) -> TimeRule {
    let mut rule = TimeRule::default();
    let reader = &mut compiler.reader;
    let Some(mut keys) = item.table(reader, "a table [time]") else { return rule };
    let remedy =
        "write rfc3339, unix_s, unix_ms, unix_us, unix_ns, unix_days, or a pattern such as %d.%m.%Y %H:%M";
    if let Some(item) = keys.get("forms") {
        rule.forms.clear();
        for (text, at) in item.texts(reader, remedy) {
            match Form::parse(text) {
                Ok(form) => rule.forms.push(form),
                Err(what) => reader.fault(at, item.field.clone(), what, remedy),
            }
        }
        if rule.forms.is_empty() && item.value.as_array().is_some_and(|list| list.is_empty()) {
            item.fault(reader, "holds no form", remedy);
        }
    }
    if let Some(item) = keys.get("zone")
        && let Some(text) = item.text(reader, "an offset, as in \"+02:00\"")
    {
        match offset(text) {
            Some(seconds) => rule.offset = seconds,
            None => item.fault(
                reader,
                format!("'{text}' is no offset from UTC"),
                "write UTC or an offset such as +02:00; names of zones are not known",
            ),
        }
    }
    if let Some(item) = keys.get("precision")
        && let Some(text) = item.text(reader, "\"day\" or \"instant\"")
    {
        match text {
            "day" => rule.is_day = true,
            "instant" => {}
            _ => item.fault(reader, format!("'{text}' is no precision"), "write day or instant"),
        }
    }
    keys.finish(reader);
    rule
}

fn lookups(reader: &mut Reader<'_>, item: Option<Item<'_, '_>>) -> BTreeMap<String, Lookup> {
    let mut lookups = BTreeMap::new();
    let wanted = "tables [lookup.NAME] of text = \"text\"";
    let Some(tables) = item.and_then(|item| item.table(reader, wanted)) else { return lookups };
    for table in tables.all() {
        let Some(entries) = table.table(reader, wanted) else { continue };
        let mut texts = BTreeMap::new();
        for entry in entries.all() {
            if let Some(text) = entry.text(reader, "a text") {
                texts.insert(entries.key(&entry).to_owned(), text.to_owned());
            }
        }
        lookups.insert(tables.key(&table).to_owned(), Arc::new(texts));
    }
    lookups
}

fn rules(compiler: &mut Compiler<'_>, keys: &mut Keys<'_, '_>, defaults: &Defaults) -> Vec<Rule> {
    let remedy = "write at least one [[fact]]";
    let Some(item) = keys.need(&mut compiler.reader, "fact", remedy) else { return Vec::new() };
    let Some(list) = item.value.as_array() else {
        item.fault(&mut compiler.reader, "is no list", "write [[fact]] with two brackets");
        return Vec::new();
    };
    if list.is_empty() || list.len() > MAX_RULES {
        item.fault(
            &mut compiler.reader,
            format!("{} facts", list.len()),
            format!("write 1 to {MAX_RULES} of them"),
        );
    }
    let mut rules = Vec::new();
    for (at, entry) in list.iter().enumerate() {
        let item = Item { value: entry.get_ref(), at: entry.span(), field: format!("fact[{}]", at + 1) };
        if let Some(keys) = item.table(&mut compiler.reader, "[[fact]] with its keys below") {
            rules.extend(fact(compiler, keys, defaults));
        }
    }
    rules
}
