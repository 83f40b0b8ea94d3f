//! The bounds that are searched, and each rule left out.

use std::time::Instant;

use waybill_wal::Sabotage;

use crate::search::search;
use crate::world::Bounds;

const SMALL: Bounds = Bounds {
    depth: 2,
    slots: 2,
    recoverers: 1,
    timeouts: 1,
    twice: 0,
    hedges: 0,
    commits: 1,
    deletes: 1,
    reader: false,
    sabotage: Sabotage::None,
};

#[allow(clippy::disallowed_methods, reason = "shows how long a search took, decides nothing")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::print_stdout, reason = "what a test run shows")]
fn holds(name: &str, bounds: Bounds) {
    let began = now();
    let outcome = search(&bounds);
    println!(
        "chain model, {name}: {} states, {} steps deep, {:.1} s",
        outcome.states,
        outcome.depth,
        began.elapsed().as_secs_f64()
    );
    assert!(outcome.violation.is_none(), "{name}: {:?}", outcome.violation);
}

/// Bounds that take minutes are searched where `WAYBILL_MODEL_DEEP` is set.
fn deep() -> bool {
    std::env::var_os("WAYBILL_MODEL_DEEP").is_some()
}

#[test]
fn one_recoverer() {
    holds("one recoverer", Bounds { twice: 1, deletes: 2, ..SMALL });
    if deep() {
        holds("one recoverer, two time-outs", Bounds { timeouts: 2, twice: 1, deletes: 2, ..SMALL });
        holds("three slots", Bounds { slots: 3, depth: 3, ..SMALL });
    }
}

#[test]
fn two_recoverers() {
    holds("two recoverers", Bounds { recoverers: 2, timeouts: 0, ..SMALL });
    if deep() {
        holds("two recoverers, a time-out", Bounds { recoverers: 2, ..SMALL });
        holds(
            "two recoverers, late creates",
            Bounds { recoverers: 2, timeouts: 0, twice: 1, deletes: 2, ..SMALL },
        );
    }
}

#[test]
fn hedges() {
    holds("hedges", Bounds { hedges: 1, ..SMALL });
    if deep() {
        holds("hedges and late creates", Bounds { hedges: 1, twice: 1, ..SMALL });
    }
}

#[test]
fn a_reader() {
    holds("reader", Bounds { reader: true, commits: 0, ..SMALL });
    if deep() {
        holds("reader and late creates", Bounds { reader: true, twice: 1, ..SMALL });
    }
}

/// Each rule that is left out loses data, and the search says how in the fewest steps.
#[test]
fn each_rule_left_out_is_caught() {
    let two = Bounds { recoverers: 2, timeouts: 0, ..SMALL };
    let mutants = [
        ("W-M01", Sabotage::AckUnwritten, SMALL),
        ("W-M02", Sabotage::AckOutOfOrder, SMALL),
        ("W-M03", Sabotage::ExistsIsOurs, SMALL),
        ("W-M04", Sabotage::SealTimeoutIsSeal, SMALL),
        ("W-M05", Sabotage::SealExistsIsSeal, SMALL),
        ("W-M06", Sabotage::SealBehindListed, SMALL),
        ("W-M08", Sabotage::StaleTrim, SMALL),
        ("W-M09", Sabotage::NoFreeze, SMALL),
        ("W-M10", Sabotage::RecoveryUnchecked, two),
        ("W-M12", Sabotage::IndexUnchecked, SMALL),
        ("W-M13", Sabotage::DeleteNamed, SMALL),
        ("W-M14", Sabotage::DeleteEarly, SMALL),
        ("W-M15", Sabotage::DeleteSeal, SMALL),
        ("W-M16", Sabotage::SweepOpen, SMALL),
        ("W-M17", Sabotage::ReadPastHole, Bounds { reader: true, ..SMALL }),
        ("W-M20", Sabotage::TakeOrphans, SMALL),
        ("W-M21", Sabotage::ReuseSlot, Bounds { timeouts: 2, ..SMALL }),
        ("W-M22", Sabotage::SkipSlot, SMALL),
        ("W-M23", Sabotage::VoidSlot, SMALL),
        ("W-M25", Sabotage::SealAheadIsEnd, SMALL),
        ("C-M09", Sabotage::NoSeal, SMALL),
    ];
    for (name, sabotage, bounds) in mutants {
        let outcome = search(&Bounds { sabotage, ..bounds });
        let Some((what, trace)) = outcome.violation else {
            panic!("{name} {sabotage:?} is not caught in {} states", outcome.states);
        };
        println!("{name} {sabotage:?} | {} steps | {what}\n    {trace:?}", trace.len());
    }
}
