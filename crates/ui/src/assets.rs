//! The stylesheet and scripts, named by the hash of their content so that a browser may keep them for ever.

use std::sync::LazyLock;

/// Folder that the service serves [`static_file`] under.
pub const STATIC_PREFIX: &str = "/static/";

/// Caching of static files: their names change with their content.
pub const STATIC_CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// Caching of pages: kept, but asked for again each time (the service sends an `ETag`).
pub const PAGE_CACHE_CONTROL: &str = "no-cache";

/// The `Content-Security-Policy` of every page: nothing from elsewhere, no inline script or style element.
/// Only style attributes are allowed, because plots place their marks with them.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     style-src-attr 'unsafe-inline'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

struct File {
    /// Name in `static/`.
    source: &'static str,
    /// Name with the hash.
    hashed: String,
    content_type: &'static str,
    bytes: Vec<u8>,
}

/// Leaves first: a file may name those before it, and its own hash covers their names.
const SOURCES: [(&str, &str, &[u8]); 7] = [
    ("mark.svg", "image/svg+xml", include_bytes!("../static/mark.svg")),
    ("waybill.css", "text/css; charset=utf-8", include_bytes!("../static/waybill.css")),
    ("theme.js", "text/javascript; charset=utf-8", include_bytes!("../static/theme.js")),
    ("swap.js", "text/javascript; charset=utf-8", include_bytes!("../static/swap.js")),
    ("asof.js", "text/javascript; charset=utf-8", include_bytes!("../static/asof.js")),
    ("keys.js", "text/javascript; charset=utf-8", include_bytes!("../static/keys.js")),
    ("main.js", "text/javascript; charset=utf-8", include_bytes!("../static/main.js")),
];

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let mut files: Vec<File> = Vec::new();
    for (source, content_type, bytes) in SOURCES {
        let bytes = if source.ends_with(".js") { with_hashed_imports(bytes, &files) } else { bytes.to_vec() };
        let (stem, extension) = source.rsplit_once('.').unwrap_or((source, ""));
        let hashed = format!("{stem}-{:016x}.{extension}", fnv1a(&bytes));
        files.push(File { source, hashed, content_type, bytes });
    }
    files
});

/// A static file by its hashed name: content type and bytes. `None` when there is no such file, or it has
/// another hash by now.
pub fn static_file(name: &str) -> Option<(&'static str, &'static [u8])> {
    let file = FILES.iter().find(|f| f.hashed == name)?;
    Some((file.content_type, &file.bytes))
}

/// The path of a file of `static/`.
pub(crate) fn url(source: &str) -> String {
    let hashed = FILES.iter().find(|f| f.source == source).map_or(source, |f| &f.hashed);
    format!("{STATIC_PREFIX}{hashed}")
}

fn with_hashed_imports(bytes: &[u8], files: &[File]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for f in files {
        text = text.replace(&format!("'./{}'", f.source), &format!("'./{}'", f.hashed));
    }
    text.into_bytes()
}

/// FNV-1a, 64 bits: tells versions of a file apart; nothing secret rests on it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_the_names_that_pages_use() {
        for (source, content_type, _) in SOURCES {
            let path = url(source);
            let name = path.strip_prefix(STATIC_PREFIX).unwrap();
            let (found, bytes) = static_file(name).unwrap();
            assert_eq!(found, content_type);
            assert!(!bytes.is_empty());
            assert!(static_file(source).is_none(), "a name without hash must not be cached for ever");
        }
    }

    #[test]
    fn imports_name_files_that_exist() {
        for f in FILES.iter().filter(|f| f.source.ends_with(".js")) {
            let text = std::str::from_utf8(&f.bytes).unwrap();
            for line in text.lines().filter(|l| l.starts_with("import ")) {
                let name = line.split("'./").nth(1).and_then(|r| r.split('\'').next()).unwrap();
                assert!(static_file(name).is_some(), "{}: {line}", f.source);
            }
        }
    }

    #[test]
    fn sizes_stay_within_the_budget() {
        let size = |end: &str| {
            FILES.iter().filter(|f| f.source.ends_with(end)).map(|f| f.bytes.len()).sum::<usize>()
        };
        assert!(size(".css") <= 40_000, "css: {}", size(".css"));
        assert!(size(".js") <= 30_000, "js: {}", size(".js"));
    }
}
