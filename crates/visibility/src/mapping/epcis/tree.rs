//! XML as a tree of elements with namespaces resolved. No document type, no entities but XML's own five.

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use crate::mapping::Refusal;

/// Elements within one another, at most.
const MAX_DEPTH: usize = 64;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// The namespace it is in; empty for none.
    pub(super) namespace: String,
    /// The prefix that it was written with.
    pub(super) prefix: String,
    /// Its name without a prefix.
    pub(super) name: String,
    /// Attributes: namespace, prefix, name, value. Declarations of namespaces are left out.
    pub(super) attributes: Vec<Attribute>,
    /// What lies in it.
    pub(super) children: Vec<Element>,
    /// Its text, without what lies in it.
    pub(super) text: String,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) namespace: String,
    pub(super) prefix: String,
    pub(super) name: String,
    pub(super) value: String,
}

impl Element {
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|known| known.namespace.is_empty() && known.name == name);
        found.map(|attribute| attribute.value.as_str())
    }

    /// Its text without the white space around it.
    pub(super) fn words(&self) -> &str {
        self.text.trim()
    }
}

fn fault(reader: &NsReader<&[u8]>, what: impl std::fmt::Display) -> Refusal {
    Refusal::new("not_xml", format!("{what} (at byte {})", reader.buffer_position()))
}

/// Reads a document.
///
/// # Errors
/// It is not well formed, declares a document type, or nests too deep.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, Refusal> {
    let mut reader = NsReader::from_reader(bytes);
    reader.config_mut().check_end_names = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    loop {
        let event = reader.read_event().map_err(|error| fault(&reader, error))?;
        match event {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(fault(&reader, "elements nest too deep"));
                }
                if root.is_some() && open.is_empty() {
                    return Err(fault(&reader, "there is a second root element"));
                }
                open.push(element(&reader, &start)?);
            }
            Event::Empty(start) => {
                if root.is_some() && open.is_empty() {
                    return Err(fault(&reader, "there is a second root element"));
                }
                let element = element(&reader, &start)?;
                close(element, &mut open, &mut root);
            }
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    close(element, &mut open, &mut root);
                }
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|error| fault(&reader, error))?;
                match open.last_mut() {
                    Some(element) => element.text.push_str(&text),
                    None if text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').is_empty() => {}
                    None => return Err(fault(&reader, "there is text outside the root element")),
                }
            }
            Event::CData(data) => {
                let text = data.decode().map_err(|error| fault(&reader, error))?;
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text);
                }
            }
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(|error| fault(&reader, error))?;
                let text = entity(&name).ok_or_else(|| fault(&reader, format!("&{name}; is not known")))?;
                if let Some(element) = open.last_mut() {
                    element.text.push(text);
                }
            }
            Event::DocType(_) => return Err(fault(&reader, "document types are not read")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if let Some(element) = open.last() {
        return Err(fault(&reader, format!("<{}> is not closed", element.name)));
    }
    root.ok_or_else(|| fault(&reader, "there is no element"))
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(holder) => holder.children.push(element),
        None => *root = root.take().or(Some(element)),
    }
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn namespace(resolved: &ResolveResult<'_>) -> Option<String> {
    match resolved {
        ResolveResult::Bound(Namespace(name)) => Some(utf8(name)),
        ResolveResult::Unbound => Some(String::new()),
        ResolveResult::Unknown(_) => None,
    }
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, Refusal> {
    let undeclared = |name: &[u8]| {
        fault(reader, format!("the prefix of {} is not declared", String::from_utf8_lossy(name)))
    };
    let name = start.name();
    let (resolved, local) = reader.resolver().resolve_element(name);
    let mut element = Element {
        namespace: namespace(&resolved).ok_or_else(|| undeclared(name.as_ref()))?,
        prefix: name.prefix().map(|prefix| utf8(prefix.as_ref())).unwrap_or_default(),
        name: utf8(local.as_ref()),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| fault(reader, error))?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (resolved, local) = reader.resolver().resolve_attribute(attribute.key);
        let raw = String::from_utf8_lossy(&attribute.value);
        let value = quick_xml::escape::unescape(&raw).map_err(|error| fault(reader, error))?;
        element.attributes.push(Attribute {
            namespace: namespace(&resolved).ok_or_else(|| undeclared(attribute.key.as_ref()))?,
            prefix: attribute.key.prefix().map(|prefix| utf8(prefix.as_ref())).unwrap_or_default(),
            name: utf8(local.as_ref()),
            value: value.into_owned(),
        });
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_read_and_what_is_none_is_refused() {
        let text = r#"<?xml version="1.0"?><!-- c --><a:x xmlns:a="urn:a" a:k="1 &amp; 2"> t&#65;<y>&lt;<![CDATA[<z>]]></y></a:x>"#;
        let root = parse(text.as_bytes()).unwrap();
        assert_eq!((root.namespace.as_str(), root.prefix.as_str(), root.name.as_str()), ("urn:a", "a", "x"));
        assert_eq!(root.attributes[0].value, "1 & 2");
        assert_eq!(root.words(), "tA");
        assert_eq!(root.child("y").unwrap().words(), "<<z>");
        let deep = "<a>".repeat(65) + &"</a>".repeat(65);
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<b:a/>",
            "<a>&nbsp;</a>",
            "<a b='1' b='2'/>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            deep.as_str(),
        ] {
            assert_eq!(parse(bad.as_bytes()).unwrap_err().code, "not_xml", "{bad}");
        }
    }
}
