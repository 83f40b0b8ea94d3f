//! Identifiers in one form: GS1 Digital Link URIs at `id.gs1.org`, as the CBV 2.0 event hash wants them.
//!
//! EPC URNs are translated by the rules of the EPC Tag Data Standard; Digital Link URIs of other domains get the
//! canonical domain, numeric application identifiers, and lose what stands before the primary key and in the query.

const BASE: &str = "https://id.gs1.org/";

/// Names that GS1 Digital Link allows for application identifiers.
const NAMES: [(&str, &str); 18] = [
    ("gtin", "01"),
    ("itip", "8006"),
    ("cpid", "8010"),
    ("gln", "414"),
    ("party", "417"),
    ("gsrnp", "8017"),
    ("gsrn", "8018"),
    ("gcn", "255"),
    ("sscc", "00"),
    ("gdti", "253"),
    ("ginc", "401"),
    ("gsin", "402"),
    ("grai", "8003"),
    ("giai", "8004"),
    ("cpv", "22"),
    ("lot", "10"),
    ("ser", "21"),
    ("mid", "8013"),
];

/// Application identifiers that begin a Digital Link, and whether their value is digits only.
const PRIMARY: [(&str, bool); 15] = [
    ("01", true),
    ("8006", true),
    ("8010", false),
    ("414", true),
    ("417", true),
    ("8017", true),
    ("8018", true),
    ("255", false),
    ("00", true),
    ("253", false),
    ("401", false),
    ("402", true),
    ("8003", false),
    ("8004", false),
    ("8013", false),
];

/// The check digit of a GS1 key whose other digits these are.
fn check_digit(digits: &str) -> char {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| u32::from(digit.wrapping_sub(b'0')) * if at % 2 == 0 { 3 } else { 1 })
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}

fn with_check(digits: &str) -> Option<String> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{digits}{}", check_digit(digits)))
}

/// A serial as it stands in a Digital Link: everything escaped but unreserved characters and the apostrophe.
fn escape(serial: &str) -> String {
    let mut out = String::with_capacity(serial.len());
    for byte in unescape(serial) {
        if byte.is_ascii_alphanumeric() || b"-._~'".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// The canonical form of an identifier; what is neither an EPC URN nor a Digital Link stays as it is.
#[must_use]
pub fn canonical(uri: &str) -> String {
    let from_urn = ["urn:epc:id:", "urn:epc:class:", "urn:epc:idpat:"]
        .into_iter()
        .find_map(|prefix| uri.strip_prefix(prefix))
        .and_then(|rest| rest.split_once(':'))
        .and_then(|(scheme, value)| from_urn(scheme, value));
    from_urn.or_else(|| from_link(uri)).unwrap_or_else(|| uri.to_owned())
}

fn from_urn(scheme: &str, value: &str) -> Option<String> {
    let (company, rest) = value.split_once('.')?;
    let (reference, serial) = match rest.split_once('.') {
        Some((reference, serial)) => (reference, Some(serial)),
        None => (rest, None),
    };
    // `*` stands for all of a class: the class itself.
    let serial = serial.filter(|serial| *serial != "*");
    // The indicator or extension digit stands first in the key, but after the company prefix in the URN.
    let indicated = || {
        let (indicator, item) = reference.split_at_checked(1)?;
        with_check(&format!("{indicator}{company}{item}"))
    };
    let plain = || with_check(&format!("{company}{reference}"));
    let append = |key: String| match serial {
        Some(serial) => format!("{key}{}", escape(serial)),
        None => key,
    };
    let tail = match scheme {
        "sgtin" => qualified(&format!("01/{}", indicated()?), "21", serial),
        "lgtin" => qualified(&format!("01/{}", indicated()?), "10", serial),
        "upui" => qualified(&format!("01/{}", indicated()?), "235", serial),
        "itip" => {
            let (piece, after) = serial?.split_once('.')?;
            let (total, serial) = after.split_once('.')?;
            let key = format!("8006/{}{piece}{total}", indicated()?);
            qualified(&key, "21", Some(serial).filter(|serial| *serial != "*"))
        }
        "sscc" => format!("00/{}", indicated()?),
        "sgln" => {
            qualified(&format!("414/{}", plain()?), "254", serial.filter(|extension| *extension != "0"))
        }
        "pgln" => format!("417/{}", plain()?),
        "grai" => append(format!("8003/0{}", plain()?)),
        "giai" => format!("8004/{company}{}", escape(rest)),
        "gsrn" => format!("8018/{}", plain()?),
        "gsrnp" => format!("8017/{}", plain()?),
        "gdti" => append(format!("253/{}", plain()?)),
        "sgcn" => append(format!("255/{}", plain()?)),
        "cpi" => qualified(&format!("8010/{company}{}", escape(reference)), "8011", serial),
        "ginc" => format!("401/{company}{}", escape(rest)),
        "gsin" => format!("402/{}", plain()?),
        _ => return None,
    };
    Some(format!("{BASE}{tail}"))
}

fn qualified(key: &str, ai: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{key}/{ai}/{}", escape(value)),
        None => key.to_owned(),
    }
}

fn from_link(uri: &str) -> Option<String> {
    let after_scheme = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"))?;
    let (_, path) = after_scheme.split_once('/')?;
    let path = path.split(['?', '#']).next()?.trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        // From the primary key on, identifiers and values take turns to the end.
        if !(segments.len() - at).is_multiple_of(2) {
            continue;
        }
        let ai = numeric(segment);
        let Some((_, digits_only)) = PRIMARY.iter().find(|(primary, _)| *primary == ai) else { continue };
        let value = segments.get(at + 1)?;
        if value.is_empty() || (*digits_only && !value.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        let mut out = format!("{BASE}{ai}/");
        if ai == "01" {
            out.push_str(&format!("{value:0>14}"));
        } else {
            out.push_str(value);
        }
        for (index, segment) in segments.iter().enumerate().skip(at + 2) {
            out.push('/');
            out.push_str(if (index - at) % 2 == 0 { numeric(segment) } else { segment });
        }
        return Some(out);
    }
    None
}

fn numeric(name: &str) -> &str {
    NAMES.iter().find(|(known, _)| *known == name).map_or(name, |(_, ai)| ai)
}

/// The application identifier of a canonical form.
#[must_use]
pub fn primary(canonical: &str) -> Option<&str> {
    canonical.strip_prefix(BASE)?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn identifiers_take_one_form() {
        for (from, to) in [
            ("urn:epc:id:sscc:4012345.0000000333", "https://id.gs1.org/00/040123450000003338"),
            ("https://id.example.com/414/4012345000054", "https://id.gs1.org/414/4012345000054"),
            (
                "https://example.com/some/gtin/780345418913/ser/7?x=1",
                "https://id.gs1.org/01/00780345418913/21/7",
            ),
            ("urn:epc:idpat:sgtin:4012345.044444.*", "https://id.gs1.org/01/04012345444445"),
            ("urn:epc:id:sgln:4012345.00005.0", "https://id.gs1.org/414/4012345000054"),
            ("geo:50.9,6.9", "geo:50.9,6.9"),
            ("http://transaction.acme.com/po/12345678", "http://transaction.acme.com/po/12345678"),
            ("urn:epc:id:sgtin:x", "urn:epc:id:sgtin:x"),
            ("https://é/%/", "https://é/%/"),
        ] {
            assert_eq!(canonical(from), to);
        }
    }
}
