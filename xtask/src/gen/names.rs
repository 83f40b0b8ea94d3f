//! Kafka's names in Rust's case.

const KEYWORDS: [&str; 6] = ["type", "match", "move", "ref", "use", "where"];

/// `TopicData` becomes `topic_data`.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (position, c) in chars.iter().enumerate() {
        let before = position.checked_sub(1).and_then(|p| chars.get(p));
        let after = chars.get(position + 1);
        let starts_word = c.is_ascii_uppercase()
            && before.is_some_and(|b| !b.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase));
        if starts_word && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A field's identifier: snake case, raw where Rust reserves the word.
pub(super) fn ident(name: &str) -> String {
    let name = snake(name);
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}
