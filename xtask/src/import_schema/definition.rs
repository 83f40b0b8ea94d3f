//! One message definition in JSON with `//` lines, reduced to facts.

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value};

use crate::r#gen::schema::{CommonStruct, Field, Message, Type, Versions};

/// Reads a definition; descriptions, entity types and comments are left behind.
pub(super) fn message(text: &str) -> Result<Message> {
    let plain: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let Value::Object(top) = serde_json::from_str(&plain)? else {
        return Err(anyhow!("a definition must be an object"));
    };
    let key = top.get("apiKey").and_then(Value::as_i64).map(i16::try_from).transpose()?;
    let listeners = array(&top, "listeners").iter().filter_map(|l| l.as_str().map(str::to_owned)).collect();
    Ok(Message {
        kind: text_of(&top, "type")?,
        name: text_of(&top, "name")?,
        key,
        versions: versions(&top, "validVersions")?.unwrap_or(Versions::NONE),
        flexible: versions(&top, "flexibleVersions")?.unwrap_or(Versions::NONE),
        listeners,
        unstable: flag(&top, "latestVersionUnstable"),
        fields: fields(&top)?,
        structs: array(&top, "commonStructs").iter().map(common_struct).collect::<Result<_>>()?,
    })
}

fn common_struct(value: &Value) -> Result<CommonStruct> {
    let object = value.as_object().context("a common struct must be an object")?;
    Ok(CommonStruct {
        name: text_of(object, "name")?,
        versions: versions(object, "versions")?.unwrap_or(Versions::NONE),
        fields: fields(object)?,
    })
}

fn fields(object: &Map<String, Value>) -> Result<Vec<Field>> {
    array(object, "fields").iter().map(field).collect()
}

fn field(value: &Value) -> Result<Field> {
    let object = value.as_object().context("a field must be an object")?;
    let name = text_of(object, "name")?;
    let tagged = versions(object, "taggedVersions")?.unwrap_or(Versions::NONE);
    let default = match object.get("default") {
        None => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        // A bare null is no default at all to Kafka's generator; only the text "null" is one.
        Some(Value::Null) => None,
        Some(other) => Some(other.to_string()),
    };
    Ok(Field {
        ty: Type::parse(&text_of(object, "type")?).map_err(|e| anyhow!("{name}: {e}"))?,
        // A field without versions has those in which it is tagged, as in Kafka's FieldSpec.
        versions: versions(object, "versions")?.unwrap_or(tagged),
        nullable: versions(object, "nullableVersions")?.unwrap_or(Versions::NONE),
        tagged,
        tag: object.get("tag").and_then(Value::as_u64).map(u32::try_from).transpose()?,
        flexible: versions(object, "flexibleVersions")?,
        default,
        ignorable: flag(object, "ignorable"),
        key: flag(object, "mapKey"),
        fields: fields(object)?,
        name,
    })
}

fn array<'a>(object: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_of(object: &Map<String, Value>, name: &str) -> Result<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {name}"))
}

fn flag(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn versions(object: &Map<String, Value>, name: &str) -> Result<Option<Versions>> {
    let text = object.get(name).and_then(Value::as_str);
    text.map(|text| Versions::parse(text).map_err(|e| anyhow!("{name}: {e}"))).transpose()
}
