//! The contrast of text and of control borders, computed from the colours in the stylesheet (WCAG 2.2: 1.4.3
//! and 1.4.11), in light, dark by the system, and dark by choice.

use std::collections::BTreeMap;

const CSS: &str = include_str!("../static/waybill.css");

type Tokens = BTreeMap<String, [f64; 3]>;

/// The `--name:#rrggbb` of the block that starts with `selector`.
fn tokens(selector: &str) -> Tokens {
    let start = CSS.find(selector).unwrap_or_else(|| panic!("{selector} is in the stylesheet"));
    let block = CSS[start + selector.len()..].split('}').next().expect("a block ends");
    let mut out = Tokens::new();
    for declaration in block.split(';') {
        let Some((name, value)) = declaration.trim().split_once(':') else { continue };
        let Some(hex) = value.trim().strip_prefix('#') else { continue };
        assert_eq!(hex.len(), 6, "{name}");
        let channel = |i: usize| f64::from(u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")) / 255.0;
        out.insert(name.trim_start_matches("--").to_owned(), [channel(0), channel(2), channel(4)]);
    }
    out
}

fn luminance(c: [f64; 3]) -> f64 {
    let linear = c.map(|v| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (x, y) = (luminance(a), luminance(b));
    (x.max(y) + 0.05) / (x.min(y) + 0.05)
}

fn check(theme: &str, t: &Tokens) {
    let pair = |text: &str, ground: &str, least: f64| {
        let found = contrast(t[text], t[ground]);
        assert!(found >= least, "{theme}: {text} on {ground} is {found:.2}, at least {least} is needed");
    };
    for ground in ["bg", "surface", "sunken"] {
        for text in ["ink", "ink2", "ink3", "link", "late", "risk", "ok", "past"] {
            pair(text, ground, 4.5);
        }
        pair("edge", ground, 3.0);
        pair("focus", ground, 3.0);
    }
    for text in ["ink", "ink2", "ink3", "link", "late", "risk", "ok"] {
        pair(text, "sel", 4.5);
    }
    for text in ["ink", "ink2", "past", "link"] {
        pair(text, "past-bg", 4.5);
    }
    for status in ["late", "risk", "ok"] {
        pair(status, &format!("{status}-bg"), 4.5);
    }
    pair("on", "link", 4.5);
}

#[test]
fn text_and_borders_are_readable_in_every_theme() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
    let light = tokens(":root{");
    let (system, chosen) = (tokens(":root:not([data-theme=light]){"), tokens(":root[data-theme=dark]{"));
    assert!(light.len() >= 20);
    assert_eq!(system, chosen, "dark is the same however it was chosen");
    check("light", &light);
    check("dark", &chosen);
}

#[test]
fn no_colour_is_written_outside_the_token_blocks() {
    let body = CSS.split("*{box-sizing").nth(1).expect("rules follow the tokens");
    assert!(!body.contains('#') && !body.contains("rgb(") && !body.contains("hsl("));
}
