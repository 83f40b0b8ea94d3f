//! The decoder of a struct.

use anyhow::{Result, bail};

use super::code::When;
use super::layout::{Layout, Struct, plain_type, quoted, tagged};
use super::schema::{Field, Type, Versions};
use super::{defaults, names};

/// The body of `fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError>`.
pub(super) fn body(layout: &Layout, item: &Struct) -> Result<String> {
    let mut out = String::new();
    for field in &item.fields {
        out.push_str(&plain(layout, item, field)?);
    }
    if layout.has_tags() {
        out.push_str(&tags(layout, item)?);
    }
    let mut members: Vec<String> = item.fields.iter().map(|f| names::ident(&f.name)).collect();
    if layout.has_tags() {
        members.push("unknown_tagged_fields".to_owned());
    }
    out.push_str(&format!("Ok(Self {{ {} }})\n", members.join(", ")));
    Ok(out)
}

/// The versions of `item` in which `field` stands in its ordinary place, not among the tagged ones.
pub(super) fn untagged(item: &Struct, field: &Field) -> Versions {
    let present = field.versions.intersect(item.versions);
    match (present.0, field.tagged.intersect(item.versions).0) {
        (Some((low, _)), Some((first, _))) if low < first => Versions(Some((low, first - 1))),
        (_, Some(_)) => Versions::NONE,
        _ => present,
    }
}

fn plain(layout: &Layout, item: &Struct, field: &Field) -> Result<String> {
    let name = names::ident(&field.name);
    let here = untagged(item, field);
    let mutable = if field.tagged.intersect(item.versions).is_empty() { "" } else { "mut " };
    let default = defaults::value(field)?;
    Ok(match When::new(here, item.versions) {
        When::Always => format!("let {mutable}{name} = {};\n", value(layout, field, here, false)?),
        When::Never => format!("let {mutable}{name} = {default};\n"),
        When::If(condition) => {
            let read = value(layout, field, here, false)?;
            format!("let {mutable}{name} = if {condition} {{ {read} }} else {{ {default} }};\n")
        }
    })
}

fn tags(layout: &Layout, item: &Struct) -> Result<String> {
    let known = tagged(item);
    let flex = When::new(layout.flexible, item.versions);
    if known.is_empty() {
        let flex = if matches!(flex, When::If(_)) { "flex".to_owned() } else { flex.expr() };
        return Ok(format!("let unknown_tagged_fields = r.unknown_tags({flex})?;\n"));
    }
    let flexible = layout.flexible.intersect(item.versions);
    let mut arms = String::new();
    for field in known {
        let here = field.tagged.intersect(item.versions);
        let guard = match When::new(here, flexible) {
            When::If(condition) => format!("r.check_tag({}, v, {condition})?; ", quoted(field)),
            _ => String::new(),
        };
        let read = value(layout, field, here, true)?;
        let tag = field.tag.unwrap_or_default();
        arms.push_str(&format!("{tag} => {{ {guard}{} = {read}; }}\n", names::ident(&field.name)));
    }
    let body = format!(
        "for _ in 0..r.tag_count()? {{\nlet scope = r.begin_tag()?;\nmatch scope.tag {{\n{arms}\
         _ => r.keep_tag(&scope, &mut unknown_tagged_fields)?,\n}}\nr.end_tag(scope)?;\n}}\nunknown_tagged_fields.settle();\n"
    );
    let guarded = match flex {
        When::If(_) => format!("if flex {{\n{body}}}\n"),
        _ => body,
    };
    Ok(format!("let mut unknown_tagged_fields = UnknownTaggedFields::default();\n{guarded}"))
}

/// An expression that reads `field`, in code that runs for the versions `here`.
fn value(layout: &Layout, field: &Field, here: Versions, in_tag: bool) -> Result<String> {
    let name = quoted(field);
    let flex = layout.flex(field, here);
    let null = When::new(field.nullable, here).expr();
    let may_be_null = !field.nullable.is_empty();
    let fixed = |method: &str| format!("r.{method}({name})?");
    let sized = |method: &str| {
        if may_be_null {
            format!("r.opt_{method}({name}, {flex}, {null})?")
        } else {
            format!("r.{method}({name}, {flex})?")
        }
    };
    Ok(match &field.ty {
        Type::String => sized("string"),
        Type::Bytes => sized("bytes"),
        Type::Records => sized("records"),
        Type::Struct(ty) => {
            let read = format!("{ty}::read(r, v).map_err(|e| e.inside({name}, None))?");
            match null.as_str() {
                _ if !may_be_null => read,
                "true" => {
                    format!("if r.struct_follows({name}, {in_tag})? {{ Some({read}) }} else {{ None }}")
                }
                "false" => format!("Some({read})"),
                _ => format!(
                    "if {} || r.struct_follows({name}, {in_tag})? {{ Some({read}) }} else {{ None }}",
                    When::negated(field.nullable, here)
                ),
            }
        }
        Type::Array(element) => {
            let size = layout.min_size(element, here);
            let room = format!("{size}, size_of::<{}>()", plain_type(element));
            let list = elements(element, &name, &flex)?;
            if may_be_null {
                format!(
                    "match r.opt_array_len({name}, {flex}, {null}, {room})? \
                     {{ Some(n) => Some({list}), None => None }}"
                )
            } else {
                format!("{{ let n = r.array_len({name}, {flex}, {room})?; {list} }}")
            }
        }
        other => fixed(&plain_type(other).to_lowercase()),
    })
}

fn elements(element: &Type, name: &str, flex: &str) -> Result<String> {
    Ok(match element {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 | Type::Uuid => {
            format!("r.{}s({name}, n)?", plain_type(element).to_lowercase())
        }
        Type::String => format!("r.strings({name}, n, {flex})?"),
        Type::Struct(ty) => format!("r.structs({name}, n, v, {ty}::read)?"),
        other => bail!("arrays of {other} are not supported"),
    })
}
