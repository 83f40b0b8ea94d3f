//! A message with its structs resolved: what is generated, for which versions, how small it can be.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::code::When;
use super::names;
use super::schema::{Field, Message, Type, Versions};

/// A struct to generate.
pub(super) struct Struct {
    pub(super) name: String,
    /// Versions of the message in which it occurs.
    pub(super) versions: Versions,
    pub(super) fields: Vec<Field>,
}

/// A message and its structs; the message itself comes first.
pub(super) struct Layout {
    pub(super) flexible: Versions,
    pub(super) structs: Vec<Struct>,
}

impl Layout {
    pub(super) fn new(message: &Message) -> Result<Self> {
        let mut layout = Self { flexible: message.flexible.intersect(message.versions), structs: Vec::new() };
        layout.add(&message.name, message.versions, &message.fields)?;
        for common in &message.structs {
            layout.add(&common.name, common.versions.intersect(message.versions), &common.fields)?;
        }
        layout.check(message)?;
        Ok(layout)
    }

    fn add(&mut self, name: &str, versions: Versions, fields: &[Field]) -> Result<()> {
        if versions.is_empty() {
            return Ok(());
        }
        ensure!(self.find(name).is_none(), "struct {name} is defined twice");
        let live: Vec<Field> =
            fields.iter().filter(|f| !f.versions.intersect(versions).is_empty()).cloned().collect();
        self.structs.push(Struct { name: name.to_owned(), versions, fields: live.clone() });
        for field in live.iter().filter(|f| !f.fields.is_empty()) {
            let Some(name) = struct_name(&field.ty) else {
                bail!("{} has fields but is no struct", field.name)
            };
            self.add(name, versions.intersect(field.versions), &field.fields)?;
        }
        Ok(())
    }

    /// Every struct is known, and none contains itself: that bounds the recursion of the decoder.
    fn check(&self, message: &Message) -> Result<()> {
        let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
        for _ in 0..=self.structs.len() {
            for item in &self.structs {
                let mut deepest = 0;
                for name in item.fields.iter().filter_map(|f| struct_name(&f.ty)) {
                    self.find(name).with_context(|| format!("struct {name} is not defined"))?;
                    deepest = deepest.max(depth.get(name).copied().unwrap_or(0) + 1);
                }
                depth.insert(&item.name, deepest);
            }
        }
        let bound = self.structs.len();
        ensure!(depth.values().all(|d| *d < bound), "a struct of {} contains itself", message.name);
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Option<&Struct> {
        self.structs.iter().find(|s| s.name == name)
    }

    /// Whether the flexible encoding applies, in code that runs for `current`.
    pub(super) fn flex(&self, field: &Field, current: Versions) -> String {
        let flexible = field.flexible.unwrap_or(self.flexible);
        match When::new(flexible, current) {
            When::If(_) => "flex".to_owned(),
            sure => sure.expr(),
        }
    }

    /// The fewest bytes that `ty` takes as an element of an array, over `versions`.
    pub(super) fn min_size(&self, ty: &Type, versions: Versions) -> usize {
        let Some((low, high)) = versions.0 else { return 1 };
        (low..=high).map(|v| self.size_at(ty, false, v)).min().unwrap_or(1).max(1)
    }

    fn size_at(&self, ty: &Type, nullable: bool, version: i16) -> usize {
        let flexible = self.flexible.contains(version);
        match ty {
            Type::Bool | Type::Int8 => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 | Type::Uint32 => 4,
            Type::Int64 | Type::Float64 => 8,
            Type::Uuid => 16,
            Type::String if flexible => 1,
            Type::String => 2,
            Type::Bytes | Type::Records | Type::Array(_) if flexible => 1,
            Type::Bytes | Type::Records | Type::Array(_) => 4,
            Type::Struct(_) if nullable => 1,
            Type::Struct(name) => {
                let fields = self.find(name).map_or(&[][..], |s| s.fields.as_slice());
                let here = |f: &&Field| f.versions.contains(version) && !f.tagged.contains(version);
                let body: usize = fields
                    .iter()
                    .filter(here)
                    .map(|f| self.size_at(&f.ty, f.nullable.contains(version), version))
                    .sum();
                body + usize::from(flexible)
            }
        }
    }

    /// Whether the structs carry unknown tagged fields.
    pub(super) fn has_tags(&self) -> bool {
        !self.flexible.is_empty()
    }
}

/// The struct that a field or its elements are.
pub(super) fn struct_name(ty: &Type) -> Option<&str> {
    match ty {
        Type::Struct(name) => Some(name),
        Type::Array(element) => struct_name(element),
        _ => None,
    }
}

/// The Rust type of a field.
pub(super) fn rust_type(field: &Field) -> String {
    let plain = plain_type(&field.ty);
    if field.nullable.is_empty() { plain } else { format!("Option<{plain}>") }
}

/// The Rust type of values that are not null.
pub(super) fn plain_type(ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::Int8 => "i8".to_owned(),
        Type::Int16 => "i16".to_owned(),
        Type::Int32 => "i32".to_owned(),
        Type::Int64 => "i64".to_owned(),
        Type::Uint16 => "u16".to_owned(),
        Type::Uint32 => "u32".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Uuid => "Uuid".to_owned(),
        Type::String => "KString".to_owned(),
        Type::Bytes => "Bytes".to_owned(),
        Type::Records => "Records".to_owned(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", plain_type(element)),
    }
}

/// The tagged fields of a struct in the order of their tags.
pub(super) fn tagged(item: &Struct) -> Vec<&Field> {
    let mut fields: Vec<&Field> =
        item.fields.iter().filter(|f| !f.tagged.intersect(item.versions).is_empty()).collect();
    fields.sort_by_key(|f| f.tag);
    fields
}

/// One line of facts for a field's documentation.
pub(super) fn describe(field: &Field, item: &Struct) -> String {
    let range = |versions: Versions| versions.intersect(item.versions);
    let mut text = format!("`{}`, versions {}", field.name, range(field.versions));
    if !field.nullable.is_empty() {
        let when = if field.nullable.intersect(field.versions) == field.versions {
            String::new()
        } else {
            format!(" in {}", range(field.nullable))
        };
        text.push_str(&format!(", nullable{when}"));
    }
    if let Some(tag) = field.tag {
        text.push_str(&format!(", tag {tag}"));
    }
    for (set, word) in [(field.key, ", key"), (field.ignorable, ", ignorable")] {
        if set {
            text.push_str(word);
        }
    }
    if let Some(default) = &field.default {
        text.push_str(&format!(", default {default}"));
    }
    text.push('.');
    text
}

/// The name errors call a field by.
pub(super) fn quoted(field: &Field) -> String {
    format!("\"{}\"", names::snake(&field.name))
}
