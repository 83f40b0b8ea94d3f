//! Where objects live, as a URL says it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// A kind of store in a cloud, or that speaks the protocol of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Cloud {
    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// What its operators call a bucket.
    #[must_use]
    pub fn bucket_word(self) -> &'static str {
        if self == Self::Azure { "container" } else { "bucket" }
    }
}

/// Where objects live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// Below a folder.
    Folder(PathBuf),
    /// In a bucket, below a prefix.
    Bucket {
        /// Whose.
        cloud: Cloud,
        /// The bucket's (Azure: the container's) name.
        bucket: String,
        /// Azure: the storage account, where the URL names it.
        account: Option<String>,
        /// What all names start with: empty, or segments with a `/` behind each.
        prefix: String,
    },
}

/// A URL that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{url}' is not a place for storage: {why}; expected file:///folder, s3://bucket[/prefix], gs://bucket[/prefix] or az://[container@]account-or-container[/prefix]"
)]
pub struct LocationError {
    url: String,
    why: String,
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let fault = |why: &str| LocationError { url: text.to_owned(), why: why.to_owned() };
        // A relative folder after `file://` would be taken for a host.
        if let Some(path) = text.strip_prefix("file://") {
            return match path.strip_prefix("localhost").unwrap_or(path) {
                path if !path.starts_with('/') => Err(fault("a folder must be absolute (three slashes)")),
                path => Ok(Self::Folder(Path::new(path).components().collect())),
            };
        }
        let url = Url::parse(text).map_err(|error| fault(&error.to_string()))?;
        let cloud = match url.scheme() {
            "s3" => Cloud::S3,
            "gs" => Cloud::Gcs,
            "az" => Cloud::Azure,
            other => return Err(fault(&format!("unknown scheme '{other}'"))),
        };
        if url.query().is_some()
            || url.fragment().is_some()
            || url.password().is_some()
            || url.port().is_some()
        {
            return Err(fault(
                "no password, port, query or fragment belongs there; use environment variables",
            ));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let (bucket, account) = match (cloud, url.username()) {
            (_, "") => (host, None),
            (Cloud::Azure, container) => (container.to_owned(), Some(host)),
            _ => return Err(fault("no user belongs there; use environment variables")),
        };
        if bucket.is_empty() {
            return Err(fault(&format!("the {} is missing", cloud.bucket_word())));
        }
        let prefix = parse_prefix(url.path()).ok_or_else(|| {
            fault("a prefix is made of parts of letters, digits, '.', '_' and '-', joined by '/'")
        })?;
        Ok(Self::Bucket { cloud, bucket, account, prefix })
    }
}

fn parse_prefix(path: &str) -> Option<String> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Some(String::new());
    }
    crate::names::is_name(path).then(|| format!("{path}/"))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Bucket { cloud, bucket, account: None, prefix } => {
                write!(f, "{}://{bucket}/{prefix}", cloud.scheme())
            }
            Self::Bucket { cloud, bucket, account: Some(account), prefix } => {
                write!(f, "{}://{bucket}@{account}/{prefix}", cloud.scheme())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> (Cloud, String, Option<String>, String) {
        match text.parse() {
            Ok(Location::Bucket { cloud, bucket, account, prefix }) => (cloud, bucket, account, prefix),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_understood() {
        assert_eq!("file:///var/lib/wb/".parse(), Ok(Location::Folder("/var/lib/wb".into())));
        let s3 = |prefix: &str| (Cloud::S3, "events".to_owned(), None, prefix.to_owned());
        assert_eq!(bucket("s3://events"), s3(""));
        assert_eq!(bucket("s3://events/"), s3(""));
        assert_eq!(bucket("s3://events/eu/prod_1/"), s3("eu/prod_1/"));
        assert_eq!(bucket("gs://b.example.com/x").0, Cloud::Gcs);
        assert_eq!(bucket("az://box/x"), (Cloud::Azure, "box".into(), None, "x/".into()));
        assert_eq!(bucket("az://box@acct"), (Cloud::Azure, "box".into(), Some("acct".into()), String::new()));
        assert_eq!("s3://events/eu".parse::<Location>().unwrap().to_string(), "s3://events/eu/");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("file://relative/x", "absolute"),
            ("/var/lib/wb", "relative URL"),
            ("http://host/x", "unknown scheme 'http'"),
            ("s3:///x", "bucket is missing"),
            ("s3://key:secret@b/x", "no password"),
            ("s3://key@b/x", "no user"),
            ("s3://b/x?y=1", "query"),
            ("s3://b/a//b", "a prefix is made of"),
            ("s3://b/a b", "a prefix is made of"),
        ];
        for (text, why) in cases {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
