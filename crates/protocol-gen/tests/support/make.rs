//! Random messages in wire form, straight from the schema.

use super::Random;
use super::schema::{self, Field, Message, Type, Versions};

/// Every message of the committed facts that has a version.
pub(crate) fn messages() -> Vec<Message> {
    let mut all = Vec::new();
    for text in [
        include_str!("../../schema/clients.txt"),
        include_str!("../../schema/group-coordinator.txt"),
        include_str!("../../schema/transaction-coordinator.txt"),
        include_str!("../../schema/share-coordinator.txt"),
    ] {
        all.extend(schema::parse(text).unwrap().into_iter().filter(|m| !m.versions.is_empty()));
    }
    all
}

/// A value as the schema sees it.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    /// Numbers and ids, by their bytes.
    Fixed(Vec<u8>),
    /// Strings, bytes and records.
    Sized(Vec<u8>),
    Array(Vec<Value>),
    /// The fields of this version, in the schema's order.
    Struct(Vec<Value>),
}

/// Makes one message in one version.
pub(crate) struct Maker<'a> {
    message: &'a Message,
    version: i16,
    /// Everything as small as can be, but arrays at this depth of arrays with [`CROWD`] elements.
    crowded: Option<usize>,
}

/// Elements of a crowded array.
const CROWD: usize = 300;

impl<'a> Maker<'a> {
    pub(crate) fn new(message: &'a Message, version: i16) -> Self {
        Self { message, version, crowded: None }
    }

    /// Makes messages that take much memory for their bytes: many of the smallest elements, `depth` arrays down.
    pub(crate) fn crowded(message: &'a Message, version: i16, depth: usize) -> Self {
        Self { message, version, crowded: Some(depth) }
    }

    /// The canonical bytes of a random message: tagged fields in order, none of them at its default.
    pub(crate) fn bytes(&self, random: &mut Random) -> Vec<u8> {
        let Value::Struct(values) = self.random_struct(&self.message.fields, random, 0) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        self.put_struct(&mut out, &self.message.fields, &values, random);
        out
    }

    fn flexible(&self, field: &Field) -> bool {
        field.flexible.unwrap_or(self.message.flexible).contains(self.version)
    }

    fn here(&self, fields: &'a [Field]) -> Vec<&'a Field> {
        fields.iter().filter(|f| f.versions.contains(self.version)).collect()
    }

    fn fields_of(&self, field: &'a Field, name: &str) -> &'a [Field] {
        let common = self.message.structs.iter().find(|s| s.name == name);
        common.map_or(&field.fields, |s| &s.fields)
    }

    fn random_struct(&self, fields: &'a [Field], random: &mut Random, depth: usize) -> Value {
        Value::Struct(self.here(fields).iter().map(|f| self.random_field(f, random, depth)).collect())
    }

    fn random_field(&self, field: &'a Field, random: &mut Random, depth: usize) -> Value {
        if field.tagged.contains(self.version) && random.one_in(2) {
            return self.default_of(field);
        }
        if let Some(level) = self.crowded {
            return self.small_value(field, &field.ty, random, depth, level);
        }
        if field.nullable.contains(self.version) && random.one_in(4) {
            return Value::Null;
        }
        self.random_value(field, &field.ty, random, depth)
    }

    fn random_value(&self, field: &'a Field, ty: &Type, random: &mut Random, depth: usize) -> Value {
        match ty {
            Type::Bool => Value::Fixed(vec![random.below(2) as u8]),
            Type::String => {
                let mut text: String =
                    (0..random.below(9)).map(|_| (b'a' + random.below(26) as u8) as char).collect();
                if random.one_in(8) {
                    text.push_str("é€");
                }
                Value::Sized(text.into_bytes())
            }
            Type::Bytes | Type::Records => {
                let length = if random.one_in(6) { 600 } else { random.below(20) };
                Value::Sized((0..length).map(|_| random.next() as u8).collect())
            }
            Type::Array(element) => {
                let count = if depth > 3 { random.below(2) } else { random.below(4) };
                Value::Array(
                    (0..count).map(|_| self.random_value(field, element, random, depth + 1)).collect(),
                )
            }
            Type::Struct(name) => self.random_struct(self.fields_of(field, name), random, depth + 1),
            fixed => Value::Fixed((0..width(fixed)).map(|_| random.next() as u8).collect()),
        }
    }

    fn small_value(
        &self,
        field: &'a Field,
        ty: &Type,
        random: &mut Random,
        depth: usize,
        level: usize,
    ) -> Value {
        match ty {
            Type::String | Type::Bytes | Type::Records => Value::Sized(Vec::new()),
            Type::Array(element) => {
                let count = [1, CROWD, 0][(depth >= level) as usize + (depth > level) as usize];
                let element = |r: &mut Random| self.small_value(field, element, r, depth + 1, level);
                Value::Array((0..count).map(|_| element(random)).collect())
            }
            Type::Struct(name) => self.random_struct(self.fields_of(field, name), random, depth),
            Type::Bool => Value::Fixed(vec![1]),
            fixed => Value::Fixed(vec![7; width(fixed)]),
        }
    }

    fn default_of(&self, field: &'a Field) -> Value {
        let text = field.default.as_deref();
        let null = text == Some("null") || field.ty == Type::Records;
        if null && !field.nullable.is_empty() {
            return Value::Null;
        }
        match &field.ty {
            Type::Bool => Value::Fixed(vec![u8::from(text.is_some_and(|t| t.eq_ignore_ascii_case("true")))]),
            Type::String => Value::Sized(text.unwrap_or_default().as_bytes().to_vec()),
            Type::Bytes | Type::Records => Value::Sized(Vec::new()),
            Type::Array(_) => Value::Array(Vec::new()),
            Type::Struct(name) => {
                let fields = self.here(self.fields_of(field, name));
                Value::Struct(fields.iter().map(|f| self.default_of(f)).collect())
            }
            Type::Uuid | Type::Float64 => Value::Fixed(vec![0; width(&field.ty)]),
            integer => {
                let text = text.unwrap_or("0");
                let number = match text.strip_prefix("0x") {
                    Some(hex) => i64::from_str_radix(hex, 16).unwrap(),
                    None => text.parse().unwrap(),
                };
                Value::Fixed(number.to_be_bytes()[8 - width(integer)..].to_vec())
            }
        }
    }

    fn put_struct(&self, out: &mut Vec<u8>, fields: &'a [Field], values: &[Value], random: &mut Random) {
        let fields = self.here(fields);
        let mut tagged: Vec<(u32, Vec<u8>)> = Vec::new();
        for (field, value) in fields.into_iter().zip(values) {
            if !field.tagged.contains(self.version) {
                self.put_value(out, field, &field.ty, value, false, random);
            } else if *value != self.default_of(field) {
                let mut bytes = Vec::new();
                self.put_value(&mut bytes, field, &field.ty, value, true, random);
                tagged.push((field.tag.unwrap(), bytes));
            }
        }
        if !self.message.flexible.contains(self.version) {
            return;
        }
        if self.crowded.is_none() && random.one_in(10) {
            tagged.push((50 + random.below(300) as u32, vec![1, 2, 3]));
        }
        tagged.sort();
        put_varint(out, tagged.len());
        for (tag, bytes) in tagged {
            put_varint(out, tag as usize);
            put_varint(out, bytes.len());
            out.extend(bytes);
        }
    }

    fn put_value(
        &self,
        out: &mut Vec<u8>,
        field: &'a Field,
        ty: &Type,
        value: &Value,
        tagged: bool,
        random: &mut Random,
    ) {
        let flexible = self.flexible(field);
        let nullable = field.nullable != Versions::NONE && field.nullable.contains(self.version);
        match (value, ty) {
            (Value::Fixed(bytes), _) => out.extend(bytes),
            (Value::Null, Type::Struct(_)) => out.push(if tagged { 0 } else { 0xff }),
            (Value::Null, _) if flexible => out.push(0),
            (Value::Null, Type::String) => out.extend([0xff; 2]),
            (Value::Null, _) => out.extend([0xff; 4]),
            (Value::Sized(bytes), _) => {
                put_length(out, bytes.len(), flexible, *ty == Type::String);
                out.extend(bytes);
            }
            (Value::Array(values), Type::Array(element)) => {
                put_length(out, values.len(), flexible, false);
                for value in values {
                    self.put_element(out, field, element, value, random);
                }
            }
            (Value::Struct(values), Type::Struct(name)) => {
                if nullable {
                    out.push(1);
                }
                self.put_struct(out, self.fields_of(field, name), values, random);
            }
            other => panic!("a value does not fit its type: {other:?}"),
        }
    }

    /// As `put_value`, but an element is never null, whatever the array may be.
    fn put_element(
        &self,
        out: &mut Vec<u8>,
        field: &'a Field,
        ty: &Type,
        value: &Value,
        random: &mut Random,
    ) {
        match (value, ty) {
            (Value::Struct(values), Type::Struct(name)) => {
                self.put_struct(out, self.fields_of(field, name), values, random);
            }
            _ => self.put_value(out, field, ty, value, false, random),
        }
    }
}

fn width(ty: &Type) -> usize {
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 | Type::Uint32 => 4,
        Type::Int64 | Type::Float64 => 8,
        Type::Uuid => 16,
        other => panic!("{other} has no fixed width"),
    }
}

fn put_length(out: &mut Vec<u8>, length: usize, flexible: bool, short: bool) {
    if flexible {
        put_varint(out, length + 1);
    } else if short {
        out.extend((length as i16).to_be_bytes());
    } else {
        out.extend((length as i32).to_be_bytes());
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
