//! The encoder of a struct.

use anyhow::{Result, bail};

use super::code::When;
use super::layout::{Layout, Struct, plain_type, quoted, tagged};
use super::read::untagged;
use super::schema::{Field, Type, Versions};
use super::{defaults, names};

/// The body of `fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError>`.
pub(super) fn body(layout: &Layout, item: &Struct) -> Result<String> {
    let mut out = String::new();
    for field in &item.fields {
        out.push_str(&plain(layout, item, field)?);
    }
    if layout.has_tags() {
        out.push_str(&tags(layout, item)?);
    }
    out.push_str("Ok(())\n");
    Ok(out)
}

fn plain(layout: &Layout, item: &Struct, field: &Field) -> Result<String> {
    let here = untagged(item, field);
    let present = field.versions.intersect(item.versions);
    let mut out = match When::new(here, item.versions) {
        When::Always => value(layout, field, here, false)?,
        When::Never => String::new(),
        When::If(condition) => format!("if {condition} {{\n{}}}", value(layout, field, here, false)?),
    };
    let absent = When::negated(present, item.versions);
    if absent != "false" && !field.ignorable {
        let set = defaults::is_set(field)?;
        let refuse = format!("{{ return Err(EncodeError::not_in_version({}, v)); }}", quoted(field));
        // Where the field is never tagged, "absent" is "not written above".
        if out.is_empty() {
            out.push_str(&format!("if {absent} && {set} {refuse}"));
        } else if field.tag.is_some() {
            out.push_str(&format!("\nif {absent} && {set} {refuse}"));
        } else {
            out.push_str(&format!(" else if {set} {refuse}"));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    Ok(out)
}

fn tags(layout: &Layout, item: &Struct) -> Result<String> {
    let known = tagged(item);
    let flex = When::new(layout.flexible, item.versions);
    let flag = if matches!(flex, When::If(_)) { "flex".to_owned() } else { flex.expr() };
    if known.is_empty() {
        return Ok(format!("w.unknown_tags({flag}, v, &self.unknown_tagged_fields)?;\n"));
    }
    let flexible = layout.flexible.intersect(item.versions);
    let mut counts = Vec::new();
    let mut writes = String::new();
    for field in known {
        let here = field.tagged.intersect(item.versions);
        let mut set = defaults::is_set(field)?;
        if let When::If(condition) = When::new(here, flexible) {
            set = format!("{condition} && {set}");
        }
        counts.push(format!("u32::from({set})"));
        writes.push_str(&format!(
            "if {set} {{\nlet start = w.begin_tag({}, &mut from, &self.unknown_tagged_fields)?;\n{}\nw.end_tag(start);\n}}\n",
            field.tag.unwrap_or_default(),
            value(layout, field, here, true)?,
        ));
    }
    let body = format!(
        "let known = {};\nw.tag_count({flag}, v, known, &self.unknown_tagged_fields)?;\nlet mut from = 0;\n{writes}\
         w.raw_tags(&self.unknown_tagged_fields, from, u32::MAX)?;\n",
        counts.join(" + ")
    );
    Ok(match flex {
        When::If(_) => {
            format!(
                "if flex {{\n{body}}} else {{\nw.tag_count(false, v, 0, &self.unknown_tagged_fields)?;\n}}\n"
            )
        }
        _ => body,
    })
}

/// Statements that write `field`, in code that runs for the versions `here`.
fn value(layout: &Layout, field: &Field, here: Versions, in_tag: bool) -> Result<String> {
    let name = quoted(field);
    let place = format!("self.{}", names::ident(&field.name));
    let flex = layout.flex(field, here);
    let null = When::new(field.nullable, here).expr();
    let may_be_null = !field.nullable.is_empty();
    let sized = |method: &str| {
        if may_be_null {
            format!("w.opt_{method}({name}, {flex}, {null}, {place}.as_ref())?;")
        } else {
            format!("w.{method}({name}, {flex}, &{place})?;")
        }
    };
    Ok(match &field.ty {
        Type::String => sized("string"),
        Type::Bytes => sized("bytes"),
        Type::Records => sized("records"),
        Type::Struct(_) => {
            let write = |place: &str| format!("{place}.write(w, v).map_err(|e| e.inside({name}, None))?;");
            if may_be_null {
                format!(
                    "w.struct_follows({name}, {in_tag}, {null}, {place}.is_some())?;\n\
                     if let Some(x) = &{place} {{ {} }}",
                    write("x")
                )
            } else {
                write(&place)
            }
        }
        Type::Array(element) if may_be_null => format!(
            "match &{place} {{\nSome(x) => {},\nNone => w.null_array({name}, {flex}, {null})?,\n}}",
            elements(element, &name, &flex, "x")?
        ),
        Type::Array(element) => format!("{};", elements(element, &name, &flex, &format!("&{place}"))?),
        other => format!("w.{}({place});", plain_type(other).to_lowercase()),
    })
}

fn elements(element: &Type, name: &str, flex: &str, list: &str) -> Result<String> {
    Ok(match element {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 | Type::Uuid => {
            format!("w.{}s({name}, {flex}, {list})?", plain_type(element).to_lowercase())
        }
        Type::String => format!("w.strings({name}, {flex}, {list})?"),
        Type::Struct(ty) => format!("w.structs({name}, {flex}, {list}, v, {ty}::write)?"),
        other => bail!("arrays of {other} are not supported"),
    })
}
