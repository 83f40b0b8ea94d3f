//! Bytes that Kafka 4.4.0's own Java classes wrote, recorded by `tests/vectors/Vectors.java`.

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::registry::MESSAGES;

use super::{again, info};

fn lines(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let text = include_str!("../vectors/vectors.txt");
    text.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(move |words| words[0] == kind)
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|c| ALPHABET.iter().position(|a| *a == c));
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for digit in digits {
        bits = (bits << 6) | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

#[test]
fn recorded_values_come_back() {
    let mut seen = std::collections::BTreeSet::new();
    for words in lines("value") {
        let (name, version, bytes) = (words[1], words[2].parse().unwrap(), base64(words[3]));
        assert_eq!(again(name, version, &bytes), bytes, "{name} v{version}");
        seen.insert((name, version));
    }
    let versions: usize = MESSAGES.iter().map(|m| (m.max_version - m.min_version + 1) as usize).sum();
    assert_eq!(seen.len(), versions, "every version of every message is recorded");
}

#[test]
fn defaults_are_javas() {
    for words in lines("default") {
        let (name, version): (_, i16) = (words[1], words[2].parse().unwrap());
        let ours = info(name).encode_default(version);
        match words[3] {
            "-" => assert!(ours.is_err(), "{name} v{version}: Java refuses its default"),
            recorded => assert_eq!(ours.unwrap(), base64(recorded), "{name} v{version}"),
        }
    }
}

#[test]
fn apis_and_header_versions_are_javas() {
    let recorded: Vec<_> = lines("api").collect();
    assert_eq!(recorded.len(), ApiKey::ALL.len());
    for words in recorded {
        let number = |position: usize| words[position].parse::<i16>().unwrap();
        let key = ApiKey::try_from(number(1)).unwrap();
        let name: String = words[2].split('_').map(str::to_lowercase).collect();
        assert_eq!(key.name().to_lowercase(), name);
        assert_eq!(key.facts().on_broker, words[3].contains("broker"), "{key}");
        assert_eq!(key.facts().on_controller, words[3].contains("controller"), "{key}");
        assert_eq!(key.valid_versions(), number(4)..=number(5), "{key}");
        assert_eq!(key.stable_versions(), number(4)..=number(6), "{key}");
        for (version, headers) in key.valid_versions().zip(words[7].split(',')) {
            let ours =
                format!("{}/{}", key.request_header_version(version), key.response_header_version(version));
            assert_eq!(ours, headers, "{key} v{version}");
        }
    }
}

#[test]
fn error_codes_are_javas() {
    let recorded: Vec<_> = lines("error").collect();
    assert_eq!(recorded.len(), ErrorCode::ALL.len());
    for (words, error) in recorded.into_iter().zip(ErrorCode::ALL) {
        let ours = [error.code().to_string(), error.name().to_owned(), error.is_retriable().to_string()];
        assert_eq!(words[1..], ours);
    }
}
