//! Defaults, and the question whether a value is one (Kafka's `FieldSpec.fieldDefault` and
//! `generateNonDefaultValueCheck`).

use anyhow::{Context, Result, bail};

use super::names;
use super::schema::{Field, Type};

fn is_null(field: &Field) -> bool {
    let nullable = !field.nullable.is_empty();
    nullable && (field.default.as_deref() == Some("null") || field.ty == Type::Records)
}

fn integer(field: &Field) -> Result<i64> {
    let text = field.default.as_deref().unwrap_or("0");
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.with_context(|| format!("default {text:?} of {}", field.name))
}

/// The default as an expression.
pub(super) fn value(field: &Field) -> Result<String> {
    if is_null(field) {
        return Ok("None".to_owned());
    }
    let text = field.default.as_deref();
    let plain = match &field.ty {
        Type::Bool => text.is_some_and(|t| t.eq_ignore_ascii_case("true")).to_string(),
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 | Type::Uint16 | Type::Uint32 => {
            integer(field)?.to_string()
        }
        Type::Float64 => format!("{:?}", text.unwrap_or("0").parse::<f64>()?),
        Type::Uuid => match text {
            None => "Uuid::ZERO".to_owned(),
            Some(other) => bail!("default {other:?} of {} is not supported", field.name),
        },
        Type::String => match text {
            None => "KString::default()".to_owned(),
            Some(text) => format!("KString::from({text:?})"),
        },
        Type::Bytes => "Bytes::new()".to_owned(),
        Type::Records => "Records::new()".to_owned(),
        Type::Struct(name) => format!("{name}::default()"),
        Type::Array(_) => "Vec::new()".to_owned(),
    };
    Ok(if field.nullable.is_empty() { plain } else { format!("Some({plain})") })
}

/// Whether the default is what `Default::default()` gives for the Rust type.
pub(super) fn is_natural(field: &Field) -> Result<bool> {
    if !field.nullable.is_empty() {
        return Ok(is_null(field));
    }
    Ok(match &field.ty {
        Type::Bool => value(field)? == "false",
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 | Type::Uint16 | Type::Uint32 => {
            integer(field)? == 0
        }
        Type::Float64 => value(field)? == "0.0",
        Type::String => field.default.is_none(),
        _ => true,
    })
}

/// An expression that is true when `self.<field>` is not the default.
pub(super) fn is_set(field: &Field) -> Result<String> {
    let place = format!("self.{}", names::ident(&field.name));
    if is_null(field) {
        return Ok(format!("{place}.is_some()"));
    }
    let default = value(field)?;
    if !field.nullable.is_empty() {
        return Ok(match &field.ty {
            Type::Bytes | Type::Array(_) => format!("{place}.as_ref().is_none_or(|x| !x.is_empty())"),
            Type::String if field.default.is_none() => {
                format!("{place}.as_ref().is_none_or(|x| !x.is_empty())")
            }
            _ => format!("{place} != {default}"),
        });
    }
    Ok(match &field.ty {
        Type::Bool if default == "true" => format!("!{place}"),
        Type::Bool => place,
        Type::String if field.default.is_none() => format!("!{place}.is_empty()"),
        Type::String => format!("{place} != {:?}", field.default.as_deref().unwrap_or_default()),
        Type::Bytes | Type::Records | Type::Array(_) => format!("!{place}.is_empty()"),
        _ => format!("{place} != {default}"),
    })
}
