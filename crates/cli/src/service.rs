//! Asking the visibility service, for the commands that decide something there.

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

/// Bytes of an answer, at most.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Where the commands find the service.
#[derive(Debug, Args)]
pub(crate) struct ServiceUrl {
    /// The visibility service.
    #[arg(
        long,
        global = true,
        env = "WAYBILL_VISIBILITY",
        value_name = "URL",
        default_value = "http://127.0.0.1:8090"
    )]
    pub(crate) url: String,
}

/// The service at an address.
pub(crate) struct Service<'a> {
    url: &'a str,
}

impl<'a> Service<'a> {
    pub(crate) fn at(url: &'a str) -> Self {
        Self { url: url.trim_end_matches('/') }
    }

    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut request =
            ureq::get(format!("{}{path}", self.url)).config().http_status_as_error(false).build();
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        self.answer(request.call())
    }

    pub(crate) fn post(&self, path: &str, query: &[(&str, &str)], body: &[u8]) -> anyhow::Result<Value> {
        let mut request =
            ureq::post(format!("{}{path}", self.url)).config().http_status_as_error(false).build();
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        self.answer(request.send(body))
    }

    pub(crate) fn put(&self, path: &str) -> anyhow::Result<Value> {
        let request = ureq::put(format!("{}{path}", self.url)).config().http_status_as_error(false).build();
        self.answer(request.send_empty())
    }

    fn answer(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<Value> {
        let mut response = response
            .with_context(|| format!("the visibility service at {} does not answer; mend --url", self.url))?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string()?;
        let body: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} answered {status} with something that is not JSON", self.url))?;
        if status == 200 {
            return Ok(body);
        }
        let said = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let parts = [said("title"), said("detail"), said("hint")];
        let told: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        bail!("{} ({status})", told.join("; "))
    }
}

/// A field's text, or a dash.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

/// A field's number, or 0.
pub(crate) fn number(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or(0)
}
