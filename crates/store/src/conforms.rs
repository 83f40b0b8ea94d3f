//! What every object store must do, to be run on each of them: by tests only.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use bytes::Bytes;

use crate::{ObjectStore, StoreError};

/// Bytes of an object in parts.
#[must_use]
pub fn parts(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

/// On a store, or a prefix of one, that is empty.
pub async fn conforms(store: &dyn ObjectStore) {
    let name = "seg/3f/00000000000000000017";
    assert!(matches!(store.get(name, 0..1).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.len(name).await, Err(StoreError::NotFound(_))));
    assert!(store.list("seg/").await.unwrap().is_empty());
    store.delete(name).await.unwrap();

    store.put(name, parts(&["hello", "", " world"])).await.unwrap();
    assert_eq!(store.len(name).await.unwrap(), 11);
    assert_eq!(store.get(name, 0..11).await.unwrap(), "hello world");
    assert_eq!(store.get(name, 4..7).await.unwrap(), "o w");
    // A range that ends behind the object is shorter; one that starts there is empty.
    assert_eq!(store.get(name, 9..1 << 40).await.unwrap(), "ld");
    assert_eq!(store.get(name, 20..30).await.unwrap(), "");

    // Create only if absent: the bytes never change.
    assert!(matches!(store.put(name, parts(&["other"])).await, Err(StoreError::Exists(_))));
    assert_eq!(store.get(name, 0..11).await.unwrap(), "hello world");

    store.put_gently("seg/40/00000000000000000018", parts(&["a", "b"])).await.unwrap();
    assert!(matches!(store.put_gently(name, parts(&["x"])).await, Err(StoreError::Exists(_))));
    assert_eq!(store.get("seg/40/00000000000000000018", 0..9).await.unwrap(), "ab");
    store.put("control/probe", parts(&["x"])).await.unwrap();
    let mut names = store.list("seg/").await.unwrap();
    names.sort();
    assert_eq!(names, [name, "seg/40/00000000000000000018"]);
    assert_eq!(store.list("seg/3").await.unwrap(), [name]);
    assert_eq!(store.list("").await.unwrap().len(), 3);

    store.delete(name).await.unwrap();
    store.delete(name).await.unwrap();
    assert!(matches!(store.get(name, 0..1).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.list("seg/").await.unwrap(), ["seg/40/00000000000000000018"]);
    // A name is free again once its object is deleted.
    store.put(name, parts(&["again"])).await.unwrap();
    assert_eq!(store.get(name, 0..9).await.unwrap(), "again");

    let all =
        ["seg/40/00000000000000000018", name, "seg/never/was", "control/probe"].map(str::to_owned).to_vec();
    assert!(store.delete_many(all).await.iter().all(Result::is_ok));
    assert!(store.list("").await.unwrap().is_empty());
    // An empty object is an object.
    store.put("seg/00/empty", Vec::new()).await.unwrap();
    assert_eq!(store.len("seg/00/empty").await.unwrap(), 0);
    assert_eq!(store.get("seg/00/empty", 0..8).await.unwrap(), "");
    store.delete("seg/00/empty").await.unwrap();
}
