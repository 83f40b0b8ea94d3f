//! What object names look like: the same on every store.

/// The deepest folder an object's name may lead into.
const MAX_DEPTH: usize = 8;

/// Whether a name is segments of `[0-9a-zA-Z._-]` joined by `/`, none of them `.` or `..`.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.split('/').count() <= MAX_DEPTH
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain))
}
