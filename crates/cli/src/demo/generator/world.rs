//! The demo's world: places, lanes, parties, goods, and ids with their check digits. All of it is invented but for
//! the names and positions of cities and ports.

use waybill_visibility::mapping::events::Place;

/// A city, port or airport: UN/LOCODE, name, country, latitude, longitude.
pub(super) struct Site(&'static str, &'static str, &'static str, f64, f64);

impl Site {
    pub(super) fn place(&self) -> Place {
        self.named("")
    }

    /// A yard or store in the city, with an id of its own.
    pub(super) fn store(&self) -> Place {
        Place { id: format!("{}-CS", self.0), ..self.named(" central store") }
    }

    fn named(&self, suffix: &str) -> Place {
        Place {
            id: self.0.to_owned(),
            name: format!("{}{suffix}", self.1),
            country: Some(self.2.to_owned()),
            lat: Some(self.3),
            lon: Some(self.4),
        }
    }

    /// Three letters for the name of the local warehouse system.
    pub(super) fn code(&self) -> String {
        self.0.chars().skip(2).map(|c| c.to_ascii_lowercase()).collect()
    }
}

pub(super) const SHANGHAI: Site = Site("CNSHA", "Shanghai", "CN", 31.23, 121.49);
pub(super) const NHAVA_SHEVA: Site = Site("INNSA", "Nhava Sheva", "IN", 18.95, 72.95);
pub(super) const HYDERABAD: Site = Site("INHYD", "Hyderabad", "IN", 17.24, 78.43);
pub(super) const ROTTERDAM: Site = Site("NLRTM", "Rotterdam", "NL", 51.95, 4.14);
pub(super) const HAMBURG: Site = Site("DEHAM", "Hamburg", "DE", 53.54, 9.97);
pub(super) const ANTWERP: Site = Site("BEANR", "Antwerp", "BE", 51.28, 4.34);
pub(super) const FRANKFURT: Site = Site("DEFRA", "Frankfurt", "DE", 50.03, 8.57);
pub(super) const SINGAPORE: Site = Site("SGSIN", "Singapore", "SG", 1.26, 103.82);
pub(super) const COLOMBO: Site = Site("LKCMB", "Colombo", "LK", 6.95, 79.85);
pub(super) const JEBEL_ALI: Site = Site("AEJEA", "Jebel Ali", "AE", 25.01, 55.06);
pub(super) const DUBAI: Site = Site("AEDXB", "Dubai", "AE", 25.25, 55.36);
pub(super) const ALGECIRAS: Site = Site("ESALG", "Algeciras", "ES", 36.13, -5.44);
pub(super) const DURBAN: Site = Site("ZADUR", "Durban", "ZA", -29.87, 31.03);
pub(super) const JOHANNESBURG: Site = Site("ZAJNB", "Johannesburg", "ZA", -26.13, 28.24);
pub(super) const BEIRA: Site = Site("MZBEW", "Beira", "MZ", -19.82, 34.84);
pub(super) const MAPUTO: Site = Site("MZMPM", "Maputo", "MZ", -25.97, 32.57);
pub(super) const MOMBASA: Site = Site("KEMBA", "Mombasa", "KE", -4.05, 39.63);
pub(super) const DAR_ES_SALAAM: Site = Site("TZDAR", "Dar es Salaam", "TZ", -6.84, 39.29);
pub(super) const TEMA: Site = Site("GHTEM", "Tema", "GH", 5.64, 0.02);
pub(super) const ABIDJAN: Site = Site("CIABJ", "Abidjan", "CI", 5.28, -4.01);
pub(super) const APAPA: Site = Site("NGAPP", "Apapa", "NG", 6.44, 3.38);
pub(super) const LUSAKA: Site = Site("ZMLUN", "Lusaka", "ZM", -15.33, 28.45);
pub(super) const KAMPALA: Site = Site("UGKLA", "Kampala", "UG", 0.32, 32.58);
pub(super) const KIGALI: Site = Site("RWKGL", "Kigali", "RW", -1.97, 30.14);
pub(super) const NAIROBI: Site = Site("KENBO", "Nairobi", "KE", -1.32, 36.93);
pub(super) const KINSHASA: Site = Site("CDFIH", "Kinshasa", "CD", -4.39, 15.44);
pub(super) const ADDIS_ABABA: Site = Site("ETADD", "Addis Ababa", "ET", 8.98, 38.80);
pub(super) const HARARE: Site = Site("ZWHRE", "Harare", "ZW", -17.93, 31.09);
pub(super) const ACCRA: Site = Site("GHACC", "Accra", "GH", 5.60, -0.17);
pub(super) const SANTOS: Site = Site("BRSSZ", "Santos", "BR", -23.96, -46.33);

/// A way that goods take.
pub(super) struct Lane {
    pub(super) mode: &'static str,
    pub(super) carrier: &'static str,
    pub(super) from: Site,
    /// Where they change vehicles.
    pub(super) via: Option<Site>,
    /// Port or airport of arrival.
    pub(super) port: Site,
    pub(super) to: Site,
    /// Days from departure to the port, and from there to the door.
    pub(super) days: (i64, i64),
}

const fn lane(
    mode: &'static str,
    carrier: &'static str,
    from: Site,
    via: Option<Site>,
    port: Site,
    to: Site,
    days: (i64, i64),
) -> Lane {
    Lane { mode, carrier, from, via, port, to, days }
}

/// Long ways, by sea and air.
pub(super) const LANES: [Lane; 16] = [
    lane("sea", BLUE_ANCHOR, SHANGHAI, Some(SINGAPORE), DURBAN, LUSAKA, (24, 7)),
    lane("sea", BLUE_ANCHOR, NHAVA_SHEVA, Some(COLOMBO), MOMBASA, KAMPALA, (13, 5)),
    lane("sea", BLUE_ANCHOR, NHAVA_SHEVA, None, DAR_ES_SALAAM, KIGALI, (12, 6)),
    lane("sea", MERIDIAN, ROTTERDAM, Some(ALGECIRAS), TEMA, ACCRA, (16, 2)),
    lane("sea", MERIDIAN, HAMBURG, Some(ALGECIRAS), APAPA, APAPA, (19, 4)),
    lane("sea", MERIDIAN, ANTWERP, None, ABIDJAN, ABIDJAN, (15, 2)),
    lane("sea", BLUE_ANCHOR, SHANGHAI, Some(JEBEL_ALI), MOMBASA, NAIROBI, (25, 3)),
    lane("sea", MERIDIAN, SANTOS, None, MAPUTO, MAPUTO, (17, 2)),
    lane("sea", BLUE_ANCHOR, SINGAPORE, Some(COLOMBO), BEIRA, HARARE, (20, 5)),
    lane("air", CONDOR, HYDERABAD, Some(DUBAI), NAIROBI, NAIROBI, (3, 1)),
    lane("air", CONDOR, HYDERABAD, Some(ADDIS_ABABA), LUSAKA, LUSAKA, (3, 1)),
    lane("air", CONDOR, FRANKFURT, None, JOHANNESBURG, JOHANNESBURG, (2, 1)),
    lane("air", CONDOR, FRANKFURT, Some(ADDIS_ABABA), KINSHASA, KINSHASA, (3, 2)),
    lane("air", CONDOR, SHANGHAI, Some(ADDIS_ABABA), KIGALI, KIGALI, (4, 1)),
    lane("air", CONDOR, DUBAI, None, DAR_ES_SALAAM, DAR_ES_SALAAM, (2, 1)),
    lane("air", CONDOR, FRANKFURT, None, ACCRA, ACCRA, (2, 1)),
];

/// Short ways, by road from a regional depot.
pub(super) const LOCAL: [Lane; 6] = [
    lane("road", RIFT_VALLEY, NAIROBI, None, NAIROBI, KAMPALA, (1, 1)),
    lane("road", RIFT_VALLEY, MOMBASA, None, NAIROBI, NAIROBI, (1, 1)),
    lane("road", COPPERBELT, JOHANNESBURG, None, HARARE, LUSAKA, (2, 1)),
    lane("road", COPPERBELT, DURBAN, None, JOHANNESBURG, MAPUTO, (1, 1)),
    lane("road", COPPERBELT, BEIRA, None, HARARE, HARARE, (1, 1)),
    lane("road", RIFT_VALLEY, TEMA, None, ACCRA, ACCRA, (0, 1)),
];

const BLUE_ANCHOR: &str = "Blue Anchor Line";
const MERIDIAN: &str = "Meridian Ocean";
const CONDOR: &str = "Condor Air Cargo";
const RIFT_VALLEY: &str = "Rift Valley Haulage";
const COPPERBELT: &str = "Copperbelt Trucking";

pub(super) const CUSTOMERS: [&str; 8] = [
    "Kilimanjaro Health",
    "Copperbelt Clinics",
    "Volta Medical Stores",
    "Great Lakes Relief",
    "Zambezi Hospitals",
    "Lagoon Pharmacies",
    "Highland Schools Trust",
    "Savanna Farm Supply",
];

pub(super) const SUPPLIERS: [&str; 6] = [
    "Aurora Pharma",
    "Deccan Formulations",
    "Polder Diagnostics",
    "Harbour Textiles",
    "Elbe Instruments",
    "Pearl River Plastics",
];

/// Item number within the company prefix, description, unit, whether it must be kept cool.
pub(super) struct Product(pub(super) u32, pub(super) &'static str, pub(super) &'static str, pub(super) bool);

pub(super) const PRODUCTS: [Product; 12] = [
    Product(101, "Amoxicillin 500 mg capsules", "pack", false),
    Product(102, "Artemether/lumefantrine tablets", "pack", false),
    Product(103, "Insulin, human, 10 ml vials", "vial", true),
    Product(104, "Oxytocin 10 IU ampoules", "pack", true),
    Product(105, "Measles vaccine, 10 doses", "vial", true),
    Product(106, "Rapid malaria tests", "kit", false),
    Product(107, "Oral rehydration salts", "carton", false),
    Product(108, "Nitrile gloves, medium", "carton", false),
    Product(109, "Treated mosquito nets", "bale", false),
    Product(110, "Water pump, solar", "piece", false),
    Product(111, "Exercise books, lined", "carton", false),
    Product(112, "Maize seed, hybrid", "bag", false),
];

pub(super) const SHIPS: [&str; 6] = [
    "MV Aldebaran 214W",
    "MV Corvus 118E",
    "MV Halcyon 307S",
    "MV Lyra 045W",
    "MV Orion Bay 262S",
    "MV Tern 090E",
];
pub(super) const FLIGHTS: [&str; 4] = ["CD 712", "CD 730", "CD 804", "CD 916"];
pub(super) const TRUCKS: [&str; 5] = ["KDA 417B", "KCZ 882T", "BAX 2201", "ABD 9034", "GT 5512-24"];

pub(super) const SLIPS: [&str; 6] = [
    "port congestion",
    "offloaded, no capacity",
    "vessel delayed by weather",
    "customs inspection",
    "missed connection",
    "border closed",
];
pub(super) const PROMISE_MOVES: [&str; 3] =
    ["customer agreed to a later day", "supplier short of stock", "carrier's new schedule"];
pub(super) const CANCELS: [&str; 2] = ["no longer needed", "ordered twice"];

/// The company prefix that GS1 gives to examples.
const GS1_PREFIX: &str = "0952114";

/// A 14-digit trade item number.
pub(super) fn gtin(item: u32) -> String {
    with_gs1_check(&format!("{GS1_PREFIX}{item:06}"))
}

/// An 18-digit serial shipping container code.
pub(super) fn sscc(serial: u64) -> String {
    with_gs1_check(&format!("{GS1_PREFIX}{:010}", serial % 10_000_000_000))
}

/// Appends the check digit of the GS1 General Specifications, section 7.9.1: weights 3 and 1 from the right.
fn with_gs1_check(digits: &str) -> String {
    let sum: u32 = digits
        .chars()
        .rev()
        .enumerate()
        .map(|(i, c)| c.to_digit(10).unwrap_or(0) * if i % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// A container number with the check digit of ISO 6346: letters count 10 to 38 without multiples of 11, place
/// values are powers of two, modulo 11.
pub(super) fn container(serial: u64) -> String {
    let body = format!("WBLU{:06}", serial % 1_000_000);
    let value = |c: char| match c.to_digit(36).unwrap_or(0) {
        n @ 0..=9 => n,
        10 => 10,
        n @ 11..=20 => n + 1,
        n @ 21..=30 => n + 2,
        n => n + 3,
    };
    let sum: u32 = body.chars().enumerate().map(|(i, c)| value(c) << i).sum();
    format!("{body}{}", sum % 11 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_right() {
        assert_eq!(with_gs1_check("0952114101234"), "09521141012345");
        assert_eq!(sscc(1).len(), 18);
        // CSQU3054383 is the worked example of ISO 6346.
        let value = container(305_438);
        assert_eq!(value.len(), 11);
        assert_eq!(iso("CSQU305438"), 3);
    }

    /// The same rule written out as a table, to hold the arithmetic against.
    fn iso(body: &str) -> u32 {
        const LETTERS: [u32; 26] = [
            10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 34, 35, 36,
            37, 38,
        ];
        let sum: u32 = body
            .chars()
            .enumerate()
            .map(|(i, c)| c.to_digit(10).unwrap_or_else(|| LETTERS[c as usize - 'A' as usize]) << i)
            .sum();
        sum % 11 % 10
    }

    #[test]
    fn container_numbers_follow_the_table() {
        for serial in [0, 1, 305_438, 999_999, 123_456] {
            let id = container(serial);
            assert_eq!(iso(&id[..10]).to_string(), id[10..]);
        }
    }
}
