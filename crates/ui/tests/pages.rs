//! Pages from fixed views: one snapshot a state, size budgets, and hostile text in every field.

mod fixed;

use fixed::{at, frame, hostile, order, others, search, stale_frame, subject, views};
use waybill_ui::pages::problem::{NotFoundView, ProblemView, not_found, problem};
use waybill_ui::pages::{
    order as order_page, quarantine as quarantine_page, rebuild as rebuild_page, search as search_page,
};

const HTML_BUDGET: usize = 60_000;

/// The document cut into lines, so that a difference in a snapshot is readable; hashes of static files and the
/// sprite are left out, because they have tests of their own.
fn lines(html: &str) -> String {
    let main = html.split("<div class=\"app\">").nth(1).expect("a page has its frame");
    main.replace("><", ">\n<")
}

fn assert_page(name: &str, html: &str) {
    assert!(html.len() <= HTML_BUDGET, "{name}: {} bytes", html.len());
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(!html.contains("<script>") && !html.contains("<style"), "{name}: inline script or style element");
    assert!(!html.contains(" onclick") && !html.contains("javascript:"), "{name}: inline handler");
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, lines(html));
    });
}

#[test]
fn order_in_every_state() {
    assert_page("order-now", &order_page::document(&order::view(None)));
    assert_page("order-past", &order_page::document(&order::view(Some(at(2015, 3, 20, 12, 0)))));
    assert_page("order-before-first", &order_page::document(&order::view(Some(at(2014, 1, 1, 0, 0)))));
    let mut stale = order::view(None);
    stale.frame = stale_frame();
    assert_page("order-stale", &order_page::document(&stale));
    assert_page("order-incomplete", &order_page::document(&others::incomplete()));
    assert_page("order-old", &order_page::document(&others::old()));
    assert_page("order-bare", &order_page::document(&others::bare()));
}

#[test]
fn search_in_every_state() {
    assert_page("search-overview", &search_page::document(&search::overview()));
    assert_page("search-results", &search_page::document(&search::results()));
    assert_page("search-no-match", &search_page::document(&search::no_match()));
    assert_page("search-empty", &search_page::document(&search::empty()));
}

#[test]
fn rebuild_in_every_state() {
    let promote =
        |html: &str| html.split("data-to=\"P\"").nth(1).is_some_and(|rest| rest.starts_with(" disabled"));
    for (name, view, off) in [
        ("rebuild-keeping", views::keeping(), true),
        ("rebuild-running", views::running(), true),
        ("rebuild-compared", views::compared(), false),
        ("rebuild-unexplained", views::unexplained(), true),
    ] {
        let html = rebuild_page::document(&view);
        assert_page(name, &html);
        assert_eq!(promote(&html), off, "{name}: whether it can be promoted");
    }
    assert_page("rebuild-idle", &rebuild_page::document(&views::idle()));
    let promoted = rebuild_page::document(&views::promoted());
    assert_page("rebuild-promoted", &promoted);
    assert!(promoted.contains("action=\"/rebuild/41/rollback\""));
    let (document, fragment) =
        (rebuild_page::document(&views::compared()), rebuild_page::fragment(&views::compared()));
    assert!(document.contains(fragment.split_once("<main").expect("main").1));
}

#[test]
fn quarantine_in_every_state() {
    assert_page("quarantine", &quarantine_page::document(&views::quarantine()));
    assert_page("quarantine-text", &quarantine_page::document(&views::quarantine_text()));
    assert_page("quarantine-empty", &quarantine_page::document(&views::quarantine_empty()));
    assert_page("quarantine-decided", &quarantine_page::document(&views::quarantine_decided()));
    let (document, fragment) =
        (quarantine_page::document(&views::quarantine()), quarantine_page::fragment(&views::quarantine()));
    assert!(document.contains(fragment.split_once("<main").expect("main").1));
}

#[test]
fn problems() {
    let missing = NotFoundView { frame: frame(), id: "PO-25651x".into(), searched: search::searched() };
    assert_page("not-found", &not_found(&missing));
    let bad = ProblemView {
        frame: frame(),
        status: 400,
        title: "The moment could not be read".into(),
        detail: Some("as_of=tuesday is not a time".into()),
        hint: Some("Write it like 2015-03-20T12:00:00Z.".into()),
    };
    assert_page("problem", &problem(&bad));
}

#[test]
fn a_past_page_says_nothing_that_was_told_later() {
    let html = order_page::document(&order::view(Some(at(2015, 3, 20, 12, 0))));
    let main = html.split("<div id=\"cols\"").nth(1).expect("columns");
    for later in
        ["31.4", "Lusaka airport", "cargo shed", "Missed milestone", "told 20 d later", "passed, no news"]
    {
        assert!(!main.contains(later), "{later}");
    }
    // the withdrawal of 18 March was known on the 20th, and not on the 17th
    assert!(main.contains("row struck"));
    let before = order_page::document(&order::view(Some(at(2015, 3, 17, 23, 0))));
    assert!(!before.contains("row struck") && before.contains("in the air, NRT to JNB"));
}

#[test]
fn a_fragment_is_what_the_document_holds() {
    for as_of in [None, Some(at(2015, 3, 20, 12, 0))] {
        let (document, fragment) =
            (order_page::document(&order::view(as_of)), order_page::fragment(&order::view(as_of)));
        let main = fragment.split_once("<main").expect("main").1;
        assert!(document.contains(main));
        assert!(fragment.contains("id=\"fresh\"") && fragment.len() < document.len());
    }
    let (document, fragment) =
        (search_page::document(&search::overview()), search_page::fragment(&search::overview()));
    assert!(document.contains(fragment.split_once("<main").expect("main").1));
}

#[test]
fn long_timelines_stay_within_the_budget() {
    let mut v = order::view(None);
    let row = v.timeline[3].clone();
    let ticks = v.ticks.clone();
    for i in 0..5000i64 {
        let mut r = row.clone();
        r.evidence.offset += i;
        v.timeline.push(r);
        let mut t = ticks[0].clone();
        t.told.0 += i * 60_000;
        v.ticks.push(t);
    }
    v.links = (0..5000)
        .map(|i| {
            let mut l = v.links[8].clone();
            l.held = subject("pallet", &format!("{i:018}"));
            l
        })
        .collect();
    let html = order_page::document(&v);
    assert!(html.contains("older facts"));
    // forty rows, a strip of 500 steps and a table of 120 links: twice the budget of an ordinary page at most
    assert!(html.len() <= 2 * HTML_BUDGET, "{}", html.len());
}

#[test]
fn hostile_text_stays_text() {
    let pages = [
        ("order", order_page::document(&hostile::order_view())),
        ("overview", search_page::document(&hostile::search_view(false))),
        ("results", search_page::document(&hostile::search_view(true))),
        ("not found", not_found(&hostile::not_found())),
        ("problem", problem(&hostile::problem())),
        ("rebuild", rebuild_page::document(&hostile::rebuild_view(true))),
        ("rebuild form", rebuild_page::document(&hostile::rebuild_view(false))),
        ("quarantine", quarantine_page::document(&hostile::quarantine_view(false))),
        ("quarantine text", quarantine_page::document(&hostile::quarantine_view(true))),
    ];
    for (name, html) in &pages {
        assert!(html.contains("&lt;img src=x"), "{name}: the text is shown");
        for raw in ["<img", "<script>", "</style>", "\u{202e}", "\0", "javascript:", "NaN", "<script>alert"] {
            assert!(!html.contains(raw), "{name}: {raw:?}");
        }
        for tag in tags(html) {
            assert!(attributes_are_quoted(tag), "{name}: {tag}");
        }
        // The value of a refused record is shown whole: it is what must be mended.
        let whole = name.starts_with("quarantine");
        assert!(whole || !html.contains(&"w".repeat(200)), "{name}: a long text is cut");
    }
}

/// Everything between `<` and the `>` that closes it outside of quotes.
fn tags(html: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let tail = &rest[start..];
        let mut quoted = false;
        let end = tail.char_indices().find(|(_, c)| {
            if *c == '"' {
                quoted = !quoted;
            }
            *c == '>' && !quoted
        });
        let Some((end, _)) = end else { break };
        out.push(&tail[..end]);
        rest = &tail[end..];
    }
    out
}

/// Outside of double quotes a tag has names, `=` and `/` only: nothing has broken out of an attribute.
fn attributes_are_quoted(tag: &str) -> bool {
    let outside: String = tag.split('"').step_by(2).collect();
    outside.chars().all(|c| c.is_ascii_alphanumeric() || "<!/=- :".contains(c))
}
