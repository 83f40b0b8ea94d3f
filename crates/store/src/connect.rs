//! From a URL and the usual environment variables to a store.

use std::net::IpAddr;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use waybill_rt::{Running, SharedDisk, SharedEntropy};

use crate::api::SharedStore;
use crate::cloud::{self, CloudStore};
use crate::disk_store::{DiskStore, Sharing};
use crate::location::{Cloud, Location};

/// Where an S3 endpoint may be named, the first that is set counts.
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];

/// Why no store can be made of a URL and the environment.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The folder can not be used.
    #[error("{location} can not be used: {error}")]
    Folder {
        /// The URL.
        location: Location,
        /// What happened.
        error: std::io::Error,
    },
    /// A variable contradicts another, or is wrong.
    #[error("{location} can not be used: {why}")]
    Settings {
        /// The URL.
        location: Location,
        /// What to change.
        why: String,
    },
}

/// Variables as `std::env::vars` gives them, passed in.
pub type Variables = Vec<(String, String)>;

/// What a folder needs from this machine.
#[derive(Clone)]
pub struct FolderSeams {
    /// The disk.
    pub disk: SharedDisk,
    /// Chance, for names of unfinished files.
    pub entropy: SharedEntropy,
    /// Where calls that wait run.
    pub running: Running,
    /// Whether other processes create objects in the same folder.
    pub sharing: Sharing,
}

/// Makes a store. Reaches no network: whether it answers, the probe tells.
///
/// # Errors
/// A [`ConnectError`] that names what to change.
pub fn connect(
    location: &Location,
    variables: &Variables,
    folder: &FolderSeams,
) -> Result<SharedStore, ConnectError> {
    match location {
        Location::Folder(path) => {
            let opened = DiskStore::open_as(
                Arc::clone(&folder.disk),
                path,
                folder.running,
                folder.sharing,
                &*folder.entropy,
            );
            let store = opened.map_err(|error| ConnectError::Folder { location: location.clone(), error })?;
            Ok(Arc::new(store))
        }
        Location::Bucket { .. } => Ok(Arc::new(connect_bucket(location, variables)?)),
    }
}

/// As [`connect`], for a bucket, whose plain client others may need too.
///
/// # Errors
/// A [`ConnectError`] that names what to change; also when the location is a folder.
pub fn connect_bucket(location: &Location, variables: &Variables) -> Result<CloudStore, ConnectError> {
    let Location::Bucket { cloud, bucket, account, prefix } = location else {
        let why = "it is a folder, not a bucket".to_owned();
        return Err(ConnectError::Settings { location: location.clone(), why });
    };
    let store = match cloud {
        Cloud::S3 => s3(bucket, prefix, variables),
        Cloud::Gcs => gcs(bucket, prefix, variables),
        Cloud::Azure => azure(bucket, account.as_deref(), prefix, variables),
    };
    store.map_err(|why| ConnectError::Settings { location: location.clone(), why })
}

fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes"))
}

fn find<'a>(variables: &'a Variables, names: &[&str]) -> Option<&'a str> {
    let value = |name: &&str| {
        variables
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    };
    names.iter().find_map(value)
}

/// Whether the endpoint is without TLS, which must be allowed on purpose.
fn plain_http(endpoint: Option<&str>, allowed: bool) -> Result<bool, String> {
    match endpoint {
        Some(url) if url.starts_with("http://") && !allowed => {
            Err(format!("the endpoint {url} is without TLS; set AWS_ALLOW_HTTP=true to allow that"))
        }
        Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
            Err(format!("AWS_ENDPOINT_URL must begin with http:// or https://, not '{url}'"))
        }
        _ => Ok(allowed),
    }
}

/// The host of an endpoint's URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

fn is_local(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether what is sent need not be signed, beside the request: that took a third of a broker's CPU time. TLS protects it on its
/// way, and so does a way that does not leave this machine; the log's own checksums tell damage from loss at any time.
fn needs_no_signature(endpoint: Option<&str>) -> bool {
    endpoint.is_none_or(|url| !url.starts_with("http://") || is_local(url))
}

/// Whether a bucket is on a server of one's own, where a request costs time and no money: its endpoint is an address that is not
/// public, or a name that only a private network knows.
#[must_use]
pub fn is_private(location: &Location, variables: &Variables) -> bool {
    let Location::Bucket { cloud: Cloud::S3, .. } = location else { return false };
    let Some(url) = find(variables, &ENDPOINTS) else { return false };
    match host(url).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => {
            let name = host(url);
            !name.contains('.') || [".local", ".internal", ".lan"].iter().any(|end| name.ends_with(end))
        }
    }
}

fn s3(bucket: &str, prefix: &str, variables: &Variables) -> Result<CloudStore, String> {
    let endpoint = find(variables, &ENDPOINTS);
    let allowed = is_true(find(variables, &["AWS_ALLOW_HTTP"]));
    let (key, secret) =
        (find(variables, &["AWS_ACCESS_KEY_ID"]), find(variables, &["AWS_SECRET_ACCESS_KEY"]));
    match (key, secret) {
        (Some(_), None) => return Err("AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not".to_owned()),
        (None, Some(_)) => return Err("AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not".to_owned()),
        _ => {}
    }
    let mut builder = AmazonS3Builder::new()
        .with_client_options(cloud::client(plain_http(endpoint, allowed)?))
        .with_retry(cloud::once());
    for (key, value) in variables.iter().filter(|(key, value)| key.starts_with("AWS_") && !value.is_empty()) {
        if let Ok(key) = key.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    if find(variables, &["AWS_UNSIGNED_PAYLOAD"]).is_none() {
        builder = builder.with_unsigned_payload(needs_no_signature(endpoint));
    }
    let builder = builder.with_bucket_name(bucket);
    let remote = builder.build().map_err(|error| error.to_string())?;
    Ok(CloudStore::new(Arc::new(remote), prefix.to_owned()))
}

fn gcs(bucket: &str, prefix: &str, variables: &Variables) -> Result<CloudStore, String> {
    let mut builder =
        GoogleCloudStorageBuilder::new().with_client_options(cloud::client(false)).with_retry(cloud::once());
    if let Some(path) = find(variables, &["SERVICE_ACCOUNT"]) {
        builder = builder.with_service_account_path(path);
    }
    for (key, value) in
        variables.iter().filter(|(key, value)| key.starts_with("GOOGLE_") && !value.is_empty())
    {
        if let Ok(key) = key.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let remote = builder.with_bucket_name(bucket).build().map_err(|error| error.to_string())?;
    Ok(CloudStore::new(Arc::new(remote), prefix.to_owned()))
}

fn azure(
    container: &str,
    account: Option<&str>,
    prefix: &str,
    variables: &Variables,
) -> Result<CloudStore, String> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(cloud::client(is_true(find(variables, &["AZURE_ALLOW_HTTP"]))))
        .with_retry(cloud::once());
    for (key, value) in variables.iter().filter(|(key, value)| key.starts_with("AZURE_") && !value.is_empty())
    {
        if let Ok(key) = key.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(account) = account {
        // `acct` or `acct.blob.core.windows.net`.
        builder = builder.with_account(account.split('.').next().unwrap_or(account));
    }
    let remote = builder.with_container_name(container).build().map_err(|error| error.to_string())?;
    Ok(CloudStore::new(Arc::new(remote), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_rt::{RealDisk, SeededEntropy};

    fn seams() -> FolderSeams {
        FolderSeams {
            disk: RealDisk::shared(),
            entropy: SeededEntropy::shared(1),
            running: Running::Inline,
            sharing: Sharing::Alone,
        }
    }

    fn try_connect(url: &str, variables: &[(&str, &str)]) -> Result<SharedStore, String> {
        let variables =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        connect(&url.parse().unwrap(), &variables, &seams()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn variables_are_checked_before_anything_is_asked() {
        let key = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
        assert!(try_connect("s3://events/eu", &key).is_ok());
        let half = try_connect("s3://events", &key[..1]).err().unwrap();
        assert!(half.contains("AWS_SECRET_ACCESS_KEY is not"), "{half}");
        let plain = [key[0], key[1], ("AWS_ENDPOINT_URL", "http://127.0.0.1:9")];
        let refused = try_connect("s3://events", &plain).err().unwrap();
        assert!(refused.contains("AWS_ALLOW_HTTP=true"), "{refused}");
        let allowed = [plain[0], plain[1], plain[2], ("AWS_ALLOW_HTTP", "true")];
        assert!(try_connect("s3://events", &allowed).is_ok());
        let odd = [key[0], key[1], ("AWS_ENDPOINT_URL", "127.0.0.1:9")];
        assert!(try_connect("s3://events", &odd).err().unwrap().contains("must begin with"));
        assert!(try_connect("az://box@acct/x", &[("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")]).is_ok());
    }

    #[test]
    fn servers_of_ones_own_are_told_from_those_that_send_bills() {
        let is = |location: &str, url: &str| {
            let variables = vec![("AWS_ENDPOINT_URL".to_owned(), url.to_owned())];
            is_private(&location.parse().unwrap(), &variables)
        };
        for own in [
            "http://127.0.0.1:8333",
            "https://10.1.2.3/x",
            "http://[fd00::1]:80",
            "http://minio:9000",
            "https://s3.corp.internal",
        ] {
            assert!(is("s3://events", own), "{own}");
        }
        for billed in [
            "https://s3.eu-west-1.amazonaws.com",
            "https://52.95.1.1",
            "https://acct.r2.cloudflarestorage.com",
            "http://[2600::1]",
        ] {
            assert!(!is("s3://events", billed), "{billed}");
        }
        assert!(
            !is("gs://events", "http://127.0.0.1:1")
                && !is_private(&"s3://events".parse().unwrap(), &Vec::new())
        );
    }

    #[test]
    fn what_is_sent_is_signed_where_nothing_else_protects_it() {
        assert!(needs_no_signature(None));
        for protected in
            ["https://s3.example.com", "http://127.0.0.1:8333", "http://localhost:9000", "http://[::1]:1"]
        {
            assert!(needs_no_signature(Some(protected)), "{protected}");
        }
        for open in ["http://10.0.0.5:9000", "http://minio:9000", "http://127.0.0.1.example.com"] {
            assert!(!needs_no_signature(Some(open)), "{open}");
        }
    }
}
