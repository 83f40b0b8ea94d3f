//! The committed facts about Kafka's messages: their model, their text form, and both ways between them.
//!
//! One line a message, one indented line a field; a struct's fields stand one level deeper. Numbers, names and
//! ranges only. This file depends on nothing, so that tests may include it to build messages independently of the
//! generated code.

use std::fmt;

/// An inclusive range of versions; `None` is "no version".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions(pub(crate) Option<(i16, i16)>);

impl Versions {
    /// No version at all.
    pub(crate) const NONE: Self = Self(None);

    /// Parses `3`, `3-7`, `3+` or `none`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let number = |s: &str| s.parse::<i16>().map_err(|_| format!("bad version range {text:?}"));
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(low) = text.strip_suffix('+') {
            return Ok(Self(Some((number(low)?, i16::MAX))));
        }
        match text.split_once('-') {
            Some((low, high)) => Ok(Self(Some((number(low)?, number(high)?)))),
            None => Ok(Self(Some((number(text)?, number(text)?)))),
        }
    }

    /// Whether `version` is in the range.
    pub(crate) fn contains(self, version: i16) -> bool {
        self.0.is_some_and(|(low, high)| low <= version && version <= high)
    }

    /// What both ranges share.
    pub(crate) fn intersect(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some((a, b)), Some((c, d))) if a.max(c) <= b.min(d) => Self(Some((a.max(c), b.min(d)))),
            _ => Self::NONE,
        }
    }

    /// Whether the range holds no version.
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some((low, i16::MAX)) => write!(f, "{low}+"),
            Some((low, high)) if low == high => write!(f, "{low}"),
            Some((low, high)) => write!(f, "{low}-{high}"),
        }
    }
}

/// The type of a field or of an array's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// One byte, 0 or 1.
    Bool,
    /// Signed integers.
    Int8,
    /// Two bytes.
    Int16,
    /// Four bytes.
    Int32,
    /// Eight bytes.
    Int64,
    /// Two bytes, unsigned.
    Uint16,
    /// Four bytes, unsigned.
    Uint32,
    /// An IEEE double.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// UTF-8 with a length.
    String,
    /// Bytes with a length.
    Bytes,
    /// Record batches with a length.
    Records,
    /// A struct by name.
    Struct(String),
    /// An array.
    Array(Box<Type>),
}

impl Type {
    /// Parses Kafka's notation.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(element) = text.strip_prefix("[]") {
            return Ok(Self::Array(Box::new(Self::parse(element)?)));
        }
        Ok(match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint16" => Self::Uint16,
            "uint32" => Self::Uint32,
            "float64" => Self::Float64,
            "uuid" => Self::Uuid,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Self::Struct(name.to_owned()),
            other => return Err(format!("unknown type {other:?}")),
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Float64 => "float64",
            Self::Uuid => "uuid",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Struct(name) => name,
            Self::Array(element) => return write!(f, "[]{element}"),
        })
    }
}

/// A field of a message or struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Kafka's name, as in `TopicData`.
    pub(crate) name: String,
    /// Its type.
    pub(crate) ty: Type,
    /// Versions that have it.
    pub(crate) versions: Versions,
    /// Versions in which it may be null.
    pub(crate) nullable: Versions,
    /// Versions in which it is a tagged field.
    pub(crate) tagged: Versions,
    /// Its tag.
    pub(crate) tag: Option<u32>,
    /// Set where the field's encoding does not follow the message's flexible versions.
    pub(crate) flexible: Option<Versions>,
    /// Its default, when not the type's own.
    pub(crate) default: Option<String>,
    /// Whether a value is dropped in silence in versions without the field.
    pub(crate) ignorable: bool,
    /// Whether it is part of the key of its array.
    pub(crate) key: bool,
    /// The fields of the struct defined here.
    pub(crate) fields: Vec<Field>,
}

/// A struct that several fields of a message use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommonStruct {
    /// Its name.
    pub(crate) name: String,
    /// Versions that have it.
    pub(crate) versions: Versions,
    /// Its fields.
    pub(crate) fields: Vec<Field>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// `request`, `response`, `header`, `data`, `coordinator-key` or `coordinator-value`.
    pub(crate) kind: String,
    /// Kafka's name, as `ProduceRequest`.
    pub(crate) name: String,
    /// The API key, or the type of the coordinator record.
    pub(crate) key: Option<i16>,
    /// Versions that can be read and written.
    pub(crate) versions: Versions,
    /// Versions in flexible encoding.
    pub(crate) flexible: Versions,
    /// Listeners that serve the request.
    pub(crate) listeners: Vec<String>,
    /// Whether the newest version is not final.
    pub(crate) unstable: bool,
    /// Fields in wire order.
    pub(crate) fields: Vec<Field>,
    /// Structs used more than once.
    pub(crate) structs: Vec<CommonStruct>,
}

/// Writes messages in text form.
pub(crate) fn print(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        out.push_str(&format!("{} {}", message.kind, message.name));
        if let Some(key) = message.key {
            out.push_str(&format!(" key={key}"));
        }
        out.push_str(&format!(" versions={} flexible={}", message.versions, message.flexible));
        if !message.listeners.is_empty() {
            out.push_str(&format!(" listeners={}", message.listeners.join(",")));
        }
        if message.unstable {
            out.push_str(" unstable");
        }
        out.push('\n');
        print_fields(&mut out, &message.fields, 1);
        for common in &message.structs {
            out.push_str(&format!("  struct {} versions={}\n", common.name, common.versions));
            print_fields(&mut out, &common.fields, 2);
        }
    }
    out
}

fn print_fields(out: &mut String, fields: &[Field], depth: usize) {
    for field in fields {
        out.push_str(&"  ".repeat(depth));
        out.push_str(&format!("{} {} versions={}", field.name, field.ty, field.versions));
        if !field.nullable.is_empty() {
            out.push_str(&format!(" nullable={}", field.nullable));
        }
        if let Some(tag) = field.tag {
            out.push_str(&format!(" tag={tag} tagged={}", field.tagged));
        }
        if let Some(flexible) = field.flexible {
            out.push_str(&format!(" flexible={flexible}"));
        }
        if let Some(default) = &field.default {
            out.push_str(&format!(" default={default}"));
        }
        for (set, word) in [(field.ignorable, " ignorable"), (field.key, " key")] {
            if set {
                out.push_str(word);
            }
        }
        out.push('\n');
        print_fields(out, &field.fields, depth + 1);
    }
}

struct Line<'a> {
    depth: usize,
    head: Vec<&'a str>,
    marks: Vec<(&'a str, &'a str)>,
}

fn split_line(line: &str) -> Line<'_> {
    let depth = (line.len() - line.trim_start().len()) / 2;
    let words: Vec<&str> = line.split_whitespace().collect();
    let (head, rest) = words.split_at(words.len().min(2));
    let marks = rest.iter().map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
    Line { depth, head: head.to_vec(), marks }
}

impl Line<'_> {
    fn text(&self, mark: &str) -> Option<&str> {
        self.marks.iter().find(|(name, _)| *name == mark).map(|(_, value)| *value)
    }

    fn versions(&self, mark: &str) -> Result<Versions, String> {
        self.text(mark).map_or(Ok(Versions::NONE), Versions::parse)
    }

    fn number<T: std::str::FromStr>(&self, mark: &str) -> Result<Option<T>, String> {
        self.text(mark).map(|text| text.parse().map_err(|_| format!("bad {mark} {text:?}"))).transpose()
    }

    fn names(&self) -> Result<(&str, &str), String> {
        match self.head.as_slice() {
            [first, second] => Ok((first, second)),
            _ => Err(format!("a line needs two words, got {:?}", self.head)),
        }
    }
}

/// Reads messages from text form.
pub(crate) fn parse(text: &str) -> Result<Vec<Message>, String> {
    let lines: Vec<Line<'_>> =
        text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).map(split_line).collect();
    let mut messages = Vec::new();
    let mut rest = lines.as_slice();
    while let Some((line, after)) = rest.split_first() {
        let (kind, name) = line.names()?;
        let mut message = Message {
            kind: kind.to_owned(),
            name: name.to_owned(),
            key: line.number("key")?,
            versions: line.versions("versions")?,
            flexible: line.versions("flexible")?,
            listeners: line
                .text("listeners")
                .map_or(Vec::new(), |l| l.split(',').map(str::to_owned).collect()),
            unstable: line.text("unstable").is_some(),
            fields: Vec::new(),
            structs: Vec::new(),
        };
        rest = after;
        message.fields = parse_fields(&mut rest, 1)?;
        while let Some((line, after)) = rest.split_first() {
            let (word, name) = line.names()?;
            if line.depth != 1 || word != "struct" {
                break;
            }
            rest = after;
            let versions = line.versions("versions")?;
            let fields = parse_fields(&mut rest, 2)?;
            message.structs.push(CommonStruct { name: name.to_owned(), versions, fields });
        }
        messages.push(message);
    }
    Ok(messages)
}

fn parse_fields(rest: &mut &[Line<'_>], depth: usize) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    while let Some((line, after)) = rest.split_first() {
        let (name, ty) = line.names()?;
        if line.depth != depth || name == "struct" {
            break;
        }
        *rest = after;
        fields.push(Field {
            name: name.to_owned(),
            ty: Type::parse(ty)?,
            versions: line.versions("versions")?,
            nullable: line.versions("nullable")?,
            tagged: line.versions("tagged")?,
            tag: line.number("tag")?,
            flexible: line.text("flexible").map(Versions::parse).transpose()?,
            default: line.text("default").map(str::to_owned),
            ignorable: line.text("ignorable").is_some(),
            key: line.text("key").is_some(),
            fields: parse_fields(rest, depth + 1)?,
        });
    }
    Ok(fields)
}
