//! Tests of the generator's parts.

use super::code::When;
use super::schema::{self, Versions};
use super::{names, schema_dir};

fn versions(text: &str) -> Versions {
    Versions::parse(text).unwrap()
}

#[test]
fn names_take_rusts_case() {
    for (kafka, rust) in [
        ("TopicData", "topic_data"),
        ("leaderEpoch", "leader_epoch"),
        ("IsrNodes", "isr_nodes"),
        ("KRaftVersionRecord", "k_raft_version_record"),
        ("SPNName", "spn_name"),
        ("offset", "offset"),
    ] {
        assert_eq!(names::snake(kafka), rust);
    }
    assert_eq!(names::ident("Type"), "r#type");
}

#[test]
fn conditions_are_no_wider_than_needed() {
    let current = versions("3-13");
    let when = |text: &str| When::new(versions(text), current).expr();
    assert_eq!(when("0+"), "true");
    assert_eq!(when("14+"), "false");
    assert_eq!(when("none"), "false");
    assert_eq!(when("9+"), "v >= 9");
    assert_eq!(when("0-12"), "v <= 12");
    assert_eq!(when("5"), "v == 5");
    assert_eq!(when("5-7"), "(5..=7).contains(&v)");
    let negated = |text: &str| When::negated(versions(text), current);
    assert_eq!(negated("0+"), "false");
    assert_eq!(negated("none"), "true");
    assert_eq!(negated("9+"), "v < 9");
    assert_eq!(negated("0-12"), "v > 12");
}

/// The facts are kept in the one form that printing gives, so a new import shows only what changed.
#[test]
fn committed_facts_print_as_they_stand() {
    let mut files = 0;
    for entry in std::fs::read_dir(schema_dir().unwrap()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let body: String = text.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
        let messages = schema::parse(&text).unwrap();
        assert!(schema::print(&messages) == body);
        files += 1;
    }
    assert_eq!(files, 4);
}

#[test]
fn malformed_facts_are_refused() {
    for text in [
        "request",
        "request A versions=x",
        "request A versions=0\n  B int9 versions=0",
        "data A versions=0\n  B int8 tag=x",
    ] {
        assert!(schema::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_struct_that_contains_itself_is_refused() {
    let text = "data A versions=0\n  B []C versions=0\n  struct C versions=0\n    D []C versions=0\n";
    let messages = schema::parse(text).unwrap();
    let error = super::message::module(&messages[0]).unwrap_err();
    assert!(error.to_string().contains("contains itself"), "{error}");
}
