//! Tables over all messages: API keys, request and response pairs, coordinator records, the registry.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::message::HEAD;
use super::names;
use super::schema::Message;

/// `generated/mod.rs`.
pub(super) fn root() -> String {
    format!(
        "{HEAD}//! What the generator writes: one module a message, and tables over all of them.\n\n\
         pub(crate) mod api_key;\nmod coordinator;\npub mod messages;\npub mod registry;\nmod requests;\n"
    )
}

/// `generated/messages/mod.rs`.
pub(super) fn message_list(messages: &[Message]) -> String {
    let mut sorted: Vec<(String, &str)> =
        messages.iter().map(|m| (names::snake(&m.name), m.name.as_str())).collect();
    sorted.sort();
    let mut out = format!("{HEAD}//! Every message, in a module of its own with its structs.\n\n");
    for (module, _) in &sorted {
        out.push_str(&format!("pub mod {module};\n"));
    }
    out.push('\n');
    for (module, name) in &sorted {
        out.push_str(&format!("pub use {module}::{name};\n"));
    }
    out
}

struct Api<'a> {
    name: &'a str,
    request: &'a Message,
    response: &'a Message,
}

fn apis(messages: &[Message]) -> Result<BTreeMap<i16, Api<'_>>> {
    let mut apis = BTreeMap::new();
    for request in messages.iter().filter(|m| m.kind == "request") {
        let key = request.key.with_context(|| format!("{} has no key", request.name))?;
        let response = messages
            .iter()
            .find(|m| m.kind == "response" && m.key == Some(key))
            .with_context(|| format!("{} has no response", request.name))?;
        let name = request.name.strip_suffix("Request").context("a request is named so")?;
        ensure!(
            response.name == format!("{name}Response"),
            "{} is answered by {}",
            request.name,
            response.name
        );
        ensure!(request.versions == response.versions, "versions of {name} differ");
        ensure!(
            request.flexible.intersect(request.versions) == response.flexible.intersect(response.versions),
            "flexible versions of {name} differ"
        );
        ensure!(apis.insert(key, Api { name, request, response }).is_none(), "key {key} is used twice");
    }
    Ok(apis)
}

/// `generated/api_key.rs`.
pub(super) fn api_keys(messages: &[Message], version: &str) -> Result<String> {
    let apis = apis(messages)?;
    let mut variants = String::new();
    let mut facts = String::new();
    for (key, api) in &apis {
        let name = api.name;
        let (min, max) = api.request.versions.0.unwrap_or_default();
        let flexible = api.request.flexible.0.map_or("i16::MAX".to_owned(), |(first, _)| first.to_string());
        let serves = |listener: &str| api.request.listeners.iter().any(|l| l == listener);
        variants.push_str(&format!("/// Key {key}, versions {}.\n{name} = {key},\n", api.request.versions));
        facts.push_str(&format!(
            "Self::{name} => &ApiFacts {{ name: {name:?}, min_version: {min}, max_version: {max}, \
             flexible_from: {flexible}, latest_version_unstable: {}, on_broker: {}, on_controller: {} }},\n",
            api.request.unstable,
            serves("broker"),
            serves("controller"),
        ));
    }
    let list = |form: fn(i16, &str) -> String| -> String {
        apis.iter().map(|(key, api)| form(*key, api.name)).collect()
    };
    let all = list(|_, name| format!("Self::{name},\n"));
    let from = list(|key, name| format!("{key} => Some(Self::{name}),\n"));
    Ok(format!(
        "{HEAD}//! The keys that name an API in a request header.\n\n\
         use crate::api::ApiFacts;\n\n\
         /// The Kafka version whose schemas these are.\npub const KAFKA_VERSION: &str = {version:?};\n\n\
         /// The API of a request; the number stands in its header.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(i16)]\n\
         pub enum ApiKey {{\n{variants}}}\n\n\
         impl ApiKey {{\n\
         /// Every API, by ascending key.\npub const ALL: &'static [Self] = &[\n{all}];\n\n\
         /// The API with this key, if there is one.\n#[must_use]\n\
         pub fn from_i16(key: i16) -> Option<Self> {{\nmatch key {{\n{from}_ => None,\n}}\n}}\n\n\
         /// What the schema says about the API.\n#[must_use]\n\
         pub fn facts(self) -> &'static ApiFacts {{\nmatch self {{\n{facts}}}\n}}\n}}\n"
    ))
}

/// `generated/requests.rs`.
pub(super) fn requests(messages: &[Message]) -> Result<String> {
    let mut out = format!("{HEAD}//! Which response answers which request.\n\n");
    out.push_str("use super::api_key::ApiKey;\nuse super::messages;\nuse crate::api::Request;\n\n");
    for api in apis(messages)?.values() {
        out.push_str(&format!(
            "impl Request for messages::{} {{\nconst KEY: ApiKey = ApiKey::{};\ntype Response = messages::{};\n}}\n\n",
            api.request.name, api.name, api.response.name
        ));
    }
    Ok(out)
}

/// `generated/coordinator.rs`.
pub(super) fn coordinator(messages: &[Message]) -> Result<String> {
    let mut out = format!("{HEAD}//! Which value belongs to which key in the coordinators' topics.\n\n");
    out.push_str("use super::messages;\nuse crate::coordinator::CoordinatorKey;\n\n");
    for key in messages.iter().filter(|m| m.kind == "coordinator-key") {
        let id = key.key.with_context(|| format!("{} has no type", key.name))?;
        let value = format!("{}Value", key.name.strip_suffix("Key").context("a key is named so")?);
        ensure!(messages.iter().any(|m| m.name == value), "{value} is missing");
        ensure!(key.versions.0 == Some((0, 0)), "{} has versions other than 0", key.name);
        out.push_str(&format!(
            "impl CoordinatorKey for messages::{} {{\nconst ID: i16 = {id};\ntype Value = messages::{value};\n}}\n\n",
            key.name
        ));
    }
    Ok(out)
}

/// `generated/registry.rs`.
pub(super) fn registry(messages: &[Message]) -> String {
    let mut out =
        format!("{HEAD}//! Every message behind one type, for tools that walk over all of them.\n\n");
    out.push_str("use super::messages;\nuse crate::erased::{Kind, MessageInfo};\n\n");
    out.push_str("/// Every message.\npub static MESSAGES: &[MessageInfo] = &[\n");
    for message in messages {
        let kind = match message.kind.as_str() {
            "request" => "Request",
            "response" => "Response",
            "header" => "Header",
            "coordinator-key" => "CoordinatorKey",
            "coordinator-value" => "CoordinatorValue",
            _ => "Data",
        };
        let key = message.key.map_or("None".to_owned(), |key| format!("Some({key})"));
        out.push_str(&format!("MessageInfo::of::<messages::{}>(Kind::{kind}, {key}),\n", message.name));
    }
    out.push_str("];\n");
    out
}
