//! Strings of messages.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A string of a Kafka message: immutable, 16 bytes, cloned by counting a reference.
///
/// It owns its characters and does not point into the frame it was decoded from, so a topic or group name that a
/// handler keeps never pins a megabyte of records. Empty strings allocate nothing.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KString(Arc<str>);

impl KString {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared characters, without copying.
    #[must_use]
    pub fn into_arc(self) -> Arc<str> {
        self.0
    }

    /// Takes bytes off the wire; what is not UTF-8 becomes U+FFFD, as in Kafka's `new String(bytes, UTF_8)`.
    #[must_use]
    pub fn from_utf8_lossy(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok("") => Self::default(),
            Ok(text) => Self(Arc::from(text)),
            Err(_) => Self(Arc::from(&*String::from_utf8_lossy(bytes))),
        }
    }
}

impl Deref for KString {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for KString {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for KString {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for KString {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::default() } else { Self(Arc::from(text)) }
    }
}

impl From<&String> for KString {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for KString {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Arc<str>> for KString {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<KString> for Arc<str> {
    fn from(text: KString) -> Self {
        text.0
    }
}

impl From<KString> for String {
    fn from(text: KString) -> Self {
        text.0.as_ref().to_owned()
    }
}

impl PartialEq<str> for KString {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for KString {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for KString {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl fmt::Display for KString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
